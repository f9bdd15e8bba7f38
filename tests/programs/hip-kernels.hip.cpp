// SPDX-License-Identifier: MIT
/*
 * hip-kernels - many small HIP kernels and run-time calls, each against the CPU: cross-lane operations, atomics, shared memory, function pointers,
 * recursion, wide division, half and bfloat16, work-groups that wait for each other, streams, events, copies of all kinds.
 */
#include <hip/hip_runtime.h>
#include <hip/hip_bfloat16.h>
#include <hip/hip_cooperative_groups.h>
#include <hip/hip_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "tests/programs/tap.h"

static void check(hipError_t e, const char *what, int line)
{
	if (e != hipSuccess)
		tap_bail("line %d: %s: %s", line, what, hipGetErrorString(e));
}
#define CHECK(call) check(call, #call, __LINE__)

/* An array on the GPU with a copy on the host. */
template <typename T> struct array {
	std::vector<T> host;
	T *gpu = nullptr;

	explicit array(size_t n, T value = T()) : host(n, value)
	{
		CHECK(hipMalloc(&gpu, n * sizeof(T)));
		push();
	}
	array(const array &) = delete;
	~array() { (void)hipFree(gpu); }
	void push() { CHECK(hipMemcpy(gpu, host.data(), host.size() * sizeof(T), hipMemcpyHostToDevice)); }
	void pull() { CHECK(hipMemcpy(host.data(), gpu, host.size() * sizeof(T), hipMemcpyDeviceToHost)); }
	T &operator[](size_t i) { return host[i]; }
};

/* ---- cross-lane operations ---- */

#define LANE_OPS 12

__global__ void lanes(const int *in, int *out)
{
	int t = threadIdx.x, x = in[t], o = 0;
	auto put = [&](int v) { out[o++ * 64 + t] = v; };

	put(__shfl(x, (t * 7 + 3) & 63));
	put(__shfl_up(x, 5));
	put(__shfl_down(x, 9));
	put(__shfl_xor(x, 21));
	put(__shfl(x, t + 3, 16));
	put(__shfl_xor(x, 1, 8));
	put(__popcll(__ballot(x & 1)));
	put((int)(__ballot(x & 1) >> (t & 31)));
	put(__any(x == in[17]) + 2 * __all(x > -5000));
	put(__builtin_amdgcn_readfirstlane(x));
	put(t % 3 == 0 ? __popcll(__ballot(1)) : -1);
	put(__lane_id());
}

static void test_lanes()
{
	array<int> in(64), out(64 * LANE_OPS);
	std::vector<int> want[LANE_OPS];
	uint64_t odd = 0;
	bool good = true;

	for (int i = 0; i < 64; i++) {
		in[i] = (int)(tap_random() % 8000) - 4000;
		odd |= (uint64_t)(in[i] & 1) << i;
	}
	in.push();
	lanes<<<1, 64>>>(in.gpu, out.gpu);
	out.pull();
	for (int t = 0; t < 64; t++) {
		int w[LANE_OPS] = {in[(t * 7 + 3) & 63], in[t < 5 ? t : t - 5], in[t > 54 ? t : t + 9], in[t ^ 21], in[(t & ~15) + ((t + 3) & 15)], in[t ^ 1],
				   __builtin_popcountll(odd), (int)(odd >> (t & 31)), 3, in[0], t % 3 ? -1 : 22, t};

		for (int o = 0; o < LANE_OPS; o++)
			if (out[o * 64 + t] != w[o]) {
				printf("# lane operation %d, lane %d: got %d, right is %d\n", o, t, out[o * 64 + t], w[o]);
				good = false;
			}
	}
	tap(good, "shuffles, votes, lane numbers");
}

/* ---- atomics ---- */

template <typename T> __global__ void add_all(const T *in, T *sum, T *shared_sum, int n)
{
	__shared__ T local;
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (threadIdx.x == 0)
		local = 0;
	__syncthreads();
	if (i < n) {
		atomicAdd(sum, in[i]);
		atomicAdd(&local, in[i]);
	}
	__syncthreads();
	if (threadIdx.x == 0)
		atomicAdd(shared_sum, local);
}

