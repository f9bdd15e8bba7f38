/* SPDX-License-Identifier: MIT */
/*
 * cp.h - inside of the command processor.
 *
 *   gpu.c     the device and its GPU address spaces: life, sleep and wake, statistics
 *   vm.c      page table, translation, quiescence of executor threads
 *   queue.c   queues: life, rings, signals, errors
 *   aql.c     AQL packets         pm4.c  PM4 packets and indirect buffers      sdma.c  SDMA packets
 *   atomic.c  the memory atomics that SDMA and PM4 packets name
 *   dispatch.c  a kernel's start and end, for AQL and PM4
 *   sched.c   dispatches in flight: which work-group runs next, suspending, stopping  (heap.c)
 *   pager.c   pageable memory: requests for it, and who waits
 *   turn.c    the tenant's turn on the GPU, timelines, limits of kernels
 *   backlog.c  packets that wait, for listings
 *   profile.c  what kernels do, when somebody wants to know
 *   thread.c  the threads: the CP thread (polls doorbells, steps queues, runs waves between) and
 * the workers
 *
 * Theory of operation
 *
 * A queue is a state machine that the CP thread steps: each step does a bounded amount of work and
 * never waits. A kernel dispatch becomes a struct dispatch of the scheduler; executor
 * threads (the CP thread is one of them, so a small kernel never leaves it) take work-groups from
 * it, run them for a slice and put unfinished ones back. When a dispatch has ended, the CP
 * thread sees it in its next step and completes the packet.
 *
 * Locks, in this order: gpu->lock (vms, queues; the CP thread holds it while it steps, so whoever
 * holds it knows that no packet is being processed), gpu->sched_lock (dispatches), vm->map_lock and
 * vm->event_lock (leaves). Callbacks are made by the CP thread without any lock: events are
 * collected in the vm and delivered at the end of a pass.
 *
 * An executor thread touches memory of a vm only while attached to it. It publishes the page-table
 * generation it has seen, so that gpu_vm_unmap can wait until nobody uses an older one.
 */
#ifndef GPU_SOFT_CP_CP_H
#define GPU_SOFT_CP_CP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "gpu/gpu.h"
#include "gpu/soft/cp/heap.h"
#include "gpu/soft/cp/profile.h"
#include "gpu/soft/exec/exec.h"
#include "gpu/soft/soft.h"

/* Bounds on what a program can make the GPU do or hold. */
enum {
	GPU_MAX_THREADS = 256,
	GPU_MAX_QUEUES = 1024, /* of one gpu */
	GPU_MAX_EVENTS = 4096, /* of one vm, not yet delivered */
	GPU_MAX_WAVES = 320,   /* of one dispatch in flight */
	AQL_PACKETS_PER_STEP = 16,
	PM4_PACKETS_PER_STEP = 64,
	PM4_COMPUTE_REGS = 0x60, /* from COMPUTE_DISPATCH_INITIATOR */
	PM4_IB_DEPTH = 4,	 /* nested indirect buffers */
	PM4_BODY_MAX = 8, /* dwords that any packet but WRITE_DATA has after its header; more are
			     ignored */
	SDMA_PACKETS_PER_STEP = 16,
	SDMA_MAX_DWORDS = 16, /* of a packet without WRITE's data */
	COPY_BYTES_PER_PASS = 1024 * 1024, /* that SDMA and PM4 queues of one vm move between two
					      looks at everything else */
	GPU_MAX_ERRORS = 16, /* of queues of one vm, not yet delivered */
	GPU_PRIORITIES = 16,
	PAGER_WANTED = 64,  /* page requests of one vm to be made */
	PAGER_FAILED = 64,  /* of its last answers, those that were errors */
	PAGER_STREAMS = 16, /* scans of memory that are followed */
};
#define COPY_KEPT (32u << 20) /* bytes that caches keep of a packet's copy until somebody reads it; the rest goes past them, which is faster */
#define GPU_MAX_INFLIGHT_BYTES                                                                     \
	(512ull                                                                                    \
	 << 20) /* registers and LDS of all work-groups; one per dispatch is always allowed */
