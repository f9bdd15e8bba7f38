// SPDX-License-Identifier: GPL-2.0
/*
 * migrate.c - pages of programs in VRAM: anonymous memory that was prefetched to the GPU, or is preferred there, with XNACK on.
 *
 * The VRAM region gets struct pages (MEMORY_DEVICE_COHERENT), when it is first needed. A page there is an ordinary one for the program: the CPU reads and
 * writes it through the region without a fault, it is shared by fork and copied on write, moved by mremap, protected and freed as any other. It isn't
 * swapped, merged or made part of a huge page, and who pins it for long moves it back first (all by the kernel).
 *
 * VRAM is taken from the host in chunks (HSV_REQ_VRAM_TAKE), of at most 2 MiB, so that the tenant's quota counts it, and given back when a chunk has no page
 * left. Chunks are the device's, not a process's: a child of fork has pages of a parent that is gone. When there is no VRAM, pages stay where they are.
 *
 * A move is the kernel's migrate_vma_*(): it unmaps pages everywhere (the MMU notifier takes them from the GPUs, see svm.c), here they are copied, then they
 * are mapped at their new place. Pages in use by somebody else meanwhile are passed by.
 *
 * A chunk's pages are moved back when a buffer needs its VRAM, when the host wants all VRAM unmapped (vram.c) and when the device goes or is lost; this finds their
 * programs by the pages (migrate_device_range()).
 *
 * vp->lock is taken where the last reference of a page is dropped, in interrupts even; that's why chunks are given back by a work item, with a call that was
 * made beforehand.
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>

#include "hsv.h"

#define CHUNK_PAGES 512
/* Chunks are multiples of this. */
#define CHUNK_STEP 16
/* What is moved at once: what a huge page has. */
#define WINDOW	     (2ULL << 20)
#define WINDOW_PAGES (WINDOW >> PAGE_SHIFT)
/* How long preferred pages aren't tried after there was no VRAM for some. */
#define FULL_TIME HZ
/* Pages that somebody uses just now are tried that often. */
#define EVICT_TRIES 20

struct vram_chunk {
	struct list_head link;
	struct hsv_vram_pages *vp;
	struct hsv_call *call; /* gives it back */
	u64 offset;	       /* in the region of all GPUs' VRAM */
	u32 pages, used;
	bool leaving; /* its pages are being moved back: it stays though none is left, and gets none */
	DECLARE_BITMAP(busy, CHUNK_PAGES);
};

static struct hsv_gpu *vp_gpu(struct hsv_vram_pages *vp)
{
	return container_of(vp, struct hsv_gpu, vram_pages);
}

static struct hsv_device *to_hdev(struct hsv_vram_pages *vp)
{
	return vp_gpu(vp)->hdev;
}

/* ---- chunks ---- */

static int chunk_send(struct vram_chunk *chunk, u32 type)
{
	struct hsv_vram_args args = {
		.offset = cpu_to_le64(chunk->offset),
		.size = cpu_to_le64((u64)chunk->pages << PAGE_SHIFT),
	};

	memcpy(chunk->call->args, &args, sizeof(args));
	return hsv_call_send(chunk->call, type, vp_gpu(chunk->vp)->index, sizeof(args), 0, false);
}

static void chunk_give(struct vram_chunk *chunk)
{
	int err = chunk_send(chunk, HSV_REQ_VRAM_GIVE);

	if (err && err != -ENODEV)
		drm_err(&to_hdev(chunk->vp)->drm, "VRAM can't be given back (%d)\n", err);
	hsv_call_put(chunk->call);
	kfree(chunk);
}

/* A chunk of VRAM for about that many pages; NULL: there is none. */
static struct vram_chunk *chunk_take(struct hsv_vram_pages *vp, u64 pages)
{
	struct hsv_device *hdev = to_hdev(vp);
	struct vram_chunk *chunk = kzalloc(sizeof(*chunk), GFP_KERNEL);
	struct hsv_vram_args args;
	int err;

