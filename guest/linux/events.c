// SPDX-License-Identifier: GPL-2.0
/*
 * events.c - KFD events: CREATE, DESTROY, SET, RESET and WAIT_EVENTS, with amdkfd's semantics.
 *
 * A signal event has a slot in the events page, whose index is its id (from 1). The GPU writes the
 * slot and the host sends HSV_EVENT_SIGNAL; acknowledging puts all ones back. The page is a GTT
 * buffer that the program names at its first CREATE_EVENT, or else one that is made here and mapped
 * through /dev/kfd. Other events (memory exceptions, hardware exceptions) have ids above the slots.
 *
 * An event is set or not; auto-reset ones are cleared by waking. The age of an
 * event counts how often it was set, and a waiter that names an old age (minor 14) doesn't wait, so
 * that no wake-up is lost between two waits.
 *
 * All of it is under one spin lock, events.wake, which is never held over copies from or to user
 * space: those may take as long as a program likes, and the work item that sets events serves all
 * programs. An event that is destroyed takes itself out of its waiters.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hsv.h"

#define EVENT_PAGE_ORDER  get_order(HSV_EVENT_PAGE_SIZE)
#define FIRST_SIGNAL	  1
#define FIRST_OTHER	  KFD_SIGNAL_EVENT_LIMIT
#define UNSIGNALED_SLOT	  (~0ULL)
#define TIMEOUT_IMMEDIATE 0
#define TIMEOUT_INFINITE  0xffffffff
/* Events of a process that aren't signals; amdkfd's bound is the id space. */
#define MAX_OTHER 4096
/* Entries of all waits of a process at a time: setting an event looks at all its waiters. */
#define MAX_WAITERS 65536

struct kfd_event {
	u32 id, type;
	bool auto_reset;
	bool signaled;		  /* under wake, as all below */
	u64 age;		  /* from 1 */
	struct list_head waiters; /* of struct waiter */
	union {
		struct kfd_hsa_memory_exception_data memory;
		struct kfd_hsa_hw_exception_data exception;
	};
};

/* One entry of a WAIT_EVENTS. */
struct waiter {
	struct list_head link;	 /* event->waiters, until the wait ends or the event goes */
	struct kfd_event *event; /* NULL: destroyed meanwhile */
	struct task_struct *task;
	bool activated;
	bool wants_age;
};

void hsv_events_init(struct hsv_events *events)
{
	spin_lock_init(&events->wake);
	idr_init(&events->idr);
}

/* No waiter is left: the process is being freed. */
void hsv_events_fini(struct hsv_events *events)
{
	struct kfd_event *event;
	int id;

	idr_for_each_entry(&events->idr, event, id) kfree(event);
	idr_destroy(&events->idr);
	if (events->own_page)
		__free_pages(events->own_page, EVENT_PAGE_ORDER);
}

/*
 * At the end of a process, before its buffers go: signals that are still under way find no slots
 * any more.
 */
void hsv_events_detach(struct hsv_events *events)
{
	struct hsv_memory *page;

	spin_lock(&events->wake);
	page = events->page;
	events->page = NULL;
	spin_unlock(&events->wake);
	if (page)
		hsv_memory_put(page);
}

/* The slot of an event in the page, NULL if there is no page. With wake held. */
static u64 *event_slot(struct hsv_events *events, u32 id)
{
	u64 offset = (u64)id * 8;

	if (events->page)
		return page_address(events->page->pages[offset >> PAGE_SHIFT]) +
		       offset_in_page(offset);
	if (events->own_page)
		return page_address(events->own_page) + offset;
	return NULL;
}

/* ---- setting ---- */

/* With wake held. */
static void event_set(struct kfd_event *event)
{
	struct waiter *waiter;
	bool woke = false;

	list_for_each_entry(waiter, &event->waiters, link)
	{
		if (!waiter->activated) {
			WRITE_ONCE(waiter->activated, true);
			wake_up_process(waiter->task);
			woke = true;
		}
	}
	/* An auto-reset event that wakes somebody is used up by that. */
	event->signaled = !event->auto_reset || !woke;
	event->age++;
}

/*
 * From the GPU: an event was set. Ids that aren't events are ignored: the GPU's program chose them.
 */
