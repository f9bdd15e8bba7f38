// SPDX-License-Identifier: MIT
/*
 * interpose.c - the libc functions this library replaces, and nothing else exported.
 *
 * Each looks whether the path or descriptor is ours, by a comparison of a few bytes or one load,
 * and otherwise calls the next library's function of that name. Both names of functions with 32-
 * and 64-bit file offsets are here; on this architecture they mean the same.
 */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "host/front.h"

#define EXPORT __attribute__((visibility("default")))

/* The next function of that name, looked up once. */
#define NEXT_AS(name, ...)                                                                         \
	({                                                                                         \
		static _Atomic(void *) next_;                                                      \
		void *found_ = atomic_load_explicit(&next_, memory_order_relaxed);                 \
		if (!found_) {                                                                     \
			found_ = dlsym(RTLD_NEXT, #name);                                          \
			atomic_store_explicit(&next_, found_, memory_order_relaxed);               \
		}                                                                                  \
		(__VA_ARGS__)(found_);                                                             \
	})
#define NEXT(name) NEXT_AS(name, __typeof__(&name))

/*
 * In the kernel, where these calls of a program would go, no thread is cancelled; here what they
 * call can be (waits, reads and writes), with our locks held. So not before the call is over.
 */
static int hold_cancel(void)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

static void release_cancel(int old)
{
	pthread_setcancelstate(old, NULL);
}

/* ------------------------------------------------------------------ opening */

/* Opens what is ours. True if path was; *fd is then the answer, errno set. */
static bool open_ours(const char *path, int flags, int *fd, char *real)
{
	int kind = path_find(path, real), err, cancel;

	switch (PATH_KIND(kind)) {
	case PATH_OTHER:
	case PATH_TREE:
		return false;
	case PATH_KFD:
	case PATH_RENDER:
		cancel = hold_cancel();
		err = front_open();
		release_cancel(cancel);
		*fd = err ? err : kind == PATH_KFD ? files_open(FILE_KFD, 0, flags) : files_open(FILE_RENDER, PATH_GPU(kind), flags);
		break;
	case PATH_CARD:
		*fd = -EACCES;
		break;
	default:
		*fd = -errno;
		break;
	}
	if (*fd < 0) {
		errno = -*fd;
		*fd = -1;
	}
	return true;
}

/* path or what stands for it; NULL with errno: ours, but not to be had. */
static const char *redirect(const char *path, char *real)
{
	int kind = path_find(path, real);

	return kind < 0 ? NULL : kind == PATH_OTHER ? path : real;
}

#define DEFINE_OPEN(name)                                                                          \
	EXPORT int name(const char *path, int flags, ...)                                          \
	{                                                                                          \
		char real[PATH_MAX];                                                               \
		mode_t mode = 0;                                                                   \
		va_list ap;                                                                        \
		int fd;                                                                            \
                                                                                                   \
		if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {                         \
			va_start(ap, flags);                                                       \
			mode = va_arg(ap, mode_t);                                                 \
			va_end(ap);                                                                \
		}                                                                                  \
		if (open_ours(path, flags, &fd, real))                                             \
			return fd;                                                                 \
		path = redirect(path, real);                                                       \
		return path ? NEXT(name)(path, flags, mode) : -1;                                  \
	}
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                                                        \
	EXPORT int name(int dir, const char *path, int flags, ...)                                 \
	{                                                                                          \
		char real[PATH_MAX];                                                               \
		mode_t mode = 0;                                                                   \
		va_list ap;                                                                        \
		int fd;                                                                            \
                                                                                                   \
		if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {                         \
			va_start(ap, flags);                                                       \
			mode = va_arg(ap, mode_t);                                                 \
			va_end(ap);                                                                \
		}                                                                                  \
		if (open_ours(path, flags, &fd, real))                                             \
			return fd;                                                                 \
		path = redirect(path, real);                                                       \
		return path ? NEXT(name)(dir, path, flags, mode) : -1;                             \
	}
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

/* What _FORTIFY_SOURCE calls for opens without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

#define DEFINE_OPEN_2(name)                                                                        \
	EXPORT int name(const char *path, int flags)                                               \
	{                                                                                          \
		char real[PATH_MAX];                                                               \
		int fd;                                                                            \
                                                                                                   \
		if (open_ours(path, flags, &fd, real))                                             \
			return fd;                                                                 \
		path = redirect(path, real);                                                       \
		return path ? NEXT(name)(path, flags) : -1;                                        \
	}
DEFINE_OPEN_2(__open_2)
DEFINE_OPEN_2(__open64_2)

#define DEFINE_OPENAT_2(name)                                                                      \
	EXPORT int name(int dir, const char *path, int flags)                                      \
	{                                                                                          \
		char real[PATH_MAX];                                                               \
		int fd;                                                                            \
                                                                                                   \
		if (open_ours(path, flags, &fd, real))                                             \
			return fd;                                                                 \
		path = redirect(path, real);                                                       \
		return path ? NEXT(name)(dir, path, flags) : -1;                                   \
	}
DEFINE_OPENAT_2(__openat_2)
DEFINE_OPENAT_2(__openat64_2)

#define DEFINE_FOPEN(name)                                                                         \
	EXPORT FILE *name(const char *path, const char *mode)                                      \
	{                                                                                          \
		char real[PATH_MAX];                                                               \
                                                                                                   \
		path = redirect(path, real);                                                       \
		return path ? NEXT(name)(path, mode) : NULL;                                       \
	}
DEFINE_FOPEN(fopen)
DEFINE_FOPEN(fopen64)

EXPORT DIR *opendir(const char *path)
{
	char real[PATH_MAX];

	path = redirect(path, real);
	return path ? NEXT(opendir)(path) : NULL;
}

EXPORT int scandir(const char *path, struct dirent ***list, int (*filter)(const struct dirent *),
		   int (*compare)(const struct dirent **, const struct dirent **))
{
	char real[PATH_MAX];

	path = redirect(path, real);
	return path ? NEXT(scandir)(path, list, filter, compare) : -1;
}

EXPORT int scandir64(const char *path, struct dirent64 ***list,
		     int (*filter)(const struct dirent64 *),
		     int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
	char real[PATH_MAX];

	path = redirect(path, real);
	return path ? NEXT(scandir64)(path, list, filter, compare) : -1;
}

/* ------------------------------------------------------------------ asking about paths */

EXPORT int access(const char *path, int mode)
{
	char real[PATH_MAX];

	path = redirect(path, real);
	return path ? NEXT(access)(path, mode) : -1;
}

EXPORT int faccessat(int dir, const char *path, int mode, int flags)
{
	char real[PATH_MAX];

	path = redirect(path, real);
	return path ? NEXT(faccessat)(dir, path, mode, flags) : -1;
}

EXPORT ssize_t readlink(const char *restrict path, char *restrict buf, size_t size)
{
	char real[PATH_MAX];

	path = redirect(path, real);
	return path ? NEXT(readlink)(path, buf, size) : -1;
}

EXPORT ssize_t readlinkat(int dir, const char *restrict path, char *restrict buf, size_t size)
{
	char real[PATH_MAX];

	path = redirect(path, real);
	return path ? NEXT(readlinkat)(dir, path, buf, size) : -1;
}

/* ls asks for access control lists. */
#define DEFINE_GETXATTR(name)                                                                      \
	EXPORT ssize_t name(const char *path, const char *attr, void *value, size_t size)          \
	{                                                                                          \
		char real[PATH_MAX];                                                               \
                                                                                                   \
		path = redirect(path, real);                                                       \
		return path ? NEXT(name)(path, attr, value, size) : -1;                            \
	}
DEFINE_GETXATTR(getxattr)
DEFINE_GETXATTR(lgetxattr)

/* One of our paths has no links in it, so it is its own real path, if it exists. */
EXPORT char *realpath(const char *restrict path, char *restrict resolved)
{
	char real[PATH_MAX];
	int kind = path_find(path, real);

	if (kind < 0)
		return NULL;
	if (kind == PATH_OTHER)
		return NEXT(realpath)(path, resolved);
	if (NEXT(access)(real, F_OK) < 0)
		return NULL;
	if (!resolved)
		return strdup(path);
	return strlen(path) < PATH_MAX ? strcpy(resolved, path) : NULL;
}

static void fill_device(enum file_kind kind, uint32_t gpu, mode_t *mode, dev_t *rdev)
{
	*mode = S_IFCHR | 0666;
	*rdev = kind == FILE_KFD ? makedev(FRONT_KFD_MAJOR, 0)
				 : makedev(FRONT_DRM_MAJOR, FRONT_RENDER_MINOR + gpu);
}

/* Whether path is a device node of ours: FILE_*, FILE_RENDER + 1 for the card; -1 no. */
static void dress_path(int kind, mode_t *mode, dev_t *rdev)
{
	switch (PATH_KIND(kind)) {
	case PATH_KFD:
		fill_device(FILE_KFD, 0, mode, rdev);
		break;
	case PATH_RENDER:
		fill_device(FILE_RENDER, PATH_GPU(kind), mode, rdev);
		break;
	case PATH_CARD:
		*mode = S_IFCHR | 0660;
		*rdev = makedev(FRONT_DRM_MAJOR, PATH_GPU(kind));
		break;
	}
}

static void dress_fd(int fd, mode_t *mode, dev_t *rdev)
{
	bool stale;
	struct file *file = files_get(fd, &stale);

	if (!file)
		return;
	fill_device(file->kind, file->gpu, mode, rdev);
	files_put(file);
}

static bool is_empty(const char *path)
{
	return path && !*path;
}

/* Functions that stat a path: (before) path (after). */
#define STAT_PATH(name, type, result, call_ours, ...)                                              \
	{                                                                                          \
		char real[PATH_MAX];                                                               \
		int kind = path_find(path, real), n;                                               \
                                                                                                   \
		if (kind < 0)                                                                      \
			return -1;                                                                 \
		path = kind == PATH_OTHER ? path : real;                                           \
		n = call_ours(__VA_ARGS__);                                                        \
		if (!n && kind != PATH_OTHER)                                                      \
			dress_path(kind, &(result)->st_mode, &(result)->st_rdev);                  \
		return n;                                                                          \
	}

#define STAT_FD(name, result, call_ours, ...)                                                      \
	{                                                                                          \
		int n = call_ours(__VA_ARGS__);                                                    \
                                                                                                   \
		if (!n && files_is_special(fd))                                                    \
			dress_fd(fd, &(result)->st_mode, &(result)->st_rdev);                      \
		return n;                                                                          \
	}

#define DEFINE_STAT(name, type)                                                                    \
	EXPORT int name(const char *restrict path, struct type *restrict st)                       \
		STAT_PATH(name, type, st, NEXT(name), path, st)
DEFINE_STAT(stat, stat)
DEFINE_STAT(stat64, stat64)
DEFINE_STAT(lstat, stat)
DEFINE_STAT(lstat64, stat64)

#define DEFINE_FSTAT(name, type)                                                                   \
	EXPORT int name(int fd, struct type *st) STAT_FD(name, st, NEXT(name), fd, st)
DEFINE_FSTAT(fstat, stat)
DEFINE_FSTAT(fstat64, stat64)

#define DEFINE_FSTATAT(name, type)                                                                 \
	EXPORT int name(int fd, const char *restrict path, struct type *restrict st, int flags)    \
	{                                                                                          \
		if (flags & AT_EMPTY_PATH && is_empty(path))                                       \
			STAT_FD(name, st, NEXT(name), fd, path, st, flags)                         \
		STAT_PATH(name, type, st, NEXT(name), fd, path, st, flags)                         \
	}
DEFINE_FSTATAT(fstatat, stat)
DEFINE_FSTATAT(fstatat64, stat64)

/* Programs built before glibc 2.33 call these. */
int __xstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat(int version, const char *path, struct stat *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstat(int version, int fd, struct stat *st);
int __fxstat64(int version, int fd, struct stat64 *st);
int __fxstatat(int version, int fd, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int fd, const char *path, struct stat64 *st, int flags);

#define DEFINE_XSTAT(name, type)                                                                   \
	EXPORT int name(int version, const char *path, struct type *st)                            \
		STAT_PATH(name, type, st, NEXT(name), version, path, st)
DEFINE_XSTAT(__xstat, stat)
DEFINE_XSTAT(__xstat64, stat64)
DEFINE_XSTAT(__lxstat, stat)
DEFINE_XSTAT(__lxstat64, stat64)

#define DEFINE_FXSTAT(name, type)                                                                  \
	EXPORT int name(int version, int fd, struct type *st)                                      \
		STAT_FD(name, st, NEXT(name), version, fd, st)
DEFINE_FXSTAT(__fxstat, stat)
DEFINE_FXSTAT(__fxstat64, stat64)

#define DEFINE_FXSTATAT(name, type)                                                                \
	EXPORT int name(int version, int fd, const char *path, struct type *st, int flags)         \
	{                                                                                          \
		if (flags & AT_EMPTY_PATH && is_empty(path))                                       \
			STAT_FD(name, st, NEXT(name), version, fd, path, st, flags)                \
		STAT_PATH(name, type, st, NEXT(name), version, fd, path, st, flags)                \
	}
DEFINE_FXSTATAT(__fxstatat, stat)
DEFINE_FXSTATAT(__fxstatat64, stat64)

EXPORT int statx(int fd, const char *restrict path, int flags, unsigned mask,
		 struct statx *restrict st)
{
	char real[PATH_MAX];
	bool by_fd = flags & AT_EMPTY_PATH && is_empty(path);
	int kind = by_fd ? PATH_OTHER : path_find(path, real), n;
	mode_t mode;
	dev_t rdev;

	if (kind < 0)
		return -1;
	n = NEXT(statx)(fd, kind == PATH_OTHER ? path : real, flags, mask, st);
	if (n || (by_fd ? !files_is_special(fd) : kind == PATH_OTHER))
		return n;
	mode = st->stx_mode;
	rdev = makedev(st->stx_rdev_major, st->stx_rdev_minor);
	if (by_fd)
		dress_fd(fd, &mode, &rdev);
	else
		dress_path(kind, &mode, &rdev);
	st->stx_mode = (uint16_t)mode;
	st->stx_rdev_major = major(rdev);
	st->stx_rdev_minor = minor(rdev);
	return 0;
}

/* ------------------------------------------------------------------ descriptors */

EXPORT int close(int fd)
{
	if (files_is_special(fd))
		files_closed(fd);
	return NEXT(close)(fd);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	int (*next)(unsigned, unsigned, int) =
		NEXT_AS(close_range, int (*)(unsigned, unsigned, int));

	if (!next) {
		errno = ENOSYS;
		return -1;
	}
	if (!(flags & (int)CLOSE_RANGE_CLOEXEC))
		for (unsigned fd = first; fd <= last && fd < 65536; fd++)
			files_closed((int)fd);
	return next(first, last, flags);
}

EXPORT void closefrom(int first)
{
	void (*next)(int) = NEXT_AS(closefrom, void (*)(int));

	for (int fd = first < 0 ? 0 : first; fd < 65536; fd++)
		files_closed(fd);
	if (next)
		next(first);
}

EXPORT int dup(int fd)
{
	int to = NEXT(dup)(fd);

	files_duplicated(fd, to);
	return to;
}

EXPORT int dup2(int fd, int to)
{
	int n = NEXT(dup2)(fd, to);

	if (n >= 0)
		files_duplicated(fd, n);
	return n;
}

EXPORT int dup3(int fd, int to, int flags)
{
	int n = NEXT(dup3)(fd, to, flags);

	if (n >= 0)
		files_duplicated(fd, n);
	return n;
}

#define DEFINE_FCNTL(name)                                                                         \
	EXPORT int name(int fd, int command, ...)                                                  \
	{                                                                                          \
		va_list ap;                                                                        \
		void *arg;                                                                         \
		int n;                                                                             \
                                                                                                   \
		va_start(ap, command);                                                             \
		arg = va_arg(ap, void *);                                                          \
		va_end(ap);                                                                        \
		n = NEXT(name)(fd, command, arg);                                                  \
		if (n >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))                  \
			files_duplicated(fd, n);                                                   \
		return n;                                                                          \
	}
DEFINE_FCNTL(fcntl)
DEFINE_FCNTL(fcntl64)

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct file *file;
	bool stale;
	va_list ap;
	void *arg;
	int err, cancel;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	file = files_get(fd, &stale);
	if (!file)
		return NEXT(ioctl)(fd, request, arg);
	cancel = hold_cancel();
	if (stale)
		err = -EBADF;
	else if (file->kind == FILE_KFD)
		err = kfd_ioctl(file, request, arg);
	else
		err = render_ioctl(file, request, arg);
	files_put(file);
	release_cancel(cancel);
	if (err < 0) {
		errno = -err;
		return -1;
	}
	return err;
}

