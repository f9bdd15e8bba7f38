// SPDX-License-Identifier: MIT
/* main.c - hsavisord, the arbiter: options, then server_run(). */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "arbiter/config.h"
#include "arbiter/gpu_option.h"
#include "arbiter/server.h"
#include "base/size.h"
#include "hsavisor-version.h"

static const char usage[] =
	"Usage: hsavisord [OPTIONS]\n"
	"Shares GPUs between virtual machines and host programs.\n"
	"\n"
	"  --gpu GPU            software GPU to present: gfx90a (default) or gfx900; once for each GPU, e.g.\n"
	"                       soft:gfx90a,vram=4G,threads=2,cpus=0-1+4, where the rest is as said below\n"
	"  --vram SIZE          VRAM of a GPU, all tenants together (default: half of the "
	"memory, at most 16G,\n"
	"                       for all GPUs)\n"
	"  --default-quota SIZE VRAM of a tenant that asks for none (default 1G)\n"
	"  --vram-overcommit P  when quotas of all tenants would exceed the VRAM: refuse (default),\n"
	"                       or swap VRAM of idle tenants to host memory\n"
	"  --swap-dir DIR       swap to files (without a name) in this directory, not to memory\n"
	"  --gpu-threads N      threads of the GPU in each executor (default: one per CPU);\n"
	"                       also --threads\n"
	"  --gpu-cpus LIST      CPUs they run on, like 0-3,8 (default: all that the executor may use)\n"
	"  --socket PATH        control socket (default $HSAVISOR_SOCKET or "
	"/run/hsavisor/hsavisord.sock)\n"
	"  --config FILE        what tenants may have, by name (default " CONFIG_DEFAULT_PATH ",\n"
	"                       if it is there); SIGHUP reads it again\n"
	"  --group GROUP        let this group's users be tenants, too (default: the daemon's user "
	"only)\n"
	"  --daemonize          return when the daemon is ready, leave it running\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 ended on request, 1 failure, 2 bad usage, 3 a daemon is running already.\n";

static uint64_t default_pool(void)
{
	uint64_t half = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
	uint64_t limit = 16ull << 30;

	return (half < limit ? half : limit) & ~((1ull << 20) - 1);
}

/* One for each CPU, of those named if there are. */
static uint32_t default_threads(const uint64_t cpus[4])
{
	cpu_set_t set;
	int n = 0;

	for (int i = 0; i < 4; i++)
		n += __builtin_popcountll(cpus[i]);
	if (!n)
		n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	return (uint32_t)(n < 1 ? 1 : n > 256 ? 256 : n);
}

static int bad(const char *what, const char *value)
{
	fprintf(stderr, "hsavisord: bad %s '%s'; see --help\n", what, value);
	return 2;
}

/* The parent waits for the child's ready byte and exits; the child goes on detached. Returns the
 * descriptor to write to. */
static int daemonize(void)
{
	int pipe_fds[2];
	char byte;
	pid_t pid;

	if (pipe(pipe_fds) < 0 || (pid = fork()) < 0) {
		perror("hsavisord: cannot start in the background");
		exit(1);
	}
	if (pid > 0) {
		close(pipe_fds[1]);
		if (read(pipe_fds[0], &byte, 1) == 1)
			_exit(0);
		_exit(1); /* it said why */
	}
	close(pipe_fds[0]);
	setsid();
	return pipe_fds[1];
}

/* What was said of none alone, or not at all, of those that have it not. */
static void complete_gpus(struct server_config *config, const struct server_gpu *all)
{
	static const uint64_t none[4];

	if (!config->num_gpus)
		config->num_gpus = 1;
	for (uint32_t i = 0; i < config->num_gpus; i++) {
		struct server_gpu *g = &config->gpus[i];

		if (!g->target)
			g->target = all->target;
		if (!memcmp(g->cpus, none, sizeof(none)))
			memcpy(g->cpus, all->cpus, sizeof(g->cpus));
		if (!g->threads)
			g->threads = all->threads ? all->threads : default_threads(g->cpus);
		if (!g->pool)
			g->pool = all->pool ? all->pool : default_pool() / config->num_gpus & ~((1ull << 20) - 1);
	}
}

