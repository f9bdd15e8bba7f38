/* SPDX-License-Identifier: MIT */
/*
 * lift_valu.c - vector operations: what valu_operand.c does around the arithmetic for the interpreter (modifiers of sources, NaN choice,
 * flushes, clamp, placement, EXEC), as IR; the arithmetic itself comes from the lane functions.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/exec/valu.h"
#include "gpu/soft/jit/lift.h"

#define AND(x_, y_) LLVMBuildAnd(l->b, x_, y_, "")
#define OR(x_, y_) LLVMBuildOr(l->b, x_, y_, "")
#define XOR(x_, y_) LLVMBuildXor(l->b, x_, y_, "")
#define SHL(x_, n_) LLVMBuildShl(l->b, x_, vconst32(l, n_), "")
#define SHR(x_, n_) LLVMBuildLShr(l->b, x_, vconst32(l, n_), "")
#define SELECT(c_, x_, y_) LLVMBuildSelect(l->b, c_, x_, y_, "")
#define IS(pred, x_, y_) LLVMBuildICmp(l->b, LLVMInt##pred, x_, y_, "")
#define K32(v) vconst32(l, v)
#define K64(v) vconst64(l, v)

bool is64(unsigned kind)
{
	return kind == K_U64 || kind == K_I64 || kind == K_F64 || kind == K_R64 || kind == K_M64 || kind == K_X64;
}

static bool is16(unsigned kind)
{
	return kind == K_U16 || kind == K_I16 || kind == K_F16 || kind == K_R16 || kind == K_M16;
}

/* The interpreter's grouping of sources (VK_OF_* in valu_gen.h). */
static enum valu_kind group(unsigned kind)
{
	switch (kind) {
	case K_F32:
	case K_R32:
		return VK_F32;
	case K_M32:
		return VK_M32;
	case K_U16:
	case K_I16:
		return VK_I16;
	case K_F16:
	case K_R16:
		return VK_F16;
	case K_M16:
		return VK_M16;
	case K_U64:
	case K_I64:
		return VK_I64;
	case K_F64:
	case K_R64:
		return VK_F64;
	case K_M64:
		return VK_M64;
	default:
		return VK_I32;
	}
}

static V as_float(struct lift *l, V x)
{
	return LLVMBuildBitCast(l->b, x, vec(LLVMTypeOf(x) == l->vi64 ? l->f64 : l->f32, l->width), "");
}

static V is_nan(struct lift *l, V bits)
{
	V f = as_float(l, bits);

	return LLVMBuildFCmp(l->b, LLVMRealUNO, f, f, "");
}

static V flush_bits32(struct lift *l, V x)
{
	return SELECT(IS(NE, AND(x, K32(0x7f800000)), K32(0)), x, AND(x, K32(0x80000000)));
}

static V flush_bits16(struct lift *l, V x)
{
	return SELECT(IS(NE, AND(x, K32(0x7c00)), K32(0)), x, AND(x, K32(~0x3ffu)));
}

static V flush_half(struct lift *l, V x)
{
	return SELECT(IS(NE, AND(x, K32(0x7c00)), K32(0)), x, AND(x, K32(0x8000)));
}

static V flush_bits64(struct lift *l, V x)
{
	return SELECT(IS(NE, AND(x, K64(0x7ff0000000000000ull)), K64(0)), x, AND(x, K64(1ull << 63)));
}

/* ------------------------------------------------------------------ sources */

/* Additions, multiplications and fused ones, which take hosts a hundred times as long where a source or the result is a denormal. */
static bool minds_denormals(V x)
{
	unsigned id;

	if (LLVMIsABitCastInst(x))
		x = LLVMGetOperand(x, 0);
	id = LLVMIsACallInst(x) && LLVMGetCalledValue(x) ? LLVMGetIntrinsicID(LLVMGetCalledValue(x)) : 0;
	return LLVMIsABinaryOperator(x) ? LLVMGetTypeKind(LLVMGetElementType(LLVMTypeOf(x))) != LLVMIntegerTypeKind : id && id == LLVMLookupIntrinsicID("llvm.fma", 8);
}

/*
 * What active lanes have: of what was written under the mask that holds now, before the other lanes' old values were put to it. For sources of what is done
 * lane by lane, whose other lanes nobody sees, so that what is computed one after the other under a mask does not wait for the choices between, and is not
 * slowed by what the others keep: integers may look like denormals. With AVX-512 the operation itself leaves those lanes out.
 */
static V of_active(struct lift *l, const struct vop *q, unsigned strip, V x)
{
	V mask = NULL;

	while (q->exec && LLVMIsASelectInst(x) && LLVMGetOperand(x, 0) == (mask = mask_strip(l, q->exec, strip)))
		x = LLVMGetOperand(x, 1);
	return mask && l->width == 16 && minds_denormals(x) ? LLVMBuildSelect(l->b, mask, x, LLVMConstNull(LLVMTypeOf(x)), "") : x;
}

static V active_v(struct lift *l, const struct vop *q, unsigned r, unsigned strip)
{
	return of_active(l, q, strip, get_v(l, r, strip));
}

