/* SPDX-License-Identifier: MIT */
/*
 * profile.c - see profile.h.
 *
 * Counts lie in pages like the code they are of, one for each executor, so that counting needs no lock and no atomic operation. A page keeps the
 * code's bytes, too: when the report is written the program may have unmapped it. A kernel is told from another that was loaded to the same
 * address later by what its descriptor and its first instructions are.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gpu/soft/cp/cp.h"
#include "gpu/soft/isa/profile.h"

#define SAMPLE_EVERY 64 /* ranges of work-groups */
#define PAGE_BYTES   4096
#define PAGE_DWORDS  (PAGE_BYTES / 4)
#define MAX_PAGES    16384 /* of counts, of one vm: some 340 MB */

struct profile_page {
	struct profile_page *next;
	struct profile_kernel *kernel;
	uint64_t number; /* va / PAGE_BYTES */
	unsigned executor;
	uint32_t code[PAGE_DWORDS];
	struct isa_count count[PAGE_DWORDS];
};

struct profile_kernel {
	struct profile_kernel *next;
	uint64_t va, entry, print; /* print: of its descriptor and its beginning */
	char name[184];
	struct profile_page *pages; /* profile->lock; added at the head only */
	/* gpu->lock */
	uint64_t dispatches, groups;
	uint64_t gpu_ns; /* in which any thread ran it */
	/* sched_lock */
	uint64_t ranges; /* handed out */
	uint64_t ns[2];	 /* of threads; [1]: counted work-groups */
	uint64_t wgs[2]; /* work-groups that ended */
};

struct profile {
	struct exec_observer observer; /* first: the profile is found from it */
	struct gpu_vm *vm;
	struct code_cache *code;
	pthread_mutex_t lock;
	struct profile_kernel *kernels;
	unsigned num_pages;
	bool full; /* not everything was counted */
};

/* ------------------------------------------------------------------ counting */

static struct profile_page *find_page(struct profile *p, struct profile_kernel *k, struct executor *ex, uint64_t pc)
{
	uint64_t number = pc / PAGE_BYTES;
	struct profile_page *page;
	uint64_t bad;

	pthread_mutex_lock(&p->lock);
	for (page = k->pages; page; page = page->next)
		if (page->number == number && page->executor == ex->index)
			goto out;
	if (p->num_pages < MAX_PAGES)
		page = calloc(1, sizeof(*page));
	if (!page) {
		p->full = true;
		goto out;
	}
	p->num_pages++;
	page->kernel = k;
	page->number = number;
	page->executor = ex->index;
	vm_copy_in(p->vm, number * PAGE_BYTES, page->code, sizeof(page->code), &bad);
	page->next = k->pages;
	k->pages = page;
out:
	pthread_mutex_unlock(&p->lock);
	return page;
}

static void count(const struct exec_observer *o, struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, exec_fn *fn)
{
	struct profile *p = (struct profile *)(uintptr_t)o;
	struct executor *ex = view_executor(ctx->view);
	struct profile_kernel *k = ((struct wg_slot *)w->wg->owner)->dispatch->profile;
	struct profile_page *page = ex->profile_page;

	if (!page || page->kernel != k || page->number != ctx->pc / PAGE_BYTES)
		page = ex->profile_page = find_page(p, k, ex, ctx->pc);
	if (page) {
		struct isa_count *c = &page->count[ctx->pc % PAGE_BYTES / 4];

		c->waves++;
		c->lanes += (unsigned)__builtin_popcountll(WAVE_EXEC(w));
	}
	fn(ctx, w, inst);
}

/* ------------------------------------------------------------------ kernels */

static int read_code(void *ctx, uint64_t va, void *buf, size_t size)
{
	uint64_t bad;

	return vm_copy_in(ctx, va, buf, size, &bad) ? 0 : -EFAULT;
}

static uint64_t print_of(struct gpu_vm *vm, uint64_t va, uint64_t entry)
{
	uint64_t words[8 + 32] = {0}, hash = 0xcbf29ce484222325u, bad;

	vm_copy_in(vm, va, words, 64, &bad);
	vm_copy_in(vm, entry, words + 8, sizeof(words) - 64, &bad);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		hash = (hash ^ words[i]) * 0x100000001b3u;
	return hash;
}

struct profile_kernel *profile_dispatch(struct profile *p, uint64_t va, uint64_t entry)
{
	const struct gpu_profile *config = p->vm->gpu->profile;
	uint64_t print = print_of(p->vm, va, entry);
	struct profile_kernel *k, **at = &p->kernels;

