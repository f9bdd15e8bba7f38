// SPDX-License-Identifier: GPL-2.0
/*
 * svm.c - pageable memory (XNACK on): the GPU uses whatever memory its program has, and asks for
 * pages when it needs them.
 *
 * A page request of the host (HSV_EVENT_PAGES) becomes a work item, which faults the pages in as a
 * remote access with the program's rights would (hmm_range_fault: copy on write, swap, files,
 * shared memory, huge pages) and answers with where they are now (HSV_REQ_PAGES). Nothing is pinned
 * and no reference is kept: what the host was told holds until the MMU notifier takes it back
 * (HSV_REQ_PAGES_INVALIDATE), which the kernel waits for before it changes or frees a page. The GPU
 * may write a page only while the CPU could without a fault, so that copy on write and the
 * write-protection of pages under writeback hold for it, too. (Memory protection keys are a
 * thread's; as in all remote accesses they don't count. Ranges of userfaultfd, and mappings that
 * aren't made of pages, such as our own VRAM's, are a fault.)
 *
 * The address space is cut in chunks that come into being when the GPU first needs something in
 * them. Each has an interval notifier, so that the kernel passes by the rest of the address space
 * without asking us; a bitmap of the pages that the host may know, so that what happens to others
 * in it costs no message; and a mutex wire, held while the host is told about its pages, and until
 * it has answered. An answer is made of what the page table said between a read of the notifier's
 * sequence number and a check of it under wire: an invalidation comes either before the check,
 * which then fails, or has to wait for the answer.
 *
 * Chunks stay until the process ends. At the end of the mm, and only then, all pages go with one
 * message: nobody can be adding any, for that needs a reference of the mm.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/hmm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hsv.h"

#define CHUNK_SHIFT 26
#define CHUNK_SIZE  (1ULL << CHUNK_SHIFT)
#define CHUNK_PAGES (CHUNK_SIZE >> PAGE_SHIFT)

/* What is looked at, at once: what a huge page has. */
#define WINDOW	     (2ULL << 20)
#define WINDOW_PAGES (WINDOW >> PAGE_SHIFT)
/* Most that is faulted in for one request, which may ask for anything. */
#define MOST_ASKED (8ULL << 20)
/* What a GPU can address of a program. */
#define SVM_END (1ULL << 47)

/* Tries in a row while the program's pages change; then others have their turn. */
#define TRIES 16

struct svm_chunk {
	struct hsv_process *process; /* lives longer */
	u64 start;
	struct mmu_interval_notifier interval;
	struct mutex wire;
	struct hsv_call *invalidate; /* made beforehand; under wire */
	DECLARE_BITMAP(known, CHUNK_PAGES); /* to the host, maybe; under wire */
};

/* What a thread that looks for pages needs; kept for the next one. */
struct hsv_svm_tools {
	struct list_head link;
	struct hsv_call *call;
	unsigned long pfns[WINDOW_PAGES];
};

/* Pages to be told. */
struct want {
	u64 va, size; /* at least the page of va; all of size as far as it can be had */
	bool write;
	bool asked; /* by the host; else what it knows is passed by, and nothing is missed */
};

/* ---- chunks ---- */

/*
 * The process on the host is no more, with all its pages: when it can't be told that some of them
 * aren't its own any longer.
 */
static void svm_abandon(struct hsv_process *process, struct hsv_call *call, int why)
{
	int err;

	drm_err(&process->hdev->drm, "process %u: pages can't be taken back (%d): it ends\n",
		process->id, why);
	err = hsv_call_send(call, HSV_REQ_PROCESS_DESTROY, 0, 0, 0, false);
	if (err && err != -ESRCH && err != -ENODEV)
		drm_err(&process->hdev->drm, "process %u: the host can't end it (%d)\n",
			process->id, err);
	hsv_events_device_lost(process);
}

/* With the chunk's wire held, or at the end of the mm. */
static void invalidate_send(struct svm_chunk *chunk, u64 va, u64 size)
{
	struct hsv_pages_args args = {.va = cpu_to_le64(va), .size = cpu_to_le64(size)};
	int err;

	memcpy(chunk->invalidate->args, &args, sizeof(args));
	err = hsv_call_send(chunk->invalidate, HSV_REQ_PAGES_INVALIDATE, 0, sizeof(args), 0, false);
	if (err && err != -ESRCH && err != -ENODEV)
		svm_abandon(chunk->process, chunk->invalidate, err);
}