#define GPU_MAX_POOL_BYTES (64ull << 20) /* work-groups kept for the next dispatch */
#define GPU_MAX_PT_NODES   (1u << 17)	 /* page table nodes of 4 KiB, of all vms */
#define GPU_RING_MIN	   256
#define GPU_RING_MAX	   (1ull << 32)
#define GPU_VA_BITS	   48

/* Queue error codes: KFD's enum kfd_dbg_trap_exception_code (linux/kfd_ioctl.h). */
enum queue_error {
	QERR_ABORT = 1,
	QERR_TRAP = 2,
	QERR_ILLEGAL = 4,
	QERR_MEMORY = 5,
	QERR_APERTURE = 6,
	QERR_DIM = 16,
	QERR_GROUP_SEGMENT = 17,
	QERR_CODE = 18,
	QERR_PACKET = 20,
	QERR_WORKGROUP_SIZE = 21,
	QERR_REGISTERS = 22,
	QERR_VENDOR = 23,
	QERR_PREEMPTION = 30, /* a kernel was stopped: on request, or it ran too long */
};

/* ------------------------------------------------------------------ threads */

/* Of the CPU's time, by which Linux decides who waits for whom. */
enum cpu_slice { SLICE_USUAL, SLICE_SHORT, SLICE_LONG };

struct executor {
	struct gpu *gpu;
	pthread_t thread;
	unsigned index; /* 0: the CP thread */
	bool started;
	enum cpu_slice slice; /* its own */
	unsigned quiet;	      /* its own; the CP thread's passes since one in which queues had something for it to do */
	bool sparse;	      /* its own; a worker's last pause was long */
	struct mem_view view;
	uint64_t view_serial, view_gen; /* which vm and generation the view's entries belong to */
	_Atomic(struct gpu_vm *) vm;	/* attached to */
	_Atomic uint64_t seen;		/* generation seen; 0 while attaching */
	atomic_uint stop;		/* asks exec_run to return */
	struct dispatch *current;	/* sched_lock */
	struct profile_page *profile_page; /* its own; where it counted last */
};

#define QUIET_PASSES 8

/* The CP thread may stay with waves for longer, as nothing else has come for a while. */
static inline bool cp_quiet(const struct executor *ex)
{
	return ex->quiet >= QUIET_PASSES;
}

static inline struct executor *view_executor(struct mem_view *view)
{
	return (struct executor *)((char *)view - offsetof(struct executor, view));
}

/* ------------------------------------------------------------------ dispatches */

struct wg_slot {
	struct wg_slot *next;
	struct dispatch *dispatch;
	struct exec_range range; /* work-groups handed out with it and not begun yet */
	uint32_t handed;	 /* how many there were when it was picked */
	uint16_t index;	 /* of the dispatch's in-flight slots: decides CU and scratch */
	bool fresh;	 /* exec_wg_init not called yet */
	bool has_memory; /* exec_wg_init was called once */
	uint64_t answers; /* of the vm's pager when the slice began */
	bool counted;	 /* for a profile */
	bool first;	 /* suspended, and to go on before others are begun */
	uint16_t slices; /* that it has had without others between */
	struct workgroup wg;
};

enum { MAX_PARTS = 16, MAX_KNOWN = 8 };

