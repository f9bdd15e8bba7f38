/* SPDX-License-Identifier: MIT */
/* profile.c - see profile.h. */
#include "gpu/soft/isa/profile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HOT_LINES 48 /* of a block's code */

const struct isa_class_name isa_class_names[ISA_NUM_CLASSES] = {
	[ISA_CLASS_SALU] = {"scalar ALU", "salu"},
	[ISA_CLASS_SMEM] = {"scalar memory", "smem"},
	[ISA_CLASS_BRANCH] = {"branch", "branch"},
	[ISA_CLASS_CONTROL] = {"wait, barrier, end", "control"},
	[ISA_CLASS_VALU] = {"vector ALU", "valu"},
	[ISA_CLASS_F64] = {"vector ALU, f64", "valu_f64"},
	[ISA_CLASS_MATRIX] = {"matrix", "matrix"},
	[ISA_CLASS_LDS] = {"LDS", "lds"},
	[ISA_CLASS_LOAD] = {"memory load", "load"},
	[ISA_CLASS_STORE] = {"memory store", "store"},
	[ISA_CLASS_ATOMIC] = {"memory atomic", "atomic"},
	[ISA_CLASS_OTHER] = {"other", "other"},
};

static enum isa_class class_of(const struct isa_inst *inst)
{
	/* By the beginning of the name; the first that fits. */
	static const struct {
		const char *begin;
		enum isa_class class;
	} names[] = {{"s_branch", ISA_CLASS_BRANCH}, {"s_cbranch", ISA_CLASS_BRANCH}, {"s_setpc", ISA_CLASS_BRANCH},
		     {"s_swappc", ISA_CLASS_BRANCH}, {"s_call", ISA_CLASS_BRANCH},    {"v_mfma", ISA_CLASS_MATRIX}};
	static const uint8_t formats[] = {
		[ISA_FMT_SOP1] = ISA_CLASS_SALU,   [ISA_FMT_SOP2] = ISA_CLASS_SALU,    [ISA_FMT_SOPC] = ISA_CLASS_SALU,
		[ISA_FMT_SOPK] = ISA_CLASS_SALU,   [ISA_FMT_SOPP] = ISA_CLASS_CONTROL, [ISA_FMT_SMEM] = ISA_CLASS_SMEM,
		[ISA_FMT_VOP1] = ISA_CLASS_VALU,   [ISA_FMT_VOP2] = ISA_CLASS_VALU,    [ISA_FMT_VOPC] = ISA_CLASS_VALU,
		[ISA_FMT_VOP3] = ISA_CLASS_VALU,   [ISA_FMT_VOP3P] = ISA_CLASS_VALU,   [ISA_FMT_VINTRP] = ISA_CLASS_VALU,
		[ISA_FMT_DS] = ISA_CLASS_LDS,	   [ISA_FMT_FLAT] = ISA_CLASS_LOAD,    [ISA_FMT_GLOBAL] = ISA_CLASS_LOAD,
		[ISA_FMT_SCRATCH] = ISA_CLASS_LOAD, [ISA_FMT_MUBUF] = ISA_CLASS_LOAD,  [ISA_FMT_MTBUF] = ISA_CLASS_LOAD,
		[ISA_FMT_MIMG] = ISA_CLASS_OTHER,  [ISA_FMT_EXP] = ISA_CLASS_OTHER,
	};
	const char *name = isa_op_name(inst->op);
	enum isa_class class;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(name, names[i].begin, strlen(names[i].begin)))
			return names[i].class;
	class = inst->op == ISA_OP_INVALID || inst->format >= sizeof(formats) ? ISA_CLASS_OTHER : (enum isa_class)formats[inst->format];
	if (class == ISA_CLASS_VALU && strstr(name, "f64"))
		return ISA_CLASS_F64;
	if (class == ISA_CLASS_LOAD)
		return strstr(name, "_atomic") ? ISA_CLASS_ATOMIC : strstr(name, "_store") ? ISA_CLASS_STORE : ISA_CLASS_LOAD;
	return class;
}