static V active_v64(struct lift *l, const struct vop *q, unsigned r, unsigned strip)
{
	return of_active(l, q, strip, get_v64(l, r, strip));
}

static V raw32(struct lift *l, const struct vop *q, const struct isa_operand *o, unsigned i, unsigned n, unsigned strip)
{
	V x;

	if (!i && q->dpp[n][strip])
		return q->dpp[n][strip];
	switch (o->kind) {
	case ISA_OPND_VGPR:
		return active_v(l, q, o->index + n, strip);
	case ISA_OPND_AGPR:
		x = LLVMBuildLoad2(l->b, l->vi32, row_ptr(l, true, o->index + n, strip), "");
		LLVMSetAlignment(x, 4 * l->width);
		return x;
	default:
		return splat(l, q->scalar[i]);
	}
}

static V sub_dword(struct lift *l, V x, unsigned sel, bool sext)
{
	unsigned shift = 0, width = 32;

	if (sel <= ISA_SDWA_BYTE_3) {
		shift = sel * 8;
		width = 8;
	} else if (sel <= ISA_SDWA_WORD_1) {
		shift = (sel - ISA_SDWA_WORD_0) * 16;
		width = 16;
	}
	if (width == 32)
		return x;
	x = SHL(x, 32 - width - shift);
	return sext ? LLVMBuildAShr(l->b, x, K32(32 - width), "") : SHR(x, 32 - width);
}

static V source32(struct lift *l, const struct vop *q, unsigned i, unsigned kind, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	enum valu_kind vk = group(kind);
	bool sixteen = is16(kind), fp = vk == VK_F32 || vk == VK_F16 || vk == VK_M32 || vk == VK_M16;
	uint32_t sign = sixteen ? 0x8000 : 0x80000000;
	V x = raw32(l, q, &in->src[i], i, 0, strip);

	if (in->sdwa && i < 2)
		x = sub_dword(l, x, i ? in->src1_sel : in->src0_sel, i ? in->src1_sext : in->src0_sext);
	else if (sixteen && (in->op_sel >> i & 1))
		x = SHR(x, 16);
	if (fp && (in->abs >> i & 1))
		x = AND(x, K32(~sign));
	if (fp && (in->neg >> i & 1))
		x = XOR(x, K32(sign));
	if (vk == VK_F32 && !(q->mode & MODE_F32_SRC_DENORM))
		x = flush_bits32(l, x);
	if (vk == VK_F16 && !(q->mode & MODE_F64_SRC_DENORM))
		x = flush_bits16(l, x);
	return x;
}

static V raw64(struct lift *l, const struct vop *q, unsigned i, unsigned strip)
{
	const struct isa_operand *o = &q->ji->ci.inst.src[i];

	if (!i && q->dpp[0][strip])
		return OR(LLVMBuildZExt(l->b, q->dpp[0][strip], l->vi64, ""),
			  LLVMBuildShl(l->b, LLVMBuildZExt(l->b, q->dpp[1][strip], l->vi64, ""), K64(32), ""));
	return o->kind == ISA_OPND_VGPR ? active_v64(l, q, o->index, strip) : splat(l, q->scalar[i]);
}

static V source64(struct lift *l, const struct vop *q, unsigned i, unsigned kind, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	enum valu_kind vk = group(kind);
	bool fp = vk == VK_F64 || vk == VK_M64;
	V x = raw64(l, q, i, strip);

	if (fp && (in->abs >> i & 1))
		x = AND(x, K64(~(1ull << 63)));
	if (fp && (in->neg >> i & 1))
		x = XOR(x, K64(1ull << 63));
	if (vk == VK_F64 && !(q->mode & MODE_F64_SRC_DENORM))
		x = flush_bits64(l, x);
	return x;
}

/* The old destination as a source. */
static V source_old(struct lift *l, const struct vop *q, unsigned kind, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	enum valu_kind vk = group(kind);
	V x;

	if (is64(kind)) {
		x = active_v64(l, q, in->dst[0].index, strip);
		return vk == VK_F64 && !(q->mode & MODE_F64_SRC_DENORM) ? flush_bits64(l, x) : x;
	}
	x = active_v(l, q, in->dst[0].index, strip);
	if ((vk == VK_F16 || vk == VK_I16) && (in->op_sel & 8))
		x = SHR(x, 16);
	if (vk == VK_F32 && !(q->mode & MODE_F32_SRC_DENORM))
		x = flush_bits32(l, x);
	if (vk == VK_F16 && !(q->mode & MODE_F64_SRC_DENORM))
		x = flush_bits16(l, x);
	return x;
}

/* ------------------------------------------------------------------ NaN choice */

