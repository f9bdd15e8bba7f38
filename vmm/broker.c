// SPDX-License-Identifier: MIT
/*
 * broker.c - hsavisor-broker: the GPUs of one VM.
 *
 * It registers the VM as a tenant of each of its GPUs with hsavisord, opens the GPUs it was granted, and serves the
 * device on a UNIX socket that a QEMU connects to. It outlives QEMU: when one goes away its state
 * is dropped and the next may connect. SIGTERM and SIGINT end it; so does a VM whose memory
 * vanishes under it. Before a QEMU is let in it isolates itself (isolation.c); what it needs a path
 * for it opens before that.
 *
 * How QEMU (10.1 or newer) gets the device:
 *   -object memory-backend-memfd,id=mem,size=4G,share=on -machine q35,memory-backend=mem
 *   -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"SOCKET"}}'
 * Guest memory must be a shared memfd, or the GPU can't reach it. Nothing else is needed: the
 * device is ordinary virtio-pci for the guest, on pcie.0 or below a pcie-root-port. SeaBIOS puts
 * the VRAM BAR, 64-bit and prefetchable, below the top of the CPU's physical address space: 8 GiB
 * fit with any CPU model of 40 address bits (qemu64) or more; use -cpu host or max for the most
 * room.
 *
 * QEMU 11.1.3 aborts on device_del of any vfio-user-pci device that has MSI-X (its own bug: it
 * removes the PBA's memory region from a BAR that is gone). A guest's own removal and rescan of the
 * device work. It aborts, too, when a broker's socket ends with a request unread: keeper.h.
 */
#define LOG_PART "broker"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "base/gpu_list.h"
#include "base/log.h"
#include "base/size.h"
#include "gpu/gpu.h"
#include "vmm/device.h"
#include "vmm/isolation.h"
#include "vmm/keeper.h"
#include "vmm/vfio_user.h"

#define PUBLISH_MS 500 /* between two looks at the core's totals */

struct options {
	const char *name, *socket, *arbiter, *jit_store;
	uint64_t vram, vram_max;
	uint32_t gpus; /* bit i: GPU i */
	int ready_fd;
	gid_t socket_group; /* -1: the starter's */
	mode_t socket_mode; /* 0: as the group suggests */
	struct isolation isolation;
};

static const char usage[] =
	"Usage: hsavisor-broker --name NAME --socket PATH [OPTIONS]\n"
	"Serves the GPUs of one virtual machine to a QEMU (vfio-user-pci).\n"
	"\n"
	"  --name NAME            name of the tenant: 1 to 63 of A-Z a-z 0-9 . _ -\n"
	"  --socket PATH          UNIX socket for QEMU to connect to; made here\n"
	"  --vram SIZE            VRAM quota of each GPU, e.g. 512M or 2G (default: what hsavisord gives)\n"
	"  --vram-max SIZE        what `hsavisor set` may raise the quota to (default: the quota)\n"
	"  --gpus LIST            which of hsavisord's GPUs, like 0,1 (default 0); --gpu N: one\n"
	"  --arbiter-socket PATH  hsavisord's control socket\n"
	"  --ready-fd N           write \"ready\" to this descriptor, and close it, when QEMU may "
	"connect\n"
	"  --socket-group GROUP   let this group's users (QEMU's) connect, too\n"
	"  --socket-mode MODE     the socket's permissions, octal (default 600, with a group 660)\n"
	"  --user USER            as root: run as this user (default: hsavisor if there is one, else "
	"a user id of its own)\n"
	"  --sandbox=try|require|off  isolation: as far as the environment permits (default), all of "
	"it or fail, none\n"
	"  --seccomp=kill|log|off system calls that a broker does not need: end it (default), are "
	"logged, are done\n"
	"  --jit-store FILE       keep compiled kernels in this file, of this VM alone (default: they are forgotten)\n"
	"  --help                 this text\n";

