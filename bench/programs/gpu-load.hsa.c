// SPDX-License-Identifier: MIT
/*
 * gpu-load - a tenant's work, for benchmarks of sharing. The CPU sleeps while the GPU works.
 *
 *   gpu-load time KERNEL REPEAT COUNT             COUNT kernels, one after the other: "best_ms X", "median_ms X"
 *   gpu-load loop KERNEL REPEAT SECONDS           kernels without a gap: "dispatches N", "seconds X"
 *   gpu-load periodic KERNEL REPEAT PERIOD_US SECONDS
 *                                                 one kernel a period; a job that ends after its period is missed:
 *                                                 "jobs N", "missed N", "median_ms X", "p99_ms X", "max_ms X"
 *   gpu-load endless SECONDS                      one kernel that runs until it is told to stop
 *   gpu-load alternate KERNEL REPEAT COUNT PID    COUNT kernels timed, then PID is killed, COUNT more timed:
 *                                                 "best_before_ms X", "best_after_ms X"
 *
 * KERNEL is one of load.co.cl's; REPEAT makes it longer. A kernel is 32 work-groups of 256 (matmul:
 * 64 of them), REPEAT may be followed by ":GROUPS". What is timed is run until it is compiled before. The results are checked on the CPU (of some
 * work-items, for emulated guests are slow): "verified", or "WRONG ..." and exit code 1.
 */
#include "tests/programs/hsa.h"

#include <signal.h>

#define GROUP  256
#define DEPTH  16 /* kernels on the queue at once in a loop */
#define BATCH  8  /* of them are waited for at once */
#define MATRIX 128

#define WARM_US	    300e3
#define WARM_MAX_US 20e6

struct args {
	uint32_t *out, *a, *b;
	uint32_t n, repeat;
};

struct load {
	hsa_queue_t *queue;
	hsa_signal_t signal[DEPTH];
	struct kernel kernel;
	const char *name;
	uint32_t groups, n;
	uint32_t *a, *b; /* the CPU's copies */
	struct args *args;
	uint64_t launched;
};

static uint32_t *upload(struct load *l, const uint32_t *from)
{
	uint32_t *p = allocate(vram_pool, l->n * 4ull);

	check(hsa_memory_copy(p, from, l->n * 4ull), "copy");
	return p;
}

static void open_load(struct load *l, const char *name, const char *repeat)
{
	const char *groups = strchr(repeat, ':');
	size_t size;

	memset(l, 0, sizeof(*l));
	l->name = name;
	l->groups = groups ? (uint32_t)atoi(groups + 1) : 32;
	if (!strcmp(name, "matmul"))
		l->groups = MATRIX / 16 * (MATRIX / 16);
	if (l->groups < 1 || l->groups > 65536) {
		fprintf(stderr, "gpu-load: 1 to 65536 work-groups\n");
		exit(2);
	}
	open_agents();
	l->kernel = find_kernel(load_code("load"), name);
	l->queue = open_queue(1024);
	for (unsigned i = 0; i < DEPTH; i++)
		l->signal[i] = new_signal(0);
	l->n = l->groups * GROUP;
	size = l->n * 4ull;
	l->a = malloc(size);
	l->b = malloc(size);
	/* A permutation for gather (an odd factor modulo a power of two or any n: an index below n is
	 * all it needs), small numbers else. */
	for (uint32_t i = 0; i < l->n; i++) {
		l->a[i] = (uint32_t)((i * 2654435761ull + 12345) % l->n);
		l->b[i] = i * 40503u + 7;
	}
	l->args = allocate(system_pool, 4096);
	l->args->a = upload(l, l->a);
	l->args->b = upload(l, l->b);
	if (!strcmp(name, "endless")) {
		l->args->out = allocate(system_pool, 4096);
		l->args->out[0] = 0;
	} else {
		l->args->out = allocate(vram_pool, size > 4096 ? size : 4096);
		check(hsa_amd_memory_fill(l->args->out, 0, size / 4), "fill");
	}
	l->args->n = !strcmp(name, "matmul") ? MATRIX : l->n;
	l->args->repeat = (uint32_t)atoi(repeat);
}

