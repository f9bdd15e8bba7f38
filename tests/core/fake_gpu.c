// SPDX-License-Identifier: MIT
/* fake_gpu.c - see fake_gpu.h. One vm's mappings in an array; checks its own contract with assert.
 */
#include "gpu/paging.h"
#include "tests/core/fake_gpu.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MAPS 4096

struct gpu {
	int unused;
};
struct gpu_vm {
	struct {
		uint64_t va, size;
		uint8_t *host;
		unsigned prot;
	} maps[MAX_MAPS];
	int n;
};
struct gpu_queue {
	struct gpu_vm *vm;
};

struct fake_state fake;
static struct gpu the_gpu;
static struct gpu_vm *last_vm;

int gpu_open(const struct gpu_config *config, struct gpu **gpu)
{
	*gpu = &the_gpu;
	return 0;
}

void gpu_close(struct gpu *gpu)
{
}

const struct gpu_properties *gpu_properties(const struct gpu *gpu)
{
	static const struct gpu_properties props = {
		.target = "gfx90a",
		.name = "aldebaran",
		.gfx_target_version = 90010,
		.pci_device_id = 0x740f,
		.num_cu = 4,
		.simd_per_cu = 4,
		.max_waves_per_simd = 8,
		.wave_size = 64,
		.lds_kb = 64,
		.num_sdma_engines = 2,
		.sdma_queues_per_engine = 2,
		.num_compute_queues = 24,
		.num_xcc = 1,
		.clock_hz = 100000000,
	};

	return &props;
}

uint64_t gpu_clock(const struct gpu *gpu)
{
	return 12345;
}

/* fake.ctx is the latest vm's: those of a process with several GPUs have each its own. */
int gpu_vm_create(struct gpu *gpu, const struct gpu_vm_ops *ops, void *ctx, struct gpu_vm **vm)
{
	*vm = last_vm = calloc(1, sizeof(**vm));
	fake.ops = ops;
	fake.ctx = ctx;
	fake.vms++;
	return *vm ? 0 : -ENOMEM;
}

void gpu_vm_destroy(struct gpu_vm *vm)
{
	fake.vms--;
	if (last_vm == vm)
		last_vm = NULL;
	free(vm);
}

int gpu_vm_map(struct gpu_vm *vm, uint64_t va, uint64_t size, void *host, unsigned prot)
{
	assert(size && !((va | size | (uintptr_t)host) & 4095) && host);
	for (int i = 0; i < vm->n; i++)
		if (va < vm->maps[i].va + vm->maps[i].size && vm->maps[i].va < va + size && !(vm->maps[i].prot & GPU_PROT_PAGE))
			return -EEXIST;
	gpu_vm_unmap(vm, va, size);
	if (vm->n == MAX_MAPS)
		return -ENOMEM;
	vm->maps[vm->n].va = va;
	vm->maps[vm->n].size = size;
	vm->maps[vm->n].host = host;
	vm->maps[vm->n++].prot = prot;
	fake.maps++;
	return 0;
}

void gpu_vm_unmap(struct gpu_vm *vm, uint64_t va, uint64_t size)
{
	uint64_t end = va + size;

	for (int i = 0; i < vm->n; i++) {
		uint64_t a = vm->maps[i].va, b = a + vm->maps[i].size;
		uint8_t *host = vm->maps[i].host;
		unsigned prot = vm->maps[i].prot;

		if (b <= va || end <= a)
			continue;
		vm->maps[i--] = vm->maps[--vm->n];
		if (a < va)
			assert(!gpu_vm_map(vm, a, va - a, host, prot));
		if (end < b)
			assert(!gpu_vm_map(vm, end, b - end, host + (end - a), prot));
	}
}

void gpu_vm_unmap_pages(struct gpu_vm *vm, uint64_t va, uint64_t size)
{
	for (int i = 0; i < vm->n; i++) {
		uint64_t a = vm->maps[i].va, b = a + vm->maps[i].size;

		if (!(vm->maps[i].prot & GPU_PROT_PAGE) || b <= va || va + size <= a)
			continue;
		a = a < va ? va : a;
		b = b > va + size ? va + size : b;
		gpu_vm_unmap(vm, a, b - a);
		i = -1;
	}
}

