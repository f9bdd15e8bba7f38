// SPDX-License-Identifier: MIT
/*
 * turns.c - see turns.h.
 *
 * Theory of operation: an executor is in its tenant's queue while it wants the GPU; a tenant is in
 * the queue of its priority class (and in the list of reserved ones, if it has a reservation) while
 * its queue isn't empty, or in the list of throttled ones while it is over its cap. choose() says
 * who should have the GPU: of tenants with budget left in their reservation the one whose period
 * ends first; else of the highest class that has somebody, whom its queue picks; inside the tenant,
 * whom its queue picks. turns_step() makes it so: asks the holder to leave, waits until it left or
 * is late, and grants.
 *
 * The holder: charged for each ns from its grant until it has left, while others want the GPU or it
 * has a cap (`counted`). Otherwise nobody is told when it has no work, for the sake of the lone
 * tenant, which makes no system calls; then it has used what it says, and that isn't held against
 * it.
 *
 * What pages say is read anew each time and never believed further than it hurts who says it.
 */
#define LOG_PART "arbiter"
#include "arbiter/turns.h"

#include <stddef.h>

#include "arbiter/tenants.h"
#include "base/log.h"

#define EXECUTOR_WEIGHT 100
#define LATE_LOOK_NS	100000000u /* how often late executors are looked at */
#define TIMER_MIN_NS	20000u	   /* nothing is as urgent as to make timers shorter */
#define ROUNDS_MAX	64	   /* of a step: words that change while we look end none */
#define LATE_CREDIT_NS	50000000u  /* what one may be owed that had no CPU to leave with */
#define CAP_RESUME_NS	4000000u   /* a throttled tenant goes on when it may have so much */
#define GAP_MISSES	2	   /* after so many gaps in vain, one in eight is waited for */
#define NO_SHOW_CPU_NS	50000u	   /* less CPU time than this between two looks: it is stopped */

static struct tenant *tenant_of(struct fair_entity *f)
{
	return (struct tenant *)(void *)((char *)f - offsetof(struct tenant, turn.fair));
}

static struct executor *executor_of(struct fair_entity *f)
{
	return (struct executor *)(void *)((char *)f - offsetof(struct executor, turn.fair));
}

static uint64_t slice_for(unsigned competitors)
{
	uint64_t ns = TURNS_LATENCY_NS / (competitors ? competitors : 1);

	return ns < TURNS_SLICE_MIN_NS	 ? TURNS_SLICE_MIN_NS
	       : ns > TURNS_SLICE_MAX_NS ? TURNS_SLICE_MAX_NS
					 : ns;
}

static struct fair_queue *class_of(struct turns *t, const struct tenant *x)
{
	return &t->classes[x->turn.policy.priority];
}

static bool queued(const struct executor *e)
{
	return e->turn.fair.queued;
}

static bool wants(const struct executor *e)
{
	return e->kind != ARBITER_HOST && !e->pool.away && atomic_load(&e->page->want);
}

/* Is there somebody but the holder who wants the GPU and may have it? */
static bool others(const struct turns *t)
{
	const struct tenant *x = t->holder ? t->holder->tenant : NULL;

	if (!x || !x->turn.fair.queued)
		return t->competing > 0;
	return t->competing > 1 || x->turn.executors.count > (queued(t->holder) ? 1u : 0u);
}

/* ------------------------------------------------------------------ caps */

static int64_t cap_capacity(const struct tenant *x)
{
	return (int64_t)TURNS_CAP_WINDOW_NS / 100 * x->turn.policy.cap;
}

static int64_t cap_resume(const struct tenant *x)
{
	int64_t half = cap_capacity(x) / 2;

	return half < CAP_RESUME_NS ? half : CAP_RESUME_NS;
}

static void cap_refill(struct tenant *x, uint64_t now)
{
	int64_t full = cap_capacity(x);
	uint64_t ns = now - x->turn.tokens_at;

	x->turn.tokens_at = now;
	if (ns > 100u * (FAIR_DEBT_NS + TURNS_CAP_WINDOW_NS))
		x->turn.tokens = full;
	else
		x->turn.tokens += (int64_t)(ns * x->turn.policy.cap / 100);
	if (x->turn.tokens > full)
		x->turn.tokens = full;
}

static void cap_spend(struct tenant *x, uint64_t ns, uint64_t now)
{
	if (!x->turn.policy.cap)
		return;
	cap_refill(x, now);
	x->turn.tokens -= (int64_t)ns;
	if (x->turn.tokens < -(int64_t)FAIR_DEBT_NS)
		x->turn.tokens = -(int64_t)FAIR_DEBT_NS;
}

