/* SPDX-License-Identifier: MIT */
/*
 * cfg.c - what is known of each block of a kernel: live and changed registers, where EXEC is full, MODE.
 */
#define LOG_PART "jit"
#include <stdlib.h>

#include "base/log.h"
#include "gpu/soft/exec/operand.h"
#include "gpu/soft/jit/unit.h"

#define HWREG_MODE 1

/* ------------------------------------------------------------------ registers of an instruction */

static void sbit(uint64_t s[2], unsigned i)
{
	if (i < WAVE_SGPRS)
		s[i >> 6] |= 1ull << (i & 63);
}

static void uses(struct jit_regs *r, const struct isa_operand *o)
{
	for (unsigned i = 0; i < (o->dwords ? o->dwords : 1); i++) {
		if (o->kind == ISA_OPND_VGPR && o->index + i < 256)
			bit_set(&r->vuse, o->index + i);
		else if (o->kind == ISA_OPND_SGPR)
			sbit(r->suse, o->index + i);
	}
}

/* Does the instruction write whole dwords of its vector destinations in every active lane? */
static bool writes_whole(const struct isa_inst *in)
{
	const struct lane_op *op = lane_op_of(in->op);

	if (in->sdwa || in->dpp || (in->op_sel & 8))
		return false;
	if (op)
		switch (op->form == LANE_OP ? op->result : K_U32) {
		case K_U16P:
		case K_SU16P:
		case K_SI16P:
		case K_F16P:
		case K_X16P:
			return false;
		default:
			return op->form != LANE_MIX || op->part == 0;
		}
	switch (in->format) {
	case ISA_FMT_FLAT:
	case ISA_FMT_GLOBAL:
		return in->op == ISA_GLOBAL_LOAD_DWORD || in->op == ISA_GLOBAL_LOAD_DWORDX2 || in->op == ISA_GLOBAL_LOAD_DWORDX3 ||
		       in->op == ISA_GLOBAL_LOAD_DWORDX4 || in->op == ISA_FLAT_LOAD_DWORD || in->op == ISA_FLAT_LOAD_DWORDX2 ||
		       in->op == ISA_FLAT_LOAD_DWORDX3 || in->op == ISA_FLAT_LOAD_DWORDX4 || in->op == ISA_GLOBAL_LOAD_UBYTE ||
		       in->op == ISA_GLOBAL_LOAD_USHORT || in->op == ISA_GLOBAL_LOAD_SBYTE || in->op == ISA_GLOBAL_LOAD_SSHORT ||
		       in->op == ISA_FLAT_LOAD_UBYTE || in->op == ISA_FLAT_LOAD_USHORT || in->op == ISA_FLAT_LOAD_SBYTE ||
		       in->op == ISA_FLAT_LOAD_SSHORT;
	case ISA_FMT_DS:
		return in->op == ISA_DS_READ_B32 || in->op == ISA_DS_READ_B64 || in->op == ISA_DS_READ_B96 || in->op == ISA_DS_READ_B128 ||
		       in->op == ISA_DS_READ2_B32 || in->op == ISA_DS_READ2_B64 || in->op == ISA_DS_READ2ST64_B32 ||
		       in->op == ISA_DS_READ2ST64_B64 || in->op == ISA_DS_READ_U8 || in->op == ISA_DS_READ_I8 || in->op == ISA_DS_READ_U16 ||
		       in->op == ISA_DS_READ_I16 || in->op == ISA_DS_BPERMUTE_B32 || in->op == ISA_DS_PERMUTE_B32 || in->op == ISA_DS_SWIZZLE_B32;
	default:
		return in->op == ISA_V_CNDMASK_B32 || in->op == ISA_V_MAD_U64_U32 || in->op == ISA_V_DIV_FMAS_F32 ||
		       in->op == ISA_V_DIV_SCALE_F32 || in->op == ISA_V_ACCVGPR_READ_B32;
	}
}

/* flat_scratch, M0, EXEC. */
const uint64_t jit_always_live = 3ull << (SGPR_FLAT_SCRATCH - 64) | 1ull << (SGPR_M0 - 64) | 3ull << (SGPR_EXEC - 64);

/* Does it read VCC without naming it? */
static bool reads_vcc(const struct isa_inst *in)
{
	for (unsigned i = 0; i < 4; i++)
		if (in->src[i].kind == ISA_OPND_SPECIAL && in->src[i].index == SRC_VCCZ)
			return true;
	switch (in->op) {
	case ISA_S_CBRANCH_VCCZ:
	case ISA_S_CBRANCH_VCCNZ:
	case ISA_V_DIV_FMAS_F32:
	case ISA_V_DIV_FMAS_F64:
	case ISA_S_GETREG_B32:
		return true;
	default:
		return false;
	}
}

/* Packed f32: each half of the result has a half of each source. */
static bool by_halves(const struct isa_inst *in)
{
	const struct lane_op *op = lane_op_of(in->op);

	return op && op->form == LANE_PKF && in->dst[0].kind == ISA_OPND_VGPR;
}

