/* SPDX-License-Identifier: MIT */
/* The whole software GPU: compiled kernels through AQL queues. Arguments: target, code object. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/cp/real.h"

static const char *target, *object_path;

struct real {
	struct client c;
	struct codeobj co;
	struct aql q;
};

static int open_real(void **state)
{
	struct real *r = calloc(1, sizeof(*r));

	client_open(&r->c, target, 2, NULL);
	real_load(&r->c, &r->co, object_path);
	aql_open(&r->q, &r->c, 64, true);
	*state = r;
	return 0;
}

static int close_real(void **state)
{
	struct real *r = *state;

	client_close(&r->c);
	codeobj_free(&r->co);
	free(r);
	return 0;
}

static void fills(void **state)
{
	struct real *r = *state;
	struct client *c = &r->c;
	struct signal *done = client_signal(c, 3, 0);
	struct {
		uint64_t out;
		uint32_t base;
	} args = {.base = 77};
	uint32_t *out = client_alloc(c, 256 * 1000 * 4, &args.out);
	struct packet p = real_packet(c, &r->co, "fill", &args, 12, 256, 1000, 0, done);

	for (unsigned i = 0; i < 3; i++)
		aql_submit(&r->q, &p);
	assert_true(wait_value(&done->value, 0, 20000));
	for (uint32_t i = 0; i < 256 * 1000; i++)
		assert_int_equal(out[i], 77 + i);
}

static void sums(void **state)
{
	struct real *r = *state;
	struct client *c = &r->c;
	struct signal *done = client_signal(c, 1, 0);
	struct {
		uint64_t out, in;
		uint32_t tmp;
	} args = {0};
	uint32_t *out = client_alloc(c, 100 * 4, &args.out),
		 *in = client_alloc(c, 100 * 512 * 4, &args.in);
	struct packet p;

	for (unsigned i = 0; i < 100 * 512; i++)
		in[i] = i * 2654435761u;
	p = real_packet(c, &r->co, "sum", &args, 20, 512, 100, 512 * 4, done);
	aql_submit(&r->q, &p);
	assert_true(wait_value(&done->value, 0, 20000));
	for (unsigned g = 0; g < 100; g++) {
		uint32_t want = 0;

		for (unsigned i = 0; i < 512; i++)
			want += in[g * 512 + i];
		assert_int_equal(out[g], want);
	}
}

static void all_meet(void **state)
{
	struct real *r = *state;
	struct client *c = &r->c;
	struct signal *done = client_signal(c, 1, 0);
	struct {
		uint64_t arrived;
		uint32_t groups, rounds;
	} args = {.groups = 24, .rounds = 3};
	uint32_t *arrived = client_alloc(c, 4, &args.arrived);
	struct packet p = real_packet(c, &r->co, "all_meet", &args, 16, 128, 24, 0, done);

	aql_submit(&r->q, &p);
	assert_true(wait_value(&done->value, 0, 30000));
	assert_int_equal(*arrived, 24 * 3);
}

static void runaway(void **state)
{
	struct real *r = *state;
	struct client *c = &r->c;
	uint64_t flag, begin, best = ~0ull;

	client_alloc(c, 4, &flag);
	for (unsigned i = 0; i < 5; i++) {
		struct signal *done = client_signal(c, 1, 0);
		struct packet p = real_packet(c, &r->co, "forever", &flag, 8, 256, 40, 0, done);
		struct aql q;

		aql_open(&q, c, 16, true);
		aql_submit(&q, &p);
		sleep_ms(5);
		begin = clock_ns();
		gpu_queue_destroy(q.queue);
		if (clock_ns() - begin < best)
			best = clock_ns() - begin;
		assert_int_equal(atomic_load(&done->value), 1);
	}
	assert_in_range(best, 0, 50000000);
}

static void scratch(void **state)
{
	struct real *r = *state;
	struct client *c = &r->c;
	struct signal *done = client_signal(c, 1, 0);
	struct {
		uint64_t out, index;
	} args;
	uint32_t *out = client_alloc(c, 64 * 100 * 4, &args.out),
		 *index = client_alloc(c, 64 * 4, &args.index), lane, wave_kib;
	uint64_t base;
	struct packet p;

	for (unsigned i = 0; i < 64; i++)
		index[i] = i * 37 + 5;
	p = real_packet(c, &r->co, "scratch", &args, 16, 64, 100, 0, done);
	aql_submit(&r->q, &p);
	if (p.dw[5]) {
		/* as the runtime does: whole KiBs a wave, 16 waves */
		assert_true(wait_value(&r->q.inactive->value, 1, 5000));
		lane = (p.dw[5] + 15) & ~15u;
		wave_kib = lane * 64 / 1024;
		client_alloc(c, (size_t)wave_kib * 1024 * 16, &base);
		uint32_t words[11] = {16 | wave_kib << 12,
				      (uint32_t)base,
				      (uint32_t)(base >> 32) & 0xffff,
				      wave_kib * 1024 * 16,
				      0,
				      (uint32_t)base,
				      (uint32_t)(base >> 32),
				      wave_kib * 1024 * 16,
				      0,
				      lane,
				      0};

		words[2] |= 1u << 31;  /* SWIZZLE_ENABLE */
		words[4] = 0x00ea4fac; /* ROCr's word 3: dst_sel, formats, element 4 bytes, index
					  stride 64, add tid */
		memcpy(r->q.amd + 0x8c, words, sizeof(words));
		atomic_store(&r->q.inactive->value, 0);
	}
	assert_true(wait_value(&done->value, 0, 20000));
	for (uint32_t i = 0; i < 6400; i++) {
		uint32_t a = index[i & 63] & 63, b = index[(i + 1) & 63] & 63;

		assert_int_equal(out[i], a * i + index[a] + b * i + index[b]);
	}
}

static void wild_access(void **state)
{
	struct real *r = *state;
	struct client *c = &r->c;
	uint64_t out;
	struct packet p;

	client_alloc(c, 4096, &out);
	p = real_packet(c, &r->co, "wild", &out, 8, 64, 4, 0, NULL);
	aql_submit(&r->q, &p);
	assert_true(wait_uint(&c->faults, 1, 5000));
	assert_true(c->fault.not_present);
}

static void traps(void **state)
{
	struct real *r = *state;
	struct client *c = &r->c;
	uint64_t out;
	struct packet p;

	client_alloc(c, 4096, &out);
	p = real_packet(c, &r->co, "trap", &out, 8, 64, 4, 0, NULL);
	aql_submit(&r->q, &p);
	assert_true(wait_value(&r->q.error->value, 1, 5000));
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_real, close_real)
	const struct CMUnitTest tests[] = {T(fills),   T(sums),	       T(all_meet), T(runaway),
					   T(scratch), T(wild_access), T(traps)};

	if (argc != 3) {
		fprintf(stderr, "usage: test_cp_exec TARGET CODE-OBJECT\n");
		return 2;
	}
	target = argv[1];
	object_path = argv[2];
	return cmocka_run_group_tests_name("cp/exec", tests, NULL, NULL);
}
