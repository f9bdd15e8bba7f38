/* SPDX-License-Identifier: MIT */
/*
 * vmem.h - one vector memory access, addresses computed: what FLAT, GLOBAL, SCRATCH and buffer instructions have in common.
 *
 * Consecutive dwords of a lane lie next to each other in ordinary memory and `step` bytes apart in swizzled memory (scratch: dword d of
 * lane l lies at 4 * (64 d + l), so step is 256).
 */
#ifndef GPU_SOFT_EXEC_VMEM_H
#define GPU_SOFT_EXEC_VMEM_H

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "gpu/soft/exec/atomic.h"
#include "gpu/soft/exec/operand.h"
#include "gpu/soft/exec/spread.h"

/* Vector memory and LDS are built for each x86-64 level like the vector ALU (valu.c), with the level's suffix on what they share. */
#ifdef VALU_SUFFIX
#define VMEM_CAT2(a, b) a##b
#define VMEM_CAT(a, b)	VMEM_CAT2(a, b)
#define vmem_there	VMEM_CAT(vmem_there, VALU_SUFFIX)
#define vmem_load	VMEM_CAT(vmem_load, VALU_SUFFIX)
#define vmem_store	VMEM_CAT(vmem_store, VALU_SUFFIX)
#define vmem_atomic	VMEM_CAT(vmem_atomic, VALU_SUFFIX)
#define vmem_spread_load VMEM_CAT(vmem_spread_load, VALU_SUFFIX)
#define vmem_spread_store VMEM_CAT(vmem_spread_store, VALU_SUFFIX)
#define lds_load	VMEM_CAT(lds_load, VALU_SUFFIX)
#define lds_store	VMEM_CAT(lds_store, VALU_SUFFIX)
#define lds_atomic	VMEM_CAT(lds_atomic, VALU_SUFFIX)
#define exec_rows_ds	VMEM_CAT(exec_rows_ds, VALU_SUFFIX)
#define exec_rows_flat	VMEM_CAT(exec_rows_flat, VALU_SUFFIX)
#define exec_rows_buffer VMEM_CAT(exec_rows_buffer, VALU_SUFFIX)
extern const struct exec_row exec_rows_ds[], exec_rows_flat[], exec_rows_buffer[];
#endif

struct vmem_access {
	uint64_t addr[WAVE_LANES];
	uint64_t mask;	  /* lanes that take part */
	uint64_t in[4];	  /* per dword: lanes in range; others load 0 and store nothing. All ones where nothing is bounded */
	uint32_t step;	  /* 4 if linear */
	uint8_t phase[WAVE_LANES]; /* swizzled: address within the dword before swizzling */
};

/* What a load or store moves: bytes, and how a short one is placed. */
enum vmem_kind {
	VM_U8,
	VM_I8,
	VM_U16,
	VM_I16,
	VM_U8_LO, /* d16: to the low or high half; the other half: vmem_kept() */
	VM_U8_HI,
	VM_I8_LO,
	VM_I8_HI,
	VM_16_LO,
	VM_16_HI,
	VM_X1,
	VM_X2,
	VM_X3,
	VM_X4,
};

/*
 * Which bits of the old register d16 loads may keep: the other half, but none where registers have error correction (gfx90a: sramecc+), as
 * the hardware then writes whole dwords, with zeros. Tensile's kernels count on that.
 */
static inline uint32_t vmem_kept(const struct wave *w)
{
	return w->wg->target == ISA_GFX90A ? 0 : UINT32_MAX;
}

/* Dword as a short load of this kind leaves it, given the old register (vmem_kept() of it) and the memory bytes. */
static inline __attribute__((always_inline)) uint32_t vmem_place(enum vmem_kind kind, uint32_t old, uint32_t v)
{
	switch (kind) {
	case VM_U8:
		return (uint8_t)v;
	case VM_I8:
		return (int8_t)v;
	case VM_U16:
		return (uint16_t)v;
	case VM_I16:
		return (int16_t)v;
	case VM_U8_LO:
		return (old & 0xffff0000) | (uint8_t)v;
	case VM_U8_HI:
		return (old & 0xffff) | (uint32_t)(uint8_t)v << 16;
	case VM_I8_LO:
		return (old & 0xffff0000) | (uint16_t)(int8_t)v;
	case VM_I8_HI:
		return (old & 0xffff) | (uint32_t)(int8_t)v << 16;
	case VM_16_LO:
		return (old & 0xffff0000) | (uint16_t)v;
	case VM_16_HI:
		return (old & 0xffff) | v << 16;
	default:
		return v;
	}
}

/* Bytes in memory: 1, 2, or 4 to 16. */
static inline __attribute__((always_inline)) unsigned vmem_bytes(enum vmem_kind kind)
{
	switch (kind) {
	case VM_U8:
	case VM_I8:
	case VM_U8_LO:
	case VM_U8_HI:
	case VM_I8_LO:
	case VM_I8_HI:
		return 1;
	case VM_U16:
	case VM_I16:
	case VM_16_LO:
	case VM_16_HI:
		return 2;
	default:
		return 4 * (kind - VM_X1 + 1);
	}
}

/*
 * Pageable memory: true if all that the lanes access, that many bytes each, is there with prot; else ctx->error is set (mem.h). What follows does
 * so itself; it is for instructions that make several accesses.
 */
bool vmem_there(struct exec_ctx *ctx, const struct vmem_access *a, unsigned bytes, uint32_t prot);
/* Loads to dst's rows. False: error recorded. */
bool vmem_load(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *dst, enum vmem_kind kind, const struct vmem_access *a);
/* Stores data's rows; VM_*_HI take the high half. */
bool vmem_store(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *data, enum vmem_kind kind, const struct vmem_access *a);
/*
 * Atomic of 1 or 2 dwords. data: the operand's rows (cmpswap: new value, then the one compared). dst: where the old value goes, or
 * NULL. A misaligned address is a memory fault, as on hardware.
 */
bool vmem_atomic(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *dst, const struct isa_operand *data,
		 enum atomic_kind kind, unsigned dwords, const struct vmem_access *a);

/* Those of compiled code (spread.h) by range, and where lanes are elsewhere as above. */
vmem_spread_fn vmem_spread_load, vmem_spread_store;

/* Same, on LDS at byte address addr[lane] (lds.c). Reads beyond LDS give 0, writes there are dropped. */
void lds_load(struct wave *w, const struct isa_operand *dst, enum vmem_kind kind, const uint32_t *addr, uint64_t mask);
void lds_store(struct wave *w, const struct isa_operand *data, enum vmem_kind kind, const uint32_t *addr, uint64_t mask);
void lds_atomic(struct wave *w, const struct isa_operand *dst, const struct isa_operand *data, const struct isa_operand *cmp,
		enum atomic_kind kind, unsigned dwords, const uint32_t *addr, uint64_t mask);

#endif
