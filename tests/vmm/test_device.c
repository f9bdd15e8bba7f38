// SPDX-License-Identifier: MIT
/*
 * test_device.c - the device as a guest's driver sees it: virtqueues and requests, wrong ones
 * first, then a GPU process from its creation to an event of its GPU. Runs on the real core and the
 * software GPU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <drm/amdgpu_drm.h>
#include <errno.h>
#include <linux/kfd_ioctl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/vmm/client.h"
#include "tests/vmm/harness.h"
#include "vmm/pci.h"

#define INDIRECT  (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define WRITABLE  (1u << 31) /* KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, without the overflow */
#define PARK	  (UINT64_C(1) << HSV_F_PARK)

static struct guest g;

static int setup(void **state)
{
	return guest_connect(&g, harness_socket) || guest_start(&g, INDIRECT | EVENT_IDX | PARK);
}

static int setup_plain(void **state)
{
	return guest_connect(&g, harness_socket) || guest_start(&g, 0);
}

static int setup_without_park(void **state)
{
	return guest_connect(&g, harness_socket) || guest_start(&g, INDIRECT | EVENT_IDX);
}

static int teardown(void **state)
{
	guest_close(&g);
	return 0;
}

static int create(uint32_t process)
{
	struct hsv_process_args args = {.pid = 100 + process, .comm = "test"};

	return guest_request(&g, HSV_REQ_PROCESS_CREATE, process, 0, &args, sizeof(args), NULL, 0,
			     NULL, NULL);
}

static int destroy(uint32_t process)
{
	return guest_request(&g, HSV_REQ_PROCESS_DESTROY, process, 0, NULL, 0, NULL, 0, NULL, NULL);
}

static int ioctl_in(uint32_t process, unsigned long cmd, void *args, const void *in,
		    uint32_t in_size)
{
	return guest_request(&g, HSV_REQ_KFD_IOCTL, process, _IOC_NR(cmd), args, _IOC_SIZE(cmd), in,
			     in_size, NULL, NULL);
}

static int ioctl_(uint32_t process, unsigned long cmd, void *args)
{
	return ioctl_in(process, cmd, args, NULL, 0);
}

/* ---- The transport, wrong ---- */

static void features_without_version_1(void **state)
{
	guest_common_write(&g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	guest_common_write(&g, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	guest_common_write(&g, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_STATUS, 1), 3);
}

static void features_not_offered(void **state)
{
	assert_int_equal(guest_start(&g, UINT64_C(1) << 5), -1);
	assert_int_equal(guest_start(&g, UINT64_C(1) << 60), -1);
	assert_int_equal(guest_start(&g, INDIRECT), 0);
}

static void enable_at(uint64_t desc, uint64_t avail, uint64_t used)
{
	guest_common_write(&g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	guest_common_write(&g, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	guest_common_write(&g, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	guest_common_write(&g, VIRTIO_PCI_COMMON_GF, 4, 1);
	guest_common_write(&g, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)desc);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_DESCHI, 4, (uint32_t)(desc >> 32));
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)avail);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_AVAILHI, 4, (uint32_t)(avail >> 32));
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)used);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_USEDHI, 4, (uint32_t)(used >> 32));
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void queue_addresses_wrong(void **state)
{
	static const uint64_t wrong[][3] = {
		{GUEST_RAM, 0x2000, 0x3000},	    {0x1000, GUEST_RAM - 100, 0x3000},
		{0x1000, 0x2000, GUEST_RAM - 4},    {0x1001, 0x2000, 0x3000},
		{0x1000, 0x2001, 0x3000},	    {0x1000, 0x2000, 0x3002},
		{UINT64_MAX & ~15, 0x2000, 0x3000}, {0x1000, UINT64_MAX - 1, 0x3000},
		{0x1000, 0x2000, UINT64_MAX & ~3},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		enable_at(wrong[i][0], wrong[i][1], wrong[i][2]);
		assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_true(guest_needs_reset(&g));
	}
	enable_at(0x1000, 0x2000, 0x3000);
	assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_false(guest_needs_reset(&g));
}