	if (!chunk)
		return NULL;
	chunk->vp = vp;
	chunk->call = hsv_call_new(hdev, NULL, 0, 0);
	if (!chunk->call) {
		kfree(chunk);
		return NULL;
	}
	chunk->pages = round_up(clamp(pages, 1ULL, (u64)CHUNK_PAGES), CHUNK_STEP);
	for (;;) {
		err = chunk_send(chunk, HSV_REQ_VRAM_TAKE);
		if (err != -ENOMEM || chunk->pages <= CHUNK_STEP)
			break;
		chunk->pages /= 2;
	}
	if (err) {
		hsv_call_put(chunk->call);
		kfree(chunk);
		return NULL;
	}
	memcpy(&args, chunk->call->args, sizeof(args));
	chunk->offset = le64_to_cpu(args.offset);
	if (!PAGE_ALIGNED(chunk->offset) || chunk->offset < vp->start || chunk->offset > vp->end ||
	    (u64)chunk->pages << PAGE_SHIFT > vp->end - chunk->offset) {
		/* Outside of what has struct pages: a quota that is no multiple of 2 MiB. */
		chunk_give(chunk);
		return NULL;
	}
	return chunk;
}

static unsigned long chunk_pfn(const struct vram_chunk *chunk)
{
	return (to_hdev(chunk->vp)->vram.addr + chunk->offset) >> PAGE_SHIFT;
}

/* The list that the chunk belongs to. With vp->lock held. */
static void chunk_sort(struct vram_chunk *chunk)
{
	struct hsv_vram_pages *vp = chunk->vp;

	if (chunk->leaving)
		list_move_tail(&chunk->link, &vp->leaving);
	else if (!chunk->used)
		list_move_tail(&chunk->link, &vp->empty);
	else if (chunk->used == chunk->pages)
		list_move_tail(&chunk->link, &vp->full);
	else
		list_move_tail(&chunk->link, &vp->open);
	if (!chunk->leaving && !chunk->used)
		queue_work(hsv_wq, &vp->give_work);
}

static void give_work(struct work_struct *work)
{
	struct hsv_vram_pages *vp = container_of(work, struct hsv_vram_pages, give_work);
	struct vram_chunk *chunk;

	do {
		spin_lock_irq(&vp->lock);
		chunk = list_first_entry_or_null(&vp->empty, struct vram_chunk, link);
		if (chunk)
			list_del(&chunk->link);
		spin_unlock_irq(&vp->lock);
		if (chunk)
			chunk_give(chunk);
	} while (chunk);
}

/* ---- pages ---- */

static void vram_page_free(HSV_PAGE_FREE_ARG freed)
{
	struct page *page = hsv_page_freed(freed);
	struct vram_chunk *chunk = page->zone_device_data;
	unsigned long flags;

	spin_lock_irqsave(&chunk->vp->lock, flags);
	__clear_bit(page_to_pfn(page) - chunk_pfn(chunk), chunk->busy);
	chunk->used--;
	if (!chunk->used || chunk->used == chunk->pages - 1)
		chunk_sort(chunk);
	spin_unlock_irqrestore(&chunk->vp->lock, flags);
}

static const struct dev_pagemap_ops vram_page_ops = {
	.HSV_PAGE_FREE = vram_page_free,
};

/* A page of VRAM, locked, with a reference; NULL: there is none. more: how many are wanted. */
static struct page *vram_page(struct hsv_vram_pages *vp, u64 more)
{
	struct vram_chunk *chunk;
	struct page *page;
	unsigned long at;

	spin_lock_irq(&vp->lock);
	chunk = list_first_entry_or_null(&vp->open, struct vram_chunk, link);
	if (!chunk) {
		spin_unlock_irq(&vp->lock);
		chunk = chunk_take(vp, more);
		if (!chunk)
			return NULL;
		spin_lock_irq(&vp->lock);
		list_add(&chunk->link, &vp->open);
	}
	at = find_first_zero_bit(chunk->busy, chunk->pages);
	__set_bit(at, chunk->busy);
	if (++chunk->used == chunk->pages)
		chunk_sort(chunk);
	spin_unlock_irq(&vp->lock);

