/* SPDX-License-Identifier: MIT */
/*
 * input.h - what the fuzzers share: taking an input apart, and bounded waiting.
 *
 * A fuzzer's input is a program in a little language of its own: each byte that is taken decides something. What lies
 * beyond the end reads as zero, so that every input means something and a shorter one is a simpler one.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

struct input {
	const uint8_t *at;
	size_t left;
};

/* libFuzzer's entry points. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What must hold whatever the input; an input that breaks it is kept as a crash. */
#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The next size bytes, zero beyond the end. */
static inline void take(struct input *in, void *to, size_t size)
{
	size_t part = size < in->left ? size : in->left;

	if (part)
		memcpy(to, in->at, part);
	memset((uint8_t *)to + part, 0, size - part);
	in->at += part;
	in->left -= part;
}

static inline uint8_t take8(struct input *in)
{
	uint8_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline uint16_t take16(struct input *in)
{
	uint16_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline uint32_t take32(struct input *in)
{
	uint32_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline uint64_t take64(struct input *in)
{
	uint64_t v;

	take(in, &v, sizeof(v));
	return v;
}

/*
 * A number that is often one at which something changes: a byte chooses small ones, powers of two and their neighbours,
 * or the bits as they follow.
 */
static inline uint64_t take_number(struct input *in)
{
	uint8_t kind = take8(in);

	if (kind < 0x60)
		return kind;
	if (kind < 0xa0)
		return 1ull << (kind & 63);
	if (kind < 0xe0)
		return (1ull << (kind & 63)) - 1;
	switch (kind & 7) {
	case 0:
		return take8(in);
	case 1:
		return take16(in);
	case 2:
		return take32(in);
	case 3:
		return -(uint64_t)take8(in);
	case 4:
		return (uint64_t)take16(in) << 12;
	case 5:
		return UINT32_MAX;
	case 6:
		return UINT64_MAX;
	default:
		return take64(in);
	}
}

/* Waits for cond, at most ms; first by spinning, so that what is quick costs no sleep. */
#define WAIT_UNTIL(cond, ms)                                                                       \
	do {                                                                                       \
		uint64_t wait_end_ = clock_ns() + (ms) * 1000000ull;                              \
		for (unsigned tries_ = 0; !(cond) && clock_ns() < wait_end_; tries_++)            \
			nanosleep(&(struct timespec){0, tries_ < 20 ? 0 : 20000}, NULL);           \
	} while (0)

#endif
