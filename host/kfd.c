// SPDX-License-Identifier: MIT
/*
 * kfd.c - ioctls of /dev/kfd: copied in, marshalled by abi/kfd_ioctls.h, handed to the core or to
 * core/events.h, copied out.
 *
 * As the kernel does: the number alone tells the ioctl, structs shorter or longer than ours are
 * fine, what is copied out goes out even when the call fails. A bad pointer is EFAULT: the copies
 * are made by the kernel (process_vm_readv on ourselves).
 */
#define LOG_PART "host"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/hsavisor.h"
#include "base/log.h"
#include "host/front.h"

enum dir { DIR_NONE, DIR_IN, DIR_OUT, DIR_INOUT, DIR_TAIL };
enum where { WHERE_CORE, WHERE_FRONT };

static const struct row {
	const char *name;
	size_t args_size;
	enum where where;
	enum dir dir;
	size_t pointer, count, elem; /* offsets of the members */
} table[] = {
#define AT(type, member)			offsetof(struct type, member)
#define ARRAY_NONE(type, pointer, count, elem)	0, 0, 0
#define ARRAY_TAIL(type, pointer, count, elem)	0, AT(type, count), elem
#define ARRAY_IN(type, pointer, count, elem)	AT(type, pointer), AT(type, count), elem
#define ARRAY_OUT(type, pointer, count, elem)	AT(type, pointer), AT(type, count), elem
#define ARRAY_INOUT(type, pointer, count, elem) AT(type, pointer), AT(type, count), elem
#define HSV_KFD_IOCTL(name, type, where, pointer, count, elem, dir)                                \
	[_IOC_NR(AMDKFD_IOC_##name)] = {#name, sizeof(struct type), WHERE_##where, DIR_##dir,      \
					ARRAY_##dir(type, pointer, count, elem)},
#include "abi/kfd_ioctls.h"
#undef HSV_KFD_IOCTL
};

static int copy(bool in, void *ours, void *theirs, size_t size)
{
	struct iovec local = {ours, size}, remote = {theirs, size};
	ssize_t n;

	if (!size)
		return 0;
	n = in ? process_vm_readv(getpid(), &local, 1, &remote, 1, 0)
	       : process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	if (n == (ssize_t)size)
		return 0;
	if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
		/* Forbidden here (a sandbox): a wild pointer is then the program's fault in both
		 * senses. */
		memcpy(in ? ours : theirs, in ? theirs : ours, size);
		return 0;
	}
	return -EFAULT;
}

int copy_from_program(void *to, const void *from, size_t size)
{
	return copy(true, to, (void *)(uintptr_t)from, size);
}

int copy_to_program(void *to, const void *from, size_t size)
{
	return copy(false, (void *)(uintptr_t)from, to, size);
}

/* ------------------------------------------------------------------ events */

/* The events page: a buffer the program gives, or one of ours that it can mmap (as amdkfd's). */
static int set_events_page(uint64_t handle)
{
	const size_t size = KFD_SIGNAL_EVENT_LIMIT * sizeof(uint64_t);
	uint64_t *page;
	int err;

	if (handle) {
		page = memory_address(handle, size);
		if (!page)
			return -EINVAL;
		err = kfd_events_set_page(front.events, page);
		if (!err)
			front.events_handle = handle;
		return err;
	}
	if (front.events_handle || front.own_events_page)
		return 0;
	front.events_fd = memfd_create("hsavisor-events", MFD_CLOEXEC);
	if (front.events_fd < 0 || ftruncate(front.events_fd, (off_t)size) < 0)
		return -ENOMEM;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, front.events_fd, 0);
	if (page == MAP_FAILED)
		return -ENOMEM;
	madvise(page, size, MADV_DONTFORK);
	front.own_events_page = page;
	return kfd_events_set_page(front.events, page);
}

static int create_event(struct kfd_ioctl_create_event_args *args)
{
	bool signal = args->event_type == KFD_IOC_EVENT_SIGNAL ||
		      args->event_type == KFD_IOC_EVENT_DEBUG_EVENT;
	int err = 0;

	if (args->event_page_offset || signal)
		err = set_events_page(args->event_page_offset);
	return err ? err : kfd_events_create(front.events, args);
}

