// SPDX-License-Identifier: MIT
/*
 * soak-managed - memory that CPU and GPU both work on: managed memory by turns, and a counter in pinned memory that both add to at the same time by
 * system-scope atomics.
 */
#include "tests/soak/programs/soak.h"

#define N     65536u
#define ITEMS 256u
#define TURNS 4
#define ADDS  4096u

__global__ void turn(uint32_t *p, uint32_t k)
{
	uint32_t i = blockIdx.x * ITEMS + threadIdx.x;

	p[i] = p[i] * 1664525u + k;
}

__global__ void add(uint32_t *counter)
{
	for (uint32_t i = 0; i < ADDS / ITEMS; i++)
		atomicAdd_system(counter, 1u);
}

int main()
{
	std::vector<uint32_t> want(N);
	uint32_t *managed, *shared;
	size_t wrong = 0;

	CHECK(hipMallocManaged((void **)&managed, N * sizeof(uint32_t), hipMemAttachGlobal));
	CHECK(hipHostMalloc((void **)&shared, sizeof(*shared), hipHostMallocCoherent));
	for (uint32_t i = 0; i < N; i++)
		managed[i] = want[i] = random_bits();
	for (uint32_t k = 0; k < TURNS; k++) {
		LAUNCH(turn, N / ITEMS, ITEMS, managed, k);
		CHECK(hipDeviceSynchronize());
		for (uint32_t i = 0; i < N; i++) {
			want[i] = want[i] * 1664525u + k;
			wrong += managed[i] != want[i];
			managed[i] = want[i] ^= i;
		}
	}
	*shared = 0;
	LAUNCH(add, 1, ITEMS, shared);
	for (uint32_t i = 0; i < ADDS; i++)
		__atomic_fetch_add(shared, 1, __ATOMIC_SEQ_CST);
	CHECK(hipDeviceSynchronize());
	uint32_t sum = *(volatile uint32_t *)shared;
	CHECK(hipHostFree(shared));
	CHECK(hipFree(managed));
	return verdict(!wrong && sum == 2 * ADDS, "soak-managed: %u words in %d turns, %zu wrong; %u of %u additions", N, TURNS, wrong, sum, 2 * ADDS);
}