/* Operations whose host instruction gives the same NaN except when several sources are NaNs (jit.h, "exact"). */
static bool host_picks(unsigned op)
{
	switch (op) {
	case ISA_V_ADD_F32:
	case ISA_V_SUB_F32:
	case ISA_V_SUBREV_F32:
	case ISA_V_MUL_F32:
	case ISA_V_FMA_F32:
	case ISA_V_FMAC_F32:
	case ISA_V_MAC_F32:
	case ISA_V_MAD_F32:
	case ISA_V_MADAK_F32:
	case ISA_V_MADMK_F32:
	case ISA_V_PK_FMA_F32:
	case ISA_V_PK_MUL_F32:
	case ISA_V_PK_ADD_F32:
	case ISA_V_ADD_F64:
	case ISA_V_MUL_F64:
	case ISA_V_FMA_F64:
	case ISA_V_FMAC_F64:
	case ISA_V_RCP_F32:
	case ISA_V_RSQ_F64: /* by itself */
	case ISA_V_SQRT_F32:
	case ISA_V_FLOOR_F32:
	case ISA_V_TRUNC_F32:
	case ISA_V_RNDNE_F32:
	case ISA_V_CEIL_F32:
	case ISA_V_CVT_F32_I32:
	case ISA_V_CVT_F32_U32:
	case ISA_V_CVT_F64_I32:
	case ISA_V_CVT_F64_U32:
		return true;
	default:
		return false;
	}
}

static bool is_plus_minus(struct lift *l, V x, bool f64, uint64_t bits)
{
	return f64 ? x == K64(bits) || x == K64(bits | 1ull << 63) : x == K32((uint32_t)bits) || x == K32((uint32_t)bits | 1u << 31);
}

/*
 * Of what is multiplied by a constant 1, or 0 is added to, LLVM makes the source itself (or its negative): a signalling NaN would not be quieted, which is
 * what compilers write such a multiplication for.
 */
static bool gives_back_source(struct lift *l, const struct vop *q, V src[3])
{
	bool f64 = q->op->result == K_F64, by_one = false, zero = false;
	uint64_t one = f64 ? 0x3ff0000000000000 : 0x3f800000;
	unsigned op = q->ji->ci.inst.op;

	for (unsigned i = 0; i < 2; i++) {
		by_one |= is_plus_minus(l, src[i], f64, one);
		zero |= is_plus_minus(l, src[i], f64, 0);
	}
	if (q->op->nsrc == 3)
		return by_one && is_plus_minus(l, src[2], f64, 0);
	return q->op->nsrc == 2 && (op == ISA_V_MUL_F32 || op == ISA_V_PK_MUL_F32 || op == ISA_V_MUL_F64 ? by_one : zero);
}

static V nan_of_source(struct lift *l, enum valu_kind vk, V x, bool to64, V otherwise)
{
	V nan, bits, wide;

	switch (vk) {
	case VK_F16:
		nan = IS(UGT, AND(x, K32(0x7fff)), K32(0x7c00));
		bits = OR(SHL(AND(x, K32(0x8000)), 16), OR(K32(0x7fc00000), SHL(AND(x, K32(0x3ff)), 13)));
		break;
	case VK_F32:
		nan = is_nan(l, x);
		bits = OR(x, K32(0x400000));
		break;
	case VK_F64:
		nan = is_nan(l, x);
		if (to64)
			return SELECT(nan, OR(x, K64(8ull << 48)), otherwise);
		wide = LLVMBuildLShr(l->b, x, K64(29), "");
		bits = LLVMBuildTrunc(l->b, AND(wide, K64(0x3fffff)), l->vi32, "");
		wide = LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, x, K64(32), ""), l->vi32, "");
		bits = OR(OR(bits, K32(0x7fc00000)), AND(wide, K32(0x80000000)));
		break;
	default:
		return otherwise;
	}
	if (to64) {
		wide = LLVMBuildZExt(l->b, bits, l->vi64, "");
		wide = OR(OR(LLVMBuildShl(l->b, AND(wide, K64(0x80000000)), K64(32), ""), K64(0x7ff8ull << 48)),
			  LLVMBuildShl(l->b, AND(wide, K64(0x3fffff)), K64(29), ""));
		bits = wide;
	}
	return SELECT(nan, bits, otherwise);
}

/* out: bits of floats or doubles. */
static V fix_nans(struct lift *l, V out, const enum valu_kind vk[3], V src[3], unsigned n)
{
	bool to64 = LLVMTypeOf(out) == l->vi64;
	V pick = to64 ? K64(DEFAULT_NAN_F64) : K32(DEFAULT_NAN_F32);

	for (unsigned i = n; i--;)
		pick = nan_of_source(l, vk[i], src[i], to64, pick);
	return SELECT(is_nan(l, out), pick, out);
}

/* ------------------------------------------------------------------ results */

static bool omod_counts(const struct vop *q, uint32_t denorm_bit)
{
	return q->ji->ci.inst.omod && !(q->mode & (denorm_bit | MODE_IEEE));
}

static V clamp32(struct lift *l, const struct vop *q, V x)
{
	V f = as_float(l, x), zero = as_float(l, K32(0)), one = as_float(l, K32(0x3f800000));
	V r = SELECT(LLVMBuildFCmp(l->b, LLVMRealOGT, f, zero, ""), x, K32(0));

	r = SELECT(LLVMBuildFCmp(l->b, LLVMRealOGT, f, one, ""), K32(0x3f800000), r);
	return q->mode & MODE_DX10_CLAMP ? r : SELECT(is_nan(l, x), x, r);
}

