/* SPDX-License-Identifier: MIT */
/*
 * queue.c - queues of any kind: life, access to rings and signals, errors.
 *
 * A queue error stops its queue for good and is reported the way KFD does: with RUNTIME_ENABLE
 * done, a bit of the error's code is set at err_payload_addr of the context save area's header and
 * the header's event is signalled; without, the queue's inactive signal gets the older bits that
 * the CP firmware reports.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include <linux/kfd_ioctl.h>

static const struct queue_kind {
	const char *name;
	enum step (*step)(struct gpu_queue *q);
	bool (*busy)(struct gpu_queue *q);
} kinds[] = {
	[GPU_QUEUE_AQL] = {"AQL", aql_step, aql_busy},
	[GPU_QUEUE_PM4] = {"PM4", pm4_queue_step, pm4_busy},
	[GPU_QUEUE_SDMA] = {"SDMA", sdma_step, sdma_busy},
};

bool queue_runs(const struct gpu_queue *q)
{
	return !q->stopped && q->desc.percent;
}

enum step queue_step(struct gpu_queue *q)
{
	enum step step;

	q->waits_pages = false;
	step = kinds[q->desc.type].step(q);
	if (!q->waits_pages)
		q->page_wait.since = 0;
	return q->waits_pages ? STEP_WAIT : step;
}

bool queue_busy(struct gpu_queue *q)
{
	return queue_runs(q) && kinds[q->desc.type].busy(q);
}

/* ------------------------------------------------------------------ memory of a queue */

bool ring_read(struct gpu_queue *q, uint64_t off, void *buf, size_t size)
{
	uint8_t *to = buf;
	uint64_t bad;

	while (size) {
		uint64_t at = off & (q->desc.ring_size - 1), len = q->desc.ring_size - at;

		if (len > size)
			len = size;
		if (!vm_copy_in(q->vm, q->desc.ring_va + at, to, len, &bad)) {
			vm_fault(q, bad, false, false);
			return false;
		}
		to += len;
		off += len;
		size -= len;
	}
	return true;
}

bool queue_store64(struct gpu_queue *q, uint64_t va, uint64_t value)
{
	uint64_t *p = vm_ptr64(q->vm, va, GPU_PROT_WRITE);

	if (!p) {
		vm_fault(q, va, true, false);
		return false;
	}
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
	return true;
}

bool queue_load64(struct gpu_queue *q, uint64_t va, uint64_t *value)
{
	uint64_t *p = vm_ptr64(q->vm, va, GPU_PROT_READ);

	if (!p) {
		vm_fault(q, va, false, false);
		return false;
	}
	*value = __atomic_load_n(p, __ATOMIC_ACQUIRE);
	return true;
}

bool queue_load32(struct gpu_queue *q, uint64_t va, uint32_t *value)
{
	uint32_t *p = vm_ptr32(q->vm, va, GPU_PROT_READ);

	if (!p) {
		vm_fault(q, va, false, false);
		return false;
	}
	*value = __atomic_load_n(p, __ATOMIC_ACQUIRE);
	return true;
}

/* Writes the signal's event id to its mailbox, if it has one, and sets the event. */
static bool signal_event(struct gpu_queue *q, uint64_t mailbox, uint32_t event)
{
	if (!mailbox)
		return true;
	if (!queue_store64(q, mailbox, event))
		return false;
	vm_signal_event(q->vm, event);
	return true;
}

bool signal_store(struct gpu_queue *q, uint64_t signal, uint64_t value)
{
	uint64_t mailbox;
	uint32_t event;

	if (!queue_load64(q, signal + SIGNAL_MAILBOX, &mailbox) ||
	    !queue_load32(q, signal + SIGNAL_EVENT, &event))
		return false;
	return queue_store64(q, signal + SIGNAL_VALUE, value) && signal_event(q, mailbox, event);
}

bool signal_find(struct gpu_queue *q, uint64_t signal, struct signal_at *at)
{
	uint64_t *signal_value = vm_ptr64(q->vm, signal + SIGNAL_VALUE, GPU_PROT_READ | GPU_PROT_WRITE);
	const uint64_t *mailbox = vm_ptr64(q->vm, signal + SIGNAL_MAILBOX, GPU_PROT_READ);
	const uint32_t *event = vm_ptr32(q->vm, signal + SIGNAL_EVENT, GPU_PROT_READ);
	uint64_t missing = signal + SIGNAL_VALUE, va;

	prefetch_write(signal_value);
	*at = (struct signal_at){
		.start = vm_ptr64(q->vm, signal + SIGNAL_START, GPU_PROT_WRITE),
		.end = vm_ptr64(q->vm, signal + SIGNAL_END, GPU_PROT_WRITE),
		.value = signal_value,
	};
	if (at->value && at->start && at->end && mailbox && event) {
		va = __atomic_load_n(mailbox, __ATOMIC_ACQUIRE);
		at->event = __atomic_load_n(event, __ATOMIC_ACQUIRE);
		at->mailbox = va ? vm_ptr64(q->vm, va, GPU_PROT_WRITE) : NULL;
		if (!va || at->mailbox)
			return true;
		missing = va;
	} else if (at->value) {
		/* It lies across the end of a page. */
		missing = signal + (!mailbox ? SIGNAL_MAILBOX : !event ? SIGNAL_EVENT : !at->start ? SIGNAL_START : SIGNAL_END);
	}
	vm_fault(q, missing, true, false);
	return false;
}

