/* SPDX-License-Identifier: MIT */
/*
 * kfd.h - what a KFD request means, for every front end.
 *
 * A front end (the broker for a VM, the preload library for a host process) has one kfd_device with
 * one or several GPUs, and a kfd_process in it for each program that opened /dev/kfd. It hands over each ioctl as the UAPI
 * struct in a private copy plus its arrays, marshalled by abi/kfd_ioctls.h; the core validates
 * everything and drives the GPU through gpu/gpu.h. Memory of the tenant is reached only through
 * ops->resolve, so the core cannot touch what the front end did not vouch for.
 *
 * Functions return 0 or a negative errno, the errno KFD's own ioctl gives in that case. All are
 * thread-safe.
 */
#ifndef CORE_KFD_H
#define CORE_KFD_H

#include <linux/kfd_ioctl.h>
#include <drm/amdgpu_drm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/hsavisor.h"
#include "abi/kfd_ipc.h"
#include "gpu/gpu.h"

/* The UAPI header shifts a signed 1 into the sign bit. */
#undef KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE
#define KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE (1u << 31)

#define KFD_MAX_GPUS HSV_MAX_GPUS /* of a device */

struct kfd_device;
struct kfd_process;

/* A fault or error, for logs: the program is told by other means. */
struct kfd_fault {
	uint32_t gpu_id, pid, queue;
	const char *process; /* its name, printable */
	unsigned code;	     /* 0: memory fault, else KFD's queue error code */
	struct gpu_memory_fault memory; /* of a memory fault */
	uint64_t kernel;     /* address of the kernel's descriptor, 0: unknown or none */
	char kernel_name[184]; /* "" when the code object does not tell */
};

/* What the core asks of its front end. ctx is kfd_device_config.ctx, gpu_ctx kfd_gpu_config.ctx, process_ctx
 * kfd_process_create's. Event callbacks come from GPU threads. */
struct kfd_front_ops {
	/*
	 * Host address of [addr, addr + size) of the tenant's memory (VM: guest-physical, by its
	 * DMA map; host process: its own address), NULL if it isn't all the tenant's or not
	 * contiguous in the host.
	 */
	void *(*resolve)(void *ctx, uint64_t addr, uint64_t size);
	/* VRAM about to be allocated (bytes > 0) or freed (< 0): 0 or -ENOMEM. NULL: the quota is
	 * the only limit. */
	int (*charge_vram)(void *gpu_ctx, int64_t bytes);
	/*
	 * The tenant's quota of a GPU's VRAM as it is now, and what the tenant uses of it in other devices and
	 * in this one, bytes. NULL: vram_size, and what this device uses.
	 */
	void (*vram_quota)(void *gpu_ctx, uint64_t *limit, uint64_t *used);
	/* Makes [offset, offset + size) of the VRAM read as zeroes, wherever its contents are. NULL:
	 * the core does it through the mapping. */
	void (*clear_vram)(void *gpu_ctx, uint64_t offset, uint64_t size);
	/* VRAM that was allocated and cleared: its memory may be taken now. NULL: when it is touched. */
	void (*take_vram)(void *gpu_ctx, uint64_t offset, uint64_t size);
	/* Bytes of system memory that all buffers together may have; NULL: no limit but the
	 * tenant's memory. */
	uint64_t (*system_limit)(void *ctx);

	void (*signal_event)(void *process_ctx, uint32_t event_id);
	void (*memory_fault)(void *process_ctx, uint32_t gpu_id, const struct gpu_memory_fault *fault);
	/* For logs: a memory fault, or a queue that was stopped by an error. NULL: not
	 * wanted. */
	void (*report)(void *gpu_ctx, const struct kfd_fault *fault);
	/* The process's GPU state is lost (a queue was reset in a way that no queue error can
	 * tell). */
	void (*hw_exception)(void *process_ctx, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause);
	/*
	 * The GPU needs pages of the program (XNACK on): that at va with prot (gpu_prot), and the rest of [va, va + size) too, or probably soon. It
	 * waits until kfd_process_pages, by another thread, covers va. 0, or negative: the access is a fault. At most HSV_MAX_PAGE_REQUESTS at a time.
	 * NULL: no paging here; XNACK cannot be turned on.
	 */
	int (*page_request)(void *process_ctx, uint64_t va, uint64_t size, unsigned prot);
	/* No work for the park delay: the front end should make doorbell stores trap and call
	 * kfd_process_parked. */
	void (*idle)(void *process_ctx);
};

