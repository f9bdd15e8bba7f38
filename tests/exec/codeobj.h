/* SPDX-License-Identifier: MIT */
/*
 * codeobj.h - an AMDGPU code object (ELF) in memory, for tests: enough of a loader to run its kernels.
 */
#ifndef TESTS_EXEC_CODEOBJ_H
#define TESTS_EXEC_CODEOBJ_H

#include <stddef.h>
#include <stdint.h>

#include "gpu/soft/isa/isa.h"

struct codeobj {
	enum isa_target target;
	uint8_t *image; /* the loaded segments, page-aligned */
	size_t size;
	uint8_t *file;
	size_t file_size;
};

/* Kernel descriptor: LLVM AMDGPUUsage, "Kernel Descriptor". */
struct kernel_descriptor {
	uint32_t group_segment_size, private_segment_size, kernarg_size;
	uint8_t reserved0[4];
	int64_t entry_offset;
	uint8_t reserved1[20];
	uint32_t rsrc3, rsrc1, rsrc2;
	uint16_t properties, kernarg_preload;
	uint8_t reserved2[4];
};

/* Loads a file: a linked code object, or a relocatable one whose .text (without relocations) becomes the image. 0, -errno. */
int codeobj_load(struct codeobj *co, const char *path);
void codeobj_free(struct codeobj *co);

/* Address (in image) of a symbol; NULL if there is none. */
void *codeobj_symbol(const struct codeobj *co, const char *name);

#endif
