/* SPDX-License-Identifier: MIT */
/*
 * lift_lds.c - reads and writes of dwords of LDS. Where the shape of an address is known, a register is checked once a block, and from then on
 * lanes are read and stored by moves as wide as they lie next to each other. Else lanes near each other are read from two vectors, and others are
 * gathers and scatters of those inside LDS.
 */
#include "gpu/soft/jit/lift_lds.h"

#define LDS_FAR 65536 /* LDS is not larger */

struct extent { /* in bytes, from the least to behind the last */
	int32_t low, high;
};

struct ds_part { /* one of the one or two addresses */
	unsigned offset, dwords, row;
};

V lds_gather(struct lift *l, V addr, V mask)
{
	LLVMTypeRef types[2] = {l->vi32, vec(l->ptr, l->width)};
	V p = LLVMBuildGEP2(l->b, l->i8, l->lds, &addr, 1, ""), args[4] = {p, c32(l, 1), mask, K32(0)};

	return intrinsic(l, "llvm.masked.gather", types, 2, args, 4);
}

static void scatter(struct lift *l, V value, V addr, V mask)
{
	LLVMTypeRef types[2] = {l->vi32, vec(l->ptr, l->width)};
	V p = LLVMBuildGEP2(l->b, l->i8, l->lds, &addr, 1, ""), args[4] = {value, p, c32(l, 1), mask};

	intrinsic(l, "llvm.masked.scatter", types, 2, args, 4);
}

V lds_inside(struct lift *l, V addr, unsigned bytes, unsigned strip)
{
	V bound = LLVMBuildSub(l->b, l->bound, c32(l, bytes), ""), fits = IS(UGE, l->bound, c32(l, bytes)), m;

	m = AND(IS(ULE, addr, splat(l, bound)), splat(l, fits));
	return l->reg.now.exec_full ? m : AND(m, mask_strip(l, get_exec(l), strip));
}

V lds_at(struct lift *l, V addr)
{
	V i = LLVMBuildZExt(l->b, addr, l->i64, "");

	return LLVMBuildGEP2(l->b, l->i8, l->lds, &i, 1, "");
}

static V aligned1(V x)
{
	LLVMSetAlignment(x, 1);
	return x;
}

/* Where a strip's lanes are, as far as known before the kernel runs; PLACES_NEAR: dwords that a window of two vectors has. */
enum places { PLACES_UNKNOWN, PLACES_ROW, PLACES_SAME, PLACES_NEAR, PLACES_APART };

/* Lanes idx of two vectors, one behind the other. */
static V two_vectors(struct lift *l, V a, V b, V idx)
{
	if (l->width == 16)
		return intrinsic(l, "llvm.x86.avx512.vpermi2var.d.512", NULL, 0, (V[]){a, idx, b}, 3);
	a = intrinsic(l, "llvm.x86.avx2.permd", NULL, 0, (V[]){a, idx}, 2);
	b = intrinsic(l, "llvm.x86.avx2.permd", NULL, 0, (V[]){b, idx}, 2);
	return LLVMBuildSelect(l->b, IS(ULT, idx, K32(l->width)), a, b, "");
}

struct lds_window lds_window_of(struct lift *l, V addr)
{
	V first = lane0(l, addr), begin = LLVMBuildSelect(l->b, IS(ULT, first, l->bound), first, l->bound, "");

	return (struct lds_window){begin, LLVMBuildSub(l->b, addr, splat(l, begin), "")};
}

/* Lanes whose n dwords are in the window and whole in it. */
static V window_has(struct lift *l, const struct lds_window *w, unsigned n)
{
	V two[3] = {w->off, w->off, K32(30)};

	return IS(ULE, intrinsic(l, "llvm.fshl", &l->vi32, 1, two, 3), K32(2 * l->width - n));
}

V lds_window_dword(struct lift *l, const struct lds_window *w, V idx)
{
	V p = lds_at(l, w->begin);

	return two_vectors(l, aligned1(LLVMBuildLoad2(l->b, l->vi32, p, "")), aligned1(LLVMBuildLoad2(l->b, l->vi32, at(l, p, 4 * l->width), "")), idx);
}

static void window_read(struct lift *l, const struct lds_window *w, unsigned n, V in, V out[4])
{
	V idx = LLVMBuildLShr(l->b, w->off, K32(2), "");

	for (unsigned k = 0; k < n; k++)
		out[k] = LLVMBuildSelect(l->b, in, lds_window_dword(l, w, k ? ADD(idx, K32(k)) : idx), K32(0), "");
}

