// SPDX-License-Identifier: MIT
/*
 * device.c - the birth of this process as an executor, and what fork and exit do to it.
 *
 * As in amdkfd the GPU process belongs to the address space: closing /dev/kfd does not end it,
 * opening it again finds it. A child starts without one: in it everything is forgotten (memory of
 * the parent's GPU is not even inherited, MADV_DONTFORK) and it may open its own.
 */
#define LOG_PART "host"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/protocol.h"
#include "base/log.h"
#include "core/kernel_name.h"
#include "host/front.h"

struct front front = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.vram_fd = -1,
	.gtt_fd = -1,
	.doorbell_fd = -1,
	.events_fd = -1,
};

bool front_enabled(void)
{
	static _Atomic int enabled; /* 0: not looked yet */
	int e = atomic_load_explicit(&enabled, memory_order_relaxed);

	if (!e) {
		const char *tenant = getenv("HSAVISOR_TENANT");

		e = tenant && *tenant ? 1 : -1;
		atomic_store(&enabled, e);
	}
	return e > 0;
}

static void on_signal(void *ctx, uint32_t event_id)
{
	kfd_events_signal(front.events, event_id);
}

static void on_memory_fault(void *ctx, uint32_t gpu_id, const struct gpu_memory_fault *fault)
{
	kfd_events_memory_fault(front.events, gpu_id, fault);
}

static void on_hw_exception(void *ctx, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause)
{
	kfd_events_hw_exception(front.events, gpu_id, reset_type, reset_cause);
}

static int charge(void *ctx, int64_t bytes)
{
	return arbiter_charge_vram(front.client, bytes);
}

static void quota(void *ctx, uint64_t *limit, uint64_t *used)
{
	*limit = arbiter_vram_limit(front.client);
	*used = arbiter_vram_used(front.client);
}

/* By a GPU thread. Counted here, too: after a fault many programs make no request any more. */
static void report(void *ctx, const struct kfd_fault *fault)
{
	struct arbiter_counters *c = arbiter_counters(front.client);

	atomic_fetch_add_explicit(fault->code ? &c->queue_errors : &c->faults, 1,
				  memory_order_relaxed);
	arbiter_report_kfd_fault(front.client, fault);
}

static bool name_kernel(void *ctx, uint32_t process, uint64_t kernel, char *name, size_t size)
{
	return kfd_device_kernel_name(ctx, process, kernel, name, size);
}

static struct kfd_front_ops ops = {
	.resolve = memory_resolve,
	.charge_vram = charge,
	.vram_quota = quota,
	.clear_vram = memory_clear,
	.signal_event = on_signal,
	.memory_fault = on_memory_fault,
	.report = report,
	.hw_exception = on_hw_exception,
	.idle = park_idle,
};

void front_publish(void)
{
	struct arbiter_counters *c = arbiter_counters(front.client);
	struct kfd_stats stats;

	kfd_device_stats(front.device, &stats);
	atomic_store_explicit(&c->vram_used, stats.vram_used, memory_order_relaxed);
	atomic_store_explicit(&c->vram_peak, stats.vram_peak, memory_order_relaxed);
	atomic_store_explicit(&c->system_pinned, stats.system_pinned, memory_order_relaxed);
	atomic_store_explicit(&c->processes, stats.processes, memory_order_relaxed);
	atomic_store_explicit(&c->queues, stats.queues, memory_order_relaxed);
}

static void program_name(char *name, size_t size)
{
	FILE *f = fopen("/proc/self/comm", "re");

	snprintf(name, size, "?");
	if (!f)
		return;
	if (fgets(name, (int)size, f))
		name[strcspn(name, "\n")] = 0;
	fclose(f);
}

static void undo(void)
{
	if (front.process)
		kfd_process_destroy(front.process);
	if (front.device)
		kfd_device_close(front.device);
	if (front.gpu)
		gpu_close(front.gpu);
	kfd_events_free(front.events);
	host_swap_close();
	memory_forget();
	if (front.client)
		arbiter_disconnect(front.client);
	front.process = NULL;
	front.device = NULL;
	front.gpu = NULL;
	front.events = NULL;
	front.client = NULL;
}

/* Once: programs try several paths. A later open tries again, for the daemon may have been started.
 */
static void say(const char *why)
{
	static bool said;

	if (!said)
		fprintf(stderr, "hsavisor: no GPU: %s\n", why);
	said = true;
}

