/* SPDX-License-Identifier: MIT */
/*
 * valu.h - the inside of the vector ALU (valu_*.c, valu_*.inc).
 *
 * Theory of operation. An operation is one table row (valu_*.inc): a name, the types of its result
 * and sources, and an expression over one lane's values. valu_gen.h turns a row into a function
 * that
 *
 *   1. gets a pointer to a row of 64 lanes for each source: the VGPR itself when nothing has to be
 * done to it, else a temporary row with the scalar broadcast and SDWA, DPP, op_sel, abs, neg and
 * input denormal flush applied (valu_operand.c), so that the expression never sees a modifier;
 *   2. evaluates the expression for 64 lanes in a loop that the compiler vectorises;
 *   3. hands the row of results to a "finish" function: NaN choice, output denormal flush, omod,
 * clamp, conversion to f16, op_sel or SDWA placement, and the blend with the old destination by
 * EXEC (and DPP's masks).
 *
 * Results are bit for bit the same in every build of these files (they are compiled for several
 * x86-64 levels, see valu.c): no contraction, no reassociation, denormals are flushed in integer
 * arithmetic, transcendentals are polynomials in double precision (valu_math.h), and which NaN
 * comes out is decided here, not by the host (valu_nanfix).
 */
#ifndef GPU_SOFT_EXEC_VALU_H
#define GPU_SOFT_EXEC_VALU_H

#include <string.h>

#include "gpu/soft/exec/exec.h"

/* Each x86-64 level has its own copy of every symbol that these files share. */
#ifndef VALU_SUFFIX
#define VALU_SUFFIX
#endif
#define VALU_CAT2(a, b) a##b
#define VALU_CAT(a, b)	VALU_CAT2(a, b)
#define VALU_SYM(name)	VALU_CAT(name, VALU_SUFFIX)

#define LANES	  WAVE_LANES
#define ROW_ALIGN __attribute__((aligned(64)))

/* Lanes are independent: a result row may be a source row, but never a shifted one. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed" /* not every loop can be vectorised */
#define LANES_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define LANES_INDEPENDENT _Pragma("GCC ivdep")
#endif
#define LANE_LOOP LANES_INDEPENDENT for (unsigned l = 0; l < LANES; l++)

/* What an operation reads: decides which modifiers mean something and how denormal inputs are
 * flushed. */
enum valu_kind {
	VK_NONE,
	VK_I32, /* also 32-bit untyped */
	VK_M32, /* 32-bit untyped with sign modifiers (v_cndmask_b32) */
	VK_F32,
	VK_I16,
	VK_F16,
	VK_M16, /* f16 whose denormals are not flushed (v_cmp_class) */
	VK_I64,
	VK_F64,
	VK_M64, /* f64 likewise */
	VK_PK,	/* 32 bits of packed halves: VOP3P modifiers are the operation's business */
};

/* MODE register fields. */
#define MODE_ROUND_F32(m)   ((m)&3)
#define MODE_ROUND_F64(m)   ((m) >> 2 & 3) /* f16 too */
#define MODE_F32_SRC_DENORM 0x10u
#define MODE_F32_DST_DENORM 0x20u
#define MODE_F64_SRC_DENORM 0x40u /* f16 too */
#define MODE_F64_DST_DENORM 0x80u
#define MODE_DX10_CLAMP	    0x100u
#define MODE_IEEE	    0x200u
#define MODE_FP16_OVFL	    (1u << 23)
#define MODE_GPR_IDX_EN	    (1u << 27)
/* M0 while GPR index mode is on: [7:0] index, [15:12] which operands it is added to. */
#define GPR_IDX_DST 8u

#define DEFAULT_NAN_F32 0xffc00000u
#define DEFAULT_NAN_F64 0xfff8000000000000ull
#define DEFAULT_NAN_F16 0xfe00u

