// SPDX-License-Identifier: MIT
/*
 * test_queues.c - packets and KFD requests against everything they must not reach: the command processor's own accesses, which no kernel
 * makes. As in test_gpu.c each attack is a process of its own, and nobody else may notice.
 *
 * Arguments: GPU target, code object of attacks.S.
 */
#include "tests/isolation/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTACKER 3
#define SECRET	 0x5ec7e75e
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LO(x)	 (uint32_t)(x)
#define HI(x)	 (uint32_t)((uint64_t)(x) >> 32)
#define WRITABLE KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE
#define USERPTR	 KFD_IOC_ALLOC_MEM_FLAGS_USERPTR

static struct proc *neighbour, *stranger;
static uint8_t *heap;

static void check_victims(const char *what)
{
	const uint8_t *places[] = {neighbour->vram, neighbour->secret, stranger->vram, stranger->secret,
				   heap,	    vms[0].ram + RAM_SIZE};

	for (unsigned i = 0; i < COUNT(places); i++)
		for (unsigned k = 0; k < BUFFER; k += 4)
			if (memcmp(places[i] + k, &(uint32_t){SECRET}, 4))
				fail_msg("%s: place %u has changed at %#x", what, i, k);
}

static void check_work(struct proc *p)
{
	uint64_t *word;

	p->used = 0;
	word = arena_alloc(p, 64);
	assert_int_equal(attack(p, "global_store", arena_va(p, word), 99, 0, 0).outcome, RAN);
	assert_int_equal(*word, 99);
}

static void check_all(const char *what)
{
	check_victims(what);
	check_work(neighbour);
	check_work(stranger);
}

static int open_victims(void **state)
{
	uint8_t *places[6];

	if (world_open(state))
		return -1;
	neighbour = proc_start(&vms[0], 0, true);
	stranger = proc_start(&vms[1], 0, true);
	heap = aligned_alloc(4096, BUFFER);
	memcpy(places, (uint8_t *[]){neighbour->vram, neighbour->secret, stranger->vram, stranger->secret,
				     heap, vms[0].ram + RAM_SIZE},
	       sizeof(places));
	for (unsigned i = 0; i < 6; i++)
		for (unsigned k = 0; k < BUFFER; k += 4)
			memcpy(places[i] + k, &(uint32_t){SECRET}, 4);
	return 0;
}

static int close_victims(void **state)
{
	proc_end(neighbour);
	proc_end(stranger);
	free(heap);
	return world_close(state);
}

/* What the command processor is pointed at. */
static uint64_t targets[16];
static unsigned num_targets;

static void choose_targets(void)
{
	const uint64_t all[] = {
		(uint64_t)(uintptr_t)neighbour->vram,
		neighbour->vram_offset + 4096,
		SECRET_VA,
		(uint64_t)(uintptr_t)neighbour->secret,
		neighbour->secret_gpa,
		(uint64_t)(uintptr_t)stranger->secret,
		(uint64_t)(uintptr_t)stranger->vram,
		(uint64_t)(uintptr_t)heap,
		(uint64_t)(uintptr_t)(vms[0].ram + RAM_SIZE),
		NOWHERE_VA,
		ARENA_VA + ARENA_SIZE,
		1ull << 47,
		(1ull << 48) - 64,
		0x1000,
	};

	memcpy(targets, all, sizeof(all));
	num_targets = COUNT(all);
}

/* ------------------------------------------------------------------ SDMA and PM4 */

struct packet_attack {
	const char *name;
	uint32_t type; /* of the queue */
	unsigned (*make)(uint32_t *dw, uint64_t mine, uint64_t theirs);
};

#define MAKE(name) static unsigned name(uint32_t *dw, uint64_t mine, uint64_t theirs)
#define PACKET(...)                                    \
	do {                                           \
		const uint32_t words[] = {__VA_ARGS__}; \
		memcpy(dw, words, sizeof(words));      \
		return COUNT(words);                   \
	} while (0)
#define PM4(op, body) (0xc0000000u | ((body)-1u) << 16 | (op) << 8)

