// SPDX-License-Identifier: MIT
/*
 * cmd_set.c - `hsavisor set` and `hsavisor reset`: what a tenant may have of the GPU, and stopping
 * its kernels. What the parameters mean: docs/scheduling.md.
 *
 * `run` and `vm start` take some of the same options (policy_option()).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arbiter/client.h"
#include "base/duration.h"
#include "base/size.h"
#include "cli/cli.h"

/* A whole number from min to max. */
static struct json_object *number(const char *text, long min, long max)
{
	long n;

	return cli_number(text, min, max, &n) ? json_object_new_int64(n) : NULL;
}

static struct json_object *weight(const char *text)
{
	return number(text, 1, 10000);
}

static struct json_object *priority(const char *text)
{
	return number(text, 0, 7);
}

static struct json_object *cap(const char *text)
{
	char digits[8];
	size_t n = strlen(text);

	if (!strcmp(text, "none"))
		return json_object_new_string(text);
	if (n && n < sizeof(digits) && text[n - 1] == '%') {
		memcpy(digits, text, n - 1);
		digits[n - 1] = 0;
		text = digits;
	}
	return number(text, 1, 100);
}

static struct json_object *reserve(const char *text)
{
	const char *slash = strchr(text, '/');
	char budget[32];
	uint64_t ns;

	if (strcmp(text, "none")) {
		if (!slash || (size_t)(slash - text) >= sizeof(budget))
			return NULL;
		snprintf(budget, sizeof(budget), "%.*s", (int)(slash - text), text);
		if (duration_parse(budget, &ns) || duration_parse(slash + 1, &ns))
			return NULL;
	}
	return json_object_new_string(text);
}

static struct json_object *kernel_timeout(const char *text)
{
	uint64_t ns;

	if (strcmp(text, "none") && duration_parse(text, &ns))
		return NULL;
	return json_object_new_string(text);
}

static struct json_object *vram(const char *text)
{
	uint64_t bytes;

	return size_parse(text, &bytes) ? NULL : json_object_new_uint64(bytes);
}

static const struct {
	const char *key, *form;
	struct json_object *(*parse)(const char *text);
} parameters[] = {
	['w' - 'a'] = {"weight", "--weight takes a number from 1 to 10000", weight},
	['p' - 'a'] = {"priority", "--priority takes a number from 0 to 7", priority},
	['r' - 'a'] = {"reserve", "--reserve takes BUDGET/PERIOD, like 6ms/16.6ms, or none",
		       reserve},
	['c' - 'a'] = {"cap", "--cap takes a percentage from 1 to 100, or none", cap},
	['k' - 'a'] = {"kernel_timeout", "--kernel-timeout takes a time like 10s, or none",
		       kernel_timeout},
	['v' - 'a'] = {"vram", "bad size: write 512M, 2G and the like", vram},
};

int policy_option(int c, const char *text, struct json_object **policy)
{
	struct json_object *v;

	c = c < POLICY_OPTION ? c : c - POLICY_OPTION;
	v = parameters[c - 'a'].parse(text);
	if (!v)
		return cli_fail(EXIT_USAGE, "%s, not '%s'", parameters[c - 'a'].form, text);
	if (!*policy)
		*policy = json_object_new_object();
	json_object_object_add(*policy, parameters[c - 'a'].key, v);
	return 0;
}

/* A request about a tenant; gpu: on that one only, the caller's number, NULL: on all that it has. */
static struct json_object *about(const char *op, const char *tenant, struct json_object *gpu)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "op", json_object_new_string(op));
	json_object_object_add(request, "tenant", json_object_new_string(tenant));
	if (gpu)
		json_object_object_add(request, "gpu", json_object_get(gpu));
	return request;
}

static int set_on(const char *tenant, struct json_object *gpu, struct json_object *policy, bool save, struct json_object **answer)
{
	struct json_object *request = about("set", tenant, gpu), *a;
	int code;

	json_object_object_add(request, "policy", policy);
	if (save)
		json_object_object_add(request, "save", json_object_new_boolean(true));
	code = daemon_request(NULL, request, &a);
	if (!code && answer)
		*answer = a;
	else if (!code)
		json_object_put(a);
	return code;
}

int policy_set(const char *tenant, struct json_object *policy, bool save,
	       struct json_object **answer)
{
	return set_on(tenant, NULL, policy, save, answer);
}

/* --gpu N. NULL after it said why. */
static struct json_object *gpu_option(const char *text)
{
	struct json_object *gpu = number(text, 0, ARBITER_MAX_GPUS - 1);

	if (!gpu)
		cli_fail(0, "--gpu: '%s' is not the number of a GPU", text);
	return gpu;
}

static const char *or_none(struct json_object *policy, const char *key)
{
	const char *text = json_str(policy, key);

	return text && *text ? text : "none";
}

