// SPDX-License-Identifier: MIT
/*
 * sparse.cl - a sparse matrix (rows compressed) by a vector, and the assignment step of k-means. REAL is float or double.
 */
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

kernel void spmv(global const int *start, global const int *column, global const REAL *value, global const REAL *x, global REAL *y)
{
	int row = get_global_id(0);
	REAL sum = 0;

	for (int i = start[row]; i < start[row + 1]; i++)
		sum = fma(value[i], x[column[i]], sum);
	y[row] = sum;
}

/* The nearest centre of each point; coordinate d of point i at points[d * n + i]. */
kernel void kmeans(global const REAL *points, global const REAL *centres, global int *nearest, int n, int dimensions, int clusters)
{
	int i = get_global_id(0), best = 0;
	REAL least = INFINITY;

	for (int k = 0; k < clusters; k++) {
		REAL sum = 0;

		for (int d = 0; d < dimensions; d++) {
			REAL t = points[d * n + i] - centres[k * dimensions + d];

			sum = fma(t, t, sum);
		}
		if (sum < least) {
			least = sum;
			best = k;
		}
	}
	nearest[i] = best;
}
