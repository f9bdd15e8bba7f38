// SPDX-License-Identifier: MIT
/*
 * client.c - a program that uses the KFD interface raw, as it finds it under the preload front end:
 * bad input first, then what must work.
 *
 * Each case runs in a child of its own, which opens the devices afresh: so each also shows that a
 * fork child can. With arguments this is a helper of a case or of run-under: see main().
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <poll.h>
#include <linux/kfd_ioctl.h>
#include <drm/amdgpu_drm.h>
#include <drm/drm.h>

#include "abi/kfd_ipc.h"
#include "tests/host/cases.h"

#define WILD ((void *)0x7ffffffff000)

/* ------------------------------------------------------------------ a queue */

static void make_queue(struct queue *q)
{
	uint64_t handle;

	create_queue(q, kfd, gpu_id, user_memory(2 * PAGE, &handle));
}

static void barrier(struct queue *q, struct signal *dep, struct signal *done)
{
	barrier_at(q, (uintptr_t)dep, (uintptr_t)done);
}

/* ------------------------------------------------------------------ cases */

/* What programs built before glibc 2.33 call. */
int old_stat(int version, const char *path, struct stat *st);
int old_fstat(int version, int fd, struct stat *st);
__asm__(".symver old_stat, __xstat@GLIBC_2.2.5");
__asm__(".symver old_fstat, __fxstat@GLIBC_2.2.5");

static void case_paths(void)
{
	static const char *const files[] = {
		"/sys/class/kfd/kfd/topology/system_properties",
		"/sys/devices/virtual/kfd/kfd/topology/nodes/1/gpu_id",
		"//sys/class//kfd/./kfd/topology/generation_id",
		"/sys/class/kfd/kfd/topology/nodes/1/../0/gpu_id",
		"/sys/module/amdgpu/initstate",
		"/sys/dev/char/226:128/device/vendor",
	};
	char text[4096], resolved[PATH_MAX];
	struct stat st;
	struct dirent *e;
	bool seen = false;
	FILE *f;
	DIR *d;
	int fd;

	FAILS(open("/sys/class/kfd/kfd/topology/nodes/7/gpu_id", O_RDONLY), ENOENT);
	FAILS(open("/dev/dri/card0", O_RDWR), EACCES);
	FAILS(open("/dev/kfd2", O_RDWR), ENOENT);
	FAILS(access("/sys/class/kfdx", F_OK), ENOENT);
	CHECK(!opendir("/sys/class/kfd/none") && errno == ENOENT);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		f = fopen(files[i], "r");
		CHECK(f && fgets(text, sizeof(text), f));
		fclose(f);
		fd = open(files[i], O_RDONLY);
		CHECK(fd >= 0 && read(fd, text, sizeof(text)) > 0);
		close(fd);
		CHECK(!access(files[i], R_OK) && !stat(files[i], &st) && S_ISREG(st.st_mode));
	}
	CHECK(!stat("/dev/kfd", &st) && S_ISCHR(st.st_mode));
	CHECK(!lstat("/dev/dri/renderD128", &st) && S_ISCHR(st.st_mode));
	CHECK(st.st_rdev == makedev(226, 128));
	open_devices();
	CHECK(!fstat(render, &st) && st.st_rdev == makedev(226, 128) && S_ISCHR(st.st_mode));
	d = opendir("/sys/dev/char/226:128/device/drm");
	CHECK(d);
	while ((e = readdir(d)))
		seen |= !strcmp(e->d_name, "card0");
	closedir(d);
	CHECK(seen);
	f = fopen("/proc/modules", "re");
	CHECK(f && fgets(text, sizeof(text), f) && !strncmp(text, "amdgpu ", 7));
	fclose(f);
	CHECK(realpath("/sys/class/kfd/kfd/topology", resolved) &&
	      !strcmp(resolved, "/sys/class/kfd/kfd/topology"));
	CHECK(!old_stat(1, "/dev/kfd", &st) && S_ISCHR(st.st_mode));
	CHECK(!old_fstat(1, render, &st) && st.st_rdev == makedev(226, 128));
	CHECK(!old_stat(1, "/dev/null", &st) && st.st_rdev == makedev(1, 3));
	/* And what isn't ours is as ever. */
	CHECK(!stat("/dev/null", &st) && st.st_rdev == makedev(1, 3));
	CHECK(!access("/proc/self/status", R_OK));
}