struct dispatch {
	struct heap_node node;	      /* in vm->ready while it has a work-group to run */
	struct dispatch *next_starved; /* of gpu->starved */
	bool starved;		      /* no memory for another work-group now */
	bool listed;		      /* counted in gpu->listed */
	struct gpu_queue *queue;
	struct gpu_vm *vm;
	struct dispatch_setup setup;
	uint64_t kernel; /* address of the kernel's descriptor; PM4: of its code */
	struct profile_kernel *profile; /* NULL: none */
	uint64_t wg_bytes;
	uint32_t waves_per_wg;
	/* Work-groups that were never handed out, by their numbers: one part, or one of each executor. */
	struct {
		uint64_t next, end;
	} part[MAX_PARTS];
	unsigned num_parts;
	uint64_t unissued; /* how many these are in all */
	/* Handed out, but not begun when the slice ended. These go first, and each executor has one
	 * range at a time, so there are no more than executors. */
	struct exec_range back[GPU_MAX_THREADS];
	unsigned num_back;
	uint64_t wg_ns; /* what a work-group of this kernel takes, roughly; 0: not known */
	struct {
		uint64_t kernel, wg_ns;
		uint16_t wg_size[3];
	} known[MAX_KNOWN]; /* the same of kernels before it */
	unsigned next_known;
	bool active;	      /* between sched_start and sched_finish/sched_kill */
	bool few;	      /* so few work-groups that the CP thread tries alone first */
	unsigned cap;	      /* work-groups in flight at most */
	unsigned max_running; /* executors at most: the queue's share of the CUs */
	unsigned inflight, running;
	unsigned halt;				 /* > 0: nothing of it is run */
	struct wg_slot *ready_head, *ready_tail; /* suspended or not yet run */
	unsigned num_waiting;			 /* in vm->waiting */
	_Atomic bool stalled;			 /* nothing of it can run till pages come */
	struct wg_slot *pool;			 /* idle, with memory of this set-up */
	unsigned pool_count;
	uint16_t free_index[GPU_MAX_WAVES];
	unsigned num_free, num_used; /* of the indices below num_used, num_free are free */
	enum exec_result error; /* EXEC_DONE: none */
	bool over_limit;	/* ran longer than it may: error is set */
	struct exec_fault fault;
	atomic_bool done;
	uint64_t start_ns, begin_ns, end_ns; /* begin: first wave, 0: none yet */
	uint64_t run_ns;		     /* of all threads */
	uint64_t gpu_ns, since_ns;	     /* time that it ran on any thread, up to since */
	uint32_t preempted;		     /* how often it was suspended for another tenant */
	uint64_t preempt_serial;	     /* the turn at whose end it last was */
	unsigned priority;
	uint64_t vtime; /* of the queue: time it ran, or was not there */
};

/* ------------------------------------------------------------------ queues */

enum step { STEP_IDLE, STEP_WAIT, STEP_PROGRESS };

enum aql_phase { AQL_FETCH, AQL_WAIT, AQL_SCRATCH, AQL_RUN, AQL_IB, AQL_RECLAIM, AQL_COMPLETE };

/* A PM4 program counter; ring and indirect buffers alike. */
struct pm4_frame {
	uint64_t va;	    /* of the buffer */
	uint32_t size, pos; /* dwords */
};

struct pm4_state {
	struct pm4_frame frame[PM4_IB_DEPTH];
	unsigned depth;	   /* frames in use */
	uint64_t dma_done; /* bytes of the current DMA_DATA copied */
	uint32_t dma_packet[1 + PM4_BODY_MAX]; /* it, while dma_done */
	uint32_t reg[PM4_COMPUTE_REGS];
};

