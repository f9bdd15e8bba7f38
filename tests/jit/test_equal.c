/* SPDX-License-Identifier: MIT */
/*
 * test_equal.c - compiled code computes what the interpreter computes, bit for bit: usage: test_equal gfx900|gfx90a [UNITS [SEED]]
 *
 * Random instructions (random machine words, decoded; registers folded into a small file) make units of straight-line code. Each unit is
 * compiled for full and for other waves and run on random states: registers full of special values, EXEC all ones, none, one lane, halves, random.
 * Registers, SCC, MODE and LDS must be what the interpreter's functions leave. The run goes on until every vector operation of the
 * tables has been in some units. With TEST_EQUAL_CALLED in the environment it lists the operations of which compiled code called the
 * interpreter's function, and how often, of how many; all others were native.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gpu/soft/exec/valu.h"
#include "gpu/soft/jit/unit.h"

#define NV    40
#define NA    36
#define NI    40 /* instructions of a unit */
#define LDS   2048
#define SLACK 512
#define WANT  4 /* times that each operation is to be seen */

struct state {
	uint32_t v[NV][WAVE_LANES] __attribute__((aligned(64)));
	uint32_t a[NA][WAVE_LANES] __attribute__((aligned(64)));
	uint8_t lds[LDS + SLACK];
	struct wave w;
	struct workgroup wg;
};

static enum isa_target target;
static unsigned max_units = 60;
static uint64_t seed = 1;
static unsigned seen[ISA_NUM_OPS], ran[ISA_NUM_OPS], called[ISA_NUM_OPS]; /* in units; by units; of these by the interpreter's function */

