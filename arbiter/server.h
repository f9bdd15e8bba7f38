/* SPDX-License-Identifier: MIT */
/* server.h - the daemon's loop: control socket, connections, turns. */
#ifndef ARBITER_SERVER_H
#define ARBITER_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arbiter/client.h"

struct server_gpu {
	const char *target; /* "gfx90a" */
	uint32_t threads;   /* worker threads an executor gets */
	uint64_t cpus[4];   /* CPUs they run on, bit i of all words: CPU i; none: any */
	uint64_t pool;	    /* VRAM bytes of the GPU */
};

struct server_config {
	const char *socket_path;
	struct server_gpu gpus[ARBITER_MAX_GPUS];
	uint32_t num_gpus;
	uint64_t default_quota;
	bool swap;	      /* VRAM may be overcommitted */
	const char *swap_dir; /* where swapped VRAM goes; NULL: memory */
	/* Configuration file, see config.h; NULL: none. It may be missing, unless config_required. */
	const char *config_path;
	bool config_required;
	gid_t group;  /* may connect too; (gid_t)-1: the daemon's user only */
	int ready_fd; /* gets one byte when the socket listens, then is closed; -1: none */
	bool detach;  /* then give up the terminal: standard streams become /dev/null */
};

/*
 * Runs until SIGTERM, SIGINT or a shutdown request. 0, or negative errno after it said why on
 * standard error. -EADDRINUSE: another hsavisord has this socket.
 */
int server_run(const struct server_config *config);

#endif
