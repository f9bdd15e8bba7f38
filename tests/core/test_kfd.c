// SPDX-License-Identifier: MIT
/*
 * test_kfd.c - every KFD request against a GPU that only remembers: bad input first, then what it
 * must do to the GPU.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "core/internal.h"
#include "tests/core/fake_gpu.h"
#include "tests/core/request.h"

#define GPU_ID	 0x1234
#define VRAM	 (16ull << 20)
#define GUEST	 (8ull << 20) /* bytes of tenant memory, at address GUEST_AT */
#define GUEST_AT 0x40000000ull
#define VA	 0x10000000ull

static struct kfd_device *device;
static struct kfd_process *process;
static uint8_t *vram, *doorbells, *guest;
static int64_t charged, charge_limit;
static int events_seen;

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

static int exceptions;

static void on_exception(void *ctx, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause)
{
	assert_int_equal(gpu_id, GPU_ID);
	assert_int_equal(reset_type, KFD_HW_EXCEPTION_PER_ENGINE_RESET);
	assert_int_equal(reset_cause, KFD_HW_EXCEPTION_GPU_HANG);
	exceptions++;
}

static uint64_t quota_limit, others_use, system_limit;

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

static int ioctl_arrays(unsigned nr, void *args, size_t size, const void *in, size_t in_size,
			void *out, size_t out_capacity, size_t *out_size)
{
	return core_request(process, nr, args, size, in, in_size, out, out_capacity, out_size);
}

#define CALL(name, args)                                                                           \
	ioctl_arrays(_IOC_NR(AMDKFD_IOC_##name), args, sizeof(*(args)), NULL, 0, NULL, 0, NULL)

static void acquire(void)
{
	struct kfd_ioctl_acquire_vm_args a = {.gpu_id = GPU_ID, .drm_fd = 7};

	assert_int_equal(CALL(ACQUIRE_VM, &a), 0);
}

static int setup(void **state)
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

static int setup_acquired(void **state)
{
	setup(state);
	acquire();
	return 0;
}

static int teardown(void **state)
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

#define FLAGS_VRAM                                                                                 \
	(KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE |                         \
	 KFD_IOC_ALLOC_MEM_FLAGS_NO_SUBSTITUTE)
#define FLAGS_GTT  (KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE)
#define FLAGS_USER (KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE)

static int alloc_full(uint64_t va, uint64_t size, uint32_t flags, const struct hsv_extent *in,
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

static int alloc(uint64_t va, uint64_t size, uint32_t flags, uint64_t *handle)
{
	struct hsv_extent in = {GUEST_AT, (size + 4095) & ~4095ull}, out[16];
	bool system = flags & (KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_USERPTR);

	return alloc_full(va, size, flags, &in, system, out, 16, NULL, handle);
}

static int map_to(uint64_t handle, uint32_t gpu_id, uint32_t n, uint32_t done, bool map)
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

#define MAP(handle)   map_to(handle, GPU_ID, 1, 0, true)
#define UNMAP(handle) map_to(handle, GPU_ID, 1, 0, false)

static int free_memory(uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args a = {.handle = handle};

	return CALL(FREE_MEMORY_OF_GPU, &a);
}

static uint64_t alloc_map(uint64_t va, uint64_t size, uint32_t flags)
{
	uint64_t handle;

	assert_int_equal(alloc(va, size, flags, &handle), 0);
	assert_int_equal(MAP(handle), 0);
	return handle;
}

static void test_unknown_ioctls(void **state)
{
	uint8_t args[HSV_MAX_ARGS] = {0};

	/* Every number but those of the table; FRONT ones are not the core's. */
	static const uint8_t served[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x07, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12,
					 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a,
					 0x1b, 0x1d, 0x1e, 0x20, 0x21, 0x23, 0x24, 0x25,
					 0x80, 0x81};

	for (unsigned nr = 0; nr < 300; nr++) {
		bool is = nr < 256 && memchr(served, (int)nr, sizeof(served));
		int err = ioctl_arrays(nr, args, sizeof(args), NULL, 0, NULL, 0, NULL);

		if (is)
			assert_int_not_equal(err, -ENOTTY);
		else
			assert_int_equal(err, -ENOTTY);
		memset(args, 0, sizeof(args));
	}
}

static void test_garbage(void **state)
{
	uint8_t args[HSV_MAX_ARGS], in[256], out[256];
	uint32_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(args); i++) {
			seed = seed * 1664525 + 1013904223;
			args[i] = seed >> 24 < 100 ? 0 : (uint8_t)(seed >> 16);
		}
		memcpy(in, args, 64);
		memset(in + 64, round, sizeof(in) - 64);
		ioctl_arrays(seed >> 8 & 0xbf, args, sizeof(args), in, seed >> 3 & 255, out,
			     seed >> 5 & 255, NULL);
	}
}

static void test_version_clock_apertures(void **state)
{
	struct kfd_ioctl_get_version_args v = {0};
	struct kfd_ioctl_get_clock_counters_args c = {.gpu_id = 99};
	struct kfd_ioctl_get_process_apertures_new_args n = {.num_of_nodes = 4};
	struct kfd_process_device_apertures a[4] = {0};
	size_t size;

	assert_int_equal(CALL(GET_VERSION, &v), 0);
	assert_int_equal(v.major_version, 1);
	assert_int_equal(v.minor_version, 14);
	assert_int_equal(CALL(GET_CLOCK_COUNTERS, &c), 0);
	assert_int_equal(c.gpu_clock_counter, 0); /* unknown GPU: as amdkfd, no error */
	c.gpu_id = GPU_ID;
	assert_int_equal(CALL(GET_CLOCK_COUNTERS, &c), 0);
	assert_int_equal(c.gpu_clock_counter, 12345);
	assert_int_equal(c.system_clock_freq, 1000000000);

	assert_int_equal(CALL(GET_PROCESS_APERTURES_NEW, &n), -EFAULT);
	n.num_of_nodes = 0;
	assert_int_equal(CALL(GET_PROCESS_APERTURES_NEW, &n), 0);
	assert_int_equal(n.num_of_nodes, 1);
	n.num_of_nodes = 4;
	assert_int_equal(ioctl_arrays(_IOC_NR(AMDKFD_IOC_GET_PROCESS_APERTURES_NEW), &n, sizeof(n),
				      NULL, 0, a, sizeof(a), &size),
			 0);
	assert_int_equal(n.num_of_nodes, 1);
	assert_int_equal(size, sizeof(a[0]));
	assert_int_equal(a[0].gpu_id, GPU_ID);
	assert_true(a[0].gpuvm_base && a[0].gpuvm_limit >= (1ull << 47) - 1);
}

static void test_acquire(void **state)
{
	struct kfd_ioctl_acquire_vm_args a = {.gpu_id = 9, .drm_fd = 7};
	struct kfd_ioctl_set_memory_policy_args policy = {.gpu_id = GPU_ID};
	uint64_t handle;

	assert_int_equal(CALL(ACQUIRE_VM, &a), -EINVAL);
	assert_int_equal(alloc(VA, 4096, FLAGS_VRAM, &handle), -ENODEV);
	assert_int_equal(CALL(SET_MEMORY_POLICY, &policy), -ESRCH);
	acquire();
	acquire(); /* the same file: fine */
	a = (struct kfd_ioctl_acquire_vm_args){.gpu_id = GPU_ID, .drm_fd = 8};
	assert_int_equal(CALL(ACQUIRE_VM, &a), -EBUSY);
	assert_int_equal(CALL(SET_MEMORY_POLICY, &policy), 0);
	policy.default_policy = 2;
	assert_int_equal(CALL(SET_MEMORY_POLICY, &policy), -EINVAL);
}

static void test_small_ones(void **state)
{
	struct kfd_ioctl_set_xnack_mode_args x = {.xnack_enabled = -1};
	struct kfd_ioctl_set_trap_handler_args t = {.gpu_id = 1, .tba_addr = 5, .tma_addr = 6};
	struct kfd_ioctl_runtime_enable_args r = {.mode_mask = 1};
	struct kfd_ioctl_get_available_memory_args m = {.gpu_id = 1};
	struct kfd_ioctl_get_tile_config_args tile = {.gpu_id = 1, .num_tile_configs = 32};
	struct kfd_ioctl_set_scratch_backing_va_args s = {.gpu_id = 1};

	assert_int_equal(CALL(SET_XNACK_MODE, &x), 0);
	assert_int_equal(x.xnack_enabled, 0);
	assert_int_equal(CALL(SET_XNACK_MODE, &x), 0);
	x.xnack_enabled = 1;
	assert_int_equal(CALL(SET_XNACK_MODE, &x), -EPERM);
	assert_int_equal(CALL(SET_TRAP_HANDLER, &t), -EINVAL);
	t.gpu_id = GPU_ID;
	assert_int_equal(CALL(SET_TRAP_HANDLER, &t), 0);
	assert_int_equal(fake.tba, 5);
	assert_int_equal(fake.tma, 6);
	assert_int_equal(CALL(RUNTIME_ENABLE, &r), 0);
	assert_int_equal(CALL(RUNTIME_ENABLE, &r), -EBUSY);
	r.mode_mask = 0;
	assert_int_equal(CALL(RUNTIME_ENABLE, &r), 0);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), -EINVAL);
	m.gpu_id = GPU_ID;
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, VRAM);
	assert_int_equal(CALL(GET_TILE_CONFIG, &tile), -EINVAL);
	tile.gpu_id = GPU_ID;
	assert_int_equal(CALL(GET_TILE_CONFIG, &tile), 0);
	assert_int_equal(tile.num_tile_configs, 0);
	assert_int_equal(CALL(SET_SCRATCH_BACKING_VA, &s), -EINVAL);
}

