/* SPDX-License-Identifier: MIT */
/* code_text.c - a code object as text; see code_text.h. */
#include "cli/code_text.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const char *const target_names[ISA_NUM_TARGETS] = {[ISA_GFX900] = "gfx900", [ISA_GFX90A] = "gfx90a"};

const char *code_target_name(enum isa_target target)
{
	return target_names[target];
}

bool code_target_known(const char *target)
{
	for (size_t i = 0; i < ISA_NUM_TARGETS; i++)
		if (!strcmp(target_names[i], target))
			return true;
	cli_fail(EXIT_USAGE, "there is no target '%s': gfx900 or gfx90a", target);
	return false;
}

bool code_target_fits(const struct codeobj_entry *entry, const char *target)
{
	size_t n = strcspn(entry->target, ":");

	/* A file that is one code object says it itself. */
	return !target || !n || (strlen(target) == n && !strncmp(entry->target, target, n));
}

/* A bundle may have code for GPUs that we don't know. */
static bool ours(const struct codeobj_entry *entry)
{
	for (size_t i = 0; i < ISA_NUM_TARGETS; i++)
		if (code_target_fits(entry, target_names[i]))
			return true;
	return false;
}

int code_open(struct codeobj_file *file, struct codeobj *co, const char *path, const char *target, uint64_t base)
{
	char error[CODEOBJ_ERROR];
	int err = codeobj_file_read(file, path, error);

	if (err)
		return cli_fail(EXIT_FAIL, "%s: %s", path, error);
	for (uint32_t i = 0; i < file->num; i++) {
		const struct codeobj_entry *e = &file->entry[i];

		if (!ours(e) || !code_target_fits(e, target))
			continue;
		err = codeobj_open(co, file->bytes + e->offset, e->size, base, error);
		if (!err && target && strcmp(target, target_names[co->target])) {
			err = cli_fail(EXIT_FAIL, "%s: is code for %s, not for %s", path, target_names[co->target], target);
			codeobj_free(co);
		} else if (err) {
			err = cli_fail(EXIT_FAIL, "%s: %s", path, error);
		}
		if (err)
			codeobj_file_free(file);
		return err;
	}
	codeobj_file_free(file);
	return cli_fail(EXIT_FAIL, "%s: there is no code object for %s in it", path, target ? target : "gfx900 or gfx90a");
}

const struct codeobj_kernel *code_kernel(const struct codeobj *co, const char *path, const char *name)
{
	const struct codeobj_kernel *k = codeobj_kernel(co, name);

	if (k)
		return k;
	cli_fail(EXIT_NO_SUCH, "%s: there is no kernel '%s' in it%s", path, name, co->num_kernels ? "; there are:" : ", nor any other");
	for (uint32_t i = 0; i < co->num_kernels && i < 20; i++)
		fprintf(stderr, "  %s\n", co->kernel[i].name);
	if (co->num_kernels > 20)
		fprintf(stderr, "  and %u more\n", co->num_kernels - 20);
	return NULL;
}

unsigned code_inst_text(const struct codeobj *co, uint64_t at, char *text, size_t size, struct isa_inst *inst)
{
	uint32_t words[3] = {0};
	struct isa_inst own;
	size_t left;
	int n;

	if (at >= co->size || co->size - at < 4)
		return 0;
	left = co->size - at < sizeof(words) ? co->size - at : sizeof(words);
	memcpy(words, co->image + at, left);
	inst = inst ? inst : &own;
	n = isa_decode(co->target, words, left / 4, inst);
	if (n > 0) {
		isa_print(text, size, inst, at);
		return (unsigned)n;
	}
	*inst = (struct isa_inst){.op = ISA_OP_INVALID, .size = 4};
	snprintf(text, size, ".long 0x%08x", words[0]);
	return 4;
}

void code_place(const struct codeobj *co, uint64_t at, char *text, size_t size)
{
	const struct codeobj_symbol *f = codeobj_function_at(co, at);

	if (f)
		snprintf(text, size, "%s+0x%llx", f->name, (unsigned long long)(at - f->value));
	else
		snprintf(text, size, "0x%llx", (unsigned long long)at);
}

uint64_t code_end(const struct codeobj *co, uint64_t start, uint64_t size)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < co->num_code; i++)
		if (start >= co->code[i].start && start < co->code[i].end)
			end = co->code[i].end;
	if (size && size <= end - start)
		return start + size;
	for (size_t i = 0; i < co->num_symbols; i++)
		if (co->symbol[i].function && co->symbol[i].value > start && co->symbol[i].value < end)
			return co->symbol[i].value;
	return end > start ? end : start;
}