static void case_bad_ioctls(void)
{
	struct kfd_ioctl_get_version_args v = {.minor_version = 77};
	uint64_t garbage[32];
	uint32_t seed = 5;

	start();
	FAILS(ioctl(kfd, _IOWR('X', 1, v), &v), ENOTTY);
	FAILS(ioctl(kfd, AMDKFD_IOWR(0x7f, v), &v), ENOTTY);
	FAILS(ioctl(kfd, AMDKFD_IOC_CRIU_OP, &v), ENOTTY);
	FAILS(ioctl(kfd, AMDKFD_IOC_GET_VERSION, NULL), EFAULT);
	FAILS(ioctl(kfd, AMDKFD_IOC_CREATE_QUEUE, WILD), EFAULT);
	FAILS(ioctl(render, DRM_IOCTL_VERSION, WILD), EFAULT);
	FAILS(ioctl(render, DRM_IOCTL_GEM_CLOSE, &v), EINVAL);
	FAILS(ioctl(render, AMDKFD_IOC_GET_VERSION, &v), ENOTTY);
	/* A caller that knows only half of a struct gets half. */
	CHECK(!ioctl(kfd, _IOR(AMDKFD_IOCTL_BASE, 1, uint32_t), &v));
	CHECK(v.major_version == 1 && v.minor_version == 77);
	/* Nonsense in every ioctl, of every size: an error or an answer. WAIT_EVENTS (0x0c) may
	 * wait. */
	for (int round = 0; round < 4000; round++) {
		unsigned nr, size;

		for (int i = 0; i < 32; i++) {
			seed = seed * 1664525 + 1013904223;
			garbage[i] = seed & 1 ? 0 : seed & 2 ? seed >> 8 : (uint64_t)seed << 20;
		}
		nr = 1 + (seed >> 10) % 0x30;
		size = (seed >> 16) % sizeof(garbage);
		if (nr != 0x0c)
			ioctl(kfd, _IOC(_IOC_READ | _IOC_WRITE, AMDKFD_IOCTL_BASE, nr, size),
			      garbage);
	}
}

static void case_drm(void)
{
	struct drm_amdgpu_info_device dev = {0};
	struct drm_amdgpu_info info = {
		.query = AMDGPU_INFO_DEV_INFO,
		.return_pointer = (uintptr_t)&dev,
		.return_size = sizeof(dev),
	};
	char name[16] = "";
	struct drm_version v = {.name = name, .name_len = sizeof(name) - 1};

	open_devices();
	CHECK(!ioctl(render, DRM_IOCTL_VERSION, &v));
	CHECK(v.version_major == 3 && !strcmp(name, "amdgpu") && v.name_len == 6);
	info.return_pointer = (uintptr_t)WILD;
	FAILS(ioctl(render, DRM_IOCTL_AMDGPU_INFO, &info), EFAULT);
	info.return_pointer = 0;
	FAILS(ioctl(render, DRM_IOCTL_AMDGPU_INFO, &info), EINVAL);
	info.return_pointer = (uintptr_t)&dev;
	info.query = 0x9999;
	FAILS(ioctl(render, DRM_IOCTL_AMDGPU_INFO, &info), EINVAL);
	info.query = AMDGPU_INFO_DEV_INFO;
	CHECK(!ioctl(render, DRM_IOCTL_AMDGPU_INFO, &info));
	CHECK(dev.family == AMDGPU_FAMILY_AI && dev.gpu_counter_freq == 100000);
}

static void case_acquire(void)
{
	struct kfd_ioctl_acquire_vm_args a = {.gpu_id = 0x6873};
	uint64_t handle;
	int other;

	open_devices();
	gpu_id = 0x6873;
	FAILS(alloc((void *)0x10000000, PAGE, F(VRAM) | WRITABLE, &handle, NULL), ENODEV);
	for (uint32_t bad = 0; bad < 3; bad++) {
		static const uint32_t fds[] = {UINT32_MAX, 0, 999};

		a.drm_fd = fds[bad];
		FAILS(ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &a), EINVAL);
	}
	a.drm_fd = (uint32_t)kfd;
	FAILS(ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &a), EINVAL);
	a.drm_fd = (uint32_t)dup(render); /* libdrm keeps a duplicate */
	CHECK(!ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &a));
	a.drm_fd = (uint32_t)render;
	CHECK(!ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &a));
	other = open("/dev/dri/renderD128", O_RDWR);
	a.drm_fd = (uint32_t)other;
	FAILS(ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &a), EBUSY);
}

