/* SPDX-License-Identifier: MIT */
/*
 * serial.c - which loops lanes may go through one after the other (lift_serial.c), and are better off.
 *
 * Such a loop is one block that lanes leave by EXEC. It loads, and stores nothing; no lane sees another; its scalar registers are constants and
 * masks, of which each lane has a bit of its own. Then a lane's iterations mean the same whenever the other lanes have theirs, as long as nothing
 * becomes of a mask's bit once its lane has left: that is tried out, bit by bit (settled()).
 */
#include <string.h>

#include "gpu/soft/exec/operand.h"
#include "gpu/soft/jit/lift_mem.h"
#include "gpu/soft/jit/serial.h"

#define PAIR_BIT(p) (1ull << (p))
#define MAX_BITS    6

/* Operations on masks. D: EXEC as it was (or becomes), what they make goes to EXEC. */
enum { TO_D, SAVES_EXEC, WRITES_BOTH };
struct mask_op {
	uint16_t op;
	uint8_t table; /* bit 2 * a + b */
	uint8_t to;
};

static const struct mask_op mask_ops[] = {
	{ISA_S_MOV_B64, 0xc, TO_D},
	{ISA_S_NOT_B64, 0x3, TO_D},
	{ISA_S_AND_B64, 0x8, TO_D},
	{ISA_S_OR_B64, 0xe, TO_D},
	{ISA_S_XOR_B64, 0x6, TO_D},
	{ISA_S_ANDN2_B64, 0x4, TO_D},
	{ISA_S_ORN2_B64, 0xd, TO_D},
	{ISA_S_NAND_B64, 0x7, TO_D},
	{ISA_S_NOR_B64, 0x1, TO_D},
	{ISA_S_XNOR_B64, 0x9, TO_D},
	{ISA_S_AND_SAVEEXEC_B64, 0x8, SAVES_EXEC},
	{ISA_S_OR_SAVEEXEC_B64, 0xe, SAVES_EXEC},
	{ISA_S_XOR_SAVEEXEC_B64, 0x6, SAVES_EXEC},
	{ISA_S_ANDN2_SAVEEXEC_B64, 0x4, SAVES_EXEC},
	{ISA_S_ORN2_SAVEEXEC_B64, 0xd, SAVES_EXEC},
	{ISA_S_NAND_SAVEEXEC_B64, 0x7, SAVES_EXEC},
	{ISA_S_NOR_SAVEEXEC_B64, 0x1, SAVES_EXEC},
	{ISA_S_XNOR_SAVEEXEC_B64, 0x9, SAVES_EXEC},
	{ISA_S_ANDN1_SAVEEXEC_B64, 0x2, SAVES_EXEC},
	{ISA_S_ORN1_SAVEEXEC_B64, 0xb, SAVES_EXEC},
	{ISA_S_ANDN1_WREXEC_B64, 0x2, WRITES_BOTH},
	{ISA_S_ANDN2_WREXEC_B64, 0x4, WRITES_BOTH},
};

static const struct mask_op *mask_op(unsigned op)
{
	for (unsigned i = 0; i < sizeof(mask_ops) / sizeof(mask_ops[0]); i++)
		if (mask_ops[i].op == op)
			return &mask_ops[i];
	return NULL;
}

bool serial_mask_op(unsigned op)
{
	return mask_op(op);
}

bool serial_makes_exec(unsigned op)
{
	const struct mask_op *m = mask_op(op);

	return m && m->to != TO_D;
}

static bool is_pair(const struct isa_operand *o)
{
	return o->kind == ISA_OPND_SGPR && o->dwords == 2 && !(o->index & 1) && o->index < WAVE_SGPRS;
}

/* A source of a mask operation: a pair, or all lanes, or none. */
static bool mask_source(struct serial *s, const struct isa_operand *o)
{
	if (o->kind == ISA_OPND_NONE || (o->kind == ISA_OPND_CONST && (!o->value || o->value == UINT64_MAX)))
		return true;
	if (!is_pair(o))
		return false;
	s->masks |= PAIR_BIT(o->index >> 1);
	return true;
}

