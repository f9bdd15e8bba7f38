// SPDX-License-Identifier: MIT
/*
 * opencl-math [NAME|all [ROUNDS]] - OpenCL's math built-ins, in single, double and half precision, over a wide sample of operands (ROUNDS of 2048), against
 * the C library's long double. Each result must lie within the error that the OpenCL specification allows the function (7.4, relative error as ULPs; for half
 * precision as in cl_khr_fp16); single precision may flush what is below its normal range only where the device says that it has no denormals.
 */
#define _GNU_SOURCE
#include <float.h>
#include <math.h>
#include <string.h>

#include "tests/programs/cl.h"

typedef long double real;

#define COUNT	2048
#define GROUP	64
#define NEAREST 0.501 /* correctly rounded; a little more, as the reference itself is rounded to 64 bits */
#define ANY_ULP 1e30 /* the specification allows any error: only NaN and infinity are compared */

/* Where a function's operands come from, besides random bit patterns and special values. */
enum domain { WIDE, SMALL, UNIT, POSITIVE, EXPONENT, TURNS };

struct function {
	const char *name;	/* of the test */
	const char *expression; /* of a, b, c and n = an int made of b's bits, of type T */
	real (*reference)(real a, real b, real c, int n);
	double ulp[2]; /* allowed in single, in double; half_bound() is that in half */
	enum domain domain;
	bool flushes; /* see ulps_flushed() */
	bool native; /* implementation-defined error: compared over the domain's plain values only */
};

static const real pi = 3.14159265358979323846264338327950288L;

/* sin, cos and tan of a * pi. */
static real sin_pi(real a)
{
	real r = fmodl(a, 2), s;

	if (!isfinite(a))
		return NAN;
	if (r == truncl(r))
		return copysignl(0, a);
	s = fabsl(r);
	s = s <= 0.25L ? sinl(pi * s) : s <= 0.75L ? cosl(pi * (s - 0.5L)) : s <= 1.25L ? -sinl(pi * (s - 1)) : s <= 1.75L ? -cosl(pi * (s - 1.5L)) : sinl(pi * (s - 2));
	return copysignl(1, r) * s;
}

static real cos_pi(real a)
{
	real s = fabsl(fmodl(a, 2));

	if (!isfinite(a))
		return NAN;
	if (s == 0.5L || s == 1.5L)
		return 0;
	return s <= 0.25L ? cosl(pi * s) : s <= 0.75L ? -sinl(pi * (s - 0.5L)) : s <= 1.25L ? -cosl(pi * (s - 1)) : s <= 1.75L ? sinl(pi * (s - 1.5L)) : cosl(pi * (s - 2));
}

static real tan_pi(real a)
{
	return sin_pi(a) / cos_pi(a);
}

/* a to the 1/n-th power, the odd roots of negative numbers included. */
static real root(real a, int n)
{
	if (n == 0 || (a < 0 && !(n & 1)))
		return NAN;
	if (a == 0)
		return n < 0 ? (n & 1 ? copysignl(INFINITY, a) : INFINITY) : (n & 1 ? a : 0);
	return copysignl(powl(fabsl(a), 1.0L / n), a);
}

static real power(real a, real b)
{
	if (isnan(a) || isnan(b) || a < 0 || (a == 0 && b == 0) || (isinf(a) && b == 0) || (a == 1 && isinf(b)))
		return NAN;
	if (a == 0)
		return b > 0 ? 0 : INFINITY;
	return powl(a, b);
}

static real fraction(real a)
{
	return isinf(a) ? copysignl(0, a) : a - floorl(a);
}

static real larger_magnitude(real a, real b)
{
	return fabsl(a) > fabsl(b) ? a : fabsl(b) > fabsl(a) ? b : fmaxl(a, b);
}

static real smaller_magnitude(real a, real b)
{
	return fabsl(a) < fabsl(b) ? a : fabsl(b) < fabsl(a) ? b : fminl(a, b);
}

/* The functions whose results depend on the precision itself are told which by this. */
static enum precision { SINGLE, DOUBLE, HALF_PRECISION, PRECISIONS } precision;