/* ------------------------------------------------------------------ memory */

static void *mmap_ours(int fd, void *addr, size_t length, int prot, int flags, off_t offset,
		       bool *done)
{
	struct file *file;
	bool stale;
	int cancel;
	void *p;

	*done = false;
	if (flags & MAP_ANONYMOUS || !files_is_special(fd))
		return NULL;
	file = files_get(fd, &stale);
	if (!file)
		return NULL;
	*done = true;
	if (stale) {
		errno = EBADF;
		p = MAP_FAILED;
	} else {
		cancel = hold_cancel();
		p = memory_mmap(file, addr, length, prot, flags, offset);
		release_cancel(cancel);
	}
	files_put(file);
	return p;
}

/* Around a call that may take rights to a range from the program. */
#define CHANGING(addr, length, call)                                                               \
	({                                                                                         \
		struct pages_change change_;                                                       \
		int cancel_ = hold_cancel(), errno_;                                               \
		__typeof__(call) result_;                                                          \
                                                                                                   \
		pages_change_begin(&change_, addr, length);                                        \
		result_ = call;                                                                    \
		errno_ = errno;                                                                    \
		pages_change_end(&change_);                                                        \
		release_cancel(cancel_);                                                           \
		errno = errno_;                                                                    \
		result_;                                                                           \
	})

