// SPDX-License-Identifier: MIT
/*
 * test_gpus.c - a device with two GPUs: what each request means for which of them, and buffers of one that the other sees.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "core/events.h"
#include "core/internal.h"
#include "tests/core/fake_gpu.h"
#include "tests/core/request.h"

#define GPU_A 0x1111
#define GPU_B 0x2222
#define VRAM  (16ull << 20)
#define RAM   (1ull << 20)
#define VA    0x10000000ull
#define FLAGS (KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE)

static struct kfd_device *device;
static struct kfd_process *process;
static uint8_t *vram[2], *doorbells[2], *ram;
static int64_t charged[2];
static uint32_t fault_gpu, exception_gpu, report_gpu;
static int idles, requests;

static void *resolve(void *ctx, uint64_t addr, uint64_t size)
{
	return addr < RAM && size <= RAM - addr ? ram + addr : NULL;
}

static int charge(void *gpu_ctx, int64_t bytes)
{
	*(int64_t *)gpu_ctx += bytes;
	return 0;
}

static void quota(void *gpu_ctx, uint64_t *limit, uint64_t *used)
{
	if (gpu_ctx == &charged[1])
		*limit = VRAM / 2;
}

static void on_fault(void *ctx, uint32_t gpu_id, const struct gpu_memory_fault *fault)
{
	fault_gpu = gpu_id;
}

static void on_exception(void *ctx, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause)
{
	exception_gpu = gpu_id;
}

static void on_report(void *gpu_ctx, const struct kfd_fault *fault)
{
	assert_ptr_equal(gpu_ctx, &charged[fault->gpu_id == GPU_B]);
	report_gpu = fault->gpu_id;
}

static int on_request(void *ctx, uint64_t va, uint64_t size, unsigned prot)
{
	requests++;
	return 0;
}

static void on_idle(void *ctx)
{
	idles++;
}

static const struct kfd_front_ops ops = {
	.resolve = resolve,
	.charge_vram = charge,
	.vram_quota = quota,
	.memory_fault = on_fault,
	.hw_exception = on_exception,
	.report = on_report,
	.page_request = on_request,
	.idle = on_idle,
};

static int arrays(unsigned nr, void *args, size_t size, const void *in, size_t in_size, void *out, size_t capacity, size_t *out_size)
{
	return core_request(process, nr, args, size, in, in_size, out, capacity, out_size);
}

#define CALL(name, args) arrays(_IOC_NR(AMDKFD_IOC_##name), args, sizeof(*(args)), NULL, 0, NULL, 0, NULL)

static struct gpu_vm *vm(int gpu)
{
	return process->pdds[gpu].vm;
}

static void *on_gpu(int gpu, uint64_t va)
{
	return fake_translate_in(vm(gpu), va, NULL);
}

static int acquire(uint32_t gpu_id, uint32_t fd)
{
	struct kfd_ioctl_acquire_vm_args a = {.gpu_id = gpu_id, .drm_fd = fd};

	return CALL(ACQUIRE_VM, &a);
}

static void *map_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static int setup(void **state)
{
	struct kfd_device_config config = {.ops = &ops, .max_processes = 2, .kfd_minor = 14, .num_gpus = 2};

	memset(&fake, 0, sizeof(fake));
	fault_gpu = exception_gpu = report_gpu = 0;
	idles = requests = 0;
	ram = map_memory(RAM);
	for (int i = 0; i < 2; i++) {
		charged[i] = 0;
		config.gpus[i] = (struct kfd_gpu_config){
			.ctx = &charged[i],
			.vram = vram[i] = map_memory(VRAM),
			.vram_size = VRAM,
			.doorbells = doorbells[i] = map_memory(2 * HSV_DOORBELL_SLOT),
			.gpu_id = i ? GPU_B : GPU_A,
		};
		assert_int_equal(gpu_open(NULL, &config.gpus[i].gpu), 0);
	}
	config.gpus[1].gpu_id = GPU_A;
	assert_int_equal(kfd_device_open(&config, &device), -EINVAL); /* ids must differ */
	config.gpus[1].gpu_id = GPU_B;
	config.num_gpus = KFD_MAX_GPUS + 1;
	assert_int_equal(kfd_device_open(&config, &device), -EINVAL);
	config.num_gpus = 2;
	assert_int_equal(kfd_device_open(&config, &device), 0);
	assert_int_equal(kfd_process_create(device, 1, NULL, 42, "test", &process), 0);
	return 0;
}

