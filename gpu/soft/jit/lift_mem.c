/* SPDX-License-Identifier: MIT */
/*
 * lift_mem.c - memory operations.
 *
 * Every guest address is looked up in a place of the view (struct mem_near), inline, and what is not there by a function; what faults, or does not lie
 * in one piece on the host, goes to the interpreter's function for the instruction, which does it again from the start. Vector accesses of
 * consecutive lanes are one look-up and plain vector moves, uniform loads one scalar load; others are in lift_gather.c.
 * Accesses to guest memory are volatile: programs race on it by design.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift_mem.h"

V volatile_load(struct lift *l, LLVMTypeRef t, V p, unsigned align)
{
	V x = LLVMBuildLoad2(l->b, t, p, "");

	LLVMSetVolatile(x, 1);
	LLVMSetAlignment(x, align);
	return x;
}

void volatile_store(struct lift *l, V value, V p, unsigned align)
{
	V x = LLVMBuildStore(l->b, value, p);

	LLVMSetVolatile(x, 1);
	LLVMSetAlignment(x, align);
}

V at(struct lift *l, V p, uint64_t offset)
{
	V i = c64(l, offset);

	return LLVMBuildInBoundsGEP2(l->b, l->i8, p, &i, 1, "");
}

V phi2(struct lift *l, V a, LLVMBasicBlockRef from_a, V b, LLVMBasicBlockRef from_b)
{
	V phi = LLVMBuildPhi(l->b, LLVMTypeOf(a), "");

	LLVMAddIncoming(phi, (V[]){a, b}, (LLVMBasicBlockRef[]){from_a, from_b}, 2);
	return phi;
}

/*
 * The place of the view (struct mem_near) that an access of so many bytes looks at: one after the other in a kernel. Kernels begin at different
 * ones; the number has to be the same each time the kernel is compiled.
 */
static unsigned place_for(struct lift *l, uint32_t prot, unsigned bytes)
{
	unsigned of = 0;

	while (mem_near_bytes(of) < bytes && of + 1 < MEM_NEAR_CLASSES)
		of++;
	if (!l->places) {
		l->first_place = l->code->num_inst;
		for (uint32_t i = 0; i < l->code->num_ranges; i++)
			for (uint32_t k = 0; k < l->code->range[i].size; k++)
				l->first_place = (l->first_place ^ l->code->range[i].bytes[k]) * 0x01000193;
		l->first_place >>= 16;
	}
	return of * MEM_NEAR_OF + (l->first_place + l->places++) % (MEM_NEAR_OF / 2) * 2 + (prot == GPU_PROT_WRITE);
}

/*
 * Host address of bytes from the guest's va (i64) on, all there with the place's right; else, and where also does not hold, control is at
 * slow. The place mostly knows: then this is a subtraction, a comparison and an addition.
 */
static V translate(struct lift *l, unsigned place, V va, unsigned bytes, V also, LLVMBasicBlockRef slow)
{
	LLVMBasicBlockRef miss = new_block(l, "miss"), go = new_block(l, ""), from;
	LLVMTypeRef params[4] = {l->ptr, l->i64, l->i32, l->i32};
	size_t where = offsetof(struct mem_view, near) + place * sizeof(struct mem_near);
	V off, host, fn, args[4] = {l->ctx, va, c32(l, place), c32(l, bytes)}, found;

	if (also) {
		LLVMBasicBlockRef on = new_block(l, "");

		emit_weights(l, LLVMBuildCondBr(l->b, also, on, slow), true);
		go_to(l, on);
	}
	off = LLVMBuildSub(l->b, va, load_field(l, l->view, where + offsetof(struct mem_near, first), l->i64), "");
	host = load_field(l, l->view, where + offsetof(struct mem_near, host), l->ptr);
	host = LLVMBuildGEP2(l->b, l->i8, host, &off, 1, "");
	from = LLVMGetInsertBlock(l->b);
	emit_weights(l, LLVMBuildCondBr(l->b, IS(ULT, off, load_field(l, l->view, where + offsetof(struct mem_near, room), l->i64)), go, miss), true);
	go_to(l, miss);
	fn = load_field(l, l->frame, offsetof(struct jit_frame, near), l->ptr);
	found = LLVMBuildCall2(l->b, LLVMFunctionType(l->ptr, params, 4, 0), fn, args, 4, "");
	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildIsNotNull(l->b, found, ""), go, slow), true);
	go_to(l, go);
	return phi2(l, host, from, found, miss);
}

/* ------------------------------------------------------------------ scalar loads */

static unsigned smem_dwords(unsigned op)
{
	switch (op) {
	case ISA_S_LOAD_DWORD:
		return 1;
	case ISA_S_LOAD_DWORDX2:
		return 2;
	case ISA_S_LOAD_DWORDX4:
		return 4;
	case ISA_S_LOAD_DWORDX8:
		return 8;
	case ISA_S_LOAD_DWORDX16:
		return 16;
	default:
		return 0;
	}
}

#define MAX_WINDOW 1024

/* A load at a constant distance from an SGPR pair. */
static bool plain_smem(const struct isa_inst *in, unsigned base)
{
	return smem_dwords(in->op) && in->src[0].kind == ISA_OPND_SGPR && in->src[0].index == base && in->src[1].kind == ISA_OPND_NONE &&
	       !(in->offset & 3);
}

/*
 * Kernel arguments are loaded bit by bit from one place: all that the block loads there is translated once. Host address of what ji
 * loads, or NULL when it runs: then that is for translate(). Not to be had: NULL at once.
 */
static V smem_window(struct lift *l, const struct jit_inst *ji, V base)
{
	const struct isa_inst *in = &ji->ci.inst;
	unsigned pair = in->src[0].index, loads = 0;
	int64_t low = in->offset, high = low + 4 * smem_dwords(in->op);
	LLVMBasicBlockRef slow, join, from;
	V host, va;

	if (!plain_smem(in, pair))
		return NULL;
	if (l->window.base == base && low >= l->window.low && high <= l->window.high)
		return at(l, l->window.host, (uint64_t)(low - l->window.low));
	for (const struct jit_inst *n = ji;; n = &l->code->inst[n->next]) {
		struct jit_regs regs;

		if (plain_smem(&n->ci.inst, pair)) {
			int64_t o = n->ci.inst.offset, end = o + 4 * smem_dwords(n->ci.inst.op);

			if ((end > high ? end : high) - (o < low ? o : low) > MAX_WINDOW)
				break;
			low = o < low ? o : low;
			high = end > high ? end : high;
			loads++;
		}
		jit_inst_regs(&n->ci.inst, true, &regs);
		if ((regs.swrite[pair >> 6] >> (pair & 63) & 3) || n->next == NO_INST || l->code->inst[n->next].block != NO_BLOCK)
			break;
	}
	if (loads < 2)
		return NULL;
	slow = new_block(l, "");
	join = new_block(l, "");
	va = ADD(AND(base, c64(l, ~3ull)), c64(l, (uint64_t)low));
	host = translate(l, place_for(l, GPU_PROT_READ, (unsigned)(high - low)), va, (unsigned)(high - low), NULL, slow);
	from = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, slow);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	host = phi2(l, host, from, LLVMConstNull(l->ptr), slow);
	l->window.base = base;
	l->window.host = host;
	l->window.low = low;
	l->window.high = high;
	return at(l, host, (uint64_t)(in->offset - low));
}

