// SPDX-License-Identifier: MIT
/* stream.c - cases of stream.cl: inputs, launches and references. */
#include <math.h>
#include <stdlib.h>

#include "bench/gpu/gpu-bench/job.h"

enum { GROUP = 256, TILE = 16, REDUCE_GROUPS = 256, BLOCK = 2 * GROUP, RADIUS = 3, TAPS = 2 * RADIUS + 1, CHECKED = 1 << 22 };

/* ---------------------------------------------------------------- vectors: size[0] elements */

static void vadd_setup(struct job *j)
{
	size_t n = j->size[0];

	job_fill(j, job_input(j, 0, n * job_real(j)), n, 1, -1, 1);
	job_fill(j, job_input(j, 1, n * job_real(j)), n, 2, -1, 1);
	job_output(j, 2, n * job_real(j));
	for (unsigned i = 0; i < 3; i++)
		job_arg_buffer(j, 0, i, i);
}

static void vector_run(struct job *j)
{
	job_launch(j, 0, j->size[0], 0, GROUP, 0);
}

static void vadd_check(struct job *j)
{
	for (size_t i = 0, step = job_step(j->size[0], CHECKED); i < j->size[0]; i += step)
		job_close(j, 2, i, job_get(j, j->host[0], i) + job_get(j, j->host[1], i), 2, 1);
}

static void axpy_setup(struct job *j)
{
	size_t n = j->size[0];

	job_fill(j, job_input(j, 0, n * job_real(j)), n, 1, -1, 1);
	job_fill(j, job_changed(j, 1, n * job_real(j)), n, 2, -1, 1);
	job_arg_real(j, 0, 0, 1.25);
	job_arg_buffer(j, 0, 1, 0);
	job_arg_buffer(j, 0, 2, 1);
}

static void axpy_check(struct job *j)
{
	for (size_t i = 0, step = job_step(j->size[0], CHECKED); i < j->size[0]; i += step)
		job_close(j, 1, i, 1.25 * job_get(j, j->host[0], i) + job_get(j, j->host[1], i), 2.25, 1);
}

/* ---------------------------------------------------------------- transposition: width, height */

static void transpose_setup(struct job *j)
{
	size_t n = j->size[0] * j->size[1];

	job_fill(j, job_input(j, 0, n * job_real(j)), n, 1, -1, 1);
	job_output(j, 1, n * job_real(j));
	job_arg_buffer(j, 0, 0, 0);
	job_arg_buffer(j, 0, 1, 1);
	job_arg_int(j, 0, 2, (int)j->size[0]);
	job_arg_int(j, 0, 3, (int)j->size[1]);
}

static void transpose_run(struct job *j)
{
	job_launch(j, 0, j->size[0], j->size[1], TILE, TILE);
}

static void transpose_check(struct job *j)
{
	size_t w = j->size[0], h = j->size[1];

	for (size_t i = 0, step = job_step(w * h, CHECKED); i < w * h; i += step)
		job_close(j, 1, i, job_get(j, j->host[0], i % h * w + i / h), 0, 0);
}

/* ---------------------------------------------------------------- reduction: elements */

static void reduce_setup(struct job *j)
{
	size_t n = j->size[0];

	job_fill(j, job_input(j, 0, n * job_real(j)), n, 1, -1, 2);
	job_output(j, 1, REDUCE_GROUPS * job_real(j));
	job_output(j, 2, job_real(j));
}

static void reduce_run(struct job *j)
{
	job_arg_buffer(j, 0, 0, 0);
	job_arg_buffer(j, 0, 1, 1);
	job_arg_int(j, 0, 2, (int)j->size[0]);
	job_launch(j, 0, REDUCE_GROUPS * GROUP, 0, GROUP, 0);
	job_arg_buffer(j, 0, 0, 1);
	job_arg_buffer(j, 0, 1, 2);
	job_arg_int(j, 0, 2, REDUCE_GROUPS);
	job_launch(j, 0, GROUP, 0, GROUP, 0);
}

static void reduce_check(struct job *j)
{
	double sum = 0, size = 0;

	for (size_t i = 0; i < j->size[0]; i++) {
		sum += job_get(j, j->host[0], i);
		size += fabs(job_get(j, j->host[0], i));
	}
	job_close(j, 2, 0, sum, size, 16);
}

/* ---------------------------------------------------------------- exclusive scan: elements, a multiple of 2^18 or at most 2^18 */

static size_t up(size_t n)
{
	return (n + BLOCK - 1) / BLOCK;
}

/* Buffer 0 in, 1 out; 2 totals of blocks, 3 these scanned; 4 and 5 the same of those; 6 the last total. Scanned arrays are whole blocks. */
static void scan_setup(struct job *j)
{
	size_t n = j->size[0], blocks = up(n), above = up(blocks), r = job_real(j);

	job_fill(j, job_input(j, 0, n * r), n, 1, 0, 1);
	job_output(j, 1, n * r);
	job_changed(j, 2, above * BLOCK * r);
	job_output(j, 3, above * BLOCK * r);
	job_changed(j, 4, BLOCK * r);
	job_output(j, 5, BLOCK * r);
	job_output(j, 6, r);
}

static void scan_level(struct job *j, unsigned in, unsigned out, unsigned totals, size_t blocks)
{
	job_arg_buffer(j, 0, 0, in);
	job_arg_buffer(j, 0, 1, out);
	job_arg_buffer(j, 0, 2, totals);
	job_launch(j, 0, blocks * GROUP, 0, GROUP, 0);
}

