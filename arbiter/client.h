/* SPDX-License-Identifier: MIT */
/*
 * client.h - an executor's side of the arbiter: being a tenant of hsavisord.
 *
 * A broker registers its VM as a tenant; `hsavisor run` makes a host tenant and the processes below
 * it join it. The connection is the registration: closing it (or dying) ends it. Data-path sharing
 * (turns, counters) goes through a page of memory shared with the arbiter, without messages.
 *
 * If the arbiter dies, tenants go on alone: turns are then always granted, VRAM is bounded by the
 * quota as known, and nobody accounts (arbiter_alive() tells). One line is logged.
 */
#ifndef ARBITER_CLIENT_H
#define ARBITER_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gpu/gpu.h"

/* Default control socket: $HSAVISOR_SOCKET, else /run/hsavisor/hsavisord.sock (root), else
 * $XDG_RUNTIME_DIR/hsavisor/hsavisord.sock. Static buffer. */
const char *arbiter_socket_path(void);

#define ARBITER_MAX_GPUS 8 /* of a daemon */
#define ARBITER_ANY_GPU	 UINT32_MAX

enum arbiter_kind {
	ARBITER_VM,
	ARBITER_HOST,
	ARBITER_PROCESS /* joins the host tenant of that name */
};

/* What the arbiter gave. Valid until arbiter_disconnect. */
struct arbiter_grant {
	uint32_t tenant;    /* id */
	uint32_t gpu, gpus; /* which GPU this is; bit i: the tenant has GPU i */
	char target[16];    /* what the GPU presents: "gfx90a" */
	uint32_t threads;   /* worker threads this executor may use */
	uint64_t cpus[4];   /* CPUs they run on, bit i of all words: CPU i; none: any */
	uint64_t vram_size; /* the most the quota can become, bytes: the size of vram_fd */
	int vram_fd; /* memfd of vram_size bytes (sparse), one a connection, owned by the client: do
			not close; -1 for ARBITER_HOST */
};

/* Counters a client publishes in its page (relaxed stores by the client, read by the arbiter;
 * untrusted there). */
struct arbiter_counters {
	_Atomic uint64_t vram_used, vram_peak, dispatches, gpu_ns, vm_exits, faults, queue_errors;
	_Atomic uint64_t system_pinned; /* system memory registered for the GPU, bytes */
	_Atomic uint32_t processes, queues;
	_Atomic uint32_t backlog; /* packets written to queues and not yet done */
	char program[64]; /* name of the newest program, for listings; may be torn */
	_Atomic uint64_t jit_ns; /* CPU time that compiling its kernels took */
	struct arbiter_paging {	 /* pageable memory, as in struct kfd_stats */
		_Atomic uint64_t requests, pages, waits, invalidations, pages_taken, bytes;
	} paging;
};

struct arbiter_client;

/*
 * Connects and registers. name: 1..63 of [A-Za-z0-9._-]. vram: wanted quota in bytes, 0 the
 * arbiter's default. Errors: -ECONNREFUSED/-ENOENT no daemon, -EEXIST name in use, -ENOMEM quota
 * does not fit the GPU's VRAM, -ENOENT no such tenant to join, -EPROTO. error (may be NULL, 256
 * bytes) gets a sentence for the user.
 */
int arbiter_connect(enum arbiter_kind kind, const char *name, uint64_t vram,
		    struct arbiter_client **client, struct arbiter_grant *grant, char *error);
/* The same for a tenant whose quota may later be changed to at most vram_max bytes (0: the quota).
 */
int arbiter_connect_max(enum arbiter_kind kind, const char *name, uint64_t vram, uint64_t vram_max,
			struct arbiter_client **client, struct arbiter_grant *grant, char *error);
/*
 * The same on that GPU; the functions above take GPU 0, or of a PROCESS the tenant's first one. A tenant is on several GPUs when
 * who made it connects for each, by the same name: each has its own quota, turns and figures. ARBITER_ANY_GPU: see above. -ENODEV: no such GPU.
 */
int arbiter_connect_gpu(enum arbiter_kind kind, const char *name, uint64_t vram, uint64_t vram_max, uint32_t gpu,
			struct arbiter_client **client, struct arbiter_grant *grant, char *error);
