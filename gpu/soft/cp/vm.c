/* SPDX-License-Identifier: MIT */
/*
 * vm.c - GPU page tables: GPU virtual address to host memory and rights.
 *
 * A radix tree of 9 bits a level over 48-bit addresses, like the hardware's: leaves of 4 KiB, and
 * of 2 MiB and 1 GiB where a mapping covers them (the host memory behind a leaf is contiguous; it
 * need not be aligned to the leaf's size). Walks take no lock: entries are single 64-bit words.
 * Changes are made under map_lock. What unmap unlinks is freed after all executor threads that are
 * attached to the vm have passed a quiescent point.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

enum { PT_BITS = 9, PT_ENTRIES = 1 << PT_BITS, PT_TOP = 3 };

/*
 * An entry is 0 (nothing), the address of the next node (bits 0-3 clear), or a leaf: host address
 * (page-aligned) | PT_LEAF | rights. User-space addresses use no more than 57 bits; nothing else is
 * stored.
 */
#define PT_LEAF 8ull
#define PT_PROT 7ull
#define PT_FLAGS (PT_PROT | GPU_PROT_PAGE | GPU_PROT_MORE)
#define PT_HOST (~0xfffull)

struct pt_node {
	_Atomic uint64_t entry[PT_ENTRIES];
	unsigned used;
	struct pt_node *next_free;
};

static unsigned pt_shift(unsigned level)
{
	return MEM_PAGE_SHIFT + PT_BITS * level;
}

static uint64_t pt_span(unsigned level)
{
	return 1ull << pt_shift(level);
}

static unsigned pt_index(uint64_t va, unsigned level)
{
	return (va >> pt_shift(level)) & (PT_ENTRIES - 1);
}

static struct pt_node *pt_child(uint64_t entry)
{
	return (struct pt_node *)(uintptr_t)entry;
}

/* A tenant can map one page of its memory anywhere, often, so it is the nodes that are bounded. */
static struct pt_node *node_new(struct gpu *gpu, unsigned max)
{
	struct pt_node *node = NULL;

	if (atomic_fetch_add(&gpu->pt_nodes, 1) < max)
		node = calloc(1, sizeof(*node));
	if (!node)
		atomic_fetch_sub(&gpu->pt_nodes, 1);
	return node;
}

static void node_free(struct gpu *gpu, struct pt_node *node)
{
	atomic_fetch_sub(&gpu->pt_nodes, 1);
	free(node);
}

int vm_table_init(struct gpu_vm *vm)
{
	vm->root = node_new(vm->gpu, atomic_load(&vm->gpu->max_pt_nodes));
	if (!vm->root)
		return -ENOMEM;
	atomic_init(&vm->gen, 1);
	pthread_rwlock_init(&vm->map_lock, NULL);
	return 0;
}

static void pt_free(struct gpu *gpu, struct pt_node *node, unsigned level)
{
	if (level > 0) {
		for (unsigned i = 0; i < PT_ENTRIES; i++) {
			uint64_t e = atomic_load_explicit(&node->entry[i], memory_order_relaxed);

			if (e && !(e & PT_LEAF))
				pt_free(gpu, pt_child(e), level - 1);
		}
	}
	node_free(gpu, node);
}

void vm_table_free(struct gpu_vm *vm)
{
	pt_free(vm->gpu, vm->root, PT_TOP);
	pthread_rwlock_destroy(&vm->map_lock);
}

/* Walks to the leaf of va. Returns its entry (0: none) and its level. */
static uint64_t pt_walk(struct gpu_vm *vm, uint64_t va, unsigned *level)
{
	struct pt_node *node = vm->root;

	if (va >> GPU_VA_BITS)
		return 0;
	for (unsigned l = PT_TOP;; l--) {
		uint64_t e =
			atomic_load_explicit(&node->entry[pt_index(va, l)], memory_order_acquire);

		if (!e || (e & PT_LEAF)) {
			*level = l;
			return e;
		}
		node = pt_child(e);
	}
}

