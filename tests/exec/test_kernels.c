/* SPDX-License-Identifier: MIT */
/*
 * test_kernels.c - kernels that clang compiled, run by the interpreter and compared with C.
 *
 * usage: test_kernels ITEMS.co GROUP.co
 * Built and run for each target at -O0, -O1 and -O3 (meson.build). kernels/items.cl is compared with the same functions compiled for the host;
 * kernels/group.cl with the references below. Both sides are built without contraction; what both define exactly must be equal, library
 * functions may differ by the stated tolerance.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/exec/kernels/items.h"
#include "tests/exec/runner.h"

#define ITEMS_N 1000 /* not a multiple of 64 */
#define BYTES	(1u << 16)

static struct codeobj items_co, group_co;
static struct runner runner;

/* A case: buffers filled from a seed, one dispatch, and a check. */
struct bufs {
	void *out, *in0, *in1;
};

static uint64_t rng_state;

static uint32_t rng(void)
{
	rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
	return rng_state >> 33 ^ rng_state >> 15;
}

static const uint32_t interesting[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x10000, 0xffff};

/* Integers of any width: random, with small values and extremes. */
static void fill_int(void *p, size_t bytes)
{
	uint32_t *v = p;

	for (size_t i = 0; i < bytes / 4; i++) {
		uint32_t how = rng() % 8;

		v[i] = how == 0	? interesting[rng() % (sizeof(interesting) / 4)]
		       : how < 3 ? rng() % 100
				 : rng();
	}
}

static void fill_float(void *p, size_t bytes)
{
	float *v = p;

	for (size_t i = 0; i < bytes / 4; i++)
		v[i] = (float)((int)(rng() % 2000001) - 1000000) / 1000.0f;
}

static void fill_double(void *p, size_t bytes)
{
	double *v = p;

	for (size_t i = 0; i < bytes / 8; i++)
		v[i] = (double)((int)(rng() % 2000000001) - 1000000000) / 1048583.0;
}

static struct bufs bufs_new(void)
{
	struct bufs b = {
		.out = runner_alloc(&runner, BYTES, GPU_PROT_READ | GPU_PROT_WRITE),
		.in0 = runner_alloc(&runner, BYTES, GPU_PROT_READ),
		.in1 = runner_alloc(&runner, BYTES, GPU_PROT_READ),
	};

	rng_state = 12345;
	assert_non_null(b.out);
	assert_non_null(b.in0);
	assert_non_null(b.in1);
	return b;
}

static void bufs_free(struct bufs *b)
{
	runner_unmap(&runner, b->out);
	runner_unmap(&runner, b->in0);
	runner_unmap(&runner, b->in1);
}

static void run3(const struct codeobj *co, const char *kernel, struct bufs *b, const uint32_t grid[3], const uint16_t group[3],
		 const uint32_t offset[3])
{
	struct {
		void *out, *in0, *in1;
		uint32_t n;
	} args = {b->out, b->in0, b->in1, grid[0]};
	struct runner_dispatch d = {.kernel = kernel, .args = &args, .args_size = 28};
	enum exec_result result;

	memcpy(d.grid, grid, sizeof(d.grid));
	memcpy(d.group, group, sizeof(d.group));
	if (offset)
		memcpy(d.offset, offset, sizeof(d.offset));
	result = runner_run(&runner, co, &d);
	if (result == EXEC_MEMORY_FAULT)
		print_error("memory fault at 0x%llx, pc image+0x%llx\n", (unsigned long long)runner.fault.va,
			    (unsigned long long)(runner.fault.pc - (uintptr_t)co->image));
	else if (result != EXEC_DONE)
		print_error("ended with %d, pc image+0x%llx\n", result,
			    (unsigned long long)(runner.fault.pc - (uintptr_t)co->image));
	assert_int_equal(result, EXEC_DONE);
}

static void run1(const struct codeobj *co, const char *kernel, struct bufs *b, uint32_t items, uint16_t group)
{
	run3(co, kernel, b, (uint32_t[]){items, 1, 1}, (uint16_t[]){group, 1, 1}, NULL);
}

