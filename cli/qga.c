// SPDX-License-Identifier: MIT
/*
 * qga.c - the QEMU guest agent protocol (QEMU's docs/interop/qemu-ga-ref): JSON lines.
 * guest-sync-delimited answers behind a 0xff byte, which is how a new client finds the start of its
 * own answers among leftovers of an earlier one.
 */
#include "cli/qga.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

/* The agent's limit of captured output is 16 MiB, base64 makes it 22. */
#define LINE_MAX_BYTES (64u << 20)

/* A guest that boots on an emulated CPU needs a while to answer. */
#define ASK_AGAIN_S 3

/* So long a command waits for its turn at the agent. */
#define OPEN_LIMIT_S 30

/* An answer that takes longer was lost on its way, and is asked for again; so many in a row: the
 * agent hears no more. */
unsigned qga_answer_limit_s = 40;
#define LOST_ANSWERS 3

/* While the pauses between two looks at a program are this short the connection is kept. */
#define SHORT_PAUSE_US 100000

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int send_all(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t k = send(fd, text, n, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		text += k;
		n -= (size_t)k;
	}
	return 0;
}

/* One line; *line is malloc'ed. delimited: everything before a 0xff byte is skipped. */
static int read_line(int fd, bool delimited, double deadline, char **line)
{
	size_t size = 4096, n = 0;
	bool seen = !delimited;
	char *buf = malloc(size);

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		double left = deadline - now();
		unsigned char chunk[65536];
		ssize_t k;

		if (!buf)
			return -ENOMEM;
		if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) == 0) {
			free(buf);
			return -ETIMEDOUT;
		}
		k = recv(fd, chunk, sizeof(chunk), MSG_PEEK);
		if (k <= 0) {
			int err = k < 0 ? -errno : -ECONNRESET;

			if (err == -EINTR)
				continue;
			free(buf);
			return err;
		}
		for (ssize_t i = 0; i < k; i++) {
			if (chunk[i] == 0xff) {
				seen = true;
				n = 0;
			} else if (chunk[i] == '\n') {
				if (seen && n) {
					buf[n] = 0;
					*line = buf;
					return recv(fd, chunk, (size_t)i + 1, 0) == i + 1 ? 0
											  : -EIO;
				}
				n = 0;
			} else if (n < LINE_MAX_BYTES) {
				if (n + 2 > size) {
					char *more = realloc(buf, size *= 2);

					if (!more) {
						free(buf);
						return -ENOMEM;
					}
					buf = more;
				}
				buf[n++] = (char)chunk[i];
			} else {
				free(buf);
				return -EMSGSIZE;
			}
		}
		if (recv(fd, chunk, (size_t)k, 0) != k) {
			free(buf);
			return -EIO;
		}
	}
}

int qga_open(const char *path, unsigned limit_s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	double deadline = now() + limit_s;
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	/* What is sent before the agent listens may be lost: ask again. Answers to earlier
	 * questions, ours too, are passed over. */
	for (unsigned id = (unsigned)getpid() & 0xffff;; id += 0x10000) {
		double again = now() + ASK_AGAIN_S;
		char text[128], *line;

		snprintf(text, sizeof(text),
			 "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%u}}\n",
			 id);
		err = send_all(fd, text, strlen(text));
		while (!err) {
			struct json_object *o;
			uint64_t got;

			err = read_line(fd, true, deadline < again ? deadline : again, &line);
			if (err)
				break;
			o = json_tokener_parse(line);
			got = json_u64(o, "return");
			json_object_put(o);
			free(line);
			if (got == id)
				return fd;
		}
		if (err != -ETIMEDOUT || now() >= deadline)
			break;
	}
	close(fd);
	return err;
}

int qga_command(int fd, const char *name, struct json_object *arguments, unsigned limit_s,
		struct json_object **result)
{
	struct json_object *o = json_object_new_object(), *answer, *v;
	char *line = NULL;
	const char *text;
	int err;