struct gpu_queue {
	struct gpu_queue *next;
	struct gpu_vm *vm;
	struct gpu_queue_desc desc;
	bool stopped;		/* by an error: for good */
	uint64_t rptr;		/* AQL: packets; SDMA: bytes; PM4: dwords */
	uint64_t doorbell_seen; /* AQL: value of the last look */
	uint64_t announced;	/* AQL: packets below it, by the doorbell's last change */
	uint8_t more;		/* AQL: in so many passes look even though the doorbell says nothing new */
	uint64_t round;		/* pass of the CP thread that stepped it last */
	uint64_t kernel;	/* address of the kernel descriptor of the packet at hand, or 0 */
	bool waits_pages;	/* the step came to memory that is not there yet */
	struct page_wait page_wait;
	bool tell_error;	/* of what error_bits says the program is to be told yet */
	uint64_t error_bits;
	enum queue_error error_code;
	uint32_t num_cu;	/* enabled ones and their numbers */
	uint8_t cu[64];
	struct dispatch dispatch;
	/* AQL */
	enum aql_phase phase;
	uint32_t packet[16];
	uint64_t start_ns;
	struct pm4_state pm4;
	/* SDMA: progress within the current packet, and what it was when it began */
	uint64_t sdma_done;
	uint32_t sdma_packet[SDMA_MAX_DWORDS], sdma_dwords;
	/* Copies, for timelines: begin is 0 if there is nothing to tell */
	struct {
		uint64_t begin_ns, end_ns, bytes, piece_ns;
	} copy;
};

struct vm_error {
	uint32_t queue;
	enum queue_error code;
	uint64_t kernel;
};

struct page_request {
	uint64_t va, size;
	unsigned prot;
};

struct page_failure {
	uint64_t va, size, answer;
};

struct page_stream {
	uint64_t end, window, used; /* where the next request is expected, and how much the last one asked for; bytes */
};

struct pager {
	_Atomic bool on; /* changed while the vm has no queue */
	pthread_mutex_t lock;
	_Atomic uint64_t answers; /* so far; changed under the lock */
	struct page_request wanted[PAGER_WANTED], asked[GPU_MAX_PAGE_REQUESTS];
	unsigned most; /* to be asked at a time */
	unsigned num_wanted, num_asked;
	struct page_failure failed[PAGER_FAILED];
	unsigned next_failed;
	struct page_stream stream[PAGER_STREAMS];
	uint64_t uses;
};

struct gpu_vm {
	struct gpu_vm *next;
	struct gpu *gpu;
	const struct gpu_vm_ops *ops;
	void *ctx;
	uint64_t serial;
	struct code_cache *code;
	struct profile *profile; /* NULL: none */
	_Atomic uint64_t shared_base, private_base;
	_Atomic uint64_t tba, tma; /* trap handler and its data */
	_Atomic uint32_t owner; /* gpu_vm_set_owner */

	/* page table */
	pthread_rwlock_t map_lock;
	struct pt_node *root;
	_Atomic uint64_t gen; /* from 1; grows with each unmap */
	_Atomic uint64_t pages; /* mapped as such */

	struct pager pager;

	/* gpu->lock */
	struct gpu_queue *queues;
	unsigned num_queues;
	bool awake, idle_called;
	uint64_t round;		       /* pass of the CP thread that was through with it last */
	bool pass_over;		       /* through with it */
	bool pass_progress, pass_busy; /* what its queues said in the pass so far */
	bool pass_paging; /* some wait for pages */
	uint64_t copy_left;	       /* bytes that may be moved in this pass */
	unsigned suspended;
	uint64_t delivery;    /* round of deliver() it was last looked at in */
	uint64_t last_active; /* ns */

	/* callbacks to come */
	pthread_mutex_t event_lock;
	uint32_t *events;
	unsigned num_events, max_events;
	bool idle_pending;	/* gpu->lock */
	struct vm_error errors[GPU_MAX_ERRORS]; /* gpu->lock */
	unsigned num_errors;
	atomic_int fault_state; /* 0 none, 1 being written, 2 to be reported, 3 reported */
	struct gpu_memory_fault fault;

	/* sched_lock */
	struct heap_node node;	 /* in gpu->ready while a dispatch is in ready */
	struct heap ready;	 /* dispatches that have a work-group to run */
	struct wg_slot *waiting; /* work-groups that can't run till pages come, of any dispatch */
	unsigned running;	 /* executors */
	unsigned num_dispatches; /* active ones */
	uint64_t vtime;		 /* time its waves and copies ran, or it had none; weighted */
	uint64_t queue_vtime[GPU_PRIORITIES]; /* of the last pick; for queues that come back */

