// SPDX-License-Identifier: MIT
/*
 * rocblas - rocBLAS on the GPU (on gfx90a its kernels use the matrix operations), against plain loops on the CPU in double precision.
 */
#include <hip/hip_runtime.h>
#include <rocblas/rocblas.h>

#include "tests/libraries/library.h"

static rocblas_handle handle;

static double value(float x) { return x; }
static double value(double x) { return x; }
static double value(_Float16 x) { return (double)x; }
static std::complex<double> value(rocblas_float_complex x) { return {std::real(x), std::imag(x)}; }
static std::complex<double> value(rocblas_double_complex x) { return {std::real(x), std::imag(x)}; }
template <typename T> struct random_value<rocblas_complex_num<T>> {
	static rocblas_complex_num<T> get()
	{
		T re = (T)number();

		return {re, (T)number()};
	}
};
template <typename T> static void set(T &x)
{
	x = random_value<T>::get();
}

static double conj_if(bool, double x) { return x; }
static std::complex<double> conj_if(bool yes, std::complex<double> x) { return yes ? std::conj(x) : x; }

static char letter(rocblas_operation op)
{
	return op == rocblas_operation_none ? 'N' : op == rocblas_operation_transpose ? 'T' : 'C';
}

/* Largest difference of C = alpha op(A) op(B) + beta C from the right one. */
template <typename T, typename V> static double gemm_off(rocblas_operation ta, rocblas_operation tb, int m, int n, int k, V alpha, const T *a, int lda, const T *b, int ldb, V beta,
							 const T *before, const T *after, int ldc)
{
	double off = 0;

	for (int j = 0; j < n; j++) {
		for (int i = 0; i < m; i++) {
			V sum = 0;

			for (int l = 0; l < k; l++)
				sum += conj_if(ta == rocblas_operation_conjugate_transpose, value(ta == rocblas_operation_none ? a[i + (size_t)l * lda] : a[l + (size_t)i * lda])) *
				       conj_if(tb == rocblas_operation_conjugate_transpose, value(tb == rocblas_operation_none ? b[l + (size_t)j * ldb] : b[j + (size_t)l * ldb]));
			double d = std::abs(alpha * sum + beta * V(value(before[i + (size_t)j * ldc])) - V(value(after[i + (size_t)j * ldc])));
			off = d <= off ? off : std::isnan(d) ? INFINITY : d;
		}
	}
	return off;
}

template <typename T, typename V, typename G> static void gemm(const char *name, G call, double unit, rocblas_operation ta, rocblas_operation tb, int m, int n, int k)
{
	bool na = ta == rocblas_operation_none, nb = tb == rocblas_operation_none;
	int lda = (na ? m : k) + 3, ldb = (nb ? k : n) + 1, ldc = m + 2;
	array<T> a((size_t)lda * (na ? k : m)), b((size_t)ldb * (nb ? n : k)), c((size_t)ldc * n);
	T alpha, beta;

	a.fill();
	b.fill();
	c.fill();
	set(alpha);
	set(beta);
	std::vector<T> before = c.host;
	CHECK(call(handle, ta, tb, m, n, k, (const T *)&alpha, a.gpu, lda, b.gpu, ldb, (const T *)&beta, c.gpu, ldc));
	c.pull();
	double off = gemm_off<T, V>(ta, tb, m, n, k, value(alpha), a.host.data(), lda, b.host.data(), ldb, value(beta), before.data(), c.host.data(), ldc) / (unit * (2 + k * 0.5));
	/* Between the columns there is nothing to write. */
	bool kept = true;
	for (int j = 0; j < n; j++)
		kept &= !memcmp(&c.host[(size_t)j * ldc + m], &before[(size_t)j * ldc + m], 2 * sizeof(T));
	tap(off <= 1 && kept, "%s %c%c %dx%dx%d: %.3f of the error allowed%s", name, letter(ta), letter(tb), m, n, k, off, kept ? "" : ", wrote between columns");
}

static rocblas_status hgemm(rocblas_handle h, rocblas_operation ta, rocblas_operation tb, int m, int n, int k, const _Float16 *alpha, const _Float16 *a, int lda, const _Float16 *b,
			    int ldb, const _Float16 *beta, _Float16 *c, int ldc)
{
	return rocblas_hgemm(h, ta, tb, m, n, k, (const rocblas_half *)alpha, (const rocblas_half *)a, lda, (const rocblas_half *)b, ldb, (const rocblas_half *)beta, (rocblas_half *)c, ldc);
}

