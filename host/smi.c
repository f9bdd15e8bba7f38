// SPDX-License-Identifier: MIT
/*
 * smi.c - SMI_EVENTS: a descriptor that tells as lines of text what happens to the GPU process.
 *
 * The program has one end of a pair of stream sockets, so that read, write, poll and close on it need no help of ours: lines wait in it to be
 * read, and what the program writes, its mask of events, waits at our end until the next event, before which it is looked at. Sockets are of
 * bounded size; a line that has no room is lost, as with amdkfd. When the program has closed its end, ours is closed at the next event or opening.
 *
 * A host process has a GPU of its own, so only its own events are told, whatever the mask says of others.
 *
 * Locks: smi.lock is held for moments only; it is taken with or without front.lock held, and by GPU threads.
 */
#define LOG_PART "host"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "abi/kfd_smi.h"
#include "host/front.h"

#define MAX_CLIENTS 64
#define QUEUE_SIZE  (128 << 10) /* bytes, with what the kernel adds to each line: some 150 lines */

struct client {
	int fd;
	uint32_t gpu_id;
	uint64_t events; /* the mask */
	uint8_t mask[8]; /* bytes of a new one, while there are fewer than 8 */
	size_t have;
};

static struct {
	pthread_mutex_t lock;
	struct client clients[MAX_CLIENTS];
	_Atomic unsigned num;
	unsigned resets;
} smi = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Takes what the program wrote. False: it has closed its end. */
static bool take_mask(struct client *c)
{
	ssize_t n;

	while ((n = recv(c->fd, c->mask + c->have, sizeof(c->mask) - c->have, MSG_DONTWAIT)) > 0) {
		c->have += (size_t)n;
		if (c->have == sizeof(c->mask)) {
			memcpy(&c->events, c->mask, sizeof(c->events));
			c->have = 0;
		}
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Forgets those that have closed. Lock held. */
static void listen_to_all(void)
{
	for (unsigned i = 0; i < smi.num;) {
		if (take_mask(&smi.clients[i])) {
			i++;
			continue;
		}
		close(smi.clients[i].fd);
		smi.clients[i] = smi.clients[--smi.num];
	}
}

int smi_open(struct kfd_ioctl_smi_events_args *args)
{
	int pair[2], size = QUEUE_SIZE, err = 0;

	if (front_gpu_index(args->gpuid) == front.num_gpus)
		return -EINVAL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	pthread_mutex_lock(&smi.lock);
	listen_to_all();
	if (smi.num < MAX_CLIENTS)
		smi.clients[smi.num++] = (struct client){.fd = pair[1], .gpu_id = args->gpuid};
	else
		err = -EMFILE;
	pthread_mutex_unlock(&smi.lock);
	if (err) {
		close(pair[0]);
		close(pair[1]);
		return err;
	}
	args->anon_fd = (uint32_t)pair[0];
	return 0;
}

static __attribute__((format(printf, 3, 4))) void tell(uint32_t gpu_id, unsigned event, const char *format, ...)
{
	char line[KFD_SMI_EVENT_MSG_SIZE];
	int saved = errno, n;
	va_list ap;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	pthread_mutex_lock(&smi.lock);
	listen_to_all();
	for (unsigned i = 0; i < smi.num; i++) {
		const struct client *c = &smi.clients[i];

		/* All of it or nothing: a line is one piece of the socket's memory. */
		if (c->gpu_id == gpu_id && c->events & KFD_SMI_EVENT_MASK_FROM_INDEX(event))
			send(c->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	pthread_mutex_unlock(&smi.lock);
	errno = saved;
}

static bool nobody(void)
{
	return !atomic_load_explicit(&smi.num, memory_order_relaxed);
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void smi_memory_fault(uint32_t gpu_id)
{
	if (!nobody())
		tell(gpu_id, KFD_SMI_EVENT_VMFAULT, HSV_SMI_VMFAULT, KFD_SMI_EVENT_VMFAULT, (unsigned)getpid(), program_invocation_short_name);
}

void smi_reset(uint32_t gpu_id)
{
	unsigned number;

	if (nobody())
		return;
	pthread_mutex_lock(&smi.lock);
	number = ++smi.resets;
	pthread_mutex_unlock(&smi.lock);
	tell(gpu_id, KFD_SMI_EVENT_GPU_PRE_RESET, HSV_SMI_GPU_RESET, KFD_SMI_EVENT_GPU_PRE_RESET, number, program_invocation_short_name);
	tell(gpu_id, KFD_SMI_EVENT_GPU_POST_RESET, HSV_SMI_GPU_RESET, KFD_SMI_EVENT_GPU_POST_RESET, number, "");
}

/* Which of several GPUs asked for a page isn't known here: nothing is told then. */
void smi_page_fault(uint64_t va, bool write)
{
	if (!nobody() && front.num_gpus == 1)
		tell(front.gpus[0].id, KFD_SMI_EVENT_PAGE_FAULT_START, HSV_SMI_PAGE_FAULT, KFD_SMI_EVENT_PAGE_FAULT_START, now(), getpid(), (unsigned long)(va / FRONT_PAGE),
		     front.gpus[0].id, write ? 'W' : 'R');
}

void smi_page_fault_end(uint64_t va)
{
	if (!nobody() && front.num_gpus == 1)
		tell(front.gpus[0].id, KFD_SMI_EVENT_PAGE_FAULT_END, HSV_SMI_PAGE_FAULT, KFD_SMI_EVENT_PAGE_FAULT_END, now(), getpid(), (unsigned long)(va / FRONT_PAGE),
		     front.gpus[0].id, 'U');
}

void smi_unmap(uint64_t va, uint64_t size)
{
	for (uint32_t i = 0; !nobody() && i < front.num_gpus; i++)
		tell(front.gpus[i].id, KFD_SMI_EVENT_UNMAP_FROM_GPU, HSV_SMI_UNMAP, KFD_SMI_EVENT_UNMAP_FROM_GPU, now(), getpid(), (unsigned long)(va / FRONT_PAGE),
		     (unsigned long)(size / FRONT_PAGE), front.gpus[i].id, KFD_SVM_UNMAP_TRIGGER_UNMAP_FROM_CPU);
}

void smi_forget(void)
{
	pthread_mutex_init(&smi.lock, NULL);
	while (smi.num)
		close(smi.clients[--smi.num].fd);
}