/* The known pages of [start, end), from the first to the last, into *first and *last. */
static bool known_span(const struct svm_chunk *chunk, u64 start, u64 end, unsigned long *first,
		       unsigned long *last)
{
	unsigned long from = 0, to = CHUNK_PAGES;

	if (start > chunk->start)
		from = (start - chunk->start) >> PAGE_SHIFT;
	if (end < chunk->start + CHUNK_SIZE)
		to = (PAGE_ALIGN(end) - chunk->start) >> PAGE_SHIFT;
	*first = find_next_bit(chunk->known, to, from);
	if (*first >= to)
		return false;
	*last = find_last_bit(chunk->known, to);
	return true;
}

static bool chunk_invalidate(struct mmu_interval_notifier *interval,
			     const struct mmu_notifier_range *range, unsigned long seq)
{
	struct svm_chunk *chunk = container_of(interval, struct svm_chunk, interval);
	struct hsv_svm *svm = &chunk->process->svm;
	unsigned long first, last;
	u64 va, size;

	if (range->event == MMU_NOTIFY_RELEASE) {
		if (!test_and_set_bit(0, &svm->released)) {
			mutex_lock(&chunk->wire);
			invalidate_send(chunk, 0, SVM_END);
			mutex_unlock(&chunk->wire);
		}
		return true;
	}
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&chunk->wire);
	else if (!mutex_trylock(&chunk->wire))
		return false;
	if (known_span(chunk, range->start, range->end, &first, &last)) {
		if (!mmu_notifier_range_blockable(range)) {
			mutex_unlock(&chunk->wire);
			return false;
		}
		mmu_interval_set_seq(interval, seq);
		va = chunk->start + ((u64)first << PAGE_SHIFT);
		size = (u64)(last - first + 1) << PAGE_SHIFT;
		invalidate_send(chunk, va, size);
		hsv_smi_unmap(chunk->process, va, size, range->event);
		bitmap_clear(chunk->known, first, last - first + 1);
	} else {
		mmu_interval_set_seq(interval, seq);
	}
	mutex_unlock(&chunk->wire);
	return true;
}

/* Takes [start, end) from the GPUs, which ask for it anew when they need it: nothing happened to the pages. The process is at work (svm_enter()). */
static void svm_forget(struct hsv_process *process, u64 start, u64 end)
{
	unsigned long index, first, last;
	struct svm_chunk *chunk;

	xa_for_each_range(&process->svm.chunks, index, chunk, start >> CHUNK_SHIFT, (end - 1) >> CHUNK_SHIFT) {
		mutex_lock(&chunk->wire);
		if (known_span(chunk, start, end, &first, &last)) {
			invalidate_send(chunk, chunk->start + ((u64)first << PAGE_SHIFT), (u64)(last - first + 1) << PAGE_SHIFT);
			bitmap_clear(chunk->known, first, last - first + 1);
		}
		mutex_unlock(&chunk->wire);
	}
}

static const struct mmu_interval_notifier_ops chunk_ops = {
	.invalidate = chunk_invalidate,
};

static void chunk_free(struct svm_chunk *chunk)
{
	hsv_call_put(chunk->invalidate);
	hsv_system_uncharge(chunk->process->hdev, HSV_MEMORY_OVERHEAD);
	kfree(chunk);
}

static struct svm_chunk *chunk_new(struct hsv_process *process, struct mm_struct *mm, u64 start)
{
	struct svm_chunk *chunk;
	int err = -ENOMEM;

	if (hsv_system_charge(process->hdev, HSV_MEMORY_OVERHEAD))
		return ERR_PTR(-ENOMEM);
	chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk) {
		hsv_system_uncharge(process->hdev, HSV_MEMORY_OVERHEAD);
		return ERR_PTR(-ENOMEM);
	}
	chunk->process = process;
	chunk->start = start;
	mutex_init(&chunk->wire);
	chunk->invalidate = hsv_call_new(process->hdev, process, 0, 0);
	if (chunk->invalidate)
		err = mmu_interval_notifier_insert(&chunk->interval, mm, start, CHUNK_SIZE,
						   &chunk_ops);
	if (err) {
		chunk_free(chunk);
		return ERR_PTR(err);
	}
	return chunk;
}

/* The chunk that va is in, made if there is none. A reference of the mm and one of active are held. */
static struct svm_chunk *chunk_get(struct hsv_process *process, struct mm_struct *mm, u64 va)
{
	struct hsv_svm *svm = &process->svm;
	unsigned long index = va >> CHUNK_SHIFT;
	struct svm_chunk *chunk = xa_load(&svm->chunks, index);
	int err;

