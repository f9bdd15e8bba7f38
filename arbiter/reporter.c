// SPDX-License-Identifier: MIT
/*
 * reporter.c - writes the fault ring and the trace ring; see protocol.h.
 *
 * Theory of operation: GPU threads make trace events only while the page says so; one lock orders
 * them in the ring. An entry is written, then counted; and before the next one is written, which
 * may overwrite what a reader copies, the count is visible (the fences). Nobody waits for readers:
 * they see by the count what they have lost.
 *
 * Kernels' names: a GPU thread that makes an event of a kernel not seen before in this session puts
 * it on a list. A thread of ours, made when the list first gets an entry, so only while somebody
 * traces, asks who owns the GPU for the name and writes it into the ring as records
 * (GPU_TRACE_NAME): process and kernel say whose; 40 bytes of text a record, which lie in begin_ns,
 * end_ns, value, workgroups and reserved, in this order; queue is the record's number, preempted the
 * length of the whole name.
 *
 * close() and the like go through syscall(), see client.c.
 */
#define LOG_PART "tenant"
#include "arbiter/reporter.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "core/kfd.h"

#define MAX_SEEN    1024 /* kernels of a session whose names are told; a power of two */
#define MAX_PENDING 128

struct kernel {
	uint32_t process;
	uint64_t va;
};

struct reporter {
	struct arbiter_shared *shared;
	int wake_fd;
	pthread_mutex_t lock; /* what follows, and the writing of both rings */
	pthread_cond_t cond;  /* there are pending ones, or quit, or the namer returned */
	uint32_t session;     /* that seen is of */
	struct kernel seen[MAX_SEEN];
	unsigned num_seen;
	struct kernel pending[MAX_PENDING];
	unsigned num_pending;
	arbiter_namer *namer;
	void *namer_ctx;
	bool naming; /* the namer runs */
	bool started, quit;
	pthread_t thread;
};

struct reporter *reporter_new(struct arbiter_shared *shared, int wake_fd)
{
	struct reporter *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->shared = shared;
	r->wake_fd = wake_fd;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->cond, NULL);
	return r;
}

void reporter_free(struct reporter *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->quit = true;
	pthread_cond_broadcast(&r->cond);
	pthread_mutex_unlock(&r->lock);
	if (r->started)
		pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->cond);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void reporter_forget(struct reporter *r)
{
	free(r); /* the lock may have been held, or waited for, by threads that are not here */
}

/* ------------------------------------------------------------------ faults */

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void arbiter_report_fault(struct arbiter_client *client, const struct arbiter_fault *fault)
{
	struct reporter *r = client_reporter(client);
	uint64_t one = 1;
	uint32_t n;

	pthread_mutex_lock(&r->lock);
	n = atomic_load_explicit(&r->shared->page.faults, memory_order_relaxed);
	r->shared->faults[n % ARBITER_FAULTS] = *fault;
	r->shared->faults[n % ARBITER_FAULTS].time_ns = realtime_ns();
	atomic_store_explicit(&r->shared->page.faults, n + 1, memory_order_release);
	atomic_thread_fence(memory_order_release);
	pthread_mutex_unlock(&r->lock);
	if (syscall(SYS_write, r->wake_fd, &one, sizeof(one)) < 0) {
		/* EAGAIN: the counter is full, so the arbiter has been woken. */
	}
}

void arbiter_publish(struct arbiter_counters *counters, const struct kfd_stats *stats)
{
	struct arbiter_paging *p = &counters->paging;

	atomic_store_explicit(&counters->vram_used, stats->vram_used, memory_order_relaxed);
	atomic_store_explicit(&counters->vram_peak, stats->vram_peak, memory_order_relaxed);
	atomic_store_explicit(&counters->system_pinned, stats->system_pinned, memory_order_relaxed);
	atomic_store_explicit(&counters->processes, stats->processes, memory_order_relaxed);
	atomic_store_explicit(&counters->queues, stats->queues, memory_order_relaxed);
	atomic_store_explicit(&p->requests, stats->page_requests, memory_order_relaxed);
	atomic_store_explicit(&p->pages, stats->requested_pages, memory_order_relaxed);
	atomic_store_explicit(&p->waits, stats->page_waits, memory_order_relaxed);
	atomic_store_explicit(&p->invalidations, stats->page_invalidations, memory_order_relaxed);
	atomic_store_explicit(&p->pages_taken, stats->pages_taken, memory_order_relaxed);
	atomic_store_explicit(&p->bytes, stats->paged, memory_order_relaxed);
}

void arbiter_report_kfd_fault(struct arbiter_client *client, const struct kfd_fault *fault)
{
	struct arbiter_fault f = {
		.address = fault->memory.va,
		.kernel = fault->kernel,
		.process = fault->pid,
		.queue = fault->queue,
		.code = fault->code,
		.flags = fault->memory.not_present | fault->memory.read_only << 1 |
			 fault->memory.no_execute << 2,
	};

	snprintf(f.process_name, sizeof(f.process_name), "%s", fault->process);
	snprintf(f.kernel_name, sizeof(f.kernel_name), "%s", fault->kernel_name);
	arbiter_report_fault(client, &f);
}

/* ------------------------------------------------------------------ the trace ring */

