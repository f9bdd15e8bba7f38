// SPDX-License-Identifier: MIT
/*
 * test_gpu.c - GPU code against everything it must not reach. Each attack is a GPU process of its
 * own, which tries one address with one instruction; it must be told so as the hardware's driver
 * tells it (a memory fault of that page), and nobody else may notice: the bytes of all others are
 * as before, and their kernels run on.
 *
 * Arguments: GPU target, code object of attacks.S.
 */
#include "tests/isolation/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET		 0x5ec7e75ec7e75ec7ull
#define VALUE		 0x1122334455667788ull
#define ATTACKER	 3
#define LDS_APERTURE	 (1ull << 48)
#define SCRATCH_APERTURE (2ull << 48)

static struct proc *neighbour, *stranger; /* a victim in the attacker's VM and one in the other */
static uint8_t *heap;
static uint8_t data[8192] __attribute__((aligned(4096))) = {1};

/* ------------------------------------------------------------------ victims */

struct region {
	const char *name;
	uint8_t *at;
	size_t size;
	uint8_t *before;
};
static struct region regions[16];
static unsigned num_regions;

static void watch(const char *name, void *at, size_t size)
{
	struct region *r = &regions[num_regions++];

	*r = (struct region){name, at, size, malloc(size)};
	for (size_t i = 0; i + 8 <= size; i += 8)
		memcpy(r->at + i, &(uint64_t){SECRET + i}, 8);
	memcpy(r->before, r->at, size);
}

static void check_regions(const char *what)
{
	for (unsigned i = 0; i < num_regions; i++)
		if (memcmp(regions[i].at, regions[i].before, regions[i].size))
			fail_msg("%s: %s has changed", what, regions[i].name);
}

/* What the victims do all the time. */
static void check_work(struct proc *p, const char *what)
{
	static uint64_t count;
	uint64_t *word;
	struct result r;

	p->used = 0; /* nothing of theirs lives long */
	word = arena_alloc(p, 64);
	*word = 0;
	r = attack(p, "global_store", arena_va(p, word), ++count, 0, 0);
	if (r.outcome != RAN || *word != count)
		fail_msg("%s: a neighbour's kernel %s", what, outcome_names[r.outcome]);
}

static int open_victims(void **state)
{
	if (world_open(state))
		return -1;
	neighbour = proc_start(&vms[0], 0, true);
	stranger = proc_start(&vms[1], 0, true);
	heap = aligned_alloc(4096, 65536);
	watch("the neighbour's VRAM", neighbour->vram, BUFFER);
	watch("the neighbour's system memory", neighbour->secret, BUFFER);
	watch("the other VM's VRAM", stranger->vram, BUFFER);
	watch("the other VM's memory", stranger->secret, BUFFER);
	watch("free VRAM", vms[0].vram + VRAM_SIZE / 2, BUFFER);
	watch("memory that is not registered", vms[0].ram + RAM_SIZE, BUFFER);
	watch("the broker's heap", heap, 65536);
	watch("the broker's data", data, sizeof(data));
	watch("others' doorbells", vms[0].doorbells + (ATTACKER + 2) * HSV_DOORBELL_SLOT,
	      (PROCESSES - ATTACKER - 2) * HSV_DOORBELL_SLOT);
	return 0;
}

static int close_victims(void **state)
{
	proc_end(neighbour);
	proc_end(stranger);
	free(heap);
	for (unsigned i = 0; i < num_regions; i++)
		free(regions[i].before);
	num_regions = 0;
	return world_close(state);
}

/* ------------------------------------------------------------------ every instruction, every
 * address */

enum target_kind {
	PLAIN,	  /* the fault names its page */
	HIGH,	  /* above the 48 bits of an address that buffers can name */
	APERTURE, /* as HIGH; FLAT reaches LDS or scratch, of which there is none */
	EDGE,	  /* its last bytes are in the next page: not for single bytes */
};

struct target {
	const char *name;
	enum target_kind kind;
	uint64_t address;
};

static struct target targets[48];
static unsigned num_targets;

static void add(const char *name, enum target_kind kind, uint64_t address)
{
	targets[num_targets++] = (struct target){name, kind, address};
}

static void host(const char *name, const void *at)
{
	add(name, PLAIN, (uint64_t)(uintptr_t)at);
}

