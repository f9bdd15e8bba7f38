/* SPDX-License-Identifier: MIT */
/*
 * lift_lds.c - reads and writes of LDS. Where the shape of an address is known, a register is checked once a block and read as vectors from
 * then on; else each strip is a vector, one dword for all lanes, or a gather or scatter of the lanes inside LDS.
 */
#include "gpu/soft/jit/lift.h"

#define AND(x_, y_) LLVMBuildAnd(l->b, x_, y_, "")
#define OR(x_, y_) LLVMBuildOr(l->b, x_, y_, "")
#define ADD(x_, y_) LLVMBuildAdd(l->b, x_, y_, "")
#define IS(pred, x_, y_) LLVMBuildICmp(l->b, LLVMInt##pred, x_, y_, "")
#define K32(v) vconst32(l, v)

struct ds_part { /* one of the one or two addresses */
	unsigned offset, dwords, row;
};

static V gather(struct lift *l, V addr, V mask)
{
	LLVMTypeRef types[2] = {l->vi32, vec(l->ptr, l->width)};
	V p = LLVMBuildGEP2(l->b, l->i8, l->lds, &addr, 1, ""), args[4] = {p, c32(l, 1), mask, K32(0)};

	return intrinsic(l, "llvm.masked.gather", types, 2, args, 4);
}

static void scatter(struct lift *l, V value, V addr, V mask)
{
	LLVMTypeRef types[2] = {l->vi32, vec(l->ptr, l->width)};
	V p = LLVMBuildGEP2(l->b, l->i8, l->lds, &addr, 1, ""), args[4] = {value, p, c32(l, 1), mask};

	intrinsic(l, "llvm.masked.scatter", types, 2, args, 4);
}

/* Active lanes whose access is inside LDS. */
static V inside(struct lift *l, V addr, unsigned bytes, unsigned strip)
{
	V bound = LLVMBuildSub(l->b, l->bound, c32(l, bytes), ""), fits = IS(UGE, l->bound, c32(l, bytes)), m;

	m = AND(IS(ULE, addr, splat(l, bound)), splat(l, fits));
	return l->now.exec_full ? m : AND(m, mask_strip(l, get_exec(l), strip));
}

/* The strip is consecutive (step) or uniform (0), with all of it inside LDS; *base: host address of its first byte. */
static V strip_shape(struct lift *l, V addr, V first, unsigned step, unsigned bytes, unsigned strip)
{
	V ok = IS(EQ, addr, ADD(splat(l, first), iota(l, 0, step))), bound;
	unsigned span = step * (l->width - 1) + bytes;

	if (!l->now.exec_full)
		ok = OR(ok, inactive(l, strip));
	bound = LLVMBuildSub(l->b, l->bound, c32(l, span), "");
	return AND(AND(all_of(l, ok), IS(UGE, l->bound, c32(l, span))), IS(ULE, first, bound));
}

static V lds_at(struct lift *l, V addr)
{
	V i = LLVMBuildZExt(l->b, addr, l->i64, "");

	return LLVMBuildGEP2(l->b, l->i8, l->lds, &i, 1, "");
}

static V aligned1(V x)
{
	LLVMSetAlignment(x, 1);
	return x;
}

