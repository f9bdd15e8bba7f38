// SPDX-License-Identifier: MIT
/*
 * test_swap.c - overcommitted VRAM: a daemon with a small pool, executors in this process that fill
 * their VRAM, and what becomes of it when others need the room.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "arbiter/client.h"
#include "arbiter/protocol.h"
#include "arbiter/swap.h"
#include "tests/arbiter/daemon.h"

#define MIB  (1ull << 20)
#define POOL (64 * MIB)
#define SIZE (48 * MIB)

static struct daemon hsavisord;

/* An executor: its VRAM, and whether it lets it go. */
struct tenant_here {
	struct arbiter_client *client;
	struct arbiter_grant grant;
	int file; /* its VRAM's, */
	uint64_t offset; /* and where in it */
	struct swap *swap;
	uint8_t *vram;
	_Atomic int stop_error;
	_Atomic int stops;
};

static struct tenant_here a, b;
static struct tenant_here beside; /* what the VM a has on another GPU, if it has one */

static int stop_vram(void *ctx)
{
	struct tenant_here *t = ctx;

	t->stops++;
	return t->stop_error;
}

static const struct swap_ops ops = {.stop = stop_vram};

static void join_on(struct tenant_here *t, const char *name, uint32_t gpu)
{
	memset(t, 0, sizeof(*t));
	assert_int_equal(arbiter_connect_gpu(ARBITER_VM, name, SIZE, 0, gpu, &t->client, &t->grant, NULL), 0);
	t->file = t->grant.vram_fd;
}

static void open_vram(struct tenant_here *t)
{
	struct swap_config config = {.size = SIZE, .ops = &ops, .ctx = t, .client = t->client, .vram_fd = t->file, .vram_offset = t->offset};

	t->vram = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->file, (off_t)t->offset);
	assert_true(t->vram != MAP_FAILED);
	config.vram = t->vram;
	assert_int_equal(swap_open(&config, &t->swap), 0);
	assert_non_null(t->swap);
}

static void join(struct tenant_here *t, const char *name)
{
	join_on(t, name, 0);
	open_vram(t);
}

static void leave(struct tenant_here *t)
{
	if (!t->client)
		return;
	swap_close(t->swap);
	munmap(t->vram, SIZE);
	arbiter_disconnect(t->client);
	t->client = NULL;
}

static int start(const char *swap_dir)
{
	struct server_config c = {
		.gpus = {{.pool = POOL}}, .num_gpus = 1, .default_quota = SIZE, .swap = true, .swap_dir = swap_dir};

	daemon_prepare(&hsavisord);
	daemon_start(&hsavisord, &c, NULL);
	join(&a, "a");
	join(&b, "b");
	return 0;
}

static int setup(void **state)
{
	return start(NULL);
}

static int setup_directory(void **state)
{
	return start("/tmp");
}

static int teardown(void **state)
{
	leave(&a);
	leave(&b);
	daemon_remove(&hsavisord);
	return 0;
}

/* Memory that its VRAM takes, bytes. */
static uint64_t taken(const struct tenant_here *t)
{
	off_t at = (off_t)t->offset, end = at + (off_t)SIZE;
	uint64_t bytes = 0;

	while (at < end) {
		off_t hole;

		at = lseek(t->file, at, SEEK_DATA);
		if (at < 0 || at >= end)
			break;
		hole = lseek(t->file, at, SEEK_HOLE);
		bytes += (uint64_t)((hole < end ? hole : end) - at);
		at = hole;
	}
	return bytes;
}

static uint64_t pattern(uint64_t i, uint64_t seed)
{
	i = (i + seed) * 0x9e3779b97f4a7c15ull;
	return i ^ i >> 29;
}

/* Every third page stays a hole. */
static void fill(struct tenant_here *t, uint64_t bytes, uint64_t seed)
{
	uint64_t *v = (uint64_t *)(void *)t->vram;

	for (uint64_t i = 0; i < bytes / 8; i++)
		if (i / 512 % 3 != 2)
			v[i] = pattern(i, seed);
}

static uint64_t differ(const struct tenant_here *t, uint64_t bytes, uint64_t seed)
{
	const uint64_t *v = (const uint64_t *)(const void *)t->vram;
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < bytes / 8; i++)
		wrong += v[i] != (i / 512 % 3 != 2 ? pattern(i, seed) : 0);
	return wrong;
}

