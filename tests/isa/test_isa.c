/* SPDX-License-Identifier: MIT */
/*
 * test_isa.c - the decoder by hand-checked examples, by its refusals, and by random words.
 *
 * The encodings were assembled with llvm-mc-19; what each means is from the "Vega" and "CDNA2" ISA
 * manuals. The comparison with LLVM over all operations is llvm_diff.py.
 */
#include "gpu/soft/isa/isa.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct isa_inst decode(enum isa_target target, uint32_t w0, uint32_t w1, int size)
{
	uint32_t words[2] = {w0, w1};
	struct isa_inst inst;

	assert_int_equal(isa_decode(target, words, 2, &inst), size);
	assert_int_equal(inst.size, size);
	return inst;
}

static void refused(enum isa_target target, uint32_t w0, uint32_t w1)
{
	uint32_t words[2] = {w0, w1};
	struct isa_inst inst;

	assert_int_equal(isa_decode(target, words, 2, &inst), -EINVAL);
}

static void is_reg(const struct isa_operand *o, unsigned kind, unsigned index, unsigned dwords)
{
	assert_int_equal(o->kind, kind);
	assert_int_equal(o->index, index);
	assert_int_equal(o->dwords, dwords);
}

static void is_const(const struct isa_operand *o, uint64_t value, bool literal)
{
	assert_int_equal(o->kind, ISA_OPND_CONST);
	assert_int_equal(o->value, value);
	assert_int_equal(o->literal, literal);
}

static void test_scalar(void **state)
{
	/* s_add_u32 s1, s2, 0x12345678 */
	struct isa_inst i = decode(ISA_GFX900, 0x8001ff02, 0x12345678, 8);

	assert_int_equal(i.op, ISA_S_ADD_U32);
	assert_int_equal(i.format, ISA_FMT_SOP2);
	is_reg(&i.dst[0], ISA_OPND_SGPR, 1, 1);
	is_reg(&i.src[0], ISA_OPND_SGPR, 2, 1);
	is_const(&i.src[1], 0x12345678, true);
	assert_true(i.writes_scc);
	assert_false(i.reads_scc);

	/* s_mov_b64 exec, -1: an inline constant is as wide as the operand */
	i = decode(ISA_GFX900, 0xbefe01c1, 0, 4);
	is_reg(&i.dst[0], ISA_OPND_SGPR, 126, 2);
	is_const(&i.src[0], UINT64_MAX, false);

	/* s_mov_b64 s[2:3], 0xdeadbeef: a literal is not sign-extended */
	i = decode(ISA_GFX900, 0xbe8201ff, 0xdeadbeef, 8);
	is_const(&i.src[0], 0xdeadbeef, true);

	/* s_cmpk_lt_i32 s3, -2: the register is a source */
	i = decode(ISA_GFX900, 0xb303fffe, 0, 4);
	assert_int_equal(i.op, ISA_S_CMPK_LT_I32);
	is_reg(&i.src[0], ISA_OPND_SGPR, 3, 1);
	assert_int_equal(i.dst[0].kind, ISA_OPND_NONE);
	assert_int_equal(i.simm, -2);

	/* s_cmovk_i32 s3, 5 reads what it may leave alone */
	i = decode(ISA_GFX900, 0xb0830005, 0, 4);
	assert_int_equal(i.op, ISA_S_CMOVK_I32);
	assert_true(i.reads_dst);
	assert_true(i.reads_scc);

	/* s_setreg_imm32_b32 hwreg(HW_REG_MODE), 0x3c0 */
	i = decode(ISA_GFX900, 0xba00f801, 0x3c0, 8);
	assert_int_equal(i.op, ISA_S_SETREG_IMM32_B32);
	assert_int_equal(i.simm, 0xf801);
	assert_int_equal(i.simm32, 0x3c0);

	/* s_cbranch_scc0 -1 */
	i = decode(ISA_GFX900, 0xbf84ffff, 0, 4);
	assert_int_equal(i.op, ISA_S_CBRANCH_SCC0);
	assert_int_equal(i.simm, -1);

	/* s_waitcnt vmcnt(48): not a signed number */
	i = decode(ISA_GFX900, 0xbf8cff70, 0, 4);
	assert_int_equal(i.simm, 0xff70);
}

