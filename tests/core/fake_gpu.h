/* SPDX-License-Identifier: MIT */
/*
 * fake_gpu.h - a gpu/gpu.h that executes nothing but remembers what it was told, for the core's
 * tests.
 */
#ifndef TESTS_CORE_FAKE_GPU_H
#define TESTS_CORE_FAKE_GPU_H

#include "gpu/gpu.h"

/* The latest vm, the latest queue and what happened to them. */
struct fake_state {
	const struct gpu_vm_ops *ops;
	void *ctx;
	int vms, queues, maps, suspended, wakes, parks, updates;
	bool park_answer;
	void (*parking)(struct gpu_vm *vm); /* what happens meanwhile */
	struct gpu_vm *queue_vm, *busy_vm; /* of the latest queue; one that is never parked */
	struct gpu_queue_desc desc;
	uint32_t mask[32];
	uint64_t tba, tma;
	unsigned paging; /* requests allowed at a time */
	int answers, answer_error; /* gpu_vm_pages_answer: how often, and the last one */
	uint64_t answer_va, answer_size;
};
extern struct fake_state fake;

/* Host address of va and its rights in the latest vm, or NULL. */
void *fake_translate(uint64_t va, unsigned *prot);
void *fake_translate_in(const struct gpu_vm *vm, uint64_t va, unsigned *prot);
uint64_t fake_mapped_bytes(void);

#endif
