// SPDX-License-Identifier: MIT
/*
 * test_broker.c - hsavisor-broker as a program: what it says and returns when it can't start, and
 * how it lives and ends. Arguments: the paths of hsavisord and hsavisor-broker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "arbiter/msg.h"
#include "core/kfd.h"
#include "tests/vmm/client.h"

#define MAX_ARGS 16

static const char *hsavisord, *broker;
static char dir[] = "/tmp/test-broker-XXXXXX";
static char arbiter_socket[64], vm_socket[64], other_socket[64];
static pid_t daemon_pid;

struct program {
	pid_t pid;
	int out; /* its output and errors */
	int ready;
};

/* Starts program with args up to NULL; as descriptor 3 it has the writing end of ->ready. */
static struct program start(const char *path, const char *const *args)
{
	struct program p;
	int out[2], ready[2];
	const char *argv[MAX_ARGS + 2] = {path};

	for (unsigned i = 0; i < MAX_ARGS && args[i]; i++)
		argv[i + 1] = args[i];
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	p.pid = fork();
	if (p.pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		if (ready[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(ready[1], 3);
		execv(path, (char *const *)argv);
		_exit(127);
	}
	close(out[1]);
	close(ready[1]);
	p.out = out[0];
	p.ready = ready[0];
	return p;
}

/* Reads until the other end is closed or size - 1 bytes. */
static void slurp(int fd, char *buf, size_t size)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	ssize_t got;

	while (n < size - 1 && poll(&pfd, 1, CLIENT_TIMEOUT_MS) == 1 &&
	       (got = read(fd, buf + n, size - 1 - n)) > 0)
		n += (size_t)got;
	buf[n] = '\0';
}

/* Waits for its end: the exit status. Its output is in text. */
static int finish(struct program *p, char *text, size_t size)
{
	int status;

	slurp(p->out, text, size);
	close(p->out);
	close(p->ready);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(char *text, size_t size, const char *const *args)
{
	struct program p = start(broker, args);

	return finish(&p, text, size);
}

#define ARGS(...) ((const char *const[MAX_ARGS]){__VA_ARGS__})

static struct program start_ready(const char *name, const char *path, const char *vram)
{
	struct program p = start(broker, ARGS("--name", name, "--socket", path, "--arbiter-socket",
					      arbiter_socket, "--ready-fd", "3", "--vram", vram));
	char text[16];

	slurp(p.ready, text, sizeof(text));
	assert_string_equal(text, "ready\n");
	return p;
}

static void stop(struct program *p)
{
	char text[4096];

	kill(p->pid, SIGTERM);
	assert_int_equal(finish(p, text, sizeof(text)), 0);
}

static int setup(void **state)
{
	char text[256] = "";
	struct program p;

	if (!mkdtemp(dir))
		return -1;
	snprintf(arbiter_socket, sizeof(arbiter_socket), "%s/arbiter", dir);
	snprintf(vm_socket, sizeof(vm_socket), "%s/vm", dir);
	snprintf(other_socket, sizeof(other_socket), "%s/other", dir);
	p = start(hsavisord, ARGS("--socket", arbiter_socket, "--vram", "256M"));
	daemon_pid = p.pid;
	close(p.ready);
	/* It says so on a line, and goes on holding the descriptor. */
	for (size_t n = 0; n < sizeof(text) - 1 && !strchr(text, '\n'); n++)
		if (read(p.out, text + n, 1) != 1)
			return -1;
	return strstr(text, "ready") ? 0 : -1;
}

static int teardown(void **state)
{
	kill(daemon_pid, SIGTERM);
	waitpid(daemon_pid, NULL, 0);
	unlink(arbiter_socket);
	unlink(vm_socket);
	return rmdir(dir); /* fails if a socket was left */
}

static void bad_usage(void **state)
{
	/* The last two are 0660 in the bits that a mode_t has. */
	static const char *const modes[] = {"", "0", "1000", "668", "-1", "40000000000660",
					    "-1777777777777777777120"};
	char text[4096];

	assert_int_equal(run(text, sizeof(text), ARGS("--help")), 0);
	assert_non_null(strstr(text, "--ready-fd"));
	assert_int_equal(run(text, sizeof(text), ARGS(NULL)), 2);
	assert_int_equal(run(text, sizeof(text), ARGS("--name", "x")), 2);
	assert_int_equal(run(text, sizeof(text), ARGS("--nonsense")), 2);
	assert_int_equal(run(text, sizeof(text),
			     ARGS("--name", "x", "--socket", vm_socket, "--vram", "lots")),
			 2);
	assert_non_null(strstr(text, "'lots' is not a size"));
	assert_int_equal(run(text, sizeof(text),
			     ARGS("--name", "x", "--socket", vm_socket, "--ready-fd", "77")),
			 2);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		assert_int_equal(
			run(text, sizeof(text),
			    ARGS("--name", "x", "--socket", vm_socket, "--socket-mode", modes[i])),
			2);
}

static void no_daemon(void **state)
{
	char text[4096];

	assert_int_equal(run(text, sizeof(text),
			     ARGS("--name", "x", "--socket", vm_socket, "--arbiter-socket",
				  "/nonexistent/s")),
			 1);
	assert_non_null(strstr(text, "hsavisor-broker: "));
	assert_non_null(strstr(text, "hsavisord"));
	assert_int_not_equal(access(vm_socket, F_OK), 0);
}

static void quota_too_large(void **state)
{
	char text[4096];

	assert_int_equal(run(text, sizeof(text),
			     ARGS("--name", "x", "--socket", vm_socket, "--arbiter-socket",
				  arbiter_socket, "--vram", "1T")),
			 1);
	assert_true(strlen(text) > 20);
}

static void name_or_socket_in_use(void **state)
{
	struct program p = start_ready("vm1", vm_socket, "16M");
	char text[4096];

	assert_int_equal(run(text, sizeof(text),
			     ARGS("--name", "vm1", "--socket", other_socket, "--arbiter-socket",
				  arbiter_socket, "--vram", "16M")),
			 1);
	assert_non_null(strstr(text, "vm1"));
	assert_int_equal(run(text, sizeof(text),
			     ARGS("--name", "vm2", "--socket", vm_socket, "--arbiter-socket",
				  arbiter_socket, "--vram", "16M")),
			 1);
	assert_non_null(strstr(text, "in use"));
	stop(&p);
}

static int connected(void)
{
	int sock = client_connect(vm_socket);

	assert_true(sock >= 0);
	assert_true(client_version(sock) > 0);
	return sock;
}

static uint64_t vram_seen(void)
{
	struct hsv_config config = {0};
	int sock = connected();

	assert_int_equal(client_read(sock, 0, 0x2000, &config, sizeof(config)), 0);
	close(sock);
	return config.gpus[0].vram_size;
}

static void serves_and_ends(void **state)
{
	struct program p = start_ready("vm1", vm_socket, "32M");

	for (unsigned i = 0; i < 5; i++) /* clients come and go */
		assert_int_equal(vram_seen(), 32u << 20);
	stop(&p);
	/* The socket's file stays, as a broker has no paths; nobody listens there. */
	assert_int_equal(client_connect(vm_socket), -1);
}

/* The daemon learns by and by of the end of one that didn't say goodbye. */
static void wait_gone(const char *name)
{
	char request[128], answer[4096];

	snprintf(request, sizeof(request), "{\"op\":\"get\",\"tenant\":\"%s\"}", name);
	for (unsigned i = 0; i < 3000; i++) {
		int fd = msg_connect(arbiter_socket);
		unsigned num_fds = 0;
		ssize_t n;

		assert_true(fd >= 0);
		assert_int_equal(msg_send(fd, request, strlen(request), NULL, 0), 0);
		n = msg_receive(fd, answer, sizeof(answer) - 1, NULL, &num_fds);
		assert_true(n > 0);
		close(fd);
		answer[n] = 0;
		if (strstr(answer, "\"errno\""))
			return;
		usleep(10000);
	}
	fail_msg("%s is still a tenant: %s", name, answer);
}

static void killed_and_started_again(void **state)
{
	struct program p = start_ready("vm1", vm_socket, "128M"), q;
	char text[4096];

	kill(p.pid, SIGKILL);
	assert_int_equal(finish(&p, text, sizeof(text)), -1);
	assert_int_equal(access(vm_socket, F_OK), 0); /* stale */
	wait_gone("vm1");
	q = start_ready("vm1", vm_socket, "200M"); /* name and quota are free again */
	assert_int_equal(vram_seen(), 200u << 20);
	stop(&q);
}

/* All n bytes of the message of a read of BAR 0, or less of it. */
static void ask(int sock, uint16_t id, size_t n)
{
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
	} message = {
		.header = {.id = id, .command = VFIO_USER_REGION_READ, .size = sizeof(message)},
		.access = {.offset = 0x2000, .region = 0, .count = 4},
	};

	assert_int_equal(client_send_raw(sock, &message, n, NULL, 0), 0);
}

/* Stops a broker that has nothing to do. */
static void stop_idle(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (unsigned i = 0; i < 3000 && state != 'S'; i++) {
		usleep(10000);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%*d %*s %c", &state), 1);
		fclose(f);
	}
	assert_int_equal(state, 'S');
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
}

/* A refusal of that request comes. */
static void refused(int sock, uint16_t id)
{
	struct vfio_user_header header;
	uint8_t reply[64];

	assert_int_equal(client_receive(sock, &header, reply, sizeof(reply), NULL), -EIO);
	assert_int_equal(header.id, id);
	assert_int_equal(header.command, VFIO_USER_REGION_READ);
}

/* The connection ends, and is not reset, which QEMU 11.1 does not survive. */
static void ended(int sock)
{
	struct pollfd pfd = {.fd = sock, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&pfd, 1, CLIENT_TIMEOUT_MS), 1);
	assert_int_equal(recv(sock, &byte, 1, 0), 0);
	assert_int_equal(send(sock, &byte, 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	close(sock);
}

/* What a broker that is killed had not read is refused. */
static void killed_with_requests_unread(void **state)
{
	struct program p = start_ready("vm1", vm_socket, "16M");
	int sock = connected();
	char text[4096];

	stop_idle(p.pid);
	ask(sock, 71, sizeof(struct vfio_user_header) + sizeof(struct vfio_user_region_access));
	ask(sock, 72, sizeof(struct vfio_user_header) + sizeof(struct vfio_user_region_access));
	ask(sock, 73, 5); /* no message yet */
	kill(p.pid, SIGKILL);
	refused(sock, 71);
	refused(sock, 72);
	ended(sock);
	assert_int_equal(finish(&p, text, sizeof(text)), -1);
	wait_gone("vm1");
}

/* So is, last, what it had read a part of. */
static void killed_within_a_request(void **state)
{
	const size_t head = sizeof(struct vfio_user_header);
	struct program p = start_ready("vm1", vm_socket, "16M");
	int sock = connected(), unread = 1;
	uint8_t rest[sizeof(struct vfio_user_region_access)] = {0};
	char text[4096];

	ask(sock, 81, head);
	for (unsigned i = 0; i < 3000 && unread; i++) {
		assert_int_equal(ioctl(sock, SIOCOUTQ, &unread), 0);
		usleep(10000);
	}
	assert_int_equal(unread, 0);
	stop_idle(p.pid);
	assert_int_equal(client_send_raw(sock, rest, sizeof(rest), NULL, 0), 0);
	ask(sock, 82, head + sizeof(rest));
	kill(p.pid, SIGKILL);
	refused(sock, 82);
	refused(sock, 81);
	ended(sock);
	assert_int_equal(finish(&p, text, sizeof(text)), -1);
	wait_gone("vm1");
}

/* One that ends by request either answers or refuses. */
static void ended_with_a_request_unread(void **state)
{
	struct program p = start_ready("vm1", vm_socket, "16M");
	int sock = connected(), ret;
	struct vfio_user_header header;
	uint8_t reply[64];
	char text[4096];

	stop_idle(p.pid);
	kill(p.pid, SIGTERM);
	ask(sock, 91, sizeof(struct vfio_user_header) + sizeof(struct vfio_user_region_access));
	kill(p.pid, SIGCONT);
	ret = client_receive(sock, &header, reply, sizeof(reply), NULL);
	assert_int_equal(header.id, 91);
	assert_true(ret == -EIO || ret == sizeof(struct vfio_user_region_access) + 4);
	ended(sock);
	assert_int_equal(finish(&p, text, sizeof(text)), 0);
}

/* A client that takes its memory away ends its own broker, which says so; the next one serves. */
static void memory_cut_short(void **state)
{
	struct program p = start_ready("vm1", vm_socket, "16M"), q;
	struct hsv_process_args args = {.comm = "cut"};
	struct guest g;
	char text[4096];

	assert_int_equal(guest_connect(&g, vm_socket), 0);
	assert_int_equal(guest_start(&g, 0), 0);
	assert_int_equal(guest_request(&g, HSV_REQ_PROCESS_CREATE, 0, 0, &args, sizeof(args), NULL,
				       0, NULL, NULL),
			 0);
	assert_int_equal(ftruncate(g.ram_fd, 0), 0);
	guest_kick(&g, HSV_QUEUE_CONTROL);
	assert_int_equal(finish(&p, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "vm1: bus error"));
	guest_close(&g);
	wait_gone("vm1");
	q = start_ready("vm1", vm_socket, "16M");
	assert_int_equal(vram_seen(), 16u << 20);
	stop(&q);
}

/* utime + stime in ticks of 10 ms */
static long cpu_ticks(pid_t pid)
{
	char path[64];
	long utime = 0, stime = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %*s %*s %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
				&utime, &stime),
			 2);
	fclose(f);
	return utime + stime;
}

