// SPDX-License-Identifier: MIT
/*
 * svm.c - SVM ranges: attributes of ranges of the program's memory, and which of it the GPU sees at
 * the program's own address.
 *
 * With XNACK on the GPU sees all of the program's memory, unless attributes deny it, and asks for
 * pages when it needs them (pages.c): nothing is registered, and attributes only take away what the
 * GPU has of a range, so that it asks again. Without, the pages are known from objects that the front end registers (HSV_KFD_ALLOC_SVM,
 * abi/kfd_ioctls.h); an attribute range lies within such objects. A range that the GPU may access
 * is in its page table, as amdkfd does without XNACK, for there are no retry faults. Unset
 * attributes have amdkfd's defaults.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLAG(name)	    KFD_IOCTL_SVM_FLAG_##name
#define ATTR(name)	    KFD_IOCTL_SVM_ATTR_##name
#define DEFAULT_FLAGS	    (FLAG(HOST_ACCESS) | FLAG(COHERENT))
#define DEFAULT_GRANULARITY 9
#define MAX_ATTRS	    256

/* What holds where nothing was set: as in amdkfd, with XNACK GPUs may access everything. */
static struct svm_range default_range(const struct kfd_process *p)
{
	struct svm_range r = {
		.preferred = KFD_IOCTL_SVM_LOCATION_UNDEFINED,
		.prefetch = KFD_IOCTL_SVM_LOCATION_UNDEFINED,
		.flags = DEFAULT_FLAGS,
		.granularity = DEFAULT_GRANULARITY,
	};

	memset(r.access, p->xnack ? ATTR(ACCESS) : ATTR(NO_ACCESS), sizeof(r.access));
	return r;
}

uint64_t svm_backed_by(const struct kfd_memory *m, uint64_t start, uint64_t end)
{
	uint64_t found = 0, va = m->va;

	if (m->va >= end || m->va + m->size <= start)
		return 0;
	found = (m->va + m->size < end ? m->va + m->size : end) - (m->va > start ? m->va : start);
	for (size_t i = 0; i < m->num_extents; va += m->extents[i++].size) {
		uint64_t from = va > start ? va : start;
		uint64_t to = va + m->extents[i].size < end ? va + m->extents[i].size : end;

		if (!m->extents[i].host && from < to)
			found -= to - from;
	}
	return found;
}

int svm_backed(struct kfd_process *p, uint64_t start, uint64_t end)
{
	uint64_t found = 0;

	for (uint32_t id = 1; p->num_svm && id < p->max_memories; id++)
		if (p->memories[id] && p->memories[id]->svm)
			found += svm_backed_by(p->memories[id], start, end);
	return !found ? 0 : found < end - start ? 1 : 2;
}

static unsigned prot_of(const struct svm_range *r)
{
	return GPU_PROT_READ | (r->flags & FLAG(GPU_RO) ? 0 : GPU_PROT_WRITE) |
	       (r->flags & FLAG(GPU_EXEC) ? GPU_PROT_EXEC : 0);
}

/* Rights of a GPU. */
static unsigned allowed_to(const struct kfd_process_device *pdd, const struct svm_range *r)
{
	return r->access[pdd->node->index] == ATTR(NO_ACCESS) ? 0 : prot_of(r);
}

unsigned svm_allowed(struct kfd_process_device *pdd, uint64_t va, uint64_t *end)
{
	const struct svm_range unset = default_range(pdd->process);

	for (const struct svm_range *r = pdd->process->ranges; r && r->start < *end; r = r->next) {
		if (r->end <= va)
			continue;
		if (r->start > va) {
			*end = r->start;
			break;
		}
		if (*end > r->end)
			*end = r->end;
		return allowed_to(pdd, r);
	}
	return prot_of(&unset);
}

/* Maps what the attributes allow of m within [start, end). */
static int map_part(struct kfd_process_device *pdd, const struct kfd_memory *m, uint64_t start, uint64_t end)
{
	for (const struct svm_range *r = pdd->process->ranges; r; r = r->next) {
		uint64_t from = r->start, to = r->end;
		int err;

		if (from < start)
			from = start;
		if (from < m->va)
			from = m->va;
		if (to > end)
			to = end;
		if (to > m->va + m->size)
			to = m->va + m->size;
		if (from >= to || !allowed_to(pdd, r))
			continue;
		err = memory_map_part(pdd, m, from, to, prot_of(r));
		if (err)
			return err;
	}
	return 0;
}

int svm_map_object(struct kfd_process_device *pdd, const struct kfd_memory *m)
{
	return map_part(pdd, m, m->va, m->va + m->size);
}

static int remap(struct kfd_process_device *pdd, uint64_t start, uint64_t end)
{
	struct kfd_process *p = pdd->process;
	int err = 0;

	gpu_vm_unmap(pdd->vm, start, end - start);
	for (uint32_t id = 1; id < p->max_memories && !err; id++) {
		const struct kfd_memory *m = p->memories[id];

		if (m && m->svm && !m->invalid && m->va < end && start < m->va + m->size)
			err = map_part(pdd, m, start, end);
	}
	return err;
}

