// SPDX-License-Identifier: MIT
/*
 * guest-ioctls - /dev/kfd by raw ioctls: bad input first, then what each must do. Buffers and their
 * mappings too; events have a program of their own (guest-events).
 */
#include "kfd.h"

#include <pthread.h>

static void numbers(void)
{
	struct kfd_ioctl_get_version_args version = {0};
	char big[8192];

	for (unsigned nr = 0x27; nr < 256; nr++)
		if (nr != 0x80 && nr != 0x81) /* IPC handles */
			EXPECT(kfd_call(kfd, _IOWR('K', nr, struct kfd_ioctl_get_version_args), &version), -ENOTTY);
	/* What amdkfd refuses by name. */
	for (unsigned nr = 0x0d; nr <= 0x10; nr++)
		EXPECT(kfd_call(kfd, _IOW('K', nr, struct kfd_ioctl_get_version_args), &version), -EPERM);
	EXPECT(kfd_call(kfd, _IOWR('K', 0, struct kfd_ioctl_get_version_args), &version), -ENOTTY);
	EXPECT(kfd_call(kfd, _IO('d', 1), NULL), -ENOTTY);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_VERSION, NULL), -EFAULT);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_CREATE_QUEUE, (void *)8), -EFAULT);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_VERSION, &version), 0);
	CHECK(version.major_version == 1 && version.minor_version >= 14);
	/* A caller that knows less of the struct, and one that knows more. */
	version.minor_version = 77;
	EXPECT(kfd_call(kfd, RESIZED(AMDKFD_IOC_GET_VERSION, 4), &version), 0);
	CHECK(version.minor_version == 77);
	memset(big, 0x5a, sizeof(big));
	EXPECT(kfd_call(kfd, RESIZED(AMDKFD_IOC_GET_VERSION, sizeof(big)), big), 0);
	CHECK(big[0] == 1 && big[100] == 0x5a);
}

static void every_row_with_nonsense(void)
{
	/*
	 * Each number the driver knows, with structs full of ones, of zeros, and too short: an
	 * errno, and never the wrong one.
	 */
	static const unsigned skip[] = {0x01, 0x0c};
	uint8_t args[256];

	for (unsigned nr = 1; nr < 0x27; nr++) {
		for (int fill = 0; fill < 3; fill++) {
			bool skipped = false;
			long err;

			for (size_t i = 0; i < sizeof(skip) / sizeof(skip[0]); i++)
				skipped |= skip[i] == nr;
			/*
			 * SET_TRAP_HANDLER, ACQUIRE_VM and RUNTIME_ENABLE change the process;
			 * that's what the child is for.
			 */
			if (skipped)
				continue;
			memset(args, fill == 1 ? 0xff : 0, sizeof(args));
			err = kfd_call(kfd,
				       _IOC(_IOC_READ | _IOC_WRITE, 'K', nr, fill == 2 ? 1 : 128),
				       args);
			if (err && err != -EINVAL && err != -ENOTTY && err != -EFAULT &&
			    err != -ENOMEM && err != -ENODEV && err != -EBUSY && err != -EPERM &&
			    err != -EOPNOTSUPP && err != -ESRCH && err != -ENOENT && err != -EBADF)
				fail_at(__FILE__, __LINE__, "ioctl %#x, fill %d: %s", nr, fill,
					strerror((int)-err));
		}
	}
}

static void nonsense(void)
{
	kfd_start();
	every_row_with_nonsense();
}

static void nonsense_in_child(void)
{
	in_child(nonsense);
}

