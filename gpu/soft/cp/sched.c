/* SPDX-License-Identifier: MIT */
/*
 * sched.c - dispatches in flight: which work-group runs next.
 *
 * Every active dispatch that may run is in one ring. A free executor takes from the dispatch at the
 * ring's head and turns the ring, so queues and processes get slices in turn. Of one dispatch,
 * work-groups not started yet go first, as long as fewer than `cap` are in flight (what the real
 * GPU could hold); then those that were suspended at the end of a slice, oldest first. So a kernel
 * whose work-groups wait for each other makes progress like on hardware, and one that does not has
 * few half-run work-groups.
 *
 * The pick is made in sched_pick alone: priorities and shares belong there.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Instructions per slice, shared by the waves of a work-group. The CP thread's are short: it must
 * get back to its queues. */
#define SLICE_CP     16000u
#define SLICE_WORKER 200000u
#define SLICE_MIN    500u

/* Dispatches of up to this many work-groups are tried by the CP thread alone before workers are
 * woken. */
#define FEW_WORKGROUPS 16

static void ring_add(struct gpu *gpu, struct dispatch *d)
{
	if (d->in_ring)
		return;
	if (!gpu->ring) {
		gpu->ring = d->ring_next = d->ring_prev = d;
	} else {
		d->ring_next = gpu->ring;
		d->ring_prev = gpu->ring->ring_prev;
		d->ring_prev->ring_next = d;
		gpu->ring->ring_prev = d;
	}
	d->in_ring = true;
}

static void ring_remove(struct gpu *gpu, struct dispatch *d)
{
	if (!d->in_ring)
		return;
	if (d->ring_next == d) {
		gpu->ring = NULL;
	} else {
		d->ring_prev->ring_next = d->ring_next;
		d->ring_next->ring_prev = d->ring_prev;
		if (gpu->ring == d)
			gpu->ring = d->ring_next;
	}
	d->in_ring = false;
}

static bool may_start(const struct gpu *gpu, const struct dispatch *d)
{
	return !d->issued && d->num_free &&
	       (!d->inflight || gpu->inflight_bytes + d->wg_bytes <= GPU_MAX_INFLIGHT_BYTES);
}

static bool has_job(const struct gpu *gpu, const struct dispatch *d)
{
	return d->error == EXEC_DONE && (d->ready_head || may_start(gpu, d));
}

bool sched_has_work(struct gpu *gpu)
{
	struct dispatch *d = gpu->ring;

	if (!d)
		return false;
	do {
		if (has_job(gpu, d))
			return true;
		d = d->ring_next;
	} while (d != gpu->ring);
	return false;
}

/* Steps to the next work-group id, x fastest. */
static void next_id(struct dispatch *d)
{
	for (unsigned i = 0; i < 3; i++) {
		if (++d->next_id[i] < d->setup.num_wg[i])
			return;
		d->next_id[i] = 0;
	}
	d->issued = true;
}

static struct wg_slot *start_workgroup(struct gpu *gpu, struct dispatch *d)
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
	slot->index = d->free_index[--d->num_free];
	memcpy(slot->id, d->next_id, sizeof(slot->id));
	next_id(d);
	d->inflight++;
	gpu->inflight_bytes += d->wg_bytes;
	return slot;
}

struct wg_slot *sched_pick(struct gpu *gpu, struct executor *ex, bool spread)
{
	struct dispatch *first = gpu->ring, *d = first;
	struct wg_slot *slot = NULL;

	if (!d)
		return NULL;
	do {
		if (has_job(gpu, d)) {
			if (may_start(gpu, d))
				slot = start_workgroup(gpu, d);
			if (!slot && d->ready_head) {
				slot = d->ready_head;
				d->ready_head = slot->next;
				if (!d->ready_head)
					d->ready_tail = NULL;
				slot->next = NULL;
			}
		}
		d = d->ring_next;
	} while (!slot && d != first);
	if (!slot)
		return NULL;
	gpu->ring = d;

	slot->dispatch->running++;
	ex->current = slot->dispatch;
	atomic_store(&ex->stop, 0);
	if (gpu->idle_workers && (spread || !slot->dispatch->few) && sched_has_work(gpu))
		pthread_cond_signal(&gpu->work_cond);
	return slot;
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
}

static void drop_ready(struct gpu *gpu, struct dispatch *d)
{
	while (d->ready_head) {
		struct wg_slot *slot = d->ready_head;

		d->ready_head = slot->next;
		retire(gpu, d, slot, false);
	}
	d->ready_tail = NULL;
}

/* s_sendmsg MSG_INTERRUPT: the event id is in the low 23 bits of m0 (the kernel's KFD_CONTEXT_ID
 * mask). */
