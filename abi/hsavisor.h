/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * hsavisor.h - the contract of guest and host.
 *
 * The device is a virtio-pci 1.x device with two virtqueues and two shared memory regions. The
 * guest driver sends KFD requests over the control queue as the KFD UAPI structs they are
 * (linux/kfd_ioctl.h), followed by the arrays those structs point at; pointers in them are ignored
 * by the device. Everything on the data path (rings, signals, kernel arguments, doorbells) is
 * shared memory and needs no message.
 *
 * All integers are little-endian. A reserved field is zero when sent and ignored when received.
 * This header is usable from kernel and user space. Anything in it that changes meaning changes
 * HSV_ABI_VERSION or gets a feature bit.
 */
#ifndef HSAVISOR_ABI_H
#define HSAVISOR_ABI_H

#include <linux/types.h>

#define HSV_ABI_VERSION 2

/* Virtio device id, from the range the virtio specification leaves unassigned; the PCI device id is
 * 0x1040 + this. */
#define HSV_VIRTIO_ID	  62
#define HSV_PCI_VENDOR_ID 0x1af4
#define HSV_PCI_DEVICE_ID (0x1040 + HSV_VIRTIO_ID)

/* Device feature bits (virtio feature bit numbers 0..23 belong to the device type). */
#define HSV_F_PARK 0 /* the device parks doorbell pages of idle processes; without it it polls */
#define HSV_F_SWAP 1 /* the VM's VRAM may go away for a while: HSV_EVENT_VRAM_AWAY */
/* Pageable memory: processes may turn XNACK on, HSV_EVENT_PAGES, HSV_REQ_PAGES, HSV_REQ_PAGES_INVALIDATE. */
#define HSV_F_PAGING 2
/* The driver may keep pages of programs in VRAM: HSV_REQ_VRAM_TAKE, HSV_REQ_VRAM_GIVE, HSV_EXTENT_VRAM. */
#define HSV_F_VRAM_PAGES 3

/* Virtqueues. */
#define HSV_QUEUE_CONTROL 0 /* guest -> device: struct hsv_request; answered in the same chain */
#define HSV_QUEUE_EVENT	  1 /* device -> guest: struct hsv_event, one per buffer */
#define HSV_NUM_QUEUES	  2
#define HSV_QUEUE_SIZE	  256

/* Shared memory regions (VIRTIO_PCI_CAP_SHARED_MEMORY_CFG ids). */
#define HSV_SHM_DOORBELLS 0 /* of each GPU, one after the other: max_processes slots of HSV_DOORBELL_SLOT bytes */
#define HSV_SHM_VRAM	  1 /* of each GPU, one after the other: vram_size bytes */

#define HSV_DOORBELL_SLOT 8192 /* bytes of doorbells of a GPU process: 1024 of 8, as gfx9 */
#define HSV_MAX_PROCESSES 256
#define HSV_MAX_GPUS	  8
#define HSV_PAGE_SIZE	  4096

/* Limits of one control message. */
#define HSV_MAX_ARGS	128	   /* largest KFD argument struct, bytes */
#define HSV_MAX_ARRAY	(1u << 20) /* bytes of arrays that follow, each direction */
#define HSV_MAX_EXTENTS (HSV_MAX_ARRAY / 2 / sizeof(struct hsv_extent)) /* in one message */

/* A GPU of the device. Where it is not KFD's gpu_id that names it, its index in struct hsv_config does. */
struct hsv_gpu_config {
	__le32 gpu_id;	      /* KFD's id of the GPU, non-zero, 16 bits; each GPU's its own */
	__le32 pci_device_id; /* of the AMD device it presents to libdrm, e.g. 0x740f */
	__le64 vram_size;     /* bytes of its part of SHM_VRAM, a page multiple: the most that the VM's quota of it can be */
};

/* Device configuration space. */
struct hsv_config {
	__le32 abi_version;
	__le32 kfd_version;   /* major << 16 | minor, what AMDKFD_IOC_GET_VERSION answers */
	__le32 max_processes; /* at most HSV_MAX_PROCESSES */
	__le32 num_gpus;      /* 1 .. HSV_MAX_GPUS */
	struct hsv_gpu_config gpus[HSV_MAX_GPUS]; /* zero from num_gpus on */
};

/* A run of memory: guest-physical in requests (GTT, USERPTR), an offset into SHM_VRAM in answers to
 * VRAM allocations. */
struct hsv_extent {
	__le64 addr; /* page-aligned */
	__le64 size; /* bytes, page multiple, non-zero */
};

