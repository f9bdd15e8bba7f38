/* SPDX-License-Identifier: MIT */
/*
 * lift_known.c - accesses of guest memory whose lanes' differences are known when the kernel is compiled: one look-up for the wave, or one a strip, and moves as
 * wide as lanes lie next to each other. Loads of rows join the queue: only where they lie is found out at once.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift_mem.h"

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

static LLVMTypeRef short_type(struct lift *l, unsigned bytes)
{
	return bytes == 1 ? l->i8 : l->i16;
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

static V load_lane(struct lift *l, V p, int32_t d, unsigned n, bool guest)
{
	V x = LLVMBuildLoad2(l->b, LLVMVectorType(l->i32, n), at(l, p, (uint64_t)(int64_t)d), "");

	LLVMSetVolatile(x, guest);
	LLVMSetAlignment(x, 1);
	return x;
}

V concatenated(struct lift *l, V *part, unsigned parts, unsigned size)
{
	V order[256];

	for (; parts > 1; parts /= 2) {
		size *= 2;
		for (unsigned i = 0; i < size; i++)
			order[i] = c32(l, i);
		for (unsigned i = 0; i < parts / 2; i++)
			part[i] = LLVMBuildShuffleVector(l->b, part[2 * i], part[2 * i + 1], LLVMConstVector(order, size), "");
	}
	return part[0];
}

/* Four dwords of each lane: of half the strip the lanes of even and of odd number make two vectors, whose elements in turns are the pairs. */
static void read_fours(struct lift *l, V p, const int32_t *d, bool guest, V out[4], V pairs[2])
{
	unsigned w = l->width / 2;
	V part[64], order[64], half[2][2], x[2];

	for (unsigned h = 0; h < 2; h++) {
		for (unsigned odd = 0; odd < 2; odd++) {
			for (unsigned i = 0; i < w / 2; i++)
				part[i] = load_lane(l, p, d[h * w + 2 * i + odd], 4, guest);
			x[odd] = LLVMBuildBitCast(l->b, concatenated(l, part, w / 2, 4), LLVMVectorType(l->i64, w), "");
		}
		for (unsigned k = 0; k < 2; k++) {
			for (unsigned i = 0; i < w; i++)
				order[i] = c32(l, (i & 1) * w + (i & ~1u) + k);
			half[k][h] = LLVMBuildShuffleVector(l->b, x[0], x[1], LLVMConstVector(order, w), "");
		}
	}
	for (unsigned i = 0; i < l->width; i++)
		order[i] = c32(l, i);
	for (unsigned k = 0; k < 2; k++) {
		pairs[k] = LLVMBuildShuffleVector(l->b, half[k][0], half[k][1], LLVMConstVector(order, l->width), "");
		for (unsigned i = 0; i < 2; i++)
			out[2 * k + i] = halves_of(l, pairs[k], i);
	}
}

void read_lanes_apart(struct lift *l, V p, const int32_t *d, unsigned n, bool guest, V out[4], V pairs[2])
{
	unsigned of[64], first[64], m = distinct(d, l->width, of, first), parts = 1, size;
	V part[64], order[256], x;

	if (n == 4 && m > 4 && l->width >= 8) {
		read_fours(l, p, d, guest, out, pairs);
		return;
	}
	while (parts < m)
		parts *= 2;
	size = parts * n;
	for (unsigned i = 0; i < parts; i++)
		part[i] = i < m ? load_lane(l, p, d[first[i]], n, guest) : LLVMGetPoison(LLVMVectorType(l->i32, n));
	concatenated(l, part, parts, n);
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

/* The rows of n dwords a lane that lie one behind the other, and pairs where there are two. */
static void take_apart(struct lift *l, V x, unsigned n, V rows[4], V pairs[2])
{
	V wide = n & 1 ? NULL : LLVMBuildBitCast(l->b, x, vec(l->i64, l->width * n / 2), "");

	for (unsigned k = 0; k < n; k++) {
		if (wide && !(k & 1))
			pairs[k / 2] = n > 2 ? pick(l, wide, k / 2, n / 2) : wide;
		rows[k] = wide ? halves_of(l, pairs[k / 2], k & 1) : n > 1 ? pick(l, x, k, n) : x;
	}
}

/* The dwords at one place, by twos (i64, i32). */
static void read_place(struct lift *l, V p, unsigned n, V got[2])
{
	for (unsigned k = 0; k < n; k += 2)
		got[k / 2] = volatile_load(l, k + 1 < n ? l->i64 : l->i32, at(l, p, 4 * k), 1);
}

/* Those for all lanes of a strip: rows, and pairs where there are two. */
static void same_rows(struct lift *l, V got[2], unsigned n, V rows[4], V pairs[2])
{
	for (unsigned k = 0; k < n; k += 2) {
		V x = got[k / 2];

		if (k + 1 == n) {
			rows[k] = splat(l, x);
			continue;
		}
		rows[k] = splat(l, LLVMBuildTrunc(l->b, x, l->i32, ""));
		rows[k + 1] = splat(l, LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, x, c64(l, 32), ""), l->i32, ""));
		pairs[k / 2] = splat(l, x);
	}
}