/* A GPU of a device. */
struct kfd_gpu_config {
	struct gpu *gpu;
	void *ctx;
	void *vram; /* host mapping of the tenant's VRAM, zeroed when first handed out and again
		       when freed */
	uint64_t vram_size; /* bytes of it: the most the quota can be */
	uint64_t vram_offset; /* what extents of VRAM in answers begin to count from, bytes: where it is in what the front end shows */
	void *doorbells;    /* host mapping of max_processes * HSV_DOORBELL_SLOT bytes */
	uint32_t gpu_id;    /* KFD gpu_id, non-zero, 16 bits; each GPU's its own */
};

struct kfd_device_config {
	struct kfd_gpu_config gpus[KFD_MAX_GPUS]; /* in the order of the topology's nodes */
	uint32_t num_gpus;
	const struct kfd_front_ops *ops;
	void *ctx;
	uint32_t max_processes;
	uint32_t kfd_minor; /* 14 */
	bool submissions;   /* the front end takes command streams for SDMA on the render nodes: said in AMDGPU_INFO */
};

int kfd_device_open(const struct kfd_device_config *config, struct kfd_device **device);
void kfd_device_close(struct kfd_device *device); /* destroys what processes are left */

/* slot: doorbell slot, 0 .. max_processes - 1, free (-EBUSY). name, pid: for logs and listings. */
int kfd_process_create(struct kfd_device *device, uint32_t slot, void *process_ctx, uint32_t pid,
		       const char *name, struct kfd_process **process);
/* When it returns the GPU touches nothing of the process, no callback comes any more. */
void kfd_process_destroy(struct kfd_process *process);

struct kfd_request {
	uint32_t nr;	  /* _IOC_NR */
	void *args;	  /* private copy, changed in place; at least the size of the core's struct,
			     zero-extended */
	size_t args_size; /* bytes the caller had (for logs); the buffer itself is HSV_MAX_ARGS */
	const void *in;	  /* arrays; for ALLOC of GTT/USERPTR: struct hsv_extent[] */
	size_t in_size;
	void *out; /* arrays back; for ALLOC of VRAM: struct hsv_extent[] */
	size_t out_capacity, out_size;
};

/*
 * One ioctl of the CORE kind. -ENOTTY for numbers that aren't served. ALLOC_MEMORY_OF_GPU leaves
 * args.mmap_offset as KFD's for DOORBELL and MMIO_REMAP (type and gpu_id bits), 0 otherwise: the
 * front end gives its own offset for the render node. args.handle is gpu_id << 32 | id.
 */
int kfd_process_ioctl(struct kfd_process *process, struct kfd_request *request);

/* HSV_REQ_MEMORY_EXTEND, _INVALIDATE, _RESTORE (see abi/hsavisor.h). */
int kfd_memory_extend(struct kfd_process *process, uint64_t handle,
		      const struct hsv_extent *extents, size_t n);
int kfd_memory_invalidate(struct kfd_process *process, uint64_t handle);
int kfd_memory_restore(struct kfd_process *process, uint64_t handle,
		       const struct hsv_extent *extents, size_t n);

/*
 * Maps a buffer that isn't mapped at va of its GPU, wherever it was meant to be, with rights of KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE and _EXECUTABLE;
 * va 0: unmaps it, and it has no address. -EINVAL: no such buffer or address, it is mapped (va 0: it isn't), or something else is there.
 */
int kfd_memory_place(struct kfd_process *process, uint64_t handle, uint64_t va, uint32_t rights);

