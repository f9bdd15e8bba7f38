// SPDX-License-Identifier: GPL-2.0
/*
 * cases-rings.c - attacks by descriptors and rings: loops, sizes, directions, addresses, and a CPU
 * that changes them meanwhile.
 */
#include <linux/delay.h>
#include <linux/kthread.h>

#include "hostile.h"

#define CONTROL	 HSV_QUEUE_CONTROL
#define NEXT	 VRING_DESC_F_NEXT
#define WRITES	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* The device must ask for a reset, now; then it is started again for the next attack. */
static int breaks(struct hostile *h, const char *what)
{
	int i;

	kick(h, CONTROL);
	for (i = 0; i < 5000 && !(device_status(h) & VIRTIO_CONFIG_S_NEEDS_RESET); i++)
		usleep_range(1000, 2000);
	if (i == 5000)
		return case_fail(h, "%s: no reset asked for", what);
	return device_start(h, ALL_FEATURES);
}

/* One attack of one chain: descriptors from 0 on. */
struct attack {
	const char *what;
	struct {
		u64 at; /* in AREA_JUNK */
		u32 len;
		u16 flags, next;
	} desc[3];
	u16 head;
};

static int bad_chains(struct hostile *h)
{
	static const struct attack attacks[] = {
		{"a loop of one", {{0, 64, NEXT, 0}}},
		{"a loop of two", {{0, 64, NEXT, 1}, {64, 64, NEXT, 0}}},
		{"a loop of writable ones", {{0, 64, NEXT, 1}, {64, 64, WRITES | NEXT, 1}}},
		{"next out of range", {{0, 64, NEXT, 256}}},
		{"next far out of range", {{0, 64, NEXT, 65535}}},
		{"head out of range", {}, 256},
		{"head far out of range", {}, 65535},
		{"readable after writable", {{0, 64, WRITES | NEXT, 1}, {64, 64, 0, 0}}},
		{"length 0", {{0, 0, 0, 0}}},
		{"length 0 at the end", {{0, 64, NEXT, 1}, {0, 0, WRITES, 0}}},
		{"length 2^32-1", {{0, ~0U, 0, 0}}},
		{"lengths that wrap", {{0, 0x80000000, NEXT, 1}, {0, 0x80000000, WRITES, 0}}},
		{"lengths that wrap to little",
		 {{0, 64, NEXT, 1}, {0, ~0U, NEXT, 2}, {0, 1, WRITES, 0}}},
		{"an indirect table of length 0", {{0, 0, INDIRECT, 0}}},
		{"an indirect table of length 1", {{0, 1, INDIRECT, 0}}},
		{"an indirect table of length 2^32-16", {{0, 0xfffffff0, INDIRECT, 0}}},
		{"an indirect table with a next", {{0, 32, INDIRECT | NEXT, 1}}},
		{"an indirect table outside of memory", {{1ULL << 52, 32, INDIRECT, 0}}},
		{"an indirect table that wraps", {{0xffffffffffffff00ULL, 512, INDIRECT, 0}}},
	};
	size_t i;
	int j, err = 0;

	for (i = 0; i < ARRAY_SIZE(attacks) && !err; i++) {
		for (j = 0; j < 3; j++)
			put_desc(h, CONTROL, j, h->area_at + AREA_JUNK + attacks[i].desc[j].at,
				 attacks[i].desc[j].len, attacks[i].desc[j].flags,
				 attacks[i].desc[j].next);
		offer(h, CONTROL, attacks[i].head);
		err = breaks(h, attacks[i].what);
	}
	return err;
}

static int bad_indirect(struct hostile *h)
{
	u64 at = h->area_at + AREA_JUNK;
	struct vring_desc *table = (void *)(h->area + AREA_JUNK);
	const struct vring_desc tables[][2] = {
		{{at, 32, INDIRECT, 0}},			      /* itself */
		{{at + 4096, 64, INDIRECT, 0}},			      /* nested */
		{{at + 4096, 64, NEXT, 0}},			      /* a loop */
		{{at + 4096, 64, NEXT, 2}},			      /* leaves its table */
		{{at + 4096, 64, NEXT, 1}, {at + 4096, 64, NEXT, 0}}, /* a loop of two */
		{{at + 4096, 64, WRITES | NEXT, 1}, {at + 4096, 64, 0, 0}},
		{{at + 4096, 0, 0, 0}},
		{{at + 4096, ~0U, 0, 0}},
	};
	size_t i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(tables) && !err; i++) {
		memcpy(table, tables[i], sizeof(tables[i]));
		put_desc(h, CONTROL, 0, at, 32, INDIRECT, 0);
		offer(h, CONTROL, 0);
		err = breaks(h, "a bad indirect table");
	}
	if (err)
		return err;
	/* The feature not agreed on. */
	err = device_start(h, BIT_ULL(VIRTIO_F_VERSION_1));
	put_desc(h, CONTROL, 0, at, 32, INDIRECT, 0);
	offer(h, CONTROL, 0);
	return err ?: breaks(h, "an indirect table without the feature");
}

