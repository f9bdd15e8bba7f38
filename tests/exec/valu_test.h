/* SPDX-License-Identifier: MIT */
/*
 * valu_test.h - runs single vector instructions on a bare wave, in every build of the vector ALU
 * that this machine can run. Instructions are built by hand: no decoder is involved.
 */
#ifndef TESTS_EXEC_VALU_TEST_H
#define TESTS_EXEC_VALU_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gpu/soft/exec/exec.h"

#define VT_ROWS	 96
#define VT_DST	 0 /* registers that vt_inst uses */
#define VT_SRC	 8
#define VT_SDST	 20 /* SGPR pair of a second result or a comparison */
#define VT_SMASK 30 /* SGPR pair of a mask operand */
/* clang's defaults: round to nearest, all denormals, DX10_CLAMP, IEEE */
#define VT_MODE 0x3f0u

struct vt {
	struct wave w;
	struct workgroup wg;
	uint32_t v[VT_ROWS][WAVE_LANES] __attribute__((aligned(64)));
	uint32_t a[VT_ROWS][WAVE_LANES] __attribute__((aligned(64)));
	enum exec_result error;
};

extern struct vt vt; /* the wave that tests fill and look at */

/* Everything zero, MODE usual, EXEC full. */
void vt_reset(void);
/* op with n VGPR sources: src[i] is VT_SRC + 4 * i, dst VT_DST, dst[1] VT_SDST; all else 0. */
struct isa_inst vt_inst(enum isa_op op, unsigned n);
/*
 * Runs it on vt with the x86-64 level 1 build, and on copies with the others; fails when a register
 * differs or there is no such operation.
 */
void vt_run(const struct isa_inst *in);
exec_fn *vt_find(unsigned op, unsigned level);

uint32_t vt_rand(void);
uint64_t vt_rand64(void);
/* A value worth testing: half of the time a special one (zeros, denormals, infinities, NaNs,
 * limits), else random. */
uint64_t vt_value(char type); /* f f32, d f64, h f16, u 32-bit, U 64-bit, w 16-bit, p packed f16, s
				 small shift or class */
/* EXEC patterns: all, none, alternate, one lane, halves, random. */
#define VT_EXECS 8
uint64_t vt_exec(unsigned n);

/* Independent conversions: by scaling, not by bits. */
double vt_h2d(uint32_t h);
uint32_t vt_d2h(long double d, unsigned rm); /* rm: 0 even, 1 up, 2 down, 3 zero */

static inline float vt_f32(uint64_t u)
{
	uint32_t x = (uint32_t)u;
	float f;

	memcpy(&f, &x, 4);
	return f;
}

static inline uint64_t vt_of_f32(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

static inline double vt_f64(uint64_t u)
{
	double f;

	memcpy(&f, &u, 8);
	return f;
}

static inline uint64_t vt_of_f64(double f)
{
	uint64_t u;

	memcpy(&u, &f, 8);
	return u;
}

#endif
