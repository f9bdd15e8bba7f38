/* SPDX-License-Identifier: MIT */
/*
 * Who runs when: the turn between tenants, shares of processes and queues inside of one, priorities,
 * CU masks, limits of kernels, and what is told about it.
 */
#include "tests/cp/client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/cp/turns.h"

extern atomic_int fake_live_workgroups;

#define KERNEL_STOPPED 30u /* EC_QUEUE_PREEMPTION_ERROR */

static uint64_t gpu_ns(const struct client *c)
{
	struct gpu_vm_stats stats;

	gpu_vm_get_stats(c->vm, &stats);
	return stats.gpu_ns;
}

struct job {
	struct aql q;
	_Atomic uint64_t *end, *count; /* store 1 to end: it ends. count: how far it is */
	struct signal *done;
	uint64_t kernel;
};

/* A kernel on a queue of its own that runs until it is told to end. */
static void start(struct job *j, struct client *c, uint32_t id, unsigned priority, unsigned groups)
{
	struct kernel k;
	struct packet p;

	aql_describe(&j->q, c, 16, true);
	j->q.desc.priority = priority;
	j->q.desc.id = id;
	assert_int_equal(gpu_queue_create(c->vm, &j->q.desc, &j->q.queue), 0);
	j->end = client_alloc(c, 8, NULL);
	j->count = client_alloc(c, 8, NULL);
	j->done = client_signal(c, 1, 0);
	client_kernel(c, &k, 32);
	j->kernel = k.object;
	p = dispatch_packet(
		c, &k,
		(struct fake_args){FAKE_SPIN, client_va(c, j->end), client_va(c, j->count)}, 64,
		groups, j->done);
	aql_submit(&j->q, &p);
}

static void finish(struct job *j)
{
	atomic_store(j->end, 1);
	assert_true(wait_value(&j->done->value, 0, 10000));
}

static bool runs(struct job *j)
{
	uint64_t before = atomic_load(j->count);

	for (unsigned i = 0; i < 20000 && atomic_load(j->count) == before; i++)
		sleep_ms(1);
	return atomic_load(j->count) != before;
}

static void sdma_copy(struct ring *r, uint64_t dst, uint64_t src, uint32_t bytes)
{
	uint32_t dw[7] = {1,
			  bytes - 1,
			  0,
			  (uint32_t)src,
			  (uint32_t)(src >> 32),
			  (uint32_t)dst,
			  (uint32_t)(dst >> 32)};

	ring_put(r, dw, 7);
}

static void sdma_fence(struct client *c, struct ring *r, volatile void *to, uint32_t value)
{
	uint64_t at = client_va(c, to);
	uint32_t dw[4] = {5, (uint32_t)at, (uint32_t)(at >> 32), value};

	ring_put(r, dw, 4);
}

/* ------------------------------------------------------------------ the turn */

static void gpu_is_left_at_once(void **state)
{
	struct turns turns = {0};
	struct client client, *c = &client;
	uint64_t best = ~0ull;
	struct job j;

	client_open(c, "gfx90a", 2, &turns_ops, &turns);
	start(&j, c, 1, 0, 100);
	for (unsigned i = 0; i < 30; i++) {
		uint64_t took;

		turns_grant(&turns);
		assert_true(runs(&j));
		took = turns_take(&turns);
		assert_in_range(took, 0, 10000000000);
		if (took < best)
			best = took;
	}
	assert_in_range(best, 0, 1000000);
	turns_grant(&turns);
	finish(&j);
	client_close(c);
	assert_int_equal(atomic_load(&turns.users), 0);
	assert_int_equal(atomic_load(&turns.intruders), 0);
}

/* A tenant that waits: one thread asks once and sleeps, no matter how many there are. */
static void waiting_is_cheap(void **state)
{
	struct turns turns = {0};
	struct client client, *c = &client;
	struct signal *fence;
	struct ring copy;
	uint32_t asked;
	struct job j;

	client_open(c, "gfx90a", 4, &turns_ops, &turns);
	turns_grant(&turns);
	start(&j, c, 1, 0, 100);
	assert_true(runs(&j));
	asked = atomic_load(&turns.asked);
	turns_take(&turns);
	for (unsigned i = 0; i < 20000 && !atomic_load(&turns.waiters); i++)
		sleep_ms(1);
	assert_true(least_cpu_seconds(300, 0.03) < 0.03);
	assert_int_equal(atomic_load(&turns.waiters), 1);
	assert_in_range(atomic_load(&turns.asked) - asked, 0, 4);
	/* its queues are served meanwhile as far as that takes no GPU time */
	ring_open(&copy, c, GPU_QUEUE_SDMA, 4096);
	fence = client_signal(c, 0, 0);
	sdma_fence(c, &copy, &fence->value, 5);
	ring_ring(&copy);
	assert_true(wait_value(&fence->value, 5, 5000));
	turns_grant(&turns);
	assert_true(runs(&j));
	finish(&j);
	/* given back when there is no work */
	for (unsigned i = 0; i < 20000 && atomic_load(&turns.want); i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&turns.want), 0);
	client_close(c);
}

