/* SPDX-License-Identifier: MIT */
/*
 * unit.h - the inside of the JIT.
 *
 * In every process that has a software GPU: the units of a code cache (unit.c), a kernel's code as blocks (discover.c), the cache on disk
 * (store.c). In a module of its own, libhsavisor-jit.so, that is loaded when there is something to compile (module.c), because LLVM is
 * large and linked into it: analysis (cfg.c, shape.c), the lifter (lift*.c, widen.c, lanes.c), the compiler (engine.c).
 */
#ifndef GPU_SOFT_JIT_UNIT_H
#define GPU_SOFT_JIT_UNIT_H

#include <stdlib.h>

#include "gpu/soft/exec/mfma.h"
#include "gpu/soft/exec/spread.h"
#include "gpu/soft/jit/jit.h"

#define JIT_MAX_INSTS	16384
#define JIT_MAX_BLOCKS	4096

struct bits256 {
	uint64_t w[4];
};

static inline bool bit_get(const struct bits256 *b, unsigned i)
{
	return b->w[i >> 6] >> (i & 63) & 1;
}

static inline void bit_set(struct bits256 *b, unsigned i)
{
	b->w[i >> 6] |= 1ull << (i & 63);
}

static inline void bit_clear(struct bits256 *b, unsigned i)
{
	b->w[i >> 6] &= ~(1ull << (i & 63));
}

struct jit_inst {
	struct code_inst ci;
	uint64_t pc;
	uint32_t block; /* that begins here, or NO_BLOCK */
	uint32_t next;	/* index of the one behind, or NO_INST */
	bool quiet;	/* cfg.c: nobody reads inactive lanes of what it writes, before they are written again */
	bool low_only;	/* shape.c: of a 64-bit product, nobody reads the high half */
	bool no_carry;	/* shape.c: nobody reads the mask in dst[1] */
	bool addresses;	/* shape.c: what it computes addresses are made of */
	uint32_t first_lacks; /* shape.c: of v_readfirstlane_b32, bits that the result never has */
	uint64_t jump;	/* where this s_setpc_b64 always leads; 0: not known */
};
#define NO_BLOCK UINT32_MAX
/* In the value of the destination of a packed f32 operation: nobody reads the result's low (0), high (1) half, which is not computed (cfg.c). */
#define JIT_UNREAD(half) (1ull << (half))
/* In the value of an SGPR operand of one dword: the low half has all bits that the register may have set there (cfg.c). */
#define JIT_BITS_KNOWN (1ull << 32)
#define JIT_BITS_ALL   (1ull << 33) /* all of them are set: that is the value */
#define NO_INST	 UINT32_MAX

enum jit_term {
	TERM_FALL,	/* goes on at succ[0] */
	TERM_BRANCH,	/* the last instruction is s_branch: succ[0] */
	TERM_COND,	/* s_cbranch_*: taken succ[0], else succ[1] */
	TERM_END,	/* s_endpgm */
	TERM_BARRIER,	/* leaves when the group has several waves, then succ[0] */
	TERM_SLEEP,	/* leaves, then succ[0] */
	TERM_INTERP,	/* the interpreter goes on at the last instruction (not executed) */
};

#define JIT_PAIRS 64 /* of SGPRs */

/* What holds at a point whatever way it was reached, when it held at the entry. */
struct jit_facts {
	bool exec_full; /* EXEC is all ones */
	/* Bit k of cover[i] (and i of cover[k]): s[2i:2i+1] | s[2k:2k+1] is all ones, EXEC among them; i = k: that pair alone is, and its bits are all set. */
	uint64_t cover[JIT_PAIRS];
	uint32_t mode;
	bool stored; /* perhaps: to memory, since the last s_waitcnt */
	bool known;  /* reached in the analysis */
};

/* How many accesses of vector memory s_waitcnt lets be under way. */
static inline unsigned jit_wait_vmcnt(const struct isa_inst *in)
{
	return ((uint32_t)in->simm & 15) | ((uint32_t)in->simm >> 10 & 48);
}

