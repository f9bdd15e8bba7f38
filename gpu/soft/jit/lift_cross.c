/* SPDX-License-Identifier: MIT */
/*
 * lift_cross.c - what moves values between lanes: DPP as shuffles of whole rows, v_readlane and its kin.
 */
#include <stddef.h>

#include "gpu/soft/exec/dpp.h"
#include "gpu/soft/jit/lift.h"

#define AND(x_, y_) LLVMBuildAnd(l->b, x_, y_, "")
#define SELECT(c_, x_, y_) LLVMBuildSelect(l->b, c_, x_, y_, "")
#define IS(pred, x_, y_) LLVMBuildICmp(l->b, LLVMInt##pred, x_, y_, "")
#define K32(v) vconst32(l, v)

/* ---- DPP ---- */

void permute_lanes(struct lift *l, const V in[MAX_STRIPS], const int from[WAVE_LANES], V out[MAX_STRIPS])
{
	for (unsigned s = 0; s < l->strips; s++) {
		out[s] = K32(0);
		for (unsigned t = 0; t < l->strips; t++) {
			V order[64];
			bool any = false;

			for (unsigned i = 0; i < l->width; i++) {
				int k = from[s * l->width + i];
				bool here = k >= 0 && (unsigned)k / l->width == t;

				order[i] = c32(l, here ? l->width + (unsigned)k % l->width : i);
				any |= here;
			}
			if (any)
				out[s] = LLVMBuildShuffleVector(l->b, out[s], in[t], LLVMConstVector(order, l->width), "");
		}
	}
}

void read_lanes(struct lift *l, struct vop *q, const struct isa_inst *in, unsigned halves)
{
	int from[WAVE_LANES];
	V row[MAX_STRIPS], ok[MAX_STRIPS], active[MAX_STRIPS];
	bool all = true;

	for (unsigned i = 0; i < WAVE_LANES; i++) {
		from[i] = dpp_lane(in->dpp_ctrl, i);
		all &= (in->row_mask >> (i >> 4) & 1) && (in->bank_mask >> (i >> 2 & 3) & 1) && (in->bound_ctrl || (!q->exec && from[i] >= 0));
	}
	for (unsigned s = 0; s < l->strips; s++)
		active[s] = q->exec ? LLVMBuildSExt(l->b, mask_strip(l, q->exec, s), l->vi32, "") : K32(~0u);
	for (unsigned h = 0; h < halves; h++) {
		for (unsigned s = 0; s < l->strips; s++)
			row[s] = AND(get_v(l, in->src[0].index + h, s), active[s]);
		permute_lanes(l, row, from, q->dpp[h]);
	}
	if (all)
		return;
	permute_lanes(l, active, from, ok);
	for (unsigned s = 0; s < l->strips; s++) {
		V may[64];

		for (unsigned i = 0; i < l->width; i++) {
			unsigned lane = s * l->width + i;
			bool yes = (in->row_mask >> (lane >> 4) & 1) && (in->bank_mask >> (lane >> 2 & 3) & 1);

			may[i] = LLVMConstInt(l->i1, yes, 0);
		}
		q->dpp_mask[s] = LLVMConstVector(may, l->width);
		if (!in->bound_ctrl)
			q->dpp_mask[s] = AND(q->dpp_mask[s], IS(NE, ok[s], K32(0)));
	}
}

/* ---- v_readfirstlane, v_readlane, v_writelane ---- */

static V lane_of(struct lift *l, unsigned r, V lane)
{
	V room, p, index[1];

	if (LLVMIsConstant(lane)) {
		unsigned n = (unsigned)LLVMConstIntGetZExtValue(lane) & 63;

		return LLVMBuildExtractElement(l->b, get_v(l, r, n / l->width), c32(l, n % l->width), "");
	}
	room = LLVMBuildAlloca(l->at_entry, LLVMArrayType2(l->i32, WAVE_LANES), "");
	LLVMSetAlignment(room, 64);
	for (unsigned s = 0; s < l->strips; s++) {
		index[0] = c64(l, s * l->width);
		p = LLVMBuildInBoundsGEP2(l->b, l->i32, room, index, 1, "");
		LLVMBuildStore(l->b, get_v(l, r, s), p);
	}
	index[0] = LLVMBuildZExt(l->b, AND(lane, c32(l, 63)), l->i64, "");
	p = LLVMBuildInBoundsGEP2(l->b, l->i32, room, index, 1, "");
	return LLVMBuildLoad2(l->b, l->i32, p, "");
}

bool lift_lane_ops(struct lift *l, const struct isa_inst *in)
{
	V lane, value, exec, args[2];
	LLVMTypeRef t = l->i64;
	unsigned r;

	switch (in->op) {
	case ISA_V_READFIRSTLANE_B32:
		if (in->src[0].kind != ISA_OPND_VGPR || in->dst[0].kind != ISA_OPND_SGPR)
			return false;
		flush_queue(l);
		exec = get_exec(l);
		lane = c32(l, 0);
		if (!l->reg.now.exec_full) {
			args[0] = exec;
			args[1] = LLVMConstInt(l->i1, 0, 0);
			lane = LLVMBuildTrunc(l->b, intrinsic(l, "llvm.cttz", &t, 1, args, 2), l->i32, "");
			lane = AND(lane, c32(l, 63)); /* 64 when there is none: lane 0 */
		}
		set_s32(l, in->dst[0].index, lane_of(l, in->src[0].index, lane));
		return true;
	case ISA_V_READLANE_B32:
		if (in->src[0].kind != ISA_OPND_VGPR || in->dst[0].kind != ISA_OPND_SGPR)
			return false;
		flush_queue(l);
		lane = scalar_operand(l, &in->src[1], false);
		if (!lane)
			return false;
		set_s32(l, in->dst[0].index, lane_of(l, in->src[0].index, lane));
		return true;
	case ISA_V_WRITELANE_B32:
		if (in->dst[0].kind != ISA_OPND_VGPR)
			return false;
		flush_queue(l);
		value = scalar_operand(l, &in->src[0], false);
		lane = scalar_operand(l, &in->src[1], false);
		if (!value || !lane)
			return false;
		r = in->dst[0].index;
		lane = AND(lane, c32(l, 63));
		for (unsigned s = 0; s < l->strips; s++)
			set_v(l, r, s, SELECT(IS(EQ, iota(l, s * l->width, 1), splat(l, lane)), splat(l, value), get_v(l, r, s)));
		return true;
	default:
		return false;
	}
}
