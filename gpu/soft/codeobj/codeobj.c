/* SPDX-License-Identifier: MIT */
/*
 * codeobj.c - loads an AMDGPU code object.
 *
 * libelf reads the file and checks its tables. Segments are copied into an image, where the few relocations of a linked code object are done
 * (LLVM AMDGPUUsage, "Relocation Records"). A relocatable object is loaded without any, for its code: of its sections the first executable one.
 */
#include "gpu/soft/codeobj/codeobj.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MACH_MASK	0xff
#define NOTE_METADATA	32 /* NT_AMDGPU_METADATA, name "AMDGPU" */
#define RELOC_ABS64	3  /* R_AMDGPU_ABS64 */
#define RELOC_RELATIVE64 13
#define PAGE		4096ull
#define SYMBOL_MAX	(1u << 22)

static const struct {
	uint8_t mach; /* EF_AMDGPU_MACH */
	enum isa_target target;
} targets[] = {{0x2c, ISA_GFX900}, {0x3f, ISA_GFX90A}};

static int no(char error[CODEOBJ_ERROR], int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, CODEOBJ_ERROR, fmt, ap);
	va_end(ap);
	return err;
}

static int check_header(struct codeobj *co, Elf *elf, GElf_Ehdr *h, char error[CODEOBJ_ERROR])
{
	if (!elf || elf_kind(elf) != ELF_K_ELF || gelf_getclass(elf) != ELFCLASS64 || !gelf_getehdr(elf, h))
		return no(error, -ENOEXEC, "not a 64-bit ELF file, or a truncated one");
	if (h->e_machine != EM_AMDGPU)
		return no(error, -ENOEXEC, "an ELF file for another machine (%u), not AMDGPU", h->e_machine);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if ((h->e_flags & MACH_MASK) == targets[i].mach) {
			co->target = targets[i].target;
			return 0;
		}
	return no(error, -ENOEXEC, "a code object for a GPU that is not supported (EF_AMDGPU_MACH 0x%x); gfx900 and gfx90a are",
		  (unsigned)h->e_flags & MACH_MASK);
}

/* ------------------------------------------------------------------ the image */

static int image_new(struct codeobj *co, uint64_t end, char error[CODEOBJ_ERROR])
{
	if (!end)
		return no(error, -ENOEXEC, "there is nothing to load in it");
	if (end > CODEOBJ_IMAGE_MAX)
		return no(error, -ENOEXEC, "it is larger than 1 GiB in memory");
	co->size = (end + PAGE - 1) & ~(PAGE - 1);
	co->image = mmap(NULL, co->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (co->image == MAP_FAILED) {
		co->image = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int load_segments(struct codeobj *co, Elf *elf, const uint8_t *bytes, size_t size, char error[CODEOBJ_ERROR])
{
	uint64_t end = 0;
	GElf_Phdr p;
	size_t n = 0;
	int err;

	if (elf_getphdrnum(elf, &n))
		return no(error, -ENOEXEC, "its program headers are broken");
	for (size_t i = 0; i < n; i++) {
		if (!gelf_getphdr(elf, (int)i, &p))
			return no(error, -ENOEXEC, "its program headers are truncated");
		if (p.p_type != PT_LOAD)
			continue;
		if (p.p_filesz > p.p_memsz || p.p_offset > size || p.p_filesz > size - p.p_offset)
			return no(error, -ENOEXEC, "it is truncated: segment %zu lies beyond the end of the file", i);
		if (p.p_vaddr > CODEOBJ_IMAGE_MAX || p.p_memsz > CODEOBJ_IMAGE_MAX)
			return no(error, -ENOEXEC, "it is larger than 1 GiB in memory");
		if (p.p_vaddr + p.p_memsz > end)
			end = p.p_vaddr + p.p_memsz;
	}
	err = image_new(co, end, error);
	for (size_t i = 0; !err && i < n; i++)
		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD)
			memcpy(co->image + p.p_vaddr, bytes + p.p_offset, p.p_filesz);
	return err;
}

static int load_text(struct codeobj *co, Elf *elf, char error[CODEOBJ_ERROR])
{
	for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s));) {
		const Elf_Data *d;
		GElf_Shdr h;
		int err;

		if (!gelf_getshdr(s, &h) || !(h.sh_flags & SHF_EXECINSTR) || !h.sh_size)
			continue;
		d = elf_rawdata(s, NULL);
		if (!d || !d->d_buf || d->d_size != h.sh_size)
			return no(error, -ENOEXEC, "its code is truncated");
		err = image_new(co, d->d_size, error);
		if (!err)
			memcpy(co->image, d->d_buf, d->d_size);
		return err;
	}
	return no(error, -ENOEXEC, "there is no code in it");
}

