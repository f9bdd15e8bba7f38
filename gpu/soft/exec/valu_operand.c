/* SPDX-License-Identifier: MIT */
/*
 * valu_operand.c - what happens to vector operands before and after the arithmetic: modifiers of sources, and the way of a
 * result into its destination. See valu.h for the theory.
 *
 * Order, as in AMD's ISA manuals: a source is selected (DPP lane, SDWA sub-dword or op_sel half, sign extension), then abs,
 * then neg, then flush; a result is flushed, multiplied by omod, clamped, then placed.
 * VGPR numbers beyond the wave's allocation: reads give VGPR 0, writes are dropped.
 */
#include <xmmintrin.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "gpu/soft/exec/dpp.h"
#include "gpu/soft/exec/valu.h"
#include "gpu/soft/exec/valu_math.h"

static const uint32_t lane_bit[32] ROW_ALIGN = {
	1u << 0,  1u << 1,  1u << 2,  1u << 3,	1u << 4,  1u << 5,  1u << 6,  1u << 7,
	1u << 8,  1u << 9,  1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15,
	1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21, 1u << 22, 1u << 23,
	1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31,
};

/* ---- scalars ---- */

/* gfx900: one value of LDS for all lanes. M0 has its byte address in 15:0, its type in 18:16: unsigned byte, short, dword, -, signed byte, short. */
static uint32_t lds_direct(const struct wave *w)
{
	static const uint8_t width[8] = { 1, 2, 4, 4, 1, 2, 4, 4 };
	uint32_t at = w->sgpr[SGPR_M0] & 0xffff, type = w->sgpr[SGPR_M0] >> 16 & 7, v = 0;

	if (at + width[type] > w->wg->lds_size)
		return 0;
	memcpy(&v, w->wg->lds + at, width[type]);
	return type == 4 ? (uint32_t)(int8_t)v : type == 5 ? (uint32_t)(int16_t)v : v;
}

static uint64_t special_value(struct exec_ctx *ctx, struct wave *w, unsigned code)
{
	switch (code) {
	case 235:
		return w->wg->shared_base;
	case 236:
		return w->wg->shared_base + 0xffffffffu;
	case 237:
		return w->wg->private_base;
	case 238:
		return w->wg->private_base + 0xffffffffu;
	case 251:
		return WAVE_VCC(w) == 0;
	case 252:
		return WAVE_EXEC(w) == 0;
	case 253:
		return w->scc;
	case 254:
		return lds_direct(w);
	default: /* pops_exiting_wave_id: no pixel shader is there to leave */
		return 0;
	}
}

uint64_t valu_scalar64(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *o)
{
	unsigned i = o->index;

	switch (o->kind) {
	case ISA_OPND_SGPR:
		i &= WAVE_SGPRS - 1;
		return w->sgpr[i] |
		       (i + 1 < WAVE_SGPRS ? (uint64_t)w->sgpr[i + 1] << 32 : 0);
	case ISA_OPND_CONST:
		return o->value;
	case ISA_OPND_SPECIAL:
		return special_value(ctx, w, i);
	case ISA_OPND_VGPR:
		return w->vgpr[i < w->num_vgprs ? i : 0][0];
	default:
		return 0;
	}
}

/* An aperture register read as 32 bits gives its high half, as in operand.h. */
uint32_t valu_scalar32(struct exec_ctx *ctx, struct wave *w, const struct isa_operand *o)
{
	uint64_t v = valu_scalar64(ctx, w, o);

	return (uint32_t)(o->kind == ISA_OPND_SPECIAL && o->index < 251 ? v >> 32 : v);
}

/* ---- DPP ---- */

/* Source lane if it is there and active, else -1. */
static int dpp_source(const struct wave *w, const struct isa_inst *in, unsigned l)
{
	int s = dpp_lane(in->dpp_ctrl, l);

	return s >= 0 && (WAVE_EXEC(w) >> s & 1) ? s : -1;
}

