// SPDX-License-Identifier: GPL-2.0
/*
 * pages.c - lists of extents, and the pages of GTT buffers.
 */
#include <linux/gfp.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "hsv.h"

/* Largest order that is tried for a GTT buffer: 2 MiB, so that big buffers are few extents. */
#define MAX_CHUNK_ORDER 9

/* Appends [addr, addr + size), merged with the last extent where they touch. 0 or -ENOMEM. */
int hsv_extents_add(struct hsv_extents *extents, u64 addr, u64 size)
{
	struct hsv_extent *last = extents->n ? &extents->v[extents->n - 1] : NULL;

	if (last && le64_to_cpu(last->addr) + le64_to_cpu(last->size) == addr) {
		le64_add_cpu(&last->size, size);
		return 0;
	}
	if (extents->n == extents->capacity) {
		u32 capacity = extents->capacity ? extents->capacity * 2 : 16;
		struct hsv_extent *v = kvmalloc_array(capacity, sizeof(*v), GFP_KERNEL_ACCOUNT);

		if (!v)
			return -ENOMEM;
		if (extents->n)
			memcpy(v, extents->v, extents->n * sizeof(*v));
		kvfree(extents->v);
		extents->v = v;
		extents->capacity = capacity;
	}
	extents->v[extents->n].addr = cpu_to_le64(addr);
	extents->v[extents->n].size = cpu_to_le64(size);
	extents->n++;
	return 0;
}

void hsv_extents_free(struct hsv_extents *extents)
{
	kvfree(extents->v);
	memset(extents, 0, sizeof(*extents));
}

/* Takes pages from what GPUs may have of the system's memory. 0 or -ENOMEM. */
int hsv_system_charge(struct hsv_device *hdev, u64 pages)
{
	if (pages > hdev->system_limit)
		return -ENOMEM;
	if (atomic64_add_return(pages, &hdev->system_pages) > hdev->system_limit) {
		atomic64_sub(pages, &hdev->system_pages);
		return -ENOMEM;
	}
	return 0;
}

void hsv_system_uncharge(struct hsv_device *hdev, u64 pages)
{
	atomic64_sub(pages, &hdev->system_pages);
}

/*
 * Allocates the zeroed pages of a GTT buffer and lists them in extents (the caller frees those). 0,
 * -ENOMEM, or -EINTR when current was killed meanwhile; nothing is kept on errors.
 */
int hsv_pages_alloc(struct hsv_memory *memory, struct hsv_extents *extents)
{
	u64 n = memory->size >> PAGE_SHIFT, i = 0;
	unsigned int order = MAX_CHUNK_ORDER, k;
	struct page *page;
	gfp_t gfp;
	int err;

	err = hsv_system_charge(memory->hdev, n);
	if (err)
		return err;
	memory->pages = kvcalloc(n, sizeof(*memory->pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!memory->pages) {
		hsv_system_uncharge(memory->hdev, n);
		return -ENOMEM;
	}
	while (i < n) {
		while (order && (1ULL << order) > n - i)
			order--;
		gfp = GFP_USER | __GFP_ZERO | __GFP_ACCOUNT | __GFP_NOWARN;
		if (order)
			gfp = (gfp | __GFP_NORETRY) & ~__GFP_DIRECT_RECLAIM;
		page = alloc_pages(gfp, order);
		if (!page && order) {
			order--;
			continue;
		}
		err = -ENOMEM;
		if (!page)
			goto fail;
		/* Single pages from here on: each is mapped and freed by itself. */
		split_page(page, order);
		for (k = 0; k < 1U << order; k++)
			memory->pages[i++] = page + k;
		err = hsv_extents_add(extents, page_to_phys(page), PAGE_SIZE << order);
		if (err)
			goto fail;
		err = -EINTR;
		if (fatal_signal_pending(current))
			goto fail;
		cond_resched();
	}
	return 0;
fail:
	hsv_pages_free(memory);
	return err;
}

/* Takes a reference of each of n pages of a GTT buffer and lists them in *copy, for hsv_pages_put(). They count like pages of one's own. 0 or -ENOMEM. */
int hsv_pages_get(struct hsv_device *hdev, struct page **pages, u64 n, struct page ***copy)
{
	u64 i;

	if (hsv_system_charge(hdev, n))
		return -ENOMEM;
	*copy = kvmalloc_array(n, sizeof(**copy), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!*copy) {
		hsv_system_uncharge(hdev, n);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		get_page(pages[i]);
		(*copy)[i] = pages[i];
	}
	return 0;
}

/* Gives back n pages, as many of them as the list has. The last reference frees a page. pages: may be NULL. */
void hsv_pages_put(struct hsv_device *hdev, struct page **pages, u64 n)
{
	u64 i;

	if (!pages)
		return;
	for (i = 0; i < n && pages[i]; i++) {
		__free_page(pages[i]);
		if (!(i % 1024))
			cond_resched();
	}
	kvfree(pages);
	hsv_system_uncharge(hdev, n);
}

void hsv_pages_free(struct hsv_memory *memory)
{
	hsv_pages_put(memory->hdev, memory->pages, memory->size >> PAGE_SHIFT);
	memory->pages = NULL;
}
