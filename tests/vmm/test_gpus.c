// SPDX-License-Identifier: MIT
/*
 * test_gpus.c - a device with two GPUs, as a guest's driver sees it: what is each one's own (configuration, VRAM, doorbells, queues, faults) and what
 * they share (processes, buffers).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <drm/amdgpu_drm.h>
#include <errno.h>
#include <linux/kfd_ioctl.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/vmm/client.h"
#include "tests/vmm/harness.h"

#define WRITABLE (1u << 31) /* KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, without the overflow */
#define VRAM	 (KFD_IOC_ALLOC_MEM_FLAGS_VRAM | WRITABLE)
#define VA	 0x200000000ull /* GPU address of the guest's memory from GUEST_MEMORY */
#define FEATURES (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* Where things are from VA. */
enum { RING = 0, AMD_QUEUE = 0x10000, SIGNAL = 0x11000, USED_MEMORY = 0x20000 };

static struct guest g;
static struct hsv_config config;

static int setup(void **state)
{
	return guest_connect(&g, harness_socket) || guest_start(&g, FEATURES) || client_read(g.sock, 0, 0x2000, &config, sizeof(config));
}

static int teardown(void **state)
{
	guest_close(&g);
	return 0;
}

static uint32_t id_of(unsigned gpu)
{
	return config.gpus[gpu].gpu_id;
}

static int create(uint32_t process)
{
	struct hsv_process_args args = {.pid = 100 + process, .comm = "gpus"};

	return guest_request(&g, HSV_REQ_PROCESS_CREATE, process, 0, &args, sizeof(args), NULL, 0, NULL, NULL);
}

static int destroy(uint32_t process)
{
	return guest_request(&g, HSV_REQ_PROCESS_DESTROY, process, 0, NULL, 0, NULL, 0, NULL, NULL);
}

static int ioctl_(unsigned long cmd, void *args, const void *in, uint32_t in_size)
{
	return guest_request(&g, HSV_REQ_KFD_IOCTL, 0, _IOC_NR(cmd), args, _IOC_SIZE(cmd), in, in_size, NULL, NULL);
}

static int acquire(unsigned gpu)
{
	struct kfd_ioctl_acquire_vm_args args = {.drm_fd = 1 + gpu, .gpu_id = id_of(gpu)};

	return ioctl_(AMDKFD_IOC_ACQUIRE_VM, &args, NULL, 0);
}

static void create_on_both(void)
{
	assert_int_equal(create(0), 0);
	assert_int_equal(acquire(0), 0);
	assert_int_equal(acquire(1), 0);
}

/* VRAM of that GPU, in one extent (what is whole is given so). */
static int alloc_vram(unsigned gpu, uint64_t va, uint64_t size, uint64_t *handle, struct hsv_extent *extent)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {.va_addr = va, .size = size, .gpu_id = id_of(gpu), .flags = VRAM};
	uint32_t out_size = sizeof(*extent);
	int ret = guest_request(&g, HSV_REQ_KFD_IOCTL, 0, _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &args, sizeof(args), NULL, 0, extent, &out_size);

	*handle = args.handle;
	if (!ret)
		assert_int_equal(out_size, sizeof(*extent));
	return ret;
}

static void free_memory(uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args args = {handle};

	assert_int_equal(ioctl_(AMDKFD_IOC_FREE_MEMORY_OF_GPU, &args, NULL, 0), 0);
}

static void configuration(void **state)
{
	assert_int_equal(config.abi_version, HSV_ABI_VERSION);
	assert_int_equal(config.num_gpus, 2);
	assert_int_equal(config.gpus[0].pci_device_id, 0x740f);
	assert_int_not_equal(config.gpus[1].pci_device_id, 0x740f);
	assert_int_not_equal(id_of(0), id_of(1));
	for (unsigned i = 0; i < 2; i++) {
		assert_true(id_of(i) > 0 && id_of(i) < 65536);
		assert_int_equal(config.gpus[i].vram_size, HARNESS_VRAM);
	}
	for (unsigned i = 2; i < HSV_MAX_GPUS; i++)
		assert_int_equal(config.gpus[i].gpu_id | config.gpus[i].pci_device_id | config.gpus[i].vram_size, 0);
	assert_int_equal(g.vram_size, 2 * HARNESS_VRAM);
	assert_int_equal(g.doorbells_size, 2 * HSV_MAX_PROCESSES * HSV_DOORBELL_SLOT);
}

