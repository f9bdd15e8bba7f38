// SPDX-License-Identifier: MIT
/* turns.c - see turns.h. */
#include "tests/cp/turns.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/cp/client.h"

static bool turn_lost(void *ctx)
{
	struct turns *t = ctx;

	return !atomic_load_explicit(&t->granted, memory_order_relaxed);
}

static void turn_leave(void *ctx)
{
	struct turns *t = ctx;

	/* Before it is seen that nobody is in. */
	if (!atomic_load(&t->granted))
		atomic_store(&t->left_ns, clock_ns());
	atomic_fetch_sub(&t->users, 1);
}

static bool enter(struct turns *t)
{
	atomic_fetch_add(&t->users, 1);
	if (atomic_load(&t->granted))
		return true;
	turn_leave(t);
	return false;
}

static bool turn_try_acquire(void *ctx)
{
	struct turns *t = ctx;

	atomic_store(&t->want, 1);
	if (!turn_lost(t) && enter(t))
		return true;
	atomic_fetch_add(&t->asked, 1);
	return false;
}

static void turn_acquire(void *ctx)
{
	struct turns *t = ctx;

	atomic_store(&t->want, 1);
	atomic_fetch_add(&t->waiters, 1);
	if (turn_lost(t))
		atomic_fetch_add(&t->asked, 1);
	while (turn_lost(t) || !enter(t))
		syscall(SYS_futex, &t->granted, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	atomic_fetch_sub(&t->waiters, 1);
}

static void turn_release(void *ctx)
{
	struct turns *t = ctx;

	if (atomic_load(&t->users))
		atomic_fetch_add(&t->intruders, 1);
	atomic_store(&t->want, 0);
	atomic_fetch_add(&t->releases, 1);
}

/* Called by a thread that is in the turn, or after it: only what ran without any grant counts. */
static void turn_account(void *ctx, uint64_t ns, uint32_t dispatches)
{
	struct turns *t = ctx;

	if (ns && !atomic_load(&t->want))
		atomic_fetch_add(&t->intruders, 1);
	atomic_fetch_add(&t->gpu_ns, ns);
	atomic_fetch_add(&t->dispatches, dispatches);
}

const struct gpu_turn_ops turns_ops = {turn_acquire, turn_try_acquire, turn_leave,
				       turn_release, turn_lost,	       turn_account};

void turns_grant(struct turns *t)
{
	atomic_store(&t->granted, 1);
	syscall(SYS_futex, &t->granted, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

uint64_t turns_take(struct turns *t)
{
	uint64_t begin = clock_ns(), end;

	atomic_store(&t->left_ns, 0);
	atomic_store(&t->granted, 0);
	/* As the arbiter, which sleeps, this takes no processor from those who are to leave. */
	while (atomic_load(&t->users)) {
		nanosleep(&(struct timespec){0, 20000}, NULL);
		if (clock_ns() - begin > 5000000000ull)
			return ~0ull;
	}
	end = atomic_load(&t->left_ns);
	return end > begin ? end - begin : 0;
}
