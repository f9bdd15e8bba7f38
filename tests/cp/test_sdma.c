/* SPDX-License-Identifier: MIT */
/* SDMA queues: each packet, garbage, ring wrap, chunks. */
#include "tests/cp/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

#define LO(x) (uint32_t)(x)
#define HI(x) (uint32_t)((uint64_t)(x) >> 32)
#define PUT(r, ...)                                                                                \
	do {                                                                                       \
		uint32_t dw_[] = {__VA_ARGS__};                                                    \
		ring_put(r, dw_, sizeof(dw_) / 4);                                                 \
	} while (0)

static void fill_random(uint8_t *p, size_t size)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24);
	}
}

/* ------------------------------------------------------------------ garbage */

static void garbage(void **state)
{
	static const uint32_t headers[] = {
		3, /* unknown op */
		0xff,
		0xffffffff,
		1 | 3 << 8,	       /* unknown copy */
		1 | 4 << 8 | 7u << 29, /* rectangle with 128-byte elements */
		10,		       /* atomic operation 0 */
		5 | 1 << 8,	       /* unknown fence */
	};
	struct client *c = *state;
	struct gpu_vm_stats stats;

	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		uint64_t word_va;
		_Atomic uint64_t *word = client_alloc(c, 8, &word_va);
		struct ring r;

		ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
		PUT(&r, headers[i], LO(word_va), HI(word_va), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
		PUT(&r, 5, LO(word_va), HI(word_va), 1);
		ring_ring(&r);
		sleep_ms(2);
		for (unsigned k = 0; k < 10000; k++) {
			gpu_vm_get_stats(c->vm, &stats);
			if (stats.queue_errors == i + 1)
				break;
			sleep_ms(1);
		}
		assert_int_equal(stats.queue_errors, i + 1);
		assert_int_equal(atomic_load(word), 0);
		assert_int_equal(atomic_load(r.rptr), 0);
		gpu_queue_destroy(r.queue);
	}
}

static void bad_pointers(void **state)
{
	static const uint64_t doorbells[] = {2, 4100, ~0ull, 1ull << 63, 20};
	struct client *c = *state;
	struct gpu_vm_stats stats;

	for (unsigned i = 0; i < 5; i++) {
		struct ring r;

		ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
		PUT(&r, 1, 99, 0, 0, 0, 0, 0); /* a copy cut short by doorbell 20 */
		atomic_store(r.doorbell, doorbells[i]);
		for (unsigned k = 0; k < 10000; k++) {
			gpu_vm_get_stats(c->vm, &stats);
			if (stats.queue_errors == i + 1)
				break;
			sleep_ms(1);
		}
		assert_int_equal(stats.queue_errors, i + 1);
		gpu_queue_destroy(r.queue);
	}
	assert_int_equal(atomic_load(&c->faults), 0);
}

static void faults(void **state)
{
	uint64_t no = 0x7700000000;

	for (unsigned i = 0; i < 10; i++) {
		struct client client, *c = &client;
		struct ring r;

		client_open(c, "gfx900", 1, NULL, NULL);
		ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
		switch (i) {
		case 0:
			PUT(&r, 1, 99, 0, LO(POOL_VA), HI(POOL_VA), LO(no), HI(no));
			break;
		case 1:
			PUT(&r, 1, 99, 0, LO(no), HI(no), LO(POOL_VA), HI(POOL_VA));
			break;
		case 2:
			PUT(&r, 2, LO(no), HI(no), 0, 1);
			break;
		case 3:
			PUT(&r, 5, LO(no), HI(no), 1);
			break;
		case 4:
			PUT(&r, 8 | 1u << 31, LO(no), HI(no), 0, 0, 0);
			break;
		case 5:
			PUT(&r, 10 | 47u << 25, LO(no), HI(no), 0, 0, 0, 0, 0);
			break;
		case 6:
			PUT(&r, 11, LO(no), HI(no), 0, 3);
			break;
		case 7:
			PUT(&r, 13 | 2 << 8, LO(no), HI(no));
			break;
		case 8: /* the ring itself goes away */
			gpu_vm_unmap(c->vm, r.desc.ring_va & ~0xfffull, 8192);
			PUT(&r, 0);
			break;
		case 9: /* a rectangle */
			PUT(&r, 1 | 4 << 8, LO(POOL_VA), HI(POOL_VA), 0, 0, 0, LO(no), HI(no), 0, 0,
			    0, 3 | 3 << 16, 0);
			break;
		}
		ring_ring(&r);
		assert_true(wait_uint(&c->faults, 1, 10000));
		assert_true(c->fault.not_present);
		if (i != 8)
			assert_int_equal(c->fault.va, no);
		client_close(c);
	}
}

/* ------------------------------------------------------------------ packets */

