/* SPDX-License-Identifier: MIT */
/*
 * daemon.h - a hsavisord for tests: in a process and a directory of its own, and asked as the
 * command asks it.
 *
 * Whatever goes wrong fails the test that called.
 */
#ifndef TESTS_ARBITER_DAEMON_H
#define TESTS_ARBITER_DAEMON_H

#include <json-c/json.h>
#include <sys/types.h>

#include "arbiter/server.h"

struct daemon {
	pid_t pid;	/* 0: not running */
	char dir[64];	/* a new directory, for what the test keeps beside the socket */
	char path[108]; /* the control socket, in a directory that the daemon makes */
};

/* Makes the directory; afterwards HSAVISOR_SOCKET names the socket that will be there. */
void daemon_prepare(struct daemon *d);
/*
 * Starts it, and returns when it can be connected to. config says what is the test's business:
 * socket, target, threads and group are filled in. log: a file for what it logs; NULL: nowhere.
 */
void daemon_start(struct daemon *d, const struct server_config *config, const char *log);
/* Ends it by that signal, and waits for it. SIGTERM is obeyed in order: exit code 0, no socket. */
void daemon_stop(struct daemon *d, int signal);
/* Stops it, if it runs, and removes the directory. */
void daemon_remove(struct daemon *d);

/* The code of a server_run() that is to fail at once, here, without what it says on stderr. */
int daemon_refused(const struct server_config *config);

/* The answer to a control request, the caller's. */
struct json_object *daemon_ask(const struct daemon *d, const char *request);
/* A number in an answer, which must be there. */
uint64_t daemon_field(struct json_object *o, const char *key);

#endif
