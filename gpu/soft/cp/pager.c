// SPDX-License-Identifier: MIT
/*
 * pager.c - pageable memory: what the waves and packets of a vm lack is asked for, and who waits.
 *
 * Theory of operation
 *
 * An instruction that lacks memory asks for all of it at once (view_ask) and has done nothing; its wave tries again later. What it
 * lacks becomes requests, which the CP thread hands to the owner of the vm (take: as many as gpu_vm_set_paging allowed are under way, what comes
 * meanwhile grows together). A work-group whose waves all wait is put on vm->waiting and not run (sched.c); an answer puts those
 * back that wait for something in its range. So waiting costs no processor time, and needs no thread.
 *
 * Answers are numbered. A work-group goes to vm->waiting only if none came while it ran, else it tries at once: no answer is missed. An
 * error concerns those who asked before it: a wave remembers how many answers there were when it first asked, and the last
 * errors are kept with their numbers. Who asks later asks anew, for what failed once may be there then.
 *
 * A scan of memory from low to high addresses is found by requests that follow each other (struct page_stream); each
 * asks for twice as much ahead as the one before, up to AHEAD_MAX, as far as nothing is there or asked for already.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "gpu/paging.h"

#define PAGE	   (1ull << MEM_PAGE_SHIFT)
#define AHEAD_MAX  (512 * PAGE) /* bytes a request is at most */
#define ANY_ANSWER UINT64_MAX	/* page_wait.va of who found no room for a request */

void pager_init(struct gpu_vm *vm)
{
	pthread_mutex_init(&vm->pager.lock, NULL);
}

void pager_free(struct gpu_vm *vm)
{
	pthread_mutex_destroy(&vm->pager.lock);
}

static bool covers(const struct page_request *r, uint64_t va, unsigned prot)
{
	return va - r->va < r->size && !(prot & ~r->prot);
}

static bool is_wanted(const struct pager *p, uint64_t va, unsigned prot)
{
	for (unsigned i = 0; i < p->num_asked; i++) {
		if (covers(&p->asked[i], va, prot))
			return true;
	}
	for (unsigned i = 0; i < p->num_wanted; i++) {
		if (covers(&p->wanted[i], va, prot))
			return true;
	}
	return false;
}

/* Where the first of the requests begins behind va, if it does before end. */
static uint64_t stop(const struct page_request *r, unsigned n, uint64_t va, uint64_t end)
{
	for (unsigned i = 0; i < n; i++) {
		if (r[i].va > va && r[i].va < end)
			end = r[i].va;
	}
	return end;
}

/* How many bytes from va on, which is missing, are to be asked for. */
static uint64_t ahead(struct gpu_vm *vm, uint64_t va, unsigned prot)
{
	struct pager *p = &vm->pager;
	struct page_stream *s = NULL, *oldest = &p->stream[0];
	uint64_t size, end;

	for (unsigned i = 0; i < PAGER_STREAMS && !s; i++) {
		struct page_stream *x = &p->stream[i];

		if (x->window && va + 2 * x->window >= x->end && va <= x->end + 2 * x->window)
			s = x;
		if (x->used < oldest->used)
			oldest = x;
	}
	if (!s) {
		s = oldest;
		s->window = PAGE;
		s->end = va;
	} else if (va >= s->end && s->window < AHEAD_MAX) {
		s->window *= 2;
	}
	s->used = ++p->uses;
	end = stop(p->wanted, p->num_wanted, va, stop(p->asked, p->num_asked, va, (va | (s->window - 1)) + 1));
	for (size = PAGE; va + size < end && !vm_translate(vm, va + size, prot, NULL);)
		size += PAGE;
	if (s->end < va + size)
		s->end = va + size;
	return size;
}

