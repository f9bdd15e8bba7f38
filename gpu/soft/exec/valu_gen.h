/* SPDX-License-Identifier: MIT */
/*
 * valu_gen.h - turns the rows of a valu_*.inc table into functions, see valu.h. Include the table after this header, then
 * valu_row.h and the table again to get the array of rows.
 *
 *   OP1(name, env, result, A, expr)            a = src[0]
 *   OP2(name, env, result, A, B, expr)         b = src[1]
 *   OP3(name, env, result, A, B, C, expr)      c = src[2]
 *   OPM(name, env, result, A, B, C, expr)      c = the old destination
 *
 * env: rounding that the expression is evaluated in: N nearest even, S MODE's for f32, D MODE's for f16 and f64.
 * Source types: U32 I32 F32 U16 I16 F16 U64 I64 F64 are values (16-bit integers widened, f16 as float); R32 R16 R64 the bits of
 * a float with its modifiers applied; M32 M16 M64 the same without flush; L32/LU32 a signed/unsigned 32-bit
 * integer as int64_t.
 * Result types: U32 U16 U64 integers; SU32 SI32 SU16 SI16 integers that clamp saturates (expr is wider and signed);
 * F32 F16 F64 floats whose NaN is chosen afterwards; X32 X16 X64 bits of finished floats; suffix P: high half of the
 * destination is preserved, not zeroed.
 * Also in scope: l the lane, ieee non-zero in IEEE mode, w the wave, in the instruction.
 */
#include "gpu/soft/exec/valu.h"
#include "gpu/soft/exec/valu_math.h"

#define VALU_FN(name)	VALU_SYM(fn_##name)
#define VALU_DEF(name)                                                                             \
	static void VALU_FN(name)(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *in)

#define CT_U32 uint32_t
#define CT_I32 int32_t
#define CT_F32 float
#define CT_R32 uint32_t
#define CT_M32 uint32_t
#define CT_L32 int64_t
#define CT_LU32 int64_t
#define CT_M16 uint32_t
#define CT_M64 uint64_t
#define CT_U16 uint32_t
#define CT_I16 int32_t
#define CT_F16 float
#define CT_R16 uint32_t
#define CT_U64 uint64_t
#define CT_I64 int64_t
#define CT_F64 double
#define CT_R64 uint64_t

#define VK_OF_U32 VK_I32
#define VK_OF_I32 VK_I32
#define VK_OF_F32 VK_F32
#define VK_OF_R32 VK_F32
#define VK_OF_M32 VK_M32
#define VK_OF_M16 VK_M16
#define VK_OF_M64 VK_M64
#define VK_OF_L32 VK_I32
#define VK_OF_LU32 VK_I32
#define VK_OF_U16 VK_I16
#define VK_OF_I16 VK_I16
#define VK_OF_F16 VK_F16
#define VK_OF_R16 VK_F16
#define VK_OF_U64 VK_I64
#define VK_OF_I64 VK_I64
#define VK_OF_F64 VK_F64
#define VK_OF_R64 VK_F64

#define SRC_32(n, kind)                                                                            \
	uint32_t t##n[LANES] ROW_ALIGN;                                                            \
	const uint32_t *s##n = valu_src32(ctx, w, in, n, kind, t##n);
#define SRC_64(n, kind)                                                                            \
	uint64_t t##n[LANES] ROW_ALIGN;                                                            \
	const uint64_t *s##n = valu_src64(ctx, w, in, n, kind, t##n);
#define SRC_U32(n) SRC_32(n, VK_I32)
#define SRC_I32(n) SRC_32(n, VK_I32)
#define SRC_L32(n) SRC_32(n, VK_I32)
#define SRC_LU32(n) SRC_32(n, VK_I32)
#define SRC_F32(n) SRC_32(n, VK_F32)
#define SRC_R32(n) SRC_32(n, VK_F32)
#define SRC_M32(n) SRC_32(n, VK_M32)
#define SRC_M16(n) SRC_32(n, VK_M16)
#define SRC_M64(n) SRC_64(n, VK_M64)
#define SRC_U16(n) SRC_32(n, VK_I16)
#define SRC_I16(n) SRC_32(n, VK_I16)
#define SRC_F16(n) SRC_32(n, VK_F16)
#define SRC_R16(n) SRC_32(n, VK_F16)
#define SRC_U64(n) SRC_64(n, VK_I64)
#define SRC_I64(n) SRC_64(n, VK_I64)
#define SRC_F64(n) SRC_64(n, VK_F64)
#define SRC_R64(n) SRC_64(n, VK_F64)

/* The old destination as source 2. */
#define OLD_32(kind)                                                                               \
	uint32_t t2[LANES] ROW_ALIGN;                                                              \
	const uint32_t *s2 = valu_old32(w, in, kind, t2);
