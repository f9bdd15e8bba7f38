// SPDX-License-Identifier: MIT
/*
 * trace_rings.c - reads the executors' trace rings (arbiter/protocol.h).
 *
 * The rings are written by others while we read. An event is copied, then the count tells whether
 * it may have been overwritten meanwhile; then it is lost, and counted. A kernel's name comes some
 * time after its first event: events wait for their name, in order, for NAME_WAIT_NS at most, so
 * what is kept in memory is bounded by what a ring holds times the readings in that time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/trace.h"

#define NAME_WAIT_NS 1000000000u
#define COUNTER_NS   100000000u /* between two values of counters */
#define MAX_NAMES    2048	/* of an executor; a power of two */

struct name {
	uint64_t kernel; /* 0: free */
	uint32_t process;
	size_t have; /* bytes of it that came, from its begin */
	bool whole;
	char text[ARBITER_KERNEL_NAME];
};

struct waiting {
	struct gpu_trace_event event;
	uint64_t since_ns;
};

struct ring {
	struct ring *next;
	uint64_t serial, tenant, pid;
	const struct arbiter_shared *shared;
	uint64_t seen; /* number of the next event */
	struct name names[MAX_NAMES];
	unsigned num_names;
	struct waiting *fifo;
	size_t first, count, capacity; /* fifo[first .. first + count) */
	uint64_t counted_at, vram, gpu_ns;
};

int rings_add(struct rings *rings, int fd, uint64_t serial, uint64_t tenant, uint64_t pid,
	      uint64_t from)
{
	struct ring *r;
	struct stat st;
	void *map;

	/* Sealed by the daemon: it doesn't shrink under us. */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != sizeof(*r->shared))
		return -EPROTO;
	map = mmap(NULL, sizeof(*r->shared), PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	r = calloc(1, sizeof(*r));
	if (!r) {
		munmap(map, sizeof(*r->shared));
		return -ENOMEM;
	}
	r->serial = serial;
	r->tenant = tenant;
	r->pid = pid;
	r->shared = map;
	r->seen = from;
	r->vram = UINT64_MAX;
	r->next = rings->list;
	rings->list = r;
	return 0;
}

/* ------------------------------------------------------------------ names */

static struct name *find_name(struct ring *r, uint32_t process, uint64_t kernel, bool make)
{
	uint64_t hash = (kernel >> 6 ^ process) * 0x9e3779b97f4a7c15ull >> 32;

	for (unsigned i = 0; i < MAX_NAMES; i++) {
		struct name *n = &r->names[(hash + i) % MAX_NAMES];

		if (n->kernel == kernel && n->process == process)
			return n;
		if (n->kernel)
			continue;
		if (!make || r->num_names == MAX_NAMES - 1)
			return NULL;
		r->num_names++;
		n->kernel = kernel;
		n->process = process;
		return n;
	}
	return NULL;
}

static void note_name(struct ring *r, const struct gpu_trace_event *e)
{
	struct name *n = e->kernel ? find_name(r, e->process, e->kernel, true) : NULL;
	char part[ARBITER_NAME_PART];
	size_t at, size;

	if (!n || e->queue >= ARBITER_KERNEL_NAME || e->preempted >= ARBITER_KERNEL_NAME)
		return;
	at = arbiter_name_part(e, part);
	if (at == 0) { /* anew: the process or the code there may be another now */
		n->have = 0;
		n->whole = false;
	}
	if (at != n->have || at >= e->preempted)
		return;
	size = e->preempted - at < sizeof(part) ? e->preempted - at : sizeof(part);
	memcpy(n->text + at, part, size);
	n->have = at + size;
	n->text[n->have] = 0;
	n->whole = n->have == e->preempted;
}

/* ------------------------------------------------------------------ reading */

static bool keep(struct ring *r, const struct gpu_trace_event *e, uint64_t now)
{
	if (r->first + r->count == r->capacity && r->first > r->capacity / 2) {
		memmove(r->fifo, r->fifo + r->first, r->count * sizeof(*r->fifo));
		r->first = 0;
	}
	if (r->first + r->count == r->capacity) {
		size_t more = r->capacity ? r->capacity * 2 : 1024;
		struct waiting *fifo = realloc(r->fifo, more * sizeof(*fifo));

		if (!fifo)
			return false;
		r->fifo = fifo;
		r->capacity = more;
	}
	r->fifo[r->first + r->count++] = (struct waiting){*e, now};
	return true;
}