uint64_t valu_wmask(struct wave *w, const struct isa_inst *in)
{
	uint64_t mask = WAVE_EXEC(w), dpp = 0;

	if (!in->dpp)
		return mask;
	for (unsigned l = 0; l < LANES; l++) {
		if (!(in->row_mask >> (l >> 4) & 1) || !(in->bank_mask >> (l >> 2 & 3) & 1))
			continue;
		if (in->bound_ctrl || dpp_source(w, in, l) >= 0)
			dpp |= 1ull << l;
	}
	return mask & dpp;
}

/* ---- sources ---- */

static unsigned idx_offset(const struct wave *w, unsigned which)
{
	uint32_t m0 = w->sgpr[SGPR_M0];

	return (w->mode & MODE_GPR_IDX_EN) && (m0 >> 12 & which) ? m0 & 0xff : 0;
}

/* Row n of a vector source operand, or NULL if it is a scalar. */
static const uint32_t *src_row(const struct wave *w, const struct isa_operand *o, unsigned i,
			       unsigned n)
{
	if (o->kind == ISA_OPND_VGPR) {
		unsigned r = o->index + idx_offset(w, 1u << i) + n;

		return w->vgpr[r < w->num_vgprs ? r : 0];
	}
	if (o->kind == ISA_OPND_AGPR && w->agpr && w->num_agprs) {
		unsigned r = o->index + n;

		return w->agpr[r < w->num_agprs ? r : 0];
	}
	return NULL;
}

static void fill(uint32_t *tmp, uint32_t v)
{
	LANE_LOOP
		tmp[l] = v;
}

static void apply_sdwa(uint32_t *tmp, unsigned sel, bool sext)
{
	unsigned shift = 0, width = 32;

	if (sel <= ISA_SDWA_BYTE_3) {
		shift = sel * 8;
		width = 8;
	} else if (sel <= ISA_SDWA_WORD_1) {
		shift = (sel - ISA_SDWA_WORD_0) * 16;
		width = 16;
	}
	if (width == 32)
		return;
	if (sext) {
		LANE_LOOP
			tmp[l] = (uint32_t)((int32_t)(tmp[l] << (32 - width - shift)) >>
					    (32 - width));
	} else {
		LANE_LOOP
			tmp[l] = tmp[l] << (32 - width - shift) >> (32 - width);
	}
}

static void flush32(uint32_t *row)
{
	LANE_LOOP
		row[l] = row[l] & 0x7f800000 ? row[l] : row[l] & 0x80000000;
}

static void flush16(uint32_t *row)
{
	LANE_LOOP
		row[l] = row[l] & 0x7c00 ? row[l] : row[l] & ~0x3ffu;
}

static void flush64(uint64_t *row)
{
	LANE_LOOP
		row[l] = row[l] & 0x7ff0000000000000ull ? row[l] : row[l] & 1ull << 63;
}

static void flush_input(const struct wave *w, enum valu_kind kind, uint32_t *row)
{
	if (kind == VK_F32 && !(w->mode & MODE_F32_SRC_DENORM))
		flush32(row);
	if (kind == VK_F16 && !(w->mode & MODE_F64_SRC_DENORM))
		flush16(row);
}

