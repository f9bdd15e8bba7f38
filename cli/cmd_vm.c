// SPDX-License-Identifier: MIT
/* cmd_vm.c - `hsavisor vm start|exec|console|stop|list`. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/size.h"
#include "cli/cli.h"

static int vm_start_cmd(int argc, char **argv)
{
	static const char usage[] =
		"Usage: hsavisor vm start NAME [OPTIONS]\n"
		"Boots a VM that has the GPU, and waits until its guest agent answers.\n"
		"\n"
		"  --image FILE   disk image to boot (default: the image of `make image`, changes "
		"are thrown away at the stop).\n"
		"                 Its guest needs the hsavisor driver and qemu-guest-agent; QEMU "
		"finds out the format.\n"
		"  --memory SIZE  (default 2G)\n"
		"  --cpus N       (default 2)\n"
		"  --vram SIZE    VRAM quota (default: the daemon's)\n"
		"  --vram-max SIZE  what `hsavisor set` may raise it to (default: the quota)\n"
		"  " POLICY_HELP "\n" BROKER_HELP "  --accel A      auto (default), kvm or tcg\n"
		"  --timeout S    seconds to wait for the guest agent (default 180; 0: don't "
		"wait)\n";
	static const struct option known[] = {{"image", required_argument, NULL, 'i'},
					      {"memory", required_argument, NULL, 'm'},
					      {"cpus", required_argument, NULL, 'c'},
					      {"vram", required_argument, NULL, 'v'},
					      {"vram-max", required_argument, NULL, 'x'},
					      POLICY_OPTIONS,
					      BROKER_OPTIONS,
					      {"accel", required_argument, NULL, 'a'},
					      {"timeout", required_argument, NULL, 't'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	struct vm_config config = {
		.memory = 2ull << 30, .cpus = 2, .accel = "auto", .boot_timeout = 180};
	long number;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (c) {
		case 'i':
			config.image = optarg;
			break;
		case 'm':
			if (size_parse(optarg, &config.memory) || config.memory < (256ull << 20) ||
			    config.memory % (1 << 20))
				return cli_fail(
					EXIT_USAGE,
					"bad memory size '%s': at least 256M, whole megabytes",
					optarg);
			break;
		case 'v':
		case 'x':
			if (size_parse(optarg, c == 'v' ? &config.vram : &config.vram_max))
				return cli_fail(EXIT_USAGE,
						"bad size '%s': write 512M, 2G and the like",
						optarg);
			break;
		case 'c':
			if (!cli_number(optarg, 1, 255, &number))
				return cli_fail(EXIT_USAGE, "bad number of CPUs '%s'", optarg);
			config.cpus = (unsigned)number;
			break;
		case 't':
			if (!cli_number(optarg, 0, INT32_MAX / 1000, &number))
				return cli_fail(EXIT_USAGE, "bad time '%s'", optarg);
			config.boot_timeout = (unsigned)number;
			break;
		case 'a':
			if (strcmp(optarg, "auto") && strcmp(optarg, "kvm") &&
			    strcmp(optarg, "tcg"))
				return cli_fail(EXIT_USAGE,
						"--accel takes auto, kvm or tcg, not '%s'", optarg);
			config.accel = optarg;
			break;
		default:
			if (c < BROKER_OPTION)
				return cli_usage(usage, c);
			c = c < POLICY_OPTION ? broker_option(c, optarg, &config.broker)
					      : policy_option(c, optarg, &config.policy);
			if (c)
				return c;
		}
	}
	if (optind + 1 != argc)
		return cli_usage(usage, '?');
	config.name = argv[optind];
	c = cli_check_name(config.name);
	if (!c)
		c = vm_start(&config);
	if (!c && config.boot_timeout)
		printf("VM '%s' is ready\n", config.name);
	json_object_put(config.policy);
	return c;
}

static int vm_exec_cmd(int argc, char **argv)
{
	static const char usage[] =
		"Usage: hsavisor vm exec NAME [--timeout S] -- COMMAND [ARGUMENTS]\n"
		"Runs a command in the guest, by its guest agent; prints its output when it ends "
		"(at most 16 MiB).\n"
		"Exit status: the command's, 128 + N if signal N ended it; 4 no such VM.\n";
	static const struct option known[] = {
		{"timeout", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *name = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
	long limit = 0;
	int c;

	if (name) {
		argc--;
		argv++;
	}
	optind = 0;
	while ((c = getopt_long(argc, argv, "+h", known, NULL)) != -1) {
		if (c == 't') {
			if (!cli_number(optarg, 1, INT32_MAX / 1000, &limit))
				return cli_fail(EXIT_USAGE, "bad time '%s'", optarg);
		} else {
			return cli_usage(usage, c);
		}
	}
	if (!name || optind >= argc)
		return cli_usage(usage, '?');
	c = cli_check_name(name);
	if (c)
		return c;
	c = vm_exec(name, argv + optind, STDOUT_FILENO, STDERR_FILENO, (unsigned)limit);
	return c >= 0 ? c : c == -ESRCH ? EXIT_NO_SUCH : c == -ETIMEDOUT ? 124 : EXIT_FAIL;
}

static int vm_console_cmd(int argc, char **argv)
{
	static const char usage[] = "Usage: hsavisor vm console NAME\nConnects the terminal to the "
				    "VM's serial console; Ctrl-] leaves it.\n";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
	struct termios saved, raw;
	bool tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved) == 0;
	char buf[4096];
	int fd, code = EXIT_OK;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return cli_usage(usage, 'h');
	if (argc != 2)
		return cli_usage(usage, '?');
	code = cli_check_name(argv[1]);
	if (code)
		return code;
	if (!vm_pid(argv[1]))
		return cli_fail(EXIT_NO_SUCH, "there is no running VM '%s'", argv[1]);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", vm_path(argv[1], "console.sock"));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return cli_fail(EXIT_FAIL, "cannot connect to the console: %s", strerror(errno));
	p[1].fd = fd;
	if (tty) {
		fprintf(stderr, "[console of %s, Ctrl-] leaves]\r\n", argv[1]);
		raw = saved;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		ssize_t n;

		if (p[1].revents) {
			n = read(fd, buf, sizeof(buf));
			if (n <= 0 || write(STDOUT_FILENO, buf, (size_t)n) != n)
				break;
		}
		if (p[0].revents) {
			char *leave;

			n = read(STDIN_FILENO, buf, sizeof(buf));
			if (n <= 0) {
				p[0].fd = -1; /* end of a pipe: go on showing */
				continue;
			}
			leave = tty ? memchr(buf, 0x1d, (size_t)n) : NULL;
			if (leave)
				n = leave - buf;
			if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) < 0 || leave)
				break;
		}
	}
	if (tty) {
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
		fputc('\n', stderr);
	}
	close(fd);
	return EXIT_OK;
}