	page = pfn_to_page(chunk_pfn(chunk) + at);
	hsv_device_page_init(page, &vp->pgmap);
	page->zone_device_data = chunk;
	return page;
}

/* Where a GPU finds the page, as an extent's addr. */
u64 hsv_page_addr(const struct hsv_device *hdev, const struct page *page)
{
	u64 addr = page_to_phys(page);

	if (is_device_coherent_page(page) && page_pgmap(page)->owner == hdev)
		return HSV_EXTENT_VRAM | (addr - hdev->vram.addr);
	return addr;
}

/* The part of the region of all GPUs' VRAM that is this one's, in whole windows. */
static void vram_part(struct hsv_vram_pages *vp)
{
	const struct hsv_gpu *gpu = vp_gpu(vp), *other;
	u64 start = 0;

	for (other = gpu->hdev->gpus; other < gpu; other++)
		start += other->vram_size;
	vp->start = round_up(start, WINDOW);
	vp->end = max(vp->start, round_down(start + gpu->vram_size, WINDOW));
}

static int vram_map(struct hsv_vram_pages *vp)
{
	struct hsv_device *hdev = to_hdev(vp);
	void *mapping;

	vram_part(vp);
	if (vp->start == vp->end || !IS_ALIGNED(hdev->vram.addr, WINDOW))
		return -EINVAL;
	vp->src = kvcalloc(2 * CHUNK_PAGES, sizeof(*vp->src), GFP_KERNEL);
	if (!vp->src)
		return -ENOMEM;
	vp->dst = vp->src + CHUNK_PAGES;
	vp->pgmap.type = MEMORY_DEVICE_COHERENT;
	vp->pgmap.ops = &vram_page_ops;
	vp->pgmap.owner = hdev;
	vp->pgmap.nr_range = 1;
	vp->pgmap.range.start = hdev->vram.addr + vp->start;
	vp->pgmap.range.end = hdev->vram.addr + vp->end - 1;
	mapping = memremap_pages(&vp->pgmap, dev_to_node(hdev->drm.dev));
	if (!IS_ERR(mapping))
		return 0;
	kvfree(vp->src);
	return PTR_ERR(mapping);
}

/* Makes struct pages of the VRAM, once. False: there can be none. */
static bool vram_pages_ready(struct hsv_vram_pages *vp)
{
	bool ready;
	int err;

	mutex_lock(&vp->ready_lock);
	if (!vp->ready && !vp->off) {
		err = vram_map(vp);
		vp->ready = !err;
		if (err) {
			drm_info(&to_hdev(vp)->drm, "no memory of programs moves to VRAM (%d)\n",
				 err);
			vp->off = true;
		}
	}
	ready = vp->ready && !vp->off;
	mutex_unlock(&vp->ready_lock);
	return ready;
}

/* No VRAM of any GPU is in use for pages. */
static bool vram_has_none(struct hsv_device *hdev)
{
	struct hsv_vram_pages *vp;
	bool none = true;
	u32 i;

	for (i = 0; none && i < hdev->num_gpus; i++) {
		vp = &hdev->gpus[i].vram_pages;
		spin_lock_irq(&vp->lock);
		none = list_empty(&vp->open) && list_empty(&vp->full) && list_empty(&vp->leaving);
		spin_unlock_irq(&vp->lock);
	}
	return none;
}

/* ---- moving a program's memory ---- */

struct move {
	struct hsv_process *process;
	struct hsv_vram_pages *vp; /* to there; NULL: to the system's memory */
	struct hsv_migration what;
	bool told, full;
	unsigned long src[WINDOW_PAGES], dst[WINDOW_PAGES];
};

/* The copy of a page, locked, or zeroes where nothing is; NULL: no room. */
static struct page *move_page(struct move *move, struct page *from, u64 more)
{
	struct page *to;

	if (move->vp) {
		to = vram_page(move->vp, more);
		move->full = !to;
	} else {
		to = alloc_page(GFP_HIGHUSER_MOVABLE);
		if (to)
			lock_page(to);
	}
	if (to && from)
		copy_highpage(to, from);
	else if (to)
		clear_highpage(to);
	return to;
}

