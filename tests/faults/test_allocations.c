// SPDX-License-Identifier: MIT
/*
 * test_allocations.c - a broker's device, from its start over a guest's work to its end, with the
 * n-th allocation failing, for every n: each time there is an error or none, nothing hangs or
 * crashes, and all memory, mappings, descriptors and threads are given back. Then the same with
 * every allocation after the n-th failing, for as long as the guest works. And great numbers of
 * small things, after which the device is as before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <linux/kfd_ioctl.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/faults/inject.h"
#include "tests/vmm/client.h"
#include "vmm/device.h"

#define VRAM	   (16u << 20)
#define FEATURES   (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | UINT64_C(1) << HSV_F_PARK)
#define WRITABLE   (1u << 31)
#define VA	   0x200000000ull
#define AMD_QUEUE  0x10000
#define SIGNAL	   0x11000
#define MEMORY	   0x20000
#define MOST_CALLS 5000 /* a sweep that goes on for longer does not end */

/* ---- a broker's insides ---- */

static struct {
	struct gpu *gpu;
	struct hsv_device *device;
	struct vfio_user_server *server;
	int vram_fd, stop_fd;
	char path[108], dir[64];
	pthread_t thread;
} b;

static void *serve(void *arg)
{
	struct pollfd p[3] = {
		{.fd = b.stop_fd, .events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};

	for (;;) {
		vfio_user_server_fds(b.server, &p[1].fd, &p[2].fd);
		if (poll(p, 3, -1) < 0 || p[0].revents)
			return NULL;
		vfio_user_server_poll(b.server);
	}
}

/* 0 or what failed; nothing is left then. The parts under test see the failures. */
static int broker_start(void)
{
	struct gpu_config gpu_config = {.target = "gfx90a", .threads = 2};
	struct hsv_device_config config = {.num_gpus = 1, .gpus = {{.vram_size = VRAM}}};
	int ret;

	snprintf(b.dir, sizeof(b.dir), "/tmp/test-faults-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	snprintf(b.path, sizeof(b.path), "%s/socket", b.dir);
	inject_exempt(true);
	b.vram_fd = memfd_create("vram", MFD_CLOEXEC);
	b.stop_fd = eventfd(0, EFD_CLOEXEC);
	inject_exempt(false);
	assert_true(b.vram_fd >= 0 && b.stop_fd >= 0 && ftruncate(b.vram_fd, VRAM) == 0);
	ret = gpu_open(&gpu_config, &b.gpu);
	if (ret)
		goto fds;
	config.gpus[0].gpu = b.gpu;
	config.vram_fd = b.vram_fd;
	ret = hsv_device_open(&config, &b.device);
	if (ret)
		goto gpu;
	ret = vfio_user_server_open(b.path, &hsv_device_vfio_ops, b.device, &b.server);
	if (ret)
		goto device;
	inject_exempt(true);
	assert_int_equal(pthread_create(&b.thread, NULL, serve, NULL), 0);
	return 0;
device:
	hsv_device_close(b.device);
gpu:
	gpu_close(b.gpu);
fds:
	close(b.vram_fd);
	close(b.stop_fd);
	assert_int_equal(rmdir(b.dir), 0);
	inject_exempt(true);
	return ret;
}

static void broker_stop(void)
{
	uint64_t one = 1;

	assert_int_equal(write(b.stop_fd, &one, sizeof(one)), 8);
	pthread_join(b.thread, NULL);
	inject_exempt(false);
	vfio_user_server_close(b.server);
	hsv_device_close(b.device);
	gpu_close(b.gpu);
	inject_exempt(true);
	close(b.vram_fd);
	close(b.stop_fd);
	assert_int_equal(rmdir(b.dir), 0);
}

/* ---- what a guest does ---- */

static struct guest g;
static uint32_t gpu_id;

static int ioctl_(unsigned long cmd, void *args, const void *in, uint32_t in_size)
{
	struct hsv_extent out[64];
	uint32_t out_size = sizeof(out);

	return guest_request(&g, HSV_REQ_KFD_IOCTL, 0, _IOC_NR(cmd), args, _IOC_SIZE(cmd), in,
			     in_size, out, &out_size);
}

static int create(void)
{
	struct hsv_process_args args = {.pid = 100, .comm = "test"};
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 1, .gpu_id = gpu_id};
	int ret = guest_request(&g, HSV_REQ_PROCESS_CREATE, 0, 0, &args, sizeof(args), NULL, 0,
				NULL, NULL);

	return ret ? ret : ioctl_(AMDKFD_IOC_ACQUIRE_VM, &acquire, NULL, 0);
}

static int destroy(void)
{
	return guest_request(&g, HSV_REQ_PROCESS_DESTROY, 0, 0, NULL, 0, NULL, 0, NULL, NULL);
}

static int allocate(uint64_t va, uint32_t size, uint32_t kind, __u64 *handle)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args alloc = {.va_addr = va,
							   .size = size,
							   .gpu_id = gpu_id,
							   .flags = kind | WRITABLE,
							   .mmap_offset = va};
	struct kfd_ioctl_map_memory_to_gpu_args map = {.n_devices = 1};
	struct hsv_extent extents[2] = {{GUEST_MEMORY, size / 2},
					{GUEST_MEMORY + size / 2, size / 2}};
	bool vram = kind == KFD_IOC_ALLOC_MEM_FLAGS_VRAM;
	int ret = ioctl_(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &alloc, vram ? NULL : extents,
			 vram ? 0 : sizeof(extents));

	*handle = map.handle = alloc.handle;
	return ret ? ret : ioctl_(AMDKFD_IOC_MAP_MEMORY_TO_GPU, &map, &gpu_id, 4);
}

