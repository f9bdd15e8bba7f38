/* SPDX-License-Identifier: MIT */
/*
 * lift_gather.c - loads, stores and atomics whose lanes lie anywhere, and buffers.
 *
 * The lanes of one instruction mostly lie in one buffer, and a buffer mostly lies in one piece on the host. So each such instruction looks at one
 * of the view's ranges (struct mem_range): lanes are there if their distance from its begin is small enough, and that distance is the index
 * of a gather. Short loads are inline; the rest, and what is not in the range, does a function for all of them (exec/spread.h), so that a kernel may
 * have any number without compiling getting slow. It finds ranges, goes page by page where there are none, and the fault. Atomics and buffers whose lanes are
 * not in their range are left to the interpreter, which has stored nothing then.
 *
 * Stores are made in the order of lanes, as the interpreter's are: scatters of the host have it, too.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift_mem.h"

#define K64(v) vconst64(l, v)

#define MAX_SPREADS 32

/* False: the kernel has enough of them inline. They are much code, and compiling takes more than in proportion. */
static bool may_spread(struct lift *l, unsigned dwords)
{
	if (l->spreads + dwords > (l->width == 16 ? MAX_SPREADS : MAX_SPREADS / 2))
		return false;
	l->spreads += dwords;
	return true;
}

/* Of an instruction. Kernels begin at different ranges, and take one after the other; the number has to be the same each time the kernel is compiled. */
unsigned range_slot(struct lift *l, const struct jit_inst *ji)
{
	if (!l->slots)
		for (uint32_t i = 0; i < l->code->num_ranges; i++)
			for (uint32_t k = 0; k < l->code->range[i].size; k++)
				l->first_slot = (l->first_slot ^ l->code->range[i].bytes[k]) * 0x01000193;
	if (l->slot_of != ji)
		l->slots++;
	l->slot_of = ji;
	return ((l->first_slot >> 16) + l->slots) % MEM_RANGES;
}

void read_range(struct lift *l, unsigned slot, unsigned bytes, uint32_t prot, struct range_values *r)
{
	size_t where = offsetof(struct mem_view, range) + slot * sizeof(struct mem_range);
	V size = load_field(l, l->view, where + offsetof(struct mem_range, size), l->i64);
	V have = load_field(l, l->view, where + offsetof(struct mem_range, prot), l->i32);

	r->first = load_field(l, l->view, where + offsetof(struct mem_range, first), l->i64);
	r->limit = LLVMBuildSub(l->b, size, c64(l, bytes), "");
	r->host = load_field(l, l->view, where + offsetof(struct mem_range, host), l->ptr);
	r->fits = AND(IS(UGE, size, c64(l, bytes)), IS(EQ, AND(have, c32(l, prot)), c32(l, prot)));
}

void find_room(struct lift *l, struct range_values *r)
{
	r->room = LLVMBuildSelect(l->b, r->fits, ADD(r->limit, c64(l, 1)), c64(l, 0), "");
}

V look_for_range(struct lift *l, V va, V slot, uint32_t prot)
{
	LLVMTypeRef params[4] = {l->ptr, l->i64, l->i32, l->i32};
	V fn = load_field(l, l->frame, offsetof(struct jit_frame, range), l->ptr), args[4] = {l->ctx, va, slot, c32(l, prot)};

	return IS(NE, LLVMBuildCall2(l->b, LLVMFunctionType(l->i32, params, 4, 0), fn, args, 4, ""), c32(l, 0));
}

V first_of_mask(struct lift *l, V mask64)
{
	V args[2] = {mask64, LLVMConstInt(l->i1, 1, 0)};

	return intrinsic(l, "llvm.cttz", &l->i64, 1, args, 2);
}

/* LLVM 19 does not end when it takes vectors of bits apart that it has just seen put together, so they are integers between. */
static V opaque_bits(struct lift *l, V bits)
{
	LLVMTypeRef t = LLVMTypeOf(bits), fn = LLVMFunctionType(t, &t, 1, 0);
	V code = LLVMGetInlineAsm(fn, "", 0, "=r,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0);

	return LLVMBuildCall2(l->b, fn, code, &bits, 1, "");
}

static V exec_bits(struct lift *l, unsigned strip)
{
	return LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, get_exec(l), c64(l, strip * l->width), ""), LLVMIntTypeInContext(l->c, l->width), "");
}

/* The lanes that take part; NULL: all. */
static void take_part(struct lift *l, struct spread *x, unsigned strip, V bits)
{
	x->bits[strip] = bits ? opaque_bits(l, bits) : NULL;
	x->mask[strip] = bits ? LLVMBuildBitCast(l->b, x->bits[strip], l->vi1, "") : NULL;
}

static void spread_of(struct lift *l, const struct isa_inst *in, V *lo, V *hi, V base, struct spread *x)
{
	if (base)
		base = splat(l, ADD(base, c64(l, (uint64_t)(int64_t)in->offset)));
	for (unsigned s = 0; s < l->strips; s++) {
		if (base)
			x->va[s] = ADD(LLVMBuildZExt(l->b, lo[s], l->vi64, ""), base);
		else
			x->va[s] = ADD(wide_row(l, lo[s], hi[s]), K64((uint64_t)(int64_t)in->offset));
		take_part(l, x, s, l->reg.now.exec_full ? NULL : exec_bits(l, s));
	}
}

static void branch_unless(struct lift *l, V bad, LLVMBasicBlockRef slow)
{
	LLVMBasicBlockRef go = new_block(l, "");

	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildNot(l->b, bad, ""), go, slow), true);
	go_to(l, go);
}

