/* SPDX-License-Identifier: MIT */
/*
 * linear.c - vector registers as scalars: where shape.c knows the differences between lanes, the lifter computes a strip's first lane (the root)
 * by scalar operations, and makes a vector of it only where one is read.
 *
 * Theory of operation
 * Addresses mostly are a scalar plus the lane's number times something. For such registers lin[] has the roots, one for the wave or one a
 * strip; v[] of them is NULL until somebody reads the vector. wide[] has the 64-bit roots of pairs; the high half of a pair is
 * a register of kind LIN_HIGH. From block to block roots are in variables of their own; a register's vector is in its variable only
 * where the block that follows does not know its shape.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift.h"

#define ADD(x_, y_) LLVMBuildAdd(l->b, x_, y_, "")
#define AND(x_, y_) LLVMBuildAnd(l->b, x_, y_, "")
#define OR(x_, y_) LLVMBuildOr(l->b, x_, y_, "")
#define IS(pred, x_, y_) LLVMBuildICmp(l->b, LLVMInt##pred, x_, y_, "")

static unsigned roots(const struct lift *l, unsigned level)
{
	return level == LEVEL_WAVE ? 1 : l->strips;
}

static const int32_t *deltas(const struct lift *l, uint16_t delta)
{
	return l->code->delta[delta - 1];
}

/* ------------------------------------------------------------------ vectors of roots */

static V delta32(struct lift *l, const struct lin *x, unsigned strip)
{
	V k[64];

	for (unsigned i = 0; i < l->width; i++)
		k[i] = c32(l, (uint32_t)x->delta[strip * l->width + i]);
	return LLVMConstVector(k, l->width);
}

static V delta64(struct lift *l, const struct lin *x, unsigned strip)
{
	V k[64];

	for (unsigned i = 0; i < l->width; i++)
		k[i] = c64(l, (uint64_t)(int64_t)x->delta[strip * l->width + i]);
	return LLVMConstVector(k, l->width);
}

static V splat64(struct lift *l, V x)
{
	V v = LLVMBuildInsertElement(l->b, LLVMGetPoison(l->vi64), x, c32(l, 0), "");

	return LLVMBuildShuffleVector(l->b, v, LLVMGetPoison(l->vi64), LLVMConstNull(l->vi32), "");
}

V lin_vector(struct lift *l, unsigned r, unsigned strip)
{
	const struct lin *x = &l->reg.lin[r];
	V root = x->root[x->level == LEVEL_WAVE ? 0 : strip], y;

	if (x->kind == LIN_LOW)
		return ADD(splat(l, root), delta32(l, x, strip));
	y = ADD(splat64(l, root), delta64(l, x, strip));
	return LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, y, vconst64(l, 32), ""), l->vi32, "");
}

/* A strip's first lane (level strip) or the wave's (level wave) of a register that is not in lin[]. */
static V extracted(struct lift *l, unsigned r, unsigned strip)
{
	return LLVMBuildExtractElement(l->b, get_v(l, r, strip), c32(l, 0), "");
}

/* Is a vector operation queued that writes (or, any: reads) the register? */
static bool pending(const struct lift *l, unsigned r, bool any)
{
	for (int i = 0; i < l->queued; i++) {
		struct jit_regs regs;

		if (l->queue[i].lds && !l->queue[i].lds_store && l->queue[i].lds_row <= r && r < l->queue[i].lds_row + l->queue[i].lds_dwords)
			return true;
		jit_inst_regs(&l->queue[i].ji->ci.inst, false, &regs);
		/* Rows wait with their addresses found. */
		if (bit_get(&regs.vwrite, r) || (any && !l->queue[i].rows[0] && bit_get(&regs.vuse, r)))
			return true;
	}
	return false;
}

static V first_of(struct lift *l, const struct lin *x, unsigned strip)
{
	if (x->level == LEVEL_STRIP || !strip)
		return x->root[x->level == LEVEL_STRIP ? strip : 0];
	if (LLVMTypeOf(x->root[0]) == l->i64)
		return ADD(x->root[0], c64(l, (uint64_t)(int64_t)x->delta[strip * l->width]));
	return ADD(x->root[0], c32(l, (uint32_t)x->delta[strip * l->width]));
}

V lin_root(struct lift *l, unsigned r, unsigned strip)
{
	const struct lin *x = &l->reg.lin[r];

	if (x->kind == LIN_LOW)
		return first_of(l, x, strip);
	if (x->kind == LIN_HIGH)
		return LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, first_of(l, x, strip), c64(l, 32), ""), l->i32, "");
	if (pending(l, r, false))
		flush_queue(l);
	return extracted(l, r, strip);
}

