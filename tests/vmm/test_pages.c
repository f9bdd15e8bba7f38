// SPDX-License-Identifier: MIT
/*
 * test_pages.c - paging as a guest's driver sees it: page requests, answers and invalidations, wrong
 * ones first; then a GPU whose packets complete signals in pageable memory, with a driver that does
 * what it likes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/kfd_ioctl.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tests/vmm/client.h"
#include "tests/vmm/harness.h"
#include "vmm/device_internal.h"

#define FEATURES                                                                                   \
	(UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |     \
	 UINT64_C(1) << HSV_F_PAGING)
#define RW	 (HSV_PAGES_READ | HSV_PAGES_WRITE)
#define WRITABLE (1u << 31) /* KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, without the overflow */

#define VA     0x200000000ull /* of a buffer: ring and queue */
#define BUFFER GUEST_MEMORY   /* where it is in RAM */
#define PVA    0x300000000ull /* pageable memory */
#define PAGES  (GUEST_MEMORY + 0x100000)

enum { RING = 0, AMD_QUEUE = 0x10000, BUFFER_SIZE = 0x20000 };

struct amd_signal {
	int64_t kind, value;
	uint64_t mailbox;
	uint32_t event, reserved;
	uint64_t start, end, more[2];
};

static struct guest g;
static uint32_t gpu_id;

static int start(uint64_t features)
{
	struct hsv_config config;

	if (guest_connect(&g, harness_socket) || guest_start(&g, features) ||
	    client_read(g.sock, 0, 0x2000, &config, sizeof(config)))
		return -1;
	gpu_id = config.gpus[0].gpu_id;
	return 0;
}

static int setup(void **state)
{
	return start(FEATURES);
}

static int setup_without(void **state)
{
	return start(FEATURES & ~(UINT64_C(1) << HSV_F_PAGING));
}

static int teardown(void **state)
{
	guest_close(&g);
	return 0;
}

static int ioctl_(unsigned long cmd, void *args, const void *in, uint32_t in_size)
{
	return guest_request(&g, HSV_REQ_KFD_IOCTL, 0, _IOC_NR(cmd), args, _IOC_SIZE(cmd), in,
			     in_size, NULL, NULL);
}

static int xnack(int on)
{
	struct kfd_ioctl_set_xnack_mode_args args = {.xnack_enabled = on};
	int ret = ioctl_(AMDKFD_IOC_SET_XNACK_MODE, &args, NULL, 0);

	return ret ? ret : args.xnack_enabled;
}

static int destroy(void)
{
	return guest_request(&g, HSV_REQ_PROCESS_DESTROY, 0, 0, NULL, 0, NULL, 0, NULL, NULL);
}

/* Process 0 with a GPU address space. */
static void create(void)
{
	struct hsv_process_args args = {.pid = 100, .comm = "pages"};
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 1, .gpu_id = gpu_id};

	assert_int_equal(guest_request(&g, HSV_REQ_PROCESS_CREATE, 0, 0, &args, sizeof(args), NULL,
				       0, NULL, NULL),
			 0);
	assert_int_equal(ioctl_(AMDKFD_IOC_ACQUIRE_VM, &acquire, NULL, 0), 0);
}

static void create_paging(void)
{
	create();
	assert_int_equal(xnack(1), 1);
}

static int answer(uint64_t va, uint64_t size, uint32_t prot, uint32_t error,
		  const struct hsv_extent *v, uint32_t n)
{
	struct hsv_pages_args args = {.va = va, .size = size, .prot = prot, .error = error};

	return guest_request(&g, HSV_REQ_PAGES, 0, 0, &args, sizeof(args), v,
			     n * (uint32_t)sizeof(*v), NULL, NULL);
}

/* One page at page, an offset in RAM. */
static int give(uint64_t va, uint32_t prot, uint64_t page)
{
	struct hsv_extent v = {page, 4096};

	return answer(va, 4096, prot, 0, &v, 1);
}

static int invalidate(uint64_t va, uint64_t size)
{
	struct hsv_pages_args args = {.va = va, .size = size};

	return guest_request(&g, HSV_REQ_PAGES_INVALIDATE, 0, 0, &args, sizeof(args), NULL, 0,
			     NULL, NULL);
}