/* The work goes away while a thread waits for the turn to do it. */
static void work_goes_while_waiting(void **state)
{
	struct turns turns = {0};
	struct client client, *c = &client;
	struct job j;

	client_open(c, "gfx90a", 2, &turns_ops, &turns);
	start(&j, c, 1, 0, 10);
	for (unsigned i = 0; i < 20000 && !atomic_load(&turns.waiters); i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&turns.waiters), 1);
	gpu_queue_destroy(j.q.queue);
	turns_grant(&turns);
	for (unsigned i = 0; i < 20000 && atomic_load(&turns.want); i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&turns.want), 0);
	client_close(c);
}

static void copies_take_turns(void **state)
{
	static const enum gpu_queue_type types[] = {GPU_QUEUE_SDMA, GPU_QUEUE_PM4};
	enum { BYTES = 2 << 20, TIMES = 100 };

	for (unsigned t = 0; t < 2; t++) {
		struct turns turns = {0};
		struct client client, *c = &client;
		uint64_t best = ~0ull, src, dst;
		struct signal *fence;
		struct ring r;
		uint8_t *to;

		client_open(c, "gfx90a", 2, &turns_ops, &turns);
		memset(client_alloc(c, BYTES, &src), 77, BYTES);
		to = client_alloc(c, BYTES, &dst);
		fence = client_signal(c, 0, 0);
		ring_open(&r, c, types[t], 1 << 16);
		if (types[t] == GPU_QUEUE_SDMA)
			sdma_fence(c, &r, &fence->value, 1);
		for (unsigned i = 0; i < TIMES; i++) {
			uint32_t dma[7] = {3u << 30 | 5 << 16 | 0x50 << 8,
					   0,
					   (uint32_t)src,
					   (uint32_t)(src >> 32),
					   (uint32_t)dst,
					   (uint32_t)(dst >> 32),
					   BYTES};

			if (types[t] == GPU_QUEUE_SDMA)
				sdma_copy(&r, dst, src, BYTES);
			else
				ring_put(&r, dma, 7);
		}
		ring_ring(&r);
		if (types[t] == GPU_QUEUE_SDMA)
			assert_true(wait_value(&fence->value, 1, 5000));
		sleep_ms(20);
		for (unsigned i = 0; i < 20000 && !atomic_load(&turns.waiters); i++)
			sleep_ms(1);
		assert_int_equal(to[0], 0);
		assert_int_equal(atomic_load(&turns.gpu_ns), 0);
		assert_int_equal(atomic_load(&turns.waiters), 1);
		for (unsigned i = 0; i < 10; i++) {
			uint64_t took, ns = atomic_load(&turns.gpu_ns);

			turns_grant(&turns);
			while (atomic_load(&turns.gpu_ns) == ns && atomic_load(&turns.want))
				nanosleep(&(struct timespec){0, 100000}, NULL);
			/* A busy machine may let them end before we look. */
			if (atomic_load(&turns.gpu_ns) == ns)
				break;
			took = turns_take(&turns);
			/* 0: nobody was in the turn, between two copies. */
			if (took && took < best)
				best = took;
			ns = atomic_load(&turns.gpu_ns);
			sleep_ms(5);
			assert_int_equal(atomic_load(&turns.gpu_ns), ns);
		}
		/* All of them take some 16 ms. */
		assert_in_range(best, 1, 3000000);
		turns_grant(&turns);
		assert_true(ring_drain(&r, 20000));
		for (unsigned i = 0; i < BYTES; i++)
			assert_int_equal(to[i], 77);
		assert_true(atomic_load(&turns.gpu_ns) > 0);
		assert_int_equal(atomic_load(&turns.gpu_ns), gpu_ns(c));
		client_close(c);
		assert_int_equal(atomic_load(&turns.intruders), 0);
	}
}

/* ------------------------------------------------------------------ shares */

/* A thread that the kernel takes the processor from goes on using the GPU by the clock; that evens
 * out in time. So shares are looked at again until they are as they should be, for some seconds. */
enum { SHARE_TRIES = 40, SHARE_MS = 600 };

