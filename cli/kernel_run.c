/* SPDX-License-Identifier: MIT */
/*
 * kernel_run.c - runs one kernel in this process; see kernel_run.h.
 *
 * Theory of operation: threads take stretches of the grid from a counter. A work-group that used up its slice is put aside and others begin, SLOTS a
 * thread, so that work-groups which wait for each other progress as on a GPU that has room for them. Each slot has scratch memory of its own.
 *
 * The dispatch packet, kernel arguments, and hidden arguments are what ROCm would have written (LLVM AMDGPUUsage, "Kernel Argument Metadata",
 * HSA runtime specification for the packet).
 */
#include "cli/kernel_run.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cli/kernel_observe.h"

#define PAGE		4096ull
#define ALIGN		(2ull << 20) /* of buffers: far enough from each other to tell an overrun */
#define DATA_BASE	0x200000000ull
#define SHARED_BASE	(1ull << 48)
#define PRIVATE_BASE	(2ull << 48)
#define PRINTF_BYTES	(1u << 20)
#define SLOTS		64
#define SLICE		(1u << 18)
#define SCRATCH_GRANULE 1024 /* of COMPUTE_TMPRING_SIZE.WAVESIZE */

struct worker {
	struct mem_view view; /* first: the worker is found from it */
	struct dispatch *dispatch;
	pthread_t thread;
	bool started;
	unsigned index;
	struct slot {
		struct workgroup wg;
		bool busy;
	} *slot;
	struct exec_range mine;
	uint64_t instructions, interpreted, waves;
	struct isa_count *count;
};

struct dispatch {
	struct kernel_run *run;
	struct dispatch_setup setup;
	struct code_cache *code;
	uint64_t chunk, total;
	_Atomic uint64_t next; /* work-group not handed out */
	atomic_uint failed;
	pthread_mutex_t lock;
	struct kernel_observer observer;
};

static atomic_uint stop;

void kernel_stop(void)
{
	atomic_fetch_or(&stop, 1);
}

bool kernel_stopped(void)
{
	return atomic_load(&stop) & 1;
}

/* ------------------------------------------------------------------ memory */

static const struct mem_tlb_entry *fill(struct mem_view *view, uint64_t page)
{
	const struct kernel_run *run = ((struct worker *)view)->dispatch->run;
	struct mem_tlb_entry *e = &view->tlb[mem_tlb_slot(page)];
	uint64_t va = page << MEM_PAGE_SHIFT;

	for (unsigned i = 0; i < run->num_ranges; i++)
		if (va >= run->range[i].va && va - run->range[i].va < run->range[i].size) {
			*e = (struct mem_tlb_entry){.page = page, .host = run->range[i].host + (va - run->range[i].va), .prot = run->range[i].prot};
			return e;
		}
	return NULL;
}

static bool find_range(struct mem_view *view, uint64_t va, struct mem_range *range)
{
	const struct kernel_run *run = ((struct worker *)view)->dispatch->run;

	for (unsigned i = 0; i < run->num_ranges; i++)
		if (va >= run->range[i].va && va - run->range[i].va < run->range[i].size && run->range[i].size <= MEM_RANGE_LIMIT) {
			range->first = run->range[i].va;
			range->size = run->range[i].size;
			range->host = run->range[i].host;
			range->prot = run->range[i].prot;
			return true;
		}
	return false;
}

static void quiesce(struct mem_view *view)
{
	/* What is mapped stays so while a kernel runs. */
}

static void map(struct kernel_run *run, uint64_t va, uint8_t *host, uint64_t size, uint32_t prot, const char *what, uint64_t bytes)
{
	unsigned i = run->num_ranges++;

	run->range[i].va = va;
	run->range[i].host = host;
	run->range[i].size = size;
	run->range[i].prot = prot;
	run->range[i].what = what;
	run->range[i].bytes = bytes;
}

uint8_t *kernel_alloc(struct kernel_run *run, uint64_t size, uint32_t prot, const char *what, uint64_t *va)
{
	uint64_t bytes = (size + PAGE - 1) & ~(PAGE - 1);
	uint8_t *p;

	if (!size || size > 1ull << 44 || run->num_ranges == KERNEL_RANGES)
		return NULL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	*va = run->next_va;
	map(run, *va, p, bytes, prot, what, size);
	run->next_va += (bytes + 2 * ALIGN - 1) & ~(ALIGN - 1);
	return p;
}