/* A buffer of the process at VA, mapped. */
static void make_buffer(void)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args alloc = {
		.va_addr = VA,
		.size = BUFFER_SIZE,
		.gpu_id = gpu_id,
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_GTT | WRITABLE,
	};
	struct hsv_extent v = {BUFFER, BUFFER_SIZE};
	struct kfd_ioctl_map_memory_to_gpu_args map = {.n_devices = 1};

	assert_int_equal(ioctl_(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &alloc, &v, sizeof(v)), 0);
	map.handle = alloc.handle;
	assert_int_equal(ioctl_(AMDKFD_IOC_MAP_MEMORY_TO_GPU, &map, &gpu_id, 4), 0);
}

/* ---- Wrong ---- */

static void needs_the_feature(void **state)
{
	create();
	assert_int_equal(xnack(-1), 0);
	assert_int_equal(xnack(1), -EPERM);
	assert_int_equal(xnack(0), 0);
	assert_int_equal(give(PVA, RW, PAGES), -EINVAL);
	assert_int_equal(events_page_request(&harness_device->processes[0], PVA, 4096, RW),
			 -EOPNOTSUPP);
}

static void requests_wrong(void **state)
{
	struct hsv_pages_args args = {.va = PVA, .size = 4096, .prot = RW};

	for (uint32_t type = HSV_REQ_PAGES; type <= HSV_REQ_PAGES_INVALIDATE; type++) {
		assert_int_equal(
			guest_request(&g, type, 0, 0, &args, sizeof(args), NULL, 0, NULL, NULL),
			-ESRCH);
		assert_int_equal(
			guest_request(&g, type, 9999, 0, &args, sizeof(args), NULL, 0, NULL, NULL),
			-EINVAL);
	}
	create();
	/* XNACK is off. */
	assert_int_equal(give(PVA, RW, PAGES), -EINVAL);
	assert_int_equal(invalidate(PVA, 4096), 0);
	assert_int_equal(xnack(1), 1);
	for (uint32_t type = HSV_REQ_PAGES; type <= HSV_REQ_PAGES_INVALIDATE; type++)
		assert_int_equal(guest_request(&g, type, 0, 0, &args, sizeof(args) - 1, NULL, 0,
					       NULL, NULL),
				 -EINVAL);
	assert_int_equal(guest_request(&g, HSV_REQ_PAGES, 0, 0, &args, sizeof(args), "abcdefghi", 9,
				       NULL, NULL),
			 -EINVAL);
	assert_int_equal(xnack(0), 0);
	assert_int_equal(give(PVA, RW, PAGES), -EINVAL);
}

static int vram(uint32_t type, uint32_t gpu, struct hsv_vram_args *args, uint32_t size)
{
	return guest_request(&g, type, 0, gpu, args, size, NULL, 0, NULL, NULL);
}

/* VRAM for pages: what is wrong is refused, a reset gives back what was taken. */
static void vram_wrong(void **state)
{
	struct hsv_vram_args args = {.size = 0x4000}, first;
	struct kfd_stats stats;

	assert_int_equal(vram(HSV_REQ_VRAM_TAKE, 0, &args, sizeof(args) - 1), -EINVAL);
	assert_int_equal(vram(HSV_REQ_VRAM_TAKE, 99, &args, sizeof(args)), -EINVAL);
	assert_int_equal(vram(HSV_REQ_VRAM_GIVE, 0, &args, sizeof(args)), -EINVAL);
	args.size = 0x4001;
	assert_int_equal(vram(HSV_REQ_VRAM_TAKE, 0, &args, sizeof(args)), -EINVAL);
	args.size = 1ull << 40;
	assert_int_equal(vram(HSV_REQ_VRAM_TAKE, 0, &args, sizeof(args)), -ENOMEM);
	create_paging();
	assert_int_equal(give(PVA, RW, HSV_EXTENT_VRAM), -EFAULT);
	args.size = 0x4000;
	assert_int_equal(vram(HSV_REQ_VRAM_TAKE, 0, &args, sizeof(args)), 0);
	first = args;
	assert_int_equal(args.size, 0x4000);
	assert_int_equal(give(PVA, RW, HSV_EXTENT_VRAM | (first.offset + 0x3000)), 0);
	assert_int_equal(give(PVA, RW, HSV_EXTENT_VRAM | (first.offset + 0x4000)), -EFAULT);
	assert_int_equal(vram(HSV_REQ_VRAM_GIVE, 0, &first, sizeof(first)), 0);
	assert_int_equal(vram(HSV_REQ_VRAM_GIVE, 0, &first, sizeof(first)), -EINVAL);
	assert_int_equal(give(PVA, RW, HSV_EXTENT_VRAM | first.offset), -EFAULT);
	assert_int_equal(vram(HSV_REQ_VRAM_TAKE, 0, &args, sizeof(args)), 0);
	kfd_device_stats(harness_device->kfd, &stats);
	assert_int_equal(stats.vram_used, 0x4000);
	guest_close(&g);
	assert_int_equal(start(FEATURES), 0);
	kfd_device_stats(harness_device->kfd, &stats);
	assert_int_equal(stats.vram_used, 0);
}

