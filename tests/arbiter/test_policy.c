// SPDX-License-Identifier: MIT
/*
 * test_policy.c - what tenants may have, as users say it: the configuration file and the requests
 * get, set and reset, bad input first.
 */
#include <errno.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "arbiter/client.h"
#include "arbiter/config.h"
#include "arbiter/msg.h"
#include "arbiter/protocol.h"
#include "base/duration.h"
#include "tests/arbiter/daemon.h"

#define MIB (1ull << 20)
#define MS  1000000ull

static struct daemon hsavisord;
static char conf_path[108], log_path[108];

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static char *read_text(const char *path)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	return text;
}

static const char good_config[] =
	"{\n"
	"  \"defaults\": {\"kernel_timeout\": \"30s\", \"vram\": \"32M\"},\n"
	"  \"tenants\": {\n"
	"    \"car\": {\"reserve\": \"6ms/16.6ms\", \"vram\": \"64M\"},\n"
	"    \"batch\": {\"weight\": 10, \"priority\": 1, \"cap\": 50,\n"
	"              \"kernel_timeout\": null}\n"
	"  }\n"
	"}\n";

static int start(void **state)
{
	struct server_config c = {.gpus = {{.pool = 8192 * MIB}}, .num_gpus = 1,
				  .default_quota = 256 * MIB,
				  .config_path = conf_path,
				  .config_required = true};

	daemon_prepare(&hsavisord);
	snprintf(conf_path, sizeof(conf_path), "%s/conf", hsavisord.dir);
	snprintf(log_path, sizeof(log_path), "%s/log", hsavisord.dir);
	write_file(conf_path, good_config);
	daemon_start(&hsavisord, &c, log_path);
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

/* 0 or the errno of the answer. */
static int ask(const char *text)
{
	struct json_object *a = control(text), *ok, *v;
	int err = 0;

	assert_true(json_object_object_get_ex(a, "ok", &ok));
	if (!json_object_get_boolean(ok)) {
		assert_true(json_object_object_get_ex(a, "errno", &v));
		err = json_object_get_int(v);
		assert_true(json_object_object_get_ex(a, "error", &v));
		assert_true(strlen(json_object_get_string(v)) > 10);
	}
	json_object_put(a);
	return err;
}

/* The policy of a tenant as plain JSON. */
static const char *policy_of(const char *tenant)
{
	static char text[512];
	struct json_object *a, *p;

	snprintf(text, sizeof(text), "{\"op\":\"get\",\"tenant\":\"%s\"}", tenant);
	a = control(text);
	assert_true(json_object_object_get_ex(a, "policy", &p));
	snprintf(text, sizeof(text), "%s",
		 json_object_to_json_string_ext(p, JSON_C_TO_STRING_PLAIN));
	json_object_put(a);
	return text;
}

static struct arbiter_client *tenant(const char *name, uint64_t vram)
{
	struct arbiter_client *c;
	struct arbiter_grant g;

	assert_int_equal(arbiter_connect(ARBITER_VM, name, vram, &c, &g, NULL), 0);
	return c;
}

static void end(struct arbiter_client *c, const char *name)
{
	char text[128];

	arbiter_disconnect(c);
	snprintf(text, sizeof(text), "{\"op\":\"get\",\"tenant\":\"%s\"}", name);
	for (int i = 0; i < 15000 && !ask(text); i++)
		usleep(2000);
	assert_int_equal(ask(text), ESRCH);
}

static void durations(void **state)
{
	static const char *const bad[] = {
		"",    "1",   "0s",  "0.0ms",  "ms",   "-1s",	  " 1s",   "1 s",
		"1ss", "1.s", ".5s", "1.2.3s", "1e3s", "999999h", "0.1ns", "1.1234567890s"};
	static const struct {
		const char *text, *out;
		uint64_t ns;
	} good[] = {{"1ns", "1ns", 1},
		    {"16.6ms", "16.6ms", 16600000},
		    {"0.5s", "500ms", 500 * MS},
		    {"1.000000001s", "1.000000001s", 1000000001},
		    {"90m", "5400s", 5400000 * MS},
		    {"24h", "86400s", 86400000 * MS},
		    {"1500us", "1.5ms", 1500000}};
	char buf[32];
	uint64_t ns;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(duration_parse(bad[i], &ns), -EINVAL);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(duration_parse(good[i].text, &ns), 0);
		assert_int_equal(ns, good[i].ns);
		assert_string_equal(duration_format(buf, sizeof(buf), ns), good[i].out);
	}
}

