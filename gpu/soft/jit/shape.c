/* SPDX-License-Identifier: MIT */
/*
 * shape.c - what is known of vector registers before the kernel runs: in each strip of lanes, the value of the strip's first lane (not known)
 * plus a constant for each lane. Found at two levels: for strips as wide as the host's vectors, and for the wave as one strip.
 *
 * Work-item ids have that form for a given work-group size, and address arithmetic keeps it. So a shape tells the lifter that a strip's
 * lanes lie at consecutive addresses, or at one, without looking at them. Only operations on all lanes are followed: EXEC full, or
 * nobody reads the other lanes (jit_inst.quiet).
 *
 * Pairs of registers have 64-bit shapes (wide). Where 32 bits are extended to 64 the differences stay only if no lane wraps around. That is
 * taken for granted, and the lifter is told to check it (jit_guard); a wave in which it is not so goes on in the interpreter. Thus wide shapes are not
 * facts of the program, and waves that come from the interpreter are checked for them, too.
 */
#include <stddef.h>
#include <stdlib.h>

#include "gpu/soft/jit/unit.h"

#define MAX_DELTAS 1024
#define MAX_GUESS  0xffff /* bits of lanes' parts */
#define MAX_WIDE   (1 << 30) /* differences of pairs: beyond, they are of no use */

struct operand_shape {
	struct jit_shape s;
	bool constant;
	uint32_t value;
};

/* Index + 1 of these differences in the code's table; 0: no room. */
static uint16_t intern(struct jit_code *c, const int32_t delta[WAVE_LANES])
{
	for (uint32_t i = 0; i < c->num_deltas; i++)
		if (!memcmp(c->delta[i], delta, sizeof(c->delta[0])))
			return i + 1;
	if (c->num_deltas == MAX_DELTAS)
		return 0;
	memcpy(c->delta[c->num_deltas], delta, sizeof(c->delta[0]));
	return ++c->num_deltas;
}

static const struct jit_shape varying;

static struct jit_shape uniform(uint32_t bits)
{
	return (struct jit_shape){.delta = SHAPE_UNIFORM, .bits = bits};
}

void jit_delta_range(const struct jit_code *c, uint16_t delta, int32_t *low, int32_t *high)
{
	*low = *high = 0;
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		int32_t d = c->delta[delta - 1][l];

		*low = d < *low ? d : *low;
		*high = d > *high ? d : *high;
	}
}

/* Bits of multiples of low (a power of two, or 0) up to most, which is taken in coarse steps, so that loops come to an end soon. */
static uint32_t bits_between(uint32_t low, uint64_t most)
{
	return -low & (most < 1 << 16 ? 0xffff : most < 1 << 24 ? 0xffffff : UINT32_MAX);
}

/* Bits that a sum may have. */
static uint32_t sum_bits(uint32_t a, uint32_t b)
{
	return a & b ? bits_between((a | b) & -(a | b), (uint64_t)a + b) : a | b;
}

/* The same of a difference, which may be negative. */
static uint32_t difference_bits(uint32_t a, uint32_t b)
{
	return b ? -((a | b) & -(a | b)) : a;
}

static uint32_t lane_bits(const struct jit_code *c, struct jit_shape s)
{
	uint32_t bits = 0;

	for (unsigned l = 0; l < WAVE_LANES; l++)
		bits |= (uint32_t)c->delta[s.delta - 1][l];
	return bits;
}

/* The lane's part and the strip's part have no bit in common: their sum is their or. */
static bool disjoint(const struct jit_code *c, struct jit_shape s)
{
	return s.delta && !(lane_bits(c, s) & s.bits);
}

enum { ADD_LANES, SUB_LANES, OR_LANES };

static struct jit_shape combine(struct jit_code *c, struct jit_shape a, struct jit_shape b, int how)
{
	int32_t d[WAVE_LANES];
	uint32_t la, lb;

	if (!a.delta || !b.delta)
		return varying;
	if (how == OR_LANES) {
		la = lane_bits(c, a) | a.bits;
		lb = lane_bits(c, b) | b.bits;
		if (!disjoint(c, a) || !disjoint(c, b) || (la & lb))
			return a.delta == SHAPE_UNIFORM && b.delta == SHAPE_UNIFORM ? uniform(a.bits | b.bits) : varying;
	}
	for (unsigned l = 0; l < WAVE_LANES; l++)
		d[l] = how == SUB_LANES ? (int32_t)((uint32_t)c->delta[a.delta - 1][l] - (uint32_t)c->delta[b.delta - 1][l])
					: (int32_t)((uint32_t)c->delta[a.delta - 1][l] + (uint32_t)c->delta[b.delta - 1][l]);
	return (struct jit_shape){.delta = intern(c, d), .bits = how == OR_LANES ? a.bits | b.bits
								 : how == SUB_LANES ? difference_bits(a.bits, b.bits) : sum_bits(a.bits, b.bits)};
}

/* Times a constant; exact modulo 2^32. */
static struct jit_shape scale(struct jit_code *c, struct jit_shape a, uint32_t k)
{
	int32_t d[WAVE_LANES];

	if (!a.delta)
		return varying;
	for (unsigned l = 0; l < WAVE_LANES; l++)
		d[l] = (int32_t)((uint32_t)c->delta[a.delta - 1][l] * k);
	if (k && !(k & (k - 1)))
		return (struct jit_shape){.delta = intern(c, d), .bits = a.bits * k};
	return (struct jit_shape){.delta = intern(c, d), .bits = bits_between((a.bits & -a.bits) * (k & -k), (uint64_t)a.bits * k)};
}

