/* SPDX-License-Identifier: MIT */
/*
 * test_fp.c - floating-point operations of the vector ALU against MPFR: random and special values, all rounding and denormal modes, IEEE and DX10_CLAMP,
 * source modifiers, omod and clamp.
 *
 * A row of ops[] names the types of result and sources and a function that gives the result's value, correctly rounded once. What is around it (modifiers,
 * flushes, the choice of a NaN, output modifiers) is written again here, in compute().
 *
 * usage: test_fp [EFFORT]
 */
#include <stdlib.h>

#include "tests/oracle/oracle.h"

#define MODE_DX10 0x100u
#define MODE_IEEE 0x200u

struct state {
	uint32_t mode;
	bool ieee;
};

/* r gets the result for finite or infinite sources (NaNs have been dealt with); returns the ternary value. */
typedef int fp_fn(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st);

static int f_add(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_add(r, s[0], s[1], rnd);
}

static int f_sub(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_sub(r, s[0], s[1], rnd);
}

static int f_subrev(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_sub(r, s[1], s[0], rnd);
}

static int f_mul(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_mul(r, s[0], s[1], rnd);
}

static int f_mul_legacy(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	if (mpfr_zero_p(s[0]) || mpfr_zero_p(s[1])) {
		mpfr_set_zero(r, 1);
		return 0;
	}
	return mpfr_mul(r, s[0], s[1], rnd);
}

static int f_fma(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_fma(r, s[0], s[1], s[2], rnd);
}

/* Multiply, round, flush, add, round: v_mad and v_mac of f32 and f16. s[] have been flushed where they must be. */
static int mad(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, bool flush, bool legacy)
{
	int t;
	uint64_t product;
	mpfr_t p;

	mpfr_init2(p, f->p);
	t = mpfr_mul(p, s[0], s[1], rnd);
	if (legacy && (mpfr_zero_p(s[0]) || mpfr_zero_p(s[1]))) {
		mpfr_set_zero(p, 1);
		t = 0;
	}
	product = fmt_put(f, p, t, rnd);
	mpfr_set_prec(p, 53);
	fmt_get(p, f, flush ? fmt_flush(f, product) : product);
	t = mpfr_add(r, p, s[2], rnd);
	mpfr_clear(p);
	return t;
}

static int f_mad(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mad(r, s, rnd, f, f == &fmt_f || !(st->mode & 0x80), false);
}

static int f_mad_legacy(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mad(r, s, rnd, f, true, true);
}

static int f_sqrt(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_sqrt(r, s[0], rnd);
}

static int f_rcp(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_ui_div(r, 1, s[0], rnd);
}

static int f_rsq(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	if (mpfr_zero_p(s[0])) {
		mpfr_set_inf(r, mpfr_signbit(s[0]) ? -1 : 1);
		return 0;
	}
	return mpfr_rec_sqrt(r, s[0], rnd);
}

static int f_exp(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_exp2(r, s[0], rnd);
}

static int f_log(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	if (mpfr_zero_p(s[0])) {
		mpfr_set_inf(r, -1);
		return 0;
	}
	return mpfr_log2(r, s[0], rnd);
}

/* Revolutions: what is whole does not count, and beyond 256 of them the sine is 0, the cosine 1. */
static int turn(mpfr_t r, mpfr_t x, mpfr_rnd_t rnd, bool cosine)
{
	mpfr_t y, pi;
	int t;

	if (mpfr_inf_p(x)) {
		mpfr_set_nan(r);
		return 0;
	}
	if (mpfr_cmpabs_ui(x, 256) > 0)
		return mpfr_set_ui(r, cosine, rnd);
	mpfr_inits2(200, y, pi, (mpfr_ptr)0);
	mpfr_const_pi(pi, MPFR_RNDN);
	mpfr_mul_2ui(pi, pi, 1, MPFR_RNDN);
	mpfr_frac(y, x, MPFR_RNDN);
	/* Multiples of a quarter are exact; MPFR's 2 pi is not. */
	mpfr_mul_2ui(y, y, 2, MPFR_RNDN);
	if (mpfr_integer_p(y)) {
		static const int sines[4] = {0, 1, 0, -1};
		long n = mpfr_get_si(y, MPFR_RNDN) + (cosine ? 1 : 0);

		t = mpfr_set_si(r, sines[n & 3], rnd);
	} else {
		mpfr_div_2ui(y, y, 2, MPFR_RNDN);
		mpfr_mul(y, y, pi, MPFR_RNDN);
		t = cosine ? mpfr_cos(r, y, rnd) : mpfr_sin(r, y, rnd);
	}
	mpfr_clears(y, pi, (mpfr_ptr)0);
	return t;
}

