/* SPDX-License-Identifier: MIT */
/*
 * memops.h - the suffixes that FLAT, GLOBAL, SCRATCH, MUBUF and MTBUF share, as X-macros: MEM_LOADS(X, SPACE) expands X(SPACE, SUFFIX, kind)
 * for each load, and so on; and those of LDS. Needs vmem.h.
 */
#ifndef GPU_SOFT_EXEC_MEMOPS_H
#define GPU_SOFT_EXEC_MEMOPS_H

#define MEM_LOADS(X, SPACE)                                                                                            \
	X(SPACE, LOAD_UBYTE, VM_U8)                                                                                    \
	X(SPACE, LOAD_SBYTE, VM_I8)                                                                                    \
	X(SPACE, LOAD_USHORT, VM_U16)                                                                                  \
	X(SPACE, LOAD_SSHORT, VM_I16)                                                                                  \
	X(SPACE, LOAD_UBYTE_D16, VM_U8_LO)                                                                             \
	X(SPACE, LOAD_UBYTE_D16_HI, VM_U8_HI)                                                                          \
	X(SPACE, LOAD_SBYTE_D16, VM_I8_LO)                                                                             \
	X(SPACE, LOAD_SBYTE_D16_HI, VM_I8_HI)                                                                          \
	X(SPACE, LOAD_SHORT_D16, VM_16_LO)                                                                             \
	X(SPACE, LOAD_SHORT_D16_HI, VM_16_HI)                                                                          \
	X(SPACE, LOAD_DWORD, VM_X1)                                                                                    \
	X(SPACE, LOAD_DWORDX2, VM_X2)                                                                                  \
	X(SPACE, LOAD_DWORDX3, VM_X3)                                                                                  \
	X(SPACE, LOAD_DWORDX4, VM_X4)

#define MEM_STORES(X, SPACE)                                                                                           \
	X(SPACE, STORE_BYTE, VM_U8)                                                                                    \
	X(SPACE, STORE_BYTE_D16_HI, VM_U8_HI)                                                                          \
	X(SPACE, STORE_SHORT, VM_U16)                                                                                  \
	X(SPACE, STORE_SHORT_D16_HI, VM_16_HI)                                                                         \
	X(SPACE, STORE_DWORD, VM_X1)                                                                                   \
	X(SPACE, STORE_DWORDX2, VM_X2)                                                                                 \
	X(SPACE, STORE_DWORDX3, VM_X3)                                                                                 \
	X(SPACE, STORE_DWORDX4, VM_X4)

#define MEM_ATOMICS(X, SPACE)                                                                                          \
	X(SPACE, ATOMIC_SWAP, AT_SWAP, 1)                                                                              \
	X(SPACE, ATOMIC_CMPSWAP, AT_CMPSWAP, 1)                                                                        \
	X(SPACE, ATOMIC_ADD, AT_ADD, 1)                                                                                \
	X(SPACE, ATOMIC_SUB, AT_SUB, 1)                                                                                \
	X(SPACE, ATOMIC_SMIN, AT_SMIN, 1)                                                                              \
	X(SPACE, ATOMIC_UMIN, AT_UMIN, 1)                                                                              \
	X(SPACE, ATOMIC_SMAX, AT_SMAX, 1)                                                                              \
	X(SPACE, ATOMIC_UMAX, AT_UMAX, 1)                                                                              \
	X(SPACE, ATOMIC_AND, AT_AND, 1)                                                                                \
	X(SPACE, ATOMIC_OR, AT_OR, 1)                                                                                  \
	X(SPACE, ATOMIC_XOR, AT_XOR, 1)                                                                                \
	X(SPACE, ATOMIC_INC, AT_INC, 1)                                                                                \
	X(SPACE, ATOMIC_DEC, AT_DEC, 1)                                                                                \
	X(SPACE, ATOMIC_SWAP_X2, AT_SWAP, 2)                                                                           \
	X(SPACE, ATOMIC_CMPSWAP_X2, AT_CMPSWAP, 2)                                                                     \
	X(SPACE, ATOMIC_ADD_X2, AT_ADD, 2)                                                                             \
	X(SPACE, ATOMIC_SUB_X2, AT_SUB, 2)                                                                             \
	X(SPACE, ATOMIC_SMIN_X2, AT_SMIN, 2)                                                                           \
	X(SPACE, ATOMIC_UMIN_X2, AT_UMIN, 2)                                                                           \
	X(SPACE, ATOMIC_SMAX_X2, AT_SMAX, 2)                                                                           \
	X(SPACE, ATOMIC_UMAX_X2, AT_UMAX, 2)                                                                           \
	X(SPACE, ATOMIC_AND_X2, AT_AND, 2)                                                                             \
	X(SPACE, ATOMIC_OR_X2, AT_OR, 2)                                                                               \
	X(SPACE, ATOMIC_XOR_X2, AT_XOR, 2)                                                                             \
	X(SPACE, ATOMIC_INC_X2, AT_INC, 2)                                                                             \
	X(SPACE, ATOMIC_DEC_X2, AT_DEC, 2)                                                                             \
	X(SPACE, ATOMIC_ADD_F64, AT_FADD, 2)                                                                           \
	X(SPACE, ATOMIC_MIN_F64, AT_FMIN, 2)                                                                           \
	X(SPACE, ATOMIC_MAX_F64, AT_FMAX, 2)