static V omod32(struct lift *l, const struct vop *q, V x)
{
	static const uint32_t factor[4] = {0x3f800000, 0x40000000, 0x40800000, 0x3f000000};
	V r = LLVMBuildFMul(l->b, as_float(l, x), as_float(l, K32(factor[q->ji->ci.inst.omod & 3])), "");

	r = LLVMBuildBitCast(l->b, r, l->vi32, "");
	r = SELECT(IS(EQ, r, K32(0x80000000)), K32(0), r);
	return SELECT(is_nan(l, x), x, r);
}

static V place_sdwa(struct lift *l, const struct isa_inst *in, V old, V out)
{
	unsigned shift, width;
	uint32_t field;
	V v;

	if (in->dst_sel <= ISA_SDWA_BYTE_3) {
		shift = in->dst_sel * 8;
		width = 8;
	} else if (in->dst_sel <= ISA_SDWA_WORD_1) {
		shift = (in->dst_sel - ISA_SDWA_WORD_0) * 16;
		width = 16;
	} else {
		return out;
	}
	field = (1u << width) - 1;
	v = SHL(AND(out, K32(field)), shift);
	if (in->dst_unused == ISA_SDWA_UNUSED_PRESERVE)
		return OR(v, AND(old, K32(~(field << shift))));
	if (in->dst_unused == ISA_SDWA_UNUSED_SEXT && shift + width < 32) {
		V neg = IS(NE, AND(out, K32(1u << (width - 1))), K32(0));

		return SELECT(neg, OR(v, K32(~0u << (shift + width))), v);
	}
	return v;
}

/* Lanes that are written: EXEC less what DPP disables. NULL: all, or nobody reads the others. */
static V written(struct lift *l, const struct vop *q, unsigned strip)
{
	bool quiet = q->ji->quiet && q->ji->ci.inst.dst[0].kind == ISA_OPND_VGPR;
	V exec = q->exec && !quiet ? mask_strip(l, q->exec, strip) : NULL, dpp = q->dpp_mask[strip];

	return exec && dpp ? AND(exec, dpp) : exec ? exec : dpp;
}

/* A row of the destination, where EXEC allows. */
static void blend(struct lift *l, const struct vop *q, const struct isa_operand *o, unsigned n, unsigned strip, V out)
{
	V mask = written(l, q, strip);

	if (o->kind == ISA_OPND_AGPR) {
		V p = row_ptr(l, true, o->index + n, strip), old, st;

		if (mask) {
			old = LLVMBuildLoad2(l->b, l->vi32, p, "");
			LLVMSetAlignment(old, 4 * l->width);
			out = SELECT(mask, out, old);
		}
		st = LLVMBuildStore(l->b, out, p);
		LLVMSetAlignment(st, 4 * l->width);
		return;
	}
	if (mask)
		out = SELECT(mask, out, get_v(l, o->index + n, strip));
	set_v(l, o->index + n, strip, out);
}

static void finish_i32(struct lift *l, const struct vop *q, unsigned strip, V out)
{
	const struct isa_inst *in = &q->ji->ci.inst;

	if (in->sdwa)
		out = place_sdwa(l, in, in->dst_unused == ISA_SDWA_UNUSED_PRESERVE ? get_v(l, in->dst[0].index, strip) : NULL, out);
	blend(l, q, &in->dst[0], 0, strip, out);
}

static void finish_i16(struct lift *l, const struct vop *q, unsigned strip, V out, bool keep_high)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	unsigned r = in->dst[0].index;

	if (in->sdwa) {
		finish_i32(l, q, strip, AND(out, K32(0xffff)));
		return;
	}
	if (in->op_sel & 8)
		out = OR(SHL(out, 16), AND(get_v(l, r, strip), K32(0xffff)));
	else if (keep_high)
		out = OR(AND(out, K32(0xffff)), AND(get_v(l, r, strip), K32(0xffff0000)));
	else
		out = AND(out, K32(0xffff));
	blend(l, q, &in->dst[0], 0, strip, out);
}

static V finished_f32(struct lift *l, const struct vop *q, V out)
{
	bool flush = !(q->mode & MODE_F32_DST_DENORM);

	if (flush)
		out = flush_bits32(l, out);
	if (omod_counts(q, MODE_F32_DST_DENORM))
		out = flush_bits32(l, omod32(l, q, out));
	if (q->ji->ci.inst.clamp)
		out = clamp32(l, q, out);
	return out;
}

/* Steps that lanes.c has as functions. */
static V step(struct lift *l, const char *name, V x)
{
	V args[5] = {x, K32(0), K32(0), K32(0), K32(0)};

	return widen(l, lane_function(l, "lane_", name, ""), args, l->width);
}

