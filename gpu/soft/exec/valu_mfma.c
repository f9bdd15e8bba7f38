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
 *
 * How: a row of D's matrix is consecutive lanes of one register, so a vector of D, a vector of B and one element of A make a vector
 * FMA. valu_mfma_vec.h has the loops; here are operands and modifiers.
 */
#include "gpu/soft/exec/mfma.h"
#include "gpu/soft/exec/valu_gen.h"
#include "gpu/soft/exec/valu_mfma_vec.h"

#define MFMA_KERNEL(N, TYPE, M, ...)                                                                                   \
	static void mfma_##N(uint32_t (*d)[LANES], const uint32_t (*c)[LANES], const uint32_t (*const *ab)[LANES], unsigned steps)       \
	{                                                                                                              \
		mat_any(TYPE, M, __VA_ARGS__, MFMA_STEPS(TYPE), d, c, ab, steps);                                      \
	}                                                                                                              \
	static void __attribute__((unused)) two_##N(uint32_t (*d)[LANES], uint32_t (*e)[LANES], const uint32_t (*const *abb)[LANES], unsigned steps) \
	{                                                                                                              \
		if (MFMA_HAS_TWO(TYPE, M))                                                                             \
			mat_two(M, __VA_ARGS__, d, e, abb, steps);                                                     \
	}
MFMA_TABLE(MFMA_KERNEL)

#define exec_mfma VALU_SYM(exec_mfma)
#define MFMA_ONE(N, ...)     mfma_##N,
#define MFMA_TWO(N, TYPE, M, ...) MFMA_HAS_TWO(TYPE, M) ? two_##N : NULL,
extern const struct mfma_functions exec_mfma;
const struct mfma_functions exec_mfma = {{MFMA_TABLE(MFMA_ONE)}, {MFMA_TABLE(MFMA_TWO)}};

struct mfma {
	enum mfma_type type;
	unsigned m, k, blocks, pack;
};

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

/* The rows of a source where they are, if all exist. */
static const uint32_t (*mat_rows(const struct wave *w, const struct isa_operand *o, unsigned n))[LANES]
{
	if (o->kind == ISA_OPND_VGPR && o->index + n <= w->num_vgprs)
		return (const uint32_t(*)[LANES])w->vgpr + o->index;
	if (o->kind == ISA_OPND_AGPR && w->agpr && o->index + n <= w->num_agprs)
		return (const uint32_t(*)[LANES])w->agpr + o->index;
	return NULL;
}

static bool apart(const uint32_t (*x)[LANES], unsigned n, const uint32_t (*y)[LANES], unsigned m)
{
	return x + n <= y || y + m <= x;
}

/* A copy of a source's rows: scalars spread, lanes taken from where the modifiers say. */
static void mat_copy(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *o, uint32_t (*to)[LANES], unsigned n, unsigned step,
		     const uint8_t *from)
{
	uint64_t scalar = valu_scalar64(ctx, w, o);

	for (unsigned r = 0; r < n; r++) {
		const uint32_t *row = mat_row(w, o, r);
		uint32_t v = r % step ? (uint32_t)(scalar >> 32) : (uint32_t)scalar;

		for (unsigned l = 0; l < LANES; l++)
			to[r][l] = row ? row[from[l]] : v;
	}
}

#define MAX_D 32

static void mfma(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *in, const struct mfma *t, mfma_fn *fn)
{
	bool wide = t->type == MFMA_F64;
	unsigned step = wide ? 2 : 1, num_d = t->m * t->m * t->blocks / LANES * step;
	unsigned num_a = wide ? 2 : t->type == MFMA_I8 ? 1 : t->pack > 2 ? 2 : 1;
	unsigned group = wide ? 0 : (1u << (in->cbsz & 7)) - 1, blgp = wide ? 0 : in->blgp;
	const uint32_t(*a)[LANES] = mat_rows(w, &in->src[0], num_a), (*b)[LANES] = mat_rows(w, &in->src[1], num_a);
	const uint32_t(*c)[LANES] = mat_rows(w, &in->src[2], num_d), (*d)[LANES] = mat_rows(w, &in->dst[0], num_d);
	uint32_t ta[2][LANES] ROW_ALIGN, tb[2][LANES] ROW_ALIGN, tc[MAX_D][LANES] ROW_ALIGN;
	uint8_t from[LANES], same[LANES];

	if (a && b && c && d && !group && !blgp && apart(d, num_d, a, num_a) && apart(d, num_d, b, num_a) && (c == d || apart(d, num_d, c, num_d)) &&
	    !(w->mode & MODE_GPR_IDX_EN)) {
		fn((uint32_t(*)[LANES])(uintptr_t)d, c, (const uint32_t(*const[])[LANES]){a, b}, 1);
		return;
	}
	for (unsigned l = 0; l < LANES; l++) {
		unsigned blk = l / t->m % t->blocks, k = l / (t->m * t->blocks);

		same[l] = (uint8_t)l;
		from[l] = (uint8_t)(t->m * t->blocks * k + t->m * (((blk & ~group) | (in->abid & group)) % t->blocks) + l % t->m);
	}
	mat_copy(ctx, w, &in->src[0], ta, num_a, step, from);
	for (unsigned l = 0; l < LANES; l++)
		from[l] = (uint8_t)blgp_lane(blgp, l);
	mat_copy(ctx, w, &in->src[1], tb, num_a, step, from);
	mat_copy(ctx, w, &in->src[2], tc, num_d, step, same);
	fn(tc, (const uint32_t(*)[LANES])tc, (const uint32_t(*const[])[LANES]){(const uint32_t(*)[LANES])ta, (const uint32_t(*)[LANES])tb}, 1);
	for (unsigned r = 0; r < num_d; r++) {
		uint32_t *row = valu_dst_row(w, in, 0, r);

		if (row)
			memcpy(row, tc[r], sizeof(tc[r]));
	}
}

#define MFMA_FN(N, TYPE, M, K, BLOCKS, PACK)                                                       \
	VALU_DEF(N)                                                                                \
	{                                                                                          \
		static const struct mfma t = { TYPE, M, K, BLOCKS, PACK };                         \
		mfma(ctx, w, in, &t, mfma_##N);                                                        \
	}
MFMA_TABLE(MFMA_FN)

#define exec_rows_mfma VALU_SYM(exec_rows_mfma)
#define MFMA_ROW(N, ...) { ISA_##N, VALU_FN(N) },
extern const struct exec_row exec_rows_mfma[];
const struct exec_row exec_rows_mfma[] = { MFMA_TABLE(MFMA_ROW){ ISA_OP_INVALID, NULL } };
