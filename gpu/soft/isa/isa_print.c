/* SPDX-License-Identifier: MIT */
/*
 * isa_print.c - struct isa_inst as text, close to what LLVM's disassembler writes, so that logs can
 * be compared with llvm-objdump's and the decoder with LLVM's. Operands come first, in the order
 * their format has, then modifiers.
 */
#include "gpu/soft/isa/isa.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct out {
	char *buf;
	size_t size, len; /* len: what was wanted, the terminator apart */
	unsigned operands;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
	size_t room = o->len < o->size ? o->size - o->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? o->buf + o->len : NULL, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len += (size_t)n;
}

static void next_operand(struct out *o)
{
	put(o, o->operands++ ? ", " : " ");
}

static void put_sgpr(struct out *o, unsigned code, unsigned n)
{
	static const struct {
		uint8_t code;
		const char *lo, *hi, *both;
	} named[] = {
		{102, "flat_scratch_lo", "flat_scratch_hi", "flat_scratch"},
		{104, "xnack_mask_lo", "xnack_mask_hi", "xnack_mask"},
		{106, "vcc_lo", "vcc_hi", "vcc"},
		{126, "exec_lo", "exec_hi", "exec"},
	};
	const char *bank = "s";

	if (code == 124) {
		put(o, "m0");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		if (code - named[i].code < 2 && n <= 2) {
			put(o, "%s",
			    n == 2		    ? named[i].both
			    : code == named[i].code ? named[i].lo
						    : named[i].hi);
			return;
		}
	}
	if (code >= 108) {
		code -= 108;
		bank = "ttmp";
	}
	if (n == 1)
		put(o, "%s%u", bank, code);
	else
		put(o, "%s[%u:%u]", bank, code, code + n - 1);
}

static void put_vector(struct out *o, const char *bank, unsigned index, unsigned n)
{
	if (n == 1)
		put(o, "%s%u", bank, index);
	else
		put(o, "%s[%u:%u]", bank, index, index + n - 1);
}

