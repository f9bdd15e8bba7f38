/* SPDX-License-Identifier: MIT */
/* one.h - a device with one GPU, which only remembers, and a process: what the tests of the core's requests start from. */
#ifndef TESTS_CORE_ONE_H
#define TESTS_CORE_ONE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/internal.h"
#include "tests/core/fake_gpu.h"
#include "tests/core/request.h"

#define GPU_ID	 0x1234
#define VRAM	 (16ull << 20)
#define GUEST	 (8ull << 20) /* bytes of tenant memory, at address GUEST_AT */
#define GUEST_AT 0x40000000ull
#define VA	 0x10000000ull

extern struct kfd_device *device;
extern struct kfd_process *process;
extern uint8_t *vram, *doorbells, *guest;
extern int64_t charged, charge_limit;
extern uint64_t quota_limit, others_use, system_limit;
extern int events_seen, exceptions;

#define FLAGS_VRAM                                                                                 \
	(KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE |                         \
	 KFD_IOC_ALLOC_MEM_FLAGS_NO_SUBSTITUTE)
#define FLAGS_GTT  (KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE)
#define FLAGS_USER (KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE)

/* A request of the process, with arrays and without. */
int ioctl_arrays(unsigned nr, void *args, size_t size, const void *in, size_t in_size, void *out,
		 size_t out_capacity, size_t *out_size);
#define CALL(name, args)                                                                           \
	ioctl_arrays(_IOC_NR(AMDKFD_IOC_##name), args, sizeof(*(args)), NULL, 0, NULL, 0, NULL)

/* n extents in; at most max out, *got of them (NULL: nobody asks). */
int alloc_full(uint64_t va, uint64_t size, uint32_t flags, const struct hsv_extent *in, size_t n,
	       struct hsv_extent *out, size_t max, size_t *got, uint64_t *handle);
/* System memory is the tenant's first pages. */
int alloc(uint64_t va, uint64_t size, uint32_t flags, uint64_t *handle);
uint64_t alloc_map(uint64_t va, uint64_t size, uint32_t flags); /* must succeed */
int map_to(uint64_t handle, uint32_t gpu_id, uint32_t n, uint32_t done, bool map);
#define MAP(handle)   map_to(handle, GPU_ID, 1, 0, true)
#define UNMAP(handle) map_to(handle, GPU_ID, 1, 0, false)
int free_memory(uint64_t handle);

/* With a VM acquired, or not yet; teardown checks that nothing is left. */
void acquire(void);
int setup(void **state);
int setup_acquired(void **state);
int teardown(void **state);
#define TEST(f)	      cmocka_unit_test_setup_teardown(f, setup_acquired, teardown)
#define TEST_FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