const uint32_t *valu_src32_slow(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *in,
				unsigned i, enum valu_kind kind, uint32_t *tmp)
{
	const struct isa_operand *o = &in->src[i];
	const uint32_t *row = src_row(w, o, i, 0);
	bool is16 = kind == VK_I16 || kind == VK_F16 || kind == VK_M16;
	uint32_t sign = is16 ? 0x8000 : 0x80000000;
	bool fp = kind == VK_F32 || kind == VK_F16 || kind == VK_M32 || kind == VK_M16;
	bool abs = fp && (in->abs >> i & 1), neg = fp && (in->neg >> i & 1);

	if (!row)
		fill(tmp, valu_scalar32(ctx, w, o));
	else if (in->dpp && i == 0)
		for (unsigned l = 0; l < LANES; l++) {
			int s = dpp_source(w, in, l);

			tmp[l] = s >= 0 ? row[s] : 0;
		}
	else if (valu_plain(w, in, kind))
		return row;
	else
		memcpy(tmp, row, LANES * sizeof(*tmp));

	if (in->sdwa && i < 2)
		apply_sdwa(tmp, i ? in->src1_sel : in->src0_sel,
			   i ? in->src1_sext : in->src0_sext);
	else if (is16 && (in->op_sel >> i & 1))
		LANE_LOOP
			tmp[l] >>= 16;
	if (abs || neg) {
		uint32_t keep = abs ? ~sign : ~0u, flip = neg ? sign : 0;

		LANE_LOOP
			tmp[l] = (tmp[l] & keep) ^ flip;
	}
	flush_input(w, kind, tmp);
	return tmp;
}

const uint64_t *valu_src64(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *in,
			   unsigned i, enum valu_kind kind, uint64_t *tmp)
{
	const struct isa_operand *o = &in->src[i];
	const uint32_t *lo = src_row(w, o, i, 0), *hi = src_row(w, o, i, 1);
	const uint64_t sign = 1ull << 63;
	bool fp = kind == VK_F64 || kind == VK_M64;
	bool abs = fp && (in->abs >> i & 1), neg = fp && (in->neg >> i & 1);

	if (!lo || !hi) {
		uint64_t v = valu_scalar64(ctx, w, o);

		LANE_LOOP
			tmp[l] = v;
	} else if (in->dpp && i == 0) {
		for (unsigned l = 0; l < LANES; l++) {
			int s = dpp_source(w, in, l);

			tmp[l] = s >= 0 ? lo[s] | (uint64_t)hi[s] << 32 : 0;
		}
	} else {
		LANE_LOOP
			tmp[l] = lo[l] | (uint64_t)hi[l] << 32;
	}
	if (abs || neg) {
		uint64_t keep = abs ? ~sign : ~0ull, flip = neg ? sign : 0;

		LANE_LOOP
			tmp[l] = (tmp[l] & keep) ^ flip;
	}
	if (kind == VK_F64 && !(w->mode & MODE_F64_SRC_DENORM))
		flush64(tmp);
	return tmp;
}

const uint32_t *valu_old32(struct wave *w, const struct isa_inst *in, enum valu_kind kind,
			   uint32_t *tmp)
{
	const uint32_t *row = valu_dst_row(w, in, 0, 0);

	memcpy(tmp, row ? row : w->vgpr[0], LANES * sizeof(*tmp));
	if ((kind == VK_F16 || kind == VK_I16) && (in->op_sel & 8))
		LANE_LOOP
			tmp[l] >>= 16;
	flush_input(w, kind, tmp);
	return tmp;
}

const uint64_t *valu_old64(struct wave *w, const struct isa_inst *in, enum valu_kind kind,
			   uint64_t *tmp)
{
	const uint32_t *lo = valu_dst_row(w, in, 0, 0), *hi = valu_dst_row(w, in, 0, 1);

	if (!lo)
		lo = w->vgpr[0];
	if (!hi)
		hi = w->vgpr[0];
	LANE_LOOP
		tmp[l] = lo[l] | (uint64_t)hi[l] << 32;
	if (kind == VK_F64 && !(w->mode & MODE_F64_SRC_DENORM))
		flush64(tmp);
	return tmp;
}

/* ---- destinations ---- */

uint32_t *valu_dst_row(struct wave *w, const struct isa_inst *in, unsigned d, unsigned n)
{
	const struct isa_operand *o = &in->dst[d];
	unsigned r = o->index + n;

	if (o->kind == ISA_OPND_AGPR)
		return w->agpr && r < w->num_agprs ? w->agpr[r] : NULL;
	r += idx_offset(w, GPR_IDX_DST);
	return o->kind == ISA_OPND_VGPR && r < w->num_vgprs ? w->vgpr[r] : NULL;
}

