// SPDX-License-Identifier: MIT
/* test_arbiter.c - hsavisord from outside: a scripted client, bad input first, then tenants,
 * quotas, turns, and deaths. */
#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "arbiter/client.h"
#include "arbiter/msg.h"
#include "arbiter/protocol.h"
#include "base/clock.h"
#include "base/size.h"
#include "tests/arbiter/daemon.h"

#define MIB (1ull << 20)

static struct daemon hsavisord;

static const struct server_config config = {.gpus = {{.pool = 1024 * MIB}}, .num_gpus = 1, .default_quota = 256 * MIB};

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

static struct json_object *control(const char *text)
{
	return daemon_ask(&hsavisord, text);
}

/* The row of a tenant in "list" as a fresh reference, or NULL. */
static struct json_object *tenant_row(const char *name)
{
	struct json_object *a = control("{\"op\":\"list\"}"), *list, *row = NULL, *v;

	json_object_object_get_ex(a, "tenants", &list);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		json_object_object_get_ex(o, "name", &v);
		if (!strcmp(json_object_get_string(v), name))
			row = json_object_get(o);
	}
	json_object_put(a);
	return row;
}

/* The daemon handles a hang-up in its own time. */
static bool eventually_gone(const char *name)
{
	for (int i = 0; i < 3000; i++) {
		struct json_object *row = tenant_row(name);

		if (!row)
			return true;
		json_object_put(row);
		usleep(10000);
	}
	return false;
}

static bool ok(struct json_object *a)
{
	struct json_object *v;

	return json_object_object_get_ex(a, "ok", &v) && json_object_get_boolean(v);
}

static void bad_control_requests(void **state)
{
	static const char *const texts[] = {"{",
					    "{}",
					    "{\"op\":7}",
					    "{\"op\":\"nonsense\"}",
					    "{\"op\":[[[[[[[[[[[[[]]]]]]]]]]]]]}",
					    "{\"op\":\"status\""};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_object *a = control(texts[i]);

		assert_non_null(a);
		assert_false(ok(a));
		assert_int_equal(daemon_field(a, "errno"), EINVAL);
		json_object_put(a);
	}
}

static void bad_packets_end_the_connection(void **state)
{
	struct arbiter_msg msg = {.magic = ARBITER_MAGIC, .version = ARBITER_VERSION, .type = 99};
	char junk[70000] = {0};
	const struct {
		const void *data;
		size_t size;
	} bad[] = {{"x", 1},
		   {junk, sizeof(msg)},
		   {junk, sizeof(junk)},
		   {&msg, sizeof(msg)},
		   {&msg, sizeof(msg) - 1}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = msg_connect(hsavisord.path);
		unsigned n = 0;
		char byte;

		assert_true(fd >= 0);
		assert_int_equal(msg_send(fd, bad[i].data, bad[i].size, NULL, 0), 0);
		assert_true(msg_receive(fd, &byte, 1, NULL, &n) <= 0);
		close(fd);
	}
}

static void bad_hellos_are_refused(void **state)
{
	struct arbiter_client *c;
	struct arbiter_grant g;
	char text[256];

	assert_int_equal(arbiter_connect(ARBITER_VM, "", 0, &c, &g, text), -EINVAL);
	assert_int_equal(arbiter_connect(ARBITER_VM, "a/b", 0, &c, &g, text), -EINVAL);
	assert_int_equal(
		arbiter_connect(ARBITER_VM,
				"sixty-four-characters-are-one-too-many-for-a-tenant-of-hsavisord",
				0, &c, &g, text),
		-EINVAL);
	assert_int_equal(arbiter_connect(ARBITER_VM, "a", 17 * MIB + 1, &c, &g, text), -EINVAL);
	assert_int_equal(arbiter_connect(ARBITER_VM, "a", 1 * MIB, &c, &g, text), -EINVAL);
	assert_int_equal(arbiter_connect(ARBITER_VM, "a", 2048 * MIB, &c, &g, text), -ENOMEM);
	assert_non_null(strstr(text, "1024"));
	assert_int_equal(arbiter_connect(ARBITER_VM, "a", ~4095ull, &c, &g, text), -ENOMEM);
	assert_int_equal(arbiter_connect((enum arbiter_kind)17, "a", 0, &c, &g, text), -EPROTO);
	assert_int_equal(arbiter_connect(ARBITER_PROCESS, "nobody", 0, &c, &g, text), -ENOENT);
	assert_null(tenant_row("a"));
}

