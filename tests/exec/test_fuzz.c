/* SPDX-License-Identifier: MIT */
/*
 * test_fuzz.c - random machine code with random registers: whatever a guest executes, the interpreter stays within the wave's
 * registers, its LDS and the memory mapped for it.
 *
 * Most worth in a build with the address sanitizer. Instructions are random bits with the format's fixed bits set, so that most decode; each
 * runs alone in a wave with few registers and little LDS, every operand pointing anywhere. The seed is fixed; FUZZ_SEED and FUZZ_COUNT
 * change what is run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/exec/runner.h"

#define GUARD	   0x5eedface
#define CODE_BYTES 4096

static uint64_t state;

static uint32_t rng(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return state >> 32 ^ state >> 13;
}

/* Fixed bits of the formats' first dword: mask of the bits to replace, and their value. */
static const struct {
	uint32_t mask, value;
} formats[] = {
	{0xff800000, 0xbe800000}, /* SOP1 */
	{0xc0000000, 0x80000000}, /* SOP2 and, within, SOPK, SOPC, SOPP */
	{0xff800000, 0xbf000000}, /* SOPC */
	{0xf0000000, 0xb0000000}, /* SOPK */
	{0xfc000000, 0xc0000000}, /* SMEM */
	{0x80000000, 0x00000000}, /* VOP2, VOP1, VOPC */
	{0xfe000000, 0x7e000000}, /* VOP1 */
	{0xfe000000, 0x7c000000}, /* VOPC */
	{0xfc000000, 0xd0000000}, /* VOP3 */
	{0xff800000, 0xd3800000}, /* VOP3P */
	{0xfc000000, 0xd8000000}, /* DS */
	{0xfc000000, 0xdc000000}, /* FLAT */
	{0xfc000000, 0xe0000000}, /* MUBUF */
	{0xfc000000, 0xe8000000}, /* MTBUF */
};

static bool wanted(enum isa_target target, const uint32_t *words, struct isa_inst *inst)
{
	if (isa_decode(target, words, 3, inst) < 0 || !exec_covers(target, inst->op))
		return false;
	return inst->op != ISA_S_SENDMSG;
}

static void one(struct runner *r, enum isa_target target, uint32_t *code, uint64_t *counts)
{
	static const uint32_t endpgm = 0xbf810000;
	struct dispatch_setup s = {
		.target = target,
		.entry_pc = (uintptr_t)code,
		.rsrc1 = (rng() % 8) | (rng() & 0xff) << 12,
		.rsrc3 = rng() % 8,
		.wg_size = {64, 1, 1},
		.grid = {64, 1, 1},
		.num_wg = {1, 1, 1},
		.group_segment_size = rng() % 2 ? 0 : 512,
		.shared_base = 1ull << 48,
		.private_base = 2ull << 48,
	};
	static const atomic_uint never;
	uint64_t memory = (uintptr_t)r->scratch;
	enum exec_result result;
	struct isa_inst inst;
	struct wave *w;
	int tries = 0;

	do {
		unsigned f = rng() % (sizeof(formats) / sizeof(formats[0]));

		for (int i = 0; i < 3; i++)
			code[i] = rng();
		if (rng() % 2) /* small register numbers: those that the wave has */
			code[1] &= 0x1f1f1f1f;
		code[0] = (code[0] & ~formats[f].mask) | formats[f].value;
	} while (!wanted(target, code, &inst) && ++tries < 1000);
	for (unsigned i = inst.size / 4; i < 8; i++)
		code[i] = endpgm;

	if (exec_wg_init(&r->wg, &s, (uint32_t[]){0, 0, 0}))
		return; /* a register count that does not exist on this target */
	r->wg.code = r->code;
	w = &r->wg.waves[0];
	for (unsigned i = 0; i < WAVE_SGPRS; i++)
		w->sgpr[i] = rng() % 4 == 0 ? rng() : (i & 1) ? memory >> 32 : (uint32_t)memory + rng() % 8192;
	for (unsigned v = 0; v < w->num_vgprs + w->num_agprs; v++)
		for (unsigned l = 0; l < WAVE_LANES; l++)
			w->vgpr[v][l] = rng() % 8 == 0 ? rng() : (v & 1) ? memory >> 32 : (uint32_t)memory + rng() % 8192;
	if (rng() % 2)
		for (unsigned v = 0; v < w->num_vgprs; v++)
			for (unsigned l = 0; l < WAVE_LANES; l++)
				w->vgpr[v][l] = rng() % 600; /* LDS addresses */
	if (rng() % 3)
		WAVE_EXEC(w) = (uint64_t)rng() << 32 | rng();
	code_cache_revalidate(r->code);
	result = exec_run(&r->wg, &r->view, 64, &never);
	assert_in_range(result, EXEC_DONE, EXEC_TRAP);
	counts[result]++;
	exec_wg_free(&r->wg); /* so that a sanitizer knows the exact end of the next one's registers */
}

static void fuzz(enum isa_target target)
{
	static struct runner r;
	unsigned count = getenv("FUZZ_COUNT") ? (unsigned)atoi(getenv("FUZZ_COUNT")) : 20000;
	uint64_t counts[EXEC_TRAP + 1] = {0};
	uint32_t *code, *before, *after;

	state = getenv("FUZZ_SEED") ? strtoull(getenv("FUZZ_SEED"), NULL, 0) : 42 + target;
	assert_int_equal(runner_init(&r, target), 0);
	code = runner_alloc(&r, CODE_BYTES, GPU_PROT_READ | GPU_PROT_EXEC);
	/* Memory that is there but not mapped for the guest. */
	before = runner_alloc(&r, 4096, 0);
	after = runner_alloc(&r, 4096, 0);
	for (unsigned i = 0; i < 1024; i++)
		before[i] = after[i] = GUARD;
	for (unsigned i = 0; i < count; i++)
		one(&r, target, code, counts);
	for (unsigned i = 0; i < 1024; i++)
		assert_true(before[i] == GUARD && after[i] == GUARD);
	print_message("done %llu, yield %llu, fault %llu, illegal %llu, trap %llu\n", (unsigned long long)counts[EXEC_DONE],
		      (unsigned long long)counts[EXEC_YIELD], (unsigned long long)counts[EXEC_MEMORY_FAULT],
		      (unsigned long long)counts[EXEC_ILLEGAL], (unsigned long long)counts[EXEC_TRAP]);
	assert_true(counts[EXEC_DONE] > count / 10);
	runner_unmap(&r, code);
	runner_unmap(&r, before);
	runner_unmap(&r, after);
	runner_free(&r);
}

static void test_gfx900(void **unused)
{
	fuzz(ISA_GFX900);
}

static void test_gfx90a(void **unused)
{
	fuzz(ISA_GFX90A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gfx900),
		cmocka_unit_test(test_gfx90a),
	};

	/* Each refused instruction is a log line. */
	setenv("HSAVISOR_LOG_FILE", "/dev/null", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