unsigned vm_rights(struct gpu_vm *vm, uint64_t va)
{
	unsigned level = 0;
	uint64_t e = pt_walk(vm, va, &level);

	return e ? e & (PT_FLAGS | PT_LEAF) : 0;
}

void *vm_translate(struct gpu_vm *vm, uint64_t va, unsigned prot, uint64_t *len)
{
	unsigned level = 0;
	uint64_t e = pt_walk(vm, va, &level);
	uint64_t in_leaf;
	uint8_t *host;

	if (!e || (e & prot) != prot)
		return NULL;
	in_leaf = va & (pt_span(level) - 1);
	host = (uint8_t *)(uintptr_t)(e & PT_HOST) + in_leaf;
	if (len)
		*len = pt_span(level) - in_leaf;
	return host;
}

void *vm_translate_run(struct gpu_vm *vm, uint64_t va, unsigned prot, uint64_t *len)
{
	uint64_t want = *len, have = 0;
	uint8_t *host = vm_translate(vm, va, prot, &have);

	while (host && have < want) {
		uint64_t more;

		if (vm_translate(vm, va + have, prot, &more) != host + have)
			break;
		have += more;
	}
	*len = have < want ? have : want;
	return host;
}

uint32_t *vm_ptr32(struct gpu_vm *vm, uint64_t va, unsigned prot)
{
	return va & 3 ? NULL : vm_translate(vm, va, prot, NULL);
}

uint64_t *vm_ptr64(struct gpu_vm *vm, uint64_t va, unsigned prot)
{
	return va & 7 ? NULL : vm_translate(vm, va, prot, NULL);
}

bool vm_copy_in(struct gpu_vm *vm, uint64_t va, void *buf, size_t size, uint64_t *bad)
{
	uint8_t *to = buf;

	while (size) {
		uint64_t len;
		const void *host = vm_translate(vm, va, GPU_PROT_READ, &len);

		if (!host) {
			*bad = va;
			return false;
		}
		if (len > size)
			len = size;
		memcpy(to, host, len);
		to += len;
		va += len;
		size -= len;
	}
	return true;
}

bool vm_copy_out(struct gpu_vm *vm, uint64_t va, const void *buf, size_t size, uint64_t *bad)
{
	const uint8_t *from = buf;

	while (size) {
		uint64_t len;
		void *host = vm_translate(vm, va, GPU_PROT_WRITE, &len);

		if (!host) {
			*bad = va;
			return false;
		}
		if (len > size)
			len = size;
		memcpy(host, from, len);
		from += len;
		va += len;
		size -= len;
	}
	return true;
}

int gpu_vm_read(struct gpu_vm *vm, uint64_t va, void *buf, size_t size)
{
	uint64_t bad;
	bool ok;

	pthread_rwlock_rdlock(&vm->map_lock);
	ok = vm_copy_in(vm, va, buf, size, &bad);
	pthread_rwlock_unlock(&vm->map_lock);
	return ok ? 0 : -EFAULT;
}

int gpu_vm_write(struct gpu_vm *vm, uint64_t va, const void *buf, size_t size)
{
	uint64_t bad;
	bool ok;

	pthread_rwlock_rdlock(&vm->map_lock);
	ok = vm_copy_out(vm, va, buf, size, &bad);
	pthread_rwlock_unlock(&vm->map_lock);
	return ok ? 0 : -EFAULT;
}

/* ------------------------------------------------------------------ changing the table; map_lock
 * held for writing */

static bool range_ok(uint64_t va, uint64_t size)
{
	uint64_t limit = 1ull << GPU_VA_BITS;

	return size && !((va | size) & ((1u << MEM_PAGE_SHIFT) - 1)) && va < limit &&
	       size <= limit - va;
}

/* What is mapped where something is to be mapped. */
enum occupied { OCCUPIED_NOT, OCCUPIED_SAME /* the same pages, whose rights grow */, OCCUPIED_PAGES, OCCUPIED_BUFFER };

