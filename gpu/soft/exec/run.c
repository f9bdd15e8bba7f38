/* SPDX-License-Identifier: MIT */
/*
 * run.c - runs the waves of a work-group.
 *
 * Theory of operation
 * Each operation is a function in one of the rows tables; they are merged once into one table by
 * operation. Decoded records carry the function. run_wave goes through a run of records (code.h)
 * with one indirect call an instruction, and looks around only where the program may branch or a
 * run ends: there it checks the time slice and the stop flag when it went backwards, and passes a
 * quiescent point every QUIESCE_INTERVAL instructions, where it checks them, too. Costly instructions
 * count as many (code_inst's weight).
 *
 * run_group turns the waves round-robin, SLICE instructions each, so that waves which spin on each
 * other progress. A wave at a barrier waits until every wave that has not ended is there.
 *
 * A wave whose instruction needs pageable memory that is not there (EXEC_PAGES, mem.h) stays at it, and leaves; it is READY, and tried again
 * in each turn of the group. When no wave of the group can do anything else, the group is suspended (waits_pages).
 *
 * exec_run_range runs work-groups that follow each other. What they have in common is looked up
 * once, and where compiled code takes waves to their end, registers and LDS are left to the next one
 * as they are: on hardware, too, a work-group finds there what one of the same process left.
 */
#define LOG_PART "exec"
#include <pthread.h>

#include "base/log.h"
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/hwreg.h"
#include "gpu/soft/jit/jit.h"

#define SLICE		 16384
#define QUIESCE_INTERVAL 512
#define GROUPS_INTERVAL	 2048 /* the same between work-groups of compiled code */

static exec_fn *exec_table[ISA_NUM_OPS];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	static const struct exec_row *const all[] = {
		exec_rows_salu,
		exec_rows_smem,
		exec_rows_flow,
		exec_rows_trap,
		exec_rows_gws,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const struct exec_row *r = all[i]; r->op != ISA_OP_INVALID; r++)
			exec_table[r->op] = r->fn;
	for (const struct exec_row *const *v = exec_valu_rows(); *v; v++)
		for (const struct exec_row *r = *v; r->op != ISA_OP_INVALID; r++)
			exec_table[r->op] = r->fn;
}

exec_fn *exec_lookup(enum isa_target target, unsigned op)
{
	pthread_once(&table_once, make_table);
	return op < ISA_NUM_OPS ? exec_table[op] : NULL;
}

void exec_prepare(int store)
{
	jit_prepare(store);
}

uint64_t exec_compile_ns(void)
{
	return jit_compile_ns();
}

bool exec_covers(enum isa_target target, unsigned op)
{
	return exec_lookup(target, op) != NULL;
}

void exec_illegal(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	char text[128] = "not an instruction";

	if (inst->op != ISA_OP_INVALID)
		isa_print(text, sizeof(text), inst, ctx->pc);
	log_error("cannot execute at 0x%llx: %s", (unsigned long long)ctx->pc, text);
	if (ctx->error != EXEC_DONE)
		return;
	w->wg->fault = (struct exec_fault){.pc = ctx->pc};
	ctx->error = EXEC_ILLEGAL;
}

/* The wave uses registers it does not have; or it skips vector instructions (exec_set_mode()). */
static void bad_registers(struct exec_ctx *ctx, struct wave *w, const struct code_inst *ci)
{
	if (w->mode & MODE_VSKIP)
		return;
	log_error("register out of range (wave has %u VGPRs, %u AGPRs)", w->num_vgprs,
		  w->num_agprs);
	exec_illegal(ctx, w, &ci->inst);
}

/*
 * Runs one wave until it leaves (barrier, sleep, end), an error, or budget instructions at a branch
 * backwards or a quiescent point. Returns how many it ran, costly ones counted as many.
 */
