/* SPDX-License-Identifier: MIT */
/*
 * bundle.c - finds the code objects of a file.
 *
 * A clang offload bundle (clang's documentation, "Clang Offload Bundler") begins with a magic string and a table: number of entries, then for each its
 * offset in the bundle, its size, and its target, e.g. "hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-". HIP programs have bundles in section .hip_fatbin, one
 * behind the other, each on a page of its own.
 */
#include "gpu/soft/codeobj/codeobj.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	   "__CLANG_OFFLOAD_BUNDLE__"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define COMPRESSED "CCOB"
#define TRIPLE	   "amdgcn-amd-amdhsa-"
#define ENTRY_MAX  65536

static int no(char error[CODEOBJ_ERROR], int err, const char *text)
{
	snprintf(error, CODEOBJ_ERROR, "%s", text);
	return err;
}

static int read_all(struct codeobj_file *file, const char *path, char error[CODEOBJ_ERROR])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		err = -errno;
	} else if (!S_ISREG(st.st_mode)) {
		err = no(error, -EINVAL, "not a regular file");
	} else if ((uint64_t)st.st_size > CODEOBJ_FILE_MAX) {
		err = no(error, -EFBIG, "the file is larger than 4 GiB");
	} else {
		file->bytes = malloc((size_t)st.st_size + 1);
		if (!file->bytes)
			err = -ENOMEM;
	}
	while (!err && file->size < (size_t)st.st_size) {
		ssize_t n = read(fd, file->bytes + file->size, (size_t)st.st_size - file->size);

		if (n < 0)
			err = -errno;
		else if (!n)
			break;
		else
			file->size += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	if (err && !error[0])
		snprintf(error, CODEOBJ_ERROR, "%s", strerror(-err));
	return err;
}

static int add(struct codeobj_file *file, const char *target, size_t length, size_t offset, size_t size)
{
	struct codeobj_entry *more;

	if (file->num == ENTRY_MAX)
		return -E2BIG;
	if (!(file->num & (file->num - 1))) {
		more = reallocarray(file->entry, file->num ? 2 * file->num : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		file->entry = more;
	}
	more = &file->entry[file->num++];
	*more = (struct codeobj_entry){.offset = offset, .size = size};
	snprintf(more->target, sizeof(more->target), "%.*s", length < 60 ? (int)length : 60, target);
	return 0;
}

static uint64_t u64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* The bundle at `at`, which ends before `end` (offsets in the file). *behind: where its last entry ends. */
static int read_bundle(struct codeobj_file *file, size_t at, size_t end, size_t *behind, char error[CODEOBJ_ERROR])
{
	size_t p = at + MAGIC_SIZE;
	uint64_t n;

	*behind = p;
	if (end - p < 8)
		return no(error, -EINVAL, "the offload bundle is truncated");
	n = u64_at(file->bytes + p);
	p += 8;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t offset, size, length;
		const char *triple, *target;

		if (end - p < 24)
			return no(error, -EINVAL, "the offload bundle is truncated");
		offset = u64_at(file->bytes + p);
		size = u64_at(file->bytes + p + 8);
		length = u64_at(file->bytes + p + 16);
		p += 24;
		if (length > end - p || offset > end - at || size > end - at - offset)
			return no(error, -EINVAL, "the offload bundle has an entry beyond its end");
		triple = (const char *)file->bytes + p;
		p += length;
		if (at + offset + size > *behind)
			*behind = at + offset + size;
		target = memmem(triple, length, TRIPLE, sizeof(TRIPLE) - 1);
		if (!target || !size)
			continue;
		target += sizeof(TRIPLE) - 1;
		while (target < triple + length && *target == '-')
			target++;
		if (add(file, target, (size_t)(triple + length - target), at + offset, size))
			return no(error, -ENOMEM, "too many code objects");
	}
	return 0;
}

static int read_bundles(struct codeobj_file *file, size_t at, size_t end, char error[CODEOBJ_ERROR])
{
	int err = 0;

	while (!err && at < end) {
		const uint8_t *found = memmem(file->bytes + at, end - at, MAGIC, MAGIC_SIZE);

		if (!found)
			break;
		err = read_bundle(file, (size_t)(found - file->bytes), end, &at, error);
	}
	if (!err && !file->num && memmem(file->bytes + at, end - at, COMPRESSED, 4))
		return no(error, -ENOTSUP, "the offload bundle is compressed; unpack it with: clang-offload-bundler --unbundle");
	return err;
}

static int read_host_elf(struct codeobj_file *file, char error[CODEOBJ_ERROR])
{
	Elf *elf = elf_memory((char *)file->bytes, file->size);
	size_t names;
	int err = 0;

	if (!elf || elf_getshdrstrndx(elf, &names)) {
		elf_end(elf);
		return no(error, -EINVAL, "a broken ELF file");
	}
	for (Elf_Scn *s = NULL; !err && (s = elf_nextscn(elf, s));) {
		GElf_Shdr h;
		const char *name;

		if (!gelf_getshdr(s, &h) || h.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, h.sh_name);
		if (name && !strcmp(name, ".hip_fatbin") && h.sh_offset <= file->size && h.sh_size <= file->size - h.sh_offset)
			err = read_bundles(file, h.sh_offset, h.sh_offset + h.sh_size, error);
	}
	elf_end(elf);
	return err;
}

int codeobj_file_read(struct codeobj_file *file, const char *path, char error[CODEOBJ_ERROR])
{
	int err;

	memset(file, 0, sizeof(*file));
	error[0] = 0;
	elf_version(EV_CURRENT);
	err = read_all(file, path, error);
	if (err) {
	} else if (file->size >= MAGIC_SIZE && !memcmp(file->bytes, MAGIC, MAGIC_SIZE)) {
		err = read_bundles(file, 0, file->size, error);
	} else if (file->size >= 4 && !memcmp(file->bytes, COMPRESSED, 4)) {
		err = read_bundles(file, 0, file->size, error);
	} else if (file->size < SELFMAG || memcmp(file->bytes, ELFMAG, SELFMAG)) {
		err = no(error, -EINVAL, file->size ? "neither an ELF file nor an offload bundle" : "the file is empty");
	} else if (file->size < sizeof(Elf64_Ehdr)) {
		err = no(error, -EINVAL, "the ELF file is truncated");
	} else if (((const Elf64_Ehdr *)(const void *)file->bytes)->e_machine == EM_AMDGPU) {
		err = add(file, "", 0, 0, file->size);
	} else {
		err = read_host_elf(file, error);
	}
	if (!err && !file->num)
		err = no(error, -ENOENT, "there is no AMDGPU code object in it");
	if (err)
		codeobj_file_free(file);
	return err;
}

void codeobj_file_free(struct codeobj_file *file)
{
	free(file->bytes);
	free(file->entry);
	memset(file, 0, sizeof(*file));
}