static uint64_t rng(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static uint32_t rnd(void)
{
	return (uint32_t)(rng() >> 32);
}

static const uint32_t special[] = {
	0,	    0x80000000, 1,	    0x80000001, 0x7fffff,   0x800000,	0x80800000, 0x3f800000, 0xbf800000, 0x3f7fffff, 0x3f800001,
	0x40000000, 0xc0000000, 0x3f000000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xffbfffff,
	0x4f000000, 0xcf000000, 0x4f800000, 0x33000000, 0x38800000, 0x477fe000, 0x40490fdb, 0x43800000, 0x3e800000, 0x7e800000, 0x0b800000,
	0x7ff00000, 0xfff00000, 0x7ff80000, 0x3ff00000, 0xbff00000, 0x7fefffff, 0x00100000, 0x000fffff, 0x41e00000, 0x7c007c00, 0xfc007e00,
	0x3c003c00, 0x04000400, 0x03ff03ff, 0x7bff7bff, 0x00010001, 0xffffffff, 0x7fffffff, 0xfffffffe, 0xffff8000, 0x0000ffff, 0x00010000,
	31,	    32,		33,	    63,		64,	    255,	256,	    0x0c0b0a09, 0x00ffffff, 0x01000000,
};

static uint32_t value(void)
{
	uint32_t r = rnd();

	switch (r & 7) {
	case 0:
	case 1:
	case 2:
		return special[rnd() % (sizeof(special) / sizeof(special[0]))];
	case 3: /* floats near each other */
		return 0x3f000000 + (rnd() & 0x1ffffff) + (rnd() & 0x80000000);
	case 4: /* addresses in LDS and about */
		return rnd() % (LDS + 64);
	default:
		return rnd();
	}
}

/* ---- instructions ---- */

static bool usable(const struct isa_inst *in)
{
	if (in->op == ISA_OP_INVALID || !exec_covers(target, in->op))
		return false;
	switch (in->format) {
	case ISA_FMT_SOP1:
	case ISA_FMT_SOP2:
	case ISA_FMT_SOPC:
	case ISA_FMT_SOPK:
		switch (in->op) {
		case ISA_S_SETPC_B64:
		case ISA_S_SWAPPC_B64:
		case ISA_S_CALL_B64:
		case ISA_S_SETREG_B32:
		case ISA_S_MOVRELS_B32:
		case ISA_S_MOVRELS_B64:
		case ISA_S_MOVRELD_B32:
		case ISA_S_MOVRELD_B64:
		case ISA_S_SET_GPR_IDX_IDX:
		case ISA_S_SET_GPR_IDX_ON:
		case ISA_S_SET_GPR_IDX_OFF:
		case ISA_S_SET_GPR_IDX_MODE:
		case ISA_S_GETPC_B64: /* the pc is not real here */
		case ISA_S_RFE_B64:
		case ISA_S_RFE_RESTORE_B64:
		case ISA_S_CBRANCH_G_FORK:
		case ISA_S_CBRANCH_I_FORK:
		case ISA_S_CBRANCH_JOIN:
		case ISA_S_SETVSKIP:
			return false;
		case ISA_S_SETREG_IMM32_B32:
			return false;
		default:
			return true;
		}
	case ISA_FMT_VOP1:
	case ISA_FMT_VOP2:
	case ISA_FMT_VOPC:
	case ISA_FMT_VOP3:
	case ISA_FMT_VOP3P:
		return true;
	case ISA_FMT_DS:
		switch (in->op) {
		case ISA_DS_ORDERED_COUNT:
		case ISA_DS_GWS_INIT:
		case ISA_DS_GWS_SEMA_V:
		case ISA_DS_GWS_SEMA_BR:
		case ISA_DS_GWS_SEMA_P:
		case ISA_DS_GWS_BARRIER:
		case ISA_DS_GWS_SEMA_RELEASE_ALL:
			return false;
		default:
			return !in->gds;
		}
	default:
		return false;
	}
}

static void fold(struct isa_operand *o)
{
	unsigned n = o->dwords ? o->dwords : 1;

	if (o->kind == ISA_OPND_VGPR)
		o->index = n > NV ? 0 : o->index % (NV - n + 1);
	else if (o->kind == ISA_OPND_AGPR)
		o->index = n > NA ? 0 : o->index % (NA - n + 1);
	else if (o->kind == ISA_OPND_SGPR && o->index != SGPR_VCC && o->index != SGPR_VCC + 1 &&
		 !(o->index == SGPR_EXEC && rnd() % 8 == 0))
		o->index = (uint16_t)(o->index % 32 & (n > 1 ? ~1u : ~0u));
}

static uint32_t prefix(void)
{
	switch (rnd() % 10) {
	case 0:
		return 0x80000000 | (rnd() & 0x3fffffff); /* SOP* */
	case 1:
	case 2:
	case 3:
	case 4:
		return 0xd0000000 | (rnd() & 0x03ffffff); /* VOP3 */
	case 5:
		return 0xd3800000 | (rnd() & 0x007fffff); /* VOP3P */
	case 6:
		return 0xd8000000 | (rnd() & 0x01ffffff); /* DS */
	case 7: /* SDWA and DPP: source 0 */
		return (rnd() & 0x7ffffe00) | (rnd() & 1 ? 0xf9 : 0xfa);
	default:
		return rnd() & 0x7fffffff; /* VOP1, VOP2, VOPC */
	}
}

static bool too_wide(const struct isa_inst *in)
{
	for (unsigned i = 0; i < 4; i++)
		if (in->src[i].dwords > 32 ||
		    (in->src[i].kind == ISA_OPND_SPECIAL && in->src[i].index == 254) ||
		    (in->src[i].kind == ISA_OPND_SPECIAL && in->src[i].index == 239))
			return true;
	return in->dst[0].dwords > 32;
}

static struct isa_inst random_inst(void)
{
	struct isa_inst in;

	for (;;) {
		uint32_t words[3] = {prefix(), rnd(), value()};

		/* Half of the wide forms' sources are vector registers. */
		if (words[0] >> 26 == 0x34)
			words[1] |= rnd() & 0x04020100;
		if (isa_decode(target, words, 3, &in) < 0 || !usable(&in) || too_wide(&in))
			continue;
		if (seen[in.op] >= WANT && rnd() % 1000)
			continue;
		for (unsigned i = 0; i < 4; i++)
			fold(&in.src[i]);
		fold(&in.dst[0]);
		fold(&in.dst[1]);
		if (in.format == ISA_FMT_DS)
			in.offset &= rnd() & 1 ? 0x3f3f : 0xffff;
		return in;
	}
}

/* Scalar registers that often have masks. */
enum { MASKS = 20, NUM_MASKS = 3 };

/* Address arithmetic on the ids in v0, so that shapes are met. */
static struct isa_inst address_inst(void)
{
	static const uint16_t ops[] = {ISA_V_LSHLREV_B32, ISA_V_ADD_U32, ISA_V_AND_B32, ISA_V_MUL_U32_U24, ISA_V_LSHL_ADD_U32, ISA_V_BFE_U32,
				       ISA_V_MUL_LO_U32, ISA_V_OR_B32, ISA_V_SUB_U32, ISA_V_LSHL_OR_B32, ISA_V_MOV_B32, ISA_V_LSHRREV_B32,
				       ISA_V_NOT_B32, ISA_V_XOR_B32, ISA_V_XAD_U32, ISA_V_AND_OR_B32, ISA_V_ASHRREV_I32};
	static const uint32_t masks[] = {15, 63, 0x3ff, 48, 1, 0, UINT32_MAX, 0xffffffc0};
	static struct isa_inst half;
	struct isa_inst in = {.op = ops[rnd() % (sizeof(ops) / sizeof(ops[0]))], .format = ISA_FMT_VOP3, .size = 8};
	const struct lane_op *op = lane_op_of(in.op);
	bool bits = in.op == ISA_V_AND_B32 || in.op == ISA_V_XOR_B32 || in.op == ISA_V_XAD_U32 || in.op == ISA_V_AND_OR_B32;

	in.dst[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = 1, .index = (uint16_t)(1 + rnd() % 3)};
	for (unsigned i = 0; i < op->nsrc; i++) {
		in.src[i] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = 1, .index = (uint16_t)(rnd() % 4)};
		if (rnd() & 1)
			in.src[i] = (struct isa_operand){.kind = ISA_OPND_CONST, .dwords = 1,
							 .value = bits ? masks[rnd() % 8] : rnd() % 7};
	}
	/* The high half of a number that is extended; then, perhaps, a copy of that number to below it. */
	if (in.op == ISA_V_ASHRREV_I32 && rnd() % 4) {
		in.src[0] = (struct isa_operand){.kind = ISA_OPND_CONST, .dwords = 1, .value = 31};
		half = in;
	} else if (in.op == ISA_V_MOV_B32 && half.src[1].kind == ISA_OPND_VGPR && rnd() % 4) {
		in.src[0] = half.src[1];
		in.dst[0].index = half.dst[0].index - 1;
	}
	if (in.op == ISA_V_AND_B32 && rnd() & 1)
		in.src[rnd() & 1] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 1, .index = (uint16_t)(MASKS + rnd() % NUM_MASKS)};
	return in;
}