static enum occupied pt_occupied(struct pt_node *node, unsigned level, uint64_t va, uint64_t end, const uint8_t *host, unsigned prot)
{
	enum occupied worst = OCCUPIED_NOT;

	while (va < end && worst < OCCUPIED_BUFFER) {
		uint64_t e = atomic_load_explicit(&node->entry[pt_index(va, level)], memory_order_relaxed);
		uint64_t span = pt_span(level), next = (va & ~(span - 1)) + span;
		enum occupied here = OCCUPIED_NOT;

		if (next > end)
			next = end;
		if (e & PT_LEAF) {
			if (!(e & GPU_PROT_PAGE))
				here = OCCUPIED_BUFFER;
			else if (prot & GPU_PROT_PAGE && (e & PT_HOST) + (va & (span - 1)) == (uintptr_t)host && !(e & PT_PROT & ~prot))
				here = OCCUPIED_SAME;
			else
				here = OCCUPIED_PAGES;
		} else if (e) {
			here = pt_occupied(pt_child(e), level - 1, va, next, host, prot);
		}
		if (here > worst)
			worst = here;
		host += next - va;
		va = next;
	}
	return worst;
}

static struct pt_node *pt_split(struct gpu *gpu, _Atomic uint64_t *slot, unsigned level);

/* What is there already are the same pages with less rights. pages: counted up by those that are new. */
static int pt_map(struct gpu *gpu, struct pt_node *node, unsigned level, uint64_t va, uint64_t end,
		  uint8_t *host, unsigned prot, uint64_t *pages)
{
	while (va < end) {
		_Atomic uint64_t *slot = &node->entry[pt_index(va, level)];
		uint64_t span = pt_span(level),
			 e = atomic_load_explicit(slot, memory_order_relaxed);
		uint64_t next = (va & ~(span - 1)) + span;

		if (next > end)
			next = end;
		if (level < PT_TOP && (!e || e & PT_LEAF) && next - va == span) {
			atomic_store_explicit(slot, (uint64_t)(uintptr_t)host | PT_LEAF | prot,
					      memory_order_release);
			if (!e) {
				node->used++;
				*pages += prot & GPU_PROT_PAGE ? span >> MEM_PAGE_SHIFT : 0;
			}
		} else {
			int ret;

			if (e & PT_LEAF) {
				if (!pt_split(gpu, slot, level))
					return -ENOMEM;
				e = atomic_load_explicit(slot, memory_order_relaxed);
			}
			if (!e) {
				struct pt_node *child =
					node_new(gpu, atomic_load(&gpu->max_pt_nodes));

				if (!child)
					return -ENOMEM;
				e = (uint64_t)(uintptr_t)child;
				atomic_store_explicit(slot, e, memory_order_release);
				node->used++;
			}
			ret = pt_map(gpu, pt_child(e), level - 1, va, next, host, prot, pages);
			if (ret)
				return ret;
		}
		host += next - va;
		va = next;
	}
	return 0;
}

/* Replaces a big leaf by a node of smaller ones. Unmapping must not fail, so the bound does not
 * hold here: what it adds is less than what mapping the leaf's pages one by one would have. */
static struct pt_node *pt_split(struct gpu *gpu, _Atomic uint64_t *slot, unsigned level)
{
	uint64_t e = atomic_load_explicit(slot, memory_order_relaxed);
	struct pt_node *child = node_new(gpu, 2 * GPU_MAX_PT_NODES);

	if (!child)
		return NULL;
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		atomic_init(&child->entry[i], e + i * pt_span(level - 1));
	child->used = PT_ENTRIES;
	atomic_store_explicit(slot, (uint64_t)(uintptr_t)child, memory_order_release);
	return child;
}