static void finish_f16(struct lift *l, const struct vop *q, unsigned strip, V out, bool keep_high)
{
	if (omod_counts(q, MODE_F64_DST_DENORM))
		out = omod32(l, q, out);
	if (q->ji->ci.inst.clamp)
		out = clamp32(l, q, out);
	out = step(l, "STEP_F2H", out);
	if (!(q->mode & MODE_F64_DST_DENORM))
		out = flush_bits16(l, out);
	finish_i16(l, q, strip, out, keep_high);
}

static void finish_h16(struct lift *l, const struct vop *q, unsigned strip, V out, bool keep_high)
{
	if (q->ji->ci.inst.omod | q->ji->ci.inst.clamp) {
		finish_f16(l, q, strip, step(l, "STEP_H2F", out), keep_high);
		return;
	}
	if (!(q->mode & MODE_F64_DST_DENORM))
		out = flush_bits16(l, out);
	finish_i16(l, q, strip, out, keep_high);
}

static void finish_i64(struct lift *l, const struct vop *q, unsigned strip, V out)
{
	const struct isa_inst *in = &q->ji->ci.inst;

	V m = written(l, q, strip);

	if (m)
		out = SELECT(m, out, get_v64(l, in->dst[0].index, strip));
	set_v64(l, in->dst[0].index, strip, out);
}

static void finish_f64(struct lift *l, const struct vop *q, unsigned strip, V out)
{
	static const uint64_t factor[4] = {0x3ffull << 52, 0x400ull << 52, 0x401ull << 52, 0x3feull << 52};
	const struct isa_inst *in = &q->ji->ci.inst;

	if (!(q->mode & MODE_F64_DST_DENORM))
		out = flush_bits64(l, out);
	if (omod_counts(q, MODE_F64_DST_DENORM)) {
		V r = LLVMBuildFMul(l->b, as_float(l, out), as_float(l, K64(factor[in->omod & 3])), "");

		r = LLVMBuildBitCast(l->b, r, l->vi64, "");
		r = SELECT(IS(EQ, r, K64(1ull << 63)), K64(0), r);
		out = flush_bits64(l, SELECT(is_nan(l, out), out, r));
	}
	if (in->clamp) {
		V f = as_float(l, out), one = K64(0x3ffull << 52);
		V r = SELECT(LLVMBuildFCmp(l->b, LLVMRealOGT, f, as_float(l, K64(0)), ""), out, K64(0));

		r = SELECT(LLVMBuildFCmp(l->b, LLVMRealOGT, f, as_float(l, one), ""), one, r);
		out = q->mode & MODE_DX10_CLAMP ? r : SELECT(is_nan(l, out), out, r);
	}
	finish_i64(l, q, strip, out);
}

/* ------------------------------------------------------------------ the operations of one strip */

static V lane_number(struct lift *l, unsigned strip)
{
	return iota(l, strip * l->width, 1);
}

static V make_mask(struct lift *l, const struct vop *q, unsigned strip, V bit)
{
	V m = written(l, q, strip);

	return m ? AND(bit, m) : bit;
}

static V source(struct lift *l, const struct vop *q, unsigned i, unsigned strip)
{
	const struct lane_op *op = q->op;

	if (i >= op->nsrc)
		return K32(0);
	if (op->old && i + 1 == op->nsrc)
		return source_old(l, q, op->src[i], strip);
	return is64(op->src[i]) ? source64(l, q, i, op->src[i], strip) : source32(l, q, i, op->src[i], strip);
}

static V run_lane(struct lift *l, const struct vop *q, unsigned strip, V src[3])
{
	V args[5] = {src[0], src[1], src[2], lane_number(l, strip), K32(q->mode & MODE_IEEE)};

	return widen(l, q->fn, args, l->width);
}

static void emit_op(struct lift *l, struct vop *q, unsigned strip)
{
	const struct lane_op *op = q->op;
	V src[3] = {source(l, q, 0, strip), source(l, q, 1, strip), source(l, q, 2, strip)};
	V out = run_lane(l, q, strip, src);

	switch (op->result) {
	case K_F32:
	case K_F64:
	case K_F16:
	case K_F16P:
		if (l->exact || !host_picks(q->ji->ci.inst.op) || gives_back_source(l, q, src)) {
			enum valu_kind vk[3];

			for (unsigned i = 0; i < 3; i++)
				vk[i] = i < op->nsrc ? group(op->src[i]) : VK_NONE;
			out = fix_nans(l, out, vk, src, 3);
		}
		break;
	default:
		break;
	}
	switch (op->result) {
	case K_F32:
	case K_X32:
		finish_i32(l, q, strip, finished_f32(l, q, out));
		break;
	case K_F16:
	case K_F16P:
		finish_f16(l, q, strip, out, op->result == K_F16P);
		break;
	case K_X16:
	case K_X16P:
		finish_h16(l, q, strip, out, op->result == K_X16P);
		break;
	case K_F64:
	case K_X64:
		finish_f64(l, q, strip, out);
		break;
	case K_U64:
		finish_i64(l, q, strip, out);
		break;
	case K_U16:
	case K_SU16:
	case K_SI16:
		finish_i16(l, q, strip, out, false);
		break;
	case K_U16P:
	case K_SU16P:
	case K_SI16P:
		finish_i16(l, q, strip, out, true);
		break;
	default:
		finish_i32(l, q, strip, out);
		break;
	}
}

