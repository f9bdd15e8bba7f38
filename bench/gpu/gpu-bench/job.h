/* SPDX-License-Identifier: MIT */
/*
 * job.h - one benchmark case at work: its buffers, kernels and results.
 *
 * A case fills inputs in host memory, enqueues its kernels, and compares what came out with a reference in C. Everything between (buffers,
 * programs, times) is here, so that a case is only its mathematics. What fails ends the program with a sentence, but for wrong results,
 * which are told by job_wrong().
 */
#ifndef BENCH_GPU_JOB_H
#define BENCH_GPU_JOB_H

#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JOB_BUFFERS = 8, JOB_KERNELS = 4 };

struct job;

struct job_case {
	const char *name;
	const char *file; /* of kernels, without .cl */
	bool f64;
	bool barriers; /* work-items meet in LDS */
	size_t small[3], full[3];
	const char *kernels[JOB_KERNELS];
	void (*setup)(struct job *); /* inputs, outputs, arguments */
	void (*run)(struct job *);
	void (*check)(struct job *);
};

struct job {
	const struct job_case *c;
	size_t size[3];		    /* c->small or c->full */
	void *host[JOB_BUFFERS];    /* what a buffer holds at the beginning of each run, or NULL */
	void *result[JOB_BUFFERS];  /* read back for the check, or NULL */
	size_t bytes[JOB_BUFFERS];  /* 0: no such buffer */
	bool kept[JOB_BUFFERS];	    /* not written by kernels: filled once */
	cl_mem mem[JOB_BUFFERS];
	cl_kernel kernel[JOB_KERNELS];
	cl_event *events;
	unsigned num_events, max_events;
	char wrong[200]; /* what is wrong with the results; empty: they are right */
};

extern const struct job_case stream_cases[], matrix_cases[], physics_cases[], integer_cases[], sparse_cases[];

__attribute__((format(printf, 1, 2), noreturn)) void job_die(const char *what, ...);

/* Buffer i of some bytes: one that kernels only read, one that they change and that is filled before each run (both return memory to be
 * filled by setup), and one that they write before they read it. */
void *job_input(struct job *j, unsigned i, size_t bytes);
void *job_changed(struct job *j, unsigned i, size_t bytes);
void job_output(struct job *j, unsigned i, size_t bytes);

/* Arguments of kernel k; buffers exist from setup on. REAL is the case's type. */
void job_arg_buffer(struct job *j, unsigned k, unsigned arg, unsigned buffer);
void job_arg_int(struct job *j, unsigned k, unsigned arg, int value);
void job_arg_real(struct job *j, unsigned k, unsigned arg, double value);

/* Enqueues kernel k; y 0: one dimension. */
void job_launch(struct job *j, unsigned k, size_t x, size_t y, size_t group_x, size_t group_y);

/* Elements of the case's type. */
size_t job_real(const struct job *j);
double job_get(const struct job *j, const void *data, size_t i);
void job_put(const struct job *j, void *data, size_t i, double value);

/* The same numbers for each seed everywhere: 32 bits, or [0, 1) with 20 bits, which float holds. */
uint32_t job_random(uint64_t index, uint32_t seed);
double job_uniform(uint64_t index, uint32_t seed);
/* Elements 0..n-1 uniform in [low, high). */
void job_fill(const struct job *j, void *data, size_t n, uint32_t seed, double low, double high);

/* Tells that element i of a buffer is wrong (the first counts). job_close: |got - want| <= tolerance, in units of the type's epsilon, times
 * scale; and no NaN. */
void job_wrong(struct job *j, unsigned buffer, size_t i, double got, double want);
void job_close(struct job *j, unsigned buffer, size_t i, double want, double scale, double tolerance);
/* The step to check about `most` of n elements with; odd, so that all columns come up. */
size_t job_step(size_t n, size_t most);

/* What the program is given once: platform by a part of its name, folder of *.cl; binaries are taken from or put to a folder when not NULL. */
void job_open(const char *platform, const char *kernels, const char *load, const char *save);
/* Makes a job ready to run, and ends it. */
struct job *job_start(const struct job_case *c, bool small);
void job_end(struct job *j);
/* One run: the time the GPU spent in its kernels, in ns. */
uint64_t job_run(struct job *j);
/* Compares the results of the last run: NULL or what is wrong. */
const char *job_check(struct job *j);
/* Hash of the results of the last run. */
uint64_t job_hash(struct job *j);

/* Median ns of `count` times an empty kernel is enqueued and waited for. */
double job_empty(unsigned count);
/* Best ns of `count` times each: bytes copied from pinned memory to the device, back, and by memcpy. */
void job_copy(size_t bytes, unsigned count, double best[3]);

/* GFLOP/s (f32) of one core, the best of some tries of some 0.1 ms; 0: no fused multiply-add. */
double peak_gflops(void);

#endif