static void bad_files(void **state)
{
	static const struct {
		const char *text, *place, *says;
	} bad[] = {
		{"", ":1:1:", "ends too early"},
		{"{", ":1:2:", "ends too early"},
		{"{\"tenants\": {}", ":1:15:", "ends too early"},
		{"{\"tenants\": {}} x", ":1:", "not JSON"},
		{"{\n  \"tenants\": {,}\n}", ":2:15:", "not JSON"},
		{"{\"tenants\": {} // no comments\n}", ":1:", "not JSON"},
		{"[]", ":1:1:", "one JSON object"},
		{"7", ":1:1:", "one JSON object"},
		{"{\"tenant\": {}}", ":1:2:", "unknown key \"tenant\""},
		{"{\"tenants\": []}", ":1:2:", "\"tenants\" is an object"},
		{"{\"tenants\":\n{\"a b\": {}}}", ":2:2:", "name"},
		{"{\"tenants\":\n{\"a\": 7}}", ":2:2:", "a policy is an object"},
		{"{\"tenants\": {\"a\": {},\n \"b\": {\"weigth\": 1}}}", ":2:8:", "\"weigth\""},
		{"{\"tenants\": {\"weight\": {\"priority\": 1,\n\"weight\": 0}}}",
		 ":2:1:", "1 to 10000"},
		{"{\"tenants\": {\"a\": {\"weight\": 10001}}}", ":1:20:", "1 to 10000"},
		{"{\"tenants\": {\"a\": {\"weight\": \"7\"}}}", ":1:20:", "1 to 10000"},
		{"{\"tenants\": {\"a\": {\"weight\": 1.5}}}", ":1:20:", "1 to 10000"},
		{"{\"tenants\": {\"a\": {\"weight\": null}}}", ":1:20:", "1 to 10000"},
		{"{\"tenants\": {\"a\": {\"weight\": 18446744073709551615}}}",
		 ":1:20:", "1 to 10000"},
		{"{\"tenants\": {\"a\": {\"priority\": 8}}}", ":1:20:", "0 to 7"},
		{"{\"tenants\": {\"a\": {\"priority\": -1}}}", ":1:20:", "0 to 7"},
		{"{\"tenants\": {\"a\": {\"cap\": 0}}}", ":1:20:", "1 to 100"},
		{"{\"tenants\": {\"a\": {\"cap\": 101}}}", ":1:20:", "1 to 100"},
		{"{\"tenants\": {\"a\": {\"reserve\": \"6ms\"}}}", ":1:20:", "BUDGET/PERIOD"},
		{"{\"tenants\": {\"a\": {\"reserve\": \"6/16\"}}}", ":1:20:", "BUDGET/PERIOD"},
		{"{\"tenants\": {\"a\": {\"reserve\": 6}}}", ":1:20:", "BUDGET/PERIOD"},
		{"{\"tenants\": {\"a\": {\"reserve\": \"6ms/1ms\"}}}", ":1:14:", "from 2ms"},
		{"{\"tenants\": {\"a\": {\"reserve\": \"6ms/5ms\"}}}", ":1:14:", "longer than its"},
		{"{\"tenants\": {\"a\": {\"reserve\": \"95ms/100ms\"}}}",
		 ":1:14:", "can't be kept"},
		{"{\"tenants\": {\"a\": {\"reserve\": \"5ms/10ms\", \"cap\": 49}}}",
		 ":1:14:", "cap"},
		{"{\"defaults\": {\"cap\": 10},\n\"tenants\": {\"a\": {\"reserve\": "
		 "\"5ms/10ms\"}}}",
		 ":2:13:", "cap"},
		{"{\"defaults\": {\"reserve\": \"5ms/10ms\"}}", ":1:15:", "single tenants"},
		{"{\"defaults\": 1}", ":1:2:", "\"defaults\" is an object"},
		{"{\"tenants\": {\"a\": {\"kernel_timeout\": \"10\"}}}", ":1:20:", "time"},
		{"{\"tenants\": {\"a\": {\"kernel_timeout\": \"1us\"}}}", ":1:20:", "1ms"},
		{"{\"tenants\": {\"a\": {\"vram\": \"1M\"}}}", ":1:20:", "size"},
		{"{\"tenants\": {\"a\": {\"vram\": 16777217}}}", ":1:20:", "size"},
		{"{\"tenants\": {\"a\": {\"vram\": \"lots\"}}}", ":1:20:", "size"},
		{"{\"tenants\": {\"a\": {\"x\": [[[[[[[[[[1]]]]]]]]]]}}}", ":1:", "not JSON"},
	};
	char path[128], message[CONFIG_MESSAGE];
	struct config *c = NULL;

	snprintf(path, sizeof(path), "%s/bad", hsavisord.dir);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(path, bad[i].text);
		assert_int_equal(config_load(path, &c, message), -EINVAL);
		if (strncmp(message, path, strlen(path)) ||
		    strncmp(message + strlen(path), bad[i].place, strlen(bad[i].place)) ||
		    !strstr(message, bad[i].says))
			fail_msg("%s: '%s', not '%s %s'", bad[i].text, message, bad[i].place,
				 bad[i].says);
	}
	assert_int_equal(config_load(hsavisord.dir, &c, message), -EINVAL);
	assert_int_equal(config_load("/nonexistent/file", &c, message), -ENOENT);
	assert_non_null(strstr(message, "/nonexistent/file"));
	assert_null(c);
	/* Any prefix of a good file ends in an error, not in a crash. */
	for (size_t n = 0; n < strlen(good_config) - 2; n++) {
		char text[sizeof(good_config)];

		memcpy(text, good_config, n);
		text[n] = 0;
		write_file(path, text);
		assert_int_equal(config_load(path, &c, message), -EINVAL);
	}
}

