// SPDX-License-Identifier: MIT
/*
 * vfio_user.c - the vfio-user server: the socket, message framing, and what each message means.
 *
 * Theory of operation
 * -------------------
 * The server has a listening socket and at most one client. A second client that connects while
 * there's one is turned away. The sockets don't block: bytes are gathered into server->message
 * until it's whole, so a client that stops in the middle of a message holds up nobody. A message is
 * header, payload and descriptors; descriptors belong to the message and are closed when it has
 * been handled, unless a handler took one (set to -1).
 *
 * A session begins with VERSION. A message that is well framed but wrong gets an error reply; where
 * the framing itself can't be trusted any more (a size out of bounds, too many descriptors,
 * anything before VERSION), the client is disconnected. Disconnecting, by whichever side, tells the
 * device to forget everything of the client.
 *
 * Replies are small and the client reads them, so they're sent at once; a client that leaves its
 * socket full for SEND_TIMEOUT_MS is disconnected.
 */
#define LOG_PART "vmm"
#include "vmm/vfio_user.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/keeper.h"
#include "vmm/vfio_user_proto.h"

#define MAX_PAYLOAD	(VFIO_USER_MAX_XFER + 64)
#define MAX_JSON	4096
#define MAX_IRQS	2048 /* MSI-X's own limit */
#define SEND_TIMEOUT_MS 2000
#define MESSAGES_A_POLL 64 /* handled before the caller gets its turn again */

struct vfio_user_server {
	const struct vfio_user_ops *ops;
	void *ctx;
	int listener, client;
	struct keeper *keeper; /* the caller's; NULL: none */
	struct sockaddr_un address;
	bool negotiated;
	bool broken; /* disconnect when the message is done */

	/* The message that is arriving. */
	struct vfio_user_header header;
	size_t received; /* bytes of header and payload */
	int fds[VFIO_USER_MAX_FDS];
	unsigned num_fds;
	_Alignas(8) uint8_t payload[MAX_PAYLOAD];

	/* The answer a handler makes. */
	_Alignas(8) uint8_t reply[MAX_PAYLOAD];
	size_t reply_size;
	int reply_fd; /* the device's, not to be closed; -1 */
};

