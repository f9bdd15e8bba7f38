/* SPDX-License-Identifier: MIT */
/*
 * test_units.c - instruction by instruction: snippets of units.s with registers set and looked at.
 *
 * usage: test_units UNITS.o
 * Expected values follow AMD's "Vega" ISA manual and are computed here or written out.
 */
#include <stdlib.h>

#include "tests/exec/unit.h"

/* ------------------------------------------------------------------ scalar */

static void test_salu(void **state)
{
	struct wave *w = unit("u_salu");
	uint32_t a = 0xfedcba98, b = 0x12345678;
	uint64_t ab = (uint64_t)b << 32 | a;

	w->sgpr[0] = a;
	w->sgpr[1] = b;
	run();
	SGPR(10, a + b);
	SGPR(11, a + b + 1); /* the first addition carried */
	SGPR(12, a - b);
	SGPR(13, a - b - 0); /* neither s_addc nor s_sub left a borrow */
	SGPR(14, 2);
	SGPR(15, a + b);
	SGPR(16, 0); /* no signed overflow */
	SGPR(17, 0xa9);
	SGPR(18, (int32_t)0xffffffa9);
	SGPR(19, 0xf8);
	SGPR(20, (uint64_t)a * b >> 32);
	SGPR(21, (uint64_t)((int64_t)(int32_t)a * (int32_t)b) >> 32);
	SGPR(22, (a << 3) + b);
	SGPR(23, (a & 0xffff) | (b & 0xffff0000));
	SGPR(24, b - a);
	SGPR(25, a);
	SGPR(26, 1);
	SGPR(27, a);
	SGPR64(28, ab >> 4);
	SGPR64(30, 0x78fe);
	SGPR64(32, ab << 36);
	SGPR64(34, ab); /* xnor with all ones */
}

static void test_sop1(void **state)
{
	struct wave *w = unit("u_sop1");

	w->sgpr[0] = 0x000f0180;
	w->sgpr[1] = 0xffffff00;
	w->sgpr[27] = 0xf;
	run();
	SGPR(10, 0x0180f000);
	SGPR(11, 30);
	SGPR(12, 26);
	SGPR(13, 7);
	SGPR(14, 0);
	SGPR(15, 12);
	SGPR(16, 24);
	SGPR(17, 0xffffff80);
	SGPR(18, 0x180);
	SGPR(19, 0x16);
	SGPR(20, 0x000f0ff0);
	SGPR(21, 0x100);
	SGPR64(22, 0x000000ff0003c000ull);
	SGPR(24, 0x80);
	SGPR(27, 0xd);
	SGPR64(28, ~0xffffff00000f0180ull);
	SGPR(30, (-5 + 0x7000) * -3);
	SGPR(31, 0x123);
	SGPR(32, 0);
	SGPR(33, w->sgpr[13]);
	SGPR(43, 0x000f0180);
}

static void test_exec(void **state)
{
	struct wave *w = unit("u_exec");
	uint64_t m = 0xff00ff00ff00ff00ull, k = 0x0f0f0f0f0f0f0f0full;

	put64(w, 0, m);
	put64(w, 2, k);
	run();
	SGPR64(10, ~0ull);
	SGPR64(12, m);
	SGPR64(14, m);
	SGPR64(16, ~k & m);
	SGPR64(18, m & 0); /* s0 & ~exec with exec all ones */
	SGPR64(20, 0);
	SGPR64(22, ~0ull & (m | ~0ull));
}

static void test_hwreg(void **state)
{
	struct wave *w = unit("u_hwreg");

	run();
	SGPR(10, 0xf0 | 1 << 8 | 1 << 9);
	SGPR(11, 0xf5);
	SGPR(12, 0xf);
	SGPR(13, 0x00010002);
	SGPR(14, LDS_BYTES / 512);
	SGPR(15, co.target == ISA_GFX90A ? VGPRS / 8 - 1 : VGPRS / 4 - 1);
	SGPR64(16, 1ull << 48);
	SGPR64(18, (2ull << 48) + UINT32_MAX);
}

static void test_flow(void **state)
{
	struct wave *w = unit("u_flow");

	w->sgpr[0] = 10;
	run();
	SGPR(10, 55);
	SGPR(11, 1077);
	assert_int_equal(get64(w, 14), get64(w, 12) + 4);
}

static void test_smem(void **state)
{
	uint32_t *mem = runner_alloc(&r, 4096, GPU_PROT_READ);
	struct wave *w = unit("u_smem");

	for (unsigned i = 0; i < 1024; i++)
		mem[i] = 1000 + i;
	put64(w, 0, (uintptr_t)mem);
	put64(w, 4, (uintptr_t)mem);
	w->sgpr[6] = 16; /* bytes: two of the four dwords from 8 are inside */
	run();
	for (unsigned i = 0; i < 4; i++)
		SGPR(12 + i, 1001 + i);
	SGPR(10, 1004);
	for (unsigned i = 0; i < 16; i++)
		SGPR(16 + i, 1008 + i);
	SGPR(32, 1002);
	SGPR(33, 1003);
	SGPR(34, 0);
	SGPR(35, 0);
	assert_true(get64(w, 42) >= get64(w, 40));
	assert_true(get64(w, 44) != 0);
	runner_unmap(&r, mem);
}

