/* SPDX-License-Identifier: MIT */
/*
 * test_lanes.c - lanes of compiled code whose memory lies anywhere, and loops that they go through one by one: usage: test_lanes loops-TARGET.co
 *
 * Run as test_run is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gpu/soft/jit/jit.h"
#include "tests/exec/runner.h"

static struct runner runner;
static struct codeobj co;

/* Gathers, scatters and atomics; one work-group at a time runs, so the order is that of lanes within a wave, of waves. */
static void test_anywhere(void **state)
{
	enum { COUNT = 1024, OUT = 8 * COUNT, COUNTERS = 244 + COUNT };
	uint32_t *mem[4], *want = malloc(4 * (OUT + COUNTERS)), *where, *in, *count = want + OUT, n = COUNT;
	uint64_t va;
	uint8_t args[36];
	struct runner_dispatch d = {.kernel = "anywhere", .grid = {COUNT, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < 4; i++)
		mem[i] = runner_alloc(&runner, 4 * OUT + 4096, GPU_PROT_READ | GPU_PROT_WRITE);
	in = mem[1];
	where = mem[2];
	for (unsigned k = 0; k < OUT; k++)
		in[k] = k * 2654435761u;
	for (unsigned i = 0; i < COUNT; i++)
		where[i] = i % 5 ? (i * 2654435761u >> 7) % COUNT : (i / 128 * 17) % COUNT;
	memset(want, 0, 4 * (OUT + COUNTERS));
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t k = where[i];
		uint64_t wide;

		if (i % 7 == 3)
			continue;
		want[k] = in[where[k]] ^ i;
		memcpy(&wide, in + (k & ~1u), 8);
		wide += i;
		memcpy(want + COUNT + 2 * k, &wide, 8);
		for (unsigned e = 0; e < 4; e++)
			want[3 * COUNT + 4 * k + e] = in[(k & ~3u) + e] + i;
		((uint8_t *)(want + 7 * COUNT))[k] = (uint8_t)(((uint8_t *)in)[k * 3 + 1] + ((int16_t *)in)[k]);
		count[k % 61] += i;
		if (i > count[61 + k % 61])
			count[61 + k % 61] = i;
		count[122 + k % 61] ^= i;
		count[183 + k % 61]--;
		count[244 + i] = i;
	}
	memcpy(args, &mem[0], 8);
	memcpy(args + 8, &mem[1], 8);
	memcpy(args + 16, &mem[2], 8);
	memcpy(args + 24, &mem[3], 8);
	memcpy(args + 32, &n, 4);
	for (unsigned t = 0; t < 3; t++) {
		memset(mem[0], 0, 4 * OUT);
		memset(mem[3], 0, 4 * COUNTERS);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		assert_memory_equal(mem[0], want, 4 * OUT);
		assert_memory_equal(mem[3], count, 4 * COUNTERS);
	}
	/* An address without memory, in lane 10 of the second wave, by whichever load comes first. */
	where[74] = 0x10000000;
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
	va = runner.fault.va;
	assert_true(va == (uint64_t)(uintptr_t)(where + 0x10000000) || va == (uint64_t)(uintptr_t)(in + 0x10000000) ||
		    va == (uint64_t)(uintptr_t)in + 3ull * 0x10000000 + 1 || va == (uint64_t)(uintptr_t)in + 2ull * 0x10000000);
	assert_false(runner.fault.write);
	for (unsigned i = 0; i < 4; i++)
		runner_unmap(&runner, mem[i]);
	free(want);
}

