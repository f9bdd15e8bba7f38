// SPDX-License-Identifier: MIT
/*
 * memory.c - buffers: ALLOC/FREE/MAP/UNMAP_MEMORY_OF_GPU and what front ends say about the pages of
 * system memory buffers.
 *
 * A buffer is a list of runs of host memory. VRAM comes from the tenant's quota (vram.c); GTT and
 * USERPTR are pages of the tenant that the front end names as extents and ops->resolve vouches for.
 * A buffer that is mapped is in the GPU's page table whole, except while its pages are invalidated
 * or after they went away.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"

#define F(name) KFD_IOC_ALLOC_MEM_FLAGS_##name
#define KINDS	(F(VRAM) | F(GTT) | F(USERPTR) | F(DOORBELL) | F(MMIO_REMAP))
#define KNOWN                                                                                      \
	(KINDS | F(WRITABLE) | F(EXECUTABLE) | F(PUBLIC) | F(NO_SUBSTITUTE) | F(AQL_QUEUE_MEM) |   \
	 F(COHERENT) | F(UNCACHED) | F(EXT_COHERENT) | F(CONTIGUOUS) | HSV_KFD_ALLOC_SVM)

static unsigned prot_of(uint32_t flags)
{
	return GPU_PROT_READ | (flags & F(WRITABLE) ? GPU_PROT_WRITE : 0) |
	       (flags & F(EXECUTABLE) ? GPU_PROT_EXEC : 0);
}

static uint64_t handle_of(const struct kfd_process *p, const struct kfd_memory *m)
{
	return (uint64_t)p->pdds[m->gpu].node->config.gpu_id << 32 | m->id;
}

struct kfd_memory *memory_by_handle(struct kfd_process *p, uint64_t handle)
{
	struct kfd_process_device *pdd = pdd_by_id(p, handle >> 32);
	uint32_t id = (uint32_t)handle;

	if (!pdd || !id || id >= p->max_memories || !p->memories[id] || p->memories[id]->gpu != pdd->node->index)
		return NULL;
	return p->memories[id];
}

/* Mapped buffers and SVM objects never overlap, so their shares of the range add up. */
bool memory_is_mapped(struct kfd_process_device *pdd, uint64_t va, uint64_t size)
{
	struct kfd_process *p = pdd->process;
	uint64_t end = va + size, found = 0;

	/* What is in no buffer is asked for when it is needed. */
	if (p->xnack)
		return va >= KFD_VA_START && va < KFD_VA_END && size <= KFD_VA_END - va;
	for (uint32_t id = 1; id < p->max_memories; id++) {
		const struct kfd_memory *m = p->memories[id];
		uint64_t from, to;

		if (m && m->svm)
			found += svm_backed_by(m, va, end);
		if (!m || !(m->mapped & pdd_bit(pdd)))
			continue;
		from = m->va > va ? m->va : va;
		to = m->va + m->size < end ? m->va + m->size : end;
		if (from < to)
			found += to - from;
	}
	return found == size;
}

/*
 * What the tenant makes us remember of its buffers, in bytes. It isn't bounded by the tenant's
 * memory, for a page may be in any number of buffers.
 */
static bool charge_records(struct kfd_device *d, size_t bytes)
{
	if (atomic_fetch_add(&d->records, bytes) + bytes <= KFD_MAX_RECORDS)
		return true;
	atomic_fetch_sub(&d->records, bytes);
	return false;
}

/* Room for n extents in m. */
static int grow_extents(struct kfd_process *p, struct kfd_memory *m, size_t n)
{
	size_t bytes = n * sizeof(*m->extents);
	struct mem_extent *grown;

	if (n <= m->max_extents)
		return 0;
	bytes -= m->max_extents * sizeof(*m->extents);
	if (!charge_records(p->device, bytes))
		return -ENOMEM;
	grown = realloc(m->extents, n * sizeof(*grown));
	if (!grown) {
		atomic_fetch_sub(&p->device->records, bytes);
		return -ENOMEM;
	}
	m->extents = grown;
	m->max_extents = n;
	return 0;
}

