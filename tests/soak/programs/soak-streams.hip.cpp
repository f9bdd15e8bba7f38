// SPDX-License-Identifier: MIT
/*
 * soak-streams - pipelines on several streams: copies from pinned memory, kernels and copies back, asynchronously, each stream waiting for its
 * neighbours' events in each round, so that what is computed depends on the order.
 */
#include "tests/soak/programs/soak.h"

#define STREAMS 4
#define ROUNDS	6
#define N	4096u
#define ITEMS	256u

__global__ void step(uint32_t *mine, const uint32_t *others, uint32_t k)
{
	uint32_t i = blockIdx.x * ITEMS + threadIdx.x;

	mine[i] = (mine[i] ^ others[i]) * 2654435761u + k;
}

int main()
{
	uint32_t *pinned[STREAMS], *gpu[STREAMS];
	std::vector<uint32_t> want[STREAMS];
	hipStream_t stream[STREAMS];
	hipEvent_t done[STREAMS];
	size_t wrong = 0;

	for (int s = 0; s < STREAMS; s++) {
		CHECK(hipStreamCreateWithFlags(&stream[s], hipStreamNonBlocking));
		CHECK(hipEventCreateWithFlags(&done[s], s % 2 ? hipEventBlockingSync : hipEventDisableTiming));
		CHECK(hipHostMalloc((void **)&pinned[s], N * sizeof(uint32_t), 0));
		CHECK(hipMalloc((void **)&gpu[s], N * sizeof(uint32_t)));
		for (uint32_t i = 0; i < N; i++)
			pinned[s][i] = random_bits();
		want[s].assign(pinned[s], pinned[s] + N);
		CHECK(hipMemcpyAsync(gpu[s], pinned[s], N * sizeof(uint32_t), hipMemcpyHostToDevice, stream[s]));
		CHECK(hipEventRecord(done[s], stream[s]));
	}
	for (uint32_t round = 0; round < ROUNDS; round++) {
		/* Stream s takes what stream s + 1 has made of its numbers, which is of the round before but for the last stream's. */
		for (int s = 0; s < STREAMS; s++) {
			int other = (s + 1) % STREAMS;

			/* What it reads is written, and what it writes was read. */
			CHECK(hipStreamWaitEvent(stream[s], done[other], 0));
			CHECK(hipStreamWaitEvent(stream[s], done[(s + STREAMS - 1) % STREAMS], 0));
			step<<<N / ITEMS, ITEMS, 0, stream[s]>>>(gpu[s], gpu[other], round);
			CHECK(hipGetLastError());
			CHECK(hipEventRecord(done[s], stream[s]));
			for (uint32_t i = 0; i < N; i++)
				want[s][i] = (want[s][i] ^ want[other][i]) * 2654435761u + round;
		}
	}
	for (int s = 0; s < STREAMS; s++)
		CHECK(hipMemcpyAsync(pinned[s], gpu[s], N * sizeof(uint32_t), hipMemcpyDeviceToHost, stream[s]));
	for (int s = 0; s < STREAMS; s++) {
		CHECK(hipStreamSynchronize(stream[s]));
		for (uint32_t i = 0; i < N; i++)
			wrong += pinned[s][i] != want[s][i];
		CHECK(hipEventDestroy(done[s]));
		CHECK(hipStreamDestroy(stream[s]));
		CHECK(hipHostFree(pinned[s]));
		CHECK(hipFree(gpu[s]));
	}
	return verdict(!wrong, "soak-streams: %d streams, %d rounds, %zu wrong", STREAMS, ROUNDS, wrong);
}
