// SPDX-License-Identifier: GPL-2.0
/*
 * mmap.c - what programs map.
 *
 * Of the render nodes: VRAM and GTT buffers, by the offset that ALLOC_MEMORY_OF_GPU gave. Of
 * /dev/kfd, by the type bits of the offset: doorbells, the events page made by the driver, the
 * reserved (trap handler) pages and the MMIO remap page. All are page frame mappings filled by the
 * fault handlers, so that they can be taken away: /dev/kfd's files and all render nodes' use the first DRM device's address
 * space, with the offsets of one manager, so drm_dev_unplug() zaps everything.
 *
 * Doorbells are parked when the host asks: the process's mapping is zapped, then the host is told,
 * and the next store faults, which tells the host to look again before the page is mapped.
 * doorbell_lock keeps the two in order.
 *
 * When the GPU is lost (hsv_device.gone), what can't be had any more is replaced by a page of the
 * buffer's or the process's own that nobody else sees, as amdgpu does after an unplug: a program
 * that stores to a doorbell or to VRAM isn't killed by a signal it can't understand, but lives
 * until its runtime has taken the HW exception and says what happened.
 */
#include <linux/slab.h>

#include "hsv.h"

#define KFD_MMAP_TYPE(offset)	((offset) >> 62)
#define KFD_MMAP_GPU_ID(offset) (((offset) >> 46) & 0xffff)
enum { KFD_MMAP_MMIO, KFD_MMAP_RESERVED, KFD_MMAP_EVENTS, KFD_MMAP_DOORBELL };

#define RESERVED_SIZE                                                                              \
	(2 * PAGE_SIZE) /* trap handler and its data, as amdkfd's KFD_CWSR_TBA_TMA_SIZE */

#define SLOT_PAGES (HSV_DOORBELL_SLOT >> PAGE_SHIFT)

/* Pages that one fault maps at most beyond the one it needs. */
#define FAULT_AROUND 64

#define VMA_FLAGS (VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)

/* ---- pages of our own ---- */

/* The page, made by the first who asks; NULL if there's no memory. */
static struct page *page_once(struct page **page, unsigned int order)
{
	struct page *fresh = READ_ONCE(*page), *old;

	if (fresh)
		return fresh;
	fresh = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, order);
	if (!fresh)
		return NULL;
	old = cmpxchg(page, NULL, fresh);
	if (!old)
		return fresh;
	__free_pages(fresh, order);
	return old;
}

/* What a program gets of a GPU that is lost. */
static vm_fault_t insert_dummy(struct vm_fault *vmf, struct page **page)
{
	struct page *dummy = page_once(page, 0);

	if (!dummy)
		return VM_FAULT_OOM;
	return vmf_insert_pfn(vmf->vma, vmf->address & PAGE_MASK, page_to_pfn(dummy));
}

/* ---- buffers ---- */

/*
 * The page frame of a buffer's page, and how many pages from it on are contiguous. False: there's
 * none.
 */
static bool memory_pfn(struct hsv_memory *memory, u64 page, unsigned long *pfn, u64 *run)
{
	u64 first = 0, n;
	u32 i;

	if (memory->kind == HSV_MEMORY_GTT) {
		if (!memory->pages || page >= memory->size >> PAGE_SHIFT)
			return false;
		*pfn = page_to_pfn(memory->pages[page]);
		*run = 1;
		return true;
	}
	for (i = 0; i < memory->extents.n; i++) {
		n = le64_to_cpu(memory->extents.v[i].size) >> PAGE_SHIFT;
		if (page < first + n) {
			*pfn = ((memory->hdev->vram.addr +
				 le64_to_cpu(memory->extents.v[i].addr)) >>
				PAGE_SHIFT) +
			       page - first;
			*run = first + n - page;
			return true;
		}
		first += n;
	}
	return false;
}

