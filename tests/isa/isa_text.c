/* SPDX-License-Identifier: MIT */
/*
 * isa_text.c - the decoder as a filter, for comparing it with another one.
 *
 *   isa_text TARGET                    each input line is one instruction's bytes ("0x7e 0x02
 * ..."); writes its text, or "invalid" isa_text --make TARGET SEED COUNT  writes COUNT
 * instructions' bytes for each row of the decoder's table: the row's fixed bits, and the rest drawn
 * at random, operands mostly sensible
 *
 * Instructions that the decoder refuses (say, a misaligned register pair) are left out of --make:
 * another decoder need not share its opinion of them.
 */
#include "gpu/soft/isa/isa.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	uint8_t targets;
	bool large; /* recognised only: operands are not decoded */
	uint64_t mask, value;
	uint8_t operands[6];
} rows[] = {
#define T_GFX900 (1 << ISA_GFX900)
#define T_GFX90A (1 << ISA_GFX90A)
#define ISA_ROW(t, name, fmt, m, v, fl, ...)                                                       \
	{t, ISA_FMT_##fmt == ISA_FMT_MIMG || ISA_FMT_##fmt == ISA_FMT_EXP, m, v, {__VA_ARGS__}},
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_ROW
};

static const struct {
	uint8_t pos, width, low;
	bool align;
} fields[] = {
#define ISA_OPERAND(n, slot, pos, width, low, epos, ebit, what, type, dwords)                      \
	[n] = {pos, width, low, (dwords) > 1},
#include "gpu/soft/isa/isa_table.inc"
#undef ISA_OPERAND
};

static uint64_t state;

static uint64_t draw(void)
{
	/* splitmix64: the same instructions on every machine */
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* A value for a source field of 8 or more bits that is likely to name something. */
static uint64_t draw_code(unsigned width)
{
	static const uint8_t special[] = {102, 104, 106, 108, 124, 126, 128, 192, 193, 208,
					  235, 236, 237, 238, 239, 240, 241, 242, 243, 244,
					  245, 246, 247, 248, 251, 252, 253, 255};
	uint64_t vector = width > 8 ? 256 : 0;

	switch (draw() % 4) {
	case 0:
		return special[draw() % sizeof(special)];
	case 1:
		return draw() % 102;
	default:
		return vector | (draw() & 0xff);
	}
}

static uint64_t make(size_t row)
{
	/* Few modifier bits at a time, at times none at all. */
	uint64_t w = draw() & draw() & (draw() % 4 ? draw() : 0);

	for (unsigned i = 0; i < 6 && rows[row].operands[i]; i++) {
		unsigned f = rows[row].operands[i], width = fields[f].width;
		uint64_t v = width >= 8 && width < 32 ? draw_code(width) : draw();

		if (fields[f].align && !fields[f].low)
			v &= ~3ull;
		if (!width)
			continue;
		v &= (1ull << width) - 1;
		w &= ~(((1ull << width) - 1) << fields[f].pos);
		w |= v << fields[f].pos;
	}
	return (w & ~rows[row].mask) | rows[row].value;
}

static void make_all(enum isa_target target, uint64_t seed, unsigned count)
{
	struct isa_inst inst;

	state = seed;
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		if (!(rows[row].targets & 1u << target) || rows[row].large)
			continue;
		for (unsigned n = 0, tries = 0; n < count && tries < 40 * count; tries++) {
			uint64_t w = make(row);
			uint32_t words[2] = {(uint32_t)w, (uint32_t)(w >> 32)};
			int size;

			if (rows[row].mask >> 32 == 0 && draw() % 2)
				words[1] = (uint32_t)draw();
			size = isa_decode(target, words, 2, &inst);
			if (size <= 0)
				continue;
			for (int i = 0; i < size; i++)
				printf("%s0x%02x", i ? " " : "", words[i / 4] >> i % 4 * 8 & 0xff);
			putchar('\n');
			n++;
		}
	}
}

static void print_all(enum isa_target target)
{
	char line[1024], text[256];

	while (fgets(line, sizeof(line), stdin)) {
		uint32_t words[4] = {0};
		unsigned n = 0;
		struct isa_inst inst;
		int size;

		for (char *p = strtok(line, " ,[]\t\n"); p && n < sizeof(words);
		     p = strtok(NULL, " ,[]\t\n"), n++)
			words[n / 4] |= (uint32_t)(strtoul(p, NULL, 16) & 0xff) << n % 4 * 8;
		size = isa_decode(target, words, n / 4, &inst);
		if (size < 0) {
			puts("invalid");
			continue;
		}
		isa_print(text, sizeof(text), &inst, 0);
		if ((unsigned)size != n)
			printf("size %d: %s\n", size, text);
		else
			puts(text);
	}
}

int main(int argc, char **argv)
{
	bool making = argc == 5 && !strcmp(argv[1], "--make");
	const char *name = making ? argv[2] : argc == 2 ? argv[1] : "";
	enum isa_target target = !strcmp(name, "gfx90a") ? ISA_GFX90A : ISA_GFX900;

	if (strcmp(name, "gfx900") && strcmp(name, "gfx90a")) {
		fprintf(stderr, "usage: isa_text gfx900|gfx90a, or isa_text --make gfx900|gfx90a "
				"SEED COUNT\n");
		return 2;
	}
	if (making)
		make_all(target, strtoull(argv[3], NULL, 0), (unsigned)strtoul(argv[4], NULL, 0));
	else
		print_all(target);
	return 0;
}
