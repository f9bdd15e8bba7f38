/* SPDX-License-Identifier: MIT */
/* size.h - sizes as people write them: 512M, 4G, 1T, plain bytes. */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* Parses "N", or N with K, M, G or T (powers of 1024; "iB" or "B" may follow). 0, or -EINVAL for
 * anything else, zero, or beyond 2^60. */
int size_parse(const char *text, uint64_t *bytes);

/* "512 MiB", "1.5 GiB", "4 KiB", "17 B" into buf; returns buf. */
const char *size_format(char *buf, size_t size, uint64_t bytes);

#endif