static void case_memory(void)
{
	const uint32_t kinds[] = {F(VRAM), F(GTT)};
	uint64_t handle, offset, svm = 1u << 16;
	uint8_t *p, *q;

	start();
	p = anonymous(4 * PAGE);
	CHECK(!munmap(p + 2 * PAGE, PAGE));
	FAILS(alloc(p, 4 * PAGE, F(USERPTR) | WRITABLE, &handle, NULL), EFAULT);
	FAILS(alloc(p + 1, PAGE, F(USERPTR) | WRITABLE, &handle, NULL), EINVAL);
	FAILS(alloc(p, PAGE, F(USERPTR) | WRITABLE | (uint32_t)svm, &handle, NULL), EINVAL);
	CHECK(!mprotect(p, PAGE, PROT_READ));
	FAILS(alloc(p, PAGE, F(USERPTR) | WRITABLE, &handle, NULL), EFAULT);
	CHECK(!alloc(p, PAGE, F(USERPTR), &handle, NULL));
	CHECK(!free_gpu(handle));
	FAILS(free_gpu(handle), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, render, 0), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, render, 1l << 60), EINVAL);
	for (int k = 0; k < 2; k++) {
		void *va = anonymous(4 * PAGE);

		CHECK(!alloc(va, 4 * PAGE, kinds[k] | WRITABLE | F(PUBLIC), &handle, &offset));
		FAILS(mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, render, (off_t)offset), EINVAL);
		FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, render, (off_t)(offset + 4 * PAGE)),
		      EINVAL);
		FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, render, (off_t)offset), EINVAL);
		CHECK(mmap(va, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_FIXED, render,
			   (off_t)offset) == va); /* an old thunk's way */
		p = mmap(va, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, render,
			 (off_t)offset);
		CHECK(p == va);
		for (size_t i = 0; i < 4 * PAGE; i++)
			CHECK(!p[i]);
		q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, render, (off_t)(offset + 2 * PAGE));
		CHECK(q != MAP_FAILED);
		p[2 * PAGE] = 9;
		CHECK(q[0] == 9);
		CHECK(!map_gpu(handle, true));
		FAILS(free_gpu(handle), EBUSY);
		CHECK(!map_gpu(handle, false));
		CHECK(!free_gpu(handle));
		FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, render, (off_t)offset), EINVAL);
	}
}

static void case_fragmented_vram(void)
{
	const size_t piece = 1 << 20;
	uint64_t h[64], big, offset;
	uint8_t *p, *va = anonymous(160 * piece);
	int n;

	start();
	/* The quota is 64 MiB (run-under): all of it, then every other piece back. */
	for (n = 0; n < 64; n++)
		CHECK(!alloc(va + (size_t)n * piece, piece, F(VRAM) | WRITABLE, &h[n], NULL));
	FAILS(alloc(va + 64 * piece, PAGE, F(VRAM) | WRITABLE, &big, NULL), ENOMEM);
	for (n = 0; n < 64; n += 2)
		CHECK(!free_gpu(h[n]));
	CHECK(!alloc(va + 64 * piece, 20 * piece, F(VRAM) | WRITABLE, &big, &offset));
	p = mmap(NULL, 20 * piece, PROT_READ | PROT_WRITE, MAP_SHARED, render, (off_t)offset);
	CHECK(p != MAP_FAILED);
	for (n = 0; n < 20; n++)
		p[(size_t)n * piece + 5] = (uint8_t)(n + 1);
	p = mmap(NULL, 3 * piece, PROT_READ, MAP_SHARED, render, (off_t)(offset + 7 * piece));
	CHECK(p != MAP_FAILED && p[5] == 8 && p[piece + 5] == 9 && p[2 * piece + 5] == 10);
}

static void case_mmap_kfd(void)
{
	const off_t doorbells = (off_t)(3ull << 62 | 0x6873ull << 46);

	start();
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, kfd, doorbells), EINVAL);
	FAILS(mmap(NULL, DOORBELLS, PROT_READ, MAP_SHARED, kfd, (off_t)(3ull << 62)), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, kfd, (off_t)(2ull << 62)), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, kfd, (off_t)(1ull << 62 | 0x6873ull << 46)),
	      EINVAL);
	CHECK(mmap(NULL, DOORBELLS, PROT_READ | PROT_WRITE, MAP_SHARED, kfd, doorbells) !=
	      MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, kfd, (off_t)(0x6873ull << 46)) !=
	      MAP_FAILED);
}

