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
#ifdef VALU_ROLLED
#define MAT_UNROLL(n)
#else
#define MAT_UNROLL(n) _Pragma(MAT_TEXT(GCC unroll n))
#endif
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

MAT_INLINE size_t mat_at(size_t m, size_t blk, size_t i)
{
	return m == 32 ? (16 * blk + 4 * (i / 8) + i % 4) * LANES + 32 * (i / 4 % 2) : (4 * blk + i % 4) * LANES + 16 * (i / 4);
}

/* Steps: A and B of each are floats at ab[2 * s], ab[2 * s + 1]. */
MAT_INLINE void mat_large(enum mfma_type type, unsigned m, unsigned k, unsigned blocks, unsigned pack, unsigned steps, MAT_ROWS(d), MAT_IN(c),
			  const uint32_t (*const *ab)[LANES])
{
	enum { COLS = 2 };
	const size_t cols = m / VW < COLS ? 1 : COLS, rows = ACCS / cols;
	bool flush = type == MFMA_F16 || type == MFMA_BF16;
	vec_bad bad = {0};

	for (size_t blk = 0; blk < blocks; blk++)
		for (size_t j0 = 0; j0 < m; j0 += cols * VW)
			for (size_t i0 = 0; i0 < m; i0 += rows) {
				/* rows is a power of two: an element's place is that of the tile and that in the tile. */
				const float *from = (const float *)c + mat_at(m, blk, i0) + j0;
				float *to = (float *)d + mat_at(m, blk, i0) + j0;
				vec_f acc[ACCS];

				MAT_UNROLL(16)
				for (size_t i = 0; i < rows; i++)
					MAT_UNROLL(2)
					for (size_t j = 0; j < cols; j++)
						acc[i * cols + j] = type == MFMA_I8 ? v_zero()
							: v_load(from + mat_at(m, 0, i) + j * VW);
				for (unsigned s = 0; s < steps; s++) {
					const float *a = (const float *)ab[2 * s] + m * blk + i0, *b = (const float *)ab[2 * s + 1] + m * blk + j0;

					/* Two base registers, not one for every element. */
					__asm__("" : "+r"(a), "+r"(b));
					MAT_UNROLL(4)
					for (size_t n = 0; n < k; n++) {
						size_t at = n % pack * LANES + m * blocks * (n / pack);
						vec_f y[COLS];

						MAT_UNROLL(2)
						for (size_t j = 0; j < cols; j++)
							y[j] = v_load(b + at + j * VW);
						MAT_UNROLL(16)
						for (size_t i = 0; i < rows; i++) {
							vec_f x = v_all(a[at + i]);

							MAT_UNROLL(2)
							for (size_t j = 0; j < cols; j++)
								acc[i * cols + j] = v_fma(x, y[j], acc[i * cols + j]);
						}
					}
					MAT_UNROLL(16)
					for (size_t i = 0; flush && i < ACCS; i++)
						acc[i] = v_flush(acc[i]);
				}
				MAT_UNROLL(16)
				for (size_t i = 0; i < rows; i++)
					MAT_UNROLL(2)
					for (size_t j = 0; j < cols; j++) {
						size_t at = mat_at(m, 0, i) + j * VW;
						vec_f x = acc[i * cols + j];

						if (type == MFMA_I8)
							v_store_int((uint32_t *)to + at, v_add_int((const uint32_t *)from + at, v_to_int(x)));
						else
							v_store(to + at, x);
					}
				MAT_UNROLL(16)
				for (size_t i = 0; type != MFMA_I8 && i < ACCS; i += 2)
					bad |= v_nan(acc[i], acc[i + 1]);
			}
	if (type != MFMA_I8 && v_any(bad))
		mat_fix_nans(d, m * m * blocks / LANES, false);
}

/* ---- two accumulators of 16 rows, f32 ---- */

MAT_INLINE void mat_two_steps(unsigned m, unsigned k, unsigned blocks, bool first, bool second, vec_f *x, vec_f *y, const float *a, const float *b,
			      const float *c)
{
	__asm__("" : "+r"(a), "+r"(b), "+r"(c));
	MAT_UNROLL(4)
	for (size_t n = 0; n < k; n++) {
		size_t at = m * blocks * n;
		vec_f p = first ? v_load(b + at) : v_zero(), q = second ? v_load(c + at) : v_zero();

		MAT_UNROLL(8)
		for (size_t i = 0; i < ACCS / 2; i++) {
			vec_f e = v_all(a[at + i]);

			if (first)
				x[i] = v_fma(e, p, x[i]);
			if (second)
				y[i] = v_fma(e, q, y[i]);
		}
	}
}

