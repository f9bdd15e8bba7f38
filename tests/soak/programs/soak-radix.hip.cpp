// SPDX-License-Identifier: MIT
/* soak-radix - radix sort, 4 bits a pass: histograms in LDS, a scan of all counters by one work-group, a stable scatter; keys with values. */
#include "tests/soak/programs/soak.h"

#include <algorithm>
#include <numeric>

#define KEYS   32768u
#define ITEMS  256u
#define GROUPS (KEYS / ITEMS)
#define DIGITS 16u

__global__ void count(const uint32_t *keys, uint32_t *counts, int shift)
{
	__shared__ uint32_t local[DIGITS];

	if (threadIdx.x < DIGITS)
		local[threadIdx.x] = 0;
	__syncthreads();
	atomicAdd(&local[keys[blockIdx.x * ITEMS + threadIdx.x] >> shift & (DIGITS - 1)], 1u);
	__syncthreads();
	if (threadIdx.x < DIGITS)
		counts[threadIdx.x * GROUPS + blockIdx.x] = local[threadIdx.x];
}

/* Each counter becomes the sum of those before it. */
__global__ void scan(uint32_t *counts)
{
	__shared__ uint32_t sums[ITEMS];
	const uint32_t each = DIGITS * GROUPS / ITEMS;
	uint32_t *mine = counts + threadIdx.x * each, sum = 0;

	for (uint32_t i = 0; i < each; i++)
		sum += mine[i];
	sums[threadIdx.x] = sum;
	__syncthreads();
	for (uint32_t d = 1; d < ITEMS; d *= 2) {
		uint32_t before = threadIdx.x >= d ? sums[threadIdx.x - d] : 0;

		__syncthreads();
		sums[threadIdx.x] += before;
		__syncthreads();
	}
	sum = sums[threadIdx.x] - sum;
	for (uint32_t i = 0; i < each; i++) {
		uint32_t n = mine[i];

		mine[i] = sum;
		sum += n;
	}
}

__global__ void scatter(const uint32_t *keys, const uint32_t *values, uint32_t *keys_out, uint32_t *values_out, const uint32_t *counts, int shift)
{
	__shared__ uint8_t digits[ITEMS];
	uint32_t i = blockIdx.x * ITEMS + threadIdx.x, digit = keys[i] >> shift & (DIGITS - 1), rank = 0;

	digits[threadIdx.x] = digit;
	__syncthreads();
	for (uint32_t k = 0; k < threadIdx.x; k++)
		rank += digits[k] == digit;
	rank += counts[digit * GROUPS + blockIdx.x];
	keys_out[rank] = keys[i];
	values_out[rank] = values[i];
}

int main()
{
	std::vector<uint32_t> keys(KEYS), order(KEYS);
	size_t wrong = 0;

	/* Few bits in the upper half, so that many keys are equal there and the order of equal ones matters. */
	for (uint32_t &k : keys)
		k = random_bits() & 0x000f03ff;
	std::iota(order.begin(), order.end(), 0);
	gpu_array<uint32_t> a(keys), b(KEYS), va(order), vb(KEYS), counts(DIGITS * GROUPS);
	for (int shift = 0; shift < 32; shift += 8) {
		LAUNCH(count, GROUPS, ITEMS, a, counts, shift);
		LAUNCH(scan, 1, ITEMS, counts);
		LAUNCH(scatter, GROUPS, ITEMS, a, va, b, vb, counts, shift);
		LAUNCH(count, GROUPS, ITEMS, b, counts, shift + 4);
		LAUNCH(scan, 1, ITEMS, counts);
		LAUNCH(scatter, GROUPS, ITEMS, b, vb, a, va, counts, shift + 4);
	}
	std::vector<uint32_t> sorted = a.get(), values = va.get();
	std::stable_sort(order.begin(), order.end(), [&](uint32_t x, uint32_t y) { return keys[x] < keys[y]; });
	for (uint32_t i = 0; i < KEYS; i++)
		wrong += values[i] != order[i] || sorted[i] != keys[order[i]];
	return verdict(!wrong, "soak-radix: %u keys sorted, %zu wrong", KEYS, wrong);
}
