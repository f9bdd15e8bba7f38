/* SPDX-License-Identifier: MIT */
/*
 * valu_mfma_vec.h - the loops of the matrix operations, with the host's vectors: AVX-512, AVX2 with FMA, or four lanes at a time.
 *
 * Everything is inlined into one function a matrix operation, with its numbers as constants, so that a tile of D stays in
 * registers over k. The order of the additions is valu_mfma.c's; vectors run over columns, so that they do not change it.
 */
#ifndef GPU_SOFT_EXEC_VALU_MFMA_VEC_H
#define GPU_SOFT_EXEC_VALU_MFMA_VEC_H

#include "gpu/soft/exec/mfma.h"
#include "gpu/soft/exec/valu.h"
#include "gpu/soft/exec/valu_math.h"

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#endif

/* Without vectors small code matters more. */
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#define MAT_INLINE static inline __attribute__((always_inline))
#define MAT_UNROLL(n) _Pragma(MAT_TEXT(GCC unroll n))
#define MAT_TEXT(x)   #x
#else
#define MAT_INLINE static
#define MAT_UNROLL(n)
#endif

#if defined(__AVX512F__)
#define VW   16 /* floats in a vector */
#define ACCS 16 /* vectors of D held in registers */
typedef __m512 vec_f;
typedef __m512i vec_i;
typedef __m512d vec_d;
typedef __mmask16 vec_bad;
#define v_load(p)	  _mm512_load_ps(p)
#define v_store(p, x)	  _mm512_store_ps(p, x)
#define v_all(x)	  _mm512_set1_ps(x)
#define v_fma(a, b, c)	  _mm512_fmadd_ps(a, b, c)
#define v_quad(x, i)	  _mm512_permute_ps(x, (i)*0x55)
#define v_to_int(x)	  _mm512_cvttps_epi32(x)
#define v_add_int(p, x)	  _mm512_add_epi32(_mm512_load_si512(p), x)
#define v_store_int(p, x) _mm512_store_si512(p, x)
#define v_zero()	  _mm512_setzero_ps()
#define v_nan(x, y)	  _mm512_cmp_ps_mask(x, y, _CMP_UNORD_Q)
#define v_nan_d(x, y)	  _mm512_cmp_pd_mask(x, y, _CMP_UNORD_Q)
#define v_any(bad)	  ((bad) != 0)
MAT_INLINE vec_f v_flush(vec_f x)
{
	__m512i u = _mm512_castps_si512(x);
	__mmask16 normal = _mm512_test_epi32_mask(u, _mm512_set1_epi32(0x7f800000));

	return _mm512_castsi512_ps(_mm512_mask_mov_epi32(_mm512_and_si512(u, _mm512_set1_epi32((int)0x80000000)), normal, u));
}
#define d_all(x)       _mm512_set1_pd(x)
#define d_load(p)      _mm512_load_pd(p)
#define d_fma(a, b, c) _mm512_fmadd_pd(a, b, c)
#define d_quad(x, i)   _mm512_permutex_pd(x, (i)*0x55)
/* Two vectors of doubles from 16 lanes of the low and of the high register, and back. */
MAT_INLINE void d_join(vec_d x[2], const uint32_t *lo, const uint32_t *hi)
{
	__m512i l = _mm512_load_si512(lo), h = _mm512_load_si512(hi);
	const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);

	x[0] = _mm512_castsi512_pd(_mm512_permutex2var_epi32(l, first, h));
	x[1] = _mm512_castsi512_pd(_mm512_permutex2var_epi32(l, _mm512_add_epi32(first, _mm512_set1_epi32(8)), h));
}
MAT_INLINE void d_split(uint32_t *lo, uint32_t *hi, const vec_d x[2])
{
	const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	__m512i u = _mm512_castpd_si512(x[0]), v = _mm512_castpd_si512(x[1]);

	_mm512_store_si512(lo, _mm512_permutex2var_epi32(u, even, v));
	_mm512_store_si512(hi, _mm512_permutex2var_epi32(u, _mm512_add_epi32(even, _mm512_set1_epi32(1)), v));
}
#elif defined(__AVX2__) && defined(__FMA__)
#define VW   8
#define ACCS 8
typedef __m256 vec_f;
typedef __m256i vec_i;
typedef __m256d vec_d;
typedef __m256i vec_bad;
#define v_load(p)	  _mm256_load_ps(p)
#define v_store(p, x)	  _mm256_store_ps(p, x)
#define v_all(x)	  _mm256_set1_ps(x)
#define v_fma(a, b, c)	  _mm256_fmadd_ps(a, b, c)
#define v_quad(x, i)	  _mm256_permute_ps(x, (i)*0x55)
#define v_to_int(x)	  _mm256_cvttps_epi32(x)
#define v_add_int(p, x)	  _mm256_add_epi32(_mm256_load_si256((const __m256i *)(p)), x)
#define v_store_int(p, x) _mm256_store_si256((__m256i *)(p), x)
#define v_zero()	  _mm256_setzero_ps()
#define v_nan(x, y)	  _mm256_castps_si256(_mm256_cmp_ps(x, y, _CMP_UNORD_Q))
#define v_nan_d(x, y)	  _mm256_castpd_si256(_mm256_cmp_pd(x, y, _CMP_UNORD_Q))
#define v_any(bad)	  (!_mm256_testz_si256(bad, bad))
MAT_INLINE vec_f v_flush(vec_f x)
{
	__m256i u = _mm256_castps_si256(x), e = _mm256_and_si256(u, _mm256_set1_epi32(0x7f800000));
	__m256i tiny = _mm256_cmpeq_epi32(e, _mm256_setzero_si256());

	return _mm256_castsi256_ps(_mm256_andnot_si256(_mm256_and_si256(tiny, _mm256_set1_epi32(0x7fffffff)), u));
}
#define d_all(x)       _mm256_set1_pd(x)
#define d_load(p)      _mm256_load_pd(p)
#define d_fma(a, b, c) _mm256_fmadd_pd(a, b, c)
#define d_quad(x, i)   _mm256_permute4x64_pd(x, (i)*0x55)
MAT_INLINE void d_join(vec_d x[2], const uint32_t *lo, const uint32_t *hi)
{
	for (unsigned i = 0; i < 2; i++) {
		__m256i l = _mm256_cvtepu32_epi64(_mm_load_si128((const __m128i *)lo + i)), h = _mm256_cvtepu32_epi64(_mm_load_si128((const __m128i *)hi + i));

		x[i] = _mm256_castsi256_pd(_mm256_or_si256(l, _mm256_slli_epi64(h, 32)));
	}
}
MAT_INLINE void d_split(uint32_t *lo, uint32_t *hi, const vec_d x[2])
{
	__m256 l = _mm256_shuffle_ps(_mm256_castpd_ps(x[0]), _mm256_castpd_ps(x[1]), 0x88);
	__m256 h = _mm256_shuffle_ps(_mm256_castpd_ps(x[0]), _mm256_castpd_ps(x[1]), 0xdd);

	_mm256_store_pd((double *)(void *)lo, _mm256_permute4x64_pd(_mm256_castps_pd(l), 0xd8));
	_mm256_store_pd((double *)(void *)hi, _mm256_permute4x64_pd(_mm256_castps_pd(h), 0xd8));
}
#else
#define VW   4
#define ACCS 8
typedef float vec_f __attribute__((vector_size(16)));
typedef int32_t vec_i __attribute__((vector_size(16)));
typedef double vec_d __attribute__((vector_size(16)));
typedef int vec_bad;
#define v_load(p)	  (*(const vec_f *)(const void *)(p))
#define v_store(p, x)	  (*(vec_f *)(void *)(p) = (x))
#define v_zero()	  ((vec_f){0})
#define v_add_int(p, x)	  ((vec_i)(*(const vec_u *)(const void *)(p) + (vec_u)(x)))
#define v_store_int(p, x) (*(vec_i *)(void *)(p) = (x))
#define v_any(bad)	  (bad)
typedef uint32_t vec_u __attribute__((vector_size(16)));
MAT_INLINE vec_f v_all(float x)
{
	return (vec_f){x, x, x, x};
}
MAT_INLINE vec_f v_fma(vec_f a, vec_f b, vec_f c)
{
	for (unsigned i = 0; i < 4; i++)
		c[i] = fmaf(a[i], b[i], c[i]);
	return c;
}
MAT_INLINE vec_f v_quad(vec_f x, unsigned i)
{
	return v_all(x[i]);
}
MAT_INLINE vec_i v_to_int(vec_f x)
{
	return (vec_i){(int)x[0], (int)x[1], (int)x[2], (int)x[3]};
}
MAT_INLINE int v_nan(vec_f x, vec_f y)
{
	int bad = 0;

	for (unsigned i = 0; i < 4; i++)
		bad |= (x[i] != x[i]) | (y[i] != y[i]);
	return bad;
}
MAT_INLINE int v_nan_d(vec_d x, vec_d y)
{
	return (x[0] != x[0]) | (x[1] != x[1]) | (y[0] != y[0]) | (y[1] != y[1]);
}
MAT_INLINE vec_f v_flush(vec_f x)
{
	for (unsigned i = 0; i < 4; i++)
		x[i] = flushf(x[i]);
	return x;
}
MAT_INLINE vec_d d_all(double x)
{
	return (vec_d){x, x};
}
#define d_load(p) (*(const vec_d *)(const void *)(p))
MAT_INLINE vec_d d_fma(vec_d a, vec_d b, vec_d c)
{
	return (vec_d){fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1])};
}
MAT_INLINE void d_join(vec_d x[2], const uint32_t *lo, const uint32_t *hi)
{
	for (unsigned i = 0; i < 2; i++)
		x[i] = (vec_d){as_f64(lo[2 * i] | (uint64_t)hi[2 * i] << 32), as_f64(lo[2 * i + 1] | (uint64_t)hi[2 * i + 1] << 32)};
}
MAT_INLINE void d_split(uint32_t *lo, uint32_t *hi, const vec_d x[2])
{
	for (unsigned i = 0; i < 4; i++) {
		lo[i] = (uint32_t)as_u64(x[i / 2][i % 2]);
		hi[i] = (uint32_t)(as_u64(x[i / 2][i % 2]) >> 32);
	}
}
#endif

