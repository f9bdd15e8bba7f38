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
#define GLOBAL		     global
#define LOCAL		     local
#define BARRIER		     barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define ATOMIC_ADD(p, v)     atomic_add(p, v)
#define ATOMIC_OR(p, v)	     atomic_or(p, v)
#define ATOMIC_XOR(p, v)     atomic_xor(p, v)
#define ATOMIC_MAX(p, v)     atomic_max(p, v)
#define ATOMIC_MIN(p, v)     atomic_min(p, v)
#else
#include <math.h>
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
#define fabs(x)		     _Generic(x, float: fabsf, default: fabs)(x)
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

static inline uint bits(float x)
{
	union {
		float f;
		uint u;
	} v = {canon(x)};

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
#else
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
