/* SPDX-License-Identifier: MIT */
/*
 * discover.c - a kernel's code as basic blocks, found from its entry in guest memory.
 *
 * The instructions are the code cache's decoded records, copied. Code ends where the interpreter must take over: indirect jumps, calls,
 * what can't be decoded, s_icache_inv. The bytes are kept, to see whether the code has changed.
 */
#define LOG_PART "jit"
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gpu/soft/exec/mem.h"
#include "gpu/soft/jit/unit.h"

#define MAP_SIZE (4 * JIT_MAX_INSTS)
#define HWREG_MODE	 1
#define MODE_HIGH_BIT	 23 /* of MODE, where FP16_OVFL is, and above it register indices, VSKIP and the fork stack: done by the interpreter only */
#define MSG_GET_DOORBELL 10
#define SRC_LDS_DIRECT	 254

struct finder {
	struct exec_ctx *ctx;
	struct workgroup *wg;
	struct jit_code *c;
	uint32_t *map; /* open addressing: instruction index + 1 by pc */
	uint64_t *todo;
	uint32_t num_todo, capacity;
	uint8_t *leader; /* by instruction */
};

static uint32_t *map_slot(struct finder *f, uint64_t pc)
{
	uint32_t i = (uint32_t)(pc >> 2) * 2654435761u % MAP_SIZE;

	while (f->map[i] && f->c->inst[f->map[i] - 1].pc != pc)
		i = (i + 1) % MAP_SIZE;
	return &f->map[i];
}

static uint32_t find(struct finder *f, uint64_t pc)
{
	uint32_t v = *map_slot(f, pc);

	return v ? v - 1 : NO_INST;
}

static enum jit_term term_of(const struct isa_inst *in, bool multi_wave)
{
	for (unsigned i = 0; i < 3; i++)
		if (in->src[i].kind == ISA_OPND_SPECIAL && in->src[i].index == SRC_LDS_DIRECT)
			return TERM_INTERP;
	switch (in->op) {
	case ISA_S_BRANCH:
		return TERM_BRANCH;
	case ISA_S_CBRANCH_SCC0:
	case ISA_S_CBRANCH_SCC1:
	case ISA_S_CBRANCH_VCCZ:
	case ISA_S_CBRANCH_VCCNZ:
	case ISA_S_CBRANCH_EXECZ:
	case ISA_S_CBRANCH_EXECNZ:
		return TERM_COND;
	case ISA_S_ENDPGM:
	case ISA_S_ENDPGM_SAVED:
		return TERM_END;
	case ISA_S_BARRIER:
		return multi_wave ? TERM_BARRIER : TERM_FALL;
	case ISA_S_SLEEP:
		return TERM_SLEEP;
	case ISA_OP_INVALID:
	case ISA_S_CBRANCH_CDBGSYS:
	case ISA_S_CBRANCH_CDBGUSER:
	case ISA_S_CBRANCH_CDBGSYS_OR_USER:
	case ISA_S_CBRANCH_CDBGSYS_AND_USER:
	case ISA_S_CBRANCH_I_FORK:
	case ISA_S_CBRANCH_G_FORK:
	case ISA_S_CBRANCH_JOIN:
	case ISA_S_SETPC_B64:
	case ISA_S_SWAPPC_B64:
	case ISA_S_CALL_B64:
	case ISA_S_RFE_B64:
	case ISA_S_RFE_RESTORE_B64:
	case ISA_S_ICACHE_INV:
	case ISA_S_SETHALT:
	case ISA_S_TRAP:
	case ISA_S_MOVRELS_B32:
	case ISA_S_MOVRELS_B64:
	case ISA_S_MOVRELD_B32:
	case ISA_S_MOVRELD_B64:
	case ISA_S_SET_GPR_IDX_ON:
	case ISA_S_SET_GPR_IDX_OFF:
	case ISA_S_SET_GPR_IDX_IDX:
	case ISA_S_SET_GPR_IDX_MODE:
	case ISA_S_SETREG_B32:
		return TERM_INTERP;
	case ISA_S_SETREG_IMM32_B32: /* of MODE, the fields that compiled code knows nothing of */
		return (in->simm & 63) == HWREG_MODE && (in->simm >> 6 & 31) + (in->simm >> 11 & 31) >= MODE_HIGH_BIT ? TERM_INTERP : TERM_FALL;
	case ISA_S_SENDMSG: /* changes EXEC */
		return (in->simm & 0xf) == MSG_GET_DOORBELL ? TERM_INTERP : TERM_FALL;
	case ISA_S_SETVSKIP:
	case ISA_S_SETKILL:
	case ISA_S_SENDMSGHALT:
	case ISA_S_ENDPGM_ORDERED_PS_DONE:
	case ISA_DS_GWS_INIT:
	case ISA_DS_GWS_BARRIER:
	case ISA_DS_GWS_SEMA_V:
	case ISA_DS_GWS_SEMA_BR:
	case ISA_DS_GWS_SEMA_P:
	case ISA_DS_GWS_SEMA_RELEASE_ALL:
		return TERM_INTERP;
	default:
		return TERM_FALL;
	}
}