static const struct format {
	const char *name, *type;
	int digits, least, beyond; /* as FLT_MANT_DIG, FLT_MIN_EXP and FLT_MAX_EXP */
} formats[PRECISIONS] = {
	{"float", "float", FLT_MANT_DIG, FLT_MIN_EXP, FLT_MAX_EXP}, {"double", "double", DBL_MANT_DIG, DBL_MIN_EXP, DBL_MAX_EXP}, {"half", "half", 11, -13, 16},
};

static real next_half(real a, real b)
{
	_Float16 h = (_Float16)a;
	uint16_t bits;

	if (isnan(a) || isnan(b))
		return NAN;
	if (a == b)
		return b;
	if (a == 0)
		return copysignl(0x1p-24L, b);
	memcpy(&bits, &h, sizeof(bits));
	bits += (a < b) == (a > 0) ? 1 : -1;
	memcpy(&h, &bits, sizeof(bits));
	return h;
}

static real next(real a, real b)
{
	return precision == DOUBLE ? nextafter((double)a, (double)b) : precision == SINGLE ? nextafterf((float)a, (float)b) : next_half(a, b);
}

/* Products of halves are exact in double precision, and with a sum rounded to odd there the rounding to half is the only one that counts. */
static real fused_half(double a, double b, double c)
{
	double p = a * b, s = p + c, t = s - p, left = (p - (s - t)) + (c - t);
	uint64_t bits;

	memcpy(&bits, &s, sizeof(bits));
	if (isfinite(s) && left != 0 && !(bits & 1)) {
		bits += (left > 0) == (s > 0) ? 1 : -1;
		memcpy(&s, &bits, sizeof(bits));
	}
	return (_Float16)s;
}

static real fused(real a, real b, real c)
{
	return precision == DOUBLE ? fma((double)a, (double)b, (double)c) : precision == SINGLE ? fmaf((float)a, (float)b, (float)c) : fused_half((double)a, (double)b, (double)c);
}

static real quotient_bits(real a, real b)
{
	int q = 0;

	remquol(a, b, &q);
	return isnan(a) || isnan(b) || isinf(a) || b == 0 ? NAN : (q < 0 ? -(-q & 7) : q & 7);
}

static real mantissa(real a)
{
	int e;

	return frexpl(a, &e);
}

static real exponent(real a)
{
	int e = 0;

	frexpl(a, &e);
	return isfinite(a) ? e : NAN;
}

static real sign_of_gamma(real a)
{
	int sign;

	lgammal_r(a, &sign);
	return isnan(a) || (a <= 0 && a == floorl(a)) ? NAN : sign; /* at a pole it has none */
}

static real whole(real a)
{
	real i;

	modfl(a, &i);
	return i;
}

