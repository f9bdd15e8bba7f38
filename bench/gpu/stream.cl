// SPDX-License-Identifier: MIT
/*
 * stream.cl - kernels that are mostly memory: vectors, transposition, reduction, scan, stencil, convolution. REAL is float or double.
 */
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#define GROUP 256
#define TILE 16
#define RADIUS 3

kernel void vadd(global const REAL *a, global const REAL *b, global REAL *c)
{
	size_t i = get_global_id(0);

	c[i] = a[i] + b[i];
}

kernel void axpy(REAL f, global const REAL *x, global REAL *y)
{
	size_t i = get_global_id(0);

	y[i] = f * x[i] + y[i];
}

/* A column more than needed, against bank conflicts. */
kernel __attribute__((reqd_work_group_size(TILE, TILE, 1))) void transpose(global const REAL *in, global REAL *out, int width, int height)
{
	local REAL tile[TILE][TILE + 1];
	int lx = get_local_id(0), ly = get_local_id(1), bx = get_group_id(0) * TILE, by = get_group_id(1) * TILE;

	tile[ly][lx] = in[(by + ly) * width + bx + lx];
	barrier(CLK_LOCAL_MEM_FENCE);
	out[(bx + ly) * height + by + lx] = tile[lx][ly];
}

/* Each work-group's sum of its share of in. */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void reduce(global const REAL *in, global REAL *out, int n)
{
	local REAL part[GROUP];
	int l = get_local_id(0);
	REAL sum = 0;

	for (int i = get_global_id(0); i < n; i += get_global_size(0))
		sum += in[i];
	part[l] = sum;
	barrier(CLK_LOCAL_MEM_FENCE);
	for (int k = GROUP / 2; k > 0; k >>= 1) {
		if (l < k)
			part[l] += part[l + k];
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	if (l == 0)
		out[get_group_id(0)] = part[0];
}

/* Exclusive sums within blocks of 2 * GROUP (up and down a tree), and each block's total. */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void scan_blocks(global const REAL *in, global REAL *out, global REAL *totals)
{
	local REAL tree[2 * GROUP];
	int l = get_local_id(0), base = get_group_id(0) * 2 * GROUP, step = 1;

	tree[l] = in[base + l];
	tree[l + GROUP] = in[base + l + GROUP];
	for (int d = GROUP; d > 0; d >>= 1) {
		barrier(CLK_LOCAL_MEM_FENCE);
		if (l < d)
			tree[step * (2 * l + 2) - 1] += tree[step * (2 * l + 1) - 1];
		step *= 2;
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	if (l == 0) {
		totals[get_group_id(0)] = tree[2 * GROUP - 1];
		tree[2 * GROUP - 1] = 0;
	}
	for (int d = 1; d <= GROUP; d *= 2) {
		step >>= 1;
		barrier(CLK_LOCAL_MEM_FENCE);
		if (l < d) {
			int i = step * (2 * l + 1) - 1, k = step * (2 * l + 2) - 1;
			REAL t = tree[i];

			tree[i] = tree[k];
			tree[k] += t;
		}
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	out[base + l] = tree[l];
	out[base + l + GROUP] = tree[l + GROUP];
}

kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void scan_add(global REAL *out, global const REAL *totals)
{
	int i = get_group_id(0) * 2 * GROUP + get_local_id(0);
	REAL before = totals[get_group_id(0)];

	out[i] += before;
	out[i + GROUP] += before;
}

kernel void stencil(global const REAL *in, global REAL *out, int width, int height)
{
	int x = get_global_id(0), y = get_global_id(1);

	if (x > 0 && y > 0 && x < width - 1 && y < height - 1)
		out[y * width + x] = (REAL)0.25 * (in[y * width + x - 1] + in[y * width + x + 1] + in[(y - 1) * width + x] +
						   in[(y + 1) * width + x]) - in[y * width + x];
}

/* 7 x 7; the input is larger than the output by RADIUS on each side. */
kernel void convolve(global const REAL *in, constant REAL *weights, global REAL *out, int width)
{
	int x = get_global_id(0), y = get_global_id(1), pitch = width + 2 * RADIUS;
	REAL sum = 0;

	for (int i = 0; i < 2 * RADIUS + 1; i++)
		for (int k = 0; k < 2 * RADIUS + 1; k++)
			sum = fma(weights[i * (2 * RADIUS + 1) + k], in[(y + i) * pitch + x + k], sum);
	out[y * width + x] = sum;
}
