// SPDX-License-Identifier: MIT
/*
 * queues.c - user-mode queues: CREATE_QUEUE, UPDATE_QUEUE, DESTROY_QUEUE and their kin.
 *
 * As on gfx9, a queue's doorbell is 8 bytes in the process's 8 KiB of doorbells; the queue id is
 * its index. Ring, pointers and save area must be in memory that is mapped for the GPU when the
 * queue is made (as amdkfd of 6.12 demands); later unmapping is a GPU memory fault.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define MIN_RING    1024u /* bytes */
#define CWSR_HEADER 64u

static bool user_range(uint64_t addr, uint64_t size)
{
	return addr < KFD_VA_END && size <= KFD_VA_END - addr;
}

static int check_percent_priority(uint32_t percentage, uint32_t priority)
{
	/* Bits 8-15 name the XCC for PM4, of which there is one. */
	if ((percentage & 0xff) > KFD_MAX_QUEUE_PERCENTAGE || percentage > 0xffff)
		return -EINVAL;
	return priority > KFD_MAX_QUEUE_PRIORITY ? -EINVAL : 0;
}

static int check_ring(uint64_t base, uint32_t size)
{
	if (size & (size - 1))
		return -EINVAL;
	if (!user_range(base, size))
		return -EFAULT;
	return 0;
}

static const struct {
	enum gpu_queue_type gpu;
	bool sdma;
} types[] = {
	[KFD_IOC_QUEUE_TYPE_COMPUTE] = {GPU_QUEUE_PM4, false},
	[KFD_IOC_QUEUE_TYPE_SDMA] = {GPU_QUEUE_SDMA, true},
	[KFD_IOC_QUEUE_TYPE_COMPUTE_AQL] = {GPU_QUEUE_AQL, false},
	[KFD_IOC_QUEUE_TYPE_SDMA_XGMI] = {GPU_QUEUE_SDMA, true},
};

static int take_queue(struct kfd_node *n, bool sdma)
{
	uint32_t most = n->props->num_sdma_engines * n->props->sdma_queues_per_engine;
	int err = 0;

	pthread_mutex_lock(&n->device->lock);
	if (sdma && n->sdma_queues >= most) {
		err = -ENOMEM;
	} else {
		n->sdma_queues += sdma;
		n->queues++;
	}
	pthread_mutex_unlock(&n->device->lock);
	return err;
}

static void give_queue(struct kfd_node *n, bool sdma)
{
	pthread_mutex_lock(&n->device->lock);
	n->sdma_queues -= sdma;
	n->queues--;
	pthread_mutex_unlock(&n->device->lock);
}

/* pdd: NULL if there is no such GPU. */
static int check_create(struct kfd_process_device *pdd, const struct kfd_ioctl_create_queue_args *args)
{
	int err = check_percent_priority(args->queue_percentage, args->queue_priority);
	uint32_t align = args->queue_type == KFD_IOC_QUEUE_TYPE_COMPUTE ? 4 : 8;

	if (!err)
		err = check_ring(args->ring_base_address, args->ring_size);
	if (err)
		return err;
	if (!user_range(args->read_pointer_address, 8) ||
	    !user_range(args->write_pointer_address, 8) ||
	    !user_range(args->eop_buffer_address, args->eop_buffer_size) ||
	    !user_range(args->ctx_save_restore_address, args->ctx_save_restore_size))
		return -EFAULT;
	if (args->queue_type >= sizeof(types) / sizeof(types[0]))
		return -KFD_ENOTSUPP;
	if (!pdd)
		return -EINVAL;
	if (!pdd->acquired)
		return -ESRCH;
	if (args->ring_size < MIN_RING || args->ring_base_address & 255 ||
	    args->write_pointer_address % align || args->read_pointer_address % align)
		return -EINVAL;
	if (!memory_is_mapped(pdd, args->ring_base_address, args->ring_size) ||
	    !memory_is_mapped(pdd, args->write_pointer_address, align) ||
	    !memory_is_mapped(pdd, args->read_pointer_address, align))
		return -EINVAL;
	if (args->eop_buffer_size &&
	    !memory_is_mapped(pdd, args->eop_buffer_address, args->eop_buffer_size))
		return -EINVAL;
	if (args->ctx_save_restore_address &&
	    (args->ctx_save_restore_address & 7 || args->ctx_save_restore_size < CWSR_HEADER ||
	     !memory_is_mapped(pdd, args->ctx_save_restore_address, args->ctx_save_restore_size)))
		return -EINVAL;
	return 0;
}

