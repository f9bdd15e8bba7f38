// SPDX-License-Identifier: MIT
/*
 * virtqueue.c - see virtqueue.h.
 *
 * Layout (virtio 1.2, 2.7.5 to 2.7.8), size = number of descriptors:
 *   descriptors   size * 16: le64 addr, le32 len, le16 flags, le16 next
 *   available     le16 flags, le16 idx, le16 ring[size], le16 used_event
 *   used          le16 flags, le16 idx, { le32 id, le32 len } ring[size], le16 avail_event
 *
 * Indices are read and written with single atomic accesses at host addresses; rings were checked to
 * be reachable when the queue was enabled, but memory may be unplugged at any time, so each access
 * is resolved again.
 */
#define LOG_PART "vmm"
#include "vmm/virtqueue.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"

#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY	   1u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

static int broken(struct virtqueue *vq, const char *why)
{
	if (!vq->broken)
		log_warn("the guest broke a virtqueue: %s", why);
	vq->broken = true;
	return -EIO;
}

static int load16(const struct virtqueue *vq, uint64_t address, uint16_t *value)
{
	_Atomic uint16_t *p = dma_resolve(vq->dma, address, sizeof(*value));

	if (!p)
		return -EFAULT;
	*value = le16toh(atomic_load_explicit(p, memory_order_acquire));
	return 0;
}

static int store16(const struct virtqueue *vq, uint64_t address, uint16_t value)
{
	_Atomic uint16_t *p = dma_resolve(vq->dma, address, sizeof(value));

	if (!p)
		return -EFAULT;
	atomic_store_explicit(p, htole16(value), memory_order_release);
	return 0;
}

static uint64_t used_event_at(const struct virtqueue *vq)
{
	return vq->avail + 4 + 2 * (uint64_t)vq->size;
}

static uint64_t avail_event_at(const struct virtqueue *vq)
{
	return vq->used + 4 + 8 * (uint64_t)vq->size;
}

void vq_reset(struct virtqueue *vq, const struct dma_map *dma, uint16_t size)
{
	*vq = (struct virtqueue){.dma = dma, .size = size};
}

/* Overflow of address + size is dma_resolve's to find. */
int vq_enable(struct virtqueue *vq)
{
	if (vq->desc % 16 || vq->avail % 2 || vq->used % 4 ||
	    !dma_resolve(vq->dma, vq->desc, 16 * (uint64_t)vq->size) ||
	    !dma_resolve(vq->dma, vq->avail, 6 + 2 * (uint64_t)vq->size) ||
	    !dma_resolve(vq->dma, vq->used, 6 + 8 * (uint64_t)vq->size))
		return -EINVAL;
	vq->next_avail = vq->next_used = 0;
	vq->signalled_valid = false;
	vq->broken = false;
	vq->enabled = true;
	return 0;
}

/* One descriptor of a table of count. */
static int get_desc(const struct virtqueue *vq, uint64_t table, unsigned count, unsigned i,
		    struct desc *desc)
{
	struct desc raw;

	if (i >= count || dma_read(vq->dma, table + 16 * (uint64_t)i, &raw, sizeof(raw)))
		return -EFAULT;
	desc->addr = le64toh(raw.addr);
	desc->len = le32toh(raw.len);
	desc->flags = le16toh(raw.flags);
	desc->next = le16toh(raw.next);
	return 0;
}

static const char *add_segment(struct vq_chain *chain, const struct desc *desc)
{
	unsigned n = chain->num_read + chain->num_write;

	if (n == VQ_MAX_SEGMENTS)
		return "chain too long";
	if (desc->len == 0)
		return "empty buffer";
	if (desc->len > VQ_MAX_BYTES - chain->read_size - chain->write_size)
		return "chain too large";
	if (desc->flags & DESC_WRITE) {
		chain->num_write++;
		chain->write_size += desc->len;
	} else {
		if (chain->num_write)
			return "readable buffer after a writable one";
		chain->num_read++;
		chain->read_size += desc->len;
	}
	chain->segments[n] = (struct vq_segment){desc->addr, desc->len};
	return NULL;
}

/* Walks a table from descriptor i; a walk of more than count steps is a loop. NULL or what is
 * wrong. */
static const char *walk(const struct virtqueue *vq, struct vq_chain *chain, uint64_t table,
			unsigned count, unsigned i, bool nested)
{
	for (unsigned steps = 0; steps < count; steps++) {
		struct desc desc;
		const char *why;

		if (get_desc(vq, table, count, i, &desc))
			return "descriptor outside of its table or of memory";
		if (desc.flags & DESC_INDIRECT) {
			if (!vq->indirect || nested || (desc.flags & DESC_NEXT))
				return "indirect table where none may be";
			if (desc.len == 0 || desc.len % 16 || desc.len / 16 > VQ_MAX_SEGMENTS)
				return "indirect table of a bad size";
			return walk(vq, chain, desc.addr, desc.len / 16, 0, true);
		}
		why = add_segment(chain, &desc);
		if (why)
			return why;
		if (!(desc.flags & DESC_NEXT))
			return NULL;
		i = desc.next;
	}
	return "descriptors in a loop";
}

