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
 * exec_run turns the waves round-robin, SLICE instructions each, so that waves which spin on each
 * other progress. A wave at a barrier waits until every wave that has not ended is there.
 */
#define LOG_PART "exec"
#include <pthread.h>

#include "base/log.h"
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/hwreg.h"
#include "gpu/soft/jit/jit.h"

#define SLICE		 16384
#define QUIESCE_INTERVAL 512

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
	w->instructions += count;
	return count + cost;
}

enum exec_result exec_run(struct workgroup *wg, struct mem_view *view, uint64_t budget,
			  const atomic_uint *stop)
{
	struct exec_ctx ctx = {.view = view, .error = EXEC_DONE};
	uint64_t slice = budget < SLICE ? budget : SLICE;
	uint64_t left = budget < UINT64_MAX / WG_MAX_WAVES ? budget * wg->num_waves : UINT64_MAX,
		 ran;
	enum exec_result result = EXEC_YIELD;
	unsigned side;

	side = code_cache_enter(wg->code);
	if (!wg->jit_known) {
		uint64_t epoch;
		struct jit_cache *jit = code_cache_jit(wg->code, &epoch);

		wg->jit_known = true;
		wg->jit = jit ? jit_kernel_get(&ctx, jit, wg, epoch) : NULL;
	}
	while (left && !atomic_load_explicit(stop, memory_order_relaxed)) {
		uint32_t ended = 0, waiting = 0, sleeping = 0;

		for (uint32_t i = 0; i < wg->num_waves; i++) {
			struct wave *w = &wg->waves[i];

			if (w->state == WAVE_READY) {
				w->sleep = 0;
				if (!wg->jit || !jit_run_wave(&ctx, wg->jit, w, slice, stop, &ran))
					ran = run_wave(&ctx, w, slice, stop);
				left -= ran < left ? ran : left;
				if (view->quiesce)
					view->quiesce(view);
				if (ctx.error != EXEC_DONE) {
					result = ctx.error;
					goto out;
				}
			}
			ended += w->state == WAVE_ENDED;
			waiting += w->state == WAVE_BARRIER;
			sleeping += w->state == WAVE_READY && w->sleep;
		}
		if (ended == wg->num_waves) {
			result = EXEC_DONE;
			break;
		}
		if (waiting && ended + waiting == wg->num_waves) {
			for (uint32_t i = 0; i < wg->num_waves; i++)
				if (wg->waves[i].state == WAVE_BARRIER)
					wg->waves[i].state = WAVE_READY;
		} else if (sleeping && ended + waiting + sleeping == wg->num_waves) {
			break;
		}
	}
out:
	code_cache_leave(wg->code, side);
	/* What this thread stored is visible to whoever hears of the end. */
	atomic_thread_fence(memory_order_acq_rel);
	return result;
}
