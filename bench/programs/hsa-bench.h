/* SPDX-License-Identifier: MIT */
/*
 * hsa-bench.h - what the benchmark programs share: the first GPU, a code object of this folder, a
 * queue, and a packet. Whatever fails ends the program with a sentence.
 */
#ifndef BENCH_HSA_BENCH_H
#define BENCH_HSA_BENCH_H

#include <fcntl.h>
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline void check(hsa_status_t s, const char *what)
{
	const char *text = "";

	if (s == HSA_STATUS_SUCCESS || s == HSA_STATUS_INFO_BREAK)
		return;
	hsa_status_string(s, &text);
	fprintf(stderr, "%s: %s\n", what, text);
	exit(1);
}

static inline double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static inline int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct agent_search {
	hsa_device_type_t type;
	hsa_agent_t found;
};

static inline hsa_status_t look_at_agent(hsa_agent_t agent, void *data)
{
	struct agent_search *s = data;
	hsa_device_type_t type;

	hsa_agent_get_info(agent, HSA_AGENT_INFO_DEVICE, &type);
	if (type != s->type)
		return HSA_STATUS_SUCCESS;
	s->found = agent;
	return HSA_STATUS_INFO_BREAK;
}

/* The first agent of a type. */
static inline hsa_agent_t find_agent(hsa_device_type_t type)
{
	struct agent_search s = {.type = type};

	check(hsa_iterate_agents(look_at_agent, &s), "hsa_iterate_agents");
	if (!s.found.handle) {
		fprintf(stderr, "no %s\n", type == HSA_DEVICE_TYPE_GPU ? "GPU" : "CPU");
		exit(1);
	}
	return s.found;
}

struct pool_search {
	uint32_t flag;
	hsa_amd_memory_pool_t found;
};

static inline hsa_status_t look_at_pool(hsa_amd_memory_pool_t pool, void *data)
{
	struct pool_search *s = data;
	hsa_amd_segment_t segment;
	uint32_t flags = 0;

	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_SEGMENT, &segment);
	hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS, &flags);
	if (segment != HSA_AMD_SEGMENT_GLOBAL || !(flags & s->flag))
		return HSA_STATUS_SUCCESS;
	s->found = pool;
	return HSA_STATUS_INFO_BREAK;
}

/* An agent's first global pool with HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_flag: of a GPU COARSE_GRAINED
 * is VRAM; of a CPU KERNARG_INIT is memory for kernel arguments. */
static inline hsa_amd_memory_pool_t find_pool(hsa_agent_t agent, uint32_t flag)
{
	struct pool_search s = {.flag = flag};

	check(hsa_amd_agent_iterate_memory_pools(agent, look_at_pool, &s), "memory pools");
	if (!s.found.handle) {
		fprintf(stderr, "no memory pool with flag %u\n", flag);
		exit(1);
	}
	return s.found;
}

static inline hsa_agent_t open_gpu(void)
{
	check(hsa_init(), "hsa_init");
	return find_agent(HSA_DEVICE_TYPE_GPU);
}

/* Loads NAME.GPU.co from beside this program. */
static inline hsa_executable_t load_code(hsa_agent_t gpu, const char *code)
{
	char name[64] = "", self[4096], path[4352];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	hsa_code_object_reader_t reader;
	hsa_executable_t executable;
	int fd;

	self[n > 0 ? n : 0] = 0;
	hsa_agent_get_info(gpu, HSA_AGENT_INFO_NAME, name);
	snprintf(path, sizeof(path), "%s/%s.%s.co", dirname(self), code, name);
	fd = open(path, O_RDONLY);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	check(hsa_code_object_reader_create_from_file(fd, &reader), "hsa_code_object_reader_create");
	check(hsa_executable_create_alt(HSA_PROFILE_FULL, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT,
					NULL, &executable),
	      "hsa_executable_create_alt");
	check(hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL),
	      "hsa_executable_load_agent_code_object");
	check(hsa_executable_freeze(executable, NULL), "hsa_executable_freeze");
	return executable;
}

struct kernel {
	uint64_t object;
	uint32_t private_size, group_size, kernarg_size;
};

static inline struct kernel find_kernel(hsa_agent_t gpu, hsa_executable_t executable,
					const char *name)
{
	hsa_executable_symbol_t symbol;
	struct kernel k;
	char text[128];

	snprintf(text, sizeof(text), "%s.kd", name);
	check(hsa_executable_get_symbol_by_name(executable, text, &gpu, &symbol), text);
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &k.object);
	hsa_executable_symbol_get_info(symbol,
				       HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_PRIVATE_SEGMENT_SIZE,
				       &k.private_size);
	hsa_executable_symbol_get_info(
		symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_GROUP_SEGMENT_SIZE, &k.group_size);
	hsa_executable_symbol_get_info(symbol,
				       HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_KERNARG_SEGMENT_SIZE,
				       &k.kernarg_size);
	return k;
}

static inline hsa_queue_t *open_queue(hsa_agent_t gpu)
{
	hsa_queue_t *queue;

	check(hsa_queue_create(gpu, 1024, HSA_QUEUE_TYPE_SINGLE, NULL, NULL, UINT32_MAX, UINT32_MAX,
			       &queue),
	      "hsa_queue_create");
	return queue;
}

/* Puts one kernel of groups * size work-items on the queue and rings; returns the packet's index. */
static inline uint64_t submit(hsa_queue_t *queue, const struct kernel *k, uint32_t groups,
			      uint16_t size, void *kernarg, hsa_signal_t signal)
{
	uint64_t index = hsa_queue_add_write_index_relaxed(queue, 1);
	hsa_kernel_dispatch_packet_t *p =
		(hsa_kernel_dispatch_packet_t *)queue->base_address + index % queue->size;

	memset((char *)p + 4, 0, sizeof(*p) - 4);
	p->workgroup_size_x = size;
	p->workgroup_size_y = p->workgroup_size_z = 1;
	p->grid_size_x = groups * size;
	p->grid_size_y = p->grid_size_z = 1;
	p->private_segment_size = k->private_size;
	p->group_segment_size = k->group_size;
	p->kernel_object = k->object;
	p->kernarg_address = kernarg;
	p->completion_signal = signal;
	__atomic_store_n((uint32_t *)p,
			 HSA_PACKET_TYPE_KERNEL_DISPATCH << HSA_PACKET_HEADER_TYPE |
				 HSA_FENCE_SCOPE_SYSTEM
					 << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |
				 HSA_FENCE_SCOPE_SYSTEM
					 << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE |
				 1u << HSA_KERNEL_DISPATCH_PACKET_SETUP_DIMENSIONS << 16,
			 __ATOMIC_RELEASE);
	hsa_signal_store_screlease(queue->doorbell_signal, (hsa_signal_value_t)index);
	return index;
}

#endif
