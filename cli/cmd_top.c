// SPDX-License-Identifier: MIT
/*
 * cmd_top.c - `hsavisor top`: options, and the plain lines for what is no terminal. The screen is
 * top_screen.c.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "cli/cli.h"
#include "cli/top.h"

static const char usage[] =
	"Usage: hsavisor top [-d SECONDS] [-n COUNT] [--sort KEY] [--reverse] [--plain] [--json]\n"
	"Shows what each tenant uses: on a terminal as a screen, else as lines of text.\n"
	"\n"
	"  -d, --delay SECONDS  time between refreshes (default 2; 0.1 to 3600)\n"
	"  -n, --count COUNT    end after so many refreshes\n"
	"  --sort KEY           gpu (default), cores, dispatches, vram, queues, packets, exits,\n"
	"                       faults or name\n"
	"  --reverse            smallest first\n"
	"  --plain              lines of text on a terminal, too\n"
	"  --json               one JSON object a line and refresh\n";

volatile sig_atomic_t top_ended;

static void on_signal(int signal)
{
	top_ended = 1;
}

const char *top_trouble(int err, char *line, size_t size)
{
	if (err == -ECONNREFUSED)
		snprintf(line, size, "hsavisord is not running (no answer at %s); waiting for it",
			 arbiter_socket_path());
	else
		snprintf(line, size, "hsavisord at %s: %s; trying again", arbiter_socket_path(),
			 strerror(-err));
	return line;
}

static int parse(int argc, char **argv, struct top_options *o, bool *plain)
{
	static const struct option known[] = {{"delay", required_argument, NULL, 'd'},
					      {"count", required_argument, NULL, 'n'},
					      {"sort", required_argument, NULL, 's'},
					      {"reverse", no_argument, NULL, 'r'},
					      {"plain", no_argument, NULL, 'p'},
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	char *end;
	long count;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "d:n:h", known, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->delay_s = strtod(optarg, &end);
			if (end == optarg || *end || !(o->delay_s >= 0.1 && o->delay_s <= 3600))
				return cli_fail(EXIT_USAGE, "'%s' is not 0.1 to 3600 seconds",
						optarg);
			break;
		case 'n':
			if (!cli_number(optarg, 1, LONG_MAX, &count))
				return cli_fail(EXIT_USAGE, "'%s' is not a number of refreshes",
						optarg);
			o->count = (unsigned long)count;
			break;
		case 's':
			for (o->key = sample_keys; o->key->name; o->key++)
				if (!strcmp(o->key->name, optarg))
					break;
			if (!o->key->name)
				return cli_fail(EXIT_USAGE, "there is no sort key '%s'", optarg);
			break;
		case 'r':
			o->reverse = true;
			break;
		case 'p':
			*plain = true;
			break;
		case 'j':
			o->json = true;
			break;
		default:
			return cli_usage(usage, c);
		}
	}
	if (optind < argc)
		return cli_usage(usage, '?');
	return -1;
}

static void wait_for(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};

	while (!top_ended && nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static void print_error(const struct top_options *o, int err)
{
	char line[256];

	top_trouble(err, line, sizeof(line));
	if (o->json) {
		struct json_object *j = json_object_new_object();

		json_object_object_add(j, "ok", json_object_new_boolean(false));
		json_object_object_add(j, "time", json_object_new_uint64((uint64_t)time(NULL)));
		json_object_object_add(j, "error", json_object_new_string(line));
		puts(json_object_to_json_string_ext(j, JSON_C_TO_STRING_PLAIN));
		json_object_put(j);
	} else {
		puts(line);
	}
}

static void print_sample(const struct top_options *o, struct sample *s)
{
	struct json_object *j;
	char line[512], when[16];
	time_t now = time(NULL);
	struct tm tm;

	sample_sort(s, o->key, o->reverse);
	if (o->json) {
		j = sample_json(s);
		puts(json_object_to_json_string_ext(j, JSON_C_TO_STRING_PLAIN));
		json_object_put(j);
		return;
	}
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	sample_summary(s, line, sizeof(line));
	printf("%s %s\n", when, line);
	if (!s->num_rows) {
		puts("no tenants");
		return;
	}
	sample_heading(line, sizeof(line));
	puts(line);
	for (size_t i = 0; i < s->num_rows; i++) {
		sample_line(&s->rows[i], line, sizeof(line));
		puts(line);
	}
}

static int print_lines(const struct top_options *o, struct sample *before)
{
	for (unsigned long n = 0; (!o->count || n < o->count) && !top_ended; n++) {
		struct sample s;
		int err;

		wait_for(o->delay_s);
		if (top_ended)
			break;
		err = sample_take(&s, before->rows ? before : NULL);
		if (err)
			print_error(o, err);
		else
			print_sample(o, &s);
		if (!o->json && (!o->count || n + 1 < o->count))
			puts("");
		sample_free(before);
		*before = s;
		if (fflush(stdout) || ferror(stdout)) { /* nobody reads any more */
			sample_free(before);
			return EXIT_FAIL;
		}
	}
	sample_free(before);
	return EXIT_OK;
}

int cmd_top(int argc, char **argv)
{
	struct top_options o = {.delay_s = 2, .key = sample_keys};
	struct sigaction action = {.sa_handler = on_signal};
	struct sample first;
	bool plain = false;
	int code = parse(argc, argv, &o, &plain), err;

	if (code >= 0)
		return code;
	err = sample_take(&first, NULL);
	if (err)
		return daemon_failed(err);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (!o.json && !plain && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO)) {
		code = top_screen(&o, &first);
		if (code >= 0)
			return code;
	}
	return print_lines(&o, &first);
}
