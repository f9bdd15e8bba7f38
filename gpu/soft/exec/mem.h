/* SPDX-License-Identifier: MIT */
/*
 * mem.h - guest memory as the interpreter reaches it: a struct mem_view (soft.h) and accessors of host memory.
 *
 * Every guest address is translated, none is ever used as a host pointer. Programs of the guest race on this memory by
 * design (signals, spin loops), so all accesses to it go through the guest_* accessors: one host access each when the
 * address is aligned (4 and 8 bytes; a CPU thread that watches a signal sees old or new, nothing between), volatile so that
 * no load of a spin loop is merged with another, and hidden from the thread sanitizer.
 */
#ifndef GPU_SOFT_EXEC_MEM_H
#define GPU_SOFT_EXEC_MEM_H

#include <string.h>

#include "gpu/soft/exec/exec.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MEM_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define MEM_TSAN 1
#endif
/* A function with no_sanitize can't be inlined into one without: pay for the call only under the sanitizer. */
#ifdef MEM_TSAN
#define GUEST_FN static __attribute__((noinline, no_sanitize("thread"), unused))
#else
#define GUEST_FN static inline __attribute__((always_inline, unused))
#endif

#define MEM_PAGE_SIZE (1ull << MEM_PAGE_SHIFT)
#define MEM_PAGE_MASK (MEM_PAGE_SIZE - 1)

struct mem_u16 {
	uint16_t v;
} __attribute__((packed, may_alias));
struct mem_u32 {
	uint32_t v;
} __attribute__((packed, may_alias));
struct mem_u64 {
	uint64_t v;
} __attribute__((packed, may_alias));

GUEST_FN uint8_t guest_load8(const uint8_t *p)
{
	return *(const volatile uint8_t *)p;
}

GUEST_FN uint16_t guest_load16(const uint8_t *p)
{
	return ((const volatile struct mem_u16 *)p)->v;
}

GUEST_FN uint32_t guest_load32(const uint8_t *p)
{
	return ((const volatile struct mem_u32 *)p)->v;
}

GUEST_FN uint64_t guest_load64(const uint8_t *p)
{
	return ((const volatile struct mem_u64 *)p)->v;
}

GUEST_FN void guest_store8(uint8_t *p, uint8_t v)
{
	*(volatile uint8_t *)p = v;
}

GUEST_FN void guest_store16(uint8_t *p, uint16_t v)
{
	((volatile struct mem_u16 *)p)->v = v;
}

GUEST_FN void guest_store32(uint8_t *p, uint32_t v)
{
	((volatile struct mem_u32 *)p)->v = v;
}

GUEST_FN void guest_store64(uint8_t *p, uint64_t v)
{
	((volatile struct mem_u64 *)p)->v = v;
}

/*
 * A whole row of 64 dwords at once: 16 bytes an access, which x86 does in whole dwords when they are 4-byte aligned (no
 * dword of an aligned row straddles what the CPU moves at once).
 */
typedef uint32_t mem_v4 __attribute__((vector_size(16), aligned(4), may_alias));

GUEST_FN void guest_load_row(uint32_t *row, const uint8_t *p)
{
	for (int i = 0; i < WAVE_LANES; i += 4)
		*(mem_v4 *)(row + i) = *(const mem_v4 *)(p + 4 * i);
	__asm__ volatile("" ::: "memory");
}

GUEST_FN void guest_store_row(uint8_t *p, const uint32_t *row)
{
	for (int i = 0; i < WAVE_LANES; i += 4)
		*(mem_v4 *)(p + 4 * i) = *(const mem_v4 *)(row + i);
	__asm__ volatile("" ::: "memory");
}

/* Host address of the byte at va if its page is mapped with all of prot (enum gpu_prot), else NULL. Good to the page's end. */
static inline uint8_t *mem_translate(struct mem_view *view, uint64_t va, uint32_t prot)
{
	uint64_t page = va >> MEM_PAGE_SHIFT;
	const struct mem_tlb_entry *e = &view->tlb[mem_tlb_slot(page)];

	if (__builtin_expect(e->page != page, 0)) {
		e = view->fill(view, page);
		if (!e)
			return NULL;
	}
	if (__builtin_expect((e->prot & prot) != prot, 0))
		return NULL;
	return e->host + (va & MEM_PAGE_MASK);
}

/*
 * For compiled code: host address of bytes from va on, for the right that place (of view->near) is for; NULL where they are not there, or not in one
 * piece. Afterwards the place mostly has them, too. bytes is at most what the place's class is for.
 */
uint8_t *mem_find_near(struct exec_ctx *ctx, uint64_t va, uint32_t place, uint32_t bytes);

/*
 * Looks for one of the view's ranges around va, unless it was looked for too often since the last flush. True: va is in it now and was not
 * before; with which rights is to be seen.
 */
bool mem_find_range(struct mem_view *view, uint64_t va, struct mem_range *r);

/* Records a memory fault of the running wave at va, unless an error is recorded already. */
void exec_memory_fault(struct exec_ctx *ctx, uint64_t va, uint32_t prot);

/*
 * Pageable memory (view->ask). An instruction looks at all that it will touch before it does anything, and collects what is missing; with
 * something missing it calls mem_ask(), which returns true if it is to look again, else with ctx->error set: the wave waits (EXEC_PAGES), or
 * a memory fault.
 */
static inline void mem_collect(struct mem_view *view, struct mem_missing *m, uint64_t va)
{
	uint64_t page = va >> MEM_PAGE_SHIFT;

	if (mem_translate(view, va, m->prot) || m->num == MEM_MISSING)
		return;
	for (uint32_t i = m->num; i-- > 0;)
		if (m->va[i] >> MEM_PAGE_SHIFT == page)
			return;
	m->va[m->num++] = va;
}
bool mem_ask(struct exec_ctx *ctx, const struct mem_missing *m);
/* The same for size bytes (at most a page) at va. True: they are there. */
bool mem_want(struct exec_ctx *ctx, uint64_t va, uint32_t size, uint32_t prot);

/*
 * Copies size bytes between guest memory at va (any alignment, may cross pages) and buf. True on success; false after
 * recording the fault. Slow path: aligned dwords are still single accesses.
 */
bool exec_mem_read(struct exec_ctx *ctx, uint64_t va, void *buf, uint32_t size);
bool exec_mem_write(struct exec_ctx *ctx, uint64_t va, const void *buf, uint32_t size);

#endif
