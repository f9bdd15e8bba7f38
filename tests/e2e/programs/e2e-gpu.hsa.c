// SPDX-License-Identifier: MIT
/*
 * e2e-gpu - a tenant's program by the HSA runtime, well-behaved or hostile as its first word says:
 *
 *   work SECONDS         dispatches one after another for so long; each result is compared. Prints "dispatches N" and "verified"
 *   until FILE           the same until FILE exists
 *   pulse ROUNDS MS      a compared dispatch, MS of idleness with the queue open, again; prints the same
 *   hold SECONDS         one compared dispatch, then idle with the queue open, then another one
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
#include <fcntl.h>
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define N	   1024u
#define RING	   64u
#define HOSTILE_MS 3000u
#define HEADER                                                                                                                                       \
	(HSA_PACKET_TYPE_KERNEL_DISPATCH << HSA_PACKET_HEADER_TYPE | HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |             \
	 HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE | 1u << HSA_KERNEL_DISPATCH_PACKET_SETUP_DIMENSIONS << 16)

static hsa_agent_t gpu, cpu;
static hsa_amd_memory_pool_t vram_pool, system_pool;
static hsa_executable_t executable;
static hsa_queue_t *queue;
static hsa_signal_t done;
static uint32_t *state, *out, want[N];
static void *arguments;
static unsigned long dispatches;
static unsigned seed;

static void check(hsa_status_t s, const char *what)
{
	const char *text = "";

	if (s == HSA_STATUS_SUCCESS || s == HSA_STATUS_INFO_BREAK)
		return;
	hsa_status_string(s, &text);
	fprintf(stderr, "e2e-gpu: %s: %s\n", what, text);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static hsa_status_t find_agent(hsa_agent_t agent, void *data)
{
	hsa_device_type_t type;

	hsa_agent_get_info(agent, HSA_AGENT_INFO_DEVICE, &type);
	if (type == HSA_DEVICE_TYPE_GPU)
		gpu = agent;
	else if (type == HSA_DEVICE_TYPE_CPU)
		cpu = agent;
	return HSA_STATUS_SUCCESS;
}

static hsa_status_t find_pool(hsa_amd_memory_pool_t pool, void *data)
{
	hsa_amd_segment_t segment;
	bool can_allocate = false;
	uint32_t flags = 0;

	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_SEGMENT, &segment);
	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALLOWED, &can_allocate);
	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS, &flags);
	if (segment != HSA_AMD_SEGMENT_GLOBAL || !can_allocate)
		return HSA_STATUS_SUCCESS;
	if (data == &system_pool && !(flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_FINE_GRAINED))
		return HSA_STATUS_SUCCESS;
	*(hsa_amd_memory_pool_t *)data = pool;
	return HSA_STATUS_INFO_BREAK;
}

static void *allocate(hsa_amd_memory_pool_t pool, size_t size)
{
	hsa_agent_t both[2] = {cpu, gpu};
	void *p = NULL;

	check(hsa_amd_memory_pool_allocate(pool, size, 0, &p), "hsa_amd_memory_pool_allocate");
	check(hsa_amd_agents_allow_access(2, both, NULL, p), "hsa_amd_agents_allow_access");
	return p;
}

static void on_queue_error(hsa_status_t s, hsa_queue_t *q, void *data)
{
	printf("queue error 0x%x\n", (unsigned)s);
	fflush(stdout);
	_exit(3);
}

static void load_code(void)
{
	char name[64] = "", self[4096], path[4352];
	hsa_code_object_reader_t reader;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd;

	self[n > 0 ? n : 0] = 0;
	hsa_agent_get_info(gpu, HSA_AGENT_INFO_NAME, name);
	snprintf(path, sizeof(path), "%s/e2e-kernels.%s.co", dirname(self), name);
	fd = open(path, O_RDONLY);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	check(hsa_code_object_reader_create_from_file(fd, &reader), "hsa_code_object_reader_create_from_file");
	check(hsa_executable_create_alt(HSA_PROFILE_FULL, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, NULL, &executable), "hsa_executable_create_alt");
	check(hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL), "hsa_executable_load_agent_code_object");
	check(hsa_executable_freeze(executable, NULL), "hsa_executable_freeze");
}

static void make_queue(void)
{
	check(hsa_queue_create(gpu, RING, HSA_QUEUE_TYPE_MULTI, on_queue_error, NULL, UINT32_MAX, UINT32_MAX, &queue), "hsa_queue_create");
}

static void start(void)
{
	const char *file = getenv("E2E_ADDRESSES");

	check(hsa_init(), "hsa_init");
	check(hsa_iterate_agents(find_agent, NULL), "hsa_iterate_agents");
	if (!gpu.handle) {
		fprintf(stderr, "e2e-gpu: no GPU\n");
		exit(1);
	}
	check(hsa_amd_agent_iterate_memory_pools(gpu, find_pool, &vram_pool), "the GPU's memory pools");
	check(hsa_amd_agent_iterate_memory_pools(cpu, find_pool, &system_pool), "the CPU's memory pools");
	load_code();
	make_queue();
	check(hsa_signal_create(1, 0, NULL, &done), "hsa_signal_create");
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

static void submit(uint64_t object, uint32_t private_size, uint32_t group_size, uint32_t items)
{
	uint64_t index = hsa_queue_add_write_index_relaxed(queue, 1);
	hsa_kernel_dispatch_packet_t *p = (hsa_kernel_dispatch_packet_t *)queue->base_address + index % queue->size;

	memset((char *)p + 4, 0, sizeof(*p) - 4);
	p->workgroup_size_x = 64;
	p->workgroup_size_y = p->workgroup_size_z = 1;
	p->grid_size_x = items;
	p->grid_size_y = p->grid_size_z = 1;
	p->private_segment_size = private_size;
	p->group_segment_size = group_size;
	p->kernel_object = object;
	p->kernarg_address = arguments;
	p->completion_signal = done;
	hsa_signal_store_relaxed(done, 1);
	__atomic_store_n((uint32_t *)p, HEADER, __ATOMIC_RELEASE);
	hsa_signal_store_screlease(queue->doorbell_signal, (hsa_signal_value_t)index);
}

static void submit_kernel(const char *name, uint32_t items)
{
	hsa_executable_symbol_t symbol;
	uint64_t object;
	uint32_t private_size, group_size;

	check(hsa_executable_get_symbol_by_name(executable, name, &gpu, &symbol), name);
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &object);
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_PRIVATE_SEGMENT_SIZE, &private_size);
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_GROUP_SEGMENT_SIZE, &group_size);
	submit(object, private_size, group_size, items);
}

/* Waits in short pieces, so that a lost completion is told from a slow one by the caller. True: it completed. */
static bool completed(unsigned ms, hsa_wait_state_t how)
{
	double end = now() + ms / 1e3;

	while (now() < end)
		if (hsa_signal_wait_scacquire(done, HSA_SIGNAL_CONDITION_LT, 1, 50000000, how) < 1)
			return true;
	return false;
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
	submit_kernel("step.kd", N);
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
	do
		one_step();
	while (access(file, F_OK) < 0);
	return finish();
}

