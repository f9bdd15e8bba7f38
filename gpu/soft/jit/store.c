/* SPDX-License-Identifier: MIT */
/*
 * store.c - compiled kernels on disk, so that a program's second start finds its kernels compiled.
 *
 * Theory of operation
 *
 * One file per domain of trust: one for each VM (its broker has it open), one for the processes of a user (HSAVISOR_JIT_STORE, or
 * ~/.cache/hsavisor-jit/kernels). Nobody loads what another domain wrote: a tenant could only harm itself. The file
 * must be its user's own and nobody else may be able to write it.
 *
 * The file is a sequence of records, each a key and an object. The key holds everything that the object was made from, the kernel's code
 * included, and is compared byte by byte: two kernels are never taken for each other. A checksum finds records that were damaged.
 * Records are only ever added, under a lock of the file; readers take none, since a record that is not whole is not taken. What follows a damaged
 * record's head is cut off by the next writer, and a file that has grown over STORE_LIMIT starts anew.
 */
#define LOG_PART "jit"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/directory.h"
#include "base/log.h"
#include "gpu/soft/jit/unit.h"

#define RECORD_MAGIC 0x314a5648u /* "HVJ1" */
#define STORE_LIMIT  (256ll << 20)
#define RECORD_LIMIT (64u << 20)

struct record {
	uint32_t magic;
	uint32_t key_size, object_size; /* bytes; the key follows, then the object, then zeros to a multiple of 8 */
	uint32_t zero;
	uint64_t hash;	   /* of the key */
	uint64_t checksum; /* of key and object */
};

static struct {
	pthread_mutex_t lock;
	bool chosen;
	int fd;		   /* kept open, or -1 */
	char path[PATH_MAX]; /* opened anew each time: a program may close descriptors that it does not know */
	/* Where records are, by hash; of the file's first seen bytes. */
	struct place {
		uint64_t hash;
		off_t at;
	} *place;
	size_t num_places, capacity;
	off_t seen;
	dev_t dev;
	ino_t ino;
} store = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* Under the lock: which file it is. */
static void choose(void)
{
	const char *path = secure_getenv("HSAVISOR_JIT_STORE");
	const char *cache = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
	int n = 0;

	if (path) /* empty: none */
		n = snprintf(store.path, sizeof(store.path), "%s", path);
	else if (cache && *cache == '/')
		n = snprintf(store.path, sizeof(store.path), "%s/hsavisor-jit/kernels", cache);
	else if (home && *home == '/')
		n = snprintf(store.path, sizeof(store.path), "%s/.cache/hsavisor-jit/kernels", home);
	if (n >= (int)sizeof(store.path))
		store.path[0] = 0;
	store.chosen = true;
}

void jit_store_use(int fd)
{
	pthread_mutex_lock(&store.lock);
	store.chosen = true;
	store.fd = fd;
	store.path[0] = 0;
	pthread_mutex_unlock(&store.lock);
}

/* Under the lock. The file, or -1. */
static int open_store(void)
{
	struct stat st;
	int fd;

	if (!store.chosen)
		choose();
	if (store.fd < 0 && !store.path[0])
		return -1;
	fd = store.fd;
	if (fd < 0)
		fd = open(store.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == ENOENT && !directory_make_for(store.path, 0700))
		fd = open(store.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		log_info("%s: %s; compiled kernels are not kept", store.path, strerror(errno));
		store.path[0] = 0;
		return -1;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (store.fd < 0 && (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)))) {
		log_warn("%s is not a file that only this user can write; compiled kernels are not kept", store.fd < 0 ? store.path : "the store");
		if (store.fd < 0)
			close(fd);
		store.fd = -1;
		store.path[0] = 0;
		return -1;
	}
	if (st.st_dev != store.dev || st.st_ino != store.ino || st.st_size < store.seen) {
		store.num_places = 0;
		store.seen = 0;
		store.dev = st.st_dev;
		store.ino = st.st_ino;
	}
	return fd;
}

static void close_store(int fd)
{
	if (fd != store.fd)
		close(fd);
}

static off_t record_size(const struct record *r)
{
	return (off_t)(sizeof(*r) + r->key_size + (size_t)r->object_size + 7) & ~7ll;
}

/* Learns of records that were added. Stops where there is none, or not a whole one. */
static void scan(int fd)
{
	struct record r;
	struct stat st;

	if (fstat(fd, &st))
		return;
	while (pread(fd, &r, sizeof(r), store.seen) == sizeof(r)) {
		if (r.magic != RECORD_MAGIC || r.zero || r.key_size > RECORD_LIMIT || r.object_size > RECORD_LIMIT ||
		    store.seen + record_size(&r) > st.st_size)
			return;
		if (store.num_places == store.capacity) {
			size_t more = store.capacity ? 2 * store.capacity : 256;
			struct place *p = realloc(store.place, more * sizeof(*p));

			if (!p)
				return;
			store.place = p;
			store.capacity = more;
		}
		store.place[store.num_places++] = (struct place){r.hash, store.seen};
		store.seen += record_size(&r);
	}
}

