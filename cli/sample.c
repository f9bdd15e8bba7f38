// SPDX-License-Identifier: MIT
/* sample.c - see sample.h. */
#include "cli/sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/size.h"
#include "cli/cli.h"

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void tenant_label(char *label, size_t size, struct json_object *row, size_t num_gpus)
{
	if (num_gpus > 1)
		snprintf(label, size, "%.63s:%llu", json_str(row, "name"), (unsigned long long)json_u64(row, "gpu"));
	else
		snprintf(label, size, "%s", json_str(row, "name"));
}

static const struct sample_row *find(const struct sample *s, uint64_t id, uint64_t gpu)
{
	for (size_t i = 0; s && i < s->num_rows; i++)
		if (s->rows[i].id == id && s->rows[i].gpu == gpu)
			return &s->rows[i];
	return NULL;
}

/* Totals of a tenant's ended executors are kept, so they only grow; a liar's may not. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
	return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

static void fill(struct sample_row *r, struct json_object *o, const struct sample_row *before,
		 double seconds)
{
	static const struct sample_row none;

	if (!before)
		before = &none;
	r->id = json_u64(o, "id");
	r->gpu = json_u64(o, "gpu");
	snprintf(r->name, sizeof(r->name), "%s", json_str(o, "name"));
	snprintf(r->kind, sizeof(r->kind), "%s", json_str(o, "kind"));
	snprintf(r->program, sizeof(r->program), "%s", json_str(o, "program"));
	r->vram_used = json_u64(o, "vram_used_bytes");
	r->vram_quota = json_u64(o, "vram_quota_bytes");
	r->processes = json_u64(o, "processes");
	r->queues = json_u64(o, "queues");
	r->backlog = json_u64(o, "backlog_packets");
	r->faults = json_u64(o, "memory_faults") + json_u64(o, "queue_errors");
	r->dispatches = json_u64(o, "dispatches");
	r->exits = json_u64(o, "vm_exits");
	r->gpu_ns = json_u64(o, "gpu_ns");
	r->held_ns = json_u64(o, "gpu_held_ns");
	r->page_requests = json_u64(o, "page_requests");
	r->page_waits = json_u64(o, "page_waits");
	r->page_invalidations = json_u64(o, "page_invalidations");
	r->paged = json_u64(o, "paged_bytes");
	r->page_request_rate = rate(r->page_requests, before->page_requests, seconds);
	r->gpu_percent = rate(r->held_ns, before->held_ns, seconds) / 1e7;
	r->cores = rate(r->gpu_ns, before->gpu_ns, seconds) / 1e9;
	r->dispatch_rate = rate(r->dispatches, before->dispatches, seconds);
	r->exit_rate = rate(r->exits, before->exits, seconds);
}

int sample_take(struct sample *s, const struct sample *before)
{
	struct json_object *status, *gpus;
	int err = daemon_ask("status", &status);

	*s = (struct sample){0};
	if (err)
		return err;
	s->daemon_pid = json_u64(status, "pid");
	s->num_tenants = json_u64(status, "tenants");
	s->uptime_ns = json_u64(status, "uptime_ns");
	snprintf(s->version, sizeof(s->version), "%s", json_str(status, "version"));
	if (json_object_object_get_ex(status, "gpus", &gpus) && json_object_array_length(gpus)) {
		s->num_gpus = json_object_array_length(gpus);
		snprintf(s->target, sizeof(s->target), "%s", json_str(json_object_array_get_idx(gpus, 0), "target"));
		for (size_t i = 0; i < s->num_gpus; i++) {
			struct json_object *g = json_object_array_get_idx(gpus, i);

			s->vram += json_u64(g, "vram_bytes");
			s->vram_reserved += json_u64(g, "vram_reserved_bytes");
		}
	}
	json_object_put(status);
	err = daemon_list(&s->tenants);
	if (err)
		return err;
	s->time_ns = now_ns();
	/* Another daemon, or one that started anew: its totals began at 0. */
	if (before && (before->daemon_pid != s->daemon_pid || before->uptime_ns > s->uptime_ns))
		before = NULL;
	s->interval_s = before ? (double)(s->time_ns - before->time_ns) / 1e9
			       : (double)s->uptime_ns / 1e9;
	s->num_rows = json_object_array_length(s->tenants);
	s->rows = calloc(s->num_rows + 1, sizeof(*s->rows));
	if (!s->rows) {
		sample_free(s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->num_rows; i++) {
		struct json_object *o = json_object_array_get_idx(s->tenants, i);

		fill(&s->rows[i], o, find(before, json_u64(o, "id"), json_u64(o, "gpu")), s->interval_s);
		tenant_label(s->rows[i].label, sizeof(s->rows[i].label), o, s->num_gpus);
	}
	return 0;
}

