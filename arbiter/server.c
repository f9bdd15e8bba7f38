// SPDX-License-Identifier: MIT
/*
 * server.c - the daemon's loop; see server.h.
 *
 * Theory of operation: one thread, one epoll. It holds the listening socket, one socket a
 * connection, one eventfd an executor ("look at turns"), a timerfd armed only while turns_step()
 * asks for it, and a signalfd. Whatever happened, turns_step() is called at the end of each round.
 * Without contention the loop sleeps for good: no timer ticks. It runs before other programs
 * (SCHED_RR), where the system lets it: tenants wait for each other's turns through it. An executor
 * that writes its eventfd without end is therefore not listened to for a while.
 *
 * Clients are not trusted: packets are parsed from a private copy, answers are sent without
 * blocking (a client that doesn't read its answer is disconnected), and descriptors sent to us are
 * closed, but for those to be shared.
 */
#define LOG_PART "arbiter"
#include "arbiter/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/futex.h>
#include <limits.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/access.h"
#include "arbiter/answer.h"
#include "arbiter/closer.h"
#include "arbiter/config.h"
#include "arbiter/control.h"
#include "arbiter/faults.h"
#include "arbiter/gpus.h"
#include "arbiter/msg.h"
#include "arbiter/pool.h"
#include "arbiter/privileges.h"
#include "arbiter/shares.h"
#include "arbiter/tenants.h"
#include "arbiter/trace.h"
#include "arbiter/turns.h"
#include "base/log.h"

#define MAX_CONNECTIONS (MAX_EXECUTORS + 64)
#define DEAF_MS		100

/* An executor may wake us so often in a while; then it is not listened to until the while is over.
 */
#define WAKES_MAX 1000
#define WAKES_NS  10000000u

enum source { SRC_LISTEN, SRC_SIGNAL, SRC_TIMER, SRC_CONNECTION, SRC_WAKE };

struct connection {
	enum source source; /* what epoll's pointer is: SRC_CONNECTION */
	struct wake {
		enum source source;
		struct connection *connection;
	} wake;
	struct connection *next;
	bool tracing; /* a tool that is told of executors, see trace.h */
	int sock;
	struct ucred peer;
	struct executor *executor; /* NULL: a tool, or before HELLO */
	uint64_t wakes_since;	   /* ns: it woke us so often since then: */
	uint32_t wakes;
	bool deaf; /* its eventfd isn't watched for a while */
	bool dead;
};

struct server {
	const struct server_config *config;
	struct config *policies; /* the configuration file; NULL: none */
	struct arbiter_gpus gpus;
	struct control_facts facts;
	struct fault_log faults;
	struct tracing tracing;
	struct closer *closer; /* of what clients sent, and of their sockets */
	struct shares shares;
	struct connection *connections;
	unsigned num_connections;
	int epoll, listen, timer, signals, lock;
	uint64_t deaf_since; /* ns; not 0: out of descriptors, the listening socket isn't watched
				for a while */
	uint64_t timer_at;   /* ns: the timer is armed for that; 0: it isn't */
	uint64_t deaf_until; /* ns: not 0: some connection is deaf until then */
	bool dismissing;     /* some executor is to be disconnected */
	char packet[64 * 1024];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Whose GPU the executor has. */
static struct arbiter_gpu *gpu_of(struct server *s, const struct executor *e)
{
	return &s->gpus.gpu[e->tenant->gpu];
}

static int watch(struct server *s, int fd, enum source *source)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = source};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void read_faults(struct server *s, struct connection *c)
{
	struct timespec real;

	if (!c->executor)
		return;
	clock_gettime(CLOCK_REALTIME, &real);
	faults_read(&s->faults, c->executor, now_ns(),
		    (uint64_t)real.tv_sec * 1000000000u + (uint64_t)real.tv_nsec);
}

static void hang_up(struct server *s, struct connection *c);

