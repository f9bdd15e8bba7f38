/* SPDX-License-Identifier: MIT */
/*
 * turns.h - whose turn it is on the GPU.
 *
 * The one place where that is decided. Today: tenants that want the GPU take turns of QUANTUM_NS in
 * a ring; inside a tenant its executors do. A tenant that is alone keeps its turn without anybody
 * looking.
 */
#ifndef ARBITER_TURNS_H
#define ARBITER_TURNS_H

#include <stdint.h>

#include "arbiter/tenants.h"

#define QUANTUM_NS 5000000 /* 5 ms */

struct turns {
	struct executor *holder;
	uint32_t last_tenant; /* id of the tenant that had the last turn */
	uint64_t granted_at;  /* ns, CLOCK_MONOTONIC */
};

/*
 * Looks who wants the GPU and gives it on if need be. now: CLOCK_MONOTONIC in ns. Returns the ns
 * after which it wants to be called again, 0: only when an executor wakes the arbiter.
 */
uint64_t turns_step(struct turns *turns, struct tenants *tenants, uint64_t now);
/* This executor is going. */
void turns_forget(struct turns *turns, struct executor *executor);

#endif
