/* SPDX-License-Identifier: MIT */
/* AQL queues, one packet type after the other; garbage first. */
#include "tests/cp/client.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

extern atomic_int fake_live_workgroups, fake_revalidations;

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
	assert_int_equal(atomic_load(&fake_live_workgroups), 0);
	return 0;
}

static void set_dw64(struct packet *p, unsigned dw, uint64_t value)
{
	memcpy(&p->dw[dw], &value, 8);
}

/* ------------------------------------------------------------------ garbage */

struct bad_packet {
	const char *name;
	int code;	/* KFD's queue error */
	int64_t legacy; /* bits of the inactive signal */
	void (*spoil)(struct client *c, struct packet *p, struct kernel *k);
};

#define SPOIL(name, ...)                                                                           \
	static void name(struct client *c, struct packet *p, struct kernel *k)                     \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}
SPOIL(agent_type, p->header = PACKET_AGENT)
SPOIL(type_6, p->header = 6)
SPOIL(type_255, p->header = 255)
SPOIL(vendor_0, p->header = PACKET_VENDOR; p->setup = 0)
SPOIL(vendor_9, p->header = PACKET_VENDOR; p->setup = 9)
SPOIL(vendor_no_ib, p->header = PACKET_VENDOR; p->setup = 1; p->dw[0] = 0xc0001000)
SPOIL(no_dims, p->setup = 0)
SPOIL(wg_zero, p->dw[0] = 1u << 16)
SPOIL(grid_zero, p->dw[2] = 0)
SPOIL(wg_too_big, p->dw[0] = 1025 | 1u << 16)
SPOIL(wg_huge, p->setup = 3; p->dw[0] = 0xffffffff; p->dw[1] = 0xffff)
SPOIL(lds_too_big, p->dw[6] = 65537)
SPOIL(no_code, set_dw64(p, 7, 0))
SPOIL(code_unmapped, set_dw64(p, 7, 0x7000000000))
SPOIL(code_high, set_dw64(p, 7, ~63ull))
SPOIL(code_misaligned, set_dw64(p, 7, k->object + 8))
SPOIL(entry_unmapped, k->kd[16 + 5] = 0x40)
SPOIL(entry_misaligned, k->kd[16] = 4)
SPOIL(too_many_vgprs, k->kd[48] = 31; p->dw[0] = 1024 | 1u << 16)

static const struct bad_packet bad_packets[] = {
	{"agent dispatch", 20, 32, agent_type},
	{"type 6", 20, 32, type_6},
	{"type 255", 20, 32, type_255},
	{"vendor format 0", 23, 256, vendor_0},
	{"vendor format 9", 23, 256, vendor_9},
	{"vendor without IB", 23, 256, vendor_no_ib},
	{"no dimensions", 16, 2, no_dims},
	{"work-group of 0", 16, 2, wg_zero},
	{"grid of 0", 16, 2, grid_zero},
	{"work-group of 1025", 21, 64, wg_too_big},
	{"work-group of 2^48", 21, 64, wg_huge},
	{"LDS", 17, 4, lds_too_big},
	{"no code", 18, 8, no_code},
	{"code unmapped", 18, 8, code_unmapped},
	{"code beyond 48 bits", 18, 8, code_high},
	{"code misaligned", 18, 8, code_misaligned},
	{"entry unmapped", 18, 8, entry_unmapped},
	{"entry misaligned", 18, 8, entry_misaligned},
	{"registers", 22, 128, too_many_vgprs},
};