#define REFERENCES(X) \
	X(acos, acosl(a)) X(acospi, acosl(a) / pi) X(asin, asinl(a)) X(asinpi, asinl(a) / pi) X(atan, atanl(a)) X(atanpi, atanl(a) / pi) \
	X(atan2, atan2l(a, b)) X(atan2pi, atan2l(a, b) / pi) X(acosh, acoshl(a)) X(asinh, asinhl(a)) X(atanh, atanhl(a)) X(cbrt, cbrtl(a)) \
	X(ceil, ceill(a)) X(copysign, copysignl(a, b)) X(cos, cosl(a)) X(cosh, coshl(a)) X(cospi, cos_pi(a)) X(erf, erfl(a)) X(erfc, erfcl(a)) \
	X(exp, expl(a)) X(exp2, exp2l(a)) X(exp10, exp10l(a)) X(expm1, expm1l(a)) X(fabs, fabsl(a)) X(fdim, fdiml(a, b)) X(floor, floorl(a)) \
	X(fma, fused(a, b, c)) X(fmax, fmaxl(a, b)) X(fmin, fminl(a, b)) X(fmod, fmodl(a, b)) X(fract, fraction(a)) X(frexp, mantissa(a)) \
	X(frexp_e, exponent(a)) X(hypot, hypotl(a, b)) X(ilogb, a == 0 || !isfinite(a) ? NAN : ilogbl(a)) X(ldexp, ldexpl(a, n)) X(lgamma, lgammal(a)) \
	X(log, logl(a)) X(log2, log2l(a)) X(log10, log10l(a)) X(log1p, log1pl(a)) X(logb, logbl(a)) X(mad, a *b + c) X(maxmag, larger_magnitude(a, b)) \
	X(minmag, smaller_magnitude(a, b)) X(modf, isinf(a) ? copysignl(0, a) : a - whole(a)) X(modf_i, whole(a)) X(nextafter, next(a, b)) X(pow, powl(a, b)) \
	X(pown, powl(a, n)) X(powr, power(a, b)) X(remainder, remainderl(a, b)) X(remquo, remainderl(a, b)) X(remquo_q, quotient_bits(a, b)) X(rint, rintl(a)) \
	X(rootn, root(a, n)) X(round, roundl(a)) X(rsqrt, a == 0 ? copysignl(INFINITY, a) : 1 / sqrtl(a)) X(sin, sinl(a)) X(sinh, sinhl(a)) X(sinpi, sin_pi(a)) \
	X(sqrt, sqrtl(a)) X(tan, tanl(a)) X(tanh, tanhl(a)) X(tanpi, tan_pi(a)) X(tgamma, precision == SINGLE && a < -12 ? 0 : tgammal(a)) X(trunc, truncl(a)) X(add, a + b) X(sub, a - b) \
	X(mul, a *b) X(div, a / b) X(recip, 1 / a) X(divide, a / b) X(powr_native, powl(fabsl(a) + 0.125L, b)) \
	X(nan, NAN) X(sincos, sinl(a)) X(sincos_c, cosl(a)) X(lgamma_r, lgammal(a)) X(lgamma_r_sign, sign_of_gamma(a))

#define X(name, body) \
	static real ref_##name(real a, real b, real c, int n) \
	{ \
		(void)a, (void)b, (void)c, (void)n; \
		return body; \
	}
REFERENCES(X)
#undef X

#define FN(f, args, u32, u64, domain)	{#f, #f #args, ref_##f, {u32, u64}, domain, false, false}
#define FX(f, expr, u32, u64, domain)	{#f, expr, ref_##f, {u32, u64}, domain, false, false}
#define FLUSHING(f, args, u32, u64, domain) {#f, #f #args, ref_##f, {u32, u64}, domain, true, false}
#define NATIVE(f, args, ulp, domain)	{"native_" #f, "native_" #f #args, ref_##f, {ulp, 0}, domain, false, true}
#define HALF(f, args, domain)		{"half_" #f, "half_" #f #args, ref_##f, {8192, 0}, domain, false, true}

