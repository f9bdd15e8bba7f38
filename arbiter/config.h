/* SPDX-License-Identifier: MIT */
/*
 * config.h - hsavisord's configuration file: what tenants may have, by name.
 *
 * One JSON object:
 *
 *   {
 *     "defaults": {"weight": 100, "kernel_timeout": "30s", "vram": "1G"},
 *     "tenants": {
 *       "dashboard": {"reserve": "6ms/16.6ms", "vram": "2G"},
 *       "batch": {"weight": 10, "priority": 1, "cap": 50}
 *     }
 *   }
 *
 * A tenant's own entry goes before the defaults, key by key; null means none. A key that isn't
 * known is an error, so that a misspelt limit is not silently none. Control requests give policies
 * in the same form.
 */
#ifndef ARBITER_CONFIG_H
#define ARBITER_CONFIG_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "arbiter/policy.h"

#define CONFIG_DEFAULT_PATH "/etc/hsavisor/hsavisord.conf"
#define CONFIG_MESSAGE	    384

struct config;

/* Reads and checks a file. 0; -ENOENT and other errors with a sentence that names the place in
 * message (CONFIG_MESSAGE bytes). */
int config_load(const char *path, struct config **config, char *message);
void config_free(struct config *config);

/* What the file says of a tenant, or the defaults. config may be NULL. vram: of its own entry,
 * bytes, 0: that doesn't say. Returns whether the tenant has an entry of its own. */
bool config_policy(const struct config *config, const char *tenant, struct tenant_policy *policy,
		   uint64_t *vram);

/* What quota a tenant gets that asks for `asked` bytes (0: for none): its entry is a limit, the
 * defaults are for those that ask for none. 0: neither says. */
uint64_t config_vram(const struct config *config, const char *tenant, uint64_t asked);

/*
 * Puts what `policy` (a checked JSON object as above) has into the tenant's entry of the file, and
 * leaves the rest. The file is replaced as a whole or not at all; made, with its directory, if it
 * is not there. 0 or negative errno with a sentence in message.
 */
int config_save(const char *path, const char *tenant, struct json_object *policy, char *message);

/*
 * Reads the keys of a policy object over what is in *policy and *vram. 0 or -EINVAL with a sentence
 * in message (CONFIG_MESSAGE bytes), *bad (may be NULL) is then the key or NULL. The result is
 * checked by policy_check. defaults: a reservation is not among the keys.
 */
int config_read_policy(struct json_object *o, bool defaults, struct tenant_policy *policy,
		       uint64_t *vram, char *message, const char **bad);

/* The same as an object, the caller's; NULL when memory is out. */
struct json_object *config_write_policy(const struct tenant_policy *policy, uint64_t vram);

#endif
