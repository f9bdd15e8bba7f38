// SPDX-License-Identifier: MIT
/*
 * test_kernel_name.c - kernels' names from code objects in GPU memory: a real one as a loader leaves
 * it, and truncated, damaged, hostile ones. argv[1]: a code object.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernel_name.h"
#include "gpu/soft/codeobj/codeobj.h"

#define BASE 0x7f1234560000ull
#define MIB  (1ull << 20)

/* GPU memory: one mapping at BASE. */
struct memory {
	const uint8_t *bytes;
	uint64_t size;
	uint64_t reads, read_bytes;
};

static const char *path;
static struct codeobj object;
static struct codeobj_file file; /* that it is from */

static int read_memory(void *ctx, uint64_t va, void *buf, size_t size)
{
	struct memory *m = ctx;

	m->reads++;
	m->read_bytes += size;
	if (va < BASE || va - BASE > m->size || size > m->size - (va - BASE))
		return -EFAULT;
	memcpy(buf, m->bytes + (va - BASE), size);
	return 0;
}

static bool name_of(const uint8_t *bytes, uint64_t size, uint64_t offset, char name[184])
{
	struct memory m = {bytes, size, 0, 0};
	bool found = kernel_name(read_memory, &m, BASE + offset, name, 184);

	/* Bounded, whatever lies there; and text that a log can bear. */
	assert_true(m.read_bytes <= 8 * MIB);
	assert_true(m.reads <= 8 * MIB / 64 + 1);
	assert_true(strlen(name) < 184);
	for (const char *c = name; *c; c++)
		assert_true(*c > ' ' && *c <= '~');
	assert_true(found || !name[0]);
	return found;
}

/* The dynamic symbols of the file by its section headers, which are not in GPU memory. */
static unsigned symbols(const Elf64_Sym **table, const char **strings)
{
	const Elf64_Ehdr *h = (const void *)file.bytes;
	const Elf64_Shdr *s = (const void *)(file.bytes + h->e_shoff);

	for (unsigned i = 0; i < h->e_shnum; i++) {
		if (s[i].sh_type != SHT_DYNSYM)
			continue;
		*table = (const void *)(file.bytes + s[i].sh_offset);
		*strings = (const char *)file.bytes + s[s[i].sh_link].sh_offset;
		return (unsigned)(s[i].sh_size / sizeof(**table));
	}
	return 0;
}

static void test_every_kernel(void **state)
{
	const Elf64_Sym *table = NULL;
	const char *strings = NULL;
	unsigned n = symbols(&table, &strings), kernels = 0;
	char name[184];

	for (unsigned i = 0; i < n; i++) {
		const char *symbol = strings + table[i].st_name;
		size_t len = strlen(symbol);

		if (len < 4 || strcmp(symbol + len - 3, ".kd"))
			continue;
		kernels++;
		assert_true(name_of(object.image, object.size, table[i].st_value, name));
		assert_int_equal(strlen(name), len - 3);
		assert_memory_equal(name, symbol, len - 3);
		/* An address beside it names nothing. */
		assert_false(name_of(object.image, object.size, table[i].st_value + 8, name));
	}
	assert_true(kernels > 10);
}

static uint64_t some_kernel(char name[184])
{
	const Elf64_Sym *table = NULL;
	const char *strings = NULL;
	unsigned n = symbols(&table, &strings);

	for (unsigned i = n; i-- > 0;) {
		const char *symbol = strings + table[i].st_name;

		if (strlen(symbol) > 4 && !strcmp(symbol + strlen(symbol) - 3, ".kd")) {
			snprintf(name, 184, "%.*s", (int)strlen(symbol) - 3, symbol);
			return table[i].st_value;
		}
	}
	fail();
	return 0;
}

static void test_short_buffer(void **state)
{
	struct memory m = {object.image, object.size, 0, 0};
	char name[184], cut[4];
	uint64_t va = some_kernel(name);

	assert_true(kernel_name(read_memory, &m, BASE + va, cut, sizeof(cut)));
	assert_int_equal(strlen(cut), 3);
	assert_memory_equal(cut, name, 3);
}

static void test_nothing_there(void **state)
{
	struct memory m = {object.image, 0, 0, 0};
	char name[184] = "x";

	assert_false(kernel_name(read_memory, &m, BASE, name, sizeof(name)));
	assert_string_equal(name, "");
	assert_false(kernel_name(read_memory, &m, 0, name, sizeof(name)));
	assert_false(kernel_name(read_memory, &m, 64, name, sizeof(name)));
	assert_false(kernel_name(read_memory, &m, UINT64_MAX, name, sizeof(name)));
}

