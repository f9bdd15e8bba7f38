/* SPDX-License-Identifier: MIT */
/*
 * valu_special.c - vector operations with scalar results, masks, lanes, packed halves and wide
 * operands, which valu_ops.c's table cannot describe.
 */
#include "tests/exec/valu_test.h"

static const uint32_t *src(unsigned i)
{
	return vt.v[VT_SRC + 4 * i];
}

static uint64_t src64(unsigned i, unsigned l)
{
	return vt.v[VT_SRC + 4 * i][l] | (uint64_t)vt.v[VT_SRC + 4 * i + 1][l] << 32;
}

static void fill(unsigned i, char type)
{
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		uint64_t v = vt_value(type);

		if (type == 'h' || type == 'w')
			v |= (uint64_t)vt_rand() << 16;
		vt.v[VT_SRC + 4 * i][l] = (uint32_t)v;
		vt.v[VT_SRC + 4 * i + 1][l] = (uint32_t)(v >> 32);
	}
}

static struct isa_operand mask_operand(unsigned index)
{
	return (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = (uint16_t)index};
}

static uint64_t pair(unsigned sgpr)
{
	return vt.w.sgpr[sgpr] | (uint64_t)vt.w.sgpr[sgpr + 1] << 32;
}

static void set_pair(unsigned sgpr, uint64_t v)
{
	vt.w.sgpr[sgpr] = (uint32_t)v;
	vt.w.sgpr[sgpr + 1] = (uint32_t)(v >> 32);
}

/* ---- comparisons ---- */

/* -1 less, 0 equal, 1 greater, 2 unordered */
static int order(char type, bool sign, uint64_t a, uint64_t b)
{
	long double x, y;

	switch (type) {
	case 'f':
		x = vt_f32(a), y = vt_f32(b);
		break;
	case 'd':
		x = vt_f64(a), y = vt_f64(b);
		break;
	case 'h':
		x = vt_h2d((uint32_t)a & 0xffff), y = vt_h2d((uint32_t)b & 0xffff);
		break;
	case 'w':
		x = sign ? (int16_t)a : (uint16_t)a, y = sign ? (int16_t)b : (uint16_t)b;
		break;
	case 'u':
		x = sign ? (long double)(int32_t)a : (long double)(uint32_t)a;
		y = sign ? (long double)(int32_t)b : (long double)(uint32_t)b;
		break;
	default: /* long double has 64 bits of mantissa */
		x = sign ? (long double)(int64_t)a : (long double)a;
		y = sign ? (long double)(int64_t)b : (long double)b;
	}
	return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
}

/* Truth for less, equal, greater, unordered, in bits 0..3. */
static const struct {
	const char *name;
	unsigned truth;
} conditions[] = {
	{"f", 0},    {"lt", 1},	  {"eq", 2},   {"le", 3},   {"gt", 4},	 {"lg", 5},
	{"ne", 5},   {"ge", 6},	  {"o", 7},    {"u", 8},    {"nge", 9},	 {"nlg", 10},
	{"ngt", 11}, {"nle", 12}, {"neq", 13}, {"nlt", 14}, {"tru", 15}, {"t", 15},
};
static const struct {
	const char *name;
	char type;
	bool sign;
} cmp_types[] = {
	{"f16", 'h', 0}, {"f32", 'f', 0}, {"f64", 'd', 0}, {"i16", 'w', 1}, {"u16", 'w', 0},
	{"i32", 'u', 1}, {"u32", 'u', 0}, {"i64", 'U', 1}, {"u64", 'U', 0},
};

static void check_cmp(unsigned op, bool x, char type, bool sign, unsigned truth, uint64_t exec)
{
	struct isa_inst in = vt_inst((enum isa_op)op, 2);
	uint64_t want = 0;

	vt_reset();
	fill(0, type);
	fill(1, type);
	for (unsigned l = 0; l < WAVE_LANES; l += 3) /* enough equal ones */
		for (unsigned r = 0; r < 2; r++)
			vt.v[VT_SRC + 4 + r][l] = vt.v[VT_SRC + r][l];
	in.dst[0] = mask_operand(SGPR_VCC);
	WAVE_EXEC(&vt.w) = exec;
	WAVE_VCC(&vt.w) = ~0ull;
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		int o = order(type, sign, src64(0, l), src64(1, l));

		if ((exec >> l & 1) && (truth >> (o == 2 ? 3 : o + 1) & 1))
			want |= 1ull << l;
	}
	vt_run(&in);
	if (WAVE_VCC(&vt.w) != want || WAVE_EXEC(&vt.w) != (x ? want : exec))
		fail_msg("%s: vcc 0x%llx, not 0x%llx; exec 0x%llx", isa_op_name(op),
			 (unsigned long long)WAVE_VCC(&vt.w), (unsigned long long)want,
			 (unsigned long long)WAVE_EXEC(&vt.w));
}

