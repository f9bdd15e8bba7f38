/* SPDX-License-Identifier: MIT */
/*
 * policy.h - what a tenant may have of the GPU's time: parameters, their ranges, and whether all
 * reservations together can be kept. docs/scheduling.md tells what they mean.
 */
#ifndef ARBITER_POLICY_H
#define ARBITER_POLICY_H

#include <stdint.h>

#define POLICY_WEIGHT_MAX	10000u
#define POLICY_WEIGHT_DEFAULT	100u
#define POLICY_PRIORITIES	8u /* 0 .. 7, 7 first */
#define POLICY_PRIORITY_DEFAULT 3u
#define POLICY_BUDGET_MIN_NS	100000u			 /* 0.1 ms */
#define POLICY_PERIOD_MIN_NS	2000000u		 /* 2 ms */
#define POLICY_PERIOD_MAX_NS	1000000000u		 /* 1 s */
#define POLICY_KERNEL_MIN_NS	1000000u		 /* 1 ms */
#define POLICY_KERNEL_MAX_NS	(86400ull * 1000000000u) /* a day */
#define POLICY_RESERVABLE	90u /* percent of the GPU that reservations may take together */

struct tenant_policy {
	uint32_t weight;	       /* 1 .. POLICY_WEIGHT_MAX */
	uint32_t priority;	       /* 0 .. POLICY_PRIORITIES - 1 */
	uint32_t cap;		       /* percent of the GPU at most, 1 .. 100; 0: none */
	uint64_t budget_ns, period_ns; /* reservation: budget in each period; 0: none */
	uint64_t kernel_ns;	       /* GPU time after which a kernel is stopped; 0: never */
};

extern const struct tenant_policy policy_default;

/* Are these values in their ranges and do they agree with each other? 0, or -EINVAL with a sentence
 * in message (128 bytes). */
int policy_check(const struct tenant_policy *policy, char *message);

/* The reservation as parts in a million of the GPU, rounded up. */
uint32_t policy_reserved(const struct tenant_policy *policy);

/* May a reservation be given when others have taken `taken` millionths? 0, or -EBUSY with a
 * sentence in message (128 bytes). */
int policy_admit(const struct tenant_policy *policy, uint32_t taken, char *message);

#endif
