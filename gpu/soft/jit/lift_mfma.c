/* SPDX-License-Identifier: MIT */
/*
 * lift_mfma.c - matrix operations: calls of the executor's functions for them (exec/mfma.h).
 *
 * The accumulators are too many for host registers, so their rows live in struct wave: accumulation registers always, vector registers that any
 * matrix operation of the kernel writes (lift->home) by being read and written there. A and B are copied to the stack, where the functions
 * broadcast elements from memory. In that form an operation may be put off: kernels multiply long rows, and many steps of one accumulator
 * in one call load and store it once. What is put off is done before anything else touches its rows, before a block ends and
 * where compiled code is left.
 *
 * At a barrier it may wait for the block behind it, if that goes on with the same accumulators and A and B are in struct wave: frame->later then says for
 * each wave what it is, and jit_run_group() does it for those that stand there when compiled code ends. The block behind the barrier, where waves may also
 * come from elsewhere, looks there (later_of) when it does the whole. It may wait over several barriers.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift.h"

static const struct kind {
	enum mfma_type type;
	unsigned m, blocks, pack, steps;
} kinds[MFMA_KINDS] = {
#define KIND(N, TYPE, M, K, BLOCKS, PACK) [MFMA_OF_##N] = {TYPE, M, BLOCKS, PACK, MFMA_STEPS(TYPE)},
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

/* Of both kinds of register: AGPRs from 256 on. */
static unsigned row_number(const struct isa_operand *o)
{
	return o->index + (o->kind == ISA_OPND_AGPR ? 256 : 0);
}

/* ------------------------------------------------------------------ calls */

static void emit_call(struct lift *l, size_t fn_at, V args[3], unsigned steps)
{
	V all[4] = {args[0], args[1], args[2], c32(l, steps)}, table, fn;
	LLVMTypeRef p[4] = {l->ptr, l->ptr, l->ptr, l->i32};

	table = load_field(l, l->frame, offsetof(struct jit_frame, mfma), l->ptr);
	fn = load_field(l, table, fn_at, l->ptr);
	LLVMBuildCall2(l->b, LLVMFunctionType(LLVMVoidTypeInContext(l->c), p, 4, 0), fn, all, 4, "");
}

static V row_at(struct lift *l, unsigned row)
{
	return row_ptr(l, row >= 256, row & 255, 0);
}

/* The pointers to A and B, on the stack. */
static V put_list(struct lift *l, const V *ab, unsigned n)
{
	if (!l->list)
		l->list = LLVMBuildAlloca(l->at_entry, LLVMArrayType2(l->ptr, MFMA_LIST), "");
	for (unsigned i = 0; i < n; i++)
		store_field(l, l->list, i * sizeof(void *), ab[i]);
	return l->list;
}

static void emit_one(struct lift *l, int kind, V d, V c, const V *ab, unsigned steps)
{
	emit_call(l, offsetof(struct mfma_functions, one) + (size_t)kind * sizeof(mfma_fn *), (V[]){d, c, put_list(l, ab, 2 * steps)}, steps);
}

static void emit_chain(struct lift *l, const struct mfma_later *m, unsigned from)
{
	if (m->steps > from)
		emit_one(l, m->kind, row_at(l, m->row), row_at(l, m->row), m->ab + 2 * from, m->steps - from);
}

/* Do steps of two chains have the same A? */
static bool same_a(const struct mfma_later *x, unsigned i, const struct mfma_later *y, unsigned j)
{
	return x->in_row[2 * i] == y->in_row[2 * j] && (x->in_row[2 * i] || x->ab[2 * i] == y->ab[2 * j]);
}

/* Does a chain from one of its steps on have the A of another's step? */
static bool has_a(const struct mfma_later *m, unsigned from, const struct mfma_later *x, unsigned i)
{
	for (; from < m->steps; from++)
		if (same_a(m, from, x, i))
			return true;
	return false;
}

