/* SPDX-License-Identifier: MIT */
/* The whole software GPU: compiled kernels through AQL queues. Arguments: target, code object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

	client_open(&r->c, target, 2, NULL, NULL);
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

/* A profile says what really ran, and how much of it was counted: the first work-group and some of the others. */
static void profiled(void **state)
{
	char path[] = "/tmp/hsavisor-profile-XXXXXX", text[65536], want[80];
	const struct gpu_profile profile = {.path = path, .program = "test"};
	const struct gpu_config config = {.target = target, .threads = 2, .profile = &profile};
	unsigned long long counted, all, instructions;
	struct real *r = calloc(1, sizeof(*r));
	struct client *c = &r->c;
	struct {
		uint64_t out;
		uint32_t base;
	} args = {.base = 77};
	struct signal *done;
	int fd = mkstemp(path);
	struct packet p;
	uint32_t *out;
	const char *at;
	ssize_t n;

	assert_true(fd >= 0);
	client_open_config(c, &config);
	real_load(c, &r->co, object_path);
	aql_open(&r->q, c, 64, true);
	done = client_signal(c, 3, 0);
	out = client_alloc(c, 256 * 1000 * 4, &args.out);
	p = real_packet(c, &r->co, "fill", &args, 12, 256, 1000, 0, done);
	for (unsigned i = 0; i < 3; i++)
		aql_submit(&r->q, &p);
	assert_true(wait_value(&done->value, 0, 20000));
	for (uint32_t i = 0; i < 256 * 1000; i++)
		assert_int_equal(out[i], 77 + i);
	client_close(c);
	codeobj_free(&r->co);
	free(r);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	unlink(path);
	assert_true(n > 0);
	text[n] = 0;
	snprintf(want, sizeof(want), "(test): 1 kernels");
	assert_non_null(strstr(text, want));
	assert_non_null(strstr(text, "dispatches 3, work-groups 3000,"));
	at = strstr(text, "counted: ");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "counted: %llu of %llu work-groups", &counted, &all), 2);
	assert_int_equal(all, 3000);
	assert_in_range(counted, 1, 1000);
	assert_int_equal(sscanf(strchr(at, '\n') + 1, " %llu instructions", &instructions), 1);
	/* Each wave stores once and ends once: 4 waves a work-group. */
	snprintf(want, sizeof(want), "memory store         %llu\n", 4 * counted);
	assert_non_null(strstr(text, want));
	assert_true(instructions > 4 * counted * 3);
	assert_non_null(strstr(text, "64.0 of 64 lanes active"));
	assert_non_null(strstr(text, "s_endpgm"));
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
	p = real_packet(c, &r->co, "wild", &out, 8, 64, 1, 0, NULL);
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

/* The same kernel started by registers, twice, from a PM4 queue. */
static void pm4_dispatch(void **state)
{
	struct real *r = *state;
	struct client *c = &r->c;
	struct {
		uint64_t out;
		uint32_t base;
	} args = {.base = 5};
	uint32_t *out = client_alloc(c, 64 * 50 * 4, &args.out), user[16] = {0}, n = 0;
	struct packet p = real_packet(c, &r->co, "fill", &args, 12, 64, 50, 0, NULL);
	struct kernel_descriptor *kd = codeobj_symbol(&r->co, "fill.kd");
	uint64_t entry, kernarg, bad;
	struct ring ring;

	memcpy(&entry, &p.dw[7], 8);
	entry += (uint64_t)kd->entry_offset;
	memcpy(&kernarg, &p.dw[9], 8);
	/* before the kernel arguments' address: what the descriptor's bits 0-2 ask for */
	n = (kd->properties & 1 ? 4 : 0) + (kd->properties & 2 ? 2 : 0) +
	    (kd->properties & 4 ? 2 : 0);
	memcpy(&user[n], &kernarg, 8);
	ring_open(&ring, c, GPU_QUEUE_PM4, 4096);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t set_pgm[] = {0xc0027600, 0x20c, (uint32_t)(entry >> 8),
				      (uint32_t)(entry >> 40)};
		uint32_t set_rsrc[] = {0xc0027600, 0x212, kd->rsrc1, kd->rsrc2};
		uint32_t set_rsrc3[] = {0xc0017600, 0x22d, kd->rsrc3};
		uint32_t set_threads[] = {0xc0037600, 0x207, 64, 1, 1};
		uint32_t set_user[18] = {0xc0107600, 0x240};
		uint32_t go[] = {0xc0031500, i ? 64 * 50 : 50, 1, 1, i ? 1 | 1 << 5 : 1};
		uint32_t end[] = {0xc0064900, 0, 2u << 24 | 0u << 29, 0, 0, 0, 0, 33};

		memset(out, 0, 64 * 50 * 4);
		memcpy(set_user + 2, user, sizeof(user));
		ring_put(&ring, set_pgm, 4);
		ring_put(&ring, set_rsrc, 4);
		ring_put(&ring, set_rsrc3, 3);
		ring_put(&ring, set_threads, 5);
		ring_put(&ring, set_user, 18);
		ring_put(&ring, go, 5);
		ring_put(&ring, end, 8);
		ring_ring(&ring);
		assert_true(wait_u64(&c->events[33], i + 1, 20000));
		for (uint32_t k = 0; k < 64 * 50; k++)
			assert_int_equal(out[k], 5 + k);
	}
	/* code that is not there: an error, not a crash */
	bad = 0x7700000000;
	uint32_t set_bad[] = {0xc0027600, 0x20c, (uint32_t)(bad >> 8), (uint32_t)(bad >> 40)};
	uint32_t go[] = {0xc0031500, 1, 1, 1, 1};
	struct gpu_vm_stats stats;

	ring_put(&ring, set_bad, 4);
	ring_put(&ring, go, 5);
	ring_ring(&ring);
	for (unsigned i = 0; i < 20000; i++) {
		gpu_vm_get_stats(c->vm, &stats);
		if (stats.queue_errors)
			break;
		sleep_ms(1);
	}
	assert_int_equal(stats.queue_errors, 1);
	assert_int_equal(stats.dispatches, 2);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_real, close_real)
	const struct CMUnitTest tests[] = {T(fills),   T(sums),	       T(all_meet),
					   T(runaway), T(scratch),     T(wild_access),
					   T(traps),   T(pm4_dispatch),
					   cmocka_unit_test(profiled)};

	if (argc != 3) {
		fprintf(stderr, "usage: test_cp_exec TARGET CODE-OBJECT\n");
		return 2;
	}
	target = argv[1];
	object_path = argv[2];
	return cmocka_run_group_tests_name("cp/exec", tests, NULL, NULL);
}
