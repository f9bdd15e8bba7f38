/* SPDX-License-Identifier: MIT */
/*
 * lift_serial.c - loops that lanes go through one after the other (serial.c says which).
 *
 * A product of a sparse matrix and a vector is mostly gathers when lanes run together, and plain loads in sequence when each row is run to its end. So
 * before such a loop's iteration of vectors there is another form of the loop: for each active lane its registers are taken from rows on the
 * stack, and iterations run as scalar code until the lane leaves. The arithmetic is what lift_valu.c emits, for vectors of one lane (width 1).
 *
 * Loads look at one of the view's ranges each. A lane whose address is not in it stops before that iteration, and the range is looked for; where there is
 * none (faults, missing pages, memory in small pieces) the next iterations are done with vectors: lanes may be any number of iterations apart.
 * After as many iterations as there is fuel for, of any lane, the loop's header has its turn, where the slice may end.
 *
 * Most such loops go through memory by steps, beside what they gather, and lanes leave when a counter has reached something. How many iterations a lane has, and
 * whether all its steps lie in the range, is then found with vectors, before the first lane's turn. Lanes of which that is true have a brief form of the loop in
 * front of the other: it looks at the gathers' addresses only, counts up to zero, and takes for granted what masks mostly are: lanes that have not left have no bit.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/soft/jit/lift_mem.h"
#include "gpu/soft/jit/serial.h"

#define TRIES	16 /* ranges looked for between two quiescent points */
#define VECTORS 32 /* iterations of vectors after that was in vain */
/*
 * The brief form: iterations behind one another, in which there are at most so many instructions; how far behind the lane's end memory is fetched, and for how
 * many iterations.
 */
#define COPIES	  4
#define MOST_COPY 96
#define AHEAD	  2048
#define AHEAD_FOR 32

/* Variables (LLVM makes values of them), but the ranges. */
struct loop {
	const struct serial *s;
	struct range_values range[SERIAL_LOADS];
	unsigned slot[SERIAL_LOADS]; /* of the ranges */
	V room[256];		   /* rows on the stack */
	V value[256], wide[256];   /* of the lane as an iteration begins: registers; pairs that are added to as one */
	LLVMTypeRef type[256];	   /* of wide's: i64, or f64 */
	V bit[WAVE_SGPRS / 2];	   /* its bits of the masks then */
	V mask[WAVE_SGPRS / 2];	   /* of the lanes that have run */
	V exec, old[WAVE_SGPRS / 2]; /* as the loop began: EXEC, masks */
	V left, off, count, most;  /* lanes still to run, lanes that have left the loop; iterations of the lane, most of any */
	V miss_va, miss_slot;	   /* slot: 0, or 1 + the number of the range that an address was not in */
	LLVMBasicBlockRef stop;	   /* the lane stops as the iteration began */
	bool has_brief, brief;	   /* there is a brief form; this is it */
	struct serial_trip trip;
	uint32_t step[256];	   /* that each iteration adds to the pair, a power of 2; 0: no such pair */
	V first[256];		   /* what steps, as the lane began */
	V ok, leaves, longest;	   /* lanes of the brief form, those of them that leave in it, the most iterations of any */
	V turns, place[SERIAL_LOADS]; /* rows on the stack: a lane's iterations, negative (i32); host address behind the last of a load by steps */
	V todo, missed;		   /* lanes still to run so; the one that stopped, as a mask */
	V begin;		   /* of this lane: its iterations, negative */
	V next_lane, next_begin, next_place[SERIAL_LOADS]; /* variables: of the lane that is next */
	V from[SERIAL_LOADS];	   /* of this lane: its place; NULL: another load */
	V ahead[SERIAL_LOADS];	   /* how far behind its place a lane fetches for later ones */
	V last[256];		   /* variables: what the last iteration leaves in registers that are not among value and wide */
	struct sum {		   /* of another: the addition that makes its address, of what is the same in all iterations and the rest (low, high halves) */
		const struct isa_operand *fixed[2], *rest[2];
		bool alike; /* fixed is the same for all lanes that run so */
	} sum[SERIAL_LOADS];
	bool alike[256];	   /* the registers of such */
	V bias[SERIAL_LOADS];	   /* fixed from the range's begin; NULL: there is none */
	V base[SERIAL_LOADS];	   /* fixed, on the host */
	V below[SERIAL_LOADS];	   /* rests below this number are in the range */
	V rest[SERIAL_LOADS];	   /* as the addition found it, in the iteration */
};

/* What the lifter's types and registers are for vectors. */
struct vectors {
	unsigned width, strips;
	LLVMTypeRef vi1, vi32, vi64;
	struct registers reg;
};

static V load64(struct lift *l, V variable)
{
	return LLVMBuildLoad2(l->b, l->i64, variable, "");
}

static V call2(struct lift *l, const char *name, V x, V y)
{
	LLVMTypeRef t = LLVMTypeOf(x);
	V args[2] = {x, y};

	return intrinsic(l, name, &t, 1, args, 2);
}

static bool is_mask(const struct loop *p, unsigned pair)
{
	return pair != PAIR_EXEC && (p->s->masks >> pair & 1);
}

static bool made(const struct loop *p, unsigned pair)
{
	return is_mask(p, pair) && (p->s->made >> pair & 1);
}

/* ------------------------------------------------------------------ one lane */

/* From here on the lifter's vectors have one lane, which is active. */
static void one_lane(struct lift *l, struct vectors *was)
{
	*was = (struct vectors){l->width, l->strips, l->vi1, l->vi32, l->vi64, l->reg};
	l->width = l->strips = 1;
	l->vi1 = l->i1;
	l->vi32 = l->i32;
	l->vi64 = l->i64;
	memset(l->reg.v, 0, sizeof(l->reg.v));
	memset(l->reg.lin, 0, sizeof(l->reg.lin));
	memset(l->v64, 0, sizeof(l->v64));
	l->reg.now.exec_full = true;
	l->reg.p[PAIR_EXEC] = c64(l, UINT64_MAX);
}

static void all_lanes(struct lift *l, const struct vectors *was)
{
	l->width = was->width;
	l->strips = was->strips;
	l->vi1 = was->vi1;
	l->vi32 = was->vi32;
	l->vi64 = was->vi64;
	l->reg = was->reg;
}

/* A pair of 32-bit sources as one of 64 bits. */
static V wide_source(struct lift *l, const struct isa_operand *lo, const struct isa_operand *hi)
{
	V x[2];

	if (lo->kind == ISA_OPND_VGPR && hi->kind == ISA_OPND_VGPR && hi->index == lo->index + 1)
		return get_v64(l, lo->index, 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct isa_operand *o = i ? hi : lo;

		x[i] = o->kind == ISA_OPND_VGPR ? get_v(l, o->index, 0) : scalar_operand(l, o, false);
	}
	return wide_row(l, x[0], x[1]);
}

static bool simple(const struct isa_inst *in)
{
	return !in->sdwa && !in->dpp && !in->clamp && in->dst[0].kind == ISA_OPND_VGPR && in->dst[1].kind == ISA_OPND_SGPR;
}