/* The active lanes of each strip are consecutive (step) or at one place (0), inside LDS. */
static V strips_fit(struct lift *l, V addr[MAX_STRIPS], V in[MAX_STRIPS], unsigned step)
{
	V all = NULL;

	for (unsigned s = 0; s < l->strips; s++) {
		V ok = IS(EQ, addr[s], ADD(splat(l, lane0(l, addr[s])), iota(l, 0, step)));

		/* in[] lacks inactive lanes, too. */
		ok = AND(ok, in[s]);
		if (!l->reg.now.exec_full)
			ok = OR(ok, inactive(l, s));
		all = all ? AND(all, ok) : ok;
	}
	return all_of(l, all);
}

/* Host address of the strip's first lane, which may lie before LDS when that lane is not active; no lane active: any that may be read. */
static V row_begin(struct lift *l, V addr, unsigned strip)
{
	V first = lane0(l, addr), i, m;

	if (l->reg.now.exec_full)
		return lds_at(l, first);
	m = LLVMBuildBitCast(l->b, mask_strip(l, get_exec(l), strip), LLVMIntTypeInContext(l->c, l->width), "");
	first = LLVMBuildSelect(l->b, IS(EQ, m, LLVMConstNull(LLVMTypeOf(m))), c32(l, 0), first, "");
	i = LLVMBuildSExt(l->b, first, l->i64, "");
	return LLVMBuildGEP2(l->b, l->i8, l->lds, &i, 1, "");
}

static V row_mask(struct lift *l, unsigned strip, unsigned n)
{
	V m = mask_strip(l, get_exec(l), strip), ms[4] = {m, m, m, m};

	return interleave(l, ms, n);
}

/* The n dwords of a strip's lanes that mask has. */
static void lds_gather_strip(struct lift *l, V addr, V mask, unsigned n, V out[4])
{
	LLVMTypeRef t = vec(l->i64, l->width), types[2] = {t, vec(l->ptr, l->width)};
	V args[4] = {NULL, c32(l, 1), mask, LLVMConstNull(t)};

	for (unsigned k = 0; k < n; k++) {
		V x;

		if (k + 1 == n) {
			out[k] = lds_gather(l, k ? ADD(addr, K32(4 * k)) : addr, mask);
			return;
		}
		/* Two at once. */
		x = k ? ADD(addr, K32(4 * k)) : addr;
		args[0] = LLVMBuildGEP2(l->b, l->i8, l->lds, &x, 1, "");
		x = intrinsic(l, "llvm.masked.gather", types, 2, args, 4);
		x = LLVMBuildBitCast(l->b, x, vec(l->i32, 2 * l->width), "");
		out[k] = pick(l, x, 0, 2);
		out[++k] = pick(l, x, 1, 2);
	}
}

/* What follows is for a strip with active lanes; else control goes on in the block returned. NULL: all lanes are active. */
static LLVMBasicBlockRef if_active(struct lift *l, unsigned strip)
{
	LLVMBasicBlockRef some, next;
	V m;

	if (l->reg.now.exec_full)
		return NULL;
	m = bits_of(l, mask_strip(l, get_exec(l), strip));
	some = new_block(l, "");
	next = new_block(l, "");
	LLVMBuildCondBr(l->b, IS(NE, m, LLVMConstNull(LLVMTypeOf(m))), some, next);
	LLVMPositionBuilderAtEnd(l->b, some);
	return next;
}

static void end_active(struct lift *l, LLVMBasicBlockRef next)
{
	if (!next)
		return;
	LLVMBuildBr(l->b, next);
	LLVMPositionBuilderAtEnd(l->b, next);
}

/* All strips, but those without active lanes. */
static void lds_gather_strips(struct lift *l, V addr[MAX_STRIPS], V in[MAX_STRIPS], unsigned n, V out[MAX_STRIPS][4])
{
	for (unsigned s = 0; s < l->strips; s++) {
		LLVMBasicBlockRef before = LLVMGetInsertBlock(l->b), next = if_active(l, s), some = LLVMGetInsertBlock(l->b);

		lds_gather_strip(l, addr[s], in[s], n, out[s]);
		end_active(l, next);
		for (unsigned k = 0; next && k < n; k++) {
			V phi = LLVMBuildPhi(l->b, l->vi32, "");

			LLVMAddIncoming(phi, (V[]){out[s][k], K32(0)}, (LLVMBasicBlockRef[]){some, before}, 2);
			out[s][k] = phi;
		}
	}
}