static void a_good_file(void **state)
{
	struct tenant_policy p;
	struct config *c;
	char message[CONFIG_MESSAGE];
	uint64_t vram;

	assert_int_equal(config_load(conf_path, &c, message), 0);
	assert_true(config_policy(c, "car", &p, &vram));
	assert_int_equal(p.budget_ns, 6 * MS);
	assert_int_equal(p.period_ns, 16600000);
	assert_int_equal(p.kernel_ns, 30000 * MS);
	assert_int_equal(p.weight, 100);
	assert_int_equal(vram, 64 * MIB);
	assert_true(config_policy(c, "batch", &p, &vram));
	assert_int_equal(p.weight, 10);
	assert_int_equal(p.priority, 1);
	assert_int_equal(p.cap, 50);
	assert_int_equal(p.kernel_ns, 0); /* null: none, whatever the default */
	assert_int_equal(vram, 0);
	assert_int_equal(config_vram(c, "batch", 0), 32 * MIB);
	assert_int_equal(config_vram(c, "batch", 512 * MIB), 512 * MIB);
	assert_int_equal(config_vram(c, "car", 512 * MIB), 64 * MIB);
	assert_int_equal(config_vram(NULL, "car", 512 * MIB), 512 * MIB);
	assert_false(config_policy(c, "other", &p, &vram));
	assert_int_equal(p.kernel_ns, 30000 * MS);
	config_free(c);
	assert_false(config_policy(NULL, "car", &p, &vram));
	assert_int_equal(p.kernel_ns, 0);
}

