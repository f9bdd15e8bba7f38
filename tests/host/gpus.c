// SPDX-License-Identifier: MIT
/*
 * gpus.c - a program that uses the KFD interface raw and finds two GPUs under the preload front end: a gfx90a and a gfx900 (run-under). Each has its node,
 * render node, VRAM and doorbells; each one's queue writes VRAM of the other.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <drm/amdgpu_drm.h>
#include <linux/kfd_ioctl.h>

#include "tests/host/kfd.h"

#define VA(gpu) (0x10000000ul + (gpu) * 0x1000000ul)

struct gpu {
	int render;
	uint32_t id;
	uint64_t handle; /* of a page of its VRAM */
	uint64_t offset;
	struct signal *vram; /* that page */
	struct queue queue;
};

static int kfd;
static struct gpu gpus[2];

/* A file of the topology contains that line. */
static bool has(const char *file, const char *line)
{
	char path[256], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/kfd/kfd/topology/%s", file);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	CHECK(n > 0);
	close(fd);
	text[n] = 0;
	return strstr(text, line);
}

static void look_around(void)
{
	struct stat st;

	CHECK(has("nodes/1/name", "aldebaran\n") && has("nodes/2/name", "vega10\n"));
	CHECK(has("nodes/1/properties", "drm_render_minor 128\n") && has("nodes/2/properties", "drm_render_minor 129\n"));
	CHECK(has("nodes/1/p2p_links/0/properties", "node_to 2\n") && has("nodes/2/p2p_links/0/properties", "node_to 1\n"));
	CHECK(access("/sys/class/kfd/kfd/topology/nodes/3", F_OK) == -1);
	CHECK(!stat("/dev/dri/renderD129", &st) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(226, 129));
	CHECK(!stat("/dev/dri/card1", &st) && st.st_rdev == makedev(226, 1));
	CHECK(stat("/dev/dri/renderD130", &st) == -1);
	CHECK(!access("/sys/dev/char/226:129/device/drm/renderD129", F_OK));
	CHECK(!access("/sys/dev/char/226:128/device/uevent", F_OK));
}

static int acquire(int render, uint32_t id)
{
	struct kfd_ioctl_acquire_vm_args a = {.drm_fd = (uint32_t)render, .gpu_id = id};

	return ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &a);
}

static void open_gpus(void)
{
	struct kfd_process_device_apertures a[2];
	struct kfd_ioctl_get_process_apertures_new_args n = {.kfd_process_device_apertures_ptr = (uintptr_t)a, .num_of_nodes = 2};

	kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);
	CHECK(kfd >= 0);
	CHECK(!ioctl(kfd, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &n) && n.num_of_nodes == 2);
	gpus[0].render = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
	gpus[1].render = open("/dev/dri/renderD129", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		CHECK(gpus[i].render >= 0);
		gpus[i].id = a[i].gpu_id;
	}
	FAILS(acquire(gpus[0].render, gpus[1].id), EINVAL);
	FAILS(acquire(gpus[1].render, gpus[0].id), EINVAL);
	FAILS(acquire(gpus[1].render, 5), EINVAL);
	CHECK(!acquire(gpus[0].render, gpus[0].id) && !acquire(gpus[1].render, gpus[1].id));
}

static uint64_t vram_usage(const struct gpu *g)
{
	uint64_t used = 0;
	struct drm_amdgpu_info info = {.query = AMDGPU_INFO_VRAM_USAGE, .return_pointer = (uintptr_t)&used, .return_size = sizeof(used)};

	CHECK(!ioctl(g->render, _IOW('d', 0x45, struct drm_amdgpu_info), &info));
	return used;
}

static uint64_t available(const struct gpu *g)
{
	struct kfd_ioctl_get_available_memory_args a = {.gpu_id = g->id};

	CHECK(!ioctl(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &a));
	return a.available;
}

static int alloc(const struct gpu *g, uint64_t va, uint64_t size, uint32_t flags, uint64_t *handle, uint64_t *offset)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args a = {
		.va_addr = va, .size = size, .gpu_id = g->id, .flags = flags, .mmap_offset = flags & F(USERPTR) ? va : 0};
	int n = ioctl(kfd, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &a);

	*handle = a.handle;
	if (offset)
		*offset = a.mmap_offset;
	return n;
}

/* For both GPUs. */
static void map_both(uint64_t handle)
{
	uint32_t ids[2] = {gpus[0].id, gpus[1].id};
	struct kfd_ioctl_map_memory_to_gpu_args a = {.handle = handle, .device_ids_array_ptr = (uintptr_t)ids, .n_devices = 2};

	CHECK(!ioctl(kfd, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &a) && a.n_success == 2);
}

static void make_vram(void)
{
	uint64_t most = available(&gpus[1]);

	for (int i = 0; i < 2; i++) {
		struct gpu *g = &gpus[i];

		CHECK(!alloc(g, VA(i), PAGE, F(VRAM) | F(PUBLIC) | WRITABLE, &g->handle, &g->offset));
		CHECK(g->handle >> 32 == g->id);
		map_both(g->handle);
		g->vram = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g->render, (off_t)g->offset);
		CHECK(g->vram != MAP_FAILED);
		FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, gpus[!i].render, (off_t)g->offset), EINVAL);
		CHECK(vram_usage(g) == PAGE);
	}
	CHECK(available(&gpus[1]) == most - PAGE);
}

static void make_queue(struct gpu *g)
{
	void *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t handle;

	CHECK(pages != MAP_FAILED);
	CHECK(!alloc(&gpus[0], (uintptr_t)pages, 2 * PAGE, F(USERPTR) | WRITABLE, &handle, NULL));
	map_both(handle);
	create_queue(&g->queue, kfd, g->id, pages);
}

int main(void)
{
	look_around();
	open_gpus();
	make_vram();
	make_queue(&gpus[0]);
	make_queue(&gpus[1]);
	/* The longer pauses are such that idle GPUs are parked. */
	for (int round = 0; round < 60; round++) {
		struct gpu *g = &gpus[round % 2];
		struct signal *of_peer = gpus[!(round % 2)].vram;

		atomic_store(&of_peer->value, 1);
		barrier_at(&g->queue, 0, VA(!(round % 2)));
		CHECK(wait_zero(of_peer, 10000));
		if (round % 10 > 7)
			usleep(60000);
	}
	return 0;
}
