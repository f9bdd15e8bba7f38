// SPDX-License-Identifier: MIT
/*
 * vm.c - a virtual machine of ours: state directory, broker, QEMU.
 *
 * Theory of operation: start takes the name (state.c), then starts the broker (which becomes a
 * tenant), then QEMU with the broker's socket (daemonized; its pid file appears when it runs), then
 * waits for the guest agent. Whatever fails ends what was started, backwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/qga.h"

static void msleep(unsigned ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

/* SIGTERM, and SIGKILL after grace_ms. True when it is gone. Our own children are reaped. */
static bool end_process(pid_t pid, unsigned grace_ms)
{
	if (pid <= 0)
		return true;
	kill(pid, SIGTERM);
	for (unsigned waited = 0; waited < grace_ms + 2000; waited += 20) {
		waitpid(pid, NULL, WNOHANG);
		if (kill(pid, 0) < 0 && errno == ESRCH)
			return true;
		if (waited >= grace_ms && waited < grace_ms + 20)
			kill(pid, SIGKILL);
		msleep(20);
	}
	return false;
}

/*
 * KVM where it can run a stock guest: /dev/kvm opens and the CPU has vmx or svm (a nested host
 * without them has the device, but a guest kernel hangs on it).
 */
static bool kvm_usable(void)
{
	char line[16384];
	bool usable = false;
	FILE *f;

	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return false;
	f = fopen("/proc/cpuinfo", "re");
	while (f && !usable && fgets(line, sizeof(line), f))
		usable = !strncmp(line, "flags", 5) &&
			 (strstr(line, " vmx") || strstr(line, " svm"));
	if (f)
		fclose(f);
	return usable;
}

#ifdef __x86_64__
struct clocks {
	uint64_t ns, took, ticks; /* ticks: of the time stamp counter */
};

/* Clock and counter, read as close to each other as some tries give. */
static struct clocks read_clocks(void)
{
	struct clocks best = {.took = UINT64_MAX};

	for (unsigned i = 0; i < 32; i++) {
		struct clocks c = {.ns = clock_ns()};

		c.ticks = __builtin_ia32_rdtsc();
		c.took = clock_ns() - c.ns;
		c.ns += c.took / 2;
		if (c.took < best.took)
			best = c;
	}
	return best;
}
#endif

/*
 * The guest kernel's command line, the caller's to free; NULL: out of memory.
 *
 * An emulated processor's time stamp counter is the host's. A Linux that starts measures it, against timers that go on while the emulation does not: on
 * a busy host guests' clocks have been seen to run twenty times too fast. So it is told.
 */
static char *command_line(bool kvm)
{
	const char *append = image_conf("APPEND");
	char *line, clock[48] = "";

#ifdef __x86_64__
	if (!kvm) {
		struct clocks from = read_clocks(), to;

		msleep(10);
		to = read_clocks();
		snprintf(clock, sizeof(clock), " tsc_early_khz=%" PRIu64,
			 (to.ticks - from.ticks) * 1000000 / (to.ns - from.ns));
	}
#endif
	return asprintf(&line, "%s%s", append ? append : "console=ttyS0 root=/dev/vda", clock) < 0 ? NULL : line;
}

static int run_qemu(const struct vm_config *c, const char *qemu, bool kvm)
{
	char smp[16], memory[32], drive[4200], qmp[300], agent[300], console[600], pidfile[256];
	const char *data = image_conf("QEMU_DATA"), *kernel = image_conf("KERNEL"),
		   *initrd = image_conf("INITRD");
	char *append = NULL;
	const char *argv[64];
	size_t n = 0;
	int status;
	pid_t pid;

	snprintf(smp, sizeof(smp), "%u", c->cpus);
	snprintf(memory, sizeof(memory), "%lluM", (unsigned long long)c->memory >> 20);
	snprintf(drive, sizeof(drive), "file=%s,if=virtio%s",
		 c->image ? c->image : image_conf("IMAGE"),
		 c->image ? "" : ",format=raw,snapshot=on");
	snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", vm_path(c->name, "qmp.sock"));
	snprintf(agent, sizeof(agent), "socket,id=qga,path=%s,server=on,wait=off",
		 vm_path(c->name, "qga.sock"));
	snprintf(console, sizeof(console),
		 "socket,id=console,path=%s,server=on,wait=off,logfile=%s",
		 vm_path(c->name, "console.sock"), vm_path(c->name, "console.log"));
	snprintf(pidfile, sizeof(pidfile), "%s", vm_path(c->name, "qemu.pid"));

	argv[n++] = qemu;
	if (data) {
		argv[n++] = "-L";
		argv[n++] = data;
	}
	const char *fixed[] = {"-name",
			       c->name,
			       "-nodefaults",
			       "-display",
			       "none",
			       "-machine",
			       "q35",
			       "-accel",
			       kvm ? "kvm" : "tcg,thread=multi",
			       "-cpu",
			       kvm ? "host" : "max",
			       "-m",
			       memory,
			       "-smp",
			       smp,
			       "-drive",
			       drive,
			       "-qmp",
			       qmp,
			       "-chardev",
			       agent,
			       "-device",
			       "virtio-serial-pci",
			       "-device",
			       "virtserialport,chardev=qga,name=org.qemu.guest_agent.0",
			       "-chardev",
			       console,
			       "-serial",
			       "chardev:console",
			       "-device",
			       "virtio-rng-pci",
			       "-pidfile",
			       pidfile,
			       "-daemonize",
			       "-no-reboot"};
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		argv[n++] = fixed[i];
	if (!c->image) {
		append = command_line(kvm);
		if (!append)
			return cli_fail(EXIT_FAIL, "out of memory");
		const char *boot[] = {"-kernel", kernel, "-initrd", initrd, "-append", append};
		for (size_t i = 0; i < 6; i++)
			argv[n++] = boot[i];
	}
	n += broker_qemu_args(c->name, c->memory, argv + n, 16);
	argv[n] = NULL;
	pid = fork();
	if (pid == 0) {
		int log = open(vm_path(c->name, "qemu.log"),
			       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		int null = open("/dev/null", O_RDWR);

		umask(0077); /* its sockets and logs are ours, whoever may pass to the broker's */
		dup2(null, STDIN_FILENO);
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execv(qemu, (char **)(uintptr_t)argv);
		_exit(127);
	}
	free(append);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) {
		char line[512] = "it said nothing";
		FILE *f = fopen(vm_path(c->name, "qemu.log"), "re");

		while (f && fgets(line, sizeof(line), f))
			;
		if (f)
			fclose(f);
		line[strcspn(line, "\n")] = 0;
		return cli_fail(EXIT_FAIL, "QEMU did not start: %s", line);
	}
	return 0;
}