static void case_events(void)
{
	struct kfd_ioctl_create_event_args c = {.event_type = KFD_IOC_EVENT_SIGNAL,
						.auto_reset = 1};
	struct kfd_ioctl_wait_events_args w = {.num_events = 1, .timeout = 20};
	struct kfd_event_data data = {.event_id = 99};
	struct kfd_ioctl_set_event_args s;
	uint64_t handle, offset;
	void *va = anonymous(8 * PAGE);

	start();
	w.events_ptr = (uintptr_t)WILD;
	FAILS(ioctl(kfd, AMDKFD_IOC_WAIT_EVENTS, &w), EFAULT);
	w.events_ptr = (uintptr_t)&data;
	FAILS(ioctl(kfd, AMDKFD_IOC_WAIT_EVENTS, &w), EINVAL);
	w.num_events = UINT32_MAX;
	FAILS(ioctl(kfd, AMDKFD_IOC_WAIT_EVENTS, &w), ENOMEM);
	w.num_events = 1;
	c.event_page_offset = 12345;
	FAILS(ioctl(kfd, AMDKFD_IOC_CREATE_EVENT, &c), EINVAL);
	CHECK(!alloc(va, PAGE, F(GTT) | WRITABLE, &handle, NULL));
	c.event_page_offset = handle; /* too small */
	FAILS(ioctl(kfd, AMDKFD_IOC_CREATE_EVENT, &c), EINVAL);
	CHECK(!free_gpu(handle));
	CHECK(!alloc(va, 8 * PAGE, F(GTT) | WRITABLE, &handle, &offset));
	c.event_page_offset = handle;
	CHECK(!ioctl(kfd, AMDKFD_IOC_CREATE_EVENT, &c));
	FAILS(free_gpu(handle), EPERM);
	data.event_id = c.event_id;
	CHECK(!ioctl(kfd, AMDKFD_IOC_WAIT_EVENTS, &w) &&
	      w.wait_result == KFD_IOC_WAIT_RESULT_TIMEOUT);
	s.event_id = c.event_id;
	CHECK(!ioctl(kfd, AMDKFD_IOC_SET_EVENT, &s));
	CHECK(!ioctl(kfd, AMDKFD_IOC_WAIT_EVENTS, &w) &&
	      w.wait_result == KFD_IOC_WAIT_RESULT_COMPLETE);
	s.event_id = 4000;
	FAILS(ioctl(kfd, AMDKFD_IOC_SET_EVENT, &s), EINVAL);
}

static void *wait_for_ever(void *arg)
{
	struct kfd_event_data data = {.event_id = *(uint32_t *)arg};
	struct kfd_ioctl_wait_events_args w = {
		.events_ptr = (uintptr_t)&data,
		.num_events = 1,
		.timeout = UINT32_MAX,
	};

	CHECK(!ioctl(kfd, AMDKFD_IOC_WAIT_EVENTS, &w) &&
	      w.wait_result == KFD_IOC_WAIT_RESULT_COMPLETE);
	pthread_testcancel();
	return arg;
}

/* An ioctl is no place where a thread is cancelled. */
static void case_cancel(void)
{
	struct kfd_ioctl_create_event_args c = {.event_type = KFD_IOC_EVENT_SIGNAL};
	struct kfd_ioctl_set_event_args s;
	pthread_t t;
	void *result;

	start();
	CHECK(!ioctl(kfd, AMDKFD_IOC_CREATE_EVENT, &c));
	CHECK(!pthread_create(&t, NULL, wait_for_ever, &c.event_id));
	usleep(50000);
	pthread_cancel(t);
	usleep(50000);
	s.event_id = c.event_id;
	alarm(60);
	CHECK(!ioctl(kfd, AMDKFD_IOC_SET_EVENT, &s));
	CHECK(!pthread_join(t, &result) && result == PTHREAD_CANCELED);
	CHECK(!ioctl(kfd, AMDKFD_IOC_SET_EVENT, &s));
}

static int version_of(int fd)
{
	struct kfd_ioctl_get_version_args v = {0};

	return ioctl(fd, AMDKFD_IOC_GET_VERSION, &v) ? -errno : (int)v.major_version;
}

static void case_descriptors(void)
{
	int a, b, c, plain;

	open_devices();
	a = dup(kfd);
	b = fcntl(kfd, F_DUPFD_CLOEXEC, 50);
	c = dup2(kfd, 60);
	CHECK(version_of(a) == 1 && b >= 50 && version_of(b) == 1 && c == 60 && version_of(c) == 1);
	CHECK(!close(kfd));
	CHECK(version_of(kfd) == -EBADF && version_of(a) == 1);
	plain = open("/dev/null", O_RDWR);
	CHECK(plain == kfd && version_of(plain) == -ENOTTY);
	CHECK(dup2(plain, a) == a && version_of(a) == -ENOTTY);
	CHECK(!close_range(50, 60, 0));
	CHECK(version_of(b) == -EBADF && version_of(c) == -EBADF);
	/* All closed: the process's GPU is still there, and opens again. */
	kfd = open("/dev/kfd", O_RDWR);
	CHECK(version_of(kfd) == 1);
}

static void case_fork(void)
{
	uint64_t handle;
	pid_t pid;

	start();
	user_memory(PAGE, &handle);
	pid = fork();
	if (!pid) {
		FAILS(ioctl(render, DRM_IOCTL_VERSION, WILD), EBADF);
		CHECK(version_of(kfd) == -EBADF);
		FAILS(mmap(NULL, DOORBELLS, PROT_READ, MAP_SHARED, kfd,
			   (off_t)(3ull << 62 | 0x6873ull << 46)),
		      EBADF);
		start(); /* its own */
		user_memory(PAGE, &handle);
		_exit(0);
	}
	CHECK(finish(pid) == 0);
	CHECK(version_of(kfd) == 1);
	user_memory(PAGE, &handle);
}

