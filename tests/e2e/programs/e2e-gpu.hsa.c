// SPDX-License-Identifier: MIT
/*
 * e2e-gpu - a tenant's program by the HSA runtime, well-behaved or hostile as its first word says:
 *
 *   work SECONDS         dispatches one after another for so long; each result is compared. Prints "dispatches N" and "verified"
 *   until FILE           the same until FILE exists, in bursts of 20 ms with rests of 40, which leave a CPU to others and in which doorbells are parked
 *   pulse ROUNDS MS      compared dispatches with MS of idleness between them, the queue open; prints the same
 *   hold SECONDS         one compared dispatch, then idle with the queue open for so long or until SIGUSR1, then another one
 *   vram MIB             allocates so much VRAM, has it written at both ends by a kernel, and compares
 *   spin                 a kernel that never ends; waits for it (until it is killed)
 *   store ADDRESS        a kernel writes to ADDRESS (hexadecimal), of which this program has nothing
 *   code SEED            kernels of random bytes
 *   packets SEED         queues full of random packets
 *   doorbells SEED       random indices to the doorbell, and random values to its whole page
 *   header SEED          random values in the queue's shared header while it works
 *
 * The state that `work` steps is in VRAM and is never written by the CPU but at the start: whoever else wrote to it would be noticed. `work`, `pulse` and
 * `hold` write the addresses of their buffers to a file when E2E_ADDRESSES names one. Exit status: 0 done, 1 wrong or failed, 3 the queue reported an
 * error (printed as "queue error 0xN"), 4 a hostile dispatch neither ended nor failed within its seconds. A GPU memory fault ends the program by the
 * runtime's own message and abort.
 */
#include "tests/programs/hsa.h"

#include <inttypes.h>
#include <signal.h>

#define N	   1024u
#define RING	   64u
#define HOSTILE_MS 3000u

static hsa_executable_t executable;
static hsa_queue_t *queue;
static hsa_signal_t done;
static uint32_t *state, *out, want[N];
static void *arguments;
static unsigned long dispatches;
static unsigned seed;

static void start(void)
{
	const char *file = getenv("E2E_ADDRESSES");

	open_agents();
	executable = load_code("e2e-kernels");
	queue = open_queue(RING);
	done = new_signal(1);
	state = allocate(vram_pool, sizeof(*state) * N);
	out = allocate(system_pool, sizeof(*out) * N);
	arguments = allocate(system_pool, 4096);
	for (unsigned i = 0; i < N; i++)
		state[i] = want[i] = i * 2654435761u;
	if (file) {
		FILE *f = fopen(file, "w");

		if (!f || fprintf(f, "%" PRIxPTR "\n%" PRIxPTR "\n%" PRIxPTR "\n", (uintptr_t)state, (uintptr_t)out, (uintptr_t)queue->base_address) < 0 || fclose(f)) {
			perror(file);
			exit(1);
		}
	}
}

static void start_kernel(const struct kernel *k, uint32_t items)
{
	hsa_signal_store_relaxed(done, 1);
	submit(queue, k, items / 64, 64, arguments, done, 0);
}

static void submit_kernel(const char *name, uint32_t items)
{
	struct kernel k = find_kernel(executable, name);

	start_kernel(&k, items);
}

/* A lost completion is told from a slow one by the caller. */
static bool completed(unsigned ms, hsa_wait_state_t how)
{
	return wait_signal(done, ms / 1e3, how);
}

static void one_step(void)
{
	struct {
		uint32_t *state, *out;
		uint32_t round;
	} *a = arguments;

	a->state = state;
	a->out = out;
	a->round = (uint32_t)dispatches;
	for (unsigned i = 0; i < N; i++)
		want[i] = want[i] * 1664525u + (i ^ (uint32_t)dispatches) + 1013904223u;
	memset(out, 0, sizeof(*out) * N);
	submit_kernel("step", N);
	/* By turns, as programs do: waiting for an interrupt, and spinning. */
	if (!completed(120000, dispatches % 2 ? HSA_WAIT_STATE_ACTIVE : HSA_WAIT_STATE_BLOCKED)) {
		printf("e2e-gpu: dispatch %lu was not completed in two minutes\n", dispatches);
		exit(1);
	}
	for (unsigned i = 0; i < N; i++) {
		if (out[i] != want[i]) {
			printf("e2e-gpu: WRONG: dispatch %lu, element %u: %#x, not %#x\n", dispatches, i, out[i], want[i]);
			exit(1);
		}
	}
	dispatches++;
}

