/* SPDX-License-Identifier: MIT */
/*
 * valu_math.h - scalar functions behind the expressions of the VALU tables. All are branch-free
 * where a lane loop over them is to be vectorised, and use only IEEE operations in
 * round-to-nearest-even, so that results do not depend on the host.
 *
 * The transcendental unit. AMD documents about 1 ulp for these and publishes no algorithm; this GPU defines them as
 *   rcp, sqrt f32/f16/f64   correctly rounded
 *   rsq f32, f64            Newton steps, at most 0.505 ulp off; f16: 1 / sqrt(x) in double, rounded once
 *   exp, log f32            polynomials in double (error below 2^-38), rounded once
 *   sin, cos; f16           polynomials in double (error below 2^-50), rounded once
 * f32 and f64 rounded to nearest even whatever MODE says. The f32 forms flush denormal inputs and results to zero of the same
 * sign in every mode, as the hardware does (LLVM scales around it); f16 and f64 follow MODE. sin/cos take revolutions; |x| > 256
 * gives 0 (sin) or 1 (cos), infinity gives NaN ("V_SIN_F32", Vega ISA).
 */
#ifndef GPU_SOFT_EXEC_VALU_MATH_H
#define GPU_SOFT_EXEC_VALU_MATH_H

#include <math.h>

#include "gpu/soft/exec/valu.h"

/* ---- f16 ---- */

static inline float h2f(uint32_t h)
{
	uint32_t sign = (h & 0x8000) << 16, em = h & 0x7fff;
	uint32_t normal = (em << 13) + 0x38000000;
	uint32_t tiny = as_u32((float)(int32_t)em * 0x1p-24f);
	uint32_t r = em >= 0x7c00 ? normal + 0x38000000 : normal;

	return as_f32((em < 0x400 ? tiny : r) | sign);
}

/* Round to nearest even. The addition of 0.5 lets the float unit round at 2^-24, the f16 denormals'
 * unit. */
static inline uint32_t f2h(float f)
{
	uint32_t x = as_u32(f), sign = x >> 16 & 0x8000, a = x & 0x7fffffff;
	uint32_t normal = (a + 0xc8000fff + (a >> 13 & 1)) >> 13;
	uint32_t tiny = as_u32(as_f32(a) + 0.5f) - 0x3f000000;
	uint32_t r = a < 0x38800000 ? tiny : normal;

	r = a >= 0x47800000 ? 0x7c00 : r;
	r = a > 0x7f800000 ? (0x7e00 | (a >> 13 & 0x3ff)) : r;
	return r | sign;
}

/* Round toward zero. */
static inline uint32_t f2h_rtz(float f)
{
	uint32_t x = as_u32(f), sign = x >> 16 & 0x8000, a = x & 0x7fffffff;
	uint32_t normal = (a - 0x38000000) >> 13;
	float small = a < 0x38800000 ? as_f32(a) : 0.0f;
	uint32_t r = a < 0x38800000 ? (uint32_t)(int32_t)(small * 0x1p24f) : normal;

	r = a >= 0x47800000 ? 0x7bff : r;
	r = a == 0x7f800000 ? 0x7c00 : r;
	r = a > 0x7f800000 ? (0x7e00 | (a >> 13 & 0x3ff)) : r;
	return r | sign;
}

/* MODE's rounding: 0 nearest even, 1 up, 2 down, 3 toward zero. */
static inline uint32_t f2h_rm(float f, unsigned rm)
{
	uint32_t z, away = rm == 1 ? 0 : 0x8000;

	if (rm == 0)
		return f2h(f);
	z = f2h_rtz(f);
	if (rm == 3 || (z & 0x7fff) >= 0x7c00 || h2f(z) == f || (z & 0x8000) != away)
		return z;
	return z + 1;
}

/* MODE.FP16_OVFL: a finite result beyond the largest f16 becomes that one, in every rounding mode. */
static inline uint32_t f16_ovfl(uint32_t u)
{
	uint32_t a = u & 0x7fffffff;

	return a > 0x477fe000 && a < 0x7f800000 ? (u & 0x80000000) | 0x477fe000 : u;
}

/* double -> float so that a later rounding to f16 is as if done once: truncates, keeping
 * inexactness in the last bit. */
static inline float d2f_odd(double d)
{
	uint64_t u = as_u64(d), low = u & 0x1fffffff;

	u = (u & ~0x1fffffffull) | (low ? 0x20000000 : 0);
	return (float)as_f64(u);
}

/* The product that v_mad_f16 rounds before it adds; MODE of the wave. */
static inline float mul_h(float a, float b, const struct wave *w)
{
	float p = a * b;
	uint32_t h = f2h_rm(w->mode & MODE_FP16_OVFL ? as_f32(f16_ovfl(as_u32(p))) : p, MODE_ROUND_F64(w->mode));

	if (!(w->mode & MODE_F64_DST_DENORM) && !(h & 0x7c00))
		h &= 0x8000;
	return h2f(h);
}

static inline float fma_h(float a, float b, float c)
{
	return d2f_odd((double)a * (double)b + (double)c);
}

