/* SPDX-License-Identifier: MIT */
/*
 * lift_buffer.c - buffer instructions as matrices are read and written by them. Where lanes' differences are known the descriptor and its bounds are looked at
 * once a strip, or a wave; then it is an access of known shape like any other (lift_mem.c). Where they are not, groups of lanes one behind the other
 * are looked for when it runs, and are vectors of the host. Others: lift_gather.c.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift_mem.h"

/* Of the lanes that one root stands for. */
static void range_of(const int32_t *delta, unsigned first, unsigned lanes, int32_t *low, int32_t *high)
{
	*low = *high = delta[first];
	for (unsigned i = first; i < first + lanes; i++) {
		*low = delta[i] < *low ? delta[i] : *low;
		*high = delta[i] > *high ? delta[i] : *high;
	}
}

/* A load or store of plain bytes with an offset in a register. */
struct buffer {
	struct access a;
	unsigned row;
	V base, soffset, records, plain; /* i64; base: with soffset; plain: neither swizzled, nor with lane numbers added */
};

static bool find_buffer(struct lift *l, const struct isa_inst *in, struct buffer *b)
{
	const struct isa_operand *data;
	V resource[4];

	if (in->format != ISA_FMT_MUBUF || !plain_access(in->op, &b->a) || in->lds || in->tfe || in->idxen || !in->offen)
		return false;
	data = b->a.store ? &in->src[1] : &in->dst[0];
	if (data->kind != ISA_OPND_VGPR || data->index + b->a.dwords > 256 || in->src[0].kind != ISA_OPND_VGPR || in->src[2].kind != ISA_OPND_SGPR ||
	    in->src[2].index + 4 > SGPR_VCC)
		return false;
	b->row = data->index;
	b->soffset = in->src[3].kind != ISA_OPND_NONE ? scalar_operand(l, &in->src[3], false) : c32(l, 0);
	if (!b->soffset)
		return false;
	b->soffset = LLVMBuildZExt(l->b, b->soffset, l->i64, "");
	for (unsigned k = 0; k < 4; k++)
		resource[k] = get_s32(l, in->src[2].index + k);
	b->records = LLVMBuildZExt(l->b, resource[2], l->i64, "");
	b->base = OR(LLVMBuildZExt(l->b, resource[0], l->i64, ""),
		     LLVMBuildShl(l->b, LLVMBuildZExt(l->b, AND(resource[1], c32(l, 0xffff)), l->i64, ""), c64(l, 32), ""));
	b->base = ADD(b->base, b->soffset);
	b->plain = AND(IS(SGE, resource[1], c32(l, 0)), IS(EQ, AND(resource[3], c32(l, 1 << 23)), c32(l, 0)));
	return true;
}

/* ------------------------------------------------------------------ known differences */

bool lift_buffer_known(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct lin x = {.kind = LIN_LOW};
	int level = LEVEL_WAVE;
	struct buffer b;
	uint16_t delta;
	V fits;

	if (in->format != ISA_FMT_MUBUF || in->src[0].kind != ISA_OPND_VGPR)
		return false;
	if (!l->at[level].v[in->src[0].index].delta)
		level = LEVEL_STRIP;
	delta = l->at[level].v[in->src[0].index].delta;
	if (!delta || !find_buffer(l, in, &b))
		return false;
	x.level = (uint8_t)level;
	x.delta = l->code->delta[delta - 1];
	fits = b.plain;
	for (unsigned s = 0; s < (level == LEVEL_WAVE ? 1 : l->strips); s++) {
		V root = lin_root(l, in->src[0].index, s), where = LLVMBuildZExt(l->b, root, l->i64, "");
		int32_t low, high;
		uint64_t end;

		range_of(x.delta, level == LEVEL_WAVE ? 0 : s * l->width, level == LEVEL_WAVE ? WAVE_LANES : l->width, &low, &high);
		/* The number of bytes is one of 32 bits, so lanes inside have not wrapped around either. */
		end = (uint64_t)(int64_t)high + (uint32_t)in->offset + b.a.bytes;
		fits = AND(fits, IS(ULE, ADD(ADD(where, b.soffset), c64(l, end)), b.records));
		if (low < 0)
			fits = AND(fits, IS(UGE, root, c32(l, (uint32_t)-low)));
		x.root[s] = ADD(ADD(where, b.base), c64(l, (uint32_t)in->offset));
	}
	return known_access(l, ji, &b.a, b.row, &x, NULL, fits);
}