static void choose_targets(void)
{
	uint8_t stack[64] = {0};

	num_targets = 0;
	/* other processes and VMs, by each name that their memory has */
	host("neighbour's VRAM in the broker", neighbour->vram + 256);
	add("neighbour's VRAM by its offset", PLAIN, neighbour->vram_offset + 256);
	add("an address where only the neighbour has something", PLAIN, SECRET_VA);
	host("neighbour's memory in the broker", neighbour->secret);
	add("neighbour's memory by its guest-physical address", PLAIN, neighbour->secret_gpa);
	host("other VM's VRAM", stranger->vram);
	host("other VM's memory", stranger->secret);
	host("free VRAM", vms[0].vram + VRAM_SIZE / 2);
	host("free memory of the VM", vms[0].ram + RAM_SIZE - 4096);
	host("memory that is not registered", vms[0].ram + RAM_SIZE);
	add("the same by its guest-physical address", PLAIN, RAM_AT + RAM_SIZE);
	/* the broker's own */
	host("heap", heap + 128);
	host("stack", stack);
	host("data", data);
	add("code", PLAIN, (uint64_t)(uintptr_t)choose_targets & ~255ull);
	host("C library", (const void *)(uintptr_t)memcpy);
	host("doorbells", vms[0].doorbells);
	/* around one's own */
	add("next doorbell slot", PLAIN, BELLS_VA + HSV_DOORBELL_SLOT);
	add("doorbell slot before", PLAIN, BELLS_VA - 8);
	add("behind the arena", PLAIN, ARENA_VA + ARENA_SIZE);
	add("before the arena", PLAIN, ARENA_VA - 16);
	add("across the arena's end", EDGE, ARENA_VA + ARENA_SIZE - 4);
	add("behind the VRAM buffer", PLAIN, VRAM_VA + BUFFER);
	add("nowhere", PLAIN, NOWHERE_VA);
	/* ends of the address space, and addresses that are one's own if bits get lost */
	add("null", PLAIN, 0);
	add("last byte of the low half", PLAIN, (1ull << 47) - 16);
	add("high half", PLAIN, 1ull << 47);
	add("last of 48 bits", PLAIN, (1ull << 48) - 16);
	add("arena + 2^48", APERTURE, (1ull << 48) + ARENA_VA);
	add("arena + 2^49", APERTURE, (2ull << 48) + ARENA_VA);
	add("arena + 2^50", HIGH, (4ull << 48) + ARENA_VA);
	add("arena + 2^63", HIGH, (1ull << 63) + ARENA_VA);
	add("arena, sign extended wrongly", HIGH, 0xffffull << 48 | ARENA_VA);
	add("LDS aperture", APERTURE, LDS_APERTURE + 64);
	add("end of the LDS aperture", APERTURE, LDS_APERTURE + 0xfffffff0);
	add("behind the LDS aperture", HIGH, LDS_APERTURE + (1ull << 32));
	add("scratch aperture", APERTURE, SCRATCH_APERTURE + 64);
	add("behind the scratch aperture", HIGH, SCRATCH_APERTURE + (1ull << 32));
	add("last 16 bytes", HIGH, ~15ull);
	add("wraps around", HIGH, ~0ull - 3);
}

enum {
	BYTE = 1,   /* one byte */
	FLAT = 2,   /* apertures */
	NARROW = 4, /* has only 48 bits of address */
	DWORDS = 8, /* ignores the address's lowest bits, or reaches far: the edge is another */
};

