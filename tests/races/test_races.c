// SPDX-License-Identifier: MIT
/*
 * test_races.c - memory shared with a tenant is read once before it is checked: a second thread changes it, between what is
 * valid and what is not, all the time that it is used.
 *
 * A value that was read twice, for its check and for its use, is sooner or later another one the second time. So each test
 * puts a racing writer on the fields that decide about sizes and places, lets tens of thousands of requests, packets or
 * dispatches run, and looks at what came of them: each was done by one of the two values or refused, nothing beyond was
 * touched (most worth with the address sanitizer), and afterwards all works.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "arbiter/tenants.h"
#include "base/clock.h"
#include "core/kfd.h"
#include "gpu/gpu.h"
#include "vmm/device_internal.h"

#define RUN_MS 1500
/* So much longer on a busy machine, until what is to be seen was seen. */
#define LATE_MS 15000

/* ---- The writer ---- */

struct field { /* dwords at aligned addresses */
	_Atomic uint32_t *at;
	uint32_t good, bad;
};

static struct {
	pthread_t thread;
	const struct field *fields;
	unsigned num;
	atomic_bool stop;
	uint64_t flips;
} racer;

static void *race(void *arg)
{
	while (!atomic_load_explicit(&racer.stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < racer.num; i++)
			atomic_store_explicit(racer.fields[i].at, racer.fields[i].bad, memory_order_relaxed);
		for (unsigned i = 0; i < racer.num; i++)
			atomic_store_explicit(racer.fields[i].at, racer.fields[i].good, memory_order_relaxed);
		racer.flips++;
	}
	return NULL;
}

static void race_begin(const struct field *fields, unsigned num)
{
	racer.fields = fields;
	racer.num = num;
	racer.flips = 0;
	atomic_store(&racer.stop, false);
	assert_int_equal(pthread_create(&racer.thread, NULL, race, NULL), 0);
}

/* Leaves the good values. */
static void race_end(void)
{
	atomic_store(&racer.stop, true);
	pthread_join(racer.thread, NULL);
	assert_true(racer.flips > 1000);
}

/* ---- Virtqueues and requests ---- */

#define VRAM (1u << 20)
#define RAM  (1u << 20)

enum { RINGS = 0, REQUEST = 0x8000, ANSWER = 0x20000, TABLE = 0x7000 };

static struct {
	struct gpu *gpu;
	struct hsv_device *dev;
	int vram_fd, ram_fd;
	uint8_t *ram;
	uint16_t avail;
} vm;

static void common_write(unsigned offset, uint64_t value, size_t count)
{
	hsv_device_vfio_ops.region_access(vm.dev, PCI_BAR_VIRTIO, VIRTIO_BAR_COMMON + offset, &value, count, true);
}

/* The control queue alone, from index 0. */
static void driver_start(void)
{
	unsigned status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint64_t features = UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;

	memset(vm.ram + 0x1000, 0, 0x3000);
	vm.avail = 0;
	common_write(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	common_write(VIRTIO_PCI_COMMON_STATUS, status, 1);
	for (unsigned i = 0; i < 2; i++) {
		common_write(VIRTIO_PCI_COMMON_GFSELECT, i, 4);
		common_write(VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> 32 * i), 4);
	}
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	common_write(VIRTIO_PCI_COMMON_STATUS, status, 1);
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, HSV_QUEUE_CONTROL, 2);
	common_write(VIRTIO_PCI_COMMON_Q_DESCLO, RINGS, 8);
	common_write(VIRTIO_PCI_COMMON_Q_AVAILLO, RINGS + 0x1000, 8);
	common_write(VIRTIO_PCI_COMMON_Q_USEDLO, RINGS + 0x2000, 8);
	common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	common_write(VIRTIO_PCI_COMMON_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK, 1);
}