/* ---- classes, sign, flush ---- */

static inline uint32_t flush_f32(uint32_t u)
{
	return u & 0x7f800000 ? u : u & 0x80000000;
}

static inline float flushf(float f)
{
	return as_f32(flush_f32(as_u32(f)));
}

static inline float h2f_flushed(uint32_t h)
{
	return h2f(h & 0x7c00 ? h : h & 0x8000);
}

/* v_dot2: c + a0 * b0 + a1 * b1, see V_DOT2_F32_F16. */
static inline float dot2_h(uint32_t a0, uint32_t b0, uint32_t a1, uint32_t b1, float c)
{
	float r = c + h2f_flushed(a0) * h2f_flushed(b0);

	return flushf(r + h2f_flushed(a1) * h2f_flushed(b1));
}

/* v_cmp_class_*: which bit of the class mask a value is. Sizes: 0 zero, 1 denormal, 2 normal, 3 infinity. */
static inline uint32_t class_of(uint32_t a, uint32_t neg, uint32_t normal, uint32_t inf, uint32_t quiet)
{
	uint32_t size = (a != 0) + (a >= normal) + (a >= inf), k = (size ^ -neg) + 6;

	return 1u << ((a > inf ? (a & quiet) != 0 : k) & 31);
}

static inline uint32_t class_f32(uint32_t u)
{
	return class_of(u & 0x7fffffff, u >> 31, 0x00800000, 0x7f800000, 0x400000);
}

static inline uint32_t class_f16(uint32_t u)
{
	return class_of(u & 0x7fff, u >> 15 & 1, 0x0400, 0x7c00, 0x200);
}

/* Of the low half it matters only whether it is zero. */
static inline uint32_t class_f64(uint64_t u)
{
	uint32_t hi = (uint32_t)(u >> 32);

	return class_of((hi & 0x7fffffff) | ((uint32_t)u != 0), hi >> 31, 0x00100000, 0x7ff00000, 0x80000);
}

/* ---- minimum and maximum ---- */

/*
 * v_min/v_max: a signaling NaN comes out quieted in IEEE mode; otherwise one NaN gives the other
 * operand. -0 < +0. OP: > for max, < for min; EQ: & for max, | for min (equal values differ only as
 * zeros).
 */
#define DEF_MINMAX(NAME, U, TOF, ABSMASK, INF, QUIET, OP, EQ)                                      \
	static inline U NAME(U a, U b, uint32_t ieee)                                              \
	{                                                                                          \
		int na = (a & (ABSMASK)) > (INF), nb = (b & (ABSMASK)) > (INF);                    \
		int sa = na & !(a & (QUIET)), sb = nb & !(b & (QUIET));                            \
		U r = TOF(a) OP TOF(b) ? a : b;                                                    \
                                                                                                   \
		r = TOF(a) == TOF(b) ? (a EQ b) : r;                                               \
		r = nb ? a : r;                                                                    \
		r = na ? b : r;                                                                    \
		r = ieee && sb ? b | (QUIET) : r;                                                  \
		return ieee && sa ? a | (QUIET) : r;                                               \
	}
DEF_MINMAX(max_f32, uint32_t, as_f32, 0x7fffffffu, 0x7f800000u, 0x400000u, >, &)
DEF_MINMAX(min_f32, uint32_t, as_f32, 0x7fffffffu, 0x7f800000u, 0x400000u, <, |)
DEF_MINMAX(max_f16, uint32_t, h2f, 0x7fffu, 0x7c00u, 0x200u, >, &)
DEF_MINMAX(min_f16, uint32_t, h2f, 0x7fffu, 0x7c00u, 0x200u, <, |)
DEF_MINMAX(max_f64, uint64_t, as_f64, 0x7fffffffffffffffull, 0x7ffull << 52, 1ull << 51, >, &)
DEF_MINMAX(min_f64, uint64_t, as_f64, 0x7fffffffffffffffull, 0x7ffull << 52, 1ull << 51, <, |)

/* v_med3: the minimum if there is a NaN, else the larger of the two that are left when the maximum
 * is taken out. */
#define DEF_MED3(NAME, TOF, MAX, MIN)                                                              \
	static inline uint32_t NAME(uint32_t a, uint32_t b, uint32_t c, uint32_t ieee)             \
	{                                                                                          \
		uint32_t m = MAX(MAX(a, b, ieee), c, ieee);                                        \
		uint32_t r = TOF(m) == TOF(b) ? MAX(a, c, ieee) : MAX(a, b, ieee);                 \
		int na = TOF(a) != TOF(a), nb = TOF(b) != TOF(b), nc = TOF(c) != TOF(c);           \
                                                                                                   \
		r = TOF(m) == TOF(a) ? MAX(b, c, ieee) : r;                                        \
		return (na | nb | nc) ? MIN(MIN(a, b, ieee), c, ieee) : r;                         \
	}
DEF_MED3(med3_f32, as_f32, max_f32, min_f32)
DEF_MED3(med3_f16, h2f, max_f16, min_f16)

