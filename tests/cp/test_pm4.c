/* SPDX-License-Identifier: MIT */
/* Plain PM4 queues. */
#include "gpu/soft/cp/cp.h"
#include "tests/cp/client.h"

#include <string.h>

static int open_client(void **state)
{
	static struct client c;

	client_open(&c, "gfx90a", 2, NULL, NULL);
	*state = &c;
	return 0;
}

static int close_client(void **state)
{
	client_close(*state);
	return 0;
}

#define LO(x)	      (uint32_t)(x)
#define HI(x)	      (uint32_t)((uint64_t)(x) >> 32)
#define PM4(op, body) (0xc0000000u | ((body)-1u) << 16 | (op) << 8)
#define PUT(r, ...)                                                                                \
	do {                                                                                       \
		uint32_t dw_[] = {__VA_ARGS__};                                                    \
		ring_put(r, dw_, sizeof(dw_) / 4);                                                 \
	} while (0)

static void garbage(void **state)
{
	static const struct {
		uint32_t dw[4];
		unsigned num;
	} bad[] = {
		{{0, 0, 0, 0}, 4},	   /* type 0 */
		{{0x40000000}, 1},	   /* type 1 */
		{{PM4(0x79, 2), 0, 0}, 3}, /* registers */
		{{PM4(0xff, 3), 0, 0, 0}, 4},
		{{PM4(0x37, 3), 0, 0, 0}, 4}, /* too short for WRITE_DATA */
		{{PM4(0x10, 1000), 0}, 2},    /* longer than what was submitted */
		{{PM4(0x3f, 3), 0, 0, 4}, 4}, /* IB at 0 */
	};
	struct client *c = *state;
	struct gpu_vm_stats stats;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]) + 1; i++) {
		struct ring r;

		ring_open(&r, c, GPU_QUEUE_PM4, 4096);
		if (i < sizeof(bad) / sizeof(bad[0])) {
			ring_put(&r, bad[i].dw, bad[i].num);
			ring_ring(&r);
		} else {
			atomic_store(r.doorbell, 1025);
		}
		for (unsigned k = 0; k < 10000; k++) {
			gpu_vm_get_stats(c->vm, &stats);
			if (stats.queue_errors == i + 1)
				break;
			sleep_ms(1);
		}
		assert_int_equal(stats.queue_errors, i + 1);
		assert_int_equal(atomic_load(r.rptr), 0);
		gpu_queue_destroy(r.queue);
	}
	assert_int_equal(atomic_load(&c->faults), 0);
}

static void every_packet(void **state)
{
	struct client *c = *state;
	uint64_t va, src_va, dst_va, poll_va, ib_va;
	uint64_t *word = client_alloc(c, 128, &va), before;
	uint8_t *src = client_alloc(c, 1 << 20, &src_va), *dst = client_alloc(c, 1 << 20, &dst_va);
	_Atomic uint32_t *poll = client_alloc(c, 8, &poll_va);
	uint32_t *ib = client_alloc(c, 64, &ib_va);
	struct ring r;

	for (unsigned i = 0; i < 1 << 20; i++)
		src[i] = (uint8_t)(i * 7 + (i >> 8));
	ring_open(&r, c, GPU_QUEUE_PM4, 4096);
	before = gpu_clock(c->gpu);
	PUT(&r, 0x80000000); /* type 2 */
	PUT(&r, 0xffff1000); /* NOP of one dword */
	PUT(&r, PM4(0x10, 3), 1, 2, 3);
	PUT(&r, PM4(0x37, 5), 5 << 8, LO(va), HI(va), 1, 2);
	PUT(&r, PM4(0x37, 5), 5 << 8 | 1 << 16, LO(va + 8), HI(va), 3, 4); /* one address */
	PUT(&r, PM4(0x40, 5), 1 | 5 << 8 | 1 << 16, LO(va), HI(va), LO(va + 16),
	    HI(va));								/* COPY_DATA 64 */
	PUT(&r, PM4(0x40, 5), 5 | 5 << 8, 99, 0, LO(va + 24), HI(va));		/* immediate */
	PUT(&r, PM4(0x40, 5), 9 | 5 << 8 | 1 << 16, 0, 0, LO(va + 32), HI(va)); /* clock */
	PUT(&r, PM4(0x1e, 8), 47, LO(va + 24), HI(va), 1, 0, 0, 0, 0);		/* ATOMIC_MEM */
	PUT(&r, PM4(0x50, 6), 0, LO(src_va), HI(src_va), LO(dst_va), HI(dst_va),
	    1 << 20); /* DMA_DATA */
	PUT(&r, PM4(0x58, 6), 0, 0, 0, 0, 0, 0);
	PUT(&r, PM4(0x46, 1), 7 | 4 << 8);
	PUT(&r, PM4(0x3f, 3), LO(ib_va), HI(ib_va), 5);
	ib[0] = PM4(0x37, 4);
	ib[1] = 5 << 8;
	ib[2] = LO(va + 40);
	ib[3] = HI(va);
	ib[4] = 123;
	PUT(&r, PM4(0x3c, 6), 3 | 1 << 4, LO(poll_va), HI(poll_va), 6, 7, 4); /* WAIT_REG_MEM */
	PUT(&r, PM4(0x49, 7), 0, 2u << 29 | 2u << 24, LO(va + 48), HI(va), 0x55, 0x66,
	    17); /* RELEASE_MEM */
	ring_ring(&r);
	sleep_ms(3);
	assert_int_equal(atomic_load(&c->events[17]), 0);
	atomic_store(poll, 0xe);
	assert_true(wait_u64(&c->events[17], 1, 10000));
	assert_true(ring_drain(&r, 10000));
	assert_int_equal(word[0], 1 | 2ull << 32);
	assert_int_equal(word[1], 4);
	assert_int_equal(word[2], word[0]);
	assert_int_equal(word[3], 100);
	assert_true(word[4] >= before && word[4] <= gpu_clock(c->gpu));
	assert_int_equal(word[5], 123);
	assert_int_equal(word[6], 0x55 | 0x66ull << 32);
	assert_memory_equal(dst, src, 1 << 20);
}

