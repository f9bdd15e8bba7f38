/* SPDX-License-Identifier: MIT */
/*
 * salu.c - scalar ALU: SOP1, SOP2, SOPC, SOPK without program flow (flow.c) and hardware registers (hwreg.c).
 *
 * Each operation is one line: its name, and what it computes from s0 and s1 (32- or 64-bit, by the macro). SCC is assigned
 * where the operation writes it: from the result by the macros' _NZ forms, or inside the expression.
 * Reference: AMD "Vega" ISA manual, chapter 12 (SOP2, SOPK, SOP1, SOPC instructions).
 */
#include "gpu/soft/exec/exec.h"
#include "gpu/soft/exec/operand.h"

#define SALU_FN(name) static void name(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst)

/* Operand getters by width. */
#define S0_32 uint32_t s0 = exec_s32(w, &inst->src[0])
#define S0_64 uint64_t s0 = exec_s64(w, &inst->src[0])
#define S1_32 uint32_t s1 = exec_s32(w, &inst->src[1])
#define S1_64 uint64_t s1 = exec_s64(w, &inst->src[1])

/* d = expr; SCC unchanged unless expr assigns it. */
#define OP2(name, D, A, B, expr)                                                                                       \
	SALU_FN(op_##name)                                                                                             \
	{                                                                                                              \
		S0_##A;                                                                                                \
		S1_##B;                                                                                                \
		uint##D##_t d = (expr);                                                                                \
		exec_set_s##D(w, &inst->dst[0], d);                                                                    \
	}
/* d = expr; SCC = d != 0. */
#define OP2_NZ(name, D, A, B, expr)                                                                                    \
	SALU_FN(op_##name)                                                                                             \
	{                                                                                                              \
		S0_##A;                                                                                                \
		S1_##B;                                                                                                \
		uint##D##_t d = (expr);                                                                                \
		exec_set_s##D(w, &inst->dst[0], d);                                                                    \
		w->scc = d != 0;                                                                                       \
	}
#define OP1(name, D, A, expr)                                                                                          \
	SALU_FN(op_##name)                                                                                             \
	{                                                                                                              \
		S0_##A;                                                                                                \
		uint##D##_t d = (expr);                                                                                \
		exec_set_s##D(w, &inst->dst[0], d);                                                                    \
	}
#define OP1_NZ(name, D, A, expr)                                                                                       \
	SALU_FN(op_##name)                                                                                             \
	{                                                                                                              \
		S0_##A;                                                                                                \
		uint##D##_t d = (expr);                                                                                \
		exec_set_s##D(w, &inst->dst[0], d);                                                                    \
		w->scc = d != 0;                                                                                       \
	}
#define CMP(name, W, expr)                                                                                             \
	SALU_FN(op_##name)                                                                                             \
	{                                                                                                              \
		S0_##W;                                                                                                \
		S1_##W;                                                                                                \
		w->scc = (expr);                                                                                       \
	}

/* ------------------------------------------------------------------ helpers */

static uint32_t add_carry(struct wave *w, uint32_t a, uint32_t b, uint32_t c)
{
	uint64_t sum = (uint64_t)a + b + c;

	w->scc = sum >> 32;
	return sum;
}

static uint32_t sub_borrow(struct wave *w, uint32_t a, uint32_t b, uint32_t c)
{
	w->scc = (uint64_t)b + c > a;
	return a - b - c;
}

static uint32_t add_overflow(struct wave *w, int32_t a, int32_t b)
{
	int32_t d;

	w->scc = __builtin_add_overflow(a, b, &d);
	return d;
}

static uint32_t sub_overflow(struct wave *w, int32_t a, int32_t b)
{
	int32_t d;

	w->scc = __builtin_sub_overflow(a, b, &d);
	return d;
}

static uint32_t pick32(struct wave *w, bool first, uint32_t a, uint32_t b)
{
	w->scc = first;
	return first ? a : b;
}

static uint32_t shl_add(struct wave *w, uint32_t a, unsigned n, uint32_t b)
{
	uint64_t sum = ((uint64_t)a << n) + b;

	w->scc = sum >> 32 != 0;
	return sum;
}

/* Bit-field extract: the field's offset is in the low bits of s1, its width in bits 22:16. */
static uint64_t bfe_u(uint64_t v, uint32_t s1, unsigned bits)
{
	unsigned off = s1 & (bits - 1), width = s1 >> 16 & 0x7f;

	v >>= off;
	return width < bits ? v & ((1ull << width) - 1) : v;
}

static uint64_t bfe_i(uint64_t v, uint32_t s1, unsigned bits)
{
	unsigned off = s1 & (bits - 1), width = s1 >> 16 & 0x7f;
	int64_t s = bits == 32 ? (int64_t)(int32_t)v : (int64_t)v;

	if (!width)
		return 0;
	s >>= off;
	return width < 64 ? (uint64_t)((int64_t)((uint64_t)s << (64 - width)) >> (64 - width)) : (uint64_t)s;
}

static uint64_t reverse(uint64_t v, unsigned bits)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < bits; i++)
		r |= (v >> i & 1) << (bits - 1 - i);
	return r;
}

/* Four bits at a time: any set gives one bit (quadmask), or all four (whole quad mode). */
static uint64_t quadmask(uint64_t v, unsigned bits)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < bits / 4; i++)
		r |= (uint64_t)((v >> 4 * i & 0xf) != 0) << i;
	return r;
}

static uint64_t wqm(uint64_t v, unsigned bits)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < bits; i += 4)
		r |= (v >> i & 0xf) ? 0xfull << i : 0;
	return r;
}

