/* SPDX-License-Identifier: MIT */
/*
 * op_coverage.c - which operations of existing GPU code the interpreter can't run.
 *
 * usage: op_coverage [--list|--tap] FILE...
 * Looks in each file (code object, or a library with code objects inside) for AMDGPU ELF images of gfx900 and gfx90a, decodes their code
 * with the project's decoder, and prints what was not decoded and which operations have no semantics, with counts; with --list also those that were met, as
 * "use TARGET OPERATION COUNT". Exit status 1 if something is missing. tests/exec/coverage runs it on all ROCm packages of Debian 13; in the suite it sees the tests' kernels only.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gpu/soft/exec/exec.h"

#define EM_AMDGPU_NUMBER 224
#define SHOW_UNDECODED	 20

static const char *const target_name[ISA_NUM_TARGETS] = {"gfx900", "gfx90a"};
static uint64_t uses[ISA_NUM_TARGETS][ISA_NUM_OPS], undecoded[ISA_NUM_TARGETS], images[ISA_NUM_TARGETS];

static bool target_of(uint32_t flags, enum isa_target *target)
{
	if ((flags & 0xff) == 0x2c)
		*target = ISA_GFX900;
	else if ((flags & 0xff) == 0x3f)
		*target = ISA_GFX90A;
	else
		return false;
	return true;
}

static void scan_code(enum isa_target target, const uint8_t *code, size_t size)
{
	for (size_t at = 0; at + 4 <= size;) {
		uint32_t words[3] = {0};
		struct isa_inst inst;
		size_t left = size - at;
		int n;

		memcpy(words, code + at, left < 12 ? left : 12);
		n = isa_decode(target, words, left < 12 ? left / 4 : 3, &inst);
		if (n > 0) {
			uses[target][inst.op]++;
			at += n;
			continue;
		}
		if (undecoded[target]++ < SHOW_UNDECODED)
			printf("%s: not decoded: %08x %08x %08x\n", target_name[target], words[0], words[1], words[2]);
		at += 4;
	}
}

/* One ELF image; anything that does not fit in size bytes is passed over. */
static void scan_image(const uint8_t *elf, size_t size)
{
	const Elf64_Ehdr *h = (const void *)elf;
	const Elf64_Shdr *sections = (const void *)(elf + h->e_shoff);
	enum isa_target target;

	if (h->e_machine != EM_AMDGPU_NUMBER || !target_of(h->e_flags, &target) || h->e_shoff >= size ||
	    h->e_shnum > (size - h->e_shoff) / sizeof(*sections))
		return;
	images[target]++;
	/* Whole sections: hand-written kernels have symbols without a size. */
	for (unsigned i = 0; i < h->e_shnum; i++) {
		const Elf64_Shdr *s = &sections[i];

		if ((s->sh_flags & SHF_EXECINSTR) && s->sh_type == SHT_PROGBITS && s->sh_offset <= size &&
		    s->sh_size <= size - s->sh_offset)
			scan_code(target, elf + s->sh_offset, s->sh_size);
	}
}

static int scan_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const uint8_t *file;

	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)sizeof(Elf64_Ehdr)) {
		perror(path);
		return -1;
	}
	file = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (file == MAP_FAILED) {
		perror(path);
		return -1;
	}
	for (size_t at = 0; at + sizeof(Elf64_Ehdr) <= (size_t)st.st_size; at += 8)
		if (!memcmp(file + at, ELFMAG "\2\1\1", SELFMAG + 3))
			scan_image(file + at, st.st_size - at);
	munmap((void *)(uintptr_t)file, st.st_size);
	return 0;
}

int main(int argc, char **argv)
{
	bool list = argc > 1 && !strcmp(argv[1], "--list"), tap = argc > 1 && !strcmp(argv[1], "--tap");
	int status = 0;

	for (int i = 1 + (list || tap); i < argc; i++)
		if (scan_file(argv[i]))
			status = 2;
	if (tap)
		printf("1..%d\n", ISA_NUM_TARGETS);
	for (int t = 0; t < ISA_NUM_TARGETS; t++) {
		uint64_t total = 0, missing = 0;
		unsigned distinct = 0;

		for (unsigned op = 0; op < ISA_NUM_OPS; op++) {
			total += uses[t][op];
			distinct += uses[t][op] != 0;
			if (uses[t][op] && list)
				printf("use %s %s %llu\n", target_name[t], isa_op_name(op), (unsigned long long)uses[t][op]);
			if (uses[t][op] && !exec_covers(t, op)) {
				printf("%s%s: no semantics: %-32s %llu\n", tap ? "# " : "", target_name[t], isa_op_name(op),
				       (unsigned long long)uses[t][op]);
				missing += uses[t][op];
			}
		}
		if (tap)
			printf("%sok %d - ", total && !missing && !undecoded[t] ? "" : "not ", t + 1);
		printf("%s: %llu images, %llu instructions, %u operations; %llu not covered, %llu words not decoded\n", target_name[t],
		       (unsigned long long)images[t], (unsigned long long)total, distinct, (unsigned long long)missing,
		       (unsigned long long)undecoded[t]);
		if (missing || undecoded[t])
			status = status ? status : 1;
	}
	return status;
}