static void case_vfork_exec(void)
{
	char *argv[] = {(char *)"client", (char *)"reopen", NULL};
	pid_t pid;

	start();
	pid = vfork();
	if (!pid) {
		close(kfd); /* the child's descriptor, in the parent's memory */
		close(render);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	CHECK(finish(pid) == 0);
	CHECK(version_of(kfd) == 1);
}

static void case_queue_and_parking(void)
{
	struct signal *s;
	struct rusage before, after;
	struct queue q;
	uint64_t handle;
	long us = LONG_MAX;

	start();
	make_queue(&q);
	s = user_memory(PAGE, &handle);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 100; i++) {
			atomic_store(&s->value, 1);
			barrier(&q, NULL, s);
			CHECK(wait_zero(s, 20000));
		}
		usleep(50000); /* idle: parked */
	}
	/* On a busy machine the threads may still have to come to rest. */
	for (int tries = 0; tries < 10 && us >= 50000; tries++) {
		getrusage(RUSAGE_SELF, &before);
		usleep(500000);
		getrusage(RUSAGE_SELF, &after);
		us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
		     before.ru_utime.tv_usec + (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
		     after.ru_stime.tv_usec - before.ru_stime.tv_usec;
		printf("idle: %ld us of CPU in 500 ms\n", us);
	}
	CHECK(us < 50000); /* 10 % even where doorbells can't be parked */
	atomic_store(&s->value, 1);
	barrier(&q, NULL, s);
	CHECK(wait_zero(s, 20000));
}

static void case_signal_event(void)
{
	struct kfd_ioctl_create_event_args c = {.event_type = KFD_IOC_EVENT_SIGNAL,
						.auto_reset = 1};
	struct kfd_ioctl_wait_events_args w = {.num_events = 1, .timeout = 5000};
	struct kfd_event_data data = {0};
	void *va = anonymous(8 * PAGE);
	uint64_t handle, page, offset;
	struct signal *s;
	struct queue q;

	start();
	CHECK(!alloc(va, 8 * PAGE, F(GTT) | WRITABLE, &page, &offset));
	CHECK(mmap(va, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, render,
		   (off_t)offset) == va);
	CHECK(!map_gpu(page, true));
	c.event_page_offset = page;
	CHECK(!ioctl(kfd, AMDKFD_IOC_CREATE_EVENT, &c));
	make_queue(&q);
	s = user_memory(PAGE, &handle);
	atomic_store(&s->value, 1);
	s->mailbox = (uintptr_t)va + 8 * c.event_id;
	s->event_id = c.event_id;
	data.event_id = c.event_id;
	w.events_ptr = (uintptr_t)&data;
	barrier(&q, NULL, s);
	CHECK(!ioctl(kfd, AMDKFD_IOC_WAIT_EVENTS, &w) &&
	      w.wait_result == KFD_IOC_WAIT_RESULT_COMPLETE);
	CHECK(!atomic_load(&s->value));
}

static void case_unmapped_memory_is_a_gpu_fault(void)
{
	struct kfd_ioctl_create_event_args c = {.event_type = KFD_IOC_EVENT_MEMORY};
	struct kfd_ioctl_wait_events_args w = {.num_events = 1, .timeout = 5000};
	struct kfd_event_data data = {0};
	uint64_t handle;
	struct signal *s;
	struct queue q;

	start();
	CHECK(!ioctl(kfd, AMDKFD_IOC_CREATE_EVENT, &c));
	data.event_id = c.event_id;
	w.events_ptr = (uintptr_t)&data;
	make_queue(&q);
	s = user_memory(3 * PAGE, &handle);
	CHECK(!munmap((uint8_t *)s + PAGE, PAGE)); /* the middle */
	atomic_store(&s->value, 1);
	barrier(&q, NULL, s);
	CHECK(wait_zero(s, 20000)); /* the rest still works */
	barrier(&q, NULL, (struct signal *)((uint8_t *)s + PAGE));
	CHECK(!ioctl(kfd, AMDKFD_IOC_WAIT_EVENTS, &w) &&
	      w.wait_result == KFD_IOC_WAIT_RESULT_COMPLETE);
	CHECK(data.memory_exception_data.va == (uintptr_t)s + PAGE);
	CHECK(data.memory_exception_data.failure.NotPresent);
}