static V any_of(struct lift *l, V bits)
{
	return IS(NE, bits, LLVMConstNull(LLVMTypeOf(bits)));
}

static V room(struct lift *l, V *slot, unsigned bytes)
{
	if (!*slot) {
		*slot = LLVMBuildArrayAlloca(l->at_entry, l->i8, c32(l, WAVE_LANES * bytes), "");
		LLVMSetAlignment(*slot, 64);
	}
	return *slot;
}

/*
 * All lanes in the instruction's range, or control is at slow. The range is looked for once: it is there around the first lane that was missed then, and where others
 * are still missed they lie in another one.
 */
static void find_range(struct lift *l, const struct jit_inst *ji, struct spread *x, unsigned bytes, unsigned align, uint32_t prot, LLVMBasicBlockRef slow)
{
	LLVMBasicBlockRef again = new_block(l, ""), miss = new_block(l, "miss"), go = new_block(l, ""), from[2] = {LLVMGetInsertBlock(l->b), miss};
	unsigned slot = range_slot(l, ji);
	V in[MAX_STRIPS], all = NULL, bad = NULL, odd = NULL, lowest, found, first_time;
	struct range_values r;

	LLVMBuildBr(l->b, again);
	go_to(l, again);
	first_time = LLVMBuildPhi(l->b, l->i1, "");
	LLVMAddIncoming(first_time, (V[]){LLVMConstInt(l->i1, 1, 0), LLVMConstInt(l->i1, 0, 0)}, from, 2);
	read_range(l, slot, bytes, prot, &r);
	find_room(l, &r);
	x->host = r.host;
	for (unsigned s = 0; s < l->strips; s++) {
		V o = LLVMBuildSub(l->b, x->va[s], splat(l, r.first), "");

		in[s] = bits_of(l, IS(ULT, o, splat(l, r.room)));
		if (x->bits[s])
			in[s] = OR(in[s], LLVMBuildNot(l->b, x->bits[s], ""));
		all = all ? AND(all, in[s]) : in[s];
		x->off[s] = LLVMBuildTrunc(l->b, o, l->vi32, "");
		if (align > 1) {
			V m = bits_of(l, IS(NE, AND(x->off[s], K32(align - 1)), K32(0)));

			m = x->bits[s] ? AND(m, x->bits[s]) : m;
			odd = odd ? OR(odd, m) : m;
		}
	}
	emit_weights(l, LLVMBuildCondBr(l->b, IS(EQ, all, LLVMConstAllOnes(LLVMTypeOf(all))), go, miss), true);
	go_to(l, miss);
	/* The first of the lanes that are not there. */
	for (unsigned s = 0; s < l->strips; s++) {
		V m = LLVMBuildZExt(l->b, LLVMBuildNot(l->b, in[s], ""), l->i64, "");

		m = s ? LLVMBuildShl(l->b, m, c64(l, s * l->width), "") : m;
		bad = bad ? OR(bad, m) : m;
		LLVMSetAlignment(LLVMBuildStore(l->b, x->va[s], at(l, room(l, &l->lane_data, 16), (uint64_t)s * l->width * 8)), 8);
	}
	lowest = first_of_mask(l, LLVMBuildSelect(l->b, IS(EQ, bad, c64(l, 0)), c64(l, 1), bad, ""));
	lowest = indexed(l, l->lane_data, LLVMBuildShl(l->b, lowest, c64(l, 3), ""));
	found = look_for_range(l, LLVMBuildLoad2(l->b, l->i64, lowest, ""), c32(l, slot), prot);
	LLVMBuildCondBr(l->b, AND(first_time, found), again, slow);
	go_to(l, go);
	if (odd)
		branch_unless(l, any_of(l, odd), slow);
}

static V pointers(struct lift *l, const struct spread *x, unsigned strip, unsigned byte)
{
	V off = x->off[strip];

	return LLVMBuildGEP2(l->b, l->i8, at(l, x->host, byte), &off, 1, "");
}

static V mask_of(struct lift *l, const struct spread *x, unsigned strip)
{
	return x->mask[strip] ? x->mask[strip] : LLVMConstAllOnes(l->vi1);
}

static V gather(struct lift *l, LLVMTypeRef t, const struct spread *x, unsigned strip, unsigned byte)
{
	LLVMTypeRef types[2] = {t, vec(l->ptr, l->width)};
	V args[4] = {pointers(l, x, strip, byte), c32(l, 1), mask_of(l, x, strip), LLVMConstNull(t)};

	return intrinsic(l, "llvm.masked.gather", types, 2, args, 4);
}

/* Bytes that a gather looks at: short ones are dwords with something behind. */
static unsigned gathered(const struct access *a)
{
	return a->bytes < 4 && !a->store ? 4 : a->bytes;
}

static void gather_strip(struct lift *l, const struct access *a, const struct spread *x, unsigned strip, V old, V out[4])
{
	unsigned k = 0;

	if (a->bytes < 4) {
		out[0] = placed(l, a->kind, short_value(l, a, gather(l, l->vi32, x, strip, 0)), old);
		return;
	}
	/* A pair is one host access. */
	for (; k + 1 < a->dwords; k += 2) {
		V y = LLVMBuildBitCast(l->b, gather(l, l->vi64, x, strip, 4 * k), vec(l->i32, 2 * l->width), "");

		out[k] = pick(l, y, 0, 2);
		out[k + 1] = pick(l, y, 1, 2);
	}
	if (k < a->dwords)
		out[k] = gather(l, l->vi32, x, strip, 4 * k);
}

