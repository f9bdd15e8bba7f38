// SPDX-License-Identifier: MIT
/* main.c - the hsavisor command: its table of contents. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "hsavisor-version.h"

static const char usage[] =
	"Usage: hsavisor COMMAND [ARGUMENTS]\n"
	"Shares one HSA GPU between virtual machines and programs of the host.\n"
	"Every command has --help; those that report have --json.\n";

static const struct command commands[] = {
	{"run", cmd_run, "run an unmodified ROCm program of the host on the GPU"},
	{"vm", cmd_vm, "start, use and stop virtual machines that have the GPU"},
	{"attach", cmd_attach, "give the GPU to a VM of your own QEMU or libvirt"},
	{"status", cmd_status, "show the daemon and its GPUs"},
	{"list", cmd_list, "show the tenants: who shares the GPU, and how much"},
	{"top", cmd_top, "watch what the tenants use, second by second"},
	{"faults", cmd_faults, "show the GPU faults and errors of the tenants"},
	{"trace", cmd_trace, "record a timeline of the GPU, for Perfetto or chrome://tracing"},
	{"metrics", cmd_metrics, "print or serve all counters as OpenMetrics"},
	{"set", cmd_set, "change what a tenant may have of the GPU: weight, reservation, quota..."},
	{"reset", cmd_reset, "stop the kernels of a tenant that run now"},
	{"stop", cmd_stop, "end the daemon"},
	{"disasm", cmd_disasm, "show the kernels of a code object and their code"},
	{"exec-kernel", cmd_exec_kernel, "run one kernel of a code object here, without ROCm"},
	{"demo", cmd_demo, "two VMs and a host process share the GPU, with results checked"},
	{0},
};

int main(int argc, char **argv)
{
	if (argc > 1 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) {
		puts("hsavisor " HSAVISOR_VERSION);
		return 0;
	}
	return cli_dispatch(commands, usage, argc, argv);
}
