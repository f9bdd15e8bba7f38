/* SPDX-License-Identifier: MIT */
/*
 * test_mfma.c - the matrix operations' vector code, of each x86-64 level and for one and for many steps, against plain loops over the elements in the
 * order that valu_mfma.c promises: random numbers of all magnitudes, infinities, NaNs, denormals.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gpu/soft/exec/exec.h"
#include "gpu/soft/exec/mfma.h"

static const struct kind {
	const char *name;
	enum mfma_type type;
	unsigned m, k, blocks, pack;
} kinds[] = {
#define KIND(N, ...) {#N, __VA_ARGS__},
	MFMA_TABLE(KIND)
};

typedef uint32_t rows[32][WAVE_LANES] __attribute__((aligned(64)));

static uint64_t seed = 88172645463325252ull;

static uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed * 0x2545f4914f6cdd1dull >> 32);
}

static float f32_of(uint32_t u)
{
	float f;

	memcpy(&f, &u, 4);
	return f;
}

static uint32_t bits_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

/* A number of a half or a single, the latter's top half a bfloat16. */
static uint32_t number(bool half, unsigned wild)
{
	uint32_t r = rnd(), sign = r & (half ? 0x8000 : 0x80000000);

	switch (wild ? r >> 8 & 31 : 31) {
	case 0:
		return sign;
	case 1:
		return sign | (half ? 0x7c00 : 0x7f800000);
	case 2: /* NaN; rare, as it spreads over the row */
		return wild > 1 ? sign | (half ? 0x7c00 | (rnd() & 0x3ff) : 0x7f800000 | (rnd() & 0x7fffff)) : sign;
	case 3: /* denormal */
		return sign | (half ? rnd() & 0x3ff : rnd() & 0x7fffff);
	case 4:
		return half ? rnd() & 0xffff : rnd();
	default:
		return half ? sign | 0x3000 | (rnd() & 0x1fff) : sign | (0x3e000000 + (rnd() & 0x1ffffff));
	}
}

static void fill(const struct kind *t, uint32_t (*r)[WAVE_LANES], unsigned n, bool source, unsigned wild)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned l = 0; l < WAVE_LANES; l++)
			switch (source || t->type == MFMA_F64 ? t->type : t->type == MFMA_I8 ? MFMA_I8 : MFMA_F32) {
			case MFMA_F16:
				r[i][l] = number(true, wild) | number(true, wild) << 16;
				break;
			case MFMA_BF16:
				r[i][l] = number(false, wild) >> 16 | (number(false, wild) & 0xffff0000);
				break;
			case MFMA_I8:
				r[i][l] = rnd();
				break;
			case MFMA_F64: {
				double d = f32_of(number(false, wild)) * (1 + rnd() * 0x1p-40);
				uint32_t u[2];

				memcpy(u, &d, 8);
				r[i][l] = u[i & 1];
				break;
			}
			default:
				r[i][l] = number(false, wild);
			}
	/* The halves of a double belong together. */
	for (unsigned i = 0; t->type == MFMA_F64 && i < n; i += 2)
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double d = f32_of(number(false, wild)) * (1 + rnd() * 0x1p-40);
			uint32_t u[2];

			memcpy(u, &d, 8);
			r[i][l] = u[0];
			r[i + 1][l] = u[1];
		}
}

static float flush(float f)
{
	return fabsf(f) < 0x1p-126f ? copysignf(0, f) : f;
}

static float half(uint32_t h)
{
	uint32_t e = h >> 10 & 31;

	if (!e)
		return h & 0x8000 ? -0.0f : 0.0f;
	return f32_of((h & 0x8000) << 16 | (e == 31 ? 0x7f800000 : (e + 112) << 23) | (h & 0x3ff) << 13);
}

static double element(const struct kind *t, uint32_t (*r)[WAVE_LANES], unsigned blk, unsigned i, unsigned k)
{
	unsigned lane = t->m * t->blocks * (k / t->pack) + t->m * blk + i, p = k % t->pack;
	uint32_t h = r[p / 2][lane] >> (16 * (p & 1)) & 0xffff;
	double d;

	switch (t->type) {
	case MFMA_F64:
		memcpy(&d, (uint32_t[2]){r[0][lane], r[1][lane]}, 8);
		return d;
	case MFMA_F16:
		return half(h);
	case MFMA_BF16:
		return flush(f32_of(h << 16));
	case MFMA_I8:
		return (int8_t)(r[0][lane] >> (8 * p));
	default:
		return f32_of(r[0][lane]);
	}
}

static void place(const struct kind *t, unsigned blk, unsigned i, unsigned j, unsigned *reg, unsigned *lane)
{
	bool wide = t->type == MFMA_F64;

	*reg = t->m == 32 ? 16 * blk + 4 * (i / 8) + i % 4 : t->m == 16 ? (wide ? 2 * (i / 4) : 4 * blk + i % 4) : wide ? 0 : i;
	*lane = t->m == 32 ? 32 * (i / 4 % 2) + j : t->m == 16 ? 16 * (wide ? i % 4 : i / 4) + j : (wide ? 16 * i : 0) + 4 * blk + j;
}

