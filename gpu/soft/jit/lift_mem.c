/* SPDX-License-Identifier: MIT */
/*
 * lift_mem.c - memory operations.
 *
 * Every guest address is looked up in a place of the view (struct mem_near), inline, and what is not there by a function; what faults, or does not lie
 * in one piece on the host, goes to the interpreter's function for the instruction, which does it again from the start. Vector accesses of
 * consecutive lanes are one look-up and plain vector moves, uniform loads one scalar load; others are in lift_gather.c.
 * Accesses to guest memory are volatile: programs race on it by design.
 */
#include <limits.h>
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

void say_stored(struct lift *l)
{
	if (!l->run.once)
		store_field(l, l->ctx, offsetof(struct exec_ctx, stored), LLVMConstInt(l->i8, 1, 0));
}

V at(struct lift *l, V p, uint64_t offset)
{
	V i = c64(l, offset);

	return LLVMBuildInBoundsGEP2(l->b, l->i8, p, &i, 1, "");
}

V indexed(struct lift *l, V base, V index)
{
	return LLVMBuildGEP2(l->b, l->i8, base, &index, 1, "");
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
unsigned place_for(struct lift *l, uint32_t prot, unsigned bytes)
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

void prefetch(struct lift *l, V p, unsigned level)
{
	intrinsic(l, "llvm.prefetch", &l->ptr, 1, (V[]){p, c32(l, 0), c32(l, level), c32(l, 1)}, 4);
}

#define CACHE_LINE 64

static void prefetch_lines(struct lift *l, V p, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += CACHE_LINE)
		prefetch(l, at(l, p, i), 3);
}

#define FETCH_AFTER 16	 /* steps */
#define FETCH_STEPS 8	 /* so many ahead */
#define FETCH_FAR   2048 /* smaller steps the host foresees by itself */
#define FETCH_LEAST 256	 /* bytes */
#define FETCH_MOST  1024
#define MAX_FETCHES 4 /* of a kernel */

static V counter(struct lift *l, LLVMTypeRef t, int32_t first)
{
	V x = LLVMBuildAlloca(l->at_entry, t, "");

	LLVMBuildStore(l->at_entry, LLVMConstInt(t, (uint64_t)first, 1), x);
	return x;
}

/* Is this a load of rows in a loop of one block that does nothing with memory but load such? */
static bool may_go_on(struct lift *l, unsigned place, unsigned bytes)
{
	const struct jit_code *c = l->code;
	const struct jit_block *blk = l->blk;
	bool loop = false;

	if (!blk || place & 1 || bytes < FETCH_LEAST || bytes > FETCH_MOST || l->fetches >= MAX_FETCHES)
		return false;
	for (unsigned s = 0; s < 2; s++)
		loop |= blk->succ[s] != NO_BLOCK && &c->block[blk->succ[s]] == blk;
	for (uint32_t k = 0, i = blk->first; loop && k < blk->count; k++, i = c->inst[i].next) {
		const struct isa_inst *in = &c->inst[i].ci.inst;
		struct access a;

		loop = (in->format < ISA_FMT_DS && in->format != ISA_FMT_SMEM) || (in->format == ISA_FMT_GLOBAL && plain_access(in->op, &a) && !a.store);
	}
	return loop;
}

/*
 * A load that has gone on by the same large step for some rounds of its loop is likely to go on: what it will read in a few more is fetched, as long as it lies
 * in the same piece.
 */
static void fetch_ahead(struct lift *l, V va, V off, V room, V host, unsigned bytes)
{
	LLVMBasicBlockRef same = new_block(l, ""), other = new_block(l, ""), fetch = new_block(l, ""), go = new_block(l, "");
	V next = counter(l, l->i64, 0), step = counter(l, l->i64, 0), steady = counter(l, l->i32, INT32_MAX);
	V due = LLVMBuildLoad2(l->b, l->i64, next, ""), by = LLVMBuildLoad2(l->b, l->i64, step, ""), far, n;

	LLVMBuildCondBr(l->b, IS(EQ, va, due), same, other);
	go_to(l, other);
	by = ADD(LLVMBuildSub(l->b, va, due, ""), by);
	far = IS(UGT, ADD(by, c64(l, FETCH_FAR)), c64(l, 2 * FETCH_FAR));
	LLVMBuildStore(l->b, ADD(va, by), next);
	LLVMBuildStore(l->b, by, step);
	LLVMBuildStore(l->b, LLVMBuildSelect(l->b, far, c32(l, FETCH_AFTER), c32(l, INT32_MAX), ""), steady);
	LLVMBuildBr(l->b, go);
	go_to(l, same);
	by = LLVMBuildLoad2(l->b, l->i64, step, "");
	n = LLVMBuildSub(l->b, LLVMBuildLoad2(l->b, l->i32, steady, ""), c32(l, 1), "");
	LLVMBuildStore(l->b, ADD(va, by), next);
	LLVMBuildStore(l->b, n, steady);
	far = LLVMBuildMul(l->b, by, c64(l, FETCH_STEPS), "");
	LLVMBuildCondBr(l->b, AND(IS(SLT, n, c32(l, 0)), IS(ULT, ADD(off, far), room)), fetch, go);
	go_to(l, fetch);
	prefetch_lines(l, indexed(l, host, far), bytes);
	LLVMBuildBr(l->b, go);
	go_to(l, go);
	l->fetches++;
}

