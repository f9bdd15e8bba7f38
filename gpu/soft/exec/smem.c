/* SPDX-License-Identifier: MIT */
/*
 * smem.c - scalar memory: loads and stores of consecutive dwords to and from SGPRs, atomics, the clocks, and the scalar cache's operations.
 *
 * The scalar cache is not modelled: memory is coherent, so its write-back, invalidate and discard do nothing.
 */
#include <time.h>

#include "gpu/soft/exec/atomic.h"
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/operand.h"

#define SMEM_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

/* Byte offset of the instruction: immediate and/or SGPR. */
static int64_t smem_offset(const struct wave *w, const struct isa_inst *inst)
{
	int64_t off = inst->offset;

	if (inst->src[1].kind != ISA_OPND_NONE)
		off += exec_s32(w, &inst->src[1]);
	return off;
}

/* Dwords to SGPRs from dst. Consecutive dwords of one page are read without looking again. */
static void load(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, uint64_t va, unsigned dwords)
{
	uint32_t v[16];
	const uint8_t *p;

	if (!mem_want(ctx, va, 4 * dwords, GPU_PROT_READ))
		return;
	p = mem_translate(ctx->view, va, GPU_PROT_READ);
	if (p && (va & MEM_PAGE_MASK) + 4 * dwords <= MEM_PAGE_SIZE) {
		for (unsigned i = 0; i < dwords; i++)
			v[i] = guest_load32(p + 4 * i);
	} else if (!exec_mem_read(ctx, va, v, 4 * dwords)) {
		return;
	}
	if (inst->dst[0].kind == ISA_OPND_SGPR && inst->dst[0].index + dwords <= WAVE_SGPRS)
		memcpy(&w->sgpr[inst->dst[0].index], v, 4 * dwords);
}

static void s_load(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords)
{
	load(ctx, w, inst, (exec_s64(w, &inst->src[0]) + smem_offset(w, inst)) & ~3ull, dwords);
}

/* The V# of a buffer instruction; NULL (and an error) if it would lie beyond the scalar file. */
static const uint32_t *resource(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	if (inst->src[0].kind == ISA_OPND_SGPR && inst->src[0].index + 4 <= WAVE_SGPRS)
		return &w->sgpr[inst->src[0].index];
	exec_illegal(ctx, w, inst);
	return NULL;
}

/* Size in bytes of the buffer that V# describes. */
static uint64_t buffer_bytes(const uint32_t *v)
{
	uint32_t stride = v[1] >> 16 & 0x3fff;

	return stride ? (uint64_t)stride * v[2] : v[2];
}

static uint64_t buffer_base(const uint32_t *v)
{
	return v[0] | (uint64_t)(v[1] & 0xffff) << 32;
}

static void s_buffer_load(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords)
{
	const uint32_t *v = resource(ctx, w, inst);
	uint64_t off = smem_offset(w, inst) & ~3ull, bytes, base;
	uint32_t out[16] = {0};

	if (!v)
		return;
	bytes = buffer_bytes(v);
	base = buffer_base(v);
	if (off + 4ull * dwords <= bytes) {
		load(ctx, w, inst, base + off, dwords);
		return;
	}
	if (inst->dst[0].kind != ISA_OPND_SGPR || inst->dst[0].index + dwords > WAVE_SGPRS)
		return;
	if (off < bytes && !mem_want(ctx, base + off, (uint32_t)(bytes - off), GPU_PROT_READ))
		return;
	/* Dwords beyond the buffer read as 0. */
	for (unsigned i = 0; i < dwords && off + 4 * i + 4 <= bytes; i++)
		if (!exec_mem_read(ctx, base + off + 4 * i, &out[i], 4))
			return;
	memcpy(&w->sgpr[inst->dst[0].index], out, 4 * dwords);
}

static void store(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, uint64_t va, unsigned dwords)
{
	const struct isa_operand *data = inst->src[2].kind ? &inst->src[2] : &inst->dst[0];

	if (!mem_want(ctx, va, 4 * dwords, GPU_PROT_WRITE))
		return;
	if (data->kind == ISA_OPND_SGPR && data->index + dwords <= WAVE_SGPRS)
		exec_mem_write(ctx, va, &w->sgpr[data->index], 4 * dwords);
	ctx->stored = true;
}

static void s_store(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords)
{
	store(ctx, w, inst, (exec_s64(w, &inst->src[0]) + smem_offset(w, inst)) & ~3ull, dwords);
}

static void s_buffer_store(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords)
{
	const uint32_t *v = resource(ctx, w, inst);
	uint64_t off = smem_offset(w, inst) & ~3ull;

	if (v && off + 4ull * dwords <= buffer_bytes(v))
		store(ctx, w, inst, buffer_base(v) + off, dwords);
}

