/* SPDX-License-Identifier: MIT */
/* lift_lds.h - what the lifter's files of LDS share (lift_lds.c, lift_lds_known.c, lift_ds.c). */
#ifndef GPU_SOFT_JIT_LIFT_LDS_H
#define GPU_SOFT_JIT_LIFT_LDS_H

#include "gpu/soft/jit/lift_mem.h"

#define LDS_FAR 65536 /* LDS is not larger */

struct extent { /* in bytes, from the least to behind the last */
	int32_t low, high;
};

struct ds_part { /* one of the one or two addresses */
	unsigned offset, dwords, row;
};

/* Where a strip's lanes look: two vectors, from its first lane on if that is inside LDS. */
struct lds_window {
	V begin, off; /* i32; of lanes from there, in bytes */
};

static inline struct extent extent_of(const int32_t *d, unsigned lanes, unsigned dwords)
{
	struct extent e = {d[0], d[0]};

	for (unsigned i = 0; i < lanes; i++) {
		e.low = d[i] < e.low ? d[i] : e.low;
		e.high = d[i] > e.high ? d[i] : e.high;
	}
	e.high += (int32_t)(4 * dwords);
	return e;
}

static inline V aligned1(V x)
{
	LLVMSetAlignment(x, 1);
	return x;
}

/* lift_lds.c */
/* Active lanes whose access is inside LDS. */
V lds_inside(struct lift *l, V addr, unsigned bytes, unsigned strip);
V lds_at(struct lift *l, V addr);
struct lds_window lds_window_of(struct lift *l, V addr);
/* The dwords that lanes idx (in dwords) see. */
V lds_window_dword(struct lift *l, const struct lds_window *w, V idx);
/* The dwords at lanes' addresses, 0 where mask has not got them. */
V lds_gather(struct lift *l, V addr, V mask);

/* lift_lds_known.c */
/* The addresses of a read or a store of dwords; how many: 0: it is no such. */
unsigned ds_parts(const struct isa_inst *in, struct ds_part p[2], bool *store);
/* Differences of the lanes from their strips' first ones; NULL: not known. */
const int32_t *known_delta(const struct lift *l, unsigned r);
/* Are lanes known not to overlap whose order counts: of a strip and, of several dwords, of what the interpreter stores by dwords? */
bool lanes_apart(const struct lift *l, unsigned r, unsigned dwords);
/*
 * The strips' first lanes, i64, and i1 whether all lanes' places are inside LDS, with so many bytes behind each. One comparison where the wave's shape is known.
 */
V find_firsts(struct lift *l, unsigned r, struct extent e, uint32_t behind, V first[MAX_STRIPS]);
/* Are a strip's lanes, at whole dwords from the first one, within some vectors? */
bool few_vectors(const struct lift *l, const int32_t *d, unsigned dwords);
/* Can known_read() do it better than a gather? */
bool known_readable(const struct lift *l, const int32_t *delta, unsigned dwords);
/* The n dwords of a strip's lanes, d from p, and perhaps pairs of them (else left as they are). may: what may be read, as far from p as d. */
void known_read(struct lift *l, V p, const int32_t *d, unsigned n, struct extent may, V out[4], V pairs[2]);

#endif
