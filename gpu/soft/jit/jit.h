/* SPDX-License-Identifier: MIT */
/*
 * jit.h - compiled kernels, as the run loop (exec/run.c) sees them.
 *
 * A unit is the machine code of one kernel, lifted from its entry through everything that direct branches reach, for one value of MODE.
 * Its function runs one wave from a safe point (the kernel's entry, a loop header, behind a barrier or s_sleep) to where the wave
 * leaves: a barrier, its end, an error, the end of its slice, or an instruction that only the interpreter does. At safe points
 * all state is in struct wave, so JIT and interpreter take turns as they like.
 *
 * Work-groups start in the interpreter; a kernel that proves hot is compiled by a thread of its own and taken up at the next safe point.
 * Environment: HSAVISOR_JIT=0 switches it off, "sync" compiles at first sight (tests), "exact" is sync and also picks NaNs as the interpreter does.
 */
#ifndef GPU_SOFT_JIT_JIT_H
#define GPU_SOFT_JIT_JIT_H

#include "gpu/soft/exec/code.h"

struct jit_cache; /* of one code_cache */
struct jit_kernel;

/* 0, or -ENOTSUP when the JIT is off. */
int jit_init(void);

/*
 * Loads and prepares the compiler at once, not when there is something to compile: no path is used later. Starts no thread. store: see
 * gpu_prepare(). 0, or -ENOTSUP.
 */
int jit_prepare(int store);

/* CPU time that compiling took in this process so far. */
uint64_t jit_compile_ns(void);

/* The JIT's part of a code cache, or NULL when it is off. */
struct jit_cache *jit_cache_new(enum isa_target target);
void jit_cache_free(struct jit_cache *jc);

/*
 * What is known of the kernel that this work-group starts (its waves' pc is the entry); NULL when it is not to be compiled. epoch: of the code
 * cache; when it has changed, the code's bytes are compared. The result is good as long as the cache.
 */
struct jit_kernel *jit_kernel_get(struct exec_ctx *ctx, struct jit_cache *jc, struct workgroup *wg, uint64_t epoch);

/*
 * Runs the wave by compiled code if there is some for where it stands; false: the interpreter has to go on. *ran: instructions. Sets ctx as
 * run_wave does. w->instructions is counted.
 */
bool jit_run_wave(struct exec_ctx *ctx, struct jit_kernel *k, struct wave *w, uint64_t budget, const atomic_uint *stop, uint64_t *ran);

/* Where waves of a kernel enter compiled code at their start: found once for many. Zero at first. */
struct jit_unit;
struct jit_start {
	struct jit_kernel *kernel;
	struct jit_unit *unit[2]; /* [1]: all lanes have a work-item */
	uint32_t entry[2];
};

/* For a wave at its start, w->all_lanes saying which; false: there is no code (yet) that fits. */
bool jit_find_start(struct jit_start *start, struct jit_kernel *k, const struct wave *w);

/* As jit_run_wave, for a wave that was found a start for; returns the instructions. Goes on in jit_run_wave where it left. */
uint64_t jit_run_start(struct exec_ctx *ctx, const struct jit_start *start, struct wave *w, uint64_t budget, const atomic_uint *stop);

/*
 * Compiled code that takes the waves of a work-group in turns, from barrier to barrier, and when all have ended those of the work-groups that follow, as far
 * as they are of full size.
 */
enum jit_group {
	JIT_CANNOT, /* nothing was done: waves are where there is no (common) way in */
	JIT_ENDED,  /* all waves; no work-group is in flight */
	JIT_LEFT,   /* a wave has left, or the slice is over */
};

/* True if it is worth asking: there is such code for waves like these. */
bool jit_takes_groups(struct jit_kernel *k, const struct workgroup *wg);

/*
 * Runs them. budget: instructions that a wave has in a turn; total: until no work-group is begun any more; most: of all; *used is counted up. range: what follows (setup NULL: nothing), taken from as by
 * exec_run_range. JIT_LEFT: wg is the work-group begun last and *next the first wave that has not had its turn (or that the interpreter has to
 * go on with).
 */
enum jit_group jit_run_group(struct exec_ctx *ctx, struct jit_kernel *k, struct workgroup *wg, const struct dispatch_setup *setup,
			     struct exec_range *range, uint64_t budget, uint64_t total, uint64_t most, const atomic_uint *stop, uint64_t *used,
			     uint32_t *next);

#endif