#define IMIN(a, b)	  ((a) < (b) ? (a) : (b))
#define IMAX(a, b)	  ((a) > (b) ? (a) : (b))
#define IMED3(a, b, c)	  IMAX(IMIN(a, b), IMIN(IMAX(a, b), c))
#define ICLAMP(x, lo, hi) IMIN(IMAX(x, lo), hi)

/* ---- float to integer: toward zero, saturating, NaN is 0 ---- */

static inline int32_t f32_to_i32(float f)
{
	float c = f >= 0x1p31f || f != f ? 0.0f : f;
	int32_t r = (int32_t)(c < -0x1p31f ? -0x1p31f : c);

	return f >= 0x1p31f ? INT32_MAX : r;
}

static inline uint32_t f32_to_u32(float f)
{
	float c = f > 0.0f && f < 0x1p32f ? f : 0.0f;
	/* in two halves: there is no unsigned conversion below AVX-512 */
	uint32_t big = c >= 0x1p31f;
	uint32_t r = (uint32_t)(int32_t)(big ? c - 0x1p31f : c) + (big << 31);

	return f >= 0x1p32f ? UINT32_MAX : r;
}

/*
 * In the rounding mode that is set. Without an instruction for it clang makes vector code that is -0 of 0 when rounding down, whatever arithmetic
 * one writes instead, so there it is one lane at a time. LANE_BITCODE: compiled code, which rounds to nearest.
 */
static inline float u32_to_f32(uint32_t a)
{
#if !defined(__AVX512F__) && !defined(LANE_BITCODE)
	__asm__("" : "+r"(a));
#endif
	return (float)a;
}

static inline int32_t f64_to_i32(double f)
{
	double c = f != f ? 0.0 : f;

	c = c < -2147483648.0 ? -2147483648.0 : c;
	c = c > 2147483647.0 ? 2147483647.0 : c;
	return (int32_t)c;
}

static inline uint32_t f64_to_u32(double f)
{
	double c = f > 0.0 ? f : 0.0;

	c = c > 4294967295.0 ? 4294967295.0 : c;
	return (uint32_t)(int64_t)c;
}

/* Integer with a limit, of a float (f16 to 16-bit integers, f32 to bytes). */
static inline int32_t f_to_limited(float f, float lo, float hi)
{
	float c = f != f ? 0.0f : f;

	c = c < lo ? lo : c;
	return (int32_t)(c > hi ? hi : c);
}

/* To nearest even, for |x| < 2^51. */
static inline double rint_small(double x)
{
	double r = (x + 0x1.8p52) - 0x1.8p52;

	return r;
}

/* Signed/unsigned normalised 16-bit: NaN is 0. The product is exact in double, so it's rounded once. */
static inline int32_t snorm16(float f)
{
	float c = f != f ? 0.0f : f;

	c = c < -1.0f ? -1.0f : c;
	c = c > 1.0f ? 1.0f : c;
	return (int32_t)rint_small((double)c * 32767.0);
}

static inline int32_t unorm16(float f)
{
	float c = f > 0.0f ? f : 0.0f;

	c = c > 1.0f ? 1.0f : c;
	return (int32_t)rint_small((double)c * 65535.0);
}

/* ---- parts of numbers ---- */

static inline int32_t frexp_exp_f32(uint32_t u)
{
	uint32_t e = u >> 23 & 0xff, m = u & 0x7fffff;
	uint32_t t = as_u32((float)(int32_t)m); /* exponent of m as an integer */
	int32_t tiny = m ? (int32_t)(t >> 23) - 127 - 149 + 1 : 0;
	int32_t r = e ? (int32_t)e - 126 : tiny;

	return e == 255 ? 0 : r;
}

static inline uint32_t frexp_mant_f32(uint32_t u)
{
	uint32_t e = u >> 23 & 0xff, m = u & 0x7fffff, s = u & 0x80000000;
	uint32_t t = as_u32((float)(int32_t)m);
	uint32_t tiny = m ? s | 0x3f000000 | (t & 0x7fffff) : s;
	uint32_t r = e ? s | 0x3f000000 | m : tiny;

	return e == 255 ? u : r;
}

static inline int32_t frexp_exp_f64(uint64_t u)
{
	int32_t e = (int32_t)(u >> 52 & 0x7ff), t = (int32_t)(as_u64(as_f64(u) * 0x1p54) >> 52 & 0x7ff) - 54;

	t = u & ~(1ull << 63) ? t - 1022 : 0;
	t = e ? e - 1022 : t;
	return e == 0x7ff ? 0 : t;
}

static inline uint64_t frexp_mant_f64(uint64_t u)
{
	uint64_t e = u >> 52 & 0x7ff, t = as_u64(as_f64(u) * 0x1p54), half = 0x3feull << 52, keep = ~(0x7ffull << 52);

	t = u & ~(1ull << 63) ? (t & keep) | half : u;
	t = e ? (u & keep) | half : t;
	return e == 0x7ff ? u : t;
}

/* x * 2^e with one rounding (in the host's mode); exact in double, which has the exponents. */
static inline float ldexp_f32(float x, int32_t e)
{
	int32_t c = ICLAMP(e, -400, 400);

	return (float)((double)x * as_f64((uint64_t)(uint32_t)(c + 1023) << 52));
}

