/* SPDX-License-Identifier: MIT */
/*
 * gpus.h - the GPUs of the daemon. Each has its own VRAM, tenants and turns; none knows of the others.
 *
 * A tenant with several GPUs is a struct tenant of each, with the same name and id.
 */
#ifndef ARBITER_GPUS_H
#define ARBITER_GPUS_H

#include "arbiter/server.h"
#include "arbiter/tenants.h"
#include "arbiter/turns.h"

struct arbiter_gpu {
	const struct server_gpu *config;
	struct tenants tenants;
	struct turns turns;
};

struct arbiter_gpus {
	struct arbiter_gpu gpu[ARBITER_MAX_GPUS];
	uint32_t num;
};

/* The first GPU with a tenant of that name from GPU number first on, or NULL. */
struct arbiter_gpu *gpus_with(struct arbiter_gpus *gpus, const char *name, uint32_t first);
/* Bit i: GPU i has a tenant of that name. */
uint32_t gpus_of(struct arbiter_gpus *gpus, const char *name);
/* Tenants, each once. */
uint32_t gpus_count_tenants(struct arbiter_gpus *gpus);
/*
 * A connection says HELLO (tenants_hello): on which GPU, and with which id. peer, peer_uid: who asks. -EEXIST, -ENODEV, and
 * tenants_hello's errors, with a sentence in message (128 bytes).
 */
int gpus_hello(struct arbiter_gpus *gpus, const struct arbiter_msg *msg, int sock, pid_t peer, uid_t peer_uid,
	       struct executor **executor, char *message);

/*
 * ARBITER_MSG_ONE_FILE of the executor of a VM: puts the VRAM of all executors of that VM in one memfd. The memfd, an executor's; -EINVAL: it is
 * none of a VM, or it has VRAM already; -errno.
 */
int gpus_one_file(struct arbiter_gpus *gpus, const struct executor *executor);

#endif