/* ------------------------------------------------------------------ groups of lanes, seen when it runs */

static V order(struct lift *l, V a, V b, const unsigned *of)
{
	V k[64];

	for (unsigned i = 0; i < l->width; i++)
		k[i] = c32(l, of[i]);
	return LLVMBuildShuffleVector(l->b, a, b, LLVMConstVector(k, l->width), "");
}

/* The first halves of two vectors, or the second ones, as one. */
static V halves(struct lift *l, V a, V b, bool second)
{
	unsigned of[64], h = l->width / 2;

	for (unsigned i = 0; i < h; i++) {
		of[i] = i + second * h;
		of[h + i] = l->width + i + second * h;
	}
	return order(l, a, b, of);
}

/* Dwords k and k + 1 of the lanes that a and b have, n of each lane: half a vector of the one, then of the other. */
static V two_dwords(struct lift *l, V a, V b, unsigned n, unsigned k)
{
	unsigned of[64], h = l->width / 2;

	for (unsigned i = 0; i < h; i++) {
		of[i] = i * n + k;
		of[h + i] = i * n + k + 1;
	}
	return order(l, a, b, of);
}

/* Vectors of memory to rows of registers, and back: n of each, n dwords a lane. */
static void to_rows(struct lift *l, V *z, unsigned n, V *out)
{
	V t[4];

	if (n == 1) {
		out[0] = z[0];
	} else if (n == 2) {
		unsigned of[2][64];

		for (unsigned i = 0; i < l->width; i++) {
			of[0][i] = 2 * i;
			of[1][i] = 2 * i + 1;
		}
		out[0] = order(l, z[0], z[1], of[0]);
		out[1] = order(l, z[0], z[1], of[1]);
	} else {
		for (unsigned i = 0; i < 2; i++) {
			t[i] = two_dwords(l, z[2 * i], z[2 * i + 1], 4, 0);
			t[2 + i] = two_dwords(l, z[2 * i], z[2 * i + 1], 4, 2);
		}
		for (unsigned k = 0; k < 4; k++)
			out[k] = halves(l, t[k & 2], t[(k & 2) + 1], k & 1);
	}
}

static void from_rows(struct lift *l, V *rows, unsigned n, V *z)
{
	unsigned h = l->width / 2;

	if (n == 1) {
		z[0] = rows[0];
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		V p = halves(l, rows[0], rows[1], i), q = n == 4 ? halves(l, rows[2], rows[3], i) : p;

		for (unsigned j = 0; j < n / 2; j++) {
			unsigned of[64];

			for (unsigned e = 0; e < l->width; e++) {
				unsigned lane = j * (l->width / n) + e / n, k = e % n;

				of[e] = (k & 2 ? l->width : 0) + (k & 1 ? h : 0) + lane;
			}
			z[i * (n / 2) + j] = order(l, p, q, of);
		}
	}
}

/* Of each group the lanes have what its first one has. */
static V of_first(struct lift *l, V x, unsigned group)
{
	unsigned of[64];

	for (unsigned i = 0; i < l->width; i++)
		of[i] = i / group * group;
	return order(l, x, x, of);
}

static V smaller(struct lift *l, const char *how, V a, V b)
{
	return intrinsic(l, how, &l->i64, 1, (V[]){a, b}, 2);
}

/*
 * Are all lanes inside the buffer and the range, and of each group one behind the other? Lanes are those offsets that lie between
 * two bounds, compared at once.
 */