static const struct instruction {
	const char *kernel;
	unsigned flags;
} instructions[] = {
	{"global_load", 0},
	{"global_load_byte", BYTE},
	{"global_load_x4", 0},
	{"global_load_negative", BYTE},
	{"global_store", 0},
	{"global_store_byte", BYTE},
	{"global_store_x4", 0},
	{"global_atomic", BYTE},
	{"global_atomic_x2", DWORDS},
	{"global_cmpswap", BYTE},
	{"flat_load", FLAT},
	{"flat_store", FLAT},
	{"flat_atomic", FLAT | BYTE},
	{"scalar_load", 0},
	{"scalar_load_x16", 0},
	{"scalar_store", 0},
	{"scalar_buffer_load", NARROW},
	{"buffer_load", NARROW},
	{"buffer_store", NARROW},
	{"buffer_atomic", NARROW | BYTE},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void own_doorbells(struct proc *p)
{
	assert_int_equal(
		proc_alloc(p, BELLS_VA, HSV_DOORBELL_SLOT,
			   KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, 0,
			   NULL, NULL),
		0);
}

static void try_one(const struct instruction *in, const struct target *t)
{
	struct proc *p = proc_start(&vms[0], ATTACKER, false);
	struct result r;
	char what[160];
	uint64_t page;

	snprintf(what, sizeof(what), "%s at %s (%#llx)", in->kernel, t->name,
		 (unsigned long long)t->address);
	own_doorbells(p);
	r = attack(p, in->kernel, t->address, VALUE, 0, 0);
	if (r.outcome == RAN && t->kind == APERTURE && in->flags & FLAT) {
		/* A kernel without LDS: nothing there. Scratch of an address nobody gave: null. */
		if (r.value)
			fail_msg("%s read %#llx", what, (unsigned long long)r.value);
	} else if (r.outcome != FAULTED) {
		fail_msg("%s %s", what, outcome_names[r.outcome]);
	} else if (!(t->kind == APERTURE && in->flags & FLAT)) {
		page = t->address + (t->kind == EDGE ? 4 : 0);
		if ((p->fault.va ^ page) & 0xfffffffff000ull && t->kind != HIGH)
			fail_msg("%s faulted at %#llx", what, (unsigned long long)p->fault.va);
		if (!p->fault.not_present || p->fault.read_only || p->fault.no_execute)
			fail_msg("%s faulted as something else", what);
	}
	if (r.outcome == FAULTED)
		assert_int_equal(atomic_load(&p->faults), 1);
	assert_int_equal(r.outcome == FAULTED ? r.value : 0, 0); /* it got nothing */
	check_regions(what);
	proc_end(p);
	check_work(neighbour, what);
	check_work(stranger, what);
}

static void every_address(void **state)
{
	choose_targets();
	for (unsigned i = 0; i < COUNT(instructions); i++) {
		for (unsigned k = 0; k < num_targets; k++) {
			const struct instruction *in = &instructions[i];
			const struct target *t = &targets[k];

			if (t->kind == EDGE && in->flags & (BYTE | DWORDS))
				continue;
			if (t->kind != PLAIN && t->kind != EDGE && in->flags & NARROW)
				continue;
			try_one(in, t);
		}
	}
}

/* ------------------------------------------------------------------ one's own, with the wrong
 * right */

static void rights(void **state)
{
	static const char *const writers[] = {"global_store", "global_atomic", "flat_store",
					      "scalar_store", "buffer_store",  "buffer_atomic"};

	for (unsigned i = 0; i < COUNT(writers); i++) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		struct result r = attack(p, writers[i], CODE_VA + 4096, VALUE, 0, 0);

		if (r.outcome != FAULTED || !p->fault.read_only || p->fault.not_present)
			fail_msg("%s to memory it may only read: %s", writers[i],
				 outcome_names[r.outcome]);
		assert_int_equal(p->fault.va, CODE_VA + 4096);
		proc_end(p);
	}
}

static void code(void **state)
{
	choose_targets();
	for (unsigned i = 0; i < 2; i++) {
		const char *kernel = i ? "call" : "jump";
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		uint32_t *own = arena_alloc(p, 4096);
		struct result r;

		/* what would run, in memory that may not */
		own[0] = 0xbf810000; /* s_endpgm */
		r = attack(p, kernel, arena_va(p, own), 0, 0, 0);
		if (r.outcome != FAULTED || !p->fault.no_execute)
			fail_msg("%s to data: %s", kernel, outcome_names[r.outcome]);
		proc_end(p);
		for (unsigned k = 0; k < num_targets; k++) {
			uint64_t at = targets[k].address & ~3ull;

			if (targets[k].kind == EDGE)
				continue;
			p = proc_start(&vms[0], ATTACKER, false);
			own_doorbells(p);
			r = attack(p, kernel, at, 0, 0, 0);
			if (r.outcome != FAULTED)
				fail_msg("%s to %s: %s", kernel, targets[k].name,
					 outcome_names[r.outcome]);
			proc_end(p);
			check_regions(kernel);
		}
		check_work(neighbour, kernel);
	}
}

/* Code that goes on beyond the page that holds it, where nothing is. */
static void code_runs_off(void **state)
{
	struct proc *p = proc_start(&vms[0], ATTACKER, false);
	uint64_t gpa = ram_block(p);
	uint32_t *last = (uint32_t *)(void *)(vms[0].ram + (gpa - RAM_AT));
	struct result r;

	for (unsigned i = 0; i < 1024; i++)
		last[i] = 0xbf800000; /* s_nop */
	assert_int_equal(
		proc_alloc(p, FREED_VA, 4096,
			   KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE,
			   gpa, NULL, NULL),
		0);
	r = attack(p, "run_off", FREED_VA + 4000, 0, 0, 0);
	assert_int_equal(r.outcome, FAULTED);
	assert_int_equal(p->fault.va, FREED_VA + 4096);
	proc_end(p);
}

