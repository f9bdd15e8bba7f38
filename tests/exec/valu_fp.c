/* SPDX-License-Identifier: MIT */
/*
 * valu_fp.c - floating-point sequences and approximations of the vector ALU: division as clang
 * emits it is correctly rounded, transcendentals against long double, argument reduction of large
 * angles, matrix operations.
 */
#include <fenv.h>

#include "tests/exec/valu_test.h"

static void set32(unsigned reg, char type)
{
	for (unsigned l = 0; l < WAVE_LANES; l++)
		vt.v[reg][l] = (uint32_t)vt_value(type);
}

static void set64(unsigned reg)
{
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		uint64_t v = vt_value('d');

		vt.v[reg][l] = (uint32_t)v;
		vt.v[reg + 1][l] = (uint32_t)(v >> 32);
	}
}

static double get64(unsigned reg, unsigned l)
{
	return vt_f64(vt.v[reg][l] | (uint64_t)vt.v[reg + 1][l] << 32);
}

/* dst = op(a, b, c); a register number with NEG set is negated. */
#define NEG 0x100
#define ONE 0x200 /* the constant 1.0 */
static void op3(enum isa_op op, unsigned dst, unsigned a, unsigned b, unsigned c, uint64_t one)
{
	struct isa_inst in = vt_inst(op, 3);
	unsigned r[3] = {a, b, c};

	in.dst[0].index = (uint16_t)dst;
	in.dst[1].index = SGPR_VCC;
	for (unsigned i = 0; i < 3; i++) {
		in.src[i].index = r[i] & 0xff;
		if (r[i] & NEG)
			in.neg |= (uint8_t)(1 << i);
		if (r[i] & ONE) {
			in.src[i].kind = ISA_OPND_CONST;
			in.src[i].value = one;
		}
	}
	vt_run(&in);
}

/* LLVM's expansion of an IEEE f32 fdiv: x in v30, y in v31, result v40. */
static void divide32(void)
{
	const uint64_t one = 0x3f800000;

	op3(ISA_V_DIV_SCALE_F32, 32, 31, 31, 30, one); /* denominator */
	op3(ISA_V_RCP_F32, 33, 32, 0, 0, one);
	op3(ISA_V_FMA_F32, 34, 32 | NEG, 33, ONE, one);
	op3(ISA_V_FMA_F32, 33, 34, 33, 33, one);
	op3(ISA_V_DIV_SCALE_F32, 35, 30, 31, 30, one); /* numerator, and VCC */
	op3(ISA_V_MUL_F32, 36, 35, 33, 0, one);
	op3(ISA_V_FMA_F32, 37, 32 | NEG, 36, 35, one);
	op3(ISA_V_FMA_F32, 36, 37, 33, 36, one);
	op3(ISA_V_FMA_F32, 37, 32 | NEG, 36, 35, one);
	op3(ISA_V_DIV_FMAS_F32, 38, 37, 33, 36, one);
	op3(ISA_V_DIV_FIXUP_F32, 40, 38, 31, 30, one);
}

static void test_divide_f32(void **state)
{
	for (unsigned n = 0; n < 3000; n++) {
		vt_reset();
		set32(30, 'f');
		set32(31, 'f');
		divide32();
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			float x = vt_f32(vt.v[30][l]), y = vt_f32(vt.v[31][l]), want = x / y;
			uint32_t got = vt.v[40][l];

			if (isnan(want) ? !isnan(vt_f32(got)) : got != vt_of_f32(want))
				fail_msg("%a / %a: 0x%08x, not %a", x, y, got, want);
		}
	}
}

