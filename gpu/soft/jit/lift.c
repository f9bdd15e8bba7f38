/* SPDX-License-Identifier: MIT */
/*
 * lift.c - makes LLVM IR of a kernel: scalar operations, program flow, and the ways in and out of compiled code. See lift.h.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/DebugInfo.h>

#include "gpu/soft/exec/hwreg.h"
#include "gpu/soft/jit/lift_mem.h"
#include "gpu/soft/jit/serial.h"

/* ------------------------------------------------------------------ out of compiled code, and one instruction by the interpreter */

/* Read by the interpreter's functions without being named. */
static const uint64_t implicit_sgprs[2] = {0, 3ull << (SGPR_FLAT_SCRATCH - 64) | 1ull << (SGPR_M0 - 64)};
static const uint64_t exec_sgprs = 3ull << (SGPR_EXEC - 64); /* written by operations that do not name it, so always stored */

void leave_function(struct lift *l)
{
	l->run.failed |= l->run.on;
	V left = LLVMBuildLoad2(l->b, l->i64, l->fuel, ""), limit = load_field(l, l->frame, offsetof(struct jit_frame, limit), l->i64);

	store_field(l, l->frame, offsetof(struct jit_frame, executed), LLVMBuildSub(l->b, limit, left, ""));
	fence_streams(l);
	LLVMBuildRetVoid(l->b);
}

/* An address of the kernel's code: it may lie elsewhere when the compiled code is used again. */
static V code_address(struct lift *l, uint64_t pc)
{
	V base = load_field(l, l->frame, offsetof(struct jit_frame, base), l->i64);

	return LLVMBuildAdd(l->b, base, c64(l, pc - l->code->entry_pc), "");
}

/* Live (NULL: all) of the registers that may have changed go to struct wave, where they are not there yet. */
static void store_state(struct lift *l, const struct jit_block *live, const struct bits256 *vdirty, const uint64_t sdirty[2])
{
	uint64_t s[2];

	for (unsigned r = 0; r < 256; r++)
		if (bit_get(vdirty, r) && !bit_get(&l->vstored, r) && (!live || bit_get(&live->vlive, r)))
			store_row(l, r);
	for (unsigned w = 0; w < 2; w++)
		s[w] = sdirty[w] & (live ? live->slive[w] : UINT64_MAX);
	s[1] |= exec_sgprs;
	store_sgprs(l, s);
	store_scc(l);
}

static void leave_at(struct lift *l, uint64_t pc)
{
	store_field(l, l->wave, offsetof(struct wave, pc), code_address(l, pc));
	leave_function(l);
}

/* Ends compiled code at pc. */
static void emit_exit(struct lift *l, uint64_t pc, const struct jit_block *live, const struct bits256 *vdirty, const uint64_t sdirty[2])
{
	store_state(l, live, vdirty, sdirty);
	leave_at(l, pc);
}

static bool is_memory(const struct isa_inst *in)
{
	return in->format >= ISA_FMT_FLAT || in->format == ISA_FMT_SMEM;
}

/* What may have changed by the end of this block. */
static void dirty_here(const struct jit_block *blk, struct bits256 *v, uint64_t s[2])
{
	for (unsigned w = 0; w < 4; w++)
		v->w[w] = blk->vdirty.w[w] | blk->vwrite.w[w];
	for (unsigned w = 0; w < 2; w++)
		s[w] = blk->sdirty[w] | blk->swrite[w];
}

static void live_before(const struct lift *l, const struct jit_inst *ji, struct jit_block *live);

void emit_leave_for_pages(struct lift *l, const struct jit_inst *ji, V ret)
{
	LLVMBasicBlockRef pages, go;
	struct bits256 vdirty;
	struct jit_block live;
	uint64_t sdirty[2];

	if (!l->code->paging)
		return;
	pages = new_block(l, "pages");
	go = new_block(l, "");
	LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntEQ, ret, c32(l, 2), ""), pages, go);
	go_to(l, pages);
	dirty_here(l->blk, &vdirty, sdirty);
	store_field(l, l->frame, offsetof(struct jit_frame, interp), c32(l, 1));
	live_before(l, ji, &live);
	emit_exit(l, ji->pc, &live, &vdirty, sdirty);
	go_to(l, go);
}

/*
 * The call of the interpreter for one instruction: what it reads goes to struct wave. Nothing the lifter knows is changed, so this may be a
 * side path; what the path reads must have been read before it branched off (touch_step).
 */
void emit_step_call(struct lift *l, const struct jit_inst *ji)
{
	LLVMTypeRef params[3] = {l->ptr, l->ptr, l->ptr};
	LLVMTypeRef type = LLVMFunctionType(l->i32, params, 3, 0);
	LLVMBasicBlockRef out, go;
	struct jit_regs r;
	uint64_t s[2];
	V args[3] = {l->ctx, l->wave, NULL}, index = c64(l, (uint64_t)(ji - l->code->inst) * sizeof(*ji)), fn, ret;

	struct bits256 vdirty;
	uint64_t sdirty[2];

	if (l->run.on) {
		leave_run(l);
		go_to(l, new_block(l, "")); /* where control does not come */
		return;
	}
	jit_inst_regs(&ji->ci.inst, l->reg.now.exec_full || ji->quiet, &r);
	for (unsigned i = 0; i < 256; i++)
		if ((bit_get(&r.vuse, i) || (bit_get(&r.vwrite, i) && !bit_get(&r.vkill, i))) && !bit_get(&l->vstored, i))
			store_row(l, i);
	dirty_here(l->blk, &vdirty, sdirty);
	for (unsigned w = 0; w < 2; w++)
		s[w] = (r.suse[w] | (r.swrite[w] & ~r.skill[w]) | implicit_sgprs[w]) & sdirty[w];
	s[1] |= exec_sgprs;
	store_sgprs(l, s);
	store_scc(l);
	out = new_block(l, "leave");
	go = new_block(l, "");
	fn = load_field(l, l->frame, offsetof(struct jit_frame, step), l->ptr);
	args[2] = load_field(l, l->frame, offsetof(struct jit_frame, inst), l->ptr);
	args[2] = LLVMBuildInBoundsGEP2(l->b, l->i8, args[2], &index, 1, "");
	ret = LLVMBuildCall2(l->b, type, fn, args, 3, "");
	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntNE, ret, c32(l, 0), ""), out, go), false);
	go_to(l, out);
	emit_mfma_later(l);
	emit_leave_for_pages(l, ji, ret);
	leave_function(l);
	go_to(l, go);
}

