/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of core/ share.
 *
 * Locks: a process's lock is taken before its device's, never after. GPU callbacks take neither, so
 * functions that wait for GPU threads (unmap, queue destroy, vm destroy) may be called with both
 * held.
 */
#ifndef CORE_INTERNAL_H
#define CORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/kfd.h"
#include "core/vram.h"

#define KFD_PAGE	 4096ull
#define KFD_VA_END	 (1ull << 47)	/* gpuvm_limit + 1 */
#define KFD_VA_START	 0x10000ull	/* gpuvm_base */
#define KFD_MAX_BUFFER	 (1ull << 40)	/* bytes of one buffer */
#define KFD_MAX_MEMORIES (1u << 20)	/* buffers of one process */
#define KFD_MAX_RECORDS	 (512ull << 20) /* bytes that all buffers of a tenant cost the core itself \
					 */
#define KFD_MAX_QUEUES	 (HSV_DOORBELL_SLOT / 8)
#define KFD_MAX_RANGES	 4096 /* SVM attribute ranges of one process */
#define KFD_LDS_BASE	 (1ull << 48)
#define KFD_SCRATCH_BASE (2ull << 48)
#define KFD_ENOTSUPP                                                                               \
	524 /* the kernel's ENOTSUPP, which amdkfd lets out for unknown queue types                \
	     */

/* A run of a buffer in the host's memory; host NULL: the memory is gone. */
struct mem_extent {
	uint8_t *host;
	uint64_t size;
};

struct kfd_memory {
	uint32_t id, flags;
	uint64_t va, size; /* size is a page multiple */
	uint64_t covered;  /* bytes that the extents have; mappable when it is size */
	struct mem_extent *extents;
	size_t num_extents, max_extents;
	uint32_t gpu;	 /* index of the GPU that the handle names; VRAM without a share is its */
	uint32_t mapped; /* bit i: the program asked for it in the page table of GPU i */
	bool invalid; /* between INVALIDATE and RESTORE: nothing of the extents may be used but where holes are */
	bool gone;    /* restored without pages: every access is a fault */
	bool svm;     /* backs an SVM range, see abi/kfd_ioctls.h */
	bool pinned;  /* counts as system_pinned */
	struct kfd_share *share; /* of VRAM that others may have, too; NULL: it is this buffer's alone */
};

/* VRAM of a device that several buffers may have, see share.c. Device lock; extents, size and flags never change. */
struct kfd_share {
	uint32_t id;
	struct kfd_node *node; /* whose VRAM */
	uint32_t users, exports; /* buffers; dma-bufs */
	bool has_key;
	uint32_t key[4], ipc_flags; /* the IPC handle and its flags */
	uint32_t flags;
	uint64_t size;
	struct mem_extent *extents;
	size_t num_extents;
};

/* Attributes of an SVM range [start, end). */
struct svm_range {
	uint64_t start, end;
	uint32_t preferred, prefetch, flags, granularity;
	uint8_t access[KFD_MAX_GPUS]; /* of each GPU: KFD_IOCTL_SVM_ATTR_ACCESS, _ACCESS_IN_PLACE or _NO_ACCESS */
	struct svm_range *next;
};

/* A GPU of a device. */
struct kfd_node {
	struct kfd_device *device;
	struct kfd_gpu_config config;
	const struct gpu_properties *props;
	uint32_t index;
	/* Device lock: */
	struct vram vram;
	struct vram_extent *taken; /* by kfd_vram_take: sorted, each by itself */
	size_t num_taken, max_taken;
	uint32_t sdma_queues, queues;
	struct kfd_stats past; /* sums of processes that ended */
};

/* A process on one GPU, as amdkfd calls it. */
struct kfd_process_device {
	struct kfd_process *process;
	struct kfd_node *node;
	struct gpu_vm *vm;
	bool acquired;
	uint32_t drm_file;
};

struct kfd_queue {
	struct kfd_process_device *pdd;
	struct gpu_queue *gpu;
	struct gpu_queue_desc desc;
	uint32_t type; /* KFD_IOC_QUEUE_TYPE_* */
	bool sdma;
	bool gws; /* has the process's global wave sync */
};

struct kfd_process {
	struct kfd_device *device;
	void *ctx;
	uint32_t slot, pid;
	unsigned pins; /* who uses the struct without its lock; device lock */
	bool ended;    /* being destroyed; device lock */
	char name[32];
	pthread_mutex_t lock;
	struct kfd_process_device pdds[KFD_MAX_GPUS]; /* as the device's GPUs */
	uint32_t num_gpus;
	_Atomic uint32_t polled; /* bit i: GPU i was woken once, so it polls doorbells unless it is parked */
	_Atomic uint32_t idle;	 /* bit i: GPU i said idle and wasn't woken since */

	bool runtime_enabled;
	bool xnack; /* memory of the program is pageable; changed while there are no queues */

	struct kfd_memory **memories; /* by id, [0] unused */
	uint32_t max_memories;
	uint32_t id_hint;
	uint32_t num_invalid, num_svm;
	bool holes; /* once there were mapped buffers that the page table had not whole */
	void *remap_page;
	struct svm_range *ranges; /* sorted */
	uint32_t num_ranges;

	struct kfd_queue *queues[KFD_MAX_QUEUES];
	uint32_t num_queues;
	/* Queues that have no place where the GPU could note their error: the program is told by
	 * an HW exception, as when hardware resets the engine. Read by GPU threads. */
	_Atomic bool mute[KFD_MAX_QUEUES];
};