void valu_blend(uint32_t *row, const uint32_t *out, uint64_t mask)
{
	if (mask == ~0ull) {
		memcpy(row, out, LANES * sizeof(*row));
		return;
	}
#ifdef __AVX512F__
	for (unsigned q = 0; q < 4; q++)
		_mm512_mask_storeu_epi32(row + 16 * q, (__mmask16)(mask >> (16 * q)),
					 _mm512_loadu_si512(out + 16 * q));
#else
	for (unsigned h = 0; h < LANES; h += 32) {
		uint32_t m = (uint32_t)(mask >> h);

		LANES_INDEPENDENT for (unsigned l = 0; l < 32; l++) {
			uint32_t pick = -(uint32_t)((m & lane_bit[l]) == 0);

			row[h + l] = (row[h + l] & pick) | (out[h + l] & ~pick);
		}
	}
#endif
}

void valu_write_mask(struct wave *w, const struct isa_operand *o, uint64_t bits)
{
	unsigned i = o->index & (WAVE_SGPRS - 1);

	if (o->kind != ISA_OPND_SGPR || i + 1 >= WAVE_SGPRS)
		return;
	w->sgpr[i] = (uint32_t)bits;
	w->sgpr[i + 1] = (uint32_t)(bits >> 32);
}

uint64_t valu_bits_of(const uint32_t *row)
{
	uint64_t bits = 0;

#ifdef __AVX512F__
	for (unsigned q = 0; q < 4; q++) {
		__m512i v = _mm512_loadu_si512(row + 16 * q);

		bits |= (uint64_t)_mm512_test_epi32_mask(v, v) << (16 * q);
	}
#else
	for (unsigned h = 0; h < LANES; h += 32) {
		uint32_t m = 0;

		for (unsigned l = 0; l < 32; l++)
			m |= row[h + l] ? lane_bit[l] : 0;
		bits |= (uint64_t)m << h;
	}
#endif
	return bits;
}

void valu_expand(uint32_t *row, uint64_t bits)
{
	uint32_t lo = (uint32_t)bits, hi = (uint32_t)(bits >> 32);

	for (unsigned l = 0; l < 32; l++)
		row[l] = lo & lane_bit[l] ? 1 : 0;
	for (unsigned l = 0; l < 32; l++)
		row[32 + l] = hi & lane_bit[l] ? 1 : 0;
}

/* SDWA: places the low bits of each result and fills or keeps the rest of the dword. */
static void place_sdwa(const struct isa_inst *in, const uint32_t *old, uint32_t *out)
{
	unsigned shift, width;
	uint32_t field;

	if (in->dst_sel <= ISA_SDWA_BYTE_3) {
		shift = in->dst_sel * 8;
		width = 8;
	} else if (in->dst_sel <= ISA_SDWA_WORD_1) {
		shift = (in->dst_sel - ISA_SDWA_WORD_0) * 16;
		width = 16;
	} else {
		return;
	}
	field = (1u << width) - 1;
	for (unsigned l = 0; l < LANES; l++) {
		uint32_t v = (out[l] & field) << shift;

		if (in->dst_unused == ISA_SDWA_UNUSED_PRESERVE)
			v |= old[l] & ~(field << shift);
		else if (in->dst_unused == ISA_SDWA_UNUSED_SEXT && (out[l] >> (width - 1) & 1) &&
			 shift + width < 32)
			v |= ~0u << (shift + width);
		out[l] = v;
	}
}

void valu_fin_i32(struct wave *w, const struct isa_inst *in, uint32_t *out)
{
	uint32_t *row = valu_dst_row(w, in, 0, 0);

	if (!row)
		return;
	if (in->sdwa)
		place_sdwa(in, row, out);
	valu_blend(row, out, valu_wmask(w, in));
}

