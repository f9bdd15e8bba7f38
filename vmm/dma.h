/* SPDX-License-Identifier: MIT */
/*
 * dma.h - the memory of the VM, as the client of the vfio-user server gave it: guest-physical
 * ranges and where each is mapped here.
 *
 * Not locked: whoever changes the table makes sure that nobody uses it meanwhile (see device.c).
 */
#ifndef VMM_DMA_H
#define VMM_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dma_range {
	uint64_t address, size; /* guest-physical */
	uint8_t *host;		/* NULL: exists but can't be reached */
	bool write;
};

struct dma_map {
	struct dma_range *ranges; /* sorted by address, disjoint */
	size_t count, max;
};

/* max: ranges it may hold. 0 or -ENOMEM. */
int dma_init(struct dma_map *map, size_t max);
void dma_fini(struct dma_map *map);

/*
 * Adds [address, address + size), both page multiples, mapped from fd (not taken over) at offset;
 * fd -1: unreachable. -EINVAL bad range, offset or a file that is smaller; -EEXIST overlaps one
 * that's there; -ENOSPC table full; or mmap's errno.
 */
int dma_add(struct dma_map *map, uint64_t address, uint64_t size, int fd, uint64_t offset,
	    bool write);
/* The range that is exactly this one, or NULL. */
struct dma_range *dma_find(struct dma_map *map, uint64_t address, uint64_t size);
/* Unmaps and removes. */
void dma_remove(struct dma_map *map, struct dma_range *range);

/* Bytes of the VM's memory that can be reached and written. */
uint64_t dma_total(const struct dma_map *map);

/* Host address of [address, address + size), NULL unless all of it is in one host-contiguous piece
 * and may be written. */
void *dma_resolve(const struct dma_map *map, uint64_t address, uint64_t size);

/* Copies from or to guest memory, across ranges. -EFAULT when any byte can't be reached (part may
 * have been copied). */
int dma_read(const struct dma_map *map, uint64_t address, void *buf, size_t size);
int dma_write(const struct dma_map *map, uint64_t address, const void *buf, size_t size);

#endif
