// SPDX-License-Identifier: MIT
/*
 * rocrand - rocRAND's generators on the GPU. Its header's engines are compiled for the host, too: the kernels' numbers must be the same bit by bit (normal
 * and log-normal ones within the error of the math functions). The library's own kernels, for every generator and distribution that it has, are held
 * against those engines where the layout is a plain one, and against the moments of the distribution.
 */
#define FQUALIFIERS __forceinline__ __device__ __host__
#include <hip/hip_runtime.h>
#include <rocrand/rocrand.h>
#include <rocrand/rocrand_kernel.h>
#include <rocrand/rocrand_sobol32_precomputed.h>
#include <rocrand/rocrand_sobol64_precomputed.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/libraries/library.h"

#define ITEMS 256
#define DRAWS 12

struct draws {
	unsigned long long raw[DRAWS];
	float uniform[4], normal[4];
	double uniform_double[4], normal_double[2];
	unsigned poisson[2];
};

template <typename S> __device__ __host__ void seed(S &s, int item)
{
	rocrand_init(0x123456789abcull, (unsigned long long)item * 3, 5, &s);
}
template <> __device__ __host__ void seed(rocrand_state_lfsr113 &s, int item)
{
	rocrand_init(uint4{1234567, 7654321, 99999999, 4242424242u}, item * 3, &s);
}

template <typename S> __device__ __host__ void draw(draws &d, int item)
{
	S s;

	seed(s, item);
	for (int i = 0; i < DRAWS; i++)
		d.raw[i] = rocrand(&s);
	for (int i = 0; i < 4; i++)
		d.uniform[i] = rocrand_uniform(&s);
	for (int i = 0; i < 4; i++)
		d.uniform_double[i] = rocrand_uniform_double(&s);
	for (int i = 0; i < 4; i++)
		d.normal[i] = rocrand_normal(&s);
	for (int i = 0; i < 2; i++)
		d.normal_double[i] = rocrand_normal_double(&s);
	d.poisson[0] = rocrand_poisson(&s, 3.5);
	d.poisson[1] = rocrand_poisson(&s, 300);
}

template <typename S> __global__ void draw_all(draws *out)
{
	draw<S>(out[blockIdx.x * blockDim.x + threadIdx.x], blockIdx.x * blockDim.x + threadIdx.x);
}

static double difference(double a, double b)
{
	double d = std::fabs(a - b) / (1 + std::fabs(b));

	return std::isnan(d) ? INFINITY : d;
}

template <typename S> static void engine(const char *name)
{
	static draws got[ITEMS];
	draws *gpu;
	bool raw = true, uniform = true;
	double normal = 0, normal_double = 0;
	int poisson = 0;

	CHECK(hipMalloc((void **)&gpu, sizeof(got)));
	CHECK(hipMemset(gpu, 0, sizeof(got)));
	draw_all<S><<<ITEMS / 64, 64>>>(gpu);
	CHECK(hipMemcpy(got, gpu, sizeof(got), hipMemcpyDeviceToHost));
	CHECK(hipFree(gpu));
	for (int i = 0; i < ITEMS; i++) {
		draws want;

		draw<S>(want, i);
		raw &= !memcmp(got[i].raw, want.raw, sizeof(want.raw));
		uniform &= !memcmp(got[i].uniform, want.uniform, sizeof(want.uniform)) &&
			   !memcmp(got[i].uniform_double, want.uniform_double, sizeof(want.uniform_double));
		for (int k = 0; k < 4; k++)
			normal = std::fmax(normal, difference(got[i].normal[k], want.normal[k]));
		for (int k = 0; k < 2; k++) {
			normal_double = std::fmax(normal_double, difference(got[i].normal_double[k], want.normal_double[k]));
			poisson += got[i].poisson[k] != want.poisson[k];
		}
	}
	tap(raw, "%s engine: raw numbers", name);
	tap(uniform, "%s engine: uniform numbers", name);
	tap(normal < 2e-5, "%s engine: normal numbers, off by %.2g", name, normal);
	tap(normal_double < 1e-12, "%s engine: normal doubles, off by %.2g", name, normal_double);
	/* A last bit of exp or log may decide between two whole numbers. */
	tap(poisson <= 2, "%s engine: Poisson numbers, %d of %d differ", name, poisson, 2 * ITEMS);
}

