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
 *
 * Runs: a kernel without loops is there twice. In the second form nothing but what differs from wave to wave is in the loop over waves and work-groups, and no call, so that
 * the compiler keeps the rest in registers: where accesses are (load_once), scalar loads (lift.c). Of several blocks it is the way of a wave whose lanes all stay active, which
 * most conditions are written for (is the work-item inside of the array?). A wave for which that does not do is left to the first form (leave_run),
 * as long as it has changed nothing; a kernel where that may come later has no second form (run.failed).
 */
#include <stddef.h>
#include <stdlib.h>

#include "gpu/soft/jit/lift_mem.h"

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
	V table = LLVMGetNamedGlobal(l->m, "ids");
	const struct jit_code *c = l->code;
	unsigned rows = jit_id_rows(c), waves = c->wg_size[0] * c->wg_size[1] * c->wg_size[2] / WAVE_LANES, n = 0;
	static V k[WG_MAX_WAVES * 3 * WAVE_LANES]; /* one compilation at a time */
	LLVMTypeRef t = LLVMArrayType2(l->i32, (uint64_t)waves * rows * WAVE_LANES);

	if (table)
		return table;
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

static V load_run(struct lift *l, V variable)
{
	return LLVMBuildLoad2(l->b, l->i32, variable, "");
}

V wave_index(struct lift *l)
{
	return l->run.on ? load_run(l, l->run.wave) : load32(l, FRAME(index));
}

V load_once(struct lift *l, V base, size_t offset, LLVMTypeRef t)
{
	LLVMBasicBlockRef here = LLVMGetInsertBlock(l->b);
	V x;

	if (l->run.once)
		LLVMPositionBuilderAtEnd(l->b, l->run.once);
	x = load_field(l, base, offset, t);
	LLVMPositionBuilderAtEnd(l->b, here);
	return x;
}

