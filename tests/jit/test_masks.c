/* SPDX-License-Identifier: MIT */
/*
 * test_masks.c - what is known of masks (struct jit_facts) holds behind random instructions on masks, and of the forms in which compilers write conditions it is
 * known that EXEC is full behind them. When a copied number is the low half of its extension, and when no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gpu/soft/exec/operand.h"
#include "gpu/soft/jit/unit.h"

enum { S0 = 0, S2 = 2, S4 = 4, S6 = 6, VCC = SGPR_VCC, EXEC = SGPR_EXEC, ONES = 1000, ZERO };

static uint64_t seed = 1;

static uint32_t rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33);
}

static uint64_t random_mask(void)
{
	uint64_t x = 0;

	for (unsigned i = 0; i < 4; i++)
		x = x << 16 ^ rnd();
	return x;
}

static struct isa_operand operand(unsigned r)
{
	if (r >= ONES)
		return (struct isa_operand){.kind = ISA_OPND_CONST, .dwords = 2, .value = r == ONES ? UINT64_MAX : 0};
	return (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = (uint16_t)r};
}

static struct isa_inst inst(uint16_t op, unsigned d, unsigned a, unsigned b)
{
	struct isa_inst in = {.op = op, .format = ISA_FMT_SOP2, .size = 4};

	in.dst[0] = operand(d);
	in.src[0] = operand(a);
	in.src[1] = operand(b);
	return in;
}

static uint64_t pair(const struct wave *w, unsigned i)
{
	return (uint64_t)w->sgpr[2 * i + 1] << 32 | w->sgpr[2 * i];
}

static void check(const struct jit_facts *f, const struct wave *w)
{
	assert_true(!f->exec_full || WAVE_EXEC(w) == UINT64_MAX);
	for (unsigned i = 0; i < JIT_PAIRS; i++)
		for (unsigned k = 0; k < JIT_PAIRS; k++) {
			bool covers = f->cover[i] >> k & 1;

			assert_int_equal(covers, f->cover[k] >> i & 1);
			assert_true(!covers || (pair(w, i) | pair(w, k)) == UINT64_MAX);
			assert_true(covers || !(f->cover[i] >> i & 1));
		}
}

static void test_random(void **state)
{
	static const uint16_t ops[] = {ISA_S_MOV_B64,		ISA_S_NOT_B64,		 ISA_S_OR_B64,		   ISA_S_AND_B64,	    ISA_S_XOR_B64,	     ISA_S_ANDN2_B64,
				       ISA_S_ORN2_B64,		ISA_S_NAND_B64,		 ISA_S_AND_SAVEEXEC_B64,   ISA_S_OR_SAVEEXEC_B64,   ISA_S_XOR_SAVEEXEC_B64,  ISA_S_ANDN2_SAVEEXEC_B64,
				       ISA_S_ORN2_SAVEEXEC_B64, ISA_S_NAND_SAVEEXEC_B64, ISA_S_NOR_SAVEEXEC_B64,   ISA_S_XNOR_SAVEEXEC_B64, ISA_S_ANDN1_SAVEEXEC_B64, ISA_S_ORN1_SAVEEXEC_B64,
				       ISA_S_ANDN1_WREXEC_B64,	ISA_S_ANDN2_WREXEC_B64,	 ISA_S_CSELECT_B64,	   ISA_S_XOR_B64,	    ISA_S_OR_B64,	     ISA_S_AND_SAVEEXEC_B64};
	static const unsigned regs[] = {S0, S2, S4, VCC, EXEC, EXEC};
	unsigned full = 0;

	for (unsigned n = 0; n < 20000; n++) {
		struct exec_ctx ctx = {.error = EXEC_DONE};
		struct jit_facts f = {0};
		struct wave w = {0};

		ctx.wave = &w;
		for (unsigned r = 0; r < WAVE_SGPRS; r += 2) {
			uint64_t x = random_mask();

			memcpy(&w.sgpr[r], &x, sizeof(x));
		}
		WAVE_EXEC(&w) = UINT64_MAX;
		for (unsigned k = 0; k < 16; k++) {
			unsigned a = rnd() % 8, b = rnd() % 8;
			struct isa_inst in = inst(ops[rnd() % (sizeof(ops) / sizeof(ops[0]))], regs[rnd() % 6], a < 6 ? regs[a] : ONES + a % 2, b < 6 ? regs[b] : ONES + b % 2);

			if (!k)
				in = inst(ISA_S_MOV_B64, EXEC, ONES, ONES);
			exec_lookup(ISA_GFX90A, in.op)(&ctx, &w, &in);
			jit_after(&f, &in);
			check(&f, &w);
			full += k > 8 && f.exec_full;
		}
	}
	assert_true(full > 1000);
}

static void test_conditions(void **state)
{
	static const struct {
		const char *what;
		struct {
			uint16_t op;
			unsigned d, a, b;
		} in[12];
	} forms[] = {
		{"if", {{ISA_S_AND_SAVEEXEC_B64, S0, VCC}, {ISA_S_OR_B64, EXEC, EXEC, S0}}},
		{"if, the others kept", {{ISA_S_AND_SAVEEXEC_B64, S2, VCC}, {ISA_S_XOR_B64, S0, EXEC, S2}, {ISA_S_OR_B64, EXEC, EXEC, S0}}},
		{"if and else",
		 {{ISA_S_AND_SAVEEXEC_B64, S2, VCC},
		  {ISA_S_XOR_B64, S0, EXEC, S2},
		  {ISA_S_OR_SAVEEXEC_B64, S0, S0},
		  {ISA_S_XOR_B64, EXEC, EXEC, S0},
		  {ISA_S_OR_B64, EXEC, EXEC, S0}}},
		{"else first", {{ISA_S_AND_SAVEEXEC_B64, S2, VCC}, {ISA_S_XOR_B64, S0, EXEC, S2}, {ISA_S_ANDN2_SAVEEXEC_B64, S4, S0}, {ISA_S_OR_B64, EXEC, EXEC, S4}, {ISA_S_OR_B64, EXEC, EXEC, S0}}},
		{"if in an if",
		 {{ISA_S_AND_SAVEEXEC_B64, S2, VCC},
		  {ISA_S_XOR_B64, S0, EXEC, S2},
		  {ISA_S_AND_SAVEEXEC_B64, S4, S6},
		  {ISA_S_OR_B64, EXEC, EXEC, S4},
		  {ISA_S_OR_B64, EXEC, EXEC, S0}}},
		{"loop that lanes leave", {{ISA_S_MOV_B64, S0, EXEC}, {ISA_S_ANDN2_B64, EXEC, EXEC, VCC}, {ISA_S_ANDN2_B64, EXEC, EXEC, VCC}, {ISA_S_OR_B64, EXEC, EXEC, S0}}},
		{"if not", {{ISA_S_NOT_B64, S0, VCC}, {ISA_S_MOV_B64, EXEC, VCC}, {ISA_S_OR_B64, EXEC, EXEC, S0}}},
	};

	for (unsigned n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {
		struct jit_facts f = {0};
		struct isa_inst in = inst(ISA_S_MOV_B64, EXEC, ONES, ONES);

		jit_after(&f, &in);
		for (unsigned k = 0; forms[n].in[k].op; k++) {
			in = inst(forms[n].in[k].op, forms[n].in[k].d, forms[n].in[k].a, forms[n].in[k].b);
			assert_true(f.exec_full || k);
			jit_after(&f, &in);
			if (!k && forms[n].in[0].op == ISA_S_AND_SAVEEXEC_B64)
				assert_false(f.exec_full);
		}
		if (!f.exec_full)
			fail_msg("%s: EXEC is not known to be full", forms[n].what);
	}
}

static void vector_op(struct jit_code *c, struct jit_shapes *s, uint16_t op, unsigned d, struct isa_operand a, unsigned b, bool all, struct jit_guard *guard)
{
	const struct isa_operand v = {.kind = ISA_OPND_VGPR, .dwords = 1, .index = (uint16_t)b};
	struct jit_inst ji = {.ci.inst = {.op = op, .format = ISA_FMT_VOP3, .size = 8, .dst[0] = v}};

	ji.ci.inst.dst[0].index = (uint16_t)d;
	ji.ci.inst.src[0] = op == ISA_V_MOV_B32 ? v : a;
	if (op != ISA_V_MOV_B32)
		ji.ci.inst.src[1] = v;
	jit_shape_after(c, s, &ji.ci.inst, all, guard);
}

/* v3 becomes the sign of v1, something else happens, v2 a copy of v1. */
static void test_signs(void **state)
{
	enum { ADD = ISA_V_ADD_U32, ASHR = ISA_V_ASHRREV_I32, MOV = ISA_V_MOV_B32 };
	static const struct {
		uint16_t between;
		unsigned d, shift, from;
		bool all, extends;
	} cases[] = {
		{0, 0, 31, 1, true, true},   {ADD, 5, 31, 1, true, true},  {ADD, 2, 31, 1, true, true}, {ADD, 1, 31, 1, true, false},
		{ADD, 3, 31, 1, true, false}, {0, 0, 30, 1, true, false}, {0, 0, 31, 4, true, false},   {0, 0, 31, 1, false, false},
	};

	for (unsigned n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		const struct isa_operand shift = {.kind = ISA_OPND_CONST, .dwords = 1, .value = cases[n].shift}, one = {.kind = ISA_OPND_CONST, .dwords = 1, .value = 1};
		struct jit_code c = {.delta = calloc(1024, sizeof(*c.delta)), .num_deltas = 2};
		struct jit_shapes *s = calloc(1, sizeof(*s));
		struct jit_guard guard;

		assert_non_null(c.delta);
		assert_non_null(s);
		for (int32_t l = 0; l < WAVE_LANES; l++)
			c.delta[1][l] = l; /* [0]: of what is the same for all */
		s->v[1] = s->v[4] = s->v[5] = (struct jit_shape){.delta = 2, .bits = UINT32_MAX};
		vector_op(&c, s, ASHR, 3, shift, 1, cases[n].all, &guard);
		if (cases[n].between)
			vector_op(&c, s, cases[n].between, cases[n].d, one, cases[n].d == 2 ? 5 : cases[n].d, true, &guard);
		vector_op(&c, s, MOV, 2, one, cases[n].from, true, &guard);
		if (!!s->v[2].wide != cases[n].extends || (cases[n].extends && !(guard.need && guard.sign)))
			fail_msg("case %u: %s", n, cases[n].extends ? "not known, or not to be checked" : "taken for extended");
		free(s);
		free(c.delta);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_conditions), cmocka_unit_test(test_signs)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