/* ------------------------------------------------------------------ jumps to known places */

/* Scalar registers that are known, for branches further than s_branch goes: s_getpc_b64, additions of constants, s_setpc_b64. */
struct constants {
	bool known[WAVE_SGPRS], scc_known;
	uint32_t value[WAVE_SGPRS], scc;
};

static bool constant(const struct constants *k, const struct isa_operand *o, uint32_t *value)
{
	if (o->kind == ISA_OPND_CONST)
		*value = (uint32_t)o->value;
	else if (o->kind == ISA_OPND_SGPR && k->known[o->index])
		*value = k->value[o->index];
	return o->kind == ISA_OPND_CONST || (o->kind == ISA_OPND_SGPR && k->known[o->index]);
}

static void forget(struct constants *k, const struct isa_operand *o)
{
	for (unsigned d = 0; o->kind == ISA_OPND_SGPR && d < (o->dwords ? o->dwords : 1) && o->index + d < WAVE_SGPRS; d++)
		k->known[o->index + d] = false;
}

static void after(struct constants *k, const struct jit_inst *ji)
{
	const struct isa_inst *in = &ji->ci.inst;
	unsigned d = in->dst[0].index;
	uint64_t next = ji->pc + ji->ci.size;
	uint32_t a = 0, b = 0, carry = k->scc;
	bool plain = in->dst[0].kind == ISA_OPND_SGPR && in->dst[0].dwords <= 1, both = constant(k, &in->src[0], &a) && constant(k, &in->src[1], &b);
	bool with_carry = both && k->scc_known;

	forget(k, &in->dst[0]);
	forget(k, &in->dst[1]);
	k->scc_known &= !in->writes_scc;
	switch (in->op) {
	case ISA_S_GETPC_B64:
		if (in->dst[0].kind != ISA_OPND_SGPR || d + 1 >= WAVE_SGPRS)
			return;
		k->known[d] = k->known[d + 1] = true;
		k->value[d] = (uint32_t)next;
		k->value[d + 1] = (uint32_t)(next >> 32);
		return;
	case ISA_S_ADD_I32: /* of signed overflow nothing is known */
		if (plain && both) {
			k->known[d] = true;
			k->value[d] = a + b;
		}
		return;
	case ISA_S_ADD_U32:
		if (plain && both) {
			k->known[d] = k->scc_known = true;
			k->value[d] = a + b;
			k->scc = a + b < a;
		}
		return;
	case ISA_S_ADDC_U32:
		if (plain && with_carry) {
			uint64_t sum = (uint64_t)a + b + carry;

			k->known[d] = k->scc_known = true;
			k->value[d] = (uint32_t)sum;
			k->scc = (uint32_t)(sum >> 32);
		}
		return;
	case ISA_S_SUB_U32:
		if (plain && both) {
			k->known[d] = k->scc_known = true;
			k->value[d] = a - b;
			k->scc = a < b;
		}
		return;
	case ISA_S_SUBB_U32:
		if (plain && with_carry) {
			k->known[d] = k->scc_known = true;
			k->value[d] = a - b - carry;
			k->scc = a < (uint64_t)b + carry;
		}
		return;
	default:
		return;
	}
}

/* Where an s_setpc_b64 leads; 0: not known. */
static uint64_t jump_target(const struct constants *k, const struct isa_inst *in)
{
	unsigned r = in->src[0].index;

	if (in->op != ISA_S_SETPC_B64 || in->src[0].kind != ISA_OPND_SGPR || r + 1 >= WAVE_SGPRS || !k->known[r] || !k->known[r + 1])
		return 0;
	return ((uint64_t)k->value[r + 1] << 32 | k->value[r]) & ~3ull;
}

static uint64_t branch_target(const struct jit_inst *ji)
{
	if (ji->jump)
		return ji->jump;
	return ji->pc + ji->ci.size + (int64_t)(int16_t)ji->ci.inst.simm * 4;
}

static bool later(struct finder *f, uint64_t pc)
{
	if (f->num_todo == JIT_MAX_BLOCKS)
		return false;
	f->todo[f->num_todo++] = pc;
	return true;
}