static int wait_events(struct kfd_ioctl_wait_events_args *args)
{
	struct kfd_event_data *data;
	size_t size;
	int err;

	if (args->num_events > 65536)
		return -ENOMEM;
	size = args->num_events * sizeof(*data);
	data = malloc(size ? size : 1);
	if (!data)
		return -ENOMEM;
	err = copy_from_program(data, (void *)(uintptr_t)args->events_ptr, size);
	if (!err)
		err = kfd_events_wait(front.events, data, args->num_events, args->wait_for_all != 0,
				      &args->timeout, &args->wait_result);
	if (!err && args->wait_result == KFD_IOC_WAIT_RESULT_COMPLETE)
		err = copy_to_program((void *)(uintptr_t)args->events_ptr, data, size);
	free(data);
	return err;
}

/* Not under front.lock, but for creating: events have their own lock, and waiting takes long. */
static int front_ioctl(uint32_t nr, void *args)
{
	int err;

	switch (nr) {
	case _IOC_NR(AMDKFD_IOC_CREATE_EVENT):
		pthread_mutex_lock(&front.lock);
		err = front.process ? create_event(args) : -ENODEV;
		pthread_mutex_unlock(&front.lock);
		return err;
	case _IOC_NR(AMDKFD_IOC_DESTROY_EVENT):
		return kfd_events_destroy(front.events,
					  ((struct kfd_ioctl_destroy_event_args *)args)->event_id);
	case _IOC_NR(AMDKFD_IOC_SET_EVENT):
		return kfd_events_set(front.events,
				      ((struct kfd_ioctl_set_event_args *)args)->event_id);
	case _IOC_NR(AMDKFD_IOC_RESET_EVENT):
		return kfd_events_reset(front.events,
					((struct kfd_ioctl_reset_event_args *)args)->event_id);
	case _IOC_NR(AMDKFD_IOC_WAIT_EVENTS):
		return wait_events(args);
	case _IOC_NR(AMDKFD_IOC_SMI_EVENTS):
		return smi_open(args);
	case _IOC_NR(AMDKFD_IOC_GET_DMABUF_INFO):
		return share_info(args);
	}
	return -ENOTTY;
}

/* ------------------------------------------------------------------ the core's */

static int acquire_vm(struct kfd_request *request)
{
	struct kfd_ioctl_acquire_vm_args *args = request->args;
	uint32_t gpu = front_gpu_index(args->gpu_id);
	struct file *file;
	bool stale;
	int err;

	file = files_get(args->drm_fd > INT32_MAX ? -1 : (int)args->drm_fd, &stale);
	if (!file)
		return -EINVAL;
	if (file->kind != FILE_RENDER || stale || file->gpu != gpu) {
		files_put(file);
		return -EINVAL;
	}
	args->drm_fd = file->id;
	files_put(file);
	err = kfd_process_ioctl(front.process, request);
	if (!err)
		front.gpus[gpu].acquired = true;
	return err;
}

/*
 * After the end (front_exit()) destructors of libraries still give back what they have, and abort
 * when that fails (ROCr does, for rocBLAS and rocRAND): all of it is back already.
 */
static int after_end(struct kfd_request *request)
{
	struct kfd_ioctl_unmap_memory_from_gpu_args *unmap = request->args;

	if (!front.ended || front.pid != getpid())
		return -ENODEV;
	switch (request->nr) {
	case _IOC_NR(AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU):
		unmap->n_success = unmap->n_devices;
		return 0;
	case _IOC_NR(AMDKFD_IOC_FREE_MEMORY_OF_GPU):
	case _IOC_NR(AMDKFD_IOC_DESTROY_QUEUE):
		return 0;
	}
	return -ENODEV;
}

/* The thread that answers page requests is there before there are any. */
static int set_xnack(struct kfd_request *request)
{
	struct kfd_ioctl_set_xnack_mode_args *args = request->args;
	int mode = args->xnack_enabled, err;

	err = kfd_process_ioctl(front.process, request);
	if (err || mode < 0)
		return err;
	if (!mode) {
		pages_stop();
		return 0;
	}
	err = pages_start(front.process);
	if (err) {
		args->xnack_enabled = 0;
		kfd_process_ioctl(front.process, request);
	}
	return err;
}