static uint64_t run_wave(struct exec_ctx *ctx, struct wave *w, uint64_t budget,
			 const atomic_uint *stop)
{
	struct code_cache *cache = w->wg->code;
	struct code_page *page = NULL;
	uint64_t page_va = 1, count = 0, cost = 0, next_quiesce = QUIESCE_INTERVAL;

	ctx->wave = w;
	ctx->leave = false;
	while (!ctx->leave) {
		const struct code_inst *ci;
		uint64_t pc = w->pc, before;

		ctx->pc = pc;
		if ((pc & ~MEM_PAGE_MASK) != page_va) {
			if (pc & 3) {
				log_error("program counter 0x%llx is not aligned",
					  (unsigned long long)pc);
				w->wg->fault = (struct exec_fault){.pc = pc};
				ctx->error = EXEC_ILLEGAL;
				break;
			}
			page = code_page_get(ctx, cache, pc);
			if (!page)
				break;
			page_va = pc & ~MEM_PAGE_MASK;
		}
		ci = code_inst_get(ctx, cache, page, pc);
		if (!ci)
			break;
		for (;; ci++) {
			ctx->pc = pc;
			pc += ci->size;
			w->pc = pc;
			count++;
			if (__builtin_expect(ci->vgprs > w->num_vgprs || ci->agprs > w->num_agprs,
					     0))
				bad_registers(ctx, w, ci);
			else
				ci->fn(ctx, w, &ci->inst);
			if (__builtin_expect(ctx->error != EXEC_DONE || ctx->leave, 0))
				goto out;
			if (ci->ends_run) {
				cost += ci->weight;
				if (ci->last || w->pc != pc || ctx->recheck_code ||
				    count + cost >= next_quiesce)
					break;
			}
		}
		before = ctx->pc;
		if (ctx->recheck_code) {
			ctx->recheck_code = false;
			page_va = 1;
		}
		if (count + cost >= next_quiesce) {
			next_quiesce = count + cost + QUIESCE_INTERVAL;
			if (ctx->view->quiesce)
				ctx->view->quiesce(ctx->view);
			page_va = 1; /* permission may have gone */
			/* Code without loops has no other end than its own. */
			if (count + cost >= budget || atomic_load_explicit(stop, memory_order_relaxed))
				break;
		}
		if (w->pc <= before &&
		    (count + cost >= budget || atomic_load_explicit(stop, memory_order_relaxed)))
			break;
	}
out:
	if (ctx->error == EXEC_PAGES)
		w->pc = ctx->pc;
	w->instructions += count;
	w->wg->interpreted += count;
	return count + cost;
}

/* Looks up the compiled code of the work-group, which is at its start, if that is not known. */
static void find_kernel(struct exec_ctx *ctx, struct workgroup *wg)
{
	uint64_t epoch;
	struct jit_cache *jit = code_cache_jit(wg->code, &epoch);

	if (wg->jit_known && wg->jit_epoch == epoch)
		return;
	wg->jit_known = true;
	wg->jit_epoch = epoch;
	wg->jit = jit ? jit_kernel_get(ctx, jit, wg, epoch) : NULL;
}

/* A wave that left because it needs pages is tried again later. */
static void leave_for_pages(struct exec_ctx *ctx, struct wave *w)
{
	if (ctx->error != EXEC_PAGES)
		return;
	ctx->error = EXEC_DONE;
	w->waits_pages = true;
}

/* One exec_run_range(). */
struct run {
	const struct dispatch_setup *setup; /* NULL: nothing follows */
	struct exec_range *range;
	uint64_t budget, limit; /* instructions of a wave, of all */
	const atomic_uint *stop;
	uint64_t total; /* so far */
};

static bool stopped(const struct run *r)
{
	return atomic_load_explicit(r->stop, memory_order_relaxed);
}

static void quiesce(struct exec_ctx *ctx)
{
	if (ctx->view->quiesce)
		ctx->view->quiesce(ctx->view);
}

/* The waves of a work-group in turns, until it ends, is suspended or an error. Compiled code may go on with those that follow. */
static enum exec_result run_group(struct exec_ctx *ctx, struct workgroup *wg, struct run *r)
{
	uint64_t slice = r->budget < SLICE ? r->budget : SLICE, limit = r->total + r->limit, ran; /* what began may have a whole slice */