static void half_regs(const struct isa_inst *in, bool exec_full, struct jit_regs *r)
{
	for (unsigned n = 0; n < 2; n++) {
		if (in->dst[0].value & JIT_UNREAD(n))
			continue;
		for (unsigned i = 0; i < 3; i++) {
			struct isa_operand o = in->src[i];

			if (o.kind == ISA_OPND_VGPR) {
				o.index += (n ? in->op_sel_hi : in->op_sel) >> i & 1;
				o.dwords = 1;
			}
			uses(r, &o);
		}
		if (in->dst[0].index + n > 255)
			continue;
		bit_set(&r->vwrite, in->dst[0].index + n);
		if (exec_full)
			bit_set(&r->vkill, in->dst[0].index + n);
	}
}

void jit_inst_regs(const struct isa_inst *in, bool exec_full, struct jit_regs *r)
{
	const struct lane_op *op = lane_op_of(in->op);
	bool whole = writes_whole(in), scalar_kill = !in->reads_dst;

	memset(r, 0, sizeof(*r));
	if (by_halves(in)) {
		half_regs(in, exec_full, r);
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		uses(r, &in->src[i]);
	if (reads_vcc(in))
		r->suse[1] |= 3ull << (SGPR_VCC - 64);
	for (unsigned d = 0; d < 2; d++) {
		const struct isa_operand *o = &in->dst[d];

		for (unsigned i = 0; i < (o->dwords ? o->dwords : 1); i++) {
			if (o->kind == ISA_OPND_VGPR && o->index + i < 256) {
				bit_set(&r->vwrite, o->index + i);
				if (whole && exec_full)
					bit_set(&r->vkill, o->index + i);
			} else if (o->kind == ISA_OPND_SGPR) {
				sbit(r->swrite, o->index + i);
				if (scalar_kill)
					sbit(r->skill, o->index + i);
			}
		}
		/* Scalar destinations are written whole (s_cmpk and s_setreg name a source there). */
		if (o->kind == ISA_OPND_SGPR ? in->reads_dst || in->format == ISA_FMT_SOPK : !whole || in->reads_dst || (op && op->old))
			uses(r, o);
	}
	if (in->op == ISA_V_SWAP_B32)
		bit_set(&r->vwrite, in->src[0].index);
}

/* ------------------------------------------------------------------ EXEC and MODE */

static bool is_exec(const struct isa_operand *o)
{
	return o->kind == ISA_OPND_SGPR && o->index == SGPR_EXEC && o->dwords == 2;
}

#define PAIR_OF_EXEC (SGPR_EXEC / 2)

/* The pair of SGPRs; -1: it is none. */
static int pair_of(const struct isa_operand *o)
{
	return o->kind == ISA_OPND_SGPR && !(o->index & 1) && o->index < 2 * JIT_PAIRS ? o->index >> 1 : -1;
}

static bool covers(const struct jit_facts *f, int a, int b)
{
	return a >= 0 && b >= 0 && (f->cover[a] >> b & 1);
}

static bool full_operand(const struct jit_facts *f, const struct isa_operand *o)
{
	return o->kind == ISA_OPND_CONST ? o->value == UINT64_MAX : covers(f, pair_of(o), pair_of(o));
}

static uint64_t cover_of(const struct jit_facts *f, const struct isa_operand *o)
{
	if (o->kind == ISA_OPND_CONST)
		return o->value == UINT64_MAX ? UINT64_MAX : 0;
	return pair_of(o) >= 0 ? f->cover[pair_of(o)] : 0;
}

static uint64_t bit_of(const struct isa_operand *o)
{
	return pair_of(o) >= 0 ? 1ull << pair_of(o) : 0;
}

/* What covers ~b or, unless a is all ones, nothing: a ^ b, a & ~b. */
static uint64_t cover_rest(const struct jit_facts *f, const struct isa_operand *a, const struct isa_operand *b)
{
	return full_operand(f, a) ? bit_of(b) : 0;
}

static void set_cover(struct jit_facts *f, unsigned pair, uint64_t row, bool full)
{
	uint64_t bit = 1ull << pair;

	row = full ? UINT64_MAX : row & ~bit;
	for (unsigned i = 0; i < JIT_PAIRS; i++)
		if (i != pair) {
			row |= f->cover[i] & 1ull << i;
			f->cover[i] = (f->cover[i] & ~bit) | (row >> i & 1) << pair;
		}
	f->cover[pair] = row;
}

/* The pair gets EXEC, and EXEC what has this cover. */
static void save_exec(struct jit_facts *f, unsigned to, uint64_t row, bool full)
{
	uint64_t bit = 1ull << PAIR_OF_EXEC, old = f->cover[PAIR_OF_EXEC];
	bool old_full = old & bit, both = full || (row & bit);

	set_cover(f, PAIR_OF_EXEC, row, full);
	if (to != PAIR_OF_EXEC)
		set_cover(f, to, (old & ~bit) | (both ? bit : 0), old_full);
	else
		set_cover(f, PAIR_OF_EXEC, 0, false);
}

void jit_after(struct jit_facts *f, const struct isa_inst *in)
{
	const struct isa_operand *a = &in->src[0], *b = &in->src[1];
	const struct isa_operand exec = {.kind = ISA_OPND_SGPR, .index = SGPR_EXEC, .dwords = 2};
	struct jit_regs r;
	bool full = false, saves = false;
	int to = pair_of(&in->dst[0]);
	uint64_t row = 0;

	switch (in->op) {
	case ISA_S_MOV_B64:
		full = full_operand(f, a);
		row = cover_of(f, a);
		break;
	case ISA_S_NOT_B64:
		row = bit_of(a);
		break;
	case ISA_S_OR_B64:
		full = full_operand(f, a) || full_operand(f, b) || covers(f, pair_of(a), pair_of(b));
		row = cover_of(f, a) | cover_of(f, b);
		break;
	case ISA_S_AND_B64:
		full = full_operand(f, a) && full_operand(f, b);
		row = cover_of(f, a) & cover_of(f, b);
		break;
	case ISA_S_XOR_B64:
		row = cover_rest(f, a, b) | cover_rest(f, b, a);
		break;
	case ISA_S_ANDN2_B64:
		row = cover_rest(f, a, b);
		break;
	case ISA_S_AND_SAVEEXEC_B64:
		saves = true;
		full = f->exec_full && full_operand(f, a);
		row = cover_of(f, a) & cover_of(f, &exec);
		break;
	case ISA_S_OR_SAVEEXEC_B64:
		saves = true;
		full = f->exec_full || full_operand(f, a) || covers(f, pair_of(a), PAIR_OF_EXEC);
		row = cover_of(f, a) | cover_of(f, &exec);
		break;
	case ISA_S_XOR_SAVEEXEC_B64:
		saves = true;
		row = cover_rest(f, a, &exec) | cover_rest(f, &exec, a);
		break;
	case ISA_S_ANDN2_SAVEEXEC_B64:
		saves = true;
		row = cover_rest(f, a, &exec);
		break;
	case ISA_S_ANDN1_SAVEEXEC_B64:
		saves = true;
		row = cover_rest(f, &exec, a);
		break;
	case ISA_S_ORN2_SAVEEXEC_B64:
	case ISA_S_NAND_SAVEEXEC_B64:
	case ISA_S_NOR_SAVEEXEC_B64:
	case ISA_S_XNOR_SAVEEXEC_B64:
	case ISA_S_ORN1_SAVEEXEC_B64:
		saves = true;
		break;
	case ISA_S_SETREG_IMM32_B32:
		if ((in->simm & 63) == HWREG_MODE) {
			unsigned width = (in->simm >> 11 & 31) + 1, shift = in->simm >> 6 & 31;
			uint32_t mask = width < 32 ? (1u << width) - 1 : UINT32_MAX;

			f->mode = (f->mode & ~(mask << shift)) | (in->simm32 & mask) << shift;
		}
		break;
	default:
		break;
	}
	if (in->format >= ISA_FMT_FLAT || in->format == ISA_FMT_SMEM)
		f->stored |= strstr(isa_op_name(in->op), "store") || strstr(isa_op_name(in->op), "atomic");
	if (in->op == ISA_S_WAITCNT && !jit_wait_vmcnt(in))
		f->stored = false;
	jit_inst_regs(in, false, &r);
	if (in->op == ISA_S_ANDN1_WREXEC_B64 || in->op == ISA_S_ANDN2_WREXEC_B64 ||
	    (lane_op_of(in->op) && lane_op_of(in->op)->form == LANE_CMP && lane_op_of(in->op)->part))
		sbit(r.swrite, SGPR_EXEC);
	if (saves && to < 0)
		sbit(r.swrite, SGPR_EXEC);
	else if (saves)
		save_exec(f, (unsigned)to, row, full);
	for (int i = 0; i < JIT_PAIRS && !(saves && to >= 0); i++)
		if (r.swrite[i >> 5] >> (2 * i & 63) & 3)
			set_cover(f, (unsigned)i, i == to ? row : 0, i == to && full);
	f->exec_full = f->cover[PAIR_OF_EXEC] >> PAIR_OF_EXEC & 1;
}

void jit_all_lanes(struct jit_facts *f)
{
	set_cover(f, PAIR_OF_EXEC, 0, true);
	f->exec_full = true;
}

/* False: two ways lead here with different MODE. */
static bool meet(struct jit_facts *to, const struct jit_facts *from, bool *changed)
{
	struct jit_facts old = *to;

	if (!to->known) {
		*to = *from;
		to->known = true;
		to->stored |= old.stored;
		*changed = true;
		return true;
	}
	to->exec_full &= from->exec_full;
	for (unsigned i = 0; i < JIT_PAIRS; i++)
		to->cover[i] &= from->cover[i];
	to->stored |= from->stored;
	*changed |= to->stored != old.stored || memcmp(to->cover, old.cover, sizeof(old.cover));
	return to->mode == from->mode;
}

bool jit_comes_back(const struct jit_code *c)
{
	for (uint32_t b = 0; b < c->num_blocks; b++) {
		uint32_t i = c->block[b].first;

		for (uint32_t k = 1; k < c->block[b].count; k++)
			i = c->inst[i].next;
		if (c->block[b].term == TERM_INTERP && c->inst[i].ci.inst.op != ISA_OP_INVALID)
			return true;
	}
	return false;
}

static bool find_facts(struct jit_code *c)
{
	bool changed = true, comes_back = jit_comes_back(c);

	for (uint32_t b = 0; b < c->num_blocks; b++)
		c->block[b].in.stored = comes_back && c->block[b].safe;
	if (c->full)
		jit_all_lanes(&c->block[0].in);
	c->block[0].in.mode = c->mode;
	c->block[0].in.known = true;
	while (changed) {
		changed = false;
		for (uint32_t b = 0; b < c->num_blocks; b++) {
			struct jit_block *blk = &c->block[b];
			struct jit_facts f = blk->in;
			uint32_t i = blk->first;

			if (!f.known)
				continue;
			for (uint32_t k = 0; k < blk->count; k++, i = c->inst[i].next)
				jit_after(&f, &c->inst[i].ci.inst);
			for (unsigned s = 0; s < 2; s++) {
				struct jit_facts to = f;

				if (blk->succ[s] == NO_BLOCK)
					continue;
				/* EXEC is zero or not on each side; both mean something only if it was not full. */
				if (!meet(&c->block[blk->succ[s]].in, &to, &changed))
					return false;
			}
		}
	}
	return true;
}

/* ------------------------------------------------------------------ lanes that nobody reads */

/*
 * Of each register: is a lane of it that is active (inactive) here read later? An operation under a mask whose result is not read in
 * the lanes outside need not keep them.
 */
struct lanes {
	struct bits256 active, inactive;
};

enum exec_change { EXEC_SAME, EXEC_NARROWS, EXEC_WIDENS, EXEC_ANY };

static enum exec_change exec_change(const struct isa_inst *in)
{
	const struct lane_op *op = lane_op_of(in->op);
	bool written = is_exec(&in->dst[0]), both = written && (is_exec(&in->src[0]) || is_exec(&in->src[1]));
	struct jit_regs r;

	switch (in->op) {
	case ISA_S_AND_SAVEEXEC_B64:
	case ISA_S_ANDN1_SAVEEXEC_B64:
	case ISA_S_ANDN1_WREXEC_B64:
		return written ? EXEC_ANY : EXEC_NARROWS;
	case ISA_S_OR_SAVEEXEC_B64:
		return written ? EXEC_ANY : EXEC_WIDENS;
	case ISA_S_XOR_SAVEEXEC_B64:
	case ISA_S_ANDN2_SAVEEXEC_B64:
	case ISA_S_ORN2_SAVEEXEC_B64:
	case ISA_S_NAND_SAVEEXEC_B64:
	case ISA_S_NOR_SAVEEXEC_B64:
	case ISA_S_XNOR_SAVEEXEC_B64:
	case ISA_S_ORN1_SAVEEXEC_B64:
	case ISA_S_ANDN2_WREXEC_B64:
		return EXEC_ANY;
	case ISA_S_AND_B64:
		return both ? EXEC_NARROWS : written ? EXEC_ANY : EXEC_SAME;
	case ISA_S_ANDN2_B64:
		return written && is_exec(&in->src[0]) ? EXEC_NARROWS : written ? EXEC_ANY : EXEC_SAME;
	case ISA_S_OR_B64:
		return both ? EXEC_WIDENS : written ? EXEC_ANY : EXEC_SAME;
	default:
		break;
	}
	if (op && op->form == LANE_CMP && op->part)
		return EXEC_NARROWS;
	jit_inst_regs(in, false, &r);
	return r.swrite[1] >> 62 ? EXEC_ANY : EXEC_SAME;
}

/* Does it read its sources only in active lanes? */
static bool by_lane(const struct isa_inst *in)
{
	const struct lane_op *op = lane_op_of(in->op);

	if (in->dpp)
		return false;
	if ((op && op->form != LANE_NONE) || in->format >= ISA_FMT_FLAT || in->format == ISA_FMT_DS)
		return true;
	switch (in->op) {
	case ISA_V_CNDMASK_B32:
	case ISA_V_MAD_U64_U32:
	case ISA_V_DIV_FMAS_F32:
	case ISA_V_DIV_SCALE_F32:
	case ISA_V_CVT_PKRTZ_F16_F32:
	case ISA_V_ACCVGPR_READ_B32:
	case ISA_V_ACCVGPR_WRITE_B32:
		return true;
	default:
		return false;
	}
}

static bool reads_half(const struct lanes *at, const struct isa_inst *in, unsigned half)
{
	return in->dst[0].index + half < 256 && bit_get(&at->active, in->dst[0].index + half);
}

/* From behind the instruction to before it. */
static void lanes_before(struct lanes *at, struct isa_inst *in, bool exec_full)
{
	enum exec_change change = exec_change(in);
	struct jit_regs r;

	if (by_halves(in))
		in->dst[0].value = !reads_half(at, in, 0) * JIT_UNREAD(0) | !reads_half(at, in, 1) * JIT_UNREAD(1);
	jit_inst_regs(in, true, &r);
	for (unsigned w = 0; w < 4; w++) {
		uint64_t any = at->active.w[w] | at->inactive.w[w];

		if (change == EXEC_NARROWS || change == EXEC_ANY)
			at->active.w[w] = any;
		if (change == EXEC_WIDENS || change == EXEC_ANY)
			at->inactive.w[w] = any;
		at->active.w[w] &= ~r.vkill.w[w];
		if (exec_full)
			at->inactive.w[w] &= ~r.vkill.w[w];
		at->active.w[w] |= r.vuse.w[w];
		if (!by_lane(in))
			at->inactive.w[w] |= r.vuse.w[w];
	}
}

static void lanes_at_end(const struct jit_code *c, const struct jit_block *blk, const struct lanes *of, struct lanes *at)
{
	memset(at, blk->term == TERM_INTERP || (blk->term == TERM_END && c->exact) ? 0xff : 0, sizeof(*at));
	for (unsigned s = 0; s < 2; s++)
		for (unsigned w = 0; blk->succ[s] != NO_BLOCK && w < 4; w++) {
			at->active.w[w] |= of[blk->succ[s]].active.w[w];
			at->inactive.w[w] |= of[blk->succ[s]].inactive.w[w];
		}
}

static void find_quiet(struct jit_code *c)
{
	struct lanes *of = calloc(c->num_blocks, sizeof(*of));
	uint32_t *order = calloc(c->num_inst, sizeof(*order));
	bool *full = calloc(c->num_inst, sizeof(*full)), changed = of && order && full, last = false;

	while (changed || (of && order && full && !last)) {
		/* One turn more when nothing changes, to note the result. */
		last = !changed;
		changed = false;
		for (uint32_t b = c->num_blocks; b--;) {
			struct jit_block *blk = &c->block[b];
			struct jit_facts f = blk->in;
			uint32_t n = 0, i = blk->first;
			struct lanes at;

			for (uint32_t k = 0; k < blk->count; k++, i = c->inst[i].next) {
				if (k + 1 == blk->count && blk->term == TERM_INTERP)
					break;
				full[n] = f.exec_full;
				order[n++] = i;
				jit_after(&f, &c->inst[i].ci.inst);
			}
			lanes_at_end(c, blk, of, &at);
			while (n--) {
				struct jit_inst *ji = &c->inst[order[n]];

				if (last) {
					struct jit_regs r;

					jit_inst_regs(&ji->ci.inst, true, &r);
					ji->quiet = exec_change(&ji->ci.inst) == EXEC_SAME && by_lane(&ji->ci.inst);
					for (unsigned w = 0; w < 4; w++)
						ji->quiet &= !(r.vwrite.w[w] & at.inactive.w[w]) && !(r.vwrite.w[w] & ~r.vkill.w[w]);
				}
				lanes_before(&at, &ji->ci.inst, full[n]);
			}
			changed |= memcmp(&at, &of[b], sizeof(at)) != 0;
			of[b] = at;
			blk->inactive = at.inactive;
		}
	}
	free(of);
	free(order);
	free(full);
}

/* ------------------------------------------------------------------ liveness */

static void block_regs(struct jit_code *c, struct jit_block *blk)
{
	struct jit_facts f = blk->in;
	uint32_t i = blk->first;

	for (uint32_t k = 0; k < blk->count; k++, i = c->inst[i].next) {
		const struct isa_inst *in = &c->inst[i].ci.inst;
		struct jit_regs r;

		if (k + 1 == blk->count && blk->term == TERM_INTERP)
			break;
		jit_inst_regs(in, f.exec_full || c->inst[i].quiet, &r);
		for (unsigned w = 0; w < 4; w++) {
			blk->vuse.w[w] |= r.vuse.w[w] & ~blk->vkill.w[w];
			blk->vkill.w[w] |= r.vkill.w[w] & ~blk->vuse.w[w];
			blk->vwrite.w[w] |= r.vwrite.w[w];
			c->vused.w[w] |= r.vuse.w[w] | r.vwrite.w[w];
		}
		for (unsigned w = 0; w < 2; w++) {
			blk->suse[w] |= r.suse[w] & ~blk->skill[w];
			blk->skill[w] |= r.skill[w] & ~blk->suse[w];
			blk->swrite[w] |= r.swrite[w];
		}
		jit_after(&f, in);
	}
	if (blk->term == TERM_INTERP) {
		/* Anything may be read there. */
		for (unsigned w = 0; w < 4; w++)
			blk->vuse.w[w] |= ~blk->vkill.w[w];
		for (unsigned w = 0; w < 2; w++)
			blk->suse[w] |= ~blk->skill[w];
	}
}

/* Instructions, costly ones counted as many, like the interpreter does. */
static uint32_t cost(const struct jit_code *c, const struct jit_block *blk)
{
	uint32_t n = blk->count;

	for (uint32_t k = 0, i = blk->first; k < blk->count; k++, i = c->inst[i].next)
		n += c->inst[i].ci.weight;
	return n;
}

/*
 * Loops with barriers: waves leave and enter compiled code in each turn, so registers that the loop only reads are best read from struct wave
 * where they are used. A loop is what lies from its header to the last edge back to it.
 */
static void find_sync_loops(struct jit_code *c)
{
	uint64_t *span = calloc(c->num_blocks, sizeof(*span)); /* of the innermost loop found so far */
	uint32_t *owner = calloc(c->num_blocks, sizeof(*owner));
	double all = 0, count = 0;

	for (uint32_t b = 0; owner && b < c->num_blocks; b++)
		owner[b] = b;
	for (uint32_t b = 0; b < c->num_blocks; b++) {
		struct jit_block *head = &c->block[b];
		uint64_t end = 0;
		bool barrier = false;

		for (uint32_t i = 0; i < c->num_blocks; i++)
			for (unsigned s = 0; s < 2; s++)
				if (c->block[i].succ[s] == b && c->block[i].pc >= head->pc && c->block[i].pc > end)
					end = c->block[i].pc;
		if (!end)
			continue;
		for (uint32_t i = 0; span && owner && i < c->num_blocks; i++)
			if (head->back && c->block[i].pc >= head->pc && c->block[i].pc <= end && (!span[i] || end - head->pc < span[i])) {
				span[i] = end - head->pc + 1;
				owner[i] = b;
			}
		for (uint32_t i = 0; i < c->num_blocks; i++)
			barrier |= c->block[i].pc >= head->pc && c->block[i].pc <= end && c->block[i].term == TERM_BARRIER;
		head->sync = barrier;
		for (uint32_t i = 0; barrier && i < c->num_blocks; i++)
			c->block[i].in_sync |= c->block[i].pc >= head->pc && c->block[i].pc <= end;
	}
	for (uint32_t b = 0; b < c->num_blocks; b++) {
		uint32_t n = cost(c, &c->block[b]);

		c->block[owner ? owner[b] : b].weight += n;
		all += n;
		count += c->block[b].count;
	}
	c->of_cost = all ? count / all : 1;
	free(span);
	free(owner);
}

/* Blocks that are entered from struct wave only; not the first, whose waves may have nothing there. */
static void find_fresh(struct jit_code *c)
{
	for (uint32_t b = 1; b < c->num_blocks; b++)
		c->block[b].fresh = c->block[b].safe;
	for (uint32_t b = 0; b < c->num_blocks; b++)
		for (unsigned s = 0; s < 2; s++)
			if (c->block[b].succ[s] != NO_BLOCK && c->block[b].term != TERM_BARRIER && c->block[b].term != TERM_SLEEP)
				c->block[c->block[b].succ[s]].fresh = false;
}

static void find_live(struct jit_code *c)
{
	const uint64_t always = jit_always_live;
	bool changed = true;

	find_fresh(c);
	find_sync_loops(c);
	for (uint32_t b = 0; b < c->num_blocks; b++)
		block_regs(c, &c->block[b]);
	while (changed) {
		changed = false;
		for (uint32_t n = c->num_blocks; n--;) {
			struct jit_block *blk = &c->block[n];
			struct bits256 v = blk->vuse;
			uint64_t s[2] = {blk->suse[0], blk->suse[1] | always};

			for (unsigned k = 0; k < 2; k++) {
				struct jit_block *to = blk->succ[k] != NO_BLOCK ? &c->block[blk->succ[k]] : NULL;

				if (!to)
					continue;
				for (unsigned w = 0; w < 4; w++)
					v.w[w] |= to->vlive.w[w] & ~blk->vkill.w[w];
				for (unsigned w = 0; w < 2; w++)
					s[w] |= to->slive[w] & ~blk->skill[w];
			}
			changed |= memcmp(&v, &blk->vlive, sizeof(v)) || memcmp(s, blk->slive, sizeof(s));
			blk->vlive = v;
			memcpy(blk->slive, s, sizeof(s));
		}
	}
	/* A wave that compiled code has started (lift_group.c) has nothing in struct wave. */
	if (c->full) {
		for (unsigned r = 0; r < jit_id_rows(c); r++)
			if (bit_get(&c->block[0].vlive, r))
				bit_set(&c->block[0].vdirty, r);
		memcpy(c->block[0].sdirty, c->block[0].slive, sizeof(c->block[0].sdirty));
	}
	changed = true;
	while (changed) {
		changed = false;
		for (uint32_t n = 0; n < c->num_blocks; n++) {
			struct jit_block *blk = &c->block[n];

			for (unsigned k = 0; k < 2; k++) {
				struct jit_block *to = blk->succ[k] != NO_BLOCK ? &c->block[blk->succ[k]] : NULL;
				struct jit_block old;

				/* The state is in struct wave behind a barrier. */
				if (!to || blk->term == TERM_BARRIER || blk->term == TERM_SLEEP)
					continue;
				old = *to;
				for (unsigned w = 0; w < 4 && !jit_sync_edge(blk, to); w++)
					to->vdirty.w[w] |= blk->vdirty.w[w] | blk->vwrite.w[w];
				for (unsigned w = 0; w < 2; w++)
					to->sdirty[w] |= blk->sdirty[w] | blk->swrite[w];
				changed |= memcmp(&old.vdirty, &to->vdirty, sizeof(old.vdirty)) ||
					   memcmp(old.sdirty, to->sdirty, sizeof(old.sdirty));
			}
		}
	}
}

/* Pairs of SGPRs that are only read and written whole live in one 64-bit value. */
static void find_pairs(struct jit_code *c)
{
	uint64_t split = 0, whole = 0;

	for (uint32_t i = 0; i < c->num_inst; i++) {
		const struct isa_inst *in = &c->inst[i].ci.inst;
		const struct isa_operand *o[6] = {&in->dst[0], &in->dst[1], &in->src[0], &in->src[1], &in->src[2], &in->src[3]};

		for (unsigned k = 0; k < 6; k++) {
			unsigned n = o[k]->dwords ? o[k]->dwords : 1;

			if (o[k]->kind != ISA_OPND_SGPR)
				continue;
			for (unsigned d = 0; d < n; d++) {
				unsigned r = o[k]->index + d, p = r >> 1;

				if (r >= WAVE_SGPRS)
					continue;
				if ((o[k]->index & 1) || (n & 1))
					split |= 1ull << p;
				else
					whole |= 1ull << p;
			}
		}
	}
	c->wide_pairs = (whole & ~split) | 1ull << (SGPR_EXEC / 2) | 1ull << (SGPR_VCC / 2);
}

/* ------------------------------------------------------------------ bits of scalar registers */

/*
 * Which bits an SGPR may have set: compilers write or for + where a work-group's id times its size meets an id within. And which it has set: VOP3 has no
 * literals, so constants are in SGPRs.
 */
struct sgpr_bits {
	uint32_t may[WAVE_SGPRS], has[WAVE_SGPRS];
};

static bool has_bits(const struct isa_operand *o)
{
	return o->kind == ISA_OPND_SGPR && o->dwords <= 1 && o->index < WAVE_SGPRS;
}

static uint32_t source_bits(const struct sgpr_bits *bits, const struct isa_operand *o)
{
	if (o->kind == ISA_OPND_CONST)
		return (uint32_t)o->value;
	return has_bits(o) ? bits->may[o->index] : UINT32_MAX;
}

static uint32_t source_has(const struct sgpr_bits *bits, const struct isa_operand *o)
{
	if (o->kind == ISA_OPND_CONST)
		return (uint32_t)o->value;
	return has_bits(o) ? bits->has[o->index] : 0;
}

static uint32_t from_lowest(uint32_t bits)
{
	return -(bits & -bits);
}

/* Bits of numbers up to most, before they wrap around. */
static uint32_t up_to(uint64_t most)
{
	return most >> 32 ? UINT32_MAX : most ? UINT32_MAX >> __builtin_clz((uint32_t)most) : 0;
}

static uint32_t sum_bits(uint32_t a, uint32_t b)
{
	return a & b ? from_lowest(a | b) : a | b;
}

static uint32_t result_bits(const struct sgpr_bits *bits, const struct isa_inst *in)
{
	uint32_t a = source_bits(bits, &in->src[0]), b = source_bits(bits, &in->src[1]), lowest;
	bool fixed = in->src[1].kind == ISA_OPND_CONST;

	switch (in->op) {
	case ISA_S_MOV_B32:
		return a;
	case ISA_S_MOVK_I32:
		return (uint32_t)(int32_t)(int16_t)in->simm;
	case ISA_S_CSELECT_B32:
	case ISA_S_OR_B32:
	case ISA_S_XOR_B32:
		return a | b;
	case ISA_S_AND_B32:
		return a & b;
	case ISA_S_ADD_U32:
	case ISA_S_ADD_I32:
		return sum_bits(a, b);
	case ISA_S_LSHL_B32:
		return fixed ? a << (b & 31) : UINT32_MAX;
	case ISA_S_LSHR_B32:
		return fixed ? a >> (b & 31) : UINT32_MAX;
	case ISA_S_LSHL1_ADD_U32:
		return sum_bits(a << 1, b);
	case ISA_S_LSHL2_ADD_U32:
		return sum_bits(a << 2, b);
	case ISA_S_LSHL3_ADD_U32:
		return sum_bits(a << 3, b);
	case ISA_S_LSHL4_ADD_U32:
		return sum_bits(a << 4, b);
	case ISA_S_MUL_I32:
		lowest = (a & -a) * (b & -b);
		return from_lowest(lowest) & up_to((uint64_t)a * b);
	default:
		return UINT32_MAX;
	}
}

static uint32_t result_has(const struct sgpr_bits *bits, const struct isa_inst *in)
{
	switch (in->op) {
	case ISA_S_MOV_B32:
		return source_has(bits, &in->src[0]);
	case ISA_S_MOVK_I32:
		return (uint32_t)(int32_t)(int16_t)in->simm;
	case ISA_S_OR_B32:
		return source_has(bits, &in->src[0]) | source_has(bits, &in->src[1]);
	case ISA_S_AND_B32:
		return source_has(bits, &in->src[0]) & source_has(bits, &in->src[1]);
	default:
		return 0;
	}
}

/* note: keep in the instruction's operands what is known where it stands. */
static void bits_after(struct sgpr_bits *bits, struct jit_inst *ji, bool note)
{
	struct isa_inst *in = &ji->ci.inst;
	bool first = in->op == ISA_V_READFIRSTLANE_B32;
	uint32_t may = first ? ~ji->first_lacks : result_bits(bits, in), has = result_has(bits, in);
	struct jit_regs r;

	for (unsigned i = 0; note && i < 3; i++) {
		struct isa_operand *o = &in->src[i];

		if (has_bits(o))
			o->value = JIT_BITS_KNOWN | source_bits(bits, o) | (source_bits(bits, o) == source_has(bits, o) ? JIT_BITS_ALL : 0);
	}
	jit_inst_regs(in, true, &r);
	for (unsigned i = 0; i < WAVE_SGPRS; i++)
		if (r.swrite[i >> 6] >> (i & 63) & 1) {
			bits->may[i] = UINT32_MAX;
			bits->has[i] = 0;
		}
	if (has_bits(&in->dst[0]) && in->dst[0].index < SGPR_FLAT_SCRATCH && (first || in->format <= ISA_FMT_SOPK)) {
		bits->may[in->dst[0].index] = may;
		bits->has[in->dst[0].index] = has;
	}
}

static bool find_bits(struct jit_code *c)
{
	struct sgpr_bits *of = calloc(c->num_blocks, sizeof(*of)), now;
	bool *reached = calloc(c->num_blocks, sizeof(*reached)), changed = true, comes_back = jit_comes_back(c);

	if (!of || !reached) {
		free(of);
		free(reached);
		return false;
	}
	for (uint32_t b = 0; b < c->num_blocks; b++)
		if (b == 0 || (comes_back && c->block[b].safe)) {
			memset(of[b].may, 0xff, sizeof(of[b].may));
			reached[b] = true;
		}
	for (bool note = false; changed || !note;) {
		note = !changed;
		changed = false;
		for (uint32_t b = 0; b < c->num_blocks; b++) {
			uint32_t i = c->block[b].first;

			if (!reached[b])
				continue;
			now = of[b];
			for (uint32_t k = 0; k < c->block[b].count; k++, i = c->inst[i].next)
				bits_after(&now, &c->inst[i], note);
			for (unsigned s = 0; s < 2; s++) {
				uint32_t to = c->block[b].succ[s];

				if (to == NO_BLOCK)
					continue;
				changed |= !reached[to];
				for (unsigned r = 0; r < WAVE_SGPRS; r++) {
					uint32_t may = of[to].may[r] | now.may[r], has = reached[to] ? of[to].has[r] & now.has[r] : now.has[r];

					changed |= may != of[to].may[r] || has != of[to].has[r];
					of[to].may[r] = may;
					of[to].has[r] = has;
				}
				reached[to] = true;
			}
		}
	}
	free(of);
	free(reached);
	return true;
}

bool jit_analyse(struct jit_code *c, unsigned width)
{
	if (!find_facts(c))
		return false;
	find_quiet(c);
	find_live(c);
	find_pairs(c);
	if (!find_bits(c) || !jit_find_shapes(c, width))
		return false;
	/* Vector registers may have told about scalar ones. */
	for (uint32_t i = 0; i < c->num_inst; i++)
		if (c->inst[i].first_lacks)
			return find_bits(c) && jit_find_shapes(c, width);
	return true;
}