static void vm_part(void)
{
	struct buffer b;
	int other = open_drm(), null = open("/dev/null", O_RDWR);

	gpu_id = find_gpu();
	kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);
	EXPECT(gpu_alloc(&b, VRAM, reserve(PAGE), PAGE, 0), -ENODEV);
	EXPECT(acquire(kfd, -1, gpu_id), -EINVAL);
	EXPECT(acquire(kfd, 1000000, gpu_id), -EINVAL);
	EXPECT(acquire(kfd, null, gpu_id), -EINVAL);
	EXPECT(acquire(kfd, kfd, gpu_id), -EINVAL);
	EXPECT(acquire(kfd, other, gpu_id + 1), -EINVAL);
	EXPECT(acquire(kfd, other, gpu_id), 0);
	EXPECT(acquire(kfd, other, gpu_id), 0);
	EXPECT(acquire(kfd, dup(other), gpu_id), 0);
	EXPECT(acquire(kfd, open_drm(), gpu_id), -EBUSY);
	/* The one of the parent is the parent's. */
	close(kfd);
	kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);
	EXPECT(acquire(kfd, drm, gpu_id), -EBUSY);
	EXPECT(gpu_alloc(&b, VRAM, reserve(PAGE), PAGE, 0), 0);
	EXPECT(gpu_free(b.handle), 0);
}

static void foreign_vm_part(void)
{
	int stolen = drm;

	kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);
	EXPECT(acquire(kfd, stolen, gpu_id), -EINVAL);
}

static void vm(void)
{
	in_child(vm_part);
	in_child(foreign_vm_part);
}

static void inherited_part(void)
{
	struct kfd_ioctl_get_version_args version;
	long err;

	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_VERSION, &version), -EBADF);
	map_fd(kfd, 3ull << 62 | (uint64_t)gpu_id << 46, 8192, MAP_SHARED, &err);
	EXPECT(err, -EBADF);
}

static void inherited(void)
{
	in_child(inherited_part);
}

static void bad_buffers(void)
{
	uint64_t va = reserve(16 * PAGE);
	uint8_t *user =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *ro = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t id = gpu_id;
	struct buffer b;

	EXPECT(gpu_alloc(&b, VRAM, va, 0, 0), -EINVAL);
	EXPECT(gpu_alloc(&b, 0, va, PAGE, 0), -EINVAL);
	EXPECT(gpu_alloc(&b, KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, va, PAGE, 0), -EINVAL);
	EXPECT(gpu_alloc(&b, VRAM | GTT, va, PAGE, 0), -EINVAL);
	EXPECT(gpu_alloc(&b, USERPTR | 1u << 16, (uintptr_t)user, PAGE, (uintptr_t)user), -EINVAL);
	EXPECT(gpu_alloc(&b, VRAM, va, 1ull << 46, 0), -ENOMEM);
	EXPECT(gpu_alloc(&b, GTT, va, 1ull << 46, 0), -ENOMEM);
	EXPECT(gpu_alloc(&b, VRAM, va, ~0ull, 0), -EINVAL);
	EXPECT(gpu_alloc(&b, GTT, va, ~0ull << 12, 0), -EINVAL);
	CHECK(gpu_alloc(&b, USERPTR, va, 1ull << 46, va) < 0);
	EXPECT(gpu_alloc(&b, USERPTR, va, PAGE, 0), -EINVAL);
	EXPECT(gpu_alloc(&b, USERPTR, va, PAGE, (uintptr_t)user + 1), -EINVAL);
	EXPECT(gpu_alloc(&b, USERPTR, va, PAGE, va), -EFAULT);
	EXPECT(gpu_alloc(&b, USERPTR, va, PAGE, 0xffffffff80000000), -EFAULT);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)ro, PAGE, (uintptr_t)ro), -EFAULT);
	munmap(user + 2 * PAGE, PAGE);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)user, 4 * PAGE, (uintptr_t)user), -EFAULT);
	gpu_id = id + 1;
	EXPECT(gpu_alloc(&b, VRAM, va, PAGE, 0), -EINVAL);
	gpu_id = id;
	EXPECT(gpu_free(0), -EINVAL);
	EXPECT(gpu_free(~0ull), -EINVAL);
	EXPECT(gpu_free((uint64_t)gpu_id << 32 | 99999), -EINVAL);
	/* amdkfd's errno for a handle it doesn't know. */
	EXPECT(gpu_map((uint64_t)gpu_id << 32 | 99999, true), -ENOMEM);
	munmap(user, 4 * PAGE);
	CHECK(pinned_pages() == 0);
}

