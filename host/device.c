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
	if (event_id == GEM_EVENT)
		gem_wake(false);
	else
		kfd_events_signal(front.events, event_id);
}

static void on_memory_fault(void *ctx, uint32_t gpu_id, const struct gpu_memory_fault *fault)
{
	smi_memory_fault(gpu_id);
	kfd_events_memory_fault(front.events, gpu_id, fault);
	gem_wake(true);
}

static void on_hw_exception(void *ctx, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause)
{
	smi_reset(gpu_id);
	kfd_events_hw_exception(front.events, gpu_id, reset_type, reset_cause);
	gem_wake(true);
}

static int charge(void *gpu_ctx, int64_t bytes)
{
	return arbiter_charge_vram(((struct front_gpu *)gpu_ctx)->client, bytes);
}

static void quota(void *gpu_ctx, uint64_t *limit, uint64_t *used)
{
	const struct front_gpu *g = gpu_ctx;

	*limit = arbiter_vram_limit(g->client);
	*used = arbiter_vram_used(g->client);
}

/* By a GPU thread. Counted here, too: after a fault many programs make no request any more. */
static void report(void *gpu_ctx, const struct kfd_fault *fault)
{
	struct front_gpu *g = gpu_ctx;
	struct arbiter_counters *c = arbiter_counters(g->client);

	atomic_fetch_add_explicit(fault->code ? &c->queue_errors : &c->faults, 1,
				  memory_order_relaxed);
	arbiter_report_kfd_fault(g->client, fault);
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
	.take_vram = memory_take,
	.signal_event = on_signal,
	.memory_fault = on_memory_fault,
	.report = report,
	.hw_exception = on_hw_exception,
	.idle = park_idle,
};

uint32_t front_gpu_index(uint64_t gpu_id)
{
	uint32_t i = 0;

	while (i < front.num_gpus && front.gpus[i].id != gpu_id)
		i++;
	return i;
}

void front_publish(void)
{
	for (uint32_t i = 0; i < front.num_gpus; i++) {
		struct arbiter_counters *c = arbiter_counters(front.gpus[i].client);
		struct kfd_stats stats;

		kfd_gpu_stats(front.device, i, &stats);
		arbiter_publish(c, &stats);
	}
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
	for (uint32_t i = 0; i < front.num_gpus; i++) {
		if (front.gpus[i].gpu)
			gpu_close(front.gpus[i].gpu);
		host_swap_close(&front.gpus[i]);
	}
	kfd_events_free(front.events);
	memory_forget();
	for (uint32_t i = 0; i < front.num_gpus; i++)
		arbiter_disconnect(front.gpus[i].client);
	memset(front.gpus, 0, sizeof(front.gpus));
	front.num_gpus = 0;
	front.process = NULL;
	front.device = NULL;
	front.events = NULL;
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

/* Joins the tenant on a GPU, or on its first one; *gpus: all that it has. */
static int join(uint32_t which, struct gpu_config *config, uint32_t *gpus)
{
	struct front_gpu *g = &front.gpus[front.num_gpus];
	const char *tenant = getenv("HSAVISOR_TENANT");
	struct arbiter_grant grant = {.vram_fd = -1};
	char error[256] = "";
	int err;

	memset(g, 0, sizeof(*g));
	err = arbiter_connect_gpu(ARBITER_PROCESS, tenant ? tenant : "", 0, 0, which, &g->client, &grant, error);
	if (err) {
		say(error[0] ? error : strerror(-err));
		return -ENODEV;
	}
	front.num_gpus++;
	g->id = FRONT_GPU_ID + grant.gpu;
	g->vram_fd = grant.vram_fd;
	g->vram_size = grant.vram_size;
	memcpy(g->target, grant.target, sizeof(g->target));
	config->target = g->target;
	config->threads = grant.threads;
	memcpy(config->cpus, grant.cpus, sizeof(config->cpus));
	*gpus = grant.gpus & ~(1u << grant.gpu);
	return 0;
}

/* All GPUs of the tenant, in the daemon's order. */
static int join_all(struct gpu_config *configs)
{
	uint32_t left = 0, unused;
	int err = join(ARBITER_ANY_GPU, &configs[0], &left);

	for (uint32_t i = 0; i < KFD_MAX_GPUS && !err; i++)
		if (left & 1u << i)
			err = join(i, &configs[front.num_gpus], &unused);
	return err;
}

static int open_gpu(struct front_gpu *g, struct gpu_config *config, const char *program)
{
	int err = host_swap_open(g);

	if (err)
		return err;
	config->turn = &arbiter_turn_ops;
	config->trace = &arbiter_trace_ops;
	config->turn_ctx = g->client;
	config->limits = arbiter_limits(g->client);
	config->backlog = &arbiter_counters(g->client)->backlog;
	config->compile_ns = &arbiter_counters(g->client)->jit_ns;
	want_profile(config, program);
	return gpu_open(config, &g->gpu);
}

static int make(void)
{
	struct kfd_device_config config = {
		.ops = &ops,
		.max_processes = 1,
		.kfd_minor = 14,
		.submissions = true,
	};
	struct gpu_config gpus[KFD_MAX_GPUS] = {0};
	char name[32];
	int err = join_all(gpus);

	if (err) {
		undo();
		return err;
	}
	program_name(name, sizeof(name));
	err = memory_open();
	for (uint32_t i = 0; i < front.num_gpus && !err; i++) {
		struct front_gpu *g = &front.gpus[i];

		err = open_gpu(g, &gpus[i], name);
		config.gpus[i] = (struct kfd_gpu_config){
			.gpu = g->gpu,
			.ctx = g,
			.vram = g->vram,
			.vram_size = g->vram_size,
			.doorbells = front.doorbells + i * HSV_DOORBELL_SLOT,
			.gpu_id = g->id,
		};
	}
	config.num_gpus = front.num_gpus;
	if (!err)
		err = kfd_events_new(&front.events);
	if (err)
		goto fail;
	ops.page_request = pages_possible() ? pages_request : NULL;
	err = kfd_device_open(&config, &front.device);
	if (err)
		goto fail;
	err = kfd_process_create(front.device, 0, NULL, (uint32_t)getpid(), name, &front.process);
	if (err)
		goto fail;
	for (uint32_t i = 0; i < front.num_gpus; i++) {
		arbiter_set_namer(front.gpus[i].client, name_kernel, front.device);
		snprintf(arbiter_counters(front.gpus[i].client)->program, 64, "%s", name);
	}
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
		smi_forget();
		gem_forget();
		for (uint32_t i = 0; i < front.num_gpus; i++)
			host_swap_forget(&front.gpus[i]);
		memory_forget();
		for (uint32_t i = 0; i < front.num_gpus; i++)
			arbiter_forget(front.gpus[i].client);
		memset(front.gpus, 0, sizeof(front.gpus));
		front.num_gpus = 0;
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
	gem_wake(true);
	pthread_mutex_unlock(&front.lock);
}