static void case_svm(void)
{
	/* The attributes follow the struct. */
	_Alignas(8) uint8_t bytes[sizeof(struct kfd_ioctl_svm_args) +
				  2 * sizeof(struct kfd_ioctl_svm_attribute)] = {0};
	struct kfd_ioctl_svm_args *args = (struct kfd_ioctl_svm_args *)bytes;
	unsigned long request =
		_IOC(_IOC_READ | _IOC_WRITE, AMDKFD_IOCTL_BASE, 0x20, sizeof(bytes));
	struct signal *s;
	struct queue q;
	uint64_t handle;

	start();
	args->attrs[0] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_ACCESS, 0x6873};
	args->attrs[1] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_SET_FLAGS,
							  KFD_IOCTL_SVM_FLAG_GPU_EXEC};
	args->nattr = 2;
	make_queue(&q);
	s = anonymous(4 * PAGE);
	args->start_addr = (uintptr_t)WILD;
	args->size = PAGE;
	FAILS(ioctl(kfd, request, args), EFAULT);
	args->start_addr = (uintptr_t)s;
	args->size = 4 * PAGE;
	args->nattr = 3; /* more than there are */
	FAILS(ioctl(kfd, request, args), EINVAL);
	args->nattr = 2;
	args->attrs[0].value = 1;
	FAILS(ioctl(kfd, request, args), EINVAL);
	args->attrs[0].value = 0x6873;
	CHECK(!ioctl(kfd, request, args));
	atomic_store(&s->value, 1);
	barrier(&q, NULL, s); /* plain memory, without any buffer */
	CHECK(wait_zero(s, 20000));
	args->op = KFD_IOCTL_SVM_OP_GET_ATTR;
	CHECK(!ioctl(kfd, request, args) && args->attrs[0].type == KFD_IOCTL_SVM_ATTR_ACCESS);
	CHECK(args->attrs[1].value & 0x10);
	FAILS(alloc(s, 4 * PAGE, F(VRAM) | F(USERPTR), &handle, NULL), EINVAL);
	/* A neighbour whose first page is the last one of this range: neither goes. */
	uint8_t *big = anonymous(8 * PAGE);

	args->op = KFD_IOCTL_SVM_OP_SET_ATTR;
	args->start_addr = (uintptr_t)big;
	CHECK(!ioctl(kfd, request, args));
	args->attrs[0].value = 1; /* a bad one undoes what it made */
	args->start_addr = (uintptr_t)(big + 3 * PAGE);
	FAILS(ioctl(kfd, request, args), EINVAL);
	CHECK(!alloc(big + 5 * PAGE, PAGE, F(USERPTR) | WRITABLE, &handle, NULL));
	CHECK(!free_gpu(handle));
	args->attrs[0].value = 0x6873;
	CHECK(!ioctl(kfd, request, args));
	for (unsigned i = 0; i < 7; i += 2) {
		struct signal *t = (struct signal *)(big + i * PAGE);

		atomic_store(&t->value, 1);
		barrier(&q, NULL, t);
		CHECK(wait_zero(t, 20000));
	}
	/* The middle unmapped: the rest stays, and what comes there anew can be given attributes. */
	CHECK(!munmap((uint8_t *)s + PAGE, PAGE));
	for (unsigned i = 0; i < 4; i += i ? 1 : 2) {
		struct signal *t = (struct signal *)((uint8_t *)s + i * PAGE);

		atomic_store(&t->value, 1);
		barrier(&q, NULL, t);
		CHECK(wait_zero(t, 20000));
	}
	CHECK(mmap((uint8_t *)s + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	args->op = KFD_IOCTL_SVM_OP_GET_ATTR;
	args->start_addr = (uintptr_t)s + PAGE;
	args->size = PAGE;
	args->attrs[0] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_ACCESS, 0x6873};
	args->attrs[1] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_SET_FLAGS, 0};
	CHECK(!ioctl(kfd, request, args));
	CHECK(args->attrs[0].type == KFD_IOCTL_SVM_ATTR_NO_ACCESS && !(args->attrs[1].value & KFD_IOCTL_SVM_FLAG_GPU_EXEC));
	args->op = KFD_IOCTL_SVM_OP_SET_ATTR;
	args->attrs[0] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_ACCESS, 0x6873};
	CHECK(!ioctl(kfd, request, args));
	for (unsigned i = 0; i < 4; i++) {
		struct signal *t = (struct signal *)((uint8_t *)s + i * PAGE);

		atomic_store(&t->value, 1);
		barrier(&q, NULL, t);
		CHECK(wait_zero(t, 20000));
	}
	args->size = 4 * PAGE;
	args->attrs[1] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_SET_FLAGS, KFD_IOCTL_SVM_FLAG_GPU_EXEC};
	/* Unmapped and mapped anew: a buffer may be there. */
	CHECK(!munmap(s, 4 * PAGE));
	args->op = KFD_IOCTL_SVM_OP_GET_ATTR;
	args->start_addr = (uintptr_t)s;
	FAILS(ioctl(kfd, request, args), EFAULT); /* of nothing there are no attributes */
	CHECK(mmap(s, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0) == s);
	CHECK(!alloc(s, 4 * PAGE, F(USERPTR) | WRITABLE, &handle, NULL));
	CHECK(!map_gpu(handle, true));
}

