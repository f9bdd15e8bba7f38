/* SPDX-License-Identifier: MIT */
/*
 * flat.c - FLAT, GLOBAL and SCRATCH instructions.
 *
 * GLOBAL: a 64-bit address, or an SGPR pair plus a 32-bit offset. SCRATCH: a 32-bit private address, swizzled by lane into the memory at
 * FLAT_SCRATCH. FLAT: a 64-bit address whose high half chooses, lane by lane, LDS or scratch if it is that of an aperture, else global memory.
 * Private dword d of lane l lies at FLAT_SCRATCH + 4 * (64 * d + l).
 */
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/memops.h"
#include "gpu/soft/exec/vmem.h"

#define SCRATCH_STEP (4 * WAVE_LANES)

static void all_in_range(struct vmem_access *a)
{
	a->in[0] = a->in[1] = a->in[2] = a->in[3] = UINT64_MAX;
}

static uint64_t flat_scratch(const struct wave *w)
{
	uint64_t v;

	memcpy(&v, &w->sgpr[SGPR_FLAT_SCRATCH], 8);
	return v;
}

static void private_lane(struct vmem_access *a, unsigned lane, uint64_t base, uint32_t off)
{
	a->addr[lane] = base + (uint64_t)(off & ~3u) * WAVE_LANES + 4 * lane + (off & 3);
	a->phase[lane] = off & 3;
}

static void global_address(struct wave *w, const struct isa_inst *inst, struct vmem_access *a)
{
	int64_t off = inst->offset;

	a->mask = WAVE_EXEC(w);
	a->step = 4;
	all_in_range(a);
	if (inst->src[2].kind != ISA_OPND_NONE) {
		const uint32_t *lo = reg_row(w, &inst->src[0], 0);

		off += exec_s64(w, &inst->src[2]);
		for (unsigned l = 0; l < WAVE_LANES; l++)
			a->addr[l] = off + lo[l];
	} else {
		const uint32_t *lo = reg_row(w, &inst->src[0], 0), *hi = lo + WAVE_LANES;

		for (unsigned l = 0; l < WAVE_LANES; l++)
			a->addr[l] = (lo[l] | (uint64_t)hi[l] << 32) + off;
	}
}

static void scratch_address(struct wave *w, const struct isa_inst *inst, struct vmem_access *a)
{
	const uint32_t *v = inst->src[0].kind != ISA_OPND_NONE ? reg_row(w, &inst->src[0], 0) : NULL;
	uint32_t off = inst->offset + (inst->src[2].kind != ISA_OPND_NONE ? exec_s32(w, &inst->src[2]) : 0);
	uint64_t base = flat_scratch(w);

	a->mask = WAVE_EXEC(w);
	a->step = SCRATCH_STEP;
	all_in_range(a);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		private_lane(a, l, base, off + (v ? v[l] : 0));
}

/* A FLAT access, split by where its lanes point. What is global is done first, so all must be there before (pageable memory). */
struct flat_split {
	struct vmem_access global, scratch;
	uint32_t lds[WAVE_LANES];
	uint64_t lds_mask;
};

/* True if all lanes are global (only ->global is filled in then). */
static bool flat_address(struct wave *w, const struct isa_inst *inst, struct flat_split *f)
{
	const uint32_t *lo = reg_row(w, &inst->src[0], 0), *hi = lo + WAVE_LANES;
	uint32_t shared = w->wg->shared_base >> 32, private = w->wg->private_base >> 32;
	uint64_t lds = 0, scratch = 0, base;

	f->global.step = 4;
	all_in_range(&f->global);
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		f->global.addr[l] = (lo[l] | (uint64_t)hi[l] << 32) + inst->offset;
		lds |= (uint64_t)(hi[l] == shared) << l;
		scratch |= (uint64_t)(hi[l] == private) << l;
	}
	lds &= WAVE_EXEC(w);
	scratch &= WAVE_EXEC(w);
	f->global.mask = WAVE_EXEC(w) & ~(lds | scratch);
	if (!(lds | scratch))
		return true;
	f->lds_mask = lds;
	f->scratch.mask = scratch;
	f->scratch.step = SCRATCH_STEP;
	all_in_range(&f->scratch);
	base = flat_scratch(w);
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		f->lds[l] = lo[l] + inst->offset;
		private_lane(&f->scratch, l, base, lo[l] + inst->offset);
	}
	return false;
}

static void flat_load(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum vmem_kind kind)
{
	struct flat_split f;
	bool global = flat_address(w, inst, &f);

	if (!global && !(vmem_there(ctx, &f.global, vmem_bytes(kind), GPU_PROT_READ) && vmem_there(ctx, &f.scratch, vmem_bytes(kind), GPU_PROT_READ)))
		return;
	if (f.global.mask && !vmem_load(ctx, w, &inst->dst[0], kind, &f.global))
		return;
	if (global)
		return;
	if (f.scratch.mask && !vmem_load(ctx, w, &inst->dst[0], kind, &f.scratch))
		return;
	lds_load(w, &inst->dst[0], kind, f.lds, f.lds_mask);
}

