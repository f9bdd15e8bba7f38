/* SPDX-License-Identifier: MIT */
/*
 * unit.h - what the programs that run snippets of assembly (units.s, system.s) share: a wave about to run a snippet, and looks at its registers. Everything is
 * static: each program has its own.
 */
#ifndef TESTS_EXEC_UNIT_H
#define TESTS_EXEC_UNIT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/exec/runner.h"

#define LDS_BYTES 4096
#define VGPRS	  64
#define RW	  (GPU_PROT_READ | GPU_PROT_WRITE)

static struct codeobj co;
static struct runner r;
static const atomic_uint never;

/* A work-group of so many work-items, whole waves, about to run a snippet; registers zero but v0 = lane. Returns its first wave. */
static inline struct wave *unit_group(const char *name, unsigned items)
{
	struct dispatch_setup s = {
		.target = co.target,
		.entry_pc = (uintptr_t)codeobj_symbol(&co, name),
		.rsrc1 = (co.target == ISA_GFX90A ? VGPRS / 8 - 1 : VGPRS / 4 - 1) | 0xf0 << 12 | 1 << 21 | 1 << 23,
		.rsrc2 = 0,
		.rsrc3 = VGPRS / 4 - 1,
		.wg_size = {items, 1, 1},
		.grid = {items, 1, 1},
		.num_wg = {1, 1, 1},
		.group_segment_size = LDS_BYTES,
		.shared_base = 1ull << 48,
		.private_base = 2ull << 48,
	};

	assert_int_not_equal(s.entry_pc, 0);
	r.wg.code = r.code;
	assert_int_equal(exec_wg_init(&r.wg, &s, (uint32_t[]){0, 0, 0}), 0);
	code_cache_revalidate(r.code);
	return &r.wg.waves[0];
}

static inline struct wave *unit(const char *name)
{
	return unit_group(name, 64);
}

static inline enum exec_result go(void)
{
	return exec_run(&r.wg, &r.view, 1000, &never);
}

static inline void run(void)
{
	assert_int_equal(go(), EXEC_DONE);
}

static inline void put64(struct wave *w, unsigned s, uint64_t v)
{
	w->sgpr[s] = v;
	w->sgpr[s + 1] = v >> 32;
}

static inline uint64_t get64(const struct wave *w, unsigned s)
{
	return w->sgpr[s] | (uint64_t)w->sgpr[s + 1] << 32;
}

/* Same value in all lanes. */
static inline void fill(struct wave *w, unsigned v, uint32_t value)
{
	for (unsigned l = 0; l < WAVE_LANES; l++)
		w->vgpr[v][l] = value;
}

/* Address pair per lane: base + lane * step. */
static inline void addresses(struct wave *w, unsigned v, uint64_t base, uint64_t step)
{
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		w->vgpr[v][l] = base + l * step;
		w->vgpr[v + 1][l] = (base + l * step) >> 32;
	}
}

#define SGPR(n, want) assert_int_equal(w->sgpr[n], (uint32_t)(want))
#define SGPR64(n, want) assert_int_equal(get64(w, n), (uint64_t)(want))
#define VGPR(n, lane, want) assert_int_equal(w->vgpr[n][lane], (uint32_t)(want))

#endif
