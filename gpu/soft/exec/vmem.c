/* SPDX-License-Identifier: MIT */
/*
 * vmem.c - vector memory accesses (vmem.h).
 *
 * The common cases first: all 64 lanes at consecutive dwords (one translation, one row copy), then lane by lane with the last
 * page's translation kept. What crosses pages, or swizzled dwords, goes byte by byte.
 */
#include "gpu/soft/exec/vmem.h"

/* The page last translated. */
struct page_cache {
	uint64_t page;
	uint8_t *host;
};

/* Host address of va, or NULL after recording the fault. */
static inline uint8_t *lane_host(struct exec_ctx *ctx, struct page_cache *pc, uint64_t va, uint32_t prot)
{
	if (__builtin_expect(va >> MEM_PAGE_SHIFT != pc->page, 0)) {
		uint8_t *p = mem_translate(ctx->view, va & ~MEM_PAGE_MASK, prot);

		if (!p) {
			exec_memory_fault(ctx, va, prot);
			return NULL;
		}
		pc->page = va >> MEM_PAGE_SHIFT;
		pc->host = p;
	}
	return pc->host + (va & MEM_PAGE_MASK);
}

/* All lanes at addr[0] + 4 * lane, within one page. */
static bool is_row(const struct vmem_access *a)
{
	uint64_t base = a->addr[0], diff = 0;

	if (a->mask != UINT64_MAX || (base & 3) || (base & MEM_PAGE_MASK) > MEM_PAGE_SIZE - 4 * WAVE_LANES ||
	    a->addr[WAVE_LANES - 1] != base + 4 * (WAVE_LANES - 1))
		return false;
	for (uint64_t l = 0; l < WAVE_LANES; l++)
		diff |= a->addr[l] ^ (base + 4 * l);
	return diff == 0;
}

/* True if a lane's access of this size is not made of whole dwords (or lies within one) in swizzled memory. */
static inline bool split(const struct vmem_access *a, unsigned lane, unsigned bytes)
{
	return a->step != 4 && (bytes >= 4 ? a->phase[lane] != 0 : a->phase[lane] + bytes > 4);
}

/* Address of byte k of a lane's access. */
static uint64_t byte_address(const struct vmem_access *a, unsigned lane, unsigned k)
{
	unsigned p = a->phase[lane] + k;

	if (a->step == 4)
		return a->addr[lane] + k;
	return a->addr[lane] - a->phase[lane] + (uint64_t)(p >> 2) * a->step + (p & 3);
}

static bool slow_read(struct exec_ctx *ctx, const struct vmem_access *a, unsigned lane, unsigned first, void *buf, unsigned bytes)
{
	uint8_t *out = buf;

	for (unsigned k = 0; k < bytes; k++)
		if (!exec_mem_read(ctx, byte_address(a, lane, first + k), out + k, 1))
			return false;
	return true;
}

static bool slow_write(struct exec_ctx *ctx, const struct vmem_access *a, unsigned lane, unsigned first, const void *buf,
		       unsigned bytes)
{
	const uint8_t *in = buf;

	for (unsigned k = 0; k < bytes; k++)
		if (!exec_mem_write(ctx, byte_address(a, lane, first + k), in + k, 1))
			return false;
	return true;
}

/*
 * Calls visit for addresses in all pages that the lanes access, that many bytes each; those that follow each other in a page may be left out. bytes below 4
 * are one access, others dwords.
 */
typedef bool page_visitor(struct mem_view *view, struct mem_missing *m, uint64_t va);
static inline __attribute__((always_inline)) bool visit_pages(struct mem_view *view, const struct vmem_access *a, unsigned bytes,
							       struct mem_missing *m, page_visitor *visit)
{
	uint64_t last = ~0ull;

	for (uint64_t left = a->mask; left; left &= left - 1) {
		unsigned lane = __builtin_ctzll(left), phase = a->step == 4 ? 0 : a->phase[lane];
		uint64_t va = a->addr[lane] - phase;

		for (unsigned i = 0; 4 * i < bytes + phase; i++, va += a->step) {
			unsigned n = a->step != 4 || bytes > 4 ? 4 : bytes;

			if (i < 4 && !(a->in[i] >> lane & 1))
				continue;
			if (va >> MEM_PAGE_SHIFT != last && !visit(view, m, va))
				return false;
			last = va >> MEM_PAGE_SHIFT;
			if ((va + n - 1) >> MEM_PAGE_SHIFT == last)
				continue;
			last++;
			if (!visit(view, m, va + n - 1))
				return false;
		}
	}
	return true;
}

static bool collect_page(struct mem_view *view, struct mem_missing *m, uint64_t va)
{
	mem_collect(view, m, va);
	return true;
}