/* All but what has not these flags. pages: counted up by those unmapped. */
static void pt_unmap(struct gpu *gpu, struct pt_node *node, unsigned level, uint64_t va,
		     uint64_t end, unsigned flags, struct pt_node **dead, uint64_t *pages)
{
	while (va < end) {
		_Atomic uint64_t *slot = &node->entry[pt_index(va, level)];
		uint64_t span = pt_span(level),
			 e = atomic_load_explicit(slot, memory_order_relaxed);
		uint64_t next = (va & ~(span - 1)) + span;
		struct pt_node *child = NULL;

		if (next > end)
			next = end;
		if (e & PT_LEAF) {
			if ((e & flags) != flags) {
				va = next;
				continue;
			}
			if (next - va != span)
				child = pt_split(gpu, slot, level);
			if (!child) {
				/* Whole leaf, or no memory to split it: then rather too much
				 * unmapped than too little. */
				if (next - va != span)
					log_error("out of memory: %#llx bytes unmapped instead of "
						  "a part",
						  (unsigned long long)span);
				atomic_store_explicit(slot, 0, memory_order_release);
				node->used--;
				*pages += e & GPU_PROT_PAGE ? span >> MEM_PAGE_SHIFT : 0;
			}
		} else if (e) {
			child = pt_child(e);
		}
		if (child) {
			pt_unmap(gpu, child, level - 1, va, next, flags, dead, pages);
			if (!child->used) {
				atomic_store_explicit(slot, 0, memory_order_release);
				node->used--;
				child->next_free = *dead;
				*dead = child;
			}
		}
		va = next;
	}
}

/* ------------------------------------------------------------------ quiescence */

static const struct mem_tlb_entry *view_fill(struct mem_view *view, uint64_t page)
{
	struct mem_tlb_entry *entry = &view->tlb[mem_tlb_slot(page)];
	unsigned level = 0;
	uint64_t e, va = page << MEM_PAGE_SHIFT;

	if (page >> (GPU_VA_BITS - MEM_PAGE_SHIFT))
		return NULL;
	for (uint32_t i = 0; i < view->num_held; i++) {
		if (view->held[i].page == page) {
			*entry = view->held[i];
			return entry;
		}
	}
	e = pt_walk(view->vm, va, &level);
	if (!e)
		return NULL;
	entry->page = page;
	entry->host = (uint8_t *)(uintptr_t)(e & PT_HOST) + (va & (pt_span(level) - 1));
	entry->prot = e & PT_PROT;
	return entry;
}

#define RANGE_LEAVES 2048 /* looked at in each direction */

static bool view_find_range(struct mem_view *view, uint64_t va, struct mem_range *range)
{
	unsigned level = 0;
	uint64_t e = pt_walk(view->vm, va, &level), first = va & ~(pt_span(level) - 1), size = pt_span(level), host = e & PT_HOST, next;

	if (!e)
		return false;
	range->prot = e & PT_PROT;
	for (unsigned i = 0; i < RANGE_LEAVES; i++) {
		next = pt_walk(view->vm, first + size, &level);
		if (!next || (next & PT_PROT) != range->prot || (next & PT_HOST) != host + size || size + pt_span(level) > MEM_RANGE_LIMIT)
			break;
		size += pt_span(level);
	}
	for (unsigned i = 0; i < RANGE_LEAVES && first; i++) {
		next = pt_walk(view->vm, first - 1, &level);
		if (!next || (next & PT_PROT) != range->prot || (next & PT_HOST) + pt_span(level) != host || size + pt_span(level) > MEM_RANGE_LIMIT)
			break;
		first -= pt_span(level);
		host -= pt_span(level);
		size += pt_span(level);
	}
	range->first = first;
	range->size = size;
	range->host = (uint8_t *)(uintptr_t)host;
	return true;
}

/* An executor passed a quiescent point or left its vm, and stored that. Each side stores before it
 * looks at what the other stored, so nobody sleeps over the news. */
static void tell_unmappers(struct gpu *gpu)
{
	if (!atomic_load(&gpu->unmappers))
		return;
	atomic_fetch_add(&gpu->quiesced, 1);
	/*
	 * This thread goes on with its waves, and with as many executors as processors the kernel
	 * would let it have its slice first, for milliseconds.
	 */
	if (syscall(SYS_futex, &gpu->quiesced, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0) > 0)
		sched_yield();
}

