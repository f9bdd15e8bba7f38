/* SPDX-License-Identifier: MIT */
/*
 * lift_regs.c - where the lifter has registers: LLVM values inside a block, variables between blocks, struct wave where compiled code is entered and left. See lift.h.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift.h"

/* ------------------------------------------------------------------ small things */

V c32(struct lift *l, uint32_t v)
{
	return LLVMConstInt(l->i32, v, 0);
}

V c64(struct lift *l, uint64_t v)
{
	return LLVMConstInt(l->i64, v, 0);
}

V field_ptr(struct lift *l, V base, size_t offset)
{
	V index = c64(l, offset);

	return LLVMBuildInBoundsGEP2(l->b, l->i8, base, &index, 1, "");
}

V load_field(struct lift *l, V base, size_t offset, LLVMTypeRef t)
{
	return LLVMBuildLoad2(l->b, t, field_ptr(l, base, offset), "");
}

void store_field(struct lift *l, V base, size_t offset, V value)
{
	LLVMBuildStore(l->b, value, field_ptr(l, base, offset));
}

LLVMBasicBlockRef new_block(struct lift *l, const char *name)
{
	return LLVMAppendBasicBlockInContext(l->c, l->fn, name);
}

void go_to(struct lift *l, LLVMBasicBlockRef bb)
{
	LLVMPositionBuilderAtEnd(l->b, bb);
	l->num_masks = 0;
}

/* Code may run one wave after the other: which one is in variables. */
void enter_block(struct lift *l, LLVMBasicBlockRef bb)
{
	go_to(l, bb);
	l->wave = LLVMBuildLoad2(l->b, l->ptr, l->wavea, "");
	l->vgpr = LLVMBuildLoad2(l->b, l->ptr, l->vgpra, "");
	l->agpr = LLVMBuildLoad2(l->b, l->ptr, l->agpra, "");
}

void emit_weights(struct lift *l, V branch, bool taken)
{
	LLVMMetadataRef w[3] = {
		LLVMMDStringInContext2(l->c, "branch_weights", 14),
		LLVMValueAsMetadata(c32(l, taken ? 4096 : 1)),
		LLVMValueAsMetadata(c32(l, taken ? 1 : 4096)),
	};

	LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(l->c, "prof", 4), LLVMMetadataAsValue(l->c, LLVMMDNodeInContext2(l->c, w, 3)));
}

/* ------------------------------------------------------------------ vector registers */

static V variable_v(struct lift *l, unsigned r, unsigned strip)
{
	if (!l->va[r][strip])
		l->va[r][strip] = LLVMBuildAlloca(l->at_entry, l->vi32, "");
	return l->va[r][strip];
}

V get_v(struct lift *l, unsigned r, unsigned strip)
{
	if (!l->reg.v[r][strip] && l->reg.lin[r].kind)
		l->reg.v[r][strip] = lin_vector(l, r, strip);
	if (!l->reg.v[r][strip])
		l->reg.v[r][strip] = bit_get(&l->home, r) || (l->blk && (l->blk->fresh || (l->blk->in_sync && !bit_get(&l->blk->vdirty, r))))
			? load_wave_row(l, r, strip)
			: LLVMBuildLoad2(l->b, l->vi32, variable_v(l, r, strip), "");
	return l->reg.v[r][strip];
}

void set_v(struct lift *l, unsigned r, unsigned strip, V value)
{
	l->reg.v[r][strip] = value;
	l->reg.lin[r].kind = LIN_NONE;
	l->lds_base[r] = NULL;
	if (bit_get(&l->home, r)) {
		l->back.valid = false; /* struct wave has it from here on */
		LLVMSetAlignment(LLVMBuildStore(l->b, value, row_ptr(l, false, r, strip)), 4 * l->width);
		return;
	}
	bit_set(&l->vdirty, r);
	bit_clear(&l->vstored, r);
}

