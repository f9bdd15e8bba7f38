// SPDX-License-Identifier: MIT
/* daemon.c - see daemon.h. */
#include "tests/arbiter/daemon.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "arbiter/msg.h"
#include "arbiter/protocol.h"

void daemon_prepare(struct daemon *d)
{
	*d = (struct daemon){.dir = "/tmp/hsv-daemon-XXXXXX"};
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->path, sizeof(d->path), "%s/run/s.sock", d->dir);
	setenv("HSAVISOR_SOCKET", d->path, 1);
}

static void silence(void)
{
	int null = open("/dev/null", O_WRONLY);

	dup2(null, STDERR_FILENO);
	close(null);
}

void daemon_start(struct daemon *d, const struct server_config *config, const char *log)
{
	struct server_config c = *config;
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	c.socket_path = d->path;
	for (uint32_t i = 0; i < c.num_gpus; i++) {
		c.gpus[i].target = "gfx90a";
		c.gpus[i].threads = 2;
	}
	c.group = (gid_t)-1;
	c.ready_fd = ready[1];
	d->pid = fork();
	assert_true(d->pid >= 0);
	if (d->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* the test may crash */
		close(ready[0]);
		silence();
		if (log) {
			setenv("HSAVISOR_LOG", "arbiter=info", 1);
			setenv("HSAVISOR_LOG_FILE", log, 1);
		}
		_exit(server_run(&c) ? 1 : 0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

void daemon_stop(struct daemon *d, int signal)
{
	pid_t pid = d->pid;
	int status;

	d->pid = 0;
	assert_int_equal(kill(pid, signal), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (signal == SIGTERM) {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_int_equal(access(d->path, F_OK), -1);
	}
}

void daemon_remove(struct daemon *d)
{
	char command[128];

	if (d->pid)
		daemon_stop(d, SIGTERM);
	snprintf(command, sizeof(command), "rm -rf '%s'", d->dir);
	assert_int_equal(system(command), 0);
}

int daemon_refused(const struct server_config *config)
{
	struct server_config c = *config;
	int saved = dup(STDERR_FILENO), ret;

	c.gpus[0].target = "gfx90a";
	c.gpus[0].threads = 1;
	c.group = (gid_t)-1;
	c.ready_fd = -1;
	silence();
	ret = server_run(&c);
	dup2(saved, STDERR_FILENO);
	close(saved);
	return ret;
}

struct json_object *daemon_ask(const struct daemon *d, const char *request)
{
	static char answer[ARBITER_MSG_MAX];
	int fd = msg_connect(d->path);
	unsigned num_fds = 0;
	ssize_t n;

	assert_true(fd >= 0);
	assert_int_equal(msg_send(fd, request, strlen(request), NULL, 0), 0);
	n = msg_receive(fd, answer, sizeof(answer) - 1, NULL, &num_fds);
	assert_true(n > 0);
	answer[n] = 0;
	close(fd);
	return json_tokener_parse(answer);
}

uint64_t daemon_field(struct json_object *o, const char *key)
{
	struct json_object *v;

	assert_true(json_object_object_get_ex(o, key, &v));
	return json_object_get_uint64(v);
}