static void test_compare(void **state)
{
	unsigned found = 0;

	for (unsigned op = 1; op < ISA_NUM_OPS; op++) {
		const char *name = isa_op_name(op);
		bool x = !strncmp(name, "v_cmpx_", 7);
		char cond[8], type[8];

		if (!x && strncmp(name, "v_cmp_", 6))
			continue;
		if (sscanf(name + (x ? 7 : 6), "%7[^_]_%7s", cond, type) != 2 ||
		    !strcmp(cond, "class"))
			continue;
		for (unsigned c = 0; c < sizeof(conditions) / sizeof(conditions[0]); c++)
			for (unsigned t = 0; t < sizeof(cmp_types) / sizeof(cmp_types[0]); t++)
				if (!strcmp(cond, conditions[c].name) &&
				    !strcmp(type, cmp_types[t].name)) {
					for (unsigned n = 0; n < 4 * VT_EXECS; n++)
						check_cmp(op, x, cmp_types[t].type,
							  cmp_types[t].sign, conditions[c].truth,
							  vt_exec(n % VT_EXECS));
					found++;
				}
	}
	assert_int_equal(found, 2 * (3 * 16 + 6 * 8));
}

static unsigned class_of(int kind, bool nan, bool quiet, bool neg)
{
	if (nan)
		return quiet ? 1 : 0;
	switch (kind) {
	case FP_INFINITE:
		return neg ? 2 : 9;
	case FP_NORMAL:
		return neg ? 3 : 8;
	case FP_SUBNORMAL:
		return neg ? 4 : 7;
	default:
		return neg ? 5 : 6;
	}
}

static void check_class(unsigned op, bool x, char type)
{
	struct isa_inst in = vt_inst((enum isa_op)op, 2);
	uint64_t want = 0, exec = vt_rand64();

	vt_reset();
	fill(0, type);
	fill(1, 's');
	vt.w.mode = 0; /* flushing modes do not matter to classes */
	in.dst[0] = mask_operand(VT_SDST);
	WAVE_EXEC(&vt.w) = exec;
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		uint64_t v = src64(0, l);
		unsigned bit;

		if (type == 'f') {
			bit = class_of(fpclassify(vt_f32(v)), isnan(vt_f32(v)), v & 0x400000,
				       v >> 31 & 1);
		} else if (type == 'd') {
			bit = class_of(fpclassify(vt_f64(v)), isnan(vt_f64(v)), v >> 51 & 1,
				       v >> 63);
		} else {
			double d = vt_h2d((uint32_t)v & 0xffff);
			int kind = fpclassify(d);

			if (kind == FP_NORMAL && fabs(d) < 0x1p-14)
				kind = FP_SUBNORMAL;
			bit = class_of(kind, isnan(d), v & 0x200, v >> 15 & 1);
		}
		if ((exec >> l & 1) && (src(1)[l] >> bit & 1))
			want |= 1ull << l;
	}
	vt_run(&in);
	assert_true(pair(VT_SDST) == want);
	assert_true(WAVE_EXEC(&vt.w) == (x ? want : exec));
}

static void test_class(void **state)
{
	for (unsigned n = 0; n < 64; n++) {
		check_class(ISA_V_CMP_CLASS_F16, false, 'h');
		check_class(ISA_V_CMP_CLASS_F32, false, 'f');
		check_class(ISA_V_CMP_CLASS_F64, false, 'd');
		check_class(ISA_V_CMPX_CLASS_F16, true, 'h');
		check_class(ISA_V_CMPX_CLASS_F32, true, 'f');
		check_class(ISA_V_CMPX_CLASS_F64, true, 'd');
	}
}