static bool read_one(const struct ring *r, uint64_t n, struct gpu_trace_event *event)
{
	const _Atomic uint64_t *from =
		(const _Atomic uint64_t *)&r->shared->trace[n % ARBITER_TRACE_EVENTS];
	uint64_t words[sizeof(*event) / 8];

	for (size_t i = 0; i < sizeof(words) / 8; i++)
		words[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
	memcpy(event, words, sizeof(words));
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&r->shared->page.traced, memory_order_relaxed) - n <
	       ARBITER_TRACE_EVENTS;
}

static void read_ring(struct rings *rings, struct ring *r, uint64_t now)
{
	uint64_t written = atomic_load_explicit(&r->shared->page.traced, memory_order_acquire);

	if (written - r->seen >= ARBITER_TRACE_EVENTS) {
		/* A count that went back is a liar's: nothing is lost but its events. */
		if (written > r->seen)
			rings->lost += written - r->seen - (ARBITER_TRACE_EVENTS - 1);
		r->seen = written > ARBITER_TRACE_EVENTS - 1
				  ? written - (ARBITER_TRACE_EVENTS - 1)
				  : 0;
	}
	for (; r->seen != written; r->seen++) {
		struct gpu_trace_event e;

		if (!read_one(r, r->seen, &e))
			rings->lost++;
		else if (e.kind == GPU_TRACE_NAME)
			note_name(r, &e);
		else if (!keep(r, &e, now))
			rings->lost++;
	}
}

static void write_ready(struct rings *rings, struct ring *r, uint64_t now, bool all)
{
	while (r->count) {
		const struct waiting *w = &r->fifo[r->first];
		const struct name *n =
			w->event.kernel ? find_name(r, w->event.process, w->event.kernel, false)
					: NULL;
		bool named = n && n->whole;

		if (w->event.kernel && !named && !all && now - w->since_ns < NAME_WAIT_NS)
			return;
		if (trace_file_event(rings->file, r->tenant, r->serial, r->pid, &w->event,
				     named ? n->text : NULL, now))
			rings->events++;
		else
			rings->odd++;
		r->first++;
		r->count--;
	}
	r->first = 0;
}

/* VRAM and threads at work, as they change. */
static void write_counters(struct rings *rings, struct ring *r, uint64_t now)
{
	const struct arbiter_page *page = &r->shared->page;
	uint64_t vram = atomic_load_explicit(&page->vram_used, memory_order_relaxed);
	uint64_t gpu = atomic_load_explicit(&page->counters.gpu_ns, memory_order_relaxed);
	char name[64];

	if (now - r->counted_at < COUNTER_NS)
		return;
	if (vram != r->vram)
		trace_file_counter(rings->file, r->tenant, "VRAM", "MiB",
				   (double)vram / (1 << 20), now);
	r->vram = vram;
	if (r->counted_at && (gpu != r->gpu_ns)) {
		snprintf(name, sizeof(name), "threads at work, executor %llu",
			 (unsigned long long)r->pid);
		trace_file_counter(rings->file, r->tenant, name, "threads",
				   gpu > r->gpu_ns
					   ? (double)(gpu - r->gpu_ns) / (double)(now - r->counted_at)
					   : 0,
				   r->counted_at);
	}
	r->gpu_ns = gpu;
	r->counted_at = now;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void rings_read(struct rings *rings, bool all)
{
	for (struct ring *r = rings->list; r; r = r->next) {
		uint64_t now;

		read_ring(rings, r, now_ns());
		now = now_ns(); /* no event that was read ends later */
		write_ready(rings, r, now, all);
		write_counters(rings, r, now);
	}
}

static void free_ring(struct ring *r)
{
	munmap((void *)(uintptr_t)r->shared, sizeof(*r->shared));
	free(r->fifo);
	free(r);
}

void rings_remove(struct rings *rings, uint64_t serial)
{
	for (struct ring **p = &rings->list; *p; p = &(*p)->next) {
		struct ring *r = *p;

		if (r->serial != serial)
			continue;
		read_ring(rings, r, 0);
		write_ready(rings, r, now_ns(), true);
		*p = r->next;
		free_ring(r);
		return;
	}
}

void rings_free(struct rings *rings)
{
	while (rings->list) {
		struct ring *r = rings->list;

		rings->list = r->next;
		free_ring(r);
	}
}