static void queue_sizes(void **state)
{
	guest_common_write(&g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_Q_SIZE, 2), HSV_QUEUE_SIZE);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 512);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 3);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 0);
	assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_Q_SIZE, 2), HSV_QUEUE_SIZE);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 64);
	assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_MSIX, 2, 3);
	assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	guest_common_write(&g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(guest_common_read(&g, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
}

/* The chain that was offered breaks the queue: the driver is told by the configuration interrupt,
 * and a reset mends it. */
static void assert_breaks(void)
{
	struct pollfd p = {.fd = g.irqs[0], .events = POLLIN};

	guest_kick(&g, HSV_QUEUE_CONTROL);
	assert_int_equal(poll(&p, 1, CLIENT_TIMEOUT_MS), 1);
	assert_true(guest_needs_reset(&g));
	assert_int_equal(guest_start(&g, g.features), 0);
	assert_false(guest_needs_reset(&g));
	assert_int_equal(create(1), 0);
	assert_int_equal(destroy(1), 0);
	assert_int_equal(read(g.irqs[0], &(uint64_t){0}, 8), 8);
}

static void head_out_of_range(void **state)
{
	guest_offer(&g, &g.control, HSV_QUEUE_SIZE);
	assert_breaks();
}

static void index_jumps(void **state)
{
	g.control.next_avail += 1000;
	guest_offer(&g, &g.control, 0);
	assert_breaks();
}

static void descriptor_loop(void **state)
{
	guest_desc(&g, 0, GUEST_MEMORY, 64, VRING_DESC_F_NEXT, 1);
	guest_desc(&g, 1, GUEST_MEMORY, 64, VRING_DESC_F_NEXT, 0);
	guest_offer(&g, &g.control, 0);
	assert_breaks();
}

static void next_out_of_range(void **state)
{
	guest_desc(&g, 0, GUEST_MEMORY, 64, VRING_DESC_F_NEXT, 0xffff);
	guest_offer(&g, &g.control, 0);
	assert_breaks();
}

static void read_after_write(void **state)
{
	guest_desc(&g, 0, GUEST_MEMORY, 64, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	guest_desc(&g, 1, GUEST_MEMORY, 64, 0, 0);
	guest_offer(&g, &g.control, 0);
	assert_breaks();
}

static void empty_buffer(void **state)
{
	guest_desc(&g, 0, GUEST_MEMORY, 0, 0, 0);
	guest_offer(&g, &g.control, 0);
	assert_breaks();
}

static void chain_too_large(void **state)
{
	guest_desc(&g, 0, GUEST_MEMORY, UINT32_MAX, VRING_DESC_F_NEXT, 1);
	guest_desc(&g, 1, GUEST_MEMORY, UINT32_MAX, 0, 0);
	guest_offer(&g, &g.control, 0);
	assert_breaks();
}

static void indirect(uint64_t table, uint32_t size, uint16_t flags)
{
	guest_desc(&g, 0, table, size, VRING_DESC_F_INDIRECT | flags, 1);
	guest_offer(&g, &g.control, 0);
	assert_breaks();
}

static void indirect_wrong(void **state)
{
	struct guest_desc desc = {GUEST_MEMORY, 16, VRING_DESC_F_INDIRECT, 0};

	indirect(GUEST_MEMORY, 0, 0);
	indirect(GUEST_MEMORY, 24, 0);
	indirect(GUEST_MEMORY, 16 * 1025, 0);
	indirect(GUEST_MEMORY, 16, VRING_DESC_F_NEXT);
	indirect(GUEST_RAM, 16, 0);
	indirect(UINT64_MAX - 7, 16, 0);
	memcpy(g.ram + GUEST_MEMORY, &desc, sizeof(desc)); /* nested */
	indirect(GUEST_MEMORY, 16, 0);
	desc = (struct guest_desc){GUEST_MEMORY, 16, VRING_DESC_F_NEXT, 1};
	memcpy(g.ram + GUEST_MEMORY, &desc, sizeof(desc)); /* leaves its table */
	indirect(GUEST_MEMORY, 16, 0);
}

static void indirect_not_negotiated(void **state)
{
	guest_desc(&g, 0, GUEST_MEMORY, 16, VRING_DESC_F_INDIRECT, 0);
	guest_offer(&g, &g.control, 0);
	assert_breaks();
}

/* Requests that can't be read or answered come back with nothing written; the queue lives on. */
static void buffers_outside_of_memory(void **state)
{
	uint32_t len = 77;

	guest_desc(&g, 0, GUEST_RAM - 8, 64, VRING_DESC_F_NEXT, 1);
	guest_desc(&g, 1, GUEST_MEMORY, 64, VRING_DESC_F_WRITE, 0);
	guest_offer(&g, &g.control, 0);
	guest_kick(&g, HSV_QUEUE_CONTROL);
	assert_int_equal(guest_wait_used(&g, &g.control, &len), 0);
	assert_int_equal(len, sizeof(struct hsv_response)); /* the error could be written */
	assert_int_not_equal(g.ram[GUEST_MEMORY], 0);
	guest_desc(&g, 0, GUEST_MEMORY, 64, VRING_DESC_F_NEXT, 1);
	guest_desc(&g, 1, UINT64_MAX - 3, 64, VRING_DESC_F_WRITE, 0);
	guest_offer(&g, &g.control, 0);
	guest_kick(&g, HSV_QUEUE_CONTROL);
	assert_int_equal(guest_wait_used(&g, &g.control, &len), 0);
	assert_int_equal(len, 0);
	guest_desc(&g, 0, GUEST_MEMORY, 3, 0, 1); /* too short, no room for an answer */
	guest_offer(&g, &g.control, 0);
	guest_kick(&g, HSV_QUEUE_CONTROL);
	assert_int_equal(guest_wait_used(&g, &g.control, &len), 0);
	assert_int_equal(len, 0);
	assert_int_equal(create(0), 0);
}

/* Memory that goes away while rings are in it. */
static void memory_unplugged(void **state)
{
	assert_int_equal(create(3), 0);
	assert_int_equal(client_dma_unmap(g.sock, 0, GUEST_RAM), 0);
	guest_kick(&g, HSV_QUEUE_CONTROL);
	for (unsigned i = 0; i < CLIENT_TIMEOUT_MS && !guest_needs_reset(&g); i++)
		usleep(1000);
	assert_true(guest_needs_reset(&g));
	assert_int_equal(client_dma_map(g.sock, 0, GUEST_RAM, g.ram_fd, 0), 0);
	assert_int_equal(guest_start(&g, g.features), 0);
	assert_int_equal(create(3), 0);
}

/* Garbage in descriptors and rings, the same every time: the device survives and a reset mends all.
 */
static void random_rings(void **state)
{
	static const uint64_t addresses[] = {
		0,	   0x1000,	     GUEST_MEMORY,	  GUEST_RAM - 16,
		GUEST_RAM, UINT64_MAX - 100, GUEST_MEMORY + 4096, 0x2000};
	uint32_t seed = 7;

	for (unsigned round = 0; round < 300; round++) {
		struct guest_desc *table = (struct guest_desc *)(g.ram + GUEST_MEMORY);

		for (unsigned i = 0; i < 32; i++) {
			struct guest_desc desc = {
				addresses[(seed >> 8) % 8], (seed >> 12) % 200 * 16,
				(uint16_t)((seed >> 20) % 8), (uint16_t)((seed >> 24) % 34)};

			seed = seed * 1664525 + 1013904223;
			guest_desc(&g, i, desc.addr, desc.len, desc.flags, desc.next);
			seed = seed * 1664525 + 1013904223;
			desc.flags = (uint16_t)((seed >> 20) % 4);
			table[i] = desc;
		}
		for (unsigned i = 0; i < 1 + (seed >> 16) % 20; i++) {
			guest_offer(&g, &g.control, (uint16_t)((seed >> (i % 16)) % 33));
			guest_offer(&g, &g.event, (uint16_t)((seed >> (i % 16)) % 257));
		}
		assert_int_equal(guest_kick(&g, HSV_QUEUE_CONTROL), 0);
		assert_int_equal(guest_kick(&g, HSV_QUEUE_EVENT), 0);
		assert_int_equal(guest_start(&g, g.features), 0);
	}
	assert_int_equal(create(0), 0);
}

/* ---- Requests, wrong ---- */

static void unknown_types(void **state)
{
	static const uint32_t types[] = {0, 100, 1000, UINT32_MAX};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(guest_request(&g, types[i], 0, 0, NULL, 0, NULL, 0, NULL, NULL),
				 -ENOTTY);
}

static void sizes_wrong(void **state)
{
	struct hsv_request request = {HSV_REQ_KFD_IOCTL, 0, 1, 0, 0, 0, 0};
	static const uint32_t wrong[][3] = {
		{HSV_MAX_ARGS + 1, 0, 0},
		{0, HSV_MAX_ARRAY + 1, 0},
		{0, 0, HSV_MAX_ARRAY + 1},
		{UINT32_MAX, UINT32_MAX, UINT32_MAX},
		{100, 0, 0},
		{0, 100, 0},
		{0, 0, 1000},
	};

	assert_int_equal(create(0), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct hsv_response response;
		uint32_t len;

		request.args_size = wrong[i][0];
		request.in_size = wrong[i][1];
		request.out_size = wrong[i][2];
		memcpy(g.ram + GUEST_MEMORY, &request, sizeof(request));
		guest_desc(&g, 0, GUEST_MEMORY, sizeof(request), VRING_DESC_F_NEXT, 1);
		guest_desc(&g, 1, GUEST_MEMORY + 4096, 64, VRING_DESC_F_WRITE, 0);
		guest_offer(&g, &g.control, 0);
		guest_kick(&g, HSV_QUEUE_CONTROL);
		assert_int_equal(guest_wait_used(&g, &g.control, &len), 0);
		assert_int_equal(len, sizeof(response));
		memcpy(&response, g.ram + GUEST_MEMORY + 4096, sizeof(response));
		assert_int_equal(response.error, EINVAL);
	}
}

static void processes_wrong(void **state)
{
	struct hsv_process_args args = {.pid = 1};
	struct hsv_memory_args memory = {.handle = 1};
	struct kfd_ioctl_get_version_args version;

	assert_int_equal(guest_request(&g, HSV_REQ_PROCESS_CREATE, 0, 0, &args, sizeof(args) - 1,
				       NULL, 0, NULL, NULL),
			 -EINVAL);
	assert_int_equal(create(HSV_MAX_PROCESSES), -EINVAL);
	assert_int_equal(create(UINT32_MAX), -EINVAL);
	assert_int_equal(destroy(5), -ESRCH);
	assert_int_equal(destroy(UINT32_MAX), -EINVAL);
	assert_int_equal(ioctl_(5, AMDKFD_IOC_GET_VERSION, &version), -ESRCH);
	for (uint32_t type = HSV_REQ_MEMORY_EXTEND; type <= HSV_REQ_UNPARK; type++)
		assert_int_equal(
			guest_request(&g, type, 5, 0, &memory, sizeof(memory), NULL, 0, NULL, NULL),
			-ESRCH);
	assert_int_equal(create(5), 0);
	assert_int_equal(create(5), -EBUSY);
	for (uint32_t type = HSV_REQ_MEMORY_EXTEND; type <= HSV_REQ_MEMORY_RESTORE; type++) {
		assert_int_not_equal(
			guest_request(&g, type, 5, 0, &memory, sizeof(memory), NULL, 0, NULL, NULL),
			0);
		assert_int_equal(guest_request(&g, type, 5, 0, &memory, 8, NULL, 0, NULL, NULL),
				 -EINVAL);
	}
	assert_int_equal(guest_request(&g, HSV_REQ_MEMORY_RESTORE, 5, 0, &memory, sizeof(memory),
				       "abc", 3, NULL, NULL),
			 -EINVAL);
	assert_int_equal(destroy(5), 0);
	assert_int_equal(destroy(5), -ESRCH);
}

static void ioctls_unknown(void **state)
{
	uint8_t args[HSV_MAX_ARGS] = {0};
	static const uint32_t codes[] = {0, 0x60, 0xff, 0x100, UINT32_MAX};

	assert_int_equal(create(0), 0);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		assert_int_equal(guest_request(&g, HSV_REQ_KFD_IOCTL, 0, codes[i], args,
					       sizeof(args), NULL, 0, NULL, NULL),
				 -ENOTTY);
}

/* Every ioctl with every size of zeros and of ones: errors or answers, no crash. */
static void ioctls_with_nonsense(void **state)
{
	uint8_t args[HSV_MAX_ARGS], in[512], out[512];

	assert_int_equal(create(0), 0);
	for (uint32_t code = 0; code < 0x30; code++)
		for (uint32_t size = 0; size <= HSV_MAX_ARGS; size += 8) {
			uint32_t out_size = size * 4;
			int fill = size % 16 ? 0xff : 0;

			memset(args, fill, sizeof(args));
			memset(in, fill, sizeof(in));
			assert_int_not_equal(guest_request(&g, HSV_REQ_KFD_IOCTL, 0, code, args,
							   size, in, size * 4, out, &out_size),
					     -ETIMEDOUT);
		}
	assert_false(guest_needs_reset(&g));
}

static void extents_outside_of_memory(void **state)
{
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 1};
	static const struct hsv_extent wrong[] = {
		{GUEST_RAM, 4096},
		{GUEST_RAM - 4096, 8192},
		{UINT64_MAX & ~UINT64_C(4095), 4096},
		{1, 4096},
		{0, 0},
		{4096, 4095},
	};
	struct hsv_config config;

	assert_int_equal(client_read(g.sock, 0, 0x2000, &config, sizeof(config)), 0);
	acquire.gpu_id = config.gpus[0].gpu_id;
	assert_int_equal(create(0), 0);
	assert_int_equal(ioctl_(0, AMDKFD_IOC_ACQUIRE_VM, &acquire), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct kfd_ioctl_alloc_memory_of_gpu_args alloc = {
			.va_addr = 0x100000000,
			.size = wrong[i].size,
			.gpu_id = config.gpus[0].gpu_id,
			.flags = KFD_IOC_ALLOC_MEM_FLAGS_GTT | WRITABLE,
		};

		assert_int_not_equal(ioctl_in(0, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &alloc, &wrong[i],
					      sizeof(wrong[i])),
				     0);
	}
}

/* Buffers that a guest names without memory behind them count, too. */
static void pinned_memory_is_bounded(void **state)
{
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 1};
	struct kfd_ioctl_alloc_memory_of_gpu_args alloc = {
		.va_addr = 0x100000000,
		.size = GUEST_RAM / 2,
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_GTT | WRITABLE,
	};
	struct hsv_config config;

	assert_int_equal(client_read(g.sock, 0, 0x2000, &config, sizeof(config)), 0);
	acquire.gpu_id = alloc.gpu_id = config.gpus[0].gpu_id;
	for (uint32_t p = 0; p < 3; p++) {
		assert_int_equal(create(p), 0);
		assert_int_equal(ioctl_(p, AMDKFD_IOC_ACQUIRE_VM, &acquire), 0);
		assert_int_equal(ioctl_(p, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &alloc),
				 p < 2 ? 0 : -ENOMEM);
	}
	assert_int_equal(destroy(0), 0);
	assert_int_equal(ioctl_(2, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &alloc), 0);
}

/* What a VM wrote into its VRAM, buffers or not, the next one on this broker does not see. */
static void vram_is_zeroed_between_vms(void **state)
{
	static uint8_t page[4096], zero[4096];

	memset(page, 0x5a, sizeof(page));
	assert_int_equal(client_write(g.sock, PCI_BAR_VRAM, 0x3000, page, sizeof(page)), 0);
	assert_int_equal(client_write(g.sock, PCI_BAR_VRAM, HARNESS_VRAM - 4096, page, 4096), 0);
	guest_close(&g);
	assert_int_equal(setup(state), 0);
	memset(page, 0xee, sizeof(page));
	assert_int_equal(client_read(g.sock, PCI_BAR_VRAM, 0x3000, page, sizeof(page)), 0);
	assert_memory_equal(page, zero, sizeof(page));
	assert_int_equal(client_read(g.sock, PCI_BAR_VRAM, HARNESS_VRAM - 4096, page, 4096), 0);
	assert_memory_equal(page, zero, sizeof(page));
}

/* Nothing is away here: who comes back has it at once, however often it says what. */
static void vram_that_is_not_swapped(void **state)
{
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(guest_request(&g, HSV_REQ_VRAM_BACK, 0, 0, NULL, 0, NULL, 0, NULL,
					       NULL),
				 0);
		assert_int_equal(guest_request(&g, HSV_REQ_VRAM_AWAY, i * 1000, 0, NULL, 0, NULL, 0,
					       NULL, NULL),
				 0);
	}
}

