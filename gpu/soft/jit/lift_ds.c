/* SPDX-License-Identifier: MIT */
/*
 * lift_ds.c - the other operations of LDS: short reads and writes, atomics, and lanes of a register by address (ds_bpermute and kin).
 *
 * One thread runs a work-group, so atomics are plain reads and writes, lane by lane in order. What the host may compute in another way than the interpreter
 * (NaNs) is left to it.
 */
#include "gpu/soft/exec/dpp.h"
#include "gpu/soft/jit/lift_lds.h"

#define SHL(x_, y_) LLVMBuildShl(l->b, x_, y_, "")
#define LSHR(x_, y_) LLVMBuildLShr(l->b, x_, y_, "")
#define SELECT(c_, x_, y_) LLVMBuildSelect(l->b, c_, x_, y_, "")

/* ------------------------------------------------------------------ short reads and writes */

static void short_read(struct lift *l, const struct jit_inst *ji, const struct access *a, V addr[MAX_STRIPS])
{
	LLVMBasicBlockRef near = new_block(l, ""), far = new_block(l, ""), join = new_block(l, ""), from[2];
	unsigned row = ji->ci.inst.dst[0].index;
	bool keep = !l->reg.now.exec_full && !ji->quiet;
	V in[MAX_STRIPS], old[1][MAX_STRIPS], got[1][MAX_STRIPS], other[MAX_STRIPS], all = NULL;
	struct lds_window w[MAX_STRIPS];

	for (unsigned s = 0; s < l->strips; s++) {
		V ok;

		old[0][s] = keep || needs_old(l, a->kind) ? get_v(l, row, s) : K32(0);
		in[s] = lds_inside(l, addr[s], a->bytes, s);
		w[s] = lds_window_of(l, addr[s]);
		/* Not over the end of a dword. */
		ok = IS(ULT, w[s].off, K32(8 * l->width));
		if (a->bytes == 2)
			ok = AND(ok, IS(NE, AND(w[s].off, K32(3)), K32(3)));
		ok = OR(ok, LLVMBuildNot(l->b, in[s], ""));
		all = all ? AND(all, ok) : ok;
	}
	LLVMBuildCondBr(l->b, all_of(l, all), near, far);
	go_to(l, near);
	for (unsigned s = 0; s < l->strips; s++) {
		V x = lds_window_dword(l, &w[s], LSHR(w[s].off, K32(2)));

		got[0][s] = short_value(l, a, LSHR(x, SHL(AND(w[s].off, K32(3)), K32(3))));
	}
	from[0] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, far);
	for (unsigned s = 0; s < l->strips; s++)
		other[s] = short_value(l, a, lds_gather(l, addr[s], in[s]));
	from[1] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	/* All of them come before what is made of them. */
	for (unsigned s = 0; s < l->strips; s++)
		got[0][s] = phi2(l, got[0][s], from[0], other[s], from[1]);
	for (unsigned s = 0; s < l->strips; s++)
		got[0][s] = placed(l, a->kind, SELECT(in[s], got[0][s], K32(0)), old[0][s]);
	set_loaded(l, ji, a, row, got, old);
}

/* The lanes of LDS at addr that have bytes there, for a loop. */
static void lanes_of_lds(struct lift *l, V addr[MAX_STRIPS], unsigned bytes, struct spread *x)
{
	x->host = l->lds;
	for (unsigned s = 0; s < l->strips; s++) {
		x->off[s] = addr[s];
		lanes_take(l, x, s, lds_inside(l, addr[s], bytes, s));
	}
}

