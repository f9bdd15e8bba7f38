// SPDX-License-Identifier: MIT
// Kernels for test_pages.c: whose memory is not there when they start.
__kernel void copy(__global uint *out, __global const uint *in, uint add)
{
	out[get_global_id(0)] = in[get_global_id(0)] + add;
}

// Several dwords a lane, at odd places.
__kernel void wide(__global uint4 *out, __global const uint *in)
{
	__global const uint *p = in + 4 * get_global_id(0) + 1;

	out[get_global_id(0)] = (uint4)(p[0], p[1], p[2], p[3]);
}

// Every lane in a page of its own.
__kernel void gather(__global uint *out, __global const uint *in, uint pages)
{
	uint i = get_global_id(0);

	out[i] = in[(i * 2654435761u >> 7) % pages * 1024 + i % 1024];
}

__kernel void scatter(__global uint *out, uint pages)
{
	uint i = get_global_id(0);

	if (i % 3)
		out[i % pages * 1024 + i / pages] = i;
}

// Every counter in a page of its own; returns what was there.
__kernel void count(__global volatile atomic_uint *counter, __global uint *old, uint pages)
{
	uint i = get_global_id(0);

	old[i] = atomic_fetch_add_explicit(&counter[i % pages * 1024], 1 + i / pages, memory_order_relaxed, memory_scope_device);
}

// Scalar loads.
__kernel void uniform_loads(__global uint *out, __constant const uint *in)
{
	uint g = get_group_id(0);
	uint a = in[g * 1024 + 1022], b = in[g * 1024 + 1023], c = in[g * 1024 + 1024], d = in[g * 1024 + 1025];

	if (get_local_id(0) == 0)
		out[g] = a + b * 3 + c * 5 + d * 7;
}

// LDS, barriers and pages.
__kernel void sum(__global uint *out, __global const uint *in, __local uint *tmp)
{
	uint l = get_local_id(0);

	tmp[l] = in[get_global_id(0) * 97];
	for (uint s = get_local_size(0) / 2; s > 0; s /= 2) {
		barrier(CLK_LOCAL_MEM_FENCE);
		if (l < s)
			tmp[l] += tmp[l + s];
	}
	if (l == 0)
		out[get_group_id(0) * 1024] = tmp[0];
}

// FLAT: some lanes in LDS, the others in global memory.
__kernel void both(__global uint *out, __global uint *in, __local uint *tmp)
{
	uint l = get_local_id(0), i = get_global_id(0);
	uint *p = l & 1 ? (uint *)(in + i * 1024) : (uint *)(tmp + l);

	tmp[l] = i;
	barrier(CLK_LOCAL_MEM_FENCE);
	*p += 1000000;
	out[i] = *p;
}

// A loop over much memory, again and again.
__kernel void stream(__global ulong *out, __global const uint *in, uint words, uint rounds)
{
	uint i = get_global_id(0), n = get_global_size(0);
	ulong sum = 0;

	for (uint r = 0; r < rounds; r++)
		for (uint k = i; k < words; k += n)
			sum += in[k] ^ r;
	out[i] = sum;
}

// In place; width is the number of work-items.
__kernel void mix(__global uint *p, uint n, uint width, uint k)
{
	for (uint i = get_group_id(0) * 64 + get_local_id(0); i < n; i += width)
		p[i] = p[i] * 3u + k;
}

// The same with stores: every round adds 1 to every word.
__kernel void add(__global uint *words, uint num, uint rounds)
{
	uint i = get_global_id(0), n = get_global_size(0);

	for (uint r = 0; r < rounds; r++)
		for (uint k = i; k < num; k += n)
			words[k] += 1;
}

// One wave needs memory, the others of the work-group wait for it at a barrier, or spin on what it says.
__kernel void one_waits(__global uint *out, __global const uint *in, __local volatile uint *flag)
{
	uint l = get_local_id(0);

	if (l == 0)
		*flag = 0;
	barrier(CLK_LOCAL_MEM_FENCE);
	if (l / 64 == 0)
		*flag = in[get_group_id(0) * 1024] | 1;
	while (!*flag)
		;
	out[get_global_id(0)] = *flag;
}

#ifdef __gfx90a__
typedef float float4v __attribute__((ext_vector_type(4)));

// Accumulators live while an access waits.
__kernel void matrix(__global float *out, __global const float *in, uint n)
{
	float4v a = (float4v)(0.0f);
	uint l = get_local_id(0);

	for (uint k = 0; k < n; k++)
		a = __builtin_amdgcn_mfma_f32_16x16x4f32(in[(k * 64 + l) * 16], in[k * 1024 + l], a, 0, 0, 0);
	for (uint i = 0; i < 4; i++)
		out[l * 1024 + i] = a[i];
}
#endif
