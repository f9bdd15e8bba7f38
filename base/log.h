/* SPDX-License-Identifier: MIT */
/*
 * log.h - one log for every part, switchable per part.
 *
 * Each source file defines LOG_PART ("vmm", "core", "cp", ...) before it includes this header.
 * HSAVISOR_LOG selects what is printed: a comma-separated list of PART[=LEVEL] where LEVEL is
 * error, warn, info or debug and PART "all" stands for every part, e.g.
 * HSAVISOR_LOG=all=warn,vmm=debug. The default is all=warn. HSAVISOR_LOG_FILE names a file to
 * append to; without it lines go to standard error. A line is "hsavisor[PID] PART LEVEL: text". Of
 * errors and warnings, at most 50 a second are printed.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* True if a line of this part and level would be printed; cheap, thread-safe. */
bool log_enabled(const char *part, enum log_level level);

/* Prints one line; keeps errno. */
__attribute__((format(printf, 3, 4))) void log_write(const char *part, enum log_level level,
						     const char *fmt, ...);

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if (log_enabled(LOG_PART, (level)))                                                \
			log_write(LOG_PART, (level), __VA_ARGS__);                                 \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

#endif