static void test_smem(void **state)
{
	/* s_load_dwordx2 s[4:5], s[2:3], -0x10 */
	struct isa_inst i = decode(ISA_GFX900, 0xc0060101, 0x001ffff0, 8);

	assert_int_equal(i.op, ISA_S_LOAD_DWORDX2);
	is_reg(&i.dst[0], ISA_OPND_SGPR, 4, 2);
	is_reg(&i.src[0], ISA_OPND_SGPR, 2, 2);
	assert_int_equal(i.src[1].kind, ISA_OPND_NONE);
	assert_int_equal(i.offset, -0x10);

	/* s_load_dword s5, s[2:3], s0 offset:0x12345 */
	i = decode(ISA_GFX900, 0xc0024141, 0x00012345, 8);
	is_reg(&i.src[1], ISA_OPND_SGPR, 0, 1);
	assert_true(i.imm_offset);
	assert_int_equal(i.offset, 0x12345);

	/* s_store_dword s1, s[4:5], s6: the data is a source */
	i = decode(ISA_GFX900, 0xc0400042, 0x00000006, 8);
	assert_int_equal(i.op, ISA_S_STORE_DWORD);
	is_reg(&i.src[2], ISA_OPND_SGPR, 1, 1);
	is_reg(&i.src[1], ISA_OPND_SGPR, 6, 1);
	assert_int_equal(i.dst[0].kind, ISA_OPND_NONE);
	assert_int_equal(i.offset, 0);
}

static void test_vop(void **state)
{
	/* v_add_f32_e32 v1, 1.0, v2 */
	struct isa_inst i = decode(ISA_GFX900, 0x020204f2, 0, 4);

	assert_int_equal(i.op, ISA_V_ADD_F32);
	assert_int_equal(i.format, ISA_FMT_VOP2);
	is_const(&i.src[0], 0x3f800000, false);
	is_reg(&i.src[1], ISA_OPND_VGPR, 2, 1);

	/* v_add_f16_e32 v1, 0.5, v2 */
	i = decode(ISA_GFX900, 0x3e0204f0, 0, 4);
	is_const(&i.src[0], 0x3800, false);
	assert_int_equal(i.src[1].type, ISA_T_F16);

	/* v_add_f64 v[0:1], -4.0, -|v[2:3]| clamp */
	i = decode(ISA_GFX900, 0xd2808200, 0x400204f7, 8);
	assert_int_equal(i.op, ISA_V_ADD_F64);
	is_const(&i.src[0], 0xc010000000000000, false);
	is_reg(&i.src[1], ISA_OPND_VGPR, 2, 2);
	assert_int_equal(i.neg, 2);
	assert_int_equal(i.abs, 2);
	assert_true(i.clamp);

	/* v_cvt_f32_f64_e32 v0, 0x40590000: a literal is an f64's high half */
	i = decode(ISA_GFX900, 0x7e001eff, 0x40590000, 8);
	is_const(&i.src[0], 0x4059000000000000, true);

	/* v_addc_co_u32_e32 v1, vcc, v2, v3, vcc: carries are explicit */
	i = decode(ISA_GFX900, 0x38020702, 0, 4);
	if (i.op != ISA_V_ADDC_CO_U32)
		fail_msg("%s", isa_op_name(i.op));
	is_reg(&i.dst[1], ISA_OPND_SGPR, 106, 2);
	is_reg(&i.src[2], ISA_OPND_SGPR, 106, 2);

	/* v_add_co_u32_e64 v1, s[4:5], v2, v3 */
	i = decode(ISA_GFX900, 0xd1190401, 0x00020702, 8);
	assert_int_equal(i.op, ISA_V_ADD_CO_U32);
	is_reg(&i.dst[1], ISA_OPND_SGPR, 4, 2);

	/* v_cmp_lt_f32_e32 vcc, v1, v2 */
	i = decode(ISA_GFX900, 0x7c820501, 0, 4);
	assert_int_equal(i.op, ISA_V_CMP_LT_F32);
	is_reg(&i.dst[0], ISA_OPND_SGPR, 106, 2);

	/* v_madak_f32 v1, v2, v3, 0x42 and v_madmk_f32 v1, v2, 0x42, v3 */
	i = decode(ISA_GFX900, 0x30020702, 0x42, 8);
	is_reg(&i.src[1], ISA_OPND_VGPR, 3, 1);
	is_const(&i.src[2], 0x42, true);
	i = decode(ISA_GFX900, 0x2e020702, 0x42, 8);
	is_const(&i.src[1], 0x42, true);
	is_reg(&i.src[2], ISA_OPND_VGPR, 3, 1);

	/* v_mac_f32_e32 v1, v2, v3 reads v1 without naming it */
	i = decode(ISA_GFX900, 0x2c020702, 0, 4);
	assert_int_equal(i.op, ISA_V_MAC_F32);
	assert_true(i.reads_dst);
	assert_int_equal(i.src[2].kind, ISA_OPND_NONE);

	/* v_readlane_b32 s1, v2, s3 */
	i = decode(ISA_GFX900, 0xd2890001, 0x00000702, 8);
	is_reg(&i.dst[0], ISA_OPND_SGPR, 1, 1);

	/* v_div_fmas_f32 v1, v2, v3, v4 */
	i = decode(ISA_GFX900, 0xd1e20001, 0x04120702, 8);
	assert_int_equal(i.op, ISA_V_DIV_FMAS_F32);
	is_reg(&i.src[3], ISA_OPND_SGPR, 106, 2);
}

