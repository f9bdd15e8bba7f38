/* SPDX-License-Identifier: MIT */
/*
 * lds.c - local data share: DS instructions.
 *
 * Addresses are bytes in the work-group's LDS; 32-bit arithmetic wraps. An access that is not wholly inside reads 0 or is dropped
 * (M0 does not limit it on gfx9). One thread runs a work-group, so plain accesses are atomic enough.
 *
 * The global data share (gds, gfx900): KFD gives no GPU process any of it, so every address is out of its range: reads give 0, writes are dropped. That goes
 * for ds_ordered_count, too, which works on it only. Global wave sync is in gws.c.
 */
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/dpp.h"
#include "gpu/soft/exec/memops.h"
#include "gpu/soft/exec/vmem.h"

#define DS_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

/* Host address of [addr, addr + bytes) or NULL. */
static inline uint8_t *lds_at(const struct workgroup *wg, uint32_t addr, uint32_t bytes)
{
	return addr < wg->lds_size && bytes <= wg->lds_size - addr ? wg->lds + addr : NULL;
}

static inline uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static inline uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline void put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

/* ------------------------------------------------------------------ by lane address */

#ifdef __AVX512F__
/* Lanes of mask from l on whose access of this many bytes is inside. */
static inline __mmask16 lds_inside(const struct workgroup *wg, __m512i addr, unsigned bytes, uint64_t mask, unsigned l)
{
	if (wg->lds_size < bytes)
		return 0;
	return _mm512_mask_cmple_epu32_mask(mask >> l, addr, _mm512_set1_epi32((int)(wg->lds_size - bytes)));
}

static const uint32_t four_times[16] = {0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60};

/* Shorter loads read a whole dword too: WG_LDS_SLACK bytes lie behind LDS. */
static inline __attribute__((always_inline)) void load_kind(struct wave *w, uint32_t *row, enum vmem_kind kind, const uint32_t *addr,
							    uint64_t mask)
{
	unsigned bytes = vmem_bytes(kind), dwords = (bytes + 3) / 4;
	uint32_t kept = vmem_kept(w);

	for (unsigned l = 0; l < WAVE_LANES; l += 16) {
		__m512i at = _mm512_loadu_si512(addr + l);
		__mmask16 in = lds_inside(w->wg, at, bytes, mask, l);

		/* Most often 16 lanes read one dword, or consecutive ones: far cheaper than a gather. */
		if (bytes == 4 && in == 0xffff) {
			__m512i first = _mm512_set1_epi32((int)addr[l]);

			if (_mm512_cmpeq_epi32_mask(at, first) == 0xffff) {
				_mm512_storeu_si512(row + l, _mm512_set1_epi32((int)get32(w->wg->lds + addr[l])));
				continue;
			}
			if (_mm512_cmpeq_epi32_mask(at, _mm512_add_epi32(first, _mm512_loadu_si512(four_times))) == 0xffff) {
				_mm512_storeu_si512(row + l, _mm512_loadu_si512(w->wg->lds + addr[l]));
				continue;
			}
		}
		for (unsigned i = 0; i < dwords; i++) {
			__m512i v = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), in, at, w->wg->lds + 4 * i, 1);
			uint32_t *out = row + i * WAVE_LANES + l;

			if (bytes < 4) {
				uint32_t got[16];

				_mm512_storeu_si512(got, v);
				for (unsigned k = 0; k < 16; k++)
					got[k] = vmem_place(kind, out[k] & kept, got[k]);
				v = _mm512_loadu_si512(got);
			}
			_mm512_mask_storeu_epi32(out, mask >> l, v);
		}
	}
}

static inline __attribute__((always_inline)) void store_dwords(struct wave *w, const uint32_t *row, unsigned dwords,
							       const uint32_t *addr, uint64_t mask)
{
	for (unsigned l = 0; l < WAVE_LANES; l += 16) {
		__m512i at = _mm512_loadu_si512(addr + l);
		__mmask16 in = lds_inside(w->wg, at, 4 * dwords, mask, l);

		for (unsigned i = 0; i < dwords; i++)
			_mm512_mask_i32scatter_epi32(w->wg->lds + 4 * i, in, at, _mm512_loadu_si512(row + i * WAVE_LANES + l), 1);
	}
}
#else
static inline __attribute__((always_inline)) void load_kind(struct wave *w, uint32_t *row, enum vmem_kind kind, const uint32_t *addr,
							    uint64_t mask)
{
	unsigned bytes = vmem_bytes(kind);
	uint32_t kept = vmem_kept(w);

	for (uint64_t m = mask; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		const uint8_t *p = lds_at(w->wg, addr[lane], bytes);

		if (bytes >= 4)
			for (unsigned i = 0; i < bytes / 4; i++)
				row[i * WAVE_LANES + lane] = p ? get32(p + 4 * i) : 0;
		else
			row[lane] = vmem_place(kind, row[lane] & kept, !p ? 0 : bytes == 1 ? p[0] : (uint32_t)(p[0] | p[1] << 8));
	}
}