	if (chunk)
		return chunk;
	mutex_lock(&svm->lock);
	chunk = xa_load(&svm->chunks, index);
	if (!chunk) {
		chunk = chunk_new(process, mm, (u64)index << CHUNK_SHIFT);
		err = IS_ERR(chunk) ? 0
				    : xa_err(xa_store(&svm->chunks, index, chunk,
						      GFP_KERNEL_ACCOUNT));
		if (err) {
			mmu_interval_notifier_remove(&chunk->interval);
			chunk_free(chunk);
			chunk = ERR_PTR(err);
		}
	}
	mutex_unlock(&svm->lock);
	return chunk;
}

/* ---- who is at work ---- */

/* False: the process is ending. Otherwise it stays until svm_exit(). */
static bool svm_enter(struct hsv_process *process)
{
	atomic_inc(&process->svm.active);
	smp_mb__after_atomic(); /* against dying, which is set before active is waited for */
	if (!READ_ONCE(process->dying))
		return true;
	if (atomic_dec_and_test(&process->svm.active))
		wake_up_all(&process->idle);
	return false;
}

/* The caller has a reference of the process. */
static void svm_exit(struct hsv_process *process)
{
	if (atomic_dec_and_test(&process->svm.active))
		wake_up_all(&process->idle);
}

static struct hsv_svm_tools *tools_get(struct hsv_process *process)
{
	struct hsv_svm *svm = &process->svm;
	struct hsv_svm_tools *tools;

	spin_lock(&svm->spare_lock);
	tools = list_first_entry_or_null(&svm->spare, struct hsv_svm_tools, link);
	if (tools)
		list_del(&tools->link);
	spin_unlock(&svm->spare_lock);
	if (tools)
		return tools;
	tools = kvmalloc(sizeof(*tools), GFP_KERNEL_ACCOUNT);
	if (!tools)
		return NULL;
	tools->call = hsv_call_new(process->hdev, process,
				   WINDOW_PAGES * sizeof(struct hsv_extent), 0);
	if (!tools->call) {
		kvfree(tools);
		return NULL;
	}
	return tools;
}

static void tools_put(struct hsv_process *process, struct hsv_svm_tools *tools)
{
	struct hsv_svm *svm = &process->svm;

	spin_lock(&svm->spare_lock);
	list_add(&tools->link, &svm->spare);
	spin_unlock(&svm->spare_lock);
}

/*
 * Requests that wait for their work are in slots; a slot is free from when its work has begun. The
 * host has at most as many requests unanswered as there are slots, so there is room for each, if
 * those that were answered along with another one leave theirs before the host has that answer.
 */
static bool slot_put(struct hsv_process *process, const struct hsv_page_range *range)
{
	struct hsv_svm *svm = &process->svm;
	struct hsv_page_request *slot = NULL;
	u32 i;

	spin_lock(&svm->slots_lock);
	for (i = 0; i < HSV_MAX_PAGE_REQUESTS && !slot; i++) {
		if (!svm->slots[i].used)
			slot = &svm->slots[i];
	}
	if (slot) {
		slot->used = true;
		slot->range = *range;
		if (!slot->queued) {
			/* What the work has until it has run. */
			slot->queued = true;
			atomic_inc(&svm->active);
			kref_get(&process->ref);
			queue_work(hsv_restore_wq, &slot->work);
		}
	}
	spin_unlock(&svm->slots_lock);
	return slot;
}

/* Takes the requests that an answer for [va, end) answers too into list, and returns their number. */
static u32 slots_take(struct hsv_process *process, u64 va, u64 end, struct hsv_page_range *list)
{
	struct hsv_svm *svm = &process->svm;
	u32 i, n = 0;

	spin_lock(&svm->slots_lock);
	for (i = 0; i < HSV_MAX_PAGE_REQUESTS; i++) {
		struct hsv_page_request *slot = &svm->slots[i];

		if (slot->used && slot->range.va >= va && slot->range.va < end) {
			list[n++] = slot->range;
			slot->used = false;
		}
	}
	spin_unlock(&svm->slots_lock);
	return n;
}