static void test_sdwa_dpp(void **state)
{
	/* v_add_f32_sdwa v1, -|v2|, s3 dst_sel:BYTE_1 dst_unused:UNUSED_PRESERVE src0_sel:WORD_1
	 * src1_sel:BYTE_2 */
	struct isa_inst i = decode(ISA_GFX900, 0x020206f9, 0x82351102, 8);

	assert_true(i.sdwa);
	is_reg(&i.dst[0], ISA_OPND_VGPR, 1, 1);
	is_reg(&i.src[0], ISA_OPND_VGPR, 2, 1);
	is_reg(&i.src[1], ISA_OPND_SGPR, 3, 1);
	assert_int_equal(i.dst_sel, ISA_SDWA_BYTE_1);
	assert_int_equal(i.dst_unused, ISA_SDWA_UNUSED_PRESERVE);
	assert_int_equal(i.src0_sel, ISA_SDWA_WORD_1);
	assert_int_equal(i.src1_sel, ISA_SDWA_BYTE_2);
	assert_int_equal(i.neg, 1);
	assert_int_equal(i.abs, 1);

	/* v_mov_b32_dpp v1, v2 row_shr:1 row_mask:0xa bank_mask:0xf bound_ctrl:1 */
	i = decode(ISA_GFX900, 0x7e0202fa, 0xaf091102, 8);
	assert_true(i.dpp);
	assert_int_equal(i.op, ISA_V_MOV_B32);
	is_reg(&i.src[0], ISA_OPND_VGPR, 2, 1);
	assert_int_equal(i.dpp_ctrl, 0x111);
	assert_int_equal(i.row_mask, 0xa);
	assert_int_equal(i.bank_mask, 0xf);
	assert_true(i.bound_ctrl);

	refused(ISA_GFX900, 0x7e0202fa, 0xaf091002); /* no such control: row_shr:0 */
	refused(ISA_GFX900, 0x7e0202fa, 0xff015002); /* row_newbcast is gfx90a's */
	decode(ISA_GFX90A, 0x7e0202fa, 0xff015002, 8);
}

