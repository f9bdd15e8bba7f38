// SPDX-License-Identifier: GPL-2.0
/*
 * smi.c - SMI_EVENTS: a file that tells as lines of text what happens to the GPU and to the memory
 * that it shares with programs.
 *
 * Each file has a queue of its own, of bounded size: what doesn't fit any more is lost, as with
 * amdkfd. It is told what its mask names, which the program writes (64 bits; none at first). Of what
 * concerns a process it gets that process's own, or, for the superuser who asks for it by the mask's
 * last bit, everybody's. GPU faults and resets are for all. What the lines look like:
 * <abi/kfd_smi.h>.
 *
 * Who tells may hold about any lock (an MMU notifier does), so nothing is allocated and nobody is
 * waited for: two spinlocks, the list's and then the queue's.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/kfifo.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include <abi/kfd_smi.h>

#include "hsv.h"

#define QUEUE_SIZE 8192 /* bytes, as amdkfd's */

struct smi_client {
	struct list_head link;	 /* hdev->smi.clients */
	struct hsv_device *hdev; /* referenced */
	const struct hsv_gpu *gpu; /* whose news it gets */
	pid_t pid;		 /* of who opened it */
	bool super;
	u64 events; /* the mask */
	spinlock_t lock; /* the queue */
	struct kfifo queue;
	wait_queue_head_t told;
};

/* ---- telling ---- */

static bool wants(const struct smi_client *client, const struct hsv_gpu *gpu, pid_t pid, unsigned int event)
{
	u64 events = READ_ONCE(client->events);

	if (client->gpu != gpu)
		return false;
	if (pid && client->pid != pid &&
	    !(client->super && events & KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_ALL_PROCESS)))
		return false;
	return events & KFD_SMI_EVENT_MASK_FROM_INDEX(event);
}

/* A line for who wants such events of that GPU and process; pid 0: of nobody's. */
static __printf(4, 5) void tell(const struct hsv_gpu *gpu, pid_t pid, unsigned int event, const char *format, ...)
{
	struct hsv_smi *smi = &gpu->hdev->smi;
	char line[KFD_SMI_EVENT_MSG_SIZE];
	struct smi_client *client;
	va_list ap;
	int n;

	if (list_empty_careful(&smi->clients))
		return;
	va_start(ap, format);
	n = vscnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	spin_lock(&smi->lock);
	list_for_each_entry(client, &smi->clients, link)
	{
		if (!wants(client, gpu, pid, event))
			continue;
		spin_lock(&client->lock);
		if (kfifo_avail(&client->queue) >= n)
			kfifo_in(&client->queue, line, n);
		spin_unlock(&client->lock);
		wake_up_all(&client->told);
	}
	spin_unlock(&smi->lock);
}

static pid_t pid_of(const struct hsv_process *process)
{
	return process->lead->pid;
}

static s64 now(void)
{
	return ktime_get_boottime_ns();
}

void hsv_smi_memory_fault(struct hsv_process *process, const struct hsv_gpu *gpu)
{
	tell(gpu, 0, KFD_SMI_EVENT_VMFAULT, HSV_SMI_VMFAULT, KFD_SMI_EVENT_VMFAULT, pid_of(process), process->lead->comm);
}

/* The GPU is about to be reset, or (after) was. */
void hsv_smi_reset(const struct hsv_gpu *gpu, bool after, const char *cause)
{
	unsigned int event = after ? KFD_SMI_EVENT_GPU_POST_RESET : KFD_SMI_EVENT_GPU_PRE_RESET;
	atomic_t *resets = &gpu->hdev->smi.resets;
	int number = after ? atomic_read(resets) : atomic_inc_return(resets);

	tell(gpu, 0, event, HSV_SMI_GPU_RESET, event, number, cause);
}