int memory_map_part(struct kfd_process_device *pdd, const struct kfd_memory *m, uint64_t start, uint64_t end,
		    unsigned prot)
{
	uint64_t va = m->va;
	int err = 0;

	for (size_t i = 0; i < m->num_extents; va += m->extents[i++].size) {
		const struct mem_extent *e = &m->extents[i];
		uint64_t from = va > start ? va : start;
		uint64_t to = va + e->size < end ? va + e->size : end;

		if (from >= to || !e->host)
			continue;
		err = gpu_vm_map(pdd->vm, from, to - from, e->host + (from - va), prot);
		if (err) {
			/* Nothing after from is ours: take back what came before. */
			if (from > start)
				gpu_vm_unmap(pdd->vm, start, from - start);
			return err == -EEXIST ? -EINVAL : err;
		}
	}
	return 0;
}

static int map_on(struct kfd_process_device *pdd, const struct kfd_memory *m)
{
	if (m->svm)
		return svm_map_object(pdd, m);
	/* From the buffer's own start, so that an error unmaps only what this call mapped. */
	return memory_map_part(pdd, m, m->va, m->va + m->size, prot_of(m->flags));
}

/* The GPU's page table has m, or would if m's pages were there. */
static bool is_on(const struct kfd_process_device *pdd, const struct kfd_memory *m)
{
	return m->svm || m->mapped & pdd_bit(pdd);
}

static void unmap_all(struct kfd_process *p, const struct kfd_memory *m, uint64_t va, uint64_t size)
{
	for (uint32_t i = 0; i < p->num_gpus; i++)
		if (is_on(&p->pdds[i], m))
			gpu_vm_unmap(p->pdds[i].vm, va, size);
}

/* Where the program wants it; on an error nowhere. */
static int map_all(struct kfd_process *p, const struct kfd_memory *m)
{
	for (uint32_t i = 0; i < p->num_gpus; i++) {
		int err = is_on(&p->pdds[i], m) ? map_on(&p->pdds[i], m) : 0;

		if (!err)
			continue;
		while (i--)
			if (is_on(&p->pdds[i], m))
				gpu_vm_unmap(p->pdds[i].vm, m->va, m->size);
		return err;
	}
	return 0;
}

/* Takes m from all GPUs; what others have in the holes of an SVM object stays. */
static void unmap_whole(struct kfd_process *p, const struct kfd_memory *m)
{
	uint64_t va = m->va;

	if (!m->svm) {
		unmap_all(p, m, m->va, m->size);
		return;
	}
	for (size_t i = 0; i < m->num_extents; va += m->extents[i++].size)
		if (m->extents[i].host)
			unmap_all(p, m, va, m->extents[i].size);
}

/* Zeroes VRAM. Of a memfd the pages are given back, so free VRAM costs no memory. */
static void clear(struct kfd_node *n, void *host, uint64_t size)
{
	const struct kfd_front_ops *ops = n->device->config.ops;

	if (ops->clear_vram)
		ops->clear_vram(n->config.ctx, (uint64_t)((uint8_t *)host - (uint8_t *)n->config.vram), size);
	else if (madvise(host, size, MADV_REMOVE))
		memset(host, 0, size);
}

int node_vram_take(struct kfd_node *n, uint64_t size, size_t max, struct vram_extent **list, size_t *num)
{
	const struct kfd_front_ops *ops = n->device->config.ops;
	uint64_t limit, used;
	int err = 0;

	if (ops->charge_vram && ops->charge_vram(n->config.ctx, (int64_t)size))
		return -ENOMEM;
	pthread_mutex_lock(&n->device->lock);
	node_vram(n, &limit, &used);
	/* Of this GPU here: what others of the tenant have is charge_vram's business. */
	if (n->vram.used > limit || size > limit - n->vram.used || vram_alloc(&n->vram, size, max, list, num))
		err = -ENOMEM;
	pthread_mutex_unlock(&n->device->lock);
	if (err && ops->charge_vram)
		ops->charge_vram(n->config.ctx, -(int64_t)size);
	for (size_t i = 0; !err && i < *num; i++) {
		clear(n, (uint8_t *)n->config.vram + (*list)[i].offset, (*list)[i].size);
		if (ops->take_vram)
			ops->take_vram(n->config.ctx, (*list)[i].offset, (*list)[i].size);
	}
	return err;
}

