/* SPDX-License-Identifier: MIT */
/*
 * isa_decode.c - bits of an AMDGPU instruction to struct isa_inst.
 *
 * Theory of operation: the first 9 bits of an instruction name its class (an encoding family; SDWA
 * and DPP, which replace the first source of a VOP1/VOP2/VOPC, count as classes of their own). Each
 * class has its opcode field; class and opcode index a short list of rows, generated from LLVM's
 * records (isa_table.inc). A row is one encoding of one operation: the bits that must be as they
 * are (reserved bits included, so that an instruction that uses a bit we know nothing of is refused
 * rather than misunderstood) and up to 6 operands, each with its bits, what it may be, and where it
 * goes in isa_inst. Operands are then resolved by what they may be, and modifiers by the class, as
 * each class has them at fixed bits.
 *
 * Nothing here depends on the words being sane: every index is masked by its field's width or
 * checked.
 */
#include "gpu/soft/isa/isa.h"

#include <errno.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum class {
	CLASS_NONE,
#define ISA_CLASS(name, shift, width) CLASS_##name,
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_CLASS
	NUM_CLASSES
};

static const struct {
	uint8_t shift, width;
} classes[NUM_CLASSES] = {
#define ISA_CLASS(name, shift, width) [CLASS_##name] = {shift, width},
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_CLASS
};

static const uint8_t class_of_top9[512] = {
#define ISA_PREFIX(top, name) [top] = CLASS_##name,
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_PREFIX
};

/* Where each class's opcodes begin in opcode_rows; the widths add up at compile time. */
struct first_opcode {
#define ISA_CLASS(name, shift, width) char name[1 << (width)];
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_CLASS
};

static const uint16_t first_opcode[NUM_CLASSES] = {
#define ISA_CLASS(name, shift, width) [CLASS_##name] = offsetof(struct first_opcode, name),
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_CLASS
};

static const struct {
	uint16_t first, count;
} opcode_rows[sizeof(struct first_opcode)] = {
#define ISA_INDEX(cls, opcode, first, count)                                                       \
	[offsetof(struct first_opcode, cls) + (opcode)] = {first, count},
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_INDEX
};

enum {
	T_GFX900 = 1 << ISA_GFX900,
	T_GFX90A = 1 << ISA_GFX90A,
};

enum {
	R_CLAMP = 1 << 0,
	R_OMOD = 1 << 1,
	R_MOD0 = 1 << 2, /* source i has neg and abs */
	R_MOD1 = 1 << 3,
	R_MOD2 = 1 << 4,
	R_VOP3B = 1 << 5, /* no abs: a second destination is in its place */
	R_OPSEL = 1 << 6,
	R_PACKED = 1 << 7,
	R_MIX = 1 << 8,
	R_MFMA = 1 << 9,
	R_SUFFIX = 1 << 10,
	R_LONG = 1 << 11, /* a constant dword follows always */
	R_SIMM = 1 << 12,
	R_SIMM_SIGNED = 1 << 13,
	R_BRANCH = 1 << 14,
	R_INTERP = 1 << 15, /* a VOP3 with an attribute in its first source */
	R_DEF_SCC = 1 << 16,
	R_USE_SCC = 1 << 17,
	R_READS_DST = 1 << 18,
	R_TFE = 1 << 19,
	R_GWS = 1 << 20,
};

#define MAX_OPERANDS 6

struct row {
	uint64_t mask, value;
	uint32_t flags;
	uint16_t op;
	uint8_t targets, format;
	uint8_t operands[MAX_OPERANDS];
};

