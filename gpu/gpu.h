/* SPDX-License-Identifier: MIT */
/*
 * gpu.h - what any GPU must offer.
 *
 * core/ turns KFD requests into calls of this interface; gpu/soft implements it by executing AMDGPU
 * machine code on the CPU. A gpu has GPU address spaces (gpu_vm, one per GPU process), and queues
 * in them. Whatever the GPU reads or writes for a queue (ring, packets, signals, code, kernel
 * arguments, buffers) goes through its gpu_vm's page table: an address that is not mapped there is
 * a memory fault of that process, never an access.
 *
 * Threads: every function may be called from any thread unless it says otherwise. Callbacks run on
 * GPU threads, must not block for long and must not call gpu_vm_destroy, gpu_vm_unmap,
 * gpu_queue_destroy or gpu_close.
 */
#ifndef GPU_GPU_H
#define GPU_GPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gpu;
struct gpu_vm;
struct gpu_queue;

/* What the device is; static for its life. Feeds the KFD topology and DRM answers. */
struct gpu_properties {
	const char *target; /* "gfx90a", "gfx900" */
	const char *name;   /* marketing-free device name for topology "name", e.g. "aldebaran",
			       "vega10" */
	uint32_t gfx_target_version; /* major * 10000 + minor * 100 + stepping: 90010, 90000 */
	uint32_t pci_device_id;	     /* 0x740f, 0x6860 */
	uint32_t num_cu, simd_per_cu, max_waves_per_simd, wave_size, lds_kb;
	uint32_t num_sdma_engines, sdma_queues_per_engine, num_compute_queues;
	uint32_t num_xcc;
	uint64_t clock_hz; /* of gpu_clock() and of signal timestamps: 100 MHz */
};

/*
 * Turn-taking between tenants, provided by whoever owns the GPU's time (arbiter/client.h). A GPU
 * thread that runs waves or copies for any process is in the turn: between acquire (or a successful
 * try_acquire) and leave. The next tenant gets the GPU when the last thread has left. NULL in
 * gpu_config: the GPU is always ours.
 */
struct gpu_turn_ops {
	/* Blocks until this tenant has the GPU, and enters. Returns at once, without a system call,
	 * when it has it already. */
	void (*acquire)(void *ctx);
	/* Enters if this tenant has the GPU now; otherwise asks for it and returns false. */
	bool (*try_acquire)(void *ctx);
	/* The thread ran what it wanted, or the turn is lost. The tenant keeps the turn, if it has
	 * it, for the next acquire. */
	void (*leave)(void *ctx);
	/* The executor has no work left: others may go. No thread is in the turn. */
	void (*release)(void *ctx);
	/* True if acquire would block now: the executor stops running waves within a time slice and
	 * leaves. One relaxed load. */
	bool (*lost)(void *ctx);
	/* Accounting, called when a dispatch ends or a slice of it ran. */
	void (*account)(void *ctx, uint64_t gpu_ns, uint32_t dispatches);
};

/*
 * What the owner of the GPU's time wants of running kernels. Words in memory that others write at any
 * time; the GPU looks at them while something runs.
 */
struct gpu_limits {
	_Atomic uint64_t kernel_ns;	/* GPU time after which a kernel is stopped; 0: none */
	_Atomic uint32_t reset_process; /* whose kernels reset_seq is about: owner's pid, 0: all */
	_Atomic uint32_t reset_seq;	/* grew: stop the kernels that run now */
};

/* A stretch of GPU work, for timelines. Times are of CLOCK_MONOTONIC, in ns. */
enum gpu_trace_kind {
	GPU_TRACE_DISPATCH = 1, /* a kernel from its first wave to its end */
	GPU_TRACE_COPY,		/* SDMA or PM4 copies and fills without a pause between */
	GPU_TRACE_TURN,		/* the tenant had the GPU; value: 1 if it was taken away */
	GPU_TRACE_FAULT,	/* value: address */
	GPU_TRACE_ERROR,	/* value: KFD's queue error code */
	GPU_TRACE_NAME, /* text of a kernel's name, see arbiter/protocol.h; not made by the GPU */
};