/* The VM a has two GPUs: what is between it and b is so on the second one. */
static int setup_one_file(void **state)
{
	struct server_config c = {.gpus = {{.pool = POOL}, {.pool = POOL}}, .num_gpus = 2, .default_quota = SIZE, .swap = true};

	daemon_prepare(&hsavisord);
	daemon_start(&hsavisord, &c, NULL);
	join_on(&beside, "a", 0);
	join_on(&a, "a", 1);
	assert_int_equal(arbiter_one_file(beside.client, &beside.file), 0);
	a.file = beside.file;
	a.offset = SIZE;
	assert_int_equal(lseek(a.file, 0, SEEK_END), 2 * SIZE);
	assert_int_equal(ftruncate(a.file, 4096), -1); /* sealed */
	assert_int_equal(arbiter_one_file(a.client, &a.file), -EINVAL); /* again */
	open_vram(&beside);
	open_vram(&a);
	join_on(&b, "b", 1);
	open_vram(&b);
	assert_int_equal(arbiter_charge_vram(beside.client, SIZE), 0);
	fill(&beside, SIZE, 99);
	return 0;
}

/* Whatever happened to the VRAM of the second GPU, the first one's is as it was. */
static int teardown_one_file(void **state)
{
	assert_int_equal(taken(&beside), SIZE / 3 * 2);
	assert_int_equal(differ(&beside, SIZE, 99), 0);
	assert_int_equal(beside.stops, 0);
	leave(&beside);
	return teardown(state);
}

static void take(struct tenant_here *t, uint64_t bytes)
{
	assert_int_equal(arbiter_charge_vram(t->client, (int64_t)bytes), 0);
}

static void there_and_back(void **state)
{
	take(&a, SIZE);
	fill(&a, SIZE, 1);
	assert_int_equal(taken(&a), SIZE / 3 * 2);
	take(&b, SIZE); /* waits until a's is out */
	assert_int_equal(taken(&a), 0);
	assert_int_equal(a.stops, 1);
	fill(&b, SIZE, 2);
	/* A load brings it back, and takes b's away; a store does the same. */
	assert_int_equal(differ(&a, SIZE, 1), 0);
	assert_int_equal(taken(&b), 0);
	b.vram[0] ^= 0xff;
	assert_int_equal(taken(&a), 0);
	b.vram[0] ^= 0xff;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(differ(&b, SIZE, 2), 0);
		assert_int_equal(differ(&a, SIZE, 1), 0);
	}
}

static void gpu_work_brings_it_back(void **state)
{
	take(&a, SIZE);
	fill(&a, SIZE, 3);
	take(&b, SIZE);
	assert_int_equal(taken(&a), 0);
	arbiter_turn_ops.acquire(a.client);
	assert_int_equal(taken(&a), SIZE / 3 * 2);
	assert_int_equal(differ(&a, SIZE, 3), 0);
	arbiter_turn_ops.leave(a.client);
	arbiter_turn_ops.release(a.client);
	/* Who is out has no turns: b gets one, with its VRAM. */
	arbiter_turn_ops.acquire(b.client);
	assert_int_equal(taken(&a), 0);
	arbiter_turn_ops.leave(b.client);
	arbiter_turn_ops.release(b.client);
}

/* Freed while it is out: nobody gets to see it again. */
static void cleared_while_it_is_out(void **state)
{
	take(&a, SIZE);
	fill(&a, SIZE, 4);
	take(&b, SIZE);
	assert_int_equal(taken(&a), 0);
	swap_clear(a.swap, 0, 8 * MIB);
	swap_hold(a.swap);
	swap_release(a.swap);
	for (size_t i = 0; i < 8 * MIB; i++)
		assert_int_equal(a.vram[i], 0);
	assert_int_not_equal(a.vram[8 * MIB + 4096], 0); /* the first page there is a hole */
}

/* Memory that was reserved and not written is no VRAM that is there, and is given back. */
static void only_reserved(void **state)
{
	struct stat before, after;

	take(&a, SIZE);
	assert_int_equal(fstat(a.file, &before), 0);
	assert_int_equal(fallocate(a.file, 0, (off_t)a.offset, SIZE), 0);
	take(&b, SIZE);
	assert_int_equal(fstat(a.file, &after), 0);
	assert_int_equal(after.st_blocks, before.st_blocks);
	a.vram[0] = 1;
	assert_int_equal(taken(&a), 4096);
}

static void *writer(void *arg)
{
	struct tenant_here *t = arg;
	uint64_t *v = (uint64_t *)(void *)t->vram;

	for (uint64_t round = 1; round <= 40; round++) {
		for (uint64_t i = 0; i < SIZE / 8; i += 509)
			v[i] = pattern(i, round);
	}
	return NULL;
}

