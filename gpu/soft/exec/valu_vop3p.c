/* SPDX-License-Identifier: MIT */
/*
 * valu_vop3p.c - the packed operations of valu_vop3p.inc, dot products, v_pk_mov_b32.
 *
 * A packed operation is two 16-bit ones. op_sel bit i says which half of source i the low one reads, op_sel_hi the high one;
 * neg_lo and neg_hi flip signs for them (f16 only).
 */
#include "gpu/soft/exec/valu_gen.h"

/* One half of source i as a row of 16-bit values. */
static const uint32_t *half_row(const struct wave *w, const struct isa_inst *in, unsigned i, bool hi,
				bool fp, const uint32_t *row, uint32_t *tmp)
{
	unsigned shift = ((hi ? in->op_sel_hi : in->op_sel) >> i & 1) ? 16 : 0;
	uint32_t flip = fp && ((hi ? in->neg_hi : in->neg_lo) >> i & 1) ? 0x8000 : 0;

	LANE_LOOP
		tmp[l] = (row[l] >> shift & 0xffff) ^ flip;
	if (fp && !(w->mode & MODE_F64_SRC_DENORM))
		LANE_LOOP
			tmp[l] = tmp[l] & 0x7c00 ? tmp[l] : tmp[l] & 0x8000;
	return tmp;
}

#define PT_H  float
#define PT_X  uint32_t
#define PT_U  uint32_t
#define PT_I  int32_t
#define PT_SU uint32_t
#define PT_SI int32_t
#define PL_H(v)	 h2f(v)
#define PL_X(v)	 (v)
#define PL_U(v)	 (v)
#define PL_I(v)	 ((int32_t)(int16_t)(v))
#define PL_SU(v) (v)
#define PL_SI(v) ((int32_t)(int16_t)(v))
#define FP_H  true
#define FP_X  true
#define FP_U  false
#define FP_I  false
#define FP_SU false
#define FP_SI false
#define VKP_H  VK_F16
#define VKP_X  VK_NONE
#define VKP_U  VK_NONE
#define VKP_I  VK_NONE
#define VKP_SU VK_NONE
#define VKP_SI VK_NONE

/* How a half's results get into 16 bits; h is a row of what STORE left. */
#define ST_H(r) as_u32(r)
#define ST_X(r) (r)
#define ST_U(r) ((uint32_t)(r) & 0xffff)
#define ST_I(r) ((uint32_t)(r) & 0xffff)
#define ST_SU(r)                                                                                   \
	((uint32_t)(in->clamp ? (r) < 0 ? 0 : (r) > 65535 ? 65535 : (r) : (r)) & 0xffff)
#define ST_SI(r)                                                                                   \
	((uint32_t)(in->clamp ? (r) < -32768 ? -32768 : (r) > 32767 ? 32767 : (r) : (r)) & 0xffff)

/* f16 halves: NaN choice (unless nans is NULL), clamp, rounding, flush; leaves f16 bits. */
static void finish_h(const struct wave *w, const struct isa_inst *in, uint32_t *out,
		     const struct valu_nan_src *nans)
{
	unsigned rm = MODE_ROUND_F64(w->mode);
	bool dx10 = w->mode & MODE_DX10_CLAMP, nan = false;

	LANE_LOOP
		nan |= (out[l] & 0x7fffffff) > 0x7f800000;
	if (nan && nans)
		valu_nanfix(out, nans);
	if (in->clamp)
		LANE_LOOP {
			float f = as_f32(out[l]);
			uint32_t r = f > 0.0f ? out[l] : 0;

			r = f > 1.0f ? 0x3f800000 : r;
			out[l] = f != f && !dx10 ? out[l] : r;
		}
	if (w->mode & MODE_FP16_OVFL)
		LANE_LOOP
			out[l] = f16_ovfl(out[l]);
	if (rm)
		for (unsigned l = 0; l < LANES; l++)
			out[l] = f2h_rm(as_f32(out[l]), rm);
	else
		LANE_LOOP
			out[l] = f2h(as_f32(out[l]));
	if (!(w->mode & MODE_F64_DST_DENORM))
		LANE_LOOP
			out[l] = out[l] & 0x7c00 ? out[l] : out[l] & 0x8000;
}

static void finish_x(const struct wave *w, const struct isa_inst *in, uint32_t *out,
		     const struct valu_nan_src *nans)
{
	if (in->clamp) {
		LANE_LOOP
			out[l] = as_u32(h2f(out[l]));
		finish_h(w, in, out, NULL); /* the operation has chosen the NaN */
	} else if (!(w->mode & MODE_F64_DST_DENORM)) {
		LANE_LOOP
			out[l] = out[l] & 0x7c00 ? out[l] : out[l] & 0x8000;
	}
}

