/* SPDX-License-Identifier: MIT */
/* valu_vopc.c - the rows of valu_vopc.inc. See valu.h. */
#include "gpu/soft/exec/valu_gen.h"
#include "gpu/soft/exec/valu_vopc.inc"
#include "gpu/soft/exec/valu_row.h"

#define exec_rows_vopc VALU_SYM(exec_rows_vopc)
extern const struct exec_row exec_rows_vopc[];
const struct exec_row exec_rows_vopc[] = {
#include "gpu/soft/exec/valu_vopc.inc"
	{ ISA_OP_INVALID, NULL },
};
