/* SPDX-License-Identifier: MIT */
/*
 * lift.h - the lifter's inside (lift*.c, linear.c, widen.c).
 *
 * Theory of operation
 * A wave's 64 lanes are cut into strips as wide as the host's vectors. A register is one LLVM variable a strip, which LLVM promotes
 * to SSA values; scalar registers are scalar variables. Inside a block vector operations are first queued, with what they read of the scalar side,
 * while scalar operations are emitted at once; the queue is then emitted strip by strip, so that a strip's temporaries stay in
 * host registers. Memory operations (but loads of rows and LDS at known places), lane operations and block ends flush the queue.
 *
 * What the lifter does not know is done by the interpreter's function for that instruction (emit_step): the registers it reads are
 * stored to struct wave, those it writes are loaded again.
 */
#ifndef GPU_SOFT_JIT_LIFT_H
#define GPU_SOFT_JIT_LIFT_H

#include <llvm-c/Core.h>

#include "gpu/soft/exec/mfma.h"
#include "gpu/soft/exec/operand.h"
#include "gpu/soft/jit/unit.h"

#define MAX_STRIPS 8
#define QUEUE_SIZE 512
#define MAX_BASES  64
#define MAX_ROWS   16
#define V LLVMValueRef

#define PAIR_EXEC (SGPR_EXEC / 2)
#define PAIR_VCC  (SGPR_VCC / 2)

struct lds_base;

struct vop { /* a queued vector operation */
	const struct jit_inst *ji;
	const struct lane_op *op;
	V fn;		 /* the lane function */
	V scalar[4];	 /* i32 or i64 of scalar sources */
	V exec;		 /* i64; NULL: all lanes */
	int mask_of;	 /* queue index of the v_cmp whose mask is read, or -1: scalar[] */
	int mask_pair;	 /* pair that gets the mask it makes, or -1 */
	V mask[MAX_STRIPS]; /* that mask */
	uint32_t mode;
	V dpp[2][MAX_STRIPS];	 /* DPP: source 0 (of 64 bits: low, high half) */
	V dpp_mask[MAX_STRIPS]; /* lanes that are written; NULL: those of exec */
	const struct lds_base *lds; /* a read or store of LDS at a known shape */
	unsigned lds_offset, lds_row, lds_dwords;
	bool lds_store;
	V rows[MAX_STRIPS]; /* a read of guest memory: where each strip lies, lanes so many bytes apart */
	unsigned rows_step;
	bool rows_same; /* all lanes of the wave at one place: same[] is what the first strip has read there, dwords by twos */
	V same[2];
	V class_mask;	  /* i32: of v_cmp_class, the mask that all lanes have; NULL: not known to be one */
	uint32_t classes; /* that it may have */
	unsigned early, num_early; /* rows that go to struct wave as soon as they are read */
};

/* A vector register used as an LDS address: all that accesses in the block reach from it is inside. */
struct lds_base {
	V first[MAX_STRIPS];  /* first lanes, i64 */
	const int32_t *delta; /* of the others from them */
	const int32_t *wave;  /* of all lanes from the wave's first one, or NULL */
	int32_t low, high;    /* what is known to be inside, in bytes from first lanes */
};

/* Two vectors of LDS, from low bytes behind a base's first lane on: as they have been read in this block, and are still. */
#define MAX_WINDOWS 32
struct lds_seen {
	const struct lds_base *base;
	unsigned strip;
	int32_t low;
	V x;
};

struct wide_pair {
	V lo, hi, value;
};

/* linear.c: a register, or a pair, as roots: its lanes are root + delta[lane] (LIN_HIGH: the high half of that). */
enum { LIN_NONE, LIN_LOW, LIN_HIGH };
struct lin {
	uint8_t kind, level;
	const int32_t *delta; /* from the level's first lane */
	V root[MAX_STRIPS];   /* one a strip, or one for the wave */
};

#define MAX_SUMS 16
struct lin_sum { /* low, extended, + base */
	V low, base, sum;
};

/* lift_known.c: memory around a base address of several accesses, looked up in this block: bytes [low, high) from it. */
#define MAX_SEEN 8
struct seen {
	V base[MAX_STRIPS], host[MAX_STRIPS], ok;
	unsigned roots;
	uint32_t prot;
	int64_t low, high;
};