struct jit_block {
	uint64_t pc;
	uint32_t first, count; /* instructions: first, then by .next */
	enum jit_term term;
	uint32_t succ[2];
	bool safe;	       /* waves may be resumed here */
	bool back;	       /* some edge to it goes backwards */
	bool sync;	       /* header of a loop with barriers: struct wave has all vector registers when it is entered from outside */
	bool in_sync;	       /* inside such a loop */
	bool fresh;	       /* waves get here from where all is in struct wave only: from behind a barrier or s_sleep */
	uint32_t weight;       /* instructions that passing here counts for, costly ones as many: a loop's are counted at its header */
	struct jit_facts in;
	struct bits256 vlive, vdirty; /* VGPRs live here; possibly changed since the wave was taken up */
	struct bits256 vuse, vkill, vwrite;
	struct bits256 inactive; /* VGPRs whose inactive lanes here may be read, by other lanes or when they are active again */
	uint64_t slive[2], suse[2], skill[2], swrite[2];
	uint64_t sdirty[2];
};

/*
 * shape.c: a vector register's value is that of its strip's first lane plus delta[lane]; and so is the 64-bit value of a pair. At the level of waves
 * the wave is one strip.
 */
struct jit_shape {
	uint16_t delta; /* index + 1 in jit_code.delta; 0: not known */
	uint16_t wide;	/* the same of the pair that begins here; the lifter has seen to it that it holds (jit_guard) */
	uint32_t bits;	/* that the strips' first lanes may have */
};
#define SHAPE_UNIFORM 1

enum { LEVEL_STRIP, LEVEL_WAVE, NUM_LEVELS };

struct jit_shapes { /* at one place of the program, at one level */
	struct jit_shape v[256];
	/* v_add_co_u32: what the v_addc_co_u32 that may follow needs. Additions may lie side by side: of one the carry is VCC (jit_carry()). */
	struct carry_of {
		bool valid;
		uint8_t dst, pair; /* of the sum, of the carry */
		struct isa_operand src[2];
		struct jit_shape low[2]; /* of the sources; wide: with the register behind as high half */
	} carry[2];
	/* The register's bits are all the sign of another. */
	struct sign_of {
		bool valid;
		uint8_t high, of;
	} sign;
	/* The last copy of a register, as long as neither has changed. */
	struct copy_of {
		bool valid;
		uint8_t to, from;
	} copy;
};

/*
 * What an instruction's shape takes for granted: that a source's lanes, extended to 64 bits, have the differences that they have modulo 2^32; or (low, these
 * bits) that src's first lane has none of them and mask all.
 */
struct jit_guard {
	bool need, sign;
	uint32_t low;
	struct isa_operand mask;
	int8_t carry; /* source of the v_add_co_u32 before: 2 * jit_carry() + its index; or -1: src */
	struct isa_operand src;
	uint16_t delta;
};

struct jit_code {
	uint64_t entry_pc;
	enum isa_target target;
	uint32_t num_vgprs, num_agprs;
	uint32_t mode;
	bool multi_wave; /* the work-groups have several waves */
	bool full;	 /* assume that EXEC is all ones at the entry */
	bool paging;	 /* memory is pageable: a wave may have to leave at any access */
	struct jit_inst *inst;
	uint32_t num_inst;
	struct jit_block *block;
	uint32_t num_blocks;
	uint64_t wide_pairs; /* SGPR pairs only ever used whole */
	struct bits256 vused;
	/* Work-group size and how many of y and z the kernel gets (gfx900), for shapes. */
	uint32_t wg_size[3], id_vgprs;
	uint8_t id_sgpr[3]; /* struct workgroup's */
	double of_cost;			  /* instructions as part of their cost, on average */
	bool exact;			  /* registers are looked at when the wave has ended */
	bool guess, guessed; /* shape.c may guess what masks from arguments leave of lanes' numbers; it has */
	struct jit_shape (*shape[NUM_LEVELS])[256]; /* of each block */
	unsigned strip;				    /* lanes of a strip */
	int32_t (*delta)[WAVE_LANES];
	uint32_t num_deltas;
	struct bits256 unshaped; /* registers that are left alone: matrix operations write them in struct wave */
	/* The machine code this was made from. */
	struct jit_bytes {
		uint64_t va;
		uint32_t size;
		uint8_t *bytes;
	} *range;
	uint32_t num_ranges;
};

