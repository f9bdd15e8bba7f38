/* SPDX-License-Identifier: MIT */
/*
 * hwreg.c - s_getreg and s_setreg: a bit field of a hardware register.
 *
 * Immediate: bits 5:0 register, 10:6 first bit, 15:11 width minus one. Register numbers and layouts: AMD "Vega" ISA manual,
 * "Hardware register values", and LLVM's AMDGPU "hwreg" operand. Only MODE (and the debug-neutral TRAPSTS) can be written.
 */
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
	HWREG_SH_MEM_BASES = 15,
};

#define STATUS_SCC    (1u << 0)
#define STATUS_EXECZ  (1u << 9)
#define STATUS_VCCZ   (1u << 10)
#define STATUS_IN_TG  (1u << 11)
#define STATUS_VALID  (1u << 16)

static uint32_t hwreg_read(const struct wave *w, unsigned reg)
{
	const struct workgroup *wg = w->wg;
	unsigned granule = wg->target == ISA_GFX90A ? 8 : 4;

	switch (reg) {
	case HWREG_MODE:
		return w->mode;
	case HWREG_STATUS:
		return (w->status & ~(STATUS_SCC | STATUS_EXECZ | STATUS_VCCZ)) | STATUS_VALID | (w->scc ? STATUS_SCC : 0) |
		       (WAVE_EXEC(w) ? 0 : STATUS_EXECZ) | (WAVE_VCC(w) ? 0 : STATUS_VCCZ) |
		       (wg->num_waves > 1 ? STATUS_IN_TG : 0);
	case HWREG_TRAPSTS:
		return w->trapsts;
	case HWREG_HW_ID: /* wave 3:0, SIMD 5:4, CU 11:8, shader engine 14:13; consistent for the wave's life */
		return (w->id & 0xf) | (w->id & 3) << 4 | (wg->cu & 0xf) << 8 | (wg->cu >> 4 & 3) << 13;
	case HWREG_GPR_ALLOC: /* VGPR size 13:8, in granules minus one */
		return ((w->num_vgprs + w->num_agprs) / granule - 1) << 8;
	case HWREG_LDS_ALLOC: /* size 20:12, in 512-byte units */
		return wg->lds_size / 512 << 12;
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
	uint32_t *r;

	field(inst, &reg, &shift, &mask);
	if (reg == HWREG_MODE)
		r = &w->mode;
	else if (reg == HWREG_TRAPSTS)
		r = &w->trapsts;
	else
		return;
	*r = (*r & ~(mask << shift)) | (v & mask) << shift;
}

void op_s_getreg(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	unsigned reg, shift;
	uint32_t mask;

	field(inst, &reg, &shift, &mask);
	exec_set_s32(w, &inst->dst[0], hwreg_read(w, reg) >> shift & mask);
}

void op_s_setreg(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	setreg(w, inst, exec_s32(w, &inst->src[0]));
}

void op_s_setreg_imm32(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)
{
	setreg(w, inst, inst->simm32);
}