static void answers_wrong(void **state)
{
	static const struct {
		uint64_t va, size;
		uint32_t prot;
		struct hsv_extent v[2];
		uint32_t n;
	} wrong[] = {
		{PVA + 1, 4096, RW, {{PAGES, 4096}}, 1},
		{PVA, 4095, RW, {{PAGES, 4095}}, 1},
		{PVA, 0, RW, {{0}}, 0},
		{PVA, 4096, RW, {{0}}, 0},
		{PVA, 4096, 0, {{PAGES, 4096}}, 1},
		{PVA, 4096, RW | 8, {{PAGES, 4096}}, 1},
		{PVA, 4096, RW, {{PAGES, 8192}}, 1},
		{PVA, 8192, RW, {{PAGES, 4096}}, 1},
		{PVA, 8192, RW, {{PAGES, 4096}, {PAGES, 8192}}, 2},
		{PVA, 4096, RW, {{PAGES, 4096}, {PAGES, 0}}, 2},
		{PVA, 4096, RW, {{PAGES + 8, 4096}}, 1},
		{PVA, 4096, RW, {{PAGES, UINT64_MAX & ~4095ull}, {PAGES, 8192}}, 2},
		{PVA, 4096, RW, {{GUEST_RAM, 4096}}, 1},
		{PVA, 8192, RW, {{GUEST_RAM - 4096, 8192}}, 1},
		{PVA, 4096, RW, {{UINT64_MAX & ~4095ull, 4096}}, 1},
		{1ull << 47, 4096, RW, {{PAGES, 4096}}, 1},
		{(1ull << 47) - 4096, 8192, RW, {{PAGES, 8192}}, 1},
		{UINT64_MAX & ~4095ull, 8192, RW, {{PAGES, 8192}}, 1},
		{PVA, UINT64_MAX & ~4095ull, RW, {{PAGES, 4096}}, 1},
	};

	create_paging();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (!answer(wrong[i].va, wrong[i].size, wrong[i].prot, 0, wrong[i].v, wrong[i].n))
			fail_msg("wrong answer %zu was taken", i);
	assert_int_equal(answer(PVA, 4096, RW, 4096, NULL, 0), -EINVAL);
	assert_int_equal(invalidate(PVA + 1, 4096), -EINVAL);
	assert_int_equal(invalidate(PVA, 4095), -EINVAL);
	assert_int_equal(invalidate(UINT64_MAX & ~4095ull, 8192), -EINVAL);
	/* Nobody asked, twice, and nothing is there: allowed. */
	assert_int_equal(give(PVA, RW, PAGES), 0);
	assert_int_equal(give(PVA, HSV_PAGES_READ, PAGES + 4096), 0);
	assert_int_equal(answer(PVA + 4096, 4096, RW, EFAULT, NULL, 0), 0);
	assert_int_equal(invalidate(PVA, 4096), 0);
	assert_int_equal(invalidate(PVA, 4096), 0);
	assert_int_equal(invalidate(0, 1ull << 47), 0);
}