/* As the other build: where lanes overlap, the order is that of the dwords of 16 lanes. */
static inline __attribute__((always_inline)) void store_dwords(struct wave *w, const uint32_t *row, unsigned dwords,
							       const uint32_t *addr, uint64_t mask)
{
	for (unsigned l = 0; l < WAVE_LANES; l += 16)
		for (unsigned i = 0; i < dwords; i++)
			for (uint64_t m = mask & 0xffffull << l; m; m &= m - 1) {
				unsigned lane = __builtin_ctzll(m);
				uint8_t *p = lds_at(w->wg, addr[lane], 4 * dwords);

				if (p)
					put32(p + 4 * i, row[i * WAVE_LANES + lane]);
			}
}
#endif

void lds_load(struct wave *w, const struct isa_operand *dst, enum vmem_kind kind, const uint32_t *addr, uint64_t mask)
{
	uint32_t *row = reg_row(w, dst, 0);

	/* A case each, so that each gets its own loop. */
	switch (kind) {
#define CASE(k)                                                                                                        \
	case k:                                                                                                        \
		load_kind(w, row, k, addr, mask);                                                                      \
		break;
		CASE(VM_U8)
		CASE(VM_I8)
		CASE(VM_U16)
		CASE(VM_I16)
		CASE(VM_U8_LO)
		CASE(VM_U8_HI)
		CASE(VM_I8_LO)
		CASE(VM_I8_HI)
		CASE(VM_16_LO)
		CASE(VM_16_HI)
		CASE(VM_X1)
		CASE(VM_X2)
		CASE(VM_X3)
		CASE(VM_X4)
#undef CASE
	}
}

void lds_store(struct wave *w, const struct isa_operand *data, enum vmem_kind kind, const uint32_t *addr, uint64_t mask)
{
	const uint32_t *row = reg_row(w, data, 0);
	unsigned bytes = vmem_bytes(kind), shift = kind == VM_U8_HI || kind == VM_16_HI ? 16 : 0;

	switch (kind) {
	case VM_X1:
		store_dwords(w, row, 1, addr, mask);
		return;
	case VM_X2:
		store_dwords(w, row, 2, addr, mask);
		return;
	case VM_X3:
		store_dwords(w, row, 3, addr, mask);
		return;
	case VM_X4:
		store_dwords(w, row, 4, addr, mask);
		return;
	default:
		break;
	}
	for (uint64_t m = mask; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint8_t *p = lds_at(w->wg, addr[lane], bytes);
		uint32_t v = row[lane] >> shift;

		if (!p)
			continue;
		p[0] = v;
		if (bytes == 2)
			p[1] = v >> 8;
	}
}

void lds_atomic(struct wave *w, const struct isa_operand *dst, const struct isa_operand *data, const struct isa_operand *cmp,
		enum atomic_kind kind, unsigned dwords, const uint32_t *addr, uint64_t mask)
{
	const uint32_t *d = reg_row(w, data, 0), *c = cmp ? reg_row(w, cmp, 0) : NULL;
	uint32_t old[2][WAVE_LANES];

	for (uint64_t m = mask; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m), hi = lane + WAVE_LANES;
		uint8_t *p = lds_at(w->wg, addr[lane], 4 * dwords);
		uint64_t v = 0;

		if (p && dwords == 1) {
			v = get32(p);
			put32(p, atomic_compute32(kind, v, d[lane], c ? c[lane] : 0));
		} else if (p) {
			v = get64(p);
			put64(p, atomic_compute64(kind, v, d[lane] | (uint64_t)d[hi] << 32,
						  c ? c[lane] | (uint64_t)c[hi] << 32 : 0));
		}
		old[0][lane] = v;
		old[1][lane] = v >> 32;
	}
	if (!dst || dst->kind == ISA_OPND_NONE)
		return;
	for (unsigned i = 0; i < dwords; i++) {
		uint32_t *row = reg_row(w, dst, i);

		for (uint64_t m = mask; m; m &= m - 1)
			row[__builtin_ctzll(m)] = old[i][__builtin_ctzll(m)];
	}
}