int vq_pop(struct virtqueue *vq, struct vq_chain *chain)
{
	const char *why;
	uint16_t idx, head;

	if (vq->broken)
		return -EIO;
	if (!vq->enabled)
		return 0;
	if (load16(vq, vq->avail + 2, &idx))
		return broken(vq, "available ring is not in memory");
	if (idx == vq->next_avail)
		return 0;
	if ((uint16_t)(idx - vq->next_avail) > vq->size)
		return broken(vq, "available index jumped");
	if (load16(vq, vq->avail + 4 + 2 * (uint64_t)(vq->next_avail % vq->size), &head))
		return broken(vq, "available ring is not in memory");
	chain->head = head;
	chain->read_size = chain->write_size = 0;
	chain->num_read = chain->num_write = 0;
	why = walk(vq, chain, vq->desc, vq->size, head, false);
	if (why)
		return broken(vq, why);
	vq->next_avail++;
	return 1;
}

static int chain_copy(const struct virtqueue *vq, const struct vq_segment *segments, unsigned count,
		      size_t offset, uint8_t *to, const uint8_t *from, size_t size)
{
	for (unsigned i = 0; i < count && size; i++) {
		const struct vq_segment *seg = &segments[i];
		size_t part;
		int ret;

		if (offset >= seg->size) {
			offset -= seg->size;
			continue;
		}
		part = seg->size - offset < size ? seg->size - offset : size;
		if (seg->address + offset < seg->address)
			return -EFAULT;
		if (from) {
			ret = dma_write(vq->dma, seg->address + offset, from, part);
			from += part;
		} else {
			ret = dma_read(vq->dma, seg->address + offset, to, part);
			to += part;
		}
		if (ret)
			return ret;
		size -= part;
		offset = 0;
	}
	return size ? -EFAULT : 0;
}

int vq_chain_get(const struct virtqueue *vq, const struct vq_chain *chain, size_t offset, void *buf,
		 size_t size)
{
	return chain_copy(vq, chain->segments, chain->num_read, offset, buf, NULL, size);
}

int vq_chain_put(const struct virtqueue *vq, const struct vq_chain *chain, size_t offset,
		 const void *buf, size_t size)
{
	return chain_copy(vq, chain->segments + chain->num_read, chain->num_write, offset, NULL,
			  buf, size);
}

int vq_push(struct virtqueue *vq, uint16_t head, uint32_t written)
{
	uint32_t element[2] = {htole32(head), htole32(written)};

	if (vq->broken)
		return -EIO;
	if (dma_write(vq->dma, vq->used + 4 + 8 * (uint64_t)(vq->next_used % vq->size), element,
		      sizeof(element)) ||
	    store16(vq, vq->used + 2, (uint16_t)(vq->next_used + 1)))
		return broken(vq, "used ring is not in memory");
	vq->next_used++;
	return 0;
}

bool vq_should_interrupt(struct virtqueue *vq)
{
	uint16_t old = vq->signalled, event, flags;
	bool valid = vq->signalled_valid;

	if (vq->broken)
		return false;
	/* What the driver asked for is read after it could see what was pushed (2.7.7.2). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!vq->event_idx)
		return load16(vq, vq->avail, &flags) == 0 && !(flags & AVAIL_NO_INTERRUPT);
	if (load16(vq, used_event_at(vq), &event))
		return false;
	vq->signalled = vq->next_used;
	vq->signalled_valid = true;
	return !valid || (uint16_t)(vq->next_used - event - 1) < (uint16_t)(vq->next_used - old);
}

bool vq_want_notify(struct virtqueue *vq, bool want)
{
	uint16_t idx;

	if (vq->broken || !vq->enabled)
		return false;
	if (vq->event_idx) {
		/* Half the index range away is never reached before this is called again. */
		uint16_t event = want ? vq->next_avail : (uint16_t)(vq->next_avail + 0x8000);

		if (store16(vq, avail_event_at(vq), event))
			return false;
	} else if (store16(vq, vq->used, want ? 0 : USED_NO_NOTIFY)) {
		return false;
	}
	atomic_thread_fence(memory_order_seq_cst);
	return load16(vq, vq->avail + 2, &idx) == 0 && idx != vq->next_avail;
}