static void makes(struct serial *s, unsigned pair)
{
	s->masks |= PAIR_BIT(pair);
	s->made |= PAIR_BIT(pair);
}

static bool take_scalar(struct serial *s, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct mask_op *m = mask_op(in->op);

	if (in->op == ISA_S_NOP || in->op == ISA_S_WAITCNT)
		return true;
	if (!m || !is_pair(&in->dst[0]) || !mask_source(s, &in->src[0]) || !mask_source(s, &in->src[1]))
		return false;
	makes(s, in->dst[0].index >> 1);
	if (m->to != TO_D)
		makes(s, PAIR_EXEC);
	if (in->writes_scc) {
		/* Not zero: what the operation made for EXEC, or for its destination. */
		s->scc = true;
		s->scc_of_exec = m->to != TO_D || in->dst[0].index == SGPR_EXEC;
	}
	return true;
}

/* Sources and destinations that are scalar registers: masks, and what is the same in all iterations. */
static bool take_vector(struct serial *s, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	const struct lane_op *op = lane_op_of(in->op);
	bool reads_mask = in->op == ISA_V_CNDMASK_B32 || (op && op->form == LANE_CARRY);
	const struct isa_operand *dst = op && op->form == LANE_CMP ? &in->dst[0] : &in->dst[1];

	if (in->op == ISA_V_MBCNT_LO_U32_B32 || in->op == ISA_V_MBCNT_HI_U32_B32 || in->op == ISA_V_DIV_FMAS_F32)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		const struct isa_operand *o = &in->src[i];

		if (o->kind == ISA_OPND_NONE || o->kind == ISA_OPND_VGPR || o->kind == ISA_OPND_CONST)
			continue;
		if (o->kind != ISA_OPND_SGPR)
			return false;
		if (reads_mask && i == 2) {
			if (o->index & 1)
				return false;
			s->masks |= PAIR_BIT(o->index >> 1);
			continue;
		}
		for (unsigned d = 0; d < (o->dwords ? o->dwords : 1u); d++)
			s->data |= PAIR_BIT((o->index + d) >> 1 & 63);
	}
	if (dst->kind == ISA_OPND_SGPR) {
		if (dst->index & 1)
			return false;
		makes(s, dst->index >> 1);
	} else if (dst->kind != ISA_OPND_NONE) {
		return false;
	}
	if (op && op->form == LANE_CMP && op->part)
		makes(s, PAIR_EXEC);
	return true;
}

static bool take_load(struct serial *s, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	bool saddr = in->src[2].kind != ISA_OPND_NONE;
	struct access a;

	if (in->format != ISA_FMT_GLOBAL || !plain_access(in->op, &a) || a.store || in->lds || in->tfe || s->num_loads == SERIAL_LOADS)
		return false;
	if (a.kind >= VM_U8_LO && a.kind <= VM_16_HI)
		return false;
	if (in->dst[0].kind != ISA_OPND_VGPR || in->dst[0].index + a.dwords > 256 || in->src[0].kind != ISA_OPND_VGPR ||
	    in->src[0].index + !saddr > 255 || (saddr && in->src[2].kind != ISA_OPND_SGPR))
		return false;
	if (saddr)
		s->data |= PAIR_BIT(in->src[2].index >> 1) | PAIR_BIT((in->src[2].index + 1) >> 1);
	/* Lanes that are switched off inside of an iteration would have to be left out. */
	if (s->made & PAIR_BIT(PAIR_EXEC))
		return false;
	s->load[s->num_loads++] = ji;
	s->dwords += a.dwords;
	return true;
}

/* ------------------------------------------------------------------ lanes that have left */