static int alloc_vram(struct kfd_process *p, struct kfd_memory *m, struct kfd_request *request)
{
	struct kfd_node *node = p->pdds[m->gpu].node;
	size_t max = request->out_capacity / sizeof(struct hsv_extent), n = 0;
	struct hsv_extent *out = request->out;
	struct vram_extent *list = NULL;
	int err = node_vram_take(node, m->size, max, &list, &n);

	if (err)
		return err;
	err = grow_extents(p, m, n);
	if (err) {
		for (size_t i = 0; i < n; i++)
			node_vram_give(node, &list[i]);
		free(list);
		return err;
	}
	for (size_t i = 0; i < n; i++) {
		m->extents[i].host = (uint8_t *)node->config.vram + list[i].offset;
		m->extents[i].size = list[i].size;
		out[i].addr = node->config.vram_offset + list[i].offset;
		out[i].size = list[i].size;
	}
	request->out_size = n * sizeof(*out);
	m->num_extents = n;
	m->covered = m->size;
	free(list);
	return 0;
}

void node_vram_give(struct kfd_node *n, const struct vram_extent *e)
{
	const struct kfd_front_ops *ops = n->device->config.ops;

	clear(n, (uint8_t *)n->config.vram + e->offset, e->size);
	pthread_mutex_lock(&n->device->lock);
	vram_free(&n->vram, e, 1);
	pthread_mutex_unlock(&n->device->lock);
	if (ops->charge_vram)
		ops->charge_vram(n->config.ctx, -(int64_t)e->size);
}

void vram_give_back(struct kfd_node *n, const struct mem_extent *extents, size_t num)
{
	for (size_t i = 0; i < num; i++) {
		struct vram_extent e = {(uint64_t)(extents[i].host - (uint8_t *)n->config.vram), extents[i].size};

		node_vram_give(n, &e);
	}
}

/* Appends extents of tenant memory; checks alignment, the sum and, by the front end, ownership. On
 * error nothing is added. */
static int add_extents(struct kfd_process *p, struct kfd_memory *m, const struct hsv_extent *list,
		       size_t n)
{
	const struct kfd_device_config *config = &p->device->config;
	uint64_t covered = m->covered;
	struct mem_extent *grown;
	size_t used = m->num_extents;
	int err;

	if (!n)
		return 0;
	/* Each has a page at least, so the sum bounds their number before anything is allocated. */
	if (n > (m->size - covered) / KFD_PAGE)
		return -EINVAL;
	err = grow_extents(p, m, used + n);
	if (err)
		return err;
	grown = m->extents;
	for (size_t i = 0; i < n; i++) {
		uint64_t addr = list[i].addr, size = list[i].size;
		struct mem_extent *last = used > m->num_extents ? &grown[used - 1] : NULL;
		uint8_t *host;

		if (m->svm && addr == HSV_EXTENT_HOLE && size && !(size & (KFD_PAGE - 1)) && size <= m->size - covered) {
			grown[used++] = (struct mem_extent){NULL, size};
			covered += size;
			continue;
		}
		if ((addr | size) & (KFD_PAGE - 1) || !size || size > m->size - covered)
			return -EINVAL;
		host = config->ops->resolve(config->ctx, addr, size);
		if (!host)
			return -EFAULT;
		covered += size;
		if (last && last->host && last->host + last->size == host)
			last->size += size;
		else
			grown[used++] = (struct mem_extent){host, size};
	}
	for (size_t i = m->num_extents; i < used; i++) {
		if (!grown[i].host)
			svm_forget(p, m->va + m->covered, m->va + m->covered + grown[i].size);
		m->covered += grown[i].size;
	}
	m->num_extents = used;
	return 0;
}

