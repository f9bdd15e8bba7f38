/* SPDX-License-Identifier: MIT */
/*
 * thread.c - the GPU's threads.
 *
 * Executor 0 is the CP thread: it steps the queues of awake vms, delivers callbacks and, between
 * passes, runs short slices of work-groups itself, so that a small kernel costs no thread switch.
 * The others are workers; they sleep unless there is more to run than the CP thread does alone, or
 * was so a moment ago.
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
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#define RUN_NS                                                                                     \
	20000u /* the CP thread runs waves at most so long (and one slice) between two passes */
#define RUN_QUIET_NS	50000u /* the same when it had nothing else to do for a while */
#define SPREAD_NS	10000u /* a small dispatch older than this gets workers */
#define WORKER_SPIN_NS	50000u	 /* a worker without work looks out for some so long before it sleeps */
#define WORKER_SPARSE_NS 1000000u /* but not after a pause of so long */
#define SLEEP_MIN_NS	20000u
#define SLEEP_BUSY_NS	250000u	 /* longest sleep between passes while a queue waits or waves run */
#define SLEEP_LOST_NS	1000000u	 /* the same while waves wait for the turn on the GPU */
#define SLEEP_SOON_NS	80000u	 /* the same while all is idle, for the park delay */
#define SLEEP_IDLE_NS	1000000u /* and after it */
#define TURN_RELEASE_NS 50000u	 /* the GPU is given back when it had no work for so long */
#define LET_IN_NS	100000u
#define TIMER_SLACK_NS	1000ul /* sleeps are short: the default of 50 us would double them */

/* ------------------------------------------------------------------ time slices of the CPU */

/*
 * While others have the GPU, their threads keep all CPUs at work, and Linux lets a thread that wakes wait until the one that runs has used up its
 * time slice, which it sees at its next tick only: for milliseconds. A thread with a shorter slice than the one that runs need not wait. So who
 * waits for its turn has short slices, and who runs waves while others wait has long ones, and gives way to them and to programs at once. Two
 * system calls at each end of a turn; none for a tenant that is alone. Linux 6.12 and later; where it does nothing, or is forbidden, nothing is lost.
 */
void thread_slice(struct executor *ex, enum cpu_slice slice)
{
	static const uint64_t ns[] = {[SLICE_USUAL] = 0, [SLICE_SHORT] = 100000, [SLICE_LONG] = 3000000};
	/* struct sched_attr of linux/sched/types.h, its first version. */
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {.size = sizeof(attr)};

	if (ex->slice == slice)
		return;
	ex->slice = slice;
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) || attr.policy != SCHED_OTHER)
		return;
	attr.runtime = ns[slice];
	syscall(SYS_sched_setattr, 0, &attr, 0);
}

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

/* Threads with something to change come first, and get gpu->lock before it is taken again; but
 * however many come, the queues are served, too. */
static void let_in(struct executor *ex)
{
	struct gpu *gpu = ex->gpu;
	const struct timespec limit = {.tv_nsec = LET_IN_NS};

	vm_detach(ex);

	for (unsigned i = 0; i < 4; i++) {
		unsigned waiters;

		atomic_store(&gpu->cp_gated, true);
		waiters = atomic_load(&gpu->waiters);
		if (!waiters)
			break;
		syscall(SYS_futex, &gpu->waiters, FUTEX_WAIT_PRIVATE, waiters, &limit, NULL, 0);
	}
	atomic_store(&gpu->cp_gated, false);
}

static bool wanted(const struct gpu *gpu)
{
	return atomic_load_explicit(&gpu->waiters, memory_order_relaxed);
}

/* The next queue that this pass has not stepped yet. */
static struct gpu_queue *next_queue(const struct gpu_vm *vm, uint64_t round)
{
	for (struct gpu_queue *q = vm->queues; q; q = q->next) {
		if (q->round != round)
			return q;
	}
	return NULL;
}

/* What may be copied in a pass did not suffice for all: another queue comes first in the next. */
static void rotate(struct gpu_vm *vm)
{
	struct gpu_queue *first = vm->queues, **p = &first->next;

	if (!*p)
		return;
	vm->queues = first->next;
	while (*p)
		p = &(*p)->next;
	*p = first;
	first->next = NULL;
}

