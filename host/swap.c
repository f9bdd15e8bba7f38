// SPDX-License-Identifier: MIT
/*
 * swap.c - VRAM of this process that hsavisord swaps out while others need the room.
 *
 * The program's mappings of VRAM are made to wait with userfaultfd (arbiter/swap.c). Which there
 * are is asked of the kernel, as the program may have moved, split or unmapped some since it made
 * them.
 *
 * All this is done by a thread of its own while the program's threads may be anywhere, also waiting
 * for VRAM: no stdio, no malloc.
 */
#define LOG_PART "host"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "host/front.h"

/* How long an ioctl of the program may keep us from it. */
#define LOCK_NS 500000000

static int stop(void *ctx)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOCK_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	if (pthread_mutex_timedlock(&front.lock, &until))
		return -ETIMEDOUT;
	/* Others map it, whom nothing would tell. */
	if (share_any()) {
		pthread_mutex_unlock(&front.lock);
		return -EBUSY;
	}
	return 0;
}

static void stopped(void *ctx)
{
	pthread_mutex_unlock(&front.lock);
}

struct scan {
	const char *at, *end;
};

static uint64_t number(struct scan *s, unsigned base)
{
	uint64_t v = 0;

	for (; s->at < s->end; s->at++) {
		char c = *s->at;
		unsigned digit = c >= '0' && c <= '9'	? (unsigned)(c - '0')
				 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
							: 16;

		if (digit >= base)
			break;
		v = v * base + digit;
	}
	return v;
}

static bool skip(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* A line of /proc/PID/maps: is it a mapping of that file? "start-end rwxp offset major:minor inode"
 */
static bool parse(const char *line, const char *end, const struct stat *st, struct swap_range *r)
{
	struct scan s = {line, end};
	uint64_t last, device_major, device_minor;

	r->start = number(&s, 16);
	if (!skip(&s, '-'))
		return false;
	last = number(&s, 16);
	if (!skip(&s, ' ') || s.end - s.at < 5)
		return false;
	s.at += 5; /* rights */
	number(&s, 16);
	if (!skip(&s, ' '))
		return false;
	device_major = number(&s, 16);
	if (!skip(&s, ':'))
		return false;
	device_minor = number(&s, 16);
	if (!skip(&s, ' ') || number(&s, 10) != st->st_ino || major(st->st_dev) != device_major ||
	    minor(st->st_dev) != device_minor)
		return false;
	r->size = last - r->start;
	return true;
}

static int mappings(void *ctx, struct swap_range *ranges, size_t max)
{
	static char buf[65536]; /* under front.lock, see stop() */
	const struct front_gpu *g = ctx;
	size_t have = 0, n = 0;
	struct stat st;
	int fd, err = 0;

	if (fstat(g->vram_fd, &st) < 0)
		return -errno;
	fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t got = read(fd, buf + have, sizeof(buf) - have);
		char *line = buf, *end;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			err = got < 0 ? -errno : have ? -EIO : 0;
			break;
		}
		have += (size_t)got;
		while ((end = memchr(line, '\n', have - (size_t)(line - buf)))) {
			if (n < max)
				n += parse(line, end, &st, &ranges[n]);
			else
				err = -ENOSPC;
			line = end + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
	}
	close(fd);
	return err ? err : (int)n;
}

static const struct swap_ops ops = {.stop = stop, .stopped = stopped, .mappings = mappings};

int host_swap_open(struct front_gpu *g)
{
	struct swap_config config = {
		.client = g->client,
		.vram = g->vram,
		.size = g->vram_size,
		.vram_fd = g->vram_fd,
		.syscalls = true,
		.ops = &ops,
		.ctx = g,
	};

	return swap_open(&config, &g->swap);
}

void host_swap_close(struct front_gpu *g)
{
	swap_close(g->swap);
	g->swap = NULL;
}

void host_swap_forget(struct front_gpu *g)
{
	swap_forget(g->swap);
	g->swap = NULL;
}