static void bad_requests(void **state)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		{"{\"op\":\"get\"}", EINVAL},
		{"{\"op\":\"get\",\"tenant\":7}", EINVAL},
		{"{\"op\":\"get\",\"tenant\":\"nobody\"}", ESRCH},
		{"{\"op\":\"get\",\"tenant\":\"t\",\"x\":1}", EINVAL},
		{"{\"op\":\"set\",\"policy\":{}}", EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"nobody\",\"policy\":{}}", ESRCH},
		{"{\"op\":\"set\",\"tenant\":\"t\"}", EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":null}", EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":[1]}", EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"weight\":1}", EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"wait\":1}}", EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"weight\":0}}", EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"weight\":7,\"cap\":1000}}",
		 EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"weight\":7,\"reserve\":\"2ms/"
		 "2ms\"}}",
		 EBUSY},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"weight\":7,\"vram\":\"1G\"}}",
		 EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"weight\":7,\"vram\":1}}", EINVAL},
		{"{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"weight\":7},\"save\":1}", EINVAL},
		{"{\"op\":\"reset\"}", EINVAL},
		{"{\"op\":\"reset\",\"tenant\":\"nobody\"}", ESRCH},
		{"{\"op\":\"reset\",\"tenant\":\"t\",\"process\":\"1\"}", EINVAL},
		{"{\"op\":\"reset\",\"tenant\":\"t\",\"process\":0}", EINVAL},
		{"{\"op\":\"reset\",\"tenant\":\"t\",\"process\":-1}", EINVAL},
		{"{\"op\":\"reset\",\"tenant\":\"t\",\"process\":4294967296}", EINVAL},
	};
	struct arbiter_client *c = tenant("t", 64 * MIB);
	char before[512];

	snprintf(before, sizeof(before), "%s", policy_of("t"));
	assert_non_null(
		strstr(before, "\"weight\":100,\"priority\":3,\"cap\":null,\"reserve\":null"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int err = ask(bad[i].text);

		if (err != bad[i].err)
			fail_msg("%s: error %d, not %d", bad[i].text, err, bad[i].err);
		assert_string_equal(policy_of("t"), before); /* nothing of it */
	}
	assert_string_equal(read_text(conf_path), good_config);
	assert_int_equal(arbiter_limits(c)->reset_seq, 0);
	end(c, "t");
}

static void set_while_running(void **state)
{
	struct arbiter_client *c = tenant("t", 64 * MIB);

	assert_int_equal(arbiter_limits(c)->kernel_ns, 30000 * MS); /* the file's default */
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"weight\":400,\"priority\":5,"
		    "\"reserve\":\"2ms/10ms\",\"cap\":40,\"vram\":\"48M\","
		    "\"kernel_timeout\":\"250ms\"}}"),
		0);
	assert_string_equal(policy_of("t"),
			    "{\"weight\":400,\"priority\":5,\"cap\":40,\"reserve\":\"2ms\\/10ms\","
			    "\"kernel_timeout\":\"250ms\",\"vram\":50331648}");
	assert_int_equal(arbiter_limits(c)->kernel_ns, 250 * MS);
	assert_int_equal(arbiter_vram_limit(c), 48 * MIB);
	/* What isn't named stays; none and null take away. */
	assert_int_equal(ask("{\"op\":\"set\",\"tenant\":\"t\",\"policy\":{\"reserve\":\"none\","
			     "\"cap\":null,\"kernel_timeout\":null}}"),
			 0);
	assert_string_equal(policy_of("t"),
			    "{\"weight\":400,\"priority\":5,\"cap\":null,\"reserve\":"
			    "null,\"kernel_timeout\":null,\"vram\":50331648}");
	assert_int_equal(arbiter_limits(c)->kernel_ns, 0);
	assert_int_equal(ask("{\"op\":\"reset\",\"tenant\":\"t\",\"process\":17}"), 0);
	assert_int_equal(arbiter_limits(c)->reset_seq, 1);
	assert_int_equal(arbiter_limits(c)->reset_process, 17);
	assert_int_equal(ask("{\"op\":\"reset\",\"tenant\":\"t\"}"), 0);
	assert_int_equal(arbiter_limits(c)->reset_seq, 2);
	assert_int_equal(arbiter_limits(c)->reset_process, 0);
	end(c, "t");
}

