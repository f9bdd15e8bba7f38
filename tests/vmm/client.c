// SPDX-License-Identifier: MIT
/* client.c - see client.h. */
#include "tests/vmm/client.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vmm/pci.h"

/* Where things are in the guest's RAM. */
#define CONTROL_RINGS  0x1000
#define EVENT_RINGS    0x5000
#define INDIRECT_TABLE 0x10000
#define EVENT_BUFFERS  0x20000
#define REQUEST_BUFFER 0x100000
#define REPLY_BUFFER   0x800000
#define EVENT_STRIDE   64

int client_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (sock >= 0 && connect(sock, (struct sockaddr *)&address, sizeof(address)) == 0)
		return sock;
	if (sock >= 0)
		close(sock);
	return -1;
}

int client_send_raw(int sock, const void *data, size_t size, const int *fds, unsigned num_fds)
{
	struct iovec iov = {(void *)(uintptr_t)data, size};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 64)];
	} control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (num_fds) {
		struct cmsghdr *cmsg;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * num_fds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * num_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * num_fds);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)size ? 0 : CLIENT_GONE;
}

/* All of size bytes; a descriptor that comes with them goes to *fd. */
static int receive_all(int sock, void *data, size_t size, int *fd)
{
	size_t done = 0;

	while (done < size) {
		struct pollfd p = {.fd = sock, .events = POLLIN};
		struct iovec iov = {(char *)data + done, size - done};
		union {
			struct cmsghdr align;
			char buf[CMSG_SPACE(sizeof(int))];
		} control;
		struct msghdr msg = {&(struct sockaddr_un){0}, 0, &iov, 1, &control,
				     sizeof(control),	       0};
		struct cmsghdr *cmsg;
		ssize_t n;

		if (poll(&p, 1, CLIENT_TIMEOUT_MS) <= 0)
			return -ETIMEDOUT;
		msg.msg_name = NULL;
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
		if (n <= 0)
			return CLIENT_GONE;
		cmsg = CMSG_FIRSTHDR(&msg);
		if (cmsg && cmsg->cmsg_type == SCM_RIGHTS) {
			int received;

			memcpy(&received, CMSG_DATA(cmsg), sizeof(received));
			if (fd)
				*fd = received;
			else
				close(received);
		}
		done += (size_t)n;
	}
	return 0;
}

int client_receive(int sock, struct vfio_user_header *header, void *reply, size_t capacity,
		   int *fd_out)
{
	size_t size;
	int ret;

	if (fd_out)
		*fd_out = -1;
	ret = receive_all(sock, header, sizeof(*header), fd_out);
	if (ret)
		return ret;
	size = header->size - sizeof(*header);
	if ((header->flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_REPLY || size > capacity)
		return -EPROTO;
	ret = receive_all(sock, reply, size, fd_out);
	if (ret)
		return ret;
	if (header->flags & VFIO_USER_ERROR)
		return size ? -EPROTO : -(int)header->error;
	return (int)size;
}

int client_call(int sock, unsigned command, const void *payload, size_t size, const int *fds,
		unsigned num_fds, void *reply, size_t capacity, int *fd_out)
{
	static _Atomic uint16_t next_id = 1;
	struct vfio_user_header header = {
		.id = next_id++,
		.command = (uint16_t)command,
		.size = (uint32_t)(sizeof(header) + size),
	};
	struct vfio_user_header answer;
	uint8_t *message = malloc(sizeof(header) + size);
	int ret;

	memcpy(message, &header, sizeof(header));
	if (size)
		memcpy(message + sizeof(header), payload, size);
	ret = client_send_raw(sock, message, sizeof(header) + size, fds, num_fds);
	free(message);
	if (ret)
		return ret;
	ret = client_receive(sock, &answer, reply, capacity, fd_out);
	if (ret >= 0 && (answer.id != header.id || answer.command != command))
		return -EPROTO;
	return ret;
}

int client_version(int sock)
{
	static const char json[] =
		"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}";
	uint8_t payload[sizeof(struct vfio_user_version) + sizeof(json)] = {0};
	uint8_t reply[512];

	memcpy(payload + sizeof(struct vfio_user_version), json, sizeof(json));
	return client_call(sock, VFIO_USER_VERSION, payload, sizeof(payload), NULL, 0, reply,
			   sizeof(reply), NULL);
}

int client_dma_map(int sock, uint64_t address, uint64_t size, int fd, uint64_t offset)
{
	struct vfio_user_dma_map map = {sizeof(map), VFIO_USER_DMA_READ | VFIO_USER_DMA_WRITE,
					offset, address, size};

	return client_call(sock, VFIO_USER_DMA_MAP, &map, sizeof(map), &fd, fd >= 0, NULL, 0, NULL);
}

int client_dma_unmap(int sock, uint64_t address, uint64_t size)
{
	struct vfio_user_dma_unmap unmap = {sizeof(unmap), 0, address, size}, reply;
	int ret = client_call(sock, VFIO_USER_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0, &reply,
			      sizeof(reply), NULL);

	return ret < 0 ? ret : memcmp(&unmap, &reply, sizeof(reply)) ? -EPROTO : 0;
}

int client_set_irq(int sock, uint32_t vector, int fd)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.start = vector,
		.count = 1,
	};

	return client_call(sock, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), &fd, fd >= 0, NULL,
			   0, NULL);
}