/* ------------------------------------------------------------------ lane by lane */

/* The rows, bytes of each lane, and offsets to the stack. */
void lanes_to_stack(struct lift *l, const struct spread *x, V (*rows)[MAX_STRIPS], unsigned n)
{
	V data = room(l, &l->lane_data, 16), offset = room(l, &l->lane_offset, 4);

	for (unsigned s = 0; s < l->strips; s++) {
		V of[4];

		for (unsigned k = 0; k < n; k++)
			of[k] = rows[k][s];
		LLVMSetAlignment(LLVMBuildStore(l->b, interleave(l, of, n), at(l, data, (uint64_t)s * l->width * 4 * n)), 4);
		LLVMSetAlignment(LLVMBuildStore(l->b, x->off[s], at(l, offset, (uint64_t)s * l->width * 4)), 4);
	}
}

void lanes_begin(struct lift *l, const struct spread *x, V mask64, struct lanes *i)
{
	LLVMBasicBlockRef from = LLVMGetInsertBlock(l->b);
	V off;

	i->loop = new_block(l, "lanes");
	i->done = new_block(l, "");
	LLVMBuildCondBr(l->b, IS(NE, mask64, c64(l, 0)), i->loop, i->done);
	go_to(l, i->loop);
	i->left = LLVMBuildPhi(l->b, l->i64, "");
	LLVMAddIncoming(i->left, &mask64, &from, 1);
	i->lane = first_of_mask(l, i->left);
	off = LLVMBuildLoad2(l->b, l->i32, indexed(l, l->lane_offset, LLVMBuildShl(l->b, i->lane, c64(l, 2), "")), "");
	i->host = indexed(l, x->host, LLVMBuildZExt(l->b, off, l->i64, ""));
}

void lanes_end(struct lift *l, struct lanes *i)
{
	V rest = AND(i->left, LLVMBuildSub(l->b, i->left, c64(l, 1), ""));
	LLVMBasicBlockRef from = LLVMGetInsertBlock(l->b);

	LLVMAddIncoming(i->left, &rest, &from, 1);
	LLVMBuildCondBr(l->b, IS(NE, rest, c64(l, 0)), i->loop, i->done);
	go_to(l, i->done);
}

V lanes_data(struct lift *l, const struct lanes *i, unsigned n, unsigned k, LLVMTypeRef t)
{
	V x = LLVMBuildLoad2(l->b, t, at(l, indexed(l, l->lane_data, LLVMBuildMul(l->b, i->lane, c64(l, 4 * n), "")), 4 * k), "");

	LLVMSetAlignment(x, 4);
	return x;
}

void lanes_result(struct lift *l, const struct lanes *i, unsigned n, V result)
{
	LLVMSetAlignment(LLVMBuildStore(l->b, result, indexed(l, room(l, &l->lane_old, 8), LLVMBuildMul(l->b, i->lane, c64(l, 4 * n), ""))), 4);
}

void lanes_results(struct lift *l, unsigned n, V (*rows)[MAX_STRIPS])
{
	for (unsigned s = 0; s < l->strips; s++) {
		V v = LLVMBuildLoad2(l->b, vec(l->i32, l->width * n), at(l, room(l, &l->lane_old, 8), (uint64_t)s * l->width * 4 * n), "");

		LLVMSetAlignment(v, 4);
		for (unsigned k = 0; k < n; k++)
			rows[k][s] = n > 1 ? pick(l, v, k, n) : v;
	}
}

void lanes_take(struct lift *l, struct spread *x, unsigned strip, V mask)
{
	take_part(l, x, strip, mask ? bits_of(l, mask) : NULL);
}

V lanes_of(struct lift *l, const struct spread *x)
{
	V all = NULL;

	for (unsigned s = 0; s < l->strips; s++) {
		V m = LLVMBuildZExt(l->b, x->bits[s] ? x->bits[s] : LLVMConstAllOnes(LLVMIntTypeInContext(l->c, l->width)), l->i64, "");

		m = s ? LLVMBuildShl(l->b, m, c64(l, s * l->width), "") : m;
		all = all ? OR(all, m) : m;
	}
	return all;
}

static void scatter_wave(struct lift *l, const struct access *a, const struct spread *x, V (*rows)[MAX_STRIPS])
{
	unsigned n = a->dwords, k = 0;
	struct lanes i;
	V v;

	/* Without AVX-512 there are no scatters. */
	if (l->width == 16 && (a->bytes == 4 || a->bytes == 8)) {
		for (unsigned s = 0; s < l->strips; s++) {
			V of[2] = {rows[0][s], n > 1 ? rows[1][s] : NULL}, args[4];
			LLVMTypeRef types[2] = {n > 1 ? l->vi64 : l->vi32, vec(l->ptr, l->width)};

			args[0] = n > 1 ? LLVMBuildBitCast(l->b, interleave(l, of, 2), l->vi64, "") : of[0];
			args[1] = pointers(l, x, s, 0);
			args[2] = c32(l, 1);
			args[3] = mask_of(l, x, s);
			intrinsic(l, "llvm.masked.scatter", types, 2, args, 4);
		}
		return;
	}
	lanes_to_stack(l, x, rows, n);
	lanes_begin(l, x, lanes_of(l, x), &i);
	if (a->bytes < 4) {
		v = lanes_data(l, &i, n, 0, l->i32);
		if (a->kind == VM_U8_HI || a->kind == VM_16_HI)
			v = LLVMBuildLShr(l->b, v, c32(l, 16), "");
		volatile_store(l, LLVMBuildTrunc(l->b, v, a->bytes == 1 ? l->i8 : l->i16, ""), i.host, 1);
	}
	for (; a->bytes >= 4 && k + 1 < n; k += 2)
		volatile_store(l, lanes_data(l, &i, n, k, l->i64), at(l, i.host, 4 * k), 1);
	if (a->bytes >= 4 && k < n)
		volatile_store(l, lanes_data(l, &i, n, k, l->i32), at(l, i.host, 4 * k), 1);
	lanes_end(l, &i);
}