/* Of the GPU time of two processes from now on, the first one's. */
static void share(struct client *a, struct client *b, double min, double max)
{
	uint64_t a0, b0, a1, b1;
	double s = -1;

	sleep_ms(100);
	a0 = gpu_ns(a);
	b0 = gpu_ns(b);
	for (unsigned i = 0; i < SHARE_TRIES && (s < min || s > max); i++) {
		sleep_ms(SHARE_MS);
		a1 = gpu_ns(a);
		b1 = gpu_ns(b);
		s = (double)(a1 - a0) / (double)(a1 - a0 + b1 - b0);
	}
	print_message("# share %.3f\n", s);
	assert_true(s >= min && s <= max);
}

static void processes_share_by_time(void **state)
{
	enum { MANY = 60 };
	struct client one, many;
	struct job *jobs = calloc(MANY, sizeof(*jobs)), single;

	for (unsigned threads = 1; threads <= 2; threads++) {
		client_open(&one, "gfx90a", threads, NULL, NULL);
		client_join(&many, &one);
		start(&single, &one, 1, 7, 20);
		for (unsigned i = 0; i < MANY; i++)
			start(&jobs[i], &many, 1 + i, 7, 20);
		share(&one, &many, 0.42, 0.58);
		/* each of the queues had some */
		for (unsigned i = 0; i < MANY; i++)
			assert_true(atomic_load(jobs[i].count) > 0);
		client_close(&many);
		client_close(&one);
		assert_int_equal(atomic_load(&fake_live_workgroups), 0);
	}
	free(jobs);
}

/* One that was idle for long does not get all that it left to the others. */
static void idle_time_is_not_saved(void **state)
{
	struct client a, b;
	struct job first, later;

	client_open(&a, "gfx90a", 1, NULL, NULL);
	client_join(&b, &a);
	start(&first, &a, 1, 7, 4);
	sleep_ms(1000);
	start(&later, &b, 1, 7, 4);
	share(&a, &b, 0.42, 0.58);
	client_close(&b);
	client_close(&a);
}

static void queues_share_by_time(void **state)
{
	struct client client, *c = &client;
	struct job few, many;
	uint64_t a, b;
	double s = 0;

	client_open(c, "gfx90a", 1, NULL, NULL);
	start(&few, c, 1, 5, 1);
	start(&many, c, 2, 5, 200);
	sleep_ms(50);
	a = atomic_load(few.count);
	b = atomic_load(many.count);
	for (unsigned i = 0; i < SHARE_TRIES && (s < 0.35 || s > 0.65); i++) {
		sleep_ms(SHARE_MS);
		s = (double)(atomic_load(few.count) - a) /
		    (double)(atomic_load(few.count) - a + atomic_load(many.count) - b);
	}
	assert_true(s > 0.35 && s < 0.65);
	client_close(c);
}

/* A thread that was in the lower one's slice when the processor was taken from it may have to end
 * that yet, so "nothing" is little. */
static void assert_only(struct job *one, struct job *other)
{
	uint64_t a, b;

	assert_true(runs(one));
	sleep_ms(20);
	for (unsigned i = 0; i < SHARE_TRIES; i++) {
		a = atomic_load(one->count);
		b = atomic_load(other->count);
		sleep_ms(150);
		if (atomic_load(one->count) - a > 20 * (atomic_load(other->count) - b))
			return;
	}
	fail_msg("the queue of lower priority runs");
}

static void priorities(void **state)
{
	struct client client, *c = &client;
	struct gpu_queue_desc desc;
	struct job low, high;

	client_open(c, "gfx90a", 2, NULL, NULL);
	start(&low, c, 1, 3, 50);
	assert_true(runs(&low));
	start(&high, c, 2, 4, 50);
	assert_only(&high, &low);
	/* the other way around */
	desc = low.q.desc;
	desc.priority = 15;
	assert_int_equal(gpu_queue_update(low.q.queue, &desc), 0);
	assert_only(&low, &high);
	finish(&low);
	assert_true(runs(&high));
	finish(&high);
	client_close(c);
}

/* Across processes a level of priority weighs: 1, 4, 16. */
static void priorities_across_processes(void **state)
{
	static const struct {
		unsigned a, b;
		double min, max;
	} cases[] = {{15, 7, 0.72, 0.88}, {0, 7, 0.12, 0.28}, {15, 11, 0.42, 0.58}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client a, b;
		struct job x, y;

		client_open(&a, "gfx90a", 1, NULL, NULL);
		client_join(&b, &a);
		start(&x, &a, 1, cases[i].a, 8);
		start(&y, &b, 1, cases[i].b, 8);
		share(&a, &b, cases[i].min, cases[i].max);
		client_close(&b);
		client_close(&a);
	}
}

