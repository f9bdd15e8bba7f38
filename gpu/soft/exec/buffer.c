/* SPDX-License-Identifier: MIT */
/*
 * buffer.c - MUBUF and MTBUF: memory through a buffer resource (V#).
 *
 * Address ("Vega" ISA manual, "Buffer addressing"): base + soffset + what index and offset make of it, linear or swizzled.
 *   index  = vgpr index (idxen) + lane (ADD_TID_ENABLE);  offset = vgpr offset (offen) + immediate
 *   linear   index * stride + offset
 *   swizzled ((index / n) * stride + (offset & ~3)) * n + (index % n) * 4 + (offset & 3),  n = INDEX_STRIDE, element size 4 on gfx9
 * Range: with a stride, index against NUM_RECORDS; raw, every dword's last byte against NUM_RECORDS bytes less soffset. Out of range
 * loads give 0 and stores are dropped. Scratch (swizzled with ADD_TID_ENABLE) is bounded by the page table instead: its NUM_RECORDS is
 * a wave's and soffset the wave's slot.
 */
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/memops.h"
#include "gpu/soft/exec/vmem.h"

#define MEM_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

/* A V#, taken apart. */
struct resource {
	uint64_t base;
	uint32_t stride, records, index_stride;
	uint8_t data_format, num_format, dst_sel[4];
	bool swizzle, add_tid;
};

static bool get_resource(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, struct resource *r)
{
	const struct isa_operand *o = &inst->src[2];
	const uint32_t *v = &w->sgpr[o->index];

	if (o->kind != ISA_OPND_SGPR || o->index + 4 > WAVE_SGPRS) {
		exec_illegal(ctx, w, inst);
		return false;
	}
	*r = (struct resource){
		.base = v[0] | (uint64_t)(v[1] & 0xffff) << 32,
		.stride = v[1] >> 16 & 0x3fff,
		.swizzle = v[1] >> 31,
		.records = v[2],
		.dst_sel = {v[3] & 7, v[3] >> 3 & 7, v[3] >> 6 & 7, v[3] >> 9 & 7},
		.num_format = v[3] >> 12 & 7,
		.data_format = v[3] >> 15 & 15,
		.index_stride = 8u << (v[3] >> 21 & 3),
		.add_tid = v[3] >> 23 & 1,
	};
	if (r->add_tid) /* the format's bits are the stride's high ones */
		r->stride |= (uint32_t)r->data_format << 14;
	return true;
}

/* Fills in a for elements of this many bytes. */
static void buffer_address(struct wave *w, const struct isa_inst *inst, const struct resource *r, unsigned bytes,
			   struct vmem_access *a)
{
	const uint32_t *v = inst->offen || inst->idxen ? reg_row(w, &inst->src[0], 0) : NULL;
	const uint32_t *vindex = inst->idxen ? v : NULL;
	const uint32_t *voffset = inst->offen ? (inst->idxen ? v + WAVE_LANES : v) : NULL;
	uint32_t soffset = inst->src[3].kind != ISA_OPND_NONE ? exec_s32(w, &inst->src[3]) : 0;
	bool structured = r->stride && (inst->idxen || r->swizzle), scratch = r->swizzle && r->add_tid;
	unsigned dwords = (bytes + 3) / 4, last = bytes < 4 ? bytes : 4;
	uint64_t base = r->base + soffset;

	a->mask = WAVE_EXEC(w);
	a->step = r->swizzle ? 4 * r->index_stride : 4;
	for (unsigned i = 0; i < 4; i++)
		a->in[i] = UINT64_MAX;
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		uint64_t index = (vindex ? vindex[l] : 0) + (uint64_t)(r->add_tid ? l : 0);
		uint64_t offset = (voffset ? voffset[l] : 0) + (uint64_t)(uint32_t)inst->offset;
		uint64_t at;

		if (r->swizzle) {
			at = (index / r->index_stride * r->stride + (offset & ~3ull)) * r->index_stride +
			     index % r->index_stride * 4 + (offset & 3);
			a->phase[l] = offset & 3;
		} else {
			at = index * r->stride + offset;
			a->phase[l] = 0;
		}
		a->addr[l] = base + at;
		if (scratch)
			continue;
		for (unsigned i = 0; i < dwords; i++) {
			bool ok = structured ? index < r->records : at + 4 * i + last + soffset <= r->records;

			a->in[i] &= ~((uint64_t)!ok << l);
		}
	}
}

