// SPDX-License-Identifier: MIT
/*
 * vram.c - which pages of the tenant's VRAM are free.
 *
 * A sorted array of free extents that never touch each other. A buffer gets one extent when there
 * is one large enough (the smallest such, to keep large ones whole), else the largest ones until it
 * is covered: the GPU's page table makes it contiguous. An extent that can have huge pages begins
 * with one, if there is room. Freeing must not fail, so an allocation already makes room for the
 * entries that its release could add.
 */
#include "core/vram.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/huge.h"

#define PAGE_BYTES 4096ull

static int reserve(struct vram *vram, size_t entries)
{
	struct vram_extent *grown;
	size_t capacity;

	if (entries <= vram->capacity)
		return 0;
	capacity = entries + entries / 2 + 16;
	grown = realloc(vram->free, capacity * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	vram->free = grown;
	vram->capacity = capacity;
	return 0;
}

int vram_init(struct vram *vram, uint64_t size)
{
	int err;

	memset(vram, 0, sizeof(*vram));
	vram->size = size & ~(PAGE_BYTES - 1);
	err = reserve(vram, 16);
	if (err)
		return err;
	if (vram->size)
		vram->free[vram->num_free++] = (struct vram_extent){0, vram->size};
	return 0;
}

void vram_fini(struct vram *vram)
{
	free(vram->free);
	memset(vram, 0, sizeof(*vram));
}

/* Room for one more entry is reserved. */
static void take(struct vram *vram, size_t i, uint64_t size, struct vram_extent *out)
{
	struct vram_extent *e = &vram->free[i];
	uint64_t before = -e->offset & (HUGE_BYTES - 1);

	if (before && size >= HUGE_BYTES && e->size - size >= before) {
		memmove(e + 1, e, (vram->num_free - i) * sizeof(*e));
		vram->num_free++;
		e->size = before;
		e++;
		i++;
		e->offset += before;
		e->size -= before;
	}
	*out = (struct vram_extent){e->offset, size};
	e->offset += size;
	e->size -= size;
	if (!e->size) {
		memmove(e, e + 1, (vram->num_free - i - 1) * sizeof(*e));
		vram->num_free--;
	}
}

/* The smallest free extent of at least size bytes, else the largest of all. */
static size_t best(const struct vram *vram, uint64_t size)
{
	size_t found = 0;

	for (size_t i = 1; i < vram->num_free; i++) {
		uint64_t a = vram->free[found].size, b = vram->free[i].size;

		if (a < size ? b > a : b >= size && b < a)
			found = i;
	}
	return found;
}

int vram_alloc(struct vram *vram, uint64_t size, size_t max, struct vram_extent **extents,
	       size_t *n)
{
	struct vram_extent *list = NULL;
	size_t count = 0, capacity = 0;
	int err = -ENOMEM;

	if (!size || size > vram->size - vram->used)
		return -ENOMEM;
	for (uint64_t left = size; left;) {
		size_t i = best(vram, left);
		uint64_t part = vram->free[i].size < left ? vram->free[i].size : left;

		if (count == max) {
			err = -ENOSPC;
			goto undo;
		}
		if (count == capacity) {
			size_t more = capacity ? capacity * 2 : 4;
			struct vram_extent *grown = realloc(list, more * sizeof(*grown));

			if (!grown)
				goto undo;
			list = grown;
			capacity = more;
		}
		/* Each live extent may become a free one of its own. */
		if (reserve(vram, vram->num_free + vram->num_live + 2))
			goto undo;
		take(vram, i, part, &list[count++]);
		vram->num_live++;
		vram->used += part;
		left -= part;
	}
	if (vram->used > vram->peak)
		vram->peak = vram->used;
	*extents = list;
	*n = count;
	return 0;
undo:
	vram_free(vram, list, count);
	free(list);
	return err;
}

void vram_free(struct vram *vram, const struct vram_extent *extents, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		const struct vram_extent *x = &extents[k];
		size_t lo = 0, hi = vram->num_free;
		bool left, right;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (vram->free[mid].offset < x->offset)
				lo = mid + 1;
			else
				hi = mid;
		}
		left = lo && vram->free[lo - 1].offset + vram->free[lo - 1].size == x->offset;
		right = lo < vram->num_free && x->offset + x->size == vram->free[lo].offset;
		if (left && right) {
			vram->free[lo - 1].size += x->size + vram->free[lo].size;
			memmove(&vram->free[lo], &vram->free[lo + 1],
				(vram->num_free - lo - 1) * sizeof(*x));
			vram->num_free--;
		} else if (left) {
			vram->free[lo - 1].size += x->size;
		} else if (right) {
			vram->free[lo].offset = x->offset;
			vram->free[lo].size += x->size;
		} else {
			memmove(&vram->free[lo + 1], &vram->free[lo],
				(vram->num_free - lo) * sizeof(*x));
			vram->free[lo] = *x;
			vram->num_free++;
		}
		vram->num_live--;
		vram->used -= x->size;
	}
}
