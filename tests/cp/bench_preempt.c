// SPDX-License-Identifier: MIT
/*
 * bench_preempt - how soon the GPU is left when the turn is taken away, for several kinds of work;
 * what a tenant that waits for its turn costs; how soon a dispatch is noticed then. Arguments:
 * target, code object, rounds. Prints "name value" lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/cp/real.h"
#include "tests/cp/turns.h"

static struct client client, *const c = &client;
static struct codeobj co;
static struct turns turns;
static unsigned rounds = 300;

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print(const char *name, uint64_t *ns, unsigned num)
{
	qsort(ns, num, sizeof(ns[0]), compare);
	printf("%s_p50_us %.1f\n%s_p99_us %.1f\n%s_max_us %.1f\n", name,
	       (double)ns[num / 2] / 1000, name, (double)ns[num * 99 / 100] / 1000, name,
	       (double)ns[num - 1] / 1000);
	fflush(stdout);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Allocations of the pool since then are given back, zeroed. */
static void forget(size_t used)
{
	memset(c->pool + used, 0, c->used - used);
	c->used = used;
}

static void take_away(const char *name)
{
	uint64_t *ns = calloc(rounds, sizeof(*ns)), begin = clock_ns();
	unsigned n = 0;

	sleep_ms(2);
	while (n < rounds && clock_ns() - begin < 20000000000ull) {
		turns_grant(&turns);
		nanosleep(&(struct timespec){0, 300000 + rand() % 700000}, NULL);
		ns[n++] = turns_take(&turns);
	}
	print(name, ns, n);
	free(ns);
}

static void run(const char *name, const char *kernel, unsigned wg_size, unsigned groups,
		unsigned packets, unsigned lds)
{
	struct {
		uint64_t a, b, c;
	} args;
	uint64_t begin = clock_ns();
	struct signal *done = client_signal(c, packets, 0);
	struct packet p;
	struct aql q;
	size_t used = c->used;

	client_alloc(c, 4 << 20, &args.a);
	client_alloc(c, 4096, &args.b);
	args.c = 0;
	aql_open(&q, c, 4096, true);
	p = real_packet(c, &co, kernel, &args, sizeof(args), wg_size, groups, lds, done);
	for (unsigned i = 0; i < packets; i++)
		aql_submit(&q, &p);
	take_away(name);
	if (atomic_load(&c->faults) || atomic_load(&c->errors))
		printf("%s failed, error %u\n", name, c->error_code);
	if (atomic_load(&done->value) == 0)
		printf("%s ended after %.1f ms\n", name, (double)(clock_ns() - begin) / 1e6);
	gpu_queue_destroy(q.queue);
	forget(used);
}

/* A tenant that has waves to run and waits for its turn. */
static void waiting_cost(void)
{
	struct signal *done = client_signal(c, 1, 0);
	uint64_t arg;
	struct packet p;
	struct aql q;
	double cpu;

	client_alloc(c, 4096, &arg);
	aql_open(&q, c, 64, true);
	p = real_packet(c, &co, "forever", &arg, 8, 64, 4, 0, done);
	aql_submit(&q, &p);
	sleep_ms(50);
	cpu = cpu_seconds();
	sleep_ms(1000);
	printf("waiting_cpu_percent %.2f\n", (cpu_seconds() - cpu) * 100);
	gpu_queue_destroy(q.queue);
	turns_grant(&turns); /* to the worker that waits for it */
	sleep_ms(20);
	turns_take(&turns);
}

/* A 60 Hz job while others have the GPU: from the doorbell until somebody asks for the turn. */
static void notice(void)
{
	enum { FRAMES = 120 };
	struct signal *done = client_signal(c, 0, 0);
	uint64_t arg = 0, ns[FRAMES];
	struct packet p;
	struct aql q;
	double cpu;

	aql_open(&q, c, 64, true);
	p = real_packet(c, &co, "empty", &arg, 8, 64, 4, 0, done);
	cpu = cpu_seconds();
	for (unsigned i = 0; i < FRAMES; i++) {
		uint32_t asked = atomic_load(&turns.asked);
		uint64_t begin;

		atomic_store(&done->value, 1);
		sleep_ms(12);
		begin = clock_ns();
		aql_submit(&q, &p);
		while (atomic_load(&turns.asked) == asked)
			nanosleep(&(struct timespec){0, 2000}, NULL);
		ns[i] = clock_ns() - begin;
		turns_grant(&turns);
		wait_value(&done->value, 0, 5000);
		sleep_ms(4);
		turns_take(&turns);
	}
	cpu = cpu_seconds() - cpu;
	print("notice", ns, FRAMES);
	printf("job60_cpu_percent %.2f\n", cpu * 100 / (FRAMES * 16.2e-3));
	gpu_queue_destroy(q.queue);
}

static void unmap(void)
{
	uint64_t *ns = calloc(rounds, sizeof(*ns)), *kill = calloc(rounds, sizeof(*kill)), arg;
	struct signal *done = client_signal(c, 1, 0);
	struct packet p;
	struct aql q;

	turns_grant(&turns);
	client_alloc(c, 4096, &arg);
	aql_open(&q, c, 64, true);
	p = real_packet(c, &co, "forever", &arg, 8, 64, 64, 0, done);
	aql_submit(&q, &p);
	sleep_ms(5);
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t begin;

		assert_int_equal(gpu_vm_map(c->vm, 0x9000000000, 2 << 20, c->pool, 3), 0);
		nanosleep(&(struct timespec){0, 100000 + rand() % 900000}, NULL);
		begin = clock_ns();
		gpu_vm_unmap(c->vm, 0x9000000000, 2 << 20);
		ns[i] = clock_ns() - begin;
	}
	gpu_queue_destroy(q.queue);
	print("unmap", ns, rounds);
	for (unsigned i = 0; i < rounds; i++) {
		size_t used = c->used;
		uint64_t begin;

		aql_open(&q, c, 64, true);
		aql_submit(&q, &p);
		nanosleep(&(struct timespec){0, 100000 + rand() % 2900000}, NULL);
		begin = clock_ns();
		gpu_queue_destroy(q.queue);
		kill[i] = clock_ns() - begin;
		forget(used);
	}
	print("queue_destroy", kill, rounds);
	turns_take(&turns);
	free(ns);
	free(kill);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: bench_preempt TARGET CODE-OBJECT [ROUNDS]\n");
		return 2;
	}
	if (argc > 3)
		rounds = (unsigned)atoi(argv[3]);
	prctl(PR_SET_TIMERSLACK, 1000ul);
	client_open(c, argv[1], 2, &turns_ops, &turns);
	real_load(c, &co, argv[2]);
	run("forever", "forever", 64, 64, 1, 0);
	run("forever_big", "forever", 1024, 64, 1, 60000);
	run("empty", "empty", 64, 4, 4000, 0);
	run("fill", "fill", 256, 4000, 2000, 0);
	run("straight", "straight", 64, 200, 2000, 0);
	if (!strcmp(argv[1], "gfx90a"))
		run("matrix", "matrix", 64, 200, 2000, 0);
	waiting_cost();
	notice();
	unmap();
	turns_grant(&turns);
	client_close(c);
	codeobj_free(&co);
	return 0;
}
