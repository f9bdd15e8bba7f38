/* SPDX-License-Identifier: MIT */
/* gpu_list.h - the daemon's GPUs as people list them: 0,2. */
#ifndef BASE_GPU_LIST_H
#define BASE_GPU_LIST_H

#include <stdint.h>

/* "0,2" as bits; each number is below max (at most 10). 0: it is no such list. */
uint32_t gpu_list_parse(const char *text, unsigned max);

#endif
