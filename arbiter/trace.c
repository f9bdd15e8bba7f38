// SPDX-License-Identifier: MIT
/* trace.c - see trace.h. */
#include "arbiter/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arbiter/msg.h"
#include "arbiter/gpus.h"

static void tell_pages(const struct tracing *g, struct arbiter_gpus *gpus)
{
	for (uint32_t i = 0; i < gpus->num; i++)
		for (struct tenant *x = gpus->gpu[i].tenants.list; x; x = x->next)
			for (struct executor *e = x->executors; e; e = e->next)
				atomic_store(&e->page->trace, g->session);
}

void trace_begin(struct tracing *g, struct arbiter_gpus *gpus)
{
	/* A new session for each tool: it needs the kernels' names, which are told once a session. */
	g->tools++;
	g->session = ++g->sessions ? g->sessions : (g->sessions = 1);
	tell_pages(g, gpus);
}

void trace_end(struct tracing *g, struct arbiter_gpus *gpus)
{
	if (--g->tools)
		return;
	g->session = 0;
	tell_pages(g, gpus);
}

/* The shared memory again, for reading alone: the descriptor that executors have can write. */
static int open_read_only(const struct executor *e)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", e->page_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int trace_tell(int sock, const struct executor *e, bool gone)
{
	struct json_object *o;
	const char *text;
	struct stat st;
	int fd = -1, err;

	if (e->kind == ARBITER_HOST)
		return 0;
	if (fstat(e->page_fd, &st) < 0)
		return -errno;
	if (!gone) {
		fd = open_read_only(e);
		if (fd < 0)
			return fd;
	}
	o = json_object_new_object();
	json_object_object_add(o, "event", json_object_new_string(gone ? "gone" : "executor"));
	/* The file's number: nobody else has it as long as somebody has the file. */
	json_object_object_add(o, "serial", json_object_new_uint64(st.st_ino));
	if (!gone) {
		json_object_object_add(o, "tenant", json_object_new_string(e->tenant->name));
		json_object_object_add(o, "tenant_id", json_object_new_uint64(e->tenant->id));
		json_object_object_add(
			o, "kind",
			json_object_new_string(e->tenant->kind == ARBITER_VM ? "vm" : "host"));
		json_object_object_add(o, "from",
				       json_object_new_uint64(atomic_load(&e->page->traced)));
		json_object_object_add(o, "gpu", json_object_new_uint64(e->tenant->gpu));
		json_object_object_add(o, "pid", json_object_new_uint64((uint64_t)e->pid));
	}
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	err = msg_send(sock, text, strlen(text), &fd, !gone);
	json_object_put(o);
	if (fd >= 0)
		close(fd);
	return err;
}

int trace_tell_all(int sock, const struct arbiter_gpus *gpus)
{
	int err = 0;

	for (uint32_t i = 0; i < gpus->num; i++)
		for (const struct tenant *x = gpus->gpu[i].tenants.list; x && !err; x = x->next)
			for (const struct executor *e = x->executors; e && !err; e = e->next)
				err = trace_tell(sock, e, false);
	return err;
}