static int device_id(uint32_t gpu, uint32_t *id)
{
	struct drm_amdgpu_info info = {.return_size = sizeof(struct drm_amdgpu_info_device), .query = AMDGPU_INFO_DEV_INFO};
	struct drm_amdgpu_info_device device = {0};
	uint32_t size = sizeof(device);
	int ret = guest_request(&g, HSV_REQ_DRM_INFO, 0, gpu, &info, sizeof(info), NULL, 0, &device, &size);

	*id = device.device_id;
	return ret;
}

static void render_nodes(void **state)
{
	static const uint32_t none[] = {2, 7, HSV_MAX_GPUS, 0xa0e5, INT32_MAX, UINT32_MAX};
	uint32_t id;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(device_id(i, &id), 0);
		assert_int_equal(id, config.gpus[i].pci_device_id);
	}
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(device_id(none[i], &id), -EINVAL);
}

static bool has(const char *files, uint32_t size, const char *text)
{
	return memmem(files, size, text, strlen(text)) != NULL;
}

static void topology(void **state)
{
	static char files[1u << 19];
	struct hsv_topology_args args = {.cpus = 2, .memory = GUEST_RAM, .render_minors = {130, 128}};
	uint32_t size = sizeof(files);

	assert_int_equal(guest_request(&g, HSV_REQ_TOPOLOGY, 0, 0, &args, sizeof(args), NULL, 0, files, &size), 0);
	assert_true(has(files, size, "nodes/2/p2p_links/0/properties"));
	assert_true(has(files, size, "drm_render_minor 130\n") && has(files, size, "drm_render_minor 128\n"));
	assert_false(has(files, size, "nodes/3/"));
	/* An older driver's, without the render nodes. */
	assert_int_equal(guest_request(&g, HSV_REQ_TOPOLOGY, 0, 0, &args, 16, NULL, 0, files, &size), -EINVAL);
}

/* Each GPU's VRAM is its own part of the region, and its own quota. */
static void vram(void **state)
{
	uint64_t handles[2], more;
	struct hsv_extent e[2], none;

	create_on_both();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(alloc_vram(i, VA + i * 0x10000000ull, HARNESS_VRAM, &handles[i], &e[i]), 0);
		assert_int_equal(handles[i] >> 32, id_of(i));
		assert_int_equal(e[i].addr, i * HARNESS_VRAM);
		assert_int_equal(e[i].size, HARNESS_VRAM);
		assert_int_equal(alloc_vram(i, VA + 0x20000000ull, 4096, &more, &none), -ENOMEM);
		memset(g.vram + e[i].addr, 0x51 + (int)i, HARNESS_VRAM);
	}
	free_memory(handles[1]);
	for (size_t i = 0; i < HARNESS_VRAM; i += 509) {
		assert_int_equal(g.vram[i], 0x51);
		assert_int_equal(g.vram[HARNESS_VRAM + i], 0);
	}
	assert_int_equal(alloc_vram(0, VA + 0x20000000ull, 4096, &more, &none), -ENOMEM);
	assert_int_equal(alloc_vram(1, VA + 0x20000000ull, 4096, &more, &e[1]), 0);
	assert_true(e[1].addr >= HARNESS_VRAM);
	assert_int_equal(destroy(0), 0);
	for (size_t i = 0; i < 2 * HARNESS_VRAM; i += 509)
		assert_int_equal(g.vram[i], 0);
}

static int take_or_give(uint32_t type, unsigned gpu, struct hsv_vram_args *args)
{
	return guest_request(&g, type, 0, gpu, args, sizeof(*args), NULL, 0, NULL, NULL);
}

/* The driver's own VRAM is of the GPU that it asked for, and given back to that one. */
static void vram_of_the_driver(void **state)
{
	struct hsv_vram_args args[2] = {{.size = HARNESS_VRAM}, {.size = HARNESS_VRAM}}, more = {.size = 4096};

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(take_or_give(HSV_REQ_VRAM_TAKE, i, &args[i]), 0);
		assert_int_equal(args[i].offset, i * HARNESS_VRAM);
		assert_int_equal(take_or_give(HSV_REQ_VRAM_TAKE, i, &more), -ENOMEM);
	}
	assert_int_equal(take_or_give(HSV_REQ_VRAM_TAKE, 2, &more), -EINVAL);
	assert_int_equal(take_or_give(HSV_REQ_VRAM_GIVE, 0, &args[1]), -EINVAL);
	assert_int_equal(take_or_give(HSV_REQ_VRAM_GIVE, 1, &args[0]), -EINVAL);
	memset(g.vram, 0x33, 2 * HARNESS_VRAM);
	assert_int_equal(take_or_give(HSV_REQ_VRAM_GIVE, 1, &args[1]), 0);
	for (size_t i = 0; i < HARNESS_VRAM; i += 509) {
		assert_int_equal(g.vram[i], 0x33);
		assert_int_equal(g.vram[HARNESS_VRAM + i], 0);
	}
	assert_int_equal(take_or_give(HSV_REQ_VRAM_GIVE, 0, &args[0]), 0);
}