MAKE(sdma_copy_from) { PACKET(1, 255, 0, LO(theirs), HI(theirs), LO(mine), HI(mine)); }
MAKE(sdma_copy_to) { PACKET(1, 255, 0, LO(mine), HI(mine), LO(theirs), HI(theirs)); }
MAKE(sdma_copy_over) /* begins in one's own and goes on beyond its end */
{
	uint64_t end = ARENA_VA + ARENA_SIZE - 256;

	PACKET(1, 0xfffff, 0, LO(VRAM_VA), HI(VRAM_VA), LO(end), HI(end));
}
MAKE(sdma_write) { PACKET(2, LO(theirs), HI(theirs), 0, 0xbad); }
MAKE(sdma_fence) { PACKET(5, LO(theirs), HI(theirs), 0xbad); }
MAKE(sdma_fill) { PACKET(11 | 2u << 30, LO(theirs), HI(theirs), 0xbad, 63 << 2); }
MAKE(sdma_atomic) { PACKET(10 | 47u << 25, LO(theirs), HI(theirs), 1, 0, 0, 0, 0); }
MAKE(sdma_timestamp) { PACKET(13 | 2 << 8, LO(theirs), HI(theirs)); }
MAKE(sdma_poll) { PACKET(8 | 1u << 31 | 3u << 28, LO(theirs), HI(theirs), 0, 0xffffffff, 0xfff << 16 | 4); }
MAKE(pm4_write) { PACKET(PM4(0x37, 4), 5 << 8, LO(theirs), HI(theirs), 0xbad); }
MAKE(pm4_copy_from) { PACKET(PM4(0x40, 5), 1 | 5 << 8, LO(theirs), HI(theirs), LO(mine), HI(mine)); }
MAKE(pm4_copy_to) { PACKET(PM4(0x40, 5), 1 | 5 << 8, LO(mine), HI(mine), LO(theirs), HI(theirs)); }
MAKE(pm4_dma_from) { PACKET(PM4(0x50, 6), 0, LO(theirs), HI(theirs), LO(mine), HI(mine), 64); }
MAKE(pm4_dma_to) { PACKET(PM4(0x50, 6), 0, LO(mine), HI(mine), LO(theirs), HI(theirs), 64); }
MAKE(pm4_atomic) { PACKET(PM4(0x1e, 8), 47, LO(theirs), HI(theirs), 1, 0, 0, 0, 0); }
MAKE(pm4_release) { PACKET(PM4(0x49, 7), 0, 1u << 29, LO(theirs), HI(theirs), 0xbad, 0, 0); }
MAKE(pm4_wait) { PACKET(PM4(0x3c, 6), 3 | 1 << 4, LO(theirs), HI(theirs), 0, 0xffffffff, 4); }
MAKE(pm4_buffer) { PACKET(PM4(0x3f, 3), LO(theirs), HI(theirs), 16); }

static const struct packet_attack packets[] = {
	{"SDMA copy from", KFD_IOC_QUEUE_TYPE_SDMA, sdma_copy_from},
	{"SDMA copy to", KFD_IOC_QUEUE_TYPE_SDMA, sdma_copy_to},
	{"SDMA copy beyond the end", KFD_IOC_QUEUE_TYPE_SDMA, sdma_copy_over},
	{"SDMA write", KFD_IOC_QUEUE_TYPE_SDMA, sdma_write},
	{"SDMA fence", KFD_IOC_QUEUE_TYPE_SDMA, sdma_fence},
	{"SDMA fill", KFD_IOC_QUEUE_TYPE_SDMA, sdma_fill},
	{"SDMA atomic", KFD_IOC_QUEUE_TYPE_SDMA, sdma_atomic},
	{"SDMA timestamp", KFD_IOC_QUEUE_TYPE_SDMA, sdma_timestamp},
	{"SDMA poll", KFD_IOC_QUEUE_TYPE_SDMA, sdma_poll},
	{"PM4 write", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_write},
	{"PM4 copy from", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_copy_from},
	{"PM4 copy to", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_copy_to},
	{"PM4 DMA from", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_dma_from},
	{"PM4 DMA to", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_dma_to},
	{"PM4 atomic", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_atomic},
	{"PM4 release", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_release},
	{"PM4 wait", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_wait},
	{"PM4 indirect buffer", KFD_IOC_QUEUE_TYPE_COMPUTE, pm4_buffer},
};