static void test_traps(void **state)
{
	struct wave *w = unit("u_trap2");

	assert_int_equal(go(), EXEC_TRAP);
	assert_int_equal(r.wg.fault.trap_id, 2);
	assert_int_equal(r.wg.fault.pc, (uintptr_t)codeobj_symbol(&co, "u_trap2") + 4);
	w = unit("u_trap3"); /* a debugger's: nothing without one */
	run();
	SGPR(10, 5);
}

static uint32_t heard_msg, heard_m0;

static void hear(struct workgroup *wg, uint32_t msg, uint32_t m0)
{
	heard_msg = msg;
	heard_m0 = m0;
}

static void test_message(void **state)
{
	unit("u_message");
	r.wg.message = hear;
	run();
	r.wg.message = NULL;
	assert_int_equal(heard_msg & 15, 1);
	assert_int_equal(heard_m0, 0x1234);
}

static void test_preemption(void **state)
{
	atomic_uint stop = 0;
	struct wave *w = unit("u_forever");
	unsigned before = r.quiesced;

	assert_int_equal(exec_run(&r.wg, &r.view, 10000, &stop), EXEC_YIELD);
	assert_in_range(w->instructions, 10000, 11000);
	assert_true(r.quiesced - before >= 2); /* every few thousand instructions */
	stop = 1;
	assert_int_equal(exec_run(&r.wg, &r.view, 1ull << 60, &stop), EXEC_YIELD);
	w = unit("u_sleep");
	assert_int_equal(go(), EXEC_YIELD);
	assert_int_equal(w->sgpr[10], 0);
	assert_int_equal(go(), EXEC_DONE);
	SGPR(10, 9);
}

static atomic_uint asked;

static void ask_to_stop(struct mem_view *view)
{
	asked = 1;
}

/* A megabyte of code without a loop leaves in time, too, and goes on where it was. */
static void test_preemption_without_loops(void **state)
{
	enum { DWORDS = 1 << 18 };
	uint32_t *code = runner_alloc(&r, DWORDS * 4, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC);
	void (*quiesce)(struct mem_view *view) = r.view.quiesce;
	struct wave *w = unit("u_sleep");

	assert_non_null(code);
	for (int i = 0; i < DWORDS; i++)
		code[i] = 0xbf800000; /* s_nop */
	code[DWORDS - 1] = 0xbf810000; /* s_endpgm */
	w->pc = (uintptr_t)code;
	assert_int_equal(exec_run(&r.wg, &r.view, 10000, &never), EXEC_YIELD);
	assert_in_range(w->instructions, 10000, 11000);
	r.view.quiesce = ask_to_stop;
	assert_int_equal(exec_run(&r.wg, &r.view, 1ull << 60, &asked), EXEC_YIELD);
	r.view.quiesce = quiesce;
	assert_in_range(w->instructions, 10000, 12000);
	assert_int_equal(exec_run(&r.wg, &r.view, 1ull << 60, &never), EXEC_DONE);
	assert_int_equal(w->instructions, DWORDS);
	runner_unmap(&r, code);
}

static void test_refused(void **state)
{
	unit("u_illegal");
	assert_int_equal(go(), EXEC_ILLEGAL);
	assert_int_equal(r.wg.fault.pc, (uintptr_t)codeobj_symbol(&co, "u_illegal") + 4);
	unit("u_garbage");
	assert_int_equal(go(), EXEC_ILLEGAL);
	unit("u_registers");
	assert_int_equal(go(), EXEC_ILLEGAL);
}

static void test_gpr_index(void **state)
{
	struct wave *w = unit("u_gpr_index");

	w->sgpr[0] = 5;
	fill(w, 5, 55);
	run();
	VGPR(10, 0, 55);
	VGPR(10, 63, 55);
	VGPR(11, 63, 63);
}

/* ------------------------------------------------------------------ LDS */

/* What a d16 load leaves of the old register's other half: with error-corrected registers nothing. */
static uint32_t d16_kept(uint32_t old)
{
	return co.target == ISA_GFX90A ? 0 : old;
}

