/* SPDX-License-Identifier: MIT */
/*
 * random.h - what kernels made by generate.py have in common: as OpenCL C for the GPU, as C for the reference.
 *
 * Inputs point into the middle of SLACK elements before and SLACK behind: ints, floats, bytes, halves, wide, doubles hold anything; rows grows from 0 by up to 20 an item
 * and stays below SLACK; cols is below ITEMS. Outputs have 16 bytes an item, count 320 counters.
 */
#ifndef TESTS_JIT_RANDOM_H
#define TESTS_JIT_RANDOM_H

#ifdef __OPENCL_C_VERSION__
#pragma OPENCL FP_CONTRACT OFF
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define GLOBAL		     global
#define LOCAL		     local
#define BARRIER		     barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define ATOMIC_ADD(p, v)     atomic_add(p, v)
#define ATOMIC_OR(p, v)	     atomic_or(p, v)
#define ATOMIC_XOR(p, v)     atomic_xor(p, v)
#define ATOMIC_MAX(p, v)     atomic_max(p, v)
#define ATOMIC_MIN(p, v)     atomic_min(p, v)
#define LOW(pair)	     ((pair).x)
#define HIGH(pair)	     ((pair).y)
#define FIRST		     (&t)
#define ALL		     &t
#else
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GLOBAL
#define LOCAL
#define ATOMIC_ADD(p, v)     (*(p) += (v))
#define ATOMIC_OR(p, v)	     (*(p) |= (v))
#define ATOMIC_XOR(p, v)     (*(p) ^= (v))
#define ATOMIC_MAX(p, v)     (*(p) = umax(*(p), v))
#define ATOMIC_MIN(p, v)     (*(p) = umin(*(p), v))
#define LOW(pair)	     ((pair)[0])
#define HIGH(pair)	     ((pair)[1])
#define FIRST		     items
#define ALL		     items, count_items
#define fabs(x)		     _Generic(x, half: fabsh, float: fabsf, default: fabs)(x)
#define floor(x)	     _Generic(x, float: floorf, default: floor)(x)
#define trunc(x)	     _Generic(x, float: truncf, default: trunc)(x)
#define sqrt(x)		     _Generic(x, float: sqrtf, default: sqrt)(x)
#define fma(x, y, z)	     _Generic(x, float: fmaf, default: fma)(x, y, z)

typedef uint8_t uchar;
typedef uint16_t ushort;
typedef uint32_t uint;
typedef uint64_t ulong;
#ifdef __clang__
typedef uint uint2 __attribute__((ext_vector_type(2)));
typedef uint uint4 __attribute__((ext_vector_type(4)));
#endif
typedef _Float16 half;
typedef half half2 __attribute__((vector_size(4)));

static inline half fabsh(half x)
{
	return (half)fabsf((float)x);
}
#endif

enum { WIDTH = 128, HEIGHT = 96, ITEMS = WIDTH * HEIGHT, SLACK = 4 * ITEMS };

#define INPUTS(restrict)                                                                                                                                            \
	GLOBAL const uint *restrict ints, GLOBAL const float *restrict floats, GLOBAL const uint *restrict rows, GLOBAL const uint *restrict cols,                  \
		GLOBAL const uchar *restrict bytes, GLOBAL const short *restrict halves, GLOBAL const ulong *restrict wide, GLOBAL const double *restrict doubles
#define OUTPUTS		GLOBAL void *o0, GLOBAL void *o1, GLOBAL void *o2, GLOBAL uint *count, int n, int m
#define PARAMS		INPUTS(), OUTPUTS
#define RESTRICT_PARAMS INPUTS(restrict), OUTPUTS
#define ARGS		ints, floats, rows, cols, bytes, halves, wide, doubles, o0, o1, o2, count, n, m

/* A work-item: its ids in the grid (i counts all, along rows of WIDTH), in its work-group (l) and the group's along the first dimension (g); what it computes with. */
struct item {
	uint i, l, g, x, y;
	uint u0, u1, u2;
	int s0, s1;
	float f0, f1;
	ulong q0;
	double d0;
	half h0;
	half2 p0;
};

static inline void begin_values(struct item *t)
{
	t->u0 = t->i * 2654435761u;
	t->u1 = t->l;
	t->u2 = 12345;
	t->s0 = (int)t->i - 1000;
	t->s1 = -(int)t->l;
	t->f0 = (float)t->l * 0.25f;
	t->f1 = 1.5f;
	t->q0 = (ulong)t->i * 0x9e3779b97f4a7c15u;
	t->d0 = 1.0 / 3;
	t->h0 = (half)(float)(t->i & 1023);
	t->p0 = (half2){(half)(float)t->l, (half)0.1f};
}