static void names_and_quotas(void **state)
{
	struct arbiter_client *a, *b, *c;
	struct arbiter_grant g;
	struct json_object *row;
	struct stat;
	char text[256];

	assert_int_equal(arbiter_connect(ARBITER_VM, "a", 0, &a, &g, text), 0);
	assert_int_equal(g.vram_size, 256 * MIB);
	assert_int_equal(lseek(g.vram_fd, 0, SEEK_END), 256 * MIB);
	assert_int_equal(ftruncate(g.vram_fd, 4096), -1); /* sealed */
	assert_string_equal(g.target, "gfx90a");
	assert_int_equal(arbiter_connect(ARBITER_VM, "a", 0, &b, &g, text), -EEXIST);
	assert_int_equal(arbiter_connect(ARBITER_VM, "b", 768 * MIB, &b, &g, text), 0);
	assert_int_equal(arbiter_connect(ARBITER_VM, "c", 16 * MIB, &c, &g, text), -ENOMEM);
	arbiter_disconnect(b);
	assert_true(eventually_gone("b"));
	assert_int_equal(arbiter_connect(ARBITER_VM, "c", 16 * MIB, &c, &g, text), 0);
	assert_int_equal(arbiter_charge_vram(a, 5 * MIB), 0);
	arbiter_counters(a)->system_pinned = 3 * MIB;
	arbiter_turn_ops.account(a, 1000, 3);
	row = tenant_row("a");
	assert_int_equal(daemon_field(row, "vram_used_bytes"), 5 * MIB);
	assert_int_equal(daemon_field(row, "system_pinned_bytes"), 3 * MIB);
	assert_int_equal(daemon_field(row, "dispatches"), 3);
	assert_int_equal(daemon_field(row, "gpu_ns"), 1000);
	json_object_put(row);
	arbiter_disconnect(a);
	arbiter_disconnect(c);
	assert_true(eventually_gone("a") && eventually_gone("c"));
}

