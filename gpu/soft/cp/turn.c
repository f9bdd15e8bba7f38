// SPDX-License-Identifier: MIT
/*
 * turn.c - the tenant's turn on the GPU: entering it, waiting for it, what is accounted and traced.
 *
 * GPU threads enter the turn for each slice of waves and each piece of a copy. When the turn is
 * lost, the first thread that wants in asks for it, once; one worker then waits for it (turn_wait)
 * on behalf of all. The other workers sleep on work_cond, and the CP thread goes on with packets
 * that need no turn; both are woken when the waiting one has got it. So a tenant that waits costs
 * one blocked thread and the CP thread's rare polls.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include "base/log.h"

/* Pieces of copies of a queue with shorter pauses between them are one event of a timeline. */
#define COPY_GAP_NS 200000u

/* ------------------------------------------------------------------ the turn; sched_lock held */

bool turn_lost(const struct gpu *gpu)
{
	return gpu->turn && gpu->turn->lost(gpu->turn_ctx);
}

static void entered(struct gpu *gpu)
{
	if (!gpu->turn_held) {
		gpu->turn_held = true;
		gpu->turn_begin_ns = gpu->turn_left_ns = now_ns();
		gpu->turn_serial++;
	}
	gpu->turn_users++;
}

/* One that was taken away ended when the last thread left, which may be long before it is seen. */
static void ended(struct gpu *gpu, bool taken)
{
	if (!gpu->turn_held || gpu->turn_users)
		return;
	gpu->turn_held = false;
	if (trace_on(gpu))
		trace_event(gpu, &(struct gpu_trace_event){.kind = GPU_TRACE_TURN,
							   .begin_ns = gpu->turn_begin_ns,
							   .end_ns = taken ? gpu->turn_left_ns
									   : now_ns(),
							   .value = taken});
}

bool turn_enter(struct gpu *gpu)
{
	if (!gpu->turn)
		return true;
	/* Lost, and asked for already? */
	if ((gpu->turn_needed || gpu->turn_waiter) && turn_lost(gpu))
		return false;
	gpu->turn_asked = true;
	if (!gpu->turn->try_acquire(gpu->turn_ctx)) {
		ended(gpu, true);
		gpu->turn_needed = true;
		sched_call(gpu);
		return false;
	}
	gpu->turn_needed = false; /* before a worker began to wait */
	entered(gpu);
	return true;
}

void turn_wait(struct gpu *gpu, struct executor *ex)
{
	gpu->turn_waiter = gpu->turn_asked = true;
	pthread_mutex_unlock(&gpu->sched_lock);
	thread_slice(ex, SLICE_SHORT);
	gpu->turn->acquire(gpu->turn_ctx);
	thread_slice(ex, SLICE_LONG);
	pthread_mutex_lock(&gpu->sched_lock);
	gpu->turn_waiter = gpu->turn_needed = false;
	entered(gpu);
	if (gpu->idle_workers && sched_has_work(gpu)) {
		sched_call(gpu);
		pthread_cond_broadcast(&gpu->work_cond);
	}
	cp_kick(gpu);
}

void turn_leave(struct gpu *gpu)
{
	if (!gpu->turn)
		return;
	if (!--gpu->turn_users && trace_on(gpu))
		gpu->turn_left_ns = now_ns();
	gpu->turn->leave(gpu->turn_ctx);
	if (!gpu->turn_users && turn_lost(gpu))
		ended(gpu, true);
}

void turn_release(struct gpu *gpu)
{
	if (!gpu->turn)
		return;
	pthread_mutex_lock(&gpu->sched_lock);
	if (turn_lost(gpu))
		ended(gpu, true);
	/* Nobody waits yet, and what the turn was asked for is gone. */
	if (!gpu->turn_waiter && !gpu->copy_wanted && !sched_has_work(gpu))
		gpu->turn_needed = false;
	if (gpu->turn_asked && !gpu->turn_users && !gpu->turn_waiter && !gpu->turn_needed &&
	    !sched_has_work(gpu)) {
		gpu->turn_asked = false;
		ended(gpu, false);
		gpu->turn->release(gpu->turn_ctx);
	}
	pthread_mutex_unlock(&gpu->sched_lock);
}

/* ------------------------------------------------------------------ copies; the CP thread */

