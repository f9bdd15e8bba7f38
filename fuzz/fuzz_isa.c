// SPDX-License-Identifier: MIT
/*
 * fuzz_isa.c - instruction words through the decoder and the printer, for both targets.
 *
 * Input: bytes of machine code, decoded from each dword on as the interpreter does, with all that follows and with too
 * little.
 */
#include "fuzz/input.h"

#include <errno.h>

#include "gpu/soft/exec/exec.h"
#include "gpu/soft/isa/isa.h"

#define MAX_DWORDS 256

static void operand(const struct isa_operand *o)
{
	static const uint16_t last[] = {
		[ISA_OPND_SGPR] = 127, [ISA_OPND_VGPR] = 255, [ISA_OPND_AGPR] = 255, [ISA_OPND_SPECIAL] = 254};

	MUST(o->kind <= ISA_OPND_SPECIAL && o->type <= ISA_T_WIDE && o->dwords <= 32);
	if (o->kind != ISA_OPND_NONE && o->kind != ISA_OPND_CONST)
		MUST(o->index <= last[o->kind]);
}

static void decode(enum isa_target target, const uint32_t *words, size_t n, uint64_t pc)
{
	struct isa_inst inst, again;
	char text[512], small[16];
	int size = isa_decode(target, words, n, &inst), length;

	if (size < 0) {
		MUST(size == -EINVAL || size == -ENODATA);
		MUST(n < 3 || size == -EINVAL);
		return;
	}
	MUST((size == 4 || size == 8 || size == 12) && (size_t)size <= n * 4 && inst.size == size);
	MUST(inst.op > ISA_OP_INVALID && inst.op < ISA_NUM_OPS && inst.format <= ISA_FMT_EXP);
	MUST(isa_op_name(inst.op)[0]);
	for (unsigned i = 0; i < 2; i++)
		operand(&inst.dst[i]);
	for (unsigned i = 0; i < 4; i++)
		operand(&inst.src[i]);
	/* What follows the instruction does not change it. */
	memset(&again, 0xa5, sizeof(again));
	MUST(isa_decode(target, words, (size_t)size / 4, &again) == size && again.op == inst.op);
	length = isa_print(text, sizeof(text), &inst, pc);
	MUST(length > 0 && (size_t)length < sizeof(text) && strlen(text) == (size_t)length);
	MUST(isa_print(small, sizeof(small), &inst, pc) == length && strlen(small) < sizeof(small));
	MUST(!strncmp(small, text, sizeof(small) - 1));
	exec_covers(target, inst.op);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t *words;
	size_t n = size / 4;

	if (n > MAX_DWORDS)
		n = MAX_DWORDS;
	/* Of exactly that size, so that reading on is seen. */
	words = malloc(n * 4 + !n);
	if (n)
		memcpy(words, data, n * 4);
	for (enum isa_target target = ISA_GFX900; target < ISA_NUM_TARGETS; target++)
		for (size_t i = 0; i < n; i++)
			decode(target, words + i, n - i, 0x1000 + i * 4);
	free(words);
	return 0;
}
