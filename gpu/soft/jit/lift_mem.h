/* SPDX-License-Identifier: MIT */
/* lift_mem.h - what the lifter's files of memory operations share (lift_mem.c, lift_known.c, lift_gather.c, lift_buffer.c; of LDS: lift_lds.h). */
#ifndef GPU_SOFT_JIT_LIFT_MEM_H
#define GPU_SOFT_JIT_LIFT_MEM_H

#include "gpu/soft/exec/memops.h"
#include "gpu/soft/exec/vmem.h"
#include "gpu/soft/jit/lift.h"

#define AND(x_, y_) LLVMBuildAnd(l->b, x_, y_, "")
#define OR(x_, y_) LLVMBuildOr(l->b, x_, y_, "")
#define ADD(x_, y_) LLVMBuildAdd(l->b, x_, y_, "")
#define IS(pred, x_, y_) LLVMBuildICmp(l->b, LLVMInt##pred, x_, y_, "")
#define K32(v) vconst32(l, v)

struct access {
	enum vmem_kind kind;
	unsigned bytes, dwords;
	bool store;
};

struct atomic {
	enum atomic_kind kind;
	unsigned dwords;
};

/* Lanes anywhere in one range of the view. */
struct spread {
	V va[MAX_STRIPS];   /* vectors of i64 */
	V mask[MAX_STRIPS], bits[MAX_STRIPS]; /* lanes that take part, as vectors and as integers; NULL: all */
	V off[MAX_STRIPS];  /* i32: where they lie from host; found by find_range() */
	V host;
};

/*
 * A range of the view, read: accesses of the bytes asked for lie in it up to limit from first on, if it fits: is large enough, with the rights. room (see
 * find_room): those below it from first on do, 0 where it does not fit.
 */
struct range_values {
	V first, limit, host, fits, room;
};

/* lift_mem.c */
/* Loads and stores of FLAT, GLOBAL, buffers and LDS, one address a lane; false: something else. */
bool plain_access(unsigned op, struct access *a);
/* Atomics of FLAT, GLOBAL, buffers and LDS, of the latter one address a lane. */
bool atomic_access(unsigned op, struct atomic *a);
/*
 * Bytes that may soon be read, to the host's cache of a level (3: the first, 2: the second). In a range or a place's piece only: what a kernel computes must not
 * choose what else of the process comes into a cache.
 */
void prefetch(struct lift *l, V p, unsigned level);
V volatile_load(struct lift *l, LLVMTypeRef t, V p, unsigned align);
void volatile_store(struct lift *l, V value, V p, unsigned align);
/* To the context: the next s_waitcnt is a fence. */
void say_stored(struct lift *l);
/* base + index bytes. */
V indexed(struct lift *l, V base, V index);
V phi2(struct lift *l, V a, LLVMBasicBlockRef from_a, V b, LLVMBasicBlockRef from_b);
/* A mask's lanes as an integer. */
V bits_of(struct lift *l, V mask);
/* The place of the view for an access of so many bytes. */
unsigned place_for(struct lift *l, uint32_t prot, unsigned bytes);
/* What accesses of one base reach: bytes [low, high) from it, apart from each other. */
#define MAX_PIECES 8
struct pieces {
	unsigned num, bytes; /* all together; UINT_MAX: there are too many */
	int64_t low[MAX_PIECES], high[MAX_PIECES];
};
void add_piece(struct pieces *p, int64_t low, int64_t high);
/* What will be read next: so far from what is read now, if it is so that when, and ever. */
struct further {
	V by;	/* i64 */
	V when; /* i1, of this wave; NULL: unless by is 0 */
	V ever; /* i1, of all waves of a run, known before its loop; NULL: when tells all */
};
/*
 * Host address of bytes from the guest's va on, all there with the place's right; else, and unless also (NULL: nothing) holds, control is at slow. Of what is
 * further (NULL: nothing is) the pieces are fetched ahead, of which the first begins at va.
 */
V translate(struct lift *l, unsigned place, V va, unsigned bytes, V also, const struct further *further, const struct pieces *ahead, LLVMBasicBlockRef slow);
/* At the begin of a block behind a barrier: some of what was left to such blocks. */
void fetch_rests(struct lift *l);
/* From here on memory may be somewhere else. */
void forget_rests(struct lift *l);
/*
 * How far from va, where loads of rows begin that read these pieces for so many lanes, that will be which this wave of a work-group some work-groups later loads, if each
 * begins as far from the one before as the last two did; never in grids that move no more than the host's caches hold. False: that is not looked at.
 */
bool steady_step(struct lift *l, const struct jit_inst *ji, unsigned place, V va, const struct pieces *reads, unsigned lanes, struct further *further);
/* What a short load has read, as dwords; the same of the low bits of dwords. */
V widened(struct lift *l, enum vmem_kind kind, V x);
V short_value(struct lift *l, const struct access *a, V dwords);
/* What a short load leaves in the register, of the bytes in the low bits of v. */
V placed(struct lift *l, enum vmem_kind kind, V v, V old);
bool needs_old(const struct lift *l, enum vmem_kind kind);
void set_loaded(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row, V (*got)[MAX_STRIPS], V (*old)[MAX_STRIPS]);
/* The rows as lanes have them in memory; pairs: of rows, when there is an even number of them. */
V in_order(struct lift *l, V rows[4], V pairs[2], unsigned n);
/* Stores them, of the lanes of mask (NULL: all). */
void store_in_order(struct lift *l, V rows[4], V pairs[2], unsigned n, V p, V mask);
/*
 * A store reads the lines that it writes first, to no use where all of them is written. Past the caches it does not; but who reads them soon must not find them in
 * memory only. So this is for grids that load and store more than the caches hold anyway, and for lines that were not just read (in-place updates). i1 whether that is so
 * of a wave's store of so many bytes a lane in rows, of which host says where they are, the first one from va on; NULL: never.
 */