static void copies_and_writes(void **state)
{
	choose_targets();
	for (unsigned i = 0; i < COUNT(packets); i++) {
		for (unsigned k = 0; k < num_targets; k++) {
			struct proc *p = proc_start(&vms[0], ATTACKER, false);
			uint8_t *mine = arena_alloc(p, 4096);
			uint32_t dw[16], num;
			struct queue q;
			char what[96];

			snprintf(what, sizeof(what), "%s %#llx", packets[i].name,
				 (unsigned long long)targets[k]);
			queue_open(&q, p, packets[i].type);
			num = packets[i].make(dw, arena_va(p, mine), targets[k]);
			ring_put(&q, dw, num);
			if (!wait_fault(p, 10000))
				fail_msg("%s: no fault", what);
			if (packets[i].make != sdma_copy_over &&
			    (p->fault.va ^ targets[k]) & ~4095ull)
				fail_msg("%s: fault at %#llx", what, (unsigned long long)p->fault.va);
			assert_true(p->fault.not_present);
			for (unsigned b = 0; b < 4096; b++)
				if (mine[b])
					fail_msg("%s: it got something", what);
			proc_end(p);
			check_victims(what);
		}
		check_all(packets[i].name);
	}
}

/* ------------------------------------------------------------------ AQL */

enum aql_field { COMPLETION, MAILBOX, KERNARG, OBJECT, DEPENDENCY, FIELDS };
static const char *const field_names[] = {"completion signal", "signal's mailbox", "kernel arguments",
					  "kernel object", "barrier's signal"};

static void packet_fields(void **state)
{
	const uint64_t nothing[4] = {0};

	choose_targets();
	for (unsigned field = 0; field < FIELDS; field++) {
		for (unsigned k = 0; k < num_targets; k++) {
			struct proc *p = proc_start(&vms[0], ATTACKER, false);
			struct signal *done = signal_make(p, 1);
			uint64_t *out = arena_alloc(p, 64);
			uint64_t args[4] = {arena_va(p, out), arena_va(p, out), 0, 0};
			struct aql packet = aql_kernel(p, "nothing", args, 0, 0, done);
			uint64_t at = targets[k] & ~63ull, end = clock_ms() + 10000;
			struct queue q;

			(void)nothing;
			switch (field) {
			case COMPLETION:
				memcpy(&packet.dw[13], &at, 8);
				break;
			case MAILBOX:
				done->mailbox = at;
				done->event_id = 5;
				break;
			case KERNARG:
				memcpy(&packet.dw[9], &at, 8);
				break;
			case OBJECT:
				memcpy(&packet.dw[7], &at, 8);
				break;
			case DEPENDENCY:
				packet = (struct aql){.header = 3};
				memcpy(&packet.dw[1], &at, 8);
				break;
			}
			queue_open(&q, p, KFD_IOC_QUEUE_TYPE_COMPUTE_AQL);
			aql_put(&q, &packet);
			/* A memory fault, or for code that isn't there the queue's error. */
			while (!atomic_load(&p->faults) && !atomic_load(&q.inactive->value)) {
				if (clock_ms() > end)
					fail_msg("%s at %#llx: nothing happens", field_names[field],
						 (unsigned long long)at);
				sleep_ms(1);
			}
			if (field != OBJECT && !atomic_load(&p->faults))
				fail_msg("%s at %#llx: an error, not a fault", field_names[field],
					 (unsigned long long)at);
			proc_end(p);
			check_victims(field_names[field]);
		}
		check_all(field_names[field]);
	}
}