static struct isa_inst lds_inst(void)
{
	static const uint16_t ops[] = {ISA_DS_READ_B32, ISA_DS_READ2_B32, ISA_DS_WRITE_B32, ISA_DS_READ_B64, ISA_DS_READ_B128, ISA_DS_WRITE_B64};
	static const uint8_t dwords[] = {1, 2, 1, 2, 4, 2};
	unsigned k = rnd() % 6;
	struct isa_inst in = {.op = ops[k], .format = ISA_FMT_DS, .size = 8, .offset = (int32_t)(rnd() & 0x0f0f)};
	struct isa_operand *o = in.op == ISA_DS_WRITE_B32 || in.op == ISA_DS_WRITE_B64 ? &in.src[1] : &in.dst[0];

	in.src[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = 1, .index = (uint16_t)(rnd() % 4)};
	*o = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = dwords[k], .index = (uint16_t)(4 + rnd() % 16)};
	return in;
}

/* Reads of LDS by lanes that are the rows of a matrix, 8, 16 or 32 of them in each of its columns. */
enum { COLUMN_INSTS = 6 };
static void column_insts(struct isa_inst in[COLUMN_INSTS], unsigned shift, bool wide)
{
	static const uint16_t ops[] = {ISA_V_AND_B32, ISA_V_MUL_U32_U24, ISA_V_LSHRREV_B32, ISA_V_LSHL_ADD_U32}, reads[] = {ISA_DS_READ_B32, ISA_DS_READ2_B32, ISA_DS_READ_B64,
			      ISA_DS_READ2_B64};
	const struct isa_operand v0 = {.kind = ISA_OPND_VGPR, .dwords = 1}, v1 = {.kind = ISA_OPND_VGPR, .dwords = 1, .index = 1}, v2 = {.kind = ISA_OPND_VGPR, .dwords = 1, .index = 2};
	struct isa_operand k = {.kind = ISA_OPND_CONST, .dwords = 1};

	for (unsigned i = 0; i < 4; i++)
		in[i] = (struct isa_inst){.op = ops[i], .format = ISA_FMT_VOP3, .size = 8, .dst[0] = i == 2 ? v2 : v1};
	k.value = (1u << shift) - 1;
	in[0].src[0] = k;
	in[0].src[1] = v0;
	k.value = 20 + 4 * (rnd() % 20);
	in[1].src[0] = k;
	in[1].src[1] = v1;
	k.value = shift;
	in[2].src[0] = k;
	in[2].src[1] = v0;
	k.value = 2 + wide;
	in[3].src[0] = v2;
	in[3].src[1] = k;
	in[3].src[2] = v1;
	for (unsigned i = 4; i < COLUMN_INSTS; i++) {
		bool two = rnd() & 1;

		in[i] = (struct isa_inst){.op = reads[2 * wide + two], .format = ISA_FMT_DS, .size = 8, .offset = (int32_t)(rnd() & 0x0f0f)};
		in[i].src[0] = v1;
		in[i].dst[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = (uint8_t)((wide + 1) << two), .index = (uint16_t)(rnd() % 16)};
	}
}