static void test_alloc_bad(void **state)
{
	static const struct {
		uint64_t va, size;
		uint32_t flags;
		int err;
	} bad[] = {
		{VA, 0, FLAGS_VRAM, -EINVAL},
		{VA, 4096, 0, -EINVAL},
		{VA, 4096, KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, -EINVAL},
		{VA, 4096, FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_GTT, -EINVAL},
		{VA, 4096, FLAGS_VRAM | 1u << 10, -EINVAL},
		{VA + 1, 4096, FLAGS_VRAM, -EINVAL},
		{0x1000, 4096, FLAGS_VRAM, -EINVAL},
		{KFD_VA_END, 4096, FLAGS_VRAM, -EINVAL},
		{KFD_VA_END - 4096, 8192, FLAGS_VRAM, -EINVAL},
		{VA, UINT64_MAX, FLAGS_VRAM, -ENOMEM},
		{VA, VRAM + 4096, FLAGS_VRAM, -ENOMEM},
		{VA, 4096, KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL, -EINVAL},
		{VA, 8192, KFD_IOC_ALLOC_MEM_FLAGS_MMIO_REMAP, -EINVAL},
		{0, 4096, FLAGS_GTT, -EINVAL},
		{0, 4096, FLAGS_USER, -EINVAL},
		{VA, 4096, FLAGS_GTT | HSV_KFD_ALLOC_SVM, -EINVAL},
	};
	struct hsv_extent e[2] = {{GUEST_AT, 4096}, {GUEST_AT + GUEST - 4096, 8192}};
	uint64_t handle;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (alloc(bad[i].va, bad[i].size, bad[i].flags, &handle) != bad[i].err)
			fail_msg("case %zu", i);
	/* Extents: outside the tenant, misaligned, empty, too many. */
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 2, NULL, 0, NULL, &handle), -EFAULT);
	e[1] = (struct hsv_extent){GUEST_AT + 1, 4096};
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 2, NULL, 0, NULL, &handle), -EINVAL);
	e[1] = (struct hsv_extent){GUEST_AT, 0};
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 2, NULL, 0, NULL, &handle), -EINVAL);
	e[1] = (struct hsv_extent){GUEST_AT, 16384};
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 2, NULL, 0, NULL, &handle), -EINVAL);
	/* A GTT buffer with extents missing can't be mapped. */
	assert_int_equal(alloc_full(VA, 16384, FLAGS_GTT, e, 1, NULL, 0, NULL, &handle), 0);
	assert_int_equal(MAP(handle), -EINVAL);
	e[1] = (struct hsv_extent){GUEST_AT + 8192, 12288};
	assert_int_equal(kfd_memory_extend(process, handle, &e[1], 1), 0);
	assert_int_equal(kfd_memory_extend(process, handle, &e[1], 1), -EINVAL);
	assert_int_equal(MAP(handle), 0);
	assert_ptr_equal(fake_translate(VA + 4096, NULL), guest + 8192);
	assert_int_equal(free_memory(handle), -EBUSY);
	assert_int_equal(UNMAP(handle), 0);
	assert_int_equal(free_memory(handle), 0);
	assert_int_equal(fake_mapped_bytes(), 0);
}

static void test_map_bad(void **state)
{
	uint64_t h = alloc_map(VA, 8192, FLAGS_VRAM), h2, wild = (uint64_t)GPU_ID << 32 | 77;

	assert_int_equal(MAP(wild), -ENOMEM);
	assert_int_equal(UNMAP(wild), -ENODEV);
	assert_int_equal(MAP(5ull << 32 | 1), -EINVAL);
	assert_int_equal(free_memory(wild), -EINVAL);
	assert_int_equal(free_memory(0), -EINVAL);
	assert_int_equal(map_to(h, GPU_ID, 0, 0, true), -EINVAL);
	assert_int_equal(map_to(h, GPU_ID, 1, 2, true), -EINVAL);
	assert_int_equal(map_to(h, GPU_ID, 1u << 30, 0, true), -EFAULT);
	assert_int_equal(map_to(h, 3, 1, 0, true), -EINVAL);
	assert_int_equal(MAP(h), 0); /* again: nothing to do */
	assert_int_equal(alloc(VA + 4096, 4096, FLAGS_VRAM, &h2), 0);
	assert_int_equal(MAP(h2), -EINVAL); /* overlaps */
	assert_int_equal(fake_mapped_bytes(), 8192);
	assert_int_equal(UNMAP(h2), -EINVAL);
	assert_int_equal(UNMAP(h), 0);
	assert_int_equal(UNMAP(h), -EINVAL);
	assert_int_equal(MAP(h2), 0);
	/* VRAM without an address has no place to be mapped. */
	assert_int_equal(alloc(0, 4096, FLAGS_VRAM, &h), 0);
	assert_int_equal(MAP(h), -EINVAL);
}

static void test_protection(void **state)
{
	unsigned prot = 0;

	alloc_map(VA, 4096, KFD_IOC_ALLOC_MEM_FLAGS_VRAM);
	alloc_map(VA + 4096, 4096, FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE);
	alloc_map(VA + 0x10000, HSV_DOORBELL_SLOT,
		  KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE);
	alloc_map(VA + 0x20000, 4096, KFD_IOC_ALLOC_MEM_FLAGS_MMIO_REMAP);
	assert_non_null(fake_translate(VA, &prot));
	assert_int_equal(prot, GPU_PROT_READ);
	assert_non_null(fake_translate(VA + 4096, &prot));
	assert_int_equal(prot, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC);
	assert_ptr_equal(fake_translate(VA + 0x10000, NULL), doorbells + HSV_DOORBELL_SLOT);
	assert_non_null(fake_translate(VA + 0x20000, NULL));
}