/* Ring, pointers and the like, in amd_queue_t or the save area, which a program may change at any time. */
static void queue_memory_goes(void **state)
{
	static const uint32_t types[] = {KFD_IOC_QUEUE_TYPE_COMPUTE_AQL, KFD_IOC_QUEUE_TYPE_SDMA,
					 KFD_IOC_QUEUE_TYPE_COMPUTE};

	/* which: the ring, the write pointer, the read pointer is in a buffer that is unmapped later */
	for (unsigned t = 0; t < COUNT(types); t++) {
		for (unsigned which = 0; which < 3; which++) {
			struct proc *p = proc_start(&vms[0], ATTACKER, false);
			struct kfd_ioctl_create_queue_args args;
			uint64_t gpa = ram_block(p), handle;
			uint8_t *memory = vms[0].ram + (gpa - RAM_AT);
			struct queue q;

			memset(memory, 0, BUFFER);
			assert_int_equal(proc_alloc(p, FREED_VA, BUFFER, USERPTR | WRITABLE, gpa,
						    &handle, NULL),
					 0);
			queue_args(&q, p, types[t], &args);
			if (which == 0) {
				q.ring = memory;
				args.ring_base_address = FREED_VA;
				for (unsigned i = 0; !t && i < q.ring_size; i += 64)
					q.ring[i] = 1;
			} else if (which == 1) {
				q.wptr = (void *)(memory + 0x38);
				args.write_pointer_address = FREED_VA + 0x38;
			} else {
				q.rptr = (void *)(memory + 0x80);
				args.read_pointer_address = FREED_VA + 0x80;
			}
			assert_int_equal(queue_create(p, &args), 0);
			q.doorbell = (_Atomic uint64_t *)(void *)(vms[0].doorbells +
								  ATTACKER * HSV_DOORBELL_SLOT) +
				     args.queue_id;
			assert_int_equal(proc_map(p, handle, false), 0);
			memset(memory, 0x55, BUFFER); /* somebody else's by now */
			memset(memory, 1, 1);
			if (t) {
				/* NOPs */
				const uint32_t nop[2] = {t == 1 ? 0 : 0xffff1000, t == 1 ? 0 : 0xffff1000};
				uint8_t scratch[4096] = {0};

				if (which == 0)
					q.ring = scratch;
				ring_put(&q, nop, 2);
			} else {
				struct aql barrier = {.header = 3};
				uint8_t scratch[4096] = {0};

				if (which == 0)
					q.ring = scratch;
				aql_put(&q, &barrier);
			}
			/* The write pointer is not read by all; what is unmapped must not be touched. */
			if (which != 1 && !wait_fault(p, 10000))
				fail_msg("queue type %u, memory %u: no fault", types[t], which);
			sleep_ms(2);
			if (which == 1)
				memset(memory + 0x38, 0x55, 8); /* by the test itself */
			for (unsigned i = 1; i < BUFFER; i++)
				if (memory[i] != 0x55)
					fail_msg("queue type %u, memory %u: byte %u has changed",
						 types[t], which, i);
			proc_end(p);
		}
	}
	check_all("queue memory");
}

/* The address that an error's code is written to, in the save area's header. */
static void error_payload(void **state)
{
	choose_targets();
	for (unsigned k = 0; k < num_targets; k++) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);
		struct kfd_ioctl_runtime_enable_args enable = {.mode_mask = 1};
		struct kfd_ioctl_create_queue_args args;
		struct aql bad = {.header = 4}; /* agent dispatch: error 20 */
		uint8_t *save = arena_alloc(p, 4096);
		struct queue q;

		assert_int_equal(CALL(p, RUNTIME_ENABLE, &enable), 0);
		queue_args(&q, p, KFD_IOC_QUEUE_TYPE_COMPUTE_AQL, &args);
		memcpy(save + 24, &targets[k], 8);
		args.ctx_save_restore_address = arena_va(p, save);
		args.ctx_save_restore_size = 4096;
		assert_int_equal(queue_create(p, &args), 0);
		q.doorbell = (_Atomic uint64_t *)(void *)(vms[0].doorbells + ATTACKER * HSV_DOORBELL_SLOT) +
			     args.queue_id;
		aql_put(&q, &bad);
		sleep_ms(5);
		proc_end(p);
		check_victims("error payload");
	}
	check_all("error payload");
}

/* ------------------------------------------------------------------ doorbells */

static void doorbells_of_others(void **state)
{
	/* Bells in the slots of others, and beyond one's queues: nobody's queue moves, nothing of the attacker's runs. */
	struct proc *p = proc_start(&vms[0], ATTACKER, false);
	struct proc *other = proc_start(&vms[0], ATTACKER + 1, false);
	struct signal *done = signal_make(other, 1);
	uint64_t *out = arena_alloc(other, 64);
	uint64_t args[4] = {arena_va(other, out), arena_va(other, out), 0, 0};
	struct aql packet = aql_kernel(other, "nothing", args, 0, 0, done);
	_Atomic uint64_t *bells = (_Atomic uint64_t *)(void *)vms[0].doorbells;
	struct queue mine, theirs;

	queue_open(&mine, p, KFD_IOC_QUEUE_TYPE_COMPUTE_AQL);
	queue_open(&theirs, other, KFD_IOC_QUEUE_TYPE_COMPUTE_AQL);
	/* A ring of another's bell makes it look at its own ring, where nothing is. */
	for (unsigned i = 0; i < PROCESSES * HSV_DOORBELL_SLOT / 8; i++)
		atomic_store(&bells[i], 0x123456789abcdefull + i);
	kfd_process_unpark(p->kfd);
	kfd_process_unpark(other->kfd);
	sleep_ms(20);
	assert_int_equal(atomic_load(&done->value), 1);
	assert_int_equal(atomic_load(theirs.rptr), 0);
	assert_int_equal(atomic_load(mine.rptr), 0);
	/* It works as before. */
	aql_put(&theirs, &packet);
	assert_true(wait_signal(done, 0, 10000));
	assert_int_equal(atomic_load(&other->faults) + atomic_load(&p->faults), 0);
	proc_end(p);
	proc_end(other);
	memset(vms[0].doorbells, 0, PROCESSES * HSV_DOORBELL_SLOT);
	check_all("doorbells");
}

