/* SPDX-License-Identifier: MIT */
/*
 * isa.h - AMDGPU machine code, decoded.
 *
 * The decoder turns the bits of one instruction into an isa_inst in which nothing depends on the
 * encoding any more: operands are resolved (kind, index, width; inline constants and literals are
 * the bits the operation sees), modifiers are plain fields. The interpreter works on this and never
 * on machine words.
 *
 * Opcode numbers and operand types come from a table generated from LLVM's TableGen records
 * (gen_isa.py -> isa_table.inc, isa_ops.inc); field positions of each format follow AMD's public
 * "Vega" and "CDNA2" ISA manuals.
 */
#ifndef GPU_SOFT_ISA_ISA_H
#define GPU_SOFT_ISA_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum isa_target { ISA_GFX900, ISA_GFX90A, ISA_NUM_TARGETS };

/* One per operation, not per encoding: ISA_V_ADD_F32 is VOP2, VOP3, SDWA and DPP. Generated. */
enum isa_op {
	ISA_OP_INVALID,
#define ISA_OP(name, text) ISA_##name,
#include "gpu/soft/isa/isa_ops.inc"
#undef ISA_OP
	ISA_NUM_OPS
};

enum isa_format {
	ISA_FMT_SOP1,
	ISA_FMT_SOP2,
	ISA_FMT_SOPC,
	ISA_FMT_SOPK,
	ISA_FMT_SOPP,
	ISA_FMT_SMEM,
	ISA_FMT_VOP1,
	ISA_FMT_VOP2,
	ISA_FMT_VOPC,
	ISA_FMT_VOP3,
	ISA_FMT_VOP3P,
	ISA_FMT_VINTRP,
	ISA_FMT_DS,
	ISA_FMT_FLAT,
	ISA_FMT_GLOBAL,
	ISA_FMT_SCRATCH,
	ISA_FMT_MUBUF,
	ISA_FMT_MTBUF,
	ISA_FMT_MIMG,
	ISA_FMT_EXP
};

enum isa_operand_kind {
	ISA_OPND_NONE,
	ISA_OPND_SGPR,	 /* index: the scalar source code 0..127 (flat_scratch 102, xnack_mask 104,
			    vcc 106, ttmp0 108, m0 124, exec 126); a 64-bit operand is index and
			    index+1 */
	ISA_OPND_VGPR,	 /* index 0..255 */
	ISA_OPND_AGPR,	 /* index 0..255 (gfx90a accumulation registers) */
	ISA_OPND_CONST,	 /* value: inline constant or literal, converted to the operand's type and
			    width */
	ISA_OPND_SPECIAL /* index: scalar source code of a read-only value, e.g. 235
			    src_shared_base, 236 src_shared_limit, 237 src_private_base, 238
			    src_private_limit, 239 pops_exiting, 251 vccz, 252 execz, 253 scc, 254
			    lds_direct */
};

/* How the operation reads the operand's bits; decides what an inline constant looks like. */
enum isa_type {
	ISA_T_B16,
	ISA_T_F16,
	ISA_T_B32,
	ISA_T_F32,
	ISA_T_B64,
	ISA_T_F64,
	ISA_T_PK_B16,
	ISA_T_PK_F16,
	ISA_T_PK_F32,
	ISA_T_PK_B32,
	ISA_T_WIDE /* registers of three or more dwords */
};

/*
 * CONST values: a 16-bit operand's value is in the low 16 bits. Packed 16-bit operands see 32 bits:
 * integers sign-extended to 32, floats as f16 in the low half and 0 in the high half (PK_F16) or as
 * f32 (PK_B16). PK_F32 and PK_B32 have the 32-bit constant in the low half and 0 in the high half.
 * A literal is the high dword of an F64 operand, and the zero-extended low dword of a B64 one.
 * MFMA's accumulator has the type of its elements (B32, F32, F64) and the value of one of them.
 */
struct isa_operand {
	uint8_t kind;	/* enum isa_operand_kind */
	uint8_t type;	/* enum isa_type */
	uint8_t dwords; /* registers covered: 1..32 */
	bool literal;	/* CONST that came from a literal dword */
	uint16_t index;
	uint64_t value;
};

enum {
	ISA_SDWA_BYTE_0,
	ISA_SDWA_BYTE_1,
	ISA_SDWA_BYTE_2,
	ISA_SDWA_BYTE_3,
	ISA_SDWA_WORD_0,
	ISA_SDWA_WORD_1,
	ISA_SDWA_DWORD
};
enum { ISA_SDWA_UNUSED_PAD, ISA_SDWA_UNUSED_SEXT, ISA_SDWA_UNUSED_PRESERVE };