/* NULL: an operand of a kind that is not lifted. */
static V operand_root(struct lift *l, const struct isa_operand *o, unsigned strip)
{
	if (o->kind == ISA_OPND_VGPR)
		return lin_root(l, o->index, strip);
	if (o->kind == ISA_OPND_SGPR && l->mask_def[o->index >> 1])
		flush_queue(l);
	return scalar_operand(l, o, false);
}

static V pair_of(struct lift *l, V lo, V hi)
{
	return OR(LLVMBuildZExt(l->b, lo, l->i64, ""), LLVMBuildShl(l->b, LLVMBuildZExt(l->b, hi, l->i64, ""), c64(l, 32), ""));
}

/* Root of the pair at r; known as a pair or only by its halves. */
static V pair_root(struct lift *l, unsigned r, unsigned level, unsigned strip)
{
	if (l->at[level].v[r].wide && l->wide[r].kind && (level == LEVEL_STRIP || l->wide[r].level == LEVEL_WAVE))
		return first_of(l, &l->wide[r], strip);
	return pair_of(l, lin_root(l, r, strip), lin_root(l, r + 1, strip));
}

static V pair_operand_root(struct lift *l, const struct isa_operand *o, unsigned level, unsigned strip)
{
	if (o->kind == ISA_OPND_VGPR)
		return pair_root(l, o->index, level, strip);
	if (o->kind == ISA_OPND_SGPR && (l->mask_def[o->index >> 1] || l->mask_def[(o->index + 1) >> 1 & 63]))
		flush_queue(l);
	return scalar_operand(l, o, true);
}

/* ------------------------------------------------------------------ guards */

/* Have the lanes, extended to 64 bits, their differences from the root? NULL: they have, or it was looked at before. */
static V keeps(struct lift *l, V root, uint16_t delta, bool sign)
{
	int32_t low, high;
	V from, ok;

	jit_delta_range(l->code, delta, &low, &high);
	for (unsigned i = 0; i < l->num_checked; i++)
		if (l->checked[i].root == root && l->checked[i].low <= low && l->checked[i].high >= high && l->checked[i].sign == sign)
			return NULL;
	from = ADD(root, c32(l, (sign ? 0x80000000u : 0) + (uint32_t)low));
	ok = IS(ULE, from, c32(l, UINT32_MAX - (uint32_t)(high - low)));
	if (l->num_checked < MAX_CHECKED)
		l->checked[l->num_checked++] = (struct lin_check){root, low, high, sign};
	return LLVMIsConstant(ok) && LLVMConstIntGetZExtValue(ok) ? NULL : ok;
}

static V have_bits(struct lift *l, V x, uint32_t bits, uint32_t which)
{
	return IS(EQ, AND(x, c32(l, which)), c32(l, bits));
}

/* Goes to the interpreter at ji unless what its shape takes for granted holds. */
static void check_guard(struct lift *l, const struct jit_inst *ji, const struct jit_guard *g, unsigned level)
{
	V all = g->need && g->low ? have_bits(l, operand_root(l, &g->mask, 0), g->low, g->low) : NULL;

	for (unsigned s = 0; g->need && s < roots(l, level); s++) {
		V ok = g->low ? have_bits(l, operand_root(l, &g->src, s), 0, g->low) : keeps(l, g->carry >= 0 ? l->carry_low[g->carry][s] : operand_root(l, &g->src, s), g->delta, g->sign);

		if (ok)
			all = all ? AND(all, ok) : ok;
	}
	if (!all)
		return;
	emit_deopt_unless(l, all, ji);
}

/* ------------------------------------------------------------------ operations */

/* Before a register is defined by its roots: nothing queued may still use it. */
static void define(struct lift *l, unsigned r, const struct lin *x)
{
	if (pending(l, r, true))
		flush_queue(l);
	l->reg.lin[r] = *x;
	memset(l->reg.v[r], 0, sizeof(l->reg.v[r]));
	l->lds_base[r] = NULL;
	bit_set(&l->vdirty, r);
	bit_clear(&l->vstored, r);
}

static void define_high(struct lift *l, unsigned r, const struct lin *pair, bool uniform)
{
	struct lin x = *pair;

	x.kind = LIN_HIGH;
	for (unsigned s = 0; uniform && s < roots(l, x.level); s++)
		x.root[s] = LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, x.root[s], c64(l, 32), ""), l->i32, "");
	if (uniform)
		x.kind = LIN_LOW;
	define(l, r, &x);
}

