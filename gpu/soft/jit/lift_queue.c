/* SPDX-License-Identifier: MIT */
/*
 * lift_queue.c - the queue of vector operations: which go into it, with what they read of the scalar side, and how it is emitted, strip by strip.
 */
#include "gpu/soft/exec/valu.h"
#include "gpu/soft/jit/lift.h"

#define DENORMS (MODE_F32_SRC_DENORM | MODE_F32_DST_DENORM | MODE_F64_SRC_DENORM | MODE_F64_DST_DENORM)

#define OR(x_, y_) LLVMBuildOr(l->b, x_, y_, "")

/*
 * Registers that the queue writes and the block wants, but for those that go there by themselves. None where all of them take at most half of the host's registers:
 * strips may then share what they read.
 */
static struct bits256 rows_for(const struct lift *l, const struct jit_block *to)
{
	struct bits256 rows = {0};
	unsigned n = 0;

	for (int i = 0; i < l->queued; i++) {
		const struct vop *q = &l->queue[i];
		struct jit_regs regs;

		jit_inst_regs(&q->ji->ci.inst, false, &regs);
		for (unsigned w = 0; w < 4 && !q->num_early; w++)
			rows.w[w] |= regs.vwrite.w[w] & to->vlive.w[w] & ~l->home.w[w];
	}
	for (unsigned w = 0; w < 4; w++)
		n += (unsigned)__builtin_popcountll(rows.w[w]);
	return n * l->strips > l->width ? rows : (struct bits256){0};
}

void flush_queue_to(struct lift *l, const struct jit_block *to)
{
	LLVMMetadataRef line = LLVMGetCurrentDebugLocation2(l->b);
	struct bits256 rows = {0};
	int n = l->queued;

	if (to)
		rows = rows_for(l, to);
	for (unsigned s = 0; s < l->strips; s++) {
		for (int i = 0; i < n; i++) {
			say_line(l, l->queue[i].ji);
			emit_queued(l, &l->queue[i], s);
			for (unsigned k = 0; k < l->queue[i].num_early; k++)
				store_row_strip(l, l->queue[i].early + k, s);
		}
		for (unsigned r = 0; r < 256; r++)
			if (bit_get(&rows, r))
				store_row_strip(l, r, s);
	}
	for (unsigned r = 0; r < 256; r++)
		if (bit_get(&rows, r)) {
			bit_set(&l->vstored, r);
			l->back.valid = false;
		}
	for (int i = 0; i < n; i++)
		for (unsigned k = 0; k < l->queue[i].num_early; k++) {
			bit_set(&l->vstored, l->queue[i].early + k);
			l->back.valid = false;
		}
	if (n)
		LLVMSetCurrentDebugLocation2(l->b, line);
	if (l->lds_stores) {
		l->back.valid = false;
		l->num_windows = 0;
	}
	l->lds_stores = false;
	l->queued = 0;
	l->next_rows = 0;
	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++) {
		V bits = NULL;
		struct vop *q;

		if (!l->mask_def[p])
			continue;
		q = &l->queue[l->mask_def[p] - 1];
		l->mask_def[p] = 0;
		for (unsigned s = 0; s < l->strips; s++) {
			V x = LLVMBuildBitCast(l->b, q->mask[s], LLVMIntTypeInContext(l->c, l->width), "");

			x = LLVMBuildZExt(l->b, x, l->i64, "");
			if (s)
				x = LLVMBuildShl(l->b, x, c64(l, s * l->width), "");
			bits = bits ? OR(bits, x) : x;
		}
		set_s64(l, 2 * p, bits);
	}
}

void flush_queue(struct lift *l)
{
	flush_queue_to(l, NULL);
}