/* Likewise; only the last of the multiplications may round. */
static inline double ldexp_f64(double x, int32_t e)
{
	int32_t c = ICLAMP(e, -2200, 2200);

	for (int i = 0; i < 2; i++) {
		double up = c > 1023 ? 0x1p1023 : 1.0, down = c < -1022 ? 0x1p-969 : 1.0;

		x = x * up * down;
		c = c > 1023 ? c - 1023 : c < -1022 ? c + 969 : c;
	}
	c = ICLAMP(c, -1022, 1023);
	return x * as_f64((uint64_t)(uint32_t)(c + 1023) << 52);
}

static inline float ldexp_h(float x, int32_t e)
{
	int32_t c = ICLAMP(e, -80, 80);

	return x * as_f32((uint32_t)(c + 127) << 23);
}

static inline float fract_f32(float x)
{
	float r = x - floorf(x);

	return r >= 1.0f ? 0x1.fffffep-1f : r;
}

static inline double fract_f64(double x)
{
	double r = x - floor(x);

	return r >= 1.0 ? 0x1.fffffffffffffp-1 : r;
}

static inline float fract_h(float x)
{
	float r = x - floorf(x);

	return r > 0x1.ffcp-1f ? 0x1.ffcp-1f : r;
}

/* ---- transcendentals ---- */

#define RINT_MAGIC 0x1.8p52

/* 2^x, |x| <= 1000. */
static inline double exp2_core(double x)
{
	double t = x + RINT_MAGIC, f = x - (t - RINT_MAGIC), p;
	uint64_t scale = (as_u64(t) + 1023) << 52;

	/* sum of (f ln 2)^n / n!, |f| <= 1/2 */
	p = 0x1.816193166d0f9p-40;
	p = p * f + 0x1.c3bd650fc2986p-36;
	p = p * f + 0x1.e8cac7351bb25p-32;
	p = p * f + 0x1.e4cf5158b8ecap-28;
	p = p * f + 0x1.b5253d395e7c4p-24;
	p = p * f + 0x1.62c0223a5c824p-20;
	p = p * f + 0x1.ffcbfc588b0c7p-17;
	p = p * f + 0x1.430912f86c787p-13;
	p = p * f + 0x1.5d87fe78a6731p-10;
	p = p * f + 0x1.3b2ab6fba4e77p-7;
	p = p * f + 0x1.c6b08d704a0cp-5;
	p = p * f + 0x1.ebfbdff82c58fp-3;
	p = p * f + 0x1.62e42fefa39efp-1;
	p = p * f + 1.0;
	return p * as_f64(scale);
}

/* log2 of a positive normal double. */
static inline double log2_core(double x)
{
	uint64_t u = as_u64(x), m = u & 0xfffffffffffffull;
	uint64_t up = m > 0x6a09e667f3bcdull; /* mantissa above sqrt(2): use half of it */
	double e = as_f64(0x4330000000000000ull | ((u >> 52) + up)) - (0x1p52 + 1023);
	double y = as_f64(m | (0x3ff0000000000000ull - (up << 52)));
	double s = (y - 1.0) / (y + 1.0), z = s * s, p;

	/* 2 atanh(s) = 2s (1 + z/3 + z^2/5 + ...) */
	p = 1.0 / 23;
	p = p * z + 1.0 / 21;
	p = p * z + 1.0 / 19;
	p = p * z + 1.0 / 17;
	p = p * z + 1.0 / 15;
	p = p * z + 1.0 / 13;
	p = p * z + 1.0 / 11;
	p = p * z + 1.0 / 9;
	p = p * z + 1.0 / 7;
	p = p * z + 1.0 / 5;
	p = p * z + 1.0 / 3;
	p = s + s * (p * z);
	return e + p * 0x1.71547652b82fep+1;
}

/* sin(2 pi x + quarter pi/2), |x| <= 2^20. */
static inline double sin_core(double x, uint64_t quarter)
{
	double r = x - ((x + RINT_MAGIC) - RINT_MAGIC), t = r * 4.0, k = t + RINT_MAGIC;
	double y = (t - (k - RINT_MAGIC)) * 0x1.921fb54442d18p+0, z = y * y, s, c;
	uint64_t n = as_u64(k) + quarter;

	s = -1.0 / 1307674368000.0; /* 15! */
	s = fma(s, z, 1.0 / 6227020800.0);
	s = fma(s, z, -1.0 / 39916800.0);
	s = fma(s, z, 1.0 / 362880.0);
	s = fma(s, z, -1.0 / 5040.0);
	s = fma(s, z, 1.0 / 120.0);
	s = fma(s, z, -1.0 / 6.0);
	s = fma(y, s * z, y);
	c = 1.0 / 20922789888000.0; /* 16! */
	c = fma(c, z, -1.0 / 87178291200.0);
	c = fma(c, z, 1.0 / 479001600.0);
	c = fma(c, z, -1.0 / 3628800.0);
	c = fma(c, z, 1.0 / 40320.0);
	c = fma(c, z, -1.0 / 720.0);
	c = fma(c, z, 1.0 / 24.0);
	c = fma(c, z, -1.0 / 2.0);
	c = fma(c, z, 1.0);
	return as_f64(as_u64(n & 1 ? c : s) ^ (n & 2) << 62);
}

