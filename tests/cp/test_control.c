/* SPDX-License-Identifier: MIT */
/* What happens to queues while they run: stopping, suspending, unmapping, destroying, parking; many
 * at once; turns. */
#include "tests/cp/client.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern atomic_int fake_live_workgroups;

static int open_client(void **state)
{
	static struct client c;

	client_open(&c, "gfx90a", 2, NULL, NULL);
	*state = &c;
	return 0;
}

static int close_client(void **state)
{
	client_close(*state);
	assert_int_equal(atomic_load(&fake_live_workgroups), 0);
	return 0;
}

/* The machine may be busy with other things: the best of several tries must be quick, every one
 * bounded. */
static void time_it(uint64_t *best, uint64_t begin)
{
	uint64_t took = clock_ns() - begin;

	assert_in_range(took, 0, 5000000000);
	if (took < *best)
		*best = took;
}

/* A kernel that spins on *word with so many work-groups. */
static void start_spinner(struct client *c, struct aql *q, _Atomic uint64_t *word, unsigned groups,
			  struct signal *done)
{
	struct kernel k;
	struct packet p;

	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_WAIT, client_va(c, word), 0}, 64, groups,
			    done);
	aql_submit(q, &p);
}

static uint64_t count_up(struct client *c, struct aql *q, unsigned groups)
{
	struct signal *done = client_signal(c, 1, 0);
	_Atomic uint64_t *count = client_alloc(c, 8, NULL);
	struct kernel k;
	struct packet p;

	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_COUNT, client_va(c, count), 0}, 64,
			    groups, done);
	aql_submit(q, &p);
	assert_true(wait_value(&done->value, 0, 5000));
	return atomic_load(count);
}

static void runaway_blocks_nobody(void **state)
{
	struct client *c = *state;
	_Atomic uint64_t *word = client_alloc(c, 8, NULL);
	struct signal *done = client_signal(c, 1, 0);
	struct aql a, b;

	aql_open(&a, c, 16, true);
	aql_open(&b, c, 16, true);
	start_spinner(c, &a, word, 1000, done);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(count_up(c, &b, 7), 7);
	atomic_store(word, 1);
	assert_true(wait_value(&done->value, 0, 5000));
}

/* Work-groups that wait for each other, more of them than threads; one thread as well. */
static void workgroups_wait_for_each_other(void **state)
{
	for (unsigned threads = 1; threads <= 3; threads += 2) {
		struct client client, *c = &client;
		_Atomic uint64_t *word;
		struct signal *done;
		struct kernel k;
		struct packet p;
		struct aql q;

		client_open(c, "gfx900", threads, NULL, NULL);
		word = client_alloc(c, 8, NULL);
		done = client_signal(c, 1, 0);
		aql_open(&q, c, 16, true);
		client_kernel(c, &k, 24);
		p = dispatch_packet(c, &k, (struct fake_args){FAKE_BARRIER, client_va(c, word), 64},
				    64, 64, done);
		aql_submit(&q, &p);
		assert_true(wait_value(&done->value, 0, 10000));
		client_close(c);
	}
}

static void destroy_while_running(void **state)
{
	struct client *c = *state;
	uint64_t best = ~0ull;

	for (unsigned i = 0; i < 10; i++) {
		_Atomic uint64_t *word = client_alloc(c, 8, NULL);
		struct signal *done = client_signal(c, 1, 0);
		uint64_t begin;
		struct aql q;

		aql_open(&q, c, 16, true);
		start_spinner(c, &q, word, 1 + i * 50, done);
		if (i & 1)
			sleep_ms(5);
		begin = clock_ns();
		gpu_queue_destroy(q.queue);
		time_it(&best, begin);
		assert_int_equal(atomic_load(&done->value), 1);
		assert_int_equal(atomic_load(&fake_live_workgroups), 0);
	}
	assert_in_range(best, 0, 50000000);
}