/* x in v30, y in v32, result v60. */
static void divide64(void)
{
	const uint64_t one = 0x3ff0000000000000ull;

	op3(ISA_V_DIV_SCALE_F64, 34, 32, 32, 30, one);
	op3(ISA_V_RCP_F64, 36, 34, 0, 0, one);
	op3(ISA_V_FMA_F64, 38, 34 | NEG, 36, ONE, one);
	op3(ISA_V_FMA_F64, 36, 36, 38, 36, one);
	op3(ISA_V_FMA_F64, 38, 34 | NEG, 36, ONE, one);
	op3(ISA_V_FMA_F64, 36, 36, 38, 36, one);
	op3(ISA_V_DIV_SCALE_F64, 40, 30, 32, 30, one);
	op3(ISA_V_MUL_F64, 42, 40, 36, 0, one);
	op3(ISA_V_FMA_F64, 44, 34 | NEG, 42, 40, one);
	op3(ISA_V_DIV_FMAS_F64, 46, 44, 36, 42, one);
	op3(ISA_V_DIV_FIXUP_F64, 60, 46, 32, 30, one);
}

static void test_divide_f64(void **state)
{
	for (unsigned n = 0; n < 2000; n++) {
		vt_reset();
		set64(30);
		set64(32);
		divide64();
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double x = get64(30, l), y = get64(32, l), want = x / y, got = get64(60, l);

			if (isnan(want) ? !isnan(got) : vt_of_f64(got) != vt_of_f64(want))
				fail_msg("%a / %a: %a, not %a", x, y, got, want);
		}
	}
}

/* f16: rcp in f32, multiply, round, fix up. Every quotient of 64 denominators. */
static void test_divide_f16(void **state)
{
	for (unsigned n = 0; n < 500; n++) {
		vt_reset();
		set32(30, 'h');
		set32(31, 'h');
		op3(ISA_V_CVT_F32_F16, 32, 30, 0, 0, 0);
		op3(ISA_V_CVT_F32_F16, 33, 31, 0, 0, 0);
		op3(ISA_V_RCP_F32, 33, 33, 0, 0, 0);
		op3(ISA_V_MUL_F32, 34, 32, 33, 0, 0);
		op3(ISA_V_CVT_F16_F32, 35, 34, 0, 0, 0);
		op3(ISA_V_DIV_FIXUP_F16, 36, 35, 31, 30, 0);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double x = vt_h2d(vt.v[30][l]), y = vt_h2d(vt.v[31][l]);
			uint32_t want = vt_d2h((long double)x / y, 0), got = vt.v[36][l];

			if (isnan(x / y))
				assert_true((got & 0x7fff) > 0x7c00);
			else if (got != want)
				/* this sequence is allowed 1 ulp; special cases are exact */
				assert_true(isfinite(x) && isfinite(y) && y != 0 &&
					    (got - want == 1 || want - got == 1));
		}
	}
}

/* ---- transcendentals ---- */

static long double sin_turns(long double x)
{
	long double r = x - rintl(x);

	return isinf(x)		? NAN
	       : fabsl(x) > 256 ? 0
				: sinl(r * 2 * 3.14159265358979323846264338327950288L);
}

static long double cos_turns(long double x)
{
	long double r = x - rintl(x);

	return isinf(x)		? NAN
	       : fabsl(x) > 256 ? 1
				: cosl(r * 2 * 3.14159265358979323846264338327950288L);
}

static long double rsq(long double x)
{
	return 1 / sqrtl(x);
}

static long double rcp(long double x)
{
	return 1 / x;
}

static const struct {
	enum isa_op f32, f16;
	long double (*fn)(long double);
	float near; /* random arguments up to this */
} units[] = {
	{ISA_V_EXP_F32, ISA_V_EXP_F16, exp2l, 140},
	{ISA_V_LOG_F32, ISA_V_LOG_F16, log2l, 0},
	{ISA_V_SIN_F32, ISA_V_SIN_F16, sin_turns, 300},
	{ISA_V_COS_F32, ISA_V_COS_F16, cos_turns, 300},
	{ISA_V_RSQ_F32, ISA_V_RSQ_F16, rsq, 0},
	{ISA_V_RCP_F32, ISA_V_RCP_F16, rcp, 0},
	{ISA_V_SQRT_F32, ISA_V_SQRT_F16, sqrtl, 0},
	{ISA_V_EXP_LEGACY_F32, ISA_V_EXP_F16, exp2l, 140},
	{ISA_V_LOG_LEGACY_F32, ISA_V_LOG_F16, log2l, 0},
};