#define STEADY_LEAST 64 /* bytes */
#define STEADY_WAVES 4	/* so many ahead */
#define STEADY_AHEAD 4096 /* bytes, where waves follow each other: about a page is needed to hide the latency of memory */
#define MAX_STEADY   4	/* of a kernel */

bool in_loop(const struct jit_code *c, const struct jit_block *blk)
{
	for (uint32_t b = 0; b < c->num_blocks; b++)
		for (unsigned s = 0; s < 2; s++) {
			uint32_t to = c->block[b].succ[s];

			if (to != NO_BLOCK && c->block[to].pc <= blk->pc && c->block[b].pc >= blk->pc)
				return true;
		}
	return false;
}

/*
 * Does the grid move more through the host's caches than they hold, with this access of so many bytes for each work-item? All such accesses of the kernel count,
 * which is known when all are lifted.
 */
static V moves_much(struct lift *l, const struct jit_inst *ji, unsigned bytes)
{
	if (!l->moved)
		l->moved = LLVMAddGlobal(l->m, l->i64, "moved");
	if (l->moved_by != ji && !l->run.on)
		l->moved_bytes += bytes;
	l->moved_by = ji;
	return IS(ULT, load_once(l, l->frame, offsetof(struct jit_frame, room_each), l->i64), LLVMBuildLoad2(l->b, l->i64, l->moved, ""));
}

void say_moved(struct lift *l)
{
	if (!l->moved)
		return;
	LLVMSetInitializer(l->moved, c64(l, l->moved_bytes));
	LLVMSetGlobalConstant(l->moved, 1);
	LLVMSetLinkage(l->moved, LLVMPrivateLinkage);
}

void add_piece(struct pieces *p, int64_t low, int64_t high)
{
	for (unsigned i = 0; i < p->num; i++)
		if (low <= p->high[i] && high >= p->low[i]) {
			low = p->low[i] < low ? p->low[i] : low;
			high = p->high[i] > high ? p->high[i] : high;
			p->num--;
			p->bytes -= (unsigned)(p->high[i] - p->low[i]);
			p->low[i] = p->low[p->num];
			p->high[i--] = p->high[p->num];
		}
	if (p->num == MAX_PIECES || p->bytes == UINT_MAX) {
		p->num = 0;
		p->bytes = UINT_MAX;
		return;
	}
	p->low[p->num] = low;
	p->high[p->num++] = high;
	p->bytes += (unsigned)(high - low);
}

static bool is_stage(const struct lift *l, const struct jit_block *blk)
{
	return blk->fresh && blk->in.known && !in_loop(l->code, blk);
}

/* How many blocks, each behind a barrier, follow the one that is lifted. */
static unsigned stages_behind(const struct lift *l)
{
	unsigned stages = 0;

	for (const struct jit_block *blk = l->blk + 1; blk < l->code->block + l->code->num_blocks; blk++)
		stages += is_stage(l, blk);
	return stages;
}

/* steady_step() in a run, whose waves' pieces mostly lie one behind the other. */
static void in_turn(struct lift *l, const struct jit_inst *ji, V va, unsigned bytes, unsigned lanes, struct further *further)
{
	V last = counter(l, l->i64, 0), due = LLVMBuildLoad2(l->b, l->i64, last, "");
	LLVMBasicBlockRef here = LLVMGetInsertBlock(l->b);

	further->by = c64(l, STEADY_AHEAD);
	further->when = IS(EQ, va, ADD(due, c64(l, bytes)));
	LLVMBuildStore(l->b, va, last);
	LLVMPositionBuilderAtEnd(l->b, l->run.once);
	further->ever = l->has_serial ? LLVMConstInt(l->i1, 1, 0) : moves_much(l, ji, bytes / lanes);
	LLVMPositionBuilderAtEnd(l->b, here);
}