/* Lock held. Word by word, for a reader may copy at the same time. */
static void put(struct reporter *r, const struct gpu_trace_event *event)
{
	struct arbiter_page *page = &r->shared->page;
	uint64_t n = atomic_load_explicit(&page->traced, memory_order_relaxed);
	uint64_t words[sizeof(*event) / 8];
	_Atomic uint64_t *to = (_Atomic uint64_t *)&r->shared->trace[n % ARBITER_TRACE_EVENTS];

	memcpy(words, event, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / 8; i++)
		atomic_store_explicit(&to[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&page->traced, n + 1, memory_order_release);
	atomic_thread_fence(memory_order_release);
}

static void put_name(struct reporter *r, const struct kernel *k, const char *name)
{
	size_t len = strlen(name);

	for (size_t done = 0, part = 0; done < len; done += ARBITER_NAME_PART, part++) {
		struct gpu_trace_event e = {.kernel = k->va,
					    .kind = GPU_TRACE_NAME,
					    .process = k->process,
					    .queue = (uint32_t)part,
					    .preempted = (uint32_t)len};
		char text[ARBITER_NAME_PART] = "";

		memcpy(text, name + done, len - done < sizeof(text) ? len - done : sizeof(text));
		memcpy(&e.begin_ns, text, 8);
		memcpy(&e.end_ns, text + 8, 8);
		memcpy(&e.value, text + 16, 8);
		memcpy(&e.workgroups, text + 24, 8);
		memcpy(&e.reserved, text + 32, 8);
		put(r, &e);
	}
}

size_t arbiter_name_part(const struct gpu_trace_event *e, char text[ARBITER_NAME_PART])
{
	memcpy(text, &e->begin_ns, 8);
	memcpy(text + 8, &e->end_ns, 8);
	memcpy(text + 16, &e->value, 8);
	memcpy(text + 24, &e->workgroups, 8);
	memcpy(text + 32, &e->reserved, 8);
	return (size_t)e->queue * ARBITER_NAME_PART;
}

/* ------------------------------------------------------------------ kernels' names */

/* True if it was seen before; else notes it, as far as there is room. Linear probing. */
static bool was_seen(struct reporter *r, const struct kernel *k)
{
	uint64_t hash = (k->va >> 6 ^ k->process) * 0x9e3779b97f4a7c15ull >> 32;

	for (unsigned i = 0; i < MAX_SEEN; i++) {
		struct kernel *s = &r->seen[(hash + i) % MAX_SEEN];

		if (s->va == k->va && s->process == k->process)
			return true;
		if (s->va)
			continue;
		if (r->num_pending == MAX_PENDING || r->num_seen == MAX_SEEN - 1)
			return true; /* too many at once: it is told later, or not */
		*s = *k;
		r->num_seen++;
		return false;
	}
	return true;
}

static void *name_thread(void *arg)
{
	struct reporter *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->quit) {
		struct kernel k;
		char name[ARBITER_KERNEL_NAME];
		arbiter_namer *namer = r->namer;
		void *ctx = r->namer_ctx;

		if (!r->num_pending || !namer) {
			r->num_pending = 0;
			pthread_cond_wait(&r->cond, &r->lock);
			continue;
		}
		k = r->pending[--r->num_pending];
		r->naming = true;
		pthread_mutex_unlock(&r->lock);
		if (!namer(ctx, k.process, k.va, name, sizeof(name)))
			name[0] = 0;
		pthread_mutex_lock(&r->lock);
		r->naming = false;
		put_name(r, &k, name);
		pthread_cond_broadcast(&r->cond);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* Lock held. */
static void want_name(struct reporter *r, const struct gpu_trace_event *event, uint32_t session)
{
	struct kernel k = {event->process, event->kernel};

	if (session != r->session) {
		memset(r->seen, 0, sizeof(r->seen));
		r->num_seen = 0;
		r->session = session;
	}
	if (!k.va || !r->namer || was_seen(r, &k))
		return;
	/* GPU threads have all signals blocked, and so has what they make. */
	if (!r->started) {
		if (pthread_create(&r->thread, NULL, name_thread, r)) {
			log_warn("no thread for kernels' names; the trace will show addresses");
			r->namer = NULL;
			return;
		}
		r->started = true;
	}
	r->pending[r->num_pending++] = k;
	pthread_cond_broadcast(&r->cond);
}

void arbiter_set_namer(struct arbiter_client *client, arbiter_namer *namer, void *ctx)
{
	struct reporter *r = client_reporter(client);

	pthread_mutex_lock(&r->lock);
	r->namer = namer;
	r->namer_ctx = ctx;
	while (r->naming)
		pthread_cond_wait(&r->cond, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* ------------------------------------------------------------------ gpu_trace_ops */

static bool trace_on(void *ctx)
{
	const struct reporter *r = client_reporter(ctx);

	return atomic_load_explicit(&r->shared->page.trace, memory_order_relaxed) != 0;
}

static void trace_event(void *ctx, const struct gpu_trace_event *event)
{
	struct reporter *r = client_reporter(ctx);
	uint32_t session = atomic_load_explicit(&r->shared->page.trace, memory_order_relaxed);

	if (!session)
		return;
	pthread_mutex_lock(&r->lock);
	put(r, event);
	want_name(r, event, session);
	pthread_mutex_unlock(&r->lock);
}

const struct gpu_trace_ops arbiter_trace_ops = {
	.on = trace_on,
	.event = trace_event,
};
