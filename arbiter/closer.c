// SPDX-License-Identifier: MIT
/* closer.c - see closer.h. */
#include "arbiter/closer.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS	     64
#define USER_THREADS 16
#define STACK	     (256 << 10)

struct closing {
	struct closing *next;
	int fd;
	uid_t user;
	bool begun;
};

struct closer {
	pthread_mutex_t lock;
	pthread_cond_t done; /* all is closed */
	struct closing *list;
	unsigned threads;
	bool ending; /* the last thread frees it */
};

struct closer *closer_new(void)
{
	struct closer *closer = calloc(1, sizeof(*closer));
	pthread_condattr_t attr;

	if (!closer)
		return NULL;
	pthread_mutex_init(&closer->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&closer->done, &attr);
	pthread_condattr_destroy(&attr);
	return closer;
}

static void closer_free(struct closer *closer)
{
	pthread_cond_destroy(&closer->done);
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}

/* How many of the user's there are, or of these are begun. Lock held. */
static unsigned count(const struct closer *closer, uid_t user, bool begun)
{
	unsigned n = 0;

	for (const struct closing *c = closer->list; c; c = c->next)
		n += c->user == user && (c->begun || !begun);
	return n;
}

/* One that may be begun, NULL: there is none. Lock held. */
static struct closing *next(const struct closer *closer)
{
	for (struct closing *c = closer->list; c; c = c->next)
		if (!c->begun && count(closer, c->user, true) < USER_THREADS)
			return c;
	return NULL;
}

/* Lock held. */
static void forget(struct closer *closer, const struct closing *which)
{
	struct closing **at = &closer->list;

	while (*at != which)
		at = &(*at)->next;
	*at = which->next;
}

static void *close_thread(void *arg)
{
	struct closer *closer = arg;
	struct closing *c;
	bool last;

	pthread_mutex_lock(&closer->lock);
	while ((c = next(closer))) {
		c->begun = true;
		pthread_mutex_unlock(&closer->lock);
		close(c->fd);
		pthread_mutex_lock(&closer->lock);
		forget(closer, c);
		free(c);
	}
	last = !--closer->threads;
	if (last)
		pthread_cond_broadcast(&closer->done);
	last = last && closer->ending;
	pthread_mutex_unlock(&closer->lock);
	if (last)
		closer_free(closer);
	return NULL;
}

/* Starts a thread if there is something for it. Without one it waits for those that are there, or
 * for the next call. Lock held. */
static void help(struct closer *closer)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (closer->threads == THREADS || !next(closer))
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	if (!pthread_create(&thread, &attr, close_thread, closer))
		closer->threads++;
	pthread_attr_destroy(&attr);
}

void closer_close(struct closer *closer, int fd, uid_t user)
{
	struct closing *c = malloc(sizeof(*c));

	if (!c) {
		/* Without memory it has to be here. */
		close(fd);
		return;
	}
	pthread_mutex_lock(&closer->lock);
	*c = (struct closing){.next = closer->list, .fd = fd, .user = user};
	closer->list = c;
	help(closer);
	pthread_mutex_unlock(&closer->lock);
}

bool closer_has_too_many(struct closer *closer, uid_t user)
{
	bool too_many;

	pthread_mutex_lock(&closer->lock);
	too_many = count(closer, user, false) > CLOSER_MOST;
	pthread_mutex_unlock(&closer->lock);
	return too_many;
}

void closer_end(struct closer *closer)
{
	struct timespec end;
	bool last;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec++;
	pthread_mutex_lock(&closer->lock);
	help(closer);
	while (closer->threads && !pthread_cond_timedwait(&closer->done, &closer->lock, &end))
		;
	closer->ending = true;
	last = !closer->threads;
	pthread_mutex_unlock(&closer->lock);
	if (last)
		closer_free(closer);
}