int main(int argc, char **argv)
{
	enum { OPT_GPU = 256, OPT_VRAM, OPT_QUOTA, OPT_THREADS, OPT_CPUS, OPT_SOCKET, OPT_CONFIG, OPT_GROUP,
	       OPT_OVERCOMMIT, OPT_SWAP_DIR, OPT_DAEMON };
	static const struct option options[] = {
		{"gpu", required_argument, NULL, OPT_GPU},
		{"vram", required_argument, NULL, OPT_VRAM},
		{"default-quota", required_argument, NULL, OPT_QUOTA},
		{"gpu-threads", required_argument, NULL, OPT_THREADS},
		{"threads", required_argument, NULL, OPT_THREADS},
		{"gpu-cpus", required_argument, NULL, OPT_CPUS},
		{"socket", required_argument, NULL, OPT_SOCKET},
		{"config", required_argument, NULL, OPT_CONFIG},
		{"group", required_argument, NULL, OPT_GROUP},
		{"vram-overcommit", required_argument, NULL, OPT_OVERCOMMIT},
		{"swap-dir", required_argument, NULL, OPT_SWAP_DIR},
		{"daemonize", no_argument, NULL, OPT_DAEMON},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	struct server_config config = {
		.socket_path = arbiter_socket_path(),
		.default_quota = 1ull << 30,
		.group = (gid_t)-1,
		.ready_fd = -1,
		.config_path = CONFIG_DEFAULT_PATH,
	};
	struct server_gpu all = {.target = "gfx90a"}; /* what is said of no GPU alone */
	bool background = false;
	struct group *group;
	int c, err;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case OPT_GPU:
			if (config.num_gpus == ARBITER_MAX_GPUS)
				return bad("number of GPUs: one more is", optarg);
			if (gpu_option_parse(optarg, &config.gpus[config.num_gpus++]))
				return bad("GPU", optarg);
			break;
		case OPT_VRAM:
			if (size_parse(optarg, &all.pool) || all.pool % 4096)
				return bad("VRAM size", optarg);
			break;
		case OPT_QUOTA:
			if (size_parse(optarg, &config.default_quota) ||
			    config.default_quota % 4096)
				return bad("quota", optarg);
			break;
		case OPT_THREADS:
			if (gpu_option_threads(optarg, &all.threads))
				return bad("number of threads", optarg);
			break;
		case OPT_CPUS:
			if (gpu_option_cpus(optarg, ',', all.cpus))
				return bad("list of CPUs", optarg);
			break;
		case OPT_SOCKET:
			config.socket_path = optarg;
			break;
		case OPT_CONFIG:
			config.config_path = optarg;
			config.config_required = true;
			break;
		case OPT_GROUP:
			group = getgrnam(optarg);
			if (!group)
				return bad("group", optarg);
			config.group = group->gr_gid;
			break;
		case OPT_OVERCOMMIT:
			if (strcmp(optarg, "refuse") && strcmp(optarg, "swap"))
				return bad("policy of overcommitting", optarg);
			config.swap = !strcmp(optarg, "swap");
			break;
		case OPT_SWAP_DIR:
			config.swap_dir = optarg;
			break;
		case OPT_DAEMON:
			background = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("hsavisord " HSAVISOR_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (optind < argc)
		return bad("argument", argv[optind]);
	complete_gpus(&config, &all);
	if (config.swap_dir && !config.swap)
		return bad("--swap-dir without --vram-overcommit swap:", config.swap_dir);
	if (background) {
		config.ready_fd = daemonize();
		config.detach = true;
	}
	err = server_run(&config);
	return err == -EADDRINUSE ? 3 : err ? 1 : 0;
}
