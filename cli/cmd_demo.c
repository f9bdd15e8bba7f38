// SPDX-License-Identifier: MIT
/*
 * cmd_demo.c - `hsavisor demo`: two VMs and a host process share the GPU, all at once, with
 * unmodified programs.
 *
 * Theory of operation: everything lives below a private directory (socket, VM states), so a demo
 * disturbs no daemon of the user's. A worker process a tenant runs the programs one after another
 * and writes a JSON line for each to a pipe; this process gathers the lines, prints the table, and
 * ends all in reverse order, also after Ctrl-C (workers get it from the terminal; VMs and the
 * daemon are in sessions of their own and are stopped here).
 *
 * A result counts as verified when the program says so: our programs compare with a CPU reference
 * and exit 0 with a line "verified"; rocminfo and clinfo are verified when they exit 0 and name the
 * GPU's target.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "base/size.h"
#include "cli/cli.h"

static const char usage[] =
	"Usage: hsavisor demo [--json] [--target gfx90a|gfx900] [--keep]\n"
	"Boots two VMs and runs, in both and on the host at the same time, unmodified programs on "
	"one shared GPU; checks their results.\n"
	"Needs what `make demo` prepares.\n"
	"\n"
	"  --json    the table as JSON\n"
	"  --keep    leave the daemon and the VMs running at the end, and tell how to reach them\n";

struct program {
	const char *name; /* in /usr/local/bin or /usr/bin of the guest image; on the host in
			     build/guest-programs or the Debian 13 tree */
	const char *says; /* what its output must have */
	const char *what;
	bool ours;
};

static const struct program programs[] = {
	{"rocminfo", "TARGET", "lists HSA agents", false},
	{"opencl-nbody", "verified", "OpenCL, kernels compiled at run time", true},
	{"hip-matmul", "verified", "HIP, kernels compiled offline", true},
	{"clinfo", "TARGET", "lists OpenCL devices", false},
};
#define NUM_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static const struct demo_tenant {
	const char *name;
	bool vm;
} tenants[] = {{"vm-a", true}, {"vm-b", true}, {"host", false}};
#define NUM_TENANTS (sizeof(tenants) / sizeof(tenants[0]))

/* A program may take this long, compilation in an emulated CPU included. */
#define PROGRAM_LIMIT_S 420
#define GUEST_MEMORY	(1536ull << 20)
#define QUOTA		(512ull << 20)

static volatile sig_atomic_t interrupted;
static double started;
static bool json_only;
static const char *target = "gfx90a";

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

__attribute__((format(printf, 1, 2))) static void progress(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "[%3.0fs] %s\n", now() - started, text);
}

static void on_signal(int sig)
{
	interrupted = 1;
}

/* ------------------------------------------------------------------ one program in one tenant
 * (worker process) */

