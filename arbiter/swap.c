// SPDX-License-Identifier: MIT
/*
 * swap.c - see swap.h; protocol.h tells how hsavisord asks.
 *
 * Theory of operation. VRAM is a memfd, mapped in this process (by the GPU's threads, by a host
 * program) and perhaps by a VM. To take it away: whoever is outside is kept out by ops->stop; every
 * mapping here is registered with userfaultfd and write-protected, so that a store waits; what the
 * memfd has (SEEK_DATA) is written to the same place of the swap file; then the memfd is one hole.
 * A load or store finds no page and waits, too: the fault is read by our thread, which asks for the
 * VRAM. To bring it back the file is copied into the memfd page by page, each seen whole or not at
 * all, and the mappings are released, which lets all who wait go on. So nothing here has to be
 * stopped for correctness: GPU threads that are late, or look at a ring in VRAM, just wait.
 *
 * Pages that were never written are holes in both files and cost nothing.
 *
 * Our thread must not wait for anything that a thread which waits for VRAM may hold: it takes
 * `lock`, which is held by others for short and never over an access to VRAM, and what ops take.
 *
 * A file that can't be read back is memory that is lost: the process ends, rather than go on with
 * something else. Running out of memory while reading it back is waited out.
 */
#define LOG_PART "swap"
#include "arbiter/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/protocol.h"
#include "base/log.h"
#include "base/userfault.h"

/* EVENT_REMAP: a mapping that the program moves stays registered; we are told, and don't mind. */
#define TRAPS                                                                                      \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |                        \
	 UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_EVENT_REMAP)

#define PAGE_BYTES   4096u
#define BOUNCE	     (1u << 20) /* bytes copied at once */
#define MAX_MAPPINGS 65536
#define LOOK_MS	     500 /* between two looks whether hsavisord lives, while the VRAM is away */
#define LEAVE_MS     100 /* how long GPU threads have for leaving before they are made to wait */

struct swap {
	struct swap_config config;
	int file, bell; /* the client's */
	int uffd;	/* -1: can't be swapped */
	pthread_t thread;
	uint8_t *bounce;
	struct swap_range *ranges;

	pthread_mutex_t lock; /* what follows, and the copying */
	pthread_cond_t here;
	bool trapped; /* mappings are registered */
	bool going;   /* from before ops->stop until it is away or it did not work out */
	bool away;
	bool wanted, stop;
};

/* ------------------------------------------------------------------ traps */

static int mappings(struct swap *s)
{
	const struct swap_config *c = &s->config;

	if (c->ops->mappings)
		return c->ops->mappings(c->ctx, s->ranges, MAX_MAPPINGS);
	s->ranges[0] = (struct swap_range){(uintptr_t)c->vram, c->size};
	return 1;
}

static void release_range(struct swap *s, const struct swap_range *r)
{
	struct uffdio_range range = {r->start, r->size};

	/* An error: it was unmapped meanwhile. */
	ioctl(s->uffd, UFFDIO_UNREGISTER, &range);
}

