/* SPDX-License-Identifier: MIT */
/*
 * test_rules.c - the rest of the vector ALU against a second formulation: minimum, maximum and median with NaNs, comparisons and classes, division (its helpers,
 * and the whole sequence that compilers emit), conversions to integers, packed and mixed operations, dot products, integer operations with clamp.
 *
 * usage: test_rules [EFFORT]
 */
#include <stdlib.h>

#include "tests/oracle/oracle.h"

#define MODE_DX10   0x100u
#define MODE_IEEE   0x200u
#define MODE_NORMAL 0x3f0u

typedef __int128 wide;

static uint32_t mode; /* of the instruction being checked */

static uint64_t reg64(unsigned row, unsigned l)
{
	return vt.v[row][l] | (uint64_t)vt.v[row + 1][l] << 32;
}

static void put(unsigned row, unsigned l, uint64_t v, char type)
{
	vt.v[row][l] = (uint32_t)v;
	if (type == 'd' || type == 'U')
		vt.v[row + 1][l] = (uint32_t)(v >> 32);
}

static double to_double(const struct fmt *f, uint64_t v)
{
	double d;
	mpfr_t r;

	mpfr_init2(r, 53);
	fmt_get(r, f, v);
	d = mpfr_get_d(r, MPFR_RNDN);
	mpfr_clear(r);
	return d;
}

/* An input as the operation sees it under `mode`. */
static uint64_t flushed_in(const struct fmt *f, uint64_t v)
{
	return mode & (f == &fmt_f ? 0x10 : 0x40) ? v : fmt_flush(f, v);
}

static uint64_t flushed_out(const struct fmt *f, uint64_t v)
{
	return mode & (f == &fmt_f ? 0x20 : 0x80) ? v : fmt_flush(f, v);
}

/* ------------------------------------------------------------------ one operation on random values */

typedef uint64_t ref_fn(const uint64_t *s, const struct isa_inst *in);

struct rule {
	unsigned op;
	char result; /* h f d, w 16-bit, u 32-bit, U 64-bit; m a lane mask */
	const char *types; /* h f d w u U; p packed halves; o: the old destination (of 32 bits) */
	ref_fn *fn;
	bool clamps, any_mode;
};

static uint64_t random_of(char type)
{
	static uint64_t last;

	if (vt_rand() % 6 == 0) /* the same as another source, or nearly */
		return last ^ (vt_rand() % 3 == 0);
	last = vt_value(type == 'o' ? 'u' : type);
	return last;
}

static void check_rule(const struct rule *o, unsigned rounds)
{
	unsigned n = (unsigned)strlen(o->types);
	uint64_t keep = o->result == 'h' || o->result == 'w' ? 0xffff : o->result == 'f' || o->result == 'u' ? 0xffffffff : UINT64_MAX;

	for (unsigned round = 0; round < rounds; round++) {
		struct isa_inst in = vt_inst(o->op, n - (o->types[n - 1] == 'o'));
		uint64_t src[3][WAVE_LANES] = {0};

		vt_reset();
		mode = vt.w.mode = o->any_mode && vt_rand() % 3 ? vt_rand() & 0x3ff : MODE_NORMAL;
		in.clamp = o->clamps && (vt_rand() & 1);
		in.op_sel_hi = 7;
		if (o->result == 'm')
			in.dst[0] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = VT_SDST};
		for (unsigned l = 0; l < WAVE_LANES; l++)
			for (unsigned i = 0; i < n; i++) {
				src[i][l] = random_of(o->types[i]);
				put(o->types[i] == 'o' ? VT_DST : VT_SRC + 4 * i, l, src[i][l], o->types[i]);
			}
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			uint64_t lane[3] = {src[0][l], src[1][l], src[2][l]}, want, got;

			for (unsigned i = 0; i < n; i++)
				lane[i] &= strchr("hw", o->types[i]) ? 0xffff : strchr("fuop", o->types[i]) ? 0xffffffff : UINT64_MAX;
			want = o->fn(lane, &in);
			got = o->result == 'm' ? (vt.w.sgpr[VT_SDST + l / 32] >> l % 32 & 1)
			      : o->result == 'd' || o->result == 'U' ? reg64(VT_DST, l) : vt.v[VT_DST][l] & keep;
			if (got != (want & keep))
				fail_msg("%s mode 0x%x clamp %d: (0x%llx, 0x%llx, 0x%llx) gives 0x%llx, want 0x%llx", isa_op_name(o->op), mode, in.clamp,
					 (unsigned long long)lane[0], (unsigned long long)lane[1], (unsigned long long)lane[2],
					 (unsigned long long)got, (unsigned long long)want);
		}
	}
}

#define CHECK(rules)                                                                                                   \
	for (size_t i_ = 0; i_ < sizeof(rules) / sizeof(rules[0]); i_++)                                               \
	check_rule(&rules[i_], 600 * oracle_effort)
#define REF(name) static uint64_t name(const uint64_t *s, const struct isa_inst *in)

/* ------------------------------------------------------------------ minimum, maximum, median */

/* IEEE mode quiets a signaling NaN and gives it; else one NaN gives the other operand. */
static uint64_t pick(const struct fmt *f, uint64_t a, uint64_t b, bool larger)
{
	double x, y;

	if ((mode & MODE_IEEE) && fmt_is_signaling(f, a))
		return a | fmt_quiet(f);
	if ((mode & MODE_IEEE) && fmt_is_signaling(f, b))
		return b | fmt_quiet(f);
	if (fmt_is_nan(f, a))
		return b;
	if (fmt_is_nan(f, b))
		return a;
	x = to_double(f, a);
	y = to_double(f, b);
	if (x == y) /* +0 is the larger zero */
		return larger == !(a & fmt_sign(f)) ? a : b;
	return (x > y) == larger ? a : b;
}

static uint64_t median(const struct fmt *f, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t top;

	if (fmt_is_nan(f, a) || fmt_is_nan(f, b) || fmt_is_nan(f, c))
		return pick(f, pick(f, a, b, false), c, false);
	top = pick(f, pick(f, a, b, true), c, true);
	if (to_double(f, top) == to_double(f, a))
		return pick(f, b, c, true);
	if (to_double(f, top) == to_double(f, b))
		return pick(f, a, c, true);
	return pick(f, a, b, true);
}