bool steady_step(struct lift *l, const struct jit_inst *ji, unsigned place, V va, const struct pieces *reads, unsigned lanes, struct further *further)
{
	uint32_t items = l->code->wg_size[0] * l->code->wg_size[1] * l->code->wg_size[2], waves = items / WAVE_LANES;
	/* The waves of work-groups of one dimension come as if they were all of one, where each reads one piece. */
	bool one = lanes == WAVE_LANES && items == l->code->wg_size[0] && reads->num == 1;
	unsigned ahead, bytes = reads->bytes;
	LLVMTypeRef t = LLVMArrayType2(l->i64, WG_MAX_WAVES);
	LLVMBasicBlockRef from, look, go;
	V next, steps, index[2] = {c32(l, 0), c32(l, 0)}, due, step, now, large;

	if (!l->groups || !l->blk || place & 1 || bytes < STEADY_LEAST || bytes > FETCH_MOST || l->steady == MAX_STEADY || in_loop(l->code, l->blk))
		return false;
	/* Its own eyes suffice unless there is much to do between one wave's load and the next one's. */
	if (l->amd && !stages_behind(l))
		return false;
	ahead = one ? STEADY_AHEAD / bytes : waves < STEADY_WAVES ? STEADY_WAVES / waves : 1;
	l->steady++;
	if (one && l->run.on) {
		in_turn(l, ji, va, bytes, lanes, further);
		return true;
	}
	next = LLVMBuildAlloca(l->at_entry, t, "");
	steps = LLVMBuildAlloca(l->at_entry, t, "");
	LLVMBuildStore(l->at_entry, LLVMConstNull(t), next);
	LLVMBuildStore(l->at_entry, LLVMConstNull(t), steps);
	look = new_block(l, "steady");
	go = new_block(l, "");
	/* Between lanes that go one by one for long the host loses sight of how rows go on, in its caches, too. */
	large = moves_much(l, ji, bytes / lanes);
	from = LLVMGetInsertBlock(l->b);
	LLVMBuildCondBr(l->b, l->has_serial ? LLVMConstInt(l->i1, 1, 0) : large, look, go);
	go_to(l, look);
	if (!one)
		index[1] = LLVMBuildAnd(l->b, wave_index(l), c32(l, WG_MAX_WAVES - 1), "");
	next = LLVMBuildInBoundsGEP2(l->b, t, next, index, 2, "");
	steps = LLVMBuildInBoundsGEP2(l->b, t, steps, index, 2, "");
	due = LLVMBuildLoad2(l->b, l->i64, next, "");
	step = LLVMBuildLoad2(l->b, l->i64, steps, "");
	now = ADD(LLVMBuildSub(l->b, va, due, ""), step);
	LLVMBuildStore(l->b, ADD(va, now), next);
	LLVMBuildStore(l->b, now, steps);
	step = LLVMBuildMul(l->b, step, c64(l, ahead), "");
	step = LLVMBuildSelect(l->b, IS(EQ, va, due), step, c64(l, 0), "");
	LLVMBuildBr(l->b, go);
	go_to(l, go);
	*further = (struct further){.by = phi2(l, c64(l, 0), from, step, look)};
	return true;
}

static V rest_of_wave(struct lift *l, unsigned rest)
{
	V wave = LLVMBuildAnd(l->b, wave_index(l), c32(l, WG_MAX_WAVES - 1), "");

	return LLVMBuildInBoundsGEP2(l->b, l->ptr, l->rest_at[rest], &wave, 1, "");
}

#define FETCH_AT_ONCE 2 /* lines: the host has few under way at a time */