static void cu_mask_bounds_threads(void **state)
{
	static const struct {
		uint32_t mask;
		unsigned threads;
	} cases[] = {{0x08, 1}, {0x03, 1}, {0x0f, 2}, {0x1f, 3}, {0xff, 4}, {0, 4}};
	struct client client, *c = &client;
	_Atomic uint64_t *seen;
	struct kernel k;

	client_open(c, "gfx90a", 4, NULL, NULL);
	client_kernel(c, &k, 32);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct signal *done = client_signal(c, 1, 0);
		struct packet p;
		struct aql q;

		seen = client_alloc(c, 24, NULL);
		aql_open(&q, c, 16, true);
		gpu_queue_set_cu_mask(q.queue, &cases[i].mask, 32);
		p = dispatch_packet(c, &k, (struct fake_args){FAKE_MEET, client_va(c, seen), 0}, 64,
				    400, done);
		aql_submit(&q, &p);
		assert_true(wait_value(&done->value, 0, 20000));
		assert_int_equal(atomic_load(&seen[0]), 0);
		assert_in_range(atomic_load(&seen[1]), 1, cases[i].threads);
		if (cases[i].threads > 1)
			assert_true(atomic_load(&seen[1]) > 1);
		assert_int_equal(atomic_load(&seen[2]) & ~(uint64_t)(cases[i].mask ?: 0xff), 0);
		gpu_queue_destroy(q.queue);
	}
	client_close(c);
}

/*
 * The CP thread's slices are short: what one of them interrupted goes on before others of its dispatch begin, but not for ever, and not while it waits.
 * Here is no other thread.
 */
static void begun_work_goes_on_first(void **state)
{
	static const struct {
		uint64_t op, slices;
		unsigned least, most; /* begun at once, of 40 */
	} cases[] = {
		{FAKE_SLICES, 2, 1, 1},
		{FAKE_SLICES, 10, 1, 1},
		{FAKE_SLICES, 200, 2, 40},
		{FAKE_NAPS, 10, 2, 40},
	};
	struct client client, *c = &client;
	struct kernel k;
	struct aql q;

	client_open(c, "gfx90a", 1, NULL, NULL);
	client_kernel(c, &k, 32);
	aql_open(&q, c, 16, true);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_Atomic uint64_t *begun = client_alloc(c, 16, NULL);
		struct signal *done = client_signal(c, 1, 0);
		struct packet p = dispatch_packet(
			c, &k, (struct fake_args){cases[i].op, client_va(c, begun), cases[i].slices}, 64, 40, done);

		aql_submit(&q, &p);
		assert_true(wait_value(&done->value, 0, 20000));
		assert_int_equal(atomic_load(&begun[0]), 0);
		assert_in_range(atomic_load(&begun[1]), cases[i].least, cases[i].most);
	}
	client_close(c);
}

/* Each work-group waits for the one before it, and few may be in flight; before it one of the same kernel told how long they take. */
static void work_groups_wait_for_earlier_ones(void **state)
{
	for (unsigned threads = 1; threads <= 4; threads++) {
		struct client client, *c = &client;
		struct kernel k;
		struct aql q;

		client_open(c, "gfx90a", threads, NULL, NULL);
		client_kernel(c, &k, 32);
		aql_open(&q, c, 16, true);
		for (unsigned i = 0; i < 6; i++) {
			_Atomic uint64_t *next = client_alloc(c, 8, NULL);
			struct signal *done = client_signal(c, 1, 0);
			struct packet p = dispatch_packet(c, &k, (struct fake_args){i ? FAKE_CHAIN : FAKE_END, client_va(c, next), 0}, 64, 100, done);

			p.setup = 2;
			p.dw[3] = 4;
			p.dw[6] = i % 3 == 0 ? 65536 : i % 3 == 1 ? 16384 : 0;
			aql_submit(&q, &p);
			assert_true(wait_value(&done->value, 0, 20000));
			assert_int_equal(atomic_load(next), i ? 400 : 0);
		}
		client_close(c);
	}
}

