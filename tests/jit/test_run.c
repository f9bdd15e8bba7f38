/* SPDX-License-Identifier: MIT */
/*
 * test_run.c - waves that stop and go on in compiled code: usage: test_run loops-TARGET.co
 *
 * Run with HSAVISOR_JIT=0, 1 (interpreter first, then taken over in the middle) and sync. Slices of a few instructions make waves leave at
 * loop headers, with all state in struct wave; what comes out must be what C computes. Kernels without an end must stop when told,
 * and faults must name the address of the first lane that has no memory.
 */
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gpu/soft/jit/jit.h"
#include "tests/exec/runner.h"

#define ITEMS  4096
#define ROUNDS 37

static struct runner runner;
static struct codeobj co;

static void reference(uint32_t *x, unsigned group)
{
	uint32_t part[128];

	for (unsigned l = 0; l < 128; l++)
		x[l] = (group * 128 + l) * 2654435761u + 1;
	for (unsigned r = 0; r < ROUNDS; r++) {
		for (unsigned l = 0; l < 128; l++)
			for (uint32_t k = 0; k < (l & 7) + 3; k++)
				x[l] = x[l] * 1664525u + 1013904223u + k;
		memcpy(part, x, sizeof(part));
		for (unsigned l = 0; l < 128; l++)
			x[l] ^= part[(l + r) & 127] >> 3;
	}
}

static void mix_with(uint64_t slice)
{
	uint32_t *out = runner_alloc(&runner, ITEMS * 4, GPU_PROT_READ | GPU_PROT_WRITE), want[128];
	uint8_t args[12];
	int rounds = ROUNDS;
	struct runner_dispatch d = {.kernel = "mix", .grid = {ITEMS, 1, 1}, .group = {128, 1, 1}, .args = args, .args_size = sizeof(args)};

	memcpy(args, &out, 8);
	memcpy(args + 8, &rounds, 4);
	runner.slice = slice;
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
	runner.slice = 0;
	for (unsigned g = 0; g < ITEMS / 128; g++) {
		reference(want, g);
		assert_memory_equal(out + g * 128, want, sizeof(want));
	}
	runner_unmap(&runner, out);
}

