// SPDX-License-Identifier: MIT
/* pool.c - see pool.h. */
#define LOG_PART "arbiter"
#include "arbiter/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arbiter/msg.h"
#include "base/log.h"

#define PAGE_BYTES 4096
#define MESSAGE	   128

#define SECOND 1000000000ull

/* A busy executor keeps its VRAM at least so long. */
#define KEEP_NS SECOND
/* Whose VRAM is on its way back is looked at again after that. */
#define COME_NS (SECOND / 100)
/* Who was told to go and has neither gone nor refused after that is taken for one that can't. */
#define LEAVE_NS (30 * SECOND)
/* Who can't go is not asked again for so long. */
#define STUCK_NS (10 * SECOND)
/*
 * How long an allocation waits for room; and how long an executor waits for its VRAM when nobody
 * can be swapped out for it. Then it gets it, beyond the pool: the pool's bound is for allocations,
 * and programs must not hang for what others refuse.
 */
#define CHARGE_NS (10 * SECOND)
#define NEED_NS	  (5 * SECOND)

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
			 "the largest VRAM quota, %llu MiB, is more than the GPU's %llu MiB",
			 mib(max), mib(t->pool));
		return -ENOMEM;
	}
	return check_fit(t, quota, t->reserved, message);
}

void pool_account(struct tenants *t)
{
	t->reserved = t->resident = 0;
	for (struct tenant *x = t->list; x; x = x->next) {
		t->reserved += reserved(x);
		for (struct executor *e = x->executors; e; e = e->next) {
			if (e->pool.where != POOL_AWAY)
				t->resident += (uint64_t)e->charged;
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

/* ------------------------------------------------------------------ charges */

static void take(struct tenants *t, struct executor *e, int64_t bytes)
{
	struct tenant *x = e->tenant;

	e->charged += bytes;
	x->charged += bytes;
	if ((uint64_t)x->charged > x->charged_peak)
		x->charged_peak = (uint64_t)x->charged;
	pool_account(t);
}

static bool within_quota(const struct executor *e, int64_t bytes)
{
	const struct tenant *x = e->tenant;

	return (uint64_t)bytes <= x->quota && (uint64_t)(x->charged + bytes) <= x->quota;
}

static bool somebody_waits(const struct tenants *t)
{
	for (const struct tenant *x = t->list; x; x = x->next)
		for (const struct executor *e = x->executors; e; e = e->next)
			if (e->pool.needs_at)
				return true;
	return false;
}

int pool_charge(struct tenants *t, struct executor *e, int64_t bytes, uint64_t now)
{
	if (e->kind == ARBITER_HOST || bytes == INT64_MIN || e->pool.charge)
		return -EINVAL;
	if (bytes < 0) {
		if (-bytes > e->charged)
			return -EINVAL;
	} else if (!within_quota(e, bytes)) {
		return -ENOMEM;
	}
	e->pool.active_at = now;
	/* What is away or going needs no room now, and more of it than the pool has it can't get.
	 */
	if (t->swap && bytes > 0) {
		bool here = e->pool.where == POOL_HERE || e->pool.where == POOL_COMING;

		if ((uint64_t)(e->charged + bytes) > t->pool)
			return -ENOMEM;
		if (here && (t->resident + (uint64_t)bytes > t->pool || somebody_waits(t))) {
			e->pool.charge = bytes;
			e->pool.needs_at = now;
			return POOL_LATER;
		}
	}
	take(t, e, bytes);
	return 0;
}

/* ------------------------------------------------------------------ files */

int pool_open_directory(struct tenants *t, const char *path)
{
	int fd, err;

	t->swap_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = t->swap_dir < 0 ? -1 : openat(t->swap_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	err = -errno;
	if (fd < 0) {
		fprintf(stderr, "hsavisord: cannot make files without a name in %s: %s\n", path,
			strerror(-err));
		return err;
	}
	close(fd);
	return 0;
}

int pool_join(const struct tenants *t, struct executor *e, uint64_t vram_max)
{
	if (!t->swap || e->kind == ARBITER_HOST)
		return 0;
	e->pool.bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->pool.swap_fd = t->swap_dir < 0
				  ? memfd_create("hsavisor-swap", MFD_CLOEXEC)
				  : openat(t->swap_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (e->pool.bell_fd < 0 || e->pool.swap_fd < 0 ||
	    ftruncate(e->pool.swap_fd, (off_t)vram_max) < 0)
		return -errno;
	return 0;
}

struct leftover {
	int fd, swap_fd;
	off_t offset, size;
};

static void *give_back(void *arg)
{
	struct leftover *l = arg;

	if (fallocate(l->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, l->offset, l->size))
		log_warn("VRAM of a tenant that left can't be given back: %s", strerror(errno));
	close(l->fd);
	if (l->swap_fd >= 0)
		close(l->swap_fd);
	free(l);
	return NULL;
}

void pool_forget(struct tenants *t, struct executor *e)
{
	struct leftover *l;
	pthread_t thread;

	e->tenant->charged -= e->charged;
	e->charged = 0;
	/*
	 * A QEMU may have a VM's VRAM mapped for as long as it likes. Giving gigabytes back takes
	 * long enough to make others late for their turns, so it is not done by the thread that
	 * gives these.
	 */
	if (e->vram_fd < 0 || t->ending)
		return;
	l = malloc(sizeof(*l));
	if (!l)
		return;
	*l = (struct leftover){e->vram_fd, e->pool.swap_fd, (off_t)e->vram_offset, (off_t)e->tenant->vram_max};
	e->vram_fd = e->pool.swap_fd = -1;
	if (pthread_create(&thread, NULL, give_back, l))
		give_back(l);
	else
		pthread_detach(thread);
}

/* ------------------------------------------------------------------ swapping */

uint64_t pool_swapped(const struct tenant *x)
{
	uint64_t bytes = 0;

	for (const struct executor *e = x->executors; e; e = e->next)
		if (e->pool.where == POOL_AWAY)
			bytes += (uint64_t)e->charged;
	return bytes;
}

static void order(struct executor *e, bool out)
{
	uint64_t one = 1;

	e->pool.order = ((e->pool.order >> 1) + 1) << 1 | (out ? ARBITER_VRAM_OUT : 0);
	atomic_store(&e->page->vram_order, e->pool.order);
	if (write(e->pool.bell_fd, &one, sizeof(one)) < 0) {
		/* EAGAIN: it was rung often enough. */
	}
}

static void become(struct executor *e, int where, uint64_t now)
{
	e->pool.where = where;
	e->pool.since = now;
}

static void is_here(struct turns *turns, struct executor *e, uint64_t now)
{
	become(e, POOL_HERE, now);
	e->pool.active_at = now;
	e->pool.away = false;
	turns_poke(turns, e, now);
}

static void send_away(struct turns *turns, struct executor *e, uint64_t now)
{
	become(e, POOL_LEAVING, now);
	e->pool.away = true;
	turns_forget(turns, e, now);
	atomic_store(&e->page->granted, 0);
	order(e, true);
}

/* It does not go. What it did of it, if anything, it takes back. */
static void passed_over(struct turns *turns, struct executor *e, uint64_t now, const char *why)
{
	log_info("VRAM of '%s' (pid %d) can't be swapped out: %s", e->tenant->name, (int)e->pid,
		 why);
	order(e, false);
	e->pool.stuck_until = now + STUCK_NS;
	is_here(turns, e, now);
}

/* Does its VRAM take memory? Where others' is in the same file nothing counts what was only reserved there (fallocate): that is given back here. */
static bool takes_memory(const struct executor *e)
{
	off_t from = (off_t)e->vram_offset, size = (off_t)e->tenant->vram_max, data;
	struct stat st;

	if (e->vram_alone)
		return !fstat(e->vram_fd, &st) && st.st_blocks;
	data = lseek(e->vram_fd, from, SEEK_DATA);
	if (data >= 0 && data < from + size)
		return true;
	fallocate(e->vram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, size);
	return false;
}

static void look_leaving(struct tenants *t, struct turns *turns, struct executor *e, uint64_t now)
{
	if (atomic_load(&e->page->vram_refused) == e->pool.order) {
		passed_over(turns, e, now, "it refuses");
	} else if (atomic_load(&e->page->vram_done) == e->pool.order) {
		/* Its word is not enough. */
		if (takes_memory(e)) {
			passed_over(turns, e, now, "it says it is, but it is not");
			return;
		}
		become(e, POOL_AWAY, now);
		e->tenant->swap_outs++;
		pool_account(t);
		log_info("VRAM of '%s' (pid %d), %lld KiB, is swapped out", e->tenant->name,
			 (int)e->pid, (long long)e->charged >> 10);
	} else if (now - e->pool.since > LEAVE_NS) {
		passed_over(turns, e, now, "it does not answer");
	}
}

/* Notes what an executor did since the last look. */
static void look(struct tenants *t, struct turns *turns, struct executor *e, uint64_t now)
{
	struct arbiter_page *page = e->page;
	uint64_t gpu_ns = atomic_load_explicit(&page->counters.gpu_ns, memory_order_relaxed);
	bool wants = atomic_load(&page->want);

	if (wants || gpu_ns != e->pool.gpu_ns)
		e->pool.active_at = now;
	e->pool.gpu_ns = gpu_ns;
	switch (e->pool.where) {
	case POOL_HERE:
		break;
	case POOL_LEAVING:
		look_leaving(t, turns, e, now);
		break;
	case POOL_COMING:
		if (atomic_load(&page->vram_done) != e->pool.order)
			break;
		e->tenant->swap_ins++;
		is_here(turns, e, now);
		log_info("VRAM of '%s' (pid %d) is back", e->tenant->name, (int)e->pid);
		break;
	case POOL_AWAY:
		if (!e->pool.needs_at && (wants || atomic_load(&page->vram_need)))
			e->pool.needs_at = now;
		break;
	}
}

/* It is here, or will be in a moment. */
static bool may_go(const struct executor *e, const struct executor *for_whom)
{
	return e != for_whom && (e->pool.where == POOL_HERE || e->pool.where == POOL_COMING) && e->charged &&
	       !e->pool.charge && e->pool.swap_fd >= 0 && !e->tenant->turn.policy.budget_ns;
}

/* Whom to swap out. NULL: nobody now; *later becomes when to ask again, if that makes sense. */
static struct executor *victim(struct tenants *t, const struct executor *for_whom, uint64_t now,
			       uint64_t *later)
{
	struct executor *idle = NULL, *busy = NULL;

	for (struct tenant *x = t->list; x; x = x->next) {
		for (struct executor *e = x->executors; e; e = e->next) {
			if (!may_go(e, for_whom) || e->pool.stuck_until > now)
				continue;
			if (e->pool.where == POOL_COMING) {
				if (!*later || now + COME_NS < *later)
					*later = now + COME_NS;
			} else if (!atomic_load(&e->page->want)) {
				if (!idle || e->pool.active_at < idle->pool.active_at)
					idle = e;
			} else if (!busy || e->pool.since < busy->pool.since) {
				busy = e;
			}
		}
	}
	if (idle)
		return idle;
	if (busy && now - busy->pool.since >= KEEP_NS)
		return busy;
	if (busy && (!*later || busy->pool.since + KEEP_NS < *later))
		*later = busy->pool.since + KEEP_NS;
	return NULL;
}

static void answer_charge(struct tenants *t, struct executor *e, int err)
{
	struct arbiter_reply reply = {.magic = ARBITER_MAGIC, .error = err};

	if (!err)
		take(t, e, e->pool.charge);
	e->pool.charge = 0;
	e->pool.needs_at = 0;
	/* Who does not read its answer is found by its next message, or never. */
	if (msg_send(e->sock, &reply, sizeof(reply), NULL, 0))
		log_warn("pid %d did not take an answer", (int)e->pid);
}

static void bring_back(struct tenants *t, struct executor *e, uint64_t now)
{
	e->pool.needs_at = 0;
	become(e, POOL_COMING, now);
	pool_account(t);
	order(e, false);
}

enum served { SERVED, WAITS_FOR_OTHERS /* who go, or may soon */, WAITS };

/* Serves one that waits. It may have to go on waiting, until *later at most. */
static enum served serve(struct tenants *t, struct turns *turns, struct executor *e, uint64_t now,
			 uint64_t *later)
{
	uint64_t need = (uint64_t)(e->pool.charge ? e->pool.charge : e->charged);
	uint64_t leaving = 0, limit = e->pool.needs_at + (e->pool.charge ? CHARGE_NS : NEED_NS);
	struct executor *v;
	uint64_t soon = 0;

	if (e->pool.charge && (!within_quota(e, e->pool.charge) || now >= limit)) {
		answer_charge(t, e, -ENOMEM);
		return SERVED;
	}
	for (struct tenant *x = t->list; x; x = x->next)
		for (struct executor *o = x->executors; o; o = o->next)
			if (o->pool.where == POOL_LEAVING)
				leaving += (uint64_t)o->charged;
	while (t->resident + need > t->pool + leaving && (v = victim(t, e, now, &soon))) {
		send_away(turns, v, now);
		leaving += (uint64_t)v->charged;
	}
	if (t->resident + need <= t->pool) {
		if (e->pool.charge)
			answer_charge(t, e, 0);
		else
			bring_back(t, e, now);
		return SERVED;
	}
	if (!leaving && !soon) {
		if (e->pool.charge) {
			answer_charge(t, e, -ENOMEM);
			return SERVED;
		}
		if (now >= limit) {
			log_warn("VRAM of '%s' comes back though the pool is full: nobody's can be "
				 "swapped out",
				 e->tenant->name);
			bring_back(t, e, now);
			return SERVED;
		}
	}
	if (!*later || limit < *later)
		*later = limit;
	if (soon && soon < *later)
		*later = soon;
	return leaving || soon ? WAITS_FOR_OTHERS : WAITS;
}

/* The one that has waited longest, of those that wait since after `after`. */
static struct executor *next_waiting(struct tenants *t, const struct executor *after)
{
	struct executor *found = NULL;
	bool passed = !after;

	for (struct tenant *x = t->list; x; x = x->next) {
		for (struct executor *e = x->executors; e; e = e->next) {
			if (e == after) {
				passed = true;
				continue;
			}
			if (!e->pool.needs_at ||
			    (after && (e->pool.needs_at < after->pool.needs_at ||
				       (e->pool.needs_at == after->pool.needs_at && !passed))))
				continue;
			if (!found || e->pool.needs_at < found->pool.needs_at)
				found = e;
		}
	}
	return found;
}

uint64_t pool_step(struct tenants *t, struct turns *turns, uint64_t now)
{
	struct executor *e, *waiting = NULL;
	uint64_t later = 0;

	if (!t->swap)
		return 0;
	for (struct tenant *x = t->list; x; x = x->next)
		for (e = x->executors; e; e = e->next)
			look(t, turns, e, now);
	/* In their order, so that none gets the room that is being made for another. */
	while ((e = next_waiting(t, waiting))) {
		enum served served = serve(t, turns, e, now, &later);

		if (served == WAITS_FOR_OTHERS)
			break;
		if (served == WAITS)
			waiting = e;
	}
	for (struct tenant *x = t->list; x; x = x->next)
		for (e = x->executors; e; e = e->next)
			if (e->pool.where == POOL_LEAVING &&
			    (!later || e->pool.since + LEAVE_NS < later))
				later = e->pool.since + LEAVE_NS + 1;
	return !later ? 0 : later > now ? later - now : 1;
}
