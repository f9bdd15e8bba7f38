/* SPDX-License-Identifier: MIT */
/*
 * profile.h - what a program does, from how often each of its instructions ran: the mix of classes, and the basic blocks by their share.
 *
 * Blocks are found afterwards: an instruction begins one when the one before it branches, or when it was executed another number of times.
 */
#ifndef GPU_SOFT_ISA_PROFILE_H
#define GPU_SOFT_ISA_PROFILE_H

#include <stdio.h>

#include "gpu/soft/isa/isa.h"

enum isa_class {
	ISA_CLASS_SALU,
	ISA_CLASS_SMEM,
	ISA_CLASS_BRANCH,
	ISA_CLASS_CONTROL,
	ISA_CLASS_VALU,
	ISA_CLASS_F64,
	ISA_CLASS_MATRIX,
	ISA_CLASS_LDS,
	ISA_CLASS_LOAD,
	ISA_CLASS_STORE,
	ISA_CLASS_ATOMIC,
	ISA_CLASS_OTHER,
	ISA_NUM_CLASSES
};

/* For people, and as a key. */
extern const struct isa_class_name {
	const char *name, *key;
} isa_class_names[ISA_NUM_CLASSES];

/* How often the instruction that begins at a dword ran. */
struct isa_count {
	uint64_t waves, lanes; /* waves that executed it, and their active lanes */
};

struct isa_block {
	uint64_t start, end; /* addresses */
	uint64_t runs, instructions, lanes; /* lanes: of the first instruction */
};

struct isa_profile {
	struct isa_block *block; /* by share, once sorted */
	size_t num;
	uint64_t mix[ISA_NUM_CLASSES], total, valu, valu_lanes;
};

/* Adds a stretch of code to a profile that was zeroed at first. 0, -ENOMEM. */
int isa_profile_add(struct isa_profile *p, enum isa_target target, uint64_t start, const uint32_t *words, const struct isa_count *count, size_t num);
void isa_profile_sort(struct isa_profile *p);
void isa_profile_free(struct isa_profile *p);

/* 0 of nothing. */
double isa_share(uint64_t part, uint64_t all);

/* What addresses are called, and the instruction at one (its size; 0: none). */
struct isa_profile_text {
	void (*place)(void *ctx, uint64_t at, char *text, size_t size);
	unsigned (*inst)(void *ctx, uint64_t at, char *text, size_t size);
	void *ctx;
};

#define ISA_HOT_BLOCKS 8 /* of a profile that are shown */

/* The mix, then the hottest blocks with their code. */
void isa_profile_print(const struct isa_profile *p, const struct isa_profile_text *text, FILE *f);

#endif