static void hold(struct mem_view *view, const struct mem_tlb_entry *e)
{
	for (uint32_t i = 0; i < view->num_held; i++)
		if (view->held[i].page == e->page)
			return;
	if (e->page != ~0ull && view->num_held < MEM_HELD)
		view->held[view->num_held++] = *e;
}

/* A page that another one has displaced from the tlb: both are held. False: it is no more. */
static bool hold_page(struct mem_view *view, struct mem_missing *m, uint64_t va)
{
	uint64_t page = va >> MEM_PAGE_SHIFT;
	const struct mem_tlb_entry *e = &view->tlb[mem_tlb_slot(page)];

	if (e->page == page)
		return true;
	hold(view, e);
	if (!mem_translate(view, va, m->prot))
		return false;
	hold(view, e);
	return true;
}

bool vmem_there(struct exec_ctx *ctx, const struct vmem_access *a, unsigned bytes, uint32_t prot)
{
	struct mem_missing m = {.prot = prot};

	if (__builtin_expect(!ctx->view->ask, 1))
		return true;
	do {
		m.num = 0;
		ctx->view->num_held = 0;
		visit_pages(ctx->view, a, bytes, &m, collect_page);
		if (m.num && !mem_ask(ctx, &m))
			return false;
		/* What was found is to stay found till the instruction is done, though it may be gone from the page table. */
	} while (m.num || !visit_pages(ctx->view, a, bytes, &m, hold_page));
	ctx->wave->page_wait.since = 0;
	return true;
}

/* A lane's dwords at p to and from rows that follow each other; an aligned pair is one host access: watchers of 64-bit values never see half of one. */
static inline void load_dwords(uint32_t *row, unsigned lane, const uint8_t *p, unsigned dwords)
{
	for (unsigned i = 0; i + 1 < dwords; i += 2) {
		uint64_t v = guest_load64(p + 4 * i);

		row[i * WAVE_LANES + lane] = v;
		row[(i + 1) * WAVE_LANES + lane] = v >> 32;
	}
	if (dwords & 1)
		row[(dwords - 1) * WAVE_LANES + lane] = guest_load32(p + 4 * (dwords - 1));
}

static inline void store_dwords(const uint32_t *row, unsigned lane, uint8_t *p, unsigned dwords)
{
	for (unsigned i = 0; i + 1 < dwords; i += 2)
		guest_store64(p + 4 * i, row[i * WAVE_LANES + lane] | (uint64_t)row[(i + 1) * WAVE_LANES + lane] << 32);
	if (dwords & 1)
		guest_store32(p + 4 * (dwords - 1), row[(dwords - 1) * WAVE_LANES + lane]);
}

/* One or two bytes; those of a store are the low or the high half's. */
static inline uint32_t load_bytes(const uint8_t *p, unsigned bytes)
{
	return bytes == 1 ? guest_load8(p) : guest_load16(p);
}

static inline void store_bytes(uint8_t *p, uint32_t v, unsigned bytes)
{
	if (bytes == 1)
		guest_store8(p, v);
	else
		guest_store16(p, v);
}

static inline uint32_t half_stored(enum vmem_kind kind, uint32_t v)
{
	return kind == VM_U8_HI || kind == VM_I8_HI || kind == VM_16_HI ? v >> 16 : v;
}

static bool load_short(struct exec_ctx *ctx, uint32_t *row, enum vmem_kind kind, const struct vmem_access *a)
{
	unsigned bytes = vmem_bytes(kind);
	uint32_t kept = vmem_kept(ctx->wave);
	struct page_cache pc = {.page = ~0ull};

	for (uint64_t m = a->mask; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint64_t va = a->addr[lane];
		uint32_t v = 0;

		if (a->in[0] >> lane & 1) {
			if (split(a, lane, bytes) || (va & MEM_PAGE_MASK) + bytes > MEM_PAGE_SIZE) {
				if (!slow_read(ctx, a, lane, 0, &v, bytes))
					return false;
			} else {
				const uint8_t *p = lane_host(ctx, &pc, va, GPU_PROT_READ);

				if (!p)
					return false;
				v = load_bytes(p, bytes);
			}
		}
		row[lane] = vmem_place(kind, row[lane] & kept, v);
	}
	return true;
}

#ifdef __AVX512F__
/*
 * Moves the dwords at addr + off of all lanes of mask that lie wholly in one page, whose host address is given; returns those lanes. Each
 * lane's dword is one access of the gather or scatter.
 */
