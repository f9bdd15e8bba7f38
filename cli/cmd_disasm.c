/* SPDX-License-Identifier: MIT */
/*
 * cmd_disasm.c - `hsavisor disasm`: what is in a code object, read with the GPU's own decoder: what it shows is what would be executed.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/code_text.h"

static const char usage[] =
	"Usage: hsavisor disasm [--target gfx90a|gfx900] [--headers] [--json] FILE [KERNEL]\n"
	"Shows the kernels of an AMDGPU code object: registers, LDS, scratch, arguments, and their code.\n"
	"\n"
	"FILE is a code object (ELF), a clang offload bundle, or a HIP program or library. Without KERNEL\n"
	"all functions are shown.\n"
	"\n"
	"  --target T  of a bundle's code objects only those for T\n"
	"  --headers   no code\n"
	"  --json      the same for programs\n"
	"\n"
	"Exit status: 0 fine, 1 FILE cannot be used, 2 bad usage, 4 no such kernel.\n";

struct options {
	const char *path, *kernel, *target;
	bool headers, json;
};

/* ------------------------------------------------------------------ text */

static void print_header(const struct codeobj_kernel *k)
{
	printf("kernel %s\n", k->name);
	printf("  registers    %u VGPRs, %u AGPRs, %u SGPRs; spilled: %u VGPRs, %u SGPRs\n", k->vgprs, k->agprs, k->sgprs, k->vgpr_spills,
	       k->sgpr_spills);
	printf("  LDS          %u bytes a work-group\n", k->lds);
	printf("  scratch      %u bytes a work-item%s\n", k->scratch, k->dynamic_stack ? ", and a stack of unknown size" : "");
	printf("  work-group   at most %u work-items", k->max_group);
	if (k->required_group[0])
		printf(", required %u,%u,%u", k->required_group[0], k->required_group[1], k->required_group[2]);
	printf("%s\n", k->uniform_groups ? ", the grid is a multiple of it" : "");
	printf("  arguments    %u bytes%s\n", k->kernarg, k->described ? "" : " (there is no metadata: registers are as allocated)");
	for (uint32_t i = 0; i < k->num_args; i++) {
		const struct codeobj_arg *a = &k->arg[i];

		printf("    %4u %5u bytes  %s%s%s%s%s\n", a->offset, a->size, codeobj_arg_kind_name(a->kind), *a->name || *a->type ? "  " : "", a->type,
		       *a->type && *a->name ? " " : "", a->name);
	}
}

static void print_code(const struct codeobj *co, const char *name, uint64_t start, uint64_t end)
{
	unsigned n;

	printf("\n%016llx <%s>:\n", (unsigned long long)start, name);
	for (uint64_t at = start; at < end; at += n) {
		char text[256], place[160], *target;
		uint32_t word;

		n = code_inst_text(co, at, text, sizeof(text), NULL);
		if (!n)
			break;
		target = strstr(text, " // 0x");
		if (target)
			*target = 0;
		printf("\t%-60s // %012llX:", text, (unsigned long long)at);
		for (unsigned i = 0; i < n; i += 4) {
			memcpy(&word, co->image + at + i, 4);
			printf(" %08X", word);
		}
		if (target) {
			code_place(co, strtoull(target + 4, NULL, 16), place, sizeof(place));
			printf(" <%s>", place);
		}
		putchar('\n');
	}
}

static void show_text(const struct codeobj *co, const struct codeobj_kernel *only, const struct options *o)
{
	for (uint32_t i = 0; i < co->num_kernels; i++)
		if (!only || only == &co->kernel[i])
			print_header(&co->kernel[i]);
	if (!only && !co->num_kernels)
		puts("no kernels");
	if (o->headers)
		return;
	if (only && !only->entry && !only->code_size) {
		puts("  (its code was not found)");
		return;
	}
	if (only) {
		print_code(co, only->name, only->entry, code_end(co, only->entry, only->code_size));
		return;
	}
	for (size_t i = 0; i < co->num_symbols; i++) {
		const struct codeobj_symbol *s = &co->symbol[i];

		/* Of several names for a place the last is shown with the code. */
		if (s->function && !(i + 1 < co->num_symbols && co->symbol[i + 1].function && co->symbol[i + 1].value == s->value))
			print_code(co, s->name, s->value, code_end(co, s->value, s->size));
	}
}

/* ------------------------------------------------------------------ JSON */

static void put_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)v));
}

static struct json_object *code_json(const struct codeobj *co, uint64_t start, uint64_t end)
{
	struct json_object *list = json_object_new_array();
	unsigned n;