static void every_packet(void **state)
{
	struct client *c = *state;
	uint64_t src_va, dst_va, word_va, sig_va, poll_va, before;
	uint8_t *src = client_alloc(c, 8192, &src_va), *dst = client_alloc(c, 8192, &dst_va);
	uint64_t *word = client_alloc(c, 64, &word_va);
	_Atomic int64_t *sig = client_alloc(c, 8, &sig_va);
	_Atomic uint32_t *poll = client_alloc(c, 8, &poll_va);
	struct gpu_vm_stats stats;
	struct ring r;

	fill_random(src, 8192);
	ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
	PUT(&r, 0);
	PUT(&r, 0 | 3 << 16, ~0u, ~0u, ~0u); /* NOP with 3 dwords of anything */
	PUT(&r, 1, 4999, 0, LO(src_va + 3), HI(src_va), LO(dst_va + 1), HI(dst_va));
	PUT(&r, 2, LO(word_va), HI(word_va), 2, 11, 22, 33);
	PUT(&r, 5, LO(word_va + 16), HI(word_va), 44);
	PUT(&r, 8, 0, 0x80000000, 0, 0, 0); /* HDP flush */
	PUT(&r, 17 | 1 << 8, 0, 0, 0, 0);   /* GCR */
	PUT(&r, 13 | 2 << 8, LO(word_va + 24), HI(word_va));
	PUT(&r, 10 | 47u << 25, LO(sig_va), HI(sig_va), ~0u, ~0u, 0, 0, 0);
	PUT(&r, 6, 21);
	PUT(&r, 11 | 2u << 30, LO(dst_va + 6000), HI(dst_va), 0xdeadbeef, 99 * 4);
	PUT(&r, 8 | 3u << 28 | 1u << 31, LO(poll_va), HI(poll_va), 0x50, 0xf0, 0xfff0004);
	PUT(&r, 5, LO(word_va + 32), HI(word_va), 55);
	atomic_store(sig, 1);
	before = gpu_clock(c->gpu);
	ring_ring(&r);
	assert_true(wait_u64(&c->events[21], 1, 10000));
	assert_true(wait_value(sig, 0, 10000));
	assert_memory_equal(dst + 1, src + 3, 5000);
	assert_int_equal(dst[0] | dst[5001], 0);
	assert_int_equal(word[0], 11 | 22ull << 32);
	assert_int_equal(word[1], 33);
	assert_int_equal(word[2], 44);
	assert_true(word[3] >= before && word[3] <= gpu_clock(c->gpu));
	for (unsigned i = 0; i < 4; i++) { /* the poll does not hold yet */
		atomic_store(poll, i);
		sleep_ms(1);
	}
	assert_int_equal(word[4], 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(((uint32_t *)(dst + 6000))[i], 0xdeadbeef);
	assert_int_equal(((uint32_t *)(dst + 6000))[100], 0);
	atomic_store(poll, 0xa5f);
	assert_true(ring_drain(&r, 10000));
	assert_int_equal(word[4], 55);
	gpu_vm_get_stats(c->vm, &stats);
	assert_int_equal(stats.sdma_packets, 13);
	assert_int_equal(stats.queue_errors, 0);
}

static void rectangles(void **state)
{
	struct client *c = *state;
	uint64_t src_va, dst_va;
	uint8_t *src = client_alloc(c, 1 << 20, &src_va), *dst = client_alloc(c, 1 << 20, &dst_va);
	uint8_t *want = calloc(1, 1 << 20);
	struct ring r;

	fill_random(src, 1 << 20);
	ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
	for (unsigned element = 0; element <= 4; element++) {
		/* all in elements */
		unsigned w = 13, h = 7, d = 3, sp = 40, ss = 40 * 20, dp = 17, ds = 17 * 9, sx = 2,
			 sy = 5, sz = 1, dx = 1, dy = 2, dz = 0;

		memset(dst, 0, 1 << 20);
		memset(want, 0, 1 << 20);
		for (unsigned z = 0; z < d; z++) {
			for (unsigned y = 0; y < h; y++)
				memcpy(want + ((((dz + z) * ds) + (dy + y) * dp + dx) << element),
				       src + ((((sz + z) * ss) + (sy + y) * sp + sx) << element),
				       w << element);
		}
		PUT(&r, 1 | 4 << 8 | element << 29, LO(src_va), HI(src_va), sx | sy << 16,
		    sz | (sp - 1) << 13, ss - 1, LO(dst_va), HI(dst_va), dx | dy << 16,
		    dz | (dp - 1) << 13, ds - 1, (w - 1) | (h - 1) << 16, d - 1);
		ring_ring(&r);
		assert_true(ring_drain(&r, 10000));
		assert_memory_equal(dst, want, 1 << 20);
	}
	free(want);
}

static void atomics(void **state)
{
	static const struct {
		unsigned op;
		uint64_t old, src, cmp, want;
	} cases[] = {
		{47, 5, ~0ull, 0, 4},
		{111, 5, 7, 0, 12},
		{39, 1, 9, 0, 9},
		{40, 1, 9, 1, 9},
		{40, 2, 9, 1, 2},
		{48, 5, 7, 0, -2ull},
		{49, 5, -7ull, 0, -7ull},
		{50, 5, -7ull, 0, 5},
		{51, 5, -7ull, 0, 5},
		{52, 5, -7ull, 0, -7ull},
		{53, 6, 3, 0, 2},
		{54, 6, 3, 0, 7},
		{55, 6, 3, 0, 5},
		{56, 6, 6, 0, 0},
		{57, 0, 6, 0, 6},
		{15, 0x1ffffffff, 1, 0, 0x100000000},
		{17, 0x100000005, 0xfffffff0, 0, 0x1fffffff0},
	};
	struct client *c = *state;
	uint64_t va;
	_Atomic uint64_t *word = client_alloc(c, 8, &va);
	struct ring r;

	ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		atomic_store(word, cases[i].old);
		PUT(&r, 10 | cases[i].op << 25, LO(va), HI(va), LO(cases[i].src), HI(cases[i].src),
		    LO(cases[i].cmp), HI(cases[i].cmp), 0);
		ring_ring(&r);
		assert_true(ring_drain(&r, 10000));
		assert_int_equal(atomic_load(word), cases[i].want);
	}
	/* looping compare-and-swap waits for its value */
	atomic_store(word, 3);
	PUT(&r, 10 | 1 << 16 | 40u << 25, LO(va), HI(va), 8, 0, 4, 0, 0);
	ring_ring(&r);
	sleep_ms(3);
	assert_int_equal(atomic_load(word), 3);
	atomic_store(word, 4);
	assert_true(ring_drain(&r, 10000));
	assert_int_equal(atomic_load(word), 8);
}