static void idle_costs_nothing(void **state)
{
	struct program p = start_ready("vm1", vm_socket, "16M");
	struct guest g;
	struct hsv_process_args args = {.comm = "idle"};
	long before, used = LONG_MAX;

	assert_int_equal(guest_connect(&g, vm_socket), 0);
	assert_int_equal(guest_start(&g, 0), 0);
	assert_int_equal(guest_request(&g, HSV_REQ_PROCESS_CREATE, 0, 0, &args, sizeof(args), NULL,
				       0, NULL, NULL),
			 0);
	/* On a busy machine its threads may still have to come to rest. */
	for (unsigned i = 0; i < 5 && used > 1; i++) {
		before = cpu_ticks(p.pid);
		sleep(2);
		used = cpu_ticks(p.pid) - before;
	}
	assert_true(used <= 1);
	guest_close(&g);
	stop(&p);
}

struct charge {
	struct arbiter_client *client;
	int64_t bytes;
	int result;
};

static void *charge(void *arg)
{
	struct charge *c = arg;

	c->result = arbiter_charge_vram(c->client, c->bytes);
	return NULL;
}

/* A guest that takes longer than it has for an answer, but gives VRAM back all the while, as pages of programs go home. */
static void agrees_bit_by_bit(struct guest *g, struct charge *other)
{
	struct hsv_vram_args chunks[3] = {{.size = 2 << 20}, {.size = 2 << 20}, {.size = 2 << 20}};
	struct hsv_event event;
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		assert_int_equal(guest_request(g, HSV_REQ_VRAM_TAKE, 0, 0, &chunks[i], sizeof(chunks[i]), NULL, 0, NULL, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, charge, other), 0);
	assert_true(guest_event(g, &event, CLIENT_TIMEOUT_MS));
	assert_int_equal(event.type, HSV_EVENT_VRAM_AWAY);
	for (int i = 0; i < 3; i++) {
		usleep(1500000);
		assert_int_equal(guest_request(g, HSV_REQ_VRAM_GIVE, 0, 0, &chunks[i], sizeof(chunks[i]), NULL, 0, NULL, NULL), 0);
	}
	assert_int_equal(guest_request(g, HSV_REQ_VRAM_AWAY, 0, 0, NULL, 0, NULL, 0, NULL, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(other->result, 0);
	other->bytes = -other->bytes;
	charge(other);
	other->bytes = -other->bytes;
	assert_int_equal(guest_request(g, HSV_REQ_VRAM_BACK, 0, 0, NULL, 0, NULL, 0, NULL, NULL), 0);
}

/* Another tenant wants the room of a VM: its guest does not answer when it is asked to let its VRAM
 * go, and keeps it; then it does, and gets it back as it was. */
static void swapped_if_the_guest_agrees(void **state)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args alloc = {
		.va_addr = 0x100000000,
		.size = 48u << 20,
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_VRAM | 1u << 31,
	};
	struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = 1};
	struct hsv_process_args args = {.pid = 1};
	static uint8_t page[4096], seen[4096];
	struct charge other = {.bytes = 32 << 20};
	struct hsv_extent out[16];
	uint32_t out_size = sizeof(out);
	struct program d, p;
	struct arbiter_grant grant;
	struct hsv_config config;
	struct hsv_event event;
	char text[4096], saved[sizeof(arbiter_socket)];
	pthread_t thread;
	struct guest g;

	memcpy(saved, arbiter_socket, sizeof(saved));
	snprintf(arbiter_socket, sizeof(arbiter_socket), "%s/swapping", dir);
	d = start(hsavisord,
		  ARGS("--socket", arbiter_socket, "--vram", "64M", "--vram-overcommit", "swap"));
	for (int i = 0; i < 3000 && access(arbiter_socket, F_OK); i++)
		usleep(10000);
	setenv("HSAVISOR_SOCKET", arbiter_socket, 1);
	p = start_ready("vm1", vm_socket, "64M");
	assert_int_equal(
		arbiter_connect(ARBITER_VM, "other", 32u << 20, &other.client, &grant, NULL), 0);
	assert_int_equal(guest_connect(&g, vm_socket), 0);
	assert_int_equal(guest_start(&g, UINT64_C(1) << HSV_F_SWAP), 0);
	assert_int_equal(client_read(g.sock, 0, 0x2000, &config, sizeof(config)), 0);
	acquire.gpu_id = alloc.gpu_id = config.gpus[0].gpu_id;
	assert_int_equal(guest_request(&g, HSV_REQ_PROCESS_CREATE, 0, 0, &args, sizeof(args), NULL,
				       0, NULL, NULL),
			 0);
	assert_int_equal(guest_request(&g, HSV_REQ_KFD_IOCTL, 0, _IOC_NR(AMDKFD_IOC_ACQUIRE_VM),
				       &acquire, sizeof(acquire), NULL, 0, NULL, NULL),
			 0);
	assert_int_equal(guest_request(&g, HSV_REQ_KFD_IOCTL, 0,
				       _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &alloc,
				       sizeof(alloc), NULL, 0, out, &out_size),
			 0);
	assert_int_equal(out[0].addr, 0);
	memset(page, 0x5a, sizeof(page));
	assert_int_equal(client_write(g.sock, 2, 0x3000, page, sizeof(page)), 0);

	agrees_bit_by_bit(&g, &other);

	assert_int_equal(pthread_create(&thread, NULL, charge, &other), 0);
	assert_true(guest_event(&g, &event, CLIENT_TIMEOUT_MS));
	assert_int_equal(event.type, HSV_EVENT_VRAM_AWAY);
	pthread_join(thread, NULL); /* it was not answered */
	assert_int_equal(other.result, -ENOMEM);

	/* A late answer counts for the next time, which comes after a while. */
	assert_int_equal(guest_request(&g, HSV_REQ_VRAM_AWAY, 0, 0, NULL, 0, NULL, 0, NULL, NULL),
			 0);
	for (int i = 0; i < 600 && other.result; i++) {
		usleep(100000);
		charge(&other);
	}
	assert_int_equal(other.result, 0);
	other.bytes = -other.bytes;
	charge(&other);
	assert_int_equal(other.result, 0);
	assert_int_equal(guest_request(&g, HSV_REQ_VRAM_BACK, 0, 0, NULL, 0, NULL, 0, NULL, NULL),
			 0);
	assert_int_equal(client_read(g.sock, 2, 0x3000, seen, sizeof(seen)), 0);
	assert_memory_equal(seen, page, sizeof(page));

	guest_close(&g);
	arbiter_disconnect(other.client);
	stop(&p);
	kill(d.pid, SIGTERM);
	finish(&d, text, sizeof(text));
	memcpy(arbiter_socket, saved, sizeof(saved));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_usage),
		cmocka_unit_test(no_daemon),
		cmocka_unit_test(quota_too_large),
		cmocka_unit_test(name_or_socket_in_use),
		cmocka_unit_test(serves_and_ends),
		cmocka_unit_test(killed_and_started_again),
		cmocka_unit_test(killed_with_requests_unread),
		cmocka_unit_test(killed_within_a_request),
		cmocka_unit_test(ended_with_a_request_unread),
		cmocka_unit_test(idle_costs_nothing),
		cmocka_unit_test(memory_cut_short),
		cmocka_unit_test(swapped_if_the_guest_agrees),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s HSAVISORD HSAVISOR-BROKER\n", argv[0]);
		return 2;
	}
	hsavisord = argv[1];
	broker = argv[2];
	return cmocka_run_group_tests_name("vmm broker", tests, setup, teardown);
}
