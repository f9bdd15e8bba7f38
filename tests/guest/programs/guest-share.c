// SPDX-License-Identifier: MIT
/*
 * guest-share - buffers that two processes of a guest have: dma-bufs and IPC handles, errors first; what each writes the other sees, the memory outlives its
 * maker, and nothing is left of it.
 */
#include "abi/kfd_ipc.h"
#include "kfd.h"

#define SIZE (4 * PAGE)

static long export_dmabuf(uint64_t handle, uint32_t flags, int *fd)
{
	struct kfd_ioctl_export_dmabuf_args a = {.handle = handle, .flags = flags};
	long err = kfd_call(kfd, AMDKFD_IOC_EXPORT_DMABUF, &a);

	*fd = err ? -1 : (int)a.dmabuf_fd;
	return err;
}

static long import_dmabuf(int fd, uint64_t va, uint64_t *handle)
{
	struct kfd_ioctl_import_dmabuf_args a = {.va_addr = va, .gpu_id = gpu_id, .dmabuf_fd = (uint32_t)fd};
	long err = kfd_call(kfd, AMDKFD_IOC_IMPORT_DMABUF, &a);

	*handle = a.handle;
	return err;
}

static long dmabuf_info(int fd, struct kfd_ioctl_get_dmabuf_info_args *a)
{
	*a = (struct kfd_ioctl_get_dmabuf_info_args){.dmabuf_fd = (uint32_t)fd, .metadata_size = 64};
	return kfd_call(kfd, AMDKFD_IOC_GET_DMABUF_INFO, a);
}

static long export_ipc(uint64_t handle, uint32_t key[4])
{
	struct kfd_ioctl_ipc_export_handle_args a = {.handle = handle, .gpu_id = gpu_id, .flags = 0x5a};
	long err = kfd_call(kfd, AMDKFD_IOC_IPC_EXPORT_HANDLE, &a);

	memcpy(key, a.share_handle, sizeof(a.share_handle));
	return err;
}

static long import_ipc(const uint32_t key[4], uint64_t va, struct buffer *b)
{
	struct kfd_ioctl_ipc_import_handle_args a = {.va_addr = va, .gpu_id = gpu_id};
	long err;

	memcpy(a.share_handle, key, sizeof(a.share_handle));
	err = kfd_call(kfd, AMDKFD_IOC_IPC_IMPORT_HANDLE, &a);
	if (!err)
		CHECK(a.flags == 0x5a);
	*b = (struct buffer){a.handle, a.mmap_offset, SIZE, va};
	return err;
}

static uint64_t vram_free(void)
{
	struct kfd_ioctl_get_available_memory_args a = {.gpu_id = gpu_id};

	EXPECT(kfd_call(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &a), 0);
	return a.available;
}

static uint8_t *show(const struct buffer *b)
{
	long err;
	uint8_t *p = map_fd(drm, b->offset, SIZE, MAP_SHARED, &err);

	EXPECT(err, 0);
	return p;
}

static void test_errors(void)
{
	struct kfd_ioctl_get_dmabuf_info_args info;
	uint32_t key[4] = {1, 2, 3, 4};
	struct buffer user = {0}, vram = {0}, none;
	uint64_t handle;
	int fd, other;
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT(export_dmabuf(12345, 0, &fd), -EINVAL);
	EXPECT(gpu_alloc(&user, USERPTR, (uintptr_t)page, PAGE, (uintptr_t)page), 0);
	EXPECT(export_dmabuf(user.handle, 0, &fd), -EPERM);
	EXPECT(export_ipc(user.handle, key), -EPERM);
	EXPECT(import_ipc(key, reserve(SIZE), &none), -EINVAL);
	EXPECT(dmabuf_info(kfd, &info), -EINVAL);
	EXPECT(dmabuf_info(9999, &info), -EBADF);
	EXPECT(import_dmabuf(9999, reserve(SIZE), &handle), -EBADF);
	EXPECT(import_dmabuf(kfd, reserve(SIZE), &handle), -EINVAL);
	EXPECT(gpu_alloc(&vram, VRAM, reserve(SIZE), SIZE, 0), 0);
	EXPECT(export_dmabuf(vram.handle, O_CLOEXEC, &fd), 0);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	EXPECT(import_dmabuf(fd, 1, &handle), -EINVAL);
	gpu_id++;
	EXPECT(import_dmabuf(fd, reserve(SIZE), &handle), -EINVAL);
	EXPECT(export_ipc(vram.handle, key), -EINVAL);
	gpu_id--;
	EXPECT(dmabuf_info(fd, &info), 0);
	CHECK(info.size == SIZE && info.gpu_id == gpu_id && !info.metadata_size && info.flags & KFD_IOC_ALLOC_MEM_FLAGS_VRAM);
	other = open("/dev/null", O_RDONLY);
	EXPECT(dmabuf_info(other, &info), -EINVAL);
	close(other);
	close(fd);
	EXPECT(gpu_free(vram.handle), 0);
	EXPECT(gpu_free(user.handle), 0);
}