/* ------------------------------------------------------------------ reservations */

/* A constant-bandwidth server: what is left of the budget may be used until the period's end if
 * that is no more than the reserved share; else, and when the period is over, a new one begins. */
static void reservation_wake(struct tenant *x, uint64_t now)
{
	const struct tenant_policy *p = &x->turn.policy;

	if (now < x->turn.deadline &&
	    (x->turn.budget <= 0 ||
	     (uint64_t)x->turn.budget * p->period_ns <= (x->turn.deadline - now) * p->budget_ns))
		return;
	x->turn.budget = (int64_t)p->budget_ns;
	x->turn.deadline = now + p->period_ns;
}

static void reservation_refill(struct tenant *x, uint64_t now)
{
	const struct tenant_policy *p = &x->turn.policy;

	if (now < x->turn.deadline)
		return;
	/* What the last hand-over took beyond the budget is taken off. */
	x->turn.budget = (x->turn.budget < 0 ? x->turn.budget : 0) + (int64_t)p->budget_ns;
	x->turn.deadline += p->period_ns;
	if (x->turn.deadline <= now)
		x->turn.deadline = now + p->period_ns;
}

/* ------------------------------------------------------------------ queues */

static void unlink_tenant(struct tenant **list, struct tenant *x, bool reserved)
{
	while (*list) {
		struct tenant **next =
			reserved ? &(*list)->turn.next_reserved : &(*list)->turn.next_throttled;

		if (*list == x) {
			*list = *next;
			*next = NULL;
			return;
		}
		list = next;
	}
}

static void compete(struct turns *t, struct tenant *x, uint64_t now)
{
	struct fair_queue *class = class_of(t, x);

	fair_add(class, &x->turn.fair, slice_for(class->count + 1));
	t->competing++;
	if (x->turn.policy.period_ns) {
		reservation_wake(x, now);
		x->turn.next_reserved = t->reserved;
		t->reserved = x;
	}
	t->woken = true;
}

static void throttle(struct turns *t, struct tenant *x, uint64_t now)
{
	x->turn.throttled_at = now;
	x->turn.next_throttled = t->throttled;
	t->throttled = x;
}

static void tenant_wake(struct turns *t, struct tenant *x, uint64_t now)
{
	if (x->turn.policy.cap) {
		cap_refill(x, now);
		if (x->turn.tokens <= 0) {
			throttle(t, x, now);
			return;
		}
	}
	compete(t, x, now);
}

static void tenant_sleep(struct turns *t, struct tenant *x, uint64_t now)
{
	if (x->turn.throttled_at) {
		x->turn.throttled_ns += now - x->turn.throttled_at;
		x->turn.throttled_at = 0;
		unlink_tenant(&t->throttled, x, false);
	}
	if (x->turn.policy.period_ns)
		unlink_tenant(&t->reserved, x, true);
	t->competing -= x->turn.fair.queued;
	fair_remove(class_of(t, x), &x->turn.fair);
}

static void enqueue(struct turns *t, struct executor *e, uint64_t now)
{
	struct tenant *x = e->tenant;

	if (queued(e))
		return;
	e->turn.fair.weight = EXECUTOR_WEIGHT;
	fair_add(&x->turn.executors, &e->turn.fair, slice_for(x->turn.executors.count + 1));
	if (x->turn.executors.count == 1)
		tenant_wake(t, x, now);
}

static void dequeue(struct turns *t, struct executor *e, uint64_t now)
{
	struct tenant *x = e->tenant;

	if (!queued(e))
		return;
	fair_remove(&x->turn.executors, &e->turn.fair);
	if (!x->turn.executors.count)
		tenant_sleep(t, x, now);
}

/* For all but the holder: is it in its queue as it should be? */
static void sync_queue(struct turns *t, struct executor *e, uint64_t now)
{
	if (!wants(e))
		dequeue(t, e, now);
	else if (!e->turn.late_at && !e->turn.absent && !e->turn.dropped)
		enqueue(t, e, now);
}