/* Half operands, single precision sums and result. */
static rocblas_status hss(int m, int n, int k, float alpha, const _Float16 *a, const _Float16 *b, float beta, float *c)
{
	return rocblas_gemm_ex(handle, rocblas_operation_none, rocblas_operation_transpose, m, n, k, &alpha, a, rocblas_datatype_f16_r, m, b, rocblas_datatype_f16_r, n, &beta, c,
			       rocblas_datatype_f32_r, m, c, rocblas_datatype_f32_r, m, rocblas_datatype_f32_r, rocblas_gemm_algo_standard, 0, 0);
}

static void gemms(bool all)
{
	const rocblas_operation N = rocblas_operation_none, T = rocblas_operation_transpose, C = rocblas_operation_conjugate_transpose;
	const int sizes[][3] = {{1, 1, 1}, {5, 7, 3}, {33, 17, 29}, {64, 64, 64}, {128, 96, 65}, {200, 130, 40}};

	for (auto &s : sizes) {
		if (!all && s[2] != 29 && s[2] != 65)
			continue;
		for (auto ta : {N, T}) {
			for (auto tb : {N, T}) {
				gemm<float, double>("sgemm", rocblas_sgemm, 0x1p-23, ta, tb, s[0], s[1], s[2]);
				gemm<double, double>("dgemm", rocblas_dgemm, 0x1p-52, ta, tb, s[0], s[1], s[2]);
				gemm<_Float16, double>("hgemm", hgemm, 0x1p-9, ta, tb, s[0], s[1], s[2]);
			}
		}
	}
	if (!all)
		return;
	gemm<rocblas_float_complex, std::complex<double>>("cgemm", rocblas_cgemm, 0x1p-22, N, C, 45, 33, 21);
	gemm<rocblas_float_complex, std::complex<double>>("cgemm", rocblas_cgemm, 0x1p-22, T, N, 64, 64, 32);
	gemm<rocblas_double_complex, std::complex<double>>("zgemm", rocblas_zgemm, 0x1p-51, C, N, 45, 33, 21);
	gemm<rocblas_double_complex, std::complex<double>>("zgemm", rocblas_zgemm, 0x1p-51, N, T, 64, 64, 32);
}

static void mixed()
{
	const int m = 96, n = 80, k = 48;
	array<_Float16> a(m * k), b(n * k);
	array<float> c(m * n);
	double off = 0;

	a.fill();
	b.fill();
	c.fill();
	std::vector<float> before = c.host;
	CHECK(hss(m, n, k, 0.75f, a.gpu, b.gpu, -0.5f, c.gpu));
	c.pull();
	for (int j = 0; j < n; j++) {
		for (int i = 0; i < m; i++) {
			double sum = 0;

			for (int l = 0; l < k; l++)
				sum += (double)a[i + l * m] * (double)b[j + l * n];
			off = std::fmax(off, std::fabs(0.75 * sum - 0.5 * before[i + j * m] - c[i + j * m]));
		}
	}
	tap(off < 1e-5, "gemm_ex of half to single: off by %.2g", off);

	array<int8_t> x(m * k), y(n * k);
	array<int32_t> z(m * n);
	int32_t one = 1, zero = 0;
	bool good = true;

	for (auto *v : {&x, &y})
		for (auto &e : v->host)
			e = (int8_t)tap_random();
	x.push();
	y.push();
	CHECK(rocblas_gemm_ex(handle, rocblas_operation_none, rocblas_operation_transpose, m, n, k, &one, x.gpu, rocblas_datatype_i8_r, m, y.gpu, rocblas_datatype_i8_r, n, &zero, z.gpu,
			      rocblas_datatype_i32_r, m, z.gpu, rocblas_datatype_i32_r, m, rocblas_datatype_i32_r, rocblas_gemm_algo_standard, 0, rocblas_gemm_flags_none));
	z.pull();
	for (int j = 0; j < n; j++) {
		for (int i = 0; i < m; i++) {
			int sum = 0;

			for (int l = 0; l < k; l++)
				sum += x[i + l * m] * y[j + l * n];
			good &= z[i + j * m] == sum;
		}
	}
	tap(good, "gemm_ex of bytes");
}

template <typename T, typename G> static void batched(const char *name, G call, double unit)
{
	const int m = 37, n = 20, k = 50, count = 5;
	array<T> a(m * k * count), b(k * n * count), c(m * n * count);
	T alpha, beta;
	double off = 0;

	a.fill();
	b.fill();
	c.fill();
	set(alpha);
	set(beta);
	std::vector<T> before = c.host;
	CHECK(call(handle, rocblas_operation_none, rocblas_operation_none, m, n, k, &alpha, a.gpu, m, m * k, b.gpu, k, k * n, &beta, c.gpu, m, m * n, count));
	c.pull();
	for (int i = 0; i < count; i++)
		off = std::fmax(off, gemm_off<T, double>(rocblas_operation_none, rocblas_operation_none, m, n, k, value(alpha), &a[i * m * k], m, &b[i * k * n], k, value(beta),
							 &before[i * m * n], &c[i * m * n], m));
	tap(off < unit * k, "%s: off by %.2g", name, off);
}

