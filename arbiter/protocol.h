/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - what passes between hsavisord and its clients.
 *
 * One UNIX SOCK_SEQPACKET socket, a message a packet. Executors (brokers, host processes, `hsavisor
 * run`) speak the fixed structs below, so that the client needs no JSON library inside other
 * people's processes. Tools speak JSON: a packet that starts with '{' is a control request, {"op":
 * "status"} and the like (control.c), answered by one JSON object.
 *
 * Every executor connection shares one page with the arbiter: turns (futex words) and counters. The
 * arbiter trusts nothing in it: a client that lies spoils its own turns and its own figures only.
 */
#ifndef ARBITER_PROTOCOL_H
#define ARBITER_PROTOCOL_H

#include <stdint.h>

#include "arbiter/client.h"

#define ARBITER_MAGIC	 0x31565348u /* "HSV1" */
#define ARBITER_VERSION	 4
#define ARBITER_NAME_MAX 64	      /* with its NUL */
#define ARBITER_MSG_MAX	 (384 * 1024) /* largest packet: a JSON answer */

enum arbiter_msg_type {
	ARBITER_MSG_HELLO = 1,
	ARBITER_MSG_CHARGE = 2,
	/* A descriptor for other executors of the tenant, under the key in the first 16 bytes of name; no longer; and what has that key: the answer has
	 * the descriptor. */
	ARBITER_MSG_SHARE = 3,
	ARBITER_MSG_UNSHARE = 4,
	ARBITER_MSG_SHARED = 5,
	/* Of a VM, once it is on all of its GPUs and before it has any VRAM: the VRAM of all of them is to be in one memfd, in the order of the GPUs. */
	ARBITER_MSG_ONE_FILE = 6,
};

/* Of the memory shared with an executor: the page, then faults, then the trace ring. */
#define ARBITER_PAGE_BYTES   4096
#define ARBITER_FAULTS	     32
#define ARBITER_TRACE_EVENTS 16384
#define ARBITER_KERNEL_NAME  184 /* of a kernel, with its NUL */
#define ARBITER_NAME_PART    40	 /* bytes of it in a GPU_TRACE_NAME record */

struct arbiter_msg { /* executor -> arbiter */
	uint32_t magic, version;
	uint32_t type; /* enum arbiter_msg_type */
	uint32_t kind; /* HELLO: enum arbiter_kind */
	uint64_t vram; /* HELLO: wanted quota, bytes; 0: default */
	uint64_t vram_max; /* HELLO: the most it may be changed to; 0: no more than the quota */
	uint32_t gpu;	   /* HELLO: which one, or ARBITER_ANY_GPU */
	uint32_t reserved;
	int64_t bytes; /* CHARGE: VRAM to take (> 0) or give back (< 0) */
	char name[ARBITER_NAME_MAX];
};

struct arbiter_reply { /* with a HELLO's: descriptors: page, wake eventfd, VRAM (not for
			  ARBITER_HOST), swap file and bell (if VRAM is overcommitted);
			  with a SHARED's: the descriptor; with a ONE_FILE's: the memfd */
	uint32_t magic;
	int32_t error; /* 0 or negative errno */
	uint32_t tenant, threads;
	uint32_t gpu, gpus; /* see struct arbiter_grant */
	uint64_t vram;
	char target[16];
	char message[128]; /* sentence for the user when error is set */
	uint64_t cpus[4];  /* that GPU threads run on, bit i of all words: CPU i; none: any */
};

/*
 * The shared page. Client: sets want when it has work, clears it when idle. Arbiter: granted (futex
 * word) and contended. A client that wants and isn't granted writes the wake eventfd and waits on
 * granted; one that becomes idle while contended writes it too. So a lone tenant keeps its grant
 * and never makes a system call.
 *
 * The arbiter sets contended when it wants to know of idleness, and looks at want afterwards; it
 * looks at want after it cleared granted, too. So an executor need not write the eventfd again for a
 * want that it has told.
 *
 * Taking the GPU away: the arbiter clears granted; each GPU thread of the client sees that at its
 * next quiescent point and leaves, counting users down; the last one, finding granted clear, writes
 * the wake eventfd. Then, or when the executor was late beyond a bound, the GPU goes to the next. A
 * thread counts itself into users before it looks at granted. Ordering: all of these are
 * sequentially consistent.
 */
