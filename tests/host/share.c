// SPDX-License-Identifier: MIT
/*
 * share.c - programs under the preload front end that share: the tenant's quota, and buffers by IPC handles and dma-bufs; bad input first.
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include "abi/kfd_ipc.h"
#include "tests/host/cases.h"

static void case_quota_shared(void)
{
	uint8_t *va = anonymous(128ul << 20);
	uint64_t handle;
	int pipes[2];
	char c;
	pid_t pid;

	CHECK(!pipe(pipes));
	start();
	CHECK(!alloc(va, 40ul << 20, F(VRAM) | WRITABLE, &handle, NULL));
	pid = fork();
	if (!pid) {
		start();
		FAILS(alloc(va, 40ul << 20, F(VRAM) | WRITABLE, &handle, NULL), ENOMEM);
		CHECK(!alloc(va, 20ul << 20, F(VRAM) | WRITABLE, &handle, NULL));
		CHECK(write(pipes[1], "x", 1) == 1);
		_exit(0);
	}
	CHECK(read(pipes[0], &c, 1) == 1);
	CHECK(finish(pid) == 0);
	/* The child is gone, and its share with it. */
	for (int i = 0; i < 1500; i++) {
		if (!alloc(va + (64ul << 20), 24ul << 20, F(VRAM) | WRITABLE, &handle, NULL))
			return;
		usleep(20000);
	}
	CHECK(!"the child's VRAM came back");
}

static uint8_t *map_buffer(uint64_t offset, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, render, (off_t)offset);

	CHECK(p != MAP_FAILED);
	return p;
}

static int export_ipc(uint64_t handle, uint32_t flags, uint32_t key[4])
{
	struct kfd_ioctl_ipc_export_handle_args a = {.handle = handle, .gpu_id = gpu_id, .flags = flags};
	int n = ioctl(kfd, AMDKFD_IOC_IPC_EXPORT_HANDLE, &a);

	memcpy(key, a.share_handle, sizeof(a.share_handle));
	return n;
}

static int import_ipc(const uint32_t key[4], uint64_t va, struct kfd_ioctl_ipc_import_handle_args *a)
{
	*a = (struct kfd_ioctl_ipc_import_handle_args){.va_addr = va, .gpu_id = gpu_id};
	memcpy(a->share_handle, key, sizeof(a->share_handle));
	return ioctl(kfd, AMDKFD_IOC_IPC_IMPORT_HANDLE, a);
}

static int export_dmabuf(uint64_t handle, uint32_t flags)
{
	struct kfd_ioctl_export_dmabuf_args a = {.handle = handle, .flags = flags};

	return ioctl(kfd, AMDKFD_IOC_EXPORT_DMABUF, &a) ? -1 : (int)a.dmabuf_fd;
}

static int import_dmabuf(int fd, uint64_t va, uint64_t *handle)
{
	struct kfd_ioctl_import_dmabuf_args a = {.va_addr = va, .gpu_id = gpu_id, .dmabuf_fd = (uint32_t)fd};
	int n = ioctl(kfd, AMDKFD_IOC_IMPORT_DMABUF, &a);

	*handle = a.handle;
	return n;
}

#define SHARE_VA 0x600000000000ull

/* From here on no descriptor can be opened. */
static void no_more_files(void)
{
	struct rlimit limit;
	int next = dup(0);

	CHECK(next > 0 && !close(next) && !getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)next;
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
}

