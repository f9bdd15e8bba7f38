// SPDX-License-Identifier: MIT
/*
 * events.c - KFD events in user space: signal events, memory faults, hardware exceptions, and
 * waiting for them.
 *
 * Theory of operation. An event has a state (signaled), an age that grows with each set, and
 * waiters. Ids index a table from 1, so a signal event's id is its slot in the events page; ids of
 * other types come after the slots (as amdkfd's KFD_FIRST_NONSIGNAL_EVENT_ID). Setting an event
 * wakes the waits that hold it; an event with auto_reset is signaled only until one wait took it,
 * or not at all if waits were there to take it. All waiters share one lock and have a condition
 * variable each: a program has a handful.
 */
#define LOG_PART "core"
#include "core/events.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define SLOTS		KFD_SIGNAL_EVENT_LIMIT
#define MAX_OTHER	4096
#define LAST_ID		(SLOTS + MAX_OTHER)
#define MAX_WAIT_EVENTS 65536
#define IDLE_SLOT	UINT64_MAX

struct event {
	bool used, auto_reset, signaled;
	uint32_t type;
	uint64_t age;
	struct kfd_hsa_memory_exception_data memory;
	struct kfd_hsa_hw_exception_data hw;
	struct waiter *waiters;
};

/* One event of one wait; linked into the event. */
struct waiter {
	struct event *event; /* NULL: destroyed while waited for */
	struct wait *wait;
	struct waiter *next;
	bool activated;
	bool age_enabled; /* the wait gave a last age */
};

struct wait {
	pthread_cond_t cond;
};

struct kfd_events {
	pthread_mutex_t lock;
	pthread_cond_t left; /* a wait returned */
	uint32_t waits;
	bool dying;
	volatile uint64_t *page;
	struct event *table[LAST_ID];
};

int kfd_events_new(struct kfd_events **events)
{
	struct kfd_events *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return -ENOMEM;
	pthread_mutex_init(&ev->lock, NULL);
	pthread_cond_init(&ev->left, NULL);
	*events = ev;
	return 0;
}

static void unlink_waiters(struct event *e)
{
	for (struct waiter *w = e->waiters; w; w = w->next) {
		w->event = NULL;
		pthread_cond_signal(&w->wait->cond);
	}
	e->waiters = NULL;
}

void kfd_events_free(struct kfd_events *events)
{
	if (!events)
		return;
	pthread_mutex_lock(&events->lock);
	events->dying = true;
	for (uint32_t id = 0; id < LAST_ID; id++)
		if (events->table[id])
			unlink_waiters(events->table[id]);
	while (events->waits)
		pthread_cond_wait(&events->left, &events->lock);
	pthread_mutex_unlock(&events->lock);
	for (uint32_t id = 0; id < LAST_ID; id++)
		free(events->table[id]);
	pthread_cond_destroy(&events->left);
	pthread_mutex_destroy(&events->lock);
	free(events);
}

int kfd_events_set_page(struct kfd_events *events, volatile uint64_t *page)
{
	int err = -EINVAL;

	pthread_mutex_lock(&events->lock);
	if (!events->page) {
		for (uint32_t i = 0; i < SLOTS; i++)
			page[i] = IDLE_SLOT;
		events->page = page;
		err = 0;
	}
	pthread_mutex_unlock(&events->lock);
	return err;
}

static bool is_signal(uint32_t type)
{
	return type == KFD_IOC_EVENT_SIGNAL || type == KFD_IOC_EVENT_DEBUG_EVENT;
}

static struct event *lookup(struct kfd_events *ev, uint32_t id)
{
	return id && id < LAST_ID ? ev->table[id] : NULL;
}

static void reset_slot(struct kfd_events *ev, uint32_t id)
{
	if (ev->page && id < SLOTS)
		ev->page[id] = IDLE_SLOT;
}

