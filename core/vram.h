/* SPDX-License-Identifier: MIT */
/*
 * vram.h - an allocator of page extents out of [0, size): the tenant's VRAM, and a host process's
 * GTT. Not locked.
 */
#ifndef CORE_VRAM_H
#define CORE_VRAM_H

#include <stddef.h>
#include <stdint.h>

struct vram_extent {
	uint64_t offset, size;
};
struct vram {
	uint64_t size, used, peak; /* bytes */
	struct vram_extent *free; /* sorted, no two touch */
	size_t num_free, capacity, num_live;
};
int vram_init(struct vram *vram, uint64_t size);
void vram_fini(struct vram *vram);
/*
 * size: page multiple. Takes one extent if any is large enough, else several, largest first, at
 * most max. *extents: malloc'ed, the caller's. -ENOMEM, -ENOSPC (more than max extents).
 */
int vram_alloc(struct vram *vram, uint64_t size, size_t max, struct vram_extent **extents,
	       size_t *n);
void vram_free(struct vram *vram, const struct vram_extent *extents, size_t n);

#endif