/* The GPU in whose VRAM the page is, NULL: in none's. */
static struct hsv_vram_pages *page_vram(const struct page *page)
{
	return is_device_coherent_page(page) ? ((struct vram_chunk *)page->zone_device_data)->vp
					     : NULL;
}

static bool is_movable(const struct move *move, const struct page *page)
{
	/* What a program never touched comes into being in VRAM, but not by being moved back. */
	if (!page)
		return move->vp;
	return PageAnon(page) && page_vram(page) != move->vp;
}

/* The i-th page of the window, into *from (NULL: nothing is there yet), is one that moves. */
static bool window_moves(const struct move *move, const struct migrate_vma *args, u64 i, struct page **from)
{
	*from = migrate_pfn_to_page(args->src[i]);
	return args->src[i] & MIGRATE_PFN_MIGRATE && is_movable(move, *from);
}

/* The first page of a part is about to move. */
static void move_tell(struct move *move, const struct page *page)
{
	struct hsv_vram_pages *vp = page ? page_vram(page) : NULL;

	if (move->told)
		return;
	move->what.from = vp ? vp_gpu(vp)->gpu_id : 0;
	hsv_smi_migrate(move->process, &move->what, false);
	move->told = true;
}

/* Moves what can be moved of [start, end), at most a window. With the mmap lock held. */
static void move_window(struct move *move, struct vm_area_struct *vma, u64 start, u64 end)
{
	struct migrate_vma args = {
		.vma = vma,
		.src = move->src,
		.dst = move->dst,
		.start = start,
		.end = end,
		.pgmap_owner = move->process->hdev,
		.flags = move->vp ? MIGRATE_VMA_SELECT_SYSTEM
				  : MIGRATE_VMA_SELECT_DEVICE_COHERENT,
	};
	struct page *from, *to;
	u64 i, more = 0;

	/* It may be another GPU's. */
	if (move->process->hdev->num_gpus > 1)
		args.flags |= MIGRATE_VMA_SELECT_DEVICE_COHERENT;
	memset(move->dst, 0, sizeof(move->dst));
	if (migrate_vma_setup(&args))
		return;
	/* What is where it is to be already needs no room. */
	for (i = 0; i < args.npages; i++)
		more += window_moves(move, &args, i, &from);
	for (i = 0; i < args.npages; i++) {
		if (!window_moves(move, &args, i, &from))
			continue;
		to = move_page(move, from, more--);
		if (!to)
			break;
		args.dst[i] = migrate_pfn(page_to_pfn(to));
		move_tell(move, from);
	}
	migrate_vma_pages(&args);
	migrate_vma_finalize(&args);
}

static bool vma_moves(const struct move *move, struct vm_area_struct *vma)
{
	/* What can't be read is only reserved; without an anon_vma nothing has moved. */
	return (move->vp ? vma->vm_flags & VM_READ : !!vma->anon_vma) &&
	       !(vma->vm_flags & (VM_SPECIAL | VM_SHARED | VM_HUGETLB)) && !vma_is_dax(vma) &&
	       !userfaultfd_armed(vma);
}

/* The next part of [start, end), to VRAM when that is here; where it ends. With the mmap lock held. */
static u64 move_next(struct move *move, struct mm_struct *mm, u64 start, u64 end)
{
	struct hsv_device *hdev = move->process->hdev;
	struct vm_area_struct *vma = find_vma(mm, start);
	u64 next;

	if (!vma || vma->vm_start >= end)
		return end;
	if (start < vma->vm_start)
		start = vma->vm_start;
	end = min(end, (u64)vma->vm_end);
	if (!vma_moves(move, vma))
		return end;
	if (start < move->what.start || start >= move->what.end) {
		move->what.start = start;
		move->what.end = end;
	}
	next = min(end, round_down(start, WINDOW) + WINDOW);
	if (!move->vp) {
		move_window(move, vma, start, next);
	} else if (hsv_vram_begin(hdev)) {
		if (move->vp->off)
			move->full = true;
		else
			move_window(move, vma, start, next);
		hsv_vram_end(hdev);
	} else {
		move->full = true;
	}
	return next;
}