static void pause_ms(unsigned ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

static int finish(void)
{
	if (memcmp(state, want, sizeof(want))) {
		printf("e2e-gpu: WRONG: VRAM is not what the last dispatch left\n");
		return 1;
	}
	printf("dispatches %lu\nverified\n", dispatches);
	hsa_signal_destroy(done);
	hsa_queue_destroy(queue);
	hsa_shut_down();
	return 0;
}

static int work(double seconds)
{
	double end = now() + seconds;

	do
		one_step();
	while (now() < end);
	return finish();
}

static int until(const char *file)
{
	do {
		for (double end = now() + 0.02; now() < end;)
			one_step();
		pause_ms(40);
	} while (access(file, F_OK) < 0);
	return finish();
}

static int pulse(unsigned rounds, unsigned ms)
{
	for (unsigned i = 0; i < rounds; i++) {
		if (i)
			pause_ms(ms);
		one_step();
	}
	return finish();
}

static void enough(int number)
{
}

static int hold(unsigned seconds)
{
	/* The sleep ends. */
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = enough}, NULL);
	return pulse(2, seconds * 1000);
}

static int spin(void)
{
	void **a = arguments;

	out[0] = 0;
	a[0] = out;
	a[1] = out + 64;
	submit_kernel("spin", 256);
	while (!completed(1000, HSA_WAIT_STATE_BLOCKED))
		;
	printf("e2e-gpu: WRONG: it ended\n");
	return 1;
}

static int store(uint64_t address)
{
	struct {
		uint64_t where;
		uint32_t value;
	} *a = arguments;

	a->where = address;
	a->value = 0xbad0bad0;
	submit_kernel("store", 64);
	if (!completed(10 * HOSTILE_MS, HSA_WAIT_STATE_BLOCKED))
		return 4;
	printf("stored\n");
	return 0;
}

static int vram(size_t mib)
{
	struct {
		uint64_t where;
		uint32_t value;
	} *a = arguments;
	uint32_t *p = allocate(vram_pool, mib << 20), *ends[2] = {p, p + ((mib << 20) - 256) / 4};

	for (uint32_t i = 0; i < 2; i++) {
		a->where = (uintptr_t)ends[i];
		a->value = 0x1000 + i;
		submit_kernel("store", 64);
		if (!completed(60000, HSA_WAIT_STATE_BLOCKED))
			return 4;
	}
	for (uint32_t i = 0; i < 128; i++)
		if (ends[i / 64][i % 64] != 0x1000 + i / 64)
			return 1;
	check(hsa_amd_memory_pool_free(p), "hsa_amd_memory_pool_free");
	return finish();
}

static uint64_t random64(void)
{
	uint64_t v = 0;

	for (int i = 0; i < 5; i++)
		v = v << 15 ^ (uint64_t)rand_r(&seed);
	/* Plain, small, or an address near something of ours. */
	switch (rand_r(&seed) % 4) {
	case 0:
		return v % 65536;
	case 1:
		return (uintptr_t)state + v % 65536 - 32768;
	default:
		return v;
	}
}

/*
 * The descriptor of a real kernel, and behind it random instructions of the usual encodings. Whatever becomes of it is right: completion, an error of the queue, a
 * memory fault (the runtime aborts), or no end.
 */