/* Of one lane; what a sign was spread from is its extension. */
static V wide_value(struct lift *l, V lo, V hi)
{
	V n = LLVMIsABinaryOperator(hi) && LLVMGetInstructionOpcode(hi) == LLVMAShr && LLVMGetOperand(hi, 0) == lo ? LLVMGetOperand(hi, 1) : NULL;

	if (n && LLVMIsAConstantInt(n) && LLVMConstIntGetZExtValue(n) == 31)
		return LLVMBuildSExt(l->b, lo, l->i64, "");
	hi = LLVMBuildShl(l->b, LLVMBuildZExt(l->b, hi, l->i64, ""), c64(l, 32), "");
	return LLVMBuildOr(l->b, LLVMBuildZExt(l->b, lo, l->i64, ""), hi, "");
}

/* The row of 64 bits that half_lanes took them from, or NULL. */
static V lanes_from(struct lift *l, V x, unsigned first)
{
	x = LLVMIsABitCastInst(x) ? LLVMIsAShuffleVectorInst(LLVMGetOperand(x, 0)) : NULL;
	return x && LLVMTypeOf(LLVMGetOperand(x, 0)) == l->vi64 && LLVMGetNumMaskElements(x) == 8 && LLVMGetMaskValue(x, 0) == (int)first &&
			       LLVMGetMaskValue(x, 7) == (int)first + 7
		       ? LLVMGetOperand(x, 0)
		       : NULL;
}

/* What the dwords are of where they are half of a row of 64 bits (halves_of); NULL: they are not. */
static V is_half(struct lift *l, V x, unsigned first)
{
	V from = LLVMIsAShuffleVectorInst(x) ? LLVMIsABitCastInst(LLVMGetOperand(x, 0)) : NULL;

	if (!first && l->width == 16 && LLVMIsACallInst(x) && LLVMGetNumOperands(x) == 4 && LLVMGetOperand(x, 1) == iota(l, 0, 2)) {
		from = lanes_from(l, LLVMGetOperand(x, 0), 0);
		return from && from == lanes_from(l, LLVMGetOperand(x, 2), 8) ? from : NULL;
	}
	if (!from || LLVMTypeOf(LLVMGetOperand(from, 0)) != l->vi64 || LLVMGetNumMaskElements(x) != l->width)
		return NULL;
	for (unsigned i = 0; i < l->width; i++)
		if (LLVMGetMaskValue(x, i) != (int)(2 * i + first))
			return NULL;
	return LLVMGetOperand(from, 0);
}

/* The row of which these are the halves, also where both were chosen by one mask; NULL: there is none. */
static V whole_row(struct lift *l, V lo, V hi)
{
	V x = is_half(l, lo, 0), yes, no;

	if (x)
		return x == is_half(l, hi, 1) ? x : NULL;
	if (!LLVMIsASelectInst(lo) || !LLVMIsASelectInst(hi) || LLVMGetOperand(lo, 0) != LLVMGetOperand(hi, 0))
		return NULL;
	yes = whole_row(l, LLVMGetOperand(lo, 1), LLVMGetOperand(hi, 1));
	no = yes ? whole_row(l, LLVMGetOperand(lo, 2), LLVMGetOperand(hi, 2)) : NULL;
	return no ? LLVMBuildSelect(l->b, LLVMGetOperand(lo, 0), yes, no, "") : NULL;
}

V wide_row(struct lift *l, V lo, V hi)
{
	V order[128], whole;

	if (l->width == 1)
		return wide_value(l, lo, hi);
	whole = whole_row(l, lo, hi);
	if (whole)
		return whole;
	for (unsigned i = 0; i < l->width; i++) {
		order[2 * i] = c32(l, i);
		order[2 * i + 1] = c32(l, l->width + i);
	}
	return LLVMBuildBitCast(l->b, LLVMBuildShuffleVector(l->b, lo, hi, LLVMConstVector(order, 2 * l->width), ""), l->vi64, "");
}

V get_v64(struct lift *l, unsigned r, unsigned strip)
{
	struct wide_pair *w = &l->v64[r][strip];
	V lo = get_v(l, r, strip), hi = get_v(l, r + 1, strip);

	if (!w->value || w->lo != lo || w->hi != hi)
		*w = (struct wide_pair){lo, hi, wide_row(l, lo, hi)};
	return w->value;
}