/* The whole argument range, result still in double: to be rounded by (float) for f32, by d2f_odd
 * for f16. */
static inline double exp2_wide(float x)
{
	double r = exp2_core(x < -200.0f ? -200.0 : x > 200.0f ? 200.0 : (double)x);

	return x != x ? (double)x : r;
}

static inline double log2_wide(float x)
{
	double r = log2_core(((x > 0.0f) & (x < INFINITY)) ? (double)x : 1.0);

	r = x == INFINITY ? (double)x : r;
	r = x == 0.0f ? -(double)INFINITY : r;
	return x >= 0.0f ? r : (double)NAN;
}

static inline double sin_wide(float x)
{
	int in = x >= -256.0f && x <= 256.0f;
	double r = sin_core(in ? (double)x : 0.0, 0);

	r = in ? r : 0.0;
	return x - x != 0.0f ? (double)NAN : r;
}

static inline double cos_wide(float x)
{
	int in = x >= -256.0f && x <= 256.0f;
	double r = sin_core(in ? (double)x : 0.0, 1);

	return x - x != 0.0f ? (double)NAN : r;
}

static inline double rsq_wide(float x)
{
	return 1.0 / sqrt((double)x);
}

/*
 * f32 forms: f32 arithmetic where it is exact, and polynomials of just as much precision as makes nearly every result the correctly rounded one.
 * Arguments have been flushed.
 */

/* 1 / sqrt(x), at most 0.5001 ulp off: two steps of third order from half the exponent; the second takes x * y exactly. */
static inline float rsq_f32(float x)
{
	float y = as_f32(0x5f3759df - (as_u32(x) >> 1)), t = x * y, e = fmaf(-t, y, 1.0f), r;

	y = fmaf(y * e, fmaf(e, 0.375f, 0.5f), y);
	t = x * y;
	e = fmaf(-fmaf(x, y, -t), y, fmaf(-t, y, 1.0f));
	y = fmaf(y * e, fmaf(e, 0.375f, 0.5f), y);
	r = x > 0.0f ? y : NAN;
	r = x == INFINITY ? 0.0f : r;
	return x == 0.0f ? as_f32(0x7f800000 | (as_u32(x) & 0x80000000)) : r;
}

/*
 * The same in f64, at most 0.505 ulp off: the first step's polynomial is fitted to what it begins with, the second one's is of fourth order. Of a denormal a
 * multiple is taken; what is not positive comes out of it as anything.
 */
static inline double rsq_f64(double x)
{
	int small = !(x >= 0x1p-1022);
	double n = small ? x * 0x1p108 : x, y = as_f64(0x5fe6eb50c7b537a9 - (as_u64(n) >> 1)), t = n * y, e = fma(t, y, -1.0);

	y *= fma(fma(e, 0x1.80834560ae5d8p-2, -0x1.008fa3368fb79p-1), e, 0x1.0000039b5aa36p+0);
	t = n * y;
	e = fma(fma(n, y, -t), y, fma(t, y, -1.0));
	y = fma(y * e, fma(fma(e, -0.3125, 0x1.80000009b2aep-2), e, -0.5), y);
	y = small ? y * 0x1p54 : y;
	/* 0 and infinity. */
	y = x + x == x ? as_f64(as_u64(x) ^ 0x7ffull << 52) : y;
	y = x < 0.0 ? NAN : y;
	return x == x ? y : as_f64(as_u64(x) | 1ull << 51);
}

/* 2^x; denormal results are 0. */
static inline float exp2_f32(float x)
{
	float c = x > -130.0f ? x : -130.0f, n;
	double f, p;
	uint32_t r;

	c = c < 130.0f ? c : 130.0f;
	n = rint_small(c);
	f = (double)(c - n);
	p = 0x1.63b2d7971923fp-20;
	p = fma(p, f, 0x1.00c0e4e15189cp-16);
	p = fma(p, f, 0x1.4308c7183d6a2p-13);
	p = fma(p, f, 0x1.5d877598350dep-10);
	p = fma(p, f, 0x1.3b2ab70ad2565p-7);
	p = fma(p, f, 0x1.c6b08da70cce3p-5);
	p = fma(p, f, 0x1.ebfbdff82a734p-3);
	p = fma(p, f, 0x1.62e42fef9cc69p-1);
	r = as_u32((float)fma(p, f, 1.0)) + ((uint32_t)(int32_t)n << 23);
	r = x < -126.0f ? 0 : r;
	r = x >= 128.0f ? 0x7f800000 : r;
	return x != x ? x : as_f32(r);
}