/* ------------------------------------------------------------------ DS instructions */

/* The whole of an instruction on the global data share: what it would read is 0. */
static void no_gds(struct wave *w, const struct isa_inst *inst)
{
	for (unsigned i = 0; inst->dst[0].kind != ISA_OPND_NONE && i < (inst->dst[0].dwords ? inst->dst[0].dwords : 1); i++) {
		uint32_t *row = reg_row(w, &inst->dst[0], i);

		for (uint64_t m = WAVE_EXEC(w); m; m &= m - 1)
			row[__builtin_ctzll(m)] = 0;
	}
}

/* Byte addresses of an instruction with one 16-bit offset. False: it is for the global data share, and done. */
static bool ds_address(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, uint32_t *addr)
{
	const uint32_t *row = reg_row(w, &inst->src[0], 0);

	if (inst->gds) {
		no_gds(w, inst);
		return false;
	}
	for (unsigned l = 0; l < WAVE_LANES; l++)
		addr[l] = row[l] + (uint32_t)(inst->offset & 0xffff);
	return true;
}

static void ds_load(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum vmem_kind kind)
{
	uint32_t addr[WAVE_LANES];

	if (ds_address(ctx, w, inst, addr))
		lds_load(w, &inst->dst[0], kind, addr, WAVE_EXEC(w));
}

static void ds_store(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum vmem_kind kind)
{
	uint32_t addr[WAVE_LANES];

	if (ds_address(ctx, w, inst, addr))
		lds_store(w, &inst->src[1], kind, addr, WAVE_EXEC(w));
}

/* cmpst: data0 is compared, data1 stored. mskor, wrap: data0 first, data1 second. */
static void ds_atomic(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum atomic_kind kind, unsigned dwords)
{
	const struct isa_operand *data = &inst->src[1], *cmp = NULL;
	uint32_t addr[WAVE_LANES];

	if (!ds_address(ctx, w, inst, addr))
		return;
	if (kind == AT_CMPSWAP || kind == AT_FCMPSWAP) {
		data = &inst->src[2];
		cmp = &inst->src[1];
	} else if (kind == AT_MSKOR || kind == AT_WRAP) {
		cmp = &inst->src[2];
	}
	lds_atomic(w, inst->dst[0].kind ? &inst->dst[0] : NULL, data, cmp, kind, dwords, addr, WAVE_EXEC(w));
}

/* Two addresses: offsets count elements, or 64 of them. */
static bool ds_address2(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, uint32_t *a0, uint32_t *a1, uint32_t unit)
{
	const uint32_t *row = reg_row(w, &inst->src[0], 0);

	if (inst->gds) {
		no_gds(w, inst);
		return false;
	}
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		a0[l] = row[l] + (uint32_t)(inst->offset & 0xff) * unit;
		a1[l] = row[l] + (uint32_t)(inst->offset >> 8 & 0xff) * unit;
	}
	return true;
}

static void ds_read2(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords, uint32_t unit)
{
	uint32_t a0[WAVE_LANES], a1[WAVE_LANES];
	enum vmem_kind kind = dwords == 1 ? VM_X1 : VM_X2;
	struct isa_operand second = inst->dst[0];

	if (!ds_address2(ctx, w, inst, a0, a1, unit))
		return;
	second.index += dwords;
	lds_load(w, &inst->dst[0], kind, a0, WAVE_EXEC(w));
	lds_load(w, &second, kind, a1, WAVE_EXEC(w));
}

static void ds_write2(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords, uint32_t unit)
{
	uint32_t a0[WAVE_LANES], a1[WAVE_LANES];
	enum vmem_kind kind = dwords == 1 ? VM_X1 : VM_X2;

	if (!ds_address2(ctx, w, inst, a0, a1, unit))
		return;
	lds_store(w, &inst->src[1], kind, a0, WAVE_EXEC(w));
	lds_store(w, &inst->src[2], kind, a1, WAVE_EXEC(w));
}