#define OLD_U32 OLD_32(VK_I32)
#define OLD_L32 OLD_32(VK_I32)
#define OLD_LU32 OLD_32(VK_I32)
#define OLD_F32 OLD_32(VK_F32)
#define OLD_F16 OLD_32(VK_F16)
#define OLD_F64                                                                                    \
	uint64_t t2[LANES] ROW_ALIGN;                                                              \
	const uint64_t *s2 = valu_old64(w, in, VK_F64, t2);

#define LD_U32(n) (s##n[l])
#define LD_I32(n) ((int32_t)s##n[l])
#define LD_L32(n) ((int64_t)(int32_t)s##n[l])
#define LD_LU32(n) ((int64_t)s##n[l])
#define LD_F32(n) (((const float *)s##n)[l])
#define LD_R32(n) (s##n[l])
#define LD_M32(n) (s##n[l])
#define LD_M16(n) (s##n[l] & 0xffff)
#define LD_M64(n) (s##n[l])
#define LD_U16(n) (s##n[l] & 0xffff)
#define LD_I16(n) ((int32_t)(int16_t)s##n[l])
#define LD_F16(n) (h2f(s##n[l]))
#define LD_R16(n) (s##n[l] & 0xffff)
#define LD_U64(n) (s##n[l])
#define LD_I64(n) ((int64_t)s##n[l])
#define LD_F64(n) (((const double *)s##n)[l])
#define LD_R64(n) (s##n[l])

#define ENV_BEGIN_N
#define ENV_END_N
#define ENV_BEGIN_S	unsigned env_rm = MODE_ROUND_F32(w->mode), env_saved = env_rm ? valu_round_begin(env_rm) : 0;
#define ENV_END_S	if (env_rm) valu_round_end(env_saved);
#define ENV_BEGIN_D	unsigned env_rm = MODE_ROUND_F64(w->mode), env_saved = env_rm ? valu_round_begin(env_rm) : 0;
#define ENV_END_D	if (env_rm) valu_round_end(env_saved);

/* Integer results: in place when the whole row is to be written. */
#define RUN_U32(ENV, LOADS, NANS, ...)                                                             \
	uint32_t out[LANES] ROW_ALIGN, *o = valu_direct(w, in);                                    \
	if (!o)                                                                                    \
		o = out;                                                                           \
	LANE_LOOP                                                                                  \
	{                                                                                          \
		LOADS o[l] = (uint32_t)(__VA_ARGS__);                                              \
	}                                                                                          \
	if (o == out)                                                                              \
		valu_fin_i32(w, in, out);

#define RUN_INT16(keep, LOADS, ...)                                                                \
	uint32_t out[LANES] ROW_ALIGN;                                                             \
	LANE_LOOP                                                                                  \
	{                                                                                          \
		LOADS out[l] = (uint32_t)(__VA_ARGS__);                                            \
	}                                                                                          \
	valu_fin_i16(w, in, out, keep);
#define RUN_U16(ENV, LOADS, NANS, ...)	RUN_INT16(false, LOADS, __VA_ARGS__)
#define RUN_U16P(ENV, LOADS, NANS, ...) RUN_INT16(true, LOADS, __VA_ARGS__)

#define RUN_SAT(T, LO, HI, ROW, FIN, LOADS, ...)                                                   \
	uint32_t out[LANES] ROW_ALIGN, *o = ROW;                                                   \
	if (!o || in->clamp)                                                                       \
		o = out;                                                                           \
	if (in->clamp) {                                                                           \
		LANE_LOOP                                                                          \
		{                                                                                  \
			LOADS T r = (__VA_ARGS__);                                                 \
			r = r < (LO) ? (LO) : r;                                                   \
			r = r > (HI) ? (HI) : r;                                                   \
			out[l] = (uint32_t)r;                                                      \
		}                                                                                  \
	} else {                                                                                   \
		LANE_LOOP                                                                          \
		{                                                                                  \
			LOADS o[l] = (uint32_t)(__VA_ARGS__);                                      \
		}                                                                                  \
	}                                                                                          \
	if (o == out)                                                                              \
		FIN;
#define FIN_32	valu_fin_i32(w, in, out)
#define FIN_16	valu_fin_i16(w, in, out, false)
#define FIN_16P valu_fin_i16(w, in, out, true)
#define RUN_SU32(ENV, LOADS, NANS, ...) RUN_SAT(int64_t, 0ll, 0xffffffffll, valu_direct(w, in), FIN_32, LOADS, __VA_ARGS__)
#define RUN_SI32(ENV, LOADS, NANS, ...)                                                            \
	RUN_SAT(int64_t, (int64_t)INT32_MIN, (int64_t)INT32_MAX, valu_direct(w, in), FIN_32, LOADS, __VA_ARGS__)
