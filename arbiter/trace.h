/* SPDX-License-Identifier: MIT */
/*
 * trace.h - lets tools read the executors' trace rings.
 *
 * A tool that asks {"op": "trace"} gets, after the answer, a packet for each executor there is and
 * for each that comes, with a read-only descriptor of its shared memory, and one for each that
 * goes; this until it hangs up. Executors fill their rings as long as there is such a tool.
 *
 *   {"event": "executor", "serial", "tenant", "tenant_id", "kind", "gpu", "pid", "from"} + descriptor
 *   {"event": "gone", "serial"}
 *
 * from: number of the ring's first event that is the tool's.
 */
#ifndef ARBITER_TRACE_H
#define ARBITER_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct executor;
struct arbiter_gpus;

struct tracing {
	uint32_t session; /* what pages are to say; 0: nobody traces */
	uint32_t sessions, tools;
};

/* A tool comes, goes: the executors' pages are told. */
void trace_begin(struct tracing *tracing, struct arbiter_gpus *gpus);
void trace_end(struct tracing *tracing, struct arbiter_gpus *gpus);

/* Tells the tool at sock of an executor that came or goes; ARBITER_HOST ones are no executors. 0 or
 * negative errno: it doesn't read, or we have no descriptors. */
int trace_tell(int sock, const struct executor *executor, bool gone);
/* Of all there are. */
int trace_tell_all(int sock, const struct arbiter_gpus *gpus);

#endif