static int setup_acquired(void **state)
{
	setup(state);
	assert_int_equal(acquire(GPU_A, 7), 0);
	assert_int_equal(acquire(GPU_B, 8), 0);
	return 0;
}

static int teardown(void **state)
{
	if (process)
		kfd_process_destroy(process);
	kfd_device_close(device);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(charged[i], 0);
		munmap(vram[i], VRAM);
		munmap(doorbells[i], 2 * HSV_DOORBELL_SLOT);
	}
	munmap(ram, RAM);
	assert_int_equal(fake.vms, 0);
	assert_int_equal(fake.suspended, 0);
	return 0;
}

static uint64_t alloc(uint32_t gpu_id, uint64_t va, uint64_t size, uint32_t flags)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args a = {.va_addr = va, .size = size, .gpu_id = gpu_id, .flags = flags};
	struct hsv_extent in = {0, size}, out[4];
	bool system = flags & (KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_USERPTR);

	if (flags & KFD_IOC_ALLOC_MEM_FLAGS_USERPTR)
		a.mmap_offset = va;
	assert_int_equal(arrays(_IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &a, sizeof(a), &in, system ? sizeof(in) : 0, out, sizeof(out), NULL), 0);
	assert_int_equal(a.handle >> 32, gpu_id);
	return a.handle;
}

static int map_on(uint64_t handle, uint32_t first, uint32_t second, uint32_t *done)
{
	struct kfd_ioctl_map_memory_to_gpu_args a = {.handle = handle, .n_devices = second ? 2 : 1};
	uint32_t ids[2] = {first, second};
	int err = arrays(_IOC_NR(AMDKFD_IOC_MAP_MEMORY_TO_GPU), &a, sizeof(a), ids, sizeof(ids), NULL, 0, NULL);

	if (done)
		*done = a.n_success;
	return err;
}

static int unmap_from(uint64_t handle, uint32_t gpu_id)
{
	struct kfd_ioctl_unmap_memory_from_gpu_args a = {.handle = handle, .n_devices = 1};

	return arrays(_IOC_NR(AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU), &a, sizeof(a), &gpu_id, sizeof(gpu_id), NULL, 0, NULL);
}

static int free_memory(uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args a = {.handle = handle};

	return CALL(FREE_MEMORY_OF_GPU, &a);
}

static void test_apertures(void **state)
{
	struct kfd_ioctl_get_process_apertures_new_args a = {.num_of_nodes = 0};
	struct kfd_process_device_apertures out[3];
	size_t size;

	assert_int_equal(CALL(GET_PROCESS_APERTURES_NEW, &a), 0);
	assert_int_equal(a.num_of_nodes, 2);
	a.num_of_nodes = 3;
	assert_int_equal(arrays(_IOC_NR(AMDKFD_IOC_GET_PROCESS_APERTURES_NEW), &a, sizeof(a), NULL, 0, out, sizeof(out), &size), 0);
	assert_int_equal(a.num_of_nodes, 2);
	assert_int_equal(size, 2 * sizeof(out[0]));
	assert_int_equal(out[0].gpu_id, GPU_A);
	assert_int_equal(out[1].gpu_id, GPU_B);
	a.num_of_nodes = 1;
	assert_int_equal(arrays(_IOC_NR(AMDKFD_IOC_GET_PROCESS_APERTURES_NEW), &a, sizeof(a), NULL, 0, out, sizeof(out[0]), &size), 0);
	assert_int_equal(a.num_of_nodes, 1);
	a.num_of_nodes = 2;
	assert_int_equal(arrays(_IOC_NR(AMDKFD_IOC_GET_PROCESS_APERTURES_NEW), &a, sizeof(a), NULL, 0, out, sizeof(out[0]), &size), -EFAULT);
}

