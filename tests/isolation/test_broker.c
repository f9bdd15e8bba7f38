// SPDX-License-Identifier: MIT
/*
 * test_broker.c - hsavisor-broker, isolated, at work: what it still has while it serves, and that
 * it does all its work with that, from the first client to its end. Arguments: the paths of
 * hsavisord and hsavisor-broker.
 *
 * As root it is looked at as root started it, and as an ordinary user did.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kfd_ioctl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/vmm/client.h"

#define ORDINARY 54321
#define VA	 0x10000000ull
#define WRITABLE (1u << 31) /* KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE, without the overflow */

static const char *hsavisord, *broker;
static char dir[64], arbiter_socket[96], vm_socket[96], log_path[96];
static pid_t daemon_pid, broker_pid;
static pid_t looked_at; /* the broker, or its keeper */
static bool ordinary;
static struct guest g;

static pid_t start(const char *path, const char *const *args, bool as_ordinary)
{
	const char *argv[16] = {path};
	int ready[2], log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	char text[8] = "";
	pid_t pid;

	for (unsigned i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		dup2(log, 1);
		dup2(log, 2);
		dup2(ready[1], 3);
		if (ready[0] != 3)
			close(ready[0]);
		/* what a careless starter leaves open */
		fcntl(0, F_DUPFD, 20);
		fcntl(log, F_DUPFD, 100);
		if (as_ordinary && (setgroups(0, NULL) || setresgid(ORDINARY, ORDINARY, ORDINARY) ||
				    setresuid(ORDINARY, ORDINARY, ORDINARY)))
			_exit(99);
		execv(path, (char *const *)argv);
		_exit(127);
	}
	close(ready[1]);
	close(log);
	if (path == broker) {
		struct pollfd p = {.fd = ready[0], .events = POLLIN};

		assert_int_equal(poll(&p, 1, CLIENT_TIMEOUT_MS), 1);
		assert_true(read(ready[0], text, sizeof(text)) > 0);
	}
	close(ready[0]);
	return pid;
}

static int setup(bool as_ordinary)
{
	ordinary = as_ordinary;
	strcpy(dir, "/tmp/test-isolation-XXXXXX");
	if (!mkdtemp(dir) || (ordinary && chown(dir, ORDINARY, ORDINARY)))
		return -1;
	snprintf(arbiter_socket, sizeof(arbiter_socket), "%s/arbiter", dir);
	snprintf(vm_socket, sizeof(vm_socket), "%s/vm", dir);
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	daemon_pid = start(hsavisord,
			   (const char *[]){"--socket", arbiter_socket, "--vram", "256M", NULL},
			   ordinary);
	for (unsigned i = 0; i < 1000 && access(arbiter_socket, F_OK); i++)
		usleep(10000);
	broker_pid = start(broker,
			   (const char *[]){"--name", "vm", "--socket", vm_socket,
					    "--arbiter-socket", arbiter_socket, "--ready-fd", "3",
					    "--vram", "64M", "--sandbox", "require", NULL},
			   ordinary);
	return guest_connect(&g, vm_socket) || guest_start(&g, 0);
}

static int setup_as_started(void **state)
{
	return setup(false);
}

static int setup_as_ordinary(void **state)
{
	return setup(true);
}

static void read_file(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	text[n] = 0;
	fclose(f);
}

static int teardown(void **state)
{
	char command[128];
	int status = 0;

	guest_close(&g);
	if (broker_pid > 0) {
		kill(broker_pid, SIGKILL);
		waitpid(broker_pid, &status, 0);
	}
	kill(daemon_pid, SIGTERM);
	waitpid(daemon_pid, &status, 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* ---- What it has ---- */

static char *proc_path(const char *file)
{
	static char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)looked_at, file);
	return path;
}

static void status_line(const char *status, const char *key, const char *value)
{
	const char *at = strstr(status, key);
	size_t n;

	assert_non_null(at);
	at += strlen(key);
	at += strspn(at, ": \t");
	n = strcspn(at, "\n");
	if (n != strlen(value) || strncmp(at, value, n))
		fail_msg("%s is %.*s, not %s", key, (int)n, at, value);
}

static unsigned all_threads(const char *key, const char *value)
{
	DIR *d = opendir(proc_path("task"));
	unsigned count = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char path[300], text[8192];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)looked_at, e->d_name);
		read_file(path, text, sizeof(text));
		status_line(text, key, value);
		count++;
	}
	closedir(d);
	return count;
}

