// SPDX-License-Identifier: MIT
/*
 * integer.cl - kernels without floating point: histograms, bitonic sort, SHA-256, shortest paths.
 */
#define GROUP 256
#define BINS 256

kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void histogram_lds(global const uint *in, global uint *bins, int n)
{
	local uint mine[BINS];
	int l = get_local_id(0);

	mine[l] = 0;
	barrier(CLK_LOCAL_MEM_FENCE);
	for (int i = get_global_id(0); i < n; i += get_global_size(0)) {
		uint four = in[i];

		atomic_inc(&mine[four & 255]);
		atomic_inc(&mine[four >> 8 & 255]);
		atomic_inc(&mine[four >> 16 & 255]);
		atomic_inc(&mine[four >> 24]);
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	atomic_add(&bins[l], mine[l]);
}

kernel void histogram_global(global const uint *in, global uint *bins)
{
	uint four = in[get_global_id(0)];

	atomic_inc(&bins[four & 255]);
	atomic_inc(&bins[four >> 8 & 255]);
	atomic_inc(&bins[four >> 16 & 255]);
	atomic_inc(&bins[four >> 24]);
}

void order(local uint *a, local uint *b, int descending)
{
	uint x = *a, y = *b;

	if ((x > y) != descending) {
		*a = y;
		*b = x;
	}
}

/* Sorts blocks of 2 * GROUP, every second one descending. */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void bitonic_blocks(global uint *data)
{
	local uint block[2 * GROUP];
	int l = get_local_id(0), base = get_group_id(0) * 2 * GROUP;

	block[l] = data[base + l];
	block[l + GROUP] = data[base + l + GROUP];
	for (int size = 2; size <= 2 * GROUP; size *= 2)
		for (int stride = size / 2; stride > 0; stride /= 2) {
			int i = 2 * l - (l & (stride - 1));

			barrier(CLK_LOCAL_MEM_FENCE);
			order(&block[i], &block[i + stride], ((base + i) & size) != 0);
		}
	barrier(CLK_LOCAL_MEM_FENCE);
	data[base + l] = block[l];
	data[base + l + GROUP] = block[l + GROUP];
}

/* A step whose partners are in different blocks. */
kernel void bitonic_step(global uint *data, int size, int stride)
{
	int g = get_global_id(0), i = 2 * g - (g & (stride - 1));
	uint x = data[i], y = data[i + stride];

	if ((x > y) != ((i & size) != 0)) {
		data[i] = y;
		data[i + stride] = x;
	}
}

/* The steps from stride GROUP on, in LDS. */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void bitonic_merge(global uint *data, int size)
{
	local uint block[2 * GROUP];
	int l = get_local_id(0), base = get_group_id(0) * 2 * GROUP;

	block[l] = data[base + l];
	block[l + GROUP] = data[base + l + GROUP];
	for (int stride = GROUP; stride > 0; stride /= 2) {
		int i = 2 * l - (l & (stride - 1));

		barrier(CLK_LOCAL_MEM_FENCE);
		order(&block[i], &block[i + stride], ((base + i) & size) != 0);
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	data[base + l] = block[l];
	data[base + l + GROUP] = block[l + GROUP];
}

constant uint sha_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
	0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
	0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
	0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The hash of each message of 32 bytes, word k of message i at in[k * n + i], and the hash of the hash, `times` times. */
kernel void sha256(global const uint *in, global uint *out, int n, int times)
{
	int i = get_global_id(0);
	uint digest[8], w[16];

	for (int k = 0; k < 8; k++)
		digest[k] = in[k * n + i];
	for (int t = 0; t < times; t++) {
		uint a = 0x6a09e667, b = 0xbb67ae85, c = 0x3c6ef372, d = 0xa54ff53a, e = 0x510e527f, f = 0x9b05688c, g = 0x1f83d9ab, h = 0x5be0cd19;

		for (int k = 0; k < 8; k++)
			w[k] = digest[k];
		w[8] = 0x80000000;
		for (int k = 9; k < 15; k++)
			w[k] = 0;
		w[15] = 256;
#pragma unroll
		for (int k = 0; k < 64; k++) {
			uint x, y;

			if (k >= 16) {
				uint s0 = w[(k + 1) & 15], s1 = w[(k + 14) & 15];

				w[k & 15] += w[(k + 9) & 15] + (rotate(s0, 25u) ^ rotate(s0, 14u) ^ s0 >> 3) +
					     (rotate(s1, 15u) ^ rotate(s1, 13u) ^ s1 >> 10);
			}
			x = h + (rotate(e, 26u) ^ rotate(e, 21u) ^ rotate(e, 7u)) + bitselect(g, f, e) + sha_k[k] + w[k & 15];
			y = (rotate(a, 30u) ^ rotate(a, 19u) ^ rotate(a, 10u)) + ((a & b) | (c & (a | b)));
			h = g;
			g = f;
			f = e;
			e = d + x;
			d = c;
			c = b;
			b = a;
			a = x + y;
		}
		digest[0] = a + 0x6a09e667;
		digest[1] = b + 0xbb67ae85;
		digest[2] = c + 0x3c6ef372;
		digest[3] = d + 0xa54ff53a;
		digest[4] = e + 0x510e527f;
		digest[5] = f + 0x9b05688c;
		digest[6] = g + 0x1f83d9ab;
		digest[7] = h + 0x5be0cd19;
	}
	for (int k = 0; k < 8; k++)
		out[k * n + i] = digest[k];
}

/* All shortest paths through nodes up to k. */
kernel void floyd_warshall(global int *distance, int n, int k)
{
	int x = get_global_id(0), y = get_global_id(1);

	distance[y * n + x] = min(distance[y * n + x], distance[y * n + k] + distance[k * n + x]);
}
