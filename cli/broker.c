// SPDX-License-Identifier: MIT
/* broker.c - starting a broker, and what QEMU must be told to use it. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "base/gpu_list.h"
#include "cli/cli.h"

#define READY_LIMIT_MS 20000

/*
 * How long QEMU waits for an answer of the broker. After its default of 5 s it gives the device up
 * for good, which a broker (or a machine) that was only paused does not deserve; one that died is
 * noticed at once, as its socket closes.
 */
#define REPLY_LIMIT_MS 60000u

/* The last line of the broker's log tells why it ended. */
static void tell_why(const char *name)
{
	char line[1024] = "", last[1024] = "it said nothing";
	FILE *f = fopen(vm_path(name, "broker.log"), "re");

	while (f && fgets(line, sizeof(line), f))
		if (line[0] != '\n')
			memcpy(last, line, sizeof(last));
	if (f)
		fclose(f);
	last[strcspn(last, "\n")] = 0;
	cli_fail(EXIT_FAIL, "%s", !strncmp(last, "hsavisor-broker: ", 17) ? last + 17 : last);
}

/* 0 if it isn't a mode. */
static mode_t parse_mode(const char *text)
{
	size_t n = strspn(text, "01234567");

	return n && n <= 4 && !text[n] && strtoul(text, NULL, 8) <= 0777
		       ? (mode_t)strtoul(text, NULL, 8)
		       : 0;
}

int broker_option(int c, const char *text, struct broker_options *options)
{
	const struct passwd *user;

	switch (c - BROKER_OPTION) {
	case 'G':
		if (!gpu_list_parse(text, ARBITER_MAX_GPUS))
			return cli_fail(EXIT_USAGE, "bad list of GPUs '%s': write 0,1 and the like", text);
		options->gpus = text;
		return 0;
	case 's':
		if (strcmp(text, "try") && strcmp(text, "require") && strcmp(text, "off"))
			return cli_fail(EXIT_USAGE, "--sandbox takes try, require or off, not '%s'",
					text);
		options->sandbox = text;
		return 0;
	case 'u':
		user = getpwnam(text);
		if (!user || user->pw_uid == 0)
			return cli_fail(EXIT_USAGE,
					user ? "--user: a broker does not run as '%s'"
					     : "--user: there is no user '%s'",
					text);
		options->user = text;
		return 0;
	case 'g':
		if (!getgrnam(text))
			return cli_fail(EXIT_USAGE, "--socket-group: there is no group '%s'", text);
		options->socket_group = text;
		return 0;
	default:
		if (!parse_mode(text))
			return cli_fail(
				EXIT_USAGE,
				"--socket-mode takes octal permissions such as 660, not '%s'",
				text);
		options->socket_mode = text;
		return 0;
	}
}

/*
 * The VM's directory is its owner's. Those who may connect to the broker's socket must get there,
 * so they may pass through it; they can't list it, and its other files stay the owner's.
 */
static int admit(const char *name, const struct broker_options *o)
{
	const struct group *group = o->socket_group ? getgrnam(o->socket_group) : NULL;
	mode_t socket = o->socket_mode ? parse_mode(o->socket_mode) : group ? 0660 : 0600;
	mode_t mode = 0700 | (socket & 0020 ? 0010 : 0) | (socket & 0002 ? 0001 : 0);
	const char *dir = vm_path(name, "");

	if ((group && chown(dir, (uid_t)-1, group->gr_gid) < 0) || chmod(dir, mode) < 0)
		return cli_fail(EXIT_FAIL, "cannot let '%s' in to %s: %s",
				group ? group->gr_name : "others", dir, strerror(errno));
	return 0;
}

static const char *vm_store(const char *name, char *file, size_t size)
{
	snprintf(file, size, "vm-%s", name);
	return file;
}

