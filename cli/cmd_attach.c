// SPDX-License-Identifier: MIT
/* cmd_attach.c - `hsavisor attach`: the broker and its socket, for people with their own QEMU or
 * libvirt. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/size.h"
#include "cli/cli.h"

static const char usage[] =
	"Usage: hsavisor attach NAME [--vram SIZE] [--vram-max SIZE] [--memory SIZE] [OPTIONS] "
	"[--json]\n"
	"Starts the broker of a VM that you run yourself, and prints what QEMU needs (QEMU 10.1 or "
	"newer, with vfio-user-pci).\n"
	"`hsavisor vm stop NAME` ends the broker.\n"
	"\n"
	"  --vram SIZE    VRAM quota (default: the daemon's)\n"
	"  --vram-max SIZE  what `hsavisor set` may raise it to (default: the quota)\n"
	"  --memory SIZE  the VM's memory, for the printed arguments (default 2G)\n" BROKER_HELP;

int cmd_attach(int argc, char **argv)
{
	static const struct option known[] = {{"vram", required_argument, NULL, 'v'},
					      {"vram-max", required_argument, NULL, 'x'},
					      {"memory", required_argument, NULL, 'm'},
					      BROKER_OPTIONS,
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	struct broker_options broker = {0};
	uint64_t vram = 0, vram_max = 0, memory = 2ull << 30;
	struct json_object *status, *o, *list;
	const char *words[16], *name;
	bool json = false;
	char dir[256];
	size_t n;
	pid_t pid;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (c) {
		case 'v':
		case 'x':
		case 'm':
			if (size_parse(optarg, c == 'v' ? &vram : c == 'x' ? &vram_max : &memory))
				return cli_fail(EXIT_USAGE,
						"bad size '%s': write 512M, 2G and the like",
						optarg);
			break;
		case 'j':
			json = true;
			break;
		default:
			if (c < BROKER_OPTION)
				return cli_usage(usage, c);
			c = broker_option(c, optarg, &broker);
			if (c)
				return c;
		}
	}
	if (optind + 1 != argc)
		return cli_usage(usage, '?');
	name = argv[optind];
	c = cli_check_name(name);
	if (c)
		return c;
	c = daemon_request("status", NULL, &status);
	if (c)
		return c;
	json_object_put(status);
	c = vm_state_make(name);
	if (c)
		return c;
	c = broker_start(name, vram, vram_max, &broker, &pid);
	if (c) {
		vm_state_remove(name);
		return c;
	}
	snprintf(dir, sizeof(dir), "%s", vm_path(name, "broker.sock"));
	n = broker_qemu_args(name, memory, words, 16);
	if (json) {
		o = json_object_new_object();
		list = json_object_new_array();
		json_object_object_add(o, "name", json_object_new_string(name));
		json_object_object_add(o, "broker_pid", json_object_new_int(pid));
		json_object_object_add(o, "socket", json_object_new_string(dir));
		for (size_t i = 0; i < n; i++)
			json_object_array_add(list, json_object_new_string(words[i]));
		json_object_object_add(o, "qemu_arguments", list);
		json_print(o);
		json_object_put(o);
	} else {
		printf("# broker pid %d; add to QEMU's arguments (q35, -m %lluM):\n", (int)pid,
		       (unsigned long long)memory >> 20);
		for (size_t i = 0; i < n; i += 2)
			printf("%s '%s'%s\n", words[i], words[i + 1], i + 2 < n ? " \\" : "");
	}
	return EXIT_OK;
}