/* A dma-buf of one GPU's VRAM, imported for the other: it is where it was. */
static void imported_vram(void **state)
{
	struct kfd_ioctl_export_dmabuf_args export = {0};
	struct kfd_ioctl_import_dmabuf_args import = {.va_addr = VA + 0x10000000ull, .gpu_id = id_of(0)};
	struct hsv_extent e, again;
	uint32_t size = sizeof(again);

	create_on_both();
	assert_int_equal(alloc_vram(1, VA, 65536, (uint64_t *)&export.handle, &e), 0);
	assert_int_equal(ioctl_(AMDKFD_IOC_EXPORT_DMABUF, &export, NULL, 0), 0);
	import.dmabuf_fd = export.dmabuf_fd;
	assert_int_equal(guest_request(&g, HSV_REQ_KFD_IOCTL, 0, _IOC_NR(AMDKFD_IOC_IMPORT_DMABUF), &import, sizeof(import), NULL, 0, &again, &size), 0);
	assert_int_equal(import.handle >> 32, id_of(0));
	assert_memory_equal(&again, &e, sizeof(e));
	assert_int_equal(guest_request(&g, HSV_REQ_SHARE_PUT, 0, export.dmabuf_fd, NULL, 0, NULL, 0, NULL, NULL), 0);
	assert_int_equal(destroy(0), 0);
}

/* What a VM wrote into VRAM of any GPU the next one on this broker does not see. */
static void vram_is_zeroed_between_vms(void **state)
{
	memset(g.vram, 0x5a, 2 * HARNESS_VRAM);
	guest_close(&g);
	assert_int_equal(setup(state), 0);
	for (size_t i = 0; i < 2 * HARNESS_VRAM; i += 509)
		assert_int_equal(g.vram[i], 0);
}

static uint8_t *doorbells(unsigned gpu, uint32_t process)
{
	return g.doorbells + ((size_t)gpu * HSV_MAX_PROCESSES + process) * HSV_DOORBELL_SLOT;
}

/* The end of a process leaves its doorbells zero, and its neighbours' as they are. */
static void doorbells_of_a_process(void **state)
{
	const uint32_t last = HSV_MAX_PROCESSES - 1;

	assert_int_equal(create(last), 0);
	for (unsigned gpu = 0; gpu < 2; gpu++)
		for (uint32_t p = 0; p <= last; p += last)
			memset(doorbells(gpu, p), 0x77, HSV_DOORBELL_SLOT);
	assert_int_equal(destroy(last), 0);
	for (unsigned gpu = 0; gpu < 2; gpu++) {
		for (unsigned i = 0; i < HSV_DOORBELL_SLOT; i++) {
			assert_int_equal(doorbells(gpu, last)[i], 0);
			assert_int_equal(doorbells(gpu, 0)[i], 0x77);
		}
	}
	memset(g.doorbells, 0, g.doorbells_size);
}

/* A buffer of the guest's memory that the GPUs in the mask see at VA, and a queue of one of them in it. */
static uint32_t make_queue(unsigned gpu)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args alloc = {
		.va_addr = VA,
		.size = USED_MEMORY,
		.gpu_id = id_of(0),
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_GTT | WRITABLE | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE,
	};
	struct hsv_extent extent = {GUEST_MEMORY, USED_MEMORY};
	struct kfd_ioctl_map_memory_to_gpu_args map = {.n_devices = 2};
	struct kfd_ioctl_create_queue_args queue = {
		.ring_base_address = VA + RING,
		.write_pointer_address = VA + AMD_QUEUE + 0x38,
		.read_pointer_address = VA + AMD_QUEUE + 0x80,
		.ring_size = 64 * 64,
		.gpu_id = id_of(gpu),
		.queue_type = KFD_IOC_QUEUE_TYPE_COMPUTE_AQL,
		.queue_percentage = 100,
		.queue_priority = 7,
	};
	uint32_t ids[2] = {id_of(0), id_of(1)};

	create_on_both();
	assert_int_equal(ioctl_(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &alloc, &extent, sizeof(extent)), 0);
	map.handle = alloc.handle;
	assert_int_equal(ioctl_(AMDKFD_IOC_MAP_MEMORY_TO_GPU, &map, ids, sizeof(ids)), 0);
	assert_int_equal(map.n_success, 2);
	memset(g.ram + GUEST_MEMORY, 0, USED_MEMORY);
	for (unsigned i = 0; i < 64; i++)
		g.ram[GUEST_MEMORY + RING + 64 * i] = 1; /* invalid packets */
	assert_int_equal(ioctl_(AMDKFD_IOC_CREATE_QUEUE, &queue, NULL, 0), 0);
	assert_int_equal(queue.doorbell_offset >> 46 & 0xffff, id_of(gpu));
	return queue.queue_id;
}