static void test_lds_rw(void **state)
{
	struct wave *w = unit("u_lds_rw");

	for (unsigned l = 0; l < 64; l++) {
		w->vgpr[0][l] = 16 * l;
		for (unsigned i = 0; i < 4; i++)
			w->vgpr[2 + i][l] = 0x80c0ff01u + 0x01010101u * i + l;
	}
	for (unsigned i = 21; i < 24; i++)
		fill(w, i, 0xaaaabbbb);
	run();
	for (unsigned l = 0; l < 64; l++) {
		uint32_t d[4];
		uint8_t b[16];

		for (unsigned i = 0; i < 4; i++)
			d[i] = w->vgpr[2 + i][l];
		memcpy(b, d, 16);
		for (unsigned i = 0; i < 4; i++)
			VGPR(10 + i, l, d[i]);
		for (unsigned i = 0; i < 3; i++)
			VGPR(14 + i, l, d[i + 1]);
		VGPR(17, l, b[1]);
		VGPR(18, l, (int8_t)b[1]);
		VGPR(19, l, b[1] | b[2] << 8);
		VGPR(20, l, (int16_t)(b[2] | b[3] << 8));
		VGPR(21, l, d16_kept(0xaaaa0000) | b[3]);
		VGPR(22, l, (uint32_t)(uint16_t)(int8_t)b[3] << 16 | d16_kept(0xbbbb));
		VGPR(23, l, (uint32_t)(b[2] | b[3] << 8) << 16 | d16_kept(0xbbbb));
		b[15] = d[0] >> 16;
		b[12] = d[1];
		b[13] = d[1] >> 8;
		memcpy(&d[3], b + 12, 4);
		VGPR(24, l, d[3]);
		VGPR(26, l, d[1]);
		VGPR(27, l, d[3]);
		for (unsigned i = 0; i < 4; i++)
			VGPR(28 + i, l, d[i]);
	}
}

static void test_lds_two(void **state)
{
	struct wave *w = unit("u_lds_two");

	for (unsigned i = 2; i < 6; i++)
		fill(w, i, 100 * i);
	WAVE_EXEC(w) = 1; /* one lane: addresses of lanes would overlap */
	w->vgpr[0][0] = 0;
	run();
	VGPR(10, 0, 300);
	VGPR(11, 0, 200);
	VGPR(12, 0, 200);
	VGPR(13, 0, 300);
	VGPR(14, 0, 400);
	VGPR(15, 0, 500);
	VGPR(16, 0, 200);
	VGPR(17, 0, 300);
	VGPR(18, 0, 400);
	VGPR(19, 0, 500);
	VGPR(10, 1, 0);
}

static void test_lds_bounds(void **state)
{
	struct wave *w = unit("u_lds_bounds");
	static const uint32_t out[] = {LDS_BYTES, LDS_BYTES - 3, 0x7fffffff, 0xfffffffc, 0xffffffff};

	for (unsigned l = 0; l < 64; l++) {
		w->vgpr[0][l] = out[l % 5];
		w->vgpr[1][l] = LDS_BYTES - 4;
		w->vgpr[2][l] = 0x55555555;
		w->vgpr[10][l] = w->vgpr[12][l] = w->vgpr[14][l] = 9;
	}
	run();
	for (unsigned l = 0; l < 64; l++) {
		VGPR(10, l, 0);
		VGPR(12, l, 0);
		VGPR(14, l, 0);
	}
	for (unsigned i = 0; i < LDS_BYTES; i++)
		assert_int_equal(r.wg.lds[i], 0);
}

static void test_lds_atomic(void **state)
{
	struct wave *w = unit("u_lds_atomic");
	float f;

	for (unsigned l = 0; l < 64; l++) {
		w->vgpr[0][l] = 8 * l;
		w->vgpr[2][l] = 1000;
		w->vgpr[3][l] = 10;
		w->vgpr[13][l] = 0;
		w->vgpr[4][l] = 0x3f800000; /* 1.0f */
		w->vgpr[5][l] = 0x40200000; /* 2.5f */
	}
	run();
	for (unsigned l = 0; l < 64; l++) {
		VGPR(10, l, 1000);
		VGPR(11, l, 1010);
		VGPR(12, l, 10 - 1010); /* inc: above the limit as unsigned, so back to 0 */
		VGPR(13, l, 0);		/* dec from 0: to the limit, 10 */
		VGPR(14, l, 10);	/* compared with v13 = 0: not stored */
		VGPR(15, l, 10);
		VGPR(16, l, (10 & ~1000) | 10);
		VGPR(17, l, 1000);
		VGPR(18, l, 10);
		memcpy(&f, &w->vgpr[19][l], 4);
		assert_true(f == 1.0f);
		VGPR(20, l, 0x40600000); /* 1.0f + 2.5f */
		VGPR(21, l, 0x40200000);
	}
	assert_int_equal(*(uint64_t *)(void *)r.wg.lds, 0x4020000040600000ull);
}

static void test_lds_append(void **state)
{
	struct wave *w = unit("u_lds_append");

	r.wg.lds[20] = 3;
	run();
	VGPR(10, 0, 3);
	VGPR(10, 7, 3);
	VGPR(10, 8, 0);
	VGPR(11, 3, 11);
	VGPR(12, 3, 19);
	assert_int_equal(r.wg.lds[20], 11);
}