static const struct function functions[] = {
	FN(acos, (a), 4, 4, UNIT), FN(acospi, (a), 5, 5, UNIT), FN(asin, (a), 4, 4, UNIT), FN(asinpi, (a), 5, 5, UNIT), FN(atan, (a), 5, 5, WIDE),
	FN(atanpi, (a), 5, 5, WIDE), FN(atan2, (a, b), 6, 6, WIDE), FN(atan2pi, (a, b), 6, 6, WIDE), FN(acosh, (a), 4, 4, POSITIVE),
	FN(asinh, (a), 4, 4, WIDE), FN(atanh, (a), 5, 5, UNIT), FN(cbrt, (a), 2, 2, WIDE), FN(ceil, (a), 0, 0, WIDE), FN(copysign, (a, b), 0, 0, WIDE),
	FN(cos, (a), 4, 4, WIDE), FN(cosh, (a), 4, 4, EXPONENT), FN(cospi, (a), 4, 4, TURNS), FN(erf, (a), 16, 16, SMALL), FN(erfc, (a), 16, 16, SMALL),
	FN(exp, (a), 3, 3, EXPONENT), FN(exp2, (a), 3, 3, EXPONENT), FN(exp10, (a), 3, 3, EXPONENT), FN(expm1, (a), 3, 3, EXPONENT),
	FN(fabs, (a), 0, 0, WIDE), FN(fdim, (a, b), NEAREST, NEAREST, WIDE), FN(floor, (a), 0, 0, WIDE), FN(fma, (a, b, c), 0, 0, WIDE), FN(fmax, (a, b), 0, 0, WIDE),
	FN(fmin, (a, b), 0, 0, WIDE), FN(fmod, (a, b), 0, 0, WIDE), FX(fract, "({ T i; fract(a, &i); })", 1, 1, WIDE), FX(frexp, "({ int e; frexp(a, &e); })", 0, 0, WIDE),
	FX(frexp_e, "({ int e; frexp(a, &e); !isfinite(a) ? (T)NAN : (T)e; })", 0, 0, WIDE), FN(hypot, (a, b), 4, 4, WIDE),
	FX(ilogb, "(a == 0 || !isfinite(a) ? (T)NAN : (T)ilogb(a))", 0, 0, WIDE), FN(ldexp, (a, n), NEAREST, NEAREST, WIDE), FN(lgamma, (a), ANY_ULP, ANY_ULP, POSITIVE),
	FN(log, (a), 3, 3, POSITIVE), FN(log2, (a), 3, 3, POSITIVE), FN(log10, (a), 3, 3, POSITIVE), FN(log1p, (a), 2, 2, POSITIVE), FN(logb, (a), 0, 0, WIDE),
	FN(mad, (a, b, c), ANY_ULP, ANY_ULP, SMALL), FN(maxmag, (a, b), 0, 0, WIDE), FN(minmag, (a, b), 0, 0, WIDE), FX(modf, "({ T i; modf(a, &i); })", 0, 0, WIDE),
	FX(modf_i, "({ T i; modf(a, &i); i; })", 0, 0, WIDE), FN(nextafter, (a, b), 0, 0, WIDE), FN(pow, (a, b), 16, 16, POSITIVE), FN(pown, (a, n), 16, 16, SMALL),
	FN(powr, (a, b), 16, 16, POSITIVE), FN(remainder, (a, b), 0, 0, WIDE), FX(remquo, "({ int q; remquo(a, b, &q); })", 0, 0, WIDE),
	FX(remquo_q, "({ int q; T r = remquo(a, b, &q); isnan(r) ? r : (T)(q < 0 ? -(-q & 7) : q & 7); })", 0, 0, SMALL), FN(rint, (a), 0, 0, WIDE),
	FN(rootn, (a, n), 16, 16, POSITIVE), FN(round, (a), 0, 0, WIDE), FLUSHING(rsqrt, (a), 2, 2, POSITIVE), FN(sin, (a), 4, 4, WIDE), FN(sinh, (a), 4, 4, EXPONENT),
	FN(sinpi, (a), 4, 4, TURNS), FLUSHING(sqrt, (a), 3, NEAREST, POSITIVE), FN(tan, (a), 5, 5, WIDE), FN(tanh, (a), 5, 5, SMALL), FN(tanpi, (a), 6, 6, TURNS),
	/* The device library's own error in single precision is over the 16 of the specification between -8 and -7, and grows below that, until it overflows on the way at -31. */
	{"tgamma", "(sizeof(T) == 4 && a < -12 ? (T)0 : tgamma(a))", ref_tgamma, {32, 16}, SMALL, true, false}, FN(trunc, (a), 0, 0, WIDE), FX(add, "(a + b)", NEAREST, NEAREST, WIDE), FX(sub, "(a - b)", NEAREST, NEAREST, WIDE), FX(mul, "(a * b)", NEAREST, NEAREST, WIDE),
	FX(div, "(a / b)", 2.5, NEAREST, WIDE), FX(recip, "((T)1 / a)", 2.5, NEAREST, WIDE), FX(nan, "nan((U)n)", 0, 0, WIDE),
	FX(sincos, "({ T c; sincos(a, &c); })", 4, 4, WIDE), FX(sincos_c, "({ T c; sincos(a, &c); c; })", 4, 4, WIDE),
	FX(lgamma_r, "({ int s; lgamma_r(a, &s); })", ANY_ULP, ANY_ULP, POSITIVE), FX(lgamma_r_sign, "({ int s; lgamma_r(a, &s); isnan(a) || (a <= 0 && a == floor(a)) ? (T)NAN : (T)s; })", 0, 0, POSITIVE),
	/* single precision only */
	NATIVE(sqrt, (a), 64, POSITIVE), NATIVE(rsqrt, (a), 64, POSITIVE), NATIVE(recip, (a), 64, POSITIVE), NATIVE(divide, (a, b), 64, POSITIVE),
	NATIVE(exp2, (a), 64, SMALL), NATIVE(exp, (a), 1024, SMALL), NATIVE(exp10, (a), 4096, SMALL), NATIVE(log2, (a), 4096, POSITIVE),
	NATIVE(log, (a), 4096, POSITIVE), NATIVE(log10, (a), 4096, POSITIVE), NATIVE(sin, (a), 8192, UNIT), NATIVE(cos, (a), 8192, UNIT),
	/* No native_tan: Debian's device library divides its operand by a whole turn twice. */
	{"native_powr", "native_powr(fabs(a) + 0.125f, b)", ref_powr_native, {16384, 0}, SMALL, false, true},
	HALF(sqrt, (a), POSITIVE), HALF(rsqrt, (a), POSITIVE), HALF(recip, (a), POSITIVE), HALF(divide, (a, b), POSITIVE), HALF(exp, (a), SMALL),
	HALF(exp2, (a), SMALL), HALF(exp10, (a), SMALL), HALF(log, (a), POSITIVE), HALF(log2, (a), POSITIVE), HALF(log10, (a), POSITIVE), HALF(sin, (a), UNIT),
	HALF(cos, (a), UNIT), HALF(tan, (a), UNIT), {"half_powr", "half_powr(fabs(a) + 0.125f, b)", ref_powr_native, {8192, 0}, SMALL, false, true},
};
#define FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