template <typename T> static void test_add(const char *name)
{
	const int n = 5000;
	array<T> in(n), sums(2);
	T want = 0;

	for (int i = 0; i < n; i++)
		want += in[i] = (T)(int)(tap_random() % 100);
	in.push();
	add_all<T><<<(n + 255) / 256, 256>>>(in.gpu, sums.gpu, sums.gpu + 1, n);
	sums.pull();
	tap(sums[0] == want && sums[1] == want, "atomicAdd of %s, global and shared", name);
}

template <typename T> __global__ void other_atomics(T *cell, T *old)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	atomicMin(&cell[0], (T)(1000 - i));
	atomicMax(&cell[1], (T)i);
	atomicOr(&cell[2], (T)1 << (i % 30));
	atomicAnd(&cell[3], ~((T)1 << (i % 30)));
	atomicXor(&cell[4], (T)i);
	old[i] = atomicExch(&cell[5], (T)(i + 1));
	for (T seen = cell[6], was; (was = atomicCAS(&cell[6], seen, seen * 3 + 1)) != seen;)
		seen = was;
	if constexpr (sizeof(T) == 4)
		atomicInc((unsigned *)&cell[7], 99);
}

template <typename T> static void test_atomics(const char *name)
{
	const int n = 640;
	array<T> cell(8), old(n);
	T x = 0, cas = 0, exchanged = 0, olds = 0;

	cell[0] = 5000;
	cell[3] = (T)~0ull;
	cell.push();
	other_atomics<T><<<5, n / 5>>>(cell.gpu, old.gpu);
	cell.pull();
	old.pull();
	for (int i = 0; i < n; i++) {
		x ^= i;
		cas = cas * 3 + 1;
		exchanged += i + 1;
		olds += old[i];
	}
	tap(cell[0] == 1000 - (n - 1) && cell[1] == n - 1 && cell[2] == (1 << 30) - 1 && cell[3] == (T) ~(((T)1 << 30) - 1) && cell[4] == x &&
		    olds + cell[5] == exchanged && cell[6] == cas && (sizeof(T) != 4 || cell[7] == n % 100),
	    "other atomics of %s", name);
}

/* ---- memory ---- */

__global__ void reverse_in_shared(const int *in, int *out)
{
	extern __shared__ int tile[];
	int n = blockDim.x, base = blockIdx.x * n;

	tile[threadIdx.x] = in[base + threadIdx.x];
	__syncthreads();
	out[base + threadIdx.x] = tile[n - 1 - threadIdx.x];
}

static void test_shared(int block)
{
	array<int> in(block * 7), out(block * 7);
	bool good = true;

	std::iota(in.host.begin(), in.host.end(), 3);
	in.push();
	reverse_in_shared<<<7, block, block * sizeof(int)>>>(in.gpu, out.gpu);
	out.pull();
	for (int i = 0; i < block * 7; i++)
		good &= out[i] == in[i / block * block + block - 1 - i % block];
	tap(good, "dynamic shared memory, blocks of %d", block);
}

__constant__ int table[64];
__device__ int global_counter;

__global__ void use_symbols(int *out)
{
	out[threadIdx.x] = table[threadIdx.x] * 2;
	atomicAdd(&global_counter, table[threadIdx.x]);
}

static void test_symbols()
{
	array<int> out(64);
	int values[64], sum = 0, zero = 0, counter = 0;
	bool good = true;

	for (int i = 0; i < 64; i++)
		sum += values[i] = i * i - 100;
	CHECK(hipMemcpyToSymbol(HIP_SYMBOL(table), values, sizeof(values)));
	CHECK(hipMemcpyToSymbol(HIP_SYMBOL(global_counter), &zero, sizeof(zero)));
	use_symbols<<<1, 64>>>(out.gpu);
	out.pull();
	CHECK(hipMemcpyFromSymbol(&counter, HIP_SYMBOL(global_counter), sizeof(counter)));
	for (int i = 0; i < 64; i++)
		good &= out[i] == values[i] * 2;
	tap(good && counter == sum, "constants and device variables");
}

/* ---- calls ---- */

