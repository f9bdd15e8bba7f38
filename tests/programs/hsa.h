/* SPDX-License-Identifier: MIT */
/*
 * hsa.h - what the C programs on the HSA runtime share: the first GPU, its memory and the CPU's, a code object from beside the program,
 * queues and packets. Whatever fails ends the program with a sentence. To be included first.
 */
#ifndef TESTS_PROGRAMS_HSA_H
#define TESTS_PROGRAMS_HSA_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* program_invocation_short_name */
#endif

#include <errno.h>
#include <fcntl.h>
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static hsa_agent_t gpu, cpu;
static hsa_amd_memory_pool_t vram_pool, system_pool; /* system: fine-grained, for kernel arguments, too */

static inline void check(hsa_status_t s, const char *what)
{
	const char *text = "";

	if (s == HSA_STATUS_SUCCESS || s == HSA_STATUS_INFO_BREAK)
		return;
	hsa_status_string(s, &text);
	fprintf(stderr, "%s: %s: 0x%x %s\n", program_invocation_short_name, what, (unsigned)s, text);
	exit(1);
}

/* ---- times ---- */

static inline double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* In seconds. */
static inline double now(void)
{
	return now_us() / 1e6;
}

static inline int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* ---- agents and memory ---- */

static inline hsa_status_t look_at_agent(hsa_agent_t agent, void *data)
{
	hsa_device_type_t type;

	(void)data;
	hsa_agent_get_info(agent, HSA_AGENT_INFO_DEVICE, &type);
	if (type == HSA_DEVICE_TYPE_GPU && !gpu.handle)
		gpu = agent;
	else if (type == HSA_DEVICE_TYPE_CPU && !cpu.handle)
		cpu = agent;
	return HSA_STATUS_SUCCESS;
}

struct pool_search {
	uint32_t flag;
	hsa_amd_memory_pool_t found;
};

static inline hsa_status_t look_at_pool(hsa_amd_memory_pool_t pool, void *data)
{
	struct pool_search *s = data;
	hsa_amd_segment_t segment;
	bool can_allocate = false;
	uint32_t flags = 0;

	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_SEGMENT, &segment);
	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALLOWED, &can_allocate);
	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS, &flags);
	if (segment != HSA_AMD_SEGMENT_GLOBAL || !can_allocate || !(flags & s->flag))
		return HSA_STATUS_SUCCESS;
	s->found = pool;
	return HSA_STATUS_INFO_BREAK;
}

/* An agent's first global pool with that flag, HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_*. */
static inline hsa_amd_memory_pool_t find_pool(hsa_agent_t agent, uint32_t flag)
{
	struct pool_search s = {.flag = flag};

	check(hsa_amd_agent_iterate_memory_pools(agent, look_at_pool, &s), "memory pools");
	if (!s.found.handle) {
		fprintf(stderr, "%s: no memory pool with flag %u\n", program_invocation_short_name, flag);
		exit(1);
	}
	return s.found;
}

/* Starts the runtime and finds the first GPU, the first CPU, and the memory of both. */
static inline void open_agents(void)
{
	check(hsa_init(), "hsa_init");
	check(hsa_iterate_agents(look_at_agent, NULL), "hsa_iterate_agents");
	if (!gpu.handle || !cpu.handle) {
		fprintf(stderr, "%s: no %s\n", program_invocation_short_name, gpu.handle ? "CPU" : "GPU");
		exit(1);
	}
	vram_pool = find_pool(gpu, HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_COARSE_GRAINED);
	system_pool = find_pool(cpu, HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_FINE_GRAINED);
}

/* Memory that the CPU and the GPU can use. */
static inline void *allocate(hsa_amd_memory_pool_t pool, size_t size)
{
	hsa_agent_t both[2] = {cpu, gpu};
	void *p = NULL;

	check(hsa_amd_memory_pool_allocate(pool, size, 0, &p), "hsa_amd_memory_pool_allocate");
	check(hsa_amd_agents_allow_access(2, both, NULL, p), "hsa_amd_agents_allow_access");
	return p;
}

static inline hsa_signal_t new_signal(hsa_signal_value_t value)
{
	hsa_signal_t s;

	check(hsa_signal_create(value, 0, NULL, &s), "hsa_signal_create");
	return s;
}

/* Waits in short pieces until the signal is 0; false: it wasn't within so many seconds. */
static inline bool wait_signal(hsa_signal_t signal, double seconds, hsa_wait_state_t how)
{
	double end = now() + seconds;

	do
		if (hsa_signal_wait_scacquire(signal, HSA_SIGNAL_CONDITION_LT, 1, 50000000, how) < 1)
			return true;
	while (now() < end);
	return false;
}

