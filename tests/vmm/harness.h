/* SPDX-License-Identifier: MIT */
/* harness.h - a broker without an arbiter, in the test's own process (so that sanitizers see it):
 * GPU, device and server, on a thread. */
#ifndef TESTS_VMM_HARNESS_H
#define TESTS_VMM_HARNESS_H

#include "vmm/device.h"

#define HARNESS_VRAM (16u << 20) /* of each GPU */

extern char harness_socket[108];
extern struct hsv_device *harness_device;
extern struct arbiter_counters harness_counters;

/* 1 or 2 (a gfx90a, a gfx900): how many harness_start() makes; 1 if nobody says otherwise. */
extern unsigned harness_gpus;

/* For cmocka groups: setup and teardown. */
int harness_start(void **state);
int harness_stop(void **state);

/* Open descriptors of this process. */
unsigned harness_count_fds(void);

#endif
