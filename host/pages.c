// SPDX-License-Identifier: MIT
/*
 * pages.c - pageable memory (XNACK): the GPU sees the program's memory where the program does, with the program's rights.
 *
 * Theory of operation. GPU threads run in the program's own address space, so a page that the GPU sees is the program's page,
 * whatever the kernel does to it (copy-on-write, swapping, migration). What must be known is whether an access is allowed, for where it
 * is not the process would get a SIGSEGV instead of a GPU memory fault. So an access to what the GPU has not seen yet becomes a request;
 * the thread hsavisor-pages has the kernel populate the pages for reading or writing, which fails where the program itself could not,
 * and maps what could be had at its own address.
 *
 * What is asked for to be read is given to be written, too, where that changes nothing: private pages that nobody shares (/proc/self/pagemap). Else
 * it is asked for again when it is written, so that pages become dirty, and are copied, only by stores.
 *
 * Rights go away by calls that interpose.c replaces (munmap, mmap over something, mremap, mprotect, pkey_mprotect, madvise, shmdt). Each is
 * surrounded by pages_change_begin() and _end(): begin takes the range from the GPU and waits until no GPU thread uses it. What the
 * thread populated is of no worth if a change of it was under way meanwhile: it waits for the end of those that are,
 * and begins again if there was one since (serial, log).
 *
 * Locks: pages.lock is held for moments only, never while calling into core or the kernel.
 */
#define LOG_PART "host"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "host/front.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define MAX_REQUESTS (HSV_MAX_PAGE_REQUESTS * KFD_MAX_GPUS)
#define CHANGES	     64 /* the last ones, remembered */

/* /proc/PID/pagemap: Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_EXCLUSIVE (1ull << 56)
#define PAGEMAP_SHARED	  (1ull << 61) /* file or shared memory */
#define PAGEMAP_PRESENT	  (1ull << 63)

struct range {
	uint64_t first, last; /* [first, last) */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work, moved;
	_Atomic bool on;
	bool started;
	struct kfd_process *process;
	unsigned users; /* threads between begin and end */
	struct {
		uint64_t va, size;
		unsigned prot;
	} queue[MAX_REQUESTS];
	unsigned num;
	struct pages_change *changes; /* under way */
	struct range log[CHANGES];
	uint64_t serial; /* begins and ends of changes so far */
	struct range mapping; /* being given to the core; empty: none */
	bool busy;	      /* the thread is inside the core */
	int pagemap;	      /* descriptor, or -1 */
} pages = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER, .pagemap = -1};

static bool overlap(struct range a, struct range b)
{
	return a.first < b.last && b.first < a.last;
}

/* ------------------------------------------------------------------ answering; the thread */

/* How many bytes from va on the program may access so; *err: why it is none. */
static uint64_t populate(uint64_t va, uint64_t size, bool write, int *err)
{
	int advice = write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	void *p = (void *)(uintptr_t)va;
	uint64_t good = 0, bad = size;

	if (!madvise(p, size, advice))
		return size;
	/* What is beyond the first page is only a guess of the GPU's. */
	while (bad - good >= FRONT_PAGE && good + FRONT_PAGE <= size) {
		uint64_t n = good ? good + ((bad - good) / 2 & ~(FRONT_PAGE - 1)) : FRONT_PAGE;

		if (n <= good)
			break;
		if (!madvise(p, n, advice)) {
			good = n;
			continue;
		}
		if (errno == EINTR || errno == EAGAIN)
			continue;
		*err = errno;
		bad = n;
		if (!good)
			break;
	}
	return good;
}

/* True if the pages, which can be read, are the program's alone. */
static bool are_private(uint64_t va, uint64_t size)
{
	const uint64_t want = PAGEMAP_EXCLUSIVE | PAGEMAP_PRESENT;
	uint64_t entries[512];

	while (size) {
		size_t n = size / FRONT_PAGE < 512 ? size / FRONT_PAGE : 512;

		if (pages.pagemap < 0 ||
		    pread(pages.pagemap, entries, n * 8, (off_t)(va / FRONT_PAGE * 8)) != (ssize_t)(n * 8))
			return false;
		for (size_t i = 0; i < n; i++)
			if ((entries[i] & (want | PAGEMAP_SHARED)) != want)
				return false;
		va += n * FRONT_PAGE;
		size -= n * FRONT_PAGE;
	}
	return true;
}