/* VRAM and GTT behave alike for the program. */
static void buffer_life(uint32_t flags)
{
	uint64_t size = 40 * PAGE, va = reserve(size);
	struct buffer b, second;
	int other = open_drm();
	uint8_t *p;
	long err;

	EXPECT(gpu_alloc(&b, flags, va, size, 0), 0);
	CHECK(b.handle >> 32 == gpu_id && b.offset && !(b.offset % PAGE));
	map_fd(drm, b.offset, size + PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	map_fd(drm, 0, PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	map_fd(drm, 1ull << 50, PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	map_fd(drm, b.offset, size, MAP_PRIVATE, &err);
	EXPECT(err, -EINVAL);
	map_fd(other, b.offset, size, MAP_SHARED, &err);
	EXPECT(err, -EACCES);
	close(other);

	p = map_fd(drm, b.offset, size, MAP_SHARED, &err);
	EXPECT(err, 0);
	if (!p)
		return;
	for (uint64_t i = 0; i < size; i++)
		if (p[i]) {
			fail_at(__FILE__, __LINE__, "byte %llu of a new buffer is not zero",
				(unsigned long long)i);
			break;
		}
	memset(p, 0xa5, size);
	munmap(p, size);
	/* A part of it, and what was written is there. */
	p = map_fd(drm, b.offset + 39 * PAGE, PAGE, MAP_SHARED, &err);
	EXPECT(err, 0);
	CHECK(p && p[0] == 0xa5 && p[PAGE - 1] == 0xa5);

	EXPECT(gpu_map(b.handle, true), 0);
	EXPECT(gpu_free(b.handle), -EBUSY);
	CHECK(p && touch(p) == 0);
	EXPECT(gpu_map(b.handle, false), 0);
	EXPECT(gpu_free(b.handle), 0);
	EXPECT(gpu_free(b.handle), -EINVAL);
	CHECK(p && touch(p) == SIGBUS);
	map_fd(drm, b.offset, size, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	/* What another buffer gets is clean. */
	EXPECT(gpu_alloc(&second, flags, va, size, 0), 0);
	if (p)
		munmap(p, PAGE);
	p = map_fd(drm, second.offset, size, MAP_SHARED, &err);
	CHECK(p && p[39 * PAGE] == 0);
	if (p)
		munmap(p, size);
	EXPECT(gpu_free(second.handle), 0);
}

static void vram_life(void)
{
	buffer_life(VRAM);
}

static void gtt_life(void)
{
	buffer_life(GTT);
}

static void unaligned_size(void)
{
	uint64_t va = reserve(2 * PAGE);
	struct buffer b = {0};

	EXPECT(gpu_alloc(&b, GTT, va, PAGE + 1, 0), 0);
	CHECK(b.size == PAGE + 1);
	EXPECT(gpu_free(b.handle), 0);
}

static void quota(void)
{
	struct kfd_ioctl_get_available_memory_args available = {.gpu_id = gpu_id};
	struct buffer b[64];
	uint64_t before, size;
	int n = 0;
	long err = 0;

	EXPECT(kfd_call(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &available), 0);
	before = available.available;
	CHECK(before > 0);
	size = before / 32 & ~(PAGE - 1);
	while (n < 64 && !(err = gpu_alloc(&b[n], VRAM, reserve(size), size, 0)))
		n++;
	EXPECT(err, -ENOMEM);
	CHECK(n >= 30 && n <= 33);
	while (n)
		EXPECT(gpu_free(b[--n].handle), 0);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &available), 0);
	CHECK(available.available == before);
}

/* Far more extents than a message has: every other page of a region is taken by somebody else. */
static void many_extents(void)
{
	uint64_t size = 128ull << 20;
	uint8_t *p =
		mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *q;
	struct buffer b;

	CHECK(p != MAP_FAILED);
	madvise(p, 2 * size, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < 2 * size; i += PAGE)
		p[i] = (uint8_t)(i >> 12);
	/* Pages in an order that no two neighbours keep: odd ones moved behind each other. */
	q = (uint8_t *)reserve(size);
	for (uint64_t i = 0; i < size / PAGE; i++)
		if (mremap(p + 2 * i * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			   q + i * PAGE) == MAP_FAILED) {
			/* The limit of mappings; what was moved is enough. */
			size = i * PAGE;
			break;
		}
	CHECK(size >= 30000 * PAGE);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)q, size, (uintptr_t)q), 0);
	EXPECT(gpu_map(b.handle, true), 0);
	EXPECT(gpu_map(b.handle, false), 0);
	EXPECT(gpu_free(b.handle), 0);
	CHECK(pinned_pages() == 0);
	munmap(p, 256ull << 20);
	munmap(q, 128ull << 20);
}

