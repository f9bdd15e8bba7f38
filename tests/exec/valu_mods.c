/* SPDX-License-Identifier: MIT */
/*
 * valu_mods.c - what surrounds the arithmetic of the vector ALU: operand kinds, neg, abs, omod,
 * clamp, op_sel, SDWA, DPP, MODE's rounding and denormals, GPR index mode.
 */
#include <fenv.h>

#include "tests/exec/valu_test.h"

static void set_row(unsigned reg, char type)
{
	for (unsigned l = 0; l < WAVE_LANES; l++)
		vt.v[reg][l] = (uint32_t)vt_value(type);
}

static void set_row64(unsigned reg)
{
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		uint64_t v = vt_value('d');

		vt.v[reg][l] = (uint32_t)v;
		vt.v[reg + 1][l] = (uint32_t)(v >> 32);
	}
}

static void assert_f32(uint32_t got, float want)
{
	if (isnan(want) ? !isnan(vt_f32(got)) : got != vt_of_f32(want))
		fail_msg("%a (0x%08x), not %a", vt_f32(got), got, want);
}

/* ---- operand kinds ---- */

static void test_operands(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_ADD_U32, 2);

	vt_reset();
	set_row(VT_SRC + 4, 'u');
	in.src[0] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 1, .index = 33};
	vt.w.sgpr[33] = 1000;
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		assert_int_equal(vt.v[VT_DST][l], vt.v[VT_SRC + 4][l] + 1000);
	in.src[0] = (struct isa_operand){.kind = ISA_OPND_CONST, .value = 0xffffffff};
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		assert_int_equal(vt.v[VT_DST][l], vt.v[VT_SRC + 4][l] - 1);
	in.src[0] = (struct isa_operand){.kind = ISA_OPND_SPECIAL, .index = 253};
	vt.w.scc = true;
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		assert_int_equal(vt.v[VT_DST][l], vt.v[VT_SRC + 4][l] + 1);

	/* a 64-bit scalar and a constant */
	in = vt_inst(ISA_V_LSHLREV_B64, 2);
	in.src[0] = (struct isa_operand){.kind = ISA_OPND_CONST, .value = 4};
	in.src[1] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = 40};
	vt.w.sgpr[40] = 0x89abcdef;
	vt.w.sgpr[41] = 0x01234567;
	vt_run(&in);
	assert_int_equal(vt.v[VT_DST][9], 0x9abcdef0);
	assert_int_equal(vt.v[VT_DST + 1][9], 0x12345678);

	/* lds_direct beyond LDS (there is none here) */
	in = vt_inst(ISA_V_MOV_B32, 1);
	in.src[0] = (struct isa_operand){.kind = ISA_OPND_SPECIAL, .index = 254};
	vt.v[VT_DST][3] = 1;
	vt_run(&in);
	assert_int_equal(vt.v[VT_DST][3], 0);
}

/* The destination may overlap the sources in any way. */
static void test_overlap(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_ADD_F64, 2);
	static double want[WAVE_LANES];

	for (int shift = -1; shift <= 1; shift++) {
		vt_reset();
		set_row64(20);
		set_row64(24);
		in.src[0].index = 20;
		in.src[1].index = 24;
		in.dst[0].index = (uint16_t)(20 + shift);
		for (unsigned l = 0; l < WAVE_LANES; l++)
			want[l] = vt_f64(vt.v[20][l] | (uint64_t)vt.v[21][l] << 32) +
				  vt_f64(vt.v[24][l] | (uint64_t)vt.v[25][l] << 32);
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double got =
				vt_f64(vt.v[20 + shift][l] | (uint64_t)vt.v[21 + shift][l] << 32);

			assert_true(isnan(want[l]) ? isnan(got)
						   : vt_of_f64(got) == vt_of_f64(want[l]));
		}
	}
}

/* ---- neg, abs ---- */

static float sign_mods(float x, unsigned abs, unsigned neg)
{
	x = abs & 1 ? fabsf(x) : x;
	return neg & 1 ? -x : x;
}

