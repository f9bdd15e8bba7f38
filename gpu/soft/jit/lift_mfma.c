/* SPDX-License-Identifier: MIT */
/*
 * lift_mfma.c - matrix operations: calls of the executor's functions for them (exec/mfma.h).
 *
 * The accumulators are too many for host registers, so their rows live in struct wave: accumulation registers always, vector registers that any
 * matrix operation of the kernel writes (lift->home) by being read and written there. A and B are copied to the stack, where the functions
 * broadcast elements from memory. In that form an operation may be put off: kernels multiply long rows, and two steps of one accumulator
 * in one call save half of its loads and stores. What is put off is done before anything else touches its rows, before a block ends and
 * before compiled code is left other than by an error.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift.h"

static const struct kind {
	enum mfma_type type;
	unsigned m, blocks, pack;
	bool twice;
} kinds[MFMA_KINDS] = {
#define KIND(N, TYPE, M, K, BLOCKS, PACK) [MFMA_OF_##N] = {TYPE, M, BLOCKS, PACK, MFMA_PAIRS(TYPE, M)},
	MFMA_TABLE(KIND)
};

static int kind_of(unsigned op)
{
	static const uint16_t ops[MFMA_KINDS] = {
#define OP(N, ...) [MFMA_OF_##N] = ISA_##N,
		MFMA_TABLE(OP)
	};

	for (int i = 0; i < MFMA_KINDS; i++)
		if (ops[i] == op)
			return i;
	return -1;
}

static unsigned rows_of_d(const struct kind *k)
{
	return k->m * k->m * k->blocks / WAVE_LANES * (k->type == MFMA_F64 ? 2 : 1);
}

static unsigned rows_of_a(const struct kind *k)
{
	return k->type == MFMA_F64 || (k->type != MFMA_I8 && k->pack > 2) ? 2 : 1;
}

void find_home(struct lift *l)
{
	memset(&l->home, 0, sizeof(l->home));
	for (uint32_t i = 0; i < l->code->num_inst; i++) {
		const struct isa_inst *in = &l->code->inst[i].ci.inst;
		int kind = kind_of(in->op);

		for (unsigned r = 0; kind >= 0 && in->dst[0].kind == ISA_OPND_VGPR && r < rows_of_d(&kinds[kind]); r++)
			if (in->dst[0].index + r < 256)
				bit_set(&l->home, in->dst[0].index + r);
	}
}

/* ------------------------------------------------------------------ which NaNs an accumulator may have */

/* Rows that matrix operations have left in this block; of both kinds of register: AGPRs from 256 on. */
static bool is_clean(const struct lift *l, unsigned row)
{
	return l->clean[row / 64] >> (row % 64) & 1;
}

static void set_clean(struct lift *l, unsigned row, bool yes)
{
	if (row >= 512)
		return;
	if (yes)
		l->clean[row / 64] |= 1ull << (row % 64);
	else
		l->clean[row / 64] &= ~(1ull << (row % 64));
}

static unsigned row_number(const struct isa_operand *o)
{
	return o->index + (o->kind == ISA_OPND_AGPR ? 256 : 0);
}

/* ------------------------------------------------------------------ calls */

static void emit_call(struct lift *l, int kind, enum mfma_form form, V d, V c, V a, V b, V a2, V b2)
{
	V none = LLVMConstNull(l->ptr), args[6] = {d, c, a, b, a2 ? a2 : none, b2 ? b2 : none}, table, fn;
	LLVMTypeRef p[6] = {l->ptr, l->ptr, l->ptr, l->ptr, l->ptr, l->ptr};

	table = load_field(l, l->frame, offsetof(struct jit_frame, mfma), l->ptr);
	fn = load_field(l, table, ((size_t)kind * MFMA_FORMS + form) * sizeof(mfma_fn *), l->ptr);
	LLVMBuildCall2(l->b, LLVMFunctionType(LLVMVoidTypeInContext(l->c), p, 6, 0), fn, args, 6, "");
}