unsigned mask_operand(const struct isa_inst *in)
{
	return in->op == ISA_V_DIV_FMAS_F32 ? 3 : 2;
}

/* The mask that the operation reads (v_cndmask, v_addc, v_div_fmas). */
static V read_mask(struct lift *l, const struct vop *q, unsigned strip)
{
	return q->mask_of >= 0 ? l->queue[q->mask_of].mask[strip] : mask_strip(l, q->scalar[mask_operand(&q->ji->ci.inst)], strip);
}

static void emit_carry(struct lift *l, struct vop *q, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	V src[2] = {source32(l, q, 0, K_U32, strip), source32(l, q, 1, K_U32, strip)}, out, carry;
	bool add = in->op == ISA_V_ADD_CO_U32 || in->op == ISA_V_ADDC_CO_U32;
	bool rev = in->op == ISA_V_SUBREV_CO_U32 || in->op == ISA_V_SUBBREV_CO_U32;
	V a = src[rev], b = src[!rev];

	/* The carry of 32-bit arithmetic, as the host's compares find it. */
	out = add ? LLVMBuildAdd(l->b, a, b, "") : LLVMBuildSub(l->b, a, b, "");
	carry = add ? IS(ULT, out, a) : IS(ULT, a, b);
	if (in->src[2].kind != ISA_OPND_NONE) {
		V more = LLVMBuildZExt(l->b, read_mask(l, q, strip), l->vi32, ""), sum = out;

		out = add ? LLVMBuildAdd(l->b, sum, more, "") : LLVMBuildSub(l->b, sum, more, "");
		carry = OR(carry, add ? IS(ULT, out, sum) : IS(ULT, sum, more));
	}
	if (in->clamp)
		out = SELECT(carry, K32(add ? ~0u : 0), out);
	q->mask[strip] = make_mask(l, q, strip, carry);
	finish_i32(l, q, strip, out);
}

static void emit_cmp(struct lift *l, struct vop *q, unsigned strip)
{
	V is = q->class_mask ? emit_classes(l, q, source(l, q, 0, strip)) : NULL;
	V src[3] = {source(l, q, 0, strip), source(l, q, 1, strip), K32(0)};

	if (!is)
		is = IS(NE, run_lane(l, q, strip, src), K32(0));
	q->mask[strip] = make_mask(l, q, strip, is);
}

static V pk_half(struct lift *l, const struct vop *q, unsigned i, bool hi, bool fp, V x)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	unsigned shift = ((hi ? in->op_sel_hi : in->op_sel) >> i & 1) ? 16 : 0;

	if (q->op->old)
		shift = hi ? 16 : 0;
	x = AND(shift ? SHR(x, shift) : x, K32(0xffff));
	if (!q->op->old && fp && ((hi ? in->neg_hi : in->neg_lo) >> i & 1))
		x = XOR(x, K32(0x8000));
	if ((fp || q->op->old) && !(q->mode & MODE_F64_SRC_DENORM))
		x = flush_half(l, x);
	return x;
}

static V finish_half(struct lift *l, const struct vop *q, unsigned kind, V out, V src[3])
{
	const struct isa_inst *in = &q->ji->ci.inst;
	enum valu_kind vk[3] = {VK_F16, VK_F16, q->op->nsrc == 3 ? VK_F16 : VK_NONE};
	bool flush = !(q->mode & MODE_F64_DST_DENORM);

	if (kind == K_X && !in->clamp)
		return flush ? flush_half(l, out) : out;
	if (kind != K_X && kind != K_H)
		return out;
	/* K_X: the operation has chosen the NaN. */
	out = kind == K_X ? step(l, "STEP_H2F", out) : fix_nans(l, out, vk, src, 3);
	if (in->clamp)
		out = clamp32(l, q, out);
	out = step(l, "STEP_F2H", out);
	return flush ? flush_half(l, out) : out;
}

static void emit_pk(struct lift *l, struct vop *q, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	bool fp = q->op->result == K_H || q->op->result == K_X;
	V row[3], half[2];

	for (unsigned i = 0; i < 3; i++) {
		if (i >= q->op->nsrc)
			row[i] = K32(0);
		else if (q->op->old && i == 2)
			row[i] = get_v(l, in->dst[0].index, strip);
		else
			row[i] = raw32(l, q, &in->src[i], i, 0, strip);
	}
	for (unsigned h = 0; h < 2; h++) {
		V src[3];

		for (unsigned i = 0; i < 3; i++)
			src[i] = i < q->op->nsrc ? pk_half(l, q, i, h, fp, row[i]) : K32(0);
		half[h] = finish_half(l, q, q->op->result, run_lane(l, q, strip, src), src);
	}
	finish_i32(l, q, strip, OR(AND(half[0], K32(0xffff)), SHL(half[1], 16)));
}