#define CHOICE(type, name, which) \
	static inline type name(type a, type b) \
	{ \
		return a which b ? a : b; \
	}
CHOICE(uint, umin, <)
CHOICE(uint, umax, >)
CHOICE(int, smin, <)
CHOICE(int, smax, >)
CHOICE(float, less, <)
CHOICE(float, more, >)
CHOICE(double, lessd, <)
CHOICE(half, lessh, <)
#undef CHOICE

/* Which NaN comes out of an operation neither C nor compiled code promises. */
static inline float canon(float x)
{
	return x == x ? x : 0.0f;
}

static inline double canond(double x)
{
	return x == x ? x : 0.0;
}

static inline half canonh(half x)
{
	return x == x ? x : (half)0.0f;
}

/* LLVM 19 makes v_fma_mixlo_f16 with an addend of 0 of a product that is rounded: of -0 that makes 0. */
static inline half rounded(float x)
{
	return (half)(x + 0.0f);
}

static inline uint bits(float x)
{
	union {
		float f;
		uint u;
	} v = {canon(x)};

	return v.u;
}

static inline uint bitsh(half x)
{
	union {
		half h;
		ushort u;
	} v = {canonh(x)};

	return v.u;
}

/* Something that an int can hold. */
static inline int small(float x)
{
	return x > -1e6f && x < 1e6f ? (int)x : 0;
}

#ifdef __OPENCL_C_VERSION__
static inline void begin(struct item *t, int dims)
{
	t->x = get_global_id(0);
	t->y = dims == 2 ? get_global_id(1) : 0;
	t->l = dims == 2 ? get_local_id(1) * get_local_size(0) + get_local_id(0) : get_local_id(0);
	t->g = get_group_id(0);
	t->i = dims == 2 ? t->y * WIDTH + t->x : t->x;
	begin_values(t);
}

/* Between the work-items of a wave: t->u2, or q0, of others' u0 and u1. Immediates are not for functions. */
static inline uint lane(void)
{
	return __builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0));
}

static inline void cross_xor(struct item *t, uint k)
{
	t->u2 = (uint)__builtin_amdgcn_ds_bpermute((int)((lane() ^ k) * 4), (int)t->u0);
}

static inline void cross_send(struct item *t, uint k)
{
	t->u2 = (uint)__builtin_amdgcn_ds_permute((int)((lane() + k) * 4), (int)t->u0);
}

static inline void cross_any(struct item *t)
{
	t->u2 = (uint)__builtin_amdgcn_ds_bpermute((int)(t->u1 * 4), (int)t->u0);
}

static inline void cross_ballot(struct item *t, uint active, uint bit)
{
	if ((t->u0 & active) != 0)
		t->q0 = __builtin_amdgcn_ballot_w64((t->u1 & bit) != 0);
}

static inline void cross_count(struct item *t, uint active, uint bit)
{
	if ((t->u0 & active) != 0) {
		ulong mask = __builtin_amdgcn_ballot_w64((t->u1 & bit) != 0);

		t->u2 = __builtin_amdgcn_mbcnt_hi((uint)(mask >> 32), __builtin_amdgcn_mbcnt_lo((uint)mask, 7));
	}
}

static inline void cross_first(struct item *t, uint active)
{
	if ((t->u0 & active) != 0)
		t->u2 = (uint)__builtin_amdgcn_readfirstlane((int)t->u1);
}

static inline void cross_lane(struct item *t, uint k)
{
	t->u2 = (uint)__builtin_amdgcn_readlane((int)t->u0, (int)k);
}

#define cross_dpp(t, ctrl, rows, banks) ((t)->u2 = (uint)__builtin_amdgcn_update_dpp((int)(t)->u1, (int)(t)->u0, ctrl, rows, banks, false))
#define cross_swizzle(t, pattern)	((t)->u2 = (uint)__builtin_amdgcn_ds_swizzle((int)(t)->u0, pattern))
#define cross_reduce(t)			((t)->u2 = work_group_reduce_add((t)->u0))
#define cross_scan(t)			((t)->u2 = work_group_scan_inclusive_add((t)->u0))
#define cross_before(t)			((t)->u2 = work_group_scan_exclusive_max((t)->u0))
#else
enum { LANES = 64 };

#define WAVES	      for (struct item *w = items; w < items + count; w += LANES)
#define LANES_OF_WAVE for (uint l = 0; l < LANES; l++)

static inline void cross_xor(struct item *items, uint count, uint k)
{
	WAVES LANES_OF_WAVE w[l].u2 = w[(l ^ k) % LANES].u0;
}

