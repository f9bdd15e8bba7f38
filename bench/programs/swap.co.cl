// SPDX-License-Identifier: MIT
/*
 * The kernels of swap-check, work-groups of 256; compiled to swap.gfx900.co and swap.gfx90a.co. Each
 * work-item has a word: what it should be follows from its place and the seed.
 */
#pragma OPENCL EXTENSION cl_khr_global_int32_base_atomics : enable

static uint place(void)
{
	return __builtin_amdgcn_workgroup_id_x() * 256 + __builtin_amdgcn_workitem_id_x();
}

static uint word(uint i, uint seed)
{
	uint x = (i + seed) * 2654435761u;

	return x ^ x >> 15;
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
fill(__global uint *data, __global uint *differ, uint base, uint seed)
{
	data[place()] = word(base + place(), seed);
}

/* differ: how many words are wrong */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
check(__global uint *data, __global uint *differ, uint base, uint seed)
{
	if (data[place()] != word(base + place(), seed))
		__atomic_fetch_add(differ, 1, __ATOMIC_RELAXED);
}
