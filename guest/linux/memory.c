// SPDX-License-Identifier: GPL-2.0
/*
 * memory.c - buffers: ALLOC_MEMORY_OF_GPU, FREE_MEMORY_OF_GPU, ACQUIRE_VM, SVM.
 *
 * What memory a buffer has depends on its kind: VRAM is extents of the device's VRAM region, chosen
 * by the host; GTT is pages allocated here (pages.c); USERPTR is pages of the program, pinned
 * (userptr.c). Doorbell and MMIO buffers have none here. The host checks addresses, flags and
 * quota; an SVM range is a USERPTR buffer whose handle the program never sees.
 *
 * Lifetime: a buffer is on its process's list until somebody takes it off (under memory_lock), who
 * alone then ends it: its mappings are zapped (faults are SIGBUS from then on), the host frees its
 * side, then the pages go. Nothing but that tells the host to free: a handle that isn't on the list
 * never gets there, or two threads that free the same buffer could have the host give its VRAM to
 * somebody else before it was unmapped here. A buffer about which the host may still know
 * something, because a caller was killed before the answer came, stays on the list without a handle
 * until the process ends. The struct itself lives while VMAs refer to it.
 */
#include <linux/file.h>
#include <linux/slab.h>

#include "hsv.h"

/* For HSV_KFD_ALLOC_SVM only. */
#define HSV_KFD_IOCTL(...)
#include <abi/kfd_ioctls.h>

#define MEMORY_KINDS                                                                               \
	(KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_GTT |                              \
	 KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL |                      \
	 KFD_IOC_ALLOC_MEM_FLAGS_MMIO_REMAP)

#define NR_ALLOC _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU)
#define NR_FREE	 _IOC_NR(AMDKFD_IOC_FREE_MEMORY_OF_GPU)
#define NR_SVM	 _IOC_NR(AMDKFD_IOC_SVM)

/* Largest buffer: what the programs' address space has. */
#define MAX_SIZE (1ULL << 47)

/* ---- objects ---- */

struct hsv_memory *hsv_memory_new(struct hsv_process *process, struct hsv_gpu *gpu, enum hsv_memory_kind kind, u64 size)
{
	struct hsv_memory *memory;

	if (hsv_system_charge(process->hdev, HSV_MEMORY_OVERHEAD))
		return NULL;
	memory = kzalloc(sizeof(*memory), GFP_KERNEL_ACCOUNT);
	if (!memory) {
		hsv_system_uncharge(process->hdev, HSV_MEMORY_OVERHEAD);
		return NULL;
	}
	kref_init(&memory->ref);
	memory->hdev = process->hdev;
	memory->process = process;
	memory->gpu = gpu;
	memory->drm_file = process->vms[gpu->index].file;
	memory->kind = kind;
	memory->size = size;
	INIT_LIST_HEAD(&memory->link);
	drm_vma_node_reset(&memory->node);
	memory->node.driver_private = memory;
	init_rwsem(&memory->map_lock);
	mutex_init(&memory->wire);
	return memory;
}

static void memory_release(struct kref *ref)
{
	struct hsv_memory *memory = container_of(ref, struct hsv_memory, ref);

	if (memory->dummy_page)
		__free_page(memory->dummy_page);
	hsv_system_uncharge(memory->hdev, HSV_MEMORY_OVERHEAD);
	kfree(memory);
}

void hsv_memory_put(struct hsv_memory *memory)
{
	kref_put(&memory->ref, memory_release);
}

/* No page of it can be reached by a program any more when this returns. */
static void memory_zap(struct hsv_memory *memory)
{
	if (!drm_mm_node_allocated(&memory->node.vm_node))
		return;
	down_write(&memory->map_lock);
	memory->dead = true;
	up_write(&memory->map_lock);
	drm_vma_node_unmap(&memory->node, memory->hdev->drm.anon_inode->i_mapping);
}