static inline void cross_send(struct item *items, uint count, uint k)
{
	WAVES LANES_OF_WAVE w[(l + k) % LANES].u2 = w[l].u0;
}

static inline void cross_any(struct item *items, uint count)
{
	WAVES LANES_OF_WAVE w[l].u2 = w[w[l].u1 % LANES].u0;
}

static inline ulong ballot_of(const struct item *w, uint active, uint bit)
{
	ulong mask = 0;

	LANES_OF_WAVE mask |= (ulong)((w[l].u0 & active) && (w[l].u1 & bit)) << l;
	return mask;
}

static inline void cross_ballot(struct item *items, uint count, uint active, uint bit)
{
	WAVES LANES_OF_WAVE
		if (w[l].u0 & active)
			w[l].q0 = ballot_of(w, active, bit);
}

static inline void cross_count(struct item *items, uint count, uint active, uint bit)
{
	WAVES LANES_OF_WAVE
		if (w[l].u0 & active)
			w[l].u2 = 7 + (uint)__builtin_popcountll(ballot_of(w, active, bit) & (((ulong)1 << l) - 1));
}

static inline void cross_first(struct item *items, uint count, uint active)
{
	WAVES {
		uint first = 0;

		while (first < LANES && !(w[first].u0 & active))
			first++;
		LANES_OF_WAVE
			if (w[l].u0 & active)
				w[l].u2 = w[first].u1;
	}
}

static inline void cross_lane(struct item *items, uint count, uint k)
{
	WAVES LANES_OF_WAVE w[l].u2 = w[k].u0;
}

/* The lane that DPP's control takes from; LANES or more: none. From LLVM's AMDGPU documentation and AMD's manuals. */
static inline uint dpp_source(uint l, uint ctrl)
{
	uint row = l / 16 * 16, n = ctrl & 15;

	switch (ctrl >> 4) {
	case 0x10: /* row_shl */
		return l % 16 + n < 16 ? l + n : LANES;
	case 0x11: /* row_shr */
		return l % 16 >= n ? l - n : LANES;
	case 0x12: /* row_ror */
		return row + (l + 16 - n) % 16;
	case 0x13: /* wave_shl, _rol, _shr, _ror by 1 */
		return n == 0 ? l + 1 : n == 4 ? (l + 1) % LANES : n == 8 ? l - 1 : (l + LANES - 1) % LANES;
	case 0x14:
		switch (n) {
		case 0: /* row_mirror */
			return l ^ 15;
		case 1: /* row_half_mirror */
			return l ^ 7;
		case 2: /* row_bcast:15 */
			return row ? row - 1 : LANES;
		default: /* row_bcast:31 */
			return row >= 32 ? 31 : LANES;
		}
	default: /* quad_perm */
		return l / 4 * 4 + (ctrl >> 2 * (l % 4) & 3);
	}
}

static inline void cross_dpp(struct item *items, uint count, uint ctrl, uint rows, uint banks)
{
	WAVES LANES_OF_WAVE {
		uint from = dpp_source(l, ctrl);
		bool old = from >= LANES || !(rows >> l / 16 & 1) || !(banks >> l / 4 % 4 & 1);

		w[l].u2 = old ? w[l].u1 : w[from].u0;
	}
}

/* and, or, xor masks for 32 lanes; or (bit 15) a quad's. */
static inline void cross_swizzle(struct item *items, uint count, uint pattern)
{
	WAVES LANES_OF_WAVE {
		uint from = ((l & pattern & 31) | (pattern >> 5 & 31)) ^ (pattern >> 10 & 31);

		w[l].u2 = w[pattern >> 15 ? l / 4 * 4 + (pattern >> 2 * (l % 4) & 3) : l / 32 * 32 + from % 32].u0;
	}
}

static inline void cross_reduce(struct item *items, uint count)
{
	uint sum = 0;

	for (uint i = 0; i < count; i++)
		sum += items[i].u0;
	for (uint i = 0; i < count; i++)
		items[i].u2 = sum;
}

static inline void cross_scan(struct item *items, uint count)
{
	uint sum = 0;

	for (uint i = 0; i < count; i++)
		items[i].u2 = sum += items[i].u0;
}

static inline void cross_before(struct item *items, uint count)
{
	uint most = 0;

	for (uint i = 0; i < count; i++) {
		items[i].u2 = most;
		most = umax(most, items[i].u0);
	}
}

struct random_kernel {
	const char *name;
	void (*run)(PARAMS, struct item *items, unsigned count_items); /* the items of one work-group */
	int dims, group; /* 0: work-groups of any size */
};

/* What the library of the reference exports. */
extern const struct random_kernel *const random_kernels;
extern const unsigned num_random_kernels;
#endif
#endif
