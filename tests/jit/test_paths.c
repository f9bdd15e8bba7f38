/* SPDX-License-Identifier: MIT */
/*
 * test_paths.c - conditions in kernels without loops: usage: test_paths paths-TARGET.co
 *
 * Compiled code takes the waves of such kernels in a run, as if all their lanes were active. Where lanes drop out, of some waves, of all or of none, what
 * comes out must be what C computes; lanes that have dropped out touch no memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/exec/runner.h"

enum { GROUP = 128, GROUPS = 96, ITEMS = GROUP * GROUPS, BYTES = 4 * ITEMS, PAGE = 4096 };

static struct runner runner;
static struct codeobj co;
static int32_t *in, *out, *other, want[ITEMS], want_other[ITEMS];

struct arguments {
	const void *in;
	void *out, *other;
	int32_t n, m;
};

/* Where lanes drop out: nowhere, everywhere, between groups, waves and lanes. */
static const int32_t ends[] = {ITEMS, ITEMS + 5, ITEMS - 1, ITEMS - 64, ITEMS / 2, ITEMS / 2 + 1, 30 * GROUP + 64, 30 * GROUP + 63, 65, 64, 63, 1, 0, -1};
#define NUM_ENDS (sizeof(ends) / sizeof(ends[0]))

/* Slices that end in the middle of a run. */
static const uint64_t slices[] = {0, 1, 97, 1000};

static void fill(void)
{
	for (int32_t i = 0; i < ITEMS; i++) {
		in[i] = (int32_t)((uint32_t)i * 2654435761u >> 9);
		out[i] = want[i] = ~i;
		other[i] = want_other[i] = i * 3;
	}
}

static enum exec_result run(const char *kernel, const void *from, int32_t n, int32_t m)
{
	struct arguments args = {from, out, other, n, m};
	struct runner_dispatch d = {.kernel = kernel, .grid = {ITEMS, 1, 1}, .group = {GROUP, 1, 1}, .args = &args, .args_size = sizeof(args)};

	return runner_run(&runner, &co, &d);
}

/* want: what the reference makes of item i. */
static void check(const char *kernel, void (*reference)(int32_t i, int32_t n, int32_t m), int32_t n, int32_t m)
{
	for (unsigned s = 0; s < sizeof(slices) / sizeof(slices[0]); s++) {
		fill();
		for (int32_t i = 0; i < ITEMS; i++)
			reference(i, n, m);
		runner.slice = slices[s];
		assert_int_equal(run(kernel, in, n, m), EXEC_DONE);
		runner.slice = 0;
		for (int32_t i = 0; i < ITEMS; i++)
			if (out[i] != want[i] || other[i] != want_other[i])
				fail_msg("%s, n %d, m %d, slice %u: item %d: %d and %d, not %d and %d", kernel, n, m, (unsigned)slices[s], i, out[i], other[i], want[i], want_other[i]);
	}
}

static void ref_inside(int32_t i, int32_t n, int32_t m)
{
	if (i < n)
		want[i] = in[i] * 3 + m;
}

static void test_inside(void **state)
{
	for (unsigned e = 0; e < NUM_ENDS; e++)
		check("inside", ref_inside, ends[e], (int32_t)e);
}

static void ref_twice(int32_t i, int32_t n, int32_t m)
{
	int32_t x = 0;

	if (i < n)
		want[i] = x = in[i] ^ 5;
	if (i < m)
		want_other[i] = x + i;
}

static void test_twice(void **state)
{
	for (unsigned e = 0; e < NUM_ENDS; e++) {
		check("twice", ref_twice, ends[e], ends[NUM_ENDS - 1 - e]);
		check("twice", ref_twice, ends[e], ITEMS);
	}
}

static void ref_loaded(int32_t i, int32_t n, int32_t m)
{
	if (i < n && in[i] % 64 >= m)
		want[i] = in[i] - i;
}

/* m: of 64 items about so many drop out. */
static void test_loaded(void **state)
{
	for (int32_t m = 0; m <= 64; m += m < 4 || m >= 60 ? 1 : 8)
		check("loaded", ref_loaded, ITEMS - 100, m);
}

static void ref_either(int32_t i, int32_t n, int32_t m)
{
	if (i < n)
		want[i] = in[i] + 7;
	else
		want_other[i] = in[i] * 9;
	want_other[i] += i < n ? in[i] : in[i ^ 1];
}

static void test_either(void **state)
{
	for (unsigned e = 0; e < NUM_ENDS; e++)
		check("either", ref_either, ends[e], 0);
}

static void ref_scalar(int32_t i, int32_t n, int32_t m)
{
	if (m >= 0 && i / GROUP % 3 != m && i < n)
		want[i] = in[i] + m;
}

static void test_scalar(void **state)
{
	for (unsigned e = 0; e < NUM_ENDS; e++)
		for (int32_t m = -1; m <= 3; m++)
			check("scalar", ref_scalar, ends[e], m);
}

static void ref_counted(int32_t i, int32_t n, int32_t m)
{
	if (i < n && in[i] % 16 >= m)
		want[i % 61]++;
}

static void test_counted(void **state)
{
	for (unsigned e = 0; e < NUM_ENDS; e++)
		check("counted", ref_counted, ends[e], (int32_t)e % 17);
}

static void ref_backwards(int32_t i, int32_t n, int32_t m)
{
	if (i < n) {
		want[i] = in[n - 1 - i] * 3;
		want_other[n - 1 - i] = in[i] ^ m;
	}
}