static uint64_t gather_page(uint32_t *row, const struct vmem_access *a, uint64_t off, uint64_t mask, uint64_t page, const uint8_t *host)
{
	uint64_t done = 0;

	for (unsigned l = 0; l < WAVE_LANES; l += 8) {
		__m512i va = _mm512_add_epi64(_mm512_loadu_si512(a->addr + l), _mm512_set1_epi64((long long)off));
		__m512i in_page = _mm512_and_si512(va, _mm512_set1_epi64(MEM_PAGE_MASK));
		__mmask8 m = mask >> l;

		m = _mm512_mask_cmpeq_epi64_mask(m, _mm512_srli_epi64(va, MEM_PAGE_SHIFT), _mm512_set1_epi64((long long)page));
		m = _mm512_mask_cmple_epi64_mask(m, in_page, _mm512_set1_epi64(MEM_PAGE_SIZE - 4));
		if (!m)
			continue;
		_mm256_mask_storeu_epi32(row + l, m, _mm512_mask_i64gather_epi32(_mm256_setzero_si256(), m, in_page, host, 1));
		done |= (uint64_t)m << l;
	}
	return done;
}

static uint64_t scatter_page(const uint32_t *row, const struct vmem_access *a, uint64_t off, uint64_t mask, uint64_t page, uint8_t *host)
{
	uint64_t done = 0;

	for (unsigned l = 0; l < WAVE_LANES; l += 8) {
		__m512i va = _mm512_add_epi64(_mm512_loadu_si512(a->addr + l), _mm512_set1_epi64((long long)off));
		__m512i in_page = _mm512_and_si512(va, _mm512_set1_epi64(MEM_PAGE_MASK));
		__mmask8 m = mask >> l;

		m = _mm512_mask_cmpeq_epi64_mask(m, _mm512_srli_epi64(va, MEM_PAGE_SHIFT), _mm512_set1_epi64((long long)page));
		m = _mm512_mask_cmple_epi64_mask(m, in_page, _mm512_set1_epi64(MEM_PAGE_SIZE - 4));
		if (!m)
			continue;
		_mm512_mask_i64scatter_epi32(host, m, in_page, _mm256_loadu_si256((const void *)(row + l)), 1);
		done |= (uint64_t)m << l;
	}
	return done;
}
#else
static uint64_t gather_page(uint32_t *row, const struct vmem_access *a, uint64_t off, uint64_t mask, uint64_t page, const uint8_t *host)
{
	return 0;
}

static uint64_t scatter_page(const uint32_t *row, const struct vmem_access *a, uint64_t off, uint64_t mask, uint64_t page, uint8_t *host)
{
	return 0;
}
#endif

/* True if some lane's dwords do not lie in memory in one piece (swizzled and misaligned). */
static bool any_split(const struct vmem_access *a)
{
	uint8_t any = 0;

	if (a->step == 4)
		return false;
	for (unsigned l = 0; l < WAVE_LANES; l++)
		any |= a->phase[l] & -(uint8_t)(a->mask >> l & 1);
	return any;
}

/* True if some lane's dwords are at no multiple of four: they may overlap another lane's partly, and lie in two pages. */
static bool any_odd(const struct vmem_access *a)
{
	uint64_t any = 0;

	for (unsigned l = 0; l < WAVE_LANES; l++)
		any |= a->addr[l] & -(a->mask >> l & 1);
	return any & 3;
}

/*
 * Pages first: takes the page of the first lane of `left` and moves all lanes in it, while that moves several at a time. What remains in
 * left is for the caller's loop. Returns false from the caller after recording a fault.
 */
#define BY_PAGES(move, prot)                                                                                           \
	while (left) {                                                                                                 \
		uint64_t va = a->addr[__builtin_ctzll(left)] + off, done;                                              \
		uint8_t *host = mem_translate(ctx->view, va & ~MEM_PAGE_MASK, prot);                                   \
		if (!host) {                                                                                           \
			exec_memory_fault(ctx, va, prot);                                                              \
			return false;                                                                                  \
		}                                                                                                      \
		done = move(row, a, off, left, va >> MEM_PAGE_SHIFT, host);                                            \
		left &= ~done;                                                                                         \
		if (__builtin_popcountll(done) < 4)                                                                    \
			break;                                                                                         \
	}

/* One dword of every lane, offset bytes behind its address. */
static bool load_dword(struct exec_ctx *ctx, uint32_t *row, const struct vmem_access *a, unsigned index)
{
	uint64_t off = (uint64_t)index * a->step, left = a->mask & a->in[index];
	struct page_cache pc = {.page = ~0ull};

	for (uint64_t m = a->mask & ~a->in[index]; m; m &= m - 1)
		row[__builtin_ctzll(m)] = 0;
	if (!any_split(a))
		BY_PAGES(gather_page, GPU_PROT_READ)
	for (uint64_t m = left; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint64_t va = a->addr[lane] + off;
		const uint8_t *p;

		if (__builtin_expect(split(a, lane, 4) || (va & MEM_PAGE_MASK) > MEM_PAGE_SIZE - 4, 0)) {
			uint32_t v;

			if (!slow_read(ctx, a, lane, 4 * index, &v, 4))
				return false;
			row[lane] = v;
			continue;
		}
		p = lane_host(ctx, &pc, va, GPU_PROT_READ);
		if (!p)
			return false;
		row[lane] = guest_load32(p);
	}
	return true;
}