static void short_write(struct lift *l, const struct jit_inst *ji, const struct access *a, V addr[MAX_STRIPS])
{
	V rows[1][MAX_STRIPS], v;
	struct spread x;
	struct lanes i;

	for (unsigned s = 0; s < l->strips; s++)
		rows[0][s] = get_v(l, ji->ci.inst.src[1].index, s);
	lanes_of_lds(l, addr, a->bytes, &x);
	lanes_to_stack(l, &x, rows, 1);
	lanes_begin(l, &x, lanes_of(l, &x), &i);
	v = lanes_data(l, &i, 1, 0, l->i32);
	if (a->kind == VM_U8_HI || a->kind == VM_16_HI)
		v = LSHR(v, c32(l, 16));
	v = LLVMBuildStore(l->b, LLVMBuildTrunc(l->b, v, a->bytes == 1 ? l->i8 : l->i16, ""), i.host);
	LLVMSetAlignment(v, 1);
	lanes_end(l, &i);
}

/* ------------------------------------------------------------------ atomics */

static bool compiled(const struct lift *l, enum atomic_kind kind)
{
	/* Of two NaNs the host chooses one. */
	return kind == AT_FADD ? !l->exact : kind != AT_FMIN && kind != AT_FMAX && kind != AT_FCMPSWAP;
}

/* As atomic_compute32() of exec/atomic.h. */
static V computed(struct lift *l, enum atomic_kind kind, V old, V data, V more)
{
	LLVMTypeRef t = LLVMTypeOf(old), f = t == l->i64 ? l->f64 : l->f32;
	V one = LLVMConstInt(t, 1, 0), none = LLVMConstNull(t);

	switch (kind) {
	case AT_ADD:
		return ADD(old, data);
	case AT_SUB:
		return LLVMBuildSub(l->b, old, data, "");
	case AT_RSUB:
		return LLVMBuildSub(l->b, data, old, "");
	case AT_SMIN:
		return SELECT(IS(SLT, data, old), data, old);
	case AT_UMIN:
		return SELECT(IS(ULT, data, old), data, old);
	case AT_SMAX:
		return SELECT(IS(SGT, data, old), data, old);
	case AT_UMAX:
		return SELECT(IS(UGT, data, old), data, old);
	case AT_AND:
		return AND(old, data);
	case AT_OR:
		return OR(old, data);
	case AT_XOR:
		return LLVMBuildXor(l->b, old, data, "");
	case AT_INC:
		return SELECT(IS(UGE, old, data), none, ADD(old, one));
	case AT_DEC:
		return SELECT(OR(IS(EQ, old, none), IS(UGT, old, data)), data, LLVMBuildSub(l->b, old, one, ""));
	case AT_MSKOR:
		return OR(AND(old, LLVMBuildNot(l->b, data, "")), more);
	case AT_CMPSWAP:
		return SELECT(IS(EQ, old, more), data, old);
	case AT_FADD:
		old = LLVMBuildFAdd(l->b, LLVMBuildBitCast(l->b, old, f, ""), LLVMBuildBitCast(l->b, data, f, ""), "");
		return LLVMBuildBitCast(l->b, old, t, "");
	default: /* AT_SWAP */
		return data;
	}
}

