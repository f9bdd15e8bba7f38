// SPDX-License-Identifier: MIT
/* test_gpus.c - hsavisord with several GPUs: who is on which, with what, and what tools are told. */
#include <errno.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "arbiter/client.h"
#include "arbiter/gpu_option.h"
#include "tests/arbiter/daemon.h"

#define MIB (1ull << 20)

static struct daemon hsavisord;

static const struct server_config config = {
	.gpus = {{.pool = 1024 * MIB}, {.pool = 256 * MIB}, {.pool = 64 * MIB}},
	.num_gpus = 3,
	.default_quota = 128 * MIB,
};

static int start(void **state)
{
	daemon_prepare(&hsavisord);
	daemon_start(&hsavisord, &config, NULL);
	return 0;
}

static int stop(void **state)
{
	daemon_remove(&hsavisord);
	return 0;
}

static struct json_object *rows(struct json_object *answer, const char *key)
{
	struct json_object *list;

	assert_true(json_object_object_get_ex(answer, key, &list));
	return list;
}

/* A figure of a tenant on a GPU; UINT64_MAX: it isn't there. */
static uint64_t figure(const char *tenant, uint32_t gpu, const char *key)
{
	struct json_object *a = daemon_ask(&hsavisord, "{\"op\":\"list\"}"), *list = rows(a, "tenants");
	uint64_t value = UINT64_MAX;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i), *name;

		json_object_object_get_ex(o, "name", &name);
		if (!strcmp(json_object_get_string(name), tenant) && daemon_field(o, "gpu") == gpu)
			value = daemon_field(o, key);
	}
	json_object_put(a);
	return value;
}

static int ask_errno(const char *request)
{
	struct json_object *a = daemon_ask(&hsavisord, request), *v;
	int err = json_object_object_get_ex(a, "errno", &v) ? json_object_get_int(v) : 0;

	json_object_put(a);
	return err;
}

static int connect_on(enum arbiter_kind kind, const char *name, uint64_t vram, uint32_t gpu, struct arbiter_client **c, struct arbiter_grant *g)
{
	struct arbiter_grant grant;
	char error[256];

	return arbiter_connect_gpu(kind, name, vram, 0, gpu, c, g ? g : &grant, error);
}

static void test_options(void **state)
{
	static const char *const bad[] = {"", "hard", "soft:", "gfx1030", "gfx90a,", "gfx90a,vram", "gfx90a,vram=x", "gfx90a,vram=4097",
					  "gfx90a,threads=0", "gfx90a,threads=300", "gfx90a,cpus=", "gfx90a,cpus=3-1", "gfx90a,cpus=999",
					  "gfx90a,colour=red", ",vram=1G"};
	struct server_gpu g = {.target = "other", .threads = 7};

	assert_int_equal(gpu_option_parse("soft", &g), 0);
	assert_string_equal(g.target, "other");
	assert_int_equal(g.threads, 7);
	assert_int_equal(gpu_option_parse("soft:gfx900,vram=2G,threads=3,cpus=0-1+65", &g), 0);
	assert_string_equal(g.target, "gfx900");
	assert_int_equal(g.pool, 2048 * MIB);
	assert_int_equal(g.threads, 3);
	assert_int_equal(g.cpus[0], 3);
	assert_int_equal(g.cpus[1], 2);
	assert_int_equal(gpu_option_parse("gfx90a", &g), 0);
	assert_string_equal(g.target, "gfx90a");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (gpu_option_parse(bad[i], &g) != -EINVAL)
			fail_msg("'%s' is taken for a GPU", bad[i]);
}

static void test_status(void **state)
{
	struct json_object *a = daemon_ask(&hsavisord, "{\"op\":\"status\"}"), *gpus = rows(a, "gpus");

	assert_int_equal(json_object_array_length(gpus), 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(daemon_field(json_object_array_get_idx(gpus, i), "id"), i);
		assert_int_equal(daemon_field(json_object_array_get_idx(gpus, i), "vram_bytes"), config.gpus[i].pool);
	}
	json_object_put(a);
}

/* VRAM of one GPU is no other's. */
static void test_pools(void **state)
{
	struct arbiter_client *a, *b, *c;
	struct arbiter_grant g;

	assert_int_equal(connect_on(ARBITER_VM, "a", 0, 3, &a, &g), -ENODEV);
	assert_int_equal(connect_on(ARBITER_VM, "a", 256 * MIB, 1, &a, &g), 0);
	assert_int_equal(g.gpu, 1);
	assert_int_equal(g.gpus, 2);
	assert_int_equal(connect_on(ARBITER_VM, "b", 16 * MIB, 1, &b, NULL), -ENOMEM);
	assert_int_equal(connect_on(ARBITER_VM, "b", 0, 2, &b, NULL), -ENOMEM); /* the default quota is too large for it */
	assert_int_equal(connect_on(ARBITER_VM, "b", 0, ARBITER_ANY_GPU, &b, &g), 0);
	assert_int_equal(g.gpu, 0);
	assert_int_equal(connect_on(ARBITER_VM, "c", 64 * MIB, 2, &c, &g), 0);
	assert_int_equal(g.gpus, 4);
	assert_int_equal(arbiter_charge_vram(a, 256 * MIB), 0);
	assert_int_equal(figure("a", 1, "vram_used_bytes"), 256 * MIB);
	assert_int_equal(figure("b", 0, "vram_used_bytes"), 0);
	assert_true(figure("a", 0, "id") == UINT64_MAX);
	assert_true(figure("a", 1, "id") != figure("b", 0, "id"));
	assert_true(figure("c", 2, "id") != figure("a", 1, "id"));
	arbiter_disconnect(a);
	arbiter_disconnect(b);
	arbiter_disconnect(c);
}