static void scan_run(struct job *j)
{
	size_t blocks = up(j->size[0]), above = up(blocks);

	scan_level(j, 0, 1, 2, blocks);
	scan_level(j, 2, 3, 4, above);
	scan_level(j, 4, 5, 6, 1);
	job_arg_buffer(j, 1, 0, 3);
	job_arg_buffer(j, 1, 1, 5);
	job_launch(j, 1, above * GROUP, 0, GROUP, 0);
	job_arg_buffer(j, 1, 0, 1);
	job_arg_buffer(j, 1, 1, 3);
	job_launch(j, 1, blocks * GROUP, 0, GROUP, 0);
}

static void scan_check(struct job *j)
{
	double sum = 0;

	for (size_t i = 0; i < j->size[0]; i++) {
		job_close(j, 1, i, sum, sum + 1, 64);
		sum += job_get(j, j->host[0], i);
	}
	job_close(j, 6, 0, sum, sum, 64);
}

/* ---------------------------------------------------------------- stencil: width, height; the border is not written */

static void stencil_setup(struct job *j)
{
	size_t n = j->size[0] * j->size[1];

	job_fill(j, job_input(j, 0, n * job_real(j)), n, 1, -1, 1);
	job_output(j, 1, n * job_real(j));
	job_arg_buffer(j, 0, 0, 0);
	job_arg_buffer(j, 0, 1, 1);
	job_arg_int(j, 0, 2, (int)j->size[0]);
	job_arg_int(j, 0, 3, (int)j->size[1]);
}

static void stencil_run(struct job *j)
{
	job_launch(j, 0, j->size[0], j->size[1], GROUP, 1);
}

static void stencil_check(struct job *j)
{
	size_t w = j->size[0], h = j->size[1];
	const void *in = j->host[0];

	for (size_t i = 0, step = job_step(w * h, CHECKED); i < w * h; i += step) {
		size_t x = i % w, y = i / w;
		double want = job_get(j, j->host[1], i);

		if (x > 0 && y > 0 && x < w - 1 && y < h - 1)
			want = 0.25 * (job_get(j, in, i - 1) + job_get(j, in, i + 1) + job_get(j, in, i - w) + job_get(j, in, i + w)) -
			       job_get(j, in, i);
		job_close(j, 1, i, want, 2, 4);
	}
}

/* ---------------------------------------------------------------- convolution: width, height of the output */

static void convolve_setup(struct job *j)
{
	size_t w = j->size[0], h = j->size[1], n = (w + 2 * RADIUS) * (h + 2 * RADIUS);

	job_fill(j, job_input(j, 0, n * job_real(j)), n, 1, -1, 1);
	job_fill(j, job_input(j, 1, TAPS * TAPS * job_real(j)), TAPS * TAPS, 2, -1, 1);
	job_output(j, 2, w * h * job_real(j));
	for (unsigned i = 0; i < 3; i++)
		job_arg_buffer(j, 0, i, i);
	job_arg_int(j, 0, 3, (int)w);
}

static void convolve_run(struct job *j)
{
	job_launch(j, 0, j->size[0], j->size[1], TILE, TILE);
}

static void convolve_check(struct job *j)
{
	size_t w = j->size[0], h = j->size[1], pitch = w + 2 * RADIUS;

	for (size_t i = 0, step = job_step(w * h, CHECKED / 16); i < w * h; i += step) {
		double want = 0;

		for (size_t k = 0; k < TAPS * TAPS; k++)
			want += job_get(j, j->host[1], k) * job_get(j, j->host[0], (i / w + k / TAPS) * pitch + i % w + k % TAPS);
		job_close(j, 2, i, want, TAPS * TAPS, 8);
	}
}

#define M (1 << 20)

#define BOTH(name, file, barriers, small, full32, full64, kernels, setup, run, check)                                                      \
	{name "_f32", file, false, barriers, small, full32, kernels, setup, run, check},                                                    \
	{name "_f64", file, true, barriers, small, full64, kernels, setup, run, check}
#define S(...) {__VA_ARGS__}

const struct job_case stream_cases[] = {
	BOTH("vadd", "stream", false, S(16384), S(16 * M), S(8 * M), S("vadd"), vadd_setup, vector_run, vadd_check),
	{"saxpy", "stream", false, false, {16384}, {16 * M}, {"axpy"}, axpy_setup, vector_run, axpy_check},
	{"daxpy", "stream", true, false, {16384}, {8 * M}, {"axpy"}, axpy_setup, vector_run, axpy_check},
	BOTH("transpose", "stream", true, S(96, 48), S(4096, 4096), S(4096, 2048), S("transpose"), transpose_setup, transpose_run, transpose_check),
	BOTH("reduction", "stream", true, S(100000), S(16 * M), S(8 * M), S("reduce"), reduce_setup, reduce_run, reduce_check),
	BOTH("scan", "stream", true, S(65536), S(8 * M), S(4 * M), S("scan_blocks", "scan_add"), scan_setup, scan_run, scan_check),
	BOTH("stencil", "stream", false, S(512, 33), S(4096, 4096), S(4096, 2048), S("stencil"), stencil_setup, stencil_run, stencil_check),
	BOTH("convolution", "stream", false, S(64, 48), S(2048, 2048), S(2048, 1024), S("convolve"), convolve_setup, convolve_run,
	     convolve_check),
	{0},
};
