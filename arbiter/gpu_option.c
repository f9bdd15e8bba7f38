// SPDX-License-Identifier: MIT
/* gpu_option.c - see gpu_option.h. */
#include "arbiter/gpu_option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

int gpu_option_cpus(const char *text, char separator, uint64_t set[4])
{
	memset(set, 0, 4 * sizeof(set[0]));
	for (;; text++) {
		unsigned long first, last;
		char *end;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		first = last = strtoul(text, &end, 10);
		if (*end == '-') {
			text = end + 1;
			if (*text < '0' || *text > '9')
				return -EINVAL;
			last = strtoul(text, &end, 10);
		}
		if (first > last || last > 255)
			return -EINVAL;
		for (unsigned long i = first; i <= last; i++)
			set[i / 64] |= 1ull << i % 64;
		text = end;
		if (!*text)
			return 0;
		if (*text != separator)
			return -EINVAL;
	}
}

int gpu_option_threads(const char *text, uint32_t *threads)
{
	char *end;

	*threads = (uint32_t)strtoul(text, &end, 10);
	return *end || *threads < 1 || *threads > 256 ? -EINVAL : 0;
}

static int parse_target(const char *text, const char **target)
{
	static const char *const targets[] = {"gfx90a", "gfx900"};

	if (!strcmp(text, "soft"))
		return 0;
	if (!strncmp(text, "soft:", 5))
		text += 5;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		if (strcmp(text, targets[i]))
			continue;
		*target = targets[i];
		return 0;
	}
	return -EINVAL;
}

static int parse_vram(const char *text, uint64_t *pool)
{
	return size_parse(text, pool) || *pool % 4096 ? -EINVAL : 0;
}

int gpu_option_parse(const char *text, struct server_gpu *gpu)
{
	char copy[256], *rest = copy, *part;
	int err;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	err = parse_target(strsep(&rest, ","), &gpu->target);
	while (!err && (part = strsep(&rest, ","))) {
		if (!strncmp(part, "vram=", 5))
			err = parse_vram(part + 5, &gpu->pool);
		else if (!strncmp(part, "threads=", 8))
			err = gpu_option_threads(part + 8, &gpu->threads);
		else if (!strncmp(part, "cpus=", 5))
			err = gpu_option_cpus(part + 5, '+', gpu->cpus);
		else
			err = -EINVAL;
	}
	return err;
}
