// SPDX-License-Identifier: MIT
/*
 * fuzz_config.c - the configuration file of hsavisord, and policies as control requests have them.
 *
 * Input: the file's text. What must hold: it is refused with a sentence, or what it says of any tenant is in range, and
 * written out and read again it is the same.
 */
#include "fuzz/input.h"

#include <json-c/json.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arbiter/config.h"

static int fd;
static char path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fd = memfd_create("config", MFD_CLOEXEC);
	MUST(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return 0;
}

static void round_trip(const struct tenant_policy *policy, uint64_t vram)
{
	struct json_object *o = config_write_policy(policy, vram);
	struct tenant_policy again = policy_default;
	char message[CONFIG_MESSAGE];
	uint64_t again_vram = 0;

	MUST(o);
	MUST(!config_read_policy(o, false, &again, &again_vram, message, NULL));
	MUST(again.weight == policy->weight && again.priority == policy->priority && again.cap == policy->cap);
	MUST(again.budget_ns == policy->budget_ns && again.period_ns == policy->period_ns);
	MUST(again.kernel_ns == policy->kernel_ns && again_vram == vram);
	json_object_put(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"a", "dashboard", "batch", ""};
	char message[CONFIG_MESSAGE] = "";
	struct config *config = NULL;
	int err;

	MUST(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	err = config_load(path, &config, message);
	if (err) {
		MUST(err < 0 && message[0] && strlen(message) < sizeof(message));
		return 0;
	}
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct tenant_policy policy;
		uint64_t vram = 0;

		config_policy(config, names[i], &policy, &vram);
		MUST(!policy_check(&policy, message));
		round_trip(&policy, vram ? vram : 16u << 20);
	}
	config_free(config);
	return 0;
}
