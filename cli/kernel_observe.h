/* SPDX-License-Identifier: MIT */
/* kernel_observe.h - watches a kernel instruction by instruction: counts for profiles, and traces. */
#ifndef CLI_KERNEL_OBSERVE_H
#define CLI_KERNEL_OBSERVE_H

#include "cli/kernel_run.h"

struct kernel_observer {
	struct exec_observer exec; /* first: the observer is found from it */
	struct kernel_run *run;
};

/* For code_cache_new_observed: writes run->trace, or counts. */
struct kernel_observer kernel_observer(struct kernel_run *run, bool traces);
/* Where the calling thread counts; NULL: nowhere. */
void kernel_observe_thread(struct isa_count *count);

/* Prints what run->count holds, or makes JSON of it. */
void kernel_profile_print(const struct kernel_run *run, FILE *f);
struct json_object *kernel_profile_json(const struct kernel_run *run);

#endif