/* Buffers stay what they are. */
static void overlaps_with_buffers(void **state)
{
	struct hsv_extent v[2] = {{PAGES, 0x2000}, {PAGES + 0x4000, BUFFER_SIZE}};

	create_paging();
	make_buffer();
	assert_int_equal(give(VA, RW, PAGES), -EADDRINUSE);
	assert_int_equal(give(VA + BUFFER_SIZE - 4096, RW, PAGES), -EADDRINUSE);
	/* Up to the buffer. */
	assert_int_equal(answer(VA - 0x2000, 0x2000 + BUFFER_SIZE, RW, 0, v, 2), 0);
	assert_int_equal(give(VA - 4096, RW, PAGES), 0);
	assert_int_equal(give(VA + BUFFER_SIZE, RW, PAGES), 0);
	assert_int_equal(invalidate(0, 1ull << 47), 0);
	assert_int_equal(give(VA, RW, PAGES), -EADDRINUSE);
}

/* ---- What is kept for the guest ---- */

static void none_is_lost(void **state)
{
	struct hsv_process *p = &harness_device->processes[0];
	struct hsv_event event;

	create_paging();
	/* All buffers, and as much as is kept; what is beyond is refused. */
	for (unsigned i = 0; i < GUEST_BUFFERS + MAX_UNTOLD_PAGES; i++)
		assert_int_equal(events_page_request(p, PVA + i * 4096, 8192, RW), 0);
	assert_int_equal(events_page_request(p, PVA, 4096, RW), -ENOSPC);
	/* Signals come behind them. */
	events_signal(p, 7);
	/* What was answered is not told any more; what is asked for from then on is. */
	assert_int_equal(give(PVA + (GUEST_BUFFERS + 3) * 4096, RW, PAGES), 0);
	assert_int_equal(events_page_request(p, PVA + (GUEST_BUFFERS + 3) * 4096, 4096, 1), 0);
	for (unsigned i = 0; i < GUEST_BUFFERS + MAX_UNTOLD_PAGES; i++) {
		if (i == GUEST_BUFFERS + 3)
			continue;
		assert_true(guest_next_event(&g, &event));
		assert_int_equal(event.type, HSV_EVENT_PAGES);
		assert_int_equal(event.process, 0);
		assert_int_equal(event.pages.va, PVA + i * 4096);
		assert_int_equal(event.pages.size, 8192);
		assert_int_equal(event.pages.prot, RW);
		guest_kick(&g, HSV_QUEUE_EVENT);
	}
	assert_true(guest_next_event(&g, &event));
	assert_int_equal(event.type, HSV_EVENT_PAGES);
	assert_int_equal(event.pages.va, PVA + (GUEST_BUFFERS + 3) * 4096);
	assert_int_equal(event.pages.prot, 1);
	assert_true(guest_next_event(&g, &event));
	assert_int_equal(event.type, HSV_EVENT_SIGNAL);
	assert_false(guest_event(&g, &event, 50));
}

static void forgotten_with_the_process(void **state)
{
	struct hsv_process *p = &harness_device->processes[0];
	struct hsv_event event;

	create_paging();
	for (unsigned i = 0; i < GUEST_BUFFERS + MAX_UNTOLD_PAGES; i++)
		assert_int_equal(events_page_request(p, PVA + i * 4096, 4096, RW), 0);
	assert_int_equal(destroy(), 0);
	create_paging();
	for (unsigned i = 0; i < GUEST_BUFFERS; i++)
		assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
	guest_kick(&g, HSV_QUEUE_EVENT);
	assert_false(guest_event(&g, &event, 200));
	/* Answered in the middle of what is untold. */
	for (unsigned i = 0; i < GUEST_BUFFERS + 2; i++)
		assert_int_equal(events_page_request(p, PVA, 4096, RW), 0);
	assert_int_equal(give(PVA, RW, PAGES), 0);
	for (unsigned i = 0; i < GUEST_BUFFERS; i++)
		assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
	guest_kick(&g, HSV_QUEUE_EVENT);
	assert_false(guest_event(&g, &event, 200));
}

/* ---- A GPU ---- */

