// SPDX-License-Identifier: MIT
/*
 * soak-random - the counter-based generator Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3") and pi by it: all numbers are
 * generated on the CPU, too, by the same functions, which must give the published answer first.
 */
#include "tests/soak/programs/soak.h"

#include <cmath>

#define ITEMS  256
#define GROUPS 64
#define EACH   4

struct four {
	uint32_t v[4];
};

__host__ __device__ static four philox(four c, uint32_t k0, uint32_t k1)
{
	for (int round = 0; round < 10; round++) {
		uint64_t a = 0xD2511F53ull * c.v[0], b = 0xCD9E8D57ull * c.v[2];

		c = {{(uint32_t)(b >> 32) ^ c.v[1] ^ k0, (uint32_t)b, (uint32_t)(a >> 32) ^ c.v[3] ^ k1, (uint32_t)a}};
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	return c;
}

/* Of two points of a square of 65536 x 65536, how many lie in the quarter of a circle. */
__host__ __device__ static uint32_t inside(four r)
{
	uint32_t hits = 0;

	for (int i = 0; i < 4; i += 2) {
		uint64_t x = r.v[i] >> 16, y = r.v[i + 1] >> 16;

		hits += x * x + y * y < 1ull << 32;
	}
	return hits;
}

__global__ void darts(uint32_t seed, uint32_t *hits, uint32_t *mixed, unsigned long long *total)
{
	uint32_t id = blockIdx.x * ITEMS + threadIdx.x, h = 0, m = 0;

	for (uint32_t i = 0; i < EACH; i++) {
		four r = philox({{id, i, 0, 0}}, seed, 7);

		h += inside(r);
		m = m * 31 + (r.v[0] ^ r.v[1] ^ r.v[2] ^ r.v[3]);
	}
	hits[id] = h;
	mixed[id] = m;
	atomicAdd(total, (unsigned long long)h);
}

int main()
{
	const size_t count = ITEMS * GROUPS;
	gpu_array<uint32_t> hits(count), mixed(count);
	gpu_array<unsigned long long> total(1);
	unsigned long long want = 0;
	size_t wrong = 0;
	four known = philox({{0, 0, 0, 0}}, 0, 0);

	total.zero();
	LAUNCH(darts, GROUPS, ITEMS, 2024u, hits, mixed, total);
	std::vector<uint32_t> got = hits.get(), numbers = mixed.get();
	for (uint32_t id = 0; id < count; id++) {
		uint32_t h = 0, m = 0;

		for (uint32_t i = 0; i < EACH; i++) {
			four r = philox({{id, i, 0, 0}}, 2024, 7);

			h += inside(r);
			m = m * 31 + (r.v[0] ^ r.v[1] ^ r.v[2] ^ r.v[3]);
		}
		want += h;
		wrong += got[id] != h || numbers[id] != m;
	}
	double pi = 4.0 * (double)total.get()[0] / (2.0 * EACH * (double)count);
	return verdict(!wrong && total.get()[0] == want && known.v[0] == 0x6627e8d5 && known.v[3] == 0x9b00dbd8 && fabs(pi - M_PI) < 0.02,
		       "soak-random: %zu sequences, %zu wrong, pi %.4f", count, wrong, pi);
}