/* Splits extent i of m so that one ends at offset bytes of it. */
static bool split_extent(struct kfd_process *p, struct kfd_memory *m, size_t i, uint64_t offset)
{
	struct mem_extent *grown;

	if (grow_extents(p, m, m->num_extents + 1))
		return false;
	grown = m->extents;
	memmove(&grown[i + 1], &grown[i], (m->num_extents - i) * sizeof(*grown));
	m->num_extents++;
	grown[i].size = offset;
	grown[i + 1].host += offset;
	grown[i + 1].size -= offset;
	return true;
}

void memory_revoke(struct kfd_process *p, struct kfd_memory *m, const uint8_t *first,
		   const uint8_t *last)
{
	uint64_t va = m->va;

	for (size_t i = 0; i < m->num_extents; va += m->extents[i++].size) {
		struct mem_extent *e = &m->extents[i];

		if (!e->host || e->host >= last || e->host + e->size <= first)
			continue;
		/* What lies before and after stays; without memory for the split the whole extent
		 * goes. */
		if (e->host < first && split_extent(p, m, i, (uint64_t)(first - e->host)))
			continue;
		if (e->host + e->size > last && e->host >= first)
			split_extent(p, m, i, (uint64_t)(last - e->host));
		e = &m->extents[i];
		unmap_all(p, m, va, e->size);
		if (m->svm)
			svm_forget(p, va, va + e->size);
		e->host = NULL;
		p->holes = true;
	}
}

/* Counts m's system memory, if it is within the limit. */
static bool pin(struct kfd_process *p, struct kfd_memory *m)
{
	struct kfd_device *d = p->device;
	uint64_t limit = d->config.ops->system_limit ? d->config.ops->system_limit(d->config.ctx)
						     : UINT64_MAX;

	pthread_mutex_lock(&d->lock);
	m->pinned = d->system_pinned <= limit && m->size <= limit - d->system_pinned;
	if (m->pinned)
		d->system_pinned += m->size;
	pthread_mutex_unlock(&d->lock);
	return m->pinned;
}

static void unpin(struct kfd_process *p, struct kfd_memory *m)
{
	if (!m->pinned)
		return;
	pthread_mutex_lock(&p->device->lock);
	p->device->system_pinned -= m->size;
	pthread_mutex_unlock(&p->device->lock);
}

static void memory_free(struct kfd_process *p, struct kfd_memory *m)
{
	atomic_fetch_sub(&p->device->records, sizeof(*m) + m->max_extents * sizeof(*m->extents));
	if (m->id && m->id < p->id_hint)
		p->id_hint = m->id;
	free(m->extents);
	free(m);
}

static void memory_release(struct kfd_process *p, struct kfd_memory *m)
{
	if (m->share)
		share_leave(p->device, m->share);
	else if (m->flags & F(VRAM))
		vram_give_back(p->pdds[m->gpu].node, m->extents, m->num_extents);
	unpin(p, m);
	p->num_svm -= m->svm;
	p->memories[m->id] = NULL;
	memory_free(p, m);
}

void memory_free_all(struct kfd_process *p)
{
	for (uint32_t id = 1; id < p->max_memories; id++)
		if (p->memories[id])
			memory_release(p, p->memories[id]);
	svm_forget(p, 0, ~0ull);
	free(p->remap_page);
	p->remap_page = NULL;
	free(p->memories);
	p->memories = NULL;
	p->max_memories = 0;
}

