// SPDX-License-Identifier: GPL-2.0
/*
 * process.c - GPU processes.
 *
 * As in amdkfd a process belongs to an mm: whoever opens /dev/kfd first makes it, later opens of
 * the same mm share it, and it lives until the mm dies, not until the file is closed. The MMU
 * notifier's release says when: it only queues end_work, which waits for what is still under way,
 * has the host destroy its side, and gives back pages and the id. A child of fork has an mm of its
 * own; what it inherits is refused (EBADF) and it opens /dev/kfd itself.
 *
 * References: one for the mm (dropped by end_work), one for each open file.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "hsv.h"

static void process_release(struct kref *ref)
{
	struct hsv_process *process = container_of(ref, struct hsv_process, ref);
	struct hsv_device *hdev = process->hdev;

	hsv_events_fini(&process->events);
	if (process->mmio_page)
		__free_page(process->mmio_page);
	if (process->dummy_page)
		__free_page(process->dummy_page);
	if (process->reserved_page)
		__free_pages(process->reserved_page, 1);
	xa_destroy(&process->memory);
	hsv_call_put(process->end_call);
	if (drm_mm_node_allocated(&process->doorbell_node.vm_node))
		drm_vma_offset_remove(&hdev->offsets, &process->doorbell_node);
	put_task_struct(process->lead);
	mmdrop(process->mm);
	kfree(process);
	hsv_device_put(hdev);
}

void hsv_process_put(struct hsv_process *process)
{
	kref_put(&process->ref, process_release);
}

/* The process with that id, with a reference; NULL if there is none. */
struct hsv_process *hsv_process_by_id(struct hsv_device *hdev, u32 id)
{
	struct hsv_process *process;

	spin_lock(&hdev->id_lock);
	process = idr_find(&hdev->processes, id);
	if (process && !kref_get_unless_zero(&process->ref))
		process = NULL;
	spin_unlock(&hdev->id_lock);
	return process;
}

bool hsv_process_is_current(const struct hsv_process *process)
{
	return process->mm == current->mm && process->lead == current->group_leader;
}

/* Begins the end. May be called in any context that may queue work, any number of times. */
static void process_kill(struct hsv_process *process)
{
	WRITE_ONCE(process->dying, true);
	hsv_events_wake_all(process);
	if (!test_and_set_bit(0, &process->end_queued))
		queue_work(hsv_wq, &process->end_work);
}

/* Waits until the host has answered all calls of the process. */
static void process_drain(struct hsv_process *process)
{
	while (!wait_event_timeout(process->idle, !atomic_read(&process->pending),
				   HSV_HEALTH_INTERVAL))
		hsv_health_check(process->hdev);
	/*
	 * The last answer was counted under this lock; when we get it its wake-up is over and
	 * nothing points at the process.
	 */
	spin_lock_irq(&process->hdev->control_lock);
	spin_unlock_irq(&process->hdev->control_lock);
}

static void vm_release(struct hsv_process *process, struct hsv_vm *vm)
{
	struct file *filp;

	mutex_lock(&process->memory_lock);
	filp = vm->filp;
	vm->filp = NULL;
	if (vm->file)
		vm->file->driver_priv = NULL;
	vm->file = NULL;
	mutex_unlock(&process->memory_lock);
	if (filp)
		fput(filp);
}

static void process_end_work(struct work_struct *work)
{
	struct hsv_process *process = container_of(work, struct hsv_process, end_work);
	struct hsv_device *hdev = process->hdev;
	u32 i;
	int err;

	if (cancel_work_sync(&process->park_work))
		hsv_process_put(process);
	process_drain(process);
	err = hsv_call_send(process->end_call, HSV_REQ_PROCESS_DESTROY, 0, 0, 0, false);
	/* ESRCH: it was never made there. */
	if (err && err != -ENODEV && err != -ESRCH)
		drm_warn(&hdev->drm, "process %u: the host can't end it (%d)\n", process->id, err);
	/*
	 * Whoever made the events page before dying was set is done with the lock; nobody can
	 * after.
	 */
	mutex_lock(&process->memory_lock);
	hsv_events_detach(&process->events);
	mutex_unlock(&process->memory_lock);
	hsv_memory_remove_all(process);
	hsv_svm_end(process);
	process_drain(process);

	for (i = 0; i < hdev->num_gpus; i++)
		vm_release(process, &process->vms[i]);
	mmu_notifier_unregister(&process->notifier, process->mm);

	/* What was told of this process must not be taken for news of the next one with its id. */
	hsv_events_drain(hdev);
	mutex_lock(&hdev->process_lock);
	spin_lock(&hdev->id_lock);
	idr_remove(&hdev->processes, process->id);
	spin_unlock(&hdev->id_lock);
	mutex_unlock(&hdev->process_lock);
	hsv_process_put(process);
	module_put(THIS_MODULE);
}

static void process_mm_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	process_kill(container_of(notifier, struct hsv_process, notifier));
}

static const struct mmu_notifier_ops process_notifier_ops = {
	.release = process_mm_release,
};

/* With process_lock held. The new process is known by its id, but not to the host. */
static struct hsv_process *process_new(struct hsv_device *hdev)
{
	struct hsv_process *process = kzalloc(sizeof(*process), GFP_KERNEL_ACCOUNT);
	int id, err = -ENOMEM;