static struct isa_block *new_block(struct isa_profile *p)
{
	if (!(p->num & (p->num - 1))) {
		struct isa_block *more = reallocarray(p->block, p->num ? 2 * p->num : 1, sizeof(*more));

		if (!more)
			return NULL;
		p->block = more;
	}
	return &p->block[p->num++];
}

static void count_inst(struct isa_profile *p, enum isa_class class, const struct isa_count *c)
{
	p->mix[class] += c->waves;
	p->total += c->waves;
	if (class == ISA_CLASS_VALU || class == ISA_CLASS_F64 || class == ISA_CLASS_MATRIX) {
		p->valu += c->waves;
		p->valu_lanes += c->lanes;
	}
}

int isa_profile_add(struct isa_profile *p, enum isa_target target, uint64_t start, const uint32_t *words, const struct isa_count *count, size_t num)
{
	struct isa_block *b = NULL;
	bool open = false;

	for (size_t i = 0, size; i < num; i += size) {
		const struct isa_count *c = &count[i];
		struct isa_inst inst;
		enum isa_class class;
		int bytes;

		size = 1;
		if (!c->waves) {
			open = false;
			continue;
		}
		bytes = isa_decode(target, words + i, num - i < 3 ? num - i : 3, &inst);
		if (bytes < 4)
			inst = (struct isa_inst){.op = ISA_OP_INVALID, .size = 4};
		else
			size = (size_t)bytes / 4;
		if (!open || c->waves != b->runs || c->lanes / c->waves != b->lanes / b->runs) {
			b = new_block(p);
			if (!b)
				return -ENOMEM;
			*b = (struct isa_block){.start = start + 4 * i, .runs = c->waves, .lanes = c->lanes};
		}
		b->end = start + 4 * (i + size);
		b->instructions += c->waves;
		class = class_of(&inst);
		count_inst(p, class, c);
		open = class != ISA_CLASS_BRANCH;
	}
	return 0;
}

static int hotter(const void *a, const void *b)
{
	const struct isa_block *x = a, *y = b;

	return x->instructions != y->instructions ? (x->instructions > y->instructions ? -1 : 1) : (x->start > y->start) - (x->start < y->start);
}

void isa_profile_sort(struct isa_profile *p)
{
	if (p->num)
		qsort(p->block, p->num, sizeof(*p->block), hotter);
}

void isa_profile_free(struct isa_profile *p)
{
	free(p->block);
	*p = (struct isa_profile){0};
}

double isa_share(uint64_t part, uint64_t all)
{
	return all ? (double)part / (double)all : 0;
}

void isa_profile_print(const struct isa_profile *p, const struct isa_profile_text *text, FILE *f)
{
	for (unsigned i = 0; i < ISA_NUM_CLASSES; i++)
		if (p->mix[i])
			fprintf(f, "  %5.1f %%  %-20s %llu\n", 100 * isa_share(p->mix[i], p->total), isa_class_names[i].name,
				(unsigned long long)p->mix[i]);
	for (size_t i = 0; i < p->num && i < ISA_HOT_BLOCKS; i++) {
		const struct isa_block *b = &p->block[i];
		char line[256], place[160];
		unsigned lines = 0;

		text->place(text->ctx, b->start, place, sizeof(place));
		fprintf(f, "\nhot block %zu: %.1f %% of the instructions, %llu times, %.1f lanes active, at %s\n", i + 1,
			100 * isa_share(b->instructions, p->total), (unsigned long long)b->runs, (double)b->lanes / (double)b->runs, place);
		for (uint64_t at = b->start; at < b->end; lines++) {
			unsigned n = lines < HOT_LINES ? text->inst(text->ctx, at, line, sizeof(line)) : 0;

			if (!n) {
				fprintf(f, "\t... to %llx\n", (unsigned long long)b->end);
				break;
			}
			fprintf(f, "\t%06llx  %s\n", (unsigned long long)at, line);
			at += n;
		}
	}
}
