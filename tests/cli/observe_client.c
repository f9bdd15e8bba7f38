// SPDX-License-Identifier: MIT
/*
 * observe_client.c - an executor for test_observe.py: a tenant that has no GPU, but counters, faults
 * and a timeline as the test says, honest ones and others. observe-client NAME; commands on
 * standard input, each answered by a line "ok".
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "arbiter/protocol.h"
#include "base/clock.h"

#define KERNELS 3

static struct arbiter_client *client;
static struct arbiter_counters *counters;
static struct arbiter_shared *shared;

static bool name_kernel(void *ctx, uint32_t process, uint64_t kernel, char *name, size_t size)
{
	if (kernel % 0x1000)
		return false;
	/* The second's is as long as can be. */
	if (kernel == 0x2000)
		snprintf(name, size, "%0*d", (int)size - 1, 7);
	else
		snprintf(name, size, "kernel_%llx_of_%u", (unsigned long long)kernel, process);
	return true;
}

static void count(const char *what, unsigned long long n)
{
	if (!strcmp(what, "dispatches"))
		counters->dispatches = n;
	else if (!strcmp(what, "gpu_ns"))
		counters->gpu_ns = n;
	else if (!strcmp(what, "jit_ns"))
		counters->jit_ns = n;
	else if (!strcmp(what, "vm_exits"))
		counters->vm_exits = n;
	else if (!strcmp(what, "queues"))
		counters->queues = (uint32_t)n;
	else if (!strcmp(what, "backlog"))
		counters->backlog = (uint32_t)n;
	else if (!strcmp(what, "faults"))
		counters->faults = n;
	else if (!strcmp(what, "page_requests"))
		counters->paging.requests = n;
	else if (!strcmp(what, "page_waits"))
		counters->paging.waits = n;
	else if (!strcmp(what, "paged"))
		counters->paging.bytes = n;
	else
		exit(3);
}

static void report(unsigned long long n)
{
	for (unsigned long long i = 0; i < n; i++) {
		struct arbiter_fault f = {
			.address = i % 2 ? 0 : 0xdead0000 + i * 4096,
			.kernel = 0x7000,
			.process = 4242,
			.queue = (uint32_t)i,
			.code = i % 2 ? 4 : 0,
			.flags = i % 2 ? 0 : 2,
			.process_name = "program",
			.kernel_name = "vector_add",
		};

		arbiter_report_fault(client, &f);
	}
}

static void report_evil(void)
{
	struct arbiter_fault f;

	memset(&f, 0xff, sizeof(f));
	f.code = 0;
	memcpy(f.process_name, "\x1b[31m\"evil\\\n", 12);
	memset(f.kernel_name, '"', sizeof(f.kernel_name)); /* not terminated */
	arbiter_report_fault(client, &f);
}

/* Turns of 5 ms, in each a kernel in each of two queues, a copy; faults at the end. */
static void trace(unsigned long long n)
{
	const struct gpu_trace_ops *ops = &arbiter_trace_ops;
	uint64_t t = clock_ns();

	for (unsigned long long i = 0; i < n; i++) {
		struct gpu_trace_event e = {.kind = GPU_TRACE_TURN,
					    .begin_ns = t - (n - i) * 1000,
					    .end_ns = t - (n - i) * 1000 + 900,
					    .value = i % 2};

		ops->event(client, &e);
		e.end_ns -= 100;
		e.kind = GPU_TRACE_DISPATCH;
		e.process = 4242;
		e.kernel = 0x1000 * (1 + i % KERNELS) + (i % 7 == 6 ? 8 : 0);
		e.queue = i % 2;
		e.workgroups = 64;
		e.value = 12345;
		e.preempted = i % 2;
		ops->event(client, &e);
		e.kind = GPU_TRACE_COPY;
		e.queue = 9;
		e.kernel = 0;
		e.value = 4096;
		ops->event(client, &e);
	}
	struct gpu_trace_event e = {.kind = GPU_TRACE_FAULT,
				    .begin_ns = t,
				    .kernel = 0x1000,
				    .value = 0xdead0000,
				    .process = 4242,
				    .queue = 1};
	ops->event(client, &e);
	e.kind = GPU_TRACE_ERROR;
	e.value = 4;
	ops->event(client, &e);
}

static void trace_evil(void)
{
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t n = shared->page.traced;
		struct gpu_trace_event *e = &shared->trace[n % ARBITER_TRACE_EVENTS];

		for (size_t k = 0; k < sizeof(*e) / 4; k++)
			((uint32_t *)e)[k] = (uint32_t)rand() << (rand() % 20);
		e->kind = (uint32_t)rand() % 10;
		if (i % 2) { /* times that hold, and a queue of its own */
			e->end_ns = clock_ns();
			e->begin_ns = e->end_ns - 10;
		}
		shared->page.traced = n + 1;
		if (i % 1000 == 999)
			usleep(20000);
	}
	shared->page.traced += 1ull << 40;
	usleep(50000);
	shared->page.traced = 5;
	usleep(50000);
}

static void wait_for_trace(bool on)
{
	for (unsigned i = 0; arbiter_trace_ops.on(client) != on; i++) {
		if (i > 1000)
			exit(4);
		usleep(10000);
	}
}

/* From here on all is said of the tenant on that GPU; what was said of another stays. */
static bool join(const char *name, uint32_t gpu)
{
	struct arbiter_grant grant;
	char error[256] = "";

	if (arbiter_connect_gpu(ARBITER_VM, name, 64 << 20, 0, gpu, &client, &grant, error)) {
		fprintf(stderr, "observe-client: %s\n", error);
		return false;
	}
	arbiter_set_namer(client, name_kernel, NULL);
	counters = arbiter_counters(client);
	shared = (void *)((char *)counters - offsetof(struct arbiter_page, counters));
	return true;
}

int main(int argc, char **argv)
{
	char line[256], word[64], text[64];

	if (argc != 2 || !join(argv[1], 0))
		return 1;
	puts("ok");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		unsigned long long n = 0;

		text[0] = 0;
		if (sscanf(line, "%63s %63s %llu", word, text, &n) < 1)
			continue;
		if (!strcmp(word, "count"))
			count(text, n);
		else if (!strcmp(word, "program"))
			memcpy(counters->program, text, sizeof(text));
		else if (!strcmp(word, "report"))
			report(strtoull(text, NULL, 0));
		else if (!strcmp(word, "report-evil"))
			report_evil();
		else if (!strcmp(word, "jump"))
			shared->page.faults += (uint32_t)strtoull(text, NULL, 0);
		else if (!strcmp(word, "trace"))
			trace(strtoull(text, NULL, 0));
		else if (!strcmp(word, "trace-evil"))
			trace_evil();
		else if (!strcmp(word, "wait"))
			wait_for_trace(!strcmp(text, "on"));
		else if (!strcmp(word, "join") && join(argv[1], (uint32_t)strtoul(text, NULL, 0)))
			;
		else
			return 3;
		puts("ok");
		fflush(stdout);
	}
	arbiter_set_namer(client, NULL, NULL);
	arbiter_disconnect(client);
	return 0;
}