/* Linear accesses of several dwords: each lane's are read together. */
static bool load_lanes(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *dst, unsigned dwords,
		       const struct vmem_access *a)
{
	struct page_cache pc = {.page = ~0ull};
	uint32_t *row = reg_row(w, dst, 0);

	for (uint64_t m = a->mask; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint64_t va = a->addr[lane];
		const uint8_t *p;

		if (__builtin_expect((va & MEM_PAGE_MASK) > MEM_PAGE_SIZE - 4 * dwords, 0)) {
			uint32_t v[4];

			if (!exec_mem_read(ctx, va, v, 4 * dwords))
				return false;
			for (unsigned i = 0; i < dwords; i++)
				row[i * WAVE_LANES + lane] = v[i];
			continue;
		}
		p = lane_host(ctx, &pc, va, GPU_PROT_READ);
		if (!p)
			return false;
		load_dwords(row, lane, p, dwords);
	}
	return true;
}

/*
 * Several lanes, all of them at one place: hardware makes one access of them. Programs count on it: compilers take what is loaded from a uniform address for
 * uniform, and what another agent stores there once it has seen the wave's store is not overwritten by a lane that comes late.
 */
static bool at_one_place(const struct vmem_access *a, unsigned dwords)
{
	uint64_t in = a->in[0], first, diff = 0;

	if (!(a->mask & (a->mask - 1)) || a->step != 4)
		return false;
	first = a->addr[__builtin_ctzll(a->mask)];
	if (a->addr[63 - __builtin_clzll(a->mask)] != first)
		return false;
	for (uint64_t l = 0; l < WAVE_LANES; l++)
		diff |= (a->addr[l] ^ first) & -(a->mask >> l & 1);
	for (unsigned i = 1; i < dwords; i++)
		in &= a->in[i];
	return !diff && !(a->mask & ~in);
}

/* What is there, for all lanes. */
static bool load_once(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *dst, enum vmem_kind kind, const struct vmem_access *a)
{
	unsigned bytes = vmem_bytes(kind), dwords = (bytes + 3) / 4;
	uint64_t va = a->addr[__builtin_ctzll(a->mask)];
	uint32_t v[4 * WAVE_LANES] = {0}, kept = vmem_kept(w); /* rows, of which the first lane counts */

	if ((va & MEM_PAGE_MASK) + bytes > MEM_PAGE_SIZE) {
		uint32_t piece[4] = {0};

		if (!exec_mem_read(ctx, va, piece, bytes))
			return false;
		for (unsigned i = 0; i < dwords; i++)
			v[i * WAVE_LANES] = piece[i];
	} else {
		const uint8_t *p = mem_translate(ctx->view, va, GPU_PROT_READ);

		if (!p) {
			exec_memory_fault(ctx, va, GPU_PROT_READ);
			return false;
		}
		if (bytes < 4)
			v[0] = load_bytes(p, bytes);
		else
			load_dwords(v, 0, p, dwords);
	}
	for (unsigned i = 0; i < dwords; i++) {
		uint32_t *row = reg_row(w, dst, i);

		for (uint64_t m = a->mask; m; m &= m - 1) {
			unsigned lane = __builtin_ctzll(m);

			row[lane] = vmem_place(kind, row[lane] & kept, v[i * WAVE_LANES]);
		}
	}
	return true;
}

bool vmem_load(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *dst, enum vmem_kind kind, const struct vmem_access *a)
{
	unsigned dwords = kind >= VM_X1 ? kind - VM_X1 + 1 : 1;
	uint64_t in = UINT64_MAX;

	if (!vmem_there(ctx, a, vmem_bytes(kind), GPU_PROT_READ))
		return false;
	if (at_one_place(a, dwords))
		return load_once(ctx, w, dst, kind, a);
	if (kind < VM_X1)
		return load_short(ctx, reg_row(w, dst, 0), kind, a);
	for (unsigned i = 0; i < dwords; i++)
		in &= a->in[i];
	/* Rows: one dword, or swizzled ones, where each dword of 64 lanes is a row. */
	if ((a->mask & ~in) == 0 && (dwords == 1 || a->step == 4 * WAVE_LANES) && is_row(a) && !split(a, 0, 4)) {
		for (unsigned i = 0; i < dwords; i++) {
			uint64_t va = a->addr[0] + (uint64_t)i * a->step;
			const uint8_t *p;

			if ((va & MEM_PAGE_MASK) > MEM_PAGE_SIZE - 4 * WAVE_LANES)
				break;
			p = mem_translate(ctx->view, va, GPU_PROT_READ);
			if (!p) {
				exec_memory_fault(ctx, va, GPU_PROT_READ);
				return false;
			}
			guest_load_row(reg_row(w, dst, i), p);
			if (i + 1 == dwords)
				return true;
		}
	}
	if (dwords > 1 && a->step == 4 && (a->mask & ~in) == 0)
		return load_lanes(ctx, w, dst, dwords, a);
	for (unsigned i = 0; i < dwords; i++)
		if (!load_dword(ctx, reg_row(w, dst, i), a, i))
			return false;
	return true;
}

