/* SPDX-License-Identifier: MIT */
/*
 * wg.c - makes a work-group: memory for its registers and LDS, and the state its waves start in.
 *
 * The initial state is LLVM's AMDGPUUsage, "Initial Kernel Execution State", for gfx900 and gfx90a. Descriptor fields are named after
 * its tables for COMPUTE_PGM_RSRC1/2/3 and KERNEL_CODE_PROPERTIES.
 *
 * Kernel arguments are not preloaded into SGPRs: a kernel built with preloading starts with a prologue that loads them, made for firmware
 * without the feature, which is what we are. The user SGPRs keep their count, so everything behind them is in place.
 */
#define LOG_PART "exec"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gpu/soft/exec/exec.h"

#define LDS_MAX	    (64u << 10)
#define LDS_GRANULE 512
#define MAX_USER_SGPRS 16

/* KERNEL_CODE_PROPERTIES */
enum {
	PROP_PRIVATE_SEGMENT_BUFFER = 1 << 0,
	PROP_DISPATCH_PTR = 1 << 1,
	PROP_QUEUE_PTR = 1 << 2,
	PROP_KERNARG_SEGMENT_PTR = 1 << 3,
	PROP_DISPATCH_ID = 1 << 4,
	PROP_FLAT_SCRATCH_INIT = 1 << 5,
	PROP_PRIVATE_SEGMENT_SIZE = 1 << 6,
	PROP_WAVEFRONT_SIZE32 = 1 << 10,
};

#define SCALARS_FROM  100 /* SGPRs from here on, and below SCALARS_BELOW, may have a value at the start: user and system SGPRs, VCC, EXEC */
#define SCALARS_BELOW 40
#define ID_ROWS	      3 /* VGPRs with work-item ids */

/* How a wave of a work-group of full size starts. */
struct wave_start {
	struct wave wave;
	_Alignas(64) uint32_t row[ID_ROWS][WAVE_LANES];
};

/* What precedes registers and LDS in wg->mem; behind them are waves' starts, for the work-groups that follow in the same memory. */
struct wg_memory {
	_Alignas(64) size_t bytes; /* behind this header */
	size_t clear; /* of them: registers and LDS */
	struct wave_start *start;
	bool start_known, start_same;
	uint32_t id_rows;
	/* For which work-groups it was made, and wg->interpreted then. */
	struct dispatch_setup setup;
	uint32_t scratch_slot;
	uint64_t interpreted;
};

struct wg_shape {
	uint32_t waves, vgprs, agprs, lds;
	size_t row_bytes; /* registers of one wave */
	size_t start;	  /* offset of waves' starts */
	size_t bytes;
};

static uint32_t field(uint32_t v, unsigned shift, unsigned bits)
{
	return v >> shift & ((1u << bits) - 1);
}

static int wg_shape(const struct dispatch_setup *s, struct wg_shape *shape)
{
	uint32_t items = (uint32_t)s->wg_size[0] * s->wg_size[1];
	uint32_t granules = field(s->rsrc1, 0, 6) + 1;

	if (!items || items > WG_MAX_WAVES * WAVE_LANES || !s->wg_size[2])
		return -EINVAL;
	items *= s->wg_size[2];
	if (items > WG_MAX_WAVES * WAVE_LANES || s->group_segment_size > LDS_MAX || (s->properties & PROP_WAVEFRONT_SIZE32))
		return -EINVAL;
	shape->waves = (items + WAVE_LANES - 1) / WAVE_LANES;
	shape->lds = (s->group_segment_size + LDS_GRANULE - 1) & ~(LDS_GRANULE - 1);
	if (s->target == ISA_GFX90A) {
		uint32_t total = granules * 8, accum = (field(s->rsrc3, 0, 6) + 1) * 4;

		/* One file: AGPR 0 is the register at ACCUM_OFFSET. */
		shape->vgprs = accum < total ? accum : total;
		shape->agprs = total - shape->vgprs;
		if (shape->vgprs > 256 || shape->agprs > 256)
			return -EINVAL;
	} else {
		shape->vgprs = granules * 4;
		shape->agprs = 0;
	}
	shape->row_bytes = (size_t)(shape->vgprs + shape->agprs) * WAVE_LANES * 4;
	shape->start = (shape->waves * shape->row_bytes + shape->lds + WG_LDS_SLACK + 63) & ~63ull;
	shape->bytes = shape->start + shape->waves * sizeof(struct wave_start);
	return 0;
}

long exec_wg_bytes(const struct dispatch_setup *setup)
{
	struct wg_shape shape;
	int err = wg_shape(setup, &shape);

	return err ? err : (long)(sizeof(struct wg_memory) + shape.bytes);
}