/* Sends the tools' call, which is an answer for [va, end). */
static int answer_send(struct hsv_process *process, struct hsv_svm_tools *tools, u64 va, u64 end,
		       u32 extents)
{
	struct hsv_page_range taken[HSV_MAX_PAGE_REQUESTS];
	u32 n = slots_take(process, va, end, taken);
	int err = hsv_call_send(tools->call, HSV_REQ_PAGES, 0, sizeof(struct hsv_pages_args),
				extents * sizeof(struct hsv_extent), false);

	if (!err || err == -EADDRINUSE || err == -ENODEV || err == -ESRCH) {
		while (!err && extents && n)
			hsv_smi_page_fault_end(process, taken[--n].va);
		return err;
	}
	while (n)
		slot_put(process, &taken[--n]);
	return err;
}

/* ---- telling ---- */

static int error_send(struct hsv_process *process, struct hsv_svm_tools *tools, u64 va, bool write,
		      int error)
{
	struct hsv_pages_args args = {
		.va = cpu_to_le64(va),
		.size = cpu_to_le64(PAGE_SIZE),
		.prot = cpu_to_le32(HSV_PAGES_READ | (write ? HSV_PAGES_WRITE : 0)),
		.error = cpu_to_le32(-error),
	};

	memcpy(tools->call->args, &args, sizeof(args));
	return answer_send(process, tools, va, va + PAGE_SIZE, 0);
}

/*
 * What the GPU may write is dirty from now on: the page table need not say so. Pages of files that
 * are written back were marked when they were made writable, and are made read-only again before
 * they are clean.
 */
static void mark_dirty(unsigned long pfn)
{
	struct folio *folio = page_folio(hmm_pfn_to_page(pfn));

	if (folio_test_swapbacked(folio) && !folio_test_dirty(folio))
		folio_mark_dirty(folio);
}

/*
 * Tells the host the pages [va, end), which are all there with the same right; pfns is va's. With
 * wire held and the sequence number checked.
 */
static int run_send(struct svm_chunk *chunk, struct hsv_svm_tools *tools, u64 va, u64 end,
		    const unsigned long *pfns)
{
	bool write = pfns[0] & HMM_PFN_WRITE;
	struct hsv_pages_args args = {
		.va = cpu_to_le64(va),
		.size = cpu_to_le64(end - va),
		.prot = cpu_to_le32(HSV_PAGES_READ | HSV_PAGES_EXEC |
				    (write ? HSV_PAGES_WRITE : 0)),
	};
	struct hsv_extent *v = tools->call->in;
	u64 i, n = (end - va) >> PAGE_SHIFT, next = 0;
	u32 extents = 0;

	for (i = 0; i < n; i++) {
		u64 addr = hsv_page_addr(chunk->process->hdev, hmm_pfn_to_page(pfns[i]));

		if (write)
			mark_dirty(pfns[i]);
		if (extents && addr == next) {
			le64_add_cpu(&v[extents - 1].size, PAGE_SIZE);
		} else {
			v[extents].addr = cpu_to_le64(addr);
			v[extents++].size = cpu_to_le64(PAGE_SIZE);
		}
		next = addr + PAGE_SIZE;
	}
	bitmap_set(chunk->known, (va - chunk->start) >> PAGE_SHIFT, n);
	memcpy(tools->call->args, &args, sizeof(args));
	return answer_send(chunk->process, tools, va, end, extents);
}

/* The page is there, with the rights of the run's first page, and the host doesn't know it. */
static bool joins(const struct svm_chunk *chunk, u64 va, unsigned long pfn, unsigned long first)
{
	return pfn & HMM_PFN_VALID && !(pfn & HMM_PFN_ERROR) &&
	       (pfn & HMM_PFN_WRITE) == (first & HMM_PFN_WRITE) &&
	       !test_bit((va - chunk->start) >> PAGE_SHIFT, chunk->known);
}

/*
 * Tells the page of va with as many as fit around it, in [start, end), whose pfns these are. A
 * buffer may be in the way (EADDRINUSE), or the host be short of memory: then fewer do, down to the
 * one page. *to: where that ends. With wire held. Who waits for the page is answered unless an error
 * is returned.
 */
