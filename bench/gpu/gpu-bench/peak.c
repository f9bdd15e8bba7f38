// SPDX-License-Identifier: MIT
/*
 * peak.c - how many floating-point operations a second one core can do: independent fused multiply-adds in registers, on the widest vectors
 * the processor has. It is what "fraction of peak" is a fraction of.
 */
#include <immintrin.h>
#include <time.h>

#include "bench/gpu/gpu-bench/job.h"

enum { CHAINS = 12, STEPS = 20000, TRIES = 30 };

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Twelve chains are more than latency (4) times units (2), and fit the registers of AVX2. The barrier keeps each operation where it is. */
#define EACH_CHAIN(do) do(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11)
#define PEAK(name, features, vector, set, fma)                                                                                              \
	__attribute__((target(features), noinline)) static void name(void)                                                                  \
	{                                                                                                                                   \
		vector a = set(0.999f), b = set(0.001f);                                                                                    \
                                                                                                                                            \
		EACH_CHAIN(BEGIN_##name)                                                                                                    \
		for (int s = 0; s < STEPS; s++) {                                                                                           \
			EACH_CHAIN(STEP_##name)                                                                                             \
		}                                                                                                                           \
	}
#define BEGIN_peak_avx512(i) __m512 x##i = _mm512_set1_ps(i);
#define STEP_peak_avx512(i)                                                                                                                 \
	x##i = _mm512_fmadd_ps(x##i, a, b);                                                                                                 \
	__asm__ volatile("" : "+v"(x##i));
#define BEGIN_peak_avx2(i) __m256 x##i = _mm256_set1_ps(i);
#define STEP_peak_avx2(i)                                                                                                                   \
	x##i = _mm256_fmadd_ps(x##i, a, b);                                                                                                 \
	__asm__ volatile("" : "+x"(x##i));
PEAK(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps)
PEAK(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps)

double peak_gflops(void)
{
	bool wide = __builtin_cpu_supports("avx512f");
	double best = 1e9;

	if (!wide && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")))
		return 0;
	for (int i = 0; i < TRIES; i++) {
		double t = now_s();

		if (wide)
			peak_avx512();
		else
			peak_avx2();
		t = now_s() - t;
		best = t < best ? t : best;
	}
	return 2.0 * (wide ? 16 : 8) * CHAINS * STEPS / best / 1e9;
}
