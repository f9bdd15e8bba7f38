/* SPDX-License-Identifier: MIT */
/*
 * sched.c - dispatches in flight: which work-group runs next.
 *
 * Theory of operation
 *
 * A free executor takes the GPU process (vm) that has run least, of its dispatches the one of
 * highest queue priority, and of several the one whose queue has run least. "Has run" is a virtual
 * time: ns of executor threads, counted up when a slice ends. One that comes back after a pause
 * starts at most CREDIT_NS behind the others: it may catch up with a short absence, but not save
 * time. Processes therefore share by time and not by how many queues they have.
 *
 * Priorities are the KFD's 0..15. Within a process they are strict: a dispatch of higher priority
 * goes first and ends the slices of lower ones when it comes. Across processes, hardware arbitrates
 * by three levels (amdkfd's pipe priorities: 0-6 low, 7-10 medium, 11-15 high), strictly, so that a
 * process could keep all others from running; here a level is a weight of 1, 4 or 16 instead.
 *
 * Of one dispatch, work-groups not started yet go first, as long as fewer than `cap` are in flight
 * (what the real GPU could hold); then those that were suspended at the end of a slice, oldest
 * first. So a kernel whose work-groups wait for each other makes progress like on hardware, and one
 * that does not has few half-run work-groups. One that the CP thread, whose slices are short, did not end goes before them all for some more of those: what it
 * works on is in the caches. At most max_running executors run one dispatch: that
 * is the share of the CUs its queue may use.
 *
 * A dispatch is in its vm's heap while it has a work-group to run, and the vm in the gpu's while it
 * has such a dispatch: place() keeps that, after each change. The pick is made in sched_pick alone.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Instructions per slice, shared by the waves of a work-group. The CP thread's are short: it must
 * get back to its queues. */
#define SLICE_CP     16000u
#define SLICE_QUIET  48000u /* the CP thread's when it had nothing else to do for a while */
#define SLICE_WORKER 200000u
#define SLICE_MIN    500u
/* How many slices of the CP thread a work-group may have before others of its dispatch begin. */
#define SLICES_MAX   16u

#define SLICE_NS   1000000u  /* what an executor at work is taken to add to the time run */
#define CREDIT_NS  10000000u /* what a process or queue that comes back may be behind */
#define VTIME_BITS 60

/* Work-groups are handed out as many at a time as take about so long, by what those before took. */
#define HAND_CP_NS     15000u
#define HAND_QUIET_NS  45000u /* to the CP thread when it had nothing else to do for a while */
#define HAND_WORKER_NS 60000u
#define HAND_MAX       4096u

/* Dispatches of up to this many work-groups are tried by the CP thread alone before workers are
 * woken, for so long. */
#define FEW_WORKGROUPS 16
#define SPREAD_NS      10000u

/* Time run counts this many quarters for the process: weights 1, 4, 16 of low, medium and high. */
static uint64_t weighted(unsigned priority, uint64_t ns)
{
	return priority < 7 ? ns * 4 : priority < 11 ? ns : ns / 4;
}

static uint64_t behind(uint64_t vtime)
{
	return vtime > CREDIT_NS ? vtime - CREDIT_NS : 0;
}

static struct dispatch *dispatch_of(struct heap_node *n)
{
	return (struct dispatch *)((char *)n - offsetof(struct dispatch, node));
}

static struct gpu_vm *vm_of(struct heap_node *n)
{
	return (struct gpu_vm *)((char *)n - offsetof(struct gpu_vm, node));
}

/* Every work-group was handed out. */
static bool issued(const struct dispatch *d)
{
	return !d->unissued && !d->num_back;
}

static bool may_start(const struct dispatch *d)
{
	return !issued(d) && (d->num_free || d->num_used < d->cap);
}

static bool has_memory(const struct gpu *gpu, const struct dispatch *d)
{
	return !d->inflight || gpu->inflight_bytes + d->wg_bytes <= GPU_MAX_INFLIGHT_BYTES;
}

static bool has_job(const struct dispatch *d)
{
	return d->active && !d->halt && d->error == EXEC_DONE && !d->starved &&
	       d->running < d->max_running && (d->ready_head || may_start(d));
}