	for (uint64_t at = start; at < end; at += n) {
		struct json_object *o;
		char text[256];

		n = code_inst_text(co, at, text, sizeof(text), NULL);
		if (!n)
			break;
		o = json_object_new_object();
		put_u64(o, "address", at);
		put_u64(o, "bytes", n);
		json_object_object_add(o, "text", json_object_new_string(text));
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *kernel_json(const struct codeobj *co, const struct codeobj_kernel *k, bool headers)
{
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{"vgprs", k->vgprs}, {"agprs", k->agprs}, {"sgprs", k->sgprs}, {"vgpr_spills", k->vgpr_spills}, {"sgpr_spills", k->sgpr_spills},
		{"lds", k->lds}, {"scratch", k->scratch}, {"kernarg", k->kernarg}, {"wave_size", k->wave_size}, {"max_work_group", k->max_group},
		{"entry", k->entry}, {"descriptor", k->descriptor}, {"code_bytes", code_end(co, k->entry, k->code_size) - k->entry},
	};
	struct json_object *o = json_object_new_object(), *args = json_object_new_array(), *group;

	json_object_object_add(o, "name", json_object_new_string(k->name));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		put_u64(o, numbers[i].key, numbers[i].value);
	json_object_object_add(o, "metadata", json_object_new_boolean(k->described));
	json_object_object_add(o, "uniform_work_groups", json_object_new_boolean(k->uniform_groups));
	json_object_object_add(o, "dynamic_stack", json_object_new_boolean(k->dynamic_stack));
	if (k->required_group[0]) {
		group = json_object_new_array();
		for (int d = 0; d < 3; d++)
			json_object_array_add(group, json_object_new_int64(k->required_group[d]));
		json_object_object_add(o, "required_work_group", group);
	}
	for (uint32_t i = 0; i < k->num_args; i++) {
		struct json_object *a = json_object_new_object();

		json_object_object_add(a, "name", json_object_new_string(k->arg[i].name));
		json_object_object_add(a, "type", json_object_new_string(k->arg[i].type));
		json_object_object_add(a, "kind", json_object_new_string(codeobj_arg_kind_name(k->arg[i].kind)));
		put_u64(a, "offset", k->arg[i].offset);
		put_u64(a, "size", k->arg[i].size);
		json_object_array_add(args, a);
	}
	json_object_object_add(o, "arguments", args);
	if (!headers)
		json_object_object_add(o, "code", code_json(co, k->entry, code_end(co, k->entry, k->code_size)));
	return o;
}

/* ------------------------------------------------------------------ */

/* One code object; adds to list if that is not NULL. */
static int show(const struct codeobj *co, const struct codeobj_entry *entry, bool several, const struct options *o, struct json_object *list)
{
	const struct codeobj_kernel *only = NULL;
	struct json_object *row, *kernels;

	if (o->kernel) {
		only = codeobj_kernel(co, o->kernel);
		if (!only && several)
			return EXIT_NO_SUCH;
		if (!only && !code_kernel(co, o->path, o->kernel))
			return EXIT_NO_SUCH;
	}
	if (!list) {
		printf("%s: code object for %s, %u kernels\n", o->path, *entry->target ? entry->target : code_target_name(co->target), co->num_kernels);
		show_text(co, only, o);
		return EXIT_OK;
	}
	row = json_object_new_object();
	kernels = json_object_new_array();
	json_object_object_add(row, "target", json_object_new_string(code_target_name(co->target)));
	for (uint32_t i = 0; i < co->num_kernels; i++)
		if (!only || only == &co->kernel[i])
			json_object_array_add(kernels, kernel_json(co, &co->kernel[i], o->headers));
	json_object_object_add(row, "kernels", kernels);
	json_object_array_add(list, row);
	return EXIT_OK;
}

static int show_file(const struct options *o)
{
	struct json_object *list = o->json ? json_object_new_array() : NULL;
	char error[CODEOBJ_ERROR];
	struct codeobj_file file;
	unsigned shown = 0, fit = 0;
	int result = EXIT_OK;

	if (codeobj_file_read(&file, o->path, error)) {
		json_object_put(list);
		return cli_fail(EXIT_FAIL, "%s: %s", o->path, error);
	}
	for (uint32_t i = 0; i < file.num; i++) {
		const struct codeobj_entry *e = &file.entry[i];
		struct codeobj co;
		int err;

		if (!code_target_fits(e, o->target) || (!o->target && !code_target_fits(e, "gfx900") && !code_target_fits(e, "gfx90a")))
			continue;
		fit++;
		if (codeobj_open(&co, file.bytes + e->offset, e->size, CODEOBJ_IDENTITY, error)) {
			result = cli_fail(EXIT_FAIL, "%s: %s", o->path, error);
			continue;
		}
		if (o->target && strcmp(o->target, code_target_name(co.target))) {
			fit--;
		} else {
			err = show(&co, e, file.num > 1, o, list);
			shown += !err;
		}
		codeobj_free(&co);
	}
	if (!result && !fit)
		result = cli_fail(EXIT_FAIL, "%s: there is no code object for %s in it", o->path, o->target ? o->target : "gfx900 or gfx90a");
	else if (!result && !shown)
		result = file.num > 1 ? cli_fail(EXIT_NO_SUCH, "%s: there is no kernel '%s' in any of its code objects", o->path, o->kernel) : EXIT_NO_SUCH;
	if (list && shown) {
		struct json_object *top = json_object_new_object();

		json_object_object_add(top, "file", json_object_new_string(o->path));
		json_object_object_add(top, "code_objects", json_object_get(list));
		json_print(top);
		json_object_put(top);
	}
	json_object_put(list);
	codeobj_file_free(&file);
	return result;
}

int cmd_disasm(int argc, char **argv)
{
	static const struct option known[] = {{"target", required_argument, NULL, 't'}, {"headers", no_argument, NULL, 'H'},
					      {"json", no_argument, NULL, 'j'},		{"help", no_argument, NULL, 'h'},
					      {0}};
	struct options o = {0};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "ht:", known, NULL)) != -1) {
		switch (c) {
		case 't':
			o.target = optarg;
			if (!code_target_known(optarg))
				return EXIT_USAGE;
			break;
		case 'H':
			o.headers = true;
			break;
		case 'j':
			o.json = true;
			break;
		default:
			return cli_usage(usage, c);
		}
	}
	if (argc - optind < 1 || argc - optind > 2)
		return cli_usage(usage, '?');
	o.path = argv[optind];
	o.kernel = argv[optind + 1];
	return show_file(&o);
}