#define valu_src32_slow	 VALU_SYM(valu_src32_slow)
#define valu_src64	 VALU_SYM(valu_src64)
#define valu_old32	 VALU_SYM(valu_old32)
#define valu_old64	 VALU_SYM(valu_old64)
#define valu_scalar64	 VALU_SYM(valu_scalar64)
#define valu_wmask	 VALU_SYM(valu_wmask)
#define valu_dst_row	 VALU_SYM(valu_dst_row)
#define valu_blend	 VALU_SYM(valu_blend)
#define valu_fin_i32	 VALU_SYM(valu_fin_i32)
#define valu_fin_i16	 VALU_SYM(valu_fin_i16)
#define valu_fin_f32	 VALU_SYM(valu_fin_f32)
#define valu_fin_f16	 VALU_SYM(valu_fin_f16)
#define valu_fin_h16	 VALU_SYM(valu_fin_h16)
#define valu_fin_i64	 VALU_SYM(valu_fin_i64)
#define valu_fin_f64	 VALU_SYM(valu_fin_f64)
#define valu_nanfix	 VALU_SYM(valu_nanfix)
#define valu_nanfix64	 VALU_SYM(valu_nanfix64)
#define valu_round_begin VALU_SYM(valu_round_begin)
#define valu_round_end	 VALU_SYM(valu_round_end)
#define valu_write_mask	 VALU_SYM(valu_write_mask)
#define valu_bits_of	 VALU_SYM(valu_bits_of)
#define valu_expand	 VALU_SYM(valu_expand)
#define valu_scalar32	 VALU_SYM(valu_scalar32)
#define valu_trig_preop	 VALU_SYM(valu_trig_preop)

/* ---- sources ---- */

const uint32_t *valu_src32_slow(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *in,
				unsigned i, enum valu_kind kind, uint32_t *tmp);

/* MODE bits that must be at their usual value for a source row to be usable as it is. */
static inline uint32_t valu_mode_mask(enum valu_kind kind)
{
	return MODE_GPR_IDX_EN | (kind == VK_F32 ? MODE_F32_SRC_DENORM : 0) |
	       (kind == VK_F16 || kind == VK_F64 ? MODE_F64_SRC_DENORM : 0);
}

/* True if no modifier field of the instruction can touch a source of this kind. */
static inline bool valu_plain(const struct wave *w, const struct isa_inst *in, enum valu_kind kind)
{
	uint32_t usual = MODE_F32_SRC_DENORM | MODE_F64_SRC_DENORM;
	unsigned mods = in->sdwa | in->dpp;

	if (kind != VK_PK)
		mods |= in->neg | in->abs;
	if (kind == VK_I16 || kind == VK_F16 || kind == VK_M16)
		mods |= in->op_sel;
	return !mods && !((w->mode ^ usual) & valu_mode_mask(kind));
}

/* The 64 lanes of source i, in place or in tmp. */
static inline const uint32_t *valu_src32(struct exec_ctx *ctx, struct wave *w,
					 const struct isa_inst *in, unsigned i, enum valu_kind kind,
					 uint32_t *tmp)
{
	const struct isa_operand *o = &in->src[i];

	if (o->kind == ISA_OPND_VGPR && o->index < w->num_vgprs && valu_plain(w, in, kind))
		return w->vgpr[o->index];
	return valu_src32_slow(ctx, w, in, i, kind, tmp);
}

/* The 64 lanes of a 64-bit source, always in tmp. */
const uint64_t *valu_src64(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *in,
			   unsigned i, enum valu_kind kind, uint64_t *tmp);
/* The old value of the destination as a source (v_mac, v_fmac, v_dot2c). */
const uint32_t *valu_old32(struct wave *w, const struct isa_inst *in, enum valu_kind kind,
			   uint32_t *tmp);
const uint64_t *valu_old64(struct wave *w, const struct isa_inst *in, enum valu_kind kind,
			   uint64_t *tmp);
/* A scalar operand (SGPR pair, constant, special), or lane 0 of a VGPR. */
uint64_t valu_scalar64(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *o);
uint32_t valu_scalar32(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *o);