static int trap_range(struct swap *s, const struct swap_range *r)
{
	struct uffdio_register reg = {
		.range = {r->start, r->size},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect wp = {
		.range = {r->start, r->size},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (ioctl(s->uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	while (ioctl(s->uffd, UFFDIO_WRITEPROTECT, &wp)) {
		if (errno == EAGAIN)
			continue; /* the address space is changing */
		return -errno;
	}
	return 0;
}

/* Wakes all who wait: what they touched is there now. */
static void release_all(struct swap *s)
{
	int n;

	s->trapped = false;
	n = mappings(s);
	if (n < 0) {
		/* Nobody may wait for ever: closing it releases all. It won't be swapped any more.
		 */
		log_error("mappings can't be listed (%s)", strerror(-n));
		close(s->uffd);
		s->uffd = -1;
		return;
	}
	for (int i = 0; i < n; i++)
		release_range(s, &s->ranges[i]);
}

static int trap_all(struct swap *s)
{
	int err = 0;

	/* A program that unmaps some meanwhile makes it fail. */
	for (int tries = 0; tries < 3; tries++) {
		int n = mappings(s);

		err = n < 0 ? n : 0;
		for (int i = 0; i < n && !err; i++)
			err = trap_range(s, &s->ranges[i]);
		if (!err) {
			s->trapped = true;
			return 0;
		}
		for (int i = 0; i < n; i++)
			release_range(s, &s->ranges[i]);
	}
	return err;
}

/* ------------------------------------------------------------------ copying */

static int write_all(int fd, const uint8_t *data, size_t size, off_t at)
{
	while (size) {
		ssize_t n = pwrite(fd, data, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		data += n;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

static int read_all(int fd, uint8_t *data, size_t size, off_t at)
{
	while (size) {
		ssize_t n = pread(fd, data, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

static int punch(int fd, uint64_t offset, uint64_t size)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size)
		       ? -errno
		       : 0;
}

/*
 * Copies what the VRAM's memfd has, page by page, to the same place of the swap file, or back from there. An error of writing back is waited
 * out. *bytes: what was copied.
 */
static int copy(struct swap *s, bool back, uint64_t *bytes)
{
	const struct swap_config *c = &s->config;
	int from = back ? s->file : c->vram_fd, to = back ? c->vram_fd : s->file;
	off_t at = back ? 0 : (off_t)c->vram_offset, last = at + (off_t)c->size, end;
	off_t ahead = (off_t)c->vram_offset * (back ? 1 : -1); /* of a place in to before that in from */

	*bytes = 0;
	while (at < last) {
		int err;

		at = lseek(from, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : -errno;
		at &= ~(off_t)(PAGE_BYTES - 1);
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		end = (end + PAGE_BYTES - 1) & ~(off_t)(PAGE_BYTES - 1);
		if (end > last)
			end = last;
		for (; at < end;) {
			size_t part = end - at < (off_t)BOUNCE ? (size_t)(end - at) : BOUNCE;

			err = read_all(from, s->bounce, part, at);
			if (err)
				return err;
			while ((err = write_all(to, s->bounce, part, at + ahead)) && back) {
				struct timespec wait = {0, 100000000};

				log_warn("no memory to bring VRAM back to (%s)", strerror(-err));
				nanosleep(&wait, NULL);
			}
			if (err)
				return err;
			at += (off_t)part;
			*bytes += part;
		}
	}
	return 0;
}

/* lock held */
static int move_out(struct swap *s)
{
	uint64_t bytes;
	int err = copy(s, false, &bytes);

	if (!err)
		err = punch(s->config.vram_fd, s->config.vram_offset, s->config.size);
	if (err) {
		/* Punching frees all or, on a kernel without it, nothing. */
		punch(s->file, 0, s->config.size);
		return err;
	}
	s->away = true;
	log_info("%llu KiB of VRAM swapped out", (unsigned long long)bytes >> 10);
	return 0;
}

static int go(struct swap *s)
{
	const struct swap_config *c = &s->config;
	int err;

	if (s->uffd < 0)
		return -EOPNOTSUPP;
	for (int ms = 0; ms < LEAVE_MS && arbiter_turn_users(c->client); ms++) {
		struct timespec wait = {0, 1000000};

		nanosleep(&wait, NULL);
	}
	pthread_mutex_lock(&s->lock);
	s->going = true;
	pthread_mutex_unlock(&s->lock);
	err = c->ops->stop ? c->ops->stop(c->ctx) : 0;
	pthread_mutex_lock(&s->lock);
	if (!err) {
		err = trap_all(s);
		if (c->ops->stopped)
			c->ops->stopped(c->ctx);
		if (!err) {
			err = move_out(s);
			if (err)
				release_all(s);
		}
	}
	s->going = false;
	if (err) {
		s->wanted = false;
		pthread_cond_broadcast(&s->here);
	}
	pthread_mutex_unlock(&s->lock);
	if (err)
		log_warn("VRAM can't be swapped out: %s", strerror(-err));
	return err;
}

static void come(struct swap *s)
{
	uint64_t bytes;
	int err;

	pthread_mutex_lock(&s->lock);
	err = copy(s, true, &bytes);
	if (err) {
		log_error(
			"swapped VRAM can't be read back (%s): it is lost, and so is this process",
			strerror(-err));
		abort();
	}
	s->away = false;
	release_all(s);
	if (punch(s->file, 0, s->config.size) &&
	    (ftruncate(s->file, 0) || ftruncate(s->file, (off_t)s->config.size)))
		log_warn("the swap file can't be emptied: %s", strerror(errno));
	s->wanted = false;
	pthread_cond_broadcast(&s->here);
	pthread_mutex_unlock(&s->lock);
	arbiter_vram_need(s->config.client, false);
	log_info("%llu KiB of VRAM brought back", (unsigned long long)bytes >> 10);
}

/* ------------------------------------------------------------------ the thread */

/* Reads what faulted. What matters is that something did. */
static bool read_faults(struct swap *s)
{
	struct uffd_msg msg[16];
	bool any = false;
	ssize_t n;

	if (s->uffd < 0)
		return false;
	while ((n = read(s->uffd, msg, sizeof(msg))) > 0)
		for (size_t i = 0; i < (size_t)n / sizeof(msg[0]); i++)
			any |= msg[i].event == UFFD_EVENT_PAGEFAULT;
	return any;
}

static void *swap_thread(void *arg)
{
	struct swap *s = arg;
	struct arbiter_client *client = s->config.client;
	uint32_t seen = 0; /* the last order dealt with */
	bool stop = false;

	pthread_setname_np(pthread_self(), "hsavisor-swap");
	while (!stop) {
		struct pollfd p[2] = {{.fd = s->bell, .events = POLLIN},
				      {.fd = s->uffd, .events = POLLIN}};
		uint32_t order = arbiter_vram_order(client);
		bool faulted, wanted;
		uint64_t n;

		if (order != seen) {
			int err = 0;

			if (order & ARBITER_VRAM_OUT)
				err = s->away ? 0 : go(s);
			else if (s->away)
				come(s);
			seen = order;
			arbiter_vram_answer(client, order, !err);
			continue;
		}
		if (poll(p, 2, s->away ? LOOK_MS : -1) < 0 && errno != EINTR)
			return NULL;
		if (p[0].revents && read(s->bell, &n, sizeof(n)) < 0) {
			/* EAGAIN: somebody else has heard it. */
		}
		faulted = p[1].revents && read_faults(s);
		pthread_mutex_lock(&s->lock);
		wanted = s->wanted;
		stop = s->stop;
		pthread_mutex_unlock(&s->lock);
		if (!s->away)
			continue;
		if (!arbiter_look(client) || stop)
			come(s);
		else if (faulted || wanted)
			arbiter_vram_need(client, true);
	}
	return NULL;
}

static void ring(struct swap *s)
{
	uint64_t one = 1;

	if (write(s->bell, &one, sizeof(one)) < 0) {
		/* EAGAIN: it was rung often enough. */
	}
}

/* ------------------------------------------------------------------ what others call */

static void swap_free(struct swap *s)
{
	if (s->uffd >= 0)
		close(s->uffd);
	pthread_cond_destroy(&s->here);
	pthread_mutex_destroy(&s->lock);
	free(s->ranges);
	free(s->bounce);
	free(s);
}

int swap_open(const struct swap_config *config, struct swap **swap)
{
	sigset_t all, old;
	struct swap *s;
	int file, bell, err;

	*swap = NULL;
	arbiter_swap_files(config->client, &file, &bell);
	if (file < 0)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->file = file;
	s->bell = bell;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->here, NULL);
	s->uffd = userfault_open(TRAPS, config->syscalls);
	if (s->uffd < 0)
		log_warn("this process's VRAM can't be swapped: no userfaultfd (%s)",
			 strerror(-s->uffd));
	s->bounce = malloc(BOUNCE);
	s->ranges = malloc((config->ops->mappings ? MAX_MAPPINGS : 1) * sizeof(*s->ranges));
	if (!s->bounce || !s->ranges) {
		swap_free(s);
		return -ENOMEM;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&s->thread, NULL, swap_thread, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		swap_free(s);
		return -err;
	}
	*swap = s;
	return 0;
}

void swap_close(struct swap *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	ring(s);
	pthread_join(s->thread, NULL);
	swap_free(s);
}

void swap_forget(struct swap *s)
{
	if (s && s->uffd >= 0)
		close(s->uffd);
}

void swap_clear(struct swap *s, uint64_t offset, uint64_t size)
{
	pthread_mutex_lock(&s->lock);
	if (s->away)
		punch(s->file, offset, size);
	/* Also of VRAM that is away: what a VM wrote there against the rules. */
	if (punch(s->config.vram_fd, s->config.vram_offset + offset, size))
		log_error("VRAM can't be cleared: %s", strerror(errno));
	pthread_mutex_unlock(&s->lock);
}

void swap_want(struct swap *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->wanted = s->going || s->away;
	pthread_mutex_unlock(&s->lock);
	ring(s);
}

void swap_hold(struct swap *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	while (s->going || s->away) {
		s->wanted = true;
		ring(s);
		pthread_cond_wait(&s->here, &s->lock);
	}
}

void swap_release(struct swap *s)
{
	if (s)
		pthread_mutex_unlock(&s->lock);
}

int swap_mapped(struct swap *s, void *addr, size_t size)
{
	struct swap_range range = {(uintptr_t)addr, size};
	int err;

	if (!s)
		return 0;
	pthread_mutex_lock(&s->lock);
	err = s->trapped ? trap_range(s, &range) : 0;
	pthread_mutex_unlock(&s->lock);
	return err;
}