int broker_start(const char *name, uint64_t vram, uint64_t vram_max,
		 const struct broker_options *options, pid_t *pid)
{
	char store_name[80];
	const struct {
		const char *option, *value;
	} given[] = {{"--jit-store", cli_jit_store(vm_store(name, store_name, sizeof(store_name)))},
		     {"--gpus", options->gpus},
		     {"--sandbox", options->sandbox},
		     {"--user", options->user},
		     {"--socket-group", options->socket_group},
		     {"--socket-mode", options->socket_mode}};
	char path[4096], vram_text[32], max_text[32], ready_text[16];
	const char *socket_path = vm_path(name, "broker.sock"), *arbiter = arbiter_socket_path();
	char *argv[32] = {path,
			  "--name",
			  (char *)(uintptr_t)name,
			  "--socket",
			  (char *)(uintptr_t)socket_path,
			  "--arbiter-socket",
			  (char *)(uintptr_t)arbiter,
			  "--ready-fd",
			  ready_text};
	int n = 9, ready[2], status, code = EXIT_FAIL;
	struct pollfd p;
	char byte;
	FILE *f;

	*pid = 0;
	if (cli_companion("hsavisor-broker", path, sizeof(path)))
		return cli_fail(EXIT_FAIL,
				"cannot find the program hsavisor-broker beside this one");
	code = admit(name, options);
	if (code)
		return code;
	code = EXIT_FAIL;
	if (pipe(ready) < 0)
		return cli_fail(EXIT_FAIL, "no descriptors left");
	fcntl(ready[0], F_SETFD, FD_CLOEXEC);
	snprintf(ready_text, sizeof(ready_text), "%d", ready[1]);
	if (vram) {
		snprintf(vram_text, sizeof(vram_text), "%llu", (unsigned long long)vram);
		argv[n++] = "--vram";
		argv[n++] = vram_text;
	}
	if (vram_max) {
		snprintf(max_text, sizeof(max_text), "%llu", (unsigned long long)vram_max);
		argv[n++] = "--vram-max";
		argv[n++] = max_text;
	}
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		if (!given[i].value)
			continue;
		argv[n++] = (char *)(uintptr_t)given[i].option;
		argv[n++] = (char *)(uintptr_t)given[i].value;
	}
	*pid = fork();
	if (*pid == 0) {
		int log = open(vm_path(name, "broker.log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
		int null = open("/dev/null", O_RDWR);

		setsid();
		dup2(null, STDIN_FILENO);
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execv(path, argv);
		_exit(127);
	}
	close(ready[1]);
	p = (struct pollfd){.fd = ready[0], .events = POLLIN};
	if (*pid > 0 && poll(&p, 1, READY_LIMIT_MS) > 0 && read(ready[0], &byte, 1) == 1) {
		f = fopen(vm_path(name, "broker.pid"), "we");
		if (f) {
			fprintf(f, "%d\n", (int)*pid);
			fclose(f);
			code = 0;
		}
	}
	close(ready[0]);
	if (code && *pid > 0) {
		kill(*pid, SIGTERM);
		waitpid(*pid, &status, 0);
		tell_why(name);
		if (WIFEXITED(status) && WEXITSTATUS(status) > EXIT_USAGE &&
		    WEXITSTATUS(status) <= EXIT_IN_USE)
			code = WEXITSTATUS(status);
	}
	return code;
}

size_t broker_qemu_args(const char *name, uint64_t memory, const char **words, size_t max)
{
	static char object[128], device[512];
	const char *all[] = {"-machine", "memory-backend=hsv-ram", "-object", object, "-device",
			     device};

	snprintf(object, sizeof(object), "memory-backend-memfd,id=hsv-ram,size=%llu,share=on",
		 (unsigned long long)memory);
	snprintf(device, sizeof(device),
		 "{\"driver\":\"vfio-user-pci\",\"id\":\"hsv-gpu\",\"x-msg-timeout\":%u,"
		 "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"}}",
		 REPLY_LIMIT_MS, vm_path(name, "broker.sock"));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && i < max; i++)
		words[i] = all[i];
	return sizeof(all) / sizeof(all[0]);
}
