/* SPDX-License-Identifier: MIT */
/*
 * mem.c - guest memory accesses that are not the common case: page crossings and faults; ranges; what is to be paged in.
 */
#include "gpu/soft/exec/mem.h"

void exec_memory_fault(struct exec_ctx *ctx, uint64_t va, uint32_t prot)
{
	struct exec_fault *fault = &ctx->wave->wg->fault;

	if (ctx->error != EXEC_DONE)
		return;
	*fault = (struct exec_fault){
		.va = va,
		.write = prot & GPU_PROT_WRITE,
		.not_present = !mem_translate(ctx->view, va, 0),
		.pc = ctx->pc,
	};
	fault->no_execute = (prot & GPU_PROT_EXEC) && !fault->not_present;
	ctx->error = EXEC_MEMORY_FAULT;
}

bool mem_ask(struct exec_ctx *ctx, const struct mem_missing *m)
{
	struct page_wait *wait = &ctx->wave->page_wait;
	unsigned bad = 0;

	if (wait->pc != ctx->pc)
		*wait = (struct page_wait){.pc = ctx->pc};
	switch (ctx->view->ask(ctx->view, wait, m, &bad)) {
	case MEM_ASK_AGAIN:
		return true;
	case MEM_ASK_WAIT:
		ctx->error = EXEC_PAGES;
		return false;
	default:
		exec_memory_fault(ctx, m->va[bad], m->prot);
		return false;
	}
}

bool mem_want(struct exec_ctx *ctx, uint64_t va, uint32_t size, uint32_t prot)
{
	struct mem_missing m = {.prot = prot};

	if (!ctx->view->ask || !size)
		return true;
	do {
		m.num = 0;
		mem_collect(ctx->view, &m, va);
		mem_collect(ctx->view, &m, va + size - 1);
	} while (m.num && mem_ask(ctx, &m));
	if (m.num)
		return false;
	ctx->wave->page_wait.since = 0;
	return true;
}

/* One of those found last, around va. */
static const struct mem_range *found_range(const struct mem_view *view, uint64_t va)
{
	for (unsigned i = 0; i < MEM_FOUND; i++)
		if (va - view->found[i].first < view->found[i].size)
			return &view->found[i];
	return NULL;
}

/* Found now; NULL: not mapped, or there are no ranges. Until the next quiescent point at most. */
static const struct mem_range *new_range(struct mem_view *view, uint64_t va)
{
	struct mem_range found = {.size = 0}, *r;

	if (!view->find_range || !view->find_range(view, va, &found) || va - found.first >= found.size)
		return NULL;
	/* Memory that has been mapped since may have made it larger. */
	for (unsigned i = 0; i < MEM_FOUND; i++)
		if (view->found[i].first - found.first < found.size)
			view->found[i].size = 0;
	r = &view->found[view->next_found++ % MEM_FOUND];
	*r = found;
	return r;
}

#define FILLS	16 /* of a range or place, and then not for so many accesses: */
#define REFUSED 512

/* An access that goes from buffer to buffer, or through pages that lie anywhere, is not worth it to look for its range each time. */
static bool worth_it(uint16_t *fills, uint16_t *refused)
{
	if (*fills >= FILLS && ++*refused >= REFUSED)
		*fills = *refused = 0;
	if (*fills >= FILLS)
		return false;
	++*fills;
	return true;
}

bool mem_find_range(struct mem_view *view, uint64_t va, struct mem_range *r)
{
	const struct mem_range *found;

	if (va - r->first < r->size)
		return false;
	/* Those found last cost nothing. */
	found = found_range(view, va);
	if (!found && worth_it(&r->fills, &r->refused))
		found = new_range(view, va);
	if (!found)
		return false;
	r->first = found->first;
	r->size = found->size;
	r->host = found->host;
	r->prot = found->prot;
	return true;
}

static void fill_near(struct mem_view *view, struct mem_near *n, uint64_t va, uint32_t prot, uint32_t bytes)
{
	const struct mem_range *r;

	if (!worth_it(&n->fills, &n->refused))
		return;
	r = found_range(view, va);
	if (!r)
		r = new_range(view, va);
	if (!r || (r->prot & prot) != prot || r->size < bytes)
		return;
	n->first = r->first;
	n->room = r->size - bytes + 1;
	n->host = r->host;
}

uint8_t *mem_find_near(struct exec_ctx *ctx, uint64_t va, uint32_t place, uint32_t bytes)
{
	struct mem_view *view = ctx->view;
	uint32_t prot = place & 1 ? GPU_PROT_WRITE : GPU_PROT_READ, most = mem_near_bytes(place / MEM_NEAR_OF);
	uint8_t *host = mem_translate(view, va, prot);

	if (!host || bytes > most || va + bytes < va)
		return NULL;
	for (uint64_t page = (va | MEM_PAGE_MASK) + 1; page < va + bytes; page += MEM_PAGE_SIZE)
		if (mem_translate(view, page, prot) != host + (page - va))
			return NULL;
	fill_near(view, &view->near[place], va, prot, most);
	return host;
}

bool exec_mem_read(struct exec_ctx *ctx, uint64_t va, void *buf, uint32_t size)
{
	uint8_t *out = buf;

	while (size) {
		const uint8_t *p = mem_translate(ctx->view, va, GPU_PROT_READ);
		uint32_t step = 1;

		if (!p) {
			exec_memory_fault(ctx, va, GPU_PROT_READ);
			return false;
		}
		if (size >= 4 && !(va & 3)) {
			uint32_t v = guest_load32(p);

			memcpy(out, &v, 4);
			step = 4;
		} else {
			*out = guest_load8(p);
		}
		out += step;
		va += step;
		size -= step;
	}
	return true;
}

bool exec_mem_write(struct exec_ctx *ctx, uint64_t va, const void *buf, uint32_t size)
{
	const uint8_t *in = buf;

	while (size) {
		uint8_t *p = mem_translate(ctx->view, va, GPU_PROT_WRITE);
		uint32_t step = 1;

		if (!p) {
			exec_memory_fault(ctx, va, GPU_PROT_WRITE);
			return false;
		}
		if (size >= 4 && !(va & 3)) {
			uint32_t v;

			memcpy(&v, in, 4);
			guest_store32(p, v);
			step = 4;
		} else {
			guest_store8(p, *in);
		}
		in += step;
		va += step;
		size -= step;
	}
	return true;
}