/* An addition and the one of the high halves behind it, whose carries nobody else reads: one addition of 64 bits. */
static bool wide_addition(const struct jit_inst *ji, const struct jit_inst *next)
{
	const struct isa_inst *a = &ji->ci.inst, *b = &next->ci.inst;

	return a->op == ISA_V_ADD_CO_U32 && b->op == ISA_V_ADDC_CO_U32 && simple(a) && simple(b) && next->no_carry && b->dst[1].index == a->dst[1].index &&
	       b->src[2].kind == ISA_OPND_SGPR && b->src[2].index == a->dst[1].index && b->dst[0].index == a->dst[0].index + 1 &&
	       !(b->src[0].kind == ISA_OPND_VGPR && b->src[0].index == a->dst[0].index) &&
	       !(b->src[1].kind == ISA_OPND_VGPR && b->src[1].index == a->dst[0].index);
}

static void emit_wide_addition(struct lift *l, struct loop *p, const struct isa_inst *a, const struct isa_inst *b)
{
	V x[2];

	flush_queue(l);
	for (unsigned i = 0; i < 2; i++) {
		x[i] = wide_source(l, &a->src[i], &b->src[i]);
		for (unsigned k = 0; k < p->s->num_loads; k++)
			if (p->sum[k].rest[0] == &a->src[i])
				p->rest[k] = x[i];
	}
	set_v64(l, a->dst[0].index, 0, ADD(x[0], x[1]));
}

/* What an operand of an instruction of the loop is in all iterations: itself, or what has been moved to it; or NULL. */
static const struct isa_operand *same_always(const struct lift *l, const struct serial *s, const struct isa_operand *o, const struct jit_inst *until)
{
	const struct isa_operand *same = o;

	if (o->kind != ISA_OPND_VGPR || !bit_get(&s->blk->vwrite, o->index))
		return o;
	for (const struct jit_inst *ji = &l->code->inst[s->blk->first]; ji != until; ji = &l->code->inst[ji->next]) {
		const struct isa_inst *in = &ji->ci.inst;
		struct jit_regs regs;

		jit_inst_regs(in, true, &regs);
		if (bit_get(&regs.vwrite, o->index))
			same = in->op == ISA_V_MOV_B32 && !in->sdwa && !in->dpp && in->src[0].kind != ISA_OPND_VGPR ? &in->src[0] : NULL;
	}
	return same == o ? NULL : same;
}

/* The addition that has made a load's address in its iteration, if a source of it is the same in all iterations. */
static bool address_sum(const struct lift *l, const struct serial *s, const struct jit_inst *load, struct sum *sum)
{
	const struct jit_code *c = l->code;
	unsigned r = load->ci.inst.src[0].index;

	sum->rest[0] = NULL;
	for (const struct jit_inst *ji = &c->inst[s->blk->first]; load->ci.inst.src[2].kind == ISA_OPND_NONE && ji != load; ji = &c->inst[ji->next]) {
		const struct jit_inst *next = &c->inst[ji->next];
		struct jit_regs regs;

		jit_inst_regs(&ji->ci.inst, true, &regs);
		if (!bit_get(&regs.vwrite, r) && !bit_get(&regs.vwrite, r + 1))
			continue;
		sum->rest[0] = NULL;
		if (next == load || ji->ci.inst.dst[0].index != r || !wide_addition(ji, next))
			continue;
		for (unsigned i = 0; i < 2 && !sum->rest[0]; i++) {
			sum->fixed[0] = same_always(l, s, &ji->ci.inst.src[i], ji);
			sum->fixed[1] = same_always(l, s, &next->ci.inst.src[i], next);
			if (sum->fixed[0] && sum->fixed[1]) {
				sum->rest[0] = &ji->ci.inst.src[!i];
				sum->rest[1] = &next->ci.inst.src[!i];
			}
		}
		ji = next;
	}
	return sum->rest[0];
}

/* Where the load's address lies from its range's begin, and the address. */
static V load_offset(struct lift *l, struct loop *p, unsigned i, V *va)
{
	const struct isa_inst *in = &p->s->load[i]->ci.inst;
	const struct range_values *r = &p->range[i];
	V off;

	if (p->brief && p->bias[i]) {
		off = ADD(p->rest[i], p->bias[i]);
		*va = ADD(off, r->first);
		return off;
	}
	if (in->src[2].kind != ISA_OPND_NONE)
		*va = ADD(LLVMBuildZExt(l->b, get_v(l, in->src[0].index, 0), l->i64, ""), get_s64(l, in->src[2].index));
	else
		*va = get_v64(l, in->src[0].index, 0);
	*va = ADD(*va, c64(l, (uint64_t)(int64_t)in->offset));
	return LLVMBuildSub(l->b, *va, r->first, "");
}

/* Is what is loaded to this register a number of floating point for the next that reads it? Then it need not go through a general register. */
static bool is_float(const struct lift *l, const struct serial *s, const struct jit_inst *load, unsigned row)
{
	const struct jit_code *c = l->code;
	const struct jit_inst *last = load;

	for (uint32_t k = 0, i = s->blk->first; k + 1 < s->blk->count; k++, i = c->inst[i].next)
		last = &c->inst[i];
	while (load != last) {
		const struct lane_op *op;

		load = &c->inst[load->next];
		op = lane_op_of(load->ci.inst.op);
		for (unsigned i = 0; i < 3; i++)
			if (load->ci.inst.src[i].kind == ISA_OPND_VGPR && load->ci.inst.src[i].index == row)
				return op && (op->src[i] == K_F32 || op->src[i] == K_F64);
	}
	return false;
}

/* A number that may be another one, shifted to the left by so many bits. */
static V unshifted(V x, unsigned *shift)
{
	V by = LLVMIsAInstruction(x) && LLVMGetInstructionOpcode(x) == LLVMShl ? LLVMGetOperand(x, 1) : NULL;

	*shift = by && LLVMIsAConstantInt(by) && LLVMConstIntGetZExtValue(by) < 16 ? (unsigned)LLVMConstIntGetZExtValue(by) : 0;
	return *shift ? LLVMGetOperand(x, 0) : x;
}

/*
 * Mostly an address is an array's begin and an index times a power of 2, and the index alone tells that it is in the range. The builder goes on where it does not:
 * it may be negative.
 */
static void branch_if_below(struct lift *l, const struct loop *p, unsigned i, LLVMBasicBlockRef go)
{
	LLVMBasicBlockRef other = new_block(l, "");
	unsigned shift;
	V index = unshifted(p->rest[i], &shift);

	emit_weights(l, LLVMBuildCondBr(l->b, IS(ULT, index, LLVMBuildLShr(l->b, p->below[i], c64(l, shift), "")), go, other), true);
	go_to(l, other);
}

static V from_base(struct lift *l, const struct loop *p, unsigned i)
{
	unsigned shift;
	V index = unshifted(p->rest[i], &shift), base = LLVMBuildIntToPtr(l->b, p->base[i], l->ptr, "");

	return LLVMBuildGEP2(l->b, LLVMArrayType(l->i8, 1u << shift), base, &index, 1, "");
}