static void move_told(struct move *move)
{
	if (move->told)
		hsv_smi_migrate(move->process, &move->what, true);
	move->told = false;
}

/*
 * Moves what can be moved of [what->start, what->end) of the process's memory to VRAM or back. A reference of the mm is held, and no lock. A signal that kills
 * current ends it.
 */
void hsv_migrate(struct hsv_process *process, struct mm_struct *mm, const struct hsv_migration *what)
{
	struct hsv_device *hdev = process->hdev;
	struct hsv_gpu *gpu = what->to ? hsv_gpu_by_id(hdev, what->to) : NULL;
	u64 start = what->start, end = what->end;
	struct move *move;
	int idx;

	if (!hdev->has_vram_pages || (what->to && !gpu) ||
	    (gpu ? !vram_pages_ready(&gpu->vram_pages) : vram_has_none(hdev)))
		return;
	move = kvzalloc(sizeof(*move), GFP_KERNEL_ACCOUNT);
	if (!move)
		return;
	if (!drm_dev_enter(&hdev->drm, &idx))
		goto free;
	move->process = process;
	move->what = *what;
	move->what.end = move->what.start;
	move->vp = gpu ? &gpu->vram_pages : NULL;
	while (start < end && !move->full && !READ_ONCE(process->dying) &&
	       !fatal_signal_pending(current)) {
		mmap_read_lock(mm);
		start = move_next(move, mm, start, end);
		mmap_read_unlock(mm);
		if (start >= move->what.end)
			move_told(move);
		cond_resched();
	}
	move_told(move);
	if (move->full && gpu)
		WRITE_ONCE(gpu->vram_pages.full_until, get_jiffies_64() + FULL_TIME);
	drm_dev_exit(idx);
free:
	kvfree(move);
}

/* Was there VRAM lately? */
bool hsv_migrate_has_room(struct hsv_gpu *gpu)
{
	u64 until = READ_ONCE(gpu->vram_pages.full_until);

	return gpu->hdev->has_vram_pages && (!until || time_after64(get_jiffies_64(), until));
}

/* ---- moving VRAM's pages back, whosever they are ---- */

