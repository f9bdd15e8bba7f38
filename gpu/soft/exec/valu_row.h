/* SPDX-License-Identifier: MIT */
/* valu_row.h - the second reading of a valu_*.inc table: one entry of the exec_row array a row. See valu_gen.h. */
#undef OP1
#undef OP2
#undef OP3
#undef OPM
#undef OPC
#undef CMP
#define VALU_ROW(N)	 { ISA_##N, VALU_FN(N) },
#define OP1(N, ...)	 VALU_ROW(N)
#define OP2(N, ...)	 VALU_ROW(N)
#define OP3(N, ...)	 VALU_ROW(N)
#define OPM(N, ...)	 VALU_ROW(N)
#define OPC(N, ...)	 VALU_ROW(N)
#define CMP(NAME, ...)	 VALU_ROW(V_CMP_##NAME) VALU_ROW(V_CMPX_##NAME)