static void test_two_buffers(void **state)
{
	enum { COUNT = 1024, WORDS = 4096 + COUNT };
	uint32_t *mem[3], *want = malloc(2 * 4 * WORDS), none = UINT32_MAX, wild = 100;
	uint8_t args[28];
	struct runner_dispatch d = {.kernel = "two_buffers", .grid = {COUNT, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < 3; i++)
		mem[i] = runner_alloc(&runner, 4 * WORDS + 4096, GPU_PROT_READ | GPU_PROT_WRITE);
	for (unsigned i = 0; i < 4096; i++) {
		mem[0][i] = i * 2654435761u;
		mem[1][i] = i * 2246822519u + 5;
	}
	for (unsigned i = 0; i < COUNT; i++)
		mem[2][i] = (i * 2654435761u >> 9) % (4000 * 4);
	memcpy(want, mem[0], 4 * WORDS);
	memcpy(want + WORDS, mem[1], 4 * WORDS);
	for (unsigned i = 0; i < COUNT; i++) {
		const uint32_t w = mem[2][i], k = w >> 2, *t = want + (w & 1 ? 0 : WORDS);

		if (i % 5 != 2)
			want[(w & 2 ? 0 : WORDS) + 4096 + i] = t[k] + 3 * t[k + 1] + 5 * t[k + 2] + t[k & ~1u] + 7 * t[(k & ~1u) + 1];
	}
	memcpy(args, &mem[0], 8);
	memcpy(args + 8, &mem[1], 8);
	memcpy(args + 16, &mem[2], 8);
	memcpy(args + 24, &none, 4);
	for (unsigned t = 0; t < 3; t++) {
		memset(mem[0] + 4096, 0, 4 * COUNT);
		memset(mem[1] + 4096, 0, 4 * COUNT);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		assert_memory_equal(mem[0], want, 4 * WORDS);
		assert_memory_equal(mem[1], want + WORDS, 4 * WORDS);
	}
	memset(mem[0] + 4096, 0, 4 * COUNT);
	memset(mem[1] + 4096, 0, 4 * COUNT);
	memcpy(args + 24, &wild, 4);
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
	assert_int_equal(runner.fault.va, 0x5ead00000000ull + 4 * (4096 + wild));
	assert_true(runner.fault.write);
	assert_true(runner.fault.not_present);
	/* The wave before has stored. */
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(mem[0][4096 + i], want[4096 + i]);
		assert_int_equal(mem[1][4096 + i], want[WORDS + 4096 + i]);
	}
	for (unsigned i = 0; i < 3; i++)
		runner_unmap(&runner, mem[i]);
	free(want);
}

/* The memory that each lane lacks is known, but none has it all. */
static void test_two_counters(void **state)
{
	uint32_t *out[3];
	struct runner_dispatch d = {.kernel = "two_counters", .grid = {512, 1, 1}, .group = {64, 1, 1}, .args = out, .args_size = sizeof(out)};

	for (unsigned k = 0; k < 3; k++)
		out[k] = runner_alloc(&runner, 4096, GPU_PROT_READ | GPU_PROT_WRITE);
	for (uint32_t t = 0; t < 3; t++) {
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t i = 0; i < 512; i += 4) {
			assert_int_equal(out[1][i / 4], (t + 1) * (2 * i + 4));
			assert_int_equal(out[0][i / 4], (t + 1) * (2 * i + 6));
			/* lanes in order */
			for (uint32_t k = 0; k < 4; k++)
				assert_int_equal(out[2][i + k], t * (2 * i + (k & 1 ? 6 : 4)) + (k < 2 ? 0 : i + k - 1));
		}
	}
	for (unsigned k = 0; k < 3; k++)
		runner_unmap(&runner, out[k]);
}

