// SPDX-License-Identifier: MIT
/*
 * soak-queues - several queues of one process by the HSA runtime, which come and go: chains of dispatches, each behind a barrier packet that waits for the
 * queue before it, and copies between system memory and VRAM (SDMA) at both ends, tied together by signals; the CPU only waits for the last.
 *
 * The kernel is e2e-gpu's step: state[i] = state[i] * 1664525 + (i ^ round) + 1013904223, out[i] the same.
 */
#include "tests/programs/hsa.h"

#define QUEUES 6u
#define LAPS   3u
#define ROUNDS 4u
#define RING   64u
#define N      2048u

/* As the kernel's arguments lie, with room for the ones that the compiler hides behind them. */
struct arguments {
	uint32_t *state, *out;
	uint32_t round;
	uint8_t hidden[236];
};

static struct kernel step;

/* Waits for the signal on the queue, then runs the rounds in order; the last one completes done. */
static void link_of_chain(hsa_queue_t *q, hsa_signal_t before, hsa_signal_t done, struct arguments *a)
{
	uint64_t index;
	hsa_barrier_and_packet_t *b = next_packet(q, &index);

	b->dep_signal[1] = before;
	ring(q, index, b, PACKET(BARRIER_AND) | 1u << HSA_PACKET_HEADER_BARRIER);
	for (uint32_t i = 0; i < ROUNDS; i++)
		submit(q, &step, N / 64, 64, &a[i], i == ROUNDS - 1 ? done : (hsa_signal_t){0}, 1u << HSA_PACKET_HEADER_BARRIER);
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
		signal[i] = new_signal(1);
	for (unsigned i = 0; i < QUEUES; i++)
		queue[i] = open_queue(RING);
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

	open_agents();
	step = find_kernel(load_code("e2e-kernels"), "step");
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