static int run_on_host(const char *tenant, const struct program *p, int out)
{
	char path[4200], self[4096];
	const char *root = image_conf("GUEST_TREE");
	char *argv[] = {path, NULL};
	double limit = now() + PROGRAM_LIMIT_S;
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s", p->name);
	if (p->ours) {
		ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

		self[n > 0 ? n : 0] = 0;
		*strrchr(self, '/') = 0;
		snprintf(path, sizeof(path), "%s/guest-programs/%s", self, p->name);
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		_exit(host_program_exec(tenant, root, argv));
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct timespec ts = {0, 20000000};

		if (now() > limit)
			kill(pid, SIGKILL);
		nanosleep(&ts, NULL);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The program's output as a string (malloc'ed). */
static char *slurp(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *s = calloc(1, (size_t)size + 1);

	if (s && pread(fd, s, (size_t)size, 0) != size)
		*s = 0;
	return s;
}

static void last_lines(const char *tenant, const char *program, const char *output)
{
	const char *p = output + strlen(output);
	int lines = 0;

	while (p > output && lines < 12)
		lines += *--p == '\n';
	fprintf(stderr, "---- %s, %s, end of its output:\n%s\n----\n", tenant, program, p);
}

static void run_program(const struct demo_tenant *t, const struct program *p, int report)
{
	int out = memfd_create("output", MFD_CLOEXEC), code;
	struct json_object *before = daemon_tenant(t->name, 0), *after, *o = json_object_new_object();
	const char *says = strcmp(p->says, "TARGET") ? p->says : target;
	char *argv[] = {(char *)(uintptr_t)p->name, NULL};
	double t0 = now();
	bool verified;
	char *output;

	code = t->vm ? vm_exec(t->name, argv, out, out, PROGRAM_LIMIT_S)
		     : run_on_host(t->name, p, out);
	output = slurp(out);
	close(out);
	verified = code == 0 && output && strstr(output, says);
	after = daemon_tenant(t->name, 0);
	if (!verified && output)
		last_lines(t->name, p->name, output);
	free(output);
	json_object_object_add(o, "tenant", json_object_new_string(t->name));
	json_object_object_add(o, "kind", json_object_new_string(t->vm ? "vm" : "host"));
	json_object_object_add(o, "program", json_object_new_string(p->name));
	json_object_object_add(o, "what", json_object_new_string(p->what));
	json_object_object_add(o, "seconds", json_object_new_double(now() - t0));
	json_object_object_add(o, "exit_code", json_object_new_int(code));
	json_object_object_add(o, "dispatches",
			       json_object_new_uint64(json_u64(after, "dispatches") -
						      json_u64(before, "dispatches")));
	json_object_object_add(
		o, "gpu_ns",
		json_object_new_uint64(json_u64(after, "gpu_ns") - json_u64(before, "gpu_ns")));
	json_object_object_add(
		o, "vm_exits",
		json_object_new_uint64(json_u64(after, "vm_exits") - json_u64(before, "vm_exits")));
	json_object_object_add(o, "vram_peak_bytes",
			       json_object_new_uint64(json_u64(after, "vram_peak_bytes")));
	json_object_object_add(o, "vram_quota_bytes",
			       json_object_new_uint64(json_u64(after, "vram_quota_bytes")));
	json_object_object_add(o, "verified", json_object_new_boolean(verified));
	dprintf(report, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	json_object_put(before);
	json_object_put(after);
}

static void worker(const struct demo_tenant *t, int report)
{
	struct arbiter_client *client;
	struct arbiter_grant grant;
	char error[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_DFL);
	if (!t->vm && arbiter_connect(ARBITER_HOST, t->name, QUOTA, &client, &grant, error)) {
		cli_fail(EXIT_FAIL, "%s", error);
		_exit(1);
	}
	for (size_t i = 0; i < NUM_PROGRAMS; i++)
		run_program(t, &programs[i], report);
	_exit(0);
}

/* ------------------------------------------------------------------ all of them */

/* Starts both VMs at the same time, each in a process of its own. */
static int start_vms(void)
{
	pid_t pids[NUM_TENANTS] = {0};
	int failed = 0, status;

	for (size_t i = 0; i < NUM_TENANTS; i++) {
		struct vm_config c = {.name = tenants[i].name,
				      .memory = GUEST_MEMORY,
				      .vram = QUOTA,
				      .cpus = 2,
				      .accel = "auto",
				      .boot_timeout = 240,
				      .quiet = true};

		if (!tenants[i].vm)
			continue;
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			_exit(vm_start(&c));
		}
	}
	for (size_t i = 0; i < NUM_TENANTS; i++) {
		if (!pids[i])
			continue;
		while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR)
			if (interrupted)
				kill(pids[i], SIGTERM);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			failed = 1;
		else
			progress("%s is up", tenants[i].name);
	}
	return failed || interrupted ? EXIT_FAIL : 0;
}

/* Runs the workers; the rows they report go into list. */
static int run_all(struct json_object *list)
{
	pid_t pids[NUM_TENANTS];
	int pipe_fds[2];
	char line[4096];
	FILE *f;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return cli_fail(EXIT_FAIL, "no descriptors left");
	for (size_t i = 0; i < NUM_TENANTS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			worker(&tenants[i], pipe_fds[1]);
	}
	close(pipe_fds[1]);
	f = fdopen(pipe_fds[0], "r");
	while (f && !interrupted && fgets(line, sizeof(line), f)) {
		struct json_object *o = json_tokener_parse(line), *v;

		if (!o)
			continue;
		json_object_object_get_ex(o, "verified", &v);
		json_object_object_get_ex(o, "seconds", &v);
		progress("%s: %s %s (%.1f s)", json_str(o, "tenant"), json_str(o, "program"),
			 strcmp(json_str(o, "verified"), "true") ? "FAILED" : "verified",
			 json_object_get_double(v));
		json_object_array_add(list, o);
	}
	if (f)
		fclose(f);
	for (size_t i = 0; i < NUM_TENANTS; i++) {
		if (interrupted)
			kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return interrupted ? EXIT_FAIL : 0;
}

static void print_table(struct json_object *list)
{
	printf("%-8s %-14s %10s %11s %23s %12s  %s\n", "TENANT", "PROGRAM", "DISPATCHES",
	       "GPU TIME", "VRAM PEAK OF QUOTA", "EXITS/DISP.", "RESULT");
	for (size_t t = 0; t < NUM_TENANTS; t++) {
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *o = json_object_array_get_idx(list, i);
			char used[32], quota[32], vram[70], exits[32] = "-";
			uint64_t dispatches = json_u64(o, "dispatches");

			if (strcmp(json_str(o, "tenant"), tenants[t].name))
				continue;
			snprintf(
				vram, sizeof(vram), "%s of %s",
				size_format(used, sizeof(used), json_u64(o, "vram_peak_bytes")),
				size_format(quota, sizeof(quota), json_u64(o, "vram_quota_bytes")));
			if (tenants[t].vm && dispatches)
				snprintf(exits, sizeof(exits), "%.2f",
					 (double)json_u64(o, "vm_exits") / (double)dispatches);
			printf("%-8s %-14s %10llu %9.3f s %23s %12s  %s\n", json_str(o, "tenant"),
			       json_str(o, "program"), (unsigned long long)dispatches,
			       (double)json_u64(o, "gpu_ns") / 1e9, vram, exits,
			       strcmp(json_str(o, "verified"), "true") ? "WRONG" : "verified");
		}
	}
	printf("Exits are all of a program's (set-up included); for the steady state, where they "
	       "are none, see `make bench-dispatch`.\n");
}