__device__ __noinline__ int ackermann(int m, int n)
{
	return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

__device__ __noinline__ int twice(int x) { return 2 * x; }
__device__ __noinline__ int square(int x) { return x * x; }
__device__ __noinline__ int negate(int x) { return -x; }
typedef int (*function)(int);
__device__ function functions[3] = {twice, square, negate};

struct shape {
	__device__ virtual float area() const = 0;
};
struct box : shape {
	float a, b;
	__device__ box(float a, float b) : a(a), b(b) {}
	__device__ float area() const override { return a * b; }
};
struct disc : shape {
	float r;
	__device__ disc(float r) : r(r) {}
	__device__ float area() const override { return 3 * r * r; }
};

__global__ void calls(int *out, float *areas)
{
	int t = threadIdx.x;
	box b(t, 2);
	disc d(t);
	const shape *s = t % 3 ? (const shape *)&b : &d;

	out[t] = functions[t % 3](t);
	out[64 + t] = ackermann(2, t % 5);
	areas[t] = s->area();
}

static void test_calls()
{
	array<int> out(128);
	array<float> areas(64);
	bool pointers = true, recursion = true, virtuals = true;

	/* The compiler can't bound the stack: scratch of the size that the run-time gives. */
	calls<<<1, 64>>>(out.gpu, areas.gpu);
	out.pull();
	areas.pull();
	for (int t = 0; t < 64; t++) {
		pointers &= out[t] == (t % 3 == 0 ? 2 * t : t % 3 == 1 ? t * t : -t);
		recursion &= out[64 + t] == 2 * (t % 5) + 3;
		virtuals &= areas[t] == (t % 3 ? 2.0f * t : 3.0f * t * t);
	}
	tap(pointers, "function pointers");
	tap(recursion, "recursion");
	tap(virtuals, "virtual functions");
}

__global__ void big_frame(const int *index, int *out)
{
	int frame[300], t = blockIdx.x * blockDim.x + threadIdx.x, sum = 0;

	for (int i = 0; i < 300; i++)
		frame[i] = i * t;
	for (int i = 0; i < 40; i++) {
		frame[index[(i + t) % 100]] += i;
		sum += frame[index[(i * 3 + t) % 100]];
	}
	out[t] = sum;
}

static void test_frame()
{
	array<int> index(100), out(512);
	bool good = true;

	for (int i = 0; i < 100; i++)
		index[i] = (int)(tap_random() % 300);
	index.push();
	big_frame<<<4, 128>>>(index.gpu, out.gpu);
	out.pull();
	for (int t = 0; t < 512; t++) {
		int frame[300], sum = 0;

		for (int i = 0; i < 300; i++)
			frame[i] = i * t;
		for (int i = 0; i < 40; i++) {
			frame[index[(i + t) % 100]] += i;
			sum += frame[index[(i * 3 + t) % 100]];
		}
		good &= out[t] == sum;
	}
	tap(good, "arrays in scratch memory");
}

/* ---- arithmetic ---- */

__global__ void divisions(const long long *a, const long long *b, long long *out)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x, n = gridDim.x * blockDim.x;
	typedef unsigned long long u;

	out[i] = a[i] / b[i];
	out[n + i] = a[i] % b[i];
	out[2 * n + i] = (long long)((u)a[i] / (u)b[i]);
	out[3 * n + i] = (long long)((u)a[i] % (u)b[i]);
	out[4 * n + i] = (int)a[i] / ((int)b[i] | 1);
	out[5 * n + i] = (unsigned)a[i] % ((unsigned)b[i] | 1);
	out[6 * n + i] = (long long)(((__int128)a[i] * b[i]) >> 64);
	out[7 * n + i] = __mul64hi(a[i], b[i]);
}

