// SPDX-License-Identifier: MIT
/*
 * trace_json.c - GPU events as a trace in the JSON object form of the Trace Event Format, which
 * Perfetto and chrome://tracing show.
 *
 * Times are in microseconds from the trace's start, with nanoseconds behind the point. Dispatches,
 * copies and turns are complete events (X), faults and errors instant ones (i), VRAM and the like
 * counters (C). Whatever began before the trace is shown from its start.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arbiter/faults.h"
#include "cli/trace.h"

#define MAX_TRACKS 4096 /* of a trace */
#define OTHERS	   1	/* the thread of what is beyond */

struct track {
	uint64_t tenant, executor;
	uint32_t process, queue;
	uint32_t tid; /* 0: free */
	bool turns;
};

struct trace_file {
	FILE *f;
	uint64_t start_ns;
	bool any;
	struct track tracks[MAX_TRACKS]; /* hashed */
	unsigned num_tracks;
	uint64_t others_named[256];
	uint64_t named[256]; /* tenants that were told, by a hash; told twice does no harm */
};

struct trace_file *trace_file_new(FILE *f, uint64_t start_ns)
{
	struct trace_file *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->f = f;
	t->start_ns = start_ns;
	fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", f);
	return t;
}

static void put_string(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fputc('\\', f);
		fputc(c >= ' ' && c <= '~' ? c : '?', f);
	}
	fputc('"', f);
}

/* Opens the next event, up to its comma. */
static void begin(struct trace_file *t, char phase, const char *name, uint64_t pid, uint64_t tid)
{
	fputs(t->any ? ",\n" : "", t->f);
	t->any = true;
	fprintf(t->f, "{\"ph\":\"%c\",\"name\":", phase);
	put_string(t->f, name);
	fprintf(t->f, ",\"pid\":%" PRIu64 ",\"tid\":%" PRIu64, pid, tid);
}

static void put_time(struct trace_file *t, const char *key, uint64_t ns)
{
	fprintf(t->f, ",\"%s\":%" PRIu64 ".%03" PRIu64, key, ns / 1000, ns % 1000);
}

void trace_file_tenant(struct trace_file *t, uint64_t id, const char *name, const char *kind)
{
	char text[160];

	if (t->named[id % 256] == id)
		return;
	t->named[id % 256] = id;
	snprintf(text, sizeof(text), "%s (%s)", name, kind);
	begin(t, 'M', "process_name", id, 0);
	fputs(",\"args\":{\"name\":", t->f);
	put_string(t->f, text);
	fputs("}}", t->f);
	begin(t, 'M', "process_sort_index", id, 0);
	fprintf(t->f, ",\"args\":{\"sort_index\":%" PRIu64 "}}", id);
}

/* The thread of an event; named when it is new. */
static uint64_t track(struct trace_file *t, const struct track *want, const char *name, uint64_t sort)
{
	uint64_t hash = (want->tenant * 31 + want->executor) * 0x9e3779b97f4a7c15ull ^
			((uint64_t)want->process << 20 ^ want->queue * 2ull ^ want->turns) *
				0xff51afd7ed558ccdull;
	unsigned i = (hash >> 40) % MAX_TRACKS;
	uint64_t tid = OTHERS;

	for (; t->tracks[i].tid; i = (i + 1) % MAX_TRACKS) {
		const struct track *x = &t->tracks[i];

		if (x->tenant == want->tenant && x->executor == want->executor &&
		    x->process == want->process && x->queue == want->queue &&
		    x->turns == want->turns)
			return x->tid;
	}
	if (t->num_tracks < MAX_TRACKS / 2) {
		t->tracks[i] = *want;
		t->tracks[i].tid = OTHERS + ++t->num_tracks;
		tid = t->tracks[i].tid;
	} else {
		uint64_t *told = &t->others_named[want->tenant % 256];

		if (*told == want->tenant)
			return tid;
		*told = want->tenant;
		name = "others";
	}
	begin(t, 'M', "thread_name", want->tenant, tid);
	fputs(",\"args\":{\"name\":", t->f);
	put_string(t->f, name);
	fputs("}}", t->f);
	begin(t, 'M', "thread_sort_index", want->tenant, tid);
	fprintf(t->f, ",\"args\":{\"sort_index\":%" PRIu64 "}}", sort);
	return tid;
}

static void put_span(struct trace_file *t, const char *category, const struct gpu_trace_event *e)
{
	fprintf(t->f, ",\"cat\":\"%s\"", category);
	put_time(t, "ts", e->begin_ns - t->start_ns);
	put_time(t, "dur", e->end_ns - e->begin_ns);
}

static void put_instant(struct trace_file *t, const char *category, uint64_t ns)
{
	fprintf(t->f, ",\"cat\":\"%s\",\"s\":\"p\"", category);
	put_time(t, "ts", ns - t->start_ns);
}