static void userptr_changes_part(void)
{
	uint64_t size = 64 * PAGE;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		*moved;
	struct buffer b;
	pid_t pid;

	kfd_start();
	memset(p, 1, size);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)p, size, (uintptr_t)p), 0);
	EXPECT(gpu_map(b.handle, true), 0);
	/* Each changes what the addresses mean while the GPU may use them. */
	EXPECT(madvise(p, size, MADV_DONTNEED), 0);
	CHECK(p[5 * PAGE] == 0);
	p[5 * PAGE] = 3;
	for (int i = 0; i < 50; i++) {
		madvise(p + (i % 64) * PAGE, PAGE, MADV_DONTNEED);
		p[(i % 64) * PAGE] = (uint8_t)i;
	}
	/*
	 * A fork copies; the parent's pages stay the ones that are pinned, and both see their own.
	 */
	p[0] = 42;
	pid = fork();
	if (pid == 0) {
		p[0] = 43;
		_exit(p[0] == 43 ? 0 : 1);
	}
	waitpid(pid, NULL, 0);
	CHECK(p[0] == 42);
	EXPECT(mprotect(p, size, PROT_READ), 0);
	EXPECT(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
	moved = mremap(p, size / 2, size / 2, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)reserve(size));
	CHECK(moved != MAP_FAILED && moved[0] == 42);
	munmap(p + size / 2, PAGE);
	msleep(50);
	EXPECT(gpu_map(b.handle, false), 0);
	EXPECT(gpu_free(b.handle), 0);
	/* And the program's memory is whole. */
	moved[0] = 7;
	CHECK(moved[0] == 7);
}

static void userptr_changes(void)
{
	in_child(userptr_changes_part);
	CHECK(pinned_pages() == 0);
}

/* Ends with everything allocated, mapped and pinned. */
static void leave_all_part(void)
{
	struct buffer b = {0};
	uint64_t size = 300 * PAGE;
	long err;

	kfd_start();
	for (int i = 0; i < 20; i++) {
		uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);

		EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)p, size, (uintptr_t)p), 0);
		EXPECT(gpu_map(b.handle, true), 0);
		EXPECT(gpu_alloc(&b, GTT, reserve(size), size, 0), 0);
		EXPECT(gpu_map(b.handle, true), 0);
		p = map_fd(drm, b.offset, size, MAP_SHARED, &err);
		if (p)
			memset(p, 1, size);
		EXPECT(gpu_alloc(&b, VRAM, reserve(size), size, 0), 0);
		EXPECT(gpu_map(b.handle, true), 0);
		p = map_fd(drm, b.offset, size, MAP_SHARED, &err);
		if (p)
			memset(p, 1, size);
	}
}

