// SPDX-License-Identifier: MIT
/* cmd_faults.c - `hsavisor faults`: the daemon's log of GPU faults and queue errors. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "cli/cli.h"

#define FOLLOW_MS 250

static const char usage[] =
	"Usage: hsavisor faults [--json] [--follow] [TENANT]\n"
	"Shows the GPU memory faults and queue errors of the tenants, the last 1000 of all.\n"
	"\n"
	"  --follow  go on, showing them as they happen, until Ctrl-C\n"
	"  --json    an array; with --follow one object a line\n";

struct options {
	bool json, follow;
	const char *tenant;
};

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	ended = 1;
}

static void print_text(struct json_object *o)
{
	uint64_t ns = json_u64(o, "time_ns"), lost = json_u64(o, "lost_before");
	time_t seconds = (time_t)(ns / 1000000000u);
	const char *kernel = json_str(o, "kernel");
	char when[32];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	if (lost)
		printf("%s %s: %llu before this one were not recorded\n", when,
		       json_str(o, "tenant"), (unsigned long long)lost);
	printf("%s %s: %s[%llu] queue %llu: %s", when, json_str(o, "tenant"),
	       json_str(o, "process"), (unsigned long long)json_u64(o, "pid"),
	       (unsigned long long)json_u64(o, "queue"), json_str(o, "what"));
	if (!json_u64(o, "code"))
		printf(" at 0x%llx (%s)", (unsigned long long)json_u64(o, "address"),
		       json_str(o, "access"));
	if (*kernel)
		printf(" in kernel %s", kernel);
	else if (json_u64(o, "kernel_descriptor"))
		printf(" in the kernel with its descriptor at 0x%llx",
		       (unsigned long long)json_u64(o, "kernel_descriptor"));
	putchar('\n');
}

/* Everything behind *after, which moves on. all: gets the rows, or NULL: they are printed. 0 or
 * negative errno. */
static int fetch(const struct options *o, uint64_t *after, struct json_object *all)
{
	struct json_object *answer, *list, *more;
	bool again;

	do {
		struct json_object *request = json_object_new_object();
		int err;

		json_object_object_add(request, "op", json_object_new_string("faults"));
		json_object_object_add(request, "after", json_object_new_uint64(*after));
		if (o->tenant)
			json_object_object_add(request, "tenant",
					       json_object_new_string(o->tenant));
		err = daemon_try(request, &answer);
		if (err)
			return err;
		again = json_object_object_get_ex(answer, "more", &more) &&
			json_object_get_boolean(more);
		if (json_u64(answer, "next") < *after) { /* a daemon that was started anew */
			*after = 0;
			json_object_put(answer);
			again = true;
			continue;
		}
		*after = json_u64(answer, "next");
		if (json_object_object_get_ex(answer, "faults", &list)) {
			for (size_t i = 0; i < json_object_array_length(list); i++) {
				struct json_object *row = json_object_array_get_idx(list, i);

				if (all)
					json_object_array_add(all, json_object_get(row));
				else if (o->json)
					puts(json_object_to_json_string_ext(
						row, JSON_C_TO_STRING_PLAIN));
				else
					print_text(row);
			}
		}
		json_object_put(answer);
	} while (again && !ended);
	return 0;
}

static int follow(const struct options *o)
{
	const struct timespec pause = {0, FOLLOW_MS * 1000000L};
	struct sigaction action = {.sa_handler = on_signal};
	uint64_t after = 0;
	bool there = true;
	int err = fetch(o, &after, NULL);

	if (err)
		return daemon_failed(err);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	while (!ended) {
		if (fflush(stdout))
			return EXIT_FAIL; /* nobody reads any more */
		nanosleep(&pause, NULL);
		err = ended ? 0 : fetch(o, &after, NULL);
		if (err && there)
			cli_fail(0, "hsavisord went away; waiting for it");
		else if (!err && !there)
			cli_fail(0, "hsavisord is there again");
		there = !err;
	}
	return EXIT_OK;
}

int cmd_faults(int argc, char **argv)
{
	static const struct option known[] = {{"json", no_argument, NULL, 'j'},
					      {"follow", no_argument, NULL, 'f'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	struct options o = {0};
	struct json_object *all = NULL;
	uint64_t after = 0;
	int c, err;

	optind = 0;
	while ((c = getopt_long(argc, argv, "fh", known, NULL)) != -1) {
		if (c == 'j') {
			o.json = true;
		} else if (c == 'f') {
			o.follow = true;
		} else {
			return cli_usage(usage, c);
		}
	}
	if (optind < argc)
		o.tenant = argv[optind++];
	if (optind < argc || (o.tenant && !cli_name_ok(o.tenant)))
		return cli_usage(usage, '?');
	if (o.follow)
		return follow(&o);
	if (o.json)
		all = json_object_new_array();
	err = fetch(&o, &after, all);
	if (!err && all)
		json_print(all);
	json_object_put(all);
	if (err)
		return daemon_failed(err);
	return fflush(stdout) ? EXIT_FAIL : EXIT_OK;
}
