// SPDX-License-Identifier: MIT
/* turns.c - see turns.h; the meaning of the shared words is told in protocol.h. */
#include "arbiter/turns.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool wants(const struct executor *e)
{
	return e->kind != ARBITER_HOST && atomic_load(&e->page->want);
}

static void grant(struct turns *t, struct executor *e, uint64_t now)
{
	t->holder = e;
	t->granted_at = now;
	if (!e)
		return;
	t->last_tenant = e->tenant->id;
	e->tenant->turn =
		e->next; /* the one after it is next inside the tenant; NULL: the first again */
	atomic_store(&e->page->granted, 1);
	syscall(SYS_futex, &e->page->granted, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void take_back(struct turns *t)
{
	if (t->holder)
		atomic_store(&t->holder->page->granted, 0);
	t->holder = NULL;
}

/* In a tenant: the first executor that wants, beginning with the one whose turn is next. */
static struct executor *pick_executor(const struct tenant *x)
{
	for (struct executor *e = x->turn; e; e = e->next)
		if (wants(e))
			return e;
	for (struct executor *e = x->executors; e; e = e->next)
		if (wants(e))
			return e;
	return NULL;
}

/* Over tenants: ids grow along the list, so the ring goes on behind last_tenant's place even if
 * that tenant is gone. */
static struct executor *pick(const struct turns *t, const struct tenants *tenants)
{
	struct executor *e;

	for (struct tenant *x = tenants->list; x; x = x->next)
		if (x->id > t->last_tenant && (e = pick_executor(x)))
			return e;
	for (struct tenant *x = tenants->list; x; x = x->next)
		if (x->id <= t->last_tenant && (e = pick_executor(x)))
			return e;
	return NULL;
}

uint64_t turns_step(struct turns *t, struct tenants *tenants, uint64_t now)
{
	uint32_t wanting = 0;
	bool holder_wants = t->holder && wants(t->holder);

	for (struct tenant *x = tenants->list; x; x = x->next)
		for (struct executor *e = x->executors; e; e = e->next)
			wanting += wants(e);
	if (wanting > holder_wants && (!holder_wants || now - t->granted_at >= QUANTUM_NS)) {
		struct executor *next;

		take_back(t);
		next = pick(t, tenants);
		grant(t, next, now);
	} else if (wanting > 0 && !t->holder) {
		grant(t, pick(t, tenants), now);
	}
	if (t->holder)
		atomic_store(&t->holder->page->contended, wanting > wants(t->holder));
	if (wanting <= 1)
		return 0;
	return now - t->granted_at >= QUANTUM_NS ? QUANTUM_NS : QUANTUM_NS - (now - t->granted_at);
}

void turns_forget(struct turns *t, struct executor *e)
{
	if (t->holder == e)
		t->holder = NULL;
}