static vm_fault_t memory_insert(struct hsv_memory *memory, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = vmf->address & PAGE_MASK, pfn = 0;
	u64 page = ((addr - vma->vm_start) >> PAGE_SHIFT) + vma->vm_pgoff -
		   drm_vma_node_start(&memory->node);
	vm_fault_t ret = VM_FAULT_SIGBUS;
	u64 run = 0;
	int i;

	for (i = 0; i <= FAULT_AROUND && addr < vma->vm_end; i++, page++, addr += PAGE_SIZE) {
		if (run) {
			pfn++;
			run--;
		} else if (memory_pfn(memory, page, &pfn, &run)) {
			run--;
		} else {
			break;
		}
		if (!i) {
			ret = vmf_insert_pfn(vma, addr, pfn);
			if (ret != VM_FAULT_NOPAGE)
				break;
		} else if (vmf_insert_pfn(vma, addr, pfn) != VM_FAULT_NOPAGE) {
			break;
		}
	}
	return ret;
}

static vm_fault_t memory_fault(struct vm_fault *vmf)
{
	struct hsv_memory *memory = vmf->vma->vm_private_data;
	bool vram = memory->kind == HSV_MEMORY_VRAM;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	int idx;

	if (drm_dev_enter(&memory->hdev->drm, &idx)) {
		if (!vram || hsv_vram_begin(memory->hdev)) {
			down_read(&memory->map_lock);
			if (!memory->dead)
				ret = memory_insert(memory, vmf);
			up_read(&memory->map_lock);
			if (vram)
				hsv_vram_end(memory->hdev);
		}
		drm_dev_exit(idx);
	}
	if (ret == VM_FAULT_SIGBUS && READ_ONCE(memory->hdev->gone))
		ret = insert_dummy(vmf, &memory->dummy_page);
	return ret;
}

static void memory_vma_open(struct vm_area_struct *vma)
{
	struct hsv_memory *memory = vma->vm_private_data;

	kref_get(&memory->ref);
}

static void memory_vma_close(struct vm_area_struct *vma)
{
	hsv_memory_put(vma->vm_private_data);
}

static const struct vm_operations_struct memory_vm_ops = {
	.open = memory_vma_open,
	.close = memory_vma_close,
	.fault = memory_fault,
};

/*
 * Private mappings would copy on write, which page frames can't; one without any right may stay
 * (address space is reserved so).
 */
static int vma_check(struct vm_area_struct *vma)
{
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) != VM_MAYWRITE)
		return 0;
	if (vma->vm_flags & (VM_READ | VM_WRITE | VM_EXEC))
		return -EINVAL;
	vm_flags_clear(vma, VM_MAYWRITE);
	return 0;
}

/*
 * mmap of the render node. -EINVAL: no buffer there, or not so large; -EACCES: a buffer of another
 * open file.
 */
int hsv_drm_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct drm_file *drm_file = filp->private_data;
	struct hsv_device *hdev = to_gpu(drm_file->minor->dev)->hdev;
	struct drm_vma_offset_node *node;
	struct hsv_memory *memory = NULL;
	int err;

	if (drm_dev_is_unplugged(&hdev->drm))
		return -ENODEV;
	drm_vma_offset_lock_lookup(&hdev->offsets);
	node = drm_vma_offset_lookup_locked(&hdev->offsets, vma->vm_pgoff, vma_pages(vma));
	/* Doorbell nodes are of /dev/kfd; they have no file. */
	if (node && node->driver_private) {
		memory = node->driver_private;
		if (!kref_get_unless_zero(&memory->ref))
			memory = NULL;
	}
	drm_vma_offset_unlock_lookup(&hdev->offsets);
	if (!memory)
		return -EINVAL;
	err = memory->drm_file == drm_file ? vma_check(vma) : -EACCES;
	if (err) {
		hsv_memory_put(memory);
		return err;
	}
	vm_flags_set(vma, VMA_FLAGS);
	vma->vm_private_data = memory;
	vma->vm_ops = &memory_vm_ops;
	return 0;
}

/* ---- doorbells ---- */