static void emit_load(struct lift *l, struct loop *p, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	unsigned row = in->dst[0].index, k = 0, i = 0;
	const struct range_values *r;
	struct access a;
	V va, off, host, x;

	while (p->s->load[i] != ji)
		i++;
	r = &p->range[i];
	plain_access(in->op, &a);
	flush_queue(l);
	if (p->brief && p->from[i]) {
		host = indexed(l, p->from[i], LLVMBuildMul(l->b, load64(l, p->count), c64(l, p->step[in->src[0].index]), ""));
	} else {
		LLVMBasicBlockRef go = new_block(l, ""), miss = new_block(l, "miss");

		if (p->brief && p->bias[i])
			branch_if_below(l, p, i, go);
		off = load_offset(l, p, i, &va);
		emit_weights(l, LLVMBuildCondBr(l->b, IS(ULT, off, r->room), go, miss), true);
		go_to(l, miss);
		LLVMBuildStore(l->b, va, p->miss_va);
		LLVMBuildStore(l->b, c32(l, 1 + p->slot[i]), p->miss_slot);
		LLVMBuildBr(l->b, p->stop);
		go_to(l, go);
		host = p->brief && p->bias[i] ? from_base(l, p, i) : indexed(l, r->host, off);
	}
	if (a.bytes < 4)
		set_v(l, row, 0, widened(l, a.kind, volatile_load(l, a.bytes == 1 ? l->i8 : l->i16, host, 1)));
	for (; a.bytes >= 4 && k + 1 < a.dwords; k += 2) {
		x = volatile_load(l, is_float(l, p->s, ji, row + k) ? l->f64 : l->i64, at(l, host, 4 * k), 1);
		set_v64(l, row + k, 0, LLVMBuildBitCast(l->b, x, l->i64, ""));
	}
	if (a.bytes >= 4 && k < a.dwords) {
		x = volatile_load(l, is_float(l, p->s, ji, row + k) ? l->f32 : l->i32, at(l, host, 4 * k), 1);
		set_v(l, row + k, 0, LLVMBuildBitCast(l->b, x, l->i32, ""));
	}
}

/* The block's instructions, of a lane. */
static void emit_instructions(struct lift *l, struct loop *p)
{
	const struct jit_code *c = l->code;
	const struct jit_block *blk = p->s->blk;

	for (uint32_t k = 0, i = blk->first; k + 1 < blk->count; k++, i = c->inst[i].next) {
		const struct jit_inst *ji = &c->inst[i];
		const struct isa_inst *in = &ji->ci.inst;

		if (k + 2 < blk->count && wide_addition(ji, &c->inst[ji->next])) {
			emit_wide_addition(l, p, in, &c->inst[ji->next].ci.inst);
			k++;
			i = ji->next;
		} else if (serial_mask_op(in->op)) {
			flush_queue(l);
			lift_salu(l, in);
		} else if (in->format >= ISA_FMT_FLAT) {
			emit_load(l, p, ji);
		} else if (in->format > ISA_FMT_SOPP && !lift_valu(l, ji)) {
			l->failed = true; /* serial_find() has asked */
		}
		jit_after(&l->reg.now, in);
	}
	flush_queue(l);
}

/* Is it the low half of a pair that iterations add to, or otherwise make as one number? */
static bool is_wide(const struct lift *l, const struct serial *s, unsigned r)
{
	const struct jit_code *c = l->code;

	if (r == 255 || !bit_get(&s->go_on, r) || !bit_get(&s->go_on, r + 1))
		return false;
	for (uint32_t k = 0, i = s->blk->first; k + 1 < s->blk->count; k++, i = c->inst[i].next) {
		const struct isa_inst *in = &c->inst[i].ci.inst;

		if (in->dst[0].kind != ISA_OPND_VGPR || in->dst[0].index != r)
			continue;
		if (in->format < ISA_FMT_FLAT && in->dst[0].dwords == 2)
			return true;
		if (k + 2 < s->blk->count && wide_addition(&c->inst[i], &c->inst[c->inst[i].next]))
			return true;
	}
	return false;
}

/* Is the pair that begins at r a number of floating point? Then it stays in a vector register from iteration to iteration. */
static bool is_double(const struct lift *l, const struct serial *s, unsigned r)
{
	for (uint32_t k = 0, i = s->blk->first; k + 1 < s->blk->count; k++, i = l->code->inst[i].next) {
		const struct isa_inst *in = &l->code->inst[i].ci.inst;
		const struct lane_op *op = in->format < ISA_FMT_FLAT ? lane_op_of(in->op) : NULL;

		if (op && op->result == K_F64 && in->dst[0].kind == ISA_OPND_VGPR && in->dst[0].index == r)
			return true;
	}
	return false;
}

static V load_wide(struct lift *l, const struct loop *p, unsigned r)
{
	return LLVMBuildBitCast(l->b, LLVMBuildLoad2(l->b, p->type[r], p->wide[r], ""), l->i64, "");
}

static void store_wide(struct lift *l, const struct loop *p, unsigned r, V x)
{
	LLVMBuildStore(l->b, LLVMBuildBitCast(l->b, x, p->type[r], ""), p->wide[r]);
}

/* ------------------------------------------------------------------ loads by steps */

/* What iterations add to the pair at r, if that is all that happens to it and a power of 2; or 0. */
static uint32_t step_of(const struct lift *l, const struct serial *s, unsigned r)
{
	const struct jit_code *c = l->code;
	uint32_t step = 0;

	for (uint32_t k = 0, i = s->blk->first; k + 1 < s->blk->count; k++, i = c->inst[i].next) {
		const struct isa_inst *in = &c->inst[i].ci.inst, *high = &c->inst[c->inst[i].next].ci.inst;
		struct jit_regs regs;

		jit_inst_regs(in, true, &regs);
		if (!bit_get(&regs.vwrite, r) && !bit_get(&regs.vwrite, r + 1))
			continue;
		if (step || k + 2 >= s->blk->count || in->dst[0].index != r || !wide_addition(&c->inst[i], &c->inst[c->inst[i].next]))
			return 0;
		for (unsigned n = 0; n < 2; n++)
			if (in->src[n].kind == ISA_OPND_CONST && high->src[n].kind == ISA_OPND_CONST && !(uint32_t)high->src[n].value &&
			    in->src[!n].kind == ISA_OPND_VGPR && in->src[!n].index == r && high->src[!n].kind == ISA_OPND_VGPR && high->src[!n].index == r + 1)
				step = (uint32_t)in->src[n].value;
		if (!step || (step & (step - 1)) || step > 1 << 16)
			return 0;
		k++;
		i = c->inst[i].next;
	}
	return step;
}

/* Is the pair's addition before this load? */
static bool added_before(const struct lift *l, const struct serial *s, unsigned r, const struct jit_inst *load)
{
	const struct jit_code *c = l->code;

	for (uint32_t i = s->blk->first; &c->inst[i] != load; i = c->inst[i].next)
		if (c->inst[i].ci.inst.dst[0].kind == ISA_OPND_VGPR && c->inst[i].ci.inst.dst[0].index == r)
			return true;
	return false;
}

static bool by_steps(const struct loop *p, unsigned load)
{
	const struct isa_inst *in = &p->s->load[load]->ci.inst;

	return in->src[2].kind == ISA_OPND_NONE && p->wide[in->src[0].index] && p->step[in->src[0].index];
}

static bool has_brief_form(struct lift *l, struct loop *p)
{
	for (unsigned i = 0; i < p->s->num_loads; i++)
		if (by_steps(p, i))
			return serial_trip(l->code, p->s, &p->trip) && p->value[p->trip.counter];
	return false;
}

/* Is the register, or the pair that begins there, known from the number of iterations? */
static bool steps(const struct loop *p, unsigned r)
{
	return p->has_brief && (p->step[r] || r == p->trip.counter);
}