/* Tells tools that trace of an executor that came or goes. */
static void tell_tools(struct server *s, const struct executor *e, bool gone)
{
	for (struct connection *c = s->connections; c && s->tracing.tools; c = c->next)
		if (c->tracing && !c->dead && trace_tell(c->sock, e, gone))
			hang_up(s, c);
}

/* So many of the user's descriptors can't be closed that nothing more is taken from it. Who could end us anyway is heard. */
static bool is_turned_away(struct server *s, const struct ucred *peer)
{
	return access_of_user(peer->uid) != ACCESS_OWNER && closer_has_too_many(s->closer, peer->uid);
}

/* Marks it; it is freed at the end of the round, when no event of the round can name it any more.
 */
static void hang_up(struct server *s, struct connection *c)
{
	if (c->dead)
		return;
	c->dead = true;
	if (c->tracing)
		trace_end(&s->tracing, &s->gpus);
	if (c->executor) {
		turns_forget(&gpu_of(s, c->executor)->turns, c->executor, now_ns());
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->executor->wake_fd, NULL);
		read_faults(s, c);
		tell_tools(s, c->executor, true);
		shares_forget(&s->shares, c->executor);
		tenants_goodbye(&gpu_of(s, c->executor)->tenants, c->executor);
		c->executor = NULL;
	}
	/* What waits in it may take its time to close. */
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->sock, NULL);
	shutdown(c->sock, SHUT_RDWR);
	closer_close(s->closer, c->sock, c->peer.uid);
}

static void bury(struct server *s)
{
	for (struct connection **p = &s->connections; *p;) {
		struct connection *c = *p;

		if (!c->dead) {
			p = &c->next;
			continue;
		}
		*p = c->next;
		s->num_connections--;
		free(c);
	}
}

static void accept_connection(struct server *s)
{
	int fd = accept4(s->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer = {.uid = (uid_t)-1};
	struct connection *c;
	int size = ARBITER_MSG_MAX * 2;

	if (fd < 0) {
		/* Whoever waits there would wake us without end. */
		if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) &&
		    !epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->listen, NULL)) {
			log_warn("out of descriptors or memory; new connections wait");
			s->deaf_since = now_ns();
		}
		return;
	}
	c = s->num_connections < MAX_CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;
	if (access_of_peer(fd, s->config->group, &peer) == ACCESS_NONE || !c || is_turned_away(s, &peer)) {
		log_warn("connection of pid %d refused: not allowed here, too many, or out of memory", (int)peer.pid);
		free(c);
		closer_close(s->closer, fd, peer.uid);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* an answer is one packet */
	c->source = SRC_CONNECTION;
	c->wake = (struct wake){SRC_WAKE, c};
	c->sock = fd;
	c->peer = peer;
	if (watch(s, fd, &c->source)) {
		closer_close(s->closer, fd, peer.uid);
		free(c);
		return;
	}
	c->next = s->connections;
	s->connections = c;
	s->num_connections++;
}

/* ------------------------------------------------------------------ what turns.c needs */