	if (!process)
		return ERR_PTR(-ENOMEM);
	kref_init(&process->ref);
	process->hdev = hdev;
	drm_dev_get(&hdev->drm);
	process->mm = current->mm;
	mmgrab(process->mm);
	process->lead = current->group_leader;
	get_task_struct(process->lead);
	process->notifier.ops = &process_notifier_ops;
	INIT_WORK(&process->end_work, process_end_work);
	INIT_WORK(&process->park_work, hsv_park_work);
	atomic_set(&process->pending, 0);
	atomic_set(&process->invalid, 0);
	atomic_set(&process->svm_restoring, 0);
	init_waitqueue_head(&process->idle);
	hsv_svm_init(process);
	mutex_init(&process->svm_fill_lock);
	mutex_init(&process->memory_lock);
	xa_init(&process->memory);
	INIT_LIST_HEAD(&process->memory_all);
	mutex_init(&process->doorbell_lock);
	drm_vma_node_reset(&process->doorbell_node);
	hsv_events_init(&process->events);

	process->end_call = hsv_call_new(hdev, process, 0, 0);
	if (!process->end_call)
		goto free;
	err = drm_vma_offset_add(&hdev->offsets, &process->doorbell_node,
				 hdev->num_gpus * HSV_DOORBELL_SLOT >> PAGE_SHIFT);
	if (err)
		goto free;
	idr_preload(GFP_KERNEL);
	spin_lock(&hdev->id_lock);
	id = idr_alloc(&hdev->processes, process, 0, hdev->max_processes, GFP_NOWAIT);
	process->id = id;
	spin_unlock(&hdev->id_lock);
	idr_preload_end();
	err = id;
	if (id < 0)
		goto free;
	err = mmu_notifier_register(&process->notifier, process->mm);
	if (err)
		goto id;
	__module_get(THIS_MODULE);
	return process;

id:
	spin_lock(&hdev->id_lock);
	idr_remove(&hdev->processes, id);
	spin_unlock(&hdev->id_lock);
free:
	hsv_process_put(process);
	return ERR_PTR(err);
}

/* Has the host make its side. */
static int process_announce(struct hsv_process *process)
{
	struct hsv_process_args args = {.pid = cpu_to_le32(task_tgid_nr(current))};
	struct hsv_call *call = hsv_call_new(process->hdev, process, 0, 0);
	int err;

	if (!call)
		return -ENOMEM;
	get_task_comm(args.comm, current->group_leader);
	memcpy(call->args, &args, sizeof(args));
	err = hsv_call_send(call, HSV_REQ_PROCESS_CREATE, 0, sizeof(args), 0, true);
	hsv_call_put(call);
	return err;
}

static struct hsv_process *process_find(struct hsv_device *hdev)
{
	struct hsv_process *process;
	int id;

	idr_for_each_entry(&hdev->processes, process, id)
	{
		if (process->mm == current->mm && !READ_ONCE(process->dying))
			return process;
	}
	return NULL;
}

/*
 * The process of current's mm, made if there is none, with a reference. -EINVAL: no mm of a thread
 * group; -ENODEV; -ENOSPC: too many processes; -EINTR; -ENOMEM, or what the host answers.
 */
int hsv_process_open(struct hsv_device *hdev, struct hsv_process **out)
{
	struct hsv_process *process;
	bool flushed = false;
	int err;

	if (!current->mm || current->group_leader->mm != current->mm)
		return -EINVAL;
again:
	if (mutex_lock_killable(&hdev->process_lock))
		return -EINTR;
	err = 0;
	process = process_find(hdev);
	if (process) {
		kref_get(&process->ref);
		goto unlock;
	}
	process = process_new(hdev);
	if (IS_ERR(process)) {
		err = PTR_ERR(process);
		goto unlock;
	}
	kref_get(&process->ref);
	err = process_announce(process);
	if (err) {
		/*
		 * Killed while the host may have made it, or refused: it ends as if it had lived.
		 */
		process_kill(process);
		hsv_process_put(process);
	}
unlock:
	mutex_unlock(&hdev->process_lock);
	if (err == -ENOSPC && !flushed) {
		/* Programs that just ended may still hold ids. */
		flush_workqueue(hsv_wq);
		flushed = true;
		goto again;
	}
	if (!err)
		*out = process;
	return err;
}

/*
 * The device is gone: tells the programs by KFD's event for a lost GPU, which runtimes end a program
 * by that spins on a signal in memory; wakes all who wait for others.
 */
void hsv_processes_wake(struct hsv_device *hdev)
{
	struct hsv_process *process;
	int id;

	spin_lock(&hdev->id_lock);
	idr_for_each_entry(&hdev->processes, process, id) hsv_events_device_lost(process);
	spin_unlock(&hdev->id_lock);
}

/* Ends all processes of a device that was removed. */
void hsv_processes_end(struct hsv_device *hdev)
{
	struct hsv_process *process;
	int id;

	mutex_lock(&hdev->process_lock);
	idr_for_each_entry(&hdev->processes, process, id) process_kill(process);
	mutex_unlock(&hdev->process_lock);
}