/* Registers live before an instruction of the block being lifted. */
static void live_before(const struct lift *l, const struct jit_inst *ji, struct jit_block *live)
{
	const struct jit_code *c = l->code;
	const struct jit_block *blk = l->blk;
	bool all = blk->term == TERM_INTERP || (blk->term == TERM_END && l->exact);
	uint32_t order[JIT_MAX_INSTS], n = 0;
	bool full[JIT_MAX_INSTS];
	struct jit_facts f = l->reg.now;

	/* From ji on. */
	for (const struct jit_inst *at = ji;; at = &c->inst[at->next]) {
		order[n] = (uint32_t)(at - c->inst);
		full[n++] = f.exec_full || at->quiet;
		jit_after(&f, &at->ci.inst);
		if (n == JIT_MAX_INSTS || at->next == NO_INST || c->inst[at->next].block != NO_BLOCK)
			break;
	}
	memset(live, 0, sizeof(*live));
	if (all) {
		memset(&live->vlive, 0xff, sizeof(live->vlive));
		memset(live->slive, 0xff, sizeof(live->slive));
	}
	for (unsigned s = 0; s < 2; s++)
		for (unsigned w = 0; blk->succ[s] != NO_BLOCK && w < 4; w++) {
			live->vlive.w[w] |= c->block[blk->succ[s]].vlive.w[w];
			if (w < 2)
				live->slive[w] |= c->block[blk->succ[s]].slive[w];
		}
	while (n--) {
		struct jit_regs r;

		jit_inst_regs(&c->inst[order[n]].ci.inst, full[n], &r);
		for (unsigned w = 0; w < 4; w++)
			live->vlive.w[w] = (live->vlive.w[w] & ~r.vkill.w[w]) | r.vuse.w[w];
		for (unsigned w = 0; w < 2; w++)
			live->slive[w] = (live->slive[w] & ~r.skill[w]) | r.suse[w];
	}
	live->slive[1] |= jit_always_live;
}

void mark_back(struct lift *l, const struct jit_inst *ji)
{
	l->back.ji = ji;
	l->back.valid = true;
	l->back.exit = NULL;
	l->back.then = l->reg;
}

/* Has an instruction that was lifted changed more than registers? Then nothing before it may be done again. */
static bool changes_more(const struct isa_inst *in)
{
	const char *name = isa_op_name(in->op);

	if (in->format == ISA_FMT_DS)
		return in->gds || strncmp(name, "ds_read", 7);
	return in->lds || !strstr(name, "_load_");
}

static void emit_back_exit(struct lift *l)
{
	struct registers now = l->reg;
	struct jit_block live;
	struct bits256 vdirty;
	uint64_t sdirty[2];

	emit_mfma_later(l);
	l->reg = l->back.then;
	dirty_here(l->blk, &vdirty, sdirty);
	store_field(l, l->frame, offsetof(struct jit_frame, interp), c32(l, JIT_UNFIT));
	live_before(l, l->back.ji, &live);
	emit_exit(l, l->back.ji->pc, &live, &vdirty, sdirty);
	l->reg = now;
}

void emit_deopt_unless(struct lift *l, V condition, const struct jit_inst *ji)
{
	LLVMBasicBlockRef go = new_block(l, "");
	bool made;

	if (l->run.on) {
		LLVMBasicBlockRef out = new_block(l, "");

		emit_weights(l, LLVMBuildCondBr(l->b, condition, go, out), true);
		go_to(l, out);
		leave_run(l);
		go_to(l, go);
		return;
	}
	if (!l->back.valid) {
		flush_queue(l);
		mark_back(l, ji);
	}
	made = !l->back.exit;
	if (made)
		l->back.exit = new_block(l, "deopt");
	emit_weights(l, LLVMBuildCondBr(l->b, condition, go, l->back.exit), true);
	if (made) {
		go_to(l, l->back.exit);
		emit_back_exit(l);
	}
	go_to(l, go);
}

/* Where struct wave alone has what the interpreter would go back to (mark_back), it is read before a side path puts other values there. */
static void keep_back(struct lift *l, const struct jit_regs *r)
{
	struct registers *then = &l->back.then;
	struct jit_block live;

	if (!l->back.valid)
		return;
	live_before(l, l->back.ji, &live);
	for (unsigned i = 0; i < 256; i++)
		if (bit_get(&r->vwrite, i) && bit_get(&live.vlive, i) && bit_get(&l->home, i))
			l->back.valid = false;
	for (unsigned i = 0; l->blk->fresh && i < 256; i++)
		for (unsigned s = 0; (bit_get(&r->vuse, i) || bit_get(&r->vwrite, i)) && bit_get(&live.vlive, i) && !then->lin[i].kind && s < l->strips; s++)
			if (!then->v[i][s]) {
				then->v[i][s] = load_wave_row(l, i, s);
				l->back.exit = NULL;
			}
}

void touch_step(struct lift *l, const struct jit_inst *ji)
{
	struct jit_regs r;

	jit_inst_regs(&ji->ci.inst, l->reg.now.exec_full || ji->quiet, &r);
	keep_back(l, &r);
	for (unsigned i = 0; i < 256; i++)
		if ((bit_get(&r.vuse, i) || (bit_get(&r.vwrite, i) && !bit_get(&r.vkill, i))) && !l->reg.lin[i].kind)
			for (unsigned s = 0; s < l->strips; s++)
				get_v(l, i, s);
}