static void wake_executor(void *ctx, struct executor *e)
{
	syscall(SYS_futex, &e->page->granted, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static uint64_t cpu_of_executor(void *ctx, const struct executor *e)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(e->pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void dismiss_executor(void *ctx, struct executor *e)
{
	struct server *s = ctx;

	atomic_store(&e->page->dismissed, 1);
	s->dismissing = true;
}

static const struct turns_ops turns_ops = {
	.wake = wake_executor,
	.cpu_ns = cpu_of_executor,
	.drop = dismiss_executor,
};

static void hang_up_dismissed(struct server *s)
{
	s->dismissing = false;
	for (struct connection *c = s->connections; c; c = c->next)
		if (!c->dead && c->executor && c->executor->turn.dropped)
			hang_up(s, c);
}

/* ------------------------------------------------------------------ policies */

/* The configuration file, if there is one. On an error what was loaded before stays. */
static int load_policies(struct server *s, char *message)
{
	struct config *c = NULL;
	int err = s->config->config_path ? config_load(s->config->config_path, &c, message) : 0;

	if (err == -ENOENT && !s->config->config_required)
		err = 0;
	if (err)
		return err;
	config_free(s->policies);
	s->policies = c;
	return 0;
}

/* A tenant that was made gets the file's policy. A reservation that doesn't fit is not given. */
static void join_turns(struct server *s, struct tenant *x)
{
	struct arbiter_gpu *gpu = &s->gpus.gpu[x->gpu];
	struct tenant_policy policy;
	char message[CONFIG_MESSAGE];
	uint64_t vram;

	config_policy(s->policies, x->name, &policy, &vram);
	if (control_admit(&gpu->tenants, x, &policy, message)) {
		log_warn("tenant '%s': starts without its reservation: %s", x->name, message);
		policy.budget_ns = policy.period_ns = 0;
	}
	turns_join(&gpu->turns, x, &policy);
}

/* One that runs gets what the file says now. Reservations go last: room for them may come with the
 * changes of others. */
static void apply_policy(struct server *s, struct tenant *x, bool with_reservation)
{
	struct arbiter_gpu *gpu = &s->gpus.gpu[x->gpu];
	struct tenant_policy policy;
	char message[CONFIG_MESSAGE];
	uint64_t vram;

	if (!config_policy(s->policies, x->name, &policy, &vram))
		return;
	if (!with_reservation) {
		policy.budget_ns = policy.period_ns = 0;
		if (vram && vram != x->quota && pool_set_quota(&gpu->tenants, x, vram, message))
			log_warn("tenant '%s': its quota stays: %s", x->name, message);
	} else if (control_admit(&gpu->tenants, x, &policy, message)) {
		log_warn("tenant '%s': goes on without its reservation: %s", x->name, message);
		return;
	}
	control_apply(&gpu->turns, x, &policy, now_ns());
}

/* SIGHUP: reads the file again, for tenants that it names. */
static void reload(struct server *s)
{
	char message[CONFIG_MESSAGE];

	if (load_policies(s, message)) {
		log_error("configuration not reloaded: %s", message);
		return;
	}
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < s->gpus.num; i++)
			for (struct tenant *x = s->gpus.gpu[i].tenants.list; x; x = x->next)
				apply_policy(s, x, pass);
	log_info("configuration reloaded");
}

/* ------------------------------------------------------------------ messages */

static int hello(struct server *s, struct connection *c, const struct arbiter_msg *msg,
		 struct arbiter_reply *reply)
{
	struct arbiter_msg wanted = *msg;
	struct executor *e;
	int err;

	if (c->executor) {
		snprintf(reply->message, sizeof(reply->message), "said hello already");
		return -EALREADY;
	}
	/* A tool that traces is hung up when it does not read, also while executors are told of. */
	if (c->tracing) {
		snprintf(reply->message, sizeof(reply->message), "this connection traces");
		return -EBUSY;
	}
	if (msg->kind != ARBITER_PROCESS && !msg->name[ARBITER_NAME_MAX - 1])
		wanted.vram = config_vram(s->policies, msg->name, msg->vram);
	err = gpus_hello(&s->gpus, &wanted, c->sock, c->peer.pid, c->peer.uid, &e,
			    reply->message);
	if (err)
		return err;
	c->executor = e;
	if (msg->kind != ARBITER_PROCESS)
		join_turns(s, e->tenant);
	atomic_store(&e->page->limits.kernel_ns, e->tenant->turn.policy.kernel_ns);
	err = watch(s, e->wake_fd, &c->wake.source);
	if (err) {
		turns_forget(&gpu_of(s, e)->turns, e, now_ns());
		tenants_goodbye(&gpu_of(s, e)->tenants, e);
		c->executor = NULL;
		return err;
	}
	tell_tools(s, e, false);
	atomic_store(&e->page->trace, s->tracing.session);
	reply->tenant = e->tenant->id;
	reply->gpu = e->tenant->gpu;
	reply->gpus = gpus_of(&s->gpus, e->tenant->name);
	reply->threads = gpu_of(s, e)->config->threads;
	memcpy(reply->cpus, gpu_of(s, e)->config->cpus, sizeof(reply->cpus));
	reply->vram = e->tenant->vram_max;
	snprintf(reply->target, sizeof(reply->target), "%s", gpu_of(s, e)->config->target);
	return 0;
}

/* fd: what came with the packet, taken over, or -1. */
static int executor_message(struct server *s, struct connection *c, const void *packet, size_t size, int fd)
{
	struct arbiter_reply reply = {.magic = ARBITER_MAGIC};
	struct arbiter_msg msg;
	unsigned num_fds = 0;
	int fds[MSG_MAX_FDS];

	if (size == sizeof(msg))
		memcpy(&msg, packet, sizeof(msg));
	if (size != sizeof(msg) || msg.magic != ARBITER_MAGIC || (fd >= 0) != (msg.type == ARBITER_MSG_SHARE)) {
		if (fd >= 0)
			closer_close(s->closer, fd, c->peer.uid);
		return -EPROTO;
	}
	switch (msg.type) {
	case ARBITER_MSG_HELLO:
		reply.error = hello(s, c, &msg, &reply);
		if (!reply.error) {
			fds[num_fds++] = c->executor->page_fd;
			fds[num_fds++] = c->executor->wake_fd;
			if (c->executor->vram_fd >= 0)
				fds[num_fds++] = c->executor->vram_fd;
			if (c->executor->pool.swap_fd >= 0) {
				fds[num_fds++] = c->executor->pool.swap_fd;
				fds[num_fds++] = c->executor->pool.bell_fd;
			}
		}
		break;
	case ARBITER_MSG_CHARGE:
		reply.error = c->executor ? pool_charge(&gpu_of(s, c->executor)->tenants, c->executor, msg.bytes,
							now_ns())
					  : -EPROTO;
		if (reply.error == POOL_LATER)
			return 0;
		break;
	case ARBITER_MSG_SHARE:
		if (!c->executor) {
			closer_close(s->closer, fd, c->peer.uid);
			return -EPROTO;
		}
		reply.error = shares_add(&s->shares, c->executor, (const uint8_t *)msg.name, fd);
		break;
	case ARBITER_MSG_UNSHARE:
		reply.error = c->executor ? shares_remove(&s->shares, c->executor, (const uint8_t *)msg.name) : -EPROTO;
		break;
	case ARBITER_MSG_SHARED:
		reply.error = c->executor ? shares_find(&s->shares, c->executor, (const uint8_t *)msg.name) : -EPROTO;
		if (reply.error >= 0) {
			fds[num_fds++] = reply.error;
			reply.error = 0;
		}
		break;
	case ARBITER_MSG_ONE_FILE:
		reply.error = c->executor ? gpus_one_file(&s->gpus, c->executor) : -EPROTO;
		if (reply.error >= 0) {
			fds[num_fds++] = reply.error;
			reply.error = 0;
		}
		break;
	default:
		return -EPROTO;
	}
	return msg_send(c->sock, &reply, sizeof(reply), fds, num_fds);
}

static int tool_message(struct server *s, struct connection *c, const char *text, size_t size)
{
	char *answer;
	int err;

	s->facts.now_ns = now_ns();
	for (uint32_t i = 0; i < s->gpus.num; i++)
		turns_settle(&s->gpus.gpu[i].turns, s->facts.now_ns);
	s->facts.trace = false;
	answer = control_answer(&s->gpus, &s->facts, c->peer.uid, text, size);
	if (!answer)
		return -ENOMEM;
	if (s->facts.config_changed) {
		char message[CONFIG_MESSAGE];

		s->facts.config_changed = false;
		if (load_policies(s, message))
			log_error("configuration not reloaded: %s", message);
	}
	err = msg_send(c->sock, answer, strlen(answer), NULL, 0);
	free(answer);
	if (!err && s->facts.trace && !c->tracing && !c->executor) {
		/* Told where their rings are before they go on writing. */
		err = trace_tell_all(c->sock, &s->gpus);
		c->tracing = true;
		trace_begin(&s->tracing, &s->gpus);
	}
	return err;
}

static void connection_readable(struct server *s, struct connection *c)
{
	int fds[MSG_ANY_FDS], err;
	unsigned num_fds = 0;
	ssize_t n;

	/* What it may have sent is not even taken. */
	if (is_turned_away(s, &c->peer)) {
		log_warn("pid %d sent what can't be closed; disconnected", (int)c->peer.pid);
		hang_up(s, c);
		return;
	}
	n = msg_receive_all(c->sock, s->packet, sizeof(s->packet), fds, &num_fds);
	if (n == -EAGAIN)
		return;
	if (n > 0 && num_fds <= 1 && s->packet[0] != '{') {
		err = executor_message(s, c, s->packet, (size_t)n, num_fds ? fds[0] : -1);
	} else {
		/* Tools send none, and nobody sends several. */
		err = n <= 0 ? -ECONNRESET : num_fds ? -EPROTO : tool_message(s, c, s->packet, (size_t)n);
		while (num_fds)
			closer_close(s->closer, fds[--num_fds], c->peer.uid);
	}
	if (err == -EPROTO)
		log_warn("pid %d sent garbage; disconnected", (int)c->peer.pid);
	if (err)
		hang_up(s, c);
}

/* at: ns of CLOCK_MONOTONIC, 0: not at all. */
static void arm_timer(struct server *s, uint64_t at)
{
	struct itimerspec t = {.it_value = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)}};

	if (at == s->timer_at)
		return;
	s->timer_at = at;
	timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void drain(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0) {
		/* EAGAIN: somebody drained it, which is what we wanted. */
	}
}

