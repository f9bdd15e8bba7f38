// SPDX-License-Identifier: MIT
/*
 * rocsolver - rocSOLVER's factorizations and solvers against LAPACK (OpenBLAS's), and by what they leave over: LU with pivots, Cholesky, QR, least squares,
 * inverses, symmetric eigenvalues, singular values.
 */
#include <rocsolver/rocsolver.h>

#include <algorithm>
#include <type_traits>

#include "tests/libraries/library.h"

static rocblas_handle handle;

#define EITHER(name) \
	template <typename... A> static rocblas_status name(float, A... a) { return rocsolver_s##name(a...); } \
	template <typename... A> static rocblas_status name(double, A... a) { return rocsolver_d##name(a...); }
EITHER(getrf)
EITHER(getrs)
EITHER(gesv)
EITHER(getri)
EITHER(getrf_strided_batched)
EITHER(potrf)
EITHER(potrs)
EITHER(geqrf)
EITHER(orgqr)
EITHER(gels)
EITHER(syev)
EITHER(gesvd)

/* LAPACK, by its Fortran names. */
extern "C" {
void dgetrf_(const int *, const int *, double *, const int *, int *, int *);
void dpotrf_(const char *, const int *, double *, const int *, int *, size_t);
void dsyev_(const char *, const char *, const int *, double *, const int *, double *, double *, const int *, int *, size_t, size_t);
void dgesvd_(const char *, const char *, const int *, const int *, double *, const int *, double *, double *, const int *, double *, const int *, double *, const int *, int *, size_t, size_t);
void dgels_(const char *, const int *, const int *, const int *, double *, const int *, double *, const int *, double *, const int *, int *, size_t);
}

template <typename T> static double unit()
{
	return sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
}
template <typename T> static const char *word()
{
	return sizeof(T) == 4 ? "single" : "double";
}

static std::vector<double> wide(const std::vector<float> &v) { return {v.begin(), v.end()}; }
static std::vector<double> wide(const std::vector<double> &v) { return v; }

/* The largest |(AB - C)| of m x k by k x n, column by column. */
template <typename C> static double left_over(int m, int n, int k, const std::vector<double> &a, const std::vector<double> &b, C want)
{
	double off = 0;

	for (int j = 0; j < n; j++) {
		for (int i = 0; i < m; i++) {
			double sum = 0;

			for (int l = 0; l < k; l++)
				sum += a[i + (size_t)l * m] * b[l + (size_t)j * k];
			off = farther(off, sum, want(i, j));
		}
	}
	return off;
}

/* A = PLU: rows exchanged as the pivots tell, L and U multiplied. Where the pivots are the largest of their columns, no multiplier is larger than 1. */
template <typename T> static bool is_lu(int m, int n, const std::vector<T> &before, const std::vector<T> &after, const int *pivots, bool largest, double &off)
{
	int k = std::min(m, n);
	std::vector<double> l((size_t)m * k), u((size_t)k * n), rows = wide(before);

	for (int i = 0; i < k; i++) {
		if (pivots[i] < i + 1 || pivots[i] > m) {
			off = INFINITY;
			return false;
		}
		for (int j = 0; j < n; j++)
			std::swap(rows[i + (size_t)j * m], rows[pivots[i] - 1 + (size_t)j * m]);
	}
	for (int j = 0; j < k; j++)
		for (int i = j; i < m; i++)
			l[i + (size_t)j * m] = i == j ? 1 : (double)after[i + (size_t)j * m];
	for (int j = 0; j < n; j++)
		for (int i = 0; i <= std::min(j, k - 1); i++)
			u[i + (size_t)j * k] = (double)after[i + (size_t)j * m];
	bool small = std::all_of(l.begin(), l.end(), [](double x) { return std::fabs(x) <= 1 + 4 * unit<T>(); });
	off = left_over(m, n, k, l, u, [&](int i, int j) { return rows[i + (size_t)j * m]; }) / (unit<T>() * 8 * (8 + k));
	if (largest && !small)
		printf("# a multiplier is %a\n", *std::max_element(l.begin(), l.end(), [](double a, double b) { return std::fabs(a) < std::fabs(b); }));
	return off < 1 && (small || !largest);
}

/*
 * What rocSOLVER 5.5's kernel for narrow panels does with a, to the last bit. Its pivots are not always the largest of their columns: a thread for each row finds
 * them by halves, in LDS, each comparing what it keeps of its own row in a register. That of the pivot's row is not told that its row was exchanged, unless it is
 * the next: it compares with the pivot before, and where that is larger, all the rows that it stands for are passed over. So a multiplier may be larger than 1, with
 * no bound on it. The row that was exchanged is updated without contraction, the others with it.
 */
template <typename T> static void panel_lu(int m, int n, std::vector<T> &a, std::vector<int> &pivots)
{
	int threads = 8;

	while (threads < m)
		threads *= 2;
	std::vector<T> lds(threads), own(threads);
	std::vector<int> row(threads);
	auto at = [&](int i, int j) -> T & { return a[i + (size_t)j * m]; };

	for (int k = 0, stale = -1; k < n; k++) {
		for (int i = 0; i < threads; i++) {
			row[i] = i;
			lds[i] = i >= k && i < m ? std::fabs(at(i, k)) : 0;
			if (i != stale)
				own[i] = lds[i];
		}
		for (int half = threads / 2; half > 0; half /= 2) {
			for (int i = 0; i < half; i++) {
				T other = lds[i + half];

				if (own[i] < other || (own[i] == other && row[i] > row[i + half])) {
					own[i] = lds[i] = other;
					row[i] = row[i + half];
				}
			}
		}
		int p = row[0];
		bool exchanged = p != k;
		T scale = 1 / at(p, k);

		pivots[k] = p + 1;
		stale = p > k + 1 ? p : -1;
		for (int j = 0; j < n && exchanged; j++)
			std::swap(at(p, j), at(k, j));
		for (int i = k + 1; i < m; i++) {
			at(i, k) *= scale;
			for (int j = k + 1; j < n; j++)
				at(i, j) = i == p ? at(i, j) - at(i, k) * at(k, j) : std::fma(-at(i, k), at(k, j), at(i, j));
		}
	}
}

/* How rocSOLVER 5.5 factorizes a matrix of this size: with panel_lu's kernel, with others that take the largest of a column, or in blocks that are panels. */
enum way { PANEL, LARGEST, BLOCKS };

template <typename T> static void lu(int m, int n, enum way way)
{
	array<T> a((size_t)m * n);
	array<int> pivots(std::min(m, n)), info(1);
	std::vector<int> want(std::min(m, n));
	double off;
	int e;

	a.fill();
	std::vector<T> before = a.host, panel = before;
	std::vector<double> reference = wide(before);
	if (way == PANEL)
		panel_lu(m, n, panel, want);
	else
		dgetrf_(&m, &n, reference.data(), &m, want.data(), &e);
	CHECK(getrf(T(), handle, m, n, a.gpu, m, pivots.gpu, info.gpu));
	a.pull();
	pivots.pull();
	info.pull();
	bool good = is_lu(m, n, before, a.host, pivots.host.data(), way == LARGEST, off) && info[0] == 0;
	if (way == PANEL) {
		tap(good && pivots.host == want && a.host == panel, "getrf %dx%d, %s: %.3f of the error allowed, %s", m, n, word<T>(), off,
		    a.host == panel ? "the kernel's to the last bit" : "not the kernel's");
		return;
	}
	tap(good && (pivots.host == want || way == BLOCKS), "getrf %dx%d, %s: %.3f of the error allowed, pivots %s", m, n, word<T>(), off, pivots.host == want ? "LAPACK's" : "others than LAPACK's");
}

template <typename T> static void lu_solve(int n, int columns)
{
	array<T> a((size_t)n * n), b((size_t)n * columns), inverse((size_t)n * n);
	array<int> pivots(n), info(1);
	std::vector<double> full, right;
	double off;

	a.fill();
	for (int i = 0; i < n; i++)
		a[i + (size_t)i * n] += (T)(n / 4 + 2);
	a.push();
	b.fill();
	full = wide(a.host);
	right = wide(b.host);
	std::vector<T> before = a.host;
	CHECK(getrf(T(), handle, n, n, a.gpu, n, pivots.gpu, info.gpu));
	for (auto op : {rocblas_operation_none, rocblas_operation_transpose}) {
		for (size_t i = 0; i < b.size(); i++)
			b[i] = (T)right[i];
		b.push();
		CHECK(getrs(T(), handle, op, n, columns, a.gpu, n, pivots.gpu, b.gpu, n));
		b.pull();
		std::vector<double> turned = full;
		if (op == rocblas_operation_transpose)
			for (int i = 0; i < n; i++)
				for (int j = 0; j < n; j++)
					turned[i + (size_t)j * n] = full[j + (size_t)i * n];
		off = left_over(n, columns, n, turned, wide(b.host), [&](int i, int j) { return right[i + (size_t)j * n]; });
		tap(off < unit<T>() * 16 * n, "getrs %s %d, %d columns, %s: off by %.2g", op == rocblas_operation_none ? "N" : "T", n, columns, word<T>(), off);
	}
	CHECK(getri(T(), handle, n, a.gpu, n, pivots.gpu, info.gpu));
	a.pull();
	off = left_over(n, n, n, full, wide(a.host), [](int i, int j) { return i == j; });
	tap(off < unit<T>() * 16 * n, "getri %d, %s: off by %.2g", n, word<T>(), off);

	a.host = before;
	a.push();
	for (size_t i = 0; i < b.size(); i++)
		b[i] = (T)right[i];
	b.push();
	CHECK(gesv(T(), handle, n, columns, a.gpu, n, pivots.gpu, b.gpu, n, info.gpu));
	b.pull();
	info.pull();
	off = left_over(n, columns, n, full, wide(b.host), [&](int i, int j) { return right[i + (size_t)j * n]; });
	tap(off < unit<T>() * 16 * n && info[0] == 0, "gesv %d, %d columns, %s: off by %.2g", n, columns, word<T>(), off);
}

template <typename T> static void batch(int n, int count)
{
	array<T> a((size_t)n * n * count);
	array<int> pivots(n * count), info(count);
	double worst = 0;
	bool good = true;

	a.fill();
	/* The second is singular: its info tells the column. */
	for (int i = 0; i < n; i++)
		a[(size_t)n * n + i + (size_t)(n - 1) * n] = 0;
	a.push();
	std::vector<T> before = a.host;
	CHECK(getrf_strided_batched(T(), handle, n, n, a.gpu, n, (rocblas_stride)n * n, pivots.gpu, (rocblas_stride)n, info.gpu, count));
	a.pull();
	pivots.pull();
	info.pull();
	for (int i = 0; i < count; i++) {
		size_t at = (size_t)n * n * i;
		double off;

		good &= is_lu(n, n, std::vector<T>(&before[at], &before[at] + n * n), std::vector<T>(&a[at], &a[at] + n * n), &pivots[n * i], true, off) && info[i] == (i == 1 ? n : 0);
		worst = std::fmax(worst, off);
	}
	tap(good, "getrf_strided_batched %d of %d, %s: %.3f of the error allowed", count, n, word<T>(), worst);
}

template <typename T> static void cholesky(int n, int columns)
{
	array<T> g((size_t)n * n), b((size_t)n * columns);
	std::vector<double> full((size_t)n * n), right, reference;
	array<int> info(1);
	double off;
	int e;

	g.fill();
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < n; j++) {
			for (int k = 0; k < n; k++)
				full[i + (size_t)j * n] += (double)g[i + (size_t)k * n] * (double)g[j + (size_t)k * n] / n;
			full[i + (size_t)j * n] += i == j;
		}
	}
	b.fill();
	right = wide(b.host);
	for (auto fill : {rocblas_fill_lower, rocblas_fill_upper}) {
		bool lower = fill == rocblas_fill_lower;

		for (size_t i = 0; i < g.size(); i++)
			g[i] = (T)full[i];
		g.push();
		reference = wide(g.host);
		dpotrf_(lower ? "L" : "U", &n, reference.data(), &n, &e, 1);
		CHECK(potrf(T(), handle, fill, n, g.gpu, n, info.gpu));
		g.pull();
		info.pull();
		off = 0;
		for (int j = 0; j < n; j++)
			for (int i = lower ? j : 0; i < (lower ? n : j + 1); i++)
				off = farther(off, (double)g[i + (size_t)j * n], reference[i + (size_t)j * n]);
		tap(off < unit<T>() * 8 * (n + 8) && info[0] == 0, "potrf %s %d, %s: off by %.2g", lower ? "L" : "U", n, word<T>(), off);
		for (size_t i = 0; i < b.size(); i++)
			b[i] = (T)right[i];
		b.push();
		CHECK(potrs(T(), handle, fill, n, columns, g.gpu, n, b.gpu, n));
		b.pull();
		off = left_over(n, columns, n, full, wide(b.host), [&](int i, int j) { return right[i + (size_t)j * n]; });
		tap(off < unit<T>() * 16 * (n + 8), "potrs %s %d, %s: off by %.2g", lower ? "L" : "U", n, word<T>(), off);
	}
	/* A matrix that is not positive definite: where it shows. */
	for (size_t i = 0; i < g.size(); i++)
		g[i] = (T)full[i];
	g[n / 2 + (size_t)(n / 2) * n] = -9;
	g.push();
	CHECK(potrf(T(), handle, rocblas_fill_lower, n, g.gpu, n, info.gpu));
	info.pull();
	tap(info[0] == n / 2 + 1, "potrf tells an indefinite matrix %d, %s", n, word<T>());
}

