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

/* True if the block is such a loop, and better run so. Shapes must have been found. */
bool serial_find(struct lift *l, const struct jit_block *blk, struct serial *s);
/* A scalar operation on masks, bit by bit; one of those that make EXEC, whatever their destination is. */
bool serial_mask_op(unsigned op);
bool serial_makes_exec(unsigned op);

/* Emits it; the builder is behind the header's poll, and then where an iteration of vectors begins: registers are in variables. */
void lift_serial(struct lift *l, const struct serial *s);

#endif
