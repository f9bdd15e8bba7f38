// SPDX-License-Identifier: MIT
/* test_turns.c - arbiter/turns.c on simulated time: who gets how much of the GPU, and when. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/arbiter/sim.h"

static struct sim sim;

static struct tenant_policy weight(uint32_t w)
{
	struct tenant_policy p = policy_default;

	p.weight = w;
	return p;
}

static struct tenant_policy reserve(uint64_t budget, uint64_t period)
{
	struct tenant_policy p = policy_default;

	p.budget_ns = budget;
	p.period_ns = period;
	return p;
}

static double held(const struct sim_client *c)
{
	return (double)c->e.tenant->turn.held_ns;
}

/* Jain's index of held time over weight. */
static double jain(void)
{
	double sum = 0, squares = 0;

	for (unsigned i = 0; i < sim.num_tenants; i++) {
		struct turn_tenant *x = &sim.tenants[i].turn;
		double v = (double)x->held_ns / x->policy.weight;

		sum += v;
		squares += v * v;
	}
	return sum * sum / (squares * sim.num_tenants);
}

static void assert_share(double part, double whole, double share, double tolerance)
{
	if (fabs(part / whole - share) > tolerance)
		fail_msg("a share of %.4f, not %.4f +- %.4f", part / whole, share, tolerance);
}

static void one_holder_at_a_time(void)
{
	unsigned granted = 0;

	for (unsigned i = 0; i < sim.num_clients; i++)
		granted += sim.clients[i].page.granted;
	assert_true(granted <= 1);
	assert_true(!granted || (sim.turns.holder && sim.turns.holder->page->granted));
}

static void a_lone_tenant_is_left_alone(void **state)
{
	struct sim_client *c;

	sim_init(&sim);
	c = sim_tenant(&sim, NULL);
	c->burst_ns = 200000;
	c->gap_ns = 3 * MS; /* it releases the GPU after each job */
	sim_run(&sim, 10 * SEC);
	assert_int_equal(c->pokes, 1);
	assert_int_equal(sim.steps, 1); /* no timer either */
	assert_int_equal(c->e.tenant->turn.turns, 1);
	/* Its figure is of the time it wanted the GPU: jobs of 0.2 ms and 0.05 ms until release. */
	assert_share(held(c), 10 * SEC, 0.26 / 3.21, 0.003);
}

static void equals_share_equally(void **state)
{
	sim_init(&sim);
	for (int i = 0; i < 4; i++)
		sim_tenant(&sim, NULL);
	sim_run(&sim, 10 * SEC);
	assert_true(jain() > 0.9999);
	assert_true((double)sim.busy_ns > 0.985 * 10 * SEC);
	one_holder_at_a_time();
}

static void weights_are_kept(void **state)
{
	static const uint32_t weights[] = {1, 2, 4, 100, 10000};
	double sum = 0;

	sim_init(&sim);
	for (int i = 0; i < 3; i++)
		sim_tenant(&sim,
			   &(struct tenant_policy){.weight = weights[i] * 100, .priority = 3});
	sim_run(&sim, 10 * SEC);
	for (int i = 0; i < 3; i++)
		assert_share(held(&sim.clients[i]), 10 * SEC, weights[i] / 7.0,
			     0.01 * weights[i] / 7);
	/* Extremes, for as long as the light one needs to have its turn: it has one of 4 ms at
	 * least. */
	sim_init(&sim);
	for (int i = 0; i < 5; i++)
		sim_tenant(&sim, &(struct tenant_policy){.weight = weights[i], .priority = 3});
	sim_run(&sim, 400 * SEC);
	for (int i = 0; i < 5; i++)
		sum += weights[i];
	for (int i = 0; i < 5; i++)
		assert_share(held(&sim.clients[i]), 400 * SEC, weights[i] / sum,
			     0.05 * weights[i] / sum + 0.00003);
}

/* All want more than their share: long kernels, short ones, short ones with the CPU's work between,
 * some slow to leave. */
