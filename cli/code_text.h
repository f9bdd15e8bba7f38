/* SPDX-License-Identifier: MIT */
/* code_text.h - a code object as text or JSON, for the commands that show code. */
#ifndef CLI_CODE_TEXT_H
#define CLI_CODE_TEXT_H

#include <json-c/json.h>

#include "gpu/soft/codeobj/codeobj.h"

/* Opens the code object of a file that fits target (NULL: the only one, or the first). *entry (may be NULL): which one it was. 0, or an exit code
 * after it said why. file and co are the caller's. */
int code_open(struct codeobj_file *file, struct codeobj *co, const char *path, const char *target, uint64_t base);
/* True if an entry's target ("gfx90a:xnack-") is of this GPU ("gfx90a"). */
bool code_target_fits(const struct codeobj_entry *entry, const char *target);
const char *code_target_name(enum isa_target target);
/* False after saying that there is no such target. */
bool code_target_known(const char *target);

/* The kernel, or NULL after it said that there is none, and which there are. */
const struct codeobj_kernel *code_kernel(const struct codeobj *co, const char *path, const char *name);

/* Decodes what is at an address of the ELF file, as text without a line end; bytes that are no instruction are text, too. Returns its size in bytes: 4
 * or more, 0 at the image's end. inst may be NULL. */
unsigned code_inst_text(const struct codeobj *co, uint64_t at, char *text, size_t size, struct isa_inst *inst);
/* "name+0x40" of an address of the ELF file. */
void code_place(const struct codeobj *co, uint64_t at, char *text, size_t size);
/* Where the code of a function that begins at start ends: its symbol's size, or the next symbol, or the section. */
uint64_t code_end(const struct codeobj *co, uint64_t start, uint64_t size);

#endif