#define MAX_ROWS_READ 8

#define RUN_BLOCKS 16

/* lift_group.c: work-groups of a kernel without loops and barriers that follow each other, in a loop with nothing but what differs from wave to wave. */
struct run {
	uint32_t path[RUN_BLOCKS]; /* blocks, from the entry to the end, that a wave comes through of which lanes stay active */
	unsigned blocks;
	uint64_t weight; /* of them: a wave's instructions, as fuel */
	/* What lanes have loaded, and what follows from it; pairs are bits. */
	struct bits256 loaded;
	uint64_t loaded_pairs;
	LLVMBasicBlockRef entry, skip; /* where the first of them is to begin, and where that is not possible; NULL: there is no such loop */
	LLVMBasicBlockRef once, bail;  /* once: the end of what is done before the loop; bail: the wave is left to the other code, nothing of it is done */
	V group, wave;	   /* variables: of id[0], and which wave of it */
	V first, behind;   /* the first work-group, and the one behind the last */
	V pauses;	   /* variable: so many times no run is tried */
	LLVMBasicBlockRef again, head; /* where the next work-group is looked for; a wave of the run */
	V from;		   /* struct wave as waves start */
	unsigned *places;  /* of each instruction, the places that those before it have */
	bool on;	   /* it is being lifted */
	bool failed;	   /* that is not possible */
	bool changed;	   /* the wave has changed memory: it can't be left any more */
};

/* lift_mem.c: lines that blocks behind barriers fetch ahead, so many each. */
#define MAX_RESTS 4
#define MAX_LINES 32
struct fetch_rest {
	unsigned lines, each;
	int64_t line[MAX_LINES]; /* from where the wave's are: rest_at */
};

#define MAX_CHECKED 32
struct lin_check { /* a root's lanes do not wrap around: checked in this block */
	V root;
	int32_t low, high;
	bool sign;
};

/* lift_mfma.c: matrix operations put off, the steps of one accumulator; rows of sources on the stack. */
#define MFMA_LATER  16
#define MFMA_WAITS  8
#define MFMA_COPIES 64
#define MFMA_LIST   (3 * 2 * MFMA_MAX_STEPS) /* pointers in a list of steps: two accumulators' and what they have in common */
struct mfma_later {
	int kind;
	unsigned row, rows, steps; /* no steps: unused */
	unsigned old;		   /* the first ones are from before the barrier that the block is behind; see goes_on */
	V ab[2 * MFMA_MAX_STEPS];
	uint16_t in_row[2 * MFMA_MAX_STEPS]; /* number + 1 of A's, B's first row in struct wave; 0: it is a copy */
};
struct mfma_copy {
	unsigned rows;
	V value[2][MAX_STRIPS], room;
};

/* What registers are, here in the block: values, NULL where the variable has to be read; and what is known of them. */
struct registers {
	V v[256][MAX_STRIPS], s[WAVE_SGPRS], p[WAVE_SGPRS / 2], scc; /* p: pairs of s */
	struct lin lin[256];
	struct jit_facts now;
};

/*
 * A place in the block that the interpreter can go on from, as long as nothing but registers has changed since (valid): the registers then. So what is
 * found not to hold somewhat later, while operations are still in the queue, ends compiled code there, and all that is found until the next such place by one exit.
 */
struct back {
	const struct jit_inst *ji;
	bool valid;
	LLVMBasicBlockRef exit; /* NULL: none so far */
	struct registers then;
};

struct lift {
	LLVMContextRef c;
	LLVMModuleRef m, lanes;
	LLVMBuilderRef b, at_entry; /* at_entry: for allocas */
	LLVMMetadataRef lines;	    /* NULL, or the function for line numbers: where instructions are, in dwords from the entry */
	struct jit_code *code;
	struct jit_block *blk;
	LLVMBasicBlockRef *bb; /* of blocks */
	bool failed; /* what was to be possible was not: nothing comes of all this */
	bool exact;
	unsigned width, strips;
	bool amd; /* the host's processor is one of AMD's */
	LLVMTypeRef i1, i8, i16, i32, i64, f32, f64, ptr, vi1, vi32, vi64;
	V fn, frame, ctx, wave, view, vgpr, agpr;
	V fuel; /* variable */
	V wavea, vgpra, agpra; /* variables of wave, vgpr, agpr */
	V group; /* the workgroup */
	/* lift_group.c */
	bool groups;	  /* there is code for work-groups */
	struct run run;
	unsigned num_safe, *safe; /* number of each block that is safe */
	LLVMBasicBlockRef ended, next_wave; /* a wave has ended; the next wave's turn */

