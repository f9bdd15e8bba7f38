// SPDX-License-Identifier: MIT
/* soak-floyd - shortest ways between all nodes of a graph by Floyd and Warshall: a dispatch for each node, nothing waited for in between. */
#include "tests/soak/programs/soak.h"

#include <algorithm>

#define NODES 128
#define FAR   1000000u

__global__ void by_way_of(uint32_t *d, int k)
{
	int i = blockIdx.x, j = threadIdx.x;
	uint32_t way = d[i * NODES + k] + d[k * NODES + j];

	if (way < d[i * NODES + j])
		d[i * NODES + j] = way;
}

int main()
{
	std::vector<uint32_t> want(NODES * NODES, FAR);
	size_t wrong = 0, ways = 0;

	for (int i = 0; i < NODES; i++) {
		want[i * NODES + i] = 0;
		for (int n = 0; n < 3; n++)
			want[i * NODES + random_bits() % NODES] = 1 + random_bits() % 1000;
	}
	gpu_array<uint32_t> d(want);
	for (int k = 0; k < NODES; k++)
		LAUNCH(by_way_of, NODES, NODES, d, k);
	for (int k = 0; k < NODES; k++)
		for (int i = 0; i < NODES; i++)
			for (int j = 0; j < NODES; j++)
				want[i * NODES + j] = std::min(want[i * NODES + j], want[i * NODES + k] + want[k * NODES + j]);
	std::vector<uint32_t> got = d.get();
	for (size_t i = 0; i < got.size(); i++) {
		wrong += got[i] != want[i];
		ways += got[i] < FAR;
	}
	return verdict(!wrong, "soak-floyd: %d nodes, %zu ways, %zu wrong", NODES, ways, wrong);
}
