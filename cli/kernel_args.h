/* SPDX-License-Identifier: MIT */
/* kernel_args.h - kernel arguments as people write them. */
#ifndef CLI_KERNEL_ARGS_H
#define CLI_KERNEL_ARGS_H

#include "cli/kernel_run.h"

#define KERNEL_ARGS_MAX 64
#define KERNEL_ARG_HELP                                                                                                                              \
	"  --arg A       the next argument of the kernel:\n"                                                                                         \
	"                  u8: i8: u16: i16: u32: i32: u64: i64: f16: f32: f64:VALUE, bytes:HEX\n"                                                   \
	"                  buffer:SIZE[=zero|=count|=fill:TYPE:VALUE|=FILE]  memory; filled with zeroes,\n"                                          \
	"                    with 0, 1, 2... as u32, with a value (fill:f32:1.5), or from the file's begin\n"                                        \
	"                  lds:SIZE  dynamic LDS (a __local pointer)\n"

struct kernel_args {
	struct kernel_arg {
		const char *text;
		bool buffer;
		uint8_t *host, *before; /* before: what it held at first, if that was kept */
		uint64_t size, padded;
		char name[32]; /* "buffer 0": counts arguments */
	} arg[KERNEL_ARGS_MAX];
	unsigned num;
	uint32_t lds; /* dynamic LDS of all arguments */
	uint8_t *bytes;
	uint32_t size;
};

/* Makes the explicit arguments of run's kernel from arg[].text. 0, or an exit code after it said why. */
int kernel_args_make(struct kernel_args *args, struct kernel_run *run);
void kernel_args_free(struct kernel_args *args);
/* Keeps what the buffers hold, and puts it back. 0, -ENOMEM. */
int kernel_args_keep(struct kernel_args *args);
void kernel_args_restore(struct kernel_args *args);
/* Says of each buffer whose padding was written to. */
void kernel_args_check(const struct kernel_args *args);
/* --dump N:FILE[:TYPE], N[:-[:TYPE]]. 0, or an exit code after it said why; only_check: nothing is written. */
int kernel_args_dump(const struct kernel_args *args, const char *text, bool only_check);

#endif