void exec_wg_free(struct workgroup *wg)
{
	free(wg->mem);
	wg->mem = NULL;
}

/* Memory of at least bytes behind its header, the same as before if that suffices. */
static struct wg_memory *wg_memory(struct workgroup *wg, size_t bytes)
{
	struct wg_memory *m = wg->mem;

	if (m && m->bytes >= bytes)
		return m;
	free(m);
	wg->mem = NULL;
	m = aligned_alloc(64, sizeof(*m) + bytes);
	if (!m)
		return NULL;
	m->bytes = bytes;
	wg->mem = m;
	return m;
}

static void put64(struct wave *w, uint32_t *n, uint64_t v)
{
	w->sgpr[*n] = v;
	w->sgpr[*n + 1] = v >> 32;
	*n += 2;
}

static void init_sgprs(struct wave *w, const struct dispatch_setup *s, const struct workgroup *wg)
{
	uint32_t props = s->properties, n = 0, count = field(s->rsrc2, 1, 5);

	/* User SGPRs, dense, in this order. */
	if (s->user_sgprs_given)
		memcpy(w->sgpr, s->user_sgpr, sizeof(s->user_sgpr));
	if (props & PROP_PRIVATE_SEGMENT_BUFFER) {
		memcpy(&w->sgpr[n], s->scratch_rsrc, 16);
		n += 4;
	}
	if (props & PROP_DISPATCH_PTR)
		put64(w, &n, s->dispatch_packet_va);
	if (props & PROP_QUEUE_PTR)
		put64(w, &n, s->queue_va);
	if (props & PROP_KERNARG_SEGMENT_PTR)
		put64(w, &n, s->kernarg_va);
	if (props & PROP_DISPATCH_ID)
		put64(w, &n, s->dispatch_id);
	if (props & PROP_FLAT_SCRATCH_INIT)
		put64(w, &n, s->scratch_base);
	n += s->kernarg_preload & 0x7f;
	if ((props & PROP_PRIVATE_SEGMENT_SIZE) && n < MAX_USER_SGPRS)
		w->sgpr[n] = s->private_segment_size;
	for (n = count < MAX_USER_SGPRS ? count : MAX_USER_SGPRS; n < MAX_USER_SGPRS; n++)
		w->sgpr[n] = 0;

	/* System SGPRs. */
	n = count;
	for (int d = 0; d < 3; d++)
		if (field(s->rsrc2, 7 + d, 1))
			w->sgpr[n++] = wg->id[d];
	if (field(s->rsrc2, 10, 1)) /* first wave, waves in the group */
		w->sgpr[n++] = (uint32_t)(w->id == 0) << 31 | wg->num_waves;
	if (field(s->rsrc2, 0, 1))
		w->sgpr[n++] = (wg->scratch_slot + w->id) * s->scratch_wave_bytes;
}

static void init_wave(struct wave *w, const struct dispatch_setup *s, const struct workgroup *wg, const uint32_t size[3])
{
	uint32_t items = size[0] * size[1] * size[2], first = w->id * WAVE_LANES;
	uint32_t ids = field(s->rsrc2, 11, 2); /* ENABLE_VGPR_WORKITEM_ID */
	uint32_t x = first % size[0], y = first / size[0] % size[1], z = first / size[0] / size[1];
	uint64_t exec = 0;

	init_sgprs(w, s, wg);
	if (items > first)
		exec = items - first >= WAVE_LANES ? UINT64_MAX : (1ull << (items - first)) - 1;
	/* A row of work-items, or what of it fits, at a time. */
	for (uint32_t lane = 0, n; lane < WAVE_LANES && first + lane < items; lane += n) {
		uint32_t *row = &w->vgpr[0][lane], base = s->target == ISA_GFX90A ? x | y << 10 | z << 20 : x;

		n = size[0] - x < WAVE_LANES - lane ? size[0] - x : WAVE_LANES - lane;
		n = n < items - first - lane ? n : items - first - lane;
		for (uint32_t i = 0; i < n; i++)
			row[i] = base + i;
		for (uint32_t i = 0; ids >= 1 && s->target != ISA_GFX90A && i < n; i++)
			w->vgpr[1][lane + i] = y;
		for (uint32_t i = 0; ids >= 2 && s->target != ISA_GFX90A && i < n; i++)
			w->vgpr[2][lane + i] = z;
		x = 0;
		if (++y == size[1]) {
			y = 0;
			z++;
		}
	}
	WAVE_EXEC(w) = exec;
	w->all_lanes = exec == UINT64_MAX;
	w->pc = s->entry_pc;
	w->mode = field(s->rsrc1, 12, 8) | field(s->rsrc1, 21, 1) << 8 | field(s->rsrc1, 23, 1) << 9 |
		  field(s->rsrc1, 26, 1) << 23;
	w->state = exec ? WAVE_READY : WAVE_ENDED;
}

