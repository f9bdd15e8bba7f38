/* SPDX-License-Identifier: MIT */
/*
 * flow.c - program flow: branches, calls, barriers, waits, messages, traps, and the register-index mode.
 *
 * wave->pc is already the next instruction's address when a function runs; ctx->pc is the instruction's own.
 * s_waitcnt needs nothing of the interpreter's own accesses, which are done in order and complete, but one thing of the host: a
 * sequentially consistent store followed by a load compiles to "store; s_waitcnt vmcnt(0); load", and x86 may pass that load before the
 * store. So a wait after a store to global memory is a full fence. Barriers need none: one thread runs all waves of a work-group.
 */
#define LOG_PART "exec"
#include "base/log.h"
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/operand.h"

#define FLOW_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

#define MODE_GPR_IDX_EN (1u << 27)
#define MSG_INTERRUPT	1

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
CBRANCH(debug, false) /* no debugger is attached: COND_DBG_USER and COND_DBG_SYS are 0 */

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

FLOW_FN(op_endpgm)
{
	w->state = WAVE_ENDED;
	ctx->leave = true;
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

FLOW_FN(op_sendmsg)
{
	if (w->wg->message)
		w->wg->message(w->wg, inst->simm & 0xffff, w->sgpr[SGPR_M0]);
	else if ((inst->simm & 0xf) == MSG_INTERRUPT)
		log_warn("s_sendmsg interrupt with nobody to hear it");
}

/* Trap 3 is the debugger's: without one it does nothing (AMDGPUUsage, "Trap Handler ABI"). The others end the queue. */
FLOW_FN(op_trap)
{
	if ((inst->simm & 0xff) == 3)
		return;
	w->wg->fault = (struct exec_fault){.trap_id = inst->simm & 0xff, .pc = ctx->pc};
	ctx->error = EXEC_TRAP;
}

/* s_sethalt 1: the wave waits for a debugger that does not exist; it takes no more turns of its own but stays. */
FLOW_FN(op_sethalt)
{
	if (!(inst->simm & 1))
		return;
	log_warn("s_sethalt at 0x%llx ends the wave: there is no debugger", (unsigned long long)ctx->pc);
	w->wg->fault = (struct exec_fault){.trap_id = 1, .pc = ctx->pc};
	ctx->error = EXEC_TRAP;
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
	{ISA_S_CBRANCH_CDBGSYS, op_debug},
	{ISA_S_CBRANCH_CDBGUSER, op_debug},
	{ISA_S_CBRANCH_CDBGSYS_OR_USER, op_debug},
	{ISA_S_CBRANCH_CDBGSYS_AND_USER, op_debug},
	{ISA_S_GETPC_B64, op_getpc},
	{ISA_S_SETPC_B64, op_setpc},
	{ISA_S_SWAPPC_B64, op_swappc},
	{ISA_S_CALL_B64, op_call},
	{ISA_S_ENDPGM, op_endpgm},
	{ISA_S_ENDPGM_SAVED, op_endpgm},
	{ISA_S_BARRIER, op_barrier},
	{ISA_S_WAITCNT, op_waitcnt},
	{ISA_S_NOP, op_nothing},
	{ISA_S_SETPRIO, op_nothing},
	{ISA_S_WAKEUP, op_nothing},
	{ISA_S_TTRACEDATA, op_nothing},
	{ISA_S_INCPERFLEVEL, op_nothing},
	{ISA_S_DECPERFLEVEL, op_nothing},
	{ISA_S_SLEEP, op_sleep},
	{ISA_S_SENDMSG, op_sendmsg},
	{ISA_S_TRAP, op_trap},
	{ISA_S_SETHALT, op_sethalt},
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
