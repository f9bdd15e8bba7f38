// SPDX-License-Identifier: MIT
/*
 * metrics_text.c - the daemon's figures as OpenMetrics text.
 *
 * One table says which key of the daemon's JSON becomes which metric, with unit and help. A number
 * that the table does not know is told too, by its own name as a gauge, so that nothing the daemon
 * counts is hidden by an older table. Times are told in seconds, as OpenMetrics wants base units.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/metrics.h"

enum form { COUNTER, GAUGE };

struct metric {
	const char *key;  /* in the JSON */
	const char *name; /* behind the prefix, without _total */
	enum form form;
	const char *unit; /* the name's last part, NULL: none */
	double scale;	  /* of the JSON's figure, 0: 1 and an integer */
	const char *help;
};

static const struct metric of_tenant[] = {
	{"dispatches", "dispatches", COUNTER, NULL, 0, "Kernels that ended."},
	{"gpu_ns", "gpu_run_seconds", COUNTER, "seconds", 1e-9,
	 "Time that threads of the GPU ran the tenant's work-groups, summed over threads."},
	{"jit_ns", "jit_seconds", COUNTER, "seconds", 1e-9,
	 "CPU time that compiling the tenant's kernels took; no GPU time."},
	{"gpu_held_ns", "gpu_held_seconds", COUNTER, "seconds", 1e-9,
	 "Time in which the tenant had the GPU."},
	{"turns", "turns", COUNTER, NULL, 0, "How often the tenant got the GPU."},
	{"turns_taken", "turns_taken", COUNTER, NULL, 0,
	 "Turns that ended because the GPU was taken away while there was work."},
	{"late", "late_leaves", COUNTER, NULL, 0,
	 "Turns after which the tenant did not leave the GPU in time."},
	{"late_max_ns", "late_max_seconds", GAUGE, "seconds", 1e-9,
	 "The longest time that it took the tenant to leave the GPU."},
	{"overrun_ns", "overrun_seconds", COUNTER, "seconds", 1e-9,
	 "Time the tenant ran on after its turns; it is charged for it."},
	{"ignored", "ignored_leaves", COUNTER, NULL, 0,
	 "How often the tenant went on for so long that it counts as broken."},
	{"throttled_ns", "throttled_seconds", COUNTER, "seconds", 1e-9,
	 "Time in which the tenant had work and waited because of its cap."},
	{"vm_exits", "vm_exits", COUNTER, NULL, 0, "Accesses of the VM that its broker served."},
	{"memory_faults", "memory_faults", COUNTER, NULL, 0, "GPU memory faults."},
	{"queue_errors", "queue_errors", COUNTER, NULL, 0, "Queues stopped by an error."},
	{"vram_used_bytes", "vram_used_bytes", GAUGE, "bytes", 0, "VRAM allocated."},
	{"vram_peak_bytes", "vram_peak_bytes", GAUGE, "bytes", 0,
	 "The most VRAM that was allocated at once."},
	{"vram_quota_bytes", "vram_quota_bytes", GAUGE, "bytes", 0, "VRAM the tenant may have."},
	{"processes", "processes", GAUGE, NULL, 0, "GPU processes alive."},
	{"queues", "queues", GAUGE, NULL, 0, "Queues alive."},
	{"backlog_packets", "backlog_packets", GAUGE, "packets", 0,
	 "Packets written to queues and not yet done."},
	{"vram_max_bytes", "vram_max_bytes", GAUGE, "bytes", 0,
	 "What the VRAM quota may be raised to."},
	{"vram_swapped_bytes", "vram_swapped_bytes", GAUGE, "bytes", 0,
	 "VRAM of the tenant that is in host memory now."},
	{"vram_swap_outs", "vram_swap_outs", COUNTER, NULL, 0,
	 "How often the tenant's VRAM was swapped out."},
	{"vram_swap_ins", "vram_swap_ins", COUNTER, NULL, 0,
	 "How often the tenant's VRAM was swapped in."},
	{"system_pinned_bytes", "system_pinned_bytes", GAUGE, "bytes", 0,
	 "System memory registered for the GPU."},
	{"paged_bytes", "paged_bytes", GAUGE, "bytes", 0,
	 "Pageable memory that the GPU sees now."},
	{"page_requests", "page_requests", COUNTER, NULL, 0,
	 "Requests for pageable memory that the GPU lacked."},
	{"pages_requested", "pages_requested", COUNTER, NULL, 0, "Pages that they were for."},
	{"page_waits", "page_waits", COUNTER, NULL, 0,
	 "Instructions and packets that had to wait for pageable memory."},
	{"page_invalidations", "page_invalidations", COUNTER, NULL, 0,
	 "How often pages that the GPU saw were taken from it."},
	{"pages_invalidated", "pages_invalidated", COUNTER, NULL, 0,
	 "Pages that were taken from the GPU."},
	{"weight", "weight", GAUGE, NULL, 0, "Share of GPU time in proportion to other tenants'."},
	{"priority", "priority", GAUGE, NULL, 0, "Priority class, see hsavisor set."},
	{"cap_percent", "cap_percent", GAUGE, "percent", 0,
	 "The most of the GPU's time that the tenant gets; 0: no cap."},
	{"reserve_budget_ns", "reserve_budget_seconds", GAUGE, "seconds", 1e-9,
	 "GPU time reserved in each period; 0: no reservation."},
	{"reserve_period_ns", "reserve_period_seconds", GAUGE, "seconds", 1e-9,
	 "Period of the reservation."},
	{"kernel_timeout_ns", "kernel_timeout_seconds", GAUGE, "seconds", 1e-9,
	 "GPU time after which a kernel is stopped; 0: none."},
};

