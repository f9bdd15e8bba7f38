// SPDX-License-Identifier: MIT
/*
 * render.c - ioctls of the DRM render node: what libdrm_amdgpu asks when it opens the device. Others: gem.c.
 */
#define LOG_PART "host"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <drm/drm.h>

#include "host/front.h"

#define MAX_ANSWER 4096

/* A string of DRM_IOCTL_VERSION: as much as fits; the length is always told. */
static int put_string(char *to, __kernel_size_t *len, const char *text)
{
	size_t n = *len < strlen(text) ? *len : strlen(text);
	int err = to && n ? copy_to_program(to, text, n) : 0;

	*len = strlen(text);
	return err;
}

static int version(void *arg)
{
	struct drm_version v;
	int err = copy_from_program(&v, arg, sizeof(v));

	if (err)
		return err;
	v.version_major = 3;
	v.version_minor = 57; /* amdgpu of Linux 6.12 */
	v.version_patchlevel = 0;
	err = put_string(v.name, &v.name_len, "amdgpu");
	if (!err)
		err = put_string(v.date, &v.date_len, "20150101");
	if (!err)
		err = put_string(v.desc, &v.desc_len, "AMD GPU");
	return err ? err : copy_to_program(arg, &v, sizeof(v));
}

static int info(uint32_t gpu, void *arg)
{
	struct drm_amdgpu_info args;
	uint8_t answer[MAX_ANSWER];
	size_t size = 0;
	int err = copy_from_program(&args, arg, sizeof(args));

	if (err)
		return err;
	if (!args.return_pointer)
		return -EINVAL;
	pthread_mutex_lock(&front.lock);
	err = front.process ? kfd_drm_info(front.device, gpu, &args, answer, sizeof(answer), &size)
			    : -ENODEV;
	pthread_mutex_unlock(&front.lock);
	if (err)
		return err;
	return copy_to_program((void *)(uintptr_t)args.return_pointer, answer, size);
}

int render_ioctl(struct file *file, unsigned long request, void *arg)
{
	if (_IOC_TYPE(request) != DRM_IOCTL_BASE)
		return -ENOTTY;
	switch (_IOC_NR(request)) {
	case _IOC_NR(DRM_IOCTL_VERSION):
		return version(arg);
	case DRM_COMMAND_BASE + DRM_AMDGPU_INFO:
		return info(file->gpu, arg);
	}
	return gem_ioctl(file, _IOC_NR(request), arg);
}