static void test_divisions()
{
	const int n = 2048;
	array<long long> a(n), b(n), out(8 * n);
	bool good = true;

	for (int i = 0; i < n; i++) {
		a[i] = (long long)tap_random() >> (tap_random() & 63);
		b[i] = (long long)tap_random() >> (tap_random() & 63);
		b[i] = b[i] == 0 || b[i] == -1 ? 3 : b[i];
	}
	a.push();
	b.push();
	divisions<<<n / 256, 256>>>(a.gpu, b.gpu, out.gpu);
	out.pull();
	for (int i = 0; i < n; i++) {
		long long high = (long long)(((__int128)a[i] * b[i]) >> 64);
		int divisor = (int)b[i] | 1;

		good &= out[i] == a[i] / b[i] && out[n + i] == a[i] % b[i] && (unsigned long long)out[2 * n + i] == (unsigned long long)a[i] / (unsigned long long)b[i] &&
			(unsigned long long)out[3 * n + i] == (unsigned long long)a[i] % (unsigned long long)b[i] &&
			(divisor == -1 || out[4 * n + i] == (int)a[i] / divisor) && out[5 * n + i] == (long long)((unsigned)a[i] % ((unsigned)b[i] | 1)) &&
			out[6 * n + i] == high && out[7 * n + i] == high;
	}
	tap(good, "64-bit division and high products");
}

__global__ void halves(const float *a, const float *b, float *out)
{
	int i = threadIdx.x, n = blockDim.x;
	__half x = __float2half(a[i]), y = __float2half(b[i]);
	__half2 v = __halves2half2(x, y), w = __hadd2(v, __hmul2(v, v));

	out[i] = __half2float(__hadd(x, y));
	out[n + i] = __half2float(__hmul(x, y));
	out[2 * n + i] = __half2float(__hfma(x, y, x));
	out[3 * n + i] = __half2float(hsqrt(__habs(x)));
	out[4 * n + i] = __low2float(w) + __high2float(w);
	out[5 * n + i] = __hlt(x, y) ? 1 : 0;
	out[6 * n + i] = (float)(hip_bfloat16(a[i]) * hip_bfloat16(b[i]));
	out[7 * n + i] = __half2float(__hdiv(x, y));
}

static void test_halves()
{
	const int n = 256;
	array<float> a(n), b(n), out(8 * n);
	float worst = 0;

	for (int i = 0; i < n; i++) {
		a[i] = (float)((int)(tap_random() % 2000) - 1000) / 128;
		b[i] = (float)((int)(tap_random() % 2000) + 1) / 256;
	}
	a.push();
	b.push();
	halves<<<1, n>>>(a.gpu, b.gpu, out.gpu);
	out.pull();
	/* In units of half's (bfloat16's) relative precision; the operands are exact in half. */
	auto off = [](float got, float right, float unit) { return std::fabs(got - right) / (std::max(std::fabs(right), 0.0625f) * unit); };
	for (int i = 0; i < n; i++) {
		float x = a[i], y = b[i], w = (x + x * x) + (y + y * y);

		worst = std::max({worst, off(out[i], x + y, 0x1p-11f), off(out[n + i], x * y, 0x1p-11f), off(out[2 * n + i], std::fma(x, y, x), 0x1p-11f),
				  off(out[3 * n + i], std::sqrt(std::fabs(x)), 0x1p-10f), off(out[4 * n + i], w, 0x1p-9f), off(out[5 * n + i], x < y, 0x1p-30f),
				  off(out[6 * n + i], x * y, 0x1p-6f), off(out[7 * n + i], x / y, 0x1p-10f)});
	}
	tap(worst <= 1, "half and bfloat16: %.3f of the error allowed", worst);
}

__global__ void maths(const float *in, float *out, double *dout)
{
	int i = threadIdx.x, n = blockDim.x;
	float x = in[i], s, c;
	double d = x;

	sincosf(x, &s, &c);
	out[i] = s * s + c * c;
	out[n + i] = expf(logf(x));
	out[2 * n + i] = __fdividef(x, 3.0f) + __expf(-x) + rsqrtf(x) + cbrtf(x) + erff(x) + normcdff(x);
	dout[i] = pow(d, 1.7) + lgamma(d) + atan2(d, 2.0) + sinh(d / 8) + hypot(d, 3.0) + fma(d, d, -1.0) + j0(d) + y1(d) + erfcinv(0.25) + tgamma(d / 4 + 1);
}