static void flat_store(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum vmem_kind kind)
{
	struct flat_split f;
	bool global = flat_address(w, inst, &f);

	if (!global && !(vmem_there(ctx, &f.global, vmem_bytes(kind), GPU_PROT_WRITE) && vmem_there(ctx, &f.scratch, vmem_bytes(kind), GPU_PROT_WRITE)))
		return;
	if (f.global.mask && !vmem_store(ctx, w, &inst->src[1], kind, &f.global))
		return;
	if (global)
		return;
	if (f.scratch.mask && !vmem_store(ctx, w, &inst->src[1], kind, &f.scratch))
		return;
	lds_store(w, &inst->src[1], kind, f.lds, f.lds_mask);
}

/* Atomics return the old value when glc is set. */
static const struct isa_operand *atomic_dst(const struct isa_inst *inst)
{
	return inst->glc && inst->dst[0].kind != ISA_OPND_NONE ? &inst->dst[0] : NULL;
}

static void flat_atomic(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum atomic_kind kind, unsigned dwords)
{
	const struct isa_operand *dst = atomic_dst(inst), *data = &inst->src[1];
	struct flat_split f;
	struct isa_operand cmp = *data;
	bool global = flat_address(w, inst, &f);

	if (!global && !(vmem_there(ctx, &f.global, 4 * dwords, GPU_PROT_READ | GPU_PROT_WRITE) && vmem_there(ctx, &f.scratch, 4 * dwords, GPU_PROT_READ | GPU_PROT_WRITE)))
		return;
	if (f.global.mask && !vmem_atomic(ctx, w, dst, data, kind, dwords, &f.global))
		return;
	if (global)
		return;
	if (f.scratch.mask && !vmem_atomic(ctx, w, dst, data, kind, dwords, &f.scratch))
		return;
	cmp.index += dwords;
	lds_atomic(w, dst, data, kind == AT_CMPSWAP ? &cmp : NULL, kind, dwords, f.lds, f.lds_mask);
}

#define MEM_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

#define FLAT_LOAD(SPACE, NAME, kind)                                                                                   \
	MEM_FN(op_##SPACE##_##NAME)                                                                                    \
	{                                                                                                              \
		flat_load(ctx, w, inst, kind);                                                                         \
	}
#define FLAT_STORE(SPACE, NAME, kind)                                                                                  \
	MEM_FN(op_##SPACE##_##NAME)                                                                                    \
	{                                                                                                              \
		flat_store(ctx, w, inst, kind);                                                                        \
	}
#define FLAT_ATOMIC(SPACE, NAME, kind, dwords)                                                                         \
	MEM_FN(op_##SPACE##_##NAME)                                                                                    \
	{                                                                                                              \
		flat_atomic(ctx, w, inst, kind, dwords);                                                               \
	}
MEM_LOADS(FLAT_LOAD, FLAT)
MEM_STORES(FLAT_STORE, FLAT)
MEM_ATOMICS(FLAT_ATOMIC, FLAT)

#define address_GLOBAL	global_address
#define address_SCRATCH scratch_address
#define PLAIN_LOAD(SPACE, NAME, kind)                                                                                  \
	MEM_FN(op_##SPACE##_##NAME)                                                                                    \
	{                                                                                                              \
		struct vmem_access a;                                                                                  \
		address_##SPACE(w, inst, &a);                                                                          \
		vmem_load(ctx, w, &inst->dst[0], kind, &a);                                                            \
	}
#define PLAIN_STORE(SPACE, NAME, kind)                                                                                 \
	MEM_FN(op_##SPACE##_##NAME)                                                                                    \
	{                                                                                                              \
		struct vmem_access a;                                                                                  \
		address_##SPACE(w, inst, &a);                                                                          \
		vmem_store(ctx, w, &inst->src[1], kind, &a);                                                           \
	}
#define PLAIN_ATOMIC(SPACE, NAME, kind, dwords)                                                                        \
	MEM_FN(op_##SPACE##_##NAME)                                                                                    \
	{                                                                                                              \
		struct vmem_access a;                                                                                  \
		address_##SPACE(w, inst, &a);                                                                          \
		vmem_atomic(ctx, w, atomic_dst(inst), &inst->src[1], kind, dwords, &a);                                \
	}
MEM_LOADS(PLAIN_LOAD, GLOBAL)
MEM_STORES(PLAIN_STORE, GLOBAL)
MEM_ATOMICS(PLAIN_ATOMIC, GLOBAL)
MEM_ATOMICS_F32(PLAIN_ATOMIC, GLOBAL)
MEM_LOADS(PLAIN_LOAD, SCRATCH)
MEM_STORES(PLAIN_STORE, SCRATCH)

#define ROW(SPACE, NAME, ...) {ISA_##SPACE##_##NAME, op_##SPACE##_##NAME},
const struct exec_row exec_rows_flat[] = {
	MEM_LOADS(ROW, FLAT) MEM_STORES(ROW, FLAT) MEM_ATOMICS(ROW, FLAT)
	MEM_LOADS(ROW, GLOBAL) MEM_STORES(ROW, GLOBAL) MEM_ATOMICS(ROW, GLOBAL) MEM_ATOMICS_F32(ROW, GLOBAL)
	MEM_LOADS(ROW, SCRATCH) MEM_STORES(ROW, SCRATCH)
	{ISA_OP_INVALID, NULL},
};