/*
 * Exclusive or with a constant, all of whose bits lie above what the lane's part reaches, carries included: it changes the strip's part only. (Programs
 * switch between two buffers that way.)
 */
static struct jit_shape flip(const struct jit_code *c, struct jit_shape a, uint32_t k)
{
	uint32_t below = (k & -k) - 1;
	int32_t low, high;

	if (!a.delta || !k)
		return a;
	jit_delta_range(c, a.delta, &low, &high);
	if (a.delta != SHAPE_UNIFORM && (low < 0 || (a.bits & below) + (uint64_t)high > below))
		return varying;
	a.bits |= k;
	a.wide = 0;
	return a;
}

static struct jit_shape field(struct jit_code *c, struct jit_shape a, unsigned shift, uint32_t mask)
{
	int32_t d[WAVE_LANES];

	if (a.delta == SHAPE_UNIFORM)
		return uniform(a.bits >> shift & mask);
	if (!disjoint(c, a))
		return varying;
	for (unsigned l = 0; l < WAVE_LANES; l++)
		d[l] = (int32_t)((uint32_t)c->delta[a.delta - 1][l] >> shift & mask);
	return (struct jit_shape){.delta = intern(c, d), .bits = a.bits >> shift & mask};
}

static struct operand_shape operand(const struct jit_shape *v, const struct isa_operand *o)
{
	if (o->kind == ISA_OPND_VGPR)
		return (struct operand_shape){.s = v[o->index]};
	if (o->kind == ISA_OPND_CONST)
		return (struct operand_shape){uniform((uint32_t)o->value), true, (uint32_t)o->value};
	if (o->kind == ISA_OPND_SGPR && (o->value & JIT_BITS_KNOWN))
		return (struct operand_shape){uniform((uint32_t)o->value), o->value & JIT_BITS_ALL, (uint32_t)o->value};
	if (o->kind == ISA_OPND_SGPR || o->kind == ISA_OPND_SPECIAL)
		return (struct operand_shape){.s = uniform(UINT32_MAX)};
	return (struct operand_shape){.s = varying};
}

/* Is the value less than 2^24 whatever the strip? */
static bool below_24(const struct jit_code *c, struct jit_shape s)
{
	return disjoint(c, s) && (lane_bits(c, s) | s.bits) < 1u << 24;
}

/* Of a product of uniform values. */
static uint32_t product_bits(uint32_t a, uint32_t b)
{
	return bits_between((a & -a) * (b & -b), (uint64_t)a * b);
}

static struct jit_shape multiply(struct jit_code *c, const struct operand_shape *a, const struct operand_shape *b, bool by24)
{
	if (by24 && (!below_24(c, a->s) || !below_24(c, b->s)))
		return a->s.delta == SHAPE_UNIFORM && b->s.delta == SHAPE_UNIFORM ? uniform(UINT32_MAX) : varying;
	if (a->constant)
		return scale(c, b->s, a->value);
	if (b->constant)
		return scale(c, a->s, b->value);
	return a->s.delta == SHAPE_UNIFORM && b->s.delta == SHAPE_UNIFORM ? uniform(product_bits(a->s.bits, b->s.bits)) : varying;
}

static struct jit_shape shift_left(struct jit_code *c, const struct operand_shape *a, const struct operand_shape *n)
{
	if (n->constant)
		return scale(c, a->s, 1u << (n->value & 31));
	return a->s.delta == SHAPE_UNIFORM && n->s.delta == SHAPE_UNIFORM ? uniform(UINT32_MAX) : varying;
}

static bool plain_operand(const struct isa_operand *o)
{
	return o->kind == ISA_OPND_VGPR || o->kind == ISA_OPND_SGPR || o->kind == ISA_OPND_CONST;
}

static const struct jit_inst *inst_of(const struct isa_inst *in)
{
	return (const struct jit_inst *)((const char *)in - offsetof(struct jit_inst, ci.inst));
}

/*
 * Addresses are often made with parts of numbers whose lanes' parts have bits of their own, but not for all that is known before the kernel runs: with
 * masks that are arguments (powers of two less 1, as large as the wave at least), of ids that may begin anywhere. That the first lane's bits are 0 where the others'
 * parts are, and the mask's are not, is a guess, which the lifter checks. The lanes' bits, or 0: there is nothing to guess.
 */
static uint32_t guess(struct jit_code *c, const struct isa_inst *in, const struct operand_shape *x, unsigned src, const struct isa_operand *mask, uint32_t mask_bits,
		      struct jit_guard *guard)
{
	int32_t low, high;
	uint32_t bits = 1;

	if (!c->guess || !inst_of(in)->addresses || !plain_operand(mask) || !x->s.delta || x->s.delta == SHAPE_UNIFORM)
		return 0;
	/* Others have no roots, where the guess would be checked. */
	for (unsigned i = 0; i < 3; i++)
		if (in->src[i].kind != ISA_OPND_NONE && !plain_operand(&in->src[i]))
			return 0;
	jit_delta_range(c, x->s.delta, &low, &high);
	while (bits < (uint32_t)high)
		bits = 2 * bits + 1;
	if (low < 0 || bits > MAX_GUESS || (mask_bits & bits) != bits)
		return 0;
	*guard = (struct jit_guard){.need = true, .carry = -1, .src = in->src[src], .mask = *mask, .low = bits};
	return bits;
}

