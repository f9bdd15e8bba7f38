// SPDX-License-Identifier: GPL-2.0
/*
 * alias.c - /sys/module/amdgpu: initstate and two parameters.
 *
 * rocminfo looks at initstate for "live" before it asks for GPUs; AMD's tests look at the parameters: cwsr_enable, whether running waves can be taken off the GPU
 * and put back (they can), emu_mode, whether to wait longer (no). A module of that name on disk would
 * shadow the real amdgpu of a guest that has an AMD GPU passed through, so no such module exists:
 * while the device is bound the directory is made by this driver, unless the real amdgpu is there.
 * The real one can't be loaded while the directory is ours; a guest with both loads it first, or
 * sets amdgpu_alias=0.
 */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "hsv.h"

static bool amdgpu_alias = true;
module_param(amdgpu_alias, bool, 0444);
MODULE_PARM_DESC(amdgpu_alias, "Show /sys/module/amdgpu, which rocminfo looks for (default: yes)");

static ssize_t initstate_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "live\n");
}

static struct kobj_attribute initstate = __ATTR_RO(initstate);

static ssize_t cwsr_enable_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "1\n");
}

static ssize_t emu_mode_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "0\n");
}

static struct kobj_attribute cwsr_enable = __ATTR_RO(cwsr_enable);
static struct kobj_attribute emu_mode = __ATTR_RO(emu_mode);

static struct attribute *parameters[] = {
	&cwsr_enable.attr,
	&emu_mode.attr,
	NULL,
};

static const struct attribute_group parameters_group = {
	.name = "parameters",
	.attrs = parameters,
};

static void alias_release(struct kobject *kobj)
{
	kfree(kobj);
}

static const struct kobj_type alias_type = {
	.release = alias_release,
	.sysfs_ops = &kobj_sysfs_ops,
};

void hsv_alias_add(struct hsv_device *hdev)
{
	struct kset *modules = THIS_MODULE->mkobj.kobj.kset;
	struct kobject *kobj;

	if (!amdgpu_alias)
		return;
	kobj = kset_find_obj(modules, "amdgpu");
	if (kobj) {
		kobject_put(kobj);
		return;
	}
	kobj = kzalloc(sizeof(*kobj), GFP_KERNEL);
	if (kobj) {
		/* In the set of modules, so that loading the real one finds it and says so. */
		kobj->kset = modules;
		if (kobject_init_and_add(kobj, &alias_type, NULL, "amdgpu") ||
		    sysfs_create_file(kobj, &initstate.attr) || sysfs_create_group(kobj, &parameters_group)) {
			kobject_put(kobj);
			kobj = NULL;
		}
	}
	if (!kobj)
		drm_warn(&hdev->drm, "no /sys/module/amdgpu: rocminfo won't find the GPU\n");
	hdev->alias = kobj;
}

void hsv_alias_remove(struct hsv_device *hdev)
{
	if (!hdev->alias)
		return;
	kobject_del(hdev->alias);
	kobject_put(hdev->alias);
	hdev->alias = NULL;
}
