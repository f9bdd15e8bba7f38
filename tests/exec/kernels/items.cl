// SPDX-License-Identifier: MIT
// One kernel for each function of items.h, over whole arrays.
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#include "items.h"

#define KERNEL(name, O, A, B)                                                                                          \
	__kernel void k_##name(__global O *out, __global const A *in0, __global const B *in1, uint n)                  \
	{                                                                                                              \
		uint i = get_global_id(0);                                                                             \
		if (i < n)                                                                                             \
			out[i] = item_##name(in0[i], in1[i], i);                                                       \
	}
ITEMS(KERNEL)
