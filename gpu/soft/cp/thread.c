/* SPDX-License-Identifier: MIT */
/*
 * thread.c - the GPU's threads.
 *
 * Executor 0 is the CP thread: it steps the queues of awake vms, delivers callbacks and, between
 * passes, runs short slices of work-groups itself, so that a small kernel costs no thread switch.
 * The others are workers; they sleep unless there is more to run than the CP thread does alone.
 *
 * Polling: without progress the CP thread spins (HSAVISOR_SPIN_US, default 200 us), then sleeps
 * between passes, longer each time; a vm without work for the park delay (HSAVISOR_PARK_US, default
 * 20 ms) is told idle. With no vm awake and nothing running it sleeps until it is kicked. All
 * signals are blocked, for these threads may live in a user's process, but SIGBUS: memory mapped for
 * the GPU may be of a file that is cut short, and who owns the process may want to say so.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#define RUN_NS                                                                                     \
	20000u /* the CP thread runs waves at most so long (and one slice) between two passes */
#define SPREAD_NS	10000u /* a small dispatch older than this gets workers */
#define SLEEP_MIN_NS	20000u
#define SLEEP_BUSY_NS	250000u	 /* longest sleep between passes while a queue waits or waves run */
#define SLEEP_IDLE_NS	1000000u /* the same while all is idle */
#define TURN_RELEASE_NS 50000u	 /* the GPU is given back when it had no work for so long */

/* ------------------------------------------------------------------ waking the CP thread */

void cp_kick(struct gpu *gpu)
{
	atomic_fetch_add(&gpu->cp_event, 1);
	if (atomic_load(&gpu->cp_sleeping))
		syscall(SYS_futex, &gpu->cp_event, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Sleeps until kicked since `event` was read, or for ns (0: no limit). */
static void cp_sleep(struct gpu *gpu, unsigned event, uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000u),
			      .tv_nsec = (long)(ns % 1000000000u)};

	atomic_store(&gpu->cp_sleeping, true);
	if (atomic_load(&gpu->cp_event) == event)
		syscall(SYS_futex, &gpu->cp_event, FUTEX_WAIT_PRIVATE, event, ns ? &ts : NULL, NULL,
			0);
	atomic_store(&gpu->cp_sleeping, false);
}

/* ------------------------------------------------------------------ queues */

static void stop_faulted(struct gpu_vm *vm)
{
	vm_halt_waves(vm); /* stopped for good: never undone */
	for (struct gpu_queue *q = vm->queues; q; q = q->next) {
		if (!q->stopped)
			queue_stop(q);
	}
}

/* Steps the queues of one vm. gpu->lock held. */
static bool step_vm(struct executor *ex, struct gpu_vm *vm, uint64_t now, bool *waiting)
{
	bool progress = false, busy = false;
	int fault = atomic_load(&vm->fault_state);

	if (fault == 2) {
		stop_faulted(vm);
		return true;
	}
	if (!vm->awake || vm->suspended)
		return false;
	for (struct gpu_queue *q = vm->queues; q && !fault; q = q->next) {
		enum step step;

		if (!queue_runs(q))
			continue;
		vm_attach(
			ex,
			vm); /* each time a quiescent point: who unmaps waits for one queue only */
		step = queue_step(q);
		progress |= step == STEP_PROGRESS;
		busy |= step == STEP_WAIT;
		fault = atomic_load(&vm->fault_state);
	}
	vm_detach(ex);
	*waiting |= busy;
	if (progress || busy) {
		vm->last_active = now;
		vm->idle_called = false;
	} else if (!vm->idle_called && now - vm->last_active > vm->gpu->park_ns) {
		vm->idle_called = true;
		vm->idle_pending = true;
		atomic_store(&vm->gpu->callbacks, 1);
	}
	return progress;
}

static bool step_all(struct executor *ex, bool *awake, bool *waiting)
{
	struct gpu *gpu = ex->gpu;
	uint64_t now = now_ns();
	bool progress = false;

	for (unsigned i = 0; i < 1000 && atomic_load_explicit(&gpu->waiters, memory_order_relaxed);
	     i++)
		sched_yield();
	pthread_mutex_lock(&gpu->lock);
	for (struct gpu_vm *vm = gpu->vms; vm; vm = vm->next) {
		progress |= step_vm(ex, vm, now, waiting);
		*awake |= vm->awake && !vm->suspended;
	}
	pthread_mutex_unlock(&gpu->lock);
	return progress;
}

/* ------------------------------------------------------------------ callbacks */

