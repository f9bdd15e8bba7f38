// SPDX-License-Identifier: MIT
/* integer.c - cases of integer.cl: all results are exact. */
#include <stdlib.h>
#include <string.h>

#include "bench/gpu/gpu-bench/job.h"

enum { GROUP = 256, TILE = 16, BINS = 256, HISTOGRAM_GROUPS = 256, BLOCK = 2 * GROUP, WORDS = 8, HASHES = 4 };

static uint32_t *fill_words(uint32_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		words[i] = job_random(i, 1);
	return words;
}

/* ---------------------------------------------------------------- histograms: words of four bytes */

static void histogram_setup(struct job *j)
{
	fill_words(job_input(j, 0, j->size[0] * 4), j->size[0]);
	job_changed(j, 1, BINS * 4);
	job_arg_buffer(j, 0, 0, 0);
	job_arg_buffer(j, 0, 1, 1);
}

static void histogram_lds_setup(struct job *j)
{
	histogram_setup(j);
	job_arg_int(j, 0, 2, (int)j->size[0]);
}

static void histogram_lds_run(struct job *j)
{
	job_launch(j, 0, HISTOGRAM_GROUPS * GROUP, 0, GROUP, 0);
}

static void linear_run(struct job *j)
{
	job_launch(j, 0, j->size[0], 0, GROUP, 0);
}

static void histogram_check(struct job *j)
{
	const uint8_t *in = j->host[0];
	const uint32_t *out = j->result[1];
	uint32_t want[BINS] = {0};

	for (size_t i = 0; i < j->size[0] * 4; i++)
		want[in[i]]++;
	for (size_t i = 0; i < BINS; i++)
		if (out[i] != want[i])
			job_wrong(j, 1, i, out[i], want[i]);
}

/* ---------------------------------------------------------------- bitonic sort: keys, a power of two, at least BLOCK */

static void bitonic_setup(struct job *j)
{
	fill_words(job_changed(j, 0, j->size[0] * 4), j->size[0]);
	for (unsigned k = 0; k < 3; k++)
		job_arg_buffer(j, k, 0, 0);
}

static void bitonic_run(struct job *j)
{
	size_t n = j->size[0];

	job_launch(j, 0, n / 2, 0, GROUP, 0);
	for (size_t size = 2 * BLOCK; size <= n; size *= 2) {
		job_arg_int(j, 1, 1, (int)size);
		for (size_t stride = size / 2; stride > GROUP; stride /= 2) {
			job_arg_int(j, 1, 2, (int)stride);
			job_launch(j, 1, n / 2, 0, GROUP, 0);
		}
		job_arg_int(j, 2, 1, (int)size);
		job_launch(j, 2, n / 2, 0, GROUP, 0);
	}
}

static int compare_words(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void bitonic_check(struct job *j)
{
	uint32_t *want = malloc(j->bytes[0]), *out = j->result[0];

	if (!want)
		job_die("out of memory");
	memcpy(want, j->host[0], j->bytes[0]);
	qsort(want, j->size[0], 4, compare_words);
	for (size_t i = 0; i < j->size[0]; i++)
		if (out[i] != want[i])
			job_wrong(j, 0, i, out[i], want[i]);
	free(want);
}

/* ---------------------------------------------------------------- SHA-256: messages of 32 bytes */

static void sha256_setup(struct job *j)
{
	size_t n = j->size[0];

	fill_words(job_input(j, 0, WORDS * n * 4), WORDS * n);
	job_output(j, 1, WORDS * n * 4);
	job_arg_buffer(j, 0, 0, 0);
	job_arg_buffer(j, 0, 1, 1);
	job_arg_int(j, 0, 2, (int)n);
	job_arg_int(j, 0, 3, HASHES);
}

static uint32_t turn(uint32_t x, unsigned by)
{
	return x >> by | x << (32 - by);
}

/* The first 32 bits of the fraction of the k-th prime's root: what FIPS 180-4 says the constants are. */
static void sha256_constants(uint32_t k[64], uint32_t h[8])
{
	unsigned found = 0;

	for (unsigned p = 2; found < 64; p++) {
		bool prime = true;
		/* Long division of roots: the largest x with x^3 <= p * 2^96 and x^2 <= p * 2^64. */
		unsigned __int128 low = 0, high;

		for (unsigned d = 2; d * d <= p; d++)
			prime = prime && p % d;
		if (!prime)
			continue;
		for (high = (unsigned __int128)1 << 36; high - low > 1;) {
			unsigned __int128 x = (low + high) / 2, square = x * x;

			/* x^3 has up to 108 bits. */
			if (square * x <= (unsigned __int128)p << 96)
				low = x;
			else
				high = x;
		}
		k[found] = (uint32_t)low;
		if (found < 8) {
			for (low = 0, high = (unsigned __int128)1 << 36; high - low > 1;) {
				unsigned __int128 x = (low + high) / 2;

				if (x * x <= (unsigned __int128)p << 64)
					low = x;
				else
					high = x;
			}
			h[found] = (uint32_t)low;
		}
		found++;
	}
}

static void sha256_once(uint32_t digest[8], const uint32_t k[64], const uint32_t h[8])
{
	uint32_t w[64] = {0}, v[8];

	memcpy(w, digest, 32);
	w[8] = 0x80000000;
	w[15] = 256;
	for (unsigned t = 16; t < 64; t++)
		w[t] = w[t - 16] + w[t - 7] + (turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3) +
		       (turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10);
	memcpy(v, h, 32);
	for (unsigned t = 0; t < 64; t++) {
		uint32_t s1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25), choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
		uint32_t s0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22), majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
		uint32_t x = v[7] + s1 + choice + k[t] + w[t];

		memmove(v + 1, v, 28);
		v[4] += x;
		v[0] = x + s0 + majority;
	}
	for (unsigned t = 0; t < 8; t++)
		digest[t] = h[t] + v[t];
}