/* Executors have parts of a grid of their own: each work-group runs once, also if the next grid is of another shape. */
static void parts_are_all_of_the_grid(void **state)
{
	static const uint32_t shapes[][3] = {{1, 1, 1}, {17, 1, 1}, {1000, 1, 1}, {3, 5, 7}, {1, 1, 333}, {64, 33, 2}, {2, 2, 2}, {31, 101, 1}};

	for (unsigned threads = 1; threads <= 5; threads += 2) {
		struct client client, *c = &client;
		struct kernel k[2];
		struct aql q;

		client_open(c, "gfx90a", threads, NULL, NULL);
		client_kernel(c, &k[0], 32);
		client_kernel(c, &k[1], 64);
		aql_open(&q, c, 16, true);
		for (unsigned i = 0; i < 64; i++) {
			const uint32_t *n = shapes[i * 5 % 8];
			uint32_t all = n[0] * n[1] * n[2], *count = client_alloc(c, 4 * all, NULL);
			struct signal *done = client_signal(c, 1, 0);
			struct packet p = dispatch_packet(c, &k[i / 8 % 2], (struct fake_args){FAKE_IDS, client_va(c, count), 0}, 64, n[0], done);

			p.setup = 3;
			p.dw[3] = n[1];
			p.dw[4] = n[2];
			aql_submit(&q, &p);
			assert_true(wait_value(&done->value, 0, 20000));
			for (uint32_t g = 0; g < all; g++)
				assert_int_equal(count[g], 1);
		}
		client_close(c);
	}
}

/* ------------------------------------------------------------------ limits */

static void kernels_are_limited(void **state)
{
	struct gpu_limits limits = {0};
	struct gpu_config config = {.target = "gfx90a", .threads = 2, .limits = &limits};
	struct client client, *c = &client, other;
	struct signal *done, *later;
	struct job bad, good, neighbour;
	struct kernel k;
	struct packet p;
	uint64_t ns;

	client_open_config(c, &config);
	client_join(&other, c);
	start(&bad, c, 41, 7, 30);
	assert_true(runs(&bad));
	atomic_store(&limits.kernel_ns, 50000000);
	assert_true(wait_uint(&c->errors, 1, 10000));
	ns = gpu_ns(c);
	assert_in_range(ns, 50000000, 10000000000);
	assert_int_equal(c->error_queue, 41);
	assert_int_equal(c->error_code, KERNEL_STOPPED);
	assert_int_equal(c->error_kernel, bad.kernel);
	/* what the program is told: an abort because of a failed preemption */
	assert_int_equal(atomic_load(&bad.q.error->value), 1 << 29 | 1);
	assert_int_equal(atomic_load(&c->events[61]), 1);
	assert_int_equal(atomic_load(&bad.done->value), 1);
	/* short kernels are not, however many; other queues and processes go on */
	atomic_store(&limits.kernel_ns, 5000000000); /* a slow machine's short ones */
	client_kernel(c, &k, 32);
	done = client_signal(c, 200, 0);
	aql_open(&good.q, c, 64, true);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_COUNT, client_va(c, bad.count), 0}, 64, 100,
			    done);
	for (unsigned i = 0; i < 200; i++)
		aql_submit(&good.q, &p);
	assert_true(wait_value(&done->value, 0, 10000));
	atomic_store(&limits.kernel_ns, 0);
	start(&neighbour, &other, 2, 7, 4);
	sleep_ms(100);
	assert_true(runs(&neighbour));
	finish(&neighbour);
	assert_int_equal(atomic_load(&other.errors), 0);
	/* a queue without RUNTIME_ENABLE: its inactive signal tells */
	aql_open(&bad.q, c, 16, false);
	later = client_signal(c, 1, 0);
	atomic_store(bad.end, 0);
	p = dispatch_packet(
		c, &k,
		(struct fake_args){FAKE_SPIN, client_va(c, bad.end), client_va(c, bad.count)}, 64,
		4, later);
	atomic_store(&limits.kernel_ns, 1000000);
	aql_submit(&bad.q, &p);
	assert_true(wait_value(&bad.q.inactive->value, 0x80000000, 10000));
	client_close(&other);
	client_close(c);
	assert_int_equal(atomic_load(&fake_live_workgroups), 0);
}

/* Returns when the GPU has looked at everything since the call: it looks before it takes a packet. */
static void passed(struct client *c)
{
	struct signal *none[1] = {NULL}, *done = client_signal(c, 2, 0);
	struct packet p = barrier_packet(c, PACKET_AND, none, 1, done);
	struct aql q;

	aql_open(&q, c, 16, false);
	for (int left = 1; left >= 0; left--) {
		aql_submit(&q, &p);
		assert_true(wait_value(&done->value, left, 10000));
	}
	gpu_queue_destroy(q.queue);
}