static uint32_t flushed(uint32_t u)
{
	return u & 0x7f800000 ? u : u & 0x80000000;
}

/* At most one ulp off, and in nearly all cases the correctly rounded value; denormals flushed on
 * both sides. */
static void test_transcendental_f32(void **state)
{
	for (unsigned t = 0; t < sizeof(units) / sizeof(units[0]); t++) {
		unsigned off = 0;

		for (unsigned n = 0; n < 1000; n++) {
			vt_reset();
			set32(VT_SRC, 'f');
			if (n & 1 && units[t].near > 0)
				for (unsigned l = 0; l < WAVE_LANES; l++)
					vt.v[VT_SRC][l] = (uint32_t)vt_of_f32(
						(float)(((double)vt_rand() / 0x1p31 - 1) *
							units[t].near));
			op3(units[t].f32, VT_DST, VT_SRC, 0, 0, 0);
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				float x = vt_f32(flushed(vt.v[VT_SRC][l])),
				      want = (float)units[t].fn(x);
				uint32_t got = vt.v[VT_DST][l],
					 w = flushed((uint32_t)vt_of_f32(want));

				if (isnan(want)) {
					assert_true(isnan(vt_f32(got)));
					continue;
				}
				/* zeros at multiples of half a turn are exact, here and not in the
				 * reference */
				if (got == w ||
				    (fabsf(want) < 1e-16f && vt_f32(got) == 0 && fabsf(x) > 1e-3f))
					continue;
				off++;
				if (got - w != 1 && w - got != 1)
					fail_msg("%s(%a): %a, not %a", isa_op_name(units[t].f32), x,
						 vt_f32(got), want);
			}
		}
		assert_true(off <= 2);
	}
}

static void test_transcendental_f16(void **state)
{
	for (unsigned t = 0; t < sizeof(units) / sizeof(units[0]); t++)
		for (unsigned base = 0; base < 65536; base += WAVE_LANES) {
			vt_reset();
			for (unsigned l = 0; l < WAVE_LANES; l++)
				vt.v[VT_SRC][l] = base + l;
			op3(units[t].f16, VT_DST, VT_SRC, 0, 0, 0);
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				double x = vt_h2d(base + l);
				uint32_t got = vt.v[VT_DST][l], w = vt_d2h(units[t].fn(x), 0);

				if ((w & 0x7fff) > 0x7c00)
					assert_true((got & 0x7fff) > 0x7c00);
				else if (got != w && !((w & 0x7fff) == 0 && (got & 0x7fff) == 0 &&
						       x != 0)) /* -0 */
					fail_msg("%s(%a): 0x%04x, not 0x%04x",
						 isa_op_name(units[t].f16), x, got, w);
			}
		}
}

static void test_rsq_f64(void **state)
{
	for (unsigned n = 0; n < 200; n++) {
		vt_reset();
		set64(VT_SRC);
		op3(ISA_V_RSQ_F64, VT_DST, VT_SRC, 0, 0, 0);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double x = get64(VT_SRC, l), got = get64(VT_DST, l), want = (double)rsq(x);

			if (isnan(want))
				assert_true(isnan(got));
			else if (isinf(want) || want == 0)
				assert_true(vt_of_f64(got) == vt_of_f64(want));
			else
				assert_true(fabs(got - want) <= fabs(want) * 0x1p-51);
		}
	}
}