static struct jit_shape masked(struct jit_code *c, const struct isa_inst *in, const struct operand_shape *x, const struct operand_shape *mask, unsigned src,
			       struct jit_guard *guard)
{
	if (mask->s.delta != SHAPE_UNIFORM || !guess(c, in, x, src, &in->src[!src], mask->s.bits, guard))
		return varying;
	return (struct jit_shape){.delta = x->s.delta, .bits = x->s.bits & mask->s.bits};
}

/* Bits of a number, by a mask that is known. */
static struct jit_shape part(struct jit_code *c, const struct isa_inst *in, const struct operand_shape *x, unsigned src, unsigned shift, uint32_t mask, struct jit_guard *guard)
{
	static const struct isa_operand all = {.kind = ISA_OPND_CONST, .dwords = 1, .value = UINT32_MAX};
	struct jit_shape s = field(c, x->s, shift, mask);
	uint32_t bits;

	if (s.delta)
		return s;
	bits = guess(c, in, x, src, &all, UINT32_MAX, guard);
	return bits ? field(c, (struct jit_shape){.delta = x->s.delta, .bits = x->s.bits & ~bits}, shift, mask) : varying;
}

static struct jit_shape exclusive_or(struct jit_code *c, struct jit_shape s, uint32_t k)
{
	return k == UINT32_MAX ? combine(c, uniform(UINT32_MAX), s, SUB_LANES) : flip(c, s, k);
}

static struct jit_shape result(struct jit_code *c, const struct isa_inst *in, const struct jit_shape *v, struct jit_guard *guard)
{
	struct operand_shape a = operand(v, &in->src[0]), b = operand(v, &in->src[1]), k = operand(v, &in->src[2]), t;
	const struct lane_op *op = lane_op_of(in->op);

	switch (in->op) {
	case ISA_V_MOV_B32:
		if (!in->neg && !in->abs && !in->omod)
			return a.s;
		break;
	case ISA_V_ADD_U32:
	case ISA_V_ADD_CO_U32:
	case ISA_V_ADD_I32:
		return combine(c, a.s, b.s, ADD_LANES);
	case ISA_V_SUB_U32:
	case ISA_V_SUB_CO_U32:
	case ISA_V_SUB_I32:
		return combine(c, a.s, b.s, SUB_LANES);
	case ISA_V_SUBREV_U32:
	case ISA_V_SUBREV_CO_U32:
		return combine(c, b.s, a.s, SUB_LANES);
	case ISA_V_ADD3_U32:
		return combine(c, combine(c, a.s, b.s, ADD_LANES), k.s, ADD_LANES);
	case ISA_V_OR_B32:
		return combine(c, a.s, b.s, OR_LANES);
	case ISA_V_OR3_B32:
		return combine(c, combine(c, a.s, b.s, OR_LANES), k.s, OR_LANES);
	case ISA_V_LSHLREV_B32:
		return shift_left(c, &b, &a);
	case ISA_V_LSHL_ADD_U32:
		return combine(c, shift_left(c, &a, &b), k.s, ADD_LANES);
	case ISA_V_ADD_LSHL_U32:
		t = (struct operand_shape){.s = combine(c, a.s, b.s, ADD_LANES)};
		return shift_left(c, &t, &k);
	case ISA_V_LSHL_OR_B32:
		return combine(c, shift_left(c, &a, &b), k.s, OR_LANES);
	case ISA_V_AND_B32:
		if (a.constant)
			return part(c, in, &b, 1, 0, a.value, guard);
		if (b.constant)
			return part(c, in, &a, 0, 0, b.value, guard);
		t.s = masked(c, in, &a, &b, 0, guard);
		if (!t.s.delta)
			t.s = masked(c, in, &b, &a, 1, guard);
		if (t.s.delta)
			return t.s;
		break;
	case ISA_V_NOT_B32:
		return exclusive_or(c, a.s, UINT32_MAX);
	case ISA_V_XOR_B32:
		if (a.constant)
			return exclusive_or(c, b.s, a.value);
		if (b.constant)
			return exclusive_or(c, a.s, b.value);
		break;
	case ISA_V_XAD_U32:
		if (a.constant)
			return combine(c, exclusive_or(c, b.s, a.value), k.s, ADD_LANES);
		if (b.constant)
			return combine(c, exclusive_or(c, a.s, b.value), k.s, ADD_LANES);
		break;
	case ISA_V_AND_OR_B32:
		if (b.constant)
			return combine(c, part(c, in, &a, 0, 0, b.value, guard), k.s, OR_LANES);
		break;
	case ISA_V_LSHRREV_B32:
		if (a.constant)
			return part(c, in, &b, 1, a.value & 31, UINT32_MAX, guard);
		break;
	case ISA_V_BFE_U32:
		if (b.constant && k.constant)
			return part(c, in, &a, 0, b.value & 31, (1u << (k.value & 31)) - 1, guard);
		break;
	case ISA_V_MUL_LO_U32:
		return multiply(c, &a, &b, false);
	case ISA_V_MUL_U32_U24:
		return multiply(c, &a, &b, true);
	case ISA_V_MAD_U32_U24:
		return combine(c, multiply(c, &a, &b, true), k.s, ADD_LANES);
	case ISA_V_MBCNT_LO_U32_B32:
	case ISA_V_MBCNT_HI_U32_B32:
		return varying;
	default:
		break;
	}
	/* The same operation on the same values. */
	if (!op || op->form != LANE_OP || op->old)
		return varying;
	for (unsigned i = 0; i < op->nsrc; i++)
		if (operand(v, &in->src[i]).s.delta != SHAPE_UNIFORM || in->src[i].dwords > 1)
			return varying;
	return uniform(UINT32_MAX);
}