/* A vector operand where it is, by itself. */
static V operand_vector(struct lift *l, const struct isa_operand *o, unsigned strip)
{
	return o->kind == ISA_OPND_VGPR ? get_v(l, o->index, strip) : splat(l, scalar_operand(l, o, false));
}

/* The carries of an addition or subtraction, as a mask; everything read is defined. */
static V carries(struct lift *l, const struct isa_inst *in)
{
	bool add = in->op == ISA_V_ADD_CO_U32 || in->op == ISA_V_ADDC_CO_U32, rev = in->op == ISA_V_SUBREV_CO_U32;
	V bits = NULL, masks[MAX_STRIPS];

	for (unsigned s = 0; s < l->strips; s++) {
		V a = operand_vector(l, &in->src[rev ? 1 : 0], s), b = operand_vector(l, &in->src[rev ? 0 : 1], s), c, x;

		if (in->op == ISA_V_MAD_U64_U32) {
			V d = in->src[2].kind == ISA_OPND_VGPR ? get_v64(l, in->src[2].index, s)
							       : splat64(l, scalar_operand(l, &in->src[2], true));

			x = LLVMBuildMul(l->b, LLVMBuildZExt(l->b, a, l->vi64, ""), LLVMBuildZExt(l->b, b, l->vi64, ""), "");
			c = IS(ULT, ADD(x, d), d);
		} else if (add) {
			x = ADD(a, b);
			c = IS(ULT, x, a);
			if (in->src[2].kind != ISA_OPND_NONE) {
				V with = ADD(x, LLVMBuildZExt(l->b, mask_strip(l, scalar_operand(l, &in->src[2], true), s), l->vi32, ""));

				c = OR(c, IS(ULT, with, x));
			}
		} else {
			c = IS(ULT, a, b);
		}
		if (!l->reg.now.exec_full)
			c = AND(c, mask_strip(l, get_exec(l), s));
		masks[s] = c;
		x = LLVMBuildZExt(l->b, LLVMBuildBitCast(l->b, c, LLVMIntTypeInContext(l->c, l->width), ""), l->i64, "");
		if (s)
			x = LLVMBuildShl(l->b, x, c64(l, s * l->width), "");
		bits = bits ? OR(bits, x) : x;
	}
	know_mask(l, bits, masks);
	return bits;
}

/* Its destination mask, before anything it reads is redefined. NULL: it has none, or none that is read. */
static V mask_result(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;

	if (in->dst[1].kind != ISA_OPND_SGPR || ji->no_carry)
		return NULL;
	/* Sources and the mask's register must not wait in the queue. */
	for (unsigned k = 0; k < 3; k++) {
		const struct isa_operand *o = &in->src[k];

		if (o->kind == ISA_OPND_VGPR && (pending(l, o->index, false) || (o->dwords > 1 && pending(l, o->index + 1, false))))
			flush_queue(l);
		if (o->kind == ISA_OPND_SGPR && (l->mask_def[o->index >> 1] || l->mask_def[(o->index + 1) >> 1 & 63]))
			flush_queue(l);
	}
	if (l->mask_def[in->dst[1].index >> 1] || l->mask_def[(in->dst[1].index + 1) >> 1 & 63])
		flush_queue(l);
	return carries(l, in);
}

/* The 64 bits of two halves, as they were where they have been taken from such. */
static V joined(struct lift *l, V low, V high)
{
	V x = LLVMIsATruncInst(low) ? LLVMGetOperand(low, 0) : NULL, y = LLVMIsATruncInst(high) ? LLVMIsABinaryOperator(LLVMGetOperand(high, 0)) : NULL;

	if (x && y && LLVMGetInstructionOpcode(y) == LLVMLShr && LLVMGetOperand(y, 0) == x && LLVMGetOperand(y, 1) == c64(l, 32))
		return x;
	return ADD(LLVMBuildShl(l->b, LLVMBuildZExt(l->b, high, l->i64, ""), c64(l, 32), ""), LLVMBuildZExt(l->b, low, l->i64, ""));
}