static void close_message_fds(struct vfio_user_server *s)
{
	for (unsigned i = 0; i < s->num_fds; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	s->num_fds = 0;
}

static void disconnect(struct vfio_user_server *s)
{
	if (s->client < 0)
		return;
	close_message_fds(s);
	keeper_part(s->client);
	keeper_drop(s->keeper);
	s->client = -1;
	s->received = 0;
	s->negotiated = false;
	s->broken = false;
	log_info("client disconnected");
	s->ops->disconnected(s->ctx);
}

/* ---- Handlers: payload -> reply; 0 or a negative errno ---- */

static size_t payload_size(const struct vfio_user_server *s)
{
	return s->header.size - sizeof(s->header);
}

static void put_reply(struct vfio_user_server *s, const void *data, size_t size)
{
	memcpy(s->reply + s->reply_size, data, size);
	s->reply_size += size;
}

/* The client's limits aren't needed: no message of ours carries more than one descriptor or more
 * data than was asked for. */
static int check_version_json(const struct vfio_user_server *s)
{
	size_t size = payload_size(s) - sizeof(struct vfio_user_version);
	const char *text = (const char *)s->payload + sizeof(struct vfio_user_version);
	struct json_tokener *tokener;
	struct json_object *root, *caps;
	int ret = -EINVAL;

	if (size == 0)
		return 0;
	if (size > MAX_JSON || text[size - 1] != '\0')
		return -EINVAL;
	tokener = json_tokener_new_ex(8);
	if (!tokener)
		return -ENOMEM;
	root = json_tokener_parse_ex(tokener, text, (int)size);
	if (json_object_is_type(root, json_type_object) &&
	    (!json_object_object_get_ex(root, "capabilities", &caps) ||
	     json_object_is_type(caps, json_type_object)))
		ret = 0;
	json_object_put(root);
	json_tokener_free(tokener);
	return ret;
}

static int do_version(struct vfio_user_server *s)
{
	struct vfio_user_version version;
	char json[256];
	int ret, n;

	memcpy(&version, s->payload, sizeof(version));
	s->broken = true; /* until all is well: a client we have no version in common with is
			     disconnected */
	if (s->negotiated || version.major != VFIO_USER_MAJOR)
		return -EINVAL;
	ret = check_version_json(s);
	if (ret)
		return ret;

	version.minor = VFIO_USER_MINOR;
	n = snprintf(json, sizeof(json),
		     "{\"capabilities\":{\"max_msg_fds\":%d,\"max_data_xfer_size\":%d,"
		     "\"max_dma_maps\":%d,\"pgsizes\":4096}}",
		     VFIO_USER_MAX_FDS, VFIO_USER_MAX_XFER, VFIO_USER_MAX_MAPS);
	put_reply(s, &version, sizeof(version));
	put_reply(s, json, (size_t)n + 1);
	s->broken = false;
	s->negotiated = true;
	return 0;
}

static int do_dma_map(struct vfio_user_server *s)
{
	struct vfio_user_dma_map map;

	memcpy(&map, s->payload, sizeof(map));
	if (map.argsz < sizeof(map) || (map.flags & ~(VFIO_USER_DMA_READ | VFIO_USER_DMA_WRITE)))
		return -EINVAL;
	return s->ops->dma_map(s->ctx, map.address, map.size, s->num_fds ? s->fds[0] : -1,
			       map.offset, map.flags & VFIO_USER_DMA_WRITE);
}

static int do_dma_unmap(struct vfio_user_server *s)
{
	struct vfio_user_dma_unmap unmap;
	int ret = 0;

	memcpy(&unmap, s->payload, sizeof(unmap));
	if (unmap.argsz < sizeof(unmap) || (unmap.flags & ~VFIO_USER_UNMAP_ALL))
		return -EINVAL;
	if (unmap.flags & VFIO_USER_UNMAP_ALL)
		s->ops->dma_unmap_all(s->ctx);
	else
		ret = s->ops->dma_unmap(s->ctx, unmap.address, unmap.size);
	if (!ret)
		put_reply(s, &unmap, sizeof(unmap));
	return ret;
}

static int do_get_info(struct vfio_user_server *s)
{
	/* The first four members of struct vfio_device_info; the protocol has no more. */
	uint32_t info[4];

	memcpy(info, s->payload, sizeof(info));
	if (info[0] < sizeof(info))
		return -EINVAL;
	info[0] = sizeof(info);
	info[1] = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI;
	info[2] = VFIO_PCI_NUM_REGIONS;
	info[3] = VFIO_PCI_NUM_IRQS;
	put_reply(s, info, sizeof(info));
	return 0;
}

static int do_get_region_info(struct vfio_user_server *s)
{
	struct vfio_region_info info;
	struct vfio_region_info_cap_sparse_mmap *sparse;
	_Alignas(8) uint8_t caps[sizeof(*sparse) +
				 VFIO_USER_MAX_AREAS * sizeof(struct vfio_region_sparse_mmap_area)];
	struct vfio_user_region region = {.fd = -1};
	size_t caps_size = 0;
	uint32_t argsz;

	memcpy(&info, s->payload, sizeof(info));
	argsz = info.argsz;
	if (argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	s->ops->get_region(s->ctx, info.index, &region);

	info = (struct vfio_region_info){.index = info.index, .size = region.size};
	if (region.read)
		info.flags |= VFIO_REGION_INFO_FLAG_READ;
	if (region.write)
		info.flags |= VFIO_REGION_INFO_FLAG_WRITE;
	if (region.fd >= 0) {
		sparse = (void *)caps;
		memset(caps, 0, sizeof(caps));
		sparse->header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
		sparse->header.version = 1;
		sparse->nr_areas = region.num_areas;
		for (unsigned i = 0; i < region.num_areas; i++) {
			sparse->areas[i].offset = region.areas[i].offset;
			sparse->areas[i].size = region.areas[i].size;
		}
		caps_size = sizeof(*sparse) + region.num_areas * sizeof(sparse->areas[0]);
		info.flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
		info.cap_offset = sizeof(info);
	}
	info.argsz = sizeof(info) + caps_size;
	if (argsz < info.argsz) { /* tells how much is needed; the client asks again */
		info.cap_offset = 0;
		info.flags &= ~(uint32_t)VFIO_REGION_INFO_FLAG_CAPS;
		put_reply(s, &info, sizeof(info));
		return 0;
	}
	put_reply(s, &info, sizeof(info));
	put_reply(s, caps, caps_size);
	s->reply_fd = region.fd;
	return 0;
}

/* No client is known to use ioeventfds of a server; the answer that there are none is a valid one.
 */
static int do_get_region_io_fds(struct vfio_user_server *s)
{
	uint32_t info[4]; /* argsz, flags, index, count */

	memcpy(info, s->payload, sizeof(info));
	if (info[0] < sizeof(info) || info[1] || info[2] >= VFIO_PCI_NUM_REGIONS || info[3])
		return -EINVAL;
	info[0] = sizeof(info);
	put_reply(s, info, sizeof(info));
	return 0;
}

static int do_get_irq_info(struct vfio_user_server *s)
{
	struct vfio_irq_info info;

	memcpy(&info, s->payload, sizeof(info));
	/* QEMU takes a failure for the error and request interrupts as their absence; a count of 0
	 * makes it warn. */
	if (info.argsz < sizeof(info) || info.index > VFIO_PCI_MSIX_IRQ_INDEX)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.count = s->ops->num_irqs(s->ctx, info.index);
	info.flags = info.count ? VFIO_IRQ_INFO_EVENTFD : 0;
	put_reply(s, &info, sizeof(info));
	return 0;
}

static int do_set_irqs(struct vfio_user_server *s)
{
	struct vfio_irq_set set;
	const uint8_t *data = s->payload + sizeof(set);
	size_t data_size = payload_size(s) - sizeof(set);
	unsigned total;
	uint32_t kind;

	memcpy(&set, s->payload, sizeof(set));
	kind = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	if (set.argsz < sizeof(set) || set.index >= VFIO_PCI_NUM_IRQS ||
	    (set.flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)))
		return -EINVAL;
	total = s->ops->num_irqs(s->ctx, set.index);
	if (total > MAX_IRQS || set.start > total || set.count > total - set.start)
		return -EINVAL;
	/* Masking is QEMU's business: it emulates the MSI-X table. */
	if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTSUP;

	switch (kind) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (s->num_fds)
			return -EINVAL;
		if (set.count == 0) { /* disable all */
			if (set.start != 0)
				return -EINVAL;
			for (unsigned i = 0; i < total; i++)
				s->ops->set_irq(s->ctx, set.index, i, -1);
		}
		for (unsigned i = 0; i < set.count; i++)
			s->ops->trigger_irq(s->ctx, set.index, set.start + i);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (s->num_fds || data_size < set.count)
			return -EINVAL;
		for (unsigned i = 0; i < set.count; i++)
			if (data[i])
				s->ops->trigger_irq(s->ctx, set.index, set.start + i);
		return 0;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		/* No descriptors: these interrupts lose theirs. */
		if (set.count == 0 || (s->num_fds != 0 && s->num_fds != set.count))
			return -EINVAL;
		for (unsigned i = 0; i < set.count; i++) {
			int fd = -1;

			if (s->num_fds) {
				fd = s->fds[i];
				s->fds[i] = -1;
				/* A full eventfd counter, or whatever else was passed, must not
				 * block us. */
				fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
			}
			s->ops->set_irq(s->ctx, set.index, set.start + i, fd);
		}
		return 0;
	default:
		return -EINVAL;
	}
}