/* ------------------------------------------------------------------ huge resources and strides */

static void buffer_resources(void **state)
{
	static const struct {
		const char *kernel;
		uint64_t address, offset, page;
	} cases[] = {
		/* all of 4 GiB from one's own buffer on */
		{"buffer_load", ARENA_VA, ARENA_SIZE, ARENA_VA + ARENA_SIZE},
		{"buffer_load", ARENA_VA, 0xfffffff0, ARENA_VA + 0xfffff000},
		{"buffer_store", ARENA_VA, 0x80000000, ARENA_VA + 0x80000000},
		{"buffer_atomic", ARENA_VA, 0x40000000, ARENA_VA + 0x40000000},
		{"scalar_buffer_load", ARENA_VA, 0x7ffffff0, ARENA_VA + 0x7ffff000},
		/* index * stride: 2^46 bytes */
		{"buffer_stride", ARENA_VA, 0xfffffffe, 0},
		{"buffer_stride", 0xffffffffffffull & ~4095ull, 0xfffffffe, 0},
		/* and over the end of 48 bits */
		{"buffer_load", 0xfffffffff000ull, 0x2000, 0},
	};

	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		struct result r =
			attack(p, cases[i].kernel, cases[i].address, VALUE, cases[i].offset, 0);

		if (r.outcome != FAULTED)
			fail_msg("%s, case %u: %s, %#llx", cases[i].kernel, i,
				 outcome_names[r.outcome], (unsigned long long)r.value);
		if (cases[i].page && p->fault.va != cases[i].page)
			fail_msg("case %u: fault at %#llx", i, (unsigned long long)p->fault.va);
		check_regions(cases[i].kernel);
		proc_end(p);
	}
	/* Out of a resource's bounds: dropped, and 0. */
	for (uint64_t offset = 64; offset < 0x100000000ull; offset = offset * 2 + 4) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		struct result r = attack(p, "buffer_bounded", VRAM_VA, VALUE, offset, 0);

		assert_int_equal(r.outcome, RAN);
		assert_int_equal(r.value, 0);
		for (unsigned k = 0; k < BUFFER; k++)
			assert_int_equal(p->vram[k], 0);
		proc_end(p);
	}
}

static void strided_lanes(void **state)
{
	static const uint64_t strides[] = {
		ARENA_SIZE, 1ull << 40, 1ull << 46, 1ull << 47, 1ull << 58, ~0ull << 20,
	};

	for (unsigned i = 0; i < COUNT(strides); i++) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		uint64_t *word = arena_alloc(p, 64);
		struct result r =
			attack(p, "global_lanes", arena_va(p, word), VALUE, strides[i], 0);

		if (r.outcome != FAULTED)
			fail_msg("lanes %#llx apart: %s", (unsigned long long)strides[i],
				 outcome_names[r.outcome]);
		check_regions("lanes");
		proc_end(p);
	}
}

/* ------------------------------------------------------------------ LDS and scratch */

/* Out of range of the work-group's LDS: loads are 0 (the sum of what they got), stores and atomics
 * are dropped. */
static void lds_out_of_range(void **state)
{
	static const char *const kernels[] = {"lds_load", "lds_load_x4", "lds_store", "lds_atomic"};
	static const uint32_t addresses[] = {512,	 1024,	     4096,	 65536,
					     0x10000000, 0x7ffffffc, 0x80000000, 0xfffffffc,
					     0xfffffff0, 0xfffffe00};

	for (unsigned i = 0; i < COUNT(kernels); i++) {
		for (unsigned k = 0; k < COUNT(addresses); k++) {
			struct proc *p = proc_start(&vms[0], ATTACKER, false);
			struct result r = attack(p, kernels[i], addresses[k], VALUE, 0, 0);

			if (r.outcome != RAN && r.outcome != ERRORED)
				fail_msg("%s at %#x: %s", kernels[i], addresses[k],
					 outcome_names[r.outcome]);
			if (r.value)
				fail_msg("%s at %#x got %#llx", kernels[i], addresses[k],
					 (unsigned long long)r.value);
			proc_end(p);
			check_regions(kernels[i]);
		}
	}
	check_work(neighbour, "LDS");
}

