// SPDX-License-Identifier: MIT
/*
 * kernel_name.c - the name of a kernel, from the code object in GPU memory.
 *
 * Theory of operation: a code object is an ELF shared object whose loadable segments lie in GPU
 * memory at one distance from their link-time addresses. The first holds the ELF header, the
 * dynamic symbols and, behind them, the kernel descriptors. So from a descriptor one walks back,
 * page by page, to a page that begins with an ELF header, and looks in its dynamic symbol table
 * for the object NAME.kd whose address is the descriptor's. A header that does not know the
 * descriptor (something else that lies before it) is passed over.
 *
 * Nothing is trusted. Each piece is copied once and parsed from the copy, and every copy is paid
 * from one budget: headers on every page that all name huge tables cost what the budget allows.
 */
#include "core/kernel_name.h"

#include <elf.h>
#include <string.h>

#define PAGE	    4096ull
#define MAX_BACK    (64ull << 20) /* bytes a descriptor lies behind its ELF header at most */
#define MAX_PHDRS   16		  /* lld makes about ten */
#define MAX_DYNAMIC 64
#define BUDGET	    (8ull << 20) /* bytes read in all */
#define READ_COST   64		 /* what a small read counts */
#define CHUNK	    64		 /* symbols copied at once */

#ifndef EM_AMDGPU
#define EM_AMDGPU 224
#endif

struct object {
	kernel_name_read *read;
	void *ctx;
	uint64_t budget;
	uint64_t base; /* of the ELF header */
	uint64_t symtab, strtab, strsz, hash, gnu_hash;
};

static bool copy(struct object *o, uint64_t va, void *buf, size_t size)
{
	uint64_t cost = size < READ_COST ? READ_COST : size;

	if (o->budget < cost) {
		o->budget = 0;
		return false;
	}
	o->budget -= cost;
	return o->read(o->ctx, va, buf, size) == 0;
}

static bool header_ok(const Elf64_Ehdr *h)
{
	return !memcmp(h->e_ident, ELFMAG, SELFMAG) && h->e_ident[EI_CLASS] == ELFCLASS64 &&
	       h->e_ident[EI_DATA] == ELFDATA2LSB && h->e_type == ET_DYN &&
	       h->e_machine == EM_AMDGPU && h->e_phentsize == sizeof(Elf64_Phdr) && h->e_phnum &&
	       h->e_phnum <= MAX_PHDRS && h->e_phoff >= sizeof(*h) && h->e_phoff < PAGE;
}

static void note_dynamic(struct object *o, const Elf64_Dyn *d)
{
	switch (d->d_tag) {
	case DT_SYMTAB:
		o->symtab = d->d_un.d_ptr;
		break;
	case DT_STRTAB:
		o->strtab = d->d_un.d_ptr;
		break;
	case DT_STRSZ:
		o->strsz = d->d_un.d_val;
		break;
	case DT_HASH:
		o->hash = d->d_un.d_ptr;
		break;
	case DT_GNU_HASH:
		o->gnu_hash = d->d_un.d_ptr;
		break;
	}
}

static bool read_dynamic(struct object *o, const Elf64_Ehdr *h)
{
	Elf64_Phdr phdrs[MAX_PHDRS];
	Elf64_Dyn dynamic[MAX_DYNAMIC];
	size_t n = 0;

	if (!copy(o, o->base + h->e_phoff, phdrs, h->e_phnum * sizeof(phdrs[0])))
		return false;
	o->symtab = o->strtab = o->strsz = o->hash = o->gnu_hash = 0;
	for (unsigned i = 0; i < h->e_phnum && !n; i++) {
		if (phdrs[i].p_type != PT_DYNAMIC || phdrs[i].p_vaddr >= MAX_BACK * 4)
			continue;
		n = phdrs[i].p_filesz / sizeof(dynamic[0]);
		if (n > MAX_DYNAMIC)
			n = MAX_DYNAMIC;
		if (!n || !copy(o, o->base + phdrs[i].p_vaddr, dynamic, n * sizeof(dynamic[0])))
			return false;
	}
	for (size_t i = 0; i < n && dynamic[i].d_tag != DT_NULL; i++)
		note_dynamic(o, &dynamic[i]);
	/* As far as addresses are link-time ones of this object, they are small. */
	return o->symtab && o->strtab && o->symtab < MAX_BACK && o->strtab < MAX_BACK &&
	       o->strsz < MAX_BACK;
}

/* Number of dynamic symbols: the length of the hash table's chain; without one (only the GNU kind,
 * which does not tell) what lies between symbols and strings. */
static uint64_t num_symbols(struct object *o)
{
	uint32_t hash[2];

	if (o->hash && o->hash < MAX_BACK && copy(o, o->base + o->hash, hash, sizeof(hash)))
		return hash[1];
	for (unsigned i = 0; i < 2; i++) {
		uint64_t end = i ? o->gnu_hash : o->strtab;

		if (end > o->symtab)
			return (end - o->symtab) / sizeof(Elf64_Sym);
	}
	return 0;
}

/* Copies the string at offset of the string table up to its ".kd" and makes it printable. */
static bool take_name(struct object *o, uint32_t offset, char *name, size_t size)
{
	char text[512];
	size_t n = sizeof(text), len;

	if (offset >= o->strsz)
		return false;
	if (n > o->strsz - offset)
		n = o->strsz - offset;
	if (!copy(o, o->base + o->strtab + offset, text, n))
		return false;
	len = strnlen(text, n);
	if (len == n && n < sizeof(text))
		return false; /* not terminated */
	if (len < n) {
		if (len < 4 || memcmp(text + len - 3, ".kd", 3))
			return false;
		len -= 3;
	}
	if (len > size - 1)
		len = size - 1;
	for (size_t i = 0; i < len; i++)
		name[i] = text[i] > ' ' && text[i] <= '~' ? text[i] : '?';
	name[len] = 0;
	return true;
}

static bool find_symbol(struct object *o, uint64_t value, char *name, size_t size)
{
	uint64_t n = num_symbols(o);
	Elf64_Sym symbols[CHUNK];

	for (uint64_t first = 0; first < n; first += CHUNK) {
		size_t count = n - first < CHUNK ? n - first : CHUNK;

		if (!copy(o, o->base + o->symtab + first * sizeof(symbols[0]), symbols,
			  count * sizeof(symbols[0])))
			return false;
		for (size_t i = 0; i < count; i++)
			if (symbols[i].st_value == value && symbols[i].st_shndx != SHN_UNDEF &&
			    ELF64_ST_TYPE(symbols[i].st_info) == STT_OBJECT &&
			    take_name(o, symbols[i].st_name, name, size))
				return true;
	}
	return false;
}

bool kernel_name(kernel_name_read *read, void *ctx, uint64_t va, char *name, size_t size)
{
	struct object o = {.read = read, .ctx = ctx, .budget = BUDGET, .base = va & ~(PAGE - 1)};
	uint64_t last = va > MAX_BACK ? va - MAX_BACK : 0;

	name[0] = 0;
	for (; va && o.base >= last && o.budget; o.base -= PAGE) {
		Elf64_Ehdr header;

		if (!copy(&o, o.base, &header, sizeof(header)))
			return false; /* not mapped: no object reaches over a hole */
		if (header_ok(&header) && read_dynamic(&o, &header) &&
		    find_symbol(&o, va - o.base, name, size))
			return true;
		if (o.base < PAGE)
			break;
	}
	name[0] = 0;
	return false;
}