/* A free id, or 0. */
static uint32_t take_id(struct kfd_process *p)
{
	uint32_t id = p->id_hint ? p->id_hint : 1;
	struct kfd_memory **grown;
	uint32_t max;

	while (id < p->max_memories && p->memories[id])
		id++;
	if (id >= p->max_memories) {
		if (p->max_memories >= KFD_MAX_MEMORIES)
			return 0;
		max = p->max_memories ? p->max_memories * 2 : 64;
		grown = realloc(p->memories, max * sizeof(*grown));
		if (!grown)
			return 0;
		memset(grown + p->max_memories, 0, (max - p->max_memories) * sizeof(*grown));
		p->memories = grown;
		id = p->max_memories ? p->max_memories : 1;
		p->max_memories = max;
	}
	p->id_hint = id + 1;
	return id;
}

/* Of the GPUs in the mask. */
static bool overlaps_buffer(struct kfd_process *p, uint32_t gpus, uint64_t start, uint64_t end)
{
	for (uint32_t id = 1; id < p->max_memories; id++) {
		const struct kfd_memory *m = p->memories[id];

		if (m && m->mapped & gpus && !m->svm && m->va < end && start < m->va + m->size)
			return true;
	}
	return false;
}

uint64_t memory_next_buffer(struct kfd_process_device *pdd, uint64_t va, uint64_t end, bool all)
{
	struct kfd_process *p = pdd->process;

	for (uint32_t id = 1; (p->holes || all) && id < p->max_memories; id++) {
		const struct kfd_memory *m = p->memories[id];

		if (m && is_on(pdd, m) && m->va < end && va < m->va + m->size)
			end = m->va > va ? m->va : va;
	}
	return end;
}

bool memory_is_gone(struct kfd_process_device *pdd, uint64_t va)
{
	struct kfd_process *p = pdd->process;

	for (uint32_t id = 1; id < p->max_memories; id++) {
		const struct kfd_memory *m = p->memories[id];

		if (m && is_on(pdd, m) && va - m->va < m->size)
			return m->gone;
	}
	return false;
}

static bool valid_va(uint64_t va, uint64_t size)
{
	return !(va & (KFD_PAGE - 1)) && va >= KFD_VA_START && va < KFD_VA_END && size <= KFD_VA_END - va;
}

/* pdd: NULL if there is no such GPU. */
static int check_alloc(struct kfd_process *p, const struct kfd_process_device *pdd,
		       const struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	uint32_t kind = args->flags & KINDS;
	bool svm = args->flags & HSV_KFD_ALLOC_SVM;
	uint64_t size;

	if (!args->size || args->flags & ~KNOWN || !kind || kind & (kind - 1))
		return -EINVAL;
	if (!pdd)
		return -EINVAL;
	if (!pdd->acquired)
		return -ENODEV;
	if (args->size > KFD_MAX_BUFFER)
		return -ENOMEM;
	size = (args->size + KFD_PAGE - 1) & ~(KFD_PAGE - 1);
	/* VRAM and GTT may be without an address; they can't be mapped then. */
	if (!(kind & (F(VRAM) | F(GTT)) && !args->va_addr) && !valid_va(args->va_addr, size))
		return -EINVAL;
	if (kind == F(DOORBELL) && args->size != HSV_DOORBELL_SLOT)
		return -EINVAL;
	if (kind == F(MMIO_REMAP) && args->size != KFD_PAGE)
		return -EINVAL;
	if (kind == F(USERPTR) && (!args->mmap_offset || args->mmap_offset >= KFD_VA_END ||
				   size > KFD_VA_END - args->mmap_offset))
		return -EINVAL;
	if (svm) {
		if (kind != F(USERPTR) || args->mmap_offset != args->va_addr || args->size != size)
			return -EINVAL;
		switch (svm_backed(p, args->va_addr, args->va_addr + size)) {
		case 2:
			return -EEXIST;
		case 1:
			return -EADDRINUSE;
		}
		if (overlaps_buffer(p, ~0u, args->va_addr, args->va_addr + size))
			return -EADDRINUSE;
		return 0;
	}
	if (args->va_addr && svm_backed(p, args->va_addr, args->va_addr + size))
		return -EADDRINUSE;
	if (kind == F(USERPTR) && svm_backed(p, args->mmap_offset, args->mmap_offset + size))
		return -EADDRINUSE;
	return 0;
}