/* ------------------------------------------------------------------ loads and stores anywhere */

/* The function for all such accesses, of the lanes in mask64; rows: what it stores, or what short loads keep. The rows loaded are in l->spread_room. */
static void call_spread(struct lift *l, const struct jit_inst *ji, const struct access *a, V *lo, V *hi, V add, V mask64, V (*rows)[MAX_STRIPS])
{
	LLVMTypeRef params[6] = {l->ptr, l->ptr, l->ptr, l->ptr, l->i64, l->i32};
	LLVMBasicBlockRef out = new_block(l, "leave"), go = new_block(l, "");
	V index = c64(l, (uint64_t)(ji - l->code->inst) * sizeof(*ji)), fn, ret, args[6];

	if (!l->spread_room) {
		l->spread_room = LLVMBuildArrayAlloca(l->at_entry, l->i8, c32(l, sizeof(struct vmem_spread)), "");
		LLVMSetAlignment(l->spread_room, 64);
	}
	for (unsigned s = 0; s < l->strips; s++) {
		size_t at_lane = s * l->width * sizeof(uint32_t);

		store_field(l, l->spread_room, offsetof(struct vmem_spread, lo) + at_lane, lo[s]);
		if (hi)
			store_field(l, l->spread_room, offsetof(struct vmem_spread, hi) + at_lane, hi[s]);
		for (unsigned k = 0; k < a->dwords; k++)
			if (a->store || needs_old(l, a->kind))
				store_field(l, l->spread_room, offsetof(struct vmem_spread, data) + k * WAVE_LANES * sizeof(uint32_t) + at_lane, rows[k][s]);
	}
	store_field(l, l->spread_room, offsetof(struct vmem_spread, add), add);
	fn = load_field(l, l->frame, a->store ? offsetof(struct jit_frame, store) : offsetof(struct jit_frame, load), l->ptr);
	args[0] = l->ctx;
	args[1] = l->wave;
	args[2] = load_field(l, l->frame, offsetof(struct jit_frame, inst), l->ptr);
	args[2] = LLVMBuildInBoundsGEP2(l->b, l->i8, args[2], &index, 1, "");
	args[3] = l->spread_room;
	args[4] = mask64;
	args[5] = c32(l, SPREAD_OF(a->kind, range_slot(l, ji)) | (hi ? SPREAD_WIDE : 0));
	ret = LLVMBuildCall2(l->b, LLVMFunctionType(l->i32, params, 6, 0), fn, args, 6, "");
	emit_weights(l, LLVMBuildCondBr(l->b, IS(NE, ret, c32(l, 0)), out, go), false);
	go_to(l, out);
	emit_mfma_later(l);
	emit_leave_for_pages(l, ji, ret);
	leave_function(l);
	go_to(l, go);
}

static V spread_row(struct lift *l, unsigned k, unsigned strip)
{
	return load_field(l, l->spread_room, offsetof(struct vmem_spread, data) + (k * WAVE_LANES + strip * l->width) * sizeof(uint32_t), l->vi32);
}

/* All active lanes are in the access's range, or control is at slow: off from host. add is as in struct vmem_spread; hi: NULL, or what makes addresses wide. */
static void near_range(struct lift *l, const struct jit_inst *ji, unsigned bytes, uint32_t prot, V *lo, V *hi, V add, struct spread *x,
		       LLVMBasicBlockRef slow)
{
	V last, ok, bad = NULL, low, begin, high = NULL;
	LLVMBasicBlockRef go = new_block(l, "");
	struct range_values r;

	read_range(l, range_slot(l, ji), bytes, prot, &r);
	x->host = r.host;
	ok = r.fits;
	last = r.limit;
	begin = LLVMBuildSub(l->b, r.first, add, ""); /* in terms of the registers */
	low = LLVMBuildTrunc(l->b, begin, l->i32, "");
	if (hi) {
		V room_above = LLVMBuildNot(l->b, low, "");

		high = splat(l, LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, begin, c64(l, 32), ""), l->i32, ""));
		last = LLVMBuildTrunc(l->b, last, l->i32, "");
		last = LLVMBuildSelect(l->b, IS(ULT, last, room_above), last, room_above, "");
		low = splat(l, low);
	} else {
		/* The range begins at or before what is added: offsets are lo + (add - first). */
		V skip = LLVMBuildNeg(l->b, begin, "");

		ok = AND(ok, IS(ULE, skip, last));
		last = LLVMBuildTrunc(l->b, LLVMBuildSub(l->b, last, skip, ""), l->i32, "");
		x->host = indexed(l, x->host, LLVMBuildSelect(l->b, ok, skip, c64(l, 0), ""));
		low = NULL;
	}
	last = splat(l, last);
	for (unsigned s = 0; s < l->strips; s++) {
		V in;

		take_part(l, x, s, l->reg.now.exec_full ? NULL : exec_bits(l, s));
		x->off[s] = low ? LLVMBuildSub(l->b, lo[s], low, "") : lo[s];
		in = bits_of(l, IS(ULE, x->off[s], last));
		if (hi)
			in = AND(in, bits_of(l, IS(EQ, hi[s], high)));
		in = LLVMBuildNot(l->b, in, "");
		in = x->bits[s] ? AND(in, x->bits[s]) : in;
		bad = bad ? OR(bad, in) : in;
	}
	emit_weights(l, LLVMBuildCondBr(l->b, AND(IS(EQ, bad, LLVMConstNull(LLVMTypeOf(bad))), ok), go, slow), true);
	go_to(l, go);
}