#define DEFINE_MMAP(name, offset_type)                                                             \
	EXPORT void *name(void *addr, size_t length, int prot, int flags, int fd,                  \
			  offset_type offset)                                                      \
	{                                                                                          \
		bool done;                                                                         \
		void *p;                                                                           \
                                                                                                   \
		/* Ours takes locks. What it puts there, the program may use as it likes. */       \
		if (flags & MAP_FIXED && pages_on() && files_is_special(fd))                       \
			(void)CHANGING(addr, length, 0);                                           \
		p = mmap_ours(fd, addr, length, prot, flags, offset, &done);                       \
		if (done)                                                                          \
			return p;                                                                  \
		if (flags & MAP_FIXED && pages_on())                                               \
			return CHANGING(addr, length,                                              \
					NEXT(name)(addr, length, prot, flags, fd, offset));        \
		return NEXT(name)(addr, length, prot, flags, fd, offset);                          \
	}
DEFINE_MMAP(mmap, off_t)
DEFINE_MMAP(mmap64, off64_t)

EXPORT int munmap(void *addr, size_t length)
{
	int cancel = hold_cancel();

	memory_unmapped(addr, length);
	release_cancel(cancel);
	return pages_on() ? CHANGING(addr, length, NEXT(munmap)(addr, length))
			  : NEXT(munmap)(addr, length);
}