/* Not in FLAT on these targets. */
#define MEM_ATOMICS_F32(X, SPACE)                                                                                      \
	X(SPACE, ATOMIC_ADD_F32, AT_FADD, 1)                                                                           \
	X(SPACE, ATOMIC_PK_ADD_F16, AT_PK_ADD_F16, 1)

/* LDS: X(NAME, kind) */
#define DS_LOADS(X)                                                                                                    \
	X(READ_U8, VM_U8)                                                                                              \
	X(READ_I8, VM_I8)                                                                                              \
	X(READ_U16, VM_U16)                                                                                            \
	X(READ_I16, VM_I16)                                                                                            \
	X(READ_U8_D16, VM_U8_LO)                                                                                       \
	X(READ_U8_D16_HI, VM_U8_HI)                                                                                    \
	X(READ_I8_D16, VM_I8_LO)                                                                                       \
	X(READ_I8_D16_HI, VM_I8_HI)                                                                                    \
	X(READ_U16_D16, VM_16_LO)                                                                                      \
	X(READ_U16_D16_HI, VM_16_HI)                                                                                   \
	X(READ_B32, VM_X1)                                                                                             \
	X(READ_B64, VM_X2)                                                                                             \
	X(READ_B96, VM_X3)                                                                                             \
	X(READ_B128, VM_X4)

#define DS_STORES(X)                                                                                                   \
	X(WRITE_B8, VM_U8)                                                                                             \
	X(WRITE_B8_D16_HI, VM_U8_HI)                                                                                   \
	X(WRITE_B16, VM_U16)                                                                                           \
	X(WRITE_B16_D16_HI, VM_16_HI)                                                                                  \
	X(WRITE_B32, VM_X1)                                                                                            \
	X(WRITE_B64, VM_X2)                                                                                            \
	X(WRITE_B96, VM_X3)                                                                                            \
	X(WRITE_B128, VM_X4)

/* X(name without the type, type32, type64, kind): operations with data from a register or, as *_SRC2, from another place of LDS. */
#define DS_ARITHMETIC(X)                                                                                               \
	X(ADD, U32, U64, AT_ADD)                                                                                       \
	X(SUB, U32, U64, AT_SUB)                                                                                       \
	X(RSUB, U32, U64, AT_RSUB)                                                                                     \
	X(INC, U32, U64, AT_INC)                                                                                       \
	X(DEC, U32, U64, AT_DEC)                                                                                       \
	X(MIN, I32, I64, AT_SMIN)                                                                                      \
	X(MAX, I32, I64, AT_SMAX)                                                                                      \
	X(MIN, U32, U64, AT_UMIN)                                                                                      \
	X(MAX, U32, U64, AT_UMAX)                                                                                      \
	X(AND, B32, B64, AT_AND)                                                                                       \
	X(OR, B32, B64, AT_OR)                                                                                         \
	X(XOR, B32, B64, AT_XOR)                                                                                       \
	X(MIN, F32, F64, AT_FMIN)                                                                                      \
	X(MAX, F32, F64, AT_FMAX)

/* The same: four forms each, with and without return. */
#define DS_ATOMICS(X)                                                                                                  \
	DS_ARITHMETIC(X)                                                                                               \
	X(ADD, F32, F64, AT_FADD)                                                                                      \
	X(MSKOR, B32, B64, AT_MSKOR)                                                                                   \
	X(CMPST, B32, B64, AT_CMPSWAP)                                                                                 \
	X(CMPST, F32, F64, AT_FCMPSWAP)

#endif