/* ---- the library ---- */

#define COUNT 16384

struct generator {
	const char *name;
	rocrand_rng_type type;
	bool wide; /* makes 64-bit numbers */
};

static const generator generators[] = {
	{"xorwow", ROCRAND_RNG_PSEUDO_XORWOW, false},
	{"mrg32k3a", ROCRAND_RNG_PSEUDO_MRG32K3A, false},
	{"mrg31k3p", ROCRAND_RNG_PSEUDO_MRG31K3P, false},
	{"mtgp32", ROCRAND_RNG_PSEUDO_MTGP32, false},
	{"philox4x32-10", ROCRAND_RNG_PSEUDO_PHILOX4_32_10, false},
	{"lfsr113", ROCRAND_RNG_PSEUDO_LFSR113, false},
	{"mt19937", ROCRAND_RNG_PSEUDO_MT19937, false},
	{"threefry2x32", ROCRAND_RNG_PSEUDO_THREEFRY2_32_20, false},
	{"threefry4x32", ROCRAND_RNG_PSEUDO_THREEFRY4_32_20, false},
	{"threefry2x64", ROCRAND_RNG_PSEUDO_THREEFRY2_64_20, true},
	{"threefry4x64", ROCRAND_RNG_PSEUDO_THREEFRY4_64_20, true},
	{"sobol32", ROCRAND_RNG_QUASI_SOBOL32, false},
	{"scrambled sobol32", ROCRAND_RNG_QUASI_SCRAMBLED_SOBOL32, false},
	{"sobol64", ROCRAND_RNG_QUASI_SOBOL64, true},
	{"scrambled sobol64", ROCRAND_RNG_QUASI_SCRAMBLED_SOBOL64, true},
};

template <typename T> static std::vector<T> pull(const void *gpu)
{
	std::vector<T> v(COUNT);

	CHECK(hipMemcpy(v.data(), gpu, COUNT * sizeof(T), hipMemcpyDeviceToHost));
	return v;
}

/* Mean and variance, each in standard errors of a sample of this size away from what they should be (kurtosis: the fourth moment over the square). */
template <typename T> static double moments_off(const std::vector<T> &v, double mean, double variance, double kurtosis)
{
	double m = 0, s = 0;

	for (T x : v)
		m += (double)x;
	m /= COUNT;
	for (T x : v)
		s += ((double)x - mean) * ((double)x - mean);
	s /= COUNT;
	double a = std::fabs(m - mean) / std::sqrt(variance / COUNT), b = std::fabs(s - variance) / (variance * std::sqrt((kurtosis - 1) / COUNT));
	return std::isfinite(a + b) ? std::fmax(a, b) : INFINITY;
}

/* The Gray-code Sobol sequence from its direction vectors. */
template <typename T> static bool is_sobol(const std::vector<T> &v, const T *vectors)
{
	for (unsigned i = 0; i < COUNT; i++) {
		unsigned gray = i ^ i >> 1;
		T x = 0;

		for (int b = 0; gray >> b; b++)
			if (gray >> b & 1)
				x ^= vectors[b];
		if (v[i] != x)
			return false;
	}
	return true;
}

template <typename S> static bool starts(const std::vector<unsigned> &v)
{
	for (int i = 0; i < 500; i++) {
		S s;

		rocrand_init(4711, i, 0, &s);
		if (v[i] != rocrand(&s))
			return false;
	}
	return true;
}

