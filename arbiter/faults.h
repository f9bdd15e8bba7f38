/* SPDX-License-Identifier: MIT */
/*
 * faults.h - the log of the tenants' GPU faults and queue errors, for `hsavisor faults`.
 *
 * What executors report is their word: text is made printable, time plausible, and how much of it
 * is taken is bounded by tenant (FAULTS_PER_SECOND) and, once the log is full, by tenant: then
 * the oldest entry of the tenant that has most of them goes.
 */
#ifndef ARBITER_FAULTS_H
#define ARBITER_FAULTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arbiter/protocol.h"

#define FAULTS_KEPT	  1000
#define FAULTS_PER_SECOND 20  /* of one tenant */
#define FAULTS_PER_ANSWER 200 /* an answer is one packet */

/* Of a tenant; begins as zeroes. */
struct fault_rate {
	uint32_t taken; /* in the second that began at second_ns */
	uint64_t second_ns;
};

struct fault_entry {
	uint64_t number; /* from 1 */
	uint32_t tenant_id, gpu;
	uid_t uid; /* of the tenant */
	bool vm;
	char tenant[ARBITER_NAME_MAX];
	uint32_t lost; /* reports of this executor lost before this one */
	struct arbiter_fault fault; /* printable */
};

struct fault_log {
	struct fault_entry entries[FAULTS_KEPT];
	uint32_t count;
	uint64_t number; /* of the newest */
	uint64_t lost;
};

struct executor;
struct json_object; /* json-c */

/* Takes what the executor has reported since the last time. Monotonic and real time in ns. True if
 * there was something. */
bool faults_read(struct fault_log *log, struct executor *executor, uint64_t now, uint64_t real);

/*
 * Adds to answer: "faults", the oldest up to FAULTS_PER_ANSWER behind number after, of the tenant of
 * that name (NULL: all) that peer may see (its own; root and the daemon's user: all); "next", the
 * number to go on behind; "more"; "lost" of all.
 */
void faults_answer(const struct fault_log *log, uid_t peer, uint64_t after, const char *tenant,
		   struct json_object *answer);

/* Name of a KFD queue error code ("memory violation"); "error" for others. Static. */
const char *fault_code_name(uint32_t code);

#endif
