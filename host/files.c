// SPDX-License-Identifier: MIT
/*
 * files.c - which descriptors are ours.
 *
 * A table by descriptor; empty slots are the common case and cost one load. A descriptor that a
 * child inherited through fork keeps its entry, whose pid tells that it is stale. A vfork child
 * shares this memory while its descriptors are its own: what it closes or duplicates must not be
 * noted, hence the comparison of pids.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/front.h"

#define MAX_FDS 65536

static _Atomic(struct file *) files[MAX_FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t next_id = 1;
static pid_t owner; /* whose descriptors the table is about */

void files_lock(void)
{
	pthread_mutex_lock(&lock);
}

void files_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

bool files_is_special(int fd)
{
	return fd >= 0 && fd < MAX_FDS && atomic_load_explicit(&files[fd], memory_order_acquire);
}

bool files_has(uint32_t id)
{
	bool found = false;

	files_lock();
	for (int fd = 0; fd < MAX_FDS && !found; fd++) {
		const struct file *file = atomic_load_explicit(&files[fd], memory_order_relaxed);

		found = file && file->id == id;
	}
	files_unlock();
	return found;
}

static void put_locked(struct file *file)
{
	if (--file->refs)
		return;
	if (file->gem)
		gem_file_ended();
	free(file);
}

static void forget_fd(int fd)
{
	struct file *file = atomic_exchange(&files[fd], NULL);

	if (file)
		put_locked(file);
}

int files_open(enum file_kind kind, uint32_t gpu, int open_flags)
{
	struct file *file = calloc(1, sizeof(*file));
	int fd;

	if (!file)
		return -ENOMEM;
	fd = memfd_create(kind == FILE_KFD ? "hsavisor-kfd" : "hsavisor-render",
			  open_flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
	if (fd < 0 || fd >= MAX_FDS) {
		int err = fd < 0 ? -errno : -EMFILE;

		if (fd >= 0)
			close(fd);
		free(file);
		return err;
	}
	file->kind = kind;
	file->gpu = gpu;
	file->pid = getpid();
	file->refs = 1;
	files_lock();
	owner = file->pid;
	file->id = next_id++;
	forget_fd(fd); /* closed behind our back */
	atomic_store(&files[fd], file);
	files_unlock();
	return fd;
}

struct file *files_get(int fd, bool *stale)
{
	struct file *file;

	*stale = false;
	if (!files_is_special(fd))
		return NULL;
	files_lock();
	file = atomic_load(&files[fd]);
	if (file) {
		file->refs++;
		*stale = file->pid != getpid();
	}
	files_unlock();
	return file;
}

void files_put(struct file *file)
{
	files_lock();
	put_locked(file);
	files_unlock();
}

/* True if this thread's descriptors are those of the table. */
static bool ours(void)
{
	pid_t pid = getpid();

	/* A fork child copied the table, so it has become its owner; in a vfork child the parent's
	 * memory says otherwise. */
	return owner == pid || front.pid == 0;
}

void files_closed(int fd)
{
	if (!files_is_special(fd))
		return;
	files_lock();
	if (ours())
		forget_fd(fd);
	files_unlock();
	gem_collect();
}

void files_duplicated(int fd_from, int fd_to)
{
	struct file *file;

	if (fd_to < 0 || fd_to >= MAX_FDS || fd_from < 0 || fd_from >= MAX_FDS || fd_from == fd_to)
		return;
	if (!files_is_special(fd_from) && !files_is_special(fd_to))
		return;
	files_lock();
	if (ours()) {
		file = atomic_load(&files[fd_from]);
		if (file)
			file->refs++;
		forget_fd(fd_to);
		atomic_store(&files[fd_to], file);
	}
	files_unlock();
}