static void test_vop3p(void **state)
{
	/* v_pk_fma_f16 v1, 1.0, v3, v4 op_sel_hi:[0,1,1] neg_lo:[0,1,0]: an inline float fills the
	 * low half only */
	struct isa_inst i = decode(ISA_GFX900, 0xd38e4001, 0x541206f2, 8);

	assert_int_equal(i.op, ISA_V_PK_FMA_F16);
	is_const(&i.src[0], 0x3c00, false);
	assert_int_equal(i.op_sel_hi, 6);
	assert_int_equal(i.neg_lo, 2);

	/* v_pk_add_u16 v1, -1, v3: an inline integer is 32 bits */
	i = decode(ISA_GFX900, 0xd38a4001, 0x180206c1, 8);
	is_const(&i.src[0], 0xffffffff, false);

	/* v_mad_mix_f32 v0, |v1|, v2, v3 op_sel:[0,1,0] op_sel_hi:[1,1,0] */
	i = decode(ISA_GFX900, 0xd3a01100, 0x1c0e0501, 8);
	assert_int_equal(i.op, ISA_V_MAD_MIX_F32);
	assert_int_equal(i.abs, 1);
	assert_int_equal(i.op_sel, 2);
	assert_int_equal(i.op_sel_hi, 3);

	/* v_mfma_f32_32x32x8f16 a[0:15], v[0:1], a[2:3], a[32:47] cbsz:1 blgp:2 */
	i = decode(ISA_GFX90A, 0xd3cc8100, 0x54820500, 8);
	assert_int_equal(i.op, ISA_V_MFMA_F32_32X32X8F16);
	is_reg(&i.dst[0], ISA_OPND_AGPR, 0, 16);
	is_reg(&i.src[0], ISA_OPND_VGPR, 0, 2);
	is_reg(&i.src[1], ISA_OPND_AGPR, 2, 2);
	is_reg(&i.src[2], ISA_OPND_AGPR, 32, 16);
	assert_int_equal(i.cbsz, 1);
	assert_int_equal(i.blgp, 2);
	refused(ISA_GFX900, 0xd3cc8100, 0x54820500);

	/* v_accvgpr_write_b32 a1, v2 and v_accvgpr_read_b32 v1, a2 */
	i = decode(ISA_GFX90A, 0xd3d94001, 0x18000102, 8);
	is_reg(&i.dst[0], ISA_OPND_AGPR, 1, 1);
	is_reg(&i.src[0], ISA_OPND_VGPR, 2, 1);
	i = decode(ISA_GFX90A, 0xd3d84001, 0x18000102, 8);
	is_reg(&i.dst[0], ISA_OPND_VGPR, 1, 1);
	is_reg(&i.src[0], ISA_OPND_AGPR, 2, 1);
}