static void mixed_behaviours_share_equally(void **state)
{
	static const struct {
		uint64_t burst, gap, leave;
	} kinds[] = {{2000 * MS, 0, 300000},  {100000, 0, 10000},      {100000, 30000, 10000},
		     {3 * MS, 120000, 50000}, {200000, 100000, 20000}, {20 * MS, 0, 900000}};

	sim_init(&sim);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct sim_client *c = sim_tenant(&sim, NULL);

		c->burst_ns = kinds[i].burst;
		c->gap_ns = kinds[i].gap;
		c->leave_ns = kinds[i].leave;
	}
	sim_run(&sim, 20 * SEC);
	assert_true(jain() > 0.995);
	/* Gaps of those that have some are lost (a third and a quarter of a sixth), little more. */
	assert_true((double)sim.busy_ns > 0.85 * 20 * SEC);
}

/* Whose gaps are too long to wait for loses turns, but catches up as far as it can. */
static void one_with_long_gaps_gets_what_it_can_use(void **state)
{
	struct sim_client *c;

	sim_init(&sim);
	c = sim_tenant(&sim, NULL);
	c->burst_ns = 1 * MS;
	c->gap_ns = 4 * MS; /* a fifth of the GPU at most; its share is a third */
	sim_tenant(&sim, NULL);
	sim_tenant(&sim, NULL);
	sim_run(&sim, 10 * SEC);
	assert_true(held(c) > 0.12 * 10 * SEC);
	assert_true(c->done_max_ns < 6 * MS);
	assert_share(held(&sim.clients[1]), held(&sim.clients[2]), 1, 0.01);
	assert_true((double)sim.busy_ns > 0.94 * 10 * SEC);
}

static void nothing_is_lost_while_somebody_wants(void **state)
{
	uint64_t alone;

	sim_init(&sim);
	sim_tenant(&sim, NULL);
	sim_run(&sim, 10 * SEC);
	alone = sim.busy_ns;
	sim_init(&sim);
	for (int i = 0; i < 4; i++)
		sim_tenant(&sim, NULL);
	sim_run(&sim, 10 * SEC);
	assert_true((double)sim.busy_ns > 0.98 * (double)alone);
	sim_init(&sim);
	sim_tenant(&sim, NULL);
	for (int i = 0; i < 3; i++) {
		struct sim_client *c = sim_tenant(&sim, NULL);

		c->burst_ns = 5 * MS;
		c->gap_ns = (uint64_t)(20 + 10 * i) * MS;
	}
	sim_run(&sim, 10 * SEC);
	assert_true((double)sim.busy_ns > 0.97 * (double)alone);
}

static void sleepers_hoard_nothing(void **state)
{
	struct sim_client *late;

	sim_init(&sim);
	sim_tenant(&sim, NULL);
	sim_tenant(&sim, NULL);
	late = sim_tenant(&sim, NULL);
	late->start_ns = 30 * SEC;
	sim_run(&sim, 30 * SEC);
	sim_reset(&sim);
	sim_run(&sim, 300 * MS);
	/* A slice of credit at most. */
	assert_share(held(late), 300 * MS, 1.0 / 3, 10.0 / 300);
	/* It sleeps, wakes, and sleeps: no more than its share plus that. */
	sim_init(&sim);
	sim_tenant(&sim, NULL);
	sim_tenant(&sim, NULL);
	late = sim_tenant(&sim, NULL);
	late->burst_ns = 50 * MS;
	late->gap_ns = 50 * MS;
	sim_run(&sim, 20 * SEC);
	assert_true(held(late) < 0.34 * 20 * SEC);
	assert_true(held(late) > 0.20 * 20 * SEC);
}

/* What one used of an idle GPU is not held against it when another comes. */
static void using_an_idle_gpu_makes_no_debt(void **state)
{
	struct sim_client *first, *second;

	sim_init(&sim);
	first = sim_tenant(&sim, NULL);
	second = sim_tenant(&sim, NULL);
	second->start_ns = 20 * SEC;
	sim_run(&sim, 20 * SEC);
	sim_reset(&sim);
	sim_run(&sim, 500 * MS);
	assert_share(held(first), 500 * MS, 0.5, 0.02);
	assert_share(held(second), 500 * MS, 0.5, 0.02);
}

