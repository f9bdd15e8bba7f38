/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c - a kernel's start and end: what AQL packets and PM4's DISPATCH_DIRECT have in common.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <string.h>

enum { LDS_BYTES_MAX = 65536, WG_SIZE_MAX = 1024 };

/*
 * Waves of this kernel that a compute unit holds, by its vector registers. gfx90a has 512 a lane
 * and SIMD, in units of 8; gfx900 256 in units of 4 (LLVM AMDGPUUsage,
 * GRANULATED_WORKITEM_VGPR_COUNT).
 */
static unsigned waves_per_cu(const struct gpu *gpu, uint32_t rsrc1)
{
	bool gfx90a = gpu->target == ISA_GFX90A;
	unsigned vgprs = ((rsrc1 & 0x3f) + 1) * (gfx90a ? 8 : 4);
	unsigned waves = (gfx90a ? 512 : 256) / vgprs;

	if (waves > gpu->props.max_waves_per_simd)
		waves = gpu->props.max_waves_per_simd;
	return waves * gpu->props.simd_per_cu;
}

int dispatch_sizes(struct dispatch_setup *s, const uint16_t size[3], const uint32_t grid[3])
{
	uint64_t total = 1;

	for (unsigned i = 0; i < 3; i++) {
		if (!size[i] || !grid[i])
			return QERR_DIM;
		s->wg_size[i] = size[i];
		s->grid[i] = grid[i];
		s->num_wg[i] = grid[i] / size[i] + !!(grid[i] % size[i]);
		total *= size[i];
	}
	return total > WG_SIZE_MAX ? QERR_WORKGROUP_SIZE : 0;
}

int dispatch_shape(struct gpu_queue *q, const struct dispatch_setup *s)
{
	struct dispatch *d = &q->dispatch;
	unsigned cu_waves = waves_per_cu(q->vm->gpu, s->rsrc1);
	unsigned items = (unsigned)s->wg_size[0] * s->wg_size[1] * s->wg_size[2];
	unsigned by_lds;

	if (s->group_segment_size > LDS_BYTES_MAX)
		return QERR_GROUP_SEGMENT;
	d->waves_per_wg = (items + WAVE_LANES - 1) / WAVE_LANES;
	if (cu_waves < d->waves_per_wg)
		return QERR_REGISTERS;
	d->cap = q->num_cu * (cu_waves / d->waves_per_wg);
	if (s->group_segment_size) {
		by_lds = q->num_cu * (LDS_BYTES_MAX / s->group_segment_size);
		if (d->cap > by_lds)
			d->cap = by_lds;
	}
	if (d->cap * d->waves_per_wg > GPU_MAX_WAVES)
		d->cap = GPU_MAX_WAVES / d->waves_per_wg;
	return 0;
}

/* What work-groups take is kept, for kernels often come in turns. */
static void change_kernel(struct dispatch *d, uint64_t kernel, const uint16_t wg_size[3])
{
	unsigned to = d->next_known % MAX_KNOWN;
	uint64_t ns = 0;

	for (unsigned i = 0; i < MAX_KNOWN; i++) {
		if (d->known[i].kernel == d->kernel && !memcmp(d->known[i].wg_size, d->setup.wg_size, sizeof(d->setup.wg_size)))
			to = i;
		else if (d->known[i].kernel == kernel && !memcmp(d->known[i].wg_size, wg_size, sizeof(d->known[i].wg_size)))
			ns = d->known[i].wg_ns;
	}
	d->next_known += to == d->next_known % MAX_KNOWN;
	d->known[to].kernel = d->kernel;
	d->known[to].wg_ns = d->wg_ns;
	memcpy(d->known[to].wg_size, d->setup.wg_size, sizeof(d->known[to].wg_size));
	d->wg_ns = ns;
}

int dispatch_launch(struct gpu_queue *q, const struct dispatch_setup *s, uint64_t kernel, uint64_t now)
{
	struct dispatch *d = &q->dispatch;
	long bytes = exec_wg_bytes(s);

	if (bytes < 0)
		return QERR_REGISTERS;
	bytes += (long)sizeof(struct wg_slot);
	/* Work-groups kept from the dispatch before serve this one if it is of the same shape. */
	if (d->wg_bytes != (uint64_t)bytes || d->setup.rsrc1 != s->rsrc1 ||
	    d->setup.rsrc3 != s->rsrc3 || d->setup.group_segment_size != s->group_segment_size ||
	    memcmp(d->setup.wg_size, s->wg_size, sizeof(s->wg_size)))
		sched_free_pool(q->vm->gpu, d);
	if (d->kernel != kernel || memcmp(d->setup.wg_size, s->wg_size, sizeof(s->wg_size)))
		change_kernel(d, kernel, s->wg_size);
	d->wg_bytes = (uint64_t)bytes;
	d->setup = *s;
	d->kernel = kernel;
	code_cache_revalidate(q->vm->code);
	if (q->vm->profile) {
		code_cache_revalidate(profile_code(q->vm->profile));
		d->profile = profile_dispatch(q->vm->profile, kernel, s->entry_pc);
	}
	sched_start(q->vm->gpu, d, now);
	return 0;
}

enum step dispatch_end(struct gpu_queue *q)
{
	struct gpu *gpu = q->vm->gpu;
	struct dispatch *d = &q->dispatch;

	if (!atomic_load(&d->done))
		return STEP_WAIT;
	sched_finish(gpu, d);
	trace_dispatch(d, d->end_ns);
	if (d->profile)
		profile_done(d->profile, d);
	if (d->over_limit) {
		queue_error(q, QERR_PREEMPTION, "kernel ran longer than it may");
		return STEP_PROGRESS;
	}
	switch (d->error) {
	case EXEC_DONE:
	case EXEC_YIELD:
	case EXEC_PAGES:
		atomic_fetch_add_explicit(&q->vm->dispatches, 1, memory_order_relaxed);
		break;
	case EXEC_MEMORY_FAULT:
		/* The vm's fault was raised where it happened and stops this queue too. */
		return STEP_WAIT;
	case EXEC_APERTURE:
		queue_error(q, QERR_APERTURE, "access outside of an aperture");
		break;
	case EXEC_TRAP:
		/* s_trap 2 is llvm.trap: the trap handler reports it as abort. */
		queue_error(q, d->fault.trap_id == 2 ? QERR_ABORT : QERR_TRAP, "trap");
		break;
	case EXEC_ILLEGAL:
		queue_error(q, QERR_ILLEGAL, "illegal instruction");
		break;
	}
	return STEP_PROGRESS;
}