static void put_kernel(struct trace_file *t, const struct gpu_trace_event *e, const char *kernel)
{
	if (!e->kernel)
		return;
	fputs(",\"kernel\":", t->f);
	put_string(t->f, kernel);
	fprintf(t->f, ",\"descriptor\":\"0x%" PRIx64 "\"", e->kernel);
}

static bool plausible(struct trace_file *t, struct gpu_trace_event *e, uint64_t now_ns)
{
	if (e->kind < GPU_TRACE_DISPATCH || e->kind > GPU_TRACE_ERROR)
		return false;
	if (e->kind == GPU_TRACE_FAULT || e->kind == GPU_TRACE_ERROR)
		e->end_ns = e->begin_ns;
	if (e->end_ns < e->begin_ns || e->end_ns > now_ns || e->end_ns < t->start_ns)
		return false;
	if (e->begin_ns < t->start_ns)
		e->begin_ns = t->start_ns;
	return true;
}

bool trace_file_event(struct trace_file *t, uint64_t tenant, uint64_t executor, uint64_t pid,
		      const struct gpu_trace_event *event, const char *kernel, uint64_t now_ns)
{
	struct gpu_trace_event copy = *event, *e = &copy;
	struct track where = {.tenant = tenant,
			      .executor = executor,
			      .process = e->process,
			      .queue = e->queue,
			      .turns = e->kind == GPU_TRACE_TURN};
	char name[64], queue[64];
	uint64_t tid;

	if (!plausible(t, e, now_ns))
		return false;
	snprintf(name, sizeof(name), "kernel 0x%" PRIx64, e->kernel);
	if (!kernel || !*kernel)
		kernel = e->kernel ? name : "kernel";
	snprintf(queue, sizeof(queue), "process %u queue %u", e->process, e->queue);
	if (where.turns) {
		where.process = where.queue = 0;
		snprintf(queue, sizeof(queue), "turns of executor %" PRIu64, pid);
	}
	tid = track(t, &where, queue, where.turns ? 0 : 1 + e->queue);
	switch (e->kind) {
	case GPU_TRACE_DISPATCH:
		begin(t, 'X', kernel, tenant, tid);
		put_span(t, "dispatch", e);
		fprintf(t->f,
			",\"args\":{\"workgroups\":%" PRIu64 ",\"run_us\":%" PRIu64 ".%03" PRIu64
			",\"preempted\":%u",
			e->workgroups, e->value / 1000, e->value % 1000, e->preempted);
		put_kernel(t, e, kernel);
		break;
	case GPU_TRACE_COPY:
		begin(t, 'X', "copy", tenant, tid);
		put_span(t, "copy", e);
		fprintf(t->f, ",\"args\":{\"bytes\":%" PRIu64, e->value);
		break;
	case GPU_TRACE_TURN:
		begin(t, 'X', e->value ? "GPU, until taken away" : "GPU", tenant, tid);
		put_span(t, "turn", e);
		fprintf(t->f, ",\"args\":{\"taken\":%s", e->value ? "true" : "false");
		if (e->value) {
			fputs("}}", t->f);
			begin(t, 'i', "preempted", tenant, tid);
			fputs(",\"cat\":\"turn\",\"s\":\"t\"", t->f);
			put_time(t, "ts", e->end_ns - t->start_ns);
			fputs(",\"args\":{\"after_us\":", t->f);
			fprintf(t->f, "%" PRIu64, (e->end_ns - e->begin_ns) / 1000);
		}
		break;
	case GPU_TRACE_FAULT:
		begin(t, 'i', "memory fault", tenant, tid);
		put_instant(t, "fault", e->begin_ns);
		fprintf(t->f, ",\"args\":{\"address\":\"0x%" PRIx64 "\"", e->value);
		put_kernel(t, e, kernel);
		break;
	case GPU_TRACE_ERROR:
		snprintf(name, sizeof(name), "queue error: %s", fault_code_name((uint32_t)e->value));
		begin(t, 'i', name, tenant, tid);
		put_instant(t, "error", e->begin_ns);
		fprintf(t->f, ",\"args\":{\"code\":%" PRIu64, e->value);
		put_kernel(t, e, kernel);
		break;
	}
	fputs("}}", t->f);
	return true;
}

void trace_file_counter(struct trace_file *t, uint64_t tenant, const char *name, const char *unit,
			double value, uint64_t now_ns)
{
	begin(t, 'C', name, tenant, 0);
	put_time(t, "ts", now_ns - t->start_ns);
	fputs(",\"args\":{", t->f);
	put_string(t->f, unit);
	fprintf(t->f, ":%.3f}}", value);
}

int trace_file_end(struct trace_file *t, uint64_t lost, uint64_t now_ns)
{
	int err;

	fprintf(t->f,
		"\n],\"otherData\":{\"source\":\"hsavisor trace\",\"seconds\":%.3f,"
		"\"lost_events\":%" PRIu64 "}}\n",
		(double)(now_ns - t->start_ns) / 1e9, lost);
	err = fflush(t->f) || ferror(t->f) ? -(errno ? errno : EIO) : 0;
	free(t);
	return err;
}