/* Decodes from pc on until the run is known or over. */
static bool follow(struct finder *f, uint64_t pc)
{
	struct jit_code *c = f->c;
	uint32_t prev = NO_INST, i;
	struct constants known = {.scc_known = false};

	for (;;) {
		struct code_page *page;
		const struct code_inst *ci;
		struct jit_inst *ji;
		enum jit_term term;

		i = find(f, pc);
		if (i != NO_INST) {
			f->leader[i] = 1;
			if (prev != NO_INST)
				c->inst[prev].next = i;
			return true;
		}
		if (c->num_inst == JIT_MAX_INSTS || (pc & 3))
			return false;
		page = code_page_get(f->ctx, f->wg->code, pc);
		ci = page ? code_inst_get(f->ctx, f->wg->code, page, pc) : NULL;
		if (!ci) {
			/* Not mapped, say: whoever gets there will fault. */
			f->ctx->error = EXEC_DONE;
			f->wg->fault = (struct exec_fault){0};
			return false;
		}
		i = c->num_inst++;
		ji = &c->inst[i];
		*ji = (struct jit_inst){.ci = *ci, .pc = pc, .block = NO_BLOCK, .next = NO_INST};
		if (ci->fn == exec_illegal || ci->vgprs > c->num_vgprs || ci->agprs > c->num_agprs)
			ji->ci.inst.op = ISA_OP_INVALID;
		*map_slot(f, pc) = i + 1;
		if (prev == NO_INST)
			f->leader[i] = 1;
		else
			c->inst[prev].next = i;
		term = term_of(&ji->ci.inst, c->multi_wave);
		ji->jump = jump_target(&known, &ji->ci.inst);
		after(&known, ji);
		if (ji->jump)
			term = TERM_BRANCH;
		if (term == TERM_INTERP || term == TERM_END)
			return true;
		if (term == TERM_BRANCH)
			return later(f, branch_target(ji));
		pc += ci->size;
		if (term == TERM_COND)
			return later(f, branch_target(ji)) && later(f, pc);
		if (term != TERM_FALL)
			return later(f, pc);
		prev = i;
	}
}

static bool make_blocks(struct finder *f)
{
	struct jit_code *c = f->c;

	c->block = calloc(JIT_MAX_BLOCKS, sizeof(*c->block));
	if (!c->block)
		return false;
	/* The entry is block 0. */
	for (uint32_t i = 0; i < c->num_inst; i++) {
		if (!f->leader[i])
			continue;
		if (c->num_blocks == JIT_MAX_BLOCKS)
			return false;
		c->inst[i].block = c->num_blocks;
		c->block[c->num_blocks++] = (struct jit_block){.pc = c->inst[i].pc, .first = i};
	}
	for (uint32_t b = 0; b < c->num_blocks; b++) {
		struct jit_block *blk = &c->block[b];
		struct constants known = {.scc_known = false};
		uint32_t i = blk->first;

		blk->succ[0] = blk->succ[1] = NO_BLOCK;
		for (;; i = c->inst[i].next) {
			struct jit_inst *ji = &c->inst[i];
			uint64_t next = ji->pc + ji->ci.size;

			blk->count++;
			blk->term = term_of(&ji->ci.inst, c->multi_wave);
			/* If the way to it begins in this block. */
			if (ji->jump && jump_target(&known, &ji->ci.inst) == ji->jump)
				blk->term = TERM_BRANCH;
			after(&known, ji);
			if (blk->term == TERM_BRANCH || blk->term == TERM_COND) {
				blk->succ[0] = c->inst[find(f, branch_target(ji))].block;
				if (c->block[blk->succ[0]].pc <= ji->pc)
					c->block[blk->succ[0]].back = c->block[blk->succ[0]].safe = true;
			}
			if (blk->term == TERM_COND)
				blk->succ[1] = c->inst[find(f, next)].block;
			if (blk->term == TERM_BARRIER || blk->term == TERM_SLEEP) {
				blk->succ[0] = c->inst[find(f, next)].block;
				c->block[blk->succ[0]].safe = true;
			}
			if (blk->term != TERM_FALL)
				break;
			if (c->inst[ji->next].block != NO_BLOCK) {
				blk->succ[0] = c->inst[ji->next].block;
				break;
			}
		}
	}
	c->block[0].safe = true;
	return true;
}

static int by_va(const void *a, const void *b)
{
	const struct jit_inst *const *x = a, *const *y = b;

	return (*x)->pc < (*y)->pc ? -1 : (*x)->pc > (*y)->pc;
}