static int check_access(struct vfio_user_server *s, const struct vfio_user_region_access *access,
			bool write)
{
	struct vfio_user_region region = {.fd = -1};

	if (access->region >= VFIO_PCI_NUM_REGIONS || access->count == 0 ||
	    access->count > VFIO_USER_MAX_XFER)
		return -EINVAL;
	s->ops->get_region(s->ctx, access->region, &region);
	if (access->offset >= region.size || access->count > region.size - access->offset)
		return -EINVAL;
	return (write ? region.write : region.read) ? 0 : -EPERM;
}

static int do_region_read(struct vfio_user_server *s)
{
	struct vfio_user_region_access access;
	int ret;

	memcpy(&access, s->payload, sizeof(access));
	ret = check_access(s, &access, false);
	if (ret)
		return ret;
	put_reply(s, &access, sizeof(access));
	memset(s->reply + s->reply_size, 0, access.count);
	ret = s->ops->region_access(s->ctx, access.region, access.offset, s->reply + s->reply_size,
				    access.count, false);
	s->reply_size += access.count;
	return ret;
}

static int do_region_write(struct vfio_user_server *s)
{
	struct vfio_user_region_access access;
	int ret;

	memcpy(&access, s->payload, sizeof(access));
	if (payload_size(s) - sizeof(access) != access.count)
		return -EINVAL;
	ret = check_access(s, &access, true);
	if (ret)
		return ret;
	put_reply(s, &access, sizeof(access));
	return s->ops->region_access(s->ctx, access.region, access.offset,
				     s->payload + sizeof(access), access.count, true);
}