static void leave_all(void)
{
	struct kfd_ioctl_get_available_memory_args available = {.gpu_id = gpu_id};
	uint64_t before;

	EXPECT(kfd_call(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &available), 0);
	before = available.available;
	for (int i = 0; i < 5; i++)
		in_child(leave_all_part);
	CHECK(pinned_pages() == 0);
	for (int i = 0; i < 100 && available.available != before; i++)
		kfd_call(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &available);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &available), 0);
	CHECK(available.available == before);
}

static void kfd_maps(void)
{
	uint64_t gpu = (uint64_t)gpu_id << 46, doorbell = 3ull << 62 | gpu;
	volatile uint64_t *p, *q;
	pid_t pid;
	int status;
	long err;

	map_fd(kfd, doorbell, PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	map_fd(kfd, doorbell, 4 * PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	map_fd(kfd, doorbell, 2 * PAGE, MAP_PRIVATE, &err);
	EXPECT(err, -EINVAL);
	map_fd(kfd, 3ull << 62 | (uint64_t)(gpu_id + 1) << 46, 2 * PAGE, MAP_SHARED, &err);
	EXPECT(err, -ENODEV);
	map_fd(kfd, gpu, 2 * PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	map_fd(kfd, 1ull << 62 | gpu, PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	map_fd(kfd, 2ull << 62, PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);

	p = map_fd(kfd, doorbell, 2 * PAGE, MAP_SHARED, &err);
	EXPECT(err, 0);
	q = map_fd(kfd, doorbell, 2 * PAGE, MAP_SHARED, &err);
	EXPECT(err, 0);
	if (p && q) {
		/* Doorbells of no queue are just memory, the same in both mappings. */
		p[1000] = 0x123456789abcdef0;
		CHECK(q[1000] == 0x123456789abcdef0);
		fflush(stdout);
		pid = fork();
		if (pid == 0)
			_exit(touch((uint8_t *)p) == SIGSEGV ? 0 : 1);
		CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
		munmap((void *)p, 2 * PAGE);
		munmap((void *)q, 2 * PAGE);
	}
	p = map_fd(kfd, gpu, PAGE, MAP_SHARED, &err);
	EXPECT(err, 0);
	CHECK(p && p[0] == 0);
	if (p)
		p[0] = 1;
	p = map_fd(kfd, 1ull << 62 | gpu, 2 * PAGE, MAP_SHARED, &err);
	EXPECT(err, 0);
	CHECK(p && p[1] == 0);
}

static void doorbells_apart_part(void)
{
	volatile uint64_t *p;
	long err;

	kfd_start();
	p = map_fd(kfd, 3ull << 62 | (uint64_t)gpu_id << 46, 2 * PAGE, MAP_SHARED, &err);
	EXPECT(err, 0);
	CHECK(p && p[1000] == 0);
	if (p)
		p[1000] = 99;
}

static void doorbells_apart(void)
{
	volatile uint64_t *p;
	long err;

	p = map_fd(kfd, 3ull << 62 | (uint64_t)gpu_id << 46, 2 * PAGE, MAP_SHARED, &err);
	EXPECT(err, 0);
	if (!p)
		return;
	p[1000] = 5;
	in_child(doorbells_apart_part);
	in_child(doorbells_apart_part);
	CHECK(p[1000] == 5);
	munmap((void *)p, 2 * PAGE);
}

static void clocks(void)
{
	struct kfd_ioctl_get_clock_counters_args a = {.gpu_id = gpu_id}, b = {.gpu_id = gpu_id},
						 bad = {.gpu_id = gpu_id + 1};
	double cpu, gpu;

	/* Another gpu_id is a node without a GPU, whose clock stands still. */
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_CLOCK_COUNTERS, &bad), 0);
	CHECK(bad.gpu_clock_counter == 0);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_CLOCK_COUNTERS, &a), 0);
	msleep(200);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_CLOCK_COUNTERS, &b), 0);
	CHECK(a.system_clock_freq == 1000000000);
	cpu = (double)(b.system_clock_counter - a.system_clock_counter) / 1e9;
	gpu = (double)(b.gpu_clock_counter - a.gpu_clock_counter) / 1e8;
	CHECK(cpu > 0.19 && cpu < 5);
	/*
	 * Two clocks that tell the same time: emulation may make a call take long, so not too
	 * closely.
	 */
	CHECK(gpu > cpu / 2 && gpu < cpu * 2 + 0.2);
}

