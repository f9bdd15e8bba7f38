// SPDX-License-Identifier: MIT
/*
 * soak-queues - several queues of one process by the HSA runtime, which come and go: chains of dispatches, each behind a barrier packet that waits for the
 * queue before it, and copies between system memory and VRAM (SDMA) at both ends, tied together by signals; the CPU only waits for the last.
 *
 * The kernel is e2e-gpu's step: state[i] = state[i] * 1664525 + (i ^ round) + 1013904223, out[i] the same.
 */
#include <fcntl.h>
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUES 6u
#define LAPS   3u
#define ROUNDS 4u
#define RING   64u
#define N      2048u
#define FENCES (HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE | HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE)

/* As the kernel's arguments lie, with room for the ones that the compiler hides behind them. */
struct arguments {
	uint32_t *state, *out;
	uint32_t round;
	uint8_t hidden[236];
};

static hsa_agent_t cpu, gpu;
static hsa_amd_memory_pool_t system_pool, vram_pool;
static uint64_t kernel;

static void check(hsa_status_t s, const char *what)
{
	const char *text = "";

	if (s == HSA_STATUS_SUCCESS || s == HSA_STATUS_INFO_BREAK)
		return;
	hsa_status_string(s, &text);
	printf("soak-queues: %s: 0x%x %s\n", what, s, text);
	exit(1);
}

static hsa_status_t find_agent(hsa_agent_t agent, void *data)
{
	hsa_device_type_t type;

	hsa_agent_get_info(agent, HSA_AGENT_INFO_DEVICE, &type);
	*(type == HSA_DEVICE_TYPE_GPU ? &gpu : &cpu) = agent;
	return HSA_STATUS_SUCCESS;
}

static hsa_status_t find_pool(hsa_amd_memory_pool_t pool, void *data)
{
	hsa_amd_segment_t segment;
	uint32_t flags = 0;

	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_SEGMENT, &segment);
	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS, &flags);
	if (segment != HSA_AMD_SEGMENT_GLOBAL || (data == &system_pool && !(flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_FINE_GRAINED)))
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

static hsa_signal_t new_signal(void)
{
	hsa_signal_t s;

	check(hsa_signal_create(1, 0, NULL, &s), "hsa_signal_create");
	return s;
}

static void load_kernel(void)
{
	hsa_code_object_reader_t reader;
	hsa_executable_symbol_t symbol;
	hsa_executable_t executable;
	char name[64] = "", self[4096] = "", path[4352];
	int fd;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		exit(1);
	hsa_agent_get_info(gpu, HSA_AGENT_INFO_NAME, name);
	snprintf(path, sizeof(path), "%s/e2e-kernels.%s.co", dirname(self), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	check(hsa_code_object_reader_create_from_file(fd, &reader), "hsa_code_object_reader_create_from_file");
	check(hsa_executable_create_alt(HSA_PROFILE_FULL, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, NULL, &executable), "hsa_executable_create_alt");
	check(hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL), "hsa_executable_load_agent_code_object");
	check(hsa_executable_freeze(executable, NULL), "hsa_executable_freeze");
	check(hsa_executable_get_symbol_by_name(executable, "step.kd", &gpu, &symbol), "step.kd");
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &kernel);
}

/* The next slot of the queue, cleared but for its header. */
static void *slot(hsa_queue_t *q, uint64_t *index)
{
	char *p;

	*index = hsa_queue_add_write_index_relaxed(q, 1);
	p = (char *)q->base_address + *index % q->size * 64;
	memset(p + 4, 0, 60);
	return p;
}

static void publish(hsa_queue_t *q, uint64_t index, void *packet, uint32_t header)
{
	__atomic_store_n((uint32_t *)packet, header, __ATOMIC_RELEASE);
	hsa_signal_store_screlease(q->doorbell_signal, (hsa_signal_value_t)index);
}