static void stop_all(const char *dir)
{
	char cmd[256];

	for (size_t i = 0; i < NUM_TENANTS; i++)
		if (tenants[i].vm && access(vm_path(tenants[i].name, ""), F_OK) == 0)
			vm_stop(tenants[i].name, true);
	if (access(arbiter_socket_path(), F_OK) == 0)
		daemon_shutdown(true);
	snprintf(cmd, sizeof(cmd), "%s/vms", dir);
	rmdir(cmd);
	rmdir(dir);
}

int cmd_demo(int argc, char **argv)
{
	static const struct option known[] = {{"json", no_argument, NULL, 'j'},
					      {"target", required_argument, NULL, 't'},
					      {"keep", no_argument, NULL, 'k'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	struct json_object *list = json_object_new_array(), *all;
	struct sigaction sa = {.sa_handler = on_signal}; /* no SA_RESTART: waits end */
	char dir[] = "/tmp/hsavisor-demo-XXXXXX", sock[64];
	char *extra[] = {"--gpu", NULL, NULL};
	size_t verified = 0, rows;
	bool keep = false;
	int c, code;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (c) {
		case 'j':
			json_only = true;
			break;
		case 'k':
			keep = true;
			break;
		case 't':
			if (strcmp(optarg, "gfx90a") && strcmp(optarg, "gfx900"))
				return cli_fail(EXIT_USAGE,
						"the GPU can be gfx90a or gfx900, not '%s'",
						optarg);
			target = optarg;
			break;
		default:
			return cli_usage(usage, c);
		}
	}
	if (optind < argc)
		return cli_usage(usage, '?');
	if (!image_conf("IMAGE"))
		return cli_fail(EXIT_FAIL, "there is no guest image yet; make it with: make image "
					   "(or run: make demo)");
	started = now();
	if (!mkdtemp(dir))
		return cli_fail(EXIT_FAIL, "cannot make a directory in /tmp: %s", strerror(errno));
	snprintf(sock, sizeof(sock), "%s/hsavisord.sock", dir);
	setenv("HSAVISOR_SOCKET", sock, 1);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);

	extra[1] = (char *)(uintptr_t)target;
	code = daemon_start(extra);
	if (!code) {
		progress("booting two VMs");
		code = start_vms();
	}
	if (!code) {
		progress("running %zu programs in each of %zu tenants at the same time",
			 NUM_PROGRAMS, NUM_TENANTS);
		code = run_all(list);
	}
	if (keep && !code)
		printf("still running; reach them with: export HSAVISOR_SOCKET=%s\n", sock);
	else
		stop_all(dir);
	rows = json_object_array_length(list);
	for (size_t i = 0; i < rows; i++)
		verified +=
			!strcmp(json_str(json_object_array_get_idx(list, i), "verified"), "true");
	if (interrupted) {
		json_object_put(list);
		return cli_fail(130, "interrupted; everything was stopped");
	}
	if (!code && verified != NUM_PROGRAMS * NUM_TENANTS)
		code = EXIT_FAIL;
	if (json_only) {
		all = json_object_new_object();
		json_object_object_add(all, "target", json_object_new_string(target));
		json_object_object_add(all, "tenants", json_object_new_int(NUM_TENANTS));
		json_object_object_add(all, "programs", json_object_new_uint64(rows));
		json_object_object_add(all, "verified", json_object_new_uint64(verified));
		json_object_object_add(all, "results", list);
		json_print(all);
		json_object_put(all);
	} else {
		print_table(list);
		printf("demo: %zu tenants, %zu programs, %zu results verified\n", NUM_TENANTS, rows,
		       verified);
		json_object_put(list);
	}
	return code;
}
