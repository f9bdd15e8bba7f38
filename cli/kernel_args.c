/* SPDX-License-Identifier: MIT */
/*
 * kernel_args.c - kernel arguments as people write them; see kernel_args.h.
 *
 * Where an argument lies and how large it is says the kernel's metadata; without any they lie one after the other, each aligned to its size.
 */
#include "cli/kernel_args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "cli/cli.h"

#define PADDING 0xa5 /* behind a buffer, up to the end of its page */

enum number { N_UNSIGNED, N_SIGNED, N_FLOAT };

static const struct type {
	const char *name;
	uint8_t size;
	enum number number;
} types[] = {{"u8", 1, N_UNSIGNED},  {"i8", 1, N_SIGNED},    {"u16", 2, N_UNSIGNED}, {"i16", 2, N_SIGNED},  {"u32", 4, N_UNSIGNED}, {"i32", 4, N_SIGNED},
	     {"u64", 8, N_UNSIGNED}, {"i64", 8, N_SIGNED},   {"f16", 2, N_FLOAT},    {"f32", 4, N_FLOAT},   {"f64", 8, N_FLOAT}};

static const struct type *type_of(const char *text, size_t length)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i].name) == length && !strncmp(types[i].name, text, length))
			return &types[i];
	return NULL;
}

/* False: not a number of that type, or out of its range. */
static bool parse(const struct type *t, const char *text, uint8_t out[8])
{
	char *end;
	uint64_t u = 0;

	errno = 0;
	memset(out, 0, 8);
	if (!*text || *text == ' ')
		return false;
	if (t->number == N_FLOAT) {
		double d = strtod(text, &end);
		float f = (float)d;
		_Float16 h = (_Float16)d;

		if (t->size == 2)
			memcpy(out, &h, 2);
		else if (t->size == 4)
			memcpy(out, &f, 4);
		else
			memcpy(out, &d, 8);
		return !*end && end != text;
	}
	if (t->number == N_SIGNED) {
		int64_t v = strtoll(text, &end, 0), limit = t->size == 8 ? INT64_MAX : (1ll << (8 * t->size - 1)) - 1;

		if (v > limit || v < -limit - 1)
			return false;
		u = (uint64_t)v;
	} else {
		if (*text == '-')
			return false;
		u = strtoull(text, &end, 0);
		if (t->size < 8 && u >> (8 * t->size))
			return false;
	}
	memcpy(out, &u, t->size);
	return !errno && !*end && end != text;
}

static int fill_file(struct kernel_arg *a, unsigned n, const char *path)
{
	FILE *f = fopen(path, "re");
	size_t got;

	if (!f)
		return cli_fail(EXIT_FAIL, "argument %u: %s: %s", n, path, strerror(errno));
	got = fread(a->host, 1, a->size, f);
	fclose(f);
	if (!got)
		return cli_fail(EXIT_FAIL, "argument %u: %s: nothing could be read from it", n, path);
	return 0;
}

static int fill(struct kernel_arg *a, unsigned n, const char *how)
{
	const char *colon;
	const struct type *t;
	uint8_t v[8];

	if (!how || !strcmp(how, "zero"))
		return 0;
	if (!strcmp(how, "count")) {
		for (uint64_t i = 0; i < a->size / 4; i++)
			memcpy(a->host + 4 * i, &(uint32_t){(uint32_t)i}, 4);
		return 0;
	}
	if (strncmp(how, "fill:", 5))
		return fill_file(a, n, how);
	how += 5;
	colon = strchr(how, ':');
	t = colon ? type_of(how, (size_t)(colon - how)) : type_of("u32", 3);
	if (!t || !parse(t, colon ? colon + 1 : how, v))
		return cli_fail(EXIT_USAGE, "argument %u: bad value '%s': write fill:TYPE:VALUE", n, how);
	for (uint64_t i = 0; i + t->size <= a->size; i += t->size)
		memcpy(a->host + i, v, t->size);
	return 0;
}

static int make_buffer(struct kernel_args *args, struct kernel_run *run, unsigned n, const char *text, uint64_t *va)
{
	struct kernel_arg *a = &args->arg[n];
	const char *equal = strchr(text, '=');
	char size[32];

	snprintf(size, sizeof(size), "%.*s", equal ? (int)(equal - text) : 31, text);
	if (size_parse(size, &a->size))
		return cli_fail(EXIT_USAGE, "argument %u: bad size '%s': write 4096, 16K, 2M and the like", n, size);
	snprintf(a->name, sizeof(a->name), "buffer %u", n);
	a->host = kernel_alloc(run, a->size, GPU_PROT_READ | GPU_PROT_WRITE, a->name, va);
	if (!a->host)
		return cli_fail(EXIT_FAIL, "argument %u: there is no memory for %s bytes, or there are too many buffers", n, size);
	a->buffer = true;
	a->padded = (a->size + 4095) & ~4095ull;
	memset(a->host + a->size, PADDING, a->padded - a->size);
	return fill(a, n, equal ? equal + 1 : NULL);
}