#define IN(k) flushed_in(f, s[k])
#define MINMAX(T, FMT)                                                                                                 \
	REF(min_##T)                                                                                                   \
	{                                                                                                              \
		const struct fmt *f = FMT;                                                                             \
		return flushed_out(f, pick(f, IN(0), IN(1), false));                                                   \
	}                                                                                                              \
	REF(max_##T)                                                                                                   \
	{                                                                                                              \
		const struct fmt *f = FMT;                                                                             \
		return flushed_out(f, pick(f, IN(0), IN(1), true));                                                    \
	}
#define MINMAX3(T, FMT)                                                                                                \
	REF(min3_##T)                                                                                                  \
	{                                                                                                              \
		const struct fmt *f = FMT;                                                                             \
		return flushed_out(f, pick(f, pick(f, IN(0), IN(1), false), IN(2), false));                            \
	}                                                                                                              \
	REF(max3_##T)                                                                                                  \
	{                                                                                                              \
		const struct fmt *f = FMT;                                                                             \
		return flushed_out(f, pick(f, pick(f, IN(0), IN(1), true), IN(2), true));                              \
	}                                                                                                              \
	REF(med3_##T)                                                                                                  \
	{                                                                                                              \
		const struct fmt *f = FMT;                                                                             \
		return flushed_out(f, median(f, IN(0), IN(1), IN(2)));                                                 \
	}
MINMAX(f32, &fmt_f)
MINMAX(f16, &fmt_h)
MINMAX(f64, &fmt_d)
MINMAX3(f32, &fmt_f)
MINMAX3(f16, &fmt_h)

static void test_minmax(void **state)
{
	static const struct rule rules[] = {
		{ISA_V_MIN_F32, 'f', "ff", min_f32, false, true},     {ISA_V_MAX_F32, 'f', "ff", max_f32, false, true},
		{ISA_V_MIN_F16, 'h', "hh", min_f16, false, true},     {ISA_V_MAX_F16, 'h', "hh", max_f16, false, true},
		{ISA_V_MIN_F64, 'd', "dd", min_f64, false, true},     {ISA_V_MAX_F64, 'd', "dd", max_f64, false, true},
		{ISA_V_MIN3_F32, 'f', "fff", min3_f32, false, true},  {ISA_V_MAX3_F32, 'f', "fff", max3_f32, false, true},
		{ISA_V_MED3_F32, 'f', "fff", med3_f32, false, true},  {ISA_V_MIN3_F16, 'h', "hhh", min3_f16, false, true},
		{ISA_V_MAX3_F16, 'h', "hhh", max3_f16, false, true},  {ISA_V_MED3_F16, 'h', "hhh", med3_f16, false, true},
	};

	CHECK(rules);
}

/* ------------------------------------------------------------------ comparisons and classes */

/* Bit 0: less, 1: equal, 2: greater, 3: unordered. */
static unsigned relation(const struct fmt *f, const uint64_t *s)
{
	double x, y;

	if (fmt_is_nan(f, s[0]) || fmt_is_nan(f, s[1]))
		return 8;
	x = to_double(f, IN(0));
	y = to_double(f, IN(1));
	return x < y ? 1 : x > y ? 4 : 2;
}

#define COMPARE(NAME, BITS)                                                                                            \
	REF(cmp_##NAME##_h)                                                                                            \
	{                                                                                                              \
		return (relation(&fmt_h, s) & (BITS)) != 0;                                                            \
	}                                                                                                              \
	REF(cmp_##NAME##_f)                                                                                            \
	{                                                                                                              \
		return (relation(&fmt_f, s) & (BITS)) != 0;                                                            \
	}                                                                                                              \
	REF(cmp_##NAME##_d)                                                                                            \
	{                                                                                                              \
		return (relation(&fmt_d, s) & (BITS)) != 0;                                                            \
	}
#define COMPARISONS(X)                                                                                                 \
	X(F, 0)                                                                                                        \
	X(LT, 1)                                                                                                       \
	X(EQ, 2)                                                                                                       \
	X(LE, 3)                                                                                                       \
	X(GT, 4)                                                                                                       \
	X(LG, 5)                                                                                                       \
	X(GE, 6)                                                                                                       \
	X(O, 7)                                                                                                        \
	X(U, 8)                                                                                                        \
	X(NGE, 9)                                                                                                      \
	X(NLG, 10)                                                                                                     \
	X(NGT, 11)                                                                                                     \
	X(NLE, 12)                                                                                                     \
	X(NEQ, 13)                                                                                                     \
	X(NLT, 14)                                                                                                     \
	X(TRU, 15)
COMPARISONS(COMPARE)

static uint64_t class_of(const struct fmt *f, uint64_t v)
{
	bool neg = v & fmt_sign(f);

	if (fmt_is_nan(f, v))
		return fmt_is_signaling(f, v) ? 1 : 2;
	if ((v & fmt_exp(f)) == fmt_exp(f))
		return neg ? 4 : 0x200;
	if (v & fmt_exp(f))
		return neg ? 8 : 0x100;
	if (fmt_is_denormal(f, v))
		return neg ? 0x10 : 0x80;
	return neg ? 0x20 : 0x40;
}

REF(class_h)
{
	return (class_of(&fmt_h, s[0]) & s[1]) != 0;
}

REF(class_f)
{
	return (class_of(&fmt_f, s[0]) & s[1]) != 0;
}

REF(class_d)
{
	return (class_of(&fmt_d, s[0]) & s[1]) != 0;
}

static void test_compare(void **state)
{
#define ROW(NAME, BITS)                                                                                                \
	{ISA_V_CMP_##NAME##_F16, 'm', "hh", cmp_##NAME##_h, false, true},                                              \
		{ISA_V_CMP_##NAME##_F32, 'm', "ff", cmp_##NAME##_f, false, true},                                      \
		{ISA_V_CMP_##NAME##_F64, 'm', "dd", cmp_##NAME##_d, false, true},
	static const struct rule rules[] = {
		COMPARISONS(ROW)
		{ISA_V_CMP_CLASS_F16, 'm', "hu", class_h, false, true},
		{ISA_V_CMP_CLASS_F32, 'm', "fu", class_f, false, true},
		{ISA_V_CMP_CLASS_F64, 'm', "du", class_d, false, true},
	};

	CHECK(rules);
}

/* ------------------------------------------------------------------ division */

/* ("V_DIV_FIXUP_F32" of the manuals; UNDERFLOW is a zero, and a quotient that came out as NaN is an overflow.) */
static uint64_t div_fixup(const struct fmt *f, const uint64_t *s)
{
	uint64_t q = IN(0), d = IN(1), n = IN(2), sign = (d ^ n) & fmt_sign(f), ad = d & ~fmt_sign(f), an = n & ~fmt_sign(f), inf = fmt_exp(f);
	int ed = (int)(ad >> (f->p - 1)), en = (int)(an >> (f->p - 1));

	if (fmt_is_nan(f, n))
		return n | fmt_quiet(f);
	if (fmt_is_nan(f, d))
		return d | fmt_quiet(f);
	if ((!ad && !an) || (ad == inf && an == inf))
		return fmt_default_nan(f);
	if (!ad || an == inf)
		return sign | inf;
	if (ad == inf || !an)
		return sign;
	if (en - ed < (f == &fmt_f ? -150 : f == &fmt_d ? -1075 : -100))
		return sign;
	if (fmt_is_nan(f, q))
		return sign | inf;
	return flushed_out(f, sign | (q & ~fmt_sign(f)));
}

REF(div_fixup_f)
{
	return div_fixup(&fmt_f, s);
}

REF(div_fixup_d)
{
	return div_fixup(&fmt_d, s);
}

REF(div_fixup_h)
{
	return div_fixup(&fmt_h, s);
}

/* VCC is set in the odd lanes: fma, then a power of two that depends on the addend, all with one rounding. */
static void test_div_fmas(void **state)
{
	for (unsigned d = 0; d < 2; d++)
		for (unsigned round = 0; round < 400 * oracle_effort; round++) {
			const struct fmt *f = d ? &fmt_d : &fmt_f;
			struct isa_inst in = vt_inst(d ? ISA_V_DIV_FMAS_F64 : ISA_V_DIV_FMAS_F32, 3);
			uint64_t src[3][WAVE_LANES];

			vt_reset();
			mode = vt.w.mode = MODE_NORMAL | (vt_rand() & 15);
			WAVE_VCC(&vt.w) = 0xaaaaaaaaaaaaaaaaull;
			for (unsigned l = 0; l < WAVE_LANES; l++)
				for (unsigned i = 0; i < 3; i++) {
					src[i][l] = vt_value(f->letter);
					/* near the limits of the exponent, where the power of two matters */
					if (vt_rand() & 1)
						src[i][l] = (src[i][l] & ~fmt_exp(f)) | ((uint64_t)(1 + vt_rand() % (i == 2 ? 90 : 60)) << (f->p - 1));
					put(VT_SRC + 4 * i, l, src[i][l], f->letter);
				}
			vt_run(&in);
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				mpfr_rnd_t rnd = oracle_rnd(d ? mode >> 2 : mode);
				uint64_t want = 0, got = d ? reg64(VT_DST, l) : vt.v[VT_DST][l];
				int e = (int)((src[2][l] & fmt_exp(f)) >> (f->p - 1)), step = d ? 128 : 64, t;
				mpfr_t s[3], r;
				bool nan = false;

				for (unsigned i = 0; i < 3 && !nan; i++)
					if (fmt_is_nan(f, src[i][l])) {
						want = src[i][l] | fmt_quiet(f);
						nan = true;
					}
				if (!nan) {
					mpfr_inits2(53, s[0], s[1], s[2], (mpfr_ptr)0);
					mpfr_init2(r, f->p);
					for (unsigned i = 0; i < 3; i++)
						fmt_get(s[i], f, src[i][l]);
					t = mpfr_fma(r, s[0], s[1], s[2], rnd);
					if (l & 1)
						mpfr_mul_2si(r, r, e > f->emax - 1 ? step : -step, MPFR_RNDN);
					want = fmt_put(f, r, t, rnd);
					mpfr_clears(s[0], s[1], s[2], r, (mpfr_ptr)0);
				}
				if (got != want)
					fail_msg("%s mode 0x%x vcc %u: (0x%llx, 0x%llx, 0x%llx) gives 0x%llx, want 0x%llx", isa_op_name(in.op), mode, l & 1,
						 (unsigned long long)src[0][l], (unsigned long long)src[1][l], (unsigned long long)src[2][l],
						 (unsigned long long)got, (unsigned long long)want);
			}
		}
}

static void test_div_fixup(void **state)
{
	static const struct rule rules[] = {
		{ISA_V_DIV_FIXUP_F32, 'f', "fff", div_fixup_f, false, true},
		{ISA_V_DIV_FIXUP_F64, 'd', "ddd", div_fixup_d, false, true},
		{ISA_V_DIV_FIXUP_F16, 'h', "hhh", div_fixup_h, false, true},
	};

	CHECK(rules);
}

/* Registers of the sequence below. */
enum { R_NUM = 24, R_DEN = 26, R_D = 28, R_N = 30, R_RCP = 32, R_T = 34, R_Q = 36, R_ONE = 38 };

static void step(unsigned op, unsigned dst, unsigned neg, int a, int b, int c)
{
	struct isa_inst in = {.op = (uint16_t)op, .neg = (uint8_t)neg};
	int src[3] = {a, b, c};

	in.dst[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = 1, .index = (uint16_t)dst};
	if (op == ISA_V_DIV_SCALE_F32 || op == ISA_V_DIV_SCALE_F64)
		in.dst[1] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = dst == R_N ? SGPR_VCC : VT_SDST};
	for (unsigned i = 0; i < 3; i++)
		if (src[i] >= 0)
			in.src[i] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = 1, .index = (uint16_t)src[i]};
	vt_run(&in);
}

/* What compilers make of a / b, with denormals on: the quotient must be correctly rounded, whatever the operands. */
static void test_division(void **state)
{
	for (unsigned d = 0; d < 2; d++)
		for (unsigned round = 0; round < 150 * oracle_effort; round++) {
			const struct fmt *f = d ? &fmt_d : &fmt_f;
			unsigned scale = d ? ISA_V_DIV_SCALE_F64 : ISA_V_DIV_SCALE_F32, fma_op = d ? ISA_V_FMA_F64 : ISA_V_FMA_F32;

			vt_reset();
			mode = vt.w.mode = MODE_NORMAL;
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				uint64_t n = vt_value(f->letter), q = vt_value(f->letter);

				if (vt_rand() % 4 == 0) /* quotients at the edge of the denormals, and near the largest */
					q = (q & ~fmt_exp(f)) | ((((n & fmt_exp(f)) >> (f->p - 1)) + (uint64_t)f->emax - 20 + vt_rand() % 40) << (f->p - 1) & fmt_exp(f));
				put(R_NUM, l, n, f->letter);
				put(R_DEN, l, q, f->letter);
				put(R_ONE, l, (uint64_t)(f->emax - 1) << (f->p - 1), f->letter);
			}
			step(scale, R_D, 0, R_DEN, R_DEN, R_NUM);
			step(scale, R_N, 0, R_NUM, R_DEN, R_NUM);
			step(d ? ISA_V_RCP_F64 : ISA_V_RCP_F32, R_RCP, 0, R_D, -1, -1);
			step(fma_op, R_T, 1, R_D, R_RCP, R_ONE);
			step(fma_op, R_RCP, 0, R_T, R_RCP, R_RCP);
			if (d) {
				step(fma_op, R_T, 1, R_D, R_RCP, R_ONE);
				step(fma_op, R_RCP, 0, R_RCP, R_T, R_RCP);
				step(ISA_V_MUL_F64, R_Q, 0, R_N, R_RCP, -1);
			} else {
				step(ISA_V_MUL_F32, R_Q, 0, R_N, R_RCP, -1);
				step(fma_op, R_T, 1, R_D, R_Q, R_N);
				step(fma_op, R_Q, 0, R_T, R_RCP, R_Q);
			}
			step(fma_op, R_T, 1, R_D, R_Q, R_N);
			step(d ? ISA_V_DIV_FMAS_F64 : ISA_V_DIV_FMAS_F32, R_Q, 0, R_T, R_RCP, R_Q);
			step(d ? ISA_V_DIV_FIXUP_F64 : ISA_V_DIV_FIXUP_F32, R_Q, 0, R_Q, R_DEN, R_NUM);
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				uint64_t n = d ? reg64(R_NUM, l) : vt.v[R_NUM][l], q = d ? reg64(R_DEN, l) : vt.v[R_DEN][l];
				uint64_t got = d ? reg64(R_Q, l) : vt.v[R_Q][l], want;
				mpfr_t x, y, r;

				mpfr_inits2(53, x, y, (mpfr_ptr)0);
				mpfr_init2(r, f->p);
				fmt_get(x, f, n);
				fmt_get(y, f, q);
				want = fmt_put(f, r, mpfr_div(r, x, y, MPFR_RNDN), MPFR_RNDN);
				mpfr_clears(x, y, r, (mpfr_ptr)0);
				if (got != want && !(fmt_is_nan(f, got) && fmt_is_nan(f, want)))
					fail_msg("%s: 0x%llx / 0x%llx gives 0x%llx, want 0x%llx", d ? "f64" : "f32", (unsigned long long)n,
						 (unsigned long long)q, (unsigned long long)got, (unsigned long long)want);
			}
		}
}

/* ------------------------------------------------------------------ to integers */

static uint64_t to_integer(const struct fmt *f, uint64_t v, int how, wide lo, wide hi)
{
	mpfr_t r;
	wide n;

	if (fmt_is_nan(f, v))
		return 0;
	mpfr_init2(r, 1200);
	fmt_get(r, f, v);
	if (how == 'r') /* floor(x + 0.5) */
		mpfr_add_d(r, r, 0.5, MPFR_RNDN);
	mpfr_rint(r, r, how == 't' ? MPFR_RNDZ : MPFR_RNDD);
	if (mpfr_cmp_d(r, (double)lo) <= 0)
		n = lo;
	else if (mpfr_cmp_d(r, (double)hi) >= 0)
		n = hi;
	else
		n = mpfr_get_si(r, MPFR_RNDN);
	mpfr_clear(r);
	return (uint64_t)n;
}

#define TO_INT(NAME, FMT, HOW, LO, HI)                                                                                 \
	REF(NAME)                                                                                                      \
	{                                                                                                              \
		const struct fmt *f = FMT;                                                                             \
		return to_integer(f, IN(0), HOW, LO, HI);                                                              \
	}
TO_INT(i32_f, &fmt_f, 't', INT32_MIN, INT32_MAX)
TO_INT(u32_f, &fmt_f, 't', 0, UINT32_MAX)
TO_INT(rpi_f, &fmt_f, 'r', INT32_MIN, INT32_MAX)
TO_INT(flr_f, &fmt_f, 'f', INT32_MIN, INT32_MAX)
TO_INT(i32_d, &fmt_d, 't', INT32_MIN, INT32_MAX)
TO_INT(u32_d, &fmt_d, 't', 0, UINT32_MAX)
TO_INT(i16_h, &fmt_h, 't', INT16_MIN, INT16_MAX)
TO_INT(u16_h, &fmt_h, 't', 0, UINT16_MAX)

/* The exponent of a significand in [1/2, 1); 0 for what has none. */
static uint64_t frexp_exp(const struct fmt *f, uint64_t v)
{
	mpfr_exp_t e = 0;
	mpfr_t r;

	mpfr_init2(r, 53);
	fmt_get(r, f, v);
	if (mpfr_regular_p(r))
		e = mpfr_get_exp(r);
	mpfr_clear(r);
	return (uint64_t)e;
}

REF(exp_f)
{
	return frexp_exp(&fmt_f, flushed_in(&fmt_f, s[0]));
}

REF(exp_d)
{
	return frexp_exp(&fmt_d, flushed_in(&fmt_d, s[0]));
}

REF(exp_h)
{
	return frexp_exp(&fmt_h, flushed_in(&fmt_h, s[0]));
}

/* Normalised 16 bits: to nearest even of the value, held within [lo, 1], times max. */
static uint64_t normalised(const struct fmt *f, uint64_t v, double lo, unsigned max)
{
	double d = fmt_is_nan(f, v) ? 0 : to_double(f, v);
	mpfr_t r;
	long n;

	d = d < lo ? lo : d > 1 ? 1 : d;
	mpfr_init2(r, 80);
	mpfr_set_d(r, d, MPFR_RNDN);
	mpfr_mul_ui(r, r, max, MPFR_RNDN);
	n = mpfr_get_si(r, MPFR_RNDN);
	mpfr_clear(r);
	return (uint64_t)n & 0xffff;
}

REF(norm_i16_h)
{
	return normalised(&fmt_h, flushed_in(&fmt_h, s[0]), -1, 32767);
}

REF(norm_u16_h)
{
	return normalised(&fmt_h, flushed_in(&fmt_h, s[0]), 0, 65535);
}

/* Two halves, rounded toward zero; that never overflows. */
static uint64_t rtz(uint64_t v)
{
	mpfr_t x, r;
	uint64_t h;
	int t;

	v = flushed_in(&fmt_f, v);
	if (fmt_is_nan(&fmt_f, v))
		return fmt_convert_nan(&fmt_h, &fmt_f, v);
	mpfr_init2(x, 53);
	mpfr_init2(r, 11);
	fmt_get(x, &fmt_f, v);
	t = mpfr_set(r, x, MPFR_RNDZ);
	h = flushed_out(&fmt_h, fmt_put(&fmt_h, r, t, MPFR_RNDZ));
	mpfr_clears(x, r, (mpfr_ptr)0);
	return h;
}

REF(pkrtz)
{
	return rtz(s[0]) | rtz(s[1]) << 16;
}

static void test_to_integer(void **state)
{
	static const struct rule rules[] = {
		{ISA_V_CVT_I32_F32, 'u', "f", i32_f, false, true},	{ISA_V_CVT_U32_F32, 'u', "f", u32_f, false, true},
		{ISA_V_CVT_RPI_I32_F32, 'u', "f", rpi_f, false, true},	{ISA_V_CVT_FLR_I32_F32, 'u', "f", flr_f, false, true},
		{ISA_V_CVT_I32_F64, 'u', "d", i32_d, false, true},	{ISA_V_CVT_U32_F64, 'u', "d", u32_d, false, true},
		{ISA_V_CVT_I16_F16, 'w', "h", i16_h, false, true},	{ISA_V_CVT_U16_F16, 'w', "h", u16_h, false, true},
		{ISA_V_FREXP_EXP_I32_F32, 'u', "f", exp_f, false, true}, {ISA_V_FREXP_EXP_I32_F64, 'u', "d", exp_d, false, true},
		{ISA_V_FREXP_EXP_I16_F16, 'w', "h", exp_h, false, true}, {ISA_V_CVT_NORM_I16_F16, 'w', "h", norm_i16_h, false, true},
		{ISA_V_CVT_NORM_U16_F16, 'w', "h", norm_u16_h, false, true}, {ISA_V_CVT_PKRTZ_F16_F32, 'u', "ff", pkrtz, false, true},
	};

	CHECK(rules);
}

/* ------------------------------------------------------------------ packed and mixed, dot products */

/* a * b + c with one rounding (b NULL: a + c; c NULL: a * b), with the rules of NaNs and flushes. kind: '+', '*', 'f'. */
static uint64_t once(const struct fmt *f, char kind, uint64_t a, uint64_t b, uint64_t c)
{
	mpfr_rnd_t rnd = oracle_rnd(f == &fmt_f ? mode : mode >> 2);
	uint64_t s[3] = {flushed_in(f, a), flushed_in(f, b), kind == 'f' ? flushed_in(f, c) : 0}, v;
	mpfr_t x[3], r;
	int t;

	for (unsigned i = 0; i < 3; i++)
		if (fmt_is_nan(f, s[i]))
			return s[i] | fmt_quiet(f);
	mpfr_inits2(53, x[0], x[1], x[2], (mpfr_ptr)0);
	mpfr_init2(r, f->p);
	for (unsigned i = 0; i < 3; i++)
		fmt_get(x[i], f, s[i]);
	t = kind == '+' ? mpfr_add(r, x[0], x[1], rnd) : kind == '*' ? mpfr_mul(r, x[0], x[1], rnd) : mpfr_fma(r, x[0], x[1], x[2], rnd);
	v = flushed_out(f, fmt_put(f, r, t, rnd));
	mpfr_clears(x[0], x[1], x[2], r, (mpfr_ptr)0);
	return v;
}

static uint64_t clamp_float(const struct fmt *f, uint64_t v, bool clamp)
{
	uint64_t one = (uint64_t)(f->emax - 1) << (f->p - 1);

	if (!clamp)
		return v;
	if (fmt_is_nan(f, v))
		return mode & MODE_DX10 ? 0 : v | fmt_quiet(f);
	return v & fmt_sign(f) ? 0 : v > one ? one : v;
}

#define PACKED(NAME, KIND)                                                                                             \
	REF(NAME)                                                                                                      \
	{                                                                                                              \
		uint64_t lo = once(&fmt_h, KIND, s[0] & 0xffff, s[1] & 0xffff, s[2] & 0xffff);                         \
		uint64_t hi = once(&fmt_h, KIND, s[0] >> 16, s[1] >> 16, s[2] >> 16);                                  \
		return clamp_float(&fmt_h, lo, in->clamp) | clamp_float(&fmt_h, hi, in->clamp) << 16;                  \
	}
PACKED(pk_add, '+')
PACKED(pk_mul, '*')
PACKED(pk_fma, 'f')

REF(pk_min)
{
	uint64_t lo[2] = {s[0] & 0xffff, s[1] & 0xffff}, hi[2] = {s[0] >> 16, s[1] >> 16};

	return clamp_float(&fmt_h, min_f16(lo, in), in->clamp) | clamp_float(&fmt_h, min_f16(hi, in), in->clamp) << 16;
}

REF(pk_max)
{
	uint64_t lo[2] = {s[0] & 0xffff, s[1] & 0xffff}, hi[2] = {s[0] >> 16, s[1] >> 16};

	return clamp_float(&fmt_h, max_f16(lo, in), in->clamp) | clamp_float(&fmt_h, max_f16(hi, in), in->clamp) << 16;
}

#define PACKED32(NAME, KIND)                                                                                           \
	REF(NAME)                                                                                                      \
	{                                                                                                              \
		uint64_t lo = once(&fmt_f, KIND, (uint32_t)s[0], (uint32_t)s[1], (uint32_t)s[2]);                      \
		uint64_t hi = once(&fmt_f, KIND, s[0] >> 32, s[1] >> 32, s[2] >> 32);                                  \
		return clamp_float(&fmt_f, lo, in->clamp) | clamp_float(&fmt_f, hi, in->clamp) << 32;                  \
	}
PACKED32(pk_add32, '+')
PACKED32(pk_mul32, '*')
PACKED32(pk_fma32, 'f')

/* c + low product, rounded, then + high product, rounded; to nearest, denormals flushed whatever MODE says. NaN: of a0, b0, c. */
REF(dot2_f32_f16)
{
	uint64_t h[4] = {s[0] & 0xffff, s[1] & 0xffff, s[0] >> 16, s[1] >> 16}, c = fmt_flush(&fmt_f, s[2]), v;
	mpfr_t p, q, a;
	int t;

	mpfr_inits2(53, p, q, (mpfr_ptr)0);
	mpfr_init2(a, 24);
	fmt_get(a, &fmt_f, c);
	for (unsigned k = 0; k < 4; k += 2) {
		fmt_get(p, &fmt_h, fmt_flush(&fmt_h, h[k]));
		fmt_get(q, &fmt_h, fmt_flush(&fmt_h, h[k + 1]));
		mpfr_mul(p, p, q, MPFR_RNDN); /* exact */
		t = mpfr_add(a, a, p, MPFR_RNDN);
		v = fmt_put(&fmt_f, a, t, MPFR_RNDN);
		fmt_get(a, &fmt_f, v);
	}
	v = mpfr_nan_p(a) ? fmt_default_nan(&fmt_f) : fmt_flush(&fmt_f, fmt_put(&fmt_f, a, 0, MPFR_RNDN));
	mpfr_clears(p, q, a, (mpfr_ptr)0);
	if (v == fmt_default_nan(&fmt_f)) {
		if (fmt_is_nan(&fmt_h, h[0]))
			v = fmt_convert_nan(&fmt_f, &fmt_h, h[0]);
		else if (fmt_is_nan(&fmt_h, h[1]))
			v = fmt_convert_nan(&fmt_f, &fmt_h, h[1]);
		else if (fmt_is_nan(&fmt_f, c))
			v = c | fmt_quiet(&fmt_f);
	}
	return clamp_float(&fmt_f, v, in->clamp);
}

static uint64_t saturated(wide v, wide lo, wide hi, bool clamp)
{
	return (uint64_t)(!clamp ? v : v < lo ? lo : v > hi ? hi : v);
}

static wide field(uint64_t v, unsigned i, unsigned width, bool sign)
{
	wide x = (wide)(v >> (i * width) & ((1u << width) - 1));

	return sign && x >> (width - 1) ? x - ((wide)1 << width) : x;
}

#define DOT(NAME, WIDTH, SIGN)                                                                                         \
	REF(NAME)                                                                                                      \
	{                                                                                                              \
		wide sum = SIGN ? (wide)(int32_t)s[2] : (wide)(uint32_t)s[2];                                          \
		for (unsigned i = 0; i < 32 / WIDTH; i++)                                                              \
			sum += field(s[0], i, WIDTH, SIGN) * field(s[1], i, WIDTH, SIGN);                              \
		return saturated(sum, SIGN ? INT32_MIN : 0, SIGN ? (wide)INT32_MAX : (wide)UINT32_MAX, in->clamp);     \
	}
DOT(dot2_i, 16, true)
DOT(dot2_u, 16, false)
DOT(dot4_i, 8, true)
DOT(dot4_u, 8, false)
DOT(dot8_i, 4, true)
DOT(dot8_u, 4, false)

static void test_packed(void **state)
{
	static const struct rule rules[] = {
		{ISA_V_PK_ADD_F16, 'u', "pp", pk_add, true, true},     {ISA_V_PK_MUL_F16, 'u', "pp", pk_mul, true, true},
		{ISA_V_PK_FMA_F16, 'u', "ppp", pk_fma, true, true},    {ISA_V_PK_MIN_F16, 'u', "pp", pk_min, true, true},
		{ISA_V_PK_MAX_F16, 'u', "pp", pk_max, true, true},     {ISA_V_PK_ADD_F32, 'U', "UU", pk_add32, true, true},
		{ISA_V_PK_MUL_F32, 'U', "UU", pk_mul32, true, true},   {ISA_V_PK_FMA_F32, 'U', "UUU", pk_fma32, true, true},
		{ISA_V_DOT2_F32_F16, 'u', "ppf", dot2_f32_f16, true, false}, {ISA_V_DOT2_I32_I16, 'u', "uuu", dot2_i, true, false},
		{ISA_V_DOT2_U32_U16, 'u', "uuu", dot2_u, true, false}, {ISA_V_DOT4_I32_I8, 'u', "uuu", dot4_i, true, false},
		{ISA_V_DOT4_U32_U8, 'u', "uuu", dot4_u, true, false},  {ISA_V_DOT8_I32_I4, 'u', "uuu", dot8_i, true, false},
		{ISA_V_DOT8_U32_U4, 'u', "uuu", dot8_u, true, false},  {ISA_V_DOT2C_I32_I16, 'u', "uuo", dot2_i, true, false},
		{ISA_V_DOT4C_I32_I8, 'u', "uuo", dot4_i, true, false}, {ISA_V_DOT8C_I32_I4, 'u', "uuo", dot8_i, true, false},
	};

	CHECK(rules);
}

/* ------------------------------------------------------------------ integers, in 128 bits */

#define I32(k) ((wide)(int32_t)s[k])
#define U32(k) ((wide)(uint32_t)s[k])
#define I16(k) ((wide)(int16_t)s[k])
#define U16(k) ((wide)(uint16_t)s[k])
#define I24(k) field(s[k], 0, 24, true)
#define U24(k) field(s[k], 0, 24, false)
#define SAT_U32(v) saturated(v, 0, UINT32_MAX, in->clamp)
#define SAT_I32(v) saturated(v, INT32_MIN, INT32_MAX, in->clamp)
#define SAT_U16(v) saturated(v, 0, UINT16_MAX, in->clamp)
#define SAT_I16(v) saturated(v, INT16_MIN, INT16_MAX, in->clamp)
#define INT_REF(NAME, EXPR)                                                                                            \
	REF(NAME)                                                                                                      \
	{                                                                                                              \
		return EXPR;                                                                                           \
	}

static wide distance(wide a, wide b)
{
	return a < b ? b - a : a - b;
}

static wide sad(const uint64_t *s, unsigned width, bool masked)
{
	wide sum = 0;

	for (unsigned i = 0; i < 32 / width; i++)
		if (!masked || field(s[1], i, width, false))
			sum += distance(field(s[0], i, width, false), field(s[1], i, width, false));
	return sum;
}

/* Bits [off, off + width) of 64, sign-extended or not; for width 0 nothing. */
static uint64_t extract(wide v, unsigned off, unsigned width, bool sign)
{
	wide x = width ? (v >> off) & (((wide)1 << width) - 1) : 0;

	if (sign && width && (x >> (width - 1) & 1))
		x -= (wide)1 << width;
	return (uint64_t)x;
}

static uint64_t merge(uint64_t mask, uint64_t a, uint64_t b)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 32; i++)
		v |= ((mask >> i & 1 ? a : b) >> i & 1) << i;
	return v;
}

static uint64_t carryless(wide v, bool clamp, bool add)
{
	if (clamp && (v < 0 || v > (wide)UINT32_MAX))
		return add ? UINT32_MAX : 0;
	return (uint64_t)v;
}

INT_REF(r_add_u32, SAT_U32(U32(0) + U32(1)))
INT_REF(r_sub_u32, SAT_U32(U32(0) - U32(1)))
INT_REF(r_subrev_u32, SAT_U32(U32(1) - U32(0)))
INT_REF(r_add_co, carryless(U32(0) + U32(1), in->clamp, true))
INT_REF(r_sub_co, carryless(U32(0) - U32(1), in->clamp, false))
INT_REF(r_add_i32, SAT_I32(I32(0) + I32(1)))
INT_REF(r_sub_i32, SAT_I32(I32(0) - I32(1)))
INT_REF(r_add_u16, SAT_U16(U16(0) + U16(1)))
INT_REF(r_sub_u16, SAT_U16(U16(0) - U16(1)))
INT_REF(r_add_i16, SAT_I16(I16(0) + I16(1)))
INT_REF(r_sub_i16, SAT_I16(I16(0) - I16(1)))
INT_REF(r_mad_u16, SAT_U16(U16(0) * U16(1) + U16(2)))
INT_REF(r_mad_i16, SAT_I16(I16(0) * I16(1) + I16(2)))
INT_REF(r_mul_lo, (uint64_t)(U32(0) * U32(1)))
INT_REF(r_mul_hi_u, (uint64_t)((U32(0) * U32(1)) >> 32))
INT_REF(r_mul_hi_i, (uint64_t)((I32(0) * I32(1)) >> 32))
INT_REF(r_mul_i24, (uint64_t)(I24(0) * I24(1)))
INT_REF(r_mul_hi_i24, (uint64_t)((I24(0) * I24(1)) >> 32))
INT_REF(r_mul_u24, (uint64_t)(U24(0) * U24(1)))
INT_REF(r_mul_hi_u24, (uint64_t)((U24(0) * U24(1)) >> 32))
INT_REF(r_mad_i24, SAT_I32(I24(0) * I24(1) + I32(2)))
INT_REF(r_mad_u24, SAT_U32(U24(0) * U24(1) + U32(2)))
INT_REF(r_mad_u32_u16, SAT_U32(U16(0) * U16(1) + U32(2)))
INT_REF(r_mad_i32_i16, SAT_I32(I16(0) * I16(1) + I32(2)))
INT_REF(r_mad_u64, saturated((wide)(uint32_t)s[0] * (uint32_t)s[1] + (wide)s[2], 0, UINT64_MAX, in->clamp))
INT_REF(r_mad_i64, saturated(I32(0) * I32(1) + (wide)(int64_t)s[2], INT64_MIN, INT64_MAX, in->clamp))
INT_REF(r_sad_u8, SAT_U32(sad(s, 8, false) + U32(2)))
INT_REF(r_sad_hi_u8, SAT_U32((sad(s, 8, false) << 16) + U32(2)))
INT_REF(r_sad_u16, SAT_U32(sad(s, 16, false) + U32(2)))
INT_REF(r_sad_u32, SAT_U32(distance(U32(0), U32(1)) + U32(2)))
INT_REF(r_msad_u8, SAT_U32(sad(s, 8, true) + U32(2)))
INT_REF(r_bfe_u, extract(U32(0), s[1] % 32, s[2] % 32, false))
INT_REF(r_bfe_i, extract(I32(0), s[1] % 32, s[2] % 32, true))
INT_REF(r_bfi, merge(s[0], s[1], s[2]))
INT_REF(r_bfm, extract(-1, 0, s[0] % 32, false) << s[1] % 32)
INT_REF(r_alignbit, extract((wide)s[0] << 32 | (wide)s[1], s[2] % 32, 32, false))
INT_REF(r_alignbyte, extract((wide)s[0] << 32 | (wide)s[1], 8 * (s[2] % 4), 32, false))
INT_REF(r_ashr64, (uint64_t)((wide)(int64_t)s[1] >> s[0] % 64))
INT_REF(r_lshr64, extract((wide)s[1], s[0] % 64, 64, false))
INT_REF(r_lshl64, (uint64_t)((wide)s[1] << s[0] % 64))

static void test_integer(void **state)
{
	static const struct rule rules[] = {
		{ISA_V_ADD_U32, 'u', "uu", r_add_u32, true, false},	  {ISA_V_SUB_U32, 'u', "uu", r_sub_u32, true, false},
		{ISA_V_SUBREV_U32, 'u', "uu", r_subrev_u32, true, false}, {ISA_V_ADD_CO_U32, 'u', "uu", r_add_co, true, false},
		{ISA_V_SUB_CO_U32, 'u', "uu", r_sub_co, true, false},	  {ISA_V_ADD_I32, 'u', "uu", r_add_i32, true, false},
		{ISA_V_SUB_I32, 'u', "uu", r_sub_i32, true, false},	  {ISA_V_ADD_U16, 'w', "ww", r_add_u16, true, false},
		{ISA_V_SUB_U16, 'w', "ww", r_sub_u16, true, false},	  {ISA_V_ADD_I16, 'w', "ww", r_add_i16, true, false},
		{ISA_V_SUB_I16, 'w', "ww", r_sub_i16, true, false},	  {ISA_V_MAD_U16, 'w', "www", r_mad_u16, true, false},
		{ISA_V_MAD_I16, 'w', "www", r_mad_i16, true, false},	  {ISA_V_MAD_LEGACY_U16, 'w', "www", r_mad_u16, true, false},
		{ISA_V_MAD_LEGACY_I16, 'w', "www", r_mad_i16, true, false}, {ISA_V_MUL_LO_U32, 'u', "uu", r_mul_lo, false, false},
		{ISA_V_MUL_HI_U32, 'u', "uu", r_mul_hi_u, false, false},  {ISA_V_MUL_HI_I32, 'u', "uu", r_mul_hi_i, false, false},
		{ISA_V_MUL_I32_I24, 'u', "uu", r_mul_i24, false, false},  {ISA_V_MUL_HI_I32_I24, 'u', "uu", r_mul_hi_i24, false, false},
		{ISA_V_MUL_U32_U24, 'u', "uu", r_mul_u24, false, false},  {ISA_V_MUL_HI_U32_U24, 'u', "uu", r_mul_hi_u24, false, false},
		{ISA_V_MAD_I32_I24, 'u', "uuu", r_mad_i24, true, false},  {ISA_V_MAD_U32_U24, 'u', "uuu", r_mad_u24, true, false},
		{ISA_V_MAD_U32_U16, 'u', "wwu", r_mad_u32_u16, true, false}, {ISA_V_MAD_I32_I16, 'u', "wwu", r_mad_i32_i16, true, false},
		{ISA_V_MAD_U64_U32, 'U', "uuU", r_mad_u64, true, false},  {ISA_V_MAD_I64_I32, 'U', "uuU", r_mad_i64, true, false},
		{ISA_V_SAD_U8, 'u', "uuu", r_sad_u8, true, false},	  {ISA_V_SAD_HI_U8, 'u', "uuu", r_sad_hi_u8, true, false},
		{ISA_V_SAD_U16, 'u', "uuu", r_sad_u16, true, false},	  {ISA_V_SAD_U32, 'u', "uuu", r_sad_u32, true, false},
		{ISA_V_MSAD_U8, 'u', "uuu", r_msad_u8, true, false},	  {ISA_V_BFE_U32, 'u', "uuu", r_bfe_u, false, false},
		{ISA_V_BFE_I32, 'u', "uuu", r_bfe_i, false, false},	  {ISA_V_BFI_B32, 'u', "uuu", r_bfi, false, false},
		{ISA_V_BFM_B32, 'u', "uu", r_bfm, false, false},	  {ISA_V_ALIGNBIT_B32, 'u', "uuu", r_alignbit, false, false},
		{ISA_V_ALIGNBYTE_B32, 'u', "uuu", r_alignbyte, false, false}, {ISA_V_ASHRREV_I64, 'U', "uU", r_ashr64, false, false},
		{ISA_V_LSHRREV_B64, 'U', "uU", r_lshr64, false, false},	  {ISA_V_LSHLREV_B64, 'U', "uU", r_lshl64, false, false},
	};

	CHECK(rules);
}

/* ------------------------------------------------------------------ what these tests have found */

static void test_found(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_DIV_FMAS_F64, 3);

	/* an overflow that the scaling takes back */
	vt_reset();
	WAVE_VCC(&vt.w) = 1;
	put(VT_SRC, 0, 0x7fd0000000000000, 'd');
	put(VT_SRC + 4, 0, 0x40a0b7f1a976fba0, 'd');
	put(VT_SRC + 8, 0, 1ull << 63, 'd');
	vt_run(&in);
	assert_true(reg64(VT_DST, 0) == 0x7880b7f1a976fba0);

	/* 16399.4995...: rounded to an f32 first it was a tie */
	in = vt_inst(ISA_V_CVT_NORM_I16_F16, 1);
	vt_reset();
	vt.v[VT_SRC][0] = 0x3801;
	vt_run(&in);
	assert_int_equal(vt.v[VT_DST][0], 0x400f);

	/* a NaN that the minimum has chosen stays when there is a clamp */
	in = vt_inst(ISA_V_PK_MIN_F16, 2);
	in.op_sel_hi = 3;
	in.clamp = true;
	vt_reset();
	vt.w.mode = 0x29b;
	vt.v[VT_SRC][0] = 0xfdff0000;
	vt.v[VT_SRC + 4][0] = 0xb1ab0000;
	vt_run(&in);
	assert_int_equal(vt.v[VT_DST][0], 0xffff0000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_minmax),	   cmocka_unit_test(test_compare),  cmocka_unit_test(test_div_fmas),
		cmocka_unit_test(test_div_fixup),  cmocka_unit_test(test_division), cmocka_unit_test(test_to_integer),
		cmocka_unit_test(test_packed),	   cmocka_unit_test(test_integer),  cmocka_unit_test(test_found),
	};

	if (argc > 1)
		oracle_effort = (unsigned)atoi(argv[1]);
	return cmocka_run_group_tests_name("oracle-rules", tests, NULL, NULL);
}