/* Matrix operations on a few accumulators, so that one follows another on the same. */
static struct isa_inst matrix_inst(void)
{
	static const struct {
		uint16_t op;
		uint8_t d, a;
	} ops[] = {{ISA_V_MFMA_F32_32X32X2F32, 16, 1},	{ISA_V_MFMA_F32_32X32X1F32, 32, 1},  {ISA_V_MFMA_F32_16X16X4F32, 4, 1}, {ISA_V_MFMA_F32_16X16X1F32, 16, 1},
		   {ISA_V_MFMA_F32_4X4X1F32, 4, 1},	{ISA_V_MFMA_F64_16X16X4F64, 8, 2},   {ISA_V_MFMA_F64_4X4X4F64, 2, 2},  {ISA_V_MFMA_F32_32X32X8F16, 16, 2},
		   {ISA_V_MFMA_F32_16X16X8BF16, 4, 1}, {ISA_V_MFMA_I32_16X16X16I8, 4, 1}};
	static unsigned last;
	unsigned k = last = rnd() & 1 ? last : rnd() % 10;
	struct isa_inst in = {.op = ops[k].op, .format = ISA_FMT_VOP3P, .size = 8};
	bool agpr = rnd() & 3;

	in.dst[0] = (struct isa_operand){.kind = agpr ? ISA_OPND_AGPR : ISA_OPND_VGPR, .dwords = ops[k].d,
					 .index = (uint16_t)((agpr ? 0 : 8) + (ops[k].d < 32 && rnd() & 1 ? 16 : 0))};
	for (unsigned i = 0; i < 2; i++)
		in.src[i] = (struct isa_operand){.kind = rnd() & 7 ? ISA_OPND_VGPR : ISA_OPND_AGPR, .dwords = ops[k].a, .index = (uint16_t)(rnd() % 6)};
	in.src[2] = in.dst[0];
	if (rnd() % 8 == 0)
		in.src[2] = (struct isa_operand){.kind = ISA_OPND_CONST, .dwords = ops[k].d, .value = rnd() & 1 ? 0 : 0x3f800000};
	if (rnd() % 8 == 0)
		in.src[2].index ^= 16 & -(in.src[2].kind == ISA_OPND_AGPR && ops[k].d < 32);
	return in;
}

static struct jit_code *make_code(const struct isa_inst *in, uint32_t mode, bool full)
{
	struct jit_code *c = calloc(1, sizeof(*c));

	c->target = target;
	c->num_vgprs = NV;
	c->num_agprs = target == ISA_GFX90A ? NA : 0;
	c->mode = mode;
	c->full = c->guess = full;
	c->num_inst = NI + 1;
	c->num_blocks = 1;
	c->inst = calloc(c->num_inst, sizeof(*c->inst));
	c->block = calloc(1, sizeof(*c->block));
	/* Shapes need a program without indirect jumps: the end is an illegal instruction, which is where state is stored. */
	c->wg_size[0] = 64;
	c->wg_size[1] = c->wg_size[2] = 1;
	for (uint32_t i = 0; i <= NI; i++) {
		struct jit_inst *ji = &c->inst[i];

		ji->pc = 8 * i;
		ji->block = i ? NO_BLOCK : 0;
		ji->next = i < NI ? i + 1 : NO_INST;
		ji->ci.size = 8;
		if (i == NI) {
			ji->ci.inst.op = ISA_OP_INVALID;
			continue;
		}
		ji->ci.inst = in[i];
		ji->ci.fn = exec_lookup(target, in[i].op);
	}
	c->block[0] = (struct jit_block){.first = 0, .count = NI + 1, .term = TERM_INTERP, .safe = true, .succ = {NO_BLOCK, NO_BLOCK}};
	return c;
}

/* ---- states ---- */

