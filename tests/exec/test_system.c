/* SPDX-License-Identifier: MIT */
/*
 * test_system.c - what surrounds arithmetic and is rare in compiled code: scalar atomics, forks, traps and their handlers, vector skip, global wave sync,
 * the global data share, LDS to LDS, FP16 overflow. Snippets: system.s.
 *
 * usage: test_system SYSTEM.o
 */
#include "tests/exec/unit.h"

#define STATUS_PRIV (1u << 5)

/* ------------------------------------------------------------------ scalar atomics */

struct atomic_case {
	const char *unit;
	uint32_t (*f32)(uint32_t old, uint32_t v);
	uint64_t (*f64)(uint64_t old, uint64_t v);
};

#define ATOMIC(name, expr32, expr64)                                                                                   \
	static uint32_t name##32(uint32_t m, uint32_t v)                                                               \
	{                                                                                                              \
		return expr32;                                                                                         \
	}                                                                                                              \
	static uint64_t name##64(uint64_t m, uint64_t v)                                                               \
	{                                                                                                              \
		return expr64;                                                                                         \
	}
#define BOTH(name, expr) ATOMIC(name, expr, expr)
BOTH(swap, (m - m) + v)
BOTH(add, m + v)
BOTH(sub, m - v)
ATOMIC(smin, (int32_t)m < (int32_t)v ? m : v, (int64_t)m < (int64_t)v ? m : v)
ATOMIC(smax, (int32_t)m < (int32_t)v ? v : m, (int64_t)m < (int64_t)v ? v : m)
BOTH(umin, m < v ? m : v)
BOTH(umax, m < v ? v : m)
BOTH(and, m & v)
BOTH(or, m | v)
BOTH(xor, (m | v) - (m & v))
BOTH(inc, m < v ? m + 1 : 0)
BOTH(dec, m - 1 < v ? m - 1 : v) /* 0 - 1 is the largest number */

#define CASE(name) {"u_atomic_" #name, name##32, name##64}
static const struct atomic_case atomics[] = {CASE(swap), CASE(add), CASE(sub), CASE(smin), CASE(umin), CASE(smax),
					     CASE(umax), CASE(and), CASE(or),  CASE(xor),  CASE(inc),  CASE(dec)};

static void buffer_at(struct wave *w, unsigned s, const void *base, uint32_t bytes)
{
	put64(w, s, (uintptr_t)base);
	w->sgpr[s + 2] = bytes;
	w->sgpr[s + 3] = 0;
}

static void test_scalar_atomics(void **state)
{
	static const uint64_t values[] = {0, 1, 5, UINT64_MAX, 0x8000000080000000ull, 0x7fffffff7fffffffull, 0xffffffff00000003ull};
	uint32_t *mem = runner_alloc(&r, 4096, RW);
	uint64_t *wide = (uint64_t *)mem;

	for (size_t c = 0; c < sizeof(atomics) / sizeof(atomics[0]); c++)
		for (unsigned i = 0; i < 7; i++)
			for (unsigned k = 0; k < 7; k++) {
				struct wave *w = unit(atomics[c].unit);
				uint64_t m = values[i], v = values[k], want = atomics[c].f64(m, v);
				uint32_t want32 = atomics[c].f32(m, v);

				mem[0] = m;
				wide[1] = m;
				mem[4] = m;
				wide[3] = m;
				mem[8] = m;
				put64(w, 0, (uintptr_t)mem);
				w->sgpr[2] = 8;
				buffer_at(w, 4, mem, 64);
				w->sgpr[10] = w->sgpr[14] = w->sgpr[18] = v;
				put64(w, 12, v);
				put64(w, 16, v);
				run();
				assert_int_equal(mem[0], want32);
				assert_int_equal(mem[4], want32);
				assert_int_equal(mem[8], want32);
				assert_true(wide[1] == want && wide[3] == want);
				SGPR(10, m);
				SGPR(14, m);
				SGPR(18, v); /* no return */
				assert_true(get64(w, 12) == m && get64(w, 16) == m);
			}
	runner_unmap(&r, mem);
}

