// SPDX-License-Identifier: MIT
/*
 * backlog.c - how many packets wait in the queues, for listings; and what compiling took.
 *
 * Queues are programs' memory, so the figure is what their write pointers claim, bounded by their
 * rings. Of PM4 and SDMA queues only bytes are known: one that has any counts as one packet.
 */
#include "gpu/soft/cp/cp.h"

#define BACKLOG_NS 100000000u /* between two looks */

static uint64_t backlog_of(struct gpu_queue *q)
{
	uint64_t most = q->desc.ring_size / 64, written, *p;

	if (!queue_runs(q))
		return 0;
	if (q->desc.type != GPU_QUEUE_AQL)
		return __atomic_load_n(q->desc.doorbell, __ATOMIC_RELAXED) > q->rptr;
	p = vm_ptr64(q->vm, q->desc.write_ptr_va, GPU_PROT_READ);
	if (!p)
		return 0;
	written = __atomic_load_n(p, __ATOMIC_RELAXED);
	if (written <= q->rptr)
		return 0;
	return written - q->rptr < most ? written - q->rptr : most;
}

void backlog_count(struct gpu *gpu, uint64_t now, bool at_once)
{
	uint64_t sum = 0;

	if (!gpu->backlog || (!at_once && now - gpu->backlog_at < BACKLOG_NS))
		return;
	gpu->backlog_at = now;
	if (gpu->compile_ns)
		atomic_store_explicit(gpu->compile_ns, exec_compile_ns(), memory_order_relaxed);
	for (struct gpu_vm *vm = gpu->vms; vm; vm = vm->next) {
		pthread_rwlock_rdlock(&vm->map_lock);
		for (struct gpu_queue *q = vm->queues; q; q = q->next)
			sum += backlog_of(q);
		pthread_rwlock_unlock(&vm->map_lock);
	}
	atomic_store_explicit(gpu->backlog, sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX,
			      memory_order_relaxed);
}