static void disconnect_in_mid_request(void **state)
{
	unsigned before;

	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(create(i), 0);
		for (unsigned k = 0; k < 20; k++)
			guest_offer(&g, &g.control,
				    0); /* the same chain: creates that are refused */
		guest_kick(&g, HSV_QUEUE_CONTROL);
		guest_close(&g);
		assert_int_equal(setup(state), 0);
		if (i == 0)
			before = harness_count_fds();
	}
	assert_int_equal(harness_count_fds(), before);
	assert_int_equal(create(0), 0);
}

static void reset_ends_processes(void **state)
{
	for (unsigned i = 0; i < 20; i++) {
		for (uint32_t p = 0; p < 5; p++)
			assert_int_equal(create(p), 0);
		assert_int_equal(guest_start(&g, g.features), 0);
	}
}

/* A dma-buf of a guest that is no more keeps no VRAM, nor can be had by the next one. */
static void reset_ends_shares(void **state)
{
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 1};
	struct kfd_ioctl_export_dmabuf_args export;
	struct kfd_ioctl_alloc_memory_of_gpu_args alloc;
	struct kfd_ioctl_import_dmabuf_args import = {.dmabuf_fd = 1};
	struct hsv_config config;
	struct hsv_extent extents[16];
	uint32_t size;

	assert_int_equal(client_read(g.sock, 0, 0x2000, &config, sizeof(config)), 0);
	acquire.gpu_id = import.gpu_id = config.gpus[0].gpu_id;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(create(0), 0);
		assert_int_equal(ioctl_(0, AMDKFD_IOC_ACQUIRE_VM, &acquire), 0);
		size = sizeof(extents);
		assert_int_equal(guest_request(&g, HSV_REQ_KFD_IOCTL, 0, _IOC_NR(AMDKFD_IOC_IMPORT_DMABUF), &import, sizeof(import), NULL, 0, extents, &size), -EINVAL);
		alloc = (struct kfd_ioctl_alloc_memory_of_gpu_args){
			.size = HARNESS_VRAM, .gpu_id = config.gpus[0].gpu_id, .flags = KFD_IOC_ALLOC_MEM_FLAGS_VRAM | WRITABLE};
		size = sizeof(extents);
		assert_int_equal(guest_request(&g, HSV_REQ_KFD_IOCTL, 0, _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &alloc, sizeof(alloc), NULL, 0, extents, &size), 0);
		export = (struct kfd_ioctl_export_dmabuf_args){.handle = alloc.handle};
		assert_int_equal(ioctl_(0, AMDKFD_IOC_EXPORT_DMABUF, &export), 0);
		assert_int_equal(export.dmabuf_fd, 1);
		assert_int_equal(guest_start(&g, g.features), 0);
		assert_int_equal(guest_request(&g, HSV_REQ_SHARE_PUT, 0, export.dmabuf_fd, NULL, 0, NULL, 0, NULL, NULL), -EINVAL);
	}
}

