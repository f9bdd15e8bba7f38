/* SPDX-License-Identifier: MIT */
/*
 * fake_exec.c - exec.h for tests of the command processor: a work-group does what its kernel
 * arguments say (client.h).
 *
 * It keeps exec's rules: memory only through the view, quiescent points, the stop flag, slices.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu/soft/exec/exec.h"
#include "tests/cp/client.h"

struct code_cache {
	int unused;
};

/* exec_wg_init and exec_wg_free that were seen, for leak checks in tests. */
atomic_int fake_live_workgroups;
atomic_int fake_revalidations;

struct fake {
	struct dispatch_setup setup;
	bool started, init;
	unsigned slices;
};

struct code_cache *code_cache_new(enum isa_target target)
{
	return calloc(1, sizeof(struct code_cache));
}

struct code_cache *code_cache_new_observed(enum isa_target target, const struct exec_observer *observer)
{
	return code_cache_new(target);
}

void code_cache_beside(struct code_cache *cache, struct code_cache *other)
{
}

void code_cache_free(struct code_cache *cache)
{
	free(cache);
}

void code_cache_revalidate(struct code_cache *cache)
{
	atomic_fetch_add(&fake_revalidations, 1);
}

void exec_prepare(int store)
{
}

uint64_t exec_compile_ns(void)
{
	return 0;
}

long exec_wg_bytes(const struct dispatch_setup *setup)
{
	return sizeof(struct fake) + setup->group_segment_size;
}

int exec_wg_init(struct workgroup *wg, const struct dispatch_setup *setup, const uint32_t id[3])
{
	struct fake *f = wg->mem;

	if (!f) {
		f = wg->mem = calloc(1, sizeof(*f));
		if (!f)
			return -ENOMEM;
		atomic_fetch_add(&fake_live_workgroups, 1);
	}
	f->setup = *setup;
	f->started = false;
	f->slices = 0;
	memcpy(wg->id, id, sizeof(wg->id));
	wg->num_waves =
		((unsigned)setup->wg_size[0] * setup->wg_size[1] * setup->wg_size[2] + 63) / 64;
	return 0;
}

void exec_wg_free(struct workgroup *wg)
{
	if (wg->mem)
		atomic_fetch_sub(&fake_live_workgroups, 1);
	free(wg->mem);
	wg->mem = NULL;
}

static void *access_va(struct workgroup *wg, struct mem_view *view, uint64_t va, unsigned prot)
{
	uint64_t page = va >> MEM_PAGE_SHIFT;
	const struct mem_tlb_entry *e = &view->tlb[mem_tlb_slot(page)];

	if (e->page != page)
		e = view->fill(view, page);
	if (!e || (e->prot & prot) != prot) {
		wg->fault = (struct exec_fault){
			.va = va, .write = prot & GPU_PROT_WRITE, .not_present = !e};
		return NULL;
	}
	return e->host + (va & 0xfff);
}

/* One more at word[0]; the most so far are at word[1]. */
static void count_one(_Atomic uint64_t *word)
{
	uint64_t now = atomic_fetch_add(word, 1) + 1, most = atomic_load(word + 1);

	while (most < now && !atomic_compare_exchange_weak(word + 1, &most, now))
		;
}

