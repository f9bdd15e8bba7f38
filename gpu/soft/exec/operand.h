/* SPDX-License-Identifier: MIT */
/*
 * operand.h - scalar operands and register rows, shared by the files of exec that read or write them.
 *
 * The code cache (code.c) refuses instructions whose operands reach beyond the scalar file, and the run loop those beyond the
 * wave's vector registers, so nothing is checked again here.
 */
#ifndef GPU_SOFT_EXEC_OPERAND_H
#define GPU_SOFT_EXEC_OPERAND_H

#include <string.h>

#include "gpu/soft/soft.h"

/* Scalar source codes of read-only values. */
enum {
	SRC_SHARED_BASE = 235,
	SRC_SHARED_LIMIT,
	SRC_PRIVATE_BASE,
	SRC_PRIVATE_LIMIT,
	SRC_POPS_EXITING,
	SRC_VCCZ = 251,
	SRC_EXECZ,
	SRC_SCC,
};

/* Value of a SPECIAL operand, 64 bits wide. */
static inline uint64_t exec_special(const struct wave *w, unsigned code)
{
	switch (code) {
	case SRC_SHARED_BASE:
		return w->wg->shared_base;
	case SRC_SHARED_LIMIT:
		return w->wg->shared_base | UINT32_MAX;
	case SRC_PRIVATE_BASE:
		return w->wg->private_base;
	case SRC_PRIVATE_LIMIT:
		return w->wg->private_base | UINT32_MAX;
	case SRC_VCCZ:
		return WAVE_VCC(w) == 0;
	case SRC_EXECZ:
		return WAVE_EXEC(w) == 0;
	case SRC_SCC:
		return w->scc;
	default:
		return 0;
	}
}

/* The aperture registers hold the high half; a 32-bit read gives that half (their low half is 0 by construction). */
static inline uint32_t exec_s32(const struct wave *w, const struct isa_operand *o)
{
	if (o->kind == ISA_OPND_SGPR)
		return w->sgpr[o->index];
	if (o->kind == ISA_OPND_CONST)
		return o->value;
	if (o->kind == ISA_OPND_SPECIAL) {
		uint64_t v = exec_special(w, o->index);

		return o->index < SRC_VCCZ ? v >> 32 : v;
	}
	return 0;
}

static inline uint64_t exec_s64(const struct wave *w, const struct isa_operand *o)
{
	uint64_t v = 0;

	if (o->kind == ISA_OPND_SGPR)
		memcpy(&v, &w->sgpr[o->index], 8);
	else if (o->kind == ISA_OPND_CONST)
		v = o->value;
	else if (o->kind == ISA_OPND_SPECIAL)
		v = exec_special(w, o->index);
	return v;
}

static inline void exec_set_s32(struct wave *w, const struct isa_operand *o, uint32_t v)
{
	if (o->kind == ISA_OPND_SGPR)
		w->sgpr[o->index] = v;
}

static inline void exec_set_s64(struct wave *w, const struct isa_operand *o, uint64_t v)
{
	if (o->kind == ISA_OPND_SGPR)
		memcpy(&w->sgpr[o->index], &v, 8);
}

/* Row i of a VGPR or AGPR operand: 64 dwords. */
static inline uint32_t *reg_row(struct wave *w, const struct isa_operand *o, unsigned i)
{
	return o->kind == ISA_OPND_AGPR ? w->agpr[o->index + i] : w->vgpr[o->index + i];
}

#endif
