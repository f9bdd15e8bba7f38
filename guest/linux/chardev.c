// SPDX-License-Identifier: GPL-2.0
/*
 * chardev.c - /dev/kfd: which ioctls there are, and how their structs and arrays travel.
 *
 * Everything known about an ioctl is a row of <abi/kfd_ioctls.h>. A row without a handler here is
 * forwarded to the host as it is. Structs are taken as amdkfd takes them: by number, copied up to
 * the size the caller knows, the rest zero, and copied back even on errors.
 *
 * The node has mode 0666, as udev's rule for KFD (70-uaccess, or ROCm's own) would give it: who may
 * use the GPU is decided by who may have a VM with one, and every process in it is isolated by its
 * own GPU page table.
 */
#include <linux/cdev.h>
#include <linux/compat.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "hsv.h"

/* Most elements of an array that a program may send or ask for. */
#define MAX_ARRAY_SIZE (64 * 1024)

static int kfd_major;
static struct class *kfd_class;

/* ---- the table ---- */

enum array_dir { NONE, IN, OUT, INOUT, TAIL };

struct kfd_row {
	const char *name;
	u16 size; /* of the struct */
	enum array_dir dir;
	u16 pointer, count; /* offsets in the struct; count is a u32 */
	u16 elem;	    /* bytes of an element */
};

#define ARRAY_NONE(struct_, pointer_, count_, elem_)
#define ARRAY_IN(struct_, pointer_, count_, elem_)                                                 \
	.dir = IN, .pointer = offsetof(struct struct_, pointer_),                                  \
	.count = offsetof(struct struct_, count_), .elem = (elem_)
#define ARRAY_OUT(struct_, pointer_, count_, elem_)                                                \
	.dir = OUT, .pointer = offsetof(struct struct_, pointer_),                                 \
	.count = offsetof(struct struct_, count_), .elem = (elem_)
#define ARRAY_INOUT(struct_, pointer_, count_, elem_)                                              \
	.dir = INOUT, .pointer = offsetof(struct struct_, pointer_),                               \
	.count = offsetof(struct struct_, count_), .elem = (elem_)
#define ARRAY_TAIL(struct_, pointer_, count_, elem_)                                               \
	.dir = TAIL, .count = offsetof(struct struct_, count_), .elem = (elem_)