static void same(uint64_t got, uint64_t want, unsigned i)
{
	if (got != want)
		print_error("element %u: got 0x%llx, want 0x%llx\n", i, (unsigned long long)got, (unsigned long long)want);
	assert_true(got == want);
}

/* Equal bits, or both NaN. */
static void same_float(float got, float want, unsigned i)
{
	if (memcmp(&got, &want, 4) && !(got != got && want != want)) {
		print_error("element %u: got %a, want %a\n", i, got, want);
		fail();
	}
}

static void same_double(double got, double want, unsigned i)
{
	if (memcmp(&got, &want, 8) && !(got != got && want != want)) {
		print_error("element %u: got %a, want %a\n", i, got, want);
		fail();
	}
}

static void close_to(double got, double want, double relative, unsigned i)
{
	if (fabs(got - want) > relative * fmax(fabs(want), 1e-6)) {
		print_error("element %u: got %.17g, want %.17g\n", i, got, want);
		fail();
	}
}

/* ------------------------------------------------------------------ items.cl */

#define fill_for(T)                                                                                                    \
	_Generic((T)0, float: fill_float, double: fill_double, default: fill_int)
#define same_for(T)                                                                                                    \
	_Generic((T)0, float: same_float, double: same_double, default: same)

#define ITEM_TEST(name, O, A, B)                                                                                       \
	static void test_##name(void **state)                                                                          \
	{                                                                                                              \
		struct bufs b = bufs_new();                                                                            \
		O *out = b.out;                                                                                        \
		fill_for(A)(b.in0, ITEMS_N * sizeof(A));                                                               \
		fill_for(B)(b.in1, ITEMS_N * sizeof(B));                                                               \
		run1(&items_co, "k_" #name, &b, 1024, 256);                                                            \
		for (unsigned i = 0; i < ITEMS_N; i++) {                                                               \
			O want = item_##name(((A *)b.in0)[i], ((B *)b.in1)[i], i);                                     \
			_Generic(want, float: same_float, double: same_double, default: same)(out[i], want, i);        \
		}                                                                                                      \
		bufs_free(&b);                                                                                         \
	}
/* The kernel's bound is n = 1024 here, so the last items compute on zeroes: harmless, and not compared. */
ITEMS(ITEM_TEST)

/* ------------------------------------------------------------------ group.cl */

static void test_reduce(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0;

	fill_int(in, 1024 * 4);
	run1(&group_co, "k_reduce", &b, 1024, 256);
	for (unsigned g = 0; g < 4; g++) {
		uint32_t sum = 0;

		for (unsigned i = 0; i < 256; i++)
			sum += in[256 * g + i];
		same(out[g], sum, g);
	}
	bufs_free(&b);
}

static void test_scan(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0;

	fill_int(in, 1024 * 4);
	run1(&group_co, "k_scan", &b, 1024, 256);
	for (unsigned g = 0; g < 4; g++) {
		uint32_t sum = 0;

		for (unsigned i = 0; i < 256; i++) {
			sum += in[256 * g + i];
			same(out[256 * g + i], sum, 256 * g + i);
		}
	}
	bufs_free(&b);
}

static void test_crossing(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0;

	fill_int(in, 64 * 8 * 4);
	run1(&group_co, "k_crossing", &b, 64 * 8, 64);
	for (unsigned g = 0; g < 8; g++) {
		uint32_t t[128], x[64], y[64];
		uint64_t w[128], q[128][2], u[64], v[64], s[64][2];

#define EACH for (unsigned l = 0; l < 64; l++)
#define BOTH for (unsigned i = 0; i < 2; i++)
		EACH {
			x[l] = in[64 * g + l];
			y[l] = x[l] * 2654435761u;
			u[l] = (uint64_t)x[l] << 32 | y[l];
			t[l + 64] = y[l];
			w[l + 64] = u[l];
			BOTH q[l + 64][i] = i ? ~u[l] : u[l];
		}
		EACH t[l] = x[l];
		EACH t[l + 16] = y[l];
		EACH t[l + 40] = x[l] ^ y[l];
		EACH w[l] = u[l];
		EACH w[l + 24] = u[l] + 1;
		EACH w[l + 8] = u[l] * 3;
		EACH BOTH q[l][i] = i ? ~u[l] : u[l];
		EACH BOTH q[l + 16][i] = (i ? ~u[l] : u[l]) + 1;
		EACH BOTH q[l + 1][i] = (i ? ~u[l] : u[l]) * 5;
		EACH x[l] = t[l + 8] * 3;
		EACH t[l + 24] = x[l];
		EACH y[l] = t[l + 24] + 7;
		EACH t[l] = y[l];
		EACH v[l] = w[l + 2] * 3;
		EACH w[l + 18] = v[l];
		EACH BOTH s[l][i] = q[l + 3][i] * 7;
		EACH BOTH q[l + 34][i] = s[l][i];
		EACH {
			BOTH s[l][i] += q[l][i];
			v[l] += w[l];
			v[l] ^= s[l][0] + 3 * s[l][1] + q[l + 48][0];
			assert_int_equal(out[2 * (64 * g + l)], x[l] ^ (uint32_t)v[l]);
			assert_int_equal(out[2 * (64 * g + l) + 1], (y[l] + t[l + 32]) ^ (uint32_t)(v[l] >> 32));
		}
#undef EACH
#undef BOTH
	}
	bufs_free(&b);
}

static void test_strided(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0;

	fill_int(in, 2048 * 4);
	run1(&group_co, "k_strided", &b, 1024, 256);
	for (unsigned g = 0; g < 4; g++) {
		uint32_t t[512], sum[256];
		uint64_t w[512], q[256];

		for (unsigned i = 0; i < 256; i++) {
			uint32_t x = in[512 * g + i], y = in[512 * g + 256 + i];

			t[i] = x;
			t[i + 256] = y;
			w[i] = (uint64_t)y << 32 | x;
			w[i + 256] = (uint64_t)x << 32 | (uint32_t)~y;
		}
		for (unsigned i = 0; i < 256; i++) {
			sum[i] = t[2 * i] ^ 3 * t[2 * i + 1];
			q[i] = w[2 * i] + 5 * w[2 * i + 1];
			if (i < 100) {
				sum[i] += t[3 * i] + 7 * t[4 * i + 1];
				q[i] ^= (w[2 * i + 1] - w[2 * i + 2]) * (w[3 * i + 1] ^ w[4 * i]);
			}
		}
		for (unsigned i = 0; i < 37; i++) {
			t[2 * i + 1] += t[2 * i];
			w[2 * i + 1] += w[2 * i];
		}
		for (unsigned i = 0; i < 256; i++) {
			unsigned at = (256 * g + i) * 3;

			same(out[at], sum[i] ^ t[i], at);
			same(out[at + 1], (uint32_t)(q[i] + w[i]), at + 1);
			same(out[at + 2], (uint32_t)((q[i] + w[i]) >> 32), at + 2);
		}
	}
	bufs_free(&b);
}

static void test_matmul(void **state)
{
	struct bufs b = bufs_new();
	float *out = b.out, *x = b.in0, *y = b.in1;

	fill_float(x, 32 * 32 * 4);
	fill_float(y, 32 * 32 * 4);
	run3(&group_co, "k_matmul", &b, (uint32_t[]){32, 32, 1}, (uint16_t[]){16, 16, 1}, NULL);
	for (unsigned r = 0; r < 32; r++)
		for (unsigned c = 0; c < 32; c++) {
			float sum = 0;

			for (unsigned k = 0; k < 32; k++)
				sum += x[r * 32 + k] * y[k * 32 + c];
			same_float(out[r * 32 + c], sum, r * 32 + c);
		}
	bufs_free(&b);
}

static void test_histogram(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0, want[64] = {0};

	fill_int(in, 1024 * 4);
	run1(&group_co, "k_histogram", &b, 1024, 256);
	for (unsigned i = 0; i < 1024; i++)
		want[in[i] & 63]++;
	for (unsigned i = 0; i < 64; i++)
		same(out[i], want[i], i);
	bufs_free(&b);
}

static void test_atomics(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0, want[11] = {[2] = 1000, [4] = 1000, [6] = ~0u};
	bool seen[512] = {false};

	fill_int(in, 512 * 4);
	memcpy(out, want, sizeof(want));
	run1(&group_co, "k_atomics", &b, 512, 128);
	for (unsigned i = 0; i < 512; i++) {
		uint32_t v = in[i];

		want[0] += v;
		want[1] -= v;
		want[2] = (int)v < (int)want[2] ? v : want[2];
		want[3] = (int)v > (int)want[3] ? v : want[3];
		want[4] = v < want[4] ? v : want[4];
		want[5] = v > want[5] ? v : want[5];
		want[6] &= v | 0xffff0000;
		want[7] |= v & 0xff;
		want[8] ^= v;
		want[9]++;
		want[10]++;
	}
	for (unsigned i = 0; i < 11; i++)
		same(out[i], want[i], i);
	for (unsigned i = 0; i < 512; i++) {
		assert_true(out[16 + i] < 512);
		assert_false(seen[out[16 + i]]);
		seen[out[16 + i]] = true;
	}
	bufs_free(&b);
}

static void test_cmpxchg(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *in0 = b.in0, *in1 = b.in1;
	float *out = b.out, sum = 0;
	uint64_t q[3] = {0}, *got = (uint64_t *)b.out + 1;

	fill_int(in0, 512 * 4);
	fill_int(in1, 512 * 4);
	run1(&group_co, "k_cmpxchg", &b, 512, 256);
	for (unsigned i = 0; i < 512; i++) {
		uint64_t v = (uint64_t)in1[i] << 32 | in0[i];

		sum += in0[i] & 15;
		q[0] += (uint64_t)in0[i] << 8;
		q[1] = v > q[1] ? v : q[1];
		q[2] ^= in1[i] * 0x100000001ull;
	}
	same_float(out[0], sum, 0);
	for (unsigned i = 0; i < 3; i++)
		same(got[i], q[i], i);
	bufs_free(&b);
}

static void test_local_atomics(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0;

	fill_int(in, 512 * 4);
	run1(&group_co, "k_local_atomics", &b, 512, 256);
	for (unsigned g = 0; g < 2; g++) {
		uint32_t want[20] = {[2] = ~0u, [4] = ~0u, [6] = ~0u, [9] = 77, [10] = 77, [11] = 77, [12] = 77};
		uint64_t sum = 0, max = 0;

		for (unsigned i = 0; i < 256; i++) {
			uint32_t v = in[256 * g + i];

			want[0] += v;
			want[1] -= v;
			want[2] = (int)v < (int)want[2] ? v : want[2];
			want[3] = (int)v > (int)want[3] ? v : want[3];
			want[4] = v < want[4] ? v : want[4];
			want[5] = v > want[5] ? v : want[5];
			want[6] &= v | 0xff00;
			want[7] |= v & 0xf0f;
			want[8] ^= v;
			sum += (uint64_t)v << 16;
			max = (uint64_t)v << 20 > max ? (uint64_t)v << 20 : max;
		}
		want[16] = sum;
		want[17] = sum >> 32;
		want[18] = max;
		want[19] = max >> 32;
		for (unsigned i = 0; i < 20; i++)
			same(out[20 * g + i], want[i], 20 * g + i);
	}
	bufs_free(&b);
}

static void test_ids(void **state)
{
	const uint32_t grid[3] = {10, 7, 5}, offset[3] = {3, 2, 1};
	const uint16_t group[3] = {4, 4, 4};
	struct bufs b = bufs_new();
	uint32_t *out = b.out;

	run3(&group_co, "k_ids", &b, grid, group, offset);
	for (unsigned z = 0; z < 5; z++)
		for (unsigned y = 0; y < 7; y++)
			for (unsigned x = 0; x < 10; x++) {
				unsigned at = (z * 7 + y) * 10 + x;
				unsigned sx = x / 4 == 2 ? 2 : 4, sy = y / 4 == 1 ? 3 : 4, sz = z / 4 == 1 ? 1 : 4;

				same(out[4 * at], (x + 3) | (y + 2) << 8 | (z + 1) << 16, at);
				same(out[4 * at + 1], x % 4 | y % 4 << 8 | z % 4 << 16, at);
				same(out[4 * at + 2], x / 4 | y / 4 << 8 | z / 4 << 16, at);
				same(out[4 * at + 3], sx | sy << 8 | sz << 16, at);
			}
	bufs_free(&b);
}

static void test_vectors(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out;

	fill_int(b.in0, 2048);
	fill_int(b.in1, 2048);
	run1(&group_co, "k_vectors", &b, 128, 64);
	for (unsigned i = 0; i < 128; i++) {
		const uint32_t *x = (uint32_t *)b.in0 + 4 * i, *y = (uint32_t *)b.in1 + 4 * i;
		uint32_t c[2] = {x[0] + y[2], x[1] + y[3]}, d[3] = {x[2] * 3, y[0] * 3, c[1] * 3};

		same(out[4 * i], c[0] ^ y[3], i);
		same(out[4 * i + 1], c[1] ^ y[2], i);
		same(out[4 * i + 2], d[0] ^ y[1], i);
		same(out[4 * i + 3], (d[1] ^ y[0]) + d[2], i);
	}
	bufs_free(&b);
}

struct record {
	signed char c;
	short s;
	int i;
	long l;
	unsigned char bytes[5];
} __attribute__((packed));

static void test_packed(void **state)
{
	struct bufs b = bufs_new();
	struct record *out = b.out;
	const struct record *in = b.in0;

	fill_int(b.in0, 500 * sizeof(struct record));
	fill_int(b.in1, 500 * 4);
	run1(&group_co, "k_packed", &b, 500, 250);
	for (unsigned i = 0; i < 500; i++) {
		struct record r = in[i];

		r.c += 1;
		r.s = (short)(r.s * 3);
		r.i ^= ((int *)b.in1)[i];
		r.l = (long)((unsigned long)r.l + (unsigned long)(long)r.i);
		for (int k = 0; k < 5; k++)
			r.bytes[k] = (unsigned char)(r.bytes[k] + k);
		assert_memory_equal(&out[i], &r, sizeof(r));
	}
	bufs_free(&b);
}

static void test_generic(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in0 = b.in0, *in1 = b.in1;

	fill_int(in0, 256 * 4);
	fill_int(in1, 256 * 4);
	run1(&group_co, "k_generic", &b, 256, 64);
	for (unsigned i = 0; i < 256; i++) {
		uint32_t t = in0[i], mine = in0[i] + 1, o = in0[i] + 2;
		uint32_t *p = in1[i] % 3 == 0 ? &t : in1[i] % 3 == 1 ? &mine : &o;

		*p = *p * 3 + in1[i];
		same(out[i], (*p ^ in1[i]) + t + mine, i);
	}
	bufs_free(&b);
}

static void test_indirect(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in0 = b.in0, *in1 = b.in1;

	fill_int(in0, 256 * 4);
	fill_int(in1, 256 * 4);
	run1(&group_co, "k_indirect", &b, 256, 64);
	for (unsigned i = 0; i < 256; i++)
		same(out[i],
		     in1[i] % 3 == 0   ? in0[i] + in1[i]
		     : in1[i] % 3 == 1 ? in0[i] ^ in1[i]
				       : in0[i] * in1[i],
		     i);
	bufs_free(&b);
}

static void test_lanes(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0;

	fill_int(in, 256 * 4);
	run1(&group_co, "k_lanes", &b, 256, 64);
	for (unsigned w = 0; w < 4; w++) {
		const uint32_t *v = in + 64 * w;
		uint64_t ballot = 0;

		for (unsigned l = 0; l < 64; l++)
			ballot |= (uint64_t)(v[l] & 1) << l;
		for (unsigned l = 0; l < 64; l++) {
			uint32_t r = (uint32_t)ballot ^ (uint32_t)(ballot >> 32);

			r += v[0];
			r += v[5];
			r ^= v[(l * 7 + 3) & 63];
			r += v[63 - l];
			r ^= v[l ^ 1];
			r += v[l ^ 3];
			r ^= l % 16 ? v[l - 1] : 0;
			r += v[(l & ~15u) | (15 - l % 16)];
			r ^= l / 16 == 1 || l / 16 == 3 ? v[l / 16 * 16 - 1] : l;
			same(out[64 * w + l], r + l, 64 * w + l);
		}
	}
	bufs_free(&b);
}

static void test_spin(void **state)
{
	struct bufs b = bufs_new();
	uint32_t *out = b.out, *in = b.in0;

	fill_int(in, 128 * 4);
	run1(&group_co, "k_spin", &b, 128, 128);
	for (unsigned l = 0; l < 64; l++) {
		same(out[l], in[64 + l] + 1, l);
		same(out[64 + l], in[64 + l], l);
	}
	bufs_free(&b);
}

static void test_float_exact(void **state)
{
	struct bufs b = bufs_new();
	float *out = b.out, *x = b.in0, *y = b.in1;

	fill_float(x, 512 * 4);
	fill_float(y, 512 * 4);
	y[3] = 0;
	x[4] = INFINITY;
	x[5] = NAN;
	x[6] = 1e-42f;
	x[7] = 3e38f;
	y[7] = 1e-3f;
	run1(&group_co, "k_float_exact", &b, 512, 64);
	for (unsigned i = 0; i < 512; i++) {
		same_float(out[4 * i], x[i] / y[i], 4 * i);
		same_float(out[4 * i + 1], sqrtf(fabsf(x[i])), 4 * i + 1);
		same_float(out[4 * i + 2], fmaf(x[i], y[i], x[i]), 4 * i + 2);
		same_float(out[4 * i + 3], floorf(x[i]) + truncf(y[i]) + rintf(x[i]) + fminf(x[i], y[i]) + fmaxf(x[i], y[i]),
			   4 * i + 3);
	}
	bufs_free(&b);
}

static void test_double_exact(void **state)
{
	struct bufs b = bufs_new();
	double *out = b.out, *x = b.in0, *y = b.in1;

	fill_double(x, 512 * 8);
	fill_double(y, 512 * 8);
	y[3] = 0;
	x[4] = INFINITY;
	x[6] = 1e-310;
	run1(&group_co, "k_double_exact", &b, 512, 64);
	for (unsigned i = 0; i < 512; i++) {
		same_double(out[4 * i], x[i] / y[i], 4 * i);
		same_double(out[4 * i + 1], sqrt(fabs(x[i])), 4 * i + 1);
		same_double(out[4 * i + 2], fma(x[i], y[i], x[i]), 4 * i + 2);
		same_double(out[4 * i + 3], floor(x[i]) + trunc(y[i]) + rint(x[i]) + fmin(x[i], y[i]) + fmax(x[i], y[i]),
			    4 * i + 3);
	}
	bufs_free(&b);
}

/* Value of a half; exact. */
static double half_value(uint16_t h)
{
	double m = h & 0x3ff, v = (h >> 10 & 31) ? ldexp(1024 + m, (h >> 10 & 31) - 25) : ldexp(m, -24);

	return h & 0x8000 ? -v : v;
}

/* Nearest half of a finite value below 65520, ties to even; independent of atomic.h's way. */
static uint16_t nearest_half(double v)
{
	double a = fabs(v);
	int e = a < 0x1p-14 ? -14 : ilogb(a);
	double units = nearbyint(ldexp(a, 10 - e));
	uint32_t bits = a < 0x1p-14 ? (uint32_t)units : (uint32_t)(e + 15) * 1024 + (uint32_t)units - 1024;

	return bits | (signbit(v) ? 0x8000 : 0);
}

static void test_half(void **state)
{
	struct bufs b = bufs_new();
	uint16_t *out = b.out;
	float *x = b.in0, *y = b.in1;

	for (unsigned i = 0; i < 512; i++) {
		x[i] = (float)((int)(rng() % 20001) - 10000) / 77.0f;
		y[i] = (float)((int)(rng() % 20001) - 10000) / 1111.0f;
	}
	x[1] = 0x1p-20f;
	y[1] = 0x1p-18f;
	run1(&group_co, "k_half", &b, 512, 64);
	for (unsigned i = 0; i < 512; i++) {
		double p = half_value(nearest_half(x[i])), q = half_value(nearest_half(y[i]));

		same(out[4 * i], nearest_half(x[i]), 4 * i);
		same(out[4 * i + 1], nearest_half(p + q), 4 * i + 1);
		same(out[4 * i + 2], nearest_half(p * q), 4 * i + 2);
		same(out[4 * i + 3], p < q, 4 * i + 3);
	}
	bufs_free(&b);
}

static void test_math(void **state)
{
	struct bufs b = bufs_new();
	float *out = b.out, *x = b.in0, *y = b.in1;

	fill_float(x, 512 * 4);
	fill_float(y, 512 * 4);
	run1(&group_co, "k_math", &b, 512, 64);
	for (unsigned i = 0; i < 512; i++) {
		double p = fabsf(x[i]) * 0.01f + 0.001f;
		double want[8] = {sin(x[i]),   cos(y[i]),	    exp(x[i] * 0.01f),	log(p),
				  pow(p, 0.3f), atan2(x[i], y[i]), tanh(x[i] * 0.01f), 1 / sqrt(p)};

		for (unsigned k = 0; k < 8; k++)
			close_to(out[8 * i + k], want[k], 4e-6, 8 * i + k);
	}
	bufs_free(&b);
}

static void test_dmath(void **state)
{
	struct bufs b = bufs_new();
	double *out = b.out, *x = b.in0;

	fill_double(x, 256 * 8);
	run1(&group_co, "k_dmath", &b, 256, 64);
	for (unsigned i = 0; i < 256; i++) {
		double p = fabs(x[i]) * 0.01 + 0.001;
		double want[4] = {sin(x[i]), exp(x[i] * 0.01), log(p), pow(p, 0.3)};

		for (unsigned k = 0; k < 4; k++)
			close_to(out[4 * i + k], want[k], 1e-13, 4 * i + k);
	}
	bufs_free(&b);
}

int main(int argc, char **argv)
{
#define ITEM_ENTRY(name, O, A, B) cmocka_unit_test(test_##name),
	const struct CMUnitTest tests[] = {
		ITEMS(ITEM_ENTRY)
		cmocka_unit_test(test_reduce),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_strided),
		cmocka_unit_test(test_matmul),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_atomics),
		cmocka_unit_test(test_cmpxchg),
		cmocka_unit_test(test_local_atomics),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_generic),
		cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_spin),
		cmocka_unit_test(test_float_exact),
		cmocka_unit_test(test_double_exact),
		cmocka_unit_test(test_half),
		cmocka_unit_test(test_math),
		cmocka_unit_test(test_dmath),
	};
	int failed;

	if (argc != 3 || codeobj_load(&items_co, argv[1]) || codeobj_load(&group_co, argv[2]) ||
	    runner_init(&runner, items_co.target)) {
		fprintf(stderr, "usage: test_kernels ITEMS.co GROUP.co\n");
		return 2;
	}
	runner_map(&runner, items_co.image, items_co.size, GPU_PROT_READ | GPU_PROT_EXEC);
	runner_map(&runner, group_co.image, group_co.size, GPU_PROT_READ | GPU_PROT_EXEC);
	if (argc == 3 && getenv("TEST_FILTER"))
		cmocka_set_test_filter(getenv("TEST_FILTER"));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	runner_free(&runner);
	codeobj_free(&items_co);
	codeobj_free(&group_co);
	return failed;
}