static vm_fault_t doorbell_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct hsv_process *process = vma->vm_private_data;
	struct hsv_device *hdev = process->hdev;
	u64 page = ((vmf->address - vma->vm_start) >> PAGE_SHIFT) + vma->vm_pgoff -
		   drm_vma_node_start(&process->doorbell_node);
	u64 gpu = page / SLOT_PAGES, slot = gpu * hdev->max_processes + process->id;
	unsigned long pfn = (hdev->doorbells.addr >> PAGE_SHIFT) + slot * SLOT_PAGES + page % SLOT_PAGES;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	int idx;

	if (gpu >= hdev->num_gpus)
		return VM_FAULT_SIGBUS;
	if (!READ_ONCE(process->dying) && drm_dev_enter(&hdev->drm, &idx)) {
		mutex_lock(&process->doorbell_lock);
		if (process->doorbell_parked && !hsv_call_simple(process, HSV_REQ_UNPARK, NULL, 0))
			process->doorbell_parked = false;
		if (!process->doorbell_parked)
			ret = vmf_insert_pfn(vma, vmf->address & PAGE_MASK, pfn);
		mutex_unlock(&process->doorbell_lock);
		drm_dev_exit(idx);
	}
	if (ret == VM_FAULT_SIGBUS && READ_ONCE(hdev->gone))
		ret = insert_dummy(vmf, &process->dummy_page);
	return ret;
}

/* The mapping has its file, and the file its process: no reference of its own is needed. */
static const struct vm_operations_struct doorbell_vm_ops = {
	.fault = doorbell_fault,
};

/* The host has nothing to do for the process: makes the next store to its doorbells fault. */
void hsv_park_work(struct work_struct *work)
{
	struct hsv_process *process = container_of(work, struct hsv_process, park_work);
	int idx;

	if (READ_ONCE(process->dying) || !drm_dev_enter(&process->hdev->drm, &idx)) {
		hsv_process_put(process);
		return;
	}
	mutex_lock(&process->doorbell_lock);
	process->doorbell_parked = true;
	drm_vma_node_unmap(&process->doorbell_node, process->hdev->drm.anon_inode->i_mapping);
	/*
	 * EAGAIN: work came meanwhile; the host goes on looking and asks again. The trap may stay
	 * armed: a store that faults just says unpark.
	 */
	hsv_call_simple(process, HSV_REQ_PARKED, NULL, 0);
	mutex_unlock(&process->doorbell_lock);
	drm_dev_exit(idx);
	hsv_process_put(process);
}

static int doorbell_mmap(struct hsv_process *process, const struct hsv_gpu *gpu, struct vm_area_struct *vma)
{
	if (vma->vm_end - vma->vm_start != HSV_DOORBELL_SLOT || vma_check(vma))
		return -EINVAL;
	/*
	 * Every process maps the same offset; what is unmapped when parking is found by one of its
	 * own.
	 */
	vma->vm_pgoff = drm_vma_node_start(&process->doorbell_node) + gpu->index * SLOT_PAGES;
	vm_flags_set(vma, VMA_FLAGS | VM_DONTCOPY | VM_NORESERVE);
	vma->vm_private_data = process;
	vma->vm_ops = &doorbell_vm_ops;
	return 0;
}

/* ---- plain pages of the process ---- */

static int pages_mmap(struct vm_area_struct *vma, struct page *pages, unsigned long size)
{
	if (!pages)
		return -ENOMEM;
	if (vma_check(vma))
		return -EINVAL;
	vm_flags_set(vma, VMA_FLAGS | VM_DONTCOPY | VM_NORESERVE);
	return remap_pfn_range(vma, vma->vm_start, page_to_pfn(pages), size, vma->vm_page_prot);
}

/* mmap of /dev/kfd. */
int hsv_kfd_mmap(struct hsv_process *process, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	unsigned long size = vma->vm_end - vma->vm_start;
	struct hsv_gpu *gpu = hsv_gpu_by_id(process->hdev, KFD_MMAP_GPU_ID(offset));

	if (KFD_MMAP_TYPE(offset) != KFD_MMAP_EVENTS && !gpu)
		return -ENODEV;
	switch (KFD_MMAP_TYPE(offset)) {
	case KFD_MMAP_DOORBELL:
		return doorbell_mmap(process, gpu, vma);
	case KFD_MMAP_EVENTS:
		if (size != HSV_EVENT_PAGE_SIZE)
			return -EINVAL;
		return pages_mmap(vma, hsv_events_own_page(process), size);
	case KFD_MMAP_RESERVED:
		if (size != RESERVED_SIZE)
			return -EINVAL;
		return pages_mmap(vma, page_once(&process->reserved_page, 1), size);
	default:
		if (size != PAGE_SIZE)
			return -EINVAL;
		return pages_mmap(vma, page_once(&process->mmio_page, 0), size);
	}
}