static void place_vm(struct gpu *gpu, struct gpu_vm *vm)
{
	if (vm->ready.num)
		heap_set(&gpu->ready, &vm->node, vm->vtime + (uint64_t)vm->running * SLICE_NS);
	else
		heap_remove(&gpu->ready, &vm->node);
}

/* Nothing of it can run before pages come. */
static bool is_stalled(const struct dispatch *d)
{
	return d->num_waiting && !d->running && !d->ready_head && (!may_start(d) || d->starved) && d->error == EXEC_DONE;
}

/* d, or its vm, has changed: puts both where they belong. */
static void place(struct gpu *gpu, struct dispatch *d)
{
	bool stalled = is_stalled(d), listed = d->active && !d->halt && !atomic_load(&d->done) && !stalled;

	atomic_store_explicit(&d->stalled, stalled, memory_order_relaxed);

	if (listed != d->listed) {
		d->listed = listed;
		atomic_store_explicit(&gpu->listed, atomic_load_explicit(&gpu->listed, memory_order_relaxed) + (listed ? 1 : -1), memory_order_relaxed);
	}
	if (has_job(d))
		heap_set(&d->vm->ready, &d->node,
			 (uint64_t)(GPU_PRIORITIES - 1 - d->priority) << VTIME_BITS |
				 (d->vtime + (uint64_t)d->running * SLICE_NS));
	else
		heap_remove(&d->vm->ready, &d->node);
	place_vm(gpu, d->vm);
}

static void starve(struct gpu *gpu, struct dispatch *d)
{
	d->starved = true;
	d->next_starved = gpu->starved;
	gpu->starved = d;
	place(gpu, d);
}

static void unstarve(struct gpu *gpu, struct dispatch *d)
{
	for (struct dispatch **p = &gpu->starved; *p; p = &(*p)->next_starved) {
		if (*p == d) {
			*p = d->next_starved;
			break;
		}
	}
	d->starved = false;
	place(gpu, d);
}

bool sched_has_work(const struct gpu *gpu)
{
	return gpu->ready.num;
}

void sched_call(struct gpu *gpu)
{
	atomic_fetch_add(&gpu->worker_calls, 1);
	if (!gpu->spinning_workers)
		pthread_cond_signal(&gpu->work_cond);
}

int sched_add_queue(struct gpu *gpu, struct gpu_vm *vm, unsigned queues)
{
	int ret;

	pthread_mutex_lock(&gpu->sched_lock);
	ret = heap_reserve(&vm->ready, queues);
	if (!ret) /* a vm without a queue is in no heap */
		ret = heap_reserve(&gpu->ready, gpu->num_queues + 1);
	pthread_mutex_unlock(&gpu->sched_lock);
	return ret;
}

static bool is_little(const struct dispatch *d)
{
	return d->wg_ns && d->unissued <= SPREAD_NS / d->wg_ns;
}

/* How many work-groups ex gets now. */
static uint32_t share(const struct dispatch *d, const struct executor *ex)
{
	uint64_t ns = ex->index ? HAND_WORKER_NS : cp_quiet(ex) ? HAND_QUIET_NS : HAND_CP_NS, n, even;

	if (!d->wg_ns)
		return 1;
	n = ns / d->wg_ns;
	/* The last ones so that all executors end at about the same time; but little work is one's. */
	even = d->max_running > 1 ? d->unissued / (2 * d->max_running) : n;
	if (n > even && !is_little(d))
		n = even;
	if (n > d->unissued)
		n = d->unissued;
	return n > HAND_MAX ? HAND_MAX : n ? (uint32_t)n : 1;
}

/*
 * Executors have parts of their own, so that what kernels that follow each other have in common stays in the caches of one CPU; who has done his own takes from
 * the end of the largest one. But as soon as more work-groups are in flight than run, some may wait for others: then the first ones go first.
 */
static void make_parts(const struct gpu *gpu, struct dispatch *d)
{
	bool split = d->max_running > 1 && !d->few && d->cap >= 4 * gpu->num_runners && d->unissued <= UINT32_MAX;
	uint64_t from = 0;

	d->num_parts = !split ? 1 : d->max_running < MAX_PARTS ? d->max_running : MAX_PARTS;
	for (unsigned i = 0; i < d->num_parts; i++) {
		d->part[i].next = from;
		d->part[i].end = from = i + 1 == d->num_parts ? d->unissued : from + d->unissued / d->num_parts;
	}
}