/* What one work-group left in LDS is not there for the next, of whichever process. */
static void lds_is_clean(void **state)
{
	for (unsigned i = 0; i < 8; i++) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		struct result r = attack(p, "lds_fill", 0, SECRET, 0, 0);

		assert_int_equal(r.outcome, RAN);
		proc_end(p);
		p = proc_start(&vms[0], ATTACKER, false);
		r = attack(p, "lds_leak", 0, 0, 0, 0);
		assert_int_equal(r.outcome, RAN);
		assert_int_equal((uint32_t)r.value, 0);
		proc_end(p);
	}
}

/* Scratch is memory at FLAT_SCRATCH, which a kernel sets as it likes: it is translated like any
 * other. */
static void scratch_elsewhere(void **state)
{
	static const char *const kernels[] = {"scratch_load", "scratch_store",
					      "scratch_flat_store"};

	choose_targets();
	for (unsigned i = 0; i < COUNT(kernels); i++) {
		for (unsigned k = 0; k < num_targets; k++) {
			struct proc *p;
			struct result r;

			if (targets[k].kind != PLAIN)
				continue;
			p = proc_start(&vms[0], ATTACKER, false);
			own_doorbells(p);
			r = attack(p, kernels[i], 0, targets[k].address & ~0xffull, 0, 0);
			if (r.outcome != FAULTED && r.outcome != ERRORED)
				fail_msg("%s at %s: %s", kernels[i], targets[k].name,
					 outcome_names[r.outcome]);
			proc_end(p);
			check_regions(kernels[i]);
			/* far from a base of its own */
			p = proc_start(&vms[0], ATTACKER, false);
			r = attack(p, kernels[i], 0xfffffffc, VRAM_VA, 0, 0);
			if (r.outcome != FAULTED && r.outcome != ERRORED)
				fail_msg("%s far away: %s", kernels[i], outcome_names[r.outcome]);
			proc_end(p);
		}
		check_work(neighbour, kernels[i]);
	}
}

/* ------------------------------------------------------------------ freed memory */

/* Starts a kernel that stores to (or loads from) address for ever; out as attacks.S says. */
static uint64_t *run_forever(struct proc *p, struct queue *q, const char *kernel, uint64_t address)
{
	uint64_t *out = arena_alloc(p, 64), end = clock_ms() + 10000;
	uint64_t args[4] = {address, arena_va(p, out), VALUE, 0};
	struct aql packet = aql_kernel(p, kernel, args, 0, 0, NULL);

	queue_open(q, p, KFD_IOC_QUEUE_TYPE_COMPUTE_AQL);
	aql_put(q, &packet);
	while (!__atomic_load_n(&out[2], __ATOMIC_RELAXED) && clock_ms() < end)
		sleep_ms(1);
	assert_true(__atomic_load_n(&out[2], __ATOMIC_RELAXED) > 0);
	return out;
}

static void freed_while_used(void **state)
{
	static const char *const kernels[] = {"forever_store", "forever_load"};

	for (unsigned round = 0; round < 12; round++) {
		const char *kernel = kernels[round % 2];
		struct proc *p = proc_start(&vms[0], ATTACKER, false), *heir;
		uint64_t handle, offset, offset2 = ~0ull, *out;
		struct queue q;
		uint8_t *memory;

		assert_int_equal(
			proc_alloc(p, FREED_VA, BUFFER,
				   KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
				   0, &handle, &offset),
			0);
		memory = vms[0].vram + offset;
		out = run_forever(p, &q, kernel, FREED_VA);
		if (round % 2 == 0)
			assert_memory_equal(memory, &(uint64_t){VALUE}, 8);
		/* Still in the page table: it can't be freed. */
		assert_int_not_equal(proc_free(p, handle), 0);
		assert_int_equal(proc_map(p, handle, false), 0);
		/* From here on nothing of the GPU touches it. */
		memset(memory, 0, BUFFER);
		assert_int_equal(proc_free(p, handle), 0);
		heir = proc_start(&vms[0], ATTACKER + 1, false);
		assert_int_equal(
			proc_alloc(heir, FREED_VA, BUFFER,
				   KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
				   0, NULL, &offset2),
			0);
		for (unsigned i = 0; i < BUFFER; i++)
			assert_int_equal(vms[0].vram[offset2 + i], 0);
		memset(vms[0].vram + offset2, 0x77, BUFFER);
		assert_true(wait_fault(p, 10000));
		assert_int_equal(p->fault.va, FREED_VA);
		assert_true(p->fault.not_present);
		sleep_ms(2);
		for (unsigned i = 0; i < BUFFER; i++)
			assert_int_equal(vms[0].vram[offset2 + i], 0x77);
		if (round % 2)
			assert_true(out[3] != 0x7777777777777777ull);
		proc_end(p);
		proc_end(heir);
	}
	check_regions("freed buffers");
	check_work(neighbour, "freed buffers");
}

