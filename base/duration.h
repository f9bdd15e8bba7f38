/* SPDX-License-Identifier: MIT */
/* duration.h - times as people write them: 16.6ms, 10s, 500us, 2m. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stddef.h>
#include <stdint.h>

/* Parses a decimal number (up to nine digits behind the point) with ns, us, ms, s, m or h. 0, or
 * -EINVAL for anything else, no unit, zero, or beyond a year. */
int duration_parse(const char *text, uint64_t *ns);

/* "16.6ms", "10s", "500us" into buf, exact; returns buf. duration_parse reads it. */
const char *duration_format(char *buf, size_t size, uint64_t ns);

#endif