/* A scalar register at the start. */
static V start_sgpr(struct lift *l, V from, unsigned r)
{
	if (l->run.on && l->code->id_sgpr[0] == r)
		return load_run(l, l->run.group);
	for (unsigned d = 0; d < 3; d++)
		if (l->code->id_sgpr[d] == r)
			return load_once(l, l->frame, FRAME(id) + 4 * d, l->i32);
	return load_once(l, from, sgpr_offset(r), l->i32);
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

/* The vector registers at the start of a wave, of number index (i64). */
static void start_rows(struct lift *l, V index)
{
	const struct jit_block *blk = &l->code->block[0];
	unsigned rows = jit_id_rows(l->code);
	V at = LLVMBuildMul(l->b, index, c64(l, (uint64_t)rows * WAVE_LANES * 4), ""), vgpr = l->vgpr, holds = NULL;

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
}

/* The scalar registers that are the same for all work-groups, or the others; from: the wave as it starts. */
static void start_sgprs(struct lift *l, V from, bool ids)
{
	const struct jit_block *blk = &l->code->block[0];

	for (unsigned r = 0; r < WAVE_SGPRS; r++) {
		bool wide = wide_sgpr(l, r);

		if (!(blk->slive[r >> 6] >> (r & 63) & 1))
			continue;
		if (r == SGPR_EXEC || wide) {
			unsigned first = r & ~1u;

			if (ids == (r != SGPR_EXEC && (has_id(l, first) || has_id(l, first + 1))))
				set_pair(l, r >> 1, r == SGPR_EXEC ? c64(l, UINT64_MAX) : start_pair(l, from, first));
			r |= 1;
		} else if (ids == has_id(l, r)) {
			set_s32(l, r, start_sgpr(l, from, r));
		}
	}
	if (!ids)
		set_scc(l, c32(l, 0));
}

static LLVMBasicBlockRef emit_launch(struct lift *l)
{
	LLVMBasicBlockRef bb = new_block(l, "launch");
	V index, from, at;

	enter_block(l, bb);
	forget(l);
	l->blk = NULL;
	index = LLVMBuildZExt(l->b, load32(l, FRAME(index)), l->i64, "");
	at = LLVMBuildMul(l->b, index, load_field(l, l->frame, FRAME(start_stride), l->i64), "");
	from = LLVMBuildInBoundsGEP2(l->b, l->i8, load_field(l, l->frame, FRAME(start), l->ptr), &at, 1, "");
	start_rows(l, index);
	start_sgprs(l, from, false);
	start_sgprs(l, from, true);
	if (changes_fields(l->code)) {
		store_field(l, l->wave, offsetof(struct wave, mode), load_field(l, from, offsetof(struct wave, mode), l->i32));
		store_field(l, l->wave, offsetof(struct wave, status), load_field(l, from, offsetof(struct wave, status), l->i32));
		store_field(l, l->wave, offsetof(struct wave, trapsts), load_field(l, from, offsetof(struct wave, trapsts), l->i32));
	}
	write_back(l, NULL, NULL);
	LLVMBuildBr(l->b, l->bb[0]);
	return bb;
}

/* ------------------------------------------------------------------ runs */

#define RUN_PAUSE 64 /* work-groups, when the first of a run could not be done there */
#define RUN_MOST  512 /* instructions: of longer kernels the way from wave to wave is a small part */

static unsigned waves_of(const struct lift *l)
{
	return l->code->wg_size[0] * l->code->wg_size[1] * l->code->wg_size[2] / WAVE_LANES;
}

static V variable(struct lift *l, LLVMTypeRef t)
{
	V x = LLVMBuildAlloca(l->at_entry, t, "");

	LLVMBuildStore(l->at_entry, LLVMConstNull(t), x);
	return x;
}

void leave_run(struct lift *l)
{
	l->run.failed |= l->run.changed;
	LLVMBuildBr(l->b, l->run.bail);
}

int run_way(const struct jit_code *c, const struct jit_block *blk)
{
	uint32_t last = blk->first;
	bool out[2];

	for (uint32_t k = 1; k < blk->count; k++)
		last = c->inst[last].next;
	if (c->inst[last].ci.inst.op == ISA_S_CBRANCH_EXECZ)
		return 1;
	/* What is the same for all lanes: not to where nothing is done. */
	for (unsigned i = 0; i < 2; i++)
		out[i] = c->block[blk->succ[i]].term == TERM_END && c->block[blk->succ[i]].count == 1;
	return out[0] && !out[1];
}

static bool find_path(const struct jit_code *c, struct run *run)
{
	const struct jit_block *blk = c->block;
	uint32_t insts = 0;

	for (run->blocks = 0; run->blocks < RUN_BLOCKS && !blk->back && blk->in.known && insts <= RUN_MOST;) {
		run->path[run->blocks++] = (uint32_t)(blk - c->block);
		insts += blk->count;
		run->weight += blk->weight;
		if (blk->term == TERM_END)
			return insts <= RUN_MOST;
		if (blk->term != TERM_FALL && blk->term != TERM_BRANCH && blk->term != TERM_COND)
			break;
		blk = &c->block[blk->succ[blk->term == TERM_COND ? run_way(c, blk) : 0]];
	}
	return false;
}

/* Where a run may begin with the next work-group; the builder goes on where it does not. */
static void emit_run_entry(struct lift *l)
{
	const struct jit_code *c = l->code;
	struct run *run = &l->run;

	/* What comes after a wave's last instruction tests look at; what it puts into struct wave others would not find. */
	if (l->exact || changes_fields(c) || !find_path(c, run))
		return;
	for (unsigned w = 0; w < 4; w++)
		if (l->home.w[w])
			return;
	run->places = calloc(c->num_inst, sizeof(*run->places));
	if (!run->places)
		return;
	run->entry = new_block(l, "run");
	run->skip = new_block(l, "");
	run->group = variable(l, l->i32);
	run->wave = variable(l, l->i32);
	run->pauses = variable(l, l->i32);
	LLVMBuildBr(l->b, run->entry);
	go_to(l, run->skip);
}

static V smaller(struct lift *l, V a, V b)
{
	return LLVMBuildSelect(l->b, LLVMBuildICmp(l->b, LLVMIntULT, a, b, ""), a, b, "");
}

/* Instructions of a wave, as fuel. */
static uint64_t wave_weight(const struct lift *l)
{
	return l->run.weight ? l->run.weight : 1;
}

static uint64_t group_weight(const struct lift *l)
{
	return wave_weight(l) * waves_of(l);
}

void begin_run(struct lift *l)
{
	struct run *run = &l->run;
	LLVMBasicBlockRef go = new_block(l, ""), later = new_block(l, ""), tries = new_block(l, "");
	V pauses, groups, fuel, first;

	run->bail = new_block(l, "bail");
	go_to(l, run->entry);
	pauses = load_run(l, run->pauses);
	LLVMBuildCondBr(l->b, equal0(l, pauses), tries, later);
	go_to(l, later);
	LLVMBuildStore(l->b, LLVMBuildSub(l->b, pauses, c32(l, 1), ""), run->pauses);
	LLVMBuildBr(l->b, run->skip);
	go_to(l, tries);
	run->first = first = LLVMBuildAdd(l->b, load32(l, FRAME(id)), c32(l, 1), "");
	groups = smaller(l, LLVMBuildSub(l->b, load32(l, FRAME(num)), first, ""), load32(l, FRAME(left)));
	/* As many as there is fuel for, and the one in which it comes to an end. */
	fuel = LLVMBuildAdd(l->b, LLVMBuildLoad2(l->b, l->i64, l->fuel, ""), c64(l, group_weight(l) - 1), "");
	fuel = LLVMBuildUDiv(l->b, fuel, c64(l, group_weight(l)), "");
	groups = smaller(l, groups, LLVMBuildTrunc(l->b, smaller(l, fuel, c64(l, INT32_MAX)), l->i32, ""));
	groups = LLVMBuildSelect(l->b, equal0(l, load_field(l, l->frame, FRAME(start_same), l->i8)), c32(l, 0), groups, "");
	LLVMBuildCondBr(l->b, equal0(l, groups), run->skip, go);
	enter_block(l, go);
	run->behind = LLVMBuildAdd(l->b, first, groups, "");
	LLVMBuildStore(l->b, first, run->group);
	LLVMBuildStore(l->b, c32(l, 0), run->wave);
	forget(l);
	l->blk = NULL;
	run->from = load_field(l, l->frame, FRAME(start), l->ptr);
	start_sgprs(l, run->from, false);
	write_back(l, NULL, NULL);
	run->on = true;
	run->changed = false;
}

void begin_run_wave(struct lift *l)
{
	struct run *run = &l->run;
	LLVMBasicBlockRef head = new_block(l, "wave");

	run->once = LLVMGetInsertBlock(l->b);
	enter_block(l, head);
	forget(l);
	l->blk = NULL;
	start_rows(l, LLVMBuildZExt(l->b, load_run(l, run->wave), l->i64, ""));
	start_sgprs(l, run->from, true);
	write_back(l, NULL, NULL);
	run->head = head;
}

/* All waves at their start, but those before the first one. */
static void set_ready(struct lift *l, V first)
{
	V start[WG_MAX_WAVES], all = load32(l, FRAME(all));

	for (unsigned i = 0; i < WG_MAX_WAVES; i++)
		start[i] = LLVMConstInt(l->i16, entry_start(l), 0);
	LLVMSetAlignment(LLVMBuildStore(l->b, LLVMConstVector(start, WG_MAX_WAVES), field_ptr(l, l->frame, FRAME(at))), 2);
	if (first)
		all = LLVMBuildAnd(l->b, all, LLVMBuildShl(l->b, c32(l, UINT32_MAX), first, ""), "");
	store_field(l, l->frame, FRAME(ready), all);
}

/* Of the run's work-groups so many have begun, the last one of this id, and so many waves have ended. */
static void account(struct lift *l, V groups, V id, V waves)
{
	V fuel = LLVMBuildLoad2(l->b, l->i64, l->fuel, "");

	store_field(l, l->frame, FRAME(id), id);
	store_field(l, l->frame, FRAME(left), LLVMBuildSub(l->b, load32(l, FRAME(left)), groups, ""));
	fuel = LLVMBuildSub(l->b, fuel, LLVMBuildMul(l->b, LLVMBuildZExt(l->b, waves, l->i64, ""), c64(l, wave_weight(l)), ""), "");
	LLVMBuildStore(l->b, fuel, l->fuel);
}

void end_run(struct lift *l)
{
	struct run *run = &l->run;
	LLVMBasicBlockRef behind = new_block(l, ""), done = new_block(l, "");
	V wave = load_run(l, run->wave), group = load_run(l, run->group), all = c32(l, waves_of(l)), next, groups;

	run->on = false;
	next = LLVMBuildAdd(l->b, wave, c32(l, 1), "");
	LLVMBuildStore(l->b, next, run->wave);
	LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntULT, next, all, ""), run->head, behind);
	go_to(l, behind);
	next = LLVMBuildAdd(l->b, group, c32(l, 1), "");
	LLVMBuildStore(l->b, next, run->group);
	LLVMBuildStore(l->b, c32(l, 0), run->wave);
	LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntULT, next, run->behind, ""), run->head, done);
	go_to(l, done);
	groups = LLVMBuildSub(l->b, run->behind, run->first, "");
	account(l, groups, LLVMBuildSub(l->b, run->behind, c32(l, 1), ""), LLVMBuildMul(l->b, groups, all, ""));
	LLVMBuildBr(l->b, run->again);
	go_to(l, run->bail);
	wave = load_run(l, run->wave);
	group = load_run(l, run->group);
	groups = LLVMBuildSub(l->b, group, run->first, "");
	next = LLVMBuildAdd(l->b, LLVMBuildMul(l->b, groups, all, ""), wave, "");
	account(l, LLVMBuildAdd(l->b, groups, c32(l, 1), ""), group, next);
	LLVMBuildStore(l->b, LLVMBuildSelect(l->b, equal0(l, next), c32(l, RUN_PAUSE), c32(l, 0), ""), run->pauses);
	set_ready(l, wave);
	LLVMBuildBr(l->b, l->next_wave);
	LLVMPositionBuilderAtEnd(l->b, run->once);
	run->once = NULL;
	if (run->changed)
		say_stored(l);
	LLVMBuildBr(l->b, run->head);
	if (run->failed) {
		LLVMInstructionEraseFromParent(LLVMGetBasicBlockTerminator(run->entry));
		go_to(l, run->entry);
		LLVMBuildBr(l->b, run->skip);
	}
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
	V left = load32(l, FRAME(left)), x, y, z;

	l->run.again = LLVMGetInsertBlock(l->b);
	LLVMBuildCondBr(l->b, equal0(l, left), over, more);
	go_to(l, more);
	emit_between(l, over);
	emit_run_entry(l);
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
	set_ready(l, NULL);
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