/* 64-bit root that a wide operation gives the strip; NULL: not this. */
static V wide_value(struct lift *l, const struct isa_inst *in, unsigned level, unsigned s)
{
	V a, b, c, (*low)[MAX_STRIPS];

	switch (in->op) {
	case ISA_V_LSHLREV_B64:
		a = pair_operand_root(l, &in->src[1], level, s);
		return a ? LLVMBuildShl(l->b, a, c64(l, in->src[0].value & 63), "") : NULL;
	case ISA_V_ASHRREV_I32:
		return LLVMBuildSExt(l->b, operand_root(l, &in->src[1], s), l->i64, "");
	case ISA_V_MOV_B32: /* the second half of a pair; or the low half, of a high one that is its sign */
	case ISA_V_PK_MOV_B32:
		if (jit_copied_pair(&l->at[level], in) >= 0)
			return pair_root(l, (unsigned)jit_copied_pair(&l->at[level], in), level, s);
		return LLVMBuildSExt(l->b, operand_root(l, &in->src[0], s), l->i64, "");
	case ISA_V_ASHRREV_I64: {
		struct isa_operand high;

		if (!jit_extends(in, l->at[level].v, &high))
			return NULL;
		a = LLVMBuildSExt(l->b, operand_root(l, &high, s), l->i64, "");
		return LLVMBuildShl(l->b, a, c64(l, 32 - in->src[0].value), "");
	}
	case ISA_V_ADDC_CO_U32:
		a = operand_root(l, &in->src[0], s);
		b = operand_root(l, &in->src[1], s);
		if (!a || !b)
			return NULL;
		low = l->carry_low + 2 * jit_carry(&in->src[2]);
		return ADD(joined(l, low[0][s], a), joined(l, low[1][s], b));
	case ISA_V_MAD_U64_U32:
		a = operand_root(l, &in->src[0], s);
		b = operand_root(l, &in->src[1], s);
		c = pair_operand_root(l, &in->src[2], level, s);
		if (!a || !b || !c)
			return NULL;
		return ADD(LLVMBuildMul(l->b, LLVMBuildZExt(l->b, a, l->i64, ""), LLVMBuildZExt(l->b, b, l->i64, ""), ""), c);
	default:
		return NULL;
	}
}

static void lift_wide(struct lift *l, const struct jit_inst *ji, unsigned level, unsigned at, const struct jit_guard *guard)
{
	const struct isa_inst *in = &ji->ci.inst;
	uint16_t delta = l->next[level].v[at].wide;
	struct lin x = {.kind = LIN_LOW, .level = (uint8_t)level, .delta = deltas(l, delta)}, low;
	V mask;

	check_guard(l, ji, guard, level);
	for (unsigned s = 0; s < roots(l, level); s++)
		x.root[s] = wide_value(l, in, level, s);
	mask = mask_result(l, ji);
	if (at == in->dst[0].index) {
		low = x;
		for (unsigned s = 0; s < roots(l, level); s++)
			low.root[s] = LLVMBuildTrunc(l->b, x.root[s], l->i32, "");
		define(l, at, &low);
	}
	define_high(l, at + 1, &x, delta == SHAPE_UNIFORM);
	l->wide[at] = x;
	if (mask)
		set_s64(l, in->dst[1].index, mask);
}

/* 32-bit root of an integer operation. */
static V low_value(struct lift *l, const struct jit_inst *ji, V fn, unsigned s)
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct lane_op *op = lane_op_of(in->op);
	V args[5];

	for (unsigned i = 0; i < 3; i++) {
		args[i] = i < op->nsrc ? operand_root(l, &in->src[i], s) : c32(l, 0);
		if (!args[i])
			return NULL;
	}
	switch (in->op) {
	case ISA_V_MOV_B32:
		return args[0];
	case ISA_V_ADD_CO_U32:
		return ADD(args[0], args[1]);
	case ISA_V_SUB_CO_U32:
		return LLVMBuildSub(l->b, args[0], args[1], "");
	case ISA_V_SUBREV_CO_U32:
		return LLVMBuildSub(l->b, args[1], args[0], "");
	default:
		args[3] = c32(l, s * l->width);
		args[4] = c32(l, 0);
		return widen(l, fn, args, 1);
	}
}

/* Saturating results are so with clamp only, which is somebody else's. */
static bool integer(const struct isa_inst *in, const struct lane_op *op)
{
	if (in->op == ISA_V_MOV_B32)
		return !in->neg && !in->abs && !in->omod;
	if (op->old || (op->result != K_U32 && op->result != K_I32 && op->result != K_SU32 && op->result != K_SI32))
		return false;
	for (unsigned i = 0; i < op->nsrc; i++)
		if (op->src[i] != K_U32 && op->src[i] != K_I32 && op->src[i] != K_LU32 && op->src[i] != K_L32)
			return false;
	return true;
}