	_Atomic uint64_t dispatches, packets, sdma_packets, gpu_ns, faults, queue_errors;
	_Atomic uint64_t page_requests, requested_pages, page_waits, page_invalidations, pages_taken;
};

struct gpu {
	struct gpu_properties props;
	enum isa_target target;
	const struct gpu_turn_ops *turn;
	void *turn_ctx;
	const struct gpu_trace_ops *trace;
	const struct gpu_limits *limits;
	const struct gpu_profile *profile;
	_Atomic uint32_t *backlog;
	_Atomic uint64_t *compile_ns;
	uint64_t backlog_at; /* ns; gpu->lock */
	unsigned num_threads;
	unsigned num_runners;	      /* of them those that run waves, the CP thread first */
	uint64_t cpus[GPU_CPU_WORDS]; /* gpu_config's */
	uint64_t spin_ns; /* how long the CP thread polls without sleeping */
	uint64_t park_ns; /* park delay: how long a vm has no work before ops->idle */

	pthread_mutex_t lock;
	pthread_cond_t callback_cond; /* a callback returned */
	atomic_uint waiters;	      /* futex: threads that want lock, the CP thread lets them in */
	atomic_bool cp_gated;	      /* the CP thread waits for that */
	struct gpu_vm *vms;
	uint64_t deliveries, rounds;
	uint32_t reset_seen; /* of limits->reset_seq */
	bool look_again;	/* CP thread: a queue is to be looked at soon without news of it */
	struct gpu_vm *callback_vm; /* whose callback runs */
	unsigned num_queues;
	uint64_t next_serial;
	bool running;
	atomic_uint pt_nodes, max_pt_nodes; /* no lock */
	atomic_uint quiesced;  /* futex: grows at quiescent points while there are unmappers */
	atomic_uint unmappers; /* threads that sleep until executors have passed one */

	pthread_mutex_t sched_lock;
	pthread_cond_t work_cond, halt_cond;
	struct heap ready;	  /* vms with a dispatch that has a work-group to run */
	struct dispatch *starved; /* to be tried again when a work-group's memory is freed */
	atomic_uint listed;	  /* dispatches neither done nor halted; changed under the lock */
	uint64_t vtime;		  /* of the last pick; for vms that come back */
	unsigned idle_workers, spinning_workers; /* the latter are some of the former */
	atomic_uint worker_calls;		  /* changed under the lock */
	unsigned turn_users; /* threads in the turn */
	bool turn_held;	     /* one was, and it was not lost since */
	bool turn_asked;     /* to be released when there is no work */
	bool turn_needed;    /* asked for in vain: a worker is to wait for it */
	bool turn_waiter;    /* and does */
	bool copy_wanted;    /* CP thread: a queue wants to copy and has not got the turn */
	uint64_t turn_begin_ns, turn_left_ns, turn_serial;
	uint64_t inflight_bytes, pool_bytes;

	atomic_bool quit;
	atomic_uint cp_event; /* futex: grows with each kick */
	atomic_bool cp_sleeping;
	atomic_uint callbacks;	    /* vms with something to deliver, roughly: a hint to look */
	struct executor *executors; /* [num_threads] */
};

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* The cache line at p, if any, is written soon, and another CPU has it. */
static inline void prefetch_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw (%0)" : : "r"(p)); /* no compiler option makes __builtin_prefetch() this, for all x86-64 */
#else
	__builtin_prefetch(p, 1);
#endif
}

/* gpu_clock() at a time of now_ns(). */
uint64_t clock_at(const struct gpu *gpu, uint64_t ns);
/* Takes gpu->lock for a control operation: the CP thread steps aside. */
void gpu_lock(struct gpu *gpu);
void gpu_unlock(struct gpu *gpu);
/* Every dispatch of vm is halted when it returns. gpu->lock held. */
void vm_halt_waves(struct gpu_vm *vm);