static void test_scalar_cmpswap(void **state)
{
	for (unsigned equal = 0; equal < 2; equal++) {
		uint32_t *mem = runner_alloc(&r, 4096, RW);
		uint64_t *wide = (uint64_t *)mem, big = 0x1234567800000005ull;
		struct wave *w = unit("u_atomic_cmpswap");

		mem[0] = mem[4] = 5;
		wide[1] = wide[3] = big;
		mem[16] = 5;
		put64(w, 0, (uintptr_t)mem);
		buffer_at(w, 4, mem, 0x40);
		w->sgpr[10] = w->sgpr[16] = w->sgpr[24] = 77;
		w->sgpr[11] = w->sgpr[17] = w->sgpr[25] = equal ? 5 : 6;
		put64(w, 12, 88);
		put64(w, 14, equal ? big : 5);
		put64(w, 20, 88);
		put64(w, 22, equal ? big : 5);
		run();
		assert_int_equal(mem[0], equal ? 77 : 5);
		assert_int_equal(mem[4], equal ? 77 : 5);
		assert_true(wide[1] == (equal ? 88 : big) && wide[3] == (equal ? 88 : big));
		SGPR(10, 5);
		SGPR(11, equal ? 5 : 6);
		SGPR64(12, big);
		SGPR(16, 5);
		SGPR64(20, big);
		SGPR(24, 0); /* out of range */
		assert_int_equal(mem[16], 5);
		runner_unmap(&r, mem);
	}
}

static void test_scalar_atomic_faults(void **state)
{
	uint32_t *mem = runner_alloc(&r, 4096, GPU_PROT_READ);
	struct wave *w = unit("u_atomic_misaligned");

	put64(w, 0, (uintptr_t)mem);
	assert_int_equal(go(), EXEC_MEMORY_FAULT);
	w = unit("u_atomic_add"); /* not writable */
	put64(w, 0, (uintptr_t)mem);
	assert_int_equal(go(), EXEC_MEMORY_FAULT);
	assert_true(r.wg.fault.write);
	assert_true(r.wg.fault.va == (uintptr_t)mem);
	runner_unmap(&r, mem);
}

/* ------------------------------------------------------------------ flow */

static void test_fork(void **state)
{
	static const uint64_t masks[] = {0, UINT64_MAX, 1, ~1ull, 0xffffffff, 0xff};

	for (unsigned i = 0; i < 6; i++) {
		uint64_t mask = masks[i];
		struct wave *w = unit("u_fork");

		put64(w, 0, mask);
		run();
		for (unsigned l = 0; l < 64; l++)
			VGPR(1, l, mask >> l & 1 ? 2 : 1);
		SGPR64(26, i < 2 ? UINT64_MAX : __builtin_popcountll(mask) > 32 ? mask : ~mask); /* EXEC of the side that came last */
		SGPR(30, i < 2 ? 1 : 2);
		SGPR(28, 0);
		if (mask)
			SGPR64(24, mask);
		if (~mask)
			SGPR64(22, ~mask);
	}
}

static void test_nested_fork(void **state)
{
	uint64_t a = 0xff00ff00ff00ff00ull, b = 0x3333333333333333ull;
	struct wave *w = unit("u_ifork");
	unsigned last = 0;

	put64(w, 20, a);
	put64(w, 22, b);
	run();
	for (unsigned l = 0; l < 64; l++) {
		unsigned side = a >> l & 1 ? 2 : b >> l & 1 ? 3 : 1;

		assert_true(w->vgpr[1][l] == side || w->vgpr[1][l] == side + 16);
		last |= (w->vgpr[1][l] >= 16) << side;
	}
	assert_true(last && !(last & (last - 1))); /* one side came out of the last join */
	assert_int_equal(w->mode >> 29, 0);
}

static void test_vskip(void **state)
{
	struct wave *w = unit("u_vskip");

	memset(r.wg.lds, 0, LDS_BYTES);
	run();
	VGPR(1, 5, 1);
	SGPR64(10, 0);
	SGPR(12, 0);
	SGPR(13, 7);
	SGPR(14, co.target == ISA_GFX90A ? VGPRS / 8 - 1 : VGPRS / 4 - 1);
	VGPR(2, 5, 3);
	assert_int_equal(r.wg.lds[1], 0);
	assert_int_equal(w->num_vgprs, VGPRS);
}

static void test_setkill(void **state)
{
	struct wave *w = unit("u_setkill");

	run();
	SGPR(11, 1);
	SGPR(12, 0);
}

static void test_priority(void **state)
{
	struct wave *w = unit("u_priority");

	run();
	SGPR(10, 2);
	SGPR(12, 1);
	w = unit("u_priority");
	w->status |= 1u << 20; /* COND_DBG_USER */
	run();
	SGPR(11, 1);
	SGPR(12, 0);
	w = unit("u_priority");
	w->status |= 1u << 21; /* COND_DBG_SYS */
	run();
	SGPR(11, 0);
}