static void test_vram_zeroed_and_quota(void **state)
{
	struct kfd_ioctl_get_available_memory_args m = {.gpu_id = GPU_ID};
	struct kfd_stats stats;
	uint64_t a, b;

	assert_int_equal(alloc(VA, VRAM, FLAGS_VRAM, &a), 0);
	memset(vram, 0xab, VRAM);
	assert_int_equal(charged, VRAM);
	assert_int_equal(alloc(VA + VRAM, 4096, FLAGS_VRAM, &b), -ENOMEM);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, 0);
	assert_int_equal(free_memory(a), 0);
	for (size_t i = 0; i < VRAM; i++)
		assert_int_equal(vram[i], 0);
	vram[0] = 1; /* a stale CPU mapping wrote after the free */
	assert_int_equal(alloc(VA, 4096, FLAGS_VRAM, &a), 0);
	assert_int_equal(vram[0], 0);
	charge_limit = 8192;
	assert_int_equal(alloc(VA + 4096, 8192, FLAGS_VRAM, &b), -ENOMEM);
	assert_int_equal(charged, 4096);
	assert_int_equal(alloc(VA + 4096, 100, FLAGS_VRAM, &b), 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.vram_used, 8192);
	assert_int_equal(stats.vram_peak, VRAM);
}

static void heap(struct drm_amdgpu_heap_info *vram_heap, struct drm_amdgpu_info_vram_gtt *sizes)
{
	struct drm_amdgpu_info info = {.query = AMDGPU_INFO_MEMORY};
	struct drm_amdgpu_memory_info m;
	size_t size;

	info.return_size = sizeof(m);
	assert_int_equal(kfd_drm_info(device, 0, &info, &m, sizeof(m), &size), 0);
	*vram_heap = m.vram;
	info.query = AMDGPU_INFO_VRAM_GTT;
	info.return_size = sizeof(*sizes);
	assert_int_equal(kfd_drm_info(device, 0, &info, sizes, sizeof(*sizes), &size), 0);
}

static uint64_t bank_size(void)
{
	struct hsv_topology_args args = {.cpus = 1, .render_minor = 128, .memory = 1 << 30};
	static char buf[65536];
	const char *key;
	size_t size;

	assert_int_equal(kfd_topology(device, &args, buf, sizeof(buf), &size), 0);
	key = memmem(buf, size, "heap_type 1\nsize_in_bytes ", 26);
	assert_non_null(key);
	return strtoull(key + 26, NULL, 10);
}

/* The quota is changed and others of the tenant take VRAM: all answers say the same. */
static void test_vram_quota_changes(void **state)
{
	struct kfd_ioctl_get_available_memory_args m = {.gpu_id = GPU_ID};
	struct drm_amdgpu_info_vram_gtt sizes;
	struct drm_amdgpu_heap_info h;
	struct kfd_stats stats;
	uint64_t a, b;

	quota_limit = VRAM / 2;
	others_use = 1 << 20;
	assert_int_equal(alloc(VA, VRAM / 2 + 4096, FLAGS_VRAM, &a), -ENOMEM);
	assert_int_equal(charged, 0);
	assert_int_equal(alloc(VA, 2 << 20, FLAGS_VRAM, &a), 0);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, VRAM / 2 - (3 << 20));
	heap(&h, &sizes);
	assert_int_equal(h.total_heap_size, VRAM / 2);
	assert_int_equal(h.usable_heap_size, VRAM / 2);
	assert_int_equal(h.heap_usage, 3 << 20);
	assert_int_equal(sizes.vram_size, VRAM / 2);
	assert_int_equal(bank_size(), VRAM / 2);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.vram_size, VRAM / 2);

	quota_limit = 1 << 20; /* below what is used */
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, 0);
	assert_int_equal(alloc(VA + VRAM, 4096, FLAGS_VRAM, &b), -ENOMEM);
	assert_int_equal(charged, 2 << 20);
	assert_int_equal(MAP(a), 0); /* nothing is lost */
	assert_int_equal(UNMAP(a), 0);

	quota_limit = UINT64_MAX; /* a word that others write: never more than there is */
	others_use = UINT64_MAX - (16 << 20);
	heap(&h, &sizes);
	assert_int_equal(h.total_heap_size, VRAM);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, 0);
	others_use = 0;
	assert_int_equal(alloc(VA + VRAM, VRAM - (2 << 20), FLAGS_VRAM, &b), 0);
	assert_int_equal(CALL(AVAILABLE_MEMORY, &m), 0);
	assert_int_equal(m.available, 0);
}

static void test_system_memory_is_bounded(void **state)
{
	struct hsv_extent e = {GUEST_AT, 8192}, outside = {0, 8192};
	struct kfd_stats stats;
	uint64_t h, h2;
	size_t n;

	system_limit = 12288;
	assert_int_equal(alloc_full(VA, 8192, FLAGS_GTT, &e, 1, NULL, 0, &n, &h), 0);
	assert_int_equal(alloc_full(VA + 8192, 8192, FLAGS_USER, &e, 1, NULL, 0, &n, &h2), -ENOMEM);
	/* Also of buffers whose pages are to come later. */
	assert_int_equal(alloc_full(VA + 8192, 8192, FLAGS_GTT, NULL, 0, NULL, 0, &n, &h2),
			 -ENOMEM);
	system_limit = 16384;
	assert_int_equal(alloc_full(VA + 8192, 8192, FLAGS_GTT, &outside, 1, NULL, 0, &n, &h2),
			 -EFAULT); /* a failure counts nothing */
	assert_int_equal(alloc_full(VA + 8192, 8192, FLAGS_GTT, NULL, 0, NULL, 0, &n, &h2), 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.system_pinned, 16384);
	system_limit = 0; /* RAM was unplugged */
	assert_int_equal(alloc_full(VA + 16384, 4096, FLAGS_GTT, NULL, 0, NULL, 0, &n, &h2),
			 -ENOMEM);
	assert_int_equal(free_memory(h), 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.system_pinned, 8192);
}

static void test_vram_fragments(void **state)
{
	struct hsv_extent out[HSV_MAX_ARGS];
	uint64_t h[16], big;
	size_t n;

	for (int i = 0; i < 16; i++)
		assert_int_equal(alloc(VA + (uint64_t)i * (1 << 20), 1 << 20, FLAGS_VRAM, &h[i]),
				 0);
	for (int i = 0; i < 16; i += 2)
		assert_int_equal(free_memory(h[i]), 0);
	/* No room in the answer for that many extents: nothing is taken. */
	assert_int_equal(alloc_full(VA + VRAM, 4 << 20, FLAGS_VRAM, NULL, 0, out, 3, &n, &big),
			 -ENOMEM);
	assert_int_equal(charged, VRAM / 2);
	assert_int_equal(alloc_full(VA + VRAM, 4 << 20, FLAGS_VRAM, NULL, 0, out, 4, &n, &big), 0);
	assert_int_equal(n, 4);
	assert_int_equal(MAP(big), 0);
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(fake_translate(VA + VRAM + i * (1 << 20), NULL),
				 vram + out[i].addr);
	assert_int_equal(UNMAP(big), 0);
	assert_int_equal(free_memory(big), 0);
	for (int i = 1; i < 16; i += 2)
		assert_int_equal(free_memory(h[i]), 0);
	/* All coalesced again. */
	assert_int_equal(alloc_full(VA, VRAM, FLAGS_VRAM, NULL, 0, out, 1, &n, &big), 0);
	assert_int_equal(n, 1);
}

