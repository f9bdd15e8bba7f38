/* SPDX-License-Identifier: MIT */
/* A second object for a library that is linked of two: each has its own metadata. */
__kernel void more_add(__global uint *out, uint by)
{
	out[get_global_id(0)] += by;
}

__kernel void more_set(__global uint *out, uint to)
{
	out[get_global_id(0)] = to;
}