/* Every f16 to f32, and back in all rounding modes from values between them. */
static void test_f16_conversion(void **state)
{
	for (unsigned base = 0; base < 65536; base += WAVE_LANES) {
		vt_reset();
		for (unsigned l = 0; l < WAVE_LANES; l++)
			vt.v[VT_SRC][l] = base + l;
		op3(ISA_V_CVT_F32_F16, VT_DST, VT_SRC, 0, 0, 0);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double d = vt_h2d(base + l);

			if (isnan(d))
				assert_true(isnan(vt_f32(vt.v[VT_DST][l])));
			else
				assert_int_equal(vt.v[VT_DST][l], vt_of_f32((float)d));
		}
	}
	for (unsigned rm = 0; rm < 4; rm++)
		for (unsigned n = 0; n < 2000; n++) {
			vt_reset();
			vt.w.mode = (VT_MODE & ~0xcu) | rm << 2;
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				/* an f16, half way to the next, or a hair off these */
				uint32_t f = (uint32_t)vt_of_f32((float)vt_h2d(vt_rand() & 0xffff));

				f += vt_rand() & 1 ? 0x1000 : 0;
				f += vt_rand() % 3 - 1;
				vt.v[VT_SRC][l] = n & 3 ? f : (uint32_t)vt_value('f');
			}
			op3(ISA_V_CVT_F16_F32, VT_DST, VT_SRC, 0, 0, 0);
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				float x = vt_f32(vt.v[VT_SRC][l]);

				if (isnan(x))
					assert_true((vt.v[VT_DST][l] & 0x7fff) > 0x7c00);
				else if (vt.v[VT_DST][l] != vt_d2h(x, rm))
					fail_msg("rm %u, %a: 0x%04x, not 0x%04x", rm, x,
						 vt.v[VT_DST][l], vt_d2h(x, rm));
			}
		}
}

/* ---- large angles ---- */

static __float128 atan_inverse(int x)
{
	__float128 sum = 0, term = (__float128)1 / x;

	for (int n = 1; n < 200; n += 2) {
		sum += n % 4 == 1 ? term / n : -term / n;
		term /= x * x;
	}
	return sum;
}

/* x mod (pi/2) from three segments of 2/pi gives the same sine as libm. */
static void test_trig_preop(void **state)
{
	__float128 half_pi = 8 * atan_inverse(5) - 2 * atan_inverse(239);

	for (unsigned n = 0; n < 100; n++) {
		vt_reset();
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			uint64_t x = (vt_rand64() & 0xfffffffffffffull) |
				     (uint64_t)(1025 + vt_rand() % 1021) << 52;

			vt.v[VT_SRC][l] = (uint32_t)x;
			vt.v[VT_SRC + 1][l] = (uint32_t)(x >> 32);
			for (unsigned s = 0; s < 3; s++)
				vt.v[20 + s][l] = s;
		}
		for (unsigned s = 0; s < 3; s++)
			op3(ISA_V_TRIG_PREOP_F64, 30 + 2 * s, VT_SRC, 20 + s, 0, 0);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double x = get64(VT_SRC, l), scaled = x >= 0x1p945 ? x * 0x1p-128 : x;
			__float128 turns = 0;
			long double rest, want;
			int quadrant;

			for (unsigned s = 0; s < 3; s++) {
				__float128 p = (__float128)get64(30 + 2 * s, l) * scaled;

				if (p > 0x1p100) /* only multiples of 4 up there */
					p -= (__float128)0x1p56 *
					     (__float128)(__int128)(p / 0x1p56);
				turns += p - 4 * (__float128)(__int128)(p / 4);
			}
			turns -= 4 * (__float128)(__int128)(turns / 4);
			quadrant = (int)turns;
			rest = (long double)((turns - quadrant) * half_pi);
			want = quadrant & 1 ? cosl(rest) : sinl(rest);
			want = quadrant & 2 ? -want : want;
			if (fabsl(want - sin(x)) > 0x1p-45)
				fail_msg("sin(%a) %a, by segments %La", x, sin(x), want);
		}
	}
}

/* ---- matrices ---- */

