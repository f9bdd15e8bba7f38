// SPDX-License-Identifier: MIT
/*
 * sandbox.c - see sandbox.h.
 *
 * A call that isn't allowed is trapped instead of killed at once, as a process that is killed can't
 * say why. The trap's handler writes a line that names the call and then makes a call whose rule is
 * to kill. Neither lets the refused call through, and nothing that runs in the process can avoid
 * its end but by keeping the handler from running: rt_sigaction is in no table, and a blocked or
 * ignored SIGSYS kills.
 */
#include "base/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CALLS 512 /* numbers of system calls that the handler knows by name */
#define MAX_NAME  32
/* Ends the process from the handler; nobody else makes it. */
#define LAST_CALL "vhangup"

static char call_names[MAX_CALLS][MAX_NAME];
static const char *program;

/* ---- Capabilities ---- */

static int caps_get(struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

bool sandbox_capable(unsigned capability)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return !caps_get(data) && data[capability / 32].effective >> capability % 32 & 1;
}

int sandbox_drop_bounding_set(void)
{
	const int bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	/* A kernel may have more capabilities than these headers know. */
	for (unsigned i = 0; i < 64; i++)
		if (i != CAP_SETPCAP && prctl(PR_CAPBSET_READ, i) == 1 &&
		    prctl(PR_CAPBSET_DROP, i) < 0)
			return -errno;
	if (prctl(PR_SET_SECUREBITS, bits) < 0 || prctl(PR_CAPBSET_DROP, CAP_SETPCAP) < 0)
		return -errno;
	return 0;
}

int sandbox_drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	static const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int sandbox_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- System calls ---- */

static size_t append(char *line, size_t at, size_t size, const char *text)
{
	while (*text && at < size)
		line[at++] = *text++;
	return at;
}

/* Only what may be done in a signal handler of a process that is anything but well. */
static void on_refused(int signal, siginfo_t *info, void *context)
{
	unsigned number = (unsigned)info->si_syscall;
	char line[256], digits[12], *d = digits + sizeof(digits) - 1;
	size_t n = 0;

	*d = 0;
	for (unsigned rest = number; d == digits + sizeof(digits) - 1 || rest; rest /= 10)
		*--d = (char)('0' + rest % 10);
	n = append(line, n, sizeof(line) - 1, program);
	n = append(line, n, sizeof(line) - 1, ": system call ");
	n = append(line, n, sizeof(line) - 1, d);
	if (number < MAX_CALLS) {
		n = append(line, n, sizeof(line) - 1, " (");
		n = append(line, n, sizeof(line) - 1, call_names[number]);
		n = append(line, n, sizeof(line) - 1, ")");
	}
	n = append(line, n, sizeof(line) - 1, " is not allowed here; killed");
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0) {
		/* Nobody to tell. */
	}
	syscall(SYS_vhangup);
}

static void learn_names(void)
{
	for (int i = 0; i < MAX_CALLS; i++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);

		strncpy(call_names[i], name ? name : "unknown", MAX_NAME - 1);
		free(name);
	}
}

static int add_call(scmp_filter_ctx ctx, const struct sandbox_call *c)
{
	struct scmp_arg_cmp args[SANDBOX_MAX_ARGS];
	int number = seccomp_syscall_resolve_name(c->name);
	int ret;

	if (number < 0) /* this machine has no such call, or its library doesn't know it */
		return 0;
	for (unsigned i = 0; i < c->num_args; i++) {
		uint64_t value =
			c->args[i].value == SANDBOX_OWN_PID ? (uint64_t)getpid() : c->args[i].value;

		args[i] = SCMP_CMP(c->args[i].index, SCMP_CMP_MASKED_EQ, c->args[i].mask, value);
	}
	ret = seccomp_rule_add_array(ctx,
				     c->error ? SCMP_ACT_ERRNO((uint32_t)c->error) : SCMP_ACT_ALLOW,
				     number, c->num_args, args);
	return ret == -EDOM ? 0 : ret; /* not a call of this architecture */
}

/* A filter without rules. */
static int make_filter(uint32_t otherwise, const char *who, scmp_filter_ctx *ctx)
{
	int ret;

	program = who;
	learn_names();
	*ctx = seccomp_init(otherwise);
	if (!*ctx)
		return -ENOMEM;
	/* The privileges were given up by name, in an order of their own. */
	ret = seccomp_attr_set(*ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (!ret)
		ret = seccomp_attr_set(*ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* A tree, not a list: threads that wait and wake make many calls. */
	if (!ret)
		ret = seccomp_attr_set(*ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	/* Calls of another architecture's numbering end the process, whatever the mode. */
	if (!ret)
		ret = seccomp_attr_set(*ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!ret && otherwise != SCMP_ACT_LOG)
		ret = seccomp_rule_add(*ctx, SCMP_ACT_KILL_PROCESS,
				       seccomp_syscall_resolve_name(LAST_CALL), 0);
	return ret;
}

/* Puts it in force, if all went well before, and frees it. */
static int load_filter(scmp_filter_ctx ctx, int ret)
{
	struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};

	if (!ret && sigaction(SIGSYS, &action, NULL) < 0)
		ret = -errno;
	if (!ret)
		ret = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return ret;
}

int sandbox_filter(const struct sandbox_purpose *table, size_t count, enum sandbox_seccomp mode,
		   const char *who)
{
	scmp_filter_ctx ctx;
	int ret;

	if (mode == SANDBOX_OFF)
		return 0;
	ret = make_filter(mode == SANDBOX_LOG ? SCMP_ACT_LOG : SCMP_ACT_TRAP, who, &ctx);
	for (size_t i = 0; !ret && i < count; i++)
		for (const struct sandbox_call *c = table[i].calls; !ret && c->name; c++)
			ret = add_call(ctx, c);
	return load_filter(ctx, ret);
}

int sandbox_refuse(const char *const *names, const char *who)
{
	scmp_filter_ctx ctx;
	int ret = make_filter(SCMP_ACT_ALLOW, who, &ctx);

	for (; !ret && *names; names++) {
		int number = seccomp_syscall_resolve_name(*names);

		if (number < 0)
			continue;
		ret = seccomp_rule_add(ctx, SCMP_ACT_TRAP, number, 0);
		if (ret == -EDOM)
			ret = 0;
	}
	return load_filter(ctx, ret);
}

int sandbox_seccomp_parse(const char *text, enum sandbox_seccomp *mode)
{
	static const char *const names[] = {"kill", "log", "off"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]))
			continue;
		*mode = (enum sandbox_seccomp)i;
		return 0;
	}
	return -EINVAL;
}
