/* SPDX-License-Identifier: MIT */
/* valu_mfma.c - matrix operations of gfx90a. See valu.h. */
#include "gpu/soft/exec/valu_gen.h"

#define exec_rows_mfma VALU_SYM(exec_rows_mfma)
extern const struct exec_row exec_rows_mfma[];
const struct exec_row exec_rows_mfma[] = {
	{ ISA_OP_INVALID, NULL },
};