/* ---- Right use ---- */

static void configuration(void **state)
{
	struct hsv_config config;

	assert_int_equal(client_read(g.sock, 0, 0x2000, &config, sizeof(config)), 0);
	assert_int_equal(config.abi_version, HSV_ABI_VERSION);
	assert_int_equal(config.kfd_version, 1 << 16 | 14);
	assert_int_equal(config.max_processes, HSV_MAX_PROCESSES);
	assert_int_equal(config.gpus[0].vram_size, HARNESS_VRAM);
	assert_int_equal(config.gpus[0].pci_device_id, 0x740f);
	assert_true(config.gpus[0].gpu_id > 0 && config.gpus[0].gpu_id < 65536);
	/* Read-only. */
	assert_int_equal(client_write(g.sock, 0, 0x2000, "xxxx", 4), 0);
	assert_int_equal(client_read(g.sock, 0, 0x2000, &config, sizeof(config)), 0);
	assert_int_equal(config.abi_version, HSV_ABI_VERSION);
}

static void all_processes(void **state)
{
	for (uint32_t p = 0; p < HSV_MAX_PROCESSES; p++)
		assert_int_equal(create(p), 0);
	for (uint32_t p = 0; p < HSV_MAX_PROCESSES; p++)
		assert_int_equal(destroy(p), 0);
}