/* log2 of a normal number: 2^e (1 + f), 1 + f from sqrt(1/2) to sqrt(2). */
static inline float log2_f32(float x)
{
	uint32_t u = as_u32(x);
	int32_t e = (int32_t)(u - 0x3f3504f3) >> 23;
	double f = (double)(as_f32(u - ((uint32_t)e << 23)) - 1.0f), p;
	float r;

	p = 0x1.f8fbc19b02187p-5;
	p = fma(p, f, -0x1.f463f36ac78bfp-4);
	p = fma(p, f, 0x1.028afd197a9a9p-3);
	p = fma(p, f, -0x1.eb801d0697b72p-4);
	p = fma(p, f, 0x1.08902f8e08dc4p-3);
	p = fma(p, f, -0x1.2717358227b8dp-3);
	p = fma(p, f, 0x1.4889df540eb2bp-3);
	p = fma(p, f, -0x1.715c98acf6f05p-3);
	p = fma(p, f, 0x1.a61572e69a6d9p-3);
	p = fma(p, f, -0x1.ec705b1709463p-3);
	p = fma(p, f, 0x1.2776c8be2f0d5p-2);
	p = fma(p, f, -0x1.715476be12574p-2);
	p = fma(p, f, 0x1.ec709dbe31aa5p-2);
	p = fma(p, f, -0x1.7154765288ff6p-1);
	p = fma(p, f, 0x1.71547652b8881p+0);
	r = (float)fma(p, f, (double)e);
	r = x > 0.0f ? r : NAN;
	r = x == INFINITY ? x : r;
	return x == 0.0f ? -INFINITY : r;
}

/* ---- division helpers ---- */

/*
 * v_div_scale_f32. src: the operand to scale; den, num. *flag: the lane's VCC bit. Where both the
 * reciprocal and the quotient are denormal, the manuals scale the denominator up; only down gives
 * right quotients (up overflows), so down it is.
 */
static inline uint32_t div_scale_f32(uint32_t src, uint32_t den, uint32_t num, uint32_t *flag)
{
	int32_t en = (int32_t)(num >> 23 & 255), ed = (int32_t)(den >> 23 & 255);
	double d = (double)as_f32(den), n = (double)as_f32(num);
	float s = as_f32(src), up = s * 0x1p64f, down = s * 0x1p-64f;
	int32_t is_den = s == as_f32(den), is_num = s == as_f32(num);
	int32_t tiny_rcp = (float)fabs(d) > 0x1p126f,
		tiny_quot = (float)(fabs(n / d) < 0x1p-126) != 0.0f;
	int32_t k = en <= 23, f = 0; /* k: 1 up, -1 down, 0 as it is */
	uint32_t r;

	k = tiny_quot ? is_num : k;
	f = tiny_quot ? 1 : f;
	k = tiny_rcp ? (tiny_quot ? -is_den : -1) : k;
	f = tiny_rcp ? tiny_quot : f;
	k = ed == 0 ? 1 : k;
	f = ed == 0 ? 0 : f;
	k = en - ed >= 96 ? is_den : k;
	f = en - ed >= 96 ? 1 : f;
	/* A NaN's sign is not left to what a compiler makes of the multiplication. */
	r = k > 0 ? as_u32(up) : as_u32(down);
	r = (src & 0x7fffffff) > 0x7f800000 ? src | 0x400000 : r;
	r = k ? r : src;
	r = (num & 0x7fffffff) == 0 ? DEFAULT_NAN_F32 : r;
	r = (den & 0x7fffffff) == 0 ? DEFAULT_NAN_F32 : r;
	f = (num & 0x7fffffff) == 0 ? 0 : f;
	f = (den & 0x7fffffff) == 0 ? 0 : f;
	*flag = (uint32_t)f;
	return r;
}

static inline uint64_t div_scale_f64(uint64_t src, uint64_t den, uint64_t num, uint32_t *flag)
{
	int en = (int)(num >> 52 & 2047), ed = (int)(den >> 52 & 2047);
	double d = as_f64(den), n = as_f64(num), s = as_f64(src);
	int tiny_rcp = fabs(1.0 / d) < 0x1p-1022, tiny_quot = fabs(n / d) < 0x1p-1022;
	int is_den = s == d, is_num = s == n, none = (n == 0.0) | (d == 0.0), k = en <= 53, f = 0;
	uint64_t r;

	k = tiny_quot ? is_num : k;
	f = tiny_quot ? 1 : f;
	k = tiny_rcp ? (tiny_quot ? -is_den : -1) : k;
	f = tiny_rcp ? tiny_quot : f;
	k = ed == 0 ? 1 : k;
	f = ed == 0 ? 0 : f;
	k = en - ed >= 768 ? is_den : k;
	f = en - ed >= 768 ? 1 : f;
	*flag = (uint32_t)(none ? 0 : f);
	r = as_u64(s * (k > 0 ? 0x1p128 : 0x1p-128));
	r = (src & ~(1ull << 63)) > 0x7ffull << 52 ? src | 1ull << 51 : r;
	r = k ? r : src;
	return none ? DEFAULT_NAN_F64 : r;
}

/* v_div_fmas_f32 of a lane whose VCC bit is set: fma(a, b, c) scaled back by 2^64 or 2^-64 with a
 * single rounding. */