#define RUN_SU16(ENV, LOADS, NANS, ...)	 RUN_SAT(int64_t, 0ll, 65535ll, NULL, FIN_16, LOADS, __VA_ARGS__)
#define RUN_SI16(ENV, LOADS, NANS, ...)	 RUN_SAT(int32_t, -32768, 32767, NULL, FIN_16, LOADS, __VA_ARGS__)
#define RUN_SU16P(ENV, LOADS, NANS, ...) RUN_SAT(int64_t, 0ll, 65535ll, NULL, FIN_16P, LOADS, __VA_ARGS__)
#define RUN_SI16P(ENV, LOADS, NANS, ...) RUN_SAT(int32_t, -32768, 32767, NULL, FIN_16P, LOADS, __VA_ARGS__)

#define RUN_U64(ENV, LOADS, NANS, ...)                                                             \
	uint64_t out[LANES] ROW_ALIGN;                                                             \
	LANE_LOOP                                                                                  \
	{                                                                                          \
		LOADS out[l] = (uint64_t)(__VA_ARGS__);                                            \
	}                                                                                          \
	valu_fin_i64(w, in, out);

/* Floating-point results. */
#define RUN_FLOAT(ENV, FIN, LOADS, NANS, ...)                                                      \
	uint32_t out[LANES] ROW_ALIGN;                                                             \
	int bad = 0;                                                                               \
	ENV_BEGIN_##ENV LANE_LOOP                                                                  \
	{                                                                                          \
		LOADS float r = (__VA_ARGS__);                                                     \
		((float *)out)[l] = r;                                                             \
		bad |= r != r;                                                                     \
	}                                                                                          \
	ENV_END_##ENV if (__builtin_expect(bad, 0))                                                \
	{                                                                                          \
		const struct valu_nan_src nan_src = NANS;                                          \
		valu_nanfix(out, &nan_src);                                                        \
	}                                                                                          \
	FIN;
#define RUN_F32(ENV, LOADS, NANS, ...)	RUN_FLOAT(ENV, valu_fin_f32(w, in, out), LOADS, NANS, __VA_ARGS__)
#define RUN_F16(ENV, LOADS, NANS, ...)                                                             \
	RUN_FLOAT(ENV, valu_fin_f16(w, in, out, false), LOADS, NANS, __VA_ARGS__)
#define RUN_F16P(ENV, LOADS, NANS, ...)                                                            \
	RUN_FLOAT(ENV, valu_fin_f16(w, in, out, true), LOADS, NANS, __VA_ARGS__)
#define RUN_F64(ENV, LOADS, NANS, ...)                                                             \
	uint64_t out[LANES] ROW_ALIGN;                                                             \
	int64_t bad = 0;                                                                           \
	ENV_BEGIN_##ENV LANE_LOOP                                                                  \
	{                                                                                          \
		LOADS double r = (__VA_ARGS__);                                                    \
		((double *)out)[l] = r;                                                            \
		bad |= r != r;                                                                     \
	}                                                                                          \
	ENV_END_##ENV if (__builtin_expect(bad != 0, 0))                                           \
	{                                                                                          \
		const struct valu_nan_src nan_src = NANS;                                          \
		valu_nanfix64(out, &nan_src);                                                      \
	}                                                                                          \
	valu_fin_f64(w, in, out);

#define RUN_BITS(FIN, LOADS, ...)                                                                  \
	uint32_t out[LANES] ROW_ALIGN;                                                             \
	LANE_LOOP                                                                                  \
	{                                                                                          \
		LOADS out[l] = (uint32_t)(__VA_ARGS__);                                            \
	}                                                                                          \
	FIN;
#define RUN_X32(ENV, LOADS, NANS, ...)	RUN_BITS(valu_fin_f32(w, in, out), LOADS, __VA_ARGS__)
#define RUN_X16(ENV, LOADS, NANS, ...)	RUN_BITS(valu_fin_h16(w, in, out, false), LOADS, __VA_ARGS__)
#define RUN_X16P(ENV, LOADS, NANS, ...) RUN_BITS(valu_fin_h16(w, in, out, true), LOADS, __VA_ARGS__)
#define RUN_X64(ENV, LOADS, NANS, ...)                                                             \
	uint64_t out[LANES] ROW_ALIGN;                                                             \
	LANE_LOOP                                                                                  \
	{                                                                                          \
		LOADS out[l] = (uint64_t)(__VA_ARGS__);                                            \
	}                                                                                          \
	valu_fin_f64(w, in, out);