static void random_state(struct state *s, uint32_t mode, unsigned kind)
{
	memset(s, 0, sizeof(*s));
	for (unsigned r = 0; r < NV; r++)
		for (unsigned l = 0; l < WAVE_LANES; l++)
			s->v[r][l] = value();
	for (unsigned r = 0; r < NA; r++)
		for (unsigned l = 0; l < WAVE_LANES; l++)
			s->a[r][l] = value();
	for (unsigned l = 0; l < WAVE_LANES; l++)
		s->v[0][l] = l;
	for (unsigned r = 0; r < WAVE_SGPRS; r++)
		s->w.sgpr[r] = rnd() % 4 ? value() : rnd() % 64;
	for (unsigned r = MASKS; r < MASKS + NUM_MASKS; r++)
		if (rnd() % 4)
			s->w.sgpr[r] = (2u << (4 + rnd() % 16)) - 1;
	for (unsigned i = 0; i < LDS; i++)
		s->lds[i] = (uint8_t)rnd();
	s->w.scc = rnd() & 1;
	s->w.mode = mode;
	switch (kind) {
	case 0:
		WAVE_EXEC(&s->w) = UINT64_MAX;
		break;
	case 1:
		WAVE_EXEC(&s->w) = 0;
		break;
	case 2:
		WAVE_EXEC(&s->w) = 1ull << (rnd() & 63);
		break;
	case 3:
		WAVE_EXEC(&s->w) = 0xffffffffull << (rnd() & 32);
		break;
	default:
		WAVE_EXEC(&s->w) = rng();
	}
}

static void wire(struct state *s)
{
	s->w.vgpr = s->v;
	s->w.agpr = s->a;
	s->w.num_vgprs = NV;
	s->w.num_agprs = target == ISA_GFX90A ? NA : 0;
	s->w.wg = &s->wg;
	s->wg.lds = s->lds;
	s->wg.lds_size = LDS;
	s->wg.num_waves = 1;
	s->wg.target = target;
	s->wg.shared_base = 1ull << 48;
	s->wg.private_base = 2ull << 48;
}

/* What compiled code calls. */
static uint32_t step(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji);
static uint32_t counted_step(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji)
{
	called[ji->ci.inst.op]++;
	return step(ctx, w, ji);
}

static uint32_t step(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji)
{
	ctx->pc = ji->pc;
	w->pc = ji->pc + ji->ci.size;
	ji->ci.fn(ctx, w, &ji->ci.inst);
	return ctx->error != EXEC_DONE;
}

static uint32_t never(struct exec_ctx *ctx, struct jit_frame *f)
{
	return 0;
}

static void interpret(struct state *s, const struct jit_code *c, uint32_t from)
{
	struct exec_ctx ctx = {.wave = &s->w, .error = EXEC_DONE};

	for (uint32_t i = from; i < NI; i++) {
		step(&ctx, &s->w, &c->inst[i]);
		assert_int_equal(ctx.error, EXEC_DONE);
	}
}

static unsigned failures;

static bool quiet, exact = true;

static void complain(const struct jit_code *c, const char *what, unsigned r, unsigned lane, uint32_t got, uint32_t want, uint64_t exec)
{
	failures++;
	if (quiet || failures > 4)
		return;
	print_error("%s%u lane %u: compiled 0x%08x, interpreted 0x%08x (exec at start 0x%016llx, mode 0x%x, full %d)\n", what, r, lane, got,
		    want, (unsigned long long)exec, c->mode, c->full);
	for (uint32_t i = 0; i < NI; i++) {
		char text[160];
		const struct isa_operand *d = &c->inst[i].ci.inst.dst[0];

		/* What wrote it, roughly: everything with this destination. */
		if (d->index <= r && r < d->index + (d->dwords ? d->dwords : 1u)) {
			isa_print(text, sizeof(text), &c->inst[i].ci.inst, 0);
			print_error("  %u: %s\n", i, text);
		}
	}
}

static void compare(const struct jit_code *c, const struct state *got, const struct state *want, uint64_t exec)
{
	for (unsigned r = 0; r < NV; r++)
		for (unsigned l = 0; l < WAVE_LANES; l++)
			if (got->v[r][l] != want->v[r][l]) {
				complain(c, "v", r, l, got->v[r][l], want->v[r][l], exec);
				return;
			}
	for (unsigned r = 0; r < NA; r++)
		for (unsigned l = 0; l < WAVE_LANES; l++)
			if (got->a[r][l] != want->a[r][l]) {
				complain(c, "a", r, l, got->a[r][l], want->a[r][l], exec);
				return;
			}
	for (unsigned r = 0; r < WAVE_SGPRS; r++)
		if (got->w.sgpr[r] != want->w.sgpr[r]) {
			complain(c, "s", r, 0, got->w.sgpr[r], want->w.sgpr[r], exec);
			return;
		}
	if (got->w.scc != want->w.scc)
		complain(c, "scc", 0, 0, got->w.scc, want->w.scc, exec);
	if (memcmp(got->lds, want->lds, LDS))
		complain(c, "lds", 0, 0, 0, 0, exec);
	assert_int_equal(got->w.mode, want->w.mode);
}