static bool lift_ds_atomic(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct isa_operand *data = &in->src[1], *more = NULL, *dst = in->dst[0].kind != ISA_OPND_NONE ? &in->dst[0] : NULL;
	V addr[MAX_STRIPS], rows[4][MAX_STRIPS], old[2][MAX_STRIPS], got[2][MAX_STRIPS], inside[MAX_STRIPS], value, result;
	bool keep = !l->reg.now.exec_full && !ji->quiet;
	struct access of;
	struct atomic a;
	struct spread x;
	struct lanes i;
	unsigned n, all;
	LLVMTypeRef t;

	if (!atomic_access(in->op, &a) || !compiled(l, a.kind))
		return false;
	n = a.dwords;
	t = n == 2 ? l->i64 : l->i32;
	if (a.kind == AT_CMPSWAP) { /* compared with the first, and the second is stored */
		more = data;
		data = &in->src[2];
	} else if (a.kind == AT_MSKOR) {
		more = &in->src[2];
	}
	if (data->kind != ISA_OPND_VGPR || data->index + n > 256 || (more && (more->kind != ISA_OPND_VGPR || more->index + n > 256)) ||
	    (dst && (dst->kind != ISA_OPND_VGPR || dst->index + n > 256)))
		return false;
	all = more ? 2 * n : n;
	for (unsigned s = 0; s < l->strips; s++) {
		addr[s] = ADD(get_v(l, in->src[0].index, s), K32((uint32_t)in->offset & 0xffff));
		inside[s] = lds_inside(l, addr[s], 4 * n, s);
		for (unsigned k = 0; k < n; k++) {
			rows[k][s] = get_v(l, data->index + k, s);
			if (more)
				rows[n + k][s] = get_v(l, more->index + k, s);
			if (dst)
				old[k][s] = keep ? get_v(l, dst->index + k, s) : K32(0);
		}
	}
	lanes_of_lds(l, addr, 4 * n, &x);
	lanes_to_stack(l, &x, rows, all);
	lanes_begin(l, &x, lanes_of(l, &x), &i);
	result = LLVMBuildLoad2(l->b, t, i.host, "");
	LLVMSetAlignment(result, 1);
	value = computed(l, a.kind, result, lanes_data(l, &i, all, 0, t), more ? lanes_data(l, &i, all, n, t) : NULL);
	value = LLVMBuildStore(l->b, value, i.host);
	LLVMSetAlignment(value, 1);
	if (dst)
		lanes_result(l, &i, n, result);
	lanes_end(l, &i);
	if (!dst)
		return true;
	lanes_results(l, n, got);
	for (unsigned k = 0; k < n; k++)
		for (unsigned s = 0; s < l->strips; s++)
			got[k][s] = SELECT(inside[s], got[k][s], K32(0));
	of = (struct access){.kind = VM_X1 + n - 1, .bytes = 4 * n, .dwords = n};
	set_loaded(l, ji, &of, dst->index, got, old);
	return true;
}

/* ------------------------------------------------------------------ lanes of a register */

/* What lanes that are not active have is 0. */
static void active_row(struct lift *l, unsigned r, V row[MAX_STRIPS])
{
	for (unsigned s = 0; s < l->strips; s++) {
		row[s] = get_v(l, r, s);
		if (!l->reg.now.exec_full)
			row[s] = SELECT(mask_strip(l, get_exec(l), s), row[s], K32(0));
	}
}

static V row_on_stack(struct lift *l)
{
	V room = LLVMBuildArrayAlloca(l->at_entry, l->i32, c32(l, WAVE_LANES), "");

	LLVMSetAlignment(room, 64);
	return room;
}

/* Lanes idx (below 64) of the row. */
static void lanes_at(struct lift *l, V row[MAX_STRIPS], V idx[MAX_STRIPS], V out[MAX_STRIPS])
{
	V room, args[4];
	LLVMTypeRef types[2] = {l->vi32, vec(l->ptr, l->width)};

	if (l->width == 16) {
		for (unsigned s = 0; s < l->strips; s++) {
			V low = intrinsic(l, "llvm.x86.avx512.vpermi2var.d.512", NULL, 0, (V[]){row[0], idx[s], row[1]}, 3);
			V high = intrinsic(l, "llvm.x86.avx512.vpermi2var.d.512", NULL, 0, (V[]){row[2], idx[s], row[3]}, 3);

			out[s] = SELECT(IS(UGE, idx[s], K32(32)), high, low);
		}
		return;
	}
	room = row_on_stack(l);
	for (unsigned s = 0; s < l->strips; s++)
		LLVMSetAlignment(LLVMBuildStore(l->b, row[s], at(l, room, (uint64_t)s * l->width * 4)), 4);
	for (unsigned s = 0; s < l->strips; s++) {
		args[0] = LLVMBuildGEP2(l->b, l->i32, room, &idx[s], 1, "");
		args[1] = c32(l, 4);
		args[2] = LLVMConstAllOnes(l->vi1);
		args[3] = K32(0);
		out[s] = intrinsic(l, "llvm.masked.gather", types, 2, args, 4);
	}
}

