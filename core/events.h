/* SPDX-License-Identifier: MIT */
/*
 * events.h - KFD events for front ends that wait in user space (the guest driver has its own in the
 * guest kernel, where its waiters are).
 *
 * Semantics are amdkfd's: ids = slots from 1, ages start at 1 and grow with each set, auto-reset,
 * wait any/all, timeouts in ms (0xffffffff: for ever), a slot of the events page is all ones when
 * idle. See kfd_events.c in Linux for the behaviour.
 */
#ifndef CORE_EVENTS_H
#define CORE_EVENTS_H

#include <linux/kfd_ioctl.h>
#include <stdint.h>

#include "gpu/gpu.h"

struct kfd_events;

int kfd_events_new(struct kfd_events **events);
void kfd_events_free(struct kfd_events *events); /* wakes all waiters with -EBADF first and waits
						    for them to leave */

/* The ioctls CREATE/DESTROY/SET/RESET_EVENT; args are private copies. page: the events page of the
 * process in host memory (4096 * 8 bytes), or NULL if not set yet. */
int kfd_events_set_page(struct kfd_events *events, volatile uint64_t *page);
int kfd_events_create(struct kfd_events *events, struct kfd_ioctl_create_event_args *args);
int kfd_events_destroy(struct kfd_events *events, uint32_t id);
int kfd_events_set(struct kfd_events *events, uint32_t id);
int kfd_events_reset(struct kfd_events *events, uint32_t id);
/* data: num_events entries, a private copy that is changed. *wait_result: KFD_IOC_WAIT_RESULT_*. */
int kfd_events_wait(struct kfd_events *events, struct kfd_event_data *data, uint32_t num_events,
		    bool all, uint32_t *timeout_ms, uint32_t *wait_result);

/* From the GPU. */
void kfd_events_signal(struct kfd_events *events, uint32_t id);
void kfd_events_memory_fault(struct kfd_events *events, uint32_t gpu_id, const struct gpu_memory_fault *fault);
void kfd_events_hw_exception(struct kfd_events *events, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause);

#endif