static void destroy_process_while_running(void **state)
{
	uint64_t best = ~0ull;

	for (unsigned i = 0; i < 5; i++) {
		struct client client, *c = &client;
		_Atomic uint64_t *word;
		struct aql q[4];
		struct ring copy;
		uint64_t begin;
		uint32_t endless[6] = {
			0x80000008 | 3u << 28, 0, 0, 1, ~0u, 0}; /* POLL_REGMEM that never holds */

		client_open(c, "gfx90a", 2, NULL, NULL);
		word = client_alloc(c, 8, NULL);
		endless[1] = (uint32_t)client_va(c, word);
		endless[2] = (uint32_t)(client_va(c, word) >> 32);
		for (unsigned k = 0; k < 4; k++) {
			aql_open(&q[k], c, 16, true);
			start_spinner(c, &q[k], word, 100, client_signal(c, 1, 9));
		}
		ring_open(&copy, c, GPU_QUEUE_SDMA, 4096);
		ring_put(&copy, endless, 6);
		ring_ring(&copy);
		sleep_ms(i);
		begin = clock_ns();
		client_close(c);
		time_it(&best, begin);
		assert_int_equal(atomic_load(&fake_live_workgroups), 0);
	}
	assert_in_range(best, 0, 50000000);
}

static void suspend_and_resume(void **state)
{
	struct client *c = *state;
	_Atomic uint64_t *word = client_alloc(c, 8, NULL);
	struct signal *done = client_signal(c, 1, 0), *later = client_signal(c, 1, 0);
	struct gpu_vm_stats before, after;
	struct aql a, b;

	aql_open(&a, c, 16, true);
	aql_open(&b, c, 16, true);
	start_spinner(c, &a, word, 40, done);
	sleep_ms(3);
	gpu_vm_suspend(c->vm);
	gpu_vm_suspend(c->vm);
	gpu_vm_get_stats(c->vm, &before);
	start_spinner(c, &b, word, 1, later);
	atomic_store(word, 1);
	sleep_ms(10);
	gpu_vm_get_stats(c->vm, &after);
	assert_int_equal(after.gpu_ns, before.gpu_ns);
	assert_int_equal(atomic_load(&done->value), 1);
	gpu_vm_resume(c->vm);
	sleep_ms(5);
	assert_int_equal(atomic_load(&done->value), 1);
	gpu_vm_resume(c->vm);
	assert_true(wait_value(&done->value, 0, 5000));
	assert_true(wait_value(&later->value, 0, 5000));
}

static void percent_zero(void **state)
{
	struct client *c = *state;
	_Atomic uint64_t *word = client_alloc(c, 8, NULL);
	struct signal *done = client_signal(c, 1, 0);
	struct gpu_queue_desc desc;
	struct aql q;

	aql_open(&q, c, 16, true);
	start_spinner(c, &q, word, 40, done);
	sleep_ms(3);
	desc = q.desc;
	desc.percent = 0;
	assert_int_equal(gpu_queue_update(q.queue, &desc), 0);
	atomic_store(word, 1);
	sleep_ms(5);
	assert_int_equal(atomic_load(&done->value), 1);
	assert_int_equal(gpu_queue_update(q.queue, &desc), 0);
	desc.ring_size = 100;
	assert_int_not_equal(gpu_queue_update(q.queue, &desc), 0);
	desc = q.desc;
	assert_int_equal(gpu_queue_update(q.queue, &desc), 0);
	assert_true(wait_value(&done->value, 0, 5000));

	/* created with percent 0: not run until it has some */
	struct aql idle;

	aql_describe(&idle, c, 16, true);
	idle.desc.percent = 0;
	assert_int_equal(gpu_queue_create(c->vm, &idle.desc, &idle.queue), 0);
	done = client_signal(c, 1, 0);
	start_spinner(c, &idle, word, 1, done);
	sleep_ms(3);
	assert_int_equal(atomic_load(&done->value), 1);
	idle.desc.percent = 50;
	assert_int_equal(gpu_queue_update(idle.queue, &idle.desc), 0);
	assert_true(wait_value(&done->value, 0, 5000));
}

/* After gpu_vm_unmap the memory may go: the kernel that reads it gets a fault, the test no SIGSEGV.
 */
static void unmap_while_running(void **state)
{
	uint64_t best = ~0ull;

	for (unsigned i = 0; i < 20; i++) {
		struct client client, *c = &client;
		uint64_t va = 0x8000000000, begin;
		void *host = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct signal *done;
		struct kernel k;
		struct packet p;
		struct aql q;

		client_open(c, "gfx90a", 2, NULL, NULL);
		assert_int_equal(
			gpu_vm_map(c->vm, va, 8 << 20, host, GPU_PROT_READ | GPU_PROT_WRITE), 0);
		done = client_signal(c, 1, 0);
		aql_open(&q, c, 16, true);
		client_kernel(c, &k, 32);
		p = dispatch_packet(c, &k, (struct fake_args){FAKE_READ_LOOP, va + 0x5008, 0}, 64,
				    30, done);
		aql_submit(&q, &p);
		if (i & 1)
			sleep_ms(1 + i % 5);
		begin = clock_ns();
		gpu_vm_unmap(c->vm, va, 8 << 20);
		munmap(host, 8 << 20);
		time_it(&best, begin);
		assert_true(wait_uint(&c->faults, 1, 5000));
		assert_int_equal(c->fault.va, va + 0x5000);
		assert_true(c->fault.not_present);
		client_close(c);
	}
	assert_in_range(best, 0, 20000000);
}

