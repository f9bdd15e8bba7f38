// SPDX-License-Identifier: MIT
/*
 * svm-bench MIB ROUNDS - what pageable memory costs (HSA_XNACK=1): a kernel reads, changes and writes malloc memory for the first time and then again, and
 * does the same in hipMalloc memory. Prints times of the kernel in ms, after all results were compared:
 *
 *   fault_us                        one work-item goes through pages that lie far apart, in no order: a page, less the same when all have been seen
 *   first_read_ms, first_write_ms   memory that the GPU has not seen: read only; changed in place, of another allocation
 *   again_ms, device_ms             best of ROUNDS, taken in turns: malloc memory seen before, hipMalloc memory
 */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <hip/hip_runtime.h>
#include <sys/mman.h>


#define MUST(x)                                                                                                                                      \
	do {                                                                                                                                         \
		hipError_t err_ = (x);                                                                                                               \
		if (err_ != hipSuccess) {                                                                                                            \
			printf("line %d: %s\n", __LINE__, hipGetErrorString(err_));                                                                  \
			_Exit(1);                                                                                                                    \
		}                                                                                                                                    \
	} while (0)

__global__ void change(unsigned *p, size_t n)
{
	for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
		p[i] = p[i] * 3 + 1;
}

__global__ void look(const unsigned *p, size_t n, unsigned *out)
{
	unsigned sum = 0;

	for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
		sum ^= p[i];
	out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

/* From page to page. */
__global__ void chase(const unsigned *p, unsigned steps, unsigned *out)
{
	unsigned at = 0;

	for (unsigned i = 0; i < steps; i++)
		at = p[(size_t)at * (64 * 1024)];
	*out = at;
}

static const unsigned groups = 64, items = 256;
static unsigned *sums;

static double timed(int write, unsigned *p, size_t n)
{
	auto begin = std::chrono::steady_clock::now();

	if (write)
		change<<<groups, items>>>(p, n);
	else
		look<<<groups, items>>>(p, n, sums);
	MUST(hipDeviceSynchronize());
	return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

static const unsigned hops = 1000;

static double chased(const unsigned *p, unsigned *end)
{
	auto begin = std::chrono::steady_clock::now();

	chase<<<1, 1>>>(p, hops, sums);
	MUST(hipDeviceSynchronize());
	double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
	MUST(hipMemcpy(end, sums, 4, hipMemcpyDeviceToHost));
	return us;
}

/* Nodes 256 KiB apart, each with the number of the next, in an order that looks random. */
static double fault_us(bool *good)
{
	unsigned *p = (unsigned *)mmap(nullptr, (size_t)hops << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), end;
	double first, again = 1e30;

	for (unsigned i = 0, at = 0; i < hops; i++, at = (at + 617) % hops)
		p[(size_t)at * (64 * 1024)] = (at + 617) % hops;
	first = chased(p, &end);
	*good = *good && end == 0;
	for (int i = 0; i < 3; i++) {
		double t = chased(p, &end);

		again = t < again ? t : again;
	}
	munmap(p, (size_t)hops << 18);
	return (first - again) / hops;
}

static unsigned *filled(size_t n)
{
	unsigned *p = (unsigned *)malloc(n * 4);

	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned)i * 2654435761u;
	return p;
}

int main(int argc, char **argv)
{
	size_t n = (argc > 1 ? strtoul(argv[1], nullptr, 10) : 64) << 18;
	int rounds = argc > 2 ? atoi(argv[2]) : 10;
	unsigned *warm = filled(1 << 16), *read_only = filled(n), *p = filled(n), *device, x = 0, want = 0, passes = 1;
	double first_read, first_write, again = 1e30, on_device = 1e30;

	MUST(hipMalloc(&device, n * 4));
	MUST(hipMalloc(&sums, groups * items * 4));
	MUST(hipMemcpy(device, read_only, n * 4, hipMemcpyHostToDevice));
	/* The kernels are loaded, and compiled. */
	for (int i = 0; i < 20; i++) {
		timed(0, warm, 1 << 16);
		timed(1, warm, 1 << 16);
	}
	first_read = timed(0, read_only, n);
	unsigned *host_sums = (unsigned *)malloc(groups * items * 4);
	MUST(hipMemcpy(host_sums, sums, groups * items * 4, hipMemcpyDeviceToHost));
	for (unsigned i = 0; i < groups * items; i++)
		x ^= host_sums[i];
	for (size_t i = 0; i < n; i++)
		want ^= (unsigned)i * 2654435761u;
	first_write = timed(1, p, n);
	timed(1, device, n);
	for (int i = 0; i < rounds; i++) {
		double a = timed(1, p, n), b = timed(1, device, n);

		again = a < again ? a : again;
		on_device = b < on_device ? b : on_device;
		passes++;
	}
	bool good = x == want;
	unsigned end;

	static unsigned nowhere;

	chased(&nowhere, &end); /* it is loaded */
	double fault = 1e30;
	for (int i = 0; i < 3; i++) {
		double us = fault_us(&good);

		fault = us < fault ? us : fault;
	}
	unsigned *back = (unsigned *)malloc(n * 4);
	MUST(hipMemcpy(back, device, n * 4, hipMemcpyDeviceToHost));
	for (size_t i = 0; i < n; i++) {
		unsigned v = (unsigned)i * 2654435761u;

		for (unsigned k = 0; k < passes; k++)
			v = v * 3 + 1;
		good = good && p[i] == v && back[i] == v;
	}
	printf("%s\nfault_us %.3f\nfirst_read_ms %.4f\nfirst_write_ms %.4f\nagain_ms %.4f\ndevice_ms %.4f\n", good ? "verified" : "WRONG", fault, first_read, first_write, again,
	       on_device);
	return !good;
}
