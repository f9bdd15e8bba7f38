// SPDX-License-Identifier: MIT
/*
 * log.c - see log.h. The level of a part is looked up in the text of HSAVISOR_LOG at each call that
 * might print; nothing is allocated, so it works in a preloaded library and after fork. One line is
 * one write(2), so lines of several processes do not mix.
 *
 * Guests cause errors and warnings, and may do so without end: of those, only so many a second are
 * printed, and the others counted. What was asked for by name, info and debug, comes whole.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINES_A_SECOND 50

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char spec[256];
static int log_fd = STDERR_FILENO;

static void log_init(void)
{
	const char *s = getenv("HSAVISOR_LOG");
	const char *file = getenv("HSAVISOR_LOG_FILE");

	if (s)
		snprintf(spec, sizeof(spec), "%s", s);
	if (file && *file) {
		/* syscall(): the preload front end interposes open(). */
		int fd = (int)syscall(SYS_openat, AT_FDCWD, file,
				      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		if (fd >= 0)
			log_fd = fd;
	}
}

static int level_of_name(const char *s, size_t n)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (int i = 0; i < 4; i++)
		if (strlen(names[i]) == n && !strncmp(names[i], s, n))
			return i;
	return LOG_DEBUG; /* "part" alone means everything of it */
}

bool log_enabled(const char *part, enum log_level level)
{
	int limit = LOG_WARN;

	pthread_once(&once, log_init);
	for (const char *p = spec; *p;) {
		size_t len = strcspn(p, ",");
		size_t name = strcspn(p, ",=");
		bool all = name == 3 && !strncmp(p, "all", 3);

		if (all || (strlen(part) == name && !strncmp(p, part, name))) {
			if (name < len)
				limit = level_of_name(p + name + 1, len - name - 1);
			else
				limit = LOG_DEBUG;
			if (!all)
				break;
		}
		p += len;
		if (*p == ',')
			p++;
	}
	return (int)level <= limit;
}

/* True if one more line may be printed in this second; *left_out: lines that were not, before it.
 */
static bool within_limit(unsigned *left_out)
{
	static atomic_llong second;
	static atomic_uint lines, dropped;
	struct timespec now;
	long long before;

	*left_out = 0;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	before = atomic_load(&second);
	if (before != now.tv_sec && atomic_compare_exchange_strong(&second, &before, now.tv_sec)) {
		atomic_store(&lines, 0);
		*left_out = atomic_exchange(&dropped, 0);
	}
	if (atomic_fetch_add(&lines, 1) < LINES_A_SECOND)
		return true;
	atomic_fetch_add(&dropped, 1);
	return false;
}

static void write_line(const char *line, int n)
{
	if (write(log_fd, line, (size_t)n) < 0) {
		/* Nowhere left to say it. */
	}
}

void log_write(const char *part, enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	char line[1024];
	int saved = errno;
	unsigned left_out;
	va_list ap;
	int n;

	if (level <= LOG_WARN) {
		if (!within_limit(&left_out))
			return;
		if (left_out) {
			n = snprintf(line, sizeof(line), "hsavisor[%d] log %s: %u lines left out\n",
				     (int)getpid(), names[LOG_WARN], left_out);
			write_line(line, n);
		}
	}
	n = snprintf(line, sizeof(line), "hsavisor[%d] %s %s: ", (int)getpid(), part, names[level]);
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	write_line(line, n);
	errno = saved;
}
