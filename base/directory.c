// SPDX-License-Identifier: MIT
/* directory.c - see directory.h. */
#include "base/directory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int directory_make_for(const char *path, mode_t mode)
{
	char dir[PATH_MAX];

	if ((size_t)snprintf(dir, sizeof(dir), "%s", path) >= sizeof(dir))
		return -ENAMETOOLONG;
	for (char *slash = dir; *slash && (slash = strchr(slash + 1, '/'));) {
		*slash = 0;
		if (mkdir(dir, mode) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}
