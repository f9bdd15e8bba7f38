/* SPDX-License-Identifier: MIT */
/*
 * mfma.h - the matrix operations as functions on rows of 64 lanes, for the interpreter (valu_mfma.c) and compiled code.
 */
#ifndef GPU_SOFT_EXEC_MFMA_H
#define GPU_SOFT_EXEC_MFMA_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/soft/soft.h"

enum mfma_type { MFMA_F32, MFMA_F64, MFMA_F16, MFMA_BF16, MFMA_I8 };

/* M = N rows and columns, K deep, so many blocks at once, P elements packed in a lane's source registers. */
#define MFMA_TABLE(X)                                                                              \
	X(V_MFMA_F32_32X32X1F32, MFMA_F32, 32, 1, 2, 1)                                            \
	X(V_MFMA_F32_16X16X1F32, MFMA_F32, 16, 1, 4, 1)                                            \
	X(V_MFMA_F32_4X4X1F32, MFMA_F32, 4, 1, 16, 1)                                              \
	X(V_MFMA_F32_32X32X2F32, MFMA_F32, 32, 2, 1, 1)                                            \
	X(V_MFMA_F32_16X16X4F32, MFMA_F32, 16, 4, 1, 1)                                            \
	X(V_MFMA_F64_16X16X4F64, MFMA_F64, 16, 4, 1, 1)                                            \
	X(V_MFMA_F64_4X4X4F64, MFMA_F64, 4, 4, 4, 1)                                               \
	X(V_MFMA_F32_32X32X4F16, MFMA_F16, 32, 4, 2, 4)                                            \
	X(V_MFMA_F32_16X16X4F16, MFMA_F16, 16, 4, 4, 4)                                            \
	X(V_MFMA_F32_4X4X4F16, MFMA_F16, 4, 4, 16, 4)                                              \
	X(V_MFMA_F32_32X32X8F16, MFMA_F16, 32, 8, 1, 4)                                            \
	X(V_MFMA_F32_16X16X16F16, MFMA_F16, 16, 16, 1, 4)                                          \
	X(V_MFMA_F32_32X32X2BF16, MFMA_BF16, 32, 2, 2, 2)                                          \
	X(V_MFMA_F32_16X16X2BF16, MFMA_BF16, 16, 2, 4, 2)                                          \
	X(V_MFMA_F32_4X4X2BF16, MFMA_BF16, 4, 2, 16, 2)                                            \
	X(V_MFMA_F32_32X32X4BF16, MFMA_BF16, 32, 4, 1, 2)                                          \
	X(V_MFMA_F32_16X16X8BF16, MFMA_BF16, 16, 8, 1, 2)                                          \
	X(V_MFMA_F32_32X32X4BF16_1K, MFMA_BF16, 32, 4, 2, 4)                                       \
	X(V_MFMA_F32_16X16X4BF16_1K, MFMA_BF16, 16, 4, 4, 4)                                       \
	X(V_MFMA_F32_4X4X4BF16_1K, MFMA_BF16, 4, 4, 16, 4)                                         \
	X(V_MFMA_F32_32X32X8BF16_1K, MFMA_BF16, 32, 8, 1, 4)                                       \
	X(V_MFMA_F32_16X16X16BF16_1K, MFMA_BF16, 16, 16, 1, 4)                                     \
	X(V_MFMA_I32_32X32X4I8, MFMA_I8, 32, 4, 2, 4)                                              \
	X(V_MFMA_I32_16X16X4I8, MFMA_I8, 16, 4, 4, 4)                                              \
	X(V_MFMA_I32_4X4X4I8, MFMA_I8, 4, 4, 16, 4)                                                \
	X(V_MFMA_I32_32X32X8I8, MFMA_I8, 32, 8, 1, 4)                                              \
	X(V_MFMA_I32_16X16X16I8, MFMA_I8, 16, 16, 1, 4)

enum mfma_index {
#define MFMA_INDEX(N, ...) MFMA_OF_##N,
	MFMA_TABLE(MFMA_INDEX)
#undef MFMA_INDEX
	MFMA_KINDS
};

/* Steps of one accumulator that one call does at most: what is held of A and B, as floats or doubles, stays in the first-level cache. */
#define MFMA_MAX_STEPS 16
#define MFMA_STEPS(TYPE) (TYPE == MFMA_F32 ? MFMA_MAX_STEPS : TYPE == MFMA_F64 ? 8 : 4)

/*
 * D = A x B + C, and D = A x B + D with each further A and B: ab has 2 * steps pointers, A and B of the first step, of the second ... Rows as wide
 * operands have them; d may be c, nothing else may overlap with d. Steps: at most MFMA_STEPS.
 */
typedef void mfma_fn(uint32_t (*d)[WAVE_LANES], const uint32_t (*c)[WAVE_LANES], const uint32_t (*const *ab)[WAVE_LANES], unsigned steps);

/*
 * D = A x B + D and E = A x B' + E, which is to read each element of A once: abb has 3 * steps pointers, A, B and B' of each step. B or B' may be NULL: the
 * step is the other's alone. Both have one. Nothing overlaps with d or e. Any number of steps.
 */
typedef void mfma_two_fn(uint32_t (*d)[WAVE_LANES], uint32_t (*e)[WAVE_LANES], const uint32_t (*const *abb)[WAVE_LANES], unsigned steps);
#define MFMA_HAS_TWO(TYPE, M) ((TYPE) == MFMA_F32 && (M) == 16)

struct mfma_functions { /* by mfma_index */
	mfma_fn *one[MFMA_KINDS];
	mfma_two_fn *two[MFMA_KINDS]; /* NULL unless MFMA_HAS_TWO */
};

/* level: 1, 3, 4 as in valu.c, which must work here; 0: the one in use. */
const struct mfma_functions *exec_mfma_functions(unsigned level);

#endif