int kfd_ioctl_CREATE_QUEUE(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_create_queue_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);
	struct kfd_queue *q;
	uint32_t id;
	int err = check_create(pdd, args);

	if (err)
		return err;
	for (id = 0; id < KFD_MAX_QUEUES && p->queues[id]; id++)
		;
	if (id == KFD_MAX_QUEUES)
		return -ENOMEM;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->pdd = pdd;
	q->type = args->queue_type;
	q->sdma = types[q->type].sdma;
	q->desc = (struct gpu_queue_desc){
		.type = types[q->type].gpu,
		.id = id,
		.ring_va = args->ring_base_address,
		.ring_size = args->ring_size,
		.write_ptr_va = args->write_pointer_address,
		.read_ptr_va = args->read_pointer_address,
		.doorbell = (volatile uint64_t *)pdd_doorbells(pdd) + id,
		.cwsr_va = args->ctx_save_restore_address,
		.percent = args->queue_percentage & 0xff,
		.priority = args->queue_priority,
		.error_events = p->runtime_enabled,
	};
	err = take_queue(pdd->node, q->sdma);
	if (err)
		goto free_queue;
	*q->desc.doorbell = 0;
	atomic_store(&p->mute[id],
		     q->desc.type != GPU_QUEUE_AQL && !(q->desc.error_events && q->desc.cwsr_va));
	err = gpu_queue_create(pdd->vm, &q->desc, &q->gpu);
	if (err) {
		give_queue(pdd->node, q->sdma);
		err = err == -ENOSPC ? -ENOMEM : err;
		goto free_queue;
	}
	p->queues[id] = q;
	p->num_queues++;
	args->queue_id = id;
	args->doorbell_offset = 3ull << 62 | (uint64_t)pdd->node->config.gpu_id << 46 | id * 8;
	pdd_wake(pdd);
	return 0;
free_queue:
	free(q);
	return err;
}

static struct kfd_queue *queue_by_id(struct kfd_process *p, uint32_t id)
{
	return id < KFD_MAX_QUEUES ? p->queues[id] : NULL;
}

static void queue_destroy(struct kfd_process *p, uint32_t id)
{
	struct kfd_queue *q = p->queues[id];

	gpu_queue_destroy(q->gpu);
	give_queue(q->pdd->node, q->sdma);
	p->queues[id] = NULL;
	p->num_queues--;
	free(q);
}

void queues_destroy_all(struct kfd_process *p)
{
	for (uint32_t id = 0; id < KFD_MAX_QUEUES; id++)
		if (p->queues[id])
			queue_destroy(p, id);
}

int kfd_ioctl_DESTROY_QUEUE(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_destroy_queue_args *args = request->args;

	if (!queue_by_id(p, args->queue_id))
		return -EINVAL;
	queue_destroy(p, args->queue_id);
	return 0;
}

int kfd_ioctl_UPDATE_QUEUE(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_update_queue_args *args = request->args;
	struct kfd_queue *q;
	struct gpu_queue_desc desc;
	int err = check_percent_priority(args->queue_percentage, args->queue_priority);

	if (!err)
		err = check_ring(args->ring_base_address, args->ring_size);
	if (err)
		return err;
	q = queue_by_id(p, args->queue_id);
	if (!q)
		return -EFAULT;
	desc = q->desc;
	desc.percent = args->queue_percentage & 0xff;
	desc.priority = args->queue_priority;
	if (!args->ring_base_address || !args->ring_size) {
		desc.percent = 0; /* how the thunk disables a queue */
	} else {
		desc.ring_va = args->ring_base_address;
		desc.ring_size = args->ring_size;
		if (desc.ring_size < MIN_RING || desc.ring_va & 255)
			return -EINVAL;
		if (!memory_is_mapped(q->pdd, desc.ring_va, desc.ring_size))
			return -EFAULT;
	}
	err = gpu_queue_update(q->gpu, &desc);
	if (err)
		return err;
	q->desc = desc;
	pdd_wake(q->pdd);
	return 0;
}

int kfd_ioctl_SET_CU_MASK(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_set_cu_mask_args *args = request->args;
	uint32_t mask[1024 / 32];
	struct kfd_queue *q;

	if (!args->num_cu_mask || args->num_cu_mask % 32)
		return -EINVAL;
	if (args->num_cu_mask > 1024)
		args->num_cu_mask = 1024; /* as amdkfd cuts it */
	if (!request->in || request->in_size < args->num_cu_mask / 8)
		return -EFAULT;
	memcpy(mask, request->in, args->num_cu_mask / 8);
	q = queue_by_id(p, args->queue_id);
	if (!q)
		return -EFAULT;
	gpu_queue_set_cu_mask(q->gpu, mask, args->num_cu_mask);
	return 0;
}

/* Wave state can be read only from a context save area, and the GPU saves no waves there. */
int kfd_ioctl_GET_QUEUE_WAVE_STATE(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_get_queue_wave_state_args *args = request->args;

	return queue_by_id(p, args->queue_id) ? -EINVAL : -EFAULT;
}

/*
 * Gives all of the process's global wave sync to a queue, or takes it back (num_gws 0). As with amdkfd, one queue of a process and GPU has it at a time. The GPU
 * itself does not look: its waves can always use what their process has.
 */
int kfd_ioctl_ALLOC_QUEUE_GWS(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_alloc_queue_gws_args *args = request->args;
	struct kfd_queue *q = queue_by_id(p, args->queue_id);

	if (!q)
		return -EINVAL;
	if (!args->num_gws && !q->gws)
		return -EINVAL;
	for (uint32_t id = 0; args->num_gws && id < KFD_MAX_QUEUES; id++)
		if (p->queues[id] && p->queues[id]->pdd == q->pdd && p->queues[id]->gws)
			return -EBUSY;
	q->gws = args->num_gws;
	args->first_gws = 0;
	return 0;
}