/* Two chains, from their steps i and j on, as one list: steps with the same A together. How many are; *n: the list's length. */
static unsigned merge(struct lift *l, const struct mfma_later *x, unsigned i, const struct mfma_later *y, unsigned j, V *list, unsigned *n)
{
	unsigned both = 0;
	V none = LLVMConstNull(l->ptr);

	for (*n = 0; i < x->steps || j < y->steps; (*n)++, list += 3) {
		bool first = i < x->steps, second = j < y->steps;

		if (first && second && !same_a(x, i, y, j)) {
			first = !has_a(y, j, x, i) || has_a(x, i, y, j);
			second = !first;
		}
		list[0] = first ? x->ab[2 * i] : y->ab[2 * j];
		list[1] = first ? x->ab[2 * i + 1] : none;
		list[2] = second ? y->ab[2 * j + 1] : none;
		both += first && second;
		i += first;
		j += second;
	}
	return both;
}

/* Does what two chains have to do in one call, if they have enough in common. old: with the steps from before the barrier. */
static bool emit_two(struct lift *l, const struct mfma_later *x, const struct mfma_later *y, bool old)
{
	const struct kind *k = &kinds[x->kind];
	unsigned i = old ? 0 : x->old, j = old ? 0 : y->old, n;
	V list[MFMA_LIST];

	/* The host's vectors have to be as long as the matrix's rows. */
	if (x->kind != y->kind || !MFMA_HAS_TWO(k->type, k->m) || l->width != k->m || x->steps == i || y->steps == j ||
	    2 * merge(l, x, i, y, j, list, &n) < n)
		return false;
	emit_call(l, offsetof(struct mfma_functions, two) + (size_t)x->kind * sizeof(mfma_two_fn *),
		  (V[]){row_at(l, x->row), row_at(l, y->row), put_list(l, list, 3 * n)}, n);
	return true;
}

static void emit_chains(struct lift *l, bool old)
{
	bool done[MFMA_LATER] = {false};

	for (unsigned i = 0; i < MFMA_LATER; i++) {
		for (unsigned j = i + 1; l->later[i].steps && !done[i] && j < MFMA_LATER; j++)
			if (l->later[j].steps && !done[j])
				done[i] = done[j] = emit_two(l, &l->later[i], &l->later[j], old);
		if (l->later[i].steps && !done[i])
			emit_chain(l, &l->later[i], old ? 0 : l->later[i].old);
	}
}

void emit_mfma_later(struct lift *l)
{
	LLVMBasicBlockRef with, without, join;

	if (!l->goes_on) {
		emit_chains(l, false);
		return;
	}
	with = new_block(l, "with");
	without = new_block(l, "without");
	join = new_block(l, "");
	emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildIsNotNull(l->b, LLVMBuildLoad2(l->b, l->ptr, l->later_of, ""), ""), with, without), true);
	go_to(l, with);
	emit_chains(l, true);
	LLVMBuildStore(l->b, LLVMConstNull(l->ptr), later_ptr(l));
	LLVMBuildBr(l->b, join);
	go_to(l, without);
	emit_chains(l, false);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
}

void flush_mfma(struct lift *l)
{
	emit_mfma_later(l);
	/* It does what was put off, too. */
	l->back.exit = NULL;
	l->goes_on = false;
	memset(l->later, 0, sizeof(l->later));
}

static void flush_chain(struct lift *l, unsigned i)
{
	if (l->goes_on) {
		flush_mfma(l);
		return;
	}
	l->back.exit = NULL;
	emit_chain(l, &l->later[i], 0);
	l->later[i].steps = 0;
}

static bool overlap(unsigned a, unsigned na, unsigned b, unsigned nb)
{
	return a < b + nb && b < a + na;
}

