// SPDX-License-Identifier: GPL-2.0
/*
 * call.c - requests to the host over the control queue.
 *
 * A call owns all memory that one request needs: what the host reads, and what it writes. It has
 * two references while it is sent: the caller's and the queue's. A caller that is killed drops its
 * own and goes; the queue's goes when the answer comes, or when the device is gone. So the host
 * never writes to memory that was given to somebody else.
 *
 * A call that was answered may be sent again by its owner, also where nothing can be allocated (MMU
 * notifiers).
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/vmalloc.h>

#include "hsv.h"

static void call_free(struct hsv_call *call)
{
	kvfree(call->in);
	kvfree(call->out);
	kfree(call->args);
	kfree(call->head);
	kfree(call->tail);
	kvfree(call->sg);
	kfree(call);
}

static void call_free_work(struct work_struct *work)
{
	call_free(container_of(work, struct hsv_call, free_work));
}

static void call_release(struct kref *ref)
{
	call_free(container_of(ref, struct hsv_call, ref));
}

/* In interrupts: vmalloc'ed memory can't be freed there. */
static void call_release_atomic(struct kref *ref)
{
	queue_work(hsv_wq, &container_of(ref, struct hsv_call, ref)->free_work);
}

void hsv_call_put(struct hsv_call *call)
{
	if (call)
		kref_put(&call->ref, call_release);
}

static u32 pages_of(u32 size)
{
	return DIV_ROUND_UP(size, PAGE_SIZE) + 1;
}

/*
 * A call with room for in_capacity bytes of arrays to the host and out_capacity back; NULL if
 * there's no memory, or if they're more than what fits in a descriptor chain. process: whose
 * request it is, NULL for the device's.
 */
struct hsv_call *hsv_call_new(struct hsv_device *hdev, struct hsv_process *process, u32 in_capacity,
			      u32 out_capacity)
{
	struct hsv_call *call;

	if (in_capacity > HSV_MAX_ARRAY || out_capacity > HSV_MAX_ARRAY ||
	    pages_of(in_capacity) + pages_of(out_capacity) + 2 > HSV_QUEUE_SIZE)
		return NULL;
	call = kzalloc(sizeof(*call), GFP_KERNEL_ACCOUNT);
	if (!call)
		return NULL;
	kref_init(&call->ref);
	init_completion(&call->done);
	INIT_LIST_HEAD(&call->link);
	INIT_WORK(&call->free_work, call_free_work);
	call->hdev = hdev;
	call->process = process;
	call->in_capacity = in_capacity;
	call->out_capacity = out_capacity;
	call->sg_max = pages_of(in_capacity) + pages_of(out_capacity) + 2;
	call->args = kzalloc(HSV_MAX_ARGS, GFP_KERNEL_ACCOUNT);
	call->head = kzalloc(sizeof(*call->head), GFP_KERNEL_ACCOUNT);
	call->tail = kzalloc(sizeof(*call->tail), GFP_KERNEL_ACCOUNT);
	call->sg = kvmalloc_array(call->sg_max, sizeof(*call->sg), GFP_KERNEL_ACCOUNT);
	if (in_capacity)
		call->in = kvzalloc(in_capacity, GFP_KERNEL_ACCOUNT);
	if (out_capacity)
		call->out = kvzalloc(out_capacity, GFP_KERNEL_ACCOUNT);
	if (!call->args || !call->head || !call->tail || !call->sg || (in_capacity && !call->in) ||
	    (out_capacity && !call->out)) {
		call_free(call);
		return NULL;
	}
	return call;
}

/* Appends size bytes at p to the n entries of sg; returns their number. */
static u32 sg_append(struct scatterlist *sg, u32 n, void *p, u32 size)
{
	if (!is_vmalloc_addr(p)) {
		if (size)
			sg_set_buf(&sg[n++], p, size);
		return n;
	}
	while (size) {
		u32 part = min_t(u32, size, PAGE_SIZE - offset_in_page(p));

		sg_set_page(&sg[n++], vmalloc_to_page(p), part, offset_in_page(p));
		p += part;
		size -= part;
	}
	return n;
}

