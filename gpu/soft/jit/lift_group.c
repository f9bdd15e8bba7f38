/* SPDX-License-Identifier: MIT */
/*
 * lift_group.c - the waves of a work-group, and work-groups that follow each other, inside compiled code.
 *
 * Theory of operation
 * A wave that ends, or comes to a barrier, gives way to the next one of its work-group: that is a jump, not the end of the function. Which waves go on in
 * this turn, which have come to a barrier and where each of them stands is in the frame (ready, waiting, at). When all have had their turn
 * those at barriers are ready again; when there is none, the work-group is over and the next one of the range begins (left, id).
 *
 * At barriers a wave's registers are in struct wave, as far as they live. The waves of work-groups that begin here have nothing there at first: SGPRs are
 * loaded from the record of how waves start, but for the work-group's id; work-items' ids are a table, for the work-group's size is known.
 * So all that lives at the kernel's entry counts as changed there (cfg.c). What else struct wave has of its start nobody changes but
 * s_setreg and s_setprio.
 */
#include <stddef.h>

#include "gpu/soft/jit/lift.h"

#define FRAME(field) offsetof(struct jit_frame, field)

static V load32(struct lift *l, size_t offset)
{
	return load_field(l, l->frame, offset, l->i32);
}

static V equal0(struct lift *l, V x)
{
	return LLVMBuildICmp(l->b, LLVMIntEQ, x, LLVMConstNull(LLVMTypeOf(x)), "");
}

static V frame_at(struct lift *l, V wave)
{
	V i = LLVMBuildMul(l->b, LLVMBuildZExt(l->b, wave, l->i64, ""), c64(l, sizeof(uint16_t)), "");

	return LLVMBuildInBoundsGEP2(l->b, l->i8, field_ptr(l, l->frame, FRAME(at)), &i, 1, "");
}

static unsigned entry_start(const struct lift *l)
{
	return 2 * l->num_safe;
}

void find_groups(struct lift *l)
{
	uint32_t items = l->code->wg_size[0] * l->code->wg_size[1] * l->code->wg_size[2];

	l->groups = l->code->full && items && items % WAVE_LANES == 0 && items <= WG_MAX_WAVES * WAVE_LANES;
	l->ended = new_block(l, "ended");
	if (l->groups)
		l->next_wave = new_block(l, "next");
}

void emit_barrier(struct lift *l, const struct jit_block *to, bool waits)
{
	LLVMBasicBlockRef in, single;
	V index, waiting;

	if (!l->groups)
		return;
	in = new_block(l, "");
	single = new_block(l, "single");
	emit_weights(l, LLVMBuildCondBr(l->b, equal0(l, load32(l, FRAME(group))), single, in), false);
	go_to(l, in);
	index = load32(l, FRAME(index));
	LLVMBuildStore(l->b, LLVMConstInt(l->i16, l->num_safe + l->safe[to - l->code->block], 0), frame_at(l, index));
	waiting = LLVMBuildOr(l->b, load32(l, FRAME(waiting)), LLVMBuildShl(l->b, c32(l, 1), index, ""), "");
	store_field(l, l->frame, FRAME(waiting), waiting);
	if (waits)
		leave_mfma(l);
	LLVMBuildBr(l->b, l->next_wave);
	go_to(l, single);
}

/* ------------------------------------------------------------------ a wave's start */

/* Does the kernel change what a wave has beside its registers? */
static bool changes_fields(const struct jit_code *c)
{
	for (uint32_t i = 0; i < c->num_inst; i++)
		if (c->inst[i].ci.inst.op == ISA_S_SETPRIO || c->inst[i].ci.inst.op == ISA_S_SETREG_IMM32_B32)
			return true;
	return false;
}