void valu_fin_i16(struct wave *w, const struct isa_inst *in, uint32_t *out, bool keep_high)
{
	uint32_t *row = valu_dst_row(w, in, 0, 0);

	if (!row)
		return;
	if (in->sdwa) {
		LANE_LOOP
			out[l] &= 0xffff;
		place_sdwa(in, row, out);
	} else if (in->op_sel & 8) {
		LANE_LOOP
			out[l] = out[l] << 16 | (row[l] & 0xffff);
	} else if (keep_high) {
		LANE_LOOP
			out[l] = (out[l] & 0xffff) | (row[l] & 0xffff0000);
	} else {
		LANE_LOOP
			out[l] &= 0xffff;
	}
	valu_blend(row, out, valu_wmask(w, in));
}

/*
 * omod counts only when the type's output denormals are flushed and IEEE mode is off ("Output modifiers", Vega ISA); a
 * result of -0 becomes +0 then.
 */
static bool omod_counts(const struct wave *w, const struct isa_inst *in, uint32_t denorm_bit)
{
	return in->omod && !(w->mode & (denorm_bit | MODE_IEEE));
}

static const float omod_factor[4] = { 1.0f, 2.0f, 4.0f, 0.5f };

static void clamp_f32(const struct wave *w, uint32_t *out)
{
	bool dx10 = w->mode & MODE_DX10_CLAMP;

	LANE_LOOP {
		float f = as_f32(out[l]);
		uint32_t r = f > 0.0f ? out[l] : 0;

		r = f > 1.0f ? 0x3f800000 : r;
		out[l] = f != f && !dx10 ? out[l] : r;
	}
}

static void omod_f32(const struct isa_inst *in, uint32_t *out)
{
	float k = omod_factor[in->omod & 3];

	LANE_LOOP {
		float f = as_f32(out[l]);
		uint32_t r = as_u32(f * k);

		r = r == 0x80000000 ? 0 : r;
		out[l] = f != f ? out[l] : r;
	}
}

void valu_fin_f32(struct wave *w, const struct isa_inst *in, uint32_t *out)
{
	bool flush = !(w->mode & MODE_F32_DST_DENORM);

	if (in->omod | in->clamp | flush) {
		if (flush)
			flush32(out);
		if (omod_counts(w, in, MODE_F32_DST_DENORM)) {
			omod_f32(in, out);
			flush32(out);
		}
		if (in->clamp)
			clamp_f32(w, out);
	}
	valu_fin_i32(w, in, out);
}

void valu_fin_f16(struct wave *w, const struct isa_inst *in, uint32_t *out, bool keep_high)
{
	unsigned rm = MODE_ROUND_F64(w->mode);

	if (omod_counts(w, in, MODE_F64_DST_DENORM))
		omod_f32(in, out);
	if (in->clamp)
		clamp_f32(w, out);
	if (w->mode & MODE_FP16_OVFL)
		LANE_LOOP
			out[l] = f16_ovfl(out[l]);
	if (rm == 0) {
		LANE_LOOP
			out[l] = f2h(as_f32(out[l]));
	} else {
		for (unsigned l = 0; l < LANES; l++)
			out[l] = f2h_rm(as_f32(out[l]), rm);
	}
	if (!(w->mode & MODE_F64_DST_DENORM))
		flush16(out);
	valu_fin_i16(w, in, out, keep_high);
}

void valu_fin_h16(struct wave *w, const struct isa_inst *in, uint32_t *out, bool keep_high)
{
	if (in->omod | in->clamp) {
		LANE_LOOP
			out[l] = as_u32(h2f(out[l]));
		valu_fin_f16(w, in, out, keep_high);
		return;
	}
	if (!(w->mode & MODE_F64_DST_DENORM))
		flush16(out);
	valu_fin_i16(w, in, out, keep_high);
}

void valu_fin_i64(struct wave *w, const struct isa_inst *in, uint64_t *out)
{
	uint32_t *lo = valu_dst_row(w, in, 0, 0), *hi = valu_dst_row(w, in, 0, 1);
	uint32_t half[LANES] ROW_ALIGN;
	uint64_t mask = valu_wmask(w, in);

	if (lo) {
		LANE_LOOP
			half[l] = (uint32_t)out[l];
		valu_blend(lo, half, mask);
	}
	if (hi) {
		LANE_LOOP
			half[l] = (uint32_t)(out[l] >> 32);
		valu_blend(hi, half, mask);
	}
}