/*
 * The waiter may free the signal as soon as it sees the value, so all else of it is read before,
 * and written before, the value changes.
 */
void signal_complete(struct gpu_queue *q, const struct signal_at *at, uint64_t start, uint64_t end)
{
	__atomic_store_n(at->start, start, __ATOMIC_RELEASE);
	__atomic_store_n(at->end, end, __ATOMIC_RELEASE);
	__atomic_fetch_sub(at->value, 1, __ATOMIC_ACQ_REL);
	if (!at->mailbox)
		return;
	__atomic_store_n(at->mailbox, at->event, __ATOMIC_RELEASE);
	vm_signal_event(q->vm, at->event);
}

/* ------------------------------------------------------------------ errors */

/* Bits of the inactive signal, as ROCr's handler of kernels without RUNTIME_ENABLE knows them. */
static const struct {
	enum queue_error code;
	uint32_t legacy;
} error_bits[] = {
	{QERR_ABORT, 0x80000000},    {QERR_TRAP, 0x80000000},
	{QERR_ILLEGAL, 0x40000000},  {QERR_MEMORY, 0x20000000},
	{QERR_APERTURE, 0x20000000}, {QERR_DIM, 2},
	{QERR_GROUP_SEGMENT, 4},     {QERR_CODE, 8},
	{QERR_PACKET, 32},	     {QERR_WORKGROUP_SIZE, 64},
	{QERR_REGISTERS, 128},	     {QERR_VENDOR, 256},
	{QERR_PREEMPTION, 0x80000000},
};

void queue_stop(struct gpu_queue *q)
{
	q->stopped = true;
	sched_kill(q->vm->gpu, &q->dispatch);
}

void queue_error(struct gpu_queue *q, enum queue_error code, const char *why)
{
	struct gpu_vm *vm = q->vm;
	uint64_t kernel = q->kernel, bits = 1ull << (code - 1);

	/*
	 * ROCr has no name for a failed preemption and would call it a generic error; together with
	 * "aborted" it says that the kernel ended by an exception. Debuggers see both.
	 */
	if (code == QERR_PREEMPTION)
		bits |= 1ull << (QERR_ABORT - 1);
	log_warn("%s queue %u stopped, error %d, kernel %#llx: %s", kinds[q->desc.type].name,
		 q->desc.id, code, (unsigned long long)kernel, why);
	atomic_fetch_add(&vm->queue_errors, 1);
	queue_stop(q);
	trace_error(vm, GPU_TRACE_ERROR, q->desc.id, kernel, code);
	if (vm->num_errors < GPU_MAX_ERRORS) {
		vm->errors[vm->num_errors++] = (struct vm_error){q->desc.id, code, kernel};
		atomic_store(&vm->gpu->callbacks, 1);
	}
	q->tell_error = true;
	q->error_bits = bits;
	q->error_code = code;
	queue_tell_error(q);
}

void queue_tell_error(struct gpu_queue *q)
{
	struct gpu_vm *vm = q->vm;
	uint64_t bad;

	q->waits_pages = false;
	if (q->desc.error_events && q->desc.cwsr_va) {
		struct kfd_context_save_area_header header;
		uint64_t *payload;

		if (!vm_copy_in(vm, q->desc.cwsr_va, &header, sizeof(header), &bad)) {
			vm_fault(q, bad, false, false);
			goto out;
		}
		if (header.err_payload_addr) {
			payload = vm_ptr64(vm, header.err_payload_addr,
					   GPU_PROT_READ | GPU_PROT_WRITE);
			if (!payload) {
				vm_fault(q, header.err_payload_addr, true, false);
				goto out;
			}
			__atomic_fetch_or(payload, q->error_bits, __ATOMIC_ACQ_REL);
			vm_signal_event(vm, header.err_event_id);
		}
	} else if (q->desc.type == GPU_QUEUE_AQL) {
		uint64_t signal;

		/* amd_queue_t.queue_inactive_signal */
		if (!queue_load64(q, q->desc.read_ptr_va - 0x80 + 0xc0, &signal) || !signal)
			goto out;
		for (unsigned i = 0; i < sizeof(error_bits) / sizeof(error_bits[0]); i++) {
			if (error_bits[i].code == q->error_code)
				signal_store(q, signal, error_bits[i].legacy);
		}
	}
out:
	q->tell_error = q->waits_pages;
	if (!q->tell_error)
		q->page_wait.since = 0;
}