static void test_neg_abs(void **state)
{
	for (unsigned m = 0; m < 64; m++) {
		struct isa_inst in = vt_inst(ISA_V_FMA_F32, 3);

		in.neg = m & 7;
		in.abs = m >> 3;
		vt_reset();
		for (unsigned i = 0; i < 3; i++)
			set_row(VT_SRC + 4 * i, 'f');
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++)
			assert_f32(vt.v[VT_DST][l],
				   fmaf(sign_mods(vt_f32(vt.v[VT_SRC][l]), in.abs, in.neg),
					sign_mods(vt_f32(vt.v[VT_SRC + 4][l]), in.abs >> 1,
						  in.neg >> 1),
					sign_mods(vt_f32(vt.v[VT_SRC + 8][l]), in.abs >> 2,
						  in.neg >> 2)));

		in.op = ISA_V_FMA_F16;
		in.op_sel = vt_rand() & 15;
		for (unsigned i = 0; i < 3; i++)
			set_row(VT_SRC + 4 * i, 'p');
		for (unsigned l = 0; l < WAVE_LANES; l++)
			vt.v[VT_DST][l] = 0xaaaa5555;
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			float x[3];
			uint32_t want, got = vt.v[VT_DST][l];

			for (unsigned i = 0; i < 3; i++)
				x[i] = sign_mods(
					(float)vt_h2d(vt.v[VT_SRC + 4 * i][l] >>
							      (in.op_sel >> i & 1 ? 16 : 0) &
						      0xffff),
					in.abs >> i, in.neg >> i);
			want = vt_d2h((long double)x[0] * x[1] + x[2], 0);
			assert_int_equal(in.op_sel & 8 ? got & 0xffff : got >> 16,
					 in.op_sel & 8 ? 0x5555 : 0xaaaa);
			got = in.op_sel & 8 ? got >> 16 : got & 0xffff;
			if ((want & 0x7fff) > 0x7c00)
				assert_true((got & 0x7fff) > 0x7c00);
			else if (got != want) /* long double may round a tie that is none */
				assert_true(fabs(x[0] * x[1]) < 0x1p-10 * fabs(x[2]) ||
					    fabs(x[2]) < 0x1p-10 * fabs(x[0] * x[1]));
		}

		in = vt_inst(ISA_V_MUL_F64, 2);
		in.neg = m & 3;
		in.abs = m >> 2 & 3;
		set_row64(VT_SRC);
		set_row64(VT_SRC + 4);
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double x[2],
				got = vt_f64(vt.v[VT_DST][l] | (uint64_t)vt.v[VT_DST + 1][l] << 32);

			for (unsigned i = 0; i < 2; i++) {
				x[i] = vt_f64(vt.v[VT_SRC + 4 * i][l] |
					      (uint64_t)vt.v[VT_SRC + 4 * i + 1][l] << 32);
				x[i] = in.abs >> i & 1 ? fabs(x[i]) : x[i];
				x[i] = in.neg >> i & 1 ? -x[i] : x[i];
			}
			assert_true(isnan(x[0] * x[1]) ? isnan(got)
						       : vt_of_f64(got) == vt_of_f64(x[0] * x[1]));
		}
	}
}

/* The op_sel of 16-bit operations without preserve: the other half is zeroed, or kept when the high
 * one is written. */
static void test_op_sel(void **state)
{
	for (unsigned s = 0; s < 16; s++) {
		struct isa_inst in = vt_inst(ISA_V_MUL_LO_U16, 2);

		if (s & 4)
			continue;
		vt_reset();
		set_row(VT_SRC, 'u');
		set_row(VT_SRC + 4, 'u');
		in.op_sel = (uint8_t)s;
		for (unsigned l = 0; l < WAVE_LANES; l++)
			vt.v[VT_DST][l] = 0xaaaa5555;
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			uint32_t a = vt.v[VT_SRC][l], b = vt.v[VT_SRC + 4][l];
			uint32_t r =
				(s & 1 ? a >> 16 : a & 0xffff) * (s & 2 ? b >> 16 : b & 0xffff) &
				0xffff;

			assert_int_equal(vt.v[VT_DST][l], s & 8 ? r << 16 | 0x5555 : r);
		}
	}
}

/* ---- omod, clamp ---- */