static int parse_options(int argc, char **argv, struct options *o)
{
	enum {
		NAME = 1,
		SOCKET,
		VRAM,
		VRAM_MAX,
		GPUS,
		ARBITER,
		READY,
		GROUP,
		MODE,
		USER,
		SANDBOX,
		SECCOMP,
		JIT_STORE,
		HELP
	};
	static const struct option longs[] = {
		{"name", required_argument, NULL, NAME},
		{"socket", required_argument, NULL, SOCKET},
		{"vram", required_argument, NULL, VRAM},
		{"vram-max", required_argument, NULL, VRAM_MAX},
		{"gpus", required_argument, NULL, GPUS},
		{"gpu", required_argument, NULL, GPUS},
		{"arbiter-socket", required_argument, NULL, ARBITER},
		{"ready-fd", required_argument, NULL, READY},
		{"socket-group", required_argument, NULL, GROUP},
		{"socket-mode", required_argument, NULL, MODE},
		{"user", required_argument, NULL, USER},
		{"sandbox", required_argument, NULL, SANDBOX},
		{"seccomp", required_argument, NULL, SECCOMP},
		{"jit-store", required_argument, NULL, JIT_STORE},
		{"help", no_argument, NULL, HELP},
		{0},
	};
	struct group *group;
	unsigned long mode;
	char *end;
	int c;

	*o = (struct options){.gpus = 1, .ready_fd = -1, .socket_group = (gid_t)-1};
	isolation_defaults(&o->isolation);
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case NAME:
			o->name = optarg;
			break;
		case SOCKET:
			o->socket = optarg;
			break;
		case VRAM:
		case VRAM_MAX:
			if (size_parse(optarg, c == VRAM ? &o->vram : &o->vram_max)) {
				fprintf(stderr, "hsavisor-broker: '%s' is not a size\n", optarg);
				return -EINVAL;
			}
			break;
		case GPUS:
			o->gpus = gpu_list_parse(optarg, ARBITER_MAX_GPUS);
			if (!o->gpus) {
				fprintf(stderr, "hsavisor-broker: '%s' is not a list of GPUs, like 0,1\n", optarg);
				return -EINVAL;
			}
			break;
		case ARBITER:
			o->arbiter = optarg;
			break;
		case READY:
			o->ready_fd = atoi(optarg);
			if (o->ready_fd < 1 || fcntl(o->ready_fd, F_SETFD, FD_CLOEXEC) < 0) {
				fprintf(stderr, "hsavisor-broker: '%s' is not an open descriptor\n",
					optarg);
				return -EINVAL;
			}
			break;
		case GROUP:
			group = getgrnam(optarg);
			if (!group) {
				fprintf(stderr, "hsavisor-broker: there is no group '%s'\n", optarg);
				return -EINVAL;
			}
			o->socket_group = group->gr_gid;
			break;
		case MODE:
			mode = strtoul(optarg, &end, 8);
			if (*optarg == '-' || *end || !mode || mode > 0777) {
				fprintf(stderr, "hsavisor-broker: '%s' is not a mode such as 660\n",
					optarg);
				return -EINVAL;
			}
			o->socket_mode = (mode_t)mode;
			break;
		case USER:
			o->isolation.user = optarg;
			break;
		case SANDBOX:
		case SECCOMP:
			if (c == SANDBOX ? isolation_mode_parse(optarg, &o->isolation.mode)
					 : sandbox_seccomp_parse(optarg, &o->isolation.seccomp)) {
				fprintf(stderr, "hsavisor-broker: --%s: '%s'; see --help\n",
					c == SANDBOX ? "sandbox" : "seccomp", optarg);
				return -EINVAL;
			}
			break;
		case JIT_STORE:
			o->jit_store = optarg;
			break;
		case HELP:
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		default:
			fputs(usage, stderr);
			return -EINVAL;
		}
	}
	if (!o->name || !o->socket || optind != argc) {
		fputs(usage, stderr);
		return -EINVAL;
	}
	return 0;
}

static const char *vm_name;

/*
 * The VM's memory is files of QEMU's. Those are sealed, but a client may bring others and cut them
 * short; then the first touch behind the end is a bus error, in whichever thread. There is nothing
 * to go back to, so this broker ends, and says why.
 */
static void on_bus_error(int signal)
{
	static const char text[] =
		": bus error: a file of the VM's memory was cut short; its GPU ends\n";

	if (write(STDERR_FILENO, "hsavisor-broker: ", 17) < 0 ||
	    write(STDERR_FILENO, vm_name, strlen(vm_name)) < 0 ||
	    write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
		/* Nobody to tell. */
	}
	_exit(1);
}

