/* SPDX-License-Identifier: MIT */
/*
 * gpu.c - the software GPU as a device, and its GPU address spaces.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

/* How long the CP thread polls before it begins to sleep between polls. */
#define SPIN_NS_DEFAULT 200000u

/*
 * How long a process has no work before it is called idle, which makes its front end park its
 * doorbells. Parking and waking cost two exits, so a program that dispatches in a loop with pauses
 * shorter than this has none; the polls of the time are rare, as the thread sleeps between them.
 */
#define PARK_NS_DEFAULT 20000000u

/* What the devices are: public product data; the number of CUs is ours. */
static const struct {
	enum isa_target target;
	struct gpu_properties props;
} models[] = {
	{ISA_GFX90A,
	 {.target = "gfx90a",
	  .name = "aldebaran",
	  .gfx_target_version = 90010,
	  .pci_device_id = 0x740f,
	  .num_cu = 8,
	  .simd_per_cu = 4,
	  .max_waves_per_simd = 8,
	  .wave_size = 64,
	  .lds_kb = 64,
	  .num_sdma_engines = 2,
	  .sdma_queues_per_engine = 8,
	  .num_compute_queues = 24,
	  .num_xcc = 1,
	  .clock_hz = 100000000}},
	{ISA_GFX900,
	 {.target = "gfx900",
	  .name = "vega10",
	  .gfx_target_version = 90000,
	  .pci_device_id = 0x6860,
	  .num_cu = 8,
	  .simd_per_cu = 4,
	  .max_waves_per_simd = 10,
	  .wave_size = 64,
	  .lds_kb = 64,
	  .num_sdma_engines = 2,
	  .sdma_queues_per_engine = 8,
	  .num_compute_queues = 24,
	  .num_xcc = 1,
	  .clock_hz = 100000000}},
};

static unsigned available_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return CPU_COUNT(&set) > 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* A time from the environment: microseconds, up to a second. */
static uint64_t env_time(const char *name, uint64_t otherwise_ns)
{
	const char *text = getenv(name);
	char *end;
	unsigned long us;

	if (!text || !*text)
		return otherwise_ns;
	us = strtoul(text, &end, 10);
	if (*end || us > 1000000) {
		log_warn("%s=%s: not a number of microseconds up to 1000000, ignored", name, text);
		return otherwise_ns;
	}
	return us * 1000;
}

void gpu_prepare(int store)
{
	exec_prepare(store);
}

int gpu_open(const struct gpu_config *config, struct gpu **out)
{
	unsigned listed = 0;
	struct gpu *gpu;

	if (!config->target || config->threads > GPU_MAX_THREADS)
		return -EINVAL;
	gpu = calloc(1, sizeof(*gpu));
	if (!gpu)
		return -ENOMEM;
	for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (!strcmp(models[i].props.target, config->target)) {
			gpu->props = models[i].props;
			gpu->target = models[i].target;
		}
	}
	if (!gpu->props.target) {
		free(gpu);
		return -EINVAL;
	}
	memcpy(gpu->cpus, config->cpus, sizeof(gpu->cpus));
	for (unsigned i = 0; i < GPU_CPU_WORDS; i++)
		listed += (unsigned)__builtin_popcountll(gpu->cpus[i]);
	gpu->num_threads = config->threads ? config->threads : listed ? listed : available_cpus();
	if (gpu->num_threads > GPU_MAX_THREADS)
		gpu->num_threads = GPU_MAX_THREADS;
	gpu->num_runners = gpu->num_threads;
	/* The CP thread never waits for a turn, so there must be a worker that does: of one thread it does only that. */
	if (config->turn && gpu->num_threads < 2)
		gpu->num_threads = 2;
	gpu->turn = config->turn;
	gpu->turn_ctx = config->turn_ctx;
	gpu->trace = config->trace;
	gpu->limits = config->limits;
	gpu->profile = config->profile;
	gpu->backlog = config->backlog;
	gpu->compile_ns = config->compile_ns;
	if (gpu->limits)
		gpu->reset_seen = atomic_load(&gpu->limits->reset_seq);
	gpu->spin_ns = env_time("HSAVISOR_SPIN_US", SPIN_NS_DEFAULT);
	gpu->park_ns = env_time("HSAVISOR_PARK_US", PARK_NS_DEFAULT);
	gpu->next_serial = 1;
	atomic_init(&gpu->max_pt_nodes, GPU_MAX_PT_NODES);
	gpu->executors = calloc(gpu->num_threads, sizeof(*gpu->executors));
	if (!gpu->executors) {
		free(gpu);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < gpu->num_threads; i++) {
		gpu->executors[i].gpu = gpu;
		gpu->executors[i].index = i;
		vm_view_init(&gpu->executors[i].view);
	}
	pthread_mutex_init(&gpu->lock, NULL);
	pthread_mutex_init(&gpu->sched_lock, NULL);
	pthread_cond_init(&gpu->callback_cond, NULL);
	pthread_cond_init(&gpu->work_cond, NULL);
	pthread_cond_init(&gpu->halt_cond, NULL);
	*out = gpu;
	return 0;
}