/* Steps the queues of one vm. False: interrupted, gpu->lock is wanted. gpu->lock held. */
static bool step_vm(struct executor *ex, struct gpu_vm *vm, uint64_t now)
{
	struct gpu *gpu = vm->gpu;
	int fault = atomic_load(&vm->fault_state);
	struct gpu_queue *q;
	bool interrupted = false;

	if (fault == 2) {
		stop_faulted(vm);
		vm->pass_progress = true;
		return true;
	}
	if (!vm->awake || vm->suspended)
		return true;
	for (q = vm->queues; q && !fault && !interrupted; q = q->next) {
		enum step step;

		if (q->round == gpu->rounds)
			continue;
		q->round = gpu->rounds;
		if (q->tell_error) {
			vm_attach(ex, vm);
			queue_tell_error(q);
		}
		if (!queue_runs(q))
			continue;
		/* each time a quiescent point: who unmaps waits for one queue only */
		vm_attach(ex, vm);
		step = queue_step(q);
		vm->pass_progress |= step == STEP_PROGRESS;
		if (q->waits_pages || atomic_load_explicit(&q->dispatch.stalled, memory_order_relaxed))
			vm->pass_paging = true;
		else
			vm->pass_busy |= step == STEP_WAIT;
		copy_flush(q, now);
		fault = atomic_load(&vm->fault_state);
		interrupted = wanted(gpu);
	}
	if (interrupted && !fault && next_queue(vm, gpu->rounds))
		return false;
	if (!vm->copy_left)
		rotate(vm);
	if (vm->pass_progress || vm->pass_busy || vm->pass_paging) {
		vm->last_active = now;
		vm->idle_called = false;
	} else if (!vm->idle_called && now > vm->last_active + gpu->park_ns) {
		vm->idle_called = true;
		vm->idle_pending = true;
		atomic_store(&gpu->callbacks, 1);
	}
	return true;
}

/* What a pass found. */
struct pass {
	bool awake;    /* vms whose doorbells are to be polled */
	bool waiting;  /* queues whose packet waits for something */
	bool paging;   /* queues whose packet waits for pages only: an answer wakes this thread */
	bool running;  /* dispatches */
	bool progress; /* something was done */
	bool called;   /* all vms that are awake have been told idle */
};

/* The vm that ex is attached to may be about to go: then it is in the list no more. gpu->lock held. */
static void attended(struct executor *ex)
{
	struct gpu_vm *vm = ex->gpu->vms;

	while (vm && vm != atomic_load_explicit(&ex->vm, memory_order_relaxed))
		vm = vm->next;
	if (vm)
		vm_attach(ex, vm);
	else
		vm_detach(ex);
}

/*
 * This thread stays attached to the vm that it served last, so that attaching costs nothing where only one has work. Each pass is a quiescent
 * point, and before it waits for anything it detaches.
 */
static void step_all(struct executor *ex, struct pass *pass, uint64_t now)
{
	struct gpu *gpu = ex->gpu;

	if (wanted(gpu))
		let_in(ex);
	pthread_mutex_lock(&gpu->lock);
	gpu->rounds++;
	gpu->copy_wanted = gpu->look_again = false;
	limits_check(gpu);
	backlog_count(gpu, now, false);
	attended(ex);
again:
	for (struct gpu_vm *vm = gpu->vms; vm; vm = vm->next) {
		if (vm->round != gpu->rounds) {
			vm->round = gpu->rounds;
			vm->pass_progress = vm->pass_busy = vm->pass_paging = vm->pass_over = false;
			vm->copy_left = COPY_BYTES_PER_PASS;
		}
		if (vm->pass_over)
			continue;
		if (!step_vm(ex, vm, now)) {
			pthread_mutex_unlock(&gpu->lock);
			let_in(ex);
			pthread_mutex_lock(&gpu->lock);
			goto again; /* the list may have changed */
		}
		vm->pass_over = true;
		pass->progress |= vm->pass_progress;
		pass->waiting |= vm->pass_busy;
		pass->paging |= vm->pass_paging;
		if (vm->awake && !vm->suspended) {
			pass->awake = true;
			pass->called &= vm->idle_called;
		}
	}
	pthread_mutex_unlock(&gpu->lock);
}

