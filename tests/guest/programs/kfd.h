/* SPDX-License-Identifier: MIT */
/*
 * kfd.h - what the in-guest test programs share: TAP, raw KFD ioctls, and what to look at for
 * leaks.
 *
 * A check that fails says where and why and the program goes on; the exit status is 1 then.
 * Everything is static: each program is one file besides this.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mremap, unshare */
#endif

#ifndef TESTS_GUEST_KFD_H
#define TESTS_GUEST_KFD_H

#include <errno.h>
#include <fcntl.h>
#include <linux/kfd_ioctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* ---- TAP ---- */

static int tap_number, tap_failed;
static int test_failures; /* of the test that runs */

static UNUSED void fail_at(const char *file, int line, const char *format, ...)
{
	va_list ap;

	test_failures++;
	printf("# %s:%d: ", file, line);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_at(__FILE__, __LINE__, "failed: %s", #condition);                     \
	} while (0)

/* expression gives 0 or -errno. */
#define EXPECT(expression, want)                                                                   \
	do {                                                                                       \
		long got_ = (expression), want_ = (want);                                          \
		if (got_ != want_)                                                                 \
			fail_at(__FILE__, __LINE__, "%s: %ld (%s), not %ld (%s)", #expression,     \
				got_, got_ ? strerror((int)-got_) : "success", want_,              \
				want_ ? strerror((int)-want_) : "success");                        \
	} while (0)

struct test {
	const char *name;
	void (*run)(void);
};

static UNUSED int run_tests(const struct test *tests, int n)
{
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		test_failures = 0;
		tests[i].run();
		tap_number++;
		printf("%sok %d - %s\n", test_failures ? "not " : "", tap_number, tests[i].name);
		fflush(stdout);
		tap_failed += !!test_failures;
	}
	return tap_failed ? 1 : 0;
}

/*
 * Runs part in a child of its own, for tests that need a fresh GPU process or die. Its failures
 * count here.
 */
static UNUSED void in_child(void (*part)(void))
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		test_failures = 0;
		part();
		fflush(stdout);
		_exit(test_failures ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail_at(__FILE__, __LINE__, "no child: %s", strerror(errno));
	else if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_at(__FILE__, __LINE__, "the child %s %d",
			WIFSIGNALED(status) ? "got signal" : "exited with",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* ---- KFD ---- */

#define PAGE 4096ul

static uint32_t gpu_id;
static int kfd = -1, drm = -1;

static UNUSED long kfd_call(int fd, unsigned long cmd, void *args)
{
	return ioctl(fd, cmd, args) < 0 ? -errno : 0;
}

/* The number of an ioctl with another size in it. */
#define RESIZED(cmd, size) _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), (size))

static UNUSED uint32_t find_gpu(void)
{
	char path[128];
	unsigned id = 0;

	for (int node = 0; node < 16 && !id; node++) {
		snprintf(path, sizeof(path), "/sys/class/kfd/kfd/topology/nodes/%d/gpu_id", node);
		FILE *f = fopen(path, "r");

		if (f && fscanf(f, "%u", &id) != 1)
			id = 0;
		if (f)
			fclose(f);
	}
	return id;
}

static UNUSED int open_drm(void)
{
	char path[64];
	int fd = -1;

	for (int i = 128; i < 132 && fd < 0; i++) {
		snprintf(path, sizeof(path), "/dev/dri/renderD%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	return fd;
}

static UNUSED long acquire(int fd, int drm_fd, uint32_t gpu)
{
	struct kfd_ioctl_acquire_vm_args args = {.drm_fd = (uint32_t)drm_fd, .gpu_id = gpu};

	return kfd_call(fd, AMDKFD_IOC_ACQUIRE_VM, &args);
}

/* Opens everything a program needs. */
static UNUSED void kfd_start(void)
{
	gpu_id = find_gpu();
	kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);
	drm = open_drm();
	CHECK(gpu_id != 0);
	CHECK(kfd >= 0);
	CHECK(drm >= 0);
	EXPECT(acquire(kfd, drm, gpu_id), 0);
}

struct buffer {
	uint64_t handle, offset, size, va;
};

#define VRAM                                                                                       \
	(KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE |                         \
	 KFD_IOC_ALLOC_MEM_FLAGS_PUBLIC)
#define GTT                                                                                        \
	(KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE |                          \
	 KFD_IOC_ALLOC_MEM_FLAGS_COHERENT)
#define USERPTR (KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE)

static UNUSED long gpu_alloc(struct buffer *b, uint32_t flags, uint64_t va, uint64_t size,
			     uint64_t offset)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {
		.va_addr = va,
		.size = size,
		.mmap_offset = offset,
		.gpu_id = gpu_id,
		.flags = flags,
	};
	long err = kfd_call(kfd, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &args);

	if (!err)
		*b = (struct buffer){args.handle, args.mmap_offset, args.size, va};
	return err;
}

static UNUSED long gpu_free(uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args args = {.handle = handle};

	return kfd_call(kfd, AMDKFD_IOC_FREE_MEMORY_OF_GPU, &args);
}

static UNUSED long gpu_map(uint64_t handle, bool map)
{
	uint32_t ids[1] = {gpu_id};
	struct kfd_ioctl_map_memory_to_gpu_args args = {
		.handle = handle, .device_ids_array_ptr = (uintptr_t)ids, .n_devices = 1};
	long err = kfd_call(
		kfd, map ? AMDKFD_IOC_MAP_MEMORY_TO_GPU : AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU, &args);

	if (!err && args.n_success != 1)
		fail_at(__FILE__, __LINE__, "n_success is %u", args.n_success);
	return err;
}

/* An address that nothing of this program uses, reserved. */
static UNUSED uint64_t reserve(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? 0 : (uintptr_t)p;
}

/* mmap, as -errno in *err. */
static UNUSED void *map_fd(int fd, uint64_t offset, size_t size, int flags, long *err)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);

	*err = p == MAP_FAILED ? -errno : 0;
	return p == MAP_FAILED ? NULL : p;
}