static void higher_classes_come_first(void **state)
{
	struct tenant_policy high = policy_default, low = policy_default;
	struct sim_client *a, *b, *c;

	high.priority = 5;
	low.priority = 0;
	sim_init(&sim);
	a = sim_tenant(&sim, &high);
	b = sim_tenant(&sim, NULL);
	c = sim_tenant(&sim, &low);
	a->burst_ns = 10 * MS;
	a->gap_ns = 10 * MS;
	sim_run(&sim, 5 * SEC);
	assert_share(held(a), 5 * SEC, 0.5, 0.01);
	assert_true(a->wait_max_ns < 100000);
	assert_share(held(b), 5 * SEC, 0.5, 0.01);
	assert_true(held(c) == 0);
	/* While it runs, it goes to the class of the others. */
	turns_set_policy(&sim.turns, a->e.tenant, &policy_default, sim.now);
	turns_set_policy(&sim.turns, c->e.tenant, &policy_default, sim.now);
	sim_reset(&sim);
	sim_run(&sim, 5 * SEC);
	assert_share(held(c), held(b), 1, 0.01);
	assert_true(held(c) > 0.3 * 5 * SEC);
}

static void reservations_are_kept(void **state)
{
	struct tenant_policy p = reserve(6 * MS, 16600000), q = reserve(10 * MS, 40 * MS),
			     high = policy_default;
	struct sim_client *frame, *other;

	high.priority = 7;
	sim_init(&sim);
	frame = sim_tenant(&sim, &p);
	frame->burst_ns = 4 * MS;
	frame->period_ns = 16666667;
	other = sim_tenant(&sim, &q);
	other->burst_ns = 9 * MS;
	other->period_ns = 40 * MS;
	for (int i = 0; i < 3; i++) {
		struct sim_client *c = sim_tenant(&sim, i ? NULL : &high);

		c->burst_ns = i == 1 ? 1000 * MS : 500000;
		c->leave_ns = 200000;
	}
	sim_run(&sim, 120 * SEC);
	assert_true(frame->jobs > 7190 && other->jobs > 2990);
	assert_int_equal(frame->missed, 0);
	assert_int_equal(other->missed, 0);
	assert_true(other->done_max_ns < 25 * MS);
	/* The most urgent one has the GPU as soon as the holder has left. */
	sim_init(&sim);
	frame = sim_tenant(&sim, &p);
	frame->burst_ns = 4 * MS;
	frame->period_ns = 16666667;
	for (int i = 0; i < 3; i++)
		sim_tenant(&sim, NULL)->leave_ns = 200000;
	sim_run(&sim, 60 * SEC);
	assert_int_equal(frame->missed, 0);
	assert_true(frame->wait_max_ns < 300000);
	assert_true(frame->done_max_ns < 4 * MS + 400000);
	assert_true((double)sim.busy_ns > 0.96 * 60 * SEC);
}

/* Two reservations of 45 % each, which only the earliest deadline first keeps. */
static void deadlines_decide_among_reserved(void **state)
{
	struct tenant_policy p = reserve(4500000, 10 * MS), q = reserve(18 * MS, 40 * MS);
	struct sim_client *a, *b;

	for (int order = 0; order < 2; order++) {
		sim_init(&sim);
		a = sim_tenant(&sim, order ? &p : &q);
		b = sim_tenant(&sim, order ? &q : &p);
		if (!order) {
			struct sim_client *swap = a;

			a = b;
			b = swap;
		}
		a->burst_ns = 4 * MS;
		a->period_ns = 10 * MS;
		b->burst_ns = 16 * MS;
		b->period_ns = 40 * MS;
		b->start_ns = 3 * MS;
		sim_tenant(&sim, NULL);
		sim_run(&sim, 20 * SEC);
		assert_int_equal(a->missed, 0);
		assert_int_equal(b->missed, 0);
		assert_true(a->jobs > 1990 && b->jobs > 490);
	}
}