/* ------------------------------------------------------------------ callbacks */

struct delivery {
	uint32_t *events, few[16];
	unsigned num;
	struct vm_error errors[GPU_MAX_ERRORS];
	unsigned num_errors;
	bool idle, fault;
	struct page_request requests[GPU_MAX_PAGE_REQUESTS];
	unsigned num_requests;
};

/* Takes what is to be told to the owner of vm. gpu->lock held. */
static bool take_delivery(struct gpu_vm *vm, struct delivery *d)
{
	int reported = 2;

	d->idle = vm->idle_pending;
	vm->idle_pending = false;
	d->num_errors = vm->num_errors;
	memcpy(d->errors, vm->errors, vm->num_errors * sizeof(vm->errors[0]));
	vm->num_errors = 0;
	pthread_mutex_lock(&vm->event_lock);
	d->num = vm->num_events;
	vm->num_events = 0;
	if (d->num <= sizeof(d->few) / sizeof(d->few[0])) {
		d->events = d->few;
		for (unsigned i = 0; i < d->num; i++)
			d->few[i] = vm->events[i];
	} else {
		d->events = vm->events;
		vm->events = NULL;
		vm->max_events = 0;
	}
	pthread_mutex_unlock(&vm->event_lock);
	d->fault = atomic_load(&vm->fault_state) == reported && atomic_compare_exchange_strong(&vm->fault_state, &reported, 3);
	if (d->fault)
		stop_faulted(vm);
	d->num_requests = atomic_load(&vm->fault_state) ? 0 : pager_take(vm, d->requests);
	return d->num || d->num_errors || d->idle || d->fault || d->num_requests;
}

/* Each vm once: a kernel that sends messages without end must not hold the CP thread here. */
static void deliver(struct executor *ex)
{
	struct gpu *gpu = ex->gpu;
	uint64_t round;

	if (!atomic_load_explicit(&gpu->callbacks, memory_order_relaxed) || !atomic_exchange(&gpu->callbacks, 0))
		return;
	vm_detach(ex);
	pthread_mutex_lock(&gpu->lock);
	round = ++gpu->deliveries;
again:
	for (struct gpu_vm *vm = gpu->vms; vm; vm = vm->next) {
		struct delivery d;

		if (vm->delivery == round)
			continue;
		vm->delivery = round;
		if (!take_delivery(vm, &d))
			continue;
		gpu->callback_vm = vm;
		pthread_mutex_unlock(&gpu->lock);
		for (unsigned i = 0; i < d.num; i++)
			vm->ops->signal_event(vm->ctx, d.events[i]);
		for (unsigned i = 0; i < d.num_errors && vm->ops->queue_error; i++)
			vm->ops->queue_error(vm->ctx, d.errors[i].queue, d.errors[i].code,
					     d.errors[i].kernel);
		pager_make(vm, d.requests, d.num_requests);
		if (d.fault)
			vm->ops->memory_fault(vm->ctx, &vm->fault);
		if (d.idle)
			vm->ops->idle(vm->ctx);
		if (d.events != d.few)
			free(d.events);
		pthread_mutex_lock(&gpu->lock);
		gpu->callback_vm = NULL;
		pthread_cond_broadcast(&gpu->callback_cond);
		goto again; /* the list may have changed */
	}
	pthread_mutex_unlock(&gpu->lock);
}

/* ------------------------------------------------------------------ waves */

/* sched_lock held. True: there are waves, and the turn to run them was entered. */
static bool enter_for_waves(struct executor *ex)
{
	struct gpu *gpu = ex->gpu;

	if (!sched_has_work(gpu) || !turn_enter(gpu))
		return false;
	if (ex->slice == SLICE_SHORT)
		thread_slice(ex, SLICE_LONG);
	return true;
}