static bool bit_of(const bool bits[WAVE_SGPRS / 2], const struct isa_operand *o)
{
	return o->kind == ISA_OPND_CONST ? o->value & 1 : o->kind == ISA_OPND_SGPR && bits[o->index >> 1];
}

/* An iteration of a lane that is off, with these bits; false: it is switched on. */
static bool iterate_off(const struct jit_code *c, const struct jit_block *blk, bool bits[WAVE_SGPRS / 2])
{
	uint32_t i = blk->first;

	for (uint32_t k = 0; k + 1 < blk->count; k++, i = c->inst[i].next) {
		const struct isa_inst *in = &c->inst[i].ci.inst;
		const struct mask_op *m = mask_op(in->op);

		if (in->format <= ISA_FMT_SOPK && m) {
			bool was = bits[PAIR_EXEC], b = m->to == TO_D ? bit_of(bits, &in->src[1]) : was;
			bool made = m->table >> (2 * bit_of(bits, &in->src[0]) + b) & 1;

			bits[in->dst[0].index >> 1] = m->to == SAVES_EXEC ? was : made;
			if (m->to != TO_D)
				bits[PAIR_EXEC] = made;
		} else {
			for (unsigned d = 0; d < 2; d++)
				if (in->dst[d].kind == ISA_OPND_SGPR)
					bits[in->dst[d].index >> 1] = false;
		}
		if (bits[PAIR_EXEC])
			return false;
	}
	return true;
}

/* A lane that is off stays off, and keeps its bits of the masks in keep. */
static bool settled(const struct jit_code *c, const struct serial *s, uint64_t keep)
{
	unsigned pair[MAX_BITS], n = 0;

	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++)
		if (p != PAIR_EXEC && (s->masks >> p & 1)) {
			if (n == MAX_BITS)
				return false;
			pair[n++] = p;
		}
	for (unsigned v = 0; v < 1u << n; v++) {
		bool bits[WAVE_SGPRS / 2] = {false}, was[WAVE_SGPRS / 2];

		for (unsigned k = 0; k < n; k++)
			bits[pair[k]] = v >> k & 1;
		memcpy(was, bits, sizeof(was));
		if (!iterate_off(c, s->blk, bits))
			return false;
		for (unsigned k = 0; k < n; k++)
			if ((keep >> pair[k] & 1) && bits[pair[k]] != was[pair[k]])
				return false;
	}
	return true;
}

/* ------------------------------------------------------------------ is it better? */

static uint64_t live_pairs(const struct jit_block *blk)
{
	uint64_t pairs = 0;

	for (unsigned r = 0; r < WAVE_SGPRS; r++)
		if (blk->slive[r >> 6] >> (r & 63) & 1)
			pairs |= PAIR_BIT(r >> 1);
	return pairs;
}

static bool has_shape(const struct jit_code *c, uint32_t block, unsigned r)
{
	for (unsigned level = 0; level < NUM_LEVELS; level++) {
		const struct jit_shape *v = c->shape[level][block];

		if (v[r].delta || v[r].wide || (r && v[r - 1].wide))
			return true;
	}
	return false;
}

/*
 * As vectors each dword of lanes anywhere is a gather, and lanes that have left cost as much as others; one by one each lane has its own look-ups, and
 * its own arithmetic. Loads of lanes whose differences are known are cheap as vectors.
 */
#define OPS_A_GATHER 12

static bool pays(struct jit_code *c, const struct serial *s)
{
	struct jit_shapes *now = calloc(1, sizeof(*now));
	struct jit_facts f = s->blk->in;
	uint32_t i = s->blk->first;
	unsigned gathers = 0, known = 0, ops = 0;

	if (!now)
		return false;
	memcpy(now->v, c->shape[LEVEL_STRIP][s->blk - c->block], sizeof(now->v));
	for (uint32_t k = 0; k + 1 < s->blk->count; k++, i = c->inst[i].next) {
		const struct isa_inst *in = &c->inst[i].ci.inst;
		struct access a;
		bool guard;

		if (in->format == ISA_FMT_GLOBAL && plain_access(in->op, &a)) {
			if (jit_address_shape(c, now->v, &in->src[0], in->src[2].kind != ISA_OPND_NONE, &guard))
				known++;
			else
				gathers += a.dwords;
		} else if (in->format > ISA_FMT_SMEM) {
			ops++;
		}
		jit_shape_after(c, now, in, f.exec_full || c->inst[i].quiet, NULL);
		jit_after(&f, in);
	}
	free(now);
	return gathers > 2 * known && ops <= OPS_A_GATHER * gathers;
}