/* What has been put off for one of these rows is done. */
static void flush_rows(struct lift *l, unsigned row, unsigned n)
{
	for (unsigned i = 0; i < MFMA_LATER; i++)
		if (l->later[i].steps && overlap(row, n, l->later[i].row, l->later[i].rows))
			flush_chain(l, i);
}

/* Is there an operation on an accumulator from instruction i to the block's end? */
static bool goes_on_in(const struct lift *l, uint32_t i, int kind, unsigned row)
{
	for (uint32_t first = i; i != NO_INST && (i == first || l->code->inst[i].block == NO_BLOCK); i = l->code->inst[i].next) {
		const struct isa_inst *in = &l->code->inst[i].ci.inst;

		if (kind_of(in->op) == kind && row_number(&in->dst[0]) == row)
			return true;
	}
	return false;
}

/* The same of those that operations have been put off for. */
static bool continues(const struct lift *l, uint32_t i)
{
	for (unsigned c = 0; c < MFMA_LATER; c++)
		if (l->later[c].steps && goes_on_in(l, i, l->later[c].kind, l->later[c].row))
			return true;
	return false;
}

/* The same, if it waits since before the barrier and reads one of these. */
static void flush_readers(struct lift *l, unsigned row, unsigned n)
{
	for (unsigned i = 0; i < MFMA_LATER; i++)
		for (unsigned k = 0; k < 2 * l->later[i].old; k++)
			if (l->goes_on && overlap(row, n, l->later[i].in_row[k] - 1u, rows_of_a(&kinds[l->later[i].kind])))
				flush_mfma(l);
}

/* Before an instruction that is not a matrix operation. */
void before_inst(struct lift *l, const struct isa_inst *in)
{
	const struct isa_operand *o[6] = {&in->dst[0], &in->dst[1], &in->src[0], &in->src[1], &in->src[2], &in->src[3]};

	for (unsigned i = 0; i < 6; i++)
		if (o[i]->kind == ISA_OPND_VGPR || o[i]->kind == ISA_OPND_AGPR)
			flush_rows(l, row_number(o[i]), o[i]->dwords ? o[i]->dwords : 1);
	for (unsigned i = 0; i < 2; i++)
		if (o[i]->kind == ISA_OPND_VGPR || o[i]->kind == ISA_OPND_AGPR)
			flush_readers(l, row_number(o[i]), o[i]->dwords ? o[i]->dwords : 1);
}

/* ------------------------------------------------------------------ over a barrier */

V later_ptr(struct lift *l)
{
	V i = LLVMBuildZExt(l->b, load_field(l, l->frame, offsetof(struct jit_frame, index), l->i32), l->i64, "");

	return LLVMBuildInBoundsGEP2(l->b, l->ptr, field_ptr(l, l->frame, offsetof(struct jit_frame, later)), &i, 1, "");
}

/* Nobody gets to the block but through the barrier before it, and it is lifted later. */
static bool only_behind(const struct lift *l, const struct jit_block *to)
{
	const struct jit_code *c = l->code;
	uint32_t index = (uint32_t)(to - c->block), ways = 0;

	for (uint32_t b = 0; b < c->num_blocks; b++)
		for (unsigned s = 0; s < 2; s++)
			ways += c->block[b].succ[s] == index;
	return ways == 1 && to > l->blk && to->fresh && to->in.known && !to->back;
}

static bool may_wait(const struct lift *l)
{
	return l->groups && l->waits < MFMA_WAITS && l->blk->term == TERM_BARRIER && only_behind(l, &l->code->block[l->blk->succ[0]]);
}

bool mfma_waits(struct lift *l)
{
	bool any = false;

	if (!may_wait(l))
		return false;
	for (unsigned i = 0; i < MFMA_LATER; i++)
		for (unsigned k = 0; k < 2 * l->later[i].steps; k++) {
			any = true;
			if (!l->later[i].in_row[k])
				return false;
		}
	return any && continues(l, l->code->block[l->blk->succ[0]].first);
}