/* ------------------------------------------------------------------ requests */

static void queues_in_foreign_memory(void **state)
{
	struct proc *p = proc_start(&vms[0], ATTACKER, false);
	static const uint32_t types[] = {KFD_IOC_QUEUE_TYPE_COMPUTE_AQL, KFD_IOC_QUEUE_TYPE_SDMA,
					 KFD_IOC_QUEUE_TYPE_COMPUTE};

	choose_targets();
	for (unsigned t = 0; t < COUNT(types); t++) {
		for (unsigned k = 0; k < num_targets; k++) {
			uint64_t at = targets[k] & ~4095ull;

			for (unsigned field = 0; field < 5; field++) {
				struct kfd_ioctl_create_queue_args args;
				struct queue q;
				int err;

				p->used = 0;
				queue_args(&q, p, types[t], &args);
				switch (field) {
				case 0:
					args.ring_base_address = at;
					break;
				case 1:
					args.read_pointer_address = at;
					break;
				case 2:
					args.write_pointer_address = at;
					break;
				case 3:
					args.eop_buffer_address = at;
					args.eop_buffer_size = 4096;
					break;
				case 4:
					if (!at)
						continue; /* none */
					args.ctx_save_restore_address = at;
					args.ctx_save_restore_size = 4096;
					break;
				}
				err = queue_create(p, &args);
				if (err != -EINVAL && err != -EFAULT)
					fail_msg("queue type %u, field %u at %#llx: %d", types[t],
						 field, (unsigned long long)at, err);
			}
		}
	}
	/* from one's own into what lies behind it */
	for (unsigned size = 512 << 10; size; size *= 2) {
		struct kfd_ioctl_create_queue_args args;
		struct queue q;

		p->used = 0;
		queue_args(&q, p, KFD_IOC_QUEUE_TYPE_SDMA, &args);
		args.ring_base_address = ARENA_VA;
		args.ring_size = size;
		assert_int_equal(queue_create(p, &args), -EINVAL);
	}
	proc_end(p);
}

static void memory_of_others(void **state)
{
	static const struct {
		uint64_t gpa, size;
	} foreign[] = {
		{RAM_AT + RAM_SIZE, BUFFER},		    /* not registered */
		{RAM_AT + RAM_SIZE - 4096, BUFFER},	    /* from registered into it */
		{RAM_AT - 4096, 8192},			    /* before */
		{0, 4096},
		{RAM_AT, 1ull << 40},
		{~0ull - 4095, 4096},			    /* wraps */
		{~0ull - 4095, 8192},
		{RAM_AT | 1ull << 63, 4096},
		{1ull << 63, 1ull << 63},
	};
	struct proc *p = proc_start(&vms[0], ATTACKER, false);
	uint64_t handle, host = (uint64_t)(uintptr_t)heap;

	for (unsigned i = 0; i < COUNT(foreign); i++) {
		int err = proc_alloc(p, FREED_VA, foreign[i].size, USERPTR | WRITABLE, foreign[i].gpa,
				     NULL, NULL);

		if (!err)
			fail_msg("memory at %#llx: allowed", (unsigned long long)foreign[i].gpa);
	}
	/* host addresses are no guest-physical ones */
	assert_int_not_equal(proc_alloc(p, FREED_VA, 4096, USERPTR | WRITABLE, host, NULL, NULL), 0);
	assert_int_not_equal(proc_alloc(p, FREED_VA, 4096, USERPTR | WRITABLE,
					(uint64_t)(uintptr_t)vms[1].ram, NULL, NULL),
			     0);
	/* at addresses beyond what a process has */
	assert_int_not_equal(proc_alloc(p, (1ull << 47) - 4096, 8192, USERPTR | WRITABLE, RAM_AT, NULL, NULL), 0);
	assert_int_not_equal(proc_alloc(p, 1ull << 48, 4096, USERPTR | WRITABLE, RAM_AT, NULL, NULL), 0);
	assert_int_not_equal(proc_alloc(p, ~0ull - 4095, 8192, USERPTR | WRITABLE, RAM_AT, NULL, NULL), 0);
	/* over what it has already */
	assert_int_not_equal(proc_alloc(p, ARENA_VA, 4096, USERPTR | WRITABLE, RAM_AT, NULL, NULL), 0);
	/* doorbells: one's own slot, nothing more */
	assert_int_not_equal(proc_alloc(p, BELLS_VA, 2 * HSV_DOORBELL_SLOT,
					KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL | WRITABLE, 0, NULL, NULL),
			     0);
	/* more extents, into an invalidated buffer */
	assert_int_equal(proc_alloc(p, NOWHERE_VA, 8192, USERPTR | WRITABLE, ram_block(p), &handle, NULL), 0);
	assert_int_equal(kfd_memory_invalidate(p->kfd, handle), 0);
	assert_int_not_equal(kfd_memory_restore(p->kfd, handle,
						&(struct hsv_extent){RAM_AT + RAM_SIZE, 8192}, 1),
			     0);
	proc_end(p);
	check_victims("memory requests");
}