static void scatter_strip(struct lift *l, V addr, V mask, V rows[4], V pairs[2], unsigned n, bool overlap)
{
	LLVMTypeRef t = vec(l->i64, l->width), types[2] = {t, vec(l->ptr, l->width)};

	for (unsigned k = 0; k < n; k++) {
		V x = k ? ADD(addr, K32(4 * k)) : addr, args[4];

		if (overlap || k + 1 == n) {
			scatter(l, rows[k], x, mask);
			continue;
		}
		args[0] = k & 1 ? wide_row(l, rows[k], rows[k + 1]) : pairs[k / 2];
		args[1] = LLVMBuildGEP2(l->b, l->i8, l->lds, &x, 1, "");
		args[2] = c32(l, 1);
		args[3] = mask;
		intrinsic(l, "llvm.masked.scatter", types, 2, args, 4);
		k++;
	}
}

static struct extent extent_of(const int32_t *d, unsigned lanes, unsigned dwords);
static bool known_readable(const struct lift *l, const int32_t *delta, unsigned dwords);
static void known_read(struct lift *l, V p, const int32_t *d, unsigned n, struct extent may, V out[4], V pairs[2]);

/* All that lies between the strips' first and last places is inside LDS. */
static V strips_inside(struct lift *l, V addr[MAX_STRIPS], const int32_t *d, unsigned n)
{
	V all = NULL;

	for (unsigned s = 0; s < l->strips; s++) {
		struct extent e = extent_of(d + s * l->width, l->width, n);
		V span = c32(l, (uint32_t)(e.high - e.low)), ok;

		ok = IS(ULE, ADD(lane0(l, addr[s]), c32(l, (uint32_t)e.low)), LLVMBuildSub(l->b, l->bound, span, ""));
		ok = AND(ok, IS(UGE, l->bound, span));
		all = all ? AND(all, ok) : ok;
	}
	return all;
}

/* d: where lanes are known to be, or NULL. */
static void ds_read_part(struct lift *l, V addr[MAX_STRIPS], unsigned n, enum places places, const int32_t *d, V out[MAX_STRIPS][4])
{
	LLVMBasicBlockRef yes, no, join = NULL, from[3];
	V got[3][MAX_STRIPS][4], in[MAX_STRIPS];
	unsigned ways = 0;

	for (unsigned s = 0; s < l->strips; s++)
		in[s] = lds_inside(l, addr[s], 4 * n, s);
	if (places == PLACES_APART && !known_readable(l, d, n)) {
		lds_gather_strips(l, addr, in, n, out);
		return;
	}
	join = new_block(l, "");
	if (places == PLACES_APART) {
		yes = new_block(l, "");
		no = new_block(l, "");
		LLVMBuildCondBr(l->b, strips_inside(l, addr, d, n), yes, no);
		go_to(l, yes);
		for (unsigned s = 0; s < l->strips; s++) {
			V pairs[2];

			known_read(l, lds_at(l, lane0(l, addr[s])), d + s * l->width, n, extent_of(d + s * l->width, l->width, n), got[ways][s], pairs);
			for (unsigned k = 0; k < n; k++)
				got[ways][s][k] = LLVMBuildSelect(l->b, in[s], got[ways][s][k], K32(0), "");
		}
		from[ways++] = LLVMGetInsertBlock(l->b);
		LLVMBuildBr(l->b, join);
		go_to(l, no);
	}
	if (n <= 2 && places != PLACES_APART) {
		struct lds_window w[MAX_STRIPS];
		V all = NULL;

		for (unsigned s = 0; s < l->strips; s++) {
			V ok;

			w[s] = lds_window_of(l, addr[s]);
			ok = OR(window_has(l, &w[s], n), LLVMBuildNot(l->b, in[s], ""));
			all = all ? AND(all, ok) : ok;
		}
		yes = new_block(l, "");
		no = new_block(l, "");
		LLVMBuildCondBr(l->b, all_of(l, all), yes, no);
		go_to(l, yes);
		for (unsigned s = 0; s < l->strips; s++)
			window_read(l, &w[s], n, in[s], got[ways][s]);
		from[ways++] = LLVMGetInsertBlock(l->b);
		LLVMBuildBr(l->b, join);
		go_to(l, no);
		places = PLACES_NEAR;
	}
	if (places == PLACES_UNKNOWN || places == PLACES_ROW) {
		yes = new_block(l, "");
		no = new_block(l, "");
		LLVMBuildCondBr(l->b, strips_fit(l, addr, in, 4 * n), yes, no);
		go_to(l, yes);
		for (unsigned s = 0; s < l->strips; s++) {
			LLVMTypeRef t = vec(l->i32, l->width * n), types[2] = {t, l->ptr};
			V p = row_begin(l, addr[s], s), x;

			if (l->reg.now.exec_full)
				x = aligned1(LLVMBuildLoad2(l->b, t, p, ""));
			else
				x = intrinsic(l, "llvm.masked.load", types, 2,
					      (V[]){p, c32(l, 1), row_mask(l, s, n), LLVMConstNull(t)}, 4);
			for (unsigned k = 0; k < n; k++)
				got[ways][s][k] = n > 1 ? pick(l, x, k, n) : x;
		}
		from[ways++] = LLVMGetInsertBlock(l->b);
		LLVMBuildBr(l->b, join);
		go_to(l, no);
	}
	if (places == PLACES_UNKNOWN || places == PLACES_SAME) {
		V ok = strips_fit(l, addr, in, 0);

		/* The first lane stands for all, even when it is not active. */
		for (unsigned s = 0; !l->reg.now.exec_full && s < l->strips; s++) {
			V last = LLVMBuildSub(l->b, l->bound, c32(l, 4 * n), "");

			ok = AND(ok, AND(IS(UGE, l->bound, c32(l, 4 * n)), IS(ULE, lane0(l, addr[s]), last)));
		}
		yes = new_block(l, "");
		no = new_block(l, "");
		LLVMBuildCondBr(l->b, ok, yes, no);
		go_to(l, yes);
		for (unsigned s = 0; s < l->strips; s++)
			for (unsigned k = 0; k < n; k++)
				got[ways][s][k] = splat(l, aligned1(LLVMBuildLoad2(l->b, l->i32,
										   at(l, lds_at(l, lane0(l, addr[s])), 4 * k), "")));
		from[ways++] = LLVMGetInsertBlock(l->b);
		LLVMBuildBr(l->b, join);
		go_to(l, no);
	}
	lds_gather_strips(l, addr, in, n, got[ways]);
	from[ways++] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned s = 0; s < l->strips; s++)
		for (unsigned k = 0; k < n; k++) {
			out[s][k] = LLVMBuildPhi(l->b, l->vi32, "");
			for (unsigned w = 0; w < ways; w++)
				LLVMAddIncoming(out[s][k], &got[w][s][k], &from[w], 1);
		}
}

