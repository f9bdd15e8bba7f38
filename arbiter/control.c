// SPDX-License-Identifier: MIT
/* control.c - see control.h. */
#include "arbiter/control.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "arbiter/access.h"
#include "arbiter/answer.h"
#include "arbiter/pool.h"
#include "hsavisor-version.h"

#define ROWS_PER_ANSWER 256 /* whatever they tell, they are less than ARBITER_MSG_MAX */

void answer_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

void answer_str(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, json_object_new_string(v));
}

void answer_fail(struct json_object *answer, int err, const char *sentence)
{
	json_object_object_add(answer, "ok", json_object_new_boolean(false));
	json_object_object_add(answer, "errno", json_object_new_int(err));
	answer_str(answer, "error", sentence);
}

static struct json_object *gpu_json(const struct arbiter_gpu *gpu)
{
	const struct tenants *t = &gpu->tenants;
	struct json_object *g = json_object_new_object();

	answer_u64(g, "id", t->gpu);
	answer_str(g, "backend", "soft");
	answer_str(g, "target", gpu->config->target);
	answer_u64(g, "threads", gpu->config->threads);
	answer_u64(g, "vram_bytes", t->pool);
	answer_u64(g, "vram_reserved_bytes", t->reserved);
	answer_str(g, "vram_overcommit", t->swap ? "swap" : "refuse");
	answer_u64(g, "vram_resident_bytes", t->resident);
	answer_reserved(g, t);
	return g;
}

static void op_status(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer,
		      struct json_object *req, struct json_object *a)
{
	struct json_object *list = json_object_new_array();

	answer_str(a, "version", HSAVISOR_VERSION);
	answer_u64(a, "pid", (uint64_t)getpid());
	answer_u64(a, "uptime_ns", f->now_ns - f->started_ns);
	answer_u64(a, "tenants", gpus_count_tenants(gpus));
	for (uint32_t i = 0; i < gpus->num; i++)
		json_object_array_add(list, gpu_json(&gpus->gpu[i]));
	json_object_object_add(a, "gpus", list);
}

static struct json_object *tenant_json(struct tenant *x)
{
	struct json_object *o = json_object_new_object();
	struct tenant_figures k;

	tenants_figures(x, &k);
	answer_u64(o, "id", x->id);
	answer_str(o, "name", x->name);
	answer_u64(o, "gpu", x->gpu);
	answer_str(o, "kind", x->kind == ARBITER_VM ? "vm" : "host");
	answer_u64(o, "pid", (uint64_t)x->pid);
	answer_str(o, "program", x->program);
	answer_u64(o, "vram_quota_bytes", x->quota);
	answer_u64(o, "vram_max_bytes", x->vram_max);
	answer_u64(o, "vram_used_bytes", k.vram_used);
	answer_u64(o, "vram_peak_bytes", k.vram_peak);
	answer_u64(o, "vram_swapped_bytes", pool_swapped(x));
	answer_u64(o, "vram_swap_outs", x->swap_outs);
	answer_u64(o, "vram_swap_ins", x->swap_ins);
	answer_u64(o, "system_pinned_bytes", k.system_pinned);
	answer_u64(o, "paged_bytes", k.paged);
	answer_u64(o, "page_requests", k.totals.page_requests);
	answer_u64(o, "pages_requested", k.totals.pages_requested);
	answer_u64(o, "page_waits", k.totals.page_waits);
	answer_u64(o, "page_invalidations", k.totals.page_invalidations);
	answer_u64(o, "pages_invalidated", k.totals.pages_taken);
	answer_u64(o, "dispatches", k.totals.dispatches);
	answer_u64(o, "gpu_ns", k.totals.gpu_ns);
	answer_u64(o, "jit_ns", k.totals.jit_ns);
	answer_u64(o, "vm_exits", k.totals.vm_exits);
	answer_u64(o, "memory_faults", k.totals.faults);
	answer_u64(o, "queue_errors", k.totals.queue_errors);
	answer_u64(o, "processes", k.processes);
	answer_u64(o, "queues", k.queues);
	answer_u64(o, "backlog_packets", k.backlog);
	answer_turns(o, x);
	return o;
}

