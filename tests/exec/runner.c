/* SPDX-License-Identifier: MIT */
/*
 * runner.c - the test runner (runner.h). Plays the command processor: packet, kernel arguments with the hidden ones of code object
 * version 5, scratch, one work-group after the other.
 */
#include "tests/exec/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE		4096ul
#define SCRATCH_BYTES	(64ul << 20)
#define SHARED_BASE	(1ull << 48)
#define PRIVATE_BASE	(2ull << 48)
#define HIDDEN_BYTES	256
#define IDLE_LIMIT	100000 /* exec_run calls of a work-group: none of the tests needs more */

static const struct mem_tlb_entry *fill(struct mem_view *view, uint64_t page)
{
	struct runner *r = (struct runner *)view;
	struct mem_tlb_entry *e = &view->tlb[mem_tlb_slot(page)];
	uint64_t va = page << MEM_PAGE_SHIFT;

	for (unsigned i = 0; i < r->num_ranges; i++)
		if (va >= r->range[i].start && va < r->range[i].end) {
			*e = (struct mem_tlb_entry){.page = page, .host = r->range[i].host + (va - r->range[i].start), .prot = r->range[i].prot};
			return e;
		}
	return NULL;
}

static bool find_range(struct mem_view *view, uint64_t va, struct mem_range *range)
{
	struct runner *r = (struct runner *)view;

	for (unsigned i = 0; i < r->num_ranges; i++)
		if (va >= r->range[i].start && va < r->range[i].end) {
			range->first = r->range[i].start;
			range->size = r->range[i].end - r->range[i].start;
			range->host = r->range[i].host;
			range->prot = r->range[i].prot;
			return range->size <= MEM_RANGE_LIMIT;
		}
	return false;
}

static void flush(struct runner *r)
{
	mem_view_flush(&r->view);
}

static void quiesce(struct mem_view *view)
{
	((struct runner *)view)->quiesced++;
}

int runner_init(struct runner *r, enum isa_target target)
{
	memset(r, 0, sizeof(*r));
	r->view.fill = fill;
	r->view.find_range = find_range;
	r->view.quiesce = quiesce;
	flush(r);
	r->code = code_cache_new(target);
	r->scratch = runner_alloc(r, SCRATCH_BYTES, GPU_PROT_READ | GPU_PROT_WRITE);
	return r->code && r->scratch ? 0 : -ENOMEM;
}

void runner_free(struct runner *r)
{
	exec_wg_free(&r->wg);
	code_cache_free(r->code);
	runner_unmap(r, r->scratch);
}

int runner_map(struct runner *r, const void *host, size_t size, uint32_t prot)
{
	uint64_t start = (uintptr_t)host & ~(PAGE - 1), end = ((uintptr_t)host + size + PAGE - 1) & ~(PAGE - 1);

	return runner_map_at(r, start, (void *)(uintptr_t)start, end - start, prot);
}

int runner_map_at(struct runner *r, uint64_t va, void *host, size_t size, uint32_t prot)
{
	if (r->num_ranges == RUNNER_RANGES)
		return -ENOSPC;
	r->range[r->num_ranges].start = va;
	r->range[r->num_ranges].end = va + size;
	r->range[r->num_ranges].host = host;
	r->range[r->num_ranges].prot = prot;
	r->num_ranges++;
	return 0;
}

void *runner_alloc(struct runner *r, size_t size, uint32_t prot)
{
	void *p;

	size = (size + PAGE - 1) & ~(PAGE - 1);
	/* A page behind it is nobody's, so that what goes too far finds nothing. */
	p = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (runner_map(r, p, size, prot)) {
		munmap(p, size + PAGE);
		return NULL;
	}
	return p;
}

void runner_unmap(struct runner *r, const void *host)
{
	for (unsigned i = 0; i < r->num_ranges; i++)
		if (r->range[i].start == (uintptr_t)host) {
			munmap((void *)(uintptr_t)r->range[i].start, r->range[i].end - r->range[i].start + PAGE);
			r->range[i] = r->range[--r->num_ranges];
			break;
		}
	flush(r);
}

void runner_unmap_at(struct runner *r, uint64_t va)
{
	for (unsigned i = 0; i < r->num_ranges; i++)
		if (r->range[i].start == va) {
			r->range[i] = r->range[--r->num_ranges];
			break;
		}
	flush(r);
}

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
	memcpy(p, &v, bytes);
}

/* Hidden arguments at the aligned end of the explicit ones (AMDGPUUsage, "Code Object V5 Metadata"). */
static void hidden_args(uint8_t *h, const struct runner_dispatch *d)
{
	unsigned dims = 1;

	for (unsigned i = 0; i < 3; i++) {
		put(h + 4 * i, d->grid[i] / d->group[i], 4);
		put(h + 12 + 2 * i, d->group[i], 2);
		put(h + 18 + 2 * i, d->grid[i] % d->group[i], 2);
		put(h + 40 + 8 * i, d->offset[i], 8);
		if (d->grid[i] > 1)
			dims = i + 1;
	}
	put(h + 64, dims, 2);
	put(h + 120, d->dynamic_lds, 4);
	put(h + 192, PRIVATE_BASE >> 32, 4);
	put(h + 196, SHARED_BASE >> 32, 4);
}