static void test_omod_clamp(void **state)
{
	static const float factor[4] = {1, 2, 4, 0.5f};

	for (unsigned n = 0; n < 64; n++) {
		struct isa_inst in = vt_inst(ISA_V_MUL_F32, 2);
		bool ieee = n & 1, denorm = n & 2, dx10 = n & 4, clamp = n & 8;

		in.omod = n >> 4;
		in.clamp = clamp;
		vt_reset();
		vt.w.mode = 0x10u | (denorm ? 0x20u : 0) | 0xc0u | (dx10 ? 0x100u : 0) |
			    (ieee ? 0x200u : 0);
		set_row(VT_SRC, 'f');
		set_row(VT_SRC + 4, 'f');
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			float r = (float)((long double)vt_f32(vt.v[VT_SRC][l]) *
					  vt_f32(vt.v[VT_SRC + 4][l]));

			if (!denorm && fabsf(r) < 0x1p-126f)
				r = copysignf(0, r);
			if (in.omod && !ieee && !denorm) {
				r *= factor[in.omod];
				if (fabsf(r) < 0x1p-126f)
					r = r == 0 ? 0 : copysignf(0, r);
			}
			if (clamp)
				r = isnan(r) ? (dx10 ? 0 : r) : r > 1 ? 1 : r > 0 ? r : 0;
			assert_f32(vt.v[VT_DST][l], r);
		}
	}
}

static void test_clamp_integer(void **state)
{
	static const struct {
		enum isa_op op;
		unsigned bits;
		bool sign;
		int dir;
	} t[] = {
		{ISA_V_ADD_U32, 32, 0, 1},  {ISA_V_SUB_U32, 32, 0, -1}, {ISA_V_ADD_I32, 32, 1, 1},
		{ISA_V_SUB_I32, 32, 1, -1}, {ISA_V_ADD_U16, 16, 0, 1},	{ISA_V_SUB_U16, 16, 0, -1},
		{ISA_V_ADD_I16, 16, 1, 1},  {ISA_V_SUB_I16, 16, 1, -1},
	};

	for (unsigned n = 0; n < 20 * sizeof(t) / sizeof(t[0]); n++) {
		unsigned i = n % (sizeof(t) / sizeof(t[0]));
		struct isa_inst in = vt_inst(t[i].op, 2);
		int64_t hi = (1ll << (t[i].bits - t[i].sign)) - 1, lo = t[i].sign ? -hi - 1 : 0;

		in.clamp = true;
		vt_reset();
		set_row(VT_SRC, 'u');
		set_row(VT_SRC + 4, 'u');
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			uint32_t x = vt.v[VT_SRC][l], y = vt.v[VT_SRC + 4][l];
			int64_t a, b, r;

			if (t[i].bits == 16) {
				a = t[i].sign ? (int16_t)x : (int64_t)(uint16_t)x;
				b = t[i].sign ? (int16_t)y : (int64_t)(uint16_t)y;
			} else {
				a = t[i].sign ? (int32_t)x : (int64_t)x;
				b = t[i].sign ? (int32_t)y : (int64_t)y;
			}
			r = a + t[i].dir * b;
			r = r < lo ? lo : r > hi ? hi : r;
			assert_int_equal(vt.v[VT_DST][l],
					 (uint32_t)r & (uint32_t)((1ull << t[i].bits) - 1));
		}
	}
}

/* ---- MODE ---- */

static const int host_round[4] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

static void test_rounding(void **state)
{
	for (unsigned n = 0; n < 64; n++) {
		unsigned rm = n & 3;
		struct isa_inst in = vt_inst(ISA_V_ADD_F32, 2);

		/* each field rounds its own type only */
		vt_reset();
		vt.w.mode = (VT_MODE & ~0xfu) | rm | (3 - rm) << 2;
		set_row(VT_SRC, 'f');
		set_row(VT_SRC + 4, 'f');
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			volatile float a = vt_f32(vt.v[VT_SRC][l]), b = vt_f32(vt.v[VT_SRC + 4][l]),
				       r;

			fesetround(host_round[rm]);
			r = a + b;
			fesetround(FE_TONEAREST);
			assert_f32(vt.v[VT_DST][l], r);
		}
		in = vt_inst(ISA_V_FMA_F64, 3);
		vt.w.mode = (VT_MODE & ~0xfu) | rm << 2 | (3 - rm);
		for (unsigned i = 0; i < 3; i++)
			set_row64(VT_SRC + 4 * i);
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			volatile double x[3], r;
			double got = vt_f64(vt.v[VT_DST][l] | (uint64_t)vt.v[VT_DST + 1][l] << 32);

			for (unsigned i = 0; i < 3; i++)
				x[i] = vt_f64(vt.v[VT_SRC + 4 * i][l] |
					      (uint64_t)vt.v[VT_SRC + 4 * i + 1][l] << 32);
			fesetround(host_round[rm]);
			r = fma(x[0], x[1], x[2]);
			fesetround(FE_TONEAREST);
			assert_true(isnan(r) ? isnan(got) : vt_of_f64(got) == vt_of_f64(r));
		}
		in = vt_inst(ISA_V_MUL_F16, 2);
		set_row(VT_SRC, 'h');
		set_row(VT_SRC + 4, 'h');
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double r = vt_h2d(vt.v[VT_SRC][l]) * vt_h2d(vt.v[VT_SRC + 4][l]);

			if (!isnan(r))
				assert_int_equal(vt.v[VT_DST][l], vt_d2h(r, rm));
		}
		assert_int_equal(fegetround(), FE_TONEAREST);
	}
}

