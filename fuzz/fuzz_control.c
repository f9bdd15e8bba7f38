// SPDX-License-Identifier: MIT
/*
 * fuzz_control.c - the control socket of hsavisord: tools' JSON, executors' structs, and the memory that executors share
 * with the daemon, against the whole daemon on a thread.
 *
 * Input: a list of acts of three clients: say HELLO as a VM, a host tenant or a process of one; charge VRAM; send JSON made of
 * pieces, or any bytes, with descriptors or without; write anything anywhere in the shared memory, wake the daemon; hang up. An
 * answer to a tool must be a JSON object. When all clients are gone the daemon must have no tenant left and no descriptor
 * more than before. A daemon that was told to shut down is started again.
 */
#include "fuzz/input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arbiter/msg.h"
#include "arbiter/protocol.h"
#include "arbiter/server.h"
#include "base/log.h"

#define CLIENTS	  3
#define MAX_ACTS  48
#define PATIENCE  10000 /* ms */

static char dir[] = "/tmp/fuzz-control-XXXXXX";
static char path[64], config_path[64];
static pthread_t thread;
static bool running;
static int watcher = -1; /* a tool's connection that stays */
static char answer[ARBITER_MSG_MAX + 1];

static struct client {
	int sock, wake;
	struct arbiter_shared *shared;
} clients[CLIENTS];

static void *serve(void *arg)
{
	static const struct server_config config = {.socket_path = path,
						    .gpus = {{.target = "gfx90a", .threads = 2, .pool = 1ull << 30},
							     {.target = "gfx900", .threads = 1, .pool = 64ull << 20}},
						    .num_gpus = 2,
						    .default_quota = 16u << 20,
						    .config_path = config_path,
						    .group = (gid_t)-1,
						    .ready_fd = -1};

	MUST(!server_run(&config));
	return NULL;
}

static int connect_patiently(void)
{
	int fd = -1;

	WAIT_UNTIL((fd = msg_connect(path)) >= 0, PATIENCE);
	MUST(fd >= 0);
	return fd;
}

static int tenants(void);

/* Returns when it serves, with all its descriptors open. */
static void start_daemon(void)
{
	MUST(!pthread_create(&thread, NULL, serve, NULL));
	running = true;
	watcher = connect_patiently();
	MUST(tenants() == 0);
}

/* After its own end: it closes all sockets. */
static void join_daemon(void)
{
	close(watcher);
	pthread_join(thread, NULL);
	running = false;
}

