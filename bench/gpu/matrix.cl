// SPDX-License-Identifier: MIT
/*
 * matrix.cl - C = A B of square matrices, three ways. REAL is float or double; n a multiple of BLOCK.
 */
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#define TILE 16
#define BLOCK 64
#define EACH (BLOCK / TILE)

kernel void gemm_naive(global const REAL *a, global const REAL *b, global REAL *c, int n)
{
	int col = get_global_id(0), row = get_global_id(1);
	REAL sum = 0;

	for (int k = 0; k < n; k++)
		sum = fma(a[row * n + k], b[k * n + col], sum);
	c[row * n + col] = sum;
}

/* A work-group makes a tile of TILE x TILE, each work-item an element. */
kernel __attribute__((reqd_work_group_size(TILE, TILE, 1))) void gemm_tiled(global const REAL *a, global const REAL *b, global REAL *c,
									     int n)
{
	local REAL ta[TILE][TILE], tb[TILE][TILE];
	int x = get_local_id(0), y = get_local_id(1);
	int col = get_group_id(0) * TILE + x, row = get_group_id(1) * TILE + y;
	REAL sum = 0;

	for (int t = 0; t < n; t += TILE) {
		ta[y][x] = a[row * n + t + x];
		tb[y][x] = b[(t + y) * n + col];
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int k = 0; k < TILE; k++)
			sum = fma(ta[y][k], tb[k][x], sum);
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	c[row * n + col] = sum;
}

/* A work-group makes BLOCK x BLOCK, each work-item EACH x EACH elements, TILE apart, in registers. */
kernel __attribute__((reqd_work_group_size(TILE, TILE, 1))) void gemm_registers(global const REAL *a, global const REAL *b,
										 global REAL *c, int n)
{
	local REAL ta[TILE][BLOCK], tb[TILE][BLOCK];
	int x = get_local_id(0), y = get_local_id(1), l = y * TILE + x;
	int col = get_group_id(0) * BLOCK, row = get_group_id(1) * BLOCK;
	REAL sum[EACH][EACH];

	for (int i = 0; i < EACH; i++)
		for (int k = 0; k < EACH; k++)
			sum[i][k] = 0;
	for (int t = 0; t < n; t += TILE) {
		for (int i = 0; i < EACH; i++) {
			ta[x][y + i * TILE] = a[(row + y + i * TILE) * n + t + x];
			tb[l / BLOCK + i * EACH][l % BLOCK] = b[(t + l / BLOCK + i * EACH) * n + col + l % BLOCK];
		}
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int k = 0; k < TILE; k++) {
			REAL ra[EACH], rb[EACH];

			for (int i = 0; i < EACH; i++) {
				ra[i] = ta[k][y + i * TILE];
				rb[i] = tb[k][x + i * TILE];
			}
			for (int i = 0; i < EACH; i++)
				for (int j = 0; j < EACH; j++)
					sum[i][j] = fma(ra[i], rb[j], sum[i][j]);
		}
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	for (int i = 0; i < EACH; i++)
		for (int k = 0; k < EACH; k++)
			c[(row + y + i * TILE) * n + col + x + k * TILE] = sum[i][k];
}
