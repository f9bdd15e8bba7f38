/* SPDX-License-Identifier: MIT */
/*
 * cases.h - what programs of cases for the preload front end share: each case runs in a child of its own, which opens the devices afresh and has the GPU's memory as
 * the KFD interface gives it.
 */
#ifndef TESTS_HOST_CASES_H
#define TESTS_HOST_CASES_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "tests/host/kfd.h"

static int kfd, render;
static uint32_t gpu_id;

static inline void open_devices(void)
{
	kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);
	CHECK(kfd >= 0);
	render = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
	CHECK(render >= 0);
}

static inline void start(void)
{
	open_devices();
	gpu_id = acquire_vm(kfd, render);
}

static inline int alloc(void *va, size_t size, uint32_t flags, uint64_t *handle, uint64_t *offset)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args a = {
		.va_addr = (uintptr_t)va,
		.size = size,
		.gpu_id = gpu_id,
		.flags = flags,
		.mmap_offset = flags & F(USERPTR) ? (uintptr_t)va : 0,
	};
	int n = ioctl(kfd, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &a);

	*handle = a.handle;
	if (offset)
		*offset = a.mmap_offset;
	return n;
}

static inline int map_gpu(uint64_t handle, bool map)
{
	struct kfd_ioctl_map_memory_to_gpu_args a = {
		.handle = handle,
		.device_ids_array_ptr = (uintptr_t)&gpu_id,
		.n_devices = 1,
	};
	int n = ioctl(kfd, map ? AMDKFD_IOC_MAP_MEMORY_TO_GPU : AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU,
		      &a);

	CHECK(n || a.n_success == 1);
	return n;
}

static inline int free_gpu(uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args a = {.handle = handle};

	return ioctl(kfd, AMDKFD_IOC_FREE_MEMORY_OF_GPU, &a);
}

static inline void *anonymous(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Memory of the program, mapped for the GPU at the same address. */
static inline void *user_memory(size_t size, uint64_t *handle)
{
	void *p = anonymous(size);

	CHECK(!alloc(p, size, F(USERPTR) | WRITABLE | F(EXECUTABLE), handle, NULL));
	CHECK(!map_gpu(*handle, true));
	return p;
}

static inline int finish(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void in_child(void **state)
{
	void (*run)(void) = (void (*)(void)) * state;
	pid_t pid = fork();

	if (!pid) {
		alarm(120);
		run();
		exit(0);
	}
	assert_int_equal(finish(pid), 0);
}

/* Of a group of tests: case_NAME(). */
#define CASE(name)                                                                                 \
	{                                                                                          \
#name, in_child, NULL, NULL, (void *)case_##name                                   \
	}

#endif