/* Waits for the signal on the queue, then runs the rounds in order; the last one completes done. */
static void link_of_chain(hsa_queue_t *q, hsa_signal_t before, hsa_signal_t done, struct arguments *a)
{
	uint64_t index;
	hsa_barrier_and_packet_t *b = slot(q, &index);

	b->dep_signal[1] = before;
	publish(q, index, b, HSA_PACKET_TYPE_BARRIER_AND << HSA_PACKET_HEADER_TYPE | 1u << HSA_PACKET_HEADER_BARRIER | FENCES);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		hsa_kernel_dispatch_packet_t *p = slot(q, &index);

		p->workgroup_size_x = 64;
		p->workgroup_size_y = p->workgroup_size_z = p->grid_size_y = p->grid_size_z = 1;
		p->grid_size_x = N;
		p->kernel_object = kernel;
		p->kernarg_address = &a[i];
		if (i == ROUNDS - 1)
			p->completion_signal = done;
		publish(q, index, p, HSA_PACKET_TYPE_KERNEL_DISPATCH << HSA_PACKET_HEADER_TYPE | 1u << HSA_PACKET_HEADER_BARRIER | FENCES |
					     1u << HSA_KERNEL_DISPATCH_PACKET_SETUP_DIMENSIONS << 16);
	}
}

static void on_error(hsa_status_t s, hsa_queue_t *q, void *data)
{
	printf("soak-queues: queue error 0x%x\n", (unsigned)s);
	fflush(stdout);
	_exit(3);
}

/* One chain over all queues; how many values are wrong. */
static unsigned lap(uint32_t *system, uint32_t *state, uint32_t *out, struct arguments *arguments)
{
	static uint32_t want[N];
	hsa_queue_t *queue[QUEUES];
	hsa_signal_t signal[QUEUES + 2];
	unsigned wrong = 0;

	for (uint32_t i = 0; i < N; i++)
		want[i] = system[i] = (uint32_t)random();
	for (unsigned i = 0; i < QUEUES + 2; i++)
		signal[i] = new_signal();
	for (unsigned i = 0; i < QUEUES; i++)
		check(hsa_queue_create(gpu, RING, HSA_QUEUE_TYPE_MULTI, on_error, NULL, UINT32_MAX, UINT32_MAX, &queue[i]), "hsa_queue_create");
	for (unsigned i = 0; i < QUEUES * ROUNDS; i++) {
		arguments[i] = (struct arguments){.state = state, .out = out, .round = i};
		for (uint32_t k = 0; k < N; k++)
			want[k] = want[k] * 1664525u + (k ^ i) + 1013904223u;
	}
	/* From the last to the first, so that all of them wait at first. */
	check(hsa_amd_memory_async_copy(system, cpu, state, gpu, N * 4, 1, &signal[QUEUES], signal[QUEUES + 1]), "hsa_amd_memory_async_copy");
	for (unsigned i = QUEUES; i-- > 0;)
		link_of_chain(queue[i], signal[i], signal[i + 1], arguments + i * ROUNDS);
	check(hsa_amd_memory_async_copy(state, gpu, system, cpu, N * 4, 0, NULL, signal[0]), "hsa_amd_memory_async_copy");
	while (hsa_signal_wait_scacquire(signal[QUEUES + 1], HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX, HSA_WAIT_STATE_BLOCKED) >= 1)
		;
	for (uint32_t i = 0; i < N; i++)
		wrong += system[i] != want[i];
	for (unsigned i = 0; i < QUEUES; i++)
		check(hsa_queue_destroy(queue[i]), "hsa_queue_destroy");
	for (unsigned i = 0; i < QUEUES + 2; i++)
		hsa_signal_destroy(signal[i]);
	return wrong;
}

int main(void)
{
	struct arguments *arguments;
	uint32_t *system, *state, *out;
	unsigned wrong = 0;

	check(hsa_init(), "hsa_init");
	check(hsa_iterate_agents(find_agent, NULL), "hsa_iterate_agents");
	check(hsa_amd_agent_iterate_memory_pools(gpu, find_pool, &vram_pool), "the GPU's memory pools");
	check(hsa_amd_agent_iterate_memory_pools(cpu, find_pool, &system_pool), "the CPU's memory pools");
	load_kernel();
	system = allocate(system_pool, N * 4);
	state = allocate(vram_pool, N * 4);
	out = allocate(vram_pool, N * 4);
	arguments = allocate(system_pool, QUEUES * ROUNDS * sizeof(*arguments));
	for (unsigned i = 0; i < LAPS; i++)
		wrong += lap(system, state, out, arguments);
	hsa_shut_down();
	printf("soak-queues: %u queues %u times, %u wrong: %s\n", QUEUES, LAPS, wrong, wrong ? "WRONG" : "verified");
	return wrong != 0;
}
