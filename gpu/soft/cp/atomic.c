/* SPDX-License-Identifier: MIT */
/*
 * atomic.c - what SDMA and PM4 packets do to memory: atomics, comparisons, copies and fills by the
 * page table.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * Atomic operations are numbered as the texture cache's (TC_OP): bits 0-4 the operation, bit 5 set
 * for 64 bits, bit 6 set when nothing is returned (which no packet here needs).
 */
enum {
	TC_SWAP = 7,
	TC_CMPSWAP = 8,
	TC_ADD = 15,
	TC_SUB,
	TC_SMIN,
	TC_UMIN,
	TC_SMAX,
	TC_UMAX,
	TC_AND,
	TC_OR,
	TC_XOR,
	TC_INC,
	TC_DEC
};

static bool combine(unsigned op, bool wide, uint64_t old, uint64_t src, uint64_t cmp,
		    uint64_t *value)
{
	int64_t sold = wide ? (int64_t)old : (int32_t)old,
		ssrc = wide ? (int64_t)src : (int32_t)src;

	switch (op) {
	case TC_SWAP:
		*value = src;
		return true;
	case TC_CMPSWAP:
		*value = old == cmp ? src : old;
		return true;
	case TC_ADD:
		*value = old + src;
		return true;
	case TC_SUB:
		*value = old - src;
		return true;
	case TC_SMIN:
		*value = ssrc < sold ? src : old;
		return true;
	case TC_UMIN:
		*value = src < old ? src : old;
		return true;
	case TC_SMAX:
		*value = ssrc > sold ? src : old;
		return true;
	case TC_UMAX:
		*value = src > old ? src : old;
		return true;
	case TC_AND:
		*value = old & src;
		return true;
	case TC_OR:
		*value = old | src;
		return true;
	case TC_XOR:
		*value = old ^ src;
		return true;
	case TC_INC:
		*value = old >= src ? 0 : old + 1;
		return true;
	case TC_DEC:
		*value = !old || old > src ? src : old - 1;
		return true;
	}
	return false;
}

bool mem_atomic(struct gpu_queue *q, unsigned op, uint64_t va, uint64_t src, uint64_t cmp,
		bool *matched, bool *fault)
{
	bool wide = op & 0x20;
	uint64_t value = 0;

	*fault = false;
	*matched = true;
	op &= 0x1f;
	if (wide) {
		uint64_t *p = vm_ptr64(q->vm, va, GPU_PROT_READ | GPU_PROT_WRITE), old;

		if (!p)
			goto fault;
		old = __atomic_load_n(p, __ATOMIC_RELAXED);
		do {
			if (!combine(op, true, old, src, cmp, &value))
				return false;
		} while (!__atomic_compare_exchange_n(p, &old, value, false, __ATOMIC_SEQ_CST,
						      __ATOMIC_RELAXED));
		*matched = op != TC_CMPSWAP || old == cmp;
	} else {
		uint32_t *p = vm_ptr32(q->vm, va, GPU_PROT_READ | GPU_PROT_WRITE), old;

		if (!p)
			goto fault;
		old = __atomic_load_n(p, __ATOMIC_RELAXED);
		do {
			if (!combine(op, false, old, (uint32_t)src, (uint32_t)cmp, &value))
				return false;
		} while (!__atomic_compare_exchange_n(p, &old, (uint32_t)value, false,
						      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
		*matched = op != TC_CMPSWAP || old == (uint32_t)cmp;
	}
	return true;
fault:
	vm_fault(q, va, true, false);
	*fault = true;
	return false;
}

bool mem_compare(unsigned func, uint64_t value, uint64_t ref)
{
	switch (func & 7) {
	case 1:
		return value < ref;
	case 2:
		return value <= ref;
	case 3:
		return value == ref;
	case 4:
		return value != ref;
	case 5:
		return value >= ref;
	case 6:
		return value > ref;
	}
	return true;
}

/* Past the caches. */
static void stream(uint8_t *to, const uint8_t *from, uint64_t len)
{
#ifdef __SSE2__
	uint64_t i = -(uintptr_t)to & 63;

	if (len >= 128 && (to + len <= from || from + len <= to)) {
		memcpy(to, from, i);
		for (; i + 64 <= len; i += 64) {
			__m128i x[4];

			for (unsigned k = 0; k < 4; k++)
				x[k] = _mm_loadu_si128((const __m128i *)(from + i + 16 * k));
			for (unsigned k = 0; k < 4; k++)
				_mm_stream_si128((__m128i *)(to + i + 16 * k), x[k]);
		}
		_mm_sfence();
		to += i;
		from += i;
		len -= i;
	}
#endif
	memmove(to, from, len);
}

uint64_t copy_chunk(struct gpu_queue *q, uint64_t dst, uint64_t src, uint64_t size, bool past_caches)
{
	uint64_t done = 0;

	/* As much at a time as is contiguous in host memory: page by page it would take a third longer. */
	while (done < size) {
		uint64_t from_len = size - done, to_len = from_len, len = from_len;
		const void *from = vm_translate_run(q->vm, src + done, GPU_PROT_READ, &from_len);
		void *to = vm_translate_run(q->vm, dst + done, GPU_PROT_WRITE, &to_len);

		if (!from || !to) {
			if (!done)
				vm_fault(q, from ? dst : src, from, false);
			return done;
		}
		if (len > from_len)
			len = from_len;
		if (len > to_len)
			len = to_len;
		if (past_caches)
			stream(to, from, len);
		else
			memmove(to, from, len);
		done += len;
	}
	return done;
}

/* The pattern's bytes stand at addresses that are multiples of 4 from dst. */
uint64_t fill_chunk(struct gpu_queue *q, uint64_t dst, uint32_t pattern, uint64_t size)
{
	uint64_t done = 0;

	while (done < size) {
		uint64_t len = size - done;
		uint8_t *to = vm_translate_run(q->vm, dst + done, GPU_PROT_WRITE, &len);

		if (!to) {
			if (!done)
				vm_fault(q, dst, true, false);
			return done;
		}
		if (len > size - done)
			len = size - done;
		if (pattern == (pattern & 0xff) * 0x01010101u) {
			memset(to, (int)(pattern & 0xff), len);
		} else {
			uint64_t i = 0;

			for (; i < len && ((done + i) & 3); i++)
				to[i] = (uint8_t)(pattern >> 8 * ((done + i) & 3));
			for (; i + 4 <= len; i += 4)
				memcpy(to + i, &pattern, 4);
			for (; i < len; i++)
				to[i] = (uint8_t)(pattern >> 8 * ((done + i) & 3));
		}
		done += len;
	}
	return done;
}