/* Half of a 64-bit row's lanes, as dwords. */
static V half_lanes(struct lift *l, V value, unsigned from)
{
	V x = LLVMBuildShuffleVector(l->b, value, LLVMGetPoison(l->vi64), LLVMConstVector((V[]){
		c32(l, from), c32(l, from + 1), c32(l, from + 2), c32(l, from + 3), c32(l, from + 4), c32(l, from + 5), c32(l, from + 6), c32(l, from + 7)}, 8), "");

	return LLVMBuildBitCast(l->b, x, l->vi32, "");
}

V halves_of(struct lift *l, V value, unsigned first)
{
	V order[64], dwords;

	if (l->width == 1)
		return LLVMBuildTrunc(l->b, first ? LLVMBuildLShr(l->b, value, c64(l, 32), "") : value, l->i32, "");
	/* Of the low halves LLVM makes two truncations, which are two operations each, and an insertion. */
	if (l->width == 16 && !first && !LLVMIsConstant(value))
		return intrinsic(l, "llvm.x86.avx512.vpermi2var.d.512", NULL, 0, (V[]){half_lanes(l, value, 0), iota(l, 0, 2), half_lanes(l, value, 8)}, 3);
	for (unsigned i = 0; i < l->width; i++)
		order[i] = c32(l, 2 * i + first);
	dwords = LLVMBuildBitCast(l->b, value, vec(l->i32, 2 * l->width), "");
	return LLVMBuildShuffleVector(l->b, dwords, LLVMGetPoison(LLVMTypeOf(dwords)), LLVMConstVector(order, l->width), "");
}

void set_v64(struct lift *l, unsigned r, unsigned strip, V value)
{
	V lo = halves_of(l, value, 0), hi = halves_of(l, value, 1);

	set_v(l, r, strip, lo);
	set_v(l, r + 1, strip, hi);
	l->v64[r][strip] = (struct wide_pair){lo, hi, value};
}

V row_ptr(struct lift *l, bool agpr, unsigned r, unsigned strip)
{
	return field_ptr(l, agpr ? l->agpr : l->vgpr, ((size_t)r * WAVE_LANES + strip * l->width) * 4);
}

void store_row_strip(struct lift *l, unsigned r, unsigned s)
{
	V value;

	/* It is there. */
	if (bit_get(&l->home, r) || (l->blk && l->blk->fresh && !l->reg.v[r][s] && !l->reg.lin[r].kind))
		return;
	/* In a block that does not return the value is not kept: it may have been read here. */
	value = l->reg.v[r][s]	     ? l->reg.v[r][s]
		: l->reg.lin[r].kind ? lin_vector(l, r, s)
				     : LLVMBuildLoad2(l->b, l->vi32, variable_v(l, r, s), "");
	LLVMSetAlignment(LLVMBuildStore(l->b, value, row_ptr(l, false, r, s)), 4 * l->width);
}

void store_row(struct lift *l, unsigned r)
{
	for (unsigned s = 0; s < l->strips; s++)
		store_row_strip(l, r, s);
}

void store_row_once(struct lift *l, unsigned r)
{
	if (!bit_get(&l->vstored, r))
		store_row(l, r);
	bit_set(&l->vstored, r);
	/* What was there is not any more. */
	l->back.valid = false;
}

#define AHEAD 256 /* instructions: kernels may be long */

bool stays(const struct lift *l, const struct jit_inst *ji, unsigned r, unsigned n)
{
	for (unsigned i = 0; ji->next != NO_INST; i++) {
		struct jit_regs regs;

		ji = &l->code->inst[ji->next];
		if (ji->block != NO_BLOCK)
			return true;
		if (i == AHEAD)
			return false;
		jit_inst_regs(&ji->ci.inst, false, &regs);
		for (unsigned k = 0; k < n; k++)
			if (bit_get(&regs.vwrite, r + k))
				return false;
	}
	return true;
}