/* Packets of odd sizes through a small ring, many times around. */
static void wrap(void **state)
{
	struct client *c = *state;
	uint64_t va, src_va, dst_va;
	uint32_t *out = client_alloc(c, 64 * 4, &va), data[64];
	uint8_t *src = client_alloc(c, 4096, &src_va), *dst = client_alloc(c, 4096, &dst_va);
	struct ring r;

	ring_open(&r, c, GPU_QUEUE_SDMA, 512);
	fill_random(src, 4096);
	for (unsigned round = 0; round < 500; round++) {
		unsigned n = 1 + round % 60, len = 1 + round * 7 % 4000;

		for (unsigned i = 0; i < n; i++)
			data[i] = round * 1000 + i;
		memset(dst, 0, 4096);
		PUT(&r, 2, LO(va), HI(va), n - 1);
		ring_put(&r, data, n);
		PUT(&r, 1, len - 1, 0, LO(src_va), HI(src_va), LO(dst_va), HI(dst_va));
		ring_ring(&r);
		assert_true(ring_drain(&r, 10000));
		assert_memory_equal(out, data, n * 4);
		assert_memory_equal(dst, src, len);
		assert_int_equal(dst[len], 0);
	}
}

/* A big copy and fill, with unaligned ends, while another queue goes on and this one is suspended
 * in the middle. */
static void big(void **state)
{
	struct client *c = *state;
	uint64_t src_va, dst_va, size = 5 * 1000 * 1000 + 3;
	uint8_t *src = client_alloc(c, size, &src_va), *dst = client_alloc(c, size + 8, &dst_va);
	struct ring r;

	fill_random(src, size);
	ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
	for (unsigned i = 0; i < 20; i++) {
		dst[size + 1] = 0;
		memset(dst, 0, 4096);
		PUT(&r, 1, (uint32_t)size - 1, 0, LO(src_va), HI(src_va), LO(dst_va + 1),
		    HI(dst_va));
		ring_ring(&r);
		gpu_vm_suspend(c->vm);
		gpu_vm_resume(c->vm);
		assert_true(ring_drain(&r, 5000));
		assert_memory_equal(dst + 1, src, size);
		assert_int_equal(dst[size + 1], 0);
	}
	dst[4000000] = 0xaa;
	PUT(&r, 11 | 2u << 30, LO(dst_va), HI(dst_va), 0x01020304, 4000000 - 4);
	ring_ring(&r);
	assert_true(ring_drain(&r, 5000));
	for (unsigned i = 0; i < 1000000; i++)
		assert_int_equal(((uint32_t *)dst)[i], 0x01020304);
	assert_int_equal(dst[4000000], 0xaa);
}