/* The budget comes back at the period's end, to the moment. */
static void short_periods_are_kept(void **state)
{
	static const uint64_t periods[] = {2 * MS, 5 * MS, 7 * MS, 11 * MS, 30 * MS};

	for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
		struct tenant_policy p = reserve(1 * MS, periods[i]), heavy = weight(10000);
		struct sim_client *c;

		p.weight = 1;
		sim_init(&sim);
		c = sim_tenant(&sim, &p);
		sim_tenant(&sim, &heavy);
		sim_run(&sim, 10 * SEC);
		assert_share(held(c), 10 * SEC, 1e6 / (double)periods[i], 0.002);
	}
}

static void a_reservation_is_no_more_than_that(void **state)
{
	struct tenant_policy p = reserve(2 * MS, 10 * MS), heavy = weight(10000);
	struct sim_client *greedy;

	p.weight = 1;
	sim_init(&sim);
	greedy = sim_tenant(&sim, &p);
	sim_tenant(&sim, &heavy);
	sim_run(&sim, 20 * SEC);
	assert_share(held(greedy), 20 * SEC, 0.2, 0.01);
	/* By weight it had half: the reservation takes nothing away, nor adds to it. */
	turns_set_policy(
		&sim.turns, greedy->e.tenant,
		&(struct tenant_policy){
			.weight = 10000, .priority = 3, .budget_ns = 2 * MS, .period_ns = 10 * MS},
		sim.now);
	sim_reset(&sim);
	sim_run(&sim, 20 * SEC);
	assert_share(held(greedy), 20 * SEC, 0.5, 0.02);
	/* Without it there is no debt beyond two slices. */
	turns_set_policy(&sim.turns, greedy->e.tenant, &heavy, sim.now);
	sim_reset(&sim);
	sim_run(&sim, 1 * SEC);
	assert_share(held(greedy), 1 * SEC, 0.5, 0.03);
}

static void caps_are_kept(void **state)
{
	struct tenant_policy p = policy_default;
	struct sim_client *capped;
	uint64_t alone;

	for (p.cap = 1; p.cap <= 100; p.cap += p.cap == 1 ? 19 : 40) {
		sim_init(&sim); /* even if nobody else wants the GPU */
		capped = sim_tenant(&sim, &p);
		sim_run(&sim, 20 * SEC);
		alone = capped->e.tenant->turn.held_ns;
		assert_true((double)alone <= p.cap / 100.0 * (20 * SEC + 100 * MS) + 1 * MS);
		assert_true((double)alone >= p.cap / 100.0 * 20 * SEC * 0.99 - 1 * MS);
		/* Jobs with pauses: seen, too. */
		sim_init(&sim);
		capped = sim_tenant(&sim, &p);
		capped->burst_ns = 1 * MS;
		capped->gap_ns = 300000;
		sim_run(&sim, 20 * SEC);
		assert_true(held(capped) <= p.cap / 100.0 * (20 * SEC + 100 * MS) + 1 * MS);
		assert_true((double)capped->ran_ns > 0.6 * p.cap / 100.0 * 20 * SEC);
	}
	p.cap = 10;
	sim_init(&sim); /* others have the rest */
	capped = sim_tenant(&sim, &p);
	sim_tenant(&sim, NULL);
	sim_tenant(&sim, NULL);
	sim_run(&sim, 20 * SEC);
	assert_share(held(capped), 20 * SEC, 0.1, 0.006);
	assert_share(held(&sim.clients[1]), 20 * SEC, 0.45, 0.006);
	assert_true(capped->e.tenant->turn.throttled_ns > 0.7 * 20 * SEC);
	p.cap = 0; /* it is taken off while the tenant waits */
	turns_set_policy(&sim.turns, capped->e.tenant, &p, sim.now);
	sim_reset(&sim);
	sim_run(&sim, 10 * SEC);
	assert_share(held(capped), 10 * SEC, 1 / 3.0, 0.01);
}