void load_row(struct lift *l, unsigned r)
{
	if (bit_get(&l->home, r))
		memset(l->reg.v[r], 0, sizeof(l->reg.v[r]));
	for (unsigned s = 0; !bit_get(&l->home, r) && s < l->strips; s++)
		set_v(l, r, s, load_wave_row(l, r, s));
}

/* ------------------------------------------------------------------ scalar registers */

bool wide_sgpr(const struct lift *l, unsigned r)
{
	return l->code->wide_pairs >> (r >> 1) & 1;
}

static V variable_s(struct lift *l, unsigned r)
{
	V *slot = wide_sgpr(l, r) ? &l->pa[r >> 1] : &l->sa[r];

	if (!*slot)
		*slot = LLVMBuildAlloca(l->at_entry, wide_sgpr(l, r) ? l->i64 : l->i32, "");
	return *slot;
}

V get_pair(struct lift *l, unsigned p)
{
	if (!l->reg.p[p] && wide_sgpr(l, 2 * p))
		l->reg.p[p] = LLVMBuildLoad2(l->b, l->i64, variable_s(l, 2 * p), "");
	if (!l->reg.p[p]) {
		V lo = LLVMBuildZExt(l->b, get_s32(l, 2 * p), l->i64, ""), hi = LLVMBuildZExt(l->b, get_s32(l, 2 * p + 1), l->i64, "");

		l->reg.p[p] = LLVMBuildOr(l->b, lo, LLVMBuildShl(l->b, hi, c64(l, 32), ""), "");
	}
	return l->reg.p[p];
}

V get_exec(struct lift *l)
{
	return l->reg.now.exec_full ? c64(l, UINT64_MAX) : get_pair(l, PAIR_EXEC);
}

V get_s32(struct lift *l, unsigned r)
{
	if (wide_sgpr(l, r)) {
		V p = get_pair(l, r >> 1);

		return LLVMBuildTrunc(l->b, r & 1 ? LLVMBuildLShr(l->b, p, c64(l, 32), "") : p, l->i32, "");
	}
	if (!l->reg.s[r])
		l->reg.s[r] = LLVMBuildLoad2(l->b, l->i32, variable_s(l, r), "");
	return l->reg.s[r];
}

V get_s64(struct lift *l, unsigned r)
{
	V lo, hi;

	if (!(r & 1))
		return get_pair(l, r >> 1);
	lo = LLVMBuildZExt(l->b, get_s32(l, r), l->i64, "");
	hi = r + 1 < WAVE_SGPRS ? LLVMBuildZExt(l->b, get_s32(l, r + 1), l->i64, "") : c64(l, 0);
	return LLVMBuildOr(l->b, lo, LLVMBuildShl(l->b, hi, c64(l, 32), ""), "");
}

void set_pair(struct lift *l, unsigned p, V value)
{
	l->reg.p[p] = value;
	if (wide_sgpr(l, 2 * p)) {
		l->pdirty |= 1ull << p;
		return;
	}
	l->reg.s[2 * p] = LLVMBuildTrunc(l->b, value, l->i32, "");
	l->reg.s[2 * p + 1] = LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, value, c64(l, 32), ""), l->i32, "");
	l->sdirty[2 * p >> 6] |= 3ull << (2 * p & 63);
}

void set_s32(struct lift *l, unsigned r, V value)
{
	if (wide_sgpr(l, r)) {
		V old = get_pair(l, r >> 1), x = LLVMBuildZExt(l->b, value, l->i64, "");

		old = LLVMBuildAnd(l->b, old, c64(l, r & 1 ? UINT32_MAX : ~(uint64_t)UINT32_MAX), "");
		set_pair(l, r >> 1, LLVMBuildOr(l->b, old, r & 1 ? LLVMBuildShl(l->b, x, c64(l, 32), "") : x, ""));
		return;
	}
	l->reg.s[r] = value;
	l->reg.p[r >> 1] = NULL;
	l->sdirty[r >> 6] |= 1ull << (r & 63);
}

