// SPDX-License-Identifier: MIT
/* gpu_list.c - see gpu_list.h. */
#include "base/gpu_list.h"

uint32_t gpu_list_parse(const char *text, unsigned max)
{
	uint32_t gpus = 0;

	for (;; text += 2) {
		if (*text < '0' || *text >= '0' + (int)max || (text[1] && text[1] != ','))
			return 0;
		gpus |= 1u << (*text - '0');
		if (!text[1])
			return gpus;
	}
}