static uint64_t left_of(const struct dispatch *d, unsigned part)
{
	return d->part[part].end - d->part[part].next;
}

static uint64_t number_of(const struct dispatch *d, const uint32_t id[3])
{
	const uint32_t *num = d->setup.num_wg;

	return id[0] + num[0] * (id[1] + (uint64_t)num[1] * id[2]);
}

/* Of what was given back the range that begins first. */
static unsigned first_back(const struct dispatch *d)
{
	unsigned first = 0;

	for (unsigned i = 1; i < d->num_back; i++)
		if (number_of(d, d->back[i].next) < number_of(d, d->back[first].next))
			first = i;
	return first;
}

static void hand_out(struct dispatch *d, const struct executor *ex, bool one,
		     struct exec_range *range)
{
	unsigned own = ex->index % d->num_parts, part, back = first_back(d);
	bool in_order = d->inflight > ex->gpu->num_runners;
	uint64_t n, first;

	if (in_order)
		for (own = 0; own + 1 < d->num_parts && !left_of(d, own);)
			own++;
	if (d->num_back && !(in_order && d->unissued && d->part[own].next < number_of(d, d->back[back].next))) {
		*range = d->back[back];
		d->back[back] = d->back[--d->num_back];
		return;
	}
	part = own;
	for (unsigned i = 0; i < d->num_parts && !left_of(d, own); i++)
		if (left_of(d, i) > left_of(d, part))
			part = i;
	n = one ? 1 : share(d, ex);
	if (n > left_of(d, part))
		n = left_of(d, part);
	first = part == own ? d->part[part].next : d->part[part].end - n;
	if (part == own)
		d->part[part].next += n;
	else
		d->part[part].end -= n;
	d->unissued -= n;
	range->left = (uint32_t)n;
	for (unsigned i = 0; i < 3; i++) {
		range->next[i] = (uint32_t)(first % d->setup.num_wg[i]);
		first /= d->setup.num_wg[i];
	}
}

static struct wg_slot *start_workgroups(struct gpu *gpu, struct dispatch *d, const struct executor *ex)
{
	struct wg_slot *slot = d->pool;

	if (slot) {
		d->pool = slot->next;
		d->pool_count--;
		gpu->pool_bytes -= d->wg_bytes;
	} else {
		slot = calloc(1, sizeof(*slot));
		if (!slot)
			return NULL;
	}
	slot->next = NULL;
	slot->dispatch = d;
	slot->fresh = true;
	slot->slices = 0;
	slot->index = d->num_free ? d->free_index[--d->num_free] : (uint16_t)d->num_used++;
	slot->counted = d->profile && !d->num_back && profile_pick(d->profile);
	hand_out(d, ex, slot->counted, &slot->range);
	d->inflight++;
	gpu->inflight_bytes += d->wg_bytes;
	return slot;
}

/* Work-groups of d, which has a job by what is known; NULL: it has not, and is in no heap now. */
static struct wg_slot *take(struct gpu *gpu, struct dispatch *d, const struct executor *ex)
{
	struct wg_slot *slot = NULL;

	if (!(d->ready_head && d->ready_head->first) && may_start(d) && has_memory(gpu, d))
		slot = start_workgroups(gpu, d, ex);
	if (!slot && d->ready_head) {
		slot = d->ready_head;
		d->ready_head = slot->next;
		if (!d->ready_head)
			d->ready_tail = NULL;
		slot->next = NULL;
		slot->first = false;
	}
	if (slot)
		slot->handed = slot->range.left;
	else
		starve(gpu, d);
	return slot;
}

struct wg_slot *sched_pick(struct gpu *gpu, struct executor *ex, uint64_t now, bool spread)
{
	struct heap_node *top;
	struct wg_slot *slot = NULL;
	struct dispatch *d = NULL;
	struct gpu_vm *vm;