static int index_jumps(struct hostile *h)
{
	static const u16 jumps[] = {257, 300, 1000, 32767, 32768, 65535};
	size_t i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(jumps) && !err; i++) {
		WRITE_ONCE(h->queues[CONTROL].avail->idx, cpu_to_le16(jumps[i]));
		err = breaks(h, "the available index jumps");
	}
	if (err)
		return err;
	/* Backwards, after some were taken. */
	err = create_process(h, 0) ?: destroy_process(h, 0);
	if (err)
		return case_fail(h, "a request: %d", err);
	WRITE_ONCE(h->queues[CONTROL].avail->idx, 0);
	err = breaks(h, "the available index goes back");
	/* More than the queue holds: one chain, over and over. */
	for (i = 0; i < 256 && !err; i++) {
		u64 at = h->area_at + AREA_JUNK;

		put_desc(h, CONTROL, 0, at, 64, NEXT, 1);
		put_desc(h, CONTROL, 1, at + 64, 64, WRITES, 0);
		offer(h, CONTROL, 0);
	}
	kick(h, CONTROL);
	/* The used ring is the device's own: what the driver writes there says nothing. */
	for (i = 0; i < 1000; i++)
		WRITE_ONCE(h->queues[CONTROL].used->idx, cpu_to_le16(hostile_random(h)));
	return err;
}

/* Buffers where no memory is, or not the guest's: each is answered, or given back with nothing
 * written. */
static int buffers_anywhere(struct hostile *h)
{
	const u64 places[] = {0,
			      0x10,
			      0xa0000,
			      0xc0000,
			      0xf0000,
			      0xfee00000,
			      0xfec00000,
			      0xfffffff0,
			      1ULL << 46,
			      1ULL << 52,
			      1ULL << 63,
			      ~0ULL,
			      ~63ULL,
			      h->vram_at,
			      h->vram_at + h->vram_size - 32,
			      h->doorbells_at,
			      h->doorbells_at + h->doorbells_size - 1,
			      pci_resource_start(h->pdev, 0),
			      pci_resource_start(h->pdev, 0) + 0x3000,
			      h->queues[CONTROL].at,
			      h->queues[1].at + RINGS_USED + 4};
	u64 good = h->area_at + AREA_JUNK;
	size_t i;
	int way, err = 0;

	/* Only what is nobody else's is written to. */
	for (i = 0; i < ARRAY_SIZE(places) && !err; i++) {
		bool nobodys =
			places[i] >= 0xa0000 && (places[i] < 0x100000 || places[i] >= 0xfec00000);

		for (way = 0; way < (nobodys ? 3 : 1) && !err; way++) {
			memset(h->area + AREA_JUNK, 0, 4096);
			put_desc(h, CONTROL, 0, way == 1 ? good : places[i], 200, NEXT, 1);
			put_desc(h, CONTROL, 1, way == 0 ? good + 256 : places[i], 200, WRITES, 0);
			offer(h, CONTROL, 0);
			kick(h, CONTROL);
			err = reap(h, CONTROL, 1, 20000);
			if (err == -EPIPE || places[i] == h->queues[CONTROL].at)
				err = device_start(h, ALL_FEATURES);
		}
		if (err)
			return case_fail(h, "buffers at %#llx: %d", places[i], err);
	}
	return 0;
}

/* Answers that go over the rings and over the request itself. */
static int buffers_over_rings(struct hostile *h)
{
	int i, err;

	for (i = 0; i < 60; i++) {
		u64 rings = h->queues[i % 2].at, at = h->area_at + AREA_SLOTS;

		post(h, 0, HSV_REQ_TOPOLOGY, 0, 0, NULL, sizeof(struct hsv_topology_args), 0, 4096);
		put_desc(h, CONTROL, 2, i % 5 ? at : rings + RINGS_AVAIL,
			 16 + sizeof(struct hsv_topology_args), WRITES | NEXT, 3);
		put_desc(h, CONTROL, 3, rings + (i % 3) * 0x1000 + hostile_random(h) % 256, 4096,
			 WRITES, 0);
		kick(h, CONTROL);
		reap(h, CONTROL, 1, 200);
		if (i % 4 == 3) {
			err = device_start(h, ALL_FEATURES);
			if (err)
				return err;
		}
	}
	return 0;
}

struct racer {
	struct hostile *h;
	u32 seed;
};

