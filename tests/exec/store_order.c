/* SPDX-License-Identifier: MIT */
/*
 * store_order.c - what is in memory where lanes of one store overlap is the same with every build of the interpreter (HSAVISOR_VALU): in LDS the dwords of 16 lanes
 * come one after the other, each in the order of lanes; elsewhere whole lanes do. Half of the places are odd, so lanes overlap partly, too; global ones
 * lie about the end of a page, which the host has elsewhere than the next one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/exec/runner.h"

#define BYTES  8192u
#define BASE   0x7000000000ull
#define PLACES 512u /* that lanes are at */

static struct runner r;
static uint32_t v[16][WAVE_LANES] __attribute__((aligned(64)));
static uint8_t memory[2 * BYTES] __attribute__((aligned(4096)));
static uint8_t want[BYTES + 64], lds[BYTES + WG_LDS_SLACK];
static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed * 0x2545f4914f6cdd1dull >> 32);
}

static exec_fn *find(unsigned op, unsigned level)
{
	for (const struct exec_row *const *all = exec_valu_rows_of(level); all && *all; all++)
		for (const struct exec_row *row = *all; row->op != ISA_OP_INVALID; row++)
			if (row->op == op)
				return row->fn;
	return NULL;
}

static const struct store {
	uint16_t op;
	bool global;
	unsigned dwords;
} stores[] = {
	{ISA_DS_WRITE_B32, false, 1},	    {ISA_DS_WRITE_B64, false, 2},	   {ISA_DS_WRITE_B96, false, 3},	 {ISA_DS_WRITE_B128, false, 4},
	{ISA_GLOBAL_STORE_DWORD, true, 1}, {ISA_GLOBAL_STORE_DWORDX2, true, 2}, {ISA_GLOBAL_STORE_DWORDX4, true, 4},
};

/* Random places, or ones that rise by so many bytes a lane; v2 and what follows is stored. */
static uint64_t random_state(const struct store *s)
{
	uint32_t step = rnd() % 20, first = BYTES / 2 - rnd() % PLACES / 2, align = rnd() & 1 ? 0 : 3;
	bool rises = rnd() & 1;

	for (unsigned l = 0; l < WAVE_LANES; l++) {
		uint32_t at = (rises ? first + l * step : BYTES / 2 - PLACES / 2 + rnd() % PLACES) & ~align;

		v[0][l] = s->global ? (uint32_t)BASE + at : at;
		v[1][l] = (uint32_t)(BASE >> 32);
		for (unsigned k = 2; k < 6; k++)
			v[k][l] = rnd();
	}
	return rnd() & 1 ? UINT64_MAX : (uint64_t)rnd() << 32 | rnd();
}

static void reference(const struct store *s, uint64_t exec)
{
	unsigned lanes = s->global ? 1 : 16;

	for (unsigned l = 0; l < WAVE_LANES; l += lanes)
		for (unsigned k = 0; k < s->dwords; k++)
			for (unsigned i = l; i < l + lanes; i++)
				if (exec >> i & 1)
					memcpy(want + (v[0][i] & (BYTES - 1)) + 4 * k, &v[2 + k][i], 4);
}

static void run(const struct store *s, uint64_t exec, unsigned level)
{
	struct workgroup wg = {.lds = lds, .lds_size = BYTES};
	struct wave w = {.vgpr = v, .num_vgprs = 16, .wg = &wg};
	struct exec_ctx ctx = {.wave = &w, .view = &r.view, .error = EXEC_DONE};
	struct isa_inst in = {.op = s->op};

	in.src[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = s->global ? 2 : 1};
	in.src[1] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = (uint8_t)s->dwords, .index = 2};
	WAVE_EXEC(&w) = exec;
	find(s->op, level)(&ctx, &w, &in);
	assert_int_equal(ctx.error, EXEC_DONE);
}

static void test_order(void **state)
{
	static const unsigned levels[] = {1, 3, 4};

	for (unsigned n = 0; n < 3000; n++) {
		const struct store *s = &stores[n % (sizeof(stores) / sizeof(stores[0]))];
		uint64_t exec = random_state(s);

		memset(want, 0, sizeof(want));
		reference(s, exec);
		for (unsigned i = 0; i < 3; i++) {
			if (!exec_valu_rows_of(levels[i]))
				continue;
			memset(lds, 0, sizeof(lds));
			memset(memory, 0, sizeof(memory));
			run(s, exec, levels[i]);
			/* The second page is the host's fourth. */
			if (s->global ? memcmp(want, memory, BYTES / 2) || memcmp(want + BYTES / 2, memory + 3 * BYTES / 2, BYTES / 2) : memcmp(want, lds, BYTES))
				fail_msg("%s, EXEC 0x%016llx, lane 0 at 0x%x, 1 at 0x%x: level %u differs", isa_op_name(s->op), (unsigned long long)exec, v[0][0], v[0][1],
					 levels[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order)};

	if (runner_init(&r, ISA_GFX90A) || runner_map_at(&r, BASE, memory, BYTES / 2, GPU_PROT_READ | GPU_PROT_WRITE) ||
	    runner_map_at(&r, BASE + BYTES / 2, memory + 3 * BYTES / 2, BYTES / 2, GPU_PROT_READ | GPU_PROT_WRITE))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
