/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the VRAM of the GPU and what of it each tenant may have, has, and has where.
 *
 * Every executor charges what it allocates, on the control path, before it is allocated. A tenant's
 * charges never exceed its quota at the time, nor do quotas exceed the pool, unless the policy is
 * to overcommit.
 */
#ifndef ARBITER_POOL_H
#define ARBITER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "arbiter/tenants.h"

#define POOL_MIN_QUOTA (16ull << 20)

/*
 * Is there room for a new tenant that wants quota bytes and may later have at most max (0: no more
 * than quota)? 0, -EINVAL, -ENOMEM with a sentence in message (128 bytes).
 */
int pool_admit(const struct tenants *tenants, uint64_t quota, uint64_t max, char *message);

/* Sums up again what tenants reserve and tells executors their quota and use. After every change.
 */
void pool_account(struct tenants *tenants);

/*
 * Changes a tenant's quota while it runs: 16 MiB up to the size it was started with (vram_max).
 * Below what the tenant uses nothing is lost, but it gets nothing new until it is below. 0,
 * -EINVAL, -ENOMEM (does not fit the pool) with a sentence in message (128 bytes).
 */
int pool_set_quota(struct tenants *tenants, struct tenant *tenant, uint64_t quota, char *message);

/* An executor takes VRAM (bytes > 0) or gives it back. 0, -ENOMEM, -EINVAL (not its to give). */
int pool_charge(struct tenants *tenants, struct executor *executor, int64_t bytes);

/* An executor is going: what it had is free, and what it leaves behind in memory that others still
 * map is given back to the system. */
void pool_forget(struct tenants *tenants, struct executor *executor);

#endif
