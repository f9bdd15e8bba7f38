// SPDX-License-Identifier: MIT
/* duration.c - see duration.h. */
#include "base/duration.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_NS (366ull * 86400u * 1000000000u)

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {{"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000},
	     {"ms", 1000000},	   {"us", 1000},       {"ns", 1}};

int duration_parse(const char *text, uint64_t *ns)
{
	uint64_t whole = 0, part = 0, scale = 1;
	unsigned __int128 v;

	if (!text || !isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		whole = whole * 10 + (uint64_t)(*text - '0');
		if (whole > LIMIT_NS)
			return -EINVAL;
	}
	if (*text == '.') {
		text++;
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		for (; isdigit((unsigned char)*text); text++) {
			if (scale == 1000000000)
				return -EINVAL;
			part = part * 10 + (uint64_t)(*text - '0');
			scale *= 10;
		}
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i].name))
			continue;
		v = (unsigned __int128)whole * units[i].ns +
		    (unsigned __int128)part * units[i].ns / scale;
		if (!v || v > LIMIT_NS)
			return -EINVAL;
		*ns = (uint64_t)v;
		return 0;
	}
	return -EINVAL;
}

const char *duration_format(char *buf, size_t size, uint64_t ns)
{
	size_t i = 2; /* minutes and hours are read, not written */
	char digits[16];
	int n;

	while (ns < units[i].ns && i < 5)
		i++;
	n = snprintf(digits, sizeof(digits), "%09llu",
		     (unsigned long long)(ns % units[i].ns * (1000000000 / units[i].ns)));
	while (n > 0 && digits[n - 1] == '0')
		digits[--n] = 0;
	snprintf(buf, size, "%llu%s%s%s", (unsigned long long)(ns / units[i].ns), n ? "." : "",
		 digits, units[i].name);
	return buf;
}