static void catch_bus_errors(const char *name)
{
	struct sigaction action = {.sa_handler = on_bus_error};

	vm_name = name;
	sigaction(SIGBUS, &action, NULL);
}

/* Until a signal to end. Waits without a timeout while no QEMU is there and nothing can change. */
static void serve(struct vfio_user_server *server, struct hsv_device *device, int signals)
{
	struct pollfd p[3] = {{.fd = signals, .events = POLLIN}};

	for (;;) {
		int client;

		vfio_user_server_fds(server, &p[1].fd, &client);
		p[1].events = POLLIN;
		p[2] = (struct pollfd){.fd = client, .events = POLLIN};
		if (poll(p, 3, client < 0 ? -1 : PUBLISH_MS) < 0 && errno != EINTR) {
			log_error("poll: %s", strerror(errno));
			return;
		}
		if (p[0].revents)
			return;
		vfio_user_server_poll(server);
		hsv_device_publish(device);
	}
}

/* Who may connect: the starter, and a group if one is named, as QEMU may be another user's. */
static int admit(const struct options *o)
{
	mode_t mode = o->socket_mode ? o->socket_mode : o->socket_group == (gid_t)-1 ? 0600 : 0660;

	if (o->socket_group != (gid_t)-1 && chown(o->socket, (uid_t)-1, o->socket_group) < 0)
		return -errno;
	return chmod(o->socket, mode) < 0 ? -errno : 0;
}

static void say_ready(int fd)
{
	static const char text[] = "ready\n";

	if (fd < 0)
		return;
	if (write(fd, text, sizeof(text) - 1) < 0)
		log_warn("ready-fd: %s", strerror(errno));
	close(fd);
}

/*
 * The file for compiled kernels, at the descriptor that the filter of system calls knows it by. A broker that does not get it works without: -1.
 */