/* Rows of ids as struct wave has them at the start, of each wave. */
static V id_table(struct lift *l)
{
	const struct jit_code *c = l->code;
	unsigned rows = jit_id_rows(c), waves = c->wg_size[0] * c->wg_size[1] * c->wg_size[2] / WAVE_LANES, n = 0;
	static V k[WG_MAX_WAVES * 3 * WAVE_LANES]; /* one compilation at a time */
	LLVMTypeRef t = LLVMArrayType2(l->i32, (uint64_t)waves * rows * WAVE_LANES);
	V table;

	for (unsigned w = 0; w < waves; w++)
		for (unsigned r = 0; r < rows; r++)
			for (unsigned i = w * WAVE_LANES; i < (w + 1) * WAVE_LANES; i++) {
				uint32_t x = i % c->wg_size[0], y = i / c->wg_size[0] % c->wg_size[1], z = i / c->wg_size[0] / c->wg_size[1];

				k[n++] = c32(l, c->target == ISA_GFX90A ? x | y << 10 | z << 20 : r == 0 ? x : r == 1 ? y : z);
			}
	table = LLVMAddGlobal(l->m, t, "ids");
	LLVMSetInitializer(table, LLVMConstArray2(l->i32, k, n));
	LLVMSetGlobalConstant(table, 1);
	LLVMSetAlignment(table, 4 * WAVE_LANES);
	LLVMSetLinkage(table, LLVMPrivateLinkage);
	return table;
}

/* A scalar register at the start. */
static V start_sgpr(struct lift *l, V from, unsigned r)
{
	for (unsigned d = 0; d < 3; d++)
		if (l->code->id_sgpr[d] == r)
			return load32(l, FRAME(id) + 4 * d);
	return load_field(l, from, sgpr_offset(r), l->i32);
}

static bool has_id(const struct lift *l, unsigned r)
{
	return l->code->id_sgpr[0] == r || l->code->id_sgpr[1] == r || l->code->id_sgpr[2] == r;
}

static V start_pair(struct lift *l, V from, unsigned r)
{
	V lo, hi;

	if (!has_id(l, r) && !has_id(l, r + 1))
		return load_field(l, from, sgpr_offset(r), l->i64);
	lo = LLVMBuildZExt(l->b, start_sgpr(l, from, r), l->i64, "");
	hi = LLVMBuildZExt(l->b, start_sgpr(l, from, r + 1), l->i64, "");
	return LLVMBuildOr(l->b, lo, LLVMBuildShl(l->b, hi, c64(l, 32), ""), "");
}

/* A row of ids that operations find in struct wave only. */
static void copy_row(struct lift *l, unsigned r, V vgpr)
{
	V table = l->vgpr, x[MAX_STRIPS];

	for (unsigned s = 0; s < l->strips; s++)
		x[s] = load_wave_row(l, r, s);
	l->vgpr = vgpr;
	for (unsigned s = 0; s < l->strips; s++)
		LLVMSetAlignment(LLVMBuildStore(l->b, x[s], row_ptr(l, false, r, s)), 4 * l->width);
	l->vgpr = table;
	load_row(l, r);
}

