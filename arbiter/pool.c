// SPDX-License-Identifier: MIT
/* pool.c - see pool.h. */
#define LOG_PART "arbiter"
#include "arbiter/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define PAGE_BYTES 4096
#define MESSAGE	   128

static unsigned long long mib(uint64_t bytes)
{
	return bytes >> 20;
}

/* What a tenant takes of the pool: its quota, or what it had before that was lowered. */
static uint64_t reserved(const struct tenant *x)
{
	uint64_t used = (uint64_t)x->charged;

	return used > x->quota ? used : x->quota;
}

static int check_fit(const struct tenants *t, uint64_t quota, uint64_t others, char *message)
{
	uint64_t room = t->swap ? t->pool : t->pool > others ? t->pool - others : 0;

	if (quota <= room)
		return 0;
	snprintf(message, MESSAGE, "VRAM quota of %llu MiB does not fit: %llu of %llu MiB are free",
		 mib(quota), mib(room), mib(t->pool));
	return -ENOMEM;
}

int pool_admit(const struct tenants *t, uint64_t quota, uint64_t max, char *message)
{
	if (quota % PAGE_BYTES || quota < POOL_MIN_QUOTA) {
		snprintf(message, MESSAGE,
			 "the VRAM quota must be at least 16M and a multiple of 4K");
		return -EINVAL;
	}
	if (max && (max % PAGE_BYTES || max < quota)) {
		snprintf(message, MESSAGE,
			 "the largest VRAM quota must be a multiple of 4K and not below the quota");
		return -EINVAL;
	}
	if (max > t->pool) {
		snprintf(message, MESSAGE,
			 "the largest VRAM quota, %llu MiB, is more than the GPU's %llu MiB", mib(max),
			 mib(t->pool));
		return -ENOMEM;
	}
	return check_fit(t, quota, t->reserved, message);
}

void pool_account(struct tenants *t)
{
	t->reserved = 0;
	for (struct tenant *x = t->list; x; x = x->next) {
		t->reserved += reserved(x);
		for (struct executor *e = x->executors; e; e = e->next) {
			atomic_store_explicit(&e->page->vram_limit, x->quota, memory_order_relaxed);
			atomic_store_explicit(&e->page->vram_used, (uint64_t)x->charged,
					      memory_order_relaxed);
		}
	}
}

int pool_set_quota(struct tenants *t, struct tenant *x, uint64_t quota, char *message)
{
	int err;

	if (quota % PAGE_BYTES || quota < POOL_MIN_QUOTA) {
		snprintf(message, MESSAGE,
			 "the VRAM quota must be at least 16M and a multiple of 4K");
		return -EINVAL;
	}
	if (quota > x->vram_max) {
		snprintf(message, MESSAGE,
			 "tenant '%.40s' was started with at most %llu MiB of VRAM", x->name,
			 mib(x->vram_max));
		return -EINVAL;
	}
	err = check_fit(t, quota, t->reserved - reserved(x), message);
	if (err)
		return err;
	log_info("tenant '%s' (%u): VRAM quota %llu KiB, was %llu", x->name, x->id,
		 (unsigned long long)quota >> 10, (unsigned long long)x->quota >> 10);
	x->quota = quota;
	pool_account(t);
	return 0;
}

int pool_charge(struct tenants *t, struct executor *e, int64_t bytes)
{
	struct tenant *x = e->tenant;

	if (e->kind == ARBITER_HOST || bytes == INT64_MIN)
		return -EINVAL;
	if (bytes < 0) {
		if (-bytes > e->charged)
			return -EINVAL;
	} else if ((uint64_t)bytes > x->quota || (uint64_t)(x->charged + bytes) > x->quota) {
		return -ENOMEM;
	}
	e->charged += bytes;
	x->charged += bytes;
	if ((uint64_t)x->charged > x->charged_peak)
		x->charged_peak = (uint64_t)x->charged;
	pool_account(t);
	return 0;
}

void pool_forget(struct tenants *t, struct executor *e)
{
	e->tenant->charged -= e->charged;
	e->charged = 0;
	/* A QEMU may have a VM's VRAM mapped for as long as it likes. */
	if (e->vram_fd >= 0 && fallocate(e->vram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
					 (off_t)e->tenant->vram_max))
		log_warn("the VRAM of '%s' can't be given back: %s", e->tenant->name,
			 strerror(errno));
}