/* A tenant on two GPUs: one id, a quota of each; its processes learn of both. */
static void test_tenant_of_two(void **state)
{
	struct arbiter_client *t0, *t2, *p0, *p2, *other;
	struct arbiter_grant g;
	struct json_object *a;
	int status;
	pid_t pid;

	assert_int_equal(connect_on(ARBITER_HOST, "t", 64 * MIB, 2, &t2, &g), 0);
	assert_int_equal(connect_on(ARBITER_HOST, "t", 64 * MIB, 2, &other, NULL), -EEXIST);
	assert_int_equal(connect_on(ARBITER_HOST, "t", 96 * MIB, 0, &t0, &g), 0);
	assert_int_equal(g.gpus, 5);
	assert_int_equal(connect_on(ARBITER_VM, "t", 16 * MIB, 1, &other, NULL), -EEXIST); /* another kind */
	assert_true(figure("t", 0, "id") == figure("t", 2, "id"));
	a = daemon_ask(&hsavisord, "{\"op\":\"status\"}");
	assert_int_equal(daemon_field(a, "tenants"), 1);
	json_object_put(a);

	/* Somebody else can't join the name by way of a GPU where it isn't. */
	pid = fork();
	if (!pid)
		_exit(connect_on(ARBITER_HOST, "t", 16 * MIB, 1, &other, NULL) != -EEXIST);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);

	assert_int_equal(connect_on(ARBITER_PROCESS, "t", 0, ARBITER_ANY_GPU, &p0, &g), 0);
	assert_int_equal(g.gpu, 0);
	assert_int_equal(g.gpus, 5);
	assert_int_equal(g.vram_size, 96 * MIB);
	assert_int_equal(connect_on(ARBITER_PROCESS, "t", 0, 2, &p2, &g), 0);
	assert_int_equal(g.gpu, 2);
	assert_int_equal(g.vram_size, 64 * MIB);
	assert_int_equal(connect_on(ARBITER_PROCESS, "t", 0, 1, &other, NULL), -ENOENT);
	assert_int_equal(arbiter_charge_vram(p2, 64 * MIB), 0);
	assert_int_equal(arbiter_charge_vram(p2, 4096), -ENOMEM);
	assert_int_equal(arbiter_charge_vram(p0, 96 * MIB), 0);
	assert_int_equal(arbiter_vram_used(p0), 96 * MIB);
	assert_int_equal(arbiter_vram_used(p2), 64 * MIB);

	/* One GPU may be left without the other. */
	arbiter_disconnect(p2);
	arbiter_disconnect(t2);
	for (int i = 0; i < 100 && figure("t", 2, "id") != UINT64_MAX; i++)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	assert_true(figure("t", 2, "id") == UINT64_MAX);
	assert_int_equal(figure("t", 0, "vram_used_bytes"), 96 * MIB);
	arbiter_disconnect(p0);
	arbiter_disconnect(t0);
}

static int one_file(struct arbiter_client *c, int *fd)
{
	*fd = -1;
	return arbiter_one_file(c, fd);
}

