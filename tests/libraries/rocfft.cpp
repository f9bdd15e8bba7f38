// SPDX-License-Identifier: MIT
/*
 * rocfft - rocFFT against FFTW. rocFFT writes its kernels when a plan is made and has hipRTC compile them, so that each length here is code of its own: radices
 * 2 to 17, lengths that need Bluestein's algorithm, columns through LDS, transposes of real transforms.
 */
#include <fftw3.h>
#include <rocfft/rocfft.h>

#include <string>

#include "tests/libraries/library.h"

template <typename T> struct precision;
template <> struct precision<float> {
	static constexpr double unit = 0x1p-24;
	static constexpr rocfft_precision value = rocfft_precision_single;
};
template <> struct precision<double> {
	static constexpr double unit = 0x1p-53;
	static constexpr rocfft_precision value = rocfft_precision_double;
};

/* The reference is in double precision for both. */
static void reference(int rank, const int *n, int howmany, std::vector<std::complex<double>> &data, int distance, int sign)
{
	fftw_plan p = fftw_plan_many_dft(rank, n, howmany, (fftw_complex *)data.data(), NULL, 1, distance, (fftw_complex *)data.data(), NULL, 1, distance, sign, FFTW_ESTIMATE);

	fftw_execute(p);
	fftw_destroy_plan(p);
}

static void run(rocfft_plan plan, void *in, void *out)
{
	rocfft_execution_info info;
	size_t size;
	void *work = NULL;

	CHECK(rocfft_execution_info_create(&info));
	CHECK(rocfft_plan_get_work_buffer_size(plan, &size));
	if (size) {
		CHECK(hipMalloc(&work, size));
		CHECK(rocfft_execution_info_set_work_buffer(info, work, size));
	}
	CHECK(rocfft_execute(plan, &in, out ? &out : NULL, info));
	CHECK(hipDeviceSynchronize());
	CHECK(rocfft_execution_info_destroy(info));
	CHECK(hipFree(work));
	CHECK(rocfft_plan_destroy(plan));
}

struct shape {
	int rank, n[3]; /* slowest first, as FFTW has it; rocFFT's lengths are the other way round */
	int batch;
};

static std::string text(const shape &s)
{
	std::string t = std::to_string(s.n[0]);

	for (int i = 1; i < s.rank; i++)
		t += "x" + std::to_string(s.n[i]);
	return s.batch > 1 ? t + ", " + std::to_string(s.batch) + " of them" : t;
}

static int points(const shape &s)
{
	int n = 1;

	for (int i = 0; i < s.rank; i++)
		n *= s.n[i];
	return n;
}

static rocfft_plan plan(const shape &s, rocfft_transform_type type, rocfft_result_placement placement, rocfft_precision precise)
{
	size_t lengths[3];
	rocfft_plan p = nullptr;

	for (int i = 0; i < s.rank; i++)
		lengths[i] = s.n[s.rank - 1 - i];
	CHECK(rocfft_plan_create(&p, placement, type, precise, s.rank, lengths, s.batch, NULL));
	return p;
}

/* An error grows with the number of steps; its size is compared with the root mean square of the result. */
template <typename A> static bool close(const A &got, const std::vector<std::complex<double>> &want, size_t count, double unit, int n, double &off)
{
	double square = 0;

	off = 0;
	for (size_t i = 0; i < count; i++) {
		off = farther(off, std::complex<double>(got[i]), want[i]);
		square += std::norm(want[i]);
	}
	off /= std::sqrt(square / count) * unit * (8 + 4 * std::log2(n));
	return off < 1;
}

template <typename T> static const char *word()
{
	return sizeof(T) == 4 ? "single" : "double";
}

template <typename T> static void complex_to_complex(const shape &s, int sign, bool in_place)
{
	int n = points(s);
	size_t all = (size_t)n * s.batch;
	array<std::complex<T>> a(all), b(in_place ? 1 : all);
	std::vector<std::complex<double>> want;
	double off;

	a.fill();
	want.assign(a.host.begin(), a.host.end());
	reference(s.rank, s.n, s.batch, want, n, sign);
	run(plan(s, sign < 0 ? rocfft_transform_type_complex_forward : rocfft_transform_type_complex_inverse, in_place ? rocfft_placement_inplace : rocfft_placement_notinplace,
		 precision<T>::value),
	    a.gpu, in_place ? NULL : b.gpu);
	array<std::complex<T>> &got = in_place ? a : b;
	got.pull();
	bool good = close(got, want, all, precision<T>::unit, n, off);
	tap(good, "%s, complex %s, %s%s: %.3f of the error allowed", text(s).c_str(), sign < 0 ? "forward" : "inverse", word<T>(), in_place ? ", in place" : "", off);
}