static void versions_and_topology(void **state)
{
	struct kfd_ioctl_get_version_args version = {0};
	struct hsv_topology_args args = {.cpus = 2, .render_minors = {128, 129}, .memory = GUEST_RAM};
	struct drm_amdgpu_info info = {.return_size = sizeof(struct drm_amdgpu_info_device),
				       .query = AMDGPU_INFO_DEV_INFO};
	struct drm_amdgpu_info_device device;
	uint32_t size = 64;
	static char buf[1u << 20];

	assert_int_equal(create(0), 0);
	assert_int_equal(ioctl_(0, AMDKFD_IOC_GET_VERSION, &version), 0);
	assert_int_equal(version.major_version, 1);
	assert_int_equal(version.minor_version, 14);
	assert_int_equal(
		guest_request(&g, HSV_REQ_TOPOLOGY, 0, 0, &args, sizeof(args), NULL, 0, buf, &size),
		-ENOSPC);
	size = sizeof(buf);
	assert_int_equal(
		guest_request(&g, HSV_REQ_TOPOLOGY, 0, 0, &args, sizeof(args), NULL, 0, buf, &size),
		0);
	assert_true(size > 1000);
	size = sizeof(device);
	assert_int_equal(guest_request(&g, HSV_REQ_DRM_INFO, 0, 0, &info, sizeof(info), NULL, 0,
				       &device, &size),
			 0);
	assert_int_equal(size, sizeof(device));
	assert_int_equal(device.device_id, 0x740f);
}