/* From the first of a wave's lanes to the last it is more than 32 bits have; each strip's lanes are at one place. */
static void test_far_lanes(void **state)
{
	enum { PAGE = 4096, PAGES = 4 };
	static const uint32_t page[PAGES] = {0x80000000u, 0xfffff000u, 0, 0x7ffff000u}, at[PAGES] = {0, PAGE - 4, 0, PAGE - 4};
	const uint64_t base[2] = {0x10000000000, 0x20000000000};
	uint8_t *host = runner_alloc(&runner, 2 * PAGES * PAGE, 0), args[20];
	uint32_t from = 0x80000000u;
	struct runner_dispatch d = {.kernel = "far_lanes", .grid = {64, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned b = 0; b < 2; b++)
		for (unsigned k = 0; k < PAGES; k++)
			assert_int_equal(runner_map_at(&runner, base[b] + page[k], host + (b * PAGES + k) * PAGE, PAGE, GPU_PROT_READ | (b ? GPU_PROT_WRITE : 0)), 0);
	memcpy(args, base, 16);
	memcpy(args + 16, &from, 4);
	for (unsigned t = 0; t < 3; t++) {
		for (unsigned i = 0; i < PAGES * PAGE / 4; i++)
			((uint32_t *)host)[i] = i * 2654435761u + t;
		memset(host + PAGES * PAGE, 0, PAGES * PAGE);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (unsigned k = 0; k < PAGES; k++)
			for (unsigned i = 0; i < PAGE; i += 4) {
				const uint32_t *in = (const uint32_t *)(host + k * PAGE + i), *out = in + PAGES * PAGE / 4;

				assert_int_equal(*out, i == at[k] ? *in * 3 + 16 * k + 15 : 0);
			}
	}
	for (unsigned b = 0; b < 2; b++)
		for (unsigned k = 0; k < PAGES; k++)
			runner_unmap_at(&runner, base[b] + page[k]);
	runner_unmap(&runner, host);
}

/* The rows would begin before the memory does, had they all their lanes: they are done in pieces. */
static void test_late_lanes(void **state)
{
	enum { LANES = 256, BACK = 100, IN = 512, OUT = 2048 };
	const uint64_t base[2] = {0x10000100000, 0x20000100000};
	uint32_t *mem = runner_alloc(&runner, 4 * (IN + OUT), 0), *in = mem, *out = mem + IN, want[OUT], back = BACK;
	uint8_t args[20];
	struct runner_dispatch d = {.kernel = "late_lanes", .grid = {LANES, 1, 1}, .group = {128, 1, 1}, .args = args, .args_size = sizeof(args)};

	assert_int_equal(runner_map_at(&runner, base[0], out, 4 * OUT, GPU_PROT_READ | GPU_PROT_WRITE), 0);
	assert_int_equal(runner_map_at(&runner, base[1], in, 4 * IN, GPU_PROT_READ), 0);
	memcpy(args, base, 16);
	memcpy(args + 16, &back, 4);
	for (unsigned t = 0; t < 3; t++) {
		for (unsigned i = 0; i < IN; i++)
			in[i] = (i + 1000 * t) * 2654435761u;
		memset(out, 0, 4 * OUT);
		memset(want, 0, sizeof(want));
		for (unsigned i = 0; i < LANES; i++) {
			uint32_t sum = i;

			if (i >= BACK)
				want[i - BACK] = sum += in[i - BACK];
			want[512 + (i >= BACK ? i - BACK : i + 1024)] = sum + in[64 + (i >= BACK ? i - BACK : i + 111)];
		}
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		assert_memory_equal(out, want, sizeof(want));
	}
	for (unsigned b = 0; b < 2; b++)
		runner_unmap_at(&runner, base[b]);
	runner_unmap(&runner, mem);
}

/*
 * Rows of any length; memory in one piece, or in pages that lie anywhere, where lanes that go through the loop one by one have to give up. Elements are counted from the
 * one at `from` on, which may be none.
 */
static void check_sparse(int from)
{
	enum { ROWS = 200, MOST = 37, ITEMS_OF_X = 3000, PAGE = 4096, PAGES = 8, ARRAYS = 5 };
	static const uint64_t slices[] = {0, 1, 40, 333, 0};
	const uint64_t base = 0x10000000000;
	uint8_t *host = runner_alloc(&runner, ARRAYS * PAGES * PAGE, 0), *view[ARRAYS], args[40];
	uint32_t *start, want[ROWS];
	uint8_t *column;
	uint16_t *value;
	uint64_t *x;
	struct runner_dispatch d = {.kernel = "sparse", .grid = {ROWS, 1, 1}, .group = {128, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned b = 0; b < ARRAYS; b++) {
		uint64_t va = base + ((uint64_t)b << 20) + (b == 2 || b == 3 ? 2 : b == 4 ? 8 * (int64_t)from : 0); /* elements over borders of pages */

		view[b] = calloc(PAGES, PAGE);
		memcpy(args + 8 * b, &va, 8);
	}
	start = (void *)view[1];
	column = view[2] + 2;
	value = (void *)(view[3] + 2);
	x = (void *)view[4];
	for (uint32_t i = 0; i < ITEMS_OF_X; i++)
		x[i] = (i + 1) * 0x9e3779b97f4a7c15u;
	for (uint32_t r = 0; r < ROWS; r++) {
		start[r + 1] = start[r] + (r % 50 < 3 ? 0 : (r * 2654435761u >> 20) % MOST);
		for (uint32_t i = start[r]; i < start[r + 1]; i++) {
			uint32_t k = (i * 2654435761u >> 8) % ITEMS_OF_X - (uint32_t)from;

			memcpy(column + 4 * i, &k, 4);
			value[i] = (uint16_t)(i * 40503u);
		}
	}
	for (uint32_t r = 0; r < ROWS; r++) {
		uint64_t sum = r;

		for (uint32_t i = start[r], k; i < start[r + 1]; i++) {
			memcpy(&k, column + 4 * i, 4);
			sum = sum * 5 + value[i] * x[k + (uint32_t)from];
		}
		want[r] = (uint32_t)(sum ^ sum >> 32);
	}
	for (unsigned piece = 1; piece <= PAGES; piece *= 8) {
		if (piece == 8)
			piece = PAGES;
		for (unsigned b = 0; b < ARRAYS; b++)
			for (unsigned k = 0; k < PAGES; k += piece) {
				uint8_t *at = host + (b * PAGES + PAGES - piece - k) * PAGE;

				memcpy(at, view[b] + k * PAGE, piece * PAGE);
				assert_int_equal(runner_map_at(&runner, base + ((uint64_t)b << 20) + k * PAGE, at, piece * PAGE, GPU_PROT_READ | (b ? 0 : GPU_PROT_WRITE)), 0);
			}
		for (unsigned t = 0; t < sizeof(slices) / sizeof(slices[0]); t++) {
			memset(host, 0, PAGES * PAGE);
			runner.slice = slices[t];
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
			for (uint32_t r = 0; r < ROWS; r++)
				assert_int_equal(*(uint32_t *)(host + (PAGES - piece) * PAGE + 4 * r), want[r]);
		}
		runner.slice = 0;
		/* A row in the middle names an element that is nowhere. */
		for (uint32_t bad = 70; bad < 130; bad += 19) {
			uint32_t n = start[bad + 1] - start[bad], wild = 0x7ffff, k = start[bad] + n / 2, was;
			uint64_t where = 2 + 4 * (uint64_t)k;
			uint8_t *at[4];

			assert_true(n);
			for (unsigned b = 0; b < 4; b++, where++)
				at[b] = host + (2 * PAGES + PAGES - piece - where / PAGE / piece * piece + where / PAGE % piece) * PAGE + where % PAGE;
			for (unsigned b = 0; b < 4; b++) {
				((uint8_t *)&was)[b] = *at[b];
				*at[b] = ((uint8_t *)&wild)[b];
			}
			memset(host, 0, PAGES * PAGE);
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
			assert_int_equal(runner.fault.va, base + (4 << 20) + 8 * (uint64_t)(wild + from));
			assert_false(runner.fault.write);
			for (uint32_t r = 0; r < ROWS; r++)
				assert_int_equal(*(uint32_t *)(host + (PAGES - piece) * PAGE + 4 * r), r < bad / 64 * 64 ? want[r] : 0);
			for (unsigned b = 0; b < 4; b++)
				*at[b] = ((uint8_t *)&was)[b];
		}
		/* A row that goes on behind all memory, for more than a slice. */
		for (unsigned end = 0; end < 3 && !from; end++) {
			static const uint32_t ends[] = {INT32_MAX, (uint32_t)INT32_MIN, UINT32_MAX};
			uint32_t *at = (void *)(host + (PAGES + PAGES - piece) * PAGE + 4 * 100), was = *at;
			uint64_t last = base + (2 << 20) + PAGES * PAGE;

			*at = ends[end];
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
			assert_in_range(runner.fault.va, last - 4, last);
			*at = was;
		}
		for (unsigned b = 0; b < ARRAYS; b++)
			for (unsigned k = 0; k < PAGES; k += piece)
				runner_unmap_at(&runner, base + ((uint64_t)b << 20) + k * PAGE);
	}
	for (unsigned b = 0; b < ARRAYS; b++)
		free(view[b]);
	runner_unmap(&runner, host);
}

static void test_sparse(void **state)
{
	check_sparse(0);
	check_sparse(1000); /* indices of both signs */
	check_sparse(-1000);
}

/* Nothing lies at the last byte of all; nor does a range that there is none of. */
static void test_sparse_last_byte(void **state)
{
	enum { ROWS = 256, EACH = 20 };
	uint32_t *start = runner_alloc(&runner, 4 * (ROWS + 1), GPU_PROT_READ), *column = runner_alloc(&runner, 4 * ROWS * EACH, GPU_PROT_READ);
	uint16_t *value = runner_alloc(&runner, 2 * ROWS * EACH, GPU_PROT_READ);
	uint32_t *out = runner_alloc(&runner, 4 * ROWS, GPU_PROT_READ | GPU_PROT_WRITE);
	uint64_t args[5] = {(uintptr_t)out, (uintptr_t)start, (uintptr_t)column, (uintptr_t)value, UINT64_MAX - 8 * 7};
	struct runner_dispatch d = {.kernel = "sparse", .grid = {ROWS, 1, 1}, .group = {128, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (uint32_t i = 0; i <= ROWS; i++)
		start[i] = i * EACH;
	for (uint32_t i = 0; i < ROWS * EACH; i++)
		column[i] = 7;
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
		assert_int_equal(runner.fault.va, UINT64_MAX);
		usleep(20000);
	}
	runner_unmap(&runner, out);
	runner_unmap(&runner, value);
	runner_unmap(&runner, column);
	runner_unmap(&runner, start);
}

static uint32_t want_end(const uint32_t *start, const uint32_t *column, const uint64_t *x, uint32_t row, bool down)
{
	const uint32_t *c = column + start[row];
	int32_t left = (int32_t)(start[row + 1] - start[row]), i = left - 1, n = left;
	double sum = 0;
	uint64_t bits, e = 0;

	if (!left)
		return 1;
	for (; n; n--) {
		e = x[*c++];
		sum = sum * 0.5 + (double)(uint32_t)e;
		if (!down && row % 3) {
			i++;
			continue;
		}
		if (!down && (e & 1))
			break;
		left--;
	}
	memcpy(&bits, &sum, 8);
	return (uint32_t)bits ^ (uint32_t)(bits >> 32) ^ (uint32_t)left << 16 ^ (uint32_t)i << 20 ^ (uint32_t)(c - column) ^ (uint32_t)(e >> 33);
}

/* Counters of several kinds; pointers and counters as the loop leaves them. */
static void test_sparse_ends(void **state)
{
	enum { ROWS = 384, MOST = 300, ITEMS_OF_X = 2000 };
	static const uint64_t slices[] = {0, 1, 40, 333, 5000, 0};
	uint32_t *start = runner_alloc(&runner, 4 * (ROWS + 1), GPU_PROT_READ), *column = runner_alloc(&runner, 4 * ROWS * MOST, GPU_PROT_READ);
	uint32_t *out = runner_alloc(&runner, 4 * ROWS, GPU_PROT_READ | GPU_PROT_WRITE);
	uint64_t *x = runner_alloc(&runner, 8 * ITEMS_OF_X, GPU_PROT_READ);
	uint8_t args[36];
	struct runner_dispatch d = {.kernel = "sparse_ends", .grid = {ROWS, 1, 1}, .group = {128, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (uint32_t i = 0; i < ITEMS_OF_X; i++)
		x[i] = ((i + 1) * 0x9e3779b97f4a7c15u | 1) ^ (i % 16 != 5);
	for (uint32_t r = 0; r < ROWS; r++)
		start[r + 1] = start[r] + (r % 50 < 3 ? 0 : (r * 2654435761u >> 20) % (r % 64 == 9 ? MOST : 37));
	for (uint32_t i = 0; i < start[ROWS]; i++)
		column[i] = (i * 2654435761u >> 8) % ITEMS_OF_X;
	memcpy(args, &out, 8);
	memcpy(args + 8, &start, 8);
	memcpy(args + 16, &column, 8);
	memcpy(args + 24, &x, 8);
	for (unsigned t = 0; t < 2 * sizeof(slices) / sizeof(slices[0]); t++) {
		int32_t down = t & 1;

		memcpy(args + 32, &down, 4);
		memset(out, 0, 4 * ROWS);
		runner.slice = slices[t / 2];
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t r = 0; r < ROWS; r++)
			assert_int_equal(out[r], want_end(start, column, x, r, down));
	}
	runner.slice = 0;
	runner_unmap(&runner, out);
	runner_unmap(&runner, x);
	runner_unmap(&runner, column);
	runner_unmap(&runner, start);
}

/* Lanes with one base, and others with another one, some GiB away. */
static void test_sparse_bases(void **state)
{
	enum { ROWS = 384, MOST = 37, ITEMS_OF_X = 1024 };
	static const uint64_t base[2] = {0x10000001000, 0x2fffffff000}, slices[] = {0, 1, 40, 333, 0};
	uint32_t *start = runner_alloc(&runner, 4 * (ROWS + 1), GPU_PROT_READ), *column = runner_alloc(&runner, 4 * ROWS * MOST, GPU_PROT_READ);
	uint32_t *out = runner_alloc(&runner, 8 * ROWS, GPU_PROT_READ | GPU_PROT_WRITE), *x[2];
	uint8_t args[40];
	struct runner_dispatch d = {.kernel = "sparse_bases", .grid = {ROWS, 1, 1}, .group = {128, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned b = 0; b < 2; b++) {
		x[b] = runner_alloc(&runner, 4 * ITEMS_OF_X, GPU_PROT_READ);
		assert_int_equal(runner_map_at(&runner, base[b], x[b], 4 * ITEMS_OF_X, GPU_PROT_READ), 0);
		for (uint32_t i = 0; i < ITEMS_OF_X; i++)
			x[b][i] = (2 * i + b) * 2654435761u;
	}
	for (uint32_t r = 0; r < ROWS; r++)
		start[r + 1] = start[r] + (r % 50 < 3 ? 0 : (r * 2654435761u >> 20) % MOST);
	for (uint32_t i = 0; i < start[ROWS]; i++)
		column[i] = (i * 2654435761u >> 8) % ITEMS_OF_X;
	memcpy(args, &out, 8);
	memcpy(args + 8, &start, 8);
	memcpy(args + 16, &column, 8);
	memcpy(args + 24, base, 16);
	for (unsigned t = 0; t < sizeof(slices) / sizeof(slices[0]); t++) {
		memset(out, 0, 8 * ROWS);
		runner.slice = slices[t];
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t r = 0; r < ROWS; r++) {
			uint32_t sum = r;

			for (uint32_t i = start[r]; i < start[r + 1]; i++)
				sum = sum * 5 + x[r % 3 == 1][column[i]];
			assert_int_equal(out[r], sum);
			assert_int_equal(out[ROWS + r], r % 3 == 1 ? 7 : 0);
		}
	}
	runner.slice = 0;
	for (unsigned b = 0; b < 2; b++) {
		runner_unmap_at(&runner, base[b]);
		runner_unmap(&runner, x[b]);
	}
	runner_unmap(&runner, out);
	runner_unmap(&runner, column);
	runner_unmap(&runner, start);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anywhere),
		cmocka_unit_test(test_two_buffers),
		cmocka_unit_test(test_two_counters),
		cmocka_unit_test(test_far_lanes),
		cmocka_unit_test(test_late_lanes),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_sparse_last_byte),
		cmocka_unit_test(test_sparse_ends),
		cmocka_unit_test(test_sparse_bases),
	};

	if (argc != 2 || codeobj_load(&co, argv[1]) || runner_init(&runner, co.target) || runner_map(&runner, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC))
		return 2;
	jit_prepare(-1);
	return cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
}