static void reservations_are_admitted(void **state)
{
	struct arbiter_client *car = tenant("car", 0), *b = tenant("b", 16 * MIB), *again;

	assert_non_null(strstr(policy_of("car"), "\"reserve\":\"6ms\\/16.6ms\""));
	assert_non_null(strstr(policy_of("car"), "\"vram\":67108864"));
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"b\",\"policy\":{\"reserve\":\"54ms/100ms\"}}"),
		EBUSY);
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"b\",\"policy\":{\"reserve\":\"53ms/100ms\"}}"),
		0);
	/* One's own doesn't count twice. */
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"b\",\"policy\":{\"reserve\":\"40ms/100ms\"}}"),
		0);
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"b\",\"policy\":{\"reserve\":\"53ms/100ms\"}}"),
		0);
	end(car, "car"); /* its part is free again */
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"b\",\"policy\":{\"reserve\":\"89ms/100ms\"}}"),
		0);
	again = tenant("car", 0); /* starts, without */
	assert_non_null(strstr(policy_of("car"), "\"reserve\":null"));
	assert_non_null(
		strstr(read_text(log_path), "tenant 'car': starts without its reservation"));
	end(again, "car");
	end(b, "b");
}

static void the_file_bounds_quotas(void **state)
{
	struct arbiter_client *c = tenant("car", 128 * MIB);

	assert_int_equal(arbiter_vram_limit(c), 64 * MIB); /* its entry is a limit */
	end(c, "car");
	c = tenant("car", 32 * MIB);
	assert_int_equal(arbiter_vram_limit(c), 32 * MIB);
	end(c, "car");
	c = tenant("other", 0); /* the default is what it gets when it asks for none */
	assert_int_equal(arbiter_vram_limit(c), 32 * MIB);
	end(c, "other");
	c = tenant("other", 128 * MIB);
	assert_int_equal(arbiter_vram_limit(c), 128 * MIB);
	end(c, "other");
}