/* A copy larger than caches, which its end goes past: unaligned, and to a place that overlaps what it is of. */
static void large(void **state)
{
	struct client *c = *state;
	uint64_t half = 64u << 20, src_va = POOL_VA + (1ull << 32), dst_va = src_va + half, size = (33u << 20) + 77;
	uint8_t *src = mmap(NULL, 2 * half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *dst = src + half;
	struct ring r;

	assert_ptr_not_equal(src, MAP_FAILED);
	assert_int_equal(gpu_vm_map(c->vm, src_va, 2 * half, src, GPU_PROT_READ | GPU_PROT_WRITE), 0);
	fill_random(src, size + 256);
	memset(dst, 0x55, size + 256);
	ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
	PUT(&r, 1, (uint32_t)size - 1, 0, LO(src_va + 101), HI(src_va + 101), LO(dst_va + 3), HI(dst_va + 3));
	ring_ring(&r);
	assert_true(ring_drain(&r, 20000));
	assert_memory_equal(dst + 3, src + 101, size);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(dst[i], 0x55);
	for (uint64_t i = size + 3; i < size + 256; i++)
		assert_int_equal(dst[i], 0x55);
	PUT(&r, 1, (uint32_t)size - 1, 0, LO(dst_va + 103), HI(dst_va + 103), LO(dst_va + 3), HI(dst_va + 3));
	ring_ring(&r);
	assert_true(ring_drain(&r, 20000));
	assert_memory_equal(dst + 3, src + 201, size - 100);
	gpu_vm_unmap(c->vm, src_va, 2 * half);
	munmap(src, 2 * half);
}

/* Queues that wait for each other: a poll of one is ended by a fence of the other. */
/* A program that changes a packet under way gets what it was. The copy is long, of the same memory
 * again and again, so that there is time to. */
static void changed_under_way(void **state)
{
	const uint64_t src_va = 0x6000000000, dst_va = 0x7000000000, piece = 4 << 20, pieces = 255;
	struct client *c = *state;
	uint64_t begun_va;
	_Atomic uint32_t *begun = client_alloc(c, 8, &begun_va);
	uint8_t *src = client_alloc(c, piece + 4096, NULL);
	uint8_t *dst = client_alloc(c, piece + 4096, NULL);
	struct ring r;

	src = (uint8_t *)(((uintptr_t)src + 4095) & ~4095ul);
	dst = (uint8_t *)(((uintptr_t)dst + 4095) & ~4095ul);
	memset(src, 0x5a, piece);
	for (uint64_t i = 0; i < pieces; i++) {
		assert_int_equal(gpu_vm_map(c->vm, src_va + i * piece, piece, src, GPU_PROT_READ),
				 0);
		assert_int_equal(gpu_vm_map(c->vm, dst_va + i * piece, piece, dst,
					    GPU_PROT_WRITE),
				 0);
	}
	ring_open(&r, c, GPU_QUEUE_SDMA, 4096);
	PUT(&r, 5, LO(begun_va), HI(begun_va), 1); /* a fence; the copy begins in the same step */
	PUT(&r, 1, (uint32_t)(pieces * piece - 1), 0, LO(src_va), HI(src_va), LO(dst_va),
	    HI(dst_va));
	ring_ring(&r);
	while (!atomic_load(begun))
		;
	gpu_vm_suspend(c->vm);
	assert_int_equal(atomic_load(r.rptr), 16);
	((uint32_t *)r.base)[5] = 0; /* one byte, less than is done */
	gpu_vm_resume(c->vm);
	assert_true(ring_drain(&r, 30000));
	assert_int_equal(dst[piece - 1], 0x5a);
	assert_int_equal(c->faults, 0);
}

static void queues_wait_for_each_other(void **state)
{
	struct client *c = *state;
	uint64_t va;
	struct ring a, b;

	client_alloc(c, 8, &va);
	ring_open(&a, c, GPU_QUEUE_SDMA, 65536);
	ring_open(&b, c, GPU_QUEUE_SDMA, 65536);
	for (unsigned i = 0; i < 200; i++) {
		PUT(&a, 8 | 3u << 28 | 1u << 31, LO(va), HI(va), 2 * i, ~0u, 0xfff0004);
		PUT(&a, 5, LO(va), HI(va), 2 * i + 1);
		PUT(&b, 8 | 3u << 28 | 1u << 31, LO(va), HI(va), 2 * i + 1, ~0u, 0xfff0004);
		PUT(&b, 5, LO(va), HI(va), 2 * i + 2);
	}
	ring_ring(&a);
	ring_ring(&b);
	assert_true(ring_drain(&a, 5000));
	assert_true(ring_drain(&b, 5000));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_client, close_client)
	const struct CMUnitTest tests[] = {
		T(changed_under_way), T(garbage),	 T(bad_pointers), cmocka_unit_test(faults),
		T(every_packet), T(rectangles),	  T(atomics),
		T(wrap),	 T(big),	  T(queues_wait_for_each_other),
		T(large),
	};

	return cmocka_run_group_tests_name("cp/sdma", tests, NULL, NULL);
}