/* An executor wrote its eventfd. */
static void executor_woke(struct server *s, struct connection *c)
{
	uint64_t now = now_ns();

	drain(c->executor->wake_fd);
	read_faults(s, c); /* after that: what is reported from here on wakes us again */
	if (now - c->wakes_since > WAKES_NS) {
		c->wakes_since = now;
		c->wakes = 0;
	}
	if (++c->wakes > WAKES_MAX &&
	    !epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->executor->wake_fd, NULL)) {
		c->deaf = true;
		if (!s->deaf_until)
			s->deaf_until = now + WAKES_NS;
	}
	turns_poke(&gpu_of(s, c->executor)->turns, c->executor, now);
}

static void listen_again(struct server *s)
{
	s->deaf_until = 0;
	for (struct connection *c = s->connections; c; c = c->next) {
		if (c->dead || !c->deaf || !c->executor)
			continue;
		c->deaf = false;
		c->wakes = 0;
		if (watch(s, c->executor->wake_fd, &c->wake.source))
			hang_up(s, c);
	}
}

/* The sooner of two moments, of which 0 is never. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

static void take_turns(struct server *s)
{
	uint64_t now = now_ns(), after = 0;

	if (s->deaf_until && now >= s->deaf_until)
		listen_again(s);
	for (uint32_t i = 0; i < s->gpus.num; i++) {
		struct arbiter_gpu *gpu = &s->gpus.gpu[i];
		uint64_t pool = pool_step(&gpu->tenants, &gpu->turns, now), turn = turns_step(&gpu->turns, now);

		if (s->dismissing) {
			hang_up_dismissed(s);
			turn = turns_step(&gpu->turns, now);
		}
		after = sooner(after, sooner(pool, turn));
	}
	if (s->deaf_until)
		after = sooner(after, s->deaf_until > now ? s->deaf_until - now : 1);
	arm_timer(s, after ? now + after : 0);
}

static enum source listen_source = SRC_LISTEN;

/* True: it ends us. */
static bool take_signal(struct server *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGHUP)
		return true;
	reload(s);
	return false;
}