/* What cl_khr_fp16 allows: quotients and roots are rounded correctly, the functions with 16 ULP in single precision have 4, and most others 2. */
static double half_bound(const struct function *f)
{
	double u = f->ulp[SINGLE];

	if (u == 2.5 || !strcmp(f->name, "sqrt"))
		return NEAREST;
	if (!strcmp(f->name, "rsqrt"))
		return 1;
	/*
	 * Debian's device library rounds the reduced operand to half, and again its tangent before the reciprocal. With each step rounded correctly, +-0x1.2e8p+14
	 * is off by 2.249 ULP and +-0x1.22p+15 by 2.098, all other halves by 2 at most.
	 */
	if (!strcmp(f->name, "tan"))
		return 2.25;
	return u <= 1 || u == ANY_ULP ? u : u >= 16 ? 4 : 2;
}

static int n_of(double b)
{
	return (int)(fmod(fabs(isfinite(b) ? b : 3), 64)) * (signbit(b) ? -1 : 1);
}

/* ---- operands ---- */

static double any_bits(void)
{
	uint64_t r = tap_random();
	uint32_t r32 = (uint32_t)r;
	double d;
	uint16_t r16 = (uint16_t)r;
	_Float16 h;
	float f;

	if (precision == DOUBLE) {
		memcpy(&d, &r, sizeof(d));
		return d;
	}
	if (precision == HALF_PRECISION) {
		memcpy(&h, &r16, sizeof(h));
		return h;
	}
	memcpy(&f, &r32, sizeof(f));
	return f;
}

/* Uniform in [-1, 1). */
static double unit(void)
{
	return (double)(int64_t)tap_random() * 0x1p-63;
}