static void kernels_are_stopped_on_request(void **state)
{
	struct turns turns = {0};
	struct gpu_limits limits = {0};
	struct gpu_config config = {.target = "gfx90a",
				    .threads = 2,
				    .limits = &limits,
				    .turn = &turns_ops,
				    .turn_ctx = &turns};
	struct client client, *c = &client, other;
	struct job a, b, again;

	atomic_store(&limits.reset_seq, 5);
	turns_grant(&turns);
	client_open_config(c, &config);
	client_join(&other, c);
	gpu_vm_set_owner(c->vm, 100);
	gpu_vm_set_owner(other.vm, 200);
	start(&a, c, 1, 7, 4);
	start(&b, &other, 2, 7, 4);
	assert_true(runs(&a));
	assert_true(runs(&b));
	atomic_store(&limits.reset_process, 200);
	atomic_fetch_add(&limits.reset_seq, 1);
	assert_true(wait_uint(&other.errors, 1, 10000));
	assert_int_equal(other.error_code, KERNEL_STOPPED);
	assert_int_equal(atomic_load(&c->errors), 0);
	assert_true(runs(&a));
	/* nothing of that process runs: a kernel that starts later is not meant */
	atomic_fetch_add(&limits.reset_seq, 1);
	passed(&other);
	start(&again, &other, 3, 7, 4);
	assert_true(runs(&again));
	sleep_ms(20);
	assert_int_equal(atomic_load(&other.errors), 1);
	/* all, while others have the GPU */
	turns_take(&turns);
	atomic_store(&limits.reset_process, 0);
	atomic_fetch_add(&limits.reset_seq, 1);
	assert_true(wait_uint(&other.errors, 2, 10000));
	assert_true(wait_uint(&c->errors, 1, 10000));
	turns_grant(&turns);
	client_close(&other);
	client_close(c);
	assert_int_equal(atomic_load(&fake_live_workgroups), 0);
}

/* ------------------------------------------------------------------ timelines, faults */

static struct trace {
	struct turns turns; /* the context is shared */
	atomic_bool on;
	atomic_uint num;
	struct gpu_trace_event event[1024];
} trace;

static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;

static bool trace_is_on(void *ctx)
{
	struct trace *t = ctx;

	return atomic_load_explicit(&t->on, memory_order_relaxed);
}

static void trace_add(void *ctx, const struct gpu_trace_event *event)
{
	struct trace *t = ctx;
	unsigned n;

	pthread_mutex_lock(&trace_lock);
	n = atomic_load(&t->num);
	assert_true(n < 1024);
	t->event[n] = *event;
	atomic_store(&t->num, n + 1);
	pthread_mutex_unlock(&trace_lock);
}

static unsigned trace_count(uint32_t kind, const struct gpu_trace_event **first)
{
	unsigned num = 0;

	*first = NULL;
	for (unsigned i = 0; i < atomic_load(&trace.num); i++) {
		if (trace.event[i].kind != kind)
			continue;
		if (!num++)
			*first = &trace.event[i];
	}
	return num;
}

/* The copies' events come once nothing goes on with them. */
static uint64_t bytes_copied(void)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < atomic_load(&trace.num); i++)
		if (trace.event[i].kind == GPU_TRACE_COPY)
			bytes += trace.event[i].value;
	return bytes;
}

static void timeline(void **state)
{
	static const struct gpu_trace_ops ops = {trace_is_on, trace_add};
	struct gpu_config config = {.target = "gfx90a",
				    .threads = 2,
				    .trace = &ops,
				    .turn = &turns_ops,
				    .turn_ctx = &trace};
	struct client client, *c = &client;
	const struct gpu_trace_event *e;
	struct signal *fence;
	uint64_t begin, end, src, dst;
	struct ring r;
	struct job j, off;

	memset(&trace, 0, sizeof(trace));
	turns_grant(&trace.turns);
	client_open_config(c, &config);
	gpu_vm_set_owner(c->vm, 4711);
	start(&off, c, 8, 7, 3);
	assert_true(runs(&off));
	finish(&off);
	for (unsigned i = 0; i < 20000 && atomic_load(&trace.turns.want); i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&trace.num), 0);

	atomic_store(&trace.on, true);
	begin = clock_ns();
	start(&j, c, 9, 7, 3);
	assert_true(runs(&j));
	for (unsigned i = 0; i < 3; i++) {
		turns_take(&trace.turns);
		/* A busy machine may be late to see that the turn is lost. */
		assert_true(WAIT_FOR(atomic_load(&trace.turns.waiters), 5000));
		sleep_ms(5);
		turns_grant(&trace.turns);
		assert_true(runs(&j));
	}
	finish(&j);
	for (unsigned i = 0; i < 20000 && atomic_load(&trace.turns.want); i++)
		sleep_ms(1);
	end = clock_ns();
	assert_int_equal(trace_count(GPU_TRACE_DISPATCH, &e), 1);
	assert_in_range(e->begin_ns, begin, end);
	assert_in_range(e->end_ns, e->begin_ns + 15000000, end);
	assert_true(e->value > 0 && e->value < 2 * (end - begin) - 15000000);
	assert_int_equal(e->kernel, j.kernel);
	assert_int_equal(e->process, 4711);
	assert_int_equal(e->queue, 9);
	/* Not counted: a turn that was lost between two of its slices. */
	assert_in_range(e->preempted, 1, 3);
	assert_int_equal(e->workgroups, 3);
	assert_int_equal(trace_count(GPU_TRACE_TURN, &e), 4);
	assert_int_equal(e->value, 1);
	for (unsigned i = 0, turns = 0; i < atomic_load(&trace.num); i++) {
		e = &trace.event[i];
		if (e->kind != GPU_TRACE_TURN)
			continue;
		assert_true(e->begin_ns >= begin && e->end_ns >= e->begin_ns);
		assert_int_equal(e->value, ++turns < 4);
		begin = e->end_ns;
	}

	/* copies: many pieces are one */
	client_alloc(c, 1 << 20, &src);
	client_alloc(c, 1 << 20, &dst);
	fence = client_signal(c, 0, 0);
	ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
	for (unsigned i = 0; i < 4; i++)
		sdma_copy(&r, dst, src, 1 << 20);
	sdma_fence(c, &r, &fence->value, 3);
	ring_ring(&r);
	assert_true(wait_value(&fence->value, 3, 10000));
	assert_true(WAIT_FOR(bytes_copied() >= 4 << 20, 20000));
	assert_int_equal(bytes_copied(), 4 << 20);
	for (unsigned i = 0; i < atomic_load(&trace.num); i++) {
		if (trace.event[i].kind == GPU_TRACE_COPY) {
			assert_true(trace.event[i].end_ns > trace.event[i].begin_ns);
			assert_int_equal(trace.event[i].process, 4711);
		}
	}
	assert_in_range(trace_count(GPU_TRACE_COPY, &e), 1, 8); /* of 16 pieces */
	client_close(c);
}