#define VD (VW / 2) /* doubles in a vector */

#define MAT_ROWS(x) uint32_t(*x)[LANES]
#define MAT_IN(x)   const uint32_t(*x)[LANES]

/* ---- NaN results: rare, so a pass of their own ---- */

static void __attribute__((noinline)) mat_fix_nans(MAT_ROWS(d), unsigned rows, bool wide)
{
	for (unsigned r = 0; r < rows; r += wide ? 2 : 1)
		for (unsigned l = 0; l < LANES; l++) {
			if (wide && (d[r][l] | (uint64_t)(d[r + 1][l] & 0x7fffffff) << 32) > 0x7ffull << 52) {
				d[r][l] = (uint32_t)DEFAULT_NAN_F64;
				d[r + 1][l] = (uint32_t)(DEFAULT_NAN_F64 >> 32);
			} else if (!wide && (d[r][l] & 0x7fffffff) > 0x7f800000) {
				d[r][l] = DEFAULT_NAN_F32;
			}
		}
}

/* ---- packed sources as floats: element p of lane l is x[p][l] ---- */

#if defined(__AVX512F__)
MAT_INLINE __m512 mat_half(__m512i v, unsigned shift)
{
	__m256i h = _mm512_cvtepi32_epi16(_mm512_srli_epi32(v, shift));
	__mmask16 normal = _mm256_test_epi16_mask(h, _mm256_set1_epi16(0x7c00));

	h = _mm256_mask_mov_epi16(_mm256_and_si256(h, _mm256_set1_epi16((short)0x8000)), normal, h);
	return _mm512_cvtph_ps(h);
}
#endif