/* ---- carries ---- */

static void check_carry(enum isa_op op, bool sub, bool rev, bool with_carry, bool clamp,
			uint64_t exec)
{
	struct isa_inst in = vt_inst(op, 2);
	uint64_t cin = vt_rand64(), want = 0;
	static uint32_t sum[WAVE_LANES];

	vt_reset();
	fill(0, 'u');
	fill(1, 'u');
	set_pair(VT_SMASK, cin);
	set_pair(VT_SDST, vt_rand64());
	if (with_carry)
		in.src[2] = mask_operand(VT_SMASK);
	in.clamp = clamp;
	WAVE_EXEC(&vt.w) = exec;
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		__int128 a = src(rev)[l], b = src(!rev)[l], c = with_carry ? cin >> l & 1 : 0;
		__int128 r = sub ? a - b - c : a + b + c;
		bool over = r < 0 || r >> 32;

		sum[l] = clamp && over ? (sub ? 0 : 0xffffffff) : (uint32_t)r;
		if (!(exec >> l & 1))
			sum[l] = vt.v[VT_DST][l];
		else if (over)
			want |= 1ull << l;
	}
	vt_run(&in);
	assert_memory_equal(vt.v[VT_DST], sum, sizeof(sum));
	assert_true(pair(VT_SDST) == want);
}

static void test_carry(void **state)
{
	for (unsigned n = 0; n < 8 * VT_EXECS; n++) {
		uint64_t exec = vt_exec(n % VT_EXECS);
		bool clamp = n / VT_EXECS & 1;

		check_carry(ISA_V_ADD_CO_U32, false, false, false, clamp, exec);
		check_carry(ISA_V_SUB_CO_U32, true, false, false, clamp, exec);
		check_carry(ISA_V_SUBREV_CO_U32, true, true, false, clamp, exec);
		check_carry(ISA_V_ADDC_CO_U32, false, false, true, clamp, exec);
		check_carry(ISA_V_SUBB_CO_U32, true, false, true, clamp, exec);
		check_carry(ISA_V_SUBBREV_CO_U32, true, true, true, clamp, exec);
	}
}

/* v_addc_co reads and writes VCC at once, and may add a register to itself in place. */
static void test_carry_in_place(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_ADDC_CO_U32, 2);

	vt_reset();
	in.src[0].index = in.src[1].index = VT_DST;
	in.src[2] = in.dst[1] = mask_operand(SGPR_VCC);
	WAVE_VCC(&vt.w) = 0xff;
	for (unsigned l = 0; l < WAVE_LANES; l++)
		vt.v[VT_DST][l] = 0x80000000u + l;
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		assert_int_equal(vt.v[VT_DST][l], 2 * l + (l < 8));
	assert_true(WAVE_VCC(&vt.w) == ~0ull);
}

static void test_mad64(void **state)
{
	for (unsigned n = 0; n < 64; n++) {
		bool sign = n & 1;
		struct isa_inst in = vt_inst(sign ? ISA_V_MAD_I64_I32 : ISA_V_MAD_U64_U32, 3);
		uint64_t exec = vt_exec(n % VT_EXECS), want = 0, old[WAVE_LANES];

		vt_reset();
		fill(0, 'u');
		fill(1, 'u');
		fill(2, 'U');
		WAVE_EXEC(&vt.w) = exec;
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			__int128 a = sign ? (int32_t)src(0)[l] : (__int128)src(0)[l];
			__int128 b = sign ? (int32_t)src(1)[l] : (__int128)src(1)[l];
			__int128 c = sign ? (int64_t)src64(2, l) : (__int128)src64(2, l);
			__int128 r = a * b + c;

			old[l] = exec >> l & 1 ? (uint64_t)r : 0;
			if ((exec >> l & 1) && ((unsigned __int128)r >> 64 & 1))
				want |= 1ull << l;
		}
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++)
			assert_true((vt.v[VT_DST][l] | (uint64_t)vt.v[VT_DST + 1][l] << 32) ==
				    old[l]);
		assert_true(pair(VT_SDST) == want);
	}
}

/* ---- lanes ---- */