static void test_invalidate(void **state)
{
	struct hsv_extent e[2] = {{GUEST_AT + 0x10000, 4096}, {GUEST_AT + 0x30000, 4096}};
	uint64_t h = alloc_map(VA, 8192, FLAGS_USER), h2 = alloc_map(VA + 8192, 4096, FLAGS_USER);

	assert_int_equal(kfd_memory_invalidate(process, 123), -EINVAL);
	assert_int_equal(kfd_memory_restore(process, h, e, 2), -EINVAL); /* isn't invalid */
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(kfd_memory_invalidate(process, h2), 0);
	assert_int_equal(fake.suspended, 1);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(kfd_memory_restore(process, h, e, 1), 0);
	assert_null(fake_translate(VA, NULL)); /* the rest isn't there yet */
	assert_int_equal(kfd_memory_extend(process, h, e + 1, 1), 0);
	assert_ptr_equal(fake_translate(VA + 4096, NULL), guest + 0x30000);
	assert_int_equal(fake.suspended, 1);
	assert_int_equal(kfd_memory_restore(process, h2, NULL, 0), 0); /* gone */
	assert_int_equal(fake.suspended, 0);
	assert_null(fake_translate(VA + 8192, NULL));
	/* Freed while invalid: queues go on. */
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(UNMAP(h), 0);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(fake.suspended, 0);
}

/* A mapped buffer keeps its addresses while its pages are away: nothing else is mapped there, and
 * nothing that happens to it touches what is mapped elsewhere. */
static void test_stale_keeps_its_place(void **state)
{
	struct hsv_extent e = {GUEST_AT + 0x10000, 8192};
	uint64_t h = alloc_map(VA, 8192, FLAGS_USER), h2, h3, s;

	assert_int_equal(alloc(VA + 4096, 4096, FLAGS_VRAM, &h2), 0);
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(MAP(h2), -EINVAL);
	assert_int_equal(kfd_memory_restore(process, h, &e, 1), 0);
	assert_ptr_equal(fake_translate(VA + 4096, NULL), guest + 0x11000);
	/* Gone for good: only after its unmap is there room. */
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(kfd_memory_restore(process, h, NULL, 0), 0);
	assert_int_equal(MAP(h2), -EINVAL);
	assert_int_equal(UNMAP(h), 0);
	assert_int_equal(MAP(h2), 0);
	assert_int_equal(MAP(h), -EINVAL);
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(kfd_memory_restore(process, h, &e, 1), 0);
	assert_int_equal(free_memory(h), 0);
	assert_non_null(fake_translate(VA + 4096, NULL));
	assert_int_equal(UNMAP(h2), 0);
	/* Memory that the VM lost. */
	h = alloc_map(VA, 8192, FLAGS_USER);
	kfd_device_revoke(device, guest, GUEST);
	assert_int_equal(MAP(h2), -EINVAL);
	assert_int_equal(UNMAP(h), 0);
	assert_int_equal(MAP(h2), 0);
	assert_int_equal(UNMAP(h2), 0);
	/* An SVM object the GPU may not access yet. */
	assert_int_equal(alloc(VA + 0x10000, 4096, FLAGS_VRAM, &h3), 0);
	assert_int_equal(alloc(VA + 0x10000, 4096, FLAGS_USER | HSV_KFD_ALLOC_SVM, &s), 0);
	assert_int_equal(MAP(h3), -EINVAL);
	assert_int_equal(free_memory(s), 0);
	assert_int_equal(MAP(h3), 0);
}

/* However many buffers and pieces of memory a tenant names, our memory has an end. */
static void test_records_are_bounded(void **state)
{
	struct hsv_extent e[16];
	size_t before = atomic_load(&device->records), n;
	uint64_t h, h2;

	for (size_t i = 0; i < 16; i++)
		e[i] = (struct hsv_extent){GUEST_AT + 8192 * i, 4096};
	atomic_store(&device->records, KFD_MAX_RECORDS - sizeof(struct kfd_memory) - 256);
	assert_int_equal(alloc_full(VA, 16 * 4096, FLAGS_USER, e, 16, NULL, 0, &n, &h), 0);
	assert_int_equal(atomic_load(&device->records), KFD_MAX_RECORDS);
	assert_int_equal(alloc_full(VA + 0x100000, 4096, FLAGS_USER, e, 1, NULL, 0, &n, &h2),
			 -ENOMEM);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(alloc_full(VA, 18 * 4096, FLAGS_USER, e, 16, NULL, 0, &n, &h), 0);
	assert_int_equal(kfd_memory_extend(process, h, e, 1), -ENOMEM);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(atomic_load(&device->records),
			 KFD_MAX_RECORDS - sizeof(struct kfd_memory) - 256);
	atomic_store(&device->records, before);
}

static void test_revoke(void **state)
{
	alloc_map(VA, 65536, FLAGS_USER);
	kfd_device_revoke(device, guest + GUEST / 2, 4096);
	assert_int_equal(fake_mapped_bytes(), 65536);
	kfd_device_revoke(device, guest + 4096, 4096);
	assert_int_equal(fake_mapped_bytes(), 65536 - 4096);
	assert_non_null(fake_translate(VA, NULL));
	assert_null(fake_translate(VA + 4096, NULL));
	assert_ptr_equal(fake_translate(VA + 8192, NULL), guest + 8192);
	kfd_device_revoke(device, guest + 32768, GUEST / 2);
	assert_int_equal(fake_mapped_bytes(), 32768 - 4096);
	kfd_device_revoke(device, guest, GUEST);
	assert_int_equal(fake_mapped_bytes(), 0);
}

static void *revoker(void *arg)
{
	while (!atomic_load((_Atomic bool *)arg))
		kfd_device_revoke(device, guest, 4096);
	return NULL;
}

