// SPDX-License-Identifier: MIT
/*
 * guest-unbind - the device is taken away while programs run: what they hold answers ENODEV or leads
 * nowhere, whoever waits wakes up, nothing leaks, and the device can be bound again and used. Last,
 * the module is unloaded and loaded. Must run alone: it ends every other program's GPU.
 */
#include <dirent.h>
#include <pthread.h>

#include "kfd.h"

#define DRIVER "/sys/bus/virtio/drivers/hsavisor"

static char device[64];

static long write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	long err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static void find_device(void)
{
	DIR *dir = opendir(DRIVER);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (!strncmp(e->d_name, "virtio", 6))
			snprintf(device, sizeof(device), "%.60s", e->d_name);
	if (dir)
		closedir(dir);
	CHECK(device[0]);
}

static long bind_device(bool bind)
{
	return write_file(bind ? DRIVER "/bind" : DRIVER "/unbind", device);
}

static uint32_t event_new(void)
{
	struct kfd_ioctl_create_event_args args = {.event_type = KFD_IOC_EVENT_SIGNAL};

	EXPECT(kfd_call(kfd, AMDKFD_IOC_CREATE_EVENT, &args), 0);
	return args.event_id;
}

static void *wait_thread(void *arg)
{
	struct kfd_event_data data = {.event_id = (uint32_t)(uintptr_t)arg};
	struct kfd_ioctl_wait_events_args args = {
		.events_ptr = (uintptr_t)&data, .num_events = 1, .timeout = 0xffffffff};

	return (void *)kfd_call(kfd, AMDKFD_IOC_WAIT_EVENTS, &args);
}

static void *busy_thread(void *arg)
{
	struct kfd_ioctl_get_clock_counters_args args = {.gpu_id = gpu_id};
	struct buffer b;
	long err;

	(void)arg;
	do {
		err = kfd_call(kfd, AMDKFD_IOC_GET_CLOCK_COUNTERS, &args);
		if (!err && !(err = gpu_alloc(&b, GTT, reserve(PAGE), PAGE, 0)))
			err = gpu_free(b.handle);
	} while (!err);
	return (void *)err;
}

static void running(void)
{
	struct kfd_ioctl_get_version_args version;
	uint8_t *vram, *gtt, *user, *doorbell;
	uint64_t size = 16 * PAGE;
	pthread_t wait[3], busy[2];
	struct buffer b;
	void *result;
	long err;

	kfd_start();
	EXPECT(gpu_alloc(&b, VRAM, reserve(size), size, 0), 0);
	vram = map_fd(drm, b.offset, size, MAP_SHARED, &err);
	EXPECT(gpu_alloc(&b, GTT, reserve(size), size, 0), 0);
	gtt = map_fd(drm, b.offset, size, MAP_SHARED, &err);
	user = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)user, size, (uintptr_t)user), 0);
	EXPECT(gpu_map(b.handle, true), 0);
	doorbell = map_fd(kfd, 3ull << 62 | (uint64_t)gpu_id << 46, 2 * PAGE, MAP_SHARED, &err);
	CHECK(vram && gtt && doorbell);
	CHECK(touch(vram) == 0 && touch(gtt) == 0 && touch(doorbell) == 0);
	user[0] = 9;
	for (int i = 0; i < 3; i++)
		pthread_create(&wait[i], NULL, wait_thread, (void *)(uintptr_t)event_new());
	for (int i = 0; i < 2; i++)
		pthread_create(&busy[i], NULL, busy_thread, NULL);
	msleep(300);

	EXPECT(bind_device(false), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(wait[i], &result);
		EXPECT((long)result, -ENODEV);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(busy[i], &result);
		EXPECT((long)result, -ENODEV);
	}
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_VERSION, &version), -ENODEV);
	EXPECT(gpu_alloc(&b, VRAM, reserve(size), size, 0), -ENODEV);
	/* What they were is gone; what they are hurts nobody. */
	CHECK(touch(vram) == 0 && touch(gtt) == 0 && touch(doorbell) == 0);
	vram[1] = gtt[1] = doorbell[1] = 3;
	/* Its own memory is its own. */
	CHECK(user[0] == 9);
	munmap(user, size);
	munmap(vram, size);
	CHECK(open("/dev/kfd", O_RDWR) < 0);
	CHECK(access("/sys/class/kfd/kfd", F_OK) < 0);
	CHECK(pinned_pages() == 0);

	/* The same program may go on with the device that comes back. */
	EXPECT(bind_device(true), 0);
	close(kfd);
	close(drm);
	kfd_start();
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_VERSION, &version), 0);
	EXPECT(gpu_alloc(&b, VRAM, reserve(size), size, 0), 0);
	EXPECT(gpu_free(b.handle), 0);
}

static void while_running(void)
{
	in_child(running);
}

static void killed_part(void)
{
	struct buffer b;

	kfd_start();
	EXPECT(gpu_alloc(&b, GTT, reserve(PAGE), PAGE, 0), 0);
	EXPECT(bind_device(false), 0);
	kill(getpid(), SIGKILL);
}

/* A program that dies after its device. */
static void killed_after(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		killed_part();
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGKILL);
	EXPECT(bind_device(true), 0);
}

static void again_and_again(void)
{
	for (int i = 0; i < 10; i++) {
		EXPECT(bind_device(false), 0);
		EXPECT(bind_device(true), 0);
	}
	in_child(kfd_start);
}

/* While an open file uses the module it stays; then it goes, and comes back. */
static void unload(void)
{
	pid_t pid;
	int go[2], up[2], status;
	char c;

	CHECK(pipe(go) == 0 && pipe(up) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		kfd_start();
		close(kfd);
		close(drm);
		/* Files closed, but the GPU process lives as long as the mm. */
		if (write(up[1], "x", 1) != 1 || read(go[0], &c, 1) != 0)
			_exit(1);
		_exit(0);
	}
	CHECK(read(up[0], &c, 1) == 1);
	CHECK(system("rmmod hsavisor 2>/dev/null") != 0);
	close(go[1]);
	waitpid(pid, &status, 0);
	for (int i = 0; i < 50; i++) {
		status = system("rmmod hsavisor 2>/dev/null");
		if (!status)
			break;
		msleep(100);
	}
	CHECK(status == 0);
	CHECK(access("/sys/module/amdgpu", F_OK) < 0);
	CHECK(access("/dev/kfd", F_OK) < 0);
	status = system(getenv("HSV_MODULE") ? "insmod $HSV_MODULE" : "modprobe hsavisor");
	CHECK(status == 0);
	CHECK(access("/sys/module/amdgpu/initstate", F_OK) == 0);
	in_child(kfd_start);
}

int main(void)
{
	static const struct test tests[] = {
		{"unbind while a program runs", while_running},
		{"a program killed after its device went", killed_after},
		{"bind and unbind again and again", again_and_again},
		{"unload and load the module", unload},
	};

	find_device();
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