static void test_lanes(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_READFIRSTLANE_B32, 1);

	vt_reset();
	fill(0, 'u');
	in.dst[0] = mask_operand(VT_SDST);
	WAVE_EXEC(&vt.w) = 0xf0000000000ull;
	vt_run(&in);
	assert_int_equal(vt.w.sgpr[VT_SDST], src(0)[40]);
	WAVE_EXEC(&vt.w) = 0;
	vt_run(&in);
	assert_int_equal(vt.w.sgpr[VT_SDST], src(0)[0]);

	in = vt_inst(ISA_V_READLANE_B32, 1);
	in.dst[0] = mask_operand(VT_SDST);
	in.src[1] = (struct isa_operand){.kind = ISA_OPND_CONST, .value = 64 + 63};
	vt_run(&in);
	assert_int_equal(vt.w.sgpr[VT_SDST], src(0)[63]);
	in.src[1] = mask_operand(VT_SMASK);
	vt.w.sgpr[VT_SMASK] = 17;
	vt_run(&in);
	assert_int_equal(vt.w.sgpr[VT_SDST], src(0)[17]);

	in = vt_inst(ISA_V_WRITELANE_B32, 0);
	in.src[0] = (struct isa_operand){.kind = ISA_OPND_CONST, .value = 0xabcdef01};
	in.src[1] = mask_operand(VT_SMASK);
	vt_run(&in); /* with EXEC = 0 */
	for (unsigned l = 0; l < WAVE_LANES; l++)
		assert_int_equal(vt.v[VT_DST][l], l == 17 ? 0xabcdef01 : 0);
}

static void test_swap_cndmask_acc(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_SWAP_B32, 1);
	static uint32_t was[2][WAVE_LANES];
	uint64_t exec = 0xffff0000ff00ff0full;

	vt_reset();
	fill(0, 'u');
	fill(1, 'u');
	memcpy(vt.v[VT_DST], src(1), sizeof(was[0]));
	memcpy(was[0], vt.v[VT_DST], sizeof(was[0]));
	memcpy(was[1], src(0), sizeof(was[1]));
	WAVE_EXEC(&vt.w) = exec;
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		bool on = exec >> l & 1;

		assert_int_equal(vt.v[VT_DST][l], was[on][l]);
		assert_int_equal(src(0)[l], was[!on][l]);
	}

	in = vt_inst(ISA_V_CNDMASK_B32, 2);
	in.src[2] = mask_operand(VT_SMASK);
	in.neg = 1;
	in.abs = 2;
	set_pair(VT_SMASK, 0x123456789abcdef0ull);
	memcpy(was[0], vt.v[VT_DST], sizeof(was[0]));
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		bool pick = 0x123456789abcdef0ull >> l & 1;
		uint32_t v = pick ? src(1)[l] & 0x7fffffff : src(0)[l] ^ 0x80000000;

		assert_int_equal(vt.v[VT_DST][l], exec >> l & 1 ? v : was[0][l]);
	}

	in = vt_inst(ISA_V_ACCVGPR_WRITE_B32, 1);
	in.dst[0].kind = ISA_OPND_AGPR;
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		assert_int_equal(vt.a[VT_DST][l], exec >> l & 1 ? src(0)[l] : 0);
	in = vt_inst(ISA_V_ACCVGPR_READ_B32, 1);
	in.src[0].kind = ISA_OPND_AGPR;
	in.src[0].index = VT_DST;
	WAVE_EXEC(&vt.w) = ~0ull;
	vt_run(&in);
	assert_memory_equal(vt.v[VT_DST], vt.a[VT_DST], sizeof(was[0]));
}

/* Registers that the wave has not got: reads give v0, writes go nowhere. */
static void test_out_of_range(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_MOV_B32, 1);

	vt_reset();
	vt.w.num_vgprs = 16;
	for (unsigned l = 0; l < WAVE_LANES; l++)
		vt.v[0][l] = 7 + l;
	in.src[0].index = 16;
	in.dst[0].index = 5;
	vt_run(&in);
	assert_memory_equal(vt.v[5], vt.v[0], sizeof(vt.v[0]));
	in.src[0].index = 5;
	in.dst[0].index = 200;
	vt_run(&in);
	in = vt_inst(ISA_V_LSHLREV_B64, 2);
	in.dst[0].index = 15; /* its high half would be v16 */
	vt_run(&in);
	for (unsigned r = 16; r < VT_ROWS; r++)
		for (unsigned l = 0; l < WAVE_LANES; l++)
			assert_int_equal(vt.v[r][l], 0);
}