#define VA 0x200000000ull /* GPU address of the guest's memory from GUEST_MEMORY */

/* Where things are from VA. */
enum { RING = 0, AMD_QUEUE = 0x10000, SIGNAL = 0x11000, MAILBOX = 0x12000, USED_MEMORY = 0x20000 };

struct amd_signal {
	int64_t kind, value;
	uint64_t mailbox;
	uint32_t event, reserved;
	uint64_t start, end, more[2];
};

static struct hsv_config config;
static uint64_t handle;

/* A process 0 with memory mapped at VA and an AQL queue. */
static uint32_t make_queue(void)
{
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 1};
	struct kfd_ioctl_alloc_memory_of_gpu_args alloc = {
		.va_addr = VA,
		.size = USED_MEMORY,
		.flags =
			KFD_IOC_ALLOC_MEM_FLAGS_GTT | WRITABLE | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE,
	};
	/* In two pieces, out of order. */
	struct hsv_extent extents[2] = {{GUEST_MEMORY, 0x10000}, {GUEST_MEMORY + 0x10000, 0x10000}};
	struct kfd_ioctl_map_memory_to_gpu_args map = {.n_devices = 1};
	struct kfd_ioctl_create_queue_args queue = {
		.ring_base_address = VA + RING,
		.write_pointer_address = VA + AMD_QUEUE + 0x38,
		.read_pointer_address = VA + AMD_QUEUE + 0x80,
		.ring_size = 64 * 64,
		.queue_type = KFD_IOC_QUEUE_TYPE_COMPUTE_AQL,
		.queue_percentage = 100,
		.queue_priority = 7,
	};

	assert_int_equal(client_read(g.sock, 0, 0x2000, &config, sizeof(config)), 0);
	acquire.gpu_id = alloc.gpu_id = queue.gpu_id = config.gpus[0].gpu_id;
	assert_int_equal(create(0), 0);
	assert_int_equal(ioctl_(0, AMDKFD_IOC_ACQUIRE_VM, &acquire), 0);
	assert_int_equal(
		ioctl_in(0, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &alloc, extents, sizeof(extents)), 0);
	handle = map.handle = alloc.handle;
	assert_int_equal(ioctl_in(0, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &map, &config.gpus[0].gpu_id, 4), 0);
	assert_int_equal(map.n_success, 1);
	memset(g.ram + GUEST_MEMORY, 0, USED_MEMORY);
	for (unsigned i = 0; i < 64; i++)
		g.ram[GUEST_MEMORY + RING + 64 * i] = 1; /* invalid packets */
	assert_int_equal(ioctl_(0, AMDKFD_IOC_CREATE_QUEUE, &queue), 0);
	return queue.queue_id;
}

/* Submits packet number index, a barrier packet that completes the signal with event 5, and rings.
 */
static void submit(uint32_t queue, uint64_t index)
{
	uint8_t *memory = g.ram + GUEST_MEMORY, *packet = memory + RING + 64 * (index % 64);
	struct amd_signal *signal = (struct amd_signal *)(memory + SIGNAL);

	*signal = (struct amd_signal){.kind = 1, .value = 1, .mailbox = VA + MAILBOX, .event = 5};
	memset(packet + 4, 0, 60);
	*(uint64_t *)(packet + 56) = VA + SIGNAL;
	atomic_store((_Atomic uint64_t *)(memory + AMD_QUEUE + 0x38), index + 1);
	atomic_store((_Atomic uint16_t *)packet, 3 | 1 << 8 | 2 << 9 | 2 << 11);
	atomic_store((_Atomic uint64_t *)(g.doorbells) + queue, index);
}