/* The child's part: @fd (or the key in a pipe's packet) is what it has of the parent's buffer. */
static void importer(int fd, const uint32_t *key, int out, int in)
{
	struct buffer b = {0};
	uint64_t first = 0;
	uint8_t *p = NULL;
	int again;
	char c;

	kfd_start();
	if (fd >= 0) {
		/* A dma-buf has no place to mmap: what is imported from it has one by way of an IPC handle. */
		uint32_t own[4];

		EXPECT(import_dmabuf(fd, reserve(SIZE), &first), 0);
		EXPECT(gpu_map(first, true), 0);
		EXPECT(gpu_free(first), -EBUSY);
		EXPECT(export_dmabuf(first, 0, &again), 0);
		close(again);
		EXPECT(export_ipc(first, own), 0);
		EXPECT(import_ipc(own, reserve(SIZE), &b), 0);
		close(fd);
	} else {
		EXPECT(import_ipc(key, reserve(SIZE), &b), 0);
		EXPECT(gpu_map(b.handle, true), 0);
		EXPECT(gpu_map(b.handle, false), 0);
	}
	p = show(&b);
	if (p) {
		CHECK(p[0] == 0xa5 && p[SIZE - 1] == 0xa5);
		memset(p, 0x3c, SIZE);
	}
	CHECK(write(out, "w", 1) == 1);
	CHECK(read(in, &c, 1) == 1); /* the parent has freed its own */
	if (p)
		CHECK(p[0] == 0x77 && p[SIZE - 1] == 0x77);
}

static void with_child(bool dmabuf)
{
	uint64_t before = vram_free();
	int out[2], in[2], fd = -1, status;
	struct buffer b = {0};
	uint32_t key[4];
	uint8_t *p;
	pid_t pid;
	char c;

	CHECK(!pipe(out) && !pipe(in));
	EXPECT(gpu_alloc(&b, VRAM, reserve(SIZE), SIZE, 0), 0);
	p = show(&b);
	if (!p)
		return;
	memset(p, 0xa5, SIZE);
	if (dmabuf)
		EXPECT(export_dmabuf(b.handle, 0, &fd), 0);
	else
		EXPECT(export_ipc(b.handle, key), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		test_failures = 0;
		importer(fd, key, out[1], in[0]);
		fflush(stdout);
		_exit(test_failures ? 1 : 0);
	}
	close(out[1]); /* a child that fails ends the wait */
	if (fd >= 0)
		close(fd);
	CHECK(read(out[0], &c, 1) == 1);
	CHECK(p[0] == 0x3c && p[SIZE - 1] == 0x3c);
	memset(p, 0x77, SIZE);
	munmap(p, SIZE);
	EXPECT(gpu_free(b.handle), 0);
	CHECK(vram_free() == before - SIZE); /* the child has it */
	CHECK(write(in[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
	for (int i = 0; i < 100 && vram_free() != before; i++)
		msleep(50);
	CHECK(vram_free() == before);
	close(out[0]);
	close(in[0]);
	close(in[1]);
}

static void test_dmabuf(void)
{
	with_child(true);
}

static void test_ipc(void)
{
	with_child(false);
}

static void test_gtt(void)
{
	struct kfd_ioctl_get_dmabuf_info_args info;
	struct buffer b = {0}, ipc;
	uint64_t handle;
	uint32_t key[4];
	uint8_t *p;
	int fd;

	EXPECT(gpu_alloc(&b, GTT, reserve(SIZE), SIZE, 0), 0);
	EXPECT(export_ipc(b.handle, key), -EINVAL);
	EXPECT(export_dmabuf(b.handle, 0, &fd), 0);
	EXPECT(dmabuf_info(fd, &info), 0);
	CHECK(info.size == SIZE && info.flags == KFD_IOC_ALLOC_MEM_FLAGS_GTT);
	p = show(&b);
	EXPECT(gpu_free(b.handle), 0);
	if (p)
		CHECK(touch(p) == SIGBUS); /* of the buffer; its pages live on */
	EXPECT(import_dmabuf(fd, reserve(SIZE), &handle), 0);
	EXPECT(gpu_map(handle, true), 0);
	EXPECT(gpu_map(handle, false), 0);
	EXPECT(gpu_free(handle), 0);
	close(fd);
	EXPECT(import_ipc(key, reserve(SIZE), &ipc), -EINVAL);
}

/* Over and over, ended in all orders. */
static void test_many(void)
{
	uint64_t before = vram_free(), handle[8];
	struct buffer b = {0};
	int fd[4];

	for (int round = 0; round < 50; round++) {
		EXPECT(gpu_alloc(&b, VRAM, reserve(SIZE), SIZE, 0), 0);
		for (int i = 0; i < 4; i++)
			EXPECT(export_dmabuf(b.handle, O_CLOEXEC, &fd[i]), 0);
		for (int i = 0; i < 8; i++)
			EXPECT(import_dmabuf(fd[i % 4], reserve(SIZE), &handle[i]), 0);
		if (round % 2)
			EXPECT(gpu_free(b.handle), 0);
		for (int i = 0; i < 4; i++)
			close(fd[(i + round) % 4]);
		for (int i = 0; i < 8; i++)
			EXPECT(gpu_free(handle[(i + round) % 8]), 0);
		if (!(round % 2))
			EXPECT(gpu_free(b.handle), 0);
	}
	CHECK(vram_free() == before);
}

int main(void)
{
	static const struct test tests[] = {
		{"errors", test_errors},
		{"a dma-buf shared with a child", test_dmabuf},
		{"an IPC handle given to a child", test_ipc},
		{"a dma-buf of system memory", test_gtt},
		{"many, ended in all orders", test_many},
	};

	kfd_start();
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
