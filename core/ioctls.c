// SPDX-License-Identifier: MIT
/*
 * ioctls.c - the table of KFD ioctls the core answers, and those that concern no buffer and no
 * queue.
 *
 * The table comes from abi/kfd_ioctls.h, so a front end can marshal an ioctl exactly when the core
 * has a handler for it.
 */
#define LOG_PART "core"
#include "core/internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

static const struct {
	kfd_handler *handler;
	size_t args_size;
	const char *name;
} table[256] = {
#define HSV_KFD_CORE(name)  kfd_ioctl_##name
#define HSV_KFD_FRONT(name) NULL
#define HSV_KFD_IOCTL(name, type, where, ...)                                                      \
	[_IOC_NR(AMDKFD_IOC_##name)] = {HSV_KFD_##where(name), sizeof(struct type), #name},
#include "abi/kfd_ioctls.h"
#undef HSV_KFD_IOCTL
#undef HSV_KFD_FRONT
#undef HSV_KFD_CORE
};

int kfd_process_ioctl(struct kfd_process *process, struct kfd_request *request)
{
	int err;

	request->out_size = 0;
	if (request->nr >= sizeof(table) / sizeof(table[0]) || !table[request->nr].handler) {
		log_info("%s[%u]: ioctl 0x%x is not served", process->name, process->pid,
			 request->nr);
		return -ENOTTY;
	}
	if (request->args_size > HSV_MAX_ARGS)
		return -EINVAL;
	pthread_mutex_lock(&process->lock);
	err = table[request->nr].handler(process, request);
	pthread_mutex_unlock(&process->lock);
	log_debug("%s[%u]: %s (%zu bytes, in %zu, out %zu) = %d", process->name, process->pid,
		  table[request->nr].name, request->args_size, request->in_size, request->out_size,
		  err);
	return err;
}

int kfd_ioctl_GET_VERSION(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_get_version_args *args = request->args;

	args->major_version = 1;
	args->minor_version = p->device->config.kfd_minor;
	return 0;
}

int kfd_ioctl_SET_MEMORY_POLICY(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_set_memory_policy_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);

	if (args->default_policy > KFD_IOC_CACHE_POLICY_NONCOHERENT ||
	    args->alternate_policy > KFD_IOC_CACHE_POLICY_NONCOHERENT)
		return -EINVAL;
	if (!pdd)
		return -EINVAL;
	/* The software GPU is coherent with the CPU everywhere: every policy holds. */
	return pdd->acquired ? 0 : -ESRCH;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

int kfd_ioctl_GET_CLOCK_COUNTERS(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_get_clock_counters_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);

	args->gpu_clock_counter = pdd ? gpu_clock(pdd->node->config.gpu) : 0;
	args->cpu_clock_counter = clock_ns(CLOCK_MONOTONIC_RAW);
	args->system_clock_counter = clock_ns(CLOCK_BOOTTIME);
	args->system_clock_freq = 1000000000;
	return 0;
}

static struct kfd_process_device_apertures apertures(const struct kfd_process_device *pdd)
{
	return (struct kfd_process_device_apertures){
		.lds_base = KFD_LDS_BASE,
		.lds_limit = KFD_LDS_BASE | 0xffffffff,
		.scratch_base = KFD_SCRATCH_BASE,
		.scratch_limit = KFD_SCRATCH_BASE | 0xffffffff,
		.gpuvm_base = KFD_VA_START,
		.gpuvm_limit = KFD_VA_END - 1,
		.gpu_id = pdd->node->config.gpu_id,
	};
}

int kfd_ioctl_GET_PROCESS_APERTURES_NEW(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_get_process_apertures_new_args *args = request->args;
	struct kfd_process_device_apertures *out = request->out;
	uint32_t n = p->num_gpus;

	if (args->num_of_nodes) { /* else only the number is asked for */
		if (n > args->num_of_nodes)
			n = args->num_of_nodes;
		if (!out || request->out_capacity < n * sizeof(*out))
			return -EFAULT;
		for (uint32_t i = 0; i < n; i++)
			out[i] = apertures(&p->pdds[i]);
		request->out_size = n * sizeof(*out);
	}
	args->num_of_nodes = n;
	return 0;
}

int kfd_ioctl_ACQUIRE_VM(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_acquire_vm_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);

	if (!pdd)
		return -EINVAL;
	if (pdd->acquired)
		return pdd->drm_file == args->drm_fd ? 0 : -EBUSY;
	pdd->acquired = true;
	pdd->drm_file = args->drm_fd;
	return 0;
}

