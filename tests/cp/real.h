/* SPDX-License-Identifier: MIT */
/* real.h - real code objects (gpu/soft/codeobj/codeobj.h) as kernels of a test client, with the hidden
 * arguments of code object version 5. */
#ifndef TESTS_CP_REAL_H
#define TESTS_CP_REAL_H

#include <string.h>

#include "tests/cp/client.h"
#include "gpu/soft/codeobj/codeobj.h"

#define CODE_VA 0x2000000000ull

static inline void real_load(struct client *c, struct codeobj *co, const char *path)
{
	assert_int_equal(codeobj_load(co, path), 0);
	assert_int_equal(gpu_vm_map(c->vm, CODE_VA, (co->size + 4095) & ~4095ull, co->image,
				    GPU_PROT_READ | GPU_PROT_EXEC),
			 0);
}

/* A one-dimensional dispatch. args: the explicit arguments as laid out. */
static inline struct packet real_packet(struct client *c, struct codeobj *co, const char *kernel,
					const void *args, size_t size, unsigned wg_size,
					unsigned groups, uint32_t dynamic_lds, struct signal *done)
{
	struct packet p = {.header = PACKET_DISPATCH, .setup = 1};
	char name[64];
	struct kernel_descriptor *kd;
	uint64_t kernarg_va, object, signal = done ? client_va(c, done) : 0;
	uint8_t *kernarg = client_alloc(c, size + 8 + 256, &kernarg_va),
		*hidden = kernarg + ((size + 7) & ~7ull);
	uint32_t blocks[3] = {groups, 1, 1};
	uint16_t sizes[3] = {(uint16_t)wg_size, 1, 1}, dims = 1;

	snprintf(name, sizeof(name), "%s.kd", kernel);
	kd = codeobj_symbol(co, name);
	assert_non_null(kd);
	object = CODE_VA + (uint64_t)((uint8_t *)kd - co->image);
	memcpy(kernarg, args, size);
	memcpy(hidden, blocks, sizeof(blocks));
	memcpy(hidden + 12, sizes, sizeof(sizes));
	memcpy(hidden + 64, &dims, 2);
	p.dw[0] = wg_size | 1u << 16;
	p.dw[1] = 1;
	p.dw[2] = wg_size * groups;
	p.dw[3] = p.dw[4] = 1;
	p.dw[5] = kd->private_segment_size;
	p.dw[6] = kd->group_segment_size + dynamic_lds;
	memcpy(&p.dw[7], &object, 8);
	memcpy(&p.dw[9], &kernarg_va, 8);
	memcpy(&p.dw[13], &signal, 8);
	return p;
}

#endif