/*
 * HSV_REQ_PAGES, HSV_REQ_PAGES_INVALIDATE (abi/hsavisor.h). extents are resolved as those of a USERPTR buffer, or are in VRAM that was taken. -EINVAL: bad range, sums or prot, or XNACK is
 * off; -EFAULT: not the tenant's memory. -EADDRINUSE: a buffer is at va (pages up to one are mapped), -ENOMEM; whoever waits for the pages then tries again, or has a fault.
 */
int kfd_process_pages(struct kfd_process *process, const struct hsv_pages_args *args, const struct hsv_extent *extents, size_t n);
int kfd_process_pages_invalidate(struct kfd_process *process, uint64_t va, uint64_t size);

/*
 * HSV_REQ_VRAM_TAKE, HSV_REQ_VRAM_GIVE (abi/hsavisor.h): VRAM of the gpu-th GPU for the front end's own use, contiguous and zeroed. size: bytes, page multiple. take: -EINVAL,
 * -ENOMEM (quota, or no such run). give: -EINVAL, nothing was taken that begins at offset and has that size; when it returns no process sees it.
 */
int kfd_vram_take(struct kfd_device *device, uint32_t gpu, uint64_t size, uint64_t *offset);
int kfd_vram_give(struct kfd_device *device, uint32_t gpu, uint64_t offset, uint64_t size);
/* All that is taken, when nobody else uses it any more. */
void kfd_vram_give_all(struct kfd_device *device);

/* HSV_REQ_SHARE_PUT (abi/hsavisor.h). -EINVAL: no such share, or it was put as often as it was exported. */
int kfd_device_share_put(struct kfd_device *device, uint32_t share);
/* All dma-bufs are gone (the VM was reset), and so are all processes. */
void kfd_device_end_shares(struct kfd_device *device);

/* The front end made doorbell stores of the process trap, on all GPUs. 0: they stopped polling. -EAGAIN: work
 * was there; it goes on polling and will say idle again, after which the front end, whose trap is
 * still armed, calls this again. */
int kfd_process_parked(struct kfd_process *process);
/* A doorbell store trapped: poll again. */
void kfd_process_unpark(struct kfd_process *process);

/* DRM_AMDGPU_INFO of the gpu-th GPU's render node: query in info (private copy); writes at most capacity bytes to out, *size
 * the bytes written. -EINVAL unknown query. */
int kfd_drm_info(struct kfd_device *device, uint32_t gpu, const struct drm_amdgpu_info *info, void *out,
		 size_t capacity, size_t *size);

/* The sysfs topology as hsv_topology_file records into buf; *size: bytes needed in any case.
 * -ENOSPC when capacity is too small. */
int kfd_topology(struct kfd_device *device, const struct hsv_topology_args *args, void *buf,
		 size_t capacity, size_t *size);

/* All mappings into host memory [host, host + size) of any process go away (the VM unplugged that
 * RAM). Synchronous. */
void kfd_device_revoke(struct kfd_device *device, const void *host, size_t size);

/* The name of the kernel whose descriptor is at va of the GPU process pid. False: unknown; name is
 * "" then. Not for GPU threads. */
bool kfd_device_kernel_name(struct kfd_device *device, uint32_t pid, uint64_t va, char *name,
			    size_t size);

struct kfd_stats {
	uint64_t vram_used, vram_peak, vram_size,
		system_pinned; /* bytes; peak: the most that was used at once; size: the quota */
	uint64_t dispatches, packets, gpu_ns, faults, queue_errors;
	uint64_t page_requests, requested_pages; /* for pageable memory, and how many pages they were for */
	uint64_t page_waits, page_invalidations, pages_taken; /* gpu/paging.h */
	uint64_t paged;				 /* bytes of pageable memory that the GPU sees now */
	uint32_t processes, queues;
};
/* Of the gpu-th GPU. system_pinned and processes are those of the whole device, told of the first. */
void kfd_gpu_stats(struct kfd_device *device, uint32_t gpu, struct kfd_stats *stats);
void kfd_device_stats(struct kfd_device *device, struct kfd_stats *stats); /* the sums over all GPUs */

#endif
