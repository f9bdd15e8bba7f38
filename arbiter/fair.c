// SPDX-License-Identifier: MIT
/* fair.c - see fair.h. */
#include "arbiter/fair.h"

#include <stddef.h>

/* Differences of virtual times are small against 2^63: at weight 1 that is ten days of GPU time. */
static int64_t diff(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b);
}

static uint64_t to_virtual(const struct fair_entity *e, uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * FAIR_WEIGHT_MAX / e->weight);
}

uint64_t fair_time(const struct fair_queue *q)
{
	__int128 sum = 0;
	uint64_t weights = 0;
	uint64_t base;

	if (!q->first)
		return q->v;
	base = q->first->v;
	for (const struct fair_entity *e = q->first; e; e = e->next)
		if (diff(e->v, base) < 0)
			base = e->v;
	for (const struct fair_entity *e = q->first; e; e = e->next) {
		sum += (__int128)diff(e->v, base) * e->weight;
		weights += e->weight;
	}
	return base + (uint64_t)(sum / weights);
}

/* Brings v into the window about now that fair.h tells of. */
static void place(struct fair_entity *e, uint64_t now, uint64_t slice_ns)
{
	int64_t behind = (int64_t)to_virtual(e, e->credit_ns > slice_ns ? e->credit_ns : slice_ns);
	int64_t ahead = (int64_t)to_virtual(e, FAIR_DEBT_NS);

	if (!e->known)
		e->v = now;
	else if (diff(e->v, now) < -behind)
		e->v = now - (uint64_t)behind;
	else if (diff(e->v, now) > ahead)
		e->v = now + (uint64_t)ahead;
	e->known = true;
}

void fair_add(struct fair_queue *q, struct fair_entity *e, uint64_t slice_ns)
{
	if (e->queued)
		return;
	place(e, fair_time(q), slice_ns);
	e->deadline = e->v + to_virtual(e, slice_ns);
	e->prev = NULL;
	e->next = q->first;
	if (q->first)
		q->first->prev = e;
	q->first = e;
	q->count++;
	e->queued = true;
}

void fair_remove(struct fair_queue *q, struct fair_entity *e)
{
	if (!e->queued)
		return;
	q->v = fair_time(q);
	if (e->prev)
		e->prev->next = e->next;
	else
		q->first = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->next = e->prev = NULL;
	q->count--;
	e->queued = false;
}

void fair_charge(struct fair_entity *e, uint64_t ns)
{
	e->v += to_virtual(e, ns);
}

void fair_charge_up_to(const struct fair_queue *q, struct fair_entity *e, uint64_t ns,
		       uint64_t lead_ns)
{
	uint64_t before = e->v;

	fair_charge(e, ns);
	fair_forgive(q, e, lead_ns);
	if (diff(e->v, before) < 0)
		e->v = before;
}

void fair_forgive(const struct fair_queue *q, struct fair_entity *e, uint64_t ns)
{
	uint64_t limit = fair_time(q) + to_virtual(e, ns);

	if (diff(e->v, limit) > 0)
		e->v = limit;
}

uint64_t fair_left(const struct fair_entity *e)
{
	int64_t left = diff(e->deadline, e->v);

	if (left <= 0)
		return 0;
	return (uint64_t)((unsigned __int128)left * e->weight / FAIR_WEIGHT_MAX);
}

void fair_renew(struct fair_entity *e, uint64_t slice_ns)
{
	e->deadline = e->v + to_virtual(e, slice_ns);
}

struct fair_entity *fair_pick(const struct fair_queue *q)
{
	uint64_t now = fair_time(q);
	struct fair_entity *best = NULL;

	for (struct fair_entity *e = q->first; e; e = e->next)
		if (diff(e->v, now) <= 0 && (!best || diff(e->deadline, best->deadline) < 0))
			best = e;
	return best;
}

void fair_set_weight(const struct fair_queue *q, struct fair_entity *e, uint32_t weight)
{
	uint64_t now = fair_time(q);
	int64_t ahead = diff(e->v, now);

	if (e->known)
		e->v = now + (uint64_t)(int64_t)((__int128)ahead * e->weight / weight);
	e->weight = weight;
}