/* The CP thread's share of the waves. True if it ran something; *now is when that ended. */
static bool cp_run_waves(struct executor *ex, bool *running, uint64_t *now)
{
	struct gpu *gpu = ex->gpu;
	struct wg_slot *slot;
	uint64_t begin;
	bool any = false;

	/* Only this thread starts dispatches. */
	*running = atomic_load_explicit(&gpu->listed, memory_order_relaxed);
	if (!*running)
		return false;
	pthread_mutex_lock(&gpu->sched_lock);
	/* Not our turn: a worker waits for it; this thread has queues to serve. */
	if (!enter_for_waves(ex))
		goto out;
	begin = *now = now_ns();
	while ((slot = sched_pick(gpu, ex, *now, *now - begin > SPREAD_NS))) {
		pthread_mutex_unlock(&gpu->sched_lock);
		*now = sched_run(ex, slot, *now);
		any = true;
		pthread_mutex_lock(&gpu->sched_lock);
		if (*now - begin >= (cp_quiet(ex) ? RUN_QUIET_NS : RUN_NS) || turn_lost(gpu))
			break;
	}
	turn_leave(gpu);
out:
	pthread_mutex_unlock(&gpu->sched_lock);
	return any;
}

/*
 * With a CPU for each thread, each stays on its own: when the turn comes, all wake at once, and the
 * kernel's scheduler would often put two on the same CPU, for milliseconds. More CPUs than threads
 * are only divided up where they were named for this.
 */
static void stay_on_cpu(const struct executor *ex)
{
	const struct gpu *gpu = ex->gpu;
	unsigned left = ex->index;
	bool named = false;
	cpu_set_t all, one;

	CPU_ZERO(&all);
	for (unsigned i = 0; i < 64 * GPU_CPU_WORDS; i++) {
		if (gpu->cpus[i / 64] >> i % 64 & 1) {
			CPU_SET(i, &all);
			named = true;
		}
	}
	if (!named && sched_getaffinity(0, sizeof(all), &all))
		return;
	one = all;
	if (named ? (unsigned)CPU_COUNT(&all) >= gpu->num_threads
		  : (unsigned)CPU_COUNT(&all) == gpu->num_threads) {
		for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &all) || left--)
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			break;
		}
	} else if (!named) {
		return;
	}
	if (sched_setaffinity(0, sizeof(one), &one) && named)
		log_warn("GPU thread %u can't run on the CPUs it is to: %s", ex->index,
			 strerror(errno));
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
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	stay_on_cpu(ex);
}

static bool runs_waves(const struct executor *ex)
{
	return ex->index < ex->gpu->num_runners;
}

/*
 * sched_lock held; a call is waited for. Kernels often come soon after one another, and a CPU that has to be woken, in a VM above all, would be late for
 * short ones: while pauses are short, a worker first looks out for a call.
 */
static void wait_for_work(struct executor *ex)
{
	struct gpu *gpu = ex->gpu;
	unsigned calls = atomic_load(&gpu->worker_calls);
	uint64_t begin = now_ns(), limit = gpu->spin_ns < WORKER_SPIN_NS ? gpu->spin_ns : WORKER_SPIN_NS, ns = 0;

	gpu->idle_workers += runs_waves(ex);
	if (runs_waves(ex) && !ex->sparse && !turn_lost(gpu)) {
		gpu->spinning_workers++;
		pthread_mutex_unlock(&gpu->sched_lock);
		while (ns < limit && atomic_load_explicit(&gpu->worker_calls, memory_order_relaxed) == calls && !atomic_load_explicit(&gpu->quit, memory_order_relaxed)) {
			for (unsigned i = 0; i < 16; i++)
				cpu_relax();
			ns = now_ns() - begin;
		}
		pthread_mutex_lock(&gpu->sched_lock);
		gpu->spinning_workers--;
	}
	while (atomic_load(&gpu->worker_calls) == calls && !atomic_load(&gpu->quit))
		pthread_cond_wait(&gpu->work_cond, &gpu->sched_lock);
	gpu->idle_workers -= runs_waves(ex);
	ex->sparse = now_ns() - begin > WORKER_SPARSE_NS;
}