/* Gives back everything; the host must not know it any more. The caller's reference goes too. */
static void memory_destroy(struct hsv_memory *memory)
{
	memory_zap(memory);
	if (drm_mm_node_allocated(&memory->node.vm_node))
		drm_vma_offset_remove(&memory->hdev->offsets, &memory->node);
	if (memory->kind == HSV_MEMORY_USERPTR)
		hsv_userptr_close(memory);
	hsv_pages_free(memory);
	hsv_extents_free(&memory->extents);
	hsv_memory_put(memory);
}

/*
 * Makes it known by its handle. The caller's reference becomes the list's. -ESRCH if the process is
 * ending.
 */
static int memory_publish(struct hsv_memory *memory)
{
	struct hsv_process *process = memory->process;
	int err;

	mutex_lock(&process->memory_lock);
	err = process->dying ? -ESRCH : 0;
	if (!err)
		err = xa_err(xa_store(&process->memory, lower_32_bits(memory->handle), memory,
				      GFP_KERNEL));
	if (!err)
		list_add_tail(&memory->link, &process->memory_all);
	mutex_unlock(&process->memory_lock);
	return err;
}

/*
 * Keeps what the host may still use until the process ends; if it has ended meanwhile (the device
 * was removed), it goes now.
 */
static void memory_orphan(struct hsv_memory *memory)
{
	struct hsv_process *process = memory->process;
	bool ended;

	mutex_lock(&process->memory_lock);
	ended = process->ended;
	if (!ended)
		list_add_tail(&memory->link, &process->memory_all);
	mutex_unlock(&process->memory_lock);
	if (ended)
		memory_destroy(memory);
}

/* With memory_lock held. */
static bool memory_take(struct hsv_memory *memory)
{
	struct hsv_process *process = memory->process;

	if (list_empty(&memory->link))
		return false;
	list_del_init(&memory->link);
	if (xa_load(&process->memory, lower_32_bits(memory->handle)) == memory)
		xa_erase(&process->memory, lower_32_bits(memory->handle));
	return true;
}

/* Takes it off its process's list. True: the caller ends it, false: somebody else does. */
bool hsv_memory_take(struct hsv_memory *memory)
{
	struct hsv_process *process = memory->process;
	bool ours;

	mutex_lock(&process->memory_lock);
	ours = memory_take(memory);
	mutex_unlock(&process->memory_lock);
	return ours;
}

/*
 * The buffer with that handle, NULL if there is none. With memory_lock held, under which it stays.
 */
struct hsv_memory *hsv_memory_lookup(struct hsv_process *process, u64 handle)
{
	struct hsv_memory *memory = xa_load(&process->memory, lower_32_bits(handle));

	return memory && memory->handle == handle ? memory : NULL;
}

/* At the end of a process, when the host has ended its side. No buffer can come any more. */
void hsv_memory_remove_all(struct hsv_process *process)
{
	struct hsv_memory *memory;

	for (;;) {
		mutex_lock(&process->memory_lock);
		memory = list_first_entry_or_null(&process->memory_all, struct hsv_memory, link);
		if (memory) {
			list_del_init(&memory->link);
			xa_erase(&process->memory, lower_32_bits(memory->handle));
		}
		process->ended = !memory;
		mutex_unlock(&process->memory_lock);
		if (!memory)
			return;
		memory_destroy(memory);
	}
}

/* ---- what goes to the host ---- */

/* A call for requests about a buffer with up to that many extents in all. */
struct hsv_call *hsv_memory_call(struct hsv_memory *memory, u32 extents, u32 out_capacity)
{
	return hsv_call_new(memory->hdev, memory->process,
			    min_t(u32, extents, HSV_EXTENTS_PER_CALL) * sizeof(struct hsv_extent),
			    out_capacity);
}

static u32 extents_copy(struct hsv_call *call, const struct hsv_extents *extents, u32 first)
{
	u32 n = min_t(u32, extents->n - first, HSV_EXTENTS_PER_CALL);

	if (n)
		memcpy(call->in, extents->v + first, n * sizeof(struct hsv_extent));
	return n;
}