static void bad_packet(void **state)
{
	struct client *c = *state;

	for (unsigned i = 0; i < 2 * sizeof(bad_packets) / sizeof(bad_packets[0]); i++) {
		const struct bad_packet *bad = &bad_packets[i / 2];
		bool events = i & 1;
		struct signal *done = client_signal(c, 1, 0);
		struct gpu_vm_stats before, after;
		struct kernel k;
		struct aql q;
		struct packet p;
		uint64_t sets = atomic_load(&c->events[61]),
			 inactive_sets = atomic_load(&c->events[60]);

		gpu_vm_get_stats(c->vm, &before);
		aql_open(&q, c, 16, events);
		client_kernel(c, &k, 32);
		p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, done);
		bad->spoil(c, &p, &k);
		aql_submit(&q, &p);
		print_message("%s\n", bad->name);
		if (events) {
			assert_true(wait_value(&q.error->value, 1ll << (bad->code - 1), 10000));
			assert_true(wait_u64(&c->events[61], sets + 1, 10000));
			assert_int_equal(atomic_load(&q.inactive->value), 0);
		} else {
			assert_true(wait_value(&q.inactive->value, bad->legacy, 10000));
			assert_true(wait_u64(&c->events[60], inactive_sets + 1, 10000));
			assert_int_equal(atomic_load(&q.error->value), 0);
		}
		/* stopped: what follows is not touched */
		p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, done);
		aql_submit(&q, &p);
		sleep_ms(2);
		assert_int_equal(atomic_load(&done->value), 1);
		assert_int_equal(atomic_load(aql_read_id(&q)), 0);
		gpu_vm_get_stats(c->vm, &after);
		assert_int_equal(after.queue_errors, before.queue_errors + 1);
		gpu_queue_destroy(q.queue);
	}
	assert_int_equal(atomic_load(&c->faults), 0);
}

static void bad_queue(void **state)
{
	struct client *c = *state;
	struct gpu_queue *queue;
	struct aql q;

#define TRY(field, val)                                                                            \
	do {                                                                                       \
		struct gpu_queue_desc desc = q.desc;                                               \
		desc.field = (val);                                                                \
		assert_int_equal(gpu_queue_create(c->vm, &desc, &queue), -EINVAL);                 \
	} while (0)
	aql_describe(&q, c, 16, false);
	TRY(type, 3);
	TRY(ring_va, 0);
	TRY(ring_va, q.desc.ring_va + 64);
	TRY(ring_va, 1ull << 48);
	TRY(ring_size, 0);
	TRY(ring_size, 64);
	TRY(ring_size, 1000);
	TRY(ring_size, 1ull << 40);
	TRY(write_ptr_va, 0);
	TRY(write_ptr_va, q.desc.write_ptr_va + 4);
	TRY(read_ptr_va, q.desc.read_ptr_va + 1);
	TRY(read_ptr_va, 8);
	TRY(doorbell, NULL);
	TRY(percent, 101);
	TRY(priority, 16);
}

/* Each thing a queue needs, missing: a memory fault, once, that stops every queue of the process.
 */
static void unmapped_parts(void **state)
{
	for (unsigned what = 0; what < 7; what++) {
		struct client client, *c = &client;
		struct signal *done, *other_done;
		struct aql q, other;
		struct kernel k;
		struct packet p;
		uint64_t nowhere = 0x7700000000;

		client_open(c, "gfx90a", 2, NULL, NULL);
		client_kernel(c, &k, 32);
		aql_open(&other, c, 16, false);
		done = client_signal(c, 1, 0);
		other_done = client_signal(c, 1, 0);
		p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, done);
		aql_describe(&q, c, 16, false);
		switch (what) {
		case 0:
			q.desc.ring_va = nowhere;
			break;
		case 1:
			q.desc.write_ptr_va = nowhere;
			break;
		case 2:
			set_dw64(&p, 13, nowhere);
			break;
		case 3: /* misaligned signal */
			set_dw64(&p, 13, client_va(c, done) + 3);
			break;
		case 4: /* mailbox */
			done->mailbox = nowhere;
			break;
		case 5: /* kernel arguments */
			set_dw64(&p, 9, nowhere);
			break;
		case 6: { /* a barrier's dependency */
			struct signal *none[1] = {NULL};

			p = barrier_packet(c, PACKET_AND, none, 1, done);
			set_dw64(&p, 1, nowhere);
		}
		}
		assert_int_equal(gpu_queue_create(c->vm, &q.desc, &q.queue), 0);
		aql_submit(&q, &p);
		assert_true(wait_uint(&c->faults, 1, 10000));
		if (what != 3)
			assert_int_equal(c->fault.va & ~0xfffull, nowhere);
		assert_true(what == 3 || c->fault.not_present);
		p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, other_done);
		aql_submit(&other, &p);
		sleep_ms(2);
		assert_int_equal(atomic_load(&other_done->value), 1);
		assert_int_equal(atomic_load(&c->faults), 1);
		client_close(c);
		assert_int_equal(atomic_load(&fake_live_workgroups), 0);
	}
}

