// SPDX-License-Identifier: MIT
/* cmd_status.c - `hsavisor status`, `hsavisor list`, `hsavisor stop`: asking the daemon. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/sample.h"

/* Reads --json, --force and --help. Returns -1 to go on, else the exit code. */
static int options(int argc, char **argv, const char *usage, bool *json, bool *force)
{
	static const struct option known[] = {{"json", no_argument, NULL, 'j'},
					      {"force", no_argument, NULL, 'f'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (c == 'j' && json) {
			*json = true;
		} else if (c == 'f' && force) {
			*force = true;
		} else {
			return cli_usage(usage, c);
		}
	}
	if (optind < argc)
		return cli_usage(usage, '?');
	return -1;
}

int cmd_status(int argc, char **argv)
{
	static const char usage[] =
		"Usage: hsavisor status [--json]\nShows the daemon and its GPUs.\n";
	struct json_object *a, *gpus = NULL;
	bool json = false;
	int code = options(argc, argv, usage, &json, NULL);
	uint64_t s;

	if (code >= 0)
		return code;
	code = daemon_request("status", NULL, &a);
	if (code)
		return code;
	if (json) {
		json_print(a);
	} else {
		s = json_u64(a, "uptime_ns") / 1000000000u;
		printf("hsavisord %s, pid %llu, up %lluh %02llum %02llus, %llu tenants\n",
		       json_str(a, "version"), (unsigned long long)json_u64(a, "pid"),
		       (unsigned long long)s / 3600, (unsigned long long)s / 60 % 60,
		       (unsigned long long)s % 60, (unsigned long long)json_u64(a, "tenants"));
		json_object_object_get_ex(a, "gpus", &gpus);
		for (size_t i = 0; gpus && i < json_object_array_length(gpus); i++) {
			struct json_object *g = json_object_array_get_idx(gpus, i);
			char total[32], reserved[32];

			printf("GPU %llu: %s (%s), VRAM %s, %s given to tenants, %llu threads a "
			       "tenant\n",
			       (unsigned long long)json_u64(g, "id"), json_str(g, "target"),
			       json_str(g, "backend"),
			       size_format(total, sizeof(total), json_u64(g, "vram_bytes")),
			       size_format(reserved, sizeof(reserved),
					   json_u64(g, "vram_reserved_bytes")),
			       (unsigned long long)json_u64(g, "threads"));
		}
	}
	json_object_put(a);
	return EXIT_OK;
}

/* "6ms/16.6ms" or "-", in a static buffer. */
static const char *reservation(struct json_object *o)
{
	uint64_t budget = json_u64(o, "reserve_budget_ns");
	static char text[80];
	char a[32], b[32];

	if (!budget)
		return "-";
	snprintf(text, sizeof(text), "%s/%s", duration_format(a, sizeof(a), budget),
		 duration_format(b, sizeof(b), json_u64(o, "reserve_period_ns")));
	return text;
}

int cmd_list(int argc, char **argv)
{
	static const char usage[] =
		"Usage: hsavisor list [--json]\nShows the tenants that share the GPUs, each on each GPU that it has.\n";
	struct json_object *list;
	size_t gpus = 0;
	bool json = false;
	int code = options(argc, argv, usage, &json, NULL);

	if (code >= 0)
		return code;
	code = daemon_list(&list);
	if (code)
		return daemon_failed(code);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (json_u64(json_object_array_get_idx(list, i), "gpu") >= gpus)
			gpus = json_u64(json_object_array_get_idx(list, i), "gpu") + 1;
	if (json) {
		json_print(list);
	} else {
		printf("%-20s %-5s %8s %-18s %10s %12s %21s %9s %6s %4s %4s %s\n", "TENANT", "KIND",
		       "PID", "PROGRAM", "DISPATCHES", "GPU TIME", "VRAM USED OF QUOTA", "VM EXITS",
		       "WEIGHT", "PRIO", "CAP", "RESERVE");
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *o = json_object_array_get_idx(list, i);
			char used[32], quota[32], vram[70], cap[24] = "-", label[72];

			snprintf(
				vram, sizeof(vram), "%s of %s",
				size_format(used, sizeof(used), json_u64(o, "vram_used_bytes")),
				size_format(quota, sizeof(quota), json_u64(o, "vram_quota_bytes")));
			if (json_u64(o, "cap_percent"))
				snprintf(cap, sizeof(cap), "%llu%%",
					 (unsigned long long)json_u64(o, "cap_percent"));
			tenant_label(label, sizeof(label), o, gpus);
			printf("%-20s %-5s %8llu %-18s %10llu %10.3f s %21s %9llu %6llu %4llu %4s "
			       "%s\n",
			       label, json_str(o, "kind"),
			       (unsigned long long)json_u64(o, "pid"), json_str(o, "program"),
			       (unsigned long long)json_u64(o, "dispatches"),
			       (double)json_u64(o, "gpu_ns") / 1e9, vram,
			       (unsigned long long)json_u64(o, "vm_exits"),
			       (unsigned long long)json_u64(o, "weight"),
			       (unsigned long long)json_u64(o, "priority"), cap, reservation(o));
		}
	}
	json_object_put(list);
	return EXIT_OK;
}

int cmd_stop(int argc, char **argv)
{
	static const char usage[] = "Usage: hsavisor stop [--force]\n"
				    "Ends the daemon; refused while there are tenants, unless "
				    "--force is given: then they go on alone.\n";
	bool force = false;
	int code = options(argc, argv, usage, NULL, &force);

	return code >= 0 ? code : daemon_shutdown(force);
}
