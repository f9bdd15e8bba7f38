/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hostile.h - a driver that attacks the device, and what its files offer each other.
 *
 * transport.c knows the device well enough to behave; the cases use it to get where the rules can
 * be broken. main.c runs cases one at a time and judges how the device took each.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <linux/io.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include <uapi/linux/kfd_ioctl.h>

#include <abi/hsavisor.h>

/* Requests that may be under way at once, each with a page and SLOT_DESCS descriptors. */
#define SLOTS	   64
#define SLOT_DESCS 4
#define SLOT_REPLY 2048 /* where in its page the device writes */

/* The memory for everything, contiguous: offsets of its parts. */
#define AREA_SIZE  (4u << 20)
#define AREA_SLOTS 0		   /* SLOTS pages */
#define AREA_JUNK  0x080000	   /* what cases like, 512 KiB */
#define AREA_IN	   0x100000	   /* arrays of requests, 1 MiB */
#define AREA_OUT   0x200000	   /* of answers, 1 MiB + a page */
#define AREA_GPU   0x302000	   /* memory of GPU processes */
#define GPU_SIZE   0x80000u	   /* of them, bytes */
#define GPU_VA	   0x1000000000ULL /* where they have it */

/* In the memory of a GPU process. */
#define GPU_RING      0x0000
#define GPU_RING_SIZE 0x4000 /* 256 packets */
#define GPU_POINTERS  0x8000 /* write pointer, read pointer 64 bytes on */
#define GPU_ENDS      0x9000 /* descriptor of a kernel that ends; its code 256 bytes on */
#define GPU_SPINS     0x9800 /* and of one that doesn't */
#define GPU_SIGNAL    0xa000

#define ALL_FEATURES                                                                               \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(HSV_F_PARK))

/* A queue's rings, in memory that all drivers of the device share. */
struct hostile_queue {
	void *memory; /* RINGS_SIZE */
	dma_addr_t at;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u16 next_avail, next_used;
};

#define RINGS_SIZE  0x4000
#define RINGS_AVAIL 0x1000
#define RINGS_USED  0x2000

struct hostile {
	struct pci_dev *pdev;
	struct mutex lock; /* one case at a time */
	void __iomem *bar; /* BAR 0 */
	resource_size_t bar_size;
	struct virtio_pci_common_cfg __iomem *common;
	void __iomem *isr, *config, *notify;
	u32 notify_multiplier;
	u64 doorbells_at, doorbells_size, vram_at, vram_size;
	u64 *doorbells; /* mapped, as is VRAM */
	u8 *vram;
	u32 gpu_id;

	struct hostile_queue queues[HSV_NUM_QUEUES];
	u8 *area;
	dma_addr_t area_at;
	u32 seed;
	u64 queue_written; /* packets of the one AQL queue that gpu_queue() makes */
	u32 queue_id, queue_process;

	struct dentry *dir;
	char *log; /* TAP of what ran */
	size_t log_size;
	unsigned int cases, failed;
};

/* What must be true after a case, before the device is reset. */
enum after {
	ANYTHING,    /* goes on, or asks for a reset */
	SERVES,	     /* still answers requests on the same rings */
	NEEDS_RESET, /* DEVICE_NEEDS_RESET */
};

struct hostile_case {
	const char *name;
	/* On a device that was just started with ALL_FEATURES. 0, or the negative errno of what the
	 * device got wrong (case_fail() says it). */
	int (*run)(struct hostile *h);
	enum after after;
};

/* Each ends with an entry without a name. */
extern const struct hostile_case transport_cases[], rings_cases[], request_cases[], gpu_cases[];

/* Says what is wrong and returns -EBADE. */
__printf(2, 3) int case_fail(struct hostile *h, const char *format, ...);

u32 hostile_random(struct hostile *h);

/* transport.c */
int transport_map(struct hostile *h);
void transport_unmap(struct hostile *h);
u8 device_status(struct hostile *h);
void set_status(struct hostile *h, u8 status);
/* 0 when the device says that it is reset. */
int device_reset(struct hostile *h);
void set_features(struct hostile *h, u64 features);
void queue_place(struct hostile *h, u16 queue, u16 size, u64 desc, u64 avail, u64 used);
/* Up to DRIVER_OK, with event buffers. */
int device_start(struct hostile *h, u64 features);
void kick(struct hostile *h, u16 queue);
/* Writes a descriptor; makes a chain available. */
void put_desc(struct hostile *h, u16 queue, u16 i, u64 addr, u32 len, u16 flags, u16 next);
void offer(struct hostile *h, u16 queue, u16 head);
/* Chains that came back since the last call that said so, at most one that waits ms for count of
 * them: 0, -EPIPE (needs reset), -ETIMEDOUT. */
int reap(struct hostile *h, u16 queue, unsigned int count, unsigned int ms);
void *slot_page(struct hostile *h, unsigned int slot);
struct hsv_response *slot_reply(struct hostile *h, unsigned int slot);
/* Makes the request available in that slot without waiting; arrays are in AREA_IN and AREA_OUT. The
 * sizes said are the sizes sent. */
void post(struct hostile *h, unsigned int slot, u32 type, u32 process, u32 code, const void *args,
	  u32 args_size, u32 in_size, u32 out_size);
/* A whole request in slot 0. The answer's error as a negative errno, or that of reap(). args take
 * what comes back. */
int request(struct hostile *h, u32 type, u32 process, u32 code, void *args, u32 args_size,
	    u32 in_size, u32 out_size);
int create_process(struct hostile *h, u32 process);
int destroy_process(struct hostile *h, u32 process);
/* in_size bytes of AREA_IN go with it. */
int kfd(struct hostile *h, u32 process, unsigned int cmd, void *args, u32 in_size);

/* A GPU process with AREA_GPU mapped at GPU_VA. */
int gpu_process(struct hostile *h, u32 process);
int gpu_alloc(struct hostile *h, u32 process, u32 flags, u64 va, u64 size, u32 extents,
	      u64 *handle);
int gpu_map(struct hostile *h, u32 process, u64 handle);
/* An AQL queue of it. Its rings are cleared. */
int gpu_queue(struct hostile *h, u32 process);
/* Dispatches the kernel at that offset, with GPU_SIGNAL set to 1 before; event: id to signal, or 0.
 */
void gpu_dispatch(struct hostile *h, u32 kernel, u32 event);
/* Waits until the dispatch's signal is 0. */
int gpu_wait(struct hostile *h, unsigned int ms);
/* The whole way: process, queue, a kernel that ends, and back. On a started device. */
int behave(struct hostile *h);

#endif