static void test_memory(void **state)
{
	/* ds_read2_b32 v[1:2], v3 offset0:4 offset1:5 */
	struct isa_inst i = decode(ISA_GFX900, 0xd86e0504, 0x01000003, 8);

	assert_int_equal(i.op, ISA_DS_READ2_B32);
	is_reg(&i.dst[0], ISA_OPND_VGPR, 1, 2);
	is_reg(&i.src[0], ISA_OPND_VGPR, 3, 1);
	assert_int_equal(i.offset, 0x0504);

	/* global_load_dword v1, v[2:3], off offset:-4 glc */
	i = decode(ISA_GFX900, 0xdc519ffc, 0x017f0002, 8);
	assert_int_equal(i.format, ISA_FMT_GLOBAL);
	is_reg(&i.src[0], ISA_OPND_VGPR, 2, 2);
	assert_int_equal(i.src[2].kind, ISA_OPND_NONE);
	assert_int_equal(i.offset, -4);
	assert_true(i.glc);

	/* global_load_dword v1, v2, s[4:5]: the vector address is an offset */
	i = decode(ISA_GFX900, 0xdc508000, 0x01040002, 8);
	is_reg(&i.src[0], ISA_OPND_VGPR, 2, 1);
	is_reg(&i.src[2], ISA_OPND_SGPR, 4, 2);

	/* flat_atomic_add v1, v[2:3], v4 glc, and without glc */
	i = decode(ISA_GFX900, 0xdd090000, 0x01000402, 8);
	is_reg(&i.dst[0], ISA_OPND_VGPR, 1, 1);
	is_reg(&i.src[1], ISA_OPND_VGPR, 4, 1);
	i = decode(ISA_GFX900, 0xdd080000, 0x00000402, 8);
	assert_int_equal(i.dst[0].kind, ISA_OPND_NONE);

	/* scratch_load_dword v1, off, s2 offset:8 */
	i = decode(ISA_GFX900, 0xdc504008, 0x01020000, 8);
	assert_int_equal(i.format, ISA_FMT_SCRATCH);
	assert_int_equal(i.src[0].kind, ISA_OPND_NONE);
	is_reg(&i.src[2], ISA_OPND_SGPR, 2, 1);

	/* buffer_store_dword v1, v2, s[4:7], s8 offen offset:16 */
	i = decode(ISA_GFX900, 0xe0701010, 0x08010102, 8);
	is_reg(&i.src[0], ISA_OPND_VGPR, 2, 1);
	is_reg(&i.src[1], ISA_OPND_VGPR, 1, 1);
	is_reg(&i.src[2], ISA_OPND_SGPR, 4, 4);
	is_reg(&i.src[3], ISA_OPND_SGPR, 8, 1);
	assert_true(i.offen);
	assert_int_equal(i.offset, 16);

	/* global_load_dwordx4 a[0:3], v[2:3], off: only where there are AGPRs */
	i = decode(ISA_GFX90A, 0xdc5c8000, 0x00ff0002, 8);
	is_reg(&i.dst[0], ISA_OPND_AGPR, 0, 4);
	assert_true(i.acc);
	refused(ISA_GFX900, 0xdc5c8000, 0x00ff0002);

	/* ds_add_rtn_u32 a5, v1, a2: one bit for all data */
	i = decode(ISA_GFX90A, 0xda400000, 0x05000201, 8);
	is_reg(&i.dst[0], ISA_OPND_AGPR, 5, 1);
	is_reg(&i.src[0], ISA_OPND_VGPR, 1, 1);
	is_reg(&i.src[1], ISA_OPND_AGPR, 2, 1);
}

static void test_refusals(void **state)
{
	struct isa_inst inst;
	uint32_t w = 0;

	assert_int_equal(isa_decode(ISA_GFX900, &w, 0, &inst), -ENODATA);
	w = 0x8001ff02; /* a literal is missing */
	assert_int_equal(isa_decode(ISA_GFX900, &w, 1, &inst), -ENODATA);
	w = 0xc0060101; /* half an instruction */
	assert_int_equal(isa_decode(ISA_GFX900, &w, 1, &inst), -ENODATA);
	w = 0xba00f801; /* s_setreg_imm32_b32 without its value */
	assert_int_equal(isa_decode(ISA_GFX900, &w, 1, &inst), -ENODATA);
	w = 0x7e020302; /* v_mov_b32 needs one dword */
	assert_int_equal(isa_decode(ISA_GFX900, &w, 1, &inst), 4);
}

static void test_bad_operands(void **state)
{
	refused(ISA_GFX900, 0xbe830104, 0);		 /* s_mov_b64 s[3:4], s[4:5]: misaligned */
	refused(ISA_GFX900, 0xd2800000, 0x000204ff);	 /* VOP3 has no literals */
	refused(ISA_GFX900, 0xd28000ff, 0x00020400);	 /* v_add_f64 v[255:256] */
	refused(ISA_GFX900, 0x80010202 | 125u << 16, 0); /* s125 is no register */
	refused(ISA_GFX900, 0x800100d1, 0);		 /* code 209 names nothing */
	refused(ISA_GFX900, 0xffffffff, 0xffffffff);
}