static unsigned check_descriptors(void)
{
	/* All that may be there, by what the links say. */
	static const char *const known[] = {"/dev/null",
					    "socket:[",
					    "anon_inode:[eventfd]",
					    "anon_inode:[signalfd]",
					    "/memfd:hsavisor-vram",
					    "/memfd:hsavisor-doorbells"};
	DIR *d = opendir(proc_path("fd"));
	unsigned count = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char target[256], link[300];
		ssize_t n;
		bool ok = false;

		if (e->d_name[0] == '.')
			continue;
		snprintf(link, sizeof(link), "/proc/%d/fd/%s", (int)looked_at, e->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		assert_true(n > 0);
		target[n] = 0;
		for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			ok = ok || !strncmp(target, known[i], strlen(known[i]));
		ok = ok || !strcmp(target, log_path);
		if (!ok)
			fail_msg("descriptor %s is %s", e->d_name, target);
		count++;
	}
	closedir(d);
	return count;
}

static void process_has_nothing(pid_t pid)
{
	static const char *const namespaces[] = {"mnt", "net", "ipc", "uts", "cgroup"};
	char text[16384], id[128], cap[20] = "0000000000000000", mine[64], theirs[64];
	struct dirent *e;
	ssize_t n;
	DIR *d;

	looked_at = pid;
	read_file(proc_path("status"), text, sizeof(text));
	if (geteuid() == 0) {
		uid_t uid = ordinary ? ORDINARY : 0x68800000u + (uid_t)broker_pid;

		snprintf(id, sizeof(id), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
		status_line(text, "Uid", id);
		status_line(text, "Gid", id);
		status_line(text, "Groups", "");
	}
	all_threads("CapInh", cap);
	all_threads("CapPrm", cap);
	all_threads("CapEff", cap);
	all_threads("CapBnd", cap);
	all_threads("CapAmb", cap);
	all_threads("NoNewPrivs", "1");
	n = all_threads("Seccomp", "2");
	assert_true(pid == broker_pid ? n >= 3 : n == 1);
	for (unsigned i = 0; i < 5; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i]);
		n = readlink(path, mine, sizeof(mine) - 1);
		assert_true(n > 0);
		mine[n] = 0;
		snprintf(path, sizeof(path), "ns/%s", namespaces[i]);
		n = readlink(proc_path(path), theirs, sizeof(theirs) - 1);
		if (n < 0 && errno == EACCES) /* an ordinary user may not even look */
			continue;
		assert_true(n > 0);
		theirs[n] = 0;
		assert_string_not_equal(mine, theirs);
	}
	if (geteuid() != 0)
		return;
	d = opendir(proc_path("root"));
	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			fail_msg("its root has %s", e->d_name);
	closedir(d);
	read_file(proc_path("mounts"), text, sizeof(text));
	assert_non_null(strstr(text, " / tmpfs ro,"));
	assert_null(strchr(strchr(text, '\n') + 1, '\n')); /* nothing else is mounted */
	n = check_descriptors();
	/* The keeper: the standard ones, the broker's end, QEMU's socket when there is a QEMU. */
	assert_true(pid == broker_pid || n <= 5);
	read_file(proc_path("limits"), text, sizeof(text));
	assert_non_null(strstr(text, "Max core file size        0                    0"));
	assert_non_null(strstr(text, "Max open files            256                  256"));
}

static pid_t keeper_pid(void)
{
	char path[96], text[64];
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)broker_pid, (int)broker_pid);
	read_file(path, text, sizeof(text));
	assert_int_equal(sscanf(text, "%d", &pid), 1);
	return pid;
}

static void nothing_is_left(void **state)
{
	process_has_nothing(broker_pid);
	process_has_nothing(keeper_pid());
}

/* ---- That it works ---- */

static int request(uint32_t process, unsigned long cmd, void *args, const void *in,
		   uint32_t in_size)
{
	return guest_request(&g, HSV_REQ_KFD_IOCTL, process, _IOC_NR(cmd), args, _IOC_SIZE(cmd), in,
			     in_size, NULL, NULL);
}