void any_load(struct lift *l, const struct jit_inst *ji, const struct access *a, V *lo, V *hi, V base, V (*old)[MAX_STRIPS], V (*got)[MAX_STRIPS])
{
	V add = c64(l, (uint64_t)(int64_t)ji->ci.inst.offset), out[4], far[4][MAX_STRIPS];
	LLVMBasicBlockRef slow = NULL, join = NULL, from[2] = {0};
	bool near = a->bytes >= 4 && a->dwords <= 2 && may_spread(l, a->dwords);
	struct spread x;

	if (base)
		add = ADD(base, add);
	if (near) {
		slow = new_block(l, "spread");
		join = new_block(l, "");
		near_range(l, ji, a->bytes, GPU_PROT_READ, lo, hi, add, &x, slow);
		for (unsigned s = 0; s < l->strips; s++) {
			LLVMBasicBlockRef before = LLVMGetInsertBlock(l->b), some = NULL, next = NULL;

			if (x.bits[s]) {
				some = new_block(l, "");
				next = new_block(l, "");
				LLVMBuildCondBr(l->b, any_of(l, x.bits[s]), some, next);
				go_to(l, some);
			}
			gather_strip(l, a, &x, s, NULL, out);
			if (x.bits[s]) {
				LLVMBuildBr(l->b, next);
				go_to(l, next);
			}
			for (unsigned k = 0; k < a->dwords; k++)
				got[k][s] = x.bits[s] ? phi2(l, out[k], some, K32(0), before) : out[k];
		}
		from[0] = LLVMGetInsertBlock(l->b);
		LLVMBuildBr(l->b, join);
		go_to(l, slow);
	}
	call_spread(l, ji, a, lo, hi, add, get_exec(l), old);
	for (unsigned k = 0; k < a->dwords; k++)
		for (unsigned s = 0; s < l->strips; s++)
			far[k][s] = spread_row(l, k, s);
	if (!near) {
		memcpy(got, far, a->dwords * sizeof(*got));
		return;
	}
	from[1] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned k = 0; k < a->dwords; k++)
		for (unsigned s = 0; s < l->strips; s++)
			got[k][s] = phi2(l, got[k][s], from[0], far[k][s], from[1]);
}

void any_store(struct lift *l, const struct jit_inst *ji, const struct access *a, V *lo, V *hi, V base, V (*rows)[MAX_STRIPS])
{
	V add = c64(l, (uint64_t)(int64_t)ji->ci.inst.offset);

	call_spread(l, ji, a, lo, hi, base ? ADD(base, add) : add, get_exec(l), rows);
}

/* ------------------------------------------------------------------ FLAT and GLOBAL */

/* Some lane is in an aperture. */
static V in_apertures(struct lift *l, V *hi)
{
	V wg = load_field(l, l->wave, offsetof(struct wave, wg), l->ptr), any = NULL, high[2];

	high[0] = LLVMBuildLShr(l->b, load_field(l, wg, offsetof(struct workgroup, shared_base), l->i64), c64(l, 32), "");
	high[1] = LLVMBuildLShr(l->b, load_field(l, wg, offsetof(struct workgroup, private_base), l->i64), c64(l, 32), "");
	for (unsigned k = 0; k < 2; k++)
		for (unsigned s = 0; s < l->strips; s++) {
			V m = bits_of(l, IS(EQ, hi[s], splat(l, LLVMBuildTrunc(l->b, high[k], l->i32, ""))));

			any = any ? OR(any, m) : m;
		}
	return any_of(l, any);
}

/* What an access reads of registers, read before the ways part. */
static void read_address(struct lift *l, const struct isa_inst *in, V *lo, V *hi, V *base)
{
	bool saddr = in->src[2].kind != ISA_OPND_NONE;

	for (unsigned s = 0; s < l->strips; s++) {
		lo[s] = opaque(l, get_v(l, in->src[0].index, s));
		hi[s] = saddr ? NULL : opaque(l, get_v(l, in->src[0].index + 1, s));
	}
	*base = saddr ? get_s64(l, in->src[2].index) : NULL;
}

struct ways { /* the lanes in a range, or the interpreter */
	LLVMBasicBlockRef slow, join, from;
};

static void ways_begin(struct lift *l, struct ways *w)
{
	w->slow = new_block(l, "slow");
	w->join = new_block(l, "");
}

/* Ends the fast way; the builder is in the slow one, behind the interpreter. */
static void ways_step(struct lift *l, const struct jit_inst *ji, struct ways *w)
{
	w->from = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, w->join);
	go_to(l, w->slow);
	emit_step_call(l, ji);
}

/* Ends it all, with rows that the fast way has as got. */
static void ways_end(struct lift *l, struct ways *w, unsigned row, unsigned n, V (*got)[MAX_STRIPS])
{
	V step[4][MAX_STRIPS];
	LLVMBasicBlockRef from;

	for (unsigned k = 0; k < n; k++)
		for (unsigned s = 0; s < l->strips; s++)
			step[k][s] = load_wave_row(l, row + k, s);
	from = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, w->join);
	go_to(l, w->join);
	for (unsigned k = 0; k < n; k++)
		for (unsigned s = 0; s < l->strips; s++)
			got[k][s] = phi2(l, got[k][s], w->from, step[k][s], from);
}