/* Compiles the first count instructions (the others do nothing) and runs them from this state. */
static void run_state(const struct isa_inst *in, unsigned count, uint32_t mode, bool full, const struct state *start, struct jit_unit **unit)
{
	static struct state jit, interp;
	static const atomic_uint no_stop;
	struct isa_inst some[NI];
	struct jit_unit *u = *unit;
	struct exec_ctx ctx = {.error = EXEC_DONE};
	struct jit_frame f = {.limit = UINT64_MAX, .budget = UINT64_MAX, .stop = &no_stop, .step = counted_step, .pause = never, .mfma = exec_mfma_functions(0)};

	if (!u) {
		for (unsigned i = 0; i < NI; i++)
			some[i] = i < count ? in[i] : (struct isa_inst){.op = ISA_S_NOP, .format = ISA_FMT_SOPP, .size = 4};
		u = *unit = jit_module_get()->compile(make_code(some, mode, full), exact, NULL, NULL);
		assert_non_null(u);
	}
	f.inst = u->code->inst;
	f.base = u->code->entry_pc;
	jit = interp = *start;
	wire(&interp);
	wire(&jit);
	interpret(&interp, u->code, 0);
	for (unsigned i = 0; i < NI; i++)
		ran[u->code->inst[i].ci.inst.op]++;
	ctx.wave = &jit.w;
	u->fn(&f, &ctx, &jit.w, 0);
	assert_int_equal(ctx.error, EXEC_DONE);
	/* It may have handed over to the interpreter before the end. */
	interpret(&jit, u->code, (uint32_t)(jit.w.pc / 8));
	compare(u->code, &jit, &interp, WAVE_EXEC(&start->w));
}

static void unit_free(struct jit_unit *u)
{
	struct jit_code *c = u->code;

	jit_module_get()->free(u);
	jit_code_free(c);
}

/* Which instruction is it that makes the difference? */
static void blame(const struct isa_inst *in, uint32_t mode, bool full, const struct state *start)
{
	unsigned before = failures;

	quiet = true;
	for (unsigned k = 1; k <= NI; k++) {
		struct jit_unit *u = NULL;

		run_state(in, k, mode, full, start, &u);
		unit_free(u);
		if (failures != before) {
			char text[160];

			for (unsigned i = k > 4 ? k - 4 : 0; i < k; i++) {
				isa_print(text, sizeof(text), &in[i], 0);
				print_error("  %s %u: %s\n", i + 1 == k ? "first at" : "        ", i, text);
			}
			break;
		}
	}
	quiet = false;
	failures = before;
}

static void one_unit(bool full)
{
	static struct state start;
	struct isa_inst in[NI];
	struct jit_unit *u = NULL;
	/* Rounding mostly to nearest, denormals in all combinations. */
	uint32_t mode = (rnd() % 8 ? 0 : rnd() & 15) | (rnd() % 4 ? 0xf0 : rnd() & 0xf0) | (rnd() & 0x300);

	bool matrices = target == ISA_GFX90A && rnd() & 1;

	for (unsigned i = 0; i < NI; i++) {
		unsigned k = rnd() % 16;

		in[i] = k == 0 ? address_inst() : k == 1 ? lds_inst() : k <= 3 && matrices ? matrix_inst() : random_inst();
	}
	/* Some by themselves, so that shapes come of shapes. */
	for (unsigned i = 0, n = rnd() % 2 ? 0 : rnd() % NI; i < n; i++)
		in[i] = address_inst();
	if (rnd() % 4 == 0)
		column_insts(in + rnd() % (NI - COLUMN_INSTS), 3 + rnd() % 3, rnd() & 1);
	for (unsigned i = 0; i < NI; i++)
		seen[in[i].op]++;
	for (unsigned n = 0; n < 10; n++) {
		unsigned before = failures;

		random_state(&start, mode, full ? 0 : n % 5);
		run_state(in, NI, mode, full, &start, &u);
		if (failures != before) {
			blame(in, mode, full, &start);
			break;
		}
	}
	unit_free(u);
}

