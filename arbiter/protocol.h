/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - what passes between hsavisord and its clients.
 *
 * One UNIX SOCK_SEQPACKET socket, a message a packet. Executors (brokers, host processes, `hsavisor
 * run`) speak the fixed structs below, so that the client needs no JSON library inside other
 * people's processes. Tools speak JSON: a packet that starts with '{' is a control request, {"op":
 * "status"} and the like (control.c), answered by one JSON object.
 *
 * Every executor connection shares one page with the arbiter: turns (futex words) and counters. The
 * arbiter trusts nothing in it: a client that lies spoils its own turns and its own figures only.
 */
#ifndef ARBITER_PROTOCOL_H
#define ARBITER_PROTOCOL_H

#include <stdint.h>

#include "arbiter/client.h"

#define ARBITER_MAGIC	 0x31565348u /* "HSV1" */
#define ARBITER_VERSION	 1
#define ARBITER_NAME_MAX 64	      /* with its NUL */
#define ARBITER_MSG_MAX	 (256 * 1024) /* largest packet: a JSON answer */

enum arbiter_msg_type { ARBITER_MSG_HELLO = 1, ARBITER_MSG_CHARGE = 2 };

struct arbiter_msg { /* executor -> arbiter */
	uint32_t magic, version;
	uint32_t type; /* enum arbiter_msg_type */
	uint32_t kind; /* HELLO: enum arbiter_kind */
	uint64_t vram; /* HELLO: wanted quota, bytes; 0: default */
	int64_t bytes; /* CHARGE: VRAM to take (> 0) or give back (< 0) */
	char name[ARBITER_NAME_MAX];
};

struct arbiter_reply { /* with a HELLO's: descriptors: page, wake eventfd, VRAM (not for
			  ARBITER_HOST) */
	uint32_t magic;
	int32_t error; /* 0 or negative errno */
	uint32_t tenant, threads;
	uint64_t vram;
	char target[16];
	char message[128]; /* sentence for the user when error is set */
};

/*
 * The shared page. Client: sets want when it has work, clears it when idle. Arbiter: granted (futex
 * word) and contended. A client that wants and isn't granted writes the wake eventfd and waits on
 * granted; one that becomes idle while contended writes it too. So a lone tenant keeps its grant
 * and never makes a system call. Ordering: all of these are sequentially consistent.
 */
struct arbiter_page {
	_Atomic uint32_t want;
	_Atomic uint32_t granted;
	_Atomic uint32_t contended;
	uint32_t reserved;
	struct arbiter_counters counters;
};

#endif