/* Do the lanes of each strip rise, all within two vectors? */
static bool rises_near(const struct lift *l, const int32_t *d, unsigned dwords)
{
	int32_t bytes = (int32_t)(4 * dwords);
	bool ok = d && dwords <= 2;

	for (unsigned i = 0; ok && i < WAVE_LANES; i++)
		ok &= !(d[i] & (bytes - 1)) && d[i] < (int32_t)(2 * l->width) * bytes && (i % l->width ? d[i] > d[i - 1] : d[i] == 0);
	return ok;
}

/*
 * Stores those of a strip's elements, of a dword or two, that in has, whose lanes rise near each other, as two vectors with the lanes where they go. Of two parts
 * (more: so far the second one's are from the first one's) both at once.
 */
static void write_near(struct lift *l, V p, const int32_t *d, unsigned dwords, const V row[2], unsigned parts, int32_t more, V in)
{
	LLVMTypeRef wide = LLVMIntTypeInContext(l->c, 2 * l->width), t = vec(dwords == 2 ? l->i64 : l->i32, 2 * l->width), types[2] = {t, l->ptr};
	int32_t bytes = (int32_t)(4 * dwords), low = parts > 1 && more < 0 ? more : 0;
	V order[64], args[4], bits[2], all = NULL;

	for (unsigned i = 0; i < 2 * l->width; i++)
		order[i] = LLVMGetPoison(l->i32);
	in = LLVMBuildZExt(l->b, bits_of(l, in), l->i32, "");
	for (unsigned k = 0; k < parts; k++) {
		uint32_t places = 0;

		for (unsigned i = 0; i < l->width; i++) {
			int32_t place = (d[i] + (k ? more : 0) - low) / bytes;

			order[place] = c32(l, k * l->width + i);
			places |= 1u << place;
		}
		bits[0] = in;
		bits[1] = c32(l, places);
		bits[0] = intrinsic(l, "llvm.x86.bmi.pdep.32", NULL, 0, bits, 2);
		all = all ? OR(all, bits[0]) : bits[0];
	}
	if (l->width < 16)
		all = LLVMBuildTrunc(l->b, all, wide, "");
	args[0] = LLVMBuildShuffleVector(l->b, row[0], parts > 1 ? row[1] : LLVMGetPoison(LLVMTypeOf(row[0])), LLVMConstVector(order, 2 * l->width), "");
	args[1] = low ? at(l, p, (uint64_t)(int64_t)low) : p;
	args[2] = c32(l, 1);
	args[3] = LLVMBuildBitCast(l->b, all, vec(l->i1, 2 * l->width), "");
	intrinsic(l, "llvm.masked.store", types, 2, args, 4);
}