void emit_step(struct lift *l, const struct jit_inst *ji)
{
	struct jit_facts then;
	struct jit_regs r;

	l->run.failed |= l->run.on;
	/* Memory operations read no registers but those they name; before_inst() has looked at those. */
	if (!is_memory(&ji->ci.inst) && ji->ci.inst.format != ISA_FMT_DS)
		flush_mfma(l);
	emit_step_call(l, ji);
	jit_inst_regs(&ji->ci.inst, l->reg.now.exec_full || ji->quiet, &r);
	for (unsigned i = 0; i < 256; i++)
		if (bit_get(&r.vuse, i) || bit_get(&r.vwrite, i)) {
			if (bit_get(&r.vwrite, i))
				load_row(l, i);
			bit_set(&l->vstored, i);
		}
	for (unsigned i = 0; i < WAVE_SGPRS; i++) {
		if (!(r.swrite[i >> 6] >> (i & 63) & 1))
			continue;
		/* Of a pair of which one half is written, struct wave may have an old other half. */
		if (wide_sgpr(l, i) && !(i & 1) && (r.swrite[i >> 6] >> ((i + 1) & 63) & 1)) {
			set_pair(l, i >> 1, load_field(l, l->wave, sgpr_offset(i), l->i64));
			i++;
		} else {
			set_s32(l, i, load_field(l, l->wave, sgpr_offset(i), l->i32));
		}
	}
	then = l->reg.now;
	jit_after(&then, &ji->ci.inst);
	if (!then.exec_full)
		set_pair(l, PAIR_EXEC, load_field(l, l->wave, sgpr_offset(SGPR_EXEC), l->i64));
	if (ji->ci.inst.writes_scc)
		set_scc(l, LLVMBuildZExt(l->b, load_field(l, l->wave, offsetof(struct wave, scc), l->i8), l->i32, ""));
}

/* ------------------------------------------------------------------ scalar operations */

/* Is a scalar register that this instruction touches still in the queue as the mask of a comparison? */
static bool touches_queue(struct lift *l, const struct isa_inst *in)
{
	struct jit_regs r;
	uint64_t any[2];

	if (!l->queued)
		return false;
	jit_inst_regs(in, true, &r);
	for (unsigned w = 0; w < 2; w++)
		any[w] = r.suse[w] | r.swrite[w];
	if (serial_makes_exec(in->op))
		any[1] |= 3ull << (SGPR_EXEC - 64);
	for (unsigned k = 0; k < 4; k++)
		if (in->src[k].kind == ISA_OPND_SPECIAL && in->src[k].index == SRC_VCCZ)
			any[1] |= 3ull << (SGPR_VCC - 64);
	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++)
		if (l->mask_def[p] && (any[p >> 5] >> (2 * p & 63) & 3))
			return true;
	return false;
}

static V salu_source(struct lift *l, const struct isa_operand *o)
{
	V x;

	if (o->kind == ISA_OPND_NONE)
		return c64(l, 0);
	x = scalar_operand(l, o, o->dwords == 2);
	return x && LLVMTypeOf(x) == l->i32 ? LLVMBuildZExt(l->b, x, l->i64, "") : x;
}

bool lift_salu(struct lift *l, const struct isa_inst *in)
{
	const char *text = isa_op_name(in->op);
	char name[64];
	V d = NULL, exec = NULL, scc = NULL, args[6], r;
	bool too = serial_makes_exec(in->op);
	size_t i;

	if (in->format != ISA_FMT_SOP1 && in->format != ISA_FMT_SOP2 && in->format != ISA_FMT_SOPC && in->format != ISA_FMT_SOPK)
		return false;
	for (i = 0; text[i] && i + 1 < sizeof(name); i++)
		name[i] = text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i];
	name[i] = 0;
	if (in->op == ISA_S_GETPC_B64 || in->dst[1].kind != ISA_OPND_NONE)
		return false;
	if (in->dst[0].kind == ISA_OPND_SGPR)
		d = lane_function(l, "salu_d_", name, "");
	if (too)
		exec = lane_function(l, "salu_exec_", name, "");
	if (in->writes_scc)
		scc = lane_function(l, "salu_scc_", name, "");
	if ((in->dst[0].kind == ISA_OPND_SGPR && !d) || (too && !exec) || (in->writes_scc && !scc) || (!d && !scc))
		return false;
	/* s_cmpk: the register may be the destination field's. */
	args[0] = salu_source(l, &in->src[0]);
	args[1] = salu_source(l, &in->src[1]);
	args[2] = salu_source(l, &in->dst[0]);
	if (!args[0] || !args[1] || !args[2])
		return false;
	args[3] = get_exec(l);
	args[4] = get_scc(l);
	args[5] = c32(l, (uint32_t)in->simm);
	r = d ? widen(l, d, args, 1) : NULL;
	exec = exec ? widen(l, exec, args, 1) : NULL;
	if (scc)
		set_scc(l, widen(l, scc, args, 1));
	if (r && in->dst[0].dwords == 2)
		set_s64(l, in->dst[0].index, r);
	else if (r)
		set_s32(l, in->dst[0].index, LLVMBuildTrunc(l->b, r, l->i32, ""));
	if (exec)
		set_pair(l, PAIR_EXEC, exec);
	return true;
}

/* ------------------------------------------------------------------ instructions and blocks */

static bool is_store(const struct isa_inst *in)
{
	return is_memory(in) && (strstr(isa_op_name(in->op), "store") || strstr(isa_op_name(in->op), "atomic"));
}