static int wait_for_agent(const struct vm_config *c)
{
	int fd = qga_open(vm_path(c->name, "qga.sock"), c->boot_timeout);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	return cli_fail(EXIT_FAIL,
			"VM '%s' did not come up within %u s (%s); see `hsavisor vm console` or %s",
			c->name, c->boot_timeout, strerror(-fd), vm_path(c->name, "console.log"));
}

/*
 * The file "started" says that QEMU was seen running: a broker without one behind it is left by a
 * guest that powered off or restarted, or a QEMU that was killed. Without the file QEMU may be
 * about to come, ours (a start at the same time) or somebody else's (attach).
 */
static void mark_started(const char *name)
{
	int fd = open(vm_path(name, "started"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
}

static void end_leftover(const char *name)
{
	if (access(vm_path(name, "started"), F_OK) == 0 && !vm_pid(name))
		end_process(pidfile_read(vm_path(name, "broker.pid"), "hsavisor-broker"), 3000);
}

int vm_start(const struct vm_config *c)
{
	const char *qemu = getenv("HSAVISOR_QEMU");
	bool kvm = !strcmp(c->accel, "kvm") || (!strcmp(c->accel, "auto") && kvm_usable());
	struct json_object *status;
	pid_t broker = 0;
	int code;

	if (!qemu || !*qemu)
		qemu = image_conf("QEMU");
	if (!qemu ||
	    (!c->image && (!image_conf("IMAGE") || !image_conf("KERNEL") || !image_conf("INITRD"))))
		return cli_fail(EXIT_FAIL,
				"there is no guest image or QEMU yet; make them with: make image");
	if (access(c->image ? c->image : image_conf("IMAGE"), R_OK) < 0)
		return cli_fail(EXIT_FAIL, "cannot read the image %s: %s",
				c->image ? c->image : image_conf("IMAGE"), strerror(errno));
	code = daemon_request("status", NULL, &status);
	if (code)
		return code;
	json_object_put(status);
	end_leftover(c->name);
	code = vm_state_make(c->name);
	if (code)
		return code;
	code = broker_start(c->name, c->vram, c->vram_max, &c->broker, &broker);
	if (!code && c->policy)
		code = policy_set(c->name, json_object_get(c->policy), false, NULL);
	if (!code)
		code = run_qemu(c, qemu, kvm);
	if (!code)
		mark_started(c->name);
	if (!code && !c->quiet)
		printf("VM '%s' starts with %s%s\n", c->name, kvm ? "KVM" : "TCG",
		       kvm || !strcmp(c->accel, "tcg") ? ""
						       : " (no usable KVM here: CPU emulation)");
	fflush(stdout);
	if (!code && c->boot_timeout)
		code = wait_for_agent(c);
	if (code) {
		end_process(vm_pid(c->name), 2000);
		end_process(broker, 2000);
		if (!getenv("HSAVISOR_KEEP_STATE")) /* for looking at its logs */
			vm_state_remove(c->name);
	}
	return code;
}

int vm_stop(const char *name, bool force)
{
	pid_t qemu = vm_pid(name),
	      broker = pidfile_read(vm_path(name, "broker.pid"), "hsavisor-broker");
	struct json_object *result = NULL, *args;
	int fd;

	if (access(vm_path(name, ""), F_OK) < 0)
		return cli_fail(EXIT_NO_SUCH, "there is no VM '%s'", name);
	if (qemu && !force) {
		fd = qga_open(vm_path(name, "qga.sock"), 3);
		if (fd >= 0) {
			args = json_object_new_object();
			json_object_object_add(args, "mode", json_object_new_string("powerdown"));
			/* A success has no answer: the guest is going. */
			qga_command(fd, "guest-shutdown", args, 1, &result);
			json_object_put(result);
			close(fd);
			for (int i = 0; i < 200 && kill(qemu, 0) == 0; i++)
				msleep(50);
		}
	}
	if (!end_process(vm_pid(name), 3000) || !end_process(broker, 3000))
		return cli_fail(EXIT_FAIL, "VM '%s' does not end (QEMU pid %d, broker pid %d)",
				name, (int)qemu, (int)broker);
	vm_state_remove(name);
	return 0;
}

int vm_exec(const char *name, char *const *argv, int out, int err, unsigned limit_s)
{
	int code;

	if (!vm_pid(name))
		return cli_fail(-ESRCH, "there is no running VM '%s'", name);
	code = qga_exec(vm_path(name, "qga.sock"), argv, out, err, limit_s);
	if (code < 0 && code != -EREMOTEIO)
		cli_fail(code, "VM '%s': %s", name,
			 code == -EHOSTDOWN ? "its guest agent does not answer" : strerror(-code));
	return code;
}
