/* SPDX-License-Identifier: MIT */
/*
 * test_random.c - random kernels (generate.py), as GPU code and as C, compute the same: usage: test_random REFERENCE.so KERNELS.co [KERNEL]
 *
 * Each runs with several sizes, arguments and slices. Environment variables choose how, as always (HSAVISOR_JIT).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpu/soft/jit/unit.h"
#include "tests/exec/runner.h"
#include "tests/jit/random/random.h"

#define OUT_BYTES (16 * ITEMS)
enum { COUNTERS = 320, NUM_INPUTS = 8, MOST_GROUP = 256 };

static struct runner runner;
static struct codeobj co;
static uint8_t *inputs[NUM_INPUTS], *out[3], *want[3];
static uint *count, want_count[COUNTERS];
static const size_t element[NUM_INPUTS] = {4, 4, 4, 4, 1, 2, 8, 8};

struct arguments {
	const void *inputs[NUM_INPUTS];
	void *out[3];
	uint *count;
	int n, m;
};

static uint64_t random_bits(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void make_inputs(void)
{
	uint64_t state = 1;

	for (unsigned k = 0; k < NUM_INPUTS; k++) {
		uint8_t *p = runner_alloc(&runner, 2 * SLACK * element[k], GPU_PROT_READ);
		uint row = 0;

		assert_non_null(p);
		inputs[k] = p + SLACK * element[k];
		for (int i = -SLACK; i < SLACK; i++) {
			uint64_t r = random_bits(&state);

			switch (k) {
			case 1:
				((float *)inputs[k])[i] = (float)(int16_t)r * (r >> 60 ? 0.125f : 1e20f);
				break;
			case 2:
				((uint *)inputs[k])[i] = i < 0 ? (uint)(r % SLACK) : row;
				row += i >= 0 && row + 24 < SLACK ? (uint)(r >> 32) % (i / 1000 % 2 ? 4 : 6) + (r >> 56 ? 0 : 20) : 0;
				break;
			case 3: /* here neighbours, there anywhere */
				((uint *)inputs[k])[i] = (i & 0x3ff) < 0x100 ? (uint)(i + SLACK) % ITEMS : (uint)(r % ITEMS);
				break;
			case 7:
				((double *)inputs[k])[i] = (double)(int32_t)r / 1024;
				break;
			default:
				memcpy(inputs[k] + i * (int)element[k], &r, element[k]);
			}
		}
	}
}

static void fill(void)
{
	for (unsigned k = 0; k < 3; k++)
		for (unsigned i = 0; i < OUT_BYTES / 4; i++) {
			/* Read as floats they are none that an operation may choose to flush or not. */
			uint v = 0x3f000000 + i * 977 % 0x10000 * 64 + k;

			memcpy(out[k] + 4 * i, &v, 4);
			memcpy(want[k] + 4 * i, &v, 4);
		}
	for (unsigned i = 0; i < COUNTERS; i++)
		count[i] = want_count[i] = i >= 256 ? UINT32_MAX : 0;
}

static void reference(const struct random_kernel *k, const uint grid[2], const uint group[2], int n, int m)
{
	static struct item items[MOST_GROUP];
	void *const *in = (void *const *)inputs;

	for (uint gy = 0; gy < grid[1]; gy += group[1])
		for (uint gx = 0; gx < grid[0]; gx += group[0]) {
			uint width = umin(group[0], grid[0] - gx), height = umin(group[1], grid[1] - gy), num = 0;

			for (uint y = 0; y < height; y++)
				for (uint x = 0; x < width; x++, num++) {
					struct item *t = &items[num];

					*t = (struct item){.i = (gy + y) * WIDTH + gx + x, .l = num, .g = gx / group[0], .x = gx + x, .y = gy + y};
					begin_values(t);
				}
			k->run(in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], want[0], want[1], want[2], want_count, n, m, items, num);
		}
}

static void check(const struct random_kernel *k, const uint grid[2], const uint group[2], int n, int m, uint64_t slice)
{
	struct arguments args = {.out = {out[0], out[1], out[2]}, .count = count, .n = n, .m = m};
	struct runner_dispatch d = {.kernel = k->name, .grid = {grid[0], grid[1], 1}, .group = {group[0], group[1], 1}, .args = &args, .args_size = sizeof(args)};
	char how[200];
	enum exec_result result;

	snprintf(how, sizeof(how), "%s, grid %u x %u, group %u x %u, n %d, m %d, slice %lu", k->name, grid[0], grid[1], group[0], group[1], n, m, slice);
	memcpy(args.inputs, inputs, sizeof(inputs));
	fill();
	reference(k, grid, group, n, m);
	runner.slice = slice;
	result = runner_run(&runner, &co, &d);
	if (result != EXEC_DONE)
		fail_msg("%s: ended with %d, fault at %#lx", how, (int)result, runner.fault.va);
	for (unsigned o = 0; o < 3; o++)
		for (unsigned i = 0; i < OUT_BYTES / 4; i++)
			if (memcmp(out[o] + 4 * i, want[o] + 4 * i, 4))
				fail_msg("%s: dword %u of output %u is %#x, not %#x", how, i, o, ((uint *)out[o])[i], ((uint *)want[o])[i]);
	for (unsigned i = 0; i < COUNTERS; i++)
		if (count[i] != want_count[i])
			fail_msg("%s: counter %u is %#x, not %#x", how, i, count[i], want_count[i]);
}