/* It is written to all the time while it goes and comes. */
static void writers_do_not_notice(void **state)
{
	const uint64_t *v = (const uint64_t *)(const void *)a.vram;
	uint64_t wrong = 0;
	pthread_t thread;

	take(&a, SIZE);
	take(&b, SIZE);
	assert_int_equal(pthread_create(&thread, NULL, writer, &a), 0);
	for (int i = 0; i < 6; i++) {
		b.vram[i] = 1;
		usleep(30000);
	}
	pthread_join(thread, NULL);
	for (uint64_t i = 0; i < SIZE / 8; i += 509)
		wrong += v[i] != pattern(i, 40);
	assert_int_equal(wrong, 0);
	assert_true(a.stops > 0);
}

/* Who refuses keeps it, and the other's allocation fails as it would without overcommit. */
static void who_refuses_keeps_it(void **state)
{
	a.stop_error = -ETIMEDOUT;
	take(&a, SIZE);
	fill(&a, SIZE, 5);
	assert_int_equal(arbiter_charge_vram(b.client, SIZE), -ENOMEM);
	assert_true(a.stops > 0);
	assert_int_equal(arbiter_charge_vram(b.client, (int64_t)(POOL - SIZE)), 0);
	assert_int_equal(taken(&a), SIZE / 3 * 2);
	assert_int_equal(differ(&a, SIZE, 5), 0);
}

static _Atomic bool touched;

static void *toucher(void *arg)
{
	*(uint64_t *)arg = *(const uint64_t *)(const void *)a.vram;
	touched = true;
	return NULL;
}

/* Room that one has just been given by another can be had back: who is on the way may go again when it has come. */
static void who_comes_may_go_again(void **state)
{
	uint64_t first = 0;
	pthread_t thread;
	bool in_time;

	touched = false;
	take(&a, SIZE);
	fill(&a, SIZE, 8);
	take(&b, SIZE);
	assert_int_equal(a.stops, 1);
	b.stop_error = -ETIMEDOUT;
	assert_int_equal(pthread_create(&thread, NULL, toucher, &first), 0);
	for (unsigned i = 0; i < 10000 && !b.stops; i++)
		usleep(1000);
	assert_int_equal(b.stops, 1);
	assert_int_equal(arbiter_charge_vram(b.client, -(int64_t)SIZE), 0);
	assert_int_equal(arbiter_charge_vram(b.client, SIZE), 0);
	in_time = touched;
	pthread_join(thread, NULL);
	assert_int_equal(first, pattern(0, 8));
	assert_int_equal(a.stops, 2);
	/* A thread that did not run in the moment in which it was there has it come back once more, since nobody goes. */
	if (in_time)
		assert_int_equal(taken(&a), 0);
}

/* The one idle longest goes; those that are not needed stay. */
static void the_longest_idle_goes(void **state)
{
	struct tenant_here c;

	take(&a, 24 * MIB);
	fill(&a, 24 * MIB, 6);
	take(&b, 24 * MIB);
	fill(&b, 24 * MIB, 7);
	arbiter_turn_ops.acquire(a.client);
	arbiter_turn_ops.account(a.client, 1000, 1);
	arbiter_turn_ops.leave(a.client);
	arbiter_turn_ops.release(a.client);
	join(&c, "c");
	take(&c, 24 * MIB);
	assert_int_equal(taken(&b), 0);
	assert_int_not_equal(taken(&a), 0);
	leave(&c);
	assert_int_equal(differ(&b, 24 * MIB, 7), 0);
	assert_int_equal(a.stops, 0);
}

static void the_daemon_dies_while_it_is_out(void **state)
{
	take(&a, SIZE);
	fill(&a, SIZE, 8);
	take(&b, SIZE);
	assert_int_equal(taken(&a), 0);
	daemon_stop(&hsavisord, SIGKILL);
	assert_int_equal(differ(&a, SIZE, 8), 0);
}

static void no_directory(void **state)
{
	struct server_config c = {.socket_path = "/tmp/hsv-swap-none.sock",
				  .gpus = {{.pool = POOL}},
				  .num_gpus = 1,
				  .default_quota = SIZE,
				  .swap = true,
				  .swap_dir = "/nonexistent"};

	assert_int_equal(daemon_refused(&c), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(there_and_back),
		cmocka_unit_test_setup_teardown(there_and_back, setup_directory, teardown),
		cmocka_unit_test_setup_teardown(there_and_back, setup_one_file, teardown_one_file),
		cmocka_unit_test_setup_teardown(cleared_while_it_is_out, setup_one_file, teardown_one_file),
		cmocka_unit_test_setup_teardown(only_reserved, setup_one_file, teardown_one_file),
		TEST(gpu_work_brings_it_back),
		TEST(cleared_while_it_is_out),
		TEST(writers_do_not_notice),
		TEST(who_refuses_keeps_it),
		TEST(the_longest_idle_goes),
		TEST(who_comes_may_go_again),
		TEST(the_daemon_dies_while_it_is_out),
		cmocka_unit_test(no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