/* ------------------------------------------------------------------ pairs */

/* A pair's differences: of the pair as a whole if known (wide), else of its halves. */
struct pair_shape {
	uint16_t delta;
	bool guard; /* if the low half, extended with zeros, does not wrap around */
};

static bool wraps(const struct jit_code *c, struct jit_shape s, bool sign)
{
	return s.delta != SHAPE_UNIFORM && (!disjoint(c, s) || (sign && (lane_bits(c, s) | s.bits) >> 31));
}

static struct pair_shape extended(const struct jit_code *c, struct jit_shape low, uint16_t wide, struct jit_shape high)
{
	if (wide)
		return (struct pair_shape){wide, false};
	if (!low.delta || high.delta != SHAPE_UNIFORM)
		return (struct pair_shape){0, false};
	return (struct pair_shape){low.delta, wraps(c, low, false)};
}

static struct pair_shape pair_operand(const struct jit_code *c, const struct jit_shape *v, const struct isa_operand *o)
{
	if (o->kind == ISA_OPND_VGPR)
		return o->index < 255 ? extended(c, v[o->index], v[o->index].wide, v[o->index + 1]) : (struct pair_shape){0, false};
	if (o->kind == ISA_OPND_SGPR || o->kind == ISA_OPND_CONST)
		return (struct pair_shape){SHAPE_UNIFORM, false};
	return (struct pair_shape){0, false};
}

/* a * k + b; 0: not known, or too large. */
static uint16_t wide_sum(struct jit_code *c, uint16_t a, uint64_t k, uint16_t b)
{
	int32_t d[WAVE_LANES];

	if (!a || !b || k > MAX_WIDE)
		return 0;
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		int64_t x = c->delta[a - 1][l] * (int64_t)k + c->delta[b - 1][l];

		if (x > MAX_WIDE || x < -MAX_WIDE)
			return 0;
		d[l] = (int32_t)x;
	}
	return intern(c, d);
}

/* The second half of an addition: the shape of the pair that it completes. */
static uint16_t carried(struct jit_code *c, const struct jit_shapes *s, const struct isa_inst *in, struct jit_guard *guard)
{
	unsigned which = jit_carry(&in->src[2]);
	const struct carry_of *of = &s->carry[which];

	if (!of->valid || in->src[2].kind != ISA_OPND_SGPR || in->src[2].index != of->pair || in->dst[0].index != of->dst + 1)
		return 0;
	/* Which high half belongs to which low half? */
	for (unsigned turn = 0; turn < 2; turn++) {
		struct pair_shape p[2];

		for (unsigned i = 0; i < 2; i++) {
			const struct isa_operand *low = &of->src[i], *high = &in->src[i ^ turn];
			bool same = low->kind == ISA_OPND_VGPR && high->kind == ISA_OPND_VGPR && high->index == low->index + 1;

			p[i] = extended(c, of->low[i], same ? of->low[i].wide : 0, operand(s->v, high).s);
		}
		if (p[0].delta && p[1].delta && !(p[0].guard && p[1].guard)) {
			unsigned i = p[1].guard;

			if (p[i].guard)
				*guard = (struct jit_guard){.need = true, .carry = (int8_t)(2 * which + i), .delta = of->low[i].delta};
			return wide_sum(c, p[0].delta, 1, p[1].delta);
		}
	}
	return 0;
}

bool jit_extends(const struct isa_inst *in, const struct jit_shape *v, struct isa_operand *high)
{
	const struct isa_operand *n = &in->src[0], *pair = &in->src[1];

	if (n->kind != ISA_OPND_CONST || n->value < 1 || n->value > 32 || pair->kind != ISA_OPND_VGPR || pair->index >= 255)
		return false;
	*high = (struct isa_operand){.kind = ISA_OPND_VGPR, .index = pair->index + 1, .dwords = 1};
	return v[pair->index].delta == SHAPE_UNIFORM && !v[pair->index].bits;
}

/* v_ashrrev_i32 by 31: the high half of a number that is extended. */
static bool is_sign(const struct isa_inst *in)
{
	return in->op == ISA_V_ASHRREV_I32 && in->src[0].kind == ISA_OPND_CONST && (in->src[0].value & 31) == 31 && in->src[1].kind == ISA_OPND_VGPR;
}

static bool copies(const struct isa_inst *in)
{
	return in->op == ISA_V_MOV_B32 && in->src[0].kind == ISA_OPND_VGPR && !in->neg && !in->abs && !in->omod;
}

/* A copy of that number to below the half. */
static bool completes_low(const struct jit_shapes *s, const struct isa_inst *in)
{
	return copies(in) && s->sign.valid && in->src[0].index == s->sign.of && in->dst[0].index + 1u == s->sign.high;
}

/* Does v_pk_mov_b32 copy a pair of registers as it is? */
static bool copies_pair(const struct isa_inst *in)
{
	return in->op == ISA_V_PK_MOV_B32 && in->op_sel == 2 && in->src[0].kind == ISA_OPND_VGPR && in->src[1].kind == ISA_OPND_VGPR && in->src[0].index == in->src[1].index &&
	       in->src[0].index < 255 && !in->neg && !in->abs;
}

