// SPDX-License-Identifier: MIT
// What `hsavisor exec-kernel` and `disasm` are tested with.

__kernel void add(__global float *out, __global const float *a, __global const float *b, uint n)
{
	uint i = get_global_id(0);

	if (i < n)
		out[i] = a[i] + b[i];
}

// Every kind of number, each where the metadata says.
__kernel void mixed(__global long *out, char c, ulong u, short s, float f, double d)
{
	out[0] = c;
	out[1] = u;
	out[2] = s;
	out[3] = (long)(f * 4);
	out[4] = (long)(d * 8);
}

__kernel void local_sum(__global uint *out, __local uint *a, __local uint *b)
{
	uint l = get_local_id(0);

	a[l] = l;
	b[l] = 1000;
	barrier(CLK_LOCAL_MEM_FENCE);
	out[get_global_id(0)] = a[get_local_size(0) - 1 - l] + b[l];
}

// Work-items at the edges of three dimensions see where they are.
__kernel void where_am_i(__global uint *out)
{
	uint at = (get_global_id(2) * get_global_size(1) + get_global_id(1)) * get_global_size(0) + get_global_id(0);

	out[at] = get_work_dim() << 24 | get_num_groups(0) << 16 | get_local_size(0) << 8 | get_group_id(0);
}

// Waves of two work-groups wait for each other.
__kernel void meet(__global volatile uint *flag)
{
	if (get_local_id(0) == 0) {
		atomic_inc(&flag[0]);
		while (flag[0] < get_num_groups(0))
			;
	}
}

__kernel void scratch(__global uint *out, uint n)
{
	volatile uint a[64];

	for (uint i = 0; i < n; i++)
		a[i & 63] = i + (uint)get_global_id(0);
	out[get_global_id(0)] = a[(get_global_id(0) + n) & 63];
}

__kernel void endless(__global volatile uint *out)
{
	while (out[0] == 0)
		;
}

__kernel void store_at(ulong address, uint who)
{
	if (get_global_id(0) == who)
		*(__global uint *)address = 1;
}

__attribute__((reqd_work_group_size(8, 2, 1))) __kernel void required(__global uint *out)
{
	out[get_global_id(1) * get_global_size(0) + get_global_id(0)] = get_local_id(1);
}

__kernel void not_an_instruction(__global uint *out)
{
	out[0] = 7;
	__asm__ volatile("s_waitcnt vmcnt(0)\n\t.long 0xbfff0000");
}

__kernel void trap(__global uint *out)
{
	__builtin_trap();
}