static void apertures(void)
{
	struct kfd_process_device_apertures ap[4];
	struct kfd_ioctl_get_process_apertures_new_args args = {.kfd_process_device_apertures_ptr =
									(uintptr_t)ap};

	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &args), 0);
	CHECK(args.num_of_nodes == 1);
	args.num_of_nodes = 4;
	memset(ap, 0xee, sizeof(ap));
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &args), 0);
	CHECK(args.num_of_nodes == 1 && ap[0].gpu_id == gpu_id && ap[0].gpuvm_base &&
	      ap[1].gpu_id == 0xeeeeeeee);
	args.num_of_nodes = 1;
	args.kfd_process_device_apertures_ptr = 8;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &args), -EFAULT);
	args.num_of_nodes = 0xffffffff;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &args), -ENOMEM);
}

static void map_arguments(void)
{
	uint64_t va = reserve(PAGE);
	uint32_t ids[2] = {gpu_id, gpu_id + 1};
	struct kfd_ioctl_map_memory_to_gpu_args args = {.device_ids_array_ptr = (uintptr_t)ids,
							.n_devices = 0};
	struct buffer b = {0};

	EXPECT(gpu_alloc(&b, VRAM, va, PAGE, 0), 0);
	args.handle = b.handle;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &args), -EINVAL);
	args.n_devices = 0xffffffff;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &args), -ENOMEM);
	args.n_devices = 1;
	args.device_ids_array_ptr = 8;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &args), -EFAULT);
	args.device_ids_array_ptr = (uintptr_t)&ids[1];
	EXPECT(kfd_call(kfd, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &args), -EINVAL);
	EXPECT(gpu_free(b.handle), 0);
}

static void svm_part(void)
{
	uint64_t size = 64 * PAGE;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct {
		struct kfd_ioctl_svm_args args;
		struct kfd_ioctl_svm_attribute attr[2];
	} svm = {.args = {.start_addr = (uintptr_t)p,
			  .size = size,
			  .op = KFD_IOCTL_SVM_OP_SET_ATTR,
			  .nattr = 2}};
	unsigned long cmd = RESIZED(AMDKFD_IOC_SVM, sizeof(svm.args) + sizeof(svm.attr));

	kfd_start();
	svm.attr[0] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, gpu_id};
	svm.attr[1] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_SET_FLAGS,
						       KFD_IOCTL_SVM_FLAG_COHERENT};
	svm.args.nattr = 3;
	EXPECT(kfd_call(kfd, cmd, &svm), -EINVAL);
	svm.args.nattr = 0xffffffff;
	EXPECT(kfd_call(kfd, cmd, &svm), -ENOMEM);
	svm.args.nattr = 2;
	svm.args.start_addr++;
	EXPECT(kfd_call(kfd, cmd, &svm), -EINVAL);
	svm.args.start_addr--;
	svm.args.size = 0;
	EXPECT(kfd_call(kfd, cmd, &svm), -EINVAL);
	svm.args.size = ~0ull << 12;
	EXPECT(kfd_call(kfd, cmd, &svm), -EINVAL);
	svm.args.size = size / 2;
	EXPECT(kfd_call(kfd, cmd, &svm), 0);
	/* The neighbour shares a page with it, as two allocations of malloc() do. */
	svm.args.start_addr += size / 2 - PAGE;
	svm.args.size = size / 2 + PAGE;
	EXPECT(kfd_call(kfd, cmd, &svm), 0);
	svm.args.start_addr = (uintptr_t)p;
	svm.args.size = size;
	EXPECT(kfd_call(kfd, cmd, &svm), 0);
	CHECK(pinned_pages() == (long)(size / PAGE));
	/* The range goes with its addresses. */
	munmap(p, size);
	for (int i = 0; i < 100 && vmstat("nr_foll_pin_acquired") != vmstat("nr_foll_pin_released");
	     i++)
		pinned_pages();
	CHECK(pinned_pages() == 0);
	EXPECT(kfd_call(kfd, cmd, &svm), -EFAULT);
}