static void evict_try(struct hsv_vram_pages *vp, struct vram_chunk *chunk, gfp_t gfp)
{
	unsigned long i, n = chunk->pages;

	memset(vp->dst, 0, n * sizeof(*vp->dst));
	migrate_device_range(vp->src, chunk_pfn(chunk), n);
	for (i = 0; i < n; i++) {
		struct page *from = migrate_pfn_to_page(vp->src[i]), *to;

		if (!from || !(vp->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		to = alloc_page(gfp);
		if (!to)
			continue;
		lock_page(to);
		copy_highpage(to, from);
		vp->dst[i] = migrate_pfn(page_to_pfn(to));
	}
	migrate_device_pages(vp->src, vp->dst, n);
	migrate_device_finalize(vp->src, vp->dst, n);
}

/* Takes the chunk that was filled first, to move its pages back; NULL: there is none. */
static struct vram_chunk *evict_begin(struct hsv_vram_pages *vp)
{
	struct vram_chunk *chunk;

	spin_lock_irq(&vp->lock);
	chunk = list_first_entry_or_null(&vp->full, struct vram_chunk, link);
	if (!chunk)
		chunk = list_first_entry_or_null(&vp->open, struct vram_chunk, link);
	if (chunk) {
		chunk->leaving = true;
		chunk_sort(chunk);
	}
	spin_unlock_irq(&vp->lock);
	return chunk;
}

/*
 * Gives back VRAM of at least that many bytes, if it can. Programs go on with the pages in the system's memory. must: waits for that memory, also by killing.
 * Returns the bytes.
 */
u64 hsv_migrate_evict(struct hsv_gpu *gpu, u64 bytes, bool must)
{
	struct hsv_vram_pages *vp = &gpu->vram_pages;
	gfp_t gfp = GFP_HIGHUSER_MOVABLE | (must ? __GFP_NOFAIL : __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	struct vram_chunk *chunk, *next;
	u64 given = 0;
	int tries;

	if (!READ_ONCE(vp->ready))
		return 0;
	mutex_lock(&vp->evict_lock);
	while (given < bytes && (chunk = evict_begin(vp))) {
		u64 size = (u64)chunk->pages << PAGE_SHIFT;

		for (tries = 0; READ_ONCE(chunk->used) && tries < EVICT_TRIES; tries++) {
			if (tries)
				msleep(1);
			evict_try(vp, chunk, gfp);
		}
		spin_lock_irq(&vp->lock);
		if (!chunk->used) {
			given += size;
			chunk->leaving = false;
			chunk_sort(chunk);
		}
		spin_unlock_irq(&vp->lock);
	}
	spin_lock_irq(&vp->lock);
	list_for_each_entry_safe(chunk, next, &vp->leaving, link) {
		chunk->leaving = false;
		chunk_sort(chunk);
	}
	spin_unlock_irq(&vp->lock);
	mutex_unlock(&vp->evict_lock);
	flush_work(&vp->give_work);
	return given;
}

/* Gives back the VRAM of all GPUs' pages. False: not all could be. */
bool hsv_migrate_evict_all(struct hsv_device *hdev, bool must)
{
	u32 i;

	for (i = 0; i < hdev->num_gpus; i++)
		hsv_migrate_evict(&hdev->gpus[i], U64_MAX, must);
	return vram_has_none(hdev);
}

static void evict_work(struct work_struct *work)
{
	hsv_migrate_evict_all(container_of(work, struct hsv_device, evict_work), true);
}

/* The host side is lost: what is still to be read in VRAM is saved. Any context that may queue work. */
void hsv_migrate_lost(struct hsv_device *hdev)
{
	queue_work(hsv_wq, &hdev->evict_work);
}

/* ---- life ---- */

void hsv_migrate_init(struct hsv_device *hdev)
{
	u32 i;

	INIT_WORK(&hdev->evict_work, evict_work);
	for (i = 0; i < HSV_MAX_GPUS; i++) {
		struct hsv_vram_pages *vp = &hdev->gpus[i].vram_pages;

		mutex_init(&vp->ready_lock);
		mutex_init(&vp->evict_lock);
		spin_lock_init(&vp->lock);
		INIT_LIST_HEAD(&vp->open);
		INIT_LIST_HEAD(&vp->full);
		INIT_LIST_HEAD(&vp->empty);
		INIT_LIST_HEAD(&vp->leaving);
		INIT_WORK(&vp->give_work, give_work);
	}
}

/*
 * The device goes, and with its reset what is in VRAM: moves everything back. Waits until nobody uses one of the pages.
 */
void hsv_migrate_stop(struct hsv_device *hdev)
{
	u32 i;

	for (i = 0; i < hdev->num_gpus; i++) {
		struct hsv_vram_pages *vp = &hdev->gpus[i].vram_pages;

		mutex_lock(&vp->ready_lock);
		down_write(&hdev->vram_map); /* who is moving pages there has finished */
		vp->off = true;
		up_write(&hdev->vram_map);
		mutex_unlock(&vp->ready_lock);
	}
	flush_work(&hdev->evict_work);
	while (!hsv_migrate_evict_all(hdev, true))
		msleep(10);
	for (i = 0; i < hdev->num_gpus; i++)
		flush_work(&hdev->gpus[i].vram_pages.give_work);
}

void hsv_migrate_fini(struct hsv_device *hdev)
{
	u32 i;

	flush_work(&hdev->evict_work);
	for (i = 0; i < hdev->num_gpus; i++) {
		struct hsv_vram_pages *vp = &hdev->gpus[i].vram_pages;

		if (!vp->ready)
			continue;
		memunmap_pages(&vp->pgmap);
		kvfree(vp->src);
		vp->ready = false;
	}
}
