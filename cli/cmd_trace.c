// SPDX-License-Identifier: MIT
/*
 * cmd_trace.c - `hsavisor trace`: records until Ctrl-C, or for some seconds.
 *
 * The daemon sends a packet with a descriptor for each executor (arbiter/trace.h); from then on
 * rings are read without it. Executors write them as long as this connection lives, so nothing is
 * left behind by a tool that is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/msg.h"
#include "cli/cli.h"
#include "cli/trace.h"

#define READ_MS	      20 /* between two looks at the rings */
#define MAX_TENANTS   32 /* named on the command line */
#define MAX_EVENTS    20000000ull
#define DEFAULT_FILE  "hsavisor-trace.json"
#define PACKET_BYTES  4096
#define GPU_STEP      100000000u /* between the numbers of a tenant on its GPUs; viewers take 32 bits */

static const char usage[] =
	"Usage: hsavisor trace [-o FILE] [--seconds N] [TENANT ...]\n"
	"Records what the GPU does for the tenants (or those named) as a timeline: kernels, copies,\n"
	"turns, preemptions, faults. Ends at Ctrl-C. Open the file in ui.perfetto.dev or\n"
	"chrome://tracing.\n"
	"\n"
	"  -o, --output FILE  where to (default " DEFAULT_FILE "; - is standard output)\n"
	"  --seconds N        end after so long\n";

struct options {
	const char *file;
	double seconds; /* 0: no limit */
	const char *tenants[MAX_TENANTS];
	unsigned num_tenants;
	size_t num_gpus; /* of the daemon */
};

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	ended = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {{"output", required_argument, NULL, 'o'},
					      {"seconds", required_argument, NULL, 's'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	char *end;
	int c;

	*o = (struct options){.file = DEFAULT_FILE};
	optind = 0;
	while ((c = getopt_long(argc, argv, "o:h", known, NULL)) != -1) {
		switch (c) {
		case 'o':
			o->file = optarg;
			break;
		case 's':
			o->seconds = strtod(optarg, &end);
			if (end == optarg || *end || !(o->seconds > 0 && o->seconds <= 86400))
				return cli_fail(EXIT_USAGE, "'%s' is not a number of seconds",
						optarg);
			break;
		default:
			return cli_usage(usage, c);
		}
	}
	for (; optind < argc; optind++) {
		if (!cli_name_ok(argv[optind]) || o->num_tenants == MAX_TENANTS)
			return cli_usage(usage, '?');
		o->tenants[o->num_tenants++] = argv[optind];
	}
	return -1;
}

static bool wanted(const struct options *o, const char *tenant)
{
	for (unsigned i = 0; i < o->num_tenants; i++)
		if (!strcmp(o->tenants[i], tenant))
			return true;
	return !o->num_tenants;
}

/* ------------------------------------------------------------------ the daemon's packets */

/* One packet: 0 with *packet (the caller's) and *fd (-1: none), or negative errno (-ECONNRESET: the
 * daemon is gone). */
static int receive(int sock, struct json_object **packet, int *fd)
{
	char text[PACKET_BYTES];
	int fds[MSG_MAX_FDS];
	unsigned num_fds = MSG_MAX_FDS;
	ssize_t n = msg_receive(sock, text, sizeof(text) - 1, fds, &num_fds);

	if (n <= 0)
		return n < 0 ? (int)n : -ECONNRESET;
	text[n] = 0;
	for (unsigned i = 1; i < num_fds; i++)
		close(fds[i]);
	*fd = num_fds ? fds[0] : -1;
	*packet = json_tokener_parse(text);
	if (*packet)
		return 0;
	if (*fd >= 0)
		close(*fd);
	return -EPROTO;
}

static int on_packet(const struct options *o, struct rings *rings, int sock, unsigned *seen)
{
	struct json_object *p;
	int fd, err = receive(sock, &p, &fd);

	if (err)
		return err;
	if (!strcmp(json_str(p, "event"), "gone")) {
		rings_remove(rings, json_u64(p, "serial"));
	} else if (fd >= 0 && wanted(o, json_str(p, "tenant"))) {
		uint64_t gpu = json_u64(p, "gpu"), tenant = json_u64(p, "tenant_id") + gpu * GPU_STEP;
		char label[96];

		if (o->num_gpus > 1)
			snprintf(label, sizeof(label), "%.63s:%llu", json_str(p, "tenant"), (unsigned long long)gpu);
		else
			snprintf(label, sizeof(label), "%s", json_str(p, "tenant"));
		trace_file_tenant(rings->file, tenant, label, json_str(p, "kind"));
		err = rings_add(rings, fd, json_u64(p, "serial"), tenant, json_u64(p, "pid"),
				json_u64(p, "from"));
		++*seen;
	}
	if (fd >= 0)
		close(fd);
	json_object_put(p);
	return err;
}

/* All that are there. */
static int on_packets(const struct options *o, struct rings *rings, int sock, unsigned *seen)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	int err = 0;

	while (!err && poll(&p, 1, 0) > 0)
		err = on_packet(o, rings, sock, seen);
	return err;
}

