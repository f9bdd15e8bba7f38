// SPDX-License-Identifier: GPL-2.0
/*
 * drm.c - the render nodes, one of each GPU: what libdrm_amdgpu needs of an amdgpu device, and mappings of buffers.
 *
 * It calls itself amdgpu 3.57, whose DRM_AMDGPU_INFO the host answers. Graphics' own ioctls
 * (buffers, contexts, submission) are not served: compute goes through /dev/kfd.
 *
 * The first GPU's DRM device is the device itself, on the virtio device. Each other GPU's belongs to a platform device below that: libdrm tells
 * devices apart by the directory that their nodes are in. It has a reference of the first one, and its files' mappings are in that one's address space.
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>
#include <uapi/drm/amdgpu_drm.h>

#include "hsv.h"

/* No answer is larger: the device's description has 448 bytes, firmware and RAS tables less. */
#define MAX_INFO 4096

static int ioctl_info(struct drm_device *drm, void *data, struct drm_file *filp)
{
	const struct hsv_gpu *gpu = to_gpu(drm);
	struct drm_amdgpu_info *info = data;
	struct hsv_call *call;
	int err;

	if (!info->return_size || !info->return_pointer)
		return -EINVAL;
	call = hsv_call_new(gpu->hdev, NULL, 0, min_t(u32, info->return_size, MAX_INFO));
	if (!call)
		return -ENOMEM;
	memcpy(call->args, info, sizeof(*info));
	err = hsv_call_send(call, HSV_REQ_DRM_INFO, gpu->index, sizeof(*info), 0, true);
	if (!err && copy_to_user(u64_to_user_ptr(info->return_pointer), call->out, call->out_size))
		err = -EFAULT;
	hsv_call_put(call);
	return err;
}

static const struct drm_ioctl_desc ioctls[] = {
	DRM_IOCTL_DEF_DRV(AMDGPU_INFO, ioctl_info, DRM_AUTH | DRM_RENDER_ALLOW),
};

static int node_open(struct inode *inode, struct file *filp)
{
	int err = drm_open(inode, filp);
	struct drm_file *file = filp->private_data;

	if (!err)
		filp->f_mapping = to_gpu(file->minor->dev)->hdev->drm.anon_inode->i_mapping;
	return err;
}

static const struct file_operations hsv_drm_fops = {
	.owner = THIS_MODULE,
	.open = node_open,
	.release = drm_release,
	.unlocked_ioctl = drm_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.mmap = hsv_drm_mmap,
	.llseek = noop_llseek,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

const struct drm_driver hsv_drm_driver = {
	.driver_features = DRIVER_RENDER,
	.fops = &hsv_drm_fops,
	.ioctls = ioctls,
	.num_ioctls = ARRAY_SIZE(ioctls),
	.name = "amdgpu",
	.desc = "hsavisor",
	HSV_DRM_DATE.major = 3,
	.minor = 57,
};

/* The open file of this GPU's render or primary node; NULL if it's something else. */
struct drm_file *hsv_drm_file(struct hsv_gpu *gpu, struct file *filp)
{
	struct drm_file *file;

	if (filp->f_op != &hsv_drm_fops)
		return NULL;
	file = filp->private_data;
	return to_gpu(file->minor->dev) == gpu ? file : NULL;
}

static void gpu_drm_released(struct drm_device *drm, void *hdev)
{
	hsv_device_put(hdev);
}

static int gpu_drm_add(struct hsv_gpu *gpu)
{
	struct hsv_device *hdev = gpu->hdev;
	struct drm_device *drm;
	int err;

	gpu->pdev = platform_device_register_resndata(&hdev->vdev->dev, "hsavisor-gpu", gpu->index, NULL, 0, NULL, 0);
	if (IS_ERR(gpu->pdev)) {
		err = PTR_ERR(gpu->pdev);
		gpu->pdev = NULL;
		return err;
	}
	drm = drm_dev_alloc(&hsv_drm_driver, &gpu->pdev->dev);
	if (IS_ERR(drm))
		return PTR_ERR(drm);
	drm->dev_private = gpu;
	drm_dev_get(&hdev->drm);
	err = drmm_add_action_or_reset(drm, gpu_drm_released, hdev);
	if (!err)
		err = drm_dev_register(drm, 0);
	if (err) {
		drm_dev_put(drm);
		return err;
	}
	gpu->drm = drm;
	return 0;
}

/* Makes the nodes. On errors hsv_drm_remove() is to be called. */
int hsv_drm_add(struct hsv_device *hdev)
{
	int err = drm_dev_register(&hdev->drm, 0);
	u32 i;

	if (!err)
		hdev->gpus[0].drm = &hdev->drm;
	for (i = 1; i < hdev->num_gpus && !err; i++)
		err = gpu_drm_add(&hdev->gpus[i]);
	return err;
}

/* Zaps all mappings, and waits for whoever is within drm_dev_enter(). */
void hsv_drm_remove(struct hsv_device *hdev)
{
	u32 i;

	for (i = 1; i < hdev->num_gpus; i++) {
		struct hsv_gpu *gpu = &hdev->gpus[i];

		if (gpu->drm) {
			drm_dev_unplug(gpu->drm);
			drm_dev_put(gpu->drm);
			gpu->drm = NULL;
		}
		if (gpu->pdev)
			platform_device_unregister(gpu->pdev);
		gpu->pdev = NULL;
	}
	if (hdev->gpus[0].drm)
		drm_dev_unplug(&hdev->drm);
	hdev->gpus[0].drm = NULL;
}