static bool lift_smem(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	unsigned n = smem_dwords(in->op), first = in->dst[0].index;
	LLVMBasicBlockRef slow, join, from_fast, from_slow;
	V va, host, off, base, fast[16], step[16];

	if (!n || in->dst[0].kind != ISA_OPND_SGPR || first + n > SGPR_VCC || in->src[0].kind != ISA_OPND_SGPR)
		return false;
	base = va = get_s64(l, in->src[0].index);
	if (in->src[1].kind != ISA_OPND_NONE) {
		off = scalar_operand(l, &in->src[1], false);
		if (!off)
			return false;
		va = ADD(va, LLVMBuildZExt(l->b, off, l->i64, ""));
	}
	va = AND(ADD(va, c64(l, (uint64_t)(int64_t)in->offset)), c64(l, ~3ull));
	touch_step(l, ji);
	slow = new_block(l, "slow");
	join = new_block(l, "");
	host = smem_window(l, ji, base);
	if (host) {
		LLVMBasicBlockRef go = new_block(l, "");

		emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildIsNotNull(l->b, l->window.host, ""), go, slow), true);
		go_to(l, go);
	} else {
		host = translate(l, place_for(l, GPU_PROT_READ, 4 * n), va, 4 * n, NULL, slow);
	}
	for (unsigned i = 0; i < n; i++) {
		bool wide = wide_sgpr(l, first + i) && !((first + i) & 1) && i + 1 < n;

		fast[i] = volatile_load(l, wide ? l->i64 : l->i32, at(l, host, 4 * i), 4);
		i += wide;
	}
	from_fast = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, slow);
	emit_step_call(l, ji);
	for (unsigned i = 0; i < n; i++) {
		bool wide = wide_sgpr(l, first + i) && !((first + i) & 1) && i + 1 < n;

		step[i] = load_wave_sgpr(l, first + i, wide);
		i += wide;
	}
	from_slow = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned i = 0; i < n; i++) {
		bool wide = wide_sgpr(l, first + i) && !((first + i) & 1) && i + 1 < n;

		fast[i] = phi2(l, fast[i], from_fast, step[i], from_slow);
		i += wide;
	}
	for (unsigned i = 0; i < n; i++) {
		bool wide = wide_sgpr(l, first + i) && !((first + i) & 1) && i + 1 < n;

		if (wide)
			set_s64(l, first + i, fast[i]);
		else
			set_s32(l, first + i, fast[i]);
		i += wide;
	}
	return true;
}

/* ------------------------------------------------------------------ shapes of addresses, found when it runs */

V lane0(struct lift *l, V x)
{
	return LLVMBuildExtractElement(l->b, x, c32(l, 0), "");
}

V inactive(struct lift *l, unsigned strip)
{
	return LLVMBuildNot(l->b, mask_strip(l, get_exec(l), strip), "");
}

V all_of(struct lift *l, V mask)
{
	LLVMTypeRef t = LLVMIntTypeInContext(l->c, l->width);

	return IS(EQ, LLVMBuildBitCast(l->b, mask, t, ""), LLVMConstAllOnes(t));
}

/* Every active lane of every strip has first + (lane * step) here; first is of the wave's lane 0. */
static V rising(struct lift *l, V strips[MAX_STRIPS], V first, unsigned step)
{
	V all = NULL;

	for (unsigned s = 0; s < l->strips; s++) {
		V want = ADD(splat(l, first), iota(l, s * l->width * step, step)), ok = IS(EQ, strips[s], want);

		if (!l->now.exec_full)
			ok = OR(ok, inactive(l, s));
		all = all ? AND(all, ok) : ok;
	}
	return all;
}

/* ------------------------------------------------------------------ global memory */

/* Of FLAT and GLOBAL loads and stores; false: something else. */
static bool global_access(unsigned op, struct access *a)
{
#define LOAD(SPACE, NAME, KIND) [ISA_##SPACE##_##NAME] = {1 + KIND, false},
#define STORE(SPACE, NAME, KIND) [ISA_##SPACE##_##NAME] = {1 + KIND, true},
	static const struct {
		uint8_t kind; /* enum vmem_kind + 1 */
		bool store;
	} table[ISA_NUM_OPS] = {MEM_LOADS(LOAD, GLOBAL) MEM_STORES(STORE, GLOBAL) MEM_LOADS(LOAD, FLAT) MEM_STORES(STORE, FLAT)};
#undef LOAD
#undef STORE

	if (!table[op].kind)
		return false;
	a->kind = table[op].kind - 1;
	a->store = table[op].store;
	a->bytes = vmem_bytes(a->kind);
	a->dwords = (a->bytes + 3) / 4;
	return true;
}

/* Lanes i * step + first of a long vector, for i < width. */
V pick(struct lift *l, V x, unsigned first, unsigned step)
{
	return LLVMBuildShuffleVector(l->b, x, LLVMGetPoison(LLVMTypeOf(x)), iota(l, first, step), "");
}

/* The rows interleaved: dword k of lane i at i * n + k. */
V interleave(struct lift *l, V *rows, unsigned n)
{
	V order[256], ab, cd;

	if (n == 1)
		return rows[0];
	/* Two rows make one vector, two of those the other; then in order. */
	for (unsigned i = 0; i < 2 * l->width; i++)
		order[i] = c32(l, i);
	ab = LLVMBuildShuffleVector(l->b, rows[0], rows[1], LLVMConstVector(order, 2 * l->width), "");
	cd = LLVMBuildShuffleVector(l->b, rows[n > 2 ? 2 : 0], rows[n > 3 ? 3 : 1], LLVMConstVector(order, 2 * l->width), "");
	for (unsigned i = 0; i < l->width; i++)
		for (unsigned k = 0; k < n; k++)
			order[i * n + k] = c32(l, k * l->width + i);
	return LLVMBuildShuffleVector(l->b, ab, cd, LLVMConstVector(order, n * l->width), "");
}

void masked_store(struct lift *l, V value, V p, V mask, unsigned align)
{
	LLVMTypeRef types[2] = {LLVMTypeOf(value), l->ptr};
	V args[4] = {value, p, c32(l, align), mask};

	intrinsic(l, "llvm.masked.store", types, 2, args, 4);
}

/* The strip's rows in the order of memory, as dwords, or where there are pairs as those, of which pairs of registers mostly are made. */
V in_order(struct lift *l, V rows[4], V pairs[2], unsigned n)
{
	V order[128];

	if (n & 1)
		return interleave(l, rows, n);
	if (n == 2)
		return pairs[0];
	for (unsigned i = 0; i < 2 * l->width; i++)
		order[i] = c32(l, i / 2 + i % 2 * l->width);
	return LLVMBuildShuffleVector(l->b, pairs[0], pairs[1], LLVMConstVector(order, 2 * l->width), "");
}

static void store_in_order(struct lift *l, V rows[4], V pairs[2], unsigned n, V p, V mask)
{
	V x = in_order(l, rows, pairs, n), ms[4] = {mask, mask, mask, mask};

	if (mask)
		masked_store(l, x, p, interleave(l, ms, n & 1 ? n : n / 2), 1);
	else
		volatile_store(l, x, p, 1);
}

/* A global access being lifted. */
struct global {
	const struct jit_inst *ji;
	struct access a;
	unsigned row; /* of data */
	bool saddr;
	unsigned place;
	V base; /* i64 */
	V lo[MAX_STRIPS], hi[MAX_STRIPS];
	V pairs[MAX_STRIPS][2]; /* of stored data */
	LLVMBasicBlockRef slow, join;
	/* Loads: what each way in gives. */
	unsigned ways;
	LLVMBasicBlockRef from[6];
	V got[6][4][MAX_STRIPS];
};

/* Address of the strip's first lane. */
static V strip_va(struct lift *l, const struct global *g, unsigned strip)
{
	V va = LLVMBuildZExt(l->b, lane0(l, g->lo[strip]), l->i64, "");

	if (g->saddr)
		va = ADD(va, g->base);
	else
		va = OR(va, LLVMBuildShl(l->b, LLVMBuildZExt(l->b, lane0(l, g->hi[strip]), l->i64, ""), c64(l, 32), ""));
	return ADD(va, c64(l, (uint64_t)(int64_t)g->ji->ci.inst.offset));
}