static enum exec_result run(struct workgroup *wg, struct mem_view *view, uint64_t budget,
			    const atomic_uint *stop)
{
	struct fake *f = wg->mem;
	struct fake_args *in = access_va(wg, view, f->setup.kernarg_va, GPU_PROT_READ), args;
	_Atomic uint64_t *word, *other;
	uint8_t *bytes;

	if (!in)
		return EXEC_MEMORY_FAULT;
	args = *in;
	switch (args.op) {
	case FAKE_END:
		return EXEC_DONE;
	case FAKE_COUNT:
		word = access_va(wg, view, args.addr, GPU_PROT_READ | GPU_PROT_WRITE);
		if (!word)
			return EXEC_MEMORY_FAULT;
		atomic_fetch_add(word, 1);
		return EXEC_DONE;
	case FAKE_WAIT:
	case FAKE_BARRIER:
	case FAKE_READ_LOOP:
		for (uint64_t i = 0;
		     i < budget && !atomic_load_explicit(stop, memory_order_relaxed); i++) {
			word = access_va(wg, view, args.addr, GPU_PROT_READ | GPU_PROT_WRITE);
			if (!word)
				return EXEC_MEMORY_FAULT;
			if (!f->started && args.op == FAKE_BARRIER)
				atomic_fetch_add(word, 1);
			f->started = true;
			if (args.op == FAKE_WAIT
				    ? atomic_load(word) != 0
				    : args.op == FAKE_BARRIER && atomic_load(word) >= args.arg)
				return EXEC_DONE;
			if (i % 64 == 0)
				view->quiesce(view);
		}
		return EXEC_YIELD;
	case FAKE_SPIN:
		for (uint64_t i = 0;
		     i < budget && !atomic_load_explicit(stop, memory_order_relaxed); i += 16) {
			word = access_va(wg, view, args.addr, GPU_PROT_READ);
			other = word ? access_va(wg, view, args.arg, GPU_PROT_WRITE) : NULL;
			if (!other)
				return EXEC_MEMORY_FAULT;
			if (atomic_load(word))
				return EXEC_DONE;
			atomic_fetch_add(other, 1);
			view->quiesce(view);
		}
		return EXEC_YIELD;
	case FAKE_SLICES:
	case FAKE_NAPS:
		word = access_va(wg, view, args.addr, GPU_PROT_READ | GPU_PROT_WRITE);
		if (!word)
			return EXEC_MEMORY_FAULT;
		if (!f->slices)
			count_one(word);
		wg->waves[0].sleep = args.op == FAKE_NAPS;
		if (++f->slices < args.arg)
			return EXEC_YIELD;
		atomic_fetch_sub(word, 1);
		return EXEC_DONE;
	case FAKE_MEET: {
		uint64_t end = clock_ns() + 100000;

		word = access_va(wg, view, args.addr, GPU_PROT_READ | GPU_PROT_WRITE);
		if (!word)
			return EXEC_MEMORY_FAULT;
		count_one(word);
		atomic_fetch_or(word + 2, 1ull << wg->cu);
		while (clock_ns() < end)
			sched_yield();
		atomic_fetch_sub(word, 1);
		return EXEC_DONE;
	}
	case FAKE_ILLEGAL:
		return EXEC_ILLEGAL;
	case FAKE_APERTURE:
		return EXEC_APERTURE;
	case FAKE_TRAP:
		wg->fault.trap_id = (uint32_t)args.arg;
		return EXEC_TRAP;
	case FAKE_READ:
		word = access_va(wg, view, args.addr, GPU_PROT_READ);
		if (!word)
			return EXEC_MEMORY_FAULT;
		other = access_va(wg, view, args.arg, GPU_PROT_READ | GPU_PROT_WRITE);
		if (!other)
			return EXEC_MEMORY_FAULT;
		atomic_fetch_add(other, atomic_load(word));
		return EXEC_DONE;
	case FAKE_MESSAGE:
		wg->message(wg, 1, (uint32_t)args.arg);
		return EXEC_DONE;
	case FAKE_SLOTS:
		other = access_va(wg, view, args.arg, GPU_PROT_READ | GPU_PROT_WRITE);
		if (!other)
			return EXEC_MEMORY_FAULT;
		for (unsigned w = 0; w < wg->num_waves; w++) {
			bytes = access_va(wg, view, args.addr + wg->scratch_slot + w,
					  GPU_PROT_WRITE);
			if (!bytes)
				return EXEC_MEMORY_FAULT;
			/* taken when it starts, given back in its third slice */
			if (!f->slices && __atomic_exchange_n(bytes, 1, __ATOMIC_SEQ_CST))
				atomic_fetch_add(other, 1);
			if (f->slices == 2)
				__atomic_store_n(bytes, 0, __ATOMIC_SEQ_CST);
		}
		return f->slices++ == 2 ? EXEC_DONE : EXEC_YIELD;
	case FAKE_ORDER:
		word = access_va(wg, view, args.addr, GPU_PROT_READ | GPU_PROT_WRITE);
		if (!word)
			return EXEC_MEMORY_FAULT;
		if (atomic_load(word) != args.arg)
			atomic_fetch_add(word + 1, 1);
		atomic_store(word, args.arg + 1);
		return EXEC_DONE;
	case FAKE_CHAIN:
		word = access_va(wg, view, args.addr, GPU_PROT_READ | GPU_PROT_WRITE);
		if (!word)
			return EXEC_MEMORY_FAULT;
		for (unsigned i = 0; atomic_load(word) != wg->id[0] + (uint64_t)f->setup.num_wg[0] * wg->id[1]; i++)
			if (i == 100 || atomic_load(stop))
				return EXEC_YIELD;
		atomic_fetch_add(word, 1);
		return EXEC_DONE;
	case FAKE_IDS: {
		uint64_t flat =
			wg->id[0] + (uint64_t)f->setup.num_wg[0] *
					    (wg->id[1] + (uint64_t)f->setup.num_wg[1] * wg->id[2]);
		uint32_t *count =
			access_va(wg, view, args.addr + 4 * flat, GPU_PROT_READ | GPU_PROT_WRITE);

		if (!count)
			return EXEC_MEMORY_FAULT;
		__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
		return EXEC_DONE;
	}
	}
	return EXEC_ILLEGAL;
}

enum exec_result exec_run_range(struct workgroup *wg, const struct dispatch_setup *setup,
				struct mem_view *view, struct exec_range *range, uint64_t budget,
				const atomic_uint *stop)
{
	for (;;) {
		enum exec_result result = run(wg, view, budget, stop);

		if (result != EXEC_DONE || !range->left || atomic_load(stop))
			return result;
		view->quiesce(view);
		if (exec_wg_init(wg, setup, range->next))
			return EXEC_TRAP;
		exec_range_step(range, setup);
	}
}
