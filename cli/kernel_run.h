/* SPDX-License-Identifier: MIT */
/*
 * kernel_run.h - runs one kernel of a code object in this process: the GPU's executor (gpu/soft/exec) without queues, packets and a driver.
 *
 * GPU addresses are chosen here and are the same in each run; what is not mapped is a memory fault.
 */
#ifndef CLI_KERNEL_RUN_H
#define CLI_KERNEL_RUN_H

#include <stdio.h>

#include "cli/code_text.h"
#include "gpu/soft/exec/exec.h"
#include "gpu/soft/isa/profile.h"

#define KERNEL_CODE_BASE 0x100000000ull
#define KERNEL_RANGES	 64
#define KERNEL_THREADS	 64

/* Options of a dispatch. */
struct kernel_dispatch {
	uint32_t grid[3];  /* work-items */
	uint16_t group[3];
	uint32_t dynamic_lds;
	const uint8_t *args; /* explicit arguments where the kernel has them, args_size bytes */
	uint32_t args_size;
	unsigned threads;
};

/* Which waves are traced; all: every one. */
struct kernel_trace {
	FILE *file;
	bool all;
	struct {
		uint32_t group[3], wave;
	} wave[16];
	unsigned num_waves;
	uint64_t instructions; /* written */
};

struct kernel_run {
	const struct codeobj *co;
	const struct codeobj_kernel *kernel;
	struct {
		uint64_t va, size;
		uint8_t *host;
		uint32_t prot;
		const char *what; /* "buffer 0" */
		uint64_t bytes;	  /* asked for; the rest up to size is padding */
	} range[KERNEL_RANGES];
	unsigned num_ranges;
	uint64_t next_va;
	struct code_cache *code; /* of kernel_run's plain dispatches */
	uint8_t *kernarg, *packet, *printf_buffer;
	uint64_t kernarg_va, packet_va, queue_va, printf_va;
	/* Of the last dispatch. */
	enum exec_result result;
	struct exec_fault fault;
	uint32_t fault_group[3], fault_wave;
	uint64_t ns, cpu_ns, instructions, interpreted, work_groups, waves;
	struct isa_count *count; /* by dword of the image: of the last kernel_run_counted */
	FILE *where;		    /* stopped: waves in flight are written there; NULL: not */
	struct kernel_trace *trace;
};

/* Stops what runs; safe in a signal handler. kernel_stopped: it was called. */
void kernel_stop(void);
bool kernel_stopped(void);

/* 0, or -errno. co was opened at KERNEL_CODE_BASE and must outlive run. */
int kernel_run_init(struct kernel_run *run, const struct codeobj *co, const struct codeobj_kernel *kernel);
void kernel_run_free(struct kernel_run *run);

/* Zeroed memory for the GPU; *va is its address there. NULL: none. what is kept, not copied. */
uint8_t *kernel_alloc(struct kernel_run *run, uint64_t size, uint32_t prot, const char *what, uint64_t *va);
/* What is at or nearest before an address, for messages: "in buffer 0 at 0x40", "4096 bytes behind the end of buffer 0". */
void kernel_where(const struct kernel_run *run, uint64_t va, char *text, size_t size);

enum kernel_how { KERNEL_PLAIN, KERNEL_COUNTED, KERNEL_TRACED };
/* Runs all work-groups. 0: run->result says how it ended. -errno: it could not begin (-EINVAL: no GPU could run that). */
int kernel_run(struct kernel_run *run, const struct kernel_dispatch *d, enum kernel_how how);

#endif