int jit_copied_pair(const struct jit_shapes *s, const struct isa_inst *in)
{
	unsigned to = in->dst[0].index, from = in->src[0].index;

	if (copies_pair(in))
		return (int)from;
	if (!copies(in) || !s->copy.valid || from == s->copy.to)
		return -1;
	if (to == s->copy.to + 1u && from == s->copy.from + 1u)
		return s->copy.from;
	return to + 1 == s->copy.to && from + 1 == s->copy.from ? (int)from : -1;
}

static uint16_t extends_sign(struct jit_code *c, struct jit_shape x, const struct isa_operand *src, struct jit_guard *guard)
{
	static const int32_t zero[WAVE_LANES];

	if (!x.delta || x.delta == SHAPE_UNIFORM)
		return 0;
	if (wraps(c, x, true))
		*guard = (struct jit_guard){.need = true, .sign = true, .carry = -1, .src = *src, .delta = x.delta};
	return wide_sum(c, x.delta, 1, intern(c, zero));
}

/* Shape of the pair in which the instruction writes, or of the one that it completes by writing the high half (or the low one, see completes_low). */
static uint16_t wide_result(struct jit_code *c, const struct jit_shapes *s, const struct isa_inst *in, struct jit_guard *guard)
{
	static const int32_t zero[WAVE_LANES];
	struct operand_shape a = operand(s->v, &in->src[0]), b = operand(s->v, &in->src[1]);
	struct pair_shape p;

	for (unsigned i = 0; i < 3; i++)
		if (in->src[i].kind != ISA_OPND_NONE && !plain_operand(&in->src[i]))
			return 0;
	switch (in->op) {
	case ISA_V_LSHLREV_B64:
		p = pair_operand(c, s->v, &in->src[1]);
		if (!a.constant || !p.delta)
			return 0;
		if (p.guard)
			*guard = (struct jit_guard){.need = true, .carry = -1, .src = in->src[1], .delta = p.delta};
		return wide_sum(c, p.delta, 1ull << (a.value & 63), intern(c, zero));
	case ISA_V_ASHRREV_I32:
		if (!is_sign(in) || in->src[1].index + 1 != in->dst[0].index)
			return 0;
		return extends_sign(c, b.s, &in->src[1], guard);
	case ISA_V_MOV_B32:
	case ISA_V_PK_MOV_B32:
		if (jit_copied_pair(s, in) >= 0)
			return s->v[jit_copied_pair(s, in)].wide;
		return completes_low(s, in) ? extends_sign(c, a.s, &in->src[0], guard) : 0;
	case ISA_V_ASHRREV_I64: {
		struct isa_operand high;

		if (!jit_extends(in, s->v, &high))
			return 0;
		b = operand(s->v, &high);
		if (!b.s.delta || b.s.delta == SHAPE_UNIFORM)
			return 0;
		if (wraps(c, b.s, true))
			*guard = (struct jit_guard){.need = true, .sign = true, .carry = -1, .src = high, .delta = b.s.delta};
		return wide_sum(c, b.s.delta, 1ull << (32 - a.value), intern(c, zero));
	}
	case ISA_V_ADDC_CO_U32:
		return carried(c, s, in, guard);
	case ISA_V_MAD_U64_U32:
		p = pair_operand(c, s->v, &in->src[2]);
		if (!p.delta || p.guard || !a.s.delta || !b.s.delta)
			return 0;
		if (a.constant || b.constant) {
			uint32_t k = a.constant ? a.value : b.value;
			struct jit_shape x = a.constant ? b.s : a.s;

			if (x.delta != SHAPE_UNIFORM && wraps(c, x, false))
				*guard = (struct jit_guard){.need = true, .carry = -1, .src = in->src[a.constant ? 1 : 0], .delta = x.delta};
			return wide_sum(c, x.delta, k, p.delta);
		}
		return a.s.delta == SHAPE_UNIFORM && b.s.delta == SHAPE_UNIFORM ? p.delta : 0;
	default:
		return 0;
	}
}

/* Of a * b + c: c's high half may be anything. */
static struct jit_shape low_product(struct jit_code *c, const struct isa_inst *in, const struct jit_shape *v)
{
	struct operand_shape a = operand(v, &in->src[0]), b = operand(v, &in->src[1]), k = operand(v, &in->src[2]);

	return combine(c, multiply(c, &a, &b, false), k.s, ADD_LANES);
}

static bool touches(const struct jit_regs *r, unsigned v)
{
	return v < 256 && bit_get(&r->vwrite, v);
}