static void launch(struct load *l)
{
	hsa_signal_t signal = l->signal[l->launched++ % DEPTH];

	hsa_signal_store_relaxed(signal, 1);
	submit(l->queue, &l->kernel, l->groups, GROUP, l->args, signal, 0);
}

static void wait_for(struct load *l, uint64_t number)
{
	while (hsa_signal_wait_scacquire(l->signal[number % DEPTH], HSA_SIGNAL_CONDITION_LT, 1,
					 UINT64_MAX, HSA_WAIT_STATE_BLOCKED) > 0)
		;
}

/* What work-item i of one launch makes. */
static uint32_t expected(const struct load *l, uint32_t i)
{
	uint32_t repeat = l->args->repeat, x = i;

	if (!strcmp(l->name, "spin")) {
		for (uint32_t r = 0; r < repeat; r++)
			x = (x * 1664525u + 1013904223u) ^ x >> 7;
	} else if (!strcmp(l->name, "stream")) {
		x = repeat ? l->a[i] + l->b[i] + repeat - 1 : 0;
	} else if (!strcmp(l->name, "gather")) {
		for (uint32_t r = 0; r < repeat; r++)
			x = l->a[x];
	} else if (!strcmp(l->name, "matmul")) {
		x = 0;
		for (uint32_t k = 0; k < MATRIX; k++)
			x += l->a[i / MATRIX * MATRIX + k] * l->b[k * MATRIX + i % MATRIX];
		x *= repeat;
	}
	return x;
}

static int verify(struct load *l)
{
	uint32_t *out = malloc(l->n * 4ull), step = l->n / 61 ? l->n / 61 : 1;

	check(hsa_memory_copy(out, l->args->out, l->n * 4ull), "copy back");
	if (!strcmp(l->name, "histogram")) {
		uint32_t bins[256] = {0};

		for (uint32_t i = 0; i < l->n; i++)
			bins[l->a[i] & 255]++;
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t want = (uint32_t)(bins[i] * l->args->repeat * l->launched);

			if (out[i] != want) {
				printf("WRONG bin %u: %u instead of %u\n", i, out[i], want);
				return 1;
			}
		}
	} else {
		for (uint32_t i = 0; i < l->n; i += step) {
			if (out[i] != expected(l, i)) {
				printf("WRONG item %u: %u instead of %u\n", i, out[i],
				       expected(l, i));
				return 1;
			}
		}
	}
	printf("verified\n");
	return 0;
}

/* Times of count kernels, in ms, sorted. */
static void timed(struct load *l, double *t, long count)
{
	for (long i = 0; i < count; i++) {
		double start = now_us();

		launch(l);
		wait_for(l, l->launched - 1);
		t[i] = (now_us() - start) / 1e3;
	}
	qsort(t, (size_t)count, sizeof(*t), compare_doubles);
}

/*
 * Until the kernel is compiled: it is interpreted first, many times slower, and how long the compiler takes depends on what else the machine
 * does. Warm is what has got no tenth faster for WARM_US; with fewer than 4 runs nothing can be said.
 */
static void warm_up(struct load *l)
{
	double begin = now_us(), better = begin, best = 0, t;

	for (unsigned runs = 0; runs < 4 || (now_us() - better < WARM_US && now_us() - begin < WARM_MAX_US); runs++) {
		timed(l, &t, 1);
		if (!runs || t < best * 0.9) {
			best = t;
			better = now_us();
		}
	}
}

static int run_time(struct load *l, long count)
{
	double *t = calloc((size_t)count, sizeof(*t));

	warm_up(l);
	timed(l, t, count);
	printf("best_ms %.4f\nmedian_ms %.4f\n", t[0], t[count / 2]);
	return verify(l);
}

static int run_loop(struct load *l, double seconds)
{
	double start = now_us(), end = start + seconds * 1e6;
	uint64_t done = 0;

	/* The runtime's wait spins for 200 us before it blocks: waiting for every eighth kernel only keeps the
	 * CPU free for the GPU. */
	while (now_us() < end || done < l->launched) {
		while (now_us() < end && l->launched - done < DEPTH)
			launch(l);
		if (done < l->launched) {
			done = l->launched - done > BATCH ? done + BATCH : l->launched;
			wait_for(l, done - 1);
		}
	}
	printf("dispatches %llu\nseconds %.3f\n", (unsigned long long)done,
	       (now_us() - start) / 1e6);
	return verify(l);
}