/* addr of an extent of an SVM range's MEMORY_RESTORE and _EXTEND: the program has nothing there. Its attributes are forgotten. */
#define HSV_EXTENT_HOLE (~0ULL)

/* In the addr of an extent of HSV_REQ_PAGES: the rest of it is an offset into SHM_VRAM, within what was taken by HSV_REQ_VRAM_TAKE. */
#define HSV_EXTENT_VRAM (1ULL << 63)

/* Flag of ALLOC_MEMORY_OF_GPU by front ends for the pages of an SVM range, see abi/kfd_ioctls.h;
 * free among KFD_IOC_ALLOC_MEM_FLAGS_*. */
#define HSV_KFD_ALLOC_SVM (1u << 16)

enum hsv_request_type {
	/*
	 * A process opened /dev/kfd: makes a GPU process. The driver chooses process (0 ..
	 * max_processes - 1, free). Its doorbell slot of the GPU with index i is the one with number
	 * i * max_processes + process in SHM_DOORBELLS. args: struct hsv_process_args.
	 */
	HSV_REQ_PROCESS_CREATE = 1,
	/* Ends queues, unmaps and frees everything of the process. When answered, the GPU touches
	   none of it any more. */
	HSV_REQ_PROCESS_DESTROY = 2,
	/*
	 * A KFD ioctl: code is its _IOC_NR, args its argument struct, then arrays as
	 * abi/kfd_ioctls.h says. For ALLOC_MEMORY_OF_GPU of GTT or USERPTR the arrays are
	 * hsv_extents (guest-physical, sum of sizes = size) covering the buffer; for VRAM the
	 * answer's arrays are hsv_extents in SHM_VRAM.
	 */
	HSV_REQ_KFD_IOCTL = 3,
	/* DRM_AMDGPU_INFO of the GPU with index code: args: struct drm_amdgpu_info; the answer's array is
	   what goes to return_pointer. -EINVAL: no such GPU. */
	HSV_REQ_DRM_INFO = 4,
	/* The topology below /sys/class/kfd/kfd/topology; args: struct hsv_topology_args; answer
	   array: hsv_topology_file records. */
	HSV_REQ_TOPOLOGY = 5,
	/*
	 * More extents of a GTT/USERPTR buffer whose ALLOC carried the first ones only (args:
	 * struct hsv_memory_args, arrays: extents). Such a buffer can be mapped only when all
	 * extents are there.
	 */
	HSV_REQ_MEMORY_EXTEND = 6,
	/*
	 * User pages of a USERPTR buffer changed (MMU notifier). Synchronous: when answered, the
	 * GPU does not use the buffer's pages. The process's queues are suspended until every
	 * invalidated buffer is restored or freed. args: struct hsv_memory_args.
	 */
	HSV_REQ_MEMORY_INVALIDATE = 7,
	/*
	 * The buffer's pages again (extents as in ALLOC; none: the pages are gone, GPU access is a
	 * memory fault). args: struct hsv_memory_args. May be followed by MEMORY_EXTEND. Queues
	 * resume when nothing invalidated is left.
	 */
	HSV_REQ_MEMORY_RESTORE = 8,
	/* The user mapping of the process's doorbells of all GPUs is gone (answer to HSV_EVENT_PARK). No args.
	 */
	HSV_REQ_PARKED = 9,
	/* A store to a parked doorbell page faulted: when answered, the device polls the doorbells
	   again and they may be mapped. No args. */
	HSV_REQ_UNPARK = 10,
	/* The guest has unmapped all VRAM, of all GPUs, and will send VRAM_BACK before it maps any again (answer to
	   HSV_EVENT_VRAM_AWAY). No process, no args. */
	HSV_REQ_VRAM_AWAY = 11,
	/* The guest is about to map VRAM: when answered, all of it is there, until the next
	   HSV_EVENT_VRAM_AWAY. May take long. No process, no args. */
	HSV_REQ_VRAM_BACK = 12,
	/*
	 * Pages of a process with XNACK on: what the GPU sees at [va, va + size) from now on; whatever pages it had there before are
	 * replaced. The answer to HSV_EVENT_PAGES, or unasked (prefetch). args: struct hsv_pages_args, arrays: hsv_extents whose sizes
	 * sum to size (none if error is set: waves that wait for the range get a memory fault). Up to a buffer; -EADDRINUSE if one is at va.
	 */
	HSV_REQ_PAGES = 13,
	/*
	 * The pages of [va, va + size) are no longer the program's (MMU notifier). Synchronous: when answered, the GPU uses none of them; it asks
	 * again when it needs one. Pages of the range only, never buffers. args: struct hsv_pages_args.
	 */
	HSV_REQ_PAGES_INVALIDATE = 14,
	/* A share that EXPORT_DMABUF answered (code: its number) has no dma-buf any more. No process, no args. */
	HSV_REQ_SHARE_PUT = 15,
	/*
	 * The driver takes VRAM of the GPU with index code for pages of programs: one run of size bytes, zeroed; the answer's args have where it is. -ENOMEM: the quota,
	 * or it is in pieces. Until it is given back only the driver uses it. No process. args: struct hsv_vram_args.
	 */
	HSV_REQ_VRAM_TAKE = 16,
	/* Gives back what one VRAM_TAKE answered, whole. When answered, no GPU process sees it. -EINVAL: it was not taken so. No process. args: struct hsv_vram_args. */
	HSV_REQ_VRAM_GIVE = 17,
};

