/* SPDX-License-Identifier: MIT */
/*
 * fair.h - a queue of things that share by weight: tenants of a priority class, executors of a
 * tenant.
 *
 * Earliest eligible virtual deadline first. Everybody has a virtual time: what it got, divided by
 * its weight. The queue's virtual time is the mean of those of its members, weighted: who is not
 * ahead of it is eligible, for it got no more than its share. A request is for a slice; its virtual
 * deadline is the virtual time at which the slice is used up. The eligible member with the earliest
 * deadline is next. So nobody is ever further from its share than about a slice, whatever the
 * weights (I. Stoica and H. Abdel-Wahab, 1995).
 *
 * Who comes back to the queue keeps its virtual time, but no further behind the queue's than a
 * slice or its credit (being idle earns nothing beyond that) and no further ahead than
 * FAIR_DEBT_NS.
 *
 * Pure: no time is read here, nothing is locked.
 */
#ifndef ARBITER_FAIR_H
#define ARBITER_FAIR_H

#include <stdbool.h>
#include <stdint.h>

#define FAIR_WEIGHT_MAX 10000
#define FAIR_DEBT_NS	1000000000u /* overuse that is remembered, at most */

struct fair_entity {
	struct fair_entity *next, *prev; /* of the queue, in no order */
	uint64_t v;			 /* virtual time: ns * FAIR_WEIGHT_MAX / weight; wraps */
	uint64_t deadline;
	uint64_t
		credit_ns; /* it may be so far behind when it joins, if that is more than a slice */
	uint32_t weight;   /* 1 .. FAIR_WEIGHT_MAX, set before the first fair_add */
	bool queued, known; /* known: v means something */
};

struct fair_queue {
	struct fair_entity *first;
	unsigned count;
	uint64_t v; /* of the time when it was last not empty */
};

/* Joins, with a request for slice_ns. */
void fair_add(struct fair_queue *q, struct fair_entity *e, uint64_t slice_ns);
void fair_remove(struct fair_queue *q, struct fair_entity *e);
/* Had the GPU for ns. It need not be in a queue. */
void fair_charge(struct fair_entity *e, uint64_t ns);
/* The same, but what would bring it further ahead of the queue's virtual time than lead_ns (of its
 * own) is forgotten. */
void fair_charge_up_to(const struct fair_queue *q, struct fair_entity *e, uint64_t ns,
		       uint64_t lead_ns);
/* Is so much ahead of the queue's virtual time at most, in ns of its own; forgets the rest. */
void fair_forgive(const struct fair_queue *q, struct fair_entity *e, uint64_t ns);
/* What is left of its slice, ns; 0: used up. */
uint64_t fair_left(const struct fair_entity *e);
/* Requests another slice. */
void fair_renew(struct fair_entity *e, uint64_t slice_ns);
/* Who is next; NULL: nobody is there. */
struct fair_entity *fair_pick(const struct fair_queue *q);
/* The queue's virtual time now. */
uint64_t fair_time(const struct fair_queue *q);
/* Changes a weight: how far e is from its share, in ns, stays. */
void fair_set_weight(const struct fair_queue *q, struct fair_entity *e, uint32_t weight);

#endif