static uint32_t heard[4], times;

static void hear(struct workgroup *wg, uint32_t msg, uint32_t m0)
{
	heard[0] = msg;
	heard[1] = m0;
	heard[2] = wg->waves[0].status;
	times++;
}

static void test_messages(void **state)
{
	struct wave *w = unit("u_doorbell");

	r.wg.doorbell = 0x12c;
	r.wg.message = hear;
	times = 0;
	run();
	SGPR(10, 0x12c);
	assert_int_equal(times, 1); /* the second message: system, operation 1 */
	assert_int_equal(heard[0], 0x1f);
	unit("u_msghalt");
	assert_int_equal(go(), EXEC_TRAP);
	assert_int_equal(heard[0], 1);
	assert_int_equal(heard[1], 0x77);
	r.wg.message = NULL;
	w = &r.wg.waves[0];
	SGPR(10, 0);
}

/* ------------------------------------------------------------------ traps */

static void test_handler(void **state)
{
	uint64_t tma = 0x123456789000ull, at;
	struct wave *w = unit("u_trapping");

	at = w->pc;
	r.wg.tba = (uintptr_t)codeobj_symbol(&co, "u_handler");
	r.wg.tma = tma;
	w->sgpr[108 + 11] = 0xffffffff;
	run();
	SGPR(10, 11);
	SGPR(11, 1);
	SGPR(50, 2);
	assert_true(w->sgpr[40] & STATUS_PRIV);
	assert_true(!(w->status & STATUS_PRIV));
	/* of the second trap */
	SGPR(42, at + 12);
	SGPR(43, (at + 12) >> 32 | 3 << 16);
	SGPR(44, 0xff7fff80);
	assert_int_equal(w->sgpr[45] & (STATUS_PRIV | 1), 1);
	SGPR64(46, tma);
	SGPR(48, r.wg.tba >> 8);
	SGPR(49, r.wg.tba >> 40);
	r.wg.tba = 0;
}

static void test_halting_handler(void **state)
{
	struct wave *w = unit("u_trapping");
	uint64_t at = w->pc;

	r.wg.tba = (uintptr_t)codeobj_symbol(&co, "u_halting");
	r.wg.message = hear;
	times = 0;
	assert_int_equal(go(), EXEC_TRAP);
	assert_int_equal(r.wg.fault.trap_id, 5);
	assert_int_equal(times, 1);
	assert_int_equal(heard[0], 1 | MSG_FROM_HANDLER);
	assert_int_equal(heard[1], 0x404);
	assert_true(heard[2] & STATUS_PRIV);
	SGPR(40, 1); /* HALT counts only after the return */
	assert_true(w->pc == at + 4);
	unit("u_trapping");
	r.wg.tba = (uintptr_t)codeobj_symbol(&co, "u_nested");
	assert_int_equal(go(), EXEC_TRAP);
	assert_int_equal(r.wg.fault.trap_id, 7);
	r.wg.message = NULL;
	r.wg.tba = 0;
	unit("u_trapping"); /* and without a handler */
	assert_int_equal(go(), EXEC_TRAP);
	assert_int_equal(r.wg.fault.trap_id, 5);
	w = unit("u_status_locked");
	run();
	SGPR(10, 0);
}

/* ------------------------------------------------------------------ global wave sync */

static void test_gws_barrier(void **state)
{
	struct wave *w = unit("u_gws_init");
	uint32_t sum = 0;

	fill(w, 10, 1);
	run();
	w = unit_group("u_gws_barrier", 128);
	memset(r.wg.lds, 0, 8);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned l = 0; l < 64; l++)
			w[i].vgpr[10][l] = 1;
		w[i].sgpr[0] = 20;
		w[i].sgpr[1] = i;
		WAVE_EXEC(&w[i]) = 1ull << (17 + i);
	}
	for (unsigned n = 0; n < 1000 && go() == EXEC_YIELD; n++)
		;
	/* In round n each wave has added n times, and neither is a round ahead when the other looks. */
	for (unsigned n = 1; n <= 20; n++)
		sum += 2 * n;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(w[i].state, WAVE_ENDED);
		assert_int_equal(w[i].vgpr[5][17 + i], sum);
	}
}

