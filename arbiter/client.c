// SPDX-License-Identifier: MIT
/*
 * client.c - an executor's side of the arbiter; see client.h and protocol.h.
 *
 * Theory of operation: after HELLO the client holds a socket (its registration), the shared page
 * and an eventfd that wakes the arbiter. turn_acquire() is two atomic accesses while the tenant has
 * the GPU. When it hasn't, the calling GPU thread wakes the arbiter and waits on the futex word
 * `granted`; the wait has a time limit, at which it looks whether the arbiter still lives. Once it
 * doesn't, `alone` is set and every later acquire returns at once. An executor that the arbiter
 * dismissed never has a turn again.
 *
 * close() and mmap() go through syscall(): this file lives in the preload library too, which
 * interposes them.
 */
#define LOG_PART "tenant"
#include "arbiter/client.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/msg.h"
#include "arbiter/protocol.h"
#include "arbiter/reporter.h"
#include "base/log.h"

#define SHARED_BYTES sizeof(struct arbiter_shared)

/* How long a thread waits for its turn before it looks whether the arbiter is still there. */
#define LIVENESS_MS 100

/* An arbiter that was told of a want isn't told again before this. */
#define ASK_AGAIN_NS 2000000u

struct arbiter_client {
	struct reporter *reporter; /* of faults and trace events */
	int sock, wake_fd, vram_fd;
	int swap_fd, bell_fd; /* -1: VRAM is not overcommitted */
	struct arbiter_shared *shared;
	struct arbiter_page *page; /* the first one of it */
	_Atomic uint32_t alone;	   /* the arbiter is gone */
	_Atomic uint32_t told;	/* that it was dismissed */
	_Atomic uint64_t asked;	   /* when it was last woken for a turn, ns */
	pthread_mutex_t lock;	   /* one CHARGE at a time on the socket */
	_Atomic int64_t charged;   /* bytes, kept for the time after the arbiter */
};

const char *arbiter_socket_path(void)
{
	static char path[108];
	const char *s = getenv("HSAVISOR_SOCKET");

	if (s && *s)
		snprintf(path, sizeof(path), "%s", s);
	else if (geteuid() == 0)
		snprintf(path, sizeof(path), "/run/hsavisor/hsavisord.sock");
	else {
		const char *dir = getenv("XDG_RUNTIME_DIR");

		snprintf(path, sizeof(path), "%s/hsavisor/hsavisord.sock",
			 dir && *dir ? dir : "/tmp");
	}
	return path;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		syscall(SYS_close, *fd);
	*fd = -1;
}

struct reporter *client_reporter(struct arbiter_client *client)
{
	return client->reporter;
}