/* A buffer without memory, with its id but not in the table. NULL: there is no room. */
static struct kfd_memory *new_memory(struct kfd_process_device *pdd, uint64_t va, uint64_t size, uint32_t flags)
{
	struct kfd_process *p = pdd->process;
	struct kfd_memory *m;

	if (!charge_records(p->device, sizeof(*m)))
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m) {
		atomic_fetch_sub(&p->device->records, sizeof(*m));
		return NULL;
	}
	m->gpu = pdd->node->index;
	m->flags = flags;
	m->va = va;
	m->size = size;
	m->id = take_id(p);
	if (m->id)
		return m;
	memory_free(p, m);
	return NULL;
}

int memory_make(struct kfd_process_device *pdd, uint64_t va, uint64_t size, uint32_t flags, size_t max_extents, struct kfd_memory **memory)
{
	struct kfd_process *p = pdd->process;
	struct kfd_memory *m;
	int err;

	if (va && !valid_va(va, size))
		return -EINVAL;
	if (va && svm_backed(p, va, va + size))
		return -EADDRINUSE;
	m = new_memory(pdd, va, size, flags);
	if (!m)
		return -ENOMEM;
	err = grow_extents(p, m, max_extents);
	if (err) {
		memory_free(p, m);
		return err;
	}
	p->memories[m->id] = m;
	*memory = m;
	return 0;
}

/* All MMIO_REMAP buffers are the same page, as on hardware. */
static uint8_t *remap_page(struct kfd_process *p)
{
	if (!p->remap_page) {
		p->remap_page = aligned_alloc(KFD_PAGE, KFD_PAGE);
		if (p->remap_page)
			memset(p->remap_page, 0, KFD_PAGE);
	}
	return p->remap_page;
}

int kfd_ioctl_ALLOC_MEMORY_OF_GPU(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);
	struct kfd_memory *m;
	int err = check_alloc(p, pdd, args);

	if (err)
		return err;
	m = new_memory(pdd, args->va_addr, (args->size + KFD_PAGE - 1) & ~(KFD_PAGE - 1), args->flags & ~HSV_KFD_ALLOC_SVM);
	if (!m)
		return -ENOMEM;
	m->svm = args->flags & HSV_KFD_ALLOC_SVM;
	if (m->flags & F(VRAM)) {
		err = alloc_vram(p, m, request);
	} else if (m->flags & (F(GTT) | F(USERPTR))) {
		if (request->in_size % sizeof(struct hsv_extent) ||
		    (request->in_size && !request->in))
			err = -EINVAL;
		else if (!pin(p, m))
			err = -ENOMEM;
		else
			err = add_extents(p, m, request->in,
					  request->in_size / sizeof(struct hsv_extent));
	} else {
		uint8_t *host = m->flags & F(MMIO_REMAP) ? remap_page(p) : pdd_doorbells(pdd);

		err = host ? grow_extents(p, m, 1) : -ENOMEM;
		if (!err) {
			m->extents[0] = (struct mem_extent){host, m->size};
			m->covered = m->size;
			m->num_extents = 1;
		}
	}
	if (err)
		goto free_memory;

	p->memories[m->id] = m;
	p->num_svm += m->svm;
	args->handle = handle_of(p, m);
	args->mmap_offset = 0;
	if (m->flags & F(DOORBELL))
		args->mmap_offset = 3ull << 62 | (uint64_t)args->gpu_id << 46;
	else if (m->flags & F(MMIO_REMAP))
		args->mmap_offset = (uint64_t)args->gpu_id << 46;
	return 0;
free_memory:
	unpin(p, m);
	memory_free(p, m);
	return err;
}

