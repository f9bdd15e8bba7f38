/* SPDX-License-Identifier: MIT */
/* valu_vop2.c - the rows of valu_vop2.inc. See valu.h. */
#include "gpu/soft/exec/valu_gen.h"
#include "gpu/soft/exec/valu_vop2.inc"
#include "gpu/soft/exec/valu_row.h"

#define exec_rows_vop2 VALU_SYM(exec_rows_vop2)
extern const struct exec_row exec_rows_vop2[];
const struct exec_row exec_rows_vop2[] = {
#include "gpu/soft/exec/valu_vop2.inc"
	{ ISA_OP_INVALID, NULL },
};