static void ds_wrxchg2(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords, uint32_t unit)
{
	uint32_t a0[WAVE_LANES], a1[WAVE_LANES], keep[2][WAVE_LANES];
	struct isa_operand second = inst->dst[0];

	if (!ds_address2(ctx, w, inst, a0, a1, unit))
		return;
	second.index += dwords;
	/* The first result may overwrite the second's data. */
	memcpy(keep, reg_row(w, &inst->src[2], 0), sizeof(keep[0]) * dwords);
	lds_atomic(w, &inst->dst[0], &inst->src[1], NULL, AT_SWAP, dwords, a0, WAVE_EXEC(w));
	lds_load(w, &second, dwords == 1 ? VM_X1 : VM_X2, a1, WAVE_EXEC(w));
	for (uint64_t m = WAVE_EXEC(w); m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		uint8_t *p = lds_at(w->wg, a1[lane], 4 * dwords);

		for (unsigned i = 0; p && i < dwords; i++)
			put32(p + 4 * i, keep[i][lane]);
	}
}

/* Data of lane `from[l]`, 0 if that lane is inactive, to every active lane l. */
static void move_lanes(struct wave *w, const struct isa_inst *inst, const struct isa_operand *data, const uint8_t *from)
{
	uint32_t in[WAVE_LANES], *out = reg_row(w, &inst->dst[0], 0);
	uint64_t exec = WAVE_EXEC(w);

	memcpy(in, reg_row(w, data, 0), sizeof(in));
	for (uint64_t m = exec; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);

		out[lane] = exec >> from[lane] & 1 ? in[from[lane]] : 0;
	}
}

DS_FN(op_bpermute)
{
	const uint32_t *row = reg_row(w, &inst->src[0], 0);
	uint8_t from[WAVE_LANES];

	for (unsigned l = 0; l < WAVE_LANES; l++)
		from[l] = (row[l] + (uint32_t)inst->offset) >> 2 & (WAVE_LANES - 1);
	move_lanes(w, inst, &inst->src[1], from);
}

/* Pushes to a lane; of several sources the highest wins. */
DS_FN(op_permute)
{
	const uint32_t *row = reg_row(w, &inst->src[0], 0), *data = reg_row(w, &inst->src[1], 0);
	uint32_t tmp[WAVE_LANES] = {0}, *out = reg_row(w, &inst->dst[0], 0);

	for (uint64_t m = WAVE_EXEC(w); m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);

		tmp[(row[lane] + (uint32_t)inst->offset) >> 2 & (WAVE_LANES - 1)] = data[lane];
	}
	for (uint64_t m = WAVE_EXEC(w); m; m &= m - 1)
		out[__builtin_ctzll(m)] = tmp[__builtin_ctzll(m)];
}

DS_FN(op_swizzle)
{
	uint8_t from[WAVE_LANES];

	for (unsigned l = 0; l < WAVE_LANES; l++)
		from[l] = swizzle_lane(inst->offset & 0xffff, l);
	move_lanes(w, inst, &inst->src[0], from);
}

/* Adds the number of active lanes to (or takes it from) the counter at M0 + offset; all lanes get the old value. */
static void append(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, bool consume)
{
	uint8_t *p = lds_at(w->wg, (w->sgpr[SGPR_M0] & 0xffff) + (uint32_t)(inst->offset & 0xffff), 4);
	uint32_t n = __builtin_popcountll(WAVE_EXEC(w)), old = p ? get32(p) : 0, *out = reg_row(w, &inst->dst[0], 0);

	if (inst->gds) {
		no_gds(w, inst);
		return;
	}
	if (p)
		put32(p, consume ? old - n : old + n);
	for (uint64_t m = WAVE_EXEC(w); m; m &= m - 1)
		out[__builtin_ctzll(m)] = old;
}

DS_FN(op_append)
{
	append(ctx, w, inst, false);
}

DS_FN(op_consume)
{
	append(ctx, w, inst, true);
}

DS_FN(op_ordered_count)
{
	no_gds(w, inst);
}

/*
 * The "src2" forms combine two places of LDS: DS[A] = DS[A] op DS[B]. B = A + 4 * a signed 15-bit number, from the offset, or from the address's upper bits if the
 * offset's bit 15 says so; the address proper is its low 17 bits then.
 */