/*
 * Of a VM that is on several GPUs, any one of its clients, before any VRAM is charged: the VRAM of all of them is in one memfd from now on, that of
 * each GPU, of the size that was granted, behind that of the ones before it in the daemon's order. *fd: that memfd, owned by client: do not close;
 * the granted vram_fds are to be used no more. -EINVAL, -ENOMEM, -EMFILE, -ECONNREFUSED (no daemon).
 */
int arbiter_one_file(struct arbiter_client *client, int *fd);
void arbiter_disconnect(struct arbiter_client *client);
/* After fork in the child: frees memory and descriptors without telling the arbiter anything. */
void arbiter_forget(struct arbiter_client *client);

/* gpu_config.turn and turn_ctx. */
extern const struct gpu_turn_ops arbiter_turn_ops; /* ctx: struct arbiter_client * */

struct arbiter_counters *arbiter_counters(struct arbiter_client *client);

/* gpu_config.limits, until arbiter_disconnect. */
const struct gpu_limits *arbiter_limits(struct arbiter_client *client);

/* The tenant's VRAM quota as it is now, bytes. One relaxed load. */
uint64_t arbiter_vram_limit(const struct arbiter_client *client);
/* What all executors of the tenant have of it, bytes; 0 once the daemon is gone. */
uint64_t arbiter_vram_used(const struct arbiter_client *client);

/*
 * For the log of faults: process, process_name, queue, code, address, flags, kernel and kernel_name
 * of fault are told (time_ns is set here). Any thread; does not block.
 */
struct arbiter_fault; /* arbiter/protocol.h */
void arbiter_report_fault(struct arbiter_client *client, const struct arbiter_fault *fault);
/* The same of what the core tells (kfd_front_ops.report). */
struct kfd_fault; /* core/kfd.h */
void arbiter_report_kfd_fault(struct arbiter_client *client, const struct kfd_fault *fault);
/* Publishes what the core counts, but for what executors count themselves. */
struct kfd_stats;
void arbiter_publish(struct arbiter_counters *counters, const struct kfd_stats *stats);

/* gpu_config.trace, with turn_ctx as its ctx. */
extern const struct gpu_trace_ops arbiter_trace_ops;

/*
 * Who knows kernels' names, for traces: writes the name of the kernel whose descriptor is at kernel
 * of the tenant's process to name (size bytes with NUL), or returns false. Called by a thread of
 * the client's own. With NULL, returns when the last call has.
 */
typedef bool arbiter_namer(void *ctx, uint32_t process, uint64_t kernel, char *name, size_t size);
void arbiter_set_namer(struct arbiter_client *client, arbiter_namer *namer, void *ctx);

/* False once the daemon is gone. No system call. */
bool arbiter_alive(const struct arbiter_client *client);

/*
 * Swapping (protocol.h); arbiter/swap.c is who uses these. The file for the VRAM and the bell, the
 * client's; both -1 where VRAM is not overcommitted.
 */
void arbiter_swap_files(const struct arbiter_client *client, int *file, int *bell);
uint32_t arbiter_vram_order(const struct arbiter_client *client);
void arbiter_vram_answer(struct arbiter_client *client, uint32_t order, bool done);
void arbiter_vram_need(struct arbiter_client *client, bool need);
/* GPU threads in the turn. */
uint32_t arbiter_turn_users(const struct arbiter_client *client);
/* arbiter_alive() after a look. */
bool arbiter_look(struct arbiter_client *client);

/* VRAM is charged at the arbiter before it is allocated: 0 or -ENOMEM. For
 * kfd_front_ops.charge_vram (ctx: the client). */
int arbiter_charge_vram(void *client, int64_t bytes);

/*
 * Other processes of the tenant can have a duplicate of fd (the caller's to close) by its key, until arbiter_unshare or the end of this connection. -EEXIST,
 * -ENOSPC (too many), -ECONNREFUSED (no daemon any more).
 */
#define ARBITER_KEY 16 /* bytes */
int arbiter_share(struct arbiter_client *client, const void *key, int fd);
void arbiter_unshare(struct arbiter_client *client, const void *key);
/* A descriptor (close-on-exec, the caller's), -ENOENT, -ECONNREFUSED, -EMFILE: there was none free for it. */
int arbiter_shared(struct arbiter_client *client, const void *key);

#endif