static int pulse(unsigned rounds, unsigned ms)
{
	for (unsigned i = 0; i < rounds; i++) {
		one_step();
		pause_ms(ms);
	}
	return finish();
}

static int spin(void)
{
	void **a = arguments;

	out[0] = 0;
	a[0] = out;
	a[1] = out + 64;
	submit_kernel("spin.kd", 256);
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
	submit_kernel("store.kd", 64);
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
		submit_kernel("store.kd", 64);
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
	hsa_executable_symbol_t symbol;
	uint64_t object;

	check(hsa_executable_get_symbol_by_name(executable, "step.kd", &gpu, &symbol), "step.kd");
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &object);
	check(hsa_memory_copy(words, (void *)object, 64), "hsa_memory_copy");
	*(uint64_t *)(words + 4) = 256; /* where the code begins */
	words[11] |= 63;		   /* all registers that a kernel can ask for */
	words[12] |= 0x1f;
	for (int i = 64; i < 2047; i++) {
		uint32_t e = encodings[(unsigned)rand_r(&seed) % (sizeof(encodings) / sizeof(encodings[0]))];

		words[i] = rand_r(&seed) % 64 ? e | ((uint32_t)random64() & 0x007fffff) : (uint32_t)random64();
	}
	words[2047] = 0xbf810000; /* s_endpgm */
	submit((uintptr_t)words, 256, 1024, 256);
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
		make_queue();
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
		submit_kernel("step.kd", N);
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
		return pulse(2, (unsigned)atoi(arg) * 1000);
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