/* Requests for pages don't tell whose they are: of several GPUs none is told of. */
void hsv_smi_page_fault(struct hsv_process *process, u64 va, bool write)
{
	const struct hsv_gpu *gpu = process->hdev->gpus;

	if (process->hdev->num_gpus > 1)
		return;
	tell(gpu, pid_of(process), KFD_SMI_EVENT_PAGE_FAULT_START, HSV_SMI_PAGE_FAULT, KFD_SMI_EVENT_PAGE_FAULT_START, now(), pid_of(process),
	     (unsigned long)(va >> PAGE_SHIFT), gpu->gpu_id, write ? 'W' : 'R');
}

/* The GPU has the page. */
void hsv_smi_page_fault_end(struct hsv_process *process, u64 va)
{
	const struct hsv_gpu *gpu = process->hdev->gpus;

	if (process->hdev->num_gpus > 1)
		return;
	tell(gpu, pid_of(process), KFD_SMI_EVENT_PAGE_FAULT_END, HSV_SMI_PAGE_FAULT, KFD_SMI_EVENT_PAGE_FAULT_END, now(), pid_of(process),
	     (unsigned long)(va >> PAGE_SHIFT), gpu->gpu_id, 'U');
}

void hsv_smi_unmap(struct hsv_process *process, u64 va, u64 size, enum mmu_notifier_event why)
{
	int trigger = why == MMU_NOTIFY_UNMAP	? KFD_SVM_UNMAP_TRIGGER_UNMAP_FROM_CPU
		      : why == MMU_NOTIFY_MIGRATE ? KFD_SVM_UNMAP_TRIGGER_MMU_NOTIFY_MIGRATE
						  : KFD_SVM_UNMAP_TRIGGER_MMU_NOTIFY;
	const struct hsv_gpu *gpu = process->hdev->gpus;
	u32 i;

	for (i = 0; i < process->hdev->num_gpus; i++, gpu++)
		tell(gpu, pid_of(process), KFD_SMI_EVENT_UNMAP_FROM_GPU, HSV_SMI_UNMAP, KFD_SMI_EVENT_UNMAP_FROM_GPU, now(), pid_of(process),
		     (unsigned long)(va >> PAGE_SHIFT), (unsigned long)(size >> PAGE_SHIFT), gpu->gpu_id, trigger);
}

/* Memory is about to move, or (end) has moved as far as it can. */
void hsv_smi_migrate(struct hsv_process *process, const struct hsv_migration *what, bool end)
{
	unsigned int event = end ? KFD_SMI_EVENT_MIGRATE_END : KFD_SMI_EVENT_MIGRATE_START;
	unsigned long start = what->start >> PAGE_SHIFT, pages = (what->end - what->start) >> PAGE_SHIFT;
	const struct hsv_gpu *gpu = hsv_gpu_by_id(process->hdev, what->to ? what->to : what->from);

	if (end)
		tell(gpu, pid_of(process), event, HSV_SMI_MIGRATE_END, event, now(), pid_of(process), start, pages, what->from, what->to, what->trigger);
	else
		tell(gpu, pid_of(process), event, HSV_SMI_MIGRATE_START, event, now(), pid_of(process), start, pages, what->from, what->to,
		     what->prefetch, what->preferred, what->trigger);
}

/* The process's queues don't run, because of pages that the kernel takes from the GPU. */
void hsv_smi_queues_evicted(struct hsv_process *process, bool svm)
{
	const struct hsv_gpu *gpu = process->hdev->gpus;
	u32 i;

	for (i = 0; i < process->hdev->num_gpus; i++, gpu++)
		tell(gpu, pid_of(process), KFD_SMI_EVENT_QUEUE_EVICTION, HSV_SMI_QUEUE_EVICTION, KFD_SMI_EVENT_QUEUE_EVICTION, now(), pid_of(process),
		     gpu->gpu_id, svm ? KFD_QUEUE_EVICTION_TRIGGER_SVM : KFD_QUEUE_EVICTION_TRIGGER_USERPTR);
}

void hsv_smi_queues_restored(struct hsv_process *process)
{
	const struct hsv_gpu *gpu = process->hdev->gpus;
	u32 i;

	for (i = 0; i < process->hdev->num_gpus; i++, gpu++)
		tell(gpu, pid_of(process), KFD_SMI_EVENT_QUEUE_RESTORE, HSV_SMI_QUEUE_RESTORE, KFD_SMI_EVENT_QUEUE_RESTORE, now(), pid_of(process),
		     gpu->gpu_id, ' ');
}

