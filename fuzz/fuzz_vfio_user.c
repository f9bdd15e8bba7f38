// SPDX-License-Identifier: MIT
/*
 * fuzz_vfio_user.c - messages of a vfio-user client, with descriptors, to the real server and device.
 *
 * Input: a list of messages. Each begins with a command byte, a byte of flags (how it is framed, how many descriptors of
 * which kind come with it) and a length; then follows its payload. A session is opened by VERSION unless the first byte
 * says not to. The server runs in this thread: it is polled after each message, and answers are read and checked.
 */
#include "fuzz/input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/device.h"
#include "vmm/vfio_user.h"
#include "vmm/vfio_user_proto.h"

#define VRAM	     (4u << 20)
#define MAX_MESSAGES 40
#define MAX_FDS	     12

enum { SPLIT = 1, WRONG_SIZE = 2, NO_REPLY = 4, ODD_FLAGS = 8, FDS_SHIFT = 4 };

static char dir[] = "/tmp/fuzz-vfio-user-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct vfio_user_server *server;
static struct hsv_device *device;
static struct gpu *gpu;
static int kinds[6]; /* descriptors a client may send */

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void clean_up(void)
{
	vfio_user_server_close(server);
	hsv_device_close(device);
	gpu_close(gpu);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct gpu_config gpu_config = {.target = "gfx90a", .threads = 1};
	static struct arbiter_counters counters;
	struct hsv_device_config config = {.num_gpus = 1, .gpus = {{.vram_size = VRAM, .counters = &counters}}};
	int pipes[2];

	MUST(mkdtemp(dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir);
	config.vram_fd = memfd_create("vram", MFD_CLOEXEC);
	MUST(config.vram_fd >= 0 && !ftruncate(config.vram_fd, VRAM));
	MUST(!gpu_open(&gpu_config, &gpu));
	config.gpus[0].gpu = gpu;
	MUST(!hsv_device_open(&config, &device));
	MUST(!vfio_user_server_open(address.sun_path, &hsv_device_vfio_ops, device, &server));
	kinds[0] = memfd_create("ram", MFD_CLOEXEC);
	kinds[1] = memfd_create("small", MFD_CLOEXEC);
	kinds[2] = eventfd(0, EFD_CLOEXEC);
	kinds[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
	MUST(!ftruncate(kinds[0], 1 << 20) && !ftruncate(kinds[1], 100) && !pipe2(pipes, O_CLOEXEC));
	kinds[4] = pipes[0];
	kinds[5] = pipes[1];
	log_enabled("vmm", LOG_WARN); /* opens its file now */
	atexit(clean_up);
	return 0;
}

/* Reads answers: each must be a well-formed reply. False: the server hung up. */
static bool read_replies(int sock)
{
	static uint8_t stream[2 * VFIO_USER_MAX_XFER];
	size_t have = 0;

	for (;;) {
		char control[CMSG_SPACE(sizeof(int) * MAX_FDS)];
		struct iovec iov = {stream + have, sizeof(stream) - have};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				     .msg_controllen = sizeof(control)};
		struct vfio_user_header header;
		ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT);

		for (struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL; c; c = CMSG_NXTHDR(&msg, c)) {
			int fd;

			MUST(c->cmsg_len == CMSG_LEN(sizeof(fd)));
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			close(fd);
		}
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return false;
		if (n < 0) {
			MUST(errno == EAGAIN);
			MUST(have == 0);
			return true;
		}
		have += (size_t)n;
		while (have >= sizeof(header)) {
			memcpy(&header, stream, sizeof(header));
			MUST((header.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_REPLY);
			MUST(header.size >= sizeof(header) && header.size <= sizeof(stream));
			MUST(!header.error == !(header.flags & VFIO_USER_ERROR));
			if (have < header.size)
				break;
			have -= header.size;
			memmove(stream, stream + header.size, have);
		}
	}
}

static bool send_bytes(int sock, const void *data, size_t size, const int *fds, unsigned num_fds)
{
	char control[CMSG_SPACE(sizeof(int) * MAX_FDS)] = {0};
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (num_fds) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * num_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * num_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * num_fds);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}