static void read_rows(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row, V (*old)[MAX_STRIPS])
{
	bool keep = !l->reg.now.exec_full && !ji->quiet;

	touch_step(l, ji);
	get_exec(l);
	for (unsigned k = 0; k < a->dwords; k++)
		for (unsigned s = 0; s < l->strips; s++)
			old[k][s] = a->store || keep || needs_old(l, a->kind) ? get_v(l, row + k, s) : K32(0);
}

/* Dwords at odd addresses may overlap partly, across pages in an order that only the interpreter has. */
static unsigned aligned_to(const struct access *a)
{
	return a->store && a->bytes == 4 ? 4 : 1;
}

void lift_spread(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row)
{
	const struct isa_inst *in = &ji->ci.inst;
	V lo[MAX_STRIPS], hi[MAX_STRIPS], base, old[4][MAX_STRIPS], got[4][MAX_STRIPS];
	struct ways w;

	read_rows(l, ji, a, row, old);
	read_address(l, in, lo, hi, &base);
	if (in->format == ISA_FMT_FLAT) {
		ways_begin(l, &w);
		branch_unless(l, in_apertures(l, hi), w.slow);
	}
	if (a->store)
		any_store(l, ji, a, lo, base ? NULL : hi, base, old);
	else
		any_load(l, ji, a, lo, base ? NULL : hi, base, old, got);
	if (in->format == ISA_FMT_FLAT) {
		ways_step(l, ji, &w);
		ways_end(l, &w, row, a->store ? 0 : a->dwords, got);
	}
	if (!a->store)
		set_loaded(l, ji, a, row, got, old);
}

/* ------------------------------------------------------------------ atomics */

/* LLVM's name of an operation; -1: there is none. */
static int atomic_op(const struct lift *l, enum atomic_kind kind)
{
	switch (kind) {
	case AT_SWAP:
		return LLVMAtomicRMWBinOpXchg;
	case AT_ADD:
		return LLVMAtomicRMWBinOpAdd;
	case AT_SUB:
		return LLVMAtomicRMWBinOpSub;
	case AT_SMIN:
		return LLVMAtomicRMWBinOpMin;
	case AT_UMIN:
		return LLVMAtomicRMWBinOpUMin;
	case AT_SMAX:
		return LLVMAtomicRMWBinOpMax;
	case AT_UMAX:
		return LLVMAtomicRMWBinOpUMax;
	case AT_AND:
		return LLVMAtomicRMWBinOpAnd;
	case AT_OR:
		return LLVMAtomicRMWBinOpOr;
	case AT_XOR:
		return LLVMAtomicRMWBinOpXor;
	case AT_INC:
		return LLVMAtomicRMWBinOpUIncWrap;
	case AT_DEC:
		return LLVMAtomicRMWBinOpUDecWrap;
	case AT_FADD: /* of two NaNs the host chooses one */
		return l->exact ? -1 : LLVMAtomicRMWBinOpFAdd;
	default:
		return -1;
	}
}

/* An atomic of lanes anywhere. */
struct lane_atomic {
	struct atomic a;
	int op;
	struct access of;	 /* its bytes */
	unsigned data, per_lane; /* register, dwords a lane */
	int dst;		 /* the register that gets what was there; -1: none */
	V rows[4][MAX_STRIPS], old[4][MAX_STRIPS], got[4][MAX_STRIPS];
};

static bool find_atomic(struct lift *l, const struct isa_inst *in, struct lane_atomic *o)
{
	const struct isa_operand *data = &in->src[1], *dst = in->glc && in->dst[0].kind != ISA_OPND_NONE ? &in->dst[0] : NULL;
	unsigned n;

	if (!atomic_access(in->op, &o->a))
		return false;
	n = o->a.dwords;
	o->op = atomic_op(l, o->a.kind);
	o->of = (struct access){.kind = VM_X1 + n - 1, .bytes = 4 * n, .dwords = n};
	o->data = data->index;
	o->per_lane = o->a.kind == AT_CMPSWAP ? 2 * n : n;
	o->dst = dst ? dst->index : -1;
	return (o->op >= 0 || o->a.kind == AT_CMPSWAP) && data->kind == ISA_OPND_VGPR && data->index + o->per_lane <= 256 &&
	       !(dst && (dst->kind != ISA_OPND_VGPR || dst->index + n > 256));
}

/* What it reads of registers, but addresses. */
static void read_atomic(struct lift *l, const struct jit_inst *ji, struct lane_atomic *o)
{
	if (o->dst >= 0)
		read_rows(l, ji, &o->of, (unsigned)o->dst, o->old);
	else
		touch_step(l, ji);
	get_exec(l);
	for (unsigned k = 0; k < o->per_lane; k++)
		for (unsigned s = 0; s < l->strips; s++)
			o->rows[k][s] = get_v(l, o->data + k, s);
}

