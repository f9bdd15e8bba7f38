// SPDX-License-Identifier: MIT
// Kernels for test_exec.c and bench_latency.c.
__kernel void empty(__global uint *unused)
{
}

__kernel void fill(__global uint *out, uint base)
{
	out[get_global_id(0)] = base + get_global_id(0);
}

// Sum of each work-group through LDS.
__kernel void sum(__global uint *out, __global const uint *in, __local uint *tmp)
{
	uint l = get_local_id(0);

	tmp[l] = in[get_global_id(0)];
	for (uint s = get_local_size(0) / 2; s > 0; s /= 2) {
		barrier(CLK_LOCAL_MEM_FENCE);
		if (l < s)
			tmp[l] += tmp[l + s];
	}
	if (l == 0)
		out[get_group_id(0)] = tmp[0];
}

// Every work-group waits for all others, rounds times.
__kernel void all_meet(__global volatile atomic_uint *arrived, uint groups, uint rounds)
{
	for (uint r = 1; r <= rounds; r++) {
		barrier(CLK_GLOBAL_MEM_FENCE);
		if (get_local_id(0) == 0) {
			atomic_fetch_add_explicit(arrived, 1, memory_order_acq_rel, memory_scope_device);
			while (atomic_load_explicit(arrived, memory_order_acquire, memory_scope_device) < r * groups)
				;
		}
		barrier(CLK_GLOBAL_MEM_FENCE);
	}
}

__kernel void forever(__global volatile uint *flag)
{
	while (!*flag)
		;
}

// An array indexed by data lives in scratch.
__kernel void scratch(__global uint *out, __global const uint *index)
{
	uint i = get_global_id(0);
	uint a[64];

	for (uint k = 0; k < 64; k++)
		a[k] = k * i + index[k];
	out[i] = a[index[i & 63] & 63] + a[index[(i + 1) & 63] & 63];
}

__kernel void wild(__global uint *out)
{
	out[get_global_id(0) * 0x10000000ul] = 1;
}

__kernel void trap(__global uint *out)
{
	__builtin_trap();
}

#define FMA8(x) x = fma(x, x, y); y = fma(y, x, x); z = fma(z, y, x); w = fma(w, z, y); \
	x = fma(x, w, z); y = fma(y, x, w); z = fma(z, y, x); w = fma(w, z, y);
#define FMA64 FMA8(x) FMA8(x) FMA8(x) FMA8(x) FMA8(x) FMA8(x) FMA8(x) FMA8(x)
#define FMA1024 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64 FMA64

// Thousands of instructions without a branch.
__kernel void straight(__global double *out, __global const double *in)
{
	double x = in[0] + get_global_id(0), y = in[1], z = in[2], w = in[3];

	FMA1024 FMA1024 FMA1024 FMA1024
	out[get_global_id(0)] = x + y + z + w;
}

#ifdef __gfx90a__
typedef float float32 __attribute__((ext_vector_type(32)));

#define MFMA8 a = __builtin_amdgcn_mfma_f32_32x32x1f32(x, y, a, 0, 0, 0); a = __builtin_amdgcn_mfma_f32_32x32x1f32(y, x, a, 0, 0, 0); \
	a = __builtin_amdgcn_mfma_f32_32x32x1f32(x, x, a, 0, 0, 0); a = __builtin_amdgcn_mfma_f32_32x32x1f32(y, y, a, 0, 0, 0); \
	a = __builtin_amdgcn_mfma_f32_32x32x1f32(x, y, a, 0, 0, 0); a = __builtin_amdgcn_mfma_f32_32x32x1f32(y, x, a, 0, 0, 0); \
	a = __builtin_amdgcn_mfma_f32_32x32x1f32(x, x, a, 0, 0, 0); a = __builtin_amdgcn_mfma_f32_32x32x1f32(y, y, a, 0, 0, 0);
#define MFMA64 MFMA8 MFMA8 MFMA8 MFMA8 MFMA8 MFMA8 MFMA8 MFMA8
#define MFMA512 MFMA64 MFMA64 MFMA64 MFMA64 MFMA64 MFMA64 MFMA64 MFMA64

// The longest instructions there are, thousands without a branch.
__kernel void matrix(__global float *out, __global const float *in)
{
	float32 a = (float32)(0.0f);
	float x = in[0], y = in[1];

	MFMA512 MFMA512 MFMA512 MFMA512
	out[get_global_id(0)] = a[0] + a[31];
}
#endif
