/* SPDX-License-Identifier: MIT */
/* valu_vop3.c - the rows of valu_vop3.inc. See valu.h. */
#include "gpu/soft/exec/valu_gen.h"
#include "gpu/soft/exec/valu_vop3.inc"
#include "gpu/soft/exec/valu_row.h"

#define exec_rows_vop3 VALU_SYM(exec_rows_vop3)
extern const struct exec_row exec_rows_vop3[];
const struct exec_row exec_rows_vop3[] = {
#include "gpu/soft/exec/valu_vop3.inc"
	{ ISA_OP_INVALID, NULL },
};