static void test_swizzle(void **state)
{
	struct wave *w = unit("u_swizzle");

	for (unsigned l = 0; l < 64; l++) {
		w->vgpr[0][l] = 100 + l;
		w->vgpr[1][l] = 4 * (l + 2);
		w->vgpr[2][l] = 4 * (l / 2);
	}
	run();
	for (unsigned l = 0; l < 64; l++) {
		unsigned h = l & 32, i = l & 31, rev = 0;

		for (unsigned k = 0; k < 5; k++)
			rev |= (i >> k & 1) << (4 - k);
		VGPR(10, l, 100 + (h | 5));
		VGPR(11, l, 100 + (l ^ 15));
		VGPR(12, l, 100 + (l ^ 1));
		VGPR(13, l, 100 + (h | ((i + 5) & 31)));
		VGPR(14, l, 100 + (h | rev));
		VGPR(15, l, 100 + ((l + 3) & 63));
	}
	VGPR(16, 0, 101); /* lanes 0 and 1 pushed here: the higher wins */
	VGPR(16, 1, 103);
	VGPR(16, 2, 0);
	VGPR(17, 0, 102);
	VGPR(17, 1, 103);
	VGPR(17, 2, 0); /* lane 4 is inactive */
	VGPR(17, 4, 0);
}

/* ------------------------------------------------------------------ buffers */

static void resource(struct wave *w, unsigned s, const void *base, uint32_t stride, uint32_t records, uint32_t word3)
{
	put64(w, s, (uintptr_t)base | (uint64_t)stride << 48);
	w->sgpr[s + 2] = records;
	w->sgpr[s + 3] = word3;
}

#define SELECT_XYZW (4 | 5 << 3 | 6 << 6 | 7 << 9)

static void test_buffer(void **state)
{
	uint32_t *mem = runner_alloc(&r, 4096, RW);
	struct wave *w = unit("u_buffer");

	for (unsigned i = 0; i < 1024; i++)
		mem[i] = 0x01000000 * i + i;
	for (unsigned l = 0; l < 64; l++)
		w->vgpr[0][l] = 4 * l;
	fill(w, 17, 7);
	fill(w, 16, 0x1111);
	resource(w, 0, mem, 0, 200, SELECT_XYZW);
	run();
	for (unsigned l = 0; l < 64; l++) {
		uint32_t v = 0x01000000 * l + l;

		VGPR(10, l, 4 * l + 4 <= 200 ? v : 0);
		VGPR(12, l, 4 * l + 4 <= 200 ? v : 0);
		VGPR(13, l, 4 * l + 8 <= 200 ? v + 0x01000001 : 0);
		VGPR(14, l, 0);
		VGPR(15, l, 4 * l + 16 <= 200 ? v + 3 * 0x01000001 : 0);
		VGPR(16, l, d16_kept(0x1111) | (4 * l + 2 <= 200 ? l << 16 : 0));
		VGPR(17, l, 4 * l + 4 <= 200 ? v : 0);
		assert_int_equal(mem[l], 4 * l + 4 <= 200 ? v + 7 : v);
		assert_int_equal(mem[128 + l], 0x01000000 * (128 + l) + 128 + l); /* out of range: not stored */
	}
	runner_unmap(&r, mem);
}

/* ---- atomics of buffers against a description of them, lane by lane */

enum { WORDS = 1024, RAW = 2044 /* bytes: of two dwords at 2040 one is outside */, RECORDS = 40, STRIDE = 24 };

struct buffer_atomic {
	unsigned dwords, offset, data;
	bool compares, indexed, returns; /* compares and exchanges; or the largest number stays */
};

static const struct buffer_atomic buffer_atomics[] = {
	{1, 0, 10, true, false, true},	   {1, 256, 12, true, false, false}, {2, 1024, 14, true, false, true},
	{2, 1280, 18, true, false, false}, {1, 4, 22, true, true, true},     {2, 1024, 24, false, false, true},
};

/* Of one lane: its memory, and what its registers are then. */
static void expect_atomic(const struct buffer_atomic *b, uint32_t *mem, uint32_t (*v)[64], unsigned lane)
{
	uint64_t at = b->indexed ? (uint64_t)v[1][lane] * STRIDE + b->offset : (uint64_t)v[0][lane] + b->offset;
	bool inside = b->indexed ? v[1][lane] < RECORDS : at + 4 * b->dwords <= RAW;
	uint64_t old = 0, data = v[b->data][lane], cmp, made;

	if (inside)
		memcpy(&old, (uint8_t *)mem + at, 4 * b->dwords);
	if (b->dwords == 2)
		data |= (uint64_t)v[b->data + 1][lane] << 32;
	made = old > data ? old : data;
	if (b->compares) {
		cmp = v[b->data + b->dwords][lane];
		if (b->dwords == 2)
			cmp |= (uint64_t)v[b->data + 3][lane] << 32;
		made = old == cmp ? data : old;
	}
	if (inside)
		memcpy((uint8_t *)mem + at, &made, 4 * b->dwords);
	for (unsigned i = 0; b->returns && i < b->dwords; i++)
		v[b->data + i][lane] = (uint32_t)(old >> (32 * i));
}

