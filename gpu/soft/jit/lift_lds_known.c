/* SPDX-License-Identifier: MIT */
/*
 * lift_lds_known.c - dwords of LDS where the shape of an address is known: a register is checked once a block, and from then on lanes are read and
 * stored by moves as wide as they lie next to each other.
 */
#include "gpu/soft/jit/lift_lds.h"

unsigned ds_parts(const struct isa_inst *in, struct ds_part p[2], bool *store)
{
	unsigned o = in->offset & 0xffff, o0 = in->offset & 0xff, o1 = in->offset >> 8 & 0xff, n = 0, unit = 0;
	const struct isa_operand *a = &in->dst[0], *b = &in->dst[0];

	*store = false;
	switch (in->op) {
	case ISA_DS_WRITE_B32:
	case ISA_DS_WRITE_B64:
	case ISA_DS_WRITE_B96:
	case ISA_DS_WRITE_B128:
	case ISA_DS_WRITE2_B32:
	case ISA_DS_WRITE2_B64:
	case ISA_DS_WRITE2ST64_B32:
	case ISA_DS_WRITE2ST64_B64:
		*store = true;
		a = &in->src[1];
		b = &in->src[2];
		break;
	default:
		break;
	}
	switch (in->op) {
	case ISA_DS_READ_B32:
	case ISA_DS_WRITE_B32:
		n = 1;
		break;
	case ISA_DS_READ_B64:
	case ISA_DS_WRITE_B64:
		n = 2;
		break;
	case ISA_DS_READ_B96:
	case ISA_DS_WRITE_B96:
		n = 3;
		break;
	case ISA_DS_READ_B128:
	case ISA_DS_WRITE_B128:
		n = 4;
		break;
	case ISA_DS_READ2_B32:
	case ISA_DS_WRITE2_B32:
		n = 1;
		unit = 4;
		break;
	case ISA_DS_READ2ST64_B32:
	case ISA_DS_WRITE2ST64_B32:
		n = 1;
		unit = 4 * 64;
		break;
	case ISA_DS_READ2_B64:
	case ISA_DS_WRITE2_B64:
		n = 2;
		unit = 8;
		break;
	case ISA_DS_READ2ST64_B64:
	case ISA_DS_WRITE2ST64_B64:
		n = 2;
		unit = 8 * 64;
		break;
	default:
		return 0;
	}
	if (a->kind != ISA_OPND_VGPR || (unit && b->kind != ISA_OPND_VGPR))
		return 0;
	if (!unit) {
		p[0] = (struct ds_part){o, n, a->index};
		return 1;
	}
	p[0] = (struct ds_part){o0 * unit, n, a->index};
	p[1] = (struct ds_part){o1 * unit, n, *store ? b->index : a->index + n};
	return 2;
}

const int32_t *known_delta(const struct lift *l, unsigned r)
{
	uint16_t delta = l->at[LEVEL_STRIP].v[r].delta;

	return delta ? l->code->delta[delta - 1] : NULL;
}

bool lanes_apart(const struct lift *l, unsigned r, unsigned dwords)
{
	const int32_t *d = known_delta(l, r);
	int32_t bytes = (int32_t)(4 * dwords);
	unsigned lanes = dwords > 1 ? 16 : l->width;

	for (unsigned i = 0; d && i < WAVE_LANES; i++)
		for (unsigned k = i / lanes * lanes; k < i; k++)
			if ((int64_t)d[i] - d[k] < bytes && (int64_t)d[k] - d[i] < bytes)
				return false;
	return d;
}

/* Bytes behind the register's value that accesses from ji to the block's end reach. */
static uint32_t span_of(const struct lift *l, const struct jit_inst *ji, unsigned r)
{
	uint32_t span = 0;

	for (;; ji = &l->code->inst[ji->next]) {
		const struct isa_inst *in = &ji->ci.inst;
		struct ds_part part[2];
		struct jit_regs regs;
		bool store;

		if (in->format == ISA_FMT_DS && in->src[0].kind == ISA_OPND_VGPR && in->src[0].index == r)
			for (unsigned n = ds_parts(in, part, &store); n--;) {
				uint32_t end = part[n].offset + 4 * part[n].dwords;

				span = end > span ? end : span;
			}
		jit_inst_regs(in, false, &regs);
		if (bit_get(&regs.vwrite, r) || ji->next == NO_INST || l->code->inst[ji->next].block != NO_BLOCK)
			return span;
	}
}