static void library(const generator &g)
{
	rocrand_generator rng;
	rocrand_status created = rocrand_create_generator(&rng, g.type);
	void *gpu;
	double off;

	if (created) {
		tap(false, "%s: not created, error %d", g.name, (int)created);
		return;
	}
	CHECK(hipMalloc(&gpu, COUNT * 8));
	if (g.type < ROCRAND_RNG_QUASI_DEFAULT)
		CHECK(rocrand_set_seed(rng, 4711));
	if (g.wide) {
		CHECK(rocrand_generate_long_long(rng, (unsigned long long *)gpu, COUNT));
		auto v = pull<unsigned long long>(gpu);
		off = moments_off(v, 0x1p63, 0x1p128 / 12, 1.8);
		if (g.type == ROCRAND_RNG_QUASI_SOBOL64) {
			tap(is_sobol(v, rocrand_h_sobol64_direction_vectors), "%s: the sequence", g.name);
		}
	} else {
		CHECK(rocrand_generate(rng, (unsigned *)gpu, COUNT));
		auto v = pull<unsigned>(gpu);
		off = moments_off(v, 0x1p31, 0x1p64 / 12, 1.8);
		if (g.type == ROCRAND_RNG_PSEUDO_XORWOW)
			tap(starts<rocrand_state_xorwow>(v), "%s: the sequence", g.name);
		if (g.type == ROCRAND_RNG_PSEUDO_PHILOX4_32_10) {
			rocrand_state_philox4x32_10 s;
			bool good = true;

			rocrand_init(4711, 0, 0, &s);
			for (unsigned x : v)
				good &= x == rocrand(&s);
			tap(good, "%s: the sequence", g.name);
		}
		if (g.type == ROCRAND_RNG_QUASI_SOBOL32) {
			tap(is_sobol(v, rocrand_h_sobol32_direction_vectors), "%s: the sequence", g.name);
		}
	}
	tap(off < 5, "%s: whole numbers, moments off by %.2f standard errors", g.name, off);
	CHECK(rocrand_generate_uniform(rng, (float *)gpu, COUNT));
	off = moments_off(pull<float>(gpu), 0.5, 1.0 / 12, 1.8);
	tap(off < 5, "%s: uniform, %.2f", g.name, off);
	CHECK(rocrand_generate_uniform_double(rng, (double *)gpu, COUNT));
	off = moments_off(pull<double>(gpu), 0.5, 1.0 / 12, 1.8);
	tap(off < 5, "%s: uniform double, %.2f", g.name, off);
	CHECK(rocrand_generate_normal(rng, (float *)gpu, COUNT, 3, 2));
	off = moments_off(pull<float>(gpu), 3, 4, 3);
	tap(off < 5, "%s: normal, %.2f", g.name, off);
	CHECK(rocrand_generate_normal_double(rng, (double *)gpu, COUNT, -1, 0.5));
	off = moments_off(pull<double>(gpu), -1, 0.25, 3);
	tap(off < 5, "%s: normal double, %.2f", g.name, off);
	CHECK(rocrand_generate_log_normal(rng, (float *)gpu, COUNT, 0, 0.25f));
	off = moments_off(pull<float>(gpu), std::exp(0.03125), (std::exp(0.0625) - 1) * std::exp(0.0625), 4.1);
	tap(off < 5, "%s: log-normal, %.2f", g.name, off);
	CHECK(rocrand_generate_poisson(rng, (unsigned *)gpu, COUNT, 20));
	off = moments_off(pull<unsigned>(gpu), 20, 20, 3.05);
	tap(off < 5, "%s: Poisson, %.2f", g.name, off);
	CHECK(rocrand_destroy_generator(rng));
	CHECK(hipFree(gpu));
}

int main(int argc, char **argv)
{
	bool all = !quick(argc, argv);

	engine<rocrand_state_xorwow>("xorwow");
	engine<rocrand_state_mrg32k3a>("mrg32k3a");
	engine<rocrand_state_philox4x32_10>("philox4x32-10");
	engine<rocrand_state_lfsr113>("lfsr113");
	if (all) {
		engine<rocrand_state_mrg31k3p>("mrg31k3p");
		engine<rocrand_state_threefry2x32_20>("threefry2x32");
		engine<rocrand_state_threefry4x32_20>("threefry4x32");
		engine<rocrand_state_threefry2x64_20>("threefry2x64");
		engine<rocrand_state_threefry4x64_20>("threefry4x64");
	}
	/* Quick are those that need not make a state for each of 100,000 threads. */
	for (const generator &g : generators)
		if (all || g.type == ROCRAND_RNG_PSEUDO_PHILOX4_32_10 || g.type == ROCRAND_RNG_QUASI_SOBOL32)
			library(g);
	return tap_end();
}
