// SPDX-License-Identifier: MIT
/*
 * dispatch-latency [N] - round trips of an empty kernel through an AQL queue by the HSA runtime:
 * store the packet, ring the doorbell, wait (spinning on the signal) until it completed, N times
 * (default 10,000) after a warm-up. Prints "dispatches N", "median_us X", "p99_us X", "verified":
 * the queue's read index must have come as far as packets were written, and each completion signal
 * must have reached zero.
 */
#include <fcntl.h>
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void check(hsa_status_t s, const char *what)
{
	const char *text = "";

	if (s == HSA_STATUS_SUCCESS || s == HSA_STATUS_INFO_BREAK)
		return;
	hsa_status_string(s, &text);
	fprintf(stderr, "dispatch-latency: %s: %s\n", what, text);
	exit(1);
}

static hsa_status_t find_gpu(hsa_agent_t agent, void *data)
{
	hsa_device_type_t type;

	hsa_agent_get_info(agent, HSA_AGENT_INFO_DEVICE, &type);
	if (type != HSA_DEVICE_TYPE_GPU)
		return HSA_STATUS_SUCCESS;
	*(hsa_agent_t *)data = agent;
	return HSA_STATUS_INFO_BREAK;
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The code object for this agent, beside this program. */
static int open_code(hsa_agent_t agent)
{
	char name[64] = "", self[4096], path[4352];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd;

	self[n > 0 ? n : 0] = 0;
	hsa_agent_get_info(agent, HSA_AGENT_INFO_NAME, name);
	snprintf(path, sizeof(path), "%s/empty.%s.co", dirname(self), name);
	fd = open(path, O_RDONLY);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 10000, warm = 1000;
	hsa_agent_t gpu = {0};
	hsa_executable_t executable;
	hsa_code_object_reader_t reader;
	hsa_executable_symbol_t symbol;
	hsa_signal_t signal;
	hsa_queue_t *queue;
	uint64_t object, index = 0;
	uint32_t private_size, group_size;
	double *t;

	if (count < 1 || count > 10000000) {
		fprintf(stderr, "usage: dispatch-latency [1..10000000]\n");
		return 2;
	}
	t = calloc((size_t)count, sizeof(*t));
	check(hsa_init(), "hsa_init");
	check(hsa_iterate_agents(find_gpu, &gpu), "hsa_iterate_agents");
	if (!gpu.handle) {
		fprintf(stderr, "dispatch-latency: no GPU\n");
		return 1;
	}
	check(hsa_code_object_reader_create_from_file(open_code(gpu), &reader),
	      "hsa_code_object_reader_create_from_file");
	check(hsa_executable_create_alt(HSA_PROFILE_FULL, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT,
					NULL, &executable),
	      "hsa_executable_create_alt");
	check(hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL),
	      "hsa_executable_load_agent_code_object");
	check(hsa_executable_freeze(executable, NULL), "hsa_executable_freeze");
	check(hsa_executable_get_symbol_by_name(executable, "empty.kd", &gpu, &symbol),
	      "hsa_executable_get_symbol_by_name");
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &object);
	hsa_executable_symbol_get_info(
		symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_PRIVATE_SEGMENT_SIZE, &private_size);
	hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_GROUP_SEGMENT_SIZE,
				       &group_size);
	check(hsa_queue_create(gpu, 1024, HSA_QUEUE_TYPE_SINGLE, NULL, NULL, UINT32_MAX, UINT32_MAX,
			       &queue),
	      "hsa_queue_create");
	check(hsa_signal_create(1, 0, NULL, &signal), "hsa_signal_create");
	for (long i = -warm; i < count; i++) {
		hsa_kernel_dispatch_packet_t *p;
		double start = now_us();

		hsa_signal_store_relaxed(signal, 1);
		index = hsa_queue_add_write_index_relaxed(queue, 1);
		p = (hsa_kernel_dispatch_packet_t *)queue->base_address + index % queue->size;
		memset((char *)p + 4, 0, sizeof(*p) - 4);
		p->workgroup_size_x = 64;
		p->workgroup_size_y = p->workgroup_size_z = 1;
		p->grid_size_x = 64;
		p->grid_size_y = p->grid_size_z = 1;
		p->private_segment_size = private_size;
		p->group_segment_size = group_size;
		p->kernel_object = object;
		p->completion_signal = signal;
		__atomic_store_n(
			(uint32_t *)p,
			HSA_PACKET_TYPE_KERNEL_DISPATCH << HSA_PACKET_HEADER_TYPE |
				HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |
				HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE |
				1u << HSA_KERNEL_DISPATCH_PACKET_SETUP_DIMENSIONS << 16,
			__ATOMIC_RELEASE);
		hsa_signal_store_screlease(queue->doorbell_signal, (hsa_signal_value_t)index);
		if (hsa_signal_wait_scacquire(signal, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX,
					      HSA_WAIT_STATE_ACTIVE) != 0) {
			fprintf(stderr, "dispatch-latency: WRONG signal value\n");
			return 1;
		}
		if (i >= 0)
			t[i] = now_us() - start;
	}
	for (int tries = 0; hsa_queue_load_read_index_relaxed(queue) != index + 1 && tries < 1000;
	     tries++)
		usleep(1000);
	if (hsa_queue_load_read_index_relaxed(queue) != index + 1) {
		fprintf(stderr, "dispatch-latency: WRONG read index\n");
		return 1;
	}
	qsort(t, (size_t)count, sizeof(*t), compare);
	printf("dispatches %ld\nmedian_us %.2f\np99_us %.2f\nverified\n", count, t[count / 2],
	       t[count - 1 - count / 100]);
	hsa_signal_destroy(signal);
	hsa_queue_destroy(queue);
	hsa_shut_down();
	return 0;
}