static int vm_stop_cmd(int argc, char **argv)
{
	static const char usage[] = "Usage: hsavisor vm stop NAME [--force]\nPowers the VM off; "
				    "--force: at once, without asking its guest.\n";
	static const struct option known[] = {
		{"force", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {0}};
	bool force = false;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (c != 'f')
			return cli_usage(usage, c);
		force = true;
	}
	if (optind + 1 != argc)
		return cli_usage(usage, '?');
	c = cli_check_name(argv[optind]);
	return c ? c : vm_stop(argv[optind], force);
}

static int vm_list_cmd(int argc, char **argv)
{
	static const char usage[] = "Usage: hsavisor vm list [--json]\nLists the VMs: running, "
				    "attached (QEMU is somebody else's), or dead.\n";
	bool json = argc == 2 && !strcmp(argv[1], "--json");
	struct json_object *all = json_object_new_array();
	char path[256];
	DIR *d;

	if (argc > 1 && !json) {
		bool help = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");

		json_object_put(all);
		return cli_usage(usage, help ? 'h' : '?');
	}
	snprintf(path, sizeof(path), "%s", vm_path(".", ""));
	d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		struct json_object *o;
		pid_t qemu, broker;

		if (!cli_name_ok(e->d_name))
			continue;
		qemu = vm_pid(e->d_name);
		broker = pidfile_read(vm_path(e->d_name, "broker.pid"), "hsavisor-broker");
		o = json_object_new_object();
		json_object_object_add(o, "name", json_object_new_string(e->d_name));
		json_object_object_add(o, "state",
				       json_object_new_string(qemu && broker ? "running"
							      : broker	     ? "attached"
							      : qemu ? "no GPU (broker died)"
								     : "dead"));
		json_object_object_add(o, "qemu_pid", json_object_new_int(qemu));
		json_object_object_add(o, "broker_pid", json_object_new_int(broker));
		json_object_object_add(o, "console_log",
				       json_object_new_string(vm_path(e->d_name, "console.log")));
		json_object_array_add(all, o);
	}
	if (d)
		closedir(d);
	if (json) {
		json_print(all);
	} else {
		printf("%-20s %-22s %8s %8s\n", "NAME", "STATE", "QEMU", "BROKER");
		for (size_t i = 0; i < json_object_array_length(all); i++) {
			struct json_object *o = json_object_array_get_idx(all, i);

			printf("%-20s %-22s %8llu %8llu\n", json_str(o, "name"),
			       json_str(o, "state"), (unsigned long long)json_u64(o, "qemu_pid"),
			       (unsigned long long)json_u64(o, "broker_pid"));
		}
	}
	json_object_put(all);
	return EXIT_OK;
}

int cmd_vm(int argc, char **argv)
{
	static const struct command commands[] = {
		{"start", vm_start_cmd, "boot a VM that has the GPU"},
		{"exec", vm_exec_cmd, "run a command in its guest"},
		{"console", vm_console_cmd, "connect to its serial console"},
		{"stop", vm_stop_cmd, "power it off"},
		{"list", vm_list_cmd, "list the VMs"},
		{0},
	};

	return cli_dispatch(
		commands,
		"Usage: hsavisor vm COMMAND [ARGUMENTS]\nVirtual machines that share the GPU.\n",
		argc, argv);
}