/*
 * Finds the kernel's code from its entry; runs on the executor's thread, inside code_cache_enter. NULL: it is not for the JIT (or out
 * of memory).
 */
struct jit_code *jit_discover(struct exec_ctx *ctx, struct workgroup *wg, uint64_t entry_pc, uint32_t mode);
static inline void jit_code_free(struct jit_code *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; c->range && i < c->num_ranges; i++)
		free(c->range[i].bytes);
	free(c->range);
	free(c->inst);
	free(c->block);
	free(c->shape[LEVEL_STRIP]);
	free(c->shape[LEVEL_WAVE]);
	free(c->delta);
	free(c);
}
/* Liveness, EXEC, MODE; false: not for the JIT. */
bool jit_analyse(struct jit_code *c, unsigned width);
/* Shapes at the blocks' begins, for strips of width lanes, and jit_inst.first_lacks; false: out of memory. May be called again. */
bool jit_find_shapes(struct jit_code *c, unsigned width);
/* Vector registers that have work-items' ids at the start. */
static inline unsigned jit_id_rows(const struct jit_code *c)
{
	return c->target == ISA_GFX90A ? 1 : c->id_vgprs < 2 ? c->id_vgprs + 1 : 3;
}
/* Goes on behind an instruction that, if all, writes whole registers. */
void jit_shape_after(struct jit_code *c, struct jit_shapes *s, const struct isa_inst *in, bool all, struct jit_guard *guard);
/* Which of jit_shapes.carry a carry in these scalar registers belongs to. */
static inline unsigned jit_carry(const struct isa_operand *pair)
{
	return pair->index == SGPR_VCC;
}
/* At both levels. What strips would have by a guess they have as parts of the wave, where that is known: it is what will be looked at. */
void jit_shapes_after(struct jit_code *c, struct jit_shapes s[NUM_LEVELS], const struct isa_inst *in, bool all, struct jit_guard guard[NUM_LEVELS]);
/*
 * Differences of an address in a pair of registers, or (low) in one that is extended with zeros; 0: not known. They hold if no lane wraps around, which
 * is to be checked if *guard.
 */
uint16_t jit_address_shape(const struct jit_code *c, const struct jit_shape v[256], const struct isa_operand *o, bool low, bool *guard);
/* Of v_ashrrev_i64: is the low half of what it shifts 0, so that it extends the high half's sign and multiplies by 2^(32 - n)? Where that half is. */
bool jit_extends(const struct isa_inst *in, const struct jit_shape *v, struct isa_operand *high);
/* The low register of the pair that in copies, whole (v_pk_mov_b32), or half by half: then the other one has been copied just before, to beside this one. -1: it copies none. */
int jit_copied_pair(const struct jit_shapes *s, const struct isa_inst *in);
/* Smallest and largest difference. */
void jit_delta_range(const struct jit_code *c, uint16_t delta, int32_t *low, int32_t *high);
/* True if the code's bytes in guest memory are still those. */
bool jit_code_same(struct exec_ctx *ctx, const struct jit_code *c);

/* Registers of one instruction. */
struct jit_regs {
	struct bits256 vuse, vkill, vwrite;
	uint64_t suse[2], skill[2], swrite[2];
};
extern const uint64_t jit_always_live; /* SGPRs from 64 on that may be read without being named */
void jit_inst_regs(const struct isa_inst *in, bool exec_full, struct jit_regs *r);
/* An edge at which the vector registers go to struct wave. */
static inline bool jit_sync_edge(const struct jit_block *from, const struct jit_block *to)
{
	return to->sync && from->pc < to->pc;
}
/* True if the interpreter, given a wave where compiled code ends, may bring it back anywhere. */
bool jit_comes_back(const struct jit_code *c);
/* What holds behind an instruction. */
void jit_after(struct jit_facts *f, const struct isa_inst *in);
/* EXEC is known to be all ones. */
void jit_all_lanes(struct jit_facts *f);