/* Somebody who waits for his cap is no reason to watch others. */
static void the_capped_are_no_burden(void **state)
{
	struct tenant_policy p = policy_default;
	struct sim_client *c;

	p.cap = 5;
	sim_init(&sim);
	sim_tenant(&sim, &p);
	c = sim_tenant(&sim, NULL);
	c->burst_ns = 1 * MS;
	c->gap_ns = 9 * MS;
	sim_run(&sim, 20 * SEC);
	/* A millisecond's work, until it is seen idle, and its gap: of 10 ms. */
	assert_share((double)c->ran_ns, 20 * SEC, 0.1, 0.003);
	assert_share(held(c), 20 * SEC, 0.105, 0.006);
}

static void executors_share_their_tenants_part(void **state)
{
	struct sim_client *a, *b[3];
	double sum = 0;

	sim_init(&sim);
	a = sim_tenant(&sim, NULL);
	b[0] = sim_tenant(&sim, NULL);
	b[1] = sim_join(&sim, b[0]);
	b[2] = sim_join(&sim, b[0]);
	b[2]->burst_ns = 100000;
	b[2]->gap_ns = 20000;
	sim_run(&sim, 20 * SEC);
	assert_share(held(a), 20 * SEC, 0.5, 0.01);
	for (int i = 0; i < 3; i++)
		sum += (double)b[i]->ran_ns;
	assert_share((double)b[0]->ran_ns, sum, 1 / 3.0, 0.03);
	assert_share((double)b[1]->ran_ns, sum, 1 / 3.0, 0.03);
	assert_share((double)b[2]->ran_ns, sum, 1 / 3.0, 0.07); /* its gaps are its own */
}

/* Synchronous dispatches keep the GPU through their gaps, at no call for each. */
static void short_gaps_are_waited_for(void **state)
{
	struct sim_client *sync, *other;

	sim_init(&sim);
	sync = sim_tenant(&sim, NULL);
	sync->burst_ns = 100000;
	sync->gap_ns = 40000;
	other = sim_tenant(&sim, NULL);
	sim_run(&sim, 10 * SEC);
	assert_true(jain() > 0.999);
	assert_true(sync->jobs > 30000);
	assert_true(sync->pokes < 2 * (sync->e.tenant->turn.turns + 1));
	assert_true(other->pokes < 2 * (other->e.tenant->turn.turns + 1));
}

/* A holder that takes longer than the bound: others go on, it is charged and counted. */
static void the_late_are_not_waited_for(void **state)
{
	struct sim_client *late, *other;

	sim_init(&sim);
	late = sim_tenant(&sim, NULL);
	late->leave_ns = 7 * MS;
	other = sim_tenant(&sim, NULL);
	sim_run(&sim, 10 * SEC);
	assert_true(late->e.tenant->turn.late > 300);
	assert_in_range(late->e.tenant->turn.late_max_ns, 7 * MS, 7 * MS + 200000);
	assert_true(late->e.tenant->turn.overrun_ns > 300 * 5 * MS);
	assert_int_equal(late->e.tenant->turn.ignored, 0);
	assert_int_equal(other->e.tenant->turn.late, 0);
	/* Its overrun counts as its share; the other's work beside that does not. */
	assert_share(held(late), held(other), 0.75, 0.02);
	assert_false(late->dropped);
}

/* The host's CPUs are busy, and it often gets none when it is to leave. */
static void the_starved_keep_their_share(void **state)
{
	static const uint32_t weights[] = {1, 2, 4};

	sim_init(&sim);
	for (int i = 0; i < 3; i++)
		sim_tenant(&sim, &(struct tenant_policy){.weight = weights[i] * 100, .priority = 3})
			->starved_ns = 25 * MS;
	sim_run(&sim, 30 * SEC);
	for (int i = 0; i < 3; i++)
		assert_share(held(&sim.clients[i]), 30 * SEC, weights[i] / 7.0,
			     0.05 * weights[i] / 7);
}

