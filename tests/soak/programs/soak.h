/* SPDX-License-Identifier: MIT */
/*
 * soak.h - what the HIP programs of this folder share: an end at the first error, arrays on the GPU, random numbers, and the verdict. Each program
 * computes something by a public algorithm, compares all of it with the CPU, which must be cheap as it may be emulated, and prints one line.
 */
#ifndef TESTS_SOAK_SOAK_H
#define TESTS_SOAK_SOAK_H

#include <hip/hip_runtime.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(call)                                                                                                                                  \
	do {                                                                                                                                         \
		hipError_t e_ = (call);                                                                                                              \
		if (e_ != hipSuccess) {                                                                                                              \
			printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, hipGetErrorString(e_));                                                  \
			fflush(stdout);                                                                                                              \
			_Exit(1);                                                                                                                    \
		}                                                                                                                                    \
	} while (0)

/* Launches a kernel; <<<>>> alone tells nobody what went wrong. */
#define LAUNCH(kernel, groups, items, ...)                                                                                                           \
	do {                                                                                                                                         \
		kernel<<<groups, items>>>(__VA_ARGS__);                                                                                              \
		CHECK(hipGetLastError());                                                                                                            \
	} while (0)

/* n elements in VRAM, for as long as the object lives. */
template <typename T> struct gpu_array {
	T *p = nullptr;
	size_t n;

	explicit gpu_array(size_t count) : n(count) { CHECK(hipMalloc((void **)&p, n * sizeof(T))); }
	explicit gpu_array(const std::vector<T> &v) : gpu_array(v.size()) { set(v); }
	gpu_array(const gpu_array &) = delete;
	~gpu_array() { CHECK(hipFree(p)); }
	void set(const std::vector<T> &v) { CHECK(hipMemcpy(p, v.data(), n * sizeof(T), hipMemcpyHostToDevice)); }
	void zero() { CHECK(hipMemset(p, 0, n * sizeof(T))); }
	std::vector<T> get() const
	{
		std::vector<T> v(n);

		CHECK(hipMemcpy(v.data(), p, n * sizeof(T), hipMemcpyDeviceToHost));
		return v;
	}
	operator T *() const { return p; }
};

/* Random bits (xorshift64*), the same in each run. */
static inline uint32_t random_bits()
{
	static uint64_t s = 88172645463325252ull;

	s ^= s >> 12;
	s ^= s << 25;
	s ^= s >> 27;
	return (uint32_t)(s * 2685821657736338717ull >> 32);
}

/* The program's line and exit status. */
__attribute__((format(printf, 2, 3))) static inline int verdict(bool right, const char *text, ...)
{
	va_list args;

	va_start(args, text);
	vprintf(text, args);
	va_end(args);
	printf(": %s\n", right ? "verified" : "WRONG");
	return !right;
}

#endif
