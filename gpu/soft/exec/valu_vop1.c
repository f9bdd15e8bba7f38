/* SPDX-License-Identifier: MIT */
/* valu_vop1.c - the rows of valu_vop1.inc. See valu.h. */
#include "gpu/soft/exec/valu_gen.h"
#include "gpu/soft/exec/valu_vop1.inc"
#include "gpu/soft/exec/valu_row.h"

#define exec_rows_vop1 VALU_SYM(exec_rows_vop1)
extern const struct exec_row exec_rows_vop1[];
const struct exec_row exec_rows_vop1[] = {
#include "gpu/soft/exec/valu_vop1.inc"
	{ ISA_OP_INVALID, NULL },
};