static void client_free(struct arbiter_client *c)
{
	reporter_free(c->reporter);
	if (c->shared)
		syscall(SYS_munmap, c->shared, SHARED_BYTES);
	close_fd(&c->bell_fd);
	close_fd(&c->swap_fd);
	close_fd(&c->vram_fd);
	close_fd(&c->wake_fd);
	close_fd(&c->sock);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Sends one message, with fd unless that is -1, and receives its answer. The socket carries nothing else, so request and answer
 * pair up. */
static int transact(int sock, const struct arbiter_msg *msg, int fd, struct arbiter_reply *reply, int *fds,
		    unsigned *num_fds)
{
	ssize_t n;
	int err = msg_send(sock, msg, sizeof(*msg), &fd, fd >= 0);

	if (err)
		return err;
	n = msg_receive(sock, reply, sizeof(*reply), fds, num_fds);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -ECONNRESET;
	if (n != sizeof(*reply) || reply->magic != ARBITER_MAGIC) {
		for (unsigned i = 0; i < *num_fds; i++)
			syscall(SYS_close, fds[i]);
		return -EPROTO;
	}
	reply->message[sizeof(reply->message) - 1] = 0;
	reply->target[sizeof(reply->target) - 1] = 0;
	return 0;
}

static int say(char *error, int err, const char *text)
{
	if (error)
		snprintf(error, 256, "%s", text);
	return err;
}

int arbiter_connect(enum arbiter_kind kind, const char *name, uint64_t vram,
		    struct arbiter_client **client, struct arbiter_grant *grant, char *error)
{
	return arbiter_connect_max(kind, name, vram, 0, client, grant, error);
}

int arbiter_connect_max(enum arbiter_kind kind, const char *name, uint64_t vram, uint64_t vram_max,
			struct arbiter_client **client, struct arbiter_grant *grant, char *error)
{
	return arbiter_connect_gpu(kind, name, vram, vram_max, ARBITER_ANY_GPU, client, grant, error);
}

int arbiter_connect_gpu(enum arbiter_kind kind, const char *name, uint64_t vram, uint64_t vram_max, uint32_t gpu,
			struct arbiter_client **client, struct arbiter_grant *grant, char *error)
{
	struct arbiter_msg msg = {.magic = ARBITER_MAGIC,
				  .version = ARBITER_VERSION,
				  .type = ARBITER_MSG_HELLO,
				  .kind = kind,
				  .gpu = gpu,
				  .vram = vram,
				  .vram_max = vram_max};
	unsigned want_fds = kind == ARBITER_HOST ? 2 : 3;
	struct arbiter_reply reply;
	int fds[MSG_MAX_FDS];
	unsigned num_fds = MSG_MAX_FDS;
	struct arbiter_client *c;
	char text[256];
	void *page;
	int err;

	if (strlen(name) >= sizeof(msg.name))
		return say(error, -EINVAL, "the tenant's name is too long (at most 63 characters)");
	strcpy(msg.name, name);
	c = calloc(1, sizeof(*c));
	if (!c)
		return say(error, -ENOMEM, "out of memory");
	c->wake_fd = c->vram_fd = c->swap_fd = c->bell_fd = -1;
	pthread_mutex_init(&c->lock, NULL);
	c->sock = msg_connect(arbiter_socket_path());
	if (c->sock < 0) {
		err = c->sock;
		snprintf(text, sizeof(text), "cannot reach hsavisord at %s (%s); is it running?",
			 arbiter_socket_path(), strerror(-err));
		client_free(c);
		return say(error, err, text);
	}
	err = transact(c->sock, &msg, -1, &reply, fds, &num_fds);
	if (err) {
		snprintf(text, sizeof(text), "hsavisord did not answer as expected (%s)",
			 strerror(-err));
		client_free(c);
		return say(error, err, text);
	}
	if (num_fds > 0)
		c->wake_fd = num_fds > 1 ? fds[1] : -1;
	if (num_fds > 2)
		c->vram_fd = fds[2];
	if (num_fds > 4) {
		c->swap_fd = fds[3];
		c->bell_fd = fds[4];
	}
	for (unsigned i = num_fds > 4 ? 5 : 3; i < num_fds; i++)
		syscall(SYS_close, fds[i]);
	if (reply.error || num_fds < want_fds) {
		if (num_fds > 0)
			syscall(SYS_close, fds[0]);
		client_free(c);
		return say(error, reply.error ? reply.error : -EPROTO,
			   reply.error ? reply.message : "hsavisord sent too few descriptors");
	}
	page = (void *)syscall(SYS_mmap, NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			       fds[0], 0L);
	err = errno;
	syscall(SYS_close, fds[0]);
	if (page == MAP_FAILED) {
		client_free(c);
		return say(error, -err, "cannot map the page shared with hsavisord");
	}
	c->reporter = reporter_new(page, c->wake_fd);
	if (!c->reporter) {
		syscall(SYS_munmap, page, SHARED_BYTES);
		client_free(c);
		return say(error, -ENOMEM, "out of memory");
	}
	c->shared = page;
	c->page = &c->shared->page;
	*grant = (struct arbiter_grant){.tenant = reply.tenant,
					.gpu = reply.gpu,
					.gpus = reply.gpus,
					.threads = reply.threads,
					.vram_size = reply.vram,
					.vram_fd = c->vram_fd};
	memcpy(grant->target, reply.target, sizeof(grant->target));
	memcpy(grant->cpus, reply.cpus, sizeof(grant->cpus));
	*client = c;
	return 0;
}

void arbiter_disconnect(struct arbiter_client *client)
{
	if (client)
		client_free(client);
}

void arbiter_forget(struct arbiter_client *client)
{
	/* The parent's socket stays open in the parent, so closing our copies tells the arbiter
	 * nothing. */
	if (client) {
		reporter_forget(client->reporter);
		client->reporter = NULL;
		client_free(client);
	}
}

struct arbiter_counters *arbiter_counters(struct arbiter_client *client)
{
	return &client->page->counters;
}

const struct gpu_limits *arbiter_limits(struct arbiter_client *client)
{
	return &client->page->limits;
}

uint64_t arbiter_vram_limit(const struct arbiter_client *client)
{
	return atomic_load_explicit(&client->page->vram_limit, memory_order_relaxed);
}

uint64_t arbiter_vram_used(const struct arbiter_client *client)
{
	return arbiter_alive(client)
		       ? atomic_load_explicit(&client->page->vram_used, memory_order_relaxed)
		       : 0;
}

bool arbiter_alive(const struct arbiter_client *client)
{
	return !atomic_load_explicit(&client->alone, memory_order_relaxed);
}

static bool dismissed(const struct arbiter_client *c)
{
	return atomic_load_explicit(&c->page->dismissed, memory_order_relaxed);
}

static void gone(struct arbiter_client *c)
{
	if (dismissed(c)) {
		if (!atomic_exchange(&c->told, 1))
			log_error("hsavisord dismissed this executor, which ran on after its turns: it "
				  "gets no more of them");
		return;
	}
	if (atomic_exchange(&c->alone, 1))
		return;
	log_warn("hsavisord is gone; this tenant goes on without sharing turns or accounting");
}

static void check_alive(struct arbiter_client *c)
{
	struct pollfd p = {.fd = c->sock, .events = 0};

	if (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)))
		gone(c);
}