/* hsavisor run --profile. The file is there already, or is made when the report is written. */
static void want_profile(struct gpu_config *gpu, const char *program)
{
	static struct gpu_profile profile;
	static char name[32];
	const char *path = secure_getenv("HSAVISOR_PROFILE");

	if (!path || !*path)
		return;
	snprintf(name, sizeof(name), "%s", program);
	profile = (struct gpu_profile){.path = path, .program = name, .kernel_name = kernel_name};
	gpu->profile = &profile;
}

static int make(void)
{
	struct kfd_device_config config = {
		.ops = &ops,
		.max_processes = 1,
		.kfd_minor = 14,
		.gpus = {{.gpu_id = FRONT_GPU_ID}},
		.num_gpus = 1,
	};
	struct gpu_config gpu = {.turn = &arbiter_turn_ops, .trace = &arbiter_trace_ops};
	const char *tenant = getenv("HSAVISOR_TENANT");
	struct arbiter_grant grant = {.vram_fd = -1};
	char error[256] = "", name[32];
	int err;

	err = arbiter_connect(ARBITER_PROCESS, tenant ? tenant : "", 0, &front.client, &grant,
			      error);
	if (err) {
		say(error[0] ? error : strerror(-err));
		return -ENODEV;
	}
	front.vram_fd = grant.vram_fd;
	front.vram_size = grant.vram_size;
	err = memory_open();
	if (!err)
		err = host_swap_open();
	if (err)
		goto fail;
	gpu.target = grant.target;
	gpu.threads = grant.threads;
	memcpy(gpu.cpus, grant.cpus, sizeof(gpu.cpus));
	gpu.turn_ctx = front.client;
	gpu.limits = arbiter_limits(front.client);
	gpu.backlog = &arbiter_counters(front.client)->backlog;
	gpu.compile_ns = &arbiter_counters(front.client)->jit_ns;
	program_name(name, sizeof(name));
	want_profile(&gpu, name);
	err = gpu_open(&gpu, &front.gpu);
	if (!err)
		err = kfd_events_new(&front.events);
	if (err)
		goto fail;
	config.gpus[0].gpu = front.gpu;
	config.gpus[0].vram = front.vram;
	config.gpus[0].vram_size = front.vram_size;
	config.gpus[0].doorbells = front.doorbells;
	ops.page_request = pages_possible() ? pages_request : NULL;
	err = kfd_device_open(&config, &front.device);
	if (err)
		goto fail;
	err = kfd_process_create(front.device, 0, NULL, (uint32_t)getpid(), name, &front.process);
	if (err)
		goto fail;
	arbiter_set_namer(front.client, name_kernel, front.device);
	snprintf(arbiter_counters(front.client)->program, 64, "%s", name);
	return 0;
fail:
	say(strerror(-err));
	undo();
	return err;
}

static void before_fork(void)
{
	pthread_mutex_lock(&front.lock);
	files_lock();
}

static void after_fork_parent(void)
{
	files_unlock();
	pthread_mutex_unlock(&front.lock);
}

static void after_fork_child(void)
{
	/* No GPU thread and no waiter exists here; what core and gpu have is the child's copy of
	 * memory, left as it is. */
	if (front.pid) {
		park_forget();
		pages_forget();
		host_swap_forget();
		memory_forget();
		arbiter_forget(front.client);
		front.client = NULL;
		front.gpu = NULL;
		front.device = NULL;
		front.process = NULL;
		front.events = NULL;
		front.pid = 0;
	}
	path_forget();
	files_unlock();
	pthread_mutex_unlock(&front.lock);
}

int front_open(void)
{
	static bool atfork;
	int err;

	if (!front_enabled())
		return -ENOENT;
	pthread_mutex_lock(&front.lock);
	if (!atfork) {
		pthread_atfork(before_fork, after_fork_parent, after_fork_child);
		atfork = true;
	}
	/* A clone without the library's knowledge shares or copies this memory: it has no GPU. */
	if (front.pid)
		err = front.pid == getpid() ? 0 : -ENODEV;
	else
		err = make();
	if (!err)
		front.pid = getpid();
	pthread_mutex_unlock(&front.lock);
	return err;
}

/*
 * At exit the GPU stops, so that what destructors free is not run on any more. Threads may still be
 * inside an ioctl; who can't be had within a moment is left to the kernel.
 */
__attribute__((destructor)) static void front_exit(void)
{
	struct timespec until;

	path_cleanup();
	if (!front.pid || front.pid != getpid())
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 200000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	if (pthread_mutex_timedlock(&front.lock, &until))
		return;
	pages_stop();
	kfd_process_destroy(front.process);
	front.process = NULL;
	front.ended = true;
	pthread_mutex_unlock(&front.lock);
}
