/* SPDX-License-Identifier: MIT */
/*
 * isolation.h - the broker gives up everything but its VM's memory and the descriptors it holds.
 *
 * The steps, each with its reason, are in isolation.c and in docs/isolation.md.
 */
#ifndef VMM_ISOLATION_H
#define VMM_ISOLATION_H

#include "base/sandbox.h"

enum isolation_mode {
	ISOLATION_TRY,	   /* what the environment forbids is left out with a warning */
	ISOLATION_REQUIRE, /* every step, or no broker */
	ISOLATION_OFF,
};

struct isolation {
	enum isolation_mode mode;
	enum sandbox_seccomp seccomp;
	const char *user; /* to become when started as root; NULL: see docs/isolation.md */
};

/* What holds without options: ISOLATION_TRY, or HSAVISOR_SANDBOX; off in sanitizer builds, which
 * need files and system calls of their own. */
void isolation_defaults(struct isolation *isolation);
/* "try", "require", "off"; -EINVAL. */
int isolation_mode_parse(const char *text, enum isolation_mode *mode);

/* Where the broker has its file of compiled kernels, if it has one. */
#define ISOLATION_STORE_FD 200

/* Closes all descriptors but the standard ones and keep (-1: none). Before anything is opened. */
void isolation_close_others(int keep);

/*
 * All steps but the last. While the process has one thread; what needs a path must be open.
 * Tells on stderr why it failed; a negative errno then, and the broker must not go on.
 */
int isolation_enter(const struct isolation *isolation);
/* The last step, the filter of system calls, for all threads there are and will be. Then the VM may
 * come. name: of the VM; must stay valid. */
int isolation_seal(const struct isolation *isolation, const char *name);
/* The same for the process that outlives the broker by a moment (keeper.h). */
int isolation_seal_keeper(const struct isolation *isolation, const char *name);

#endif