static int page_send(struct svm_chunk *chunk, struct hsv_svm_tools *tools, u64 start, u64 end,
		     u64 va, u64 asked_end, u64 *to)
{
	const unsigned long *pfns = tools->pfns;
	unsigned long first = pfns[(va - start) >> PAGE_SHIFT];
	u64 from = va;
	int err;

	*to = va + PAGE_SIZE;
	while (from > start && joins(chunk, from - PAGE_SIZE,
				     pfns[(from - PAGE_SIZE - start) >> PAGE_SHIFT], first))
		from -= PAGE_SIZE;
	while (*to < end && joins(chunk, *to, pfns[(*to - start) >> PAGE_SHIFT], first))
		*to += PAGE_SIZE;
	err = run_send(chunk, tools, from, *to, pfns + ((from - start) >> PAGE_SHIFT));
	if (err && err != -ENODEV && err != -ESRCH && (from < va || *to > asked_end)) {
		from = va;
		*to = min(*to, asked_end);
		err = run_send(chunk, tools, va, *to, pfns + ((va - start) >> PAGE_SHIFT));
	}
	if (err && err != -ENODEV && err != -ESRCH && *to - from > PAGE_SIZE) {
		*to = va + PAGE_SIZE;
		err = run_send(chunk, tools, va, *to, pfns + ((va - start) >> PAGE_SHIFT));
	}
	/* In use: the GPU finds the buffer. Gone: it needs nothing any more. */
	return err == -EADDRINUSE || err == -ENODEV || err == -ESRCH ? 0 : err;
}

/* ---- looking ---- */

/*
 * Faults [va, end) in, as far as it can be had, the first page at least. The mmap lock is held.
 * -EBUSY: something changed meanwhile.
 */
static int pages_fault(struct svm_chunk *chunk, struct hsv_svm_tools *tools, unsigned long seq,
		       u64 va, u64 end, bool write)
{
	struct hmm_range range = {
		.notifier = &chunk->interval,
		.notifier_seq = seq,
		.start = va,
		.end = end,
		.hmm_pfns = tools->pfns,
		.default_flags = HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0),
	};
	int err = hmm_range_fault(&range);

	if (err && err != -EBUSY && end - va > PAGE_SIZE) {
		/* Something further on, behind the end of a file say. */
		range.end = va + PAGE_SIZE;
		err = hmm_range_fault(&range);
	}
	return err;
}

/* What of [start, end) is there now; nothing is faulted in. */
static int pages_look(struct svm_chunk *chunk, struct hsv_svm_tools *tools, unsigned long seq,
		      u64 start, u64 end)
{
	struct hmm_range range = {
		.notifier = &chunk->interval,
		.notifier_seq = seq,
		.start = start,
		.end = end,
		.hmm_pfns = tools->pfns,
	};

	return hmm_range_fault(&range);
}

/* The VMA of va, if a GPU can use it: -EFAULT, -EPERM. With the mmap lock held. */
static int vma_check(struct vm_area_struct *vma, bool write)
{
	if (!vma || vma->vm_flags & (VM_IO | VM_PFNMAP) || !(vma->vm_flags & VM_READ))
		return -EFAULT;
	return write && !(vma->vm_flags & VM_WRITE) ? -EPERM : 0;
}

/*
 * One try at what is wanted, within the block of va. 0: told, up to *end; -EBUSY: try again; else an
 * error of the page of va: -EFAULT, -EPERM, -ENOMEM, or the host's.
 */
static int window_try(struct hsv_process *process, struct mm_struct *mm,
		      struct hsv_svm_tools *tools, struct want *want, u64 *end)
{
	u64 va = want->va, start = round_down(va, WINDOW), asked_end = va, at = va, to;
	bool write = want->write;
	struct vm_area_struct *vma;
	struct svm_chunk *chunk;
	unsigned long seq;
	int err;

	*end = start + WINDOW;
	if (va >= SVM_END)
		return -EFAULT;
	/* No chunk for an address that nothing is at. */
	mmap_read_lock(mm);
	err = vma_check(vma_lookup(mm, va), write);
	mmap_read_unlock(mm);
	if (err)
		return err;
	chunk = chunk_get(process, mm, va);
	if (IS_ERR(chunk))
		return PTR_ERR(chunk);

	seq = mmu_interval_read_begin(&chunk->interval);
	mmap_read_lock(mm);
	vma = vma_lookup(mm, va);
	err = vma_check(vma, write);
	if (!err) {
		start = max(start, (u64)vma->vm_start);
		*end = min(*end, (u64)vma->vm_end);
		asked_end = min(*end, va + want->size);
		err = pages_fault(chunk, tools, seq, va, asked_end, write);
		if (!err)
			err = pages_look(chunk, tools, seq, start, *end);
	}
	mmap_read_unlock(mm);

