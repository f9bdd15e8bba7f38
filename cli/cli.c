// SPDX-License-Identifier: MIT
/* cli.c - what the sub-commands share; see cli.h. */
#include "base/directory.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_fail(int code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("hsavisor: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

int cli_dispatch(const struct command *table, const char *usage, int argc, char **argv)
{
	bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
				 !strcmp(argv[1], "help"));
	FILE *f = help ? stdout : stderr;

	if (argc > 1 && !help) {
		for (const struct command *c = table; c->name; c++)
			if (!strcmp(c->name, argv[1]))
				return c->run(argc - 1, argv + 1);
		cli_fail(EXIT_USAGE, "there is no command '%s'", argv[1]);
	}
	fprintf(f, "%s\n", usage);
	for (const struct command *c = table; c->name; c++)
		fprintf(f, "  %-11s %s\n", c->name, c->summary);
	return help ? EXIT_OK : EXIT_USAGE;
}

bool cli_name_ok(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= 63 && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       n;
}

int cli_usage(const char *usage, int option)
{
	fputs(usage, option == 'h' ? stdout : stderr);
	return option == 'h' ? EXIT_OK : EXIT_USAGE;
}

int cli_check_name(const char *name)
{
	return cli_name_ok(name)
		       ? 0
		       : cli_fail(EXIT_USAGE,
				  "bad name '%s': 1 to 63 of letters, digits, '.', '_' and '-'",
				  name);
}

bool cli_number(const char *text, long min, long max, long *number)
{
	char *end;

	errno = 0;
	*number = strtol(text, &end, 10);
	return !errno && end != text && !*end && *number >= min && *number <= max;
}

int cli_companion(const char *name, char *path, size_t size)
{
	static const char *const places[] = {"",
					     "arbiter/",
					     "vmm/",
					     "host/",
					     "gpu/soft/jit/",
					     "../lib/hsavisor/",
					     "../lib/x86_64-linux-gnu/hsavisor/",
					     "../lib/",
					     "../lib/x86_64-linux-gnu/",
					     "../sbin/"};
	char self[4096], real[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = 0;
	slash = strrchr(self, '/');
	slash[1] = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char candidate[4352];

		snprintf(candidate, sizeof(candidate), "%s%s%s", self, places[i], name);
		if (access(candidate, R_OK) == 0 && realpath(candidate, real)) {
			if ((size_t)snprintf(path, size, "%s", real) >= size)
				return -ENAMETOOLONG;
			return 0;
		}
	}
	return -ENOENT;
}

const char *cli_jit_store(const char *file)
{
	static char path[4096];
	const char *wish = getenv("HSAVISOR_JIT_STORE"), *cache = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");
	int n;

	if (wish && *wish != '/')
		return NULL;
	if (wish)
		n = snprintf(path, sizeof(path), "%.*s/%s", (int)(strrchr(wish, '/') - wish), wish,
			     strcmp(file, "kernels") ? file : strrchr(wish, '/') + 1);
	else if (cache && *cache == '/')
		n = snprintf(path, sizeof(path), "%s/hsavisor-jit/%s", cache, file);
	else if (home && *home == '/')
		n = snprintf(path, sizeof(path), "%s/.cache/hsavisor-jit/%s", home, file);
	else
		return NULL;
	return (size_t)n < sizeof(path) && !directory_make_for(path, 0700) ? path : NULL;
}

/* The text of image.conf, read once: lines end in NUL. */
static char conf[16384];
static size_t conf_size;

static void load_conf(void)
{
	const char *cache = getenv("HSAVISOR_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");
	char path[4096];
	FILE *f;

	if (cache && *cache)
		snprintf(path, sizeof(path), "%s/image.conf", cache);
	else if (xdg && *xdg)
		snprintf(path, sizeof(path), "%s/hsavisor/image.conf", xdg);
	else
		snprintf(path, sizeof(path), "%s/.cache/hsavisor/image.conf",
			 home && *home ? home : "/root");
	f = fopen(path, "re");
	if (!f)
		return;
	conf_size = fread(conf, 1, sizeof(conf) - 1, f);
	fclose(f);
	for (size_t i = 0; i < conf_size; i++)
		if (conf[i] == '\n')
			conf[i] = 0;
}

const char *image_conf(const char *key)
{
	size_t n = strlen(key);

	if (!conf_size)
		load_conf();
	for (size_t i = 0; i < conf_size; i += strlen(conf + i) + 1)
		if (!strncmp(conf + i, key, n) && conf[i + n] == '=' && conf[i + n + 1])
			return conf + i + n + 1;
	return NULL;
}
