// SPDX-License-Identifier: MIT
/*
 * e2e-peers - HIP with two GPUs: each other's memory, copies between them, both at work at once. Says "verified". With "fault": the second one does
 * what it may not.
 */
#include <hip/hip_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#define CHECK(call)                                                                                                                                  \
	do {                                                                                                                                         \
		hipError_t e_ = (call);                                                                                                              \
		if (e_ != hipSuccess) {                                                                                                              \
			printf("e2e-peers: line %d: %s: %s\n", __LINE__, #call, hipGetErrorString(e_));                                               \
			exit(1);                                                                                                                     \
		}                                                                                                                                    \
	} while (0)

static const int N = 1 << 20;

__global__ void fill(unsigned *p, int n, unsigned seed)
{
	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		p[i] = seed + 3u * i;
}

__global__ void add_one(const unsigned *from, unsigned *to, int n)
{
	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		to[i] = from[i] + 1;
}

__global__ void count(unsigned *counter, int times)
{
	for (int i = 0; i < times; i++)
		atomicAdd_system(counter, 1u);
}

/* One of two that pass a number to and fro: it waits for its turns, so it ends only if the other one runs, too. */
__global__ void volley(unsigned *ball, unsigned first, unsigned times)
{
	for (unsigned i = first; i < times; i += 2) {
		while (__atomic_load_n(ball, __ATOMIC_ACQUIRE) != i)
			__builtin_amdgcn_s_sleep(1);
		__atomic_store_n(ball, i + 1, __ATOMIC_RELEASE);
	}
}

static void fail(const char *what)
{
	printf("e2e-peers: %s\n", what);
	exit(1);
}

static void compare(const unsigned *p, unsigned seed, const char *what)
{
	for (int i = 0; i < N; i++) {
		if (p[i] == seed + 3u * i)
			continue;
		printf("e2e-peers: %s: element %d is %u, not %u\n", what, i, p[i], seed + 3u * i);
		exit(1);
	}
}

/* Kernels on each GPU read and write VRAM of the other one. */
static void test_peer_memory(unsigned *const vram[2])
{
	std::vector<unsigned> host(N);

	for (int from = 0; from < 2; from++) {
		int to = !from;
		unsigned seed = 100 * from + 7;

		CHECK(hipSetDevice(from));
		fill<<<16, 256>>>(vram[from], N, seed);
		CHECK(hipDeviceSynchronize());
		CHECK(hipSetDevice(to));
		add_one<<<16, 256>>>(vram[from], vram[to], N); /* reads there */
		CHECK(hipDeviceSynchronize());
		CHECK(hipMemcpy(host.data(), vram[to], N * 4, hipMemcpyDeviceToHost));
		compare(host.data(), seed + 1, "what a kernel read of its peer");
		add_one<<<16, 256>>>(vram[to], vram[from], N); /* writes there */
		CHECK(hipDeviceSynchronize());
		CHECK(hipSetDevice(from));
		CHECK(hipMemcpy(host.data(), vram[from], N * 4, hipMemcpyDeviceToHost));
		compare(host.data(), seed + 2, "what a kernel wrote to its peer");
	}
}

static void test_copies(unsigned *const vram[2])
{
	std::vector<unsigned> host(N);
	hipStream_t stream;

	for (int from = 0; from < 2; from++) {
		unsigned seed = 1000 * from + 5;

		CHECK(hipSetDevice(from));
		CHECK(hipStreamCreate(&stream));
		fill<<<16, 256, 0, stream>>>(vram[from], N, seed);
		CHECK(hipMemcpyPeerAsync(vram[!from], !from, vram[from], from, N * 4, stream));
		CHECK(hipStreamSynchronize(stream));
		CHECK(hipStreamDestroy(stream));
		CHECK(hipMemcpy(host.data(), vram[!from], N * 4, hipMemcpyDeviceToHost));
		compare(host.data(), seed, "a copy to the peer");
	}
}

/* System-scope atomics of both at once, in memory of the host and of one GPU. */
static void test_atomics(unsigned *vram)
{
	unsigned *pinned, *counters[2], got = 0;

	CHECK(hipHostMalloc((void **)&pinned, 4096, hipHostMallocPortable | hipHostMallocMapped));
	counters[0] = pinned;
	counters[1] = vram;
	for (int k = 0; k < 2; k++) {
		CHECK(hipMemset(vram, 0, 4));
		CHECK(hipDeviceSynchronize());
		*pinned = 0;
		for (int gpu = 0; gpu < 2; gpu++) {
			CHECK(hipSetDevice(gpu));
			count<<<4, 64>>>(counters[k], 50);
		}
		for (int gpu = 0; gpu < 2; gpu++) {
			CHECK(hipSetDevice(gpu));
			CHECK(hipDeviceSynchronize());
		}
		CHECK(hipMemcpy(&got, counters[k], 4, hipMemcpyDefault));
		if (got != 2 * 4 * 64 * 50) {
			printf("e2e-peers: counted %u in memory %d\n", got, k);
			exit(1);
		}
	}
	*pinned = 0;
	for (int gpu = 0; gpu < 2; gpu++) {
		CHECK(hipSetDevice(gpu));
		volley<<<1, 1>>>(pinned, gpu, 1000);
	}
	for (int gpu = 0; gpu < 2; gpu++) {
		CHECK(hipSetDevice(gpu));
		CHECK(hipDeviceSynchronize());
	}
	if (*pinned != 1000)
		fail("a volley ended early");
	CHECK(hipHostFree(pinned));
}

/* What one allocates the other one has not less of. */
static void test_own_vram()
{
	size_t free[2][2], total;
	void *p;

	for (int with = 0; with < 2; with++) {
		CHECK(hipSetDevice(1));
		if (with)
			CHECK(hipMalloc(&p, 32 << 20));
		for (int gpu = 0; gpu < 2; gpu++) {
			CHECK(hipSetDevice(gpu));
			CHECK(hipMemGetInfo(&free[with][gpu], &total));
		}
	}
	CHECK(hipFree(p));
	if (free[0][0] != free[1][0] || free[0][1] < free[1][1] + (32 << 20))
		fail("VRAM of one GPU was taken of another's");
}

int main(int argc, char **argv)
{
	hipDeviceProp_t props[2];
	unsigned *vram[2];
	int n, can;

	CHECK(hipGetDeviceCount(&n));
	if (n != 2)
		fail("there aren't two GPUs");
	for (int gpu = 0; gpu < 2; gpu++) {
		CHECK(hipGetDeviceProperties(&props[gpu], gpu));
		printf("GPU %d: %s, %zu MiB, bus %d\n", gpu, props[gpu].gcnArchName, props[gpu].totalGlobalMem >> 20, props[gpu].pciBusID);
		CHECK(hipDeviceCanAccessPeer(&can, gpu, !gpu));
		if (!can)
			fail("no access to a peer");
		CHECK(hipSetDevice(gpu));
		CHECK(hipDeviceEnablePeerAccess(!gpu, 0));
		CHECK(hipMalloc((void **)&vram[gpu], N * 4));
	}
	if (props[0].pciBusID == props[1].pciBusID)
		fail("both are on one bus");
	if (argc > 1 && !strcmp(argv[1], "fault")) {
		fill<<<1, 64>>>((unsigned *)0x123456789000, 64, 1); /* on the second one */
		CHECK(hipDeviceSynchronize());
		fail("a fault went unnoticed");
	}
	test_peer_memory(vram);
	test_copies(vram);
	test_atomics(vram[0]);
	test_own_vram();
	for (int gpu = 0; gpu < 2; gpu++)
		CHECK(hipFree(vram[gpu]));
	printf("verified\n");
	return 0;
}