static void sha256_check(struct job *j)
{
	size_t n = j->size[0];
	const uint32_t *in = j->host[0], *out = j->result[1];
	uint32_t k[64], h[8], digest[WORDS];

	sha256_constants(k, h);
	for (size_t i = 0, step = job_step(n, 1 << 14); i < n; i += step) {
		for (size_t w = 0; w < WORDS; w++)
			digest[w] = in[w * n + i];
		for (unsigned t = 0; t < HASHES; t++)
			sha256_once(digest, k, h);
		for (size_t w = 0; w < WORDS; w++)
			if (out[w * n + i] != digest[w])
				job_wrong(j, 1, w * n + i, out[w * n + i], digest[w]);
	}
}

/* ---------------------------------------------------------------- shortest paths: nodes */

static void floyd_setup(struct job *j)
{
	size_t n = j->size[0];
	int *distance = job_changed(j, 0, n * n * 4);

	for (size_t i = 0; i < n * n; i++)
		distance[i] = i % n == i / n ? 0 : 1 + (int)(job_random(i, 1) >> 22);
	job_arg_buffer(j, 0, 0, 0);
	job_arg_int(j, 0, 1, (int)n);
}

static void floyd_run(struct job *j)
{
	for (size_t k = 0; k < j->size[0]; k++) {
		job_arg_int(j, 0, 2, (int)k);
		job_launch(j, 0, j->size[0], j->size[0], TILE, TILE);
	}
}

static void floyd_check(struct job *j)
{
	size_t n = j->size[0];
	int *want = malloc(n * n * sizeof(*want));
	const int *out = j->result[0];

	if (!want)
		job_die("out of memory");
	memcpy(want, j->host[0], n * n * sizeof(*want));
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < n; i++)
			for (size_t t = 0; t < n; t++)
				if (want[i * n + k] + want[k * n + t] < want[i * n + t])
					want[i * n + t] = want[i * n + k] + want[k * n + t];
	for (size_t i = 0; i < n * n; i++)
		if (out[i] != want[i])
			job_wrong(j, 0, i, out[i], want[i]);
	free(want);
}

const struct job_case integer_cases[] = {
	{"histogram_lds", "integer", false, true, {100000}, {8 << 20}, {"histogram_lds"}, histogram_lds_setup, histogram_lds_run, histogram_check},
	{"histogram_global", "integer", false, false, {16384}, {1 << 20}, {"histogram_global"}, histogram_setup, linear_run, histogram_check},
	{"bitonic", "integer", false, true, {8192}, {1 << 18}, {"bitonic_blocks", "bitonic_step", "bitonic_merge"}, bitonic_setup, bitonic_run,
	 bitonic_check},
	{"sha256", "integer", false, false, {1024}, {1 << 16}, {"sha256"}, sha256_setup, linear_run, sha256_check},
	{"floyd_warshall", "integer", false, false, {64}, {512}, {"floyd_warshall"}, floyd_setup, floyd_run, floyd_check},
	{0},
};