static int do_reset(struct vfio_user_server *s)
{
	s->ops->reset(s->ctx);
	return 0;
}

/* clang-format off */
static const struct {
	int (*handle)(struct vfio_user_server *s);
	size_t min, max; /* bytes of payload */
	unsigned max_fds;
} commands[VFIO_USER_NUM_COMMANDS] = {
	[VFIO_USER_VERSION] = { do_version, 4, 4 + MAX_JSON, 0 },
	[VFIO_USER_DMA_MAP] = { do_dma_map, 32, 32, 1 },
	[VFIO_USER_DMA_UNMAP] = { do_dma_unmap, 24, 24, 0 },
	[VFIO_USER_DEVICE_GET_INFO] = { do_get_info, 16, 16, 0 },
	[VFIO_USER_DEVICE_GET_REGION_INFO] = { do_get_region_info, 32, 32, 0 },
	[VFIO_USER_DEVICE_GET_REGION_IO_FDS] = { do_get_region_io_fds, 16, 16, 0 },
	[VFIO_USER_DEVICE_GET_IRQ_INFO] = { do_get_irq_info, 16, 16, 0 },
	[VFIO_USER_DEVICE_SET_IRQS] = { do_set_irqs, 20, 20 + MAX_IRQS, VFIO_USER_MAX_FDS },
	[VFIO_USER_REGION_READ] = { do_region_read, 16, 16, 0 },
	[VFIO_USER_REGION_WRITE] = { do_region_write, 17, 16 + VFIO_USER_MAX_XFER, 0 },
	[VFIO_USER_DEVICE_RESET] = { do_reset, 0, 0, 0 },
};
/* clang-format on */

static void send_reply(struct vfio_user_server *s, int error)
{
	struct vfio_user_header header = {
		.id = s->header.id,
		.command = s->header.command,
		.flags = VFIO_USER_TYPE_REPLY | (error ? VFIO_USER_ERROR : 0),
		.error = (uint32_t)error,
	};
	struct iovec iov[2] = {{&header, sizeof(header)}, {s->reply, error ? 0 : s->reply_size}};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	header.size = (uint32_t)(iov[0].iov_len + iov[1].iov_len);
	if (!error && s->reply_fd >= 0) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &s->reply_fd, sizeof(int));
	}
	while (iov[0].iov_len + iov[1].iov_len) {
		ssize_t n = sendmsg(s->client, &msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = s->client, .events = POLLOUT};

			if (poll(&p, 1, SEND_TIMEOUT_MS) > 0)
				continue;
		}
		if (n < 0) {
			s->broken = true;
			return;
		}
		msg.msg_control = NULL; /* went with the first byte */
		msg.msg_controllen = 0;
		for (int i = 0; i < 2; i++) {
			size_t part = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

			iov[i].iov_base = (char *)iov[i].iov_base + part;
			iov[i].iov_len -= part;
			n -= (ssize_t)part;
		}
	}
}

static void handle_message(struct vfio_user_server *s)
{
	unsigned command = s->header.command;
	int ret;

	s->reply_size = 0;
	s->reply_fd = -1;
	if (!s->negotiated && command != VFIO_USER_VERSION) {
		log_warn("client sent message %u before the version", command);
		s->broken = true;
		ret = -EINVAL;
	} else if (command >= VFIO_USER_NUM_COMMANDS || !commands[command].handle) {
		ret = -ENOTSUP;
	} else if (payload_size(s) < commands[command].min ||
		   payload_size(s) > commands[command].max ||
		   s->num_fds > commands[command].max_fds) {
		ret = -EINVAL;
	} else {
		ret = commands[command].handle(s);
	}
	if (ret)
		log_debug("message %u: %s", command, strerror(-ret));
	close_message_fds(s); /* before the answer, so that a client that counts sees them gone */
	if (!(s->header.flags & VFIO_USER_NO_REPLY))
		send_reply(s, -ret);
	keeper_served(s->keeper);
}

/* ---- The socket ---- */

/*
 * Receives what is there of the current message. 1: it's whole; 0: more must come; negative errno:
 * the client is gone or can't be followed.
 */