struct gpu_trace_event {
	uint64_t begin_ns, end_ns;
	uint64_t kernel; /* DISPATCH, FAULT, ERROR: address of the kernel descriptor, 0: unknown */
	uint64_t value;	 /* DISPATCH: ns that waves ran, of all threads; COPY: bytes */
	uint32_t kind;
	uint32_t process;  /* gpu_vm_set_owner's */
	uint32_t queue;	   /* gpu_queue_desc's id */
	uint32_t preempted; /* DISPATCH: how often it was suspended for another tenant */
	uint64_t workgroups; /* DISPATCH */
	uint64_t reserved;
};

/* Called by GPU threads: must not block. on: a relaxed load; events are made only while it is true. */
struct gpu_trace_ops {
	bool (*on)(void *ctx);
	void (*event)(void *ctx, const struct gpu_trace_event *event);
};

/*
 * A report of what the kernels of each GPU process do is appended to a file when the process ends: gpu/soft/cp/profile.h. Costs time: some of
 * the work-groups are interpreted.
 */
struct gpu_profile {
	const char *path;
	const char *program; /* its name, for the report */
	/* The name of the kernel whose descriptor is at va, as core/kernel_name.h has it; NULL: nobody knows. Called by a GPU thread. */
	bool (*kernel_name)(int (*read)(void *ctx, uint64_t va, void *buf, size_t size), void *ctx, uint64_t va, char *name, size_t size);
};

#define GPU_CPU_WORDS 4

/* Page requests of a vm that are not answered yet. */
#define GPU_MAX_PAGE_REQUESTS 16

struct gpu_config {
	const char *target; /* "gfx90a" or "gfx900" */
	unsigned threads;   /* worker threads; 0: one per available CPU, or CPU of cpus */
	/* CPUs the threads run on: bit i of all words is CPU i; none: those that the process may use.
	 * With a CPU for each, each stays on its own. */
	uint64_t cpus[GPU_CPU_WORDS];
	const struct gpu_turn_ops *turn;
	void *turn_ctx;			   /* of trace, too */
	const struct gpu_trace_ops *trace; /* NULL: none */
	const struct gpu_limits *limits;   /* NULL: none; must outlive the gpu */
	_Atomic uint32_t *backlog; /* NULL, or kept: packets in all queues not yet done, as of the
				      last tenth of a second; must outlive the gpu */
	_Atomic uint64_t *compile_ns; /* NULL, or kept whenever backlog is: CPU time of the process that
					 compiling kernels took; must outlive the gpu */
	const struct gpu_profile *profile; /* NULL: none; must outlive the gpu */
};

/* Fault kinds, as KFD's memory exception data has them. */
struct gpu_memory_fault {
	uint64_t va; /* page-aligned down */
	bool not_present, read_only, no_execute;
	uint32_t queue;	 /* id of the queue that did it, 0: unknown */
	uint64_t kernel; /* address of the kernel's descriptor, 0: not a kernel's access */
};

/* Callbacks of a GPU process. ctx is gpu_vm_create's. */
struct gpu_vm_ops {
	/* The GPU set this event (a signal's event_id, an SDMA trap's context). */
	void (*signal_event)(void *ctx, uint32_t event_id);
	/* A queue touched memory it may not. All queues of the vm are stopped for good. Called once
	 * per vm. */
	void (*memory_fault)(void *ctx, const struct gpu_memory_fault *fault);
	/* A queue was stopped by an error; code is KFD's (enum kfd_dbg_trap_exception_code). NULL:
	 * not wanted. For logs: the program is told through the queue itself. */
	void (*queue_error)(void *ctx, uint32_t queue, unsigned code, uint64_t kernel);
	/*
	 * With paging on (gpu_vm_set_paging): waves or a packet need memory in [va, va + size) with these rights (gpu_prot) and have none. The first page is
	 * needed at once, the others are, too, or probably soon. 0: they wait for gpu_vm_pages_answer of at least the first page; negative: its use is a
	 * memory fault. At most so many as were allowed are unanswered. By the CP thread, which must not wait here. NULL: always a fault.
	 */
	int (*page_request)(void *ctx, uint64_t va, uint64_t size, unsigned prot);
	/* All queues of the vm have become idle (no unread packets, nothing running) for the park
	 * delay; doorbells may be parked. */
	void (*idle)(void *ctx);
};

