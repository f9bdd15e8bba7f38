// SPDX-License-Identifier: MIT
/*
 * control_policy.c - the requests about what tenants may have: get, set, reset; see control.h.
 *
 * set is all or nothing: everything is checked before anything is changed, and what can still fail
 * then (the quota, the file) comes first.
 */
#define LOG_PART "arbiter"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arbiter/access.h"
#include "arbiter/answer.h"
#include "arbiter/config.h"
#include "arbiter/pool.h"
#include "base/log.h"

void answer_turns(struct json_object *o, const struct tenant *x)
{
	const struct turn_tenant *k = &x->turn;

	answer_u64(o, "weight", k->policy.weight);
	answer_u64(o, "priority", k->policy.priority);
	answer_u64(o, "cap_percent", k->policy.cap);
	answer_u64(o, "reserve_budget_ns", k->policy.budget_ns);
	answer_u64(o, "reserve_period_ns", k->policy.period_ns);
	answer_u64(o, "kernel_timeout_ns", k->policy.kernel_ns);
	answer_u64(o, "gpu_held_ns", k->held_ns);
	answer_u64(o, "turns", k->turns);
	answer_u64(o, "turns_taken", k->taken);
	answer_u64(o, "late", k->late);
	answer_u64(o, "late_max_ns", k->late_max_ns);
	answer_u64(o, "overrun_ns", k->overrun_ns);
	answer_u64(o, "ignored", k->ignored);
	answer_u64(o, "throttled_ns", k->throttled_ns);
}

/* Millionths of the GPU that tenants but this one have reserved. */
static uint32_t reserved_by_others(const struct tenants *t, const struct tenant *but)
{
	uint32_t sum = 0;

	for (const struct tenant *x = t->list; x; x = x->next)
		if (x != but)
			sum += policy_reserved(&x->turn.policy);
	return sum;
}

void answer_reserved(struct json_object *gpu, const struct tenants *t)
{
	json_object_object_add(gpu, "reserved_percent",
			       json_object_new_double(reserved_by_others(t, NULL) / 1e4));
	answer_u64(gpu, "reservable_percent", POLICY_RESERVABLE);
}

int control_admit(const struct tenants *t, const struct tenant *x,
		  const struct tenant_policy *policy, char *message)
{
	return policy_admit(policy, reserved_by_others(t, x), message);
}

void control_apply(struct turns *turns, struct tenant *x,
		   const struct tenant_policy *policy, uint64_t now)
{
	turns_set_policy(turns, x, policy, now);
	for (struct executor *e = x->executors; e; e = e->next)
		atomic_store(&e->page->limits.kernel_ns, policy->kernel_ns);
}

/* A tenant that a request is about, on the GPUs that it means. */
struct named {
	struct {
		struct arbiter_gpu *gpu;
		struct tenant *tenant;
	} on[ARBITER_MAX_GPUS];
	uint32_t num;
};

/* False after the request was refused. */
static bool find_named(struct arbiter_gpus *gpus, struct json_object *req, struct json_object *a, struct named *n)
{
	struct json_object *v, *gpu = NULL;
	const char *name;
	char text[160];

	n->num = 0;
	if (!json_object_object_get_ex(req, "tenant", &v) ||
	    !json_object_is_type(v, json_type_string)) {
		answer_fail(a, EINVAL, "the request names no \"tenant\"");
		return false;
	}
	name = json_object_get_string(v);
	if (json_object_object_get_ex(req, "gpu", &gpu) &&
	    (!json_object_is_type(gpu, json_type_int) || json_object_get_int64(gpu) < 0 || json_object_get_int64(gpu) >= gpus->num)) {
		answer_fail(a, EINVAL, "\"gpu\" is no number of a GPU");
		return false;
	}
	for (uint32_t i = 0; i < gpus->num; i++) {
		struct tenant *x = tenants_find(&gpus->gpu[i].tenants, name);

		if (!x || (gpu && json_object_get_int64(gpu) != i))
			continue;
		n->on[n->num].gpu = &gpus->gpu[i];
		n->on[n->num++].tenant = x;
	}
	if (n->num)
		return true;
	snprintf(text, sizeof(text), "there is no tenant '%.63s'%s", name, gpu ? " on that GPU" : "");
	answer_fail(a, ESRCH, text);
	return false;
}

/* Refuses a request with a key that isn't known: a misspelt limit must not look set. */
static bool only(struct json_object *req, const char *const *known, struct json_object *a)
{
	json_object_object_foreach(req, key, v)
	{
		char text[80];
		size_t i = 0;

		while (known[i] && strcmp(known[i], key))
			i++;
		if (known[i])
			continue;
		snprintf(text, sizeof(text), "unknown key \"%.40s\"", key);
		answer_fail(a, EINVAL, text);
		return false;
	}
	return true;
}

static void answer_policy(struct json_object *a, const struct tenant *x)
{
	answer_str(a, "tenant", x->name);
	answer_u64(a, "gpu", x->gpu);
	json_object_object_add(a, "policy", config_write_policy(&x->turn.policy, x->quota));
}