static void clean_up(void)
{
	static const char bye[] = "{\"op\":\"shutdown\",\"force\":true}";

	if (running && !msg_send(watcher, bye, sizeof(bye) - 1, NULL, 0))
		join_daemon();
	unlink(config_path);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	MUST(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(config_path, sizeof(config_path), "%s/config", dir);
	/* The daemon says on standard error that it is ready; each time. */
	log_enabled("arbiter", LOG_WARN);
	start_daemon();
	atexit(clean_up);
	return 0;
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* What is open, for whoever looks at a failure. */
static void list_fds(void)
{
	for (int fd = 0; fd < 256; fd++) {
		char link[64], to[128];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, to, sizeof(to) - 1);
		if (n >= 0)
			fprintf(stderr, "%d: %.*s\n", fd, (int)n, to);
	}
}

/* ---- Clients ---- */

static void hang_up(struct client *c)
{
	if (c->sock >= 0)
		close(c->sock);
	if (c->wake >= 0)
		close(c->wake);
	if (c->shared)
		munmap(c->shared, sizeof(*c->shared));
	*c = (struct client){-1, -1, NULL};
}

/* The daemon has been told to shut down: a new one. */
static void restart_daemon(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		hang_up(&clients[i]);
	join_daemon();
	start_daemon();
}

static struct client *ready(struct client *c)
{
	if (c->sock < 0)
		c->sock = msg_connect(path);
	if (c->sock < 0) {
		restart_daemon();
		c->sock = connect_patiently();
	}
	return c;
}

/* Waits for an answer: its size, 0 when the daemon hung up. */
static ssize_t receive(struct client *c, int *fds, unsigned *num_fds)
{
	struct pollfd p = {.fd = c->sock, .events = POLLIN};
	ssize_t n;

	MUST(poll(&p, 1, PATIENCE) > 0);
	n = msg_receive(c->sock, answer, sizeof(answer) - 1, fds, num_fds);
	if (n <= 0) {
		hang_up(c);
		return 0;
	}
	answer[n] = 0;
	return n;
}

static void tell(struct client *c, const void *data, size_t size, const int *fds, unsigned num_fds, bool listen)
{
	int got[MSG_MAX_FDS];
	unsigned num = MSG_MAX_FDS;
	ssize_t n;

	if (!size || msg_send(c->sock, data, size, fds, num_fds)) {
		hang_up(c);
		return;
	}
	if (!listen)
		return;
	n = receive(c, got, &num);
	if (!n)
		return;
	if (answer[0] == '{') {
		struct json_object *o = json_tokener_parse(answer), *ok;

		/* An answer, or an event that a tool asked to be told of. */
		MUST(json_object_is_type(o, json_type_object));
		MUST(json_object_object_get_ex(o, "ok", &ok) || json_object_object_get_ex(o, "event", &ok));
		json_object_put(o);
	} else if (n == sizeof(struct arbiter_reply)) {
		struct arbiter_reply r;

		memcpy(&r, answer, sizeof(r));
		MUST(r.magic == ARBITER_MAGIC && r.error <= 0);
		if (num >= 2 && !c->shared) {
			void *p = mmap(NULL, sizeof(*c->shared), PROT_READ | PROT_WRITE, MAP_SHARED, got[0], 0);

			MUST(p != MAP_FAILED);
			c->shared = p;
			c->wake = got[1];
			got[1] = -1;
		}
	}
	for (unsigned i = 0; i < num; i++)
		if (got[i] >= 0)
			close(got[i]);
}

static void executor_message(struct input *in, struct client *c, unsigned type)
{
	static const char *const names[] = {"a", "b", "c", "vm-1", "", "a/b", "..", "x"};
	struct arbiter_msg m = {.magic = ARBITER_MAGIC, .version = ARBITER_VERSION, .type = type};
	uint8_t b = take8(in), odd;

	m.kind = b % 3;
	snprintf(m.name, sizeof(m.name), "%s", names[b < 0xc0 ? b >> 2 & 3 : b >> 2 & 7]);
	if (type == ARBITER_MSG_HELLO)
		m.vram = b & 0x20 ? take_number(in) : 0;
	else
		m.bytes = (int64_t)take_number(in);
	odd = take8(in);
	if (odd >= 0xd0)
		((uint8_t *)&m)[take8(in) % sizeof(m)] ^= take8(in);
	if (odd >= 0xf8)
		memset(m.name, 'a', sizeof(m.name));
	tell(ready(c), &m, odd == 0xcf ? sizeof(m) - 1 : sizeof(m), NULL, 0, odd != 0xce);
}

/* Members of a JSON object: keys with values. */
static size_t members(struct input *in, char *text, size_t size, const char *const *keys, unsigned num_keys, unsigned num)
{
	static const char *const values[] = {"\"a\"", "\"b\"", "\"vm-1\"", "0", "1", "-1", "2.5", "100", "50", "true", "false",
					     "null", "[]", "{}", "\"6ms/16.6ms\"", "\"0.1ms/2ms\"", "\"900ms/1s\"", "7",
					     "\"512M\"", "1e308", "18446744073709551615", "\"4ms/16ms\"", "\"50%\"",
					     "\"\\u0000\"", "\"30s\"", "\"1ms\"", "\"16M\"", "\"\"", "10000", "\"none\""};
	size_t n = 0;

	for (unsigned i = 0; i < num; i++) {
		const char *key = keys[take8(in) % num_keys];
		uint8_t v = take8(in);

		n += (size_t)snprintf(text + n, size - n, "%s\"%s\":", i ? "," : "", key);
		if (v < 0xe0)
			n += (size_t)snprintf(text + n, size - n, "%s", values[v % (sizeof(values) / sizeof(values[0]))]);
		else
			n += (size_t)snprintf(text + n, size - n, "%lld", (long long)take_number(in));
	}
	return n;
}

/* A request of a tool, made of pieces. */
static void json_message(struct input *in, struct client *c)
{
	static const char *const keys[] = {"process", "after", "force", "save", "tenant", "policy", "op", "x"};
	static const char *const policy[] = {"weight", "priority", "reserve", "cap", "vram", "kernel_timeout", "x"};
	static const char *const ops[] = {"set", "get", "reset", "faults", "status", "list", "trace", "shutdown", "none"};
	static const char *const tenants[] = {"a", "b", "c", "vm-1"};
	char text[2048];
	uint8_t op = take8(in), flags = take8(in);
	size_t n = (size_t)snprintf(text, sizeof(text), "{\"op\":\"%s\",\"tenant\":\"%s\"",
				    ops[op % (sizeof(ops) / sizeof(ops[0]))], tenants[flags & 3]);

	if (flags >> 2 & 7) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"policy\":{");
		n += members(in, text + n, sizeof(text) - n, policy, sizeof(policy) / sizeof(policy[0]), flags >> 2 & 7);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "}");
	}
	if (flags & 0x20)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"save\":true");
	if (flags & 0x40) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",");
		n += members(in, text + n, sizeof(text) - n, keys, sizeof(keys) / sizeof(keys[0]), 1 + (op >> 6));
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, "}");
	if (flags & 0x80)
		text[1 + take16(in) % (n - 1)] = (char)take8(in);
	tell(ready(c), text, n, NULL, 0, op < 0xf0);
}

