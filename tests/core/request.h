/* SPDX-License-Identifier: MIT */
/* request.h - KFD requests to the core as a front end makes them, for tests. */
#ifndef TESTS_CORE_REQUEST_H
#define TESTS_CORE_REQUEST_H

#include <string.h>

#include "core/kfd.h"

/* args: size bytes, as the request leaves them afterwards. in, out: arrays; NULL: none. */
static inline int core_request(struct kfd_process *process, unsigned nr, void *args, size_t size,
			       const void *in, size_t in_size, void *out, size_t out_capacity,
			       size_t *out_size)
{
	uint8_t copy[HSV_MAX_ARGS] = {0};
	struct kfd_request request = {
		.nr = nr,
		.args = copy,
		.args_size = size,
		.in = in,
		.in_size = in_size,
		.out = out,
		.out_capacity = out_capacity,
	};
	int err;

	memcpy(copy, args, size);
	err = kfd_process_ioctl(process, &request);
	memcpy(args, copy, size);
	if (out_size)
		*out_size = request.out_size;
	return err;
}

#endif
