// SPDX-License-Identifier: MIT
/* harness.c - see harness.h. */
#include "tests/vmm/harness.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

char harness_socket[108];
struct hsv_device *harness_device;
struct arbiter_counters harness_counters;

static char dir[] = "/tmp/test-vmm-XXXXXX";
static struct gpu *gpus[2];
unsigned harness_gpus = 1;
static struct vfio_user_server *server;
static pthread_t thread;
static int stop_fd, vram_fd;

static void *serve(void *arg)
{
	struct pollfd p[3] = {
		{.fd = stop_fd, .events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};

	for (;;) {
		vfio_user_server_fds(server, &p[1].fd, &p[2].fd);
		if (poll(p, 3, -1) < 0 || p[0].revents)
			return NULL;
		vfio_user_server_poll(server);
		hsv_device_publish(harness_device);
	}
}

int harness_start(void **state)
{
	struct gpu_config gpu_configs[] = {{.target = "gfx90a", .threads = 2}, {.target = "gfx900", .threads = 1}};
	struct hsv_device_config config = {.num_gpus = harness_gpus};

	if (!mkdtemp(dir))
		return -1;
	snprintf(harness_socket, sizeof(harness_socket), "%s/socket", dir);
	vram_fd = memfd_create("vram", MFD_CLOEXEC);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (vram_fd < 0 || stop_fd < 0 || ftruncate(vram_fd, harness_gpus * (off_t)HARNESS_VRAM) < 0)
		return -1;
	for (unsigned i = 0; i < harness_gpus; i++) {
		if (gpu_open(&gpu_configs[i], &gpus[i]))
			return -1;
		config.gpus[i] = (struct hsv_device_gpu){.gpu = gpus[i], .vram_size = HARNESS_VRAM, .counters = &harness_counters};
	}
	config.vram_fd = vram_fd;
	if (hsv_device_open(&config, &harness_device) ||
	    vfio_user_server_open(harness_socket, &hsv_device_vfio_ops, harness_device, &server))
		return -1;
	return pthread_create(&thread, NULL, serve, NULL);
}

int harness_stop(void **state)
{
	uint64_t one = 1;

	if (write(stop_fd, &one, sizeof(one)) < 0)
		return -1;
	pthread_join(thread, NULL);
	vfio_user_server_close(server);
	hsv_device_close(harness_device);
	for (unsigned i = 0; i < harness_gpus; i++)
		gpu_close(gpus[i]);
	close(vram_fd);
	close(stop_fd);
	return rmdir(dir); /* fails if the socket is still there */
}

unsigned harness_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