/* ------------------------------------------------------------------ plain loads, stores, atomics */

/* lds form: the dword goes to LDS at M0 + offset + 4 * lane instead of a VGPR. */
static void store_row_to_lds(struct wave *w, const struct isa_inst *inst, uint32_t *values, uint64_t mask)
{
	uint32_t (*saved)[WAVE_LANES] = w->vgpr, addr[WAVE_LANES];
	const struct isa_operand row = {.kind = ISA_OPND_VGPR, .dwords = 1};

	for (unsigned l = 0; l < WAVE_LANES; l++)
		addr[l] = (w->sgpr[SGPR_M0] & 0xffff) + inst->offset + 4 * l;
	w->vgpr = (void *)values;
	lds_store(w, &row, VM_X1, addr, mask);
	w->vgpr = saved;
}

static void load_to_lds(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum vmem_kind kind,
			const struct vmem_access *a)
{
	uint32_t tmp[1][WAVE_LANES] = {0};
	uint32_t (*saved)[WAVE_LANES] = w->vgpr;
	const struct isa_operand row = {.kind = ISA_OPND_VGPR, .dwords = 1};
	bool ok;

	w->vgpr = tmp;
	ok = vmem_load(ctx, w, &row, kind, a);
	w->vgpr = saved;
	if (ok)
		store_row_to_lds(w, inst, tmp[0], a->mask);
}

/* tfe: one more register tells what was not there. Everything is, or it is a memory fault. */
static void clear_fail_code(struct wave *w, const struct isa_inst *inst)
{
	uint32_t *row = inst->tfe ? reg_row(w, &inst->dst[0], inst->dst[0].dwords - 1) : NULL;

	for (uint64_t m = row ? WAVE_EXEC(w) : 0; m; m &= m - 1)
		row[__builtin_ctzll(m)] = 0;
}

static void buffer_load(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum vmem_kind kind)
{
	struct vmem_access a;
	struct resource r;

	if (!get_resource(ctx, w, inst, &r))
		return;
	buffer_address(w, inst, &r, vmem_bytes(kind), &a);
	if (inst->lds)
		load_to_lds(ctx, w, inst, kind, &a);
	else if (vmem_load(ctx, w, &inst->dst[0], kind, &a))
		clear_fail_code(w, inst);
}

static void buffer_store(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum vmem_kind kind)
{
	struct vmem_access a;
	struct resource r;

	if (!get_resource(ctx, w, inst, &r))
		return;
	buffer_address(w, inst, &r, vmem_bytes(kind), &a);
	vmem_store(ctx, w, &inst->src[1], kind, &a);
}

static void buffer_atomic(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum atomic_kind kind, unsigned dwords)
{
	const struct isa_operand *dst = inst->glc && inst->dst[0].kind != ISA_OPND_NONE ? &inst->dst[0] : NULL;
	struct vmem_access a;
	struct resource r;

	if (!get_resource(ctx, w, inst, &r))
		return;
	buffer_address(w, inst, &r, 4 * dwords, &a);
	vmem_atomic(ctx, w, dst, &inst->src[1], kind, dwords, &a);
}

/* ------------------------------------------------------------------ formats */

/* Data formats of gfx9: component widths in bits from the lowest bit, in order of components. */
static const struct {
	uint8_t bits[4];
} formats[16] = {
	[1] = {{8}},
	[2] = {{16}},
	[3] = {{8, 8}},
	[4] = {{32}},
	[5] = {{16, 16}},
	[6] = {{11, 11, 10}},
	[7] = {{10, 11, 11}},
	[8] = {{2, 10, 10, 10}},
	[9] = {{10, 10, 10, 2}},
	[10] = {{8, 8, 8, 8}},
	[11] = {{32, 32}},
	[12] = {{16, 16, 16, 16}},
	[13] = {{32, 32, 32}},
	[14] = {{32, 32, 32, 32}},
};

enum { NUM_UNORM, NUM_SNORM, NUM_USCALED, NUM_SSCALED, NUM_UINT, NUM_SINT, NUM_FLOAT = 7 };

static unsigned format_bytes(unsigned dfmt)
{
	unsigned n = 0;

	for (int i = 0; i < 4; i++)
		n += formats[dfmt].bits[i];
	return n / 8;
}