/* ---- kernels ---- */

/* Loads NAME.GPU.co from beside this program. */
static inline hsa_executable_t load_code(const char *code)
{
	char name[64] = "", self[4096], path[4352];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	hsa_code_object_reader_t reader;
	hsa_executable_t executable;
	int fd;

	self[n > 0 ? n : 0] = 0;
	hsa_agent_get_info(gpu, HSA_AGENT_INFO_NAME, name);
	snprintf(path, sizeof(path), "%s/%s.%s.co", dirname(self), code, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	check(hsa_code_object_reader_create_from_file(fd, &reader), "hsa_code_object_reader_create_from_file");
	check(hsa_executable_create_alt(HSA_PROFILE_FULL, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, NULL, &executable), "hsa_executable_create_alt");
	check(hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL), "hsa_executable_load_agent_code_object");
	check(hsa_executable_freeze(executable, NULL), "hsa_executable_freeze");
	return executable;
}

struct kernel {
	uint64_t object; /* its descriptor */
	uint32_t private_size, group_size;
};

static inline struct kernel find_kernel(hsa_executable_t executable, const char *name)
{
	hsa_executable_symbol_t symbol;
	struct kernel k;
	char text[128];

	snprintf(text, sizeof(text), "%s.kd", name);
	check(hsa_executable_get_symbol_by_name(executable, text, &gpu, &symbol), text);
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &k.object);
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_PRIVATE_SEGMENT_SIZE, &k.private_size);
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_GROUP_SEGMENT_SIZE, &k.group_size);
	return k;
}

/* ---- queues ---- */

static inline void queue_failed(hsa_status_t s, hsa_queue_t *q, void *data)
{
	(void)q;
	(void)data;
	printf("queue error 0x%x\n", (unsigned)s);
	fflush(stdout);
	_exit(3);
}

/* A queue whose error ends the program with status 3. */
static inline hsa_queue_t *open_queue(uint32_t packets)
{
	hsa_queue_t *queue;

	check(hsa_queue_create(gpu, packets, HSA_QUEUE_TYPE_MULTI, queue_failed, NULL, UINT32_MAX, UINT32_MAX, &queue), "hsa_queue_create");
	return queue;
}

/* The first word of a packet with fences of the system; to be ORed with 1 << HSA_PACKET_HEADER_BARRIER and the like. */
#define PACKET(type)                                                                                                      \
	((uint32_t)HSA_PACKET_TYPE_##type << HSA_PACKET_HEADER_TYPE |                                                     \
	 (uint32_t)HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |                                    \
	 (uint32_t)HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE)

/* The queue's next packet, cleared but for its first word, and its index. */
static inline void *next_packet(hsa_queue_t *queue, uint64_t *index)
{
	char *p;

	*index = hsa_queue_add_write_index_relaxed(queue, 1);
	p = (char *)queue->base_address + *index % queue->size * 64;
	memset(p + 4, 0, 60);
	return p;
}

static inline void ring(hsa_queue_t *queue, uint64_t index, void *packet, uint32_t first)
{
	__atomic_store_n((uint32_t *)packet, first, __ATOMIC_RELEASE);
	hsa_signal_store_screlease(queue->doorbell_signal, (hsa_signal_value_t)index);
}

/* Puts one kernel of groups * size work-items on the queue and rings; flags: more of its header, or 0. The packet's index. */
static inline uint64_t submit(hsa_queue_t *queue, const struct kernel *k, uint32_t groups, uint16_t size, void *kernarg, hsa_signal_t signal,
			      uint32_t flags)
{
	uint64_t index;
	hsa_kernel_dispatch_packet_t *p = next_packet(queue, &index);

	p->workgroup_size_x = size;
	p->workgroup_size_y = p->workgroup_size_z = 1;
	p->grid_size_x = groups * size;
	p->grid_size_y = p->grid_size_z = 1;
	p->private_segment_size = k->private_size;
	p->group_segment_size = k->group_size;
	p->kernel_object = k->object;
	p->kernarg_address = kernarg;
	p->completion_signal = signal;
	ring(queue, index, p, PACKET(KERNEL_DISPATCH) | 1u << HSA_KERNEL_DISPATCH_PACKET_SETUP_DIMENSIONS << 16 | flags);
	return index;
}

#endif