/* As struct jit_later has it. */
static V later_table(struct lift *l)
{
	static V x[1 + 4 * MFMA_LATER * MFMA_MAX_STEPS]; /* one compilation at a time */
	unsigned n = 1;
	V table;

	for (unsigned i = 0; i < MFMA_LATER; i++)
		for (unsigned k = 0; k < l->later[i].steps; k++) {
			const struct mfma_later *m = &l->later[i];

			x[n++] = LLVMConstInt(l->i16, (unsigned)m->kind, 0);
			x[n++] = LLVMConstInt(l->i16, m->row, 0);
			x[n++] = LLVMConstInt(l->i16, m->in_row[2 * k] - 1u, 0);
			x[n++] = LLVMConstInt(l->i16, m->in_row[2 * k + 1] - 1u, 0);
		}
	x[0] = LLVMConstInt(l->i16, (n - 1) / 4, 0);
	table = LLVMAddGlobal(l->m, LLVMArrayType2(l->i16, n), "later");
	LLVMSetInitializer(table, LLVMConstArray2(l->i16, x, n));
	LLVMSetGlobalConstant(table, 1);
	LLVMSetAlignment(table, sizeof(uint16_t));
	LLVMSetLinkage(table, LLVMPrivateLinkage);
	return table;
}

void leave_mfma(struct lift *l)
{
	LLVMBasicBlockRef with, without, join;

	if (l->goes_on) {
		/* Of a wave that came without the old steps the new ones are done now: behind the barrier it is all or nothing. */
		with = new_block(l, "with");
		without = new_block(l, "without");
		join = new_block(l, "");
		emit_weights(l, LLVMBuildCondBr(l->b, LLVMBuildIsNotNull(l->b, LLVMBuildLoad2(l->b, l->ptr, l->later_of, ""), ""), with, without), true);
		go_to(l, without);
		emit_chains(l, false);
		LLVMBuildBr(l->b, join);
		go_to(l, with);
		LLVMBuildStore(l->b, later_table(l), later_ptr(l));
		LLVMBuildBr(l->b, join);
		go_to(l, join);
	} else {
		LLVMBuildStore(l->b, later_table(l), later_ptr(l));
	}
	memcpy(l->wait[l->waits].later, l->later, sizeof(l->later));
	l->wait[l->waits++].to = &l->code->block[l->blk->succ[0]];
}

void begin_mfma(struct lift *l)
{
	memset(l->copy, 0, sizeof(l->copy));
	memset(l->later, 0, sizeof(l->later));
	l->next_copy = 0;
	l->goes_on = false;
	for (unsigned i = 0; i < l->waits && !l->goes_on; i++) {
		l->goes_on = l->wait[i].to == l->blk;
		if (l->goes_on)
			memcpy(l->later, l->wait[i].later, sizeof(l->later));
	}
	if (!l->goes_on)
		return;
	for (unsigned i = 0; i < MFMA_LATER; i++) {
		struct mfma_later *m = &l->later[i];

		m->old = m->steps;
		for (unsigned k = 0; k < 2 * m->steps; k++)
			m->ab[k] = row_at(l, m->in_row[k] - 1u);
	}
}

/* ------------------------------------------------------------------ sources */

/* The rows of A or B on the stack, not where keep is. */
static V copied(struct lift *l, unsigned r, unsigned rows, V keep)
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
	do
		k = &l->copy[l->next_copy++ % MFMA_COPIES];
	while (keep && l->rooms[k - l->copy] == keep);
	if (!l->rooms[k - l->copy]) {
		V room = LLVMBuildAlloca(l->at_entry, LLVMArrayType2(l->i32, 2 * WAVE_LANES), "");

		LLVMSetAlignment(room, 64);
		l->rooms[k - l->copy] = room;
	}
	k->room = l->rooms[k - l->copy];
	for (unsigned i = 0; i < MFMA_LATER; i++)
		for (unsigned n = 0; n < 2 * l->later[i].steps; n++)
			used |= l->later[i].ab[n] == k->room;
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