int kfd_ioctl_SET_SCRATCH_BACKING_VA(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_set_scratch_backing_va_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);

	if (!pdd)
		return -EINVAL;
	/* Scratch is found by each queue's descriptor; the hidden private base is for hardware
	 * without that. */
	return pdd->acquired ? 0 : -ENODEV;
}

int kfd_ioctl_GET_TILE_CONFIG(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_get_tile_config_args *args = request->args;

	if (!pdd_by_id(p, args->gpu_id))
		return -EINVAL;
	/* GB_ADDR_CONFIG of the device family: 4 pipes, 4 banks (gfx9 has no tile mode tables that
	 * matter to compute). */
	args->gb_addr_config = 0x24000042;
	args->num_banks = 4;
	args->num_ranks = 1;
	args->num_tile_configs = 0;
	args->num_macro_tile_configs = 0;
	return 0;
}

int kfd_ioctl_SET_TRAP_HANDLER(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_set_trap_handler_args *args = request->args;
	struct kfd_process_device *pdd = pdd_by_id(p, args->gpu_id);

	if (!pdd)
		return -EINVAL;
	if (!pdd->acquired)
		return -ESRCH;
	gpu_vm_set_trap_handler(pdd->vm, args->tba_addr, args->tma_addr);
	return 0;
}

int kfd_ioctl_SET_XNACK_MODE(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_set_xnack_mode_args *args = request->args;

	bool on = args->xnack_enabled > 0;

	if (args->xnack_enabled < 0) {
		args->xnack_enabled = p->xnack;
		return 0;
	}
	if (p->num_queues)
		return -EBUSY;
	if (on == p->xnack)
		return 0;
	/* Of the targets here, only gfx90a lets each process choose, on hardware; all its GPUs must. */
	for (uint32_t i = 0; on && i < p->num_gpus; i++)
		if (!p->device->config.ops->page_request || strcmp(p->pdds[i].node->props->target, "gfx90a"))
			return -EPERM;
	/* The front end has room for so many requests of a process, whichever GPU they come from. */
	for (uint32_t i = 0; i < p->num_gpus; i++)
		gpu_vm_set_paging(p->pdds[i].vm, on ? HSV_MAX_PAGE_REQUESTS / p->num_gpus : 0);
	p->xnack = on;
	return 0;
}

int kfd_ioctl_RUNTIME_ENABLE(struct kfd_process *p, struct kfd_request *request)
{
	struct kfd_ioctl_runtime_enable_args *args = request->args;

	if (!(args->mode_mask & KFD_RUNTIME_ENABLE_MODE_ENABLE_MASK)) {
		p->runtime_enabled = false;
		return 0;
	}
	if (p->runtime_enabled)
		return -EBUSY;
	if (p->num_queues)
		return -EEXIST;
	p->runtime_enabled = true;
	return 0;
}

/* The debugger's interface before DBG_TRAP, which amdkfd refuses by now. */
#define REFUSED(name)                                                                              \
	int kfd_ioctl_##name(struct kfd_process *p, struct kfd_request *request)                   \
	{                                                                                          \
		return -EPERM;                                                                     \
	}
REFUSED(DBG_REGISTER_DEPRECATED)
REFUSED(DBG_UNREGISTER_DEPRECATED)
REFUSED(DBG_ADDRESS_WATCH_DEPRECATED)
REFUSED(DBG_WAVE_CONTROL_DEPRECATED)