/* Brings the view up to the vm's page table, which has changed if the generation did. */
static void view_update(struct mem_view *view)
{
	uint64_t gen = atomic_load_explicit(&view->vm->gen, memory_order_acquire);
	struct executor *ex = view_executor(view);

	if (gen == ex->view_gen)
		return;
	mem_view_flush(&ex->view);
	ex->view_gen = gen;
	atomic_store(&ex->seen, gen);
	tell_unmappers(ex->gpu);
}

static void view_quiesce(struct mem_view *view)
{
	struct executor *ex = view_executor(view);
	const struct gpu *gpu = ex->gpu;

	view_update(view);
	/* Others have the GPU now: end the slice here, not only when it is over. */
	if (gpu->turn && gpu->turn->lost(gpu->turn_ctx))
		atomic_store_explicit(&ex->stop, 1, memory_order_relaxed);
}

void vm_view_init(struct mem_view *view)
{
	mem_view_flush(view);
	view->fill = view_fill;
	view->find_range = view_find_range;
	view->quiesce = view_quiesce;
}

/*
 * The order matters: `seen` is 0 before the vm is published, and the generation is read after. Then
 * an unmap either finds this thread attached and waits for its `seen`, or it grew the generation
 * before, and this thread walks the new table.
 */
void vm_attach(struct executor *ex, struct gpu_vm *vm)
{
	uint64_t gen;

	pager_view(vm, &ex->view);
	if (atomic_load_explicit(&ex->vm, memory_order_relaxed) == vm) {
		view_update(&ex->view);
		return;
	}
	vm_detach(ex);
	atomic_store(&ex->seen, 0);
	atomic_store(&ex->vm, vm);
	gen = atomic_load(&vm->gen);
	if (ex->view_serial != vm->serial || ex->view_gen != gen) {
		mem_view_flush(&ex->view);
		ex->view_serial = vm->serial;
		ex->view_gen = gen;
	}
	ex->view.vm = vm;
	atomic_store(&ex->seen, gen);
	tell_unmappers(ex->gpu);
}

void vm_detach(struct executor *ex)
{
	if (!atomic_load_explicit(&ex->vm, memory_order_relaxed))
		return;
	atomic_store(&ex->vm, NULL);
	tell_unmappers(ex->gpu);
}

static bool not_yet(struct executor *ex, struct gpu_vm *vm, uint64_t gen)
{
	return atomic_load(&ex->vm) == vm && atomic_load(&ex->seen) < gen;
}

/* Sleeps soon: on a busy machine the thread waited for may need the CPU that this one has. */
void vm_wait_quiescent(struct gpu_vm *vm, uint64_t gen)
{
	struct gpu *gpu = vm->gpu;

	for (unsigned i = 0; i < gpu->num_threads; i++) {
		struct executor *ex = &gpu->executors[i];

		for (unsigned spins = 0; spins < 200 && not_yet(ex, vm, gen); spins++)
			cpu_relax();
		if (!not_yet(ex, vm, gen))
			continue;
		atomic_fetch_add(&gpu->unmappers, 1);
		for (;;) {
			unsigned news = atomic_load(&gpu->quiesced);

			if (!not_yet(ex, vm, gen))
				break;
			syscall(SYS_futex, &gpu->quiesced, FUTEX_WAIT_PRIVATE, news, NULL, NULL, 0);
		}
		atomic_fetch_sub(&gpu->unmappers, 1);
	}
}

/* What was unlinked under map_lock: lets go of it, waits and frees. */
static void unmap_finish(struct gpu_vm *vm, struct pt_node *dead, uint64_t pages)
{
	uint64_t gen = atomic_fetch_add(&vm->gen, 1) + 1;

	atomic_fetch_sub(&vm->pages, pages);
	if (pages) {
		atomic_fetch_add_explicit(&vm->page_invalidations, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&vm->pages_taken, pages, memory_order_relaxed);
	}
	pthread_rwlock_unlock(&vm->map_lock);

	vm_wait_quiescent(vm, gen);
	while (dead) {
		struct pt_node *next = dead->next_free;

		node_free(vm->gpu, dead);
		dead = next;
	}
}

