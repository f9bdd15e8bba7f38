/* SPDX-License-Identifier: MIT */
/*
 * kernel_observe.c - watches a kernel instruction by instruction; see kernel_observe.h.
 *
 * Counts are kept for each thread and each dword of the code, and added up later. Basic blocks are found from them afterwards: an instruction begins one
 * when the one before it branches, or when it was executed another number of times.
 */
#include "cli/kernel_observe.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define HOT_BLOCKS 8
#define HOT_LINES  48 /* of a block's code */
#define ROWS	   512 /* vector registers of a wave: VGPRs and AGPRs */

static _Thread_local struct kernel_count *counts;

void kernel_observe_thread(struct kernel_count *count)
{
	counts = count;
}

static void observe_count(const struct exec_observer *o, struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, exec_fn *fn)
{
	struct kernel_count *c = &counts[(ctx->pc - KERNEL_CODE_BASE) / 4];

	c->waves++;
	c->lanes += (unsigned)__builtin_popcountll(WAVE_EXEC(w));
	fn(ctx, w, inst);
}

/* ------------------------------------------------------------------ the trace */

static bool is_traced(const struct kernel_trace *t, const struct wave *w)
{
	for (unsigned i = 0; i < t->num_waves; i++)
		if (t->wave[i].wave == w->id && !memcmp(t->wave[i].group, w->wg->id, sizeof(w->wg->id)))
			return true;
	return t->all;
}

static const char *sgpr_name(unsigned i, char text[16])
{
	static const struct {
		uint8_t index;
		const char *name;
	} special[] = {{102, "flat_scratch_lo"}, {103, "flat_scratch_hi"}, {104, "xnack_mask_lo"}, {105, "xnack_mask_hi"}, {106, "vcc_lo"},
		       {107, "vcc_hi"},		 {124, "m0"},		   {126, "exec_lo"},	   {127, "exec_hi"}};

	for (size_t k = 0; k < sizeof(special) / sizeof(special[0]); k++)
		if (special[k].index == i)
			return special[k].name;
	snprintf(text, 16, i >= 108 && i < 124 ? "ttmp%u" : "s%u", i >= 108 && i < 124 ? i - 108 : i);
	return text;
}

static void print_row(FILE *f, char kind, unsigned r, const uint32_t now[WAVE_LANES], const uint32_t before[WAVE_LANES], uint64_t exec)
{
	uint64_t changed = 0;
	bool same = true;
	unsigned first;

	for (unsigned l = 0; l < WAVE_LANES; l++)
		changed |= (uint64_t)(now[l] != before[l]) << l;
	if (!changed)
		return;
	first = (unsigned)__builtin_ctzll(changed);
	for (unsigned l = 0; l < WAVE_LANES; l++)
		same &= !(exec >> l & 1) || now[l] == now[first];
	fprintf(f, "\t%c%u =", kind, r);
	/* All active lanes alike, and none else changed. */
	if (same && !(changed & ~exec)) {
		fprintf(f, " %08x in all active lanes\n", now[first]);
		return;
	}
	for (unsigned l = 0; l < WAVE_LANES; l++)
		if (changed >> l & 1)
			fprintf(f, " %u:%08x", l, now[l]);
	fputc('\n', f);
}

static void observe_trace(const struct exec_observer *o, struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, exec_fn *fn)
{
	static uint32_t rows[ROWS][WAVE_LANES]; /* traces run on one thread */
	const struct kernel_run *run = ((const struct kernel_observer *)(const void *)o)->run;
	struct kernel_trace *t = run->trace;
	uint32_t sgpr[WAVE_SGPRS], vgprs = w->num_vgprs < 256 ? w->num_vgprs : 256, agprs = w->num_agprs < 256 ? w->num_agprs : 256;
	uint64_t exec = WAVE_EXEC(w), pc = ctx->pc;
	char text[256], place[160], name[16];
	bool scc = w->scc;

	if (!is_traced(t, w)) {
		fn(ctx, w, inst);
		return;
	}
	code_place(run->co, pc - KERNEL_CODE_BASE, place, sizeof(place));
	isa_print(text, sizeof(text), inst, pc - KERNEL_CODE_BASE);
	fprintf(t->file, "%u,%u,%u:%u %s  %s\n", w->wg->id[0], w->wg->id[1], w->wg->id[2], w->id, place, text);
	t->instructions++;
	memcpy(sgpr, w->sgpr, sizeof(sgpr));
	memcpy(rows, w->vgpr, vgprs * sizeof(rows[0]));
	if (agprs)
		memcpy(rows + 256, w->agpr, agprs * sizeof(rows[0]));
	fn(ctx, w, inst);
	for (unsigned i = 0; i < WAVE_SGPRS; i++)
		if (w->sgpr[i] != sgpr[i])
			fprintf(t->file, "\t%s = %08x\n", sgpr_name(i, name), w->sgpr[i]);
	if (w->scc != scc)
		fprintf(t->file, "\tscc = %d\n", w->scc);
	for (unsigned r = 0; r < vgprs && r < w->num_vgprs; r++)
		print_row(t->file, 'v', r, w->vgpr[r], rows[r], exec);
	for (unsigned r = 0; r < agprs && r < w->num_agprs; r++)
		print_row(t->file, 'a', r, w->agpr[r], rows[256 + r], exec);
	if (ctx->error != EXEC_DONE)
		fprintf(t->file, "\tfails\n");
	else if (w->pc != pc + inst->size && w->state != WAVE_ENDED) {
		code_place(run->co, w->pc - KERNEL_CODE_BASE, place, sizeof(place));
		fprintf(t->file, "\tgoes to %s\n", place);
	}
}