/* ---- vm.c ---- */
int vm_table_init(struct gpu_vm *vm);
void vm_table_free(struct gpu_vm *vm);
void vm_view_init(struct mem_view *view);
void vm_attach(struct executor *ex, struct gpu_vm *vm);
void vm_detach(struct executor *ex);
/* Until no executor is attached to vm with a generation below gen. No lock that one may want. */
void vm_wait_quiescent(struct gpu_vm *vm, uint64_t gen);
/*
 * Host address of va if it is mapped with all rights of prot, else NULL. *len (may be NULL): bytes
 * from va that are contiguous in host memory with the same rights, at least up to the end of its
 * page. The caller is attached or holds map_lock.
 */
void *vm_translate(struct gpu_vm *vm, uint64_t va, unsigned prot, uint64_t *len);
/* What va is mapped with, flags included; 0: not mapped. */
unsigned vm_rights(struct gpu_vm *vm, uint64_t va);
/* The same, over as many pages as are contiguous in host memory: *len is what is wanted, then what there is. */
void *vm_translate_run(struct gpu_vm *vm, uint64_t va, unsigned prot, uint64_t *len);
/* Naturally aligned accesses of 4 and 8 bytes; NULL if unmapped or misaligned. */
uint32_t *vm_ptr32(struct gpu_vm *vm, uint64_t va, unsigned prot);
uint64_t *vm_ptr64(struct gpu_vm *vm, uint64_t va, unsigned prot);
/* Copies by the page table; on failure *bad is the address of the page that is not mapped with that
 * right. */
bool vm_copy_in(struct gpu_vm *vm, uint64_t va, void *buf, size_t size, uint64_t *bad);
bool vm_copy_out(struct gpu_vm *vm, uint64_t va, const void *buf, size_t size, uint64_t *bad);
/* Records a memory fault of the vm (first one counts) and wakes the CP thread, which stops the vm's
 * queues. Or the memory is pageable and asked for: then q->waits_pages is set, and what was to be done
 * with it is tried again in the queue's next step, as if it had not begun. */
void vm_fault(struct gpu_queue *q, uint64_t va, bool write, bool execute);
/* The same for what a wave of the kernel did. */
void vm_fault_wave(struct gpu_queue *q, uint64_t kernel, const struct exec_fault *fault);
/* An event to be set by the CP thread at the end of its pass. */
void vm_signal_event(struct gpu_vm *vm, uint32_t event_id);

/* ---- pager.c ---- */
void pager_init(struct gpu_vm *vm);
void pager_free(struct gpu_vm *vm);
/* Sets the view of an executor that attaches to vm up for it. */
void pager_view(struct gpu_vm *vm, struct mem_view *view);
/* What a packet of q needs is not there: true if it is asked for. */
bool pager_wait(struct gpu_queue *q, uint64_t va, bool write, bool execute);
/* The requests that can be made now, as many as may be under way; and makes them, without any lock. */
unsigned pager_take(struct gpu_vm *vm, struct page_request *requests);
void pager_make(struct gpu_vm *vm, const struct page_request *requests, unsigned n);
/* Does a wave of the work-group wait for something in [first, end)? */
bool pager_concerns(const struct workgroup *wg, uint64_t first, uint64_t end);

/* ---- queue.c ---- */
enum step queue_step(struct gpu_queue *q);
/* Goes on telling the program of an error, if that waits for pages. */
void queue_tell_error(struct gpu_queue *q);
bool queue_busy(struct gpu_queue *q); /* unread packets or something running; caller attached or
					 holds map_lock */