/* Tenants over their cap: those that hold the GPU stop, those that waited long enough go on. */
static void look_at_caps(struct turns *t, uint64_t now)
{
	struct tenant *x = t->holder ? t->holder->tenant : NULL, *next;

	for (struct tenant *y = t->throttled; y; y = next) {
		next = y->turn.next_throttled;
		cap_refill(y, now);
		if (y->turn.tokens < cap_resume(y))
			continue;
		tenant_sleep(t, y, now);
		compete(t, y, now);
	}
	if (x && x->turn.policy.cap && x->turn.fair.queued && x->turn.tokens <= 0) {
		tenant_sleep(t, x, now);
		throttle(t, x, now);
	}
}

/* ------------------------------------------------------------------ charging */

static uint64_t page_wanted(const struct arbiter_page *page, uint64_t now)
{
	uint64_t since = atomic_load(&page->want_since);

	return atomic_load(&page->wanted_ns) + (since && since < now ? now - since : 0);
}

void turns_settle(struct turns *t, uint64_t now)
{
	struct executor *e = t->holder;
	struct tenant *x;
	uint64_t ns;

	if (!e || now <= t->settled_at)
		return;
	x = e->tenant;
	ns = now - t->settled_at;
	t->settled_at = now;
	if (!t->counted) { /* nobody minds: by its own word, for the figures only */
		uint64_t wanted = page_wanted(e->page, now);
		int64_t used = (int64_t)(wanted - t->wanted);

		t->wanted = wanted;
		x->turn.held_ns += used < 0 ? 0 : (uint64_t)used < ns ? (uint64_t)used : ns;
		return;
	}
	x->turn.held_ns += ns;
	fair_charge(&e->turn.fair, ns);
	cap_spend(x, ns, now);
	if (!t->as_reserved) {
		fair_charge(&x->turn.fair, ns);
		return;
	}
	x->turn.budget -= (int64_t)ns;
	/* What it has of its reservation counts as its share, but makes no debt for later. */
	fair_charge_up_to(class_of(t, x), &x->turn.fair, ns, slice_for(class_of(t, x)->count));
}

/* ------------------------------------------------------------------ late executors */

/* Charges what it ran since it was looked at last. One that is stopped (a debugger, SIGSTOP) or
 * gets no CPU isn't on the GPU: its process's CPU time tells. */
static void charge_late(struct turns *t, struct executor *e, uint64_t now)
{
	struct tenant *x = e->tenant;
	uint64_t cpu = t->ops->cpu_ns(t->ctx, e);
	uint64_t ns = now - e->turn.late_seen;

	if (cpu && cpu - e->turn.late_cpu < ns)
		ns = cpu - e->turn.late_cpu;
	e->turn.late_cpu = cpu;
	e->turn.late_seen = now;
	e->turn.late_busy += ns;
	x->turn.held_ns += ns;
	x->turn.overrun_ns += ns;
	fair_charge(&e->turn.fair, ns);
	fair_charge(&x->turn.fair, ns);
	fair_forgive(class_of(t, x), &x->turn.fair, FAIR_DEBT_NS);
	fair_forgive(&x->turn.executors, &e->turn.fair, FAIR_DEBT_NS);
	cap_spend(x, ns, now);
}

static void begin_late(struct turns *t, struct executor *e, uint64_t now)
{
	e->tenant->turn.late++;
	e->turn.late_at = t->revoked_at;
	e->turn.late_seen = now;
	e->turn.late_cpu = t->ops->cpu_ns(t->ctx, e);
	e->turn.late_busy = 0;
	e->turn.late_next = t->late;
	t->late = e;
	if (!t->look_late_at)
		t->look_late_at = now + LATE_LOOK_NS;
	dequeue(t, e, now);
}

static void end_late(struct turns *t, struct executor *e, uint64_t now)
{
	struct tenant *x = e->tenant;

	charge_late(t, e, now);
	if (now - e->turn.late_at > x->turn.late_max_ns)
		x->turn.late_max_ns = now - e->turn.late_at;
	for (struct executor **p = &t->late; *p; p = &(*p)->turn.late_next) {
		if (*p == e) {
			*p = e->turn.late_next;
			break;
		}
	}
	e->turn.late_at = 0;
	e->turn.warned = false;
	if (!t->late)
		t->look_late_at = 0;
}

/* A late executor has left. While it had no CPU time it wanted the GPU and didn't have it: it is
 * owed more than one that slept. */
static void back_from_late(struct turns *t, struct executor *e, uint64_t now)
{
	struct tenant *x = e->tenant;

	end_late(t, e, now);
	e->turn.fair.credit_ns = x->turn.fair.credit_ns = LATE_CREDIT_NS;
	sync_queue(t, e, now);
	e->turn.fair.credit_ns = x->turn.fair.credit_ns = 0;
}