MAT_INLINE void mat_expand(enum mfma_type type, unsigned pack, float (*x)[LANES], MAT_IN(r))
{
	for (unsigned p = 0; p < pack; p++) {
		unsigned shift = type == MFMA_I8 ? 8 * p : 16 * (p & 1);
		const uint32_t *row = r[type == MFMA_I8 ? 0 : p / 2];

		if (type == MFMA_I8) {
			LANE_LOOP
				x[p][l] = (float)(int8_t)(row[l] >> shift);
		} else if (type == MFMA_BF16) {
			LANE_LOOP
				x[p][l] = as_f32(flush_f32(row[l] >> shift << 16));
		} else {
#if defined(__AVX512F__)
			for (unsigned l = 0; l < LANES; l += 16)
				_mm512_store_ps(x[p] + l, mat_half(_mm512_load_si512(row + l), shift));
#else
			LANE_LOOP
				x[p][l] = h2f_flushed(row[l] >> shift & 0xffff);
#endif
		}
	}
}

/* ---- 32 and 16 rows ---- */

MAT_INLINE unsigned mat_at(unsigned m, unsigned blk, unsigned i)
{
	return m == 32 ? (16 * blk + 4 * (i / 8) + i % 4) * LANES + 32 * (i / 4 % 2) : (4 * blk + i % 4) * LANES + 16 * (i / 4);
}