static void host_processes_share_a_quota(void **state)
{
	struct arbiter_client *run, *p1, *p2, *other;
	struct arbiter_grant g;
	struct json_object *row;
	char text[256];
	int ends[2], fd;

	assert_int_equal(arbiter_connect(ARBITER_HOST, "h", 64 * MIB, &run, &g, text), 0);
	assert_int_equal(g.vram_fd, -1);
	assert_int_equal(arbiter_connect(ARBITER_PROCESS, "h", 0, &p1, &g, text), 0);
	assert_int_equal(g.vram_size, 64 * MIB);
	assert_int_equal(arbiter_connect(ARBITER_PROCESS, "h", 0, &p2, &g, text), 0);
	assert_int_equal(arbiter_charge_vram(p1, INT64_MAX), -ENOMEM);
	assert_int_equal(arbiter_charge_vram(p1, -4096), -EINVAL);
	assert_int_equal(arbiter_charge_vram(p1, 40 * MIB), 0);
	assert_int_equal(arbiter_charge_vram(p2, 24 * MIB), 0);
	assert_int_equal(arbiter_charge_vram(p2, 4096), -ENOMEM);
	assert_int_equal(arbiter_charge_vram(p1, -(int64_t)(8 * MIB)), 0);
	assert_int_equal(arbiter_charge_vram(p2, 8 * MIB), 0);
	/* What a process shares others of the tenant have by its key, until it goes. */
	assert_int_equal(arbiter_shared(p2, "0123456789abcdef"), -ENOENT);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(arbiter_share(p1, "0123456789abcdef", ends[0]), 0);
	assert_int_equal(arbiter_share(p2, "0123456789abcdef", ends[0]), -EEXIST);
	close(ends[0]);
	assert_true((fd = arbiter_shared(p2, "0123456789abcdef")) >= 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(read(fd, text, 1), 1);
	close(fd);
	arbiter_unshare(p2, "0123456789abcdef"); /* not its own */
	assert_int_equal(arbiter_connect(ARBITER_VM, "stranger", 16 * MIB, &other, &g, text), 0);
	assert_int_equal(arbiter_shared(other, "0123456789abcdef"), -ENOENT);
	arbiter_disconnect(other);
	assert_true(eventually_gone("stranger"));
	assert_true((fd = arbiter_shared(p2, "0123456789abcdef")) >= 0);
	close(fd);
	assert_int_equal(arbiter_share(p1, "fedcba9876543210", ends[1]), 0);
	arbiter_unshare(p1, "fedcba9876543210");
	assert_int_equal(arbiter_shared(p2, "fedcba9876543210"), -ENOENT);
	close(ends[1]);
	arbiter_turn_ops.account(p1, 500, 2);
	arbiter_disconnect(p1); /* gives back what it had */
	for (int i = 0; i < 3000 && arbiter_charge_vram(p2, 32 * MIB); i++)
		usleep(10000);
	assert_int_equal(arbiter_shared(p2, "0123456789abcdef"), -ENOENT); /* went with p1 */
	row = tenant_row("h");
	assert_int_equal(daemon_field(row, "vram_used_bytes"), 64 * MIB);
	assert_int_equal(daemon_field(row, "vram_peak_bytes"), 64 * MIB);
	assert_int_equal(daemon_field(row, "dispatches"), 2); /* of the process that left */
	json_object_put(row);
	arbiter_disconnect(run); /* a process that outlives `hsavisor run` keeps the tenant, its
				    quota and its turns */
	usleep(100000);
	assert_int_equal(arbiter_charge_vram(p2, 4096), -ENOMEM);
	assert_int_equal(arbiter_charge_vram(p2, -4096), 0);
	assert_int_equal(arbiter_connect(ARBITER_VM, "other", 0, &run, &g, text), 0);
	for (int i = 0; i < 3; i++) { /* hangs (meson's time limit) if one is forgotten */
		arbiter_turn_ops.acquire(p2);
		arbiter_turn_ops.leave(p2);
		arbiter_turn_ops.release(p2);
		arbiter_turn_ops.acquire(run);
		arbiter_turn_ops.leave(run);
		arbiter_turn_ops.release(run);
	}
	arbiter_disconnect(run);
	arbiter_disconnect(p2);
	assert_true(eventually_gone("h"));
}

/* Memory that a file takes. */
static uint64_t taken(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* A broker that is killed leaves nothing behind, though others (QEMU) still have its VRAM mapped.
 */
static void what_the_dead_leave_is_given_back(void **state)
{
	struct arbiter_client *a;
	struct arbiter_grant g;
	uint8_t *vram;
	int fd;

	assert_int_equal(arbiter_connect(ARBITER_VM, "dead", 16 * MIB, &a, &g, NULL), 0);
	fd = dup(g.vram_fd);
	vram = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(vram != MAP_FAILED);
	memset(vram, 0x5a, 16 * MIB);
	assert_int_equal(arbiter_charge_vram(a, 16 * MIB), 0);
	assert_int_equal(taken(fd), 16 * MIB);
	arbiter_disconnect(a);
	assert_true(eventually_gone("dead"));
	for (int i = 0; i < 3000 && taken(fd); i++)
		usleep(10000);
	assert_int_equal(taken(fd), 0);
	assert_int_equal(vram[0], 0);
	assert_int_equal(vram[16 * MIB - 1], 0);
	munmap(vram, 16 * MIB);
	close(fd);
}

struct runner {
	struct arbiter_client *client;
	_Atomic bool stop;
	_Atomic uint64_t had_ns;
	pthread_t thread;
};

static void *hog(void *arg)
{
	struct runner *r = arg;

	while (!r->stop) {
		uint64_t t;

		arbiter_turn_ops.acquire(r->client);
		t = clock_ns();
		while (!arbiter_turn_ops.lost(r->client) && !r->stop)
			usleep(200);
		r->had_ns += clock_ns() - t;
		arbiter_turn_ops.leave(r->client);
	}
	arbiter_turn_ops.release(r->client);
	return NULL;
}

/* More rows than an answer has. */
static void all_tenants_are_listed(void **state)
{
	static const struct server_config large = {.gpus = {{.pool = 8192 * MIB}, {.pool = 8192 * MIB}}, .num_gpus = 2, .default_quota = 16 * MIB};
	static struct arbiter_client *clients[300];
	struct json_object *a, *list, *more;
	struct rlimit files;
	struct arbiter_grant grant;
	char name[64], request[64];
	size_t rows = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	daemon_stop(&hsavisord, SIGTERM);
	daemon_start(&hsavisord, &large, NULL);
	for (uint32_t i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "%063u", i);
		assert_int_equal(arbiter_connect_gpu(ARBITER_HOST, name, 0, 0, i >= 256, &clients[i], &grant, NULL), 0);
	}
	do {
		snprintf(request, sizeof(request), "{\"op\":\"list\",\"from\":%zu}", rows);
		a = control(request);
		assert_true(json_object_object_get_ex(a, "tenants", &list));
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *v, *o = json_object_array_get_idx(list, i);

			snprintf(name, sizeof(name), "%063zu", rows++);
			assert_true(json_object_object_get_ex(o, "name", &v));
			assert_string_equal(json_object_get_string(v), name);
		}
		assert_true(json_object_object_get_ex(a, "more", &more));
		assert_int_equal(json_object_get_boolean(more), rows < 300);
		json_object_put(a);
	} while (rows < 300);
	a = control("{\"op\":\"list\",\"from\":300}");
	assert_true(json_object_object_get_ex(a, "tenants", &list) && !json_object_array_length(list));
	json_object_put(a);
	for (int i = 0; i < 300; i++)
		arbiter_disconnect(clients[i]);
}