	V va[256][MAX_STRIPS], sa[WAVE_SGPRS], pa[WAVE_SGPRS / 2], scca;

	struct registers reg;
	struct wide_pair v64[256][MAX_STRIPS];
	struct bits256 vdirty;	/* to be written to the variables at the block's end */
	struct bits256 vstored; /* struct wave has the row's value */
	uint64_t sdirty[2], pdirty;
	bool scc_dirty;
	struct jit_shapes at[NUM_LEVELS], next[NUM_LEVELS]; /* before and behind the instruction */
	struct lin wide[256];				    /* the pair that begins here, while its shape is known */
	struct { /* scalar loads at base + [low, high): host address of base + low, NULL if they have to be looked at one by one */
		V base, host;
		int64_t low, high;
	} window;
	V carry_low[4][MAX_STRIPS];			    /* roots of the last v_add_co_u32s' sources (jit_guard.carry) */
	V ra[256][MAX_STRIPS], wa[256][MAX_STRIPS];	    /* variables of roots */
	struct lin_check checked[MAX_CHECKED];
	unsigned num_checked;
	struct lin_sum sums[MAX_SUMS];
	unsigned next_sum;
	struct seen seen[MAX_SEEN];
	unsigned num_seen;
	V row_read[MAX_ROWS_READ]; /* addresses of rows that this block has loaded so far; there may be more */
	unsigned rows_read;

	struct back back;
	struct vop queue[QUEUE_SIZE];
	int queued;
	bool lds_stores; /* there are some in the queue */
	int mask_def[WAVE_SGPRS / 2]; /* queue index + 1 of the v_cmp that makes this pair */

	struct {
		V key, value[MAX_STRIPS];
	} masks[8]; /* lane masks as vectors, in this LLVM block */
	unsigned num_masks;
	struct lds_base *lds_base[256], bases[MAX_BASES]; /* in this block */
	unsigned num_bases;
	struct lds_seen windows[MAX_WINDOWS];
	unsigned num_windows;
	struct bits256 home; /* vector registers that are always in struct wave: accumulators */
	struct mfma_later later[MFMA_LATER];
	struct { /* what waits for blocks behind barriers */
		const struct jit_block *to;
		struct mfma_later later[MFMA_LATER];
	} wait[MFMA_WAITS];
	unsigned waits;
	bool goes_on; /* there are old steps, which are to be done if this wave came with them */
	V later_of;   /* variable: frame->later of a wave that has come from a barrier, or NULL */
	struct mfma_copy copy[MFMA_COPIES];
	V rooms[MFMA_COPIES], list;
	unsigned next_copy;
	V bound;	/* LDS size, i32 */
	V lds;
	V lane_offset, lane_data, lane_old; /* lift_gather.c: rows on the stack */
	V rows[MAX_ROWS]; /* lift_known.c: rooms on the stack, for loads in the queue */
	unsigned next_rows;
	uint32_t first_place, places;	    /* of the view, for accesses */
	unsigned fetches, steady;	    /* accesses so far that fetch ahead: from iteration to iteration, from work-group to work-group */
	V spread_room;			    /* struct vmem_spread */
	const struct jit_inst *slot_of;	    /* ranges of the view, for accesses */
	uint32_t first_slot, slots;
	V serial_pause;			    /* lift_serial.c: iterations until lanes may be tried one after the other */
	struct fetch_rest rest[MAX_RESTS];
	unsigned rests;
	V rest_at[MAX_RESTS]; /* on the stack: a pointer for each wave; NULL: not there */
	unsigned spreads;		    /* dwords of accesses with lanes anywhere so far */
	bool streams;			    /* may_stream() */
	V moved;			    /* lift_mem.c: constant, how many bytes each work-item loads and stores in rows; NULL: none */
	uint64_t moved_bytes;		    /* so far */
	const struct jit_inst *moved_by;
	bool has_serial;		    /* lanes go through some loop one by one (serial.c) */
};