static float denorm32(float x, bool keep)
{
	return !keep && fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

static double denorm16(double x, bool keep)
{
	return !keep && fabs(x) < 0x1p-14 ? copysign(0, x) : x;
}

static void test_denormals(void **state)
{
	for (unsigned n = 0; n < 256; n++) {
		unsigned m32 = n & 3, m16 = n >> 2 & 3;
		struct isa_inst in = vt_inst(n & 16 ? ISA_V_MUL_F32 : ISA_V_ADD_F32, 2);

		vt_reset();
		vt.w.mode = (VT_MODE & ~0xf0u) | m32 << 4 | m16 << 6;
		set_row(VT_SRC, 'f');
		set_row(VT_SRC + 4, 'f');
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			float a = denorm32(vt_f32(vt.v[VT_SRC][l]), m32 & 1);
			float b = denorm32(vt_f32(vt.v[VT_SRC + 4][l]), m32 & 1);

			assert_f32(vt.v[VT_DST][l], denorm32(n & 16 ? a * b : a + b, m32 & 2));
		}
		in = vt_inst(n & 16 ? ISA_V_MUL_F16 : ISA_V_ADD_F16, 2);
		set_row(VT_SRC, 'h');
		set_row(VT_SRC + 4, 'h');
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double a = denorm16(vt_h2d(vt.v[VT_SRC][l]), m16 & 1);
			double b = denorm16(vt_h2d(vt.v[VT_SRC + 4][l]), m16 & 1);
			double r = n & 16 ? a * b : a + b, h = vt_h2d(vt_d2h(r, 0));

			if (!isnan(r))
				assert_int_equal(vt.v[VT_DST][l], vt_d2h(denorm16(h, m16 & 2), 0));
		}
		/* a move is not arithmetic */
		in = vt_inst(ISA_V_MOV_B32, 1);
		set_row(VT_SRC, 'f');
		vt_run(&in);
		assert_memory_equal(vt.v[VT_DST], vt.v[VT_SRC], sizeof(vt.v[0]));
	}
}

/* Outside of IEEE mode a signaling NaN is a NaN like any other for min and max. */
static void test_minmax_no_ieee(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_MAX_F32, 2);

	vt_reset();
	vt.v[VT_SRC][0] = 0x7f800001;
	vt.v[VT_SRC + 4][0] = 0x3f800000;
	vt_run(&in);
	assert_int_equal(vt.v[VT_DST][0], 0x7fc00001);
	vt.w.mode &= ~0x200u;
	vt_run(&in);
	assert_int_equal(vt.v[VT_DST][0], 0x3f800000);
}

/* ---- SDWA ---- */

static uint32_t sdwa_pick(uint32_t v, unsigned sel, bool sext)
{
	uint8_t b[4];
	uint16_t h[2];

	memcpy(b, &v, 4);
	memcpy(h, &v, 4);
	if (sel < 4)
		return sext ? (uint32_t)(int8_t)b[sel] : b[sel];
	if (sel < 6)
		return sext ? (uint32_t)(int16_t)h[sel - 4] : h[sel - 4];
	return v;
}

static uint32_t sdwa_place(uint32_t r, uint32_t old, unsigned sel, unsigned unused)
{
	uint8_t b[4];
	unsigned at = sel < 4 ? sel : (sel - 4) * 2, n = sel < 4 ? 1 : 2;
	bool neg = r >> (n * 8 - 1) & 1;

	if (sel == 6)
		return r;
	memcpy(b, &old, 4);
	for (unsigned i = 0; i < 4; i++) {
		if (i >= at && i < at + n)
			b[i] = (uint8_t)(r >> 8 * (i - at));
		else if (unused == ISA_SDWA_UNUSED_SEXT)
			b[i] = i > at && neg ? 0xff : 0;
		else if (unused == ISA_SDWA_UNUSED_PAD)
			b[i] = 0;
	}
	memcpy(&r, b, 4);
	return r;
}

