/* SPDX-License-Identifier: MIT */
/*
 * codeobj.h - AMDGPU code objects: what tools and tests need to look into them and to run their kernels.
 *
 * A code object is an ELF file. Its kernels are described twice: for the hardware by kernel descriptors (symbols NAME.kd), and for the runtime by a
 * note in MessagePack (LLVM AMDGPUUsage, "Code Object Metadata"). Programs carry code objects for several targets in a clang offload bundle, often
 * inside a section of their own ELF file; codeobj_files finds them there.
 *
 * The GPU does not use this: a process's own ROCm loads its code. What is read here comes from a user's file and may be broken in any way; nothing
 * is followed beyond it.
 */
#ifndef GPU_SOFT_CODEOBJ_CODEOBJ_H
#define GPU_SOFT_CODEOBJ_CODEOBJ_H

#include <stddef.h>
#include <stdint.h>

#include "gpu/soft/isa/isa.h"

#define CODEOBJ_ERROR	   256		/* bytes of a reason */
#define CODEOBJ_FILE_MAX   (4ull << 30) /* bytes of a file */
#define CODEOBJ_IMAGE_MAX  (1ull << 30) /* of a loaded code object */
#define CODEOBJ_KERNEL_MAX 65536
#define CODEOBJ_ARG_MAX	   1024

/* LLVM AMDGPUUsage, "Kernel Descriptor". */
struct kernel_descriptor {
	uint32_t group_segment_size, private_segment_size, kernarg_size;
	uint8_t reserved0[4];
	int64_t entry_offset;
	uint8_t reserved1[20];
	uint32_t rsrc3, rsrc1, rsrc2;
	uint16_t properties, kernarg_preload;
	uint8_t reserved2[4];
};

/* ".value_kind" of an argument. */
enum codeobj_arg_kind {
	ARG_UNKNOWN,
#define CODEOBJ_ARG_KIND(id, text) ARG_##id,
#include "gpu/soft/codeobj/arg_kind.inc"
#undef CODEOBJ_ARG_KIND
	ARG_NUM_KINDS
};
/* From the first hidden one on, the runtime fills them in. */
#define ARG_FIRST_HIDDEN ARG_HIDDEN_GLOBAL_OFFSET_X

struct codeobj_arg {
	char *name, *type; /* "" if the compiler does not say */
	enum codeobj_arg_kind kind;
	uint32_t offset, size; /* in the kernel argument segment */
};

struct codeobj_kernel {
	char *name;
	bool described; /* the metadata has it; else only a descriptor was found, and what it says is here */
	uint64_t descriptor, entry, code_size; /* addresses of the ELF file; 0: a relocatable object. code_size 0: not known */
	uint32_t vgprs, agprs, sgprs, vgpr_spills, sgpr_spills;
	uint32_t lds, scratch, kernarg; /* bytes; scratch for a work-item */
	uint32_t wave_size, max_group, required_group[3]; /* work-items; required 0: any */
	bool uniform_groups; /* the grid is a multiple of the work-group */
	bool dynamic_stack;
	struct codeobj_arg *arg;
	uint32_t num_args;
	uint32_t num_explicit; /* arguments that are not hidden */
};

struct codeobj_symbol {
	char *name;
	uint64_t value, size; /* value: address of the ELF file */
	bool function;
};

struct codeobj {
	enum isa_target target;
	uint8_t *image; /* the loaded segments, page-aligned; of a relocatable object its code */
	size_t size;
	uint64_t base; /* GPU address that image's first byte was relocated to */
	struct codeobj_range { /* executable code, by address of the ELF file */
		uint64_t start, end;
	} *code;
	uint32_t num_code;
	struct codeobj_symbol *symbol; /* sorted by value */
	size_t num_symbols;
	struct codeobj_kernel *kernel; /* in order of their names */
	uint32_t num_kernels;
	uint32_t bad_relocs; /* relocations that only a linker or a runtime with other objects could do */
};

/* A base that means: the address of the image in this process. */
#define CODEOBJ_IDENTITY UINT64_MAX

/* Loads size bytes of an ELF file as if it lay at GPU address base (page-aligned). 0, or negative errno with the reason in error. */
int codeobj_open(struct codeobj *co, const void *bytes, size_t size, uint64_t base, char error[CODEOBJ_ERROR]);
/* The same with a file that is one, its addresses those of this process. 0, -errno. */
int codeobj_load(struct codeobj *co, const char *path);
void codeobj_free(struct codeobj *co);

/* Address (in image) of a symbol; NULL if there is none. */
void *codeobj_symbol(const struct codeobj *co, const char *name);
/* NULL if there is none. */
const struct codeobj_kernel *codeobj_kernel(const struct codeobj *co, const char *name);
/* The function that holds an address of the ELF file, or NULL. */
const struct codeobj_symbol *codeobj_function_at(const struct codeobj *co, uint64_t value);
/* Text of a value kind, as in the metadata. */
const char *codeobj_arg_kind_name(enum codeobj_arg_kind kind);

/* ------------------------------------------------------------------ files that hold several (bundle.c) */

struct codeobj_file {
	uint8_t *bytes;
	size_t size;
	struct codeobj_entry {
		char target[64]; /* "gfx90a", or with features as in the bundle: "gfx90a:xnack-" */
		size_t offset, size;
	} *entry;
	uint32_t num;
};

/* Reads a file: an AMDGPU ELF, a clang offload bundle (not compressed), or a host ELF with bundles in .hip_fatbin. 0, or -errno with the reason. */
int codeobj_file_read(struct codeobj_file *file, const char *path, char error[CODEOBJ_ERROR]);
void codeobj_file_free(struct codeobj_file *file);

/* ------------------------------------------------------------------ inside */

/* metadata.c: adds the kernels of a metadata note's descriptor. 0, -EINVAL, -ENOMEM with the reason. */
int codeobj_metadata(struct codeobj *co, const uint8_t *note, size_t size, char error[CODEOBJ_ERROR]);

#endif
