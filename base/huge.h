/* SPDX-License-Identifier: MIT */
/*
 * huge.h - shared memory in huge pages: a GPU's memory is walked in all directions, and with small pages what that costs is the CPU's look for pages.
 */
#ifndef BASE_HUGE_H
#define BASE_HUGE_H

#include <stddef.h>
#include <stdint.h>

#define HUGE_BYTES (2ull << 20)

/*
 * Maps size bytes of a file, shared, to be read and written, without taking memory for them. Address and offset are the same modulo HUGE_BYTES, without
 * which the file's huge pages would be mapped as small ones. NULL: errno says why. To be undone by munmap().
 */
void *huge_map(int fd, uint64_t size);

/*
 * Takes the memory of all blocks of HUGE_BYTES that lie whole in a mapping of huge_map() from p on, size bytes, as huge pages. What is in them stays. Stops
 * at the first that can't be had: memory is short or in pieces, the kernel is older than 6.1, or its administrator denies it (shmem_enabled); what is left
 * is taken page by page when it is touched.
 */
void huge_take(void *p, uint64_t size);

#endif
