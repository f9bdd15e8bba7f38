/* SPDX-License-Identifier: MIT */
/*
 * code.c - the decoded code cache (code.h).
 *
 * Structure: a hash table of slots, one per page number, which live as long as the cache; each points to the page's current
 * decoded version. Slots are only added, at the head of their chain, so readers need no lock. Decoding and replacing happen under
 * one mutex.
 *
 * A guest chooses what is executed, so decoded code is bounded: above CODE_MAX_BYTES everything decoded is dropped at the next
 * revalidation, and above CODE_HARD_BYTES nothing more is decoded. All caches of this process together (the GPU processes of a tenant) have
 * a bound, too: above CODE_ALL_BYTES the limits of each are CODE_SHARE_BYTES and twice that, which nobody can take from it.
 */
#define LOG_PART "exec"
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/mfma.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "gpu/soft/exec/gws.h"
#include "gpu/soft/jit/jit.h"

#define CODE_BUCKETS	(1 << 12)
#define CODE_CHUNK	64 /* records allocated at once */
#define CODE_MAX_BYTES	(256ull << 20)
#define CODE_HARD_BYTES (1024ull << 20)
#define CODE_ALL_BYTES	(2048ull << 20)
#define CODE_SHARE_BYTES (8ull << 20)

static _Atomic uint64_t all_bytes; /* of all caches */

struct code_chunk {
	struct code_chunk *next;
	struct code_inst inst[CODE_CHUNK];
};

struct code_page {
	uint64_t number;		/* va >> 12 */
	_Atomic uint64_t epoch;		/* the cache's when the bytes were last found unchanged */
	uint32_t raw[CODE_PAGE_DWORDS + CODE_TAIL_DWORDS];
	_Atomic uint32_t raw_dwords;	/* valid ones: without the tail until an instruction needs it */
	struct code_inst *_Atomic inst[CODE_PAGE_DWORDS];
	struct code_chunk *chunks;
	struct code_page *retired_next;
};

struct code_slot {
	uint64_t number;
	struct code_page *_Atomic page;
	struct code_slot *next;
};

struct code_cache {
	enum isa_target target;
	_Atomic uint64_t epoch;
	/*
	 * exec_runs inside, each counted in the one of two counters that `side` named when it entered. Retired pages can't be reached any more,
	 * so once each counter has been seen at zero since (not necessarily both at once), nobody holds them. side steers newcomers away
	 * from the counter that still has to drain, so a GPU that is never idle frees memory, too.
	 */
	atomic_uint inside[2], side;
	struct code_slot *_Atomic bucket[CODE_BUCKETS];
	pthread_mutex_t lock; /* decoding; everything below */
	struct code_page *retired; /* since waiting was filled */
	struct code_page *waiting; /* to be freed when both counters have drained */
	unsigned drained;	   /* bit i: inside[i] has been zero since waiting was filled */
	uint64_t bytes;
	struct jit_cache *jit;
	struct gws gws;
	const struct exec_observer *observer; /* NULL: nobody */
	struct code_cache *beside; /* whose gws counts, NULL: its own */
};

static struct code_cache *cache_new(enum isa_target target, const struct exec_observer *observer)
{
	struct code_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->target = target;
	atomic_init(&cache->epoch, 1);
	pthread_mutex_init(&cache->lock, NULL);
	cache->observer = observer;
	cache->jit = observer ? NULL : jit_cache_new(target);
	gws_init(&cache->gws);
	return cache;
}

struct code_cache *code_cache_new(enum isa_target target)
{
	return cache_new(target, NULL);
}

struct code_cache *code_cache_new_observed(enum isa_target target, const struct exec_observer *observer)
{
	return cache_new(target, observer);
}

void code_cache_beside(struct code_cache *cache, struct code_cache *other)
{
	cache->beside = other;
}

/* The record function of what somebody observes. */
static void exec_observed(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	const struct code_cache *cache = w->wg->code;
	exec_fn *fn = exec_lookup(cache->target, inst->op);

	cache->observer->inst(cache->observer, ctx, w, inst, fn ? fn : exec_illegal);
}