/* Everything that the object depends on. The caller frees it; NULL: out of memory. */
static uint8_t *make_key(const struct jit_code *c, bool exact, const char *identity, size_t *size)
{
	uint32_t head[] = {(uint32_t)strlen(identity), exact, c->target, c->num_vgprs, c->num_agprs, c->mode, c->multi_wave, c->full, c->guess, c->paging,
			   c->wg_size[0], c->wg_size[1], c->wg_size[2], c->id_vgprs, c->id_sgpr[0], c->id_sgpr[1], c->id_sgpr[2], c->num_ranges};
	size_t n = sizeof(head) + head[0];
	uint8_t *key, *p;

	for (uint32_t i = 0; i < c->num_ranges; i++)
		n += 12 + c->range[i].size;
	key = p = n <= RECORD_LIMIT ? malloc(n) : NULL;
	if (!key)
		return NULL;
	p = mempcpy(p, head, sizeof(head));
	p = mempcpy(p, identity, head[0]);
	for (uint32_t i = 0; i < c->num_ranges; i++) {
		uint64_t from_entry = c->range[i].va - c->entry_pc;

		p = mempcpy(p, &from_entry, 8);
		p = mempcpy(p, &c->range[i].size, 4);
		p = mempcpy(p, c->range[i].bytes, c->range[i].size);
	}
	*size = n;
	return key;
}

/* Reads the record at a place if it has this key. */
static bool read_record(int fd, off_t at, const uint8_t *key, size_t key_size, uint64_t hash, struct jit_object *object)
{
	struct record r;
	uint8_t *bytes;
	size_t n;

	if (pread(fd, &r, sizeof(r), at) != sizeof(r) || r.magic != RECORD_MAGIC || r.hash != hash || r.key_size != key_size ||
	    r.object_size > RECORD_LIMIT)
		return false;
	n = r.key_size + (size_t)r.object_size;
	bytes = malloc(n);
	if (!bytes)
		return false;
	if (pread(fd, bytes, n, at + (off_t)sizeof(r)) != (ssize_t)n || memcmp(bytes, key, key_size)) {
		free(bytes);
		return false;
	}
	if (XXH3_64bits(bytes, n) != r.checksum) {
		log_warn("a compiled kernel in the store is damaged: it is compiled again");
		free(bytes);
		return false;
	}
	memmove(bytes, bytes + key_size, r.object_size);
	*object = (struct jit_object){bytes, r.object_size};
	return true;
}

/* Under the lock. */
static bool find(int fd, const uint8_t *key, size_t key_size, uint64_t hash, struct jit_object *object)
{
	scan(fd);
	/* The newest first: it may stand for a damaged one. */
	for (size_t i = store.num_places; i-- > 0;)
		if (store.place[i].hash == hash && read_record(fd, store.place[i].at, key, key_size, hash, object))
			return true;
	return false;
}

bool jit_store_get(const struct jit_code *code, bool exact, const char *identity, struct jit_object *object)
{
	bool is_there = false;
	size_t size;
	uint8_t *key = make_key(code, exact, identity, &size);
	int fd;

	if (!key)
		return false;
	pthread_mutex_lock(&store.lock);
	fd = open_store();
	if (fd >= 0) {
		is_there = find(fd, key, size, XXH3_64bits(key, size), object);
		close_store(fd);
	}
	pthread_mutex_unlock(&store.lock);
	free(key);
	return is_there;
}

/* Under the lock of the process and the file's. */
static void append(int fd, uint8_t *record, size_t size)
{
	if (store.seen + (off_t)size > STORE_LIMIT) {
		store.num_places = 0;
		store.seen = 0;
	}
	/* What lies behind the last whole record is nobody's. */
	if (ftruncate(fd, store.seen) || pwrite(fd, record, size, store.seen) != (ssize_t)size)
		log_info("compiled kernels are not kept: %s", strerror(errno));
}

void jit_store_put(const struct jit_code *code, bool exact, const char *identity, const struct jit_object *object)
{
	size_t key_size, size;
	uint8_t *key = make_key(code, exact, identity, &key_size), *all;
	struct record r = {.magic = RECORD_MAGIC, .key_size = (uint32_t)key_size, .object_size = (uint32_t)object->size};
	struct jit_object there;
	int fd;

	if (!key)
		return;
	size = (size_t)record_size(&r);
	all = object->size <= RECORD_LIMIT ? calloc(1, size) : NULL;
	if (all) {
		memcpy(all + sizeof(r), key, key_size);
		memcpy(all + sizeof(r) + key_size, object->bytes, object->size);
		r.hash = XXH3_64bits(key, key_size);
		r.checksum = XXH3_64bits(all + sizeof(r), key_size + object->size);
		memcpy(all, &r, sizeof(r));
		pthread_mutex_lock(&store.lock);
		fd = open_store();
		if (fd >= 0 && !flock(fd, LOCK_EX)) {
			if (find(fd, key, key_size, r.hash, &there))
				free(there.bytes);
			else
				append(fd, all, size);
			flock(fd, LOCK_UN);
		}
		if (fd >= 0)
			close_store(fd);
		pthread_mutex_unlock(&store.lock);
	}
	free(all);
	free(key);
}