static void errors_name_kernel_and_queue(void **state)
{
	static const struct gpu_trace_ops ops = {trace_is_on, trace_add};
	struct gpu_config config = {
		.target = "gfx90a", .threads = 2, .trace = &ops, .turn_ctx = &trace};
	struct client client, *c = &client;
	const struct gpu_trace_event *e;
	struct kernel k;
	struct packet p;
	struct aql q;
	struct ring r;

	memset(&trace, 0, sizeof(trace));
	atomic_store(&trace.on, true);
	client_open_config(c, &config);
	gpu_vm_set_owner(c->vm, 77);
	client_kernel(c, &k, 32);
	aql_describe(&q, c, 16, true);
	q.desc.id = 12;
	assert_int_equal(gpu_queue_create(c->vm, &q.desc, &q.queue), 0);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_ILLEGAL}, 64, 3, NULL);
	aql_submit(&q, &p);
	assert_true(wait_uint(&c->errors, 1, 10000));
	assert_int_equal(c->error_queue, 12);
	assert_int_equal(c->error_code, 4);
	assert_int_equal(c->error_kernel, k.object);
	assert_int_equal(trace_count(GPU_TRACE_ERROR, &e), 1);
	assert_int_equal(e->value, 4);
	assert_int_equal(e->kernel, k.object);
	assert_int_equal(e->process, 77);
	assert_int_equal(e->queue, 12);
	assert_int_equal(trace_count(GPU_TRACE_DISPATCH, &e), 1);
	/* a packet that is no kernel has none */
	aql_describe(&q, c, 16, true);
	q.desc.id = 13;
	assert_int_equal(gpu_queue_create(c->vm, &q.desc, &q.queue), 0);
	p = (struct packet){.header = PACKET_AGENT};
	aql_submit(&q, &p);
	assert_true(wait_uint(&c->errors, 2, 10000));
	assert_int_equal(c->error_queue, 13);
	assert_int_equal(c->error_kernel, 0);
	/* memory fault of a wave */
	aql_describe(&q, c, 16, true);
	q.desc.id = 14;
	assert_int_equal(gpu_queue_create(c->vm, &q.desc, &q.queue), 0);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_COUNT, 0x7000, 0}, 64, 3, NULL);
	aql_submit(&q, &p);
	assert_true(wait_uint(&c->faults, 1, 10000));
	assert_int_equal(c->fault.queue, 14);
	assert_int_equal(c->fault.kernel, k.object);
	assert_int_equal(c->fault.va, 0x7000);
	assert_int_equal(trace_count(GPU_TRACE_FAULT, &e), 1);
	assert_int_equal(e->value, 0x7000);
	assert_int_equal(e->kernel, k.object);
	client_close(c);

	/* of a copy */
	client_open_config(c, &config);
	ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
	sdma_copy(&r, 0x123000, POOL_VA, 64);
	ring_ring(&r);
	assert_true(wait_uint(&c->faults, 1, 10000));
	assert_int_equal(c->fault.kernel, 0);
	assert_int_equal(c->fault.va, 0x123000);
	client_close(c);
}

