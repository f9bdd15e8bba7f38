// SPDX-License-Identifier: MIT
/* daemon.c - talking to hsavisord: one JSON packet there, one back (arbiter/control.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "arbiter/msg.h"
#include "arbiter/protocol.h"
#include "cli/cli.h"

enum { END_POLL_US = 10000, END_POLLS = 1000 };

uint64_t json_u64(struct json_object *o, const char *key)
{
	struct json_object *v;

	return o && json_object_object_get_ex(o, key, &v) ? json_object_get_uint64(v) : 0;
}

const char *json_str(struct json_object *o, const char *key)
{
	struct json_object *v;

	return o && json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

void json_print(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED));
}

/* 0 with *answer, or negative errno. */
static int transact(const char *text, struct json_object **answer)
{
	struct timeval limit = {.tv_sec = 10};
	char *buf = malloc(ARBITER_MSG_MAX);
	unsigned num_fds = 0;
	ssize_t n;
	int fd, err;

	if (!buf)
		return -ENOMEM;
	fd = msg_connect(arbiter_socket_path());
	err = fd < 0 ? fd : 0;
	if (!err) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		err = msg_send(fd, text, strlen(text), NULL, 0);
	}
	if (!err) {
		n = msg_receive(fd, buf, ARBITER_MSG_MAX - 1, NULL, &num_fds);
		if (n <= 0) {
			err = n < 0 ? (int)n : -ECONNRESET;
		} else {
			buf[n] = 0;
			*answer = json_tokener_parse(buf);
			err = *answer ? 0 : -EPROTO;
		}
	}
	if (fd >= 0)
		close(fd);
	free(buf);
	return err;
}

int daemon_try(struct json_object *request, struct json_object **answer)
{
	struct json_object *ok;
	int err = transact(json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN), answer);

	json_object_put(request);
	if (err)
		return err == -ENOENT ? -ECONNREFUSED : err;
	if (json_object_object_get_ex(*answer, "ok", &ok) && json_object_get_boolean(ok))
		return 0;
	err = -(int)json_u64(*answer, "errno");
	json_object_put(*answer);
	return err < 0 ? err : -EPROTO;
}

int daemon_ask(const char *op, struct json_object **answer)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "op", json_object_new_string(op));
	return daemon_try(request, answer);
}

/* Is it gone? One that is being killed has its socket for a moment yet. */
static bool is_gone(void)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	for (int i = 0; i < 50; i++) {
		int fd = msg_connect(arbiter_socket_path());

		if (fd < 0)
			return fd == -ENOENT || fd == -ECONNREFUSED;
		close(fd);
		nanosleep(&pause, NULL);
	}
	return false;
}

int daemon_failed(int err)
{
	if ((err == -ECONNRESET || err == -EPIPE) && is_gone())
		err = -ECONNREFUSED;
	if (err == -ENOENT || err == -ECONNREFUSED)
		return cli_fail(EXIT_NO_DAEMON,
				"hsavisord is not running (no answer at %s); start it with: "
				"hsavisord --daemonize",
				arbiter_socket_path());
	return cli_fail(EXIT_FAIL, "hsavisord at %s: %s", arbiter_socket_path(), strerror(-err));
}

int daemon_request(const char *op, struct json_object *request, struct json_object **answer)
{
	struct json_object *ok;
	int err;

	if (op) {
		request = json_object_new_object();
		json_object_object_add(request, "op", json_object_new_string(op));
	}
	err = transact(json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN), answer);
	json_object_put(request);
	if (err)
		return daemon_failed(err);
	if (!json_object_object_get_ex(*answer, "ok", &ok) || !json_object_get_boolean(ok)) {
		err = json_u64(*answer, "errno") == ESRCH ? EXIT_NO_SUCH : EXIT_FAIL;
		cli_fail(err, "hsavisord: %s", json_str(*answer, "error"));
		json_object_put(*answer);
		return err;
	}
	return 0;
}

/* The answer comes before the end: until its lock file is gone, the next daemon would find this one running. */
static int wait_for_end(void)
{
	char lock[128];

	snprintf(lock, sizeof(lock), "%s.lock", arbiter_socket_path());
	for (int i = 0; i < END_POLLS; i++) {
		if (access(lock, F_OK) < 0)
			return EXIT_OK;
		usleep(END_POLL_US);
	}
	return cli_fail(EXIT_FAIL, "hsavisord was told to end, and has not after %d s: %s is still there", END_POLLS / (1000000 / END_POLL_US), lock);
}

int daemon_shutdown(bool force)
{
	struct json_object *answer, *request = json_object_new_object();
	int code;

	json_object_object_add(request, "op", json_object_new_string("shutdown"));
	json_object_object_add(request, "force", json_object_new_boolean(force));
	code = daemon_request(NULL, request, &answer);
	if (code)
		return code;
	json_object_put(answer);
	return wait_for_end();
}

int daemon_list(struct json_object **tenants)
{
	struct json_object *all = json_object_new_array(), *request, *answer, *list, *more;
	bool again;

	do {
		size_t n = 0;
		int err;

		request = json_object_new_object();
		json_object_object_add(request, "op", json_object_new_string("list"));
		json_object_object_add(request, "from", json_object_new_uint64(json_object_array_length(all)));
		err = daemon_try(request, &answer);
		if (!err && (!json_object_object_get_ex(answer, "tenants", &list) || !json_object_is_type(list, json_type_array))) {
			json_object_put(answer);
			err = -EPROTO;
		}
		if (err) {
			json_object_put(all);
			return err;
		}
		for (; n < json_object_array_length(list); n++)
			json_object_array_add(all, json_object_get(json_object_array_get_idx(list, n)));
		again = n && json_object_object_get_ex(answer, "more", &more) && json_object_get_boolean(more);
		json_object_put(answer);
	} while (again);
	*tenants = all;
	return 0;
}

struct json_object *daemon_tenant(const char *name, uint32_t gpu)
{
	struct json_object *list, *row = NULL;

	if (daemon_list(&list))
		return NULL;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!strcmp(json_str(o, "name"), name) && json_u64(o, "gpu") == gpu)
			row = json_object_get(o);
	}
	json_object_put(list);
	return row;
}

int daemon_start(char *const *extra)
{
	char path[4096];
	char *argv[16] = {path, "--daemonize"};
	int n = 2, status;
	pid_t pid;

	if (cli_companion("hsavisord", path, sizeof(path)))
		return cli_fail(EXIT_FAIL, "cannot find the program hsavisord beside this one");
	while (extra && *extra && n < 15)
		argv[n++] = *extra++;
	pid = fork();
	if (pid == 0) {
		execv(path, argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
		return cli_fail(EXIT_FAIL, "hsavisord did not start");
	return 0;
}
