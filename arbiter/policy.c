// SPDX-License-Identifier: MIT
/* policy.c - see policy.h. */
#include "arbiter/policy.h"

#include <errno.h>
#include <stdio.h>

const struct tenant_policy policy_default = {
	.weight = POLICY_WEIGHT_DEFAULT,
	.priority = POLICY_PRIORITY_DEFAULT,
};

static int refuse(char *message, const char *text)
{
	snprintf(message, 128, "%s", text);
	return -EINVAL;
}

int policy_check(const struct tenant_policy *p, char *message)
{
	if (p->weight < 1 || p->weight > POLICY_WEIGHT_MAX)
		return refuse(message, "the weight is a number from 1 to 10000");
	if (p->priority >= POLICY_PRIORITIES)
		return refuse(message, "the priority is a number from 0 to 7");
	if (p->cap > 100)
		return refuse(message, "the cap is a percentage from 1 to 100, or none");
	if (p->kernel_ns &&
	    (p->kernel_ns < POLICY_KERNEL_MIN_NS || p->kernel_ns > POLICY_KERNEL_MAX_NS))
		return refuse(message, "the kernel timeout is from 1ms to a day, or none");
	if (!p->budget_ns && !p->period_ns)
		return 0;
	if (p->period_ns < POLICY_PERIOD_MIN_NS || p->period_ns > POLICY_PERIOD_MAX_NS)
		return refuse(message, "the period of a reservation is from 2ms to 1s");
	if (p->budget_ns < POLICY_BUDGET_MIN_NS)
		return refuse(message, "the budget of a reservation is at least 0.1ms");
	if (p->budget_ns > p->period_ns)
		return refuse(message, "the budget of a reservation is longer than its period");
	if (p->cap &&
	    (unsigned __int128)p->budget_ns * 100 > (unsigned __int128)p->period_ns * p->cap)
		return refuse(message, "the cap is below what the reservation needs");
	return 0;
}

uint32_t policy_reserved(const struct tenant_policy *p)
{
	if (!p->period_ns)
		return 0;
	return (uint32_t)((p->budget_ns * 1000000u + p->period_ns - 1) / p->period_ns);
}

int policy_admit(const struct tenant_policy *p, uint32_t taken, char *message)
{
	uint32_t wanted = policy_reserved(p);

	if (!wanted || taken + wanted <= POLICY_RESERVABLE * 10000u)
		return 0;
	snprintf(message, 128,
		 "a reservation of %.1f %% can't be kept: %.1f %% are reserved, of %u %% at most",
		 wanted / 1e4, taken / 1e4, POLICY_RESERVABLE);
	return -EBUSY;
}
