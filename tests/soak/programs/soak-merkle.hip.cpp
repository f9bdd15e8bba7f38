// SPDX-License-Identifier: MIT
/*
 * soak-merkle - a Merkle tree of SHA-256 (FIPS 180-4): a kernel for each level; every node is computed on the CPU, too, by the same functions, which must
 * give the standard's own example first.
 */
#include "tests/soak/programs/soak.h"

#include <cstring>

#define LEAVES 1024u
#define ITEMS  64u

struct digest {
	uint32_t w[8];
};

__host__ __device__ static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

/* One block of sixteen words, big-endian ones made numbers already. */
__host__ __device__ static void compress(digest *d, const uint32_t *block)
{
	const uint32_t k[64] = {
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
		0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
		0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
		0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
	uint32_t w[16], v[8];

	for (int i = 0; i < 16; i++)
		w[i] = block[i];
	for (int i = 0; i < 8; i++)
		v[i] = d->w[i];
	for (int i = 0; i < 64; i++) {
		uint32_t x, s1, s0;

		if (i >= 16) {
			uint32_t a = w[(i + 1) % 16], b = w[(i + 14) % 16];

			w[i % 16] += (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[(i + 9) % 16] + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
		}
		s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
		x = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i % 16];
		s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
		s0 += (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
		for (int j = 7; j; j--)
			v[j] = v[j - 1];
		v[4] += x;
		v[0] = x + s0;
	}
	for (int i = 0; i < 8; i++)
		d->w[i] += v[i];
}

__host__ __device__ static digest start()
{
	return {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

/* Of 64 bytes: a leaf, or two nodes. */
__host__ __device__ static digest hash(const uint32_t *words)
{
	const uint32_t tail[16] = {0x80000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 512};
	digest d = start();

	compress(&d, words);
	compress(&d, tail);
	return d;
}

__global__ void level(const uint32_t *below, digest *nodes, uint32_t count)
{
	uint32_t i = blockIdx.x * ITEMS + threadIdx.x;

	if (i < count)
		nodes[i] = hash(below + 16 * i);
}

int main()
{
	const uint32_t abc[16] = {0x61626380, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24};
	std::vector<uint32_t> leaves(16 * LEAVES);
	std::vector<digest> want(2 * LEAVES - 1);
	gpu_array<digest> nodes(want.size());
	digest known = start();
	size_t wrong = 0, at = 0;

	compress(&known, abc);
	for (uint32_t &w : leaves)
		w = random_bits();
	gpu_array<uint32_t> data(leaves);
	const uint32_t *below = data, *below_cpu = leaves.data();
	for (uint32_t count = LEAVES; count; count /= 2) {
		LAUNCH(level, (count + ITEMS - 1) / ITEMS, ITEMS, below, nodes + at, count);
		for (uint32_t i = 0; i < count; i++)
			want[at + i] = hash(below_cpu + 16 * i);
		below = (nodes + at)->w;
		below_cpu = want[at].w;
		at += count;
	}
	std::vector<digest> got = nodes.get();
	for (size_t i = 0; i < want.size(); i++)
		wrong += memcmp(&got[i], &want[i], sizeof(digest)) != 0;
	return verdict(!wrong && known.w[0] == 0xba7816bf && known.w[7] == 0xf20015ad, "soak-merkle: %zu nodes, %zu wrong, root %08x", want.size(), wrong,
		       got.back().w[0]);
}
