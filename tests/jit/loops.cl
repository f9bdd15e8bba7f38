/* SPDX-License-Identifier: MIT */
/* loops.cl - kernels that test_run.c stops and goes on with: loops, barriers, divergence; integers, so that C does the same. */
kernel __attribute__((reqd_work_group_size(128, 1, 1))) void mix(global uint *out, int rounds)
{
	local uint part[128];
	uint l = get_local_id(0), x = get_global_id(0) * 2654435761u + 1;

	for (int r = 0; r < rounds; r++) {
		for (uint k = 0; k < (l & 7) + 3; k++)
			x = x * 1664525u + 1013904223u + k;
		part[l] = x;
		barrier(CLK_LOCAL_MEM_FENCE);
		x ^= part[(l + r) & 127] >> 3;
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	out[get_global_id(0)] = x;
}

kernel void forever(global volatile uint *out)
{
	while (out[get_global_id(0)] != 12345)
		;
}

kernel void strided(global uint *out, ulong stride)
{
	*(global uint *)((global char *)out + get_global_id(0) * stride) = get_global_id(0);
}

/* Pointers in a loop under a mask, an index that wraps around in some lanes, short elements, lanes in reverse order. */
kernel void windows(global uint *out, global const uint *in, global const uchar *bytes, global const short *halves, uint n, uint back, int rounds)
{
	uint i = get_global_id(0), sum = 0;
	global const uint *p = in + i;

	if (i >= n)
		return;
	for (int r = 0; r < rounds; r++) {
		sum = sum * 5 + p[0];
		p += 3;
	}
	if (i >= back)
		sum += in[i - back];
	out[n - 1 - i] = sum ^ (bytes[i + 1] + (uint)(int)halves[i]);
}