void control_get(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, struct json_object *req,
		 struct json_object *a)
{
	static const char *const known[] = {"op", "tenant", "gpu", NULL};
	struct named n;

	if (only(req, known, a) && find_named(gpus, req, a, &n))
		answer_policy(a, n.on[0].tenant);
}

/* What a tenant is to have on one GPU, and had before. */
struct change {
	struct tenant_policy policy;
	uint64_t vram, old_vram;
};

/* Checks the request's policy for each GPU. 0, or negative errno with a sentence in message. */
static int check_set(const struct named *n, struct json_object *o, struct change *changes, char *message)
{
	int err = 0;

	for (uint32_t i = 0; i < n->num && !err; i++) {
		const struct tenant *x = n->on[i].tenant;
		struct change *c = &changes[i];

		c->policy = x->turn.policy;
		c->vram = c->old_vram = x->quota;
		err = config_read_policy(o, false, &c->policy, &c->vram, message, NULL);
		if (!err)
			err = control_admit(&n->on[i].gpu->tenants, x, &c->policy, message);
	}
	return err;
}

static void undo_quotas(const struct named *n, const struct change *changes, uint32_t num)
{
	char unsaid[CONFIG_MESSAGE];

	while (num--)
		if (changes[num].vram != changes[num].old_vram)
			pool_set_quota(&n->on[num].gpu->tenants, n->on[num].tenant, changes[num].old_vram, unsaid);
}

/* The quotas on all GPUs, or none. */
static int set_quotas(const struct named *n, const struct change *changes, char *message)
{
	for (uint32_t i = 0; i < n->num; i++) {
		int err = 0;

		if (changes[i].vram != changes[i].old_vram)
			err = pool_set_quota(&n->on[i].gpu->tenants, n->on[i].tenant, changes[i].vram, message);
		if (err) {
			undo_quotas(n, changes, i);
			return err;
		}
	}
	return 0;
}

void control_set(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, struct json_object *req,
		 struct json_object *a)
{
	static const char *const known[] = {"op", "tenant", "gpu", "policy", "save", NULL};
	struct json_object *o = NULL, *save = NULL;
	struct change changes[ARBITER_MAX_GPUS];
	char message[CONFIG_MESSAGE];
	struct named n;
	int err;

	if (!only(req, known, a) || !find_named(gpus, req, a, &n))
		return;
	if (!json_object_object_get_ex(req, "policy", &o) || !o) {
		answer_fail(a, EINVAL, "the request has no \"policy\"");
		return;
	}
	if (json_object_object_get_ex(req, "save", &save) &&
	    !json_object_is_type(save, json_type_boolean)) {
		answer_fail(a, EINVAL, "\"save\" is true or false");
		return;
	}
	err = check_set(&n, o, changes, message);
	if (!err && json_object_get_boolean(save) && !f->config_path) {
		snprintf(message, sizeof(message), "hsavisord runs without a configuration file");
		err = -ENOENT;
	}
	if (!err)
		err = set_quotas(&n, changes, message);
	if (!err && json_object_get_boolean(save)) {
		err = config_save(f->config_path, n.on[0].tenant->name, o, message);
		if (err)
			undo_quotas(&n, changes, n.num);
		f->config_changed = !err;
	}
	if (err) {
		answer_fail(a, -err, message);
		return;
	}
	for (uint32_t i = 0; i < n.num; i++)
		control_apply(&n.on[i].gpu->turns, n.on[i].tenant, &changes[i].policy, f->now_ns);
	log_info("tenant '%s' (%u): policy %s", n.on[0].tenant->name, n.on[0].tenant->id,
		 json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	answer_policy(a, n.on[0].tenant);
}

void control_reset(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, struct json_object *req,
		   struct json_object *a)
{
	static const char *const known[] = {"op", "tenant", "gpu", "process", NULL};
	struct json_object *v = NULL;
	uint32_t process = 0;
	struct named n;
	const struct tenant *x;

	if (!only(req, known, a) || !find_named(gpus, req, a, &n))
		return;
	x = n.on[0].tenant;
	if (access_of_user(peer) < ACCESS_OWNER && peer != x->uid) {
		answer_fail(a, EPERM, "that tenant belongs to another user");
		return;
	}
	if (json_object_object_get_ex(req, "process", &v)) {
		if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 1 ||
		    json_object_get_int64(v) > INT32_MAX) {
			answer_fail(a, EINVAL, "\"process\" is a process id");
			return;
		}
		process = (uint32_t)json_object_get_int64(v);
	}
	log_warn("tenant '%s' (%u): kernels of process %u (0: all) are stopped on request", x->name,
		 x->id, process);
	for (uint32_t i = 0; i < n.num; i++) {
		for (struct executor *e = n.on[i].tenant->executors; e; e = e->next) {
			atomic_store(&e->page->limits.reset_process, process);
			atomic_fetch_add(&e->page->limits.reset_seq, 1);
		}
	}
	answer_str(a, "tenant", x->name);
}