/* Are both parts of each strip within two vectors, and no two places of the wave the same? */
static bool near_together(const struct lift *l, unsigned r, const int32_t *d, const struct ds_part part[2])
{
	uint16_t delta = l->at[LEVEL_WAVE].v[r].delta;
	const int32_t *wave = delta ? l->code->delta[delta - 1] : NULL;
	int32_t bytes = (int32_t)(4 * part[0].dwords), more = (int32_t)part[1].offset - (int32_t)part[0].offset;
	int32_t low = more < 0 ? more : 0;

	if (!wave || !rises_near(l, d, part[0].dwords) || more % bytes)
		return false;
	for (unsigned i = 0; i < WAVE_LANES; i++) {
		if ((more < 0 ? d[i] : d[i] + more) - low >= (int32_t)(2 * l->width) * bytes)
			return false;
		for (unsigned k = 0; k < WAVE_LANES; k++)
			if ((k < i && (int64_t)wave[i] - wave[k] < bytes && (int64_t)wave[k] - wave[i] < bytes) ||
			    ((int64_t)wave[i] - wave[k] - more < bytes && (int64_t)wave[k] - wave[i] + more < bytes))
				return false;
	}
	return true;
}

/* apart: no two lanes of a strip overlap; d: where they are known to be, or NULL. */
static void ds_write_part(struct lift *l, V addr[MAX_STRIPS], const struct ds_part *p, enum places places, bool apart, const int32_t *d)
{
	LLVMBasicBlockRef row, many, join = NULL;
	V rows[MAX_STRIPS][4], pairs[MAX_STRIPS][2], in[MAX_STRIPS];
	unsigned n = p->dwords;
	bool near = rises_near(l, d, n);

	for (unsigned s = 0; s < l->strips; s++) {
		in[s] = lds_inside(l, addr[s], 4 * n, s);
		for (unsigned k = 0; k < n; k++)
			rows[s][k] = get_v(l, p->row + k, s);
		for (unsigned k = 0; k + 1 < n; k += 2)
			pairs[s][k / 2] = get_v64(l, p->row + k, s);
	}
	for (unsigned s = 0; near && s < l->strips; s++) {
		/* Where the first lane lies before LDS it is not in. */
		V begin = LLVMBuildSExt(l->b, lane0(l, addr[s]), l->i64, "");

		write_near(l, indexed(l, l->lds, begin), d + s * l->width, n, n == 2 ? pairs[s] : rows[s], 1, 0, in[s]);
	}
	if (near)
		return;
	if (places == PLACES_UNKNOWN || places == PLACES_ROW) {
		row = new_block(l, "");
		many = new_block(l, "");
		join = new_block(l, "");
		LLVMBuildCondBr(l->b, strips_fit(l, addr, in, 4 * n), row, many);
		go_to(l, row);
		for (unsigned s = 0; s < l->strips; s++) {
			V to = row_begin(l, addr[s], s);

			if (l->reg.now.exec_full)
				aligned1(LLVMBuildStore(l->b, interleave(l, rows[s], n), to));
			else
				masked_store(l, interleave(l, rows[s], n), to, row_mask(l, s, n), 1);
		}
		LLVMBuildBr(l->b, join);
		go_to(l, many);
	}
	for (unsigned s = 0; s < l->strips; s++) {
		LLVMBasicBlockRef next = if_active(l, s);

		scatter_strip(l, addr[s], in[s], rows[s], pairs[s], n, !apart);
		end_active(l, next);
	}
	if (join) {
		LLVMBuildBr(l->b, join);
		go_to(l, join);
	}
}

static unsigned ds_parts(const struct isa_inst *in, struct ds_part p[2], bool *store)
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

/* Differences of the lanes from their strips' first ones; NULL: not known. */
static const int32_t *known_delta(const struct lift *l, unsigned r)
{
	uint16_t delta = l->at[LEVEL_STRIP].v[r].delta;

	return delta ? l->code->delta[delta - 1] : NULL;
}

