/* SPDX-License-Identifier: MIT */
/*
 * Random packets, pointers and doorbells into queues of every type. Nothing is asserted but that
 * the GPU survives, that a process that did nothing wrong keeps working beside, and that everything
 * can be destroyed. Same seeds every time.
 */
#include "tests/cp/client.h"

#include <stdlib.h>
#include <string.h>

static uint64_t seed;
static bool tame; /* no wild addresses in this round: it gets further before a fault ends it */

static uint32_t rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33);
}

/* Addresses: mostly of the first MiB of the pool's data, its end, or wild. */
static uint64_t rnd_va(uint64_t data)
{
	switch (tame ? 4 : rnd() % 8) {
	case 0:
		return (uint64_t)rnd() << 32 | rnd();
	case 1:
		return POOL_VA + POOL_SIZE - rnd() % 128;
	case 2:
		return 0;
	case 3:
		return data + rnd() % 4096;
	}
	return data + rnd() % 1024 * 8;
}

static void random_aql(struct client *c, struct aql *q, struct kernel *k, uint64_t data)
{
	for (unsigned i = 0; i < q->packets; i++) {
		struct packet p =
			dispatch_packet(c, k,
					(struct fake_args){rnd() % 14, rnd_va(data),
							   rnd() % 2 ? rnd_va(data) : rnd() % 4},
					1 + rnd() % 1024, 1 + rnd() % 50, NULL);
		uint64_t signal = rnd() % 2 ? 0 : rnd_va(data);

		memcpy(&p.dw[13], &signal, 8);
		switch (rnd() % 6) {
		case 0:
			p.header = (uint16_t)(rnd() % 8);
			p.setup = (uint16_t)(rnd() % 5);
			break;
		case 1:
			p.dw[rnd() % 15] = rnd() % 3 ? rnd() : 0;
			break;
		case 2: /* IB somewhere */
			p.header = 0;
			p.setup = 1;
			p.dw[0] = 0xc0023f00;
			p.dw[1] = (uint32_t)data;
			p.dw[2] = (uint32_t)(data >> 32);
			p.dw[3] = rnd() % 2048;
			break;
		case 3:
			p.dw[5] = rnd() % 2 ? rnd() : rnd() % 512;
			break;
		}
		memcpy(&q->ring[i], &p, sizeof(p));
	}
	atomic_store(aql_write_id(q), rnd() % 4 ? q->packets : (uint64_t)rnd() << 20);
	atomic_store(q->doorbell, rnd() % 4 ? q->packets - 1 : ~0ull - rnd() % 3);
}

static void random_ring(struct ring *r, uint64_t data)
{
	static const uint32_t sdma[] = {0, 1, 1,  1 | 4 << 8, 2,	   5,
					6, 8, 10, 11,	      13 | 2 << 8, 17 | 1 << 8};
	static const uint8_t pm4[] = {0x10, 0x1e, 0x37, 0x3c, 0x3f, 0x40,
				      0x46, 0x49, 0x50, 0x58, 0x93, 0x76};

	for (unsigned n = 0; n + 80 < r->size; n = (unsigned)r->wptr) {
		uint32_t dw[20], len = 1 + rnd() % 14;
		uint64_t va = rnd_va(data), to = rnd_va(data);

		for (unsigned i = 0; i < 20; i++)
			dw[i] = rnd() % 3 ? rnd() % 5000 : rnd();
		if (r->desc.type == GPU_QUEUE_SDMA) {
			static const uint8_t sizes[] = {1, 7, 7, 13, 6, 4, 2, 6, 8, 5, 3, 5};
			unsigned op = rnd() % 12, at = sdma[op] == 1 ? 3 : 1;

			len = sizes[op];
			dw[0] = sdma[op] | (rnd() % 3 ? 0 : rnd() << 16);
			if (sdma[op] == 2)
				dw[3] = 1;
			memcpy(&dw[at], &va, 8);
			memcpy(&dw[at == 3 ? 5 : 6], &to, 8);
		} else {
			dw[0] = 0xc0000000 | (len - 1) << 16 | (uint32_t)pm4[rnd() % 12] << 8;
			dw[1] = rnd() % 2 ? 5 << 8 | 1 : dw[1];
			memcpy(&dw[2], &va, 8);
			memcpy(&dw[4], &to, 8);
			len++;
		}
		if (rnd() % 50 == 0)
			dw[0] = rnd();
		ring_put(r, dw, len);
	}
	if (rnd() % 8 == 0)
		r->wptr += rnd() % 64;
	ring_ring(r);
}

static void fuzz(void **state)
{
	struct client good, *g = &good;
	struct kernel gk;
	struct aql gq;

	for (unsigned round = 0; round < 60; round++) {
		struct client client, *c = &client;
		struct signal *done;
		struct packet p;
		uint64_t data;
		uint8_t *bytes;
		struct kernel k;
		struct aql q[3];
		struct ring s[2], m[2];

		seed = round * 7919 + 1;
		tame = round & 2;
		client_open(c, round & 1 ? "gfx900" : "gfx90a", 2, NULL, NULL);
		client_open(g, "gfx90a", 1, NULL, NULL);
		aql_open(&gq, g, 16, true);
		client_kernel(g, &gk, 32);
		bytes = client_alloc(c, 65536, &data);
		for (unsigned i = 0; i < 65536; i += 4) {
			uint32_t v = rnd() % 4 ? 0xc0011000 : rnd();

			memcpy(bytes + i, &v, 4);
		}
		client_kernel(c, &k, 32);
		for (unsigned i = 0; i < 3; i++) {
			aql_describe(&q[i], c, 64, i & 1);
			random_aql(c, &q[i], &k, data);
			assert_int_equal(gpu_queue_create(c->vm, &q[i].desc, &q[i].queue), 0);
		}
		for (unsigned i = 0; i < 2; i++) {
			ring_open(&s[i], c, GPU_QUEUE_SDMA, 4096);
			random_ring(&s[i], data);
			ring_open(&m[i], c, GPU_QUEUE_PM4, 4096);
			random_ring(&m[i], data);
		}
		done = client_signal(g, 20, 0);
		p = dispatch_packet(g, &gk, (struct fake_args){FAKE_END, 0, 0}, 64, 2, done);
		for (unsigned i = 0; i < 20; i++)
			aql_submit(&gq, &p);
		assert_true(wait_value(&done->value, 0, 10000));
		sleep_ms(round % 8);
		client_close(c);
		client_close(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fuzz)};

	return cmocka_run_group_tests_name("cp/fuzz", tests, NULL, NULL);
}