bool serial_find(struct lift *l, const struct jit_block *blk, struct serial *s)
{
	struct jit_code *c = l->code;
	uint32_t i = blk->first, self = (uint32_t)(blk - c->block);
	const struct jit_block *out;
	uint64_t keep;

	memset(s, 0, sizeof(*s));
	s->blk = blk;
	if (blk->term != TERM_COND || !blk->back || blk->in.exec_full || blk->fresh || blk->in_sync)
		return false;
	for (uint32_t k = 0; k + 1 < blk->count; k++, i = c->inst[i].next) {
		const struct jit_inst *ji = &c->inst[i];
		bool taken = ji->ci.inst.format <= ISA_FMT_SOPP ? take_scalar(s, ji) : ji->ci.inst.format >= ISA_FMT_FLAT ? take_load(s, ji)
			     : ji->ci.inst.format != ISA_FMT_SMEM && ji->ci.inst.format != ISA_FMT_DS && lift_valu_can(l, ji) && take_vector(s, ji);

		if (!taken)
			return false;
	}
	if (c->inst[i].ci.inst.op == ISA_S_CBRANCH_EXECNZ && blk->succ[0] == self)
		s->out = blk->succ[1];
	else if (c->inst[i].ci.inst.op == ISA_S_CBRANCH_EXECZ && blk->succ[1] == self)
		s->out = blk->succ[0];
	else
		return false;
	if (s->out == NO_BLOCK || s->out == self || !s->num_loads || !(s->made & PAIR_BIT(PAIR_EXEC)) || (s->masks & s->data) || (s->scc && !s->scc_of_exec))
		return false;
	out = &c->block[s->out];
	if (out->sync || out->fresh)
		return false;
	keep = s->made & (live_pairs(blk) | live_pairs(out)) & ~PAIR_BIT(PAIR_EXEC);
	if (!settled(c, s, keep))
		return false;
	for (unsigned r = 0; r < 256; r++) {
		bool written = bit_get(&blk->vwrite, r), live = bit_get(&blk->vlive, r), later = bit_get(&out->vlive, r) || l->exact;

		if (bit_get(&blk->vuse, r))
			bit_set(&s->in, r);
		if (!written)
			continue;
		if (live)
			bit_set(&s->go_on, r);
		if (later)
			bit_set(&s->leave, r);
		if (bit_get(&c->unshaped, r) || bit_get(&l->home, r) || (live && has_shape(c, self, r)) || (later && has_shape(c, s->out, r)))
			return false;
	}
	return pays(c, s);
}

/* ------------------------------------------------------------------ how many iterations? */

static const struct compare {
	uint16_t op;
	uint8_t rel;
	bool sign;
} compares[] = {
	{ISA_V_CMP_LT_I32, SERIAL_LT, true}, {ISA_V_CMP_GE_I32, SERIAL_GE, true}, {ISA_V_CMP_GT_I32, SERIAL_GT, true},
	{ISA_V_CMP_LE_I32, SERIAL_LE, true}, {ISA_V_CMP_EQ_I32, SERIAL_EQ, true}, {ISA_V_CMP_NE_I32, SERIAL_NE, true},
	{ISA_V_CMP_LT_U32, SERIAL_LT, false}, {ISA_V_CMP_GE_U32, SERIAL_GE, false}, {ISA_V_CMP_GT_U32, SERIAL_GT, false},
	{ISA_V_CMP_LE_U32, SERIAL_LE, false}, {ISA_V_CMP_EQ_U32, SERIAL_EQ, false}, {ISA_V_CMP_NE_U32, SERIAL_NE, false},
};

