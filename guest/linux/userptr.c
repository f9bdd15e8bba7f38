// SPDX-License-Identifier: GPL-2.0
/*
 * userptr.c - USERPTR buffers: pages of the program that the GPU uses where they are.
 *
 * amdgpu leaves user pages unpinned and stops the GPU's queues whenever the kernel wants to move
 * one. Here the pages are pinned (FOLL_LONGTERM), because stopping the host's queues is dear and
 * reclaim would do it often; RLIMIT_MEMLOCK is not applied, since programs written for amdgpu don't
 * expect it, but pinned pages are counted (VmPin) and limited as a whole (hsv_system_charge). What
 * remains are changes of what the addresses mean: munmap, mremap, MADV_DONTNEED, truncation. For
 * those an interval notifier tells the host before the kernel goes on (INVALIDATE, synchronous),
 * and a work item pins what is there afterwards (RESTORE). A fork is none: the kernel copies pinned
 * pages for the child at once.
 *
 * What is unmapped of an SVM range isn't the range's any more, even if something else is mapped
 * there before the work item has looked: a bit of each page says so, until the address gets
 * attributes again.
 *
 * Order: the mutex wire is held around each message about a buffer's pages until it is answered, so
 * host and guest agree on what is valid. Pages are pinned outside of it, and the notifier's
 * sequence number tells whether they're still right when it is taken.
 */
#include <linux/bitmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "hsv.h"

#define PAGES_PER_PIN (PAGE_SIZE / sizeof(struct page *))

static void userptr_unpin(struct hsv_memory *memory, struct hsv_extents *extents)
{
	u64 pages = 0, n;
	u32 i;

	for (i = 0; i < extents->n; i++) {
		if (le64_to_cpu(extents->v[i].addr) == HSV_EXTENT_HOLE)
			continue;
		n = le64_to_cpu(extents->v[i].size) >> PAGE_SHIFT;
		unpin_user_page_range_dirty_lock(
			pfn_to_page(le64_to_cpu(extents->v[i].addr) >> PAGE_SHIFT), n,
			memory->writable);
		pages += n;
		cond_resched();
	}
	atomic64_sub(pages, &memory->process->mm->pinned_vm);
	hsv_system_uncharge(memory->hdev, pages);
	hsv_extents_free(extents);
}

/* Pages from addr on, at least one and at most n, in which the program has nothing. */
static u64 hole_pages(struct mm_struct *mm, u64 addr, u64 n)
{
	struct vm_area_struct *vma;
	u64 pages = 1;

	mmap_read_lock(mm);
	vma = find_vma(mm, addr);
	if (!vma)
		pages = n;
	else if (vma->vm_start > addr)
		pages = min(n, (vma->vm_start - addr) >> PAGE_SHIFT);
	mmap_read_unlock(mm);
	return pages;
}

/*
 * Pages from addr on, at most n, that are all like the first one: unmapped by the program (*unmapped), or not known to be. Without the lock that
 * changes are made under: who uses the answer must look whether there were any.
 */
static u64 alike_pages(const struct hsv_memory *memory, u64 addr, u64 n, bool *unmapped)
{
	unsigned long first = (addr - memory->user_addr) >> PAGE_SHIFT;
	unsigned long end = memory->unmapped ? first + n : 0;

	*unmapped = memory->unmapped && test_bit(first, memory->unmapped);
	if (!memory->unmapped)
		return n;
	return (*unmapped ? find_next_zero_bit(memory->unmapped, end, first) : find_next_bit(memory->unmapped, end, first)) - first;
}

/*
 * Pins all pages of the buffer in mm and lists them. 0, -EFAULT, -ENOMEM, -EINTR; nothing is pinned
 * on errors. holes: what the program has no more is listed as HSV_EXTENT_HOLE, and *holes tells if there is such; -EFAULT if there is nothing else. NULL: all
 * must be there, unmapped before or not.
 */