static void end_invalid(struct kfd_process *p, struct kfd_memory *m)
{
	if (!m->invalid)
		return;
	m->invalid = false;
	if (!--p->num_invalid)
		process_resume(p);
}

int kfd_ioctl_FREE_MEMORY_OF_GPU(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_free_memory_of_gpu_args *args = request->args;
	struct kfd_memory *m = memory_by_handle(p, args->handle);

	if (!m)
		return -EINVAL;
	if (m->mapped)
		return -EBUSY;
	if (m->svm) {
		unmap_whole(p, m);
		svm_forget(p, m->va, m->va + m->size);
	}
	end_invalid(p, m);
	memory_release(p, m);
	return 0;
}

static int check_devices(struct kfd_process *p, const struct kfd_request *request, uint32_t n,
			 uint32_t done)
{
	if (!n || done > n)
		return -EINVAL;
	if (!request->in || request->in_size / sizeof(uint32_t) < n)
		return -EFAULT;
	return 0;
}

/* The i-th GPU that a request names; NULL: there is no such GPU. */
static struct kfd_process_device *device_of(struct kfd_process *p, const struct kfd_request *request, uint32_t i)
{
	uint32_t gpu_id;

	memcpy(&gpu_id, (const uint8_t *)request->in + i * sizeof(gpu_id), sizeof(gpu_id));
	return pdd_by_id(p, gpu_id);
}

static int map_to(struct kfd_process_device *pdd, struct kfd_memory *m)
{
	struct kfd_process *p = pdd->process;
	uint64_t end = m->va + m->size;
	int err;

	if (m->mapped & pdd_bit(pdd))
		return 0;
	if (!pdd->acquired)
		return -ENODEV;
	/* What is mapped keeps its addresses while its pages are away and the page table has nothing of it. */
	if ((p->holes && overlaps_buffer(p, pdd_bit(pdd), m->va, end)) || svm_backed(p, m->va, end))
		return -EINVAL;
	if (!m->invalid && !m->gone) {
		if (m->covered != m->size)
			return -EINVAL;
		err = map_on(pdd, m);
		if (err)
			return err;
	} else if (overlaps_buffer(p, pdd_bit(pdd), m->va, end)) {
		return -EINVAL;
	}
	m->mapped |= pdd_bit(pdd);
	return 0;
}

int kfd_ioctl_MAP_MEMORY_TO_GPU(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_map_memory_to_gpu_args *args = request->args;
	struct kfd_memory *m;
	int err = check_devices(p, request, args->n_devices, args->n_success);

	if (err)
		return err;
	if (!pdd_by_id(p, args->handle >> 32))
		return -EINVAL;
	m = memory_by_handle(p, args->handle);
	if (!m)
		return -ENOMEM; /* as amdkfd */
	if (m->svm || !m->va)
		return -EINVAL;
	for (uint32_t i = args->n_success; i < args->n_devices; i++) {
		struct kfd_process_device *pdd = device_of(p, request, i);

		err = pdd ? map_to(pdd, m) : -EINVAL;
		if (err)
			return err;
		args->n_success = i + 1;
	}
	return 0;
}

int kfd_ioctl_UNMAP_MEMORY_FROM_GPU(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_unmap_memory_from_gpu_args *args = request->args;
	struct kfd_memory *m;
	int err = check_devices(p, request, args->n_devices, args->n_success);

	if (err)
		return err;
	if (!pdd_by_id(p, args->handle >> 32))
		return -EINVAL;
	m = memory_by_handle(p, args->handle);
	if (!m)
		return -ENODEV; /* as amdkfd */
	for (uint32_t i = args->n_success; i < args->n_devices; i++) {
		struct kfd_process_device *pdd = device_of(p, request, i);

		if (!pdd || !(m->mapped & pdd_bit(pdd)))
			return -EINVAL;
		gpu_vm_unmap(pdd->vm, m->va, m->size);
		m->mapped &= ~pdd_bit(pdd);
		args->n_success = i + 1;
	}
	return 0;
}

