/* SPDX-License-Identifier: MIT */
/* paging.h - what pageable memory costs a GPU process: figures beside those of gpu_vm_get_stats(). */
#ifndef GPU_PAGING_H
#define GPU_PAGING_H

#include <stdint.h>

struct gpu_vm;

struct gpu_paging {
	uint64_t waits;	       /* instructions and packets that had to wait for pages; each once, however long */
	uint64_t invalidations; /* how often pages that the GPU saw were taken from it */
	uint64_t pages_taken;  /* and how many */
};
void gpu_vm_get_paging(struct gpu_vm *vm, struct gpu_paging *paging);

#endif
