/* SPDX-License-Identifier: MIT */
/*
 * lanes.c - the vector ALU's tables once more: each row as a function of one lane's values.
 *
 * This file is never linked. clang compiles it to LLVM bitcode, which the JIT carries: widen.c takes a function's scalar
 * instructions and builds the same ones on vectors. So what an operation computes is written in one place, the valu_*.inc
 * tables, for the interpreter and for the JIT.
 *
 * lane_NAME(x0, x1, x2, l, ieee): sources as bits, after modifiers, as 32 or 64 bits; the lane's number; non-zero in IEEE mode.
 * Results are bits: of a float where the row's result is F32 or F16 (still to be rounded), else as valu_gen.h says.
 * lane_NAME_sat: the same with clamp, for rows that saturate. pk_NAME: one half of a packed operation.
 */
#define LANE_BITCODE
#include "gpu/soft/exec/valu.h"
#include "gpu/soft/exec/valu_math.h"

#define KEEP __attribute__((used, visibility("default")))

/* Rows that look at the wave or the instruction see this: rounding to nearest, denormals kept, no clamp. */
static const struct wave usual = {.mode = MODE_F32_SRC_DENORM | MODE_F32_DST_DENORM | MODE_F64_SRC_DENORM | MODE_F64_DST_DENORM};
static const struct isa_inst plain_inst;

#define BT_U32 uint32_t
#define BT_I32 uint32_t
#define BT_F32 uint32_t
#define BT_R32 uint32_t
#define BT_M32 uint32_t
#define BT_L32 uint32_t
#define BT_LU32 uint32_t
#define BT_M16 uint32_t
#define BT_U16 uint32_t
#define BT_I16 uint32_t
#define BT_F16 uint32_t
#define BT_R16 uint32_t
#define BT_M64 uint64_t
#define BT_U64 uint64_t
#define BT_I64 uint64_t
#define BT_F64 uint64_t
#define BT_R64 uint64_t

#define LD_U32(v, x) uint32_t v = x
#define LD_I32(v, x) int32_t v = (int32_t)x
#define LD_F32(v, x) float v = as_f32(x)
#define LD_R32(v, x) uint32_t v = x
#define LD_M32(v, x) uint32_t v = x
#define LD_L32(v, x) int64_t v = (int32_t)x
#define LD_LU32(v, x) int64_t v = (int64_t)x
#define LD_M16(v, x) uint32_t v = x & 0xffff
#define LD_U16(v, x) uint32_t v = x & 0xffff
#define LD_I16(v, x) int32_t v = (int16_t)x
#define LD_F16(v, x) float v = h2f(x)
#define LD_R16(v, x) uint32_t v = x & 0xffff
#define LD_M64(v, x) uint64_t v = x
#define LD_U64(v, x) uint64_t v = x
#define LD_I64(v, x) int64_t v = (int64_t)x
#define LD_F64(v, x) double v = as_f64(x)
#define LD_R64(v, x) uint64_t v = x

#define PLAIN(N, T, ARGS, LOADS, RET, ...)                                                                             \
	KEEP T lane_##N ARGS                                                                                           \
	{                                                                                                              \
		const struct wave *w = &usual;                                                                         \
		const struct isa_inst *in = &plain_inst;                                                               \
		LOADS;                                                                                                 \
		(void)w;                                                                                               \
		(void)in;                                                                                              \
		return RET(__VA_ARGS__);                                                                               \
	}
#define SATURATED(N, T, LO, HI, ARGS, LOADS, ...)                                                                      \
	PLAIN(N, uint32_t, ARGS, LOADS, (uint32_t), __VA_ARGS__)                                                       \
	KEEP uint32_t lane_##N##_sat ARGS                                                                              \
	{                                                                                                              \
		LOADS;                                                                                                 \
		T r = (__VA_ARGS__);                                                                                   \
		r = r < (LO) ? (LO) : r;                                                                               \
		r = r > (HI) ? (HI) : r;                                                                               \
		return (uint32_t)r;                                                                                    \
	}