static void test_gws_semaphore(void **state)
{
	struct workgroup waiting[2] = {0};
	struct wave *w;

	/* Two work-groups wait; one is let go, then the other. */
	for (unsigned i = 0; i < 2; i++) {
		w = unit("u_gws_p");
		assert_int_equal(go(), EXEC_YIELD);
		assert_int_equal(go(), EXEC_YIELD);
		SGPR(10, 1);
		SGPR(11, 0);
		waiting[i] = r.wg;
		waiting[i].waves[0].wg = &waiting[i];
		r.wg.mem = NULL;
	}
	unit("u_gws_v");
	run();
	assert_int_equal(exec_run(&waiting[1], &r.view, 1000, &never), EXEC_DONE);
	assert_int_equal(exec_run(&waiting[0], &r.view, 1000, &never), EXEC_YIELD);
	unit("u_gws_release"); /* as many as wait: one */
	run();
	assert_int_equal(exec_run(&waiting[0], &r.view, 1000, &never), EXEC_DONE);
	w = unit("u_gws_br"); /* the first active lane's number: 3 */
	WAVE_EXEC(w) = ~7ull;
	run();
	for (unsigned i = 0; i < 4; i++) {
		w = unit("u_gws_p");
		assert_int_equal(go(), i < 3 ? EXEC_DONE : EXEC_YIELD);
	}
	unit("u_gws_v");
	run();
	exec_wg_free(&waiting[0]);
	exec_wg_free(&waiting[1]);
}

/* ------------------------------------------------------------------ modes and vector odds */

static void test_ovfl(void **state)
{
	struct wave *w = unit("u_ovfl");

	fill(w, 1, 0x4b000000); /* 2^23 */
	fill(w, 2, 0xfbffu * 0x10001); /* -65504 */
	fill(w, 3, 0xfc00); /* -infinity */
	run();
	VGPR(10, 3, 0x7c00);
	VGPR(11, 3, 0x7c00);
	VGPR(12, 3, 0xfc00fc00);
	VGPR(13, 3, 0x7bff);
	VGPR(14, 3, 0x7bff);
	VGPR(15, 3, 0xfbfffbff);
	VGPR(16, 3, 0xfc00); /* infinite by itself */
	VGPR(17, 3, 0);
	VGPR(18, 3, 0x7bff);
	VGPR(19, 3, 0);
	w = unit("u_ovfl");
	fill(w, 2, 0x7bff);
	fill(w, 3, 0x7c00);
	run();
	VGPR(17, 3, 0x7bff);
	VGPR(19, 3, 0x7c00);
}

static uint32_t lds32(unsigned at)
{
	uint32_t v;

	memcpy(&v, r.wg.lds + at, 4);
	return v;
}

static void set_lds32(unsigned at, uint32_t v)
{
	memcpy(r.wg.lds + at, &v, 4);
}

static void test_src2(void **state)
{
	struct wave *w = unit("u_src2");

	fill(w, 1, 64);
	fill(w, 2, 128 | (uint32_t)-8 << 17); /* from 32 bytes below */
	set_lds32(64, 100);
	set_lds32(68, 1);
	set_lds32(80, 7);
	set_lds32(48, 8);
	set_lds32(96, 0x1234);
	WAVE_EXEC(w) = 1;
	run();
	/* 100 + 7 at 64, then the pair at 48 (distance -4 dwords) is taken from the pair there */
	assert_int_equal(lds32(64), 107 - 8);
	assert_int_equal(lds32(68), 1);
	assert_int_equal(lds32(128), 0x1234);
}

