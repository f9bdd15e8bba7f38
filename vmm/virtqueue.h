/* SPDX-License-Identifier: MIT */
/*
 * virtqueue.h - the device's side of a split virtqueue (virtio 1.2, 2.7), with indirect descriptors
 * and event index.
 *
 * Rings and descriptors are the guest's and change at any moment: each is copied once and only the
 * copy is looked at. What breaks the rules makes the queue broken (-EIO) for good; the caller then
 * sets DEVICE_NEEDS_RESET.
 *
 * Not locked: a queue has one user at a time (see device.c).
 */
#ifndef VMM_VIRTQUEUE_H
#define VMM_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/dma.h"

#define VQ_MAX_SEGMENTS 1024	   /* descriptors of a chain: 1 MiB of single pages each way fits */
#define VQ_MAX_BYTES	(4u << 20) /* bytes of a chain */

struct virtqueue {
	const struct dma_map *dma;
	/* What the driver sets up. */
	uint16_t size; /* power of two */
	bool enabled;
	uint64_t desc, avail, used; /* guest-physical */
	bool indirect, event_idx;   /* features negotiated */

	uint16_t next_avail, next_used;
	uint16_t signalled; /* next_used when the driver was last interrupted, if signalled_valid */
	bool signalled_valid;
	bool broken;
};

struct vq_segment {
	uint64_t address;
	uint32_t size;
};

/* A descriptor chain: buffers the device reads, then buffers it writes. */
struct vq_chain {
	uint16_t head;
	uint32_t read_size, write_size; /* bytes */
	unsigned num_read, num_write;
	struct vq_segment segments[VQ_MAX_SEGMENTS];
};

/* As after a device reset: not enabled, no addresses. */
void vq_reset(struct virtqueue *vq, const struct dma_map *dma, uint16_t size);
/* Starts at index 0, with the rings where the driver put them. -EINVAL: addresses wrong or not
 * reachable. */
int vq_enable(struct virtqueue *vq);

/* Takes the next chain the driver made available. 1: there's one in *chain; 0: none; -EIO: the
 * queue is broken. */
int vq_pop(struct virtqueue *vq, struct vq_chain *chain);
/* Copies size bytes at offset of the chain's readable part (_get) or to its writable part (_put).
 * -EFAULT: outside of the chain or of memory. */
int vq_chain_get(const struct virtqueue *vq, const struct vq_chain *chain, size_t offset, void *buf,
		 size_t size);
int vq_chain_put(const struct virtqueue *vq, const struct vq_chain *chain, size_t offset,
		 const void *buf, size_t size);
/* Gives the chain back; written: bytes that were put. 0 or -EIO. */
int vq_push(struct virtqueue *vq, uint16_t head, uint32_t written);
/* True if the driver wants an interrupt for what was pushed since the last time this said so. */
bool vq_should_interrupt(struct virtqueue *vq);
/*
 * Asks the driver to notify of the next chain it makes available (want), or not to. Returns true
 * when chains are there that the driver may not have notified of.
 */
bool vq_want_notify(struct virtqueue *vq, bool want);

#endif