static void wake_arbiter(struct arbiter_client *c)
{
	uint64_t one = 1;

	if (syscall(SYS_write, c->wake_fd, &one, sizeof(one)) < 0) {
		/* EAGAIN: the counter is full, so the arbiter has been woken. */
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool turn_lost(void *ctx)
{
	struct arbiter_client *c = ctx;

	return !atomic_load_explicit(&c->page->granted, memory_order_relaxed) && arbiter_alive(c);
}

static void turn_leave(void *ctx);

/* Says in the page that there is work. True if that is news. */
static bool want(struct arbiter_client *c)
{
	struct arbiter_page *page = c->page;

	if (atomic_load_explicit(&page->want, memory_order_relaxed) ||
	    atomic_exchange(&page->want, 1))
		return false;
	atomic_store_explicit(&page->want_since, now_ns(), memory_order_relaxed);
	return true;
}

/* Wakes the arbiter for a turn. What it was told a moment ago it knows (see protocol.h); that it is
 * told again later is for the case that one of us errs. */
static void ask(struct arbiter_client *c, bool news)
{
	uint64_t now = now_ns();

	if (!news && now - atomic_load_explicit(&c->asked, memory_order_relaxed) < ASK_AGAIN_NS)
		return;
	atomic_store_explicit(&c->asked, now, memory_order_relaxed);
	wake_arbiter(c);
}

/* Counts the thread in if the tenant has the GPU. The order is the protocol's: first in, then look.
 */
static bool enter(struct arbiter_client *c)
{
	struct arbiter_page *page = c->page;

	atomic_fetch_add(&page->users, 1);
	if (atomic_load(&page->granted) || !arbiter_alive(c))
		return true;
	turn_leave(c);
	return false;
}

static void turn_leave(void *ctx)
{
	struct arbiter_client *c = ctx;

	if (atomic_fetch_sub(&c->page->users, 1) == 1 && !atomic_load(&c->page->granted) &&
	    arbiter_alive(c))
		wake_arbiter(c);
}

static bool turn_try_acquire(void *ctx)
{
	struct arbiter_client *c = ctx;
	bool news = want(c);

	if (!turn_lost(c) && enter(c))
		return true;
	ask(c, news);
	return false;
}

static void turn_acquire(void *ctx)
{
	struct arbiter_client *c = ctx;
	struct arbiter_page *page = c->page;
	bool news = want(c);

	while (turn_lost(c) || !enter(c)) {
		struct timespec limit = {0, LIVENESS_MS * 1000000L};

		news |= want(c); /* another thread may have released meanwhile */
		ask(c, news);
		news = false;
		if (syscall(SYS_futex, &page->granted, FUTEX_WAIT, 0, &limit, NULL, 0) < 0 &&
		    errno == ETIMEDOUT)
			check_alive(c);
	}
}

static void turn_release(void *ctx)
{
	struct arbiter_client *c = ctx;
	struct arbiter_page *page = c->page;
	uint64_t since = atomic_exchange_explicit(&page->want_since, 0, memory_order_relaxed);

	if (since)
		atomic_fetch_add_explicit(&page->wanted_ns, now_ns() - since, memory_order_relaxed);
	atomic_store(&page->want, 0);
	if (atomic_load(&page->contended) && arbiter_alive(c))
		wake_arbiter(c);
}

static void turn_account(void *ctx, uint64_t gpu_ns, uint32_t dispatches)
{
	struct arbiter_counters *k = &((struct arbiter_client *)ctx)->page->counters;

	atomic_fetch_add_explicit(&k->gpu_ns, gpu_ns, memory_order_relaxed);
	if (dispatches)
		atomic_fetch_add_explicit(&k->dispatches, dispatches, memory_order_relaxed);
}

const struct gpu_turn_ops arbiter_turn_ops = {
	.acquire = turn_acquire,
	.try_acquire = turn_try_acquire,
	.leave = turn_leave,
	.release = turn_release,
	.lost = turn_lost,
	.account = turn_account,
};

void arbiter_swap_files(const struct arbiter_client *client, int *file, int *bell)
{
	*file = client->swap_fd;
	*bell = client->bell_fd;
}

uint32_t arbiter_vram_order(const struct arbiter_client *client)
{
	return atomic_load(&client->page->vram_order);
}

void arbiter_vram_answer(struct arbiter_client *client, uint32_t order, bool done)
{
	atomic_store(done ? &client->page->vram_done : &client->page->vram_refused, order);
	wake_arbiter(client);
}

void arbiter_vram_need(struct arbiter_client *client, bool need)
{
	if (atomic_exchange(&client->page->vram_need, need) != need && need)
		wake_arbiter(client);
}

uint32_t arbiter_turn_users(const struct arbiter_client *client)
{
	return atomic_load(&client->page->users);
}

bool arbiter_look(struct arbiter_client *client)
{
	check_alive(client);
	return arbiter_alive(client);
}

int arbiter_charge_vram(void *client, int64_t bytes)
{
	struct arbiter_client *c = client;
	struct arbiter_msg msg = {.magic = ARBITER_MAGIC,
				  .version = ARBITER_VERSION,
				  .type = ARBITER_MSG_CHARGE,
				  .bytes = bytes};
	struct arbiter_reply reply;
	unsigned num_fds = 0;
	int fds[MSG_MAX_FDS];
	int err = 0;

	pthread_mutex_lock(&c->lock);
	if (arbiter_alive(c)) {
		err = transact(c->sock, &msg, -1, &reply, fds, &num_fds);
		if (err)
			gone(c);
		else
			err = reply.error;
	}
	if (!arbiter_alive(c))
		err = bytes > 0 && (uint64_t)(c->charged + bytes) > arbiter_vram_limit(c) ? -ENOMEM
											  : 0;
	if (!err)
		c->charged += bytes;
	pthread_mutex_unlock(&c->lock);
	return err;
}

/* A message with a key (NULL: none) and perhaps a descriptor: 0, or the descriptor that came with the answer, or negative errno. */
static int ask_key(struct arbiter_client *c, uint32_t type, const void *key, int fd)
{
	struct arbiter_msg msg = {.magic = ARBITER_MAGIC, .version = ARBITER_VERSION, .type = type};
	struct arbiter_reply reply;
	unsigned num_fds = 1;
	int got, err = -ECONNREFUSED;

	if (key)
		memcpy(msg.name, key, ARBITER_KEY);
	pthread_mutex_lock(&c->lock);
	if (arbiter_alive(c)) {
		err = transact(c->sock, &msg, fd, &reply, &got, &num_fds);
		if (err)
			gone(c);
		else
			err = reply.error ? reply.error : num_fds ? got : type == ARBITER_MSG_SHARED ? -EMFILE : 0;
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

int arbiter_share(struct arbiter_client *client, const void *key, int fd)
{
	return ask_key(client, ARBITER_MSG_SHARE, key, fd);
}

void arbiter_unshare(struct arbiter_client *client, const void *key)
{
	ask_key(client, ARBITER_MSG_UNSHARE, key, -1);
}

int arbiter_shared(struct arbiter_client *client, const void *key)
{
	return ask_key(client, ARBITER_MSG_SHARED, key, -1);
}

int arbiter_one_file(struct arbiter_client *client, int *fd)
{
	int got = ask_key(client, ARBITER_MSG_ONE_FILE, NULL, -1);

	if (got <= 0)
		return got ? got : -EPROTO;
	close_fd(&client->vram_fd);
	*fd = client->vram_fd = got;
	return 0;
}