	while (!slot && (top = heap_top(&gpu->ready))) {
		d = dispatch_of(heap_top(&vm_of(top)->ready));
		slot = take(gpu, d, ex);
	}
	if (!slot)
		return NULL;
	vm = d->vm;
	if (gpu->vtime < vm->vtime)
		gpu->vtime = vm->vtime;
	if (vm->queue_vtime[d->priority] < d->vtime)
		vm->queue_vtime[d->priority] = d->vtime;
	if (!d->running++)
		d->since_ns = now;
	vm->running++;
	if (!d->begin_ns)
		d->begin_ns = now;
	place(gpu, d);
	ex->current = d;
	atomic_store(&ex->stop, 0);
	if (gpu->idle_workers && sched_has_work(gpu) &&
	    (spread || !d->few || now - d->start_ns > SPREAD_NS))
		sched_call(gpu);
	return slot;
}

/* d ran for ns. */
static void charge(struct gpu *gpu, struct dispatch *d, uint64_t ns)
{
	d->run_ns += ns;
	d->vtime += ns;
	d->vm->vtime += weighted(d->priority, ns);
}

void sched_charge_copy(struct gpu *gpu, struct gpu_vm *vm, uint64_t ns)
{
	if (vm->vtime < behind(gpu->vtime))
		vm->vtime = behind(gpu->vtime);
	vm->vtime += ns;
	place_vm(gpu, vm);
}

static void slot_free(struct wg_slot *slot)
{
	if (slot->has_memory)
		exec_wg_free(&slot->wg);
	free(slot);
}

/* The work-group is over, its memory may serve another one of this dispatch. */
static void retire(struct gpu *gpu, struct dispatch *d, struct wg_slot *slot, bool keep)
{
	d->free_index[d->num_free++] = slot->index;
	d->inflight--;
	gpu->inflight_bytes -= d->wg_bytes;
	if (keep && d->pool_count < gpu->num_threads &&
	    gpu->pool_bytes + d->wg_bytes <= GPU_MAX_POOL_BYTES) {
		gpu->pool_bytes += d->wg_bytes;
		slot->next = d->pool;
		d->pool = slot;
		d->pool_count++;
	} else {
		slot_free(slot);
	}
	while (gpu->starved && has_memory(gpu, gpu->starved))
		unstarve(gpu, gpu->starved);
}

/* No wave of it waits for what others do, as far as waves say so. */
static bool is_busy(const struct workgroup *wg)
{
	for (uint32_t i = 0; i < wg->num_waves; i++)
		if (wg->waves[i].state == WAVE_READY && wg->waves[i].sleep)
			return false;
	return !wg->waits_pages;
}

/*
 * Suspended: to be run again after those that are already, or (brief: it has only had a short slice) before them and before those that have not begun;
 * but not for ever: it may wait for one of them.
 */
static void make_ready(struct gpu *gpu, struct dispatch *d, struct wg_slot *slot, bool brief)
{
	slot->first = brief && slot->slices < SLICES_MAX && is_busy(&slot->wg);
	slot->slices = slot->first ? slot->slices + 1 : 0;
	slot->next = slot->first ? d->ready_head : NULL;
	if (slot->first || !d->ready_head)
		d->ready_head = slot;
	else
		d->ready_tail->next = slot;
	if (!slot->next)
		d->ready_tail = slot;
	/* This one has its memory. */
	if (d->starved)
		unstarve(gpu, d);
}

void sched_pages(struct gpu_vm *vm, uint64_t first, uint64_t end)
{
	struct gpu *gpu = vm->gpu;
	bool any = false;

	pthread_mutex_lock(&gpu->sched_lock);
	for (struct wg_slot **p = &vm->waiting; *p;) {
		struct wg_slot *slot = *p;
		struct dispatch *d = slot->dispatch;

		if (!pager_concerns(&slot->wg, first, end)) {
			p = &slot->next;
			continue;
		}
		*p = slot->next;
		d->num_waiting--;
		make_ready(gpu, d, slot, false);
		place(gpu, d);
		any = true;
	}
	if (any && gpu->idle_workers && sched_has_work(gpu))
		sched_call(gpu);
	pthread_mutex_unlock(&gpu->sched_lock);
}

