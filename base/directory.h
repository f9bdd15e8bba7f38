/* SPDX-License-Identifier: MIT */
/* directory.h - directories for files that are about to be made. */
#ifndef BASE_DIRECTORY_H
#define BASE_DIRECTORY_H

#include <sys/types.h>

/* Makes the directories above path (shorter than PATH_MAX) that are missing, with this mode. 0, or a negative errno. */
int directory_make_for(const char *path, mode_t mode);

#endif
