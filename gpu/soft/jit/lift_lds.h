/* SPDX-License-Identifier: MIT */
/* lift_lds.h - what the lifter's files of LDS share (lift_lds.c, lift_ds.c). */
#ifndef GPU_SOFT_JIT_LIFT_LDS_H
#define GPU_SOFT_JIT_LIFT_LDS_H

#include "gpu/soft/jit/lift_mem.h"

/* Where a strip's lanes look: two vectors, from its first lane on if that is inside LDS. */
struct lds_window {
	V begin, off; /* i32; of lanes from there, in bytes */
};

/* Active lanes whose access is inside LDS. */
V lds_inside(struct lift *l, V addr, unsigned bytes, unsigned strip);
V lds_at(struct lift *l, V addr);
struct lds_window lds_window_of(struct lift *l, V addr);
/* The dwords that lanes idx (in dwords) see. */
V lds_window_dword(struct lift *l, const struct lds_window *w, V idx);
/* The dwords at lanes' addresses, 0 where mask has not got them. */
V lds_gather(struct lift *l, V addr, V mask);

#endif