/* Indices and doorbells that jump are bounded by what was written. */
static void jumping_indices(void **state)
{
	static const uint64_t doorbells[] = {5, 1ull << 40, ~0ull, 0x8000000000000000};
	struct client *c = *state;
	struct kernel k;

	client_kernel(c, &k, 32);
	for (unsigned i = 0; i < 4; i++) {
		struct signal *done = client_signal(c, 1, 0);
		struct aql q;
		struct packet p;

		aql_open(&q, c, 16, true);
		atomic_store(q.doorbell, doorbells[i]);
		atomic_store(aql_write_id(&q), ~0ull);
		sleep_ms(3);
		assert_int_equal(atomic_load(aql_read_id(&q)), 0);
		atomic_store(aql_write_id(&q), 0);
		p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, done);
		aql_submit(&q, &p);
		assert_true(wait_value(&done->value, 0, 10000));
		assert_int_equal(atomic_load(aql_read_id(&q)), 1);
		gpu_queue_destroy(q.queue);
	}
	assert_int_equal(atomic_load(&c->faults), 0);
}

/* ------------------------------------------------------------------ dispatches */

static void one_dispatch(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 1, 7);
	_Atomic uint64_t *count = client_alloc(c, 8, NULL);
	uint64_t *mailbox = (uint64_t *)(c->pool + (done->mailbox - POOL_VA)), before, id;
	struct gpu_vm_stats stats;
	struct kernel k;
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	client_kernel(c, &k, 32);
	before = gpu_clock(c->gpu);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_COUNT, client_va(c, count), 0}, 100, 3,
			    done);
	id = aql_submit(&q, &p);
	assert_true(wait_value(&done->value, 0, 10000));
	assert_int_equal(atomic_load(count), 3);
	assert_true(done->start >= before && done->end >= done->start &&
		    done->end <= gpu_clock(c->gpu));
	assert_int_equal(atomic_load(aql_read_id(&q)), id + 1);
	assert_int_equal(q.ring[id].header, PACKET_INVALID);
	assert_true(wait_u64(&c->events[7], 1, 10000));
	assert_int_equal(*mailbox, 7);
	gpu_vm_get_stats(c->vm, &stats);
	assert_int_equal(stats.dispatches, 1);
	assert_int_equal(stats.packets, 1);
	assert_int_equal(stats.queue_errors, 0);
	assert_true(stats.gpu_ns > 0);
}

static void every_workgroup_once(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 1, 0);
	uint32_t *count = client_alloc(c, 7 * 5 * 11 * 4, NULL);
	struct kernel k;
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_IDS, client_va(c, count), 0}, 4, 1,
			    done);
	p.setup = 3;
	p.dw[0] = 4 | 4u << 16;
	p.dw[1] = 2;
	p.dw[2] = 4 * 7 - 3; /* partial work-groups at the ends */
	p.dw[3] = 4 * 5;
	p.dw[4] = 2 * 11 - 1;
	aql_submit(&q, &p);
	assert_true(wait_value(&done->value, 0, 10000));
	for (unsigned i = 0; i < 7 * 5 * 11; i++)
		assert_int_equal(count[i], 1);
}

static void in_order(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 2000, 0);
	uint64_t *state_word = client_alloc(c, 16, NULL);
	struct kernel k;
	struct aql q;

	aql_open(&q, c, 64, true);
	client_kernel(c, &k, 32);
	for (unsigned i = 0; i < 2000; i++) {
		struct packet p = dispatch_packet(
			c, &k, (struct fake_args){FAKE_ORDER, client_va(c, state_word), i}, 64, 1,
			done);

		p.header |= (i & 1) << 8;
		aql_submit(&q, &p);
	}
	assert_true(wait_value(&done->value, 0, 5000));
	assert_int_equal(state_word[0], 2000);
	assert_int_equal(state_word[1], 0);
	assert_int_equal(atomic_load(&fake_revalidations) >= 2000, 1);
}

/* What a doorbell held before there was a queue announces nothing: the ring may be anything yet. */
static void doorbell_of_before(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 1, 0);
	struct kernel k;
	struct packet p;
	struct aql q;

	aql_describe(&q, c, 16, true);
	for (unsigned i = 0; i < 16; i++)
		q.ring[i].header = 0; /* a vendor packet, and an error */
	atomic_store(q.doorbell, 7);
	assert_int_equal(gpu_queue_create(c->vm, &q.desc, &q.queue), 0);
	usleep(20000);
	assert_int_equal(atomic_load(&q.error->value), 0);
	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, done);
	aql_submit(&q, &p);
	assert_true(wait_value(&done->value, 0, 5000));
	usleep(1000);
	assert_int_equal(atomic_load(&q.error->value), 0);
}