/* Makes at a boundary between ranges if it is inside one. */
static int split_at(struct kfd_process *p, uint64_t at)
{
	for (struct svm_range *r = p->ranges; r; r = r->next) {
		struct svm_range *tail;

		if (r->start >= at || at >= r->end)
			continue;
		if (p->num_ranges >= KFD_MAX_RANGES)
			return -ENOMEM;
		tail = malloc(sizeof(*tail));
		if (!tail)
			return -ENOMEM;
		*tail = *r;
		tail->start = at;
		r->end = at;
		r->next = tail;
		p->num_ranges++;
		break;
	}
	return 0;
}

void svm_forget(struct kfd_process *p, uint64_t start, uint64_t end)
{
	struct svm_range **link = &p->ranges;

	/* No room for a split: the whole range goes, which only loses attributes. */
	bool whole = split_at(p, start) || split_at(p, end);

	while (*link) {
		struct svm_range *r = *link;

		if (whole ? r->start < end && start < r->end : r->start >= start && r->end <= end) {
			*link = r->next;
			p->num_ranges--;
			free(r);
		} else {
			link = &r->next;
		}
	}
}

/* Fills the holes of [start, end) with ranges of default attributes. */
static int fill(struct kfd_process *p, uint64_t start, uint64_t end)
{
	struct svm_range **link = &p->ranges;

	while (start < end) {
		struct svm_range *r = *link;
		uint64_t to = r && r->start < end ? r->start : end;

		if (r && r->end <= start) {
			link = &r->next;
			continue;
		}
		if (r && r->start <= start) {
			start = r->end;
			link = &r->next;
			continue;
		}
		if (p->num_ranges >= KFD_MAX_RANGES)
			return -ENOMEM;
		r = malloc(sizeof(*r));
		if (!r)
			return -ENOMEM;
		*r = default_range(p);
		r->start = start;
		r->end = to;
		r->next = *link;
		*link = r;
		p->num_ranges++;
		link = &r->next;
		start = to;
	}
	return 0;
}

static bool valid_location(struct kfd_process *p, uint32_t value, bool undefined_ok)
{
	return value == KFD_IOCTL_SVM_LOCATION_SYSMEM || pdd_by_id(p, value) ||
	       (undefined_ok && value == KFD_IOCTL_SVM_LOCATION_UNDEFINED);
}

static int check_attr(struct kfd_process *p, const struct kfd_ioctl_svm_attribute *a)
{
	switch (a->type) {
	case ATTR(PREFERRED_LOC):
		return valid_location(p, a->value, true) ? 0 : -EINVAL;
	case ATTR(PREFETCH_LOC):
		return valid_location(p, a->value, false) ? 0 : -EINVAL;
	case ATTR(ACCESS):
	case ATTR(ACCESS_IN_PLACE):
	case ATTR(NO_ACCESS):
		return pdd_by_id(p, a->value) ? 0 : -EINVAL;
	case ATTR(SET_FLAGS):
	case ATTR(CLR_FLAGS):
	case ATTR(GRANULARITY):
		return 0;
	default:
		return -EINVAL;
	}
}

static void apply(struct kfd_process *p, struct svm_range *r, const struct kfd_ioctl_svm_attribute *a)
{
	switch (a->type) {
	case ATTR(PREFERRED_LOC):
		r->preferred = a->value;
		break;
	case ATTR(PREFETCH_LOC):
		r->prefetch = a->value;
		break;
	case ATTR(ACCESS):
	case ATTR(ACCESS_IN_PLACE):
	case ATTR(NO_ACCESS):
		r->access[pdd_by_id(p, a->value)->node->index] = (uint8_t)a->type;
		break;
	case ATTR(SET_FLAGS):
		r->flags |= a->value;
		break;
	case ATTR(CLR_FLAGS):
		r->flags &= ~a->value;
		break;
	case ATTR(GRANULARITY):
		r->granularity = a->value < 0x3f ? a->value : 0x3f;
		break;
	}
}

static int rights_changed(struct kfd_process_device *pdd, uint64_t start, uint64_t end)
{
	int err;

	if (!pdd->process->num_svm) {
		gpu_vm_unmap_pages(pdd->vm, start, end - start);
		return 0;
	}
	gpu_vm_suspend(pdd->vm);
	err = remap(pdd, start, end);
	gpu_vm_resume(pdd->vm);
	return err;
}