static int hex(const char *text, uint8_t *out, size_t max, size_t *size)
{
	for (*size = 0; text[0] && text[1]; text += 2, ++*size) {
		char two[3] = {text[0], text[1], 0}, *end;

		if (*size == max)
			return -1;
		out[*size] = (uint8_t)strtoul(two, &end, 16);
		if (*end)
			return -1;
	}
	return *text || !*size ? -1 : 0;
}

/* The value of one argument. */
static int value(struct kernel_args *args, struct kernel_run *run, unsigned n, uint8_t out[256], size_t *size, enum codeobj_arg_kind *kind)
{
	const char *text = args->arg[n].text, *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	const struct type *t = type_of(text, length);
	uint64_t v = 0;
	int err;

	*kind = ARG_BY_VALUE;
	*size = 8;
	if (t) {
		*size = t->size;
		return parse(t, colon + 1, out) ? 0 : cli_fail(EXIT_USAGE, "argument %u: '%s' is not a %s", n, colon + 1, t->name);
	}
	if (length == 6 && !strncmp(text, "buffer", 6)) {
		*kind = ARG_GLOBAL_BUFFER;
		err = make_buffer(args, run, n, colon + 1, &v);
		memcpy(out, &v, 8);
		return err;
	}
	if (length == 3 && !strncmp(text, "lds", 3)) {
		*kind = ARG_DYNAMIC_SHARED_POINTER;
		*size = 4;
		if (size_parse(colon + 1, &v) || v > 65536)
			return cli_fail(EXIT_USAGE, "argument %u: bad size '%s': 1 to 64K", n, colon + 1);
		/* Pointers are offsets in the work-group's LDS; 16: the largest alignment OpenCL has. */
		args->lds = (run->kernel->lds + args->lds + 15) / 16 * 16 - run->kernel->lds;
		memcpy(out, &(uint32_t){run->kernel->lds + args->lds}, 4);
		args->lds += (uint32_t)v;
		return 0;
	}
	if (length == 5 && !strncmp(text, "bytes", 5))
		return hex(colon + 1, out, 256, size) ? cli_fail(EXIT_USAGE, "argument %u: '%s' is not 1 to 256 bytes in hexadecimal", n, colon + 1) : 0;
	return cli_fail(EXIT_USAGE, "argument %u: '%s': write u32:5, f32:1.5, buffer:4096, lds:1024 and the like (see --help)", n, text);
}

/* The metadata wants a value of another kind or size. */
static int check(const struct codeobj_arg *a, unsigned n, size_t size, enum codeobj_arg_kind kind)
{
	char what[192];

	snprintf(what, sizeof(what), "argument %u%s%.80s%s", n, *a->name ? " (" : "", a->name, *a->name ? ")" : "");
	if (a->kind == ARG_GLOBAL_BUFFER && kind != ARG_GLOBAL_BUFFER && size != 8)
		return cli_fail(EXIT_USAGE, "%s is a buffer", what);
	if (a->kind == ARG_DYNAMIC_SHARED_POINTER && kind != ARG_DYNAMIC_SHARED_POINTER)
		return cli_fail(EXIT_USAGE, "%s is in LDS: write lds:SIZE", what);
	if (a->kind != ARG_BY_VALUE && a->kind != ARG_GLOBAL_BUFFER && a->kind != ARG_DYNAMIC_SHARED_POINTER)
		return cli_fail(EXIT_FAIL, "%s is a %s, which cannot be made here", what, codeobj_arg_kind_name(a->kind));
	if (a->size != size)
		return cli_fail(EXIT_USAGE, "%s has %u bytes%s%.80s, not %zu", what, a->size, *a->type ? " of " : "", a->type, size);
	return 0;
}

int kernel_args_make(struct kernel_args *args, struct kernel_run *run)
{
	const struct codeobj_kernel *k = run->kernel;
	uint32_t next = 0, at = 0;

	if (k->described && args->num != k->num_explicit) {
		cli_fail(EXIT_USAGE, "kernel %s takes %u arguments, not %u%s", k->name, k->num_explicit, args->num, k->num_explicit ? ":" : "");
		for (uint32_t i = 0; i < k->num_args; i++)
			if (k->arg[i].kind < ARG_FIRST_HIDDEN)
				fprintf(stderr, "  %u: %s, %u bytes  %s %s\n", i, codeobj_arg_kind_name(k->arg[i].kind), k->arg[i].size, k->arg[i].type, k->arg[i].name);
		return EXIT_USAGE;
	}
	args->bytes = calloc(1, k->kernarg + 1);
	if (!args->bytes)
		return cli_fail(EXIT_FAIL, "no memory");
	for (unsigned n = 0; n < args->num; n++) {
		enum codeobj_arg_kind kind;
		uint8_t bytes[256];
		size_t size;
		int err = value(args, run, n, bytes, &size, &kind);

		if (err)
			return err;
		if (k->described) {
			while (next < k->num_args && k->arg[next].kind >= ARG_FIRST_HIDDEN)
				next++;
			err = check(&k->arg[next], n, size, kind);
			if (err)
				return err;
			at = k->arg[next++].offset;
		} else {
			at = (uint32_t)((at + (size < 8 ? size : 8) - 1) / (size < 8 ? size : 8) * (size < 8 ? size : 8));
		}
		if (at > k->kernarg || size > k->kernarg - at)
			return cli_fail(EXIT_USAGE, "argument %u: the kernel's arguments have only %u bytes", n, k->kernarg);
		memcpy(args->bytes + at, bytes, size);
		at += (uint32_t)size;
		if (at > args->size)
			args->size = at;
	}
	return 0;
}