static uint64_t replicate(uint32_t v)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < 32; i++)
		r |= (uint64_t)(v >> i & 1) * (3ull << (2 * i));
	return r;
}

/* Position of the first bit from the top that differs from the sign; -1 if none. */
static uint32_t flbit_i(int64_t v, unsigned bits)
{
	uint64_t u = v < 0 ? ~(uint64_t)v : (uint64_t)v;

	return u ? (uint32_t)__builtin_clzll(u) - (64 - bits) : UINT32_MAX;
}

/* ------------------------------------------------------------------ SOP2 */

OP2(add_u32, 32, 32, 32, add_carry(w, s0, s1, 0))
OP2(addc_u32, 32, 32, 32, add_carry(w, s0, s1, w->scc))
OP2(sub_u32, 32, 32, 32, sub_borrow(w, s0, s1, 0))
OP2(subb_u32, 32, 32, 32, sub_borrow(w, s0, s1, w->scc))
OP2(add_i32, 32, 32, 32, add_overflow(w, s0, s1))
OP2(sub_i32, 32, 32, 32, sub_overflow(w, s0, s1))
OP2(min_i32, 32, 32, 32, pick32(w, (int32_t)s0 < (int32_t)s1, s0, s1))
OP2(min_u32, 32, 32, 32, pick32(w, s0 < s1, s0, s1))
OP2(max_i32, 32, 32, 32, pick32(w, (int32_t)s0 > (int32_t)s1, s0, s1))
OP2(max_u32, 32, 32, 32, pick32(w, s0 > s1, s0, s1))
OP2(cselect_b32, 32, 32, 32, w->scc ? s0 : s1)
OP2(cselect_b64, 64, 64, 64, w->scc ? s0 : s1)

