/* SPDX-License-Identifier: MIT */
/*
 * valu_mfma.c - matrix operations of gfx90a: D = A x B + C for one or several blocks at once.
 *
 * Which lane and register holds which element ("Matrix Arithmetic Instructions", CDNA2 ISA; M rows, N = M columns, K depth, P of them packed in a
 * lane's source registers):
 *   A[block][i][k]     lane M * blocks * (k / P) + M * block + i, element k % P; B likewise with j
 *   C, D[block][i][j]  32 rows: lane 32 * (i / 4 % 2) + j, register 16 * block + 4 * (i / 8) + i % 4
 *                      16 rows: lane 16 * (i / 4) + j, register 4 * block + i % 4; f64: lane 16 * (i % 4) + j, pair i / 4
 *                       4 rows: lane 4 * block + j, register i; f64: lane 16 * i + 4 * block + j
 * cbsz, abid: groups of 2^cbsz blocks all use A of the group's block abid. blgp: which lanes B is read from.
 *
 * EXEC does not matter. Arithmetic, where AMD gives no order: f32 and f64 are a chain of fused multiply-adds over k; f16 and bf16
 * products are exact, added one by one over k in f32, denormal sources and results are flushed (MI200 does that); all round to nearest
 * even. A NaN result is the default NaN. Integers wrap.
 */
#include "gpu/soft/exec/valu_gen.h"

enum mfma_type { MFMA_F32, MFMA_F64, MFMA_F16, MFMA_BF16, MFMA_I8 };

struct mfma {
	enum mfma_type type;
	unsigned m, k, blocks, pack;
};

#define MAX_BLOCKS 16
#define MAX_ELEMS  2048 /* of C: 32 * 32 * 2 blocks; of A and B 32 * 8 */

/* Row n of a source, or NULL for a scalar. */
static const uint32_t *mat_row(const struct wave *w, const struct isa_operand *o, unsigned n)
{
	unsigned r = o->index + n;

	if (o->kind == ISA_OPND_VGPR)
		return w->vgpr[r < w->num_vgprs ? r : 0];
	if (o->kind == ISA_OPND_AGPR && w->agpr && w->num_agprs)
		return w->agpr[r < w->num_agprs ? r : 0];
	return NULL;
}

static unsigned blgp_lane(unsigned blgp, unsigned l)
{
	switch (blgp) {
	case 1:
		return l & 31;
	case 2:
		return 32 | (l & 31);
	case 3:
		return (l + 16) & 63;
	case 4:
	case 5:
	case 6:
	case 7:
		return 16 * (blgp - 4) + (l & 15);
	}
	return l;
}

static float bf16(uint32_t v)
{
	return as_f32(flush_f32(v << 16));
}

/* Element p of a lane of A or B; 64-bit and packed ones span registers. */
static double mat_elem(const struct mfma *t, const struct wave *w, const struct isa_operand *o,
		       uint64_t scalar, unsigned lane, unsigned p)
{
	const uint32_t *r0 = mat_row(w, o, 0), *r1;
	unsigned half = p & 1;
	uint32_t v;

	if (t->type == MFMA_F64) {
		r1 = mat_row(w, o, 1);
		return as_f64(r0 && r1 ? r0[lane] | (uint64_t)r1[lane] << 32 : scalar);
	}
	if (t->type == MFMA_F32)
		return as_f32(r0 ? r0[lane] : (uint32_t)scalar);
	if (t->type == MFMA_I8) {
		v = r0 ? r0[lane] : (uint32_t)scalar;
		return (int8_t)(v >> (8 * p));
	}
	r1 = mat_row(w, o, p / 2);
	v = (r1 ? r1[lane] : (uint32_t)scalar) >> (16 * half) & 0xffff;
	return t->type == MFMA_F16 ? h2f_flushed(v) : bf16(v);
}

/* Where C and D keep row i of a block: the register (f64: the low one of a pair) and the lane of its first element. */
static void mat_place(const struct mfma *t, unsigned b, unsigned i, unsigned *reg, unsigned *lane)
{
	bool wide = t->type == MFMA_F64;

	if (t->m == 32) {
		*reg = 16 * b + 4 * (i / 8) + i % 4;
		*lane = 32 * (i / 4 % 2);
	} else if (t->m == 16) {
		*reg = wide ? 2 * (i / 4) : 4 * b + i % 4;
		*lane = wide ? 16 * (i % 4) : 16 * (i / 4);
	} else {
		*reg = wide ? 0 : i;
		*lane = wide ? 16 * i + 4 * b : 4 * b;
	}
}

/* One row of the result: d[j] += a[k] * B[k][j], over k. */
#define MAT_ROW(T, EXPR)                                                                           \
	for (unsigned k = 0; k < t->k; k++) {                                                      \
		const T x = a[k], *y = bm + k * t->m;                                              \
		LANES_INDEPENDENT for (unsigned j = 0; j < t->m; j++)                           \
		{                                                                                  \
			T acc = d[j];                                                              \
			d[j] = (EXPR);                                                             \
		}                                                                                  \
	}