int kfd_events_create(struct kfd_events *events, struct kfd_ioctl_create_event_args *args)
{
	uint32_t first = is_signal(args->event_type) ? 1 : SLOTS;
	uint32_t last = is_signal(args->event_type) ? SLOTS : LAST_ID;
	struct event *e;
	uint32_t id;

	if (args->event_type > KFD_IOC_EVENT_MEMORY)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->used = true;
	e->type = args->event_type;
	e->auto_reset = args->auto_reset;
	e->age = 1;
	pthread_mutex_lock(&events->lock);
	for (id = first; id < last && events->table[id]; id++)
		;
	if (id == last) {
		pthread_mutex_unlock(&events->lock);
		free(e);
		return -ENOSPC;
	}
	events->table[id] = e;
	if (is_signal(e->type)) {
		reset_slot(events, id);
		args->event_page_offset = 2ull << 62;
		args->event_slot_index = id;
	}
	args->event_id = id;
	args->event_trigger_data = id;
	pthread_mutex_unlock(&events->lock);
	return 0;
}

int kfd_events_destroy(struct kfd_events *events, uint32_t id)
{
	struct event *e;

	pthread_mutex_lock(&events->lock);
	e = lookup(events, id);
	if (e) {
		unlink_waiters(e);
		events->table[id] = NULL;
	}
	pthread_mutex_unlock(&events->lock);
	if (!e)
		return -EINVAL;
	free(e);
	return 0;
}

/* As amdkfd's set_event: an auto-reset event that someone waits for is taken at once. */
static void set_event(struct event *e)
{
	e->signaled = !e->auto_reset || !e->waiters;
	if (!++e->age)
		e->age = 2; /* 1 is the age of an event never set, 0 means none */
	for (struct waiter *w = e->waiters; w; w = w->next) {
		w->activated = true;
		pthread_cond_signal(&w->wait->cond);
	}
}

int kfd_events_set(struct kfd_events *events, uint32_t id)
{
	struct event *e;
	int err = -EINVAL;

	pthread_mutex_lock(&events->lock);
	e = lookup(events, id);
	if (e && is_signal(e->type)) {
		set_event(e);
		err = 0;
	}
	pthread_mutex_unlock(&events->lock);
	return err;
}

int kfd_events_reset(struct kfd_events *events, uint32_t id)
{
	struct event *e;
	int err = -EINVAL;

	pthread_mutex_lock(&events->lock);
	e = lookup(events, id);
	if (e && is_signal(e->type)) {
		e->signaled = false;
		err = 0;
	}
	pthread_mutex_unlock(&events->lock);
	return err;
}

void kfd_events_signal(struct kfd_events *events, uint32_t id)
{
	struct event *e;

	pthread_mutex_lock(&events->lock);
	e = lookup(events, id);
	if (e && is_signal(e->type)) {
		reset_slot(events, id); /* acknowledges */
		set_event(e);
	}
	pthread_mutex_unlock(&events->lock);
}

void kfd_events_memory_fault(struct kfd_events *events, uint32_t gpu_id, const struct gpu_memory_fault *fault)
{
	pthread_mutex_lock(&events->lock);
	for (uint32_t id = SLOTS; id < LAST_ID; id++) {
		struct event *e = events->table[id];

		if (!e || e->type != KFD_IOC_EVENT_MEMORY)
			continue;
		e->memory = (struct kfd_hsa_memory_exception_data){
			.failure = {fault->not_present, fault->read_only, fault->no_execute, 0},
			.va = fault->va,
			.gpu_id = gpu_id,
		};
		set_event(e);
	}
	pthread_mutex_unlock(&events->lock);
}

void kfd_events_hw_exception(struct kfd_events *events, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause)
{
	pthread_mutex_lock(&events->lock);
	for (uint32_t id = SLOTS; id < LAST_ID; id++) {
		struct event *e = events->table[id];

		if (!e || e->type != KFD_IOC_EVENT_HW_EXCEPTION)
			continue;
		e->hw = (struct kfd_hsa_hw_exception_data){reset_type, reset_cause, 1,
							   gpu_id};
		set_event(e);
	}
	pthread_mutex_unlock(&events->lock);
}

/* Links a waiter in, looking at the event's state first. */
static void init_waiter(struct event *e, struct kfd_event_data *data, struct waiter *w,
			struct wait *wait)
{
	uint64_t age = is_signal(e->type) ? data->signal_event_data.last_event_age : 0;

	w->event = e;
	w->wait = wait;
	w->activated = e->signaled;
	e->signaled = e->signaled && !e->auto_reset;
	/* The caller has seen another age than the event's: it missed a set. */
	if (age && age != e->age)
		w->activated = true;
	w->age_enabled = age;
	w->next = e->waiters;
	e->waiters = w;
}

