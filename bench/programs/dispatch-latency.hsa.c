// SPDX-License-Identifier: MIT
/*
 * dispatch-latency [N] - round trips of an empty kernel through an AQL queue by the HSA runtime:
 * store the packet, ring the doorbell, wait (spinning on the signal) until it completed, N times
 * (default 10,000) after a warm-up. Prints "dispatches N", "median_us X", "p99_us X", "verified":
 * the queue's read index must have come as far as packets were written, and each completion signal
 * must have reached zero.
 */
#include "tests/programs/hsa.h"

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 10000, warm = 1000;
	hsa_signal_t signal;
	hsa_queue_t *queue;
	struct kernel empty;
	uint64_t index = 0;
	double *t;

	if (count < 1 || count > 10000000) {
		fprintf(stderr, "usage: dispatch-latency [1..10000000]\n");
		return 2;
	}
	t = calloc((size_t)count, sizeof(*t));
	open_agents();
	empty = find_kernel(load_code("empty"), "empty");
	queue = open_queue(1024);
	signal = new_signal(1);
	for (long i = -warm; i < count; i++) {
		double start = now_us();

		hsa_signal_store_relaxed(signal, 1);
		index = submit(queue, &empty, 1, 64, NULL, signal, 0);
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
	qsort(t, (size_t)count, sizeof(*t), compare_doubles);
	printf("dispatches %ld\nmedian_us %.2f\np99_us %.2f\nverified\n", count, t[count / 2],
	       t[count - 1 - count / 100]);
	hsa_signal_destroy(signal);
	hsa_queue_destroy(queue);
	hsa_shut_down();
	return 0;
}