static int f_sin(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return turn(r, s[0], rnd, false);
}

static int f_cos(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return turn(r, s[0], rnd, true);
}

static int f_same(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	return mpfr_set(r, s[0], rnd);
}

static int f_trunc(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	mpfr_trunc(r, s[0]);
	return 0;
}

static int f_ceil(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	mpfr_ceil(r, s[0]);
	return 0;
}

static int f_floor(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	mpfr_floor(r, s[0]);
	return 0;
}

static int f_rndne(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	mpfr_rint(r, s[0], MPFR_RNDN); /* ties to even */
	return 0;
}

static int f_fract(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	mpfr_t whole;
	int t;

	if (mpfr_inf_p(s[0])) {
		mpfr_set_nan(r);
		return 0;
	}
	mpfr_init2(whole, 1100);
	mpfr_floor(whole, s[0]);
	t = mpfr_sub(r, s[0], whole, MPFR_RNDN);
	if (mpfr_cmp_ui(r, 1) >= 0) {
		mpfr_set_ui(r, 1, MPFR_RNDN);
		mpfr_nextbelow(r);
		t = 0;
	}
	if (mpfr_zero_p(r))
		mpfr_set_zero(r, 1);
	mpfr_clear(whole);
	return t;
}

/* s[1] is an integer of the source's width. */
static int f_ldexp(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	long n = mpfr_get_si(s[1], MPFR_RNDN);

	return mpfr_mul_2si(r, s[0], n > 20000 ? 20000 : n < -20000 ? -20000 : n, rnd);
}

static int f_mant(mpfr_t r, mpfr_t *s, mpfr_rnd_t rnd, const struct fmt *f, const struct state *st)
{
	mpfr_exp_t e;

	if (mpfr_regular_p(s[0]))
		return mpfr_frexp(&e, r, s[0], rnd);
	return mpfr_set(r, s[0], rnd);
}

/* env: whose rounding: S MODE's for f32, D for f16 and f64, N nearest. ulp: how many units of the last place the result may be off. always_flush: denormals whatever MODE says. */
struct fp_op {
	unsigned op;
	char result;
	const char *types; /* h f d; i: 32-bit integer, j: unsigned, w: 16-bit, W: unsigned; o: the old destination */
	char env;
	uint8_t ulp;
	bool always_flush;
	fp_fn *fn;
};