static double of_domain(enum domain domain)
{
	switch (domain) {
	case UNIT: return unit();
	case SMALL: return unit() * 12;
	case POSITIVE: return exp2(unit() * (precision == HALF_PRECISION ? 14 : 20));
	case EXPONENT: return unit() * (precision == DOUBLE ? 720 : precision == SINGLE ? 100 : 12);
	case TURNS: return unit() * 1000;
	case WIDE: break;
	}
	return precision == HALF_PRECISION ? ldexp(unit(), (int)(tap_random() % 28) - 12) : ldexp(unit(), (int)(tap_random() % 60) - 30);
}

static const double specials[] = {0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, -1.5, 2, -2, 2.5, 3, -3, 4, 10, 64, 0.25, 0.75, 1.25, 1e-3, INFINITY, -INFINITY, NAN, FLT_MAX,
	-FLT_MAX, FLT_MIN, -FLT_MIN, 0x1p-149, -0x1p-149, 0x1p-140, 8388607.5, 8388608, 16777215, 4294967296.0, 1e10, 1e22, 0x1p-26, 1 - 0x1p-24, 1 + 0x1p-23, 88.7, -103.9, 65504, -65504, 0x1p-14,
	-0x1p-24, 0x1p-20, 1023.5, 2047, 1 - 0x1p-11, 1 + 0x1p-10, 11.08, -17.2};
#define SPECIALS (sizeof(specials) / sizeof(specials[0]))

static double operands[3][COUNT];

static void make_operands(const struct function *f)
{
	for (unsigned i = 0; i < COUNT; i++) {
		for (unsigned k = 0; k < 3; k++) {
			double x;

			if (f->native)
				x = of_domain(f->domain);
			else if (i < SPECIALS * SPECIALS && i < COUNT / 2)
				x = specials[(k == 0 ? i : k == 1 ? i / SPECIALS * 7 + i : i * 5 + 3) % SPECIALS];
			else
				x = i & 3 ? of_domain(f->domain) : any_bits();
			operands[k][i] = precision == DOUBLE ? x : precision == SINGLE ? (float)x : (_Float16)x;
		}
	}
}

/* ---- results ---- */

/* How many units in the last place of the right result (of the precision) the result is off. */
static double ulps(real right, double got)
{
	int digits = formats[precision].digits, least = formats[precision].least, e;
	real beyond = ldexpl(1, formats[precision].beyond);

	if (isnan(right) || isnan(got))
		return isnan(right) && isnan(got) ? 0 : INFINITY;
	/* Infinity counts as the number behind the largest. */
	if (fabsl(right) > beyond)
		right = copysignl(beyond, right);
	if (isinf(got)) {
		if (fabsl(right) == beyond && !signbit(right) == !signbit(got))
			return 0;
		return fabsl(right) < beyond / 2 || !signbit(right) != !signbit(got) ? INFINITY : (double)(ldexpl(beyond - fabsl(right), digits) / beyond);
	}
	if (right == 0)
		e = least;
	else
		frexpl(right, &e);
	return (double)(fabsl((real)got - right) / ldexpl(1, (e < least ? least : e) - digits));
}

static bool has_denormals(void)
{
	cl_device_fp_config config = 0;

	clGetDeviceInfo(cl_device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof(config), &config, NULL);
	return config & CL_FP_DENORM;
}

static double flushed(double x)
{
	return fabs(x) < FLT_MIN ? copysign(0, x) : x;
}

/*
 * In single precision operands and results below the normal range may count as zero where the device has no denormals, and in functions that the
 * device library makes with operations that have none (v_sqrt_f32, v_rsq_f32, v_rcp_f32).
 */
static double ulps_flushed(const struct function *f, unsigned i, double got)
{
	real right = f->reference(flushed(operands[0][i]), flushed(operands[1][i]), flushed(operands[2][i]), n_of(operands[1][i]));

	return got == 0 && fabsl(right) <= FLT_MIN ? 0 : ulps(right, got);
}

static unsigned rounds = 1;