static int set_attr(struct kfd_process *p, uint64_t start, uint64_t end,
		    const struct kfd_ioctl_svm_attribute *attrs, uint32_t n)
{
	uint32_t changed = 0; /* bit i: GPU i has other rights than before */
	int err = 0;

	for (uint32_t i = 0; i < n; i++) {
		err = check_attr(p, &attrs[i]);
		if (err)
			return err;
	}
	for (uint32_t id = 1; id < p->max_memories; id++) {
		const struct kfd_memory *m = p->memories[id];

		if (m && m->mapped && m->va < end && start < m->va + m->size)
			return -EADDRINUSE; /* ordinary buffers have no SVM attributes */
	}
	if (!p->xnack && svm_backed(p, start, end) != 2)
		return -EFAULT;
	err = split_at(p, start);
	if (!err)
		err = split_at(p, end);
	if (!err)
		err = fill(p, start, end);
	if (err)
		return err;
	for (struct svm_range *r = p->ranges; r; r = r->next) {
		struct svm_range old = *r;

		if (r->start < start || r->end > end)
			continue;
		for (uint32_t i = 0; i < n; i++)
			apply(p, r, &attrs[i]);
		for (uint32_t i = 0; i < p->num_gpus; i++)
			if (allowed_to(&p->pdds[i], r) != allowed_to(&p->pdds[i], &old))
				changed |= 1u << i;
	}
	/* A hint must not take memory from a kernel that runs, not for a moment. */
	if (!changed)
		return 0;
	for (uint32_t i = 0; i < p->num_gpus && !err; i++)
		if (changed & 1u << i)
			err = rights_changed(&p->pdds[i], start, end);
	return err;
}

/* What holds of the whole of [start, end), as amdkfd answers it. */
static int get_attr(struct kfd_process *p, uint64_t start, uint64_t end,
		    struct kfd_ioctl_svm_attribute *attrs, uint32_t n)
{
	const struct svm_range unset = default_range(p);
	struct svm_range all = unset;
	uint32_t flags_or = 0;
	uint64_t at = start;
	bool first = true;

	for (uint32_t i = 0; i < n; i++) {
		if (attrs[i].type == ATTR(ACCESS_IN_PLACE) || attrs[i].type == ATTR(NO_ACCESS) ||
		    attrs[i].type > ATTR(GRANULARITY))
			return -EINVAL;
		if (attrs[i].type == ATTR(ACCESS) && !pdd_by_id(p, attrs[i].value))
			return -EINVAL;
	}
	while (at < end) {
		const struct svm_range *x = p->ranges, *r;

		while (x && x->end <= at)
			x = x->next;
		if (!x || x->start > at) { /* a hole */
			at = x && x->start < end ? x->start : end;
			r = &unset;
		} else {
			at = x->end;
			r = x;
		}
		if (first) {
			all = *r;
			flags_or = r->flags;
			first = false;
			continue;
		}
		if (r->preferred != all.preferred)
			all.preferred = KFD_IOCTL_SVM_LOCATION_UNDEFINED;
		if (r->prefetch != all.prefetch)
			all.prefetch = KFD_IOCTL_SVM_LOCATION_UNDEFINED;
		if (r->granularity < all.granularity)
			all.granularity = r->granularity;
		for (uint32_t i = 0; i < p->num_gpus; i++) /* the least: ACCESS < ACCESS_IN_PLACE < NO_ACCESS */
			if (r->access[i] > all.access[i])
				all.access[i] = r->access[i];
		all.flags &= r->flags;
		flags_or |= r->flags;
	}
	for (uint32_t i = 0; i < n; i++) {
		switch (attrs[i].type) {
		case ATTR(PREFERRED_LOC):
			attrs[i].value = all.preferred;
			break;
		case ATTR(PREFETCH_LOC):
			attrs[i].value = all.prefetch;
			break;
		case ATTR(ACCESS):
			attrs[i].type = all.access[pdd_by_id(p, attrs[i].value)->node->index];
			break;
		case ATTR(SET_FLAGS):
			attrs[i].value = all.flags;
			break;
		case ATTR(CLR_FLAGS):
			attrs[i].value = ~flags_or;
			break;
		case ATTR(GRANULARITY):
			attrs[i].value = all.granularity;
			break;
		}
	}
	return 0;
}

static bool any_acquired(const struct kfd_process *p)
{
	for (uint32_t i = 0; i < p->num_gpus; i++)
		if (p->pdds[i].acquired)
			return true;
	return false;
}

int kfd_ioctl_SVM(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_svm_args *args = request->args;
	struct kfd_ioctl_svm_attribute attrs[MAX_ATTRS];
	uint64_t start = args->start_addr & ~(KFD_PAGE - 1);
	uint64_t size = args->size & ~(KFD_PAGE - 1);
	size_t bytes = (size_t)args->nattr * sizeof(attrs[0]);
	int err;

	if (!start || !size || start >= KFD_VA_END || size > KFD_VA_END - start)
		return -EINVAL;
	if (args->nattr > MAX_ATTRS)
		return -EINVAL;
	if (bytes && (!request->in || request->in_size < bytes))
		return -EFAULT;
	if (bytes)
		memcpy(attrs, request->in, bytes);
	if (!any_acquired(p))
		return -ENODEV;
	switch (args->op) {
	case KFD_IOCTL_SVM_OP_SET_ATTR:
		err = set_attr(p, start, start + size, attrs, args->nattr);
		break;
	case KFD_IOCTL_SVM_OP_GET_ATTR:
		err = get_attr(p, start, start + size, attrs, args->nattr);
		break;
	default:
		return -EINVAL;
	}
	if (!err && bytes) {
		if (!request->out || request->out_capacity < bytes)
			return -EFAULT;
		memcpy(request->out, attrs, bytes);
		request->out_size = bytes;
	}
	return err;
}