/* With vectors as long as rows: the half of the rows of each accumulator at a time, so that an element of A serves two multiplications, too. */
MAT_INLINE void mat_two_rows(unsigned m, unsigned k, unsigned blocks, MAT_ROWS(d), MAT_ROWS(e), const uint32_t (*const *abb)[LANES], unsigned steps)
{
	enum { ROWS = ACCS / 2 };
	vec_bad bad = {0};

	for (size_t blk = 0; blk < blocks; blk++)
		for (size_t i0 = 0; i0 < m; i0 += ROWS) {
			float *to = (float *)d + mat_at(m, blk, i0), *also = (float *)e + mat_at(m, blk, i0);
			vec_f x[ROWS], y[ROWS];

			MAT_UNROLL(8)
			for (size_t i = 0; i < ROWS; i++) {
				x[i] = v_load(to + mat_at(m, 0, i));
				y[i] = v_load(also + mat_at(m, 0, i));
			}
			for (unsigned s = 0; s < steps; s++) {
				const float *a = (const float *)abb[3 * s] + m * blk + i0;
				const float *b = (const float *)abb[3 * s + 1], *c = (const float *)abb[3 * s + 2];

				if (b && c)
					mat_two_steps(m, k, blocks, true, true, x, y, a, b + m * blk, c + m * blk);
				else if (b)
					mat_two_steps(m, k, blocks, true, false, x, y, a, b + m * blk, NULL);
				else
					mat_two_steps(m, k, blocks, false, true, x, y, a, NULL, c + m * blk);
			}
			MAT_UNROLL(8)
			for (size_t i = 0; i < ROWS; i++) {
				v_store(to + mat_at(m, 0, i), x[i]);
				v_store(also + mat_at(m, 0, i), y[i]);
				bad |= v_nan(x[i], y[i]);
			}
		}
	if (v_any(bad)) {
		mat_fix_nans(d, m * m * blocks / LANES, false);
		mat_fix_nans(e, m * m * blocks / LANES, false);
	}
}

/* With shorter ones, one after the other: mat_large() does that with one accumulator. */
MAT_INLINE void mat_two(unsigned m, unsigned k, unsigned blocks, unsigned pack, MAT_ROWS(d), MAT_ROWS(e), const uint32_t (*const *abb)[LANES], unsigned steps)
{
	if (m == VW) {
		mat_two_rows(m, k, blocks, d, e, abb, steps);
		return;
	}
	for (unsigned s = 0; s < steps; s++)
		for (unsigned h = 0; h < 2; h++) {
			const uint32_t(*ab[2])[LANES] = {abb[3 * s], abb[3 * s + 1 + h]};

			if (ab[1])
				mat_large(MFMA_F32, m, k, blocks, pack, 1, h ? e : d, (MAT_IN())(h ? e : d), ab);
		}
}

/* ---- 4 rows, 16 blocks: A's elements are spread over the lanes of their block ---- */

#define QUAD(f, x, i) ((i) == 0 ? f(x, 0) : (i) == 1 ? f(x, 1) : (i) == 2 ? f(x, 2) : f(x, 3))

MAT_INLINE void mat_small(enum mfma_type type, unsigned k, unsigned steps, MAT_ROWS(d), MAT_IN(c), const uint32_t (*const *ab)[LANES])
{
	bool flush = type == MFMA_F16 || type == MFMA_BF16;
	vec_bad bad = {0};

	for (unsigned l = 0; l < LANES; l += VW) {
		vec_f acc[4];

		MAT_UNROLL(4)
		for (unsigned i = 0; i < 4; i++)
			acc[i] = type == MFMA_I8 ? v_zero() : v_load((const float *)c[i] + l);
		for (unsigned s = 0; s < steps; s++) {
			MAT_UNROLL(4)
			for (unsigned n = 0; n < k; n++) {
				vec_f x = v_load((const float *)ab[2 * s][n] + l), y = v_load((const float *)ab[2 * s + 1][n] + l);

				MAT_UNROLL(4)
				for (unsigned i = 0; i < 4; i++)
					acc[i] = v_fma(QUAD(v_quad, x, i), y, acc[i]);
			}
			MAT_UNROLL(4)
			for (unsigned i = 0; flush && i < 4; i++)
				acc[i] = v_flush(acc[i]);
		}
		MAT_UNROLL(4)
		for (unsigned i = 0; i < 4; i++) {
			if (type == MFMA_I8) {
				v_store_int(d[i] + l, v_add_int(c[i] + l, v_to_int(acc[i])));
				continue;
			}
			bad |= v_nan(acc[i], acc[i]);
			v_store((float *)d[i] + l, acc[i]);
		}
	}
	if (v_any(bad))
		mat_fix_nans(d, 4, false);
}