	mutex_lock(&chunk->wire);
	if (err == -EBUSY || mmu_interval_read_retry(&chunk->interval, seq)) {
		err = -EBUSY;
		goto unlock;
	}
	if (err)
		goto unlock;
	for (; at < asked_end; at = to) {
		unsigned long pfn = tools->pfns[(at - start) >> PAGE_SHIFT];
		bool there = pfn & HMM_PFN_VALID && !(pfn & HMM_PFN_ERROR);

		to = at + PAGE_SIZE;
		if (at == va && want->asked) {
			/* It went meanwhile, by a way the notifier isn't told of. */
			if (!there || (write && !(pfn & HMM_PFN_WRITE))) {
				err = -EBUSY;
				break;
			}
		} else if (!there || test_bit((at - chunk->start) >> PAGE_SHIFT, chunk->known)) {
			continue;
		}
		err = page_send(chunk, tools, start, *end, at, asked_end, &to);
		if (err)
			break;
	}
	/* Of pages nobody waits for, none is missed. */
	if (err != -EBUSY && (at != va || !want->asked))
		err = 0;
unlock:
	mutex_unlock(&chunk->wire);
	return err;
}

/*
 * Tells as much as can be had of what nobody waits for. A signal that kills current ends it, and the
 * process's end.
 */
static void svm_populate(struct hsv_process *process, struct mm_struct *mm,
			 struct hsv_svm_tools *tools, u64 va, u64 end, bool write)
{
	struct want want = {};
	struct vm_area_struct *vma;
	bool writable = false;
	u64 to, vma_end = 0;
	int err, tries = 0;

	while (va < end && !READ_ONCE(process->dying) && !fatal_signal_pending(current)) {
		mmap_read_lock(mm);
		vma = find_vma(mm, va);
		if (vma) {
			va = max(va, (u64)vma->vm_start);
			vma_end = vma->vm_end;
			writable = vma->vm_flags & VM_WRITE;
		}
		mmap_read_unlock(mm);
		if (!vma || va >= end)
			break;
		want = (struct want){.va = va, .size = end - va, .write = write && writable};
		err = window_try(process, mm, tools, &want, &to);
		if (err == -EBUSY && ++tries < TRIES) {
			cond_resched();
			continue;
		}
		tries = 0;
		va = min(to, vma_end);
	}
}

static void preferred_move(struct hsv_process *process, struct mm_struct *mm, u64 va, u64 end);

/* ---- requests of the host ---- */

/*
 * Has a thread of the program the mm still? References of ours alone must not keep it: a GPU that
 * always asks for more would never let it go.
 */
static bool program_lives(struct hsv_process *process)
{
	struct task_struct *thread;
	bool lives = false;

	rcu_read_lock();
	for_each_thread(process->lead, thread) {
		if (READ_ONCE(thread->mm) == process->mm) {
			lives = true;
			break;
		}
	}
	rcu_read_unlock();
	return lives;
}

/* False: to be tried again. */
static bool request_serve(struct hsv_process *process, struct mm_struct *mm,
			  struct hsv_svm_tools *tools, const struct hsv_page_range *range)
{
	u64 size = min(range->size, MOST_ASKED), end, asked_end;
	struct want want = {
		.va = range->va & PAGE_MASK,
		.write = range->prot & HSV_PAGES_WRITE,
		.asked = true,
	};
	int err, i;

	asked_end = want.va + PAGE_SIZE;
	if (want.va < SVM_END) {
		asked_end = min(PAGE_ALIGN(range->va + max(size, 1ULL)), SVM_END);
		preferred_move(process, mm, want.va, asked_end);
	}
	want.size = asked_end - want.va;
	for (i = 0; i < TRIES; i++) {
		err = window_try(process, mm, tools, &want, &end);
		if (err != -EBUSY)
			break;
		cond_resched();
	}
	if (err == -EBUSY)
		return false;
	if (err) {
		drm_dbg(&process->hdev->drm, "process %u: no page at %llx for the GPU (%d)\n",
			process->id, want.va, err);
		err = error_send(process, tools, want.va, want.write, err);
		if (err && err != -ESRCH && err != -ENODEV)
			drm_err_ratelimited(&process->hdev->drm,
					    "process %u: a page request isn't answered (%d)\n",
					    process->id, err);
	} else {
		hsv_smi_page_fault_end(process, want.va);
		if (end < asked_end)
			svm_populate(process, mm, tools, end, asked_end, want.write);
	}
	return true;
}

