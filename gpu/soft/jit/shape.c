/* SPDX-License-Identifier: MIT */
/*
 * shape.c - what is known of vector registers before the kernel runs: in each strip of lanes, the value of the strip's first lane (not known)
 * plus a constant for each lane.
 *
 * Work-item ids have that form for a given work-group size, and address arithmetic keeps it. So a shape tells the lifter that a strip's
 * lanes lie at consecutive addresses, or at one, without looking at them. Only operations on all lanes are followed (EXEC full).
 */
#include <stdlib.h>

#include "gpu/soft/jit/unit.h"

#define MAX_DELTAS 1024

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
	return (struct jit_shape){SHAPE_UNIFORM, bits};
}

/* Bits that a sum may have: none below the lowest of either. */
static uint32_t sum_bits(uint32_t a, uint32_t b)
{
	uint32_t low = (a | b) & -(a | b);

	return low ? -low : 0;
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
	return (struct jit_shape){intern(c, d), how == OR_LANES ? a.bits | b.bits : sum_bits(a.bits, b.bits)};
}

/* Times a constant; exact modulo 2^32. */
static struct jit_shape scale(struct jit_code *c, struct jit_shape a, uint32_t k)
{
	int32_t d[WAVE_LANES];

	if (!a.delta)
		return varying;
	for (unsigned l = 0; l < WAVE_LANES; l++)
		d[l] = (int32_t)((uint32_t)c->delta[a.delta - 1][l] * k);
	return (struct jit_shape){intern(c, d), k ? sum_bits(a.bits * (k & -k), 0) : 0};
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
	return (struct jit_shape){intern(c, d), a.bits >> shift & mask};
}

static struct operand_shape operand(const struct jit_shape *v, const struct isa_operand *o)
{
	if (o->kind == ISA_OPND_VGPR)
		return (struct operand_shape){.s = v[o->index]};
	if (o->kind == ISA_OPND_CONST)
		return (struct operand_shape){uniform((uint32_t)o->value), true, (uint32_t)o->value};
	if (o->kind == ISA_OPND_SGPR || o->kind == ISA_OPND_SPECIAL)
		return (struct operand_shape){.s = uniform(UINT32_MAX)};
	return (struct operand_shape){.s = varying};
}

/* Is the value less than 2^24 whatever the strip? */
static bool below_24(const struct jit_code *c, struct jit_shape s)
{
	return disjoint(c, s) && (lane_bits(c, s) | s.bits) < 1u << 24;
}

static struct jit_shape multiply(struct jit_code *c, const struct operand_shape *a, const struct operand_shape *b, bool by24)
{
	if (by24 && (!below_24(c, a->s) || !below_24(c, b->s)))
		return a->s.delta == SHAPE_UNIFORM && b->s.delta == SHAPE_UNIFORM ? uniform(UINT32_MAX) : varying;
	if (a->constant)
		return scale(c, b->s, a->value);
	if (b->constant)
		return scale(c, a->s, b->value);
	return a->s.delta == SHAPE_UNIFORM && b->s.delta == SHAPE_UNIFORM ? uniform(UINT32_MAX) : varying;
}

static struct jit_shape shift_left(struct jit_code *c, const struct operand_shape *a, const struct operand_shape *n)
{
	if (n->constant)
		return scale(c, a->s, 1u << (n->value & 31));
	return a->s.delta == SHAPE_UNIFORM && n->s.delta == SHAPE_UNIFORM ? uniform(UINT32_MAX) : varying;
}

static struct jit_shape result(struct jit_code *c, const struct isa_inst *in, const struct jit_shape *v)
{
	struct operand_shape a = operand(v, &in->src[0]), b = operand(v, &in->src[1]), k = operand(v, &in->src[2]), t;
	const struct lane_op *op = lane_op_of(in->op);

	switch (in->op) {
	case ISA_V_MOV_B32:
		return a.s;
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
			return field(c, b.s, 0, a.value);
		if (b.constant)
			return field(c, a.s, 0, b.value);
		break;
	case ISA_V_AND_OR_B32:
		if (b.constant)
			return combine(c, field(c, a.s, 0, b.value), k.s, OR_LANES);
		break;
	case ISA_V_LSHRREV_B32:
		if (a.constant)
			return field(c, b.s, a.value & 31, UINT32_MAX);
		break;
	case ISA_V_BFE_U32:
		if (b.constant && k.constant)
			return field(c, a.s, b.value & 31, (1u << (k.value & 31)) - 1);
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

void jit_shape_after(struct jit_code *c, struct jit_shape v[256], const struct isa_inst *in, bool exec_full)
{
	const struct lane_op *op = lane_op_of(in->op);
	struct jit_shape out = varying;
	struct jit_regs r;

	if (exec_full && op && in->dst[0].kind == ISA_OPND_VGPR && in->dst[0].dwords <= 1 && !in->sdwa && !in->dpp && !in->clamp &&
	    !in->op_sel)
		out = result(c, in, v);
	jit_inst_regs(in, exec_full, &r);
	for (unsigned i = 0; i < 256; i++)
		if (bit_get(&r.vwrite, i))
			v[i] = varying;
	if (out.delta)
		v[in->dst[0].index] = out;
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
	return (struct jit_shape){intern(c, d), bits};
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

static bool meet(struct jit_shape to[256], const struct jit_shape from[256], bool first)
{
	bool changed = first;

	for (unsigned r = 0; r < 256; r++) {
		struct jit_shape s = to[r];

		if (first)
			s = from[r];
		else if (s.delta != from[r].delta)
			s = varying;
		else
			s.bits |= from[r].bits;
		changed |= s.delta != to[r].delta || s.bits != to[r].bits;
		to[r] = s;
	}
	return changed;
}

bool jit_find_shapes(struct jit_code *c, unsigned width)
{
	bool changed = true, comes_back = jit_comes_back(c), *reached = calloc(c->num_blocks, sizeof(*reached));
	struct jit_shape now[256];

	c->shape = calloc(c->num_blocks, sizeof(*c->shape));
	c->delta = calloc(MAX_DELTAS, sizeof(*c->delta));
	if (!c->shape || !c->delta || !reached) {
		free(reached);
		return false;
	}
	if (!c->full || !c->wg_size[0]) {
		free(reached);
		return true;
	}
	reached[0] = true;
	if (!comes_back)
		ids(c, c->shape[0], width);
	while (changed) {
		changed = false;
		for (uint32_t b = 0; b < c->num_blocks; b++) {
			struct jit_block *blk = &c->block[b];
			struct jit_facts f = blk->in;
			uint32_t i = blk->first;

			if (!reached[b])
				continue;
			memcpy(now, c->shape[b], sizeof(now));
			for (uint32_t k = 0; k < blk->count; k++, i = c->inst[i].next) {
				jit_shape_after(c, now, &c->inst[i].ci.inst, f.exec_full);
				jit_after(&f, &c->inst[i].ci.inst);
			}
			for (unsigned s = 0; s < 2; s++) {
				uint32_t to = blk->succ[s];
				static const struct jit_shape unknown[256];

				if (to == NO_BLOCK)
					continue;
				/* The interpreter may come back with anything. */
				changed |= meet(c->shape[to], comes_back && c->block[to].safe ? unknown : now, !reached[to]);
				reached[to] = true;
			}
		}
	}
	free(reached);
	return true;
}