static void wrap(void **state)
{
	struct client *c = *state;
	uint64_t va;
	uint32_t *word = client_alloc(c, 128, &va);
	struct ring r;

	ring_open(&r, c, GPU_QUEUE_PM4, 256);
	for (unsigned i = 0; i < 500; i++) {
		PUT(&r, PM4(0x37, 6), 5 << 8, LO(va), HI(va), i, i + 1, i + 2);
		ring_ring(&r);
		assert_true(ring_drain(&r, 10000));
		assert_int_equal(word[0], i);
		assert_int_equal(word[2], i + 2);
	}
}

/* One step moves so much, however many packets it is asked in: others wait for it. The lock keeps
 * the CP thread out; this thread steps. */
static void one_pass(struct gpu_queue *q)
{
	q->vm->copy_left = COPY_BYTES_PER_PASS;
	queue_step(q);
}

static void a_step_is_bounded(void **state)
{
	enum { PACKETS = 30, SIZE = 256 << 10, LONG = 4000 };
	struct client *c = *state;
	uint64_t src_va, dst_va, copies, writes;
	uint8_t *dst;
	struct ring r;

	client_alloc(c, SIZE, &src_va);
	dst = client_alloc(c, SIZE + 4 * LONG, &dst_va);
	ring_open(&r, c, GPU_QUEUE_PM4, 1 << 20);
	for (unsigned i = 0; i < PACKETS; i++)
		PUT(&r, PM4(0x50, 6), 0, LO(src_va), HI(src_va), LO(dst_va), HI(dst_va), SIZE);
	for (unsigned i = 0; i < PACKETS; i++) {
		PUT(&r, PM4(0x37, 3 + LONG), 5 << 8, LO(dst_va), HI(dst_va));
		for (unsigned k = 0; k < LONG; k++)
			PUT(&r, i);
	}
	pthread_mutex_lock(&c->gpu->lock);
	ring_ring(&r);
	pthread_rwlock_rdlock(&c->vm->map_lock);
	one_pass(r.queue);
	copies = r.queue->rptr / 7;
	for (unsigned i = 0; i < PACKETS && r.queue->rptr < 7 * PACKETS; i++)
		one_pass(r.queue);
	one_pass(r.queue);
	writes = (r.queue->rptr - 7 * PACKETS) / (4 + LONG);
	pthread_rwlock_unlock(&c->vm->map_lock);
	pthread_mutex_unlock(&c->gpu->lock);
	assert_int_equal(copies, 1);
	assert_in_range(writes, 1, 5);
	assert_true(ring_drain(&r, 20000));
	assert_int_equal(dst[4 * (LONG - 1)], PACKETS - 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_client, close_client)
	const struct CMUnitTest tests[] = {T(garbage), T(every_packet), T(wrap),
					   T(a_step_is_bounded)};

	return cmocka_run_group_tests_name("cp/pm4", tests, NULL, NULL);
}