/* ---- packed ---- */

static const struct {
	enum isa_op op;
	char kind; /* + - * for integers with sign and clamp; others below */
	bool sign, clamps;
} packed[] = {
	{ISA_V_PK_ADD_I16, '+', 1, 1},	   {ISA_V_PK_ADD_U16, '+', 0, 1},
	{ISA_V_PK_SUB_I16, '-', 1, 1},	   {ISA_V_PK_SUB_U16, '-', 0, 1},
	{ISA_V_PK_MAD_I16, 'm', 1, 1},	   {ISA_V_PK_MAD_U16, 'm', 0, 1},
	{ISA_V_PK_MUL_LO_U16, '*', 0, 0},  {ISA_V_PK_LSHLREV_B16, '<', 0, 0},
	{ISA_V_PK_LSHRREV_B16, '>', 0, 0}, {ISA_V_PK_ASHRREV_I16, '>', 1, 0},
	{ISA_V_PK_MAX_I16, 'M', 1, 0},	   {ISA_V_PK_MIN_I16, 'n', 1, 0},
	{ISA_V_PK_MAX_U16, 'M', 0, 0},	   {ISA_V_PK_MIN_U16, 'n', 0, 0},
};

static uint32_t pick_half(uint32_t v, unsigned sel)
{
	return sel & 1 ? v >> 16 : v & 0xffff;
}

static uint32_t packed_int(char kind, bool sign, bool clamp, uint32_t x, uint32_t y, uint32_t z)
{
	int64_t a = sign ? (int16_t)x : (int64_t)x, b = sign ? (int16_t)y : (int64_t)y;
	int64_t c = sign ? (int16_t)z : (int64_t)z, lo = sign ? -32768 : 0,
		hi = sign ? 32767 : 65535, r;

	switch (kind) {
	case '+':
		r = a + b;
		break;
	case '-':
		r = a - b;
		break;
	case '*':
		r = a * b;
		break;
	case 'm':
		r = a * b + c;
		break;
	case '<':
		r = b << (x & 15);
		break;
	case '>':
		r = b >> (x & 15);
		break;
	case 'M':
		r = a > b ? a : b;
		break;
	default:
		r = a < b ? a : b;
	}
	if (clamp)
		r = r < lo ? lo : r > hi ? hi : r;
	return (uint32_t)r & 0xffff;
}

static void test_packed_int(void **state)
{
	for (unsigned p = 0; p < sizeof(packed) / sizeof(packed[0]); p++)
		for (unsigned n = 0; n < 64; n++) {
			struct isa_inst in = vt_inst(packed[p].op, 3);
			uint64_t exec = vt_exec(n % VT_EXECS);

			vt_reset();
			for (unsigned i = 0; i < 3; i++)
				fill(i, 'u');
			in.op_sel = vt_rand() & 7;
			in.op_sel_hi = n & 1 ? vt_rand() & 7 : 7;
			in.clamp = packed[p].clamps && (n & 2);
			WAVE_EXEC(&vt.w) = exec;
			vt_run(&in);
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				uint32_t half[2], want;

				for (unsigned h = 0; h < 2; h++) {
					unsigned s = h ? in.op_sel_hi : in.op_sel;

					half[h] = packed_int(packed[p].kind, packed[p].sign,
							     in.clamp, pick_half(src(0)[l], s),
							     pick_half(src(1)[l], s >> 1),
							     pick_half(src(2)[l], s >> 2));
				}
				want = exec >> l & 1 ? half[0] | half[1] << 16 : 0;
				if (vt.v[VT_DST][l] != want)
					fail_msg("%s lane %u: 0x%08x, not 0x%08x",
						 isa_op_name(in.op), l, vt.v[VT_DST][l], want);
			}
		}
}

/* NaN results are compared as NaN only: which one it is, valu_ops checks for the scalar forms. */
static bool same16(uint32_t a, uint32_t b)
{
	return (a & 0xffff) == (b & 0xffff) || ((a & 0x7fff) > 0x7c00 && (b & 0x7fff) > 0x7c00);
}