/* Disassembly, and that it keeps within its buffer. */
static void test_print(void **state)
{
	static const struct {
		enum isa_target target;
		uint32_t w0, w1;
		const char *text;
	} cases[] = {
		{ISA_GFX900, 0x020204f2, 0, "v_add_f32_e32 v1, 1.0, v2"},
		{ISA_GFX900, 0xbf8c0f70, 0, "s_waitcnt vmcnt(0)"},
		{ISA_GFX900, 0xd2808200, 0x400204f7, "v_add_f64 v[0:1], -4.0, -|v[2:3]| clamp"},
		{ISA_GFX900, 0xdc519ffc, 0x017f0002,
		 "global_load_dword v1, v[2:3], off offset:-4 glc"},
		{ISA_GFX90A, 0xd3cc8100, 0x54820500,
		 "v_mfma_f32_32x32x8f16 a[0:15], v[0:1], a[2:3], a[32:47] cbsz:1 blgp:2"},
		{ISA_GFX900, 0xbf82fffe, 0, "s_branch 65534 // 0xffc"},
	};
	char text[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct isa_inst inst;
		uint32_t words[2] = {cases[i].w0, cases[i].w1};
		int n;

		assert_true(isa_decode(cases[i].target, words, 2, &inst) > 0);
		n = isa_print(text, sizeof(text), &inst, 0x1000);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(n, strlen(cases[i].text));
		memset(text, 'x', sizeof(text));
		assert_int_equal(isa_print(text, 8, &inst, 0x1000), n);
		assert_int_equal(strlen(text), 7);
		assert_int_equal(text[8], 'x');
		assert_int_equal(isa_print(NULL, 0, &inst, 0x1000), n);
	}
	assert_string_equal(isa_op_name(ISA_V_ADD_F32), "v_add_f32");
	assert_string_equal(isa_op_name(ISA_NUM_OPS), "invalid");
	assert_string_equal(isa_op_name(ISA_OP_INVALID), "invalid");
}

static uint64_t rng = 1;

static uint32_t draw(void)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)(z >> 20);
}

static void check_operand(const struct isa_operand *o)
{
	assert_true(o->kind <= ISA_OPND_SPECIAL);
	if (o->kind == ISA_OPND_NONE)
		return;
	assert_true(o->dwords >= 1 && o->dwords <= 32);
	if (o->kind == ISA_OPND_SGPR)
		assert_true(o->index + o->dwords <= 128);
	if (o->kind == ISA_OPND_VGPR || o->kind == ISA_OPND_AGPR)
		assert_true(o->index + o->dwords <= 256);
	if (o->kind == ISA_OPND_SPECIAL)
		assert_true(o->index >= 235 && o->index <= 254);
}

/* What the interpreter relies on holds for whatever bits a program is made of. The words are
 * exact-sized for the sanitizers. */
static void test_random(void **state)
{
	unsigned decoded = 0;

	for (unsigned i = 0; i < 2000000; i++) {
		size_t n = 1 + draw() % 3;
		uint32_t *words = malloc(n * sizeof(*words));
		struct isa_inst inst;
		char text[256];
		int size;

		assert_non_null(words);
		for (size_t k = 0; k < n; k++)
			words[k] = draw();
		if (i % 4 == 0) /* more of the vector formats with SDWA and DPP */
			words[0] = (words[0] & 0x7ffffe00) | (249 + i / 4 % 2);
		size = isa_decode(i & 1 ? ISA_GFX90A : ISA_GFX900, words, n, &inst);
		if (size > 0) {
			decoded++;
			assert_true(size == 4 || size == 8);
			assert_true((size_t)size <= n * 4);
			assert_int_equal(inst.size, size);
			assert_true(inst.op > ISA_OP_INVALID && inst.op < ISA_NUM_OPS);
			assert_true(inst.format <= ISA_FMT_EXP);
			check_operand(&inst.dst[0]);
			check_operand(&inst.dst[1]);
			for (unsigned k = 0; k < 4; k++)
				check_operand(&inst.src[k]);
			assert_true(isa_print(text, sizeof(text), &inst, draw()) <
				    (int)sizeof(text));
		} else {
			assert_true(size == -EINVAL || (size == -ENODATA && n == 1));
		}
		free(words);
	}
	assert_true(decoded > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalar),	 cmocka_unit_test(test_smem),
		cmocka_unit_test(test_vop),	 cmocka_unit_test(test_sdwa_dpp),
		cmocka_unit_test(test_vop3p),	 cmocka_unit_test(test_memory),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_bad_operands),
		cmocka_unit_test(test_print),	 cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("isa", tests, NULL, NULL);
}