static const struct metric of_gpu[] = {
	{"vram_bytes", "vram_bytes", GAUGE, "bytes", 0, "VRAM of the GPU."},
	{"vram_reserved_bytes", "vram_reserved_bytes", GAUGE, "bytes", 0,
	 "Sum of the tenants' VRAM quotas."},
	{"vram_resident_bytes", "vram_resident_bytes", GAUGE, "bytes", 0,
	 "VRAM that is on the GPU, not swapped out."},
	{"reserved_percent", "reserved_percent", GAUGE, "percent", 0,
	 "GPU time promised to reservations."},
	{"reservable_percent", "reservable_percent", GAUGE, "percent", 0,
	 "GPU time that reservations may have at most."},
	{"threads", "threads", GAUGE, NULL, 0, "Threads a tenant's executor may use."},
};

static const struct metric of_daemon[] = {
	{"uptime_ns", "uptime_seconds", GAUGE, "seconds", 1e-9, "Since hsavisord started."},
	{"tenants", "tenants", GAUGE, NULL, 0, "Tenants that share the GPU."},
};

/* Keys that name things rather than count; they are labels, or of no use here. */
static const char *const not_metrics[] = {"id", "gpu", "pid", "ok", NULL};

/* A label's value with \, " and newline escaped; anything that is not printable ASCII is '?': the
 * daemon lets no other into names, and the text must be UTF-8 in any case. */
static void put_label(FILE *f, const char *name, const char *value, const char *before)
{
	fprintf(f, "%s%s=\"", before, name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', f);
		if (*value == '\n')
			fputs("\\n", f);
		else
			fputc(*value >= ' ' && *value <= '~' ? *value : '?', f);
	}
	fputc('"', f);
}

static void put_tenant_labels(FILE *f, struct json_object *o)
{
	put_label(f, "tenant", json_str(o, "name"), "");
	put_label(f, "kind", json_str(o, "kind"), ",");
	put_label(f, "gpu", json_str(o, "gpu"), ",");
}

static void put_gpu_labels(FILE *f, struct json_object *o)
{
	put_label(f, "gpu", json_str(o, "id"), "");
}

static void put_head(FILE *f, const char *prefix, const struct metric *m)
{
	fprintf(f, "# TYPE %s%s %s\n", prefix, m->name, m->form == COUNTER ? "counter" : "gauge");
	if (m->unit)
		fprintf(f, "# UNIT %s%s %s\n", prefix, m->name, m->unit);
	fprintf(f, "# HELP %s%s %s\n", prefix, m->name, m->help);
}

static void put_value(FILE *f, const struct metric *m, struct json_object *v)
{
	if (m->scale > 0)
		fprintf(f, " %.9f\n", json_object_get_double(v) * m->scale);
	else if (json_object_is_type(v, json_type_double))
		fprintf(f, " %.9g\n", json_object_get_double(v));
	else
		fprintf(f, " %s\n", json_object_get_string(v));
}

typedef void labels_fn(FILE *f, struct json_object *o);

static bool is_number(struct json_object *v)
{
	return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
}

/* One metric family over all of rows. Nothing if no row has it. */
static void put_family(FILE *f, const char *prefix, const struct metric *m,
		       struct json_object *rows, labels_fn *labels)
{
	bool head = false;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *o = json_object_array_get_idx(rows, i), *v;