/* An answer is one packet. */
static void op_list(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, struct json_object *req,
		    struct json_object *a)
{
	struct json_object *list = json_object_new_array(), *from = NULL;
	uint64_t row = 0, first;

	json_object_object_get_ex(req, "from", &from);
	first = json_object_get_uint64(from);
	for (uint32_t i = 0; i < gpus->num; i++)
		for (struct tenant *x = gpus->gpu[i].tenants.list; x; x = x->next, row++)
			if (row >= first && row - first < ROWS_PER_ANSWER)
				json_object_array_add(list, tenant_json(x));
	json_object_object_add(a, "tenants", list);
	json_object_object_add(a, "more", json_object_new_boolean(row > first && row - first > ROWS_PER_ANSWER));
}

static void op_faults(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer,
		      struct json_object *req, struct json_object *a)
{
	struct json_object *after = NULL, *tenant = NULL;

	json_object_object_get_ex(req, "after", &after);
	json_object_object_get_ex(req, "tenant", &tenant);
	faults_answer(f->faults, peer, json_object_get_uint64(after),
		      json_object_is_type(tenant, json_type_string) ? json_object_get_string(tenant)
								     : NULL,
		      a);
}

static void op_trace(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer,
		     struct json_object *req, struct json_object *a)
{
	f->trace = true;
}

static void op_shutdown(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer,
			struct json_object *req, struct json_object *a)
{
	struct json_object *force = NULL;

	json_object_object_get_ex(req, "force", &force);
	if (gpus_count_tenants(gpus) && !json_object_get_boolean(force)) {
		answer_fail(a, EBUSY, "there are tenants; stop them first, or use --force");
		return;
	}
	f->shutdown = true;
}

/* Who may: see access.h. An op for members that changes a tenant looks whose it is. */
static const struct {
	const char *name;
	enum access_role role;
	void (*fn)(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, struct json_object *req,
		   struct json_object *answer);
} ops[] = {
	{"status", ACCESS_MEMBER, op_status},
	{"list", ACCESS_MEMBER, op_list},
	{"faults", ACCESS_MEMBER, op_faults},
	{"trace", ACCESS_OWNER, op_trace},
	{"get", ACCESS_MEMBER, control_get},
	{"set", ACCESS_OWNER, control_set},
	{"reset", ACCESS_MEMBER, control_reset},
	{"shutdown", ACCESS_OWNER, op_shutdown},
};

char *control_answer(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, const char *text,
		     size_t size)
{
	struct json_tokener *tok = json_tokener_new_ex(8);
	struct json_object *answer = json_object_new_object(), *req = NULL, *op = NULL;
	char *out = NULL;
	size_t i = 0;

	if (!tok || !answer)
		goto out;
	req = json_tokener_parse_ex(tok, text, (int)size);
	if (!req || !json_object_is_type(req, json_type_object) ||
	    !json_object_object_get_ex(req, "op", &op) ||
	    !json_object_is_type(op, json_type_string)) {
		answer_fail(answer, EINVAL, "a control request is a JSON object with an \"op\"");
	} else {
		json_object_object_add(answer, "ok", json_object_new_boolean(true));
		for (; i < sizeof(ops) / sizeof(ops[0]); i++)
			if (!strcmp(ops[i].name, json_object_get_string(op)))
				break;
		if (i == sizeof(ops) / sizeof(ops[0]))
			answer_fail(answer, EINVAL, "unknown \"op\"");
		else if (access_of_user(peer) < ops[i].role)
			answer_fail(answer, EPERM, "only root and the daemon's user may do that");
		else
			ops[i].fn(gpus, f, peer, req, answer);
	}
	out = strdup(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
out:
	json_object_put(req);
	json_object_put(answer);
	if (tok)
		json_tokener_free(tok);
	return out;
}