static int receive(struct vfio_user_server *s)
{
	for (;;) {
		union {
			struct cmsghdr align;
			char buf[CMSG_SPACE(sizeof(int) * VFIO_USER_MAX_FDS)];
		} control;
		size_t head = sizeof(s->header);
		struct iovec iov;
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		ssize_t n;
		bool overflow;

		if (s->received < head) {
			iov.iov_base = (char *)&s->header + s->received;
			iov.iov_len = head - s->received;
		} else {
			iov.iov_base = s->payload + (s->received - head);
			iov.iov_len = s->header.size - s->received;
		}
		n = recvmsg(s->client, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		overflow = msg.msg_flags & MSG_CTRUNC;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); n > 0 && c;
		     c = CMSG_NXTHDR(&msg, c)) {
			size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

			if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
				continue;
			for (size_t i = 0; i < count; i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
				if (s->num_fds < VFIO_USER_MAX_FDS) {
					s->fds[s->num_fds++] = fd;
				} else {
					close(fd);
					overflow = true;
				}
			}
		}
		if (n == 0)
			return -ECONNRESET;
		if (overflow)
			return -E2BIG;
		s->received += (size_t)n;
		if (s->received == head &&
		    (s->header.size < head || s->header.size - head > MAX_PAYLOAD ||
		     (s->header.flags & VFIO_USER_TYPE_MASK)))
			return -EBADMSG;
		if (s->received >= head)
			keeper_serving(s->keeper, &s->header, s->header.size - s->received);
		if (s->received >= head && s->received == s->header.size)
			return 1;
	}
}

static void accept_client(struct vfio_user_server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (s->client >= 0) {
		log_warn("turned away a second client");
		close(fd);
		return;
	}
	log_info("client connected");
	keeper_hold(s->keeper, fd);
	s->client = fd;
	s->received = 0;
	s->num_fds = 0;
}

void vfio_user_server_poll(struct vfio_user_server *s)
{
	struct pollfd p = {.fd = s->listener, .events = POLLIN};
	/* Asked first: the end of the client before, which the next one was waiting for, is there to be received then. */
	bool next = poll(&p, 1, 0) > 0, all_read = false;

	for (int i = 0; s->client >= 0 && i < MESSAGES_A_POLL; i++) {
		int ret = receive(s);

		if (ret == 0) {
			all_read = true;
			break;
		}
		if (ret < 0) {
			if (ret != -ECONNRESET)
				log_warn("disconnecting the client: %s", strerror(-ret));
			disconnect(s);
			break;
		}
		handle_message(s);
		s->received = 0;
		if (s->broken)
			disconnect(s);
	}
	if (next && (s->client < 0 || all_read))
		accept_client(s);
}

void vfio_user_server_fds(const struct vfio_user_server *s, int *listener, int *client)
{
	*listener = s->listener;
	*client = s->client;
}

/* A socket file left by a server that died is in the way of bind; one that someone listens on is
 * not ours to take. */
static int remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int fd, ret = 0;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		ret = -EADDRINUSE;
	else if (errno != ECONNREFUSED)
		ret = -errno;
	close(fd);
	if (!ret && unlink(address->sun_path) < 0)
		ret = -errno;
	return ret;
}

int vfio_user_server_open(const char *path, const struct vfio_user_ops *ops, void *ctx,
			  struct vfio_user_server **server)
{
	struct vfio_user_server *s;
	mode_t mask;
	int ret;

	if (strlen(path) >= sizeof(s->address.sun_path))
		return -ENAMETOOLONG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->ops = ops;
	s->ctx = ctx;
	s->client = -1;
	s->address.sun_family = AF_UNIX;
	strcpy(s->address.sun_path, path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0) {
		ret = -errno;
		goto err_free;
	}
	ret = remove_stale(&s->address);
	if (ret)
		goto err_close;
	mask = umask(0177);
	ret = bind(s->listener, (struct sockaddr *)&s->address, sizeof(s->address)) < 0 ? -errno
											: 0;
	umask(mask);
	if (ret)
		goto err_close;
	if (listen(s->listener, 4) < 0) {
		ret = -errno;
		unlink(path);
		goto err_close;
	}
	*server = s;
	return 0;
err_close:
	close(s->listener);
err_free:
	free(s);
	return ret;
}

void vfio_user_server_set_device(struct vfio_user_server *s, void *ctx)
{
	s->ctx = ctx;
}

void vfio_user_server_set_keeper(struct vfio_user_server *s, struct keeper *keeper)
{
	s->keeper = keeper;
}

void vfio_user_server_keep_file(struct vfio_user_server *s)
{
	s->address.sun_path[0] = 0;
}

void vfio_user_server_close(struct vfio_user_server *s)
{
	if (!s)
		return;
	disconnect(s);
	close(s->listener);
	if (s->address.sun_path[0])
		unlink(s->address.sun_path);
	free(s);
}