static void test_packed_f16(void **state)
{
	static const enum isa_op ops[] = {ISA_V_PK_ADD_F16, ISA_V_PK_MUL_F16, ISA_V_PK_FMA_F16};

	for (unsigned n = 0; n < 300; n++) {
		struct isa_inst in = vt_inst(ops[n % 3], 3);
		unsigned rm = n / 3 % 4;

		vt_reset();
		vt.w.mode = (VT_MODE & ~0xcu) | rm << 2;
		for (unsigned i = 0; i < 3; i++)
			fill(i, 'p');
		in.op_sel = vt_rand() & 7;
		in.op_sel_hi = vt_rand() & 7;
		in.neg_lo = vt_rand() & 7;
		in.neg_hi = vt_rand() & 7;
		in.neg = in.neg_lo; /* the decoder may leave it there, too */
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++)
			for (unsigned h = 0; h < 2; h++) {
				unsigned s = h ? in.op_sel_hi : in.op_sel,
					 g = h ? in.neg_hi : in.neg_lo;
				uint32_t got = vt.v[VT_DST][l] >> 16 * h & 0xffff, want;
				long double x[3];
				__float128 r;

				for (unsigned i = 0; i < 3; i++) {
					x[i] = vt_h2d(pick_half(src(i)[l], s >> i));
					x[i] = g >> i & 1 ? -x[i] : x[i];
				}
				if (n % 3 == 2 && isfinite(x[0]) && isfinite(x[1]) &&
				    isfinite(x[2])) {
					long double t;

					r = (__float128)x[0] * x[1] + x[2];
					t = (long double)r;
					if (r != (__float128)t)
						t = nextafterl(t, r > (__float128)t ? INFINITY
										    : -INFINITY);
					/* an exact zero sum has the sign of the rounding mode */
					if (t == 0 && x[0] * x[1] != 0)
						t = rm == 2 ? -0.0L : 0.0L;
					else if (t == 0)
						continue;
					want = vt_d2h(t, rm);
				} else {
					long double t = n % 3 == 0   ? x[0] + x[1]
							: n % 3 == 1 ? x[0] * x[1]
								     : x[0] * x[1] + x[2];

					if (n % 3 == 0 && t == 0)
						continue;
					want = vt_d2h(t, rm);
				}
				if (!same16(got, want))
					fail_msg("%s rm %u lane %u half %u of %La %La %La: 0x%04x, "
						 "not 0x%04x",
						 isa_op_name(in.op), rm, l, h, x[0], x[1], x[2],
						 got, want);
			}
	}
}

static void test_packed_f32(void **state)
{
	static const enum isa_op ops[] = {ISA_V_PK_ADD_F32, ISA_V_PK_MUL_F32, ISA_V_PK_FMA_F32};

	for (unsigned n = 0; n < 200; n++) {
		struct isa_inst in = vt_inst(ops[n % 3], 3);
		uint64_t exec = vt_exec(n % VT_EXECS);

		vt_reset();
		for (unsigned i = 0; i < 3; i++)
			for (unsigned l = 0; l < WAVE_LANES; l++) {
				vt.v[VT_SRC + 4 * i][l] = (uint32_t)vt_value('f');
				vt.v[VT_SRC + 4 * i + 1][l] = (uint32_t)vt_value('f');
			}
		in.op_sel = vt_rand() & 7;
		in.op_sel_hi = vt_rand() & 7;
		in.neg_lo = vt_rand() & 7;
		in.neg_hi = vt_rand() & 7;
		WAVE_EXEC(&vt.w) = exec;
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++)
			for (unsigned h = 0; h < 2; h++) {
				unsigned s = h ? in.op_sel_hi : in.op_sel,
					 g = h ? in.neg_hi : in.neg_lo;
				float x[3], r;
				uint32_t got = vt.v[VT_DST + h][l];

				for (unsigned i = 0; i < 3; i++)
					x[i] = vt_f32(vt.v[VT_SRC + 4 * i + (s >> i & 1)][l] ^
						      (g >> i & 1) << 31);
				r = n % 3 == 0	 ? (float)((long double)x[0] + x[1])
				    : n % 3 == 1 ? (float)((long double)x[0] * x[1])
						 : fmaf(x[0], x[1], x[2]);
				if (!(exec >> l & 1))
					assert_int_equal(got, 0);
				else if (isnan(r))
					assert_true(isnan(vt_f32(got)));
				else
					assert_int_equal(got, vt_of_f32(r));
			}
	}
}