/* s_scratch: the offset register is scaled by 64, so that it is the address of a wave's slot in units of lanes. */
static uint64_t scratch_address(const struct wave *w, const struct isa_inst *inst)
{
	uint64_t off = inst->src[1].kind ? (uint64_t)exec_s32(w, &inst->src[1]) * WAVE_LANES : 0;

	return (exec_s64(w, &inst->src[0]) + off + inst->offset) & ~3ull;
}

#define SIZES(name, call)                                                                                              \
	SMEM_FN(op_##name##_x1)                                                                                        \
	{                                                                                                              \
		call(ctx, w, inst, 1);                                                                                 \
	}                                                                                                              \
	SMEM_FN(op_##name##_x2)                                                                                        \
	{                                                                                                              \
		call(ctx, w, inst, 2);                                                                                 \
	}                                                                                                              \
	SMEM_FN(op_##name##_x4)                                                                                        \
	{                                                                                                              \
		call(ctx, w, inst, 4);                                                                                 \
	}
#define SIZES_WIDE(name, call)                                                                                         \
	SIZES(name, call)                                                                                              \
	SMEM_FN(op_##name##_x8)                                                                                        \
	{                                                                                                              \
		call(ctx, w, inst, 8);                                                                                 \
	}                                                                                                              \
	SMEM_FN(op_##name##_x16)                                                                                       \
	{                                                                                                              \
		call(ctx, w, inst, 16);                                                                                \
	}

static void s_scratch_load(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords)
{
	load(ctx, w, inst, scratch_address(w, inst), dwords);
}

static void s_scratch_store(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, unsigned dwords)
{
	store(ctx, w, inst, scratch_address(w, inst), dwords);
}

SIZES_WIDE(load, s_load)
SIZES_WIDE(buffer_load, s_buffer_load)
SIZES(store, s_store)
SIZES(buffer_store, s_buffer_store)
SIZES(scratch_load, s_scratch_load)
SIZES(scratch_store, s_scratch_store)

/*
 * One atomic of 1 or 2 dwords at va. The data registers hold the operand (cmpswap: the new value, then the one compared), and get the old value with glc. As
 * with vector atomics, an address that is not a multiple of the size is a memory fault.
 */
static void atomic(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, uint64_t va, enum atomic_kind kind, unsigned dwords)
{
	const struct isa_operand *o = inst->src[2].kind ? &inst->src[2] : &inst->dst[0];
	unsigned used = kind == AT_CMPSWAP ? 2 * dwords : dwords;
	uint64_t data = 0, cmp = 0, old;
	uint8_t *p;

	if (o->kind != ISA_OPND_SGPR || o->index + used > WAVE_SGPRS) {
		exec_illegal(ctx, w, inst);
		return;
	}
	if (!mem_want(ctx, va, 4 * dwords, GPU_PROT_READ | GPU_PROT_WRITE))
		return;
	p = va & (4 * dwords - 1) ? NULL : mem_translate(ctx->view, va, GPU_PROT_READ | GPU_PROT_WRITE);
	if (!p) {
		exec_memory_fault(ctx, va, GPU_PROT_WRITE);
		return;
	}
	memcpy(&data, &w->sgpr[o->index], 4 * dwords);
	if (kind == AT_CMPSWAP)
		memcpy(&cmp, &w->sgpr[o->index + dwords], 4 * dwords);
	old = dwords == 2 ? atomic_host64(kind, p, data, cmp) : atomic_host32(kind, p, data, cmp);
	if (inst->glc)
		memcpy(&w->sgpr[o->index], &old, 4 * dwords);
}

static void s_atomic(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum atomic_kind kind, unsigned dwords)
{
	atomic(ctx, w, inst, (exec_s64(w, &inst->src[0]) + smem_offset(w, inst)) & ~3ull, kind, dwords);
}

/* Beyond the buffer nothing is changed and 0 read. */
static void s_buffer_atomic(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, enum atomic_kind kind, unsigned dwords)
{
	const struct isa_operand *o = inst->src[2].kind ? &inst->src[2] : &inst->dst[0];
	const uint32_t *v = resource(ctx, w, inst);
	uint64_t off = smem_offset(w, inst) & ~3ull;

	if (!v)
		return;
	if (off + 4ull * dwords <= buffer_bytes(v))
		atomic(ctx, w, inst, buffer_base(v) + off, kind, dwords);
	else if (inst->glc && o->kind == ISA_OPND_SGPR && o->index + dwords <= WAVE_SGPRS)
		memset(&w->sgpr[o->index], 0, 4 * dwords);
}

#define SMEM_ATOMICS(X)                                                                                                \
	X(SWAP, AT_SWAP)                                                                                               \
	X(CMPSWAP, AT_CMPSWAP)                                                                                         \
	X(ADD, AT_ADD)                                                                                                 \
	X(SUB, AT_SUB)                                                                                                 \
	X(SMIN, AT_SMIN)                                                                                               \
	X(UMIN, AT_UMIN)                                                                                               \
	X(SMAX, AT_SMAX)                                                                                               \
	X(UMAX, AT_UMAX)                                                                                               \
	X(AND, AT_AND)                                                                                                 \
	X(OR, AT_OR)                                                                                                   \
	X(XOR, AT_XOR)                                                                                                 \
	X(INC, AT_INC)                                                                                                 \
	X(DEC, AT_DEC)
#define DEF_ATOMIC(NAME, kind)                                                                                         \
	SMEM_FN(op_atomic_##NAME)                                                                                      \
	{                                                                                                              \
		s_atomic(ctx, w, inst, kind, 1);                                                                       \
	}                                                                                                              \
	SMEM_FN(op_atomic_##NAME##_x2)                                                                                 \
	{                                                                                                              \
		s_atomic(ctx, w, inst, kind, 2);                                                                       \
	}                                                                                                              \
	SMEM_FN(op_buffer_atomic_##NAME)                                                                               \
	{                                                                                                              \
		s_buffer_atomic(ctx, w, inst, kind, 1);                                                                \
	}                                                                                                              \
	SMEM_FN(op_buffer_atomic_##NAME##_x2)                                                                          \
	{                                                                                                              \
		s_buffer_atomic(ctx, w, inst, kind, 2);                                                                \
	}
SMEM_ATOMICS(DEF_ATOMIC)

static uint64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* Core clock: 1 GHz, monotonic. */
SMEM_FN(op_memtime)
{
	exec_set_s64(w, &inst->dst[0], nanoseconds());
}

/* Reference clock: 100 MHz, the same as gpu_clock(). */
SMEM_FN(op_memrealtime)
{
	exec_set_s64(w, &inst->dst[0], nanoseconds() / 10);
}

SMEM_FN(op_nothing)
{
}

#define ROWS_ATOMIC(NAME, kind)                                                                                        \
	{ISA_S_ATOMIC_##NAME, op_atomic_##NAME}, {ISA_S_ATOMIC_##NAME##_X2, op_atomic_##NAME##_x2},                    \
		{ISA_S_BUFFER_ATOMIC_##NAME, op_buffer_atomic_##NAME},                                                 \
		{ISA_S_BUFFER_ATOMIC_##NAME##_X2, op_buffer_atomic_##NAME##_x2},
const struct exec_row exec_rows_smem[] = {
	SMEM_ATOMICS(ROWS_ATOMIC)
	{ISA_S_LOAD_DWORD, op_load_x1},
	{ISA_S_LOAD_DWORDX2, op_load_x2},
	{ISA_S_LOAD_DWORDX4, op_load_x4},
	{ISA_S_LOAD_DWORDX8, op_load_x8},
	{ISA_S_LOAD_DWORDX16, op_load_x16},
	{ISA_S_BUFFER_LOAD_DWORD, op_buffer_load_x1},
	{ISA_S_BUFFER_LOAD_DWORDX2, op_buffer_load_x2},
	{ISA_S_BUFFER_LOAD_DWORDX4, op_buffer_load_x4},
	{ISA_S_BUFFER_LOAD_DWORDX8, op_buffer_load_x8},
	{ISA_S_BUFFER_LOAD_DWORDX16, op_buffer_load_x16},
	{ISA_S_STORE_DWORD, op_store_x1},
	{ISA_S_STORE_DWORDX2, op_store_x2},
	{ISA_S_STORE_DWORDX4, op_store_x4},
	{ISA_S_BUFFER_STORE_DWORD, op_buffer_store_x1},
	{ISA_S_BUFFER_STORE_DWORDX2, op_buffer_store_x2},
	{ISA_S_BUFFER_STORE_DWORDX4, op_buffer_store_x4},
	{ISA_S_SCRATCH_LOAD_DWORD, op_scratch_load_x1},
	{ISA_S_SCRATCH_LOAD_DWORDX2, op_scratch_load_x2},
	{ISA_S_SCRATCH_LOAD_DWORDX4, op_scratch_load_x4},
	{ISA_S_SCRATCH_STORE_DWORD, op_scratch_store_x1},
	{ISA_S_SCRATCH_STORE_DWORDX2, op_scratch_store_x2},
	{ISA_S_SCRATCH_STORE_DWORDX4, op_scratch_store_x4},
	{ISA_S_MEMTIME, op_memtime},
	{ISA_S_MEMREALTIME, op_memrealtime},
	{ISA_S_DCACHE_INV, op_nothing},
	{ISA_S_DCACHE_INV_VOL, op_nothing},
	{ISA_S_DCACHE_WB, op_nothing},
	{ISA_S_DCACHE_WB_VOL, op_nothing},
	{ISA_S_DCACHE_DISCARD, op_nothing},
	{ISA_S_DCACHE_DISCARD_X2, op_nothing},
	{ISA_S_ATC_PROBE, op_nothing},
	{ISA_S_ATC_PROBE_BUFFER, op_nothing},
	{ISA_OP_INVALID, NULL},
};
