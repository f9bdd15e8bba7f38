// SPDX-License-Identifier: MIT
/* config.c - see config.h. */
#include "arbiter/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/size.h"

#define FILE_MAX_BYTES (1u << 20)
#define DEPTH_MAX      8

struct config {
	struct json_object *root;
};

/* ------------------------------------------------------------------ a policy */

static bool none(struct json_object *v)
{
	return !v || (json_object_is_type(v, json_type_string) &&
		      !strcmp(json_object_get_string(v), "none"));
}

/* A whole number of 0 .. UINT32_MAX. */
static int read_number(struct json_object *v, uint32_t *out)
{
	int64_t n;

	if (!json_object_is_type(v, json_type_int))
		return -EINVAL;
	n = json_object_get_int64(v);
	if (n < 0 || n > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)n;
	return 0;
}

static int read_weight(struct json_object *v, struct tenant_policy *p, uint64_t *vram)
{
	return read_number(v, &p->weight);
}

static int read_priority(struct json_object *v, struct tenant_policy *p, uint64_t *vram)
{
	return read_number(v, &p->priority);
}

static int read_cap(struct json_object *v, struct tenant_policy *p, uint64_t *vram)
{
	if (none(v)) {
		p->cap = 0;
		return 0;
	}
	return read_number(v, &p->cap) || !p->cap ? -EINVAL : 0;
}

static int read_reserve(struct json_object *v, struct tenant_policy *p, uint64_t *vram)
{
	char text[64];
	char *slash;

	if (none(v)) {
		p->budget_ns = p->period_ns = 0;
		return 0;
	}
	if (!json_object_is_type(v, json_type_string) ||
	    strlen(json_object_get_string(v)) >= sizeof(text))
		return -EINVAL;
	strcpy(text, json_object_get_string(v));
	slash = strchr(text, '/');
	if (!slash)
		return -EINVAL;
	*slash = 0;
	return duration_parse(text, &p->budget_ns) || duration_parse(slash + 1, &p->period_ns)
		       ? -EINVAL
		       : 0;
}

static int read_kernel_timeout(struct json_object *v, struct tenant_policy *p, uint64_t *vram)
{
	if (none(v)) {
		p->kernel_ns = 0;
		return 0;
	}
	if (!json_object_is_type(v, json_type_string))
		return -EINVAL;
	return duration_parse(json_object_get_string(v), &p->kernel_ns);
}

static int read_vram(struct json_object *v, struct tenant_policy *p, uint64_t *vram)
{
	if (json_object_is_type(v, json_type_int)) {
		if (json_object_get_int64(v) <= 0)
			return -EINVAL;
		*vram = (uint64_t)json_object_get_int64(v);
	} else if (!json_object_is_type(v, json_type_string) ||
		   size_parse(json_object_get_string(v), vram)) {
		return -EINVAL;
	}
	return *vram % 4096 || *vram < (16u << 20) ? -EINVAL : 0;
}

static const struct {
	const char *key, *form;
	int (*read)(struct json_object *v, struct tenant_policy *policy, uint64_t *vram);
	bool not_default;
} keys[] = {
	{"weight", "is a number from 1 to 10000", read_weight, false},
	{"priority", "is a number from 0 to 7", read_priority, false},
	{"cap", "is a percentage from 1 to 100, or null", read_cap, false},
	{"reserve", "is \"BUDGET/PERIOD\" like \"6ms/16.6ms\", or null", read_reserve, true},
	{"kernel_timeout", "is a time like \"10s\", or null", read_kernel_timeout, false},
	{"vram", "is a size like \"1G\" (at least 16M, a multiple of 4K)", read_vram, false},
};
#define NUM_KEYS (sizeof(keys) / sizeof(keys[0]))