/* ---- lift_class.c ---- */
/* Of v_cmp_class: sets q->class_mask, and classes, if all lanes have the same mask. */
void find_classes(struct lift *l, struct vop *q);
/* Lanes (vi1) whose x, a strip's integers, is of one of those classes. NULL: there are too many. */
V emit_classes(struct lift *l, const struct vop *q, V x);

/* ---- widen.c ---- */
/* The lane function of this name, if it can be widened: straight-line code. */
V lane_function(struct lift *l, const char *prefix, const char *name, const char *suffix);
/* Emits its body with these arguments: vectors when width > 1, scalars when 1. */
V widen(struct lift *l, V fn, V *args, unsigned width);
V splat(struct lift *l, V scalar);
V vconst32(struct lift *l, uint32_t v);
V vconst64(struct lift *l, uint64_t v);
V iota(struct lift *l, unsigned first, unsigned step);
LLVMTypeRef vec(LLVMTypeRef t, unsigned n);
V intrinsic(struct lift *l, const char *name, LLVMTypeRef *types, unsigned num_types, V *args, unsigned num_args);

/* ---- lift_regs.c ---- */
V c32(struct lift *l, uint32_t v);
V c64(struct lift *l, uint64_t v);
V field_ptr(struct lift *l, V base, size_t offset);
V load_field(struct lift *l, V base, size_t offset, LLVMTypeRef t);
void store_field(struct lift *l, V base, size_t offset, V value);
LLVMBasicBlockRef new_block(struct lift *l, const char *name);
void go_to(struct lift *l, LLVMBasicBlockRef bb);	/* the builder; masks are forgotten */
void enter_block(struct lift *l, LLVMBasicBlockRef bb); /* go_to, and the wave is known */
void emit_weights(struct lift *l, V branch, bool taken);
V get_v(struct lift *l, unsigned r, unsigned strip);
void set_v(struct lift *l, unsigned r, unsigned strip, V value);
/* Do registers stay as they are from behind an instruction to the block's end? False if that is too far to see. */
bool stays(const struct lift *l, const struct jit_inst *ji, unsigned r, unsigned n);
V get_v64(struct lift *l, unsigned r, unsigned strip);
void set_v64(struct lift *l, unsigned r, unsigned strip, V value);
/* Two rows as one of 64 bits. */
V wide_row(struct lift *l, V lo, V hi);
/* Every other dword of such a one, from the first one on. */
V halves_of(struct lift *l, V value, unsigned first);
V get_s32(struct lift *l, unsigned r);
V get_s64(struct lift *l, unsigned r);
V get_pair(struct lift *l, unsigned p);
V get_exec(struct lift *l);
V get_scc(struct lift *l);
void set_s32(struct lift *l, unsigned r, V value);
void set_s64(struct lift *l, unsigned r, V value);
void set_pair(struct lift *l, unsigned p, V value);
void set_scc(struct lift *l, V value);
bool wide_sgpr(const struct lift *l, unsigned r); /* one of a pair that is one value */
V scalar_operand(struct lift *l, const struct isa_operand *o, bool wide);
V special_operand(struct lift *l, unsigned code);
/* A lane mask's strip as a vector of i1. */
V mask_strip(struct lift *l, V mask64, unsigned strip);
void know_mask(struct lift *l, V mask64, V *strips);
void forget(struct lift *l);
void write_back(struct lift *l, const struct jit_block *to, const struct jit_block *or_to);
/* In struct wave. */
V row_ptr(struct lift *l, bool agpr, unsigned r, unsigned strip);
void store_row(struct lift *l, unsigned r);
void store_row_strip(struct lift *l, unsigned r, unsigned strip);
/* So that a block need not do it again. */
void store_row_once(struct lift *l, unsigned r);
void load_row(struct lift *l, unsigned r);
size_t sgpr_offset(unsigned r);
void store_sgprs(struct lift *l, const uint64_t set[2]);
void store_scc(struct lift *l);
V load_wave_row(struct lift *l, unsigned r, unsigned strip);
V load_wave_sgpr(struct lift *l, unsigned r, bool wide);