void set_s64(struct lift *l, unsigned r, V value)
{
	if (!(r & 1)) {
		set_pair(l, r >> 1, value);
		return;
	}
	set_s32(l, r, LLVMBuildTrunc(l->b, value, l->i32, ""));
	if (r + 1 < WAVE_SGPRS)
		set_s32(l, r + 1, LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, value, c64(l, 32), ""), l->i32, ""));
}

V get_scc(struct lift *l)
{
	if (!l->reg.scc)
		l->reg.scc = LLVMBuildLoad2(l->b, l->i32, l->scca, "");
	return l->reg.scc;
}

void set_scc(struct lift *l, V value)
{
	l->reg.scc = value;
	l->scc_dirty = true;
}

static V is_zero64(struct lift *l, V x)
{
	return LLVMBuildZExt(l->b, LLVMBuildICmp(l->b, LLVMIntEQ, x, c64(l, 0), ""), l->i64, "");
}

/* 64 bits; an aperture register's 32-bit value is its high half, which is the caller's business. NULL: not lifted. */
V special_operand(struct lift *l, unsigned code)
{
	switch (code) {
	case SRC_SHARED_BASE:
		return load_field(l, l->group, offsetof(struct workgroup, shared_base), l->i64);
	case SRC_PRIVATE_BASE:
		return load_field(l, l->group, offsetof(struct workgroup, private_base), l->i64);
	case SRC_VCCZ:
		return is_zero64(l, get_pair(l, PAIR_VCC));
	case SRC_EXECZ:
		return is_zero64(l, get_exec(l));
	case SRC_SCC:
		return LLVMBuildZExt(l->b, get_scc(l), l->i64, "");
	default:
		return NULL;
	}
}

/* Value of a scalar operand as i32, or i64 if wide. NULL: not lifted. */
V scalar_operand(struct lift *l, const struct isa_operand *o, bool wide)
{
	V x;

	switch (o->kind) {
	case ISA_OPND_SGPR:
		return wide ? get_s64(l, o->index) : get_s32(l, o->index);
	case ISA_OPND_CONST:
		return wide ? c64(l, o->value) : c32(l, (uint32_t)o->value);
	case ISA_OPND_SPECIAL:
		x = special_operand(l, o->index);
		if (!x || wide)
			return x;
		if (o->index < SRC_VCCZ)
			x = LLVMBuildLShr(l->b, x, c64(l, 32), "");
		return LLVMBuildTrunc(l->b, x, l->i32, "");
	default:
		return NULL;
	}
}

V mask_strip(struct lift *l, V mask64, unsigned strip)
{
	unsigned k;
	V x;

	for (k = 0; k < l->num_masks; k++)
		if (l->masks[k].key == mask64 && l->masks[k].value[strip])
			return l->masks[k].value[strip];
	x = strip ? LLVMBuildLShr(l->b, mask64, c64(l, strip * l->width), "") : mask64;
	x = LLVMBuildTrunc(l->b, x, LLVMIntTypeInContext(l->c, l->width), "");
	x = LLVMBuildBitCast(l->b, x, l->vi1, "");
	for (k = 0; k < l->num_masks && l->masks[k].key != mask64; k++)
		;
	if (k < 8) {
		if (k == l->num_masks) {
			memset(&l->masks[k], 0, sizeof(l->masks[k]));
			l->masks[k].key = mask64;
			l->num_masks++;
		}
		l->masks[k].value[strip] = x;
	}
	return x;
}

/* Here these vectors are the mask's strips. (LLVM 19 does not end when it takes masks apart that it has just seen put together.) */
void know_mask(struct lift *l, V mask64, V *strips)
{
	if (l->num_masks == 8)
		l->num_masks = 0;
	l->masks[l->num_masks].key = mask64;
	memcpy(l->masks[l->num_masks++].value, strips, sizeof(l->masks[0].value));
}

/* ------------------------------------------------------------------ blocks: values in variables */

