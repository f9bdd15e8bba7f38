/* SPDX-License-Identifier: MIT */
/*
 * sample.h - the tenants' figures at two moments, as rates: what `hsavisor top` shows.
 *
 * The daemon tells totals. A tenant is known again by its id and GPU (it has a row for each it has); one that is new, and everything after
 * the daemon was restarted, counts from nothing.
 */
#ifndef CLI_SAMPLE_H
#define CLI_SAMPLE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct sample_row {
	uint64_t id, gpu;
	char name[64], kind[8], program[64];
	char label[72]; /* the name; with the GPU, where there are several */
	double gpu_percent; /* of the interval that the tenant had the GPU */
	double cores;	    /* threads that ran waves, on average */
	double dispatch_rate, exit_rate; /* per second */
	uint64_t vram_used, vram_quota;	 /* bytes */
	uint64_t processes, queues, backlog;
	uint64_t faults; /* memory faults and queue errors, in total */
	uint64_t dispatches, exits, gpu_ns, held_ns;
	uint64_t page_requests, page_waits, page_invalidations, paged; /* paged: bytes now */
	double page_request_rate;
};

struct sample {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	double interval_s; /* since the sample before */
	uint64_t daemon_pid, uptime_ns, vram, vram_reserved; /* VRAM: of all GPUs */
	char version[32], target[16]; /* target: of the first GPU */
	size_t num_gpus, num_tenants;
	struct sample_row *rows;
	size_t num_rows;
	struct json_object *tenants; /* "list" as it came */
};

/* How a row of "list" is called in tables: by the tenant's name, with several GPUs name:GPU. */
void tenant_label(char *label, size_t size, struct json_object *row, size_t num_gpus);

/* Asks the daemon. before: the sample that rates count from, may be NULL. 0 or negative errno
 * (-ECONNREFUSED: no daemon); then *sample holds nothing. */
int sample_take(struct sample *sample, const struct sample *before);
void sample_free(struct sample *sample);

struct sample_key {
	const char *name;    /* of --sort */
	int key;	     /* of the terminal */
	const char *heading; /* of the column it sorts */
	int (*compare)(const struct sample_row *a, const struct sample_row *b);
};
extern const struct sample_key sample_keys[]; /* ends with name NULL */
void sample_sort(struct sample *sample, const struct sample_key *key, bool reverse);

/* Rates as JSON, the caller's. */
struct json_object *sample_json(const struct sample *sample);

/* One line of text of at most size bytes: the heading, and a row. */
void sample_heading(char *line, size_t size);
void sample_line(const struct sample_row *row, char *line, size_t size);
/* "hsavisord 0.1.0 up 0h 01m 02s, gfx90a, 2 tenants, 1 GiB of 8 GiB of VRAM given". */
void sample_summary(const struct sample *sample, char *line, size_t size);

#endif
