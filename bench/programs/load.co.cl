// SPDX-License-Identifier: MIT
/*
 * The kernels of gpu-load, work-groups of 256; compiled to load.gfx900.co and load.gfx90a.co. All
 * take the same arguments. `repeat` makes them longer without other results than gpu-load can check.
 * Work-item functions are builtins: no device library is linked.
 */
#define GROUP 256
#define ARGS                                                                                       \
	__global uint *out, __global const uint *a, __global const uint *b, uint n, uint repeat

#pragma OPENCL EXTENSION cl_khr_global_int32_base_atomics : enable

static uint local_id(void)
{
	return __builtin_amdgcn_workitem_id_x();
}

static uint group_id(void)
{
	return __builtin_amdgcn_workgroup_id_x();
}

static uint global_id(void)
{
	return group_id() * GROUP + local_id();
}

static void group_barrier(void)
{
	__builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
	__builtin_amdgcn_s_barrier();
	__builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

/* Arithmetic in registers. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void spin(ARGS)
{
	uint x = global_id();

	for (uint i = 0; i < repeat; i++)
		x = (x * 1664525u + 1013904223u) ^ x >> 7;
	out[global_id()] = x;
}

/* Streams n words of two arrays through, each word by one work-item. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void stream(ARGS)
{
	for (uint r = 0; r < repeat; r++)
		out[global_id()] = a[global_id()] + b[global_id()] + r;
}

/* Follows an array of indices: each load's address comes from the load before. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void gather(ARGS)
{
	uint x = global_id() % n;

	for (uint r = 0; r < repeat; r++)
		x = a[x];
	out[global_id()] = x;
}

/* Counts n words by their low byte: in LDS, then in memory. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void histogram(ARGS)
{
	__local uint bins[256];

	bins[local_id()] = 0;
	group_barrier();
	for (uint r = 0; r < repeat; r++)
		__atomic_fetch_add(&bins[a[global_id() % n] & 255], 1u, __ATOMIC_RELAXED);
	group_barrier();
	__atomic_fetch_add(&out[local_id()], bins[local_id()], __ATOMIC_RELAXED);
}

/* Product of n x n words, n a multiple of 16, a work-group for a tile of 16 x 16, by tiles in LDS. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void matmul(ARGS)
{
	__local uint ta[16][16], tb[16][16];
	uint tiles = n / 16, x = local_id() % 16, y = local_id() / 16;
	uint row = group_id() / tiles * 16 + y, column = group_id() % tiles * 16 + x, sum = 0;

	for (uint r = 0; r < repeat; r++) {
		for (uint t = 0; t < tiles; t++) {
			ta[y][x] = a[row * n + t * 16 + x];
			tb[y][x] = b[(t * 16 + y) * n + column];
			group_barrier();
			for (uint k = 0; k < 16; k++)
				sum += ta[y][k] * tb[k][x];
			group_barrier();
		}
	}
	out[row * n + column] = sum;
}

/* Runs until somebody stores to out[0]. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void endless(ARGS)
{
	while (!__atomic_load_n(out, __ATOMIC_RELAXED))
		;
}