int config_read_policy(struct json_object *o, bool defaults, struct tenant_policy *policy,
		       uint64_t *vram, char *message, const char **bad)
{
	const char *ignored;

	if (!bad)
		bad = &ignored;
	*bad = NULL;
	if (!json_object_is_type(o, json_type_object)) {
		snprintf(message, CONFIG_MESSAGE, "a policy is an object");
		return -EINVAL;
	}
	json_object_object_foreach(o, key, v)
	{
		size_t i = 0;

		while (i < NUM_KEYS && strcmp(keys[i].key, key))
			i++;
		*bad = key;
		if (i == NUM_KEYS) {
			snprintf(message, CONFIG_MESSAGE, "unknown key \"%.40s\"", key);
			return -EINVAL;
		}
		if (defaults && keys[i].not_default) {
			snprintf(message, CONFIG_MESSAGE, "\"%s\" is for single tenants only", key);
			return -EINVAL;
		}
		if (keys[i].read(v, policy, vram)) {
			snprintf(message, CONFIG_MESSAGE, "\"%s\" %s", key, keys[i].form);
			return -EINVAL;
		}
		if (policy_check(&(struct tenant_policy){.weight = policy->weight,
							 .priority = policy->priority,
							 .cap = policy->cap,
							 .kernel_ns = policy->kernel_ns},
				 message))
			return -EINVAL;
	}
	*bad = NULL;
	return policy_check(policy, message);
}

struct json_object *config_write_policy(const struct tenant_policy *p, uint64_t vram)
{
	struct json_object *o = json_object_new_object();
	char a[32], b[32], text[68];

	if (!o)
		return NULL;
	json_object_object_add(o, "weight", json_object_new_int64(p->weight));
	json_object_object_add(o, "priority", json_object_new_int64(p->priority));
	json_object_object_add(o, "cap", p->cap ? json_object_new_int64(p->cap) : NULL);
	snprintf(text, sizeof(text), "%s/%s", duration_format(a, sizeof(a), p->budget_ns),
		 duration_format(b, sizeof(b), p->period_ns));
	json_object_object_add(o, "reserve", p->period_ns ? json_object_new_string(text) : NULL);
	json_object_object_add(
		o, "kernel_timeout",
		p->kernel_ns ? json_object_new_string(duration_format(a, sizeof(a), p->kernel_ns))
			     : NULL);
	json_object_object_add(o, "vram", json_object_new_uint64(vram));
	return o;
}

/* ------------------------------------------------------------------ places in the text */

