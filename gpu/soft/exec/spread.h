/* SPDX-License-Identifier: MIT */
/*
 * spread.h - loads and stores whose lanes lie anywhere, as functions on rows of 64 lanes: compiled code calls them (jit/lift_gather.c), so that it needs
 * no code of its own for each such instruction.
 */
#ifndef GPU_SOFT_EXEC_SPREAD_H
#define GPU_SOFT_EXEC_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/soft/exec/exec.h"

/* One access: lane l is at add + lo[l], or (wide) add + (lo[l] | hi[l] << 32). */
struct vmem_spread {
	uint32_t lo[WAVE_LANES], hi[WAVE_LANES];
	uint32_t data[4][WAVE_LANES]; /* loads: also what a short one keeps half of; lanes that take no part get anything */
	uint64_t add;
};

/* An access's last argument. */
#define SPREAD_WIDE	    (1u << 8)
#define SPREAD_OF(kind, slot) ((uint32_t)(kind) | (uint32_t)(slot) << 16) /* enum vmem_kind, number of the view's range */

/* Lanes of mask. False: a fault was recorded; what lanes before it store is stored then. */
typedef bool vmem_spread_fn(struct exec_ctx *ctx, struct vmem_spread *x, uint64_t mask, uint32_t what);
struct vmem_spread_fns {
	vmem_spread_fn *load, *store;
};

/* For the x86-64 level in use (valu.c). */
const struct vmem_spread_fns *exec_spread(void);

#endif
