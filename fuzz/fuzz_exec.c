// SPDX-License-Identifier: MIT
/*
 * fuzz_exec.c - kernel descriptors and machine code through the interpreter: whatever a program runs stays within its
 * registers, its LDS and the memory that is mapped for it, and ends when its budget does.
 *
 * Input: target, shape of the work-group, descriptor words, a seed for the registers' contents, then machine code, which
 * is put before a page of s_endpgm. The waves run in a few slices, so that endless loops are as good as others.
 */
#include "fuzz/input.h"

#include "tests/exec/runner.h"

#define CODE_BYTES 4096
#define DATA_BYTES 8192
#define GUARD	   0xa5
#define SLICES	   6
#define BUDGET	   300

static struct place {
	struct runner r;
	uint8_t *code, *data, *before, *after;
} places[ISA_NUM_TARGETS];

static void open_place(enum isa_target target)
{
	struct place *p = &places[target];

	if (p->code)
		return;
	MUST(!runner_init(&p->r, target));
	p->before = runner_alloc(&p->r, 4096, 0);
	p->data = runner_alloc(&p->r, DATA_BYTES, GPU_PROT_READ | GPU_PROT_WRITE);
	p->after = runner_alloc(&p->r, 4096, GPU_PROT_READ);
	p->code = runner_alloc(&p->r, CODE_BYTES, GPU_PROT_READ | GPU_PROT_EXEC);
	MUST(p->before && p->data && p->after && p->code);
	memset(p->before, GUARD, 4096);
	memset(p->after, GUARD, 4096);
}

static uint32_t mix(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8 ^ *state << 7;
}

/* Register contents: addresses of data (even register low, odd high), small numbers, anything. */
static void fill_registers(struct place *p, struct workgroup *wg, uint32_t seed)
{
	uint64_t va = (uintptr_t)p->data;
	unsigned kind = seed & 3;

	for (unsigned n = 0; n < wg->num_waves; n++) {
		struct wave *w = &wg->waves[n];

		for (unsigned i = 0; i < SGPR_EXEC; i++)
			w->sgpr[i] = mix(&seed) % 8 == 0 ? mix(&seed)
				     : i & 1		 ? (uint32_t)(va >> 32)
							 : (uint32_t)va + mix(&seed) % DATA_BYTES;
		for (unsigned v = 0; v < w->num_vgprs && v < 16; v++)
			for (unsigned l = 0; l < WAVE_LANES; l++)
				w->vgpr[v][l] = kind == 0     ? mix(&seed) % 600
						: kind == 1   ? mix(&seed)
						: v & 1	      ? (uint32_t)(va >> 32)
							      : (uint32_t)va + mix(&seed) % DATA_BYTES;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const atomic_uint never;
	struct input in = {data, size};
	uint8_t flags = take8(&in);
	enum isa_target target = flags & 1 ? ISA_GFX90A : ISA_GFX900;
	struct place *p = &places[target];
	struct dispatch_setup s = {.target = target, .shared_base = 1ull << 48, .private_base = 2ull << 48};
	uint32_t seed, id[3] = {0}, *code;
	enum exec_result result = EXEC_YIELD;
	uint64_t before = 0, after = 0;

	open_place(target);
	s.rsrc1 = take32(&in);
	s.rsrc2 = take16(&in);
	s.rsrc3 = take8(&in);
	s.properties = take16(&in);
	s.kernarg_preload = take16(&in);
	s.wg_size[0] = (uint16_t)take_number(&in);
	s.wg_size[1] = 1 + take8(&in) % 4;
	s.wg_size[2] = 1 + (flags >> 1 & 1);
	for (unsigned i = 0; i < 3; i++) {
		s.num_wg[i] = 1 + (flags >> (2 + i) & 1);
		s.grid[i] = s.wg_size[i] * s.num_wg[i] - (s.num_wg[i] > 1);
		id[i] = s.num_wg[i] - 1;
	}
	s.group_segment_size = (uint32_t)take_number(&in);
	s.private_segment_size = (uint32_t)take_number(&in) & 0xffff;
	seed = take32(&in);
	s.entry_pc = (uintptr_t)p->code + (flags >> 5 & 1) * 4 * (seed >> 8 & 1023);
	s.kernarg_va = (uintptr_t)p->data + (seed & 0xfff);
	s.dispatch_packet_va = s.queue_va = (uintptr_t)p->data;
	s.scratch_base = flags & 64 ? (uintptr_t)p->r.scratch : (uintptr_t)p->data;
	s.scratch_wave_bytes = flags & 64 ? 1u << 16 : (uint32_t)take_number(&in);
	s.scratch_rsrc[0] = (uint32_t)s.scratch_base;
	s.scratch_rsrc[1] = (uint32_t)(s.scratch_base >> 32) | 1u << 31;
	s.scratch_rsrc[2] = UINT32_MAX;
	s.scratch_rsrc[3] = 1u << 23 | 3u << 21 | 4u << 15;

	memset(p->data, 0, DATA_BYTES);
	code = (uint32_t *)(void *)p->code;
	for (unsigned i = 0; i < CODE_BYTES / 4; i++)
		code[i] = 0xbf810000; /* s_endpgm */
	take(&in, p->code + (s.entry_pc - (uintptr_t)p->code),
	     in.left < CODE_BYTES / 2 && in.left < CODE_BYTES - (s.entry_pc - (uintptr_t)p->code)
		     ? in.left
		     : CODE_BYTES - (s.entry_pc - (uintptr_t)p->code));

	/* As cp does before it takes a dispatch. */
	if (exec_wg_bytes(&s) < 0)
		return 0;
	p->r.wg.code = p->r.code;
	p->r.wg.scratch_slot = 0;
	if (exec_wg_init(&p->r.wg, &s, id))
		return 0;
	if (flags & 128)
		fill_registers(p, &p->r.wg, seed);
	code_cache_revalidate(p->r.code);
	for (unsigned i = 0; i < SLICES && result == EXEC_YIELD; i++)
		result = exec_run(&p->r.wg, &p->r.view, BUDGET, &never);
	MUST(result <= EXEC_TRAP);
	if (result == EXEC_DONE)
		for (unsigned i = 0; i < p->r.wg.num_waves; i++)
			MUST(p->r.wg.waves[i].state == WAVE_ENDED);
	exec_wg_free(&p->r.wg); /* so that a sanitizer knows the exact end of the next one's registers */
	for (unsigned i = 0; i < 4096; i++) {
		before += p->before[i];
		after += p->after[i];
	}
	MUST(before == 4096 * GUARD && after == 4096 * GUARD);
	return 0;
}