struct kernel_observer kernel_observer(struct kernel_run *run, bool traces)
{
	return (struct kernel_observer){.exec.inst = traces ? observe_trace : observe_count, .run = run};
}

/* ------------------------------------------------------------------ the profile */

static const struct mix_class {
	const char *name, *json;
} classes[] = {{"scalar ALU", "salu"},	 {"scalar memory", "smem"},	{"branch", "branch"},	{"wait, barrier, end", "control"},
	       {"vector ALU", "valu"},	 {"vector ALU, f64", "valu_f64"}, {"matrix", "matrix"},	{"LDS", "lds"},
	       {"memory load", "load"}, {"memory store", "store"},	{"memory atomic", "atomic"}, {"other", "other"}};
enum { C_SALU, C_SMEM, C_BRANCH, C_CONTROL, C_VALU, C_F64, C_MATRIX, C_LDS, C_LOAD, C_STORE, C_ATOMIC, C_OTHER, NUM_CLASSES };

static unsigned class_of(const struct isa_inst *inst)
{
	/* By the beginning of the name; the first that fits. */
	static const struct {
		const char *begin;
		uint8_t class;
	} names[] = {{"s_branch", C_BRANCH}, {"s_cbranch", C_BRANCH}, {"s_setpc", C_BRANCH}, {"s_swappc", C_BRANCH}, {"s_call", C_BRANCH}, {"v_mfma", C_MATRIX}};
	static const uint8_t formats[] = {
		[ISA_FMT_SOP1] = C_SALU,    [ISA_FMT_SOP2] = C_SALU,	[ISA_FMT_SOPC] = C_SALU,   [ISA_FMT_SOPK] = C_SALU,	  [ISA_FMT_SOPP] = C_CONTROL,
		[ISA_FMT_SMEM] = C_SMEM,    [ISA_FMT_VOP1] = C_VALU,	[ISA_FMT_VOP2] = C_VALU,   [ISA_FMT_VOPC] = C_VALU,	  [ISA_FMT_VOP3] = C_VALU,
		[ISA_FMT_VOP3P] = C_VALU,   [ISA_FMT_VINTRP] = C_VALU,	[ISA_FMT_DS] = C_LDS,	   [ISA_FMT_FLAT] = C_LOAD,	  [ISA_FMT_GLOBAL] = C_LOAD,
		[ISA_FMT_SCRATCH] = C_LOAD, [ISA_FMT_MUBUF] = C_LOAD,	[ISA_FMT_MTBUF] = C_LOAD,  [ISA_FMT_MIMG] = C_OTHER, [ISA_FMT_EXP] = C_OTHER,
	};
	const char *name = isa_op_name(inst->op);
	unsigned class;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(name, names[i].begin, strlen(names[i].begin)))
			return names[i].class;
	class = inst->op == ISA_OP_INVALID || inst->format >= sizeof(formats) ? C_OTHER : formats[inst->format];
	if (class == C_VALU && strstr(name, "f64"))
		return C_F64;
	if (class == C_LOAD)
		return strstr(name, "_atomic") ? C_ATOMIC : strstr(name, "_store") ? C_STORE : C_LOAD;
	return class;
}

struct block {
	uint64_t start, end; /* addresses of the ELF file */
	uint64_t runs, instructions, lanes;
};

struct profile {
	struct block *block;
	size_t num;
	uint64_t mix[NUM_CLASSES], total, valu, valu_lanes;
};

static int hotter(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	return x->instructions != y->instructions ? (x->instructions > y->instructions ? -1 : 1) : (x->start > y->start) - (x->start < y->start);
}