bool copy_begin(struct gpu_queue *q)
{
	struct gpu *gpu = q->vm->gpu;
	bool entered_turn;

	pthread_mutex_lock(&gpu->sched_lock);
	entered_turn = turn_enter(gpu);
	pthread_mutex_unlock(&gpu->sched_lock);
	if (entered_turn)
		q->copy.piece_ns = now_ns();
	else
		gpu->copy_wanted = true;
	return entered_turn;
}

void copy_end(struct gpu_queue *q, uint64_t bytes)
{
	struct gpu_vm *vm = q->vm;
	struct gpu *gpu = vm->gpu;
	uint64_t now = now_ns(), ns = now - q->copy.piece_ns;

	vm->copy_left -= vm->copy_left < bytes ? vm->copy_left : bytes;
	atomic_fetch_add_explicit(&vm->gpu_ns, ns, memory_order_relaxed);
	/* Before it leaves: who gets the GPU next is decided by what was used. */
	if (gpu->turn)
		gpu->turn->account(gpu->turn_ctx, ns, 0);
	pthread_mutex_lock(&gpu->sched_lock);
	sched_charge_copy(gpu, vm, ns);
	turn_leave(gpu);
	pthread_mutex_unlock(&gpu->sched_lock);
	if (!trace_on(gpu) && !q->copy.begin_ns)
		return;
	copy_flush(q, q->copy.piece_ns);
	if (!q->copy.begin_ns)
		q->copy.begin_ns = q->copy.piece_ns;
	q->copy.end_ns = now;
	q->copy.bytes += bytes;
}

void copy_flush(struct gpu_queue *q, uint64_t now)
{
	if (!q->copy.begin_ns || now < q->copy.end_ns + COPY_GAP_NS)
		return;
	trace_event(q->vm->gpu, &(struct gpu_trace_event){.kind = GPU_TRACE_COPY,
							  .begin_ns = q->copy.begin_ns,
							  .end_ns = q->copy.end_ns,
							  .value = q->copy.bytes,
							  .process = atomic_load(&q->vm->owner),
							  .queue = q->desc.id});
	q->copy.begin_ns = q->copy.bytes = 0;
}

/* ------------------------------------------------------------------ timelines */

void trace_event(struct gpu *gpu, const struct gpu_trace_event *event)
{
	if (trace_on(gpu))
		gpu->trace->event(gpu->turn_ctx, event);
}

void trace_dispatch(struct dispatch *d, uint64_t end_ns)
{
	struct gpu_vm *vm = d->vm;

	if (!d->begin_ns || !trace_on(vm->gpu))
		return;
	trace_event(vm->gpu, &(struct gpu_trace_event){
				     .kind = GPU_TRACE_DISPATCH,
				     .begin_ns = d->begin_ns,
				     .end_ns = end_ns,
				     .kernel = d->kernel,
				     .value = d->run_ns,
				     .process = atomic_load(&vm->owner),
				     .queue = d->queue->desc.id,
				     .preempted = d->preempted,
				     .workgroups = (uint64_t)d->setup.num_wg[0] *
						   d->setup.num_wg[1] * d->setup.num_wg[2],
			     });
}

void trace_error(struct gpu_vm *vm, enum gpu_trace_kind kind, uint32_t queue, uint64_t kernel,
		 uint64_t value)
{
	uint64_t now;

	if (!trace_on(vm->gpu))
		return;
	now = now_ns();
	trace_event(vm->gpu, &(struct gpu_trace_event){.kind = kind,
						       .begin_ns = now,
						       .end_ns = now,
						       .kernel = kernel,
						       .value = value,
						       .process = atomic_load(&vm->owner),
						       .queue = queue});
}

/* ------------------------------------------------------------------ limits; gpu->lock held */

void limits_check(struct gpu *gpu)
{
	uint32_t seq, pid;

	if (!gpu->limits)
		return;
	seq = atomic_load_explicit(&gpu->limits->reset_seq, memory_order_relaxed);
	if (seq == gpu->reset_seen)
		return;
	/* Whoever writes reset_process does so before reset_seq. */
	atomic_thread_fence(memory_order_acquire);
	gpu->reset_seen = seq;
	pid = atomic_load_explicit(&gpu->limits->reset_process, memory_order_relaxed);
	for (struct gpu_vm *vm = gpu->vms; vm; vm = vm->next) {
		if (pid && atomic_load(&vm->owner) != pid)
			continue;
		for (struct gpu_queue *q = vm->queues; q; q = q->next) {
			if (q->stopped || !q->dispatch.active || atomic_load(&q->dispatch.done))
				continue;
			queue_error(q, QERR_PREEMPTION, "kernel stopped on request");
		}
	}
}