static const struct row rows[] = {
#define ISA_ROW(t, name, fmt, m, v, fl, ...)                                                       \
	{m, v, fl, ISA_##name, t, ISA_FMT_##fmt, {__VA_ARGS__}},
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_ROW
};

/* What an operand field can name. */
enum {
	MAY_SGPR = 1 << 0,
	MAY_CONST = 1 << 1,
	MAY_LITERAL = 1 << 2,
	MAY_SPECIAL = 1 << 3,
	MAY_VGPR = 1 << 4, /* codes from 256 */
	MAY_AGPR = 1 << 5, /* codes from 256, or from 512 with MAY_VGPR */
	MAY_LDS = 1 << 6,
};

enum what {
	W_NONE,
	W_SRC,
	W_SRC_NOLIT,
	W_SSRC,
	W_SSRC_NOLIT,
	W_SREG,
	W_SREG_DATA, /* SMEM's data: not m0, not exec */
	W_VGPR,
	W_VGPR_LDS,
	W_AGPR,
	W_AVMEM,
	W_AVSRC,
	W_VSRC,
	W_ASRC,
	W_SDWA,
	W_SDWA_SDST,
	W_VCC,
	W_KIMM,
	NUM_WHATS
};

static const uint8_t may_be[NUM_WHATS] = {
	[W_SRC] = MAY_SGPR | MAY_CONST | MAY_LITERAL | MAY_SPECIAL | MAY_LDS | MAY_VGPR,
	[W_SRC_NOLIT] = MAY_SGPR | MAY_CONST | MAY_SPECIAL | MAY_LDS | MAY_VGPR,
	[W_SSRC] = MAY_SGPR | MAY_CONST | MAY_LITERAL | MAY_SPECIAL,
	[W_SSRC_NOLIT] = MAY_SGPR | MAY_CONST | MAY_SPECIAL,
	[W_SREG] = MAY_SGPR,
	[W_SREG_DATA] = MAY_SGPR,
	[W_VGPR] = MAY_VGPR,
	[W_VGPR_LDS] = MAY_VGPR | MAY_LDS,
	[W_AGPR] = MAY_AGPR,
	[W_AVMEM] = MAY_VGPR | MAY_AGPR,
	[W_AVSRC] = MAY_VGPR | MAY_AGPR,
	[W_VSRC] = MAY_VGPR | MAY_CONST,
	[W_ASRC] = MAY_AGPR | MAY_CONST,
	[W_SDWA] = MAY_SGPR | MAY_CONST | MAY_SPECIAL | MAY_VGPR,
	[W_SDWA_SDST] = MAY_SGPR,
	[W_VCC] = MAY_SGPR,
	[W_KIMM] = MAY_LITERAL,
};

enum slot { SLOT_DST0, SLOT_DST1, SLOT_SRC0, SLOT_SRC1, SLOT_SRC2, SLOT_SRC3 };

struct operand_form {
	uint8_t slot;
	uint8_t pos, width, low; /* the field, and the number of its lowest bit in the value */
	uint8_t extra_pos, extra_bit;
	uint8_t what, type, dwords;
};

static const struct operand_form operand_forms[] = {
#define ISA_OPERAND(n, s, pos, width, low, epos, ebit, w, t, dwords)                               \
	[n] = {SLOT_##s, pos, width, low, epos, ebit, W_##w, ISA_T_##t, dwords},
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_OPERAND
};

_Static_assert(ARRAY_SIZE(operand_forms) <= 256, "operand numbers are bytes");

/* Scalar source codes; "Vega" ISA manual, table of SSRC0 values. */
enum {
	CODE_FLAT_SCRATCH = 102,
	CODE_SGPR_END = 106,
	CODE_VCC = 106,
	CODE_TTMP = 108,
	CODE_TTMP_END = 124,
	CODE_M0 = 124,
	CODE_EXEC = 126,
	CODE_INT_0 = 128,
	CODE_INT_64 = 192,
	CODE_INT_M1 = 193,
	CODE_INT_M16 = 208,
	CODE_SHARED_BASE = 235,
	CODE_POPS_EXITING = 239,
	CODE_FLOAT = 240,
	CODE_FLOAT_END = 249,
	CODE_SDWA = 249,
	CODE_DPP = 250,
	CODE_VCCZ = 251,
	CODE_SCC = 253,
	CODE_LDS_DIRECT = 254,
	CODE_LITERAL = 255,
	CODE_VECTOR = 256,
};

/* 0.5, -0.5, 1, -1, 2, -2, 4, -4, 1 / (2 pi) */
static const uint16_t float16_inline[] = {0x3800, 0xb800, 0x3c00, 0xbc00, 0x4000,
					  0xc000, 0x4400, 0xc400, 0x3118};
static const uint32_t float32_inline[] = {0x3f000000, 0xbf000000, 0x3f800000,
					  0xbf800000, 0x40000000, 0xc0000000,
					  0x40800000, 0xc0800000, 0x3e22f983};
static const uint64_t float64_inline[] = {
	0x3fe0000000000000, 0xbfe0000000000000, 0x3ff0000000000000,
	0xbff0000000000000, 0x4000000000000000, 0xc000000000000000,
	0x4010000000000000, 0xc010000000000000, 0x3fc45f306dc9c882};

static uint32_t field(uint64_t w, unsigned pos, unsigned width)
{
	return (uint32_t)(w >> pos) & ((1ull << width) - 1);
}

static int32_t sign_extend(uint32_t v, unsigned bits)
{
	return (int32_t)(v << (32 - bits)) >> (32 - bits);
}

static bool is_64(unsigned type)
{
	return type == ISA_T_B64 || type == ISA_T_F64;
}

static uint64_t inline_int(int v, unsigned type)
{
	if (is_64(type))
		return (uint64_t)(int64_t)v;
	if (type == ISA_T_B16 || type == ISA_T_F16)
		return (uint16_t)v;
	return (uint32_t)v;
}

static uint64_t inline_float(unsigned n, unsigned type)
{
	if (is_64(type))
		return float64_inline[n];
	if (type == ISA_T_B16 || type == ISA_T_F16 || type == ISA_T_PK_F16)
		return float16_inline[n];
	return float32_inline[n];
}

static uint64_t literal_value(uint32_t v, unsigned type)
{
	if (type == ISA_T_F64)
		return (uint64_t)v << 32;
	if (type == ISA_T_B16 || type == ISA_T_F16)
		return (uint16_t)v;
	return v;
}

/* A run of n scalar registers must be aligned and stay within its bank. */
static bool sgpr_run_ok(unsigned code, unsigned n)
{
	unsigned align = n >= 4 ? 4 : n, end = code + n;

	if (align > 1 && code % align)
		return false;
	if (code < CODE_VCC)
		return end <= CODE_SGPR_END;
	if (code < CODE_TTMP)
		return end <= CODE_TTMP;
	if (code < CODE_TTMP_END)
		return end <= CODE_TTMP_END;
	if (code == CODE_M0)
		return n == 1;
	return code >= CODE_EXEC && end <= 128;
}

static int set_register(struct isa_operand *o, enum isa_operand_kind kind, unsigned index)
{
	o->kind = kind;
	o->index = (uint16_t)index;
	if (kind == ISA_OPND_SGPR)
		return sgpr_run_ok(index, o->dwords) ? 0 : -EINVAL;
	return index + o->dwords <= 256 ? 0 : -EINVAL;
}

static int set_const(struct isa_operand *o, uint64_t value)
{
	o->kind = ISA_OPND_CONST;
	o->value = value;
	return 0;
}

/* code: 0..255 scalar, 256..511 VGPR (AGPR where only that may be), 512..1023 AGPR. */
static int set_operand(struct isa_operand *o, unsigned code, unsigned may, const uint32_t *literal)
{
	if (code >= CODE_VECTOR) {
		bool acc = (may & MAY_AGPR) && (!(may & MAY_VGPR) || code >= 2 * CODE_VECTOR);

		if (!(may & (MAY_VGPR | MAY_AGPR)))
			return -EINVAL;
		return set_register(o, acc ? ISA_OPND_AGPR : ISA_OPND_VGPR, code & 0xff);
	}
	if (code < CODE_INT_0)
		return may & MAY_SGPR ? set_register(o, ISA_OPND_SGPR, code) : -EINVAL;
	if (code <= CODE_INT_M16)
		return may & MAY_CONST ? set_const(o, inline_int(code <= CODE_INT_64
									 ? (int)code - CODE_INT_0
									 : CODE_INT_64 - (int)code,
								 o->type))
				       : -EINVAL;
	if (code >= CODE_FLOAT && code < CODE_FLOAT_END)
		return may & MAY_CONST ? set_const(o, inline_float(code - CODE_FLOAT, o->type))
				       : -EINVAL;
	if (code == CODE_LITERAL) {
		if (!(may & MAY_LITERAL) || !literal)
			return -EINVAL;
		o->literal = true;
		return set_const(o, literal_value(*literal, o->type));
	}
	if ((code >= CODE_SHARED_BASE && code <= CODE_POPS_EXITING) ||
	    (code >= CODE_VCCZ && code <= CODE_SCC)) {
		if (!(may & MAY_SPECIAL))
			return -EINVAL;
	} else if (code != CODE_LDS_DIRECT || !(may & MAY_LDS) || o->dwords > 1) {
		return -EINVAL;
	}
	o->kind = ISA_OPND_SPECIAL;
	o->index = (uint16_t)code;
	return 0;
}

static struct isa_operand *slot_of(struct isa_inst *inst, unsigned slot)
{
	return slot < SLOT_SRC0 ? &inst->dst[slot] : &inst->src[slot - SLOT_SRC0];
}

static int decode_operand(enum isa_target target, struct isa_inst *inst,
			  const struct operand_form *f, uint64_t w, const uint32_t *literal,
			  bool acc)
{
	struct isa_operand *o = slot_of(inst, f->slot);
	unsigned code = field(w, f->pos, f->width) << f->low;
	unsigned may;

	if (f->extra_pos)
		code |= field(w, f->extra_pos, 1) << f->extra_bit;
	o->type = f->type;
	o->dwords = f->dwords;
	o->literal = false;

	switch (f->what) {
	case W_VCC:
		code = CODE_VCC;
		break;
	case W_SREG_DATA:
		if (code >= CODE_M0)
			return -EINVAL;
		break;
	case W_KIMM:
		code = CODE_LITERAL;
		break;
	case W_SDWA_SDST: /* bit 7: a register is named, else it is VCC */
		code = code & 0x80 ? code & 0x7f : CODE_VCC;
		break;
	case W_SDWA: /* bit 8: scalar */
		code ^= CODE_VECTOR;
		break;
	case W_AVMEM: /* one bit says that all data is in accumulation registers */
		code = (code & 0xff) | (acc ? 2 * CODE_VECTOR : CODE_VECTOR);
		break;
	case W_VGPR:
	case W_AGPR:
		if (f->width == 8)
			code |= CODE_VECTOR;
		break;
	case W_AVSRC:
		if (!(code & CODE_VECTOR))
			return -EINVAL;
		break;
	default:
		break;
	}
	may = may_be[f->what];
	if (target == ISA_GFX90A) /* it cannot read LDS as a source */
		may &= ~(unsigned)MAY_LDS;
	return set_operand(o, code, may, literal);
}

static void vop3_modifiers(struct isa_inst *inst, uint64_t w, uint32_t flags)
{
	unsigned mods =
		(flags & R_MOD0 ? 1 : 0) | (flags & R_MOD1 ? 2 : 0) | (flags & R_MOD2 ? 4 : 0);

	inst->neg = field(w, 61, 3) & mods;
	if (!(flags & R_VOP3B))
		inst->abs = field(w, 8, 3) & mods;
	if (flags & R_OPSEL)
		inst->op_sel = field(w, 11, 4);
	if (flags & R_CLAMP)
		inst->clamp = field(w, 15, 1);
	if (flags & R_OMOD)
		inst->omod = field(w, 59, 2);
	if (flags & R_INTERP) { /* the first source is in the field of the second */
		inst->neg = (uint8_t)(field(w, 62, 1) | field(w, 63, 1) << 2) & mods;
		inst->abs = (uint8_t)(field(w, 9, 1) | field(w, 10, 1) << 2) & mods;
		inst->simm = (int32_t)(field(w, 32, 6) << 2 | field(w, 38, 2));
		inst->simm32 = field(w, 41, 9);
		inst->op_sel = field(w, 40, 1);
	}
}

static void vop3p_modifiers(struct isa_inst *inst, uint64_t w, uint32_t flags)
{
	if (flags & R_MFMA) {
		inst->cbsz = field(w, 8, 3);
		inst->abid = field(w, 11, 4);
		inst->blgp = field(w, 61, 3);
		return;
	}
	if (!(flags & (R_PACKED | R_MIX)))
		return;
	if (flags & R_MIX) {
		inst->neg = field(w, 61, 3);
		inst->abs = field(w, 8, 3);
	} else {
		inst->neg_lo = field(w, 61, 3);
		inst->neg_hi = field(w, 8, 3);
	}
	inst->op_sel = field(w, 11, 3);
	inst->op_sel_hi = (uint8_t)(field(w, 59, 2) | field(w, 14, 1) << 2);
	inst->clamp = field(w, 15, 1);
}

static int sdwa_modifiers(struct isa_inst *inst, uint64_t w, bool compare)
{
	inst->sdwa = true;
	inst->dst_sel = ISA_SDWA_DWORD;
	if (!compare) { /* a comparison has its destination register here */
		inst->dst_sel = field(w, 40, 3);
		inst->dst_unused = field(w, 43, 2);
		inst->clamp = field(w, 45, 1);
		inst->omod = field(w, 46, 2);
	}
	inst->src0_sel = field(w, 48, 3);
	inst->src0_sext = field(w, 51, 1);
	inst->src1_sel = field(w, 56, 3);
	inst->src1_sext = field(w, 59, 1);
	inst->neg = (uint8_t)(field(w, 52, 1) | field(w, 60, 1) << 1);
	inst->abs = (uint8_t)(field(w, 53, 1) | field(w, 61, 1) << 1);
	if (inst->dst_sel > ISA_SDWA_DWORD || inst->dst_unused > ISA_SDWA_UNUSED_PRESERVE ||
	    inst->src0_sel > ISA_SDWA_DWORD || inst->src1_sel > ISA_SDWA_DWORD)
		return -EINVAL;
	return 0;
}

/* The DPP controls of each target: "Vega" and "CDNA2" ISA manuals, DPP_CTRL. */
static bool dpp_ctrl_ok(enum isa_target target, unsigned ctrl)
{
	static const uint16_t single[] = {0x130, 0x134, 0x138, 0x13c, 0x140, 0x141, 0x142, 0x143};

	if (ctrl <= 0xff) /* quad_perm */
		return true;
	if (ctrl < 0x130) /* row_shl, row_shr, row_ror by 1 to 15 */
		return ctrl & 0xf;
	for (size_t i = 0; i < ARRAY_SIZE(single); i++) {
		if (ctrl == single[i])
			return true;
	}
	return target == ISA_GFX90A && ctrl >= 0x150 && ctrl <= 0x15f; /* row_newbcast */
}

static int dpp_modifiers(enum isa_target target, struct isa_inst *inst, uint64_t w)
{
	inst->dpp = true;
	inst->dpp_ctrl = (uint16_t)field(w, 40, 9);
	inst->bound_ctrl = field(w, 51, 1);
	inst->neg = (uint8_t)(field(w, 52, 1) | field(w, 54, 1) << 1);
	inst->abs = (uint8_t)(field(w, 53, 1) | field(w, 55, 1) << 1);
	inst->bank_mask = field(w, 56, 4);
	inst->row_mask = field(w, 60, 4);
	if ((inst->dst[0].dwords == 2 || inst->src[0].dwords == 2) && inst->dpp_ctrl < 0x150)
		return -EINVAL; /* 64-bit operations have row_newbcast only */
	return dpp_ctrl_ok(target, inst->dpp_ctrl) ? 0 : -EINVAL;
}

/* v_interp_mov names one of three parameters. */
static bool interp_ok(const struct isa_inst *inst)
{
	return inst->src[0].kind != ISA_OPND_NONE || inst->simm32 < 3;
}

static void smem_fields(struct isa_inst *inst, uint64_t w)
{
	inst->glc = field(w, 16, 1);
	inst->imm_offset = field(w, 17, 1);
	if (inst->imm_offset)
		inst->offset = sign_extend(field(w, 32, 21), 21);
	if (inst->src[2].kind == ISA_OPND_NONE && inst->dst[0].kind == ISA_OPND_NONE)
		inst->simm = (int32_t)field(w, 6, 7);
}

static void flat_fields(struct isa_inst *inst, uint64_t w, bool segment)
{
	/* Only the global and scratch segments have a sign; FLAT ignores the top bit. */
	inst->offset = segment ? sign_extend(field(w, 0, 13), 13) : (int32_t)field(w, 0, 12);
	inst->lds = field(w, 13, 1);
	inst->glc = field(w, 16, 1);
	inst->slc = field(w, 17, 1);
	inst->scc = field(w, 25, 1);
}

static void buffer_fields(struct isa_inst *inst, uint64_t w, bool typed)
{
	inst->offset = (int32_t)field(w, 0, 12);
	inst->offen = field(w, 12, 1);
	inst->idxen = field(w, 13, 1);
	inst->glc = field(w, 14, 1);
	if (typed) {
		inst->dfmt = field(w, 19, 4);
		inst->nfmt = field(w, 23, 3);
		inst->scc = field(w, 53, 1);
		inst->slc = field(w, 54, 1);
	} else {
		inst->scc = field(w, 15, 1);
		inst->lds = field(w, 16, 1);
		inst->slc = field(w, 17, 1);
	}
}

static int decode_rest(enum isa_target target, struct isa_inst *inst, enum class class, uint64_t w,
		       uint32_t flags)
{
	switch (class) {
	case CLASS_SOPK:
	case CLASS_SOPP:
		if (flags & R_SIMM)
			inst->simm = flags & R_SIMM_SIGNED ? (int16_t)w : (uint16_t)w;
		if (flags & R_LONG)
			inst->simm32 = (uint32_t)(w >> 32);
		return 0;
	case CLASS_VOP2:
		if (flags & R_LONG)
			inst->simm32 = (uint32_t)(w >> 32);
		return 0;
	case CLASS_SOPC:
		if (inst->src[1].kind == ISA_OPND_NONE)
			inst->simm = (int32_t)field(w, 8, 8);
		return 0;
	case CLASS_SMEM:
		smem_fields(inst, w);
		return 0;
	case CLASS_VOP3:
		if (inst->format == ISA_FMT_VOP3P)
			vop3p_modifiers(inst, w, flags);
		else
			vop3_modifiers(inst, w, flags);
		return !(flags & R_INTERP) || interp_ok(inst) ? 0 : -EINVAL;
	case CLASS_VINTRP:
		inst->simm = (int32_t)field(w, 8, 8);
		inst->simm32 = field(w, 0, 8);
		return interp_ok(inst) ? 0 : -EINVAL;
	case CLASS_SDWA1:
	case CLASS_SDWA2:
		return sdwa_modifiers(inst, w, false);
	case CLASS_SDWAC:
		return sdwa_modifiers(inst, w, true);
	case CLASS_DPP1:
	case CLASS_DPP2:
	case CLASS_DPPC:
		return dpp_modifiers(target, inst, w);
	case CLASS_DS:
		inst->offset = (int32_t)field(w, 0, 16);
		inst->gds = field(w, 16, 1);
		if (target == ISA_GFX90A && inst->gds && !(flags & R_GWS))
			return -EINVAL; /* it has no global data share, only the wave
					   synchronisation */
		break;
	case CLASS_FLAT:
		flat_fields(inst, w, false);
		break;
	case CLASS_GLOBAL:
	case CLASS_SCRATCH:
		flat_fields(inst, w, true);
		break;
	case CLASS_MUBUF:
		buffer_fields(inst, w, false);
		break;
	case CLASS_MTBUF:
		buffer_fields(inst, w, true);
		break;
	default:
		return 0;
	}
	inst->acc = inst->dst[0].kind == ISA_OPND_AGPR || inst->src[1].kind == ISA_OPND_AGPR;
	return 0;
}

static enum class class_of(uint32_t w) {
	enum class c = class_of_top9[w >> 23]; unsigned src0 = w & 0x1ff;

	switch (c){case CLASS_VOP1 : return src0 == CODE_SDWA ? CLASS_SDWA1
		   : src0 == CODE_DPP			      ? CLASS_DPP1
							      : c;
		   case CLASS_VOP2 : return src0 == CODE_SDWA ? CLASS_SDWA2
		   : src0 == CODE_DPP			      ? CLASS_DPP2
							      : c;
		   case CLASS_VOPC : return src0 == CODE_SDWA ? CLASS_SDWAC
		   : src0 == CODE_DPP			      ? CLASS_DPPC
							      : c;
		   case CLASS_FLAT : switch (w >> 14 & 3){
			   case 0 : return CLASS_FLAT; case 1 : return CLASS_SCRATCH;
			   case 2 : return CLASS_GLOBAL;
			   default : return CLASS_NONE;
		   }
default: return c;
}
}

static bool two_dwords(enum class c)
{
	switch (c) {
	case CLASS_SOP1:
	case CLASS_SOP2:
	case CLASS_SOPC:
	case CLASS_SOPK:
	case CLASS_SOPP:
	case CLASS_VOP1:
	case CLASS_VOP2:
	case CLASS_VOPC:
	case CLASS_VINTRP:
		return false;
	default:
		return true;
	}
}

static const struct row *find_row(enum isa_target target, enum class c, uint64_t w)
{
	unsigned opcode = first_opcode[c] + field(w, classes[c].shift, classes[c].width);
	const struct row *r = &rows[opcode_rows[opcode].first];

	for (unsigned n = opcode_rows[opcode].count; n; n--, r++) {
		if ((w & r->mask) == r->value && (r->targets & 1u << target))
			return r;
	}
	return NULL;
}

int isa_decode(enum isa_target target, const uint32_t *words, size_t nwords, struct isa_inst *inst)
{
	const uint32_t *literal = NULL;
	const struct row *r;
	bool acc = false;
	enum class c;
	uint64_t w;

	memset(inst, 0, sizeof(*inst));
	if (!nwords)
		return -ENODATA;
	c = class_of(words[0]);
	if (c == CLASS_NONE)
		return -EINVAL;
	if (two_dwords(c) && nwords < 2)
		return -ENODATA;
	w = words[0] | (nwords > 1 ? (uint64_t)words[1] << 32 : 0);
	r = find_row(target, c, w);
	if (!r)
		return -EINVAL;

	inst->op = r->op;
	inst->format = r->format;
	inst->size = two_dwords(c) ? 8 : 4;
	if (r->flags & R_LONG) {
		if (nwords < 2)
			return -ENODATA;
		inst->size = 8;
	}
	if (target == ISA_GFX90A)
		acc = field(w, c == CLASS_DS ? 25 : 55, 1);
	/* Only the one-dword formats take a literal, in the dword that follows. */
	if (!two_dwords(c) && nwords > 1)
		literal = &words[1];

	for (unsigned i = 0; i < MAX_OPERANDS && r->operands[i]; i++) {
		const struct operand_form *f = &operand_forms[r->operands[i]];
		int ret = decode_operand(target, inst, f, w, literal, acc);

		if (ret) {
			bool wants_literal = !two_dwords(c) && nwords < 2 &&
					     (may_be[f->what] & MAY_LITERAL) &&
					     field(w, f->pos, f->width) == CODE_LITERAL;

			return wants_literal ? -ENODATA : ret;
		}
		if (slot_of(inst, f->slot)->literal)
			inst->size = 8;
	}
	if (decode_rest(target, inst, c, w, r->flags))
		return -EINVAL;

	inst->reads_dst = r->flags & R_READS_DST;
	/* LLVM does not say so of s_quadmask; the manuals do. */
	inst->writes_scc = (r->flags & R_DEF_SCC) || r->op == ISA_S_QUADMASK_B32 || r->op == ISA_S_QUADMASK_B64;
	inst->reads_scc = r->flags & R_USE_SCC;
	inst->suffix = r->flags & R_SUFFIX;
	inst->tfe = r->flags & R_TFE;
	return inst->size;
}

bool isa_has(enum isa_target target, unsigned op, uint8_t *format)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].op == op && (rows[i].targets & 1u << target)) {
			if (format)
				*format = rows[i].format;
			return true;
		}
	return false;
}

static const char *const op_names[ISA_NUM_OPS] = {
	"invalid",
#define ISA_OP(name, text) text,
#include "gpu/soft/isa/isa_ops.inc"
#undef ISA_OP
};

const char *isa_op_name(unsigned op)
{
	return op < ISA_NUM_OPS ? op_names[op] : "invalid";
}