#define RUN_U32(N, ARGS, LOADS, ...) PLAIN(N, uint32_t, ARGS, LOADS, (uint32_t), __VA_ARGS__)
#define RUN_U16 RUN_U32
#define RUN_U16P RUN_U32
#define RUN_X32 RUN_U32
#define RUN_X16 RUN_U32
#define RUN_X16P RUN_U32
#define RUN_F32(N, ARGS, LOADS, ...) PLAIN(N, uint32_t, ARGS, LOADS, as_u32, __VA_ARGS__)
#define RUN_F16 RUN_F32
#define RUN_F16P RUN_F32
#define RUN_U64(N, ARGS, LOADS, ...) PLAIN(N, uint64_t, ARGS, LOADS, (uint64_t), __VA_ARGS__)
#define RUN_X64 RUN_U64
#define RUN_F64(N, ARGS, LOADS, ...) PLAIN(N, uint64_t, ARGS, LOADS, as_u64, __VA_ARGS__)
#define RUN_SU32(N, ARGS, LOADS, ...) SATURATED(N, int64_t, 0ll, 0xffffffffll, ARGS, LOADS, __VA_ARGS__)
#define RUN_SI32(N, ARGS, LOADS, ...) SATURATED(N, int64_t, (int64_t)INT32_MIN, (int64_t)INT32_MAX, ARGS, LOADS, __VA_ARGS__)
#define RUN_SU16(N, ARGS, LOADS, ...) SATURATED(N, int64_t, 0ll, 65535ll, ARGS, LOADS, __VA_ARGS__)
#define RUN_SI16(N, ARGS, LOADS, ...) SATURATED(N, int32_t, -32768, 32767, ARGS, LOADS, __VA_ARGS__)
#define RUN_SU16P RUN_SU16
#define RUN_SI16P RUN_SI16

#define ARGS3(A, B, C) (BT_##A x0, BT_##B x1, BT_##C x2, uint32_t l, uint32_t ieee)
#define OP1(N, ENV, D, A, ...) RUN_##D(N, ARGS3(A, U32, U32), LD_##A(a, x0), __VA_ARGS__)
#define OP2(N, ENV, D, A, B, ...) RUN_##D(N, ARGS3(A, B, U32), LD_##A(a, x0); LD_##B(b, x1), __VA_ARGS__)
#define OP3(N, ENV, D, A, B, C, ...)                                                                                   \
	RUN_##D(N, ARGS3(A, B, C), LD_##A(a, x0); LD_##B(b, x1); LD_##C(c, x2), __VA_ARGS__)
#define OPM OP3
#define OPC(N, ...)                                                                                                    \
	KEEP uint64_t lane_##N(uint32_t x0, uint32_t x1, uint32_t x2, uint32_t l, uint32_t ieee)                       \
	{                                                                                                              \
		int64_t a = x0, b = x1, c = x2;                                                                        \
		(void)c;                                                                                               \
		return (uint64_t)(__VA_ARGS__);                                                                        \
	}
#define CMP(NAME, A, B, ...)                                                                                           \
	KEEP uint32_t lane_V_CMP_##NAME ARGS3(A, B, U32)                                                               \
	{                                                                                                              \
		LD_##A(a, x0);                                                                                         \
		LD_##B(b, x1);                                                                                         \
		(void)a;                                                                                               \
		(void)b;                                                                                               \
		return (__VA_ARGS__) ? 1 : 0;                                                                          \
	}
#include "gpu/soft/exec/valu_vop1.inc"
#include "gpu/soft/exec/valu_vop2.inc"
#include "gpu/soft/exec/valu_vop3.inc"
#include "gpu/soft/exec/valu_vopc.inc"

/* ---- packed: one half ---- */