static int queue_create(uint32_t *id)
{
	struct kfd_ioctl_create_queue_args a = {
		.ring_base_address = VA,
		.write_pointer_address = VA + AMD_QUEUE + 0x38,
		.read_pointer_address = VA + AMD_QUEUE + 0x80,
		.ring_size = 64 * 64,
		.gpu_id = gpu_id,
		.queue_type = KFD_IOC_QUEUE_TYPE_COMPUTE_AQL,
		.queue_percentage = 100,
		.queue_priority = 7,
	};
	int ret;

	memset(g.ram + GUEST_MEMORY, 0, MEMORY);
	for (unsigned i = 0; i < 64; i++)
		*(uint16_t *)(g.ram + GUEST_MEMORY + 64 * i) = 1; /* invalid */
	ret = ioctl_(AMDKFD_IOC_CREATE_QUEUE, &a, NULL, 0);
	*id = a.queue_id;
	return ret;
}

/* A barrier packet and the wait for its signal. */
static int run_packet(uint32_t queue, uint64_t index)
{
	uint8_t *packet = g.ram + GUEST_MEMORY + index % 64 * 64;
	_Atomic int64_t *value = (_Atomic int64_t *)(g.ram + GUEST_MEMORY + SIGNAL + 8);
	uint64_t signal = VA + SIGNAL;

	atomic_store(value, 1);
	memset(packet + 2, 0, 62);
	memcpy(packet + 56, &signal, sizeof(signal));
	atomic_store((_Atomic uint16_t *)packet, 3 | 1 << 8 | 2 << 9 | 2 << 11);
	atomic_store((_Atomic uint64_t *)(g.ram + GUEST_MEMORY + AMD_QUEUE + 0x38), index + 1);
	atomic_store((_Atomic uint64_t *)(g.doorbells + queue * 8), index);
	for (unsigned i = 0; i < 400000; i++) {
		if (!atomic_load(value))
			return 0;
		usleep(50);
	}
	return -ETIMEDOUT;
}