/* May a store be over when this s_waitcnt is? Loads that must be waited for often have stores behind them that need not be. */
static bool waits_for_store(const struct lift *l, const struct jit_inst *ji)
{
	const struct jit_code *c = l->code;
	unsigned under_way = jit_wait_vmcnt(&ji->ci.inst);
	bool before = l->blk->in.stored;
	uint32_t i = l->blk->first;

	if (!under_way)
		return true;
	for (uint32_t k = 0; k < c->num_inst; k++)
		if (c->inst[k].ci.inst.format == ISA_FMT_SMEM && is_store(&c->inst[k].ci.inst))
			return true; /* they have a counter of their own, without order */
	if (under_way == 63)
		return false;
	/* Is there one that has as many accesses behind it? */
	for (; &c->inst[i] != ji; i = c->inst[i].next) {
		unsigned behind = 0;

		if (!is_store(&c->inst[i].ci.inst))
			continue;
		for (uint32_t k = c->inst[i].next; &c->inst[k] != ji; k = c->inst[k].next)
			behind += c->inst[k].ci.inst.format >= ISA_FMT_FLAT;
		if (behind >= under_way)
			return true;
	}
	return before;
}

void say_line(struct lift *l, const struct jit_inst *ji)
{
	if (l->lines)
		LLVMSetCurrentDebugLocation2(l->b, LLVMDIBuilderCreateDebugLocation(l->c, ji ? (unsigned)(ji->pc - l->code->entry_pc) / 4 : 0, 0, l->lines, NULL));
}

/* Will a load's registers be read behind the barrier that the block ends with, as they are now? */
static bool goes_early(const struct lift *l, const struct jit_inst *ji, unsigned r, unsigned n)
{
	if (l->blk->term != TERM_BARRIER || r + n > 256)
		return false;
	for (unsigned k = 0; k < n; k++)
		if (!bit_get(&l->code->block[l->blk->succ[0]].vlive, r + k))
			return false;
	return stays(l, ji, r, n);
}

/* Such registers go to struct wave at once: there are too many to be kept until all waves go there. */
static void store_early(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	unsigned n = in->dst[0].dwords ? in->dst[0].dwords : 1;
	bool queued = false;

	if (changes_more(in) || in->dst[0].kind != ISA_OPND_VGPR || !goes_early(l, ji, in->dst[0].index, n))
		return;
	for (int i = l->queued - 1; i >= 0 && l->queue[i].ji == ji; i--) {
		struct vop *q = &l->queue[i];

		q->early = q->lds ? q->lds_row : in->dst[0].index;
		q->num_early = q->lds ? q->lds_dwords : n;
		queued = true;
	}
	for (unsigned k = 0; !queued && k < n; k++)
		store_row_once(l, in->dst[0].index + k);
}

static void lift_inst(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;

	say_line(l, ji);
	/* A run has the same places, so that what is found for other waves is there. */
	if (l->run.on)
		l->places = l->run.places[ji - l->code->inst];
	else if (l->run.places)
		l->run.places[ji - l->code->inst] = l->places;
	if (!l->queued && in->format > ISA_FMT_SMEM)
		mark_back(l, ji);
	if (lift_linear(l, ji))
		return;
	switch (in->op) {
	case ISA_S_NOP:
	case ISA_S_WAKEUP:
	case ISA_S_TTRACEDATA:
	case ISA_S_INCPERFLEVEL:
	case ISA_S_DECPERFLEVEL:
	case ISA_S_DCACHE_INV:
	case ISA_S_DCACHE_WB:
	case ISA_S_BARRIER: /* of a group of one wave */
	case ISA_V_NOP:
		return;
	case ISA_S_SETPRIO: { /* nothing but STATUS.USER_PRIO */
		V status = load_field(l, l->wave, offsetof(struct wave, status), l->i32);

		status = LLVMBuildAnd(l->b, status, c32(l, ~STATUS_USER_PRIO), "");
		status = LLVMBuildOr(l->b, status, c32(l, ((uint32_t)in->simm & 3) << 3), "");
		store_field(l, l->wave, offsetof(struct wave, status), status);
		return;
	}
	case ISA_S_WAITCNT: {
		LLVMBasicBlockRef fence, go;
		V stored;

		if (!l->reg.now.stored || !waits_for_store(l, ji))
			return;
		/* Of a run it is known that it has stored, and what the context says is said once for all its waves. */
		if (l->run.on) {
			LLVMBuildFence(l->b, LLVMAtomicOrderingSequentiallyConsistent, 0, "");
			fence_streams(l);
			return;
		}
		fence = new_block(l, "");
		go = new_block(l, "");
		stored = load_field(l, l->ctx, offsetof(struct exec_ctx, stored), l->i8);
		emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntNE, stored, LLVMConstInt(l->i8, 0, 0), ""), fence, go),
			     false);
		go_to(l, fence);
		LLVMBuildFence(l->b, LLVMAtomicOrderingSequentiallyConsistent, 0, "");
		fence_streams(l);
		store_field(l, l->ctx, offsetof(struct exec_ctx, stored), LLVMConstInt(l->i8, 0, 0));
		LLVMBuildBr(l->b, go);
		go_to(l, go);
		return;
	}
	case ISA_S_GETPC_B64:
		if (touches_queue(l, in))
			flush_queue(l);
		set_s64(l, in->dst[0].index, code_address(l, ji->pc + ji->ci.size));
		return;
	default:
		break;
	}
	if (in->format <= ISA_FMT_SMEM && touches_queue(l, in))
		flush_queue(l);
	if (in->format <= ISA_FMT_SOPK && lift_salu(l, in))
		return;
	if (lift_mfma(l, ji)) {
		l->back.valid = false;
		return;
	}
	before_inst(l, in);
	if (lift_valu(l, ji))
		return;
	if (!reads_lds(in))
		l->num_windows = 0;
	if (lift_mem(l, ji)) {
		l->back.valid &= l->lds_stores || !changes_more(in);
		store_early(l, ji);
		return;
	}
	emit_step(l, ji);
	lin_after_step(l, ji);
	l->back.valid = false;
}