/* Lane by lane, of those that take part. */
static void atomic_lanes(struct lift *l, const struct spread *x, struct lane_atomic *o)
{
	unsigned n = o->a.dwords;
	LLVMTypeRef t = n == 2 ? l->i64 : l->i32;
	struct lanes i;
	V value, result;

	lanes_to_stack(l, x, o->rows, o->per_lane);
	lanes_begin(l, x, lanes_of(l, x), &i);
	if (o->a.kind == AT_CMPSWAP) {
		result = LLVMBuildAtomicCmpXchg(l->b, i.host, lanes_data(l, &i, o->per_lane, n, t), lanes_data(l, &i, o->per_lane, 0, t),
						LLVMAtomicOrderingSequentiallyConsistent, LLVMAtomicOrderingSequentiallyConsistent, 0);
		result = LLVMBuildExtractValue(l->b, result, 0, "");
	} else {
		value = lanes_data(l, &i, n, 0, o->a.kind != AT_FADD ? t : n == 2 ? l->f64 : l->f32);
		result = LLVMBuildAtomicRMW(l->b, (LLVMAtomicRMWBinOp)o->op, i.host, value, LLVMAtomicOrderingSequentiallyConsistent, 0);
		result = LLVMBuildBitCast(l->b, result, t, "");
	}
	if (o->dst >= 0)
		lanes_result(l, &i, n, result);
	lanes_end(l, &i);
	if (o->dst >= 0)
		lanes_results(l, n, o->got);
}

static void end_atomic(struct lift *l, const struct jit_inst *ji, struct ways *w, struct lane_atomic *o)
{
	ways_step(l, ji, w);
	ways_end(l, w, o->dst >= 0 ? (unsigned)o->dst : 0, o->dst >= 0 ? o->a.dwords : 0, o->got);
	if (o->dst >= 0)
		set_loaded(l, ji, &o->of, (unsigned)o->dst, o->got, o->old);
}

bool lift_atomic(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	bool saddr = in->src[2].kind != ISA_OPND_NONE;
	V lo[MAX_STRIPS], hi[MAX_STRIPS], base;
	struct lane_atomic o;
	struct spread x;
	struct ways w;

	if ((in->format != ISA_FMT_GLOBAL && in->format != ISA_FMT_FLAT) || !find_atomic(l, in, &o) || in->src[0].kind != ISA_OPND_VGPR ||
	    in->src[0].index + !saddr > 255 || (saddr && in->src[2].kind != ISA_OPND_SGPR) || !may_spread(l, o.a.dwords))
		return false;
	read_atomic(l, ji, &o);
	read_address(l, in, lo, hi, &base);
	ways_begin(l, &w);
	spread_of(l, in, lo, hi, base, &x);
	if (in->format == ISA_FMT_FLAT)
		branch_unless(l, in_apertures(l, hi), w.slow);
	find_range(l, ji, &x, o.of.bytes, o.of.bytes, GPU_PROT_READ | GPU_PROT_WRITE, w.slow);
	atomic_lanes(l, &x, &o);
	end_atomic(l, ji, &w, &o);
	return true;
}

/* ------------------------------------------------------------------ buffers */

/* The strip's lanes all take part, one behind the other. */
static V in_a_row(struct lift *l, const struct access *a, const struct spread *x, unsigned strip)
{
	V off = opaque(l, x->off[strip]), ok = IS(EQ, off, ADD(splat(l, lane0(l, off)), iota(l, 0, a->bytes)));

	ok = bits_of(l, ok);
	ok = x->bits[strip] ? AND(ok, x->bits[strip]) : ok;
	return IS(EQ, ok, LLVMConstAllOnes(LLVMTypeOf(ok)));
}

static void buffer_load_strip(struct lift *l, const struct access *a, const struct spread *x, unsigned s, V old, V out[4])
{
	LLVMBasicBlockRef row, many, join, from[2];
	unsigned n = a->dwords;
	V v, got[4], off;

	if (a->bytes < 4) {
		gather_strip(l, a, x, s, old, out);
		return;
	}
	row = new_block(l, "row");
	many = new_block(l, "");
	join = new_block(l, "");
	LLVMBuildCondBr(l->b, in_a_row(l, a, x, s), row, many);
	go_to(l, row);
	off = LLVMBuildZExt(l->b, lane0(l, x->off[s]), l->i64, "");
	v = volatile_load(l, vec(l->i32, l->width * n), indexed(l, x->host, off), 1);
	for (unsigned k = 0; k < n; k++)
		got[k] = n > 1 ? pick(l, v, k, n) : v;
	from[0] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, many);
	gather_strip(l, a, x, s, old, out);
	from[1] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned k = 0; k < n; k++)
		out[k] = phi2(l, got[k], from[0], out[k], from[1]);
}

/* What a buffer instruction reads of registers, but data. */
struct buffer_operands {
	V address[2][MAX_STRIPS], resource[4], soffset;
};

/* False: nothing emitted but soffset. */
static bool find_operands(struct lift *l, const struct isa_inst *in, struct buffer_operands *b)
{
	unsigned addresses = in->offen + in->idxen;

	if (in->format != ISA_FMT_MUBUF || in->lds || in->tfe || in->src[2].kind != ISA_OPND_SGPR || in->src[2].index + 4 > SGPR_VCC ||
	    (addresses && (in->src[0].kind != ISA_OPND_VGPR || in->src[0].index + addresses > 256)))
		return false;
	b->soffset = in->src[3].kind != ISA_OPND_NONE ? scalar_operand(l, &in->src[3], false) : c32(l, 0);
	return b->soffset;
}

static void read_operands(struct lift *l, const struct isa_inst *in, struct buffer_operands *b)
{
	for (unsigned k = 0; k < (unsigned)in->offen + in->idxen; k++)
		for (unsigned s = 0; s < l->strips; s++)
			b->address[k][s] = opaque(l, get_v(l, in->src[0].index + k, s));
	for (unsigned k = 0; k < 4; k++)
		b->resource[k] = get_s32(l, in->src[2].index + k);
}