static void test_pk_mov(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_PK_MOV_B32, 2);

	vt_reset();
	fill(0, 'U');
	fill(1, 'U');
	in.op_sel = 1;
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		assert_int_equal(vt.v[VT_DST][l], (uint32_t)(src64(0, l) >> 32));
		assert_int_equal(vt.v[VT_DST + 1][l], (uint32_t)src64(1, l));
	}
}

static void test_mix(void **state)
{
	static const enum isa_op ops[] = {ISA_V_MAD_MIX_F32,   ISA_V_MAD_MIXLO_F16,
					  ISA_V_MAD_MIXHI_F16, ISA_V_FMA_MIX_F32,
					  ISA_V_FMA_MIXLO_F16, ISA_V_FMA_MIXHI_F16};

	for (unsigned n = 0; n < 300; n++) {
		struct isa_inst in = vt_inst(ops[n % 6], 3);
		unsigned part = n % 3;

		vt_reset();
		for (unsigned i = 0; i < 3; i++)
			fill(i, vt_rand() & 1 ? 'f' : 'p');
		for (unsigned l = 0; l < WAVE_LANES; l++)
			vt.v[VT_DST][l] = 0x12345678;
		in.op_sel = vt_rand() & 7;
		in.op_sel_hi = vt_rand() & 7;
		in.neg_lo = vt_rand() & 7;
		in.neg_hi = vt_rand() & 7; /* abs */
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			float x[3], r, p;
			uint32_t got = vt.v[VT_DST][l];
			bool fused = n % 6 >= 3;

			for (unsigned i = 0; i < 3; i++) {
				x[i] = in.op_sel_hi >> i & 1
					       ? (float)vt_h2d(pick_half(src(i)[l], in.op_sel >> i))
					       : vt_f32(src(i)[l]);
				if (!fused && !(in.op_sel_hi >> i & 1) && fabsf(x[i]) < 0x1p-126f)
					x[i] = copysignf(0, x[i]);
				x[i] = in.neg_hi >> i & 1 ? fabsf(x[i]) : x[i];
				x[i] = in.neg_lo >> i & 1 ? -x[i] : x[i];
			}
			p = (float)((long double)x[0] * x[1]);
			if (fabsf(p) < 0x1p-126f)
				p = copysignf(0, p);
			r = fused ? fmaf(x[0], x[1], x[2]) : (float)((long double)p + x[2]);
			if (!fused && fabsf(r) < 0x1p-126f)
				r = copysignf(0, r);
			if (part == 0) {
				if (isnan(r))
					assert_true(isnan(vt_f32(got)));
				else
					assert_int_equal(got, vt_of_f32(r));
				continue;
			}
			assert_int_equal(pick_half(got, part == 1), part == 1 ? 0x1234 : 0x5678);
			assert_true(same16(pick_half(got, part == 2), vt_d2h(r, 0)));
		}
	}
}

/* ---- dot products ---- */

static void check_dot(enum isa_op op, unsigned bits, bool sign, bool old)
{
	struct isa_inst in = vt_inst(op, old ? 2 : 3);
	bool clamp = vt_rand() & 1;
	static uint32_t c[WAVE_LANES];

	vt_reset();
	fill(0, 'u');
	fill(1, 'u');
	fill(2, 'u');
	in.clamp = clamp;
	memcpy(c, src(2), sizeof(c));
	if (old)
		memcpy(vt.v[VT_DST], c, sizeof(c));
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		__int128 r = sign ? (int32_t)c[l] : (__int128)c[l];
		__int128 lo = sign ? INT32_MIN : 0, hi = sign ? INT32_MAX : (__int128)UINT32_MAX;

		for (unsigned i = 0; i < 32 / bits; i++) {
			int64_t x = src(0)[l] >> bits * i & ((1u << bits) - 1);
			int64_t y = src(1)[l] >> bits * i & ((1u << bits) - 1);

			if (sign && x >> (bits - 1))
				x -= 1ll << bits;
			if (sign && y >> (bits - 1))
				y -= 1ll << bits;
			r += x * y;
		}
		if (clamp)
			r = r < lo ? lo : r > hi ? hi : r;
		assert_int_equal(vt.v[VT_DST][l], (uint32_t)r);
	}
}