static void ds_read_strip(struct lift *l, V addr, const struct ds_part *p, unsigned strip, V out[4])
{
	LLVMBasicBlockRef row = new_block(l, ""), not_row = new_block(l, ""), one = new_block(l, ""), many = new_block(l, ""),
			  join = new_block(l, ""), from[3];
	unsigned n = p->dwords;
	V first, got[3][4], m, x;

	addr = ADD(addr, K32(p->offset));
	first = lane0(l, addr);
	LLVMBuildCondBr(l->b, strip_shape(l, addr, first, 4 * n, 4 * n, strip), row, not_row);
	go_to(l, row);
	x = aligned1(LLVMBuildLoad2(l->b, vec(l->i32, l->width * n), lds_at(l, first), ""));
	for (unsigned k = 0; k < n; k++)
		got[0][k] = n > 1 ? pick(l, x, k, n) : x;
	from[0] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, not_row);
	LLVMBuildCondBr(l->b, strip_shape(l, addr, first, 0, 4 * n, strip), one, many);
	go_to(l, one);
	for (unsigned k = 0; k < n; k++)
		got[1][k] = splat(l, aligned1(LLVMBuildLoad2(l->b, l->i32, at(l, lds_at(l, first), 4 * k), "")));
	from[1] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, many);
	m = inside(l, addr, 4 * n, strip);
	for (unsigned k = 0; k < n; k++)
		got[2][k] = gather(l, k ? ADD(addr, K32(4 * k)) : addr, m);
	from[2] = LLVMGetInsertBlock(l->b);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
	for (unsigned k = 0; k < n; k++) {
		out[k] = LLVMBuildPhi(l->b, l->vi32, "");
		for (unsigned w = 0; w < 3; w++)
			LLVMAddIncoming(out[k], &got[w][k], &from[w], 1);
	}
}

static void ds_write_strip(struct lift *l, V addr, const struct ds_part *p, unsigned strip)
{
	LLVMBasicBlockRef row = new_block(l, ""), many = new_block(l, ""), join = new_block(l, "");
	unsigned n = p->dwords;
	V first, m, rows[4];

	for (unsigned k = 0; k < n; k++)
		rows[k] = get_v(l, p->row + k, strip);
	addr = ADD(addr, K32(p->offset));
	first = lane0(l, addr);
	LLVMBuildCondBr(l->b, strip_shape(l, addr, first, 4 * n, 4 * n, strip), row, many);
	go_to(l, row);
	if (l->now.exec_full) {
		aligned1(LLVMBuildStore(l->b, interleave(l, rows, n), lds_at(l, first)));
	} else {
		V ms[4];

		ms[0] = ms[1] = ms[2] = ms[3] = mask_strip(l, get_exec(l), strip);
		masked_store(l, interleave(l, rows, n), lds_at(l, first), interleave(l, ms, n), 1);
	}
	LLVMBuildBr(l->b, join);
	go_to(l, many);
	m = inside(l, addr, 4 * n, strip);
	for (unsigned k = 0; k < n; k++)
		scatter(l, rows[k], k ? ADD(addr, K32(4 * k)) : addr, m);
	LLVMBuildBr(l->b, join);
	go_to(l, join);
}

static unsigned ds_parts(const struct isa_inst *in, struct ds_part p[2], bool *store)
{
	unsigned o = in->offset & 0xffff, o0 = in->offset & 0xff, o1 = in->offset >> 8 & 0xff, n = 0, unit = 0;
	const struct isa_operand *a = &in->dst[0], *b = &in->dst[0];

	*store = false;
	switch (in->op) {
	case ISA_DS_WRITE_B32:
	case ISA_DS_WRITE_B64:
	case ISA_DS_WRITE_B96:
	case ISA_DS_WRITE_B128:
	case ISA_DS_WRITE2_B32:
	case ISA_DS_WRITE2_B64:
	case ISA_DS_WRITE2ST64_B32:
	case ISA_DS_WRITE2ST64_B64:
		*store = true;
		a = &in->src[1];
		b = &in->src[2];
		break;
	default:
		break;
	}
	switch (in->op) {
	case ISA_DS_READ_B32:
	case ISA_DS_WRITE_B32:
		n = 1;
		break;
	case ISA_DS_READ_B64:
	case ISA_DS_WRITE_B64:
		n = 2;
		break;
	case ISA_DS_READ_B96:
	case ISA_DS_WRITE_B96:
		n = 3;
		break;
	case ISA_DS_READ_B128:
	case ISA_DS_WRITE_B128:
		n = 4;
		break;
	case ISA_DS_READ2_B32:
	case ISA_DS_WRITE2_B32:
		n = 1;
		unit = 4;
		break;
	case ISA_DS_READ2ST64_B32:
	case ISA_DS_WRITE2ST64_B32:
		n = 1;
		unit = 4 * 64;
		break;
	case ISA_DS_READ2_B64:
	case ISA_DS_WRITE2_B64:
		n = 2;
		unit = 8;
		break;
	case ISA_DS_READ2ST64_B64:
	case ISA_DS_WRITE2ST64_B64:
		n = 2;
		unit = 8 * 64;
		break;
	default:
		return 0;
	}
	if (a->kind != ISA_OPND_VGPR || (unit && b->kind != ISA_OPND_VGPR))
		return 0;
	if (!unit) {
		p[0] = (struct ds_part){o, n, a->index};
		return 1;
	}
	p[0] = (struct ds_part){o0 * unit, n, a->index};
	p[1] = (struct ds_part){o1 * unit, n, *store ? b->index : a->index + n};
	return 2;
}