/*
 * One call of a unit's function, for one wave or (group) for the waves of a work-group, from barrier to barrier, and then of those that
 * follow (lift_group.c).
 */
struct jit_frame {
	uint64_t executed, limit;
	uint32_t group;
	uint32_t ready, waiting; /* bits: waves that go on in this turn, waves that have come to a barrier */
	uint32_t all;		 /* waves of a work-group */
	uint32_t index;		 /* the wave that runs; JIT_NO_WAVE: none, they are all at safe points or the work-group is over */
	uint32_t turn;		 /* unit.c: the wave that ran at the last pause */
	uint32_t left;		 /* work-groups to start yet */
	uint32_t id[3], num[3];	 /* of the work-group, and of the grid */
	const void *start;	 /* struct wave of the first wave as it starts; the others' at start_stride bytes from each other */
	bool start_same;	 /* their SGPRs are the same */
	uint64_t start_stride, turn_from, limit_from; /* unit.c: executed when the turn began, at the last pause */
	uint64_t total, most; /* instructions: then no work-group is begun; then the one that runs is suspended */
	uint16_t at[WG_MAX_WAVES]; /* where waves that are ready or waiting are: entries */
	const struct jit_later *later[WG_MAX_WAVES]; /* what they have put off; NULL: nothing */
	/* A quiescent point between turns and work-groups; true: the slice is over. */
	uint32_t (*between)(struct exec_ctx *ctx, struct jit_frame *f);
	uint64_t budget;
	const atomic_uint *stop;
	const struct jit_inst *inst;
	uint64_t base;	 /* the kernel's entry_pc: compiled code has addresses relative to it only */
	uint64_t room_each; /* bytes that each work-item of the grid may load and store before that is more than the host's caches hold */
	uint32_t interp; /* the interpreter has to take the next instruction; JIT_UNFIT: for what shapes take for granted does not hold */
	/* Runs one instruction by the interpreter; 1: the wave must leave (error, or it gave up its turn); 2: nothing was done, for there are pages missing. */
	uint32_t (*step)(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji);
	/* Looks for the view's range number slot around va, with prot; true: try again. */
	uint32_t (*range)(struct exec_ctx *ctx, uint64_t va, uint32_t slot, uint32_t prot);
	/* mem_find_near() */
	uint8_t *(*near)(struct exec_ctx *ctx, uint64_t va, uint32_t place, uint32_t bytes);
	/* Accesses with lanes anywhere (exec/spread.h); true: the wave must leave, after a fault. */
	uint32_t (*load)(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji, struct vmem_spread *x, uint64_t mask, uint32_t what);
	uint32_t (*store)(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji, struct vmem_spread *x, uint64_t mask, uint32_t what);
	/* A quiescent point; true: the slice is over. */
	uint32_t (*pause)(struct exec_ctx *ctx, struct jit_frame *f);
	const struct mfma_functions *mfma; /* exec_mfma_functions() */
};

#define JIT_NO_WAVE UINT32_MAX
#define JIT_UNFIT 2

/* Matrix operations that a wave at a barrier has not done yet, D += A x B in this order: see lift_mfma.c. Of both kinds of register: AGPRs from 256 on. */
struct jit_later {
	uint16_t num;
	struct {
		uint16_t kind, d, a, b; /* kind: enum mfma_index; registers' numbers */
	} step[];
};

/*
 * Entries: of n safe points the i-th is i, with what it needs looked at. n + i: in a group, for a wave that compiled code left there. 2n: a wave's
 * start, from frame->start. 2n + 1: the waves of frame->ready.
 */