static void test_truncated(void **state)
{
	char want[184], name[184];
	uint64_t va = some_kernel(want);
	unsigned named = 0, not_named = 0;

	for (uint64_t size = 0; size <= object.size; size += 24) {
		uint8_t *copy = malloc(size + 1);

		memcpy(copy, object.image, size);
		if (name_of(copy, size, va, name)) {
			assert_string_equal(name, want);
			named++;
		} else {
			not_named++;
		}
		free(copy);
	}
	assert_true(named && not_named);
}

/* What may be in between: other pages, an ELF header of something else. */
static void test_other_objects_before(void **state)
{
	uint64_t front = 64 * 4096, size = front + object.size;
	uint8_t *memory = calloc(1, size);
	char want[184], name[184];
	uint64_t va = some_kernel(want);

	memcpy(memory, object.image, object.size < front ? object.size : front);
	memcpy(memory + front, object.image, object.size);
	assert_true(name_of(memory, size, front + va, name));
	assert_string_equal(name, want);
	/* A header alone between the object's and the descriptor. */
	memset(memory, 0, size);
	memcpy(memory, object.image, object.size < front ? object.size : front);
	memcpy(memory + (va & ~4095ull), object.image, va & 4095 ? 64 : 0);
	name_of(memory, size, va, name);
	free(memory);
}

static void test_damaged(void **state)
{
	uint8_t *copy = malloc(object.size);
	char want[184], name[184];
	uint64_t va = some_kernel(want);
	unsigned named = 0;

	srand(1);
	for (unsigned i = 0; i < 30000; i++) {
		memcpy(copy, object.image, object.size);
		for (unsigned k = 0; k < 1 + i % 8; k++) {
			/* Mostly what is parsed: headers and symbols are in front. */
			size_t range = i % 2 ? 1024 : object.size;

			copy[(size_t)rand() % range] = (uint8_t)(i % 3 ? rand() : 0xff);
		}
		named += name_of(copy, object.size, va, name);
	}
	assert_true(named > 1000 && named < 30000);
	for (unsigned i = 0; i < 2000; i++) {
		for (size_t k = 0; k < object.size; k += 4)
			memcpy(copy + k, &(int){rand()}, 4 < object.size - k ? 4 : object.size - k);
		assert_false(name_of(copy, object.size, va, name));
	}
	free(copy);
}

/* Every page claims to be an object with a symbol table without end. */
static void test_expensive(void **state)
{
	uint64_t size = 64 * MIB;
	uint8_t *memory = calloc(1, size);
	char name[184];

	for (uint64_t at = 0; at < size; at += 4096) {
		Elf64_Ehdr *h = (void *)(memory + at);
		Elf64_Phdr *p = (void *)(memory + at + sizeof(*h));
		Elf64_Dyn *d = (void *)(memory + at + 256);
		uint32_t *hash = (void *)(memory + at + 512);
		const Elf64_Dyn dynamic[] = {{DT_SYMTAB, {.d_ptr = 1024}},
					     {DT_STRTAB, {.d_ptr = 768}},
					     {DT_STRSZ, {.d_val = MIB}},
					     {DT_HASH, {.d_ptr = 512}},
					     {DT_NULL, {0}}};

		memcpy(h, object.image, sizeof(*h));
		h->e_phoff = sizeof(*h);
		h->e_phnum = 1;
		*p = (Elf64_Phdr){.p_type = PT_DYNAMIC, .p_vaddr = 256, .p_filesz = sizeof(dynamic)};
		memcpy(d, dynamic, sizeof(dynamic));
		hash[1] = UINT32_MAX;
	}
	assert_false(name_of(memory, size, size - 64, name));
	/* Each symbol matches and has no name that ends. */
	for (uint64_t at = 1024; at < size; at++)
		if (at % 4096 >= 1024)
			memory[at] = 'a';
	name_of(memory, size, size - 64, name);
	free(memory);
}

static void test_unprintable(void **state)
{
	uint8_t *copy = malloc(object.size);
	char want[184], name[184];
	uint64_t va = some_kernel(want);
	size_t len = strlen(want);

	memcpy(copy, object.image, object.size);
	for (size_t i = 0; i + len + 3 < object.size; i++)
		if (!memcmp(copy + i, want, len) && !memcmp(copy + i + len, ".kd", 4))
			copy[i] = 27;
	assert_true(name_of(copy, object.size, va, name));
	assert_int_equal(name[0], '?');
	assert_string_equal(name + 1, want + 1);
	free(copy);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kernel),	      cmocka_unit_test(test_short_buffer),
		cmocka_unit_test(test_nothing_there),	      cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_other_objects_before), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_expensive),	      cmocka_unit_test(test_unprintable),
	};

	path = argc > 1 ? argv[1] : "";
	if (codeobj_file_read(&file, path, (char[CODEOBJ_ERROR]){0}) || codeobj_load(&object, path)) {
		fprintf(stderr, "cannot load '%s'\n", path);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