/* Adds a request, or to one that it continues. False: no room. */
static bool want(struct gpu_vm *vm, uint64_t va, unsigned prot)
{
	struct pager *p = &vm->pager;
	uint64_t size;

	if (is_wanted(p, va, prot))
		return true;
	for (unsigned i = 0; i < p->num_wanted; i++) {
		struct page_request *r = &p->wanted[i];

		if (r->prot == prot && r->va + r->size == va && r->size < AHEAD_MAX) {
			size = ahead(vm, va, prot);
			r->size += size < AHEAD_MAX - r->size ? size : AHEAD_MAX - r->size;
			return true;
		}
	}
	if (p->num_wanted == PAGER_WANTED)
		return false;
	p->wanted[p->num_wanted++] = (struct page_request){va, ahead(vm, va, prot), prot};
	return true;
}

static bool has_failed(const struct pager *p, uint64_t va, uint64_t since)
{
	for (unsigned i = 0; i < PAGER_FAILED; i++) {
		if (p->failed[i].answer >= since && va - p->failed[i].va < p->failed[i].size)
			return true;
	}
	return false;
}

/* One page, pager.lock held. AGAIN: it is there. */
static enum mem_ask ask_page(struct gpu_vm *vm, struct page_wait *wait, uint64_t va, unsigned prot)
{
	struct pager *p = &vm->pager;
	uint64_t page = va & ~(PAGE - 1);
	unsigned rights = vm_rights(vm, page); /* once: it may change */

	if (va >> GPU_VA_BITS)
		return MEM_ASK_FAULT;
	if (rights && !(prot & ~rights))
		return MEM_ASK_AGAIN;
	/* A buffer, or all the rights there are. */
	if (rights && !(rights & GPU_PROT_MORE))
		return MEM_ASK_FAULT;
	if (!wait->since) {
		wait->since = atomic_load(&p->answers) + 1;
		atomic_fetch_add_explicit(&vm->page_waits, 1, memory_order_relaxed);
	} else if (has_failed(p, page, wait->since)) {
		return MEM_ASK_FAULT;
	}
	wait->va = want(vm, page, prot) ? page : ANY_ANSWER;
	return MEM_ASK_WAIT;
}

/* There may be requests for the CP thread to make. */
static void tell(struct gpu_vm *vm)
{
	atomic_store(&vm->gpu->callbacks, 1);
	cp_kick(vm->gpu);
}

static enum mem_ask view_ask(struct mem_view *view, struct page_wait *wait, const struct mem_missing *missing, unsigned *bad)
{
	struct gpu_vm *vm = view->vm;
	enum mem_ask result = MEM_ASK_AGAIN;

	pthread_mutex_lock(&vm->pager.lock);
	for (unsigned i = 0; i < missing->num && result != MEM_ASK_FAULT; i++) {
		switch (ask_page(vm, wait, missing->va[i], missing->prot)) {
		case MEM_ASK_FAULT:
			result = MEM_ASK_FAULT;
			*bad = i;
			break;
		case MEM_ASK_WAIT:
			result = MEM_ASK_WAIT;
			break;
		case MEM_ASK_AGAIN:
			/* The view may have it with less rights. */
			view->num_held = 0;
			view->fill(view, missing->va[i] >> MEM_PAGE_SHIFT);
			break;
		}
	}
	pthread_mutex_unlock(&vm->pager.lock);
	if (result == MEM_ASK_WAIT)
		tell(vm);
	return result;
}

void pager_view(struct gpu_vm *vm, struct mem_view *view)
{
	view->ask = atomic_load_explicit(&vm->pager.on, memory_order_relaxed) ? view_ask : NULL;
}

