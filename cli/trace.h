/* SPDX-License-Identifier: MIT */
/*
 * trace.h - `hsavisor trace`: reading the executors' trace rings (trace_rings.c) and writing what
 * is in them as a Chrome/Perfetto JSON trace (trace_json.c).
 */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "arbiter/protocol.h"

/* ------------------------------------------------------------------ trace_json.c */

/*
 * In the JSON a tenant (on each of its GPUs) is a process and each of its queues a thread; so are the turns of each
 * executor. What comes from executors is their word: text is escaped, times are made plausible, and
 * the number of threads is bounded.
 */
struct trace_file;

/* f stays the caller's. start_ns: of CLOCK_MONOTONIC, the trace's time 0. NULL: out of memory. */
struct trace_file *trace_file_new(FILE *f, uint64_t start_ns);
/* Names tenant id for the viewer; any number of times. */
void trace_file_tenant(struct trace_file *t, uint64_t id, const char *name, const char *kind);
/* An event of executor (any number that tells them apart), whose own process is pid. kernel: its
 * name, "" or NULL: unknown. now_ns: no event ends later. False: implausible, not written. */
bool trace_file_event(struct trace_file *t, uint64_t tenant, uint64_t executor, uint64_t pid,
		      const struct gpu_trace_event *event, const char *kernel, uint64_t now_ns);
void trace_file_counter(struct trace_file *t, uint64_t tenant, const char *name, const char *unit,
			double value, uint64_t now_ns);
/* Ends the JSON. 0, or -errno if not all could be written. */
int trace_file_end(struct trace_file *t, uint64_t lost, uint64_t now_ns);

/* ------------------------------------------------------------------ trace_rings.c */

struct ring; /* of one executor */

struct rings {
	struct ring *list;
	struct trace_file *file;
	uint64_t events, lost, odd; /* written; overwritten before they were read; not plausible */
};

/* Takes fd, the executor's shared memory; from: its first event that counts. 0 or negative errno. */
int rings_add(struct rings *rings, int fd, uint64_t serial, uint64_t tenant, uint64_t pid,
	      uint64_t from);
/* Reads what is new, and writes to the file what is named or has waited long enough for its name.
 * all: everything. */
void rings_read(struct rings *rings, bool all);
/* The executor is gone: its last events, and its end. */
void rings_remove(struct rings *rings, uint64_t serial);
void rings_free(struct rings *rings);

#endif