static void *mremap_from(void *old, size_t old_size, size_t size, int flags, void *to)
{
	return CHANGING(old, old_size, NEXT(mremap)(old, old_size, size, flags, to));
}

EXPORT void *mremap(void *old, size_t old_size, size_t size, int flags, ...)
{
	void *to = NULL;
	va_list ap;

	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		to = va_arg(ap, void *);
		va_end(ap);
	}
	if (!pages_on())
		return NEXT(mremap)(old, old_size, size, flags, to);
	return to ? CHANGING(to, size, mremap_from(old, old_size, size, flags, to))
		  : mremap_from(old, old_size, size, flags, to);
}

EXPORT int mprotect(void *addr, size_t length, int prot)
{
	return pages_on() ? CHANGING(addr, length, NEXT(mprotect)(addr, length, prot))
			  : NEXT(mprotect)(addr, length, prot);
}

EXPORT int pkey_mprotect(void *addr, size_t length, int prot, int key)
{
	return pages_on() ? CHANGING(addr, length, NEXT(pkey_mprotect)(addr, length, prot, key))
			  : NEXT(pkey_mprotect)(addr, length, prot, key);
}

/* Those by which memory goes away; others are hints. */
EXPORT int madvise(void *addr, size_t length, int advice)
{
	const int guard_install = 102, dontneed_locked = 24;

	if (pages_on() && (advice == MADV_DONTNEED || advice == MADV_REMOVE || advice == guard_install || advice == dontneed_locked))
		return CHANGING(addr, length, NEXT(madvise)(addr, length, advice));
	return NEXT(madvise)(addr, length, advice);
}

/* How much goes is not known here: the GPU asks again for what stays. */
EXPORT int shmdt(const void *addr)
{
	return pages_on() ? CHANGING(addr, (1ul << 47) - (uintptr_t)addr, NEXT(shmdt)(addr)) : NEXT(shmdt)(addr);
}
