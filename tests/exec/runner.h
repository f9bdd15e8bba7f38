/* SPDX-License-Identifier: MIT */
/*
 * runner.h - runs kernels on the interpreter without a GPU around it: one thread, and GPU addresses that are host addresses.
 *
 * Only memory given to runner_map is mapped, so a wild access is a memory fault, not a crash.
 */
#ifndef TESTS_EXEC_RUNNER_H
#define TESTS_EXEC_RUNNER_H

#include "gpu/soft/exec/exec.h"
#include "gpu/soft/codeobj/codeobj.h"

#define RUNNER_RANGES 64

struct runner {
	struct mem_view view; /* first: runner is found from it */
	struct {
		uint64_t start, end;
		uint8_t *host; /* of start */
		uint32_t prot;
	} range[RUNNER_RANGES];
	unsigned num_ranges;
	unsigned quiesced;
	struct code_cache *code;
	struct workgroup wg;
	uint8_t *scratch;
	uint64_t instructions; /* executed by the last dispatch */
	struct exec_fault fault;
	const atomic_uint *stop; /* ends a work-group; NULL: nothing does */
	uint64_t slice; /* budget of each exec_run; 0: a large one */
};

struct runner_dispatch {
	const char *kernel;
	uint32_t grid[3], offset[3]; /* work-items; global offset */
	uint16_t group[3];
	const void *args; /* explicit kernel arguments, laid out as the kernel has them */
	size_t args_size;
	uint32_t dynamic_lds;
};

int runner_init(struct runner *r, enum isa_target target);
void runner_free(struct runner *r);

/* Page-aligned zeroed memory mapped with prot, nothing right behind it; freed by runner_unmap. NULL if none. */
void *runner_alloc(struct runner *r, size_t size, uint32_t prot);
/* Maps what exists already. */
int runner_map(struct runner *r, const void *host, size_t size, uint32_t prot);
/* Elsewhere than at its host address. */
int runner_map_at(struct runner *r, uint64_t va, void *host, size_t size, uint32_t prot);
void runner_unmap(struct runner *r, const void *host);
void runner_unmap_at(struct runner *r, uint64_t va); /* frees no memory */

/* Runs all work-groups of a kernel of co (its image mapped). EXEC_DONE, or how the first failing work-group ended. */
enum exec_result runner_run(struct runner *r, const struct codeobj *co, const struct runner_dispatch *d);
/* Until *stop is not 0: EXEC_YIELD then. */
enum exec_result runner_run_until(struct runner *r, const struct codeobj *co, const struct runner_dispatch *d, const atomic_uint *stop);

#endif