static void look_at_late(struct turns *t, uint64_t now)
{
	struct executor *next;

	if (!t->look_late_at || now < t->look_late_at)
		return;
	t->look_late_at = now + LATE_LOOK_NS;
	for (struct executor *e = t->late; e; e = next) {
		next = e->turn.late_next;
		if (!atomic_load(&e->page->users)) {
			back_from_late(t, e, now);
			continue;
		}
		charge_late(t, e, now);
		if (now - e->turn.late_at > e->tenant->turn.late_max_ns)
			e->tenant->turn.late_max_ns = now - e->turn.late_at;
		if (e->turn.late_busy >= TURNS_IGNORED_NS && !e->turn.warned) {
			e->turn.warned = true;
			e->tenant->turn.ignored++;
			log_warn("tenant '%s': executor pid %d goes on running %.1f s after its "
				 "turn",
				 e->tenant->name, (int)e->pid, (double)e->turn.late_busy / 1e9);
		}
		if (e->turn.late_busy >= TURNS_DROP_NS && !e->turn.dropped) {
			e->turn.dropped = true;
			log_warn("tenant '%s': executor pid %d ignored the end of its turn for "
				 "%.0f s; disconnected",
				 e->tenant->name, (int)e->pid, (double)e->turn.late_busy / 1e9);
			t->ops->drop(t->ctx, e);
		}
	}
}

/* ------------------------------------------------------------------ the holder */

static void set_counted(struct turns *t, bool counted, uint64_t now)
{
	t->counted = counted;
	atomic_store(&t->holder->page->contended, counted);
	t->wanted = page_wanted(t->holder->page, now);
	t->show_at = counted ? now + TURNS_NO_SHOW_NS : 0;
	t->show_cpu = 0;
}

static void grant(struct turns *t, struct executor *e, bool reserved, uint64_t now)
{
	struct tenant *x = e->tenant;
	uint64_t slice = slice_for(class_of(t, x)->count);

	/* Of a slice that was cut short too little may be left to be worth a turn. */
	if (fair_left(&x->turn.fair) < slice / 8)
		fair_renew(&x->turn.fair, slice);
	slice = slice_for(x->turn.executors.count);
	if (fair_left(&e->turn.fair) < slice / 8)
		fair_renew(&e->turn.fair, slice);
	t->holder = e;
	t->granted_at = t->settled_at = now;
	t->as_reserved = reserved;
	t->in_gap = t->revoking = t->woken = false;
	x->turn.turns++;
	set_counted(t, others(t) || x->turn.policy.cap, now);
	atomic_store(&e->page->granted, 1);
	t->ops->wake(t->ctx, e);
}

static void revoke(struct turns *t, uint64_t now)
{
	atomic_store(&t->holder->page->granted, 0);
	t->revoking = true;
	t->revoked_at = now;
}

/* The turn is over and charged. */
static void end_turn(struct turns *t, bool taken)
{
	t->holder->tenant->turn.taken += taken;
	t->holder = NULL;
	t->revoking = t->in_gap = t->as_reserved = false;
	t->show_at = 0;
}

/* Has it left? Or is it so late that others go on? */
static bool handed_over(struct turns *t, uint64_t now)
{
	struct executor *e = t->holder;
	bool taken = queued(e) && !t->in_gap;

	if (atomic_load(&e->page->users)) {
		if (now - t->revoked_at < TURNS_HANDOVER_NS)
			return false;
		begin_late(t, e, now);
	}
	atomic_store(&e->page->contended, 0);
	end_turn(t, taken);
	sync_queue(t, e, now);
	return true;
}

/* Is it likely to have work again soon? */
static bool worth_a_gap(struct executor *e)
{
	return e->turn.gap_misses < GAP_MISSES || e->turn.gap_misses++ % 8 == 0;
}

/* Does the holder still want the GPU? One that doesn't stays in its queue for the length of a gap.
 */
static void observe(struct turns *t, uint64_t now)
{
	struct executor *e = t->holder;

	if (wants(e)) {
		if (t->in_gap) {
			t->in_gap = false;
			e->turn.gap_misses = 0;
		}
		if (!e->turn.absent)
			enqueue(t, e, now);
	} else if (!queued(e)) {
		return;
	} else if (!t->in_gap) {
		if (t->counted && worth_a_gap(e)) {
			t->in_gap = true;
			t->gap_until = now + TURNS_GAP_NS;
		} else {
			dequeue(t, e, now);
		}
	} else if (now >= t->gap_until) {
		t->in_gap = false;
		e->turn.gap_misses++;
		dequeue(t, e, now);
	}
}

