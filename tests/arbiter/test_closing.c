// SPDX-License-Identifier: MIT
/*
 * test_closing.c - descriptors that clients send and whose closing blocks: the daemon goes on.
 *
 * What blocks is a TCP socket that lingers, with data that nobody reads. A file of a FUSE file
 * system, whose server does not answer, blocks in the same call.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "arbiter/client.h"
#include "arbiter/closer.h"
#include "arbiter/msg.h"
#include "arbiter/protocol.h"
#include "tests/arbiter/daemon.h"

#define MANY (CLOSER_MOST + 16)

static const struct server_config config = {
	.gpus = {{.pool = 1 << 30}}, .num_gpus = 1, .default_quota = 16 << 20};

static struct daemon hsavisord;
static int readers[MANY];
static unsigned num_readers;

/* A descriptor whose last close blocks until let_go(). */
static int lingering(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger linger = {1, 3600};
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
	socklen_t size = sizeof(at);
	static char junk[4096];

	assert_true(server >= 0 && fd >= 0 && num_readers < MANY);
	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(bind(server, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&at, &size), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	readers[num_readers] = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	assert_true(readers[num_readers++] >= 0);
	close(server);
	while (send(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

static void let_go(void)
{
	while (num_readers)
		close(readers[--num_readers]);
}

static int readers_go(void **state)
{
	let_go();
	return 0;
}

/* Sends packets that bring all these, one each but the last, and then gives them up: the daemon
 * does not look before they are its alone. */
static void give(int sock, const void *data, size_t size, const int *fds, unsigned num_fds,
		 unsigned packets)
{
	assert_int_equal(kill(hsavisord.pid, SIGSTOP), 0);
	for (unsigned i = 1; i < packets; i++)
		assert_int_equal(msg_send(sock, data, size, fds + i, 1), 0);
	assert_int_equal(msg_send(sock, data, size, fds, num_fds), 0);
	for (unsigned i = 0; i < num_fds; i++)
		close(fds[i]);
	assert_int_equal(kill(hsavisord.pid, SIGCONT), 0);
}

/* The daemon has hung up. */
static void expect_end(int sock)
{
	unsigned none = 0;
	char byte;

	assert_true(msg_receive(sock, &byte, 1, NULL, &none) <= 0);
	close(sock);
}

/* What the daemon says to a message, which brings fd if that isn't -1. */
static int answer(int sock, uint32_t type, const char *name, int fd)
{
	struct arbiter_msg msg = {.magic = ARBITER_MAGIC,
				  .version = ARBITER_VERSION,
				  .type = type,
				  .kind = ARBITER_VM,
				  .gpu = ARBITER_ANY_GPU};
	unsigned num_fds = MSG_MAX_FDS;
	struct arbiter_reply reply;
	int fds[MSG_MAX_FDS];

	snprintf(msg.name, sizeof(msg.name), "%s", name);
	if (fd >= 0)
		give(sock, &msg, sizeof(msg), &fd, 1, 1);
	else
		assert_int_equal(msg_send(sock, &msg, sizeof(msg), NULL, 0), 0);
	assert_int_equal(msg_receive(sock, &reply, sizeof(reply), fds, &num_fds), sizeof(reply));
	while (num_fds)
		close(fds[--num_fds]);
	return reply.error;
}

/* It answers, a new executor and a tool. */
static void daemon_serves(void)
{
	struct json_object *a = daemon_ask(&hsavisord, "{\"op\":\"status\"}");
	struct arbiter_client *c;
	struct arbiter_grant g;

	assert_int_equal(daemon_field(a, "pid"), hsavisord.pid);
	json_object_put(a);
	assert_int_equal(arbiter_connect(ARBITER_VM, "beside", 0, &c, &g, NULL), 0);
	arbiter_disconnect(c);
	/* Its tenant's name is free when the daemon has seen that it went. */
	for (int i = 0; i < 3000 && arbiter_connect(ARBITER_VM, "beside", 0, &c, &g, NULL); i++)
		usleep(10000);
	arbiter_disconnect(c);
}

static int start(void **state)
{
	daemon_prepare(&hsavisord);
	daemon_start(&hsavisord, &config, NULL);
	return 0;
}

static int stop(void **state)
{
	let_go();
	daemon_remove(&hsavisord);
	return 0;
}

/* Packets that bring what nobody asked for, each with one descriptor or more. */
static void unwanted(void **state)
{
	struct arbiter_msg share = {
		.magic = ARBITER_MAGIC, .version = ARBITER_VERSION, .type = ARBITER_MSG_SHARE};
	struct arbiter_msg hello = {
		.magic = ARBITER_MAGIC, .version = ARBITER_VERSION, .type = ARBITER_MSG_HELLO};
	static const char tool[] = "{\"op\":\"status\"}", junk[70000];
	const struct {
		const void *data;
		size_t size;
		unsigned num_fds;
	} packets[] = {{&share, sizeof(share), 2},  {&hello, sizeof(hello), 2},
		       {tool, sizeof(tool) - 1, 2}, {"x", 1, 2},
		       {junk, sizeof(junk), 2},	    {&share, sizeof(share), MSG_MAX_FDS}};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		int sock = msg_connect(hsavisord.path), fds[MSG_MAX_FDS];

		assert_true(sock >= 0);
		for (unsigned k = 0; k < packets[i].num_fds; k++)
			fds[k] = lingering();
		/* The second packet is never read: it goes with the connection. */
		give(sock, packets[i].data, packets[i].size, fds, packets[i].num_fds, 2);
		expect_end(sock);
		daemon_serves();
	}
}

/* What was shared and taken back, has a key that is in use, or is left when its owner goes. */
static void shared(void **state)
{
	int sock = msg_connect(hsavisord.path);

	assert_true(sock >= 0);
	assert_int_equal(answer(sock, ARBITER_MSG_HELLO, "owner", -1), 0);
	assert_int_equal(answer(sock, ARBITER_MSG_SHARE, "one", lingering()), 0);
	assert_int_equal(answer(sock, ARBITER_MSG_SHARE, "two", lingering()), 0);
	assert_int_equal(answer(sock, ARBITER_MSG_UNSHARE, "one", -1), 0);
	daemon_serves();
	assert_int_equal(answer(sock, ARBITER_MSG_SHARE, "two", lingering()), -EEXIST);
	daemon_serves();
	close(sock);
	daemon_serves();
}

/* Nor does its end wait for them. */
static void the_end(void **state)
{
	int sock = msg_connect(hsavisord.path), fd = lingering();

	give(sock, "x", 1, &fd, 1, 1);
	expect_end(sock);
	daemon_stop(&hsavisord, SIGTERM);
	daemon_start(&hsavisord, &config, NULL);
	daemon_serves();
}

/* All of one user's block: another's are closed, and it is known who has too many. */
static void users(void **state)
{
	struct closer *closer = closer_new();
	struct pollfd other = {.events = POLLIN};
	int ends[2];

	assert_non_null(closer);
	for (int i = 0; i < MANY; i++)
		closer_close(closer, lingering(), 1);
	assert_true(closer_has_too_many(closer, 1));
	assert_false(closer_has_too_many(closer, 2));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pipe(ends), 0);
		closer_close(closer, ends[1], 2);
		other.fd = ends[0];
		assert_int_equal(poll(&other, 1, 30000), 1);
		assert_int_equal(other.revents, POLLHUP);
		close(ends[0]);
	}
	let_go();
	for (int i = 0; i < 3000 && closer_has_too_many(closer, 1); i++)
		usleep(10000);
	assert_false(closer_has_too_many(closer, 1));
	closer_end(closer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(unwanted, readers_go),
		cmocka_unit_test_teardown(shared, readers_go),
		cmocka_unit_test_teardown(the_end, readers_go),
		cmocka_unit_test_teardown(users, readers_go),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