/* The same of operands that have changed places. */
static const uint8_t turned[] = {
	[SERIAL_LT] = SERIAL_GT, [SERIAL_GE] = SERIAL_LE, [SERIAL_GT] = SERIAL_LT,
	[SERIAL_LE] = SERIAL_GE, [SERIAL_EQ] = SERIAL_EQ, [SERIAL_NE] = SERIAL_NE,
};

static const struct compare *compare_of(const struct isa_inst *in)
{
	for (unsigned i = 0; i < sizeof(compares) / sizeof(compares[0]); i++)
		if (compares[i].op == in->op && !in->sdwa && !in->dpp)
			return &compares[i];
	return NULL;
}

/* What a lane's bit may be: 1 for 0, 2 for 1. */
enum { IS_0 = 1, IS_1 = 2, ANY = 3 };

static unsigned may_be(const uint8_t bits[WAVE_SGPRS / 2], const struct isa_operand *o)
{
	return o->kind == ISA_OPND_CONST ? (o->value & 1 ? IS_1 : IS_0) : o->kind == ISA_OPND_SGPR ? bits[o->index >> 1] : IS_0;
}

static unsigned looked_up(unsigned table, unsigned a, unsigned b)
{
	unsigned made = 0;

	for (unsigned i = 0; i < 4; i++)
		if ((a >> (i >> 1) & 1) && (b >> (i & 1) & 1))
			made |= table >> i & 1 ? IS_1 : IS_0;
	return made;
}

/* The masks' bits behind an iteration of a lane in which the comparison is so; false: vector operations are not all done by lanes that leave. */
static bool iterate_on(const struct jit_code *c, const struct serial *s, const struct jit_inst *compare, bool is, uint8_t bits[WAVE_SGPRS / 2])
{
	const struct jit_block *blk = s->blk;

	memset(bits, ANY, WAVE_SGPRS / 2);
	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++)
		if (s->made >> p & 1)
			bits[p] = IS_0;
	bits[PAIR_EXEC] = IS_1;
	for (uint32_t k = 0, i = blk->first; k + 1 < blk->count; k++, i = c->inst[i].next) {
		const struct isa_inst *in = &c->inst[i].ci.inst;
		const struct lane_op *op = lane_op_of(in->op);
		const struct mask_op *m = mask_op(in->op);

		if (in->format <= ISA_FMT_SOPK && m) {
			unsigned was = bits[PAIR_EXEC], made = looked_up(m->table, may_be(bits, &in->src[0]), m->to == TO_D ? may_be(bits, &in->src[1]) : was);

			bits[in->dst[0].index >> 1] = (uint8_t)(m->to == SAVES_EXEC ? was : made);
			if (m->to != TO_D)
				bits[PAIR_EXEC] = (uint8_t)made;
			continue;
		}
		if ((op && op->form == LANE_CMP && op->part) || (in->format > ISA_FMT_SOPP && bits[PAIR_EXEC] != IS_1))
			return false;
		for (unsigned d = 0; d < 2; d++)
			if (in->dst[d].kind == ISA_OPND_SGPR)
				bits[in->dst[d].index >> 1] = &c->inst[i] != compare ? ANY : is ? IS_1 : IS_0;
	}
	return true;
}