#define LOGIC(name, expr)                                                                                              \
	OP2_NZ(name##_b32, 32, 32, 32, expr)                                                                           \
	OP2_NZ(name##_b64, 64, 64, 64, expr)
LOGIC(and, s0 & s1)
LOGIC(or, s0 | s1)
LOGIC(xor, s0 ^ s1)
LOGIC(andn2, s0 & ~s1)
LOGIC(orn2, s0 | ~s1)
LOGIC(nand, ~(s0 & s1))
LOGIC(nor, ~(s0 | s1))
LOGIC(xnor, ~(s0 ^ s1))

OP2_NZ(lshl_b32, 32, 32, 32, s0 << (s1 & 31))
OP2_NZ(lshl_b64, 64, 64, 32, s0 << (s1 & 63))
OP2_NZ(lshr_b32, 32, 32, 32, s0 >> (s1 & 31))
OP2_NZ(lshr_b64, 64, 64, 32, s0 >> (s1 & 63))
OP2_NZ(ashr_i32, 32, 32, 32, (uint32_t)((int32_t)s0 >> (s1 & 31)))
OP2_NZ(ashr_i64, 64, 64, 32, (uint64_t)((int64_t)s0 >> (s1 & 63)))
OP2(bfm_b32, 32, 32, 32, ((1u << (s0 & 31)) - 1) << (s1 & 31))
OP2(bfm_b64, 64, 32, 32, ((1ull << (s0 & 63)) - 1) << (s1 & 63))
OP2(mul_i32, 32, 32, 32, s0 * s1)
OP2(mul_hi_u32, 32, 32, 32, (uint64_t)s0 * s1 >> 32)
OP2(mul_hi_i32, 32, 32, 32, (uint64_t)((int64_t)(int32_t)s0 * (int32_t)s1) >> 32)
OP2_NZ(bfe_u32, 32, 32, 32, (uint32_t)bfe_u(s0, s1, 32))
OP2_NZ(bfe_i32, 32, 32, 32, (uint32_t)bfe_i(s0, s1, 32))
OP2_NZ(bfe_u64, 64, 64, 32, bfe_u(s0, s1, 64))
OP2_NZ(bfe_i64, 64, 64, 32, bfe_i(s0, s1, 64))
OP2_NZ(absdiff_i32, 32, 32, 32, (int32_t)s0 > (int32_t)s1 ? s0 - s1 : s1 - s0)
OP2(lshl1_add_u32, 32, 32, 32, shl_add(w, s0, 1, s1))
OP2(lshl2_add_u32, 32, 32, 32, shl_add(w, s0, 2, s1))
OP2(lshl3_add_u32, 32, 32, 32, shl_add(w, s0, 3, s1))
OP2(lshl4_add_u32, 32, 32, 32, shl_add(w, s0, 4, s1))
OP2(pack_ll, 32, 32, 32, (s0 & 0xffff) | s1 << 16)
OP2(pack_lh, 32, 32, 32, (s0 & 0xffff) | (s1 & 0xffff0000))
OP2(pack_hh, 32, 32, 32, s0 >> 16 | (s1 & 0xffff0000))

/* ------------------------------------------------------------------ SOP1 */

OP1(mov_b32, 32, 32, s0)
OP1(mov_b64, 64, 64, s0)
OP1_NZ(not_b32, 32, 32, ~s0)
OP1_NZ(not_b64, 64, 64, ~s0)
OP1_NZ(wqm_b32, 32, 32, (uint32_t)wqm(s0, 32))
OP1_NZ(wqm_b64, 64, 64, wqm(s0, 64))
OP1(brev_b32, 32, 32, (uint32_t)reverse(s0, 32))
OP1(brev_b64, 64, 64, reverse(s0, 64))
OP1_NZ(bcnt0_b32, 32, 32, 32 - (uint32_t)__builtin_popcount(s0))
OP1_NZ(bcnt0_b64, 32, 64, 64 - (uint32_t)__builtin_popcountll(s0))
OP1_NZ(bcnt1_b32, 32, 32, (uint32_t)__builtin_popcount(s0))
OP1_NZ(bcnt1_b64, 32, 64, (uint32_t)__builtin_popcountll(s0))
OP1(ff0_b32, 32, 32, ~s0 ? (uint32_t)__builtin_ctz(~s0) : UINT32_MAX)
OP1(ff0_b64, 32, 64, ~s0 ? (uint32_t)__builtin_ctzll(~s0) : UINT32_MAX)
OP1(ff1_b32, 32, 32, s0 ? (uint32_t)__builtin_ctz(s0) : UINT32_MAX)
OP1(ff1_b64, 32, 64, s0 ? (uint32_t)__builtin_ctzll(s0) : UINT32_MAX)
OP1(flbit_b32, 32, 32, s0 ? (uint32_t)__builtin_clz(s0) : UINT32_MAX)
OP1(flbit_b64, 32, 64, s0 ? (uint32_t)__builtin_clzll(s0) : UINT32_MAX)
OP1(flbit_i32, 32, 32, flbit_i((int32_t)s0, 32))
OP1(flbit_i64, 32, 64, flbit_i((int64_t)s0, 64))
OP1(sext_i8, 32, 32, (uint32_t)(int8_t)s0)
OP1(sext_i16, 32, 32, (uint32_t)(int16_t)s0)
OP1_NZ(quadmask_b32, 32, 32, (uint32_t)quadmask(s0, 32))
OP1_NZ(quadmask_b64, 64, 64, quadmask(s0, 64))
OP1_NZ(abs_i32, 32, 32, (int32_t)s0 < 0 ? 0 - s0 : s0)
OP1(bitreplicate, 64, 32, replicate(s0))

SALU_FN(op_bitset0_b32)
{
	exec_set_s32(w, &inst->dst[0], exec_s32(w, &inst->dst[0]) & ~(1u << (exec_s32(w, &inst->src[0]) & 31)));
}

SALU_FN(op_bitset1_b32)
{
	exec_set_s32(w, &inst->dst[0], exec_s32(w, &inst->dst[0]) | 1u << (exec_s32(w, &inst->src[0]) & 31));
}

SALU_FN(op_bitset0_b64)
{
	exec_set_s64(w, &inst->dst[0], exec_s64(w, &inst->dst[0]) & ~(1ull << (exec_s32(w, &inst->src[0]) & 63)));
}

SALU_FN(op_bitset1_b64)
{
	exec_set_s64(w, &inst->dst[0], exec_s64(w, &inst->dst[0]) | 1ull << (exec_s32(w, &inst->src[0]) & 63));
}

SALU_FN(op_cmov_b32)
{
	if (w->scc)
		exec_set_s32(w, &inst->dst[0], exec_s32(w, &inst->src[0]));
}

SALU_FN(op_cmov_b64)
{
	if (w->scc)
		exec_set_s64(w, &inst->dst[0], exec_s64(w, &inst->src[0]));
}

/* d = old EXEC; EXEC = expr of s0 and exec; SCC = EXEC != 0. */
#define SAVEEXEC(name, expr)                                                                                           \
	SALU_FN(op_##name##_saveexec)                                                                                  \
	{                                                                                                              \
		S0_64;                                                                                                 \
		uint64_t exec = WAVE_EXEC(w);                                                                          \
		exec_set_s64(w, &inst->dst[0], exec);                                                                  \
		WAVE_EXEC(w) = (expr);                                                                                 \
		w->scc = WAVE_EXEC(w) != 0;                                                                            \
	}
SAVEEXEC(and, s0 & exec)
SAVEEXEC(or, s0 | exec)
SAVEEXEC(xor, s0 ^ exec)
SAVEEXEC(andn2, s0 & ~exec)
SAVEEXEC(orn2, s0 | ~exec)
SAVEEXEC(nand, ~(s0 & exec))
SAVEEXEC(nor, ~(s0 | exec))
SAVEEXEC(xnor, ~(s0 ^ exec))
SAVEEXEC(andn1, ~s0 & exec)
SAVEEXEC(orn1, ~s0 | exec)

/* EXEC = d = expr; SCC = EXEC != 0. */
#define WREXEC(name, expr)                                                                                             \
	SALU_FN(op_##name##_wrexec)                                                                                    \
	{                                                                                                              \
		S0_64;                                                                                                 \
		uint64_t exec = WAVE_EXEC(w);                                                                          \
		WAVE_EXEC(w) = (expr);                                                                                 \
		exec_set_s64(w, &inst->dst[0], WAVE_EXEC(w));                                                          \
		w->scc = WAVE_EXEC(w) != 0;                                                                            \
	}
WREXEC(andn1, ~s0 & exec)
WREXEC(andn2, s0 & ~exec)

/* Relative moves: M0 is added to the register number. Beyond the file: reads 0, writes nothing. */
SALU_FN(op_movrels_b32)
{
	uint64_t r = (uint64_t)inst->src[0].index + w->sgpr[SGPR_M0];

	exec_set_s32(w, &inst->dst[0], r < WAVE_SGPRS ? w->sgpr[r] : 0);
}

SALU_FN(op_movrels_b64)
{
	uint64_t r = (uint64_t)inst->src[0].index + w->sgpr[SGPR_M0], v = 0;

	if (r + 1 < WAVE_SGPRS)
		memcpy(&v, &w->sgpr[r], 8);
	exec_set_s64(w, &inst->dst[0], v);
}

SALU_FN(op_movreld_b32)
{
	uint64_t r = (uint64_t)inst->dst[0].index + w->sgpr[SGPR_M0];

	if (r < WAVE_SGPRS)
		w->sgpr[r] = exec_s32(w, &inst->src[0]);
}

SALU_FN(op_movreld_b64)
{
	uint64_t r = (uint64_t)inst->dst[0].index + w->sgpr[SGPR_M0];
	uint64_t v = exec_s64(w, &inst->src[0]);

	if (r + 1 < WAVE_SGPRS)
		memcpy(&w->sgpr[r], &v, 8);
}

/* ------------------------------------------------------------------ SOPC */

CMP(cmp_eq, 32, s0 == s1)
CMP(cmp_lg, 32, s0 != s1)
CMP(cmp_gt_i, 32, (int32_t)s0 > (int32_t)s1)
CMP(cmp_ge_i, 32, (int32_t)s0 >= (int32_t)s1)
CMP(cmp_lt_i, 32, (int32_t)s0 < (int32_t)s1)
CMP(cmp_le_i, 32, (int32_t)s0 <= (int32_t)s1)
CMP(cmp_gt_u, 32, s0 > s1)
CMP(cmp_ge_u, 32, s0 >= s1)
CMP(cmp_lt_u, 32, s0 < s1)
CMP(cmp_le_u, 32, s0 <= s1)
CMP(cmp_eq64, 64, s0 == s1)
CMP(cmp_lg64, 64, s0 != s1)
CMP(bitcmp0_b32, 32, !(s0 >> (s1 & 31) & 1))
CMP(bitcmp1_b32, 32, s0 >> (s1 & 31) & 1)

SALU_FN(op_bitcmp0_b64)
{
	S0_64;
	S1_32;
	w->scc = !(s0 >> (s1 & 63) & 1);
}

SALU_FN(op_bitcmp1_b64)
{
	S0_64;
	S1_32;
	w->scc = s0 >> (s1 & 63) & 1;
}

/* ------------------------------------------------------------------ SOPK */

SALU_FN(op_movk)
{
	exec_set_s32(w, &inst->dst[0], (int16_t)inst->simm);
}

SALU_FN(op_cmovk)
{
	if (w->scc)
		exec_set_s32(w, &inst->dst[0], (int16_t)inst->simm);
}

SALU_FN(op_addk)
{
	exec_set_s32(w, &inst->dst[0], add_overflow(w, exec_s32(w, &inst->dst[0]), (int16_t)inst->simm));
}

SALU_FN(op_mulk)
{
	exec_set_s32(w, &inst->dst[0], exec_s32(w, &inst->dst[0]) * (uint32_t)(int16_t)inst->simm);
}

/* The register compared is named in the destination field; the decoder may give it as source or as destination. */
#define CMPK(name, T, expr)                                                                                            \
	SALU_FN(op_cmpk_##name)                                                                                        \
	{                                                                                                              \
		T a = exec_s32(w, inst->src[0].kind ? &inst->src[0] : &inst->dst[0]);                                  \
		T k = (T)(int16_t)inst->simm;                                                                                   \
		w->scc = (expr);                                                                                       \
	}
CMPK(eq_i, int32_t, a == k)
CMPK(lg_i, int32_t, a != k)
CMPK(gt_i, int32_t, a > k)
CMPK(ge_i, int32_t, a >= k)
CMPK(lt_i, int32_t, a < k)
CMPK(le_i, int32_t, a <= k)
CMPK(eq_u, uint32_t, a == (k & 0xffff))
CMPK(lg_u, uint32_t, a != (k & 0xffff))
CMPK(gt_u, uint32_t, a > (k & 0xffff))
CMPK(ge_u, uint32_t, a >= (k & 0xffff))
CMPK(lt_u, uint32_t, a < (k & 0xffff))
CMPK(le_u, uint32_t, a <= (k & 0xffff))

const struct exec_row exec_rows_salu[] = {
	{ISA_S_ADD_U32, op_add_u32},
	{ISA_S_ADDC_U32, op_addc_u32},
	{ISA_S_SUB_U32, op_sub_u32},
	{ISA_S_SUBB_U32, op_subb_u32},
	{ISA_S_ADD_I32, op_add_i32},
	{ISA_S_SUB_I32, op_sub_i32},
	{ISA_S_MIN_I32, op_min_i32},
	{ISA_S_MIN_U32, op_min_u32},
	{ISA_S_MAX_I32, op_max_i32},
	{ISA_S_MAX_U32, op_max_u32},
	{ISA_S_CSELECT_B32, op_cselect_b32},
	{ISA_S_CSELECT_B64, op_cselect_b64},
	{ISA_S_AND_B32, op_and_b32},
	{ISA_S_AND_B64, op_and_b64},
	{ISA_S_OR_B32, op_or_b32},
	{ISA_S_OR_B64, op_or_b64},
	{ISA_S_XOR_B32, op_xor_b32},
	{ISA_S_XOR_B64, op_xor_b64},
	{ISA_S_ANDN2_B32, op_andn2_b32},
	{ISA_S_ANDN2_B64, op_andn2_b64},
	{ISA_S_ORN2_B32, op_orn2_b32},
	{ISA_S_ORN2_B64, op_orn2_b64},
	{ISA_S_NAND_B32, op_nand_b32},
	{ISA_S_NAND_B64, op_nand_b64},
	{ISA_S_NOR_B32, op_nor_b32},
	{ISA_S_NOR_B64, op_nor_b64},
	{ISA_S_XNOR_B32, op_xnor_b32},
	{ISA_S_XNOR_B64, op_xnor_b64},
	{ISA_S_LSHL_B32, op_lshl_b32},
	{ISA_S_LSHL_B64, op_lshl_b64},
	{ISA_S_LSHR_B32, op_lshr_b32},
	{ISA_S_LSHR_B64, op_lshr_b64},
	{ISA_S_ASHR_I32, op_ashr_i32},
	{ISA_S_ASHR_I64, op_ashr_i64},
	{ISA_S_BFM_B32, op_bfm_b32},
	{ISA_S_BFM_B64, op_bfm_b64},
	{ISA_S_MUL_I32, op_mul_i32},
	{ISA_S_MUL_HI_U32, op_mul_hi_u32},
	{ISA_S_MUL_HI_I32, op_mul_hi_i32},
	{ISA_S_BFE_U32, op_bfe_u32},
	{ISA_S_BFE_I32, op_bfe_i32},
	{ISA_S_BFE_U64, op_bfe_u64},
	{ISA_S_BFE_I64, op_bfe_i64},
	{ISA_S_ABSDIFF_I32, op_absdiff_i32},
	{ISA_S_LSHL1_ADD_U32, op_lshl1_add_u32},
	{ISA_S_LSHL2_ADD_U32, op_lshl2_add_u32},
	{ISA_S_LSHL3_ADD_U32, op_lshl3_add_u32},
	{ISA_S_LSHL4_ADD_U32, op_lshl4_add_u32},
	{ISA_S_PACK_LL_B32_B16, op_pack_ll},
	{ISA_S_PACK_LH_B32_B16, op_pack_lh},
	{ISA_S_PACK_HH_B32_B16, op_pack_hh},

	{ISA_S_MOV_B32, op_mov_b32},
	{ISA_S_MOV_B64, op_mov_b64},
	{ISA_S_CMOV_B32, op_cmov_b32},
	{ISA_S_CMOV_B64, op_cmov_b64},
	{ISA_S_NOT_B32, op_not_b32},
	{ISA_S_NOT_B64, op_not_b64},
	{ISA_S_WQM_B32, op_wqm_b32},
	{ISA_S_WQM_B64, op_wqm_b64},
	{ISA_S_BREV_B32, op_brev_b32},
	{ISA_S_BREV_B64, op_brev_b64},
	{ISA_S_BCNT0_I32_B32, op_bcnt0_b32},
	{ISA_S_BCNT0_I32_B64, op_bcnt0_b64},
	{ISA_S_BCNT1_I32_B32, op_bcnt1_b32},
	{ISA_S_BCNT1_I32_B64, op_bcnt1_b64},
	{ISA_S_FF0_I32_B32, op_ff0_b32},
	{ISA_S_FF0_I32_B64, op_ff0_b64},
	{ISA_S_FF1_I32_B32, op_ff1_b32},
	{ISA_S_FF1_I32_B64, op_ff1_b64},
	{ISA_S_FLBIT_I32_B32, op_flbit_b32},
	{ISA_S_FLBIT_I32_B64, op_flbit_b64},
	{ISA_S_FLBIT_I32, op_flbit_i32},
	{ISA_S_FLBIT_I32_I64, op_flbit_i64},
	{ISA_S_SEXT_I32_I8, op_sext_i8},
	{ISA_S_SEXT_I32_I16, op_sext_i16},
	{ISA_S_BITSET0_B32, op_bitset0_b32},
	{ISA_S_BITSET0_B64, op_bitset0_b64},
	{ISA_S_BITSET1_B32, op_bitset1_b32},
	{ISA_S_BITSET1_B64, op_bitset1_b64},
	{ISA_S_AND_SAVEEXEC_B64, op_and_saveexec},
	{ISA_S_OR_SAVEEXEC_B64, op_or_saveexec},
	{ISA_S_XOR_SAVEEXEC_B64, op_xor_saveexec},
	{ISA_S_ANDN2_SAVEEXEC_B64, op_andn2_saveexec},
	{ISA_S_ORN2_SAVEEXEC_B64, op_orn2_saveexec},
	{ISA_S_NAND_SAVEEXEC_B64, op_nand_saveexec},
	{ISA_S_NOR_SAVEEXEC_B64, op_nor_saveexec},
	{ISA_S_XNOR_SAVEEXEC_B64, op_xnor_saveexec},
	{ISA_S_ANDN1_SAVEEXEC_B64, op_andn1_saveexec},
	{ISA_S_ORN1_SAVEEXEC_B64, op_orn1_saveexec},
	{ISA_S_ANDN1_WREXEC_B64, op_andn1_wrexec},
	{ISA_S_ANDN2_WREXEC_B64, op_andn2_wrexec},
	{ISA_S_QUADMASK_B32, op_quadmask_b32},
	{ISA_S_QUADMASK_B64, op_quadmask_b64},
	{ISA_S_ABS_I32, op_abs_i32},
	{ISA_S_BITREPLICATE_B64_B32, op_bitreplicate},
	{ISA_S_MOVRELS_B32, op_movrels_b32},
	{ISA_S_MOVRELS_B64, op_movrels_b64},
	{ISA_S_MOVRELD_B32, op_movreld_b32},
	{ISA_S_MOVRELD_B64, op_movreld_b64},

	{ISA_S_CMP_EQ_I32, op_cmp_eq},
	{ISA_S_CMP_LG_I32, op_cmp_lg},
	{ISA_S_CMP_GT_I32, op_cmp_gt_i},
	{ISA_S_CMP_GE_I32, op_cmp_ge_i},
	{ISA_S_CMP_LT_I32, op_cmp_lt_i},
	{ISA_S_CMP_LE_I32, op_cmp_le_i},
	{ISA_S_CMP_EQ_U32, op_cmp_eq},
	{ISA_S_CMP_LG_U32, op_cmp_lg},
	{ISA_S_CMP_GT_U32, op_cmp_gt_u},
	{ISA_S_CMP_GE_U32, op_cmp_ge_u},
	{ISA_S_CMP_LT_U32, op_cmp_lt_u},
	{ISA_S_CMP_LE_U32, op_cmp_le_u},
	{ISA_S_CMP_EQ_U64, op_cmp_eq64},
	{ISA_S_CMP_LG_U64, op_cmp_lg64},
	{ISA_S_BITCMP0_B32, op_bitcmp0_b32},
	{ISA_S_BITCMP1_B32, op_bitcmp1_b32},
	{ISA_S_BITCMP0_B64, op_bitcmp0_b64},
	{ISA_S_BITCMP1_B64, op_bitcmp1_b64},

	{ISA_S_MOVK_I32, op_movk},
	{ISA_S_CMOVK_I32, op_cmovk},
	{ISA_S_ADDK_I32, op_addk},
	{ISA_S_MULK_I32, op_mulk},
	{ISA_S_CMPK_EQ_I32, op_cmpk_eq_i},
	{ISA_S_CMPK_LG_I32, op_cmpk_lg_i},
	{ISA_S_CMPK_GT_I32, op_cmpk_gt_i},
	{ISA_S_CMPK_GE_I32, op_cmpk_ge_i},
	{ISA_S_CMPK_LT_I32, op_cmpk_lt_i},
	{ISA_S_CMPK_LE_I32, op_cmpk_le_i},
	{ISA_S_CMPK_EQ_U32, op_cmpk_eq_u},
	{ISA_S_CMPK_LG_U32, op_cmpk_lg_u},
	{ISA_S_CMPK_GT_U32, op_cmpk_gt_u},
	{ISA_S_CMPK_GE_U32, op_cmpk_ge_u},
	{ISA_S_CMPK_LT_U32, op_cmpk_lt_u},
	{ISA_S_CMPK_LE_U32, op_cmpk_le_u},
	{ISA_OP_INVALID, NULL},
};