/* front.lock held */
static int core_ioctl(struct kfd_request *request)
{
	int err;

	if (!front.process)
		return after_end(request);
	switch (request->nr) {
	case _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU):
		err = memory_alloc(request->args);
		break;
	case _IOC_NR(AMDKFD_IOC_FREE_MEMORY_OF_GPU):
		err = memory_free(request->args);
		break;
	case _IOC_NR(AMDKFD_IOC_CREATE_QUEUE):
	case _IOC_NR(AMDKFD_IOC_DESTROY_QUEUE):
		err = kfd_process_ioctl(front.process, request);
		break;
	case _IOC_NR(AMDKFD_IOC_ACQUIRE_VM):
		return acquire_vm(request);
	case _IOC_NR(AMDKFD_IOC_SVM):
		return memory_svm(request);
	case _IOC_NR(AMDKFD_IOC_SET_XNACK_MODE):
		return set_xnack(request);
	case _IOC_NR(AMDKFD_IOC_EXPORT_DMABUF):
		return share_export_dmabuf(request->args);
	case _IOC_NR(AMDKFD_IOC_IMPORT_DMABUF):
		return share_import_dmabuf(request->args);
	case _IOC_NR(AMDKFD_IOC_IPC_EXPORT_HANDLE):
		return share_export_ipc(request->args);
	case _IOC_NR(AMDKFD_IOC_IPC_IMPORT_HANDLE):
		return share_import_ipc(request->args);
	default:
		return kfd_process_ioctl(front.process, request);
	}
	front_publish();
	return err;
}

static int array_size(const struct row *row, uint32_t nr, const void *args, size_t *size)
{
	uint32_t count;

	memcpy(&count, (const uint8_t *)args + row->count, sizeof(count));
	if (nr == _IOC_NR(AMDKFD_IOC_SET_CU_MASK)) {
		if (count > 1024)
			count = 1024;
		*size = count / 8;
		return 0;
	}
	*size = (size_t)count * row->elem;
	if (row->dir == DIR_OUT && *size > HSV_MAX_ARRAY)
		*size = HSV_MAX_ARRAY / row->elem * row->elem;
	return *size > HSV_MAX_ARRAY ? -EINVAL : 0;
}

static int run(const struct row *row, uint32_t nr, uint8_t *args, size_t user_size, void *arg)
{
	struct kfd_request request = {.nr = nr, .args = args, .args_size = user_size};
	void *pointer = NULL, *array = NULL;
	size_t size = 0;
	int err;

	if (row->where == WHERE_FRONT)
		return front_ioctl(nr, args);
	if (row->dir != DIR_NONE) {
		err = array_size(row, nr, args, &size);
		if (err)
			return err;
		if (row->dir == DIR_TAIL) {
			if (user_size < row->args_size || size > user_size - row->args_size)
				return -EINVAL;
			pointer = (uint8_t *)arg + row->args_size;
		} else {
			uint64_t value;

			memcpy(&value, args + row->pointer, sizeof(value));
			pointer = (void *)(uintptr_t)value;
		}
		array = calloc(1, size ? size : 1);
		if (!array)
			return -ENOMEM;
		if (row->dir != DIR_OUT) {
			err = copy_from_program(array, pointer, size);
			if (err)
				goto out;
			request.in = array;
			request.in_size = size;
		}
		if (row->dir != DIR_IN) {
			request.out = array;
			request.out_capacity = size;
		}
	}
	pthread_mutex_lock(&front.lock);
	err = core_ioctl(&request);
	pthread_mutex_unlock(&front.lock);
	if (!err && request.out_size)
		err = copy_to_program(pointer, array, request.out_size);
out:
	free(array);
	return err;
}

int kfd_ioctl(struct file *file, unsigned long request, void *arg)
{
	uint32_t nr = _IOC_NR(request);
	size_t user_size = _IOC_SIZE(request), copied;
	/* The core wants the whole of its struct there, zeroes where the program had none. */
	_Alignas(8) uint8_t args[HSV_MAX_ARGS] = {0};
	const struct row *row;
	int err, err2;

	if (_IOC_TYPE(request) != AMDKFD_IOCTL_BASE || nr >= sizeof(table) / sizeof(table[0]) ||
	    !table[nr].name) {
		log_info("ioctl 0x%lx is not served", request);
		return -ENOTTY;
	}
	row = &table[nr];
	copied = user_size < sizeof(args) ? user_size : sizeof(args);
	if (row->dir == DIR_TAIL && copied > row->args_size)
		copied = row->args_size;
	err = copy_from_program(args, arg, copied);
	if (err)
		return err;
	err = run(row, nr, args, user_size, arg);
	log_debug("%s = %d", row->name, err);
	err2 = _IOC_DIR(request) & _IOC_READ ? copy_to_program(arg, args, copied) : 0;
	return err ? err : err2;
}