/* A descriptor for events, with that mask; -errno. */
static UNUSED int open_smi(uint64_t events)
{
	struct kfd_ioctl_smi_events_args args = {.gpuid = gpu_id};
	long err = kfd_call(kfd, AMDKFD_IOC_SMI_EVENTS, &args);

	if (!err && write((int)args.anon_fd, &events, sizeof(events)) != sizeof(events))
		fail_at(__FILE__, __LINE__, "no mask: %s", strerror(errno));
	return err ? (int)err : (int)args.anon_fd;
}

/* ---- accesses that may fault ---- */

static sigjmp_buf fault_jump;
static volatile sig_atomic_t fault_signal;

static UNUSED void fault_handler(int number)
{
	fault_signal = number;
	siglongjmp(fault_jump, 1);
}

/* 0, or the signal that reading (and writing back) the byte at p gives. */
static UNUSED int touch(volatile uint8_t *p)
{
	struct sigaction action = {.sa_handler = fault_handler, .sa_flags = SA_NODEFER};
	struct sigaction old_bus, old_segv;

	fault_signal = 0;
	sigaction(SIGBUS, &action, &old_bus);
	sigaction(SIGSEGV, &action, &old_segv);
	if (!sigsetjmp(fault_jump, 1))
		*p = *p;
	sigaction(SIGBUS, &old_bus, NULL);
	sigaction(SIGSEGV, &old_segv, NULL);
	return fault_signal;
}

/* ---- what must not be left behind ---- */

static UNUSED long vmstat(const char *name)
{
	char line[256];
	long value = -1;
	FILE *f = fopen("/proc/vmstat", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ' ')
			value = atol(line + strlen(name));
	if (f)
		fclose(f);
	return value;
}

/*
 * Pages that are pinned now, after waiting for what ends in the background and for the counters of
 * all CPUs.
 */
static UNUSED long pinned_pages(void)
{
	long now = 0;

	for (int i = 0; i < 100; i++) {
		FILE *f = fopen("/proc/sys/vm/stat_refresh", "w");

		if (f) {
			fputs("1\n", f);
			fclose(f);
		}
		now = vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released");
		if (!now)
			break;
		usleep(50000);
	}
	return now;
}

static UNUSED void msleep(unsigned ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* Whether the thread of this process, once *tid tells which, sleeps within 30 s: in its wait, where it sleeps nowhere else. */
static UNUSED bool wait_asleep(_Atomic pid_t *tid)
{
	char path[64], line[256], *end;

	for (unsigned i = 0; i < 3000; i++) {
		FILE *f;

		msleep(10);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", *tid);
		f = *tid ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		fclose(f);
		if (end && end[2] == 'S')
			return true;
	}
	return false;
}

static UNUSED uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

#endif
