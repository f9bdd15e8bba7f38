/* SPDX-License-Identifier: MIT */
/*
 * mem.c - guest memory accesses that are not the common case: page crossings and faults.
 */
#include "gpu/soft/exec/mem.h"

void exec_memory_fault(struct exec_ctx *ctx, uint64_t va, uint32_t prot)
{
	struct exec_fault *fault = &ctx->wave->wg->fault;

	if (ctx->error != EXEC_DONE)
		return;
	*fault = (struct exec_fault){
		.va = va,
		.write = prot & GPU_PROT_WRITE,
		.not_present = !mem_translate(ctx->view, va, 0),
		.pc = ctx->pc,
	};
	fault->no_execute = (prot & GPU_PROT_EXEC) && !fault->not_present;
	ctx->error = EXEC_MEMORY_FAULT;
}

bool exec_mem_read(struct exec_ctx *ctx, uint64_t va, void *buf, uint32_t size)
{
	uint8_t *out = buf;

	while (size) {
		const uint8_t *p = mem_translate(ctx->view, va, GPU_PROT_READ);
		uint32_t step = 1;

		if (!p) {
			exec_memory_fault(ctx, va, GPU_PROT_READ);
			return false;
		}
		if (size >= 4 && !(va & 3)) {
			uint32_t v = guest_load32(p);

			memcpy(out, &v, 4);
			step = 4;
		} else {
			*out = guest_load8(p);
		}
		out += step;
		va += step;
		size -= step;
	}
	return true;
}

bool exec_mem_write(struct exec_ctx *ctx, uint64_t va, const void *buf, uint32_t size)
{
	const uint8_t *in = buf;

	while (size) {
		uint8_t *p = mem_translate(ctx->view, va, GPU_PROT_WRITE);
		uint32_t step = 1;

		if (!p) {
			exec_memory_fault(ctx, va, GPU_PROT_WRITE);
			return false;
		}
		if (size >= 4 && !(va & 3)) {
			uint32_t v;

			memcpy(&v, in, 4);
			guest_store32(p, v);
			step = 4;
		} else {
			guest_store8(p, *in);
		}
		in += step;
		va += step;
		size -= step;
	}
	return true;
}