static const struct fp_op ops[] = {
	{ISA_V_ADD_F32, 'f', "ff", 'S', 0, false, f_add},
	{ISA_V_SUB_F32, 'f', "ff", 'S', 0, false, f_sub},
	{ISA_V_SUBREV_F32, 'f', "ff", 'S', 0, false, f_subrev},
	{ISA_V_MUL_F32, 'f', "ff", 'S', 0, false, f_mul},
	{ISA_V_MUL_LEGACY_F32, 'f', "ff", 'S', 0, false, f_mul_legacy},
	{ISA_V_FMA_F32, 'f', "fff", 'S', 0, false, f_fma},
	{ISA_V_FMAC_F32, 'f', "ffo", 'S', 0, false, f_fma},
	{ISA_V_MAD_F32, 'f', "fff", 'S', 0, true, f_mad},
	{ISA_V_MAC_F32, 'f', "ffo", 'S', 0, true, f_mad},
	{ISA_V_MADMK_F32, 'f', "fff", 'S', 0, true, f_mad},
	{ISA_V_MADAK_F32, 'f', "fff", 'S', 0, true, f_mad},
	{ISA_V_MAD_LEGACY_F32, 'f', "fff", 'S', 0, true, f_mad_legacy},
	{ISA_V_ADD_F64, 'd', "dd", 'D', 0, false, f_add},
	{ISA_V_MUL_F64, 'd', "dd", 'D', 0, false, f_mul},
	{ISA_V_FMA_F64, 'd', "ddd", 'D', 0, false, f_fma},
	{ISA_V_FMAC_F64, 'd', "ddo", 'D', 0, false, f_fma},
	{ISA_V_ADD_F16, 'h', "hh", 'D', 0, false, f_add},
	{ISA_V_SUB_F16, 'h', "hh", 'D', 0, false, f_sub},
	{ISA_V_SUBREV_F16, 'h', "hh", 'D', 0, false, f_subrev},
	{ISA_V_MUL_F16, 'h', "hh", 'D', 0, false, f_mul},
	{ISA_V_FMA_F16, 'h', "hhh", 'D', 0, false, f_fma},
	{ISA_V_FMA_LEGACY_F16, 'h', "hhh", 'D', 0, false, f_fma},
	{ISA_V_MAD_F16, 'h', "hhh", 'D', 0, false, f_mad},
	{ISA_V_MAD_LEGACY_F16, 'h', "hhh", 'D', 0, false, f_mad},
	{ISA_V_MAC_F16, 'h', "hho", 'D', 0, false, f_mad},
	{ISA_V_MADMK_F16, 'h', "hhh", 'D', 0, false, f_mad},
	{ISA_V_MADAK_F16, 'h', "hhh", 'D', 0, false, f_mad},

	/* AMD states 1 ulp for these; ours are defined as correctly rounded but for the polynomials' last doubt. */
	{ISA_V_RCP_F32, 'f', "f", 'N', 0, true, f_rcp},
	{ISA_V_RCP_IFLAG_F32, 'f', "f", 'N', 0, true, f_rcp},
	{ISA_V_RSQ_F32, 'f', "f", 'N', 1, true, f_rsq},
	{ISA_V_SQRT_F32, 'f', "f", 'N', 0, true, f_sqrt},
	{ISA_V_EXP_F32, 'f', "f", 'N', 1, true, f_exp},
	{ISA_V_EXP_LEGACY_F32, 'f', "f", 'N', 1, true, f_exp},
	{ISA_V_LOG_F32, 'f', "f", 'N', 1, true, f_log},
	{ISA_V_LOG_LEGACY_F32, 'f', "f", 'N', 1, true, f_log},
	{ISA_V_SIN_F32, 'f', "f", 'N', 1, true, f_sin},
	{ISA_V_COS_F32, 'f', "f", 'N', 1, true, f_cos},
	{ISA_V_RCP_F64, 'd', "d", 'N', 0, false, f_rcp},
	{ISA_V_RSQ_F64, 'd', "d", 'N', 1, false, f_rsq},
	{ISA_V_SQRT_F64, 'd', "d", 'N', 0, false, f_sqrt},
	{ISA_V_RCP_F16, 'h', "h", 'D', 1, false, f_rcp},
	{ISA_V_RSQ_F16, 'h', "h", 'D', 1, false, f_rsq},
	{ISA_V_SQRT_F16, 'h', "h", 'D', 1, false, f_sqrt},
	{ISA_V_EXP_F16, 'h', "h", 'D', 1, false, f_exp},
	{ISA_V_LOG_F16, 'h', "h", 'D', 1, false, f_log},
	{ISA_V_SIN_F16, 'h', "h", 'D', 1, false, f_sin},
	{ISA_V_COS_F16, 'h', "h", 'D', 1, false, f_cos},

	{ISA_V_TRUNC_F32, 'f', "f", 'N', 0, false, f_trunc},
	{ISA_V_CEIL_F32, 'f', "f", 'N', 0, false, f_ceil},
	{ISA_V_FLOOR_F32, 'f', "f", 'N', 0, false, f_floor},
	{ISA_V_RNDNE_F32, 'f', "f", 'N', 0, false, f_rndne},
	{ISA_V_FRACT_F32, 'f', "f", 'N', 0, false, f_fract},
	{ISA_V_TRUNC_F64, 'd', "d", 'N', 0, false, f_trunc},
	{ISA_V_CEIL_F64, 'd', "d", 'N', 0, false, f_ceil},
	{ISA_V_FLOOR_F64, 'd', "d", 'N', 0, false, f_floor},
	{ISA_V_RNDNE_F64, 'd', "d", 'N', 0, false, f_rndne},
	{ISA_V_FRACT_F64, 'd', "d", 'N', 0, false, f_fract},
	{ISA_V_TRUNC_F16, 'h', "h", 'D', 0, false, f_trunc},
	{ISA_V_CEIL_F16, 'h', "h", 'D', 0, false, f_ceil},
	{ISA_V_FLOOR_F16, 'h', "h", 'D', 0, false, f_floor},
	{ISA_V_RNDNE_F16, 'h', "h", 'D', 0, false, f_rndne},
	{ISA_V_LDEXP_F32, 'f', "fi", 'S', 0, false, f_ldexp},
	{ISA_V_LDEXP_F64, 'd', "di", 'D', 0, false, f_ldexp},
	{ISA_V_LDEXP_F16, 'h', "hw", 'D', 0, false, f_ldexp},
	{ISA_V_FREXP_MANT_F32, 'f', "f", 'N', 0, false, f_mant},
	{ISA_V_FREXP_MANT_F64, 'd', "d", 'N', 0, false, f_mant},
	{ISA_V_FREXP_MANT_F16, 'h', "h", 'D', 0, false, f_mant},

	{ISA_V_CVT_F32_I32, 'f', "i", 'S', 0, false, f_same},
	{ISA_V_CVT_F32_U32, 'f', "j", 'S', 0, false, f_same},
	{ISA_V_CVT_F64_I32, 'd', "i", 'N', 0, false, f_same},
	{ISA_V_CVT_F64_U32, 'd', "j", 'N', 0, false, f_same},
	{ISA_V_CVT_F16_I16, 'h', "w", 'D', 0, false, f_same},
	{ISA_V_CVT_F16_U16, 'h', "W", 'D', 0, false, f_same},
	{ISA_V_CVT_F16_F32, 'h', "f", 'D', 0, false, f_same},
	{ISA_V_CVT_F32_F16, 'f', "h", 'N', 0, false, f_same},
	{ISA_V_CVT_F32_F64, 'f', "d", 'S', 0, false, f_same},
	{ISA_V_CVT_F64_F32, 'd', "f", 'N', 0, false, f_same},
};

