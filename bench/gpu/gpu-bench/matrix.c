// SPDX-License-Identifier: MIT
/* matrix.c - cases of matrix.cl: square matrices, size[0] rows. */
#include "bench/gpu/gpu-bench/job.h"

enum { TILE = 16, EACH = 4, CHECKED = 1 << 26 /* multiplications */ };

static void setup(struct job *j)
{
	size_t n = j->size[0] * j->size[0];

	job_fill(j, job_input(j, 0, n * job_real(j)), n, 1, -1, 1);
	job_fill(j, job_input(j, 1, n * job_real(j)), n, 2, -1, 1);
	job_output(j, 2, n * job_real(j));
	for (unsigned i = 0; i < 3; i++)
		job_arg_buffer(j, 0, i, i);
	job_arg_int(j, 0, 3, (int)j->size[0]);
}

static void run(struct job *j)
{
	job_launch(j, 0, j->size[0], j->size[0], TILE, TILE);
}

static void run_registers(struct job *j)
{
	job_launch(j, 0, j->size[0] / EACH, j->size[0] / EACH, TILE, TILE);
}

static void check(struct job *j)
{
	size_t n = j->size[0];

	for (size_t i = 0, step = job_step(n * n, CHECKED / n); i < n * n; i += step) {
		double want = 0;

		for (size_t k = 0; k < n; k++)
			want += job_get(j, j->host[0], i / n * n + k) * job_get(j, j->host[1], k * n + i % n);
		job_close(j, 2, i, want, (double)n, 2);
	}
}

#define BOTH(name, barriers, full32, full64, kernel, run)                                                                                   \
	{"sgemm_" name, "matrix", false, barriers, {128}, {full32}, {kernel}, setup, run, check},                                           \
	{"dgemm_" name, "matrix", true, barriers, {128}, {full64}, {kernel}, setup, run, check}

const struct job_case matrix_cases[] = {
	BOTH("naive", false, 512, 512, "gemm_naive", run),
	BOTH("tiled", true, 1024, 512, "gemm_tiled", run),
	BOTH("registers", true, 1024, 512, "gemm_registers", run_registers),
	{0},
};