static V condition(struct lift *l, unsigned op)
{
	switch (op) {
	case ISA_S_CBRANCH_SCC0:
		return LLVMBuildICmp(l->b, LLVMIntEQ, get_scc(l), c32(l, 0), "");
	case ISA_S_CBRANCH_SCC1:
		return LLVMBuildICmp(l->b, LLVMIntNE, get_scc(l), c32(l, 0), "");
	case ISA_S_CBRANCH_VCCZ:
		return LLVMBuildICmp(l->b, LLVMIntEQ, get_pair(l, PAIR_VCC), c64(l, 0), "");
	case ISA_S_CBRANCH_VCCNZ:
		return LLVMBuildICmp(l->b, LLVMIntNE, get_pair(l, PAIR_VCC), c64(l, 0), "");
	case ISA_S_CBRANCH_EXECZ:
		return LLVMBuildICmp(l->b, LLVMIntEQ, get_exec(l), c64(l, 0), "");
	default:
		return LLVMBuildICmp(l->b, LLVMIntNE, get_exec(l), c64(l, 0), "");
	}
}

/* Facts may have become unknown to a block in ways the block before does not show: EXEC is written back for it. */
static void settle_exec(struct lift *l)
{
	if (l->reg.now.exec_full && !(l->pdirty >> PAIR_EXEC & 1)) {
		l->reg.p[PAIR_EXEC] = c64(l, UINT64_MAX);
		l->pdirty |= 1ull << PAIR_EXEC;
	}
}

/* fuel: instructions to the next quiescent point. */
void fill_up(struct lift *l)
{
	V limit = load_field(l, l->frame, offsetof(struct jit_frame, limit), l->i64);
	V executed = load_field(l, l->frame, offsetof(struct jit_frame, executed), l->i64);

	LLVMBuildStore(l->b, LLVMBuildSub(l->b, limit, executed, ""), l->fuel);
}

/* Calls the frame's function at offset how, which says whether control goes on at out or, with new fuel, at go. fuel: what is left. */
void go_and_pause(struct lift *l, size_t how, V fuel, LLVMBasicBlockRef out, LLVMBasicBlockRef go)
{
	LLVMTypeRef params[2] = {l->ptr, l->ptr};
	V args[2] = {l->ctx, l->frame}, limit = load_field(l, l->frame, offsetof(struct jit_frame, limit), l->i64), fn, ret;

	store_field(l, l->frame, offsetof(struct jit_frame, executed), LLVMBuildSub(l->b, limit, fuel, ""));
	fn = load_field(l, l->frame, how, l->ptr);
	ret = LLVMBuildCall2(l->b, LLVMFunctionType(l->i32, params, 2, 0), fn, args, 2, "");
	fill_up(l);
	forget_rests(l);
	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntNE, ret, c32(l, 0), ""), out, go), false);
}

/*
 * At a loop header: every few thousand instructions a quiescent point, where the slice may end. The block's (loop's) instructions are counted by the
 * same subtraction.
 */
static void emit_poll(struct lift *l, const struct jit_block *blk)
{
	LLVMBasicBlockRef slow = new_block(l, "pause"), out = new_block(l, "out"), on = new_block(l, ""), go = new_block(l, "");
	V x = LLVMBuildLoad2(l->b, l->i64, l->fuel, ""), weight = c64(l, blk->weight ? blk->weight : 1), y = LLVMBuildSub(l->b, x, weight, "");

	LLVMBuildStore(l->b, y, l->fuel);
	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntSLT, y, c64(l, 0), ""), slow, go), false);
	go_to(l, slow);
	go_and_pause(l, offsetof(struct jit_frame, pause), x, out, on);
	go_to(l, on);
	LLVMBuildStore(l->b, LLVMBuildSub(l->b, LLVMBuildLoad2(l->b, l->i64, l->fuel, ""), weight, ""), l->fuel);
	LLVMBuildBr(l->b, go);
	go_to(l, out);
	emit_exit(l, blk->pc, blk, &blk->vdirty, blk->sdirty);
	go_to(l, go);
}

/* The same count elsewhere. */
static void burn(struct lift *l, uint32_t n)
{
	V x = LLVMBuildLoad2(l->b, l->i64, l->fuel, "");

	LLVMBuildStore(l->b, LLVMBuildSub(l->b, x, c64(l, n), ""), l->fuel);
}

/* Changed registers that are live in a loop with barriers, on the way into it. */
static void sync_rows(struct lift *l, const struct jit_block *to, const struct bits256 *vdirty)
{
	if (!jit_sync_edge(l->blk, to))
		return;
	for (unsigned r = 0; r < 256; r++)
		if (bit_get(vdirty, r) && bit_get(&to->vlive, r))
			store_row(l, r);
}

/* The loop's other form, if it has one; fences that it waits for at its begin. */
static void serial_form(struct lift *l, const struct jit_block *blk)
{
	struct serial s;

	if (!serial_find(l, blk, &s))
		return;
	for (uint32_t k = 0, i = blk->first; k < blk->count; k++, i = l->code->inst[i].next)
		if (l->code->inst[i].ci.inst.op == ISA_S_WAITCNT)
			lift_inst(l, &l->code->inst[i]);
	lift_serial(l, &s);
}

static bool has_serial(struct lift *l)
{
	struct serial s;

	for (uint32_t b = 0; b < l->code->num_blocks; b++)
		if (l->code->block[b].in.known && serial_find(l, &l->code->block[b], &s))
			return true;
	return false;
}