/* ------------------------------------------------------------------ life */

static int check_ring(const struct gpu_queue_desc *desc)
{
	uint64_t size = desc->ring_size;

	if (!desc->ring_va || (desc->ring_va & 255) || size < GPU_RING_MIN || size > GPU_RING_MAX ||
	    (size & (size - 1)))
		return -EINVAL;
	if (desc->ring_va >> GPU_VA_BITS || desc->percent > 100 || desc->priority > 15)
		return -EINVAL;
	return 0;
}

int gpu_queue_create(struct gpu_vm *vm, const struct gpu_queue_desc *desc, struct gpu_queue **queue)
{
	struct gpu *gpu = vm->gpu;
	struct gpu_queue *q;
	int ret = check_ring(desc);

	if (ret)
		return ret;
	if ((unsigned)desc->type > GPU_QUEUE_SDMA || !desc->doorbell ||
	    ((uintptr_t)desc->doorbell & 7) || !desc->write_ptr_va || (desc->write_ptr_va & 7) ||
	    !desc->read_ptr_va || (desc->read_ptr_va & 7))
		return -EINVAL;
	if (desc->type == GPU_QUEUE_AQL && desc->read_ptr_va < 0x80)
		return -EINVAL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->vm = vm;
	q->desc = *desc;
	q->dispatch.queue = q;
	q->dispatch.vm = vm;
	q->dispatch.priority = desc->priority;
	q->doorbell_seen = __atomic_load_n(desc->doorbell, __ATOMIC_ACQUIRE);
	gpu_queue_set_cu_mask(q, NULL, 0);

	gpu_lock(gpu);
	if (gpu->num_queues >= GPU_MAX_QUEUES)
		ret = -ENOSPC;
	else
		ret = sched_add_queue(gpu, vm, vm->num_queues + 1);
	if (!ret)
		ret = threads_start(gpu);
	if (!ret) {
		if (vm->suspended)
			q->dispatch.halt = 1;
		if (!desc->percent)
			q->dispatch.halt++;
		q->next = vm->queues;
		vm->queues = q;
		vm->num_queues++;
		gpu->num_queues++;
		vm->awake = true;
		vm->idle_called = false;
		vm->last_active = now_ns();
	}
	gpu_unlock(gpu);
	if (ret) {
		free(q);
		return ret;
	}
	cp_kick(gpu);
	*queue = q;
	return 0;
}

/* gpu->lock held, q out of its vm's list. */
void queue_free(struct gpu_queue *q)
{
	sched_kill(q->vm->gpu, &q->dispatch);
	copy_flush(q, UINT64_MAX);
	q->vm->num_queues--;
	q->vm->gpu->num_queues--;
	free(q);
}

void gpu_queue_destroy(struct gpu_queue *queue)
{
	struct gpu *gpu = queue->vm->gpu;

	gpu_lock(gpu);
	for (struct gpu_queue **p = &queue->vm->queues; *p; p = &(*p)->next) {
		if (*p == queue) {
			*p = queue->next;
			break;
		}
	}
	queue_free(queue);
	gpu_unlock(gpu);
}

int gpu_queue_update(struct gpu_queue *queue, const struct gpu_queue_desc *desc)
{
	struct gpu *gpu = queue->vm->gpu;
	int ret = check_ring(desc);

	if (ret)
		return ret;
	gpu_lock(gpu);
	if (queue->desc.percent && !desc->percent)
		sched_halt(gpu, &queue->dispatch);
	if (!queue->desc.percent && desc->percent)
		sched_unhalt(gpu, &queue->dispatch);
	queue->desc.ring_va = desc->ring_va;
	queue->desc.ring_size = desc->ring_size;
	queue->desc.percent = desc->percent;
	queue->desc.priority = desc->priority;
	sched_set_priority(gpu, &queue->dispatch, desc->priority);
	queue->vm->awake = true;
	queue->vm->idle_called = false;
	queue->vm->last_active = now_ns();
	gpu_unlock(gpu);
	cp_kick(gpu);
	return 0;
}

void gpu_queue_set_cu_mask(struct gpu_queue *queue, const uint32_t *mask, unsigned bits)
{
	struct gpu *gpu = queue->vm->gpu;
	uint8_t cu[64];
	unsigned num = 0;

	for (unsigned i = 0; mask && i < gpu->props.num_cu && i < bits; i++) {
		if (mask[i / 32] >> (i % 32) & 1)
			cu[num++] = i;
	}
	if (!num) {
		for (num = 0; num < gpu->props.num_cu; num++)
			cu[num] = num;
	}
	/* Running waves read these when they start: change them while nothing runs. */
	gpu_lock(gpu);
	sched_halt(gpu, &queue->dispatch);
	memcpy(queue->cu, cu, num);
	queue->num_cu = num;
	sched_set_cus(gpu, &queue->dispatch, num);
	sched_unhalt(gpu, &queue->dispatch);
	gpu_unlock(gpu);
}