static void row_f32(const struct mfma *t, float *restrict d, const float *a, const float *bm)
{
	if (t->type == MFMA_F32) {
		MAT_ROW(float, fmaf(x, y[j], acc))
		return;
	}
	MAT_ROW(float, acc + x * y[j])
	for (unsigned j = 0; j < t->m; j++)
		d[j] = flushf(d[j]);
}

static void row_f64(const struct mfma *t, double *restrict d, const double *a, const double *bm)
{
	MAT_ROW(double, fma(x, y[j], acc))
}

static void row_i32(const struct mfma *t, uint32_t *restrict d, const uint32_t *a, const uint32_t *bm)
{
	MAT_ROW(uint32_t, acc + x * y[j])
}

union mat {
	float f[MAX_ELEMS];
	uint32_t u[MAX_ELEMS];
	double d[MAX_ELEMS / 2];
	uint64_t q[MAX_ELEMS / 2];
};

static void mat_set(const struct mfma *t, union mat *x, unsigned n, double v)
{
	if (t->type == MFMA_F64)
		x->d[n] = v;
	else if (t->type == MFMA_I8)
		x->u[n] = (uint32_t)(int32_t)v;
	else
		x->f[n] = (float)v;
}

static void mfma(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *in,
		 const struct mfma *t)
{
	union mat a ROW_ALIGN, b ROW_ALIGN, c ROW_ALIGN;
	bool wide = t->type == MFMA_F64;
	unsigned group = wide ? 0 : (1u << (in->cbsz & 7)) - 1, reg, lane, n = 0;
	uint64_t s0 = valu_scalar64(ctx, w, &in->src[0]), s1 = valu_scalar64(ctx, w, &in->src[1]);
	uint64_t s2 = valu_scalar64(ctx, w, &in->src[2]);
	unsigned blgp = wide ? 0 : in->blgp;

	for (unsigned blk = 0; blk < t->blocks; blk++) {
		unsigned from = ((blk & ~group) | (in->abid & group)) % t->blocks;

		for (unsigned i = 0; i < t->m; i++)
			for (unsigned k = 0; k < t->k; k++) {
				unsigned base = t->m * t->blocks * (k / t->pack) + i;
				unsigned la = base + t->m * from;
				unsigned lb = blgp_lane(blgp, base + t->m * blk);

				mat_set(t, &a, (blk * t->m + i) * t->k + k,
					mat_elem(t, w, &in->src[0], s0, la, k % t->pack));
				mat_set(t, &b, (blk * t->k + k) * t->m + i,
					mat_elem(t, w, &in->src[1], s1, lb, k % t->pack));
			}
	}
	/* a row of C is m consecutive lanes of one register */
	for (unsigned row = 0; row < t->blocks * t->m; row++) {
		const uint32_t *lo, *hi;

		mat_place(t, row / t->m, row % t->m, &reg, &lane);
		lo = mat_row(w, &in->src[2], reg);
		hi = mat_row(w, &in->src[2], reg + 1);
		for (unsigned j = 0; j < t->m; j++, n++) {
			if (wide)
				c.q[n] = lo && hi ? lo[lane + j] | (uint64_t)hi[lane + j] << 32 : s2;
			else
				c.u[n] = lo ? lo[lane + j] : (uint32_t)s2;
		}
	}

	for (unsigned r = 0; r < t->blocks * t->m; r++) {
		unsigned bm = r / t->m * t->k * t->m;

		if (wide)
			row_f64(t, c.d + r * t->m, a.d + r * t->k, b.d + bm);
		else if (t->type == MFMA_I8)
			row_i32(t, c.u + r * t->m, a.u + r * t->k, b.u + bm);
		else
			row_f32(t, c.f + r * t->m, a.f + r * t->k, b.f + bm);
	}

	n = 0;
	for (unsigned row = 0; row < t->blocks * t->m; row++) {
		uint32_t *lo, *hi;

		mat_place(t, row / t->m, row % t->m, &reg, &lane);
		lo = valu_dst_row(w, in, 0, reg);
		hi = valu_dst_row(w, in, 0, reg + 1);
		for (unsigned j = 0; j < t->m; j++, n++) {
			if (wide) {
				uint64_t v = c.d[n] != c.d[n] ? DEFAULT_NAN_F64 : c.q[n];

				if (lo)
					lo[lane + j] = (uint32_t)v;
				if (hi)
					hi[lane + j] = (uint32_t)(v >> 32);
			} else if (lo) {
				bool nan = t->type != MFMA_I8 && c.f[n] != c.f[n];

				lo[lane + j] = nan ? DEFAULT_NAN_F32 : c.u[n];
			}
		}
	}
}

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

#define MFMA_FN(N, TYPE, M, K, BLOCKS, PACK)                                                       \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		static const struct mfma t = { TYPE, M, K, BLOCKS, PACK };                         \
		mfma(ctx, w, in, &t);                                                              \
	}
MFMA_TABLE(MFMA_FN)

#define exec_rows_mfma VALU_SYM(exec_rows_mfma)
#define MFMA_ROW(N, ...) { ISA_##N, VALU_FN(N) },
extern const struct exec_row exec_rows_mfma[];
const struct exec_row exec_rows_mfma[] = { MFMA_TABLE(MFMA_ROW){ ISA_OP_INVALID, NULL } };