void read_same(struct lift *l, V p, unsigned n, V rows[4], V pairs[2])
{
	V got[2];

	read_place(l, p, n, got);
	same_rows(l, got, n, rows, pairs);
}

/* The dwords (or the short value) of a strip's lanes, and perhaps pairs of them; p: host address of its first lane's. */
/* Dwords that lie one behind the other. In streams AMD's Zen 4 is a tenth faster by loads of half its vectors: all that one loads is then not one line that is missing. */
static V load_dwords(struct lift *l, V p, unsigned dwords)
{
	V part[8];
	unsigned parts = dwords / 8;

	if (!l->amd || parts < 2 || parts > 8 || parts & (parts - 1) || !l->blk || in_loop(l->code, l->blk))
		return volatile_load(l, vec(l->i32, dwords), p, 1);
	for (unsigned i = 0; i < parts; i++)
		part[i] = volatile_load(l, vec(l->i32, 8), at(l, p, 32 * i), 1);
	return concatenated(l, part, parts, 8);
}

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
		take_apart(l, load_dwords(l, p, l->width * n), n, out, pairs);
		return;
	case LANES_SAME:
		if (a->bytes < 4) {
			out[0] = splat(l, widened(l, a->kind, volatile_load(l, short_type(l, a->bytes), p, 1)));
			return;
		}
		read_same(l, p, n, out, pairs);
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
	for (unsigned k = 0; k < n; k += n & 1 ? 1 : 2) {
		V value = n & 1 ? store_value(l, a, rows[k]) : pairs[k / 2];
		LLVMTypeRef types[2] = {LLVMTypeOf(value), vec(l->ptr, l->width)};
		V args[4] = {value, lane_pointers(l, at(l, p, 4 * k), delta + strip * l->width), c32(l, 1), mask ? mask : all_lanes(l)};

		intrinsic(l, "llvm.masked.scatter", types, 2, args, 4);
	}
}

/* A row's value in the lane whose bit is the only one; NULL: in the last lane. */
static V value_of(struct lift *l, const V row[MAX_STRIPS], V bit)
{
	V any = NULL;

	if (!bit)
		return LLVMBuildExtractElement(l->b, row[l->strips - 1], c32(l, l->width - 1), "");
	for (unsigned s = 0; s < l->strips; s++) {
		V x = LLVMBuildSelect(l->b, mask_strip(l, bit, s), row[s], LLVMConstNull(l->vi32), "");

		any = any ? OR(any, x) : x;
	}
	return intrinsic(l, "llvm.vector.reduce.or", &l->vi32, 1, &any, 1);
}