static void who_ignores_its_turns_end_is_dropped(void **state)
{
	struct sim_client *bad, *other;

	sim_init(&sim);
	bad = sim_tenant(&sim, NULL);
	bad->ignores = true;
	other = sim_tenant(&sim, NULL);
	sim_run(&sim, 900 * MS);
	assert_int_equal(bad->e.tenant->turn.ignored, 0);
	sim_run(&sim, 300 * MS);
	assert_int_equal(bad->e.tenant->turn.ignored, 1);
	assert_false(bad->dropped);
	sim_run(&sim, 8 * SEC);
	assert_false(bad->dropped);
	sim_run(&sim, 2 * SEC);
	assert_true(bad->dropped);
	assert_true(other->ran_ns > 11 * SEC);
	turns_forget(&sim.turns, &bad->e, sim.now);
	bad->stopped = true;
	sim_run(&sim, 1 * SEC);
	assert_true(other->ran_ns > 12 * SEC);
}

static void who_is_stopped_is_not_punished(void **state)
{
	struct sim_client *dbg, *other;

	sim_init(&sim);
	dbg = sim_tenant(&sim, NULL);
	other = sim_tenant(&sim, NULL);
	sim_run(&sim, 1 * SEC);
	while (!dbg->page.users) /* in the midst of its work */
		sim_run(&sim, SIM_TICK_NS);
	dbg->stopped = true;
	sim_reset(&sim);
	sim_run(&sim, 60 * SEC);
	assert_false(dbg->dropped);
	assert_int_equal(dbg->e.tenant->turn.ignored, 0);
	assert_true(dbg->e.tenant->turn.held_ns < 15 * MS);
	assert_true(other->ran_ns > 59900 * MS);
	sim_continue(&sim, dbg);
	sim_reset(&sim);
	sim_run(&sim, 500 * MS);
	assert_share(held(dbg), 500 * MS, 0.5, 0.04);
}

/* One that is stopped while it waits costs nobody its turns. */
static void who_does_not_show_is_passed_over(void **state)
{
	struct sim_client *dbg, *other;

	sim_init(&sim);
	dbg = sim_tenant(&sim, NULL);
	other = sim_tenant(&sim, NULL);
	sim_run(&sim, 1 * SEC);
	while (dbg->page.granted || dbg->page.users || !dbg->page.want)
		sim_run(&sim, SIM_TICK_NS);
	dbg->stopped = true;
	sim_reset(&sim);
	sim_run(&sim, 60 * SEC);
	assert_true(other->ran_ns > 59900 * MS);
	sim_continue(&sim, dbg);
	sim_reset(&sim);
	sim_run(&sim, 500 * MS);
	assert_share(held(dbg), 500 * MS, 0.5, 0.04);
}

static void the_dead_are_forgotten(void **state)
{
	struct sim_client *c[4];

	for (int when = 0; when < 40; when++) {
		sim_init(&sim);
		for (int i = 0; i < 4; i++)
			c[i] = sim_tenant(&sim, NULL);
		c[0]->leave_ns = 5 * MS;
		sim_run(&sim, (uint64_t)(100 * MS + when * MS));
		for (int i = 0; i < 3; i++) {
			turns_forget(&sim.turns, &c[i]->e, sim.now);
			c[i]->stopped = true;
			memset(&c[i]->e, 0xee, sizeof(c[i]->e)); /* it would be seen */
			sim_run(&sim, 3 * MS);
		}
		sim_reset(&sim);
		sim_run(&sim, 50 * MS);
		assert_true(c[3]->ran_ns > 49 * MS);
	}
}

static void many_tenants(void **state)
{
	sim_init(&sim);
	for (int i = 0; i < SIM_MAX; i++)
		sim_tenant(&sim, NULL)->start_ns = (uint64_t)i * 100000;
	sim_run(&sim, 30 * SEC);
	assert_true(jain() > 0.999);
	for (unsigned i = 0; i < sim.num_clients; i++)
		assert_true(sim.clients[i].e.tenant->turn.turns > 50);
}

