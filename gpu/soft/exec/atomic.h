/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - what an atomic operation computes, for LDS (plain memory: one thread runs a work-group) and for global memory (host
 * atomics: other threads and the guest's CPUs take part).
 *
 * Floating-point add is IEEE round-to-nearest with denormals kept; min and max prefer the number when one side is a NaN.
 */
#ifndef GPU_SOFT_EXEC_ATOMIC_H
#define GPU_SOFT_EXEC_ATOMIC_H

#include <math.h>
#include <string.h>

#include "gpu/soft/exec/mem.h"

enum atomic_kind {
	AT_SWAP,
	AT_CMPSWAP, /* cmp: the value compared */
	AT_ADD,
	AT_SUB,
	AT_RSUB,
	AT_SMIN,
	AT_UMIN,
	AT_SMAX,
	AT_UMAX,
	AT_AND,
	AT_OR,
	AT_XOR,
	AT_INC,
	AT_DEC,
	AT_MSKOR, /* cmp: bits to clear first are data, bits to set cmp */
	AT_WRAP,  /* LDS: old >= data ? old - data : old + cmp */
	AT_FCMPSWAP,
	AT_FADD,
	AT_FMIN,
	AT_FMAX,
	AT_PK_ADD_F16,
};

static inline float at_f32(uint32_t v)
{
	float f;

	memcpy(&f, &v, 4);
	return f;
}

static inline uint32_t at_u32(float f)
{
	uint32_t v;

	memcpy(&v, &f, 4);
	return v;
}

static inline double at_f64(uint64_t v)
{
	double f;

	memcpy(&f, &v, 8);
	return f;
}

static inline uint64_t at_u64(double f)
{
	uint64_t v;

	memcpy(&v, &f, 8);
	return v;
}

/* Half to single, exactly. */
static inline float at_half(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;

	if (e == 31)
		return at_f32(sign | 0x7f800000 | m << 13);
	if (e)
		return at_f32(sign | (e + 112) << 23 | m << 13);
	return at_f32(sign | at_u32((float)m * 0x1p-24f));
}

/* Single to half, to nearest even. */
static inline uint16_t at_to_half(float f)
{
	uint32_t v = at_u32(f), sign = v >> 16 & 0x8000;

	v &= 0x7fffffff;
	if (v > 0x7f800000)
		return sign | 0x7e00 | (v >> 13 & 0x3ff);
	if (v >= 0x477ff000) /* 65520: rounds beyond the largest half */
		return sign | 0x7c00;
	if (v < 0x38800000) /* below 2^-14: units of 2^-24, rounded by the addition to 2^-1's units */
		return sign | (at_u32(at_f32(v) + 0.5f) - at_u32(0.5f));
	v += 0xfff + (v >> 13 & 1);
	return sign | ((v >> 13) - (112 << 10));
}

static inline __attribute__((always_inline)) uint32_t atomic_compute32(enum atomic_kind kind, uint32_t old, uint32_t data,
								       uint32_t cmp)
{
	switch (kind) {
	case AT_SWAP:
		return data;
	case AT_CMPSWAP:
		return old == cmp ? data : old;
	case AT_ADD:
		return old + data;
	case AT_SUB:
		return old - data;
	case AT_RSUB:
		return data - old;
	case AT_SMIN:
		return (int32_t)data < (int32_t)old ? data : old;
	case AT_UMIN:
		return data < old ? data : old;
	case AT_SMAX:
		return (int32_t)data > (int32_t)old ? data : old;
	case AT_UMAX:
		return data > old ? data : old;
	case AT_AND:
		return old & data;
	case AT_OR:
		return old | data;
	case AT_XOR:
		return old ^ data;
	case AT_INC:
		return old >= data ? 0 : old + 1;
	case AT_DEC:
		return old == 0 || old > data ? data : old - 1;
	case AT_MSKOR:
		return (old & ~data) | cmp;
	case AT_WRAP:
		return old >= data ? old - data : old + cmp;
	case AT_FCMPSWAP:
		return at_f32(old) == at_f32(cmp) ? data : old;
	case AT_FADD:
		return at_u32(at_f32(old) + at_f32(data));
	case AT_FMIN:
		return at_u32(fminf(at_f32(old), at_f32(data)));
	case AT_FMAX:
		return at_u32(fmaxf(at_f32(old), at_f32(data)));
	case AT_PK_ADD_F16:
		return at_to_half(at_half(old) + at_half(data)) |
		       (uint32_t)at_to_half(at_half(old >> 16) + at_half(data >> 16)) << 16;
	}
	return old;
}

static inline __attribute__((always_inline)) uint64_t atomic_compute64(enum atomic_kind kind, uint64_t old, uint64_t data,
								       uint64_t cmp)
{
	switch (kind) {
	case AT_SWAP:
		return data;
	case AT_CMPSWAP:
		return old == cmp ? data : old;
	case AT_ADD:
		return old + data;
	case AT_SUB:
		return old - data;
	case AT_RSUB:
		return data - old;
	case AT_SMIN:
		return (int64_t)data < (int64_t)old ? data : old;
	case AT_UMIN:
		return data < old ? data : old;
	case AT_SMAX:
		return (int64_t)data > (int64_t)old ? data : old;
	case AT_UMAX:
		return data > old ? data : old;
	case AT_AND:
		return old & data;
	case AT_OR:
		return old | data;
	case AT_XOR:
		return old ^ data;
	case AT_INC:
		return old >= data ? 0 : old + 1;
	case AT_DEC:
		return old == 0 || old > data ? data : old - 1;
	case AT_MSKOR:
		return (old & ~data) | cmp;
	case AT_FCMPSWAP:
		return at_f64(old) == at_f64(cmp) ? data : old;
	case AT_FADD:
		return at_u64(at_f64(old) + at_f64(data));
	case AT_FMIN:
		return at_u64(fmin(at_f64(old), at_f64(data)));
	case AT_FMAX:
		return at_u64(fmax(at_f64(old), at_f64(data)));
	case AT_WRAP:
	case AT_PK_ADD_F16:
		break;
	}
	return old;
}

/* One atomic on aligned host memory; returns the old value. */
GUEST_FN uint32_t atomic_host32(enum atomic_kind kind, uint8_t *host, uint32_t data, uint32_t cmp)
{
	uint32_t *p = (uint32_t *)(void *)host;
	uint32_t old;

	switch (kind) {
	case AT_SWAP:
		return __atomic_exchange_n(p, data, __ATOMIC_SEQ_CST);
	case AT_ADD:
		return __atomic_fetch_add(p, data, __ATOMIC_SEQ_CST);
	case AT_SUB:
		return __atomic_fetch_sub(p, data, __ATOMIC_SEQ_CST);
	default:
		old = __atomic_load_n(p, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(p, &old, atomic_compute32(kind, old, data, cmp), false, __ATOMIC_SEQ_CST,
						    __ATOMIC_RELAXED))
			;
		return old;
	}
}

GUEST_FN uint64_t atomic_host64(enum atomic_kind kind, uint8_t *host, uint64_t data, uint64_t cmp)
{
	uint64_t *p = (uint64_t *)(void *)host;
	uint64_t old;

	switch (kind) {
	case AT_SWAP:
		return __atomic_exchange_n(p, data, __ATOMIC_SEQ_CST);
	case AT_ADD:
		return __atomic_fetch_add(p, data, __ATOMIC_SEQ_CST);
	case AT_SUB:
		return __atomic_fetch_sub(p, data, __ATOMIC_SEQ_CST);
	default:
		old = __atomic_load_n(p, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(p, &old, atomic_compute64(kind, old, data, cmp), false, __ATOMIC_SEQ_CST,
						    __ATOMIC_RELAXED))
			;
		return old;
	}
}

#endif