static V groups_fit(struct lift *l, const struct isa_inst *in, const struct buffer *b, V address[MAX_STRIPS], V base, const struct range_values *r)
{
	const unsigned n = b->a.dwords, bytes = 4 * n, group = l->width / n;
	V low, high, end, span, ok, all = NULL, step[64];

	for (unsigned i = 0; i < l->width; i++)
		step[i] = c32(l, i % group * bytes);
	low = LLVMBuildSelect(l->b, IS(UGT, r->first, base), LLVMBuildSub(l->b, r->first, base, ""), c64(l, 0), "");
	end = LLVMBuildSub(l->b, ADD(r->first, r->limit), base, "");
	high = LLVMBuildSub(l->b, LLVMBuildSub(l->b, b->records, b->soffset, ""), c64(l, (uint32_t)in->offset + bytes), "");
	high = smaller(l, "llvm.smin", high, end);
	/* No lane of a group wraps around. */
	high = smaller(l, "llvm.smin", high, c64(l, UINT32_MAX - 4 * l->width));
	ok = AND(IS(SGE, high, low), IS(ULE, low, c64(l, UINT32_MAX)));
	span = splat(l, LLVMBuildTrunc(l->b, LLVMBuildSub(l->b, high, low, ""), l->i32, ""));
	low = splat(l, LLVMBuildTrunc(l->b, low, l->i32, ""));
	for (unsigned s = 0; s < l->strips; s++) {
		V fits = IS(ULE, LLVMBuildSub(l->b, address[s], low, ""), span);

		fits = AND(fits, IS(EQ, address[s], ADD(of_first(l, address[s], group), LLVMConstVector(step, l->width))));
		if (b->a.store)
			fits = AND(fits, IS(EQ, AND(address[s], K32(3)), K32(0)));
		all = all ? AND(all, fits) : fits;
	}
	if (b->a.store)
		ok = AND(ok, IS(EQ, AND(base, c64(l, 3)), c64(l, 0)));
	return AND(ok, all_of(l, all));
}

/*
 * How far the buffer's base has come since it was another: in a loop over tiles of a matrix it will be as far the next time, and processors do not see that by
 * themselves where rows are pages apart. All waves of a work-group have the same base in their turns.
 */
static V base_step(struct lift *l, V base)
{
	V last = LLVMBuildAlloca(l->at_entry, l->i64, ""), step = LLVMBuildAlloca(l->at_entry, l->i64, ""), before, d;

	LLVMSetVolatile(LLVMBuildStore(l->at_entry, c64(l, 0), last), true);
	LLVMSetVolatile(LLVMBuildStore(l->at_entry, c64(l, 0), step), true);
	before = LLVMBuildLoad2(l->b, l->i64, last, "");
	/* In memory: it is not worth a register all the way around the loop. */
	LLVMSetVolatile(before, true);
	d = LLVMBuildLoad2(l->b, l->i64, step, "");
	LLVMSetVolatile(d, true);
	d = LLVMBuildSelect(l->b, IS(EQ, before, base), d, LLVMBuildSub(l->b, base, before, ""), "");
	LLVMSetVolatile(LLVMBuildStore(l->b, base, last), true);
	LLVMSetVolatile(LLVMBuildStore(l->b, d, step), true);
	return d;
}

/*
 * Where in the range (to its last byte) lanes have data now, or, if all have it inside, a step further: to be added to their offsets. As in groups_fit() they are
 * compared with two bounds.
 */
static V further(struct lift *l, V address[MAX_STRIPS], V now, V step, V last)
{
	V next = ADD(now, step), most = c64(l, UINT32_MAX), low, high, span, ok, all = NULL;

	ok = IS(ULE, ADD(next, most), ADD(last, most));
	low = intrinsic(l, "llvm.smax", &l->i64, 1, (V[]){LLVMBuildNeg(l->b, next, ""), c64(l, 0)}, 2);
	high = smaller(l, "llvm.smin", LLVMBuildSub(l->b, last, next, ""), most);
	span = splat(l, LLVMBuildTrunc(l->b, LLVMBuildSub(l->b, high, low, ""), l->i32, ""));
	low = splat(l, LLVMBuildTrunc(l->b, low, l->i32, ""));
	for (unsigned s = 0; s < l->strips; s++) {
		V fits = IS(ULE, LLVMBuildSub(l->b, address[s], low, ""), span);

		all = all ? AND(all, fits) : fits;
	}
	return LLVMBuildSelect(l->b, AND(ok, all_of(l, all)), next, now, "");
}