void kernel_where(const struct kernel_run *run, uint64_t va, char *text, size_t size)
{
	unsigned best = run->num_ranges;

	for (unsigned i = 0; i < run->num_ranges; i++)
		if (va >= run->range[i].va && (best == run->num_ranges || run->range[i].va > run->range[best].va))
			best = i;
	if (best == run->num_ranges) {
		snprintf(text, size, "where nothing is mapped");
		return;
	}
	va -= run->range[best].va;
	if (va < run->range[best].bytes)
		snprintf(text, size, "in %s at 0x%llx", run->range[best].what, (unsigned long long)va);
	else
		snprintf(text, size, "%llu bytes behind the end of %s", (unsigned long long)(va - run->range[best].bytes), run->range[best].what);
}

int kernel_run_init(struct kernel_run *run, const struct codeobj *co, const struct codeobj_kernel *kernel)
{
	memset(run, 0, sizeof(*run));
	run->co = co;
	run->kernel = kernel;
	run->next_va = DATA_BASE;
	map(run, KERNEL_CODE_BASE, co->image, co->size, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC, "the code object", co->size);
	run->kernarg = kernel_alloc(run, kernel->kernarg + 64, GPU_PROT_READ | GPU_PROT_WRITE, "the kernel arguments", &run->kernarg_va);
	run->packet = kernel_alloc(run, 64, GPU_PROT_READ, "the dispatch packet", &run->packet_va);
	run->printf_buffer = kernel_alloc(run, PRINTF_BYTES, GPU_PROT_READ | GPU_PROT_WRITE, "the printf buffer", &run->printf_va);
	if (!run->kernarg || !run->packet || !run->printf_buffer) {
		kernel_run_free(run);
		return -ENOMEM;
	}
	return 0;
}

static void unmap_from(struct kernel_run *run, unsigned from)
{
	while (run->num_ranges > from) {
		run->num_ranges--;
		munmap(run->range[run->num_ranges].host, run->range[run->num_ranges].size);
	}
}

void kernel_run_free(struct kernel_run *run)
{
	unmap_from(run, 1); /* the first one is the code object's */
	code_cache_free(run->code);
	run->code = NULL;
	free(run->count);
	run->count = NULL;
}

/* ------------------------------------------------------------------ set-up */

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
	memcpy(p, &v, bytes);
}

static uint64_t hidden(const struct kernel_run *run, const struct kernel_dispatch *d, enum codeobj_arg_kind kind)
{
	unsigned dims = 1;

	for (unsigned i = 0; i < 3; i++)
		if (d->grid[i] > 1)
			dims = i + 1;
	switch (kind) {
	case ARG_HIDDEN_BLOCK_COUNT_X:
	case ARG_HIDDEN_BLOCK_COUNT_Y:
	case ARG_HIDDEN_BLOCK_COUNT_Z:
		return d->grid[kind - ARG_HIDDEN_BLOCK_COUNT_X] / d->group[kind - ARG_HIDDEN_BLOCK_COUNT_X];
	case ARG_HIDDEN_GROUP_SIZE_X:
	case ARG_HIDDEN_GROUP_SIZE_Y:
	case ARG_HIDDEN_GROUP_SIZE_Z:
		return d->group[kind - ARG_HIDDEN_GROUP_SIZE_X];
	case ARG_HIDDEN_REMAINDER_X:
	case ARG_HIDDEN_REMAINDER_Y:
	case ARG_HIDDEN_REMAINDER_Z:
		return d->grid[kind - ARG_HIDDEN_REMAINDER_X] % d->group[kind - ARG_HIDDEN_REMAINDER_X];
	case ARG_HIDDEN_GRID_DIMS:
		return dims;
	case ARG_HIDDEN_DYNAMIC_LDS_SIZE:
		return d->dynamic_lds;
	case ARG_HIDDEN_PRIVATE_BASE:
		return PRIVATE_BASE >> 32;
	case ARG_HIDDEN_SHARED_BASE:
		return SHARED_BASE >> 32;
	case ARG_HIDDEN_QUEUE_PTR:
		return run->packet_va;
	case ARG_HIDDEN_PRINTF_BUFFER:
		return run->printf_va;
	default:
		return 0;
	}
}