static void test_kernel(void **state)
{
	static const uint launches[][2][2] = {{{ITEMS, 1}, {128, 1}}, {{ITEMS - 37, 1}, {256, 1}}, {{ITEMS, 1}, {64, 1}}, {{ITEMS - 128, 1}, {192, 1}}, {{5000, 1}, {100, 1}}};
	static const uint launches_2d[][2][2] = {{{WIDTH, HEIGHT}, {16, 16}}, {{WIDTH, HEIGHT}, {64, 2}}, {{WIDTH - 5, HEIGHT - 3}, {32, 8}}, {{WIDTH, HEIGHT}, {8, 8}}, {{100, 60}, {10, 10}}};
	static const int ns[] = {ITEMS, ITEMS / 2 + 1, ITEMS + 5, 65, ITEMS - 64, 0, ITEMS - 1, -1}, ms[] = {3, 64, 0, 30, 7, 12000, 1};
	static const uint64_t slices[] = {0, 0, 0, 97, 1000};
	const struct random_kernel *k = *state;
	uint64_t r = strtoul(k->name + 1, NULL, 10);

	for (unsigned l = 0; l < 2; l++) {
		const uint(*launch)[2] = k->dims == 2 ? launches_2d[(r + l) % 5] : launches[(r + l) % 5], *grid = launch[0], *group = launch[1];
		const uint whole[2][2] = {{l ? ITEMS / 3 : ITEMS, 1}, {(uint)k->group, 1}};

		if (k->group)
			grid = whole[0], group = whole[1];
		/* Guesses that compiled code makes fail for some. */
		for (unsigned i = 0; i < 5; i++) {
			uint64_t x = random_bits(&r);

			check(k, grid, group, i ? ns[x % 8] : ITEMS, ms[(x >> 8) % 7], slices[(x >> 16) % 5]);
		}
	}
}

int main(int argc, char **argv)
{
	const struct random_kernel *const *kernels;
	const char *how = getenv("HSAVISOR_JIT");
	const unsigned *num;
	struct CMUnitTest *tests;
	size_t wanted = 0;
	void *library;
	int failed;

	if (argc < 3) {
		fprintf(stderr, "usage: test_random REFERENCE.so KERNELS.co [KERNEL]\n");
		return 2;
	}
	if (how && strcmp(how, "0") && !jit_module_get()) {
		fprintf(stderr, "test_random: kernels are to be compiled, but there is no module for that\n");
		return 2;
	}
	library = dlopen(argv[1], RTLD_NOW);
	if (!library) {
		fprintf(stderr, "test_random: %s\n", dlerror());
		return 2;
	}
	kernels = dlsym(library, "random_kernels");
	num = dlsym(library, "num_random_kernels");
	if (!kernels || !num || codeobj_load(&co, argv[2]) || runner_init(&runner, co.target) || runner_map(&runner, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC)) {
		fprintf(stderr, "test_random: cannot load %s and %s\n", argv[1], argv[2]);
		return 2;
	}
	make_inputs();
	count = runner_alloc(&runner, sizeof(want_count), GPU_PROT_READ | GPU_PROT_WRITE);
	for (unsigned o = 0; o < 3; o++) {
		out[o] = runner_alloc(&runner, OUT_BYTES, GPU_PROT_READ | GPU_PROT_WRITE);
		want[o] = malloc(OUT_BYTES);
	}
	tests = calloc(*num, sizeof(*tests));
	for (unsigned i = 0; i < *num; i++)
		if (argc < 4 || !strcmp((*kernels)[i].name, argv[3]))
			tests[wanted++] = (struct CMUnitTest){.name = (*kernels)[i].name, .test_func = test_kernel, .initial_state = (void *)&(*kernels)[i]};
	failed = _cmocka_run_group_tests("random", tests, wanted, NULL, NULL);
	free(tests);
	for (unsigned o = 0; o < 3; o++)
		free(want[o]);
	runner_free(&runner);
	return failed;
}