/* Each GPU is acquired by its own render node. */
static void test_acquire(void **state)
{
	struct kfd_ioctl_set_memory_policy_args policy = {.gpu_id = GPU_B};
	struct kfd_ioctl_set_trap_handler_args trap = {.gpu_id = GPU_B};
	uint64_t handle;

	assert_int_equal(acquire(GPU_A, 7), 0);
	assert_int_equal(CALL(SET_MEMORY_POLICY, &policy), -ESRCH);
	assert_int_equal(CALL(SET_TRAP_HANDLER, &trap), -ESRCH);
	handle = alloc(GPU_A, VA, 8192, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_VRAM);
	assert_int_equal(map_on(handle, GPU_B, 0, NULL), -ENODEV);
	assert_int_equal(acquire(GPU_B, 8), 0);
	assert_int_equal(acquire(GPU_B, 8), 0);
	assert_int_equal(acquire(GPU_B, 7), -EBUSY);
	assert_int_equal(acquire(GPU_A, 8), -EBUSY);
	assert_int_equal(acquire(3, 9), -EINVAL);
	assert_int_equal(CALL(SET_MEMORY_POLICY, &policy), 0);
	assert_int_equal(CALL(SET_TRAP_HANDLER, &trap), 0);
	assert_int_equal(map_on(handle, GPU_B, 0, NULL), 0);
}

/* VRAM of one GPU that both see, and the same place used for something else of each. */
static void test_peer(void **state)
{
	uint64_t a = alloc(GPU_A, VA, 8192, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_VRAM), b;
	uint32_t done;

	assert_int_equal(charged[0], 8192);
	assert_int_equal(charged[1], 0);
	assert_int_equal(map_on(a, GPU_A, 9, &done), -EINVAL);
	assert_int_equal(done, 1);
	assert_ptr_equal(on_gpu(0, VA), vram[0]);
	assert_null(on_gpu(1, VA));
	assert_int_equal(map_on(a, GPU_A, GPU_B, &done), 0);
	assert_int_equal(done, 2);
	assert_ptr_equal(on_gpu(1, VA + 4096), vram[0] + 4096);
	assert_int_equal(unmap_from(a, GPU_A), 0);
	assert_int_equal(unmap_from(a, GPU_A), -EINVAL);
	assert_null(on_gpu(0, VA));
	assert_ptr_equal(on_gpu(1, VA), vram[0]);
	assert_int_equal(free_memory(a), -EBUSY);

	/* Page tables are each GPU's own. */
	b = alloc(GPU_B, VA, 4096, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_VRAM);
	assert_int_equal(charged[1], 4096);
	assert_int_equal(map_on(b, GPU_B, 0, NULL), -EINVAL);
	assert_int_equal(map_on(b, GPU_A, 0, NULL), 0);
	assert_ptr_equal(on_gpu(0, VA), vram[1]);

	/* A handle is one GPU's. */
	assert_int_equal(unmap_from((uint64_t)GPU_B << 32 | (uint32_t)a, GPU_B), -ENODEV);
	assert_int_equal(free_memory((uint64_t)GPU_A << 32 | (uint32_t)b), -EINVAL);
	assert_int_equal(unmap_from(a, GPU_B), 0);
	assert_int_equal(free_memory(a), 0);
	assert_int_equal(charged[0], 0);
}

static void test_system_memory(void **state)
{
	struct hsv_extent moved = {0x10000, 8192};
	uint64_t h = alloc(GPU_A, VA, 8192, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_USERPTR);

	assert_int_equal(map_on(h, GPU_A, GPU_B, NULL), 0);
	assert_ptr_equal(on_gpu(0, VA), ram);
	assert_ptr_equal(on_gpu(1, VA), ram);
	assert_int_equal(kfd_memory_invalidate(process, h), 0);
	assert_int_equal(fake.suspended, 2);
	assert_null(on_gpu(0, VA));
	assert_null(on_gpu(1, VA));
	assert_int_equal(kfd_memory_restore(process, h, &moved, 1), 0);
	assert_int_equal(fake.suspended, 0);
	assert_ptr_equal(on_gpu(0, VA), ram + 0x10000);
	assert_ptr_equal(on_gpu(1, VA), ram + 0x10000);
	kfd_device_revoke(device, ram + 0x10000, 4096);
	assert_null(on_gpu(0, VA));
	assert_null(on_gpu(1, VA));
	assert_ptr_equal(on_gpu(1, VA + 4096), ram + 0x11000);
}