static void drop_ready(struct gpu *gpu, struct dispatch *d)
{
	for (struct wg_slot **p = &d->vm->waiting; *p && d->num_waiting;) {
		struct wg_slot *slot = *p;

		if (slot->dispatch != d) {
			p = &slot->next;
			continue;
		}
		*p = slot->next;
		d->num_waiting--;
		retire(gpu, d, slot, false);
	}
	while (d->ready_head) {
		struct wg_slot *slot = d->ready_head;

		d->ready_head = slot->next;
		retire(gpu, d, slot, false);
	}
	d->ready_tail = NULL;
	d->num_back = 0;
	d->unissued = 0;
}

/*
 * s_sendmsg MSG_INTERRUPT: the event id is in the low 23 bits of m0 (the kernel's KFD_CONTEXT_ID mask). Where exceptions are reported through the queue (the runtime
 * has enabled that), a trap handler sends their kinds instead, and then halts the wave: that is when the queue's error is raised.
 */
static void send_message(struct workgroup *wg, uint32_t msg, uint32_t m0)
{
	struct wg_slot *slot = wg->owner;

	if ((msg & 0xf) == 1 && !((msg & MSG_FROM_HANDLER) && slot->dispatch->queue->desc.error_events))
		vm_signal_event(slot->dispatch->vm, m0 & 0x7fffff);
}

static enum exec_result prepare(struct wg_slot *slot)
{
	struct dispatch *d = slot->dispatch;
	struct gpu_queue *q = d->queue;

	slot->wg.code = slot->counted ? profile_code(d->vm->profile) : d->vm->code;
	slot->wg.cu = q->cu[slot->index % q->num_cu];
	slot->wg.scratch_slot = slot->index * d->waves_per_wg;
	slot->wg.message = send_message;
	slot->wg.tba = atomic_load_explicit(&d->vm->tba, memory_order_relaxed);
	slot->wg.tma = atomic_load_explicit(&d->vm->tma, memory_order_relaxed);
	slot->wg.doorbell = q->desc.id;
	slot->wg.owner = slot;
	if (exec_wg_init(&slot->wg, &d->setup, slot->range.next)) {
		log_error("work-group could not be set up (out of memory?)");
		return EXEC_TRAP;
	}
	exec_range_step(&slot->range, &d->setup);
	slot->has_memory = true;
	slot->fresh = false;
	return EXEC_YIELD;
}

/* Asks executors that run work-groups of d to come back. */
static void stop_executors(struct gpu *gpu, struct dispatch *d)
{
	for (unsigned i = 0; i < gpu->num_threads; i++) {
		if (gpu->executors[i].current == d)
			atomic_store(&gpu->executors[i].stop, 1);
	}
}

/* What the owner of the GPU's time lets a kernel use, in ns; 0: no limit. */
static uint64_t kernel_limit(const struct gpu *gpu)
{
	return gpu->limits ? atomic_load_explicit(&gpu->limits->kernel_ns, memory_order_relaxed)
			   : 0;
}

/* What a work-group takes. One that was suspended counts where it ends, with the last of its slices only. */
static void learn_time(struct dispatch *d, enum exec_result result, uint32_t done, uint64_t ns)
{
	if (done && result == EXEC_DONE)
		d->wg_ns = (3 * d->wg_ns + ns / done) / (d->wg_ns ? 4 : 1) + 1;
	else if (result == EXEC_YIELD && d->wg_ns < ns)
		d->wg_ns = ns;
}

/* sched_lock held: the slice is over. */
static void put_back(struct gpu *gpu, struct executor *ex, struct wg_slot *slot,
		     enum exec_result result, uint64_t begin, uint64_t ns)
{
	struct dispatch *d = slot->dispatch;
	uint64_t limit = kernel_limit(gpu);
	uint32_t done = slot->handed - slot->range.left;
	bool cut = slot->range.left || result == EXEC_YIELD;