/* Small unsigned floats of 10 and 11 bits: 5 bits of exponent, no sign. */
static float small_float(uint32_t v, unsigned bits)
{
	return at_half((uint16_t)(v << (15 - bits)));
}

/* Component as a register has it: float bits, or an integer. */
static uint32_t from_format(uint32_t v, unsigned bits, unsigned nfmt)
{
	uint32_t max = bits < 32 ? (1u << bits) - 1 : UINT32_MAX;
	int32_t s = (int32_t)(v << (32 - bits)) >> (32 - bits);
	float f;

	switch (nfmt) {
	case NUM_UNORM:
		return at_u32((float)((double)v / max));
	case NUM_SNORM:
		f = (float)((double)s / (max >> 1));
		return at_u32(f < -1 ? -1 : f);
	case NUM_USCALED:
		return at_u32((float)v);
	case NUM_SSCALED:
		return at_u32((float)s);
	case NUM_SINT:
		return s;
	case NUM_FLOAT:
		return bits == 32 ? v : bits == 16 ? at_u32(at_half(v)) : at_u32(small_float(v, bits));
	default:
		return v;
	}
}

static double clamp(double v, double lo, double hi)
{
	return v >= hi ? hi : v > lo ? v : lo; /* NaN: lo */
}

static uint32_t to_format(uint32_t v, unsigned bits, unsigned nfmt)
{
	uint32_t max = bits < 32 ? (1u << bits) - 1 : UINT32_MAX, smax = max >> 1;
	float f = at_f32(v);
	int32_t s = v;

	switch (nfmt) {
	case NUM_UNORM:
		return (uint32_t)rint(clamp(f, 0, 1) * max);
	case NUM_SNORM:
		return f == f ? (uint32_t)(int32_t)rint(clamp(f, -1, 1) * smax) & max : 0;
	case NUM_USCALED:
		return (uint32_t)clamp(f, 0, max);
	case NUM_SSCALED:
		return f == f ? (uint32_t)(int32_t)clamp(f, -(double)smax - 1, smax) & max : 0;
	case NUM_UINT:
		return v < max ? v : max;
	case NUM_SINT:
		if (bits == 32)
			return v;
		return (uint32_t)(s > (int32_t)smax ? (int32_t)smax : s < -(int32_t)smax - 1 ? -(int32_t)smax - 1 : s) & max;
	case NUM_FLOAT:
		if (bits == 32)
			return v;
		if (bits == 16)
			return at_to_half(f);
		return f > 0 ? at_to_half(f) >> (15 - bits) & max : 0;
	default:
		return v & max;
	}
}

/* Which format: MTBUF's own, or the resource's. Typed by the instruction: components are not selected. */
static void pick_format(const struct isa_inst *inst, struct resource *r)
{
	if (inst->format != ISA_FMT_MTBUF)
		return;
	r->data_format = inst->dfmt & 15;
	r->num_format = inst->nfmt & 7;
	for (int i = 0; i < 4; i++)
		r->dst_sel[i] = 4 + i;
}

/* d16: halves, two a register; integers are cut to 16 bits. */
static uint16_t to_d16(uint32_t v, unsigned nfmt)
{
	return nfmt == NUM_UINT || nfmt == NUM_SINT ? v : at_to_half(at_f32(v));
}

static uint32_t from_d16(uint16_t v, unsigned nfmt)
{
	if (nfmt == NUM_UINT)
		return v;
	return nfmt == NUM_SINT ? (uint32_t)(int16_t)v : at_u32(at_half(v));
}

enum d16 { D16_NO, D16_YES, D16_HI };

/* vmem_there() of elements, which lie in one piece and are in range whole or not at all. */
static bool format_there(struct exec_ctx *ctx, const struct vmem_access *a, unsigned bytes, uint32_t prot)
{
	struct vmem_access whole = *a;

	whole.step = 4;
	whole.mask &= a->in[(bytes - 1) / 4];
	whole.in[0] = whole.in[1] = whole.in[2] = whole.in[3] = UINT64_MAX;
	return vmem_there(ctx, &whole, bytes, prot);
}