static void test_maths()
{
	const int n = 256;
	array<float> in(n), out(3 * n);
	array<double> dout(n);
	double worst = 0;

	for (int i = 0; i < n; i++)
		in[i] = 0.01f + (float)i / 16;
	in.push();
	maths<<<1, n>>>(in.gpu, out.gpu, dout.gpu);
	out.pull();
	dout.pull();
	for (int i = 0; i < n; i++) {
		double d = in[i], f = d / 3 + std::exp(-d) + 1 / std::sqrt(d) + std::cbrt(d) + std::erf(d) + std::erfc(-d / std::sqrt(2)) / 2;
		double want = std::pow(d, 1.7) + std::lgamma(d) + std::atan2(d, 2.0) + std::sinh(d / 8) + std::hypot(d, 3.0) + std::fma(d, d, -1.0) + ::j0(d) + ::y1(d) +
			      0.81341984759762 + std::tgamma(d / 4 + 1);

		worst = std::max({worst, std::fabs(out[i] - 1) / 4e-7, std::fabs(out[n + i] / d - 1) / 2e-6, std::fabs(out[2 * n + i] / f - 1) / 1e-5,
				  std::fabs(dout[i] - want) / (1e-11 * (1 + std::fabs(want)))});
	}
	tap(worst <= 1, "math functions: %.3f of the error allowed", worst);
}

/* ---- work-groups that wait for each other ---- */

__global__ void grid_barrier(int *count, int *data, int *out)
{
	int b = blockIdx.x, n = gridDim.x;

	if (threadIdx.x == 0) {
		__atomic_store_n(&data[b], b + 1, __ATOMIC_RELAXED);
		__threadfence();
		atomicAdd(count, 1);
		while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < n)
			__builtin_amdgcn_s_sleep(1);
		int sum = 0;
		for (int i = 0; i < n; i++)
			sum += __atomic_load_n(&data[i], __ATOMIC_RELAXED);
		out[b] = sum;
	}
}

static void test_grid_barrier()
{
	const int n = 16;
	array<int> count(1), data(n), out(n);

	grid_barrier<<<n, 64>>>(count.gpu, data.gpu, out.gpu);
	out.pull();
	tap(std::all_of(out.host.begin(), out.host.end(), [](int x) { return x == n * (n + 1) / 2; }), "a barrier among all work-groups");
}

/* ---- the run-time ---- */

__global__ void add_to(int *data, int n, int x)
{
	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		data[i] += x;
}

static void test_streams()
{
	const int streams = 12, n = 4096, rounds = 6;
	hipStream_t stream[streams];
	hipEvent_t event[streams], begin, end;
	int *data[streams], *pinned;
	bool good = true;
	float ms = -1;

	CHECK(hipHostMalloc((void **)&pinned, streams * n * sizeof(int), 0));
	CHECK(hipEventCreate(&begin));
	CHECK(hipEventCreate(&end));
	CHECK(hipEventRecord(begin, 0));
	for (int s = 0; s < streams; s++) {
		CHECK(hipStreamCreateWithFlags(&stream[s], hipStreamNonBlocking));
		CHECK(hipEventCreateWithFlags(&event[s], hipEventDisableTiming));
		CHECK(hipMalloc(&data[s], n * sizeof(int)));
	}
	for (int s = 0; s < streams; s++) {
		CHECK(hipMemsetAsync(data[s], 0, n * sizeof(int), stream[s]));
		for (int r = 0; r < rounds; r++)
			add_to<<<3, 128, 0, stream[s]>>>(data[s], n, s + r);
		/* Each waits for the one before. */
		if (s)
			CHECK(hipStreamWaitEvent(stream[s], event[s - 1], 0));
		CHECK(hipMemcpyAsync(pinned + s * n, data[s], n * sizeof(int), hipMemcpyDeviceToHost, stream[s]));
		CHECK(hipEventRecord(event[s], stream[s]));
	}
	for (int s = 0; s < streams; s++)
		CHECK(hipStreamSynchronize(stream[s]));
	CHECK(hipEventRecord(end, 0));
	CHECK(hipEventSynchronize(end));
	CHECK(hipEventElapsedTime(&ms, begin, end));
	for (int s = 0; s < streams; s++) {
		for (int i = 0; i < n; i++)
			good &= pinned[s * n + i] == rounds * s + rounds * (rounds - 1) / 2;
		CHECK(hipFree(data[s]));
		CHECK(hipEventDestroy(event[s]));
		CHECK(hipStreamDestroy(stream[s]));
	}
	CHECK(hipHostFree(pinned));
	tap(good, "%d streams with events", streams);
	tap(ms > 0, "time between events: %.2f ms", ms);
}

