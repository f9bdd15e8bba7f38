// SPDX-License-Identifier: MIT
/* test_qga.c - the guest agent's client against a scripted agent: slow, chatty, wrong, gone. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/qga.h"

static char path[64];
static int listener;
static pthread_t agent_thread;

static int start_agent(void *(*agent)(void *))
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(path, sizeof(path), "/tmp/hsv-qga-%d.sock", (int)getpid());
	unlink(path);
	strcpy(addr.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	return pthread_create(&agent_thread, NULL, agent, NULL);
}

static void end_agent(void)
{
	pthread_join(agent_thread, NULL);
	close(listener);
	unlink(path);
}

/* One line from the client; its text without the leading 0xff. */
static bool next_line(int fd, char *line, size_t size)
{
	size_t n = 0;
	char c;

	while (read(fd, &c, 1) == 1) {
		if (c == '\n') {
			line[n] = 0;
			return true;
		}
		if ((unsigned char)c != 0xff && n + 1 < size)
			line[n++] = c;
	}
	return false;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void answer_sync(int fd, const char *line)
{
	char text[64];

	snprintf(text, sizeof(text), "\xff{\"return\": %ld}\n",
		 strtol(strstr(line, "\"id\":") + 5, NULL, 10));
	say(fd, text);
}

/* Comes up after the client asked twice and then answers both: the first answer must not make the
 * client ask again and again. */
static void *late_agent(void *arg)
{
	int fd = accept(listener, NULL, NULL), questions = 0;
	char first[256], line[256];

	if (next_line(fd, first, sizeof(first)))
		questions++;
	if (next_line(fd, line, sizeof(line)))
		questions++;
	answer_sync(fd, first);
	usleep(200000);
	answer_sync(fd, line);
	while (next_line(fd, line, sizeof(line)))
		questions++;
	close(fd);
	return (void *)(intptr_t)questions;
}

static void late_answers_are_passed_over(void **state)
{
	void *questions;
	int fd;

	start_agent(late_agent);
	fd = qga_open(path, 20);
	assert_true(fd >= 0);
	close(fd);
	pthread_join(agent_thread, &questions);
	assert_int_equal((intptr_t)questions, 2);
	close(listener);
	unlink(path);
}

static void *silent_agent(void *arg)
{
	int fd = accept(listener, NULL, NULL);
	char line[256];

	while (next_line(fd, line, sizeof(line)))
		;
	close(fd);
	return NULL;
}

static void silence_times_out(void **state)
{
	start_agent(silent_agent);
	assert_int_equal(qga_open(path, 1), -ETIMEDOUT);
	end_agent();
}

/* The next client, synchronised. */
static int serve(char *line, size_t size)
{
	int fd = accept(listener, NULL, NULL);

	say(fd, "leftover garbage\n{\"return\": 7}\n");
	next_line(fd, line, size);
	answer_sync(fd, line);
	return fd;
}

static void *rude_agent(void *arg)
{
	static const char *const answers[] = {
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such program\"}}\n",
		"this is no JSON\n", ""};
	char line[4096];

	for (int i = 0; i < 3; i++) {
		int fd = serve(line, sizeof(line));

		next_line(fd, line, sizeof(line)); /* guest-exec */
		say(fd, answers[i]);
		close(fd); /* without an answer: gone in the middle of a question */
	}
	return NULL;
}

static void errors_are_told(void **state)
{
	char *argv[] = {"program", NULL};

	start_agent(rude_agent);
	assert_int_equal(qga_exec(path, argv, -1, -1, 5), -EREMOTEIO);
	assert_int_equal(qga_exec(path, argv, -1, -1, 5), -EPROTO);
	assert_int_equal(qga_exec(path, argv, -1, -1, 5), -ECONNRESET);
	end_agent();
}

static void *working_agent(void *arg)
{
	char line[4096];
	int fd = serve(line, sizeof(line));

	next_line(fd, line, sizeof(line));
	say(fd, strstr(line, "\"arg\":[\"a b\",\"c\"]") ? "{\"return\": {\"pid\": 5}}\n"
							: "{\"return\": {\"pid\": 6}}\n");
	next_line(fd, line, sizeof(line));
	say(fd, strstr(line, "\"pid\":5") ? "{\"return\": {\"exited\": false}}\n" : "{}\n");
	next_line(fd, line, sizeof(line));
	say(fd, "{\"return\": {\"exited\": true, \"exitcode\": 3, \"out-data\": \"aGVsbG8K\", "
		"\"err-data\": \"AP9h\"}}\n");
	close(fd);
	fd = serve(line, sizeof(line));
	next_line(fd, line, sizeof(line));
	say(fd, "{\"return\": {\"pid\": 9}}\n");
	next_line(fd, line, sizeof(line));
	say(fd, "{\"return\": {\"exited\": true, \"signal\": 11}}\n");
	close(fd);
	return NULL;
}

static void programs_run(void **state)
{
	char *argv[] = {"program", "a b", "c", NULL}, text[16] = "";
	int out[2], err[2];

	assert_int_equal(pipe(out) | pipe(err), 0);
	start_agent(working_agent);
	assert_int_equal(qga_exec(path, argv, out[1], err[1], 5), 3);
	assert_int_equal(read(out[0], text, sizeof(text)), 6);
	assert_memory_equal(text, "hello\n", 6);
	assert_int_equal(read(err[0], text, sizeof(text)), 3);
	assert_memory_equal(text,
			    "\0\xff"
			    "a",
			    3);
	assert_int_equal(qga_exec(path, argv, -1, -1, 5), 128 + 11);
	end_agent();
	for (int i = 0; i < 2; i++) {
		close(out[i]);
		close(err[i]);
	}
}

/* Takes a connection, begins a program first if so, and says nothing to what is asked about it. */
static void be_deaf(bool begins)
{
	char line[4096];
	int fd = serve(line, sizeof(line));

	if (begins) {
		next_line(fd, line, sizeof(line));
		say(fd, "{\"return\": {\"pid\": 5}}\n");
	}
	next_line(fd, line, sizeof(line));
	assert_false(next_line(fd, line, sizeof(line)));
	close(fd);
}

/* Does not hear how the program is asked about at first. */
static void *deaf_agent(void *arg)
{
	char line[4096];
	int fd;

	be_deaf(true);
	fd = serve(line, sizeof(line));
	next_line(fd, line, sizeof(line));
	say(fd, strstr(line, "\"pid\":5") ? "{\"return\": {\"exited\": true, \"exitcode\": 4}}\n" : "{}\n");
	close(fd);
	return NULL;
}

static void lost_answers_are_asked_for_again(void **state)
{
	char *argv[] = {"program", NULL};

	qga_answer_limit_s = 1;
	start_agent(deaf_agent);
	assert_int_equal(qga_exec(path, argv, -1, -1, 20), 4);
	end_agent();
}

/* Begins programs, and says nothing about them. */
static void *half_dead_agent(void *arg)
{
	for (int i = 0; i < 3; i++)
		be_deaf(i == 0);
	return NULL;
}

static void nobody_asks_for_ever(void **state)
{
	char *argv[] = {"program", NULL};

	qga_answer_limit_s = 1;
	start_agent(half_dead_agent);
	assert_int_equal(qga_exec(path, argv, -1, -1, 0), -EHOSTDOWN);
	end_agent();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_answers_are_passed_over),
		cmocka_unit_test(silence_times_out),
		cmocka_unit_test(errors_are_told),
		cmocka_unit_test(programs_run),
		cmocka_unit_test(lost_answers_are_asked_for_again),
		cmocka_unit_test(nobody_asks_for_ever),
	};

	return cmocka_run_group_tests_name("guest agent", tests, NULL, NULL);
}
