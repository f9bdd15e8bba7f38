/* SPDX-License-Identifier: MIT */
/*
 * turns.h - whose turn it is on the GPU: the one place where that is decided. docs/scheduling.md
 * tells the model; protocol.h what the shared words mean.
 *
 * Pure but for the ops below: time is an argument (CLOCK_MONOTONIC, ns), so tests run it on
 * simulated time.
 */
#ifndef ARBITER_TURNS_H
#define ARBITER_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "arbiter/fair.h"
#include "arbiter/policy.h"

struct executor;
struct tenant;

/* Of the tenants that compete a turn lasts LATENCY_NS / their number, within these. */
#define TURNS_LATENCY_NS   20000000u
#define TURNS_SLICE_MIN_NS 4000000u
#define TURNS_SLICE_MAX_NS 8000000u
/* A turn is not cut short for an equal that woke before it lasted so long. */
#define TURNS_RUN_MIN_NS 2000000u
/* A holder without work keeps the GPU so long, if it used to come back in time. */
#define TURNS_GAP_NS 150000u
/* A holder must have left so long after it was asked to, or others go on without it. */
#define TURNS_HANDOVER_NS 2000000u
/* A holder that has not run anything for so long (twice) does not get to: it is stopped. */
#define TURNS_NO_SHOW_NS 2000000u
/* An executor that goes on so long after its turn, by its process's CPU time, is logged; then it is
 * disconnected. */
#define TURNS_IGNORED_NS 1000000000u
#define TURNS_DROP_NS	 10000000000u
/* A cap holds over any stretch of time that is long against this. */
#define TURNS_CAP_WINDOW_NS 100000000u

struct turns_ops {
	/* page->granted was set: wakes who waits on it. */
	void (*wake)(void *ctx, struct executor *e);
	/* CPU time of the executor's process, ns; 0: unknown. */
	uint64_t (*cpu_ns)(void *ctx, const struct executor *e);
	/* It ignored the end of its turn for TURNS_DROP_NS: to be disconnected after the step. */
	void (*drop)(void *ctx, struct executor *e);
};

/* Part of struct executor. Zeroed at first. */
struct turn_executor {
	struct fair_entity fair;      /* in its tenant's queue while it wants the GPU */
	struct executor *late_next;   /* it goes on after its turn was given to the next */
	uint64_t late_at;	      /* when that turn was taken back; 0: it isn't late */
	uint64_t late_seen, late_cpu; /* up to when it is charged; CPU time then */
	uint64_t late_busy;	      /* ns it really ran since late_at */
	uint32_t gap_misses;	      /* times in a row that it did not come back after a gap */
	bool warned, dropped;
	bool absent; /* it had a turn and did not run: passed over until it pokes */
};

/* Part of struct tenant. Zeroed at first; turns_join before its first executor wants anything. */
struct turn_tenant {
	struct fair_entity fair;     /* in its class's queue while an executor wants */
	struct fair_queue executors; /* those that want the GPU */
	struct tenant_policy policy;
	struct tenant *next_reserved, *next_throttled; /* of those that want the GPU */
	int64_t budget;				       /* reservation: left in this period, ns */
	uint64_t deadline;			       /* and the period's end */
	int64_t tokens;				       /* cap: ns it may have at once */
	uint64_t tokens_at;			       /* as of */
	uint64_t throttled_at;			       /* 0: it isn't */
	/* Figures since it started. */
	uint64_t held_ns;     /* it had the GPU */
	uint64_t turns;	      /* times it got the GPU */
	uint64_t taken;	      /* times it was taken away */
	uint64_t late;	      /* times it had not left within TURNS_HANDOVER_NS */
	uint64_t late_max_ns; /* longest it took to leave, of those */
	uint64_t ignored;     /* times it ran on for TURNS_IGNORED_NS */
	uint64_t overrun_ns;  /* of held_ns: after its turn was given to the next */
	uint64_t throttled_ns;
};

struct turns {
	const struct turns_ops *ops;
	void *ctx;
	struct fair_queue classes[POLICY_PRIORITIES];
	struct tenant *reserved;  /* tenants with a reservation that want the GPU */
	struct tenant *throttled; /* tenants that want the GPU and are over their cap */
	struct executor *late;
	struct executor *holder;
	unsigned competing; /* tenants in the classes' queues */
	bool revoking;	    /* the holder was asked to leave */
	bool counted;	    /* the holder's page says contended: its time is measured by us */
	bool as_reserved;   /* the holder runs on its reservation */
	bool woken;	    /* somebody came while the holder's turn lasts */
	bool in_gap;	    /* the holder has no work for the moment */
	uint64_t gap_until;
	uint64_t granted_at, revoked_at;
	uint64_t settled_at; /* the holder is charged up to here */
	uint64_t wanted;     /* what the holder's page said then of the time it wanted the GPU */
	uint64_t show_at, show_cpu; /* when to look whether the holder runs; 0: it does */
	uint64_t look_late_at;	    /* when to look at late ones; 0: there are none */
};

void turns_init(struct turns *turns, const struct turns_ops *ops, void *ctx);

/* A tenant starts, with this policy (checked and admitted). */
void turns_join(struct turns *turns, struct tenant *tenant, const struct tenant_policy *policy);
/* Its policy changes while it runs. Call turns_step afterwards. */
void turns_set_policy(struct turns *turns, struct tenant *tenant,
		      const struct tenant_policy *policy, uint64_t now);

/* The executor wrote its eventfd: looks what it wants. Call turns_step after one or several. */
void turns_poke(struct turns *turns, struct executor *executor, uint64_t now);

/* Gives the GPU on if need be. Returns the ns after which it wants to be called again, 0: only when
 * an executor is poked. */
uint64_t turns_step(struct turns *turns, uint64_t now);

/* This executor is going. Call turns_step afterwards. */
void turns_forget(struct turns *turns, struct executor *executor, uint64_t now);

/* Charges the holder up to now, so that figures are those of now. */
void turns_settle(struct turns *turns, uint64_t now);

#endif