bool lift_buffer_rows(struct lift *l, const struct jit_inst *ji, unsigned least)
{
	const struct isa_inst *in = &ji->ci.inst;
	V address[MAX_STRIPS], rows[MAX_STRIPS][4], step[MAX_STRIPS][4], z[4], base, host, ok, found, ahead = NULL;
	LLVMBasicBlockRef again, miss, fit, slow, join, from[2];
	struct range_values r;
	unsigned n, group, slot;
	struct buffer b;
	uint32_t prot;

	if (!l->reg.now.exec_full || !find_buffer(l, in, &b) || b.a.bytes < 4 || b.a.dwords == 3 || b.a.dwords < least)
		return false;
	n = b.a.dwords;
	group = l->width / n;
	prot = b.a.store ? GPU_PROT_WRITE : GPU_PROT_READ;
	slot = range_slot(l, ji);
	/* What the ways read is read before they part. */
	touch_step(l, ji);
	get_exec(l);
	for (unsigned s = 0; s < l->strips; s++) {
		address[s] = opaque(l, get_v(l, in->src[0].index, s));
		for (unsigned k = 0; b.a.store && k < n; k++)
			rows[s][k] = get_v(l, b.row + k, s);
	}
	base = ADD(b.base, c64(l, (uint32_t)in->offset));
	again = new_block(l, "");
	miss = new_block(l, "miss");
	fit = new_block(l, "");
	slow = new_block(l, "slow");
	join = new_block(l, "");
	LLVMBuildBr(l->b, again);
	go_to(l, again);
	read_range(l, slot, 4 * n, prot, &r);
	ok = AND(AND(b.plain, r.fits), groups_fit(l, in, &b, address, base, &r));
	emit_weights(l, LLVMBuildCondBr(l->b, ok, fit, miss), true);
	go_to(l, miss);
	found = look_for_range(l, ADD(base, LLVMBuildZExt(l->b, lane0(l, address[0]), l->i64, "")), c32(l, slot), prot);
	LLVMBuildCondBr(l->b, found, again, slow);
	go_to(l, fit);
	if (!b.a.store && l->blk->in_sync)
		ahead = base_step(l, base);
	base = LLVMBuildSub(l->b, base, r.first, "");
	if (ahead)
		ahead = indexed(l, r.host, further(l, address, base, ahead, ADD(r.limit, c64(l, 4 * n - 1))));
	host = indexed(l, r.host, base);
	for (unsigned s = 0; s < l->strips; s++) {
		if (b.a.store)
			from_rows(l, rows[s], n, z);
		for (unsigned g = 0; g < n; g++) {
			V off = LLVMBuildZExt(l->b, LLVMBuildExtractElement(l->b, address[s], c32(l, g * group), ""), l->i64, "");
			V p = indexed(l, host, off);

			if (b.a.store)
				volatile_store(l, z[g], p, 4);
			else
				z[g] = volatile_load(l, l->vi32, p, 1);
			if (ahead)
				prefetch(l, indexed(l, ahead, off), 2); /* other waves are next */
		}
		if (!b.a.store)
			to_rows(l, z, n, rows[s]);
	}
	if (b.a.store)
		say_stored(l);
	from[0] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, slow);
	emit_step_call(l, ji);
	for (unsigned s = 0; !b.a.store && s < l->strips; s++)
		for (unsigned k = 0; k < n; k++)
			step[s][k] = load_wave_row(l, b.row + k, s);
	from[1] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned s = 0; !b.a.store && s < l->strips; s++)
		for (unsigned k = 0; k < n; k++)
			step[s][k] = phi2(l, rows[s][k], from[0], step[s][k], from[1]);
	for (unsigned s = 0; !b.a.store && s < l->strips; s++)
		for (unsigned k = 0; k < n; k++)
			set_v(l, b.row + k, s, step[s][k]); /* which may store it */
	return true;
}