static void vm_open(void)
{
	struct gpu_config gpu_config = {.target = "gfx90a", .threads = 1};
	struct hsv_device_config config = {.num_gpus = 1, .gpus = {{.vram_size = VRAM}}};

	vm.vram_fd = memfd_create("vram", MFD_CLOEXEC);
	vm.ram_fd = memfd_create("ram", MFD_CLOEXEC);
	assert_true(!ftruncate(vm.vram_fd, VRAM) && !ftruncate(vm.ram_fd, RAM));
	vm.ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vm.ram_fd, 0);
	assert_ptr_not_equal(vm.ram, MAP_FAILED);
	assert_int_equal(gpu_open(&gpu_config, &vm.gpu), 0);
	config.gpus[0].gpu = vm.gpu;
	config.vram_fd = vm.vram_fd;
	assert_int_equal(hsv_device_open(&config, &vm.dev), 0);
	assert_int_equal(hsv_device_vfio_ops.dma_map(vm.dev, 0, RAM, vm.ram_fd, 0, true), 0);
	driver_start();
}

static void vm_close(void)
{
	hsv_device_vfio_ops.disconnected(vm.dev);
	hsv_device_close(vm.dev);
	gpu_close(vm.gpu);
	munmap(vm.ram, RAM);
	close(vm.ram_fd);
	close(vm.vram_fd);
}

static void descriptor(uint64_t at, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	struct vring_desc d = {addr, len, (uint16_t)flags, (uint16_t)next};

	memcpy(vm.ram + at, &d, sizeof(d));
}

/* Makes chain 0 available and waits. False: the device wants a reset. */
static bool submit(void)
{
	_Atomic uint16_t *avail = (void *)(vm.ram + RINGS + 0x1000), *used = (void *)(vm.ram + RINGS + 0x2000);
	uint64_t end = clock_ms() + 10000;

	atomic_store(&avail[2 + vm.avail % HSV_QUEUE_SIZE], 0);
	atomic_store(&avail[1], ++vm.avail);
	hsv_device_vfio_ops.region_access(vm.dev, PCI_BAR_VIRTIO, VIRTIO_BAR_NOTIFY, &(uint16_t){0}, 2, true);
	while (atomic_load(&used[1]) != vm.avail) {
		if (atomic_load(&vm.dev->virtio.status) & VIRTIO_CONFIG_S_NEEDS_RESET)
			return false;
		assert_true(clock_ms() < end);
	}
	return true;
}

/* A request at REQUEST with an answer at ANSWER, by two descriptors or an indirect table of them. */
static struct hsv_request *request(uint32_t type, uint32_t code, const void *args, uint32_t args_size, const void *in,
				   uint32_t in_size, uint32_t out_size, bool indirect)
{
	struct hsv_request *r = (void *)(vm.ram + REQUEST);
	uint64_t table = indirect ? TABLE : RINGS;

	*r = (struct hsv_request){.type = type, .code = code, .args_size = args_size, .in_size = in_size, .out_size = out_size};
	memcpy(r + 1, args, args_size);
	if (in_size)
		memcpy((uint8_t *)(r + 1) + args_size, in, in_size);
	descriptor(table, REQUEST, (uint32_t)sizeof(*r) + args_size + in_size, VRING_DESC_F_NEXT, 1);
	descriptor(table + 16, ANSWER, (uint32_t)sizeof(struct hsv_response) + args_size + out_size, VRING_DESC_F_WRITE, 0);
	if (indirect)
		descriptor(RINGS, TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	return r;
}

static const struct hsv_response *answer(void)
{
	return (void *)(vm.ram + ANSWER);
}

static int call(uint32_t type, uint32_t code, void *args, uint32_t args_size, const void *in, uint32_t in_size, uint32_t out_size)
{
	request(type, code, args, args_size, in, in_size, out_size, false);
	assert_true(submit());
	if (!answer()->error && answer()->args_size == args_size)
		memcpy(args, answer() + 1, args_size);
	return (int)answer()->error;
}

#define NR(name) _IOC_NR(AMDKFD_IOC_##name)
#define GPU_ID	 le32toh(vm.dev->config.gpus[0].gpu_id)

static void process_start(void)
{
	struct hsv_process_args create = {.pid = 1};
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 3, .gpu_id = GPU_ID};

	assert_int_equal(call(HSV_REQ_PROCESS_CREATE, 0, &create, sizeof(create), NULL, 0, 0), 0);
	assert_int_equal(call(HSV_REQ_KFD_IOCTL, NR(ACQUIRE_VM), &acquire, sizeof(acquire), NULL, 0, 0), 0);
}

