// SPDX-License-Identifier: MIT
/* test_huge.c - shared memory in huge pages: where it is mapped, what of it is taken, what is in it after that; where VRAM's buffers begin. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/huge.h"
#include "core/vram.h"

#define PAGE   4096
#define BLOCKS 4
#define BYTES  (BLOCKS * HUGE_BYTES + 3 * PAGE)

static int file_of(uint64_t size)
{
	int fd = memfd_create("test-huge", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Bytes of shared memory mapped by huge pages in the mapping that begins at p. */
static uint64_t huge_bytes(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], start[32];
	unsigned long kib = 0;
	bool here = false;

	assert_non_null(f);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)p);
	while (fgets(line, sizeof(line), f)) {
		here |= !strncmp(line, start, strlen(start));
		if (here && sscanf(line, "ShmemPmdMapped: %lu kB", &kib) == 1)
			break;
	}
	fclose(f);
	return (uint64_t)kib << 10;
}

/* Does this kernel give huge pages when it is asked for one? Else says why not. */
static bool can_be_huge(void)
{
	int fd = file_of(HUGE_BYTES);
	uint8_t *p = huge_map(fd, HUGE_BYTES);
	bool can;

	assert_non_null(p);
	p[0] = 1;
	can = !madvise(p, HUGE_BYTES, 25); /* MADV_COLLAPSE */
	if (!can)
		print_message("no huge pages of shared memory here: %s\n", strerror(errno));
	munmap(p, HUGE_BYTES);
	close(fd);
	return can;
}

static void pages_are_huge(void **state)
{
	uint8_t *p;
	int fd;

	if (!can_be_huge())
		skip();
	fd = file_of(BYTES);
	p = huge_map(fd, BYTES);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % HUGE_BYTES, 0);
	assert_int_equal(huge_bytes(p), 0);
	p[HUGE_BYTES + 5] = 7;
	p[BYTES - 1] = 8;
	/* Not from the first block's start, nor to the last one's end: the two between. */
	huge_take(p + PAGE, (BLOCKS - 1) * HUGE_BYTES);
	assert_int_equal(huge_bytes(p), (BLOCKS - 2) * HUGE_BYTES);
	for (uint64_t i = 0; i < BYTES; i++)
		assert_int_equal(p[i], i == HUGE_BYTES + 5 ? 7 : i == BYTES - 1 ? 8 : 0);
	huge_take(p, BYTES);
	assert_int_equal(huge_bytes(p), BLOCKS * HUGE_BYTES);
	assert_int_equal(p[HUGE_BYTES + 5], 7);
	assert_int_equal(munmap(p, BYTES), 0);
	close(fd);
	(void)state;
}

static void small_ones_are_left(void **state)
{
	int fd = file_of(3 * PAGE);
	uint8_t *p = huge_map(fd, 3 * PAGE);
	unsigned char there[3];

	assert_non_null(p);
	huge_take(p, 3 * PAGE);
	huge_take(p, 0);
	assert_int_equal(mincore(p, 3 * PAGE, there), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(there[i] & 1, 0);
	/* Nothing is left of what was reserved to find the place. */
	assert_int_equal(mincore(p + 3 * PAGE, PAGE, there), -1);
	munmap(p, 3 * PAGE);
	close(fd);
	(void)state;
}

static void what_cannot_be_mapped(void **state)
{
	int fd = file_of(PAGE);

	assert_null(huge_map(fd, 1ull << 60));
	assert_null(huge_map(-1, PAGE));
	close(fd);
	(void)state;
}

static struct vram_extent one(struct vram *v, uint64_t size)
{
	struct vram_extent *list, e;
	size_t n;

	assert_int_equal(vram_alloc(v, size, 1, &list, &n), 0);
	assert_int_equal(n, 1);
	e = *list;
	free(list);
	return e;
}

static void buffers_begin_with_a_page(void **state)
{
	struct vram_extent small, large, gap, tight;
	struct vram v;

	assert_int_equal(vram_init(&v, 4 * HUGE_BYTES), 0);
	small = one(&v, PAGE);
	large = one(&v, HUGE_BYTES + PAGE);
	assert_int_equal(large.offset, HUGE_BYTES);
	/* What was left before it is used. */
	gap = one(&v, HUGE_BYTES - PAGE);
	assert_int_equal(gap.offset, PAGE);
	/* Where there is no room for that, it begins where it can. */
	tight = one(&v, 2 * HUGE_BYTES - PAGE);
	assert_int_equal(tight.offset, 2 * HUGE_BYTES + PAGE);
	assert_int_equal(v.used, v.size);
	vram_free(&v, &large, 1);
	vram_free(&v, &small, 1);
	vram_free(&v, &tight, 1);
	vram_free(&v, &gap, 1);
	assert_int_equal(v.num_free, 1);
	assert_int_equal(v.free[0].size, v.size);
	vram_fini(&v);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_huge),
		cmocka_unit_test(small_ones_are_left),
		cmocka_unit_test(what_cannot_be_mapped),
		cmocka_unit_test(buffers_begin_with_a_page),
	};

	return cmocka_run_group_tests_name("huge", tests, NULL, NULL);
}