static uint32_t test_condition(const struct waiter *w, uint32_t n, bool all)
{
	uint32_t activated = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!w[i].event)
			return KFD_IOC_WAIT_RESULT_FAIL;
		if (w[i].activated) {
			if (!all)
				return KFD_IOC_WAIT_RESULT_COMPLETE;
			activated++;
		}
	}
	return activated == n ? KFD_IOC_WAIT_RESULT_COMPLETE : KFD_IOC_WAIT_RESULT_TIMEOUT;
}

static void copy_data(struct kfd_event_data *data, const struct waiter *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct event *e = w[i].event;

		if (!e || !w[i].activated)
			continue;
		if (e->type == KFD_IOC_EVENT_MEMORY)
			data[i].memory_exception_data = e->memory;
		else if (e->type == KFD_IOC_EVENT_HW_EXCEPTION)
			data[i].hw_exception_data = e->hw;
		else if (is_signal(e->type) && w[i].age_enabled)
			data[i].signal_event_data.last_event_age = e->age;
	}
}

/* Takes the waiters out; what they had taken of auto-reset events but do not report is given back.
 */
static void unlink_wait(struct waiter *w, uint32_t n, bool undo)
{
	for (uint32_t i = 0; i < n; i++) {
		struct event *e = w[i].event;

		if (!e)
			continue;
		for (struct waiter **link = &e->waiters; *link; link = &(*link)->next) {
			if (*link == &w[i]) {
				*link = w[i].next;
				break;
			}
		}
		if (undo && w[i].activated && e->auto_reset && !e->waiters)
			e->signaled = true;
	}
}

int kfd_events_wait(struct kfd_events *events, struct kfd_event_data *data, uint32_t num_events,
		    bool all, uint32_t *timeout_ms, uint32_t *wait_result)
{
	uint64_t start = clock_ns(), deadline = start + *timeout_ms * 1000000ull;
	struct timespec until = {(time_t)(deadline / 1000000000ull),
				 (long)(deadline % 1000000000ull)};
	bool forever = *timeout_ms == UINT32_MAX;
	struct waiter *w;
	struct wait wait;
	pthread_condattr_t attr;
	uint32_t linked = 0, result = KFD_IOC_WAIT_RESULT_FAIL;
	int err = 0;

	*wait_result = KFD_IOC_WAIT_RESULT_FAIL;
	if (num_events > MAX_WAIT_EVENTS)
		return -ENOMEM;
	w = calloc(num_events ? num_events : 1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&wait.cond, &attr);
	pthread_condattr_destroy(&attr);

	pthread_mutex_lock(&events->lock);
	if (events->dying) {
		pthread_mutex_unlock(&events->lock);
		err = -EBADF;
		goto out;
	}
	events->waits++;
	for (; linked < num_events; linked++) {
		struct event *e = lookup(events, data[linked].event_id);

		if (!e) {
			err = -EINVAL;
			break;
		}
		init_waiter(e, &data[linked], &w[linked], &wait);
	}
	while (!err) {
		int timed_out = 0;

		result = test_condition(w, num_events, all);
		if (result != KFD_IOC_WAIT_RESULT_TIMEOUT || !*timeout_ms)
			break;
		if (forever)
			pthread_cond_wait(&wait.cond, &events->lock);
		else
			timed_out = pthread_cond_timedwait(&wait.cond, &events->lock, &until);
		if (timed_out) {
			result = test_condition(w, num_events, all);
			break;
		}
	}
	if (!err && events->dying)
		err = -EBADF;
	else if (!err && result == KFD_IOC_WAIT_RESULT_FAIL)
		err = -EIO; /* an event was destroyed */
	if (!err && result == KFD_IOC_WAIT_RESULT_COMPLETE)
		copy_data(data, w, num_events);
	unlink_wait(w, linked, err || result != KFD_IOC_WAIT_RESULT_COMPLETE);
	if (!--events->waits)
		pthread_cond_broadcast(&events->left);
	pthread_mutex_unlock(&events->lock);
	if (!err)
		*wait_result = result;
	if (!forever) {
		uint64_t now = clock_ns();

		*timeout_ms = now < deadline ? (uint32_t)((deadline - now) / 1000000ull) : 0;
	}
out:
	pthread_cond_destroy(&wait.cond);
	free(w);
	return err;
}