bool pager_wait(struct gpu_queue *q, uint64_t va, bool write, bool execute)
{
	struct gpu_vm *vm = q->vm;
	enum mem_ask result;

	if (!atomic_load_explicit(&vm->pager.on, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&vm->pager.lock);
	result = ask_page(vm, &q->page_wait, va, write ? GPU_PROT_READ | GPU_PROT_WRITE : execute ? GPU_PROT_EXEC : GPU_PROT_READ);
	pthread_mutex_unlock(&vm->pager.lock);
	if (result == MEM_ASK_FAULT || (result == MEM_ASK_AGAIN && va & 7))
		return false; /* there, and still of no use: misaligned */
	/* It may have come just now: the next step finds it. */
	q->waits_pages = true;
	q->more = 1;
	if (result == MEM_ASK_WAIT)
		tell(vm);
	return true;
}

unsigned pager_take(struct gpu_vm *vm, struct page_request *requests)
{
	struct pager *p = &vm->pager;
	unsigned n = 0;

	if (!atomic_load_explicit(&p->on, memory_order_relaxed))
		return 0;
	pthread_mutex_lock(&p->lock);
	while (n < p->num_wanted && p->num_asked < p->most) {
		requests[n] = p->asked[p->num_asked++] = p->wanted[n];
		atomic_fetch_add_explicit(&vm->page_requests, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&vm->requested_pages, requests[n].size >> MEM_PAGE_SHIFT, memory_order_relaxed);
		n++;
	}
	p->num_wanted -= n;
	memmove(p->wanted, p->wanted + n, p->num_wanted * sizeof(p->wanted[0]));
	pthread_mutex_unlock(&p->lock);
	return n;
}

void pager_make(struct gpu_vm *vm, const struct page_request *requests, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int err = vm->ops->page_request(vm->ctx, requests[i].va, requests[i].size, requests[i].prot);

		if (err < 0)
			gpu_vm_pages_answer(vm, requests[i].va, PAGE, err);
	}
}

bool pager_concerns(const struct workgroup *wg, uint64_t first, uint64_t end)
{
	for (uint32_t i = 0; i < wg->num_waves; i++) {
		const struct wave *w = &wg->waves[i];

		if (w->waits_pages && w->state == WAVE_READY &&
		    (w->page_wait.va == ANY_ANSWER || (w->page_wait.va >= first && w->page_wait.va < end)))
			return true;
	}
	return false;
}

void gpu_vm_pages_answer(struct gpu_vm *vm, uint64_t va, uint64_t size, int error)
{
	struct pager *p = &vm->pager;
	uint64_t first = va, end = va + size;
	unsigned left = 0;

	if (!size)
		return;
	pthread_mutex_lock(&p->lock);
	if (error) {
		p->failed[p->next_failed] = (struct page_failure){va, size, atomic_load(&p->answers) + 1};
		p->next_failed = (p->next_failed + 1) % PAGER_FAILED;
	}
	for (unsigned i = 0; i < p->num_asked; i++) {
		const struct page_request *r = &p->asked[i];

		if (r->va - va >= size) {
			p->asked[left++] = *r;
			continue;
		}
		/* Who waits for the rest of it asks again. */
		if (end < r->va + r->size)
			end = r->va + r->size;
	}
	p->num_asked = left;
	atomic_fetch_add(&p->answers, 1);
	pthread_mutex_unlock(&p->lock);
	sched_pages(vm, first, end);
	tell(vm);
}

void gpu_vm_get_paging(struct gpu_vm *vm, struct gpu_paging *paging)
{
	*paging = (struct gpu_paging){
		.waits = atomic_load_explicit(&vm->page_waits, memory_order_relaxed),
		.invalidations = atomic_load_explicit(&vm->page_invalidations, memory_order_relaxed),
		.pages_taken = atomic_load_explicit(&vm->pages_taken, memory_order_relaxed),
	};
}

void gpu_vm_set_paging(struct gpu_vm *vm, unsigned most)
{
	bool on = most && vm->ops->page_request;

	gpu_lock(vm->gpu);
	pthread_mutex_lock(&vm->pager.lock);
	vm->pager.most = most < GPU_MAX_PAGE_REQUESTS ? most : GPU_MAX_PAGE_REQUESTS;
	pthread_mutex_unlock(&vm->pager.lock);
	atomic_store(&vm->pager.on, on);
	gpu_unlock(vm->gpu);
	if (!on && atomic_load(&vm->pages))
		gpu_vm_unmap_pages(vm, 0, 1ull << GPU_VA_BITS);
}
