/* SPDX-License-Identifier: MIT */
/*
 * valu_lane.c - vector operations that do not fit a table row: those that move between lanes and scalars or accumulation
 * registers, select by a mask, have two results, or wide operands. See valu.h.
 */
#include "gpu/soft/exec/valu_gen.h"

/* ---- between lanes and scalars (EXEC does not matter to readlane and writelane) ---- */

static void write_sgpr(struct wave *w, const struct isa_operand *o, uint32_t v)
{
	if (o->kind == ISA_OPND_SGPR)
		w->sgpr[o->index & (WAVE_SGPRS - 1)] = v;
}

VALU_DEF(V_READFIRSTLANE_B32)
{
	uint64_t exec = WAVE_EXEC(w);
	unsigned lane = exec ? (unsigned)__builtin_ctzll(exec) : 0;
	SRC_U32(0)

	write_sgpr(w, &in->dst[0], s0[lane]);
}

VALU_DEF(V_READLANE_B32)
{
	unsigned lane = valu_scalar32(ctx, w, &in->src[1]) & 63;
	SRC_U32(0)

	write_sgpr(w, &in->dst[0], s0[lane]);
}

VALU_DEF(V_WRITELANE_B32)
{
	uint32_t v = valu_scalar32(ctx, w, &in->src[0]);
	unsigned lane = valu_scalar32(ctx, w, &in->src[1]) & 63;
	uint32_t *row = valu_dst_row(w, in, 0, 0);

	if (row)
		row[lane] = v;
}

VALU_DEF(V_SWAP_B32)
{
	uint32_t old[LANES] ROW_ALIGN, *row = valu_dst_row(w, in, 0, 0);
	uint64_t mask = valu_wmask(w, in);
	uint32_t *other = in->src[0].kind == ISA_OPND_VGPR && in->src[0].index < w->num_vgprs
				  ? w->vgpr[in->src[0].index]
				  : NULL;

	if (!row || !other)
		return;
	memcpy(old, row, sizeof(old));
	valu_blend(row, other, mask);
	valu_blend(other, old, mask);
}

VALU_DEF(V_CNDMASK_B32)
{
	uint32_t out[LANES] ROW_ALIGN, pick[LANES] ROW_ALIGN;
	SRC_M32(0)
	SRC_M32(1)

	valu_expand(pick, valu_scalar64(ctx, w, &in->src[2]));
	LANE_LOOP
		out[l] = pick[l] ? s1[l] : s0[l];
	valu_fin_i32(w, in, out);
}

/* ---- accumulation registers: EXEC masks the writes ---- */

VALU_DEF(V_ACCVGPR_READ_B32)
{
	uint32_t out[LANES] ROW_ALIGN;
	SRC_U32(0)

	memcpy(out, s0, sizeof(out));
	valu_fin_i32(w, in, out);
}

/* ---- nothing to do ---- */

VALU_DEF(V_NOP)
{
}

/* Clears the record of floating-point exceptions, the low bits of TRAPSTS. */
VALU_DEF(V_CLREXCP)
{
	w->trapsts &= ~0x1ffu;
}

/* ---- division ---- */

VALU_DEF(V_DIV_SCALE_F32)
{
	uint32_t out[LANES] ROW_ALIGN, flag[LANES] ROW_ALIGN;
	uint64_t mask = valu_wmask(w, in);
	SRC_R32(0)
	SRC_R32(1)
	SRC_R32(2)

	LANE_LOOP
		out[l] = div_scale_f32(s0[l], s1[l], s2[l], &flag[l]);
	mask &= valu_bits_of(flag);
	valu_fin_f32(w, in, out);
	valu_write_mask(w, &in->dst[1], mask);
}

VALU_DEF(V_DIV_SCALE_F64)
{
	uint64_t out[LANES] ROW_ALIGN;
	uint32_t flag[LANES] ROW_ALIGN;
	uint64_t mask = valu_wmask(w, in);
	SRC_R64(0)
	SRC_R64(1)
	SRC_R64(2)

	for (unsigned l = 0; l < LANES; l++)
		out[l] = div_scale_f64(s0[l], s1[l], s2[l], &flag[l]);
	mask &= valu_bits_of(flag);
	valu_fin_f64(w, in, out);
	valu_write_mask(w, &in->dst[1], mask);
}