/* What is further, as far as it is in the same piece of memory. Where barriers follow, most of it is left to the blocks behind them. */
static void fetch_further(struct lift *l, V off, V room, V host, const struct further *further, const struct pieces *ahead)
{
	LLVMBasicBlockRef fetch = new_block(l, ""), go = new_block(l, ""), from = LLVMGetInsertBlock(l->b);
	struct fetch_rest *rest = l->rests < MAX_RESTS && l->rest_at[l->rests] ? &l->rest[l->rests] : NULL;
	unsigned stages = rest ? stages_behind(l) : 0, n = 0, now;
	int64_t line[MAX_LINES], first = ahead->low[0];
	V when = further->when ? further->when : IS(NE, further->by, c64(l, 0)), there;

	for (unsigned i = 1; i < ahead->num; i++)
		first = ahead->low[i] < first ? ahead->low[i] : first;
	for (unsigned i = 0; i < ahead->num; i++)
		for (int64_t k = ahead->low[i]; k < ahead->high[i]; k += CACHE_LINE)
			line[n++] = k - first;
	now = (n + stages) / (stages + 1);
	now = !stages ? n : now < FETCH_AT_ONCE ? FETCH_AT_ONCE : now;
	LLVMBuildCondBr(l->b, AND(when, IS(ULT, ADD(off, further->by), room)), fetch, go);
	go_to(l, fetch);
	there = indexed(l, host, further->by);
	for (unsigned i = 0; i < n && i < now; i++)
		prefetch(l, at(l, there, (uint64_t)line[i]), 3);
	LLVMBuildBr(l->b, go);
	go_to(l, go);
	if (now >= n)
		return;
	there = phi2(l, there, fetch, host, from);
	rest->each = now;
	while (now < n)
		rest->line[rest->lines++] = line[now++];
	LLVMBuildStore(l->b, there, rest_of_wave(l, l->rests++));
}

void fetch_rests(struct lift *l)
{
	for (unsigned i = 0; i < l->rests && is_stage(l, l->blk); i++) {
		struct fetch_rest *rest = &l->rest[i];
		V p = rest->lines ? LLVMBuildLoad2(l->b, l->ptr, rest_of_wave(l, i), "") : NULL;

		for (unsigned k = 0; rest->lines && k < rest->each; k++)
			prefetch(l, at(l, p, (uint64_t)rest->line[--rest->lines]), 3);
	}
}

void forget_rests(struct lift *l)
{
	LLVMTypeRef t = LLVMVectorType(l->i64, WG_MAX_WAVES);

	for (unsigned i = 0; i < MAX_RESTS; i++) {
		if (!l->rest_at[i]) {
			l->rest_at[i] = LLVMBuildAlloca(l->at_entry, t, "");
			LLVMBuildStore(l->at_entry, LLVMConstNull(t), l->rest_at[i]);
		}
		LLVMBuildStore(l->b, LLVMConstNull(t), l->rest_at[i]);
	}
}

/*
 * Host address of bytes from the guest's va (i64) on, all there with the place's right; else, and where also does not hold, control is at
 * slow. The place mostly knows: then this is a subtraction, a comparison and an addition. What is further (NULL: nothing) is fetched ahead.
 */
V translate(struct lift *l, unsigned place, V va, unsigned bytes, V also, const struct further *further, const struct pieces *ahead, LLVMBasicBlockRef slow)
{
	LLVMBasicBlockRef miss = new_block(l, "miss"), go = new_block(l, ""), hit = go, from;
	LLVMTypeRef params[4] = {l->ptr, l->i64, l->i32, l->i32};
	size_t where = offsetof(struct mem_view, near) + place * sizeof(struct mem_near);
	V off, host, room, reach, fn, args[4] = {l->ctx, va, c32(l, place), c32(l, bytes)}, found;

	if (also) {
		LLVMBasicBlockRef on = new_block(l, "");

		emit_weights(l, LLVMBuildCondBr(l->b, also, on, slow), true);
		go_to(l, on);
	}
	off = LLVMBuildSub(l->b, va, load_once(l, l->view, where + offsetof(struct mem_near, first), l->i64), "");
	host = load_once(l, l->view, where + offsetof(struct mem_near, host), l->ptr);
	host = indexed(l, host, off);
	room = load_once(l, l->view, where + offsetof(struct mem_near, room), l->i64);
	reach = room;
	if (further && further->ever) {
		LLVMBasicBlockRef here = LLVMGetInsertBlock(l->b);

		LLVMPositionBuilderAtEnd(l->b, l->run.once);
		reach = LLVMBuildSelect(l->b, further->ever, room, c64(l, 0), "");
		LLVMPositionBuilderAtEnd(l->b, here);
	}
	if (further || may_go_on(l, place, bytes))
		hit = new_block(l, "");
	from = LLVMGetInsertBlock(l->b);
	emit_weights(l, LLVMBuildCondBr(l->b, IS(ULT, off, room), hit, miss), true);
	if (hit != go) {
		go_to(l, hit);
		if (further)
			fetch_further(l, off, reach, host, further, ahead);
		else
			fetch_ahead(l, va, off, room, host, bytes);
		from = LLVMGetInsertBlock(l->b);
		LLVMBuildBr(l->b, go);
	}
	go_to(l, miss);
	if (l->run.on) {
		LLVMBuildBr(l->b, slow);
		go_to(l, go);
		return host;
	}
	fn = load_field(l, l->frame, offsetof(struct jit_frame, near), l->ptr);
	found = LLVMBuildCall2(l->b, LLVMFunctionType(l->ptr, params, 4, 0), fn, args, 4, "");
	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildIsNotNull(l->b, found, ""), go, slow), true);
	go_to(l, go);
	return phi2(l, host, from, found, miss);
}