template <typename T> static void qr(int m, int n)
{
	array<T> a((size_t)m * n), tau(n);
	std::vector<double> full, q, r((size_t)n * n), qt((size_t)n * m);
	double off, across;

	a.fill();
	full = wide(a.host);
	CHECK(geqrf(T(), handle, m, n, a.gpu, m, tau.gpu));
	a.pull();
	for (int j = 0; j < n; j++)
		for (int i = 0; i <= j; i++)
			r[i + (size_t)j * n] = (double)a[i + (size_t)j * m];
	CHECK(orgqr(T(), handle, m, n, n, a.gpu, m, tau.gpu));
	a.pull();
	q = wide(a.host);
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++)
			qt[j + (size_t)i * n] = q[i + (size_t)j * m];
	off = left_over(m, n, n, q, r, [&](int i, int j) { return full[i + (size_t)j * m]; });
	across = left_over(n, n, m, qt, q, [](int i, int j) { return i == j; });
	tap(off < unit<T>() * 16 * (m + 8) && across < unit<T>() * 8 * (m + 8), "geqrf and orgqr %dx%d, %s: off by %.2g, from orthogonal by %.2g", m, n, word<T>(), off, across);
}

template <typename T> static void least_squares(int m, int n)
{
	array<T> a((size_t)m * n), b(m);
	array<int> info(1);
	std::vector<double> ra, rb, work(4096);
	const int one = 1, room = (int)work.size();
	double off = 0;
	int e;

	a.fill();
	for (int i = 0; i < n; i++)
		a[i + (size_t)i * m] += 3;
	a.push();
	b.fill();
	ra = wide(a.host);
	rb = wide(b.host);
	dgels_("N", &m, &n, &one, ra.data(), &m, rb.data(), &m, work.data(), &room, &e, 1);
	CHECK(gels(T(), handle, rocblas_operation_none, m, n, 1, a.gpu, m, b.gpu, m, info.gpu));
	b.pull();
	for (int i = 0; i < n; i++)
		off = farther(off, (double)b[i], rb[i]);
	tap(off < unit<T>() * 32 * (m + 8), "gels %dx%d, %s: off by %.2g", m, n, word<T>(), off);
}