static int loop(struct server *s)
{
	while (!s->facts.shutdown) {
		struct epoll_event ev[64];
		int n = epoll_wait(s->epoll, ev, 64, s->deaf_since ? DEAF_MS : -1);

		if (s->deaf_since && now_ns() - s->deaf_since > DEAF_MS * 1000000ull &&
		    !watch(s, s->listen, &listen_source))
			s->deaf_since = 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			enum source *source = ev[i].data.ptr;
			struct connection *c = (struct connection *)(void *)source;

			switch (*source) {
			case SRC_LISTEN:
				accept_connection(s);
				break;
			case SRC_SIGNAL:
				if (take_signal(s))
					return 0;
				break;
			case SRC_TIMER:
				drain(s->timer);
				s->timer_at = 0;
				break;
			case SRC_CONNECTION:
				if (!c->dead)
					connection_readable(s, c);
				break;
			case SRC_WAKE:
				c = ((struct wake *)(void *)source)->connection;
				if (!c->dead)
					executor_woke(s, c);
				break;
			}
		}
		take_turns(s);
		bury(s);
	}
	return 0;
}

static int make_directory_of(const char *path)
{
	char dir[108];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = 0;
	return mkdir(dir, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* The lock file beside the socket says whether a daemon lives; a socket file alone may be left from
 * a killed one. */
static int take_lock(struct server *s, const char *path)
{
	struct stat ours, there;
	char lock[116], pid[16];
	ssize_t n;

	snprintf(lock, sizeof(lock), "%s.lock", path);
	for (;;) {
		s->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (s->lock < 0) {
			int err = -errno;

			fprintf(stderr, "hsavisord: cannot open %s: %s\n", lock, strerror(-err));
			return err;
		}
		if (flock(s->lock, LOCK_EX | LOCK_NB) < 0) {
			n = read(s->lock, pid, sizeof(pid) - 1);
			pid[n > 0 ? n : 0] = 0;
			fprintf(stderr, "hsavisord: already running at %s (pid %ld)\n", path,
				strtol(pid, NULL, 10));
			return -EADDRINUSE;
		}
		/* A daemon that ended meanwhile has removed the file that we opened. */
		if (!fstat(s->lock, &ours) && !stat(lock, &there) && ours.st_ino == there.st_ino)
			break;
		close(s->lock);
	}
	if (ftruncate(s->lock, 0) < 0 || dprintf(s->lock, "%d\n", (int)getpid()) < 0)
		return -EIO;
	return 0;
}

static int open_socket(struct server *s)
{
	const char *path = s->config->socket_path;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int err;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		fprintf(stderr, "hsavisord: the socket's path is longer than %zu characters\n",
			sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(addr.sun_path, path);
	err = make_directory_of(path);
	if (err) {
		fprintf(stderr, "hsavisord: cannot make the directory of %s: %s\n", path,
			strerror(-err));
		return err;
	}
	err = take_lock(s, path);
	if (err)
		return err;
	unlink(path);
	s->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(s->config->group == (gid_t)-1 ? 0177 : 0117);
	err = s->listen < 0 || bind(s->listen, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno
											   : 0;
	umask(mask);
	if (!err && s->config->group != (gid_t)-1 && chown(path, (uid_t)-1, s->config->group) < 0)
		err = -errno;
	if (!err && listen(s->listen, 64) < 0)
		err = -errno;
	if (err)
		fprintf(stderr, "hsavisord: cannot listen at %s: %s\n", path, strerror(-err));
	return err;
}

static int open_all(struct server *s)
{
	static enum source signal_source = SRC_SIGNAL, timer_source = SRC_TIMER;
	sigset_t set;
	struct rlimit files;
	int err = open_socket(s);

	if (err)
		return err;
	/* An executor takes up to four descriptors. */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll < 0 || s->signals < 0 || s->timer < 0)
		return -errno;
	err = watch(s, s->listen, &listen_source);
	if (!err)
		err = watch(s, s->signals, &signal_source);
	if (!err)
		err = watch(s, s->timer, &timer_source);
	return err;
}

static void close_all(struct server *s)
{
	for (uint32_t i = 0; i < s->gpus.num; i++)
		s->gpus.gpu[i].tenants.ending = true;
	for (struct connection *c = s->connections; c; c = c->next)
		hang_up(s, c);
	bury(s);
	closer_end(s->closer);
	if (s->listen >= 0) {
		close(s->listen);
		unlink(s->config->socket_path);
	}
	if (s->lock >= 0) {
		char lock[116];

		snprintf(lock, sizeof(lock), "%s.lock", s->config->socket_path);
		if (s->listen >= 0)
			unlink(lock);
		close(s->lock);
	}
	for (int *fd = (int[]){s->epoll, s->signals, s->timer, -2}; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	for (uint32_t i = 0; i < s->gpus.num; i++)
		if (s->gpus.gpu[i].tenants.swap_dir >= 0)
			close(s->gpus.gpu[i].tenants.swap_dir);
}

/* So that a pipe that our starter reads from ends when it does. Logs go to HSAVISOR_LOG_FILE, if
 * that is set. */
static void give_up_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* Before other programs, if the system lets us; it is no failure if not. */
static void run_first(void)
{
	struct sched_param param = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) &&
	    setpriority(PRIO_PROCESS, 0, -20))
		log_info("runs with normal priority: turns may come later on a busy machine");
}

static void make_gpus(struct server *s)
{
	const struct server_config *config = s->config;

	for (uint32_t i = 0; i < config->num_gpus; i++) {
		struct arbiter_gpu *gpu = &s->gpus.gpu[i];

		gpu->config = &config->gpus[i];
		gpu->tenants.gpu = i;
		gpu->tenants.pool = gpu->config->pool;
		gpu->tenants.default_quota = config->default_quota;
		gpu->tenants.swap = config->swap;
		gpu->tenants.swap_dir = -1;
		turns_init(&gpu->turns, &turns_ops, s);
	}
	s->gpus.num = config->num_gpus;
}

static int open_swap(struct server *s)
{
	int err = 0;

	for (uint32_t i = 0; i < s->gpus.num && !err && s->config->swap && s->config->swap_dir; i++)
		err = pool_open_directory(&s->gpus.gpu[i].tenants, s->config->swap_dir);
	return err;
}

static void say_ready(const struct server *s)
{
	const struct server_config *config = s->config;
	char several[32] = "";

	for (uint32_t i = 0; i < config->num_gpus; i++) {
		const struct server_gpu *g = &config->gpus[i];

		if (config->num_gpus > 1)
			snprintf(several, sizeof(several), " %u", i);
		fprintf(stderr, "hsavisord: ready at %s: software GPU%s %s, %llu MiB of VRAM, %u threads a tenant\n", config->socket_path,
			several, g->target, (unsigned long long)g->pool >> 20, g->threads);
	}
}

int server_run(const struct server_config *config)
{
	struct server *s = calloc(1, sizeof(*s));
	char message[CONFIG_MESSAGE];
	int err;

	if (!s)
		return -ENOMEM;
	s->closer = closer_new();
	if (!s->closer) {
		free(s);
		return -ENOMEM;
	}
	s->shares.closer = s->closer;
	s->config = config;
	s->epoll = s->listen = s->timer = s->signals = s->lock = -1;
	make_gpus(s);
	s->facts = (struct control_facts){.config_path = config->config_path,
					  .faults = &s->faults,
					  .started_ns = now_ns()};
	err = load_policies(s, message);
	if (err)
		fprintf(stderr, "hsavisord: %s\n", message);
	else
		err = open_all(s);
	if (!err)
		err = open_swap(s);
	if (!err) {
		run_first();
		err = privileges_drop();
	}
	if (!err) {
		say_ready(s);
		if (config->ready_fd >= 0) {
			if (write(config->ready_fd, "", 1) < 0)
				log_warn("nobody waits for readiness: %s", strerror(errno));
			close(config->ready_fd);
		}
		if (config->detach)
			give_up_terminal();
		err = loop(s);
	}
	close_all(s);
	config_free(s->policies);
	free(s);
	return err;
}