/* What step the lanes of each strip have as far as known: 4 * dwords, 0 (uniform), or -1. */
static int known_step(const struct lift *l, unsigned r, unsigned dwords)
{
	uint16_t delta = l->at[LEVEL_STRIP].v[r].delta;
	const int32_t *d = delta ? l->code->delta[delta - 1] : NULL;
	bool rises = d, same = d;

	for (unsigned i = 0; d && i < WAVE_LANES; i++) {
		rises &= d[i] == (int32_t)(i % l->width * 4 * dwords);
		same &= d[i] == 0;
	}
	return same ? 0 : rises ? (int)(4 * dwords) : -1;
}

/* Bytes behind the register's first lanes that accesses from ji to the block's end reach. */
static uint32_t span_of(const struct lift *l, const struct jit_inst *ji, unsigned r)
{
	uint32_t span = 0;

	for (;; ji = &l->code->inst[ji->next]) {
		const struct isa_inst *in = &ji->ci.inst;
		struct ds_part part[2];
		struct jit_regs regs;
		bool store;

		if (in->format == ISA_FMT_DS && in->src[0].kind == ISA_OPND_VGPR && in->src[0].index == r)
			for (unsigned n = ds_parts(in, part, &store); n--;)
				if (known_step(l, r, part[n].dwords) >= 0) {
					uint32_t end = part[n].offset + 4 * part[n].dwords * l->width;

					span = end > span ? end : span;
				}
		jit_inst_regs(in, false, &regs);
		if (bit_get(&regs.vwrite, r) || ji->next == NO_INST || l->code->inst[ji->next].block != NO_BLOCK)
			return span;
	}
}

/* The register as a checked base for ji's access; NULL: not of use. */
static struct lds_base *find_base(struct lift *l, const struct jit_inst *ji, unsigned r)
{
	struct lds_base *base = l->lds_base[r];
	uint32_t span;
	V all = NULL;

	if (base)
		return base;
	span = span_of(l, ji, r);
	if (l->num_bases == MAX_BASES || span > 65536)
		return NULL;
	flush_queue(l);
	base = &l->bases[l->num_bases++];
	for (unsigned s = 0; s < l->strips; s++) {
		V first = lane0(l, get_v(l, r, s)), ok = IS(ULE, first, LLVMBuildSub(l->b, l->bound, c32(l, span), ""));

		base->of[s] = get_v(l, r, s);
		base->first[s] = LLVMBuildZExt(l->b, first, l->i64, "");
		all = all ? AND(all, ok) : ok;
	}
	emit_deopt_unless(l, AND(all, IS(UGE, l->bound, c32(l, span))), ji);
	l->lds_base[r] = base;
	return base;
}