/* Some lanes off, some outside (one with half of its two dwords), some at the same places, some whose comparison holds. */
static void check_atomics(uint32_t *mem, unsigned seed, uint64_t exec)
{
	uint32_t (*v)[64] = calloc(32, sizeof(*v)), *want = malloc(WORDS * 4);
	struct wave *w = unit("u_buffer_atomics");

	assert_true(v && want);
	srand(seed);
	for (unsigned i = 0; i < WORDS; i++)
		want[i] = mem[i] = i % 2 ? 0 : (uint32_t)rand() % 4;
	for (unsigned lane = 0; lane < 64; lane++) {
		v[0][lane] = rand() % 8 ? 8u * ((uint32_t)rand() % 96) : rand() % 2 ? UINT32_MAX - 7 : 768;
		v[1][lane] = rand() % 8 ? (uint32_t)rand() % 60 : UINT32_MAX;
		for (unsigned k = 10; k < 32; k++)
			v[k][lane] = (k == 15 || k == 17 || k == 19 || k == 21) ? 0 : (uint32_t)rand() % 4;
	}
	for (unsigned k = 0; k < 32; k++)
		memcpy(w->vgpr[k], v[k], sizeof(v[k]));
	WAVE_EXEC(w) = exec;
	resource(w, 0, mem, 0, RAW, SELECT_XYZW);
	resource(w, 4, mem, STRIDE, RECORDS, SELECT_XYZW);
	run();
	for (unsigned n = 0; n < sizeof(buffer_atomics) / sizeof(buffer_atomics[0]); n++)
		for (unsigned lane = 0; lane < 64; lane++)
			if (exec >> lane & 1)
				expect_atomic(&buffer_atomics[n], want, v, lane);
	assert_memory_equal(mem, want, WORDS * 4);
	for (unsigned k = 0; k < 32; k++)
		assert_memory_equal(w->vgpr[k], v[k], sizeof(v[k]));
	free(v);
	free(want);
}

static void test_buffer_atomics(void **state)
{
	static const uint64_t masks[] = {UINT64_MAX, 0xf0f0123456789abcull, 1ull << 40, 0};
	uint32_t *mem = runner_alloc(&r, WORDS * 4, RW), *ro = runner_alloc(&r, 4096, GPU_PROT_READ);
	struct wave *w;

	for (unsigned seed = 0; seed < 32; seed++)
		check_atomics(mem, seed, masks[seed % 4]);

	/* Faults are those of lanes inside, and name the first one's place. */
	for (unsigned k = 0; k < 3; k++) {
		w = unit("u_buffer_atomics");
		for (unsigned lane = 0; lane < 64; lane++)
			w->vgpr[0][lane] = lane < 7 ? RAW : 8 * lane + (k == 2 ? 2 : 0);
		resource(w, 0, k == 0 ? (void *)0x10000 : k == 1 ? ro : mem, 0, RAW, SELECT_XYZW);
		resource(w, 4, mem, STRIDE, RECORDS, SELECT_XYZW);
		assert_int_equal(go(), EXEC_MEMORY_FAULT);
		assert_int_equal(r.wg.fault.va, (k == 0 ? 0x10000 : k == 1 ? (uintptr_t)ro : (uintptr_t)mem) + 56 + (k == 2 ? 2 : 0));
		assert_true(r.wg.fault.write || k == 0);
		assert_int_equal(r.wg.fault.not_present, k == 0);
	}
	runner_unmap(&r, ro);
	runner_unmap(&r, mem);
}

static void test_buffer_struct(void **state)
{
	uint32_t *mem = runner_alloc(&r, 4096, RW);
	struct wave *w = unit("u_buffer_struct");

	for (unsigned i = 0; i < 1024; i++)
		mem[i] = i;
	fill(w, 1, 8);
	resource(w, 0, mem, 12, 50, SELECT_XYZW);
	run();
	for (unsigned l = 0; l < 64; l++) {
		VGPR(10, l, l < 50 ? 3 * l + 2 : 0);
		VGPR(11, l, l < 50 ? 3 * l + 1 : 0);
	}
	runner_unmap(&r, mem);
}

static void test_buffer_format(void **state)
{
	uint8_t *mem = runner_alloc(&r, 4096, RW);
	struct wave *w = unit("u_buffer_format");
	float f[4];

	for (unsigned i = 0; i < 256; i++)
		mem[i] = i;
	resource(w, 0, mem, 4, 64, SELECT_XYZW | 0 << 12 | 10 << 15);	       /* 8_8_8_8 unorm */
	resource(w, 4, mem + 1024, 8, 64, SELECT_XYZW | 7 << 12 | 12 << 15); /* 16_16_16_16 float */
	run();
	for (unsigned l = 0; l < 64; l++)
		for (unsigned i = 0; i < 4; i++) {
			uint16_t h;

			memcpy(&f[i], &w->vgpr[10 + i][l], 4);
			assert_true(f[i] == (float)((4 * l + i) / 255.0));
			memcpy(&h, mem + 1024 + 8 * l + 2 * i, 2);
			/* a half has 11 significant bits */
			assert_true(fabs(ldexp((h & 0x3ff) + (h >> 10 ? 1024 : 0), (h >> 10 ? h >> 10 : 1) - 25) - f[i]) <= f[i] / 2048);
		}
	runner_unmap(&r, mem);
}