struct kfd_device {
	struct kfd_device_config config;
	struct kfd_node nodes[KFD_MAX_GPUS]; /* config.num_gpus */
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t unpinned;
	uint64_t system_pinned;
	uint32_t num_processes;
	struct kfd_process **slots;
	struct kfd_share **shares; /* by number - 1 */
	uint32_t num_shares;
	atomic_size_t records; /* see KFD_MAX_RECORDS; no lock */
};

/* ioctl handlers: process lock held, request->args of at least the struct's size. */
typedef int kfd_handler(struct kfd_process *p, struct kfd_request *request);
#define HSV_KFD_CORE(name) kfd_handler kfd_ioctl_##name;
#define HSV_KFD_FRONT(name)
#define HSV_KFD_IOCTL(name, type, where, ...) HSV_KFD_##where(name)
#include "abi/kfd_ioctls.h"
#undef HSV_KFD_IOCTL
#undef HSV_KFD_FRONT
#undef HSV_KFD_CORE

/* device.c */
/* The tenant's quota of the GPU's VRAM, and what all of the tenant uses. Device lock held. */
void node_vram(struct kfd_node *n, uint64_t *limit, uint64_t *used);
/* The process on the GPU with that KFD id; NULL: no such GPU. */
struct kfd_process_device *pdd_by_id(struct kfd_process *p, uint64_t gpu_id);
static inline uint32_t pdd_bit(const struct kfd_process_device *pdd)
{
	return 1u << pdd->node->index;
}
struct kfd_stats vm_stats(struct gpu_vm *vm);
void node_process_ended(struct kfd_node *n, const struct kfd_stats *stats); /* device lock */
uint8_t *pdd_doorbells(const struct kfd_process_device *pdd);
void pdd_wake(struct kfd_process_device *pdd); /* gpu_vm_wake */
/* Stops the process on all GPUs, and lets it go on; they count. */
void process_suspend(struct kfd_process *p);
void process_resume(struct kfd_process *p);

/* memory.c */
struct kfd_memory *memory_by_handle(struct kfd_process *p, uint64_t handle);
/* True if every byte of [va, va + size) is in a buffer mapped for the GPU or in an SVM range. */
bool memory_is_mapped(struct kfd_process_device *pdd, uint64_t va, uint64_t size);
void memory_free_all(struct kfd_process *p); /* after the vm is destroyed */
/* Maps the part of m in [start, end) with prot. 0 or -errno (then none of it is mapped). */
int memory_map_part(struct kfd_process_device *pdd, const struct kfd_memory *m, uint64_t start, uint64_t end,
		    unsigned prot);

/*
 * Where the first buffer begins that is in [va, end) of the GPU by what the program asked for; end: none is. Without all, perhaps only of those
 * that the GPU's page table has not whole.
 */
uint64_t memory_next_buffer(struct kfd_process_device *pdd, uint64_t va, uint64_t end, bool all);
/* va is in a buffer whose pages went away for good. */
bool memory_is_gone(struct kfd_process_device *pdd, uint64_t va);

/* The host memory [first, last) is no more: takes it from m and its GPU mappings. */
void memory_revoke(struct kfd_process *p, struct kfd_memory *m, const uint8_t *first,
		   const uint8_t *last);

/* A buffer without memory, with its id and room for extents, in the process's table. -EINVAL, -EADDRINUSE: va; -ENOMEM. */
int memory_make(struct kfd_process_device *pdd, uint64_t va, uint64_t size, uint32_t flags, size_t max_extents, struct kfd_memory **memory);
/* Charges the tenant with size bytes of VRAM and allocates them as vram_alloc does (-ENOSPC becomes -ENOMEM), zeroed. */
int node_vram_take(struct kfd_node *n, uint64_t size, size_t max, struct vram_extent **list, size_t *num);
/* Zeroes VRAM, frees it and takes it from what the tenant is charged. */
void node_vram_give(struct kfd_node *n, const struct vram_extent *e);
void vram_give_back(struct kfd_node *n, const struct mem_extent *extents, size_t num);

/* vram_pages.c */
/* The host address of size bytes of VRAM from offset on; NULL: not all of them were taken. Process lock held: they stay until that is let go. */
uint8_t *vram_taken_host(struct kfd_device *device, uint64_t offset, uint64_t size);

/* share.c */
void share_leave(struct kfd_device *d, struct kfd_share *share); /* a buffer has it no more */

/* svm.c */
/* Bytes of [start, end) that are in the SVM object m; not where the program has unmapped a part of it. */
uint64_t svm_backed_by(const struct kfd_memory *m, uint64_t start, uint64_t end);
/* Is [start, end) all (2), partly (1) or not (0) in ranges that are backed? */
int svm_backed(struct kfd_process *p, uint64_t start, uint64_t end);
/* Maps what the attributes allow of the backing object m. */
int svm_map_object(struct kfd_process_device *pdd, const struct kfd_memory *m);
void svm_forget(struct kfd_process *p, uint64_t start, uint64_t end);
/* With XNACK: rights (gpu_prot) that the attributes leave to that GPU at va, 0: none; *end: at most up to where they are the same. */
unsigned svm_allowed(struct kfd_process_device *pdd, uint64_t va, uint64_t *end);

/* queues.c */
void queues_destroy_all(struct kfd_process *p);

#endif