static void test_slices(void **state)
{
	static const uint64_t slices[] = {0, 1, 50, 97, 300, 1000, 0};

	for (unsigned i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
		mix_with(slices[i]);
	/* Time for the compiler's thread, then once more. */
	usleep(300000);
	for (unsigned i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
		mix_with(slices[i]);
}

/* Addresses of the forms that compiled code follows as scalars; rows that cross pages. */
static void test_windows(void **state)
{
	static const uint64_t slices[] = {0, 1, 50, 97, 0};
	enum { COUNT = ITEMS - 95, BACK = 100, BYTES = 4 * (ITEMS + 3 * ROUNDS) + 8192 };
	uint8_t *mem[4], args[44];
	uint32_t *out, *in, n = COUNT, back = BACK, rounds = ROUNDS;
	int16_t *halves;
	struct runner_dispatch d = {.kernel = "windows", .grid = {ITEMS, 1, 1}, .group = {128, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < 4; i++) {
		mem[i] = runner_alloc(&runner, BYTES, GPU_PROT_READ | GPU_PROT_WRITE);
		for (unsigned k = 0; k < BYTES; k++)
			mem[i][k] = (uint8_t)(k * 2654435761u >> (13 + i));
	}
	out = (void *)(mem[0] + 4036);
	in = (void *)(mem[1] + 4);
	halves = (void *)(mem[3] + 2);
	memcpy(args, &out, 8);
	memcpy(args + 8, &in, 8);
	memcpy(args + 16, &mem[2], 8);
	memcpy(args + 24, &halves, 8);
	memcpy(args + 32, &n, 4);
	memcpy(args + 36, &back, 4);
	memcpy(args + 40, &rounds, 4);
	for (unsigned t = 0; t < sizeof(slices) / sizeof(slices[0]); t++) {
		memset(mem[0], 0x5a, BYTES);
		runner.slice = slices[t];
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t i = 0; i < COUNT; i++) {
			uint32_t sum = 0;

			for (unsigned r = 0; r < ROUNDS; r++)
				sum = sum * 5 + in[i + 3 * r];
			if (i >= BACK)
				sum += in[i - BACK];
			assert_int_equal(out[COUNT - 1 - i], sum ^ (mem[2][i + 1] + (uint32_t)(int)halves[i]));
		}
		/* Lanes beyond the end have stored nothing. */
		for (unsigned k = 0; k < BYTES; k++)
			if (mem[0] + k < (uint8_t *)out || mem[0] + k >= (uint8_t *)(out + COUNT))
				assert_int_equal(mem[0][k], 0x5a);
	}
	runner.slice = 0;
	for (unsigned i = 0; i < 4; i++)
		runner_unmap(&runner, mem[i]);
}

static void test_add_floats(void **state)
{
	enum { N = 512, SUMS = 50, ROOM = SUMS + 20 };
	float *sums = runner_alloc(&runner, 4 * ROOM, GPU_PROT_READ | GPU_PROT_WRITE), *old = runner_alloc(&runner, 4 * N, GPU_PROT_READ | GPU_PROT_WRITE);
	uint32_t *where = runner_alloc(&runner, 4 * N, GPU_PROT_READ), bytes = 4 * SUMS;
	float want[ROOM] = {0}, was[N] = {0};
	uint8_t args[28];
	struct runner_dispatch d = {.kernel = "add_floats", .grid = {N, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};

	memcpy(args, &sums, 8);
	memcpy(args + 8, &old, 8);
	memcpy(args + 16, &where, 8);
	memcpy(args + 24, &bytes, 4);
	for (uint32_t i = 0; i < N; i++)
		where[i] = i % 31 == 7 ? 0x30000000 + i : (i * 2654435761u >> 12) % (ROOM - 2);
	memset(sums, 0, 4 * ROOM);
	memset(old, 0, 4 * N);
	for (uint32_t wave = 0; wave < N; wave += 64) {
		for (uint32_t i = wave; i < wave + 64; i++)
			if (i % 5 && where[i] < SUMS) {
				was[i] = want[where[i]];
				want[where[i]] += (float)(i % 7 + 1);
			}
		for (uint32_t i = wave; i < wave + 64; i++)
			if (where[i] + 2 < SUMS)
				want[where[i] + 2] += (float)(i % 3);
	}
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
	assert_memory_equal(sums, want, sizeof(want));
	assert_memory_equal(old, was, sizeof(was));

	/* Where there is no memory, the first lane that is inside says so. */
	bytes = UINT32_MAX;
	memcpy(args + 24, &bytes, 4);
	where[0] = where[5] = 0x30000005;
	where[1] = 0x30000001;
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
	assert_int_equal(runner.fault.va, (uintptr_t)sums + 0xc0000004);
	runner_unmap(&runner, where);
	runner_unmap(&runner, old);
	runner_unmap(&runner, sums);
}

/*
 * Rows in memory whose pages lie anywhere on the host, in pieces, or all in one: the last lanes of a wave in another piece than the first ones, or in none. Waves
 * are not all full.
 */
static void test_rows(void **state)
{
	enum { COUNT = 1000, MORE = 3, PAGE = 4096, PAGES = 8, IN = COUNT + 64 * MORE + 2, PLACES = 5 };
	static const uint64_t slices[] = {0, 1, 50, 0};
	const size_t size = PAGES * PAGE;
	uint8_t *host = runner_alloc(&runner, PLACES * size, 0), *was = malloc(PLACES * size), *view = malloc(PLACES * size), args[48];
	uint32_t n = COUNT, rounds = MORE;
	struct runner_dispatch d = {.kernel = "rows", .grid = {1024, 1, 1}, .group = {256, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (size_t k = 0; k < PLACES * size; k++)
		was[k] = (uint8_t)(k * 2654435761u >> 11);
	for (unsigned piece = 1; piece <= PAGES; piece *= 2) {
		/* Buffers end, or begin, within 4 bytes of a border; quads at one. */
		const uint64_t base = 0x10000000000, va[PLACES] = {base + size - 4 * COUNT, base + (1 << 20) + size - 4 * IN, base + (2 << 20) + 8, base + (3 << 20) + size - 8 * (COUNT + 1),
								   base + (4 << 20) + 16};

		for (unsigned b = 0; b < PLACES; b++)
			for (unsigned k = 0; k < PAGES; k += piece)
				assert_int_equal(runner_map_at(&runner, base + ((uint64_t)b << 20) + k * PAGE, host + b * size + (PAGES - piece - k) * PAGE, piece * PAGE,
							       GPU_PROT_READ | (b % 2 ? 0 : GPU_PROT_WRITE)), 0);
		for (unsigned b = 0; b < PLACES; b++)
			memcpy(args + 8 * b, &va[b], 8);
		memcpy(args + 40, &n, 4);
		memcpy(args + 44, &rounds, 4);
		for (unsigned t = 0; t < sizeof(slices) / sizeof(slices[0]); t++) {
			uint8_t *at[PLACES];
			const uint32_t *in;
			const uint64_t *pairs;

			memcpy(host, was, PLACES * size);
			runner.slice = slices[t];
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
			/* As the kernel saw it, before in view and afterwards in the host's order. */
			for (unsigned b = 0; b < PLACES; b++) {
				for (unsigned k = 0; k < PAGES; k += piece)
					memcpy(view + b * size + k * PAGE, (b % 2 ? was : host) + b * size + (PAGES - piece - k) * PAGE, piece * PAGE);
				at[b] = view + b * size + (va[b] & ((1 << 20) - 1));
			}
			in = (const uint32_t *)at[1];
			pairs = (const uint64_t *)at[3];
			for (uint32_t i = 0; i < COUNT; i++) {
				uint32_t sum = 0, quad[4];
				uint64_t two = 0, from = va[4] - (base + (4 << 20)) + 16 * i, page = from / PAGE;

				for (uint32_t r = 0; r < MORE; r++) {
					sum += in[64 * r + i] * 3 + in[64 * r + i + 1] * 5 + in[64 * r + i + 2];
					two ^= pairs[i] + pairs[i + 1] * 3 + r;
				}
				assert_int_equal(((uint32_t *)at[0])[i], sum);
				assert_memory_equal(at[2] + 8 * i, &two, 8);
				memcpy(quad, was + 4 * size + (PAGES - piece - page / piece * piece + page % piece) * PAGE + from % PAGE, 16);
				for (unsigned e = 0; e < 4; e++)
					assert_int_equal(((uint32_t *)at[4])[4 * i + e], quad[e] * 7 + in[64 * MORE + 5]);
			}
			/* Nothing else is written. */
			for (unsigned k = 0; k < va[0] % (1 << 20); k++)
				assert_int_equal(view[k], was[(PAGES - piece - k / PAGE / piece * piece + k / PAGE % piece) * PAGE + k % PAGE]);
		}
		/* The last lanes of a wave have no memory any more, in the middle of a strip: to read, to write. */
		for (unsigned b = 0; piece == 1 && b < 2; b++) {
			uint64_t last = base + ((uint64_t)!b << 20) + (PAGES - 1) * PAGE;

			runner_unmap_at(&runner, last);
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
			assert_int_equal(runner.fault.va & ~(uint64_t)(PAGE - 1), last);
			assert_int_equal(runner.fault.write, b);
			assert_int_equal(runner_map_at(&runner, last, host + !b * size, PAGE, GPU_PROT_READ | (b ? GPU_PROT_WRITE : 0)), 0);
		}
		for (unsigned b = 0; b < PLACES; b++)
			for (unsigned k = 0; k < PAGES; k += piece)
				runner_unmap_at(&runner, base + ((uint64_t)b << 20) + k * PAGE);
	}
	runner.slice = 0;
	runner_unmap(&runner, host);
	free(was);
	free(view);
}

static unsigned class_of(uint64_t u, uint64_t inf, uint64_t normal, uint64_t sign)
{
	uint64_t a = u & ~sign;

	if (a > inf)
		return a & normal >> 1 ? 1 : 0;
	return u & sign ? (a == inf ? 2 : a >= normal ? 3 : a ? 4 : 5) : a == inf ? 9 : a >= normal ? 8 : a ? 7 : 6;
}

static void test_classes(void **state)
{
	enum { N = 64 };
	static const uint32_t masks[] = {0x001, 0x002, 0x003, 0x204, 0x260, 0x180, 0x060, 0x318, 0x000};
	uint32_t *out = runner_alloc(&runner, 8 * N, GPU_PROT_READ | GPU_PROT_WRITE), *single = runner_alloc(&runner, 4 * N, GPU_PROT_READ);
	uint64_t *wide = runner_alloc(&runner, 8 * N, GPU_PROT_READ);
	void *args[] = {out, single, wide};
	struct runner_dispatch d = {.kernel = "classes", .grid = {N, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};

	/* Around where classes begin. */
	for (unsigned i = 0; i < N; i++) {
		uint64_t from64[] = {0, 1, 1ull << 52, 0x7ffull << 52, 0xfffull << 51, 0x3ffull << 52}, near = i / 2 % 5;
		uint32_t from32[] = {0, 1, 1u << 23, 0xffu << 23, 0x1ffu << 22, 0x7fu << 23};

		single[i] = ((from32[i / 10 % 6] + (uint32_t)near - 2) & 0x7fffffff) | i << 31;
		wide[i] = ((from64[i / 10 % 6] + near - 2) & INT64_MAX) | (uint64_t)i << 63;
	}
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
	for (unsigned i = 0; i < N; i++)
		for (unsigned k = 0; k < 9; k++)
			for (unsigned neg = 0; neg < 2; neg++) {
				unsigned f = class_of(single[i] ^ neg << 31, 0xffu << 23, 1u << 23, 1u << 31);
				unsigned w = class_of(wide[i] ^ (uint64_t)neg << 63, 0x7ffull << 52, 1ull << 52, 1ull << 63);

				assert_int_equal(out[2 * i] >> (9 * neg + k) & 1, masks[k] >> f & 1);
				assert_int_equal(out[2 * i + 1] >> (9 * neg + k) & 1, masks[k] >> w & 1);
			}
	runner_unmap(&runner, wide);
	runner_unmap(&runner, single);
	runner_unmap(&runner, out);
}

static atomic_uint stop;

static void *stop_soon(void *arg)
{
	usleep(200000);
	atomic_store(&stop, 1);
	return NULL;
}

static void test_stop(void **state)
{
	uint32_t *out = runner_alloc(&runner, 4096, GPU_PROT_READ | GPU_PROT_WRITE);
	struct runner_dispatch d = {.kernel = "forever", .grid = {64, 1, 1}, .group = {64, 1, 1}, .args = &out, .args_size = 8};
	struct timespec a, b;
	pthread_t thread;

	for (unsigned i = 0; i < 64; i++)
		out[i] = 12345;
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
	/* Now one lane has nothing that ends it. */
	out[63] = 0;
	atomic_store(&stop, 0);
	pthread_create(&thread, NULL, stop_soon, NULL);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(runner_run_until(&runner, &co, &d, &stop), EXEC_YIELD);
	clock_gettime(CLOCK_MONOTONIC, &b);
	pthread_join(thread, NULL);
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 20000);
	runner_unmap(&runner, out);
}

static uint32_t *flags;

static void *raise_flags(void *arg)
{
	for (unsigned k = 0; k < 1024; k++) {
		usleep(k % 64 ? 0 : 3000);
		__atomic_store_n(&flags[k], k + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Lanes that wait for others' flags, and one for what never comes. */
static void test_wait(void **state)
{
	enum { ITEMS_WAITING = 256 };
	uint32_t *where = runner_alloc(&runner, 4096, GPU_PROT_READ), *out = runner_alloc(&runner, 4096, GPU_PROT_READ | GPU_PROT_WRITE);
	uint8_t args[24];
	struct runner_dispatch d = {.kernel = "wait_for", .grid = {ITEMS_WAITING, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};
	pthread_t thread;

	flags = runner_alloc(&runner, 8192, GPU_PROT_READ);
	memcpy(args, &flags, 8);
	memcpy(args + 8, &where, 8);
	memcpy(args + 16, &out, 8);
	for (unsigned i = 0; i < ITEMS_WAITING; i++)
		where[i] = i * 37 % 1024;
	for (unsigned t = 0; t < 4; t++) {
		memset(flags, 0, 8192);
		memset(out, 0, 4096);
		runner.slice = t % 2 ? 1000 : 0;
		pthread_create(&thread, NULL, raise_flags, NULL);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		pthread_join(thread, NULL);
		for (unsigned i = 0; i < ITEMS_WAITING; i++)
			assert_in_range(out[i], 1, 2);
	}
	runner.slice = 0;
	where[9] = 1500;
	atomic_store(&stop, 0);
	pthread_create(&thread, NULL, stop_soon, NULL);
	assert_int_equal(runner_run_until(&runner, &co, &d, &stop), EXEC_YIELD);
	pthread_join(thread, NULL);
	runner_unmap(&runner, flags);
	runner_unmap(&runner, where);
	runner_unmap(&runner, out);
}

static void test_fault(void **state)
{
	/* Two pages: lanes 0 to 31 are in them. */
	uint8_t *out = runner_alloc(&runner, 8192, GPU_PROT_READ | GPU_PROT_WRITE);
	uint64_t stride = 256;
	uint8_t args[16];
	struct runner_dispatch d = {.kernel = "strided", .grid = {64, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = 16};

	for (unsigned i = 0; i < 2; i++) {
		uint8_t *start = out + (i ? 8192 - 128 : 0);

		stride = i ? 4 : 256;
		memcpy(args, &start, 8);
		memcpy(args + 8, &stride, 8);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
		assert_int_equal(runner.fault.va, (uint64_t)(uintptr_t)out + 8192);
		assert_true(runner.fault.write);
	}
	runner_unmap(&runner, out);
}

/* Waves that end early and waves at different barriers, as the work-group's other waves see them. */
static void uneven_group(uint32_t *x, unsigned group)
{
	uint32_t part[256], next[256];
	bool ended[4] = {false};

	for (unsigned l = 0; l < 256; l++)
		part[l] = x[l] = (group * 256 + l) * 2654435761u;
	ended[group % 4] = true;
	for (unsigned r = 0; r < ROUNDS; r++) {
		memcpy(next, part, sizeof(part));
		for (unsigned l = 0; l < 256; l++) {
			if (ended[l / 64])
				continue;
			x[l] = x[l] * 5 + part[(l + 64) & 255];
			x[l] = (l / 64 + r) & 1 ? (x[l] + 3) ^ 5 : x[l] * 3 + 7;
			next[l] = x[l];
		}
		memcpy(part, next, sizeof(part));
		if (r == (group & 7))
			ended[(group + 1) % 4] = true;
	}
}

static void test_uneven(void **state)
{
	static const uint64_t slices[] = {0, 1, 20, 75, 200, 1000, 5000, 0};
	uint32_t *out = runner_alloc(&runner, ITEMS * 4, GPU_PROT_READ | GPU_PROT_WRITE), want[256];
	uint8_t args[12];
	int rounds = ROUNDS;
	struct runner_dispatch d = {.kernel = "uneven", .grid = {ITEMS, 1, 1}, .group = {256, 1, 1}, .args = args, .args_size = sizeof(args)};

	memcpy(args, &out, 8);
	memcpy(args + 8, &rounds, 4);
	for (unsigned i = 0; i < sizeof(slices) / sizeof(slices[0]); i++) {
		runner.slice = slices[i];
		memset(out, 0, ITEMS * 4);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (unsigned g = 0; g < ITEMS / 256; g++) {
			uneven_group(want, g);
			assert_memory_equal(out + g * 256, want, sizeof(want));
		}
	}
	runner.slice = 0;
	runner_unmap(&runner, out);
}

/* Each work-item once, with its own ids, in grids whose last work-groups in x, y or z are smaller, whatever the slice leaves of a range. */
static void test_ranges(void **state)
{
	static const uint32_t grids[][3] = {{64, 32, 8}, {61, 32, 8}, {64, 30, 8}, {64, 32, 7}, {50, 29, 7}, {13, 32, 4}, {64, 1, 3}};
	static const uint64_t slices[] = {0, 1, 60, 500};
	enum { MOST = 64 * 32 * 8 };
	uint32_t *out = runner_alloc(&runner, MOST * 4, GPU_PROT_READ | GPU_PROT_WRITE);
	uint8_t args[16];
	struct runner_dispatch d = {.kernel = "places", .group = {16, 4, 2}, .args = args, .args_size = sizeof(args)};

	memcpy(args, &out, 8);
	for (unsigned t = 0; t < sizeof(grids) / sizeof(grids[0]) * 4; t++) {
		const uint32_t *size = grids[t / 4];

		memcpy(args + 8, size, 8);
		memcpy(d.grid, size, sizeof(d.grid));
		memset(out, 0, MOST * 4);
		runner.slice = slices[t % 4];
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t i = 0; i < MOST; i++) {
			uint32_t x = i % size[0], y = i / size[0] % size[1], z = i / size[0] / size[1];
			uint32_t width = size[0] - x / 16 * 16 < 16 ? size[0] % 16 : 16;

			if (z >= size[2])
				assert_int_equal(out[i], 0);
			else
				assert_int_equal(out[i], x % 16 | y % 4 << 4 | z % 2 << 8 | x / 16 << 12 | y / 4 << 17 | z / 2 << 22 | width << 26);
		}
	}
	runner.slice = 0;
	runner_unmap(&runner, out);
}

/* A fault in a later wave of a later work-group: what came before is done, and the work-group is where it says. */
static void test_fault_in_range(void **state)
{
	static const char *const kernels[] = {"fill", "fill_behind"};
	enum { GROUPS = 16, BYTES = 8192 };

	for (unsigned t = 0; t < 4; t++) {
		uint8_t *mem = runner_alloc(&runner, BYTES, GPU_PROT_READ | GPU_PROT_WRITE);
		/* Ends at lane 10 of wave 2 of work-group 5, or where wave 1 of work-group 3 begins. */
		unsigned last = t / 2 ? 3 * 256 + 64 : 5 * 256 + 2 * 64 + 10;
		uint32_t *out = (uint32_t *)(mem + BYTES) - last;
		struct runner_dispatch d = {.kernel = kernels[t % 2], .grid = {GROUPS * 256, 1, 1}, .group = {256, 1, 1}, .args = &out, .args_size = 8};

		/* Twice: the second time all of it may be compiled. */
		for (unsigned k = 0; k < 2; k++) {
			memset(mem, 0, BYTES);
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
			assert_int_equal(runner.fault.va, (uint64_t)(uintptr_t)(out + last));
			assert_true(runner.fault.write);
			assert_int_equal(runner.wg.id[0], last / 256);
			assert_int_equal(runner.wg.fault_wave, last % 256 / 64);
			for (unsigned w = 0; w < 4; w++) {
				const struct wave *wave = &runner.wg.waves[w];

				if (w < last % 256 / 64)
					assert_int_equal(wave->state, WAVE_ENDED);
				else
					assert_int_equal(wave->state, WAVE_READY);
			}
			/* The fault's lane and those behind it may have stored nothing, those before have. */
			for (unsigned i = 0; i < last / 64 * 64; i++)
				assert_int_equal(out[i], kernels[t % 2][4] ? (i ^ 192) + 1 : i + 1);
		}
		runner_unmap(&runner, mem);
	}
}

/*
 * Work-groups that do nothing but load, compute and store, in a grid of rows; both buffers in pieces that lie apart from each other in the host's memory, with borders in
 * the middle of a wave; the second time with one piece that may not be written.
 */
static void test_runs(void **state)
{
	static const uint64_t slices[] = {0, 1, 60, 500, 5000};
	static const uint32_t grids[][2] = {{256 * 40, 1}, {256 * 8, 5}, {256, 40}, {256 * 13 + 100, 3}};
	enum { PIECE = 4 * 4096, PIECES = 4, BYTES = PIECE * PIECES, BEGIN = 40, COUNT = BYTES / 4 - 2 * BEGIN };
	const uint64_t va[2] = {0x510000000000, 0x520000000000};
	uint8_t *mem = aligned_alloc(4096, 2 * 2 * BYTES), *piece[2][PIECES], args[24];
	struct runner_dispatch d = {.kernel = "in_place", .group = {256, 1, 1}, .args = args, .args_size = sizeof(args)};

	assert_non_null(mem);
	/* In the other order, and with something between them. */
	for (unsigned b = 0; b < 2; b++)
		for (unsigned p = 0; p < PIECES; p++) {
			piece[b][p] = mem + b * 2 * BYTES + (PIECES - 1 - p) * 2 * PIECE;
			assert_int_equal(runner_map_at(&runner, va[b] + p * PIECE, piece[b][p], PIECE, GPU_PROT_READ | GPU_PROT_WRITE), 0);
		}
#define AT(b, i) (*(uint32_t *)(piece[b][(BEGIN + (i)) * 4 / PIECE] + (BEGIN + (i)) * 4 % PIECE))
	for (unsigned t = 0; t < sizeof(grids) / sizeof(grids[0]) * 5 * 2; t++) {
		const uint32_t *grid = grids[t / 5 % 4], f = t * 2654435761u | 1;
		uint64_t y = va[0] + 4 * BEGIN, x = va[1] + 4 * BEGIN;
		unsigned count = grid[0] * grid[1], whole = count;
		bool faults = t >= 5 * 4;

		if (t == 5 * 4) {
			runner_unmap_at(&runner, va[0] + 2 * PIECE);
			assert_int_equal(runner_map_at(&runner, va[0] + 2 * PIECE, piece[0][2], PIECE, GPU_PROT_READ), 0);
		}
		for (unsigned i = 0; i < COUNT; i++) {
			AT(0, i) = i * 40503;
			AT(1, i) = i ^ 0x5a5a5a5a;
		}
		memcpy(args, &y, 8);
		memcpy(args + 8, &x, 8);
		memcpy(args + 16, &f, 4);
		memcpy(args + 20, grid, 4);
		d.grid[0] = grid[0];
		d.grid[1] = grid[1];
		d.grid[2] = 1;
		runner.slice = slices[t % 5];
		if (faults) {
			unsigned bad = 2 * PIECE / 4 - BEGIN, first = bad / grid[0] * grid[0];

			assert_true(bad < count);
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_MEMORY_FAULT);
			assert_int_equal(runner.fault.va, va[0] + 2 * PIECE);
			assert_true(runner.fault.write);
			assert_int_equal(runner.wg.id[1], bad / grid[0]);
			assert_int_equal(runner.wg.id[0], bad % grid[0] / 256);
			/* All waves before that one. */
			whole = first + (bad - first) / 64 * 64;
		} else {
			assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		}
		for (unsigned i = 0; i < COUNT; i++) {
			uint32_t before = i * 40503, after = f * (i ^ 0x5a5a5a5a) + before;

			if (i < whole)
				assert_int_equal(AT(0, i), after);
			else if (!faults || i >= whole + 256)
				assert_int_equal(AT(0, i), before);
		}
	}
#undef AT
	runner.slice = 0;
	for (unsigned b = 0; b < 2; b++)
		for (unsigned p = 0; p < PIECES; p++)
			runner_unmap_at(&runner, va[b] + p * PIECE);
	free(mem);
}

/* Bits that scalars may have decide what is known of addresses. */
static void test_ors(void **state)
{
	enum { N = 240, GROUPS = 16 };
	uint32_t *out = runner_alloc(&runner, 64 * GROUPS * 4, GPU_PROT_READ | GPU_PROT_WRITE), *in = runner_alloc(&runner, 16384, GPU_PROT_READ), n = N;
	uint8_t args[20];
	struct runner_dispatch d = {.kernel = "ors", .grid = {64 * GROUPS, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < 4096; i++)
		in[i] = i * 2654435761u;
	memcpy(args, &out, 8);
	memcpy(args + 8, &in, 8);
	memcpy(args + 16, &n, 4);
	for (unsigned t = 0; t < 2; t++) {
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t i = 0; i < 64 * GROUPS; i++) {
			uint32_t l = i % 64, x = 0, b = 3;

			for (uint32_t s = 0; s < N; s += 20) {
				x = x * 3 + in[s | l];
				x += in[s << 4 | (l & 15)];
				x ^= in[(b & 4032) | l];
				x -= in[(b & 1008) | l];
				b = b << 1 ^ s;
			}
			assert_int_equal(out[i], x);
		}
	}
	runner_unmap(&runner, out);
	runner_unmap(&runner, in);
}

static void test_extended(void **state)
{
	enum { N = 1024 };
	static const int32_t firsts[] = {0, -5, -500, INT32_MAX - 700, INT32_MIN, INT32_MIN + 3, INT32_MAX};
	uint32_t *out = runner_alloc(&runner, 16 * N, GPU_PROT_READ | GPU_PROT_WRITE), *in = runner_alloc(&runner, 8 * N, GPU_PROT_READ);
	uint8_t args[20];
	struct runner_dispatch d = {.kernel = "extended", .grid = {N, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < 2 * N; i++)
		in[i] = i * 2654435761u;
	memcpy(args, &out, 8);
	memcpy(args + 8, &in, 8);
	for (unsigned t = 0; t < 3 * sizeof(firsts) / sizeof(firsts[0]); t++) {
		int32_t first = firsts[t % (sizeof(firsts) / sizeof(firsts[0]))];

		memcpy(args + 16, &first, 4);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t i = 0; i < N; i++) {
			int64_t x = 8 * (int64_t)(int32_t)((uint32_t)first + i);
			uint64_t at = (uint64_t)x - (uint64_t)(8 * (int64_t)first);

			assert_int_equal(out[4 * i], (uint32_t)x);
			assert_int_equal(out[4 * i + 1], (uint32_t)(x >> 32));
			assert_int_equal(out[4 * i + 2], (i & 15) * 0x44 + (i >> 4));
			assert_int_equal(out[4 * i + 3], at <= 8 * i ? in[at / 4] : 0);
		}
	}
	runner_unmap(&runner, out);
	runner_unmap(&runner, in);
}

/* Masks that are known when the kernel runs only: those that leave the lanes' parts as they are and others, each for long enough that code may be made for it. */
static void test_masked(void **state)
{
	enum { GROUPS = 24, N = 256 * GROUPS };
	static const uint32_t masks[][2] = {{1023, 255}, {255, 0xffffffff}, {63, 127}, {31, 1023}, {4095, 15}, {0, 0xffc0}, {0xffffff3f, 1}, {1023, 127}, {48, 63}};
	uint32_t *out = runner_alloc(&runner, 4 * N, GPU_PROT_READ | GPU_PROT_WRITE), *in = runner_alloc(&runner, 8 * N, GPU_PROT_READ);
	uint8_t args[24];
	struct runner_dispatch d = {.kernel = "masked", .grid = {N, 1, 1}, .group = {256, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < 2 * N; i++)
		in[i] = i * 2654435761u;
	memcpy(args, &out, 8);
	memcpy(args + 8, &in, 8);
	for (unsigned t = 0; t < 2 * sizeof(masks) / sizeof(masks[0]); t++) {
		const uint32_t *mask = masks[t / 2];

		memcpy(args + 16, mask, 8);
		memset(out, 0, 4 * N);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t g = 0; g < GROUPS; g++) {
			uint32_t part[512], next[512];

			for (uint32_t l = 0; l < 256; l++) {
				uint32_t i = 256 * g + l;

				part[l] = in[2 * i - (i & mask[0])];
				part[l + 256] = in[i & mask[1]];
			}
			for (uint32_t m = mask[1]; m & 255; m = m >> 1 & 255) {
				memcpy(next, part, sizeof(next));
				for (uint32_t l = 0; l < 256; l++)
					if (part[2 * l - (l & m)] & 1)
						next[l + 256 * (m & 1)] = part[2 * l - (l & m)] * 3 + (l & m);
				memcpy(part, next, sizeof(part));
			}
			for (uint32_t l = 0; l < 256; l++)
				assert_int_equal(out[256 * g + l], part[l] + 5 * part[l + 256]);
		}
	}
	runner_unmap(&runner, out);
	runner_unmap(&runner, in);
}

static uint64_t few_compute_ns(uint32_t *out, uint32_t kept)
{
	uint32_t rounds = 20000;
	float factor = 1.5f;
	uint8_t args[20];
	struct runner_dispatch d = {.kernel = "few_compute", .grid = {256, 1, 1}, .group = {256, 1, 1}, .args = args, .args_size = sizeof(args)};
	struct timespec a, b;

	memcpy(args, &out, 8);
	memcpy(args + 8, &kept, 4);
	memcpy(args + 12, &factor, 4);
	memcpy(args + 16, &rounds, 4);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
	clock_gettime(CLOCK_MONOTONIC, &b);
	for (uint32_t i = 0; i < 256; i++) {
		float y = factor + (float)i, x = 2 * y * y, sum;

		memcpy(&sum, &kept, 4);
		for (uint32_t k = 0; !(i & 63) && k < rounds; k++)
			sum = fmaf(-y, y, fmaf(y, y, sum));
		assert_memory_equal(&out[i], i & 63 ? (void *)&kept : (void *)&x, 4);
		assert_memory_equal(&out[i + 256], i & 63 ? (void *)&kept : (void *)&sum, 4);
	}
	return (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u + (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
}

/* Inactive lanes that hold small integers are denormals to what is computed beside them, which hosts take very long for. */
static void test_kept_denormals(void **state)
{
	static const uint32_t kept[2] = {0x3f800000, 5};
	uint32_t *out = runner_alloc(&runner, 2048, GPU_PROT_READ | GPU_PROT_WRITE);
	uint64_t best[2] = {UINT64_MAX, UINT64_MAX};

	for (unsigned i = 0; i < 40; i++) {
		uint64_t ns = few_compute_ns(out, kept[i & 1]);

		if (ns < best[i & 1])
			best[i & 1] = ns;
		if (i == 10)
			usleep(300000);
	}
	assert_true(best[1] < 3 * best[0]);
	runner_unmap(&runner, out);
}

static void test_turned(void **state)
{
	enum { WIDTH = 96, HEIGHT = 160, SIZE = 4 * WIDTH * HEIGHT };
	uint8_t *in = runner_alloc(&runner, SIZE, GPU_PROT_READ), *out = runner_alloc(&runner, SIZE + 4096, GPU_PROT_READ | GPU_PROT_WRITE);
	int32_t size[2] = {WIDTH, HEIGHT};
	uint8_t args[24];
	struct runner_dispatch d = {.kernel = "turned", .grid = {WIDTH, HEIGHT, 1}, .group = {16, 16, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < SIZE / 4; i++)
		((uint32_t *)in)[i] = i * 2654435761u;
	memcpy(args + 16, size, 8);
	/* Lines of the host's caches, and what is none. */
	for (unsigned offset = 0; offset < 4 * 68; offset += 68) {
		uint32_t *to = (void *)(out + offset);

		memset(out, 0x5a, SIZE + 4096);
		memcpy(args, &in, 8);
		memcpy(args + 8, &to, 8);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (unsigned y = 0; y < HEIGHT; y++)
			for (unsigned x = 0; x < WIDTH; x++)
				assert_int_equal(to[x * HEIGHT + y], ((uint32_t *)in)[y * WIDTH + x]);
		for (unsigned i = 0; i < SIZE + 4096; i++)
			if (i < offset || i >= offset + SIZE)
				assert_int_equal(out[i], 0x5a);
	}
	runner_unmap(&runner, in);
	runner_unmap(&runner, out);
}

static void test_framed(void **state)
{
	enum { WIDTH = 320, HEIGHT = 64, SIZE = 4 * WIDTH * HEIGHT };
	uint8_t *in = runner_alloc(&runner, SIZE, GPU_PROT_READ), *out = runner_alloc(&runner, SIZE + 4096, GPU_PROT_READ | GPU_PROT_WRITE);
	const uint32_t *from = (void *)in;
	int32_t size[2] = {WIDTH, HEIGHT};
	uint8_t args[24];
	struct runner_dispatch d = {.kernel = "framed", .grid = {WIDTH, HEIGHT, 1}, .group = {64, 2, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < SIZE / 4; i++)
		((uint32_t *)in)[i] = i * 2654435761u;
	memcpy(args, &in, 8);
	memcpy(args + 16, size, 8);
	/* Lines of the host's caches, and what is none. */
	for (unsigned offset = 0; offset < 4 * 68; offset += 68) {
		uint32_t *to = (void *)(out + offset);

		memset(out, 0x5a, SIZE + 4096);
		memcpy(args + 8, &to, 8);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (unsigned i = 0; i < SIZE / 4; i++) {
			unsigned x = i % WIDTH, y = i / WIDTH;
			bool inside = x >= 5 && y > 0 && x < WIDTH - 1 && y < HEIGHT - 1;

			assert_int_equal(to[i], inside ? from[i + 1] * 3 + from[i - 1] : 0x5a5a5a5a);
		}
		for (unsigned i = 0; i < SIZE + 4096; i++)
			if (i < offset || i >= offset + SIZE)
				assert_int_equal(out[i], 0x5a);
	}
	runner_unmap(&runner, in);
	runner_unmap(&runner, out);
}

/* Short reads of LDS. Whether the code made for them is good is seen by what the program says: tests/run takes an error of the JIT for a failure. */
static void test_bytes(void **state)
{
	enum { ITEMS_ = 512, STEP = 77 };
	uint32_t *out = runner_alloc(&runner, 4 * ITEMS_, GPU_PROT_READ | GPU_PROT_WRITE), step = STEP;
	uint8_t *in = runner_alloc(&runner, 4096, GPU_PROT_READ), args[20];
	struct runner_dispatch d = {.kernel = "bytes", .grid = {ITEMS_, 1, 1}, .group = {64, 1, 1}, .args = args, .args_size = sizeof(args)};

	for (unsigned i = 0; i < 4096; i++)
		in[i] = (uint8_t)(i * 2654435761u >> 21);
	memcpy(args, &out, 8);
	memcpy(args + 8, &in, 8);
	memcpy(args + 16, &step, 4);
	for (unsigned t = 0; t < 3; t++) {
		memset(out, 0, 4 * ITEMS_);
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (unsigned i = 0; i < ITEMS_; i++) {
			uint32_t l = i % 64, sum = 0;

			for (unsigned k = 0; k < 9; k++)
				sum = sum * 3 + in[(l / 16 + k / 3) * 18 + l % 16 + k % 3];
			assert_int_equal(out[i], sum * 5 + (uint32_t)(int16_t)(in[l * STEP & 255] * 257));
		}
	}
	runner_unmap(&runner, out);
	runner_unmap(&runner, in);
}

/* The GPU's last user in a process that ends: after LLVM. */
static void close_at_exit(void)
{
	runner_free(&runner);
}

/* A process that ends while its kernel is being compiled, after so many microseconds. */
static int end_early(const char *after)
{
	mix_with(0);
	usleep((useconds_t)atoi(after));
	return 0;
}

static const char *file;

static void test_sums(void **state)
{
	static const uint64_t slices[] = {0, 1, 50, 97, 300, 1000, 0};
	uint32_t *out = runner_alloc(&runner, ITEMS * 4, GPU_PROT_READ | GPU_PROT_WRITE), sum[128][12], part[256];
	int rounds = ROUNDS;
	uint8_t args[12];
	struct runner_dispatch d = {.kernel = "sums", .grid = {ITEMS, 1, 1}, .group = {128, 1, 1}, .args = args, .args_size = sizeof(args)};

	memcpy(args, &out, 8);
	memcpy(args + 8, &rounds, 4);
	for (unsigned t = 0; t < sizeof(slices) / sizeof(slices[0]); t++) {
		runner.slice = slices[t];
		assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
		for (uint32_t g = 0; g < ITEMS / 128; g++) {
			for (uint32_t i = 0; i < 128 * 12; i++)
				sum[i / 12][i % 12] = (128 * g + i / 12) * 2654435761u + i % 12;
			for (uint32_t r = 0; r < ROUNDS; r++) {
				for (uint32_t l = 0; l < 128; l++) {
					part[l] = sum[l][0] ^ r;
					part[l + 128] = sum[l][11] + r;
				}
				for (uint32_t i = 0; i < 128 * 12; i++) {
					uint32_t l = i / 12, k = i % 12;

					sum[l][k] = sum[l][k] * 5 + (part[127 - l] ^ part[(l ^ 64) + 128] * (2 * k + 1));
				}
			}
			for (uint32_t l = 0; l < 128; l++) {
				for (uint32_t k = 1; k < 12; k++)
					sum[l][0] = sum[l][0] * 3 + sum[l][k];
				assert_int_equal(out[128 * g + l], sum[l][0]);
			}
		}
	}
	runner.slice = 0;
	runner_unmap(&runner, out);
}

static void test_large(void **state)
{
	uint32_t *out = runner_alloc(&runner, ITEMS * 4, GPU_PROT_READ | GPU_PROT_WRITE), rounds = 3;
	uint8_t args[12];
	struct runner_dispatch d = {.kernel = "large", .grid = {ITEMS, 1, 1}, .group = {256, 1, 1}, .args = args, .args_size = sizeof(args)};
	const char *how = getenv("HSAVISOR_JIT");
	uint64_t before = exec_compile_ns();

	memcpy(args, &out, 8);
	memcpy(args + 8, &rounds, 4);
	assert_int_equal(runner_run(&runner, &co, &d), EXEC_DONE);
	for (uint32_t i = 0; i < ITEMS; i++) {
		uint32_t x = i;

		for (uint32_t r = 0; r < rounds; r++)
			for (uint32_t k = 1; k <= 2560; k++) {
				x = (x ^ k * 0x9e3779b1u) + (x << 5) * 3;
				x ^= x >> (k % 7 + 3);
			}
		assert_int_equal(out[i], x);
	}
	if (how && !strcmp(how, "sync"))
		assert_true(exec_compile_ns() > before);
	runner_unmap(&runner, out);
}

static void test_ending_while_compiling(void **state)
{
	static const char *const after[] = {"0", "3000", "10000", "30000", "60000", "100000", "200000", "400000"};

	for (unsigned i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		pid_t pid = fork();
		int status = 0;

		if (!pid) {
			alarm(20);
			execl("/proc/self/exe", "test_run", file, after[i], NULL);
			_exit(2);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

static atomic_uint trims;

/* Instead of the C library's. */
int malloc_trim(size_t pad)
{
	atomic_fetch_add(&trims, 1);
	return 0;
}

/* In a process of the GPU's own, as jit_prepare() makes it, the allocator doesn't keep what compiling took. */
static void test_memory_given_back(void **state)
{
	for (int i = 0; i < 6000 && !atomic_load(&trims); i++)
		usleep(10000);
	assert_true(atomic_load(&trims));
}

/* Not of this target, or of how kernels are compiled here. How many are left. */
static size_t leave_out(struct CMUnitTest *tests, size_t n, CMUnitTestFunction f)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (tests[i].test_func != f)
			tests[k++] = tests[i];
	return k;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices), cmocka_unit_test(test_sums), cmocka_unit_test(test_windows), cmocka_unit_test(test_add_floats), cmocka_unit_test(test_rows), cmocka_unit_test(test_classes),
		cmocka_unit_test(test_stop), cmocka_unit_test(test_wait),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_uneven), cmocka_unit_test(test_ranges), cmocka_unit_test(test_runs), cmocka_unit_test(test_fault_in_range),
		cmocka_unit_test(test_ors), cmocka_unit_test(test_extended), cmocka_unit_test(test_masked), cmocka_unit_test(test_kept_denormals), cmocka_unit_test(test_turned), cmocka_unit_test(test_framed), cmocka_unit_test(test_bytes), cmocka_unit_test(test_large),
		cmocka_unit_test(test_ending_while_compiling),
		cmocka_unit_test(test_memory_given_back),
	};
	const char *how = getenv("HSAVISOR_JIT");
	size_t n = sizeof(tests) / sizeof(tests[0]);

	/* Functions given to atexit run in the opposite order: this one last. */
	if (argc == 3)
		atexit(close_at_exit);
	if (argc < 2 || codeobj_load(&co, argv[1]) || runner_init(&runner, co.target) ||
	    runner_map(&runner, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC))
		return 2;
	file = argv[1];
	jit_prepare(-1);
	if (argc == 3)
		return end_early(argv[2]);
	if (co.target != ISA_GFX90A)
		n = leave_out(tests, n, test_add_floats);
	/* The interpreter computes with all lanes, and so does AVX2; exact picks NaNs between. */
	if ((how && (!strcmp(how, "0") || !strcmp(how, "exact"))) || !__builtin_cpu_supports("avx512f") || getenv("HSAVISOR_JIT_WIDTH"))
		n = leave_out(tests, n, test_kept_denormals);
	if (!how || strcmp(how, "1")) /* else nothing is compiled in the background */
		n = leave_out(tests, n, test_memory_given_back);
	return _cmocka_run_group_tests("run", tests, n, NULL, NULL);
}