void emit_lds_read(struct lift *l, const struct vop *q, unsigned strip)
{
	unsigned n = q->lds_dwords;
	V where = ADD(q->lds->first[strip], c64(l, q->lds_offset)), p = LLVMBuildGEP2(l->b, l->i8, l->lds, &where, 1, "");

	if (q->lds_step) {
		V x = aligned1(LLVMBuildLoad2(l->b, vec(l->i32, l->width * n), p, ""));

		for (unsigned k = 0; k < n; k++)
			set_v(l, q->lds_row + k, strip, n > 1 ? pick(l, x, k, n) : x);
		return;
	}
	for (unsigned k = 0; k < n; k++)
		set_v(l, q->lds_row + k, strip, splat(l, aligned1(LLVMBuildLoad2(l->b, l->i32, at(l, p, 4 * k), ""))));
}

/* Accesses of lanes whose places are known; called before the queue is flushed. */
bool lift_known_ds(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct lds_base *base;
	struct ds_part part[2];
	bool store;
	unsigned parts = in->format == ISA_FMT_DS && !in->gds && in->src[0].kind == ISA_OPND_VGPR ? ds_parts(in, part, &store) : 0;
	unsigned r = in->src[0].index;
	int step = parts ? known_step(l, r, part[0].dwords) : -1;

	if (step < 0 || !l->now.exec_full || (store && !step))
		return false;
	base = find_base(l, ji, r);
	if (!base)
		return false;
	if (store) {
		flush_queue(l);
		for (unsigned p = 0; p < parts; p++)
			for (unsigned s = 0; s < l->strips; s++) {
				V where = ADD(base->first[s], c64(l, part[p].offset)), rows[4];

				for (unsigned k = 0; k < part[p].dwords; k++)
					rows[k] = get_v(l, part[p].row + k, s);
				aligned1(LLVMBuildStore(l->b, interleave(l, rows, part[p].dwords),
							LLVMBuildGEP2(l->b, l->i8, l->lds, &where, 1, "")));
			}
		return true;
	}
	if (l->queued + 2 > QUEUE_SIZE)
		flush_queue(l);
	for (unsigned p = 0; p < parts; p++) {
		l->queue[l->queued++] = (struct vop){.ji = ji, .lds = base, .mask_of = -1, .mask_pair = -1, .lds_offset = part[p].offset,
						     .lds_row = part[p].row, .lds_dwords = part[p].dwords, .lds_step = (unsigned)step};
		for (unsigned k = 0; k < part[p].dwords; k++)
			l->lds_base[part[p].row + k] = NULL;
	}
	return true;
}

bool lift_ds(struct lift *l, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	struct ds_part part[2];
	bool store;
	unsigned parts = in->format == ISA_FMT_DS && !in->gds && in->src[0].kind == ISA_OPND_VGPR ? ds_parts(in, part, &store) : 0;
	V out[2][MAX_STRIPS][4];

	if (!parts)
		return false;
	/* Lanes may overlap, and who wins is the interpreter's way: by dwords of 16 lanes with AVX-512, else lane by lane. */
	if (store && part[0].dwords > 1 && l->width != 16)
		return false;
	if (!l->now.exec_full)
		get_exec(l);
	/* Everything is read before the first branch. */
	for (unsigned s = 0; s < l->strips; s++) {
		get_v(l, in->src[0].index, s);
		for (unsigned p = 0; p < parts; p++)
			for (unsigned k = 0; k < part[p].dwords && (store || !l->now.exec_full); k++)
				get_v(l, part[p].row + k, s);
	}
	for (unsigned p = 0; p < parts; p++)
		for (unsigned s = 0; s < l->strips; s++) {
			V addr = get_v(l, in->src[0].index, s);

			if (store)
				ds_write_strip(l, addr, &part[p], s);
			else
				ds_read_strip(l, addr, &part[p], s, out[p][s]);
		}
	for (unsigned p = 0; p < parts && !store; p++)
		for (unsigned s = 0; s < l->strips; s++)
			for (unsigned k = 0; k < part[p].dwords; k++) {
				V x = out[p][s][k];

				if (!l->now.exec_full && !ji->quiet)
					x = LLVMBuildSelect(l->b, mask_strip(l, get_exec(l), s), x, get_v(l, part[p].row + k, s), "");
				set_v(l, part[p].row + k, s, x);
			}
	return true;
}
