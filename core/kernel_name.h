/* SPDX-License-Identifier: MIT */
/* kernel_name.h - the name of a kernel, from the code object in GPU memory. For logs and timelines. */
#ifndef CORE_KERNEL_NAME_H
#define CORE_KERNEL_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies [va, va + size) of the GPU process to buf: 0 or negative errno. */
typedef int kernel_name_read(void *ctx, uint64_t va, void *buf, size_t size);

/*
 * Writes the name (printable, cut to size bytes with its NUL) of the kernel whose descriptor is at
 * va; "" and false if no code object around it tells. The memory belongs to a program that may
 * write it meanwhile and may lie in every field: the work is bounded (a few MiB read at most).
 */
bool kernel_name(kernel_name_read *read, void *ctx, uint64_t va, char *name, size_t size);

#endif