static void test_backwards(void **state)
{
	for (unsigned e = 0; e < NUM_ENDS; e++)
		check("backwards", ref_backwards, ends[e] > ITEMS ? ITEMS : ends[e], (int32_t)e);
}

static void ref_below(int32_t i, int32_t n, int32_t m)
{
	if (i < n && in[i] % 4 != 1)
		want[i] = want_other[i] + in[i];
}

static void test_below(void **state)
{
	for (unsigned e = 0; e < NUM_ENDS; e++)
		check("below", ref_below, ends[e] > ITEMS ? ITEMS : ends[e], (int32_t)(ITEMS / 2 + e * 21));
}

static void ref_folded(int32_t item, int32_t n, int32_t m)
{
	int32_t i = item + m, x = i & 255, y = i >> 8;

	if (i < n && x != 7)
		want[x * (n >> 8) + y] = in[y * 256 + x] - x;
}

/* Compiled code takes for granted that waves begin at multiples of 64, as they mostly do. */
static void test_folded(void **state)
{
	static const int32_t starts[] = {0, 64, 256, 640, 1, 63, 65, 32};

	for (unsigned k = 0; k < sizeof(starts) / sizeof(starts[0]); k++) {
		check("folded", ref_folded, ITEMS, starts[k]);
		check("folded", ref_folded, ITEMS / 2, starts[k]);
	}
}

/* What is loaded for all waves before a run may be nowhere, where no wave has a lane that asks for it. */
static void test_through(void **state)
{
	uint64_t *where = runner_alloc(&runner, PAGE, GPU_PROT_READ);
	int32_t *value = runner_alloc(&runner, PAGE, GPU_PROT_READ);

	*value = 17;
	for (unsigned e = 0; e < NUM_ENDS; e++) {
		int32_t n = ends[e];

		where[0] = n > 0 ? (uint64_t)(uintptr_t)value : 0x123456789000;
		fill();
		assert_int_equal(run("through", where, n, 0), EXEC_DONE);
		assert_int_equal(run("through", n > 0 ? (const void *)where : (const void *)0x123456789000, n, 0), EXEC_DONE);
		for (int32_t i = 0; i < ITEMS; i++)
			assert_int_equal(out[i], i < n ? 17 + i : ~i);
	}
	where[0] = 0x123456789000;
	assert_int_equal(run("through", where, ITEMS, 0), EXEC_MEMORY_FAULT);
	assert_int_equal(runner.fault.va, 0x123456789000);
	runner_unmap(&runner, value);
	runner_unmap(&runner, where);
}

/* Lanes beyond n have no memory; then some within have none. */
static void test_faults(void **state)
{
	const uint64_t base = 0x10000000000;
	const int32_t there = PAGE * (BYTES / PAGE / 2) / 4;

	assert_int_equal(runner_map_at(&runner, base, in, (size_t)there * 4, GPU_PROT_READ), 0);
	for (int32_t n = there - 65; n <= there + 1; n += n == there - 64 ? 63 : 1) {
		fill();
		assert_int_equal(run("inside", (const void *)base, n, 1), n <= there ? EXEC_DONE : EXEC_MEMORY_FAULT);
		if (n > there) {
			assert_int_equal(runner.fault.va, base + (uint64_t)there * 4);
			assert_false(runner.fault.write);
		}
		for (int32_t i = 0; i < ITEMS; i++)
			if (n <= there)
				assert_int_equal(out[i], i < n ? in[i] * 3 + 1 : ~i);
	}
	runner_unmap_at(&runner, base);
}

static void test_border(void **state)
{
	static const int32_t sizes[][2] = {{128, 96}, {127, 96}, {96, 128}, {65, 40}, {17, 9}, {3, 3}, {2, 2}, {1, 1}};

	for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		int32_t n = sizes[k][0], m = sizes[k][1];
		struct arguments args = {in, out, other, n, m};
		struct runner_dispatch d = {.kernel = "border", .grid = {128, 128, 1}, .group = {16, 8, 1}, .args = &args, .args_size = sizeof(args)};

		fill();
		for (int32_t y = 1; y < m - 1; y++)
			for (int32_t x = 1; x < n - 1; x++)
				want[y * n + x] = in[y * n + x - 1] + in[y * n + x + 1] + in[(y - 1) * n + x] + in[(y + 1) * n + x] - 4 * in[y * n + x];
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		assert_memory_equal(out, want, sizeof(want));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inside), cmocka_unit_test(test_twice),   cmocka_unit_test(test_loaded), cmocka_unit_test(test_either), cmocka_unit_test(test_scalar),
		cmocka_unit_test(test_counted), cmocka_unit_test(test_through), cmocka_unit_test(test_faults), cmocka_unit_test(test_border),
		cmocka_unit_test(test_backwards), cmocka_unit_test(test_folded),  cmocka_unit_test(test_below),
	};

	if (argc < 2 || codeobj_load(&co, argv[1]) || runner_init(&runner, co.target) || runner_map(&runner, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC))
		return 2;
	in = runner_alloc(&runner, BYTES, GPU_PROT_READ);
	out = runner_alloc(&runner, BYTES, GPU_PROT_READ | GPU_PROT_WRITE);
	other = runner_alloc(&runner, BYTES, GPU_PROT_READ | GPU_PROT_WRITE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