static V row_at(struct lift *l, unsigned row)
{
	return row_ptr(l, row >= 256, row & 255, 0);
}

static void do_later(struct lift *l, const struct mfma_later *m)
{
	V d = row_at(l, m->row);

	emit_call(l, m->kind, m->clean ? MFMA_CLEAN : MFMA_PLAIN, d, d, m->a, m->b, NULL, NULL);
}

void flush_mfma(struct lift *l)
{
	for (unsigned i = 0; i < l->num_later; i++)
		do_later(l, &l->later[i]);
	l->num_later = 0;
}

static bool overlap(unsigned a, unsigned na, unsigned b, unsigned nb)
{
	return a < b + nb && b < a + na;
}

/* Before an instruction that is not a matrix operation. */
void before_inst(struct lift *l, const struct isa_inst *in)
{
	const struct isa_operand *o[6] = {&in->dst[0], &in->dst[1], &in->src[0], &in->src[1], &in->src[2], &in->src[3]};

	for (unsigned i = 0; i < 6; i++) {
		unsigned n = o[i]->dwords ? o[i]->dwords : 1, row = row_number(o[i]);
		bool hit = false;

		if (o[i]->kind != ISA_OPND_VGPR && o[i]->kind != ISA_OPND_AGPR)
			continue;
		for (unsigned k = 0; k < l->num_later; k++)
			hit |= overlap(row, n, l->later[k].row, l->later[k].rows);
		if (hit)
			flush_mfma(l);
		for (unsigned k = 0; (i < 2 || in->op == ISA_V_SWAP_B32) && k < n; k++)
			set_clean(l, row + k, false);
	}
}

void forget_mfma(struct lift *l)
{
	memset(l->clean, 0, sizeof(l->clean));
	memset(l->copy, 0, sizeof(l->copy));
	l->num_later = 0;
}

/* ------------------------------------------------------------------ sources */

/* The rows of A or B on the stack. */
static V copied(struct lift *l, unsigned r, unsigned rows)
{
	struct mfma_copy *k;
	bool used = false;

	for (unsigned i = 0; i < MFMA_COPIES; i++) {
		bool same = l->copy[i].rows == rows;

		for (unsigned n = 0; same && n < rows; n++)
			for (unsigned s = 0; s < l->strips; s++)
				same &= l->copy[i].value[n][s] == get_v(l, r + n, s);
		if (same)
			return l->copy[i].room;
	}
	k = &l->copy[l->next_copy++ % MFMA_COPIES];
	if (!l->rooms[k - l->copy]) {
		V room = LLVMBuildAlloca(l->at_entry, LLVMArrayType2(l->i32, 2 * WAVE_LANES), "");

		LLVMSetAlignment(room, 64);
		l->rooms[k - l->copy] = room;
	}
	k->room = l->rooms[k - l->copy];
	for (unsigned i = 0; i < l->num_later; i++)
		used |= l->later[i].a == k->room || l->later[i].b == k->room;
	if (used)
		flush_mfma(l);
	k->rows = rows;
	for (unsigned n = 0; n < rows; n++)
		for (unsigned s = 0; s < l->strips; s++) {
			k->value[n][s] = get_v(l, r + n, s);
			LLVMSetAlignment(LLVMBuildStore(l->b, k->value[n][s], field_ptr(l, k->room, (n * WAVE_LANES + s * l->width) * 4)), 4 * l->width);
		}
	return k->room;
}

static bool in_file(const struct lift *l, const struct isa_operand *o, unsigned n)
{
	return (o->kind == ISA_OPND_VGPR && o->index + n <= l->code->num_vgprs && o->index + n <= 256) ||
	       (o->kind == ISA_OPND_AGPR && o->index + n <= l->code->num_agprs && o->index + n <= 256);
}

static bool is_home(const struct lift *l, const struct isa_operand *o, unsigned n)
{
	for (unsigned r = 0; o->kind == ISA_OPND_VGPR && r < n; r++)
		if (!bit_get(&l->home, o->index + r))
			return false;
	return true;
}

