/* SPDX-License-Identifier: MIT */
/*
 * hwreg.c - s_getreg and s_setreg: a bit field of a hardware register.
 *
 * Immediate: bits 5:0 register, 10:6 first bit, 15:11 width minus one. Register numbers and layouts: AMD "Vega" ISA manual,
 * "Hardware register values", and LLVM's AMDGPU "hwreg" operand. MODE and TRAPSTS can be written, and a trap handler can write STATUS. Floating-point
 * exceptions are not recorded in TRAPSTS, so they never trap.
 */
#include "gpu/soft/exec/hwreg.h"
#include "gpu/soft/exec/exec.h"
#include "gpu/soft/exec/operand.h"

enum {
	HWREG_MODE = 1,
	HWREG_STATUS,
	HWREG_TRAPSTS,
	HWREG_HW_ID,
	HWREG_GPR_ALLOC,
	HWREG_LDS_ALLOC,
	HWREG_IB_STS,
	HWREG_PC_LO,
	HWREG_PC_HI,
	HWREG_SH_MEM_BASES = 15,
	HWREG_TBA_LO,
	HWREG_TBA_HI,
	HWREG_TMA_LO,
	HWREG_TMA_HI,
};

#define STATUS_DERIVED (STATUS_SCC | STATUS_EXECZ | STATUS_VCCZ)
/* What s_setreg may change in a trap handler, besides SCC; outside of one, nothing. */
#define STATUS_WRITABLE (STATUS_SPI_PRIO | STATUS_USER_PRIO | STATUS_HALT | STATUS_DBG_USER | STATUS_DBG_SYS)

uint32_t exec_status(const struct wave *w)
{
	return (w->status & ~STATUS_DERIVED) | STATUS_VALID | (w->scc ? STATUS_SCC : 0) | (WAVE_EXEC(w) ? 0 : STATUS_EXECZ) |
	       (WAVE_VCC(w) ? 0 : STATUS_VCCZ) | (w->wg->num_waves > 1 ? STATUS_IN_TG : 0) | (w->wg->tba ? STATUS_TRAP_EN : 0);
}

/*
 * With VSKIP no vector instruction is executed. The run loop refuses instructions that need more registers than the wave has, and code.c says of
 * every vector instruction that it needs one: so a wave without registers is what makes it look (bad_registers() in run.c).
 */
void exec_set_mode(struct wave *w, uint32_t mode)
{
	bool was = w->mode & MODE_VSKIP, skip = mode & MODE_VSKIP;

	if (skip && !was) {
		w->hidden_vgprs = w->num_vgprs;
		w->hidden_agprs = w->num_agprs;
		w->num_vgprs = w->num_agprs = 0;
	} else if (was && !skip) {
		w->num_vgprs = w->hidden_vgprs;
		w->num_agprs = w->hidden_agprs;
	}
	w->mode = mode;
}

static uint32_t hwreg_read(const struct exec_ctx *ctx, const struct wave *w, unsigned reg)
{
	const struct workgroup *wg = w->wg;
	unsigned granule = wg->target == ISA_GFX90A ? 8 : 4;
	uint32_t registers = w->mode & MODE_VSKIP ? w->hidden_vgprs + w->hidden_agprs : w->num_vgprs + w->num_agprs;

	switch (reg) {
	case HWREG_MODE:
		return w->mode;
	case HWREG_STATUS:
		return exec_status(w);
	case HWREG_TRAPSTS:
		return w->trapsts;
	case HWREG_HW_ID: /* wave 3:0, SIMD 5:4, CU 11:8, shader engine 14:13; consistent for the wave's life */
		return (w->id & 0xf) | (w->id & 3) << 4 | (wg->cu & 0xf) << 8 | (wg->cu >> 4 & 3) << 13;
	case HWREG_GPR_ALLOC: /* VGPR size 13:8, in granules minus one */
		return (registers / granule - 1) << 8;
	case HWREG_LDS_ALLOC: /* size 20:12, in 512-byte units */
		return wg->lds_size / 512 << 12;
	case HWREG_PC_LO:
		return ctx->pc;
	case HWREG_PC_HI:
		return ctx->pc >> 32;
	case HWREG_TBA_LO: /* in units of 256 bytes */
		return wg->tba >> 8;
	case HWREG_TBA_HI:
		return wg->tba >> 40;
	case HWREG_TMA_LO:
		return wg->tma >> 8;
	case HWREG_TMA_HI:
		return wg->tma >> 40;
	case HWREG_SH_MEM_BASES: /* high 16 bits of the apertures: private 15:0, shared 31:16 */
		return wg->private_base >> 48 | (wg->shared_base >> 48 << 16);
	default: /* IB_STS: nothing outstanding, ever. Others read as 0. */
		return 0;
	}
}

static void field(const struct isa_inst *inst, unsigned *reg, unsigned *shift, uint32_t *mask)
{
	unsigned imm = inst->simm & 0xffff, width = (imm >> 11) + 1;

	*reg = imm & 63;
	*shift = imm >> 6 & 31;
	*mask = width < 32 ? (1u << width) - 1 : UINT32_MAX;
}

static void setreg(struct wave *w, const struct isa_inst *inst, uint32_t v)
{
	unsigned reg, shift;
	uint32_t mask;

	field(inst, &reg, &shift, &mask);
	mask <<= shift;
	v = v << shift & mask;
	if (reg == HWREG_MODE) {
		exec_set_mode(w, (w->mode & ~mask) | v);
	} else if (reg == HWREG_TRAPSTS) {
		w->trapsts = (w->trapsts & ~mask) | v;
	} else if (reg == HWREG_STATUS && (w->status & STATUS_PRIV)) {
		if (mask & STATUS_SCC)
			w->scc = v & STATUS_SCC;
		mask &= STATUS_WRITABLE;
		w->status = (w->status & ~mask) | (v & mask);
	}
}

void op_s_getreg(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	unsigned reg, shift;
	uint32_t mask;

	field(inst, &reg, &shift, &mask);
	exec_set_s32(w, &inst->dst[0], hwreg_read(ctx, w, reg) >> shift & mask);
}

void op_s_setreg(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	setreg(w, inst, exec_s32(w, &inst->src[0]));
}

void op_s_setreg_imm32(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	setreg(w, inst, inst->simm32);
}