static bool all_seen(void)
{
	for (unsigned op = 1; op < ISA_NUM_OPS; op++)
		if (lane_op_of(op) && seen[op] && seen[op] < WANT)
			return false;
	return true;
}

static void test_random(void **state)
{
	unsigned ops = 0, table = 0, n;

	for (n = 0; n < max_units || (!all_seen() && n < 2 * max_units); n++)
		one_unit(n & 1);
	for (unsigned op = 1; op < ISA_NUM_OPS; op++) {
		ops += seen[op] > 0;
		table += seen[op] && lane_op_of(op);
	}
	print_message("%u units: %u operations, %u of the vector tables\n", n, ops, table);
	for (unsigned op = 1; getenv("TEST_EQUAL_CALLED") && op < ISA_NUM_OPS; op++)
		if (called[op])
			print_message("%-32s interpreter's function: %u of %u\n", isa_op_name(op), called[op], ran[op]);
	assert_int_equal(failures, 0);
}

/*
 * In the mode that kernels usually run in, too, the only NaN among the sources comes out, and quieted: also where the arithmetic would otherwise give back
 * what it got, which is how compilers write that.
 */
static void test_quieted(void **state)
{
	static const struct {
		uint16_t op;
		uint8_t dwords;
		uint64_t value;
	} ops[] = {
		{ISA_V_MUL_F32, 1, 0x3f800000}, {ISA_V_MUL_F32, 1, 0xbf800000}, {ISA_V_ADD_F32, 1, 0x80000000}, {ISA_V_ADD_F32, 1, 0},
		{ISA_V_SUBREV_F32, 1, 0},	{ISA_V_FMA_F32, 1, 0x3f800000}, {ISA_V_MUL_F64, 2, 0x3ff0000000000000}, {ISA_V_ADD_F64, 2, 1ull << 63},
	};
	static struct state start;
	struct isa_inst in[NI] = {0};
	struct jit_unit *u = NULL;

	for (unsigned i = 0; i < NI; i++) {
		unsigned k = i % (sizeof(ops) / sizeof(ops[0]));
		struct isa_operand nan = {.kind = ISA_OPND_VGPR, .dwords = ops[k].dwords}, constant = {.kind = ISA_OPND_CONST, .dwords = ops[k].dwords, .value = ops[k].value};

		in[i] = (struct isa_inst){.op = ops[k].op, .format = ISA_FMT_VOP3, .size = 8};
		in[i].dst[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = ops[k].dwords, .index = (uint16_t)(8 + 2 * (i % 16))};
		in[i].src[0] = constant;
		nan.index = 2;
		in[i].src[1] = nan;
		in[i].src[2] = (struct isa_operand){.kind = ISA_OPND_CONST, .dwords = ops[k].dwords, .value = 1ull << (32 * ops[k].dwords - 1)};
	}
	random_state(&start, 0x3f0, 0);
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		start.v[2][l] = 0x7f800001 + (l << 4) + (l << 31);
		start.v[3][l] = 0x7ff00001 + (l << 4) + (l << 31);
	}
	exact = false;
	run_state(in, NI, 0x3f0, true, &start, &u);
	exact = true;
	unit_free(u);
	assert_int_equal(failures, 0);
}

