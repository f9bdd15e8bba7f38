/* SPDX-License-Identifier: MIT */
/* none.c - jit.h for builds without LLVM: everything is interpreted. */
#include <errno.h>

#include "gpu/soft/jit/jit.h"

int jit_init(void)
{
	return -ENOTSUP;
}

struct jit_cache *jit_cache_new(enum isa_target target)
{
	return NULL;
}

void jit_cache_free(struct jit_cache *jc)
{
}

struct jit_kernel *jit_kernel_get(struct exec_ctx *ctx, struct jit_cache *jc, struct workgroup *wg, uint64_t epoch)
{
	return NULL;
}

bool jit_run_wave(struct exec_ctx *ctx, struct jit_kernel *k, struct wave *w, uint64_t budget, const atomic_uint *stop, uint64_t *ran)
{
	return false;
}
