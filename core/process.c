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
	struct kfd_process *p = ctx;

	if (p->device->config.ops->signal_event)
		p->device->config.ops->signal_event(p->ctx, event_id);
}

static int read_code(void *ctx, uint64_t va, void *buf, size_t size)
{
	struct kfd_process *p = ctx;

	return gpu_vm_read(p->vm, va, buf, size);
}

/* Called by GPU threads: the vm can't go away meanwhile. */
static void report(struct kfd_process *p, struct kfd_fault *fault)
{
	fault->pid = p->pid;
	fault->process = p->name;
	kernel_name(read_code, p, fault->kernel, fault->kernel_name, sizeof(fault->kernel_name));
	if (p->device->config.ops->report)
		p->device->config.ops->report(p->device->config.ctx, fault);
}

static void on_queue_error(void *ctx, uint32_t queue, unsigned code, uint64_t kernel)
{
	struct kfd_process *p = ctx;
	struct kfd_fault f = {.queue = queue, .code = code, .kernel = kernel};

	report(p, &f);
	log_warn("%s[%u]: queue %u stopped by error %u%s%s", p->name, p->pid, queue, code,
		 f.kernel_name[0] ? " in kernel " : "", f.kernel_name);
	if (queue < KFD_MAX_QUEUES && atomic_load(&p->mute[queue]) &&
	    p->device->config.ops->hw_exception)
		p->device->config.ops->hw_exception(p->ctx, KFD_HW_EXCEPTION_PER_ENGINE_RESET,
						    KFD_HW_EXCEPTION_GPU_HANG);
}

static void on_fault(void *ctx, const struct gpu_memory_fault *fault)
{
	struct kfd_process *p = ctx;
	struct kfd_fault f = {.queue = fault->queue, .memory = *fault, .kernel = fault->kernel};

	report(p, &f);
	log_warn("%s[%u]: GPU memory fault at 0x%llx (%s)%s%s", p->name, p->pid,
		 (unsigned long long)fault->va,
		 fault->no_execute  ? "not executable"
		 : fault->read_only ? "read only"
				    : "not present",
		 f.kernel_name[0] ? " in kernel " : "", f.kernel_name);
	if (p->device->config.ops->memory_fault)
		p->device->config.ops->memory_fault(p->ctx, fault);
}

static int on_page_request(void *ctx, uint64_t va, uint64_t size, unsigned prot)
{
	struct kfd_process *p = ctx;

	if (va < KFD_VA_START || va >= KFD_VA_END)
		return -EFAULT;
	if (size > KFD_VA_END - va)
		size = KFD_VA_END - va;
	return p->device->config.ops->page_request(p->ctx, va, size, prot);
}

static void on_idle(void *ctx)
{
	struct kfd_process *p = ctx;

	if (p->device->config.ops->idle)
		p->device->config.ops->idle(p->ctx);
}

static const struct gpu_vm_ops vm_ops = {
	.signal_event = on_signal,
	.memory_fault = on_fault,
	.queue_error = on_queue_error,
	.page_request = on_page_request,
	.idle = on_idle,
};

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
	err = gpu_vm_create(device->config.gpu, &vm_ops, p, &p->vm);
	if (err)
		goto fail;
	gpu_vm_set_owner(p->vm, pid);
	gpu_vm_set_apertures(p->vm, KFD_LDS_BASE, KFD_SCRATCH_BASE);

	pthread_mutex_lock(&device->lock);
	if (device->slots[slot]) {
		err = -EBUSY;
	} else {
		/* Nothing of a former owner of the slot rings a new queue. */
		memset((uint8_t *)device->config.doorbells + (size_t)slot * HSV_DOORBELL_SLOT, 0,
		       HSV_DOORBELL_SLOT);
		device->slots[slot] = p;
		device->num_processes++;
	}
	pthread_mutex_unlock(&device->lock);
	if (err) {
		gpu_vm_destroy(p->vm);
		goto fail;
	}
	log_info("process %s[%u] in slot %u", p->name, pid, slot);
	*process = p;
	return 0;
fail:
	pthread_mutex_destroy(&p->lock);
	free(p);
	return err;
}

void kfd_process_destroy(struct kfd_process *process)
{
	struct kfd_device *d = process->device;
	struct gpu_vm_stats s;

	pthread_mutex_lock(&process->lock);
	queues_destroy_all(process);
	gpu_vm_get_stats(process->vm, &s);
	pthread_mutex_lock(&d->lock);
	process->ended = true;
	d->num_processes--;
	d->past.dispatches += s.dispatches;
	d->past.packets += s.packets + s.sdma_packets;
	d->past.gpu_ns += s.gpu_ns;
	d->past.faults += s.faults;
	d->past.queue_errors += s.queue_errors;
	d->past.page_requests += s.page_requests;
	d->past.requested_pages += s.requested_pages;
	pthread_mutex_unlock(&d->lock);
	gpu_vm_destroy(process->vm);
	memory_free_all(process);
	pthread_mutex_unlock(&process->lock);
	/* In its slot until here, so that a revoke waits for it. */
	pthread_mutex_lock(&d->lock);
	while (process->pins)
		pthread_cond_wait(&d->unpinned, &d->lock);
	d->slots[process->slot] = NULL;
	pthread_mutex_unlock(&d->lock);
	if (s.page_requests)
		log_info("process %s[%u]: %llu page requests for %llu pages", process->name, process->pid,
			 (unsigned long long)s.page_requests, (unsigned long long)s.requested_pages);
	log_info("process %s[%u] ended", process->name, process->pid);
	pthread_mutex_destroy(&process->lock);
	free(process);
}

int kfd_process_parked(struct kfd_process *process)
{
	return gpu_vm_park(process->vm) ? 0 : -EAGAIN;
}

void kfd_process_unpark(struct kfd_process *process)
{
	gpu_vm_wake(process->vm);
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
		found = kernel_name(read_code, p, va, name, size);
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_lock(&device->lock);
	if (!--p->pins)
		pthread_cond_broadcast(&device->unpinned);
	pthread_mutex_unlock(&device->lock);
	return found;
}