static void test_sdwa(void **state)
{
	for (unsigned n = 0; n < 7 * 7 * 7 * 3; n++) {
		struct isa_inst in = vt_inst(ISA_V_ADD_U32, 2);
		uint64_t exec = vt_exec(n % VT_EXECS);

		vt_reset();
		in.sdwa = true;
		in.src0_sel = n % 7;
		in.src1_sel = n / 7 % 7;
		in.dst_sel = n / 49 % 7;
		in.dst_unused = n / 343;
		in.src0_sext = vt_rand() & 1;
		in.src1_sext = vt_rand() & 1;
		set_row(VT_SRC, 'u');
		set_row(VT_SRC + 4, 'u');
		for (unsigned l = 0; l < WAVE_LANES; l++)
			vt.v[VT_DST][l] = 0x12345678 + l;
		WAVE_EXEC(&vt.w) = exec;
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			uint32_t r = sdwa_pick(vt.v[VT_SRC][l], in.src0_sel, in.src0_sext) +
				     sdwa_pick(vt.v[VT_SRC + 4][l], in.src1_sel, in.src1_sext);

			r = sdwa_place(r, 0x12345678 + l, in.dst_sel, in.dst_unused);
			assert_int_equal(vt.v[VT_DST][l], exec >> l & 1 ? r : 0x12345678 + l);
		}
	}
}

/* f16 in SDWA: halves, with neg and abs. */
static void test_sdwa_f16(void **state)
{
	for (unsigned n = 0; n < 64; n++) {
		struct isa_inst in = vt_inst(ISA_V_SUB_F16, 2);

		vt_reset();
		in.sdwa = true;
		in.src0_sel = ISA_SDWA_WORD_0 + (n & 1);
		in.src1_sel = ISA_SDWA_WORD_0 + (n >> 1 & 1);
		in.dst_sel = ISA_SDWA_WORD_0 + (n >> 2 & 1);
		in.dst_unused = n >> 3 & 1 ? ISA_SDWA_UNUSED_PRESERVE : ISA_SDWA_UNUSED_PAD;
		in.neg = n >> 4 & 1;
		in.abs = n >> 4 & 2;
		set_row(VT_SRC, 'p');
		set_row(VT_SRC + 4, 'p');
		for (unsigned l = 0; l < WAVE_LANES; l++)
			vt.v[VT_DST][l] = 0xaaaa5555;
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			double a = vt_h2d(sdwa_pick(vt.v[VT_SRC][l], in.src0_sel, false));
			double b = vt_h2d(sdwa_pick(vt.v[VT_SRC + 4][l], in.src1_sel, false)), r;

			r = (in.neg & 1 ? -a : a) - (in.abs & 2 ? fabs(b) : b);
			if (!isnan(r))
				assert_int_equal(vt.v[VT_DST][l],
						 sdwa_place(vt_d2h(r, 0), 0xaaaa5555, in.dst_sel,
							    in.dst_unused));
		}
	}
}

/* A comparison in SDWA form. */
static void test_sdwa_cmp(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_CMP_LT_U32, 2);
	uint64_t want = 0;

	vt_reset();
	in.sdwa = true;
	in.src0_sel = ISA_SDWA_BYTE_2;
	in.src1_sel = ISA_SDWA_WORD_1;
	in.dst[0] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = SGPR_VCC};
	set_row(VT_SRC, 'u');
	set_row(VT_SRC + 4, 'u');
	for (unsigned l = 0; l < WAVE_LANES; l++)
		if ((vt.v[VT_SRC][l] >> 16 & 0xff) < vt.v[VT_SRC + 4][l] >> 16)
			want |= 1ull << l;
	vt_run(&in);
	assert_true(WAVE_VCC(&vt.w) == want);
}

/* ---- DPP ---- */

