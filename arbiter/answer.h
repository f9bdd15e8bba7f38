/* SPDX-License-Identifier: MIT */
/* answer.h - pieces of the answers to control requests, for the files that make them. */
#ifndef ARBITER_ANSWER_H
#define ARBITER_ANSWER_H

#include <json-c/json.h>
#include <stdint.h>
#include <sys/types.h>

#include "arbiter/control.h"

void answer_u64(struct json_object *o, const char *key, uint64_t v);
void answer_str(struct json_object *o, const char *key, const char *v);
/* Makes it a refusal: err is an errno, positive. */
void answer_fail(struct json_object *answer, int err, const char *sentence);

/* control_policy.c: what a tenant may have and had of the GPU's time, into its row of "list"; what
 * is reserved of it, into the GPU's of "status"; and the requests. */
void answer_turns(struct json_object *row, const struct tenant *tenant);
void answer_reserved(struct json_object *gpu, const struct tenants *tenants);
void control_get(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, struct json_object *req,
		 struct json_object *answer);
void control_set(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, struct json_object *req,
		 struct json_object *answer);
void control_reset(struct arbiter_gpus *gpus, struct control_facts *f, uid_t peer, struct json_object *req,
		   struct json_object *answer);

/* May the tenant have that reservation beside the others'? 0, or -EBUSY with a sentence in message
 * (128 bytes). */
int control_admit(const struct tenants *t, const struct tenant *x,
		  const struct tenant_policy *policy, char *message);
/* Gives it the policy, which was checked and admitted. */
void control_apply(struct turns *turns, struct tenant *x,
		   const struct tenant_policy *policy, uint64_t now);

#endif
