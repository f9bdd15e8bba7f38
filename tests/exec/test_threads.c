/* SPDX-License-Identifier: MIT */
/*
 * test_threads.c - several threads run work-groups of one address space: one code cache, shared memory, global atomics.
 *
 * usage: test_threads GROUP.co
 * Every thread begins by decoding the same code; each dispatch revalidates it, and padding between kernels changes all the time, so that pages
 * are replaced while others run from them. Most worth in a build with the thread sanitizer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/exec/runner.h"

#define THREADS 4
#define RUNS	25
#define ITEMS	1024

static struct codeobj co;
static struct code_cache *code;
static uint32_t *out, *in;
static atomic_uint misplaced;

struct worker {
	pthread_t thread;
	struct runner r;
	enum exec_result result;
};

/* The dword before the kernel is padding (s_nop): never executed, but in its page, so that changing it makes the page stale. */
static void touch_code(unsigned i)
{
	const struct kernel_descriptor *kd = codeobj_symbol(&co, "k_histogram.kd");
	uint32_t *pad = (uint32_t *)(void *)((uint8_t *)(uintptr_t)kd + kd->entry_offset) - 1;
	uint32_t old = __atomic_load_n(pad, __ATOMIC_RELAXED);

	if (old >> 16 == 0xbf80)
		__atomic_store_n(pad, 0xbf800000 | i, __ATOMIC_RELAXED);
	else
		atomic_fetch_add(&misplaced, 1);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct {
		void *out, *in0, *in1;
		uint32_t n;
	} args = {out, in, in, ITEMS};
	struct runner_dispatch d = {
		.kernel = "k_histogram", .grid = {ITEMS, 1, 1}, .group = {256, 1, 1}, .args = &args, .args_size = 28};

	w->result = EXEC_DONE;
	for (unsigned i = 0; i < RUNS && w->result == EXEC_DONE; i++) {
		touch_code(i);
		w->result = runner_run(&w->r, &co, &d);
	}
	return NULL;
}

static void test_shared_code(void **state)
{
	static struct worker workers[THREADS];
	uint32_t want[64] = {0};

	for (unsigned t = 0; t < THREADS; t++) {
		struct runner *r = &workers[t].r;

		assert_int_equal(runner_init(r, co.target), 0);
		code_cache_free(r->code);
		r->code = code;
		runner_map(r, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC);
		runner_map(r, out, 4096, GPU_PROT_READ | GPU_PROT_WRITE);
		runner_map(r, in, ITEMS * 4, GPU_PROT_READ);
	}
	for (unsigned t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&workers[t].thread, NULL, work, &workers[t]), 0);
	for (unsigned t = 0; t < THREADS; t++) {
		pthread_join(workers[t].thread, NULL);
		assert_int_equal(workers[t].result, EXEC_DONE);
		workers[t].r.code = NULL;
		runner_free(&workers[t].r);
	}
	assert_int_equal(misplaced, 0);
	for (unsigned i = 0; i < ITEMS; i++)
		want[in[i] & 63] += THREADS * RUNS;
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(out[i], want[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_shared_code)};
	int failed;

	if (argc != 2 || codeobj_load(&co, argv[1])) {
		fprintf(stderr, "usage: test_threads GROUP.co\n");
		return 2;
	}
	code = code_cache_new(co.target);
	out = aligned_alloc(4096, 4096);
	in = aligned_alloc(4096, ITEMS * 4);
	memset(out, 0, 4096);
	for (unsigned i = 0; i < ITEMS; i++)
		in[i] = i * 2654435761u >> 7;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	code_cache_free(code);
	free(out);
	free(in);
	codeobj_free(&co);
	return failed;
}