/* Producers may ring out of order. */
static void doorbells_out_of_order(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 2, 0);
	struct kernel k;
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, done);
	atomic_store(aql_write_id(&q), 2);
	memcpy(q.ring[1].dw, p.dw, sizeof(p.dw));
	__atomic_store_n((uint32_t *)&q.ring[1], p.header | (uint32_t)p.setup << 16,
			 __ATOMIC_RELEASE);
	atomic_store(q.doorbell, 1);
	sleep_ms(3);
	assert_int_equal(atomic_load(&done->value), 2);
	memcpy(q.ring[0].dw, p.dw, sizeof(p.dw));
	__atomic_store_n((uint32_t *)&q.ring[0], p.header | (uint32_t)p.setup << 16,
			 __ATOMIC_RELEASE);
	atomic_store(q.doorbell, 0);
	assert_true(wait_value(&done->value, 0, 10000));
}

static void wave_errors(void **state)
{
	static const struct {
		struct fake_args args;
		int code;
		int64_t legacy;
	} errors[] = {
		{{FAKE_ILLEGAL, 0, 0}, 4, 0x40000000},
		{{FAKE_APERTURE, 0, 0}, 6, 0x20000000},
		{{FAKE_TRAP, 0, 2}, 1, 0x80000000},
		{{FAKE_TRAP, 0, 3}, 2, 0x80000000},
	};
	struct client *c = *state;
	struct kernel k;

	client_kernel(c, &k, 32);
	for (unsigned i = 0; i < 8; i++) {
		struct signal *done = client_signal(c, 1, 0);
		struct aql q;
		struct packet p;

		aql_open(&q, c, 16, i & 1);
		p = dispatch_packet(c, &k, errors[i / 2].args, 64, 40, done);
		aql_submit(&q, &p);
		if (i & 1)
			assert_true(wait_value(&q.error->value, 1ll << (errors[i / 2].code - 1),
					       10000));
		else
			assert_true(wait_value(&q.inactive->value, errors[i / 2].legacy, 10000));
		assert_int_equal(atomic_load(&done->value), 1);
		gpu_queue_destroy(q.queue);
	}
}

static void messages(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 1, 0);
	struct kernel k;
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_MESSAGE, 0, 13}, 64, 1, done);
	aql_submit(&q, &p);
	assert_true(wait_value(&done->value, 0, 10000));
	assert_true(wait_u64(&c->events[13], 1, 10000));
}

/* The same, so fast that the GPU may see the last store only. */
static void doorbells_out_of_order_quickly(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 1000, 0);
	struct kernel k;
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_END, 0, 0}, 64, 1, done);
	for (unsigned i = 0; i < 1000; i += 2) {
		while (atomic_load(aql_read_id(&q)) + 14 < i)
			sched_yield();
		atomic_store(aql_write_id(&q), i + 2);
		for (unsigned k2 = 2; k2-- > 0;) {
			struct packet *slot = &q.ring[(i + k2) % 16];

			memcpy(slot->dw, p.dw, sizeof(p.dw));
			__atomic_store_n((uint32_t *)slot, p.header | (uint32_t)p.setup << 16,
					 __ATOMIC_RELEASE);
			atomic_store(q.doorbell, i + k2);
		}
		if (i % 32 == 0)
			assert_true(wait_value(&done->value, 998 - i, 10000));
	}
	assert_true(wait_value(&done->value, 0, 10000));
}

/* ------------------------------------------------------------------ barriers */