/* ------------------------------------------------------------------ sections */

static void relocate(struct codeobj *co, Elf *elf, Elf_Scn *scn, const GElf_Shdr *h)
{
	Elf_Data *d = elf_getdata(scn, NULL), *symbols = NULL;
	Elf_Scn *link = elf_getscn(elf, h->sh_link);
	GElf_Rela r;

	if (link)
		symbols = elf_getdata(link, NULL);
	for (int i = 0; d && gelf_getrela(d, i, &r); i++) {
		uint64_t v = co->base + (uint64_t)r.r_addend;
		GElf_Sym sym;

		if (r.r_offset > co->size - 8) {
			co->bad_relocs++;
			continue;
		}
		if (GELF_R_TYPE(r.r_info) == RELOC_ABS64 && symbols && gelf_getsym(symbols, (int)GELF_R_SYM(r.r_info), &sym) &&
		    sym.st_shndx != SHN_UNDEF) {
			v += sym.st_value;
		} else if (GELF_R_TYPE(r.r_info) != RELOC_RELATIVE64) {
			co->bad_relocs++;
			continue;
		}
		memcpy(co->image + r.r_offset, &v, 8);
	}
}

static int add_code(struct codeobj *co, uint64_t start, uint64_t size)
{
	struct codeobj_range *more;

	if (!size || start >= co->size)
		return 0;
	more = reallocarray(co->code, co->num_code + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	co->code = more;
	more[co->num_code++] = (struct codeobj_range){start, size < co->size - start ? start + size : co->size};
	return 0;
}

static int add_symbols(struct codeobj *co, Elf *elf, Elf_Scn *scn, const GElf_Shdr *h, const GElf_Ehdr *eh)
{
	Elf_Data *d = elf_getdata(scn, NULL);
	GElf_Sym sym;
	size_t n = h->sh_entsize && d ? d->d_size / h->sh_entsize : 0;

	if (n > SYMBOL_MAX)
		n = SYMBOL_MAX;
	co->symbol = calloc(n ? n : 1, sizeof(*co->symbol));
	if (!co->symbol)
		return -ENOMEM;
	for (size_t i = 0; i < n && gelf_getsym(d, (int)i, &sym); i++) {
		const char *name = elf_strptr(elf, h->sh_link, sym.st_name);
		struct codeobj_symbol *s = &co->symbol[co->num_symbols];

		if (!name || !*name || sym.st_shndx == SHN_UNDEF || GELF_ST_TYPE(sym.st_info) == STT_FILE || GELF_ST_TYPE(sym.st_info) == STT_SECTION ||
		    sym.st_value >= co->size)
			continue;
		/* Of a relocatable object only the code is in the image. */
		if (eh->e_type == ET_REL) {
			Elf_Scn *of = elf_getscn(elf, sym.st_shndx);
			GElf_Shdr oh;

			if (!of || !gelf_getshdr(of, &oh) || !(oh.sh_flags & SHF_EXECINSTR))
				continue;
		}
		s->name = strdup(name);
		if (!s->name)
			return -ENOMEM;
		s->value = sym.st_value;
		s->size = sym.st_size < co->size - sym.st_value ? sym.st_size : co->size - sym.st_value;
		s->function = GELF_ST_TYPE(sym.st_info) == STT_FUNC;
		co->num_symbols++;
	}
	return 0;
}

/* A library that was linked of many objects has a note of each. */
static int read_notes(struct codeobj *co, Elf_Data *d, char error[CODEOBJ_ERROR])
{
	size_t at = 0, name, text;
	GElf_Nhdr n;
	int err = 0;

	while (!err && d && (at = gelf_getnote(d, at, &n, &name, &text)) > 0)
		if (n.n_type == NOTE_METADATA && n.n_namesz == 7 && !memcmp((char *)d->d_buf + name, "AMDGPU", 7))
			err = codeobj_metadata(co, (const uint8_t *)d->d_buf + text, n.n_descsz, error);
	return err;
}

static int read_sections(struct codeobj *co, Elf *elf, const GElf_Ehdr *eh, char error[CODEOBJ_ERROR])
{
	size_t num = 0;
	int err = 0;

	if (elf_getshdrnum(elf, &num) || (eh->e_shoff && !num))
		return no(error, -ENOEXEC, "its section headers are truncated");
	for (Elf_Scn *s = NULL; !err && (s = elf_nextscn(elf, s));) {
		GElf_Shdr h;

		if (!gelf_getshdr(s, &h))
			return no(error, -ENOEXEC, "its section headers are broken");
		if (h.sh_type == SHT_RELA && (h.sh_flags & SHF_ALLOC) && eh->e_type == ET_DYN)
			relocate(co, elf, s, &h);
		else if (h.sh_type == SHT_PROGBITS && (h.sh_flags & SHF_EXECINSTR) && !(eh->e_type == ET_REL && co->num_code))
			err = add_code(co, h.sh_addr, h.sh_size);
		else if ((h.sh_type == SHT_SYMTAB || (h.sh_type == SHT_DYNSYM && !co->symbol)) && !(h.sh_type == SHT_SYMTAB && co->symbol && co->num_symbols == SYMBOL_MAX)) {
			/* The static table has the dynamic one's symbols, too. */
			for (size_t i = 0; i < co->num_symbols; i++)
				free(co->symbol[i].name);
			free(co->symbol);
			co->symbol = NULL;
			co->num_symbols = 0;
			err = add_symbols(co, elf, s, &h, eh);
		} else if (h.sh_type == SHT_NOTE) {
			err = read_notes(co, elf_getdata_rawchunk(elf, (int64_t)h.sh_offset, h.sh_size, ELF_T_NHDR), error);
		}
	}
	return err;
}

/* A stripped file has its note in a segment only. */
static int read_note_segments(struct codeobj *co, Elf *elf, char error[CODEOBJ_ERROR])
{
	size_t n = 0;
	GElf_Phdr p;
	int err = 0;

	elf_getphdrnum(elf, &n);
	for (size_t i = 0; !err && i < n; i++)
		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_NOTE)
			err = read_notes(co, elf_getdata_rawchunk(elf, (int64_t)p.p_offset, p.p_filesz, ELF_T_NHDR), error);
	return err;
}