/* Modes of rounding and such that the lane functions do not have. */
static bool mode_fits(const struct lane_op *op, const struct isa_inst *in, uint32_t mode)
{
	bool f16 = op->result == K_F16 || op->result == K_F16P || op->result == K_X16 || op->result == K_X16P || op->form == LANE_PK ||
		   op->form == LANE_MIX;

	if ((op->env == LANE_ENV_S && MODE_ROUND_F32(mode)) || (op->env == LANE_ENV_D && MODE_ROUND_F64(mode)))
		return false;
	if (f16 && MODE_ROUND_F64(mode))
		return false;
	switch (in->op) {
	case ISA_V_MAC_F16:
	case ISA_V_MADMK_F16:
	case ISA_V_MADAK_F16:
	case ISA_V_MAD_F16:
	case ISA_V_MAD_LEGACY_F16:
		return (mode & DENORMS) == DENORMS;
	case ISA_V_QSAD_PK_U16_U8:
	case ISA_V_MQSAD_PK_U16_U8:
		return !in->clamp;
	default:
		return true;
	}
}

static bool saturates(unsigned result)
{
	switch (result) {
	case K_SU32:
	case K_SI32:
	case K_SU16:
	case K_SI16:
	case K_SU16P:
	case K_SI16P:
	case K_SU:
	case K_SI:
		return true;
	default:
		return false;
	}
}

static bool is_mad64(unsigned op)
{
	return op == ISA_V_MAD_U64_U32 || op == ISA_V_MAD_I64_I32;
}

static bool special_op(unsigned op)
{
	switch (op) {
	case ISA_V_CNDMASK_B32:
	case ISA_V_ACCVGPR_READ_B32:
	case ISA_V_ACCVGPR_WRITE_B32:
	case ISA_V_ACCVGPR_MOV_B32:
	case ISA_V_PK_MOV_B32:
	case ISA_V_MAD_U64_U32:
	case ISA_V_MAD_I64_I32:
	case ISA_V_DIV_SCALE_F32:
	case ISA_V_DIV_SCALE_F64:
	case ISA_V_DIV_FMAS_F32:
	case ISA_V_SWAP_B32:
	case ISA_V_CVT_PKRTZ_F16_F32:
		return true;
	default:
		return false;
	}
}

static bool pick_function(struct lift *l, struct vop *q, const struct isa_inst *in)
{
	const struct lane_op *op = q->op;

	if (!op) {
		const char *name = in->op == ISA_V_DIV_SCALE_F32 ? "V_DIV_SCALE_F32" : in->op == ISA_V_DIV_SCALE_F64 ? "V_DIV_SCALE_F64"
				   : in->op == ISA_V_DIV_FMAS_F32 ? "DIV_FMAS_SCALED_F32" : NULL;

		if (in->op == ISA_V_DIV_FMAS_F32 && MODE_ROUND_F32(q->mode))
			return false;
		if (in->op == ISA_V_DIV_SCALE_F64 && !lane_function(l, "lane_", "DIV_SCALE_F64_FLAG", ""))
			return false;
		if (name) {
			q->fn = lane_function(l, "lane_", name, "");
			return q->fn;
		}
		if (in->op == ISA_V_SWAP_B32)
			return in->src[0].kind == ISA_OPND_VGPR && in->dst[0].kind == ISA_OPND_VGPR;
		/* 64-bit results are whole pairs of VGPRs. */
		return special_op(in->op) && !(is_mad64(in->op) && (in->clamp || in->dst[0].kind != ISA_OPND_VGPR));
	}
	if (!mode_fits(op, in, q->mode))
		return false;
	q->fn = lane_function(l, "lane_", op->name, in->clamp && saturates(op->result) ? "_sat" : "");
	return q->fn;
}

/* Values of scalar sources. False: one is of a kind that is not lifted. */
static bool capture(struct lift *l, struct vop *q, const struct isa_inst *in)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct isa_operand *o = &in->src[i];
		bool wide = q->op && i < q->op->nsrc ? is64(q->op->src[i]) || q->op->form == LANE_PKF : false;

		if (o->kind == ISA_OPND_NONE || o->kind == ISA_OPND_VGPR || o->kind == ISA_OPND_AGPR)
			continue;
		if (i == mask_operand(in) && (in->op == ISA_V_CNDMASK_B32 || in->op == ISA_V_DIV_FMAS_F32 || (q->op && q->op->form == LANE_CARRY))) {
			if (o->kind == ISA_OPND_SGPR && !(o->index & 1) && l->mask_def[o->index >> 1]) {
				q->mask_of = l->mask_def[o->index >> 1] - 1;
				continue;
			}
			wide = true;
		}
		if (in->op == ISA_V_PK_MOV_B32 || (is_mad64(in->op) && i == 2) || in->op == ISA_V_DIV_SCALE_F64)
			wide = true;
		/* A scalar read of what a queued comparison makes. */
		if (o->kind == ISA_OPND_SGPR)
			for (unsigned d = 0; d < (wide ? 2u : 1u); d++)
				if (l->mask_def[((o->index + d) & 127) >> 1])
					return false;
		if (o->kind == ISA_OPND_SPECIAL && o->index == SRC_VCCZ && l->mask_def[SGPR_VCC / 2])
			return false;
		q->scalar[i] = scalar_operand(l, o, wide);
		if (!q->scalar[i])
			return false;
	}
	return true;
}