void kernel_args_free(struct kernel_args *args)
{
	for (unsigned n = 0; n < args->num; n++)
		free(args->arg[n].before);
	free(args->bytes);
}

int kernel_args_keep(struct kernel_args *args)
{
	for (unsigned n = 0; n < args->num; n++) {
		struct kernel_arg *a = &args->arg[n];

		if (!a->buffer)
			continue;
		a->before = malloc(a->padded);
		if (!a->before)
			return -ENOMEM;
		memcpy(a->before, a->host, a->padded);
	}
	return 0;
}

void kernel_args_restore(struct kernel_args *args)
{
	for (unsigned n = 0; n < args->num; n++)
		if (args->arg[n].before)
			memcpy(args->arg[n].host, args->arg[n].before, args->arg[n].padded);
}

void kernel_args_check(const struct kernel_args *args)
{
	for (unsigned n = 0; n < args->num; n++) {
		const struct kernel_arg *a = &args->arg[n];

		for (uint64_t i = a->size; a->buffer && i < a->padded; i++)
			if (a->host[i] != PADDING) {
				cli_fail(0, "warning: buffer %u was written to %" PRIu64 " bytes behind its end", n, i - a->size);
				break;
			}
	}
}

/* ------------------------------------------------------------------ dumps */

static void print_value(FILE *f, const struct type *t, const uint8_t *p)
{
	uint64_t u = 0;

	memcpy(&u, p, t->size);
	if (t->number == N_UNSIGNED) {
		fprintf(f, "%" PRIu64, u);
	} else if (t->number == N_SIGNED) {
		fprintf(f, "%" PRId64, (int64_t)(u << (64 - 8 * t->size)) >> (64 - 8 * t->size));
	} else if (t->size == 8) {
		double d;

		memcpy(&d, p, 8);
		fprintf(f, "%.17g", d);
	} else {
		_Float16 h;
		float v = 0;

		memcpy(&h, p, 2);
		memcpy(&v, p, t->size == 4 ? 4 : 2);
		fprintf(f, t->size == 4 ? "%.9g" : "%.5g", t->size == 4 ? (double)v : (double)h);
	}
}

static bool write_dump(FILE *f, const struct kernel_arg *a, const struct type *t)
{
	if (!t)
		return fwrite(a->host, 1, a->size, f) == a->size;
	for (uint64_t i = 0; i + t->size <= a->size; i += t->size) {
		print_value(f, t, a->host + i);
		fputc((i / t->size + 1) % 8 && i + 2ull * t->size <= a->size ? ' ' : '\n', f);
	}
	return !ferror(f);
}

int kernel_args_dump(const struct kernel_args *args, const char *text, bool only_check)
{
	const char *path, *colon;
	const struct type *t = NULL;
	unsigned long n;
	char *end, file[4096] = "-";
	bool good;
	FILE *f;

	n = strtoul(text, &end, 10);
	if (end == text || (*end && *end != ':'))
		return cli_fail(EXIT_USAGE, "--dump %s: write N:FILE, N:FILE:TYPE or N", text);
	if (n >= args->num || !args->arg[n].buffer)
		return cli_fail(EXIT_USAGE, "--dump %s: argument %lu is not a buffer", text, n);
	if (*end) {
		path = end + 1;
		colon = strrchr(path, ':');
		if (colon) {
			t = type_of(colon + 1, strlen(colon + 1));
			if (!t)
				return cli_fail(EXIT_USAGE, "--dump %s: there is no type '%s'", text, colon + 1);
		}
		snprintf(file, sizeof(file), "%.*s", colon ? (int)(colon - path) : 4095, path);
	}
	if (only_check)
		return 0;
	if (!strcmp(file, "-")) {
		write_dump(stdout, &args->arg[n], t ? t : type_of("u32", 3));
		return 0;
	}
	f = fopen(file, "we");
	if (!f)
		return cli_fail(EXIT_FAIL, "%s: %s", file, strerror(errno));
	good = write_dump(f, &args->arg[n], t);
	if (fclose(f) || !good)
		return cli_fail(EXIT_FAIL, "%s: %s", file, strerror(errno));
	return 0;
}
