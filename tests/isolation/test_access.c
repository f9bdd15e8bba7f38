// SPDX-License-Identifier: MIT
/*
 * test_access.c - who may do what on hsavisord's control socket: each request by root, by users in
 * the daemon's group, by others. Needs root, to be all of them. Argument: the path of hsavisord.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "arbiter/msg.h"

#define GROUP_NAME "daemon"
#define ALICE	   54401 /* users */
#define BOB	   54402
#define EVE	   54403
#define OWN_GROUP  54400

static const char *hsavisord;
static char dir[64], path[96];
static pid_t daemon_pid;
static gid_t group;

enum {
	ANSWERED,
	REFUSED,
	NO_ENTRY,
	CLOSED
}; /* ok; "ok": false with EPERM; connect() fails; hung up on */

static void become(uid_t uid, gid_t gid, gid_t extra)
{
	if (setgroups(extra != (gid_t)-1, &extra) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		_exit(99);
}

static int ask(const char *request)
{
	static char buf[65536];
	unsigned num_fds = 0;
	int fd = msg_connect(path);
	ssize_t n;

	if (fd < 0)
		return fd == -EACCES ? NO_ENTRY : 90;
	if (msg_send(fd, request, strlen(request), NULL, 0))
		return CLOSED;
	n = msg_receive(fd, buf, sizeof(buf) - 1, NULL, &num_fds);
	if (n <= 0)
		return CLOSED;
	buf[n] = 0;
	close(fd);
	if (strstr(buf, "\"ok\":true"))
		return ANSWERED;
	return strstr(buf, "\"errno\":1,") ? REFUSED : 91;
}

static int as(uid_t uid, gid_t gid, gid_t extra, const char *request)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		become(uid, gid, extra);
		_exit(ask(request));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int start(const char *const *more)
{
	const char *argv[12] = {hsavisord, "--socket", path, "--vram", "512M", "--daemonize"};
	char lock[128], text[16] = "";
	int status;
	pid_t pid;
	FILE *f;

	strcpy(dir, "/tmp/test-access-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0755))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	setenv("HSAVISOR_SOCKET", path, 1);
	for (unsigned i = 0; more[i]; i++)
		argv[6 + i] = more[i];
	pid = fork();
	if (pid == 0) {
		execv(hsavisord, (char *const *)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return -1;
	snprintf(lock, sizeof(lock), "%s.lock", path);
	f = fopen(lock, "r");
	if (!f || !fgets(text, sizeof(text), f))
		return -1;
	fclose(f);
	daemon_pid = atoi(text);
	return 0;
}

static int setup_group(void **state)
{
	group = getgrnam(GROUP_NAME)->gr_gid;
	return start((const char *[]){"--group", GROUP_NAME, NULL});
}

static int setup_alone(void **state)
{
	group = getgrnam(GROUP_NAME)->gr_gid;
	return start((const char *[]){NULL});
}

static int teardown(void **state)
{
	char command[96];

	if (daemon_pid > 0)
		kill(daemon_pid, SIGTERM);
	for (unsigned i = 0; i < 500 && !access(path, F_OK); i++)
		usleep(10000);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

#define STATUS	 "{\"op\":\"status\"}"
#define LIST	 "{\"op\":\"list\"}"
#define SHUTDOWN "{\"op\":\"shutdown\",\"force\":true}"
#define SET	 "{\"op\":\"set\",\"tenant\":\"hers\",\"policy\":{\"weight\":5}}"
#define RESET	 "{\"op\":\"reset\",\"tenant\":\"hers\"}"
#define TRACE	 "{\"op\":\"trace\"}"

/* A child that is a host tenant of that name, until it is killed. 0: it could not. */
static pid_t tenant(uid_t uid, const char *name, enum arbiter_kind kind)
{
	struct arbiter_client *client;
	struct arbiter_grant grant;
	char error[256], byte;
	int ready[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		become(uid, OWN_GROUP, group);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* if a test fails meanwhile */
		if (arbiter_connect(kind, name, kind == ARBITER_PROCESS ? 0 : 64 << 20, &client,
				    &grant, error))
			_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(2);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(pid, NULL, 0);
		pid = 0;
	}
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void members(void **state)
{
	pid_t hers = tenant(ALICE, "hers", ARBITER_HOST), joined;

	assert_true(hers > 0);
	/* by primary and by supplementary group */
	assert_int_equal(as(ALICE, group, (gid_t)-1, STATUS), ANSWERED);
	assert_int_equal(as(ALICE, OWN_GROUP, group, STATUS), ANSWERED);
	assert_int_equal(as(BOB, OWN_GROUP, group, LIST), ANSWERED);
	/* not what is the owner's */
	assert_int_equal(as(ALICE, OWN_GROUP, group, SHUTDOWN), REFUSED);
	assert_int_equal(as(ALICE, OWN_GROUP, group, SET), REFUSED); /* not even of her own */
	assert_int_equal(as(ALICE, OWN_GROUP, group, TRACE), REFUSED);
	/* what is hers, and not what isn't his */
	assert_int_equal(as(ALICE, OWN_GROUP, group, RESET), ANSWERED);
	assert_int_equal(as(BOB, OWN_GROUP, group, RESET), REFUSED);
	joined = tenant(ALICE, "hers", ARBITER_PROCESS);
	assert_true(joined > 0);
	end(joined);
	assert_int_equal(tenant(BOB, "hers", ARBITER_PROCESS), 0);
	/* nor the same name again */
	assert_int_equal(tenant(BOB, "hers", ARBITER_HOST), 0);
	assert_int_equal(tenant(BOB, "hers", ARBITER_VM), 0);
	/* root may all */
	assert_int_equal(as(0, 0, (gid_t)-1, SET), ANSWERED);
	assert_int_equal(as(0, 0, (gid_t)-1, RESET), ANSWERED);
	end(hers);
}

static void others(void **state)
{
	static const char *const requests[] = {STATUS, LIST,  SHUTDOWN,	 SET,
					       RESET,  TRACE, "garbage", ""};

	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		assert_int_equal(as(EVE, OWN_GROUP, (gid_t)-1, requests[i]), NO_ENTRY);
		/* Somebody loosened the permissions: the credentials still count. */
		assert_int_equal(chmod(path, 0666), 0);
		assert_int_equal(as(EVE, OWN_GROUP, (gid_t)-1, requests[i]), CLOSED);
		assert_int_equal(as(EVE, OWN_GROUP, OWN_GROUP, requests[i]), CLOSED);
		assert_int_equal(chmod(path, 0660), 0);
	}
	assert_int_equal(as(0, 0, (gid_t)-1, STATUS), ANSWERED);
}

static void without_a_group(void **state)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(as(ALICE, OWN_GROUP, group, STATUS), NO_ENTRY);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(as(ALICE, OWN_GROUP, group, STATUS), CLOSED);
	assert_int_equal(as(ALICE, group, 0, STATUS), CLOSED); /* root's group is nobody either */
	assert_int_equal(as(0, 0, (gid_t)-1, STATUS), ANSWERED);
}

/* Those who may not be here can't keep others out: their connections take no place. */
static void many_others(void **state)
{
	pid_t pid;
	int status;

	assert_int_equal(chmod(path, 0666), 0);
	pid = fork();
	if (pid == 0) {
		become(EVE, OWN_GROUP, (gid_t)-1);
		for (unsigned i = 0; i < 3000; i++) {
			int fd = msg_connect(path);

			if (fd >= 0 && i % 3)
				close(fd);
			if (fd >= 900)
				break;
		}
		_exit(0);
	}
	assert_int_equal(as(0, 0, (gid_t)-1, STATUS), ANSWERED);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(as(0, 0, (gid_t)-1, STATUS), ANSWERED);
}

/* The daemon itself: what it gave up. */
static void the_daemon(void **state)
{
	static const char *const lines[] = {
		"CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n",
		"CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"};
	char name[64], text[8192];
	size_t n;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/status", (int)daemon_pid);
	f = fopen(name, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(text, lines[i]))
			fail_msg("no %s", lines[i]);
}

int main(int argc, char **argv)
{
#define WITH_GROUP(name) cmocka_unit_test_setup_teardown(name, setup_group, teardown)
#define ALONE(name)	 cmocka_unit_test_setup_teardown(name, setup_alone, teardown)
	const struct CMUnitTest tests[] = {
		WITH_GROUP(members), WITH_GROUP(others),     ALONE(without_a_group),
		ALONE(many_others),  WITH_GROUP(the_daemon),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s HSAVISORD\n", argv[0]);
		return 2;
	}
	hsavisord = argv[1];
	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root, to be several users\n");
		return 0;
	}
	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