/* The lanes' flags are VCC. */
VALU_DEF(V_DIV_FMAS_F32)
{
	uint32_t out[LANES] ROW_ALIGN;
	uint64_t vcc = WAVE_VCC(w);
	const struct valu_nan_src *nan_src;
	SRC_F32(0)
	SRC_F32(1)
	SRC_F32(2)
	struct valu_nan_src nans = NAN_SRC3(F32, F32, F32);

	nan_src = &nans;
	ENV_BEGIN_S
	LANE_LOOP
		((float *)out)[l] = fmaf(LD_F32(0), LD_F32(1), LD_F32(2));
	if (vcc & WAVE_EXEC(w))
		for (unsigned l = 0; l < LANES; l++)
			if (vcc >> l & 1)
				out[l] = as_u32(div_fmas_f32(LD_F32(0), LD_F32(1), LD_F32(2)));
	ENV_END_S
	valu_nanfix(out, nan_src);
	valu_fin_f32(w, in, out);
}

VALU_DEF(V_DIV_FMAS_F64)
{
	uint64_t out[LANES] ROW_ALIGN;
	uint64_t vcc = WAVE_VCC(w);
	SRC_F64(0)
	SRC_F64(1)
	SRC_F64(2)
	struct valu_nan_src nans = NAN_SRC3(F64, F64, F64);

	ENV_BEGIN_D
	LANE_LOOP
		((double *)out)[l] = fma(LD_F64(0), LD_F64(1), LD_F64(2));
	if (vcc & WAVE_EXEC(w))
		for (unsigned l = 0; l < LANES; l++)
			if (vcc >> l & 1)
				out[l] = as_u64(div_fmas_f64(LD_F64(0), LD_F64(1), LD_F64(2)));
	ENV_END_D
	valu_nanfix64(out, &nans);
	valu_fin_f64(w, in, out);
}

/* ---- 64-bit multiply-add with carry out ---- */

VALU_DEF(V_MAD_U64_U32)
{
	uint64_t out[LANES] ROW_ALIGN;
	uint32_t flag[LANES] ROW_ALIGN;
	uint64_t mask = valu_wmask(w, in);
	SRC_U32(0)
	SRC_U32(1)
	SRC_U64(2)

	LANE_LOOP {
		uint64_t r = (uint64_t)s0[l] * s1[l] + s2[l];

		flag[l] = r < s2[l];
		out[l] = in->clamp && flag[l] ? ~0ull : r;
	}
	mask &= valu_bits_of(flag);
	valu_fin_i64(w, in, out);
	valu_write_mask(w, &in->dst[1], mask);
}

/* The carry is bit 64 of the 65-bit signed sum: its sign. */
VALU_DEF(V_MAD_I64_I32)
{
	uint64_t out[LANES] ROW_ALIGN;
	uint32_t flag[LANES] ROW_ALIGN;
	uint64_t mask = valu_wmask(w, in);
	SRC_U32(0)
	SRC_U32(1)
	SRC_U64(2)

	for (unsigned l = 0; l < LANES; l++) {
		int64_t p = (int64_t)(int32_t)s0[l] * (int32_t)s1[l], c = (int64_t)s2[l], r;
		bool over = __builtin_add_overflow(p, c, &r);

		flag[l] = over ? r >= 0 : r < 0;
		out[l] = (uint64_t)r;
		if (in->clamp && over)
			out[l] = c < 0 ? 1ull << 63 : ~(1ull << 63);
	}
	mask &= valu_bits_of(flag);
	valu_fin_i64(w, in, out);
	valu_write_mask(w, &in->dst[1], mask);
}

/* ---- wide ---- */

/* Four 32-bit sums: src[2] and the destination are four dwords. */
VALU_DEF(V_MQSAD_U32_U8)
{
	uint32_t out[4][LANES] ROW_ALIGN;
	const struct isa_operand *c = &in->src[2];
	uint64_t mask = valu_wmask(w, in);
	SRC_U64(0)
	SRC_U32(1)

	for (unsigned n = 0; n < 4; n++) {
		unsigned r = c->index + n;
		const uint32_t *sum =
			c->kind == ISA_OPND_VGPR ? w->vgpr[r < w->num_vgprs ? r : 0] : NULL;
		uint32_t scalar = c->kind == ISA_OPND_SGPR ? w->sgpr[r & (WAVE_SGPRS - 1)]
							   : n ? 0 : (uint32_t)c->value;

		for (unsigned l = 0; l < LANES; l++) {
			uint64_t v = (uint64_t)msad_u8((uint32_t)(s0[l] >> (8 * n)), s1[l], 0) +
				     (sum ? sum[l] : scalar);

			out[n][l] = in->clamp && v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
		}
	}
	for (unsigned n = 0; n < 4; n++) {
		uint32_t *row = valu_dst_row(w, in, 0, n);

		if (row)
			valu_blend(row, out[n], mask);
	}
}