/* Copies the machine code, in ranges without gaps (of at most a page). */
static bool copy_bytes(struct finder *f)
{
	struct jit_code *c = f->c;
	const struct jit_inst **sorted = calloc(c->num_inst, sizeof(*sorted));
	bool ok = sorted;

	c->range = calloc(c->num_inst, sizeof(*c->range));
	ok = ok && c->range;
	for (uint32_t i = 0; ok && i < c->num_inst; i++)
		sorted[i] = &c->inst[i];
	if (ok)
		qsort(sorted, c->num_inst, sizeof(*sorted), by_va);
	for (uint32_t i = 0; ok && i < c->num_inst; i++) {
		/* s_trap and the like are 4 bytes; an undecodable word counts as one, too. */
		uint32_t size = sorted[i]->ci.size ? sorted[i]->ci.size : 4;
		struct jit_bytes *r = c->num_ranges ? &c->range[c->num_ranges - 1] : NULL;

		if (r && r->va + r->size >= sorted[i]->pc) {
			if (sorted[i]->pc + size > r->va + r->size)
				r->size = sorted[i]->pc + size - r->va;
			continue;
		}
		c->range[c->num_ranges++] = (struct jit_bytes){.va = sorted[i]->pc, .size = size};
	}
	for (uint32_t i = 0; ok && i < c->num_ranges; i++) {
		c->range[i].bytes = malloc(c->range[i].size);
		ok = c->range[i].bytes && exec_mem_read(f->ctx, c->range[i].va, c->range[i].bytes, c->range[i].size);
	}
	if (f->ctx->error != EXEC_DONE) {
		f->ctx->error = EXEC_DONE;
		f->wg->fault = (struct exec_fault){0};
	}
	free(sorted);
	return ok;
}

bool jit_code_same(struct exec_ctx *ctx, const struct jit_code *c)
{
	uint8_t buf[256];

	/* Memory is pageable, or not, as it was then. */
	if (c->paging != (ctx->view->ask != NULL))
		return false;
	for (uint32_t i = 0; i < c->num_ranges; i++)
		for (uint32_t at = 0; at < c->range[i].size; at += sizeof(buf)) {
			uint32_t n = c->range[i].size - at < sizeof(buf) ? c->range[i].size - at : sizeof(buf);

			if (!mem_translate(ctx->view, c->range[i].va + at, GPU_PROT_EXEC) ||
			    !exec_mem_read(ctx, c->range[i].va + at, buf, n)) {
				ctx->error = EXEC_DONE;
				ctx->wave->wg->fault = (struct exec_fault){0};
				return false;
			}
			if (memcmp(buf, c->range[i].bytes + at, n))
				return false;
		}
	return true;
}

struct jit_code *jit_discover(struct exec_ctx *ctx, struct workgroup *wg, uint64_t entry_pc, uint32_t mode)
{
	struct jit_code *c = calloc(1, sizeof(*c));
	struct finder f = {.ctx = ctx, .wg = wg, .c = c};
	struct jit_inst *fit;
	bool ok;

	if (mode >> MODE_HIGH_BIT) {
		free(c);
		return NULL;
	}
	if (!c)
		return NULL;
	c->entry_pc = entry_pc;
	c->target = wg->target;
	c->num_vgprs = wg->waves[0].num_vgprs;
	c->num_agprs = wg->waves[0].num_agprs;
	c->mode = mode;
	c->multi_wave = wg->num_waves > 1;
	for (unsigned i = 0; i < 3; i++) {
		c->wg_size[i] = wg->size[i];
		c->id_sgpr[i] = wg->id_sgpr[i];
	}
	c->id_vgprs = wg->id_vgprs;
	c->paging = ctx->view->ask;
	c->inst = calloc(JIT_MAX_INSTS, sizeof(*c->inst));
	f.map = calloc(MAP_SIZE, sizeof(*f.map));
	f.todo = calloc(JIT_MAX_BLOCKS, sizeof(*f.todo));
	f.leader = calloc(JIT_MAX_INSTS, 1);
	ok = c->inst && f.map && f.todo && f.leader && later(&f, entry_pc);
	for (uint32_t i = 0; ok && i < f.num_todo; i++)
		ok = follow(&f, f.todo[i]);
	ok = ok && make_blocks(&f) && copy_bytes(&f);
	free(f.map);
	free(f.todo);
	free(f.leader);
	fit = ok ? realloc(c->inst, c->num_inst * sizeof(*c->inst)) : NULL;
	if (!ok) {
		jit_code_free(c);
		return NULL;
	}
	if (fit)
		c->inst = fit;
	return c;
}