/* Source lane in rows of 16 written out; -1: none. */
static int dpp_from(unsigned ctrl, int l)
{
	int row = l / 16 * 16, i = l % 16, n = (int)(ctrl & 15);

	if (ctrl < 0x100)
		return l / 4 * 4 + (int)(ctrl >> 2 * (l % 4) & 3);
	switch (ctrl & ~15u) {
	case 0x100:
		return i + n < 16 ? row + i + n : -1;
	case 0x110:
		return i - n >= 0 ? row + i - n : -1;
	case 0x120:
		return row + (i + 16 - n) % 16;
	case 0x150:
		return row + n;
	}
	switch (ctrl) {
	case 0x130:
		return l + 1 < 64 ? l + 1 : -1;
	case 0x134:
		return (l + 1) % 64;
	case 0x138:
		return l - 1;
	case 0x13c:
		return (l + 63) % 64;
	case 0x140:
		return row + 15 - i;
	case 0x141:
		return l / 8 * 8 + 7 - l % 8;
	case 0x142:
		return row - 1; /* -1 for the first row */
	default:
		return l >= 32 ? 31 : -1;
	}
}

static void test_dpp(void **state)
{
	static unsigned ctrls[400], count;

	for (unsigned c = 0; c < 256; c++)
		ctrls[count++] = c;
	for (unsigned k = 1; k < 16; k++) {
		ctrls[count++] = 0x100 + k;
		ctrls[count++] = 0x110 + k;
		ctrls[count++] = 0x120 + k;
		ctrls[count++] = 0x150 + k;
	}
	for (unsigned k = 0; k < 8; k++)
		ctrls[count++] = (const unsigned[]){0x130, 0x134, 0x138, 0x13c,
						    0x140, 0x141, 0x142, 0x143}[k];
	for (unsigned n = 0; n < 8 * count; n++) {
		struct isa_inst in = vt_inst(ISA_V_ADD_U32, 2);
		uint64_t exec = n < count ? ~0ull : vt_exec(n % VT_EXECS);

		vt_reset();
		in.dpp = true;
		in.dpp_ctrl = (uint16_t)ctrls[n % count];
		in.row_mask = n < 2 * count ? 15 : vt_rand() & 15;
		in.bank_mask = n < 2 * count ? 15 : vt_rand() & 15;
		in.bound_ctrl = vt_rand() & 1;
		set_row(VT_SRC, 'u');
		set_row(VT_SRC + 4, 'u');
		for (unsigned l = 0; l < WAVE_LANES; l++)
			vt.v[VT_DST][l] = 77 + l;
		WAVE_EXEC(&vt.w) = exec;
		vt_run(&in);
		for (int l = 0; l < WAVE_LANES; l++) {
			int from = dpp_from(in.dpp_ctrl, l);
			bool valid = from >= 0 && (exec >> from & 1);
			bool on = (exec >> l & 1) && (in.row_mask >> l / 16 & 1) &&
				  (in.bank_mask >> l % 16 / 4 & 1) && (valid || in.bound_ctrl);
			uint32_t want = 77 + (uint32_t)l;

			if (on)
				want = (valid ? vt.v[VT_SRC][from] : 0) + vt.v[VT_SRC + 4][l];
			if (vt.v[VT_DST][l] != want)
				fail_msg("dpp_ctrl 0x%x lane %d from %d: 0x%x, not 0x%x",
					 in.dpp_ctrl, l, from, vt.v[VT_DST][l], want);
		}
	}
}

/* ---- GPR index mode ---- */

static void test_gpr_index(void **state)
{
	for (unsigned which = 0; which < 16; which++) {
		struct isa_inst in = vt_inst(ISA_V_ADD_U32, 2);
		unsigned s0 = VT_SRC + (which & 1 ? 5 : 0), s1 = VT_SRC + 4 + (which & 2 ? 5 : 0);
		unsigned d = VT_DST + (which & 8 ? 5 : 0);

		vt_reset();
		for (unsigned r = 0; r < 32; r++)
			for (unsigned l = 0; l < WAVE_LANES; l++)
				vt.v[r][l] = vt_rand();
		vt.w.mode |= 1u << 27;
		vt.w.sgpr[SGPR_M0] = 5 | which << 12;
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++)
			assert_int_equal(vt.v[d][l], vt.v[s0][l] + vt.v[s1][l]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_neg_abs),
		cmocka_unit_test(test_op_sel),
		cmocka_unit_test(test_omod_clamp),
		cmocka_unit_test(test_clamp_integer),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_denormals),
		cmocka_unit_test(test_minmax_no_ieee),
		cmocka_unit_test(test_sdwa),
		cmocka_unit_test(test_sdwa_f16),
		cmocka_unit_test(test_sdwa_cmp),
		cmocka_unit_test(test_dpp),
		cmocka_unit_test(test_gpr_index),
	};

	return cmocka_run_group_tests_name("valu_mods", tests, NULL, NULL);
}