static int64_t signal_value(void)
{
	return atomic_load((_Atomic int64_t *)(g.ram + GUEST_MEMORY + SIGNAL + 8));
}

static bool wait_signal(void)
{
	for (unsigned i = 0; i < CLIENT_TIMEOUT_MS && signal_value(); i++)
		usleep(1000);
	return signal_value() == 0;
}

static void doorbell_to_event(void **state)
{
	struct hsv_event event;
	uint32_t queue = make_queue();
	uint64_t exits;

	submit(queue, 0);
	assert_true(guest_next_event(&g, &event));
	assert_int_equal(event.type, HSV_EVENT_SIGNAL);
	assert_int_equal(event.process, 0);
	assert_int_equal(event.event_id, 5);
	assert_int_equal(signal_value(), 0);
	assert_int_equal(*(uint64_t *)(g.ram + GUEST_MEMORY + MAILBOX), 5);

	exits = atomic_load(&harness_counters.vm_exits);
	for (unsigned i = 1; i < 200; i++) {
		submit(queue, i);
		assert_true(guest_next_event(&g, &event));
	}
	assert_int_equal(atomic_load(&harness_counters.vm_exits), exits);
	assert_int_equal(destroy(0), 0);
}

/* More signals than buffers, and the guest takes none meanwhile: what is too much becomes one bit.
 */
static void run_out_of_buffers(unsigned more)
{
	_Atomic uint16_t *used = (_Atomic uint16_t *)(g.ram + g.event.used + 2);
	uint16_t begin = atomic_load(used);
	uint32_t queue = make_queue();

	for (unsigned i = 0; i < GUEST_BUFFERS + more; i++) {
		submit(queue, i);
		assert_true(wait_signal());
		/* The event comes after the signal; two before either was told of are one. */
		for (unsigned ms = 0; ms < CLIENT_TIMEOUT_MS && i < GUEST_BUFFERS && (uint16_t)(atomic_load(used) - begin) <= i; ms++)
			usleep(1000);
	}
}

/*
 * Whether the device wants to be told of a buffer behind the first `from` ones, of those that are there and the next one, rather than look for them itself: it may
 * have said so at any of them.
 */
static bool wants_notification(uint16_t from)
{
	uint8_t *used = g.ram + g.event.used;

	if (g.features & EVENT_IDX)
		return (uint16_t)(atomic_load((_Atomic uint16_t *)(used + 4 + 8 * g.event.size)) - from) <= (uint16_t)(g.event.next_avail - from);
	return !(atomic_load((_Atomic uint16_t *)used) & VRING_USED_F_NO_NOTIFY);
}

static void signals_coalesce_without_buffers(void **state)
{
	struct hsv_event event;

	run_out_of_buffers(30);
	/* The device gives up looking for buffers by and by. */
	for (unsigned i = 0; i < CLIENT_TIMEOUT_MS && !wants_notification(g.event.next_avail); i++)
		usleep(1000);
	assert_true(wants_notification(g.event.next_avail));
	for (unsigned i = 0; i < GUEST_BUFFERS; i++) {
		assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
		assert_int_equal(event.event_id, 5);
	}
	assert_false(guest_event(&g, &event, 100));
	guest_kick(&g, HSV_QUEUE_EVENT);
	assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
	assert_false(guest_event(&g, &event, 50));
}

/* False: it took the guest so long that the device had given up, and had to be told. */
static bool found_by_the_device(void)
{
	struct hsv_event event;
	uint64_t kicks;
	uint16_t from;
	bool found;

	run_out_of_buffers(1);
	from = g.event.next_avail;
	kicks = atomic_load(&harness_counters.vm_exits);
	for (unsigned i = 0; i < GUEST_BUFFERS; i++)
		assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
	found = guest_event(&g, &event, 1000);
	if (found) {
		assert_false(guest_event(&g, &event, 50));
		assert_int_equal(atomic_load(&harness_counters.vm_exits), kicks);
	} else {
		assert_true(wants_notification(from));
		guest_kick(&g, HSV_QUEUE_EVENT);
		assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
	}
	assert_int_equal(destroy(0), 0);
	return found;
}

static void late_buffers_without_exits(void **state)
{
	bool found = false;

	/* A busy machine may keep the guest from being in time. */
	for (unsigned i = 0; i < 20 && !found; i++)
		found = found_by_the_device();
	assert_true(found);
}

static void memory_fault_event(void **state)
{
	struct hsv_event event;
	uint32_t queue = make_queue();

	submit(queue, 0);
	assert_true(guest_next_event(&g, &event));
	*(uint64_t *)(g.ram + GUEST_MEMORY + SIGNAL) = 0;
	submit(queue, 1);
	assert_true(guest_next_event(&g, &event));
	/* A signal that isn't mapped. */
	*(uint64_t *)(g.ram + GUEST_MEMORY + RING + 2 * 64 + 56) = 0;
	submit(queue, 2);
	assert_true(guest_next_event(&g, &event));
	memset(g.ram + GUEST_MEMORY + RING + 3 * 64 + 4, 0, 60);
	*(uint64_t *)(g.ram + GUEST_MEMORY + RING + 3 * 64 + 56) = 0x123450000ull;
	atomic_store((_Atomic uint64_t *)(g.ram + GUEST_MEMORY + AMD_QUEUE + 0x38), 4);
	atomic_store((_Atomic uint16_t *)(g.ram + GUEST_MEMORY + RING + 3 * 64), 3 | 1 << 8);
	atomic_store((_Atomic uint64_t *)(g.doorbells) + queue, 3);
	assert_true(guest_next_event(&g, &event));
	assert_int_equal(event.type, HSV_EVENT_MEMORY_FAULT);
	assert_int_equal(event.memory.va, 0x123450000ull);
	assert_int_equal(event.memory.not_present, 1);
	assert_int_equal(destroy(0), 0);
	assert_int_equal(create(0), 0);
}