static void test_tbuffer(void **state)
{
	float *mem = runner_alloc(&r, 4096, RW);
	struct wave *w = unit("u_tbuffer");

	for (unsigned i = 0; i < 256; i++)
		mem[i] = i * 0.5f;
	resource(w, 0, mem, 16, 64, 0);
	run();
	for (unsigned l = 0; l < 64; l++) {
		for (unsigned i = 0; i < 3; i++)
			assert_memory_equal(&w->vgpr[10 + i][l], &mem[4 * l + i], 4);
	}
	VGPR(13, 1, 0x41004000); /* 2.0 and 2.5 as halves */
	runner_unmap(&r, mem);
}

static void test_buffer_lds(void **state)
{
	uint32_t *mem = runner_alloc(&r, 4096, RW);
	struct wave *w = unit("u_buffer_lds");

	for (unsigned l = 0; l < 64; l++) {
		mem[l] = 7 * l;
		w->vgpr[0][l] = 4 * (63 - l);
		w->vgpr[1][l] = 4 * l;
	}
	resource(w, 0, mem, 0, 4096, SELECT_XYZW);
	run();
	for (unsigned l = 0; l < 64; l++)
		VGPR(10, l, 7 * (63 - l));
	runner_unmap(&r, mem);
}

static void test_scratch_buffer(void **state)
{
	uint8_t *mem = runner_alloc(&r, 8192, RW);
	uint32_t *d = (uint32_t *)(void *)mem;
	struct wave *w = unit("u_scratch_buffer");

	for (unsigned l = 0; l < 64; l++) {
		w->vgpr[0][l] = 4;
		w->vgpr[2][l] = 0x22222200 + l;
		w->vgpr[3][l] = 0x33333300 + l;
		w->vgpr[4][l] = 0xee;
	}
	resource(w, 0, mem, 0, UINT32_MAX, 1u << 23 | 3 << 21 | 4 << 15);
	w->sgpr[1] |= 1u << 31;
	run();
	for (unsigned l = 0; l < 64; l++) {
		assert_int_equal(d[128 + l], 0x22222200 + l);
		assert_int_equal(d[192 + l], 0x33333300 + l);
		assert_int_equal(d[64 + l], 0x0000ee00);
		VGPR(11, l, 0x0000ee00);
		VGPR(12, l, 0x22222200 + l);
		VGPR(13, l, 0x33333300 + l);
		VGPR(14, l, (0x22222200 + l) << 16);
	}
	runner_unmap(&r, mem);
}

/* ------------------------------------------------------------------ global, flat, scratch */

static void test_global(void **state)
{
	uint8_t *mem = runner_alloc(&r, 12288, GPU_PROT_READ);
	struct wave *w = unit("u_global");

	for (unsigned i = 0; i < 12288; i++)
		mem[i] = i * 7 + (i >> 8);
	addresses(w, 0, (uintptr_t)mem + 4096 - 131, 5); /* misaligned, across a page */
	put64(w, 0, (uintptr_t)mem);
	run();
	for (unsigned l = 0; l < 64; l++) {
		const uint8_t *p = mem + 4096 - 131 + 5 * l;
		uint32_t v[4];

		memcpy(v, p, 4);
		VGPR(10, l, v[0]);
		memcpy(v, p - 4, 12);
		for (unsigned i = 0; i < 3; i++)
			VGPR(12 + i, l, v[i]);
		VGPR(15, l, (uint32_t)p[3] << 16);
		memcpy(v, mem + 16, 16);
		for (unsigned i = 0; i < 4; i++)
			VGPR(16 + i, l, v[i]);
	}
	runner_unmap(&r, mem);
}

static void test_faults(void **state)
{
	uint8_t *ro = runner_alloc(&r, 4096, GPU_PROT_READ);
	struct wave *w = unit("u_global_store");

	addresses(w, 0, (uintptr_t)ro, 4);
	assert_int_equal(go(), EXEC_MEMORY_FAULT);
	assert_true(r.wg.fault.write && !r.wg.fault.not_present && !r.wg.fault.no_execute);
	assert_int_equal(r.wg.fault.va, (uintptr_t)ro);
	assert_int_equal(r.wg.fault.pc, (uintptr_t)codeobj_symbol(&co, "u_global_store"));
	assert_int_equal(*(uint32_t *)(void *)ro, 0);

	w = unit("u_global_load");
	addresses(w, 0, 0x1000, 4);
	WAVE_EXEC(w) = 1ull << 9;
	assert_int_equal(go(), EXEC_MEMORY_FAULT);
	assert_true(!r.wg.fault.write && r.wg.fault.not_present);
	assert_int_equal(r.wg.fault.va, 0x1024);

	w = unit("u_global_load"); /* inactive lanes' addresses are garbage and not touched */
	addresses(w, 0, 0x1000, 4);
	w->vgpr[0][5] = (uint32_t)(uintptr_t)ro;
	w->vgpr[1][5] = (uintptr_t)ro >> 32;
	WAVE_EXEC(w) = 1 << 5;
	run();

	w = unit("u_global_atomic"); /* misaligned */
	addresses(w, 0, (uintptr_t)r.scratch + 2, 8);
	assert_int_equal(go(), EXEC_MEMORY_FAULT);

	/* Code in memory that may not be executed, and none at all. */
	unit("u_flow")->pc = (uintptr_t)ro;
	assert_int_equal(go(), EXEC_MEMORY_FAULT);
	assert_true(r.wg.fault.no_execute && !r.wg.fault.not_present);
	unit("u_flow")->pc = 0x10000;
	assert_int_equal(go(), EXEC_MEMORY_FAULT);
	assert_true(r.wg.fault.not_present);
	unit("u_flow")->pc += 2;
	assert_int_equal(go(), EXEC_ILLEGAL);
	runner_unmap(&r, ro);
}