static inline float div_fmas_f32(float a, float b, float c)
{
	double p = (double)a * (double)b, s = p + (double)c, bb = s - p;
	double err = (p - (s - bb)) + ((double)c - bb);
	double scale = (as_u32(c) >> 23 & 255) > 127 ? 0x1p64 : 0x1p-64;
	/* to odd, so that the conversion to float rounds as if s were exact */
	uint64_t bits = as_u64(s), next = bits + ((err > 0.0) == (s > 0.0) ? 1 : -1ull);
	int odd = ((err < 0.0) | (err > 0.0)) & !(bits & 1);

	return (float)(as_f64(odd ? next : bits) * scale);
}

static inline double div_fmas_f64(double a, double b, double c)
{
	double scale = (as_u64(c) >> 52 & 2047) > 1023 ? 0x1p128 : 0x1p-128;
	double r = fma(a, b, c), big = fabs(a) > fabs(b) ? a : b, other = fabs(a) > fabs(b) ? b : a;
	__float128 p, s, bb, err;
	union {
		__float128 f;
		unsigned __int128 u;
	} x;

	/* Too large before it is scaled: |c| < 2 then, and only its sign matters. */
	if (scale < 1.0 && fabs(r) > 0x1p1022 && fabs(big) < INFINITY)
		return fma(big * 0x1p-128, other, c == 0.0 ? c : copysign(0x1p-900, c));
	if (scale > 1.0 || !(fabs(r) < 0x1p-894) || r == 0.0)
		return r * scale; /* the result is not denormal: one rounding so far */
	p = (__float128)a * (__float128)b;
	s = p + (__float128)c;
	bb = s - p;
	err = (p - (s - bb)) + ((__float128)c - bb);
	x.f = s;
	if (err != 0 && !(x.u & 1))
		x.u += (err > 0) == (s > 0) ? 1 : -(unsigned __int128)1;
	return (double)(x.f * (__float128)scale);
}

/*
 * v_div_fixup: q the computed quotient, d denominator, n numerator; U bits type, EXP the all-ones
 * exponent. When the quotient overflows, the refinement steps before it meet infinity minus
 * infinity: a NaN quotient of ordinary operands is an overflow.
 */
#define DEF_DIV_FIXUP(NAME, U, SIGN, EXP, QUIET, DEFNAN, SHIFT, UNDER)                             \
	static inline U NAME(U q, U d, U n)                                                        \
	{                                                                                          \
		U ad = d & ((SIGN)-1), an = n & ((SIGN)-1), s = (d ^ n) & (SIGN);                  \
		U aq = q & ((SIGN)-1), r = (aq > (EXP) ? (EXP) : aq) | s;                          \
                                                                                                   \
		r = (int)(an >> (SHIFT)) - (int)(ad >> (SHIFT)) < (UNDER) ? s : r;                 \
		int d0 = ad == 0, n0 = an == 0, di = ad == (EXP), ni = an == (EXP);                \
                                                                                                   \
		r = (di | n0) ? s : r;                                                             \
		r = (d0 | ni) ? s | (EXP) : r;                                                     \
		r = ((d0 & n0) | (di & ni)) ? (DEFNAN) : r;                                        \
		r = ad > (EXP) ? d | (QUIET) : r;                                                  \
		return an > (EXP) ? n | (QUIET) : r;                                               \
	}
DEF_DIV_FIXUP(div_fixup_f32, uint32_t, 0x80000000u, 0x7f800000u, 0x400000u, DEFAULT_NAN_F32, 23,
	      -150)
DEF_DIV_FIXUP(div_fixup_f64, uint64_t, 1ull << 63, 0x7ffull << 52, 1ull << 51, DEFAULT_NAN_F64, 52,
	      -1075)
DEF_DIV_FIXUP(div_fixup_f16, uint32_t, 0x8000u, 0x7c00u, 0x200u, DEFAULT_NAN_F16, 10, -100)

/* Segment number n[4:0] of 2/pi for the argument reduction of large x ("V_TRIG_PREOP_F64"). */
double valu_trig_preop(uint64_t x, uint32_t n);

/* ---- bits and bytes ---- */

static inline uint32_t bfe_u32(uint32_t x, uint32_t off, uint32_t width)
{
	return x >> (off & 31) & ((1u << (width & 31)) - 1);
}

static inline int32_t bfe_i32(int32_t x, uint32_t off, uint32_t width)
{
	uint32_t w = width & 31, v = (uint32_t)(x >> (off & 31));
	uint32_t up = (32 - w) & 31;

	return w ? (int32_t)(v << up) >> up : 0;
}

static inline uint32_t bitrev32(uint32_t x)
{
	x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
	x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
	x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
	x = (x >> 8 & 0x00ff00ff) | (x & 0x00ff00ff) << 8;
	return x >> 16 | x << 16;
}

