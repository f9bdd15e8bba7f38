// SPDX-License-Identifier: MIT
/* Kernels of e2e-gpu, 64 work-items a work-group. */
#define ID (__builtin_amdgcn_workgroup_id_x() * 64 + __builtin_amdgcn_workitem_id_x())

/* One step of as many generators: what is in state must be what the steps before left there. */
__kernel void step(__global uint *state, __global uint *out, uint round)
{
	uint i = ID, v = state[i] * 1664525u + (i ^ round) + 1013904223u;

	state[i] = v;
	out[i] = v;
}

/* Never ends. */
__kernel void spin(__global volatile uint *flag, __global uint *out)
{
	while (*flag != 0xdeadbeefu)
		;
	out[ID] = 1;
}

__kernel void store(__global uint *where, uint value)
{
	where[ID] = value;
}