void queue_stop(struct gpu_queue *q);
void queue_error(struct gpu_queue *q, enum queue_error code, const char *why);
void queue_free(struct gpu_queue *q);
bool queue_runs(const struct gpu_queue *q);
/* Reads bytes of the ring at byte offset off (wraps). False: fault raised. */
bool ring_read(struct gpu_queue *q, uint64_t off, void *buf, size_t size);
bool queue_store64(struct gpu_queue *q, uint64_t va, uint64_t value);
bool queue_load64(struct gpu_queue *q, uint64_t va, uint64_t *value);
bool queue_load32(struct gpu_queue *q, uint64_t va, uint32_t *value);
/* Offsets of amd_signal_t. */
enum {
	SIGNAL_VALUE = 8,
	SIGNAL_MAILBOX = 16,
	SIGNAL_EVENT = 24,
	SIGNAL_START = 32,
	SIGNAL_END = 40
};
bool signal_store(struct gpu_queue *q, uint64_t signal, uint64_t value);

/* What of a signal in the program's memory is to be read and written, where it is: until the thread's next quiescent point. */
struct signal_at {
	uint64_t *start, *end, *value, *mailbox; /* mailbox: NULL if it has none */
	uint32_t event;
};

/* False: a part of it is missing, and faulted or waited for. */
bool signal_find(struct gpu_queue *q, uint64_t signal, struct signal_at *at);
/* Pageable memory may go at any time, so all is found before the first of it is written: nothing is done in parts or twice. */
void signal_complete(struct gpu_queue *q, const struct signal_at *at, uint64_t start, uint64_t end);

/* ---- dispatch.c: a kernel's start and end; int results are 0 or an enum queue_error ---- */
/* Fills in sizes (work-items) and the number of work-groups. */
int dispatch_sizes(struct dispatch_setup *s, const uint16_t size[3], const uint32_t grid[3]);
/* Waves per work-group and how many work-groups may be in flight, into q->dispatch. */
int dispatch_shape(struct gpu_queue *q, const struct dispatch_setup *s);
int dispatch_launch(struct gpu_queue *q, const struct dispatch_setup *s, uint64_t kernel, uint64_t now);
/* STEP_WAIT: it runs, or a memory fault was raised. STEP_PROGRESS: done, or q was stopped by an
 * error of its waves. */
enum step dispatch_end(struct gpu_queue *q);

/* ---- aql.c, pm4.c, sdma.c ---- */
enum step aql_step(struct gpu_queue *q);
bool aql_busy(struct gpu_queue *q);
enum step pm4_queue_step(struct gpu_queue *q);
bool pm4_busy(struct gpu_queue *q);
/* Runs the frames of q->pm4 above frame `base`. STEP_IDLE: all done. A queue that was stopped by an
 * error answers STEP_PROGRESS. */
enum step pm4_run(struct gpu_queue *q, unsigned base, unsigned *budget);
bool pm4_push(struct gpu_queue *q, uint64_t va, uint32_t dwords);
enum step sdma_step(struct gpu_queue *q);
bool sdma_busy(struct gpu_queue *q);
/* atomic.c: op as in the packets; false: unknown op or *fault set. */
bool mem_atomic(struct gpu_queue *q, unsigned op, uint64_t va, uint64_t src, uint64_t cmp,
		bool *matched, bool *fault);
/* Copies [src] to [dst] or fills dst; at most max bytes at once. Returns bytes done, 0 with a fault
 * raised. Between copy_begin and copy_end. past_caches: see COPY_KEPT. */
uint64_t copy_chunk(struct gpu_queue *q, uint64_t dst, uint64_t src, uint64_t size, bool past_caches);
uint64_t fill_chunk(struct gpu_queue *q, uint64_t dst, uint32_t pattern, uint64_t size);
/* The compare functions of POLL_REGMEM and WAIT_REG_MEM. */
bool mem_compare(unsigned func, uint64_t value, uint64_t ref);

