// SPDX-License-Identifier: MIT
/*
 * cmd_run.c - `hsavisor run`: an unmodified ROCm program of the host as a tenant.
 *
 * This process is the tenant: its connection to the daemon lives as long as it does. The program
 * and all its children join it.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "base/gpu_list.h"
#include "base/size.h"
#include "cli/cli.h"

static const char usage[] =
	"Usage: hsavisor run [--name NAME] [--vram SIZE] [--vram-max SIZE] "
	"[--gpus LIST] [--root DIR | --debian13] [--stats] [--profile FILE] -- "
	"PROGRAM [ARGUMENTS]\n"
	"Runs an unmodified ROCm program on the host with the shared GPU.\n"
	"\n"
	"  --name NAME   name of the tenant (default: the program's name and pid)\n"
	"  --vram SIZE   its VRAM quota, all its processes together (default: the daemon's)\n"
	"  --vram-max SIZE  what `hsavisor set` may raise it to (default: the quota)\n"
	"  --gpus LIST   the GPUs it has, like 0,1 (default: 0); the quota is of each\n"
	"  " POLICY_HELP "\n"
	"  --root DIR    run it in another root tree, with that tree's ROCm (needs bubblewrap)\n"
	"  --debian13    the same, with the Debian 13 tree that `make image` made\n"
	"  --stats       at the end print what it used, as JSON on standard error, a line for each GPU\n"
	"  --profile FILE  write what each kernel took and did: time, instruction mix, hot blocks\n"
	"\n"
	"Exit status: the program's, 128 + N if signal N ended it; 127 not found; 3 hsavisord not "
	"running; 5 name in use.\n";

static volatile sig_atomic_t child;

static void forward(int sig)
{
	if (child > 0)
		kill(child, sig);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAIL;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int cmd_run(int argc, char **argv)
{
	static const struct option known[] = {{"name", required_argument, NULL, 'n'},
					      {"vram", required_argument, NULL, 'v'},
					      {"vram-max", required_argument, NULL, 'x'},
					      {"gpus", required_argument, NULL, 'g'},
					      POLICY_OPTIONS,
					      {"root", required_argument, NULL, 'r'},
					      {"debian13", no_argument, NULL, 'd'},
					      {"stats", no_argument, NULL, 's'},
					      {"profile", required_argument, NULL, 'p'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	const char *root = NULL, *profile = NULL, *base;
	struct arbiter_client *clients[ARBITER_MAX_GPUS] = {0};
	struct arbiter_grant grant;
	uint32_t gpus = 1;
	char name[64] = "", error[256];
	struct json_object *policy = NULL;
	bool stats = false;
	uint64_t vram = 0, vram_max = 0;
	struct sigaction sa = {.sa_handler = forward};
	pid_t pid;
	int c, err = 0;

	optind = 0;
	while ((c = getopt_long(argc, argv, "+hn:", known, NULL)) != -1) {
		switch (c) {
		case 'n':
			err = cli_check_name(optarg);
			if (err)
				return err;
			snprintf(name, sizeof(name), "%s", optarg);
			break;
		case 'v':
		case 'x':
			if (size_parse(optarg, c == 'v' ? &vram : &vram_max))
				return cli_fail(EXIT_USAGE,
						"bad size '%s': write 512M, 2G and the like",
						optarg);
			break;
		case 'r':
			root = optarg;
			break;
		case 'd':
			root = image_conf("GUEST_TREE");
			if (!root)
				return cli_fail(
					EXIT_FAIL,
					"there is no Debian 13 tree; make it with: make image");
			break;
		case 'g':
			gpus = gpu_list_parse(optarg, ARBITER_MAX_GPUS);
			if (!gpus)
				return cli_fail(EXIT_USAGE, "bad list of GPUs '%s': write 0,1 and the like", optarg);
			break;
		case 's':
			stats = true;
			break;
		case 'p':
			profile = optarg;
			break;
		default:
			if (c < POLICY_OPTION)
				return cli_usage(usage, c);
			err = policy_option(c, optarg, &policy);
			if (err)
				return err;
		}
	}
	if (optind >= argc)
		return cli_usage(usage, '?');
	if (profile) {
		err = host_program_profile(profile);
		if (err)
			return err;
	}
	if (!name[0]) {
		base = strrchr(argv[optind], '/');
		snprintf(name, sizeof(name), "%.40s-%d", base ? base + 1 : argv[optind],
			 (int)getpid());
		for (char *p = name; *p; p++)
			if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "._-",
				    *p))
				*p = '_';
	}
	for (uint32_t i = 0; i < ARBITER_MAX_GPUS && !err; i++)
		if (gpus & 1u << i)
			err = arbiter_connect_gpu(ARBITER_HOST, name, vram, vram_max, i, &clients[i], &grant, error);
	if (err)
		return cli_fail(err == -EEXIST				 ? EXIT_IN_USE
				: err == -ENOENT || err == -ECONNREFUSED ? EXIT_NO_DAEMON
									 : EXIT_FAIL,
				"%s", error);
	if (policy) {
		err = policy_set(name, policy, false, NULL);
		if (err)
			return err;
	}
	pid = fork();
	if (pid < 0)
		return cli_fail(EXIT_FAIL, "cannot start a process: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		_exit(host_program_exec(name, root, argv + optind));
	}
	child = pid;
	/* A Ctrl-C reaches the program from the terminal; what is sent to us alone is passed on. */
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	c = wait_for(pid);
	for (uint32_t i = 0; stats && i < ARBITER_MAX_GPUS; i++) {
		struct json_object *row;

		if (!(gpus & 1u << i))
			continue;
		row = daemon_tenant(name, i);

		fprintf(stderr, "%s\n",
			row ? json_object_to_json_string_ext(row, JSON_C_TO_STRING_PLAIN) : "{}");
		json_object_put(row);
	}
	for (uint32_t i = 0; i < ARBITER_MAX_GPUS; i++)
		arbiter_disconnect(clients[i]);
	return c;
}