static void send_message(struct workgroup *wg, uint32_t msg, uint32_t m0)
{
	struct wg_slot *slot = wg->owner;

	if ((msg & 0xf) == 1)
		vm_signal_event(slot->dispatch->vm, m0 & 0x7fffff);
}

static enum exec_result prepare(struct wg_slot *slot)
{
	struct dispatch *d = slot->dispatch;
	struct gpu_queue *q = d->queue;

	slot->wg.code = d->vm->code;
	slot->wg.cu = q->cu[slot->index % q->num_cu];
	slot->wg.scratch_slot = slot->index * d->waves_per_wg;
	slot->wg.message = send_message;
	slot->wg.owner = slot;
	if (exec_wg_init(&slot->wg, &d->setup, slot->id)) {
		log_error("work-group could not be set up (out of memory?)");
		return EXEC_TRAP;
	}
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

/* sched_lock held: the slice is over. */
static void put_back(struct gpu *gpu, struct executor *ex, struct wg_slot *slot,
		     enum exec_result result)
{
	struct dispatch *d = slot->dispatch;

	ex->current = NULL;
	d->running--;
	if (result == EXEC_YIELD && d->error == EXEC_DONE) {
		if (d->ready_tail)
			d->ready_tail->next = slot;
		else
			d->ready_head = slot;
		d->ready_tail = slot;
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
	if (!d->inflight && (d->issued || d->error != EXEC_DONE)) {
		ring_remove(gpu, d);
		atomic_store(&d->done, true);
	}
}

uint64_t sched_run(struct executor *ex, struct wg_slot *slot)
{
	struct gpu *gpu = ex->gpu;
	struct dispatch *d = slot->dispatch;
	struct gpu_vm *vm = d->vm;
	enum exec_result result = EXEC_YIELD;
	uint64_t slice, begin, ns;
	bool done;

	vm_attach(ex, vm);
	begin = now_ns();
	if (slot->fresh)
		result = prepare(slot);
	if (result == EXEC_YIELD) {
		slice = (ex->index ? SLICE_WORKER : SLICE_CP) / d->waves_per_wg;
		if (slice < SLICE_MIN)
			slice = SLICE_MIN;
		result = exec_run(&slot->wg, &ex->view, slice, &ex->stop);
	}
	if (result == EXEC_MEMORY_FAULT)
		vm_fault(vm, slot->wg.fault.va, slot->wg.fault.write, slot->wg.fault.no_execute);
	ns = now_ns() - begin;
	atomic_fetch_add_explicit(&vm->gpu_ns, ns, memory_order_relaxed);
	vm_detach(ex);

	/* After put_back the dispatch, its queue and its vm may go away. */
	pthread_mutex_lock(&gpu->sched_lock);
	put_back(gpu, ex, slot, result);
	done = atomic_load(&d->done);
	pthread_mutex_unlock(&gpu->sched_lock);
	if (gpu->turn)
		gpu->turn->account(gpu->turn_ctx, ns, 0);
	if (done && ex->index)
		cp_kick(gpu);
	return ns;
}

/* ------------------------------------------------------------------ life of a dispatch */

void sched_start(struct gpu *gpu, struct dispatch *d)
{
	uint64_t total = (uint64_t)d->setup.num_wg[0] * d->setup.num_wg[1];

	memset(d->next_id, 0, sizeof(d->next_id));
	d->issued = false;
	d->few = total <= FEW_WORKGROUPS && total * d->setup.num_wg[2] <= FEW_WORKGROUPS;
	d->error = EXEC_DONE;
	d->start_ns = now_ns();
	d->num_free = 0;
	for (unsigned i = d->cap; i > 0; i--)
		d->free_index[d->num_free++] = i - 1;
	atomic_store(&d->done, false);
	pthread_mutex_lock(&gpu->sched_lock);
	d->active = true;
	if (!d->halt)
		ring_add(gpu, d);
	pthread_mutex_unlock(&gpu->sched_lock);
}

void sched_finish(struct gpu *gpu, struct dispatch *d)
{
	pthread_mutex_lock(&gpu->sched_lock);
	ring_remove(gpu, d);
	d->active = false;
	pthread_mutex_unlock(&gpu->sched_lock);
}

void sched_halt_begin(struct gpu *gpu, struct dispatch *d)
{
	pthread_mutex_lock(&gpu->sched_lock);
	d->halt++;
	ring_remove(gpu, d);
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
	if (!--d->halt && d->active && !atomic_load(&d->done)) {
		ring_add(gpu, d);
		pthread_cond_signal(&gpu->work_cond);
	}
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
	d->active = false;
	d->halt--;
	pthread_mutex_unlock(&gpu->sched_lock);
	sched_free_pool(gpu, d);
}