static int run_periodic(struct load *l, double period_us, double seconds)
{
	long jobs = (long)(seconds * 1e6 / period_us), missed = 0;
	double *t = calloc((size_t)jobs, sizeof(*t)), start;

	warm_up(l);
	start = now_us();
	for (long i = 0; i < jobs; i++) {
		double due = start + (double)i * period_us, now = now_us();
		struct timespec at;

		/* Late by a whole period: that frame was dropped. */
		if (now > due + period_us) {
			t[i] = (now - due) / 1e3;
			missed++;
			continue;
		}
		at = (struct timespec){(time_t)(due / 1e6), (long)(due - (double)(time_t)(due / 1e6) * 1e6) * 1000};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		now = now_us();
		launch(l);
		wait_for(l, l->launched - 1);
		t[i] = (now_us() - now) / 1e3;
		missed += now_us() - due > period_us;
	}
	qsort(t, (size_t)jobs, sizeof(*t), compare_doubles);
	printf("jobs %ld\nmissed %ld\nmedian_ms %.4f\np99_ms %.4f\nmax_ms %.4f\n", jobs, missed,
	       t[jobs / 2], t[jobs - 1 - jobs / 100], t[jobs - 1]);
	return verify(l);
}

static int run_endless(struct load *l, double seconds)
{
	launch(l);
	usleep((useconds_t)(seconds * 1e6));
	__atomic_store_n(l->args->out, 1, __ATOMIC_RELEASE);
	wait_for(l, 0);
	printf("verified\n"); /* that it ended */
	return 0;
}

static int run_alternate(struct load *l, long count, pid_t pid)
{
	double *t = calloc((size_t)count, sizeof(*t)), before, after;

	warm_up(l);
	timed(l, t, count);
	before = t[0];
	if (kill(pid, SIGKILL)) {
		perror("gpu-load: kill");
		return 1;
	}
	usleep(300000); /* executors look every 100 ms whether the daemon lives */
	timed(l, t, 1);
	timed(l, t, count);
	after = t[0];
	printf("best_before_ms %.4f\nbest_after_ms %.4f\n", before, after);
	return verify(l);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	static struct load l;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(mode, "endless") && argc == 3) {
		open_load(&l, "endless", "1:2");
		return run_endless(&l, atof(argv[2]));
	}
	if (argc > 4) {
		bool ok = (!strcmp(mode, "time") && argc == 5 && atol(argv[4]) > 0) ||
			  (!strcmp(mode, "loop") && argc == 5) ||
			  (!strcmp(mode, "periodic") && argc == 6 && atof(argv[4]) >= 100 &&
			   atof(argv[5]) * 1e6 >= atof(argv[4])) ||
			  (!strcmp(mode, "alternate") && argc == 6 && atol(argv[4]) > 0 &&
			   atol(argv[5]) > 1);

		if (ok) {
			open_load(&l, argv[2], argv[3]);
			switch (mode[0]) {
			case 't':
				return run_time(&l, atol(argv[4]));
			case 'l':
				return run_loop(&l, atof(argv[4]));
			case 'p':
				return run_periodic(&l, atof(argv[4]), atof(argv[5]));
			case 'a':
				return run_alternate(&l, atol(argv[4]), (pid_t)atol(argv[5]));
			}
		}
	}
	fprintf(stderr, "usage: gpu-load time KERNEL REPEAT[:GROUPS] COUNT\n"
			"       gpu-load loop KERNEL REPEAT[:GROUPS] SECONDS\n"
			"       gpu-load periodic KERNEL REPEAT[:GROUPS] PERIOD_US SECONDS\n"
			"       gpu-load alternate KERNEL REPEAT[:GROUPS] COUNT PID\n"
			"       gpu-load endless SECONDS\n");
	return 2;
}