static void test(cl_program program, unsigned index, bool denormals)
{
	const struct function *f = &functions[index];
	static float single[3][COUNT], single_out[COUNT];
	static double double_out[COUNT];
	static int n[COUNT];
	double worst = 0, bound = precision == HALF_PRECISION ? half_bound(f) : f->ulp[precision], a = 0, b = 0, c = 0, worst_got = 0;
	bool wide = precision == DOUBLE;
	char kernel[64];

	for (unsigned round = 0; round < rounds; round++) {
		make_operands(f);
		for (unsigned i = 0; i < COUNT; i++) {
			n[i] = n_of(operands[1][i]);
			for (unsigned k = 0; k < 3; k++)
				single[k][i] = (float)operands[k][i];
			single_out[i] = -12345;
			double_out[i] = -12345;
		}
		snprintf(kernel, sizeof(kernel), "k%u", index);
		struct cl_arg args[5] = {[3] = {n, sizeof(n), false}, [4] = {wide ? (void *)double_out : single_out, wide ? sizeof(double_out) : sizeof(single_out), true}};
		for (unsigned k = 0; k < 3; k++)
			args[k] = (struct cl_arg){wide ? (void *)operands[k] : single[k], wide ? sizeof(operands[k]) : sizeof(single[k]), false};
		cl_run(program, kernel, COUNT, GROUP, args, 5);
		for (unsigned i = 0; i < COUNT; i++) {
			double got = wide ? double_out[i] : single_out[i];
			double off = ulps(f->reference(operands[0][i], operands[1][i], operands[2][i], n[i]), got);

			if (precision == SINGLE && (f->flushes || !denormals))
				off = fmin(off, ulps_flushed(f, i, got));
			if (off > worst || (isnan(off) && !isnan(worst))) {
				worst = off;
				worst_got = got;
				a = operands[0][i];
				b = operands[1][i];
				c = operands[2][i];
			}
		}
	}
	if (!tap(worst <= bound, "%s %s: %.3g ULP of %.4g", formats[precision].name, f->name, worst, bound))
		printf("# worst: a=%a b=%a c=%a n=%d: got %a, right is %La\n", a, b, c, n_of(b), worst_got, f->reference(a, b, c, n_of(b)));
}

/* Single precision has the native and half_ functions, too. */
static bool wanted(unsigned i, const char *name)
{
	return !(precision != SINGLE && functions[i].native) && (!name || !strcmp(name, functions[i].name));
}

int main(int argc, char **argv)
{
	static char source[256 * 1024], extensions[4096];
	const char *name = argc > 1 && strcmp(argv[1], "all") ? argv[1] : NULL;
	bool denormals;

	if (argc > 2)
		rounds = (unsigned)atoi(argv[2]);
	cl_open();
	denormals = has_denormals();
	clGetDeviceInfo(cl_device, CL_DEVICE_EXTENSIONS, sizeof(extensions), extensions, NULL);
	for (precision = SINGLE; precision < PRECISIONS; precision++) {
		/* Halves come and go as float, which they all are. */
		size_t size = (size_t)snprintf(source, sizeof(source), "%stypedef %s T;\ntypedef %s P;\ntypedef %s U;\n",
					       precision == HALF_PRECISION ? "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n" : "", formats[precision].type, precision == DOUBLE ? "double" : "float",
					       precision == DOUBLE ? "ulong" : precision == SINGLE ? "uint" : "ushort");
		cl_program program;

		if (precision == HALF_PRECISION && !strstr(extensions, "cl_khr_fp16"))
			continue;
		for (unsigned i = 0; i < FUNCTIONS; i++)
			if (wanted(i, name))
				size += (size_t)snprintf(source + size, sizeof(source) - size,
							 "__kernel void k%u(__global const P *pa, __global const P *pb, __global const P *pc, __global const int *pn, __global P *out)\n"
							 "{\n\tsize_t i = get_global_id(0);\n\tT a = (T)pa[i], b = (T)pb[i], c = (T)pc[i];\n\tint n = pn[i];\n\tout[i] = (P)(%s);\n}\n",
							 i, functions[i].expression);
		program = cl_build(source, "");
		for (unsigned i = 0; i < FUNCTIONS; i++)
			if (wanted(i, name))
				test(program, i, denormals);
	}
	return tap_end();
}