static int place(struct kfd_process *p, struct kfd_memory *m, uint64_t va, uint32_t rights)
{
	const uint32_t all = F(WRITABLE) | F(EXECUTABLE);
	const struct kfd_memory before = *m;
	int err;

	if (m->svm || !!m->mapped != !va)
		return -EINVAL;
	if (!va) {
		unmap_all(p, m, m->va, m->size);
		m->mapped = 0;
		m->va = 0;
		return 0;
	}
	if (!valid_va(va, m->size))
		return -EINVAL;
	m->va = va;
	m->flags = (m->flags & ~all) | (rights & all);
	err = map_to(&p->pdds[m->gpu], m);
	if (err) {
		m->va = before.va;
		m->flags = before.flags;
	}
	return err;
}

int kfd_memory_place(struct kfd_process *process, uint64_t handle, uint64_t va, uint32_t rights)
{
	struct kfd_memory *m;
	int err = -EINVAL;

	pthread_mutex_lock(&process->lock);
	m = memory_by_handle(process, handle);
	if (m)
		err = place(process, m, va, rights);
	pthread_mutex_unlock(&process->lock);
	return err;
}

int kfd_ioctl_AVAILABLE_MEMORY(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_get_available_memory_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);
	uint64_t limit, used;

	if (!pdd)
		return -EINVAL;
	pthread_mutex_lock(&p->device->lock);
	node_vram(pdd->node, &limit, &used);
	pthread_mutex_unlock(&p->device->lock);
	args->available = limit > used ? limit - used : 0;
	return 0;
}

static bool is_system(const struct kfd_memory *m)
{
	return m->flags & (F(GTT) | F(USERPTR));
}

int kfd_memory_extend(struct kfd_process *process, uint64_t handle,
		      const struct hsv_extent *extents, size_t n)
{
	struct kfd_memory *m;
	int err = -EINVAL;

	pthread_mutex_lock(&process->lock);
	m = memory_by_handle(process, handle);
	if (m && is_system(m) && n && m->covered < m->size && !m->gone &&
	    (m->invalid || !m->mapped)) {
		err = add_extents(process, m, extents, n);
		if (!err && m->invalid && m->covered == m->size) {
			err = map_all(process, m);
			m->gone = err;
			end_invalid(process, m);
		}
	}
	pthread_mutex_unlock(&process->lock);
	return err;
}

int kfd_memory_invalidate(struct kfd_process *process, uint64_t handle)
{
	struct kfd_memory *m;
	int err = -EINVAL;

	pthread_mutex_lock(&process->lock);
	m = memory_by_handle(process, handle);
	if (m && is_system(m)) {
		err = 0;
		if (!m->invalid) {
			m->invalid = true;
			process->holes = true;
			if (!process->num_invalid++)
				process_suspend(process);
			unmap_whole(process, m);
		}
		/* Where an SVM object has holes stays known: others may be there. */
		if (!m->svm || m->covered != m->size) {
			m->num_extents = 0;
			m->covered = 0;
		}
	}
	pthread_mutex_unlock(&process->lock);
	return err;
}

int kfd_memory_restore(struct kfd_process *process, uint64_t handle,
		       const struct hsv_extent *extents, size_t n)
{
	struct kfd_memory *m;
	int err = -EINVAL;

	pthread_mutex_lock(&process->lock);
	m = memory_by_handle(process, handle);
	if (m && m->invalid) {
		m->num_extents = 0;
		m->covered = 0;
		m->gone = !n;
		err = add_extents(process, m, extents, n);
		if (!err && n && m->covered == m->size)
			err = map_all(process, m);
		/* A part: EXTEND brings the rest. An error: the pages stay unknown, but queues go
		 * on. */
		if (err || !n || m->covered == m->size) {
			m->gone = !n || err;
			end_invalid(process, m);
		}
	}
	pthread_mutex_unlock(&process->lock);
	return err;
}
