// SPDX-License-Identifier: GPL-2.0
/*
 * vram.c - VRAM that the host has swapped out.
 *
 * When the host needs the room of an idle GPU it asks for VRAM to be unmapped
 * (HSV_EVENT_VRAM_AWAY). From our answer on no program has a mapping of it; a fault that would make
 * one has the host bring it back first (HSV_REQ_VRAM_BACK) and waits. The GPU's own use of VRAM is
 * the host's business.
 *
 * vram_lock keeps what the host is told in order: it is held over the whole of an answer, and over
 * the whole of a request until vram_away says what came of it. The host answers a request at once
 * while it waits for our answer, so neither waits for the other.
 */
#include "hsv.h"

static int vram_tell(struct hsv_device *hdev, u32 type, bool killable)
{
	struct hsv_call *call = hsv_call_new(hdev, NULL, 0, 0);
	int err;

	if (!call)
		return -ENOMEM;
	err = hsv_call_send(call, type, 0, 0, 0, killable);
	hsv_call_put(call);
	return err;
}

static void vram_work(struct work_struct *work)
{
	struct hsv_device *hdev = container_of(work, struct hsv_device, vram_work);
	int idx;

	if (!drm_dev_enter(&hdev->drm, &idx))
		return;
	mutex_lock(&hdev->vram_lock);
	down_write(&hdev->vram_map);
	hdev->vram_away = true;
	up_write(&hdev->vram_map);
	/* Pages of programs can't be made to wait: they go to the system's memory, or VRAM stays. */
	if (!hsv_migrate_evict_all(hdev, false)) {
		down_write(&hdev->vram_map);
		hdev->vram_away = false;
		up_write(&hdev->vram_map);
		goto unlock;
	}
	/*
	 * All buffers, and doorbells: what isn't VRAM just faults again. What programs map of
	 * /dev/kfd otherwise, which can't be had again by a fault, has offsets beyond these.
	 */
	unmap_mapping_range(hdev->drm.anon_inode->i_mapping,
			    (loff_t)DRM_FILE_PAGE_OFFSET_START << PAGE_SHIFT,
			    (loff_t)DRM_FILE_PAGE_OFFSET_SIZE << PAGE_SHIFT, 1);
	/* If that can't be told, the host keeps the VRAM where it is. */
	vram_tell(hdev, HSV_REQ_VRAM_AWAY, false);
unlock:
	mutex_unlock(&hdev->vram_lock);
	drm_dev_exit(idx);
}

void hsv_vram_init(struct hsv_device *hdev)
{
	mutex_init(&hdev->vram_lock);
	init_rwsem(&hdev->vram_map);
	INIT_WORK(&hdev->vram_work, vram_work);
}

/* The host asks for it. */
void hsv_vram_ask(struct hsv_device *hdev)
{
	queue_work(hsv_wq, &hdev->vram_work);
}

/*
 * VRAM is here, and stays until hsv_vram_end(). False: it can't be had, or current was killed. For
 * page faults, within drm_dev_enter().
 */
bool hsv_vram_begin(struct hsv_device *hdev)
{
	int err;

	for (;;) {
		down_read(&hdev->vram_map);
		if (!hdev->vram_away)
			return true;
		up_read(&hdev->vram_map);

		if (mutex_lock_killable(&hdev->vram_lock))
			return false;
		err = hdev->vram_away ? vram_tell(hdev, HSV_REQ_VRAM_BACK, true) : 0;
		if (!err) {
			down_write(&hdev->vram_map);
			hdev->vram_away = false;
			up_write(&hdev->vram_map);
		}
		mutex_unlock(&hdev->vram_lock);
		if (err)
			return false;
	}
}

void hsv_vram_end(struct hsv_device *hdev)
{
	up_read(&hdev->vram_map);
}
