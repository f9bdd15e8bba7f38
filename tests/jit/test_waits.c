/* SPDX-License-Identifier: MIT */
/*
 * test_waits.c - matrix operations that compiled code puts off over a barrier (lift_mfma.c): usage: test_waits waits-gfx90a.co
 *
 * Accumulators are read and sources overwritten behind the barrier; slices of a few instructions and faults of another wave end compiled code while waves stand
 * at the barrier. Results, and where it ended early the accumulators in struct wave, must be what C computes.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gpu/soft/jit/jit.h"
#include "tests/exec/runner.h"

#define GROUPS 4
#define ITEMS  (GROUPS * 256)
#define ROUNDS 21

static struct runner runner;
static struct codeobj co;

enum between { NOTHING, SOURCE, READ, EXEC, LOAD, TWICE, BETWEENS };

/* Of a work-group: what is in LDS, and in each wave's 8 accumulation registers. */
struct group {
	float part[256], acc[4][8][64];
};

/* 16 rows, 16 columns, 4 deep. */
static void multiply(float (*d)[64], const float *a, const float *b)
{
	for (unsigned i = 0; i < 16; i++)
		for (unsigned j = 0; j < 16; j++)
			for (unsigned k = 0; k < 4; k++)
				d[i % 4][16 * (i / 4) + j] = fmaf(a[16 * k + i], b[16 * k + j], d[i % 4][16 * (i / 4) + j]);
}

static void start(struct group *g, unsigned number)
{
	memset(g, 0, sizeof(*g));
	for (unsigned l = 0; l < 256; l++)
		g->part[l] = (float)((number * 256 + l) * 2654435761u >> 8) * 0x1p-24f - 0.5f;
}

/* The next round; of waves from behind on only what is in front of the barrier. */
static void do_round(struct group *g, enum between between, unsigned behind)
{
	float a[256], b[256], c[256], d[256];

	for (unsigned l = 0; l < 256; l++) {
		a[l] = g->part[(l + 64) & 255];
		b[l] = g->part[(l + 65) & 255];
		c[l] = g->part[(l + 130) & 255];
		d[l] = g->part[(l + 195) & 255];
	}
	for (unsigned w = 0; w < 4; w++) {
		float(*x)[64] = g->acc[w];
		float *wa = a + 64 * w, *wb = b + 64 * w, *wc = c + 64 * w, *wd = d + 64 * w;

		multiply(x, wa, wb);
		multiply(x + 4, wa, wc);
		for (unsigned l = 0; l < 64; l++)
			g->part[64 * w + l] = fmaf(wa[l], 0.25f, -0.5f * wc[l]);
		if (w >= behind)
			continue;
		for (unsigned l = 0; l < 64; l++) {
			if (between == SOURCE || between == TWICE || (between == EXEC && l < 8))
				wa[l] += 1;
			if (between == READ)
				x[1][l] += 1;
			if (between == LOAD)
				wa[l] = g->part[64 * w + l];
		}
		if (between == LOAD || between == TWICE)
			multiply(x, wd, wb);
		multiply(x, wd, wb);
		multiply(x + 4, wd, wc);
		multiply(x + 4, wd, wa);
	}
}

static void test_results(void **state)
{
	static const char *const kernels[BETWEENS] = {"waits", "waits_source", "waits_read", "waits_exec", "waits_load", "waits_twice"};
	static const uint64_t slices[] = {0, 1, 7, 20, 75, 200, 1000, 5000, 0};
	float *out = runner_alloc(&runner, ITEMS * 32, GPU_PROT_READ | GPU_PROT_WRITE);
	static struct group want;
	uint8_t args[20] = {0};
	int rounds = ROUNDS;

	memcpy(args, &out, 8);
	memcpy(args + 16, &rounds, 4);
	for (unsigned k = 0; k < BETWEENS; k++)
		for (unsigned i = 0; i < sizeof(slices) / sizeof(slices[0]); i++) {
			struct runner_dispatch d = {.kernel = kernels[k], .grid = {ITEMS, 1, 1}, .group = {256, 1, 1}, .args = args, .args_size = sizeof(args)};

			runner.slice = slices[i];
			memset(out, 0, ITEMS * 32);
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
			for (unsigned g = 0; g < GROUPS; g++) {
				start(&want, g);
				for (unsigned r = 0; r < ROUNDS; r++)
					do_round(&want, (enum between)k, 4);
				for (unsigned n = 0; n < 8; n++)
					for (unsigned w = 0; w < 4; w++)
						assert_memory_equal(out + (g * 8 + n) * 256 + w * 64, want.acc[w][n], sizeof(want.acc[w][n]));
			}
		}
	runner.slice = 0;
	runner_unmap(&runner, out);
}

/* Wave 2 finds no memory behind the barrier, where wave 3 still stands; 0 and 1 are at the next one. */
static void test_fault(void **state)
{
	enum { LAST = 3 * 256 + 2 * 64 + 5, BYTES = ITEMS * 32 + 8192 };
	uint8_t *mem = runner_alloc(&runner, BYTES, GPU_PROT_READ | GPU_PROT_WRITE), args[20] = {0};
	uint8_t *at = mem + BYTES - 4 * LAST;
	struct runner_dispatch d = {.kernel = "waits_fault", .grid = {256, 1, 1}, .group = {256, 1, 1}, .args = args, .args_size = sizeof(args)};
	int rounds = ROUNDS;
	static struct group want;

	/* All in one piece: what else is mapped might follow on it. */
	memcpy(args, &mem, 8);
	memcpy(args + 8, &at, 8);
	memcpy(args + 16, &rounds, 4);
	/* Twice: the second time all of it may be compiled. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
		assert_int_equal(runner.fault.va, (uint64_t)(uintptr_t)(mem + BYTES));
		assert_int_equal(runner.wg.fault_wave, 2);
		start(&want, 0);
		for (unsigned r = 0; r < 4; r++)
			do_round(&want, NOTHING, r == 3 ? 2 : 4);
		for (unsigned w = 0; w < 4; w++)
			for (unsigned n = 0; n < 8; n++)
				assert_memory_equal(runner.wg.waves[w].agpr[n], want.acc[w][n], sizeof(want.acc[w][n]));
	}
	runner_unmap(&runner, mem);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_fault),
	};

	if (argc != 2 || codeobj_load(&co, argv[1]) || runner_init(&runner, co.target) || runner_map(&runner, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC))
		return 2;
	jit_prepare(-1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