void sample_free(struct sample *s)
{
	free(s->rows);
	json_object_put(s->tenants);
	*s = (struct sample){0};
}

/* ------------------------------------------------------------------ order */

#define COMPARE(field)                                                                             \
	static int by_##field(const struct sample_row *a, const struct sample_row *b)             \
	{                                                                                          \
		return (b->field > a->field) - (b->field < a->field);                              \
	}
COMPARE(gpu_percent)
COMPARE(cores)
COMPARE(dispatch_rate)
COMPARE(vram_used)
COMPARE(queues)
COMPARE(backlog)
COMPARE(exit_rate)
COMPARE(faults)

static int by_name(const struct sample_row *a, const struct sample_row *b)
{
	return strcmp(a->name, b->name);
}

const struct sample_key sample_keys[] = {
	{"gpu", 'g', "GPU%", by_gpu_percent},
	{"cores", 'c', "CORES", by_cores},
	{"dispatches", 'd', "DISP/S", by_dispatch_rate},
	{"vram", 'm', "VRAM", by_vram_used},
	{"queues", 'u', "QUEUES", by_queues},
	{"packets", 'p', "PACKETS", by_backlog},
	{"exits", 'x', "EXITS/S", by_exit_rate},
	{"faults", 'f', "FAULTS", by_faults},
	{"name", 'n', "TENANT", by_name},
	{0},
};

static int compare_rows(const void *a, const void *b, void *key)
{
	const struct sample_key *k = key;
	const struct sample_row *x = a, *y = b;
	int order = k->compare(x, y);

	return order ? order : x->id != y->id ? (x->id > y->id) - (x->id < y->id) : (x->gpu > y->gpu) - (x->gpu < y->gpu);
}

void sample_sort(struct sample *s, const struct sample_key *key, bool reverse)
{
	struct sample_key k = *key;

	qsort_r(s->rows, s->num_rows, sizeof(*s->rows), compare_rows, &k);
	for (size_t i = 0; reverse && i < s->num_rows / 2; i++) {
		struct sample_row r = s->rows[i];

		s->rows[i] = s->rows[s->num_rows - 1 - i];
		s->rows[s->num_rows - 1 - i] = r;
	}
}

/* ------------------------------------------------------------------ forms */

static struct json_object *rounded(double v, int decimals)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*f", decimals, v);
	return json_object_new_double_s(v, text);
}

/* Three decimals: what JSON readers see of a rate is not its noise. */
static struct json_object *number(double v)
{
	return rounded(v, 3);
}

static struct json_object *row_json(const struct sample_row *r)
{
	struct json_object *o = json_object_new_object();
	const struct {
		const char *key;
		uint64_t value;
	} counts[] = {
		{"vram_used_bytes", r->vram_used}, {"vram_quota_bytes", r->vram_quota},
		{"processes", r->processes},	   {"queues", r->queues},
		{"backlog_packets", r->backlog},   {"faults", r->faults},
		{"dispatches", r->dispatches},	   {"vm_exits", r->exits},
		{"page_requests", r->page_requests}, {"page_waits", r->page_waits},
		{"page_invalidations", r->page_invalidations}, {"paged_bytes", r->paged},
	};