/*
 * Ends a call: under control_lock, which keeps process alive until the wake-up is done (see
 * process_drain()).
 */
static void call_complete(struct hsv_call *call, int error)
{
	list_del_init(&call->link);
	call->error = error;
	if (call->process && atomic_dec_and_test(&call->process->pending))
		wake_up_all(&call->process->idle);
	complete(&call->done);
	kref_put(&call->ref, call_release_atomic);
}

/* The control queue's interrupt. */
void hsv_control_done(struct virtqueue *vq)
{
	struct hsv_device *hdev = vq->vdev->priv;
	struct hsv_call *call;
	unsigned long flags;
	unsigned int len;

	spin_lock_irqsave(&hdev->control_lock, flags);
	do {
		virtqueue_disable_cb(vq);
		while ((call = virtqueue_get_buf(vq, &len))) {
			/*
			 * How much of out was written; what is not there at all is an answer
			 * without meaning.
			 */
			call->out_size = len;
			hdev->answers++;
			call_complete(call, 0);
		}
	} while (!virtqueue_enable_cb(vq));
	spin_unlock_irqrestore(&hdev->control_lock, flags);
	wake_up_all(&hdev->answered);
}

/* Answers all calls with ENODEV, and all later ones. The host must not touch the queue any more. */
void hsv_calls_abort(struct hsv_device *hdev)
{
	struct hsv_call *call;
	unsigned long flags;

	spin_lock_irqsave(&hdev->control_lock, flags);
	hdev->gone = true;
	while ((call = virtqueue_detach_unused_buf(hdev->control)))
		call_complete(call, -ENODEV);
	hdev->answers++;
	spin_unlock_irqrestore(&hdev->control_lock, flags);
	wake_up_all(&hdev->answered);
}

/* Looks whether the host side still works, and gives the device up if not. Sleeps. */
void hsv_health_check(struct hsv_device *hdev)
{
	int idx;
	u8 status;

	if (!drm_dev_enter(&hdev->drm, &idx))
		return;
	if (!READ_ONCE(hdev->gone)) {
		status = hdev->vdev->config->get_status(hdev->vdev);
		if (status == 0xff || !(status & VIRTIO_CONFIG_S_DRIVER_OK))
			hsv_device_fail(hdev, "the host side does not answer");
		else if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
			hsv_device_fail(hdev, "the host side needs a reset");
	}
	drm_dev_exit(idx);
}

/* Puts the call in the queue, waiting for room. 0: it is the host's now. */
static int call_submit(struct hsv_call *call, struct scatterlist *sgs[2], bool killable)
{
	struct hsv_device *hdev = call->hdev;
	unsigned long flags;
	bool notify;
	u64 seen;
	long left;
	int err;

	for (;;) {
		notify = false;
		spin_lock_irqsave(&hdev->control_lock, flags);
		seen = hdev->answers;
		err = -ENODEV;
		if (!hdev->gone)
			err = virtqueue_add_sgs(hdev->control, sgs, 1, 1, call, GFP_ATOMIC);
		if (!err) {
			kref_get(&call->ref);
			list_add_tail(&call->link, &hdev->calls);
			if (call->process)
				atomic_inc(&call->process->pending);
			notify = virtqueue_kick_prepare(hdev->control);
		}
		spin_unlock_irqrestore(&hdev->control_lock, flags);
		if (notify) {
			int idx;

			if (drm_dev_enter(&hdev->drm, &idx)) {
				virtqueue_notify(hdev->control);
				drm_dev_exit(idx);
			}
		}
		if (!err)
			return 0;
		if (err == -EIO)
			return -ENODEV; /* broken */
		if (err != -ENOSPC && err != -ENOMEM)
			return err;
		if (killable)
			left = wait_event_killable_timeout(hdev->answered,
							   READ_ONCE(hdev->answers) != seen,
							   HSV_HEALTH_INTERVAL);
		else
			left = wait_event_timeout(hdev->answered, READ_ONCE(hdev->answers) != seen,
						  HSV_HEALTH_INTERVAL);
		if (left < 0)
			return -EINTR;
		if (!left)
			hsv_health_check(hdev);
	}
}