static int open_store(const char *path)
{
	int fd = path ? open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1, ret;

	if (!path)
		return -1;
	ret = fd < 0 ? -1 : dup3(fd, ISOLATION_STORE_FD, O_CLOEXEC);
	if (ret < 0)
		fprintf(stderr, "hsavisor-broker: WARNING: %s: %s; compiled kernels are not kept\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

/* A GPU of the VM. */
struct vm_gpu {
	struct arbiter_client *client;
	struct arbiter_grant grant;
	struct gpu *gpu;
};

/* Registers the VM with hsavisord on each of its GPUs. *vram_fd: the memfd with the VRAM of all. 0 or -errno after it said why. */
static int join(const struct options *o, struct vm_gpu *gpus, uint32_t *num_gpus, int *vram_fd)
{
	char error[256] = "";
	int ret = 0;

	for (uint32_t i = 0; i < ARBITER_MAX_GPUS && !ret; i++) {
		struct vm_gpu *g = &gpus[*num_gpus];

		if (!(o->gpus & 1u << i))
			continue;
		ret = arbiter_connect_gpu(ARBITER_VM, o->name, o->vram, o->vram_max, i, &g->client, &g->grant, error);
		*num_gpus += !ret;
	}
	*vram_fd = gpus[0].grant.vram_fd;
	if (!ret && *num_gpus > 1)
		ret = arbiter_one_file(gpus[0].client, vram_fd);
	if (ret)
		fprintf(stderr, "hsavisor-broker: %s\n", error[0] ? error : strerror(-ret));
	return ret;
}

static int open_gpu(struct vm_gpu *g)
{
	struct gpu_config config = {
		.target = g->grant.target,
		.threads = g->grant.threads,
		.turn = &arbiter_turn_ops,
		.turn_ctx = g->client,
		.trace = &arbiter_trace_ops,
		.limits = arbiter_limits(g->client),
		.backlog = &arbiter_counters(g->client)->backlog,
		.compile_ns = &arbiter_counters(g->client)->jit_ns,
	};
	int ret;

	memcpy(config.cpus, g->grant.cpus, sizeof(config.cpus));
	ret = gpu_open(&config, &g->gpu);
	if (ret)
		fprintf(stderr, "hsavisor-broker: can't open the GPU %s: %s\n", g->grant.target, strerror(-ret));
	return ret;
}

static int open_device(struct vm_gpu *gpus, uint32_t num_gpus, int vram_fd, struct hsv_device **device)
{
	struct hsv_device_config config = {.num_gpus = num_gpus, .vram_fd = vram_fd};
	int ret;

	for (uint32_t i = 0; i < num_gpus; i++) {
		ret = open_gpu(&gpus[i]);
		if (ret)
			return ret;
		config.gpus[i] = (struct hsv_device_gpu){
			.gpu = gpus[i].gpu,
			.vram_size = gpus[i].grant.vram_size,
			.counters = arbiter_counters(gpus[i].client),
			.arbiter = gpus[i].client,
		};
	}
	ret = hsv_device_open(&config, device);
	if (ret)
		fprintf(stderr, "hsavisor-broker: can't make the device: %s\n", strerror(-ret));
	return ret;
}

static void say_what(const struct options *o, const struct vm_gpu *gpus, uint32_t num_gpus)
{
	printf("hsavisor-broker: %s: ", o->name);
	for (uint32_t i = 0; i < num_gpus; i++)
		printf("%s%s with %llu MiB of VRAM", i ? ", " : "", gpus[i].grant.target,
		       (unsigned long long)(arbiter_vram_limit(gpus[i].client) >> 20));
	printf(" on %s\n", o->socket);
	fflush(stdout);
}

static int seal_keeper(void *ctx)
{
	const struct options *o = ctx;

	return isolation_seal_keeper(&o->isolation, o->name);
}

static int start_keeper(struct options *o, struct keeper **keeper)
{
	int ret = keeper_start(seal_keeper, o, keeper);

	if (ret)
		fprintf(stderr, "hsavisor-broker: can't start its keeper: %s\n", strerror(-ret));
	return ret;
}

int main(int argc, char **argv)
{
	struct options options;
	struct vm_gpu gpus[ARBITER_MAX_GPUS] = {0};
	uint32_t num_gpus = 0;
	struct hsv_device *device = NULL;
	struct vfio_user_server *server = NULL;
	struct keeper *keeper = NULL;
	sigset_t set;
	int signals, vram_fd, ret;

	if (parse_options(argc, argv, &options))
		return 2;
	isolation_close_others(options.ready_fd);
	if (options.arbiter)
		setenv("HSAVISOR_SOCKET", options.arbiter, 1);

	/* Before any thread: all of them leave the signals to the descriptor. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	catch_bus_errors(options.name);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0) {
		fprintf(stderr, "hsavisor-broker: signalfd: %s\n", strerror(errno));
		return 1;
	}

	ret = join(&options, gpus, &num_gpus, &vram_fd);
	if (ret)
		goto out;
	ret = vfio_user_server_open(options.socket, &hsv_device_vfio_ops, NULL, &server);
	if (!ret)
		ret = admit(&options);
	if (ret) {
		fprintf(stderr, "hsavisor-broker: %s: %s\n", options.socket,
			ret == -EADDRINUSE ? "in use" : strerror(-ret));
		goto out;
	}
	gpu_prepare(open_store(options.jit_store));
	/* The last use of a path, and the first thread comes with the GPU. */
	ret = isolation_enter(&options.isolation);
	if (!ret)
		ret = start_keeper(&options, &keeper);
	if (ret)
		goto out;
	vfio_user_server_set_keeper(server, keeper);
	ret = open_device(gpus, num_gpus, vram_fd, &device);
	if (ret)
		goto out;
	vfio_user_server_set_device(server, device);
	hsv_device_publish(device);
	say_what(&options, gpus, num_gpus);
	ret = isolation_seal(&options.isolation, options.name);
	if (ret)
		goto out;
	if (options.isolation.mode != ISOLATION_OFF)
		vfio_user_server_keep_file(server);
	say_ready(options.ready_fd);
	serve(server, device, signals);
out:
	vfio_user_server_close(server);
	keeper_stop(keeper);
	hsv_device_close(device);
	for (uint32_t i = 0; i < num_gpus; i++)
		if (gpus[i].gpu)
			gpu_close(gpus[i].gpu);
	for (uint32_t i = 0; i < num_gpus; i++)
		arbiter_disconnect(gpus[i].client);
	close(signals);
	return ret ? 1 : 0;
}