/*
 * Swapping, when VRAM is overcommitted: the executor has a file for its VRAM and a bell, an eventfd
 * that the arbiter writes after it changed vram_order: a count in the upper 31 bits, and in the
 * lowest whether the VRAM is to be in the file (ARBITER_VRAM_OUT) or in its memory. The executor
 * does that, copies order to vram_done, or to vram_refused if it can't, and writes the wake eventfd.
 * While its VRAM is or goes away an executor has no turns. It comes back when it wants one, or sets
 * vram_need and writes the wake eventfd.
 */
#define ARBITER_VRAM_OUT 1u

struct arbiter_page {
	_Atomic uint32_t want;
	_Atomic uint32_t granted;
	_Atomic uint32_t contended;
	_Atomic uint32_t users;	   /* client: GPU threads that run something now */
	_Atomic uint64_t vram_limit; /* arbiter: the tenant's VRAM quota as it is now, bytes */
	_Atomic uint64_t vram_used;  /* arbiter: what all executors of the tenant have of it */
	/* Where the executor's VRAM is to be, see "Swapping" above. */
	_Atomic uint32_t vram_order;   /* arbiter */
	_Atomic uint32_t vram_done;    /* client: the last order that it carried out */
	_Atomic uint32_t vram_refused; /* client: the last one that it can't */
	_Atomic uint32_t vram_need;    /* client: somebody waits for its VRAM to be there */
	struct gpu_limits limits;    /* arbiter: see gpu/gpu.h */
	_Atomic uint32_t trace;	     /* arbiter: fill the trace ring */
	_Atomic uint32_t faults;     /* client: faults written so far, see struct arbiter_fault */
	_Atomic uint64_t traced;     /* client: trace events written so far */
	_Atomic uint64_t want_since; /* client: when it set want, CLOCK_MONOTONIC ns; 0: it does not */
	_Atomic uint64_t wanted_ns;  /* client: how long it wanted the GPU before that */
	_Atomic uint32_t dismissed;  /* arbiter: it has no more to do with this executor */
	struct arbiter_counters counters;
};

/*
 * A fault, for the log. The client writes entry faults % ARBITER_FAULTS, then counts page->faults up
 * and writes the wake eventfd. All of it is the client's word: printable text is made by the reader.
 */
struct arbiter_fault {
	uint64_t time_ns; /* CLOCK_REALTIME */
	uint64_t address; /* of a memory fault, else 0 */
	uint64_t kernel;  /* address of the kernel's descriptor, 0: unknown */
	uint32_t process; /* pid, in a VM the guest's */
	uint32_t queue;
	uint32_t code; /* 0: memory fault, else KFD's queue error code */
	uint32_t flags; /* of a memory fault: 1 not present, 2 read only, 4 no execute */
	char process_name[32];
	char kernel_name[ARBITER_KERNEL_NAME]; /* "" when the code object does not tell */
};
_Static_assert(sizeof(struct arbiter_fault) == 256, "sixteen to a page");

/*
 * The trace ring: struct gpu_trace_event number n is entry n % ARBITER_TRACE_EVENTS; page->traced
 * counts them. The reader copies an entry, then checks that it was not overwritten meanwhile
 * (traced - n < ARBITER_TRACE_EVENTS). GPU_TRACE_NAME is not the GPU's: kernel is the descriptor's
 * address and the text lies in the other fields; arbiter/reporter.c tells how.
 */
struct arbiter_shared {
	union {
		struct arbiter_page page;
		char page_bytes[ARBITER_PAGE_BYTES];
	};
	struct arbiter_fault faults[ARBITER_FAULTS];
	struct gpu_trace_event trace[ARBITER_TRACE_EVENTS];
};
/* Of a GPU_TRACE_NAME record: its part of the text (not terminated); returns where in the name it
 * is. */
size_t arbiter_name_part(const struct gpu_trace_event *event, char text[ARBITER_NAME_PART]);

_Static_assert(sizeof(struct arbiter_page) <= ARBITER_PAGE_BYTES, "the shared page is one page");

#endif