/* All of it; the first error ends it. A guest that is refused ends its process, too. */
static int work(void)
{
	struct kfd_ioctl_destroy_queue_args queue = {0};
	struct kfd_ioctl_free_memory_of_gpu_args memory[3] = {0};
	struct hsv_memory_args args;
	struct hsv_extent extent = {GUEST_MEMORY, MEMORY};
	static const uint32_t kinds[] = {KFD_IOC_ALLOC_MEM_FLAGS_GTT, KFD_IOC_ALLOC_MEM_FLAGS_VRAM,
					 KFD_IOC_ALLOC_MEM_FLAGS_USERPTR};
	int ret = create();

	for (unsigned i = 0; i < 3 && !ret; i++)
		ret = allocate(VA + i * 0x10000000ull, MEMORY, kinds[i], &memory[i].handle);
	if (!ret)
		ret = queue_create(&queue.queue_id);
	if (!ret)
		ret = run_packet(queue.queue_id, 0);
	args = (struct hsv_memory_args){.handle = memory[2].handle};
	if (!ret)
		ret = guest_request(&g, HSV_REQ_MEMORY_INVALIDATE, 0, 0, &args, sizeof(args), NULL,
				    0, NULL, NULL);
	if (!ret)
		ret = guest_request(&g, HSV_REQ_MEMORY_RESTORE, 0, 0, &args, sizeof(args), &extent,
				    sizeof(extent), NULL, NULL);
	if (!ret)
		ret = run_packet(queue.queue_id, 1);
	if (!ret)
		ret = ioctl_(AMDKFD_IOC_DESTROY_QUEUE, &queue, NULL, 0);
	for (unsigned i = 0; i < 3 && !ret; i++) {
		struct kfd_ioctl_unmap_memory_from_gpu_args unmap = {.handle = memory[i].handle,
								     .n_devices = 1};

		ret = ioctl_(AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU, &unmap, &gpu_id, 4);
		if (!ret)
			ret = ioctl_(AMDKFD_IOC_FREE_MEMORY_OF_GPU, &memory[i], NULL, 0);
	}
	return ret;
}

/* ---- what is taken ---- */

struct usage {
	long blocks;
	unsigned fds, threads, maps;
};

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Mappings of descriptors, and large ones: of others, the C library keeps some. */
static unsigned mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:") != NULL;
	fclose(f);
	return n;
}

static struct usage usage(void)
{
	return (struct usage){inject_blocks(), entries("/proc/self/fd"), entries("/proc/self/task"),
			      mappings()};
}

/* Threads that were joined are still there for a moment. */
static void assert_same(struct usage before, const char *what, unsigned long n)
{
	struct usage now;

	for (unsigned i = 0;; i++) {
		now = usage();
		if (now.blocks <= before.blocks && now.fds == before.fds &&
		    now.threads <= before.threads && now.maps == before.maps)
			return;
		if (i == 2000)
			break;
		usleep(10000);
	}
	fail_msg("%s, call %lu: blocks %ld -> %ld, descriptors %u -> %u, threads %u -> %u, "
		 "mappings %u -> %u",
		 what, n, before.blocks, now.blocks, before.fds, now.fds, before.threads,
		 now.threads, before.maps, now.maps);
}

/* ---- the sweeps ---- */

static int guest_up(void)
{
	struct hsv_config config = {0};

	if (guest_connect(&g, b.path))
		return -EIO;
	if (guest_start(&g, FEATURES) || client_read(g.sock, 0, 0x2000, &config, sizeof(config)))
		return -EIO;
	gpu_id = config.gpus[0].gpu_id;
	return 0;
}

/* One life of a broker without failures: what is made once is made. */
static void one_life(void)
{
	assert_int_equal(broker_start(), 0);
	assert_int_equal(guest_up(), 0);
	assert_int_equal(work(), 0);
	assert_int_equal(destroy(), 0);
	guest_close(&g);
	broker_stop();
}

static void the_start_fails(void **state)
{
	struct usage before;
	unsigned long n;
	int ret;

	one_life();
	before = usage();
	for (n = 1; n < MOST_CALLS; n++) {
		inject_arm(n, false);
		ret = broker_start();
		if (!inject_disarm()) {
			assert_int_equal(ret, 0);
			broker_stop();
			break;
		}
		/* What can do without goes on without. */
		assert_true(ret == 0 || ret == -ENOMEM || ret == -EAGAIN || ret == -EMFILE);
		if (!ret)
			broker_stop();
		assert_same(before, "start", n);
	}
	printf("# %lu calls at the start\n", n - 1);
	assert_in_range(n, 10, MOST_CALLS - 1);
}

/*
 * The guest's requests: one fails, and the device serves on. Then all from one on fail, and when
 * memory comes back, the same device serves: not even a reset is needed.
 */