void forget(struct lift *l)
{
	memset(l->reg.v, 0, sizeof(l->reg.v));
	memset(l->v64, 0, sizeof(l->v64));
	memset(l->reg.lin, 0, sizeof(l->reg.lin));
	memset(l->lds_base, 0, sizeof(l->lds_base));
	l->num_bases = 0;
	l->num_windows = 0;
	l->window.base = NULL;
	memset(l->reg.s, 0, sizeof(l->reg.s));
	memset(l->reg.p, 0, sizeof(l->reg.p));
	l->reg.scc = NULL;
	memset(&l->vdirty, 0, sizeof(l->vdirty));
	l->sdirty[0] = l->sdirty[1] = l->pdirty = 0;
	l->scc_dirty = false;
	l->num_masks = 0;
}

/* Values to variables, for the blocks that may follow (NULL: none). */
void write_back(struct lift *l, const struct jit_block *to, const struct jit_block *or_to)
{
	for (unsigned r = 0; r < 256; r++) {
		bool wanted = (to && lin_vector_wanted(l, to, r)) || (or_to && lin_vector_wanted(l, or_to, r)), dirty = bit_get(&l->vdirty, r);
		/* What a block found in struct wave others find in variables. */
		bool all = wanted && (l->reg.lin[r].kind || (l->blk && l->blk->fresh && !dirty && !bit_get(&l->home, r)));

		for (unsigned s = 0; (all || dirty) && s < l->strips; s++)
			if (all || l->reg.v[r][s])
				LLVMBuildStore(l->b, get_v(l, r, s), variable_v(l, r, s));
	}
	if (to)
		lin_leave(l, to);
	if (or_to)
		lin_leave(l, or_to);
	for (unsigned r = 0; r < WAVE_SGPRS; r++)
		if (l->sdirty[r >> 6] >> (r & 63) & 1)
			LLVMBuildStore(l->b, l->reg.s[r], variable_s(l, r));
	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++)
		if (l->pdirty >> p & 1)
			LLVMBuildStore(l->b, l->reg.p[p], variable_s(l, 2 * p));
	if (l->scc_dirty)
		LLVMBuildStore(l->b, l->reg.scc, l->scca);
}

/* ------------------------------------------------------------------ in struct wave */

size_t sgpr_offset(unsigned r)
{
	return offsetof(struct wave, sgpr) + 4 * r;
}

/* Registers of the set to struct wave, without keeping what is read for it (the code may be on a side path). */
void store_sgprs(struct lift *l, const uint64_t set[2])
{
	for (unsigned r = 0; r < WAVE_SGPRS; r++) {
		unsigned p = r >> 1;
		V x;

		if (!(set[r >> 6] >> (r & 63) & 1))
			continue;
		if (wide_sgpr(l, r)) {
			if (p == PAIR_EXEC && l->reg.now.exec_full)
				x = c64(l, UINT64_MAX);
			else
				x = l->reg.p[p] ? l->reg.p[p] : LLVMBuildLoad2(l->b, l->i64, variable_s(l, r), "");
			store_field(l, l->wave, sgpr_offset(r & ~1u), x);
			r |= 1;
			continue;
		}
		x = l->reg.s[r] ? l->reg.s[r] : LLVMBuildLoad2(l->b, l->i32, variable_s(l, r), "");
		store_field(l, l->wave, sgpr_offset(r), x);
	}
}

void store_scc(struct lift *l)
{
	V x = l->reg.scc ? l->reg.scc : LLVMBuildLoad2(l->b, l->i32, l->scca, "");

	store_field(l, l->wave, offsetof(struct wave, scc), LLVMBuildTrunc(l->b, x, l->i8, ""));
}

V load_wave_row(struct lift *l, unsigned r, unsigned strip)
{
	V x = LLVMBuildLoad2(l->b, l->vi32, row_ptr(l, false, r, strip), "");

	LLVMSetAlignment(x, 4 * l->width);
	return x;
}

V load_wave_sgpr(struct lift *l, unsigned r, bool wide)
{
	return load_field(l, l->wave, sgpr_offset(r), wide ? l->i64 : l->i32);
}