	if (!slot->counted)
		learn_time(d, result, done, ns);
	if (d->profile)
		profile_slice(d->profile, slot->counted, ns, done);
	if (slot->range.left && d->error == EXEC_DONE)
		d->back[d->num_back++] = slot->range;
	slot->range.left = 0;
	ex->current = NULL;
	d->running--;
	d->vm->running--;
	charge(gpu, d, ns);
	if (begin + ns > d->since_ns) {
		d->gpu_ns += begin + ns - d->since_ns;
		d->since_ns = begin + ns;
	}
	if (cut && d->preempt_serial != gpu->turn_serial && turn_lost(gpu)) {
		d->preempt_serial = gpu->turn_serial;
		d->preempted++;
	}
	if (limit && d->gpu_ns > limit && d->error == EXEC_DONE &&
	    !(result == EXEC_DONE && issued(d) && d->inflight == 1)) {
		d->error = EXEC_TRAP;
		d->over_limit = true;
		stop_executors(gpu, d);
	}
	if (result == EXEC_YIELD && d->error == EXEC_DONE) {
		if (slot->wg.waits_pages && slot->answers == atomic_load(&d->vm->pager.answers)) {
			slot->next = d->vm->waiting;
			d->vm->waiting = slot;
			d->num_waiting++;
		} else {
			make_ready(gpu, d, slot, !ex->index);
		}
	} else {
		if (result != EXEC_DONE && result != EXEC_YIELD && d->error == EXEC_DONE) {
			d->error = result;
			d->fault = slot->wg.fault;
			stop_executors(gpu, d);
		}
		retire(gpu, d, slot, d->error == EXEC_DONE);
	}
	if (!d->running) {
		if (d->error != EXEC_DONE)
			drop_ready(gpu, d);
		if (d->halt)
			pthread_cond_broadcast(&gpu->halt_cond);
	}
	if (!d->inflight && (issued(d) || d->error != EXEC_DONE)) {
		d->end_ns = begin + ns;
		atomic_store(&d->done, true);
	}
	place(gpu, d);
}

uint64_t sched_run(struct executor *ex, struct wg_slot *slot, uint64_t begin)
{
	struct gpu *gpu = ex->gpu;
	struct dispatch *d = slot->dispatch;
	struct gpu_vm *vm = d->vm;
	enum exec_result result = EXEC_YIELD;
	uint64_t slice, ns;
	bool done, ended;

	vm_attach(ex, vm);
	ex->profile_page = NULL;
	slot->answers = atomic_load(&vm->pager.answers);
	if (slot->fresh)
		result = prepare(slot);
	if (result == EXEC_YIELD) {
		slice = (ex->index ? SLICE_WORKER : cp_quiet(ex) ? SLICE_QUIET : SLICE_CP) / d->waves_per_wg;
		if (slice < SLICE_MIN)
			slice = SLICE_MIN;
		result = exec_run_range(&slot->wg, &d->setup, &ex->view, &slot->range, slice,
					&ex->stop);
	}
	if (result == EXEC_MEMORY_FAULT)
		vm_fault_wave(d->queue, d->kernel, &slot->wg.fault);
	ns = now_ns() - begin;
	atomic_fetch_add_explicit(&vm->gpu_ns, ns, memory_order_relaxed);
	if (ex->index) /* the CP thread stays, see step_all() */
		vm_detach(ex);

	/* After put_back the dispatch, its queue and its vm may go away. */
	pthread_mutex_lock(&gpu->sched_lock);
	put_back(gpu, ex, slot, result, begin, ns);
	done = atomic_load(&d->done);
	ended = done && d->error == EXEC_DONE;
	pthread_mutex_unlock(&gpu->sched_lock);
	if (gpu->turn)
		gpu->turn->account(gpu->turn_ctx, ns, ended);
	if (done && ex->index)
		cp_kick(gpu);
	return begin + ns;
}

/* ------------------------------------------------------------------ life of a dispatch */

/* A dispatch of higher priority has come: those of lower ones in the same process give way. */
static void stop_lower(struct gpu *gpu, const struct dispatch *d)
{
	for (unsigned i = 0; i < gpu->num_threads; i++) {
		const struct dispatch *other = gpu->executors[i].current;

		if (other && other->vm == d->vm && other->priority < d->priority)
			atomic_store(&gpu->executors[i].stop, 1);
	}
}

