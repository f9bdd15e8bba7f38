// SPDX-License-Identifier: MIT
/* inject.c - see inject.h. */
#include "tests/faults/inject.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>

static atomic_ulong calls, failed, fail_at;
static atomic_bool fail_all;
static _Thread_local bool exempted;

/* Open addressing; blocks that the C library allocated are freed through us without being here. */
#define SLOTS (1u << 18)
#define GONE  ((void *)1)
static void *held[SLOTS];
static long blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void inject_arm(unsigned long n, bool all)
{
	atomic_store(&calls, 0);
	atomic_store(&failed, 0);
	atomic_store(&fail_all, all);
	atomic_store(&fail_at, n);
}

unsigned long inject_disarm(void)
{
	atomic_store(&fail_at, 0);
	return atomic_load(&failed);
}

unsigned long inject_calls(void)
{
	return atomic_load(&calls);
}

void inject_exempt(bool exempt)
{
	exempted = exempt;
}

static bool fails(int error)
{
	unsigned long at, call;

	if (exempted)
		return false;
	call = atomic_fetch_add(&calls, 1) + 1;
	at = atomic_load(&fail_at);
	if (!at || (atomic_load(&fail_all) ? call < at : call != at))
		return false;
	atomic_fetch_add(&failed, 1);
	errno = error;
	return true;
}

static unsigned slot_of(const void *p)
{
	return (unsigned)(((uintptr_t)p >> 4) * 2654435761u) % SLOTS;
}

static void hold(void *p)
{
	unsigned i = slot_of(p);

	if (!p)
		return;
	pthread_mutex_lock(&lock);
	while (held[i] && held[i] != GONE)
		i = (i + 1) % SLOTS;
	held[i] = p;
	blocks++;
	pthread_mutex_unlock(&lock);
}

static void let_go(const void *p)
{
	unsigned i = slot_of(p);

	if (!p)
		return;
	pthread_mutex_lock(&lock);
	while (held[i] && held[i] != p)
		i = (i + 1) % SLOTS;
	if (held[i]) {
		held[i] = GONE;
		blocks--;
	}
	pthread_mutex_unlock(&lock);
}

long inject_blocks(void)
{
	long n;

	pthread_mutex_lock(&lock);
	n = blocks;
	pthread_mutex_unlock(&lock);
	return n;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__real_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __real_memfd_create(const char *name, unsigned flags);
int __real_eventfd(unsigned value, int flags);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);
void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);

void *__wrap_malloc(size_t size)
{
	void *p = fails(ENOMEM) ? NULL : __real_malloc(size);

	hold(p);
	return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *p = fails(ENOMEM) ? NULL : __real_calloc(n, size);

	hold(p);
	return p;
}

void *__wrap_realloc(void *p, size_t size)
{
	void *q;

	if (fails(ENOMEM))
		return NULL;
	let_go(p);
	q = __real_realloc(p, size);
	hold(q ? q : p);
	return q;
}

void __wrap_free(void *p)
{
	let_go(p);
	__real_free(p);
}

void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	return fails(ENOMEM) ? MAP_FAILED : __real_mmap64(at, size, prot, flags, fd, offset);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
	return fails(EMFILE) ? -1 : __real_memfd_create(name, flags);
}

int __wrap_eventfd(unsigned value, int flags)
{
	return fails(EMFILE) ? -1 : __real_eventfd(value, flags);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	return fails(EAGAIN) ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}