enum gpu_prot {
	GPU_PROT_READ = 1,
	GPU_PROT_WRITE = 2,
	GPU_PROT_EXEC = 4,
	/* For gpu_vm_map only. A page of pageable memory: whatever is mapped over it later replaces it, gpu_vm_unmap_pages takes it away. */
	GPU_PROT_PAGE = 16,
	/* And an access beyond its rights asks for them (page_request); without this it is a fault at once, as in a buffer. */
	GPU_PROT_MORE = 32,
};

/* Opens the software GPU. 0, -EINVAL (unknown target, threads > 256), -ENOMEM, -EAGAIN. No thread
 * runs until the first queue exists. */
int gpu_open(const struct gpu_config *config, struct gpu **gpu);

/*
 * For a process that isolates itself before it opens a GPU: loads what would be read from files later. Starts no thread. store: a
 * regular file, open for reading and writing, that keeps compiled kernels; it is trusted and stays in use till the end of the process.
 * -1: none, they are forgotten.
 */
void gpu_prepare(int store);

/* Stops all threads and frees the GPU. All vms must be destroyed before. */
void gpu_close(struct gpu *gpu);

const struct gpu_properties *gpu_properties(const struct gpu *gpu);

/* GPU clock counter, ticks of properties->clock_hz, monotonic, same origin as CLOCK_MONOTONIC. */
uint64_t gpu_clock(const struct gpu *gpu);

/* A GPU address space with nothing mapped. */
int gpu_vm_create(struct gpu *gpu, const struct gpu_vm_ops *ops, void *ctx, struct gpu_vm **vm);

/* Whose it is, for traces and gpu_limits. pid: as the tenant counts; 0 before. */
void gpu_vm_set_owner(struct gpu_vm *vm, uint32_t pid);

/* Destroys its queues, waits until no thread uses it, frees it. No callback comes after this
 * returns. */
void gpu_vm_destroy(struct gpu_vm *vm);

/*
 * Maps [va, va + size) to the host memory at host (all page-aligned, va below 2^48). The memory
 * must stay valid until unmapped. A range may not overlap a mapped one (-EEXIST; nothing is changed
 * then), but for pages (GPU_PROT_PAGE), which it replaces: when this returns nobody uses the old ones.
 * -EINVAL bad alignment or range, -ENOMEM.
 */
int gpu_vm_map(struct gpu_vm *vm, uint64_t va, uint64_t size, void *host, unsigned prot);

/*
 * Unmaps whatever is mapped in [va, va + size). Synchronous: when it returns no GPU thread accesses
 * that memory through this vm or will. Bounded by the longest stretch between two quiescent points
 * of an executor (well under a millisecond).
 */
void gpu_vm_unmap(struct gpu_vm *vm, uint64_t va, uint64_t size);
/* The same for pages only: buffers in the range stay. */
void gpu_vm_unmap_pages(struct gpu_vm *vm, uint64_t va, uint64_t size);
/* All pages that lie in the host memory [host, host + size). */
void gpu_vm_unmap_pages_at(struct gpu_vm *vm, const void *host, uint64_t size);

/* Paging (XNACK): whether an access to what is not mapped asks page_request. most: requests that may be unanswered at a time, up to
 * GPU_MAX_PAGE_REQUESTS; 0: off, as at first, and pages are unmapped. No queue may exist. */
void gpu_vm_set_paging(struct gpu_vm *vm, unsigned most);

/*
 * Whoever waits for memory in [va, va + size) tries again: it was mapped, with gpu_vm_map, or not (then it is asked for again). error: negative errno, it gets
 * a memory fault. A request whose first page is in the range is answered by this, whatever else it was for. Any thread but in a callback of page_request.
 */
void gpu_vm_pages_answer(struct gpu_vm *vm, uint64_t va, uint64_t size, int error);

/* The apertures of shared (LDS) and private (scratch) memory: 2^32 bytes each, base has its low 32
 * bits zero. Default 1 << 48, 2 << 48. */
