// SPDX-License-Identifier: MIT
/* e2e-svm-hip - HIP with XNACK on: kernels on plain memory and on managed memory, with advice and prefetching. Says "verified". */
#include <hip/hip_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(call)                                                                                                                                  \
	do {                                                                                                                                         \
		hipError_t e_ = (call);                                                                                                              \
		if (e_ != hipSuccess) {                                                                                                              \
			printf("e2e-svm-hip: line %d: %s: %s\n", __LINE__, #call, hipGetErrorString(e_));                                             \
			exit(1);                                                                                                                     \
		}                                                                                                                                    \
	} while (0)

__global__ void axpy(float a, const float *x, float *y, int n)
{
	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		y[i] = a * x[i] + y[i];
}

/* Follows a list whose links are the CPU's pointers. */
struct node {
	node *next;
	int value;
};

__global__ void follow(const node *list, int *out)
{
	int s = 0;

	for (; list; list = list->next)
		s += list->value;
	*out = s;
}

static void compare(const float *y, int n, float want, const char *what)
{
	for (int i = 0; i < n; i++) {
		if (y[i] != want + i % 7) {
			printf("e2e-svm-hip: WRONG: %s: element %d: %g, not %g\n", what, i, y[i], want + i % 7);
			exit(1);
		}
	}
}

static void vectors(const float *x, float *y, int n, const char *what)
{
	for (int round = 1; round <= 3; round++) {
		axpy<<<64, 256>>>(2.0f, x, y, n);
		CHECK(hipDeviceSynchronize());
		compare(y, n, 10.0f + 6.0f * round, what);
	}
}

int main()
{
	const int n = 300000;
	int device = 0, out_on_stack = 0, sum = 0;

	CHECK(hipGetDevice(&device));
	{
		std::vector<float> x(n, 3.0f), y(n);

		for (int i = 0; i < n; i++)
			y[i] = 10.0f + i % 7;
		vectors(x.data(), y.data(), n, "std::vector");
	}
	{
		float *x, *y;

		CHECK(hipMallocManaged(&x, n * sizeof(float)));
		CHECK(hipMallocManaged(&y, n * sizeof(float)));
		for (int i = 0; i < n; i++) {
			x[i] = 3.0f;
			y[i] = 10.0f + i % 7;
		}
		CHECK(hipMemAdvise(x, n * sizeof(float), hipMemAdviseSetReadMostly, device));
		CHECK(hipMemAdvise(y, n * sizeof(float), hipMemAdviseSetPreferredLocation, device));
		CHECK(hipMemPrefetchAsync(x, n * sizeof(float), device, nullptr));
		CHECK(hipMemPrefetchAsync(y, n * sizeof(float), device, nullptr));
		vectors(x, y, n, "hipMallocManaged");
		CHECK(hipMemPrefetchAsync(y, n * sizeof(float), hipCpuDeviceId, nullptr));
		CHECK(hipDeviceSynchronize());
		compare(y, n, 10.0f + 18.0f, "back on the CPU");
		CHECK(hipFree(x));
		CHECK(hipFree(y));
	}
	{
		node *list = nullptr;

		for (int i = 0; i < 5000; i++) {
			list = new node{list, i * 3};
			sum += i * 3;
		}
		follow<<<1, 1>>>(list, &out_on_stack);
		CHECK(hipDeviceSynchronize());
		if (out_on_stack != sum) {
			printf("e2e-svm-hip: WRONG: list: %d, not %d\n", out_on_stack, sum);
			return 1;
		}
		while (list) {
			node *next = list->next;

			delete list;
			list = next;
		}
	}
	printf("verified\n");
	return 0;
}