/* ------------------------------------------------------------------ control while all is busy */

static void control_gets_in(void **state)
{
	enum { COPIES = 100 };
	struct client client, *c = &client;
	uint64_t best = ~0ull, src, dst;
	struct ring *rings = calloc(COPIES, sizeof(*rings));
	struct job j;

	client_open(c, "gfx90a", 2, NULL, NULL);
	client_alloc(c, 4 << 20, &src);
	client_alloc(c, 4 << 20, &dst);
	for (unsigned i = 0; i < COPIES; i++) {
		ring_open(&rings[i], c, GPU_QUEUE_SDMA, 16384);
		for (unsigned k = 0; k < 500; k++)
			sdma_copy(&rings[i], dst, src, 4 << 20);
		ring_ring(&rings[i]);
	}
	start(&j, c, 1, 7, 100);
	for (unsigned i = 0; i < 40; i++) {
		uint64_t begin = clock_ns(), took;

		gpu_queue_destroy(rings[i].queue);
		took = clock_ns() - begin;
		assert_in_range(took, 0, 10000000000);
		if (took < best)
			best = took;
		sleep_ms(1);
	}
	assert_in_range(best, 0, 2000000);
	/* each of the others is served: none has all that may be copied in a pass */
	for (unsigned i = 40; i < COPIES; i++) {
		for (unsigned k = 0; k < 10000 && !atomic_load(rings[i].rptr); k++)
			sleep_ms(1);
		assert_true(atomic_load(rings[i].rptr) > 0);
	}
	client_close(c);
	free(rings);
}

/* ------------------------------------------------------------------ figures */

static bool wait_backlog(_Atomic uint32_t *backlog, uint32_t want)
{
	for (unsigned i = 0; i < 20000 && atomic_load(backlog) != want; i++)
		sleep_ms(1);
	return atomic_load(backlog) == want;
}

static void waiting_packets_are_counted(void **state)
{
	_Atomic uint32_t backlog = 99;
	struct gpu_config config = {.target = "gfx90a", .threads = 2, .backlog = &backlog};
	struct client client, *c = &client, other;
	struct signal *dep[1], *done;
	struct aql q, r;
	struct packet p;

	client_open_config(c, &config);
	client_join(&other, c);
	dep[0] = client_signal(c, 1, 0);
	done = client_signal(c, 6, 0);
	aql_open(&q, c, 16, false);
	p = barrier_packet(c, PACKET_AND, dep, 1, done);
	for (unsigned i = 0; i < 6; i++)
		aql_submit(&q, &p);
	assert_true(wait_backlog(&backlog, 6));
	/* of all processes */
	struct signal *dep2[1] = {client_signal(&other, 1, 0)};

	aql_open(&r, &other, 16, false);
	p = barrier_packet(&other, PACKET_AND, dep2, 1, NULL);
	aql_submit(&r, &p);
	assert_true(wait_backlog(&backlog, 7));
	/* a write pointer that claims more than the ring holds */
	atomic_fetch_add(aql_write_id(&r), 1ull << 40);
	assert_true(wait_backlog(&backlog, 6 + 16));
	atomic_fetch_sub(aql_write_id(&r), 1ull << 40);
	atomic_store(&dep[0]->value, 0);
	atomic_store(&dep2[0]->value, 0);
	assert_true(wait_value(&done->value, 0, 5000));
	assert_true(wait_backlog(&backlog, 0));
	client_close(&other);
	client_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpu_is_left_at_once),
		cmocka_unit_test(waiting_is_cheap),
		cmocka_unit_test(work_goes_while_waiting),
		cmocka_unit_test(copies_take_turns),
		cmocka_unit_test(processes_share_by_time),
		cmocka_unit_test(idle_time_is_not_saved),
		cmocka_unit_test(queues_share_by_time),
		cmocka_unit_test(priorities),
		cmocka_unit_test(priorities_across_processes),
		cmocka_unit_test(cu_mask_bounds_threads),
		cmocka_unit_test(begun_work_goes_on_first),
		cmocka_unit_test(work_groups_wait_for_earlier_ones),
		cmocka_unit_test(parts_are_all_of_the_grid),
		cmocka_unit_test(kernels_are_limited),
		cmocka_unit_test(kernels_are_stopped_on_request),
		cmocka_unit_test(timeline),
		cmocka_unit_test(errors_name_kernel_and_queue),
		cmocka_unit_test(control_gets_in),
		cmocka_unit_test(waiting_packets_are_counted),
	};

	return cmocka_run_group_tests_name("cp/sched", tests, NULL, NULL);
}
