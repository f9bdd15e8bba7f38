// SPDX-License-Identifier: MIT
/*
 * process.c - a GPU process: its birth with an empty GPU address space, its end, its doorbell
 * page's parking.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/kernel_name.h"

static void on_signal(void *ctx, uint32_t event_id)
{
	struct kfd_process *p = ((struct kfd_process_device *)ctx)->process;

	if (p->device->config.ops->signal_event)
		p->device->config.ops->signal_event(p->ctx, event_id);
}

static int read_code(void *ctx, uint64_t va, void *buf, size_t size)
{
	return gpu_vm_read(((struct kfd_process_device *)ctx)->vm, va, buf, size);
}

/* Called by GPU threads: the vm can't go away meanwhile. */
static void report(struct kfd_process_device *pdd, struct kfd_fault *fault)
{
	struct kfd_process *p = pdd->process;

	fault->gpu_id = pdd->node->config.gpu_id;
	fault->pid = p->pid;
	fault->process = p->name;
	kernel_name(read_code, pdd, fault->kernel, fault->kernel_name, sizeof(fault->kernel_name));
	if (p->device->config.ops->report)
		p->device->config.ops->report(pdd->node->config.ctx, fault);
}

static void on_queue_error(void *ctx, uint32_t queue, unsigned code, uint64_t kernel)
{
	struct kfd_process_device *pdd = ctx;
	struct kfd_process *p = pdd->process;
	struct kfd_fault f = {.queue = queue, .code = code, .kernel = kernel};

	report(pdd, &f);
	log_warn("%s[%u]: queue %u stopped by error %u%s%s", p->name, p->pid, queue, code,
		 f.kernel_name[0] ? " in kernel " : "", f.kernel_name);
	if (queue < KFD_MAX_QUEUES && atomic_load(&p->mute[queue]) &&
	    p->device->config.ops->hw_exception)
		p->device->config.ops->hw_exception(p->ctx, f.gpu_id, KFD_HW_EXCEPTION_PER_ENGINE_RESET,
						    KFD_HW_EXCEPTION_GPU_HANG);
}

static void on_fault(void *ctx, const struct gpu_memory_fault *fault)
{
	struct kfd_process_device *pdd = ctx;
	struct kfd_process *p = pdd->process;
	struct kfd_fault f = {.queue = fault->queue, .memory = *fault, .kernel = fault->kernel};

	report(pdd, &f);
	log_warn("%s[%u]: GPU memory fault at 0x%llx (%s)%s%s", p->name, p->pid,
		 (unsigned long long)fault->va,
		 fault->no_execute  ? "not executable"
		 : fault->read_only ? "read only"
				    : "not present",
		 f.kernel_name[0] ? " in kernel " : "", f.kernel_name);
	if (p->device->config.ops->memory_fault)
		p->device->config.ops->memory_fault(p->ctx, f.gpu_id, fault);
}

static int on_page_request(void *ctx, uint64_t va, uint64_t size, unsigned prot)
{
	struct kfd_process *p = ((struct kfd_process_device *)ctx)->process;

	if (va < KFD_VA_START || va >= KFD_VA_END)
		return -EFAULT;
	if (size > KFD_VA_END - va)
		size = KFD_VA_END - va;
	return p->device->config.ops->page_request(p->ctx, va, size, prot);
}

/* Tells the front end if the process is idle: on all its GPUs. */
static void tell_idle(struct kfd_process *p)
{
	uint32_t all = atomic_load(&p->polled);

	if ((atomic_load(&p->idle) & all) == all && p->device->config.ops->idle)
		p->device->config.ops->idle(p->ctx);
}

/* A GPU that has got work since it said so is found when it is to be parked. */
static void on_idle(void *ctx)
{
	struct kfd_process_device *pdd = ctx;

	atomic_fetch_or(&pdd->process->idle, pdd_bit(pdd));
	tell_idle(pdd->process);
}

static const struct gpu_vm_ops vm_ops = {
	.signal_event = on_signal,
	.memory_fault = on_fault,
	.queue_error = on_queue_error,
	.page_request = on_page_request,
	.idle = on_idle,
};

static int make_vms(struct kfd_process *p)
{
	struct kfd_device *d = p->device;

	for (uint32_t i = 0; i < d->config.num_gpus; i++) {
		struct kfd_process_device *pdd = &p->pdds[i];
		int err;

		pdd->process = p;
		pdd->node = &d->nodes[i];
		err = gpu_vm_create(pdd->node->config.gpu, &vm_ops, pdd, &pdd->vm);
		if (err)
			return err;
		gpu_vm_set_owner(pdd->vm, p->pid);
		gpu_vm_set_apertures(pdd->vm, KFD_LDS_BASE, KFD_SCRATCH_BASE);
		p->num_gpus++;
	}
	return 0;
}

static void destroy_vms(struct kfd_process *p)
{
	for (uint32_t i = 0; i < p->num_gpus; i++)
		gpu_vm_destroy(p->pdds[i].vm);
}

uint8_t *pdd_doorbells(const struct kfd_process_device *pdd)
{
	return (uint8_t *)pdd->node->config.doorbells + (size_t)pdd->process->slot * HSV_DOORBELL_SLOT;
}

void pdd_wake(struct kfd_process_device *pdd)
{
	struct kfd_process *p = pdd->process;

	atomic_fetch_or(&p->polled, pdd_bit(pdd));
	atomic_fetch_and(&p->idle, ~pdd_bit(pdd));
	gpu_vm_wake(pdd->vm);
}

