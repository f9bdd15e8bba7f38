// SPDX-License-Identifier: MIT
/*
 * gpu-bench - runs benchmark kernels on an OpenCL platform as it is told on standard input; bench/gpu/run is who tells it.
 *
 *     gpu-bench [--kernels DIR] [--load DIR | --save DIR] [--small] PLATFORM     serve
 *     gpu-bench [...] PLATFORM test [CASE...]                                    run cases once, check, results as TAP
 *     gpu-bench [...] PLATFORM time CASE [RUNS]                                  one case by hand
 *
 * PLATFORM is a part of the platform's name ("Portable", "AMD"). Kernels are read from DIR/NAME.cl (default: where the program is). A command is a line, and so is its answer, which begins with "= ":
 *
 *     list                 the cases, each NAME:f32|f64:barriers|plain
 *     start CASE           inputs, buffers and kernels; one case at a time: its sizes
 *     warm SECONDS         runs until the best time has not become a tenth better for so long: runs, ms of the first, ns of the best
 *     run COUNT            ns of the best of COUNT runs
 *     check                "right", or what is wrong with the results of the last run by the C reference
 *     hash                 of the results of the last run
 *     end                  of the case
 *     empty COUNT          median ns of an empty kernel, enqueued and waited for
 *     copy BYTES COUNT     best ns of a copy from pinned memory to the device, back, and of memcpy
 *     peak                 GFLOP/s (f32) of one core of the CPU
 */
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/gpu/gpu-bench/job.h"
#include "tests/programs/tap.h"

static const struct job_case *const folders[] = {stream_cases, matrix_cases, physics_cases, integer_cases, sparse_cases};
static bool small;

/* The n-th case, or NULL. */
static const struct job_case *nth(unsigned n)
{
	for (size_t f = 0; f < sizeof(folders) / sizeof(folders[0]); f++)
		for (const struct job_case *c = folders[f]; c->name; c++)
			if (!n--)
				return c;
	return NULL;
}

static const struct job_case *find(const char *name)
{
	const struct job_case *c;

	for (unsigned n = 0; (c = nth(n)); n++)
		if (!strcmp(c->name, name))
			return c;
	job_die("no case '%s'", name);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Kernels are interpreted at first and compiled beside that: warm is when it gets no faster any more. */
static unsigned warm(struct job *j, double quiet, double *first_ms, double *best)
{
	double begin = seconds(), better = begin;
	unsigned runs = 0;

	do {
		double t = (double)job_run(j);

		if (!runs)
			*first_ms = t / 1e6;
		if (!runs || t < *best * 0.9)
			better = seconds();
		*best = runs ? fmin(*best, t) : t;
		runs++;
	} while (seconds() - better < quiet && seconds() - begin < 120);
	return runs;
}

static double best_of(struct job *j, unsigned count)
{
	double best = 1e18;

	for (unsigned i = 0; i < count; i++)
		best = fmin(best, (double)job_run(j));
	return best;
}

static void list(void)
{
	const struct job_case *c;

	printf("=");
	for (unsigned n = 0; (c = nth(n)); n++)
		printf(" %s:%s:%s", c->name, c->f64 ? "f64" : "f32", c->barriers ? "barriers" : "plain");
	putchar('\n');
}

static int serve(void)
{
	char line[256], word[256];
	struct job *j = NULL;
	double number, value[3];
	unsigned long bytes, count;
	const char *wrong;

	printf("= ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "list\n")) {
			list();
		} else if (sscanf(line, "start %200s", word) == 1) {
			if (j)
				job_die("a case is at work");
			j = job_start(find(word), small);
			printf("= %zu %zu\n", j->size[0], j->size[1]);
		} else if (sscanf(line, "empty %lu", &count) == 1 && count > 0 && count <= 10000000) {
			printf("= %.0f\n", job_empty((unsigned)count));
		} else if (sscanf(line, "copy %lu %lu", &bytes, &count) == 2 && bytes >= 64 && count > 0) {
			job_copy(bytes, (unsigned)count, value);
			printf("= %.0f %.0f %.0f\n", value[0], value[1], value[2]);
		} else if (!strcmp(line, "peak\n")) {
			printf("= %.1f\n", peak_gflops());
		} else if (!j) {
			job_die("no case is at work for: %s", line);
		} else if (sscanf(line, "warm %lf", &number) == 1) {
			count = warm(j, number, &value[0], &value[1]);
			printf("= %lu %.3f %.0f\n", count, value[0], value[1]);
		} else if (sscanf(line, "run %lu", &count) == 1 && count > 0) {
			printf("= %.0f\n", best_of(j, (unsigned)count));
		} else if (!strcmp(line, "check\n")) {
			wrong = job_check(j);
			printf("= %s\n", wrong ? wrong : "right");
		} else if (!strcmp(line, "hash\n")) {
			printf("= %016llx\n", (unsigned long long)job_hash(j));
		} else if (!strcmp(line, "end\n")) {
			job_end(j);
			j = NULL;
			printf("= ended\n");
		} else {
			job_die("what is: %s", line);
		}
		fflush(stdout);
	}
	return 0;
}

static int test(char **names)
{
	const struct job_case *c;
	struct job *j;
	const char *wrong;

	for (unsigned n = 0; (c = *names ? find(*names) : nth(n)); n++) {
		j = job_start(c, small);
		/* Twice: the second run finds what the first left. */
		job_run(j);
		job_run(j);
		wrong = job_check(j);
		tap(!wrong, "%s%s%s", c->name, wrong ? ": " : "", wrong ? wrong : "");
		job_end(j);
		if (*names && !*++names)
			break;
	}
	return tap_end();
}

static int time_one(const char *name, unsigned runs)
{
	struct job *j = job_start(find(name), small);
	double first, best;
	unsigned warm_runs = warm(j, 1.5, &first, &best);
	const char *wrong = job_check(j);

	printf("%s: warm after %u runs, first %.3f ms, results %s\n", name, warm_runs, first, wrong ? wrong : "right");
	printf("best of %u: %.3f ms\n", runs, best_of(j, runs) / 1e6);
	job_end(j);
	return wrong != NULL;
}

int main(int argc, char **argv)
{
	static char beside[4096];
	const char *kernels = beside, *load = NULL, *save = NULL;

	if (readlink("/proc/self/exe", beside, sizeof(beside) - 1) > 0)
		dirname(beside);
	for (argv++; argc > 1 && **argv == '-'; argv++, argc--) {
		if (!strcmp(*argv, "--small")) {
			small = true;
		} else if (argc > 2 && (!strcmp(*argv, "--kernels") || !strcmp(*argv, "--load") || !strcmp(*argv, "--save"))) {
			*(argv[0][2] == 'k' ? &kernels : argv[0][2] == 'l' ? &load : &save) = argv[1];
			argv++;
			argc--;
		} else {
			job_die("unknown option %s", *argv);
		}
	}
	if (argc < 2)
		job_die("usage: gpu-bench [--kernels DIR] [--load DIR | --save DIR] [--small] PLATFORM [test [CASE...] | time CASE [RUNS]]");
	job_open(argv[0], kernels, load, save);
	if (argc > 2 && !strcmp(argv[1], "test"))
		return test(argv + 2);
	if (argc > 3 && !strcmp(argv[1], "time"))
		return time_one(argv[2], argc > 4 && atoi(argv[3]) > 0 ? (unsigned)atoi(argv[3]) : 5);
	return serve();
}