static void test_global_atomic(void **state)
{
	uint64_t *mem = runner_alloc(&r, 4096, RW);
	struct wave *w = unit("u_global_atomic");

	for (unsigned i = 0; i < 64; i++)
		mem[i] = 90 + (i & 1);
	addresses(w, 0, (uintptr_t)mem, 8);
	fill(w, 2, 10);
	fill(w, 3, 100);
	run();
	for (unsigned l = 0; l < 64; l++) {
		uint32_t start = 90 + (l & 1), sum = start + 10, after = sum == 100 ? 10 : sum;

		VGPR(10, l, start);
		VGPR(11, l, sum);
		VGPR(12, l, after);
		VGPR(13, l, 0);
		assert_int_equal(mem[l], after + 1); /* below the limit of 100 << 32 | 10 */
	}
	runner_unmap(&r, mem);
}

static void test_flat(void **state)
{
	uint32_t *mem = runner_alloc(&r, 4096, RW);
	uint32_t *scratch = runner_alloc(&r, 65536, RW);
	struct wave *w = unit("u_flat");

	put64(w, SGPR_FLAT_SCRATCH, (uintptr_t)scratch);
	for (unsigned l = 0; l < 64; l++) {
		uint64_t a = l % 3 == 0	  ? (uintptr_t)&mem[l]
			     : l % 3 == 1 ? (1ull << 48) + 4 * l
					  : (2ull << 48) + 4 * (l % 8);

		w->vgpr[0][l] = a;
		w->vgpr[1][l] = a >> 32;
		w->vgpr[2][l] = 5;
		mem[l] = 1000 + l;
		memcpy(r.wg.lds + 4 * l, &(uint32_t){2000 + l}, 4);
		scratch[64 * (l % 8) + l] = 3000 + l;
	}
	run();
	for (unsigned l = 0; l < 64; l++) {
		uint32_t lds;

		VGPR(10, l, 1000 * (l % 3 + 1) + l);
		VGPR(11, l, 5);
		VGPR(12, l, 5);
		VGPR(13, l, 10);
		memcpy(&lds, r.wg.lds + 4 * l, 4);
		assert_int_equal(mem[l], l % 3 == 0 ? 10 : 1000 + l);
		assert_int_equal(lds, l % 3 == 1 ? 10 : 2000 + l);
		assert_int_equal(scratch[64 * (l % 8) + l], l % 3 == 2 ? 10 : 3000 + l);
	}
	runner_unmap(&r, mem);
	runner_unmap(&r, scratch);
}

static void test_scratch(void **state)
{
	uint32_t *scratch = runner_alloc(&r, 65536, RW);
	struct wave *w = unit("u_scratch");

	put64(w, SGPR_FLAT_SCRATCH, (uintptr_t)scratch);
	for (unsigned l = 0; l < 64; l++) {
		w->vgpr[0][l] = 0;
		w->vgpr[2][l] = 100 + l;
		w->vgpr[3][l] = 200 + l;
	}
	run();
	for (unsigned l = 0; l < 64; l++) {
		assert_int_equal(scratch[64 + l], 100 + l);
		assert_int_equal(scratch[128 + l], 200 + l);
		VGPR(10, l, 200 + l);
		VGPR(11, l, 100 + l);
	}
	runner_unmap(&r, scratch);
}

/* ------------------------------------------------------------------ code cache and set-up */

static void test_patch(void **state)
{
	uint32_t *code = codeobj_symbol(&co, "u_patch");
	struct wave *w = unit("u_patch");

	run();
	SGPR(10, 0x1111);
	*code = (*code & 0xffff0000) | 0x2222;
	w = unit("u_patch"); /* revalidates */
	run();
	SGPR(10, 0x2222);
	*code = (*code & 0xffff0000) | 0x1111;
}

static void test_straddle(void **state)
{
	struct wave *w = unit("u_straddle");
	uint32_t *code = codeobj_symbol(&co, "u_straddle");

	assert_int_equal((uintptr_t)code & 0xfff, 0xffc);
	run();
	SGPR(10, 0x12345678);
	code[1]++; /* only the part in the next page */
	w = unit("u_straddle");
	run();
	SGPR(10, 0x12345679);
	code[1]--;
}