/* A barrier packet that completes the signal at that address; not rung. */
static void write_packet(unsigned index, uint64_t signal)
{
	uint8_t *memory = g.ram + GUEST_MEMORY, *packet = memory + RING + index * 64;

	*(uint64_t *)(memory + SIGNAL) = 1; /* its kind; the value follows */
	*(uint64_t *)(memory + SIGNAL + 8) = 1;
	memset(packet + 4, 0, 60);
	*(uint64_t *)(packet + 56) = signal;
	atomic_store((_Atomic uint64_t *)(memory + AMD_QUEUE + 0x38), index + 1);
	atomic_store((_Atomic uint16_t *)packet, 3 | 1 << 8 | 2 << 9 | 2 << 11);
}

static void ring(unsigned gpu, uint32_t queue, unsigned index)
{
	atomic_store((_Atomic uint64_t *)doorbells(gpu, 0) + queue, index);
}

static bool completed(unsigned ms)
{
	_Atomic int64_t *value = (_Atomic int64_t *)(g.ram + GUEST_MEMORY + SIGNAL + 8);

	for (unsigned i = 0; i < ms && atomic_load(value); i++)
		usleep(1000);
	return !atomic_load(value);
}

/* A queue is rung by its own GPU's doorbell. */
static void queues(void **state)
{
	for (unsigned gpu = 0; gpu < 2; gpu++) {
		uint32_t queue = make_queue(gpu);

		/* The first packet needs no other value than is there. */
		write_packet(0, VA + SIGNAL);
		ring(gpu, queue, 0);
		assert_true(completed(CLIENT_TIMEOUT_MS));
		/* Soon after a packet the next one is looked for unasked. */
		usleep(50000);
		write_packet(1, VA + SIGNAL);
		ring(!gpu, queue, 1);
		assert_false(completed(30));
		ring(gpu, queue, 1);
		assert_true(completed(CLIENT_TIMEOUT_MS));
		assert_int_equal(destroy(0), 0);
	}
}

/* A fault tells whose it is. */
static void memory_faults(void **state)
{
	for (unsigned gpu = 0; gpu < 2; gpu++) {
		struct hsv_event event;
		uint32_t queue = make_queue(gpu);

		write_packet(0, 0x123450000ull);
		ring(gpu, queue, 0);
		assert_true(guest_next_event(&g, &event));
		assert_int_equal(event.type, HSV_EVENT_MEMORY_FAULT);
		assert_int_equal(event.memory.va, 0x123450000ull);
		assert_int_equal(event.memory.gpu, gpu);
		assert_int_equal(destroy(0), 0);
	}
}

static void bad_devices(void **state)
{
	static const struct {
		uint32_t num_gpus;
		uint64_t vram[HSV_MAX_GPUS];
	} bad[] = {
		{0, {4096}},
		{HSV_MAX_GPUS + 1, {4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096}},
		{UINT32_MAX, {4096}},
		{2, {4096, 0}},
		{2, {4096, 4097}},
		{2, {1ull << 62, 1ull << 62}},
		{3, {1ull << 62, (1ull << 62) - 4096, 8192}},
	};
	int fd = memfd_create("vram", MFD_CLOEXEC);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hsv_device_config c = {.num_gpus = bad[i].num_gpus, .vram_fd = fd};
		struct hsv_device *device = NULL;

		for (unsigned k = 0; k < HSV_MAX_GPUS; k++)
			c.gpus[k].vram_size = bad[i].vram[k];
		assert_int_equal(hsv_device_open(&c, &device), -EINVAL);
		assert_null(device);
	}
	close(fd);
}

static int start(void **state)
{
	harness_gpus = 2;
	return harness_start(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(configuration), TEST(render_nodes), TEST(topology), TEST(vram), TEST(vram_of_the_driver), TEST(imported_vram), TEST(vram_is_zeroed_between_vms),
		TEST(doorbells_of_a_process), TEST(queues), TEST(memory_faults), cmocka_unit_test(bad_devices),
	};

	return cmocka_run_group_tests(tests, start, harness_stop);
}