/* A VM loses memory while its processes come and go. */
static void test_revoke_races_destroy(void **state)
{
	_Atomic bool stop = false;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, revoker, &stop), 0);
	for (int i = 0; i < 2000; i++) {
		struct kfd_process *p, *kept = process;

		assert_int_equal(kfd_process_create(device, 2, NULL, 1, "x", &p), 0);
		process = p;
		acquire();
		alloc_map(VA, 8192, FLAGS_USER);
		kfd_process_destroy(p);
		process = kept;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

static struct kfd_ioctl_create_queue_args queue_args(void)
{
	return (struct kfd_ioctl_create_queue_args){
		.gpu_id = GPU_ID,
		.queue_type = KFD_IOC_QUEUE_TYPE_COMPUTE_AQL,
		.ring_base_address = VA,
		.ring_size = 4096,
		.write_pointer_address = VA + 0x1038,
		.read_pointer_address = VA + 0x1080,
		.queue_percentage = 100,
		.queue_priority = 7,
		.ctx_save_restore_address = VA + 0x2000,
		.ctx_save_restore_size = 4096,
		.eop_buffer_address = VA + 0x3000,
		.eop_buffer_size = 4096,
	};
}

static void test_queue_bad(void **state)
{
	struct kfd_ioctl_create_queue_args a;

	alloc_map(VA, 0x4000, FLAGS_USER);
#define BAD(err, ...)                                                                              \
	do {                                                                                       \
		a = queue_args();                                                                  \
		__VA_ARGS__;                                                                       \
		assert_int_equal(CALL(CREATE_QUEUE, &a), err);                                     \
	} while (0)
	BAD(-EINVAL, a.queue_percentage = 101);
	BAD(-EINVAL, a.queue_priority = 16);
	BAD(-EINVAL, a.ring_size = 4095);
	BAD(-EINVAL, a.ring_size = 0);
	BAD(-EINVAL, a.ring_size = 0x8000);
	BAD(-EINVAL, a.ring_base_address = VA + 8);
	BAD(-EFAULT, a.ring_base_address = ~0ull - 4096);
	BAD(-EFAULT, a.read_pointer_address = 1ull << 63);
	BAD(-EINVAL, a.read_pointer_address = VA + 0x1081);
	BAD(-EINVAL, a.write_pointer_address = VA + 0x4000);
	BAD(-EINVAL, a.gpu_id = 1);
	BAD(-KFD_ENOTSUPP, a.queue_type = 5);
	BAD(-EINVAL, a.ctx_save_restore_address = VA + 0x9000);
	BAD(-EINVAL, a.ctx_save_restore_size = 0x10000);
	BAD(-EFAULT, a.eop_buffer_size = ~0ull);
	BAD(-EINVAL, a.eop_buffer_size = 0x2000);
#undef BAD
	assert_int_equal(fake.queues, 0);
}

static void test_queue(void **state)
{
	struct kfd_ioctl_create_queue_args a = queue_args(), b = queue_args();
	struct kfd_ioctl_update_queue_args u = {.queue_id = 9, .queue_percentage = 50};
	struct kfd_ioctl_set_cu_mask_args m = {.queue_id = 0, .num_cu_mask = 33};
	struct kfd_ioctl_destroy_queue_args d = {.queue_id = 9};
	struct kfd_ioctl_set_xnack_mode_args x = {.xnack_enabled = 0};
	struct kfd_ioctl_get_queue_wave_state_args w = {.queue_id = 9};
	struct kfd_ioctl_alloc_queue_gws_args g = {.queue_id = 0};
	uint32_t mask[2] = {5, 6};

	alloc_map(VA, 0x4000, FLAGS_USER);
	assert_int_equal(CALL(CREATE_QUEUE, &a), 0);
	assert_int_equal(a.queue_id, 0);
	assert_ptr_equal(fake.desc.doorbell, doorbells + HSV_DOORBELL_SLOT);
	assert_int_equal(fake.desc.type, GPU_QUEUE_AQL);
	assert_false(fake.desc.error_events);
	assert_int_equal(CALL(CREATE_QUEUE, &b), 0);
	assert_int_equal(b.queue_id, 1);
	assert_true(b.doorbell_offset == (3ull << 62 | (uint64_t)GPU_ID << 46 | 8));
	assert_true(fake.wakes > 0);
	assert_int_equal(CALL(SET_XNACK_MODE, &x), -EBUSY);
	assert_int_equal(CALL(GET_QUEUE_WAVE_STATE, &w), -EFAULT);
	assert_int_equal(CALL(ALLOC_QUEUE_GWS, &g), -EINVAL); /* nothing to take back */
	g.num_gws = 64;
	assert_int_equal(CALL(ALLOC_QUEUE_GWS, &g), 0);
	assert_int_equal(g.first_gws, 0);
	g.queue_id = 1;
	assert_int_equal(CALL(ALLOC_QUEUE_GWS, &g), -EBUSY); /* one queue of a process */
	g.queue_id = 0;
	g.num_gws = 0;
	assert_int_equal(CALL(ALLOC_QUEUE_GWS, &g), 0);
	g.queue_id = 1;
	g.num_gws = 64;
	assert_int_equal(CALL(ALLOC_QUEUE_GWS, &g), 0);
	g.queue_id = 77;
	assert_int_equal(CALL(ALLOC_QUEUE_GWS, &g), -EINVAL);

	assert_int_equal(CALL(UPDATE_QUEUE, &u), -EFAULT);
	u.queue_id = 1;
	assert_int_equal(CALL(UPDATE_QUEUE, &u), 0); /* no ring: the thunk's way to disable */
	assert_int_equal(fake.desc.percent, 0);
	u.ring_base_address = VA;
	u.ring_size = 2048;
	assert_int_equal(CALL(UPDATE_QUEUE, &u), 0);
	assert_int_equal(fake.desc.percent, 50);
	assert_int_equal(fake.desc.ring_size, 2048);
	u.ring_base_address = VA + 0x100000;
	assert_int_equal(CALL(UPDATE_QUEUE, &u), -EFAULT);
	u.ring_size = 3000;
	assert_int_equal(CALL(UPDATE_QUEUE, &u), -EINVAL);

	assert_int_equal(CALL(SET_CU_MASK, &m), -EINVAL);
	m.num_cu_mask = 64;
	assert_int_equal(CALL(SET_CU_MASK, &m), -EFAULT);
	assert_int_equal(ioctl_arrays(_IOC_NR(AMDKFD_IOC_SET_CU_MASK), &m, sizeof(m), mask,
				      sizeof(mask), NULL, 0, NULL),
			 0);
	assert_int_equal(fake.mask[1], 6);

	assert_int_equal(CALL(DESTROY_QUEUE, &d), -EINVAL);
	d.queue_id = 0;
	assert_int_equal(CALL(DESTROY_QUEUE, &d), 0);
	assert_int_equal(CALL(DESTROY_QUEUE, &d), -EINVAL);
	assert_int_equal(fake.queues, 1);
}

static void test_queue_limits(void **state)
{
	struct kfd_ioctl_create_queue_args a;

	alloc_map(VA, 0x4000, FLAGS_USER);
	for (int i = 0; i < 4; i++) {
		a = queue_args();
		a.queue_type = KFD_IOC_QUEUE_TYPE_SDMA;
		assert_int_equal(CALL(CREATE_QUEUE, &a), 0);
	}
	a.queue_type = KFD_IOC_QUEUE_TYPE_SDMA;
	assert_int_equal(CALL(CREATE_QUEUE, &a), -ENOMEM); /* 2 engines of 2 queues */
	for (unsigned i = 4; i < KFD_MAX_QUEUES; i++) {
		a = queue_args();
		assert_int_equal(CALL(CREATE_QUEUE, &a), 0);
	}
	assert_int_equal(CALL(CREATE_QUEUE, &a), -ENOMEM);
}

static int svm(uint32_t op, uint64_t start, uint64_t size, struct kfd_ioctl_svm_attribute *attrs,
	       uint32_t n)
{
	struct kfd_ioctl_svm_args a = {.start_addr = start, .size = size, .op = op, .nattr = n};

	return ioctl_arrays(_IOC_NR(AMDKFD_IOC_SVM), &a, sizeof(a), attrs, n * sizeof(*attrs),
			    attrs, n * sizeof(*attrs), NULL);
}

static void test_svm(void **state)
{
	struct kfd_ioctl_svm_attribute access[2] = {
		{KFD_IOCTL_SVM_ATTR_ACCESS, GPU_ID},
		{KFD_IOCTL_SVM_ATTR_SET_FLAGS, KFD_IOCTL_SVM_FLAG_GPU_EXEC},
	};
	struct kfd_ioctl_svm_attribute none = {KFD_IOCTL_SVM_ATTR_NO_ACCESS, GPU_ID};
	struct kfd_ioctl_svm_attribute bad = {KFD_IOCTL_SVM_ATTR_ACCESS, 1}, q[3];
	struct kfd_ioctl_svm_attribute hint = {KFD_IOCTL_SVM_ATTR_PREFETCH_LOC, GPU_ID};
	uint32_t flags = FLAGS_USER | HSV_KFD_ALLOC_SVM;
	int maps;
	uint64_t h, h2;
	unsigned prot;

	assert_int_equal(svm(0, VA, 0, access, 2), -EINVAL);
	assert_int_equal(svm(0, 0, 4096, access, 2), -EINVAL);
	assert_int_equal(svm(7, VA, 4096, access, 2), -EINVAL);
	assert_int_equal(svm(0, VA, 4096, access, 2), -EFAULT); /* nobody vouched for the pages */
	assert_int_equal(alloc(VA, 65536, flags, &h), 0);
	assert_int_equal(alloc(VA + 4096, 4096, flags, &h2), -EEXIST);
	assert_int_equal(alloc(VA + 61440, 8192, flags, &h2), -EADDRINUSE);
	assert_int_equal(alloc(VA + 4096, 4096, FLAGS_VRAM, &h2), -EADDRINUSE);
	assert_int_equal(svm(0, VA, 65536, &bad, 1), -EINVAL);
	assert_int_equal(MAP(h), -EINVAL);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(svm(0, VA, 65536, access, 2), 0);
	assert_int_equal(fake_mapped_bytes(), 65536);
	assert_non_null(fake_translate(VA, &prot));
	assert_int_equal(prot, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC);
	/* A hole in the middle. */
	assert_int_equal(svm(0, VA + 8192, 4096, &none, 1), 0);
	assert_null(fake_translate(VA + 8192, NULL));
	assert_ptr_equal(fake_translate(VA + 12288, NULL), guest + 12288);
	assert_int_equal(fake_mapped_bytes(), 61440);
	/* A hint leaves the page table alone: a kernel may run. */
	maps = fake.maps;
	assert_int_equal(svm(0, VA, 65536, &hint, 1), 0);
	assert_int_equal(fake.maps, maps);
	assert_int_equal(fake.suspended, 0);
	q[0] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_ACCESS, GPU_ID};
	q[1] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_SET_FLAGS, 0};
	q[2] = (struct kfd_ioctl_svm_attribute){KFD_IOCTL_SVM_ATTR_GRANULARITY, 0};
	assert_int_equal(svm(1, VA, 8192, q, 3), 0);
	assert_int_equal(q[0].type, KFD_IOCTL_SVM_ATTR_ACCESS);
	assert_true(q[1].value & KFD_IOCTL_SVM_FLAG_GPU_EXEC);
	assert_int_equal(q[2].value, 9);
	assert_int_equal(svm(1, VA, 65536, q, 1), 0);
	assert_int_equal(q[0].type, KFD_IOCTL_SVM_ATTR_NO_ACCESS);
	assert_int_equal(svm(1, VA, 65536, q, 1), -EINVAL); /* NO_ACCESS can't be asked */
	/* Invalidated and back: the hole stays one. */
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(kfd_memory_restore(process, h, &(struct hsv_extent){GUEST_AT, 65536}, 1),
			 0);
	assert_int_equal(fake_mapped_bytes(), 61440);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(fake_mapped_bytes(), 0);
	assert_int_equal(svm(0, VA, 4096, access, 2), -EFAULT);
	/* A buffer's range isn't SVM. */
	alloc_map(VA, 4096, FLAGS_USER);
	assert_int_equal(svm(0, VA, 4096, access, 2), -EADDRINUSE);
	assert_int_equal(alloc(VA, 4096, flags, &h), -EADDRINUSE);
}

