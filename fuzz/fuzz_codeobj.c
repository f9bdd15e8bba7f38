// SPDX-License-Identifier: MIT
/*
 * fuzz_codeobj.c - code objects in a program's memory, in which the name of a faulting kernel is looked up.
 *
 * Input: where the descriptor is, then pieces: each says where it lies in 16 pages of GPU memory, and its bytes. Memory
 * begins as an object with one kernel, so that pieces change what a compiler made. What must hold: a name is printable and
 * fits, and looking it up costs a bounded number of reads.
 */
#include "fuzz/input.h"

#include <elf.h>
#include <errno.h>

#include "core/kernel_name.h"

#define BASE  0x7f0000000000ull
#define BYTES 0x10000u
#define READS 300000 /* what the budget allows */

static uint8_t memory[BYTES];
static unsigned reads;

static int read_memory(void *ctx, uint64_t va, void *buf, size_t size)
{
	reads++;
	if (va < BASE || va - BASE > BYTES || size > BYTES - (va - BASE))
		return -EFAULT;
	memcpy(buf, memory + (va - BASE), size);
	return 0;
}

/* Header at page 1; dynamic section, symbols, strings behind it; descriptor at 0x1800. */
static void make_object(void)
{
	Elf64_Ehdr h = {.e_type = ET_DYN, .e_machine = 224, .e_phoff = sizeof(h), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2};
	Elf64_Phdr p[2] = {{.p_type = PT_LOAD, .p_filesz = 0x1000}, {.p_type = PT_DYNAMIC, .p_vaddr = 0x200, .p_filesz = 6 * 16}};
	Elf64_Dyn d[6] = {{DT_SYMTAB, {0x300}}, {DT_STRTAB, {0x400}}, {DT_STRSZ, {0x40}}, {DT_HASH, {0x500}}, {DT_GNU_HASH, {0x600}},
			  {DT_NULL, {0}}};
	Elf64_Sym s[3] = {{0}, {.st_name = 1, .st_value = 0x900, .st_shndx = 7, .st_info = STT_FUNC},
			  {.st_name = 8, .st_value = 0x800, .st_shndx = 6, .st_info = STT_OBJECT}};
	uint8_t *at = memory + 0x1000;

	memset(memory, 0, sizeof(memory));
	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), p, sizeof(p));
	memcpy(at + 0x200, d, sizeof(d));
	memcpy(at + 0x300, s, sizeof(s));
	memcpy(at + 0x400, "\0kernel\0kernel.kd", 18);
	memcpy(at + 0x500, (uint32_t[]){1, 3}, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t first = take8(&in);
	uint64_t va = first < 0xc0 ? BASE + 0x1800 + (first & 15) * 0x1000ull : first < 0xf0 ? BASE + take16(&in) : take_number(&in);
	char *name;

	make_object();
	while (in.left) {
		uint32_t at = 0x1000 + take16(&in) % 0x800;
		uint8_t n = take8(&in);

		if (n & 0x80)
			at = take16(&in);
		if (n & 0x40) {
			uint64_t value = take_number(&in);

			memcpy(memory + at % (BYTES - 8), &value, 8);
		} else {
			take(&in, memory + at % (BYTES - 64), n & 63);
		}
	}
	reads = 0;
	for (size_t room = 1; room <= 184; room += 183) {
		name = malloc(room);
		if (kernel_name(read_memory, NULL, va, name, room)) {
			MUST(strnlen(name, room) < room);
			for (const char *c = name; *c; c++)
				MUST(*c > ' ' && *c <= '~');
		}
		free(name);
	}
	MUST(reads < READS);
	return 0;
}