static void test_setup(void **state)
{
	struct dispatch_setup s = {
		.target = co.target,
		.rsrc1 = 3,
		.rsrc2 = 1 | 15 << 1 | 7 << 7 | 1 << 10 | 2 << 11,
		.rsrc3 = 3,
		.properties = 0x7f,
		.wg_size = {10, 5, 3},
		.grid = {25, 5, 3},
		.num_wg = {3, 1, 1},
		.group_segment_size = 1000,
		.private_segment_size = 77,
		.kernarg_va = 0x300000004,
		.dispatch_packet_va = 0x100000002,
		.queue_va = 0x200000003,
		.dispatch_id = 0x500000006,
		.scratch_rsrc = {11, 12, 13, 14},
		.scratch_base = 0x700000008,
		.scratch_wave_bytes = 4096,
	};
	static const uint32_t user[] = {11, 12, 13, 14, 2, 1, 3, 2, 4, 3, 6, 5, 8, 7, 77};
	struct wave *w;

	assert_true(exec_wg_bytes(&s) >= 1024 + 3 * 16 * 256);
	r.wg.scratch_slot = 5;
	assert_int_equal(exec_wg_init(&r.wg, &s, (uint32_t[]){2, 0, 0}), 0);
	/* At the edge of the grid: 5 x 5 x 3 items, two waves. */
	assert_int_equal(r.wg.num_waves, 2);
	assert_int_equal(r.wg.lds_size, 1024);
	w = &r.wg.waves[1];
	for (unsigned i = 0; i < 15; i++)
		SGPR(i, user[i]);
	SGPR(15, 2);
	SGPR(16, 0);
	SGPR(17, 0);
	SGPR(18, 2); /* not the first wave; 2 waves */
	SGPR(19, 6 * 4096);
	assert_int_equal(WAVE_EXEC(w), (1ull << 11) - 1);
	assert_int_equal(WAVE_EXEC(&r.wg.waves[0]), ~0ull);
	for (unsigned l = 0; l < 11; l++) {
		unsigned i = 64 + l, x = i % 5, y = i / 5 % 5, z = i / 25;

		if (co.target == ISA_GFX90A) {
			VGPR(0, l, x | y << 10 | z << 20);
			continue;
		}
		VGPR(0, l, x);
		VGPR(1, l, y);
		VGPR(2, l, z);
	}
	if (co.target == ISA_GFX90A) { /* one file of 32 registers, AGPRs from 16 on */
		assert_int_equal(w->num_vgprs, 16);
		assert_int_equal(w->num_agprs, 16);
		assert_ptr_equal(w->agpr, w->vgpr + 16);
	}
	/* Refused: too many work-items, none, too much LDS, a group outside the grid. */
	s.wg_size[2] = 30;
	assert_true(exec_wg_bytes(&s) < 0);
	s.wg_size[2] = 0;
	assert_true(exec_wg_bytes(&s) < 0);
	s.wg_size[2] = 3;
	s.group_segment_size = 65537;
	assert_true(exec_wg_bytes(&s) < 0);
	s.group_segment_size = 65536;
	assert_true(exec_wg_bytes(&s) > 65536);
	assert_true(exec_wg_init(&r.wg, &s, (uint32_t[]){3, 0, 0}) < 0);
	r.wg.scratch_slot = 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_salu),	      cmocka_unit_test(test_sop1),
		cmocka_unit_test(test_exec),	      cmocka_unit_test(test_hwreg),
		cmocka_unit_test(test_flow),	      cmocka_unit_test(test_smem),
		cmocka_unit_test(test_traps),	      cmocka_unit_test(test_message),
		cmocka_unit_test(test_preemption),    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_gpr_index),     cmocka_unit_test(test_lds_rw),
		cmocka_unit_test(test_lds_two),	      cmocka_unit_test(test_lds_bounds),
		cmocka_unit_test(test_lds_atomic),    cmocka_unit_test(test_lds_append),
		cmocka_unit_test(test_swizzle),	      cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_buffer_atomics), cmocka_unit_test(test_buffer_struct), cmocka_unit_test(test_buffer_format),
		cmocka_unit_test(test_tbuffer),	      cmocka_unit_test(test_buffer_lds),
		cmocka_unit_test(test_scratch_buffer), cmocka_unit_test(test_global),
		cmocka_unit_test(test_faults),	      cmocka_unit_test(test_global_atomic),
		cmocka_unit_test(test_flat),	      cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_patch),	      cmocka_unit_test(test_straddle),
		cmocka_unit_test(test_setup),	      cmocka_unit_test(test_preemption_without_loops),
	};
	int failed;

	if (argc != 2 || codeobj_load(&co, argv[1]) || runner_init(&r, co.target)) {
		fprintf(stderr, "usage: test_units UNITS.o\n");
		return 2;
	}
	runner_map(&r, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	runner_free(&r);
	codeobj_free(&co);
	return failed;
}