static uint64_t available(uint32_t gpu_id)
{
	struct kfd_ioctl_get_available_memory_args a = {.gpu_id = gpu_id};

	assert_int_equal(CALL(AVAILABLE_MEMORY, &a), 0);
	return a.available;
}

static void test_vram(void **state)
{
	struct drm_amdgpu_info info = {.query = AMDGPU_INFO_VRAM_USAGE, .return_size = 8};
	struct kfd_stats stats;
	uint64_t used;
	size_t size;

	alloc(GPU_B, VA, 1 << 20, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_VRAM);
	assert_int_equal(available(GPU_A), VRAM);
	assert_int_equal(available(GPU_B), VRAM / 2 - (1 << 20)); /* its quota is smaller */
	assert_int_equal(kfd_drm_info(device, 0, &info, &used, sizeof(used), &size), 0);
	assert_int_equal(used, 0);
	assert_int_equal(kfd_drm_info(device, 1, &info, &used, sizeof(used), &size), 0);
	assert_int_equal(used, 1 << 20);
	kfd_gpu_stats(device, 0, &stats);
	assert_int_equal(stats.vram_used, 0);
	assert_int_equal(stats.processes, 1);
	kfd_gpu_stats(device, 1, &stats);
	assert_int_equal(stats.vram_used, 1 << 20);
	assert_int_equal(stats.vram_size, VRAM / 2);
	kfd_device_stats(device, &stats);
	assert_int_equal(stats.vram_used, 1 << 20);
	assert_int_equal(stats.vram_size, VRAM + VRAM / 2);
	assert_int_equal(stats.processes, 1);
}

static struct kfd_ioctl_create_queue_args queue_args(uint32_t gpu_id, uint32_t type)
{
	return (struct kfd_ioctl_create_queue_args){
		.gpu_id = gpu_id,
		.queue_type = type,
		.ring_base_address = VA,
		.ring_size = 4096,
		.read_pointer_address = VA + 0x1000,
		.write_pointer_address = VA + 0x1008,
		.queue_percentage = 100,
	};
}

static void test_queues(void **state)
{
	struct kfd_ioctl_create_queue_args a = queue_args(GPU_A, KFD_IOC_QUEUE_TYPE_SDMA), b = queue_args(GPU_B, KFD_IOC_QUEUE_TYPE_SDMA);
	uint64_t h = alloc(GPU_A, VA, 0x4000, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_GTT);

	assert_int_equal(map_on(h, GPU_B, 0, NULL), 0);
	assert_int_equal(CALL(CREATE_QUEUE, &a), -EINVAL); /* not mapped there */
	assert_int_equal(CALL(CREATE_QUEUE, &b), 0);
	assert_int_equal(b.queue_id, 0);
	assert_true(b.doorbell_offset == (3ull << 62 | (uint64_t)GPU_B << 46));
	assert_ptr_equal(fake.desc.doorbell, doorbells[1] + HSV_DOORBELL_SLOT);
	assert_ptr_equal(fake.queue_vm, vm(1));
	assert_int_equal(map_on(h, GPU_A, 0, NULL), 0);
	assert_int_equal(CALL(CREATE_QUEUE, &a), 0);
	assert_int_equal(a.queue_id, 1);
	assert_ptr_equal(fake.desc.doorbell, doorbells[0] + HSV_DOORBELL_SLOT + 8);
	assert_ptr_equal(fake.queue_vm, vm(0));

	/* SDMA engines are each GPU's. */
	for (int i = 0; i < 3; i++) {
		a = queue_args(GPU_A, KFD_IOC_QUEUE_TYPE_SDMA);
		assert_int_equal(CALL(CREATE_QUEUE, &a), 0);
	}
	assert_int_equal(CALL(CREATE_QUEUE, &a), -ENOMEM);
	assert_int_equal(CALL(CREATE_QUEUE, &b), 0);
}