/* All lanes at one place: one access, as on hardware, of the last active lane's value. */
static void store_once(struct lift *l, const struct access *a, V p, V (*rows)[MAX_STRIPS])
{
	LLVMBasicBlockRef some, done = NULL;
	V bit = NULL, x, y;

	if (!l->reg.now.exec_full) {
		V args[2] = {get_exec(l), LLVMConstInt(l->i1, 1, 0)};

		some = new_block(l, "");
		done = new_block(l, "");
		LLVMBuildCondBr(l->b, IS(NE, args[0], c64(l, 0)), some, done);
		go_to(l, some);
		bit = LLVMBuildLShr(l->b, c64(l, 1ull << 63), intrinsic(l, "llvm.ctlz", &l->i64, 1, args, 2), "");
	}
	for (unsigned k = 0; k < a->dwords; k += 2) {
		x = value_of(l, rows[k], bit);
		if (k + 1 < a->dwords) {
			y = LLVMBuildShl(l->b, LLVMBuildZExt(l->b, value_of(l, rows[k + 1], bit), l->i64, ""), c64(l, 32), "");
			x = OR(y, LLVMBuildZExt(l->b, x, l->i64, ""));
		} else if (a->bytes < 4) {
			if (a->kind == VM_U8_HI || a->kind == VM_16_HI)
				x = LLVMBuildLShr(l->b, x, c32(l, 16), "");
			x = LLVMBuildTrunc(l->b, x, short_type(l, a->bytes), "");
		}
		volatile_store(l, x, at(l, p, 4 * k), 1);
	}
	if (done) {
		LLVMBuildBr(l->b, done);
		go_to(l, done);
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

	if (in->format != first->format || !plain_access(in->op, &a) || !plain_access(first->op, &b) || a.store != b.store ||
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
	struct pieces reads = {0};
	struct further further;
	bool fetches = false;
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
			add_piece(&reads, from_low, to_high);
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
	for (unsigned s = 0; s < all; s++) {
		V va = ADD(base[s], c64(l, (uint64_t)low));

		if (!s)
			fetches = steady_step(l, ji, place, va, &reads, lanes, &further);
		seen->host[s] = translate(l, place, va, (unsigned)(high - low), NULL, fetches ? &further : NULL, &reads, slow);
	}
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
	struct further further;
	bool fetches = false;
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
	for (unsigned s = 0; s < all; s++) {
		V va = lanes_va(l, x, s, e[s].low);
		struct pieces reads = {0};

		add_piece(&reads, 0, e[s].span);
		if (!s)
			fetches = steady_step(l, ji, place, va, &reads, whole ? WAVE_LANES : l->width, &further);
		host[s] = translate(l, place, va, e[s].span, s ? NULL : outside, fetches ? &further : NULL, &reads, slow);
	}
}

/* ------------------------------------------------------------------ stores past the caches */

/* So many lanes at a time lie one behind the other. */
static bool whole_rows(const int32_t *delta, unsigned lanes, const struct access *a)
{
	for (unsigned i = 0; i < WAVE_LANES; i++)
		if (delta[i] - delta[i / lanes * lanes] != (int32_t)(i % lanes * a->bytes))
			return false;
	return a->bytes >= 4;
}

bool may_stream(const struct jit_code *c)
{
	struct access a;

	for (uint32_t i = 0; i < c->num_inst; i++)
		if (c->inst[i].ci.inst.format == ISA_FMT_GLOBAL && plain_access(c->inst[i].ci.inst.op, &a) && a.store && a.bytes >= 4)
			return true;
	return false;
}

/* Where the wave's row is that a load reads, or its first strip's, for past_caches(). */
static void note_row_read(struct lift *l, const struct lin *x, const struct extent *e)
{
	if (l->streams && l->rows_read < MAX_ROWS_READ)
		l->row_read[l->rows_read++] = lanes_va(l, x, 0, e->low);
}

/* past_caches() of a store whose strips are rows, or its wave. */
static V streams_rows(struct lift *l, const struct jit_inst *ji, const struct access *a, const struct lin *x, const struct extent *e, const V host[MAX_STRIPS])
{
	bool wave = x->level == LEVEL_WAVE && whole_rows(x->delta, WAVE_LANES, a);

	if (!l->streams || (!wave && !whole_rows(x->delta, l->width, a)))
		return NULL;
	return past_caches(l, ji, a->bytes, lanes_va(l, x, 0, e->low), host, wave ? 1 : l->strips);
}

bool known_access(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row, const struct lin *x, V base[MAX_STRIPS], V fits)
{
	const int32_t *delta = x->delta;
	unsigned n = a->dwords, prot = a->store ? GPU_PROT_WRITE : GPU_PROT_READ;
	struct extent all = extent_of(delta, 0, WAVE_LANES, a->bytes), e[MAX_STRIPS];
	bool wave = x->level == LEVEL_WAVE && all.span <= mem_near_bytes(MEM_NEAR_CLASSES - 1), keep = !l->reg.now.exec_full && !ji->quiet;
	LLVMBasicBlockRef slow, join, from[2], stream = NULL;
	V host[MAX_STRIPS], got[4][MAX_STRIPS], old[4][MAX_STRIPS], pairs[MAX_STRIPS][2], wide[MAX_STRIPS][2], step[4][MAX_STRIPS], out[MAX_STRIPS][4], past;
	unsigned twin;
	bool once;

	for (unsigned s = 0; s < l->strips; s++) {
		e[s] = extent_of(delta, s * l->width, l->width, a->bytes);
		if (e[s].span > mem_near_bytes(MEM_NEAR_CLASSES - 1))
			return false;
	}
	once = wave && all.span == a->bytes;
	if (a->store && !once && overlap(delta, a->bytes))
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
	past = a->store ? streams_rows(l, ji, a, x, &e[0], host) : NULL;
	if (past)
		stream = stream_rows(l, n, past, old, pairs, host);
	if (a->store && once)
		store_once(l, a, host[0], old);
	for (unsigned s = 0; s < l->strips && !(a->store && once); s++) {
		if (a->store) {
			V rows[4];

			for (unsigned k = 0; k < n; k++)
				rows[k] = old[k][s];
			known_store(l, a, delta, s, host[s], rows, pairs[s], l->reg.now.exec_full ? NULL : mask_strip(l, get_exec(l), s));
			continue;
		}
		pairs[s][0] = pairs[s][1] = NULL;
		twin = 0;
		while (twin < s && (!wave || memcmp(delta + twin * l->width, delta + s * l->width, l->width * sizeof(*delta))))
			twin++;
		if (twin < s) { /* at the same places as a strip before */
			memcpy(out[s], out[twin], sizeof(out[s]));
			memcpy(pairs[s], pairs[twin], sizeof(pairs[s]));
		} else {
			known_load(l, a, delta, s, host[s], out[s], pairs[s]);
		}
		for (unsigned k = 0; k < n; k++)
			got[k][s] = a->bytes < 4 ? placed(l, a->kind, out[s][k], old[k][s]) : out[s][k];
	}
	if (stream)
		end_stream(l, stream);
	if (a->store)
		say_stored(l);
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

	jit_inst_regs(&ji->ci.inst, l->reg.now.exec_full || ji->quiet, &r);
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
			if (l->reg.now.exec_full) {
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
bool lift_known_rows(struct lift *l, const struct jit_inst *ji)
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

	if ((in->format != ISA_FMT_GLOBAL && in->format != ISA_FMT_FLAT) || !plain_access(in->op, &a) || a.store || a.bytes < 4 || in->lds || in->tfe ||
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
	if (step < 0 || (!step && !l->reg.now.exec_full))
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
	note_row_read(l, &x, &e[0]);
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
	*q = (struct vop){.ji = ji, .mask_of = -1, .mask_pair = -1, .rows_step = (unsigned)step, .rows_same = wave && !step};
	q->exec = l->reg.now.exec_full || ji->quiet ? NULL : get_exec(l);
	for (unsigned s = 0; s < l->strips; s++)
		q->rows[s] = wave ? at(l, host[0], (uint64_t)s * l->width * (unsigned)step) : host[s];
	for (unsigned k = 0; k < n; k++)
		l->lds_base[row + k] = NULL;
	return true;
}

void emit_rows_read(struct lift *l, struct vop *q, unsigned strip)
{
	unsigned row = q->ji->ci.inst.dst[0].index, n, e = q->rows_step / 4;
	V rows[4], pairs[2] = {NULL, NULL}, p = q->rows[strip];
	struct access a = {0};

	plain_access(q->ji->ci.inst.op, &a);
	n = a.dwords;
	if (!e && !(q->rows_same && q->same[0]))
		read_place(l, p, n, q->same);
	if (!e)
		same_rows(l, q->same, n, rows, pairs);
	for (unsigned b = 0; e && b < n; b += e)
		take_apart(l, volatile_load(l, vec(l->i32, l->width * e), at(l, p, 4 * b), 1), e, rows + b, pairs + b / 2);
	for (unsigned k = 0; k < n; k++) {
		if (q->exec)
			rows[k] = LLVMBuildSelect(l->b, mask_strip(l, q->exec, strip), rows[k], get_v(l, row + k, strip), "");
		set_v(l, row + k, strip, rows[k]);
	}
	for (unsigned k = 0; !q->exec && k + 1 < n; k += 2)
		if (pairs[k / 2])
			l->v64[row + k][strip] = (struct wide_pair){rows[k], rows[k + 1], pairs[k / 2]};
}