static void packet(uint8_t *p, const struct runner_dispatch *d, const struct kernel_descriptor *kd, const uint8_t *kernarg)
{
	put(p + 2, 3, 2);
	for (unsigned i = 0; i < 3; i++) {
		put(p + 4 + 2 * i, d->group[i], 2);
		put(p + 12 + 4 * i, d->grid[i], 4);
	}
	put(p + 24, kd->private_segment_size, 4);
	put(p + 28, kd->group_segment_size + d->dynamic_lds, 4);
	put(p + 32, (uintptr_t)kd, 8);
	put(p + 40, (uintptr_t)kernarg, 8);
}

static enum exec_result run_groups(struct runner *r, const struct dispatch_setup *s, struct exec_range *range)
{
	const uint32_t id[3] = {range->next[0], range->next[1], range->next[2]};
	static const atomic_uint never;
	const atomic_uint *stop = r->stop ? r->stop : &never;
	enum exec_result result = EXEC_YIELD;

	r->wg.code = r->code;
	r->wg.scratch_slot = 0;
	if (exec_wg_init(&r->wg, s, id))
		return EXEC_ILLEGAL;
	r->wg.instructions = 0;
	exec_range_step(range, s);
	for (unsigned i = 0; i < IDLE_LIMIT && result == EXEC_YIELD && (!i || !atomic_load(stop)); i++)
		result = exec_run_range(&r->wg, s, &r->view, range, r->slice ? r->slice : 1 << 20, stop);
	r->instructions += r->wg.instructions;
	for (unsigned i = 0; i < r->wg.num_waves && result != EXEC_DONE; i++)
		r->instructions += r->wg.waves[i].instructions;
	r->fault = r->wg.fault;
	return result;
}

enum exec_result runner_run(struct runner *r, const struct codeobj *co, const struct runner_dispatch *d)
{
	char name[128];
	const struct kernel_descriptor *kd;
	uint8_t *kernarg, *aql;
	enum exec_result result = EXEC_DONE;
	size_t explicit_size = (d->args_size + 7) & ~7ul;
	struct exec_range range = {.left = 0};
	struct dispatch_setup s;

	snprintf(name, sizeof(name), "%s.kd", d->kernel);
	kd = codeobj_symbol(co, name);
	if (!kd) {
		fprintf(stderr, "no kernel %s\n", d->kernel);
		return EXEC_ILLEGAL;
	}
	kernarg = runner_alloc(r, explicit_size + HIDDEN_BYTES, GPU_PROT_READ | GPU_PROT_WRITE);
	aql = runner_alloc(r, 64, GPU_PROT_READ);
	memcpy(kernarg, d->args, d->args_size);
	hidden_args(kernarg + explicit_size, d);
	packet(aql, d, kd, kernarg);

	s = (struct dispatch_setup){
		.target = co->target,
		.entry_pc = (uintptr_t)kd + kd->entry_offset,
		.rsrc1 = kd->rsrc1,
		.rsrc2 = kd->rsrc2,
		.rsrc3 = kd->rsrc3,
		.properties = kd->properties,
		.kernarg_preload = kd->kernarg_preload,
		.group_segment_size = kd->group_segment_size + d->dynamic_lds,
		.private_segment_size = kd->private_segment_size,
		.kernarg_va = (uintptr_t)kernarg,
		.dispatch_packet_va = (uintptr_t)aql,
		.queue_va = (uintptr_t)aql,
		.scratch_base = (uintptr_t)r->scratch,
		.scratch_wave_bytes = SCRATCH_BYTES / WG_MAX_WAVES,
		.shared_base = SHARED_BASE,
		.private_base = PRIVATE_BASE,
	};
	/* V#: swizzled by lane; ADD_TID_ENABLE, INDEX_STRIDE 64. */
	s.scratch_rsrc[0] = s.scratch_base;
	s.scratch_rsrc[1] = s.scratch_base >> 32 | 1u << 31;
	s.scratch_rsrc[2] = UINT32_MAX;
	s.scratch_rsrc[3] = 1u << 23 | 3u << 21 | 4u << 15;
	for (unsigned i = 0; i < 3; i++) {
		s.wg_size[i] = d->group[i];
		s.grid[i] = d->grid[i];
		s.num_wg[i] = (d->grid[i] + d->group[i] - 1) / d->group[i];
	}
	r->instructions = 0;
	code_cache_revalidate(r->code);
	range.left = s.num_wg[0] * s.num_wg[1] * s.num_wg[2];
	while (range.left && result == EXEC_DONE)
		result = run_groups(r, &s, &range);
	runner_unmap(r, kernarg);
	runner_unmap(r, aql);
	return result;
}

enum exec_result runner_run_until(struct runner *r, const struct codeobj *co, const struct runner_dispatch *d, const atomic_uint *stop)
{
	enum exec_result result;

	r->stop = stop;
	result = runner_run(r, co, d);
	r->stop = NULL;
	return result;
}