static void test_faults(void **state)
{
	struct gpu_memory_fault fault = {.va = VA, .not_present = true};
	struct kfd_events *events;
	struct kfd_ioctl_create_event_args create = {.event_type = KFD_IOC_EVENT_MEMORY};
	struct kfd_event_data data;
	uint32_t timeout = 0, result;

	fake.ops->memory_fault(&process->pdds[1], &fault);
	assert_int_equal(fault_gpu, GPU_B);
	assert_int_equal(report_gpu, GPU_B);
	atomic_store(&process->mute[0], true);
	fake.ops->queue_error(&process->pdds[0], 0, 1, 0);
	assert_int_equal(report_gpu, GPU_A);
	assert_int_equal(exception_gpu, GPU_A);

	assert_int_equal(kfd_events_new(&events), 0);
	assert_int_equal(kfd_events_create(events, &create), 0);
	kfd_events_memory_fault(events, GPU_B, &fault);
	data = (struct kfd_event_data){.event_id = create.event_id};
	assert_int_equal(kfd_events_wait(events, &data, 1, true, &timeout, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_COMPLETE);
	assert_int_equal(data.memory_exception_data.gpu_id, GPU_B);
	kfd_events_free(events);
}

static void idle_again(struct gpu_vm *vm)
{
	if (vm == process->pdds[1].vm)
		fake.ops->idle(&process->pdds[0]);
}

/* The process is idle when all GPUs are that it has ever used. */
static void test_idle(void **state)
{
	struct kfd_process_device *a = &process->pdds[0], *b = &process->pdds[1];

	pdd_wake(b);
	fake.ops->idle(b);
	assert_int_equal(idles, 1); /* the other one sleeps, and will say nothing */
	pdd_wake(a);
	fake.ops->idle(a);
	assert_int_equal(idles, 2);
	pdd_wake(a);
	fake.ops->idle(b);
	assert_int_equal(idles, 2);
	fake.ops->idle(a);
	assert_int_equal(idles, 3);

	/* One that can't be parked is waited for; the other one need not say it again. */
	fake.park_answer = true;
	fake.busy_vm = b->vm;
	assert_int_equal(kfd_process_parked(process), -EAGAIN);
	fake.ops->idle(a);
	assert_int_equal(idles, 3);
	fake.ops->idle(b);
	assert_int_equal(idles, 4);
	/* Nor does it matter that it is idle again before the other one is parked. */
	fake.busy_vm = a->vm;
	fake.parking = idle_again;
	assert_int_equal(kfd_process_parked(process), -EAGAIN);
	assert_int_equal(idles, 5);
	fake.parking = NULL;
	fake.busy_vm = NULL;

	assert_int_equal(kfd_process_parked(process), 0);
	fake.wakes = 0;
	kfd_process_unpark(process);
	assert_int_equal(fake.wakes, 2);
	fake.ops->idle(a);
	assert_int_equal(idles, 5);
}

#define ATTR(name) KFD_IOCTL_SVM_ATTR_##name

static int svm(uint32_t op, uint64_t start, uint64_t size, uint32_t type, uint32_t value, uint32_t *answer)
{
	struct kfd_ioctl_svm_args args = {.start_addr = start, .size = size, .op = op, .nattr = 1};
	struct kfd_ioctl_svm_attribute attr = {type, value};
	int err = arrays(_IOC_NR(AMDKFD_IOC_SVM), &args, sizeof(args), &attr, sizeof(attr), &attr, sizeof(attr), NULL);

	if (answer)
		*answer = attr.type == ATTR(PREFERRED_LOC) ? attr.value : attr.type;
	return err;
}

#define SET(type, value) svm(KFD_IOCTL_SVM_OP_SET_ATTR, VA, 8192, type, value, NULL)
#define GET(type, value) svm(KFD_IOCTL_SVM_OP_GET_ATTR, VA, 8192, type, value, &answer)

static void test_svm(void **state)
{
	uint32_t answer;

	alloc(GPU_A, VA, 8192, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE | KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | HSV_KFD_ALLOC_SVM);
	assert_int_equal(SET(ATTR(ACCESS), 3), -EINVAL);
	assert_int_equal(SET(ATTR(ACCESS), GPU_B), 0);
	assert_null(on_gpu(0, VA));
	assert_ptr_equal(on_gpu(1, VA), ram);
	assert_int_equal(SET(ATTR(ACCESS_IN_PLACE), GPU_A), 0);
	assert_ptr_equal(on_gpu(0, VA), ram);
	assert_int_equal(SET(ATTR(NO_ACCESS), GPU_B), 0);
	assert_ptr_equal(on_gpu(0, VA), ram);
	assert_null(on_gpu(1, VA));
	assert_int_equal(GET(ATTR(ACCESS), GPU_A), 0);
	assert_int_equal(answer, ATTR(ACCESS_IN_PLACE));
	assert_int_equal(GET(ATTR(ACCESS), GPU_B), 0);
	assert_int_equal(answer, ATTR(NO_ACCESS));
	assert_int_equal(SET(ATTR(PREFERRED_LOC), GPU_B), 0);
	assert_int_equal(GET(ATTR(PREFERRED_LOC), 0), 0);
	assert_int_equal(answer, GPU_B);
	assert_int_equal(SET(ATTR(PREFERRED_LOC), 9), -EINVAL);
}

/* Pages that one GPU asked for are given to all that may have them. */
static void test_pages(void **state)
{
	struct kfd_ioctl_set_xnack_mode_args on = {.xnack_enabled = 1};
	struct hsv_pages_args args = {.va = VA, .size = 8192, .prot = HSV_PAGES_READ | HSV_PAGES_WRITE};
	struct hsv_extent extent = {0, 8192};
	uint64_t h;

	assert_int_equal(CALL(SET_XNACK_MODE, &on), 0);
	assert_int_equal(fake.paging, HSV_MAX_PAGE_REQUESTS / 2); /* each */
	assert_int_equal(SET(ATTR(NO_ACCESS), GPU_A), 0);
	assert_int_equal(fake.ops->page_request(&process->pdds[1], VA, 8192, GPU_PROT_READ), 0);
	assert_int_equal(requests, 1);
	assert_int_equal(kfd_process_pages(process, &args, &extent, 1), 0);
	assert_null(on_gpu(0, VA));
	assert_ptr_equal(on_gpu(1, VA), ram);
	args.va = VA + 0x10000;
	assert_int_equal(kfd_process_pages(process, &args, &extent, 1), 0);
	assert_ptr_equal(on_gpu(0, VA + 0x10000), ram);
	assert_ptr_equal(on_gpu(1, VA + 0x10000), ram);
	assert_int_equal(kfd_process_pages_invalidate(process, VA, 0x20000), 0);
	assert_null(on_gpu(0, VA + 0x10000));
	assert_null(on_gpu(1, VA + 0x10000));

	/* A buffer that only one has is in the way of that one alone. */
	h = alloc(GPU_A, VA + 0x10000, 4096, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_VRAM);
	assert_int_equal(map_on(h, GPU_A, 0, NULL), 0);
	assert_int_equal(kfd_process_pages(process, &args, &extent, 1), -EADDRINUSE);
	assert_ptr_equal(on_gpu(0, VA + 0x10000), vram[0]);
	assert_ptr_equal(on_gpu(1, VA + 0x10000), ram);
	assert_int_equal(unmap_from(h, GPU_A), 0);
	assert_int_equal(free_memory(h), 0);
}

/* A share of one GPU's VRAM becomes a buffer of the other one, and goes back to whose it was. */
static void test_share(void **state)
{
	uint64_t a = alloc(GPU_B, VA, 8192, FLAGS | KFD_IOC_ALLOC_MEM_FLAGS_VRAM);
	struct kfd_ioctl_export_dmabuf_args export = {.handle = a};
	struct kfd_ioctl_import_dmabuf_args import = {.va_addr = VA + 0x10000, .gpu_id = GPU_A};
	struct hsv_extent out[4];
	size_t size;

	assert_int_equal(CALL(EXPORT_DMABUF, &export), 0);
	import.dmabuf_fd = export.dmabuf_fd;
	assert_int_equal(arrays(_IOC_NR(AMDKFD_IOC_IMPORT_DMABUF), &import, sizeof(import), NULL, 0, out, sizeof(out), &size), 0);
	assert_int_equal(import.handle >> 32, GPU_A);
	assert_int_equal(out[0].addr, 0);
	assert_int_equal(map_on(import.handle, GPU_A, 0, NULL), 0);
	assert_ptr_equal(on_gpu(0, VA + 0x10000), vram[1]);
	assert_int_equal(free_memory(a), 0);
	assert_int_equal(kfd_device_share_put(device, export.dmabuf_fd), 0);
	assert_int_equal(charged[1], 8192);
	assert_int_equal(unmap_from(import.handle, GPU_A), 0);
	assert_int_equal(free_memory(import.handle), 0);
	assert_int_equal(charged[1], 0);
	assert_int_equal(charged[0], 0);
}

/* The text of a file of the topology, or NULL; in a buffer of its own. */
static const char *topology_file(const char *path)
{
	static char text[4096];
	static uint8_t buf[65536];
	struct hsv_topology_args args = {.cpus = 2, .render_minors = {128, 129}, .memory = 1 << 30};
	size_t size;

	assert_int_equal(kfd_topology(device, &args, buf, sizeof(buf), &size), 0);
	for (size_t at = 0; at < size;) {
		struct hsv_topology_file f;
		const char *name;

		memcpy(&f, buf + at, sizeof(f));
		name = (const char *)buf + at + sizeof(f);
		at += sizeof(f) + f.path_size;
		if (f.path_size == strlen(path) && !memcmp(name, path, f.path_size)) {
			memcpy(text, buf + at, f.content_size);
			text[f.content_size] = 0;
			return text;
		}
		at = (at + f.content_size + 3) & ~(size_t)3;
	}
	return NULL;
}

static void has(const char *path, const char *line)
{
	const char *text = topology_file(path);

	assert_non_null(text);
	if (!strstr(text, line))
		fail_msg("%s has no '%s' in\n%s", path, line, text);
}

static void test_topology(void **state)
{
	has("nodes/0/properties", "io_links_count 2\n");
	has("nodes/1/gpu_id", "4369\n");
	has("nodes/2/gpu_id", "8738\n");
	has("nodes/1/properties", "drm_render_minor 128\n");
	has("nodes/2/properties", "drm_render_minor 129\n");
	has("nodes/1/properties", "location_id 256\n");
	has("nodes/2/properties", "location_id 512\n");
	has("nodes/2/properties", "io_links_count 1\np2p_links_count 1\n");
	has("nodes/1/mem_banks/0/properties", "size_in_bytes 16777216\n");
	has("nodes/2/mem_banks/0/properties", "size_in_bytes 8388608\n");
	has("nodes/0/io_links/0/properties", "node_from 0\nnode_to 1\n");
	has("nodes/0/io_links/1/properties", "node_from 0\nnode_to 2\n");
	has("nodes/2/io_links/0/properties", "node_from 2\nnode_to 0\nweight 20\n");
	has("nodes/1/p2p_links/0/properties", "node_from 1\nnode_to 2\nweight 40\n");
	has("nodes/2/p2p_links/0/properties", "node_from 2\nnode_to 1\n");
	has("nodes/2/caches/1/properties", "level 2\n");
	assert_null(topology_file("nodes/3/gpu_id"));
	assert_null(topology_file("nodes/2/p2p_links/1/properties"));
}

#define TEST(f)	    cmocka_unit_test_setup_teardown(f, setup_acquired, teardown)
#define TEST_NEW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_NEW(test_apertures),
		TEST_NEW(test_acquire),
		TEST(test_peer),
		TEST(test_system_memory),
		TEST(test_vram),
		TEST(test_queues),
		TEST(test_faults),
		TEST(test_idle),
		TEST(test_svm),
		TEST(test_pages),
		TEST(test_share),
		TEST(test_topology),
	};

	return cmocka_run_group_tests_name("several GPUs", tests, NULL, NULL);
}