void hsv_events_signal(struct hsv_process *process, u32 id)
{
	struct hsv_events *events = &process->events;
	struct kfd_event *event;
	u64 *slot;

	spin_lock(&events->wake);
	event = idr_find(&events->idr, id);
	if (event) {
		slot = id < FIRST_OTHER ? event_slot(events, id) : NULL;
		if (slot)
			WRITE_ONCE(*slot, UNSIGNALED_SLOT);
		event_set(event);
	}
	spin_unlock(&events->wake);
}

/* The GPU that the host tells of. */
static const struct hsv_gpu *gpu_of(struct hsv_process *process, __le32 index)
{
	struct hsv_device *hdev = process->hdev;

	return &hdev->gpus[min(le32_to_cpu(index), hdev->num_gpus - 1)];
}

void hsv_events_memory_fault(struct hsv_process *process, const struct hsv_event *from)
{
	const struct hsv_gpu *gpu = gpu_of(process, from->memory.gpu);
	struct kfd_hsa_memory_exception_data data = {
		.failure.NotPresent = le32_to_cpu(from->memory.not_present),
		.failure.ReadOnly = le32_to_cpu(from->memory.read_only),
		.failure.NoExecute = le32_to_cpu(from->memory.no_execute),
		.failure.imprecise = le32_to_cpu(from->memory.imprecise),
		.va = le64_to_cpu(from->memory.va),
		.gpu_id = gpu->gpu_id,
	};
	struct hsv_events *events = &process->events;
	struct kfd_event *event;
	int id;

	dev_info_ratelimited(process->hdev->drm.dev, "%s[%d]: GPU memory fault at %#llx (%s%s%s)\n",
			     process->lead->comm, process->lead->pid, data.va,
			     data.failure.NotPresent ? "not present" : "",
			     data.failure.ReadOnly ? "read-only" : "",
			     data.failure.NoExecute ? "no execute" : "");
	hsv_smi_memory_fault(process, gpu);
	spin_lock(&events->wake);
	idr_for_each_entry(&events->idr, event, id)
	{
		if (event->type == KFD_IOC_EVENT_MEMORY) {
			event->memory = data;
			event_set(event);
		}
	}
	spin_unlock(&events->wake);
}

static void exception_set(struct hsv_process *process,
			  const struct kfd_hsa_hw_exception_data *data)
{
	struct hsv_events *events = &process->events;
	struct kfd_event *event;
	int id;

	spin_lock(&events->wake);
	idr_for_each_entry(&events->idr, event, id)
	{
		if (event->type == KFD_IOC_EVENT_HW_EXCEPTION) {
			event->exception = *data;
			event_set(event);
		}
	}
	spin_unlock(&events->wake);
}

void hsv_events_hw_exception(struct hsv_process *process, const struct hsv_event *from)
{
	const struct hsv_gpu *gpu = gpu_of(process, from->exception.gpu);
	struct kfd_hsa_hw_exception_data data = {
		.reset_type = le32_to_cpu(from->exception.reset_type),
		.reset_cause = le32_to_cpu(from->exception.reset_cause),
		.memory_lost = le32_to_cpu(from->exception.memory_lost),
		.gpu_id = gpu->gpu_id,
	};

	/* By the time that it is told it is over. */
	hsv_smi_reset(gpu, false, process->lead->comm);
	hsv_smi_reset(gpu, true, "");
	exception_set(process, &data);
}

/* The device stopped working: as after a GPU hang that a reset of the whole GPU could not mend. */
void hsv_events_device_lost(struct hsv_process *process)
{
	struct kfd_hsa_hw_exception_data data = {
		.reset_type = KFD_HW_EXCEPTION_WHOLE_GPU_RESET,
		.reset_cause = KFD_HW_EXCEPTION_GPU_HANG,
		.memory_lost = 1,
		.gpu_id = process->hdev->gpus[0].gpu_id,
	};

	exception_set(process, &data);
	hsv_events_wake_all(process);
}

/* The process or the device is ending: whoever waits looks at that. */
void hsv_events_wake_all(struct hsv_process *process)
{
	struct hsv_events *events = &process->events;
	struct kfd_event *event;
	struct waiter *waiter;
	int id;

	spin_lock(&events->wake);
	idr_for_each_entry(&events->idr, event, id)
	{
		list_for_each_entry(waiter, &event->waiters, link) wake_up_process(waiter->task);
	}
	spin_unlock(&events->wake);
}

/* ---- creation and destruction ---- */

static bool page_is_set(struct hsv_events *events)
{
	bool is;

	spin_lock(&events->wake);
	is = events->page || events->own_page;
	spin_unlock(&events->wake);
	return is;
}