/* ---- results ---- */

/* Lanes that this instruction may write: EXEC less what DPP disables. */
uint64_t valu_wmask(struct wave *w, const struct isa_inst *in);
/* Row n of destination d, or NULL when out of the wave's allocation (the write is dropped). */
uint32_t *valu_dst_row(struct wave *w, const struct isa_inst *in, unsigned d, unsigned n);
/* row[l] = out[l] where bit l of mask is set. */
void valu_blend(uint32_t *row, const uint32_t *out, uint64_t mask);
/* Writes a lane mask to a scalar destination pair; 0 for lanes not in EXEC is the caller's
 * business. */
void valu_write_mask(struct wave *w, const struct isa_operand *o, uint64_t bits);
/* Bit l = row[l] != 0, and back: row[l] = bit l. */
uint64_t valu_bits_of(const uint32_t *row);
void valu_expand(uint32_t *row, uint64_t bits);

/* out: results of 64 lanes. i32: bits; f32: bits of floats; h16: bits of f16; f16: bits of FLOATS
 * still to be rounded. */
void valu_fin_i32(struct wave *w, const struct isa_inst *in, uint32_t *out);
void valu_fin_i16(struct wave *w, const struct isa_inst *in, uint32_t *out, bool keep_high);
void valu_fin_f32(struct wave *w, const struct isa_inst *in, uint32_t *out);
void valu_fin_f16(struct wave *w, const struct isa_inst *in, uint32_t *out, bool keep_high);
void valu_fin_h16(struct wave *w, const struct isa_inst *in, uint32_t *out, bool keep_high);
void valu_fin_i64(struct wave *w, const struct isa_inst *in, uint64_t *out);
void valu_fin_f64(struct wave *w, const struct isa_inst *in, uint64_t *out);

/*
 * Rewrites the NaN results in out (floats; f16 results are still floats) to the rule of this GPU:
 * the first NaN source, quieted, else the default NaN. k: VK_F16, VK_F32, VK_F64 of a
 * floating-point source, anything else is skipped; s: its row.
 */
struct valu_nan_src {
	enum valu_kind k[3];
	const void *s[3];
};
static inline struct valu_nan_src valu_nan_of(enum valu_kind k0, const void *s0, enum valu_kind k1,
					      const void *s1, enum valu_kind k2, const void *s2)
{
	return (struct valu_nan_src){{k0, k1, k2}, {s0, s1, s2}};
}

void valu_nanfix(uint32_t *out, const struct valu_nan_src *src);
void valu_nanfix64(uint64_t *out, const struct valu_nan_src *src);

/* Host rounding mode for AMD's rm (0 even, 1 up, 2 down, 3 zero); end takes begin's result. Opaque
 * on purpose: no FP moves over them. */
unsigned valu_round_begin(unsigned rm);
void valu_round_end(unsigned saved);

/* The row where a plain integer result may be computed in place, or NULL. */
static inline uint32_t *valu_direct(struct wave *w, const struct isa_inst *in)
{
	const struct isa_operand *o = &in->dst[0];

	if (WAVE_EXEC(w) == ~0ull && o->kind == ISA_OPND_VGPR && o->index < w->num_vgprs &&
	    !(in->sdwa | in->dpp) && !(w->mode & MODE_GPR_IDX_EN))
		return w->vgpr[o->index];
	return NULL;
}

static inline float as_f32(uint32_t u)
{
	union {
		uint32_t u;
		float f;
	} x = {.u = u};

	return x.f;
}

static inline uint32_t as_u32(float f)
{
	union {
		float f;
		uint32_t u;
	} x = {.f = f};

	return x.u;
}

static inline double as_f64(uint64_t u)
{
	union {
		uint64_t u;
		double f;
	} x = {.u = u};

	return x.f;
}

static inline uint64_t as_u64(double f)
{
	union {
		double f;
		uint64_t u;
	} x = {.f = f};

	return x.u;
}

#endif