static inline uint32_t popcount32(uint32_t x)
{
	x -= x >> 1 & 0x55555555;
	x = (x & 0x33333333) + (x >> 2 & 0x33333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f;
	return x * 0x01010101 >> 24;
}

/* Leading zeros; -1 when there is no one bit. */
static inline uint32_t ffbh_u32(uint32_t x)
{
	uint32_t v = x | x >> 1;

	v |= v >> 2;
	v |= v >> 4;
	v |= v >> 8;
	v |= v >> 16;
	return x ? 32 - popcount32(v) : ~0u;
}

static inline uint32_t ffbl_b32(uint32_t x)
{
	return x ? popcount32((x & -x) - 1) : ~0u;
}

static inline uint32_t ffbh_i32(int32_t x)
{
	return ffbh_u32((uint32_t)(x ^ x >> 31)); /* x is 0 or -1 when all bits are the same: -1 */
}

#define ABSDIFF(a, b) ((a) > (b) ? (a) - (b) : (b) - (a))
#define BYTE(x, n)    ((x) >> (8 * (n)) & 0xff)

static inline uint32_t sad_u8(uint32_t a, uint32_t b, uint32_t c)
{
	for (unsigned n = 0; n < 4; n++)
		c += ABSDIFF(BYTE(a, n), BYTE(b, n));
	return c;
}

/* b is the reference: its zero bytes do not count. */
static inline uint32_t msad_u8(uint32_t a, uint32_t b, uint32_t c)
{
	for (unsigned n = 0; n < 4; n++)
		c += BYTE(b, n) ? ABSDIFF(BYTE(a, n), BYTE(b, n)) : 0;
	return c;
}

static inline uint32_t lerp_u8(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t r = 0;

	for (unsigned n = 0; n < 4; n++)
		r |= (BYTE(a, n) + BYTE(b, n) + (c >> (8 * n) & 1)) >> 1 << (8 * n);
	return r;
}

/* v_perm_b32: bytes of {a, b} (b the low dword) picked by each byte of sel; 8..11 sign of byte 1,
 * 3, 5, 7; 12 zero; above 0xff. */
static inline uint32_t perm_b32(uint32_t a, uint32_t b, uint32_t sel)
{
	uint64_t data = (uint64_t)a << 32 | b;
	uint32_t r = 0;

	for (unsigned n = 0; n < 4; n++) {
		uint32_t s = BYTE(sel, n);
		uint32_t byte = (uint32_t)(data >> (8 * (s & 7))) & 0xff;
		uint32_t sign = (data >> (16 * (s & 3) + 15) & 1) ? 0xff : 0;

		byte = s >= 8 ? sign : byte;
		byte = s == 12 ? 0 : byte;
		byte = s > 12 ? 0xff : byte;
		r |= byte << (8 * n);
	}
	return r;
}

/* 4 packed 16-bit sums of 4 sliding byte windows of a against b; sat: saturating. */
static inline uint64_t qsad(uint64_t a, uint32_t b, uint64_t c, bool sat,
			    uint32_t (*sad)(uint32_t, uint32_t, uint32_t))
{
	uint64_t r = 0;

	for (unsigned n = 0; n < 4; n++) {
		uint32_t v = sad((uint32_t)(a >> (8 * n)), b, (uint32_t)(c >> (16 * n) & 0xffff));

		v = sat && v > 0xffff ? 0xffff : v & 0xffff;
		r |= (uint64_t)v << (16 * n);
	}
	return r;
}

/* Signed and unsigned bit fields of dot products: sum of products of `count` fields of `width`
 * bits. */
static inline int64_t dot_i(uint32_t a, uint32_t b, unsigned count, unsigned width)
{
	int64_t r = 0;

	for (unsigned n = 0; n < count; n++)
		r += (int64_t)((int32_t)(a << (32 - width * (n + 1))) >> (32 - width)) *
		     ((int32_t)(b << (32 - width * (n + 1))) >> (32 - width));
	return r;
}

static inline int64_t dot_u(uint32_t a, uint32_t b, unsigned count, unsigned width)
{
	int64_t r = 0;

	for (unsigned n = 0; n < count; n++)
		r += (int64_t)(a << (32 - width * (n + 1)) >> (32 - width)) *
		     (b << (32 - width * (n + 1)) >> (32 - width));
	return r;
}

/* Cube map helpers: 0 x, 1 y, 2 z is the major axis. */
static inline int cube_axis(float x, float y, float z)
{
	float ax = fabsf(x), ay = fabsf(y), az = fabsf(z);

	int axis = ay >= ax;

	return ((az >= ax) & (az >= ay)) ? 2 : axis;
}

static inline float cube_id(float x, float y, float z)
{
	int axis = cube_axis(x, y, z);
	float m = axis == 2 ? z : axis == 1 ? y : x;

	return (float)(2 * axis + (m < 0.0f));
}

static inline float cube_sc(float x, float y, float z)
{
	int axis = cube_axis(x, y, z);

	float r = x < 0.0f ? z : -z, up = z < 0.0f ? -x : x;

	r = axis == 1 ? x : r;
	return axis == 2 ? up : r;
}

static inline float cube_tc(float x, float y, float z)
{
	return cube_axis(x, y, z) == 1 ? (y < 0.0f ? -z : z) : -y;
}

static inline float cube_ma(float x, float y, float z)
{
	int axis = cube_axis(x, y, z);

	return 2.0f * (axis == 2 ? z : axis == 1 ? y : x);
}

#endif
