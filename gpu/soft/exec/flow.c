/* SPDX-License-Identifier: MIT */
/*
 * flow.c - program flow: branches, forks, calls, barriers, waits, and the modes of register index and vector skip.
 *
 * wave->pc is already the next instruction's address when a function runs; ctx->pc is the instruction's own.
 * s_waitcnt needs nothing of the interpreter's own accesses, which are done in order and complete, but one thing of the host: a
 * sequentially consistent store followed by a load compiles to "store; s_waitcnt vmcnt(0); load", and x86 may pass that load before the
 * store. So a wait after a store to global memory is a full fence. Barriers need none: one thread runs all waves of a work-group.
 */
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/hwreg.h"
#include "gpu/soft/exec/operand.h"

#define FLOW_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

exec_fn op_s_getreg, op_s_setreg, op_s_setreg_imm32; /* hwreg.c */

/* Branch offsets count dwords from the next instruction. */
static void branch(struct wave *w, const struct isa_inst *inst)
{
	w->pc += (int64_t)(int16_t)inst->simm * 4;
}

#define CBRANCH(name, condition)                                                                                       \
	FLOW_FN(op_##name)                                                                                             \
	{                                                                                                              \
		if (condition)                                                                                         \
			branch(w, inst);                                                                               \
	}
CBRANCH(branch, true)
CBRANCH(scc0, !w->scc)
CBRANCH(scc1, w->scc)
CBRANCH(vccz, !WAVE_VCC(w))
CBRANCH(vccnz, WAVE_VCC(w))
CBRANCH(execz, !WAVE_EXEC(w))
CBRANCH(execnz, WAVE_EXEC(w))
CBRANCH(dbg_sys, w->status & STATUS_DBG_SYS)
CBRANCH(dbg_user, w->status & STATUS_DBG_USER)
CBRANCH(dbg_or, w->status & (STATUS_DBG_SYS | STATUS_DBG_USER))
CBRANCH(dbg_and, !(~w->status & (STATUS_DBG_SYS | STATUS_DBG_USER)))

FLOW_FN(op_getpc)
{
	exec_set_s64(w, &inst->dst[0], w->pc);
}

FLOW_FN(op_setpc)
{
	w->pc = exec_s64(w, &inst->src[0]);
}

FLOW_FN(op_swappc)
{
	uint64_t target = exec_s64(w, &inst->src[0]);

	exec_set_s64(w, &inst->dst[0], w->pc);
	w->pc = target;
}

FLOW_FN(op_call)
{
	exec_set_s64(w, &inst->dst[0], w->pc);
	branch(w, inst);
}

/*
 * Divergent branches: the side with fewer lanes goes first, the other's address and EXEC are pushed on a stack in SGPRs (four a level; depth in MODE.CSP). A
 * stack of more levels than MODE can count, or beyond the scalar file, does not exist.
 */
static void diverge(struct wave *w, uint64_t mask, uint64_t target)
{
	uint64_t exec = WAVE_EXEC(w), pass = mask & exec, fail = ~mask & exec, push[2];
	uint32_t csp = w->mode >> MODE_CSP_SHIFT;

	if (pass == exec) {
		w->pc = target;
		return;
	}
	if (fail == exec)
		return;
	if (__builtin_popcountll(fail) < __builtin_popcountll(pass)) {
		push[0] = pass;
		push[1] = target;
		WAVE_EXEC(w) = fail;
	} else {
		push[0] = fail;
		push[1] = w->pc;
		WAVE_EXEC(w) = pass;
		w->pc = target;
	}
	memcpy(&w->sgpr[4 * csp], push, sizeof(push));
	exec_set_mode(w, (w->mode & ~(7u << MODE_CSP_SHIFT)) | (csp + 1) << MODE_CSP_SHIFT);
}

FLOW_FN(op_g_fork)
{
	diverge(w, exec_s64(w, &inst->src[0]), exec_s64(w, &inst->src[1]));
}

FLOW_FN(op_i_fork)
{
	diverge(w, exec_s64(w, &inst->src[0]), w->pc + (int64_t)(int16_t)inst->simm * 4);
}

/* S0 is the depth at which to go on; deeper, the side that was pushed last gets its turn. */
FLOW_FN(op_join)
{
	uint32_t csp = w->mode >> MODE_CSP_SHIFT;
	uint64_t top[2];

	if (csp == exec_s32(w, &inst->src[0]))
		return;
	csp = (csp - 1) & 7;
	memcpy(top, &w->sgpr[4 * csp], sizeof(top));
	exec_set_mode(w, (w->mode & ~(7u << MODE_CSP_SHIFT)) | csp << MODE_CSP_SHIFT);
	WAVE_EXEC(w) = top[0];
	w->pc = top[1];
}

FLOW_FN(op_setvskip)
{
	bool skip = exec_s32(w, &inst->src[0]) >> (exec_s32(w, &inst->src[1]) & 31) & 1;

	exec_set_mode(w, skip ? w->mode | MODE_VSKIP : w->mode & ~MODE_VSKIP);
}

FLOW_FN(op_setprio)
{
	w->status = (w->status & ~STATUS_USER_PRIO) | ((uint32_t)inst->simm & 3) << 3;
}

FLOW_FN(op_endpgm)
{
	w->state = WAVE_ENDED;
	ctx->leave = true;
}

/* The kill bit ends the wave. */
FLOW_FN(op_setkill)
{
	if (inst->simm & 1)
		op_endpgm(ctx, w, inst);
}

FLOW_FN(op_barrier)
{
	if (w->wg->num_waves == 1)
		return;
	w->state = WAVE_BARRIER;
	ctx->leave = true;
}

FLOW_FN(op_waitcnt)
{
	if (ctx->stored) {
		atomic_thread_fence(memory_order_seq_cst);
		ctx->stored = false;
	}
}

FLOW_FN(op_nothing)
{
}

FLOW_FN(op_sleep)
{
	w->sleep = 1;
	ctx->leave = true;
}

FLOW_FN(op_icache_inv)
{
	code_cache_revalidate(w->wg->code);
	ctx->recheck_code = true;
}

/* Register-index mode: M0[7:0] is the index, M0[15:12] says which operands it applies to (src0, src1, src2, dst). */
FLOW_FN(op_gpr_idx_on)
{
	uint32_t *m0 = &w->sgpr[SGPR_M0];

	*m0 = (*m0 & 0xffff0f00) | (exec_s32(w, &inst->src[0]) & 0xff) | (uint32_t)(inst->simm & 0xf) << 12;
	w->mode |= MODE_GPR_IDX_EN;
}

FLOW_FN(op_gpr_idx_off)
{
	w->mode &= ~MODE_GPR_IDX_EN;
}

FLOW_FN(op_gpr_idx_idx)
{
	uint32_t *m0 = &w->sgpr[SGPR_M0];

	*m0 = (*m0 & ~0xffu) | (exec_s32(w, &inst->src[0]) & 0xff);
}

FLOW_FN(op_gpr_idx_mode)
{
	uint32_t *m0 = &w->sgpr[SGPR_M0];

	*m0 = (*m0 & ~0xf000u) | (uint32_t)(inst->simm & 0xf) << 12;
}

const struct exec_row exec_rows_flow[] = {
	{ISA_S_BRANCH, op_branch},
	{ISA_S_CBRANCH_SCC0, op_scc0},
	{ISA_S_CBRANCH_SCC1, op_scc1},
	{ISA_S_CBRANCH_VCCZ, op_vccz},
	{ISA_S_CBRANCH_VCCNZ, op_vccnz},
	{ISA_S_CBRANCH_EXECZ, op_execz},
	{ISA_S_CBRANCH_EXECNZ, op_execnz},
	{ISA_S_CBRANCH_CDBGSYS, op_dbg_sys},
	{ISA_S_CBRANCH_CDBGUSER, op_dbg_user},
	{ISA_S_CBRANCH_CDBGSYS_OR_USER, op_dbg_or},
	{ISA_S_CBRANCH_CDBGSYS_AND_USER, op_dbg_and},
	{ISA_S_GETPC_B64, op_getpc},
	{ISA_S_SETPC_B64, op_setpc},
	{ISA_S_SWAPPC_B64, op_swappc},
	{ISA_S_CALL_B64, op_call},
	{ISA_S_ENDPGM, op_endpgm},
	{ISA_S_ENDPGM_SAVED, op_endpgm},
	{ISA_S_ENDPGM_ORDERED_PS_DONE, op_endpgm},
	{ISA_S_SETKILL, op_setkill},
	{ISA_S_CBRANCH_G_FORK, op_g_fork},
	{ISA_S_CBRANCH_I_FORK, op_i_fork},
	{ISA_S_CBRANCH_JOIN, op_join},
	{ISA_S_SETVSKIP, op_setvskip},
	{ISA_S_BARRIER, op_barrier},
	{ISA_S_WAITCNT, op_waitcnt},
	{ISA_S_NOP, op_nothing},
	{ISA_S_SETPRIO, op_setprio},
	{ISA_S_WAKEUP, op_nothing},
	{ISA_S_TTRACEDATA, op_nothing},
	{ISA_S_INCPERFLEVEL, op_nothing},
	{ISA_S_DECPERFLEVEL, op_nothing},
	{ISA_S_SLEEP, op_sleep},
	{ISA_S_ICACHE_INV, op_icache_inv},
	{ISA_S_SET_GPR_IDX_ON, op_gpr_idx_on},
	{ISA_S_SET_GPR_IDX_OFF, op_gpr_idx_off},
	{ISA_S_SET_GPR_IDX_IDX, op_gpr_idx_idx},
	{ISA_S_SET_GPR_IDX_MODE, op_gpr_idx_mode},
	{ISA_S_GETREG_B32, op_s_getreg},
	{ISA_S_SETREG_B32, op_s_setreg},
	{ISA_S_SETREG_IMM32_B32, op_s_setreg_imm32},
	{ISA_OP_INVALID, NULL},
};