/* Levels 1 and 2. */
template <typename T, typename Axpy, typename Dot, typename Nrm2, typename Asum, typename Scal, typename Iamax, typename Gemv, typename Ger>
static void vectors(const char *name, double unit, int n, Axpy axpy, Dot dot, Nrm2 nrm2, Asum asum, Scal scal, Iamax iamax, Gemv gemv, Ger ger)
{
	const int m = n / 3 + 1, inc = 2;
	array<T> x(n * inc), y(n), a((size_t)m * n), z(m);
	T alpha = (T)0.625, beta = (T)-0.375, got = 0;
	double off = 0, want = 0;
	int largest = 0, wanted = 0;

	x.fill();
	y.fill();
	a.fill();
	z.fill();
	std::vector<T> before = y.host;
	CHECK(axpy(handle, n, &alpha, x.gpu, inc, y.gpu, 1));
	y.pull();
	for (int i = 0; i < n; i++)
		off = std::fmax(off, std::fabs((double)alpha * x[i * inc] + before[i] - y[i]));
	tap(off < 2 * unit, "%saxpy %d: off by %.2g", name, n, off);

	CHECK(dot(handle, n, x.gpu, inc, y.gpu, 1, &got));
	for (int i = 0; i < n; i++)
		want += (double)x[i * inc] * y[i];
	tap(std::fabs(want - got) < unit * n, "%sdot %d: off by %.2g", name, n, std::fabs(want - got));

	want = 0;
	CHECK(nrm2(handle, n, x.gpu, inc, &got));
	for (int i = 0; i < n; i++)
		want += (double)x[i * inc] * x[i * inc];
	tap(std::fabs(std::sqrt(want) - got) < unit * n, "%snrm2 %d: off by %.2g", name, n, std::fabs(std::sqrt(want) - got));

	want = 0;
	CHECK(asum(handle, n, x.gpu, inc, &got));
	for (int i = 0; i < n; i++)
		want += std::fabs((double)x[i * inc]);
	tap(std::fabs(want - got) < unit * n, "%sasum %d: off by %.2g", name, n, std::fabs(want - got));

	CHECK(iamax(handle, n, x.gpu, inc, &largest));
	for (int i = 1; i < n; i++)
		if (std::fabs(x[i * inc]) > std::fabs(x[wanted * inc]))
			wanted = i;
	tap(largest == wanted + 1, "i%samax %d", name, n);

	before = x.host;
	CHECK(scal(handle, n, &alpha, x.gpu, inc));
	x.pull();
	bool good = true;
	for (int i = 0; i < n * inc; i++)
		good &= x[i] == (i % inc ? before[i] : (T)(alpha * before[i]));
	tap(good, "%sscal %d", name, n);

	for (auto op : {rocblas_operation_none, rocblas_operation_transpose}) {
		array<T> &in = op == rocblas_operation_none ? y : z, &out = op == rocblas_operation_none ? z : y;
		int rows = op == rocblas_operation_none ? m : n, columns = op == rocblas_operation_none ? n : m;

		before = out.host;
		CHECK(gemv(handle, op, m, n, &alpha, a.gpu, m, in.gpu, 1, &beta, out.gpu, 1));
		out.pull();
		off = 0;
		for (int i = 0; i < rows; i++) {
			double sum = 0;

			for (int k = 0; k < columns; k++)
				sum += (double)(op == rocblas_operation_none ? a[i + (size_t)k * m] : a[k + (size_t)i * m]) * in[k];
			off = std::fmax(off, std::fabs((double)alpha * sum + (double)beta * before[i] - out[i]));
		}
		tap(off < unit * (n + 8) * 4, "%sgemv %c %dx%d: off by %.2g", name, letter(op), m, n, off);
	}

	before = a.host;
	CHECK(ger(handle, m, n, &alpha, z.gpu, 1, y.gpu, 1, a.gpu, m));
	a.pull();
	off = 0;
	for (int j = 0; j < n; j++)
		for (int i = 0; i < m; i++)
			off = std::fmax(off, std::fabs((double)alpha * z[i] * y[j] + before[i + (size_t)j * m] - a[i + (size_t)j * m]) / (1 + std::fabs((double)z[i] * y[j])));
	tap(off < 4 * unit, "%sger %dx%d: off by %.2g", name, m, n, off);
}