V find_firsts(struct lift *l, unsigned r, struct extent e, uint32_t behind, V first[MAX_STRIPS])
{
	uint16_t delta = l->at[LEVEL_WAVE].v[r].delta;
	const int32_t *d = delta ? l->code->delta[delta - 1] : NULL;
	struct extent all = e;
	V inside = NULL;

	for (unsigned s = 0; d && s < l->strips; s++) {
		int32_t at_strip = d[s * l->width];

		if (at_strip < -LDS_FAR || at_strip > LDS_FAR) {
			d = NULL;
			break;
		}
		all.low = at_strip + e.low < all.low ? at_strip + e.low : all.low;
		all.high = at_strip + e.high > all.high ? at_strip + e.high : all.high;
	}
	for (unsigned s = 0; s < l->strips; s++) {
		struct extent x = d ? all : e;
		uint32_t span = (uint32_t)(x.high - x.low) + behind;
		V root, ok;

		if (d && s) {
			first[s] = ADD(first[0], c64(l, (uint64_t)(int64_t)d[s * l->width]));
			continue;
		}
		root = lin_root(l, r, s);
		first[s] = LLVMBuildZExt(l->b, root, l->i64, "");
		ok = IS(ULE, x.low ? ADD(root, c32(l, (uint32_t)x.low)) : root, LLVMBuildSub(l->b, l->bound, c32(l, span), ""));
		inside = inside ? AND(inside, ok) : AND(ok, IS(UGE, l->bound, c32(l, span)));
	}
	return inside;
}

/* The register as a checked base for ji's access; NULL: not of use. */
static struct lds_base *find_base(struct lift *l, const struct jit_inst *ji, unsigned r)
{
	struct lds_base *base = l->lds_base[r];
	const int32_t *d = known_delta(l, r);
	uint16_t wave = l->at[LEVEL_WAVE].v[r].delta;
	struct extent e = extent_of(d, WAVE_LANES, 0);
	uint32_t span = span_of(l, ji, r);

	if (base)
		return base;
	if (l->num_bases == MAX_BASES || span > LDS_FAR || e.low < -LDS_FAR || e.high > LDS_FAR)
		return NULL;
	base = &l->bases[l->num_bases++];
	base->delta = d;
	base->wave = wave ? l->code->delta[wave - 1] : NULL;
	base->low = e.low;
	base->high = e.high + (int32_t)span;
	emit_deopt_unless(l, find_firsts(l, r, e, span, base->first), ji);
	l->lds_base[r] = base;
	return base;
}

/* ------------------------------------------------------------------ a strip's lanes */

/* How many lanes from i on, a power of two, lie one behind the other. */
static unsigned run_of(const struct lift *l, const int32_t *d, unsigned i, unsigned dwords)
{
	unsigned n = 1;

	while (i + n < l->width && d[i + n] - d[i] == (int32_t)(4 * dwords * n))
		n++;
	while (n & (n - 1))
		n &= n - 1;
	return n;
}

enum { WIDEST = 4 /* vectors, to read and shuffle */ };

bool few_vectors(const struct lift *l, const int32_t *d, unsigned dwords)
{
	struct extent e = extent_of(d, l->width, dwords);

	for (unsigned i = 0; i < l->width; i++)
		if ((d[i] - d[0]) & 3)
			return false;
	return e.high - e.low <= (int32_t)(4 * WIDEST * l->width);
}

bool known_readable(const struct lift *l, const int32_t *delta, unsigned dwords)
{
	bool all = true;

	for (unsigned s = 0; s < l->strips; s++)
		all &= few_vectors(l, delta + s * l->width, dwords) || few_moves(l, delta + s * l->width, dwords);
	return all;
}

/* Of an extent of more than one vector and up to two the second one begins with this dword: odd sizes would be read in many pieces. 0: it is no such. */
static unsigned second_vector(const struct lift *l, struct extent e)
{
	unsigned all = (unsigned)(e.high - e.low) / 4;

	return all > l->width && all <= 2 * l->width ? all - l->width : 0;
}

static V read_extent(struct lift *l, V p, struct extent e)
{
	unsigned second = second_vector(l, e);
	V x, y, order[128];

	p = at(l, p, (uint64_t)(int64_t)e.low);
	x = aligned1(LLVMBuildLoad2(l->b, LLVMVectorType(l->i32, second ? l->width : (unsigned)(e.high - e.low) / 4), p, ""));
	if (!second)
		return x;
	for (unsigned i = 0; i < 2 * l->width; i++)
		order[i] = c32(l, i);
	y = aligned1(LLVMBuildLoad2(l->b, l->vi32, at(l, p, 4 * second), ""));
	return LLVMBuildShuffleVector(l->b, x, y, LLVMConstVector(order, 2 * l->width), "");
}