static void reference(const struct kind *t, rows d, rows c, rows a, rows b)
{
	for (unsigned blk = 0; blk < t->blocks; blk++)
		for (unsigned i = 0; i < t->m; i++)
			for (unsigned j = 0; j < t->m; j++) {
				unsigned reg, lane;
				double x;
				float f;

				place(t, blk, i, j, &reg, &lane);
				if (t->type == MFMA_F64) {
					memcpy(&x, (uint32_t[2]){c[reg][lane], c[reg + 1][lane]}, 8);
					for (unsigned k = 0; k < t->k; k++)
						x = fma(element(t, a, blk, i, k), element(t, b, blk, j, k), x);
					if (x != x)
						memcpy(&x, &(uint64_t){0xfff8000000000000}, 8);
					memcpy(&d[reg][lane], &x, 4);
					memcpy(&d[reg + 1][lane], (char *)&x + 4, 4);
					continue;
				}
				if (t->type == MFMA_I8) {
					d[reg][lane] = c[reg][lane];
					for (unsigned k = 0; k < t->k; k++)
						d[reg][lane] += (uint32_t)(int)(element(t, a, blk, i, k) * element(t, b, blk, j, k));
					continue;
				}
				f = f32_of(c[reg][lane]);
				for (unsigned k = 0; k < t->k; k++)
					f = fmaf((float)element(t, a, blk, i, k), (float)element(t, b, blk, j, k), f);
				if (t->type != MFMA_F32)
					f = flush(f);
				d[reg][lane] = f != f ? 0xffc00000 : bits_of(f);
			}
}

static void check(const struct kind *t, unsigned level, mfma_fn *fn)
{
	static rows a[MFMA_MAX_STEPS], b[MFMA_MAX_STEPS], c, d, want;
	const unsigned num = t->m * t->m * t->blocks / WAVE_LANES * (t->type == MFMA_F64 ? 2 : 1), most = MFMA_STEPS(t->type);
	const uint32_t(*ab[2 * MFMA_MAX_STEPS])[WAVE_LANES];

	for (unsigned n = 0; n < 24; n++) {
		unsigned steps = n < 6 ? 1 : n < 12 ? 2 : 1 + rnd() % most;

		fill(t, c, 32, false, n % 3);
		memset(d, 0, sizeof(d));
		memset(want, 0, sizeof(want));
		for (unsigned s = 0; s < steps; s++) {
			fill(t, a[s], 2, true, n % 3);
			fill(t, b[s], 2, true, n % 3);
			ab[2 * s] = (const uint32_t(*)[WAVE_LANES])a[s];
			ab[2 * s + 1] = (const uint32_t(*)[WAVE_LANES])b[s];
			reference(t, want, s ? want : c, a[s], b[s]);
		}
		/* in place and not */
		if (!(n & 1))
			memcpy(d, c, num * sizeof(d[0]));
		fn(d, (const uint32_t(*)[WAVE_LANES])(n & 1 ? c : d), ab, steps);
		for (unsigned i = 0; i < 32; i++)
			for (unsigned l = 0; l < WAVE_LANES; l++)
				if (d[i][l] != want[i][l])
					fail_msg("%s, v%u, %u steps: register %u lane %u: 0x%08x, not 0x%08x", t->name, level, steps, i, l, d[i][l],
						 want[i][l]);
	}
}

/* Two accumulators whose operations have the same A, some steps only one of them: as if it were two chains. */
static void check_two(const struct kind *t, unsigned level, const struct mfma_functions *f, unsigned kind)
{
	enum { STEPS = 2 * MFMA_MAX_STEPS };
	static rows a[STEPS], b[STEPS], b2[STEPS], d, e, want[2];
	const uint32_t(*abb[3 * STEPS])[WAVE_LANES];

	for (unsigned n = 0; n < 24; n++) {
		unsigned steps = 1 + rnd() % (n < 12 ? 4 : STEPS);

		fill(t, d, 32, false, n % 3);
		fill(t, e, 32, false, n % 3);
		memcpy(want[0], d, sizeof(d));
		memcpy(want[1], e, sizeof(e));
		for (unsigned s = 0; s < steps; s++) {
			unsigned who = s ? rnd() % 4 : 0;

			fill(t, a[s], 2, true, n % 3);
			fill(t, b[s], 2, true, n % 3);
			fill(t, b2[s], 2, true, n % 3);
			abb[3 * s] = (const uint32_t(*)[WAVE_LANES])a[s];
			abb[3 * s + 1] = who == 1 ? NULL : (const uint32_t(*)[WAVE_LANES])b[s];
			abb[3 * s + 2] = who == 2 ? NULL : (const uint32_t(*)[WAVE_LANES])b2[s];
			if (who != 1)
				reference(t, want[0], want[0], a[s], b[s]);
			if (who != 2)
				reference(t, want[1], want[1], a[s], b2[s]);
		}
		f->two[kind](d, e, abb, steps);
		for (unsigned i = 0; i < 32; i++)
			for (unsigned l = 0; l < WAVE_LANES; l++)
				if (d[i][l] != want[0][i][l] || e[i][l] != want[1][i][l])
					fail_msg("two of %s, v%u, %u steps: register %u lane %u: 0x%08x and 0x%08x, not 0x%08x and 0x%08x", t->name, level, steps, i, l,
						 d[i][l], e[i][l], want[0][i][l], want[1][i][l]);
	}
}

static void test_two(void **state)
{
	static const unsigned levels[] = {1, 3, 4};

	for (unsigned v = 0; v < 3; v++)
		for (unsigned t = 0; exec_valu_rows_of(levels[v]) && t < MFMA_KINDS; t++) {
			const struct mfma_functions *f = exec_mfma_functions(levels[v]);

			assert_int_equal(f->two[t] != NULL, MFMA_HAS_TWO(kinds[t].type, kinds[t].m));
			if (f->two[t])
				check_two(&kinds[t], levels[v], f, t);
		}
}

static void test_steps(void **state)
{
	static const unsigned levels[] = {1, 3, 4};

	for (unsigned v = 0; v < 3; v++)
		for (unsigned t = 0; exec_valu_rows_of(levels[v]) && t < MFMA_KINDS; t++)
			check(&kinds[t], levels[v], exec_mfma_functions(levels[v])->one[t]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_two)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