/*
 * A request chain: device-readable hsv_request, args (args_size), in-arrays (in_size);
 * device-writable hsv_response, args (args_size, the struct as the ioctl leaves it), out-arrays (at
 * most out_size).
 */
struct hsv_request {
	__le32 type;
	__le32 process; /* id given at PROCESS_CREATE; 0 where none is needed */
	__le32 code;
	__le32 args_size;
	__le32 in_size;
	__le32 out_size;
	__le64 reserved;
};

struct hsv_response {
	__le32 error; /* 0 or a positive Linux errno */
	__le32 args_size;
	__le32 out_size; /* bytes of arrays written */
	__le32 reserved;
};

struct hsv_process_args {
	__le32 pid; /* in the guest's initial namespace, for logs and accounting */
	__le32 reserved;
	char comm[16];
};

struct hsv_memory_args {
	__le64 handle; /* KFD's memory handle */
	__le64 reserved;
};

#define HSV_PAGES_READ	1
#define HSV_PAGES_WRITE 2
#define HSV_PAGES_EXEC	4

struct hsv_pages_args {
	__le64 va;
	__le64 size;  /* bytes; both page multiples */
	__le32 prot;  /* HSV_PAGES_*: what the GPU may do */
	__le32 error; /* 0, or a positive errno: there are no such pages, or not with that right */
	__le64 reserved;
};

struct hsv_vram_args {
	__le64 offset; /* in SHM_VRAM */
	__le64 size;   /* bytes; both page multiples */
};

/* Unanswered HSV_EVENT_PAGES of one process. */
#define HSV_MAX_PAGE_REQUESTS 16

struct hsv_topology_args {
	__le32 cpus;
	__le32 reserved;
	__le64 memory;	     /* bytes of the guest's memory */
	__le32 render_minors[HSV_MAX_GPUS]; /* of each GPU's DRM render node, 128.. */
};

/* Followed by path (relative to topology/, no leading slash, not terminated) and content; records
 * are padded to 4 bytes. */
struct hsv_topology_file {
	__le16 path_size;
	__le16 reserved;
	__le32 content_size;
};

enum hsv_event_type {
	HSV_EVENT_SIGNAL = 1,	    /* event_id was set by the GPU */
	HSV_EVENT_MEMORY_FAULT = 2, /* memory */
	HSV_EVENT_HW_EXCEPTION = 3, /* GPU process lost: exception */
	HSV_EVENT_PARK = 4, /* please unmap the process's doorbells and answer HSV_REQ_PARKED */
	HSV_EVENT_VRAM_AWAY = 5, /* of no process: please unmap the VRAM of all GPUs and answer HSV_REQ_VRAM_AWAY. A
				    guest that doesn't keeps it. */
	/* The GPU waits for memory of a process with XNACK on: pages; answered by HSV_REQ_PAGES of at least its first page. The range may be
	   larger than what is needed at once: what of it can be had for the same price. At most HSV_MAX_PAGE_REQUESTS of a process are unanswered. */
	HSV_EVENT_PAGES = 6,
};

struct hsv_event {
	__le32 type;
	__le32 process;
	union {
		__le32 event_id;
		struct {
			__le64 va;
			__le32 not_present, read_only, no_execute, imprecise;
			__le32 gpu; /* index */
			__le32 reserved;
		} memory;
		struct {
			__le32 reset_type, reset_cause, memory_lost;
			__le32 gpu; /* index */
		} exception;
		struct {
			__le64 va, size;
			__le32 prot; /* HSV_PAGES_*: what is needed */
			__le32 reserved;
		} pages;
		__u8 pad[40];
	};
};

#endif
