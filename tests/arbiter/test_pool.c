// SPDX-License-Identifier: MIT
/* test_pool.c - the pool of VRAM without a daemon around it: quotas, their change, charges. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "arbiter/pool.h"

#define MIB (1ull << 20)

static struct tenants t;
static char message[128];

static int setup(void **state)
{
	t = (struct tenants){.pool = 1024 * MIB, .default_quota = 256 * MIB};
	return 0;
}

static int teardown(void **state)
{
	while (t.list)
		tenants_goodbye(&t, t.list->executors);
	assert_int_equal(t.reserved, 0);
	return 0;
}

static int try_hello(enum arbiter_kind kind, const char *name, uint64_t vram, uint64_t max,
		     struct executor **e)
{
	struct arbiter_msg msg = {
		.version = ARBITER_VERSION, .kind = kind, .vram = vram, .vram_max = max};

	strcpy(msg.name, name);
	message[0] = 0;
	return tenants_hello(&t, &msg, -1, 1, 0, e, message);
}

static struct executor *hello(enum arbiter_kind kind, const char *name, uint64_t vram, uint64_t max)
{
	struct executor *e;

	assert_int_equal(try_hello(kind, name, vram, max, &e), 0);
	return e;
}

static int charge(struct executor *e, int64_t bytes)
{
	return pool_charge(&t, e, bytes, 1);
}

static uint64_t limit(const struct executor *e)
{
	return atomic_load(&e->page->vram_limit);
}

static uint64_t used(const struct executor *e)
{
	return atomic_load(&e->page->vram_used);
}

static void bad_sizes(void **state)
{
	struct executor *e;

	assert_int_equal(try_hello(ARBITER_VM, "a", 64 * MIB + 1, 0, &e), -EINVAL);
	assert_int_equal(try_hello(ARBITER_VM, "a", 64 * MIB, 64 * MIB + 1, &e), -EINVAL);
	assert_int_equal(try_hello(ARBITER_VM, "a", 64 * MIB, 32 * MIB, &e), -EINVAL);
	assert_int_equal(try_hello(ARBITER_VM, "a", 64 * MIB, 2048 * MIB, &e), -ENOMEM);
	assert_true(strlen(message) > 0);
	assert_int_equal(t.count, 0);
}

static void quota_changes_while_running(void **state)
{
	struct executor *a = hello(ARBITER_VM, "a", 256 * MIB, 512 * MIB);
	struct executor *b = hello(ARBITER_VM, "b", 512 * MIB, 0);
	struct stat st;

	assert_int_equal(fstat(a->vram_fd, &st), 0);
	assert_int_equal(st.st_size, 512 * MIB);
	assert_int_equal(limit(a), 256 * MIB);
	assert_int_equal(charge(a, (int64_t)(256 * MIB)), 0);
	assert_int_equal(charge(a, 4096), -ENOMEM);
	assert_int_equal(used(a), 256 * MIB);

	/* Up: as far as the size it was started with, and as the pool has. */
	assert_int_equal(pool_set_quota(&t, a->tenant, 512 * MIB + 4096, message), -EINVAL);
	assert_int_equal(pool_set_quota(&t, a->tenant, 512 * MIB - 1, message), -EINVAL);
	assert_int_equal(pool_set_quota(&t, a->tenant, 4096, message), -EINVAL);
	assert_int_equal(pool_set_quota(&t, a->tenant, 512 * MIB, message), 0);
	assert_int_equal(limit(a), 512 * MIB);
	assert_int_equal(t.reserved, 1024 * MIB);
	assert_int_equal(charge(a, 4096), 0);
	assert_int_equal(try_hello(ARBITER_VM, "c", 16 * MIB, 0, &(struct executor *){0}), -ENOMEM);

	/* Down, below what it uses: it keeps that, and the pool does not give it to others. */
	assert_int_equal(pool_set_quota(&t, a->tenant, 64 * MIB, message), 0);
	assert_int_equal(limit(a), 64 * MIB);
	assert_int_equal(used(a), 256 * MIB + 4096);
	assert_int_equal(t.reserved, 768 * MIB + 4096);
	assert_int_equal(charge(a, 4096), -ENOMEM);
	assert_int_equal(charge(a, -(int64_t)(192 * MIB)), 0);
	assert_int_equal(charge(a, 4096), -ENOMEM); /* 64 MiB and a page are left */
	assert_int_equal(charge(a, -8192), 0);
	assert_int_equal(charge(a, 4096), 0);
	assert_int_equal(t.reserved, 576 * MIB);

	/* What was given back is others'. */
	hello(ARBITER_VM, "c", 448 * MIB, 0);
	assert_int_equal(pool_set_quota(&t, a->tenant, 64 * MIB + 4096, message), -ENOMEM);
	assert_true(strlen(message) > 0);
	assert_int_equal(pool_set_quota(&t, b->tenant, 256 * MIB, message), 0);
	assert_int_equal(pool_set_quota(&t, a->tenant, 320 * MIB, message), 0);
}

static void processes_of_a_tenant_see_each_others_use(void **state)
{
	struct executor *h = hello(ARBITER_HOST, "h", 64 * MIB, 0), *p, *q;

	p = hello(ARBITER_PROCESS, "h", 0, 0);
	q = hello(ARBITER_PROCESS, "h", 0, 0);
	assert_int_equal(charge(h, 4096), -EINVAL);
	assert_int_equal(charge(p, INT64_MIN), -EINVAL);
	assert_int_equal(charge(p, INT64_MAX), -ENOMEM);
	assert_int_equal(charge(p, (int64_t)(63 * MIB)), 0);
	assert_int_equal(charge(q, (int64_t)MIB), 0);
	assert_int_equal(used(q), 64 * MIB);
	assert_int_equal(charge(q, 4096), -ENOMEM);
	assert_int_equal(charge(q, -(int64_t)(MIB + 4096)), -EINVAL); /* not its own */
	tenants_goodbye(&t, p);					      /* killed */
	assert_int_equal(used(q), MIB);
	assert_int_equal(charge(q, (int64_t)(63 * MIB)), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_sizes),
		TEST(quota_changes_while_running),
		TEST(processes_of_a_tenant_see_each_others_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