V past_caches(struct lift *l, const struct jit_inst *ji, unsigned bytes, V va, const V *host, unsigned rows);
/*
 * n rows, and as pairs, of all strips, to where host says if yes (past_caches()); the builder goes on where that does not hold. The block returned is for end_stream(),
 * where both ways meet. fence_streams() has to follow before other threads are told of it.
 */
LLVMBasicBlockRef stream_rows(struct lift *l, unsigned n, V yes, V (*rows)[MAX_STRIPS], V (*pairs)[2], const V *host);
void end_stream(struct lift *l, LLVMBasicBlockRef stream);

/* lift_known.c */
/* n dwords at p, by twos in one access each: the same for all lanes of a strip. */
void read_same(struct lift *l, V p, unsigned n, V rows[4], V pairs[2]);
/*
 * An access whose lanes' addresses are x's. base: their roots less the instruction's offset (lin_address()), or, of a buffer, NULL; then the interpreter does it
 * unless fits. False: nothing emitted.
 */
bool known_access(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row, const struct lin *x, V base[MAX_STRIPS], V fits);
/* Queues a load of rows. */
bool lift_known_rows(struct lift *l, const struct jit_inst *ji);
/* A strip's n dwords a lane, d from p, lane by lane, but places that several lanes have once. guest: memory that others see, too. */
void read_lanes_apart(struct lift *l, V p, const int32_t *d, unsigned n, bool guest, V out[4], V pairs[2]);
/* Vectors of so many dwords, their number a power of two, one behind the other; part is overwritten. */
V concatenated(struct lift *l, V *part, unsigned parts, unsigned size);
/* Can the block come again, by going back from it or a later one? */
bool in_loop(const struct jit_code *c, const struct jit_block *blk);
/* Is read_lanes_apart() better than a gather? */
bool few_moves(const struct lift *l, const int32_t *d, unsigned n);

/* lift_gather.c */
/*
 * Loops over lanes: rows, n dwords a lane, and offsets go to the stack; then what is between lanes_begin() and lanes_end() is done for each lane of
 * mask64, in order.
 */
struct lanes {
	LLVMBasicBlockRef loop, done;
	V left, lane, host; /* lane: i64 */
};
void lanes_to_stack(struct lift *l, const struct spread *x, V (*rows)[MAX_STRIPS], unsigned n);
void lanes_begin(struct lift *l, const struct spread *x, V mask64, struct lanes *i);
void lanes_end(struct lift *l, struct lanes *i);
/* Element k of a lane's data on the stack, n dwords a lane. */
V lanes_data(struct lift *l, const struct lanes *i, unsigned n, unsigned k, LLVMTypeRef t);
/* A result for the lane; and when the loop is over, those of all: lanes not in mask64 have anything. */
void lanes_result(struct lift *l, const struct lanes *i, unsigned n, V result);
void lanes_results(struct lift *l, unsigned n, V (*rows)[MAX_STRIPS]);
/* The lanes that take part, as one number. */
V lanes_of(struct lift *l, const struct spread *x);
/* Takes a mask for the lanes that take part; NULL: all. */
void lanes_take(struct lift *l, struct spread *x, unsigned strip, V mask);
/*
 * A load or store of the active lanes at lo, or hi:lo, or base + lo, plus the instruction's offset, wherever they are. old: what is stored, or what a short load
 * keeps a half of. got: inactive lanes get anything.
 */
void any_load(struct lift *l, const struct jit_inst *ji, const struct access *a, V *lo, V *hi, V base, V (*old)[MAX_STRIPS], V (*got)[MAX_STRIPS]);
void any_store(struct lift *l, const struct jit_inst *ji, const struct access *a, V *lo, V *hi, V base, V (*rows)[MAX_STRIPS]);
/* Accesses of FLAT and GLOBAL of which nothing is known but that they are loads or stores. */
void lift_spread(struct lift *l, const struct jit_inst *ji, const struct access *a, unsigned row);
bool lift_atomic(struct lift *l, const struct jit_inst *ji);
bool lift_buffer(struct lift *l, const struct jit_inst *ji);
bool lift_buffer_atomic(struct lift *l, const struct jit_inst *ji);
/* The number of the view's range that the access looks at; its values. */
unsigned range_slot(struct lift *l, const struct jit_inst *ji);
void read_range(struct lift *l, unsigned slot, unsigned bytes, uint32_t prot, struct range_values *r);
void find_room(struct lift *l, struct range_values *r);
/* Has the range number slot (i32) looked for around va: i1, try again. */
V look_for_range(struct lift *l, V va, V slot, uint32_t prot);
/* The lowest of a mask's lanes, of which there is one at least. */
V first_of_mask(struct lift *l, V mask64);

/* lift_buffer.c */
bool lift_buffer_known(struct lift *l, const struct jit_inst *ji);
/* Of at least so many dwords. */
bool lift_buffer_rows(struct lift *l, const struct jit_inst *ji, unsigned least);

#endif