static int plain(uint32_t type)
{
	return guest_request(&g, type, 0, 0, NULL, 0, NULL, 0, NULL, NULL);
}

static void park_and_unpark(void **state)
{
	struct hsv_event event;
	uint32_t queue = make_queue();

	submit(queue, 0);
	do
		assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
	while (event.type != HSV_EVENT_PARK);
	assert_int_equal(event.process, 0);
	/* On a busy machine the process was idle for long enough before there was work. */
	assert_true(wait_signal());
	for (unsigned i = 1; i < 20; i++) {
		assert_int_equal(plain(HSV_REQ_PARKED), 0);
		/* Parked: the GPU doesn't look at the doorbell. */
		submit(queue, i);
		if (i % 5 == 0) {
			usleep(20000);
			assert_int_equal(signal_value(), 1);
		}
		assert_int_equal(plain(HSV_REQ_UNPARK), 0);
		assert_true(wait_signal());
		do
			assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
		while (event.type != HSV_EVENT_PARK);
	}
	assert_int_equal(destroy(0), 0);
}

static void no_park_without_the_feature(void **state)
{
	struct hsv_event event;
	uint32_t queue = make_queue();

	submit(queue, 0);
	assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
	assert_int_equal(event.type, HSV_EVENT_SIGNAL);
	assert_false(guest_event(&g, &event, 300));
	submit(queue, 1);
	assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
}

static void memory_unplugged_under_the_gpu(void **state)
{
	uint32_t queue = make_queue();
	struct hsv_event event;

	submit(queue, 0);
	assert_true(guest_next_event(&g, &event));
	assert_int_equal(client_dma_unmap(g.sock, 0, GUEST_RAM), 0);
	atomic_store((_Atomic uint64_t *)(g.doorbells) + queue, 1); /* a fault: the ring is gone */
	usleep(20000);
	assert_int_equal(client_dma_map(g.sock, 0, GUEST_RAM, g.ram_fd, 0), 0);
	assert_int_equal(guest_start(&g, g.features), 0);
	queue = make_queue();
	submit(queue, 0);
	assert_true(guest_next_event(&g, &event));
	assert_int_equal(event.type, HSV_EVENT_SIGNAL);
}

static void gpu_busy_at_disconnect(void **state)
{
	for (unsigned k = 0; k < 10; k++) {
		uint32_t queue = make_queue();

		for (unsigned i = 0; i < 32; i++)
			submit(queue, i);
		guest_close(&g);
		assert_int_equal(setup(state), 0);
	}
}

#define TEST(f)	   cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NO_PARK(f) cmocka_unit_test_setup_teardown(f, setup_without_park, teardown)
#define PLAIN(f)   cmocka_unit_test_setup_teardown(f, setup_plain, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(features_without_version_1),
		TEST(features_not_offered),
		TEST(queue_addresses_wrong),
		TEST(queue_sizes),
		TEST(head_out_of_range),
		TEST(index_jumps),
		TEST(descriptor_loop),
		TEST(next_out_of_range),
		TEST(read_after_write),
		TEST(empty_buffer),
		TEST(chain_too_large),
		TEST(indirect_wrong),
		PLAIN(indirect_not_negotiated),
		PLAIN(buffers_outside_of_memory),
		TEST(memory_unplugged),

		TEST(random_rings),
		TEST(unknown_types),
		PLAIN(sizes_wrong),
		TEST(processes_wrong),
		TEST(ioctls_unknown),
		TEST(ioctls_with_nonsense),
		TEST(extents_outside_of_memory),
		TEST(pinned_memory_is_bounded),
		TEST(vram_that_is_not_swapped),
		TEST(vram_is_zeroed_between_vms),
		PLAIN(disconnect_in_mid_request),
		TEST(reset_ends_processes),
		TEST(reset_ends_shares),
		TEST(configuration),
		TEST(all_processes),
		TEST(versions_and_topology),
		TEST(doorbell_to_event),
		NO_PARK(signals_coalesce_without_buffers),
		NO_PARK(late_buffers_without_exits),
		TEST(memory_fault_event),
		TEST(park_and_unpark),
		NO_PARK(no_park_without_the_feature),
		TEST(memory_unplugged_under_the_gpu),
		TEST(gpu_busy_at_disconnect),
	};

	return cmocka_run_group_tests_name("vmm device", tests, harness_start, harness_stop);
}
