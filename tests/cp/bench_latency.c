/* SPDX-License-Identifier: MIT */
/*
 * bench_latency - what one dispatch costs: round trip of an empty kernel (doorbell store to
 * completion signal seen by a spinning host thread), and the time per dispatch when many are
 * queued. Arguments: target, code object, and "turns" to have the GPU by turns that are never taken
 * away, as a tenant has it that is alone. Prints "name value" lines.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/cp/real.h"
#include "tests/cp/turns.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	enum { ROUNDS = 20000, QUEUED = 20000 };
	static uint64_t ns[ROUNDS];
	static struct client client, *c = &client;
	static struct turns turns;
	struct codeobj co;
	struct signal *done;
	struct packet p;
	uint64_t arg = 0, begin;
	struct aql q;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: bench_latency TARGET CODE-OBJECT [turns]\n");
		return 2;
	}
	atomic_store(&turns.granted, 1);
	client_open(c, argv[1], 2, argc > 3 ? &turns_ops : NULL, &turns);
	real_load(c, &co, argv[2]);
	aql_open(&q, c, 1024, true);
	done = client_signal(c, 0, 0);
	p = real_packet(c, &co, "empty", &arg, 8, 64, 1, 0, done);
	for (unsigned i = 0; i < ROUNDS; i++) {
		atomic_store(&done->value, 1);
		begin = clock_ns();
		aql_submit(&q, &p);
		while (atomic_load_explicit(&done->value, memory_order_acquire))
			__builtin_ia32_pause();
		ns[i] = clock_ns() - begin;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	printf("cp_empty_kernel_us %.2f\n", (double)ns[ROUNDS / 2] / 1000);
	printf("cp_empty_kernel_p99_us %.2f\n", (double)ns[ROUNDS * 99 / 100] / 1000);
	atomic_store(&done->value, QUEUED);
	begin = clock_ns();
	for (unsigned i = 0; i < QUEUED; i++)
		aql_submit(&q, &p);
	while (atomic_load_explicit(&done->value, memory_order_acquire))
		__builtin_ia32_pause();
	printf("cp_queued_kernel_us %.2f\n", (double)(clock_ns() - begin) / QUEUED / 1000);
	{
		enum { GROUPS = 100000 };
		struct {
			uint64_t out;
			uint32_t base;
		} args = {.base = 1};

		client_alloc(c, GROUPS * 64 * 4 / 2, &args.out);
		p = real_packet(c, &co, "fill", &args, 12, 64, GROUPS / 2, 0, done);
		atomic_store(&done->value, 2);
		begin = clock_ns();
		aql_submit(&q, &p);
		aql_submit(&q, &p);
		while (atomic_load_explicit(&done->value, memory_order_acquire))
			sleep_ms(1);
		printf("cp_workgroup_us %.3f\n", (double)(clock_ns() - begin) / GROUPS / 1000);
	}
	{
		enum { GROUPS = 300 };
		uint64_t args[2];

		client_alloc(c, GROUPS * 64 * 8, &args[0]);
		client_alloc(c, 4096, &args[1]);
		p = real_packet(c, &co, "straight", args, 16, 64, GROUPS, 0, done);
		atomic_store(&done->value, 3);
		begin = clock_ns();
		for (unsigned i = 0; i < 3; i++)
			aql_submit(&q, &p);
		while (atomic_load_explicit(&done->value, memory_order_acquire))
			sleep_ms(1);
		printf("cp_compute_ms %.2f\n", (double)(clock_ns() - begin) / 1e6);
	}
	client_close(c);
	codeobj_free(&co);
	return 0;
}