static uint32_t make_queue(void)
{
	struct kfd_ioctl_create_queue_args queue = {
		.ring_base_address = VA + RING,
		.write_pointer_address = VA + AMD_QUEUE + 0x38,
		.read_pointer_address = VA + AMD_QUEUE + 0x80,
		.ring_size = 64 * 64,
		.gpu_id = gpu_id,
		.queue_type = KFD_IOC_QUEUE_TYPE_COMPUTE_AQL,
		.queue_percentage = 100,
		.queue_priority = 7,
	};

	create_paging();
	make_buffer();
	memset(g.ram + BUFFER, 0, BUFFER_SIZE);
	for (unsigned i = 0; i < 64; i++)
		g.ram[BUFFER + RING + 64 * i] = 1; /* invalid packets */
	assert_int_equal(ioctl_(AMDKFD_IOC_CREATE_QUEUE, &queue, NULL, 0), 0);
	return queue.queue_id;
}

static struct amd_signal *signal_at(uint64_t page)
{
	return (struct amd_signal *)(g.ram + page + 64);
}

static void make_signal(uint64_t page, int64_t value)
{
	*signal_at(page) = (struct amd_signal){.kind = 1, .value = value};
}

static int64_t value_at(uint64_t page)
{
	return atomic_load((_Atomic int64_t *)&signal_at(page)->value);
}

static bool wait_value(uint64_t page, int64_t value)
{
	for (unsigned i = 0; i < CLIENT_TIMEOUT_MS && value_at(page) != value; i++)
		usleep(1000);
	return value_at(page) == value;
}

/* Packet number index, a barrier that counts down the signal in the page of va. */
static void submit(uint32_t queue, uint64_t index, uint64_t va)
{
	uint8_t *memory = g.ram + BUFFER, *packet = memory + RING + 64 * (index % 64);

	memset(packet + 4, 0, 60);
	*(uint64_t *)(packet + 56) = va + 64;
	atomic_store((_Atomic uint64_t *)(memory + AMD_QUEUE + 0x38), index + 1);
	atomic_store((_Atomic uint16_t *)packet, 3 | 1 << 8 | 2 << 9 | 2 << 11);
	atomic_store((_Atomic uint64_t *)(g.doorbells) + queue, index);
}

/* The next event is a request that begins with this page, to write it at last. */
static void expect_request(uint64_t va)
{
	struct hsv_event event;

	assert_true(guest_next_event(&g, &event));
	assert_int_equal(event.type, HSV_EVENT_PAGES);
	assert_int_equal(event.process, 0);
	assert_int_equal(event.pages.va, va);
	assert_true(event.pages.size >= 4096 && event.pages.size % 4096 == 0);
	if (event.pages.prot & HSV_PAGES_WRITE)
		return;
	/* Read first: the write asks again. */
	assert_int_equal(give(va, HSV_PAGES_READ, PAGES), 0);
	expect_request(va);
}

static void pages_come_and_go(void **state)
{
	uint32_t queue = make_queue();
	struct hsv_event event;

	make_signal(PAGES, 100);
	make_signal(PAGES + 4096, 1000);
	submit(queue, 0, PVA);
	expect_request(PVA);
	assert_int_equal(value_at(PAGES), 100);
	assert_int_equal(give(PVA, RW, PAGES), 0);
	assert_true(wait_value(PAGES, 99));
	/* It has it now. */
	submit(queue, 1, PVA);
	assert_true(wait_value(PAGES, 98));
	assert_false(guest_event(&g, &event, 50));
	/* Another page in its place. */
	assert_int_equal(give(PVA, RW, PAGES + 4096), 0);
	submit(queue, 2, PVA);
	assert_true(wait_value(PAGES + 4096, 999));
	assert_int_equal(value_at(PAGES), 98);
	/* Gone, and back. */
	assert_int_equal(invalidate(PVA, 4096), 0);
	submit(queue, 3, PVA);
	expect_request(PVA);
	usleep(20000);
	assert_int_equal(value_at(PAGES + 4096), 999);
	assert_int_equal(invalidate(PVA, 4096), 0); /* while it waits */
	assert_int_equal(give(PVA, RW, PAGES), 0);
	assert_true(wait_value(PAGES, 97));
	assert_int_equal(destroy(), 0);
}