void sched_start(struct gpu *gpu, struct dispatch *d, uint64_t now)
{
	uint64_t total = (uint64_t)d->setup.num_wg[0] * d->setup.num_wg[1];
	bool endless = __builtin_mul_overflow(total, d->setup.num_wg[2], &d->unissued);
	struct gpu_vm *vm = d->vm;

	d->num_back = 0;
	if (endless)
		d->unissued = UINT64_MAX;
	d->few = d->unissued <= FEW_WORKGROUPS || is_little(d);
	make_parts(vm->gpu, d);
	d->error = EXEC_DONE;
	d->over_limit = false;
	d->start_ns = now;
	d->begin_ns = d->run_ns = d->gpu_ns = 0;
	d->preempted = 0;
	d->num_free = d->num_used = 0;
	atomic_store(&d->done, false);
	pthread_mutex_lock(&gpu->sched_lock);
	d->active = true;
	if (!vm->num_dispatches++ && vm->vtime < behind(gpu->vtime))
		vm->vtime = behind(gpu->vtime);
	if (d->vtime < behind(vm->queue_vtime[d->priority]))
		d->vtime = behind(vm->queue_vtime[d->priority]);
	place(gpu, d);
	if (vm->num_dispatches > 1)
		stop_lower(gpu, d);
	pthread_mutex_unlock(&gpu->sched_lock);
}

/* sched_lock held. */
static void deactivate(struct gpu *gpu, struct dispatch *d)
{
	if (d->active)
		d->vm->num_dispatches--;
	d->active = false;
	if (d->starved)
		unstarve(gpu, d);
	place(gpu, d);
}

void sched_finish(struct gpu *gpu, struct dispatch *d)
{
	pthread_mutex_lock(&gpu->sched_lock);
	deactivate(gpu, d);
	pthread_mutex_unlock(&gpu->sched_lock);
}

void sched_set_cus(struct gpu *gpu, struct dispatch *d, unsigned num_cu)
{
	pthread_mutex_lock(&gpu->sched_lock);
	d->max_running = (gpu->num_runners * num_cu + gpu->props.num_cu - 1) / gpu->props.num_cu;
	place(gpu, d);
	pthread_mutex_unlock(&gpu->sched_lock);
}

void sched_set_priority(struct gpu *gpu, struct dispatch *d, unsigned priority)
{
	pthread_mutex_lock(&gpu->sched_lock);
	d->priority = priority;
	place(gpu, d);
	pthread_mutex_unlock(&gpu->sched_lock);
}

void sched_halt_begin(struct gpu *gpu, struct dispatch *d)
{
	pthread_mutex_lock(&gpu->sched_lock);
	d->halt++;
	place(gpu, d);
	stop_executors(gpu, d);
	pthread_mutex_unlock(&gpu->sched_lock);
}

void sched_halt_wait(struct gpu *gpu, struct dispatch *d)
{
	pthread_mutex_lock(&gpu->sched_lock);
	while (d->running)
		pthread_cond_wait(&gpu->halt_cond, &gpu->sched_lock);
	pthread_mutex_unlock(&gpu->sched_lock);
}

void sched_halt(struct gpu *gpu, struct dispatch *d)
{
	sched_halt_begin(gpu, d);
	sched_halt_wait(gpu, d);
}

void sched_unhalt(struct gpu *gpu, struct dispatch *d)
{
	pthread_mutex_lock(&gpu->sched_lock);
	d->halt--;
	place(gpu, d);
	if (sched_has_work(gpu))
		sched_call(gpu);
	pthread_mutex_unlock(&gpu->sched_lock);
	cp_kick(gpu);
}

/* The work-groups kept are of d->wg_bytes each, so this comes before that changes. */
void sched_free_pool(struct gpu *gpu, struct dispatch *d)
{
	struct wg_slot *next;

	pthread_mutex_lock(&gpu->sched_lock);
	gpu->pool_bytes -= d->pool_count * d->wg_bytes;
	pthread_mutex_unlock(&gpu->sched_lock);
	for (struct wg_slot *slot = d->pool; slot; slot = next) {
		next = slot->next;
		slot_free(slot);
	}
	d->pool = NULL;
	d->pool_count = 0;
}

void sched_kill(struct gpu *gpu, struct dispatch *d)
{
	sched_halt(gpu, d);
	pthread_mutex_lock(&gpu->sched_lock);
	drop_ready(gpu, d);
	if (d->active && !atomic_load(&d->done))
		trace_dispatch(d, now_ns());
	d->halt--;
	deactivate(gpu, d);
	pthread_mutex_unlock(&gpu->sched_lock);
	sched_free_pool(gpu, d);
}