void gpu_vm_unmap_pages_at(struct gpu_vm *vm, const void *host, uint64_t size)
{
	for (int i = 0; i < vm->n; i++) {
		const uint8_t *at = vm->maps[i].host;

		if (!(vm->maps[i].prot & GPU_PROT_PAGE) || at + vm->maps[i].size <= (const uint8_t *)host || at >= (const uint8_t *)host + size)
			continue;
		vm->maps[i--] = vm->maps[--vm->n];
	}
}

void gpu_vm_set_paging(struct gpu_vm *vm, unsigned most)
{
	fake.paging = most;
	if (!most)
		gpu_vm_unmap_pages(vm, 0, 1ull << 47);
}

void gpu_vm_pages_answer(struct gpu_vm *vm, uint64_t va, uint64_t size, int error)
{
	fake.answers++;
	fake.answer_va = va;
	fake.answer_size = size;
	fake.answer_error = error;
}

void *fake_translate_in(const struct gpu_vm *vm, uint64_t va, unsigned *prot)
{
	for (int i = 0; vm && i < vm->n; i++) {
		if (va < vm->maps[i].va || va >= vm->maps[i].va + vm->maps[i].size)
			continue;
		if (prot)
			*prot = vm->maps[i].prot;
		return vm->maps[i].host + (va - vm->maps[i].va);
	}
	return NULL;
}

void *fake_translate(uint64_t va, unsigned *prot)
{
	return fake_translate_in(last_vm, va, prot);
}

uint64_t fake_mapped_bytes(void)
{
	uint64_t sum = 0;

	for (int i = 0; last_vm && i < last_vm->n; i++)
		sum += last_vm->maps[i].size;
	return sum;
}

void gpu_vm_set_apertures(struct gpu_vm *vm, uint64_t shared_base, uint64_t private_base)
{
}

void gpu_vm_set_trap_handler(struct gpu_vm *vm, uint64_t tba, uint64_t tma)
{
	fake.tba = tba;
	fake.tma = tma;
}

void gpu_vm_set_owner(struct gpu_vm *vm, uint32_t pid)
{
}

void gpu_vm_suspend(struct gpu_vm *vm)
{
	fake.suspended++;
}

void gpu_vm_resume(struct gpu_vm *vm)
{
	fake.suspended--;
	assert(fake.suspended >= 0);
}

int gpu_vm_read(struct gpu_vm *vm, uint64_t va, void *buf, size_t size)
{
	return -EFAULT;
}

int gpu_vm_write(struct gpu_vm *vm, uint64_t va, const void *buf, size_t size)
{
	return -EFAULT;
}

int gpu_queue_create(struct gpu_vm *vm, const struct gpu_queue_desc *desc, struct gpu_queue **queue)
{
	*queue = calloc(1, sizeof(**queue));
	(*queue)->vm = fake.queue_vm = vm;
	fake.desc = *desc;
	fake.queues++;
	return 0;
}

void gpu_queue_destroy(struct gpu_queue *queue)
{
	fake.queues--;
	free(queue);
}

int gpu_queue_update(struct gpu_queue *queue, const struct gpu_queue_desc *desc)
{
	fake.desc = *desc;
	fake.updates++;
	return 0;
}

void gpu_queue_set_cu_mask(struct gpu_queue *queue, const uint32_t *mask, unsigned bits)
{
	assert(bits <= 1024);
	memcpy(fake.mask, mask, bits / 8);
}

void gpu_vm_wake(struct gpu_vm *vm)
{
	fake.wakes++;
}

bool gpu_vm_park(struct gpu_vm *vm)
{
	fake.parks++;
	if (fake.parking)
		fake.parking(vm);
	return fake.park_answer && vm != fake.busy_vm;
}

void gpu_vm_get_stats(struct gpu_vm *vm, struct gpu_vm_stats *stats)
{
	*stats = (struct gpu_vm_stats){.dispatches = 3, .packets = 4, .sdma_packets = 5};
}

void gpu_vm_get_paging(struct gpu_vm *vm, struct gpu_paging *paging)
{
	*paging = (struct gpu_paging){.waits = 6, .invalidations = 7, .pages_taken = 8};
}