static void no_such_page(void **state)
{
	uint32_t queue = make_queue();
	struct hsv_event event;

	submit(queue, 0, PVA + 0x5000);
	expect_request(PVA + 0x5000);
	/* Of another page: it goes on waiting. */
	assert_int_equal(answer(PVA + 0x6000, 4096, RW, EFAULT, NULL, 0), 0);
	assert_false(guest_event(&g, &event, 50));
	assert_int_equal(answer(PVA + 0x5000, 4096, RW, EFAULT, NULL, 0), 0);
	assert_true(guest_next_event(&g, &event));
	assert_int_equal(event.type, HSV_EVENT_MEMORY_FAULT);
	assert_int_equal(event.memory.va, PVA + 0x5000);
	assert_int_equal(event.memory.not_present, 1);
	/* Answered again, after the fact. */
	assert_int_equal(answer(PVA + 0x5000, 4096, RW, EFAULT, NULL, 0), 0);
	assert_int_equal(give(PVA + 0x5000, RW, PAGES), 0);
	assert_int_equal(destroy(), 0);
}

/* A guest that never answers keeps its program waiting, and nobody else. */
static void never_answered(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t queue = make_queue();

		submit(queue, 0, PVA);
		expect_request(PVA);
		if (i % 2) {
			assert_int_equal(destroy(), 0);
		} else if (i) {
			guest_close(&g);
			assert_int_equal(setup(state), 0);
		} else {
			assert_int_equal(guest_start(&g, FEATURES), 0);
		}
	}
}

static void memory_unplugged(void **state)
{
	uint32_t queue = make_queue();

	make_signal(PAGES, 100);
	submit(queue, 0, PVA);
	expect_request(PVA);
	assert_int_equal(give(PVA, RW, PAGES), 0);
	assert_true(wait_value(PAGES, 99));
	assert_int_equal(client_dma_unmap(g.sock, 0, GUEST_RAM), 0);
	assert_int_equal(client_dma_map(g.sock, 0, GUEST_RAM, g.ram_fd, 0), 0);
	assert_int_equal(guest_start(&g, FEATURES), 0);
	queue = make_queue();
	submit(queue, 0, PVA);
	expect_request(PVA);
	assert_int_equal(give(PVA, RW, PAGES), 0);
	assert_true(wait_value(PAGES, 98));
}

/* Pages change under a GPU that works: each packet is done once, whatever comes between. */
static void storm(void **state)
{
	uint32_t queue = make_queue(), seed = 1;
	struct hsv_event event;
	unsigned done = 0;

	make_signal(PAGES, 10000);
	for (unsigned i = 0; i < 1500; i++) {
		submit(queue, i, PVA);
		for (unsigned tries = 0; value_at(PAGES) != 10000 - (int64_t)i - 1; tries++) {
			assert_true(tries < 200000);
			seed = seed * 1664525 + 1013904223;
			if (guest_event(&g, &event, 0)) {
				done += event.type == HSV_EVENT_PAGES;
				if (event.type == HSV_EVENT_PAGES)
					assert_int_equal(give(PVA, event.pages.prot | (seed >> 16 & 2), PAGES), 0);
			} else if (seed >> 30 == 0 && tries < 1000) {
				assert_int_equal(invalidate(PVA, 4096), 0);
			} else if (seed >> 30 == 1 || tries >= 1000) {
				/* On a busy machine a page may be gone each time before it is used. */
				usleep(200);
			}
		}
		if (i % 3 == 0)
			assert_int_equal(invalidate(PVA, 4096), 0);
	}
	assert_true(done > 300);
	assert_int_equal(destroy(), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(needs_the_feature, setup_without, teardown),
		TEST(requests_wrong),
		TEST(vram_wrong),
		TEST(answers_wrong),
		TEST(overlaps_with_buffers),
		TEST(none_is_lost),
		TEST(forgotten_with_the_process),
		TEST(pages_come_and_go),
		TEST(no_such_page),
		TEST(never_answered),
		TEST(memory_unplugged),
		TEST(storm),
	};

	return cmocka_run_group_tests_name("pages", tests, harness_start, harness_stop);
}