/* Every strip by itself: active lanes at step bytes from each other, the first lane active. */
static V strips_have(struct lift *l, const struct global *g, unsigned step)
{
	V all = NULL, fits = NULL, e;
	uint64_t firsts = 0;

	for (unsigned s = 0; s < l->strips; s++) {
		V first = lane0(l, g->lo[s]), ok = IS(EQ, g->lo[s], ADD(splat(l, first), iota(l, 0, step)));
		V room = IS(ULE, first, c32(l, UINT32_MAX - step * l->width));

		if (!g->saddr)
			ok = AND(ok, IS(EQ, g->hi[s], splat(l, lane0(l, g->hi[s]))));
		if (!l->now.exec_full)
			ok = OR(ok, inactive(l, s));
		all = all ? AND(all, ok) : ok;
		if (step)
			fits = fits ? AND(fits, room) : room;
		firsts |= 1ull << (s * l->width);
	}
	all = all_of(l, all);
	if (fits)
		all = AND(all, fits);
	if (!l->now.exec_full) {
		e = AND(get_exec(l), c64(l, firsts));
		all = AND(all, IS(EQ, e, c64(l, firsts)));
	}
	return all;
}

/* What the wave's lane 0 would have if all lanes rose: its own, or by lane 63 when it is not active. */
static V row_first(struct lift *l, const struct global *g, unsigned step, V *hi)
{
	V last = c32(l, l->width - 1), at_end, active;
	unsigned s = l->strips - 1;

	*hi = g->saddr ? NULL : lane0(l, g->hi[0]);
	if (l->now.exec_full)
		return lane0(l, g->lo[0]);
	active = LLVMBuildTrunc(l->b, get_exec(l), l->i1, "");
	if (*hi)
		*hi = LLVMBuildSelect(l->b, active, *hi, LLVMBuildExtractElement(l->b, g->hi[s], last, ""), "");
	at_end = LLVMBuildSub(l->b, LLVMBuildExtractElement(l->b, g->lo[s], last, ""), c32(l, 63 * step), "");
	return LLVMBuildSelect(l->b, active, lane0(l, g->lo[0]), at_end, "");
}

/* All of the wave in one row, lanes step bytes from each other; its address in *where. */
static V wave_rises(struct lift *l, const struct global *g, unsigned step, V *where)
{
	V hi, first = row_first(l, g, step, &hi), all = rising(l, (V *)g->lo, first, step), va = LLVMBuildZExt(l->b, first, l->i64, "");

	if (g->saddr)
		va = ADD(va, g->base);
	else
		va = OR(va, LLVMBuildShl(l->b, LLVMBuildZExt(l->b, hi, l->i64, ""), c64(l, 32), ""));
	va = ADD(va, c64(l, (uint64_t)(int64_t)g->ji->ci.inst.offset));
	*where = va;
	if (!g->saddr)
		all = AND(all, rising(l, (V *)g->hi, hi, 0));
	all = AND(all_of(l, all), IS(ULE, first, c32(l, UINT32_MAX - 64 * step)));
	all = AND(all, IS(EQ, AND(va, c64(l, 3)), c64(l, 0)));
	if (!l->now.exec_full)
		all = AND(all, IS(NE, AND(get_exec(l), c64(l, 1ull << 63 | 1)), c64(l, 0)));
	return all;
}

static void store_strip(struct lift *l, const struct global *g, unsigned s, V p)
{
	unsigned n = g->a.dwords;
	V rows[4];

	for (unsigned k = 0; k < n; k++)
		rows[k] = l->v[g->row + k][s];
	store_in_order(l, rows, (V *)g->pairs[s], n, p, l->now.exec_full ? NULL : mask_strip(l, get_exec(l), s));
}

static void load_strip(struct lift *l, struct global *g, unsigned s, V p)
{
	unsigned n = g->a.dwords;
	V x = volatile_load(l, vec(l->i32, l->width * n), p, 4);

	for (unsigned k = 0; k < n; k++)
		g->got[g->ways][k][s] = n > 1 ? pick(l, x, k, n) : x;
}

/* The end of a way. */
static void way_done(struct lift *l, struct global *g)
{
	g->from[g->ways++] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, g->join);
}

/* Goes on in the block returned if the condition holds; the builder is where it does not. */
static LLVMBasicBlockRef when(struct lift *l, V condition)
{
	LLVMBasicBlockRef yes = new_block(l, ""), no = new_block(l, "");

	LLVMBuildCondBr(l->b, condition, yes, no);
	go_to(l, no);
	return yes;
}

/* The way of strips that rise each by itself, from the builder's place. */
static void by_strips(struct lift *l, struct global *g)
{
	unsigned n = g->a.dwords;

	for (unsigned s = 0; s < l->strips; s++) {
		V va = strip_va(l, g, s), aligned = IS(EQ, AND(va, c64(l, 3)), c64(l, 0));
		V host = translate(l, g->place, va, 4 * n * l->width, aligned, g->slow);

		if (g->a.store)
			store_strip(l, g, s, host);
		else
			load_strip(l, g, s, host);
	}
}

/* The first two lanes, whether active or not, do not lie as in any of the patterns: no need to look at the others. */
static void leave_unless_pattern(struct lift *l, const struct global *g)
{
	unsigned n = g->a.dwords;
	V step = LLVMBuildSub(l->b, LLVMBuildExtractElement(l->b, g->lo[0], c32(l, 1), ""), lane0(l, g->lo[0]), ""), yes;
	LLVMBasicBlockRef go = new_block(l, "");

	yes = IS(EQ, step, c32(l, 4 * n));
	if (!g->a.store)
		yes = OR(yes, IS(EQ, step, c32(l, 0)));
	if (!g->a.store && n > 1)
		yes = OR(yes, IS(EQ, step, c32(l, 4)));
	LLVMBuildCondBr(l->b, yes, go, g->slow);
	go_to(l, go);
}

static void global_store(struct lift *l, struct global *g)
{
	unsigned n = g->a.dwords;
	V va, host, rises = wave_rises(l, g, 4 * n, &va);
	LLVMBasicBlockRef whole = when(l, rises), strips = when(l, strips_have(l, g, 4 * n));
	V rows[4][MAX_STRIPS];

	LLVMBuildBr(l->b, g->slow);
	go_to(l, strips);
	by_strips(l, g);
	store_field(l, l->ctx, offsetof(struct exec_ctx, stored), LLVMConstInt(l->i8, 1, 0));
	LLVMBuildBr(l->b, g->join);
	go_to(l, whole);
	host = translate(l, g->place, va, 256 * n, NULL, strips);
	for (unsigned s = 0; s < l->strips; s++)
		store_strip(l, g, s, at(l, host, (uint64_t)s * l->width * 4 * n));
	store_field(l, l->ctx, offsetof(struct exec_ctx, stored), LLVMConstInt(l->i8, 1, 0));
	LLVMBuildBr(l->b, g->join);
	go_to(l, g->slow);
	for (unsigned s = 0; s < l->strips; s++)
		for (unsigned k = 0; k < n; k++)
			rows[k][s] = l->v[g->row + k][s];
	any_store(l, g->ji, &g->a, g->lo, g->saddr ? NULL : g->hi, g->base, rows);
	LLVMBuildBr(l->b, g->join);
	go_to(l, g->join);
}