struct delivery {
	uint32_t *events;
	unsigned num;
	bool idle, fault;
};

/* Takes what is to be told to the owner of vm. gpu->lock held. */
static bool take_delivery(struct gpu_vm *vm, struct delivery *d)
{
	int reported = 2;

	*d = (struct delivery){.idle = vm->idle_pending};
	vm->idle_pending = false;
	pthread_mutex_lock(&vm->event_lock);
	d->events = vm->events;
	d->num = vm->num_events;
	vm->events = NULL;
	vm->num_events = vm->max_events = 0;
	pthread_mutex_unlock(&vm->event_lock);
	d->fault = atomic_compare_exchange_strong(&vm->fault_state, &reported, 3);
	if (d->fault)
		stop_faulted(vm);
	return d->num || d->idle || d->fault;
}

/* Each vm once: a kernel that sends messages without end must not hold the CP thread here. */
static void deliver(struct gpu *gpu)
{
	uint64_t round;

	if (!atomic_exchange(&gpu->callbacks, 0))
		return;
	pthread_mutex_lock(&gpu->lock);
	round = ++gpu->deliveries;
again:
	for (struct gpu_vm *vm = gpu->vms; vm; vm = vm->next) {
		struct delivery d;

		if (vm->delivery == round)
			continue;
		vm->delivery = round;
		if (!take_delivery(vm, &d)) {
			free(d.events);
			continue;
		}
		gpu->callback_vm = vm;
		pthread_mutex_unlock(&gpu->lock);
		for (unsigned i = 0; i < d.num; i++)
			vm->ops->signal_event(vm->ctx, d.events[i]);
		if (d.fault)
			vm->ops->memory_fault(vm->ctx, &vm->fault);
		if (d.idle)
			vm->ops->idle(vm->ctx);
		free(d.events);
		pthread_mutex_lock(&gpu->lock);
		gpu->callback_vm = NULL;
		pthread_cond_broadcast(&gpu->callback_cond);
		goto again; /* the list may have changed */
	}
	pthread_mutex_unlock(&gpu->lock);
}

/* ------------------------------------------------------------------ waves */

/* sched_lock held; it is dropped while waiting for the GPU. */
static void take_turn(struct gpu *gpu)
{
	gpu->turn_users++;
	if (!gpu->turn)
		return;
	pthread_mutex_unlock(&gpu->sched_lock);
	gpu->turn->acquire(gpu->turn_ctx);
	pthread_mutex_lock(&gpu->sched_lock);
	gpu->turn_held = true;
}

/* sched_lock held. */
static void leave_turn(struct gpu *gpu)
{
	gpu->turn_users--;
	if (gpu->turn)
		gpu->turn->leave(gpu->turn_ctx);
}

static void release_turn(struct gpu *gpu)
{
	if (!gpu->turn)
		return;
	pthread_mutex_lock(&gpu->sched_lock);
	if (gpu->turn_held && !gpu->turn_users && !sched_has_work(gpu)) {
		gpu->turn_held = false;
		gpu->turn->release(gpu->turn_ctx);
	}
	pthread_mutex_unlock(&gpu->sched_lock);
}

/* The CP thread's share of the waves. True if it ran something. */
static bool cp_run_waves(struct executor *ex, bool *running)
{
	struct gpu *gpu = ex->gpu;
	struct wg_slot *slot;
	uint64_t ran = 0;
	bool any = false;

	pthread_mutex_lock(&gpu->sched_lock);
	if (!gpu->ring)
		goto out;
	*running = true;
	if (gpu->turn && gpu->turn->lost(gpu->turn_ctx)) {
		/* A worker waits for the turn; this thread has queues to serve. */
		if (gpu->idle_workers && sched_has_work(gpu))
			pthread_cond_signal(&gpu->work_cond);
		goto out;
	}
	if (!sched_has_work(gpu))
		goto out;
	take_turn(gpu);
	/* The lock was let go of, for the turn or the run: workers may have emptied the ring. */
	while (ran < RUN_NS && gpu->ring &&
	       (slot = sched_pick(gpu, ex,
				  ran > SPREAD_NS || now_ns() - gpu->ring->start_ns > SPREAD_NS))) {
		pthread_mutex_unlock(&gpu->sched_lock);
		ran += sched_run(ex, slot) + 1;
		any = true;
		pthread_mutex_lock(&gpu->sched_lock);
	}
	leave_turn(gpu);
out:
	pthread_mutex_unlock(&gpu->sched_lock);
	return any;
}