/* Unlinks a range, or what of it has these flags, under map_lock, which it lets go of. */
static void unmap_range(struct gpu_vm *vm, uint64_t va, uint64_t end, unsigned flags)
{
	struct pt_node *dead = NULL;
	uint64_t pages = 0;

	pt_unmap(vm->gpu, vm->root, PT_TOP, va, end, flags, &dead, &pages);
	unmap_finish(vm, dead, pages);
}

int gpu_vm_map(struct gpu_vm *vm, uint64_t va, uint64_t size, void *host, unsigned prot)
{
	uint64_t pages = 0;
	enum occupied occupied;
	int ret = 0;

	if (!range_ok(va, size) || !host || ((uintptr_t)host & ((1u << MEM_PAGE_SHIFT) - 1)) ||
	    (prot & ~PT_FLAGS))
		return -EINVAL;
	pthread_rwlock_wrlock(&vm->map_lock);
	while ((occupied = pt_occupied(vm->root, PT_TOP, va, va + size, host, prot)) == OCCUPIED_PAGES) {
		unmap_range(vm, va, va + size, GPU_PROT_PAGE);
		pthread_rwlock_wrlock(&vm->map_lock);
	}
	if (occupied == OCCUPIED_BUFFER)
		ret = -EEXIST;
	else
		ret = pt_map(vm->gpu, vm->root, PT_TOP, va, va + size, host, prot, &pages);
	atomic_fetch_add(&vm->pages, pages);
	if (ret == -ENOMEM) {
		unmap_range(vm, va, va + size, 0);
		return ret;
	}
	/* Views may have these pages with less rights: they look again at their next quiescent point. */
	if (occupied == OCCUPIED_SAME)
		atomic_fetch_add(&vm->gen, 1);
	pthread_rwlock_unlock(&vm->map_lock);
	return ret;
}

void gpu_vm_unmap(struct gpu_vm *vm, uint64_t va, uint64_t size)
{
	if (!range_ok(va, size)) {
		log_error("unmap of %#llx + %#llx: bad range", (unsigned long long)va,
			  (unsigned long long)size);
		return;
	}
	pthread_rwlock_wrlock(&vm->map_lock);
	unmap_range(vm, va, va + size, 0);
}

/* True if there are pages in [va, end). */
static bool pt_any_pages(struct pt_node *node, unsigned level, uint64_t va, uint64_t end)
{
	while (va < end) {
		uint64_t e = atomic_load_explicit(&node->entry[pt_index(va, level)], memory_order_relaxed);
		uint64_t next = (va & ~(pt_span(level) - 1)) + pt_span(level);

		if (next > end)
			next = end;
		if (e & PT_LEAF ? e & GPU_PROT_PAGE : e && pt_any_pages(pt_child(e), level - 1, va, next))
			return true;
		va = next;
	}
	return false;
}

void gpu_vm_unmap_pages(struct gpu_vm *vm, uint64_t va, uint64_t size)
{
	if (!range_ok(va, size)) {
		log_error("unmap of pages at %#llx + %#llx: bad range", (unsigned long long)va, (unsigned long long)size);
		return;
	}
	pthread_rwlock_wrlock(&vm->map_lock);
	if (pt_any_pages(vm->root, PT_TOP, va, va + size)) {
		unmap_range(vm, va, va + size, GPU_PROT_PAGE);
		return;
	}
	pthread_rwlock_unlock(&vm->map_lock);
	/* None any more, perhaps: whoever took them may still wait. */
	vm_wait_quiescent(vm, atomic_load(&vm->gen));
}