void gpu_close(struct gpu *gpu)
{
	if (gpu->vms)
		log_error("GPU closed with GPU processes alive");
	threads_stop(gpu);
	pthread_cond_destroy(&gpu->halt_cond);
	pthread_cond_destroy(&gpu->work_cond);
	pthread_cond_destroy(&gpu->callback_cond);
	pthread_mutex_destroy(&gpu->sched_lock);
	pthread_mutex_destroy(&gpu->lock);
	heap_free(&gpu->ready);
	free(gpu->executors);
	free(gpu);
}

const struct gpu_properties *gpu_properties(const struct gpu *gpu)
{
	return &gpu->props;
}

uint64_t clock_at(const struct gpu *gpu, uint64_t ns)
{
	return ns / (1000000000u / gpu->props.clock_hz);
}

uint64_t gpu_clock(const struct gpu *gpu)
{
	return clock_at(gpu, now_ns());
}

void gpu_lock(struct gpu *gpu)
{
	atomic_fetch_add(&gpu->waiters, 1);
	pthread_mutex_lock(&gpu->lock);
	if (atomic_fetch_sub(&gpu->waiters, 1) == 1 && atomic_load(&gpu->cp_gated))
		syscall(SYS_futex, &gpu->waiters, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void gpu_unlock(struct gpu *gpu)
{
	pthread_mutex_unlock(&gpu->lock);
}

/* ------------------------------------------------------------------ GPU address spaces */

int gpu_vm_create(struct gpu *gpu, const struct gpu_vm_ops *ops, void *ctx, struct gpu_vm **out)
{
	struct gpu_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	vm->gpu = gpu;
	vm->ops = ops;
	vm->ctx = ctx;
	atomic_init(&vm->shared_base, 1ull << 48);
	atomic_init(&vm->private_base, 2ull << 48);
	vm->code = code_cache_new(gpu->target);
	if (!vm->code)
		goto no_code;
	if (vm_table_init(vm))
		goto no_table;
	if (gpu->profile) {
		vm->profile = profile_new(vm);
		if (!vm->profile)
			goto no_profile;
	}
	pthread_mutex_init(&vm->event_lock, NULL);
	pager_init(vm);
	gpu_lock(gpu);
	vm->serial = gpu->next_serial++;
	vm->next = gpu->vms;
	gpu->vms = vm;
	gpu_unlock(gpu);
	*out = vm;
	return 0;
no_profile:
	vm_table_free(vm);
no_table:
	code_cache_free(vm->code);
no_code:
	free(vm);
	return -ENOMEM;
}

void vm_halt_waves(struct gpu_vm *vm)
{
	for (struct gpu_queue *q = vm->queues; q; q = q->next)
		sched_halt_begin(vm->gpu, &q->dispatch);
	for (struct gpu_queue *q = vm->queues; q; q = q->next)
		sched_halt_wait(vm->gpu, &q->dispatch);
}

void gpu_vm_destroy(struct gpu_vm *vm)
{
	struct gpu *gpu = vm->gpu;

	gpu_lock(gpu);
	vm_halt_waves(vm);
	while (vm->queues) {
		struct gpu_queue *q = vm->queues;

		vm->queues = q->next;
		queue_free(q);
	}
	for (struct gpu_vm **p = &gpu->vms; *p; p = &(*p)->next) {
		if (*p == vm) {
			*p = vm->next;
			break;
		}
	}
	while (gpu->callback_vm == vm)
		pthread_cond_wait(&gpu->callback_cond, &gpu->lock);
	gpu_unlock(gpu);
	/*
	 * No queue is left, so nobody attaches again: an executor that still has the vm is on its
	 * way out of it.
	 */
	vm_wait_quiescent(vm, UINT64_MAX);
	if (vm->profile)
		profile_end(vm->profile);
	code_cache_free(vm->code);
	vm_table_free(vm);
	pthread_mutex_destroy(&vm->event_lock);
	pager_free(vm);
	heap_free(&vm->ready);
	free(vm->events);
	free(vm);
}

void gpu_vm_set_apertures(struct gpu_vm *vm, uint64_t shared_base, uint64_t private_base)
{
	atomic_store(&vm->shared_base, shared_base);
	atomic_store(&vm->private_base, private_base);
}

void gpu_vm_set_trap_handler(struct gpu_vm *vm, uint64_t tba, uint64_t tma)
{
	atomic_store(&vm->tma, tma);
	atomic_store(&vm->tba, tba);
}

void gpu_vm_set_owner(struct gpu_vm *vm, uint32_t pid)
{
	atomic_store(&vm->owner, pid);
}

void gpu_vm_suspend(struct gpu_vm *vm)
{
	gpu_lock(vm->gpu);
	if (!vm->suspended++) {
		vm_halt_waves(vm);
	}
	gpu_unlock(vm->gpu);
}

void gpu_vm_resume(struct gpu_vm *vm)
{
	gpu_lock(vm->gpu);
	if (!vm->suspended) {
		log_error("resume of a GPU process that is not suspended");
	} else if (!--vm->suspended) {
		for (struct gpu_queue *q = vm->queues; q; q = q->next)
			sched_unhalt(vm->gpu, &q->dispatch);
		vm->last_active = now_ns();
		vm->idle_called = false;
	}
	gpu_unlock(vm->gpu);
	cp_kick(vm->gpu);
}

void gpu_vm_wake(struct gpu_vm *vm)
{
	gpu_lock(vm->gpu);
	vm->awake = true;
	vm->idle_called = false;
	vm->last_active = now_ns();
	gpu_unlock(vm->gpu);
	cp_kick(vm->gpu);
}

bool gpu_vm_park(struct gpu_vm *vm)
{
	bool busy = false;

	gpu_lock(vm->gpu);
	pthread_rwlock_rdlock(&vm->map_lock);
	if (atomic_load(&vm->fault_state) < 2) {
		for (struct gpu_queue *q = vm->queues; q && !busy; q = q->next)
			busy = queue_busy(q);
	}
	pthread_rwlock_unlock(&vm->map_lock);
	if (busy) {
		vm->idle_called = false;
		vm->last_active = now_ns();
	} else {
		vm->awake = false;
	}
	gpu_unlock(vm->gpu);
	if (busy)
		cp_kick(vm->gpu);
	return !busy;
}

void gpu_vm_get_stats(struct gpu_vm *vm, struct gpu_vm_stats *stats)
{
	*stats = (struct gpu_vm_stats){
		.dispatches = atomic_load(&vm->dispatches),
		.packets = atomic_load(&vm->packets),
		.sdma_packets = atomic_load(&vm->sdma_packets),
		.gpu_ns = atomic_load(&vm->gpu_ns),
		.faults = atomic_load(&vm->faults),
		.queue_errors = atomic_load(&vm->queue_errors),
		.page_requests = atomic_load(&vm->page_requests),
		.requested_pages = atomic_load(&vm->requested_pages),
		.pages = atomic_load(&vm->pages),
	};
}