static void turns_are_fair(void **state)
{
	struct runner r[3] = {0};
	struct arbiter_grant g;
	char name[8];
	uint64_t begin, sum = 0, had[3], elapsed = 0;
	bool fair = false;

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		assert_int_equal(arbiter_connect(ARBITER_VM, name, 0, &r[i].client, &g, NULL), 0);
		pthread_create(&r[i].thread, NULL, hog, &r[i]);
	}
	/* Everyone has a third, within two fifths of it, one at a time, and hardly ever nobody. A
	 * busy machine may take its time until it is so. */
	begin = clock_ns();
	for (int k = 0; k < 15 && !fair; k++) {
		usleep(1500000);
		sum = 0;
		for (int i = 0; i < 3; i++)
			sum += had[i] = r[i].had_ns;
		elapsed = clock_ns() - begin;
		fair = sum >= elapsed * 45 / 100 && sum <= elapsed * 3 / 2;
		for (int i = 0; i < 3; i++)
			fair = fair && had[i] * 5 >= sum && had[i] * 5 <= sum * 7 / 3;
	}
	for (int i = 0; i < 3; i++)
		r[i].stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(r[i].thread, NULL);
		arbiter_disconnect(r[i].client);
	}
	if (!fair)
		fail_msg("of %llu ms they had %llu, %llu and %llu", elapsed / 1000000ull,
			 had[0] / 1000000ull, had[1] / 1000000ull, had[2] / 1000000ull);
}

static void a_lone_tenant_keeps_its_turn(void **state)
{
	struct arbiter_client *c;
	struct arbiter_grant g;

	assert_int_equal(arbiter_connect(ARBITER_VM, "lone", 0, &c, &g, NULL), 0);
	arbiter_turn_ops.acquire(c);
	for (int i = 0; i < 100000; i++) {
		arbiter_turn_ops.leave(c);
		arbiter_turn_ops.release(c);
		arbiter_turn_ops.acquire(c);
		assert_false(arbiter_turn_ops.lost(c));
	}
	arbiter_disconnect(c);
}

static void a_holder_that_dies_frees_the_gpu(void **state)
{
	struct arbiter_client *a, *b;
	struct arbiter_grant g;

	assert_int_equal(arbiter_connect(ARBITER_VM, "dies", 0, &a, &g, NULL), 0);
	assert_int_equal(arbiter_connect(ARBITER_VM, "waits", 0, &b, &g, NULL), 0);
	arbiter_turn_ops.acquire(a);
	arbiter_disconnect(a);
	arbiter_turn_ops.acquire(b); /* hangs (meson's time limit) if not */
	assert_false(arbiter_turn_ops.lost(b));
	arbiter_disconnect(b);
}

static long daemon_ticks(void)
{
	long utime = 0, stime = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)hsavisord.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %*s %*s %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
				&utime, &stime),
			 2);
	fclose(f);
	return utime + stime;
}

/* Out of descriptors the daemon waits for some; it does not burn the CPU, and goes on afterwards.
 */
static void without_descriptors_it_waits(void **state)
{
	struct rlimit few = {.rlim_cur = 24}, before;
	int fds[40];
	long ticks;

	assert_int_equal(prlimit(hsavisord.pid, RLIMIT_NOFILE, NULL, &before), 0);
	few.rlim_max = before.rlim_max;
	assert_int_equal(prlimit(hsavisord.pid, RLIMIT_NOFILE, &few, NULL), 0);
	for (int i = 0; i < 40; i++) {
		fds[i] = msg_connect(hsavisord.path);
		assert_true(fds[i] >= 0);
	}
	usleep(200000);
	ticks = daemon_ticks();
	sleep(1);
	assert_true(daemon_ticks() - ticks < 20);
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	json_object_put(control("{\"op\":\"list\"}"));
	assert_int_equal(prlimit(hsavisord.pid, RLIMIT_NOFILE, &before, NULL), 0);
}

static void shutdown_asks_first(void **state)
{
	struct arbiter_client *c;
	struct arbiter_grant g;
	struct json_object *a;

	assert_true(eventually_gone("waits"));
	assert_int_equal(arbiter_connect(ARBITER_VM, "busy", 0, &c, &g, NULL), 0);
	a = control("{\"op\":\"shutdown\"}");
	assert_false(ok(a));
	assert_int_equal(daemon_field(a, "errno"), EBUSY);
	json_object_put(a);
	arbiter_disconnect(c);
	assert_true(eventually_gone("busy"));
}