/* Under the lock. */
static bool is_changing(struct range r)
{
	for (const struct pages_change *c = pages.changes; c; c = c->next)
		if (overlap((struct range){c->first, c->last}, r))
			return true;
	return false;
}

/* Under the lock: was there a change since that serial? */
static bool has_changed(struct range r, uint64_t since)
{
	if (pages.serial - since > CHANGES)
		return true;
	for (uint64_t s = since; s != pages.serial; s++)
		if (overlap(pages.log[s % CHANGES], r))
			return true;
	return false;
}

static void answer(uint64_t va, uint64_t size, unsigned prot)
{
	struct range all = {va, va + size};
	struct hsv_pages_args args;
	struct hsv_extent extent;
	uint64_t since, got;
	bool write;
	int err = EFAULT;

	pthread_mutex_lock(&pages.lock);
	do {
		while (pages.on && is_changing(all))
			pthread_cond_wait(&pages.moved, &pages.lock);
		since = pages.serial;
		pthread_mutex_unlock(&pages.lock);
		write = prot & GPU_PROT_WRITE;
		got = populate(va, size, write, &err);
		if (got && !write && are_private(va, got))
			write = !madvise((void *)(uintptr_t)va, got, MADV_POPULATE_WRITE);
		pthread_mutex_lock(&pages.lock);
	} while (pages.on && has_changed(all, since));
	if (!pages.on) {
		pthread_mutex_unlock(&pages.lock);
		return;
	}
	pages.mapping = all;
	pages.busy = true;
	pthread_mutex_unlock(&pages.lock);

	args = (struct hsv_pages_args){
		.va = va,
		.size = got ? got : FRONT_PAGE,
		.prot = GPU_PROT_READ | (write ? GPU_PROT_WRITE : 0),
		.error = got ? 0 : (uint32_t)err,
	};
	extent = (struct hsv_extent){va, got};
	if (!kfd_process_pages(pages.process, &args, &extent, got ? 1 : 0) && got)
		smi_page_fault_end(va);
	front_publish();

	pthread_mutex_lock(&pages.lock);
	pages.mapping = (struct range){0, 0};
	pages.busy = false;
	pthread_cond_broadcast(&pages.moved);
	pthread_mutex_unlock(&pages.lock);
}

static void *pages_thread(void *arg)
{
	pthread_setname_np(pthread_self(), "hsavisor-pages");
	pthread_mutex_lock(&pages.lock);
	for (;;) {
		uint64_t va, size;
		unsigned prot;

		if (!pages.num) {
			pthread_cond_wait(&pages.work, &pages.lock);
			continue;
		}
		va = pages.queue[0].va;
		size = pages.queue[0].size;
		prot = pages.queue[0].prot;
		memmove(pages.queue, pages.queue + 1, --pages.num * sizeof(pages.queue[0]));
		pthread_mutex_unlock(&pages.lock);
		answer(va, size, prot);
		pthread_mutex_lock(&pages.lock);
	}
	return NULL;
}

int pages_request(void *ctx, uint64_t va, uint64_t size, unsigned prot)
{
	int err = -ENOBUFS;

	/* What the program may execute is not known: code lies in buffers. */
	if (prot & GPU_PROT_EXEC)
		return -EACCES;
	smi_page_fault(va, prot & GPU_PROT_WRITE);
	pthread_mutex_lock(&pages.lock);
	if (pages.num < MAX_REQUESTS) {
		pages.queue[pages.num].va = va;
		pages.queue[pages.num].size = size;
		pages.queue[pages.num++].prot = prot;
		pthread_cond_signal(&pages.work);
		err = 0;
	}
	pthread_mutex_unlock(&pages.lock);
	return err;
}

