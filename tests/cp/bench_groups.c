/* SPDX-License-Identifier: MIT */
/*
 * bench_groups - what work-groups cost besides their instructions: ns of CPU time (all threads of the GPU) for each work-group of 256
 * work-items, of a kernel that does nothing and of one that stores a dword per work-item, with 1 and with 2 threads. Arguments: target and
 * code object. Prints "name value" lines. The scaling is that of CPU time: with N threads N * (CPU time with 1) / (CPU time with N), which
 * does not depend on what else runs on the machine; the wall's is told, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/cp/real.h"

enum { ITEMS = 256, GROUPS = 12000, PACKETS = 32, TIMES = 20 };

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void run(unsigned threads, const char *target, const char *path, const char *kernel, double *cpu, double *wall)
{
	static struct client client, *c = &client;
	struct signal *done;
	struct codeobj co;
	struct packet p;
	struct aql q;
	struct {
		uint64_t out;
		uint32_t base;
	} args = {.base = 1};

	client_open(c, target, threads, NULL, NULL);
	real_load(c, &co, path);
	aql_open(&q, c, 1024, true);
	done = client_signal(c, 0, 0);
	client_alloc(c, GROUPS * ITEMS * 4, &args.out);
	p = real_packet(c, &co, kernel, &args, 12, ITEMS, GROUPS, 0, done);
	*cpu = *wall = 1e18;
	/* The best one: the first are interpreted, others may be disturbed. */
	for (unsigned i = 0; i < TIMES; i++) {
		uint64_t cpu_begin = cpu_ns(), begin = clock_ns();
		double ns;

		atomic_store(&done->value, PACKETS);
		for (unsigned k = 0; k < PACKETS; k++)
			aql_submit(&q, &p);
		while (atomic_load_explicit(&done->value, memory_order_acquire))
			sleep_ms(1);
		ns = (double)(cpu_ns() - cpu_begin) / GROUPS / PACKETS;
		*cpu = ns < *cpu ? ns : *cpu;
		ns = (double)(clock_ns() - begin) / GROUPS / PACKETS;
		*wall = ns < *wall ? ns : *wall;
	}
	client_close(c);
	codeobj_free(&co);
}

int main(int argc, char **argv)
{
	static const char *const kernels[] = {"empty", "fill"};

	if (argc != 3) {
		fprintf(stderr, "usage: bench_groups TARGET CODE-OBJECT\n");
		return 2;
	}
	for (unsigned k = 0; k < 2; k++) {
		double cpu[2], wall[2];

		for (unsigned n = 0; n < 2; n++)
			run(n + 1, argv[1], argv[2], kernels[k], &cpu[n], &wall[n]);
		printf("cp_%s_workgroup_ns %.0f\n", kernels[k], cpu[0]);
		printf("cp_%s_workgroup_2_threads_ns %.0f\n", kernels[k], cpu[1]);
		printf("cp_%s_threads_2_over_1_cpu %.2f\n", kernels[k], 2 * cpu[0] / cpu[1]);
		printf("cp_%s_threads_2_over_1_wall %.2f\n", kernels[k], wall[0] / wall[1]);
	}
	return 0;
}