/* Whatever honest clients do, and though none of them asks twice: the GPU never stands still while
 * there is work, but for hand-overs and gaps, and everybody comes to his turn. */
static void any_mix_goes_on(void **state)
{
	static const uint64_t bursts[] = {20000, 100000, 900000, 3 * MS, 40 * MS, 700 * MS};
	static const uint64_t gaps[] = {0, 20000, 60000, 140000, 250000, 3 * MS, 30 * MS};
	unsigned seed = 7;

	for (int round = 0; round < 150; round++) {
		unsigned n = 2 + (unsigned)rand_r(&seed) % 9, reserved = 0;

		sim_init(&sim);
		for (unsigned i = 0; i < n; i++) {
			struct tenant_policy p = policy_default;
			struct sim_client *c;

			p.weight = 50 + (uint32_t)rand_r(&seed) % 100;
			if (rand_r(&seed) % 5 == 0)
				p.cap = 20 + (uint32_t)rand_r(&seed) % 80;
			else if (rand_r(&seed) % 4 == 0 && reserved++ < 3)
				p.budget_ns = 2 * MS, p.period_ns = 10 * MS;
			c = sim_tenant(&sim, &p);
			for (unsigned more = (unsigned)rand_r(&seed) % 3; c; more--) {
				c->burst_ns = bursts[(unsigned)rand_r(&seed) % 6];
				c->gap_ns = gaps[(unsigned)rand_r(&seed) % 7];
				c->leave_ns = (unsigned)rand_r(&seed) % 1500000;
				c->start_ns = (unsigned)rand_r(&seed) % 30000000;
				c = more ? sim_join(&sim, c) : NULL;
			}
		}
		sim_run(&sim, 2 * SEC);
		if (sim.stall_max_ns > 1500000 + 3 * TURNS_GAP_NS)
			fail_msg("round %d: no work was done for %.3f ms", round,
				 (double)sim.stall_max_ns / 1e6);
		for (unsigned i = 0; i < sim.num_clients; i++)
			if (!sim.clients[i].e.tenant->turn.policy.cap &&
			    sim.clients[i].wait_max_ns > 600 * MS)
				fail_msg("round %d: client %u waited for %.1f ms", round, i,
					 (double)sim.clients[i].wait_max_ns / 1e6);
	}
}

/* Pages full of lies, policies that change, executors that come and go: one holder at a time, an
 * end of each step, and honest ones still get turns. */
static void liars(void **state)
{
	unsigned seed = 1;
	struct sim_client *honest;

	for (int round = 0; round < 20; round++) {
		sim_init(&sim);
		honest = sim_tenant(&sim, NULL);
		for (int i = 0; i < 12; i++) {
			struct sim_client *c = sim_tenant(&sim, NULL);

			c->stopped = true; /* we write its page ourselves */
			if (i % 3 == 0)
				sim_join(&sim, c)->stopped = true;
		}
		for (int i = 0; i < 20000; i++) {
			struct sim_client *c =
				&sim.clients[1 + (unsigned)rand_r(&seed) % (sim.num_clients - 1)];
			struct tenant_policy p = {.weight = 1 + (uint32_t)rand_r(&seed) % 10000,
						  .priority = (uint32_t)rand_r(&seed) % 4,
						  .cap = (uint32_t)rand_r(&seed) % 101};

			c->page.want = (uint32_t)rand_r(&seed) % 2;
			c->page.users = (uint32_t)rand_r(&seed) % 3 ? 0 : 0xffffffff;
			c->page.granted = (uint32_t)rand_r(&seed) % 2 ? c->page.granted : 1;
			c->page.contended = (uint32_t)rand_r(&seed);
			c->page.wanted_ns = (uint64_t)rand_r(&seed) << 33;
			c->page.want_since = (uint64_t)rand_r(&seed) << 33;
			c->cpu += (uint64_t)rand_r(&seed) % MS;
			if (rand_r(&seed) % 3)
				sim_poke(&sim, c);
			if (rand_r(&seed) % 50 == 0) {
				if (rand_r(&seed) % 2) {
					p.budget_ns = MS / 2;
					p.period_ns = 20 * MS;
					p.cap = 0;
				}
				turns_set_policy(&sim.turns, c->e.tenant, &p, sim.now);
			}
			if (rand_r(&seed) % 100 == 0) {
				turns_forget(&sim.turns, &c->e, sim.now);
				memset(&c->e.turn, 0, sizeof(c->e.turn));
			}
			sim_step(&sim);
			sim_run(&sim, (uint64_t)rand_r(&seed) % MS);
		}
		assert_true(honest->ran_ns > sim.now / 1000000);
		assert_true(honest->e.tenant->turn.turns > 100);
	}
}