/* Handles are the process's: those of another are unknown, whatever they are named. */
static void handles_of_others(void **state)
{
	struct proc *p = proc_start(&vms[0], ATTACKER, false);
	uint64_t secret = neighbour->vram_handle, mine = p->vram_handle;

	/* The same numbers name the own buffers: what the neighbour has is in no way reached. */
	assert_int_equal(secret, mine);
	for (uint64_t id = 4; id < 300; id++) {
		uint64_t handle = (uint64_t)GPU_ID << 32 | id;

		assert_int_not_equal(proc_map(p, handle, true), 0);
		assert_int_not_equal(proc_map(p, handle, false), 0);
		assert_int_not_equal(proc_free(p, handle), 0);
		assert_int_not_equal(kfd_memory_invalidate(p->kfd, handle), 0);
	}
	assert_int_not_equal(proc_map(p, mine ^ 1ull << 32, true), 0);
	for (uint32_t id = 0; id < 2000; id++) {
		struct kfd_ioctl_destroy_queue_args destroy = {.queue_id = id};
		struct kfd_ioctl_update_queue_args update = {.queue_id = id, .queue_percentage = 100};

		assert_int_not_equal(CALL(p, DESTROY_QUEUE, &destroy), 0);
		assert_int_not_equal(CALL(p, UPDATE_QUEUE, &update), 0);
	}
	proc_end(p);
	check_all("handles");
}

/* A fault ends one process: others of the VM, queues of all kinds, and the other VM go on all the while. */
static void neighbours_go_on(void **state)
{
	struct proc *busy = proc_start(&vms[0], 1, false);
	uint64_t *out = arena_alloc(busy, 64), before, *word = arena_alloc(busy, 64);
	uint64_t args[4] = {arena_va(busy, word), arena_va(busy, out), 1, 0};
	struct aql packet = aql_kernel(busy, "forever_store", args, 0, 0, NULL);
	struct queue q;

	queue_open(&q, busy, KFD_IOC_QUEUE_TYPE_COMPUTE_AQL);
	aql_put(&q, &packet);
	for (unsigned i = 0; i < 100; i++) {
		struct proc *p = proc_start(&vms[0], ATTACKER, false);

		before = __atomic_load_n(&out[2], __ATOMIC_RELAXED);
		assert_int_equal(attack(p, i % 2 ? "global_load" : "global_store", NOWHERE_VA, 0, 0, 0).outcome,
				 FAULTED);
		proc_end(p);
		for (unsigned k = 0; k < 10000; k++) {
			if (__atomic_load_n(&out[2], __ATOMIC_RELAXED) > before)
				break;
			sleep_ms(1);
		}
		assert_true(__atomic_load_n(&out[2], __ATOMIC_RELAXED) > before);
	}
	assert_int_equal(atomic_load(&busy->faults), 0);
	proc_end(busy);
	check_all("a hundred faults");
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_teardown(name, world_tidy)
	const struct CMUnitTest tests[] = {
		TEST(copies_and_writes),
		TEST(packet_fields),
		TEST(queue_memory_goes),
		TEST(error_payload),
		TEST(doorbells_of_others),
		TEST(queues_in_foreign_memory),
		TEST(memory_of_others),
		TEST(handles_of_others),
		TEST(neighbours_go_on),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s TARGET CODE-OBJECT\n", argv[0]);
		return 2;
	}
	world_target = argv[1];
	world_object = argv[2];
	return cmocka_run_group_tests_name("isolation of packets and requests", tests, open_victims,
					   close_victims);
}
