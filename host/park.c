// SPDX-License-Identifier: MIT
/*
 * park.c - doorbell pages that trap when the process's queues are idle, so that an idle program
 * costs no CPU.
 *
 * The program's doorbell mappings are registered with userfaultfd for write protection. When the
 * GPU says idle, a thread protects them and tells the core that a store would trap; the GPU stops
 * polling. The next store faults into that thread, which wakes the GPU and lifts the protection;
 * the store then goes through. Without userfaultfd (it may be forbidden, and needs Linux 5.19 for
 * shared memory) the GPU is never parked: it goes on polling with sleeps.
 */
#define LOG_PART "host"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/userfault.h"
#include "host/front.h"

#define MAX_MAPS 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int uffd = -1, idle_fd = -1;
static enum { NOT_TRIED, WORKS, UNAVAILABLE } state;
static uintptr_t maps[MAX_MAPS];
static unsigned num_maps;
static bool armed; /* stores trap */

/* lock held */
static void protect(uintptr_t at, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = {.start = at, .len = HSV_DOORBELL_SLOT},
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	/* An error means the program unmapped it; then there is nothing to protect. */
	ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
}

static void protect_all(bool on)
{
	pthread_mutex_lock(&lock);
	armed = on;
	for (unsigned i = 0; i < num_maps; i++)
		protect(maps[i], on);
	pthread_mutex_unlock(&lock);
}

static void park(void)
{
	pthread_mutex_lock(&front.lock);
	if (front.process) {
		protect_all(true);
		/* EAGAIN: work came meanwhile. It will be idle again, and the trap stays set. */
		kfd_process_parked(front.process);
	}
	pthread_mutex_unlock(&front.lock);
}

static void unpark(void)
{
	pthread_mutex_lock(&front.lock);
	if (front.process)
		kfd_process_unpark(front.process);
	pthread_mutex_unlock(&front.lock);
	protect_all(false);
}

static void *park_thread(void *arg)
{
	pthread_setname_np(pthread_self(), "hsavisor-park");
	for (;;) {
		struct pollfd fds[2] = {{.fd = uffd, .events = POLLIN},
					{.fd = idle_fd, .events = POLLIN}};
		struct uffd_msg msg;
		uint64_t n;

		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return NULL;
		}
		if ((fds[0].revents | fds[1].revents) & (POLLNVAL | POLLERR | POLLHUP))
			return NULL;
		if (fds[1].revents && read(idle_fd, &n, sizeof(n)) == sizeof(n))
			park();
		if (fds[0].revents && read(uffd, &msg, sizeof(msg)) == sizeof(msg) &&
		    msg.event == UFFD_EVENT_PAGEFAULT)
			unpark();
	}
}

static int start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, park_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

static int start(void)
{
	int err;

	uffd = userfault_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
			      false);
	err = uffd < 0 ? uffd : 0;
	if (!err) {
		idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		err = idle_fd < 0 ? -errno : start_thread();
	}
	if (!err)
		return WORKS;
	log_info("doorbells are polled while idle: they can't trap (%s)", strerror(-err));
	if (idle_fd >= 0)
		close(idle_fd);
	if (uffd >= 0)
		close(uffd);
	uffd = idle_fd = -1;
	return UNAVAILABLE;
}

int park_map(void *addr)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)addr, .len = HSV_DOORBELL_SLOT},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	unsigned i;
	int err = 0;

	pthread_mutex_lock(&lock);
	if (state == NOT_TRIED)
		state = start();
	if (state == WORKS) {
		for (i = 0; i < num_maps && maps[i] != reg.range.start; i++)
			;
		if (i == MAX_MAPS)
			err = -ENOMEM;
		else if (ioctl(uffd, UFFDIO_REGISTER, &reg))
			err = -errno;
		if (!err) {
			maps[i] = reg.range.start;
			if (i == num_maps)
				num_maps++;
			if (armed)
				protect(maps[i], true);
		}
	}
	pthread_mutex_unlock(&lock);
	return err;
}

void park_idle(void *ctx)
{
	uint64_t one = 1;

	/* With no mapping that can trap, nothing could wake a parked GPU but an ioctl, which does.
	 */
	if (idle_fd >= 0 && write(idle_fd, &one, sizeof(one)) < 0)
		log_debug("idle: %s", strerror(errno));
}

void park_forget(void)
{
	pthread_mutex_init(&lock, NULL);
	if (uffd >= 0)
		close(uffd);
	if (idle_fd >= 0)
		close(idle_fd);
	uffd = idle_fd = -1;
	state = NOT_TRIED;
	num_maps = 0;
	armed = false;
}