static void global_load(struct lift *l, struct global *g)
{
	unsigned n = g->a.dwords;
	V va, dense, host, rises = wave_rises(l, g, 4 * n, &va);
	LLVMBasicBlockRef whole = when(l, rises), same = when(l, strips_have(l, g, 0)),
			  strips = when(l, strips_have(l, g, 4 * n)), overlap = NULL;

	if (n > 1)
		overlap = when(l, wave_rises(l, g, 4, &dense));
	LLVMBuildBr(l->b, g->slow);
	if (overlap) {
		/* Each lane's dwords are its neighbours' first ones: every dword of the wave is a row. */
		go_to(l, overlap);
		host = translate(l, g->place, dense, 256 + 4 * (n - 1), NULL, g->slow);
		for (unsigned s = 0; s < l->strips; s++)
			for (unsigned k = 0; k < n; k++)
				g->got[g->ways][k][s] = volatile_load(l, l->vi32, at(l, host, (uint64_t)s * l->width * 4 + 4 * k), 4);
		way_done(l, g);
	}
	go_to(l, whole);
	host = translate(l, g->place, va, 256 * n, NULL, strips);
	for (unsigned s = 0; s < l->strips; s++)
		load_strip(l, g, s, at(l, host, (uint64_t)s * l->width * 4 * n));
	way_done(l, g);
	go_to(l, same);
	for (unsigned s = 0; s < l->strips; s++) {
		host = translate(l, g->place, strip_va(l, g, s), 4 * n, NULL, g->slow);
		for (unsigned k = 0; k < n; k++)
			g->got[g->ways][k][s] = splat(l, volatile_load(l, l->i32, at(l, host, 4 * k), 1));
	}
	way_done(l, g);
	go_to(l, strips);
	by_strips(l, g);
	way_done(l, g);
	go_to(l, g->slow);
	any_load(l, g->ji, &g->a, g->lo, g->saddr ? NULL : g->hi, g->base, NULL, g->got[g->ways]);
	way_done(l, g);
	go_to(l, g->join);
	for (unsigned k = 0; k < n; k++)
		for (unsigned s = 0; s < l->strips; s++) {
			V phi = LLVMBuildPhi(l->b, l->vi32, "");

			for (unsigned w = 0; w < g->ways; w++)
				LLVMAddIncoming(phi, &g->got[w][k][s], &g->from[w], 1);
			g->got[0][k][s] = phi;
		}
	for (unsigned k = 0; k < n; k++)
		for (unsigned s = 0; s < l->strips; s++) {
			V x = g->got[0][k][s];

			if (!l->now.exec_full && !g->ji->quiet)
				x = LLVMBuildSelect(l->b, mask_strip(l, get_exec(l), s), x, get_v(l, g->row + k, s), "");
			set_v(l, g->row + k, s, x);
		}
}

/* ------------------------------------------------------------------ accesses whose lanes' differences are known */

struct extent { /* of lanes [first, first + lanes), as differences from the root */
	int32_t low;
	uint32_t span;
};

static struct extent extent_of(const int32_t *delta, unsigned first, unsigned lanes, unsigned bytes)
{
	int32_t low = delta[first], high = low;

	for (unsigned i = first; i < first + lanes; i++) {
		low = delta[i] < low ? delta[i] : low;
		high = delta[i] > high ? delta[i] : high;
	}
	return (struct extent){low, (uint32_t)(high - low) + bytes};
}

enum pattern { LANES_ROW, LANES_SAME, LANES_DWORDS, LANES_APART };

/* Where the strip's lanes lie. LANES_DWORDS: whole dwords within a few vectors. */
static enum pattern pattern_of(const struct lift *l, const int32_t *delta, unsigned strip, unsigned bytes)
{
	const int32_t *d = delta + strip * l->width;
	bool row = true, same = true, dwords = bytes >= 4;

	for (unsigned i = 0; i < l->width; i++) {
		row &= d[i] - d[0] == (int32_t)(i * bytes);
		same &= d[i] == d[0];
		dwords &= !((d[i] - d[0]) & 3);
	}
	if (row || same)
		return row ? LANES_ROW : LANES_SAME;
	return dwords && extent_of(delta, strip * l->width, l->width, bytes).span <= 16 * l->width ? LANES_DWORDS : LANES_APART;
}

/* What a short load leaves in the register, of the bytes in the low bits of v. */
V placed(struct lift *l, enum vmem_kind kind, V v, V old)
{
	uint32_t keep = l->code->target == ISA_GFX90A ? 0 : kind == VM_U8_HI || kind == VM_I8_HI || kind == VM_16_HI ? 0xffff : 0xffff0000;

	switch (kind) {
	case VM_U8_HI:
	case VM_I8_HI:
	case VM_16_HI:
		v = LLVMBuildShl(l->b, v, K32(16), "");
		break;
	case VM_U8_LO:
	case VM_I8_LO:
	case VM_16_LO:
		v = AND(v, K32(0xffff));
		break;
	default:
		return v;
	}
	return keep ? OR(v, AND(old, K32(keep))) : v;
}

bool needs_old(const struct lift *l, enum vmem_kind kind)
{
	return kind > VM_I16 && kind < VM_X1 && l->code->target != ISA_GFX90A;
}

static bool is_signed(enum vmem_kind kind)
{
	return kind == VM_I8 || kind == VM_I16 || kind == VM_I8_LO || kind == VM_I8_HI;
}

static LLVMTypeRef short_type(struct lift *l, unsigned bytes)
{
	return bytes == 1 ? l->i8 : l->i16;
}

static V widened(struct lift *l, enum vmem_kind kind, V x)
{
	LLVMTypeRef t = LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMVectorTypeKind ? l->vi32 : l->i32;

	return is_signed(kind) ? LLVMBuildSExt(l->b, x, t, "") : LLVMBuildZExt(l->b, x, t, "");
}

/* Pointers of a strip's lanes: p is where its lane first would be, delta of the lanes. */
static V lane_pointers(struct lift *l, V p, const int32_t *d)
{
	V k[64], index;

	for (unsigned i = 0; i < l->width; i++)
		k[i] = c64(l, (uint64_t)(int64_t)(d[i] - d[0]));
	index = LLVMConstVector(k, l->width);
	return LLVMBuildGEP2(l->b, l->i8, p, &index, 1, "");
}

static V all_lanes(struct lift *l)
{
	return LLVMConstAllOnes(l->vi1);
}

/* How many different places lanes have. */
static unsigned distinct(const int32_t *d, unsigned lanes, unsigned of[64], unsigned first[64])
{
	unsigned m = 0, k;

	for (unsigned i = 0; i < lanes; i++) {
		for (k = 0; k < m && d[first[k]] != d[i]; k++)
			;
		if (k == m)
			first[m++] = i;
		of[i] = k;
	}
	return m;
}

bool few_moves(const struct lift *l, const int32_t *d, unsigned n)
{
	unsigned of[64], first[64];

	return n == 4 || n == 2 || distinct(d, l->width, of, first) <= 4;
}