/* check: whether results may be NaNs that are not the default one. steps: several A x B, one after the other, added to C. */
MAT_INLINE void mat_large(enum mfma_type type, unsigned m, unsigned k, unsigned blocks, unsigned pack, unsigned steps, bool check, MAT_ROWS(d),
			  MAT_IN(c), const float *const a[MFMA_STEPS], const float *const b[MFMA_STEPS])
{
	enum { COLS = 2 };
	const unsigned cols = m / VW < COLS ? 1 : COLS, rows = ACCS / cols;
	bool flush = type == MFMA_F16 || type == MFMA_BF16;
	vec_bad bad = {0};

	for (unsigned blk = 0; blk < blocks; blk++)
		for (unsigned j0 = 0; j0 < m; j0 += cols * VW)
			for (unsigned i0 = 0; i0 < m; i0 += rows) {
				vec_f acc[ACCS];

				MAT_UNROLL(16)
				for (unsigned i = 0; i < rows; i++)
					MAT_UNROLL(2)
					for (unsigned j = 0; j < cols; j++)
						acc[i * cols + j] = type == MFMA_I8 ? v_zero()
							: v_load((const float *)c + mat_at(m, blk, i0 + i) + j0 + j * VW);
				MAT_UNROLL(2)
				for (unsigned s = 0; s < steps; s++) {
					MAT_UNROLL(4)
					for (unsigned n = 0; n < k; n++) {
						unsigned at = n % pack * LANES + m * blocks * (n / pack) + m * blk;
						vec_f y[COLS];

						MAT_UNROLL(2)
						for (unsigned j = 0; j < cols; j++)
							y[j] = v_load(b[s] + at + j0 + j * VW);
						MAT_UNROLL(16)
						for (unsigned i = 0; i < rows; i++) {
							vec_f x = v_all(a[s][at + i0 + i]);

							MAT_UNROLL(2)
							for (unsigned j = 0; j < cols; j++)
								acc[i * cols + j] = v_fma(x, y[j], acc[i * cols + j]);
						}
					}
					MAT_UNROLL(16)
					for (unsigned i = 0; flush && i < ACCS; i++)
						acc[i] = v_flush(acc[i]);
				}
				MAT_UNROLL(16)
				for (unsigned i = 0; i < rows; i++)
					MAT_UNROLL(2)
					for (unsigned j = 0; j < cols; j++) {
						unsigned at = mat_at(m, blk, i0 + i) + j0 + j * VW;
						vec_f x = acc[i * cols + j];

						if (type == MFMA_I8)
							v_store_int((uint32_t *)d + at, v_add_int((const uint32_t *)c + at, v_to_int(x)));
						else
							v_store((float *)d + at, x);
					}
				MAT_UNROLL(16)
				for (unsigned i = 0; check && i < ACCS; i += 2)
					bad |= v_nan(acc[i], acc[i + 1]);
			}
	if (check && v_any(bad))
		mat_fix_nans(d, m * m * blocks / LANES, false);
}

/* ---- 4 rows, 16 blocks: A's elements are spread over the lanes of their block ---- */

#define QUAD(f, x, i) ((i) == 0 ? f(x, 0) : (i) == 1 ? f(x, 1) : (i) == 2 ? f(x, 2) : f(x, 3))

MAT_INLINE void mat_small(enum mfma_type type, unsigned k, MAT_ROWS(d), MAT_IN(c), const float *a, const float *b)
{
	bool flush = type == MFMA_F16 || type == MFMA_BF16;
	vec_bad bad = {0};

	for (unsigned l = 0; l < LANES; l += VW) {
		MAT_UNROLL(4)
		for (unsigned i = 0; i < 4; i++) {
			vec_f acc = type == MFMA_I8 ? v_zero() : v_load((const float *)c[i] + l);

			MAT_UNROLL(4)
			for (unsigned n = 0; n < k; n++) {
				vec_f x = v_load(a + n * LANES + l), y = v_load(b + n * LANES + l);

				acc = v_fma(QUAD(v_quad, x, i), y, acc);
			}
			if (type == MFMA_I8) {
				v_store_int(d[i] + l, v_add_int(c[i] + l, v_to_int(acc)));
				continue;
			}
			acc = flush ? v_flush(acc) : acc;
			bad |= v_nan(acc, acc);
			v_store((float *)d[i] + l, acc);
		}
	}
	if (v_any(bad))
		mat_fix_nans(d, 4, false);
}

/* ---- f64 ---- */