/* A GPU process with a buffer, VRAM and an SDMA queue, which writes; then it ends. */
static void use_gpu(uint32_t process, unsigned times)
{
	struct hsv_process_args create = {.pid = 100 + process, .comm = "test"};
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 1};
	struct kfd_ioctl_alloc_memory_of_gpu_args alloc = {
		.va_addr = VA,
		.size = 0x20000,
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_GTT | WRITABLE,
	};
	uint64_t at = GUEST_MEMORY + process * 0x20000ull;
	struct hsv_extent extent = {at, 0x20000}, got[64];
	struct kfd_ioctl_map_memory_to_gpu_args map = {.n_devices = 1};
	struct kfd_ioctl_create_queue_args queue = {
		.ring_base_address = VA,
		.write_pointer_address = VA + 0x8000,
		.read_pointer_address = VA + 0x8008,
		.ring_size = 4096,
		.queue_type = KFD_IOC_QUEUE_TYPE_SDMA,
		.queue_percentage = 100,
		.queue_priority = 7,
	};
	uint32_t out_size = sizeof(got), *ring = (uint32_t *)(void *)(g.ram + at);
	_Atomic uint32_t *word = (_Atomic uint32_t *)(void *)(g.ram + at + 0x10000);
	struct hsv_config config;

	assert_int_equal(client_read(g.sock, 0, 0x2000, &config, sizeof(config)), 0);
	acquire.gpu_id = alloc.gpu_id = queue.gpu_id = config.gpus[0].gpu_id;
	memset(g.ram + at, 0, 0x20000);
	assert_int_equal(guest_request(&g, HSV_REQ_PROCESS_CREATE, process, 0, &create,
				       sizeof(create), NULL, 0, NULL, NULL),
			 0);
	assert_int_equal(request(process, AMDKFD_IOC_ACQUIRE_VM, &acquire, NULL, 0), 0);
	assert_int_equal(
		request(process, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &alloc, &extent, sizeof(extent)),
		0);
	map.handle = alloc.handle;
	assert_int_equal(request(process, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &map, &config.gpus[0].gpu_id, 4),
			 0);
	alloc = (struct kfd_ioctl_alloc_memory_of_gpu_args){
		.va_addr = 2 * VA,
		.size = 4 << 20,
		.gpu_id = config.gpus[0].gpu_id,
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_VRAM | WRITABLE,
	};
	assert_int_equal(guest_request(&g, HSV_REQ_KFD_IOCTL, process,
				       _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &alloc,
				       sizeof(alloc), NULL, 0, got, &out_size),
			 0);
	map = (struct kfd_ioctl_map_memory_to_gpu_args){.handle = alloc.handle, .n_devices = 1};
	assert_int_equal(request(process, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &map, &config.gpus[0].gpu_id, 4),
			 0);
	assert_int_equal(request(process, AMDKFD_IOC_CREATE_QUEUE, &queue, NULL, 0), 0);
	for (unsigned i = 0; i < times; i++) {
		uint32_t fence[4] = {5, (uint32_t)VA + 0x10000, 0, i + 1};

		memcpy(ring + (i * 4) % 1024, fence, sizeof(fence));
		atomic_store((_Atomic uint64_t *)(void *)g.doorbells +
				     process * (HSV_DOORBELL_SLOT / 8) + queue.queue_id,
			     (i + 1) * 16ull);
		for (unsigned k = 0; k < 200000 && atomic_load(word) != i + 1; k++)
			usleep(100);
		assert_int_equal(atomic_load(word), i + 1);
	}
	assert_int_equal(guest_request(&g, HSV_REQ_PROCESS_DESTROY, process, 0, NULL, 0, NULL, 0,
				       NULL, NULL),
			 0);
}

static void works(void **state)
{
	char text[8192];
	int status;

	for (unsigned i = 0; i < 20; i++)
		use_gpu(i % 5, 50);
	/* Threads of the GPU are there now; nothing more than before is. */
	nothing_is_left(state);
	/* Clients come and go. */
	for (unsigned i = 0; i < 3; i++) {
		guest_close(&g);
		assert_int_equal(guest_connect(&g, vm_socket), 0);
		assert_int_equal(guest_start(&g, 0), 0);
		use_gpu(i, 20);
	}
	kill(broker_pid, SIGTERM);
	assert_int_equal(waitpid(broker_pid, &status, 0), broker_pid);
	broker_pid = 0;
	read_file(log_path, text, sizeof(text));
	if (status)
		fail_msg("status %#x: %s", (unsigned)status, text);
	assert_null(strstr(text, "not allowed"));
	assert_null(strstr(text, "WARNING"));
}

int main(int argc, char **argv)
{
#define AS_STARTED(name)                                                                           \
	{                                                                                          \
		"as started: " #name, name, setup_as_started, teardown, NULL                       \
	}
#define AS_ORDINARY(name)                                                                          \
	{                                                                                          \
		"as an ordinary user: " #name, name, setup_as_ordinary, teardown, NULL             \
	}
	const struct CMUnitTest tests[] = {
		AS_STARTED(nothing_is_left),
		AS_STARTED(works),
		AS_ORDINARY(nothing_is_left),
		AS_ORDINARY(works),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s HSAVISORD HSAVISOR-BROKER\n", argv[0]);
		return 2;
	}
	hsavisord = argv[1];
	broker = argv[2];
	if (geteuid() == 0)
		return cmocka_run_group_tests_name("broker's isolation", tests, NULL, NULL);
	const struct CMUnitTest half[] = {AS_STARTED(nothing_is_left), AS_STARTED(works)};

	return cmocka_run_group_tests_name("broker's isolation", half, NULL, NULL);
}