static void ds_src2(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum atomic_kind kind, unsigned dwords)
{
	const uint32_t *row = reg_row(w, &inst->src[0], 0);
	unsigned bytes = 4 * dwords;

	if (inst->gds)
		return;
	for (uint64_t m = WAVE_EXEC(w); m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);
		bool inside = inst->offset & 0x8000;
		uint32_t a = inside ? row[lane] & 0x1ffff : row[lane];
		int32_t distance = (int32_t)((inside ? row[lane] >> 17 : (uint32_t)inst->offset) << 17) >> 17;
		uint8_t *to = lds_at(w->wg, a, bytes);
		const uint8_t *from = lds_at(w->wg, a + 4 * (uint32_t)distance, bytes);

		if (to && dwords == 1)
			put32(to, atomic_compute32(kind, get32(to), from ? get32(from) : 0, 0));
		else if (to)
			put64(to, atomic_compute64(kind, get64(to), from ? get64(from) : 0, 0));
	}
}

/* Address: M0 + offset + 4 * lane. */
static void addtid(const struct wave *w, const struct isa_inst *inst, uint32_t *addr)
{
	for (unsigned l = 0; l < WAVE_LANES; l++)
		addr[l] = (w->sgpr[SGPR_M0] & 0xffff) + (uint32_t)(inst->offset & 0xffff) + 4 * l;
}

DS_FN(op_read_addtid)
{
	uint32_t addr[WAVE_LANES];

	addtid(w, inst, addr);
	lds_load(w, &inst->dst[0], VM_X1, addr, WAVE_EXEC(w));
}

DS_FN(op_write_addtid)
{
	uint32_t addr[WAVE_LANES];

	addtid(w, inst, addr);
	lds_store(w, &inst->src[1], VM_X1, addr, WAVE_EXEC(w));
}

/* Each half of the data with its bit 31 set replaces a dword of memory (bit 31 itself is not stored). */
DS_FN(op_condxchg32)
{
	const uint32_t *d = reg_row(w, &inst->src[1], 0);
	uint32_t addr[WAVE_LANES], *out = reg_row(w, &inst->dst[0], 0);

	if (!ds_address(ctx, w, inst, addr))
		return;
	for (uint64_t m = WAVE_EXEC(w); m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m);

		uint8_t *p = lds_at(w->wg, addr[lane], 8);
		uint32_t data[2] = {d[lane], d[lane + WAVE_LANES]};

		for (unsigned i = 0; i < 2; i++) {
			uint32_t old = p ? get32(p + 4 * i) : 0;

			if (p && data[i] >> 31)
				put32(p + 4 * i, data[i] & 0x7fffffff);
			out[i * WAVE_LANES + lane] = old;
		}
	}
}

DS_FN(op_nop)
{
}

/* As DS_ATOMICS. */
#define DS_SRC2(X)                                                                                                     \
	DS_ARITHMETIC(X)                                                                                               \
	X(WRITE, B32, B64, AT_SWAP)