static int code(void)
{
	static const uint32_t encodings[] = {0xbe800000, 0x80000000, 0xb0000000, 0xbf000000, 0xbf800000, 0xc0000000, 0x7e000000, 0x00000000, 0xd1000000, 0xd8000000, 0xdc000000, 0xe0000000, 0xd3800000};
	uint32_t *words = allocate(vram_pool, 8192);
	struct kernel random = {.object = (uintptr_t)words, .private_size = 256, .group_size = 1024};

	check(hsa_memory_copy(words, (void *)find_kernel(executable, "step").object, 64), "hsa_memory_copy");
	*(uint64_t *)(words + 4) = 256; /* where the code begins */
	words[11] |= 63;		   /* all registers that a kernel can ask for */
	words[12] |= 0x1f;
	for (int i = 64; i < 2047; i++) {
		uint32_t e = encodings[(unsigned)rand_r(&seed) % (sizeof(encodings) / sizeof(encodings[0]))];

		words[i] = rand_r(&seed) % 64 ? e | ((uint32_t)random64() & 0x007fffff) : (uint32_t)random64();
	}
	words[2047] = 0xbf810000; /* s_endpgm */
	start_kernel(&random, 256);
	printf("%s\n", completed(HOSTILE_MS, HSA_WAIT_STATE_BLOCKED) ? "completed" : "did not end");
	fflush(stdout);
	_exit(0);
}

static int packets(void)
{
	for (int round = 0; round < 3; round++) {
		uint64_t *slots = queue->base_address;

		for (unsigned i = 0; i < queue->size * 8; i++)
			slots[i] = random64();
		for (unsigned i = 0; i < queue->size; i++) {
			uint16_t type = (uint16_t)(rand_r(&seed) % 8);

			((uint16_t *)(slots + 8 * i))[0] = (uint16_t)((random64() & 0xff00) | type);
		}
		hsa_queue_store_write_index_screlease(queue, queue->size * (uint64_t)(round + 1));
		hsa_signal_store_screlease(queue->doorbell_signal, queue->size * (round + 1) - 1);
		pause_ms(HOSTILE_MS / 6);
		queue = open_queue(RING);
	}
	printf("no error\n");
	fflush(stdout);
	_exit(0);
}

static int doorbells(void)
{
	/* The doorbell's address is the second word of a signal of that kind. */
	volatile uint64_t *bell = ((uint64_t **)queue->doorbell_signal.handle)[1];
	volatile uint64_t *page = (uint64_t *)((uintptr_t)bell & ~(uintptr_t)4095);

	one_step();
	for (int i = 0; i < 2000; i++) {
		hsa_queue_store_write_index_relaxed(queue, random64());
		*bell = random64();
		page[rand_r(&seed) % 512] = random64();
		if (i % 200 == 0)
			pause_ms(60); /* long enough to be parked */
	}
	pause_ms(HOSTILE_MS / 6);
	printf("no error\n");
	fflush(stdout);
	_exit(0);
}

static int header(void)
{
	/* The runtime's amd_queue_t: hsa_queue_t and what the command processor shares. */
	uint64_t *words = (uint64_t *)queue;

	for (int i = 0; i < 50; i++) {
		submit_kernel("step", N);
		words[sizeof(*queue) / 8 + (unsigned)rand_r(&seed) % 24] = random64();
		*((uint64_t **)queue->doorbell_signal.handle)[1] = (uint64_t)i;
		pause_ms(20);
	}
	printf("no error\n");
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : "0";

	setvbuf(stdout, NULL, _IOLBF, 0);
	seed = (unsigned)strtoul(arg, NULL, 0);
	start();
	if (!strcmp(what, "work"))
		return work(atof(arg));
	if (!strcmp(what, "until"))
		return until(arg);
	if (!strcmp(what, "pulse") && argc == 4)
		return pulse((unsigned)atoi(arg), (unsigned)atoi(argv[3]));
	if (!strcmp(what, "hold"))
		return hold((unsigned)atoi(arg));
	if (!strcmp(what, "vram"))
		return vram((size_t)atoi(arg));
	if (!strcmp(what, "spin"))
		return spin();
	if (!strcmp(what, "store"))
		return store(strtoull(arg, NULL, 16));
	if (!strcmp(what, "code"))
		return code();
	if (!strcmp(what, "packets"))
		return packets();
	if (!strcmp(what, "doorbells"))
		return doorbells();
	if (!strcmp(what, "header"))
		return header();
	fprintf(stderr, "usage: e2e-gpu work|until|pulse|hold|vram|spin|store|code|packets|doorbells|header [ARGUMENT...]\n");
	return 2;
}