void read_lanes_apart(struct lift *l, V p, const int32_t *d, unsigned n, bool guest, V out[4], V pairs[2])
{
	unsigned of[64], first[64], m = distinct(d, l->width, of, first), parts = 1, size = n;
	V part[64], order[256], x;

	while (parts < m)
		parts *= 2;
	for (unsigned i = 0; i < parts; i++) {
		V from = at(l, p, (uint64_t)(int64_t)(i < m ? d[first[i]] : 0));

		if (i >= m) {
			part[i] = LLVMGetPoison(LLVMVectorType(l->i32, n));
			continue;
		}
		part[i] = LLVMBuildLoad2(l->b, LLVMVectorType(l->i32, n), from, "");
		LLVMSetVolatile(part[i], guest);
		LLVMSetAlignment(part[i], 1);
	}
	/* Put together two by two. */
	for (; parts > 1; parts /= 2) {
		size *= 2;
		for (unsigned i = 0; i < size; i++)
			order[i] = c32(l, i);
		for (unsigned i = 0; i < parts / 2; i++)
			part[i] = LLVMBuildShuffleVector(l->b, part[2 * i], part[2 * i + 1], LLVMConstVector(order, size), "");
	}
	for (unsigned k = 0; k < n; k++) {
		for (unsigned i = 0; i < l->width; i++)
			order[i] = c32(l, of[i] * n + k);
		out[k] = LLVMBuildShuffleVector(l->b, part[0], LLVMGetPoison(LLVMTypeOf(part[0])), LLVMConstVector(order, l->width), "");
	}
	x = n & 1 ? NULL : LLVMBuildBitCast(l->b, part[0], LLVMVectorType(l->i64, size / 2), "");
	for (unsigned k = 0; x && k < n; k += 2) {
		for (unsigned i = 0; i < l->width; i++)
			order[i] = c32(l, (of[i] * n + k) / 2);
		pairs[k / 2] = LLVMBuildShuffleVector(l->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(order, l->width), "");
	}
}

/* The dwords (or the short value) of a strip's lanes, and perhaps pairs of them; p: host address of its first lane's. */
static void known_load(struct lift *l, const struct access *a, const int32_t *delta, unsigned strip, V p, V out[4], V pairs[2])
{
	const int32_t *d = delta + strip * l->width;
	unsigned n = a->dwords;
	struct extent e = extent_of(delta, strip * l->width, l->width, a->bytes);
	V x, order[64];

	switch (pattern_of(l, delta, strip, a->bytes)) {
	case LANES_ROW:
		if (a->bytes < 4) {
			out[0] = widened(l, a->kind, volatile_load(l, vec(short_type(l, a->bytes), l->width), p, 1));
			return;
		}
		x = volatile_load(l, vec(l->i32, l->width * n), p, 1);
		for (unsigned k = 0; k < n; k++)
			out[k] = n > 1 ? pick(l, x, k, n) : x;
		return;
	case LANES_SAME:
		if (a->bytes < 4) {
			out[0] = splat(l, widened(l, a->kind, volatile_load(l, short_type(l, a->bytes), p, 1)));
			return;
		}
		for (unsigned k = 0; k < n; k++)
			out[k] = splat(l, volatile_load(l, l->i32, at(l, p, 4 * k), 1));
		return;
	case LANES_DWORDS:
		x = volatile_load(l, vec(l->i32, e.span / 4), at(l, p, (uint64_t)(int64_t)(e.low - d[0])), 1);
		for (unsigned k = 0; k < n; k++) {
			for (unsigned i = 0; i < l->width; i++)
				order[i] = c32(l, (uint32_t)(d[i] - e.low) / 4 + k);
			out[k] = LLVMBuildShuffleVector(l->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(order, l->width), "");
		}
		return;
	default:
		if (a->bytes >= 4 && few_moves(l, d, n)) {
			int32_t from[64];

			for (unsigned i = 0; i < l->width; i++)
				from[i] = d[i] - d[0];
			read_lanes_apart(l, p, from, n, true, out, pairs);
			return;
		}
		for (unsigned k = 0; k < n; k++) {
			LLVMTypeRef t = a->bytes < 4 ? vec(short_type(l, a->bytes), l->width) : l->vi32, types[2] = {t, vec(l->ptr, l->width)};
			V args[4] = {lane_pointers(l, at(l, p, 4 * k), d), c32(l, 1), all_lanes(l), LLVMConstNull(t)};

			x = intrinsic(l, "llvm.masked.gather", types, 2, args, 4);
			out[k] = a->bytes < 4 ? widened(l, a->kind, x) : x;
		}
		return;
	}
}

static V store_value(struct lift *l, const struct access *a, V row)
{
	if (a->kind == VM_U8_HI || a->kind == VM_16_HI)
		row = LLVMBuildLShr(l->b, row, K32(16), "");
	return a->bytes < 4 ? LLVMBuildTrunc(l->b, row, vec(short_type(l, a->bytes), l->width), "") : row;
}

static void known_store(struct lift *l, const struct access *a, const int32_t *delta, unsigned strip, V p, V rows[4], V pairs[2], V mask)
{
	unsigned n = a->dwords;

	if (pattern_of(l, delta, strip, a->bytes) == LANES_ROW && a->bytes >= 4) {
		store_in_order(l, rows, pairs, n, p, mask);
		return;
	}
	if (pattern_of(l, delta, strip, a->bytes) == LANES_ROW) {
		V x = store_value(l, a, rows[0]);

		if (mask)
			masked_store(l, x, p, mask, 1);
		else
			volatile_store(l, x, p, 1);
		return;
	}
	for (unsigned k = 0; k < n; k++) {
		V value = store_value(l, a, rows[k]);
		LLVMTypeRef types[2] = {LLVMTypeOf(value), vec(l->ptr, l->width)};
		V args[4] = {value, lane_pointers(l, at(l, p, 4 * k), delta + strip * l->width), c32(l, 1), mask ? mask : all_lanes(l)};

		intrinsic(l, "llvm.masked.scatter", types, 2, args, 4);
	}
}

/* Lanes of several dwords that overlap without being the same are stored in an order that only the interpreter has. */
static bool overlap(const int32_t *delta, unsigned bytes)
{
	for (unsigned i = 0; bytes > 4 && i < WAVE_LANES; i++)
		for (unsigned k = 0; k < i; k++)
			if (delta[i] - delta[k] < (int32_t)bytes && delta[k] - delta[i] < (int32_t)bytes)
				return true;
	return false;
}

/* FLAT: the high half of an address is that of an aperture. */
static V in_aperture(struct lift *l, V va, const struct isa_inst *in)
{
	V wg = load_field(l, l->wave, offsetof(struct wave, wg), l->ptr), hi;

	hi = LLVMBuildLShr(l->b, LLVMBuildSub(l->b, va, c64(l, (uint64_t)(int64_t)in->offset), ""), c64(l, 32), "");
	return OR(IS(EQ, hi, LLVMBuildLShr(l->b, load_field(l, wg, offsetof(struct workgroup, shared_base), l->i64), c64(l, 32), "")),
		  IS(EQ, hi, LLVMBuildLShr(l->b, load_field(l, wg, offsetof(struct workgroup, private_base), l->i64), c64(l, 32), "")));
}

void set_loaded(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row, V (*got)[MAX_STRIPS], V (*old)[MAX_STRIPS])
{
	for (unsigned k = 0; k < a->dwords; k++)
		for (unsigned s = 0; s < l->strips; s++) {
			V x = got[k][s];

			if (!l->now.exec_full && !ji->quiet)
				x = LLVMBuildSelect(l->b, mask_strip(l, get_exec(l), s), x, old[k][s], "");
			set_v(l, row + k, s, x);
		}
}

/* Of a FLAT access: no lane is in an aperture. NULL: of another one. */
static V outside_apertures(struct lift *l, const struct isa_inst *in, const struct lin *x)
{
	V bad = NULL;

	if (in->format != ISA_FMT_FLAT)
		return NULL;
	for (unsigned s = 0; s < (x->level == LEVEL_WAVE ? 1 : l->strips); s++) {
		V odd = in_aperture(l, x->root[s], in);

		bad = bad ? OR(bad, odd) : odd;
	}
	return LLVMBuildNot(l->b, bad, "");
}

/* The strip's lanes [low, ...) from its root, or the wave's. */
static V lanes_va(struct lift *l, const struct lin *x, unsigned strip, int32_t low)
{
	bool wave = x->level == LEVEL_WAVE;

	return ADD(x->root[wave ? 0 : strip], c64(l, (uint64_t)(int64_t)(low - (wave ? 0 : x->delta[strip * l->width]))));
}