static bool store_short(struct exec_ctx *ctx, const uint32_t *row, enum vmem_kind kind, const struct vmem_access *a)
{
	unsigned bytes = vmem_bytes(kind);
	struct page_cache pc = {.page = ~0ull};

	for (uint64_t m = a->mask & a->in[0]; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint64_t va = a->addr[lane];
		uint32_t v = half_stored(kind, row[lane]);
		uint8_t *p;

		if (split(a, lane, bytes) || (va & MEM_PAGE_MASK) + bytes > MEM_PAGE_SIZE) {
			if (!slow_write(ctx, a, lane, 0, &v, bytes))
				return false;
			continue;
		}
		p = lane_host(ctx, &pc, va, GPU_PROT_WRITE);
		if (!p)
			return false;
		store_bytes(p, v, bytes);
	}
	return true;
}

static bool store_dword(struct exec_ctx *ctx, const uint32_t *row, const struct vmem_access *a, unsigned index)
{
	uint64_t off = (uint64_t)index * a->step, left = a->mask & a->in[index];
	struct page_cache pc = {.page = ~0ull};

	/* Where lanes overlap, the order is theirs, not that of pages. */
	if (!any_split(a) && !any_odd(a))
		BY_PAGES(scatter_page, GPU_PROT_WRITE)
	for (uint64_t m = left; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint64_t va = a->addr[lane] + off;
		uint8_t *p;

		if (__builtin_expect(split(a, lane, 4) || (va & MEM_PAGE_MASK) > MEM_PAGE_SIZE - 4, 0)) {
			if (!slow_write(ctx, a, lane, 4 * index, &row[lane], 4))
				return false;
			continue;
		}
		p = lane_host(ctx, &pc, va, GPU_PROT_WRITE);
		if (!p)
			return false;
		guest_store32(p, row[lane]);
	}
	return true;
}

static bool store_lanes(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *data, unsigned dwords,
			const struct vmem_access *a)
{
	struct page_cache pc = {.page = ~0ull};
	const uint32_t *row = reg_row(w, data, 0);

	for (uint64_t m = a->mask; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint64_t va = a->addr[lane];
		uint8_t *p;

		if (__builtin_expect((va & MEM_PAGE_MASK) > MEM_PAGE_SIZE - 4 * dwords, 0)) {
			uint32_t v[4];

			for (unsigned i = 0; i < dwords; i++)
				v[i] = row[i * WAVE_LANES + lane];
			if (!exec_mem_write(ctx, va, v, 4 * dwords))
				return false;
			continue;
		}
		p = lane_host(ctx, &pc, va, GPU_PROT_WRITE);
		if (!p)
			return false;
		store_dwords(row, lane, p, dwords);
	}
	return true;
}

bool vmem_store(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *data, enum vmem_kind kind,
		const struct vmem_access *a)
{
	unsigned dwords = kind >= VM_X1 ? kind - VM_X1 + 1 : 1;
	uint64_t in = UINT64_MAX;
	struct vmem_access last;

	if (!vmem_there(ctx, a, vmem_bytes(kind), GPU_PROT_WRITE))
		return false;
	ctx->stored = true;
	if (at_one_place(a, dwords)) {
		last = *a;
		last.mask = 1ull << (63 - __builtin_clzll(a->mask));
		a = &last;
	}
	if (kind < VM_X1)
		return store_short(ctx, reg_row(w, data, 0), kind, a);
	for (unsigned i = 0; i < dwords; i++)
		in &= a->in[i];
	if (dwords == 1 && !(a->mask & ~in) && is_row(a) && !split(a, 0, 4)) {
		uint8_t *p = mem_translate(ctx->view, a->addr[0], GPU_PROT_WRITE);

		if (!p) {
			exec_memory_fault(ctx, a->addr[0], GPU_PROT_WRITE);
			return false;
		}
		guest_store_row(p, reg_row(w, data, 0));
		return true;
	}
	if (dwords > 1 && a->step == 4 && !(a->mask & ~in))
		return store_lanes(ctx, w, data, dwords, a);
	for (unsigned i = 0; i < dwords; i++)
		if (!store_dword(ctx, reg_row(w, data, i), a, i))
			return false;
	return true;
}

