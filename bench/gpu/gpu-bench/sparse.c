// SPDX-License-Identifier: MIT
/* sparse.c - cases of sparse.cl. */
#include <math.h>

#include "bench/gpu/gpu-bench/job.h"

enum { GROUP = 256, MOST = 32 /* elements in a row */, DIMENSIONS = 8, CLUSTERS = 16 };

/* ---------------------------------------------------------------- spmv: rows, of 0 to MOST - 1 elements anywhere */

static void spmv_setup(struct job *j)
{
	size_t n = j->size[0], elements = 0;
	int *start = job_input(j, 0, (n + 1) * sizeof(int)), *column;

	for (size_t i = 0; i < n; i++) {
		start[i] = (int)elements;
		elements += job_random(i, 1) % MOST;
	}
	start[n] = (int)elements;
	column = job_input(j, 1, elements * sizeof(int));
	for (size_t i = 0; i < elements; i++)
		column[i] = (int)(job_random(i, 2) % n);
	job_fill(j, job_input(j, 2, elements * job_real(j)), elements, 3, -1, 1);
	job_fill(j, job_input(j, 3, n * job_real(j)), n, 4, -1, 1);
	job_output(j, 4, n * job_real(j));
	for (unsigned i = 0; i < 5; i++)
		job_arg_buffer(j, 0, i, i);
}

static void linear_run(struct job *j)
{
	job_launch(j, 0, j->size[0], 0, GROUP, 0);
}

static void spmv_check(struct job *j)
{
	const int *start = j->host[0], *column = j->host[1];

	for (size_t row = 0; row < j->size[0]; row++) {
		double want = 0;

		for (int i = start[row]; i < start[row + 1]; i++)
			want += job_get(j, j->host[2], (size_t)i) * job_get(j, j->host[3], (size_t)column[i]);
		job_close(j, 4, row, want, MOST, 4);
	}
}

/* ---------------------------------------------------------------- k-means: points */

static void kmeans_setup(struct job *j)
{
	size_t n = j->size[0];

	job_fill(j, job_input(j, 0, n * DIMENSIONS * job_real(j)), n * DIMENSIONS, 1, 0, 1);
	job_fill(j, job_input(j, 1, CLUSTERS * DIMENSIONS * job_real(j)), CLUSTERS * DIMENSIONS, 2, 0, 1);
	job_output(j, 2, n * sizeof(int));
	for (unsigned i = 0; i < 3; i++)
		job_arg_buffer(j, 0, i, i);
	job_arg_int(j, 0, 3, (int)n);
	job_arg_int(j, 0, 4, DIMENSIONS);
	job_arg_int(j, 0, 5, CLUSTERS);
}

static double distance(struct job *j, size_t i, size_t k)
{
	double sum = 0;

	for (size_t d = 0; d < DIMENSIONS; d++) {
		double t = job_get(j, j->host[0], d * j->size[0] + i) - job_get(j, j->host[1], k * DIMENSIONS + d);

		sum += t * t;
	}
	return sum;
}

/* Another centre than the nearest is right where rounding makes it as near. */
static void kmeans_check(struct job *j)
{
	const int *out = j->result[2];

	for (size_t i = 0, step = job_step(j->size[0], 1 << 16); i < j->size[0]; i += step) {
		size_t best = 0;

		for (size_t k = 1; k < CLUSTERS; k++)
			if (distance(j, i, k) < distance(j, i, best))
				best = k;
		if (out[i] < 0 || out[i] >= CLUSTERS || distance(j, i, (size_t)out[i]) > distance(j, i, best) + 1e-5)
			job_wrong(j, 2, i, out[i], (double)best);
	}
}

const struct job_case sparse_cases[] = {
	{"spmv_f32", "sparse", false, false, {1000 / GROUP * GROUP}, {1 << 18}, {"spmv"}, spmv_setup, linear_run, spmv_check},
	{"spmv_f64", "sparse", true, false, {1000 / GROUP * GROUP}, {1 << 18}, {"spmv"}, spmv_setup, linear_run, spmv_check},
	{"kmeans", "sparse", false, false, {2048}, {1 << 18}, {"kmeans"}, kmeans_setup, linear_run, kmeans_check},
	{0},
};