/* ---- lift.c ---- */
/* What follows is emitted for this instruction (NULL: for none): of use to profilers only. */
void say_line(struct lift *l, const struct jit_inst *ji);
/* By the interpreter. The queue must be flushed. */
void emit_step(struct lift *l, const struct jit_inst *ji);
/* Its parts, for side paths. */
void touch_step(struct lift *l, const struct jit_inst *ji);
void emit_step_call(struct lift *l, const struct jit_inst *ji);
/* Gives the wave to the interpreter, at this instruction or one before, unless the condition holds. The queue may be emitted. */
void emit_deopt_unless(struct lift *l, V condition, const struct jit_inst *ji);
/* The interpreter can go on at this instruction, of which nothing is done; the queue is empty. */
void mark_back(struct lift *l, const struct jit_inst *ji);
/*
 * On the way out, where one of the interpreter's functions answered ret: 2, that pages are missing (jit_frame.step): the interpreter goes on at the
 * instruction, and lets the wave wait.
 */
void emit_leave_for_pages(struct lift *l, const struct jit_inst *ji, V ret);
/* Ends compiled code; the wave is in error, or struct wave has it all. */
void leave_function(struct lift *l);
bool lift_salu(struct lift *l, const struct isa_inst *in);
void fill_up(struct lift *l);
void go_and_pause(struct lift *l, size_t how, V fuel, LLVMBasicBlockRef out, LLVMBasicBlockRef go);
/* Fills module l->m with the unit's function. False: not possible. */
bool lift_code(struct lift *l);

/* ---- lift_group.c ---- */
/* Before any block is lifted. */
void find_groups(struct lift *l);
/* All that is common to work-groups, when all blocks are lifted; entries: of the safe points, as many as they are entries n + i. */
void emit_groups(struct lift *l, LLVMBasicBlockRef *entries);
/*
 * A wave's registers are in struct wave and it has come to a barrier before the block; waits: with matrix operations put off. Where it is not one of a
 * group the builder goes on.
 */
void emit_barrier(struct lift *l, const struct jit_block *to, bool waits);
/* The wave's number in its work-group, i32. */
V wave_index(struct lift *l);
/* A field of what compiled code is given that does not change in a run: read once. */
V load_once(struct lift *l, V base, size_t offset, LLVMTypeRef t);
/* Of two ways on, which one a run goes: 0 or 1. */
int run_way(const struct jit_code *c, const struct jit_block *blk);
/* Leaves the wave of a run to the code that can do what is to be done here. */
void leave_run(struct lift *l);
/* Before the run's loop, its scalar registers known (SGPRs that differ from wave to wave are not); then its body; then its end. */
void begin_run(struct lift *l);
void begin_run_wave(struct lift *l);
void end_run(struct lift *l);

/* ---- linear.c ---- */
/* Computes roots only, if shapes allow; sets l->next. False: something else has to do the instruction. */
bool lift_linear(struct lift *l, const struct jit_inst *ji);
/* The vector of a register in lin[]. Changes nothing. */
V lin_vector(struct lift *l, unsigned r, unsigned strip);
/* The strip's first lane. */
V lin_root(struct lift *l, unsigned r, unsigned strip);
/* Addresses of a GLOBAL access, the offset included, as 64-bit roots, and in base without; false: not known. */
bool lin_address(struct lift *l, const struct jit_inst *ji, struct lin *out, V base[MAX_STRIPS]);
/* A block's begin, and the way to another. */
void lin_enter(struct lift *l, const struct jit_block *blk);
void lin_leave(struct lift *l, const struct jit_block *to);
bool lin_vector_wanted(const struct lift *l, const struct jit_block *to, unsigned r);
void lin_after_step(struct lift *l, const struct jit_inst *ji);
/*
 * Register r's roots from struct wave; exec: NULL if EXEC is full. *holds gets what has to be true of pairs. True: the block does not want
 * the register's vector.
 */
