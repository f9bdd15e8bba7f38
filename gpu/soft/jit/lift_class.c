/* SPDX-License-Identifier: MIT */
/*
 * lift_class.c - v_cmp_class whose mask is the same for all lanes: is a number, by its bits, between two bounds? They are found once, so that little is left to
 * do for each lane.
 */
#include "gpu/soft/jit/lift.h"

#define SELECT(c_, x_, y_) LLVMBuildSelect(l->b, c_, x_, y_, "")
#define IS(pred, x_, y_)   LLVMBuildICmp(l->b, LLVMInt##pred, x_, y_, "")
#define OR(x_, y_)	   LLVMBuildOr(l->b, x_, y_, "")

/* Classes of numbers by their bits, from least to most; those of NaNs are twice there. */
static const struct class_range {
	uint8_t class;
	uint64_t from; /* of f64 */
} class_ranges[] = {
	{6, 0},
	{7, 1},
	{8, 1ull << 52},
	{9, 0x7ffull << 52},
	{0, (0x7ffull << 52) + 1},
	{1, 0xfffull << 51},
	{5, 1ull << 63},
	{4, (1ull << 63) + 1},
	{3, 0x801ull << 52},
	{2, 0xfffull << 52},
	{0, (0xfffull << 52) + 1},
	{1, 0x1fffull << 51},
};
#define NUM_CLASS_RANGES (sizeof(class_ranges) / sizeof(class_ranges[0]))

/* Where the i-th begins; behind the last: 0. */
static V class_from(struct lift *l, bool wide, size_t i)
{
	uint64_t from = i < NUM_CLASS_RANGES ? class_ranges[i].from : 0;

	if (wide)
		return c64(l, from);
	/* What is 1 in the low half is 1 in f32. */
	return c32(l, (uint32_t)(from >> 63 << 31 | (from >> 29 & 0x7fffffff) | (from & 1)));
}

V emit_classes(struct lift *l, const struct vop *q, V x)
{
	bool wide = LLVMTypeOf(x) == l->vi64;
	V any = NULL;

	for (size_t i = 0, n = 0; i < NUM_CLASS_RANGES; i++) {
		unsigned c = class_ranges[i].class, next = i + 1 < NUM_CLASS_RANGES ? class_ranges[i + 1].class : 31;
		V from = class_from(l, wide, i), to = class_from(l, wide, i + 1), has, in;

		if (!(q->classes >> c & 1))
			continue;
		if (++n > 3)
			return NULL;
		has = IS(NE, LLVMBuildAnd(l->b, q->class_mask, c32(l, 1u << c), ""), c32(l, 0));
		if (q->classes >> next & 1) {
			V too = IS(NE, LLVMBuildAnd(l->b, q->class_mask, c32(l, 1u << next), ""), c32(l, 0));

			from = SELECT(has, from, to);
			to = SELECT(too, class_from(l, wide, i + 2), to);
			i++;
		} else {
			to = SELECT(has, to, from);
		}
		in = IS(ULT, LLVMBuildSub(l->b, x, splat(l, from), ""), splat(l, LLVMBuildSub(l->b, to, from, "")));
		any = any ? OR(any, in) : in;
	}
	return any;
}

void find_classes(struct lift *l, struct vop *q)
{
	const struct isa_inst *in = &q->ji->ci.inst;
	const struct isa_operand *o = &in->src[1];
	const struct lin *x = &l->reg.lin[o->index];

	switch (in->op) {
	case ISA_V_CMP_CLASS_F32:
	case ISA_V_CMPX_CLASS_F32:
	case ISA_V_CMP_CLASS_F64:
	case ISA_V_CMPX_CLASS_F64:
		break;
	default:
		return;
	}
	if (in->sdwa)
		return;
	if (o->kind == ISA_OPND_CONST) {
		q->class_mask = c32(l, (uint32_t)o->value);
		q->classes = (uint32_t)o->value;
	} else if (o->kind == ISA_OPND_SGPR) {
		q->class_mask = q->scalar[1];
		q->classes = o->value & JIT_BITS_KNOWN ? (uint32_t)o->value : UINT32_MAX;
	} else if (o->kind == ISA_OPND_VGPR && x->kind == LIN_LOW && x->level == LEVEL_WAVE && l->at[LEVEL_WAVE].v[o->index].delta == SHAPE_UNIFORM) {
		q->class_mask = x->root[0];
		q->classes = l->at[LEVEL_WAVE].v[o->index].bits;
	}
	q->classes &= 0x3ff;
}
