/* SPDX-License-Identifier: MIT */
/*
 * control.h - the JSON requests of tools: {"op": NAME, ...} -> one object with "ok": true, or "ok":
 * false, "errno" and "error" (a sentence).
 *
 *   status   version, pid, uptime, GPUs with their VRAM
 *   list     tenants with their figures, a row for each GPU they have
 *   faults   the log of faults, see faults.h ("after": number, "tenant": name)
 *   trace    the trace rings, see trace.h (root and the daemon's user)
 *            (of the next three "gpu": N means the tenant there; without, get tells of its first GPU, the others are for all it has)
 *   get      {"tenant": NAME}: its "policy", as in the configuration file (config.h)
 *   set      {"tenant": NAME, "policy": {...}, "save": bool}: changes the keys that are there, all or
 *            none; save: in the configuration file, too
 *   reset    {"tenant": NAME, "process": PID}: stops its kernels that run now; without process all
 *   shutdown end the daemon (refused while tenants are there, unless "force": true)
 */
#ifndef ARBITER_CONTROL_H
#define ARBITER_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "arbiter/faults.h"
#include "arbiter/gpus.h"

struct control_facts { /* of the daemon */
	uint64_t started_ns, now_ns;
	const struct fault_log *faults;
	const char *config_path; /* of the configuration file, NULL: none */
	bool shutdown;		 /* set by the request */
	bool config_changed;	 /* the same: the file was written */
	bool trace;    /* set by the request: the connection traces from now on */
};

/* Answers the request text[size]; the answer is malloc'ed text. Never NULL but when memory is out.
 */
char *control_answer(struct arbiter_gpus *gpus, struct control_facts *facts, uid_t peer,
		     const char *text, size_t size);

#endif