void jit_shape_after(struct jit_code *c, struct jit_shapes *s, const struct isa_inst *in, bool all, struct jit_guard *guard)
{
	const struct lane_op *op = lane_op_of(in->op);
	struct jit_shape out = varying;
	struct jit_guard g = {.need = false};
	struct jit_regs r;
	uint16_t wide = 0;
	unsigned at = in->dst[0].index;
	struct jit_shape low[2] = {operand(s->v, &in->src[0]).s, operand(s->v, &in->src[1]).s};
	bool plain = all && in->dst[0].kind == ISA_OPND_VGPR && !in->sdwa && !in->dpp && !in->clamp && (!in->op_sel || copies_pair(in));
	bool low_only = plain && inst_of(in)->low_only, low_half;

	for (unsigned i = 0; plain && i < (in->dst[0].dwords ? in->dst[0].dwords : 1u); i++)
		plain &= !bit_get(&c->unshaped, (at + i) & 255);
	if (plain && op && in->dst[0].dwords <= 1)
		out = result(c, in, s->v, &g);
	if (low_only)
		out = low_product(c, in, s->v);
	out.wide = 0; /* one half of a pair is none */
	c->guessed |= g.need;
	low_half = plain && (jit_copied_pair(s, in) == (int)in->src[0].index || completes_low(s, in)) && !bit_get(&c->unshaped, at + 1);
	if (plain && !low_only && (low_half || in->dst[0].dwords > 1 || (at && !bit_get(&c->unshaped, at - 1) && !completes_low(s, in))))
		wide = wide_result(c, s, in, &g);
	if (!wide && !g.low)
		g.need = false;
	if (wide && in->dst[0].dwords <= 1 && !low_half)
		at--;
	jit_inst_regs(in, all, &r);
	for (unsigned i = 0; i < 256; i++)
		if (bit_get(&r.vwrite, i)) {
			s->v[i] = varying;
			if (i)
				s->v[i - 1].wide = 0;
		}
	for (unsigned k = 0; k < 2; k++) {
		struct carry_of *of = &s->carry[k];

		for (unsigned i = 0; of->valid && i < 2; i++)
			if (of->src[i].kind == ISA_OPND_VGPR && touches(&r, of->src[i].index + 1u))
				of->low[i].wide = 0;
		if (of->valid && (touches(&r, of->dst) || (r.swrite[of->pair >> 6] >> (of->pair & 63) & 3)))
			of->valid = false;
	}
	if (s->sign.valid && (touches(&r, s->sign.high) || touches(&r, s->sign.of)))
		s->sign.valid = false;
	if (plain && is_sign(in))
		s->sign = (struct sign_of){.valid = in->src[1].index != in->dst[0].index, .high = (uint8_t)in->dst[0].index, .of = (uint8_t)in->src[1].index};
	if (s->copy.valid && (touches(&r, s->copy.to) || touches(&r, s->copy.from)))
		s->copy.valid = false;
	if (plain && copies(in))
		s->copy = (struct copy_of){.valid = in->src[0].index != in->dst[0].index, .to = (uint8_t)in->dst[0].index, .from = (uint8_t)in->src[0].index};
	if (out.delta)
		s->v[in->dst[0].index] = out;
	if (wide) {
		/* The low half's differences are those of the pair, modulo 2^32. */
		if (in->dst[0].dwords > 1)
			s->v[at] = (struct jit_shape){.delta = wide, .bits = UINT32_MAX};
		if (wide == SHAPE_UNIFORM)
			s->v[at + 1] = uniform(UINT32_MAX);
		s->v[at].wide = wide;
	}
	if (guard)
		*guard = g;
	if (in->op == ISA_V_ADD_CO_U32 && in->dst[1].kind == ISA_OPND_SGPR) {
		struct carry_of *of = &s->carry[jit_carry(&in->dst[1])];

		/* The lifter keeps the sources of the last one only, even where it is not known. */
		of->valid = plain && !(in->dst[1].index & 1) && out.delta && plain_operand(&in->src[0]) && plain_operand(&in->src[1]);
		for (unsigned i = 0; i < 2; i++) {
			of->src[i] = in->src[i];
			of->low[i] = low[i];
			if (in->src[i].kind == ISA_OPND_VGPR && in->src[i].index + 1u == at)
				of->low[i].wide = 0;
		}
		of->dst = (uint8_t)at;
		of->pair = (uint8_t)in->dst[1].index;
	}
}

static struct jit_shape strips_of(struct jit_code *c, struct jit_shape wave)
{
	int32_t d[WAVE_LANES];
	uint32_t bits = 0;

	for (unsigned l = 0; l < WAVE_LANES; l++) {
		int32_t first = c->delta[wave.delta - 1][l / c->strip * c->strip];

		d[l] = (int32_t)((uint32_t)c->delta[wave.delta - 1][l] - (uint32_t)first);
		bits |= first < 0 ? UINT32_MAX : sum_bits(wave.bits, (uint32_t)first);
	}
	return (struct jit_shape){.delta = intern(c, d), .bits = bits};
}

void jit_shapes_after(struct jit_code *c, struct jit_shapes s[NUM_LEVELS], const struct isa_inst *in, bool all, struct jit_guard guard[NUM_LEVELS])
{
	unsigned to = in->dst[0].index;

	for (unsigned i = 0; i < NUM_LEVELS; i++)
		jit_shape_after(c, &s[i], in, all, &guard[i]);
	if (guard[LEVEL_STRIP].low && s[LEVEL_WAVE].v[to].delta) {
		s[LEVEL_STRIP].v[to] = strips_of(c, s[LEVEL_WAVE].v[to]);
		guard[LEVEL_STRIP] = (struct jit_guard){.need = false};
	}
}

uint16_t jit_address_shape(const struct jit_code *c, const struct jit_shape v[256], const struct isa_operand *o, bool low, bool *guard)
{
	struct pair_shape p;

	*guard = false;
	if (o->kind != ISA_OPND_VGPR)
		return 0;
	if (low) {
		*guard = v[o->index].delta && wraps(c, v[o->index], false);
		return v[o->index].delta;
	}
	p = pair_operand(c, v, o);
	*guard = p.guard;
	return p.delta;
}

/* Shape of an id that lane l of wave w has as values[w][l]. */
static struct jit_shape shape_of(struct jit_code *c, uint32_t (*values)[WAVE_LANES], unsigned waves, unsigned width)
{
	int32_t d[WAVE_LANES];
	uint32_t bits = 0;

