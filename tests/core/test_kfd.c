// SPDX-License-Identifier: MIT
/*
 * test_kfd.c - every KFD request against a GPU that only remembers: bad input first, then what it
 * must do to the GPU. Requests about memory: test_memory.c.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "tests/core/one.h"

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
	struct hsv_topology_args args = {.cpus = 3, .render_minors = {128, 129}, .memory = 1 << 30};
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unknown_ioctls),
		TEST(test_garbage),
		TEST(test_version_clock_apertures),
		TEST_FRESH(test_acquire),
		TEST(test_small_ones),
		TEST(test_queue_bad),
		TEST(test_queue),
		TEST(test_queue_limits),
		TEST(test_processes),
		TEST(test_callbacks),
		TEST(test_hw_exception),
		TEST(test_drm),
		TEST(test_topology),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
