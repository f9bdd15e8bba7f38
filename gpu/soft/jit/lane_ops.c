/* SPDX-License-Identifier: MIT */
/* lane_ops.c - the VALU tables read for the types of their rows (lanes.c reads them for what they compute). */
#include "gpu/soft/jit/unit.h"

#define OP1(N, E, D, A, ...) [ISA_##N] = {#N, LANE_OP, LANE_ENV_##E, K_##D, {K_##A}, 1},
#define OP2(N, E, D, A, B, ...) [ISA_##N] = {#N, LANE_OP, LANE_ENV_##E, K_##D, {K_##A, K_##B}, 2},
#define OP3(N, E, D, A, B, C, ...) [ISA_##N] = {#N, LANE_OP, LANE_ENV_##E, K_##D, {K_##A, K_##B, K_##C}, 3},
#define OPM(N, E, D, A, B, C, ...) [ISA_##N] = {#N, LANE_OP, LANE_ENV_##E, K_##D, {K_##A, K_##B, K_##C}, 3, .old = true},
#define OPC(N, ...) [ISA_##N] = {#N, LANE_CARRY, LANE_ENV_N, K_U32, {K_U32, K_U32}, 2},
#define CMP(NAME, A, B, ...)                                                                                           \
	[ISA_V_CMP_##NAME] = {"V_CMP_" #NAME, LANE_CMP, LANE_ENV_N, K_U32, {K_##A, K_##B}, 2},                         \
	[ISA_V_CMPX_##NAME] = {"V_CMP_" #NAME, LANE_CMP, LANE_ENV_N, K_U32, {K_##A, K_##B}, 2, .part = 1},
#define PK2(N, T, ...) [ISA_##N] = {#N, LANE_PK, LANE_ENV_D, K_##T, {0}, 2},
#define PK3(N, T, ...) [ISA_##N] = {#N, LANE_PK, LANE_ENV_D, K_##T, {0}, 3},
#define PKM(N, T, ...) [ISA_##N] = {#N, LANE_PK, LANE_ENV_D, K_##T, {0}, 3, .old = true},
#define PKF(N, NSRC, ...) [ISA_##N] = {#N, LANE_PKF, LANE_ENV_S, K_F32, {K_F32, K_F32, NSRC == 3 ? K_F32 : K_NONE}, NSRC},
#define MIX(N, PART, FLUSH, ...)                                                                                       \
	[ISA_##N] = {#N, LANE_MIX, LANE_ENV_S, K_F32, {K_F32, K_F32, K_F32}, 3, .part = PART, .flush = FLUSH},

static const struct lane_op table[ISA_NUM_OPS] = {
#include "gpu/soft/exec/valu_vop1.inc"
#include "gpu/soft/exec/valu_vop2.inc"
#include "gpu/soft/exec/valu_vop3.inc"
#include "gpu/soft/exec/valu_vop3p.inc"
#include "gpu/soft/exec/valu_vopc.inc"
};

const struct lane_op *lane_op_of(unsigned op)
{
	return op < ISA_NUM_OPS && table[op].form ? &table[op] : NULL;
}