/*
 * The GTT buffer of that handle becomes the events page. -EINVAL: there's none, it is too small, or
 * there is a page already; -ESRCH: the process is ending. All under memory_lock: a buffer that is
 * being freed has no pages, and the events page isn't freed before the process ends.
 */
static int page_set(struct hsv_process *process, u64 handle)
{
	struct hsv_events *events = &process->events;
	struct hsv_memory *memory;
	int err = -EINVAL;
	u64 i;

	mutex_lock(&process->memory_lock);
	if (process->dying) {
		err = -ESRCH;
		goto unlock;
	}
	memory = hsv_memory_lookup(process, handle);
	if (page_is_set(events) || !memory || memory->kind != HSV_MEMORY_GTT ||
	    memory->size < HSV_EVENT_PAGE_SIZE)
		goto unlock;
	for (i = 0; i < HSV_EVENT_PAGE_SIZE >> PAGE_SHIFT; i++)
		memset(page_address(memory->pages[i]), 0xff, PAGE_SIZE);
	spin_lock(&events->wake);
	if (!events->page && !events->own_page) {
		kref_get(&memory->ref);
		memory->is_events_page = true;
		events->page = memory;
		err = 0;
	}
	spin_unlock(&events->wake);
unlock:
	mutex_unlock(&process->memory_lock);
	return err;
}

/* Makes a page here if there is none. */
static int own_page_make(struct hsv_events *events)
{
	struct page *page;

	if (page_is_set(events))
		return 0;
	page = alloc_pages(GFP_KERNEL_ACCOUNT, EVENT_PAGE_ORDER);
	if (!page)
		return -ENOMEM;
	memset(page_address(page), 0xff, HSV_EVENT_PAGE_SIZE);
	spin_lock(&events->wake);
	if (!events->page && !events->own_page) {
		events->own_page = page;
		page = NULL;
	}
	spin_unlock(&events->wake);
	if (page)
		__free_pages(page, EVENT_PAGE_ORDER);
	return 0;
}

/* The page made here, for mmap; NULL if there's none. The mapping's file keeps it. */
struct page *hsv_events_own_page(struct hsv_process *process)
{
	struct hsv_events *events = &process->events;
	struct page *page;

	spin_lock(&events->wake);
	page = events->own_page;
	spin_unlock(&events->wake);
	return page;
}

/* CREATE_EVENT. -EINVAL: bad events page; -ENOSPC: too many events; -ENOMEM. */
long hsv_ioctl_create_event(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_create_event_args *args = data;
	struct hsv_events *events = &process->events;
	bool signal = args->event_type == KFD_IOC_EVENT_SIGNAL ||
		      args->event_type == KFD_IOC_EVENT_DEBUG_EVENT;
	struct kfd_event *event = kzalloc(sizeof(*event), GFP_KERNEL_ACCOUNT);
	int id, err = 0;

	if (!event)
		return -ENOMEM;
	event->type = args->event_type;
	event->auto_reset = args->auto_reset;
	event->age = 1;
	INIT_LIST_HEAD(&event->waiters);

	if (args->event_page_offset)
		err = page_set(process, args->event_page_offset);
	if (!err && signal)
		err = own_page_make(events);
	if (err)
		goto fail;
	idr_preload(GFP_KERNEL);
	spin_lock(&events->wake);
	if (signal)
		id = idr_alloc(&events->idr, event, FIRST_SIGNAL, KFD_SIGNAL_EVENT_LIMIT,
			       GFP_NOWAIT);
	else
		id = idr_alloc(&events->idr, event, FIRST_OTHER, FIRST_OTHER + MAX_OTHER,
			       GFP_NOWAIT);
	if (id >= 0)
		event->id = id;
	spin_unlock(&events->wake);
	idr_preload_end();
	err = id;
	if (id < 0)
		goto fail;
	args->event_id = id;
	args->event_trigger_data = id;
	if (signal) {
		args->event_page_offset = 2ULL << 62; /* KFD_MMAP_TYPE_EVENTS */
		args->event_slot_index = id;
	}
	return 0;
fail:
	kfree(event);
	return err;
}

