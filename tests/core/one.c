// SPDX-License-Identifier: MIT
/* one.c - a device with one GPU and a process, for tests of the core's requests. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/core/one.h"

struct kfd_device *device;
struct kfd_process *process;
uint8_t *vram, *doorbells, *guest;
int64_t charged, charge_limit;
uint64_t quota_limit, others_use, system_limit;
int events_seen, exceptions;

static void *resolve(void *ctx, uint64_t addr, uint64_t size)
{
	if (addr < GUEST_AT || size > GUEST || addr - GUEST_AT > GUEST - size)
		return NULL;
	return guest + (addr - GUEST_AT);
}

static int charge(void *ctx, int64_t bytes)
{
	if (bytes > 0 && charged + bytes > charge_limit)
		return -ENOMEM;
	charged += bytes;
	return 0;
}

static void on_signal(void *ctx, uint32_t id)
{
	events_seen += (int)id;
}

static void on_exception(void *ctx, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause)
{
	assert_int_equal(gpu_id, GPU_ID);
	assert_int_equal(reset_type, KFD_HW_EXCEPTION_PER_ENGINE_RESET);
	assert_int_equal(reset_cause, KFD_HW_EXCEPTION_GPU_HANG);
	exceptions++;
}

static void quota(void *ctx, uint64_t *limit, uint64_t *used)
{
	*limit = quota_limit;
	*used += others_use;
}

static uint64_t most_system(void *ctx)
{
	return system_limit;
}

static const struct kfd_front_ops ops = {
	.vram_quota = quota,
	.system_limit = most_system,
	.resolve = resolve,
	.charge_vram = charge,
	.signal_event = on_signal,
	.hw_exception = on_exception,
};

static void *map_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

int ioctl_arrays(unsigned nr, void *args, size_t size, const void *in, size_t in_size,
			void *out, size_t out_capacity, size_t *out_size)
{
	return core_request(process, nr, args, size, in, in_size, out, out_capacity, out_size);
}

void acquire(void)
{
	struct kfd_ioctl_acquire_vm_args a = {.gpu_id = GPU_ID, .drm_fd = 7};

	assert_int_equal(CALL(ACQUIRE_VM, &a), 0);
}

int setup(void **state)
{
	struct kfd_device_config config = {
		.ops = &ops,
		.max_processes = 4,
		.kfd_minor = 14,
		.gpus = {{.vram_size = VRAM, .gpu_id = GPU_ID}},
		.num_gpus = 1,
	};

	memset(&fake, 0, sizeof(fake));
	events_seen = 0;
	charged = 0;
	charge_limit = INT64_MAX;
	quota_limit = VRAM;
	others_use = 0;
	system_limit = UINT64_MAX;
	assert_int_equal(gpu_open(NULL, &config.gpus[0].gpu), 0);
	config.gpus[0].vram = vram = map_memory(VRAM);
	config.gpus[0].doorbells = doorbells = map_memory(4 * HSV_DOORBELL_SLOT);
	guest = map_memory(GUEST);
	assert_int_equal(kfd_device_open(&config, &device), 0);
	assert_int_equal(kfd_process_create(device, 1, NULL, 42, "test", &process), 0);
	return 0;
}

int setup_acquired(void **state)
{
	setup(state);
	acquire();
	return 0;
}

int teardown(void **state)
{
	struct kfd_stats stats;

	kfd_process_destroy(process);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.vram_used, 0);
	assert_int_equal(stats.system_pinned, 0);
	assert_int_equal(stats.queues, 0);
	assert_int_equal(stats.processes, 0);
	assert_int_equal(atomic_load(&device->records), 0);
	assert_int_equal(fake.vms, 0);
	assert_int_equal(fake.queues, 0);
	assert_int_equal(charged, 0);
	kfd_device_close(device);
	munmap(vram, VRAM);
	munmap(doorbells, 4 * HSV_DOORBELL_SLOT);
	munmap(guest, GUEST);
	return 0;
}

int alloc_full(uint64_t va, uint64_t size, uint32_t flags, const struct hsv_extent *in,
		      size_t n, struct hsv_extent *out, size_t max, size_t *got, uint64_t *handle)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args a = {
		.va_addr = va,
		.size = size,
		.gpu_id = GPU_ID,
		.flags = flags,
		.mmap_offset = flags & KFD_IOC_ALLOC_MEM_FLAGS_USERPTR ? va : 0,
	};
	size_t bytes = 0;
	int err = ioctl_arrays(_IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &a, sizeof(a), in,
			       n * sizeof(*in), out, max * sizeof(*out), &bytes);

	if (got)
		*got = bytes / sizeof(*out);
	if (handle)
		*handle = a.handle;
	return err;
}

int alloc(uint64_t va, uint64_t size, uint32_t flags, uint64_t *handle)
{
	struct hsv_extent in = {GUEST_AT, (size + 4095) & ~4095ull}, out[16];
	bool system = flags & (KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_USERPTR);

	return alloc_full(va, size, flags, &in, system, out, 16, NULL, handle);
}

int map_to(uint64_t handle, uint32_t gpu_id, uint32_t n, uint32_t done, bool map)
{
	struct kfd_ioctl_map_memory_to_gpu_args a = {
		.handle = handle,
		.n_devices = n,
		.n_success = done,
	};
	uint32_t ids[2] = {gpu_id, gpu_id};
	int err = ioctl_arrays(map ? _IOC_NR(AMDKFD_IOC_MAP_MEMORY_TO_GPU)
				   : _IOC_NR(AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU),
			       &a, sizeof(a), ids, sizeof(ids), NULL, 0, NULL);

	if (!err)
		assert_int_equal(a.n_success, n);
	return err;
}

int free_memory(uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args a = {.handle = handle};

	return CALL(FREE_MEMORY_OF_GPU, &a);
}

uint64_t alloc_map(uint64_t va, uint64_t size, uint32_t flags)
{
	uint64_t handle;

	assert_int_equal(alloc(va, size, flags, &handle), 0);
	assert_int_equal(MAP(handle), 0);
	return handle;
}