/* A work-group at the edge of the grid is smaller. False: the id lies outside. */
static bool wg_size(const struct dispatch_setup *s, const uint32_t id[3], uint32_t size[3])
{
	for (int d = 0; d < 3; d++) {
		uint64_t first = (uint64_t)id[d] * s->wg_size[d];

		if (first >= s->grid[d])
			return false;
		size[d] = s->grid[d] - first < s->wg_size[d] ? s->grid[d] - first : s->wg_size[d];
	}
	return true;
}

/* Waves of a work-group of this size, which must be allocated; their registers are not cleared. */
static void init_waves(struct workgroup *wg, const struct dispatch_setup *setup, const struct wg_shape *shape, const uint32_t size[3])
{
	uint8_t *p = (uint8_t *)((struct wg_memory *)wg->mem + 1);

	/* Only waves that have work-items exist. */
	wg->num_waves = (size[0] * size[1] * size[2] + WAVE_LANES - 1) / WAVE_LANES;
	memcpy(wg->size, size, sizeof(wg->size));
	wg->jit = NULL;
	wg->jit_known = false;
	for (uint32_t i = 0; i < wg->num_waves; i++, p += shape->row_bytes) {
		struct wave *w = &wg->waves[i];

		*w = (struct wave){.id = i, .wg = wg, .num_vgprs = shape->vgprs, .num_agprs = shape->agprs};
		w->vgpr = (void *)p;
		if (shape->agprs)
			w->agpr = w->vgpr + shape->vgprs;
		init_wave(w, setup, wg, size);
	}
}

static void find_id_sgprs(struct workgroup *wg, const struct dispatch_setup *s)
{
	uint32_t n = field(s->rsrc2, 1, 5);

	for (unsigned d = 0; d < 3; d++)
		wg->id_sgpr[d] = field(s->rsrc2, 7 + d, 1) ? (uint8_t)n++ : WG_NO_SGPR;
}

/*
 * The library's memcpy(), called: it has the host's widest vectors. What a compiler puts in its place has narrow ones, which fill the store buffer
 * that a streaming kernel's stores wait in already, or a string instruction, which is slow to start.
 */
static void *(*const volatile copy)(void *restrict, const void *restrict, size_t) = memcpy;

static bool full_size(const uint32_t size[3], const struct dispatch_setup *s)
{
	/* One by one: memcmp() would read two that have just been stored as one, and wait for them. */
	return size[0] == s->wg_size[0] && size[1] == s->wg_size[1] && size[2] == s->wg_size[2];
}

/* What may have changed in a wave and has a value at the start. */
void exec_wg_restart(struct workgroup *wg, uint32_t wave)
{
	const struct wg_memory *m = wg->mem;
	const struct wave_start *from = &m->start[wave];
	struct wave *w = &wg->waves[wave];

	copy(w->sgpr, from->wave.sgpr, SCALARS_BELOW * 4);
	copy(w->sgpr + SCALARS_FROM, from->wave.sgpr + SCALARS_FROM, sizeof(*w) - SCALARS_FROM * 4);
	for (unsigned d = 0; d < 3; d++)
		if (wg->id_sgpr[d] != WG_NO_SGPR)
			w->sgpr[wg->id_sgpr[d]] = wg->id[d];
	for (uint32_t r = 0; r < m->id_rows; r++)
		copy(from->wave.vgpr[r], from->row[r], sizeof(from->row[r]));
}

/* One that ran compiled in this memory was of the same dispatch: then what it left may stay, as between those of a range. */
static bool same_dispatch(const struct workgroup *wg, const struct dispatch_setup *setup, const uint32_t size[3])
{
	const struct wg_memory *m = wg->mem;

	return m && m->start_known && m->scratch_slot == wg->scratch_slot && m->interpreted == wg->interpreted && full_size(wg->size, setup) &&
	       full_size(size, setup) && !memcmp(&m->setup, setup, sizeof(*setup));
}

