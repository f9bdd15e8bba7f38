/* SPDX-License-Identifier: MIT */
/* harness.h - a broker without an arbiter, in the test's own process (so that sanitizers see it):
 * GPU, device and server, on a thread. */
#ifndef TESTS_VMM_HARNESS_H
#define TESTS_VMM_HARNESS_H

#include "vmm/device.h"

#define HARNESS_VRAM (16u << 20)

extern char harness_socket[108];
extern struct hsv_device *harness_device;
extern struct arbiter_counters harness_counters;

/* For cmocka groups: setup and teardown. */
int harness_start(void **state);
int harness_stop(void **state);

/* Open descriptors of this process. */
unsigned harness_count_fds(void);

#endif