static int set_up(struct kernel_run *run, const struct kernel_dispatch *d, struct dispatch_setup *s, unsigned threads)
{
	const struct codeobj_kernel *k = run->kernel;
	struct kernel_descriptor kd;
	uint64_t wave_bytes, scratch_va = 0;

	memcpy(&kd, run->co->image + k->descriptor, sizeof(kd));
	memset(run->kernarg, 0, k->kernarg);
	memcpy(run->kernarg, d->args, d->args_size);
	for (uint32_t i = 0; i < k->num_args; i++) {
		const struct codeobj_arg *a = &k->arg[i];

		if (a->kind >= ARG_FIRST_HIDDEN && a->size <= 8 && a->offset <= k->kernarg && a->size <= k->kernarg - a->offset)
			put(run->kernarg + a->offset, hidden(run, d, a->kind), a->size);
	}
	/* Bytes used, bytes there. */
	put(run->printf_buffer, 0, 4);
	put(run->printf_buffer + 4, PRINTF_BYTES - 8, 4);
	/* hsa_kernel_dispatch_packet_t; its page is also the queue's, amd_queue_t, of which a kernel reads the apertures (0x40, 0x44). */
	memset(run->packet, 0, 128);
	put(run->packet, 2, 2);
	put(run->packet + 2, 3, 2);
	for (unsigned i = 0; i < 3; i++) {
		put(run->packet + 4 + 2 * i, d->group[i], 2);
		put(run->packet + 12 + 4 * i, d->grid[i], 4);
	}
	put(run->packet + 24, kd.private_segment_size, 4);
	put(run->packet + 28, kd.group_segment_size + d->dynamic_lds, 4);
	put(run->packet + 32, KERNEL_CODE_BASE + k->descriptor, 8);
	put(run->packet + 40, run->kernarg_va, 8);
	put(run->packet + 0x40, SHARED_BASE >> 32, 4);
	put(run->packet + 0x44, PRIVATE_BASE >> 32, 4);

	/* A stack of unknown size: what HIP gives by default. */
	wave_bytes = (uint64_t)WAVE_LANES * (kd.private_segment_size + (k->dynamic_stack ? 16384 : 0));
	wave_bytes = (wave_bytes + SCRATCH_GRANULE - 1) & ~(SCRATCH_GRANULE - 1ull);
	if (wave_bytes > 1u << 24)
		return -EINVAL;
	if (wave_bytes && !kernel_alloc(run, wave_bytes * WG_MAX_WAVES * SLOTS * threads, GPU_PROT_READ | GPU_PROT_WRITE, "scratch", &scratch_va))
		return -ENOMEM;
	*s = (struct dispatch_setup){
		.target = run->co->target,
		.entry_pc = KERNEL_CODE_BASE + k->entry,
		.rsrc1 = kd.rsrc1,
		.rsrc2 = kd.rsrc2,
		.rsrc3 = kd.rsrc3,
		.properties = kd.properties,
		.kernarg_preload = kd.kernarg_preload,
		.group_segment_size = kd.group_segment_size + d->dynamic_lds,
		.private_segment_size = kd.private_segment_size,
		.kernarg_va = run->kernarg_va,
		.dispatch_packet_va = run->packet_va,
		.queue_va = run->packet_va,
		.scratch_base = scratch_va,
		.scratch_wave_bytes = (uint32_t)wave_bytes,
		.shared_base = SHARED_BASE,
		.private_base = PRIVATE_BASE,
	};
	/* V#: swizzled by lane; ADD_TID_ENABLE, INDEX_STRIDE 64. */
	s->scratch_rsrc[0] = (uint32_t)scratch_va;
	s->scratch_rsrc[1] = (uint32_t)(scratch_va >> 32) | 1u << 31;
	s->scratch_rsrc[2] = UINT32_MAX;
	s->scratch_rsrc[3] = 1u << 23 | 3u << 21 | 4u << 15;
	for (unsigned i = 0; i < 3; i++) {
		s->wg_size[i] = d->group[i];
		s->grid[i] = d->grid[i];
		s->num_wg[i] = (uint32_t)(((uint64_t)d->grid[i] + d->group[i] - 1) / d->group[i]);
	}
	return exec_wg_bytes(s) < 0 ? -EINVAL : 0;
}