/* Triangular solves: the solution, put back in, must give the right-hand side. */
template <typename T, typename Trsm> static void solve(const char *name, double unit, Trsm trsm, rocblas_fill uplo, rocblas_operation op, int m, int n)
{
	array<T> a((size_t)m * m), b((size_t)m * n);
	T alpha = 1;
	double off = 0;

	a.fill();
	b.fill();
	for (int i = 0; i < m; i++) /* well-conditioned */
		for (int j = 0; j < m; j++)
			a[i + (size_t)j * m] = i == j ? (T)2 + a[i + (size_t)j * m] / 2 : a[i + (size_t)j * m] / m;
	a.push();
	std::vector<T> right = b.host;
	CHECK(trsm(handle, rocblas_side_left, uplo, op, rocblas_diagonal_non_unit, m, n, &alpha, a.gpu, m, b.gpu, m));
	b.pull();
	for (int j = 0; j < n; j++) {
		for (int i = 0; i < m; i++) {
			double sum = 0;

			for (int k = 0; k < m; k++) {
				int row = op == rocblas_operation_none ? i : k, column = op == rocblas_operation_none ? k : i;

				if (uplo == rocblas_fill_upper ? row <= column : row >= column)
					sum += (double)a[row + (size_t)column * m] * b[k + (size_t)j * m];
			}
			double d = std::fabs(sum - right[i + (size_t)j * m]);
			off = d <= off ? off : std::isnan(d) ? INFINITY : d;
		}
	}
	tap(off < unit * 32, "%strsm %s %c %dx%d: off by %.2g", name, uplo == rocblas_fill_upper ? "upper" : "lower", letter(op), m, n, off);
}

/* Each matrix by a pointer of its own. */
template <typename T, typename G> static void by_pointers(const char *name, G call, double unit)
{
	const int m = 41, n = 19, k = 33, count = 4;
	array<T> a(m * k * count), b(n * k * count), c(m * n * count);
	array<T *> pa(count), pb(count), pc(count);
	T alpha, beta;
	double off = 0;

	a.fill();
	b.fill();
	c.fill();
	set(alpha);
	set(beta);
	for (int i = 0; i < count; i++) {
		pa[i] = a.gpu + i * m * k;
		pb[i] = b.gpu + i * n * k;
		pc[i] = c.gpu + (count - 1 - i) * m * n;
	}
	pa.push();
	pb.push();
	pc.push();
	std::vector<T> before = c.host;
	CHECK(call(handle, rocblas_operation_transpose, rocblas_operation_transpose, m, n, k, &alpha, pa.gpu, k, pb.gpu, n, &beta, pc.gpu, m, count));
	c.pull();
	for (int i = 0; i < count; i++)
		off = std::fmax(off, gemm_off<T, double>(rocblas_operation_transpose, rocblas_operation_transpose, m, n, k, value(alpha), &a[i * m * k], k, &b[i * k * n], n, value(beta),
							 &before[(count - 1 - i) * m * n], &c[(count - 1 - i) * m * n], m));
	tap(off < unit * k, "%s: off by %.2g", name, off);
}