/* DESTROY_EVENT. -EINVAL: no such event. Who waits for it gets EIO. */
long hsv_ioctl_destroy_event(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_destroy_event_args *args = data;
	struct hsv_events *events = &process->events;
	struct waiter *waiter, *next;
	struct kfd_event *event;

	spin_lock(&events->wake);
	event = idr_remove(&events->idr, args->event_id);
	if (event) {
		list_for_each_entry_safe(waiter, next, &event->waiters, link)
		{
			list_del_init(&waiter->link);
			WRITE_ONCE(waiter->event, NULL);
			wake_up_process(waiter->task);
		}
	}
	spin_unlock(&events->wake);
	if (!event)
		return -EINVAL;
	kfree(event);
	return 0;
}

static long event_change(struct hsv_process *process, u32 id, bool set)
{
	struct hsv_events *events = &process->events;
	struct kfd_event *event;
	long err = -EINVAL;

	spin_lock(&events->wake);
	event = idr_find(&events->idr, id);
	if (event && event->type == KFD_IOC_EVENT_SIGNAL) {
		if (set)
			event_set(event);
		else
			event->signaled = false;
		err = 0;
	}
	spin_unlock(&events->wake);
	return err;
}

/* SET_EVENT, RESET_EVENT. -EINVAL: no such event, or not a signal. */
long hsv_ioctl_set_event(struct hsv_process *process, void *data)
{
	return event_change(process, ((struct kfd_ioctl_set_event_args *)data)->event_id, true);
}

long hsv_ioctl_reset_event(struct hsv_process *process, void *data)
{
	return event_change(process, ((struct kfd_ioctl_reset_event_args *)data)->event_id, false);
}

/* ---- waiting ---- */

/* 0 or -ENOMEM: the process waits for too much already. */
static int waiters_charge(struct hsv_events *events, u32 n)
{
	int err = -ENOMEM;

	spin_lock(&events->wake);
	if (n <= MAX_WAITERS - events->waiters) {
		events->waiters += n;
		err = 0;
	}
	spin_unlock(&events->wake);
	return err;
}

static void waiters_uncharge(struct hsv_events *events, u32 n)
{
	spin_lock(&events->wake);
	events->waiters -= n;
	spin_unlock(&events->wake);
}

static int waiter_init(struct hsv_events *events, struct waiter *waiter,
		       const struct kfd_event_data *data)
{
	u64 age = data->signal_event_data.last_event_age;
	struct kfd_event *event;

	spin_lock(&events->wake);
	event = idr_find(&events->idr, data->event_id);
	if (event) {
		waiter->event = event;
		waiter->task = current;
		waiter->activated = event->signaled;
		event->signaled = event->signaled && !event->auto_reset;
		/* Age 0: the caller doesn't count. */
		waiter->wants_age = event->type == KFD_IOC_EVENT_SIGNAL && age;
		if (waiter->wants_age && event->age != age)
			waiter->activated = true;
		list_add_tail(&waiter->link, &event->waiters);
	}
	spin_unlock(&events->wake);
	return event ? 0 : -EINVAL;
}

static u32 waiters_test(const struct waiter *waiters, u32 n, bool all)
{
	u32 i, active = 0;

	for (i = 0; i < n; i++) {
		/* An event that was set and then destroyed counts as destroyed, as in amdkfd. */
		if (!READ_ONCE(waiters[i].event))
			return KFD_IOC_WAIT_RESULT_FAIL;
		if (READ_ONCE(waiters[i].activated)) {
			if (!all)
				return KFD_IOC_WAIT_RESULT_COMPLETE;
			active++;
		}
	}
	return active == n ? KFD_IOC_WAIT_RESULT_COMPLETE : KFD_IOC_WAIT_RESULT_TIMEOUT;
}

/*
 * Ends a wait. undo: it was interrupted and will be made again, so events it used up are set again.
 */
static void waiters_fini(struct hsv_events *events, struct waiter *waiters, u32 n, bool undo)
{
	u32 i;

	spin_lock(&events->wake);
	for (i = 0; i < n; i++) {
		if (!waiters[i].event)
			continue;
		list_del(&waiters[i].link);
		if (undo && waiters[i].activated && waiters[i].event->auto_reset)
			event_set(waiters[i].event);
	}
	spin_unlock(&events->wake);
}

/* Gives the program what came with the events that are set. */
static int waiters_copy(struct hsv_events *events, const struct waiter *waiters, u32 n,
			struct kfd_event_data __user *data)
{
	union {
		struct kfd_hsa_memory_exception_data memory;
		struct kfd_hsa_hw_exception_data exception;
		u64 age;
	} copy;
	const struct kfd_event *event;
	size_t size;
	u32 i;