	for (unsigned w = 0; w < waves; w++)
		for (unsigned l = 0; l < WAVE_LANES; l++) {
			uint32_t base = values[w][l / width * width];
			int32_t delta = (int32_t)(values[w][l] - base);

			bits |= base;
			if (w && d[l] != delta)
				return varying;
			d[l] = delta;
		}
	return (struct jit_shape){.delta = intern(c, d), .bits = bits};
}

static void ids(struct jit_code *c, struct jit_shape v[256], unsigned width)
{
	static const int32_t zero[WAVE_LANES];
	uint32_t(*values)[WAVE_LANES] = calloc(4 * WG_MAX_WAVES, sizeof(*values));
	uint32_t items = (uint32_t)c->wg_size[0] * c->wg_size[1] * c->wg_size[2], waves = items / WAVE_LANES;

	intern(c, zero); /* SHAPE_UNIFORM */
	if (!values)
		return;
	if (waves > WG_MAX_WAVES)
		waves = WG_MAX_WAVES;
	for (uint32_t i = 0; i < waves * WAVE_LANES; i++) {
		uint32_t x = i % c->wg_size[0], y = i / c->wg_size[0] % c->wg_size[1], z = i / c->wg_size[0] / c->wg_size[1];
		unsigned w = i / WAVE_LANES, l = i % WAVE_LANES;

		values[w][l] = x | y << 10 | z << 20;
		values[WG_MAX_WAVES + w][l] = x;
		values[2 * WG_MAX_WAVES + w][l] = y;
		values[3 * WG_MAX_WAVES + w][l] = z;
	}
	if (waves && c->target == ISA_GFX90A) {
		v[0] = shape_of(c, values, waves, width);
	} else if (waves) {
		v[0] = shape_of(c, values + WG_MAX_WAVES, waves, width);
		for (unsigned d = 1; d <= c->id_vgprs && d < 3; d++)
			v[d] = shape_of(c, values + (d + 1) * WG_MAX_WAVES, waves, width);
	}
	free(values);
}

/* What is known where the block begins. Of a pair nothing where only a half is live: the other one is not there any more. */
static bool meet(const struct jit_block *blk, struct jit_shape to[256], const struct jit_shape from[256], bool first)
{
	bool changed = first;

	for (unsigned r = 0; r < 256; r++) {
		struct jit_shape s = to[r];

		if (first) {
			s = from[r];
		} else {
			s.wide = s.wide == from[r].wide ? s.wide : 0;
			s.delta = s.delta == from[r].delta ? s.delta : 0;
			s.bits = s.delta ? s.bits | from[r].bits : 0;
		}
		if (s.wide && (!bit_get(&blk->vlive, r) || !bit_get(&blk->vlive, r + 1)))
			s.wide = 0;
		changed |= s.delta != to[r].delta || s.wide != to[r].wide || s.bits != to[r].bits;
		to[r] = s;
	}
	return changed;
}

/* The value of a wave's first lane: which bits it never has. */
static void first_lane(struct jit_inst *ji, const struct jit_shapes *s, bool all)
{
	const struct isa_operand *o = &ji->ci.inst.src[0];

	ji->first_lacks = all && o->kind == ISA_OPND_VGPR && s->v[o->index].delta ? ~s->v[o->index].bits : 0;
}

static bool find_level(struct jit_code *c, unsigned level, unsigned width)
{
	static const struct jit_shape unknown[256];
	struct jit_shape(*shape)[256] = calloc(c->num_blocks, sizeof(*shape));
	bool changed = true, comes_back = jit_comes_back(c), *reached = calloc(c->num_blocks, sizeof(*reached));
	struct jit_guard guard[NUM_LEVELS];
	struct jit_shapes now[NUM_LEVELS];

	c->shape[level] = shape;
	if (!shape || !reached) {
		free(reached);
		return false;
	}
	reached[0] = c->full && c->wg_size[0];
	if (reached[0] && !comes_back)
		ids(c, shape[0], width);
	while (changed) {
		changed = false;
		for (uint32_t b = 0; b < c->num_blocks; b++) {
			struct jit_block *blk = &c->block[b];
			struct jit_facts f = blk->in;
			uint32_t i = blk->first;

			if (!reached[b])
				continue;
			memset(now, 0, sizeof(now));
			memcpy(now[LEVEL_WAVE].v, c->shape[LEVEL_WAVE][b], sizeof(now[0].v));
			memcpy(now[level].v, shape[b], sizeof(now[0].v));
			for (uint32_t k = 0; k < blk->count; k++, i = c->inst[i].next) {
				if (level == LEVEL_WAVE && c->inst[i].ci.inst.op == ISA_V_READFIRSTLANE_B32)
					first_lane(&c->inst[i], &now[level], f.exec_full);
				jit_shapes_after(c, now, &c->inst[i].ci.inst, f.exec_full || c->inst[i].quiet, guard);
				jit_after(&f, &c->inst[i].ci.inst);
			}
			for (unsigned s = 0; s < 2; s++) {
				uint32_t to = blk->succ[s];

				if (to == NO_BLOCK)
					continue;
				/* The interpreter may come back with anything. */
				changed |= meet(&c->block[to], shape[to], comes_back && c->block[to].safe ? unknown : now[level].v, !reached[to]);
				reached[to] = true;
			}
		}
	}
	free(reached);
	return true;
}