/* ------------------------------------------------------------------ changes; any thread of the program */

/* GPU threads map memory of their own only (the compiler does), and must not wait for what waits for them. */
static bool is_gpu_thread(void)
{
	static __thread signed char known;

	if (!known) {
		char name[16] = "";

		prctl(PR_GET_NAME, name);
		known = strncmp(name, "hsv-", 4) ? -1 : 1;
	}
	return known > 0;
}

/* Under the lock. */
static void log_change(const struct pages_change *c)
{
	pages.log[pages.serial++ % CHANGES] = (struct range){c->first, c->last};
}

void pages_change_begin(struct pages_change *c, const void *addr, size_t length)
{
	sigset_t all;

	c->first = (uintptr_t)addr;
	c->last = (c->first + length + FRONT_PAGE - 1) & ~(uint64_t)(FRONT_PAGE - 1);
	c->active = false;
	if (!atomic_load_explicit(&pages.on, memory_order_relaxed) || c->first & (FRONT_PAGE - 1) || c->last <= c->first ||
	    c->last > 1ull << 47 || front.pid != getpid() || is_gpu_thread())
		return;
	/* A handler could make such a call, too. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &c->signals);
	pthread_mutex_lock(&pages.lock);
	if (!pages.on) {
		pthread_mutex_unlock(&pages.lock);
		pthread_sigmask(SIG_SETMASK, &c->signals, NULL);
		return;
	}
	c->active = true;
	c->next = pages.changes;
	pages.changes = c;
	pages.users++;
	log_change(c);
	while (overlap(pages.mapping, (struct range){c->first, c->last}))
		pthread_cond_wait(&pages.moved, &pages.lock);
	pthread_mutex_unlock(&pages.lock);
	kfd_process_pages_invalidate(pages.process, c->first, c->last - c->first);
}

void pages_change_end(struct pages_change *c)
{
	if (!c->active)
		return;
	pthread_mutex_lock(&pages.lock);
	for (struct pages_change **p = &pages.changes; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	log_change(c);
	pages.users--;
	pthread_cond_broadcast(&pages.moved);
	pthread_mutex_unlock(&pages.lock);
	pthread_sigmask(SIG_SETMASK, &c->signals, NULL);
}

/* ------------------------------------------------------------------ life; front.lock held */

bool pages_possible(void)
{
	_Alignas(FRONT_PAGE) static char page[FRONT_PAGE];

	return !madvise(page, FRONT_PAGE, MADV_POPULATE_READ);
}

int pages_start(struct kfd_process *process)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int err = 0;

	pages.process = process;
	if (pages.pagemap < 0)
		pages.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (!pages.started) {
		sigfillset(&all);
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		err = pthread_create(&thread, &attr, pages_thread, NULL);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		pthread_attr_destroy(&attr);
		pages.started = !err;
	}
	pthread_mutex_lock(&pages.lock);
	pages.on = !err;
	pthread_mutex_unlock(&pages.lock);
	return -err;
}

void pages_stop(void)
{
	if (!pages.on)
		return;
	pthread_mutex_lock(&pages.lock);
	pages.on = false;
	pages.num = 0;
	pthread_cond_broadcast(&pages.moved);
	while (pages.busy || pages.users)
		pthread_cond_wait(&pages.moved, &pages.lock);
	pthread_mutex_unlock(&pages.lock);
}

void pages_forget(void)
{
	pthread_mutex_init(&pages.lock, NULL);
	pthread_cond_init(&pages.work, NULL);
	pthread_cond_init(&pages.moved, NULL);
	pages.on = pages.started = pages.busy = false;
	/* The parent's memory, from here. */
	if (pages.pagemap >= 0)
		close(pages.pagemap);
	pages.pagemap = -1;
	pages.process = NULL;
	pages.changes = NULL;
	pages.users = pages.num = 0;
	pages.mapping = (struct range){0, 0};
}

bool pages_on(void)
{
	return atomic_load_explicit(&pages.on, memory_order_relaxed);
}