template <typename T> static void eigenvalues(int n)
{
	array<T> a((size_t)n * n), d(n), e(n);
	array<int> info(1);
	std::vector<double> full, want(n), work(64 * n + 64), vectors, scaled((size_t)n * n);
	const int room = (int)work.size();
	double off = 0, over;
	int err;

	a.fill();
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			a[i + (size_t)j * n] = a[j + (size_t)i * n];
	a.push();
	full = wide(a.host);
	std::vector<double> reference = full;
	dsyev_("N", "L", &n, reference.data(), &n, want.data(), work.data(), &room, &err, 1, 1);
	CHECK(syev(T(), handle, rocblas_evect_original, rocblas_fill_lower, n, a.gpu, n, d.gpu, e.gpu, info.gpu));
	a.pull();
	d.pull();
	info.pull();
	for (int i = 0; i < n; i++)
		off = farther(off, (double)d[i], want[i]);
	vectors = wide(a.host);
	for (int j = 0; j < n; j++)
		for (int i = 0; i < n; i++)
			scaled[i + (size_t)j * n] = vectors[i + (size_t)j * n] * (double)d[j];
	over = left_over(n, n, n, full, vectors, [&](int i, int j) { return scaled[i + (size_t)j * n]; });
	tap(off < unit<T>() * 32 * (n + 8) && over < unit<T>() * 64 * (n + 8) && info[0] == 0, "syev %d, %s: values off by %.2g, AV - VD %.2g", n, word<T>(), off, over);
}

