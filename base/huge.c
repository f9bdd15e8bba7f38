/* SPDX-License-Identifier: MIT */
/*
 * huge.c - memfds get huge pages when they are touched only where the administrator says so for the whole machine; MADV_COLLAPSE asks for single ones. It
 * wants a page to begin with.
 */
#include "base/huge.h"

#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define PAGE 4096

void *huge_map(int fd, uint64_t size)
{
	uint64_t room, before;
	uint8_t *p;

	size = (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	room = size + HUGE_BYTES;
	p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (HUGE_BYTES - 1);
	if (mmap(p + before, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) == MAP_FAILED) {
		munmap(p, room);
		return NULL;
	}
	if (before)
		munmap(p, before);
	munmap(p + before + size, HUGE_BYTES - before);
	return p + before;
}

void huge_take(void *p, uint64_t size)
{
	uint64_t at = -(uintptr_t)p & (HUGE_BYTES - 1);

	for (; size >= HUGE_BYTES && at <= size - HUGE_BYTES; at += HUGE_BYTES) {
		uint8_t *block = (uint8_t *)p + at;

		if (madvise(block, PAGE, MADV_POPULATE_WRITE) || madvise(block, HUGE_BYTES, MADV_COLLAPSE))
			return;
	}
}