static void barriers(void **state)
{
	struct client *c = *state;
	struct signal *deps[5], *done = client_signal(c, 1, 0), *none[5] = {NULL};
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	for (unsigned i = 0; i < 5; i++)
		deps[i] = client_signal(c, 1, 0);
	p = barrier_packet(c, PACKET_AND, deps, 5, done);
	aql_submit(&q, &p);
	for (unsigned i = 0; i < 5; i++) {
		sleep_ms(2);
		assert_int_equal(atomic_load(&done->value), 1);
		atomic_store(&deps[4 - i]->value, 0);
	}
	assert_true(wait_value(&done->value, 0, 10000));

	for (unsigned i = 0; i < 5; i++)
		atomic_store(&deps[i]->value, -1 - (int)i);
	atomic_store(&done->value, 1);
	p = barrier_packet(c, PACKET_OR, deps, 5, done);
	aql_submit(&q, &p);
	sleep_ms(2);
	assert_int_equal(atomic_load(&done->value), 1);
	atomic_store(&deps[3]->value, 0);
	assert_true(wait_value(&done->value, 0, 10000));

	/* nothing to wait for */
	atomic_store(&done->value, 2);
	p = barrier_packet(c, PACKET_AND, none, 5, done);
	aql_submit(&q, &p);
	p = barrier_packet(c, PACKET_OR, none, 5, done);
	aql_submit(&q, &p);
	assert_true(wait_value(&done->value, 0, 10000));
}

static void barrier_values(void **state)
{
	static const struct {
		uint32_t cond;
		int64_t ref, wrong, right;
	} cases[] = {{0, 5, 4, 5}, {1, 5, 5, 6}, {2, 5, 5, -7}, {3, 5, -1, 5}};
	struct client *c = *state;
	struct signal *dep = client_signal(c, 0, 0), *done = client_signal(c, 1, 0);
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	for (unsigned i = 0; i < 4; i++) {
		p = (struct packet){.header = PACKET_VENDOR, .setup = 2};
		set_dw64(&p, 1, client_va(c, dep));
		set_dw64(&p, 3, (uint64_t)cases[i].ref);
		set_dw64(&p, 5, ~0ull);
		p.dw[7] = cases[i].cond;
		set_dw64(&p, 13, client_va(c, done));
		atomic_store(&done->value, 1);
		atomic_store(&dep->value, cases[i].wrong);
		aql_submit(&q, &p);
		sleep_ms(2);
		assert_int_equal(atomic_load(&done->value), 1);
		atomic_store(&dep->value, cases[i].right);
		assert_true(wait_value(&done->value, 0, 10000));
	}
	p.dw[7] = 4;
	aql_submit(&q, &p);
	assert_true(wait_value(&q.error->value, 1ll << 22, 10000));
}

/* ------------------------------------------------------------------ scratch */

struct scratch_words { /* amd_queue_t from 0x8c */
	uint32_t tmpring, rsrc[4], base[2], bytes[2], lane_bytes, properties;
};

static void set_scratch(struct aql *q, uint32_t lane_bytes, uint32_t waves, bool once)
{
	struct scratch_words s = {.tmpring = waves | (lane_bytes * 64 / 1024) << 12,
				  .lane_bytes = lane_bytes,
				  .properties = once ? 16 : 0};

	memcpy(q->amd + 0x8c, &s, sizeof(s));
}

static void scratch(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 1, 0);
	_Atomic uint64_t *count = client_alloc(c, 8, NULL), *clashes = client_alloc(c, 8, NULL);
	uint8_t *slots = client_alloc(c, 4096, NULL);
	struct kernel k;
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	client_kernel(c, &k, 32);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_COUNT, client_va(c, count), 0}, 64, 10,
			    done);
	p.dw[5] = 160;
	aql_submit(&q, &p);
	/* asked for, the packet still there */
	assert_true(wait_value(&q.inactive->value, 1, 10000));
	assert_true(wait_u64(&c->events[60], 1, 10000));
	assert_int_equal(q.ring[0].header, PACKET_DISPATCH);
	assert_int_equal(atomic_load(aql_read_id(&q)), 0);
	assert_int_equal(atomic_load(count), 0);
	/* too little again, then enough */
	set_scratch(&q, 144, 8, false);
	atomic_store(&q.inactive->value, 0);
	assert_true(wait_u64(&c->events[60], 2, 10000));
	assert_true(wait_value(&q.inactive->value, 1, 10000));
	set_scratch(&q, 160, 8, false);
	atomic_store(&q.inactive->value, 0);
	assert_true(wait_value(&done->value, 0, 10000));
	assert_int_equal(atomic_load(count), 10);
	assert_int_equal(atomic_load(&q.inactive->value), 0);

	/* slots: 3 waves a work-group, 8 waves: at most two work-groups, never the same slot twice,
	 * none beyond 7 */
	atomic_store(&done->value, 1);
	memset(slots + 8, 1, 256);
	p = dispatch_packet(
		c, &k, (struct fake_args){FAKE_SLOTS, client_va(c, slots), client_va(c, clashes)},
		192, 50, done);
	p.dw[5] = 16;
	aql_submit(&q, &p);
	assert_true(wait_value(&done->value, 0, 10000));
	assert_int_equal(atomic_load(clashes), 0);

	/* once: given back after the dispatch, next packet waits */
	set_scratch(&q, 160, 8, true);
	atomic_store(&done->value, 2);
	p = dispatch_packet(c, &k, (struct fake_args){FAKE_COUNT, client_va(c, count), 0}, 64, 1,
			    done);
	p.dw[5] = 160;
	aql_submit(&q, &p);
	p.dw[5] = 0;
	aql_submit(&q, &p);
	assert_true(wait_value(&q.inactive->value, 512, 10000));
	sleep_ms(2);
	assert_int_equal(atomic_load(&done->value), 1);
	set_scratch(&q, 0, 0, false);
	atomic_store(&q.inactive->value, 0);
	assert_true(wait_value(&done->value, 0, 10000));
}