	json_object_object_add(o, "execute", json_object_new_string(name));
	if (arguments)
		json_object_object_add(o, "arguments", arguments);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	err = send_all(fd, text, strlen(text));
	if (!err)
		err = send_all(fd, "\n", 1);
	json_object_put(o);
	if (!err)
		err = read_line(fd, false, now() + limit_s, &line);
	if (err)
		return err;
	answer = json_tokener_parse(line);
	free(line);
	if (!answer)
		return -EPROTO;
	if (json_object_object_get_ex(answer, "return", &v)) {
		*result = json_object_get(v);
	} else {
		json_object_object_get_ex(answer, "error", &v);
		cli_fail(EXIT_FAIL, "guest agent, %s: %s", name, json_str(v, "desc"));
		err = -EREMOTEIO;
	}
	json_object_put(answer);
	return err;
}

/* Decodes base64 in place into out (a descriptor). */
static void write_base64(const char *s, int out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(s), k = 0;
	unsigned bits = 0, have = 0;
	char *buf = malloc(n + 1);

	if (!buf || out < 0) {
		free(buf);
		return;
	}
	for (size_t i = 0; i < n && s[i] != '='; i++) {
		const char *d = strchr(digits, s[i]);

		if (!d)
			continue;
		bits = bits << 6 | (unsigned)(d - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf[k++] = (char)(bits >> have);
		}
	}
	for (size_t done = 0; done < k;) {
		ssize_t w = write(out, buf + done, k - done);

		if (w < 0 && errno != EINTR)
			break;
		done += w > 0 ? (size_t)w : 0;
	}
	free(buf);
}

int qga_exec(const char *path, char *const *argv, int out, int err_fd, unsigned limit_s)
{
	struct json_object *args = json_object_new_object(), *list = json_object_new_array(),
			   *result = NULL, *v;
	double deadline = now() + limit_s;
	uint64_t pid;
	unsigned pause_us = 20000, lost = 0;
	int err, code, fd = qga_open(path, OPEN_LIMIT_S);

	if (fd < 0) {
		json_object_put(args);
		json_object_put(list);
		return fd == -ETIMEDOUT ? -EHOSTDOWN : fd;
	}
	json_object_object_add(args, "path", json_object_new_string(argv[0]));
	for (char *const *a = argv + 1; *a; a++)
		json_object_array_add(list, json_object_new_string(*a));
	json_object_object_add(args, "arg", list);
	json_object_object_add(args, "capture-output", json_object_new_boolean(true));
	err = qga_command(fd, "guest-exec", args, 60, &result);
	if (err)
		goto out;
	pid = json_u64(result, "pid");
	json_object_put(result);
	for (;;) {
		if (fd < 0)
			fd = qga_open(path, OPEN_LIMIT_S);
		if (fd < 0)
			return fd == -ETIMEDOUT ? -EHOSTDOWN : fd;
		args = json_object_new_object();
		json_object_object_add(args, "pid", json_object_new_uint64(pid));
		result = NULL;
		err = qga_command(fd, "guest-exec-status", args, qga_answer_limit_s, &result);
		if (err == -ETIMEDOUT && (!limit_s || now() < deadline)) {
			err = -EHOSTDOWN;
			if (++lost == LOST_ANSWERS)
				goto out;
			close(fd);
			fd = -1;
			continue;
		}
		/* The agent forgets a program once it has said how it ended. */
		if (err == -EREMOTEIO && lost)
			cli_fail(0, "the answer before was lost, which may have said how the "
				    "program ended");
		if (err)
			goto out;
		lost = 0;
		if (json_object_object_get_ex(result, "exited", &v) && json_object_get_boolean(v))
			break;
		json_object_put(result);
		if (limit_s && now() > deadline) {
			err = -ETIMEDOUT;
			goto out;
		}
		/* The port serves one connection at a time: while a program runs long, others have
		 * their turn. */
		if (pause_us > SHORT_PAUSE_US) {
			close(fd);
			fd = -1;
		}
		usleep(pause_us); /* each look costs the guest work: look less often at what runs
				     long */
		if (pause_us < 500000)
			pause_us += pause_us / 2;
	}
	write_base64(json_str(result, "out-data"), out);
	write_base64(json_str(result, "err-data"), err_fd);
	if (json_object_object_get_ex(result, "signal", &v) && json_object_get_int(v))
		code = 128 + json_object_get_int(v);
	else
		code = (int)json_u64(result, "exitcode");
	if (json_object_object_get_ex(result, "out-truncated", &v) && json_object_get_boolean(v))
		cli_fail(0, "output beyond 16 MiB was cut");
	json_object_put(result);
	close(fd);
	return code;
out:
	close(fd);
	return err;
}