/* What step the lanes of each strip have as far as known: 4 * dwords, 0 (uniform), or -1. */
static int known_step(const struct lift *l, unsigned r, unsigned dwords)
{
	const int32_t *d = known_delta(l, r);
	bool rises = d, same = d;

	for (unsigned i = 0; d && i < WAVE_LANES; i++) {
		rises &= d[i] == (int32_t)(i % l->width * 4 * dwords);
		same &= d[i] == 0;
	}
	return same ? 0 : rises ? (int)(4 * dwords) : -1;
}

static enum places places_of(const struct lift *l, unsigned r, unsigned dwords)
{
	const int32_t *d = known_delta(l, r);
	bool near = true;

	if (!d)
		return PLACES_UNKNOWN;
	for (unsigned i = 0; i < WAVE_LANES; i++)
		near &= d[i] >= 0 && !(d[i] & 3) && d[i] <= (int32_t)(4 * (2 * l->width - dwords));
	switch (known_step(l, r, dwords)) {
	case -1:
		return near && dwords <= 2 ? PLACES_NEAR : PLACES_APART;
	case 0:
		return PLACES_SAME;
	default:
		return PLACES_ROW;
	}
}

/* Are lanes known not to overlap whose order counts: of a strip and, of several dwords, of what the interpreter stores by dwords? */
static bool lanes_apart(const struct lift *l, unsigned r, unsigned dwords)
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

static struct extent extent_of(const int32_t *d, unsigned lanes, unsigned dwords)
{
	struct extent e = {d[0], d[0]};