static void bad_policies(void **state)
{
	static const struct tenant_policy bad[] = {
		{.weight = 0, .priority = 3},
		{.weight = 10001, .priority = 3},
		{.weight = 1, .priority = 8},
		{.weight = 1, .cap = 101},
		{.weight = 1, .kernel_ns = 999999},
		{.weight = 1, .kernel_ns = POLICY_KERNEL_MAX_NS + 1},
		{.weight = 1, .budget_ns = MS},
		{.weight = 1, .period_ns = 10 * MS},
		{.weight = 1, .budget_ns = MS, .period_ns = MS},
		{.weight = 1, .budget_ns = MS, .period_ns = 2 * SEC},
		{.weight = 1, .budget_ns = 99999, .period_ns = 10 * MS},
		{.weight = 1, .budget_ns = 11 * MS, .period_ns = 10 * MS},
		{.weight = 1, .budget_ns = 2 * MS, .period_ns = 10 * MS, .cap = 19},
	};
	struct tenant_policy p = reserve(6 * MS, 16600000);
	char message[128] = "";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_not_equal(policy_check(&bad[i], message), 0);
		assert_true(message[0] && strlen(message) < 127);
	}
	assert_int_equal(policy_check(&policy_default, message), 0);
	assert_int_equal(policy_check(&p, message), 0);
	assert_int_equal(policy_reserved(&p), 361446);
	assert_int_equal(policy_admit(&p, 538554, message), 0);
	assert_int_not_equal(policy_admit(&p, 538555, message), 0);
	assert_non_null(strstr(message, "36.1 %"));
	assert_int_equal(policy_admit(&policy_default, 2000000, message), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_policies),
		cmocka_unit_test(a_lone_tenant_is_left_alone),
		cmocka_unit_test(equals_share_equally),
		cmocka_unit_test(weights_are_kept),
		cmocka_unit_test(mixed_behaviours_share_equally),
		cmocka_unit_test(one_with_long_gaps_gets_what_it_can_use),
		cmocka_unit_test(nothing_is_lost_while_somebody_wants),
		cmocka_unit_test(sleepers_hoard_nothing),
		cmocka_unit_test(using_an_idle_gpu_makes_no_debt),
		cmocka_unit_test(higher_classes_come_first),
		cmocka_unit_test(reservations_are_kept),
		cmocka_unit_test(deadlines_decide_among_reserved),
		cmocka_unit_test(short_periods_are_kept),
		cmocka_unit_test(a_reservation_is_no_more_than_that),
		cmocka_unit_test(caps_are_kept),
		cmocka_unit_test(the_capped_are_no_burden),
		cmocka_unit_test(executors_share_their_tenants_part),
		cmocka_unit_test(short_gaps_are_waited_for),
		cmocka_unit_test(the_late_are_not_waited_for),
		cmocka_unit_test(the_starved_keep_their_share),
		cmocka_unit_test(who_ignores_its_turns_end_is_dropped),
		cmocka_unit_test(who_is_stopped_is_not_punished),
		cmocka_unit_test(who_does_not_show_is_passed_over),
		cmocka_unit_test(the_dead_are_forgotten),
		cmocka_unit_test(many_tenants),
		cmocka_unit_test(any_mix_goes_on),
		cmocka_unit_test(liars),
	};

	setenv("HSAVISOR_LOG_FILE", "/dev/null", 1);
	return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