/* Is a lane switched off when the comparison is so, and only then, and are its bits known? */
static bool decides(const struct jit_code *c, const struct serial *s, const struct jit_inst *compare, bool is, struct serial_trip *t)
{
	uint64_t live = s->made & (live_pairs(s->blk) | live_pairs(&c->block[s->out])) & ~PAIR_BIT(PAIR_EXEC);
	uint8_t stays[WAVE_SGPRS / 2], leaves[WAVE_SGPRS / 2];

	if (!iterate_on(c, s, compare, !is, stays) || !iterate_on(c, s, compare, is, leaves) || stays[PAIR_EXEC] != IS_1 || leaves[PAIR_EXEC] != IS_0)
		return false;
	t->leave = 0;
	for (unsigned p = 0; p < WAVE_SGPRS / 2; p++) {
		if (!(live >> p & 1))
			continue;
		if (stays[p] != IS_0 || leaves[p] == ANY)
			return false;
		if (leaves[p] == IS_1)
			t->leave |= PAIR_BIT(p);
	}
	t->clear = live;
	return true;
}

/* All that iterations do to the register: add 1, or -1? */
static bool find_counter(const struct jit_code *c, const struct serial *s, const struct jit_inst *compare, const struct isa_operand *o, struct serial_trip *t)
{
	bool compared = false;

	if (o->kind != ISA_OPND_VGPR)
		return false;
	t->step = 0;
	t->counter = o->index;
	for (uint32_t k = 0, i = s->blk->first; k + 1 < s->blk->count; k++, i = c->inst[i].next) {
		const struct isa_inst *in = &c->inst[i].ci.inst;
		struct jit_regs regs;

		compared |= &c->inst[i] == compare;
		jit_inst_regs(in, true, &regs);
		if (!bit_get(&regs.vwrite, o->index))
			continue;
		if (t->step || (in->op != ISA_V_ADD_U32 && in->op != ISA_V_ADD_CO_U32) || in->sdwa || in->dpp || in->clamp)
			return false;
		for (unsigned n = 0; n < 2; n++)
			if (in->src[n].kind == ISA_OPND_CONST && in->src[!n].kind == ISA_OPND_VGPR && in->src[!n].index == o->index)
				t->step = (int)(uint32_t)in->src[n].value;
		if (t->step != 1 && t->step != -1)
			return false;
		t->counts_first = !compared;
	}
	return t->step;
}

/* Do they leave by the carry of a counter that becomes 0? */
static bool leave_by_carry(const struct jit_code *c, const struct serial *s, const struct jit_inst *ji, struct serial_trip *t)
{
	static const struct isa_operand zero = {.kind = ISA_OPND_CONST};

	if (ji->ci.inst.op != ISA_V_ADD_CO_U32 || !find_counter(c, s, ji, &ji->ci.inst.dst[0], t) || t->step != 1 || !decides(c, s, ji, true, t))
		return false;
	t->end = &zero;
	t->rel = SERIAL_EQ;
	t->counts_first = true;
	return true;
}

bool serial_trip(const struct jit_code *c, const struct serial *s, struct serial_trip *t)
{
	for (uint32_t k = 0, i = s->blk->first; k + 1 < s->blk->count; k++, i = c->inst[i].next) {
		const struct jit_inst *ji = &c->inst[i];
		const struct compare *compare = compare_of(&ji->ci.inst);

		if (leave_by_carry(c, s, ji, t))
			return true;
		for (unsigned n = 0; compare && n < 4; n++) {
			const struct isa_operand *src = ji->ci.inst.src, *end = &src[!(n & 1)];
			unsigned rel = n & 1 ? turned[compare->rel] : compare->rel;

			/* Leaving when it is not so: the relations come in twos. */
			rel ^= n >> 1;
			if ((end->kind == ISA_OPND_VGPR && bit_get(&s->blk->vwrite, end->index)) || !find_counter(c, s, ji, &src[n & 1], t))
				continue;
			if (rel != SERIAL_EQ && (t->step != 1 || (rel != SERIAL_GE && rel != SERIAL_GT)))
				continue;
			if (!decides(c, s, ji, !(n >> 1), t))
				continue;
			t->end = end;
			t->rel = rel;
			t->sign = compare->sign;
			return true;
		}
	}
	return false;
}
