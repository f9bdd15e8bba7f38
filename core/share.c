// SPDX-License-Identifier: MIT
/*
 * share.c - VRAM buffers that several processes of a device have: by a dma-buf or by an IPC handle.
 *
 * What is shared is the memory, a share; each process has a buffer of its own over it, with its own address and handle. The memory is given back when no
 * buffer and no dma-buf has it any more, whoever made it. It stays charged to the tenant once.
 *
 * Shares belong to the device and are looked at under its lock. Their extents never change.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"

#define F(name) KFD_IOC_ALLOC_MEM_FLAGS_##name

#define MAX_SHARES  65536u
#define MAX_EXPORTS 65536u /* dma-bufs of one share */

/* Device lock held. */
static struct kfd_share *share_by_id(struct kfd_device *d, uint32_t id)
{
	return id && id <= d->num_shares ? d->shares[id - 1] : NULL;
}

/* Enters s and gives it its number. Device lock held. */
static int share_enter(struct kfd_device *d, struct kfd_share *s)
{
	uint32_t i = 0;

	while (i < d->num_shares && d->shares[i])
		i++;
	if (i == d->num_shares) {
		uint32_t n = d->num_shares ? d->num_shares * 2 : 16;
		struct kfd_share **grown;

		if (n > MAX_SHARES)
			return -ENOMEM;
		grown = realloc(d->shares, n * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		memset(grown + d->num_shares, 0, (n - d->num_shares) * sizeof(*grown));
		d->shares = grown;
		d->num_shares = n;
	}
	d->shares[i] = s;
	s->id = i + 1;
	return 0;
}

/* The share of m's memory, made if m is the only one to have it. Process lock held. */
static int share_of(struct kfd_process *p, struct kfd_memory *m, struct kfd_share **share)
{
	size_t bytes = m->num_extents * sizeof(*m->extents);
	struct kfd_share *s;
	int err;

	if (m->share) {
		*share = m->share;
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->extents = malloc(bytes);
	if (!s->extents) {
		free(s);
		return -ENOMEM;
	}
	memcpy(s->extents, m->extents, bytes);
	s->num_extents = m->num_extents;
	s->size = m->size;
	s->flags = m->flags;
	s->node = p->pdds[m->gpu].node;
	s->users = 1;
	pthread_mutex_lock(&p->device->lock);
	err = share_enter(p->device, s);
	pthread_mutex_unlock(&p->device->lock);
	if (err) {
		free(s->extents);
		free(s);
		return err;
	}
	*share = m->share = s;
	return 0;
}

/* Takes a share off that nobody has any more. Device lock held. True: it is the caller's to end. */
static bool share_unused(struct kfd_device *d, struct kfd_share *s)
{
	if (s->users || s->exports)
		return false;
	d->shares[s->id - 1] = NULL;
	return true;
}

static void share_end(struct kfd_share *s)
{
	vram_give_back(s->node, s->extents, s->num_extents);
	free(s->extents);
	free(s);
}

void share_leave(struct kfd_device *d, struct kfd_share *s)
{
	bool ours;

	pthread_mutex_lock(&d->lock);
	s->users--;
	ours = share_unused(d, s);
	pthread_mutex_unlock(&d->lock);
	if (ours)
		share_end(s);
}

void kfd_device_end_shares(struct kfd_device *d)
{
	for (uint32_t i = 0; i < d->num_shares; i++)
		if (d->shares[i])
			share_end(d->shares[i]);
	free(d->shares);
	d->shares = NULL;
	d->num_shares = 0;
}

int kfd_device_share_put(struct kfd_device *device, uint32_t share)
{
	struct kfd_share *s;
	bool ours = false;
	int err = -EINVAL;

	pthread_mutex_lock(&device->lock);
	s = share_by_id(device, share);
	if (s && s->exports) {
		s->exports--;
		ours = share_unused(device, s);
		err = 0;
	}
	pthread_mutex_unlock(&device->lock);
	if (ours)
		share_end(s);
	return err;
}

/* The buffer that is to be shared. */
static int shareable(struct kfd_process *p, uint64_t handle, struct kfd_memory **memory)
{
	struct kfd_memory *m = memory_by_handle(p, handle);

	if (!m || m->svm)
		return -EINVAL;
	if (m->flags & F(USERPTR))
		return -EPERM; /* as amdgpu */
	*memory = m;
	return m->flags & F(VRAM) ? 0 : -EINVAL;
}

int kfd_ioctl_EXPORT_DMABUF(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_export_dmabuf_args *args = request->args;
	struct kfd_memory *m;
	struct kfd_share *s;
	int err = shareable(p, args->handle, &m);

	if (!err)
		err = share_of(p, m, &s);
	if (err)
		return err;
	pthread_mutex_lock(&p->device->lock);
	if (s->exports < MAX_EXPORTS)
		s->exports++;
	else
		err = -ENOMEM;
	pthread_mutex_unlock(&p->device->lock);
	args->dmabuf_fd = err ? 0 : s->id;
	return err;
}

int kfd_ioctl_IPC_EXPORT_HANDLE(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_ipc_export_handle_args *args = request->args;
	uint32_t key[4];
	struct kfd_memory *m;
	struct kfd_share *s;
	int err;

	if (!pdd_by_id(p, args->gpu_id))
		return -EINVAL;
	err = shareable(p, args->handle, &m);
	if (!err)
		err = share_of(p, m, &s);
	if (err)
		return err;
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -ENOMEM;
	pthread_mutex_lock(&p->device->lock);
	if (!s->has_key) {
		s->has_key = true;
		memcpy(s->key, key, sizeof(key));
		s->ipc_flags = args->flags;
	}
	memcpy(args->share_handle, s->key, sizeof(s->key));
	pthread_mutex_unlock(&p->device->lock);
	return 0;
}

/* A buffer at va over a share, of which the caller took one more use; on errors that is given back. */
static int import(struct kfd_process_device *pdd, struct kfd_share *s, uint64_t va, struct kfd_request *request, __u64 *handle)
{
	struct hsv_extent *out = request->out;
	struct kfd_memory *m = NULL;
	struct kfd_process *p = pdd->process;
	int err = -EFAULT;

	if (request->out_capacity / sizeof(*out) >= s->num_extents)
		err = memory_make(pdd, va, s->size, s->flags, s->num_extents, &m);
	if (err) {
		share_leave(p->device, s);
		return err;
	}
	for (size_t i = 0; i < s->num_extents; i++) {
		m->extents[i] = s->extents[i];
		out[i].addr = s->node->config.vram_offset + (uint64_t)(s->extents[i].host - (uint8_t *)s->node->config.vram);
		out[i].size = s->extents[i].size;
	}
	m->num_extents = s->num_extents;
	m->covered = m->size;
	m->share = s;
	request->out_size = s->num_extents * sizeof(*out);
	*handle = (uint64_t)pdd->node->config.gpu_id << 32 | m->id;
	return 0;
}

int kfd_ioctl_IMPORT_DMABUF(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_import_dmabuf_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);
	struct kfd_share *s;

	if (!pdd)
		return -EINVAL;
	if (!pdd->acquired)
		return -ENODEV;
	pthread_mutex_lock(&p->device->lock);
	s = share_by_id(p->device, args->dmabuf_fd);
	if (s && !s->exports)
		s = NULL;
	if (s)
		s->users++;
	pthread_mutex_unlock(&p->device->lock);
	return s ? import(pdd, s, args->va_addr, request, &args->handle) : -EINVAL;
}

int kfd_ioctl_IPC_IMPORT_HANDLE(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_ipc_import_handle_args *args = request->args;
	struct kfd_device *d = p->device;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);
	struct kfd_share *s = NULL;

	if (!pdd)
		return -EINVAL;
	if (!pdd->acquired)
		return -ENODEV;
	pthread_mutex_lock(&d->lock);
	for (uint32_t i = 0; i < d->num_shares && !s; i++)
		if (d->shares[i] && d->shares[i]->has_key && !memcmp(d->shares[i]->key, args->share_handle, sizeof(args->share_handle)))
			s = d->shares[i];
	if (s)
		s->users++;
	pthread_mutex_unlock(&d->lock);
	if (!s)
		return -EINVAL;
	args->flags = s->ipc_flags;
	args->mmap_offset = 0;
	return import(pdd, s, args->va_addr, request, &args->handle);
}