/* ------------------------------------------------------------------ vectors and masks */

V lane0(struct lift *l, V x)
{
	return LLVMBuildExtractElement(l->b, x, c32(l, 0), "");
}

V inactive(struct lift *l, unsigned strip)
{
	return LLVMBuildNot(l->b, mask_strip(l, get_exec(l), strip), "");
}

V bits_of(struct lift *l, V mask)
{
	return LLVMBuildBitCast(l->b, mask, LLVMIntTypeInContext(l->c, l->width), "");
}

V all_of(struct lift *l, V mask)
{
	return IS(EQ, bits_of(l, mask), LLVMConstAllOnes(LLVMIntTypeInContext(l->c, l->width)));
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

void store_in_order(struct lift *l, V rows[4], V pairs[2], unsigned n, V p, V mask)
{
	V x = in_order(l, rows, pairs, n), ms[4] = {mask, mask, mask, mask};

	if (mask)
		masked_store(l, x, p, interleave(l, ms, n & 1 ? n : n / 2), 1);
	else
		volatile_store(l, x, p, 1);
}

static void stream_in_order(struct lift *l, V rows[4], V pairs[2], unsigned n, V p)
{
	LLVMMetadataRef one = LLVMValueAsMetadata(c32(l, 1));
	V x = LLVMBuildStore(l->b, in_order(l, rows, pairs, n), p);

	LLVMSetVolatile(x, 1);
	LLVMSetAlignment(x, 4 * l->width);
	LLVMSetMetadata(x, LLVMGetMDKindIDInContext(l->c, "nontemporal", 11), LLVMMetadataAsValue(l->c, LLVMMDNodeInContext2(l->c, &one, 1)));
}

V past_caches(struct lift *l, const struct jit_inst *ji, unsigned bytes, V va, const V *host, unsigned rows)
{
	V yes, places = NULL;

	if (!l->streams || WAVE_LANES / rows * bytes % CACHE_LINE)
		return NULL;
	yes = moves_much(l, ji, bytes);
	if (!l->reg.now.exec_full)
		yes = AND(yes, IS(EQ, get_exec(l), c64(l, UINT64_MAX)));
	for (unsigned i = 0; i < rows; i++) {
		V p = LLVMBuildPtrToInt(l->b, host[i], l->i64, "");

		places = places ? OR(places, p) : p;
	}
	yes = AND(yes, IS(EQ, AND(places, c64(l, CACHE_LINE - 1)), c64(l, 0)));
	for (unsigned i = 0; i < l->rows_read; i++)
		yes = AND(yes, IS(NE, va, l->row_read[i]));
	return yes;
}

LLVMBasicBlockRef stream_rows(struct lift *l, unsigned n, V yes, V (*rows)[MAX_STRIPS], V (*pairs)[2], const V *host)
{
	LLVMBasicBlockRef stream = new_block(l, "stream"), go = new_block(l, "");

	LLVMBuildCondBr(l->b, yes, stream, go);
	go_to(l, stream);
	for (unsigned s = 0; s < l->strips; s++) {
		V of[4];

		for (unsigned k = 0; k < n; k++)
			of[k] = rows[k][s];
		stream_in_order(l, of, pairs[s], n, host[s]);
	}
	stream = LLVMGetInsertBlock(l->b);
	go_to(l, go);
	return stream;
}

void end_stream(struct lift *l, LLVMBasicBlockRef stream)
{
	LLVMBasicBlockRef stored = new_block(l, "");

	LLVMBuildBr(l->b, stored);
	LLVMPositionBuilderAtEnd(l->b, stream);
	LLVMBuildBr(l->b, stored);
	go_to(l, stored);
}

void fence_streams(struct lift *l)
{
	if (l->streams)
		intrinsic(l, "llvm.x86.sse.sfence", NULL, 0, NULL, 0);
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

/* ------------------------------------------------------------------ kinds of accesses */

#define LOAD(SPACE, NAME, KIND)	 [ISA_##SPACE##_##NAME] = {1 + KIND, false},
#define STORE(SPACE, NAME, KIND) [ISA_##SPACE##_##NAME] = {1 + KIND, true},
#define DS_LOAD(NAME, KIND)	 LOAD(DS, NAME, KIND)
#define DS_STORE(NAME, KIND)	 STORE(DS, NAME, KIND)
bool plain_access(unsigned op, struct access *a)
{
	static const struct {
		uint8_t kind; /* enum vmem_kind + 1 */
		bool store;
	} table[ISA_NUM_OPS] = {MEM_LOADS(LOAD, GLOBAL) MEM_STORES(STORE, GLOBAL) MEM_LOADS(LOAD, FLAT) MEM_STORES(STORE, FLAT)
					MEM_LOADS(LOAD, BUFFER) MEM_STORES(STORE, BUFFER) DS_LOADS(DS_LOAD) DS_STORES(DS_STORE)};

	if (!table[op].kind)
		return false;
	a->kind = table[op].kind - 1;
	a->store = table[op].store;
	a->bytes = vmem_bytes(a->kind);
	a->dwords = (a->bytes + 3) / 4;
	return true;
}
#undef LOAD
#undef STORE
#undef DS_LOAD
#undef DS_STORE

#define ROW(SPACE, NAME, KIND, DWORDS) [ISA_##SPACE##_##NAME] = {1 + KIND, DWORDS},
#define DS_ROWS(NAME, T32, T64, KIND) \
	ROW(DS, NAME##_##T32, KIND, 1) ROW(DS, NAME##_##T64, KIND, 2) ROW(DS, NAME##_RTN_##T32, KIND, 1) ROW(DS, NAME##_RTN_##T64, KIND, 2)
bool atomic_access(unsigned op, struct atomic *a)
{
	static const struct {
		uint8_t kind, dwords; /* enum atomic_kind + 1 */
	} table[ISA_NUM_OPS] = {MEM_ATOMICS(ROW, GLOBAL) MEM_ATOMICS_F32(ROW, GLOBAL) MEM_ATOMICS(ROW, FLAT) MEM_ATOMICS(ROW, BUFFER) MEM_ATOMICS_F32(ROW, BUFFER)
					DS_ATOMICS(DS_ROWS)
					ROW(DS, WRXCHG_RTN_B32, AT_SWAP, 1) ROW(DS, WRXCHG_RTN_B64, AT_SWAP, 2)};

	if (!table[op].kind)
		return false;
	a->kind = table[op].kind - 1;
	a->dwords = table[op].dwords;
	return true;
}
#undef ROW
#undef DS_ROWS

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

V widened(struct lift *l, enum vmem_kind kind, V x)
{
	LLVMTypeRef t = LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMVectorTypeKind ? l->vi32 : l->i32;

	return is_signed(kind) ? LLVMBuildSExt(l->b, x, t, "") : LLVMBuildZExt(l->b, x, t, "");
}

V short_value(struct lift *l, const struct access *a, V dwords)
{
	V by = K32(32 - 8 * a->bytes);

	dwords = LLVMBuildShl(l->b, dwords, by, "");
	return is_signed(a->kind) ? LLVMBuildAShr(l->b, dwords, by, "") : LLVMBuildLShr(l->b, dwords, by, "");
}

void set_loaded(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row, V (*got)[MAX_STRIPS], V (*old)[MAX_STRIPS])
{
	for (unsigned k = 0; k < a->dwords; k++)
		for (unsigned s = 0; s < l->strips; s++) {
			V x = got[k][s];

			if (!l->reg.now.exec_full && !ji->quiet)
				x = LLVMBuildSelect(l->b, mask_strip(l, get_exec(l), s), x, old[k][s], "");
			set_v(l, row + k, s, x);
		}
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
	host = translate(l, place_for(l, GPU_PROT_READ, (unsigned)(high - low)), va, (unsigned)(high - low), NULL, NULL, NULL, slow);
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
		host = translate(l, place_for(l, GPU_PROT_READ, 4 * n), va, 4 * n, NULL, NULL, NULL, slow);
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

/* ------------------------------------------------------------------ global memory, shapes found when it runs */

/* Every active lane of every strip has first + (lane * step) here; first is of the wave's lane 0. */
static V rising(struct lift *l, V strips[MAX_STRIPS], V first, unsigned step)
{
	V all = NULL;

	for (unsigned s = 0; s < l->strips; s++) {
		V want = ADD(splat(l, first), iota(l, s * l->width * step, step)), ok = IS(EQ, strips[s], want);

		if (!l->reg.now.exec_full)
			ok = OR(ok, inactive(l, s));
		all = all ? AND(all, ok) : ok;
	}
	return all;
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

/* The strips' first lanes, as in EXEC. */
static V first_lanes(struct lift *l)
{
	uint64_t firsts = 0;

	for (unsigned s = 0; s < l->strips; s++)
		firsts |= 1ull << (s * l->width);
	return c64(l, firsts);
}

/* Every strip by itself: active lanes at step bytes from each other, the first lane active. */
static V strips_have(struct lift *l, const struct global *g, unsigned step)
{
	V all = NULL, fits = NULL, firsts = first_lanes(l);

	for (unsigned s = 0; s < l->strips; s++) {
		V first = lane0(l, g->lo[s]), ok = IS(EQ, g->lo[s], ADD(splat(l, first), iota(l, 0, step)));
		V room = IS(ULE, first, c32(l, UINT32_MAX - step * l->width));

		if (!g->saddr)
			ok = AND(ok, IS(EQ, g->hi[s], splat(l, lane0(l, g->hi[s]))));
		if (!l->reg.now.exec_full)
			ok = OR(ok, inactive(l, s));
		all = all ? AND(all, ok) : ok;
		if (step)
			fits = fits ? AND(fits, room) : room;
	}
	all = all_of(l, all);
	if (fits)
		all = AND(all, fits);
	if (!l->reg.now.exec_full)
		all = AND(all, IS(EQ, AND(get_exec(l), firsts), firsts));
	return all;
}

/* What the wave's lane 0 would have if all lanes rose: its own, or by lane 63 when it is not active. */
static V row_first(struct lift *l, const struct global *g, unsigned step, V *hi)
{
	V last = c32(l, l->width - 1), at_end, active;
	unsigned s = l->strips - 1;

	*hi = g->saddr ? NULL : lane0(l, g->hi[0]);
	if (l->reg.now.exec_full)
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
	if (!l->reg.now.exec_full)
		all = AND(all, IS(NE, AND(get_exec(l), c64(l, 1ull << 63 | 1)), c64(l, 0)));
	return all;
}

static void store_strip(struct lift *l, const struct global *g, unsigned s, V p)
{
	unsigned n = g->a.dwords;
	V rows[4];

	for (unsigned k = 0; k < n; k++)
		rows[k] = l->reg.v[g->row + k][s];
	store_in_order(l, rows, (V *)g->pairs[s], n, p, l->reg.now.exec_full ? NULL : mask_strip(l, get_exec(l), s));
}

/* All strips of a store, past the caches where that is better; va: of the first. */
static void store_strips(struct lift *l, struct global *g, V va, const V host[MAX_STRIPS], unsigned rows)
{
	V past = past_caches(l, g->ji, 4 * g->a.dwords, va, host, rows);
	LLVMBasicBlockRef stream = past ? stream_rows(l, g->a.dwords, past, &l->reg.v[g->row], g->pairs, host) : NULL;

	for (unsigned s = 0; s < l->strips; s++)
		store_strip(l, g, s, host[s]);
	if (stream)
		end_stream(l, stream);
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
	V host[MAX_STRIPS], first = NULL;

	for (unsigned s = 0; s < l->strips; s++) {
		V va = strip_va(l, g, s), aligned = IS(EQ, AND(va, c64(l, 3)), c64(l, 0));

		first = s ? first : va;
		host[s] = translate(l, g->place, va, 4 * n * l->width, aligned, NULL, NULL, g->slow);
		if (!g->a.store)
			load_strip(l, g, s, host[s]);
	}
	/* Not before all are there: the wave may have to wait, having stored nothing. */
	if (g->a.store)
		store_strips(l, g, first, host, l->strips);
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

/*
 * Where a wave in one row goes that does not lie in one piece: its strips rise, too, but only an active lane tells where. The builder's place stays.
 */
static LLVMBasicBlockRef in_pieces(struct lift *l, const struct global *g, LLVMBasicBlockRef strips)
{
	LLVMBasicBlockRef from = LLVMGetInsertBlock(l->b), look;
	V firsts = first_lanes(l);

	if (l->reg.now.exec_full)
		return strips;
	look = new_block(l, "");
	LLVMPositionBuilderAtEnd(l->b, look);
	LLVMBuildCondBr(l->b, IS(EQ, AND(get_exec(l), firsts), firsts), strips, g->slow);
	LLVMPositionBuilderAtEnd(l->b, from);
	return look;
}

static void global_store(struct lift *l, struct global *g)
{
	unsigned n = g->a.dwords;
	V va, host[MAX_STRIPS], rises = wave_rises(l, g, 4 * n, &va);
	LLVMBasicBlockRef whole = when(l, rises), strips = when(l, strips_have(l, g, 4 * n));
	V rows[4][MAX_STRIPS];

	LLVMBuildBr(l->b, g->slow);
	go_to(l, strips);
	by_strips(l, g);
	say_stored(l);
	LLVMBuildBr(l->b, g->join);
	go_to(l, whole);
	host[0] = translate(l, g->place, va, 256 * n, NULL, NULL, NULL, in_pieces(l, g, strips));
	for (unsigned s = 1; s < l->strips; s++)
		host[s] = at(l, host[0], (uint64_t)s * l->width * 4 * n);
	store_strips(l, g, va, host, 1);
	say_stored(l);
	LLVMBuildBr(l->b, g->join);
	go_to(l, g->slow);
	for (unsigned s = 0; s < l->strips; s++)
		for (unsigned k = 0; k < n; k++)
			rows[k][s] = l->reg.v[g->row + k][s];
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
		host = translate(l, g->place, dense, 256 + 4 * (n - 1), NULL, NULL, NULL, g->slow);
		for (unsigned s = 0; s < l->strips; s++)
			for (unsigned k = 0; k < n; k++)
				g->got[g->ways][k][s] = volatile_load(l, l->vi32, at(l, host, (uint64_t)s * l->width * 4 + 4 * k), 4);
		way_done(l, g);
	}
	go_to(l, whole);
	host = translate(l, g->place, va, 256 * n, NULL, NULL, NULL, in_pieces(l, g, strips));
	for (unsigned s = 0; s < l->strips; s++)
		load_strip(l, g, s, at(l, host, (uint64_t)s * l->width * 4 * n));
	way_done(l, g);
	go_to(l, same);
	for (unsigned s = 0; s < l->strips; s++) {
		V rows[4], pairs[2], x = strip_va(l, g, s);

		host = translate(l, g->place, x, 4 * n, NULL, NULL, NULL, g->slow);
		read_same(l, host, n, rows, pairs);
		va = s ? va : x;
		/* What all strips read in one place is what the first one has read. */
		for (unsigned k = 0; k < n; k++)
			g->got[g->ways][k][s] = s ? LLVMBuildSelect(l->b, IS(EQ, x, va), g->got[g->ways][k][0], rows[k], "") : rows[k];
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

			if (!l->reg.now.exec_full && !g->ji->quiet)
				x = LLVMBuildSelect(l->b, mask_strip(l, get_exec(l), s), x, get_v(l, g->row + k, s), "");
			set_v(l, g->row + k, s, x);
		}
}

static bool lift_global(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct global g = {.ji = ji, .saddr = in->src[2].kind != ISA_OPND_NONE};
	const struct isa_operand *data;
	V base[MAX_STRIPS];
	struct lin x;

	if ((in->format != ISA_FMT_GLOBAL && in->format != ISA_FMT_FLAT) || !plain_access(in->op, &g.a) || in->lds || in->tfe)
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
			if (g.a.store || !l->reg.now.exec_full)
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
	/* Where the wave may have to leave, all that comes before is done. Behind stores that wait for their strips come only others. */
	if (l->code->paging || (l->lds_stores && !stores_lds(&ji->ci.inst)))
		flush_queue(l);
	if (lift_smem(l, ji) || lift_known_ds(l, ji) || lift_known_rows(l, ji))
		return true;
	flush_queue(l);
	mark_back(l, ji);
	return lift_global(l, ji) || lift_ds(l, ji) || lift_ds_other(l, ji) || lift_atomic(l, ji) || lift_buffer_atomic(l, ji) ||
	       lift_buffer_known(l, ji) || lift_buffer_rows(l, ji, 2) || lift_buffer(l, ji) || lift_buffer_rows(l, ji, 1);
}