#define NUM_OPS (sizeof(ops) / sizeof(ops[0]))

/* One lane's random instruction, as both sides see it. */
struct trial {
	struct state st;
	unsigned neg, abs, omod;
	bool clamp;
};

static uint64_t clamped(const struct fmt *f, uint64_t v, const struct trial *t)
{
	uint64_t one = (uint64_t)(f->emax - 1) << (f->p - 1);

	if (fmt_is_nan(f, v))
		return t->st.mode & MODE_DX10 ? 0 : v;
	if (v & fmt_sign(f))
		return 0;
	return v > one ? one : v;
}

/* The result of a row for sources as they are in registers. */
static uint64_t compute(const struct fp_op *o, const uint64_t *src, const struct trial *t)
{
	const struct fmt *f = fmt_of(o->result);
	uint32_t mode = t->st.mode;
	bool out_denormals = mode & (f == &fmt_f ? 0x20 : 0x80), counts = t->omod && !out_denormals && !(mode & MODE_IEEE);
	static const int shift[4] = {0, 1, 2, -1};
	mpfr_rnd_t rnd = o->env == 'N' ? MPFR_RNDN : oracle_rnd(o->env == 'S' ? mode : mode >> 2);
	unsigned n = (unsigned)strlen(o->types);
	uint64_t v = 0;
	bool nan = false;
	mpfr_t s[3], r;
	int ternary;

	mpfr_inits2(53, s[0], s[1], s[2], (mpfr_ptr)0);
	mpfr_init2(r, f->p);
	for (unsigned i = 0; i < n; i++) {
		const struct fmt *sf = o->types[i] == 'o' ? f : fmt_of(o->types[i]);
		uint64_t x = src[i];

		if (!sf) {
			char c = o->types[i];

			mpfr_set_si(s[i], c == 'i' ? (long)(int32_t)x : c == 'j' ? (long)(uint32_t)x : c == 'w' ? (long)(int16_t)x : (long)(uint16_t)x,
				    MPFR_RNDN);
			continue;
		}
		if (o->types[i] != 'o' && (t->abs >> i & 1))
			x &= ~fmt_sign(sf);
		if (o->types[i] != 'o' && (t->neg >> i & 1))
			x ^= fmt_sign(sf);
		if (!(mode & (sf == &fmt_f ? 0x10 : 0x40)) || (o->always_flush && sf == &fmt_f))
			x = fmt_flush(sf, x);
		fmt_get(s[i], sf, x);
		if (fmt_is_nan(sf, x) && !nan) {
			nan = true;
			v = fmt_convert_nan(f, sf, x);
		}
	}
	/* A legacy product with a zero does not look at the other factor. */
	if (nan && (o->fn == f_mul_legacy || o->fn == f_mad_legacy) && (mpfr_zero_p(s[0]) || mpfr_zero_p(s[1])) &&
	    (o->fn == f_mul_legacy || !mpfr_nan_p(s[2])))
		nan = false;
	if (!nan) {
		ternary = o->fn(r, s, rnd, f, &t->st);
		/* f16: before the rounding; -0 becomes 0, which what only rounds to -0 does not. What comes from an f32 is multiplied as one. */
		if (counts && f == &fmt_h) {
			mpfr_mul_2si(r, r, shift[t->omod], MPFR_RNDN);
			if (o->types[0] == 'f' && mpfr_regular_p(r) && mpfr_get_exp(r) > 128)
				mpfr_set_inf(r, mpfr_sgn(r));
			if (o->types[0] == 'f' && mpfr_regular_p(r) && mpfr_get_exp(r) < -148)
				mpfr_set_zero(r, 1);
			if (mpfr_zero_p(r))
				mpfr_set_zero(r, 1);
		}
		v = fmt_put(f, r, ternary, rnd);
	}
	if (!out_denormals || o->always_flush)
		v = fmt_flush(f, v);
	if (counts && f != &fmt_h && !fmt_is_nan(f, v)) { /* f32, f64: of the rounded result; what is too large is infinite */
		mpfr_set_prec(s[0], 53);
		fmt_get(s[0], f, v == fmt_sign(f) ? 0 : v);
		mpfr_mul_2si(r, s[0], shift[t->omod], MPFR_RNDN);
		v = fmt_flush(f, fmt_put(f, r, 0, MPFR_RNDN));
	}
	if (t->clamp)
		v = clamped(f, v, t);
	mpfr_clears(s[0], s[1], s[2], r, (mpfr_ptr)0);
	return v;
}