/* Can this destination be written as the lifter does? */
static bool plain_destination(const struct isa_inst *in, const struct lane_op *op)
{
	const struct isa_operand *o = &in->dst[0];

	if (op && op->form == LANE_CMP)
		return o->kind == ISA_OPND_SGPR && !(o->index & 1);
	if (o->kind == ISA_OPND_AGPR)
		return !op;
	if (o->kind != ISA_OPND_VGPR)
		return false;
	if (in->dst[1].kind != ISA_OPND_NONE)
		return in->dst[1].kind == ISA_OPND_SGPR && !(in->dst[1].index & 1);
	return true;
}

bool lift_valu_can(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct vop q = {.ji = ji, .op = lane_op_of(in->op), .mode = l->reg.now.mode};

	return (q.op || special_op(in->op)) && plain_destination(in, q.op) && !in->dpp && pick_function(l, &q, in);
}

bool lift_valu(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct lane_op *op = lane_op_of(in->op);
	struct vop *q;

	if (!op && !special_op(in->op))
		return lift_lane_ops(l, in);
	if (!plain_destination(in, op) || (in->dpp && (in->src[0].kind != ISA_OPND_VGPR || in->op == ISA_V_SWAP_B32)))
		return false;
	if (in->dpp)
		flush_queue(l);
	for (unsigned i = 0; i < 3; i++)
		if (in->src[i].kind == ISA_OPND_AGPR && op)
			return false;
	if (l->queued == QUEUE_SIZE)
		flush_queue(l);
	for (unsigned attempt = 0;; attempt++) {
		q = &l->queue[l->queued];
		*q = (struct vop){.ji = ji, .op = op, .mask_of = -1, .mask_pair = -1, .mode = l->reg.now.mode};
		if (!pick_function(l, q, in))
			return false;
		if (capture(l, q, in))
			break;
		if (attempt)
			return false;
		flush_queue(l);
	}
	find_classes(l, q);
	if (l->mask_def[PAIR_EXEC])
		return false; /* v_cmpx flushes at once: nothing is pending here */
	q->exec = l->reg.now.exec_full ? NULL : get_exec(l);
	if (in->dpp)
		read_lanes(l, q, in, q->op && q->op->nsrc && is64(q->op->src[0]) ? 2 : 1);
	if ((op && op->form == LANE_CARRY) || is_mad64(in->op) || in->op == ISA_V_DIV_SCALE_F32 || in->op == ISA_V_DIV_SCALE_F64)
		q->mask_pair = in->dst[1].kind == ISA_OPND_SGPR ? in->dst[1].index >> 1 : -1;
	if (op && op->form == LANE_CMP)
		q->mask_pair = in->dst[0].index >> 1;
	l->queued++;
	if (in->dst[0].kind == ISA_OPND_VGPR)
		for (unsigned i = 0; i < (in->dst[0].dwords ? in->dst[0].dwords : 1); i++)
			l->lds_base[in->dst[0].index + i] = NULL;
	if (in->op == ISA_V_SWAP_B32)
		l->lds_base[in->src[0].index] = NULL;
	if (q->mask_pair >= 0)
		l->mask_def[q->mask_pair] = l->queued;
	if (op && op->form == LANE_CMP && (op->part || in->dst[0].index == SGPR_EXEC)) {
		/* v_cmpx: EXEC is the mask, too. */
		l->mask_def[PAIR_EXEC] = l->queued;
		flush_queue(l);
	}
	return true;
}