/* Will rows that stay as they are go to struct wave in any case, or are they there? */
static bool goes_home(const struct lift *l, unsigned r, unsigned n)
{
	const struct jit_block *b = l->blk;
	unsigned ways = b->term == TERM_COND ? 2 : b->term == TERM_END ? 0 : 1;
	bool goes = l->exact || b->term == TERM_INTERP;

	for (unsigned k = 0; k < n; k++) {
		goes |= bit_get(&l->vstored, r + k);
		for (unsigned i = 0; i < ways && !goes; i++)
			goes |= b->succ[i] == NO_BLOCK || bit_get(&l->code->block[b->succ[i]].vlive, r + k);
	}
	return goes;
}

/*
 * The rows in memory: of registers that stay as they are in struct wave, if they are there or have to go anyway; of others a *copy on the stack. All
 * waves of a work-group have the same stack, which is easier on the cache.
 */
static V source_rows(struct lift *l, const struct jit_inst *ji, const struct isa_operand *o, unsigned rows, V keep, bool waits, bool *copy)
{
	*copy = false;
	if (is_home(l, o, rows))
		return row_at(l, row_number(o));
	*copy = !stays(l, ji, o->index, rows) || !(waits || goes_home(l, o->index, rows));
	if (*copy)
		return copied(l, o->index, rows, keep);
	for (unsigned n = 0; n < rows; n++)
		store_row_once(l, o->index + n);
	return row_at(l, o->index);
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
	unsigned nd = rows_of_d(k), na = rows_of_a(k), row = row_number(d), crow = row_number(co), chain, unused = MFMA_LATER;
	bool wide = k->type == MFMA_F64, constant = co->kind == ISA_OPND_CONST, memory, waits, copy[2];
	struct mfma_later *m;
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
	waits = crow == row && may_wait(l) && goes_on_in(l, l->code->block[l->blk->succ[0]].first, kind, row);
	a = source_rows(l, ji, ao, na, NULL, waits, &copy[0]);
	b = source_rows(l, ji, bo, na, a, waits, &copy[1]);
	for (chain = 0; chain < MFMA_LATER; chain++) {
		m = &l->later[chain];
		if (m->steps && m->kind == kind && m->row == row && crow == row && !constant && m->steps < k->steps)
			break;
		if (!m->steps)
			unused = chain;
	}
	if (chain == MFMA_LATER) {
		flush_rows(l, row, nd);
		if (!constant && crow != row)
			flush_rows(l, crow, nd);
		for (unsigned i = 0; unused == MFMA_LATER && i < MFMA_LATER; i++)
			unused = l->later[i].steps ? unused : i;
		if (unused == MFMA_LATER) {
			flush_mfma(l);
			unused = 0;
		}
		chain = unused;
	}
	m = &l->later[chain];
	if (constant)
		fill_rows(l, row, nd, wide, co->value);
	if (!memory && (constant || crow == row)) {
		m->kind = kind;
		m->row = row;
		m->rows = nd;
		m->old = m->steps ? m->old : 0;
		m->in_row[2 * m->steps] = copy[0] ? 0 : (uint16_t)(row_number(ao) + 1);
		m->in_row[2 * m->steps + 1] = copy[1] ? 0 : (uint16_t)(row_number(bo) + 1);
		m->ab[2 * m->steps] = a;
		m->ab[2 * m->steps + 1] = b;
		m->steps++;
	} else {
		emit_one(l, kind, row_at(l, row), row_at(l, constant ? row : crow), (V[]){a, b}, 1);
	}
	for (unsigned i = 0; i < nd && d->kind == ISA_OPND_VGPR; i++)
		memset(l->reg.v[d->index + i], 0, sizeof(l->reg.v[0]));
	return true;
}