/* The dwords of a strip's lanes, d from where p points, and perhaps pairs of them. e, x: an extent that has them all, as it has been read, or NULL. */
static void known_read_of(struct lift *l, V p, const int32_t *d, unsigned n, struct extent e, V x, V out[4], V pairs[2])
{
	unsigned all = (unsigned)(e.high - e.low) / 4, second = second_vector(l, e);
	bool even = !(n & 1);
	V order[128];

	if (!x)
		x = read_extent(l, p, e);
	if (second)
		all = 2 * l->width;
	for (unsigned i = 0; i < l->width; i++)
		even &= !((d[i] - e.low) & 7);
	for (unsigned k = 0; k < n && !(even && n == 4); k++) {
		for (unsigned i = 0; i < l->width; i++) {
			unsigned dword = (unsigned)(d[i] - e.low) / 4 + k;

			order[i] = c32(l, second && dword >= l->width ? dword - second + l->width : dword);
		}
		out[k] = LLVMBuildShuffleVector(l->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(order, l->width), "");
	}
	if (!even)
		return;
	x = LLVMBuildBitCast(l->b, x, LLVMVectorType(l->i64, all / 2), "");
	for (unsigned k = 0; k < n; k += 2) {
		for (unsigned i = 0; i < l->width; i++) {
			unsigned dword = (unsigned)(d[i] - e.low) / 4 + k;

			order[i] = c32(l, (second && dword >= l->width ? dword - second + l->width : dword) / 2);
		}
		pairs[k / 2] = LLVMBuildShuffleVector(l->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(order, l->width), "");
		/* By way of them it is less than from all that was read. */
		for (unsigned i = 0; n == 4 && i < 2; i++)
			out[k + i] = halves_of(l, pairs[k / 2], i);
	}
}

/* Do strips that are so many apart have their dwords one behind the other, by fours, in all lanes? */
static bool side_by_side(const struct lift *l, const int32_t *d, unsigned dwords, unsigned apart)
{
	for (unsigned s = 0; s < l->strips; s++) {
		unsigned of = s / apart % (4 / dwords), first = s - of * apart;

		for (unsigned i = 0; i < l->width; i++)
			if (d[s * l->width + i] - d[first * l->width + i] != (int32_t)(of * dwords * 4))
				return false;
	}
	return true;
}

/*
 * Columns of a matrix whose rows are the lanes: of so many strips that their dwords of one lane are four, so many apart, these lie one behind the other, in all
 * lanes. NULL: not so, or not known; else where they are, from the wave's first lane.
 */
static const int32_t *columns(const struct lift *l, unsigned r, unsigned dwords, unsigned *apart)
{
	uint16_t delta = l->at[LEVEL_WAVE].v[r].delta;
	const int32_t *d = delta ? l->code->delta[delta - 1] : NULL;

	if (!d || dwords > 2 || l->width < 8 || few_vectors(l, d, dwords))
		return NULL;
	for (*apart = 1; *apart * 4 / dwords <= l->strips; *apart *= 2)
		if (side_by_side(l, d, dwords, *apart))
			return d;
	return NULL;
}

/* Of two vectors the first (second) halves of each 128 bits, elements of so many dwords in turns. */
static V unpack(struct lift *l, V a, V b, unsigned dwords, bool second)
{
	V order[64];

	for (unsigned i = 0; i < l->width; i++) {
		unsigned e = i % 4 / dwords; /* element: of a and b in turns */

		order[i] = c32(l, (e & 1) * l->width + i / 4 * 4 + 2 * second + (dwords == 1 ? e / 2 : i % 2));
	}
	return LLVMBuildShuffleVector(l->b, a, b, LLVMConstVector(order, l->width), "");
}

/* The four dwords from where p points of every fourth lane from lane on, one behind the other. */
static V four_of_lanes(struct lift *l, V p, const int32_t *d, unsigned lane)
{
	V part[16];
	unsigned n = l->width / 4;

	for (unsigned i = 0; i < n; i++)
		part[i] = aligned1(LLVMBuildLoad2(l->b, LLVMVectorType(l->i32, 4), at(l, p, (uint64_t)(int64_t)d[lane + 4 * i]), ""));
	return concatenated(l, part, n, 4);
}

