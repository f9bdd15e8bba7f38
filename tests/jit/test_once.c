/* SPDX-License-Identifier: MIT */
/*
 * test_once.c - lanes that are at one place: usage: test_once once-TARGET.co [SECONDS]
 *
 * Hardware makes one access of a wave's lanes that are at one place. Programs count on it without knowing: what another agent stores once it has seen
 * the wave's store must not be overwritten by a lane that comes late, and compilers take what is loaded from a uniform address for uniform. Here
 * a thread of the host is that agent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/exec/runner.h"

#define LIMIT	5 /* seconds without a turn */
#define PATTERN 0x100000001ull

static struct runner runner;
static struct codeobj co;
static double seconds = 0.1; /* that each kind is tried for */

/* The value's type, how lanes find the place, the first lane that takes part. */
static const struct kind {
	const char *name;
	unsigned bytes;
} kinds[] = {
	{"u8_near", 1}, {"u16_near", 2}, {"u32_near", 4}, {"u64_near", 8}, {"u8_far", 1}, {"u16_far", 2}, {"u32_far", 4}, {"u64_far", 8},
};
static const uint32_t firsts[] = {0, 5, 40, 63};

struct arguments {
	void *place;
	uint64_t *where;
	uint32_t rounds, from;
	uint64_t last; /* factor, or where errors are counted */
};

static struct {
	void *place;
	unsigned bytes;
	uint32_t rounds;
	uint64_t factor;
	atomic_uint stop;
	bool late;
} other;

static uint64_t load(const void *p, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return __atomic_load_n((const uint8_t *)p, __ATOMIC_ACQUIRE);
	case 2:
		return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
	case 4:
		return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
	default:
		return __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
	}
}

static void store(void *p, unsigned bytes, uint64_t v)
{
	switch (bytes) {
	case 1:
		__atomic_store_n((uint8_t *)p, (uint8_t)v, __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELEASE);
		break;
	default:
		__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t cut(uint64_t v, unsigned bytes)
{
	return bytes == 8 ? v : v & ((1ull << 8 * bytes) - 1);
}

static void *take_turns(void *arg)
{
	for (uint32_t r = 0; r < other.rounds; r++) {
		double end = now() + LIMIT;

		store(other.place, other.bytes, (2 * r + 1) * other.factor);
		while (load(other.place, other.bytes) != cut((2 * r + 2) * other.factor, other.bytes)) {
			if (now() < end)
				continue;
			other.late = true;
			atomic_store(&other.stop, 1);
			return NULL;
		}
	}
	return NULL;
}

static void *count(void *arg)
{
	for (uint64_t k = 0; !atomic_load_explicit(&other.stop, memory_order_relaxed); k++)
		store(other.place, other.bytes, k * PATTERN);
	return NULL;
}

/* Runs the kernel of that kind beside the thread; the place is in the middle of a page, so that nothing else is near. */
static void run_beside(const char *what, const struct kind *k, uint32_t from, uint32_t rounds, void *(*thread)(void *), uint32_t *bad)
{
	uint8_t *memory = runner_alloc(&runner, 4096, GPU_PROT_READ | GPU_PROT_WRITE);
	uint64_t *where = runner_alloc(&runner, 4096, GPU_PROT_READ);
	struct arguments args = {.place = memory + 1024, .where = where, .rounds = rounds, .from = from};
	struct runner_dispatch d = {.grid = {64, 1, 1}, .group = {64, 1, 1}, .args = &args, .args_size = sizeof(args)};
	enum exec_result result;
	pthread_t other_thread;
	char kernel[32];

	snprintf(kernel, sizeof(kernel), "%s_%s", what, k->name);
	d.kernel = kernel;
	for (unsigned l = 0; l < 64; l++)
		where[l] = (uint64_t)(uintptr_t)args.place;
	args.last = bad ? (uint64_t)(uintptr_t)bad : PATTERN;
	other.place = args.place;
	other.bytes = k->bytes;
	other.rounds = rounds;
	other.factor = PATTERN;
	other.late = false;
	atomic_store(&other.stop, 0);
	assert_int_equal(pthread_create(&other_thread, NULL, thread, NULL), 0);
	result = runner_run_until(&runner, &co, &d, bad ? NULL : &other.stop);
	atomic_store(&other.stop, 1);
	pthread_join(other_thread, NULL);
	if (other.late)
		print_message("%s, lanes %u to 63: a turn was lost\n", kernel, from);
	assert_false(other.late);
	assert_int_equal(result, EXEC_DONE);
	runner_unmap(&runner, memory);
	runner_unmap(&runner, where);
}

static void test_stores(void **state)
{
	for (unsigned f = 0; f < sizeof(firsts) / sizeof(firsts[0]); f++)
		for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			for (double end = now() + seconds; now() < end;)
				run_beside("turns", &kinds[k], firsts[f], 40, take_turns, NULL);
}

static void test_loads(void **state)
{
	uint32_t *bad = runner_alloc(&runner, 4096, GPU_PROT_READ | GPU_PROT_WRITE);

	for (unsigned f = 0; f < sizeof(firsts) / sizeof(firsts[0]); f++)
		for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			memset(bad, 0, 4096);
			for (double end = now() + seconds; now() < end;)
				run_beside("same", &kinds[k], firsts[f], 2000, count, bad);
			for (unsigned l = 0; l < 64; l++)
				if (bad[l])
					print_message("%s, lanes %u to 63, lane %u: %u times something else\n", kinds[k].name, firsts[f], l, bad[l]);
			for (unsigned l = 0; l < 64; l++)
				assert_int_equal(bad[l], 0);
		}
	runner_unmap(&runner, bad);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_stores), cmocka_unit_test(test_loads)};

	if (argc > 2)
		seconds = atof(argv[2]);
	if (argc < 2 || codeobj_load(&co, argv[1]) || runner_init(&runner, co.target) || runner_map(&runner, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