static V pkf_dword(struct lift *l, const struct vop *q, unsigned i, unsigned n, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	const struct isa_operand *o = &in->src[i];
	bool hi = (n ? in->op_sel_hi : in->op_sel) >> i & 1, neg = (n ? in->neg_hi : in->neg_lo) >> i & 1;
	V x;

	if (o->kind == ISA_OPND_VGPR) {
		x = active_v(l, q, o->index + hi, strip);
	} else {
		x = q->scalar[i];
		if (hi)
			x = LLVMBuildLShr(l->b, x, c64(l, 32), "");
		x = splat(l, LLVMBuildTrunc(l->b, x, l->i32, ""));
	}
	if (neg)
		x = XOR(x, K32(0x80000000));
	return q->mode & MODE_F32_SRC_DENORM ? x : flush_bits32(l, x);
}

static void emit_pkf(struct lift *l, struct vop *q, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	V out[2];

	for (unsigned n = 0; n < 2; n++) {
		enum valu_kind vk[3] = {VK_F32, VK_F32, q->op->nsrc == 3 ? VK_F32 : VK_NONE};
		V src[3];

		if (in->dst[0].value & JIT_UNREAD(n))
			continue;
		for (unsigned i = 0; i < 3; i++)
			src[i] = i < q->op->nsrc ? pkf_dword(l, q, i, n, strip) : K32(0);
		out[n] = run_lane(l, q, strip, src);
		if (l->exact || gives_back_source(l, q, src))
			out[n] = fix_nans(l, out[n], vk, src, 3);
		out[n] = finished_f32(l, q, out[n]);
	}
	for (unsigned n = 0; n < 2; n++)
		if (!(in->dst[0].value & JIT_UNREAD(n)))
			blend(l, q, &in->dst[0], n, strip, out[n]);
}

static void emit_mix(struct lift *l, struct vop *q, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	enum valu_kind vk[3] = {VK_F32, VK_F32, VK_F32};
	struct vop one = *q;
	V src[3], out;

	for (unsigned i = 0; i < 3; i++) {
		V x = raw32(l, q, &in->src[i], i, 0, strip);

		if (in->op_sel_hi >> i & 1) {
			x = AND(in->op_sel >> i & 1 ? SHR(x, 16) : x, K32(0xffff));
			if (!(q->mode & MODE_F64_SRC_DENORM))
				x = flush_half(l, x);
			x = step(l, "STEP_H2F", x);
		} else if (q->op->flush || !(q->mode & MODE_F32_SRC_DENORM)) {
			x = flush_bits32(l, x);
		}
		if ((in->neg_hi | in->abs) >> i & 1)
			x = AND(x, K32(0x7fffffff));
		if ((in->neg_lo | in->neg) >> i & 1)
			x = XOR(x, K32(0x80000000));
		src[i] = x;
	}
	out = fix_nans(l, run_lane(l, q, strip, src), vk, src, 3);
	if (q->op->part == 0) {
		finish_i32(l, &one, strip, finished_f32(l, q, out));
		return;
	}
	if (in->clamp)
		out = clamp32(l, q, out);
	out = step(l, "STEP_F2H", out);
	if (!(q->mode & MODE_F64_DST_DENORM))
		out = flush_bits16(l, out);
	if (q->op->part == 2)
		out = OR(SHL(out, 16), AND(get_v(l, in->dst[0].index, strip), K32(0xffff)));
	else
		out = OR(AND(out, K32(0xffff)), AND(get_v(l, in->dst[0].index, strip), K32(0xffff0000)));
	blend(l, q, &in->dst[0], 0, strip, out);
}

