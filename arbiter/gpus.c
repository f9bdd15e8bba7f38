// SPDX-License-Identifier: MIT
/* gpus.c - see gpus.h. */
#include "arbiter/gpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct arbiter_gpu *gpus_with(struct arbiter_gpus *g, const char *name, uint32_t first)
{
	for (uint32_t i = first; i < g->num; i++)
		if (tenants_find(&g->gpu[i].tenants, name))
			return &g->gpu[i];
	return NULL;
}

uint32_t gpus_of(struct arbiter_gpus *g, const char *name)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < g->num; i++)
		mask |= (uint32_t)!!tenants_find(&g->gpu[i].tenants, name) << i;
	return mask;
}

uint32_t gpus_count_tenants(struct arbiter_gpus *g)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->num; i++)
		for (struct tenant *x = g->gpu[i].tenants.list; x; x = x->next)
			n += gpus_with(g, x->name, 0) == &g->gpu[i];
	return n;
}

/* A tenant by that name may be on other GPUs: then it is the same one, if the same process makes it. */
static int same_tenant(struct arbiter_gpus *g, const struct arbiter_msg *msg, pid_t peer, uid_t peer_uid, uint32_t *last_id, char *message)
{
	struct arbiter_gpu *other = gpus_with(g, msg->name, 0);
	const struct tenant *x = other ? tenants_find(&other->tenants, msg->name) : NULL;

	if (x && (x->kind != msg->kind || x->pid != peer || x->uid != peer_uid)) {
		snprintf(message, 128, "a tenant named '%s' exists already", msg->name);
		return -EEXIST;
	}
	if (x)
		*last_id = x->id - 1;
	for (uint32_t i = 0; i < g->num && !x; i++)
		if (g->gpu[i].tenants.last_id > *last_id)
			*last_id = g->gpu[i].tenants.last_id;
	return 0;
}

int gpus_hello(struct arbiter_gpus *g, const struct arbiter_msg *raw, int sock, pid_t peer, uid_t peer_uid, struct executor **executor,
	       char *message)
{
	struct arbiter_msg msg = *raw;
	struct arbiter_gpu *gpu = NULL;
	uint32_t last_id = 0, before;
	int err = 0;

	msg.name[ARBITER_NAME_MAX - 1] = 0; /* a longer one is refused below */
	if (msg.gpu != ARBITER_ANY_GPU)
		gpu = msg.gpu < g->num ? &g->gpu[msg.gpu] : NULL;
	else if (msg.kind == ARBITER_PROCESS)
		gpu = gpus_with(g, msg.name, 0);
	if (!gpu && msg.gpu == ARBITER_ANY_GPU)
		gpu = &g->gpu[0];
	if (!gpu) {
		snprintf(message, 128, "there is no GPU %u: this hsavisord has %u", msg.gpu, g->num);
		return -ENODEV;
	}
	if (msg.kind == ARBITER_PROCESS)
		return tenants_hello(&gpu->tenants, raw, sock, peer, peer_uid, executor, message);
	err = same_tenant(g, &msg, peer, peer_uid, &last_id, message);
	if (err)
		return err;
	before = gpu->tenants.last_id;
	gpu->tenants.last_id = last_id;
	err = tenants_hello(&gpu->tenants, raw, sock, peer, peer_uid, executor, message);
	if (gpu->tenants.last_id < before)
		gpu->tenants.last_id = before;
	return err;
}

/* The executor of the VM on that GPU, if it has one there. */
static struct executor *vm_executor(struct arbiter_gpus *g, uint32_t gpu, const char *name)
{
	const struct tenant *x = tenants_find(&g->gpu[gpu].tenants, name);

	return x && x->kind == ARBITER_VM ? x->executors : NULL;
}

int gpus_one_file(struct arbiter_gpus *g, const struct executor *executor)
{
	const char *name = executor->tenant->name;
	struct executor *all[ARBITER_MAX_GPUS];
	int fds[ARBITER_MAX_GPUS], fd;
	uint64_t size = 0;
	uint32_t n = 0;

	if (executor->kind != ARBITER_VM)
		return -EINVAL;
	for (uint32_t i = 0; i < g->num; i++) {
		struct executor *e = vm_executor(g, i, name);

		if (!e)
			continue;
		if (e->charged || e->pool.charge || !e->vram_alone)
			return -EINVAL;
		all[n++] = e;
		size += e->tenant->vram_max;
	}
	fd = tenants_vram_file(size);
	if (fd < 0)
		return fd;
	for (uint32_t i = 0; i < n; i++) {
		fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (fds[i] >= 0)
			continue;
		while (i)
			close(fds[--i]);
		close(fd);
		return -EMFILE;
	}
	close(fd);
	size = 0;
	for (uint32_t i = 0; i < n; i++) {
		close(all[i]->vram_fd);
		all[i]->vram_fd = fds[i];
		all[i]->vram_offset = size;
		all[i]->vram_alone = false;
		size += all[i]->tenant->vram_max;
	}
	return executor->vram_fd;
}
