/* SPDX-License-Identifier: MIT */
/* serial.h - loops whose lanes run one after the other (serial.c, lift_serial.c). */
#ifndef GPU_SOFT_JIT_SERIAL_H
#define GPU_SOFT_JIT_SERIAL_H

#include "gpu/soft/jit/lift.h"

#define SERIAL_LOADS 16

struct serial {
	const struct jit_block *blk; /* the loop */
	uint32_t out;		     /* the block behind it */
	struct bits256 in;	     /* vector registers that an iteration reads before it writes them */
	struct bits256 go_on, leave; /* that it writes and that count in the next iteration, or behind the loop */
	uint64_t masks, made, data;  /* pairs of scalar registers: masks, those of them that the loop writes; pairs that are something else */
	bool scc, scc_of_exec;	     /* SCC is written; at last it says whether EXEC is zero */
	const struct jit_inst *load[SERIAL_LOADS];
	unsigned num_loads, dwords;
};

/* When lanes leave: as a counter, to which iterations add step (1 or -1), is so to what does not change. */
enum serial_rel { SERIAL_LT, SERIAL_GE, SERIAL_GT, SERIAL_LE, SERIAL_EQ, SERIAL_NE };
struct serial_trip {
	unsigned counter; /* vector register */
	int step;
	const struct isa_operand *end;
	enum serial_rel rel; /* GE, GT (step 1), or EQ */
	bool sign;	     /* with signs */
	bool counts_first;   /* the counter's addition is in front of the comparison */
	uint64_t clear;	     /* pairs of scalar registers that have no bit of a lane as it begins: then none in later iterations */
	uint64_t leave;	     /* those that have one of a lane that has left */
};

/* True if the block is such a loop, and better run so. Shapes must have been found. */
bool serial_find(struct lift *l, const struct jit_block *blk, struct serial *s);
/* A scalar operation on masks, bit by bit; one of those that make EXEC, whatever their destination is. */
bool serial_mask_op(unsigned op);
bool serial_makes_exec(unsigned op);

/* True if that is how they leave, and the only way. */
bool serial_trip(const struct jit_code *c, const struct serial *s, struct serial_trip *t);
/* Emits it; the builder is behind the header's poll, and then where an iteration of vectors begins: registers are in variables. */
void lift_serial(struct lift *l, const struct serial *s);

#endif