	wg->waits_pages = false;
	while (r->total < limit && !stopped(r)) {
		uint32_t ended = 0, waiting = 0, sleeping = 0, paging = 0, first = 0;
		enum jit_group how = JIT_CANNOT;

		if (wg->jit && jit_takes_groups(wg->jit, wg))
			how = jit_run_group(ctx, wg->jit, wg, r->setup, r->range, slice, r->limit - r->total, limit - r->total, r->stop,
					    &r->total, &first);
		if (how == JIT_LEFT)
			quiesce(ctx);
		for (uint32_t i = 0; how != JIT_CANNOT && i < wg->num_waves; i++)
			wg->waves[i].waits_pages = false;
		if (ctx->error != EXEC_DONE)
			return ctx->error;
		if (how == JIT_ENDED)
			return EXEC_DONE;
		for (uint32_t i = 0; i < wg->num_waves; i++) {
			struct wave *w = &wg->waves[i];

			if (w->state == WAVE_READY && i >= first) {
				/* Compiled code is gone back to soon: where a loop begins anew. */
				uint64_t turn = w->waits_pages && wg->jit ? 1 : slice;

				w->sleep = 0;
				w->waits_pages = false;
				if (!wg->jit || !jit_run_wave(ctx, wg->jit, w, slice, r->stop, &ran))
					ran = run_wave(ctx, w, turn, r->stop);
				leave_for_pages(ctx, w);
				r->total += ran;
				quiesce(ctx);
				if (ctx->error != EXEC_DONE) {
					wg->fault_wave = i;
					return ctx->error;
				}
			}
			ended += w->state == WAVE_ENDED;
			waiting += w->state == WAVE_BARRIER;
			sleeping += w->state == WAVE_READY && w->sleep;
			paging += w->state == WAVE_READY && w->waits_pages;
		}
		if (ended == wg->num_waves)
			return EXEC_DONE;
		wg->waits_pages = paging && ended + waiting + paging == wg->num_waves;
		if (wg->waits_pages)
			break;
		if (waiting && ended + waiting == wg->num_waves) {
			for (uint32_t i = 0; i < wg->num_waves; i++)
				if (wg->waves[i].state == WAVE_BARRIER)
					wg->waves[i].state = WAVE_READY;
		} else if (sleeping && ended + waiting + sleeping + paging == wg->num_waves) {
			break;
		}
	}
	return EXEC_YIELD;
}

/*
 * A work-group at its start that compiled code does not take as one (some lanes have no work-item): each wave from there to its end. False: not all
 * have ended (or there is an error); the rest is run_group's.
 */
static bool run_through(struct exec_ctx *ctx, struct workgroup *wg, struct jit_start *start, struct run *r)
{
	for (uint32_t i = 0; i < wg->num_waves; i++) {
		struct wave *w = &wg->waves[i];

		if (!jit_find_start(start, wg->jit, w))
			return false;
		r->total += jit_run_start(ctx, start, w, r->budget, r->stop);
		wg->fault_wave = i;
		if (w->state != WAVE_ENDED || ctx->error != EXEC_DONE)
			return false;
	}
	return true;
}

enum exec_result exec_run_range(struct workgroup *wg, const struct dispatch_setup *setup, struct mem_view *view, struct exec_range *range,
				uint64_t budget, const atomic_uint *stop)
{
	struct run r = {setup, range, budget, budget < UINT64_MAX / WG_MAX_WAVES ? budget * wg->num_waves : UINT64_MAX / 2, stop, 0};
	struct exec_ctx ctx = {.view = view, .error = EXEC_DONE};
	bool fresh = !wg->jit_known;
	struct jit_start start = {NULL};
	enum exec_result result;
	unsigned side = code_cache_enter(wg->code);
	uint64_t quiesced = 0;

	for (;;) {
		uint64_t interpreted = wg->interpreted;

		if (fresh)
			find_kernel(&ctx, wg);
		if (fresh && wg->jit && !jit_takes_groups(wg->jit, wg) && run_through(&ctx, wg, &start, &r))
			result = EXEC_DONE;
		else
			result = ctx.error != EXEC_DONE ? ctx.error : run_group(&ctx, wg, &r);
		if (result != EXEC_DONE)
			break;
		for (uint32_t i = 0; i < wg->num_waves; i++)
			wg->instructions += wg->waves[i].instructions;
		if (r.total - quiesced >= GROUPS_INTERVAL) {
			quiesce(&ctx);
			quiesced = r.total;
		}
		if (!range->left || r.total >= r.limit || stopped(&r))
			break;
		/* Interpreted, a kernel that reads what it did not write gets the same each time. */
		if (wg->interpreted != interpreted)
			exec_wg_clear(wg);
		if (exec_wg_next(wg, setup, range->next)) {
			result = EXEC_TRAP;
			break;
		}
		exec_range_step(range, setup);
		fresh = true;
	}
	code_cache_leave(wg->code, side);
	/* What this thread stored is visible to whoever hears of the end. */
	atomic_thread_fence(memory_order_acq_rel);
	return result;
}

enum exec_result exec_run(struct workgroup *wg, struct mem_view *view, uint64_t budget, const atomic_uint *stop)
{
	struct exec_range none = {.left = 0};

	return exec_run_range(wg, NULL, view, &none, budget, stop);
}