static bool is_wide(char type)
{
	return type == 'd';
}

static void put_lane(unsigned row, unsigned l, uint64_t v, bool wide)
{
	vt.v[row][l] = (uint32_t)v;
	if (wide)
		vt.v[row + 1][l] = (uint32_t)(v >> 32);
}

static uint64_t random_of(char type)
{
	switch (type) {
	case 'i':
		return vt_rand() & 1 ? (uint32_t)((int32_t)(vt_rand() % 400) - 200) : vt_value('u');
	case 'j':
		return vt_value('u');
	case 'w':
		return vt_rand() & 1 ? (uint16_t)((int32_t)(vt_rand() % 80) - 40) : vt_value('w');
	case 'W':
		return vt_value('w');
	default:
		return vt_value(type);
	}
}

/* Values near each other and near ties are rare among random ones: make some. */
static void relate(const struct fp_op *o, uint64_t *src)
{
	unsigned n = (unsigned)strlen(o->types);
	const struct fmt *f0 = fmt_of(o->types[0]);

	if (n < 2 || !f0 || (o->types[1] != o->types[0]))
		return;
	switch (vt_rand() % 8) {
	case 0: /* nearly cancelling */
		src[1] = (src[0] ^ fmt_sign(f0)) + vt_rand() % 5 - 2;
		break;
	case 1: /* exponents a significand apart */
		src[1] = (src[0] & fmt_exp(f0)) - ((uint64_t)(f0->p - 1 + vt_rand() % 3) << (f0->p - 1));
		src[1] = (src[1] & ~fmt_sign(f0)) | (vt_rand() & 1 ? fmt_sign(f0) : 0);
		break;
	case 2: /* a short significand: exact products and ties */
		src[0] &= ~((1ull << (f0->p - 1 - vt_rand() % 6)) - 1) | fmt_exp(f0) | fmt_sign(f0);
		break;
	default:
		break;
	}
	src[0] &= fmt_sign(f0) * 2 - 1;
	src[1] &= fmt_sign(f0) * 2 - 1;
}

