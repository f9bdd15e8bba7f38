// SPDX-License-Identifier: MIT
/*
 * pages.c - pageable memory of a process with XNACK on: what the front end says of the program's pages.
 *
 * The GPU asks for memory that it has not (page_request, process.c) and the front end answers with the pages as the program may use
 * them now; the core only takes away rights that the program's SVM attributes deny. No record of pages is kept but the
 * GPU's page table: they can go at any time, for they are asked for again.
 *
 * An answer is always passed on, also when nothing could be mapped: who waits must try again, or get a fault.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

#define HSV_PAGES_ALL (HSV_PAGES_READ | HSV_PAGES_WRITE | HSV_PAGES_EXEC)

_Static_assert(HSV_PAGES_READ == GPU_PROT_READ && HSV_PAGES_WRITE == GPU_PROT_WRITE && HSV_PAGES_EXEC == GPU_PROT_EXEC, "rights");

static bool range_ok(uint64_t va, uint64_t size)
{
	return size && !((va | size) & (KFD_PAGE - 1)) && va < KFD_VA_END && size <= KFD_VA_END - va;
}

/* Where the pages are on the host; sums up to size. The caller frees *out. */
static int resolve(struct kfd_process *p, const struct hsv_extent *list, size_t n, uint64_t size, struct mem_extent **out)
{
	const struct kfd_device_config *config = &p->device->config;
	struct mem_extent *extents;
	uint64_t sum = 0;

	if (!n || n > size / KFD_PAGE)
		return -EINVAL;
	extents = malloc(n * sizeof(*extents));
	if (!extents)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int err = 0;

		if ((list[i].addr | list[i].size) & (KFD_PAGE - 1) || !list[i].size || list[i].size > size - sum)
			err = -EINVAL;
		extents[i].size = list[i].size;
		extents[i].host = err ? NULL : list[i].addr & HSV_EXTENT_VRAM ? vram_taken_host(p->device, list[i].addr & ~HSV_EXTENT_VRAM, list[i].size) : config->ops->resolve(config->ctx, list[i].addr, list[i].size);
		if (!err && !extents[i].host)
			err = -EFAULT;
		if (err) {
			free(extents);
			return err;
		}
		sum += list[i].size;
	}
	*out = extents;
	if (sum == size)
		return 0;
	free(extents);
	return -EINVAL;
}

/* Maps [va, end), which begins at *e's byte *at, and steps these on. */
static int map_pages(struct kfd_process_device *pdd, uint64_t va, uint64_t end, unsigned prot, const struct mem_extent **e, uint64_t *at)
{
	int err = 0;

	while (va < end) {
		uint64_t size = (*e)->size - *at;

		if (size > end - va)
			size = end - va;
		if (prot && !err)
			err = gpu_vm_map(pdd->vm, va, size, (*e)->host + *at, prot);
		va += size;
		*at += size;
		if (*at == (*e)->size) {
			++*e;
			*at = 0;
		}
	}
	return err;
}

/* Maps what the attributes leave of [va, end), which begins at e. */
static int add_allowed(struct kfd_process_device *pdd, uint64_t va, uint64_t end, uint32_t rights, const struct mem_extent *e)
{
	uint64_t at = 0;
	int err = 0;

	while (va < end && !err) {
		uint64_t to = end;
		unsigned allowed = svm_allowed(pdd, va, &to), prot = allowed & rights;

		/* Rights that only the program lacks may come; what the attributes deny is a fault at once. */
		if (prot)
			prot |= GPU_PROT_PAGE | (allowed & GPU_PROT_WRITE ? GPU_PROT_MORE : 0);
		err = map_pages(pdd, va, to, prot, &e, &at);
		if (!err && !prot)
			gpu_vm_pages_answer(pdd->vm, va, to - va, -EACCES);
		va = to;
	}
	return err;
}

static int add_pages(struct kfd_process_device *pdd, const struct hsv_pages_args *args, const struct mem_extent *e)
{
	/* Buffers whose pages are away keep their addresses, though the GPU has nothing there. */
	uint64_t end = memory_next_buffer(pdd, args->va, args->va + args->size, false);
	int err = add_allowed(pdd, args->va, end, args->prot, e);

	/* The others are looked for only when the page table has shown that there is one: there may be many. */
	if (err == -EEXIST) {
		end = memory_next_buffer(pdd, args->va, end, true);
		err = add_allowed(pdd, args->va, end, args->prot, e);
	}
	return end == args->va || err == -EEXIST ? -EADDRINUSE : err;
}

static int give_pages(struct kfd_process_device *pdd, const struct hsv_pages_args *args, const struct mem_extent *list)
{
	int err = list ? add_pages(pdd, args, list) : 0;

	/* Where a buffer is now, its rights decide when it is tried again. */
	gpu_vm_pages_answer(pdd->vm, args->va, args->size,
			    args->error ? -(int)args->error : err == -EADDRINUSE && !memory_is_gone(pdd, args->va) ? 0 : err);
	return err;
}

int kfd_process_pages(struct kfd_process *process, const struct hsv_pages_args *args, const struct hsv_extent *extents, size_t n)
{
	struct mem_extent *list = NULL;
	int err = 0;

	if (!range_ok(args->va, args->size) || args->error > 4095)
		return -EINVAL;
	if (!args->error && (!(args->prot & HSV_PAGES_READ) || args->prot & ~HSV_PAGES_ALL))
		return -EINVAL;
	pthread_mutex_lock(&process->lock);
	if (!process->xnack)
		err = -EINVAL;
	else if (!args->error)
		err = resolve(process, extents, n, args->size, &list);
	if (err) {
		pthread_mutex_unlock(&process->lock);
		return err;
	}
	/* Whichever GPU asked: all of them may have the pages. */
	for (uint32_t i = 0; i < process->num_gpus; i++) {
		int err2 = give_pages(&process->pdds[i], args, list);

		err = err ? err : err2;
	}
	free(list);
	pthread_mutex_unlock(&process->lock);
	if (err)
		log_debug("%s[%u]: pages at 0x%llx: %d", process->name, process->pid, (unsigned long long)args->va, err);
	return err;
}

int kfd_process_pages_invalidate(struct kfd_process *process, uint64_t va, uint64_t size)
{
	if (!range_ok(va, size))
		return -EINVAL;
	pthread_mutex_lock(&process->lock);
	for (uint32_t i = 0; process->xnack && i < process->num_gpus; i++)
		gpu_vm_unmap_pages(process->pdds[i].vm, va, size);
	pthread_mutex_unlock(&process->lock);
	return 0;
}