/* What an instruction writes that nobody reads. Masks of carries, and high halves of products where a compiler multiplies 32 bits. */
static bool find_unread(struct jit_code *c)
{
	uint32_t *order = calloc(c->num_inst, sizeof(*order)), n;
	bool *full = calloc(c->num_inst, sizeof(*full));

	for (uint32_t b = 0; order && full && b < c->num_blocks; b++) {
		struct jit_block *blk = &c->block[b], live = {.pc = 0};
		struct jit_facts f = blk->in;
		uint32_t i = blk->first;
		bool all = blk->term == TERM_INTERP || (blk->term == TERM_END && c->exact);

		for (n = 0; n < blk->count; n++, i = c->inst[i].next) {
			order[n] = i;
			full[n] = f.exec_full || c->inst[i].quiet;
			jit_after(&f, &c->inst[i].ci.inst);
		}
		for (unsigned w = 0; w < 4; w++)
			live.vlive.w[w] = all ? UINT64_MAX : 0;
		for (unsigned w = 0; w < 2; w++)
			live.slive[w] = all ? UINT64_MAX : 0;
		for (unsigned s = 0; s < 2; s++)
			for (unsigned w = 0; blk->succ[s] != NO_BLOCK && w < 4; w++) {
				live.vlive.w[w] |= c->block[blk->succ[s]].vlive.w[w];
				if (w < 2)
					live.slive[w] |= c->block[blk->succ[s]].slive[w];
			}
		live.slive[1] |= jit_always_live;
		while (n--) {
			struct jit_inst *ji = &c->inst[order[n]];
			const struct isa_inst *in = &ji->ci.inst;
			struct jit_regs r;

			ji->low_only = (in->op == ISA_V_MAD_U64_U32 || in->op == ISA_V_MAD_I64_I32) && in->dst[0].kind == ISA_OPND_VGPR &&
				       in->dst[0].index < 255 && !bit_get(&live.vlive, in->dst[0].index + 1u);
			ji->no_carry = in->dst[1].kind == ISA_OPND_SGPR && in->dst[1].index < 127 && !(in->dst[1].index & 1) &&
				       !(live.slive[in->dst[1].index >> 6] >> (in->dst[1].index & 63) & 3);
			jit_inst_regs(in, full[n], &r);
			for (unsigned w = 0; w < 4; w++)
				live.vlive.w[w] = (live.vlive.w[w] & ~r.vkill.w[w]) | r.vuse.w[w];
			for (unsigned w = 0; w < 2; w++)
				live.slive[w] = (live.slive[w] & ~r.skill[w]) | r.suse[w];
		}
	}
	free(order);
	free(full);
	return order && full;
}

static bool is_address(const struct isa_inst *in)
{
	return (in->format >= ISA_FMT_DS && in->format <= ISA_FMT_MTBUF) && in->src[0].kind == ISA_OPND_VGPR;
}

/* What addresses are made of, through all blocks. */
static bool find_addresses(struct jit_code *c)
{
	struct bits256 *from = calloc(c->num_blocks, sizeof(*from)), at;
	uint32_t *order = calloc(c->num_inst, sizeof(*order));
	bool changed = from && order;

	while (changed) {
		changed = false;
		for (uint32_t b = c->num_blocks; b--;) {
			struct jit_block *blk = &c->block[b];
			uint32_t i = blk->first;

			memset(&at, 0, sizeof(at));
			for (unsigned s = 0; s < 2; s++)
				for (unsigned w = 0; blk->succ[s] != NO_BLOCK && w < 4; w++)
					at.w[w] |= from[blk->succ[s]].w[w];
			for (uint32_t n = 0; n < blk->count; n++, i = c->inst[i].next)
				order[n] = i;
			for (uint32_t n = blk->count; n--;) {
				struct jit_inst *ji = &c->inst[order[n]];
				const struct isa_inst *in = &ji->ci.inst;
				struct jit_regs r;
				uint64_t any = 0;

				jit_inst_regs(in, true, &r);
				for (unsigned w = 0; w < 4; w++)
					any |= r.vwrite.w[w] & at.w[w];
				ji->addresses = any;
				for (unsigned w = 0; w < 4; w++)
					at.w[w] = (at.w[w] & ~r.vkill.w[w]) | (any && in->format < ISA_FMT_DS ? r.vuse.w[w] : 0);
				for (unsigned d = 0; is_address(in) && d < in->src[0].dwords; d++)
					bit_set(&at, (in->src[0].index + d) & 255);
			}
			changed |= memcmp(&at, &from[b], sizeof(at)) != 0;
			from[b] = at;
		}
	}
	free(order);
	free(from);
	return from && order;
}

bool jit_find_shapes(struct jit_code *c, unsigned width)
{
	c->guessed = false;
	c->strip = width;
	free(c->delta);
	free(c->shape[LEVEL_STRIP]);
	free(c->shape[LEVEL_WAVE]);
	c->shape[LEVEL_STRIP] = c->shape[LEVEL_WAVE] = NULL;
	c->num_deltas = 0;
	c->delta = calloc(MAX_DELTAS, sizeof(*c->delta));
	for (uint32_t i = 0; i < c->num_inst; i++) {
		const struct isa_inst *in = &c->inst[i].ci.inst;

		for (unsigned d = 0; in->dst[0].kind == ISA_OPND_VGPR && strstr(isa_op_name(in->op), "mfma") && d < in->dst[0].dwords; d++)
			bit_set(&c->unshaped, (in->dst[0].index + d) & 255);
	}
	return c->delta && find_unread(c) && (!c->guess || find_addresses(c)) && find_level(c, LEVEL_WAVE, WAVE_LANES) && find_level(c, LEVEL_STRIP, width);
}