/* ---- sched.c ---- */
void sched_start(struct gpu *gpu, struct dispatch *d, uint64_t now);
/* After done: takes it out. */
void sched_finish(struct gpu *gpu, struct dispatch *d);
/* Stops a dispatch for good, synchronously, and frees its work-groups. */
void sched_kill(struct gpu *gpu, struct dispatch *d);
void sched_halt(struct gpu *gpu, struct dispatch *d);
/* The same in two parts, to halt many at the price of one. */
void sched_halt_begin(struct gpu *gpu, struct dispatch *d);
void sched_halt_wait(struct gpu *gpu, struct dispatch *d);
void sched_unhalt(struct gpu *gpu, struct dispatch *d);
void sched_free_pool(struct gpu *gpu, struct dispatch *d);
/* Work-groups that wait for pages in [first, end) can be tried again. */
void sched_pages(struct gpu_vm *vm, uint64_t first, uint64_t end);
/* The next work-groups to run, NULL if none; caller holds sched_lock. now: roughly. spread: wake
 * another worker if there is more. */
struct wg_slot *sched_pick(struct gpu *gpu, struct executor *ex, uint64_t now, bool spread);
/* Runs picked work-groups for a slice, from `begin`, which is now; takes and leaves sched_lock itself. Returns when it ended. */
uint64_t sched_run(struct executor *ex, struct wg_slot *slot, uint64_t begin);
/* sched_lock held. */
bool sched_has_work(const struct gpu *gpu);
/* sched_lock held, and an idle worker may be there: one comes to look for work. */
void sched_call(struct gpu *gpu);
void sched_charge_copy(struct gpu *gpu, struct gpu_vm *vm, uint64_t ns);
/* Room for one more queue of vm. */
int sched_add_queue(struct gpu *gpu, struct gpu_vm *vm, unsigned queues);
/* The queue's CUs: so many executors may run it, in proportion, rounded up. */
void sched_set_cus(struct gpu *gpu, struct dispatch *d, unsigned num_cu);
void sched_set_priority(struct gpu *gpu, struct dispatch *d, unsigned priority);

/* ---- turn.c ---- */
bool turn_lost(const struct gpu *gpu);
/* sched_lock held. The calling thread enters the turn. False: it is another tenant's now; somebody
 * waits for it. */
bool turn_enter(struct gpu *gpu);
/* A worker that found turn_needed: waits for the turn and enters. Lets go of sched_lock. */
void turn_wait(struct gpu *gpu, struct executor *ex);
void turn_leave(struct gpu *gpu);
/* Others may have the GPU, if there is nothing to run. Takes sched_lock. */
void turn_release(struct gpu *gpu);
/* Around each piece that is copied or filled for q. False: not now, somebody waits for the turn. */
bool copy_begin(struct gpu_queue *q);
void copy_end(struct gpu_queue *q, uint64_t bytes);
/* Tells of q's copies if there was none for a while. */
void copy_flush(struct gpu_queue *q, uint64_t now);
static inline bool trace_on(const struct gpu *gpu)
{
	return gpu->trace && gpu->trace->on(gpu->turn_ctx);
}
void trace_event(struct gpu *gpu, const struct gpu_trace_event *event);
void trace_dispatch(struct dispatch *d, uint64_t end_ns);
void trace_error(struct gpu_vm *vm, enum gpu_trace_kind kind, uint32_t queue, uint64_t kernel,
		 uint64_t value);
/* Stops what gpu_limits wants stopped. gpu->lock held. */
void limits_check(struct gpu *gpu);

/* ---- backlog.c ---- */
/* Looks at the queues if it's time, or at once; gpu->lock held. */
void backlog_count(struct gpu *gpu, uint64_t now, bool at_once);

/* ---- thread.c ---- */
int threads_start(struct gpu *gpu);
void threads_stop(struct gpu *gpu);
void cp_kick(struct gpu *gpu);
/* By the thread itself. */
void thread_slice(struct executor *ex, enum cpu_slice slice);

#endif
