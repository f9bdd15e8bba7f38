/* SPDX-License-Identifier: MIT */
/*
 * codeobj.c - loads AMDGPU code objects for tests.
 */
#include "tests/exec/codeobj.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MACH_MASK   0xff
#define MACH_GFX900 0x2c
#define MACH_GFX90A 0x3f
#define RELATIVE64  13 /* R_AMDGPU_RELATIVE64 */
#define PAGE	    4096ul

static const Elf64_Ehdr *header(const struct codeobj *co)
{
	return (const void *)co->file;
}

static const Elf64_Shdr *section(const struct codeobj *co, unsigned i)
{
	return (const Elf64_Shdr *)(const void *)(co->file + header(co)->e_shoff) + i;
}

static int read_file(struct codeobj *co, const char *path)
{
	FILE *f = fopen(path, "rb");
	long size;

	if (!f)
		return -errno;
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	co->file = malloc(size > 0 ? size : 1);
	co->file_size = size;
	if (!co->file || fread(co->file, 1, size, f) != (size_t)size) {
		fclose(f);
		return -EIO;
	}
	fclose(f);
	return 0;
}

static void relocate(struct codeobj *co)
{
	for (unsigned i = 0; i < header(co)->e_shnum; i++) {
		const Elf64_Shdr *s = section(co, i);

		if (s->sh_type != SHT_RELA || !(s->sh_flags & SHF_ALLOC))
			continue;
		for (size_t k = 0; k < s->sh_size / sizeof(Elf64_Rela); k++) {
			const Elf64_Rela *r = (const Elf64_Rela *)(const void *)(co->file + s->sh_offset) + k;
			uint64_t v = (uintptr_t)co->image + r->r_addend;

			if (ELF64_R_TYPE(r->r_info) == RELATIVE64 && r->r_offset + 8 <= co->size)
				memcpy(co->image + r->r_offset, &v, 8);
		}
	}
}

/* Segments of a linked object, or the one text section of a relocatable one. */
static int load_image(struct codeobj *co)
{
	const Elf64_Ehdr *h = header(co);
	const Elf64_Phdr *p = (const void *)(co->file + h->e_phoff);

	if (h->e_type == ET_DYN) {
		for (unsigned i = 0; i < h->e_phnum; i++)
			if (p[i].p_type == PT_LOAD && p[i].p_vaddr + p[i].p_memsz > co->size)
				co->size = p[i].p_vaddr + p[i].p_memsz;
	} else {
		for (unsigned i = 0; i < h->e_shnum; i++)
			if (section(co, i)->sh_flags & SHF_EXECINSTR)
				co->size = section(co, i)->sh_size;
	}
	if (!co->size)
		return -ENOEXEC;
	co->size = (co->size + PAGE - 1) & ~(PAGE - 1);
	co->image = mmap(NULL, co->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (co->image == MAP_FAILED) {
		co->image = NULL;
		return -ENOMEM;
	}
	if (h->e_type == ET_DYN) {
		for (unsigned i = 0; i < h->e_phnum; i++)
			if (p[i].p_type == PT_LOAD)
				memcpy(co->image + p[i].p_vaddr, co->file + p[i].p_offset, p[i].p_filesz);
		relocate(co);
	} else {
		for (unsigned i = 0; i < h->e_shnum; i++)
			if (section(co, i)->sh_flags & SHF_EXECINSTR)
				memcpy(co->image, co->file + section(co, i)->sh_offset, section(co, i)->sh_size);
	}
	return 0;
}

int codeobj_load(struct codeobj *co, const char *path)
{
	int err;

	memset(co, 0, sizeof(*co));
	err = read_file(co, path);
	if (!err && (co->file_size < sizeof(Elf64_Ehdr) || memcmp(co->file, ELFMAG, SELFMAG)))
		err = -ENOEXEC;
	if (!err) {
		switch (header(co)->e_flags & MACH_MASK) {
		case MACH_GFX900:
			co->target = ISA_GFX900;
			break;
		case MACH_GFX90A:
			co->target = ISA_GFX90A;
			break;
		default:
			err = -ENOEXEC;
		}
	}
	if (!err)
		err = load_image(co);
	if (err)
		codeobj_free(co);
	return err;
}

void codeobj_free(struct codeobj *co)
{
	if (co->image)
		munmap(co->image, co->size);
	free(co->file);
	memset(co, 0, sizeof(*co));
}

void *codeobj_symbol(const struct codeobj *co, const char *name)
{
	for (unsigned i = 0; i < header(co)->e_shnum; i++) {
		const Elf64_Shdr *s = section(co, i);
		const char *strings;

		if (s->sh_type != SHT_SYMTAB)
			continue;
		strings = (const char *)co->file + section(co, s->sh_link)->sh_offset;
		for (size_t k = 0; k < s->sh_size / sizeof(Elf64_Sym); k++) {
			const Elf64_Sym *sym = (const Elf64_Sym *)(const void *)(co->file + s->sh_offset) + k;

			if (!strcmp(strings + sym->st_name, name) && sym->st_value < co->size)
				return co->image + sym->st_value;
		}
	}
	return NULL;
}