/* Operations without a row in the tables. */
static void emit_special(struct lift *l, struct vop *q, unsigned strip)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	V a, b, r;

	switch (in->op) {
	case ISA_V_CNDMASK_B32:
		a = source32(l, q, 0, K_M32, strip);
		b = source32(l, q, 1, K_M32, strip);
		finish_i32(l, q, strip, SELECT(read_mask(l, q, strip), b, a));
		break;
	case ISA_V_ACCVGPR_READ_B32:
	case ISA_V_ACCVGPR_WRITE_B32:
	case ISA_V_ACCVGPR_MOV_B32:
		finish_i32(l, q, strip, raw32(l, q, &in->src[0], 0, 0, strip));
		break;
	case ISA_V_PK_MOV_B32:
		a = in->src[0].kind == ISA_OPND_VGPR ? get_v(l, in->src[0].index + (in->op_sel & 1), strip)
						     : splat(l, LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, q->scalar[0], c64(l, in->op_sel & 1 ? 32 : 0), ""), l->i32, ""));
		b = in->src[1].kind == ISA_OPND_VGPR ? get_v(l, in->src[1].index + (in->op_sel >> 1 & 1), strip)
						     : splat(l, LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, q->scalar[1], c64(l, in->op_sel & 2 ? 32 : 0), ""), l->i32, ""));
		blend(l, q, &in->dst[0], 0, strip, a);
		blend(l, q, &in->dst[0], 1, strip, b);
		break;
	case ISA_V_MAD_U64_U32:
		a = LLVMBuildZExt(l->b, source32(l, q, 0, K_U32, strip), l->vi64, "");
		b = LLVMBuildZExt(l->b, source32(l, q, 1, K_U32, strip), l->vi64, "");
		r = source64(l, q, 2, K_U64, strip);
		a = LLVMBuildAdd(l->b, LLVMBuildMul(l->b, a, b, ""), r, "");
		q->mask[strip] = make_mask(l, q, strip, IS(ULT, a, r));
		finish_i64(l, q, strip, a);
		break;
	case ISA_V_DIV_SCALE_F32: {
		V src[3] = {source32(l, q, 0, K_R32, strip), source32(l, q, 1, K_R32, strip), source32(l, q, 2, K_R32, strip)};

		r = run_lane(l, q, strip, src);
		q->mask[strip] = make_mask(l, q, strip, IS(NE, AND(r, K64(1ull << 32)), K64(0)));
		finish_i32(l, q, strip, finished_f32(l, q, LLVMBuildTrunc(l->b, r, l->vi32, "")));
		break;
	}
	case ISA_V_DIV_FMAS_F32: {
		const enum valu_kind vk[3] = {VK_F32, VK_F32, VK_F32};
		V src[3] = {source32(l, q, 0, K_F32, strip), source32(l, q, 1, K_F32, strip), source32(l, q, 2, K_F32, strip)};
		V args[3] = {as_float(l, src[0]), as_float(l, src[1]), as_float(l, src[2])};
		LLVMTypeRef t = LLVMTypeOf(args[0]);

		r = LLVMBuildBitCast(l->b, intrinsic(l, "llvm.fma", &t, 1, args, 3), l->vi32, "");
		r = SELECT(read_mask(l, q, strip), run_lane(l, q, strip, src), r);
		finish_i32(l, q, strip, finished_f32(l, q, fix_nans(l, r, vk, src, 3)));
		break;
	}
	case ISA_V_DIV_SCALE_F64: {
		V src[3] = {source64(l, q, 0, K_R64, strip), source64(l, q, 1, K_R64, strip), source64(l, q, 2, K_R64, strip)};
		V flag = widen(l, lane_function(l, "lane_", "DIV_SCALE_F64_FLAG", ""),
			       (V[5]){src[0], src[1], src[2], lane_number(l, strip), K32(q->mode & MODE_IEEE)}, l->width);

		r = run_lane(l, q, strip, src);
		q->mask[strip] = make_mask(l, q, strip, IS(NE, flag, K32(0)));
		finish_f64(l, q, strip, r);
		break;
	}
	case ISA_V_MAD_I64_I32: {
		V p, sum, over;

		a = LLVMBuildSExt(l->b, source32(l, q, 0, K_U32, strip), l->vi64, "");
		b = LLVMBuildSExt(l->b, source32(l, q, 1, K_U32, strip), l->vi64, "");
		r = source64(l, q, 2, K_U64, strip);
		p = LLVMBuildMul(l->b, a, b, "");
		sum = LLVMBuildAdd(l->b, p, r, "");
		/* overflow: both of one sign, the sum of the other; then the carry is the sum's sign turned round */
		over = IS(SLT, AND(XOR(sum, p), XOR(sum, r)), K64(0));
		q->mask[strip] = make_mask(l, q, strip, XOR(IS(SLT, sum, K64(0)), over));
		finish_i64(l, q, strip, sum);
		break;
	}
	case ISA_V_SWAP_B32:
		a = get_v(l, in->src[0].index, strip);
		b = get_v(l, in->dst[0].index, strip);
		blend(l, q, &in->src[0], 0, strip, b);
		blend(l, q, &in->dst[0], 0, strip, a);
		break;
	case ISA_V_CVT_PKRTZ_F16_F32:
		a = step(l, "STEP_F2H_RTZ", source32(l, q, 0, K_F32, strip));
		b = step(l, "STEP_F2H_RTZ", source32(l, q, 1, K_F32, strip));
		if (!(q->mode & MODE_F64_DST_DENORM)) {
			a = flush_half(l, a);
			b = flush_half(l, b);
		}
		finish_i32(l, q, strip, OR(a, SHL(b, 16)));
		break;
	default:
		break;
	}
}

void emit_queued(struct lift *l, struct vop *q, unsigned strip)
{
	if (q->lds) {
		emit_lds_access(l, q, strip);
		return;
	}
	if (q->rows[0]) {
		emit_rows_read(l, q, strip);
		return;
	}
	switch (q->op ? q->op->form : LANE_NONE) {
	case LANE_OP:
		emit_op(l, q, strip);
		break;
	case LANE_CARRY:
		emit_carry(l, q, strip);
		break;
	case LANE_CMP:
		emit_cmp(l, q, strip);
		break;
	case LANE_PK:
		emit_pk(l, q, strip);
		break;
	case LANE_PKF:
		emit_pkf(l, q, strip);
		break;
	case LANE_MIX:
		emit_mix(l, q, strip);
		break;
	default:
		emit_special(l, q, strip);
		break;
	}
}
