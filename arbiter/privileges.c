// SPDX-License-Identifier: MIT
/*
 * privileges.c - what hsavisord gives up once it serves.
 *
 * The daemon reads packets of everybody who may connect, and holds all tenants' VRAM. It keeps its
 * user and its files: policies are written to its configuration file, the socket and its lock are
 * removed at the end. It needs no capability any more: the socket has its group, the process its
 * priority and its limit of descriptors. As root without capabilities it is an ordinary owner of
 * root's files.
 *
 * Of system calls it loses those that nothing of it makes and that an attacker would begin with:
 * programs, other processes, mounts, namespaces, identities, code in memory, the kernel's own
 * modules and extensions. That is a list of what is refused, not of what is allowed as a broker has
 * it: the daemon opens files, and if it dies over a call that was forgotten, all tenants lose their
 * arbiter.
 */
#include "arbiter/privileges.h"

#include <linux/capability.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sandbox.h"

static const char *const refused[] = {
	/* programs and other processes */
	"execve",
	"execveat",
	"fork",
	"vfork",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"process_madvise",
	"pidfd_open",
	"pidfd_getfd",
	"kcmp",
	/* mounts, namespaces, roots */
	"mount",
	"umount2",
	"pivot_root",
	"chroot",
	"unshare",
	"setns",
	"fsopen",
	"fsmount",
	"fsconfig",
	"fspick",
	"open_tree",
	"move_mount",
	"mount_setattr",
	"open_by_handle_at",
	/* identities */
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setfsuid",
	"setfsgid",
	"setgroups",
	"capset",
	/* nodes, and the machine */
	"mknod",
	"mknodat",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"reboot",
	"swapon",
	"swapoff",
	"sethostname",
	"setdomainname",
	"settimeofday",
	"clock_settime",
	"clock_adjtime",
	"adjtimex",
	"iopl",
	"ioperm",
	"acct",
	"quotactl",
	"syslog",
	/* large pieces of kernel that are no business of a daemon like this */
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"keyctl",
	"add_key",
	"request_key",
	"personality",
	"modify_ldt",
	NULL,
};

int privileges_drop(void)
{
	const char *wish = getenv("HSAVISOR_SANDBOX");
	const char *what = "capabilities";
	int ret = 0;

	if (SANDBOX_SANITIZED || (wish && !strcmp(wish, "off")))
		return 0;
	if (sandbox_capable(CAP_SETPCAP))
		ret = sandbox_drop_bounding_set();
	if (!ret)
		ret = sandbox_drop_capabilities();
	if (!ret)
		ret = sandbox_no_new_privs();
	if (!ret) {
		what = "system calls";
		ret = sandbox_refuse(refused, "hsavisord");
	}
	if (ret)
		fprintf(stderr, "hsavisord: cannot give up privileges: %s: %s\n", what,
			strerror(-ret));
	return ret;
}
