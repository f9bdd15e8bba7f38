/* SPDX-License-Identifier: MIT */
/*
 * kfd.h - what the programs that use the KFD interface raw under the preload front end share: checks that end the process, and a queue
 * for barrier packets.
 */
#ifndef TESTS_HOST_KFD_H
#define TESTS_HOST_KFD_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kfd_ioctl.h>

#define PAGE	  4096ul
#define WRITABLE  (1u << 31)
#define F(name)	  KFD_IOC_ALLOC_MEM_FLAGS_##name
#define DOORBELLS 8192ul

/* Says what is wrong and ends the process, which may be a child. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (errno %d %s)\n", __FILE__, __LINE__,           \
				#condition, errno, strerror(errno));                               \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)
/* expr must fail with err. */
#define FAILS(expr, err)                                                                           \
	do {                                                                                       \
		errno = 0;                                                                         \
		CHECK((intptr_t)(expr) == -1 && errno == (err));                                   \
	} while (0)

struct signal { /* as far as a barrier needs it: amd_signal_t */
	int64_t kind;
	_Atomic int64_t value;
	uint64_t mailbox;
	uint32_t event_id, reserved;
	uint64_t start, end;
};

struct queue {
	uint8_t *ring, *control;
	uint64_t index;
	uint32_t id;
	_Atomic uint64_t *doorbell;
};

/* Of the only GPU, whose id it is. */
static inline uint32_t acquire_vm(int kfd, int render)
{
	struct kfd_process_device_apertures a;
	struct kfd_ioctl_get_process_apertures_new_args n = {
		.kfd_process_device_apertures_ptr = (uintptr_t)&a,
		.num_of_nodes = 1,
	};
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = (uint32_t)render};

	CHECK(!ioctl(kfd, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &n));
	acquire.gpu_id = a.gpu_id;
	CHECK(!ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &acquire));
	return a.gpu_id;
}

/* On two pages that the GPU can write: the ring, and what the queue counts. */
static inline void create_queue_of(struct queue *q, int kfd, uint32_t gpu_id, void *pages, uint32_t type)
{
	struct kfd_ioctl_create_queue_args a;
	uint8_t *doorbells;

	*q = (struct queue){.ring = pages, .control = (uint8_t *)pages + PAGE};
	for (int i = 0; i < 64; i++)
		*(uint16_t *)(void *)(q->ring + 64 * i) = 1; /* INVALID */
	a = (struct kfd_ioctl_create_queue_args){
		.ring_base_address = (uintptr_t)q->ring,
		.ring_size = PAGE,
		.write_pointer_address = (uintptr_t)q->control + 0x38,
		.read_pointer_address = (uintptr_t)q->control + 0x80,
		.gpu_id = gpu_id,
		.queue_type = type,
		.queue_percentage = 100,
		.queue_priority = 7,
	};
	CHECK(!ioctl(kfd, AMDKFD_IOC_CREATE_QUEUE, &a));
	q->id = a.queue_id;
	doorbells = mmap(NULL, DOORBELLS, PROT_READ | PROT_WRITE, MAP_SHARED, kfd,
			 (off_t)(a.doorbell_offset & ~(DOORBELLS - 1)));
	CHECK(doorbells != MAP_FAILED);
	q->doorbell = (_Atomic uint64_t *)(void *)(doorbells + (a.doorbell_offset & (DOORBELLS - 1)));
}

static inline void create_queue(struct queue *q, int kfd, uint32_t gpu_id, void *pages)
{
	create_queue_of(q, kfd, gpu_id, pages, KFD_IOC_QUEUE_TYPE_COMPUTE_AQL);
}

/* A barrier packet that waits for the signal at dep and counts down the one at done; 0 for none. */
static inline void barrier_at(struct queue *q, uint64_t dep, uint64_t done)
{
	uint8_t *packet = q->ring + q->index % 64 * 64;

	memset(packet + 2, 0, 62);
	memcpy(packet + 8, &dep, sizeof(dep));
	memcpy(packet + 56, &done, sizeof(done));
	atomic_store((_Atomic uint16_t *)(void *)packet, 3 | 1 << 8 | 2 << 9 | 2 << 11);
	atomic_store((_Atomic uint64_t *)(void *)(q->control + 0x38), q->index + 1);
	atomic_store(q->doorbell, q->index++);
}

static inline bool wait_zero(struct signal *s, int ms)
{
	for (int i = 0; i < ms * 10; i++) {
		if (!atomic_load(&s->value))
			return true;
		usleep(100);
	}
	return false;
}

#endif