void valu_fin_f64(struct wave *w, const struct isa_inst *in, uint64_t *out)
{
	bool dx10 = w->mode & MODE_DX10_CLAMP;

	if (!(w->mode & MODE_F64_DST_DENORM))
		flush64(out);
	if (omod_counts(w, in, MODE_F64_DST_DENORM)) {
		double k = omod_factor[in->omod & 3];

		for (unsigned l = 0; l < LANES; l++) {
			double f = as_f64(out[l]);

			if (f != f)
				continue;
			out[l] = as_u64(f * k);
			if (out[l] == 1ull << 63)
				out[l] = 0;
		}
		flush64(out);
	}
	if (in->clamp)
		for (unsigned l = 0; l < LANES; l++) {
			double f = as_f64(out[l]);

			if (f != f && !dx10)
				continue;
			out[l] = f > 1.0 ? as_u64(1.0) : f > 0.0 ? out[l] : 0;
		}
	valu_fin_i64(w, in, out);
}

/* ---- NaN ---- */

/* Source n of lane l as a quiet f64 NaN if it is a NaN, else 0. f64 holds every payload; narrowing drops low bits again. */
static uint64_t source_nan(const struct valu_nan_src *src, unsigned n, unsigned l)
{
	uint64_t v;

	switch (src->k[n]) {
	case VK_F16:
		v = ((const uint32_t *)src->s[n])[l];
		if ((v & 0x7fff) <= 0x7c00)
			return 0;
		return (v & 0x8000) << 48 | 0x7ff8ull << 48 | (v & 0x3ff) << 42;
	case VK_F32:
		v = ((const uint32_t *)src->s[n])[l];
		if ((v & 0x7fffffff) <= 0x7f800000)
			return 0;
		return (v & 0x80000000) << 32 | 0x7ff8ull << 48 | (v & 0x7fffff) << 29;
	case VK_F64:
		v = ((const uint64_t *)src->s[n])[l];
		if ((v & ~(1ull << 63)) <= 0x7ffull << 52)
			return 0;
		return v | 0x0008ull << 48;
	default:
		return 0;
	}
}

static uint64_t chosen_nan(const struct valu_nan_src *src, unsigned l)
{
	for (unsigned n = 0; n < 3; n++) {
		uint64_t v = source_nan(src, n, l);

		if (v)
			return v;
	}
	return DEFAULT_NAN_F64;
}

void valu_nanfix(uint32_t *out, const struct valu_nan_src *src)
{
	int bad = 0;

	LANE_LOOP
		bad |= (out[l] & 0x7fffffff) > 0x7f800000;
	if (!bad)
		return;
	for (unsigned l = 0; l < LANES; l++)
		if ((out[l] & 0x7fffffff) > 0x7f800000) {
			uint64_t v = chosen_nan(src, l);

			out[l] = (uint32_t)(v >> 32 & 0x80000000) | 0x7fc00000 |
				 (uint32_t)(v >> 29 & 0x3fffff);
		}
}

void valu_nanfix64(uint64_t *out, const struct valu_nan_src *src)
{
	for (unsigned l = 0; l < LANES; l++)
		if ((out[l] & ~(1ull << 63)) > 0x7ffull << 52)
			out[l] = chosen_nan(src, l);
}

/* ---- rounding ---- */

unsigned valu_round_begin(unsigned rm)
{
	static const unsigned rc[4] = { 0x0000, 0x4000, 0x2000, 0x6000 };
	unsigned saved = _mm_getcsr();

	_mm_setcsr((saved & ~0x6000u) | rc[rm & 3]);
	return saved;
}

void valu_round_end(unsigned saved)
{
	_mm_setcsr(saved);
}
