/* SPDX-License-Identifier: MIT */
/*
 * gws.c - global wave sync: 64 barriers and semaphores that waves of all work-groups of a GPU process share.
 *
 * Each address space has its own 64 (code_cache_gws()), always: on hardware a queue has to ask for them (KFD's ALLOC_QUEUE_GWS) and has none otherwise. Which one an
 * instruction means: its offset plus M0[21:16]. The count is the first active lane's ("Vega" ISA manual, DS_GWS_*).
 *
 * A wave that must wait leaves its turn as with s_sleep and executes the instruction again in its next one; what it waits for is in struct wave, so a
 * work-group can be suspended meanwhile, and all work-groups of the kernel that fit on the GPU run.
 */
#include <pthread.h>

#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/gws.h"
#include "gpu/soft/exec/operand.h"

#define GWS_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

void gws_init(struct gws *gws)
{
	memset(gws, 0, sizeof(*gws));
	pthread_mutex_init(&gws->lock, NULL);
}

void gws_end(struct gws *gws)
{
	pthread_mutex_destroy(&gws->lock);
}

static struct gws_resource *take(struct gws *gws, const struct wave *w, const struct isa_inst *inst)
{
	pthread_mutex_lock(&gws->lock);
	return &gws->resource[((uint32_t)inst->offset + (w->sgpr[SGPR_M0] >> 16)) % GWS_RESOURCES];
}

static uint32_t count_of(struct wave *w, const struct isa_inst *inst)
{
	return reg_row(w, &inst->src[1], 0)[WAVE_EXEC(w) ? __builtin_ctzll(WAVE_EXEC(w)) : 0];
}

/* Queues the wave at r, or lets it go. */
static void wait_or_go(struct exec_ctx *ctx, struct wave *w, struct gws_resource *r, bool wait)
{
	if (wait && !w->gws_queued)
		r->queued++;
	if (!wait && w->gws_queued && r->queued)
		r->queued--;
	w->gws_queued = wait;
	if (!wait)
		return;
	w->pc = ctx->pc;
	w->sleep = 1;
	ctx->leave = true;
}

GWS_FN(op_init)
{
	struct gws *gws = code_cache_gws(w->wg->code);
	struct gws_resource *r = take(gws, w, inst);

	*r = (struct gws_resource){.counter = count_of(w, inst)};
	pthread_mutex_unlock(&gws->lock);
}

/* The counter says how many more must come. The last one turns the flag, which lets those go that saw its other side, and sets the next barrier's count. */
GWS_FN(op_barrier)
{
	struct gws *gws = code_cache_gws(w->wg->code);
	struct gws_resource *r = take(gws, w, inst);

	if (w->gws_queued) {
		wait_or_go(ctx, w, r, r->flag == w->gws_flag);
	} else if (!r->counter) {
		r->flag = !r->flag;
		r->counter = count_of(w, inst);
	} else {
		r->counter--;
		w->gws_flag = r->flag;
		wait_or_go(ctx, w, r, true);
	}
	pthread_mutex_unlock(&gws->lock);
}

static void add(struct wave *w, const struct isa_inst *inst, uint32_t n)
{
	struct gws *gws = code_cache_gws(w->wg->code);

	take(gws, w, inst)->counter += n;
	pthread_mutex_unlock(&gws->lock);
}

GWS_FN(op_sema_v)
{
	add(w, inst, 1);
}

GWS_FN(op_sema_br)
{
	add(w, inst, count_of(w, inst));
}

GWS_FN(op_sema_p)
{
	struct gws *gws = code_cache_gws(w->wg->code);
	struct gws_resource *r = take(gws, w, inst);
	bool wait = !r->counter;

	if (!wait)
		r->counter--;
	wait_or_go(ctx, w, r, wait);
	pthread_mutex_unlock(&gws->lock);
}

GWS_FN(op_sema_release_all)
{
	struct gws *gws = code_cache_gws(w->wg->code);
	struct gws_resource *r = take(gws, w, inst);

	r->counter = r->queued;
	pthread_mutex_unlock(&gws->lock);
}

const struct exec_row exec_rows_gws[] = {
	{ISA_DS_GWS_INIT, op_init},
	{ISA_DS_GWS_BARRIER, op_barrier},
	{ISA_DS_GWS_SEMA_V, op_sema_v},
	{ISA_DS_GWS_SEMA_BR, op_sema_br},
	{ISA_DS_GWS_SEMA_P, op_sema_p},
	{ISA_DS_GWS_SEMA_RELEASE_ALL, op_sema_release_all},
	{ISA_OP_INVALID, NULL},
};