int client_read(int sock, unsigned region, uint64_t offset, void *data, uint32_t count)
{
	struct vfio_user_region_access access = {offset, region, count};
	uint8_t reply[sizeof(access) + 65536];
	int ret = client_call(sock, VFIO_USER_REGION_READ, &access, sizeof(access), NULL, 0, reply,
			      sizeof(reply), NULL);

	if (ret < 0)
		return ret;
	if ((size_t)ret != sizeof(access) + count)
		return -EPROTO;
	memcpy(data, reply + sizeof(access), count);
	return 0;
}

int client_write(int sock, unsigned region, uint64_t offset, const void *data, uint32_t count)
{
	struct vfio_user_region_access access = {offset, region, count};
	uint8_t payload[sizeof(access) + 65536], reply[64];
	int ret;

	memcpy(payload, &access, sizeof(access));
	memcpy(payload + sizeof(access), data, count);
	ret = client_call(sock, VFIO_USER_REGION_WRITE, payload, sizeof(access) + count, NULL, 0,
			  reply, sizeof(reply), NULL);
	return ret < 0 ? ret : 0;
}

/* ---- Guest ---- */

static uint8_t *map_region(struct guest *g, unsigned index, uint64_t *size)
{
	struct vfio_region_info info = { .argsz = 64, .index = index };
	_Alignas(8) uint8_t reply[64]; /* region, one sparse capability, one area */
	const struct vfio_region_info_cap_sparse_mmap *sparse = (void *)(reply + sizeof(info));
	void *p;
	int fd;

	if (client_call(g->sock, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info), NULL, 0,
			reply, sizeof(reply), &fd) < 0 ||
	    fd < 0)
		return NULL;
	memcpy(&info, reply, sizeof(info));
	*size = sparse->areas[0].size;
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 (off_t)(info.offset + sparse->areas[0].offset));
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

int guest_connect(struct guest *g, const char *path)
{
	memset(g, 0, sizeof(*g));
	g->ram_fd = g->irqs[0] = g->irqs[1] = g->irqs[2] = -1;
	g->sock = client_connect(path);
	if (g->sock < 0)
		return -1;
	g->ram_fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (g->ram_fd < 0 || ftruncate(g->ram_fd, GUEST_RAM) < 0)
		return -1;
	g->ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, g->ram_fd, 0);
	if (g->ram == MAP_FAILED || client_version(g->sock) < 0 ||
	    client_dma_map(g->sock, 0, GUEST_RAM, g->ram_fd, 0))
		return -1;
	for (unsigned i = 0; i < 3; i++) {
		g->irqs[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (client_set_irq(g->sock, i, g->irqs[i]))
			return -1;
	}
	g->doorbells = map_region(g, PCI_BAR_DOORBELLS, &g->doorbells_size);
	g->vram = map_region(g, PCI_BAR_VRAM, &g->vram_size);
	return g->doorbells && g->vram ? 0 : -1;
}

void guest_close(struct guest *g)
{
	if (g->doorbells)
		munmap(g->doorbells, g->doorbells_size);
	if (g->vram)
		munmap(g->vram, g->vram_size);
	if (g->ram && g->ram != MAP_FAILED)
		munmap(g->ram, GUEST_RAM);
	for (unsigned i = 0; i < 3; i++)
		if (g->irqs[i] >= 0)
			close(g->irqs[i]);
	if (g->ram_fd >= 0)
		close(g->ram_fd);
	if (g->sock >= 0)
		close(g->sock);
}

uint32_t guest_common_read(struct guest *g, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	client_read(g->sock, PCI_BAR_VIRTIO, VIRTIO_BAR_COMMON + offset, &value, size);
	return value;
}

