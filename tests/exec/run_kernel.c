/* SPDX-License-Identifier: MIT */
/*
 * run_kernel.c - runs one kernel of a code object on the interpreter, from the command line: for looking at a kernel, and for timing.
 *
 * usage: run_kernel FILE.co KERNEL GRID GROUP ARG...
 *   GRID, GROUP: X[,Y[,Z]] in work-items
 *   ARG: kernel arguments in order: buf:BYTES (zeroes), int:BYTES, float:BYTES (counting numbers), u32:V, f32:V, u64:V, lds:BYTES
 * Prints how it ended, instructions, time, and a checksum and the first dwords of every buffer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/exec/runner.h"

#define MAX_BUFFERS 16

struct buffer {
	uint32_t *data;
	size_t bytes;
};

static void triple(const char *text, uint32_t v[3])
{
	char *end;

	v[0] = v[1] = v[2] = 1;
	for (int i = 0; i < 3 && *text; i++) {
		v[i] = strtoul(text, &end, 0);
		text = *end == ',' ? end + 1 : end;
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Appends an argument, aligned to its size. */
static void push(uint8_t *args, size_t *size, const void *v, size_t bytes)
{
	*size = (*size + bytes - 1) & ~(bytes - 1);
	memcpy(args + *size, v, bytes);
	*size += bytes;
}

static bool add_arg(struct runner *r, const char *text, uint8_t *args, struct runner_dispatch *d, struct buffer *buffers, unsigned *count)
{
	const char *colon = strchr(text, ':');
	size_t kind = colon ? (size_t)(colon - text) : 0;
	uint64_t v = colon ? strtoull(colon + 1, NULL, 0) : 0;
	float f = colon ? strtof(colon + 1, NULL) : 0;

	if (!colon || d->args_size > 200)
		return false;
	if (!strncmp(text, "u32", kind)) {
		push(args, &d->args_size, &v, 4);
	} else if (!strncmp(text, "u64", kind)) {
		push(args, &d->args_size, &v, 8);
	} else if (!strncmp(text, "f32", kind)) {
		push(args, &d->args_size, &f, 4);
	} else if (!strncmp(text, "lds", kind)) {
		push(args, &d->args_size, &d->dynamic_lds, 4);
		d->dynamic_lds += v;
	} else if (*count < MAX_BUFFERS) {
		struct buffer *b = &buffers[(*count)++];

		b->bytes = v;
		b->data = runner_alloc(r, v, GPU_PROT_READ | GPU_PROT_WRITE);
		if (!b->data)
			return false;
		for (size_t i = 0; i < v / 4; i++) {
			float x = i * 0.01f;

			if (!strncmp(text, "int", kind))
				b->data[i] = i;
			else if (!strncmp(text, "float", kind))
				memcpy(&b->data[i], &x, 4);
		}
		push(args, &d->args_size, &b->data, 8);
	} else {
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	static const char *const ends[] = {"done", "yield", "memory fault", "illegal instruction", "aperture", "trap"};
	struct buffer buffers[MAX_BUFFERS];
	struct runner_dispatch d = {0};
	unsigned count = 0;
	uint8_t args[256] = {0};
	uint32_t group[3];
	struct runner r;
	struct codeobj co;
	enum exec_result result;
	double t;

	if (argc < 5 || codeobj_load(&co, argv[1])) {
		fprintf(stderr, "usage: run_kernel FILE.co KERNEL GRID GROUP ARG...\n");
		return 2;
	}
	if (runner_init(&r, co.target) || runner_map(&r, co.image, co.size, GPU_PROT_READ | GPU_PROT_EXEC))
		return 2;
	d.kernel = argv[2];
	triple(argv[3], d.grid);
	triple(argv[4], group);
	for (int i = 0; i < 3; i++)
		d.group[i] = group[i];
	d.args = args;
	for (int i = 5; i < argc; i++)
		if (!add_arg(&r, argv[i], args, &d, buffers, &count)) {
			fprintf(stderr, "cannot use argument %s\n", argv[i]);
			return 2;
		}
	t = now();
	result = runner_run(&r, &co, &d);
	t = now() - t;
	printf("%s: %llu wave instructions, %.3f ms, %.2f ns each\n", ends[result], (unsigned long long)r.instructions, t * 1e3,
	       r.instructions ? t * 1e9 / r.instructions : 0);
	if (result != EXEC_DONE)
		printf("va 0x%llx pc image+0x%llx\n", (unsigned long long)r.fault.va,
		       (unsigned long long)(r.fault.pc - (uintptr_t)co.image));
	for (unsigned i = 0; i < count; i++) {
		uint32_t sum = 0;

		for (size_t k = 0; k < buffers[i].bytes / 4; k++)
			sum = sum * 31 + buffers[i].data[k];
		printf("buffer %u: checksum %08x:", i, sum);
		for (size_t k = 0; k < buffers[i].bytes / 4 && k < 8; k++)
			printf(" %08x", buffers[i].data[k]);
		printf("\n");
	}
	runner_free(&r);
	codeobj_free(&co);
	return result != EXEC_DONE;
}