static void case_share_ipc(void)
{
	struct kfd_ioctl_ipc_import_handle_args i;
	uint64_t handle, user, offset;
	uint32_t key[4], again[4];
	uint8_t *p;
	pid_t pid;

	start();
	user_memory(PAGE, &user);
	FAILS(export_ipc(user, 0, key), EPERM);
	FAILS(export_ipc(12345, 0, key), EINVAL);
	CHECK(!alloc((void *)SHARE_VA, 4 * PAGE, F(VRAM) | F(PUBLIC) | WRITABLE, &handle, &offset));
	p = map_buffer(offset, 4 * PAGE);
	memset(p, 0xa5, 4 * PAGE);
	CHECK(!export_ipc(handle, 0x77, key));
	CHECK(!export_ipc(handle, 0, again) && !memcmp(key, again, sizeof(key)));
	pid = fork();
	if (!pid) {
		uint8_t *mine;

		start();
		again[1] ^= 1;
		FAILS(import_ipc(again, SHARE_VA, &i), EINVAL);
		FAILS(import_ipc(key, SHARE_VA + 1, &i), EINVAL);
		CHECK(!import_ipc(key, SHARE_VA + 16 * PAGE, &i) && i.flags == 0x77);
		CHECK(!map_gpu(i.handle, true));
		FAILS(free_gpu(i.handle), EBUSY);
		mine = map_buffer(i.mmap_offset, 4 * PAGE);
		CHECK(mine[0] == 0xa5 && mine[4 * PAGE - 1] == 0xa5);
		memset(mine, 0x3c, 4 * PAGE);
		CHECK(!map_gpu(i.handle, false));
		CHECK(!munmap(mine, 4 * PAGE));
		CHECK(!free_gpu(i.handle));
		no_more_files();
		FAILS(import_ipc(key, SHARE_VA, &i), EMFILE);
		CHECK(fcntl(0, F_GETFD) >= 0);
		_exit(0);
	}
	CHECK(finish(pid) == 0);
	CHECK(p[0] == 0x3c && p[4 * PAGE - 1] == 0x3c);
	/* Freed, the handle is nothing any more, and the memory can be had again. */
	CHECK(!munmap(p, 4 * PAGE));
	CHECK(!free_gpu(handle));
	FAILS(import_ipc(key, SHARE_VA, &i), EINVAL);
	CHECK(!alloc((void *)SHARE_VA, 60ul << 20, F(VRAM) | WRITABLE, &handle, NULL));
}

static void case_share_dmabuf(void)
{
	struct kfd_ioctl_ipc_import_handle_args i;
	struct kfd_ioctl_get_dmabuf_info_args info = {0};
	uint64_t handle, gtt, user, theirs, offset, gtt_offset;
	int fd, fd2, pipes[2], back[2];
	uint32_t key[4];
	uint8_t *p, *g;
	pid_t pid;
	char c;

	start();
	user_memory(PAGE, &user);
	FAILS(export_dmabuf(user, 0), EPERM);
	FAILS(export_dmabuf(4711, 0), EINVAL);
	CHECK(!alloc((void *)SHARE_VA, 40ul << 20, F(VRAM) | F(PUBLIC) | WRITABLE, &handle, &offset));
	CHECK(!alloc((void *)(SHARE_VA + (64ul << 20)), 2 * PAGE, F(GTT) | WRITABLE, &gtt, &gtt_offset));
	p = map_buffer(offset, PAGE);
	g = map_buffer(gtt_offset, PAGE);
	*p = 1;
	*g = 2;
	fd = export_dmabuf(handle, O_CLOEXEC);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	fd2 = export_dmabuf(gtt, 0);
	CHECK(fd2 >= 0 && fcntl(fd2, F_GETFD) == 0);
	info.dmabuf_fd = (uint32_t)kfd;
	FAILS(ioctl(kfd, AMDKFD_IOC_GET_DMABUF_INFO, &info), EINVAL);
	info.dmabuf_fd = 9999;
	FAILS(ioctl(kfd, AMDKFD_IOC_GET_DMABUF_INFO, &info), EBADF);
	info.dmabuf_fd = (uint32_t)fd;
	info.metadata_size = 64;
	CHECK(!ioctl(kfd, AMDKFD_IOC_GET_DMABUF_INFO, &info));
	CHECK(info.size == 40ul << 20 && info.gpu_id == gpu_id && info.flags & F(VRAM) && !info.metadata_size);
	info.dmabuf_fd = (uint32_t)fd2;
	CHECK(!ioctl(kfd, AMDKFD_IOC_GET_DMABUF_INFO, &info));
	CHECK(info.size == 2 * PAGE && info.flags & F(GTT));
	CHECK(!pipe(pipes) && !pipe(back));
	pid = fork();
	if (!pid) {
		uint8_t *mine;

		start();
		FAILS(import_dmabuf(pipes[0], SHARE_VA, &theirs), EINVAL);
		CHECK(!import_dmabuf(fd2, SHARE_VA + (64ul << 20), &theirs));
		CHECK(!map_gpu(theirs, true));
		CHECK(!import_dmabuf(fd, SHARE_VA, &theirs));
		close(fd);
		close(fd2);
		/* What is imported can be exported. */
		CHECK(!export_ipc(theirs, 0, key));
		CHECK(!import_ipc(key, SHARE_VA + (128ul << 20), &i));
		mine = map_buffer(i.mmap_offset, PAGE);
		CHECK(*mine == 1);
		*mine = 3;
		CHECK(write(pipes[1], "x", 1) == 1);
		CHECK(read(back[0], &c, 1) == 1); /* the parent has freed its own */
		CHECK(*mine == 3);
		_exit(0);
	}
	CHECK(read(pipes[0], &c, 1) == 1);
	CHECK(*p == 3);
	CHECK(!munmap(p, PAGE) && !munmap(g, PAGE));
	CHECK(!free_gpu(handle) && !free_gpu(gtt));
	close(fd);
	close(fd2);
	/* 40 of 64 MiB are still the child's. */
	FAILS(alloc((void *)SHARE_VA, 40ul << 20, F(VRAM) | WRITABLE, &handle, NULL), ENOMEM);
	CHECK(write(back[1], "y", 1) == 1);
	CHECK(finish(pid) == 0);
	/* The daemon learns of its end by and by. */
	for (int n = 0; alloc((void *)SHARE_VA, 40ul << 20, F(VRAM) | WRITABLE, &handle, &offset); n++) {
		CHECK(n < 1500);
		usleep(20000);
	}
	p = map_buffer(offset, PAGE);
	CHECK(*p == 0);
}

