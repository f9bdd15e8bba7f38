/* SPDX-License-Identifier: MIT */
/*
 * turns.h - a GPU that tests give and take away, as the arbiter does: gpu_turn_ops over words in
 * memory, with the counts that tests want to see.
 */
#ifndef TESTS_CP_TURNS_H
#define TESTS_CP_TURNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gpu/gpu.h"

struct turns {
	_Atomic uint32_t granted; /* futex */
	_Atomic uint32_t want, users;
	_Atomic uint32_t asked;	  /* how often somebody asked in vain */
	_Atomic uint32_t waiters; /* threads in acquire */
	_Atomic uint64_t left_ns; /* CLOCK_MONOTONIC when the last user left a lost turn */
	_Atomic uint64_t gpu_ns;
	_Atomic uint32_t dispatches, releases, intruders;
};

extern const struct gpu_turn_ops turns_ops; /* ctx: struct turns */

void turns_grant(struct turns *t);
/* Takes the GPU away and waits until it is left. Returns the ns that took, ~0 after 5 seconds. */
uint64_t turns_take(struct turns *t);

#endif