static void case_exit_with_work(void)
{
	struct signal *never;
	struct queue q;
	uint64_t handle;
	pid_t pid;

	for (int how = 0; how < 3; how++) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		pid = fork();
		if (!pid) {
			start();
			make_queue(&q);
			never = user_memory(PAGE, &handle);
			atomic_store(&never->value, 1);
			barrier(&q, never, NULL);
			usleep(20000);
			if (how == 0)
				exit(7);
			if (how == 1)
				_exit(7);
			raise(SIGKILL);
		}
		CHECK(finish(pid) == (how == 2 ? 128 + SIGKILL : 7));
		clock_gettime(CLOCK_MONOTONIC, &b);
		CHECK(b.tv_sec - a.tv_sec < 20);
	}
}

static void *hammer(void *arg)
{
	for (int i = 0; i < 200; i++) {
		uint64_t handle;
		void *p = user_memory(4 * PAGE, &handle);

		CHECK(!map_gpu(handle, false) && !free_gpu(handle));
		CHECK(!munmap(p, 4 * PAGE));
		if (i % 10 == 0) {
			int fd = open("/dev/kfd", O_RDWR);

			CHECK(version_of(fd) == 1);
			close(fd);
		}
		if (i % 50 == 0) {
			pid_t pid = fork();

			if (!pid)
				_exit(version_of(kfd) == -EBADF ? 0 : 1);
			CHECK(finish(pid) == 0);
		}
	}
	return NULL;
}

static void case_threads(void)
{
	pthread_t t[4];

	start();
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&t[i], NULL, hammer, NULL));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* Events for tools: what happened, for who wants it, as far as there is room. */
static void case_smi(void)
{
	_Alignas(8) uint8_t bytes[sizeof(struct kfd_ioctl_svm_args) + sizeof(struct kfd_ioctl_svm_attribute)] = {0};
	struct kfd_ioctl_svm_args *svm = (struct kfd_ioctl_svm_args *)bytes;
	struct kfd_ioctl_smi_events_args smi = {.gpuid = 1}, quiet = {.gpuid = 0x6873};
	uint64_t events = KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_VMFAULT) | KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_UNMAP_FROM_GPU);
	struct pollfd p = {.events = POLLIN};
	unsigned long at, pages;
	char text[65536], want[64];
	int id, pid, gpu, trigger;
	long long ns;
	ssize_t n;
	struct queue q;

	start();
	make_queue(&q);
	FAILS(ioctl(kfd, AMDKFD_IOC_SMI_EVENTS, &smi), EINVAL);
	smi.gpuid = 0x6873;
	CHECK(!ioctl(kfd, AMDKFD_IOC_SMI_EVENTS, &smi) && !ioctl(kfd, AMDKFD_IOC_SMI_EVENTS, &quiet));
	p.fd = (int)smi.anon_fd;
	FAILS(read(p.fd, text, sizeof(text)), EAGAIN);
	CHECK(write(p.fd, &events, sizeof(events)) == sizeof(events));
	svm->size = 4 * PAGE;
	svm->nattr = 1;
	svm->attrs[0] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_ACCESS, 0x6873};
	for (int i = 0; i < 1000; i++) {
		uint8_t *memory = anonymous(4 * PAGE);

		svm->start_addr = (uintptr_t)memory;
		CHECK(!ioctl(kfd, _IOC(_IOC_READ | _IOC_WRITE, AMDKFD_IOCTL_BASE, 0x20, sizeof(bytes)), svm));
		CHECK(!munmap(memory + PAGE, PAGE));
		if (!i) {
			CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
			n = read(p.fd, text, sizeof(text) - 1);
			CHECK(n > 0);
			text[n] = 0;
			CHECK(sscanf(text, "%x %lld -%d @%lx(%lx) %x %d", &id, &ns, &pid, &at, &pages, &gpu, &trigger) == 7);
			CHECK(id == KFD_SMI_EVENT_UNMAP_FROM_GPU && ns > 0 && pid == getpid() && at == (uintptr_t)memory / PAGE + 1 && pages == 1);
			CHECK(gpu == 0x6873 && trigger == KFD_SVM_UNMAP_TRIGGER_UNMAP_FROM_CPU);
		}
		CHECK(!munmap(memory, 4 * PAGE));
	}
	n = read(p.fd, text, sizeof(text));
	CHECK(n > 2000 && n < 60000 && text[n - 1] == '\n'); /* whole lines */
	barrier(&q, NULL, WILD);
	CHECK(poll(&p, 1, 5000) == 1);
	n = read(p.fd, text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = 0;
	snprintf(want, sizeof(want), "1 %x:%s\n", (unsigned)getpid(), program_invocation_short_name);
	CHECK(!strcmp(text, want));
	FAILS(read((int)quiet.anon_fd, text, sizeof(text)), EAGAIN);
	CHECK(!close((int)quiet.anon_fd) && !close(p.fd));
	/* Those that are closed make room, though nothing happens. */
	for (int i = 0; i < 200; i++)
		CHECK(!ioctl(kfd, AMDKFD_IOC_SMI_EVENTS, &smi) && !close((int)smi.anon_fd));
}