/* Who has the GPU while others wait, wants it, and runs nothing: its process is stopped. It is
 * passed over until it says something. */
static void look_for_show(struct turns *t, uint64_t now)
{
	struct executor *e = t->holder;
	uint64_t cpu;

	if (!t->show_at || now < t->show_at)
		return;
	t->show_at = 0;
	if (atomic_load(&e->page->users) || t->in_gap || !queued(e))
		return;
	cpu = t->ops->cpu_ns(t->ctx, e);
	if (!cpu)
		return;
	if (!t->show_cpu) {
		t->show_cpu = cpu;
		t->show_at = now + TURNS_NO_SHOW_NS;
	} else if (cpu - t->show_cpu < NO_SHOW_CPU_NS) {
		e->turn.absent = true;
		dequeue(t, e, now);
	}
}

/* ------------------------------------------------------------------ whose turn */

static struct tenant *pick_tenant(struct turns *t, struct tenant *held, uint64_t now,
				  bool *reserved)
{
	struct tenant *best = NULL;
	struct fair_entity *f;
	int class = POLICY_PRIORITIES - 1;

	for (struct tenant *x = t->reserved; x; x = x->turn.next_reserved) {
		reservation_refill(x, now);
		if (x->turn.budget <= 0 || !x->turn.fair.queued)
			continue;
		if (!best || x->turn.deadline < best->turn.deadline ||
		    (x->turn.deadline == best->turn.deadline && x == held))
			best = x;
	}
	*reserved = best != NULL;
	if (best)
		return best;
	while (class >= 0 && !t->classes[class].count)
		class --;
	if (class < 0)
		return NULL;
	if (held && held->turn.fair.queued && (int)held->turn.policy.priority == class) {
		if (fair_left(&held->turn.fair) && !t->as_reserved) {
			if (!t->woken || now - t->granted_at < TURNS_RUN_MIN_NS)
				return held;
			t->woken = false;
			f = fair_pick(&t->classes[class]);
			return f && (int64_t)(f->deadline - held->turn.fair.deadline) < 0
				       ? tenant_of(f)
				       : held;
		}
		fair_renew(&held->turn.fair, slice_for(t->classes[class].count));
	}
	f = fair_pick(&t->classes[class]);
	return f ? tenant_of(f) : NULL;
}

static struct executor *pick_executor(struct turns *t, struct tenant *x, uint64_t now)
{
	struct executor *e = t->holder;
	struct fair_entity *f;

	if (e && e->tenant == x && queued(e)) {
		if (x->turn.executors.count == 1 || fair_left(&e->turn.fair))
			return e;
		fair_renew(&e->turn.fair, slice_for(x->turn.executors.count));
	}
	while ((f = fair_pick(&x->turn.executors))) {
		e = executor_of(f);
		if (e == t->holder || wants(e))
			return e;
		dequeue(t, e, now); /* it changed its mind while it waited */
	}
	return NULL;
}

static struct executor *choose(struct turns *t, uint64_t now, bool *reserved)
{
	struct tenant *held = t->holder && queued(t->holder) ? t->holder->tenant : NULL, *x;

	while ((x = pick_tenant(t, held, now, reserved))) {
		struct executor *e = pick_executor(t, x, now);

		if (e)
			return e;
	}
	return NULL;
}

/* May the holder keep the GPU though nobody is to have it? Who is alone may, idle or not; who has a
 * cap must not be idle on it unseen. */
static bool may_stay(const struct turns *t)
{
	return !t->holder->tenant->turn.policy.cap && !t->holder->turn.absent;
}

/* One round of a step: true if there is to be another. */
static bool settle_down(struct turns *t, uint64_t now)
{
	struct executor *e;
	bool reserved, counted;

	if (t->revoking && !handed_over(t, now))
		return false;
	if (t->holder) {
		observe(t, now);
		look_for_show(t, now);
	}
	look_at_caps(t, now);
	e = choose(t, now, &reserved);
	if (t->holder && e != t->holder && (e || !may_stay(t))) {
		revoke(t, now);
		return true;
	}
	if (!t->holder && e)
		grant(t, e, reserved, now);
	if (!t->holder)
		return false;
	t->as_reserved = e && reserved;
	counted = others(t) || t->holder->tenant->turn.policy.cap;
	if (counted == t->counted)
		return false;
	set_counted(t, counted, now);
	return counted; /* it may have become idle before it could know that we care */
}