static const char *special_name(unsigned code)
{
	static const struct {
		uint8_t code;
		const char *name;
	} names[] = {
		{235, "src_shared_base"},
		{236, "src_shared_limit"},
		{237, "src_private_base"},
		{238, "src_private_limit"},
		{239, "src_pops_exiting_wave_id"},
		{251, "src_vccz"},
		{252, "src_execz"},
		{253, "src_scc"},
		{254, "src_lds_direct"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return "?";
}

static const char *float_name(uint64_t v, const uint64_t *bits, size_t n, const char *inv_2pi)
{
	static const char *const names[] = {"0.5", "-0.5", "1.0", "-1.0",
					    "2.0", "-2.0", "4.0", "-4.0"};

	for (size_t i = 0; i < n; i++) {
		if (bits[i] == v)
			return i < ARRAY_SIZE(names) ? names[i] : inv_2pi;
	}
	return NULL;
}

/* An inline constant's own spelling where the value has one, else hexadecimal. */
static void put_const(struct out *o, const struct isa_operand *op)
{
	static const uint64_t f16[] = {0x3800, 0xb800, 0x3c00, 0xbc00, 0x4000,
				       0xc000, 0x4400, 0xc400, 0x3118};
	static const uint64_t f32[] = {0x3f000000, 0xbf000000, 0x3f800000, 0xbf800000, 0x40000000,
				       0xc0000000, 0x40800000, 0xc0800000, 0x3e22f983};
	static const uint64_t f64[] = {0x3fe0000000000000, 0xbfe0000000000000, 0x3ff0000000000000,
				       0xbff0000000000000, 0x4000000000000000, 0xc000000000000000,
				       0x4010000000000000, 0xc010000000000000, 0x3fc45f306dc9c882};
	const char *name;
	int64_t sval;

	switch (op->type) {
	case ISA_T_B64:
	case ISA_T_F64:
		sval = (int64_t)op->value;
		name = float_name(op->value, f64, ARRAY_SIZE(f64), "0.15915494309189532");
		break;
	case ISA_T_B16:
		sval = (int16_t)op->value;
		name = NULL;
		break;
	case ISA_T_F16:
		sval = (int16_t)op->value;
		name = float_name(op->value, f16, ARRAY_SIZE(f16), "0.15915494");
		break;
	case ISA_T_PK_F16:
		sval = (int32_t)op->value;
		name = float_name(op->value, f16, ARRAY_SIZE(f16), "0.15915494");
		break;
	default:
		sval = (int32_t)op->value;
		name = float_name(op->value, f32, ARRAY_SIZE(f32), "0.15915494");
		break;
	}
	if (sval >= -16 && sval <= 64)
		put(o, "%d", (int)sval);
	else if (name)
		put(o, "%s", name);
	else
		put(o, "0x%llx",
		    (unsigned long long)(op->type == ISA_T_F64 ? op->value >> 32 : op->value));
}

/* Unsigned 16-bit immediates. */
static void put_imm16(struct out *o, unsigned v)
{
	put(o, v <= 64 ? "%u" : "0x%x", v);
}

static void put_operand(struct out *o, const struct isa_operand *op)
{
	switch (op->kind) {
	case ISA_OPND_SGPR:
		put_sgpr(o, op->index, op->dwords);
		break;
	case ISA_OPND_VGPR:
		put_vector(o, "v", op->index, op->dwords);
		break;
	case ISA_OPND_AGPR:
		put_vector(o, "a", op->index, op->dwords);
		break;
	case ISA_OPND_CONST:
		put_const(o, op);
		break;
	case ISA_OPND_SPECIAL:
		put(o, "%s", special_name(op->index));
		break;
	default:
		put(o, "off");
		break;
	}
}

/* The next operand, if there is one. */
static void arg(struct out *o, const struct isa_operand *op)
{
	if (op->kind == ISA_OPND_NONE)
		return;
	next_operand(o);
	put_operand(o, op);
}

static void arg_or_off(struct out *o, const struct isa_operand *op)
{
	next_operand(o);
	put_operand(o, op);
}

/* The constant of v_madmk and v_madak is written in hexadecimal always. */
static bool constant_of_mad(const struct isa_inst *inst, unsigned i)
{
	return (i == 1 && (inst->op == ISA_V_MADMK_F32 || inst->op == ISA_V_MADMK_F16)) ||
	       (i == 2 && (inst->op == ISA_V_MADAK_F32 || inst->op == ISA_V_MADAK_F16));
}

static void vop_source(struct out *o, const struct isa_inst *inst, unsigned i)
{
	bool neg = inst->neg >> i & 1, abs = inst->abs >> i & 1;
	bool sext = inst->sdwa && ((i == 0 && inst->src0_sext) || (i == 1 && inst->src1_sext));
	bool spelt = neg && !abs && inst->src[i].kind == ISA_OPND_CONST;

	next_operand(o);
	put(o, "%s%s%s", sext ? "sext(" : "", !neg ? "" : spelt ? "neg(" : "-", abs ? "|" : "");
	if (constant_of_mad(inst, i))
		put(o, "0x%x", inst->simm32);
	else
		put_operand(o, &inst->src[i]);
	put(o, "%s%s%s", abs ? "|" : "", spelt ? ")" : "", sext ? ")" : "");
}

static void put_bits(struct out *o, const char *name, unsigned bits, unsigned n)
{
	put(o, " %s:[", name);
	for (unsigned i = 0; i < n; i++)
		put(o, "%s%u", i ? "," : "", bits >> i & 1);
	put(o, "]");
}

static unsigned count_sources(const struct isa_inst *inst)
{
	unsigned n = 0;

	while (n < 3 && inst->src[n].kind != ISA_OPND_NONE)
		n++;
	return n;
}

static void put_dpp(struct out *o, const struct isa_inst *inst)
{
	static const char *const shifts[] = {"", "row_shl", "row_shr", "row_ror"};
	unsigned c = inst->dpp_ctrl;

	if (c <= 0xff)
		put(o, " quad_perm:[%u,%u,%u,%u]", c & 3, c >> 2 & 3, c >> 4 & 3, c >> 6);
	else if (c < 0x130)
		put(o, " %s:%u", shifts[(c >> 4 & 3) + 1], c & 0xf);
	else if (c < 0x140)
		put(o, " %s:1",
		    c == 0x130	 ? "wave_shl"
		    : c == 0x134 ? "wave_rol"
		    : c == 0x138 ? "wave_shr"
				 : "wave_ror");
	else if (c < 0x142)
		put(o, c == 0x140 ? " row_mirror" : " row_half_mirror");
	else if (c < 0x150)
		put(o, " row_bcast:%u", c == 0x142 ? 15 : 31);
	else
		put(o, " row_newbcast:%u", c & 0xf);
	put(o, " row_mask:0x%x bank_mask:0x%x%s", inst->row_mask, inst->bank_mask,
	    inst->bound_ctrl ? " bound_ctrl:1" : "");
}

static void put_sdwa(struct out *o, const struct isa_inst *inst)
{
	static const char *const sel[] = {"BYTE_0", "BYTE_1", "BYTE_2", "BYTE_3",
					  "WORD_0", "WORD_1", "DWORD"};
	static const char *const unused[] = {"UNUSED_PAD", "UNUSED_SEXT", "UNUSED_PRESERVE"};

	if (inst->format != ISA_FMT_VOPC)
		put(o, " dst_sel:%s dst_unused:%s", sel[inst->dst_sel], unused[inst->dst_unused]);
	put(o, " src0_sel:%s", sel[inst->src0_sel]);
	if (inst->src[1].kind != ISA_OPND_NONE)
		put(o, " src1_sel:%s", sel[inst->src1_sel]);
}

static void put_omod(struct out *o, const struct isa_inst *inst)
{
	static const char *const omod[] = {"", " mul:2", " mul:4", " div:2"};

	put(o, "%s%s", inst->clamp ? " clamp" : "", omod[inst->omod & 3]);
}

static void print_vintrp(struct out *o, const struct isa_inst *inst)
{
	static const char *const slots[] = {"p10", "p20", "p0", "invalid_param_3"};

	if (inst->suffix)
		put(o, inst->format == ISA_FMT_VINTRP ? "_e32" : "_e64");
	arg(o, &inst->dst[0]);
	if (inst->src[0].kind == ISA_OPND_NONE) {
		next_operand(o);
		put(o, "%s", slots[inst->simm32 & 3]);
	} else {
		vop_source(o, inst, 0);
	}
	put(o, ", attr%d.%c", inst->simm >> 2, "xyzw"[inst->simm & 3]);
	if (inst->src[2].kind != ISA_OPND_NONE)
		vop_source(o, inst, 2);
	if (inst->op_sel)
		put(o, " high");
	put_omod(o, inst);
}

static void print_vop(struct out *o, const struct isa_inst *inst)
{
	static const char interp[] = "v_interp";
	bool vop3 = inst->format == ISA_FMT_VOP3;

	if (!strncmp(isa_op_name(inst->op), interp, sizeof(interp) - 1)) {
		print_vintrp(o, inst);
		return;
	}
	if (inst->suffix)
		put(o, "%s", inst->sdwa ? "_sdwa" : inst->dpp ? "_dpp" : vop3 ? "_e64" : "_e32");
	arg(o, &inst->dst[0]);
	arg(o, &inst->dst[1]);
	for (unsigned i = 0; i < 3; i++) {
		if (inst->src[i].kind != ISA_OPND_NONE)
			vop_source(o, inst, i);
	}
	if (inst->op_sel)
		put_bits(o, "op_sel",
			 (inst->op_sel & 7) | (inst->op_sel & 8) >> (3 - count_sources(inst)),
			 count_sources(inst) + 1);
	put_omod(o, inst);
	if (inst->sdwa && inst->src[0].kind != ISA_OPND_NONE)
		put_sdwa(o, inst);
	if (inst->dpp)
		put_dpp(o, inst);
}

static void print_vop3p(struct out *o, const struct isa_inst *inst)
{
	static const char mix[] = "v_mad_mix", fma_mix[] = "v_fma_mix", mfma[] = "v_mfma",
			  acc[] = "v_accvgpr";
	const char *name = isa_op_name(inst->op);
	unsigned n = count_sources(inst), hi;

	arg(o, &inst->dst[0]);
	for (unsigned i = 0; i < n; i++)
		vop_source(o, inst, i);
	if (!strncmp(name, acc, sizeof(acc) - 1))
		return;
	if (!strncmp(name, mfma, sizeof(mfma) - 1)) {
		if (inst->cbsz)
			put(o, " cbsz:%u", inst->cbsz);
		if (inst->abid)
			put(o, " abid:%u", inst->abid);
		if (inst->blgp)
			put(o, " blgp:%u", inst->blgp);
		return;
	}
	/* op_sel_hi is all ones unless it means "this source is f16". */
	hi = strncmp(name, mix, sizeof(mix) - 1) && strncmp(name, fma_mix, sizeof(fma_mix) - 1)
		     ? (1u << n) - 1
		     : 0;
	if (inst->op_sel & ((1u << n) - 1))
		put_bits(o, "op_sel", inst->op_sel, n);
	if ((inst->op_sel_hi & ((1u << n) - 1)) != hi)
		put_bits(o, "op_sel_hi", inst->op_sel_hi, n);
	if (inst->neg_lo & ((1u << n) - 1))
		put_bits(o, "neg_lo", inst->neg_lo, n);
	if (inst->neg_hi & ((1u << n) - 1))
		put_bits(o, "neg_hi", inst->neg_hi, n);
	put_omod(o, inst);
}

static void put_cache_bits(struct out *o, const struct isa_inst *inst)
{
	put(o, "%s%s%s", inst->glc ? " glc" : "", inst->slc ? " slc" : "", inst->scc ? " scc" : "");
}

static void print_smem(struct out *o, const struct isa_inst *inst)
{
	const char *sign = inst->offset < 0 ? "-" : "";
	unsigned magnitude = (unsigned)(inst->offset < 0 ? -inst->offset : inst->offset);
	bool store = inst->src[2].kind != ISA_OPND_NONE && inst->dst[0].kind == ISA_OPND_NONE;
	bool probe = inst->op == ISA_S_ATC_PROBE || inst->op == ISA_S_ATC_PROBE_BUFFER;

	arg(o, &inst->dst[0]);
	if (store)
		arg(o, &inst->src[2]);
	if (probe) {
		next_operand(o);
		put_imm16(o, (unsigned)inst->simm);
	}
	if (inst->src[0].kind == ISA_OPND_NONE)
		return;
	arg(o, &inst->src[0]);
	arg(o, &inst->src[1]);
	if (inst->src[1].kind != ISA_OPND_NONE && inst->imm_offset)
		put(o, " offset:%s0x%x", sign, magnitude);
	else if (inst->src[1].kind == ISA_OPND_NONE)
		put(o, ", %s0x%x", sign, magnitude);
	if (!probe && inst->op != ISA_S_DCACHE_DISCARD && inst->op != ISA_S_DCACHE_DISCARD_X2)
		put(o, "%s", inst->glc ? " glc" : "");
}

static bool is_power_of_2(unsigned v)
{
	return v && !(v & (v - 1));
}

/* The pattern of ds_swizzle_b32: bit 15 chooses a permutation of each quad, else lane = ((lane &
 * and) | or) ^ xor. */
static void put_swizzle(struct out *o, unsigned v)
{
	unsigned and = v & 0x1f, or = v >> 5 & 0x1f, xor = v >> 10 & 0x1f, group = 32 - and;
	unsigned zeros = or ^xor, ones = (and | or) ^ xor;

	if ((v & 0xff00) == 0x8000) {
		put(o, " offset:swizzle(QUAD_PERM,%u,%u,%u,%u)", v & 3, v >> 2 & 3, v >> 4 & 3,
		    v >> 6 & 3);
	} else if (v & 0x8000) {
		put(o, " offset:%u", v);
	} else if (and == 31 && ! or &&is_power_of_2(xor)) {
		put(o, " offset:swizzle(SWAP,%u)", xor);
	} else if (and == 31 && ! or &&xor&&is_power_of_2(xor+1)) {
		put(o, " offset:swizzle(REVERSE,%u)", xor+1);
	} else if (group > 1 && is_power_of_2(group) && or < group && !xor) {
		put(o, " offset:swizzle(BROADCAST,%u,%u)", group, or);
	} else {
		/* Bit by bit, what becomes of it: 0, 1, preserved, inverted. */
		put(o, " offset:swizzle(BITMASK_PERM,\"");
		for (int i = 4; i >= 0; i--)
			put(o, "%c", "0pi1"[(zeros >> i & 1) << 1 | (ones >> i & 1)]);
		put(o, "\")");
	}
}

static bool ds_two_addresses(const struct isa_inst *inst)
{
	const char *name = isa_op_name(inst->op);

	return strstr(name, "read2") || strstr(name, "write2") || strstr(name, "wrxchg2");
}

static void print_ds(struct out *o, const struct isa_inst *inst)
{
	unsigned offset = (unsigned)inst->offset & 0xffff;

	arg(o, &inst->dst[0]);
	for (unsigned i = 0; i < 3; i++)
		arg(o, &inst->src[i]);
	if (inst->op == ISA_DS_SWIZZLE_B32 && offset)
		put_swizzle(o, offset);
	else if (!ds_two_addresses(inst) && offset)
		put(o, " offset:%u", offset);
	else if (ds_two_addresses(inst)) {
		if (offset & 0xff)
			put(o, " offset0:%u", offset & 0xff);
		if (offset >> 8)
			put(o, " offset1:%u", offset >> 8);
	}
	if (inst->gds)
		put(o, " gds");
}

static void print_flat(struct out *o, const struct isa_inst *inst)
{
	bool segment = inst->format != ISA_FMT_FLAT;

	arg(o, &inst->dst[0]);
	arg_or_off(o, &inst->src[0]);
	arg(o, &inst->src[1]);
	if (segment)
		arg_or_off(o, &inst->src[2]);
	if (inst->offset)
		put(o, " offset:%d", inst->offset);
	put_cache_bits(o, inst);
	if (inst->lds)
		put(o, " lds");
}

static void put_format(struct out *o, unsigned dfmt, unsigned nfmt)
{
	static const char *const data[] = {
		"INVALID",     "8",	   "16",	  "8_8",	"32",	   "16_16",
		"10_11_11",    "11_11_10", "10_10_10_2",  "2_10_10_10", "8_8_8_8", "32_32",
		"16_16_16_16", "32_32_32", "32_32_32_32", "RESERVED_15"};
	static const char *const number[] = {"UNORM", "SNORM", "USCALED",    "SSCALED",
					     "UINT",  "SINT",  "RESERVED_6", "FLOAT"};

	if (dfmt == 1 && nfmt == 0)
		return;
	if (dfmt == 1)
		put(o, " format:[BUF_NUM_FORMAT_%s]", number[nfmt]);
	else if (nfmt == 0)
		put(o, " format:[BUF_DATA_FORMAT_%s]", data[dfmt]);
	else
		put(o, " format:[BUF_DATA_FORMAT_%s,BUF_NUM_FORMAT_%s]", data[dfmt], number[nfmt]);
}

static void print_buffer(struct out *o, const struct isa_inst *inst)
{
	if (inst->src[2].kind == ISA_OPND_NONE) /* cache control: no operands */
		return;
	if (inst->dst[0].kind != ISA_OPND_NONE)
		arg(o, &inst->dst[0]);
	else
		arg(o, &inst->src[1]);
	if (inst->op != ISA_BUFFER_STORE_LDS_DWORD)
		arg_or_off(o, &inst->src[0]);
	arg(o, &inst->src[2]);
	arg(o, &inst->src[3]);
	if (inst->format == ISA_FMT_MTBUF)
		put_format(o, inst->dfmt & 0xf, inst->nfmt & 7);
	put(o, "%s%s", inst->idxen ? " idxen" : "", inst->offen ? " offen" : "");
	if (inst->offset)
		put(o, " offset:%d", inst->offset);
	if (inst->op == ISA_BUFFER_STORE_LDS_DWORD)
		put(o, " lds");
	put_cache_bits(o, inst);
	if (inst->lds && inst->op != ISA_BUFFER_STORE_LDS_DWORD)
		put(o, " lds");
	if (inst->tfe)
		put(o, " tfe");
}

static void put_waitcnt(struct out *o, unsigned v)
{
	unsigned vm = (v & 0xf) | (v >> 10 & 0x30), exp = v >> 4 & 7, lgkm = v >> 8 & 0xf;
	bool all = vm == 63 && exp == 7 && lgkm == 15;

	if (vm != 63 || all)
		put(o, " vmcnt(%u)", vm);
	if (exp != 7 || all)
		put(o, " expcnt(%u)", exp);
	if (lgkm != 15 || all)
		put(o, " lgkmcnt(%u)", lgkm);
}

static void put_hwreg(struct out *o, unsigned v)
{
	static const char *const names[32] = {
		[1] = "HW_REG_MODE",	[2] = "HW_REG_STATUS",	      [3] = "HW_REG_TRAPSTS",
		[4] = "HW_REG_HW_ID",	[5] = "HW_REG_GPR_ALLOC",     [6] = "HW_REG_LDS_ALLOC",
		[7] = "HW_REG_IB_STS",	[15] = "HW_REG_SH_MEM_BASES", [16] = "HW_REG_TBA_LO",
		[17] = "HW_REG_TBA_HI", [18] = "HW_REG_TMA_LO",	      [19] = "HW_REG_TMA_HI",
	};
	unsigned id = v & 0x3f, offset = v >> 6 & 0x1f, width = (v >> 11 & 0x1f) + 1;

	next_operand(o);
	put(o, "hwreg(");
	if (id < 32 && names[id])
		put(o, "%s", names[id]);
	else
		put(o, "%u", id);
	if (offset || width != 32)
		put(o, ", %u, %u", offset, width);
	put(o, ")");
}

static void put_sendmsg(struct out *o, unsigned v)
{
	static const char *const msgs[16] = {
		[1] = "MSG_INTERRUPT",	     [2] = "MSG_GS",
		[3] = "MSG_GS_DONE",	     [4] = "MSG_SAVEWAVE",
		[5] = "MSG_STALL_WAVE_GEN",  [6] = "MSG_HALT_WAVES",
		[7] = "MSG_ORDERED_PS_DONE", [8] = "MSG_EARLY_PRIM_DEALLOC",
		[9] = "MSG_GS_ALLOC_REQ",    [10] = "MSG_GET_DOORBELL",
		[15] = "MSG_SYSMSG",
	};
	static const char *const gs[] = {"GS_OP_NOP", "GS_OP_CUT", "GS_OP_EMIT", "GS_OP_EMIT_CUT"};
	static const char *const sys[] = {NULL, "SYSMSG_OP_ECC_ERR_INTERRUPT", "SYSMSG_OP_REG_RD",
					  NULL, "SYSMSG_OP_TTRACE_PC"};
	unsigned id = v & 0xf, op = v >> 4 & 7, stream = v >> 8 & 3;
	const char *name = NULL;

	put(o, " ");
	if ((id == 2 || id == 3) && op < 4 && (op || (id == 3 && !stream)))
		name = gs[op];
	else if (id == 15 && op < ARRAY_SIZE(sys) && !stream)
		name = sys[op];
	if (name && (id == 15 || !op))
		put(o, "sendmsg(%s, %s)", msgs[id], name);
	else if (name)
		put(o, "sendmsg(%s, %s, %u)", msgs[id], name, stream);
	else if (msgs[id] && id != 2 && id != 3 && id != 15 && !op && !stream)
		put(o, "sendmsg(%s)", msgs[id]);
	else if (v & ~0x37fu) /* bits of no field */
		put(o, "%u", v);
	else
		put(o, "sendmsg(%u, %u, %u)", id, op, stream);
}

static void put_gpr_idx(struct out *o, unsigned v)
{
	static const char *const bits[] = {"SRC0", "SRC1", "SRC2", "DST"};
	const char *sep = "";

	next_operand(o);
	if (v & ~0xfu) {
		put(o, "0x%x", v);
		return;
	}
	put(o, "gpr_idx(");
	for (unsigned i = 0; i < 4; i++) {
		if (v >> i & 1) {
			put(o, "%s%s", sep, bits[i]);
			sep = ",";
		}
	}
	put(o, ")");
}

static bool is_branch(unsigned op)
{
	static const char branch[] = "s_cbranch_";

	return op == ISA_S_BRANCH || op == ISA_S_CALL_B64 ||
	       (op != ISA_S_CBRANCH_G_FORK && op != ISA_S_CBRANCH_JOIN &&
		!strncmp(isa_op_name(op), branch, sizeof(branch) - 1));
}

static void put_branch(struct out *o, const struct isa_inst *inst, uint64_t pc)
{
	next_operand(o);
	put(o, "%u // 0x%llx", (unsigned)inst->simm & 0xffff,
	    (unsigned long long)(pc + 4 + (uint64_t)(int64_t)inst->simm * 4));
}

static void print_sopp(struct out *o, const struct isa_inst *inst, uint64_t pc)
{
	unsigned v = (unsigned)inst->simm & 0xffff;

	if (is_branch(inst->op)) {
		put_branch(o, inst, pc);
		return;
	}
	switch (inst->op) {
	case ISA_S_WAITCNT:
		put_waitcnt(o, v);
		break;
	case ISA_S_SENDMSG:
	case ISA_S_SENDMSGHALT:
		put_sendmsg(o, v);
		break;
	case ISA_S_SET_GPR_IDX_MODE:
		put_gpr_idx(o, v);
		break;
	case ISA_S_ENDPGM:
		if (v)
			put(o, " %u", v);
		break;
	case ISA_S_BARRIER:
	case ISA_S_ICACHE_INV:
	case ISA_S_TTRACEDATA:
	case ISA_S_WAKEUP:
	case ISA_S_SET_GPR_IDX_OFF:
	case ISA_S_ENDPGM_SAVED:
	case ISA_S_ENDPGM_ORDERED_PS_DONE:
		break;
	default:
		put(o, " ");
		put_imm16(o, v);
		break;
	}
}

static void print_sopk(struct out *o, const struct isa_inst *inst, uint64_t pc)
{
	bool set = inst->op == ISA_S_SETREG_B32 || inst->op == ISA_S_SETREG_IMM32_B32;

	arg(o, &inst->dst[0]);
	if (!set)
		arg(o, &inst->src[0]);
	if (is_branch(inst->op)) {
		put_branch(o, inst, pc);
	} else if (set || inst->op == ISA_S_GETREG_B32) {
		put_hwreg(o, (unsigned)inst->simm & 0xffff);
		if (inst->op == ISA_S_SETREG_B32)
			arg(o, &inst->src[0]);
		else if (set)
			put(o,
			    (int32_t)inst->simm32 >= -16 && (int32_t)inst->simm32 <= 64 ? ", %d"
											: ", 0x%x",
			    inst->simm32);
	} else {
		next_operand(o);
		put(o, "0x%x", (unsigned)inst->simm & 0xffff);
	}
}

static void print_scalar(struct out *o, const struct isa_inst *inst)
{
	arg(o, &inst->dst[0]);
	arg(o, &inst->src[0]);
	arg(o, &inst->src[1]);
	if (inst->op == ISA_S_SET_GPR_IDX_ON)
		put_gpr_idx(o, (unsigned)inst->simm);
}

int isa_print(char *buf, size_t size, const struct isa_inst *inst, uint64_t pc)
{
	struct out out = {.buf = buf, .size = size};
	struct out *o = &out;

	if (size)
		buf[0] = '\0';
	put(o, "%s", isa_op_name(inst->op));
	switch ((enum isa_format)inst->format) {
	case ISA_FMT_SOP1:
	case ISA_FMT_SOP2:
	case ISA_FMT_SOPC:
		print_scalar(o, inst);
		break;
	case ISA_FMT_SOPK:
		print_sopk(o, inst, pc);
		break;
	case ISA_FMT_SOPP:
		print_sopp(o, inst, pc);
		break;
	case ISA_FMT_SMEM:
		print_smem(o, inst);
		break;
	case ISA_FMT_VOP1:
	case ISA_FMT_VOP2:
	case ISA_FMT_VOPC:
	case ISA_FMT_VOP3:
		print_vop(o, inst);
		break;
	case ISA_FMT_VOP3P:
		print_vop3p(o, inst);
		break;
	case ISA_FMT_VINTRP:
		print_vintrp(o, inst);
		break;
	case ISA_FMT_DS:
		print_ds(o, inst);
		break;
	case ISA_FMT_FLAT:
	case ISA_FMT_GLOBAL:
	case ISA_FMT_SCRATCH:
		print_flat(o, inst);
		break;
	case ISA_FMT_MUBUF:
	case ISA_FMT_MTBUF:
		print_buffer(o, inst);
		break;
	case ISA_FMT_MIMG:
	case ISA_FMT_EXP:
		break;
	}
	return (int)out.len;
}