static void format_load(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned comps, enum d16 d16)
{
	uint32_t to_lds[WAVE_LANES] = {0};
	struct vmem_access a;
	struct resource r;
	unsigned bytes;

	if (!get_resource(ctx, w, inst, &r))
		return;
	pick_format(inst, &r);
	bytes = format_bytes(r.data_format);
	if (!bytes) {
		exec_illegal(ctx, w, inst);
		return;
	}
	buffer_address(w, inst, &r, bytes, &a);
	if (!format_there(ctx, &a, bytes, GPU_PROT_READ))
		return;
	for (uint64_t m = a.mask; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m), bit = 0;
		bool in = a.in[(bytes - 1) / 4] >> lane & 1, real = r.num_format >= NUM_UINT && r.num_format != NUM_FLOAT;
		uint32_t raw[4] = {0}, value[4] = {0, 0, 0, real ? 1 : 0x3f800000};

		if (in && !exec_mem_read(ctx, a.addr[lane], raw, bytes))
			return;
		for (unsigned i = 0; i < 4; i++) {
			unsigned bits = formats[r.data_format].bits[i];
			uint64_t two = raw[bit / 32] | (uint64_t)(bit / 32 < 3 ? raw[bit / 32 + 1] : 0) << 32;

			if (!bits)
				continue;
			value[i] = from_format((uint32_t)(two >> bit % 32) & (bits < 32 ? (1u << bits) - 1 : UINT32_MAX), bits,
					       r.num_format);
			bit += bits;
		}
		for (unsigned i = 0; i < comps; i++) {
			unsigned sel = r.dst_sel[i];
			uint32_t v = !in ? 0 : sel >= 4 ? value[sel - 4] : sel == 1 ? (real ? 1 : 0x3f800000) : 0;
			uint32_t *row = inst->lds ? to_lds : reg_row(w, &inst->dst[0], d16 ? i / 2 : i);

			if (!d16)
				row[lane] = v;
			else if (d16 == D16_HI || (i & 1))
				row[lane] = (row[lane] & (i & 1 ? UINT32_MAX : vmem_kept(w)) & 0xffff) | (uint32_t)to_d16(v, r.num_format) << 16;
			else
				row[lane] = (row[lane] & vmem_kept(w) & 0xffff0000) | to_d16(v, r.num_format);
		}
	}
	if (inst->lds)
		store_row_to_lds(w, inst, to_lds, a.mask);
	else
		clear_fail_code(w, inst);
}

static void format_store(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned comps, enum d16 d16)
{
	struct vmem_access a;
	struct resource r;
	unsigned bytes;

	if (!get_resource(ctx, w, inst, &r))
		return;
	pick_format(inst, &r);
	bytes = format_bytes(r.data_format);
	if (!bytes) {
		exec_illegal(ctx, w, inst);
		return;
	}
	buffer_address(w, inst, &r, bytes, &a);
	if (!format_there(ctx, &a, bytes, GPU_PROT_WRITE))
		return;
	ctx->stored = true;
	for (uint64_t m = a.mask & a.in[(bytes - 1) / 4]; m; m &= m - 1) {
		unsigned lane = __builtin_ctzll(m), bit = 0;
		uint32_t raw[5] = {0};

		for (unsigned i = 0; i < 4; i++) {
			unsigned bits = formats[r.data_format].bits[i];
			uint32_t v = 0;
			uint64_t two;

			if (!bits)
				continue;
			if (i < comps) {
				v = reg_row(w, &inst->src[1], d16 ? i / 2 : i)[lane];
				if (d16)
					v = from_d16(d16 == D16_HI || (i & 1) ? v >> 16 : v, r.num_format);
			}
			two = (uint64_t)to_format(v, bits, r.num_format) << bit % 32;
			raw[bit / 32] |= two;
			raw[bit / 32 + 1] |= two >> 32;
			bit += bits;
		}
		if (!exec_mem_write(ctx, a.addr[lane], raw, bytes))
			return;
	}
}

/* ------------------------------------------------------------------ rows */

