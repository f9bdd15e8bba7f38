// SPDX-License-Identifier: MIT
/*
 * vram_pages.c - VRAM that the front end's kernel has for itself: where it keeps pages of programs that were moved to the GPU.
 *
 * Such VRAM belongs to no process, as a page may be several processes' (fork). It is charged to the tenant like a buffer. What is taken is a sorted
 * array of runs of each GPU, looked at when pages are named by their place in VRAM (HSV_EXTENT_VRAM), so that no free VRAM and no buffer's can be. When a
 * run is given back it can be named no more first; then the GPU loses it; then it is cleared and free.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Index of the first run that ends above offset. Device lock held. */
static size_t run_above(const struct kfd_node *n, uint64_t offset)
{
	size_t lo = 0, hi = n->num_taken;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (n->taken[mid].offset + n->taken[mid].size <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int run_enter(struct kfd_node *n, const struct vram_extent *run)
{
	size_t i = run_above(n, run->offset);

	if (n->num_taken == n->max_taken) {
		size_t max = n->max_taken ? n->max_taken * 2 : 16;
		struct vram_extent *grown = realloc(n->taken, max * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		n->taken = grown;
		n->max_taken = max;
	}
	memmove(&n->taken[i + 1], &n->taken[i], (n->num_taken - i) * sizeof(*run));
	n->taken[i] = *run;
	n->num_taken++;
	return 0;
}

int kfd_vram_take(struct kfd_device *device, uint32_t gpu, uint64_t size, uint64_t *offset)
{
	struct vram_extent *run;
	struct kfd_node *n;
	size_t num;
	int err;

	if (gpu >= device->config.num_gpus || !size || size & (KFD_PAGE - 1))
		return -EINVAL;
	n = &device->nodes[gpu];
	err = node_vram_take(n, size, 1, &run, &num);
	if (err)
		return err;
	*offset = n->config.vram_offset + run->offset;
	pthread_mutex_lock(&device->lock);
	err = run_enter(n, run);
	pthread_mutex_unlock(&device->lock);
	if (err)
		node_vram_give(n, run);
	free(run);
	return err;
}

/* Takes the run that begins at offset off the list. */
static bool run_leave(struct kfd_node *n, uint64_t offset, uint64_t size)
{
	size_t i;
	bool found;

	pthread_mutex_lock(&n->device->lock);
	i = run_above(n, offset);
	found = i < n->num_taken && n->taken[i].offset == offset && n->taken[i].size == size;
	if (found) {
		n->num_taken--;
		memmove(&n->taken[i], &n->taken[i + 1], (n->num_taken - i) * sizeof(*n->taken));
	}
	pthread_mutex_unlock(&n->device->lock);
	return found;
}

int kfd_vram_give(struct kfd_device *device, uint32_t gpu, uint64_t offset, uint64_t size)
{
	struct vram_extent run = {offset, size};
	struct kfd_node *n;

	if (gpu >= device->config.num_gpus)
		return -EINVAL;
	n = &device->nodes[gpu];
	run.offset -= n->config.vram_offset; /* may wrap: then none is found */
	if (!run_leave(n, run.offset, size))
		return -EINVAL;
	/* Who was just naming it has the process's lock until it is mapped. */
	kfd_device_revoke(device, (uint8_t *)n->config.vram + run.offset, size);
	node_vram_give(n, &run);
	return 0;
}

void kfd_vram_give_all(struct kfd_device *device)
{
	for (uint32_t i = 0; i < device->config.num_gpus; i++) {
		struct kfd_node *n = &device->nodes[i];

		while (n->num_taken)
			kfd_vram_give(device, i, n->config.vram_offset + n->taken[n->num_taken - 1].offset, n->taken[n->num_taken - 1].size);
		free(n->taken);
		n->taken = NULL;
		n->max_taken = 0;
	}
}

/* Device lock held. */
static uint8_t *taken_on(const struct kfd_node *n, uint64_t offset, uint64_t size)
{
	uint64_t at = offset;

	/* Runs may follow each other. */
	for (size_t i = run_above(n, offset); i < n->num_taken && n->taken[i].offset <= at; i++) {
		at = n->taken[i].offset + n->taken[i].size;
		if (at - offset >= size)
			return (uint8_t *)n->config.vram + offset;
	}
	return NULL;
}

uint8_t *vram_taken_host(struct kfd_device *device, uint64_t offset, uint64_t size)
{
	uint8_t *host = NULL;

	pthread_mutex_lock(&device->lock);
	for (uint32_t i = 0; i < device->config.num_gpus && !host; i++)
		host = taken_on(&device->nodes[i], offset - device->nodes[i].config.vram_offset, size);
	pthread_mutex_unlock(&device->lock);
	return host;
}