/* The sizes in a request's header: how much is allocated and how much is copied. */
static void test_request_sizes(void **state)
{
	struct kfd_ioctl_set_cu_mask_args args = {.queue_id = 5, .num_cu_mask = 32};
	static uint8_t in[0x10000];
	struct hsv_request *r;
	uint64_t end = clock_ms() + RUN_MS;
	unsigned refused = 0;

	vm_open();
	process_start();
	r = request(HSV_REQ_KFD_IOCTL, NR(SET_CU_MASK), &args, sizeof(args), in, sizeof(in), 0x8000, false);
	{
		const struct field fields[] = {
			{(_Atomic uint32_t *)&r->in_size, 16, 0xf000},
			{(_Atomic uint32_t *)&r->args_size, 16, HSV_MAX_ARGS + 64},
			{(_Atomic uint32_t *)&r->out_size, 16, 0x7000},
			{(_Atomic uint32_t *)&r->process, 0, 0x7fffffff},
			{(_Atomic uint32_t *)&r->type, HSV_REQ_KFD_IOCTL, 0x10000000},
		};

		race_begin(fields, sizeof(fields) / sizeof(fields[0]));
		for (; clock_ms() < end || (refused <= 100 && clock_ms() < end + LATE_MS); refused++) {
			/* There is no queue 5, so each is refused; the ring is fine. */
			assert_true(submit());
			assert_int_not_equal(answer()->error, 0);
		}
		race_end();
	}
	assert_true(refused > 100);
	vm_close();
}

/* Descriptors: addresses, lengths, flags and successors, in the ring's own table and an indirect one. */
static void test_descriptors(void **state)
{
	struct hsv_topology_args args = {.cpus = 2, .render_minors = {128, 129}, .memory = RAM};
	unsigned good = 0, refused = 0, broken = 0;
	uint64_t end;

	vm_open();
	for (unsigned indirect = 0; indirect < 2; indirect++) {
		uint64_t table = indirect ? TABLE : RINGS;
		const struct field fields[] = {
			{(_Atomic uint32_t *)(void *)(vm.ram + table), REQUEST, RAM - 8},
			{(_Atomic uint32_t *)(void *)(vm.ram + table + 8), sizeof(struct hsv_request) + sizeof(args), 0x400000},
			{(_Atomic uint32_t *)(void *)(vm.ram + table + 12), VRING_DESC_F_NEXT | 1u << 16,
			 VRING_DESC_F_NEXT | 0xffffu << 16},
			{(_Atomic uint32_t *)(void *)(vm.ram + table + 16 + 8), 0x8000, UINT32_MAX},
			{(_Atomic uint32_t *)(void *)(vm.ram + table + 16 + 4), 0, 0xffffffff},
		};

		request(HSV_REQ_TOPOLOGY, 0, &args, sizeof(args), NULL, 0, 0x6000, indirect);
		race_begin(fields, sizeof(fields) / sizeof(fields[0]));
		for (end = clock_ms() + RUN_MS;
		     clock_ms() < end || ((good <= 10 || broken <= 10) && clock_ms() < end + LATE_MS);) {
			if (!submit()) {
				broken++;
				driver_start();
			} else if (answer()->error) {
				refused++;
			} else {
				good++;
			}
		}
		race_end();
		driver_start();
		assert_true(submit());
		assert_int_equal(answer()->error, 0);
		assert_true(answer()->out_size > 1000);
	}
	print_message("descriptors: %u answered, %u refused, %u resets\n", good, refused, broken);
	assert_true(good > 10 && broken > 10);
	vm_close();
}