void gpu_vm_set_apertures(struct gpu_vm *vm, uint64_t shared_base, uint64_t private_base);

/* Trap handler addresses (TBA, TMA) of KFD's SET_TRAP_HANDLER, for work-groups that begin later. Without
 * one (tba 0) s_trap is a queue error. */
void gpu_vm_set_trap_handler(struct gpu_vm *vm, uint64_t tba, uint64_t tma);

/* Suspended: no wave or packet of the vm runs or will until resumed. Counts; suspend is
 * synchronous. */
void gpu_vm_suspend(struct gpu_vm *vm);
void gpu_vm_resume(struct gpu_vm *vm);

/*
 * Copies between host memory and the GPU address space by its page table. 0, or -EFAULT when any
 * byte isn't mapped with that right (then part may have been copied).
 */
int gpu_vm_read(struct gpu_vm *vm, uint64_t va, void *buf, size_t size);
int gpu_vm_write(struct gpu_vm *vm, uint64_t va, const void *buf, size_t size);

enum gpu_queue_type { GPU_QUEUE_AQL, GPU_QUEUE_PM4, GPU_QUEUE_SDMA };

struct gpu_queue_desc {
	enum gpu_queue_type type;
	uint32_t id;	       /* the owner's, for logs and traces */
	uint64_t ring_va;      /* 256-byte aligned */
	uint64_t ring_size;    /* bytes, power of two; AQL: packets of 64 bytes */
	uint64_t write_ptr_va; /* AQL: amd_queue_t.write_dispatch_id; SDMA: byte count; PM4: dwords
				*/
	uint64_t read_ptr_va;  /* AQL: amd_queue_t.read_dispatch_id (amd_queue_t = this - 0x80) */
	volatile uint64_t *doorbell; /* host address; page may be write-protected by others, never
					unmapped before gpu_queue_destroy */
	uint64_t cwsr_va;  /* context save area, whose header has err_payload_addr and err_event_id;
			      0: none */
	uint32_t percent;  /* 0: queue is not run; 1..100 */
	uint32_t priority; /* KFD: 0..15 */
	bool error_events; /* the process did RUNTIME_ENABLE: report queue errors through the CWSR
			      header, else in the inactive signal */
};

/* 0, -EINVAL, -ENOMEM, -ENOSPC. The ring and pointers must be mapped in vm when the queue runs (a
 * fault otherwise). */
int gpu_queue_create(struct gpu_vm *vm, const struct gpu_queue_desc *desc,
		     struct gpu_queue **queue);
/* Stops what runs and frees. Synchronous. */
void gpu_queue_destroy(struct gpu_queue *queue);
/* Takes ring_va, ring_size, percent and priority of desc. percent 0 stops the queue synchronously
 * (waves stay where they are). */
int gpu_queue_update(struct gpu_queue *queue, const struct gpu_queue_desc *desc);
/* mask: bit i enables CU i; bits beyond num_cu are ignored. NULL or none set: all. */
void gpu_queue_set_cu_mask(struct gpu_queue *queue, const uint32_t *mask, unsigned bits);

/*
 * Doorbells of the vm are being stored to again: poll them. While awake the executor polls the
 * doorbells of the vm's queues; after the park delay without work it calls ops->idle and goes on
 * polling rarely (sleeping) until gpu_vm_park.
 */
void gpu_vm_wake(struct gpu_vm *vm);

/*
 * The doorbell page is write-protected or unmapped for programs: any later store will be followed
 * by gpu_vm_wake. The executor looks at the doorbells once more and, if there's no work, stops
 * polling this vm. Returns true if it stopped (false: work was there, vm stays awake).
 */
bool gpu_vm_park(struct gpu_vm *vm);

/* Totals since creation. */
struct gpu_vm_stats {
	uint64_t dispatches, packets, sdma_packets, gpu_ns, faults, queue_errors;
	uint64_t page_requests, requested_pages; /* calls of page_request, and pages that they were for */
	uint64_t pages; /* mapped now with GPU_PROT_PAGE */
};
void gpu_vm_get_stats(struct gpu_vm *vm, struct gpu_vm_stats *stats);

#endif