/* Private memory is nobody else's: two swizzled dwords need no atomicity. */
static bool swizzled_atomic64(struct exec_ctx *ctx, const struct vmem_access *a, unsigned lane, enum atomic_kind kind, uint64_t data,
			      uint64_t cmp, uint64_t *old)
{
	uint64_t v;

	if (!slow_read(ctx, a, lane, 0, old, 8))
		return false;
	v = atomic_compute64(kind, *old, data, cmp);
	return slow_write(ctx, a, lane, 0, &v, 8);
}

bool vmem_atomic(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *dst, const struct isa_operand *data,
		 enum atomic_kind kind, unsigned dwords, const struct vmem_access *a)
{
	bool compare = kind == AT_CMPSWAP;
	struct page_cache pc = {.page = ~0ull};
	uint32_t old[2][WAVE_LANES];

	if (!vmem_there(ctx, a, 4 * dwords, GPU_PROT_READ | GPU_PROT_WRITE))
		return false;
	for (uint64_t m = a->mask; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint64_t va = a->addr[lane], d, c = 0, v;
		uint8_t *p;

		old[0][lane] = old[1][lane] = 0;
		if (!(a->in[0] & a->in[dwords - 1] & 1ull << lane))
			continue;
		d = reg_row(w, data, 0)[lane];
		if (dwords == 2)
			d |= (uint64_t)reg_row(w, data, 1)[lane] << 32;
		if (compare) {
			c = reg_row(w, data, dwords)[lane];
			if (dwords == 2)
				c |= (uint64_t)reg_row(w, data, 3)[lane] << 32;
		}
		if (dwords == 2 && a->step != 4) {
			if (!swizzled_atomic64(ctx, a, lane, kind, d, c, &v))
				return false;
		} else if (va & (4 * dwords - 1)) {
			exec_memory_fault(ctx, va, GPU_PROT_WRITE);
			return false;
		} else {
			p = lane_host(ctx, &pc, va, GPU_PROT_READ | GPU_PROT_WRITE);
			if (!p)
				return false;
			v = dwords == 2 ? atomic_host64(kind, p, d, c) : atomic_host32(kind, p, d, c);
		}
		old[0][lane] = v;
		old[1][lane] = v >> 32;
	}
	if (!dst || dst->kind == ISA_OPND_NONE)
		return true;
	for (unsigned i = 0; i < dwords; i++) {
		uint32_t *row = reg_row(w, dst, i);

		for (uint64_t m = a->mask; m; m &= m - 1) {
			unsigned lane = __builtin_ctzll(m);

			row[lane] = old[i][lane];
		}
	}
	return true;
}

/* ------------------------------------------------------------------ of compiled code, by range */

/* A range from the lanes' side: a lane is in it if its high half is hi (wide) and its low half lies in [first, first + last]. */
struct window {
	uint32_t first, last, hi;
	uint8_t *host; /* of low half first */
	bool empty;
};

static struct window window_of(const struct mem_range *r, const struct vmem_spread *x, bool wide, unsigned bytes, uint32_t prot)
{
	uint64_t first = r->first - x->add, last = r->size - bytes, skip = 0;
	struct window w = {.empty = true};

	if (r->size < bytes || (r->prot & prot) != prot)
		return w;
	if (!wide) {
		/* Lanes have no high half: what of the range is in [0, 2^32), modulo 2^64. */
		skip = first > UINT32_MAX ? -first : 0;
		if (skip > last)
			return w;
	}
	w.empty = false;
	w.first = (uint32_t)(first + skip);
	w.hi = (uint32_t)(first >> 32);
	w.last = last - skip > UINT32_MAX - w.first ? UINT32_MAX - w.first : (uint32_t)(last - skip);
	w.host = r->host + skip;
	return w;
}

/* The lanes of mask in the window, and their distances from its host address. */
static uint64_t lanes_in(const struct window *w, const struct vmem_spread *x, bool wide, uint64_t mask, uint32_t *off)
{
	uint64_t in = 0;

	if (w->empty)
		return 0;
#ifdef __AVX512F__
	for (unsigned l = 0; l < WAVE_LANES; l += 16) {
		__m512i o = _mm512_sub_epi32(_mm512_loadu_si512(x->lo + l), _mm512_set1_epi32((int)w->first));
		__mmask16 m = _mm512_mask_cmple_epu32_mask((__mmask16)(mask >> l), o, _mm512_set1_epi32((int)w->last));

		if (wide)
			m = _mm512_mask_cmpeq_epi32_mask(m, _mm512_loadu_si512(x->hi + l), _mm512_set1_epi32((int)w->hi));
		_mm512_storeu_si512(off + l, o);
		in |= (uint64_t)m << l;
	}
#else
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		off[l] = x->lo[l] - w->first;
		in |= (uint64_t)(off[l] <= w->last && (!wide || x->hi[l] == w->hi)) << l;
	}
	in &= mask;
