/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - giving up privileges: what brokers (vmm/isolation.c) and hsavisord (arbiter/main.c)
 * share.
 *
 * What is given up here never comes back, for the process and all that it starts.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sanitizers make system calls and look at processes on their own: without a sandbox. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* Whether this thread has the capability (CAP_*) in effect. */
bool sandbox_capable(unsigned capability);
/*
 * The ways to new capabilities: the bounding set, and root's to gain them by execve. Those that are
 * there stay, over a change of the user id, too. Needs CAP_SETPCAP. As the next one of the calling
 * thread: before others are started.
 */
int sandbox_drop_bounding_set(void);
/* All capabilities there are. */
int sandbox_drop_capabilities(void);
/* No execve gives privileges any more; an ordinary process may only filter its system calls then.
 */
int sandbox_no_new_privs(void);

/*
 * System calls. A table says which are allowed, grouped by what they are for.
 */
enum sandbox_seccomp {
	SANDBOX_KILL, /* others end the process, with a line on the log's descriptor */
	SANDBOX_LOG,  /* others are done, and told in the kernel's audit log: for debugging */
	SANDBOX_OFF,  /* no filter */
};

/* A condition on an argument: (argument & mask) == value. */
struct sandbox_arg {
	unsigned index;
	uint64_t mask, value;
};

#define SANDBOX_MAX_ARGS 2
#define SANDBOX_OWN_PID	 UINT64_MAX /* as value: this process's */

struct sandbox_call {
	const char *name; /* NULL ends a list */
	int error; /* not 0: it is not done but fails with this errno, so that the caller falls back
		    */
	unsigned num_args; /* all of these conditions hold */
	struct sandbox_arg args[SANDBOX_MAX_ARGS];
};

struct sandbox_purpose {
	const char *why;
	const struct sandbox_call *calls;
};

/*
 * Filters the calls of all threads of this process, those to come included. who begins the line on
 * stderr that names a call that was not allowed; it must stay valid. -ESRCH: a thread could not be
 * reached. Must follow sandbox_no_new_privs() or be done with CAP_SYS_ADMIN.
 */
int sandbox_filter(const struct sandbox_purpose *table, size_t count, enum sandbox_seccomp mode,
		   const char *who);

/*
 * The other way round: the calls of names[], a list up to NULL, end the process, all others are
 * done. For programs whose work is of too many kinds for a table.
 */
int sandbox_refuse(const char *const *names, const char *who);

/* "kill", "log", "off"; -EINVAL. */
int sandbox_seccomp_parse(const char *text, enum sandbox_seccomp *mode);

#endif