/* Partners at known distances in LDS, in lanes that a mask leaves: both are stored at once where no two places are the same, and read together. */
static void test_partners(void **state)
{
	static const uint16_t ops[] = {ISA_DS_WRITE2_B32, ISA_DS_READ2_B32, ISA_DS_WRITE2_B64, ISA_DS_READ2_B64, ISA_DS_WRITE2ST64_B32, ISA_DS_WRITE_B32};
	const struct isa_operand v0 = {.kind = ISA_OPND_VGPR, .dwords = 1}, v1 = {.kind = ISA_OPND_VGPR, .dwords = 1, .index = 1}, v2 = {.kind = ISA_OPND_VGPR, .dwords = 1, .index = 2};
	static struct state start;

	for (unsigned n = 0; n < 28; n++) {
		unsigned stride = 1u << n % 7, wide = n / 7 % 2;
		struct isa_inst in[NI] = {0};
		struct jit_unit *u = NULL;
		struct isa_operand k = {.kind = ISA_OPND_CONST, .dwords = 1, .value = stride - 1};

		for (unsigned i = 0; i < NI; i++)
			in[i] = (struct isa_inst){.op = ISA_S_NOP, .format = ISA_FMT_SOPP, .size = 4};
		in[0] = (struct isa_inst){.op = ISA_V_AND_B32, .format = ISA_FMT_VOP3, .size = 8, .dst[0] = v1, .src = {k, v0}};
		k.value = 1;
		in[1] = (struct isa_inst){.op = ISA_V_LSHLREV_B32, .format = ISA_FMT_VOP3, .size = 8, .dst[0] = v2, .src = {k, v0}};
		in[2] = (struct isa_inst){.op = ISA_V_SUB_U32, .format = ISA_FMT_VOP3, .size = 8, .dst[0] = v1, .src = {v2, v1}};
		k.value = 2 + wide;
		in[3] = (struct isa_inst){.op = ISA_V_LSHLREV_B32, .format = ISA_FMT_VOP3, .size = 8, .dst[0] = v1, .src = {k, v1}};
		for (unsigned i = 4; i < 12; i++) {
			struct isa_inst *at = &in[i];

			if (i % 4 == 1) {
				*at = (struct isa_inst){.op = ISA_S_AND_SAVEEXEC_B64, .format = ISA_FMT_SOP1, .size = 4, .writes_scc = true};
				at->dst[0] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = 8};
				at->src[0] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = (uint16_t)(10 + i / 4 * 2)};
				continue;
			}
			*at = (struct isa_inst){.op = ops[rnd() % 2 + 2 * wide], .format = ISA_FMT_DS, .size = 8, .src[0] = v1};
			if (rnd() % 8 == 0)
				at->op = ops[4 + rnd() % 2];
			/* A partner, before or behind; or anything, so that some places are the same. */
			at->offset = rnd() % 4 == 0 ? (int32_t)(rnd() & 0x0f0f) : rnd() & 1 ? (int32_t)stride << 8 : (int32_t)stride;
			if (rnd() % 16 == 0)
				at->offset |= 0xf0;
			at->dst[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = (uint8_t)(2 + 2 * wide), .index = (uint16_t)(4 + 4 * (rnd() % 4))};
			if (at->op != ISA_DS_READ2_B32 && at->op != ISA_DS_READ2_B64) {
				at->dst[0] = (struct isa_operand){0};
				for (unsigned s = 1; s < (at->op == ISA_DS_WRITE_B32 ? 2 : 3); s++)
					at->src[s] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = (uint8_t)(1 + (at->op == ISA_DS_WRITE2_B64)),
									  .index = (uint16_t)(4 + 2 * (rnd() % 8))};
			}
		}
		for (unsigned i = 0; i < 4; i++) {
			unsigned before = failures;

			random_state(&start, 0x3f0, 0);
			for (unsigned s = 10; s < 16; s++)
				start.w.sgpr[s] = i ? rnd() : UINT32_MAX;
			run_state(in, NI, 0x3f0, true, &start, &u);
			if (failures != before) {
				blame(in, 0x3f0, true, &start);
				break;
			}
		}
		unit_free(u);
	}
	assert_int_equal(failures, 0);
}

/* Rows of matrices, with nothing else around that overwrites them. */
static void test_columns(void **state)
{
	static struct state start;

	for (unsigned n = 0; n < 24; n++) {
		struct isa_inst in[NI] = {0};
		struct jit_unit *u = NULL;
		unsigned before = failures;

		for (unsigned i = 0; i < NI; i++)
			in[i] = (struct isa_inst){.op = ISA_S_NOP, .format = ISA_FMT_SOPP, .size = 4};
		column_insts(in, 3 + n % 3, n / 3 & 1);
		random_state(&start, 0x3f0, 0);
		run_state(in, NI, 0x3f0, true, &start, &u);
		if (failures != before)
			blame(in, 0x3f0, true, &start);
		unit_free(u);
	}
	assert_int_equal(failures, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_columns), cmocka_unit_test(test_quieted), cmocka_unit_test(test_partners), cmocka_unit_test(test_random)};

	target = argc > 1 && !strcmp(argv[1], "gfx900") ? ISA_GFX900 : ISA_GFX90A;
	if (argc > 2)
		max_units = (unsigned)atoi(argv[2]);
	if (argc > 3)
		seed = strtoull(argv[3], NULL, 0) * 2 + 1;
	for (int i = 0; i < 10; i++)
		rng();
	if (jit_prepare(-1) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
		print_message("Bail out! the JIT's module can't be loaded\n");
		return 1;
	}
	if (jit_prepare(-1)) {
		print_message("1..0 # SKIP no JIT in this build or on this processor\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