/* Reads them for all strips: blocks of four by four dwords are transposed. */
static void read_columns(struct lift *l, V p, const int32_t *d, const struct ds_part *part, unsigned apart)
{
	unsigned n = part->dwords;

	for (unsigned s = 0; s < l->strips; s++) {
		V x[4], t[4];

		if (s / apart % (4 / n))
			continue;
		for (unsigned i = 0; i < 4; i++)
			x[i] = four_of_lanes(l, p, d + s * l->width, i);
		for (unsigned i = 0; i < 4; i++)
			t[i] = unpack(l, x[i & 2], x[(i & 2) + 1], 1, i & 1);
		for (unsigned k = 0; k < 4; k++)
			set_v(l, part->row + k % n, s + k / n * apart, unpack(l, t[k / 2], t[2 + k / 2], 2, k & 1));
	}
}

/* Which of the vectors read (all dwords; the last one ends where they do) has a dword, and at which place. */
static unsigned place_of(const struct lift *l, unsigned dword, unsigned all)
{
	unsigned last = (all - 1) / l->width;

	return dword < last * l->width ? dword : last * l->width + dword - (all - l->width);
}

/* A vector of elements that lie, by their number, in up to four others. */
static V of_vectors(struct lift *l, V from[WIDEST], const unsigned *where, unsigned lanes)
{
	V two[2], order[2][64], final[64];

	for (unsigned i = 0; i < lanes; i++) {
		unsigned half = where[i] / (2 * lanes);

		order[half][i] = c32(l, where[i] % (2 * lanes));
		order[!half][i] = LLVMGetPoison(l->i32);
		final[i] = c32(l, half * lanes + i);
	}
	for (unsigned h = 0; h < 2; h++)
		two[h] = LLVMBuildShuffleVector(l->b, from[2 * h], from[2 * h + 1], LLVMConstVector(order[h], lanes), "");
	return LLVMBuildShuffleVector(l->b, two[0], two[1], LLVMConstVector(final, lanes), "");
}

/* Dwords, or pairs, that lie further apart than two vectors: e, perhaps wider than needed, is read in vectors, each of which the lanes of several take from. */
static void wide_read(struct lift *l, V p, const int32_t *d, unsigned n, struct extent e, V out[4], V pairs[2])
{
	unsigned all = (unsigned)(e.high - e.low) / 4, last = (all - 1) / l->width, lanes = l->width / n, where[64];
	LLVMTypeRef t = n == 2 ? vec(l->i64, lanes) : l->vi32;
	V from[WIDEST], got[2], order[64];

	for (unsigned i = 0; i < WIDEST; i++) {
		uint64_t begin = (uint64_t)(int64_t)e.low + 4 * (i < last ? i * l->width : all - l->width);

		from[i] = i <= last ? aligned1(LLVMBuildLoad2(l->b, t, at(l, p, begin), "")) : LLVMGetPoison(t);
	}
	for (unsigned h = 0; h < n; h++) {
		for (unsigned i = 0; i < lanes; i++)
			where[i] = place_of(l, (unsigned)(d[h * lanes + i] - e.low) / 4, all) / n;
		got[h] = of_vectors(l, from, where, lanes);
	}
	if (n == 1) {
		out[0] = got[0];
		return;
	}
	for (unsigned i = 0; i < l->width; i++)
		order[i] = c32(l, i);
	pairs[0] = LLVMBuildShuffleVector(l->b, got[0], got[1], LLVMConstVector(order, l->width), "");
	for (unsigned k = 0; k < 2; k++)
		out[k] = halves_of(l, pairs[0], k);
}

/* An extent up to the elements around those of a read of every other one, where that may be read: what a read of the others reads, too. */
static struct extent with_others(const struct lift *l, struct extent e, unsigned n, struct extent may)
{
	int32_t unit = (int32_t)(8 * n), low = e.low - (e.low - may.low) % unit, high = low + (e.high - low + unit - 1) / unit * unit;

	return low >= may.low && high <= may.high && high - low <= (int32_t)(4 * WIDEST * l->width) ? (struct extent){low, high} : e;
}