#define PL_H(v, x) float v = h2f(x)
#define PL_X(v, x) uint32_t v = x
#define PL_U(v, x) uint32_t v = x
#define PL_SU(v, x) uint32_t v = x
#define PL_I(v, x) int32_t v = (int16_t)x
#define PL_SI(v, x) int32_t v = (int16_t)x
#define PS_H(r) as_u32(r)
#define PS_X(r) (r)
#define PS_U(r) ((uint32_t)(r) & 0xffff)
#define PS_I(r) ((uint32_t)(r) & 0xffff)
#define PS_SU(r) ((uint32_t)(sat ? (r) < 0 ? 0 : (r) > 65535 ? 65535 : (r) : (r)) & 0xffff)
#define PS_SI(r) ((uint32_t)(sat ? (r) < -32768 ? -32768 : (r) > 32767 ? 32767 : (r) : (r)) & 0xffff)
#define PK_HALF(N, T, C, ...)                                                                                          \
	static inline uint32_t half_##N(uint32_t x0, uint32_t x1, uint32_t x2, uint32_t ieee, int sat)                 \
	{                                                                                                              \
		PL_##T(a, x0);                                                                                         \
		PL_##T(b, x1);                                                                                         \
		C;                                                                                                     \
		return PS_##T((__VA_ARGS__));                                                                          \
	}                                                                                                              \
	KEEP uint32_t lane_##N(uint32_t x0, uint32_t x1, uint32_t x2, uint32_t l, uint32_t ieee)                       \
	{                                                                                                              \
		return half_##N(x0, x1, x2, ieee, 0);                                                                  \
	}                                                                                                              \
	KEEP uint32_t lane_##N##_sat(uint32_t x0, uint32_t x1, uint32_t x2, uint32_t l, uint32_t ieee)                 \
	{                                                                                                              \
		return half_##N(x0, x1, x2, ieee, 1);                                                                  \
	}
#define PK2(N, T, ...) PK_HALF(N, T, , __VA_ARGS__)
#define PK3(N, T, ...) PK_HALF(N, T, PL_##T(c, x2), __VA_ARGS__)
#define PKM(N, T, ...) PK_HALF(N, T, PL_##T(c, x2), __VA_ARGS__)
#define PKF(N, NSRC, ...) RUN_F32(N, ARGS3(F32, F32, F32), LD_F32(a, x0); LD_F32(b, x1); LD_F32(c, x2); (void)c, __VA_ARGS__)
#define MIX(N, PART, FLUSH, ...) RUN_F32(N, ARGS3(F32, F32, F32), LD_F32(a, x0); LD_F32(b, x1); LD_F32(c, x2), __VA_ARGS__)
#include "gpu/soft/exec/valu_vop3p.inc"

/* ---- steps around the operation (valu_operand.c has them for the interpreter) ---- */

#define STEP(N, ...) KEEP uint32_t lane_##N(uint32_t x0, uint32_t x1, uint32_t x2, uint32_t l, uint32_t ieee) { return __VA_ARGS__; }
STEP(STEP_F2H, f2h(as_f32(x0)))
STEP(STEP_H2F, as_u32(h2f(x0)))
STEP(STEP_F2H_RTZ, f2h_rtz(as_f32(x0)))

/* Operations that valu_lane.c has: the flag is bit 32. */
KEEP uint64_t lane_V_DIV_SCALE_F32(uint32_t x0, uint32_t x1, uint32_t x2, uint32_t l, uint32_t ieee)
{
	uint32_t flag, r = div_scale_f32(x0, x1, x2, &flag);

	return r | (uint64_t)flag << 32;
}

KEEP uint64_t lane_V_DIV_SCALE_F64(uint64_t x0, uint64_t x1, uint64_t x2, uint32_t l, uint32_t ieee)
{
	uint32_t flag;

	return div_scale_f64(x0, x1, x2, &flag);
}