static const struct matrix {
	enum isa_op op;
	char type; /* f f32, d f64, h f16, b bf16, i i8 */
	unsigned m, k, blocks, pack;
} matrices[] = {
	{ISA_V_MFMA_F32_32X32X1F32, 'f', 32, 1, 2, 1},
	{ISA_V_MFMA_F32_16X16X1F32, 'f', 16, 1, 4, 1},
	{ISA_V_MFMA_F32_4X4X1F32, 'f', 4, 1, 16, 1},
	{ISA_V_MFMA_F32_32X32X2F32, 'f', 32, 2, 1, 1},
	{ISA_V_MFMA_F32_16X16X4F32, 'f', 16, 4, 1, 1},
	{ISA_V_MFMA_F64_16X16X4F64, 'd', 16, 4, 1, 1},
	{ISA_V_MFMA_F64_4X4X4F64, 'd', 4, 4, 4, 1},
	{ISA_V_MFMA_F32_32X32X4F16, 'h', 32, 4, 2, 4},
	{ISA_V_MFMA_F32_16X16X4F16, 'h', 16, 4, 4, 4},
	{ISA_V_MFMA_F32_4X4X4F16, 'h', 4, 4, 16, 4},
	{ISA_V_MFMA_F32_32X32X8F16, 'h', 32, 8, 1, 4},
	{ISA_V_MFMA_F32_16X16X16F16, 'h', 16, 16, 1, 4},
	{ISA_V_MFMA_F32_32X32X2BF16, 'b', 32, 2, 2, 2},
	{ISA_V_MFMA_F32_16X16X2BF16, 'b', 16, 2, 4, 2},
	{ISA_V_MFMA_F32_4X4X2BF16, 'b', 4, 2, 16, 2},
	{ISA_V_MFMA_F32_32X32X4BF16, 'b', 32, 4, 1, 2},
	{ISA_V_MFMA_F32_16X16X8BF16, 'b', 16, 8, 1, 2},
	{ISA_V_MFMA_F32_32X32X4BF16_1K, 'b', 32, 4, 2, 4},
	{ISA_V_MFMA_F32_16X16X4BF16_1K, 'b', 16, 4, 4, 4},
	{ISA_V_MFMA_F32_4X4X4BF16_1K, 'b', 4, 4, 16, 4},
	{ISA_V_MFMA_F32_32X32X8BF16_1K, 'b', 32, 8, 1, 4},
	{ISA_V_MFMA_F32_16X16X16BF16_1K, 'b', 16, 16, 1, 4},
	{ISA_V_MFMA_I32_32X32X4I8, 'i', 32, 4, 2, 4},
	{ISA_V_MFMA_I32_16X16X4I8, 'i', 16, 4, 4, 4},
	{ISA_V_MFMA_I32_4X4X4I8, 'i', 4, 4, 16, 4},
	{ISA_V_MFMA_I32_32X32X8I8, 'i', 32, 8, 1, 4},
	{ISA_V_MFMA_I32_16X16X16I8, 'i', 16, 16, 1, 4},
};

/* Small whole numbers: every order of summation is exact. Stores a number as the type's bits at
 * element p of a register. */
static void put_number(char type, unsigned reg, unsigned lane, unsigned p, int v)
{
	uint64_t d = vt_of_f64(v);
	unsigned r = reg + p / 2, shift = p % 2 * 16;

	switch (type) {
	case 'f':
		vt.v[reg][lane] = (uint32_t)vt_of_f32((float)v);
		break;
	case 'd':
		vt.v[reg][lane] = (uint32_t)d;
		vt.v[reg + 1][lane] = (uint32_t)(d >> 32);
		break;
	case 'i':
		vt.v[reg][lane] = (vt.v[reg][lane] & ~(0xffu << 8 * p)) | (uint32_t)(v & 0xff)
										  << 8 * p;
		break;
	default:
		vt.v[r][lane] = (vt.v[r][lane] & ~(0xffffu << shift)) |
				(type == 'h' ? vt_d2h(v, 0) : (uint32_t)vt_of_f32((float)v) >> 16)
					<< shift;
	}
}

static int get_number(char type, unsigned reg, unsigned lane)
{
	if (type == 'd')
		return (int)get64(reg, lane);
	return type == 'i' ? (int)vt.v[reg][lane] : (int)vt_f32(vt.v[reg][lane]);
}

/*
 * The reverse mapping: goes through lanes and registers and asks which element each holds (the
 * product's address in a lane: row and column from lane and register number).
 */