/* Some of the rows are in struct wave, where what has been put off may write. */
static bool touches_home(const struct lift *l, const struct isa_operand *o, unsigned n)
{
	bool any = o->kind == ISA_OPND_AGPR;

	for (unsigned r = 0; r < n; r++)
		any |= bit_get(&l->home, (o->index + r) & 255);
	return any;
}

static V source_rows(struct lift *l, const struct isa_operand *o, unsigned rows)
{
	return is_home(l, o, rows) ? row_at(l, row_number(o)) : copied(l, o->index, rows);
}

/* Constants as accumulators: D's rows are set to it first. */
static void fill_rows(struct lift *l, unsigned row, unsigned n, bool wide, uint64_t value)
{
	for (unsigned r = 0; r < n; r++)
		for (unsigned s = 0; s < l->strips; s++) {
			V x = vconst32(l, wide && (r & 1) ? (uint32_t)(value >> 32) : (uint32_t)value);

			LLVMSetAlignment(LLVMBuildStore(l->b, x, row_ptr(l, row >= 256, (row & 255) + r, s)), 4 * l->width);
		}
}

bool lift_mfma(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct isa_operand *ao = &in->src[0], *bo = &in->src[1], *co = &in->src[2], *d = &in->dst[0];
	int kind = kind_of(in->op);
	const struct kind *k = &kinds[kind < 0 ? 0 : kind];
	unsigned nd = rows_of_d(k), na = rows_of_a(k), row = row_number(d), crow = row_number(co);
	bool wide = k->type == MFMA_F64, constant = co->kind == ISA_OPND_CONST, clean = true, memory;
	V a, b;

	if (kind < 0)
		return false;
	if ((!wide && ((in->cbsz & 7) || in->blgp)) || !in_file(l, ao, na) || !in_file(l, bo, na) || !in_file(l, d, nd) || !is_home(l, d, nd))
		return false;
	if (overlap(row, nd, row_number(ao), na) || overlap(row, nd, row_number(bo), na))
		return false;
	if (!constant && (!in_file(l, co, nd) || !is_home(l, co, nd) || (crow != row && overlap(row, nd, crow, nd))))
		return false;
	flush_queue(l);
	/* What is at home must be there before it is read. */
	memory = touches_home(l, ao, na) || touches_home(l, bo, na);
	if (memory)
		flush_mfma(l);
	a = source_rows(l, ao, na);
	b = source_rows(l, bo, na);
	for (unsigned i = 0; !constant && i < nd; i++)
		clean &= is_clean(l, crow + i);
	for (unsigned i = 0; i < l->num_later; i++) {
		struct mfma_later *m = &l->later[i];

		if (m->kind == kind && m->row == row && !constant && crow == row && k->twice) {
			V p = row_at(l, row);

			emit_call(l, kind, MFMA_TWICE, p, p, m->a, m->b, a, b);
			*m = l->later[--l->num_later];
			goto out;
		}
		if (overlap(row, nd, m->row, m->rows) || (!constant && overlap(crow, nd, m->row, m->rows))) {
			flush_mfma(l);
			break;
		}
	}
	if (constant)
		fill_rows(l, row, nd, wide, co->value);
	if (k->twice && !memory && (constant || crow == row)) {
		if (l->num_later == MFMA_LATER)
			flush_mfma(l);
		l->later[l->num_later++] = (struct mfma_later){.kind = kind, .row = row, .rows = nd, .clean = clean, .a = a, .b = b};
	} else {
		emit_call(l, kind, clean ? MFMA_CLEAN : MFMA_PLAIN, row_at(l, row), row_at(l, constant ? row : crow), a, b, NULL, NULL);
	}
out:
	for (unsigned i = 0; i < nd; i++) {
		set_clean(l, row + i, k->type != MFMA_F64 && k->type != MFMA_I8);
		if (d->kind == ISA_OPND_VGPR)
			memset(l->v[d->index + i], 0, sizeof(l->v[0]));
	}
	return true;
}