static bool lift_low(struct lift *l, const struct jit_inst *ji, unsigned level, const struct jit_guard *guard)
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct lane_op *op = lane_op_of(in->op);
	bool add = in->op == ISA_V_ADD_CO_U32, carry = add || in->op == ISA_V_SUB_CO_U32 || in->op == ISA_V_SUBREV_CO_U32;
	unsigned r = in->dst[0].index;
	struct lin x = {.kind = LIN_LOW, .level = (uint8_t)level, .delta = deltas(l, l->next[level].v[r].delta)};
	V mask = NULL, fn = NULL;

	if (!op || (carry ? in->dst[1].kind != ISA_OPND_SGPR || (in->dst[1].index & 1) : op->form != LANE_OP || !integer(in, op)))
		return false;
	if (in->sdwa || in->dpp || in->clamp || in->op_sel)
		return false;
	for (unsigned i = 0; i < op->nsrc; i++)
		if (in->src[i].kind != ISA_OPND_VGPR && in->src[i].kind != ISA_OPND_SGPR && in->src[i].kind != ISA_OPND_CONST)
			return false;
	if (!carry && in->op != ISA_V_MOV_B32) {
		fn = lane_function(l, "lane_", op->name, "");
		if (!fn)
			return false;
	}
	for (unsigned s = 0; s < roots(l, level); s++) {
		x.root[s] = low_value(l, ji, fn, s);
		if (!x.root[s])
			return false;
	}
	if (guard->low)
		check_guard(l, ji, guard, level);
	if (carry)
		mask = mask_result(l, ji);
	for (unsigned i = 0; add && i < 2; i++)
		for (unsigned s = 0; s < l->strips; s++)
			l->carry_low[2 * jit_carry(&in->dst[1]) + i][s] = operand_root(l, &in->src[i], s);
	define(l, r, &x);
	if (mask)
		set_s64(l, in->dst[1].index, mask);
	return true;
}

/* The low half of a * b + c, where that is all that is wanted. */
static void lift_low_product(struct lift *l, const struct jit_inst *ji, unsigned level)
{
	const struct isa_inst *in = &ji->ci.inst;
	unsigned r = in->dst[0].index;
	struct lin x = {.kind = LIN_LOW, .level = (uint8_t)level, .delta = deltas(l, l->next[level].v[r].delta)};
	V mask;

	for (unsigned s = 0; s < roots(l, level); s++)
		x.root[s] = ADD(LLVMBuildMul(l->b, operand_root(l, &in->src[0], s), operand_root(l, &in->src[1], s), ""), operand_root(l, &in->src[2], s));
	mask = mask_result(l, ji);
	/* The high half stays what it was. */
	for (unsigned s = 0; l->reg.lin[r + 1].kind && s < l->strips; s++)
		get_v(l, r + 1, s);
	l->reg.lin[r + 1].kind = LIN_NONE;
	define(l, r, &x);
	if (mask)
		set_s64(l, in->dst[1].index, mask);
}

/* Of the state behind the instruction: the level at which this is known, or -1. */
static int level_wide(const struct lift *l, unsigned r)
{
	return l->next[LEVEL_WAVE].v[r].wide ? LEVEL_WAVE : l->next[LEVEL_STRIP].v[r].wide ? LEVEL_STRIP : -1;
}

static int level_low(const struct lift *l, unsigned r)
{
	return l->next[LEVEL_WAVE].v[r].delta ? LEVEL_WAVE : l->next[LEVEL_STRIP].v[r].delta ? LEVEL_STRIP : -1;
}

static void drop_written(struct lift *l, const struct jit_inst *ji)
{
	struct jit_regs regs;

	jit_inst_regs(&ji->ci.inst, false, &regs);
	for (unsigned r = 0; r < 256; r++) {
		if (!l->reg.lin[r].kind || !bit_get(&regs.vwrite, r))
			continue;
		/* What is queued may still read the old value. */
		for (unsigned s = 0; s < l->strips; s++)
			get_v(l, r, s);
		l->reg.lin[r].kind = LIN_NONE;
	}
}

/* Are all of kinds that have roots? */
static bool product_operands(const struct isa_inst *in)
{
	for (unsigned i = 0; i < 3; i++)
		if (in->src[i].kind != ISA_OPND_VGPR && in->src[i].kind != ISA_OPND_SGPR && in->src[i].kind != ISA_OPND_CONST)
			return false;
	return true;
}