/* VRAM of a process that ended, with its contents, is zeroes for the next. */
static void vram_of_the_dead(void **state)
{
	for (unsigned round = 0; round < 4; round++) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		struct result r;

		memset(p->vram, 0xab, BUFFER);
		proc_end(p);
		p = proc_start(&vms[0], ATTACKER, false);
		r = attack(p, "global_load", VRAM_VA, 0, 0, 0);
		assert_int_equal(r.outcome, RAN);
		assert_int_equal(r.value, 0);
		for (unsigned i = 0; i < BUFFER; i++)
			assert_int_equal(p->vram[i], 0);
		proc_end(p);
	}
}

/* The VM's memory is unplugged while a kernel uses it. */
static void memory_unplugged(void **state)
{
	for (unsigned round = 0; round < 6; round++) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		uint64_t gpa = ram_block(p);
		uint8_t *memory = vms[0].ram + (gpa - RAM_AT);
		struct queue q;

		assert_int_equal(proc_alloc(p, FREED_VA, BUFFER,
					    KFD_IOC_ALLOC_MEM_FLAGS_USERPTR |
						    KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
					    gpa, NULL, NULL),
				 0);
		run_forever(p, &q, "forever_store", FREED_VA + 4096);
		kfd_device_revoke(vms[0].device, memory + 4096, 4096);
		memset(memory + 4096, 0x33, 4096);
		assert_true(wait_fault(p, 10000));
		assert_int_equal(p->fault.va, FREED_VA + 4096);
		for (unsigned i = 0; i < 4096; i++)
			assert_int_equal(memory[4096 + i], 0x33);
		proc_end(p);
	}
	check_work(neighbour, "unplugged memory");
}

/* Pages that the guest takes back (INVALIDATE), and that come back elsewhere. */
static void memory_invalidated(void **state)
{
	struct proc *p = proc_start(&vms[0], ATTACKER, false);
	uint64_t gpa = ram_block(p), gpa2 = ram_block(p), handle, *out, count;
	uint8_t *memory = vms[0].ram + (gpa - RAM_AT), *memory2 = vms[0].ram + (gpa2 - RAM_AT);
	struct hsv_extent other = {gpa2, BUFFER};
	struct queue q;

	assert_int_equal(
		proc_alloc(p, FREED_VA, BUFFER,
			   KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, gpa,
			   &handle, NULL),
		0);
	out = run_forever(p, &q, "forever_store", FREED_VA);
	assert_int_equal(kfd_memory_invalidate(p->kfd, handle), 0);
	memset(memory, 0x44, BUFFER);
	memset(memory2, 0, BUFFER);
	sleep_ms(5);
	for (unsigned i = 0; i < BUFFER; i++)
		assert_int_equal(memory[i], 0x44);
	assert_int_equal(kfd_memory_restore(p->kfd, handle, &other, 1), 0);
	count = __atomic_load_n(&out[2], __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 10000 && __atomic_load_n(&out[2], __ATOMIC_RELAXED) < count + 100;
	     i++)
		sleep_ms(1);
	assert_memory_equal(memory2, &(uint64_t){VALUE}, 8);
	for (unsigned i = 0; i < BUFFER; i++)
		assert_int_equal(memory[i], 0x44);
	assert_int_equal(atomic_load(&p->faults), 0);
	proc_end(p);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_teardown(name, world_tidy)
	const struct CMUnitTest tests[] = {
		TEST(every_address),	  TEST(rights),		  TEST(code),
		TEST(code_runs_off),	  TEST(buffer_resources), TEST(strided_lanes),
		TEST(lds_out_of_range),	  TEST(lds_is_clean),	  TEST(scratch_elsewhere),
		TEST(freed_while_used),	  TEST(vram_of_the_dead), TEST(memory_unplugged),
		TEST(memory_invalidated),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s TARGET CODE-OBJECT\n", argv[0]);
		return 2;
	}
	world_target = argv[1];
	world_object = argv[2];
	return cmocka_run_group_tests_name("isolation of GPU code", tests, open_victims,
					   close_victims);
}