/* Real to half-complex, and back: the inverse of what came must be the input, scaled. */
template <typename T> static void real(const shape &s)
{
	int n = points(s), columns = s.n[s.rank - 1], half = columns / 2 + 1, rows = n / columns * s.batch;
	array<T> x((size_t)n * s.batch), back((size_t)n * s.batch);
	array<std::complex<T>> y((size_t)rows * half);
	std::vector<std::complex<double>> whole, want;
	double off;

	x.fill();
	whole.assign(x.host.begin(), x.host.end());
	reference(s.rank, s.n, s.batch, whole, n, FFTW_FORWARD);
	for (int r = 0; r < rows; r++)
		want.insert(want.end(), whole.begin() + (size_t)r * columns, whole.begin() + (size_t)r * columns + half);
	run(plan(s, rocfft_transform_type_real_forward, rocfft_placement_notinplace, precision<T>::value), x.gpu, y.gpu);
	y.pull();
	bool good = close(y, want, want.size(), precision<T>::unit, n, off);
	tap(good, "%s, real to complex, %s: %.3f of the error allowed", text(s).c_str(), word<T>(), off);

	for (size_t i = 0; i < y.size(); i++)
		y[i] = (std::complex<T>)want[i];
	y.push();
	run(plan(s, rocfft_transform_type_real_inverse, rocfft_placement_notinplace, precision<T>::value), y.gpu, back.gpu);
	back.pull();
	want.clear();
	for (T v : x.host)
		want.push_back((double)v * n);
	good = close(back, want, want.size(), precision<T>::unit, n, off);
	tap(good, "%s, complex to real, %s: %.3f of the error allowed", text(s).c_str(), word<T>(), off);
}

int main(int argc, char **argv)
{
	bool all = !quick(argc, argv);

	CHECK(rocfft_setup());
	complex_to_complex<float>({1, {64}, 1}, FFTW_FORWARD, true);
	complex_to_complex<double>({1, {45}, 4}, FFTW_BACKWARD, false);
	complex_to_complex<float>({2, {16, 24}, 2}, FFTW_FORWARD, false);
	real<float>({1, {100}, 3});
	if (all) {
		for (int n : {1, 2, 3, 5, 7, 11, 13, 17, 49, 81, 125, 128, 121, 169, 210, 256, 512, 1024, 2187, 4096})
			complex_to_complex<float>({1, {n}, n < 100 ? 7 : 2}, n % 2 ? FFTW_BACKWARD : FFTW_FORWARD, n % 3 == 0);
		for (int n : {2, 3, 11, 17, 64, 75, 343, 1000, 2048})
			complex_to_complex<double>({1, {n}, 3}, n % 2 ? FFTW_FORWARD : FFTW_BACKWARD, n % 3 == 0);
		/* Primes and products of large ones: Bluestein. More than a work-group can hold: two kernels and a transpose. */
		for (int n : {19, 97, 1009, 8192, 16384, 65536}) {
			complex_to_complex<float>({1, {n}, 1}, FFTW_FORWARD, false);
			complex_to_complex<double>({1, {n}, 1}, FFTW_BACKWARD, true);
		}
		for (const shape &s : {shape{2, {32, 32}, 1}, {2, {15, 35}, 3}, {2, {128, 60}, 1}, {2, {19, 8}, 1}, {3, {8, 8, 8}, 1}, {3, {6, 10, 14}, 2}, {3, {32, 16, 64}, 1}}) {
			complex_to_complex<float>(s, FFTW_FORWARD, true);
			complex_to_complex<double>(s, FFTW_BACKWARD, false);
		}
		for (const shape &s : {shape{1, {8}, 5}, {1, {9}, 2}, {1, {1024}, 1}, {1, {1155}, 2}, {1, {8192}, 1}, {2, {16, 16}, 1}, {2, {9, 30}, 2}, {2, {64, 33}, 1}, {3, {4, 6, 8}, 1}, {3, {16, 16, 15}, 1}}) {
			real<float>(s);
			real<double>(s);
		}
	}
	CHECK(rocfft_cleanup());
	return tap_end();
}