static void lift_block(struct lift *l, struct jit_block *blk)
{
	struct jit_code *c = l->code;
	uint32_t i = blk->first;
	const struct jit_inst *last = NULL;
	struct bits256 vdirty;
	uint64_t sdirty[2];
	bool waits;
	V cond;

	l->blk = blk;
	l->reg.now = blk->in;
	l->back.valid = false;
	enter_block(l, l->bb[blk - c->block]);
	forget(l);
	lin_enter(l, blk);
	begin_mfma(l);
	for (unsigned w = 0; w < 4; w++)
		l->vstored.w[w] = blk->fresh ? UINT64_MAX : ~blk->vdirty.w[w];
	if (blk->back) {
		emit_poll(l, blk);
		serial_form(l, blk);
		forget(l);
		lin_enter(l, blk);
	} else if (blk->weight) {
		burn(l, blk->weight);
	}
	fetch_rests(l);
	for (uint32_t k = 0; k < blk->count; k++, i = c->inst[i].next) {
		last = &c->inst[i];
		if (k + 1 == blk->count && blk->term != TERM_FALL)
			break;
		lift_inst(l, last);
		memcpy(l->at, l->next, sizeof(l->at));
		/* Facts behind it (cfg.c keeps how). */
		jit_after(&l->reg.now, &last->ci.inst);
	}
	flush_queue_to(l, blk->term == TERM_BARRIER ? &c->block[blk->succ[0]] : NULL);
	dirty_here(blk, &vdirty, sdirty);
	/* Before calls that need all of the host's registers. */
	for (unsigned r = 0; blk->term == TERM_BARRIER && r < 256; r++)
		if (bit_get(&vdirty, r) && bit_get(&c->block[blk->succ[0]].vlive, r))
			store_row_once(l, r);
	waits = mfma_waits(l);
	if (!waits)
		flush_mfma(l);
	switch (blk->term) {
	case TERM_FALL:
	case TERM_BRANCH:
		sync_rows(l, &c->block[blk->succ[0]], &vdirty);
		settle_exec(l);
		write_back(l, &c->block[blk->succ[0]], NULL);
		LLVMBuildBr(l->b, l->bb[blk->succ[0]]);
		break;
	case TERM_COND:
		cond = condition(l, last->ci.inst.op);
		sync_rows(l, &c->block[blk->succ[0]], &vdirty);
		sync_rows(l, &c->block[blk->succ[1]], &vdirty);
		settle_exec(l);
		write_back(l, &c->block[blk->succ[0]], &c->block[blk->succ[1]]);
		LLVMBuildCondBr(l->b, cond, l->bb[blk->succ[0]], l->bb[blk->succ[1]]);
		break;
	case TERM_END:
		/* Nobody reads the registers any more; but tests do. */
		if (l->exact) {
			store_state(l, NULL, &vdirty, sdirty);
			store_field(l, l->wave, offsetof(struct wave, pc), code_address(l, last->pc + last->ci.size));
		}
		LLVMBuildBr(l->b, l->ended);
		break;
	case TERM_BARRIER:
		store_state(l, &c->block[blk->succ[0]], &vdirty, sdirty);
		emit_barrier(l, &c->block[blk->succ[0]], waits);
		flush_mfma(l);
		store_field(l, l->wave, offsetof(struct wave, state), c32(l, WAVE_BARRIER));
		leave_at(l, last->pc + last->ci.size);
		break;
	case TERM_SLEEP:
		store_field(l, l->wave, offsetof(struct wave, sleep), c32(l, 1));
		store_field(l, l->ctx, offsetof(struct exec_ctx, leave), LLVMConstInt(l->i8, 1, 0));
		emit_exit(l, last->pc + last->ci.size, &c->block[blk->succ[0]], &vdirty, sdirty);
		break;
	case TERM_INTERP:
		store_field(l, l->frame, offsetof(struct jit_frame, interp), c32(l, 1));
		emit_exit(l, last->pc, NULL, &vdirty, sdirty);
		break;
	}
}

/* What a scalar load before a run has loaded: by pairs where registers are. */
struct ahead {
	bool done;
	V value[16];
};

static void take_loaded(struct lift *l, const struct isa_operand *dst, struct ahead *a)
{
	a->done = true;
	for (unsigned i = 0; i < dst->dwords; i++)
		a->value[i] = wide_sgpr(l, dst->index + i) ? get_pair(l, (dst->index + i) >> 1) : get_s32(l, dst->index + i);
}

static void set_loaded_before(struct lift *l, const struct isa_operand *dst, const struct ahead *a)
{
	for (unsigned i = 0; i < dst->dwords; i++)
		if (wide_sgpr(l, dst->index + i))
			set_pair(l, (dst->index + i) >> 1, a->value[i]);
		else
			set_s32(l, dst->index + i, a->value[i]);
}

/* Instructions of a block without the one that says where it goes. */
static uint32_t body(const struct jit_block *blk)
{
	return blk->count - (blk->term != TERM_FALL);
}

/* Scalar loads of what is the same for all waves are done before a run: caches of constants are not told of stores, so a wave may find there what was before. */
static void load_ahead(struct lift *l, struct ahead *ahead)
{
	const struct jit_code *c = l->code;
	uint64_t vary[2] = {0, 0};

	for (unsigned d = 0; d < 3; d++)
		if (c->id_sgpr[d] < WAVE_SGPRS)
			vary[c->id_sgpr[d] >> 6] |= 1ull << (c->id_sgpr[d] & 63);
	for (unsigned n = 0; n < l->run.blocks; n++) {
		struct jit_block *blk = &c->block[l->run.path[n]];
		uint32_t i = blk->first;

		l->blk = blk;
		for (uint32_t k = 0; k < body(blk); k++, i = c->inst[i].next) {
			const struct isa_inst *in = &c->inst[i].ci.inst;
			struct jit_regs r;
			bool once;

			if (in->format == ISA_FMT_SMEM && strncmp(isa_op_name(in->op), "s_load_", 7))
				return;
			jit_inst_regs(in, true, &r);
			once = in->format == ISA_FMT_SMEM && in->dst[0].dwords <= 16 && !((r.suse[0] & vary[0]) | (r.suse[1] & vary[1]));
			if (once) {
				lift_inst(l, &c->inst[i]);
				take_loaded(l, &in->dst[0], &ahead[i]);
			}
			for (unsigned w = 0; w < 2; w++)
				vary[w] = once ? vary[w] & ~r.swrite[w] : vary[w] | r.swrite[w];
		}
	}
}