static void read_only_fault(void **state)
{
	struct client *c = *state;
	uint64_t va = 0x8000000000;
	struct kernel k;
	struct packet p;
	struct aql q;

	assert_int_equal(gpu_vm_map(c->vm, va, 4096, c->pool, GPU_PROT_READ), 0);
	aql_open(&q, c, 16, true);
	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_COUNT, va + 16, 0}, 64, 3, NULL);
	aql_submit(&q, &p);
	assert_true(wait_uint(&c->faults, 1, 5000));
	assert_true(c->fault.read_only && !c->fault.not_present);
	assert_int_equal(c->fault.va, va);
}

static void park_and_wake(void **state)
{
	struct client *c = *state;
	struct signal *done;
	struct kernel k;
	struct packet p;
	struct aql q;
	unsigned idles;

	aql_open(&q, c, 64, true);
	assert_int_equal(count_up(c, &q, 1), 1);
	/* idle is called once per idle period */
	assert_true(wait_uint(&c->idles, 1, 10000));
	/* On a busy machine one may have come before the kernel, and another is yet to come. */
	for (unsigned i = 0; i < 5; i++) {
		idles = atomic_load(&c->idles);
		sleep_ms(50);
		if (atomic_load(&c->idles) == idles)
			break;
	}
	assert_int_equal(atomic_load(&c->idles), idles);
	assert_in_range(idles, 1, 3);
	assert_int_equal(count_up(c, &q, 1), 1);
	assert_true(wait_uint(&c->idles, idles + 1, 10000));

	/* parked: doorbells are not seen and nothing costs CPU */
	assert_true(gpu_vm_park(c->vm));
	client_kernel(c, &k, 32);
	done = client_signal(c, 1, 0);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, done);
	aql_submit(&q, &p);
	assert_true(least_cpu_seconds(200, 0.02) < 0.02);
	assert_int_equal(atomic_load(&done->value), 1);
	gpu_vm_wake(c->vm);
	assert_true(wait_value(&done->value, 0, 10000));

	/* work left: it does not park */
	for (unsigned i = 0; i < 100; i++) {
		atomic_store(&done->value, 1);
		aql_submit(&q, &p);
		if (gpu_vm_park(c->vm)) {
			/* then all was done before */
			assert_int_equal(atomic_load(&done->value), 0);
			gpu_vm_wake(c->vm);
		}
		assert_true(wait_value(&done->value, 0, 10000));
	}

	/* parking within the callback, woken by each dispatch */
	c->park_when_idle = true;
	idles = atomic_load(&c->idles);
	gpu_vm_wake(c->vm);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t end = clock_ns() + 10000000000ull;

		while (atomic_load(&c->idles) == idles && clock_ns() < end)
			sleep_ms(1);
		assert_int_not_equal(atomic_load(&c->idles), idles);
		idles = atomic_load(&c->idles);
		atomic_store(&done->value, 1);
		aql_submit(&q, &p);
		gpu_vm_wake(c->vm);
		assert_true(wait_value(&done->value, 0, 10000));
	}
}

static void idle_polling_is_cheap(void **state)
{
	struct client *c = *state;
	struct aql q;

	aql_open(&q, c, 16, true);
	assert_int_equal(count_up(c, &q, 1), 1);
	sleep_ms(20);
	assert_true(least_cpu_seconds(500, 0.1) < 0.1);
}

static void cu_mask(void **state)
{
	struct client *c = *state;
	uint32_t one = 1u << 3, none = 0;
	struct aql q;

	aql_open(&q, c, 16, true);
	gpu_queue_set_cu_mask(q.queue, &one, 32);
	assert_int_equal(count_up(c, &q, 500), 500);
	gpu_queue_set_cu_mask(q.queue, &none, 32);
	assert_int_equal(count_up(c, &q, 500), 500);
	gpu_queue_set_cu_mask(q.queue, &one, 2);
	assert_int_equal(count_up(c, &q, 50), 50);
}