static void test_src2_kinds(void **state)
{
	static const struct {
		const char *unit;
		uint32_t a, b, want;
	} cases[] = {
		{"u_add_src2_u32", 5, 0xffffffff, 4},
		{"u_sub_src2_u32", 5, 7, (uint32_t)-2},
		{"u_rsub_src2_u32", 5, 7, 2},
		{"u_inc_src2_u32", 7, 7, 0},
		{"u_inc_src2_u32", 6, 7, 7},
		{"u_dec_src2_u32", 0, 7, 7},
		{"u_dec_src2_u32", 5, 7, 4},
		{"u_min_src2_i32", 5, 0xfffffff0, 0xfffffff0},
		{"u_max_src2_i32", 5, 0xfffffff0, 5},
		{"u_min_src2_u32", 5, 0xfffffff0, 5},
		{"u_max_src2_u32", 5, 0xfffffff0, 0xfffffff0},
		{"u_and_src2_b32", 0xff0, 0x0ff, 0x0f0},
		{"u_or_src2_b32", 0xff0, 0x0ff, 0xfff},
		{"u_xor_src2_b32", 0xff0, 0x0ff, 0xf0f},
		{"u_write_src2_b32", 1, 2, 2},
		{"u_min_src2_f32", 0x40000000, 0xc0000000, 0xc0000000},
		{"u_max_src2_f32", 0x40000000, 0xc0000000, 0x40000000},
		{"u_add_src2_f32", 0x40000000, 0x3f800000, 0x40400000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wave *w = unit(cases[i].unit);

		fill(w, 1, 16);
		set_lds32(16, cases[i].a);
		set_lds32(20, cases[i].b);
		WAVE_EXEC(w) = 2;
		run();
		assert_int_equal(lds32(16), cases[i].want);
		assert_int_equal(lds32(20), cases[i].b);
	}
}

static void test_gds(void **state)
{
	struct wave *w = unit("u_gds");

	for (unsigned v = 10; v <= 17; v++)
		fill(w, v, 99);
	set_lds32(0, 5);
	WAVE_EXEC(w) = 0xff;
	run();
	for (unsigned v = 10; v <= 17; v++) {
		VGPR(v, 3, v == 11 ? 99 : 0);
		VGPR(v, 8, 99);
	}
	assert_int_equal(lds32(0), 5);
}

static void test_lds_direct(void **state)
{
	struct wave *w = unit("u_lds_direct");

	set_lds32(8, 0x8091a2b3);
	w->sgpr[0] = 8 | 2 << 16; /* dword */
	w->sgpr[1] = 8 | 4 << 16; /* signed byte */
	w->sgpr[2] = 10 | 1 << 16; /* unsigned short */
	w->sgpr[3] = LDS_BYTES | 2 << 16; /* outside */
	fill(w, 13, 1);
	run();
	VGPR(10, 63, 0x8091a2b3);
	VGPR(11, 0, 0xffffffb3);
	VGPR(12, 5, 0x8091);
	VGPR(13, 5, 0);
}

static void test_tfe(void **state)
{
	uint32_t *mem = runner_alloc(&r, 4096, RW);
	struct wave *w = unit("u_tfe");

	for (unsigned i = 0; i < 1024; i++)
		mem[i] = 7 + i;
	buffer_at(w, 4, mem, 64);
	w->sgpr[5] |= 4u << 16; /* stride */
	w->sgpr[7] = 4 | 5 << 3 | 6 << 6 | 7 << 9 | 4 << 12 | 4 << 15; /* 32 bits, unsigned */
	fill(w, 12, 99);
	fill(w, 15, 99);
	for (unsigned l = 0; l < 64; l++)
		w->vgpr[1][l] = l;
	run();
	VGPR(10, 9, 7);
	VGPR(11, 9, 8);
	VGPR(12, 9, 0);
	VGPR(14, 9, 7);
	VGPR(15, 9, 0);
	for (unsigned l = 0; l < 64; l++)
		assert_int_equal(lds32(0x10 + 4 * l), 7 + l);
	runner_unmap(&r, mem);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalar_atomics),	 cmocka_unit_test(test_scalar_cmpswap),
		cmocka_unit_test(test_scalar_atomic_faults), cmocka_unit_test(test_fork),
		cmocka_unit_test(test_nested_fork),	 cmocka_unit_test(test_vskip),
		cmocka_unit_test(test_setkill),		 cmocka_unit_test(test_priority),
		cmocka_unit_test(test_messages),	 cmocka_unit_test(test_handler),
		cmocka_unit_test(test_halting_handler),	 cmocka_unit_test(test_gws_barrier),
		cmocka_unit_test(test_gws_semaphore),	 cmocka_unit_test(test_ovfl),
	};
	const struct CMUnitTest gfx900_tests[] = {
		cmocka_unit_test(test_src2),	   cmocka_unit_test(test_src2_kinds), cmocka_unit_test(test_gds),
		cmocka_unit_test(test_lds_direct), cmocka_unit_test(test_tfe),
	};
	int failed;

	if (argc != 2 || codeobj_load(&co, argv[1]) || runner_init(&r, co.target)) {
		fprintf(stderr, "usage: test_system SYSTEM.o\n");
		return 2;
	}
	runner_map(&r, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (co.target == ISA_GFX900)
		failed += cmocka_run_group_tests(gfx900_tests, NULL, NULL);
	runner_free(&r);
	codeobj_free(&co);
	return failed;
}