static void raw_message(struct input *in, struct client *c)
{
	static char text[70000];
	uint8_t b = take8(in);
	size_t n = b < 0xf0 ? b : take16(in);
	int fds[MSG_MAX_FDS];
	unsigned num = b & 3;

	for (unsigned i = 0; i < num; i++)
		fds[i] = i ? STDERR_FILENO : clients[0].sock >= 0 ? clients[0].sock : STDERR_FILENO;
	text[0] = '{';
	take(in, text + (b & 1), n);
	tell(ready(c), text, n + (b & 1), fds, num, b & 4);
}

static void scribble(struct input *in, struct client *c)
{
	uint16_t at = take16(in);
	uint64_t value = take_number(in);
	uint8_t b = take8(in);

	if (!c->shared)
		return;
	switch (b % 4) {
	case 0: /* words of the page */
		memcpy((uint8_t *)c->shared + at % (sizeof(struct arbiter_page) - 8), &value, b & 4 ? 4 : 8);
		break;
	case 1:
		memcpy((uint8_t *)c->shared + ARBITER_PAGE_BYTES + at % (sizeof(c->shared->faults) - 8), &value, 8);
		break;
	case 2:
		memcpy((uint8_t *)c->shared->trace + at * 8u % (sizeof(c->shared->trace) - 8), &value, 8);
		break;
	default: /* as a client does that has something to say */
		atomic_store(&c->shared->page.want, (uint32_t)(value & 1));
		atomic_fetch_add(&c->shared->page.faults, (uint32_t)(value >> 1 & 3));
		atomic_fetch_add(&c->shared->page.traced, value >> 3 & 31);
		break;
	}
	if (b & 8) {
		uint64_t one = 1;

		MUST(write(c->wake, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);
	}
}

/* The daemon's number of tenants; -1: it hung up. */
static int tenants(void)
{
	static const char list[] = "{\"op\":\"status\"}";
	struct client c = {watcher, -1, NULL};
	struct json_object *o, *n;
	unsigned num = 0;
	int count;

	if (msg_send(watcher, list, sizeof(list) - 1, NULL, 0))
		return -1;
	if (!receive(&c, NULL, &num)) {
		watcher = dup(STDERR_FILENO); /* it was closed; join_daemon closes */
		return -1;
	}
	o = json_tokener_parse(answer);
	MUST(json_object_object_get_ex(o, "tenants", &n));
	count = json_object_get_int(n);
	json_object_put(o);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	unsigned fds = count_fds();
	int left = 0;

	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i] = (struct client){-1, -1, NULL};
	for (unsigned i = 0; i < MAX_ACTS && in.left; i++) {
		uint8_t b = take8(&in);
		struct client *c = &clients[b % CLIENTS];

		switch (b / CLIENTS % 8) {
		case 0:
			executor_message(&in, c, ARBITER_MSG_HELLO);
			break;
		case 1:
			executor_message(&in, c, b & 0x80 ? take8(&in) % 8 : ARBITER_MSG_CHARGE);
			break;
		case 2:
		case 3:
			json_message(&in, c);
			break;
		case 4:
			raw_message(&in, c);
			break;
		case 5:
		case 6:
			scribble(&in, c);
			break;
		default:
			if (c->sock >= 0 && b & 0x80)
				shutdown(c->sock, SHUT_RD);
			else
				hang_up(c);
		}
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		hang_up(&clients[i]);
	WAIT_UNTIL((left = tenants()) <= 0, PATIENCE);
	MUST(left <= 0);
	/* Whatever the clients sent last, a shutdown maybe, was handled with or before the first question. */
	if (left == 0)
		left = tenants();
	if (left < 0) {
		restart_daemon();
	} else {
		WAIT_UNTIL(count_fds() <= fds, PATIENCE);
		if (count_fds() > fds) {
			fprintf(stderr, "%u descriptors before, now\n", fds);
			list_fds();
		}
		MUST(count_fds() <= fds);
	}
	return 0;
}