bool lift_linear(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	bool all = l->reg.now.exec_full || ji->quiet;
	struct jit_guard guard[NUM_LEVELS];
	int level;

	memcpy(l->next, l->at, sizeof(l->next));
	jit_shapes_after(l->code, l->next, in, all, guard);
	if (all && in->dst[0].kind == ISA_OPND_VGPR) {
		bool pair = in->dst[0].dwords > 1;
		/* Or a low half to a high one that is there. */
		unsigned at = in->dst[0].index - !(pair || level_wide(l, in->dst[0].index) >= 0);

		level = at < 256 ? level_wide(l, at) : -1;
		if (level >= 0) {
			lift_wide(l, ji, (unsigned)level, at, &guard[level]);
			return true;
		}
		level = ji->low_only ? level_low(l, in->dst[0].index) : -1;
		if (level >= 0 && product_operands(in)) {
			lift_low_product(l, ji, (unsigned)level);
			return true;
		}
		level = pair ? -1 : level_low(l, in->dst[0].index);
		if (level >= 0 && lift_low(l, ji, (unsigned)level, &guard[level]))
			return true;
	}
	drop_written(l, ji);
	return false;
}

/* ------------------------------------------------------------------ addresses */

/* low, extended, + base: of the same ones the same value again, so that addresses with the same base are known for it. */
static V sum64(struct lift *l, V low, V base)
{
	struct lin_sum *x;

	for (unsigned i = 0; i < MAX_SUMS; i++)
		if (l->sums[i].sum && l->sums[i].low == low && l->sums[i].base == base)
			return l->sums[i].sum;
	x = &l->sums[l->next_sum++ % MAX_SUMS];
	*x = (struct lin_sum){low, base, ADD(LLVMBuildZExt(l->b, low, l->i64, ""), base)};
	return x->sum;
}