static void second_daemon_is_refused(void **state)
{
	struct server_config c = {.socket_path = hsavisord.path, .gpus = {{.pool = MIB}}, .num_gpus = 1};

	assert_int_equal(daemon_refused(&c), -EADDRINUSE);
	assert_int_equal(access(hsavisord.path, F_OK), 0); /* the first one's is still there */
}

/* What the dead leave is given back, but tenants outlive a daemon that is told to end. */
static void ended_daemon_leaves_tenants_their_memory(void **state)
{
	struct arbiter_client *c[8];
	struct arbiter_grant g[8];

	for (int i = 0; i < 8; i++) {
		char name[16];

		snprintf(name, sizeof(name), "stays-%d", i);
		assert_int_equal(arbiter_connect(ARBITER_VM, name, 16 * MIB, &c[i], &g[i], NULL),
				 0);
		assert_int_equal(pwrite(g[i].vram_fd, "kernel", 6, 4096), 6);
	}
	daemon_stop(&hsavisord, SIGTERM);
	for (int i = 0; i < 8; i++) {
		char text[6];

		assert_int_equal(pread(g[i].vram_fd, text, 6, 4096), 6);
		assert_memory_equal(text, "kernel", 6);
		arbiter_disconnect(c[i]);
	}
	daemon_start(&hsavisord, &config, NULL);
}

static void killed_daemon_leaves_tenants_running(void **state)
{
	struct arbiter_client *c;
	struct arbiter_grant g;
	char cmd[256];

	assert_int_equal(arbiter_connect(ARBITER_HOST, "survivors", 64 * MIB, &c, &g, NULL), 0);
	arbiter_disconnect(c);
	assert_true(eventually_gone("survivors"));
	assert_int_equal(arbiter_connect(ARBITER_VM, "survivor", 64 * MIB, &c, &g, NULL), 0);
	daemon_stop(&hsavisord, SIGKILL);
	arbiter_turn_ops.acquire(c); /* returns though nobody grants */
	assert_false(arbiter_turn_ops.lost(c));
	assert_false(arbiter_alive(c));
	assert_int_equal(arbiter_charge_vram(c, 64 * MIB), 0);
	assert_int_equal(arbiter_charge_vram(c, 4096), -ENOMEM);
	arbiter_disconnect(c);
	assert_int_equal(arbiter_connect(ARBITER_VM, "late", 0, &c, &g, cmd), -ECONNREFUSED);
}

static void sizes(void **state)
{
	static const char *const bad[] = {
		"",	    "0",    "-1", "x", "1X", "1GG", "1.5G", " 1", "99999999999999999999",
		"2048000T", "1GiBB"};
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"1", 1},
		    {"4096", 4096},
		    {"4k", 4096},
		    {"512M", 512 * MIB},
		    {"2GiB", 2048 * MIB},
		    {"1TB", 1ull << 40},
		    {"1MB", MIB}};
	char buf[32];
	uint64_t v;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(size_parse(bad[i], &v), -EINVAL);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(size_parse(good[i].text, &v), 0);
		assert_int_equal(v, good[i].bytes);
	}
	assert_string_equal(size_format(buf, sizeof(buf), 512 * MIB), "512 MiB");
	assert_string_equal(size_format(buf, sizeof(buf), 1536 * MIB), "1.5 GiB");
	assert_string_equal(size_format(buf, sizeof(buf), 17), "17 B");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(bad_control_requests),
		cmocka_unit_test(bad_packets_end_the_connection),
		cmocka_unit_test(bad_hellos_are_refused),
		cmocka_unit_test(names_and_quotas),
		cmocka_unit_test(host_processes_share_a_quota),
		cmocka_unit_test(what_the_dead_leave_is_given_back),
		cmocka_unit_test(all_tenants_are_listed),
		cmocka_unit_test(turns_are_fair),
		cmocka_unit_test(a_lone_tenant_keeps_its_turn),
		cmocka_unit_test(a_holder_that_dies_frees_the_gpu),
		cmocka_unit_test(without_descriptors_it_waits),
		cmocka_unit_test(shutdown_asks_first),
		cmocka_unit_test(second_daemon_is_refused),
		cmocka_unit_test(ended_daemon_leaves_tenants_their_memory),
		cmocka_unit_test(killed_daemon_leaves_tenants_running),
	};

	return cmocka_run_group_tests_name("arbiter", tests, start, stop);
}
