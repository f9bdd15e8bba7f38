/* SPDX-License-Identifier: MIT */
/*
 * code.h - decoded machine code of one GPU address space.
 *
 * Code is decoded lazily, in runs: from the address that is executed up to an instruction that always leaves, the end of the
 * page, or one that can't be decoded. The records of a run lie behind each other, so that the run loop goes from one
 * to the next by adding one until one has ends_run set.
 *
 * Reading is lock-free. A page whose bytes changed gets a new struct code_page; old ones are freed when every exec_run that
 * may hold them has returned. So a running wave may hold a page until its exec_run returns.
 */
#ifndef GPU_SOFT_EXEC_CODE_H
#define GPU_SOFT_EXEC_CODE_H

#include "gpu/soft/exec/mem.h"

#define CODE_PAGE_DWORDS (MEM_PAGE_SIZE / 4)
#define CODE_TAIL_DWORDS 2 /* of the next page: an instruction is at most 3 dwords */

struct code_inst {
	exec_fn *fn;
	struct isa_inst inst;
	uint16_t vgprs, agprs; /* registers the wave must have for this instruction */
	uint8_t size;	       /* bytes */
	uint8_t weight;	       /* how many ordinary instructions more it costs: 0 for most */
	bool ends_run;	       /* may branch, has a weight, or is the last of its run */
	bool last;	       /* of its run: look up the next instruction by address */
};

struct code_page;

/*
 * The decoded page that holds pc, checked to be executable and, once per revalidation, to be unchanged. NULL: ctx->error is
 * set (memory fault, or EXEC_ILLEGAL when out of memory). pc is 4-byte aligned.
 */
struct code_page *code_page_get(struct exec_ctx *ctx, struct code_cache *cache, uint64_t pc);

/* The record of the instruction at pc, which lies in page. NULL: ctx->error is set. */
const struct code_inst *code_inst_get(struct exec_ctx *ctx, struct code_cache *cache, struct code_page *page, uint64_t pc);

/* The JIT's part of the cache, NULL without; and the number of revalidations so far. */
struct jit_cache;
struct jit_cache *code_cache_jit(struct code_cache *cache, uint64_t *epoch);

/* Around everything that uses pages of the cache; leave gets what enter returned. */
unsigned code_cache_enter(struct code_cache *cache);
void code_cache_leave(struct code_cache *cache, unsigned side);

/* run.c: the function of an operation on a target; NULL if there is none. */
exec_fn *exec_lookup(enum isa_target target, unsigned op);

/* run.c: the record function of what can't be executed: logs and sets EXEC_ILLEGAL. */
exec_fn exec_illegal;

#endif
