/* SPDX-License-Identifier: MIT */
/*
 * sim.h - clients of the arbiter on simulated time, for tests of arbiter/turns.c. They follow the
 * protocol of arbiter/protocol.h as arbiter/client.c does, in steps of SIM_TICK_NS.
 */
#ifndef TESTS_ARBITER_SIM_H
#define TESTS_ARBITER_SIM_H

#include "arbiter/tenants.h"
#include "arbiter/turns.h"

#define SIM_TICK_NS 10000u
#define SIM_MAX	    64
#define MS	    1000000ull
#define SEC	    1000000000ull

struct sim_client {
	struct executor e;
	struct arbiter_page page;
	/* What it does: jobs of burst_ns of GPU time. After one the next comes gap_ns later (0: at
	 * once), or, with period_ns, at the period's next multiple. Nothing before start_ns. */
	uint64_t burst_ns, gap_ns, period_ns, start_ns;
	uint64_t leave_ns;   /* how long its threads take to leave */
	uint64_t starved_ns; /* how long they get no CPU instead, each third time */
	bool ignores;	     /* it never leaves */
	bool stopped;	     /* its process is stopped */
	/* State. */
	unsigned losses;
	uint64_t left_ns, next_at, idle_at, lost_at, job_at;
	bool working;
	uint64_t cpu;
	/* What came of it. */
	uint64_t ran_ns, jobs, missed, wait_max_ns, done_max_ns, pokes;
	bool dropped, first_wait;
};

struct sim {
	struct turns turns;
	struct tenant tenants[SIM_MAX];
	struct sim_client clients[SIM_MAX];
	unsigned num_tenants, num_clients;
	uint64_t now, timer_at;
	uint64_t busy_ns;		   /* somebody's work ran */
	uint64_t stalled_ns, stall_max_ns; /* nobody's work ran though somebody may and wants to */
	bool busy, pending;
	unsigned long steps;
};

void sim_init(struct sim *sim);
/* A tenant with one greedy executor. */
struct sim_client *sim_tenant(struct sim *sim, const struct tenant_policy *policy);
/* Another executor of c's tenant. */
struct sim_client *sim_join(struct sim *sim, struct sim_client *c);
/* The client writes its eventfd. */
void sim_poke(struct sim *sim, struct sim_client *c);
void sim_step(struct sim *sim);
/* A stopped one goes on; its waiting thread says so. */
void sim_continue(struct sim *sim, struct sim_client *c);
void sim_run(struct sim *sim, uint64_t ns);
/* Sets all results to zero, and held_ns of tenants. */
void sim_reset(struct sim *sim);

#endif
