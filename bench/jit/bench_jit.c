/* SPDX-License-Identifier: MIT */
/*
 * bench_jit.c - how long kernels take in the software GPU's executor, one thread: usage: bench_jit KERNELS.co [KERNEL]
 *
 * Lines "kernel milliseconds checksum", best of a few runs (CPU time). Run it with HSAVISOR_JIT=0 and HSAVISOR_JIT=sync to compare; the
 * checksums must agree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/exec/runner.h"

struct bench {
	const char *name;
	uint32_t grid[2];
	uint16_t group[2];
	size_t bytes[3];	/* buffers, 0: none */
	uint32_t scalar[3];
	unsigned num_scalars;
};

static const struct bench benches[] = {
	{"vadd", {16 << 20, 1}, {256, 1}, {64 << 20, 64 << 20, 64 << 20}, {0}, 0},
	{"sgemm_naive", {512, 512}, {16, 16}, {1 << 20, 1 << 20, 1 << 20}, {512}, 1},
	{"sgemm_tiled", {1024, 1024}, {16, 16}, {4 << 20, 4 << 20, 4 << 20}, {1024}, 1},
	{"reduce", {65536, 1}, {256, 1}, {64 << 20, 4096, 0}, {16 << 20}, 1},
	{"mandelbrot", {2048, 1024}, {256, 1}, {8 << 20, 0, 0}, {2048, 1024, 256}, 3},
	{"nbody", {16384, 1}, {256, 1}, {16384 * 16, 16384 * 16, 0}, {16384, 0x3c23d70a}, 2},
	{"options", {1 << 18, 1}, {256, 1}, {1 << 20, 1 << 20, 1 << 20}, {64}, 1},
	{"sgemm_mfma", {8 * 256, 8}, {256, 1}, {4 << 20, 4 << 20, 4 << 20}, {1024}, 1}, /* gfx90a */
	{"stencil", {4096, 4096}, {256, 1}, {64 << 20, 64 << 20, 0}, {4096, 4096}, 2},
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static int run(struct runner *r, struct codeobj *co, const struct bench *b)
{
	struct runner_dispatch d = {.kernel = b->name, .grid = {b->grid[0], b->grid[1], 1}, .group = {b->group[0], b->group[1], 1}};
	uint8_t args[64];
	float *data[3] = {NULL, NULL, NULL};
	double best = 1e9, total = 0;
	uint32_t sum = 0;

	for (unsigned i = 0; i < 3; i++) {
		if (!b->bytes[i])
			continue;
		data[i] = runner_alloc(r, b->bytes[i], GPU_PROT_READ | GPU_PROT_WRITE);
		if (!data[i])
			return 1;
		for (size_t k = 0; k < b->bytes[i] / 4; k++)
			data[i][k] = (float)((k * 2654435761u >> 20) & 1023) * (1.0f / 1024);
		memcpy(args + d.args_size, &data[i], 8);
		d.args_size += 8;
	}
	memcpy(args + d.args_size, b->scalar, 4 * b->num_scalars);
	d.args_size += 4 * b->num_scalars;
	d.args = args;
	for (unsigned n = 0; n < 7 && total < 4; n++) {
		double t = now();
		enum exec_result result = runner_run(r, co, &d);

		t = now() - t;
		if (result != EXEC_DONE) {
			printf("%s failed: %d\n", b->name, result);
			return 1;
		}
		total += t;
		if (t < best)
			best = t;
		/* The checksum is the first run's: some kernels add to what they find. */
		for (unsigned i = 0; !n && i < 3; i++)
			for (size_t k = 0; k < b->bytes[i] / 4; k++)
				sum = sum * 31 + ((const uint32_t *)data[i])[k];
	}
	printf("%-12s %9.2f ms  %08x\n", b->name, best * 1e3, sum);
	fflush(stdout);
	for (unsigned i = 0; i < 3; i++)
		if (data[i])
			runner_unmap(r, data[i]);
	return 0;
}

int main(int argc, char **argv)
{
	static struct runner r;
	struct codeobj co;
	int bad = 0;

	if (argc < 2 || codeobj_load(&co, argv[1]) || runner_init(&r, co.target) ||
	    runner_map(&r, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC)) {
		fprintf(stderr, "usage: bench_jit KERNELS.co [KERNEL]\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		if (argc < 3 || !strcmp(argv[2], benches[i].name))
			bad |= run(&r, &co, &benches[i]);
	runner_free(&r);
	codeobj_free(&co);
	return bad;
}
