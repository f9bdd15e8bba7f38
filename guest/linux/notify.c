// SPDX-License-Identifier: GPL-2.0
/*
 * notify.c - what the host tells us unasked: the event queue.
 *
 * A fixed set of buffers is always with the host. The interrupt queues one work item, which empties
 * the queue and gives each buffer back before it acts on a copy, so that a slow reaction never
 * leaves the host without buffers. Reactions that wait for the host themselves (parking, pages) go
 * on in work items of their own.
 */
#include <linux/slab.h>

#include "hsv.h"

/* With event_lock held, or before the device is ready. */
static int buffer_add(struct hsv_device *hdev, struct hsv_event *buffer)
{
	struct scatterlist sg;

	sg_init_one(&sg, buffer, sizeof(*buffer));
	return virtqueue_add_inbuf(hdev->event, &sg, 1, buffer, GFP_ATOMIC);
}

int hsv_events_start(struct hsv_device *hdev)
{
	unsigned int i,
		n = min_t(unsigned int, HSV_EVENT_BUFFERS, virtqueue_get_vring_size(hdev->event));
	int err;

	hdev->event_buffers = kcalloc(n, sizeof(*hdev->event_buffers), GFP_KERNEL);
	if (!hdev->event_buffers)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		err = buffer_add(hdev, &hdev->event_buffers[i]);
		if (err)
			return err;
	}
	return 0;
}

void hsv_events_ready(struct hsv_device *hdev)
{
	virtqueue_kick(hdev->event);
}

void hsv_event_done(struct virtqueue *vq)
{
	struct hsv_device *hdev = vq->vdev->priv;

	queue_work(hsv_event_wq, &hdev->event_work);
}

static void event_dispatch(struct hsv_device *hdev, const struct hsv_event *event)
{
	struct hsv_process *process;

	if (le32_to_cpu(event->type) == HSV_EVENT_VRAM_AWAY) {
		hsv_vram_ask(hdev);
		return;
	}
	process = hsv_process_by_id(hdev, le32_to_cpu(event->process));
	if (!process)
		return; /* it ended while the event was on its way */
	switch (le32_to_cpu(event->type)) {
	case HSV_EVENT_SIGNAL:
		hsv_events_signal(process, le32_to_cpu(event->event_id));
		break;
	case HSV_EVENT_MEMORY_FAULT:
		hsv_events_memory_fault(process, event);
		break;
	case HSV_EVENT_HW_EXCEPTION:
		hsv_events_hw_exception(process, event);
		break;
	case HSV_EVENT_PAGES:
		hsv_svm_request(process, event);
		break;
	case HSV_EVENT_PARK:
		/* The work has our reference. */
		if (!READ_ONCE(process->dying) && queue_work(hsv_wq, &process->park_work))
			return;
		break;
	default:
		dev_warn_ratelimited(&hdev->vdev->dev, "event of unknown type %u\n",
				     le32_to_cpu(event->type));
	}
	hsv_process_put(process);
}

void hsv_event_work(struct work_struct *work)
{
	struct hsv_device *hdev = container_of(work, struct hsv_device, event_work);
	struct hsv_event *buffer, event;
	unsigned long flags;
	unsigned int len;
	bool more;

	do {
		for (;;) {
			spin_lock_irqsave(&hdev->event_lock, flags);
			virtqueue_disable_cb(hdev->event);
			buffer = virtqueue_get_buf(hdev->event, &len);
			if (buffer) {
				event = *buffer;
				buffer_add(hdev, buffer);
				virtqueue_kick(hdev->event);
			}
			spin_unlock_irqrestore(&hdev->event_lock, flags);
			if (!buffer)
				break;
			if (len >= offsetof(struct hsv_event, event_id) + sizeof(event.event_id))
				event_dispatch(hdev, &event);
		}
		spin_lock_irqsave(&hdev->event_lock, flags);
		more = !virtqueue_enable_cb(hdev->event);
		spin_unlock_irqrestore(&hdev->event_lock, flags);
	} while (more);
}

/*
 * When this returns, all that the host had told by the time of the call was acted on, or the device
 * is gone. Sleeps.
 */
void hsv_events_drain(struct hsv_device *hdev)
{
	int idx;

	if (!drm_dev_enter(&hdev->drm, &idx))
		return;
	queue_work(hsv_event_wq, &hdev->event_work);
	flush_work(&hdev->event_work);
	drm_dev_exit(idx);
}