static void check_matrix(const struct matrix *t)
{
	static int a[16][32][16], b[16][32][16], c[16][32][32];
	unsigned cregs = t->m * t->m * t->blocks / WAVE_LANES * (t->type == 'd' ? 2 : 1);
	enum { A = 40, B = 44, C = 48, D = 0 };
	struct isa_inst in = vt_inst(t->op, 3);
	unsigned step = t->type == 'd' ? 2 : 1;

	vt_reset();
	WAVE_EXEC(&vt.w) = 1; /* does not matter */
	in.src[0].index = A;
	in.src[1].index = B;
	in.src[2].index = C;
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		unsigned i = l % t->m, blk = l / t->m % t->blocks,
			 k0 = l / (t->m * t->blocks) * t->pack;

		for (unsigned p = 0; p < t->pack; p++) {
			a[blk][i][k0 + p] = (int)(vt_rand() % 17) - 8;
			b[blk][i][k0 + p] = (int)(vt_rand() % 17) - 8;
			put_number(t->type, A, l, p, a[blk][i][k0 + p]);
			put_number(t->type, B, l, p, b[blk][i][k0 + p]);
		}
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		if (pass)
			vt_run(&in);
		for (unsigned r = 0; r < cregs; r += step)
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				unsigned v = r / step, i, j = l % t->m, blk;
				int want;

				if (t->type == 'd') {
					i = t->m == 16 ? l / 16 + 4 * v : l / 16;
					blk = t->m == 16 ? 0 : l / 4 % 4;
				} else if (t->m == 32) {
					i = 8 * (v / 4) % 32 + 4 * (l / 32) + v % 4;
					blk = v / 16;
				} else {
					i = t->m == 16 ? 4 * (l / 16) + v % 4 : v;
					blk = t->m == 16 ? v / 4 : l / 4;
				}
				if (!pass) {
					c[blk][i][j] = (int)(vt_rand() % 1001) - 500;
					if (t->type == 'i')
						vt.v[C + r][l] = (uint32_t)c[blk][i][j];
					else
						put_number(t->type == 'd' ? 'd' : 'f', C + r, l, 0,
							   c[blk][i][j]);
					continue;
				}
				want = c[blk][i][j];
				for (unsigned k = 0; k < t->k; k++)
					want += a[blk][i][k] * b[blk][j][k];
				if (get_number(t->type == 'd' || t->type == 'i' ? t->type : 'f',
					       D + r, l) != want)
					fail_msg("%s: block %u, %u, %u", isa_op_name(t->op), blk, i,
						 j);
			}
	}
}

static void test_matrix(void **state)
{
	for (unsigned t = 0; t < sizeof(matrices) / sizeof(matrices[0]); t++)
		for (unsigned n = 0; n < 3; n++)
			check_matrix(&matrices[t]);
}

/* cbsz/abid: all 16 blocks use A of block 5; blgp: all of B from the second 16 lanes; C is a
 * constant. */
static void test_matrix_broadcast(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_MFMA_F32_4X4X1F32, 3);

	vt_reset();
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		vt.v[VT_SRC][l] = (uint32_t)vt_of_f32((float)l);
		vt.v[VT_SRC + 4][l] = (uint32_t)vt_of_f32((float)(100 + l));
	}
	in.src[2] = (struct isa_operand){.kind = ISA_OPND_CONST, .value = 0x3f800000};
	in.cbsz = 4;
	in.abid = 5;
	in.blgp = 5;
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		for (unsigned i = 0; i < 4; i++) {
			float want = (float)(20 + i) * (float)(116 + l % 16) + 1;

			assert_int_equal(vt.v[VT_DST + i][l], vt_of_f32(want));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_divide_f32),
		cmocka_unit_test(test_divide_f64),
		cmocka_unit_test(test_divide_f16),
		cmocka_unit_test(test_transcendental_f32),
		cmocka_unit_test(test_transcendental_f16),
		cmocka_unit_test(test_rsq_f64),
		cmocka_unit_test(test_f16_conversion),
		cmocka_unit_test(test_trig_preop),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_matrix_broadcast),
	};

	return cmocka_run_group_tests_name("valu_fp", tests, NULL, NULL);
}