/* What an access of this instruction, with lanes from its base as given, reaches: [low, high). False: it is none of prot, or its address another. */
static bool same_base(const struct isa_inst *in, const struct isa_inst *first, const int32_t *delta, unsigned lanes, unsigned width, int64_t *low, int64_t *high)
{
	struct access a, b;
	struct extent e;

	if (in->format != first->format || !global_access(in->op, &a) || !global_access(first->op, &b) || a.store != b.store ||
	    in->src[0].kind != first->src[0].kind || in->src[0].index != first->src[0].index || in->src[2].kind != first->src[2].kind ||
	    in->src[2].index != first->src[2].index)
		return false;
	*low = INT64_MAX;
	*high = INT64_MIN;
	for (unsigned i = 0; i < WAVE_LANES; i += width) {
		/* Of lanes from where host is: the wave's root, or the strip's. */
		int64_t from = lanes == WAVE_LANES ? 0 : delta[i];

		e = extent_of(delta, i, width, a.bytes);
		*low = e.low - from < *low ? e.low - from : *low;
		*high = e.low - from + e.span > *high ? e.low - from + e.span : *high;
	}
	*low += in->offset;
	*high += in->offset;
	return true;
}

/*
 * Accesses often come with addresses that differ by constants only: what all of them in the block reach from a base is looked up once. NULL: there is
 * but one, or they lie too far from each other.
 */
static struct seen *look_around(struct lift *l, const struct jit_inst *ji, uint32_t prot, const struct lin *x, V base[MAX_STRIPS])
{
	const struct isa_inst *in = &ji->ci.inst;
	bool wave = x->level == LEVEL_WAVE, saddr = in->src[2].kind != ISA_OPND_NONE;
	unsigned lanes = wave ? WAVE_LANES : l->width, all = wave ? 1 : l->strips, count = 0, place, r = in->src[0].index;
	LLVMBasicBlockRef slow, join, from;
	int64_t low, high, need_low, need_high;
	struct seen *seen;

	if (in->format == ISA_FMT_FLAT)
		return NULL;
	same_base(in, in, x->delta, lanes, l->width, &need_low, &need_high);
	if (need_high - need_low > (int64_t)MEM_PAGE_SIZE)
		return NULL;
	for (unsigned i = 0; i < l->num_seen; i++) {
		seen = &l->seen[i];
		if (seen->prot == prot && seen->roots == all && !memcmp(seen->base, base, all * sizeof(*base)) && seen->low <= need_low && seen->high >= need_high)
			return seen;
	}
	low = need_low;
	high = need_high;
	for (const struct jit_inst *n = ji;; n = &l->code->inst[n->next]) {
		struct jit_regs regs;
		int64_t from_low, to_high;

		if (same_base(&n->ci.inst, in, x->delta, lanes, l->width, &from_low, &to_high)) {
			if ((to_high > high ? to_high : high) - (from_low < low ? from_low : low) > (int64_t)MEM_PAGE_SIZE)
				break;
			low = from_low < low ? from_low : low;
			high = to_high > high ? to_high : high;
			count++;
		}
		jit_inst_regs(&n->ci.inst, true, &regs);
		if (bit_get(&regs.vwrite, r) || (!saddr && bit_get(&regs.vwrite, r + 1)) ||
		    (saddr && (regs.swrite[in->src[2].index >> 6] >> (in->src[2].index & 63) & 3)) || n->next == NO_INST ||
		    l->code->inst[n->next].block != NO_BLOCK)
			break;
	}
	if (count < 2 || l->num_seen == MAX_SEEN)
		return NULL;
	seen = &l->seen[l->num_seen++];
	*seen = (struct seen){.roots = all, .prot = prot, .low = low, .high = high};
	memcpy(seen->base, base, all * sizeof(*base));
	place = place_for(l, prot, (unsigned)(high - low));
	slow = new_block(l, "");
	join = new_block(l, "");
	for (unsigned s = 0; s < all; s++)
		seen->host[s] = translate(l, place, ADD(base[s], c64(l, (uint64_t)low)), (unsigned)(high - low), NULL, slow);
	from = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, slow);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned s = 0; s < all; s++)
		seen->host[s] = phi2(l, seen->host[s], from, LLVMConstNull(l->ptr), slow);
	seen->ok = phi2(l, LLVMConstInt(l->i1, 1, 0), from, LLVMConstInt(l->i1, 0, 0), slow);
	return seen;
}

/*
 * Host addresses of lanes [low, low + span) from the wave's root (whole: the first of host only), or each strip's, or the wave's root by strips; where they are not
 * there with prot control is at slow. low[s] is from the root, the offset included.
 */
static void find_lanes(struct lift *l, const struct jit_inst *ji, uint32_t prot, const struct lin *x, V base[MAX_STRIPS], V fits, bool whole,
		       V host[MAX_STRIPS], LLVMBasicBlockRef slow, struct extent e[MAX_STRIPS])
{
	const struct isa_inst *in = &ji->ci.inst;
	bool wave = x->level == LEVEL_WAVE;
	struct seen *seen = base ? look_around(l, ji, prot, x, base) : NULL;
	unsigned all = whole ? 1 : l->strips, most = 0, place;
	V outside;

	if (seen) {
		LLVMBasicBlockRef go = new_block(l, "");

		emit_weights(l, LLVMBuildCondBr(l->b, seen->ok, go, slow), true);
		go_to(l, go);
		for (unsigned s = 0; s < all; s++)
			host[s] = at(l, seen->host[wave ? 0 : s],
				     (uint64_t)(e[s].low - (wave ? 0 : x->delta[s * l->width]) + (int64_t)in->offset - seen->low));
		return;
	}
	for (unsigned s = 0; s < all; s++)
		most = e[s].span > most ? e[s].span : most;
	place = place_for(l, prot, most);
	outside = base ? outside_apertures(l, in, x) : fits;
	for (unsigned s = 0; s < all; s++)
		host[s] = translate(l, place, lanes_va(l, x, s, e[s].low), e[s].span, s ? NULL : outside, slow);
}

