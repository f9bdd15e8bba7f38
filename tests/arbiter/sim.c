// SPDX-License-Identifier: MIT
/* sim.c - see sim.h. */
#include "tests/arbiter/sim.h"

#include <stdlib.h>
#include <string.h>

/* As gpu/soft: the GPU is given back when it had no work for so long. */
#define RELEASE_NS 50000u

static struct sim_client *client_of(const struct executor *e)
{
	return (struct sim_client *)(void *)e; /* the first member */
}

static void wake(void *ctx, struct executor *e)
{
	if (atomic_load(&e->page->granted) != 1)
		abort();
}

static uint64_t cpu_ns(void *ctx, const struct executor *e)
{
	return client_of(e)->cpu;
}

static void drop(void *ctx, struct executor *e)
{
	client_of(e)->dropped = true;
}

static const struct turns_ops ops = {.wake = wake, .cpu_ns = cpu_ns, .drop = drop};

void sim_init(struct sim *s)
{
	memset(s, 0, sizeof(*s));
	s->now = 1000 * SEC;
	turns_init(&s->turns, &ops, s);
}

static struct sim_client *add(struct sim *s, struct tenant *x)
{
	struct sim_client *c = &s->clients[s->num_clients++];

	c->e.tenant = x;
	c->e.kind = ARBITER_VM;
	c->e.page = &c->page;
	c->e.next = x->executors;
	x->executors = &c->e;
	c->burst_ns = 50 * MS;
	c->leave_ns = 30000;
	c->cpu = 1;
	return c;
}

struct sim_client *sim_tenant(struct sim *s, const struct tenant_policy *policy)
{
	struct tenant *x = &s->tenants[s->num_tenants++];

	x->id = s->num_tenants;
	turns_join(&s->turns, x, policy ? policy : &policy_default);
	return add(s, x);
}

struct sim_client *sim_join(struct sim *s, struct sim_client *c)
{
	return add(s, c->e.tenant);
}

void sim_step(struct sim *s)
{
	uint64_t after = turns_step(&s->turns, s->now);

	s->timer_at = after ? s->now + after : 0;
	s->steps++;
}

void sim_poke(struct sim *s, struct sim_client *c)
{
	c->pokes++;
	turns_poke(&s->turns, &c->e, s->now);
	sim_step(s);
}

static void begin_job(struct sim *s, struct sim_client *c)
{
	c->working = true;
	c->left_ns = c->burst_ns;
	c->job_at = c->next_at;
	c->first_wait = true;
	if (atomic_exchange(&c->page.want, 1))
		return;
	c->page.want_since = s->now;
	if (!c->page.granted)
		sim_poke(s, c);
}

static void end_job(struct sim *s, struct sim_client *c)
{
	uint64_t took = s->now - c->job_at;

	c->jobs++;
	if (took > c->done_max_ns)
		c->done_max_ns = took;
	c->working = false;
	c->idle_at = s->now;
	if (c->period_ns) {
		c->missed += took > c->period_ns;
		c->next_at += c->period_ns;
	} else {
		c->next_at = s->now + c->gap_ns;
	}
	if (c->next_at <= s->now) {
		begin_job(s, c);
		return;
	}
	c->page.users = 0;
	if (!c->page.granted)
		sim_poke(s, c);
}

static void leave(struct sim *s, struct sim_client *c)
{
	c->page.users = 0;
	c->lost_at = 0;
	sim_poke(s, c);
}

static void run(struct sim *s, struct sim_client *c)
{
	if (!c->page.users) {
		if (!c->page.granted)
			return;
		c->page.users = 1;
		if (c->first_wait && s->now - c->job_at > c->wait_max_ns)
			c->wait_max_ns = s->now - c->job_at;
		c->first_wait = false;
		return; /* it begins with the next tick */
	}
	if (c->page.granted)
		c->lost_at = 0;
	else if (!c->lost_at) {
		c->lost_at = s->now;
		c->losses++;
	}
	if (c->lost_at && c->starved_ns && c->losses % 3 == 0) {
		if (s->now - c->lost_at >= c->starved_ns)
			leave(s, c);
		return;
	}
	if (c->lost_at && !c->ignores && s->now - c->lost_at >= c->leave_ns) {
		leave(s, c);
		return;
	}
	c->ran_ns += SIM_TICK_NS;
	c->cpu += SIM_TICK_NS;
	s->busy = true;
	c->left_ns -= c->left_ns < SIM_TICK_NS ? c->left_ns : SIM_TICK_NS;
	if (!c->left_ns)
		end_job(s, c);
}

static void tick(struct sim *s, struct sim_client *c)
{
	if (c->stopped)
		return;
	if (!c->next_at)
		c->next_at = s->now + c->start_ns;
	if (!c->working && s->now >= c->next_at)
		begin_job(s, c);
	if (c->working) {
		s->pending |= !c->e.tenant->turn.throttled_at;
		run(s, c);
	} else if (c->page.want && s->now - c->idle_at >= RELEASE_NS) {
		c->page.wanted_ns += s->now - c->page.want_since;
		c->page.want_since = 0;
		c->page.want = 0;
		if (c->page.contended)
			sim_poke(s, c);
	}
}

void sim_continue(struct sim *s, struct sim_client *c)
{
	c->stopped = false;
	sim_poke(s, c);
}

void sim_run(struct sim *s, uint64_t ns)
{
	for (uint64_t end = s->now + ns; s->now < end; s->now += SIM_TICK_NS) {
		if (s->timer_at && s->now >= s->timer_at)
			sim_step(s);
		s->busy = s->pending = false;
		for (unsigned i = 0; i < s->num_clients; i++)
			tick(s, &s->clients[i]);
		s->busy_ns += s->busy ? SIM_TICK_NS : 0;
		s->stalled_ns = s->pending && !s->busy ? s->stalled_ns + SIM_TICK_NS : 0;
		if (s->stalled_ns > s->stall_max_ns)
			s->stall_max_ns = s->stalled_ns;
	}
	turns_settle(&s->turns, s->now);
}

void sim_reset(struct sim *s)
{
	s->busy_ns = 0;
	s->steps = 0;
	for (unsigned i = 0; i < s->num_clients; i++) {
		struct sim_client *c = &s->clients[i];

		c->ran_ns = c->jobs = c->missed = c->wait_max_ns = c->done_max_ns = c->pokes = 0;
	}
	for (unsigned i = 0; i < s->num_tenants; i++)
		s->tenants[i].turn.held_ns = 0;
}