typedef void jit_fn(struct jit_frame *f, struct exec_ctx *ctx, struct wave *w, uint32_t entry);

struct jit_unit {
	struct jit_code *code;
	jit_fn *fn;
	uint32_t num_safe;
	struct jit_safe {
		uint64_t pc;
		struct jit_facts in; /* of what lives, without what follows from others */
		uint64_t covers;     /* in.cover that are not 0 */
	} *safe;
	_Atomic uint32_t unfit; /* so often, of code with guesses, they did not hold */
	double compile_ms;
	void *memory; /* engine.c: of the code */
};

/* Machine code of the host, as an ELF relocatable object. */
struct jit_object {
	void *bytes;
	size_t size;
};

/*
 * What the module exports under the name JIT_MODULE_SYMBOL. Its code and its user's are built from the same headers: layout tells.
 */
struct jit_module {
	uint32_t layout; /* JIT_LAYOUT */
	/* Prepares LLVM: reads no files later and changes nothing when called again. 0, or -1 with the reason logged: this machine can't. */
	int (*init)(void);
	/* What code made here depends on beside the kernel: the build of the module, the host's features. Valid after init; NULL: not known. */
	const char *(*identity)(void);
	/*
	 * Compiles; on any thread, one at a time. The unit refers to code. NULL: not possible. have: NULL, or an object made before from the same code
	 * by the same identity, loaded instead of compiling. made: NULL, or the object, to be freed by the caller (bytes NULL: none).
	 */
	struct jit_unit *(*compile)(struct jit_code *code, bool exact, const struct jit_object *have, struct jit_object *made);
	/* Frees the unit and its machine code; not the jit_code. */
	void (*free)(struct jit_unit *unit);
};
#define JIT_MODULE_SYMBOL "hsavisor_jit_module"
#define JIT_LAYOUT ((uint32_t)(sizeof(struct jit_code) << 20 ^ sizeof(struct wave) << 12 ^ sizeof(struct workgroup) << 8 ^ sizeof(struct exec_ctx) << 4 ^ sizeof(struct jit_inst) ^ sizeof(struct jit_block) << 18 ^ sizeof(struct jit_frame) << 16 ^ sizeof(struct mem_view) ^ sizeof(struct mfma_functions) << 22))

/* module.c: the module, loaded at the first call; NULL: there is none, or it does not work here. */
const struct jit_module *jit_module_get(void);

/* store.c: compiled kernels on disk, or nothing where there is no place for them. */

/* From now on the store is this open file (gpu_prepare()); -1: there is none. */
void jit_store_use(int fd);
/* The object that was made from this code, or false. The caller frees its bytes. */
bool jit_store_get(const struct jit_code *code, bool exact, const char *identity, struct jit_object *object);
void jit_store_put(const struct jit_code *code, bool exact, const char *identity, const struct jit_object *object);

/* lane_ops.c: what a row of the VALU tables is. */
enum lane_form { LANE_NONE, LANE_OP, LANE_CARRY, LANE_CMP, LANE_PK, LANE_PKF, LANE_MIX };
enum lane_kind { K_NONE, K_U32, K_I32, K_F32, K_R32, K_M32, K_L32, K_LU32, K_U16, K_I16, K_F16, K_R16, K_M16, K_U64, K_I64, K_F64, K_R64, K_M64,
		 /* results */
		 K_SU32, K_SI32, K_X32, K_SU16, K_SI16, K_X16, K_X64, K_U16P, K_SU16P, K_SI16P, K_F16P, K_X16P,
		 /* packed halves */
		 K_H, K_X, K_U, K_I, K_SU, K_SI };
enum lane_env { LANE_ENV_N, LANE_ENV_S, LANE_ENV_D };
struct lane_op {
	const char *name;
	uint8_t form, env, result, src[3], nsrc;
	bool old; /* the last source is the old destination */
	uint8_t part; /* MIX */
	bool flush;
};
const struct lane_op *lane_op_of(unsigned op);

#endif