/* Level 2 and 3 of triangular and symmetric matrices, of which the other half is not looked at. */
template <typename T, typename Trsv, typename Trmv, typename Symv, typename Syrk>
static void halves(const char *name, double unit, int n, Trsv trsv, Trmv trmv, Symv symv, Syrk syrk)
{
	array<T> a((size_t)n * n), x(n), y(n), c((size_t)n * n);
	T alpha = (T)0.75, beta = (T)-0.25;

	a.fill();
	for (int j = 0; j < n; j++)
		for (int i = 0; i < n; i++)
			a[i + (size_t)j * n] = i == j ? (T)2 + a[i + (size_t)j * n] / 2 : a[i + (size_t)j * n] / n;
	a.push();
	for (auto uplo : {rocblas_fill_upper, rocblas_fill_lower}) {
		auto in_half = [&](int row, int column) { return uplo == rocblas_fill_upper ? row <= column : row >= column; };
		auto at = [&](int row, int column) { return (double)a[row + (size_t)column * n]; };
		const char *half = uplo == rocblas_fill_upper ? "upper" : "lower";

		for (auto op : {rocblas_operation_none, rocblas_operation_transpose}) {
			/* op(A) times v, of A's half. */
			auto times = [&](const std::vector<T> &v, int i) {
				double sum = 0;

				for (int k = 0; k < n; k++) {
					int row = op == rocblas_operation_none ? i : k, column = op == rocblas_operation_none ? k : i;

					if (in_half(row, column))
						sum += at(row, column) * (double)v[k];
				}
				return sum;
			};
			double off = 0;

			x.fill();
			std::vector<T> before = x.host;
			CHECK(trmv(handle, uplo, op, rocblas_diagonal_non_unit, n, a.gpu, n, x.gpu, 1));
			x.pull();
			for (int i = 0; i < n; i++)
				off = farther(off, (double)x[i], times(before, i));
			tap(off < unit * 32, "%strmv %s %c %d: off by %.2g", name, half, letter(op), n, off);
			before = x.host;
			off = 0;
			CHECK(trsv(handle, uplo, op, rocblas_diagonal_non_unit, n, a.gpu, n, x.gpu, 1));
			x.pull();
			for (int i = 0; i < n; i++)
				off = farther(off, (double)before[i], times(x.host, i));
			tap(off < unit * 32, "%strsv %s %c %d: off by %.2g", name, half, letter(op), n, off);
		}
		auto symmetric = [&](int i, int j) { return in_half(i, j) ? at(i, j) : at(j, i); };
		double off = 0;

		x.fill();
		y.fill();
		std::vector<T> before = y.host;
		CHECK(symv(handle, uplo, n, &alpha, a.gpu, n, x.gpu, 1, &beta, y.gpu, 1));
		y.pull();
		for (int i = 0; i < n; i++) {
			double sum = 0;

			for (int k = 0; k < n; k++)
				sum += symmetric(i, k) * (double)x[k];
			off = farther(off, (double)y[i], alpha * sum + beta * (double)before[i]);
		}
		tap(off < unit * 32, "%ssymv %s %d: off by %.2g", name, half, n, off);

		c.fill();
		before = c.host;
		off = 0;
		bool kept = true;
		CHECK(syrk(handle, uplo, rocblas_operation_none, n, n, &alpha, a.gpu, n, &beta, c.gpu, n));
		c.pull();
		for (int j = 0; j < n; j++) {
			for (int i = 0; i < n; i++) {
				double sum = 0;

				if (!in_half(i, j)) {
					kept &= c[i + (size_t)j * n] == before[i + (size_t)j * n];
					continue;
				}
				for (int k = 0; k < n; k++)
					sum += at(i, k) * at(j, k);
				off = farther(off, (double)c[i + (size_t)j * n], alpha * sum + beta * (double)before[i + (size_t)j * n]);
			}
		}
		tap(off < unit * 64 && kept, "%ssyrk %s %d: off by %.2g%s", name, half, n, off, kept ? "" : ", wrote to the other half");
	}
}

int main(int argc, char **argv)
{
	bool all = !quick(argc, argv);

	CHECK(rocblas_create_handle(&handle));
	for (int n : {63, 1, 500}) {
		vectors<float>("s", 0x1p-22, n, rocblas_saxpy, rocblas_sdot, rocblas_snrm2, rocblas_sasum, rocblas_sscal, rocblas_isamax, rocblas_sgemv, rocblas_sger);
		vectors<double>("d", 0x1p-51, n, rocblas_daxpy, rocblas_ddot, rocblas_dnrm2, rocblas_dasum, rocblas_dscal, rocblas_idamax, rocblas_dgemv, rocblas_dger);
		if (!all)
			break;
	}
	gemms(all);
	batched<float>("sgemm_strided_batched", rocblas_sgemm_strided_batched, 0x1p-22);
	if (all) {
		mixed();
		batched<double>("dgemm_strided_batched", rocblas_dgemm_strided_batched, 0x1p-51);
		by_pointers<float>("sgemm_batched", rocblas_sgemm_batched, 0x1p-22);
		by_pointers<double>("dgemm_batched", rocblas_dgemm_batched, 0x1p-51);
		halves<float>("s", 0x1p-22, 75, rocblas_strsv, rocblas_strmv, rocblas_ssymv, rocblas_ssyrk);
		halves<double>("d", 0x1p-51, 130, rocblas_dtrsv, rocblas_dtrmv, rocblas_dsymv, rocblas_dsyrk);
		for (auto uplo : {rocblas_fill_upper, rocblas_fill_lower}) {
			for (auto op : {rocblas_operation_none, rocblas_operation_transpose}) {
				solve<float>("s", 0x1p-23, rocblas_strsm, uplo, op, 70, 9);
				solve<double>("d", 0x1p-52, rocblas_dtrsm, uplo, op, 150, 20);
			}
		}
	}
	CHECK(rocblas_destroy_handle(handle));
	return tap_end();
}
