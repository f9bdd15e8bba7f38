// SPDX-License-Identifier: MIT
/* Kernels of e2e-svm, 64 work-items a work-group; width is the number of work-items. */
#define ID (__builtin_amdgcn_workgroup_id_x() * 64 + __builtin_amdgcn_workitem_id_x())

__kernel void mix(__global uint *p, uint n, uint width, uint k)
{
	for (uint i = ID; i < n; i += width)
		p[i] = p[i] * 3u + k;
}

/* Sums by work-item. */
__kernel void sum(__global const uint *p, uint n, uint width, __global uint *out)
{
	uint s = 0;

	for (uint i = ID; i < n; i += width)
		s += p[i];
	out[ID] = s;
}

/* Reads all of it, again and again, until stop is set; started says that it does. */
__kernel void look(__global volatile const uint *p, uint n, uint width, __global volatile uint *started, __global volatile uint *stop)
{
	uint s = 0;

	while (!*stop) {
		for (uint i = ID; i < n; i += width)
			s += p[i];
		if (ID == 0)
			*started = 1;
	}
	if (s == 0x12345678)
		started[1] = s;
}

/* As often as rounds, adds one to all of it. */
__kernel void rounds(__global volatile uint *p, uint n, uint width, uint rounds)
{
	for (uint r = 0; r < rounds; r++)
		for (uint i = ID; i < n; i += width)
			p[i] += 1;
}

/* Counts with the CPU. */
__kernel void count(__global atomic_uint *counter, uint times)
{
	for (uint i = 0; i < times; i++)
		__opencl_atomic_fetch_add(counter, 1u, __ATOMIC_ACQ_REL, __OPENCL_MEMORY_SCOPE_ALL_SVM_DEVICES);
}

/* Compare and swap with the CPU. */
__kernel void count_cas(__global atomic_uint *counter, uint times)
{
	for (uint i = 0; i < times; i++) {
		uint old = __opencl_atomic_load(counter, __ATOMIC_RELAXED, __OPENCL_MEMORY_SCOPE_ALL_SVM_DEVICES);

		while (!__opencl_atomic_compare_exchange_strong(counter, &old, old + 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED, __OPENCL_MEMORY_SCOPE_ALL_SVM_DEVICES))
			;
	}
}

/* Odd numbers are the CPU's, even ones the GPU's: each waits for the other's. data is written before the number, and read after it. */
__kernel void pingpong(__global atomic_uint *turn, __global volatile uint *data, uint rounds)
{
	for (uint r = 0; r < rounds; r++) {
		while (__opencl_atomic_load(turn, __ATOMIC_ACQUIRE, __OPENCL_MEMORY_SCOPE_ALL_SVM_DEVICES) != 2 * r + 1)
			;
		*data = *data * 5 + 1;
		__opencl_atomic_store(turn, 2 * r + 2, __ATOMIC_RELEASE, __OPENCL_MEMORY_SCOPE_ALL_SVM_DEVICES);
	}
}