/* Changes descriptors, requests and arrays while the device looks at them. */
static int race_thread(void *data)
{
	struct racer *r = data;
	struct hostile *h = r->h;
	u32 n = 0;

	while (!kthread_should_stop()) {
		u32 random, slot, where;
		struct vring_desc *desc;
		__le32 *words;

		r->seed = r->seed * 1664525 + 1013904223;
		random = r->seed >> 8;
		slot = random % 16;
		where = random >> 8 & 7;
		desc = &h->queues[CONTROL].desc[slot * SLOT_DESCS + (random >> 12 & 3)];
		words = slot_page(h, slot);
		if (where == 0)
			WRITE_ONCE(desc->len, cpu_to_le32(random & 1 ? ~0U : random & 0xfff));
		else if (where == 1)
			WRITE_ONCE(desc->addr,
				   cpu_to_le64(random & 1 ? ~15ULL : h->area_at + AREA_JUNK));
		else if (where == 2)
			WRITE_ONCE(desc->next, cpu_to_le16(random & 0xff));
		else if (where <= 5)
			WRITE_ONCE(words[random >> 16 & 15],
				   cpu_to_le32(random & 2 ? ~0U : random));
		else
			WRITE_ONCE(((__le64 *)(h->area + AREA_IN))[random >> 16 & 63],
				   cpu_to_le64((u64)random << (random & 31)));
		if (n++ % 512 == 0)
			cond_resched();
	}
	return 0;
}

static int changed_in_flight(struct hostile *h)
{
	struct racer racer = {h, 99};
	struct task_struct *thread;
	int i, err = 0, resets = 0;
	unsigned int slot;

	thread = kthread_run(race_thread, &racer, "hostile-race");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	for (i = 0; i < 400 && !err; i++) {
		struct kfd_ioctl_alloc_memory_of_gpu_args args = {
			.va_addr = GPU_VA + 0x1000000ULL * i,
			.size = 64 * 4096,
			.gpu_id = h->gpu_id,
			.flags = KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE};
		struct hsv_extent *e = (void *)(h->area + AREA_IN);
		u32 j;

		if (i % 50 == 0 && (err = gpu_process(h, 1)) && err != -EBUSY && err != -EPIPE)
			err = 0;
		for (j = 0; j < 64; j++)
			e[j] = (struct hsv_extent){
				cpu_to_le64(h->area_at + AREA_GPU + j * 4096 % GPU_SIZE),
				cpu_to_le64(4096)};
		for (slot = 0; slot < 16; slot++)
			post(h, slot, slot % 4 ? HSV_REQ_KFD_IOCTL : HSV_REQ_TOPOLOGY, 1,
			     _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &args, sizeof(args),
			     64 * sizeof(struct hsv_extent), slot % 4 ? 0 : 8192);
		kick(h, CONTROL);
		err = reap(h, CONTROL, 16, 3000);
		if (err) {
			resets++;
			err = device_start(h, ALL_FEATURES);
		}
	}
	kthread_stop(thread);
	pr_info("hostile: descriptors changed in flight broke the queue %d times\n", resets);
	return err;
}

/* Everything random, in both queues. */
static int random_rings(struct hostile *h)
{
	int round, i, queue, err = 0;

	for (round = 0; round < 150 && !err; round++) {
		struct vring_desc *table = (void *)(h->area + AREA_JUNK + 8192);

		for (i = 0; i < HSV_QUEUE_SIZE; i++) {
			u64 at = h->area_at + AREA_JUNK + hostile_random(h) % 16384;

			put_desc(h, i % 2, i, i % 17 ? at : hostile_random(h),
				 hostile_random(h) % 40 * 16, hostile_random(h) % 8,
				 hostile_random(h) % 258);
			if (i < 64)
				table[i] = (struct vring_desc){cpu_to_le64(at),
							       cpu_to_le32(hostile_random(h) % 300),
							       cpu_to_le16(hostile_random(h) % 4),
							       cpu_to_le16(hostile_random(h) % 66)};
		}
		for (i = 0; i < 4096; i += 4)
			*(u32 *)(h->area + AREA_JUNK + i) = hostile_random(h) % 300;
		for (i = 0; i < 1 + round % 40; i++)
			for (queue = 0; queue < 2; queue++)
				offer(h, queue, hostile_random(h) % 256);
		kick(h, 0);
		kick(h, 1);
		if (round % 3 == 0)
			reap(h, 0, 1, 20);
		err = device_start(h, ALL_FEATURES);
	}
	return err;
}

const struct hostile_case rings_cases[] = {
	{"bad-chains", bad_chains, SERVES},
	{"bad-indirect", bad_indirect, SERVES},
	{"index-jumps", index_jumps, ANYTHING},
	{"buffers-anywhere", buffers_anywhere, SERVES},
	{"buffers-over-rings", buffers_over_rings, ANYTHING},
	{"changed-in-flight", changed_in_flight, ANYTHING},
	{"random-rings", random_rings, SERVES},
	{},
};
