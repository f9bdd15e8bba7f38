// SPDX-License-Identifier: GPL-2.0
/*
 * drm.c - the render node: what libdrm_amdgpu needs of an amdgpu device, and mappings of buffers.
 *
 * It calls itself amdgpu 3.57, whose DRM_AMDGPU_INFO the host answers. Graphics' own ioctls
 * (buffers, contexts, submission) are not served: compute goes through /dev/kfd.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_ioctl.h>
#include <uapi/drm/amdgpu_drm.h>

#include "hsv.h"

/* No answer is larger: the device's description has 448 bytes, firmware and RAS tables less. */
#define MAX_INFO 4096

static int ioctl_info(struct drm_device *drm, void *data, struct drm_file *filp)
{
	struct hsv_device *hdev = to_hsv(drm);
	struct drm_amdgpu_info *info = data;
	struct hsv_call *call;
	int err;

	if (!info->return_size || !info->return_pointer)
		return -EINVAL;
	call = hsv_call_new(hdev, NULL, 0, min_t(u32, info->return_size, MAX_INFO));
	if (!call)
		return -ENOMEM;
	memcpy(call->args, info, sizeof(*info));
	err = hsv_call_send(call, HSV_REQ_DRM_INFO, 0, sizeof(*info), 0, true);
	if (!err && copy_to_user(u64_to_user_ptr(info->return_pointer), call->out, call->out_size))
		err = -EFAULT;
	hsv_call_put(call);
	return err;
}

static const struct drm_ioctl_desc ioctls[] = {
	DRM_IOCTL_DEF_DRV(AMDGPU_INFO, ioctl_info, DRM_AUTH | DRM_RENDER_ALLOW),
};

static const struct file_operations hsv_drm_fops = {
	.owner = THIS_MODULE,
	.open = drm_open,
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

/* The open file of this device's render or primary node; NULL if it's something else. */
struct drm_file *hsv_drm_file(struct hsv_device *hdev, struct file *filp)
{
	struct drm_file *file;

	if (filp->f_op != &hsv_drm_fops)
		return NULL;
	file = filp->private_data;
	return file->minor->dev == &hdev->drm ? file : NULL;
}
