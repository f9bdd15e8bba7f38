/* SPDX-License-Identifier: MIT */
/*
 * library.h - what the programs of this folder share: calls that must succeed, arrays with a copy on the host, random values, and how far a result is from its
 * reference. A program's first argument "quick" leaves out what is only more of the same.
 */
#ifndef TESTS_LIBRARIES_LIBRARY_H
#define TESTS_LIBRARIES_LIBRARY_H

#include <hip/hip_runtime.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <vector>

#include "tests/programs/tap.h"

static inline void must(int e, const char *what, int line)
{
	if (e)
		tap_bail("line %d: %s: error %d", line, what, e);
}
/* HIP's and the libraries' statuses are all 0 when good. */
#define CHECK(call) must((int)(call), #call, __LINE__)

template <typename T> struct array {
	std::vector<T> host;
	T *gpu = nullptr;

	explicit array(size_t n, T value = T()) : host(n, value)
	{
		CHECK(hipMalloc((void **)&gpu, n * sizeof(T) + !n));
		push();
	}
	explicit array(const std::vector<T> &from) : host(from)
	{
		CHECK(hipMalloc((void **)&gpu, host.size() * sizeof(T) + host.empty()));
		push();
	}
	array(const array &) = delete;
	~array() { (void)hipFree(gpu); }
	void push() { CHECK(hipMemcpy(gpu, host.data(), host.size() * sizeof(T), hipMemcpyHostToDevice)); }
	void pull() { CHECK(hipMemcpy(host.data(), gpu, host.size() * sizeof(T), hipMemcpyDeviceToHost)); }
	T &operator[](size_t i) { return host[i]; }
	const T &operator[](size_t i) const { return host[i]; }
	size_t size() const { return host.size(); }
	void fill(); /* with random numbers, and on the GPU, too */
};

/* A multiple of 1/1000 in -1 .. 1. */
static inline double number()
{
	return (double)((int)(tap_random() % 2001) - 1000) / 1000;
}

static inline unsigned below(unsigned n)
{
	return (unsigned)(tap_random() >> 33) % n;
}

template <typename T> struct random_value {
	static T get() { return (T)number(); }
};
template <typename T> struct random_value<std::complex<T>> {
	static std::complex<T> get()
	{
		T re = (T)number();

		return {re, (T)number()};
	}
};

template <typename T> void array<T>::fill()
{
	for (T &x : host)
		x = random_value<T>::get();
	push();
}

/* The larger of off and |got - want|; what is not a number is infinitely far off. */
template <typename A, typename B> static double farther(double off, A got, B want)
{
	double d = (double)std::abs(got - want);

	return d <= off ? off : std::isnan(d) ? INFINITY : d;
}

/* What main calls first: the calls that wait for the GPU sleep rather than spin, as the GPU's own threads want the CPUs. Tells whether to be quick. */
static inline bool quick(int argc, char **argv)
{
	CHECK(hipSetDeviceFlags(hipDeviceScheduleBlockingSync));
	return argc > 1 && !strcmp(argv[1], "quick");
}

#endif