/* ------------------------------------------------------------------ many */

enum { PRODUCERS = 4, QUEUES = 4, ROUNDS = 150 };

struct producer {
	struct client *c;
	struct aql q[QUEUES];
	struct signal *done[QUEUES];
	_Atomic uint64_t *count;
	struct packet p[QUEUES];
	pthread_t thread;
};

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned k = 0; k < QUEUES; k++)
			aql_submit(&p->q[k], &p->p[k]);
		for (unsigned k = 0; k < QUEUES; k++) {
			if (!wait_value(&p->done[k]->value, -1 - (int64_t)i, 10000))
				return "lost";
		}
	}
	return NULL;
}

static void many_queues(void **state)
{
	struct client *c = *state;
	struct producer *producers = calloc(PRODUCERS, sizeof(*producers));
	struct gpu_vm_stats stats;
	struct kernel k;

	client_kernel(c, &k, 32);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		struct producer *p = &producers[i];

		p->c = c;
		p->count = client_alloc(c, 8, NULL);
		for (unsigned j = 0; j < QUEUES; j++) {
			aql_open(&p->q[j], c, 16, true);
			p->done[j] = client_signal(c, 0, 1 + j);
			p->p[j] = dispatch_packet(
				c, &k, (struct fake_args){FAKE_COUNT, client_va(c, p->count), 0},
				64, 1 + 20 * j, p->done[j]);
		}
	}
	for (unsigned i = 0; i < PRODUCERS; i++)
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				 0);
	/* meanwhile the control plane is busy as well */
	for (unsigned i = 0; i < 50; i++) {
		struct aql q;

		gpu_vm_suspend(c->vm);
		aql_describe(&q, c, 4, true);
		assert_int_equal(gpu_queue_create(c->vm, &q.desc, &q.queue), 0);
		gpu_vm_resume(c->vm);
		assert_int_equal(gpu_vm_map(c->vm, 0x9000000000, 2 << 20, c->pool, 3), 0);
		gpu_vm_unmap(c->vm, 0x9000000000, 2 << 20);
		gpu_queue_destroy(q.queue);
		sleep_ms(1);
	}
	for (unsigned i = 0; i < PRODUCERS; i++) {
		void *ret;

		pthread_join(producers[i].thread, &ret);
		assert_null(ret);
		assert_int_equal(atomic_load(producers[i].count), ROUNDS * (1 + 21 + 41 + 61));
	}
	gpu_vm_get_stats(c->vm, &stats);
	assert_int_equal(stats.dispatches, PRODUCERS * QUEUES * ROUNDS);
	assert_int_equal(stats.faults + stats.queue_errors, 0);
	free(producers);
}

/* Of the GPU's threads of this process, all the CPUs that one of them alone may use. */
static unsigned cpus_of_threads(cpu_set_t *own)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned threads = 0;
	struct dirent *e;

	CPU_ZERO(own);
	while ((e = readdir(dir))) {
		char path[300], name[32] = "";
		cpu_set_t set;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && !strncmp(name, "hsv-", 4) &&
		    !sched_getaffinity(atoi(e->d_name), sizeof(set), &set)) {
			threads++;
			if (CPU_COUNT(&set) == 1)
				CPU_OR(own, own, &set);
		}
		fclose(f);
	}
	closedir(dir);
	return threads;
}

/* A thread for each CPU: each has its own. Else they may go anywhere. */
static void threads_stay_on_cpus(void **state)
{
	unsigned cpus;
	cpu_set_t all, own;
	struct client c;
	struct aql q;

	sched_getaffinity(0, sizeof(all), &all);
	cpus = (unsigned)CPU_COUNT(&all);
	if (cpus < 2)
		skip();
	for (unsigned more = 0; more < 2; more++) {
		unsigned threads = 0;

		client_open(&c, "gfx90a", cpus + more, NULL, NULL);
		aql_open(&q, &c, 16, true);
		for (unsigned i = 0; i < 500; i++) {
			threads = cpus_of_threads(&own);
			if (threads == cpus + more && (unsigned)CPU_COUNT(&own) == (more ? 0 : cpus))
				break;
			sleep_ms(10);
		}
		assert_int_equal(threads, cpus + more);
		assert_int_equal(CPU_COUNT(&own), more ? 0 : cpus);
		client_close(&c);
	}
}