	for (unsigned i = 0; i < lanes; i++) {
		e.low = d[i] < e.low ? d[i] : e.low;
		e.high = d[i] > e.high ? d[i] : e.high;
	}
	e.high += (int32_t)(4 * dwords);
	return e;
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

/*
 * The strips' first lanes, i64, and i1 whether all lanes' places are inside LDS, with so many bytes behind each. One comparison where the wave's shape is known.
 */
static V find_firsts(struct lift *l, unsigned r, struct extent e, uint32_t behind, V first[MAX_STRIPS])
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

/* ------------------------------------------------------------------ lanes whose places are known */

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

static bool few_vectors(const struct lift *l, const int32_t *d, unsigned dwords)
{
	struct extent e = extent_of(d, l->width, dwords);

	for (unsigned i = 0; i < l->width; i++)
		if ((d[i] - d[0]) & 3)
			return false;
	return e.high - e.low <= (int32_t)(4 * WIDEST * l->width);
}

/* Can known_read() do it better than a gather? */
static bool known_readable(const struct lift *l, const int32_t *delta, unsigned dwords)
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

/*
 * Columns of a matrix whose rows are the lanes: of so many strips that their dwords of one lane are four, these lie one behind the other, in all lanes. NULL: not
 * so, or not known; else where they are, from the wave's first lane.
 */
static const int32_t *columns(const struct lift *l, unsigned r, unsigned dwords)
{
	uint16_t delta = l->at[LEVEL_WAVE].v[r].delta;
	const int32_t *d = delta ? l->code->delta[delta - 1] : NULL;
	unsigned many = 4 / dwords;

	if (!d || dwords > 2 || l->width < 8 || few_vectors(l, d, dwords))
		return NULL;
	for (unsigned s = 0; s < l->strips; s++)
		for (unsigned i = 0; i < l->width; i++)
			if (d[s * l->width + i] - d[s / many * many * l->width + i] != (int32_t)(s % many * dwords * 4))
				return NULL;
	return d;
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
	V part[16], order[64];
	unsigned n = l->width / 4;

	for (unsigned i = 0; i < n; i++)
		part[i] = aligned1(LLVMBuildLoad2(l->b, LLVMVectorType(l->i32, 4), at(l, p, (uint64_t)(int64_t)d[lane + 4 * i]), ""));
	for (unsigned size = 8; n > 1; n /= 2, size *= 2) {
		for (unsigned i = 0; i < size; i++)
			order[i] = c32(l, i);
		for (unsigned i = 0; i < n / 2; i++)
			part[i] = LLVMBuildShuffleVector(l->b, part[2 * i], part[2 * i + 1], LLVMConstVector(order, size), "");
	}
	return part[0];
}

/* Reads them for all strips: blocks of four by four dwords are transposed. */
static void read_columns(struct lift *l, V p, const int32_t *d, const struct ds_part *part)
{
	unsigned n = part->dwords;

	for (unsigned s = 0; s < l->strips; s += 4 / n) {
		V x[4], t[4];

		for (unsigned i = 0; i < 4; i++)
			x[i] = four_of_lanes(l, p, d + s * l->width, i);
		for (unsigned i = 0; i < 4; i++)
			t[i] = unpack(l, x[i & 2], x[(i & 2) + 1], 1, i & 1);
		for (unsigned k = 0; k < 4; k++)
			set_v(l, part->row + k % n, s + k / n, unpack(l, t[k / 2], t[2 + k / 2], 2, k & 1));
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

/* may: what may be read, as far from p as d. */
static void known_read(struct lift *l, V p, const int32_t *d, unsigned n, struct extent may, V out[4], V pairs[2])
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
	unsigned r = in->src[0].index;

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
	wave = columns(l, r, part[0].dwords);
	if (wave)
		flush_queue(l);
	for (unsigned p = 0; wave && p < parts; p++) {
		V where = ADD(base->first[0], c64(l, part[p].offset));

		read_columns(l, LLVMBuildGEP2(l->b, l->i8, l->lds, &where, 1, ""), wave, &part[p]);
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

/* Of some lanes whose places are known, as if all were active: the dwords of a strip. */
static void inside_read(struct lift *l, V p, const int32_t *d, unsigned n, unsigned strip, struct extent may, V out[4])
{
	LLVMBasicBlockRef before = LLVMGetInsertBlock(l->b), next = few_vectors(l, d, n) ? NULL : if_active(l, strip), some;
	V pairs[2] = {NULL, NULL};

	known_read(l, p, d, n, may, out, pairs);
	for (unsigned k = 0; k + 1 < n; k += 2)
		out[k / 2] = pairs[k / 2] ? pairs[k / 2] : wide_row(l, out[k], out[k + 1]);
	if (n & 1)
		out[n / 2] = out[n - 1];
	if (!next)
		return;
	some = LLVMGetInsertBlock(l->b);
	end_active(l, next);
	for (unsigned k = 0; k < (n + 1) / 2; k++)
		out[k] = phi2(l, out[k], some, LLVMConstNull(LLVMTypeOf(out[k])), before);
}

/*
 * An access of some lanes, whose places are known: where those of all lanes are inside LDS it is as one of all lanes, but for the mask. The builder goes on where
 * they are not; the block returned is for the end. Reads' results: pairs, and the last dword of an odd number. NULL: nothing emitted.
 */
static LLVMBasicBlockRef masked_inside(struct lift *l, unsigned r, const struct ds_part *part, unsigned parts, bool store, V got[2][MAX_STRIPS][4])
{
	const int32_t *d = known_delta(l, r);
	struct extent e = d ? extent_of(d, WAVE_LANES, 0) : (struct extent){0, 0};
	LLVMBasicBlockRef yes, no, end;
	bool together = d && store && parts == 2 && !l->reg.now.exec_full && near_together(l, r, d, part);
	uint32_t behind = 0;
	V first[MAX_STRIPS], inside;

	for (unsigned p = 0; p < parts; p++)
		behind = part[p].offset + 4 * part[p].dwords > behind ? part[p].offset + 4 * part[p].dwords : behind;
	if (!d || l->reg.now.exec_full || e.low < -LDS_FAR || e.high > LDS_FAR || (store ? !lanes_apart(l, r, part[0].dwords) : !known_readable(l, d, part[0].dwords)))
		return NULL;
	inside = find_firsts(l, r, e, behind, first);
	yes = new_block(l, "inside");
	no = new_block(l, "");
	LLVMBuildCondBr(l->b, inside, yes, no);
	go_to(l, yes);
	for (unsigned s = 0; together && s < l->strips; s++) {
		V to = at(l, indexed(l, l->lds, first[s]), part[0].offset), mask = mask_strip(l, get_exec(l), s), rows[2];

		for (unsigned p = 0; p < 2; p++)
			rows[p] = part[0].dwords == 2 ? get_v64(l, part[p].row, s) : get_v(l, part[p].row, s);
		write_near(l, to, d + s * l->width, part[0].dwords, rows, 2, (int32_t)part[1].offset - (int32_t)part[0].offset, mask);
	}
	for (unsigned p = 0; p < parts && !together; p++)
		for (unsigned s = 0; s < l->strips; s++) {
			const int32_t *from = d + s * l->width;
			unsigned n = part[p].dwords;
			V rows[4], pairs[2], to = at(l, indexed(l, l->lds, first[s]), part[p].offset), mask = mask_strip(l, get_exec(l), s);
			LLVMBasicBlockRef next;

			if (!store) {
				inside_read(l, to, from, n, s, (struct extent){e.low - (int32_t)part[p].offset, e.high + (int32_t)(behind - part[p].offset)}, got[p][s]);
				continue;
			}
			for (unsigned k = 0; k < n; k++) {
				rows[k] = get_v(l, part[p].row + k, s);
				if (!(k & 1) && k + 1 < n)
					pairs[k / 2] = get_v64(l, part[p].row + k, s);
			}
			if (rises_near(l, d, n)) {
				write_near(l, to, from, n, n == 2 ? pairs : rows, 1, 0, mask);
			} else if (known_step(l, r, n) == (int)(4 * n)) {
				store_in_order(l, rows, pairs, n, to, mask);
			} else {
				next = if_active(l, s);
				scatter_strip(l, ADD(get_v(l, r, s), K32(part[p].offset)), mask, rows, pairs, n, false);
				end_active(l, next);
			}
		}
	end = LLVMGetInsertBlock(l->b);
	go_to(l, no);
	return end;
}

/* Both ways meet. */
static void join_inside(struct lift *l, LLVMBasicBlockRef inside, const struct ds_part *part, unsigned parts, V got[2][MAX_STRIPS][4], V out[2][MAX_STRIPS][4])
{
	LLVMBasicBlockRef join = new_block(l, ""), from;

	for (unsigned p = 0; p < parts; p++)
		for (unsigned s = 0; s < l->strips; s++)
			for (unsigned k = 0; k + 1 < part[p].dwords; k += 2)
				out[p][s][k] = wide_row(l, out[p][s][k], out[p][s][k + 1]);
	from = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	LLVMPositionBuilderAtEnd(l->b, inside);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned p = 0; p < parts; p++)
		for (unsigned s = 0; s < l->strips; s++)
			for (unsigned k = 0; k < part[p].dwords; k += 2)
				out[p][s][k] = phi2(l, out[p][s][k], from, got[p][s][k / 2], inside);
	for (unsigned p = 0; p < parts; p++)
		for (unsigned s = 0; s < l->strips; s++)
			for (unsigned k = 0; k + 1 < part[p].dwords; k += 2) {
				V pair = out[p][s][k];

				out[p][s][k] = halves_of(l, pair, 0);
				out[p][s][k + 1] = halves_of(l, pair, 1);
			}
}

bool lift_ds(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct ds_part part[2];
	bool store;
	unsigned parts = in->format == ISA_FMT_DS && !in->gds && in->src[0].kind == ISA_OPND_VGPR ? ds_parts(in, part, &store) : 0;
	V out[2][MAX_STRIPS][4], got[2][MAX_STRIPS][4], addr[MAX_STRIPS];
	LLVMBasicBlockRef inside;
	unsigned r = in->src[0].index;

	if (!parts)
		return false;
	/* Lanes may overlap, and who wins is the interpreter's way: by dwords of 16 lanes, of which narrower strips are a part. */
	if (store && part[0].dwords > 1 && l->width != 16)
		return false;
	if (!l->reg.now.exec_full)
		get_exec(l);
	/* Everything is read before the first branch. */
	for (unsigned s = 0; s < l->strips; s++) {
		get_v(l, r, s);
		for (unsigned p = 0; p < parts; p++)
			for (unsigned k = 0; k < part[p].dwords && (store || !l->reg.now.exec_full); k++) {
				get_v(l, part[p].row + k, s);
				if (store && !(k & 1) && k + 1 < part[p].dwords)
					get_v64(l, part[p].row + k, s);
			}
	}
	inside = masked_inside(l, r, part, parts, store, got);
	for (unsigned p = 0; p < parts; p++) {
		enum places places = places_of(l, r, part[p].dwords);

		for (unsigned s = 0; s < l->strips; s++) {
			addr[s] = ADD(get_v(l, r, s), K32(part[p].offset));
			if (places != PLACES_APART)
				addr[s] = opaque(l, addr[s]);
		}
		if (store)
			ds_write_part(l, addr, &part[p], places, lanes_apart(l, r, part[p].dwords), known_delta(l, r));
		else
			ds_read_part(l, addr, part[p].dwords, places, known_delta(l, r), out[p]);
	}
	if (inside)
		join_inside(l, inside, part, store ? 0 : parts, got, out);
	for (unsigned p = 0; p < parts && !store; p++)
		for (unsigned s = 0; s < l->strips; s++)
			for (unsigned k = 0; k < part[p].dwords; k++) {
				V x = out[p][s][k];

				if (!l->reg.now.exec_full && !ji->quiet)
					x = LLVMBuildSelect(l->b, mask_strip(l, get_exec(l), s), x, get_v(l, part[p].row + k, s), "");
				set_v(l, part[p].row + k, s, x);
			}
	return true;
}