static struct trial random_trial(void)
{
	struct trial t = {.omod = vt_rand() % 4, .clamp = vt_rand() % 4 == 0};

	t.st.mode = vt_rand() & 0x3ff;
	if (vt_rand() % 3 == 0)
		t.st.mode = 0x3f0;
	t.st.ieee = t.st.mode & MODE_IEEE;
	t.neg = vt_rand() & 7;
	t.abs = vt_rand() % 3 ? 0 : vt_rand() & 7;
	return t;
}

static bool run_op(const struct fp_op *o, unsigned rounds, uint64_t *max_ulp)
{
	static uint64_t src[3][WAVE_LANES];
	const struct fmt *f = fmt_of(o->result);
	unsigned n = (unsigned)strlen(o->types);
	uint64_t mask = f->bits == 64 ? UINT64_MAX : (1ull << f->bits) - 1;

	for (unsigned round = 0; round < rounds; round++) {
		struct trial t = random_trial();
		struct isa_inst in = vt_inst(o->op, n - (o->types[n - 1] == 'o'));

		vt_reset();
		vt.w.mode = t.st.mode;
		in.neg = (uint8_t)t.neg;
		in.abs = (uint8_t)t.abs;
		in.omod = (uint8_t)t.omod;
		in.clamp = t.clamp;
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			uint64_t lane[3];

			for (unsigned i = 0; i < n; i++)
				lane[i] = random_of(o->types[i] == 'o' ? o->result : o->types[i]);
			relate(o, lane);
			for (unsigned i = 0; i < n; i++) {
				bool old = o->types[i] == 'o';

				src[i][l] = lane[i];
				put_lane(old ? VT_DST : VT_SRC + 4 * i, l, lane[i], is_wide(old ? o->result : o->types[i]));
			}
		}
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			uint64_t lane[3] = {src[0][l], n > 1 ? src[1][l] : 0, n > 2 ? src[2][l] : 0}, want = compute(o, lane, &t);
			uint64_t got = (vt.v[VT_DST][l] | (is_wide(o->result) ? (uint64_t)vt.v[VT_DST + 1][l] << 32 : 0)) & mask, off;

			if (got == want)
				continue;
			off = fmt_is_nan(f, got) || fmt_is_nan(f, want) ? UINT64_MAX : fmt_distance(f, got, want);
			/* At the edge of a flush one side may be 0. */
			if (o->ulp && off <= o->ulp) {
				*max_ulp = off > *max_ulp ? off : *max_ulp;
				continue;
			}
			print_error("%s mode 0x%x neg %u abs %u omod %u clamp %d: (0x%llx, 0x%llx, 0x%llx) gives 0x%llx, want 0x%llx\n",
				    isa_op_name(o->op), t.st.mode, t.neg, t.abs, t.omod, t.clamp, (unsigned long long)lane[0],
				    (unsigned long long)lane[1], (unsigned long long)lane[2], (unsigned long long)got, (unsigned long long)want);
			return false;
		}
	}
	return true;
}