/* A part of an SVM range is unmapped: that is a hole, with no attributes; the rest stays, and the hole can be filled. */
static void test_svm_holes(void **state)
{
	struct hsv_extent whole = {GUEST_AT, 16384},
			  holes[3] = {{GUEST_AT, 4096}, {HSV_EXTENT_HOLE, 8192}, {GUEST_AT + 12288, 4096}};
	struct {
		struct kfd_ioctl_svm_args args;
		struct kfd_ioctl_svm_attribute attr;
	} s = {.args = {.start_addr = VA, .size = 16384, .op = KFD_IOCTL_SVM_OP_SET_ATTR, .nattr = 1}, .attr = {KFD_IOCTL_SVM_ATTR_ACCESS, GPU_ID}}, out;
	struct kfd_ioctl_alloc_memory_of_gpu_args a = {
		.va_addr = VA, .mmap_offset = VA, .size = 16384, .gpu_id = GPU_ID, .flags = FLAGS_USER | HSV_KFD_ALLOC_SVM};
	uint64_t user;

#define SVM() ioctl_arrays(_IOC_NR(AMDKFD_IOC_SVM), &s.args, sizeof(s.args), &s.attr, sizeof(s.attr), &out.attr, sizeof(out.attr), NULL)
	assert_int_equal(ioctl_arrays(_IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &a, sizeof(a), &whole, sizeof(whole), NULL, 0, NULL), 0);
	assert_int_equal(SVM(), 0);
	assert_ptr_equal(fake_translate(VA + 4096, NULL), guest + 4096);
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	holes[1].size = 12288; /* too much */
	assert_int_equal(kfd_memory_restore(process, a.handle, holes, 3), -EINVAL);
	holes[1].size = 8192;
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(kfd_memory_restore(process, a.handle, holes, 3), 0);
	assert_ptr_equal(fake_translate(VA, NULL), guest);
	assert_null(fake_translate(VA + 4096, NULL));
	assert_ptr_equal(fake_translate(VA + 12288, NULL), guest + 12288);
	s.args.op = KFD_IOCTL_SVM_OP_GET_ATTR;
	s.args.start_addr = VA + 4096;
	s.args.size = 8192;
	assert_int_equal(SVM(), 0);
	assert_int_equal(out.attr.type, KFD_IOCTL_SVM_ATTR_NO_ACCESS);
	s.args.op = KFD_IOCTL_SVM_OP_SET_ATTR;
	assert_int_equal(SVM(), -EFAULT);
	assert_int_equal(alloc(VA + 4096, 8192, FLAGS_VRAM, &user), 0); /* there is room for a buffer */
	assert_int_equal(free_memory(user), 0);
	assert_int_equal(alloc(VA + 4096, 12288, FLAGS_VRAM, &user), -EADDRINUSE);
	/* While the range's pages are away, too; and what is mapped in a hole is none of the range's affair. */
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(alloc(VA, 4096, FLAGS_VRAM, &user), -EADDRINUSE);
	assert_int_equal(alloc(VA + 4096, 8192, FLAGS_VRAM, &user), 0);
	assert_int_equal(MAP(user), 0);
	assert_int_equal(kfd_memory_extend(process, a.handle, &whole, 1), -EINVAL);
	assert_int_equal(kfd_memory_restore(process, a.handle, holes, 3), 0);
	assert_int_equal(fake_mapped_bytes(), 16384);
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(fake_mapped_bytes(), 8192);
	assert_int_equal(kfd_memory_restore(process, a.handle, holes, 3), 0);
	assert_ptr_equal(fake_translate(VA + 12288, NULL), guest + 12288);
	assert_int_equal(UNMAP(user), 0);
	assert_int_equal(free_memory(user), 0);
	assert_int_equal(kfd_memory_invalidate(process, a.handle), 0);
	assert_int_equal(kfd_memory_restore(process, a.handle, &whole, 1), 0);
	assert_null(fake_translate(VA + 4096, NULL)); /* until it has attributes again */
	s.args.op = KFD_IOCTL_SVM_OP_SET_ATTR;
	assert_int_equal(SVM(), 0);
	assert_ptr_equal(fake_translate(VA + 8192, NULL), guest + 8192);
	assert_int_equal(free_memory(a.handle), 0);
	/* Of other buffers there are no holes. */
	assert_int_equal(alloc_full(VA, 16384, FLAGS_USER, holes, 3, NULL, 0, NULL, &user), -EINVAL);
#undef SVM
}