static LLVMBasicBlockRef emit_launch(struct lift *l)
{
	LLVMBasicBlockRef bb = new_block(l, "launch");
	const struct jit_block *blk = &l->code->block[0];
	unsigned rows = jit_id_rows(l->code);
	V index, from, at, vgpr, holds = NULL;

	enter_block(l, bb);
	forget(l);
	l->blk = NULL;
	index = LLVMBuildZExt(l->b, load32(l, FRAME(index)), l->i64, "");
	at = LLVMBuildMul(l->b, index, load_field(l, l->frame, FRAME(start_stride), l->i64), "");
	from = LLVMBuildInBoundsGEP2(l->b, l->i8, load_field(l, l->frame, FRAME(start), l->ptr), &at, 1, "");
	vgpr = l->vgpr;
	at = LLVMBuildMul(l->b, index, c64(l, (uint64_t)rows * WAVE_LANES * 4), "");
	for (unsigned r = 0; r < 256; r++) {
		bool live = bit_get(&blk->vlive, r), id = r < rows;

		if (!live || !bit_get(&l->code->vused, r))
			continue;
		if (id && l->vgpr == vgpr)
			l->vgpr = LLVMBuildInBoundsGEP2(l->b, l->i8, id_table(l), &at, 1, "");
		if (!id)
			l->vgpr = vgpr;
		if (id && bit_get(&l->home, r))
			copy_row(l, r, vgpr);
		else if (!lin_entry(l, blk, r, NULL, &holds))
			load_row(l, r);
	}
	l->vgpr = vgpr;
	for (unsigned r = 0; r < WAVE_SGPRS; r++) {
		if (!(blk->slive[r >> 6] >> (r & 63) & 1))
			continue;
		if (r == SGPR_EXEC) {
			set_pair(l, PAIR_EXEC, c64(l, UINT64_MAX));
			r |= 1;
		} else if (wide_sgpr(l, r)) {
			set_pair(l, r >> 1, start_pair(l, from, r & ~1u));
			r |= 1;
		} else {
			set_s32(l, r, start_sgpr(l, from, r));
		}
	}
	set_scc(l, c32(l, 0));
	if (changes_fields(l->code)) {
		store_field(l, l->wave, offsetof(struct wave, mode), load_field(l, from, offsetof(struct wave, mode), l->i32));
		store_field(l, l->wave, offsetof(struct wave, status), load_field(l, from, offsetof(struct wave, status), l->i32));
		store_field(l, l->wave, offsetof(struct wave, trapsts), load_field(l, from, offsetof(struct wave, trapsts), l->i32));
	}
	write_back(l, NULL, NULL);
	LLVMBuildBr(l->b, l->bb[0]);
	return bb;
}

/* ------------------------------------------------------------------ whose turn it is */

/* A quiescent point if there is no fuel left; the builder goes on where the slice is not over. */
static void emit_between(struct lift *l, LLVMBasicBlockRef over)
{
	LLVMBasicBlockRef slow = new_block(l, "between"), go = new_block(l, "");
	V x = LLVMBuildLoad2(l->b, l->i64, l->fuel, "");

	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntSLE, x, c64(l, 0), ""), slow, go), false);
	go_to(l, slow);
	go_and_pause(l, FRAME(between), x, over, go);
	go_to(l, go);
}

/* The work-group is over: the next one's waves, at their start. */
static void emit_next_group(struct lift *l, LLVMBasicBlockRef over)
{
	LLVMBasicBlockRef more = new_block(l, ""), row = new_block(l, ""), begin = new_block(l, "");
	V left = load32(l, FRAME(left)), x, y, z, start[WG_MAX_WAVES], all;

	LLVMBuildCondBr(l->b, equal0(l, left), over, more);
	go_to(l, more);
	emit_between(l, over);
	store_field(l, l->frame, FRAME(left), LLVMBuildSub(l->b, left, c32(l, 1), ""));
	x = LLVMBuildAdd(l->b, load32(l, FRAME(id)), c32(l, 1), "");
	store_field(l, l->frame, FRAME(id), x);
	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntULT, x, load32(l, FRAME(num)), ""), begin, row), true);
	go_to(l, row);
	store_field(l, l->frame, FRAME(id), c32(l, 0));
	y = LLVMBuildAdd(l->b, load32(l, FRAME(id) + 4), c32(l, 1), "");
	z = LLVMBuildICmp(l->b, LLVMIntUGE, y, load32(l, FRAME(num) + 4), "");
	store_field(l, l->frame, FRAME(id) + 4, LLVMBuildSelect(l->b, z, c32(l, 0), y, ""));
	z = LLVMBuildAdd(l->b, load32(l, FRAME(id) + 8), LLVMBuildZExt(l->b, z, l->i32, ""), "");
	store_field(l, l->frame, FRAME(id) + 8, z);
	LLVMBuildBr(l->b, begin);
	go_to(l, begin);
	all = load32(l, FRAME(all));
	store_field(l, l->frame, FRAME(ready), all);
	for (unsigned i = 0; i < WG_MAX_WAVES; i++)
		start[i] = LLVMConstInt(l->i16, entry_start(l), 0);
	LLVMSetAlignment(LLVMBuildStore(l->b, LLVMConstVector(start, WG_MAX_WAVES), field_ptr(l, l->frame, FRAME(at))), 2);
	LLVMBuildBr(l->b, l->next_wave);
}