	for (; (k = *at); at = &k->next) {
		if (k->va == va && k->print == print) {
			/* The last one is often the next one. */
			*at = k->next;
			k->next = p->kernels;
			p->kernels = k;
			return k;
		}
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->va = va;
	k->entry = entry;
	k->print = print;
	if (!config->kernel_name || !config->kernel_name(read_code, p->vm, va, k->name, sizeof(k->name)))
		snprintf(k->name, sizeof(k->name), "kernel at %#llx", (unsigned long long)va);
	k->next = p->kernels;
	p->kernels = k;
	return k;
}

bool profile_pick(struct profile_kernel *k)
{
	return k->ranges++ % SAMPLE_EVERY == 0;
}

void profile_slice(struct profile_kernel *k, bool counted, uint64_t ns, uint64_t groups)
{
	k->ns[counted] += ns;
	k->wgs[counted] += groups;
}

void profile_done(struct profile_kernel *k, const struct dispatch *d)
{
	k->dispatches++;
	k->groups += (uint64_t)d->setup.num_wg[0] * d->setup.num_wg[1] * d->setup.num_wg[2];
	k->gpu_ns += d->gpu_ns;
}

/* ------------------------------------------------------------------ the report */

/* Pages of a kernel without gaps between. */
struct stretch {
	uint64_t start;
	size_t dwords;
	uint32_t *code;
	struct isa_count *count;
};

struct report {
	struct profile_kernel *kernel;
	struct isa_profile profile;
	struct stretch *stretch;
	size_t num, max;
	enum isa_target target;
};

static int by_number(const void *a, const void *b)
{
	const struct profile_page *x = *(const struct profile_page *const *)a, *y = *(const struct profile_page *const *)b;

	return (x->number > y->number) - (x->number < y->number);
}

/* 0, -ENOMEM. */
static int add_page(struct report *r, const struct profile_page *page)
{
	struct stretch *s = r->num ? &r->stretch[r->num - 1] : NULL;
	uint64_t va = page->number * PAGE_BYTES;
	struct isa_count *counts;
	size_t first;

	if (!s || s->start + 4 * s->dwords < va) {
		s = reallocarray(r->stretch, r->num + 1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		r->stretch = s;
		s = &r->stretch[r->num++];
		*s = (struct stretch){.start = va};
	}
	if (s->start + 4 * s->dwords == va) {
		uint32_t *code = reallocarray(s->code, s->dwords + PAGE_DWORDS, sizeof(*code));

		if (code)
			s->code = code;
		counts = reallocarray(s->count, s->dwords + PAGE_DWORDS, sizeof(*counts));
		if (counts)
			s->count = counts;
		if (!code || !counts)
			return -ENOMEM;
		memcpy(s->code + s->dwords, page->code, sizeof(page->code));
		memset(s->count + s->dwords, 0, sizeof(page->count));
		s->dwords += PAGE_DWORDS;
	}
	first = (va - s->start) / 4;
	for (size_t i = 0; i < PAGE_DWORDS; i++) {
		s->count[first + i].waves += page->count[i].waves;
		s->count[first + i].lanes += page->count[i].lanes;
	}
	return 0;
}

/* The counts of all executors, by address. 0, -ENOMEM. */
static int collect(struct report *r)
{
	struct profile_page **pages;
	size_t n = 0;
	int err = 0;

	for (struct profile_page *page = r->kernel->pages; page; page = page->next)
		n++;
	pages = calloc(n ? n : 1, sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	n = 0;
	for (struct profile_page *page = r->kernel->pages; page; page = page->next)
		pages[n++] = page;
	qsort(pages, n, sizeof(*pages), by_number);
	for (size_t i = 0; i < n && !err; i++)
		err = add_page(r, pages[i]);
	free(pages);
	for (size_t i = 0; i < r->num && !err; i++)
		err = isa_profile_add(&r->profile, r->target, r->stretch[i].start, r->stretch[i].code, r->stretch[i].count, r->stretch[i].dwords);
	isa_profile_sort(&r->profile);
	return err;
}

static void place_of(void *ctx, uint64_t at, char *text, size_t size)
{
	const struct profile_kernel *k = ((struct report *)ctx)->kernel;

	if (at >= k->entry)
		snprintf(text, size, "%.120s+0x%llx", k->name, (unsigned long long)(at - k->entry));
	else
		snprintf(text, size, "0x%llx", (unsigned long long)at);
}

static unsigned inst_of(void *ctx, uint64_t at, char *text, size_t size)
{
	const struct report *r = ctx;

	for (size_t i = 0; i < r->num; i++) {
		const struct stretch *s = &r->stretch[i];
		size_t dword = (at - s->start) / 4, left;
		struct isa_inst inst;
		int n;

		if (at < s->start || dword >= s->dwords)
			continue;
		left = s->dwords - dword;
		n = isa_decode(r->target, s->code + dword, left < 3 ? left : 3, &inst);
		if (n > 0) {
			isa_print(text, size, &inst, at);
			return (unsigned)n;
		}
		snprintf(text, size, ".long 0x%08x", s->code[dword]);
		return 4;
	}
	return 0;
}

static void print_kernel(struct profile *p, struct profile_kernel *k, FILE *f)
{
	struct report r = {.kernel = k, .target = p->vm->gpu->target};
	const struct isa_profile_text text = {place_of, inst_of, &r};
	uint64_t all = k->wgs[0] + k->wgs[1];

	fprintf(f, "\nkernel %s\n  dispatches %llu, work-groups %llu, GPU time %.3f ms, of all threads %.3f ms\n", k->name,
		(unsigned long long)k->dispatches, (unsigned long long)k->groups, (double)k->gpu_ns / 1e6, (double)(k->ns[0] + k->ns[1]) / 1e6);
	fprintf(f, "  counted: %llu of %llu work-groups that ended, in %.3f ms of the threads' time", (unsigned long long)k->wgs[1],
		(unsigned long long)all, (double)k->ns[1] / 1e6);
	if (k->wgs[0])
		fprintf(f, "; without counting all would have taken about %.3f ms", (double)k->ns[0] / (double)k->wgs[0] * (double)all / 1e6);
	fputc('\n', f);
	if (collect(&r)) {
		fprintf(f, "  (no memory for its instructions)\n");
	} else if (r.profile.total) {
		fprintf(f, "  %llu instructions of waves counted; of the vector ALU's %.1f of 64 lanes active\n",
			(unsigned long long)r.profile.total, 64 * isa_share(r.profile.valu_lanes, r.profile.valu * 64));
		isa_profile_print(&r.profile, &text, f);
	}
	for (size_t i = 0; i < r.num; i++) {
		free(r.stretch[i].code);
		free(r.stretch[i].count);
	}
	free(r.stretch);
	isa_profile_free(&r.profile);
}

static uint64_t cost(const struct profile_kernel *k)
{
	uint64_t all = k->wgs[0] + k->wgs[1];

	return k->wgs[0] ? (uint64_t)((double)k->ns[0] / (double)k->wgs[0] * (double)all) : k->ns[1];
}

static int by_cost(const void *a, const void *b)
{
	uint64_t x = cost(*(const struct profile_kernel *const *)a), y = cost(*(const struct profile_kernel *const *)b);

	return x > y ? -1 : x < y;
}

static void print(struct profile *p, FILE *f)
{
	struct profile_kernel **sorted;
	size_t n = 0;

	for (struct profile_kernel *k = p->kernels; k; k = k->next)
		n++;
	fprintf(f, "profile of process %u (%s): %zu kernels, the costliest first%s\n", atomic_load(&p->vm->owner), p->vm->gpu->profile->program, n,
		p->full ? "; memory for counts was used up, some are missing" : "");
	sorted = calloc(n ? n : 1, sizeof(*sorted));
	if (!sorted)
		return;
	n = 0;
	for (struct profile_kernel *k = p->kernels; k; k = k->next)
		sorted[n++] = k;
	qsort(sorted, n, sizeof(*sorted), by_cost);
	for (size_t i = 0; i < n; i++)
		print_kernel(p, sorted[i], f);
	fputc('\n', f);
	free(sorted);
}

/* At once: several processes may append to the file. */
static void append(const char *path, const char *text, size_t size)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0) {
		log_error("the profile can't be written to %s: %s", path, strerror(errno));
		return;
	}
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			log_error("the profile was not written to %s as a whole: %s", path, strerror(errno));
			break;
		}
		text += n;
		size -= (size_t)n;
	}
	close(fd);
}

/* ------------------------------------------------------------------ life */

struct profile *profile_new(struct gpu_vm *vm)
{
	struct profile *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->observer.inst = count;
	p->vm = vm;
	p->code = code_cache_new_observed(vm->gpu->target, &p->observer);
	if (!p->code) {
		free(p);
		return NULL;
	}
	code_cache_beside(p->code, vm->code);
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

struct code_cache *profile_code(const struct profile *p)
{
	return p->code;
}

void profile_end(struct profile *p)
{
	struct profile_kernel *next_kernel;
	struct profile_page *next;
	char *text = NULL;
	size_t size = 0;
	FILE *f = p->kernels ? open_memstream(&text, &size) : NULL;

	if (f) {
		print(p, f);
		if (!fclose(f))
			append(p->vm->gpu->profile->path, text, size);
		free(text);
	}
	for (struct profile_kernel *k = p->kernels; k; k = next_kernel) {
		next_kernel = k->next;
		for (struct profile_page *page = k->pages; page; page = next) {
			next = page->next;
			free(page);
		}
		free(k);
	}
	code_cache_free(p->code);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