struct kfd_process_device *pdd_by_id(struct kfd_process *p, uint64_t gpu_id)
{
	for (uint32_t i = 0; i < p->num_gpus; i++)
		if (p->pdds[i].node->config.gpu_id == gpu_id)
			return &p->pdds[i];
	return NULL;
}

void process_suspend(struct kfd_process *p)
{
	for (uint32_t i = 0; i < p->num_gpus; i++)
		gpu_vm_suspend(p->pdds[i].vm);
}

void process_resume(struct kfd_process *p)
{
	for (uint32_t i = 0; i < p->num_gpus; i++)
		gpu_vm_resume(p->pdds[i].vm);
}

int kfd_process_create(struct kfd_device *device, uint32_t slot, void *process_ctx, uint32_t pid,
		       const char *name, struct kfd_process **process)
{
	struct kfd_process *p;
	int err;

	if (slot >= device->config.max_processes)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->device = device;
	p->ctx = process_ctx;
	p->slot = slot;
	p->pid = pid;
	snprintf(p->name, sizeof(p->name), "%s", name ? name : "?");
	/* A program's name goes to the log: keep it printable. */
	for (char *c = p->name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	pthread_mutex_init(&p->lock, NULL);
	err = make_vms(p);
	if (err)
		goto fail;

	pthread_mutex_lock(&device->lock);
	if (device->slots[slot]) {
		err = -EBUSY;
	} else {
		/* Nothing of a former owner of the slot rings a new queue. */
		for (uint32_t i = 0; i < p->num_gpus; i++)
			memset(pdd_doorbells(&p->pdds[i]), 0, HSV_DOORBELL_SLOT);
		device->slots[slot] = p;
		device->num_processes++;
	}
	pthread_mutex_unlock(&device->lock);
	if (err)
		goto fail;
	log_info("process %s[%u] in slot %u", p->name, pid, slot);
	*process = p;
	return 0;
fail:
	destroy_vms(p);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return err;
}

void kfd_process_destroy(struct kfd_process *process)
{
	struct kfd_device *d = process->device;
	uint64_t requests = 0, pages = 0;

	pthread_mutex_lock(&process->lock);
	queues_destroy_all(process);
	pthread_mutex_lock(&d->lock);
	process->ended = true;
	d->num_processes--;
	for (uint32_t i = 0; i < process->num_gpus; i++) {
		struct kfd_stats s = vm_stats(process->pdds[i].vm);

		node_process_ended(process->pdds[i].node, &s);
		requests += s.page_requests;
		pages += s.requested_pages;
	}
	pthread_mutex_unlock(&d->lock);
	destroy_vms(process);
	memory_free_all(process);
	pthread_mutex_unlock(&process->lock);
	/* In its slot until here, so that a revoke waits for it. */
	pthread_mutex_lock(&d->lock);
	while (process->pins)
		pthread_cond_wait(&d->unpinned, &d->lock);
	d->slots[process->slot] = NULL;
	pthread_mutex_unlock(&d->lock);
	if (requests)
		log_info("process %s[%u]: %llu page requests for %llu pages", process->name, process->pid,
			 (unsigned long long)requests, (unsigned long long)pages);
	log_info("process %s[%u] ended", process->name, process->pid);
	pthread_mutex_destroy(&process->lock);
	free(process);
}

int kfd_process_parked(struct kfd_process *process)
{
	int err = 0;

	for (uint32_t i = 0; i < process->num_gpus; i++) {
		struct kfd_process_device *pdd = &process->pdds[i];

		if (!(atomic_load(&process->polled) & pdd_bit(pdd)))
			continue;
		/* One that can't be parked says idle again, maybe at once. */
		atomic_fetch_and(&process->idle, ~pdd_bit(pdd));
		if (gpu_vm_park(pdd->vm))
			atomic_fetch_or(&process->idle, pdd_bit(pdd));
		else
			err = -EAGAIN;
	}
	/* That one may have said so while another was being parked. */
	if (err)
		tell_idle(process);
	return err;
}

void kfd_process_unpark(struct kfd_process *process)
{
	for (uint32_t i = 0; i < process->num_gpus; i++)
		if (atomic_load(&process->polled) & pdd_bit(&process->pdds[i]))
			pdd_wake(&process->pdds[i]);
}

bool kfd_device_kernel_name(struct kfd_device *device, uint32_t pid, uint64_t va, char *name,
			    size_t size)
{
	struct kfd_process *p = NULL;
	bool found = false;

	name[0] = 0;
	pthread_mutex_lock(&device->lock);
	for (uint32_t i = 0; i < device->config.max_processes && !p; i++)
		if (device->slots[i] && device->slots[i]->pid == pid && !device->slots[i]->ended)
			p = device->slots[i];
	if (p)
		p->pins++;
	pthread_mutex_unlock(&device->lock);
	if (!p)
		return false;
	/* Its vm lives as long as it isn't ended, which the lock keeps so. */
	pthread_mutex_lock(&p->lock);
	if (!p->ended)
		for (uint32_t i = 0; i < p->num_gpus && !found; i++)
			found = kernel_name(read_code, &p->pdds[i], va, name, size);
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_lock(&device->lock);
	if (!--p->pins)
		pthread_cond_broadcast(&device->unpinned);
	pthread_mutex_unlock(&device->lock);
	return found;
}