static const struct kfd_row rows[] = {
#define HSV_KFD_IOCTL(name_, struct_, where_, pointer_, count_, elem_, dir_)                       \
	[_IOC_NR(AMDKFD_IOC_##name_)] = {.name = #name_,                                           \
					 .size = sizeof(struct struct_),                           \
					 ARRAY_##dir_(struct_, pointer_, count_, elem_)},
#include <abi/kfd_ioctls.h>
#undef HSV_KFD_IOCTL
};

#define HSV_KFD_IOCTL(name_, struct_, where_, pointer_, count_, elem_, dir_)                       \
	static_assert(sizeof(struct struct_) <= HSV_MAX_ARGS);
#include <abi/kfd_ioctls.h>
#undef HSV_KFD_IOCTL

static long get_clock_counters(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_get_clock_counters_args *args = data;
	long err = hsv_kfd_forward(process, _IOC_NR(AMDKFD_IOC_GET_CLOCK_COUNTERS), args);

	/* The host's clocks aren't the guest's. */
	args->cpu_clock_counter = ktime_get_raw_ns();
	args->system_clock_counter = ktime_get_boottime_ns();
	args->system_clock_freq = NSEC_PER_SEC;
	return err;
}

static long (*const handlers[])(struct hsv_process *process, void *args) = {
	[_IOC_NR(AMDKFD_IOC_CREATE_EVENT)] = hsv_ioctl_create_event,
	[_IOC_NR(AMDKFD_IOC_DESTROY_EVENT)] = hsv_ioctl_destroy_event,
	[_IOC_NR(AMDKFD_IOC_SET_EVENT)] = hsv_ioctl_set_event,
	[_IOC_NR(AMDKFD_IOC_RESET_EVENT)] = hsv_ioctl_reset_event,
	[_IOC_NR(AMDKFD_IOC_WAIT_EVENTS)] = hsv_ioctl_wait_events,
	[_IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU)] = hsv_ioctl_alloc,
	[_IOC_NR(AMDKFD_IOC_FREE_MEMORY_OF_GPU)] = hsv_ioctl_free,
	[_IOC_NR(AMDKFD_IOC_ACQUIRE_VM)] = hsv_ioctl_acquire_vm,
	[_IOC_NR(AMDKFD_IOC_EXPORT_DMABUF)] = hsv_ioctl_export_dmabuf,
	[_IOC_NR(AMDKFD_IOC_GET_DMABUF_INFO)] = hsv_ioctl_get_dmabuf_info,
	[_IOC_NR(AMDKFD_IOC_IMPORT_DMABUF)] = hsv_ioctl_import_dmabuf,
	[_IOC_NR(AMDKFD_IOC_IPC_IMPORT_HANDLE)] = hsv_ioctl_ipc_import,
	[_IOC_NR(AMDKFD_IOC_GET_CLOCK_COUNTERS)] = get_clock_counters,
	[_IOC_NR(AMDKFD_IOC_SMI_EVENTS)] = hsv_ioctl_smi_events,
	[_IOC_NR(AMDKFD_IOC_SET_XNACK_MODE)] = hsv_ioctl_set_xnack_mode,
};

/* ---- forwarding ---- */

/* Bytes of the array that args speak of; -ENOMEM if that's more than a program may send. */
static long array_bytes(const struct kfd_row *row, unsigned int nr, const void *args)
{
	u64 n;

	if (row->dir == NONE)
		return 0;
	n = *(const u32 *)(args + row->count);
	if (nr == _IOC_NR(AMDKFD_IOC_SET_CU_MASK)) {
		/* Counted in bits, in whole words. */
		if (n % 32)
			return -EINVAL;
		n /= 8;
	}
	n *= row->elem;
	return n <= MAX_ARRAY_SIZE ? (long)n : -ENOMEM;
}

/* Sends an ioctl's struct, and its array if it has one, to the host; args are as it answers. */
long hsv_kfd_forward(struct hsv_process *process, unsigned int nr, void *args)
{
	const struct kfd_row *row = &rows[nr];
	long size = array_bytes(row, nr, args), err;
	bool in = row->dir == IN || row->dir == INOUT, out = row->dir == OUT || row->dir == INOUT;
	struct hsv_call *call;
	void __user *array;

	if (size < 0)
		return size;
	array = row->dir == NONE ? NULL : u64_to_user_ptr(*(u64 *)(args + row->pointer));
	call = hsv_call_new(process->hdev, process, in ? size : 0, out ? size : 0);
	if (!call)
		return -ENOMEM;
	err = -EFAULT;
	if (in && size && copy_from_user(call->in, array, size))
		goto put;
	memcpy(call->args, args, row->size);
	err = hsv_call_send(call, HSV_REQ_KFD_IOCTL, nr, row->size, in ? size : 0, true);
	if (err != -EINTR && err != -ENODEV) {
		u64 pointer = row->dir == NONE ? 0 : *(u64 *)(args + row->pointer);

		memcpy(args, call->args, row->size);
		/* Whatever the host made of it, the program's pointer stays the program's. */
		if (row->dir != NONE)
			*(u64 *)(args + row->pointer) = pointer;
	}
	if (!err && out && call->out_size && copy_to_user(array, call->out, call->out_size))
		err = -EFAULT;
put:
	hsv_call_put(call);
	return err;
}

/* ---- file operations ---- */

static int kfd_open(struct inode *inode, struct file *filp)
{
	struct hsv_process *process;
	struct hsv_device *hdev;
	int err;

	if (iminor(inode))
		return -ENODEV;
	if (in_compat_syscall())
		return -EPERM;
	hdev = hsv_device_get();
	if (!hdev)
		return -ENODEV;
	err = hsv_process_open(hdev, &process);
	if (!err) {
		filp->private_data = process;
		/* Mappings are in the device's address space, see mmap.c. */
		filp->f_mapping = hdev->drm.anon_inode->i_mapping;
	}
	/* The process has its own reference. */
	hsv_device_put(hdev);
	return err;
}

static int kfd_release(struct inode *inode, struct file *filp)
{
	hsv_process_put(filp->private_data);
	return 0;
}

static long kfd_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct hsv_process *process = filp->private_data;
	unsigned int nr = _IOC_NR(cmd), size = _IOC_SIZE(cmd);
	void __user *user = (void __user *)arg;
	u64 args[HSV_MAX_ARGS / sizeof(u64)] = {};
	const struct kfd_row *row;
	u32 known;
	long err;

	if (nr >= ARRAY_SIZE(rows) || !rows[nr].name || _IOC_TYPE(cmd) != AMDKFD_IOCTL_BASE)
		return -ENOTTY;
	row = &rows[nr];
	if (!hsv_process_is_current(process))
		return -EBADF;
	if (READ_ONCE(process->hdev->gone))
		return -ENODEV;
	if (READ_ONCE(process->dying))
		return -ESRCH;
	known = min_t(u32, size, row->size);
	if ((cmd & IOC_IN) && copy_from_user(args, user, known))
		return -EFAULT;

	if (row->dir == TAIL) {
		/* The array must be within what the number's size says. */
		err = array_bytes(row, nr, args);
		if (err >= 0)
			err = size >= row->size && err <= size - row->size
				      ? hsv_ioctl_svm(process, args, user + row->size)
				      : -EINVAL;
	} else if (nr < ARRAY_SIZE(handlers) && handlers[nr]) {
		err = handlers[nr](process, args);
	} else {
		err = hsv_kfd_forward(process, nr, args);
	}
	/* A device that is removed ends its processes: for who was inside then it is the device that is gone. */
	if (err == -ESRCH && READ_ONCE(process->hdev->gone))
		err = -ENODEV;
	if ((cmd & IOC_OUT) && copy_to_user(user, args, known))
		err = -EFAULT;
	return err;
}