#define NAN_SRC1(A)	  valu_nan_of(VK_OF_##A, s0, VK_NONE, NULL, VK_NONE, NULL)
#define NAN_SRC2(A, B)	  valu_nan_of(VK_OF_##A, s0, VK_OF_##B, s1, VK_NONE, NULL)
#define NAN_SRC3(A, B, C) valu_nan_of(VK_OF_##A, s0, VK_OF_##B, s1, VK_OF_##C, s2)
#define LOADS1(A)	  CT_##A a = LD_##A(0);
#define LOADS2(A, B)	  LOADS1(A) CT_##B b = LD_##B(1);
#define LOADS3(A, B, C)	  LOADS2(A, B) CT_##C c = LD_##C(2);
#define VALU_SCOPE                                                                                 \
	const uint32_t ieee = w->mode & MODE_IEEE;                                                 \
	(void)ieee;

#define OP1(N, ENV, D, A, ...)                                                                     \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		VALU_SCOPE SRC_##A(0) RUN_##D(ENV, LOADS1(A), NAN_SRC1(A), __VA_ARGS__)   \
	}
#define OP2(N, ENV, D, A, B, ...)                                                                  \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		VALU_SCOPE SRC_##A(0) SRC_##B(1)                                                   \
			RUN_##D(ENV, LOADS2(A, B), NAN_SRC2(A, B), __VA_ARGS__)           \
	}
#define OP3(N, ENV, D, A, B, C, ...)                                                               \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		VALU_SCOPE SRC_##A(0) SRC_##B(1) SRC_##C(2)                                        \
			RUN_##D(ENV, LOADS3(A, B, C), NAN_SRC3(A, B, C), __VA_ARGS__)     \
	}
#define OPM(N, ENV, D, A, B, C, ...)                                                               \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		VALU_SCOPE SRC_##A(0) SRC_##B(1) OLD_##C                                           \
			RUN_##D(ENV, LOADS3(A, B, C), NAN_SRC3(A, B, C), __VA_ARGS__)     \
	}

/* Carry arithmetic: expr is the 33-bit sum or difference in int64_t; c is the carry in (0 without one). Carry out: dst[1]. */
#define OPC(N, ...)                                                                                \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		uint32_t out[LANES] ROW_ALIGN, cy[LANES] ROW_ALIGN, cin[LANES] ROW_ALIGN;          \
		bool has_carry = in->src[2].kind != ISA_OPND_NONE;                                 \
		uint64_t mask = valu_wmask(w, in);                                                 \
		SRC_U32(0)                                                                         \
		SRC_U32(1)                                                                         \
		valu_expand(cin, has_carry ? valu_scalar64(ctx, w, &in->src[2]) : 0);              \
		LANE_LOOP                                                                          \
		{                                                                                  \
			int64_t a = s0[l], b = s1[l], c = cin[l];                                  \
			int64_t r = (__VA_ARGS__);                                                 \
			(void)c;                                                                   \
			out[l] = (uint32_t)r;                                                      \
			cy[l] = (uint32_t)((uint64_t)r >> 32) & 1;                                 \
		}                                                                                  \
		if (in->clamp)                                                                     \
			LANE_LOOP                                                                  \
				out[l] = cy[l] ? (ISA_##N == ISA_V_ADD_CO_U32 ||                   \
						  ISA_##N == ISA_V_ADDC_CO_U32                     \
							  ? ~0u                                            \
							  : 0)                                             \
					       : out[l];                                           \
		mask &= valu_bits_of(cy);                                                          \
		valu_fin_i32(w, in, out);                                                          \
		valu_write_mask(w, &in->dst[1], mask);                                             \
	}

/* Comparisons: V_CMP_ and V_CMPX_ (which writes EXEC too). Lanes that are not active give 0. */
#define CMP_FN(N, A, B, X, ...)                                                                    \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		uint32_t m[LANES] ROW_ALIGN;                                                       \
		uint64_t bits;                                                                     \
		SRC_##A(0) SRC_##B(1) LANE_LOOP                                                    \
		{                                                                                  \
			LOADS2(A, B)(void) a;                                                      \
			(void)b;                                                                   \
			m[l] = (__VA_ARGS__) ? 1 : 0;                                              \
		}                                                                                  \
		bits = valu_bits_of(m) & valu_wmask(w, in);                                        \
		valu_write_mask(w, &in->dst[0], bits);                                             \
		if (X)                                                                             \
			WAVE_EXEC(w) = bits;                                                       \
	}
#define CMP(NAME, A, B, ...)                                                                       \
	CMP_FN(V_CMP_##NAME, A, B, 0, __VA_ARGS__) CMP_FN(V_CMPX_##NAME, A, B, 1, __VA_ARGS__)