static void test_processes(void **state)
{
	struct kfd_process *p;
	struct kfd_stats stats;

	assert_int_equal(kfd_process_create(device, 4, NULL, 1, "x", &p), -EINVAL);
	assert_int_equal(kfd_process_create(device, 1, NULL, 1, "x", &p), -EBUSY);
	doorbells[2 * HSV_DOORBELL_SLOT] = 5;
	assert_int_equal(kfd_process_create(device, 2, NULL, 1, "x\n", &p), 0);
	assert_int_equal(doorbells[2 * HSV_DOORBELL_SLOT], 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.processes, 2);
	kfd_process_destroy(p);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.dispatches, 6); /* one alive, one ended */
	assert_int_equal(stats.packets, 18);
	assert_int_equal(stats.page_waits, 12);
	assert_int_equal(stats.page_invalidations, 14);
	assert_int_equal(stats.pages_taken, 16);
	pdd_wake(&process->pdds[0]); /* as its first queue would */
	assert_int_equal(kfd_process_parked(process), -EAGAIN);
	fake.park_answer = true;
	assert_int_equal(kfd_process_parked(process), 0);
	kfd_process_unpark(process);
	assert_int_equal(fake.wakes, 2);
}

static void test_callbacks(void **state)
{
	struct gpu_memory_fault fault = {.va = VA, .not_present = true};

	/* The vm of setup's process. */
	fake.ops->signal_event(fake.ctx, 7);
	assert_int_equal(events_seen, 7);
	fake.ops->memory_fault(fake.ctx, &fault); /* no op given: only logged */
	fake.ops->idle(fake.ctx);
}

/* A queue's own notice is enough where it has one. */
static void test_hw_exception(void **state)
{
	struct kfd_ioctl_create_queue_args a;
	static const struct {
		uint32_t type;
		int told;
	} kinds[] = {
		{KFD_IOC_QUEUE_TYPE_COMPUTE_AQL, 0},
		{KFD_IOC_QUEUE_TYPE_SDMA, 1},
		{KFD_IOC_QUEUE_TYPE_COMPUTE, 1},
	};

	alloc_map(VA, 0x4000, FLAGS_USER);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		a = queue_args();
		a.queue_type = kinds[i].type;
		assert_int_equal(CALL(CREATE_QUEUE, &a), 0);
		exceptions = 0;
		fake.ops->queue_error(fake.ctx, a.queue_id, 1, 0);
		assert_int_equal(exceptions, kinds[i].told);
	}
	exceptions = 0;
	fake.ops->queue_error(fake.ctx, UINT32_MAX, 1, 0);
	assert_int_equal(exceptions, 0);
}

static void test_drm(void **state)
{
	struct drm_amdgpu_info info = {.query = AMDGPU_INFO_DEV_INFO, .return_size = 4096};
	struct drm_amdgpu_info_device dev;
	struct drm_amdgpu_memory_info memory;
	uint8_t out[1024];
	size_t size;
	uint64_t h;

	info.return_size = 0;
	assert_int_equal(kfd_drm_info(device, 0, &info, out, sizeof(out), &size), -EINVAL);
	info.return_size = 4096;
	info.query = 0x7777;
	assert_int_equal(kfd_drm_info(device, 0, &info, out, sizeof(out), &size), -EINVAL);
	info.query = AMDGPU_INFO_READ_MMR_REG;
	info.read_mmr_reg.count = 128;
	assert_int_equal(kfd_drm_info(device, 0, &info, out, sizeof(out), &size), -EINVAL);
	info.query = AMDGPU_INFO_DEV_INFO;
	assert_int_equal(kfd_drm_info(device, 0, &info, &dev, sizeof(dev), &size), 0);
	assert_int_equal(size, sizeof(dev));
	assert_int_equal(dev.device_id, 0x740f);
	assert_int_equal(dev.gpu_counter_freq, 100000);
	info.return_size = 3;
	memset(out, 0xee, sizeof(out));
	assert_int_equal(kfd_drm_info(device, 0, &info, out, sizeof(out), &size), 0);
	assert_int_equal(size, 3);
	assert_int_equal(out[3], 0xee);
	assert_int_equal(alloc(VA, 8192, FLAGS_VRAM, &h), 0);
	info.query = AMDGPU_INFO_MEMORY;
	info.return_size = sizeof(memory);
	assert_int_equal(kfd_drm_info(device, 0, &info, &memory, sizeof(memory), &size), 0);
	assert_int_equal(memory.vram.total_heap_size, VRAM);
	assert_int_equal(memory.vram.heap_usage, 8192);
}

static void test_topology(void **state)
{
	struct hsv_topology_args args = {.cpus = 3, .render_minor = 128, .memory = 1 << 30};
	struct hsv_topology_file file;
	size_t need, size;
	bool gpu = false;
	uint8_t *buf;

	assert_int_equal(kfd_topology(device, &args, NULL, 0, &need), -ENOSPC);
	buf = malloc(need);
	assert_int_equal(kfd_topology(device, &args, buf, need - 1, &size), -ENOSPC);
	assert_int_equal(kfd_topology(device, &args, buf, need, &size), 0);
	assert_int_equal(size, need);
	for (size_t at = 0; at < size;) {
		char path[128] = "", *text;

		memcpy(&file, buf + at, sizeof(file));
		at += sizeof(file);
		assert_true(file.path_size && file.path_size < sizeof(path));
		memcpy(path, buf + at, file.path_size);
		at += file.path_size;
		text = strndup((char *)buf + at, file.content_size);
		at += file.content_size;
		at = (at + 3) & ~(size_t)3;
		assert_true(strlen(text) == file.content_size && text[strlen(text) - 1] == '\n');
		if (!strcmp(path, "nodes/1/properties")) {
			gpu = true;
			assert_non_null(strstr(text, "gfx_target_version 90010\n"));
			assert_non_null(strstr(text, "simd_count 16\n"));
			assert_non_null(strstr(text, "drm_render_minor 128\n"));
		}
		free(text);
	}
	assert_true(gpu);
	free(buf);
}

/* The second process of the sharing tests, at slot 2. */
static struct kfd_process *make_other(void)
{
	struct kfd_ioctl_acquire_vm_args a = {.gpu_id = GPU_ID, .drm_fd = 8};
	struct kfd_process *other;

	assert_int_equal(kfd_process_create(device, 2, NULL, 43, "other", &other), 0);
	assert_int_equal(core_request(other, _IOC_NR(AMDKFD_IOC_ACQUIRE_VM), &a, sizeof(a), NULL, 0, NULL, 0, NULL), 0);
	return other;
}

static int export_dmabuf(uint64_t handle, uint32_t *share)
{
	struct kfd_ioctl_export_dmabuf_args a = {.handle = handle};
	int err = CALL(EXPORT_DMABUF, &a);

	*share = a.dmabuf_fd;
	return err;
}

static int import_dmabuf(struct kfd_process *p, uint32_t share, uint64_t va, struct hsv_extent *out, size_t max, uint64_t *handle)
{
	struct kfd_ioctl_import_dmabuf_args a = {.va_addr = va, .gpu_id = GPU_ID, .dmabuf_fd = share};
	size_t bytes;
	int err = core_request(p, _IOC_NR(AMDKFD_IOC_IMPORT_DMABUF), &a, sizeof(a), NULL, 0, out, max * sizeof(*out), &bytes);

	*handle = a.handle;
	if (!err)
		assert_int_equal(bytes, sizeof(*out));
	return err;
}

static int free_of(struct kfd_process *p, uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args a = {.handle = handle};

	return core_request(p, _IOC_NR(AMDKFD_IOC_FREE_MEMORY_OF_GPU), &a, sizeof(a), NULL, 0, NULL, 0, NULL);
}