/* A buffer's size and its extents: what is mapped is what was checked. */
static void test_extents(void **state)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {.va_addr = 0x10000000,
							  .size = 0x2000,
							  .mmap_offset = 0x10000000,
							  .flags = KFD_IOC_ALLOC_MEM_FLAGS_USERPTR |
								   KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE};
	struct hsv_extent extents[2] = {{0x40000, 0x1000}, {0x50000, 0x1000}};
	struct kfd_ioctl_alloc_memory_of_gpu_args *a;
	struct hsv_extent *e;
	unsigned good = 0, refused = 0;
	struct kfd_stats stats;
	uint64_t end;

	vm_open();
	process_start();
	args.gpu_id = GPU_ID;
	for (end = clock_ms() + RUN_MS; clock_ms() < end;) {
		struct hsv_request *r = request(HSV_REQ_KFD_IOCTL, NR(ALLOC_MEMORY_OF_GPU), &args, sizeof(args), extents,
						sizeof(extents), 256, false);
		struct kfd_ioctl_free_memory_of_gpu_args f;
		struct kfd_ioctl_map_memory_to_gpu_args m = {.n_devices = 1};
		struct kfd_ioctl_unmap_memory_from_gpu_args u = {.n_devices = 1};
		uint32_t id = GPU_ID;

		a = (void *)(r + 1);
		e = (void *)(a + 1);
		{
			const struct field fields[] = {
				{(_Atomic uint32_t *)&a->size, 0x2000, 0x40000000},
				{(_Atomic uint32_t *)&e[0].addr, 0x40000, 0xfffff000},
				{(_Atomic uint32_t *)&e[1].size, 0x1000, RAM},
				{(_Atomic uint32_t *)&e[1].addr, 0x50000, RAM - 0x1000},
			};

			racer.flips = 0;
			race_begin(fields, sizeof(fields) / sizeof(fields[0]));
			for (unsigned i = 0; i < 40 && clock_ms() < end + 1000; i++) {
				assert_true(submit());
				if (answer()->error) {
					refused++;
					continue;
				}
				break;
			}
			while (racer.flips < 1001)
				usleep(100);
			race_end();
		}
		if (answer()->error)
			continue;
		good++;
		memcpy(&args, answer() + 1, sizeof(args));
		/* By the sizes that were checked: two pages, or what the extents then did not cover. */
		f.handle = m.handle = u.handle = args.handle;
		if (!call(HSV_REQ_KFD_IOCTL, NR(MAP_MEMORY_TO_GPU), &m, sizeof(m), &id, sizeof(id), 0))
			assert_int_equal(call(HSV_REQ_KFD_IOCTL, NR(UNMAP_MEMORY_FROM_GPU), &u, sizeof(u), &id, sizeof(id), 0), 0);
		assert_int_equal(call(HSV_REQ_KFD_IOCTL, NR(FREE_MEMORY_OF_GPU), &f, sizeof(f), NULL, 0, 0), 0);
		args.mmap_offset = args.va_addr = 0x10000000;
		args.size = 0x2000;
	}
	kfd_device_stats(vm.dev->kfd, &stats);
	assert_int_equal(stats.system_pinned, 0);
	print_message("extents: %u buffers made, %u refused\n", good, refused);
	assert_true(good > 1);
	vm_close();
}

/* ---- Packets ---- */

#define POOL_VA 0x1000000000ull
#define POOL	(4u << 20)

static struct {
	struct gpu *gpu;
	struct gpu_vm *vm;
	uint8_t *pool;
	uint64_t doorbell;
} host;

static void no_event(void *ctx, uint32_t id)
{
}

static void no_fault(void *ctx, const struct gpu_memory_fault *fault)
{
}

static void no_idle(void *ctx)
{
}

static const struct gpu_vm_ops vm_ops = {.signal_event = no_event, .memory_fault = no_fault, .idle = no_idle};

static void host_open(const char *target)
{
	struct gpu_config config = {.target = target, .threads = 1};

	host.pool = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(host.pool, MAP_FAILED);
	host.doorbell = 0;
	assert_int_equal(gpu_open(&config, &host.gpu), 0);
	assert_int_equal(gpu_vm_create(host.gpu, &vm_ops, NULL, &host.vm), 0);
	assert_int_equal(gpu_vm_map(host.vm, POOL_VA, POOL, host.pool, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC), 0);
}

static void host_close(void)
{
	gpu_vm_destroy(host.vm);
	gpu_close(host.gpu);
	munmap(host.pool, POOL);
}

