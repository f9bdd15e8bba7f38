/* SPDX-License-Identifier: MIT */
/*
 * world.h - two VMs in one process, without QEMU: software GPU and core as in a broker, guest RAM and VRAM as memory of the test. GPU
 * processes in them have some buffers and queues, and can be told to attack.
 *
 * All is in one host process, so what an attack must not reach (the other VM, the heap, code) is mapped right beside, which two brokers
 * would not have.
 */
#ifndef TESTS_ISOLATION_WORLD_H
#define TESTS_ISOLATION_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/kfd.h"
#include "tests/core/request.h"
#include "tests/cp/signal.h"
#include "gpu/soft/codeobj/codeobj.h"

#define GPU_ID	  0x4242
#define PROCESSES 8		/* slots of a VM */
#define VRAM_SIZE (8ull << 20)	/* of a VM */
#define RAM_SIZE  (16ull << 20) /* of a VM, registered */
#define RAM_AT	  0x40000000ull /* its guest-physical address; as much that is not registered lies behind it */

/* Every process has its buffers at the same addresses, so a mistaken address space would show. */
#define ARENA_VA   0x1000000000ull /* system memory: read, write */
#define ARENA_SIZE (256u << 10)
#define CODE_VA	   0x2000000000ull /* system memory: read, execute */
#define CODE_SIZE  (64u << 10)
#define VRAM_VA	   0x3000000000ull /* VRAM: read, write */
#define BUFFER	   (64u << 10)
#define SECRET_VA  0x4000000000ull /* system memory, victims only */
#define BELLS_VA   0x5000000000ull /* own doorbells */
#define FREED_VA   0x6000000000ull /* for buffers that come and go */
#define NOWHERE_VA 0x7000000000ull /* nobody has anything here */

struct proc;

struct vm {
	struct gpu *gpu;
	struct kfd_device *device;
	uint8_t *vram, *doorbells, *ram; /* ram: 2 * RAM_SIZE */
	struct proc *ram_owner[RAM_SIZE / ARENA_SIZE];
	struct proc *procs[PROCESSES];
};

struct proc {
	struct vm *vm;
	struct kfd_process *kfd;
	uint32_t slot;
	uint8_t *arena, *vram, *secret; /* host addresses */
	uint64_t arena_gpa, secret_gpa, vram_offset, vram_handle;
	size_t used; /* of the arena */
	atomic_uint faults, errors;
	struct gpu_memory_fault fault;
};

struct queue {
	struct proc *proc;
	uint32_t id;
	uint64_t type; /* KFD_IOC_QUEUE_TYPE_* */
	uint8_t *ring, *amd;
	uint32_t ring_size;
	struct signal *inactive;
	_Atomic uint64_t *rptr, *wptr, *doorbell;
	uint64_t written; /* packets, bytes (SDMA), dwords (PM4) */
};

enum outcome { RAN, FAULTED, ERRORED, HUNG };
extern const char *const outcome_names[];

struct result {
	enum outcome outcome;
	uint64_t value; /* what the kernel got */
};

/* For cmocka groups. world_object is set before. */
extern const char *world_target, *world_object;
extern struct vm vms[2];
extern struct codeobj world_code;
int world_open(void **state);
int world_close(void **state);
/* After a test, which may have failed: ends all processes but those in slot 0. */
int world_tidy(void **state);

/* secret: with a buffer at SECRET_VA. */
struct proc *proc_start(struct vm *vm, uint32_t slot, bool secret);
void proc_end(struct proc *p);
#define CALL(p, name, args) \
	core_request((p)->kfd, _IOC_NR(AMDKFD_IOC_##name), args, sizeof(*(args)), NULL, 0, NULL, 0, NULL)
/* VRAM with its first run's offset; system memory at a guest-physical address. 0 or the errno of ALLOC or MAP. */
int proc_alloc(struct proc *p, uint64_t va, uint64_t size, uint32_t flags, uint64_t gpa, uint64_t *handle,
	       uint64_t *offset);
int proc_map(struct proc *p, uint64_t handle, bool map);
int proc_free(struct proc *p, uint64_t handle);
/* ARENA_SIZE bytes of guest RAM that no process has, for p until its end: guest-physical address. */
uint64_t ram_block(struct proc *p);

/* Zeroed memory of the arena. */
void *arena_alloc(struct proc *p, size_t size);
uint64_t arena_va(struct proc *p, const volatile void *at);
struct signal *signal_make(struct proc *p, int64_t value);

/* With all pointers in the arena. */
void queue_open(struct queue *q, struct proc *p, uint32_t type);
int queue_create(struct proc *p, struct kfd_ioctl_create_queue_args *args);
void queue_args(struct queue *q, struct proc *p, uint32_t type, struct kfd_ioctl_create_queue_args *args);

struct aql { /* a packet */
	uint16_t header, setup;
	uint32_t dw[15];
};
struct aql aql_kernel(struct proc *p, const char *kernel, const uint64_t args[4], unsigned lds,
		      unsigned scratch, struct signal *done);
void aql_put(struct queue *q, const struct aql *packet);
void ring_put(struct queue *q, const uint32_t *dw, unsigned num); /* and the doorbell */
bool ring_drained(struct queue *q, unsigned ms);

/* Runs an attack kernel on a fresh queue of p and waits for its end or its failure. */
struct result attack(struct proc *p, const char *kernel, uint64_t address, uint64_t value, uint64_t more,
		     unsigned lds);
/* Waits until that many faults are there. */
bool wait_fault(struct proc *p, unsigned ms);
bool wait_signal(struct signal *s, int64_t value, unsigned ms);

#endif