KEEP uint32_t lane_DIV_SCALE_F64_FLAG(uint64_t x0, uint64_t x1, uint64_t x2, uint32_t l, uint32_t ieee)
{
	uint32_t flag;

	div_scale_f64(x0, x1, x2, &flag);
	return flag;
}

KEEP uint32_t lane_DIV_FMAS_SCALED_F32(uint32_t x0, uint32_t x1, uint32_t x2, uint32_t l, uint32_t ieee)
{
	return as_u32(div_fmas_f32(as_f32(x0), as_f32(x1), as_f32(x2)));
}

/* Flags of the multiply-adds with carry. */
KEEP uint64_t lane_V_MAD_U64_U32(uint32_t x0, uint32_t x1, uint64_t x2, uint32_t l, uint32_t ieee)
{
	return (uint64_t)x0 * x1 + x2;
}

/*
 * ---- the scalar ALU ----
 * salu.c itself, run on a wave that has the sources in s[0:1] and s[2:3] and the destination in s[4:5]; one function for each thing an
 * operation may change. lanes_salu.inc lists the operations (gen_salu.py, from salu.c's rows).
 */
#undef OP1
#undef OP2
#undef CMP
#include "gpu/soft/exec/salu.c"

#define SALU_ARGS (uint64_t s0, uint64_t s1, uint64_t d, uint64_t exec, uint32_t scc, uint32_t simm)
static inline __attribute__((always_inline)) void salu_load(struct wave *w, struct isa_inst *inst, uint64_t s0, uint64_t s1, uint64_t d, uint64_t exec,
							    uint32_t scc, uint32_t simm)
{
	*inst = (struct isa_inst){.simm = (int32_t)simm};
	inst->src[0] = (struct isa_operand){.kind = ISA_OPND_SGPR, .index = 0};
	inst->src[1] = (struct isa_operand){.kind = ISA_OPND_SGPR, .index = 2};
	inst->dst[0] = (struct isa_operand){.kind = ISA_OPND_SGPR, .index = 4};
	w->sgpr[0] = (uint32_t)s0;
	w->sgpr[1] = (uint32_t)(s0 >> 32);
	w->sgpr[2] = (uint32_t)s1;
	w->sgpr[3] = (uint32_t)(s1 >> 32);
	w->sgpr[4] = (uint32_t)d;
	w->sgpr[5] = (uint32_t)(d >> 32);
	w->sgpr[SGPR_EXEC] = (uint32_t)exec;
	w->sgpr[SGPR_EXEC + 1] = (uint32_t)(exec >> 32);
	w->scc = scc;
}
#define SALU(N, fn)                                                                                                    \
	KEEP __attribute__((flatten)) uint64_t salu_d_##N SALU_ARGS                                                                             \
	{                                                                                                              \
		struct wave w;\
		struct isa_inst inst;\
		salu_load(&w, &inst, s0, s1, d, exec, scc, simm);\
		fn(NULL, &w, &inst);\
		return w.sgpr[4] | (uint64_t)w.sgpr[5] << 32;                                                          \
	}                                                                                                              \
	KEEP __attribute__((flatten)) uint64_t salu_exec_##N SALU_ARGS                                                                          \
	{                                                                                                              \
		struct wave w;\
		struct isa_inst inst;\
		salu_load(&w, &inst, s0, s1, d, exec, scc, simm);\
		fn(NULL, &w, &inst);\
		return w.sgpr[SGPR_EXEC] | (uint64_t)w.sgpr[SGPR_EXEC + 1] << 32;                                      \
	}                                                                                                              \
	KEEP __attribute__((flatten)) uint32_t salu_scc_##N SALU_ARGS                                                                           \
	{                                                                                                              \
		struct wave w;\
		struct isa_inst inst;\
		salu_load(&w, &inst, s0, s1, d, exec, scc, simm);\
		fn(NULL, &w, &inst);\
		return w.scc;                                                                                          \
	}
#include "lanes_salu.inc"