/* The payload of a command: in the shape the protocol has it for half of them, so that mutations stay near it. */
static size_t payload(struct input *in, unsigned command, uint8_t *to)
{
	static const uint8_t sizes[VFIO_USER_NUM_COMMANDS] = {
		[VFIO_USER_DMA_MAP] = 32,		   [VFIO_USER_DMA_UNMAP] = 24,
		[VFIO_USER_DEVICE_GET_INFO] = 16,	   [VFIO_USER_DEVICE_GET_REGION_INFO] = 32,
		[VFIO_USER_DEVICE_GET_REGION_IO_FDS] = 16, [VFIO_USER_DEVICE_GET_IRQ_INFO] = 16,
		[VFIO_USER_DEVICE_SET_IRQS] = 20,	   [VFIO_USER_REGION_READ] = 16,
		[VFIO_USER_REGION_WRITE] = 16};
	size_t fixed = command < VFIO_USER_NUM_COMMANDS ? sizes[command] : 0, more = 0;
	struct vfio_user_region_access *access = (void *)to;

	switch (command) {
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		access->offset = take_number(in);
		access->region = take8(in);
		access->count = (uint32_t)take_number(in);
		if (command == VFIO_USER_REGION_WRITE)
			more = access->count <= VFIO_USER_MAX_XFER ? access->count : 64;
		break;
	case VFIO_USER_DMA_MAP:
	case VFIO_USER_DMA_UNMAP: {
		uint32_t head[2] = {32, take8(in)};
		uint64_t words[3] = {take_number(in), take_number(in), take_number(in)};

		memcpy(to, head, sizeof(head));
		memcpy(to + sizeof(head), words, fixed - sizeof(head));
		break;
	}
	default:
		more = fixed + take8(in);
		fixed = 0;
	}
	/* Data beyond the input's end is zeroes; long ones cost nothing then. */
	take(in, to + fixed, more);
	return fixed + more;
}

static bool one_message(struct input *in, int sock)
{
	static _Alignas(8) uint8_t bytes[sizeof(struct vfio_user_header) + VFIO_USER_MAX_XFER + 1024];
	uint8_t command = take8(in), flags = take8(in);
	unsigned num_fds = flags >> FDS_SHIFT;
	struct vfio_user_header header = {.id = 7, .command = command % 20};
	size_t size, first;
	int fds[MAX_FDS];

	size = sizeof(header) + payload(in, header.command, bytes + sizeof(header));
	header.size = (uint32_t)size;
	if (flags & WRONG_SIZE)
		header.size += (uint32_t)take_number(in);
	if (flags & NO_REPLY)
		header.flags = VFIO_USER_NO_REPLY;
	if (flags & ODD_FLAGS)
		header.flags ^= take8(in);
	memcpy(bytes, &header, sizeof(header));
	if (num_fds > MAX_FDS)
		num_fds = 1;
	for (unsigned i = 0; i < num_fds; i++)
		fds[i] = kinds[take8(in) % 6];
	first = flags & SPLIT ? 1 + take8(in) % (size - 1) : size;
	if (!send_bytes(sock, bytes, first, fds, num_fds))
		return false;
	vfio_user_server_poll(server);
	if (first < size) {
		if (!send_bytes(sock, bytes + first, size - first, fds, flags & 64 ? num_fds : 0))
			return false;
		vfio_user_server_poll(server);
	}
	hsv_device_publish(device);
	return read_replies(sock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t version[] = {1, 0, 1, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	struct input in = {data, size};
	unsigned fds = count_fds();
	int sock, listener, client;
	bool up;

	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(sock >= 0 && !connect(sock, (struct sockaddr *)&address, sizeof(address)));
	vfio_user_server_poll(server);
	up = true;
	if (take8(&in) % 8) {
		send_bytes(sock, version, sizeof(version), NULL, 0);
		vfio_user_server_poll(server);
		up = read_replies(sock);
		MUST(up);
	}
	for (unsigned i = 0; i < MAX_MESSAGES && in.left && up; i++)
		up = one_message(&in, sock);
	close(sock);
	/* All of the client is gone, with its descriptors. */
	for (unsigned i = 0; i < 4; i++)
		vfio_user_server_poll(server);
	vfio_user_server_fds(server, &listener, &client);
	MUST(client < 0);
	MUST(count_fds() == fds);
	return 0;
}
