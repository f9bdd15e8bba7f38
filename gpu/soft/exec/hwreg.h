/* SPDX-License-Identifier: MIT */
/*
 * hwreg.h - bits of the hardware registers MODE and STATUS that several files of exec look at, and what changes them.
 *
 * Layouts: AMD "Vega" ISA manual, "Mode register" and "Status register".
 */
#ifndef GPU_SOFT_EXEC_HWREG_H
#define GPU_SOFT_EXEC_HWREG_H

#include "gpu/soft/exec/exec.h"

#define MODE_FP16_OVFL	 (1u << 23) /* f16 results that overflow are the largest f16 */
#define MODE_GPR_IDX_EN	 (1u << 27)
#define MODE_VSKIP	 (1u << 28) /* vector instructions are passed over */
#define MODE_CSP_SHIFT	 29	    /* depth of the stack of s_cbranch_*_fork */

#define STATUS_SCC	 (1u << 0)
#define STATUS_SPI_PRIO	 (3u << 1)
#define STATUS_USER_PRIO (3u << 3)
#define STATUS_PRIV	 (1u << 5) /* in the trap handler */
#define STATUS_TRAP_EN	 (1u << 6)
#define STATUS_EXECZ	 (1u << 9)
#define STATUS_VCCZ	 (1u << 10)
#define STATUS_IN_TG	 (1u << 11)
#define STATUS_HALT	 (1u << 13)
#define STATUS_VALID	 (1u << 16)
#define STATUS_DBG_USER	 (1u << 20) /* conditions of s_cbranch_cdbg* */
#define STATUS_DBG_SYS	 (1u << 21)

/* The whole STATUS register as the program sees it. */
uint32_t exec_status(const struct wave *w);
/* Sets MODE; takes care of VSKIP. */
void exec_set_mode(struct wave *w, uint32_t mode);

#endif