bool lin_address(struct lift *l, const struct jit_inst *ji, struct lin *out, V base[MAX_STRIPS])
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct isa_operand *o = &in->src[0];
	bool saddr = in->src[2].kind != ISA_OPND_NONE;

	for (int level = LEVEL_WAVE; level >= LEVEL_STRIP; level--) {
		struct jit_guard guard = {.need = false, .carry = -1, .src = *o};
		uint16_t delta = jit_address_shape(l->code, l->at[level].v, o, saddr, &guard.need);

		if (!delta)
			continue;
		guard.delta = delta;
		check_guard(l, ji, &guard, (unsigned)level);
		*out = (struct lin){.kind = LIN_LOW, .level = (uint8_t)level, .delta = deltas(l, delta)};
		for (unsigned s = 0; s < roots(l, (unsigned)level); s++) {
			if (saddr)
				base[s] = sum64(l, lin_root(l, o->index, s), get_s64(l, in->src[2].index));
			else
				base[s] = pair_root(l, o->index, (unsigned)level, s);
			out->root[s] = ADD(base[s], c64(l, (uint64_t)(int64_t)in->offset));
		}
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------ from block to block */

static V variable(struct lift *l, V *slot, LLVMTypeRef t)
{
	if (!*slot)
		*slot = LLVMBuildAlloca(l->at_entry, t, "");
	return *slot;
}

static V variable_low(struct lift *l, unsigned r, unsigned s)
{
	return variable(l, &l->ra[r][s], l->i32);
}

static V variable_wide(struct lift *l, unsigned r, unsigned s)
{
	return variable(l, &l->wa[r][s], l->i64);
}

/* What a block knows of a register where it begins. */
struct known {
	int low, wide; /* levels or -1: of the register; of the pair that begins here */
	bool high;     /* it is the high half of a known pair, and not itself known */
};

static struct known known_in(const struct lift *l, const struct jit_block *blk, unsigned r)
{
	const struct jit_code *c = l->code;
	struct known k = {-1, -1, false};

	for (int level = LEVEL_STRIP; level <= LEVEL_WAVE; level++) {
		const struct jit_shape *v = c->shape[level][blk - c->block];

		if (v[r].delta)
			k.low = level;
		if (v[r].wide)
			k.wide = level;
		k.high |= r && v[r - 1].wide;
	}
	k.high &= k.low < 0;
	return k;
}

static bool live_in(const struct jit_block *blk, unsigned r)
{
	return r < 256 && bit_get(&blk->vlive, r);
}

static const int32_t *deltas_in(const struct lift *l, const struct jit_block *blk, unsigned r, int level, bool wide)
{
	const struct jit_shape *s = &l->code->shape[level][blk - l->code->block][r];

	return deltas(l, wide ? s->wide : s->delta);
}

void lin_enter(struct lift *l, const struct jit_block *blk)
{
	memset(l->reg.lin, 0, sizeof(l->reg.lin));
	memset(l->wide, 0, sizeof(l->wide));
	l->num_checked = 0;
	memset(l->sums, 0, sizeof(l->sums));
	l->num_seen = l->rows_read = 0;
	for (unsigned i = 0; i < NUM_LEVELS; i++) {
		memcpy(l->at[i].v, l->code->shape[i][blk - l->code->block], sizeof(l->at[i].v));
		memset(&l->at[i].carry, 0, sizeof(l->at[i].carry));
		l->at[i].sign.valid = l->at[i].copy.valid = false;
	}
	for (unsigned r = 0; r < 256; r++) {
		struct known k = known_in(l, blk, r);

		if (!live_in(blk, r) && !(k.wide >= 0 && live_in(blk, r + 1)))
			continue;
		if (k.low >= 0) {
			struct lin *x = &l->reg.lin[r];

			*x = (struct lin){.kind = LIN_LOW, .level = (uint8_t)k.low, .delta = deltas_in(l, blk, r, k.low, false)};
			for (unsigned s = 0; s < roots(l, x->level); s++)
				x->root[s] = LLVMBuildLoad2(l->b, l->i32, variable_low(l, r, s), "");
		}
		if (k.wide >= 0) {
			struct lin *x = &l->wide[r];

			*x = (struct lin){.kind = LIN_LOW, .level = (uint8_t)k.wide, .delta = deltas_in(l, blk, r, k.wide, true)};
			for (unsigned s = 0; s < roots(l, x->level); s++)
				x->root[s] = LLVMBuildLoad2(l->b, l->i64, variable_wide(l, r, s), "");
			if (known_in(l, blk, r + 1).high) {
				l->reg.lin[r + 1] = *x;
				l->reg.lin[r + 1].kind = LIN_HIGH;
			}
		}
	}
}

static bool changed(const struct lift *l, unsigned r)
{
	return bit_get(&l->vdirty, r);
}

/* The roots that a following block wants, where this one has others in the variables. The queue is empty. */
void lin_leave(struct lift *l, const struct jit_block *to)
{
	for (unsigned r = 0; r < 256; r++) {
		struct known k = known_in(l, to, r);

		if (!live_in(to, r) && !(k.wide >= 0 && live_in(to, r + 1)))
			continue;
		if (k.wide >= 0 && (changed(l, r) || changed(l, r + 1) || known_in(l, l->blk, r).wide != k.wide))
			for (unsigned s = 0; s < l->strips; s++)
				LLVMBuildStore(l->b, pair_root(l, r, (unsigned)k.wide, s), variable_wide(l, r, s));
		if (k.low >= 0 && (changed(l, r) || known_in(l, l->blk, r).low != k.low))
			for (unsigned s = 0; s < l->strips; s++)
				LLVMBuildStore(l->b, lin_root(l, r, s), variable_low(l, r, s));
	}
}

bool lin_vector_wanted(const struct lift *l, const struct jit_block *to, unsigned r)
{
	struct known k = known_in(l, to, r);

	return live_in(to, r) && k.low < 0 && !k.high;
}

/* ---- the way in from struct wave ---- */

/* A number of lane: which active one stands for the strip (or wave, strip 0), in struct wave. */
static V entry_lane(struct lift *l, V exec, int level, unsigned s)
{
	V first = c64(l, s * l->width), bits, args[2], lane;
	LLVMTypeRef t = l->i64;

	if (!exec)
		return first;
	bits = s ? LLVMBuildLShr(l->b, exec, c64(l, s * l->width), "") : exec;
	args[0] = bits;
	args[1] = LLVMConstInt(l->i1, 0, 0);
	lane = intrinsic(l, "llvm.cttz", &t, 1, args, 2);
	if (level == LEVEL_WAVE)
		return AND(lane, c64(l, WAVE_LANES - 1));
	/* None in this strip: its first one, which nobody uses. */
	lane = LLVMBuildSelect(l->b, IS(ULT, lane, c64(l, l->width)), lane, c64(l, 0), "");
	return ADD(lane, first);
}

static V lane_delta(struct lift *l, const int32_t *delta, V lane)
{
	V k[WAVE_LANES], table, index[2] = {c64(l, 0), lane};
	LLVMTypeRef t = LLVMArrayType2(l->i32, WAVE_LANES);

	if (LLVMIsConstant(lane))
		return c32(l, (uint32_t)delta[LLVMConstIntGetZExtValue(lane)]);
	for (unsigned i = 0; i < WAVE_LANES; i++)
		k[i] = c32(l, (uint32_t)delta[i]);
	table = LLVMAddGlobal(l->m, t, "delta");
	LLVMSetInitializer(table, LLVMConstArray2(l->i32, k, WAVE_LANES));
	LLVMSetGlobalConstant(table, 1);
	LLVMSetLinkage(table, LLVMPrivateLinkage);
	return LLVMBuildLoad2(l->b, l->i32, LLVMBuildInBoundsGEP2(l->b, t, table, index, 2, ""), "");
}

static V lane_of_row(struct lift *l, unsigned r, V lane)
{
	V p = row_ptr(l, false, r, 0);

	return LLVMBuildLoad2(l->b, l->i32, LLVMBuildInBoundsGEP2(l->b, l->i32, p, &lane, 1, ""), "");
}

/* Do the register's, or the pair's, lanes in struct wave, those of exec (NULL: all), have this shape? i1. */
static V shape_holds(struct lift *l, unsigned r, const struct lin *x, V exec, bool pair)
{
	V all = NULL;

	for (unsigned s = 0; s < l->strips; s++) {
		V have = load_wave_row(l, r, s), root = x->root[x->level == LEVEL_WAVE ? 0 : s], ok;

		if (pair) {
			V hi = LLVMBuildZExt(l->b, load_wave_row(l, r + 1, s), l->vi64, "");

			have = OR(LLVMBuildZExt(l->b, have, l->vi64, ""), LLVMBuildShl(l->b, hi, vconst64(l, 32), ""));
			ok = IS(EQ, have, ADD(splat64(l, root), delta64(l, x, s)));
		} else {
			ok = IS(EQ, have, ADD(splat(l, root), delta32(l, x, s)));
		}
		if (exec)
			ok = OR(ok, LLVMBuildNot(l->b, mask_strip(l, exec, s), ""));
		all = all ? AND(all, ok) : ok;
	}
	return IS(EQ, LLVMBuildBitCast(l->b, all, LLVMIntTypeInContext(l->c, l->width), ""), LLVMConstAllOnes(LLVMIntTypeInContext(l->c, l->width)));
}

/* The interpreter has written active lanes only: those give the roots. */
void lin_after_step(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	unsigned r = in->dst[0].index;
	struct lin x = {.kind = LIN_LOW};
	int level;

	if (l->reg.now.exec_full || in->dst[0].kind != ISA_OPND_VGPR || in->dst[0].dwords > 1)
		return;
	level = level_low(l, r);
	if (level < 0)
		return;
	x.level = (uint8_t)level;
	x.delta = deltas(l, l->next[level].v[r].delta);
	for (unsigned s = 0; s < roots(l, x.level); s++) {
		V lane = entry_lane(l, get_exec(l), level, s);

		x.root[s] = LLVMBuildSub(l->b, lane_of_row(l, r, lane), lane_delta(l, x.delta, lane), "");
	}
	define(l, r, &x);
}

bool lin_entry(struct lift *l, const struct jit_block *blk, unsigned r, V exec, V *holds)
{
	struct known k = known_in(l, blk, r);
	/* Those that are active here; or all: others may be read where they are again. */
	V low_lanes = bit_get(&blk->inactive, r) ? NULL : exec, pair_lanes = r < 255 && bit_get(&blk->inactive, r + 1) ? NULL : low_lanes;

	if (k.low >= 0) {
		struct lin x = {.kind = LIN_LOW, .level = (uint8_t)k.low, .delta = deltas_in(l, blk, r, k.low, false)};

		for (unsigned s = 0; s < roots(l, (unsigned)k.low); s++) {
			V lane = entry_lane(l, exec, k.low, s);

			x.root[s] = LLVMBuildSub(l->b, lane_of_row(l, r, lane), lane_delta(l, x.delta, lane), "");
			LLVMBuildStore(l->b, x.root[s], variable_low(l, r, s));
		}
		/* Tests put what they like into registers before the wave starts; and guesses may be wrong. */
		if (l->exact || l->code->guessed) {
			V ok = shape_holds(l, r, &x, low_lanes, false);

			*holds = *holds ? AND(*holds, ok) : ok;
		}
	}
	if (k.wide >= 0) {
		struct lin x = {.kind = LIN_LOW, .level = (uint8_t)k.wide, .delta = deltas_in(l, blk, r, k.wide, true)};
		V ok;

		for (unsigned s = 0; s < roots(l, (unsigned)k.wide); s++) {
			V lane = entry_lane(l, exec, k.wide, s), va = pair_of(l, lane_of_row(l, r, lane), lane_of_row(l, r + 1, lane));

			x.root[s] = LLVMBuildSub(l->b, va, LLVMBuildSExt(l->b, lane_delta(l, x.delta, lane), l->i64, ""), "");
			LLVMBuildStore(l->b, x.root[s], variable_wide(l, r, s));
		}
		ok = shape_holds(l, r, &x, pair_lanes, true);
		*holds = *holds ? AND(*holds, ok) : ok;
	}
	return k.low >= 0 || k.high;
}