/* Keeps what of the registers follows from memory: run.loaded, run.loaded_pairs. */
static void follow_loaded(struct lift *l, const struct isa_inst *in)
{
	bool loaded = in->format >= ISA_FMT_DS, to_exec = serial_makes_exec(in->op);
	uint64_t *pairs = &l->run.loaded_pairs, exec = *pairs >> PAIR_EXEC & 1;
	struct jit_regs r;

	jit_inst_regs(in, false, &r);
	for (unsigned w = 0; w < 4; w++)
		loaded |= r.vuse.w[w] & l->run.loaded.w[w];
	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++)
		loaded |= (*pairs >> p & 1) && (r.suse[p >> 5] >> (2 * p & 63) & 3);
	for (unsigned w = 0; w < 4; w++)
		l->run.loaded.w[w] = loaded ? l->run.loaded.w[w] | r.vwrite.w[w] : l->run.loaded.w[w] & ~r.vwrite.w[w];
	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++)
		if ((r.swrite[p >> 5] >> (2 * p & 63) & 3) || (to_exec && p == PAIR_EXEC))
			*pairs = loaded || (to_exec && p == PAIR_EXEC && exec) ? *pairs | 1ull << p : *pairs & ~(1ull << p);
}

/*
 * Lanes have become inactive, behind the instruction. If that follows from their numbers most waves have all, which are inside of the data: others are not for the run.
 * If it depends on what is in memory most waves have lanes of either kind.
 */
static void expect_all_lanes(struct lift *l, const struct jit_inst *ji)
{
	const uint64_t bit = 1ull << PAIR_EXEC;
	V exec;

	if (l->reg.now.exec_full)
		l->run.loaded_pairs &= ~bit;
	if (l->reg.now.exec_full || (l->run.loaded_pairs & bit))
		return;
	flush_queue(l);
	exec = get_exec(l);
	/* The other way of a condition: none are left where all went the first one. */
	l->run.failed |= exec == c64(l, 0);
	emit_deopt_unless(l, LLVMBuildICmp(l->b, LLVMIntEQ, exec, c64(l, UINT64_MAX), ""), ji);
	set_pair(l, PAIR_EXEC, c64(l, UINT64_MAX));
	jit_all_lanes(&l->reg.now);
}

static void lift_run_block(struct lift *l, struct jit_block *blk, const struct ahead *ahead)
{
	const struct jit_code *c = l->code;
	uint32_t i = blk->first;

	l->blk = blk;
	l->back.valid = false;
	for (uint32_t k = 0; k < body(blk); k++, i = c->inst[i].next) {
		const struct jit_inst *ji = &c->inst[i];

		follow_loaded(l, &ji->ci.inst);
		if (ahead[i].done) {
			if (touches_queue(l, &ji->ci.inst))
				flush_queue(l);
			set_loaded_before(l, &ji->ci.inst.dst[0], &ahead[i]);
		} else {
			lift_inst(l, ji);
			memcpy(l->at, l->next, sizeof(l->at));
		}
		l->run.changed |= ji->ci.inst.format >= ISA_FMT_DS && changes_more(&ji->ci.inst);
		jit_after(&l->reg.now, &ji->ci.inst);
		expect_all_lanes(l, ji);
	}
	flush_queue(l);
	if (blk->term == TERM_COND) {
		V goes = condition(l, c->inst[i].ci.inst.op);

		emit_deopt_unless(l, run_way(c, blk) ? LLVMBuildNot(l->b, goes, "") : goes, &c->inst[i]);
	}
}

/* The kernel once more, as a run. */
static void lift_run(struct lift *l)
{
	struct jit_code *c = l->code;
	struct ahead *ahead = l->run.entry ? calloc(c->num_inst, sizeof(*ahead)) : NULL;

	if (!ahead)
		return;
	begin_run(l);
	l->reg.now = c->block[0].in;
	l->steady = 0;
	load_ahead(l, ahead);
	begin_run_wave(l);
	l->blk = &c->block[0];
	forget(l);
	lin_enter(l, l->blk);
	memset(&l->vstored, 0, sizeof(l->vstored));
	for (unsigned n = 0; n < l->run.blocks; n++)
		lift_run_block(l, &c->block[l->run.path[n]], ahead);
	end_run(l);
	free(ahead);
}

/* The way into a safe block: what it needs from struct wave. sure: a wave that compiled code left there. */
static LLVMBasicBlockRef emit_entry(struct lift *l, const struct jit_block *blk, bool sure)
{
	LLVMBasicBlockRef bb = new_block(l, "entry");
	V exec = NULL, holds = NULL;

	enter_block(l, bb);
	forget(l);
	l->blk = NULL;
	if (!blk->in.exec_full)
		exec = load_field(l, l->wave, sgpr_offset(SGPR_EXEC), l->i64);
	for (unsigned r = 0; r < 256; r++) {
		bool live = bit_get(&blk->vlive, r), pair = live || (r < 255 && bit_get(&blk->vlive, r + 1));

		if (!(pair && lin_entry(l, blk, r, exec, &holds)) && live && bit_get(&l->code->vused, r) && !blk->fresh)
			load_row(l, r);
	}
	if (holds && !sure) {
		/* Registers do not have the shape that the code takes for granted. */
		LLVMBasicBlockRef out = new_block(l, "unfit"), go = new_block(l, "");

		emit_weights(l, LLVMBuildCondBr(l->b, holds, go, out), true);
		go_to(l, out);
		store_field(l, l->frame, offsetof(struct jit_frame, interp), c32(l, JIT_UNFIT));
		leave_at(l, blk->pc);
		go_to(l, go);
	}
	for (unsigned r = 0; r < WAVE_SGPRS; r++) {
		if (!(blk->slive[r >> 6] >> (r & 63) & 1))
			continue;
		if (wide_sgpr(l, r)) {
			set_pair(l, r >> 1, load_field(l, l->wave, sgpr_offset(r & ~1u), l->i64));
			r |= 1;
		} else {
			set_s32(l, r, load_field(l, l->wave, sgpr_offset(r), l->i32));
		}
	}
	set_scc(l, LLVMBuildZExt(l->b, load_field(l, l->wave, offsetof(struct wave, scc), l->i8), l->i32, ""));
	write_back(l, NULL, NULL);
	LLVMBuildStore(l->b, sure ? load_field(l, later_ptr(l), 0, l->ptr) : LLVMConstNull(l->ptr), l->later_of);
	LLVMBuildBr(l->b, l->bb[blk - l->code->block]);
	return bb;
}