/* ------------------------------------------------------------------ when to look again */

static void sooner(uint64_t *at, uint64_t when)
{
	if (when < *at)
		*at = when;
}

static void holder_event(const struct turns *t, uint64_t now, uint64_t *at)
{
	const struct executor *e = t->holder;
	const struct tenant *x = e->tenant;

	if (t->revoking) {
		sooner(at, t->revoked_at + TURNS_HANDOVER_NS);
		return;
	}
	if (t->in_gap)
		sooner(at, t->gap_until);
	if (t->show_at)
		sooner(at, t->show_at);
	if (!t->counted || !queued(e))
		return;
	if (x->turn.executors.count > 1)
		sooner(at, now + fair_left(&e->turn.fair));
	if (t->as_reserved) {
		if (others(t))
			sooner(at, now + (uint64_t)x->turn.budget);
	} else if (t->classes[x->turn.policy.priority].count > 1) {
		sooner(at, now + fair_left(&x->turn.fair));
		if (t->woken)
			sooner(at, t->granted_at + TURNS_RUN_MIN_NS);
	}
	if (x->turn.policy.cap && x->turn.policy.cap < 100 && x->turn.tokens > 0)
		sooner(at, now + (uint64_t)x->turn.tokens * 100 / (100 - x->turn.policy.cap));
}

static uint64_t next_event(const struct turns *t, uint64_t now)
{
	uint64_t at = UINT64_MAX;

	if (t->holder)
		holder_event(t, now, &at);
	if (t->look_late_at)
		sooner(&at, t->look_late_at);
	for (const struct tenant *x = t->reserved; x; x = x->turn.next_reserved)
		if (x->turn.budget <= 0 && others(t))
			sooner(&at, x->turn.deadline);
	for (const struct tenant *x = t->throttled; x; x = x->turn.next_throttled)
		sooner(&at, x->turn.tokens_at + (uint64_t)(cap_resume(x) - x->turn.tokens) * 100 /
							x->turn.policy.cap);
	if (at == UINT64_MAX)
		return 0;
	return at < now + TIMER_MIN_NS ? TIMER_MIN_NS : at - now;
}

/* ------------------------------------------------------------------ from outside */

void turns_init(struct turns *t, const struct turns_ops *ops, void *ctx)
{
	*t = (struct turns){.ops = ops, .ctx = ctx};
}

void turns_join(struct turns *t, struct tenant *x, const struct tenant_policy *policy)
{
	x->turn.policy = *policy;
	x->turn.fair.weight = policy->weight;
	x->turn.tokens = cap_capacity(x);
}

void turns_set_policy(struct turns *t, struct tenant *x, const struct tenant_policy *policy,
		      uint64_t now)
{
	struct tenant_policy old = x->turn.policy;
	bool active = x->turn.executors.count > 0;

	turns_settle(t, now);
	if (active)
		tenant_sleep(t, x, now);
	fair_set_weight(class_of(t, x), &x->turn.fair, policy->weight);
	if (policy->priority != old.priority)
		x->turn.fair.known = false; /* another class, another virtual time */
	x->turn.policy = *policy;
	if (policy->cap != old.cap) {
		x->turn.tokens = cap_capacity(x);
		x->turn.tokens_at = now;
	}
	if (policy->budget_ns != old.budget_ns || policy->period_ns != old.period_ns) {
		x->turn.budget = (int64_t)policy->budget_ns;
		x->turn.deadline = now + policy->period_ns;
	}
	if (active)
		tenant_wake(t, x, now);
}

void turns_poke(struct turns *t, struct executor *e, uint64_t now)
{
	e->turn.absent = false;
	if (e->turn.late_at && !atomic_load(&e->page->users))
		back_from_late(t, e, now);
	else if (e != t->holder)
		sync_queue(t, e, now);
}

uint64_t turns_step(struct turns *t, uint64_t now)
{
	turns_settle(t, now);
	look_at_late(t, now);
	for (int i = 0; i < ROUNDS_MAX && settle_down(t, now); i++)
		;
	return next_event(t, now);
}

void turns_forget(struct turns *t, struct executor *e, uint64_t now)
{
	turns_settle(t, now);
	if (e->turn.late_at)
		end_late(t, e, now);
	if (t->holder == e)
		end_turn(t, false);
	dequeue(t, e, now);
}