struct jit_cache *code_cache_jit(struct code_cache *cache, uint64_t *epoch)
{
	*epoch = atomic_load_explicit(&cache->epoch, memory_order_relaxed);
	return cache->jit;
}

struct gws *code_cache_gws(struct code_cache *cache)
{
	return cache->beside ? &cache->beside->gws : &cache->gws;
}

/* Under the lock; bytes may be negative. */
static void count_bytes(struct code_cache *cache, int64_t bytes)
{
	cache->bytes += (uint64_t)bytes;
	atomic_fetch_add_explicit(&all_bytes, (uint64_t)bytes, memory_order_relaxed);
}

static bool is_crowded(void)
{
	return atomic_load_explicit(&all_bytes, memory_order_relaxed) > CODE_ALL_BYTES;
}

static void page_free(struct code_cache *cache, struct code_page *page)
{
	struct code_chunk *next;

	for (struct code_chunk *c = page->chunks; c; c = next) {
		next = c->next;
		free(c);
		count_bytes(cache, -(int64_t)sizeof(*c));
	}
	count_bytes(cache, -(int64_t)sizeof(*page));
	free(page);
}

static void free_list(struct code_cache *cache, struct code_page **list)
{
	struct code_page *next;

	for (struct code_page *p = *list; p; p = next) {
		next = p->retired_next;
		page_free(cache, p);
	}
	*list = NULL;
}

/* Frees retired pages that nobody can hold any more. Under the lock. */
static void reclaim(struct code_cache *cache)
{
	for (int round = 0; round < 2 && (cache->waiting || cache->retired); round++) {
		if (!cache->waiting) {
			cache->waiting = cache->retired;
			cache->retired = NULL;
			cache->drained = 0;
		}
		for (unsigned i = 0; i < 2; i++)
			if (!atomic_load(&cache->inside[i]))
				cache->drained |= 1u << i;
		if (cache->drained == 3)
			free_list(cache, &cache->waiting);
		else
			atomic_store(&cache->side, cache->drained & 1 ? 0 : 1);
	}
}

static void retire(struct code_cache *cache, struct code_page *page)
{
	page->retired_next = cache->retired;
	cache->retired = page;
}