static void *worker_main(void *arg)
{
	struct executor *ex = arg;
	struct gpu *gpu = ex->gpu;

	name_thread(ex);
	pthread_mutex_lock(&gpu->sched_lock);
	while (!atomic_load(&gpu->quit)) {
		struct wg_slot *slot;
		uint64_t now;

		if (gpu->turn_needed && !gpu->turn_waiter) {
			turn_wait(gpu, ex);
		} else if (!runs_waves(ex) || !enter_for_waves(ex)) {
			if (gpu->turn_needed && !gpu->turn_waiter)
				continue;
			thread_slice(ex, turn_lost(gpu) ? SLICE_SHORT : SLICE_USUAL);
			wait_for_work(ex);
			continue;
		}
		now = now_ns();
		slot = sched_pick(gpu, ex, now, true);
		if (slot) {
			pthread_mutex_unlock(&gpu->sched_lock);
			sched_run(ex, slot, now);
			pthread_mutex_lock(&gpu->sched_lock);
		}
		turn_leave(gpu);
	}
	pthread_mutex_unlock(&gpu->sched_lock);
	return NULL;
}

static void *cp_main(void *arg)
{
	struct executor *ex = arg;
	struct gpu *gpu = ex->gpu;
	uint64_t now = now_ns(), last = now;
	unsigned spins = 0;

	name_thread(ex);
	for (;;) {
		/* Before anything is looked at: a kick after this ends the sleep below. */
		unsigned event = atomic_load(&gpu->cp_event);
		struct pass pass = {.called = true};
		uint64_t idle, spin, limit, sleep_ns;
		bool ran, lost, paging;

		if (atomic_load(&gpu->quit))
			break;
		step_all(ex, &pass, now);
		ex->quiet = pass.progress ? 0 : ex->quiet + !cp_quiet(ex);
		deliver(ex);
		ran = cp_run_waves(ex, &pass.running, &now);
		if (!ran)
			now = now_ns();
		if (ran || pass.progress) {
			last = now;
			continue;
		}
		idle = now - last;
		lost = turn_lost(gpu);
		thread_slice(ex, lost ? SLICE_SHORT : SLICE_USUAL);
		if (lost || idle > TURN_RELEASE_NS)
			turn_release(gpu);
		if (!pass.awake && !pass.running) {
			turn_release(gpu);
			vm_detach(ex);
			pthread_mutex_lock(&gpu->lock);
			backlog_count(gpu, now, true);
			pthread_mutex_unlock(&gpu->lock);
			cp_sleep(gpu, event, 0);
			last = now = now_ns();
			continue;
		}
		/* While others have the GPU, this thread would take a processor from them. */
		paging = pass.paging && !pass.waiting && !pass.running;
		spin = lost || paging ? 0 : gpu->spin_ns;
		if (idle < spin || gpu->look_again) {
			for (unsigned i = 0; i < 16; i++)
				cpu_relax();
			/* On a busy machine a yield costs a time slice: first wait for what comes
			 * soon. */
			if (idle > spin / 2 && !(++spins % 64)) {
				vm_detach(ex);
				sched_yield();
			}
			continue;
		}
		vm_detach(ex);
		if (lost && pass.running)
			limit = SLEEP_LOST_NS; /* a kick tells that the GPU is ours again */
		else if (pass.waiting || pass.running)
			limit = SLEEP_BUSY_NS;
		else
			limit = pass.called || paging ? SLEEP_IDLE_NS : SLEEP_SOON_NS;
		/* In proportion to the pause so far: what comes then is late by a quarter of it at
		 * most. */
		sleep_ns = (idle - spin) / 4;
		if (sleep_ns < SLEEP_MIN_NS)
			sleep_ns = SLEEP_MIN_NS;
		/* What is waited for wakes this thread. */
		if (sleep_ns > limit || (lost && pass.running))
			sleep_ns = limit;
		cp_sleep(gpu, event, sleep_ns);
		now = now_ns();
		if (atomic_load(&gpu->cp_event) != event)
			last = now;
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
	turn_release(gpu);
}