/* Loads and stores an LDS dword per lane: memory gets what LDS holds at M0 + offset + 4 * lane. */
MEM_FN(op_store_lds)
{
	uint32_t tmp[1][WAVE_LANES] = {0}, addr[WAVE_LANES];
	uint32_t (*saved)[WAVE_LANES] = w->vgpr;
	const struct isa_operand row = {.kind = ISA_OPND_VGPR, .dwords = 1};
	struct vmem_access a;
	struct resource r;

	if (!get_resource(ctx, w, inst, &r))
		return;
	buffer_address(w, inst, &r, 4, &a);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		addr[l] = (w->sgpr[SGPR_M0] & 0xffff) + inst->offset + 4 * l;
	w->vgpr = tmp;
	lds_load(w, &row, VM_X1, addr, a.mask);
	vmem_store(ctx, w, &row, VM_X1, &a);
	w->vgpr = saved;
}

/* Cache operations: memory is coherent. */
MEM_FN(op_cache)
{
}

#define DEF_LOAD(SPACE, NAME, kind)                                                                                    \
	MEM_FN(op_##NAME)                                                                                              \
	{                                                                                                              \
		buffer_load(ctx, w, inst, kind);                                                                       \
	}
#define DEF_STORE(SPACE, NAME, kind)                                                                                   \
	MEM_FN(op_##NAME)                                                                                              \
	{                                                                                                              \
		buffer_store(ctx, w, inst, kind);                                                                      \
	}
#define DEF_ATOMIC(SPACE, NAME, kind, dwords)                                                                          \
	MEM_FN(op_##NAME)                                                                                              \
	{                                                                                                              \
		buffer_atomic(ctx, w, inst, kind, dwords);                                                             \
	}
#define DEF_FORMAT(SUFFIX, comps, d16)                                                                                 \
	MEM_FN(op_load_format_##SUFFIX)                                                                                \
	{                                                                                                              \
		format_load(ctx, w, inst, comps, d16);                                                                 \
	}                                                                                                              \
	MEM_FN(op_store_format_##SUFFIX)                                                                               \
	{                                                                                                              \
		format_store(ctx, w, inst, comps, d16);                                                                \
	}
#define FORMATS(F)                                                                                                     \
	F(X, 1, D16_NO)                                                                                                \
	F(XY, 2, D16_NO)                                                                                               \
	F(XYZ, 3, D16_NO)                                                                                              \
	F(XYZW, 4, D16_NO)                                                                                             \
	F(D16_X, 1, D16_YES)                                                                                           \
	F(D16_XY, 2, D16_YES)                                                                                          \
	F(D16_XYZ, 3, D16_YES)                                                                                         \
	F(D16_XYZW, 4, D16_YES)
MEM_LOADS(DEF_LOAD, BUFFER)
MEM_STORES(DEF_STORE, BUFFER)
MEM_ATOMICS(DEF_ATOMIC, BUFFER)
MEM_ATOMICS_F32(DEF_ATOMIC, BUFFER)
FORMATS(DEF_FORMAT)
DEF_FORMAT(D16_HI_X, 1, D16_HI)

#define ROW(SPACE, NAME, ...) {ISA_##SPACE##_##NAME, op_##NAME},
#define ROW_FORMAT(SUFFIX, comps, d16)                                                                                 \
	{ISA_BUFFER_LOAD_FORMAT_##SUFFIX, op_load_format_##SUFFIX},                                                    \
		{ISA_BUFFER_STORE_FORMAT_##SUFFIX, op_store_format_##SUFFIX},                                          \
		{ISA_TBUFFER_LOAD_FORMAT_##SUFFIX, op_load_format_##SUFFIX},                                           \
		{ISA_TBUFFER_STORE_FORMAT_##SUFFIX, op_store_format_##SUFFIX},
const struct exec_row exec_rows_buffer[] = {
	MEM_LOADS(ROW, BUFFER) MEM_STORES(ROW, BUFFER) MEM_ATOMICS(ROW, BUFFER) MEM_ATOMICS_F32(ROW, BUFFER)
	FORMATS(ROW_FORMAT)
	{ISA_BUFFER_LOAD_FORMAT_D16_HI_X, op_load_format_D16_HI_X},
	{ISA_BUFFER_STORE_FORMAT_D16_HI_X, op_store_format_D16_HI_X},
	{ISA_BUFFER_STORE_LDS_DWORD, op_store_lds},
	{ISA_BUFFER_WBINVL1, op_cache},
	{ISA_BUFFER_WBINVL1_VOL, op_cache},
	{ISA_BUFFER_WBL2, op_cache},
	{ISA_BUFFER_INVL2, op_cache},
	{ISA_OP_INVALID, NULL},
};