MAT_INLINE void mat_f64(unsigned m, unsigned steps, MAT_ROWS(d), MAT_IN(c), const double (*x)[LANES], const double (*y)[LANES])
{
	vec_bad bad = {0};

	for (unsigned i = 0; i < m; i++) {
		/* 16 columns: of row i, or of row i of the four blocks */
		unsigned row = m == 16 ? i / 4 * 2 : 0, lane = m == 16 ? 16 * (i % 4) : 16 * i;

		MAT_UNROLL(4)
		for (unsigned j = 0; j < 16; j += 2 * VD) {
			vec_d acc[2];

			d_join(acc, c[row] + lane + j, c[row + 1] + lane + j);
			MAT_UNROLL(2)
			for (unsigned s = 0; s < steps; s++)
				MAT_UNROLL(4)
				for (unsigned n = 0; n < 4; n++)
					MAT_UNROLL(2)
					for (unsigned h = 0; h < 2; h++) {
						unsigned at = 16 * n + j + h * VD;
						vec_d e;

						if (m == 16) {
							e = d_all(x[s][16 * n + i]);
						} else {
#if VD >= 4
							vec_d q = d_load(x[s] + at);

							e = QUAD(d_quad, q, i);
#else
							e = d_all(x[s][at / 4 * 4 + i]);
#endif
						}
						acc[h] = d_fma(e, d_load(y[s] + at), acc[h]);
					}
			bad |= v_nan_d(acc[0], acc[1]);
			d_split(d[row] + lane + j, d[row + 1] + lane + j, acc);
		}
	}
	if (v_any(bad))
		mat_fix_nans(d, m == 16 ? 8 : 2, true);
}

MAT_INLINE void mat_doubles(double *x, MAT_IN(r))
{
	for (unsigned l = 0; l < LANES; l += 2 * VD) {
		vec_d v[2];

		d_join(v, r[0] + l, r[1] + l);
		__builtin_memcpy(x + l, v, sizeof(v));
	}
}

MAT_INLINE bool mat_has_nan(const float *x, unsigned rows)
{
	vec_bad bad = {0};

	for (unsigned l = 0; l < rows * LANES; l += 2 * VW)
		bad |= v_nan(v_load(x + l), v_load(x + l + VW));
	return v_any(bad);
}

/* clean: C's NaNs are default ones, so that only A and B have to be looked at. */
MAT_INLINE void mat_any(enum mfma_type type, unsigned m, unsigned k, unsigned blocks, unsigned pack, unsigned steps, bool clean, MAT_ROWS(d),
			MAT_IN(c), const uint32_t (*const a[MFMA_STEPS])[LANES], const uint32_t (*const b[MFMA_STEPS])[LANES])
{
	float xa[MFMA_STEPS][4][LANES] ROW_ALIGN, xb[MFMA_STEPS][4][LANES] ROW_ALIGN;
	const float *fa[MFMA_STEPS], *fb[MFMA_STEPS];
	bool nan = !clean;

	if (type == MFMA_F64) {
		double x[MFMA_STEPS][LANES] ROW_ALIGN, y[MFMA_STEPS][LANES] ROW_ALIGN;

		MAT_UNROLL(2)
		for (unsigned s = 0; s < steps; s++) {
			mat_doubles(x[s], a[s]);
			mat_doubles(y[s], b[s]);
		}
		mat_f64(m, steps, d, c, (const double(*)[LANES])x, (const double(*)[LANES])y);
		return;
	}
	MAT_UNROLL(2)
	for (unsigned s = 0; s < steps; s++) {
		fa[s] = (const float *)a[s];
		fb[s] = (const float *)b[s];
		if (type != MFMA_F32) {
			mat_expand(type, pack, xa[s], a[s]);
			mat_expand(type, pack, xb[s], b[s]);
			fa[s] = xa[s][0];
			fb[s] = xb[s][0];
		}
		if (clean && type != MFMA_I8 && m != 4)
			nan = nan || mat_has_nan(fa[s], pack) || mat_has_nan(fb[s], pack);
	}
	if (m == 4) {
		for (unsigned s = 0; s < steps; s++)
			mat_small(type, k, d, s ? (const uint32_t(*)[LANES])d : c, fa[s], fb[s]);
	} else if (type == MFMA_I8 || (clean && !nan)) {
		mat_large(type, m, k, blocks, pack, steps, false, d, c, fa, fb);
	} else {
		mat_large(type, m, k, blocks, pack, steps, true, d, c, fa, fb);
	}
}

#endif