__global__ void twice_each(int *p, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		p[i] *= 2;
}

static void test_copies()
{
	const int width = 37, height = 19, n = 3000;
	std::vector<int> in(width * height), out(width * height, -1);
	array<unsigned char> bytes(1001);
	array<int> words(1003);
	size_t pitch = 0;
	bool good = true;
	int *plane, *mapped, *managed, *from_gpu;

	std::iota(in.begin(), in.end(), 100);
	CHECK(hipMallocPitch((void **)&plane, &pitch, width * sizeof(int), height));
	CHECK(hipMemcpy2D(plane, pitch, in.data(), width * sizeof(int), width * sizeof(int), height, hipMemcpyHostToDevice));
	CHECK(hipMemcpy2D(out.data(), width * sizeof(int), plane, pitch, width * sizeof(int), height, hipMemcpyDeviceToHost));
	tap(in == out, "hipMemcpy2D, pitch %zu", pitch);
	CHECK(hipFree(plane));

	CHECK(hipMemset(bytes.gpu, 0x5a, 1001));
	CHECK(hipMemset(bytes.gpu + 13, 0xc3, 77));
	CHECK(hipMemsetD32((hipDeviceptr_t)words.gpu, 0x12345678, 1003));
	bytes.pull();
	words.pull();
	for (int i = 0; i < 1001; i++)
		good &= bytes[i] == (i >= 13 && i < 90 ? 0xc3 : 0x5a);
	tap(good, "hipMemset of odd parts");
	tap(std::all_of(words.host.begin(), words.host.end(), [](int x) { return x == 0x12345678; }), "hipMemsetD32");

	CHECK(hipHostMalloc((void **)&mapped, n * sizeof(int), hipHostMallocMapped));
	CHECK(hipHostGetDevicePointer((void **)&from_gpu, mapped, 0));
	std::iota(mapped, mapped + n, 0);
	twice_each<<<(n + 255) / 256, 256>>>(from_gpu, n);
	CHECK(hipDeviceSynchronize());
	good = true;
	for (int i = 0; i < n; i++)
		good &= mapped[i] == 2 * i;
	tap(good, "kernels on pinned host memory");
	CHECK(hipHostFree(mapped));

	std::vector<int> user(n, 7);
	CHECK(hipHostRegister(user.data(), n * sizeof(int), 0));
	CHECK(hipHostGetDevicePointer((void **)&from_gpu, user.data(), 0));
	twice_each<<<(n + 255) / 256, 256>>>(from_gpu, n);
	CHECK(hipDeviceSynchronize());
	CHECK(hipHostUnregister(user.data()));
	tap(user == std::vector<int>(n, 14), "kernels on registered host memory");

	if (hipMallocManaged((void **)&managed, n * sizeof(int), hipMemAttachGlobal) == hipSuccess) {
		std::iota(managed, managed + n, 5);
		twice_each<<<(n + 255) / 256, 256>>>(managed, n);
		CHECK(hipDeviceSynchronize());
		good = true;
		for (int i = 0; i < n; i++)
			good &= managed[i] == 2 * (i + 5);
		tap(good, "managed memory");
		CHECK(hipFree(managed));
	} else {
		tap(true, "managed memory # SKIP not offered");
	}

	array<int> a(100000), b(100000);
	for (int i = 0; i < 100000; i++)
		a[i] = (int)tap_random();
	a.push();
	CHECK(hipMemcpy(b.gpu + 1, a.gpu + 3, 99990 * sizeof(int), hipMemcpyDeviceToDevice));
	CHECK(hipDeviceSynchronize());
	b.pull();
	tap(std::equal(b.host.begin() + 1, b.host.begin() + 99991, a.host.begin() + 3), "copies on the GPU");
}