static void print(struct json_object *answer)
{
	struct json_object *p = NULL;
	char bytes[32];

	json_object_object_get_ex(answer, "policy", &p);
	printf("%s: weight %llu, priority %llu, reserve %s, cap %s%s, VRAM %s, kernel timeout %s\n",
	       json_str(answer, "tenant"), (unsigned long long)json_u64(p, "weight"),
	       (unsigned long long)json_u64(p, "priority"), or_none(p, "reserve"),
	       or_none(p, "cap"), json_u64(p, "cap") ? " %" : "",
	       size_format(bytes, sizeof(bytes), json_u64(p, "vram")),
	       or_none(p, "kernel_timeout"));
}

int cmd_set(int argc, char **argv)
{
	static const char usage[] =
		"Usage: hsavisor set TENANT [OPTIONS]\n"
		"Changes what a tenant that runs may have of the GPU: all that is given, or "
		"nothing "
		"of it.\n"
		"Without an option, shows it.\n"
		"\n"
		"  --weight N              its part of the GPU's time, beside the weights of "
		"others "
		"(1 to 10000; 100)\n"
		"  --priority P            0 to 7 (3): higher ones go first, whatever the weights\n"
		"  --reserve BUDGET/PERIOD time it has for sure in each period, like 6ms/16.6ms; "
		"or "
		"none\n"
		"  --cap PCT               percentage of the GPU's time that it has at most, even "
		"if "
		"nobody else wants it; or none\n"
		"  --vram SIZE             VRAM quota, up to the one that it was started with\n"
		"  --kernel-timeout TIME   GPU time after which a kernel is stopped, like 10s; or "
		"none\n"
		"  --gpu N                 on that GPU only, if it has several\n"
		"  --save                  put it into the daemon's configuration file, too (for all "
		"GPUs)\n"
		"  --json                  print what it has now as JSON\n"
		"\n"
		"Exit status: 0 done, 1 refused, 2 bad usage, 3 hsavisord not running, 4 no such "
		"tenant.\n";
	static const struct option known[] = {{"weight", required_argument, NULL, 'w'},
					      {"priority", required_argument, NULL, 'p'},
					      {"reserve", required_argument, NULL, 'r'},
					      {"cap", required_argument, NULL, 'c'},
					      {"vram", required_argument, NULL, 'v'},
					      {"kernel-timeout", required_argument, NULL, 'k'},
					      {"gpu", required_argument, NULL, 'g'},
					      {"save", no_argument, NULL, 's'},
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	struct json_object *policy = NULL, *gpu = NULL, *answer;
	bool save = false, json = false;
	int c, code = 0;

	optind = 0;
	while (!code && (c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (c == 's') {
			save = true;
		} else if (c == 'j') {
			json = true;
		} else if (c == 'g') {
			json_object_put(gpu);
			gpu = gpu_option(optarg);
			code = gpu ? 0 : EXIT_USAGE;
		} else if (c == 'h' || c == '?') {
			json_object_put(policy);
			json_object_put(gpu);
			return cli_usage(usage, c);
		} else {
			code = policy_option(c, optarg, &policy);
		}
	}
	if (!code)
		code = optind + 1 == argc ? cli_check_name(argv[optind]) : cli_usage(usage, '?');
	if (!code && save && !policy)
		code = cli_fail(EXIT_USAGE, "--save: there is nothing to save");
	if (code) {
		json_object_put(policy);
		json_object_put(gpu);
		return code;
	}
	code = policy ? set_on(argv[optind], gpu, policy, save, &answer)
		      : daemon_request(NULL, about("get", argv[optind], gpu), &answer);
	json_object_put(gpu);
	if (code)
		return code;
	json_object_object_del(answer, "ok");
	if (json)
		json_print(answer);
	else
		print(answer);
	json_object_put(answer);
	return EXIT_OK;
}

int cmd_reset(int argc, char **argv)
{
	static const char usage[] =
		"Usage: hsavisor reset TENANT [--process PID] [--gpu N]\n"
		"Stops the kernels of a tenant that run now. Their queues get an error, as from a "
		"GPU reset; the\n"
		"programs go on, and other queues do.\n"
		"\n"
		"  --process PID  of this process only (in a VM: its guest's pid)\n"
		"  --gpu N        on that GPU only, if it has several\n";
	static const struct option known[] = {{"process", required_argument, NULL, 'p'},
					      {"gpu", required_argument, NULL, 'g'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	struct json_object *request, *pid = NULL, *gpu = NULL, *answer;
	int c, code;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		struct json_object **v = c == 'g' ? &gpu : &pid;

		json_object_put(*v);
		*v = c == 'g' ? gpu_option(optarg) : c == 'p' ? number(optarg, 1, INT32_MAX) : NULL;
		if (*v)
			continue;
		json_object_put(gpu);
		json_object_put(pid);
		return c == 'g' ? EXIT_USAGE : c == 'p' ? cli_fail(EXIT_USAGE, "bad process id '%s'", optarg) : cli_usage(usage, c);
	}
	if (optind + 1 != argc || !cli_name_ok(argv[optind])) {
		json_object_put(gpu);
		json_object_put(pid);
		return cli_usage(usage, '?');
	}
	request = about("reset", argv[optind], gpu);
	json_object_put(gpu);
	if (pid)
		json_object_object_add(request, "process", pid);
	code = daemon_request(NULL, request, &answer);
	if (!code)
		json_object_put(answer);
	return code;
}