/* ---- f64 ---- */

/* Row i: of the matrix, or of each of the four blocks, in 16 consecutive lanes of a pair of registers. */
MAT_INLINE size_t mat_row_f64(size_t m, size_t i)
{
	return m == 16 ? i / 4 * 2 : 0;
}

MAT_INLINE size_t mat_lane_f64(size_t m, size_t i)
{
	return m == 16 ? 16 * (i % 4) : 16 * i;
}

MAT_INLINE void mat_f64(unsigned m, unsigned steps, MAT_ROWS(d), MAT_IN(c), const double (*x)[LANES], const double (*y)[LANES])
{
	enum { ROWS = ACCS / 2 };
	const size_t rows = m < ROWS ? m : ROWS;
	vec_bad bad = {0};

	for (size_t i0 = 0; i0 < m; i0 += rows)
		for (size_t j = 0; j < 16; j += 2 * VD) {
			const uint32_t *from = c[mat_row_f64(m, i0)] + mat_lane_f64(m, i0) + j;
			uint32_t *to = d[mat_row_f64(m, i0)] + mat_lane_f64(m, i0) + j;
			vec_d acc[ROWS][2];

			MAT_UNROLL(8)
			for (size_t i = 0; i < rows; i++) {
				const uint32_t *at = from + LANES * mat_row_f64(m, i) + mat_lane_f64(m, i);

				d_join(acc[i], at, at + LANES);
			}
			for (unsigned s = 0; s < steps; s++) {
				const double *xs = m == 16 ? x[s] + i0 : x[s] + j, *ys = y[s] + j;

				__asm__("" : "+r"(xs), "+r"(ys));
				MAT_UNROLL(4)
				for (size_t n = 0; n < 4; n++)
					MAT_UNROLL(2)
					for (size_t h = 0; h < 2; h++) {
						size_t at = 16 * n + h * VD;
						vec_d b = d_load(ys + at);
#if VD >= 4
						vec_d q = m == 4 ? d_load(xs + at) : b;
#endif

						MAT_UNROLL(8)
						for (size_t i = 0; i < rows; i++) {
							vec_d e;

							if (m == 16) {
								e = d_all(xs[16 * n + i]);
							} else {
#if VD >= 4
								e = QUAD(d_quad, q, i);
#else
								e = d_all(xs[at / 4 * 4 + i]);
#endif
							}
							acc[i][h] = d_fma(e, b, acc[i][h]);
						}
					}
			}
			MAT_UNROLL(8)
			for (size_t i = 0; i < rows; i++) {
				uint32_t *at = to + LANES * mat_row_f64(m, i) + mat_lane_f64(m, i);

				bad |= v_nan_d(acc[i][0], acc[i][1]);
				d_split(at, at + LANES, acc[i]);
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

/* most: as many steps at most. */
MAT_INLINE void mat_any(enum mfma_type type, unsigned m, unsigned k, unsigned blocks, unsigned pack, unsigned most, MAT_ROWS(d), MAT_IN(c),
			const uint32_t (*const *ab)[LANES], unsigned steps)
{
	if (type == MFMA_F64) {
		double x[MFMA_STEPS(MFMA_F64)][LANES] ROW_ALIGN, y[MFMA_STEPS(MFMA_F64)][LANES] ROW_ALIGN;

		for (unsigned s = 0; s < steps && s < most; s++) {
			mat_doubles(x[s], ab[2 * s]);
			mat_doubles(y[s], ab[2 * s + 1]);
		}
		mat_f64(m, steps, d, c, (const double(*)[LANES])x, (const double(*)[LANES])y);
	} else if (type == MFMA_F32) {
		if (m == 4)
			mat_small(type, k, steps, d, c, ab);
		else
			mat_large(type, m, k, blocks, pack, steps, d, c, ab);
	} else {
		float x[2 * MFMA_STEPS(MFMA_F16)][4][LANES] ROW_ALIGN;
		const uint32_t(*rows[2 * MFMA_STEPS(MFMA_F16)])[LANES];

		for (unsigned s = 0; s < 2 * steps && s < 2 * most; s++) {
			mat_expand(type, pack, x[s], ab[s]);
			rows[s] = (MAT_IN())x[s];
		}
		if (m == 4)
			mat_small(type, k, steps, d, c, rows);
		else
			mat_large(type, m, k, blocks, pack, steps, d, c, rows);
	}
}

#endif