void known_read(struct lift *l, V p, const int32_t *d, unsigned n, struct extent may, V out[4], V pairs[2])
{
	struct extent e = extent_of(d, l->width, n), more = with_others(l, e, n, may);
	bool whole = n == 1 || (n == 2 && l->width >= 8);

	for (unsigned i = 0; i < l->width; i++)
		whole &= !((d[i] - more.low) % (int32_t)(4 * n));
	if (e.high - e.low == (int32_t)(4 * n) || !few_vectors(l, d, n))
		read_lanes_apart(l, p, d, n, false, out, pairs);
	else if (whole && e.high - e.low > (int32_t)(4 * n * l->width))
		wide_read(l, p, d, n, more, out, pairs);
	else
		known_read_of(l, p, d, n, e, NULL, out, pairs);
}

/*
 * The extent of two vectors that a strip's read needs, from its first lane on, of both parts if it has them all, widened to whole pairs of dwords where they are
 * inside: one read of every other dword is often followed by one of those between. False: it needs less, or more.
 */
static bool pair_extent(const struct lift *l, const struct vop *q, const int32_t *d, struct extent *e)
{
	int32_t offset = (int32_t)q->lds_offset, low, high;
	struct ds_part part[2];
	bool store;

	*e = extent_of(d, l->width, q->lds_dwords);
	if (ds_parts(&q->ji->ci.inst, part, &store) == 2) {
		low = (int32_t)(part[0].offset < part[1].offset ? part[0].offset : part[1].offset) - offset;
		high = (int32_t)(part[0].offset > part[1].offset ? part[0].offset : part[1].offset) - offset;
		if (e->high + high - e->low - low <= (int32_t)(8 * l->width))
			*e = (struct extent){e->low + low, e->high + high};
	}
	if (!few_vectors(l, d, q->lds_dwords) || !second_vector(l, *e))
		return false;
	low = (e->low + offset) & -8;
	high = (e->high + offset + 7) & -8;
	if (low >= q->lds->low && high <= q->lds->high && high - low <= (int32_t)(8 * l->width))
		*e = (struct extent){low - offset, high - offset};
	return true;
}

/* Stores in the order of lanes. */
static void known_write(struct lift *l, V p, const int32_t *d, unsigned n, V rows[4], V pairs[2])
{
	V x = in_order(l, rows, pairs, n), order[128];
	unsigned each = n & 1 ? n : n / 2; /* elements of x a lane */

	for (unsigned i = 0, lanes; i < l->width; i += lanes) {
		V some = x, to = at(l, p, (uint64_t)(int64_t)d[i]);

		lanes = run_of(l, d, i, n);
		for (unsigned j = 0; j < lanes * each; j++)
			order[j] = c32(l, i * each + j);
		if (lanes * each == 1)
			some = LLVMBuildExtractElement(l->b, x, c32(l, i), "");
		else if (lanes < l->width)
			some = LLVMBuildShuffleVector(l->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(order, lanes * each), "");
		aligned1(LLVMBuildStore(l->b, some, to));
	}
}

/* Such an extent as it has been read before, or is now. */
static V seen_extent(struct lift *l, const struct vop *q, unsigned strip, V p, struct extent e)
{
	int32_t low = e.low + (int32_t)q->lds_offset;
	struct lds_seen *w;

	for (unsigned i = 0; i < l->num_windows && i < MAX_WINDOWS; i++) {
		w = &l->windows[i];
		if (w->base == q->lds && w->strip == strip && w->low == low && e.high - e.low == (int32_t)(8 * l->width))
			return w->x;
	}
	w = &l->windows[l->num_windows++ % MAX_WINDOWS];
	*w = (struct lds_seen){q->lds, strip, low, read_extent(l, p, e)};
	/* Others are longer or shorter: not looked for. */
	if (e.high - e.low != (int32_t)(8 * l->width))
		w->base = NULL;
	return w->x;
}

static void emit_lds_store(struct lift *l, const struct vop *q, unsigned strip, V p, const int32_t *d)
{
	V rows[4], pairs[2];

	for (unsigned k = 0; k < q->lds_dwords; k++) {
		rows[k] = get_v(l, q->lds_row + k, strip);
		if (!(q->lds_dwords & 1) && !(k & 1))
			pairs[k / 2] = get_v64(l, q->lds_row + k, strip);
	}
	known_write(l, p, d, q->lds_dwords, rows, pairs);
}

