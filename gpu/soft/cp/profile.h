/* SPDX-License-Identifier: MIT */
/*
 * profile.h - what the kernels of a GPU process do: time, instruction mix, hot blocks (gpu_config.profile).
 *
 * Most work-groups run as they always do, by compiled code, and are timed. The first of each kernel, and one of every so many range of
 * work-groups that is handed out after it, is interpreted by a code cache of its own in which an observer counts each instruction. So times and
 * counts are of the same run, and counts are of a sample.
 */
#ifndef GPU_SOFT_CP_PROFILE_H
#define GPU_SOFT_CP_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

struct code_cache;
struct dispatch;
struct gpu_vm;
struct profile;
struct profile_kernel;

/* Of one vm. NULL: out of memory. */
struct profile *profile_new(struct gpu_vm *vm);
/* Appends the report to the file, and frees it. No thread is in the vm any more. */
void profile_end(struct profile *p);

/* The code cache in which work-groups are counted. */
struct code_cache *profile_code(const struct profile *p);

/* ---- the CP thread, attached to the vm; gpu->lock held ---- */
/* A dispatch of the kernel whose descriptor is at va begins. NULL: it is not to be in the profile (no memory). */
struct profile_kernel *profile_dispatch(struct profile *p, uint64_t va, uint64_t entry);
/* It is over, and no thread runs it any more. */
void profile_done(struct profile_kernel *k, const struct dispatch *d);

/* ---- sched_lock held ---- */
/* Are the work-groups that are handed out now to be counted? */
bool profile_pick(struct profile_kernel *k);
/* A slice: ns, and how many work-groups ended in it. */
void profile_slice(struct profile_kernel *k, bool counted, uint64_t ns, uint64_t groups);

#endif