void code_cache_free(struct code_cache *cache)
{
	if (!cache)
		return;
	jit_cache_free(cache->jit);
	gws_end(&cache->gws);
	free_list(cache, &cache->retired);
	free_list(cache, &cache->waiting);
	for (int i = 0; i < CODE_BUCKETS; i++) {
		struct code_slot *next;

		for (struct code_slot *s = atomic_load(&cache->bucket[i]); s; s = next) {
			struct code_page *page = atomic_load(&s->page);

			next = s->next;
			if (page)
				page_free(cache, page);
			free(s);
		}
	}
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

unsigned code_cache_enter(struct code_cache *cache)
{
	unsigned side = atomic_load(&cache->side);

	atomic_fetch_add(&cache->inside[side], 1);
	return side;
}

void code_cache_leave(struct code_cache *cache, unsigned side)
{
	atomic_fetch_sub(&cache->inside[side], 1);
}

void code_cache_revalidate(struct code_cache *cache)
{
	atomic_fetch_add(&cache->epoch, 1);
	pthread_mutex_lock(&cache->lock);
	if (cache->bytes > (is_crowded() ? CODE_SHARE_BYTES : CODE_MAX_BYTES)) {
		for (int i = 0; i < CODE_BUCKETS; i++)
			for (struct code_slot *s = atomic_load(&cache->bucket[i]); s; s = s->next) {
				struct code_page *page = atomic_exchange(&s->page, NULL);

				if (page)
					retire(cache, page);
			}
	}
	reclaim(cache);
	pthread_mutex_unlock(&cache->lock);
}

/* Copies what page holds now; dwords beyond CODE_PAGE_DWORDS come from the next page. False: not executable, fault recorded. */
static bool fetch(struct exec_ctx *ctx, uint64_t number, uint32_t first, uint32_t end, uint32_t *raw)
{
	const uint8_t *p = NULL;

	for (uint32_t i = first; i < end; i++, p += 4) {
		uint64_t va = (number << MEM_PAGE_SHIFT) + 4ull * i;

		if (!p || i == CODE_PAGE_DWORDS)
			p = mem_translate(ctx->view, va, GPU_PROT_EXEC);
		if (!p) {
			exec_memory_fault(ctx, va, GPU_PROT_EXEC);
			return false;
		}
		raw[i - first] = guest_load32(p);
	}
	return true;
}

/* Under the lock. NULL: ctx->error set. */
static struct code_page *page_new(struct exec_ctx *ctx, struct code_cache *cache, uint64_t number)
{
	struct code_page *page = NULL;

	if (cache->bytes <= (is_crowded() ? 2 * CODE_SHARE_BYTES : CODE_HARD_BYTES))
		page = calloc(1, sizeof(*page));
	if (!page) {
		log_error("no memory to decode code at 0x%llx", (unsigned long long)(number << MEM_PAGE_SHIFT));
		ctx->error = EXEC_ILLEGAL;
		return NULL;
	}
	if (!fetch(ctx, number, 0, CODE_PAGE_DWORDS, page->raw)) {
		free(page);
		return NULL;
	}
	page->number = number;
	atomic_init(&page->raw_dwords, CODE_PAGE_DWORDS);
	atomic_init(&page->epoch, atomic_load(&cache->epoch));
	count_bytes(cache, sizeof(*page));
	return page;
}

/* Others may write what p points to meanwhile; it is at a page's start. */
static bool same_dwords(const void *p, const uint32_t *raw, uint32_t n)
{
	const uint64_t *pair = p;
	uint64_t diff = 0, old;

	for (uint32_t i = 0; i + 2 <= n; i += 2) {
		memcpy(&old, raw + i, sizeof(old));
		diff |= __atomic_load_n(&pair[i / 2], __ATOMIC_RELAXED) ^ old;
	}
	if (n & 1)
		diff |= __atomic_load_n((const uint32_t *)p + n - 1, __ATOMIC_RELAXED) ^ raw[n - 1];
	return !diff;
}

/* True if the page's bytes are still those that were decoded. False with ctx->error set when it can't be read. */
static bool unchanged(struct exec_ctx *ctx, struct code_page *page)
{
	uint32_t n = atomic_load(&page->raw_dwords), end = CODE_PAGE_DWORDS;

	for (uint32_t i = 0; i < n; i = end, end = n) {
		uint64_t va = (page->number << MEM_PAGE_SHIFT) + 4ull * i;
		const void *p = mem_translate(ctx->view, va, GPU_PROT_EXEC);

		if (!p) {
			exec_memory_fault(ctx, va, GPU_PROT_EXEC);
			return false;
		}
		if (!same_dwords(p, page->raw + i, end - i))
			return false;
	}
	return true;
}

static struct code_slot *slot_find(struct code_cache *cache, uint64_t number)
{
	struct code_slot *s = atomic_load_explicit(&cache->bucket[number & (CODE_BUCKETS - 1)], memory_order_acquire);

	while (s && s->number != number)
		s = s->next;
	return s;
}

/* The slow path: no current version of the page, or one to be revalidated. */
static struct code_page *page_refresh(struct exec_ctx *ctx, struct code_cache *cache, uint64_t number)
{
	struct code_page *page = NULL;
	struct code_slot *s;
	uint64_t epoch;

	pthread_mutex_lock(&cache->lock);
	s = slot_find(cache, number);
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s) {
			ctx->error = EXEC_ILLEGAL;
			goto out;
		}
		s->number = number;
		s->next = atomic_load(&cache->bucket[number & (CODE_BUCKETS - 1)]);
		atomic_store_explicit(&cache->bucket[number & (CODE_BUCKETS - 1)], s, memory_order_release);
	}
	epoch = atomic_load(&cache->epoch);
	page = atomic_load(&s->page);
	if (page && atomic_load(&page->epoch) != epoch) {
		if (unchanged(ctx, page)) {
			atomic_store(&page->epoch, epoch);
		} else {
			atomic_store(&s->page, NULL);
			retire(cache, page);
			page = NULL;
			ctx->error = EXEC_DONE; /* page_new says again what can't be read */
		}
	}
	if (!page) {
		page = page_new(ctx, cache, number);
		atomic_store_explicit(&s->page, page, memory_order_release);
	}