static void test_share_dmabuf(void **state)
{
	struct kfd_process *other = make_other();
	struct kfd_ioctl_import_dmabuf_args wrong = {.va_addr = VA, .gpu_id = 3};
	struct kfd_stats stats;
	struct hsv_extent e = {0};
	uint64_t h, theirs, again, user, gtt;
	uint32_t share, twice;

	assert_int_equal(export_dmabuf(77, &share), -EINVAL);
	assert_int_equal(alloc(VA + (1 << 20), 4096, FLAGS_USER, &user), 0);
	assert_int_equal(export_dmabuf(user, &share), -EPERM);
	assert_int_equal(alloc(VA + (2 << 20), 4096, FLAGS_GTT, &gtt), 0);
	assert_int_equal(export_dmabuf(gtt, &share), -EINVAL); /* GTT is the front end's to share */
	assert_int_equal(alloc(VA, 8192, FLAGS_VRAM, &h), 0);
	assert_int_equal(import_dmabuf(other, 1, VA, &e, 1, &theirs), -EINVAL);
	assert_int_equal(export_dmabuf(h, &share), 0);
	assert_int_not_equal(share, 0);
	assert_int_equal(export_dmabuf(h, &twice), 0);
	assert_int_equal(twice, share);

	assert_int_equal(core_request(other, _IOC_NR(AMDKFD_IOC_IMPORT_DMABUF), &wrong, sizeof(wrong), NULL, 0, NULL, 0, NULL), -EINVAL);
	assert_int_equal(import_dmabuf(other, share + 1, VA, &e, 1, &theirs), -EINVAL);
	assert_int_equal(import_dmabuf(other, share, VA + 1, &e, 1, &theirs), -EINVAL);
	assert_int_equal(import_dmabuf(other, share, KFD_VA_END - 4096, &e, 1, &theirs), -EINVAL);
	assert_int_equal(import_dmabuf(other, share, VA, NULL, 0, &theirs), -EFAULT);
	assert_int_equal(import_dmabuf(other, share, VA + 4096, &e, 1, &theirs), 0);
	assert_int_equal(e.size, 8192);
	assert_int_equal(import_dmabuf(other, share, VA + (4 << 20), &e, 1, &again), 0);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.vram_used, 8192); /* once, whoever has it */
	assert_int_equal(charged, 8192);
	memset(vram + e.addr, 0x5a, 8192);

	/* The maker goes; the memory stays as it is until the last goes, too. */
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(kfd_device_share_put(device, share), 0);
	assert_int_equal(kfd_device_share_put(device, share), 0);
	assert_int_equal(kfd_device_share_put(device, share), -EINVAL);
	assert_int_equal(kfd_device_share_put(device, 0), -EINVAL);
	assert_int_equal(kfd_device_share_put(device, 99999), -EINVAL);
	assert_int_equal(import_dmabuf(other, share, VA, &e, 1, &again), -EINVAL); /* no dma-buf any more */
	assert_int_equal(vram[e.addr], 0x5a);
	assert_int_equal(free_of(other, theirs), 0);
	assert_int_equal(vram[e.addr], 0x5a);
	kfd_process_destroy(other);
	assert_int_equal(vram[e.addr], 0);
	assert_int_equal(charged, 0);
	/* A dma-buf alone keeps it, too, beyond its process. */
	assert_int_equal(alloc(VA, 8192, FLAGS_VRAM, &h), 0);
	assert_int_equal(export_dmabuf(h, &share), 0);
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(charged, 8192);
	assert_int_equal(kfd_device_share_put(device, share), 0);
	assert_int_equal(charged, 0);
}

static void test_share_ipc(void **state)
{
	struct kfd_process *other = make_other();
	struct kfd_ioctl_ipc_export_handle_args e = {.gpu_id = GPU_ID, .flags = 0x1234}, e2;
	struct kfd_ioctl_ipc_import_handle_args i = {.va_addr = VA, .gpu_id = GPU_ID}, bad;
	struct kfd_ioctl_map_memory_to_gpu_args m = {.n_devices = 1};
	struct hsv_extent out[4];
	uint32_t gpu = GPU_ID;
	size_t bytes;
	uint64_t h;

#define IMPORT_IPC(a) core_request(other, _IOC_NR(AMDKFD_IOC_IPC_IMPORT_HANDLE), a, sizeof(*(a)), NULL, 0, out, sizeof(out), &bytes)
	assert_int_equal(CALL(IPC_EXPORT_HANDLE, &e), -EINVAL);
	assert_int_equal(alloc(VA, 4096, FLAGS_VRAM, &h), 0);
	e.handle = h;
	e.gpu_id = 9;
	assert_int_equal(CALL(IPC_EXPORT_HANDLE, &e), -EINVAL);
	assert_int_equal(IMPORT_IPC(&i), -EINVAL);
	e.gpu_id = GPU_ID;
	assert_int_equal(CALL(IPC_EXPORT_HANDLE, &e), 0);
	e2 = e;
	e2.flags = 0;
	memset(e2.share_handle, 0, sizeof(e2.share_handle));
	assert_int_equal(CALL(IPC_EXPORT_HANDLE, &e2), 0);
	assert_memory_equal(e.share_handle, e2.share_handle, sizeof(e.share_handle)); /* the same buffer, the same handle */
	memcpy(i.share_handle, e.share_handle, sizeof(e.share_handle));
	bad = i;
	bad.gpu_id = 9;
	assert_int_equal(IMPORT_IPC(&bad), -EINVAL);
	bad = i;
	bad.share_handle[2] ^= 1;
	assert_int_equal(IMPORT_IPC(&bad), -EINVAL);
	assert_int_equal(IMPORT_IPC(&i), 0);
	assert_int_equal(bytes, sizeof(out[0]));
	assert_int_equal(i.flags, 0x1234);
	m.handle = i.handle;
	assert_int_equal(core_request(other, _IOC_NR(AMDKFD_IOC_MAP_MEMORY_TO_GPU), &m, sizeof(m), &gpu, sizeof(gpu), NULL, 0, NULL), 0);
	assert_int_equal(free_of(other, i.handle), -EBUSY);
	vram[out[0].addr] = 7;
	assert_int_equal(free_memory(h), 0);
	assert_int_equal(vram[out[0].addr], 7);
	/* As long as somebody has the buffer the handle is good. */
	bad = i;
	bad.va_addr = VA + (1 << 20);
	assert_int_equal(IMPORT_IPC(&bad), 0);
	kfd_process_destroy(other);
	assert_int_equal(charged, 0);
	other = make_other();
	assert_int_equal(IMPORT_IPC(&i), -EINVAL);
	kfd_process_destroy(other);
#undef IMPORT_IPC
}

#define TEST(f)	      cmocka_unit_test_setup_teardown(f, setup_acquired, teardown)
#define TEST_FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unknown_ioctls),
		TEST(test_garbage),
		TEST(test_version_clock_apertures),
		TEST_FRESH(test_acquire),
		TEST(test_small_ones),
		TEST(test_alloc_bad),
		TEST(test_map_bad),
		TEST(test_protection),
		TEST(test_vram_zeroed_and_quota),
		TEST(test_vram_fragments),
		TEST(test_vram_quota_changes),
		TEST(test_system_memory_is_bounded),
		TEST(test_invalidate),
		TEST(test_stale_keeps_its_place),
		TEST(test_records_are_bounded),
		TEST(test_revoke),
		TEST(test_revoke_races_destroy),
		TEST(test_queue_bad),
		TEST(test_queue),
		TEST(test_queue_limits),
		TEST(test_svm),
		TEST(test_processes),
		TEST(test_callbacks),
		TEST(test_hw_exception),
		TEST(test_drm),
		TEST(test_topology),
		TEST(test_svm_holes),
		TEST(test_share_dmabuf),
		TEST(test_share_ipc),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