static struct gpu_queue *open_queue(enum gpu_queue_type type)
{
	struct gpu_queue_desc desc = {.type = type,
				      .ring_va = POOL_VA,
				      .ring_size = 4096,
				      .write_ptr_va = POOL_VA + 0x2038,
				      .read_ptr_va = POOL_VA + 0x2080,
				      .doorbell = &host.doorbell,
				      .percent = 100,
				      .priority = 7};
	struct gpu_queue *queue;

	host.doorbell = 0;
	memset(host.pool, 0, 0x3000);
	assert_int_equal(gpu_queue_create(host.vm, &desc, &queue), 0);
	return queue;
}

static void wait_stopped_or(const _Atomic uint64_t *at, uint64_t value, uint64_t errors)
{
	uint64_t end = clock_ms() + 20000;
	struct gpu_vm_stats stats;

	do {
		gpu_vm_get_stats(host.vm, &stats);
		assert_true(clock_ms() < end);
	} while (atomic_load(at) != value && stats.queue_errors == errors);
}

/*
 * A copy that is done in pieces, whose length changes between a long and a short one: what is filled is one of the
 * two lengths.
 */
static void copy_race(enum gpu_queue_type type, unsigned count_at, uint32_t minus, const uint32_t *packet, unsigned dwords)
{
	enum { LONG = 1500 << 10, SHORT = 300 << 10, DEST = 0x10000 };
	unsigned rounds = 0, longs = 0, shorts = 0;
	uint64_t end = clock_ms() + RUN_MS;

	host_open("gfx90a");
	for (; clock_ms() < end || rounds < 20; rounds++) {
		struct gpu_queue *queue = open_queue(type);
		const struct field field = {(_Atomic uint32_t *)(void *)(host.pool + 4 * count_at), LONG - minus, SHORT - minus};
		size_t filled = 0;

		memset(host.pool + DEST, 0, POOL - DEST);
		memcpy(host.pool, packet, dwords * 4);
		race_begin(&field, 1);
		__atomic_store_n(&host.doorbell, type == GPU_QUEUE_PM4 ? dwords : dwords * 4, __ATOMIC_RELEASE);
		wait_stopped_or((_Atomic uint64_t *)(void *)(host.pool + 0x2080), type == GPU_QUEUE_PM4 ? dwords : dwords * 4, 0);
		atomic_store(&racer.stop, true);
		pthread_join(racer.thread, NULL);
		gpu_queue_destroy(queue);
		while (filled < POOL - DEST && host.pool[DEST + filled])
			filled++;
		assert_true(filled == LONG || filled == SHORT);
		for (size_t i = filled; i < POOL - DEST; i++)
			assert_int_equal(host.pool[DEST + i], 0);
		longs += filled == LONG;
		shorts += filled == SHORT;
	}
	print_message("%u long ones, %u short ones\n", longs, shorts);
	host_close();
}

static void test_dma_data(void **state)
{
	/* DMA_DATA: fill with dword 2, to dwords 4 and 5, bytes in dword 6 */
	static const uint32_t packet[] = {0xc0055000, 2u << 29, 0x01010101, 0, (uint32_t)(POOL_VA + 0x10000),
					  (uint32_t)(POOL_VA >> 32), 1500 << 10};

	copy_race(GPU_QUEUE_PM4, 6, 0, packet, 7);
}

static void test_sdma_fill(void **state)
{
	/* CONSTANT_FILL: to dwords 1 and 2, value, bytes - 1 */
	static const uint32_t packet[] = {11, (uint32_t)(POOL_VA + 0x10000), (uint32_t)(POOL_VA >> 32), 0x01010101, (1500 << 10) - 1};

	copy_race(GPU_QUEUE_SDMA, 4, 1, packet, 5);
}

