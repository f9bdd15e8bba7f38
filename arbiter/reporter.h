/* SPDX-License-Identifier: MIT */
/*
 * reporter.h - the executor's side of the fault ring and the trace ring (arbiter/protocol.h); part
 * of arbiter/client.
 */
#ifndef ARBITER_REPORTER_H
#define ARBITER_REPORTER_H

#include "arbiter/protocol.h"

struct reporter;

/* shared and wake_fd stay the client's. NULL: out of memory. */
struct reporter *reporter_new(struct arbiter_shared *shared, int wake_fd);
/* Ends its thread, if it has one, and frees it. */
void reporter_free(struct reporter *reporter);
/* After fork in the child, where the thread isn't: leaves it as it is. */
void reporter_forget(struct reporter *reporter);

/* client.c's, for the functions of client.h that are in reporter.c. */
struct reporter *client_reporter(struct arbiter_client *client);

#endif
