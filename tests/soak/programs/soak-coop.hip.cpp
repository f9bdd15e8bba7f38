// SPDX-License-Identifier: MIT
/* soak-coop - a cooperative kernel: all its work-groups meet again and again (grid sync), and each reads what its neighbours wrote before. */
#include "tests/soak/programs/soak.h"

#include <hip/hip_cooperative_groups.h>

#define GROUPS 4
#define ITEMS  64
#define N      (GROUPS * ITEMS)
#define STEPS  12

__global__ void steps(uint32_t *a, uint32_t *b)
{
	cooperative_groups::grid_group grid = cooperative_groups::this_grid();
	uint32_t i = blockIdx.x * ITEMS + threadIdx.x;

	for (uint32_t s = 0; s < STEPS; s++) {
		const uint32_t *from = s % 2 ? b : a;
		uint32_t *to = s % 2 ? a : b;

		to[i] = from[i] * 3 + from[(i + N - ITEMS) % N] + from[(i + ITEMS) % N] + s;
		grid.sync();
	}
}

int main()
{
	std::vector<uint32_t> want(N), next(N);
	size_t wrong = 0;

	for (uint32_t &w : want)
		w = random_bits();
	gpu_array<uint32_t> a(want), b(N);
	void *arguments[] = {&a.p, &b.p};
	CHECK(hipLaunchCooperativeKernel((const void *)steps, dim3(GROUPS), dim3(ITEMS), arguments, 0, 0));
	for (uint32_t s = 0; s < STEPS; s++) {
		for (uint32_t i = 0; i < N; i++)
			next[i] = want[i] * 3 + want[(i + N - ITEMS) % N] + want[(i + ITEMS) % N] + s;
		want.swap(next);
	}
	std::vector<uint32_t> got = a.get();
	for (uint32_t i = 0; i < N; i++)
		wrong += got[i] != want[i];
	return verdict(!wrong, "soak-coop: %d steps of %d work-groups, %zu wrong", STEPS, GROUPS, wrong);
}
