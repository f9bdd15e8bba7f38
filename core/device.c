// SPDX-License-Identifier: MIT
/*
 * device.c - the GPU as one tenant sees it, and the sums over its processes.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int kfd_device_open(const struct kfd_device_config *config, struct kfd_device **device)
{
	struct kfd_device *d;
	int err;

	if (!config->gpu || !config->ops || !config->ops->resolve || !config->doorbells ||
	    !config->max_processes || config->max_processes > HSV_MAX_PROCESSES ||
	    !config->gpu_id || config->gpu_id > 0xffff || (config->vram_size && !config->vram))
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->config = *config;
	d->props = gpu_properties(config->gpu);
	d->slots = calloc(config->max_processes, sizeof(*d->slots));
	err = d->slots ? vram_init(&d->vram, config->vram_size) : -ENOMEM;
	if (err) {
		free(d->slots);
		free(d);
		return err;
	}
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->unpinned, NULL);
	*device = d;
	return 0;
}

void kfd_device_close(struct kfd_device *device)
{
	if (!device)
		return;
	for (uint32_t i = 0; i < device->config.max_processes; i++)
		if (device->slots[i])
			kfd_process_destroy(device->slots[i]);
	shares_free(device);
	vram_fini(&device->vram);
	pthread_cond_destroy(&device->unpinned);
	pthread_mutex_destroy(&device->lock);
	free(device->slots);
	free(device);
}

void kfd_device_revoke(struct kfd_device *device, const void *host, size_t size)
{
	const uint8_t *first = host, *last = first + size;

	pthread_mutex_lock(&device->lock);
	for (uint32_t i = 0; i < device->config.max_processes; i++) {
		struct kfd_process *p = device->slots[i];

		if (!p)
			continue;
		/*
		 * The order of locks is process, device: let go of the device's. The pin keeps the
		 * struct; one that is being destroyed holds its lock until the GPU lets go.
		 */
		p->pins++;
		pthread_mutex_unlock(&device->lock);
		pthread_mutex_lock(&p->lock);
		for (uint32_t id = 1; id < p->max_memories; id++) {
			struct kfd_memory *m = p->memories[id];

			if (m && !(m->flags & KFD_IOC_ALLOC_MEM_FLAGS_VRAM))
				memory_revoke(p, m, first, last);
		}
		if (p->xnack && !p->ended)
			gpu_vm_unmap_pages_at(p->vm, host, size);
		pthread_mutex_unlock(&p->lock);
		pthread_mutex_lock(&device->lock);
		if (!--p->pins)
			pthread_cond_broadcast(&device->unpinned);
	}
	pthread_mutex_unlock(&device->lock);
}

void device_vram(struct kfd_device *d, uint64_t *limit, uint64_t *used)
{
	*limit = d->vram.size;
	*used = d->vram.used;
	if (!d->config.ops->vram_quota)
		return;
	d->config.ops->vram_quota(d->config.ctx, limit, used);
	/* These are words that others write: never more than there is, nor less than is ours. */
	if (*limit > d->vram.size)
		*limit = d->vram.size;
	if (*used < d->vram.used)
		*used = d->vram.used;
}

void kfd_device_stats(struct kfd_device *device, struct kfd_stats *stats)
{
	uint64_t used;

	pthread_mutex_lock(&device->lock);
	*stats = device->past;
	stats->vram_used = device->vram.used;
	stats->vram_peak = device->vram.peak;
	device_vram(device, &stats->vram_size, &used);
	stats->system_pinned = device->system_pinned;
	stats->processes = device->num_processes;
	stats->queues = device->queues;
	for (uint32_t i = 0; i < device->config.max_processes; i++) {
		struct gpu_vm_stats s;

		if (!device->slots[i] || device->slots[i]->ended)
			continue;
		gpu_vm_get_stats(device->slots[i]->vm, &s);
		stats->dispatches += s.dispatches;
		stats->packets += s.packets + s.sdma_packets;
		stats->gpu_ns += s.gpu_ns;
		stats->faults += s.faults;
		stats->queue_errors += s.queue_errors;
		stats->page_requests += s.page_requests;
		stats->requested_pages += s.requested_pages;
		stats->paged += s.pages * KFD_PAGE;
	}
	pthread_mutex_unlock(&device->lock);
}