#define DEF_SRC2(NAME, T32, T64, kind)                                                                                 \
	DS_FN(op_##NAME##_src2_##T32)                                                                                  \
	{                                                                                                              \
		ds_src2(ctx, w, inst, kind, 1);                                                                        \
	}                                                                                                              \
	DS_FN(op_##NAME##_src2_##T64)                                                                                  \
	{                                                                                                              \
		ds_src2(ctx, w, inst, kind, 2);                                                                        \
	}
DS_SRC2(DEF_SRC2)

DS_FN(op_ADD_src2_F32)
{
	ds_src2(ctx, w, inst, AT_FADD, 1);
}

#define DEF_LOAD(NAME, kind)                                                                                           \
	DS_FN(op_##NAME)                                                                                               \
	{                                                                                                              \
		ds_load(ctx, w, inst, kind);                                                                           \
	}
#define DEF_STORE(NAME, kind)                                                                                          \
	DS_FN(op_##NAME)                                                                                               \
	{                                                                                                              \
		ds_store(ctx, w, inst, kind);                                                                          \
	}
#define DEF_ATOMIC(NAME, T32, T64, kind)                                                                               \
	DS_FN(op_##NAME##_##T32)                                                                                       \
	{                                                                                                              \
		ds_atomic(ctx, w, inst, kind, 1);                                                                      \
	}                                                                                                              \
	DS_FN(op_##NAME##_##T64)                                                                                       \
	{                                                                                                              \
		ds_atomic(ctx, w, inst, kind, 2);                                                                      \
	}
DS_LOADS(DEF_LOAD)
DS_STORES(DEF_STORE)
DS_ATOMICS(DEF_ATOMIC)

#define DEF_TWO(name, dwords, unit)                                                                                    \
	DS_FN(op_read2##name)                                                                                          \
	{                                                                                                              \
		ds_read2(ctx, w, inst, dwords, unit);                                                                  \
	}                                                                                                              \
	DS_FN(op_write2##name)                                                                                         \
	{                                                                                                              \
		ds_write2(ctx, w, inst, dwords, unit);                                                                 \
	}                                                                                                              \
	DS_FN(op_wrxchg2##name)                                                                                        \
	{                                                                                                              \
		ds_wrxchg2(ctx, w, inst, dwords, unit);                                                                \
	}
DEF_TWO(_b32, 1, 4)
DEF_TWO(_b64, 2, 8)
DEF_TWO(st64_b32, 1, 4 * 64)
DEF_TWO(st64_b64, 2, 8 * 64)

DS_FN(op_wrxchg_b32)
{
	ds_atomic(ctx, w, inst, AT_SWAP, 1);
}

DS_FN(op_wrxchg_b64)
{
	ds_atomic(ctx, w, inst, AT_SWAP, 2);
}

DS_FN(op_wrap)
{
	ds_atomic(ctx, w, inst, AT_WRAP, 1);
}

#define ROW(NAME, kind) {ISA_DS_##NAME, op_##NAME},
#define ROWS_ATOMIC(NAME, T32, T64, kind)                                                                              \
	{ISA_DS_##NAME##_##T32, op_##NAME##_##T32}, {ISA_DS_##NAME##_##T64, op_##NAME##_##T64},                        \
		{ISA_DS_##NAME##_RTN_##T32, op_##NAME##_##T32}, {ISA_DS_##NAME##_RTN_##T64, op_##NAME##_##T64},
#define ROWS_SRC2(NAME, T32, T64, kind)                                                                                \
	{ISA_DS_##NAME##_SRC2_##T32, op_##NAME##_src2_##T32}, {ISA_DS_##NAME##_SRC2_##T64, op_##NAME##_src2_##T64},
const struct exec_row exec_rows_ds[] = {
	DS_LOADS(ROW) DS_STORES(ROW) DS_ATOMICS(ROWS_ATOMIC) DS_SRC2(ROWS_SRC2)
	{ISA_DS_ADD_SRC2_F32, op_ADD_src2_F32},
	{ISA_DS_ORDERED_COUNT, op_ordered_count},
	{ISA_DS_READ2_B32, op_read2_b32},
	{ISA_DS_READ2_B64, op_read2_b64},
	{ISA_DS_READ2ST64_B32, op_read2st64_b32},
	{ISA_DS_READ2ST64_B64, op_read2st64_b64},
	{ISA_DS_WRITE2_B32, op_write2_b32},
	{ISA_DS_WRITE2_B64, op_write2_b64},
	{ISA_DS_WRITE2ST64_B32, op_write2st64_b32},
	{ISA_DS_WRITE2ST64_B64, op_write2st64_b64},
	{ISA_DS_WRXCHG_RTN_B32, op_wrxchg_b32},
	{ISA_DS_WRXCHG_RTN_B64, op_wrxchg_b64},
	{ISA_DS_WRXCHG2_RTN_B32, op_wrxchg2_b32},
	{ISA_DS_WRXCHG2_RTN_B64, op_wrxchg2_b64},
	{ISA_DS_WRXCHG2ST64_RTN_B32, op_wrxchg2st64_b32},
	{ISA_DS_WRXCHG2ST64_RTN_B64, op_wrxchg2st64_b64},
	{ISA_DS_WRAP_RTN_B32, op_wrap},
	{ISA_DS_CONDXCHG32_RTN_B64, op_condxchg32},
	{ISA_DS_READ_ADDTID_B32, op_read_addtid},
	{ISA_DS_WRITE_ADDTID_B32, op_write_addtid},
	{ISA_DS_PERMUTE_B32, op_permute},
	{ISA_DS_BPERMUTE_B32, op_bpermute},
	{ISA_DS_SWIZZLE_B32, op_swizzle},
	{ISA_DS_APPEND, op_append},
	{ISA_DS_CONSUME, op_consume},
	{ISA_DS_NOP, op_nop},
	{ISA_OP_INVALID, NULL},
};