/* ---- the file ---- */

static ssize_t smi_read(struct file *filp, char __user *to, size_t size, loff_t *offset)
{
	struct smi_client *client = filp->private_data;
	unsigned int n;
	ssize_t err;
	void *lines;

	size = min_t(size_t, size, QUEUE_SIZE);
	lines = kmalloc(size, GFP_KERNEL);
	if (!lines)
		return -ENOMEM;
	spin_lock(&client->lock);
	n = kfifo_out(&client->queue, lines, size);
	spin_unlock(&client->lock);
	err = n;
	if (!n && size)
		err = -EAGAIN;
	else if (copy_to_user(to, lines, n))
		err = -EFAULT;
	kfree(lines);
	return err;
}

static ssize_t smi_write(struct file *filp, const char __user *from, size_t size, loff_t *offset)
{
	struct smi_client *client = filp->private_data;
	u64 events;

	if (size < sizeof(events) || copy_from_user(&events, from, sizeof(events)))
		return -EFAULT;
	WRITE_ONCE(client->events, events);
	return sizeof(events);
}

static __poll_t smi_poll(struct file *filp, struct poll_table_struct *wait)
{
	struct smi_client *client = filp->private_data;
	__poll_t mask = 0;

	poll_wait(filp, &client->told, wait);
	spin_lock(&client->lock);
	if (!kfifo_is_empty(&client->queue))
		mask = EPOLLIN | EPOLLRDNORM;
	spin_unlock(&client->lock);
	return mask;
}

static void client_free(struct smi_client *client)
{
	kfifo_free(&client->queue);
	hsv_device_put(client->hdev);
	kfree(client);
}

static int smi_release(struct inode *inode, struct file *filp)
{
	struct smi_client *client = filp->private_data;

	spin_lock(&client->hdev->smi.lock);
	list_del(&client->link);
	spin_unlock(&client->hdev->smi.lock);
	client_free(client);
	return 0;
}

static const struct file_operations smi_fops = {
	.owner = THIS_MODULE,
	.read = smi_read,
	.write = smi_write,
	.poll = smi_poll,
	.release = smi_release,
	.llseek = noop_llseek,
};

/* SMI_EVENTS. -EINVAL: no such GPU; -ENOMEM, -EMFILE. */
long hsv_ioctl_smi_events(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_smi_events_args *args = data;
	struct hsv_device *hdev = process->hdev;
	const struct hsv_gpu *gpu = hsv_gpu_by_id(hdev, args->gpuid);
	struct smi_client *client;
	struct file *filp;
	int fd, err;

	if (!gpu)
		return -EINVAL;
	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return -ENOMEM;
	err = kfifo_alloc(&client->queue, QUEUE_SIZE, GFP_KERNEL_ACCOUNT);
	if (err) {
		kfree(client);
		return err;
	}
	drm_dev_get(&hdev->drm);
	client->hdev = hdev;
	client->gpu = gpu;
	client->pid = pid_of(process);
	client->super = capable(CAP_SYS_ADMIN);
	spin_lock_init(&client->lock);
	init_waitqueue_head(&client->told);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		client_free(client);
		return fd;
	}
	filp = anon_inode_getfile("[kfd_smi_ev]", &smi_fops, client, O_RDWR);
	if (IS_ERR(filp)) {
		put_unused_fd(fd);
		client_free(client);
		return PTR_ERR(filp);
	}
	spin_lock(&hdev->smi.lock);
	list_add(&client->link, &hdev->smi.clients);
	spin_unlock(&hdev->smi.lock);
	fd_install(fd, filp);
	args->anon_fd = fd;
	return 0;
}

void hsv_smi_init(struct hsv_smi *smi)
{
	spin_lock_init(&smi->lock);
	INIT_LIST_HEAD(&smi->clients);
	atomic_set(&smi->resets, 0);
}