static long pinned_now(void)
{
	FILE *f = fopen("/proc/sys/vm/stat_refresh", "w");

	if (f) {
		fputs("1\n", f);
		fclose(f);
	}
	return vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released");
}

/* An address range that is unmapped, mapped and named again at once is a range again. */
static void svm_again_part(void)
{
	uint64_t size = 16 * PAGE;
	uint8_t *p = (uint8_t *)reserve(size), *q;
	struct {
		struct kfd_ioctl_svm_args args;
		struct kfd_ioctl_svm_attribute attr;
	} svm;
	unsigned long cmd = RESIZED(AMDKFD_IOC_SVM, sizeof(svm));

	kfd_start();
	for (int i = 0; i < 60 && !test_failures; i++) {
		q = mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0);
		CHECK(q == p);
		svm.args = (struct kfd_ioctl_svm_args){.start_addr = (uintptr_t)p,
						       .size = size,
						       .op = KFD_IOCTL_SVM_OP_SET_ATTR,
						       .nattr = 1};
		svm.attr = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE,
							    gpu_id};
		EXPECT(kfd_call(kfd, cmd, &svm), 0);
		if (i % 4 == 3) {
			msleep(20);
			EXPECT(pinned_now(), 16);
		}
		munmap(p, size);
		for (volatile int k = 0; k < i * 500; k++)
			;
	}
}

static long svm_access(void *p, uint64_t size)
{
	struct {
		struct kfd_ioctl_svm_args args;
		struct kfd_ioctl_svm_attribute attr;
	} svm = {.args = {.start_addr = (uintptr_t)p, .size = size, .op = KFD_IOCTL_SVM_OP_SET_ATTR, .nattr = 1},
		 .attr = {KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, gpu_id}};

	return kfd_call(kfd, RESIZED(AMDKFD_IOC_SVM, sizeof(svm)), &svm);
}

static bool pinned_becomes(long pages)
{
	for (int i = 0; i < 100 && pinned_now() != pages; i++)
		msleep(20);
	return pinned_now() == pages;
}

/* The middle of a range is unmapped: the rest stays, and what comes there anew can be named. */
static void svm_hole_part(void)
{
	uint64_t size = 16 * PAGE;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *middle = p + 4 * PAGE;
	struct buffer b = {0};

	kfd_start();
	EXPECT(svm_access(p, size), 0);
	CHECK(pinned_becomes(16));
	munmap(middle, 4 * PAGE);
	CHECK(pinned_becomes(12));
	EXPECT(svm_access(p, size), -EFAULT);
	EXPECT(svm_access(p, 4 * PAGE), 0);
	EXPECT(gpu_alloc(&b, VRAM, (uintptr_t)middle, 4 * PAGE, 0), 0); /* there is room for a buffer */
	EXPECT(gpu_free(b.handle), 0);
	CHECK(mmap(middle, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == middle);
	EXPECT(svm_access(p, size), 0);
	CHECK(pinned_becomes(16));
	for (int i = 0; i < 20; i++) { /* at once, too */
		munmap(middle, 4 * PAGE);
		EXPECT(gpu_alloc(&b, VRAM, (uintptr_t)middle, 4 * PAGE, 0), 0);
		EXPECT(gpu_free(b.handle), 0);
		CHECK(mmap(middle, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == middle);
		EXPECT(svm_access(p, size), 0);
	}
	for (int i = 0; i < 20; i++) { /* what is put there by something else is not the range's, a part or all of it */
		uint8_t *part = i % 4 ? middle : p;
		uint64_t part_size = i % 4 ? 4 * PAGE : size;

		munmap(part, part_size);
		CHECK(mmap(part, part_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) == part);
		EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)part, part_size, (uintptr_t)part), 0);
		EXPECT(gpu_free(b.handle), 0);
		EXPECT(svm_access(p, size), 0);
	}
	CHECK(pinned_becomes(16));
	munmap(p, size);
	CHECK(pinned_becomes(0));
	EXPECT(svm_access(p, size), -EFAULT);
}

