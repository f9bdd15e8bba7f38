// SPDX-License-Identifier: MIT
/*
 * dma.c - see dma.h. A VM has some ten to a few hundred ranges (RAM below and above 4 GiB, holes,
 * plugged memory), so a sorted array is right: lookups by bisection, changes are rare.
 *
 * Ranges that are adjacent for the guest are usually pieces of one file but mapped apart; a buffer
 * across them can be copied but isn't contiguous here, and dma_resolve refuses it.
 */
#include "vmm/dma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096u

int dma_init(struct dma_map *map, size_t max)
{
	*map = (struct dma_map){.ranges = calloc(max, sizeof(*map->ranges)), .max = max};
	return map->ranges ? 0 : -ENOMEM;
}

void dma_fini(struct dma_map *map)
{
	while (map->count)
		dma_remove(map, &map->ranges[map->count - 1]);
	free(map->ranges);
	map->ranges = NULL;
}

/* Index of the first range that ends above address. */
static size_t lower(const struct dma_map *map, uint64_t address)
{
	size_t lo = 0, hi = map->count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (map->ranges[mid].address + (map->ranges[mid].size - 1) < address)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int dma_add(struct dma_map *map, uint64_t address, uint64_t size, int fd, uint64_t offset,
	    bool write)
{
	void *host = NULL;
	size_t i;

	if (size == 0 || (address | size | offset) % PAGE || address + (size - 1) < address)
		return -EINVAL;
	i = lower(map, address);
	if (i < map->count && map->ranges[i].address <= address + (size - 1))
		return -EEXIST;
	if (map->count == map->max)
		return -ENOSPC;
	if (fd >= 0) {
		struct stat st;

		/* A mapping past the file's end would be a bus error at the first touch. */
		if (fstat(fd, &st) < 0)
			return -errno;
		if (!S_ISREG(st.st_mode) || offset > (uint64_t)st.st_size ||
		    size > (uint64_t)st.st_size - offset)
			return -EINVAL;
		host = mmap(NULL, size, PROT_READ | (write ? PROT_WRITE : 0),
			    MAP_SHARED | MAP_NORESERVE, fd, (off_t)offset);
		if (host == MAP_FAILED)
			return -errno;
	}
	memmove(&map->ranges[i + 1], &map->ranges[i], (map->count - i) * sizeof(map->ranges[0]));
	map->ranges[i] = (struct dma_range){address, size, host, write};
	map->count++;
	return 0;
}

struct dma_range *dma_find(struct dma_map *map, uint64_t address, uint64_t size)
{
	size_t i = lower(map, address);

	if (i == map->count || map->ranges[i].address != address || map->ranges[i].size != size)
		return NULL;
	return &map->ranges[i];
}

void dma_remove(struct dma_map *map, struct dma_range *range)
{
	size_t i = (size_t)(range - map->ranges);

	if (range->host)
		munmap(range->host, range->size);
	map->count--;
	memmove(range, range + 1, (map->count - i) * sizeof(*range));
}

uint64_t dma_total(const struct dma_map *map)
{
	uint64_t total = 0;

	for (size_t i = 0; i < map->count; i++)
		if (map->ranges[i].host && map->ranges[i].write)
			total += map->ranges[i].size;
	return total;
}

void *dma_resolve(const struct dma_map *map, uint64_t address, uint64_t size)
{
	size_t i = lower(map, address);
	const struct dma_range *r = &map->ranges[i];

	if (size == 0 || i == map->count || address < r->address || !r->host || !r->write ||
	    size > r->size - (address - r->address))
		return NULL;
	return r->host + (address - r->address);
}

/*
 * The guest may change what is being copied, and may have asked for copies into each other's way.
 * That's its own affair: the copy that comes out is private and checked afterwards. Thread
 * sanitizers, which see two of our threads race, are told by a loop they don't look into.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DMA_TSAN
#endif
#elif defined(__SANITIZE_THREAD__)
#define DMA_TSAN
#endif
#ifdef DMA_TSAN
__attribute__((no_sanitize_thread)) static void
copy_bytes(volatile uint8_t *to, const volatile uint8_t *from, size_t size)
{
	while (size--)
		*to++ = *from++;
}
#else
#define copy_bytes memcpy
#endif

static int copy(const struct dma_map *map, uint64_t address, uint8_t *to, const uint8_t *from,
		size_t size)
{
	for (size_t i = lower(map, address); size; i++) {
		const struct dma_range *r = &map->ranges[i];
		uint64_t offset, part;

		if (i >= map->count || address < r->address || !r->host || (from && !r->write))
			return -EFAULT;
		offset = address - r->address;
		part = r->size - offset < size ? r->size - offset : size;
		if (from) {
			copy_bytes(r->host + offset, from, part);
			from += part;
		} else {
			copy_bytes(to, r->host + offset, part);
			to += part;
		}
		address += part;
		size -= part;
		if (size && address == 0) /* wrapped */
			return -EFAULT;
	}
	return 0;
}

int dma_read(const struct dma_map *map, uint64_t address, void *buf, size_t size)
{
	return copy(map, address, buf, NULL, size);
}

int dma_write(const struct dma_map *map, uint64_t address, const void *buf, size_t size)
{
	return copy(map, address, NULL, buf, size);
}
