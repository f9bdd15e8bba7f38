/* SPDX-License-Identifier: MIT */
/*
 * trap.c - traps and trap handlers: s_trap, s_rfe, s_sethalt, messages.
 *
 * A GPU process may have a trap handler (KFD's SET_TRAP_HANDLER): TBA is its code, TMA an address it gets. s_trap then goes on there, with STATUS.PRIV
 * set, and s_rfe returns. On hardware the driver's own first handler comes before it; its register contract is kept here ("ABI between first and second
 * level trap handler" in ROCr's trap_handler.s):
 *   ttmp0, 1    PC[47:0] of the s_trap, trap id in bits 55:48, 0 above (not a host trap)
 *   ttmp11      bits 5:0 the wave's number in its work-group; bit 6 and bit 23 (no scratch, debugger attached) 0
 *   ttmp12      STATUS
 *   ttmp14, 15  TMA
 *
 * Without a handler s_trap 3 (the debugger's) does nothing and others end the queue with an error. So does a wave that halts itself, as nobody could
 * let it go on: a handler tells of an exception by a message to the driver and then halts the wave; it's the trap it was entered for that is reported.
 */
#define LOG_PART "exec"
#include "base/log.h"
#include "gpu/soft/exec/code.h"
#include "gpu/soft/exec/hwreg.h"
#include "gpu/soft/exec/operand.h"

#define TRAP_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

#define SGPR_TTMP	 108
#define TRAP_DEBUGGER	 3
#define PC_MASK		 ((1ull << 48) - 1)
#define TTMP11_OWN	 (0x7fu | 1u << 23) /* bits this file sets */

enum { MSG_INTERRUPT = 1, MSG_GET_DOORBELL = 10 };

static void end_queue(struct exec_ctx *ctx, struct wave *w, unsigned trap_id)
{
	w->wg->fault = (struct exec_fault){.trap_id = trap_id, .pc = ctx->pc};
	ctx->error = EXEC_TRAP;
}

TRAP_FN(op_trap)
{
	uint32_t *ttmp = &w->sgpr[SGPR_TTMP], id = inst->simm & 0xff;
	const struct workgroup *wg = w->wg;

	if (!wg->tba || (w->status & STATUS_PRIV)) {
		if (id != TRAP_DEBUGGER)
			end_queue(ctx, w, id);
		return;
	}
	ttmp[0] = ctx->pc;
	ttmp[1] = (ctx->pc >> 32 & 0xffff) | id << 16;
	ttmp[11] = (ttmp[11] & ~TTMP11_OWN) | (w->id & 0x3f);
	ttmp[12] = exec_status(w);
	ttmp[14] = wg->tma;
	ttmp[15] = wg->tma >> 32;
	log_debug("trap %u at 0x%llx goes to the handler", id, (unsigned long long)ctx->pc);
	w->trap_id = id;
	w->status |= STATUS_PRIV;
	w->pc = wg->tba;
}

/* Stops the wave for good, unless it runs in the handler: there HALT counts after the return. */
static void halt(struct exec_ctx *ctx, struct wave *w)
{
	if ((w->status & (STATUS_HALT | STATUS_PRIV)) != STATUS_HALT)
		return;
	if (!w->trap_id)
		log_warn("the wave halts itself at 0x%llx: there is no debugger", (unsigned long long)ctx->pc);
	end_queue(ctx, w, w->trap_id ? w->trap_id : 1);
}

/* s_rfe_restore_b64 sets a bit of the address translation besides, from S1: not modelled. */
TRAP_FN(op_rfe)
{
	if (!(w->status & STATUS_PRIV)) {
		log_error("s_rfe outside of a trap handler");
		exec_illegal(ctx, w, inst);
		return;
	}
	w->pc = exec_s64(w, &inst->src[0]) & PC_MASK;
	w->status &= ~STATUS_PRIV;
	halt(ctx, w);
}

TRAP_FN(op_sethalt)
{
	w->status = inst->simm & 1 ? w->status | STATUS_HALT : w->status & ~STATUS_HALT;
	halt(ctx, w);
}

/*
 * Messages: the interrupt, and the doorbell's number (in EXEC_LO; bit 31, which the handler sets to wait, is cleared). The others are of graphics,
 * the trap handler of context switches, or the debugger: nobody listens.
 */
TRAP_FN(op_sendmsg)
{
	unsigned msg = inst->simm & 0xffff;

	if ((msg & 0xf) == MSG_GET_DOORBELL) {
		w->sgpr[SGPR_EXEC] = w->wg->doorbell & 0x7fffffff;
		return;
	}
	if (w->wg->message)
		w->wg->message(w->wg, msg | (w->status & STATUS_PRIV ? MSG_FROM_HANDLER : 0), w->sgpr[SGPR_M0]);
	else if ((msg & 0xf) == MSG_INTERRUPT)
		log_warn("s_sendmsg interrupt with nobody to hear it");
}

TRAP_FN(op_sendmsghalt)
{
	op_sendmsg(ctx, w, inst);
	w->status |= STATUS_HALT;
	halt(ctx, w);
}

const struct exec_row exec_rows_trap[] = {
	{ISA_S_TRAP, op_trap},
	{ISA_S_RFE_B64, op_rfe},
	{ISA_S_RFE_RESTORE_B64, op_rfe},
	{ISA_S_SETHALT, op_sethalt},
	{ISA_S_SENDMSG, op_sendmsg},
	{ISA_S_SENDMSGHALT, op_sendmsghalt},
	{ISA_OP_INVALID, NULL},
};