	for (i = 0; i < n; i++) {
		size = 0;
		spin_lock(&events->wake);
		event = waiters[i].event;
		if (event && waiters[i].activated) {
			if (event->type == KFD_IOC_EVENT_MEMORY) {
				copy.memory = event->memory;
				size = sizeof(copy.memory);
			} else if (event->type == KFD_IOC_EVENT_HW_EXCEPTION) {
				copy.exception = event->exception;
				size = sizeof(copy.exception);
			} else if (waiters[i].wants_age) {
				copy.age = event->age;
				size = sizeof(copy.age);
			}
		}
		spin_unlock(&events->wake);
		if (!event)
			return -EINVAL;
		/* All are the first member of the entry's union. */
		if (size && copy_to_user(&data[i], &copy, size))
			return -EFAULT;
	}
	return 0;
}

static signed long timeout_jiffies(u32 ms)
{
	if (ms == TIMEOUT_IMMEDIATE)
		return 0;
	if (ms == TIMEOUT_INFINITE)
		return MAX_SCHEDULE_TIMEOUT;
	/* msecs_to_jiffies() takes more for infinite; 24 days are as good. */
	return msecs_to_jiffies(min_t(u32, ms, INT_MAX)) + 1;
}

/*
 * Sleeps until the waiters' condition holds or time is up. 0, -ERESTARTSYS, -ENODEV; *timeout is
 * what is left.
 */
static int waiters_sleep(struct hsv_process *process, const struct waiter *waiters,
			 struct kfd_ioctl_wait_events_args *args)
{
	signed long left = timeout_jiffies(args->timeout);
	int err = 0;

	for (;;) {
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			if (args->timeout != TIMEOUT_IMMEDIATE && args->timeout != TIMEOUT_INFINITE)
				args->timeout = jiffies_to_msecs(max(0L, left));
			break;
		}
		/* Before the test, so that a wake-up after it isn't lost. */
		set_current_state(TASK_INTERRUPTIBLE);
		args->wait_result = waiters_test(waiters, args->num_events, args->wait_for_all);
		if (args->wait_result != KFD_IOC_WAIT_RESULT_TIMEOUT || left <= 0)
			break;
		if (READ_ONCE(process->dying) || READ_ONCE(process->hdev->gone)) {
			err = -ENODEV;
			break;
		}
		left = schedule_timeout(left);
	}
	__set_current_state(TASK_RUNNING);
	return err;
}

/*
 * WAIT_EVENTS. -EINVAL: no such event; -EIO: an event was destroyed; -EFAULT; -ENOMEM; -ENODEV; a
 * signal restarts the call with the time that is left. wait_result says complete or time-out where
 * 0 is returned.
 */
long hsv_ioctl_wait_events(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_wait_events_args *args = data;
	struct kfd_event_data __user *user = u64_to_user_ptr(args->events_ptr);
	struct hsv_events *events = &process->events;
	struct kfd_event_data one;
	struct waiter *waiters = NULL;
	u32 i = 0;
	int err;

	err = waiters_charge(events, args->num_events);
	if (err)
		goto out;
	waiters = kvcalloc(args->num_events, sizeof(*waiters), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!waiters && args->num_events) {
		err = -ENOMEM;
		goto uncharge;
	}
	for (; i < args->num_events; i++) {
		err = copy_from_user(&one, &user[i], sizeof(one))
			      ? -EFAULT
			      : waiter_init(events, &waiters[i], &one);
		if (err)
			goto fini;
	}
	args->wait_result = waiters_test(waiters, args->num_events, args->wait_for_all);
	if (args->wait_result == KFD_IOC_WAIT_RESULT_TIMEOUT)
		err = waiters_sleep(process, waiters, args);
	if (!err && args->wait_result == KFD_IOC_WAIT_RESULT_COMPLETE)
		err = waiters_copy(events, waiters, args->num_events, user);
fini:
	waiters_fini(events, waiters, i, err == -ERESTARTSYS);
	kvfree(waiters);
uncharge:
	waiters_uncharge(events, args->num_events);
out:
	if (err)
		args->wait_result = KFD_IOC_WAIT_RESULT_FAIL;
	else if (args->wait_result == KFD_IOC_WAIT_RESULT_FAIL)
		err = -EIO;
	return err;
}