/* All have had their turn. */
static void emit_round(struct lift *l)
{
	LLVMBasicBlockRef over = new_block(l, "over"), group = new_block(l, "group"), again = new_block(l, "again");
	V waiting = load32(l, FRAME(waiting));

	LLVMBuildCondBr(l->b, equal0(l, waiting), group, again);
	go_to(l, again);
	store_field(l, l->frame, FRAME(ready), waiting);
	store_field(l, l->frame, FRAME(waiting), c32(l, 0));
	store_field(l, l->frame, FRAME(turn), c32(l, JIT_NO_WAVE));
	emit_between(l, over);
	LLVMBuildBr(l->b, l->next_wave);
	go_to(l, group);
	emit_next_group(l, over);
	go_to(l, over);
	store_field(l, l->frame, FRAME(index), c32(l, JIT_NO_WAVE));
	leave_function(l);
}

static void emit_next(struct lift *l, LLVMBasicBlockRef *entries)
{
	LLVMBasicBlockRef round = new_block(l, "round"), take = new_block(l, "take"), launch, others = new_block(l, "");
	LLVMTypeRef t = l->i32;
	V ready, index, i, args[2], which, wave, sw;

	go_to(l, l->next_wave);
	ready = load32(l, FRAME(ready));
	LLVMBuildCondBr(l->b, equal0(l, ready), round, take);
	go_to(l, round);
	emit_round(l);
	go_to(l, take);
	args[0] = ready;
	args[1] = LLVMConstInt(l->i1, 1, 0);
	index = intrinsic(l, "llvm.cttz", &t, 1, args, 2);
	store_field(l, l->frame, FRAME(ready), LLVMBuildAnd(l->b, ready, LLVMBuildSub(l->b, ready, c32(l, 1), ""), ""));
	store_field(l, l->frame, FRAME(index), index);
	i = LLVMBuildMul(l->b, LLVMBuildZExt(l->b, index, l->i64, ""), c64(l, sizeof(struct wave)), "");
	i = LLVMBuildAdd(l->b, i, c64(l, offsetof(struct workgroup, waves)), "");
	wave = LLVMBuildInBoundsGEP2(l->b, l->i8, l->group, &i, 1, "");
	LLVMBuildStore(l->b, wave, l->wavea);
	LLVMBuildStore(l->b, load_field(l, wave, offsetof(struct wave, vgpr), l->ptr), l->vgpra);
	LLVMBuildStore(l->b, load_field(l, wave, offsetof(struct wave, agpr), l->ptr), l->agpra);
	which = LLVMBuildZExt(l->b, LLVMBuildLoad2(l->b, l->i16, frame_at(l, index), ""), l->i32, "");
	launch = emit_launch(l);
	go_to(l, take);
	LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntEQ, which, c32(l, entry_start(l)), ""), launch, others);
	go_to(l, others);
	sw = LLVMBuildSwitch(l->b, which, entries[0], 2 * l->num_safe);
	for (unsigned n = 1; n < 2 * l->num_safe; n++)
		LLVMAddCase(sw, c32(l, n), entries[n]);
}

void emit_groups(struct lift *l, LLVMBasicBlockRef *entries)
{
	enter_block(l, l->ended);
	if (l->groups) {
		LLVMBasicBlockRef single = new_block(l, "single");

		emit_weights(l, LLVMBuildCondBr(l->b, equal0(l, load32(l, FRAME(group))), single, l->next_wave), false);
		enter_block(l, single);
	}
	store_field(l, l->wave, offsetof(struct wave, state), c32(l, WAVE_ENDED));
	leave_function(l);
	if (l->groups)
		emit_next(l, entries);
}