	json_object_object_add(o, "id", json_object_new_uint64(r->id));
	json_object_object_add(o, "name", json_object_new_string(r->name));
	json_object_object_add(o, "gpu", json_object_new_uint64(r->gpu));
	json_object_object_add(o, "kind", json_object_new_string(r->kind));
	json_object_object_add(o, "program", json_object_new_string(r->program));
	json_object_object_add(o, "gpu_percent", number(r->gpu_percent));
	json_object_object_add(o, "cores", rounded(r->cores, 6));
	json_object_object_add(o, "dispatches_per_second", number(r->dispatch_rate));
	json_object_object_add(o, "vm_exits_per_second", number(r->exit_rate));
	json_object_object_add(o, "page_requests_per_second", number(r->page_request_rate));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		json_object_object_add(o, counts[i].key, json_object_new_uint64(counts[i].value));
	return o;
}

struct json_object *sample_json(const struct sample *s)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	json_object_object_add(o, "ok", json_object_new_boolean(true));
	json_object_object_add(o, "time", json_object_new_uint64((uint64_t)time(NULL)));
	json_object_object_add(o, "interval_seconds", number(s->interval_s));
	json_object_object_add(o, "daemon_pid", json_object_new_uint64(s->daemon_pid));
	for (size_t i = 0; i < s->num_rows; i++)
		json_object_array_add(list, row_json(&s->rows[i]));
	json_object_object_add(o, "tenants", list);
	return o;
}

#define ROW "%-16.16s %-4s %-15.15s %6s %5s %9s %21s %6s %7s %8s %6s"

void sample_heading(char *line, size_t size)
{
	snprintf(line, size, ROW, "TENANT", "KIND", "PROGRAM", "GPU%", "CORES", "DISP/S",
		 "VRAM USED OF QUOTA", "QUEUES", "PACKETS", "EXITS/S", "FAULTS");
}

/* In few digits: 12.3, 4567, 89k, 12M. */
static const char *short_number(char *buf, size_t size, double v)
{
	if (v < 999.95)
		snprintf(buf, size, "%.1f", v);
	else if (v < 99999.5)
		snprintf(buf, size, "%.0f", v);
	else if (v < 9.9995e6)
		snprintf(buf, size, "%.0fk", v / 1e3);
	else
		snprintf(buf, size, "%.0fM", v / 1e6);
	return buf;
}

void sample_line(const struct sample_row *r, char *line, size_t size)
{
	char used[32], quota[32], vram[70], gpu[16], cores[16], disp[24], queues[24], packets[24],
		exits[24], faults[24];

	snprintf(vram, sizeof(vram), "%s of %s", size_format(used, sizeof(used), r->vram_used),
		 size_format(quota, sizeof(quota), r->vram_quota));
	snprintf(gpu, sizeof(gpu), "%.1f", r->gpu_percent > 100 ? 100 : r->gpu_percent);
	snprintf(cores, sizeof(cores), "%.2f", r->cores < 9999 ? r->cores : 9999);
	snprintf(queues, sizeof(queues), "%llu", (unsigned long long)r->queues);
	snprintf(packets, sizeof(packets), "%llu", (unsigned long long)r->backlog);
	snprintf(faults, sizeof(faults), "%llu", (unsigned long long)r->faults);
	snprintf(line, size, ROW, r->label, r->kind, r->program, gpu, cores,
		 short_number(disp, sizeof(disp), r->dispatch_rate), vram, queues, packets,
		 strcmp(r->kind, "vm") ? "-" : short_number(exits, sizeof(exits), r->exit_rate),
		 faults);
}

void sample_summary(const struct sample *s, char *line, size_t size)
{
	uint64_t up = s->uptime_ns / 1000000000u;
	char given[32], total[32];

	snprintf(line, size,
		 "hsavisord %s up %lluh %02llum %02llus, %s%s, %zu tenant%s, %s of %s of VRAM given",
		 s->version, (unsigned long long)up / 3600, (unsigned long long)up / 60 % 60,
		 (unsigned long long)up % 60, s->target, s->num_gpus > 1 ? " and others" : "", s->num_tenants, s->num_tenants == 1 ? "" : "s",
		 size_format(given, sizeof(given), s->vram_reserved),
		 size_format(total, sizeof(total), s->vram));
}