static void test_dot(void **state)
{
	for (unsigned n = 0; n < 50; n++) {
		check_dot(ISA_V_DOT2_I32_I16, 16, true, false);
		check_dot(ISA_V_DOT2_U32_U16, 16, false, false);
		check_dot(ISA_V_DOT4_I32_I8, 8, true, false);
		check_dot(ISA_V_DOT4_U32_U8, 8, false, false);
		check_dot(ISA_V_DOT8_I32_I4, 4, true, false);
		check_dot(ISA_V_DOT8_U32_U4, 4, false, false);
		check_dot(ISA_V_DOT2C_I32_I16, 16, true, true);
		check_dot(ISA_V_DOT4C_I32_I8, 8, true, true);
		check_dot(ISA_V_DOT8C_I32_I4, 4, true, true);
	}
}

static void test_dot2_f16(void **state)
{
	for (unsigned n = 0; n < 50; n++) {
		struct isa_inst in = vt_inst(n & 1 ? ISA_V_DOT2C_F32_F16 : ISA_V_DOT2_F32_F16, 3);
		static uint32_t c[WAVE_LANES];

		vt_reset();
		fill(0, 'p');
		fill(1, 'p');
		fill(2, 'f');
		in.op_sel_hi = 7;
		memcpy(c, src(2), sizeof(c));
		memcpy(vt.v[VT_DST], c, sizeof(c));
		vt_run(&in);
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			float r = vt_f32(c[l]);

			if (fabsf(r) < 0x1p-126f)
				r = copysignf(0, r);
			for (unsigned h = 0; h < 2; h++) {
				double x = vt_h2d(pick_half(src(0)[l], h)),
				       y = vt_h2d(pick_half(src(1)[l], h));

				x = fabs(x) < 0x1p-14 ? copysign(0, x) : x;
				y = fabs(y) < 0x1p-14 ? copysign(0, y) : y;
				r = (float)((long double)r + x * y);
			}
			if (fabsf(r) < 0x1p-126f)
				r = copysignf(0, r);
			if (isnan(r))
				assert_true(isnan(vt_f32(vt.v[VT_DST][l])));
			else
				assert_int_equal(vt.v[VT_DST][l], vt_of_f32(r));
		}
	}
}

static void test_mqsad_u32(void **state)
{
	struct isa_inst in = vt_inst(ISA_V_MQSAD_U32_U8, 3);

	vt_reset();
	fill(0, 'U');
	fill(1, 'u');
	for (unsigned r = 0; r < 4; r++)
		for (unsigned l = 0; l < WAVE_LANES; l++)
			vt.v[VT_SRC + 8 + r][l] = (uint32_t)vt_value('u');
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		for (unsigned r = 0; r < 4; r++) {
			uint32_t want = vt.v[VT_SRC + 8 + r][l];

			for (unsigned i = 0; i < 4; i++) {
				int x = (int)(src64(0, l) >> 8 * (r + i) & 255),
				    y = (int)(src(1)[l] >> 8 * i & 255);

				if (y)
					want += (uint32_t)(x > y ? x - y : y - x);
			}
			assert_int_equal(vt.v[VT_DST + r][l], want);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_class),
		cmocka_unit_test(test_carry),
		cmocka_unit_test(test_carry_in_place),
		cmocka_unit_test(test_mad64),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_swap_cndmask_acc),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_packed_int),
		cmocka_unit_test(test_packed_f16),
		cmocka_unit_test(test_packed_f32),
		cmocka_unit_test(test_pk_mov),
		cmocka_unit_test(test_mix),
		cmocka_unit_test(test_dot),
		cmocka_unit_test(test_dot2_f16),
		cmocka_unit_test(test_mqsad_u32),
	};

	return cmocka_run_group_tests_name("valu_special", tests, NULL, NULL);
}