void emit_lds_access(struct lift *l, const struct vop *q, unsigned strip)
{
	V where = ADD(q->lds->first[strip], c64(l, q->lds_offset)), out[4], pairs[2] = {NULL, NULL}, p;
	const int32_t *d = q->lds->delta + strip * l->width;
	struct extent e;

	p = LLVMBuildGEP2(l->b, l->i8, l->lds, &where, 1, "");
	if (q->lds_store) {
		emit_lds_store(l, q, strip, p, d);
		return;
	}
	if (pair_extent(l, q, d, &e))
		known_read_of(l, p, d, q->lds_dwords, e, seen_extent(l, q, strip, p, e), out, pairs);
	else
		known_read(l, p, d, q->lds_dwords, (struct extent){q->lds->low - (int32_t)q->lds_offset, q->lds->high - (int32_t)q->lds_offset}, out, pairs);
	for (unsigned k = 0; k < q->lds_dwords; k++)
		set_v(l, q->lds_row + k, strip, out[k]);
	for (unsigned k = 0; k + 1 < q->lds_dwords; k += 2)
		if (pairs[k / 2])
			l->v64[q->lds_row + k][strip] = (struct wide_pair){out[k], out[k + 1], pairs[k / 2]};
}

/* May the store come strip by strip with the queued accesses before it? Not if an earlier strip of it has a place that a later one of theirs has. */
static bool joins_queue(const struct lift *l, const struct lds_base *base, const struct ds_part *part)
{
	for (int n = 0; n < l->queued; n++) {
		const struct vop *q = &l->queue[n];
		int64_t from = (int64_t)part->offset - q->lds_offset;

		if (!q->lds)
			continue;
		if (q->lds != base || !base->wave)
			return false;
		for (unsigned i = l->width; i < WAVE_LANES; i++)
			for (unsigned k = 0; k < i / l->width * l->width; k++) {
				int64_t apart = base->wave[k] + from - base->wave[i];

				if (apart < 4 * (int64_t)q->lds_dwords && -apart < 4 * (int64_t)part->dwords)
					return false;
			}
	}
	return true;
}

static void queue_access(struct lift *l, const struct jit_inst *ji, const struct lds_base *base, const struct ds_part *part, bool store)
{
	l->queue[l->queued++] = (struct vop){.ji = ji, .lds = base, .mask_of = -1, .mask_pair = -1, .lds_offset = part->offset, .lds_row = part->row,
					     .lds_dwords = part->dwords, .lds_store = store};
	l->lds_stores |= store;
}

/* Accesses of lanes whose places are known; called before the queue is flushed. */
bool lift_known_ds(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct lds_base *base;
	struct ds_part part[2];
	const int32_t *wave;
	bool store;
	unsigned parts = in->format == ISA_FMT_DS && !in->gds && in->src[0].kind == ISA_OPND_VGPR ? ds_parts(in, part, &store) : 0;
	unsigned r = in->src[0].index, apart;

	if (!parts || !l->reg.now.exec_full || !known_delta(l, r))
		return false;
	/* Of lanes that overlap partly the interpreter's order counts. */
	if (store ? !lanes_apart(l, r, part[0].dwords) : !known_readable(l, known_delta(l, r), part[0].dwords))
		return false;
	base = find_base(l, ji, r);
	if (!base)
		return false;
	if (l->queued + 2 > QUEUE_SIZE)
		flush_queue(l);
	if (store) {
		for (unsigned p = 0; p < parts; p++) {
			if (!joins_queue(l, base, &part[p]))
				flush_queue(l);
			queue_access(l, ji, base, &part[p], true);
		}
		return true;
	}
	wave = columns(l, r, part[0].dwords, &apart);
	if (wave)
		flush_queue(l);
	for (unsigned p = 0; wave && p < parts; p++) {
		V where = ADD(base->first[0], c64(l, part[p].offset));

		read_columns(l, LLVMBuildGEP2(l->b, l->i8, l->lds, &where, 1, ""), wave, &part[p], apart);
	}
	for (unsigned p = 0; !wave && p < parts; p++) {
		queue_access(l, ji, base, &part[p], false);
		for (unsigned k = 0; k < part[p].dwords; k++)
			l->lds_base[part[p].row + k] = NULL;
	}
	return true;
}

bool reads_lds(const struct isa_inst *in)
{
	struct ds_part part[2];
	bool store;

	return in->format == ISA_FMT_DS && !in->gds && ds_parts(in, part, &store) && !store;
}

bool stores_lds(const struct isa_inst *in)
{
	struct ds_part part[2];
	bool store;

	return in->format == ISA_FMT_DS && !in->gds && ds_parts(in, part, &store) && store;
}
