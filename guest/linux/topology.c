// SPDX-License-Identifier: GPL-2.0
/*
 * topology.c - /sys/devices/virtual/kfd/kfd/topology.
 *
 * The host describes the topology as files (path and content), so that all the knowledge about
 * nodes, caches and links is in one place, its core. Here they become kobjects (directories) and
 * attributes (files), once, when the device is bound.
 */
#include <linux/cpumask.h>
#include <linux/ctype.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "hsv.h"

/* What is asked for first, and what is the most. */
#define FIRST_SIZE (64 * 1024)
#define LAST_SIZE  (512 * 1024)
#define MAX_PATH   256

struct topology_dir {
	struct list_head link; /* hdev->topology, parents before children */
	struct kobject *kobj;
	char *path; /* below topology, "" for itself */
	struct list_head files;
};

struct topology_file {
	struct list_head link;
	struct kobj_attribute attr;
	u32 size;
	char *content;
	char name[];
};

static ssize_t file_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct topology_file *file = container_of(attr, struct topology_file, attr);

	memcpy(buf, file->content, file->size);
	return file->size;
}

static struct topology_dir *dir_find(struct hsv_device *hdev, const char *path, size_t size)
{
	struct topology_dir *dir;

	list_for_each_entry(dir, &hdev->topology, link)
	{
		if (strlen(dir->path) == size && !memcmp(dir->path, path, size))
			return dir;
	}
	return NULL;
}

static struct topology_dir *dir_add(struct hsv_device *hdev, struct kobject *parent,
				    const char *path, size_t size, const char *name)
{
	struct topology_dir *dir = kzalloc(sizeof(*dir), GFP_KERNEL);

	if (!dir)
		return NULL;
	INIT_LIST_HEAD(&dir->files);
	dir->path = kmemdup_nul(path, size, GFP_KERNEL);
	if (dir->path)
		dir->kobj = kobject_create_and_add(name, parent);
	if (!dir->kobj) {
		kfree(dir->path);
		kfree(dir);
		return NULL;
	}
	list_add_tail(&dir->link, &hdev->topology);
	return dir;
}

/* The directory of that path, made with its parents if needed. */
static struct topology_dir *dir_get(struct hsv_device *hdev, const char *path, size_t size)
{
	struct topology_dir *dir = dir_find(hdev, "", 0), *next;
	size_t start = 0, end;
	char name[MAX_PATH];

	while (start < size && dir) {
		for (end = start; end < size && path[end] != '/'; end++)
			;
		next = dir_find(hdev, path, end);
		if (!next) {
			strscpy(name, path + start, end - start + 1);
			next = dir_add(hdev, dir->kobj, path, end, name);
		}
		dir = next;
		start = end + 1;
	}
	return dir;
}

static int file_add(struct hsv_device *hdev, const char *path, size_t path_size,
		    const char *content, u32 size)
{
	size_t slash = path_size, name_size;
	struct topology_file *file;
	struct topology_dir *dir;
	int err;

	while (slash && path[slash - 1] != '/')
		slash--;
	name_size = path_size - slash;
	dir = dir_get(hdev, path, slash ? slash - 1 : 0);
	if (!dir)
		return -ENOMEM;
	file = kzalloc(struct_size(file, name, name_size + 1), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	memcpy(file->name, path + slash, name_size);
	file->size = size;
	file->content = kmemdup(content, size, GFP_KERNEL);
	if (!file->content) {
		kfree(file);
		return -ENOMEM;
	}
	sysfs_attr_init(&file->attr.attr);
	file->attr.attr.name = file->name;
	file->attr.attr.mode = 0444;
	file->attr.show = file_show;
	err = sysfs_create_file(dir->kobj, &file->attr.attr);
	if (err) {
		kfree(file->content);
		kfree(file);
		return err;
	}
	list_add_tail(&file->link, &dir->files);
	return 0;
}

/* A path of plain components: no empty ones, none that begins with a dot. */
static bool path_ok(const char *path, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if ((!i || path[i - 1] == '/') && (path[i] == '/' || path[i] == '.'))
			return false;
		if (!isprint(path[i]))
			return false;
	}
	return size && size < MAX_PATH && path[size - 1] != '/';
}

static int records_parse(struct hsv_device *hdev, const u8 *p, size_t left)
{
	struct hsv_topology_file record;
	u32 path_size, content_size;
	size_t need;
	int err;

	while (left) {
		if (left < sizeof(record))
			return -EIO;
		memcpy(&record, p, sizeof(record));
		path_size = le16_to_cpu(record.path_size);
		content_size = le32_to_cpu(record.content_size);
		if (content_size > PAGE_SIZE)
			return -EIO;
		need = sizeof(record) + path_size + content_size;
		if (need > left || !path_ok(p + sizeof(record), path_size))
			return -EIO;
		err = file_add(hdev, p + sizeof(record), path_size, p + sizeof(record) + path_size,
			       content_size);
		if (err)
			return err;
		need = min(ALIGN(need, 4), left);
		p += need;
		left -= need;
	}
	return 0;
}

/* Asks the host for the records. */
static struct hsv_call *records_get(struct hsv_device *hdev)
{
	struct hsv_topology_args args = {
		.cpus = cpu_to_le32(num_online_cpus()),
		.memory = cpu_to_le64((u64)totalram_pages() << PAGE_SHIFT),
	};
	struct hsv_call *call;
	u32 size, i;
	int err;

	for (i = 0; i < hdev->num_gpus; i++)
		args.render_minors[i] = cpu_to_le32(hdev->gpus[i].drm->render->index);
	for (size = FIRST_SIZE;; size *= 2) {
		call = hsv_call_new(hdev, NULL, 0, size);
		if (!call)
			return ERR_PTR(-ENOMEM);
		memcpy(call->args, &args, sizeof(args));
		err = hsv_call_send(call, HSV_REQ_TOPOLOGY, 0, sizeof(args), 0, false);
		if (!err)
			return call;
		hsv_call_put(call);
		if (err != -ENOSPC || size >= LAST_SIZE)
			return ERR_PTR(err);
	}
}

int hsv_topology_add(struct hsv_device *hdev)
{
	struct hsv_call *call = records_get(hdev);
	int err;

	if (IS_ERR(call)) {
		drm_err(&hdev->drm, "the host gives no topology (%ld)\n", PTR_ERR(call));
		return PTR_ERR(call);
	}
	err = dir_add(hdev, &hdev->kfd_dev->kobj, "", 0, "topology")
		      ? records_parse(hdev, call->out, call->out_size)
		      : -ENOMEM;
	if (err) {
		drm_err(&hdev->drm, "the host's topology is bad (%d)\n", err);
		hsv_topology_remove(hdev);
	}
	hsv_call_put(call);
	return err;
}

void hsv_topology_remove(struct hsv_device *hdev)
{
	struct topology_file *file, *next_file;
	struct topology_dir *dir, *next;

	/*
	 * Children before parents: what kobject_del() finds below a directory it would remove
	 * itself.
	 */
	list_for_each_entry_safe_reverse(dir, next, &hdev->topology, link)
	{
		kobject_del(dir->kobj);
		kobject_put(dir->kobj);
		list_for_each_entry_safe(file, next_file, &dir->files, link)
		{
			kfree(file->content);
			kfree(file);
		}
		list_del(&dir->link);
		kfree(dir->path);
		kfree(dir);
	}
}
