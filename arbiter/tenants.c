// SPDX-License-Identifier: MIT
/* tenants.c - see tenants.h. */
#define LOG_PART "arbiter"
#include "arbiter/tenants.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arbiter/pool.h"
#include "base/log.h"

static bool name_ok(const char *s)
{
	size_t n = strnlen(s, ARBITER_NAME_MAX);

	if (n == 0 || n == ARBITER_NAME_MAX)
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

struct tenant *tenants_find(const struct tenants *t, const char *name)
{
	for (struct tenant *x = t->list; x; x = x->next)
		if (!strcmp(x->name, name))
			return x;
	return NULL;
}

/* A memfd that nobody can resize: a client cannot make the arbiter's (or QEMU's) mapping of it
 * fault. */
static int sealed_memfd(const char *name, uint64_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int tenants_vram_file(uint64_t size)
{
	return sealed_memfd("hsavisor-vram", size);
}

static void executor_free(struct executor *e)
{
	if (e->shared)
		munmap(e->shared, sizeof(*e->shared));
	if (e->page_fd >= 0)
		close(e->page_fd);
	if (e->wake_fd >= 0)
		close(e->wake_fd);
	if (e->vram_fd >= 0)
		close(e->vram_fd);
	if (e->pool.swap_fd >= 0)
		close(e->pool.swap_fd);
	if (e->pool.bell_fd >= 0)
		close(e->pool.bell_fd);
	free(e);
}

/* vram: the size of its VRAM, bytes. */
static struct executor *executor_new(enum arbiter_kind kind, uint64_t vram)
{
	struct executor *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->kind = kind;
	e->vram_fd = e->pool.swap_fd = e->pool.bell_fd = -1;
	e->page_fd = sealed_memfd("hsavisor-tenant", sizeof(struct arbiter_shared));
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kind != ARBITER_HOST)
		e->vram_fd = tenants_vram_file(vram);
	e->vram_alone = true;
	if (e->page_fd < 0 || e->wake_fd < 0 || (kind != ARBITER_HOST && e->vram_fd < 0))
		goto fail;
	e->shared = mmap(NULL, sizeof(*e->shared), PROT_READ | PROT_WRITE, MAP_SHARED, e->page_fd,
			 0);
	if (e->shared == MAP_FAILED) {
		e->shared = NULL;
		goto fail;
	}
	e->page = &e->shared->page;
	return e;
fail:
	executor_free(e);
	return NULL;
}

static int refuse(char *message, int err, const char *text)
{
	snprintf(message, 128, "%s", text);
	return err;
}

static int make_tenant(struct tenants *t, const struct arbiter_msg *msg, struct tenant **out,
		       char *message)
{
	uint64_t vram = msg->vram ? msg->vram : t->default_quota;
	struct tenant *x, **tail;
	int err;

	if (tenants_find(t, msg->name)) {
		snprintf(message, 128, "a tenant named '%s' exists already", msg->name);
		return -EEXIST;
	}
	if (t->count >= MAX_TENANTS)
		return refuse(message, -ENOSPC, "there are 256 tenants already");
	err = pool_admit(t, vram, msg->vram_max, message);
	if (err)
		return err;
	x = calloc(1, sizeof(*x));
	if (!x)
		return refuse(message, -ENOMEM, "hsavisord is out of memory");
	x->id = ++t->last_id;
	x->gpu = t->gpu;
	x->kind = msg->kind;
	x->quota = vram;
	x->vram_max = msg->vram_max ? msg->vram_max : vram;
	strcpy(x->name, msg->name);
	for (tail = &t->list; *tail; tail = &(*tail)->next)
		;
	*tail = x;
	t->count++;
	pool_account(t);
	*out = x;
	return 0;
}

static void drop_tenant(struct tenants *t, struct tenant *x)
{
	for (struct tenant **p = &t->list; *p; p = &(*p)->next) {
		if (*p != x)
			continue;
		*p = x->next;
		break;
	}
	t->count--;
	free(x);
}

int tenants_hello(struct tenants *t, const struct arbiter_msg *raw, int sock, pid_t peer,
		  uid_t peer_uid, struct executor **executor, char *message)
{
	struct arbiter_msg msg = *raw;
	struct tenant *x = NULL;
	struct executor *e;
	int err;

	if (msg.version != ARBITER_VERSION)
		return refuse(message, -EPROTO,
			      "this hsavisord speaks another version of the tenant protocol");
	if (msg.kind > ARBITER_PROCESS)
		return refuse(message, -EPROTO, "unknown kind of tenant");
	if (!name_ok(msg.name))
		return refuse(message, -EINVAL,
			      "a tenant's name is 1 to 63 of letters, digits, '.', '_' and '-'");
	if (t->executors >= MAX_EXECUTORS)
		return refuse(message, -ENOSPC, "there are 1024 executors already");
	if (msg.kind == ARBITER_PROCESS) {
		x = tenants_find(t, msg.name);
		if (!x || x->kind != ARBITER_HOST) {
			snprintf(message, 128, "there is no host tenant named '%s'", msg.name);
			return -ENOENT;
		}
		if (peer_uid != 0 && peer_uid != x->uid)
			return refuse(message, -EPERM, "that tenant belongs to another user");
	} else {
		err = make_tenant(t, &msg, &x, message);
		if (err)
			return err;
		x->pid = peer;
		x->uid = peer_uid;
	}
	e = executor_new(msg.kind, x->vram_max);
	if (e && pool_join(t, e, x->vram_max)) {
		executor_free(e);
		e = NULL;
	}
	if (!e) {
		if (msg.kind != ARBITER_PROCESS) {
			drop_tenant(t, x);
			pool_account(t);
		}
		return refuse(message, -ENOMEM, "hsavisord has no memory or descriptors left");
	}
	e->tenant = x;
	e->pid = peer;
	e->sock = sock;
	e->next = x->executors;
	x->executors = e;
	t->executors++;
	pool_account(t);
	*executor = e;
	log_info("tenant '%s' (%u): executor pid %d", x->name, x->id, (int)peer);
	return 0;
}

/* Keeps the name of the executor's newest program: a client's text, so printable characters only.
 * The client may write while we read, so it is copied before it is looked at. */
static void note_program(struct tenant *x, const struct executor *e)
{
	char program[sizeof(e->page->counters.program)];
	size_t n;

	memcpy(program, e->page->counters.program, sizeof(program));
	atomic_signal_fence(memory_order_seq_cst); /* the compiler does not read it again, either */
	n = strnlen(program, sizeof(x->program) - 1);
	if (e->kind == ARBITER_HOST || !n)
		return;
	for (size_t i = 0; i < n; i++)
		x->program[i] = program[i] >= 32 && program[i] < 127 ? program[i] : '?';
	x->program[n] = 0;
}

static void add_totals(struct arbiter_totals *t, const struct arbiter_counters *k)
{
	t->dispatches += k->dispatches;
	t->gpu_ns += k->gpu_ns;
	t->jit_ns += k->jit_ns;
	t->vm_exits += k->vm_exits;
	t->faults += k->faults;
	t->queue_errors += k->queue_errors;
	t->page_requests += k->paging.requests;
	t->pages_requested += k->paging.pages;
	t->page_waits += k->paging.waits;
	t->page_invalidations += k->paging.invalidations;
	t->pages_taken += k->paging.pages_taken;
}

void tenants_goodbye(struct tenants *t, struct executor *e)
{
	struct tenant *x = e->tenant;
	const struct arbiter_counters *k = &e->page->counters;

	note_program(x, e);
	log_info("tenant '%s' (%u): executor pid %d left", x->name, x->id, (int)e->pid);
	add_totals(&x->ended, k);
	pool_forget(t, e);
	for (struct executor **p = &x->executors; *p; p = &(*p)->next) {
		if (*p == e) {
			*p = e->next;
			break;
		}
	}
	if (!x->executors)
		drop_tenant(t, x);
	t->executors--;
	executor_free(e);
	pool_account(t);
}

void tenants_figures(struct tenant *x, struct tenant_figures *f)
{
	*f = (struct tenant_figures){.totals = x->ended};
	for (struct executor *e = x->executors; e; e = e->next) {
		const struct arbiter_counters *k = &e->page->counters;

		add_totals(&f->totals, k);
		f->processes += k->processes;
		f->queues += k->queues;
		f->backlog += k->backlog;
		f->system_pinned += k->system_pinned;
		f->paged += k->paging.bytes;
		note_program(x, e);
	}
	f->vram_used = (uint64_t)x->charged;
	f->vram_peak = x->charged_peak;
}