#define FINISH_H(row)  finish_h(w, in, row, &nans)
#define FINISH_X(row)  finish_x(w, in, row, &nans)
#define FINISH_U(row)  (void)nans
#define FINISH_I(row)  (void)nans
#define FINISH_SU(row) (void)nans
#define FINISH_SI(row) (void)nans

#define PK_HALF(T, HI, OUT, NSRC, ...)                                                             \
	{                                                                                          \
		uint32_t h0[LANES] ROW_ALIGN, h1[LANES] ROW_ALIGN, h2[LANES] ROW_ALIGN;            \
		struct valu_nan_src nans = { { VKP_##T, VKP_##T, NSRC == 3 ? VKP_##T : VK_NONE },  \
					     { h0, h1, h2 } };                                     \
		half_row(w, in, 0, HI, FP_##T, s0, h0);                                            \
		half_row(w, in, 1, HI, FP_##T, s1, h1);                                            \
		PK_C_##NSRC(T, HI) ENV_BEGIN_D LANE_LOOP                                           \
		{                                                                                  \
			PT_##T a = PL_##T(h0[l]), b = PL_##T(h1[l]);                               \
			PK_LOADC_##NSRC(T) OUT[l] = ST_##T((__VA_ARGS__));                         \
		}                                                                                  \
		ENV_END_D FINISH_##T(OUT);                                                         \
	}
#define PK_C_2(T, HI)
#define PK_C_3(T, HI) half_row(w, in, 2, HI, FP_##T, s2, h2);
#define PK_C_OLD(T, HI) old_half(w, HI, s2, h2);
#define PK_LOADC_2(T)
#define PK_LOADC_3(T)  PT_##T c = PL_##T(h2[l]);
#define PK_LOADC_OLD(T) PT_##T c = PL_##T(h2[l]);

static void old_half(const struct wave *w, bool hi, const uint32_t *row, uint32_t *tmp)
{
	LANE_LOOP
		tmp[l] = row[l] >> (hi ? 16 : 0) & 0xffff;
	if (!(w->mode & MODE_F64_SRC_DENORM))
		LANE_LOOP
			tmp[l] = tmp[l] & 0x7c00 ? tmp[l] : tmp[l] & 0x8000;
}

static void finish_pk(struct wave *w, const struct isa_inst *in, uint32_t *lo, const uint32_t *hi)
{
	LANE_LOOP
		lo[l] = (lo[l] & 0xffff) | hi[l] << 16;
	valu_fin_i32(w, in, lo);
}

#define PK_BODY(N, T, NSRC, SRC2, ...)                                                             \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		uint32_t lo[LANES] ROW_ALIGN, hi[LANES] ROW_ALIGN;                                 \
		VALU_SCOPE SRC_32(0, VK_PK) SRC_32(1, VK_PK) SRC2                                  \
			PK_HALF(T, false, lo, NSRC, __VA_ARGS__)                                   \
		PK_HALF(T, true, hi, NSRC, __VA_ARGS__)                                            \
		finish_pk(w, in, lo, hi);                                                          \
	}
#define PK2(N, T, ...) PK_BODY(N, T, 2, , __VA_ARGS__)
#define PK3(N, T, ...) PK_BODY(N, T, 3, SRC_32(2, VK_PK), __VA_ARGS__)

/* v_pk_fmac_f16 is VOP2: no op_sel; the halves are taken straight. */
#define PKM(N, T, ...)                                                                             \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		uint32_t lo[LANES] ROW_ALIGN, hi[LANES] ROW_ALIGN;                                 \
		VALU_SCOPE SRC_32(0, VK_PK) SRC_32(1, VK_PK) OLD_32(VK_I32)                        \
			PKM_HALF(T, false, lo, __VA_ARGS__) PKM_HALF(T, true, hi, __VA_ARGS__)     \
		finish_pk(w, in, lo, hi);                                                          \
	}
#define PKM_HALF(T, HI, OUT, ...)                                                                  \
	{                                                                                          \
		uint32_t h0[LANES] ROW_ALIGN, h1[LANES] ROW_ALIGN, h2[LANES] ROW_ALIGN;            \
		struct valu_nan_src nans = { { VKP_##T, VKP_##T, VKP_##T }, { h0, h1, h2 } };      \
		old_half(w, HI, s0, h0);                                                           \
		old_half(w, HI, s1, h1);                                                           \
		old_half(w, HI, s2, h2);                                                           \
		ENV_BEGIN_D LANE_LOOP                                                              \
		{                                                                                  \
			PT_##T a = PL_##T(h0[l]), b = PL_##T(h1[l]), c = PL_##T(h2[l]);            \
			OUT[l] = ST_##T((__VA_ARGS__));                                            \
		}                                                                                  \
		ENV_END_D FINISH_##T(OUT);                                                         \
	}

/* ---- packed f32 (gfx90a): op_sel picks the dword of each source ---- */

static void pkf_source(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *in, unsigned i,
		       uint32_t *lo, uint32_t *hi)
{
	uint64_t tmp[LANES] ROW_ALIGN;
	const uint64_t *s = valu_src64(ctx, w, in, i, VK_I64, tmp);
	unsigned lo_shift = in->op_sel >> i & 1 ? 32 : 0, hi_shift = in->op_sel_hi >> i & 1 ? 32 : 0;
	uint32_t lo_flip = (uint32_t)(in->neg_lo >> i & 1) << 31;
	uint32_t hi_flip = (uint32_t)(in->neg_hi >> i & 1) << 31;

	LANE_LOOP {
		lo[l] = (uint32_t)(s[l] >> lo_shift) ^ lo_flip;
		hi[l] = (uint32_t)(s[l] >> hi_shift) ^ hi_flip;
	}
	if (!(w->mode & MODE_F32_SRC_DENORM))
		LANE_LOOP {
			lo[l] = flush_f32(lo[l]);
			hi[l] = flush_f32(hi[l]);
		}
}

/* Finishes one dword of the result as if it were a 32-bit operation with its own destination. */
static void finish_pkf(struct wave *w, const struct isa_inst *in, unsigned n, uint32_t *out,
		       const struct valu_nan_src *nans)
{
	struct isa_inst one = *in;

	valu_nanfix(out, nans);
	one.dst[0].index = (uint16_t)(one.dst[0].index + n);
	valu_fin_f32(w, &one, out);
}

#define PKF(N, NSRC, ...)                                                                          \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		uint32_t src[2][3][LANES] ROW_ALIGN, out[2][LANES] ROW_ALIGN;                      \
		for (unsigned i = 0; i < NSRC; i++)                                                \
			pkf_source(ctx, w, in, i, src[0][i], src[1][i]);                           \
		ENV_BEGIN_S for (unsigned n = 0; n < 2; n++)                                       \
		{                                                                                  \
			const float *fa = (const float *)src[n][0], *fb = (const float *)src[n][1]; \
			const float *fc = (const float *)src[n][NSRC - 1];                         \
			LANE_LOOP                                                                  \
			{                                                                          \
				float a = fa[l], b = fb[l], c = fc[l];                             \
				(void)c;                                                           \
				((float *)out[n])[l] = (__VA_ARGS__);                              \
			}                                                                          \
		}                                                                                  \
		ENV_END_S for (unsigned n = 0; n < 2; n++)                                         \
		{                                                                                  \
			struct valu_nan_src nans = { { VK_F32, VK_F32,                             \
						       NSRC == 3 ? VK_F32 : VK_NONE },             \
						     { src[n][0], src[n][1], src[n][2] } };        \
			finish_pkf(w, in, n, out[n], &nans);                                       \
		}                                                                                  \
	}

VALU_DEF(V_PK_MOV_B32)
{
	uint32_t lo[LANES] ROW_ALIGN, hi[LANES] ROW_ALIGN, *row;
	unsigned shift0 = in->op_sel & 1 ? 32 : 0, shift1 = in->op_sel & 2 ? 32 : 0;
	uint64_t mask = valu_wmask(w, in);
	SRC_U64(0)
	SRC_U64(1)

	LANE_LOOP {
		lo[l] = (uint32_t)(s0[l] >> shift0);
		hi[l] = (uint32_t)(s1[l] >> shift1);
	}
	row = valu_dst_row(w, in, 0, 0);
	if (row)
		valu_blend(row, lo, mask);
	row = valu_dst_row(w, in, 0, 1);
	if (row)
		valu_blend(row, hi, mask);
}

/* ---- mixed precision ---- */

/* Source i as f32: the dword, or one of its halves when op_sel_hi is set. neg and abs are in neg_lo and neg_hi. */
static void mix_source(const struct wave *w, const struct isa_inst *in, unsigned i, bool flush,
		       const uint32_t *row, uint32_t *tmp)
{
	uint32_t keep = (in->neg_hi | in->abs) >> i & 1 ? 0x7fffffff : ~0u;
	uint32_t flip = (uint32_t)((in->neg_lo | in->neg) >> i & 1) << 31;

	if (in->op_sel_hi >> i & 1) {
		unsigned shift = in->op_sel >> i & 1 ? 16 : 0;
		bool drop = !(w->mode & MODE_F64_SRC_DENORM);

		LANE_LOOP {
			uint32_t h = row[l] >> shift & 0xffff;

			h = drop && !(h & 0x7c00) ? h & 0x8000 : h;
			tmp[l] = (as_u32(h2f(h)) & keep) ^ flip;
		}
	} else {
		bool drop = flush || !(w->mode & MODE_F32_SRC_DENORM);

		LANE_LOOP {
			uint32_t v = drop ? flush_f32(row[l]) : row[l];

			tmp[l] = (v & keep) ^ flip;
		}
	}
}

/* part 1, 2: the half of the destination that is written; the other is kept. */
static void finish_mix(struct wave *w, const struct isa_inst *in, unsigned part, uint32_t *out,
		       const struct valu_nan_src *nans)
{
	struct isa_inst one = *in;

	valu_nanfix(out, nans);
	one.op_sel = part == 2 ? 8 : 0;
	one.omod = 0;
	if (part == 0)
		valu_fin_f32(w, &one, out);
	else
		valu_fin_f16(w, &one, out, true);
}

#define MIX(N, PART, FLUSH, ...)                                                                   \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		uint32_t f0[LANES] ROW_ALIGN, f1[LANES] ROW_ALIGN, f2[LANES] ROW_ALIGN;            \
		uint32_t out[LANES] ROW_ALIGN;                                                     \
		struct valu_nan_src nans = { { VK_F32, VK_F32, VK_F32 }, { f0, f1, f2 } };         \
		SRC_32(0, VK_PK)                                                                   \
		SRC_32(1, VK_PK)                                                                   \
		SRC_32(2, VK_PK)                                                                   \
		mix_source(w, in, 0, FLUSH, s0, f0);                                               \
		mix_source(w, in, 1, FLUSH, s1, f1);                                               \
		mix_source(w, in, 2, FLUSH, s2, f2);                                               \
		ENV_BEGIN_S LANE_LOOP                                                              \
		{                                                                                  \
			float a = ((float *)f0)[l], b = ((float *)f1)[l], c = ((float *)f2)[l];    \
			((float *)out)[l] = (__VA_ARGS__);                                         \
		}                                                                                  \
		ENV_END_S finish_mix(w, in, PART, out, &nans);                                     \
	}

/* ---- dot products of f16; those of integers are rows of valu_vop3.inc ---- */

/*
 * Products are exact in f32; the sums round to nearest even in this order: c + low, then + high. Denormal sources and results are
 * flushed in every mode, as MI200 does.
 */
VALU_DEF(V_DOT2_F32_F16)
{
	uint32_t out[LANES] ROW_ALIGN, f[4][LANES] ROW_ALIGN, c[LANES] ROW_ALIGN;
	uint32_t flip = (uint32_t)(in->neg_lo >> 2 & 1) << 31;
	struct valu_nan_src nans = { { VK_F16, VK_F16, VK_F32 }, { f[0], f[1], c } };
	SRC_32(0, VK_PK)
	SRC_32(1, VK_PK)
	SRC_32(2, VK_PK)

	half_row(w, in, 0, false, true, s0, f[0]);
	half_row(w, in, 1, false, true, s1, f[1]);
	half_row(w, in, 0, true, true, s0, f[2]);
	half_row(w, in, 1, true, true, s1, f[3]);
	LANE_LOOP
		c[l] = flush_f32(s2[l]) ^ flip;
	LANE_LOOP
		out[l] = as_u32(dot2_h(f[0][l], f[1][l], f[2][l], f[3][l], as_f32(c[l])));
	valu_nanfix(out, &nans);
	valu_fin_f32(w, in, out);
}

#include "gpu/soft/exec/valu_vop3p.inc"

#undef PK2
#undef PK3
#undef PKM
#undef PKF
#undef MIX
#include "gpu/soft/exec/valu_row.h"
#define PK2(N, ...) VALU_ROW(N)
#define PK3(N, ...) VALU_ROW(N)
#define PKM(N, ...) VALU_ROW(N)
#define PKF(N, ...) VALU_ROW(N)
#define MIX(N, ...) VALU_ROW(N)

#define exec_rows_vop3p VALU_SYM(exec_rows_vop3p)
extern const struct exec_row exec_rows_vop3p[];
const struct exec_row exec_rows_vop3p[] = {
#include "gpu/soft/exec/valu_vop3p.inc"
	VALU_ROW(V_PK_MOV_B32) VALU_ROW(V_DOT2_F32_F16){ ISA_OP_INVALID, NULL },
};