static void saving_keeps_the_rest(void **state)
{
	struct arbiter_client *c = tenant("new", 64 * MIB), *car = tenant("car", 0);
	struct tenant_policy p;
	struct config *config;
	char message[CONFIG_MESSAGE];
	struct stat st;
	uint64_t vram;

	assert_int_equal(chmod(conf_path, 0640), 0);
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"new\",\"policy\":{\"weight\":7,\"reserve\":"
		    "\"1ms/20ms\"},\"save\":true}"),
		0);
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"car\",\"policy\":{\"weight\":8},\"save\":true}"),
		0);
	assert_int_equal(config_load(conf_path, &config, message), 0);
	assert_true(config_policy(config, "new", &p, &vram));
	assert_int_equal(p.weight, 7);
	assert_int_equal(p.period_ns, 20 * MS);
	assert_int_equal(p.kernel_ns, 30000 * MS);
	assert_true(config_policy(config, "car", &p, &vram));
	assert_int_equal(p.weight, 8);
	assert_int_equal(p.budget_ns, 6 * MS);
	assert_true(config_policy(config, "batch", &p, &vram));
	assert_int_equal(p.cap, 50);
	config_free(config);
	assert_int_equal(stat(conf_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	/* It holds for the next start, without a signal. */
	end(c, "new");
	c = tenant("new", 64 * MIB);
	assert_non_null(strstr(policy_of("new"), "\"weight\":7,"));
	/* A file that became bad is not written over, and nothing is changed. */
	write_file(conf_path, "{\"tenants\": oops}");
	assert_int_equal(
		ask("{\"op\":\"set\",\"tenant\":\"new\",\"policy\":{\"weight\":9,\"vram\":\"32M\"},"
		    "\"save\":true}"),
		EINVAL);
	assert_non_null(strstr(policy_of("new"), "\"weight\":7,"));
	assert_int_equal(arbiter_vram_limit(c), 64 * MIB);
	assert_string_equal(read_text(conf_path), "{\"tenants\": oops}");
	write_file(conf_path, good_config);
	end(c, "new");
	end(car, "car");
}

static void wait_for_log(const char *text)
{
	for (int i = 0; i < 12000 && !strstr(read_text(log_path), text); i++)
		usleep(5000);
	assert_non_null(strstr(read_text(log_path), text));
}

static void sighup_reads_it_again(void **state)
{
	struct arbiter_client *c = tenant("batch", 64 * MIB), *other = tenant("other", 0);

	assert_int_equal(truncate(log_path, 0), 0);
	assert_int_equal(ask("{\"op\":\"set\",\"tenant\":\"other\",\"policy\":{\"weight\":55}}"),
			 0);
	write_file(conf_path, "{\"tenants\": {\"batch\": {\"weight\": 0}}}");
	kill(hsavisord.pid, SIGHUP);
	wait_for_log("conf:1:24: the weight is");
	assert_non_null(strstr(policy_of("batch"), "\"weight\":10,"));
	write_file(conf_path, "{\"tenants\": {\"batch\": {\"weight\": 20, \"vram\": \"32M\","
			      " \"reserve\": \"1ms/10ms\"}}}");
	kill(hsavisord.pid, SIGHUP);
	wait_for_log("configuration reloaded");
	assert_string_equal(policy_of("batch"),
			    "{\"weight\":20,\"priority\":3,\"cap\":null,\"reserve\":\"1ms\\/10ms\","
			    "\"kernel_timeout\":null,\"vram\":33554432}");
	assert_non_null(
		strstr(policy_of("other"), "\"weight\":55,")); /* the file doesn't name it */
	assert_int_equal(unlink(conf_path), 0);
	kill(hsavisord.pid, SIGHUP);
	wait_for_log("No such file"); /* --config names it: it is required */
	assert_non_null(strstr(policy_of("batch"), "\"weight\":20,"));
	write_file(conf_path, good_config);
	end(c, "batch");
	end(other, "other");
}

static void a_bad_file_is_no_start(void **state)
{
	struct server_config c = {
		.gpus = {{.pool = MIB}}, .num_gpus = 1, .config_path = "/nonexistent", .config_required = true};
	char dir[96], path[108];

	snprintf(dir, sizeof(dir), "%s/never", hsavisord.dir);
	snprintf(path, sizeof(path), "%s/s.sock", dir);
	c.socket_path = path;
	assert_int_equal(daemon_refused(&c), -ENOENT);
	assert_int_equal(access(dir, F_OK), -1);
}

/* The longest rows there can be, of all tenants there can be. */
static void a_full_list_is_one_packet(void **state)
{
	static struct arbiter_client *c[256];
	struct json_object *a, *list;
	char name[64];

	for (int i = 0; i < 256; i++) {
		struct arbiter_counters *k;

		snprintf(name, sizeof(name), "%063d", i);
		c[i] = tenant(name, 16 * MIB);
		k = arbiter_counters(c[i]);
		k->dispatches = k->gpu_ns = k->vm_exits = k->faults = k->queue_errors = UINT64_MAX;
		k->system_pinned = UINT64_MAX;
		memset(&k->paging, 0xff, sizeof(k->paging));
		k->processes = k->queues = UINT32_MAX;
		memset(k->program, '"', sizeof(k->program) - 1);
	}
	a = control("{\"op\":\"list\"}");
	assert_true(json_object_object_get_ex(a, "tenants", &list));
	assert_int_equal(json_object_array_length(list), 256);
	json_object_put(a);
	for (int i = 0; i < 256; i++)
		arbiter_disconnect(c[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(a_good_file),
		cmocka_unit_test(bad_requests),
		cmocka_unit_test(set_while_running),
		cmocka_unit_test(reservations_are_admitted),
		cmocka_unit_test(the_file_bounds_quotas),
		cmocka_unit_test(saving_keeps_the_rest),
		cmocka_unit_test(sighup_reads_it_again),
		cmocka_unit_test(a_bad_file_is_no_start),
		cmocka_unit_test(a_full_list_is_one_packet),
	};

	return cmocka_run_group_tests_name("policy", tests, start, stop);
}