out:
	pthread_mutex_unlock(&cache->lock);
	return page;
}

struct code_page *code_page_get(struct exec_ctx *ctx, struct code_cache *cache, uint64_t pc)
{
	uint64_t number = pc >> MEM_PAGE_SHIFT;
	struct code_slot *s = slot_find(cache, number);
	struct code_page *page = s ? atomic_load_explicit(&s->page, memory_order_acquire) : NULL;

	if (!mem_translate(ctx->view, pc, GPU_PROT_EXEC)) {
		exec_memory_fault(ctx, pc, GPU_PROT_EXEC);
		return NULL;
	}
	if (page && atomic_load_explicit(&page->epoch, memory_order_relaxed) ==
			    atomic_load_explicit(&cache->epoch, memory_order_relaxed))
		return page;
	return page_refresh(ctx, cache, number);
}

/* Widest use of the scalar file is checked here, of the vector file by the run loop against the wave. False: out of range. */
static bool check_operand(struct code_inst *ci, const struct isa_operand *o)
{
	unsigned end = o->index + (o->dwords ? o->dwords : 1);

	switch (o->kind) {
	case ISA_OPND_SGPR:
		return end <= WAVE_SGPRS;
	case ISA_OPND_VGPR:
		if (end > ci->vgprs)
			ci->vgprs = end;
		return true;
	case ISA_OPND_AGPR:
		if (end > ci->agprs)
			ci->agprs = end;
		return true;
	default:
		return true;
	}
}

static bool always_leaves(unsigned op)
{
	return op == ISA_S_BRANCH || op == ISA_S_ENDPGM || op == ISA_S_SETPC_B64 || op == ISA_S_SWAPPC_B64 ||
	       op == ISA_S_CALL_B64 || op == ISA_S_ENDPGM_SAVED || op == ISA_S_ENDPGM_ORDERED_PS_DONE || op == ISA_S_RFE_B64 ||
	       op == ISA_S_RFE_RESTORE_B64;
}

static bool may_branch(unsigned op)
{
	return always_leaves(op) || op == ISA_S_CBRANCH_SCC0 || op == ISA_S_CBRANCH_SCC1 || op == ISA_S_CBRANCH_VCCZ ||
	       op == ISA_S_CBRANCH_VCCNZ || op == ISA_S_CBRANCH_EXECZ || op == ISA_S_CBRANCH_EXECNZ ||
	       op == ISA_S_CBRANCH_CDBGSYS || op == ISA_S_CBRANCH_CDBGUSER || op == ISA_S_CBRANCH_CDBGSYS_OR_USER ||
	       op == ISA_S_CBRANCH_CDBGSYS_AND_USER || op == ISA_S_CBRANCH_G_FORK || op == ISA_S_CBRANCH_I_FORK ||
	       op == ISA_S_CBRANCH_JOIN || op == ISA_S_TRAP || op == ISA_S_ICACHE_INV;
}

/*
 * What the instruction takes beyond an ordinary one, in such: a run of the costly ones must not keep a thread from its next
 * quiescent point for long. 0 for most.
 */
static uint8_t weight(const struct isa_inst *inst)
{
	if (inst->op >= ISA_V_MFMA_F32_16X16X16BF16_1K && inst->op <= ISA_V_MFMA_I32_4X4X4I8)
		return exec_mfma_functions(0) == exec_mfma_functions(1) ? 64 : 8; /* with the host's multiply-adds, or without */
	switch (inst->format) {
	case ISA_FMT_DS:
	case ISA_FMT_FLAT:
	case ISA_FMT_GLOBAL:
	case ISA_FMT_SCRATCH:
	case ISA_FMT_MUBUF:
	case ISA_FMT_MTBUF:
		return 4;
	}
	return 0;
}