int exec_wg_init(struct workgroup *wg, const struct dispatch_setup *setup, const uint32_t id[3])
{
	struct wg_shape shape;
	struct wg_memory *m;
	uint32_t size[3];
	uint8_t *p;
	int err = wg_shape(setup, &shape);

	if (err)
		return err;
	if (!wg_size(setup, id, size))
		return -EINVAL;
	if (same_dispatch(wg, setup, size)) {
		memcpy(wg->id, id, sizeof(wg->id));
		wg->fault = (struct exec_fault){0};
		wg->jit_known = false;
		for (uint32_t i = 0; i < wg->num_waves; i++)
			exec_wg_restart(wg, i);
		return 0;
	}
	m = wg_memory(wg, shape.bytes);
	if (!m)
		return -ENOMEM;
	m->clear = shape.waves * shape.row_bytes + shape.lds;
	m->start_known = false;
	m->setup = *setup;
	m->scratch_slot = wg->scratch_slot;
	m->interpreted = wg->interpreted;
	m->start = (void *)((uint8_t *)(m + 1) + shape.start);
	p = (uint8_t *)(m + 1);
	memset(p, 0, m->clear);
	memcpy(wg->id, id, sizeof(wg->id));
	wg->target = setup->target;
	wg->shared_base = setup->shared_base;
	wg->private_base = setup->private_base;
	wg->lds_size = shape.lds;
	wg->id_vgprs = setup->target == ISA_GFX90A ? 0 : field(setup->rsrc2, 11, 2);
	find_id_sgprs(wg, setup);
	wg->lds = p + shape.waves * shape.row_bytes;
	wg->fault = (struct exec_fault){0};
	init_waves(wg, setup, &shape, size);
	return 0;
}

/* ------------------------------------------------------------------ work-groups that follow */

/* How the waves of a work-group of full size start, which wg has. */
static void make_start(struct workgroup *wg, const struct dispatch_setup *s)
{
	const uint32_t size[3] = {s->wg_size[0], s->wg_size[1], s->wg_size[2]};
	struct wg_memory *m = wg->mem;

	m->id_rows = 1 + (wg->id_vgprs < ID_ROWS ? wg->id_vgprs : ID_ROWS - 1);
	for (uint32_t i = 0; i < wg->num_waves; i++) {
		const struct wave *real = &wg->waves[i];
		struct wave *w = &m->start[i].wave;

		m->id_rows = m->id_rows < real->num_vgprs ? m->id_rows : real->num_vgprs;
		*w = (struct wave){.id = i, .wg = wg, .vgpr = m->start[i].row, .num_vgprs = real->num_vgprs, .num_agprs = real->num_agprs};
		memset(m->start[i].row, 0, sizeof(m->start[i].row));
		init_wave(w, s, wg, size);
		w->vgpr = real->vgpr;
		w->agpr = real->agpr;
	}
	m->start_known = true;
	m->start_same = true;
	for (uint32_t i = 1; i < wg->num_waves; i++)
		m->start_same &= !memcmp(m->start[i].wave.sgpr, m->start[0].wave.sgpr, sizeof(m->start[0].wave.sgpr));
}

const struct wave *exec_wg_starts(struct workgroup *wg, const struct dispatch_setup *setup, size_t *stride, bool *same)
{
	struct wg_memory *m = wg->mem;

	if (!full_size(wg->size, setup))
		return NULL;
	if (!m->start_known)
		make_start(wg, setup);
	*stride = sizeof(struct wave_start);
	*same = m->start_same;
	return &m->start[0].wave;
}

uint32_t exec_wg_full_ahead(const struct workgroup *wg, const struct dispatch_setup *s)
{
	uint64_t row = 1, before = 0;

	/* To the end of the row (plane, grid) whose last one is smaller. */
	for (unsigned d = 0; d < 3; d++) {
		if (s->grid[d] % s->wg_size[d] || d == 2) {
			uint64_t n = (s->num_wg[d] - !!(s->grid[d] % s->wg_size[d]) - wg->id[d]) * row - before - 1;

			return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
		}
		before += wg->id[d] * row;
		row *= s->num_wg[d];
	}
	return 0;
}

int exec_wg_next(struct workgroup *wg, const struct dispatch_setup *setup, const uint32_t id[3])
{
	struct wg_memory *m = wg->mem;
	uint32_t size[3];
	bool full;

	if (!wg_size(setup, id, size))
		return -EINVAL;
	memcpy(wg->id, id, sizeof(wg->id));
	full = full_size(size, setup);
	if (!full || !m->start_known || !full_size(wg->size, setup)) {
		struct wg_shape shape;
		int err = wg_shape(setup, &shape);

		if (err)
			return err;
		init_waves(wg, setup, &shape, size);
		if (full && !m->start_known)
			make_start(wg, setup);
		return 0;
	}
	for (uint32_t i = 0; i < wg->num_waves; i++)
		exec_wg_restart(wg, i);
	return 0;
}

void exec_wg_clear(struct workgroup *wg)
{
	struct wg_memory *m = wg->mem;

	memset(m + 1, 0, m->clear);
}