static uint8_t *same_range;
static int same_failed;

static void *name_range(void *unused)
{
	if (svm_access(same_range, 64ul << 20))
		__atomic_add_fetch(&same_failed, 1, __ATOMIC_RELAXED);
	return unused;
}

/* Many threads name the same range at once: its pages are pinned once, not by each. */
static void svm_threads_part(void)
{
	pthread_t threads[24];
	int n = 0;

	kfd_start();
	same_range = mmap(NULL, 64ul << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 24; i++)
		n += !pthread_create(&threads[n], NULL, name_range, NULL);
	CHECK(n == 24);
	while (n)
		pthread_join(threads[--n], NULL);
	CHECK(same_failed == 0);
	CHECK(pinned_becomes((64l << 20) / (long)PAGE));
}

static void svm(void)
{
	in_child(svm_part);
	in_child(svm_hole_part);
	in_child(svm_threads_part);
	in_child(svm_again_part);
	CHECK(pinned_pages() == 0);
}

/* More programs at once than there are GPU processes. */
static void too_many(void)
{
	enum { N = 300 };
	int go[2], up[2], opened = 0, refused = 0;
	pid_t pids[N];
	char result;

	CHECK(pipe(go) == 0 && pipe(up) == 0);
	fflush(stdout);
	for (int i = 0; i < N; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(go[1]);
			result = open("/dev/kfd", O_RDWR) >= 0 ? 'y' : errno == ENOSPC ? 'n' : 'x';
			if (write(up[1], &result, 1) != 1 || read(go[0], &result, 1) != 0)
				_exit(1);
			_exit(0);
		}
	}
	for (int i = 0; i < N; i++) {
		if (read(up[0], &result, 1) != 1)
			break;
		opened += result == 'y';
		refused += result == 'n';
	}
	close(go[1]);
	for (int i = 0; i < N; i++)
		waitpid(pids[i], NULL, 0);
	CHECK(opened >= 200 && opened <= 256);
	CHECK(opened + refused == N);
	/* And all of them are free again. */
	in_child(leave_all_part);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
	}
	close(go[0]);
}

int main(void)
{
	static const struct test tests[] = {
		{"numbers and sizes of ioctls", numbers},
		{"every ioctl with nonsense", nonsense_in_child},
		{"ACQUIRE_VM", vm},
		{"an inherited descriptor is refused", inherited},
		{"bad buffers", bad_buffers},
		{"life of a VRAM buffer", vram_life},
		{"life of a GTT buffer", gtt_life},
		{"a size that is no page multiple", unaligned_size},
		{"VRAM quota", quota},
		{"arguments of MAP_MEMORY_TO_GPU", map_arguments},
		{"USERPTR of very many extents", many_extents},
		{"USERPTR pages that change", userptr_changes},
		{"SVM ranges", svm},
		{"mappings of /dev/kfd", kfd_maps},
		{"doorbells of programs are apart", doorbells_apart},
		{"clocks", clocks},
		{"apertures", apertures},
		{"all is freed at exit", leave_all},
		{"more programs than GPU processes", too_many},
	};

	kfd_start();
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