/* What a dma-buf says of itself is another process's word. The parts of this one are much larger than the whole, but for a sum that is beyond 2^64. */
static void case_share_forged(void)
{
	const uint64_t huge = (1ull << 63) - PAGE;
	struct {
		uint64_t magic, size;
		uint32_t flags, num_extents, rest[2];
		uint64_t metadata_flags, tiling;
		uint32_t metadata_size, metadata[65];
		struct {
			uint64_t offset, size;
		} extents[3];
	} ticket, right;
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {&ticket, sizeof(ticket)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
	int fd, ends[2], file = memfd_create("forged", MFD_CLOEXEC);
	uint64_t handle;

	start();
	CHECK(!alloc((void *)SHARE_VA, PAGE, F(VRAM) | WRITABLE, &handle, NULL));
	fd = export_dmabuf(handle, O_CLOEXEC);
	CHECK(fd >= 0 && recv(fd, &ticket, sizeof(ticket), MSG_PEEK) == (ssize_t)offsetof(__typeof__(ticket), extents[1]));
	right = ticket;
	ticket.num_extents = 3;
	for (int i = 0; i < 3; i++) {
		ticket.extents[i].offset = 0;
		ticket.extents[i].size = i ? huge : 64 * PAGE;
	}
	ticket.size = 64 * PAGE + huge + huge;
	CHECK(ticket.size == 62 * PAGE);
	CHECK(file >= 0 && !ftruncate(file, (off_t)huge) && !socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	control.align = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.align), &file, sizeof(file));
	CHECK(sendmsg(ends[0], &msg, 0) == sizeof(ticket));
	FAILS(import_dmabuf(ends[1], SHARE_VA + (64ul << 20), &handle), EINVAL);
	CHECK(recv(ends[1], &ticket, sizeof(ticket), 0) == sizeof(ticket));
	/* More metadata than there is room for, and as much. */
	iov.iov_len = offsetof(__typeof__(ticket), extents[1]);
	for (uint32_t size = 257; size >= 256; size--) {
		ticket = right;
		ticket.metadata_size = size;
		CHECK(sendmsg(ends[0], &msg, 0) == (ssize_t)iov.iov_len);
		if (size == 256)
			CHECK(!import_dmabuf(ends[1], SHARE_VA + (64ul << 20), &handle));
		else
			FAILS(import_dmabuf(ends[1], SHARE_VA + (64ul << 20), &handle), EINVAL);
		CHECK(recv(ends[1], &ticket, sizeof(ticket), 0) == (ssize_t)iov.iov_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(quota_shared), CASE(share_ipc), CASE(share_dmabuf), CASE(share_forged)};

	return cmocka_run_group_tests_name("host-share", tests, NULL, NULL);
}