static void request_work(struct work_struct *work)
{
	struct hsv_page_request *slot = container_of(work, struct hsv_page_request, work);
	struct hsv_process *process = slot->process;
	struct hsv_svm *svm = &process->svm;
	struct mm_struct *mm = process->mm;
	struct hsv_svm_tools *tools;
	struct hsv_page_range range;
	bool used, done = false;

	spin_lock(&svm->slots_lock);
	used = slot->used;
	range = slot->range;
	slot->used = false;
	slot->queued = false;
	spin_unlock(&svm->slots_lock);

	/* Who ends or has ended needs no answer. */
	if (used && !READ_ONCE(process->dying) && program_lives(process) && mmget_not_zero(mm)) {
		tools = tools_get(process);
		if (tools) {
			done = request_serve(process, mm, tools, &range);
			tools_put(process, tools);
		}
		if (!done) {
			msleep(1);
			slot_put(process, &range);
		}
		mmput_async(mm);
	}
	svm_exit(process);
	hsv_process_put(process);
}

/* HSV_EVENT_PAGES. */
void hsv_svm_request(struct hsv_process *process, const struct hsv_event *event)
{
	struct hsv_page_range range = {
		.va = le64_to_cpu(event->pages.va),
		.size = le64_to_cpu(event->pages.size),
		.prot = le32_to_cpu(event->pages.prot),
	};

	if (!svm_enter(process))
		return;
	hsv_smi_page_fault(process, range.va, range.prot & HSV_PAGES_WRITE);
	if (!slot_put(process, &range))
		drm_err_ratelimited(&process->hdev->drm,
				    "process %u: more page requests than allowed\n", process->id);
	svm_exit(process);
}

/* ---- ioctls ---- */

/* SET_XNACK_MODE. Errors are the host's: -EPERM, -EBUSY (there are queues). */
long hsv_ioctl_set_xnack_mode(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_set_xnack_mode_args *args = data;
	struct hsv_svm *svm = &process->svm;
	bool on = args->xnack_enabled > 0, asks = args->xnack_enabled < 0;
	/* Nothing says of memory where it is to be any more. */
	const struct hsv_migration back = {
		.end = SVM_END,
		.prefetch = KFD_IOCTL_SVM_LOCATION_UNDEFINED,
		.preferred = KFD_IOCTL_SVM_LOCATION_UNDEFINED,
		.trigger = KFD_MIGRATE_TRIGGER_PREFETCH,
	};
	struct svm_chunk *chunk;
	unsigned long index;
	long err;

	if (mutex_lock_killable(&svm->mode_lock))
		return -EINTR;
	err = hsv_kfd_forward(process, _IOC_NR(AMDKFD_IOC_SET_XNACK_MODE), args);
	if (!err && !asks) {
		WRITE_ONCE(svm->on, on);
		if (!on && svm_enter(process)) {
			/* The host has forgotten all pages. */
			xa_for_each(&svm->chunks, index, chunk) {
				mutex_lock(&chunk->wire);
				bitmap_zero(chunk->known, CHUNK_PAGES);
				mutex_unlock(&chunk->wire);
			}
			svm_exit(process);
		}
		if (!on)
			hsv_migrate(process, current->mm, &back);
	}
	mutex_unlock(&svm->mode_lock);
	return err;
}

/* -EFAULT if not all of [start, end) is memory of current's that a GPU can use. */
int hsv_svm_check(u64 start, u64 end)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int err = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	while (!err && start < end) {
		vma = vma_lookup(mm, start);
		if (!vma || vma->vm_flags & (VM_IO | VM_PFNMAP))
			err = -EFAULT;
		else
			start = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return err;
}

/* ---- where memory is ---- */

/* The GPU is about to need [start, end) of current's memory: what can be had is told. */
static void svm_prefetch(struct hsv_process *process, u64 start, u64 end)
{
	struct hsv_svm_tools *tools = tools_get(process);

	if (!tools)
		return;
	svm_populate(process, current->mm, tools, start, end, true);
	tools_put(process, tools);
}

/* The preferred location of va; [*start, *end): where it is the same, if there is one. */
static u32 preferred_at(struct hsv_process *process, u64 va, u64 *start, u64 *end)
{
	MA_STATE(mas, &process->svm.preferred, va >> PAGE_SHIFT, va >> PAGE_SHIFT);
	u32 location = KFD_IOCTL_SVM_LOCATION_UNDEFINED;
	void *entry;

	rcu_read_lock();
	entry = mas_walk(&mas);
	if (entry) {
		location = xa_to_value(entry);
		*start = (u64)mas.index << PAGE_SHIFT;
		*end = ((u64)mas.last + 1) << PAGE_SHIFT;
	}
	rcu_read_unlock();
	return location;
}