struct isa_inst {
	uint16_t op;	/* enum isa_op */
	uint8_t format; /* enum isa_format */
	uint8_t size;	/* bytes of machine code, literal included: 4 or 8 */
	/*
	 * dst[0] is the main result, dst[1] a second one (carry out, v_div_scale's vcc, ...), with
	 * an implicit vcc/scc-wide VCC made explicit as SGPR 106. SCC stays implicit. Where an
	 * operation reads its destination (v_mac, v_fmac, v_writelane, s_cmovk...) only dst names
	 * it. v_addc and v_cndmask have the carry/select mask as src[2].
	 *
	 * Memory formats: DS: src[0] addr, src[1] data0, src[2] data1, dst[0] vdst.
	 * FLAT/GLOBAL/SCRATCH: src[0] vaddr (64-bit, or 32-bit when saddr is used; NONE if absent),
	 * src[1] vdata, src[2] saddr (NONE if off). MUBUF/MTBUF: src[0] vaddr (NONE if unused),
	 * src[1] vdata for stores and atomics (dst[0] for loads; returning atomics have both),
	 * src[2] srsrc, src[3] soffset. SMEM: src[0] sbase, src[1] soffset (NONE if none), src[2]
	 * sdata of stores. SOPK/SOPP: simm below; s_setreg's value is src[0].
	 *
	 * Also: v_div_fmas has its implicit VCC as src[3]. SOPK's comparisons and s_cbranch_i_fork
	 * have their register as src[0]. v_madmk is src[0] * src[1] + src[2] with the constant in
	 * src[1], v_madak has it in src[2]. The ds_gws_* operations have their value as src[1].
	 * VINTRP and v_interp_* in VOP3: simm is attribute << 2 | channel, simm32 the parameter of
	 * v_interp_mov (0 p10, 1 p20, 2 p0), op_sel the attribute's high half. s_set_gpr_idx_on:
	 * simm is the mode. s_atc_probe: simm is the hint. v_cmpx writes EXEC besides dst[0],
	 * implicitly; v_swap_b32 writes src[0] too. MIMG and EXP have no operands decoded.
	 */
	struct isa_operand dst[2];
	struct isa_operand src[4];

	/* VOP modifiers; bit i belongs to src[i]. */
	uint8_t neg, abs; /* VOP3, SDWA, DPP */
	uint8_t omod;	  /* 0 none, 1 *2, 2 *4, 3 /2 */
	bool clamp;
	uint8_t op_sel, op_sel_hi; /* VOP3 (f16/i16; bit 3: destination half), VOP3P */
	uint8_t neg_lo, neg_hi;	   /* VOP3P; but v_mad_mix* and v_fma_mix* use neg and abs */
	uint8_t cbsz, abid, blgp;  /* MFMA */

	bool sdwa;
	uint8_t dst_sel, dst_unused, src0_sel, src1_sel;
	bool src0_sext, src1_sext;

	bool dpp;
	uint16_t dpp_ctrl; /* 9 bits, as encoded */
	uint8_t row_mask, bank_mask;
	bool bound_ctrl; /* set: out-of-range lanes read 0 */

	/* memory */
	int32_t offset; /* immediate byte offset: signed where the format's is; DS: offset0 |
			   offset1 << 8 for the two-address forms, else 16-bit */
	bool glc, slc, scc, lds, offen, idxen, gds, acc /* data in AGPRs */, imm_offset, tfe;
	uint8_t dfmt, nfmt; /* MTBUF */

	int32_t simm; /* SOPK/SOPP: the 16-bit field, sign-extended for branches and SOPK's signed
			 forms, else zero-extended */
	uint32_t simm32; /* s_setreg_imm32_b32's value; v_madmk/madak's constant as encoded (also an
			    ordinary CONST source) */

	/* what the table knows of the operation */
	bool reads_dst; /* dst[0]'s old value is an input: v_mac, v_writelane, s_cmovk, ... */
	bool reads_scc, writes_scc;
	bool suffix; /* LLVM's syntax names the encoding: _e32, _e64, _sdwa, _dpp */
};

/*
 * Decodes the instruction at words[0], reading at most nwords dwords (3 always suffice).
 * Returns its size in bytes, or -EINVAL when no instruction of the target has this encoding, or
 * -ENODATA when nwords is too small. inst is fully written on success.
 */
int isa_decode(enum isa_target target, const uint32_t *words, size_t nwords, struct isa_inst *inst);

/* True if the target has an encoding of this operation; *format (may be NULL) gets the first one's enum isa_format. */
bool isa_has(enum isa_target target, unsigned op, uint8_t *format);

/* "v_add_f32" for ISA_V_ADD_F32; "invalid" for anything out of range. Static. */
const char *isa_op_name(unsigned op);

/*
 * Writes the instruction as text close to LLVM's syntax (for logs and tools), always terminated. pc
 * is the byte address of the instruction, for branch targets. Returns the length it wanted, as
 * snprintf.
 */
int isa_print(char *buf, size_t size, const struct isa_inst *inst, uint64_t pc);

#endif