/* ------------------------------------------------------------------ PM4 in AQL */

static struct packet ib_packet(struct client *c, uint64_t va, uint32_t dwords, struct signal *done)
{
	struct packet p = {.header = PACKET_VENDOR, .setup = 1};

	p.dw[0] = 0xc0023f00;
	p.dw[1] = (uint32_t)va;
	p.dw[2] = (uint32_t)(va >> 32);
	p.dw[3] = dwords | 1u << 23;
	p.dw[4] = 10;
	if (done)
		set_dw64(&p, 13, client_va(c, done));
	return p;
}

static void pm4_ib(void **state)
{
	struct client *c = *state;
	struct signal *done = client_signal(c, 1, 5);
	uint64_t va, inner_va, word_va;
	uint32_t *ib = client_alloc(c, 256, &va), *inner = client_alloc(c, 256, &inner_va), n = 0;
	uint64_t *word = client_alloc(c, 8, &word_va);
	int revalidated = atomic_load(&fake_revalidations);
	struct packet p;
	struct aql q;

	aql_open(&q, c, 16, true);
	/* as ROCr's: ACQUIRE_MEM with the instruction cache */
	ib[n++] = 0xc0055800;
	ib[n++] = 1u << 29;
	n += 5;
	ib[n++] = 0xc0023f00; /* nested */
	ib[n++] = (uint32_t)inner_va;
	ib[n++] = (uint32_t)(inner_va >> 32);
	ib[n++] = 5;
	ib[n++] = 0xc0001000; /* NOP */
	ib[n++] = 0;
	inner[0] = 0xc0033700; /* WRITE_DATA */
	inner[1] = 5 << 8;
	inner[2] = (uint32_t)word_va;
	inner[3] = (uint32_t)(word_va >> 32);
	inner[4] = 0xabcd;
	p = ib_packet(c, va, n, done);
	aql_submit(&q, &p);
	assert_true(wait_value(&done->value, 0, 10000));
	assert_int_equal(*word, 0xabcd);
	assert_int_equal(atomic_load(&fake_revalidations), revalidated + 1);
	assert_true(wait_u64(&c->events[5], 1, 10000));

	/* an IB that jumps to itself: nested too deep, an error */
	ib[0] = 0xc0023f00;
	ib[1] = (uint32_t)va;
	ib[2] = (uint32_t)(va >> 32);
	ib[3] = 4;
	p = ib_packet(c, va, 4, NULL);
	aql_submit(&q, &p);
	assert_true(wait_value(&q.error->value, 1ll << 22, 10000));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_client, close_client)
	const struct CMUnitTest tests[] = {
		T(bad_packet),
		T(bad_queue),
		T(unmapped_parts),
		T(jumping_indices),
		T(one_dispatch),
		T(every_workgroup_once),
		T(in_order),
		T(doorbell_of_before),
		T(doorbells_out_of_order),
		T(doorbells_out_of_order_quickly),
		T(wave_errors),
		T(messages),
		T(barriers),
		T(barrier_values),
		T(scratch),
		T(pm4_ib),
	};

	return cmocka_run_group_tests_name("cp/aql", tests, NULL, NULL);
}