template <typename T> static void singular_values(int m, int n)
{
	int k = std::min(m, n), one = 1, err;
	array<T> a((size_t)m * n), s(k), u((size_t)m * k), v((size_t)k * n), e(k);
	array<int> info(1);
	std::vector<double> full, want(k), work(64 * (m + n)), us((size_t)m * k);
	const int room = (int)work.size();
	double off = 0, over;

	a.fill();
	full = wide(a.host);
	std::vector<double> reference = full;
	dgesvd_("N", "N", &m, &n, reference.data(), &m, want.data(), NULL, &one, NULL, &one, work.data(), &room, &err, 1, 1);
	CHECK(gesvd(T(), handle, rocblas_svect_singular, rocblas_svect_singular, m, n, a.gpu, m, s.gpu, u.gpu, m, v.gpu, k, e.gpu, rocblas_outofplace, info.gpu));
	s.pull();
	u.pull();
	v.pull();
	info.pull();
	for (int i = 0; i < k; i++)
		off = farther(off, (double)s[i], want[i]);
	for (int j = 0; j < k; j++)
		for (int i = 0; i < m; i++)
			us[i + (size_t)j * m] = (double)u[i + (size_t)j * m] * (double)s[j];
	over = left_over(m, n, k, us, wide(v.host), [&](int i, int j) { return full[i + (size_t)j * m]; });
	tap(off < unit<T>() * 32 * (m + n) && over < unit<T>() * 64 * (m + n) && info[0] == 0, "gesvd %dx%d, %s: values off by %.2g, USV - A %.2g", m, n, word<T>(), off, over);
}

int main(int argc, char **argv)
{
	bool all = !quick(argc, argv);

	CHECK(rocblas_create_handle(&handle));
	lu<float>(60, 60, PANEL);
	lu_solve<double>(40, 3);
	cholesky<float>(50, 2);
	qr<double>(45, 30);
	if (all) {
		lu<double>(60, 60, PANEL);
		lu<double>(1, 1, LARGEST);
		lu<double>(33, 70, LARGEST);
		lu<double>(150, 64, PANEL);
		lu<float>(130, 32, PANEL);
		lu<double>(200, 56, PANEL);
		lu<double>(200, 200, BLOCKS);
		lu_solve<float>(40, 3);
		lu_solve<double>(100, 10);
		batch<float>(20, 6);
		batch<double>(37, 5);
		cholesky<double>(50, 2);
		cholesky<double>(130, 5);
		qr<float>(45, 30);
		qr<double>(100, 70);
		least_squares<float>(60, 20);
		least_squares<double>(80, 30);
		eigenvalues<float>(12);
		eigenvalues<double>(40);
		singular_values<float>(20, 12);
		singular_values<double>(24, 30);
	}
	CHECK(rocblas_destroy_handle(handle));
	return tap_end();
}