void guest_common_write(struct guest *g, unsigned offset, unsigned size, uint32_t value)
{
	client_write(g->sock, PCI_BAR_VIRTIO, VIRTIO_BAR_COMMON + offset, &value, size);
}

bool guest_needs_reset(struct guest *g)
{
	return guest_common_read(g, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void write64(struct guest *g, unsigned offset, uint64_t value)
{
	guest_common_write(g, offset, 4, (uint32_t)value);
	guest_common_write(g, offset + 4, 4, (uint32_t)(value >> 32));
}

static void start_queue(struct guest *g, struct guest_queue *q, unsigned index, uint64_t rings)
{
	*q = (struct guest_queue){.desc = rings,
				  .avail = rings + 0x1000,
				  .used = rings + 0x2000,
				  .size = HSV_QUEUE_SIZE};
	memset(g->ram + rings, 0, 0x3000);
	guest_common_write(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	guest_common_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, q->size);
	guest_common_write(g, VIRTIO_PCI_COMMON_Q_MSIX, 2, index + 1);
	write64(g, VIRTIO_PCI_COMMON_Q_DESCLO, q->desc);
	write64(g, VIRTIO_PCI_COMMON_Q_AVAILLO, q->avail);
	write64(g, VIRTIO_PCI_COMMON_Q_USEDLO, q->used);
	guest_common_write(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void put_desc(struct guest *g, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	struct guest_desc desc = {addr, len, flags, next};

	memcpy(g->ram + table + 16 * i, &desc, sizeof(desc));
}

int guest_start(struct guest *g, uint64_t features)
{
	unsigned status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	features |= UINT64_C(1) << VIRTIO_F_VERSION_1;
	g->features = features;
	guest_common_write(g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	guest_common_write(g, VIRTIO_PCI_COMMON_STATUS, 1, status);
	for (unsigned i = 0; i < 2; i++) {
		guest_common_write(g, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		guest_common_write(g, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * i));
	}
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	guest_common_write(g, VIRTIO_PCI_COMMON_STATUS, 1, status);
	if (!(guest_common_read(g, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -1;
	guest_common_write(g, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	start_queue(g, &g->control, HSV_QUEUE_CONTROL, CONTROL_RINGS);
	start_queue(g, &g->event, HSV_QUEUE_EVENT, EVENT_RINGS);
	for (unsigned i = 0; i < GUEST_BUFFERS; i++) {
		put_desc(g, g->event.desc, i, EVENT_BUFFERS + i * EVENT_STRIDE,
			 sizeof(struct hsv_event), VRING_DESC_F_WRITE, 0);
		guest_offer(g, &g->event, (uint16_t)i);
	}
	guest_common_write(g, VIRTIO_PCI_COMMON_STATUS, 1, status | VIRTIO_CONFIG_S_DRIVER_OK);
	return 0;
}

void guest_desc(struct guest *g, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t next)
{
	put_desc(g, g->control.desc, i, addr, len, flags, next);
}

void guest_offer(struct guest *g, struct guest_queue *q, uint16_t head)
{
	_Atomic uint16_t *avail = (_Atomic uint16_t *)(g->ram + q->avail);

	atomic_store(&avail[2 + q->next_avail % q->size], head);
	q->next_avail++;
	atomic_store(&avail[1], q->next_avail);
}

int guest_kick(struct guest *g, unsigned queue)
{
	uint16_t value = (uint16_t)queue;

	return client_write(g->sock, PCI_BAR_VIRTIO,
			    VIRTIO_BAR_NOTIFY + queue * VIRTIO_NOTIFY_MULTIPLIER, &value,
			    sizeof(value));
}

static bool take_used(struct guest *g, struct guest_queue *q, uint32_t *head, uint32_t *len)
{
	_Atomic uint16_t *idx = (_Atomic uint16_t *)(g->ram + q->used + 2);
	uint32_t element[2];

	if (atomic_load(idx) == q->next_used)
		return false;
	memcpy(element, g->ram + q->used + 4 + 8 * (q->next_used % q->size), sizeof(element));
	q->next_used++;
	/* used_event: interrupt for the next one, too. */
	atomic_store((_Atomic uint16_t *)(g->ram + q->avail + 4 + 2 * q->size), q->next_used);
	*head = element[0];
	*len = element[1];
	return true;
}

/* Waits for the interrupt, as a driver does, so that a missing one shows. */
static bool wait_used(struct guest *g, struct guest_queue *q, int irq, int timeout_ms,
		      uint32_t *head, uint32_t *len)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += timeout_ms % 1000 * 1000000L;
	for (;;) {
		struct pollfd p = {.fd = irq, .events = POLLIN};
		uint64_t count;
		long left;

		if (take_used(g, q, head, len))
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = (end.tv_sec - now.tv_sec) * 1000 + (end.tv_nsec - now.tv_nsec) / 1000000;
		if (left < 0)
			return false;
		if (poll(&p, 1, (int)left) <= 0)
			return false; /* not even if it's there: the interrupt was due */
		if (read(irq, &count, sizeof(count)) < 0)
			return false;
	}
}

int guest_wait_used(struct guest *g, struct guest_queue *q, uint32_t *len)
{
	uint32_t head;

	if (!wait_used(g, q, g->irqs[q == &g->control ? 1 : 2], CLIENT_TIMEOUT_MS, &head, len))
		return -1;
	return (int)head;
}

int guest_request(struct guest *g, uint32_t type, uint32_t process, uint32_t code, void *args,
		  uint32_t args_size, const void *in, uint32_t in_size, void *out,
		  uint32_t *out_size)
{
	uint32_t capacity = out_size ? *out_size : 0;
	struct hsv_request request = {type, process, code, args_size, in_size, capacity, 0};
	struct hsv_response response;
	uint8_t *to = g->ram + REQUEST_BUFFER, *from = g->ram + REPLY_BUFFER;
	uint32_t len, write_size = (uint32_t)sizeof(response) + args_size + capacity;

	memcpy(to, &request, sizeof(request));
	if (args_size)
		memcpy(to + sizeof(request), args, args_size);
	if (in_size)
		memcpy(to + sizeof(request) + args_size, in, in_size);
	memset(from, 0xee, write_size);
	if (g->features >> VIRTIO_RING_F_INDIRECT_DESC & 1) {
		/* The header apart, as a driver with scattered buffers has it. */
		put_desc(g, INDIRECT_TABLE, 0, REQUEST_BUFFER, sizeof(request), VRING_DESC_F_NEXT,
			 1);
		put_desc(g, INDIRECT_TABLE, 1, REQUEST_BUFFER + sizeof(request),
			 args_size + in_size, VRING_DESC_F_NEXT, 2);
		if (args_size + in_size == 0)
			put_desc(g, INDIRECT_TABLE, 0, REQUEST_BUFFER, sizeof(request),
				 VRING_DESC_F_NEXT, 2);
		put_desc(g, INDIRECT_TABLE, 2, REPLY_BUFFER, write_size, VRING_DESC_F_WRITE, 0);
		guest_desc(g, 0, INDIRECT_TABLE, 3 * 16, VRING_DESC_F_INDIRECT, 0);
	} else {
		guest_desc(g, 0, REQUEST_BUFFER, (uint32_t)sizeof(request) + args_size + in_size,
			   VRING_DESC_F_NEXT, 1);
		guest_desc(g, 1, REPLY_BUFFER, write_size, VRING_DESC_F_WRITE, 0);
	}
	guest_offer(g, &g->control, 0);
	if (guest_kick(g, HSV_QUEUE_CONTROL))
		return -EPIPE;
	if (guest_wait_used(g, &g->control, &len) != 0)
		return -ETIMEDOUT;
	memcpy(&response, from, sizeof(response));
	if (len != sizeof(response) + response.args_size + response.out_size ||
	    response.args_size > args_size || response.out_size > capacity)
		return -EPROTO;
	if (response.args_size)
		memcpy(args, from + sizeof(response), response.args_size);
	if (response.out_size)
		memcpy(out, from + sizeof(response) + response.args_size, response.out_size);
	if (out_size)
		*out_size = response.out_size;
	return -(int)response.error;
}

bool guest_event(struct guest *g, struct hsv_event *event, int timeout_ms)
{
	uint32_t head, len;

	if (!wait_used(g, &g->event, g->irqs[2], timeout_ms, &head, &len) ||
	    len != sizeof(*event) || head >= GUEST_BUFFERS)
		return false;
	memcpy(event, g->ram + EVENT_BUFFERS + head * EVENT_STRIDE, sizeof(*event));
	guest_offer(g, &g->event, (uint16_t)head);
	return true;
}

bool guest_next_event(struct guest *g, struct hsv_event *event)
{
	do
		if (!guest_event(g, event, CLIENT_TIMEOUT_MS))
			return false;
	while (event->type == HSV_EVENT_PARK);
	return true;
}