/* The VRAM of a VM with several GPUs is in one file; nobody else's is touched. */
static void test_one_file(void **state)
{
	struct arbiter_client *vm[2], *other, *host, *process;
	struct arbiter_grant g[2], o;
	char text[4] = "";
	int fd, copy;

	assert_int_equal(connect_on(ARBITER_VM, "other", 16 * MIB, 0, &other, &o), 0);
	assert_int_equal(connect_on(ARBITER_VM, "vm", 32 * MIB, 0, &vm[0], &g[0]), 0);
	assert_int_equal(connect_on(ARBITER_VM, "vm", 48 * MIB, 2, &vm[1], &g[1]), 0);
	assert_int_equal(connect_on(ARBITER_HOST, "host", 16 * MIB, 0, &host, NULL), 0);
	assert_int_equal(connect_on(ARBITER_PROCESS, "host", 0, 0, &process, NULL), 0);
	assert_int_equal(one_file(host, &fd), -EINVAL);
	assert_int_equal(one_file(process, &fd), -EINVAL);
	/* Not while there is VRAM on any of them. */
	assert_int_equal(arbiter_charge_vram(vm[1], 4096), 0);
	assert_int_equal(one_file(vm[0], &fd), -EINVAL);
	assert_int_equal(one_file(vm[1], &fd), -EINVAL);
	assert_int_equal(arbiter_charge_vram(vm[1], -4096), 0);
	assert_int_equal(one_file(vm[0], &fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 80 * MIB);
	assert_int_equal(lseek(o.vram_fd, 0, SEEK_END), 16 * MIB);
	assert_int_equal(one_file(vm[0], &copy), -EINVAL);
	assert_int_equal(arbiter_charge_vram(vm[0], 32 * MIB), 0);
	assert_int_equal(arbiter_charge_vram(vm[0], 4096), -ENOMEM);

	/* Who leaves a GPU loses the VRAM of that one. */
	assert_int_equal(pwrite(fd, "one", 4, 0), 4);
	assert_int_equal(pwrite(fd, "two", 4, 32 * MIB), 4);
	assert_int_equal(pwrite(fd, "end", 4, 80 * MIB - 4), 4);
	arbiter_disconnect(vm[1]);
	for (int i = 0; i < 500 && pread(fd, text, 4, 32 * MIB) == 4 && *text; i++)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	assert_string_equal(text, "");
	assert_int_equal(pread(fd, text, 4, 80 * MIB - 4), 4);
	assert_string_equal(text, "");
	assert_int_equal(pread(fd, text, 4, 0), 4);
	assert_string_equal(text, "one");
	arbiter_disconnect(vm[0]);
	arbiter_disconnect(other);
	arbiter_disconnect(process);
	arbiter_disconnect(host);
}

static void test_policy(void **state)
{
	struct arbiter_client *t0, *t1;

	assert_int_equal(connect_on(ARBITER_HOST, "t", 64 * MIB, 0, &t0, NULL), 0);
	assert_int_equal(connect_on(ARBITER_HOST, "t", 64 * MIB, 1, &t1, NULL), 0);
	assert_int_equal(ask_errno("{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"weight\":7}}"), 0);
	assert_int_equal(figure("t", 0, "weight"), 7);
	assert_int_equal(figure("t", 1, "weight"), 7);
	assert_int_equal(ask_errno("{\"op\":\"set\",\"tenant\":\"t\",\"gpu\":1,\"policy\":{\"weight\":9,\"vram\":\"32M\"}}"), 0);
	assert_int_equal(figure("t", 0, "weight"), 7);
	assert_int_equal(figure("t", 1, "weight"), 9);
	assert_int_equal(figure("t", 1, "vram_quota_bytes"), 32 * MIB);
	assert_int_equal(figure("t", 0, "vram_quota_bytes"), 64 * MIB);
	assert_int_equal(ask_errno("{\"op\":\"set\",\"tenant\":\"t\",\"gpu\":2,\"policy\":{}}"), ESRCH);
	assert_int_equal(ask_errno("{\"op\":\"set\",\"tenant\":\"t\",\"gpu\":3,\"policy\":{}}"), EINVAL);
	assert_int_equal(ask_errno("{\"op\":\"set\",\"tenant\":\"t\",\"gpu\":-1,\"policy\":{}}"), EINVAL);
	assert_int_equal(ask_errno("{\"op\":\"get\",\"tenant\":\"t\",\"gpu\":1}"), 0);
	assert_int_equal(ask_errno("{\"op\":\"reset\",\"tenant\":\"t\"}"), 0);
	arbiter_disconnect(t0);
	arbiter_disconnect(t1);
}

/* Both may have a GPU at once, each the one it is on. */
static void test_turns(void **state)
{
	struct arbiter_client *a, *b;

	assert_int_equal(connect_on(ARBITER_VM, "a", 16 * MIB, 0, &a, NULL), 0);
	assert_int_equal(connect_on(ARBITER_VM, "b", 16 * MIB, 1, &b, NULL), 0);
	arbiter_turn_ops.acquire(a);
	arbiter_turn_ops.acquire(b);
	assert_false(arbiter_turn_ops.lost(a));
	nanosleep(&(struct timespec){0, 50000000}, NULL);
	assert_false(arbiter_turn_ops.lost(a));
	assert_false(arbiter_turn_ops.lost(b));
	assert_int_equal(figure("a", 0, "turns_taken"), 0);
	assert_int_equal(figure("b", 1, "turns_taken"), 0);
	for (struct arbiter_client **c = (struct arbiter_client *[]){a, b, NULL}; *c; c++) {
		arbiter_turn_ops.leave(*c);
		arbiter_turn_ops.release(*c);
		arbiter_disconnect(*c);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		TEST(test_status),
		TEST(test_pools),
		TEST(test_tenant_of_two),
		TEST(test_one_file),
		TEST(test_policy),
		TEST(test_turns),
	};

	return cmocka_run_group_tests_name("several GPUs", tests, NULL, NULL);
}
