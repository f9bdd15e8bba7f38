/* SPDX-License-Identifier: MIT */
/*
 * kernel_observe.c - watches a kernel instruction by instruction; see kernel_observe.h.
 *
 * Counts are kept for each thread and each dword of the code, and added up later.
 */
#include "cli/kernel_observe.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define ROWS	   512 /* vector registers of a wave: VGPRs and AGPRs */

static _Thread_local struct isa_count *counts;

void kernel_observe_thread(struct isa_count *count)
{
	counts = count;
}

static void observe_count(const struct exec_observer *o, struct exec_ctx *ctx, struct wave *w, const struct isa_inst *inst, exec_fn *fn)
{
	struct isa_count *c = &counts[(ctx->pc - KERNEL_CODE_BASE) / 4];

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

static void place_of(void *ctx, uint64_t at, char *text, size_t size)
{
	code_place(ctx, at, text, size);
}

static unsigned inst_of(void *ctx, uint64_t at, char *text, size_t size)
{
	return code_inst_text(ctx, at, text, size, NULL);
}

static int make_profile(const struct kernel_run *run, struct isa_profile *p)
{
	int err;

	memset(p, 0, sizeof(*p));
	err = isa_profile_add(p, run->co->target, 0, (const uint32_t *)(const void *)run->co->image, run->count, run->co->size / 4);
	isa_profile_sort(p);
	return err;
}

void kernel_profile_print(const struct kernel_run *run, FILE *f)
{
	const struct isa_profile_text text = {place_of, inst_of, (void *)(uintptr_t)run->co};
	struct isa_profile p;

	if (make_profile(run, &p)) {
		cli_fail(EXIT_FAIL, "no memory for the profile");
	} else {
		fprintf(f, "\nprofile: %llu instructions of waves; of the vector ALU's %.1f of 64 lanes active\n", (unsigned long long)p.total,
			64 * isa_share(p.valu_lanes, p.valu * 64));
		isa_profile_print(&p, &text, f);
	}
	isa_profile_free(&p);
}

struct json_object *kernel_profile_json(const struct kernel_run *run)
{
	struct json_object *o = json_object_new_object(), *mix = json_object_new_object(), *blocks = json_object_new_array();
	struct isa_profile p;

	if (!make_profile(run, &p)) {
		json_object_object_add(o, "instructions", json_object_new_int64((int64_t)p.total));
		json_object_object_add(o, "active_lanes", json_object_new_double(64 * isa_share(p.valu_lanes, p.valu * 64)));
		for (unsigned i = 0; i < ISA_NUM_CLASSES; i++)
			json_object_object_add(mix, isa_class_names[i].key, json_object_new_int64((int64_t)p.mix[i]));
	}
	for (size_t i = 0; i < p.num && i < ISA_HOT_BLOCKS; i++) {
		const struct isa_block *b = &p.block[i];
		struct json_object *row = json_object_new_object(), *code = json_object_new_array();
		char text[256];

		json_object_object_add(row, "address", json_object_new_int64((int64_t)b->start));
		json_object_object_add(row, "executed", json_object_new_int64((int64_t)b->runs));
		json_object_object_add(row, "instructions", json_object_new_int64((int64_t)b->instructions));
		json_object_object_add(row, "share", json_object_new_double(isa_share(b->instructions, p.total)));
		for (uint64_t at = b->start; at < b->end;) {
			at += code_inst_text(run->co, at, text, sizeof(text), NULL);
			json_object_array_add(code, json_object_new_string(text));
		}
		json_object_object_add(row, "code", code);
		json_object_array_add(blocks, row);
	}
	json_object_object_add(o, "mix", mix);
	json_object_object_add(o, "hot_blocks", blocks);
	isa_profile_free(&p);
	return o;
}