static void requests_fail(bool all)
{
	struct usage before;
	unsigned long n, none = 0;
	int ret;

	assert_int_equal(broker_start(), 0);
	assert_int_equal(guest_up(), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(work(), 0);
		assert_int_equal(destroy(), 0);
	}
	before = usage();
	/* GPU threads may allocate a little more or less: several runs without a failure are the
	 * end. */
	for (n = 1; n < MOST_CALLS && none < 5; n++) {
		inject_arm(n, all);
		ret = work();
		if (!all) {
			none = inject_disarm() ? 0 : none + 1;
		} else {
			/* It has no memory, yet it must be able to end. */
			assert_true(destroy() == 0 || ret);
			none = inject_disarm() ? 0 : none + 1;
		}
		if (ret && ret != -ENOMEM && ret != -EAGAIN && ret != -EINTR)
			fail_msg("call %lu: error %d", n, ret);
		if (guest_needs_reset(&g))
			fail_msg("call %lu: the device wants a reset", n);
		destroy();
		/* And now it works. */
		ret = work();
		if (ret || destroy())
			fail_msg("after call %lu failed: error %d", n, ret);
		assert_same(before, all ? "requests, all" : "requests", n);
	}
	printf("# %lu calls for a guest's work\n", n - 1);
	assert_in_range(n, 10, MOST_CALLS - 1);
	guest_close(&g);
	broker_stop();
}

static void one_request_fails(void **state)
{
	requests_fail(false);
}

static void all_requests_fail(void **state)
{
	requests_fail(true);
}

/* A client that connects and sets up: it is refused, or hung up on; the next one is served. */
static void a_connection_fails(void **state)
{
	struct usage before;
	unsigned long n;

	assert_int_equal(broker_start(), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(guest_up(), 0);
		assert_int_equal(work(), 0);
		guest_close(&g);
	}
	usleep(100000);
	before = usage();
	for (n = 1; n < MOST_CALLS; n++) {
		bool failed;

		inject_arm(n, false);
		guest_up();
		guest_close(&g);
		usleep(20000);
		failed = inject_disarm();
		assert_int_equal(guest_up(), 0);
		assert_int_equal(work(), 0);
		guest_close(&g);
		assert_same(before, "connection", n);
		if (!failed)
			break;
	}
	printf("# %lu calls for a connection\n", n - 1);
	assert_in_range(n, 2, MOST_CALLS - 1);
	broker_stop();
}

/* ---- great numbers ---- */

static long rss(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, resident = 0;

	if (fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

static void ten_thousand_queues(void **state)
{
	struct kfd_ioctl_destroy_queue_args queue = {0};
	struct usage before = {0};
	__u64 handle;
	long resident = 0;

	assert_int_equal(broker_start(), 0);
	assert_int_equal(guest_up(), 0);
	assert_int_equal(create(), 0);
	assert_int_equal(allocate(VA, MEMORY, KFD_IOC_ALLOC_MEM_FLAGS_GTT, &handle), 0);
	for (unsigned i = 0; i < 10100; i++) {
		assert_int_equal(queue_create(&queue.queue_id), 0);
		if (i % 100 == 0)
			assert_int_equal(run_packet(queue.queue_id, 0), 0);
		assert_int_equal(ioctl_(AMDKFD_IOC_DESTROY_QUEUE, &queue, NULL, 0), 0);
		if (i == 100) {
			before = usage();
			resident = rss();
		}
	}
	assert_same(before, "queues", 10000);
	assert_in_range(rss(), 0, resident + (8 << 20));
	assert_int_equal(queue_create(&queue.queue_id), 0);
	assert_int_equal(run_packet(queue.queue_id, 0), 0);
	guest_close(&g);
	broker_stop();
}

static void thousand_processes(void **state)
{
	struct usage before = {0};
	long resident = 0;

	assert_int_equal(broker_start(), 0);
	assert_int_equal(guest_up(), 0);
	for (unsigned i = 0; i < 1050; i++) {
		assert_int_equal(work(), 0);
		assert_int_equal(destroy(), 0);
		if (i == 50) {
			before = usage();
			resident = rss();
		}
	}
	assert_same(before, "processes", 1000);
	assert_in_range(rss(), 0, resident + (8 << 20));
	guest_close(&g);
	broker_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_start_fails),     cmocka_unit_test(one_request_fails),
		cmocka_unit_test(all_requests_fail),   cmocka_unit_test(a_connection_fails),
		cmocka_unit_test(ten_thousand_queues), cmocka_unit_test(thousand_processes),
	};

	inject_exempt(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