static int userptr_pin(struct hsv_memory *memory, struct mm_struct *mm, struct hsv_extents *extents, bool *holes)
{
	u64 run, missing = 0, pages_in_all = memory->size >> PAGE_SHIFT;
	unsigned int flags = FOLL_LONGTERM | (memory->writable ? FOLL_WRITE : 0);
	u64 addr = memory->user_addr, left = memory->size >> PAGE_SHIFT;
	struct page **pages;
	long n, i;
	int err = 0;

	if (!access_ok((void __user *)(uintptr_t)addr, memory->size))
		return -EFAULT;
	pages = (struct page **)__get_free_page(GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	/* All at once: a buffer that is too large takes no memory at all. */
	err = hsv_system_charge(memory->hdev, left);
	if (err) {
		free_page((unsigned long)pages);
		return err;
	}
	while (left) {
		bool unmapped = false;

		run = holes ? alike_pages(memory, addr, left, &unmapped) : left;
		n = min_t(u64, run, PAGES_PER_PIN);
		err = -EINTR;
		if (current->mm == mm && fatal_signal_pending(current))
			break;
		if (unmapped) {
			i = -EFAULT;
		} else if (current->mm == mm) {
			i = pin_user_pages_fast(addr, n, flags, pages);
		} else {
			mmap_read_lock(mm);
			i = pin_user_pages_remote(mm, addr, n, flags, pages, NULL);
			mmap_read_unlock(mm);
		}
		err = i ? i : -EFAULT;
		if (err == -EFAULT && holes) {
			n = unmapped ? run : hole_pages(mm, addr, left);
			err = hsv_extents_add(extents, HSV_EXTENT_HOLE, (u64)n << PAGE_SHIFT);
			if (err)
				break;
			hsv_system_uncharge(memory->hdev, n);
			missing += n;
			addr += (u64)n << PAGE_SHIFT;
			left -= n;
			continue;
		}
		if (i <= 0)
			break;
		n = i;
		atomic64_add(n, &mm->pinned_vm);
		for (i = 0; i < n; i++) {
			err = hsv_extents_add(extents, page_to_phys(pages[i]), PAGE_SIZE);
			if (err)
				break;
		}
		if (err) {
			unpin_user_pages(pages + i, n - i);
			atomic64_sub(n - i, &mm->pinned_vm);
			left -= i;
			break;
		}
		addr += (u64)n << PAGE_SHIFT;
		left -= n;
		cond_resched();
	}
	free_page((unsigned long)pages);
	if (holes) {
		*holes = missing;
		if (!err && missing == pages_in_all)
			err = -EFAULT;
	}
	if (err) {
		userptr_unpin(memory, extents);
		hsv_system_uncharge(memory->hdev, left);
	}
	/* A signal that interrupted the faults: as a kill, the program sees no other. */
	return err == -ERESTARTSYS || err == -EAGAIN ? -EINTR : err;
}

/*
 * Does the event change which pages the addresses have? Protection and soft-dirty don't, and at the
 * end of the mm it doesn't matter.
 */
static bool event_matters(const struct mmu_notifier_range *range)
{
	switch (range->event) {
	case MMU_NOTIFY_PROTECTION_VMA:
	case MMU_NOTIFY_PROTECTION_PAGE:
	case MMU_NOTIFY_SOFT_DIRTY:
	case MMU_NOTIFY_RELEASE:
		return false;
	default:
		return true;
	}
}

/* The process stays, and SVM requests wait, until restore_work has run. */
static void restore_done(struct hsv_process *process, bool svm)
{
	if (svm && atomic_dec_and_test(&process->svm_restoring))
		wake_up_all(&process->idle);
	hsv_process_put(process);
}

static void restore_queue(struct hsv_memory *memory)
{
	kref_get(&memory->process->ref);
	if (memory->svm)
		atomic_inc(&memory->process->svm_restoring);
	if (!queue_work(hsv_restore_wq, &memory->restore_work))
		restore_done(memory->process, memory->svm);
}

/*
 * What the host knows of the pages has changed. With wire held. While any of a process's buffers is without its pages the host lets no queue of it run.
 */
void hsv_userptr_state(struct hsv_memory *memory, int state)
{
	struct hsv_process *process = memory->process;

	if (memory->state != HSV_PAGES_INVALID && state == HSV_PAGES_INVALID && atomic_inc_return(&process->invalid) == 1)
		hsv_smi_queues_evicted(process, memory->svm);
	else if (memory->state == HSV_PAGES_INVALID && state != HSV_PAGES_INVALID && atomic_dec_and_test(&process->invalid))
		hsv_smi_queues_restored(process);
	memory->state = state;
}

/* Valid pages aren't any more: tells the host, and has them looked up again. With wire held. */
static void pages_invalid(struct hsv_memory *memory)
{
	struct hsv_memory_args args = {.handle = cpu_to_le64(memory->handle)};
	int err;

	memcpy(memory->invalidate->args, &args, sizeof(args));
	err = hsv_call_send(memory->invalidate, HSV_REQ_MEMORY_INVALIDATE, 0, sizeof(args), 0, false);
	/*
	 * Where the host knows no such buffer, or is gone, its GPU doesn't use the pages. If it just
	 * can't, they stay what the buffer has, and pinned: the GPU goes on with memory that is no
	 * longer at these addresses, but nobody else's either.
	 */
	if (!err || err == -EINVAL || err == -ESRCH || err == -ENODEV) {
		hsv_userptr_state(memory, HSV_PAGES_INVALID);
		restore_queue(memory);
	} else {
		drm_err_ratelimited(&memory->hdev->drm, "process %u: buffer %llx keeps its old pages (%d)\n",
				    memory->process->id, memory->handle, err);
	}
}

/* The part of [start, end) that is in the buffer, as numbers of its pages. False: none is. */
static bool part_of(const struct hsv_memory *memory, u64 start, u64 end, unsigned long *first, unsigned long *n)
{
	start = max(start, memory->user_addr);
	end = min(end, memory->user_addr + memory->size);
	if (start >= end)
		return false;
	*first = (start - memory->user_addr) >> PAGE_SHIFT;
	*n = PAGE_ALIGN(end - start) >> PAGE_SHIFT;
	return true;
}

/*
 * What there is in [start, end) is the SVM range's from now on, where the program had unmapped it before too. With memory_lock held.
 */
void hsv_userptr_refresh(struct hsv_memory *memory, u64 start, u64 end)
{
	unsigned long first, n;

	mutex_lock(&memory->wire);
	if (part_of(memory, start, end, &first, &n)) {
		bitmap_clear(memory->unmapped, first, n);
		memory->refreshes++;
		if (memory->holes && memory->state == HSV_PAGES_VALID)
			pages_invalid(memory);
	}
	mutex_unlock(&memory->wire);
}

static bool userptr_invalidate(struct mmu_interval_notifier *interval,
			       const struct mmu_notifier_range *range, unsigned long seq)
{
	struct hsv_memory *memory = container_of(interval, struct hsv_memory, interval);
	unsigned long first, n;
	bool theirs = false;

	if (!event_matters(range) || READ_ONCE(memory->process->dying))
		return true;
	if (!mmu_notifier_range_blockable(range))
		return false;
	mutex_lock(&memory->wire);
	mmu_interval_set_seq(interval, seq);
	if (memory->unmapped && part_of(memory, range->start, range->end, &first, &n)) {
		/* What isn't the range's any more may change as it likes. */
		theirs = find_next_zero_bit(memory->unmapped, first + n, first) >= first + n;
		if (range->event == MMU_NOTIFY_UNMAP)
			bitmap_set(memory->unmapped, first, n);
	}
	if (memory->state == HSV_PAGES_VALID && !theirs) {
		pages_invalid(memory);
		if (memory->unmapped && range->event == MMU_NOTIFY_UNMAP && memory->state == HSV_PAGES_INVALID)
			hsv_smi_unmap(memory->process, memory->user_addr + ((u64)first << PAGE_SHIFT), (u64)n << PAGE_SHIFT, range->event);
	}
	mutex_unlock(&memory->wire);
	return true;
}

static const struct mmu_interval_notifier_ops userptr_ops = {
	.invalidate = userptr_invalidate,
};

/*
 * With wire held: tells the host the pages anew. A call with too little room tells it that there
 * are none.
 */
static int restore_send(struct hsv_memory *memory, struct hsv_call *call,
			const struct hsv_extents *extents)
{
	struct hsv_memory_args args = {.handle = cpu_to_le64(memory->handle)};
	u32 n = min_t(u32, extents->n, HSV_EXTENTS_PER_CALL);
	int err;

	memcpy(call->args, &args, sizeof(args));
	if (n)
		memcpy(call->in, extents->v, n * sizeof(*extents->v));
	err = hsv_call_send(call, HSV_REQ_MEMORY_RESTORE, 0, sizeof(args), n * sizeof(*extents->v),
			    false);
	return err ? err : hsv_memory_extend(memory, call, extents, false);
}

/*
 * One attempt of restore_work. True when done. gone: whether the program has no such pages any
 * more.
 */
static bool userptr_restore(struct hsv_memory *memory, struct mm_struct *mm, bool *gone)
{
	struct hsv_extents old = {}, fresh = {};
	struct hsv_call *call = NULL;
	bool done = true, holes = false;
	unsigned long seq;
	u32 refreshes;
	int err;

	mutex_lock(&memory->wire);
	refreshes = memory->refreshes;
	if (memory->state == HSV_PAGES_INVALID) {
		old = memory->extents;
		memset(&memory->extents, 0, sizeof(memory->extents));
	}
	mutex_unlock(&memory->wire);
	userptr_unpin(memory, &old);

	seq = mmu_interval_read_begin(&memory->interval);
	err = userptr_pin(memory, mm, &fresh, memory->svm ? &holes : NULL);
	*gone = err;
	if (!err) {
		call = hsv_memory_call(memory, fresh.n, 0);
		if (!call)
			userptr_unpin(memory, &fresh);
	}
	mutex_lock(&memory->wire);
	if (memory->state != HSV_PAGES_INVALID) {
		*gone = false;
	} else if (mmu_interval_read_retry(&memory->interval, seq) || refreshes != memory->refreshes) {
		done = false;
	} else {
		err = restore_send(memory, call ? call : memory->invalidate, &fresh);
		/*
		 * Its GPU addresses are another buffer's by now, say: the program's doing. The host
		 * takes it for gone then.
		 */
		if (err)
			drm_dbg(&memory->hdev->drm,
				"process %u: buffer %llx can't be restored (%d)\n",
				memory->process->id, memory->handle, err);
		memory->extents = fresh;
		memset(&fresh, 0, sizeof(fresh));
		memory->holes = holes;
		hsv_userptr_state(memory, HSV_PAGES_VALID);
	}
	mutex_unlock(&memory->wire);
	userptr_unpin(memory, &fresh);
	hsv_call_put(call);
	return done;
}

static void userptr_restore_work(struct work_struct *work)
{
	struct hsv_memory *memory = container_of(work, struct hsv_memory, restore_work);
	struct hsv_process *process = memory->process;
	bool svm = memory->svm, gone = false;
	struct mm_struct *mm = process->mm;

	if (!READ_ONCE(process->dying) && mmget_not_zero(mm)) {
		/*
		 * A program may change its pages for ever, so one attempt a time: others have their
		 * turn, and it ends soon for who waits for it. An SVM range is nobody's to free: it
		 * goes with its addresses.
		 */
		if (!userptr_restore(memory, mm, &gone))
			restore_queue(memory);
		else if (gone && svm && !READ_ONCE(process->dying) && hsv_memory_take(memory))
			hsv_memory_end(memory);
		mmput_async(mm);
	}
	restore_done(process, svm);
}

/*
 * Pins the pages of a new USERPTR buffer, watches them and allocates on the host. Errors as
 * userptr_pin's and the host's; on -EINTR the pages stay pinned, since the host may use them.
 */
int hsv_userptr_alloc(struct hsv_memory *memory, struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	struct hsv_extents extents;
	struct hsv_call *call;
	unsigned long seq;
	int err;

	INIT_WORK(&memory->restore_work, userptr_restore_work);
	if (memory->svm) {
		/* No more than can be pinned. */
		if (memory->size >> PAGE_SHIFT > memory->hdev->system_limit)
			return -ENOMEM;
		memory->unmapped = kvcalloc(BITS_TO_LONGS(memory->size >> PAGE_SHIFT), sizeof(long), GFP_KERNEL_ACCOUNT);
		if (!memory->unmapped)
			return -ENOMEM;
	}
	memory->invalidate = hsv_memory_call(memory, 0, 0);
	if (!memory->invalidate)
		return -ENOMEM;
	err = mmu_interval_notifier_insert(&memory->interval, current->mm, memory->user_addr,
					   memory->size, &userptr_ops);
	if (err)
		return err == -EOVERFLOW ? -EINVAL : err;
	memory->registered = true;
	for (;;) {
		memset(&extents, 0, sizeof(extents));
		seq = mmu_interval_read_begin(&memory->interval);
		if (memory->svm)
			hsv_userptr_refresh(memory, memory->user_addr, memory->user_addr + memory->size);
		err = userptr_pin(memory, current->mm, &extents, NULL);
		if (err == -EINTR)
			return -ERESTARTSYS; /* nothing was sent, nothing is kept */
		if (err)
			return err;
		call = hsv_memory_call(memory, extents.n, 0);
		if (!call) {
			userptr_unpin(memory, &extents);
			return -ENOMEM;
		}
		mutex_lock(&memory->wire);
		if (!mmu_interval_read_retry(&memory->interval, seq))
			break;
		mutex_unlock(&memory->wire);
		userptr_unpin(memory, &extents);
		hsv_call_put(call);
		cond_resched();
	}
	err = hsv_memory_alloc_send(memory, call, args, &extents);
	if (!err || err == -EINTR) {
		memory->extents = extents;
		memset(&extents, 0, sizeof(extents));
		/* Without a handle nothing can be said about it; then current is dying. */
		hsv_userptr_state(memory, err ? HSV_PAGES_NONE : HSV_PAGES_VALID);
	}
	mutex_unlock(&memory->wire);
	userptr_unpin(memory, &extents);
	hsv_call_put(call);
	return err;
}

/*
 * Stops watching and unpins. The host must not use the pages any more. From restore_work itself it
 * may be called too.
 */
void hsv_userptr_close(struct hsv_memory *memory)
{
	if (memory->registered) {
		mmu_interval_notifier_remove(&memory->interval);
		memory->registered = false;
	}
	if (memory->invalidate) {
		/* In the work itself it may have been queued once more, but not from now on. */
		if (current_work() == &memory->restore_work
			    ? cancel_work(&memory->restore_work)
			    : cancel_work_sync(&memory->restore_work))
			restore_done(memory->process, memory->svm);
		hsv_call_put(memory->invalidate);
		memory->invalidate = NULL;
	}
	kvfree(memory->unmapped);
	memory->unmapped = NULL;
	userptr_unpin(memory, &memory->extents);
}