/* What has gone through so many steps; numbers of 64 bits. */
static V stepped(struct lift *l, const struct loop *p, unsigned r, V first, V iterations)
{
	if (p->step[r])
		return ADD(first, LLVMBuildMul(l->b, iterations, splat(l, c64(l, p->step[r])), ""));
	iterations = LLVMBuildTrunc(l->b, iterations, l->vi32, "");
	return p->trip.step > 0 ? ADD(first, iterations) : LLVMBuildSub(l->b, first, iterations, "");
}

/* A value of which LLVM knows nothing, so that what is added to it is not taken apart again; it may be found before a loop. */
static V opaque64(struct lift *l, V x)
{
	LLVMTypeRef fn = LLVMFunctionType(l->i64, &l->i64, 1, 0);
	V call = LLVMBuildCall2(l->b, fn, LLVMGetInlineAsm(fn, "", 0, "=r,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0), &x, 1, "");

	LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(l->c, LLVMGetEnumAttributeKindForName("memory", 6), 0));
	return call;
}

/* Has the register in front of the loop been copied from a scalar one? Then most likely all lanes have the same in it. */
static bool was_scalar(const struct lift *l, const struct serial *s, unsigned r)
{
	for (uint32_t i = s->blk->first; i-- > 0;) {
		const struct isa_inst *in = &l->code->inst[i].ci.inst;
		struct jit_regs regs;

		jit_inst_regs(in, true, &regs);
		if (bit_get(&regs.vwrite, r))
			return (in->op == ISA_V_MOV_B32 || (in->op == ISA_V_PK_MOV_B32 && in->src[1].kind != ISA_OPND_VGPR)) && in->src[0].kind != ISA_OPND_VGPR;
	}
	return false;
}

/* Of other loads the additions that make their addresses. */
static void find_sums(struct lift *l, struct loop *p)
{
	for (unsigned i = 0; i < p->s->num_loads; i++) {
		struct sum *sum = &p->sum[i];

		if (by_steps(p, i) || !address_sum(l, p->s, p->s->load[i], sum))
			continue;
		sum->alike = true;
		for (unsigned k = 0; k < 2; k++)
			sum->alike &= sum->fixed[k]->kind != ISA_OPND_VGPR || was_scalar(l, p->s, sum->fixed[k]->index);
		for (unsigned k = 0; k < 2 && sum->alike; k++)
			if (sum->fixed[k]->kind == ISA_OPND_VGPR)
				p->alike[sum->fixed[k]->index] = true;
	}
}

static V lane_place(struct lift *l, struct loop *p, unsigned r, V lane)
{
	return indexed(l, p->room[r], LLVMBuildShl(l->b, lane, c64(l, 2), ""));
}

/* Of registers that are alike what the first lane has in them. */
static V load_alike(struct lift *l, struct loop *p, unsigned r)
{
	V args[2] = {p->exec, LLVMConstInt(l->i1, 0, 0)}, lane = intrinsic(l, "llvm.cttz", &l->i64, 1, args, 2);

	return LLVMBuildLoad2(l->b, l->i32, lane_place(l, p, r, AND(lane, c64(l, WAVE_LANES - 1))), "");
}

/* What is the same in all iterations, from the range's begin; of those that are alike, or the lane's. */
static void find_biases(struct lift *l, struct loop *p, bool alike)
{
	for (unsigned r = 0; r < 256; r++)
		if (alike && p->alike[r])
			l->reg.v[r][0] = load_alike(l, p, r);
	for (unsigned i = 0; i < p->s->num_loads; i++) {
		const struct jit_inst *ji = p->s->load[i];
		struct sum *sum = &p->sum[i];
		V fixed;

		if (!sum->rest[0] || sum->alike != alike)
			continue;
		fixed = ADD(wide_source(l, sum->fixed[0], sum->fixed[1]), c64(l, (uint64_t)(int64_t)ji->ci.inst.offset));
		p->bias[i] = opaque64(l, LLVMBuildSub(l->b, fixed, p->range[i].first, ""));
		p->base[i] = opaque64(l, ADD(LLVMBuildPtrToInt(l->b, p->range[i].host, l->i64, ""), p->bias[i]));
		p->below[i] = call2(l, "llvm.usub.sat", p->range[i].room, p->bias[i]);
	}
}

/* ------------------------------------------------------------------ before the brief form, with vectors */

/* How many iterations less one the strip's lanes have until they leave; of counters that never get there the largest number. */
static V strip_iterations(struct lift *l, const struct serial_trip *t, unsigned strip)
{
	V from = get_v(l, t->counter, strip), to, n;

	to = t->end->kind == ISA_OPND_VGPR ? get_v(l, t->end->index, strip) : splat(l, scalar_operand(l, t->end, false));
	if (t->counts_first)
		from = ADD(from, splat(l, c32(l, (uint32_t)t->step)));
	if (t->rel == SERIAL_EQ)
		return t->step > 0 ? LLVMBuildSub(l->b, to, from, "") : LLVMBuildSub(l->b, from, to, "");
	n = LLVMBuildSub(l->b, call2(l, t->sign ? "llvm.smax" : "llvm.umax", to, from), from, "");
	if (t->rel != SERIAL_GT)
		return n;
	n = ADD(n, LLVMBuildZExt(l->b, LLVMBuildICmp(l->b, t->sign ? LLVMIntSGE : LLVMIntUGE, to, from, ""), l->vi32, ""));
	return LLVMBuildSelect(l->b, IS(EQ, to, splat(l, c32(l, t->sign ? INT32_MAX : UINT32_MAX))), splat(l, c32(l, UINT32_MAX)), n, "");
}

static V row_at(struct lift *l, V row, unsigned strip, unsigned bytes)
{
	return at(l, row, (uint64_t)strip * l->width * bytes);
}

static void store_lanes(struct lift *l, V x, V row, unsigned strip, unsigned bytes)
{
	LLVMSetAlignment(LLVMBuildStore(l->b, x, row_at(l, row, strip, bytes)), l->width * bytes < 64 ? l->width * bytes : 64);
}

/*
 * Where a lane begins its loads by steps as the one before ended them (rows of a sparse matrix do), what later lanes will load is fetched: processors see
 * through that late, and forget at pages' ends. How far ahead, or 0.
 */
static V far_ahead(struct lift *l, V begin, V place, V ok)
{
	V before, order[64], follow;

	for (unsigned k = 0; k < l->width; k++)
		order[k] = c32(l, l->width - 1 + k);
	before = LLVMBuildShuffleVector(l->b, LLVMConstNull(l->vi64), place, LLVMConstVector(order, l->width), "");
	follow = bits_of(l, AND(IS(EQ, begin, before), ok));
	return LLVMBuildSelect(l->b, IS(NE, follow, LLVMConstNull(LLVMTypeOf(follow))), c64(l, AHEAD), c64(l, 0), "");
}

/* Which of the lanes that are ok have n iterations of the load in its range? And where it is behind them. */
static V plan_load(struct lift *l, struct loop *p, unsigned i, V n, V ok, unsigned strip)
{
	const struct isa_inst *in = &p->s->load[i]->ci.inst;
	const struct range_values *range = &p->range[i];
	unsigned r = in->src[0].index;
	uint64_t by = (uint64_t)((int64_t)in->offset + (added_before(l, p->s, r, p->s->load[i]) ? p->step[r] : 0));
	V host = LLVMBuildPtrToInt(l->b, range->host, l->i64, "");
	V begin = ADD(get_v64(l, r, strip), splat(l, ADD(host, LLVMBuildSub(l->b, c64(l, by), range->first, ""))));
	V place = ADD(begin, LLVMBuildMul(l->b, LLVMBuildZExt(l->b, n, l->vi64, ""), splat(l, c64(l, p->step[r])), ""));

	/* Iterations take less than 2^47 bytes, and ranges end below 2^63: what is behind a begin that is not negative has not come around. */
	ok = AND(ok, IS(SGE, begin, splat(l, host)));
	ok = AND(ok, IS(ULT, place, splat(l, ADD(host, range->room))));
	store_lanes(l, place, p->place[i], strip, 8);
	if (!strip)
		p->ahead[i] = far_ahead(l, begin, place, ok);
	return ok;
}

static V add_bits(struct lift *l, V mask, V strip_mask, unsigned strip)
{
	V bits = LLVMBuildZExt(l->b, bits_of(l, strip_mask), l->i64, "");

	return OR(mask, LLVMBuildShl(l->b, bits, c64(l, strip * l->width), ""));
}

/* Which lanes may run in the brief form, and how far. Not: lanes near a range's end, or with other bases than the first; and none if some have bits of masks. */
static void plan_brief(struct lift *l, struct loop *p, V most_of)
{
	V masks = c64(l, 0), zero = splat(l, c32(l, 0)), longest = zero, none, most, like[256];

	most = call2(l, "llvm.umin", LLVMBuildSub(l->b, most_of, c64(l, 1), ""), c64(l, INT32_MAX - 1));
	most = splat(l, LLVMBuildTrunc(l->b, most, l->i32, ""));
	p->ok = p->leaves = c64(l, 0);
	for (unsigned r = 0; r < 256; r++)
		if (p->alike[r])
			like[r] = splat(l, load_alike(l, p, r));
	for (unsigned s = 0; s < l->strips; s++) {
		V n = strip_iterations(l, &p->trip, s), ok = mask_strip(l, p->exec, s);

		p->leaves = add_bits(l, p->leaves, IS(ULE, n, most), s);
		n = ADD(call2(l, "llvm.umin", n, most), splat(l, c32(l, 1)));
		store_lanes(l, LLVMBuildNeg(l->b, n, ""), p->turns, s, 4);
		for (unsigned i = 0; i < p->s->num_loads; i++)
			if (by_steps(p, i))
				ok = plan_load(l, p, i, n, ok, s);
		for (unsigned r = 0; r < 256; r++)
			if (p->alike[r])
				ok = AND(ok, IS(EQ, get_v(l, r, s), like[r]));
		p->ok = add_bits(l, p->ok, ok, s);
		longest = call2(l, "llvm.umax", longest, LLVMBuildSelect(l->b, ok, n, zero, ""));
	}
	p->longest = LLVMBuildZExt(l->b, intrinsic(l, "llvm.vector.reduce.umax", &l->vi32, 1, &longest, 1), l->i64, "");
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (p->trip.clear >> m & 1)
			masks = OR(masks, p->old[m]);
	none = IS(EQ, AND(masks, p->exec), c64(l, 0));
	p->ok = LLVMBuildSelect(l->b, none, p->ok, c64(l, 0), "");
	p->longest = LLVMBuildSelect(l->b, none, p->longest, c64(l, 0), "");
}

/* What steps, behind the brief form, of the lanes that ran. */
static void step_rows(struct lift *l, struct loop *p, V ran)
{
	for (unsigned s = 0; s < l->strips; s++) {
		V n = LLVMBuildLoad2(l->b, l->vi32, row_at(l, p->turns, s, 4), ""), mask = mask_strip(l, ran, s);

		LLVMSetAlignment(n, 4 * l->width);
		n = LLVMBuildZExt(l->b, LLVMBuildNeg(l->b, n, ""), l->vi64, "");
		for (unsigned r = 0; r < 256; r++)
			if (steps(p, r)) {
				V x = stepped(l, p, r, p->step[r] ? get_v64(l, r, s) : get_v(l, r, s), n);
				V half[2] = {x};

				if (p->step[r]) {
					half[0] = LLVMBuildTrunc(l->b, x, l->vi32, "");
					half[1] = LLVMBuildTrunc(l->b, LLVMBuildLShr(l->b, x, splat(l, c64(l, 32)), ""), l->vi32, "");
				}
				for (unsigned h = 0; h < 2 && half[h]; h++)
					masked_store(l, half[h], at(l, p->room[r + h], (uint64_t)s * l->width * 4), mask, 4);
			}
	}
}

/* ------------------------------------------------------------------ a lane's begin and end */

/* The lane's registers and bits, to variables where iterations change them; else they are known from here on. */
static void take_lane(struct lift *l, struct loop *p, V lane)
{
	const struct serial *s = p->s;

	for (unsigned r = 0; r < 256; r++)
		if (bit_get(&s->in, r) || bit_get(&s->go_on, r))
			l->reg.v[r][0] = LLVMBuildLoad2(l->b, l->i32, lane_place(l, p, r, lane), "");
	for (unsigned r = 0; r < 256; r++) {
		if (p->wide[r])
			store_wide(l, p, r, p->first[r] = get_v64(l, r, 0));
		else if (p->value[r])
			LLVMBuildStore(l->b, p->first[r] = l->reg.v[r][0], p->value[r]);
	}
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (is_mask(p, m)) {
			l->reg.p[m] = AND(LLVMBuildLShr(l->b, get_pair(l, m), lane, ""), c64(l, 1));
			if (made(p, m))
				LLVMBuildStore(l->b, LLVMBuildTrunc(l->b, l->reg.p[m], l->i1, ""), p->bit[m]);
		}
}

/* What the variables have. */
static void read_variables(struct lift *l, struct loop *p)
{
	V done = p->brief ? LLVMBuildSub(l->b, load64(l, p->count), p->begin, "") : NULL;

	for (unsigned r = 0; r < 256; r++) {
		if (p->brief && steps(p, r))
			(p->step[r] ? set_v64 : set_v)(l, r, 0, stepped(l, p, r, p->first[r], done));
		else if (p->wide[r])
			set_v64(l, r, 0, load_wide(l, p, r));
		else if (p->value[r])
			set_v(l, r, 0, LLVMBuildLoad2(l->b, l->i32, p->value[r], ""));
		else if (!l->reg.v[r][0])
			l->reg.v[r][0] = LLVMGetUndef(l->i32); /* written before it is read */
	}
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (made(p, m))
			l->reg.p[m] = p->brief ? c64(l, 0) : LLVMBuildZExt(l->b, LLVMBuildLoad2(l->b, l->i1, p->bit[m], ""), l->i64, "");
}

static void write_variables(struct lift *l, struct loop *p)
{
	for (unsigned r = 0; r < 256; r++) {
		if (p->wide[r])
			store_wide(l, p, r, get_v64(l, r, 0));
		else if (p->value[r])
			LLVMBuildStore(l->b, get_v(l, r, 0), p->value[r]);
	}
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (made(p, m))
			LLVMBuildStore(l->b, LLVMBuildTrunc(l->b, get_pair(l, m), l->i1, ""), p->bit[m]);
}

/* Registers of the set to their rows; of the brief form's those that step are left to step_rows(). */
static void give_rows(struct lift *l, struct loop *p, const struct bits256 *which, V lane)
{
	for (unsigned r = 0; r < 256; r++)
		if (bit_get(which, r) && !(p->brief && (steps(p, r) || (r && p->step[r - 1]))))
			LLVMBuildStore(l->b, get_v(l, r, 0), lane_place(l, p, r, lane));
}

/* The same, and the bits to the masks. */
static void give_lane(struct lift *l, struct loop *p, const struct bits256 *which, V lane)
{
	give_rows(l, p, which, lane);
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (made(p, m)) {
			V bit = LLVMBuildShl(l->b, AND(get_pair(l, m), c64(l, 1)), lane, "");

			LLVMBuildStore(l->b, OR(load64(l, p->mask[m]), bit), p->mask[m]);
		}
}

/* The lane has left: what it leaves, and that it has. */
static void leave_loop(struct lift *l, struct loop *p, V lane, LLVMBasicBlockRef over)
{
	give_lane(l, p, &p->s->leave, lane);
	LLVMBuildStore(l->b, OR(load64(l, p->off), LLVMBuildShl(l->b, c64(l, 1), lane, "")), p->off);
	LLVMBuildBr(l->b, over);
}

/* A lane's iterations in one of the forms, until it leaves or has had so many; the builder goes on where that is so. */
static void emit_iterations(struct lift *l, struct loop *p, LLVMBasicBlockRef iterate, V lane, V most_of, LLVMBasicBlockRef over)
{
	LLVMBasicBlockRef out = new_block(l, ""), more = new_block(l, ""), enough = new_block(l, "");
	V on;

	go_to(l, iterate);
	read_variables(l, p);
	emit_instructions(l, p);
	LLVMBuildStore(l->b, ADD(load64(l, p->count), c64(l, 1)), p->count);
	on = IS(NE, AND(get_pair(l, PAIR_EXEC), c64(l, 1)), c64(l, 0));
	LLVMBuildCondBr(l->b, on, more, out);
	go_to(l, out);
	leave_loop(l, p, lane, over);
	go_to(l, more);
	write_variables(l, p);
	LLVMBuildCondBr(l->b, IS(ULT, load64(l, p->count), most_of), iterate, enough);
	go_to(l, enough);
}

/* ------------------------------------------------------------------ the brief form */

static V lane_place64(struct lift *l, V row, V lane)
{
	return indexed(l, row, LLVMBuildShl(l->b, lane, c64(l, 3), ""));
}

static V lane_turns(struct lift *l, struct loop *p, V lane)
{
	return indexed(l, p->turns, LLVMBuildShl(l->b, lane, c64(l, 2), ""));
}

static void fetch_for_later(struct lift *l, const struct loop *p, unsigned i)
{
	uint64_t bytes = AHEAD_FOR * p->step[p->s->load[i]->ci.inst.src[0].index];
	V ahead = indexed(l, p->from[i], p->ahead[i]);

	for (uint64_t line = 0; line < bytes && line < 256; line += 64)
		prefetch(l, at(l, ahead, line), 3);
}

/* What tells of the next lane when its iterations end and where they load, while those of the lane before run: their end is mostly guessed wrong. */
static void look_ahead(struct lift *l, struct loop *p, V todo)
{
	V args[2] = {todo, LLVMConstInt(l->i1, 0, 0)}, lane = intrinsic(l, "llvm.cttz", &l->i64, 1, args, 2); /* 64: behind the rows' ends */

	LLVMBuildStore(l->b, lane, p->next_lane);
	LLVMBuildStore(l->b, LLVMBuildSExt(l->b, LLVMBuildLoad2(l->b, l->i32, lane_turns(l, p, lane), ""), l->i64, ""), p->next_begin);
	for (unsigned i = 0; i < p->s->num_loads; i++)
		if (by_steps(p, i))
			LLVMBuildStore(l->b, load64(l, lane_place64(l, p->place[i], lane)), p->next_place[i]);
}

/* Returns the lane. */
static V take_brief_lane(struct lift *l, struct loop *p)
{
	V lane = load64(l, p->next_lane), todo = load64(l, p->todo);

	p->begin = load64(l, p->next_begin);
	LLVMBuildStore(l->b, p->begin, p->count);
	for (unsigned i = 0; i < p->s->num_loads; i++)
		if (by_steps(p, i))
			p->from[i] = LLVMBuildIntToPtr(l->b, load64(l, p->next_place[i]), l->ptr, "");
	todo = AND(todo, LLVMBuildSub(l->b, todo, c64(l, 1), ""));
	LLVMBuildStore(l->b, todo, p->todo);
	look_ahead(l, p, todo);
	take_lane(l, p, lane);
	for (unsigned i = 0; i < p->s->num_loads; i++)
		if (by_steps(p, i) && !l->amd)
			fetch_for_later(l, p, i);
	find_biases(l, p, false);
	return lane;
}

/* Is it a register that the lane leaves and that no variable has? */
static bool only_left(const struct loop *p, unsigned r)
{
	return bit_get(&p->s->leave, r) && !p->value[r] && !p->wide[r] && !(r && p->wide[r - 1]);
}

/* Iterations, from the registers that the lane began with, until they are counted up to zero; then, at out, registers are what the last one has left. */
static void emit_brief_iterations(struct lift *l, struct loop *p, LLVMBasicBlockRef out)
{
	const struct registers begin = l->reg;
	LLVMBasicBlockRef iterate = new_block(l, "brief");

	LLVMBuildBr(l->b, iterate);
	go_to(l, iterate);
	for (unsigned copy = 1, copies = !l->amd && p->s->blk->count * COPIES <= MOST_COPY ? COPIES : 1; copy <= copies; copy++) {
		LLVMBasicBlockRef more = copy < copies ? new_block(l, "") : iterate;
		V count;

		l->reg = begin;
		read_variables(l, p);
		emit_instructions(l, p);
		write_variables(l, p);
		for (unsigned r = 0; r < 256; r++)
			if (p->last[r])
				LLVMBuildStore(l->b, get_v(l, r, 0), p->last[r]);
		count = ADD(load64(l, p->count), c64(l, 1));
		LLVMBuildStore(l->b, count, p->count);
		LLVMBuildCondBr(l->b, IS(NE, count, c64(l, 0)), more, out);
		if (copy < copies)
			go_to(l, more);
	}
	go_to(l, out);
	l->reg = begin;
	read_variables(l, p);
	for (unsigned r = 0; r < 256; r++)
		if (p->last[r])
			set_v(l, r, 0, LLVMBuildLoad2(l->b, l->i32, p->last[r], ""));
}

/* Lane by lane, until one's address is not in its range. The builder ends where that is so, or all have run. */
static void emit_brief_lanes(struct lift *l, struct loop *p, LLVMBasicBlockRef end)
{
	LLVMBasicBlockRef next = new_block(l, "lane"), out = new_block(l, ""), stop = p->stop;
	struct registers begin;
	V lane, begun;

	p->brief = true;
	p->stop = new_block(l, "stop");
	look_ahead(l, p, p->ok);
	find_biases(l, p, true);
	LLVMBuildCondBr(l->b, IS(NE, p->ok, c64(l, 0)), next, end);
	go_to(l, next);
	lane = take_brief_lane(l, p);
	begin = l->reg;
	emit_brief_iterations(l, p, out);
	give_rows(l, p, &p->s->go_on, lane);
	give_rows(l, p, &p->s->leave, lane);
	LLVMBuildCondBr(l->b, IS(NE, load64(l, p->todo), c64(l, 0)), next, end);
	go_to(l, p->stop);
	l->reg = begin;
	read_variables(l, p);
	give_rows(l, p, &p->s->go_on, lane);
	begun = LLVMBuildLoad2(l->b, l->i32, lane_turns(l, p, lane), "");
	LLVMSetVolatile(begun, 1); /* not kept from before the iterations */
	LLVMBuildStore(l->b, LLVMBuildSub(l->b, begun, LLVMBuildTrunc(l->b, load64(l, p->count), l->i32, ""), ""), lane_turns(l, p, lane));
	LLVMBuildStore(l->b, LLVMBuildShl(l->b, c64(l, 1), lane, ""), p->missed);
	LLVMBuildBr(l->b, end);
	p->stop = stop;
	p->brief = false;
	go_to(l, end);
}

static bool leaves_steps(const struct loop *p)
{
	for (unsigned r = 0; r < 256; r++)
		if (steps(p, r) && (bit_get(&p->s->leave, r) || (p->step[r] && bit_get(&p->s->leave, r + 1))))
			return true;
	return false;
}

/* The lanes that may run in the brief form; then others are run, or (done) one has stopped, or there are none. */
static void emit_brief(struct lift *l, struct loop *p, V most_of, LLVMBasicBlockRef others, LLVMBasicBlockRef done)
{
	LLVMBasicBlockRef end = new_block(l, ""), update = new_block(l, ""), go_on = new_block(l, "");
	struct vectors was;
	V ran, gone, left, missed;

	plan_brief(l, p, most_of);
	LLVMBuildStore(l->b, p->ok, p->todo);
	LLVMBuildStore(l->b, c64(l, 0), p->missed);
	one_lane(l, &was);
	emit_brief_lanes(l, p, end);
	all_lanes(l, &was);
	memset(p->from, 0, sizeof(p->from));
	missed = load64(l, p->missed);
	ran = AND(p->ok, LLVMBuildNot(l->b, load64(l, p->todo), ""));
	gone = AND(AND(ran, p->leaves), LLVMBuildNot(l->b, missed, ""));
	left = AND(p->exec, LLVMBuildNot(l->b, ran, ""));
	LLVMBuildStore(l->b, gone, p->off);
	LLVMBuildStore(l->b, left, p->left);
	LLVMBuildStore(l->b, p->longest, p->most);
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (made(p, m) && (p->trip.leave >> m & 1))
			LLVMBuildStore(l->b, gone, p->mask[m]);
	if (leaves_steps(p))
		LLVMBuildBr(l->b, update);
	else
		LLVMBuildCondBr(l->b, IS(NE, ran, gone), update, go_on);
	go_to(l, update);
	step_rows(l, p, ran);
	LLVMBuildBr(l->b, go_on);
	go_to(l, go_on);
	LLVMBuildCondBr(l->b, AND(IS(NE, left, c64(l, 0)), IS(EQ, missed, c64(l, 0))), others, done);
}

/*
 * From lane to lane, and each lane's iterations, no more than most_of. The builder ends where no more lanes are to run: there are none, or one's address was not in
 * its range, which is then still among those left.
 */
static void emit_lanes(struct lift *l, struct loop *p, V most_of)
{
	LLVMBasicBlockRef next = new_block(l, "lane"), iterate = new_block(l, "iterate"), over = new_block(l, ""), done = new_block(l, "");
	struct registers begin;
	struct vectors was;
	V args[2], lane, left;

	if (p->has_brief)
		emit_brief(l, p, most_of, next, done);
	else
		LLVMBuildBr(l->b, next);
	one_lane(l, &was);
	p->stop = new_block(l, "stop");
	go_to(l, next);
	lane = first_of_mask(l, load64(l, p->left));
	take_lane(l, p, lane);
	LLVMBuildStore(l->b, c64(l, 0), p->count);
	begin = l->reg;
	LLVMBuildBr(l->b, iterate);
	emit_iterations(l, p, iterate, lane, most_of, over);
	LLVMBuildBr(l->b, p->stop);
	go_to(l, p->stop);
	l->reg = begin;
	read_variables(l, p);
	give_lane(l, p, &p->s->go_on, lane);
	LLVMBuildBr(l->b, over);
	go_to(l, over);
	args[0] = load64(l, p->count);
	args[1] = load64(l, p->most);
	LLVMBuildStore(l->b, intrinsic(l, "llvm.umax", &l->i64, 1, args, 2), p->most);
	left = load64(l, p->left);
	left = AND(left, LLVMBuildSub(l->b, left, c64(l, 1), ""));
	LLVMBuildStore(l->b, left, p->left);
	LLVMBuildCondBr(l->b, AND(IS(NE, left, c64(l, 0)), IS(EQ, LLVMBuildLoad2(l->b, l->i32, p->miss_slot, ""), c32(l, 0))), next, done);
	all_lanes(l, &was);
	go_to(l, done);
}

/* ------------------------------------------------------------------ around it */

/* A row of numbers of 64 bits on the stack, and room for one of a lane 64. */
static V new_row64(struct lift *l)
{
	V row = LLVMBuildArrayAlloca(l->at_entry, l->i8, c32(l, (WAVE_LANES + 1) * 8), "");

	LLVMSetAlignment(row, 64);
	return row;
}

static void make_variables(struct lift *l, struct loop *p)
{
	const struct serial *s = p->s;
	V *numbers[] = {&p->left, &p->off, &p->count, &p->most, &p->miss_va, &p->todo, &p->missed, &p->next_lane, &p->next_begin};

	for (unsigned r = 0; r < 256; r++) {
		bool low = is_wide(l, s, r), high = r && p->wide[r - 1];

		if (low && !high) {
			p->type[r] = is_double(l, s, r) ? l->f64 : l->i64;
			p->wide[r] = LLVMBuildAlloca(l->at_entry, p->type[r], "");
			p->step[r] = step_of(l, s, r);
		} else if (bit_get(&s->go_on, r) && !high) {
			p->value[r] = LLVMBuildAlloca(l->at_entry, l->i32, "");
		}
		if (bit_get(&s->in, r) || bit_get(&s->go_on, r) || bit_get(&s->leave, r)) {
			p->room[r] = LLVMBuildArrayAlloca(l->at_entry, l->i8, c32(l, WAVE_LANES * 4), "");
			LLVMSetAlignment(p->room[r], 64);
		}
	}
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (made(p, m)) {
			p->bit[m] = LLVMBuildAlloca(l->at_entry, l->i1, "");
			p->mask[m] = LLVMBuildAlloca(l->at_entry, l->i64, "");
		}
	p->has_brief = has_brief_form(l, p);
	if (p->has_brief)
		p->turns = new_row64(l);
	for (unsigned i = 0; i < s->num_loads; i++)
		if (p->has_brief && by_steps(p, i)) {
			p->place[i] = new_row64(l);
			p->next_place[i] = LLVMBuildAlloca(l->at_entry, l->i64, "");
		}
	if (p->has_brief)
		find_sums(l, p);
	for (unsigned r = 0; r < 256; r++)
		if (p->has_brief && only_left(p, r))
			p->last[r] = LLVMBuildAlloca(l->at_entry, l->i32, "");
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		*numbers[i] = LLVMBuildAlloca(l->at_entry, l->i64, "");
	p->miss_slot = LLVMBuildAlloca(l->at_entry, l->i32, "");
}

static void read_ranges(struct lift *l, struct loop *p)
{
	for (unsigned i = 0; i < p->s->num_loads; i++) {
		struct access a;

		plain_access(p->s->load[i]->ci.inst.op, &a);
		read_range(l, p->slot[i], a.bytes, GPU_PROT_READ, &p->range[i]);
		find_room(l, &p->range[i]);
	}
}

static void rows_to_stack(struct lift *l, struct loop *p)
{
	for (unsigned r = 0; r < 256; r++)
		for (unsigned s = 0; p->room[r] && s < l->strips; s++)
			LLVMSetAlignment(LLVMBuildStore(l->b, get_v(l, r, s), at(l, p->room[r], (uint64_t)s * l->width * 4)), 4 * l->width);
}

/* Goes on with rows of the set, masks and EXEC as lanes have left them. */
static void write_results(struct lift *l, struct loop *p, const struct bits256 *which, V exec, const V *mask, uint32_t to)
{
	forget(l);
	lin_enter(l, p->s->blk);
	for (unsigned r = 0; r < 256; r++)
		for (unsigned s = 0; bit_get(which, r) && s < l->strips; s++) {
			V x = LLVMBuildLoad2(l->b, l->vi32, at(l, p->room[r], (uint64_t)s * l->width * 4), "");

			LLVMSetAlignment(x, 4 * l->width);
			set_v(l, r, s, x);
		}
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (made(p, m))
			set_pair(l, m, mask[m]);
	set_pair(l, PAIR_EXEC, exec);
	if (p->s->scc)
		set_scc(l, LLVMBuildZExt(l->b, IS(NE, exec, c64(l, 0)), l->i32, ""));
	write_back(l, &l->code->block[to], NULL);
}

static void spend(struct lift *l, V iterations, uint32_t weight)
{
	V fuel = load64(l, l->fuel);

	LLVMBuildStore(l->b, LLVMBuildSub(l->b, fuel, LLVMBuildMul(l->b, iterations, c64(l, weight), ""), ""), l->fuel);
}

/* A range for the address that was missed, or as many iterations of vectors. */
static void find_missed(struct lift *l, struct loop *p, V tries, LLVMBasicBlockRef begin, LLVMBasicBlockRef vectors)
{
	LLVMBasicBlockRef look = new_block(l, ""), none = new_block(l, "");
	V left = LLVMBuildLoad2(l->b, l->i32, tries, ""), slot, found;

	LLVMBuildStore(l->b, LLVMBuildSub(l->b, left, c32(l, 1), ""), tries);
	LLVMBuildCondBr(l->b, IS(NE, left, c32(l, 0)), look, none);
	go_to(l, look);
	slot = LLVMBuildSub(l->b, LLVMBuildLoad2(l->b, l->i32, p->miss_slot, ""), c32(l, 1), "");
	found = look_for_range(l, load64(l, p->miss_va), slot, GPU_PROT_READ);
	LLVMBuildCondBr(l->b, found, begin, none);
	go_to(l, none);
	LLVMBuildStore(l->b, c32(l, VECTORS), l->serial_pause);
	LLVMBuildBr(l->b, vectors);
}

/* Where the loop is not to be entered now: behind a miss, or (which no compiler makes) with no lane. */
static void enter_or_not(struct lift *l, LLVMBasicBlockRef begin, LLVMBasicBlockRef vectors)
{
	LLVMBasicBlockRef ready = new_block(l, ""), wait = new_block(l, "");
	V pause;

	if (!l->serial_pause) {
		l->serial_pause = LLVMBuildAlloca(l->at_entry, l->i32, "");
		LLVMBuildStore(l->at_entry, c32(l, 0), l->serial_pause);
	}
	pause = LLVMBuildLoad2(l->b, l->i32, l->serial_pause, "");
	LLVMBuildCondBr(l->b, IS(EQ, pause, c32(l, 0)), ready, wait);
	go_to(l, wait);
	LLVMBuildStore(l->b, LLVMBuildSub(l->b, pause, c32(l, 1), ""), l->serial_pause);
	LLVMBuildBr(l->b, vectors);
	go_to(l, ready);
	LLVMBuildCondBr(l->b, IS(NE, get_pair(l, PAIR_EXEC), c64(l, 0)), begin, vectors);
}

void lift_serial(struct lift *l, const struct serial *s)
{
	LLVMBasicBlockRef begin = new_block(l, "serial"), vectors = new_block(l, "vectors"), out = new_block(l, ""), more = new_block(l, ""),
			  missed = new_block(l, "");
	uint32_t self = (uint32_t)(s->blk - l->code->block), weight = s->blk->weight ? s->blk->weight : 1;
	struct loop loop = {.s = s}, *p = &loop;
	V tries = LLVMBuildAlloca(l->at_entry, l->i32, ""), fuel, exec, done, old, mask[WAVE_SGPRS / 2] = {NULL}, miss;

	for (unsigned i = 0; i < s->num_loads; i++)
		p->slot[i] = range_slot(l, s->load[i]);
	make_variables(l, p);
	LLVMBuildStore(l->b, c32(l, TRIES), tries);
	enter_or_not(l, begin, vectors);
	go_to(l, begin);
	forget(l);
	lin_enter(l, s->blk);
	exec = p->exec = get_pair(l, PAIR_EXEC);
	rows_to_stack(l, p);
	read_ranges(l, p);
	LLVMBuildStore(l->b, exec, p->left);
	LLVMBuildStore(l->b, c64(l, 0), p->off);
	LLVMBuildStore(l->b, c64(l, 0), p->most);
	LLVMBuildStore(l->b, c32(l, 0), p->miss_slot);
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (made(p, m)) {
			mask[m] = p->old[m] = get_pair(l, m);
			LLVMBuildStore(l->b, c64(l, 0), p->mask[m]);
		}
	/* The header has paid for one iteration. */
	fuel = load64(l, l->fuel);
	fuel = LLVMBuildSelect(l->b, IS(SLT, fuel, c64(l, 0)), c64(l, 0), fuel, "");
	emit_lanes(l, p, ADD(LLVMBuildUDiv(l->b, fuel, c64(l, weight), ""), c64(l, 1)));
	old = OR(load64(l, p->left), LLVMBuildNot(l->b, exec, "")); /* lanes that have not run */
	for (unsigned m = 0; m < WAVE_SGPRS / 2; m++)
		if (mask[m])
			mask[m] = OR(AND(mask[m], old), load64(l, p->mask[m]));
	exec = AND(exec, LLVMBuildNot(l->b, load64(l, p->off), ""));
	miss = IS(NE, LLVMBuildLoad2(l->b, l->i32, p->miss_slot, ""), c32(l, 0));
	done = load64(l, p->most);
	spend(l, LLVMBuildSelect(l->b, miss, done, LLVMBuildSub(l->b, done, c64(l, 1), ""), ""), weight);
	LLVMBuildCondBr(l->b, IS(EQ, exec, c64(l, 0)), out, more);
	go_to(l, out);
	write_results(l, p, &s->leave, exec, mask, s->out);
	LLVMBuildBr(l->b, l->bb[s->out]);
	go_to(l, more);
	write_results(l, p, &s->go_on, exec, mask, self);
	LLVMBuildCondBr(l->b, miss, missed, l->bb[self]);
	go_to(l, missed);
	find_missed(l, p, tries, begin, vectors);
	go_to(l, vectors);
}