#endif
	return in;
}

/* A short load's values, of the bytes in the low bits, in the lanes of mask. */
static void place_row(struct wave *w, enum vmem_kind kind, uint32_t *row, const uint32_t *got, unsigned lanes, uint32_t mask)
{
	uint32_t kept = vmem_kept(w);

	for (unsigned l = 0; l < lanes; l++)
		row[l] = mask >> l & 1 ? vmem_place(kind, row[l] & kept, got[l]) : row[l];
}

#ifdef __AVX512F__
/* Lanes 4 q + which of 16, in quarters q. */
static inline __m512i quads(const uint8_t *host, const uint32_t *off, unsigned which)
{
	__m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const void *)(host + off[which])));

	v = _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(host + off[4 + which])), 1);
	v = _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(host + off[8 + which])), 2);
	return _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(host + off[12 + which])), 3);
}

/* Four dwords of each of 16 lanes from l on: far cheaper than as gathers. */
static void load_quads(struct vmem_spread *x, unsigned l, const uint8_t *host, const uint32_t *off)
{
	__m512i a = quads(host, off, 0), b = quads(host, off, 1), c = quads(host, off, 2), d = quads(host, off, 3);
	__m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);

	_mm512_storeu_si512(x->data[0] + l, _mm512_unpacklo_epi64(ab, cd));
	_mm512_storeu_si512(x->data[1] + l, _mm512_unpackhi_epi64(ab, cd));
	ab = _mm512_unpackhi_epi32(a, b);
	cd = _mm512_unpackhi_epi32(c, d);
	_mm512_storeu_si512(x->data[2] + l, _mm512_unpacklo_epi64(ab, cd));
	_mm512_storeu_si512(x->data[3] + l, _mm512_unpackhi_epi64(ab, cd));
}
#endif

static void gather_lanes(struct wave *w, struct vmem_spread *x, enum vmem_kind kind, const uint8_t *host, const uint32_t *off, uint64_t mask)
{
	unsigned dwords = kind >= VM_X1 ? kind - VM_X1 + 1 : 1;
#ifdef __AVX512F__
	static const uint32_t halves[2][16] = {{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30},
					       {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}};

	for (unsigned l = 0; l < WAVE_LANES; l += 16) {
		__mmask16 m = mask >> l;
		__m512i o = _mm512_loadu_si512(off + l);
		unsigned k = 0;

		if (!m)
			continue;
		if (dwords == 4 && m == 0xffff) {
			load_quads(x, l, host, off + l);
			continue;
		}
		for (; k + 1 < dwords; k += 2) { /* a pair is one host access */
			__m512i a = _mm512_mask_i32gather_epi64(_mm512_setzero_si512(), (__mmask8)m, _mm512_castsi512_si256(o), host + 4 * k, 1);
			__m512i b = _mm512_mask_i32gather_epi64(_mm512_setzero_si512(), (__mmask8)(m >> 8), _mm512_extracti64x4_epi64(o, 1),
								host + 4 * k, 1);

			_mm512_mask_storeu_epi32(x->data[k] + l, m, _mm512_permutex2var_epi32(a, _mm512_loadu_si512(halves[0]), b));
			_mm512_mask_storeu_epi32(x->data[k + 1] + l, m, _mm512_permutex2var_epi32(a, _mm512_loadu_si512(halves[1]), b));
		}
		if (k < dwords) {
			__m512i v = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, o, host + 4 * k, 1);

			if (kind < VM_X1) {
				uint32_t got[16];

				_mm512_storeu_si512(got, v);
				place_row(w, kind, x->data[0] + l, got, 16, m);
			} else {
				_mm512_mask_storeu_epi32(x->data[k] + l, m, v);
			}
		}
	}
#else
	for (uint64_t m = mask; m; m &= m - 1) {
		unsigned l = __builtin_ctzll(m);
		const uint8_t *p = host + off[l];

		if (kind < VM_X1) {
			uint32_t v = load_bytes(p, vmem_bytes(kind));

			place_row(w, kind, x->data[0] + l, &v, 1, 1);
		} else {
			load_dwords(x->data[0], l, p, dwords);
		}
	}
#endif
}