static size_t count_gpus(void)
{
	struct json_object *status, *gpus;
	size_t n = 0;

	if (daemon_ask("status", &status))
		return 0;
	if (json_object_object_get_ex(status, "gpus", &gpus) && json_object_is_type(gpus, json_type_array))
		n = json_object_array_length(gpus);
	json_object_put(status);
	return n;
}

/* 0 with *sock, or an exit code after it said why. */
static int begin(int *sock)
{
	static const char request[] = "{\"op\":\"trace\"}";
	struct json_object *answer, *ok;
	int fd = -1, err, code = 0;

	*sock = msg_connect(arbiter_socket_path());
	err = *sock < 0 ? *sock : msg_send(*sock, request, sizeof(request) - 1, NULL, 0);
	if (!err)
		err = receive(*sock, &answer, &fd);
	if (err) {
		if (*sock >= 0)
			close(*sock);
		return daemon_failed(err);
	}
	if (!json_object_object_get_ex(answer, "ok", &ok) || !json_object_get_boolean(ok)) {
		code = cli_fail(EXIT_FAIL, "hsavisord: %s", json_str(answer, "error"));
		close(*sock);
	}
	if (fd >= 0)
		close(fd);
	json_object_put(answer);
	return code;
}

/* ------------------------------------------------------------------ recording */

static void progress(const struct rings *rings, uint64_t start, uint64_t now)
{
	fprintf(stderr, "\rhsavisor: %.0f s, %llu events", (double)(now - start) / 1e9,
		(unsigned long long)rings->events);
	if (rings->lost)
		fprintf(stderr, ", %llu lost", (unsigned long long)rings->lost);
}

/* 0, or negative errno: the daemon is gone. */
static int record(const struct options *o, struct rings *rings, int sock, uint64_t start,
		  unsigned *seen)
{
	bool terminal = isatty(STDERR_FILENO);
	uint64_t told = start;
	int err = 0;

	while (!ended && !err) {
		struct pollfd p = {.fd = sock, .events = POLLIN};
		uint64_t now;

		err = on_packets(o, rings, sock, seen);
		rings_read(rings, false);
		now = now_ns();
		if (terminal && now - told >= 1000000000u) {
			progress(rings, start, now);
			told = now;
		}
		if (ferror(stdout) || (o->seconds > 0 && now - start >= o->seconds * 1e9))
			break;
		if (rings->events >= MAX_EVENTS) {
			fputs(terminal ? "\n" : "", stderr);
			cli_fail(0, "%llu events: that is enough",
				 (unsigned long long)rings->events);
			break;
		}
		if (!err)
			poll(&p, 1, READ_MS);
	}
	if (terminal && told != start)
		fputc('\n', stderr);
	/* Executors that were told of meanwhile have events, too. */
	return err ? err : on_packets(o, rings, sock, seen);
}

static FILE *open_file(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "we") : stdout;

	if (f)
		setvbuf(f, NULL, _IOFBF, 1 << 16);
	return f;
}

int cmd_trace(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct rings rings = {0};
	struct options o;
	unsigned seen = 0;
	int sock, lost_daemon, err, code = parse(argc, argv, &o);
	uint64_t start, end;
	FILE *f;

	if (code >= 0)
		return code;
	o.num_gpus = count_gpus();
	start = now_ns(); /* before executors make the first event */
	code = begin(&sock);
	if (code)
		return code;
	f = open_file(o.file);
	if (!f) {
		close(sock);
		return cli_fail(EXIT_FAIL, "%s: %s", o.file, strerror(errno));
	}
	rings.file = trace_file_new(f, start);
	if (!rings.file) {
		close(sock);
		return cli_fail(EXIT_FAIL, "out of memory");
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	fprintf(stderr, "hsavisor: recording to %s; Ctrl-C ends\n", o.file);
	lost_daemon = record(&o, &rings, sock, start, &seen);
	close(sock);
	rings_read(&rings, true);
	end = now_ns();
	rings_free(&rings);
	err = trace_file_end(rings.file, rings.lost, end);
	if (f != stdout && fclose(f) && !err)
		err = -errno;
	if (err)
		return cli_fail(EXIT_FAIL, "%s: %s", o.file, strerror(-err));
	fprintf(stderr, "hsavisor: %llu events of %u executors in %.1f s, %llu lost\n",
		(unsigned long long)rings.events, seen, (double)(end - start) / 1e9,
		(unsigned long long)rings.lost);
	if (rings.odd)
		fprintf(stderr, "hsavisor: %llu events were not plausible and left out\n",
			(unsigned long long)rings.odd);
	if (lost_daemon)
		return cli_fail(EXIT_FAIL, "hsavisord went away; the trace ends there");
	return EXIT_OK;
}
