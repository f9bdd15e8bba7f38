/* SPDX-License-Identifier: MIT */
/* metrics.h - the daemon's figures as OpenMetrics text (OpenMetrics 1.0). */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* The exposition of what "status" and "list" (its array) told, malloc'ed; NULL: out of memory.
 * Both NULL: the daemon did not answer. */
char *metrics_text(struct json_object *status, struct json_object *tenants, size_t *size);

/* Asks the daemon and formats. Without a daemon the text says hsavisor_up 0, *err is why. */
char *metrics_ask(size_t *size, int *err);

/* Serves GET /metrics at "unix:PATH" or "ADDRESS:PORT" until a signal to end. anywhere: addresses
 * but loopback are allowed. Returns an exit code. */
int metrics_serve(const char *where, bool anywhere);

#endif