/* ------------------------------------------------------------------ threads */

/* Work-groups for the worker: what it has, or a stretch of the grid. False: there are no more. */
static bool take_range(struct worker *w)
{
	struct dispatch *d = w->dispatch;
	uint64_t first;

	if (w->mine.left)
		return true;
	first = atomic_fetch_add(&d->next, d->chunk);
	if (first >= d->total)
		return false;
	w->mine.left = (uint32_t)(d->total - first < d->chunk ? d->total - first : d->chunk);
	for (int i = 0; i < 3; i++) {
		w->mine.next[i] = (uint32_t)(first % d->setup.num_wg[i]);
		first /= d->setup.num_wg[i];
	}
	return true;
}

static void fail(struct worker *w, const struct workgroup *wg, enum exec_result result)
{
	struct kernel_run *run = w->dispatch->run;

	pthread_mutex_lock(&w->dispatch->lock);
	if (!atomic_exchange(&w->dispatch->failed, 1)) {
		run->result = result;
		run->fault = wg->fault;
		run->fault_wave = wg->fault_wave;
		memcpy(run->fault_group, wg->id, sizeof(wg->id));
	}
	pthread_mutex_unlock(&w->dispatch->lock);
	/* Others of this dispatch leave by the same flag that a signal sets. */
	atomic_fetch_or(&stop, 2);
}

static void run_slot(struct worker *w, unsigned i)
{
	struct dispatch *d = w->dispatch;
	struct workgroup *wg = &w->slot[i].wg;
	uint64_t before = wg->interpreted;
	enum exec_result result;

	if (!w->slot[i].busy) {
		const uint32_t id[3] = {w->mine.next[0], w->mine.next[1], w->mine.next[2]};

		wg->code = d->code;
		wg->scratch_slot = (w->index * SLOTS + i) * WG_MAX_WAVES;
		wg->cu = w->index;
		if (exec_wg_init(wg, &d->setup, id)) {
			fail(w, wg, EXEC_TRAP);
			return;
		}
		wg->instructions = 0;
		exec_range_step(&w->mine, &d->setup);
		w->slot[i].busy = true;
	}
	result = exec_run_range(wg, &d->setup, &w->view, &w->mine, SLICE, &stop);
	w->interpreted += wg->interpreted - before;
	if (result == EXEC_DONE) {
		w->instructions += wg->instructions;
		w->slot[i].busy = false;
	} else if (result != EXEC_YIELD) {
		fail(w, wg, result);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned in_flight = 0;

	kernel_observe_thread(w->count);
	for (unsigned i = 0; !atomic_load(&stop); i = (i + 1) % SLOTS) {
		struct slot *slot = &w->slot[i];

		/* One that ended its work-groups is as good for the next ones. */
		while (!atomic_load(&stop) && (slot->busy || take_range(w))) {
			in_flight -= slot->busy;
			run_slot(w, i);
			in_flight += slot->busy;
			if (slot->busy)
				break;
		}
		if (!in_flight && !slot->busy && !take_range(w))
			break;
	}
	return NULL;
}

/* Where the waves are, when they were stopped. */
static void say_where(const struct kernel_run *run, const struct worker *w)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct workgroup *wg = &w->slot[i].wg;

		for (uint32_t k = 0; w->slot[i].busy && k < wg->num_waves; k++) {
			static const char *const states[] = {"", ", at a barrier", ", ended"};
			char text[256], place[160];

			code_place(run->co, wg->waves[k].pc - KERNEL_CODE_BASE, place, sizeof(place));
			if (!code_inst_text(run->co, wg->waves[k].pc - KERNEL_CODE_BASE, text, sizeof(text), NULL))
				text[0] = 0;
			fprintf(run->where, "  work-group %u,%u,%u wave %u: next %s  %s%s\n", wg->id[0], wg->id[1], wg->id[2], k, place, text,
				states[wg->waves[k].state]);
		}
	}
}

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int make_workers(struct dispatch *d, struct worker *w, unsigned threads, enum kernel_how how)
{
	for (unsigned t = 0; t < threads; t++) {
		w[t].dispatch = d;
		w[t].index = t;
		w[t].view.fill = fill;
		w[t].view.find_range = find_range;
		w[t].view.quiesce = quiesce;
		mem_view_flush(&w[t].view);
		w[t].slot = calloc(SLOTS, sizeof(*w[t].slot));
		if (how == KERNEL_COUNTED)
			w[t].count = calloc(d->run->co->size / 4, sizeof(*w[t].count));
		if (!w[t].slot || (how == KERNEL_COUNTED && !w[t].count))
			return -ENOMEM;
	}
	return 0;
}

