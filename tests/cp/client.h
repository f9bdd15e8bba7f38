/* SPDX-License-Identifier: MIT */
/*
 * client.h - a scripted GPU client for tests: memory mapped into a GPU address space, queues in it,
 * packets written by hand.
 *
 * Kernels are interpreted by fake_exec.c: the kernel arguments say what each work-group does. So
 * these tests see the command processor alone.
 */
#ifndef TESTS_CP_CLIENT_H
#define TESTS_CP_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gpu/gpu.h"
#include "tests/cp/signal.h"

#define POOL_VA	  0x1000000000ull
#define POOL_SIZE (16u << 20)

struct client {
	struct gpu *gpu;
	struct gpu_vm *vm;
	uint8_t *pool; /* POOL_SIZE bytes at POOL_VA: read, write, execute */
	size_t used;
	_Atomic uint64_t events[64]; /* how often each id was signalled */
	atomic_uint idles, faults;
	struct gpu_memory_fault fault;
	atomic_uint errors; /* queue_error: how often, and the last one */
	uint32_t error_queue, error_code;
	uint64_t error_kernel;
	bool park_when_idle, joined;
	int (*page_request)(struct client *c, uint64_t va, uint64_t size, unsigned prot); /* set before gpu_vm_set_paging */
};

/* threads 0: one per CPU. turn may be NULL; ctx is its. */
void client_open(struct client *c, const char *target, unsigned threads,
		 const struct gpu_turn_ops *turn, void *ctx);
/* The same with all that a GPU can be given. */
void client_open_config(struct client *c, const struct gpu_config *config);
/* A second GPU process of the same GPU, with its own pool; closed before the first. */
void client_join(struct client *c, struct client *first);
void client_close(struct client *c);
/* Zeroed memory of the pool; va in *va. */
void *client_alloc(struct client *c, size_t size, uint64_t *va);
uint64_t client_va(struct client *c, const volatile void *p);

struct signal *client_signal(struct client *c, int64_t value, uint32_t event_id);
/* True if the value is reached within ms. */
bool wait_value(_Atomic int64_t *value, int64_t want, unsigned ms);
bool wait_u64(_Atomic uint64_t *value, uint64_t want, unsigned ms);
bool wait_uint(atomic_uint *value, unsigned want, unsigned ms);

struct packet {
	uint16_t header, setup;
	uint32_t dw[15];
};

struct aql {
	struct client *c;
	struct gpu_queue *queue;
	struct packet *ring;
	uint8_t *amd; /* amd_queue_t */
	uint64_t amd_va;
	_Atomic uint64_t *doorbell;
	struct gpu_queue_desc desc;
	struct signal *inactive;
	unsigned packets;
	struct cwsr {
		uint32_t words[6];
		uint64_t err_payload_addr;
		uint32_t err_event_id, reserved;
	} * cwsr;
	struct signal *error; /* err_payload_addr names its value */
};

void aql_open(struct aql *q, struct client *c, unsigned packets, bool error_events);
void aql_describe(struct aql *q, struct client *c, unsigned packets,
		  bool error_events); /* all but the creation */
_Atomic uint64_t *aql_read_id(struct aql *q);
_Atomic uint64_t *aql_write_id(struct aql *q);
/* Puts a packet in the ring (header last) and rings; returns its index. */
uint64_t aql_submit(struct aql *q, const struct packet *p);

/* What a fake kernel does (fake_exec.c). */
enum fake_op {
	FAKE_END,
	FAKE_COUNT,   /* adds 1 to the u64 at addr */
	FAKE_WAIT,    /* until the u64 at addr is not 0 */
	FAKE_BARRIER, /* adds 1 to addr, waits until it is >= arg: work-groups wait for each other
		       */
	FAKE_ILLEGAL,
	FAKE_APERTURE,
	FAKE_TRAP,	/* trap_id arg */
	FAKE_READ,	/* reads the u64 at addr once, adds it to the u64 at arg */
	FAKE_READ_LOOP, /* reads addr for ever */
	FAKE_MESSAGE,	/* s_sendmsg interrupt with m0 = arg */
	FAKE_SLOTS, /* marks byte addr[scratch_slot + wave]; clears it when done, counts clashes at
		       arg; some slices long */
	FAKE_ORDER, /* compares the u64 at addr with arg, writes arg + 1, counts mismatches in the
		       u64 at addr + 8 */
	FAKE_IDS,   /* adds 1 to the u32 at addr[flat work-group id] */
	FAKE_CHAIN, /* waits until the u64 at addr is the flat work-group id, adds 1 */
	FAKE_SPIN,  /* adds 1 to the u64 at arg in turns, until the u64 at addr is not 0 */
	FAKE_SLICES, /* ends in its arg-th slice: at addr { u64 begun and not ended, most at once } */
	FAKE_NAPS,   /* the same, with a wave that sleeps at the end of each */
	FAKE_MEET,  /* a slice of about 100 us: at addr { u64 running, most at once, CUs seen as bits } */
};
struct fake_args {
	uint64_t op, addr, arg;
};
struct kernel {
	uint64_t object; /* kernel descriptor */
	uint8_t *kd;
};
/* A kernel descriptor with vgprs vector registers. */
/* The CPU seconds that this process uses in that many milliseconds: the least of a few tries, for on a busy machine its threads
 * may still have to come to rest; the first one that is below enough ends them. */
double least_cpu_seconds(unsigned ms, double enough);

void client_kernel(struct client *c, struct kernel *k, unsigned vgprs);
/* A dispatch of fake_args. */
struct packet dispatch_packet(struct client *c, const struct kernel *k, struct fake_args args,
			      unsigned wg_size, unsigned groups, struct signal *done);
struct packet barrier_packet(struct client *c, unsigned type, struct signal **deps, unsigned num,
			     struct signal *done);
enum {
	PACKET_VENDOR = 0,
	PACKET_INVALID = 1,
	PACKET_DISPATCH = 2,
	PACKET_AND = 3,
	PACKET_AGENT = 4,
	PACKET_OR = 5
};

struct ring { /* SDMA or PM4 */
	struct client *c;
	struct gpu_queue *queue;
	uint8_t *base;
	uint64_t size, wptr; /* bytes */
	_Atomic uint64_t *doorbell, *rptr;
	struct gpu_queue_desc desc;
};
void ring_open(struct ring *r, struct client *c, enum gpu_queue_type type, uint64_t size);
void ring_put(struct ring *r, const uint32_t *dw,
	      unsigned num);		      /* wraps; waits for space is the caller's */
void ring_ring(struct ring *r);		      /* the doorbell */
bool ring_drain(struct ring *r, unsigned ms); /* until all is read */

#endif