/* ---- packed conversion ---- */

VALU_DEF(V_CVT_PKRTZ_F16_F32)
{
	uint32_t lo[LANES] ROW_ALIGN, hi[LANES] ROW_ALIGN;
	bool flush = !(w->mode & MODE_F64_DST_DENORM);
	SRC_F32(0)
	SRC_F32(1)

	LANE_LOOP {
		lo[l] = f2h_rtz(LD_F32(0));
		hi[l] = f2h_rtz(LD_F32(1));
	}
	if (flush)
		LANE_LOOP {
			lo[l] = lo[l] & 0x7c00 ? lo[l] : lo[l] & 0x8000;
			hi[l] = hi[l] & 0x7c00 ? hi[l] : hi[l] & 0x8000;
		}
	LANE_LOOP
		lo[l] |= hi[l] << 16;
	valu_fin_i32(w, in, lo);
}

/* ---- large arguments of sin and cos ---- */

/* The first 1216 bits of the fraction of 2/pi, the most significant first. */
static const uint32_t two_over_pi[38] = {
	0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab,
	0xdebbc561, 0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e,
	0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b,
	0xbdf9283b, 0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7,
	0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1,
	0x1f8d5d08, 0x56033046, 0xfc7b6bab,
};

double valu_trig_preop(uint64_t x, uint32_t n)
{
	int e = (int)(x >> 52 & 0x7ff), shift = (int)(n & 31) * 53, scale;
	uint64_t bits = 0;

	if (e > 1077)
		shift += e - 1077;
	/* 53 bits from the shift-th on; the hardware's table has 1201 */
	for (int b = 0; b < 53; b++) {
		int at = shift + b;

		bits = bits << 1 | (at < 1201 ? two_over_pi[at / 32] >> (31 - at % 32) & 1 : 0);
	}
	scale = -53 - shift;
	if (e >= 1968)
		scale += 128;
	return ldexp((double)bits, scale);
}

#define exec_rows_lane VALU_SYM(exec_rows_lane)
extern const struct exec_row exec_rows_lane[];
const struct exec_row exec_rows_lane[] = {
	{ ISA_V_READFIRSTLANE_B32, VALU_FN(V_READFIRSTLANE_B32) },
	{ ISA_V_READLANE_B32, VALU_FN(V_READLANE_B32) },
	{ ISA_V_WRITELANE_B32, VALU_FN(V_WRITELANE_B32) },
	{ ISA_V_SWAP_B32, VALU_FN(V_SWAP_B32) },
	{ ISA_V_CNDMASK_B32, VALU_FN(V_CNDMASK_B32) },
	{ ISA_V_ACCVGPR_READ_B32, VALU_FN(V_ACCVGPR_READ_B32) },
	{ ISA_V_ACCVGPR_WRITE_B32, VALU_FN(V_ACCVGPR_READ_B32) },
	{ ISA_V_ACCVGPR_MOV_B32, VALU_FN(V_ACCVGPR_READ_B32) },
	{ ISA_V_NOP, VALU_FN(V_NOP) },
	{ ISA_V_CLREXCP, VALU_FN(V_CLREXCP) },
	{ ISA_V_DIV_SCALE_F32, VALU_FN(V_DIV_SCALE_F32) },
	{ ISA_V_DIV_SCALE_F64, VALU_FN(V_DIV_SCALE_F64) },
	{ ISA_V_DIV_FMAS_F32, VALU_FN(V_DIV_FMAS_F32) },
	{ ISA_V_DIV_FMAS_F64, VALU_FN(V_DIV_FMAS_F64) },
	{ ISA_V_MAD_U64_U32, VALU_FN(V_MAD_U64_U32) },
	{ ISA_V_MAD_I64_I32, VALU_FN(V_MAD_I64_I32) },
	{ ISA_V_MQSAD_U32_U8, VALU_FN(V_MQSAD_U32_U8) },
	{ ISA_V_CVT_PKRTZ_F16_F32, VALU_FN(V_CVT_PKRTZ_F16_F32) },
	{ ISA_OP_INVALID, NULL },
};