/* ------------------------------------------------------------------ turns */

static atomic_int turn_open, turn_held, turn_users, turn_ran_outside, turn_dispatches;
static _Atomic uint64_t turn_ns;

static void turn_acquire(void *ctx)
{
	while (!atomic_load(&turn_open))
		sleep_ms(1);
	atomic_fetch_add(&turn_users, 1);
	atomic_store(&turn_held, 1);
}

static bool turn_try_acquire(void *ctx)
{
	if (!atomic_load(&turn_open))
		return false;
	atomic_fetch_add(&turn_users, 1);
	atomic_store(&turn_held, 1);
	return true;
}

static void turn_leave(void *ctx)
{
	atomic_fetch_sub(&turn_users, 1);
}

static void turn_release(void *ctx)
{
	atomic_store(&turn_held, 0);
}

static bool turn_lost(void *ctx)
{
	return !atomic_load(&turn_open);
}

static void turn_account(void *ctx, uint64_t ns, uint32_t dispatches)
{
	if (ns && !atomic_load(&turn_held))
		atomic_fetch_add(&turn_ran_outside, 1);
	atomic_fetch_add(&turn_ns, ns);
	atomic_fetch_add(&turn_dispatches, (int)dispatches);
}

static void turns(void **state)
{
	static const struct gpu_turn_ops ops = {turn_acquire, turn_try_acquire, turn_leave,
						turn_release, turn_lost, turn_account};
	struct client client, *c = &client;
	_Atomic uint64_t *word;
	struct signal *done, *copied;
	uint64_t before = 0;
	struct ring copy;
	struct aql q;

	atomic_store(&turn_open, 0);
	client_open(c, "gfx90a", 2, &ops, NULL);
	word = client_alloc(c, 8, NULL);
	done = client_signal(c, 1, 0);
	copied = client_signal(c, 0, 0);
	aql_open(&q, c, 16, true);
	start_spinner(c, &q, word, 3, done);
	sleep_ms(10);
	assert_int_equal(atomic_load(&turn_ns), 0);
	/* packets without waves need no turn */
	uint64_t at = client_va(c, &copied->value);
	uint32_t fence[4] = {5, (uint32_t)at, (uint32_t)(at >> 32), 77};

	ring_open(&copy, c, GPU_QUEUE_SDMA, 4096);
	ring_put(&copy, fence, 4);
	ring_ring(&copy);
	assert_true(wait_value(&copied->value, 77, 10000));
	atomic_store(&turn_open, 1);
	for (unsigned i = 0; i < 500 && !atomic_load(&turn_ns); i++)
		sleep_ms(10);
	assert_true(atomic_load(&turn_ns) > 0);
	/* lost: nothing runs after a slice */
	atomic_store(&turn_open, 0);
	for (unsigned i = 0; i < 50; i++) { /* a slice may be long on a busy machine */
		before = atomic_load(&turn_ns);
		sleep_ms(100);
		if (atomic_load(&turn_ns) == before && !atomic_load(&turn_users))
			break;
	}
	atomic_store(word, 1);
	sleep_ms(50);
	assert_int_equal(atomic_load(&turn_ns), before);
	assert_int_equal(atomic_load(&done->value), 1);
	atomic_store(&turn_open, 1);
	assert_true(wait_value(&done->value, 0, 5000));
	for (unsigned i = 0; i < 500 && atomic_load(&turn_held); i++)
		sleep_ms(10);
	assert_int_equal(atomic_load(&turn_held), 0);
	assert_int_equal(atomic_load(&turn_dispatches), 1);
	assert_int_equal(atomic_load(&turn_ran_outside), 0);
	client_close(c);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_client, close_client)
	const struct CMUnitTest tests[] = {
		T(runaway_blocks_nobody),
		cmocka_unit_test(workgroups_wait_for_each_other),
		T(destroy_while_running),
		cmocka_unit_test(destroy_process_while_running),
		T(suspend_and_resume),
		T(percent_zero),
		cmocka_unit_test(unmap_while_running),
		T(read_only_fault),
		T(park_and_wake),
		T(idle_polling_is_cheap),
		T(cu_mask),
		T(many_queues),
		cmocka_unit_test(threads_stay_on_cpus),
		cmocka_unit_test(turns),
	};

	return cmocka_run_group_tests_name("cp/control", tests, NULL, NULL);
}