static void test_graph()
{
	const int n = 1000;
	array<int> data(n, 1);
	hipStream_t stream;
	hipGraph_t graph;
	hipGraphExec_t exec;

	CHECK(hipStreamCreate(&stream));
	CHECK(hipStreamBeginCapture(stream, hipStreamCaptureModeGlobal));
	for (int i = 0; i < 5; i++) {
		add_to<<<2, 64, 0, stream>>>(data.gpu, n, i);
		twice_each<<<4, 256, 0, stream>>>(data.gpu, n);
	}
	CHECK(hipStreamEndCapture(stream, &graph));
	CHECK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
	for (int i = 0; i < 3; i++)
		CHECK(hipGraphLaunch(exec, stream));
	CHECK(hipStreamSynchronize(stream));
	data.pull();
	int want = 1;
	for (int r = 0; r < 3; r++)
		for (int i = 0; i < 5; i++)
			want = (want + i) * 2;
	tap(std::all_of(data.host.begin(), data.host.end(), [&](int x) { return x == want; }), "graphs");
	CHECK(hipGraphExecDestroy(exec));
	CHECK(hipGraphDestroy(graph));
	CHECK(hipStreamDestroy(stream));
}

/* Partial work-groups and waves, three dimensions: each item writes its place. */
__global__ void places(int *out)
{
	int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, z = blockIdx.z * blockDim.z + threadIdx.z;

	out[(z * gridDim.y * blockDim.y + y) * gridDim.x * blockDim.x + x] = x + 1000 * y + 1000000 * z;
}

static void test_places()
{
	dim3 grid(3, 5, 2), block(7, 3, 5);
	int w = 21, h = 15, d = 10;
	array<int> out(w * h * d, -1);
	bool good = true;

	places<<<grid, block>>>(out.gpu);
	out.pull();
	for (int i = 0; i < w * h * d; i++)
		good &= out[i] == i % w + 1000 * (i / w % h) + 1000000 * (i / (w * h));
	tap(good, "three dimensions, partial waves");
}

/* ------------------------------------------------------------------ cooperative launches: the grid waits by global wave sync */

__global__ void cooperative_kernel(int *place, int *wrong, int rounds)
{
	cooperative_groups::grid_group grid = cooperative_groups::this_grid();
	int next = (blockIdx.x + 1) % gridDim.x;

	for (int i = 0; i < rounds; i++) {
		if (!threadIdx.x)
			place[blockIdx.x] = 100 * i + blockIdx.x;
		grid.sync();
		if (!threadIdx.x && place[next] != 100 * i + next)
			atomicAdd(wrong, 1);
		grid.sync();
	}
}

static void test_cooperative()
{
	for (int groups : {1, 2, 7, 16}) {
		array<int> place(64), wrong(1);
		int rounds = 25, can = 0;
		void *args[] = {&place.gpu, &wrong.gpu, &rounds};

		CHECK(hipDeviceGetAttribute(&can, hipDeviceAttributeCooperativeLaunch, 0));
		CHECK(hipLaunchCooperativeKernel((const void *)cooperative_kernel, dim3(groups), dim3(100), args, 0, 0));
		CHECK(hipDeviceSynchronize());
		place.pull();
		wrong.pull();
		tap(can && !wrong[0] && place[groups - 1] == 2400 + groups - 1, "a cooperative launch of %d work-groups", groups);
	}
}

/* The runtime's trap handler runs, finds no debugger, and returns. */
__global__ void debugtrap_kernel(int *out)
{
	out[threadIdx.x] = 2 * threadIdx.x;
	__builtin_debugtrap();
	out[threadIdx.x] += 1;
}

static void test_debugtrap()
{
	array<int> out(128);
	bool good = true;

	debugtrap_kernel<<<1, 128>>>(out.gpu);
	CHECK(hipDeviceSynchronize());
	out.pull();
	for (int i = 0; i < 128; i++)
		good &= out[i] == 2 * i + 1;
	tap(good, "a debugger's trap without a debugger");
}

int main()
{
	setvbuf(stdout, nullptr, _IOLBF, 0);
	test_lanes();
	test_add<int>("int");
	test_add<unsigned long long>("unsigned long long");
	test_add<float>("float");
	test_add<double>("double");
	test_atomics<int>("int");
	test_atomics<unsigned long long>("unsigned long long");
	test_shared(64);
	test_shared(100);
	test_shared(1024);
	test_symbols();
	test_calls();
	test_frame();
	test_divisions();
	test_halves();
	test_maths();
	test_grid_barrier();
	test_places();
	test_streams();
	test_copies();
	test_graph();
	test_cooperative();
	test_debugtrap();
	return tap_end();
}
