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
#include "gpu/paging.h"

static bool gpus_ok(const struct kfd_device_config *config)
{
	if (!config->num_gpus || config->num_gpus > KFD_MAX_GPUS)
		return false;
	for (uint32_t i = 0; i < config->num_gpus; i++) {
		const struct kfd_gpu_config *g = &config->gpus[i];

		if (!g->gpu || !g->doorbells || !g->gpu_id || g->gpu_id > 0xffff || (g->vram_size && !g->vram))
			return false;
		for (uint32_t k = 0; k < i; k++)
			if (config->gpus[k].gpu_id == g->gpu_id)
				return false;
	}
	return true;
}

static int node_init(struct kfd_device *d, uint32_t index)
{
	struct kfd_node *n = &d->nodes[index];

	n->device = d;
	n->index = index;
	n->config = d->config.gpus[index];
	n->props = gpu_properties(n->config.gpu);
	return vram_init(&n->vram, n->config.vram_size);
}

static void device_free(struct kfd_device *d)
{
	for (uint32_t i = 0; i < d->config.num_gpus; i++)
		vram_fini(&d->nodes[i].vram);
	free(d->slots);
	free(d);
}

int kfd_device_open(const struct kfd_device_config *config, struct kfd_device **device)
{
	struct kfd_device *d;
	int err;

	if (!config->ops || !config->ops->resolve || !config->max_processes || config->max_processes > HSV_MAX_PROCESSES ||
	    !gpus_ok(config))
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->config = *config;
	d->slots = calloc(config->max_processes, sizeof(*d->slots));
	err = d->slots ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < config->num_gpus && !err; i++)
		err = node_init(d, i);
	if (err) {
		device_free(d);
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
	kfd_device_end_shares(device);
	kfd_vram_give_all(device);
	pthread_cond_destroy(&device->unpinned);
	pthread_mutex_destroy(&device->lock);
	device_free(device);
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
			for (uint32_t g = 0; g < p->num_gpus; g++)
				gpu_vm_unmap_pages_at(p->pdds[g].vm, host, size);
		pthread_mutex_unlock(&p->lock);
		pthread_mutex_lock(&device->lock);
		if (!--p->pins)
			pthread_cond_broadcast(&device->unpinned);
	}
	pthread_mutex_unlock(&device->lock);
}

void node_vram(struct kfd_node *n, uint64_t *limit, uint64_t *used)
{
	const struct kfd_front_ops *ops = n->device->config.ops;

	*limit = n->vram.size;
	*used = n->vram.used;
	if (!ops->vram_quota)
		return;
	ops->vram_quota(n->config.ctx, limit, used);
	/* These are words that others write: never more than there is, nor less than is ours. */
	if (*limit > n->vram.size)
		*limit = n->vram.size;
	if (*used < n->vram.used)
		*used = n->vram.used;
}

/* a += b */
static void add_stats(struct kfd_stats *a, const struct kfd_stats *b)
{
	a->vram_used += b->vram_used;
	a->vram_peak += b->vram_peak;
	a->vram_size += b->vram_size;
	a->system_pinned += b->system_pinned;
	a->dispatches += b->dispatches;
	a->packets += b->packets;
	a->gpu_ns += b->gpu_ns;
	a->faults += b->faults;
	a->queue_errors += b->queue_errors;
	a->page_requests += b->page_requests;
	a->requested_pages += b->requested_pages;
	a->page_waits += b->page_waits;
	a->page_invalidations += b->page_invalidations;
	a->pages_taken += b->pages_taken;
	a->paged += b->paged;
	a->processes += b->processes;
	a->queues += b->queues;
}

struct kfd_stats vm_stats(struct gpu_vm *vm)
{
	struct gpu_vm_stats s;
	struct gpu_paging p;

	gpu_vm_get_stats(vm, &s);
	gpu_vm_get_paging(vm, &p);
	return (struct kfd_stats){
		.dispatches = s.dispatches,
		.packets = s.packets + s.sdma_packets,
		.gpu_ns = s.gpu_ns,
		.faults = s.faults,
		.queue_errors = s.queue_errors,
		.page_requests = s.page_requests,
		.requested_pages = s.requested_pages,
		.page_waits = p.waits,
		.page_invalidations = p.invalidations,
		.pages_taken = p.pages_taken,
		.paged = s.pages * KFD_PAGE,
	};
}

void node_process_ended(struct kfd_node *n, const struct kfd_stats *stats)
{
	struct kfd_stats s = *stats;

	s.paged = 0;
	add_stats(&n->past, &s);
}

void kfd_gpu_stats(struct kfd_device *device, uint32_t gpu, struct kfd_stats *stats)
{
	struct kfd_node *n = &device->nodes[gpu];
	uint64_t used;

	pthread_mutex_lock(&device->lock);
	*stats = n->past;
	stats->vram_used = n->vram.used;
	stats->vram_peak = n->vram.peak;
	node_vram(n, &stats->vram_size, &used);
	stats->queues = n->queues;
	if (!gpu) {
		stats->system_pinned = device->system_pinned;
		stats->processes = device->num_processes;
	}
	for (uint32_t i = 0; i < device->config.max_processes; i++) {
		struct kfd_stats s;

		if (!device->slots[i] || device->slots[i]->ended)
			continue;
		s = vm_stats(device->slots[i]->pdds[gpu].vm);
		add_stats(stats, &s);
	}
	pthread_mutex_unlock(&device->lock);
}

void kfd_device_stats(struct kfd_device *device, struct kfd_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	for (uint32_t i = 0; i < device->config.num_gpus; i++) {
		struct kfd_stats s;

		kfd_gpu_stats(device, i, &s);
		add_stats(stats, &s);
	}
}
