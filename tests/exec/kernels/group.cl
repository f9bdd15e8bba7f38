// SPDX-License-Identifier: MIT
// Kernels whose work-items work together: local memory, barriers, atomics, cross-lane operations, ids, memory forms. References: test_kernels.c.
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable
#pragma OPENCL EXTENSION __cl_clang_function_pointers : enable

#define ARGS __global uint *out, __global const uint *in0, __global const uint *in1, uint n

// Sum of each work-group of 256.
__kernel void k_reduce(ARGS)
{
	__local uint t[256];
	uint l = get_local_id(0);

	t[l] = in0[get_global_id(0)];
	barrier(CLK_LOCAL_MEM_FENCE);
	for (uint s = 128; s; s >>= 1) {
		if (l < s)
			t[l] += t[l + s];
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	if (l == 0)
		out[get_group_id(0)] = t[0];
}

// Inclusive scan of each work-group.
__kernel void k_scan(ARGS)
{
	__local uint t[2][256];
	uint l = get_local_id(0), at = 0;

	t[0][l] = in0[get_global_id(0)];
	barrier(CLK_LOCAL_MEM_FENCE);
	for (uint s = 1; s < 256; s *= 2) {
		t[at ^ 1][l] = t[at][l] + (l >= s ? t[at][l - s] : 0);
		at ^= 1;
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	out[get_global_id(0)] = t[at][l];
}

// Rows that lie apart; every second, third and fourth element of local memory, of one dword and two, by all items and by some.
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void k_strided(ARGS)
{
	__local uint t[512];
	__local ulong w[512];
	uint l = get_local_id(0), g = get_group_id(0) * 512, a = in0[g + l], b = in0[g + 256 + l], sum;
	ulong q;

	t[l] = a;
	t[l + 256] = b;
	w[l] = (ulong)b << 32 | a;
	w[l + 256] = (ulong)a << 32 | ~b;
	barrier(CLK_LOCAL_MEM_FENCE);
	sum = t[2 * l] ^ 3 * t[2 * l + 1];
	q = w[2 * l] + 5 * w[2 * l + 1];
	barrier(CLK_LOCAL_MEM_FENCE);
	if (l < 100) {
		sum += t[3 * l] + 7 * t[4 * l + 1];
		q ^= (w[2 * l + 1] - w[2 * l + 2]) * (w[3 * l + 1] ^ w[4 * l]);
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	if (l < 37) {
		t[2 * l + 1] += t[2 * l];
		w[2 * l + 1] += w[2 * l];
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	g = get_global_id(0) * 3;
	out[g] = sum ^ t[l];
	q += w[l];
	out[g + 1] = (uint)q;
	out[g + 2] = (uint)(q >> 32);
}

// One wave, whose lanes read and store where others do, elements of one dword, two and four: what comes first counts, whatever lane it is of.
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void k_crossing(ARGS)
{
	__local volatile uint t[128];
	__local volatile ulong w[128];
	__local volatile ulong2 q[128];
	uint l = get_local_id(0), a = in0[get_global_id(0)], b = a * 2654435761u, x, y;
	ulong u = (ulong)a << 32 | b, v;
	ulong2 r = (ulong2)(u, ~u), s;

	t[l + 64] = b;
	w[l + 64] = u;
	q[l + 64] = r;
	t[l] = a;
	t[l + 16] = b;
	t[l + 40] = a ^ b;
	w[l] = u;
	w[l + 24] = u + 1;
	w[l + 8] = u * 3;
	q[l] = r;
	q[l + 16] = r + 1;
	q[l + 1] = r * 5;
	x = t[l + 8] * 3;
	t[l + 24] = x;
	y = t[l + 24] + 7;
	t[l] = y;
	v = w[l + 2] * 3;
	w[l + 18] = v;
	s = q[l + 3] * 7;
	q[l + 34] = s;
	s += q[l];
	v += w[l];
	v ^= s.x + 3 * s.y + q[l + 48].x;
	out[get_global_id(0) * 2] = x ^ (uint)v;
	out[get_global_id(0) * 2 + 1] = (y + t[l + 32]) ^ (uint)(v >> 32);
}

// 32x32 matrix by 16x16 tiles of local memory; one work-group a tile.
__kernel void k_matmul(__global float *out, __global const float *in0, __global const float *in1, uint n)
{
	__local float ta[16][16], tb[16][16];
	uint x = get_local_id(0), y = get_local_id(1), gx = get_global_id(0), gy = get_global_id(1);
	float sum = 0;

	for (uint k = 0; k < 32; k += 16) {
		ta[y][x] = in0[gy * 32 + k + x];
		tb[y][x] = in1[(k + y) * 32 + gx];
		barrier(CLK_LOCAL_MEM_FENCE);
		for (uint j = 0; j < 16; j++)
			sum += ta[y][j] * tb[j][x];
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	out[gy * 32 + gx] = sum;
}

// Local histogram of 64 bins, then global atomics.
__kernel void k_histogram(ARGS)
{
	__local uint bins[64];
	uint l = get_local_id(0);

	if (l < 64)
		bins[l] = 0;
	barrier(CLK_LOCAL_MEM_FENCE);
	atomic_add(&bins[in0[get_global_id(0)] & 63], 1);
	barrier(CLK_LOCAL_MEM_FENCE);
	if (l < 64)
		atomic_add(&out[l], bins[l]);
}

// Every 32-bit global atomic; out[0..9], each item adds what depends on its input.
__kernel void k_atomics(ARGS)
{
	uint v = in0[get_global_id(0)];

	atomic_add(&out[0], v);
	atomic_sub(&out[1], v);
	atomic_min((__global int *)&out[2], (int)v);
	atomic_max((__global int *)&out[3], (int)v);
	atomic_min(&out[4], v);
	atomic_max(&out[5], v);
	atomic_and(&out[6], v | 0xffff0000);
	atomic_or(&out[7], v & 0xff);
	atomic_xor(&out[8], v);
	atomic_inc(&out[9]);
	out[16 + get_global_id(0)] = atomic_add(&out[10], 1);
}

// Ticket numbers, compare-and-swap loops on a float, 64-bit atomics.
__kernel void k_cmpxchg(ARGS)
{
	__global float *f = (__global float *)&out[0];
	__global ulong *q = (__global ulong *)&out[2];
	float add = (float)(in0[get_global_id(0)] & 15);
	uint old, assumed = as_uint(*f);

	do {
		old = assumed;
		assumed = atomic_cmpxchg((volatile __global uint *)f, old, as_uint(as_float(old) + add));
	} while (assumed != old);
	atom_add(q, (ulong)in0[get_global_id(0)] << 8);
	atom_max(q + 1, (ulong)in1[get_global_id(0)] << 32 | in0[get_global_id(0)]);
	atom_xor(q + 2, (ulong)in1[get_global_id(0)] * 0x100000001ul);
}

// Local atomics of all kinds on a few words.
__kernel void k_local_atomics(ARGS)
{
	__local uint t[16];
	__local ulong q[2];
	uint l = get_local_id(0), v = in0[get_global_id(0)];

	if (l < 16)
		t[l] = l == 2 || l == 4 || l == 6 ? ~0u : 0;
	if (l < 2)
		q[l] = 0;
	barrier(CLK_LOCAL_MEM_FENCE);
	atomic_add(&t[0], v);
	atomic_sub(&t[1], v);
	atomic_min((__local int *)&t[2], (int)v);
	atomic_max((__local int *)&t[3], (int)v);
	atomic_min(&t[4], v);
	atomic_max(&t[5], v);
	atomic_and(&t[6], v | 0xff00);
	atomic_or(&t[7], v & 0xf0f);
	atomic_xor(&t[8], v);
	atomic_xchg(&t[9 + (l & 3)], 77);
	atom_add(&q[0], (ulong)v << 16);
	atom_max(&q[1], (ulong)v << 20);
	barrier(CLK_LOCAL_MEM_FENCE);
	if (l < 16)
		out[get_group_id(0) * 20 + l] = t[l];
	if (l < 2) {
		out[get_group_id(0) * 20 + 16 + 2 * l] = (uint)q[l];
		out[get_group_id(0) * 20 + 17 + 2 * l] = (uint)(q[l] >> 32);
	}
}

// Three-dimensional ids, with offsets and partial groups.
__kernel void k_ids(ARGS)
{
	uint x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);
	uint at = ((z - (uint)get_global_offset(2)) * (uint)get_global_size(1) + (y - (uint)get_global_offset(1))) *
			  (uint)get_global_size(0) + (x - (uint)get_global_offset(0));

	out[4 * at] = x | y << 8 | z << 16;
	out[4 * at + 1] = (uint)(get_local_id(0) | get_local_id(1) << 8 | get_local_id(2) << 16);
	out[4 * at + 2] = (uint)(get_group_id(0) | get_group_id(1) << 8 | get_group_id(2) << 16);
	out[4 * at + 3] = (uint)(get_local_size(0) | get_local_size(1) << 8 | get_local_size(2) << 16);
}

// Vectors of 2, 3, 4 elements.
__kernel void k_vectors(ARGS)
{
	uint i = get_global_id(0);
	uint4 a = vload4(i, in0), b = vload4(i, in1);
	uint2 c = a.xy + b.zw;
	uint3 d = (uint3)(a.z, b.x, c.y) * 3u;

	vstore4((uint4)(c, d.xy) ^ b.wzyx, i, out);
	out[4 * i + 3] += d.z;
}

struct record {
	char c;
	short s;
	int i;
	long l;
	uchar bytes[5];
} __attribute__((packed));

// Packed structures of 20 bytes: every misalignment.
__kernel void k_packed(__global struct record *out, __global const struct record *in0, __global const uint *in1, uint n)
{
	uint i = get_global_id(0);
	struct record r = in0[i];

	r.c += 1;
	r.s = (short)(r.s * 3);
	r.i ^= (int)in1[i];
	r.l += r.i;
	for (int k = 0; k < 5; k++)
		r.bytes[k] = (uchar)(r.bytes[k] + k);
	out[i] = r;
}

__attribute__((noinline)) uint through_generic(uint *p, uint v)
{
	*p = *p * 3 + v;
	return *p ^ v;
}

// A generic pointer that is local, private or global, differing by lane.
__kernel void k_generic(ARGS)
{
	__local uint t[64];
	uint l = get_local_id(0), i = get_global_id(0), mine[4];
	uint *p;

	t[l] = in0[i];
	mine[i & 3] = in0[i] + 1;
	out[i] = in0[i] + 2;
	barrier(CLK_LOCAL_MEM_FENCE);
	if (in1[i] % 3 == 0)
		p = &t[l];
	else if (in1[i] % 3 == 1)
		p = &mine[i & 3];
	else
		p = (uint *)&out[i];
	uint v = through_generic(p, in1[i]);

	barrier(CLK_LOCAL_MEM_FENCE);
	out[i] = v + t[l] + mine[i & 3];
}

uint op_add(uint a, uint b)
{
	return a + b;
}
uint op_xor(uint a, uint b)
{
	return a ^ b;
}
uint op_mul(uint a, uint b)
{
	return a * b;
}

// Calls through pointers that differ by lane.
__kernel void k_indirect(ARGS)
{
	uint i = get_global_id(0);
	uint (*f)(uint, uint) = in1[i] % 3 == 0 ? op_add : in1[i] % 3 == 1 ? op_xor : op_mul;

	out[i] = f(in0[i], in1[i]);
}

// Lane operations: ballot, first lane, bpermute, permute, swizzle, DPP.
__kernel void k_lanes(ARGS)
{
	uint i = get_global_id(0), lane = i & 63, v = in0[i];
	ulong ballot;
	uint r;

	ballot = __builtin_amdgcn_uicmp(v & 1, 0u, 33); // not equal
	r = (uint)ballot ^ (uint)(ballot >> 32);
	r += __builtin_amdgcn_readfirstlane(v);
	r += __builtin_amdgcn_readlane(v, 5);
	r ^= __builtin_amdgcn_ds_bpermute((int)((lane * 7 + 3) << 2), (int)v);
	r += __builtin_amdgcn_ds_permute((int)((63 - lane) << 2), (int)v);
	r ^= __builtin_amdgcn_ds_swizzle((int)v, 0x041f);	// lane ^ 1
	r += __builtin_amdgcn_ds_swizzle((int)v, 0x801b);	// reverse each quad
	r ^= __builtin_amdgcn_update_dpp(0, (int)v, 0x111, 0xf, 0xf, true);  // row_shr:1
	r += __builtin_amdgcn_update_dpp(0, (int)v, 0x140, 0xf, 0xf, true);  // row_mirror
	r ^= __builtin_amdgcn_update_dpp((int)lane, (int)v, 0x142, 0xa, 0xf, false); // row_bcast:15
	out[i] = r + __builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0));
}

// One wave waits for a value that another wave of its work-group writes, without a barrier.
__kernel void k_spin(ARGS)
{
	uint l = get_local_id(0);
	__global atomic_uint *flag = (__global atomic_uint *)&out[1024];

	if (l >= 64) {
		out[l] = in0[l];
		atomic_work_item_fence(CLK_GLOBAL_MEM_FENCE, memory_order_release, memory_scope_device);
		if (l == 64)
			atomic_store_explicit(flag, 1, memory_order_release, memory_scope_device);
	} else {
		while (!atomic_load_explicit(flag, memory_order_acquire, memory_scope_device))
			;
		out[l] = out[64 + l] + 1;
	}
}

// Correctly rounded division and square root, fma, and halves.
__kernel void k_float_exact(__global float *out, __global const float *in0, __global const float *in1, uint n)
{
	uint i = get_global_id(0);

	out[4 * i] = in0[i] / in1[i];
	out[4 * i + 1] = sqrt(fabs(in0[i]));
	out[4 * i + 2] = fma(in0[i], in1[i], in0[i]);
	out[4 * i + 3] = floor(in0[i]) + trunc(in1[i]) + rint(in0[i]) + fmin(in0[i], in1[i]) + fmax(in0[i], in1[i]);
}

__kernel void k_double_exact(__global double *out, __global const double *in0, __global const double *in1, uint n)
{
	uint i = get_global_id(0);

	out[4 * i] = in0[i] / in1[i];
	out[4 * i + 1] = sqrt(fabs(in0[i]));
	out[4 * i + 2] = fma(in0[i], in1[i], in0[i]);
	out[4 * i + 3] = floor(in0[i]) + trunc(in1[i]) + rint(in0[i]) + fmin(in0[i], in1[i]) + fmax(in0[i], in1[i]);
}

__kernel void k_half(__global ushort *out, __global const float *in0, __global const float *in1, uint n)
{
	uint i = get_global_id(0);
	half a = (half)in0[i], b = (half)in1[i];

	out[4 * i] = as_ushort(a);
	out[4 * i + 1] = as_ushort(a + b);
	out[4 * i + 2] = as_ushort(a * b);
	out[4 * i + 3] = a < b ? 1 : 0;
}

// Library functions, compared with a tolerance.
__kernel void k_math(__global float *out, __global const float *in0, __global const float *in1, uint n)
{
	uint i = get_global_id(0);
	float x = fabs(in0[i]) * 0.01f + 0.001f;

	out[8 * i] = sin(in0[i]);
	out[8 * i + 1] = cos(in1[i]);
	out[8 * i + 2] = exp(in0[i] * 0.01f);
	out[8 * i + 3] = log(x);
	out[8 * i + 4] = pow(x, 0.3f);
	out[8 * i + 5] = atan2(in0[i], in1[i]);
	out[8 * i + 6] = tanh(in0[i] * 0.01f);
	out[8 * i + 7] = rsqrt(x);
}

__kernel void k_dmath(__global double *out, __global const double *in0, __global const double *in1, uint n)
{
	uint i = get_global_id(0);
	double x = fabs(in0[i]) * 0.01 + 0.001;

	out[4 * i] = sin(in0[i]);
	out[4 * i + 1] = exp(in0[i] * 0.01);
	out[4 * i + 2] = log(x);
	out[4 * i + 3] = pow(x, 0.3);
}