/* Names itself: naming another thread would need /proc, which a sandbox may not have. */
static void name_thread(const struct executor *ex)
{
	char name[16];

	if (ex->index)
		snprintf(name, sizeof(name), "hsv-w%u", ex->index);
	else
		snprintf(name, sizeof(name), "hsv-cp");
	pthread_setname_np(pthread_self(), name);
}

static void *worker_main(void *arg)
{
	struct executor *ex = arg;
	struct gpu *gpu = ex->gpu;

	name_thread(ex);
	pthread_mutex_lock(&gpu->sched_lock);
	while (!atomic_load(&gpu->quit)) {
		struct wg_slot *slot;

		if (!sched_has_work(gpu)) {
			gpu->idle_workers++;
			pthread_cond_wait(&gpu->work_cond, &gpu->sched_lock);
			gpu->idle_workers--;
			continue;
		}
		take_turn(gpu);
		slot = sched_pick(gpu, ex, true);
		if (slot) {
			pthread_mutex_unlock(&gpu->sched_lock);
			sched_run(ex, slot);
			pthread_mutex_lock(&gpu->sched_lock);
		}
		leave_turn(gpu);
	}
	pthread_mutex_unlock(&gpu->sched_lock);
	return NULL;
}

static void *cp_main(void *arg)
{
	struct executor *ex = arg;
	struct gpu *gpu = ex->gpu;
	uint64_t last = now_ns();
	unsigned spins = 0;

	name_thread(ex);
	for (;;) {
		/* Before anything is looked at: a kick after this ends the sleep below. */
		unsigned event = atomic_load(&gpu->cp_event);
		bool awake = false, waiting = false, running = false, progress;
		uint64_t idle, limit, sleep_ns;

		if (atomic_load(&gpu->quit))
			break;
		progress = step_all(ex, &awake, &waiting);
		deliver(gpu);
		progress |= cp_run_waves(ex, &running);
		if (progress) {
			last = now_ns();
			continue;
		}
		idle = now_ns() - last;
		if (gpu->turn && (idle > TURN_RELEASE_NS || gpu->turn->lost(gpu->turn_ctx)))
			release_turn(gpu);
		if (!awake && !running) {
			release_turn(gpu);
			cp_sleep(gpu, event, 0);
			last = now_ns();
			continue;
		}
		if (idle < gpu->spin_ns) {
			for (unsigned i = 0; i < 16; i++)
				cpu_relax();
			/* On a busy machine a yield costs a time slice: first wait for what comes
			 * soon. */
			if (idle > gpu->spin_ns / 2 && !(++spins % 64))
				sched_yield();
			continue;
		}
		limit = waiting || running ? SLEEP_BUSY_NS : SLEEP_IDLE_NS;
		/* In proportion to the pause so far: what comes then is late by a quarter of it at
		 * most. */
		sleep_ns = (idle - gpu->spin_ns) / 4;
		if (sleep_ns < SLEEP_MIN_NS)
			sleep_ns = SLEEP_MIN_NS;
		if (sleep_ns > limit)
			sleep_ns = limit;
		cp_sleep(gpu, event, sleep_ns);
		if (atomic_load(&gpu->cp_event) != event)
			last = now_ns();
	}
	return NULL;
}

/* ------------------------------------------------------------------ life */

static int start_one(struct executor *ex)
{
	if (ex->started)
		return 0;
	if (pthread_create(&ex->thread, NULL, ex->index ? worker_main : cp_main, ex))
		return -EAGAIN;
	ex->started = true;
	return 0;
}

/* gpu->lock held. Starts what isn't running yet. */
int threads_start(struct gpu *gpu)
{
	sigset_t all, old;
	int ret = 0;

	if (gpu->running)
		return 0;
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < gpu->num_threads && !ret; i++)
		ret = start_one(&gpu->executors[i]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	gpu->running = !ret;
	return ret;
}

void threads_stop(struct gpu *gpu)
{
	pthread_mutex_lock(&gpu->sched_lock);
	atomic_store(&gpu->quit, true);
	pthread_cond_broadcast(&gpu->work_cond);
	pthread_mutex_unlock(&gpu->sched_lock);
	cp_kick(gpu);
	for (unsigned i = 0; i < gpu->num_threads; i++) {
		if (gpu->executors[i].started)
			pthread_join(gpu->executors[i].thread, NULL);
	}
	if (gpu->turn && gpu->turn_held)
		gpu->turn->release(gpu->turn_ctx);
}