bool known_access(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row, const struct lin *x, V base[MAX_STRIPS], V fits)
{
	const int32_t *delta = x->delta;
	unsigned n = a->dwords, prot = a->store ? GPU_PROT_WRITE : GPU_PROT_READ;
	struct extent all = extent_of(delta, 0, WAVE_LANES, a->bytes), e[MAX_STRIPS];
	bool wave = x->level == LEVEL_WAVE && all.span <= mem_near_bytes(MEM_NEAR_CLASSES - 1), keep = !l->now.exec_full && !ji->quiet;
	LLVMBasicBlockRef slow, join, from[2];
	V host[MAX_STRIPS], got[4][MAX_STRIPS], old[4][MAX_STRIPS], pairs[MAX_STRIPS][2], wide[MAX_STRIPS][2], step[4][MAX_STRIPS], out[4];
	unsigned twin;

	for (unsigned s = 0; s < l->strips; s++) {
		e[s] = extent_of(delta, s * l->width, l->width, a->bytes);
		if (e[s].span > mem_near_bytes(MEM_NEAR_CLASSES - 1))
			return false;
	}
	if (a->store && overlap(delta, a->bytes))
		return false;
	if (wave)
		e[0] = all;
	/* What the ways read is read before they part. */
	touch_step(l, ji);
	get_exec(l);
	for (unsigned s = 0; s < l->strips; s++)
		for (unsigned k = 0; k < n; k++) {
			if (a->store || keep || needs_old(l, a->kind))
				old[k][s] = get_v(l, row + k, s);
			if (a->store && !(n & 1) && !(k & 1))
				pairs[s][k / 2] = get_v64(l, row + k, s);
		}
	slow = new_block(l, "slow");
	join = new_block(l, "");
	find_lanes(l, ji, prot, x, base, fits, wave, host, slow, e);
	for (unsigned s = l->strips; s--;)
		host[s] = at(l, host[wave ? 0 : s], (uint64_t)(int64_t)(delta[s * l->width] - e[wave ? 0 : s].low));
	for (unsigned s = 0; s < l->strips; s++) {
		if (a->store) {
			V rows[4];

			for (unsigned k = 0; k < n; k++)
				rows[k] = old[k][s];
			known_store(l, a, delta, s, host[s], rows, pairs[s], l->now.exec_full ? NULL : mask_strip(l, get_exec(l), s));
			continue;
		}
		pairs[s][0] = pairs[s][1] = NULL;
		twin = 0;
		while (twin < s && (!wave || memcmp(delta + twin * l->width, delta + s * l->width, l->width * sizeof(*delta))))
			twin++;
		if (twin < s && a->bytes >= 4) { /* at the same places as a strip before */
			for (unsigned k = 0; k < n; k++)
				got[k][s] = got[k][twin];
			memcpy(pairs[s], pairs[twin], sizeof(pairs[s]));
			continue;
		}
		known_load(l, a, delta, s, host[s], out, pairs[s]);
		for (unsigned k = 0; k < n; k++)
			got[k][s] = a->bytes < 4 ? placed(l, a->kind, out[k], old[k][s]) : out[k];
	}
	if (a->store)
		store_field(l, l->ctx, offsetof(struct exec_ctx, stored), LLVMConstInt(l->i8, 1, 0));
	from[0] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, slow);
	emit_step_call(l, ji);
	for (unsigned s = 0; !a->store && s < l->strips; s++)
		for (unsigned k = 0; k < n; k++)
			step[k][s] = load_wave_row(l, row + k, s);
	for (unsigned s = 0; !a->store && s < l->strips; s++)
		for (unsigned k = 0; k + 1 < n; k += 2)
			if (pairs[s][k / 2])
				wide[s][k / 2] = LLVMBuildBitCast(l->b, interleave(l, (V[]){step[k][s], step[k + 1][s]}, 2), l->vi64, "");
	from[1] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	if (a->store)
		return true;
	for (unsigned s = 0; s < l->strips; s++)
		for (unsigned k = 0; k < n; k++) {
			got[k][s] = phi2(l, got[k][s], from[0], step[k][s], from[1]);
			if (k & 1 && pairs[s][k / 2])
				pairs[s][k / 2] = phi2(l, pairs[s][k / 2], from[0], wide[s][k / 2], from[1]);
		}
	set_loaded(l, ji, a, row, got, old);
	for (unsigned s = 0; !keep && s < l->strips; s++)
		for (unsigned k = 0; k + 1 < n; k += 2)
			if (pairs[s][k / 2])
				l->v64[row + k][s] = (struct wide_pair){got[k][s], got[k + 1][s], pairs[s][k / 2]};
	return true;
}

/* ------------------------------------------------------------------ rows that are read when the queue is emitted */

/*
 * Must the queue be emitted before this load joins it? If it reads what is still to be made. That something in the queue reads or writes what it writes does no
 * harm, for each strip is emitted in order; but a row that waits in struct wave must not be overwritten there, nor one that is read there.
 */
static bool waits(const struct lift *l, const struct jit_inst *ji)
{
	struct jit_regs r, q;

	jit_inst_regs(&ji->ci.inst, l->now.exec_full || ji->quiet, &r);
	for (int i = 0; i < l->queued; i++) {
		jit_inst_regs(&l->queue[i].ji->ci.inst, false, &q);
		for (unsigned w = 0; w < 4; w++)
			if ((q.vwrite.w[w] & (r.vuse.w[w] | (l->queue[i].rows[0] ? r.vwrite.w[w] : r.vwrite.w[w] & ~r.vkill.w[w]))) ||
			    ((q.vuse.w[w] | q.vwrite.w[w]) & r.vwrite.w[w] & l->home.w[w]))
				return true;
	}
	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++)
		if (l->mask_def[p] && (r.suse[p >> 5] >> (2 * p & 63) & 3))
			return true;
	return false;
}

/*
 * Bytes from lane to lane if that is the same in all strips, and few: elements as large as that are rows, of which an access has one or several (lanes
 * overlap then, as where a compiler loads a pixel's neighbours together); or 0. -1: something else. *wave: one strip lies behind the other, at least
 * where the root is the wave's.
 */
static int step_of(const struct lin *x, unsigned width, unsigned dwords, bool *wave)
{
	int32_t step = x->delta[1] - x->delta[0];

	*wave = x->level == LEVEL_WAVE;
	if (step < 0 || step > (int32_t)(4 * dwords) || step & 3 || (step && dwords % (unsigned)(step / 4)))
		return -1;
	for (unsigned i = 0; i < WAVE_LANES; i++) {
		unsigned first = i / width * width;

		if (x->delta[i] - x->delta[first] != (int32_t)(i - first) * step)
			return -1;
		*wave &= x->delta[i] - x->delta[0] == (int32_t)i * step;
	}
	return step;
}

#define ROOM (WAVE_LANES * 16 + MAX_STRIPS * 16)

/* Where each strip's first lane is, of rows that the interpreter has put into struct wave: one row there, several on the stack as in memory. */
static void stepped_rows(struct lift *l, unsigned row, unsigned n, unsigned step, bool wave, V at_strip[MAX_STRIPS])
{
	unsigned e = step ? step / 4 : n, apart = l->width * 4 * e + (wave ? 0 : 16);
	V room = l->rows[l->next_rows], of[4], m, ms[4];

	for (unsigned s = 0; n == 1 && s < l->strips; s++)
		at_strip[s] = row_ptr(l, false, row, s);
	if (n == 1)
		return;
	if (!room) {
		room = l->rows[l->next_rows] = LLVMBuildArrayAlloca(l->at_entry, l->i8, c32(l, ROOM), "");
		LLVMSetAlignment(room, 64);
	}
	l->next_rows++;
	for (unsigned s = 0; s < l->strips; s++) {
		at_strip[s] = at(l, room, (uint64_t)s * apart);
		for (unsigned b = 0; b < n; b += e) {
			V p = at(l, at_strip[s], 4 * b), x;

			for (unsigned k = 0; k < e; k++)
				of[k] = load_wave_row(l, row + b + k, s);
			x = interleave(l, of, e);
			if (l->now.exec_full) {
				LLVMSetAlignment(LLVMBuildStore(l->b, x, p), 4);
				continue;
			}
			m = ms[0] = ms[1] = ms[2] = ms[3] = mask_strip(l, get_exec(l), s);
			masked_store(l, x, p, e > 1 ? interleave(l, ms, e) : m, 4);
		}
	}
}

/*
 * A load of rows: only where they lie is found out now. Where that is not to be had, the interpreter has done the instruction, and they lie in struct
 * wave. (The load itself comes strip by strip with the operations around it, before anything is stored.)
 */