static void set_lanes(struct lift *l, const struct jit_inst *ji, V out[MAX_STRIPS])
{
	unsigned r = ji->ci.inst.dst[0].index;

	for (unsigned s = 0; s < l->strips; s++) {
		if (!l->reg.now.exec_full && !ji->quiet)
			out[s] = SELECT(mask_strip(l, get_exec(l), s), out[s], get_v(l, r, s));
		set_v(l, r, s, out[s]);
	}
}

static V lane_number(struct lift *l, const struct isa_inst *in, unsigned strip)
{
	return AND(LSHR(ADD(get_v(l, in->src[0].index, strip), K32((uint32_t)in->offset)), K32(2)), K32(WAVE_LANES - 1));
}

static bool lift_permute(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	LLVMTypeRef types[2] = {l->vi32, vec(l->ptr, l->width)};
	V row[MAX_STRIPS], idx[MAX_STRIPS], out[MAX_STRIPS], room, args[4];

	if (in->dst[0].kind != ISA_OPND_VGPR)
		return false;
	switch (in->op) {
	case ISA_DS_BPERMUTE_B32:
		if (in->src[1].kind != ISA_OPND_VGPR)
			return false;
		active_row(l, in->src[1].index, row);
		for (unsigned s = 0; s < l->strips; s++)
			idx[s] = lane_number(l, in, s);
		lanes_at(l, row, idx, out);
		break;
	case ISA_DS_PERMUTE_B32:
		/* Of several lanes that go to one the highest wins: stores are in order. */
		if (in->src[1].kind != ISA_OPND_VGPR)
			return false;
		room = row_on_stack(l);
		for (unsigned s = 0; s < l->strips; s++)
			LLVMSetAlignment(LLVMBuildStore(l->b, K32(0), at(l, room, (uint64_t)s * l->width * 4)), 4);
		for (unsigned s = 0; s < l->strips; s++) {
			idx[s] = lane_number(l, in, s);
			args[0] = get_v(l, in->src[1].index, s);
			args[1] = LLVMBuildGEP2(l->b, l->i32, room, &idx[s], 1, "");
			args[2] = c32(l, 4);
			args[3] = l->reg.now.exec_full ? LLVMConstAllOnes(l->vi1) : mask_strip(l, get_exec(l), s);
			intrinsic(l, "llvm.masked.scatter", types, 2, args, 4);
		}
		for (unsigned s = 0; s < l->strips; s++) {
			out[s] = LLVMBuildLoad2(l->b, l->vi32, at(l, room, (uint64_t)s * l->width * 4), "");
			LLVMSetAlignment(out[s], 4);
		}
		break;
	case ISA_DS_SWIZZLE_B32: {
		int from[WAVE_LANES];

		for (unsigned i = 0; i < WAVE_LANES; i++)
			from[i] = (int)swizzle_lane((unsigned)in->offset & 0xffff, i);
		active_row(l, in->src[0].index, row);
		permute_lanes(l, row, from, out);
		break;
	}
	default:
		return false;
	}
	set_lanes(l, ji, out);
	return true;
}

bool lift_ds_other(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct isa_operand *data;
	V addr[MAX_STRIPS];
	struct access a;

	if (in->format != ISA_FMT_DS || in->gds || in->src[0].kind != ISA_OPND_VGPR)
		return false;
	if (lift_permute(l, ji) || lift_ds_atomic(l, ji))
		return true;
	if (!plain_access(in->op, &a) || a.bytes >= 4)
		return false;
	data = a.store ? &in->src[1] : &in->dst[0];
	if (data->kind != ISA_OPND_VGPR)
		return false;
	for (unsigned s = 0; s < l->strips; s++)
		addr[s] = opaque(l, ADD(get_v(l, in->src[0].index, s), K32((uint32_t)in->offset & 0xffff)));
	if (a.store)
		short_write(l, ji, &a, addr);
	else
		short_read(l, ji, &a, addr);
	return true;
}