static uint64_t lane_address(const struct vmem_spread *x, bool wide, unsigned lane)
{
	return x->add + (x->lo[lane] | (wide ? (uint64_t)x->hi[lane] << 32 : 0));
}

static void whole_access(const struct vmem_spread *x, bool wide, uint64_t mask, struct vmem_access *a)
{
	a->mask = mask;
	a->step = 4;
	for (unsigned i = 0; i < 4; i++)
		a->in[i] = UINT64_MAX;
	for (unsigned l = 0; l < WAVE_LANES; l++)
		a->addr[l] = lane_address(x, wide, l);
}

/* As at_one_place(). */
static bool spread_over_one(const struct vmem_spread *x, bool wide, uint64_t mask)
{
	unsigned first = mask ? (unsigned)__builtin_ctzll(mask) : 0;
	uint32_t diff = 0;

	if (!(mask & (mask - 1)) || x->lo[63 - __builtin_clzll(mask)] != x->lo[first])
		return false;
	for (unsigned l = 0; l < WAVE_LANES; l++)
		diff |= ((x->lo[l] ^ x->lo[first]) | (wide ? x->hi[l] ^ x->hi[first] : 0)) & -(uint32_t)(mask >> l & 1);
	return !diff;
}

/* Registers that are the access's rows. */
static const struct isa_operand spread_rows = {.kind = ISA_OPND_VGPR, .dwords = 4};

bool vmem_spread_load(struct exec_ctx *ctx, struct vmem_spread *x, uint64_t mask, uint32_t what)
{
	enum vmem_kind kind = what & 0xff;
	unsigned bytes = vmem_bytes(kind), tries = 0;
	bool wide = what & SPREAD_WIDE, ok;
	struct mem_range *r = &ctx->view->range[what >> 16];
	struct wave *w = ctx->wave;
	uint32_t (*saved)[WAVE_LANES] = w->vgpr, off[WAVE_LANES];
	struct vmem_access a;
	bool once = spread_over_one(x, wide, mask);

	while (!once) {
		/* Short ones are dwords with something behind. */
		struct window win = window_of(r, x, wide, bytes < 4 ? 4 : bytes, GPU_PROT_READ);
		uint64_t in = lanes_in(&win, x, wide, mask, off);

		if (in)
			gather_lanes(w, x, kind, win.host, off, in);
		mask &= ~in;
		if (!mask || tries++ == 2 || !mem_find_range(ctx->view, lane_address(x, wide, (unsigned)__builtin_ctzll(mask)), r))
			break;
	}
	if (!mask)
		return true;
	whole_access(x, wide, mask, &a);
	w->vgpr = x->data;
	ok = vmem_load(ctx, w, &spread_rows, kind, &a);
	w->vgpr = saved;
	return ok;
}

/* In the order of lanes. */
static void scatter_lanes(const struct vmem_spread *x, enum vmem_kind kind, uint8_t *host, const uint32_t *off, uint64_t mask)
{
	unsigned bytes = vmem_bytes(kind);

	for (uint64_t m = mask; m; m &= m - 1) {
		unsigned l = __builtin_ctzll(m);
		uint8_t *p = host + off[l];

		if (kind < VM_X1)
			store_bytes(p, half_stored(kind, x->data[0][l]), bytes);
		else
			store_dwords(x->data[0], l, p, bytes / 4);
	}
}

bool vmem_spread_store(struct exec_ctx *ctx, struct vmem_spread *x, uint64_t mask, uint32_t what)
{
	enum vmem_kind kind = what & 0xff;
	unsigned bytes = vmem_bytes(kind);
	bool wide = what & SPREAD_WIDE, ok;
	struct mem_range *r = &ctx->view->range[what >> 16];
	struct wave *w = ctx->wave;
	uint32_t (*saved)[WAVE_LANES] = w->vgpr, off[WAVE_LANES];
	struct vmem_access a;

	ctx->stored = true;
	if (spread_over_one(x, wide, mask))
		mask = 1ull << (63 - __builtin_clzll(mask));
	for (unsigned tries = 0; tries < 2; tries++) {
		struct window win = window_of(r, x, wide, bytes, GPU_PROT_WRITE);
		uint64_t in = lanes_in(&win, x, wide, mask, off);

		if (in == mask) {
			scatter_lanes(x, kind, win.host, off, mask);
			return true;
		}
		if (tries || !mem_find_range(ctx->view, lane_address(x, wide, (unsigned)__builtin_ctzll(mask & ~in)), r))
			break;
	}
	whole_access(x, wide, mask, &a);
	w->vgpr = x->data;
	ok = vmem_store(ctx, w, &spread_rows, kind, &a);
	w->vgpr = saved;
	return ok;
}
