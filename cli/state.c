// SPDX-License-Identifier: MIT
/*
 * state.c - what is kept about a VM: the directory vms/NAME beside the daemon's socket. It holds
 * the sockets (broker, QMP, guest agent, console), the pid files and logs. The directory exists
 * from start to stop; mkdir() is what makes a name taken.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "cli/cli.h"

const char *vm_path(const char *name, const char *file)
{
	static char ring[8][256];
	static unsigned next;
	char *buf = ring[next++ % 8];
	const char *sock = arbiter_socket_path();
	const char *slash = strrchr(sock, '/');

	snprintf(buf, sizeof(ring[0]), "%.*s/vms/%s/%s", slash ? (int)(slash - sock) : 1,
		 slash ? sock : ".", name, file);
	return buf;
}

pid_t vm_pid(const char *name)
{
	return pidfile_read(vm_path(name, "qemu.pid"), "qemu-system");
}

pid_t pidfile_read(const char *path, const char *part)
{
	char exe[64], target[4096];
	long pid = 0;
	ssize_t n;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	if (fscanf(f, "%ld", &pid) != 1)
		pid = 0;
	fclose(f);
	if (pid <= 1 || kill((pid_t)pid, 0) < 0)
		return 0;
	/* The number may belong to another process by now. QEMU from a tree is started through its
	 * own ld.so: look at the command line too. */
	snprintf(exe, sizeof(exe), "/proc/%ld/cmdline", pid);
	f = fopen(exe, "re");
	if (!f)
		return 0;
	n = (ssize_t)fread(target, 1, sizeof(target) - 1, f);
	fclose(f);
	for (ssize_t i = 0; i < n; i++)
		if (!target[i])
			target[i] = ' ';
	target[n > 0 ? n : 0] = 0;
	return strstr(target, part) ? (pid_t)pid : 0;
}

/* Removes the state directory and what we know to be in it. */
void vm_state_remove(const char *name)
{
	char path[256];
	DIR *d;

	snprintf(path, sizeof(path), "%s", vm_path(name, ""));
	d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

int vm_state_make(const char *name)
{
	char path[256];
	char *slash;

	snprintf(path, sizeof(path), "%s", vm_path(name, ""));
	if (strlen(vm_path(name, "console.sock")) >= 108)
		return cli_fail(EXIT_USAGE, "the VM's name is too long for a socket path");
	path[strlen(path) - 1] = 0;
	slash = strrchr(path, '/');
	*slash = 0;
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return cli_fail(EXIT_FAIL, "cannot make %s: %s", path, strerror(errno));
	*slash = '/';
	if (mkdir(path, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return cli_fail(EXIT_FAIL, "cannot make %s: %s", path, strerror(errno));
	if (vm_pid(name))
		return cli_fail(EXIT_IN_USE, "VM '%s' runs already (pid %d)", name,
				(int)vm_pid(name));
	if (pidfile_read(vm_path(name, "broker.pid"), "hsavisor-broker"))
		return cli_fail(EXIT_IN_USE,
				"'%s' is attached already (see: hsavisor attach --help)", name);
	vm_state_remove(name); /* left by a VM that was killed */
	return mkdir(path, 0700) == 0
		       ? 0
		       : cli_fail(EXIT_FAIL, "cannot make %s: %s", path, strerror(errno));
}