/* 0, -1: out of memory. */
static int make_profile(const struct kernel_run *run, struct profile *p)
{
	struct block *b = NULL;
	bool open = false;

	memset(p, 0, sizeof(*p));
	for (uint64_t at = 0, size; at < run->co->size; at += size) {
		const struct kernel_count *c = &run->count[at / 4];
		struct isa_inst inst;
		char text[256];
		unsigned class;

		size = 4;
		if (!c->waves) {
			open = false;
			continue;
		}
		size = code_inst_text(run->co, at, text, sizeof(text), &inst);
		if (!open || c->waves != b->runs || c->lanes / c->waves != b->lanes / b->runs) {
			if (!(p->num & (p->num - 1))) {
				struct block *more = reallocarray(p->block, p->num ? 2 * p->num : 1, sizeof(*more));

				if (!more)
					return -1;
				p->block = more;
			}
			b = &p->block[p->num++];
			*b = (struct block){.start = at, .runs = c->waves, .lanes = c->lanes};
		}
		b->end = at + size;
		b->instructions += c->waves;
		class = class_of(&inst);
		p->mix[class] += c->waves;
		p->total += c->waves;
		if (class == C_VALU || class == C_F64 || class == C_MATRIX) {
			p->valu += c->waves;
			p->valu_lanes += c->lanes;
		}
		open = class != C_BRANCH;
	}
	qsort(p->block, p->num, sizeof(*p->block), hotter);
	return 0;
}

static double share(uint64_t part, uint64_t all)
{
	return all ? (double)part / (double)all : 0;
}

void kernel_profile_print(const struct kernel_run *run, FILE *f)
{
	struct profile p;

	if (make_profile(run, &p)) {
		cli_fail(EXIT_FAIL, "no memory for the profile");
		goto out;
	}
	fprintf(f, "\nprofile: %llu instructions of waves; of the vector ALU's %.1f of 64 lanes active\n", (unsigned long long)p.total,
		64 * share(p.valu_lanes, p.valu * 64));
	for (unsigned i = 0; i < NUM_CLASSES; i++)
		if (p.mix[i])
			fprintf(f, "  %5.1f %%  %-20s %llu\n", 100 * share(p.mix[i], p.total), classes[i].name, (unsigned long long)p.mix[i]);
	for (size_t i = 0; i < p.num && i < HOT_BLOCKS; i++) {
		const struct block *b = &p.block[i];
		char text[256], place[160];
		unsigned lines = 0;

		code_place(run->co, b->start, place, sizeof(place));
		fprintf(f, "\nhot block %zu: %.1f %% of the instructions, %llu times, %.1f lanes active, at %s\n", i + 1,
			100 * share(b->instructions, p.total), (unsigned long long)b->runs, (double)b->lanes / (double)b->runs, place);
		for (uint64_t at = b->start; at < b->end; lines++) {
			if (lines == HOT_LINES) {
				fprintf(f, "\t... to %llx\n", (unsigned long long)b->end);
				break;
			}
			unsigned n = code_inst_text(run->co, at, text, sizeof(text), NULL);

			fprintf(f, "\t%06llx  %s\n", (unsigned long long)at, text);
			at += n;
		}
	}
out:
	free(p.block);
}

struct json_object *kernel_profile_json(const struct kernel_run *run)
{
	struct json_object *o = json_object_new_object(), *mix = json_object_new_object(), *blocks = json_object_new_array();
	struct profile p;

	if (!make_profile(run, &p)) {
		json_object_object_add(o, "instructions", json_object_new_int64((int64_t)p.total));
		json_object_object_add(o, "active_lanes", json_object_new_double(64 * share(p.valu_lanes, p.valu * 64)));
		for (unsigned i = 0; i < NUM_CLASSES; i++)
			json_object_object_add(mix, classes[i].json, json_object_new_int64((int64_t)p.mix[i]));
	}
	for (size_t i = 0; i < p.num && i < HOT_BLOCKS; i++) {
		const struct block *b = &p.block[i];
		struct json_object *row = json_object_new_object(), *code = json_object_new_array();
		char text[256];

		json_object_object_add(row, "address", json_object_new_int64((int64_t)b->start));
		json_object_object_add(row, "executed", json_object_new_int64((int64_t)b->runs));
		json_object_object_add(row, "instructions", json_object_new_int64((int64_t)b->instructions));
		json_object_object_add(row, "share", json_object_new_double(share(b->instructions, p.total)));
		for (uint64_t at = b->start; at < b->end;) {
			at += code_inst_text(run->co, at, text, sizeof(text), NULL);
			json_object_array_add(code, json_object_new_string(text));
		}
		json_object_object_add(row, "code", code);
		json_object_array_add(blocks, row);
	}
	json_object_object_add(o, "mix", mix);
	json_object_object_add(o, "hot_blocks", blocks);
	free(p.block);
	return o;
}
