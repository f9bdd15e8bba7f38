// SPDX-License-Identifier: MIT
/*
 * hip-matmul - C = A * B by HIP with kernels compiled offline: tiled in shared memory, then a reduction with atomics; compared with the CPU.
 * Integer-valued floats, so that the results must agree exactly.
 */
#include <hip/hip_runtime.h>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define N    192
#define TILE 16

__global__ void matmul(const float *a, const float *b, float *c)
{
	__shared__ float as[TILE][TILE], bs[TILE][TILE];
	int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * TILE + y, col = blockIdx.x * TILE + x;
	float sum = 0;

	for (int t = 0; t < N; t += TILE) {
		as[y][x] = a[row * N + t + x];
		bs[y][x] = b[(t + y) * N + col];
		__syncthreads();
		for (int k = 0; k < TILE; k++)
			sum += as[y][k] * bs[k][x];
		__syncthreads();
	}
	c[row * N + col] = sum;
}

__global__ void total(const float *c, unsigned long long *sum)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < N * N)
		atomicAdd(sum, (unsigned long long)c[i]);
}

static void check(hipError_t e, const char *what)
{
	if (e == hipSuccess)
		return;
	fprintf(stderr, "hip-matmul: %s failed: %s\n", what, hipGetErrorString(e));
	exit(1);
}

int main()
{
	std::vector<float> a(N * N), b(N * N), c(N * N);
	unsigned long long sum = 0, want_sum = 0, *dsum;
	float *da, *db, *dc;
	hipDeviceProp_t prop;
	int wrong = 0;

	check(hipGetDeviceProperties(&prop, 0), "hipGetDeviceProperties");
	srand(3);
	for (int i = 0; i < N * N; i++) {
		a[i] = (float)(rand() % 16);
		b[i] = (float)(rand() % 16);
	}
	check(hipMalloc((void **)&da, sizeof(float) * N * N), "hipMalloc");
	check(hipMalloc((void **)&db, sizeof(float) * N * N), "hipMalloc");
	check(hipMalloc((void **)&dc, sizeof(float) * N * N), "hipMalloc");
	check(hipMalloc((void **)&dsum, sizeof(sum)), "hipMalloc");
	check(hipMemcpy(da, a.data(), sizeof(float) * N * N, hipMemcpyHostToDevice), "hipMemcpy");
	check(hipMemcpy(db, b.data(), sizeof(float) * N * N, hipMemcpyHostToDevice), "hipMemcpy");
	check(hipMemset(dsum, 0, sizeof(sum)), "hipMemset");
	matmul<<<dim3(N / TILE, N / TILE), dim3(TILE, TILE)>>>(da, db, dc);
	check(hipGetLastError(), "matmul");
	total<<<(N * N + 255) / 256, 256>>>(dc, dsum);
	check(hipGetLastError(), "total");
	check(hipDeviceSynchronize(), "hipDeviceSynchronize");
	check(hipMemcpy(c.data(), dc, sizeof(float) * N * N, hipMemcpyDeviceToHost), "hipMemcpy");
	check(hipMemcpy(&sum, dsum, sizeof(sum), hipMemcpyDeviceToHost), "hipMemcpy");
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			float want = 0;

			for (int k = 0; k < N; k++)
				want += a[i * N + k] * b[k * N + j];
			want_sum += (unsigned long long)want;
			wrong += c[i * N + j] != want;
		}
	}
	printf("hip-matmul on %s: %d x %d, %d wrong, sum %llu of %llu\n", prop.gcnArchName, N, N, wrong, sum, want_sum);
	if (wrong || sum != want_sum) {
		printf("hip-matmul: WRONG\n");
		return 1;
	}
	printf("hip-matmul: verified\n");
	return 0;
}