		if (!json_object_object_get_ex(o, m->key, &v) || !is_number(v))
			continue;
		if (!head)
			put_head(f, prefix, m);
		head = true;
		fprintf(f, "%s%s%s", prefix, m->name, m->form == COUNTER ? "_total" : "");
		if (labels) {
			fputc('{', f);
			labels(f, o);
			fputc('}', f);
		}
		put_value(f, m, v);
	}
}

static bool known(const struct metric *table, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(table[i].key, key))
			return true;
	for (const char *const *k = not_metrics; *k; k++)
		if (!strcmp(*k, key))
			return true;
	return false;
}

static bool metric_name_ok(const char *name)
{
	return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) &&
	       (*name < '0' || *name > '9');
}

static void put_table(FILE *f, const char *prefix, const struct metric *table, size_t n,
		      struct json_object *rows, labels_fn *labels)
{
	for (size_t i = 0; i < n; i++)
		put_family(f, prefix, &table[i], rows, labels);
	if (!json_object_array_length(rows))
		return;
	/* Rows are made by one function of the daemon: the first has all keys. */
	json_object_object_foreach(json_object_array_get_idx(rows, 0), key, v)
	{
		size_t len = strlen(key);
		struct metric m = {.key = key,
				   .name = key,
				   .form = GAUGE,
				   .help = "As hsavisord tells it."};

		if (len > 6 && !strcmp(key + len - 6, "_bytes"))
			m.unit = "bytes";
		if (is_number(v) && !known(table, n, key) && metric_name_ok(key))
			put_family(f, prefix, &m, rows, labels);
	}
}

/* What rows are, as labels of a family of type info: those of their metrics and these keys. */
static void put_info(FILE *f, const char *name, const char *help, struct json_object *rows,
		     labels_fn *labels, const char *const *keys)
{
	if (json_object_array_length(rows))
		fprintf(f, "# TYPE %s info\n# HELP %s %s\n", name, name, help);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *o = json_object_array_get_idx(rows, i);

		fprintf(f, "%s_info{", name);
		labels(f, o);
		for (const char *const *k = keys; *k; k++)
			put_label(f, *k, json_str(o, *k), ",");
		fputs("} 1\n", f);
	}
}

#define TABLE(t) (t), sizeof(t) / sizeof((t)[0])

static void put_all(FILE *f, struct json_object *status, struct json_object *tenants)
{
	static const char *const gpu_info[] = {"target", "backend", NULL}, *const tenant_info[] = {
										   "id", "program",
										   NULL};
	struct json_object *gpus, *daemon = json_object_new_array();

	fputs("# TYPE hsavisor info\n# HELP hsavisor The daemon.\nhsavisor_info{", f);
	put_label(f, "version", json_str(status, "version"), "");
	fputs("} 1\n", f);
	json_object_array_add(daemon, json_object_get(status));
	put_table(f, "hsavisor_", TABLE(of_daemon), daemon, NULL);
	json_object_put(daemon);
	if (json_object_object_get_ex(status, "gpus", &gpus)) {
		put_info(f, "hsavisor_gpu", "A GPU.", gpus, put_gpu_labels, gpu_info);
		put_table(f, "hsavisor_gpu_", TABLE(of_gpu), gpus, put_gpu_labels);
	}
	put_info(f, "hsavisor_tenant", "A tenant and the newest program of it.", tenants,
		 put_tenant_labels, tenant_info);
	put_table(f, "hsavisor_tenant_", TABLE(of_tenant), tenants, put_tenant_labels);
}

char *metrics_text(struct json_object *status, struct json_object *tenants, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	if (!f)
		return NULL;
	fprintf(f,
		"# TYPE hsavisor_up gauge\n# HELP hsavisor_up Whether hsavisord answered.\n"
		"hsavisor_up %d\n",
		status && tenants);
	if (status && tenants)
		put_all(f, status, tenants);
	fputs("# EOF\n", f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

char *metrics_ask(size_t *size, int *err)
{
	struct json_object *status = NULL, *tenants = NULL;
	char *text;

	*err = daemon_ask("status", &status);
	if (!*err)
		*err = daemon_list(&tenants);
	if (*err)
		text = metrics_text(NULL, NULL, size);
	else {
		text = metrics_text(status, tenants, size);
		json_object_put(tenants);
	}
	if (status)
		json_object_put(status);
	return text;
}
