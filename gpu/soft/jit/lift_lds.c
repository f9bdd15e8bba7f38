/* SPDX-License-Identifier: MIT */
/*
 * lift_lds.c - reads and writes of dwords of LDS whose lanes are not all active, or lie anywhere: where places are known as lift_lds_known.c does it, under
 * a mask; lanes near each other are read from two vectors, and others are gathers and scatters of those inside LDS.
 */
#include "gpu/soft/jit/lift_lds.h"

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
