// SPDX-License-Identifier: MIT
/*
 * faults.c - see faults.h; the ring is told of in protocol.h.
 *
 * An executor may write its ring at any time. An entry is copied once and all is done with the
 * copy; one that was overwritten meanwhile (by the count) is lost. A torn one of a liar is its own
 * loss.
 */
#define LOG_PART "arbiter"
#include "arbiter/faults.h"

#include <json-c/json.h>
#include <string.h>

#include "arbiter/access.h"
#include "arbiter/tenants.h"
#include "base/log.h"

#define SECOND_NS   1000000000u
#define SAFE	    (ARBITER_FAULTS - 1u) /* the next report may be half written over the one before */
#define OLD_NS	    (10ull * SECOND_NS) /* a report is not older */
#define TENANT_HASH 1024u /* two tenants whose ids are so far apart may share a bucket */

static void make_printable(char *text, size_t size)
{
	text[size - 1] = 0;
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* Room for one more at the end. */
static struct fault_entry *make_room(struct fault_log *log)
{
	uint16_t counts[TENANT_HASH] = {0};
	uint32_t victim = 0, goes = 0;

	if (log->count < FAULTS_KEPT)
		return &log->entries[log->count++];
	for (uint32_t i = 0; i < log->count; i++) {
		uint32_t hash = log->entries[i].tenant_id % TENANT_HASH;

		if (++counts[hash] > counts[victim])
			victim = hash;
	}
	while (log->entries[goes].tenant_id % TENANT_HASH != victim)
		goes++;
	memmove(&log->entries[goes], &log->entries[goes + 1],
		(log->count - goes - 1) * sizeof(log->entries[0]));
	return &log->entries[log->count - 1];
}

static void say(const struct fault_entry *x)
{
	const struct arbiter_fault *f = &x->fault;

	log_warn("tenant '%s' (%u): %s[%u] queue %u: %s%s%s%s%s", x->tenant, x->tenant_id,
		 f->process_name, f->process, f->queue, fault_code_name(f->code),
		 f->code		   ? ""
		 : f->flags & 4	   ? " (not executable)"
		 : f->flags & 2	   ? " (read only)"
				   : " (not present)",
		 f->kernel_name[0] ? " in kernel " : "", f->kernel_name,
		 x->lost ? "; others before were not told" : "");
	if (!f->code)
		log_warn("tenant '%s' (%u): the address was 0x%llx", x->tenant, x->tenant_id,
			 (unsigned long long)f->address);
}

static void add(struct fault_log *log, const struct tenant *t, const struct arbiter_fault *fault,
		uint32_t lost, uint64_t real)
{
	struct fault_entry *x = make_room(log);

	*x = (struct fault_entry){.number = ++log->number,
				  .tenant_id = t->id,
				  .gpu = t->gpu,
				  .uid = t->uid,
				  .vm = t->kind == ARBITER_VM,
				  .lost = lost,
				  .fault = *fault};
	memcpy(x->tenant, t->name, sizeof(x->tenant));
	make_printable(x->fault.process_name, sizeof(x->fault.process_name));
	make_printable(x->fault.kernel_name, sizeof(x->fault.kernel_name));
	if (x->fault.time_ns > real || real - x->fault.time_ns > OLD_NS)
		x->fault.time_ns = real;
	say(x);
}

bool faults_read(struct fault_log *log, struct executor *e, uint64_t now, uint64_t real)
{
	struct fault_rate *r = &e->tenant->fault_rate;
	uint32_t written = atomic_load_explicit(&e->page->faults, memory_order_acquire);
	uint32_t n = written - e->faults_seen, lost = 0;

	if (!n)
		return false;
	if (n > SAFE) {
		lost = n - SAFE;
		e->faults_seen = written - SAFE;
	}
	/* From here on at most SAFE rounds. */
	if (now - r->second_ns >= SECOND_NS) {
		r->second_ns = now;
		r->taken = 0;
	}
	for (; e->faults_seen != written; e->faults_seen++) {
		struct arbiter_fault copy = e->shared->faults[e->faults_seen % ARBITER_FAULTS];

		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&e->page->faults, memory_order_relaxed) - e->faults_seen >
			    SAFE ||
		    r->taken >= FAULTS_PER_SECOND) {
			lost++;
			continue;
		}
		r->taken++;
		log->lost += lost;
		add(log, e->tenant, &copy, lost, real);
		lost = 0;
	}
	log->lost += lost;
	return true;
}

static void put_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static void put_str(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, json_object_new_string(v));
}

static struct json_object *entry_json(const struct fault_entry *x)
{
	const struct arbiter_fault *f = &x->fault;
	struct json_object *o = json_object_new_object();

	put_u64(o, "number", x->number);
	put_u64(o, "time_ns", f->time_ns);
	put_str(o, "tenant", x->tenant);
	put_u64(o, "tenant_id", x->tenant_id);
	put_u64(o, "gpu", x->gpu);
	put_str(o, "kind", x->vm ? "vm" : "host");
	put_str(o, "process", f->process_name);
	put_u64(o, "pid", f->process);
	put_u64(o, "queue", f->queue);
	put_str(o, "what", fault_code_name(f->code));
	put_u64(o, "code", f->code);
	if (!f->code) {
		put_u64(o, "address", f->address);
		put_str(o, "access",
			f->flags & 4   ? "not executable"
			: f->flags & 2 ? "read only"
				       : "not present");
	}
	put_u64(o, "kernel_descriptor", f->kernel);
	put_str(o, "kernel", f->kernel_name);
	if (x->lost)
		put_u64(o, "lost_before", x->lost);
	return o;
}

void faults_answer(const struct fault_log *log, uid_t peer, uint64_t after, const char *tenant,
		   struct json_object *answer)
{
	struct json_object *list = json_object_new_array();
	bool all = access_of_user(peer) == ACCESS_OWNER, more = false;
	uint64_t next = after < log->number ? log->number : after;
	unsigned n = 0;

	for (uint32_t i = 0; i < log->count; i++) {
		const struct fault_entry *x = &log->entries[i];

		if (x->number <= after || (tenant && strcmp(tenant, x->tenant)) ||
		    (!all && x->uid != peer))
			continue;
		if (n == FAULTS_PER_ANSWER) {
			more = true;
			break;
		}
		json_object_array_add(list, entry_json(x));
		n++;
		next = x->number;
	}
	if (!more)
		next = log->number;
	json_object_object_add(answer, "faults", list);
	put_u64(answer, "next", next);
	json_object_object_add(answer, "more", json_object_new_boolean(more));
	put_u64(answer, "lost", log->lost);
}