/* The GPU needs [va, end): what of its block has a preferred location in VRAM goes there first. */
static void preferred_move(struct hsv_process *process, struct mm_struct *mm, u64 va, u64 end)
{
	u64 start = 0, stop = 0;
	struct hsv_migration move = {
		.preferred = preferred_at(process, va, &start, &stop),
		.prefetch = KFD_IOCTL_SVM_LOCATION_UNDEFINED,
		.trigger = KFD_MIGRATE_TRIGGER_PAGEFAULT_GPU,
	};

	struct hsv_gpu *gpu = hsv_gpu_by_id(process->hdev, move.preferred);

	if (!gpu || !hsv_migrate_has_room(gpu))
		return;
	move.to = move.preferred;
	move.start = max(start, round_down(va, WINDOW));
	move.end = min(stop, max(end, round_down(va, WINDOW) + WINDOW));
	hsv_migrate(process, mm, &move);
}

static void svm_move(struct hsv_process *process, u64 start, u64 end, u32 to, u32 prefetch)
{
	u64 from, stop;
	struct hsv_migration move = {
		.start = start,
		.end = end,
		.to = to,
		.prefetch = prefetch,
		.preferred = preferred_at(process, start, &from, &stop),
		.trigger = KFD_MIGRATE_TRIGGER_PREFETCH,
	};

	hsv_migrate(process, current->mm, &move);
}

/*
 * [start, end) of current's memory has got these attributes: what is prefetched moves now, and what is preferred in the system's memory; what is preferred in
 * VRAM moves when a GPU needs it, also what they have seen where it is now.
 */
void hsv_svm_locate(struct hsv_process *process, u64 start, u64 end,
		    const struct kfd_ioctl_svm_attribute *attrs, u32 n)
{
	struct hsv_svm *svm = &process->svm;
	u32 i;

	if (!svm_enter(process))
		return;
	for (i = 0; i < n; i++) {
		u32 location = attrs[i].value;

		if (attrs[i].type == KFD_IOCTL_SVM_ATTR_PREFERRED_LOC) {
			/* Without memory for it none is preferred. */
			mtree_store_range(&svm->preferred, start >> PAGE_SHIFT,
					  (end >> PAGE_SHIFT) - 1, xa_mk_value(location),
					  GFP_KERNEL_ACCOUNT);
			if (location == KFD_IOCTL_SVM_LOCATION_SYSMEM)
				svm_move(process, start, end, 0, KFD_IOCTL_SVM_LOCATION_UNDEFINED);
			else if (hsv_gpu_by_id(process->hdev, location))
				svm_forget(process, start, end);
		} else if (attrs[i].type == KFD_IOCTL_SVM_ATTR_PREFETCH_LOC) {
			svm_move(process, start, end, location, location);
			if (location)
				svm_prefetch(process, start, end);
		}
	}
	svm_exit(process);
}

/* ---- life ---- */

void hsv_svm_init(struct hsv_process *process)
{
	struct hsv_svm *svm = &process->svm;
	u32 i;

	mutex_init(&svm->lock);
	mutex_init(&svm->mode_lock);
	xa_init(&svm->chunks);
	mt_init_flags(&svm->preferred, MT_FLAGS_USE_RCU);
	atomic_set(&svm->active, 0);
	spin_lock_init(&svm->spare_lock);
	INIT_LIST_HEAD(&svm->spare);
	spin_lock_init(&svm->slots_lock);
	for (i = 0; i < HSV_MAX_PAGE_REQUESTS; i++) {
		svm->slots[i].process = process;
		INIT_WORK(&svm->slots[i].work, request_work);
	}
}

/* The host has ended its side: stops watching, and frees all. Sleeps. */
void hsv_svm_end(struct hsv_process *process)
{
	struct hsv_svm *svm = &process->svm;
	struct hsv_svm_tools *tools, *next;
	struct svm_chunk *chunk;
	unsigned long index;

	wait_event(process->idle, !atomic_read(&svm->active));
	xa_for_each(&svm->chunks, index, chunk) {
		mmu_interval_notifier_remove(&chunk->interval);
		xa_erase(&svm->chunks, index);
		chunk_free(chunk);
		cond_resched();
	}
	list_for_each_entry_safe(tools, next, &svm->spare, link) {
		hsv_call_put(tools->call);
		kvfree(tools);
	}
	INIT_LIST_HEAD(&svm->spare);
	xa_destroy(&svm->chunks);
	mtree_destroy(&svm->preferred);
}