/* A copy queue has no place to note that it got what is no packet: the GPU state is reset, and tools are told. */
static void case_smi_reset(void)
{
	struct kfd_ioctl_smi_events_args smi = {.gpuid = 0x6873};
	uint64_t events = KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_GPU_PRE_RESET) | KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_GPU_POST_RESET), handle;
	struct pollfd p = {.events = POLLIN};
	char text[1024], want[128];
	size_t have = 0;
	struct queue q;

	start();
	CHECK(!ioctl(kfd, AMDKFD_IOC_SMI_EVENTS, &smi));
	p.fd = (int)smi.anon_fd;
	CHECK(write(p.fd, &events, sizeof(events)) == sizeof(events));
	create_queue_of(&q, kfd, 0x6873, user_memory(2 * PAGE, &handle), KFD_IOC_QUEUE_TYPE_SDMA);
	memset(q.ring, 0xff, PAGE);
	atomic_store((_Atomic uint64_t *)(void *)(q.control + 0x38), 64);
	atomic_store(q.doorbell, 64);
	snprintf(want, sizeof(want), "%x 1 %s\n%x 1 \n", KFD_SMI_EVENT_GPU_PRE_RESET, program_invocation_short_name, KFD_SMI_EVENT_GPU_POST_RESET);
	while (have < strlen(want)) {
		ssize_t n;

		CHECK(poll(&p, 1, 60000) == 1);
		n = read(p.fd, text + have, sizeof(text) - 1 - have);
		CHECK(n > 0);
		have += (size_t)n;
	}
	text[have] = 0;
	CHECK(!strcmp(text, want));
	CHECK(!close(p.fd));
}

int main(int argc, char **argv)
{
	/* Helper: a program that was exec'ed opens its own GPU. */
	if (argc > 1 && !strcmp(argv[1], "reopen")) {
		start();
		return 0;
	}
	/* For run-under: no daemon there. */
	if (argc > 1 && !strcmp(argv[1], "no-daemon"))
		return open("/dev/kfd", O_RDWR) == -1 && errno == ENODEV &&
				       access("/sys/class/kfd/kfd/topology", F_OK) == -1 &&
				       errno == ENOENT ?
			       0 :
			       1;
	/* Not a tenant: the library does nothing. */
	if (argc > 1 && !strcmp(argv[1], "no-tenant"))
		return open("/dev/kfd", O_RDWR) == -1 && errno == ENOENT ? 0 : 1;
	/* Goes on working after the daemon was killed; run-under writes a line then. */
	if (argc > 1 && !strcmp(argv[1], "outlive")) {
		struct signal *s;
		struct queue q;
		uint64_t handle;
		char line[8];

		start();
		make_queue(&q);
		s = user_memory(PAGE, &handle);
		puts("ready");
		fflush(stdout);
		CHECK(fgets(line, sizeof(line), stdin));
		for (int i = 0; i < 100; i++) {
			atomic_store(&s->value, 1);
			barrier(&q, NULL, s);
			CHECK(wait_zero(s, 20000));
		}
		CHECK(!alloc((void *)0x10000000, PAGE, F(VRAM) | WRITABLE, &handle, NULL));
		puts("alive");
		return 0;
	}

	const struct CMUnitTest tests[] = {
		CASE(paths),	    CASE(bad_ioctls),
		CASE(drm),	    CASE(acquire),
		CASE(memory),	    CASE(fragmented_vram),
		CASE(mmap_kfd),	    CASE(events),
		CASE(descriptors),  CASE(fork),
		CASE(vfork_exec),   CASE(queue_and_parking),
		CASE(signal_event), CASE(unmapped_memory_is_a_gpu_fault),
		CASE(svm),	    CASE(exit_with_work),
		CASE(threads),	    CASE(cancel),
		CASE(smi),	    CASE(smi_reset),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
