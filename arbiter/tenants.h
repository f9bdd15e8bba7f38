/* SPDX-License-Identifier: MIT */
/*
 * tenants.h - who shares a GPU: tenants, their executors (connections), VRAM quotas. A tenant that has several GPUs is one
 * of each, by the same name and id (gpus.h).
 *
 * A VM is a tenant with one executor, its broker. A host tenant is made by `hsavisor run`
 * (ARBITER_HOST, itself no executor) and has one executor a process that opened the GPU. The
 * arbiter's loop is one thread: nothing here locks.
 */
#ifndef ARBITER_TENANTS_H
#define ARBITER_TENANTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arbiter/faults.h"
#include "arbiter/protocol.h"
#include "arbiter/turns.h"

#define MAX_TENANTS   256
#define MAX_EXECUTORS 1024 /* of all tenants together */

struct tenant;

/* pool.c's part of an executor: where its VRAM is. */
struct pool_executor {
	enum { POOL_HERE, POOL_LEAVING, POOL_AWAY, POOL_COMING } where;
	bool away; /* not here: no turns */
	int swap_fd, bell_fd; /* -1: can't be swapped */
	uint32_t order;	      /* as in the page */
	uint64_t since;	      /* of where, ns */
	uint64_t active_at;   /* when it was last seen to use the GPU or allocate, ns */
	uint64_t gpu_ns;      /* its figure then */
	uint64_t stuck_until; /* it refused to go: isn't asked before, ns */
	uint64_t needs_at;    /* since when it waits for room, ns; 0: it doesn't */
	int64_t charge;	      /* room for what, bytes: an allocation; 0: all its VRAM */
};

struct executor {
	struct tenant *tenant;
	struct executor *next; /* of the tenant */
	enum arbiter_kind kind;
	pid_t pid;
	int sock; /* borrowed from the connection */
	uint32_t faults_seen; /* of page->faults: read, or lost */
	int page_fd, wake_fd, vram_fd;
	uint64_t vram_offset; /* where in vram_fd its VRAM is, vram_max bytes */
	bool vram_alone;      /* nothing else is in vram_fd */
	struct arbiter_shared *shared;
	struct arbiter_page *page; /* the first one of it */
	int64_t charged; /* VRAM it has allocated, bytes */
	struct turn_executor turn; /* turns.c's */
	struct pool_executor pool;
};

struct tenant {
	struct tenant *next;
	uint32_t id, gpu;
	struct fault_rate fault_rate;
	enum arbiter_kind kind; /* VM or HOST */
	char name[ARBITER_NAME_MAX];
	char program[64]; /* last name an executor gave */
	pid_t pid;
	uid_t uid;
	uint64_t quota, vram_max; /* VRAM it may have now, and at most; bytes */
	int64_t charged;	  /* sum of its executors' charges */
	uint64_t charged_peak;
	uint64_t swap_outs, swap_ins; /* how often VRAM of one of its executors was swapped */
	struct executor *executors;
	struct turn_tenant turn; /* turns.c's */
	struct arbiter_totals {
		uint64_t dispatches, gpu_ns, jit_ns, vm_exits, faults, queue_errors;
		uint64_t page_requests, pages_requested, page_waits, page_invalidations, pages_taken;
	} ended; /* of executors that left */
};

struct tenants {
	struct tenant *list; /* in order of their start */
	uint32_t gpu;	 /* number of the GPU that this is about */
	uint32_t last_id; /* of the tenant made last: the next one's is one more */
	uint32_t count, executors;
	uint64_t pool, reserved; /* VRAM of the GPU; what tenants reserve of it; see pool.h */
	bool swap;		 /* quotas may exceed the pool */
	int swap_dir;		 /* directory for swapped VRAM; -1: memory */
	uint64_t resident;	 /* what executors have that is not swapped out, bytes */
	uint64_t default_quota;
	bool ending; /* the daemon ends; executors that are let go live on */
};

/*
 * A connection says HELLO. Makes the tenant (VM, HOST) or joins it (PROCESS) and gives it an
 * executor with page, eventfd and VRAM. peer_uid: who asks; joining is for the tenant's own user
 * and root. On error returns a negative errno and writes a sentence to message (128 bytes).
 */
int tenants_hello(struct tenants *t, const struct arbiter_msg *msg, int sock, pid_t peer,
		  uid_t peer_uid, struct executor **executor, char *message);
/* A memfd of that size that nobody can resize; -errno. */
int tenants_vram_file(uint64_t size);
struct tenant *tenants_find(const struct tenants *t, const char *name);
/* The connection ended. A tenant goes with the last of its executors: a process that outlives
 * `hsavisor run` keeps it. */
void tenants_goodbye(struct tenants *t, struct executor *executor);
/* What a tenant's executors published plus what ended ones did. */
struct tenant_figures {
	struct arbiter_totals totals;
	uint64_t vram_used, vram_peak, system_pinned, paged;
	uint32_t processes, queues;
	uint64_t backlog;
};
void tenants_figures(struct tenant *tenant, struct tenant_figures *figures);

#endif