static int kfd_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct hsv_process *process = filp->private_data;

	if (!hsv_process_is_current(process))
		return -EBADF;
	if (READ_ONCE(process->hdev->gone))
		return -ENODEV;
	return hsv_kfd_mmap(process, vma);
}

static const struct file_operations kfd_fops = {
	.owner = THIS_MODULE,
	.open = kfd_open,
	.release = kfd_release,
	.unlocked_ioctl = kfd_ioctl,
	.mmap = kfd_mmap,
	.llseek = noop_llseek,
};

/* ---- the node ---- */

static char *kfd_devnode(const struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0666;
	return NULL;
}

int hsv_chardev_init(void)
{
	int err;

	kfd_major = register_chrdev(0, "kfd", &kfd_fops);
	if (kfd_major < 0)
		return kfd_major;
	kfd_class = class_create("kfd");
	if (IS_ERR(kfd_class)) {
		err = PTR_ERR(kfd_class);
		unregister_chrdev(kfd_major, "kfd");
		return err;
	}
	kfd_class->devnode = kfd_devnode;
	return 0;
}

void hsv_chardev_exit(void)
{
	class_destroy(kfd_class);
	unregister_chrdev(kfd_major, "kfd");
}

int hsv_chardev_add(struct hsv_device *hdev)
{
	struct device *dev = device_create(kfd_class, NULL, MKDEV(kfd_major, 0), hdev, "kfd");

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	hdev->kfd_dev = dev;
	return 0;
}

void hsv_chardev_remove(struct hsv_device *hdev)
{
	device_destroy(kfd_class, MKDEV(kfd_major, 0));
	hdev->kfd_dev = NULL;
}