/* Dispatches whose packet and kernel descriptor change: sizes of work-group, LDS and registers. */
static void test_dispatch(void **state)
{
	enum { OBJECT = 0x4000, CODE = 0x4100 };
	/* v5 <- v0; v40 <- v0; ds_write_b32 v5, v5; s_barrier; s_endpgm */
	static const uint32_t code[] = {0x7e0a0300, 0x7e500300, 0xd81a0000, 0x00000505, 0xbf8a0000, 0xbf810000};
	unsigned done = 0, errors = 0;
	uint64_t end = clock_ms() + 2 * RUN_MS;

	host_open("gfx90a");
	while (clock_ms() < end) {
		struct gpu_queue *queue = open_queue(GPU_QUEUE_AQL);
		uint32_t *packet = (void *)host.pool, *kd = (void *)(host.pool + OBJECT);
		struct gpu_vm_stats stats;
		uint64_t object = POOL_VA + OBJECT, entry = CODE - OBJECT, before;
		const struct field fields[] = {
			{(_Atomic uint32_t *)&packet[1], 64 | 1u << 16, 1024 | 1u << 16},
			{(_Atomic uint32_t *)&packet[7], 1024, 0},
			{(_Atomic uint32_t *)&packet[8], (uint32_t)object, (uint32_t)object + 1},
			{(_Atomic uint32_t *)&kd[11], 15, 0},	  /* rsrc3: where AGPRs begin */
			{(_Atomic uint32_t *)&kd[12], 7, 0},	  /* rsrc1: registers */
			{(_Atomic uint32_t *)&kd[13], 0, 16 << 1}, /* rsrc2 */
		};

		memset(kd, 0, 64);
		memcpy((uint8_t *)kd + 16, &entry, 8);
		kd[11] = 15;
		kd[12] = 7;
		memcpy(host.pool + CODE, code, sizeof(code));
		packet[1] = 64 | 1u << 16;
		packet[2] = 1;
		packet[3] = 4096;
		packet[4] = packet[5] = 1;
		packet[7] = 1024;
		memcpy(&packet[8], &object, 8);
		gpu_vm_get_stats(host.vm, &stats);
		before = stats.queue_errors;
		packet[0] = 2 | 1u << 16;
		atomic_store((_Atomic uint64_t *)(void *)(host.pool + 0x2038), 1);
		race_begin(fields, sizeof(fields) / sizeof(fields[0]));
		__atomic_store_n(&host.doorbell, 0, __ATOMIC_RELEASE);
		gpu_vm_wake(host.vm);
		wait_stopped_or((_Atomic uint64_t *)(void *)(host.pool + 0x2080), 1, before);
		atomic_store(&racer.stop, true);
		pthread_join(racer.thread, NULL);
		gpu_vm_get_stats(host.vm, &stats);
		if (stats.queue_errors == before)
			done++;
		else
			errors++;
		gpu_queue_destroy(queue);
	}
	print_message("%u dispatches ran, %u were refused\n", done, errors);
	assert_true(done > 10);
	host_close();
}

/* ---- What a tenant publishes ---- */

/* The name of the newest program is the tenant's text: it reaches terminals only as printable characters. */
static void test_program_name(void **state)
{
	static struct arbiter_shared shared;
	static struct executor e = {.kind = ARBITER_VM, .shared = &shared, .page = &shared.page};
	static struct tenant x = {.kind = ARBITER_VM, .executors = &e};
	struct field fields[16];
	struct tenant_figures figures;
	uint64_t end = clock_ms() + RUN_MS;
	unsigned reads = 0;

	e.tenant = &x;
	for (unsigned i = 0; i < 16; i++)
		fields[i] = (struct field){(_Atomic uint32_t *)(void *)(shared.page.counters.program + 4 * i), 0x61626364,
					   i % 3 ? 0x1b071b07 : 0x00ff00ff};
	race_begin(fields, 16);
	for (; clock_ms() < end || (reads <= 1000 && clock_ms() < end + LATE_MS); reads++) {
		tenants_figures(&x, &figures);
		assert_true(strnlen(x.program, sizeof(x.program)) < sizeof(x.program));
		for (const char *c = x.program; *c; c++)
			assert_in_range(*c, ' ', '~');
	}
	race_end();
	assert_true(reads > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_sizes), cmocka_unit_test(test_descriptors), cmocka_unit_test(test_extents),
		cmocka_unit_test(test_dma_data),      cmocka_unit_test(test_sdma_fill),	  cmocka_unit_test(test_dispatch),
		cmocka_unit_test(test_program_name),
	};

	/* Each refused request is a log line. */
	setenv("HSAVISOR_LOG_FILE", "/dev/null", 0);
	return cmocka_run_group_tests_name("races", tests, NULL, NULL);
}