/* Decodes one instruction into ci. False: its rest lies in the next page, which can't be fetched. */
static bool decode(struct exec_ctx *ctx, struct code_cache *cache, struct code_page *page, uint32_t i, struct code_inst *ci)
{
	uint32_t have = atomic_load(&page->raw_dwords);
	int size;

	*ci = (struct code_inst){.fn = exec_illegal, .size = 4, .ends_run = true};
	size = isa_decode(cache->target, page->raw + i, have - i, &ci->inst);
	if (size == -ENODATA && have == CODE_PAGE_DWORDS) {
		enum exec_result before = ctx->error;

		if (!fetch(ctx, page->number, have, have + CODE_TAIL_DWORDS, page->raw + have)) {
			ctx->error = before; /* only a fault if it is executed */
			return false;
		}
		have += CODE_TAIL_DWORDS;
		atomic_store(&page->raw_dwords, have);
		size = isa_decode(cache->target, page->raw + i, have - i, &ci->inst);
	}
	if (size < 4 || size > 12) {
		ci->inst = (struct isa_inst){.op = ISA_OP_INVALID, .size = 4};
		return true;
	}
	ci->size = size;
	for (int k = 0; k < 4; k++)
		if (!check_operand(ci, &ci->inst.src[k]))
			return true;
	for (int k = 0; k < 2; k++)
		if (!check_operand(ci, &ci->inst.dst[k]))
			return true;
	if (ci->inst.format >= ISA_FMT_VOP1 && !ci->vgprs)
		ci->vgprs = 1; /* what VSKIP goes by, see exec_set_mode() */
	ci->fn = exec_lookup(cache->target, ci->inst.op);
	if (!ci->fn)
		ci->fn = exec_illegal;
	ci->weight = weight(&ci->inst);
	/* Where the run loop looks around. */
	ci->ends_run = ci->fn == exec_illegal || may_branch(ci->inst.op) || ci->weight;
	if (cache->observer && ci->fn != exec_illegal)
		ci->fn = exec_observed;
	return true;
}

/*
 * Decodes a run from dword index start of page, under the lock. Records are placed only when the run is complete, so that a
 * reader never walks past a record whose successor is being written.
 */
static const struct code_inst *decode_run(struct exec_ctx *ctx, struct code_cache *cache, struct code_page *page, uint32_t start)
{
	struct code_chunk *chunk = calloc(1, sizeof(*chunk));
	uint32_t at[CODE_CHUNK], n = 0, i = start;

	if (!chunk) {
		ctx->error = EXEC_ILLEGAL;
		return NULL;
	}
	for (;;) {
		struct code_inst *ci = &chunk->inst[n];

		if (!decode(ctx, cache, page, i, ci)) {
			if (n) {
				ci[-1].ends_run = ci[-1].last = true;
				break;
			}
			free(chunk);
			exec_memory_fault(ctx, (page->number + 1) << MEM_PAGE_SHIFT, GPU_PROT_EXEC);
			return NULL;
		}
		at[n++] = i;
		i += ci->size / 4;
		if (always_leaves(ci->inst.op) || ci->fn == exec_illegal || i >= CODE_PAGE_DWORDS || n == CODE_CHUNK ||
		    atomic_load(&page->inst[i])) {
			ci->ends_run = ci->last = true;
			break;
		}
	}
	if (n < CODE_CHUNK) {
		struct code_chunk *small = realloc(chunk, sizeof(*chunk) - (CODE_CHUNK - n) * sizeof(chunk->inst[0]));

		if (small)
			chunk = small;
	}
	chunk->next = page->chunks;
	page->chunks = chunk;
	count_bytes(cache, sizeof(*chunk));
	for (uint32_t k = 0; k < n; k++)
		atomic_store_explicit(&page->inst[at[k]], &chunk->inst[k], memory_order_release);
	return &chunk->inst[0];
}

const struct code_inst *code_inst_get(struct exec_ctx *ctx, struct code_cache *cache, struct code_page *page, uint64_t pc)
{
	uint32_t i = (pc & MEM_PAGE_MASK) / 4;
	const struct code_inst *ci = atomic_load_explicit(&page->inst[i], memory_order_acquire);

	if (__builtin_expect(!ci, 0)) {
		pthread_mutex_lock(&cache->lock);
		ci = atomic_load(&page->inst[i]);
		if (!ci)
			ci = decode_run(ctx, cache, page, i);
		pthread_mutex_unlock(&cache->lock);
	}
	return ci;
}