static bool lift_known_rows(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	bool saddr = in->src[2].kind != ISA_OPND_NONE, wave;
	LLVMBasicBlockRef slow, join, from;
	unsigned n, row = in->dst[0].index, all;
	V host[MAX_STRIPS], stepped[MAX_STRIPS], base[MAX_STRIPS];
	struct extent e[MAX_STRIPS];
	struct vop *q;
	struct access a;
	struct lin x;
	int step;

	if ((in->format != ISA_FMT_GLOBAL && in->format != ISA_FMT_FLAT) || !global_access(in->op, &a) || a.store || a.bytes < 4 || in->lds || in->tfe ||
	    in->dst[0].kind != ISA_OPND_VGPR || in->src[0].kind != ISA_OPND_VGPR || (saddr && in->src[2].kind != ISA_OPND_SGPR))
		return false;
	n = a.dwords;
	if (row + n > 256 || in->src[0].index + !saddr > 255)
		return false;
	if (l->queued == QUEUE_SIZE || l->next_rows == MAX_ROWS || waits(l, ji))
		flush_queue(l);
	if (!lin_address(l, ji, &x, base))
		return false;
	step = step_of(&x, l->width, n, &wave);
	/* One for all: it is where the strip's first lane has it. */
	if (step < 0 || (!step && !l->now.exec_full))
		return false;
	all = wave ? 1 : l->strips;
	for (unsigned s = 0; s < all; s++)
		e[s] = extent_of(x.delta, s * l->width, wave ? WAVE_LANES : l->width, a.bytes);
	touch_step(l, ji);
	/* What is in the queue may read the old rows, and the interpreter overwrites them in struct wave. */
	for (unsigned s = 0; l->queued && s < l->strips; s++)
		for (unsigned k = 0; k < n; k++)
			get_v(l, row + k, s);
	get_exec(l);
	slow = new_block(l, "slow");
	join = new_block(l, "");
	find_lanes(l, ji, GPU_PROT_READ, &x, base, NULL, wave, host, slow, e);
	from = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, slow);
	emit_step_call(l, ji);
	stepped_rows(l, row, n, (unsigned)step, wave, stepped);
	slow = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned s = 0; s < all; s++)
		host[s] = phi2(l, host[s], from, stepped[s], slow);
	q = &l->queue[l->queued++];
	*q = (struct vop){.ji = ji, .mask_of = -1, .mask_pair = -1, .rows_step = (unsigned)step};
	q->exec = l->now.exec_full || ji->quiet ? NULL : get_exec(l);
	for (unsigned s = 0; s < l->strips; s++)
		q->rows[s] = wave ? at(l, host[0], (uint64_t)s * l->width * (unsigned)step) : host[s];
	for (unsigned k = 0; k < n; k++)
		l->lds_base[row + k] = NULL;
	return true;
}

/* One value for all lanes of the strip: rows, and pairs where there are two. */
static void read_same(struct lift *l, V p, unsigned n, V rows[4], V pairs[2])
{
	for (unsigned k = 0; k < n; k += 2) {
		V x = volatile_load(l, k + 1 < n ? l->i64 : l->i32, at(l, p, 4 * k), 1);

		if (k + 1 == n) {
			rows[k] = splat(l, x);
			continue;
		}
		rows[k] = splat(l, LLVMBuildTrunc(l->b, x, l->i32, ""));
		rows[k + 1] = splat(l, LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, x, c64(l, 32), ""), l->i32, ""));
		pairs[k / 2] = splat(l, x);
	}
}

void emit_rows_read(struct lift *l, const struct vop *q, unsigned strip)
{
	unsigned row = q->ji->ci.inst.dst[0].index, n, e = q->rows_step / 4;
	V rows[4], pairs[2] = {NULL, NULL}, p = q->rows[strip];
	struct access a = {0};

	global_access(q->ji->ci.inst.op, &a);
	n = a.dwords;
	if (!e)
		read_same(l, p, n, rows, pairs);
	for (unsigned b = 0; e && b < n; b += e) {
		V x = volatile_load(l, vec(l->i32, l->width * e), at(l, p, 4 * b), 1);

		for (unsigned k = 0; k < e; k++)
			rows[b + k] = e > 1 ? pick(l, x, k, e) : x;
		if (e & 1)
			continue;
		x = LLVMBuildBitCast(l->b, x, vec(l->i64, l->width * e / 2), "");
		for (unsigned k = 0; k < e; k += 2)
			pairs[(b + k) / 2] = e > 2 ? pick(l, x, k / 2, e / 2) : x;
	}
	for (unsigned k = 0; k < n; k++) {
		if (q->exec)
			rows[k] = LLVMBuildSelect(l->b, mask_strip(l, q->exec, strip), rows[k], get_v(l, row + k, strip), "");
		set_v(l, row + k, strip, rows[k]);
	}
	for (unsigned k = 0; !q->exec && k + 1 < n; k += 2)
		if (pairs[k / 2])
			l->v64[row + k][strip] = (struct wide_pair){rows[k], rows[k + 1], pairs[k / 2]};
}

/*
 * The same value, of which LLVM knows nothing. Comparing lanes of which it knows how they were made keeps LLVM 19 busy for ever: it rewrites
 * masks back and forth.
 */
V opaque(struct lift *l, V x)
{
	LLVMTypeRef t = LLVMTypeOf(x), fn = LLVMFunctionType(t, &t, 1, 0);
	V code = LLVMGetInlineAsm(fn, "", 0, "=v,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0);

	return LLVMBuildCall2(l->b, fn, code, &x, 1, "");
}

static bool lift_global(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct global g = {.ji = ji, .saddr = in->src[2].kind != ISA_OPND_NONE};
	const struct isa_operand *data;
	V base[MAX_STRIPS];
	struct lin x;

	if ((in->format != ISA_FMT_GLOBAL && in->format != ISA_FMT_FLAT) || !global_access(in->op, &g.a) || in->lds || in->tfe)
		return false;
	data = g.a.store ? &in->src[1] : &in->dst[0];
	if (data->kind != ISA_OPND_VGPR || in->src[0].kind != ISA_OPND_VGPR || (g.saddr && in->src[2].kind != ISA_OPND_SGPR))
		return false;
	if (data->index + g.a.dwords > 256 || in->src[0].index + !g.saddr > 255)
		return false;
	g.row = data->index;
	if (lin_address(l, ji, &x, base) && known_access(l, ji, &g.a, g.row, &x, base, NULL))
		return true;
	if (in->format != ISA_FMT_GLOBAL || g.a.bytes < 4) {
		lift_spread(l, ji, &g.a, g.row);
		return true;
	}
	/* What the ways read is read before they part. */
	touch_step(l, ji);
	get_exec(l);
	for (unsigned s = 0; s < l->strips; s++) {
		g.lo[s] = opaque(l, get_v(l, in->src[0].index, s));
		g.hi[s] = g.saddr ? NULL : opaque(l, get_v(l, in->src[0].index + 1, s));
		for (unsigned k = 0; k < g.a.dwords; k++)
			if (g.a.store || !l->now.exec_full)
				get_v(l, g.row + k, s);
		for (unsigned k = 0; g.a.store && !(g.a.dwords & 1) && k < g.a.dwords; k += 2)
			g.pairs[s][k / 2] = get_v64(l, g.row + k, s);
	}
	if (g.saddr)
		g.base = get_s64(l, in->src[2].index);
	g.slow = new_block(l, "slow");
	g.join = new_block(l, "");
	g.place = place_for(l, g.a.store ? GPU_PROT_WRITE : GPU_PROT_READ, 256 * g.a.dwords);
	leave_unless_pattern(l, &g);
	if (g.a.store)
		global_store(l, &g);
	else
		global_load(l, &g);
	return true;
}

bool lift_mem(struct lift *l, const struct jit_inst *ji)
{
	if (lift_smem(l, ji) || lift_known_ds(l, ji) || lift_known_rows(l, ji))
		return true;
	flush_queue(l);
	mark_back(l, ji);
	return lift_global(l, ji) || lift_ds(l, ji) || lift_ds_other(l, ji) || lift_atomic(l, ji) || lift_buffer_known(l, ji) ||
	       lift_buffer_rows(l, ji, 2) || lift_buffer(l, ji) || lift_buffer_rows(l, ji, 1);
}