/* ------------------------------------------------------------------ kernels */

static int by_value(const void *a, const void *b)
{
	const struct codeobj_symbol *x = a, *y = b;

	return x->value != y->value ? (x->value < y->value ? -1 : 1) : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct codeobj_kernel *)a)->name, ((const struct codeobj_kernel *)b)->name);
}

static int by_symbol_name(const void *a, const void *b)
{
	const struct codeobj_symbol *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* The symbol of that name, one of those that by_symbol_name() has sorted. */
static const struct codeobj_symbol *find_symbol(const struct codeobj_symbol **sorted, size_t n, char *name)
{
	const struct codeobj_symbol key = {.name = name}, *wanted = &key, **found = bsearch(&wanted, sorted, n, sizeof(*sorted), by_symbol_name);

	return found ? *found : NULL;
}

/* Kernels that only have a descriptor: of assembly without metadata. */
static int add_bare_kernels(struct codeobj *co)
{
	if (co->num_kernels)
		return 0;
	for (size_t i = 0; i < co->num_symbols && co->num_kernels < CODEOBJ_KERNEL_MAX; i++) {
		const struct codeobj_symbol *s = &co->symbol[i];
		size_t n = strlen(s->name);
		struct kernel_descriptor kd;
		struct codeobj_kernel *more;

		if (n < 4 || strcmp(s->name + n - 3, ".kd") || co->size < sizeof(kd) || s->value > co->size - sizeof(kd))
			continue;
		more = reallocarray(co->kernel, co->num_kernels + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		co->kernel = more;
		more += co->num_kernels;
		memcpy(&kd, co->image + s->value, sizeof(kd));
		*more = (struct codeobj_kernel){.name = strndup(s->name, n - 3), .lds = kd.group_segment_size, .scratch = kd.private_segment_size,
						.kernarg = kd.kernarg_size, .wave_size = 64, .max_group = 1024};
		if (!more->name)
			return -ENOMEM;
		/* GRANULATED_WORKITEM_VGPR_COUNT, ACCUM_OFFSET: what is allocated, not what is used. */
		more->vgprs = co->target == ISA_GFX90A ? ((kd.rsrc1 & 63) + 1) * 8 : ((kd.rsrc1 & 63) + 1) * 4;
		more->sgprs = ((kd.rsrc1 >> 6 & 15) / 2 + 1) * 16;
		co->num_kernels++;
	}
	return 0;
}

static int find_kernels(struct codeobj *co, bool linked)
{
	const struct codeobj_symbol **sorted = calloc(co->num_symbols + 1, sizeof(*sorted));
	int err = sorted ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < co->num_symbols; i++)
		sorted[i] = &co->symbol[i];
	if (!err)
		qsort(sorted, co->num_symbols, sizeof(*sorted), by_symbol_name);
	for (uint32_t i = 0; !err && i < co->num_kernels; i++) {
		struct codeobj_kernel *k = &co->kernel[i];
		const struct codeobj_symbol *s, *f;
		struct kernel_descriptor kd;
		char *name;

		if (asprintf(&name, "%s.kd", k->name) < 0) {
			err = -ENOMEM;
			break;
		}
		s = find_symbol(sorted, co->num_symbols, name);
		f = find_symbol(sorted, co->num_symbols, k->name);
		free(name);
		if (linked && s && co->size >= sizeof(kd) && s->value <= co->size - sizeof(kd)) {
			memcpy(&kd, co->image + s->value, sizeof(kd));
			k->descriptor = s->value;
			k->entry = s->value + (uint64_t)kd.entry_offset;
		} else if (f && f->function) {
			k->entry = f->value;
		}
		if (f && f->function && f->value == k->entry)
			k->code_size = f->size;
	}
	free(sorted);
	return err;
}

static int load(struct codeobj *co, const void *bytes, size_t size, uint64_t base, char error[CODEOBJ_ERROR])
{
	Elf *elf;
	GElf_Ehdr h;
	int err;

	elf_version(EV_CURRENT);
	/* libelf's type has no const, but what is opened so is only read. */
	elf = elf_memory((char *)(uintptr_t)bytes, size);
	err = check_header(co, elf, &h, error);
	if (!err && h.e_type == ET_DYN)
		err = load_segments(co, elf, bytes, size, error);
	else if (!err)
		err = load_text(co, elf, error);
	co->base = base == CODEOBJ_IDENTITY ? (uintptr_t)co->image : base;
	if (!err)
		err = read_sections(co, elf, &h, error);
	if (!err && !co->kernel)
		err = read_note_segments(co, elf, error);
	elf_end(elf);
	if (!err)
		err = add_bare_kernels(co);
	if (err)
		return err;
	if (co->num_symbols)
		qsort(co->symbol, co->num_symbols, sizeof(*co->symbol), by_value);
	err = find_kernels(co, h.e_type == ET_DYN);
	if (co->num_kernels)
		qsort(co->kernel, co->num_kernels, sizeof(*co->kernel), by_name);
	return err;
}

int codeobj_open(struct codeobj *co, const void *bytes, size_t size, uint64_t base, char error[CODEOBJ_ERROR])
{
	int err;

	memset(co, 0, sizeof(*co));
	error[0] = 0;
	err = load(co, bytes, size, base, error);
	if (err) {
		codeobj_free(co);
		if (!error[0])
			no(error, err, "%s", strerror(-err));
	}
	return err;
}

int codeobj_load(struct codeobj *co, const char *path)
{
	char error[CODEOBJ_ERROR];
	struct codeobj_file file;
	int err = codeobj_file_read(&file, path, error);

	if (err)
		return err;
	err = codeobj_open(co, file.bytes + file.entry[0].offset, file.entry[0].size, CODEOBJ_IDENTITY, error);
	codeobj_file_free(&file);
	return err;
}

void codeobj_free(struct codeobj *co)
{
	if (co->image)
		munmap(co->image, co->size);
	for (size_t i = 0; i < co->num_symbols; i++)
		free(co->symbol[i].name);
	for (uint32_t i = 0; i < co->num_kernels; i++) {
		for (uint32_t a = 0; a < co->kernel[i].num_args; a++) {
			free(co->kernel[i].arg[a].name);
			free(co->kernel[i].arg[a].type);
		}
		free(co->kernel[i].arg);
		free(co->kernel[i].name);
	}
	free(co->symbol);
	free(co->kernel);
	free(co->code);
	memset(co, 0, sizeof(*co));
}

/* ------------------------------------------------------------------ looking up */

void *codeobj_symbol(const struct codeobj *co, const char *name)
{
	for (size_t i = 0; i < co->num_symbols; i++)
		if (!strcmp(co->symbol[i].name, name))
			return co->image + co->symbol[i].value;
	return NULL;
}

const struct codeobj_kernel *codeobj_kernel(const struct codeobj *co, const char *name)
{
	for (uint32_t i = 0; i < co->num_kernels; i++)
		if (!strcmp(co->kernel[i].name, name))
			return &co->kernel[i];
	return NULL;
}

const struct codeobj_symbol *codeobj_function_at(const struct codeobj *co, uint64_t value)
{
	const struct codeobj_symbol *found = NULL;

	for (size_t i = 0; i < co->num_symbols && co->symbol[i].value <= value; i++)
		if (co->symbol[i].function)
			found = &co->symbol[i];
	return found && (value < found->value + found->size || !found->size) ? found : NULL;
}