/* Reads the answer, of which the host wrote len bytes. */
static int call_parse(struct hsv_call *call, u32 args_size, u32 len)
{
	const struct hsv_response *response = &call->tail->response;
	u32 error, fixed = sizeof(*response) + args_size;

	call->out_size = 0;
	if (len < sizeof(*response))
		return -EIO;
	error = le32_to_cpu(response->error);
	if (error > MAX_ERRNO)
		return -EIO;
	if (len >= fixed && le32_to_cpu(response->args_size) == args_size) {
		memcpy(call->args, call->tail->args, args_size);
		call->out_size =
			min3(le32_to_cpu(response->out_size), len - fixed, call->out_capacity);
	} else if (!error) {
		return -EIO;
	}
	return -(int)error;
}

/*
 * Sends the call with args_size bytes of call->args and in_size bytes of call->in, and waits for
 * the answer.
 *
 * Returns the host's answer (0 or negative errno), with call->args, call->out and call->out_size as
 * it wrote them; -ENODEV when the device is gone; -EINTR when killable and the caller got a fatal
 * signal: then the call must not be used again, only put.
 */
int hsv_call_send(struct hsv_call *call, u32 type, u32 code, u32 args_size, u32 in_size,
		  bool killable)
{
	struct hsv_request *request = &call->head->request;
	struct scatterlist *sgs[2];
	u32 n_in, n_out;
	long left;
	int err;

	if (WARN_ON_ONCE(args_size > HSV_MAX_ARGS || in_size > call->in_capacity))
		return -EINVAL;
	*request = (struct hsv_request){
		.type = cpu_to_le32(type),
		.process = cpu_to_le32(call->process ? call->process->id : 0),
		.code = cpu_to_le32(code),
		.args_size = cpu_to_le32(args_size),
		.in_size = cpu_to_le32(in_size),
		.out_size = cpu_to_le32(call->out_capacity),
	};
	memcpy(call->head->args, call->args, args_size);
	memset(call->tail, 0, sizeof(*call->tail));
	call->out_size = 0;
	call->error = 0;
	reinit_completion(&call->done);

	sg_init_table(call->sg, call->sg_max);
	n_in = sg_append(call->sg, 0, call->head, sizeof(*request) + args_size);
	n_in = sg_append(call->sg, n_in, call->in, in_size);
	sg_mark_end(&call->sg[n_in - 1]);
	n_out = sg_append(call->sg, n_in, call->tail, sizeof(struct hsv_response) + args_size);
	n_out = sg_append(call->sg, n_out, call->out, call->out_capacity);
	sg_mark_end(&call->sg[n_out - 1]);
	sgs[0] = call->sg;
	sgs[1] = &call->sg[n_in];

	err = call_submit(call, sgs, killable);
	if (err)
		return err;
	for (;;) {
		if (killable)
			left = wait_for_completion_killable_timeout(&call->done,
								    HSV_HEALTH_INTERVAL);
		else
			left = wait_for_completion_timeout(&call->done, HSV_HEALTH_INTERVAL);
		if (left > 0)
			break;
		if (left < 0)
			return -EINTR;
		hsv_health_check(call->hdev);
	}
	if (call->error)
		return call->error;
	return call_parse(call, args_size, call->out_size);
}

/* A request of a process that has no arrays and whose answer is just an errno. Not killable. */
int hsv_call_simple(struct hsv_process *process, u32 type, const void *args, u32 args_size)
{
	struct hsv_call *call = hsv_call_new(process->hdev, process, 0, 0);
	int err;

	if (!call)
		return -ENOMEM;
	if (args_size)
		memcpy(call->args, args, args_size);
	err = hsv_call_send(call, type, 0, args_size, 0, false);
	hsv_call_put(call);
	return err;
}