/*
 * Sends the extents after the first HSV_EXTENTS_PER_CALL. The call is one that can be used again.
 */
int hsv_memory_extend(struct hsv_memory *memory, struct hsv_call *call,
		      const struct hsv_extents *extents, bool killable)
{
	struct hsv_memory_args args = {.handle = cpu_to_le64(memory->handle)};
	u32 first, n;
	int err;

	for (first = HSV_EXTENTS_PER_CALL; first < extents->n; first += n) {
		n = extents_copy(call, extents, first);
		memcpy(call->args, &args, sizeof(args));
		err = hsv_call_send(call, HSV_REQ_MEMORY_EXTEND, 0, sizeof(args),
				    n * sizeof(struct hsv_extent), killable);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Has the host free its side. With wire held for a USERPTR buffer, as for all that is said of its
 * pages.
 */
static int free_send(struct hsv_memory *memory, struct hsv_call *call, bool killable)
{
	struct kfd_ioctl_free_memory_of_gpu_args args = {.handle = memory->handle};

	memcpy(call->args, &args, sizeof(args));
	return hsv_call_send(call, HSV_REQ_KFD_IOCTL, NR_FREE, sizeof(args), 0, killable);
}

static int memory_free_send(struct hsv_memory *memory, bool killable)
{
	struct hsv_call *call = hsv_memory_call(memory, 0, 0);
	int err;

	if (!call)
		return -ENOMEM;
	mutex_lock(&memory->wire);
	err = free_send(memory, call, killable);
	/* From here on its pages are none of the host's business (-EINTR: maybe). */
	if (!err || err == -EINTR)
		hsv_userptr_state(memory, HSV_PAGES_NONE);
	mutex_unlock(&memory->wire);
	hsv_call_put(call);
	return err;
}

/*
 * Allocates on the host: sends args with all extents and takes over what it answers. -EINTR: the
 * host may have it. Any other error: it has not. With wire held for a USERPTR buffer.
 */
int hsv_memory_alloc_send(struct hsv_memory *memory, struct hsv_call *call,
			  struct kfd_ioctl_alloc_memory_of_gpu_args *args,
			  const struct hsv_extents *extents)
{
	u32 n = extents_copy(call, extents, 0);
	int err;

	memcpy(call->args, args, sizeof(*args));
	err = hsv_call_send(call, HSV_REQ_KFD_IOCTL, NR_ALLOC, sizeof(*args),
			    n * sizeof(struct hsv_extent), true);
	if (err)
		return err;
	memcpy(args, call->args, sizeof(*args));
	memory->handle = args->handle;
	if (extents->n <= n)
		return 0;
	err = hsv_memory_extend(memory, call, extents, true);
	if (err && err != -EINTR && free_send(memory, call, false))
		err = -EINTR; /* can't be taken back: keep the pages until the process ends */
	return err;
}

/*
 * Ends a buffer that the caller took off its list: the host first. -EBUSY (still mapped on the GPU)
 * and -ENOMEM leave it alive, back on the list; after other errors nobody knows whose its memory
 * is, and it stays out of reach until the process ends.
 */
int hsv_memory_end(struct hsv_memory *memory)
{
	struct hsv_process *process = memory->process;
	bool ended;
	int err;

	memory_zap(memory);
	err = memory_free_send(memory, true);
	if (!err || err == -ENODEV) {
		memory_destroy(memory);
		return err;
	}
	if (err != -EBUSY && err != -ENOMEM) {
		memory_orphan(memory);
		return err;
	}
	down_write(&memory->map_lock);
	memory->dead = false;
	up_write(&memory->map_lock);
	mutex_lock(&process->memory_lock);
	ended = process->ended;
	if (!ended) {
		xa_store(&process->memory, lower_32_bits(memory->handle), memory,
			 GFP_KERNEL | __GFP_NOFAIL);
		list_add_tail(&memory->link, &process->memory_all);
	}
	mutex_unlock(&process->memory_lock);
	if (ended)
		memory_destroy(memory);
	return err;
}

/* ---- ioctls ---- */

/*
 * Takes the extents that the host chose for a VRAM buffer, checking that they are in the region and
 * cover it.
 */
int hsv_memory_vram_take(struct hsv_memory *memory, const struct hsv_call *call)
{
	const struct hsv_extent *v = call->out;
	u32 i, n = call->out_size / sizeof(*v);
	u64 addr, size, sum = 0;
	int err;

	for (i = 0; i < n; i++) {
		addr = le64_to_cpu(v[i].addr);
		size = le64_to_cpu(v[i].size);
		if (!PAGE_ALIGNED(addr | size) || !size || size > memory->hdev->vram.size ||
		    addr > memory->hdev->vram.size - size)
			return -EIO;
		err = hsv_extents_add(&memory->extents, addr, size);
		if (err)
			return err;
		sum += size;
	}
	return sum == memory->size ? 0 : -EIO;
}

static int vram_alloc(struct hsv_memory *memory, struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	u64 most = min_t(u64, memory->size >> PAGE_SHIFT, HSV_MAX_EXTENTS);
	struct hsv_extents none = {};
	struct hsv_call *call = hsv_memory_call(memory, 0, most * sizeof(struct hsv_extent));
	int err;

	if (!call)
		return -ENOMEM;
	err = hsv_memory_alloc_send(memory, call, args, &none);
	if (!err) {
		err = hsv_memory_vram_take(memory, call);
		if (err && memory_free_send(memory, false))
			err = -EINTR;
	}
	hsv_call_put(call);
	return err;
}

static int gtt_alloc(struct hsv_memory *memory, struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	struct hsv_extents extents = {};
	struct hsv_call *call = NULL;
	int err = hsv_pages_alloc(memory, &extents);

	if (!err) {
		err = -ENOMEM;
		call = hsv_memory_call(memory, extents.n, 0);
	}
	if (call)
		err = hsv_memory_alloc_send(memory, call, args, &extents);
	hsv_call_put(call);
	hsv_extents_free(&extents);
	return err;
}

static int host_alloc(struct hsv_memory *memory, struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	struct hsv_call *call = hsv_memory_call(memory, 0, 0);
	struct hsv_extents none = {};
	int err = call ? hsv_memory_alloc_send(memory, call, args, &none) : -ENOMEM;

	hsv_call_put(call);
	return err;
}

/*
 * The end of making a buffer, where err is what became of the host's side: publishes it, with an offset to mmap if it can be mapped, or takes it back. -EINTR:
 * the host may have it. Returns err, or why it couldn't be published.
 */
int hsv_memory_settle(struct hsv_memory *memory, int err, u64 *mmap_offset)
{
	if (err == -EINTR) {
		memory_orphan(memory);
		return err;
	}
	if (err)
		goto destroy;
	if (memory->kind == HSV_MEMORY_VRAM || memory->kind == HSV_MEMORY_GTT) {
		err = drm_vma_offset_add(&memory->hdev->offsets, &memory->node, memory->size >> PAGE_SHIFT);
		if (err)
			goto free;
		*mmap_offset = drm_vma_node_offset_addr(&memory->node);
	}
	err = memory_publish(memory);
	if (!err)
		return 0;
free:
	if (memory_free_send(memory, false)) {
		memory_orphan(memory);
		return err;
	}
destroy:
	memory_destroy(memory);
	return err;
}

/* Allocates and publishes. args are changed as the host answers; their GPU is one that there is. */
static int memory_alloc(struct hsv_process *process, enum hsv_memory_kind kind,
			struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	struct hsv_memory *memory = hsv_memory_new(process, hsv_gpu_by_id(process->hdev, args->gpu_id), kind, args->size);
	int err;

	if (!memory)
		return -ENOMEM;
	switch (kind) {
	case HSV_MEMORY_VRAM:
		err = vram_alloc(memory, args);
		break;
	case HSV_MEMORY_GTT:
		err = gtt_alloc(memory, args);
		break;
	case HSV_MEMORY_HOST:
		err = host_alloc(memory, args);
		break;
	default:
		memory->user_addr = args->mmap_offset;
		memory->svm = args->flags & HSV_KFD_ALLOC_SVM;
		memory->writable = args->flags & KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE;
		err = hsv_userptr_alloc(memory, args);
	}
	return hsv_memory_settle(memory, err, &args->mmap_offset);
}

/*
 * memory_alloc for a program. Where it has just unmapped a part of an SVM range the host may not know that yet: what is in use is asked for once more when
 * all such changes are dealt with.
 */
static int alloc_for_program(struct hsv_process *process, enum hsv_memory_kind kind, struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args original = *args;
	int err = memory_alloc(process, kind, args);

	if (err != -EADDRINUSE)
		return err;
	if (wait_event_killable(process->idle, !atomic_read(&process->svm_restoring)))
		return -EINTR;
	*args = original;
	return memory_alloc(process, kind, args);
}

/*
 * ALLOC_MEMORY_OF_GPU. -EINVAL: no such GPU, kind or size; -ENODEV: no VM acquired, or the device
 * is gone; -ENOMEM; -EFAULT: user pages.
 */
long hsv_ioctl_alloc(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args *args = data;
	u32 kind = args->flags & MEMORY_KINDS;
	u64 size = args->size, user_addr = args->mmap_offset;
	struct hsv_gpu *gpu = hsv_gpu_by_id(process->hdev, args->gpu_id);
	int err;

	if (!gpu || hweight32(kind) != 1 || !size ||
	    size > MAX_SIZE || (args->flags & HSV_KFD_ALLOC_SVM))
		return -EINVAL;
	if (!READ_ONCE(process->vms[gpu->index].file))
		return -ENODEV;
	if (kind & (KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL | KFD_IOC_ALLOC_MEM_FLAGS_MMIO_REMAP))
		return alloc_for_program(process, HSV_MEMORY_HOST, args);

	args->size = PAGE_ALIGN(size);
	if (kind & KFD_IOC_ALLOC_MEM_FLAGS_VRAM) {
		err = alloc_for_program(process, HSV_MEMORY_VRAM, args);
		if (err == -ENOMEM) {
			/* Programs that just ended may not have given theirs back. */
			flush_workqueue(hsv_wq);
			err = alloc_for_program(process, HSV_MEMORY_VRAM, args);
		}
		/* Buffers can't be anywhere else, pages can. */
		if (err == -ENOMEM && hsv_migrate_evict(gpu, args->size, false))
			err = alloc_for_program(process, HSV_MEMORY_VRAM, args);
	} else if (kind & KFD_IOC_ALLOC_MEM_FLAGS_GTT) {
		err = alloc_for_program(process, HSV_MEMORY_GTT, args);
	} else {
		if (!user_addr || !PAGE_ALIGNED(user_addr))
			return -EINVAL;
		err = alloc_for_program(process, HSV_MEMORY_USERPTR, args);
		args->mmap_offset = user_addr;
	}
	args->size = size;
	return err;
}

/*
 * FREE_MEMORY_OF_GPU. -EINVAL: no such handle; -EPERM: the events page; -EBUSY: still mapped on the
 * GPU.
 */
long hsv_ioctl_free(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_free_memory_of_gpu_args *args = data;
	struct hsv_memory *memory;
	long err = 0;

	mutex_lock(&process->memory_lock);
	memory = hsv_memory_lookup(process, args->handle);
	if (memory && memory->svm)
		err = -EINVAL;
	else if (memory && memory->is_events_page)
		err = -EPERM;
	else if (memory)
		memory_take(memory);
	mutex_unlock(&process->memory_lock);
	if (err)
		return err;
	return memory ? hsv_memory_end(memory) : -EINVAL;
}

/*
 * ACQUIRE_VM. -EINVAL: not an open render node of this GPU, or one that another process acquired;
 * -EBUSY: another one was acquired.
 */
long hsv_ioctl_acquire_vm(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_acquire_vm_args *args = data;
	struct hsv_gpu *gpu = hsv_gpu_by_id(process->hdev, args->gpu_id);
	struct file *filp = fget(args->drm_fd);
	struct drm_file *drm_file;
	u32 fd = args->drm_fd;
	struct hsv_vm *vm;
	long err;

	if (!filp)
		return -EINVAL;
	err = -EINVAL;
	drm_file = gpu ? hsv_drm_file(gpu, filp) : NULL;
	if (!drm_file)
		goto put;

	vm = &process->vms[gpu->index];
	mutex_lock(&process->memory_lock);
	err = process->dying ? -ESRCH : 0;
	if (!err && vm->file && vm->file != drm_file)
		err = -EBUSY;
	if (!err && !vm->file) {
		if (cmpxchg(&drm_file->driver_priv, NULL, process)) {
			err = -EINVAL;
		} else {
			vm->filp = get_file(filp);
			WRITE_ONCE(vm->file, drm_file);
		}
	}
	mutex_unlock(&process->memory_lock);
	if (err)
		goto put;
	args->drm_fd = lower_32_bits(drm_file->client_id);
	err = hsv_kfd_forward(process, _IOC_NR(AMDKFD_IOC_ACQUIRE_VM), args);
	args->drm_fd = fd;
put:
	fput(filp);
	return err;
}

/* The first part of [*start, end) that no SVM buffer has, into *start and *size. False: there is none. */
static bool svm_gap(struct hsv_process *process, u64 *start, u64 end, u64 *size)
{
	struct hsv_memory *memory;
	u64 at = *start, to;
	bool moved;

	mutex_lock(&process->memory_lock);
	do {
		moved = false;
		to = end;
		list_for_each_entry(memory, &process->memory_all, link)
		{
			if (!memory->svm || !memory->handle ||
			    memory->user_addr + memory->size <= at)
				continue;
			if (memory->user_addr <= at) {
				at = memory->user_addr + memory->size;
				moved = true;
			} else if (memory->user_addr < to) {
				to = memory->user_addr;
			}
		}
	} while (moved && at < end);
	mutex_unlock(&process->memory_lock);
	*start = at;
	*size = at < end ? to - at : 0;
	return at < end;
}

/* Ends the SVM buffers of [start, end) that the call made_by made, or lets them stay for good. */
static void svm_settle(struct hsv_process *process, const void *made_by, bool stay)
{
	struct hsv_memory *memory, *found;

	do {
		found = NULL;
		mutex_lock(&process->memory_lock);
		list_for_each_entry(memory, &process->memory_all, link)
		{
			if (memory->made_by != made_by)
				continue;
			memory->made_by = NULL;
			if (!stay) {
				found = memory;
				kref_get(&found->ref);
				break;
			}
		}
		mutex_unlock(&process->memory_lock);
		if (found) {
			if (hsv_memory_take(found))
				hsv_memory_end(found);
			hsv_memory_put(found);
		}
	} while (found);
}

/* The GPU that names SVM buffers, which are all GPUs' alike: the first one whose VM the process has. */
static struct hsv_gpu *svm_gpu(struct hsv_process *process)
{
	struct hsv_device *hdev = process->hdev;
	u32 i;

	for (i = 0; i < hdev->num_gpus; i++) {
		if (READ_ONCE(process->vms[i].file))
			return &hdev->gpus[i];
	}
	return hdev->gpus;
}

/* Makes SVM buffers of what is not in one yet: ranges may overlap older ones, in a page at least, as
 * those of neighbouring allocations do. */
static int svm_fill(struct hsv_process *process, u64 start, u64 end, const void *made_by)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args part = {
		.gpu_id = svm_gpu(process)->gpu_id,
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE |
			 KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE | HSV_KFD_ALLOC_SVM,
	};
	struct hsv_memory *memory;
	u64 last = 0;

	while (svm_gap(process, &start, end, &part.size)) {
		u64 size = part.size;
		int err;

		part.va_addr = part.mmap_offset = start;
		err = memory_alloc(process, HSV_MEMORY_USERPTR, &part);
		/* Another thread was faster: look again, once for each place. Then the device decides. */
		if (err == -EEXIST && last != start) {
			last = start;
			continue;
		}
		if (err)
			return err == -EEXIST ? 0 : err;
		mutex_lock(&process->memory_lock);
		memory = xa_load(&process->memory, lower_32_bits(part.handle));
		if (memory)
			memory->made_by = made_by;
		mutex_unlock(&process->memory_lock);
		start += size;
	}
	return 0;
}

/* [start, end) gets attributes: what there is now is the SVM buffers', where they had holes too. */
static void svm_refresh(struct hsv_process *process, u64 start, u64 end)
{
	struct hsv_memory *memory;

	mutex_lock(&process->memory_lock);
	list_for_each_entry(memory, &process->memory_all, link)
	{
		if (memory->svm && memory->handle && memory->user_addr < end && start < memory->user_addr + memory->size)
			hsv_userptr_refresh(memory, start, end);
	}
	mutex_unlock(&process->memory_lock);
}

/*
 * SVM: args is the struct, n its attributes from attrs in user space. Without XNACK, what of a range
 * that gets attributes is in no SVM buffer becomes one first, as <abi/kfd_ioctls.h> says. With it
 * the pages are svm.c's affair.
 */
long hsv_ioctl_svm(struct hsv_process *process, void *data, void __user *attrs)
{
	struct kfd_ioctl_svm_args *args = data;
	u32 bytes = args->nattr * sizeof(struct kfd_ioctl_svm_attribute);
	bool paging = READ_ONCE(process->svm.on);
	struct hsv_call *call;
	long err;

	if (!args->start_addr || !args->size || !PAGE_ALIGNED(args->start_addr | args->size) ||
	    args->size > MAX_SIZE || args->start_addr > TASK_SIZE_MAX - args->size)
		return -EINVAL;
	if (args->op == KFD_IOCTL_SVM_OP_SET_ATTR)
		svm_refresh(process, args->start_addr, args->start_addr + args->size);
	/*
	 * Ranges whose addresses were unmapped go before: one that is about to go must not be taken
	 * for known.
	 */
	if (wait_event_killable(process->idle, !atomic_read(&process->svm_restoring)))
		return -EINTR;
	call = hsv_call_new(process->hdev, process, bytes, bytes);
	if (!call)
		return -ENOMEM;
	err = -EFAULT;
	if (bytes && copy_from_user(call->in, attrs, bytes))
		goto put;
	err = hsv_svm_check(args->start_addr, args->start_addr + args->size);
	if (err)
		goto put;
	if (args->op == KFD_IOCTL_SVM_OP_SET_ATTR && !paging) {
		/* One at a time: another thread may be naming the same range, whose pages are to be pinned once. */
		err = mutex_lock_killable(&process->svm_fill_lock);
		if (!err) {
			err = svm_fill(process, args->start_addr, args->start_addr + args->size, call);
			mutex_unlock(&process->svm_fill_lock);
		}
		if (err)
			goto settle;
	}
	memcpy(call->args, args, sizeof(*args));
	err = hsv_call_send(call, HSV_REQ_KFD_IOCTL, NR_SVM, sizeof(*args), bytes, true);
	if (!err) {
		memcpy(args, call->args, sizeof(*args));
		if (call->out_size && copy_to_user(attrs, call->out, min(bytes, call->out_size)))
			err = -EFAULT;
		if (paging && args->op == KFD_IOCTL_SVM_OP_SET_ATTR)
			hsv_svm_locate(process, args->start_addr, args->start_addr + args->size,
				       call->in, args->nattr);
	}
settle:
	svm_settle(process, call, !err || err == -EFAULT || err == -EINTR);
put:
	hsv_call_put(call);
	return err;
}