static void test_arithmetic(void **state)
{
	unsigned bad = 0;

	for (size_t i = 0; i < NUM_OPS; i++) {
		uint64_t max_ulp = 0;

		bad += !run_op(&ops[i], 1200 * oracle_effort, &max_ulp);
		if (max_ulp)
			print_message("%s: at most %llu ulp\n", isa_op_name(ops[i].op), (unsigned long long)max_ulp);
	}
	assert_int_equal(bad, 0);
}

/* ------------------------------------------------------------------ the 1 ulp operations over their whole range, and growing */

static const struct fp_op *find(unsigned op)
{
	for (size_t i = 0; i < NUM_OPS; i++)
		if (ops[i].op == op)
			return &ops[i];
	fail_msg("no row");
	return NULL;
}

/* All f16 values. */
static void test_every_half(void **state)
{
	static const unsigned list[] = {ISA_V_RCP_F16,   ISA_V_RSQ_F16,	 ISA_V_SQRT_F16, ISA_V_EXP_F16,	 ISA_V_LOG_F16,	  ISA_V_SIN_F16,
					ISA_V_COS_F16,	 ISA_V_TRUNC_F16, ISA_V_CEIL_F16, ISA_V_FLOOR_F16, ISA_V_RNDNE_F16, ISA_V_FREXP_MANT_F16};

	for (size_t k = 0; k < sizeof(list) / sizeof(list[0]); k++) {
		const struct fp_op *o = find(list[k]);
		struct trial t = {.st = {.mode = 0x3f0, .ieee = true}};
		struct isa_inst in = vt_inst(o->op, 1);
		uint64_t worst = 0;

		for (unsigned base = 0; base < 0x10000; base += WAVE_LANES) {
			vt_reset();
			for (unsigned l = 0; l < WAVE_LANES; l++)
				vt.v[VT_SRC][l] = base + l;
			vt_run(&in);
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				uint64_t src[3] = {base + l}, want = compute(o, src, &t), got = vt.v[VT_DST][l] & 0xffff, off;

				if (got == want)
					continue;
				off = fmt_is_nan(&fmt_h, got) || fmt_is_nan(&fmt_h, want) ? UINT64_MAX : fmt_distance(&fmt_h, got, want);
				if (off > o->ulp)
					fail_msg("%s(0x%x) gives 0x%llx, want 0x%llx", isa_op_name(o->op), base + l, (unsigned long long)got,
						 (unsigned long long)want);
				worst = off > worst ? off : worst;
			}
		}
		print_message("%s: all values, at most %llu ulp\n", isa_op_name(o->op), (unsigned long long)worst);
	}
}

