// SPDX-License-Identifier: MIT
/*
 * host_program.c - starts an unmodified program with the preload front end.
 *
 * In the host's own system that is LD_PRELOAD. In another root tree (Debian 13's ROCm on a Debian
 * 12 host) bubblewrap gives the program that tree's /usr and /etc, with the host's /dev, /proc,
 * /sys, /tmp, the working directory, and our library and socket bound in. The tree itself is not
 * written to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "cli/cli.h"

#define TREE_LIBRARY "/run/hsavisor-preload/libhsavisor-host.so"
#define TREE_JIT     "/run/hsavisor-preload/libhsavisor-jit.so"
#define TREE_STORE   "/run/hsavisor-preload/jit"
#define TREE_SOCKET  "/run/hsavisor-preload/hsavisord.sock"
#define TREE_PROFILE "/run/hsavisor-preload/profile"

#define MAX_BWRAP_ARGS 96

/* Appends an option of bwrap with two words. */
static size_t bind(const char **all, size_t n, const char *option, const char *from, const char *to)
{
	all[n++] = option;
	all[n++] = from;
	all[n++] = to;
	return n;
}

/* True for a directory that the program sees without being bound: the tree's /usr and /etc, the
 * host's /tmp (writable), and the root. */
static bool in_tree(const char *path)
{
	static const char *const there[] = {"/usr", "/etc", "/tmp"};

	for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
		size_t len = strlen(there[i]);

		if (!strncmp(path, there[i], len) && (!path[len] || path[len] == '/'))
			return true;
	}
	return !path[0] || !strcmp(path, "/");
}

static void preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char all[8192];

	if (before && *before)
		snprintf(all, sizeof(all), "%s:%s", library, before);
	setenv("LD_PRELOAD", before && *before ? all : library, 1);
}

int host_program_profile(const char *path)
{
	char full[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || !realpath(path, full))
		return cli_fail(EXIT_FAIL, "cannot write %s: %s", path, strerror(errno));
	close(fd);
	setenv("HSAVISOR_PROFILE", full, 1);
	return EXIT_OK;
}

int host_program_exec(const char *tenant, const char *root, char **argv)
{
	char library[4096], cwd[4096], usr[4096], etc[4096], program[4096], jit[4096], store_dir[4096],
		tree_store[4352];
	const char *store = cli_jit_store("kernels"), *profile = getenv("HSAVISOR_PROFILE");
	size_t n = 0, argc = 0;
	const char **all;
	int err;

	if (cli_companion("libhsavisor-host.so", library, sizeof(library)))
		return cli_fail(EXIT_FAIL, "cannot find libhsavisor-host.so beside this program");
	setenv("HSAVISOR_TENANT", tenant, 1);
	setenv("HSAVISOR_SOCKET", arbiter_socket_path(), 1);
	if (!root) {
		preload(library);
		execvp(argv[0], argv);
		err = errno;
		return cli_fail(err == ENOENT ? 127 : 126, "cannot run '%s': %s", argv[0],
				strerror(err));
	}
	if (!getcwd(cwd, sizeof(cwd)))
		strcpy(cwd, "/");
	while (argv[argc])
		argc++;
	all = calloc(argc + MAX_BWRAP_ARGS, sizeof(*all));
	if (!all)
		return cli_fail(EXIT_FAIL, "out of memory");
	static const char *const fixed[] = {
		"--symlink",  "usr/bin", "/bin",    "--symlink", "usr/sbin",  "/sbin",
		"--symlink",  "usr/lib", "/lib",    "--symlink", "usr/lib64", "/lib64",
		"--dev-bind", "/dev",	 "/dev",    "--proc",	 "/proc",     "--ro-bind",
		"/sys",	      "/sys",	 "--bind",  "/tmp",	 "/tmp",      "--tmpfs",
		"/run",	      "--tmpfs", "/var/tmp"};
	snprintf(usr, sizeof(usr), "%s/usr", root);
	snprintf(etc, sizeof(etc), "%s/etc", root);
	if (access(usr, X_OK) < 0)
		return cli_fail(EXIT_FAIL, "%s is no root tree: %s", root, strerror(errno));
	all[n++] = "bwrap";
	n = bind(all, n, "--ro-bind", usr, "/usr");
	n = bind(all, n, "--ro-bind", etc, "/etc");
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		all[n++] = fixed[i];
	/* The working directory and the program's own, where they are no part of the tree. */
	if (!in_tree(cwd))
		n = bind(all, n, "--bind", cwd, cwd);
	if (strchr(argv[0], '/') && realpath(argv[0], program)) {
		*strrchr(program, '/') = 0;
		if (!in_tree(program))
			n = bind(all, n, "--ro-bind", program, program);
	}
	n = bind(all, n, "--ro-bind", library, TREE_LIBRARY);
	if (!cli_companion("libhsavisor-jit.so", jit, sizeof(jit)))
		n = bind(all, n, "--ro-bind", jit, TREE_JIT);
	if (store) {
		snprintf(tree_store, sizeof(tree_store), TREE_STORE "%s", strrchr(store, '/'));
		*strrchr(strcpy(store_dir, store), '/') = 0;
		n = bind(all, n, "--bind", store_dir, TREE_STORE);
		n = bind(all, n, "--setenv", "HSAVISOR_JIT_STORE", tree_store);
	}
	n = bind(all, n, "--bind", arbiter_socket_path(), TREE_SOCKET);
	n = bind(all, n, "--setenv", "HSAVISOR_SOCKET", TREE_SOCKET);
	n = bind(all, n, "--setenv", "LD_PRELOAD", TREE_LIBRARY);
	if (profile && *profile && !access(profile, W_OK)) {
		n = bind(all, n, "--bind", profile, TREE_PROFILE);
		n = bind(all, n, "--setenv", "HSAVISOR_PROFILE", TREE_PROFILE);
	}
	all[n++] = "--chdir";
	all[n++] = cwd;
	all[n++] = "--die-with-parent";
	all[n++] = "--";
	for (size_t i = 0; i < argc; i++)
		all[n++] = argv[i];
	unsetenv("LD_PRELOAD"); /* bwrap itself runs without */
	execvp("bwrap", (char **)(uintptr_t)all);
	err = errno;
	free(all);
	return cli_fail(EXIT_FAIL, "cannot start bwrap (Debian package bubblewrap): %s",
			strerror(err));
}