static bool is_safe(const struct jit_block *blk)
{
	return blk->safe && blk->in.known;
}

/* Behind a barrier: where a wave may stand when others have their turns. */
static bool behind_barrier(const struct jit_code *c, const struct jit_block *blk)
{
	for (uint32_t b = 0; b < c->num_blocks; b++)
		if (c->block[b].term == TERM_BARRIER && &c->block[c->block[b].succ[0]] == blk)
			return true;
	return false;
}

/* The function's begin: what is the same for all waves, and the ways in. */
static bool emit_start(struct lift *l)
{
	struct jit_code *c = l->code;
	LLVMBasicBlockRef nowhere = new_block(l, "nowhere"), *entry = calloc(2 * (size_t)l->num_safe + 1, sizeof(*entry));
	V sw;

	if (!entry)
		return false;
	fill_up(l);
	l->wave = LLVMGetParam(l->fn, 2);
	LLVMBuildStore(l->b, l->wave, l->wavea);
	LLVMBuildStore(l->b, load_field(l, l->wave, offsetof(struct wave, vgpr), l->ptr), l->vgpra);
	LLVMBuildStore(l->b, load_field(l, l->wave, offsetof(struct wave, agpr), l->ptr), l->agpra);
	l->view = load_field(l, l->ctx, offsetof(struct exec_ctx, view), l->ptr);
	l->group = load_field(l, l->wave, offsetof(struct wave, wg), l->ptr);
	l->lds = load_field(l, l->group, offsetof(struct workgroup, lds), l->ptr);
	l->bound = load_field(l, l->group, offsetof(struct workgroup, lds_size), l->i32);
	sw = LLVMBuildSwitch(l->b, LLVMGetParam(l->fn, 3), nowhere, 8);
	for (uint32_t b = 0; b < c->num_blocks; b++) {
		unsigned n = l->safe[b];

		if (!is_safe(&c->block[b]))
			continue;
		entry[n] = entry[l->num_safe + n] = emit_entry(l, &c->block[b], false);
		LLVMAddCase(sw, c32(l, n), entry[n]);
		if (l->groups && behind_barrier(c, &c->block[b]))
			entry[l->num_safe + n] = emit_entry(l, &c->block[b], true);
	}
	if (l->groups)
		LLVMAddCase(sw, c32(l, 2 * l->num_safe + 1), l->next_wave);
	go_to(l, nowhere);
	LLVMBuildUnreachable(l->b);
	emit_groups(l, entry);
	free(entry);
	return true;
}

bool lift_code(struct lift *l)
{
	struct jit_code *c = l->code;
	LLVMTypeRef params[4] = {l->ptr, l->ptr, l->ptr, l->i32};
	LLVMBasicBlockRef vars, start;
	bool ok;

	l->fn = LLVMAddFunction(l->m, "unit", LLVMFunctionType(LLVMVoidTypeInContext(l->c), params, 4, 0));
	l->frame = LLVMGetParam(l->fn, 0);
	l->ctx = LLVMGetParam(l->fn, 1);
	find_home(l);
	l->streams = may_stream(c);
	l->has_serial = has_serial(l);
	vars = new_block(l, "vars");
	start = new_block(l, "start");
	LLVMPositionBuilderAtEnd(l->at_entry, vars);
	l->scca = LLVMBuildAlloca(l->at_entry, l->i32, "");
	l->fuel = LLVMBuildAlloca(l->at_entry, l->i64, "");
	l->wavea = LLVMBuildAlloca(l->at_entry, l->ptr, "");
	l->vgpra = LLVMBuildAlloca(l->at_entry, l->ptr, "");
	l->agpra = LLVMBuildAlloca(l->at_entry, l->ptr, "");
	l->later_of = LLVMBuildAlloca(l->at_entry, l->ptr, "");
	l->bb = calloc(c->num_blocks, sizeof(*l->bb));
	l->safe = calloc(c->num_blocks, sizeof(*l->safe));
	ok = l->bb && l->safe;
	for (uint32_t b = 0; ok && b < c->num_blocks; b++) {
		l->bb[b] = new_block(l, "b");
		if (is_safe(&c->block[b]))
			l->safe[b] = l->num_safe++;
	}
	if (ok) {
		find_groups(l);
		go_to(l, start);
		ok = emit_start(l);
	}
	for (uint32_t b = 0; ok && b < c->num_blocks; b++) {
		if (c->block[b].in.known) {
			lift_block(l, &c->block[b]);
		} else {
			go_to(l, l->bb[b]);
			LLVMBuildUnreachable(l->b);
		}
	}
	if (ok)
		lift_run(l);
	if (ok)
		LLVMBuildBr(l->at_entry, start);
	say_moved(l);
	free(l->run.places);
	free(l->bb);
	free(l->safe);
	return ok && !l->failed;
}