/* The first page from *va on below node that lies in the host memory, into *va and *end: its leaf. */
static bool pt_find_host(struct pt_node *node, unsigned level, uint64_t *va, uint64_t *end, uintptr_t host, uint64_t size)
{
	for (unsigned i = pt_index(*va, level); i < PT_ENTRIES; i++) {
		uint64_t e = atomic_load_explicit(&node->entry[i], memory_order_relaxed), span = pt_span(level), at = e & PT_HOST;

		if (e & PT_LEAF) {
			if (e & GPU_PROT_PAGE && at < host + size && host < at + span) {
				*va &= ~(span - 1);
				*end = *va + span;
				return true;
			}
		} else if (e && pt_find_host(pt_child(e), level - 1, va, end, host, size)) {
			return true;
		}
		*va = (*va & ~(span - 1)) + span;
	}
	/* The caller steps over this node. */
	*va -= pt_span(level);
	return false;
}

void gpu_vm_unmap_pages_at(struct gpu_vm *vm, const void *host, uint64_t size)
{
	uint64_t va = 0, end = 0, pages = 0;
	struct pt_node *dead = NULL;

	if (!atomic_load(&vm->pages) || !size)
		return;
	pthread_rwlock_wrlock(&vm->map_lock);
	/* Whole leaves: what else is in them is asked for again. */
	while (va < 1ull << GPU_VA_BITS && pt_find_host(vm->root, PT_TOP, &va, &end, (uintptr_t)host, size)) {
		pt_unmap(vm->gpu, vm->root, PT_TOP, va, end, GPU_PROT_PAGE, &dead, &pages);
		va = end;
	}
	unmap_finish(vm, dead, pages);
}

/* ------------------------------------------------------------------ faults and events */

static void raise_fault(struct gpu_queue *q, uint64_t kernel, uint64_t va, bool write, bool execute)
{
	struct gpu_vm *vm = q->vm;
	unsigned level = 0;
	uint64_t e;
	int none = 0;

	if (!atomic_compare_exchange_strong(&vm->fault_state, &none, 1))
		return;
	e = pt_walk(vm, va, &level);
	vm->fault = (struct gpu_memory_fault){
		.va = va & ~0xfffull,
		.not_present = !e,
		.read_only = e && write && !(e & GPU_PROT_WRITE),
		.no_execute = e && execute && !(e & GPU_PROT_EXEC),
		.queue = q->desc.id,
		.kernel = kernel,
	};
	atomic_store(&vm->fault_state, 2);
	atomic_fetch_add(&vm->faults, 1);
	log_info("memory fault at %#llx (%s), queue %u, kernel %#llx", (unsigned long long)va,
		 !e	   ? "not mapped"
		 : write   ? "not writable"
		 : execute ? "not executable"
			   : "misaligned or not readable",
		 q->desc.id, (unsigned long long)kernel);
	trace_error(vm, GPU_TRACE_FAULT, q->desc.id, kernel, vm->fault.va);
	atomic_store(&vm->gpu->callbacks, 1);
	cp_kick(vm->gpu);
}

void vm_fault(struct gpu_queue *q, uint64_t va, bool write, bool execute)
{
	if (pager_wait(q, va, write, execute))
		return;
	raise_fault(q, 0, va, write, execute);
}

void vm_fault_wave(struct gpu_queue *q, uint64_t kernel, const struct exec_fault *fault)
{
	raise_fault(q, kernel, fault->va, fault->write, fault->no_execute);
}

void vm_signal_event(struct gpu_vm *vm, uint32_t event_id)
{
	pthread_mutex_lock(&vm->event_lock);
	for (unsigned i = 0; i < vm->num_events; i++) {
		if (vm->events[i] == event_id)
			goto out; /* not delivered yet: once is enough */
	}
	if (vm->num_events == vm->max_events) {
		unsigned max = vm->max_events ? vm->max_events * 2 : 16;
		uint32_t *events =
			max > GPU_MAX_EVENTS ? NULL : realloc(vm->events, max * sizeof(*events));

		if (!events) {
			log_error("too many events, or no memory: event %u lost", event_id);
			goto out;
		}
		vm->events = events;
		vm->max_events = max;
	}
	vm->events[vm->num_events++] = event_id;
out:
	pthread_mutex_unlock(&vm->event_lock);
	atomic_store(&vm->gpu->callbacks, 1);
	cp_kick(vm->gpu);
}
