/* SPDX-License-Identifier: MIT */
/*
 * exec.h - runs work-groups of AMDGPU machine code.
 *
 * The semantics of each operation is written once (the valu_*.inc tables, salu.c, lds.c, vmem.c and
 * so on; one function or table row an operation). A work-group is run by one thread at a time: its
 * waves take turns, each until a barrier, its end, an s_sleep, or the end of the slice.
 */
#ifndef GPU_SOFT_EXEC_EXEC_H
#define GPU_SOFT_EXEC_EXEC_H

#include "gpu/soft/soft.h"

/* gpu_prepare() */
void exec_prepare(int store);
/* CPU time that compiling kernels took in this process so far, in ns. */
uint64_t exec_compile_ns(void);

/* ---- code.h: decoded code, shared by all threads of a vm ---- */
struct code_cache;
/* Empty cache for one vm. */
struct code_cache *code_cache_new(enum isa_target target);
/*
 * The same, but every instruction is passed to observer->inst, which executes it by calling fn, and
 * kernels are not compiled: for traces and profiles. ctx->pc is the instruction's address. Called by
 * the threads that run work-groups; observer must outlive the cache.
 */
struct exec_ctx;
typedef void exec_fn(struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst);
struct exec_observer {
	void (*inst)(const struct exec_observer *observer, struct exec_ctx *ctx, struct wave *w,
		     const struct isa_inst *inst, exec_fn *fn);
};
struct code_cache *code_cache_new_observed(enum isa_target target,
					   const struct exec_observer *observer);
/* Work-groups of one dispatch may run by either cache from now on; other is freed later. */
void code_cache_beside(struct code_cache *cache, struct code_cache *other);
void code_cache_free(struct code_cache *cache);
/*
 * Call before each dispatch runs its first wave (and after an instruction-cache invalidation):
 * decoded pages whose bytes have changed since are decoded anew when next executed. Waves already
 * running keep what they have.
 */
void code_cache_revalidate(struct code_cache *cache);

/* ---- work-groups ---- */

/* Bytes of memory a work-group of this dispatch needs (registers + LDS), for bounds; -EINVAL if the
 * set-up is impossible (wg size, VGPRs, LDS > 64 KiB). */
long exec_wg_bytes(const struct dispatch_setup *setup);

/*
 * Makes work-group id of the dispatch ready to run: registers and LDS (zeroed, but for what compiled
 * code left of a work-group of the same dispatch), initial SGPRs and
 * VGPRs by the descriptor (LLVM AMDGPUUsage "Initial Kernel Execution State"), EXEC of partial
 * waves. wg is reusable: memory from an earlier call with the same set-up is kept. Caller fills
 * shared fields code, cu, scratch_slot, message, owner before. 0, -ENOMEM, -EINVAL.
 */
int exec_wg_init(struct workgroup *wg, const struct dispatch_setup *setup, const uint32_t id[3]);
void exec_wg_free(struct workgroup *wg);

/*
 * Runs until all waves ended, an error, or about budget instructions per wave ran, or *stop became
 * non-zero (checked at loop back-edges, at most a few thousand instructions apart).
 */
enum exec_result exec_run(struct workgroup *wg, struct mem_view *view, uint64_t budget,
			  const atomic_uint *stop);

/* Work-groups of a dispatch, x fastest: `left` of them from id `next`. */
struct exec_range {
	uint32_t next[3], left;
};

/* Takes the first one from a range that is not empty. */
static inline void exec_range_step(struct exec_range *range, const struct dispatch_setup *setup)
{
	range->left--;
	for (unsigned d = 0; d < 3; d++) {
		if (++range->next[d] < setup->num_wg[d])
			return;
		range->next[d] = 0;
	}
}

/*
 * The same, and when the work-group has ended, goes on with those of range, each in the memory of
 * the one before. range is then what was not begun. EXEC_DONE: no work-group is in flight; if range
 * is not empty, the budget is used up (it is one for all of them) or *stop was set, and the caller
 * gives what is left to any work-group. Else the last one begun is what the result is about.
 */
enum exec_result exec_run_range(struct workgroup *wg, const struct dispatch_setup *setup,
				struct mem_view *view, struct exec_range *range, uint64_t budget,
				const atomic_uint *stop);

/* True if the interpreter has semantics for this op on this target (for coverage tools). */
bool exec_covers(enum isa_target target, unsigned op);

/* ---- between the rooms of exec (not for cp) ---- */

/*
 * wg.c: work-group id of the same dispatch, after the one in wg has ended and with what that left in
 * VGPRs and LDS. 0, -EINVAL.
 */
int exec_wg_next(struct workgroup *wg, const struct dispatch_setup *setup, const uint32_t id[3]);
/*
 * For compiled code, which starts waves itself: how the waves of a work-group of full size start, wave i's at i * *stride bytes from the first; only the
 * work-group's id is another. *same: the waves' SGPRs are the same. NULL: wg is not of full size.
 */
const struct wave *exec_wg_starts(struct workgroup *wg, const struct dispatch_setup *setup, size_t *stride, bool *same);
/* How many work-groups that follow wg's, which is of full size, are of full size, too. */
uint32_t exec_wg_full_ahead(const struct workgroup *wg, const struct dispatch_setup *setup);
/* A wave of work-group wg->id of full size, as it starts. exec_wg_starts() was called. */
void exec_wg_restart(struct workgroup *wg, uint32_t wave);
/* Clears VGPRs and LDS. */
void exec_wg_clear(struct workgroup *wg);

#define WG_LDS_SLACK 256 /* bytes behind LDS that a wide read of its last bytes may touch */

struct exec_ctx { /* of one exec_run */
	struct mem_view *view;
	struct wave *wave;
	enum exec_result error; /* EXEC_DONE: none so far */
	uint64_t pc; /* of the instruction being executed; wave->pc is already the next one's and is
			what branches write */
	bool leave;  /* set by barriers, s_sleep and s_endpgm: other waves' turn */
	bool recheck_code; /* s_icache_inv: look at the code's bytes again */
	bool stored;	   /* stored to global memory since the last full fence (s_waitcnt) */
};

/*
 * An exec_fn (above) executes one decoded instruction. It sets ctx->error (and wave->wg->fault) when
 * it can't. Registered in one table indexed by isa_op: exec_table[op]. VALU rows live in valu_*.c,
 * the rest in salu.c, smem.c, lds.c, vmem.c, flow.c.
 */
struct exec_row {
	uint16_t op;
	exec_fn *fn;
};
/*
 * Each file exports its rows: an array ended by op ISA_OP_INVALID. The arrays of the vector ALU
 * (v_*), LDS and vector memory, NULL-terminated, are built for this processor (valu.c);
 * exec_valu_rows_of: for x86-64 level 1, 3 or 4, NULL if this processor has not got it.
 */
const struct exec_row *const *exec_valu_rows(void);
const struct exec_row *const *exec_valu_rows_of(unsigned level);
extern const struct exec_row exec_rows_salu[], exec_rows_smem[], exec_rows_flow[], exec_rows_trap[], exec_rows_gws[];

#endif