static void gather(struct kernel_run *run, struct worker *w, unsigned threads)
{
	for (unsigned t = 0; t < threads; t++) {
		if (run->where && run->result == EXEC_YIELD && w[t].slot)
			say_where(run, &w[t]);
		run->instructions += w[t].instructions;
		run->interpreted += w[t].interpreted;
		for (size_t i = 0; w[t].count && run->count && i < run->co->size / 4; i++) {
			run->count[i].waves += w[t].count[i].waves;
			run->count[i].lanes += w[t].count[i].lanes;
		}
		for (unsigned i = 0; w[t].slot && i < SLOTS; i++) {
			struct workgroup *wg = &w[t].slot[i].wg;

			for (uint32_t k = 0; w[t].slot[i].busy && k < wg->num_waves; k++)
				run->instructions += wg->waves[k].instructions;
			exec_wg_free(wg);
		}
		free(w[t].slot);
		free(w[t].count);
	}
}

int kernel_run(struct kernel_run *run, const struct kernel_dispatch *options, enum kernel_how how)
{
	struct dispatch d = {.run = run, .lock = PTHREAD_MUTEX_INITIALIZER};
	unsigned threads = options->threads, ranges = run->num_ranges;
	uint64_t va = run->next_va;
	struct worker *w = NULL;
	int err;

	run->result = EXEC_DONE;
	run->instructions = run->interpreted = 0;
	err = set_up(run, options, &d.setup, threads);
	if (err)
		goto out;
	d.total = (uint64_t)d.setup.num_wg[0] * d.setup.num_wg[1] * d.setup.num_wg[2];
	if (threads > d.total)
		threads = (unsigned)d.total;
	if (how == KERNEL_TRACED)
		threads = 1;
	d.chunk = d.total / (threads * 8ull);
	d.chunk = d.chunk < 1 ? 1 : d.chunk > 4096 ? 4096 : d.chunk;
	run->work_groups = d.total;
	d.observer = kernel_observer(run, how == KERNEL_TRACED);
	/* What is compiled stays so for the next dispatch. */
	if (how == KERNEL_PLAIN && !run->code)
		run->code = code_cache_new(run->co->target);
	d.code = how == KERNEL_PLAIN ? run->code : code_cache_new_observed(run->co->target, &d.observer.exec);
	w = calloc(threads, sizeof(*w));
	if (how == KERNEL_COUNTED && !run->count)
		run->count = calloc(run->co->size / 4, sizeof(*run->count));
	err = d.code && w ? make_workers(&d, w, threads, how) : -ENOMEM;
	if (!err) {
		code_cache_revalidate(d.code);
		run->cpu_ns = now(CLOCK_PROCESS_CPUTIME_ID);
		run->ns = now(CLOCK_MONOTONIC);
		for (unsigned t = 1; t < threads; t++)
			w[t].started = !pthread_create(&w[t].thread, NULL, work, &w[t]);
		work(&w[0]);
		for (unsigned t = 1; t < threads; t++)
			if (w[t].started)
				pthread_join(w[t].thread, NULL);
		run->ns = now(CLOCK_MONOTONIC) - run->ns;
		run->cpu_ns = now(CLOCK_PROCESS_CPUTIME_ID) - run->cpu_ns;
		if (!atomic_load(&d.failed) && kernel_stopped())
			run->result = EXEC_YIELD;
	}
	if (w)
		gather(run, w, threads);
	if (how != KERNEL_PLAIN)
		code_cache_free(d.code);
	free(w);
out:
	unmap_from(run, ranges);
	run->next_va = va;
	return err;
}