bool lin_entry(struct lift *l, const struct jit_block *blk, unsigned r, V exec, V *holds);

/* ---- lift_valu.c ---- */
/* One strip of a queued operation. */
void emit_queued(struct lift *l, struct vop *q, unsigned strip);
/* The source that is a mask of lanes. */
unsigned mask_operand(const struct isa_inst *in);
/* Of enum lane_kind. */
bool is64(unsigned kind);

/* ---- lift_queue.c ---- */
/* Queues a vector operation, or emits it; false: not lifted. */
bool lift_valu(struct lift *l, const struct jit_inst *ji);
void flush_queue(struct lift *l);
/* At the end of a block: what was written in it goes to struct wave for the one behind the barrier, strip by strip, too. */
void flush_queue_to(struct lift *l, const struct jit_block *to);
/* Will it be lifted, whatever its scalar sources (SGPRs and constants) are? Not: lane operations, DPP. */
bool lift_valu_can(struct lift *l, const struct jit_inst *ji);

/* ---- lift_cross.c ---- */
/* Source 0 of a DPP operation, of one or two dwords, and the lanes it writes; the queue is empty. */
void read_lanes(struct lift *l, struct vop *q, const struct isa_inst *in, unsigned halves);
/* Rows whose lane l is lane from[l] of these rows, 0 where that is negative. */
void permute_lanes(struct lift *l, const V in[MAX_STRIPS], const int from[WAVE_LANES], V out[MAX_STRIPS]);
/* v_readfirstlane, v_readlane, v_writelane. False: not lifted. */
bool lift_lane_ops(struct lift *l, const struct isa_inst *in);

/* ---- lift_mfma.c ---- */
void find_home(struct lift *l);
void before_inst(struct lift *l, const struct isa_inst *in);
bool lift_mfma(struct lift *l, const struct jit_inst *ji);
/* Does what was put off. */
void flush_mfma(struct lift *l);
/* The same for a path on the side: where the lifter goes on it is still put off. */
void emit_mfma_later(struct lift *l);
void begin_mfma(struct lift *l); /* at a block's begin */
/* May what was put off wait for the block behind the barrier? */
bool mfma_waits(struct lift *l);
/* The wave gives way at the barrier with it. */
void leave_mfma(struct lift *l);
/* Of the wave, in frame->later. */
V later_ptr(struct lift *l);

/* ---- lift_lds_known.c ---- */
void emit_lds_access(struct lift *l, const struct vop *q, unsigned strip);
/* Accesses of lanes whose places are known; called before the queue is flushed. */
bool lift_known_ds(struct lift *l, const struct jit_inst *ji);
/* A read of LDS as known here, that writes nothing there. */
bool reads_lds(const struct isa_inst *in);
bool stores_lds(const struct isa_inst *in);

/* ---- lift_lds.c ---- */
bool lift_ds(struct lift *l, const struct jit_inst *ji);

/* ---- lift_ds.c ---- */
bool lift_ds_other(struct lift *l, const struct jit_inst *ji);

/* ---- lift_mem.c ---- */
V at(struct lift *l, V p, uint64_t offset);
V lane0(struct lift *l, V x);
/* A strip's lanes that are not active. */
V inactive(struct lift *l, unsigned strip);
V all_of(struct lift *l, V mask);
/* Lanes i * step + first of a long vector, for i < width. */
V pick(struct lift *l, V x, unsigned first, unsigned step);
/* The rows interleaved: dword k of lane i at i * n + k. */
V interleave(struct lift *l, V *rows, unsigned n);
void masked_store(struct lift *l, V value, V p, V mask, unsigned align);
/* The same value, of which LLVM knows nothing: for comparing lanes. */
V opaque(struct lift *l, V x);
bool lift_mem(struct lift *l, const struct jit_inst *ji);
/* All accesses are lifted. */
void say_moved(struct lift *l);
/* What was stored past the caches is there for all before what is stored from here on. */
void fence_streams(struct lift *l);

/* ---- lift_known.c ---- */
/* May the kernel store past the caches? */
bool may_stream(const struct jit_code *c);
void emit_rows_read(struct lift *l, struct vop *q, unsigned strip);

#endif