/* Neighbouring values of a growing function never give shrinking results. */
static void test_monotonic(void **state)
{
	static const struct {
		unsigned op;
		bool falls;
	} list[] = {{ISA_V_EXP_F32, false}, {ISA_V_LOG_F32, false}, {ISA_V_SQRT_F32, false}, {ISA_V_RCP_F32, true}, {ISA_V_RSQ_F32, true}};

	for (size_t k = 0; k < sizeof(list) / sizeof(list[0]); k++) {
		struct isa_inst in = vt_inst(list[k].op, 1);

		for (unsigned i = 0; i < 400 * oracle_effort; i++) {
			uint32_t base = vt_rand() % 0x7f7fff00;

			if (base < 0x00800000)
				base += 0x00800000;
			if (list[k].op == ISA_V_EXP_F32)
				base = 0x30000000 + base % 0x12f00000; /* below 126 */
			vt_reset();
			for (unsigned l = 0; l < WAVE_LANES; l++)
				vt.v[VT_SRC][l] = base + l;
			vt_run(&in);
			for (unsigned l = 1; l < WAVE_LANES; l++) {
				float a = vt_f32(vt.v[VT_DST][l - 1]), b = vt_f32(vt.v[VT_DST][l]);

				if (list[k].falls ? b > a : b < a)
					fail_msg("%s: 0x%x gives %a, the next value %a", isa_op_name(list[k].op), base + l - 1, a, b);
			}
		}
	}
}

static void test_special_cases(void **state)
{
	static const struct {
		unsigned op;
		uint32_t in, out;
	} list[] = {
		{ISA_V_RCP_F32, 0x00000000, 0x7f800000}, {ISA_V_RCP_F32, 0x80000000, 0xff800000}, {ISA_V_RCP_F32, 0xff800000, 0x80000000},
		{ISA_V_RCP_F32, 0x00000001, 0x7f800000}, {ISA_V_RCP_F32, 0x40000000, 0x3f000000}, {ISA_V_SQRT_F32, 0x80000000, 0x80000000},
		{ISA_V_SQRT_F32, 0xbf800000, 0xffc00000}, {ISA_V_SQRT_F32, 0x7f800000, 0x7f800000}, {ISA_V_RSQ_F32, 0x80000000, 0xff800000},
		{ISA_V_RSQ_F32, 0x40800000, 0x3f000000}, {ISA_V_RSQ_F32, 0x7f800000, 0x00000000}, {ISA_V_EXP_F32, 0x42fe0000, 0x7f000000},
		{ISA_V_EXP_F32, 0x43000000, 0x7f800000}, {ISA_V_EXP_F32, 0xff800000, 0x00000000}, {ISA_V_EXP_F32, 0x00000000, 0x3f800000},
		{ISA_V_EXP_F32, 0xc2fc0000, 0x00800000}, {ISA_V_LOG_F32, 0x00000000, 0xff800000}, {ISA_V_LOG_F32, 0x80000000, 0xff800000},
		{ISA_V_LOG_F32, 0x3f800000, 0x00000000}, {ISA_V_LOG_F32, 0x41000000, 0x40400000}, {ISA_V_LOG_F32, 0xbf800000, 0xffc00000},
		{ISA_V_SIN_F32, 0x3e800000, 0x3f800000}, {ISA_V_SIN_F32, 0x3f000000, 0x00000000}, {ISA_V_COS_F32, 0x3f000000, 0xbf800000},
		{ISA_V_SIN_F32, 0x43800001, 0x00000000}, {ISA_V_COS_F32, 0x43800001, 0x3f800000}, {ISA_V_COS_F32, 0x7f800000, 0xffc00000},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct isa_inst in = vt_inst(list[i].op, 1);

		vt_reset();
		vt.v[VT_SRC][7] = list[i].in;
		vt_run(&in);
		if (vt.v[VT_DST][7] != list[i].out && !(list[i].out == 0 && vt.v[VT_DST][7] == 0x80000000))
			fail_msg("%s(0x%x) gives 0x%x, want 0x%x", isa_op_name(list[i].op), list[i].in, vt.v[VT_DST][7], list[i].out);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_every_half),
		cmocka_unit_test(test_monotonic),
		cmocka_unit_test(test_special_cases),
	};

	if (argc > 1)
		oracle_effort = (unsigned)atoi(argv[1]);
	return cmocka_run_group_tests_name("oracle-fp", tests, NULL, NULL);
}