/* Addresses, and lanes in range: wholly, or control is at slow (buffer_address() of exec/buffer.c, of linear buffers). */
static void buffer_lanes(struct lift *l, const struct isa_inst *in, const struct access *a, const struct buffer_operands *b, struct spread *x,
			 LLVMBasicBlockRef slow)
{
	const V *resource = b->resource;
	unsigned last = a->bytes < 4 ? a->bytes : 4;
	V stride = AND(LLVMBuildLShr(l->b, resource[1], c32(l, 16), ""), c32(l, 0x3fff)), structured = IS(NE, stride, c32(l, 0));
	V base = OR(LLVMBuildZExt(l->b, resource[0], l->i64, ""),
		    LLVMBuildShl(l->b, LLVMBuildZExt(l->b, AND(resource[1], c32(l, 0xffff)), l->i64, ""), c64(l, 32), ""));
	V records = splat(l, LLVMBuildZExt(l->b, resource[2], l->i64, "")), split = NULL, soffset;

	/* Swizzled, or with lane numbers added. */
	branch_unless(l, OR(IS(SLT, resource[1], c32(l, 0)), IS(NE, AND(resource[3], c32(l, 1 << 23)), c32(l, 0))), slow);
	soffset = LLVMBuildZExt(l->b, b->soffset, l->i64, "");
	base = splat(l, ADD(base, soffset));
	stride = splat(l, LLVMBuildZExt(l->b, stride, l->i64, ""));
	soffset = splat(l, soffset);
	for (unsigned s = 0; s < l->strips; s++) {
		V offset = K64((uint32_t)in->offset), index = NULL, where, some, whole;

		if (in->offen)
			offset = ADD(LLVMBuildZExt(l->b, b->address[in->idxen][s], l->vi64, ""), offset);
		where = offset;
		if (in->idxen) {
			index = LLVMBuildZExt(l->b, b->address[0][s], l->vi64, "");
			where = ADD(LLVMBuildMul(l->b, index, stride, ""), offset);
		}
		some = bits_of(l, IS(ULE, ADD(ADD(where, soffset), K64(last)), records));
		whole = bits_of(l, IS(ULE, ADD(ADD(where, soffset), K64(4 * (a->dwords - 1) + last)), records));
		if (index) {
			V in_range = bits_of(l, IS(ULT, index, records));

			some = LLVMBuildSelect(l->b, structured, in_range, some, "");
			whole = LLVMBuildSelect(l->b, structured, in_range, whole, "");
		}
		if (!l->reg.now.exec_full) {
			some = AND(some, exec_bits(l, s));
			whole = AND(whole, exec_bits(l, s));
		}
		some = AND(some, LLVMBuildNot(l->b, whole, ""));
		split = split ? OR(split, some) : some;
		take_part(l, x, s, whole);
		x->va[s] = ADD(base, where);
	}
	if (a->dwords > 1)
		branch_unless(l, any_of(l, split), slow);
}

bool lift_buffer(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	V old[4][MAX_STRIPS], got[4][MAX_STRIPS], out[4];
	const struct isa_operand *data;
	struct buffer_operands b;
	struct spread x;
	struct access a;
	struct ways w;
	unsigned row;

	if (!plain_access(in->op, &a))
		return false;
	data = a.store ? &in->src[1] : &in->dst[0];
	row = data->index;
	if (data->kind != ISA_OPND_VGPR || row + a.dwords > 256 || !find_operands(l, in, &b) || !may_spread(l, a.dwords))
		return false;
	read_rows(l, ji, &a, row, old);
	read_operands(l, in, &b);
	ways_begin(l, &w);
	buffer_lanes(l, in, &a, &b, &x, w.slow);
	find_range(l, ji, &x, gathered(&a), aligned_to(&a), a.store ? GPU_PROT_WRITE : GPU_PROT_READ, w.slow);
	if (a.store) {
		scatter_wave(l, &a, &x, old);
		say_stored(l);
	}
	for (unsigned s = 0; !a.store && s < l->strips; s++) {
		buffer_load_strip(l, &a, &x, s, old[0][s], out);
		for (unsigned k = 0; k < a.dwords; k++)
			got[k][s] = out[k];
	}
	ways_step(l, ji, &w);
	ways_end(l, &w, row, a.store ? 0 : a.dwords, got);
	if (!a.store)
		set_loaded(l, ji, &a, row, got, old);
	return true;
}

bool lift_buffer_atomic(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct buffer_operands b;
	struct lane_atomic o;
	struct spread x;
	struct ways w;

	if (in->format != ISA_FMT_MUBUF || !find_atomic(l, in, &o) || !find_operands(l, in, &b) || !may_spread(l, o.a.dwords))
		return false;
	read_atomic(l, ji, &o);
	read_operands(l, in, &b);
	ways_begin(l, &w);
	buffer_lanes(l, in, &o.of, &b, &x, w.slow);
	find_range(l, ji, &x, o.of.bytes, o.of.bytes, GPU_PROT_READ | GPU_PROT_WRITE, w.slow);
	atomic_lanes(l, &x, &o);
	for (unsigned k = 0; o.dst >= 0 && k < o.a.dwords; k++)
		for (unsigned s = 0; s < l->strips; s++)
			o.got[k][s] = LLVMBuildSelect(l->b, x.mask[s], o.got[k][s], K32(0), "");
	end_atomic(l, ji, &w, &o);
	return true;
}
