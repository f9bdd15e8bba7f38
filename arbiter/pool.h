/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the VRAM of the GPU and what of it each tenant may have, has, and has where.
 *
 * Every executor charges what it allocates, on the control path, before it is allocated. A tenant's
 * charges never exceed its quota at the time, nor do quotas exceed the pool, unless the policy is
 * to overcommit.
 *
 * Overcommit: what executors have that is not swapped out fits the pool. When an allocation does
 * not, or what an executor needs back, VRAM of others is swapped out, whole executors: first of
 * idle ones, the one that has been idle longest; then of busy ones that had theirs for a while.
 * Tenants with a reservation keep theirs. The executor does the work (swap.c); protocol.h tells how
 * it is asked. One that can't or does not within a bound is passed over.
 */
#ifndef ARBITER_POOL_H
#define ARBITER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "arbiter/tenants.h"
#include "arbiter/turns.h"

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

/*
 * An executor takes VRAM (bytes > 0) or gives it back. 0, -ENOMEM, -EINVAL (not its to give, or one
 * waits already), or POOL_LATER: room has to be made first, pool_step sends the answer.
 */
int pool_charge(struct tenants *tenants, struct executor *executor, int64_t bytes, uint64_t now);
#define POOL_LATER 1

/* An executor is going: what it had is free, and what it leaves behind in memory that others still
 * map is given back to the system; but not when it is the daemon that goes. */
void pool_forget(struct tenants *tenants, struct executor *executor);

/* The directory for swapped VRAM; says on standard error what is wrong with it. 0 or -errno. */
int pool_open_directory(struct tenants *tenants, const char *path);

/* A new executor that has vram_max bytes of VRAM. 0, or -errno (no descriptors, no memory). */
int pool_join(const struct tenants *tenants, struct executor *executor, uint64_t vram_max);

/* Moves what has to be moved and answers who waits. Returns the ns after which it wants to be
 * called again, 0: only after something happened. now: CLOCK_MONOTONIC, ns. */
uint64_t pool_step(struct tenants *tenants, struct turns *turns, uint64_t now);

/* What of a tenant's VRAM is swapped out, bytes. */
uint64_t pool_swapped(const struct tenant *tenant);

#endif