static const char *skip_space(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/* Past the string that begins at the quote p. */
static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

/* Past the value at p. */
static const char *skip_value(const char *p)
{
	int depth = 0;

	do {
		if (*p == '"') {
			p = skip_string(p);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		if (depth < 0 || !*p)
			return p;
		p++;
	} while (depth || (*p && !strchr(",}]", *p)));
	return p;
}

/* Where the key path[0]/path[1].. (NULL-ended, what there is of it) is in the text, which is good
 * JSON: the last of several of the same name, as the parser has it. Keys with escapes aren't found.
 */
static const char *find_place(const char *text, const char *const *path)
{
	const char *p = skip_space(text), *found = p, *value = NULL, *end, *place = p;

	for (; *path && *p == '{'; path++) {
		value = NULL;
		p = skip_space(p + 1);
		while (*p == '"') {
			end = skip_string(p);
			found = p;
			p = skip_space(end);
			if (*p != ':')
				return place;
			p = skip_space(p + 1);
			if ((size_t)(end - found) == strlen(*path) + 2 &&
			    !strncmp(found + 1, *path, strlen(*path))) {
				value = p;
				place = found;
			}
			p = skip_space(skip_value(p));
			if (*p == ',')
				p = skip_space(p + 1);
		}
		if (!value)
			return place;
		p = value;
	}
	return place;
}

/* Writes "PATH:LINE:COLUMN: TEXT". */
static int complain(char *message, const char *path, const char *text, const char *place,
		    const char *what)
{
	unsigned line = 1, column = 1;

	for (const char *p = text; p < place; p++) {
		column = *p == '\n' ? 1 : column + 1;
		line += *p == '\n';
	}
	snprintf(message, CONFIG_MESSAGE, "%.180s:%u:%u: %.160s", path, line, column, what);
	return -EINVAL;
}

/* ------------------------------------------------------------------ the file */

static int read_file(const char *path, char **text, char *message)
{
	struct stat st;
	size_t size = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err = -errno;
		snprintf(message, CONFIG_MESSAGE, "cannot read %.200s: %s", path, strerror(-err));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		err = -EINVAL;
		snprintf(message, CONFIG_MESSAGE, "%.200s is not a file of at most 1 MiB", path);
		goto out;
	}
	*text = malloc(FILE_MAX_BYTES + 1);
	if (!*text) {
		err = -ENOMEM;
		snprintf(message, CONFIG_MESSAGE, "out of memory");
		goto out;
	}
	while (size < FILE_MAX_BYTES && (n = read(fd, *text + size, FILE_MAX_BYTES - size)) > 0)
		size += (size_t)n;
	(*text)[size] = 0;
	if (strlen(*text) != size) {
		complain(message, path, *text, *text + strlen(*text), "a NUL byte");
		free(*text);
		*text = NULL;
		err = -EINVAL;
	}
out:
	if (fd >= 0)
		close(fd);
	return err;
}

struct reader {
	const char *path, *text;
	char *message;
};

/* One policy object of the file. */
static int check_policy(const struct reader *r, const char *section, const char *tenant,
			struct json_object *o, struct tenant_policy *policy, uint64_t *vram)
{
	const char *place[4] = {section, tenant}, *bad;
	char what[CONFIG_MESSAGE];
	int err = config_read_policy(o, !tenant, policy, vram, what, &bad);

	if (!err && tenant)
		err = policy_admit(policy, 0, what);
	if (!err)
		return 0;
	place[tenant ? 2 : 1] = bad;
	return complain(r->message, r->path, r->text, find_place(r->text, place), what);
}

static bool name_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 64 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static int check_root(const struct reader *r, struct json_object *root)
{
	struct tenant_policy defaults = policy_default;
	struct json_object *o;
	char what[CONFIG_MESSAGE];
	uint64_t vram = 0;
	int err;

	if (!json_object_is_type(root, json_type_object))
		return complain(r->message, r->path, r->text, r->text,
				"the file is one JSON object");
	json_object_object_foreach(root, key, v)
	{
		const char *const place[] = {key, NULL};

		if (strcmp(key, "defaults") && strcmp(key, "tenants"))
			snprintf(what, sizeof(what),
				 "unknown key \"%.40s\" (there are \"defaults\" and \"tenants\")",
				 key);
		else if (!json_object_is_type(v, json_type_object))
			snprintf(what, sizeof(what), "\"%s\" is an object", key);
		else
			continue;
		return complain(r->message, r->path, r->text, find_place(r->text, place), what);
	}
	if (json_object_object_get_ex(root, "defaults", &o)) {
		err = check_policy(r, "defaults", NULL, o, &defaults, &vram);
		if (err)
			return err;
	}
	if (!json_object_object_get_ex(root, "tenants", &o))
		return 0;
	json_object_object_foreach(o, tenant, entry)
	{
		struct tenant_policy policy = defaults;
		const char *const place[] = {"tenants", tenant, NULL};

		if (!name_ok(tenant))
			return complain(
				r->message, r->path, r->text, find_place(r->text, place),
				"a tenant's name is 1 to 63 of letters, digits, '.', '_' and "
				"'-'");
		err = check_policy(r, "tenants", tenant, entry, &policy, &vram);
		if (err)
			return err;
	}
	return 0;
}

/* Parses and checks; *root is the caller's. */
static int parse(const char *path, const char *text, struct json_object **root, char *message)
{
	struct json_tokener *tok = json_tokener_new_ex(DEPTH_MAX);
	const struct reader r = {path, text, message};
	char what[128];
	int err;

	if (!tok) {
		snprintf(message, CONFIG_MESSAGE, "out of memory");
		return -ENOMEM;
	}
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	/* With its NUL: the end of a text that stops short is seen. */
	*root = json_tokener_parse_ex(tok, text, (int)strlen(text) + 1);
	if (json_tokener_get_error(tok) != json_tokener_success) {
		size_t at = json_tokener_get_parse_end(tok);

		snprintf(what, sizeof(what), "not JSON: %s",
			 at >= strlen(text) ? "the text ends too early"
					    : json_tokener_error_desc(json_tokener_get_error(tok)));
		err = complain(message, path, text, text + (at < strlen(text) ? at : strlen(text)),
			       what);
	} else {
		err = check_root(&r, *root);
	}
	json_tokener_free(tok);
	if (err) {
		json_object_put(*root);
		*root = NULL;
	}
	return err;
}

int config_load(const char *path, struct config **config, char *message)
{
	struct config *c = calloc(1, sizeof(*c));
	char *text = NULL;
	int err;

	if (!c) {
		snprintf(message, CONFIG_MESSAGE, "out of memory");
		return -ENOMEM;
	}
	err = read_file(path, &text, message);
	if (!err) {
		err = parse(path, text, &c->root, message);
		free(text);
	}
	if (err) {
		free(c);
		return err;
	}
	*config = c;
	return 0;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	json_object_put(c->root);
	free(c);
}

bool config_policy(const struct config *c, const char *tenant, struct tenant_policy *policy,
		   uint64_t *vram)
{
	struct json_object *o, *entry;
	char message[CONFIG_MESSAGE];
	uint64_t ignored;

	*policy = policy_default;
	*vram = 0;
	if (!c)
		return false;
	if (json_object_object_get_ex(c->root, "defaults", &o))
		config_read_policy(o, true, policy, &ignored, message, NULL);
	if (!json_object_object_get_ex(c->root, "tenants", &o) ||
	    !json_object_object_get_ex(o, tenant, &entry))
		return false;
	config_read_policy(entry, false, policy, vram, message, NULL);
	return true;
}

uint64_t config_vram(const struct config *c, const char *tenant, uint64_t asked)
{
	struct tenant_policy policy;
	struct json_object *o;
	char message[CONFIG_MESSAGE];
	uint64_t vram;

	config_policy(c, tenant, &policy, &vram);
	if (vram)
		return asked && asked < vram ? asked : vram;
	if (!asked && c && json_object_object_get_ex(c->root, "defaults", &o))
		config_read_policy(o, true, &policy, &asked, message, NULL);
	return asked;
}

/* ------------------------------------------------------------------ saving */

/* The object at key of o, made if it is not there; borrowed. */
static struct json_object *child(struct json_object *o, const char *key)
{
	struct json_object *c;

	if (!json_object_object_get_ex(o, key, &c)) {
		c = json_object_new_object();
		json_object_object_add(o, key, c);
	}
	return c;
}

static void make_directory_of(const char *path)
{
	char dir[4096];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = 0;
		mkdir(dir, 0755); /* if it can't be made, nor can the file: that says why */
	}
}

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Beside the file, then renamed over it: whoever reads sees the old text or the new one. */
static int replace_file(const char *path, const char *text)
{
	char name[4096];
	struct stat st;
	mode_t mode = stat(path, &st) ? 0644 : st.st_mode & 0777;
	int fd, err;

	if ((size_t)snprintf(name, sizeof(name), "%s.XXXXXX", path) >= sizeof(name))
		return -ENAMETOOLONG;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text, strlen(text));
	if (!err && (write_all(fd, "\n", 1) || fchmod(fd, mode) < 0 || fsync(fd) < 0))
		err = -errno;
	close(fd);
	if (!err && rename(name, path) < 0)
		err = -errno;
	if (err)
		unlink(name);
	return err;
}

int config_save(const char *path, const char *tenant, struct json_object *policy, char *message)
{
	struct json_object *root = NULL, *entry;
	char real[4096];
	char *text = NULL;
	int err;

	if (!realpath(path, real)) /* a link stays one */
		snprintf(real, sizeof(real), "%s", path);
	err = read_file(real, &text, message);
	if (!err)
		err = parse(real, text, &root, message);
	else if (err == -ENOENT)
		err = (root = json_object_new_object()) ? 0 : -ENOMEM;
	if (err)
		goto out;
	entry = child(child(root, "tenants"), tenant);
	json_object_object_foreach(policy, key, v)
		json_object_object_add(entry, key, json_object_get(v));
	free(text);
	text = strdup(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
								   JSON_C_TO_STRING_SPACED |
								   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	root = NULL;
	/* With the file's other values it must be right, too. */
	err = text ? parse(real, text, &root, message) : -ENOMEM;
	if (err)
		goto out;
	make_directory_of(real);
	err = replace_file(real, text);
	if (err)
		snprintf(message, CONFIG_MESSAGE, "cannot write %.200s: %s", real, strerror(-err));
out:
	json_object_put(root);
	free(text);
	return err;
}
