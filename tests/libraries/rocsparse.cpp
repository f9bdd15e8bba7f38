// SPDX-License-Identifier: MIT
/*
 * rocsparse - rocSPARSE against plain loops on the CPU: conversions between formats, sorting, products with vectors, dense and sparse matrices, sums, triangular
 * solves (whose work-groups wait for one another) and incomplete factors.
 */
#include <rocsparse/rocsparse.h>

#include <algorithm>

#include "tests/libraries/library.h"

static rocsparse_handle handle;

/* One name for both precisions. */
#define EITHER(name) \
	template <typename... A> static rocsparse_status name(float, A... a) { return rocsparse_s##name(a...); } \
	template <typename... A> static rocsparse_status name(double, A... a) { return rocsparse_d##name(a...); }
EITHER(csrmv)
EITHER(csrmv_analysis)
EITHER(csrmm)
EITHER(coomv)
EITHER(csr2csc)
EITHER(csr2ell)
EITHER(ellmv)
EITHER(csrgemm_buffer_size)
EITHER(csrgemm)
EITHER(csrgeam)
EITHER(csrsv_buffer_size)
EITHER(csrsv_analysis)
EITHER(csrsv_solve)
EITHER(csrilu0_buffer_size)
EITHER(csrilu0_analysis)
EITHER(csrilu0)
EITHER(nnz)
EITHER(dense2csr)
EITHER(csr2dense)
EITHER(axpyi)
EITHER(gthr)

struct description {
	rocsparse_mat_descr d;
	description() { CHECK(rocsparse_create_mat_descr(&d)); }
	~description() { rocsparse_destroy_mat_descr(d); }
	operator rocsparse_mat_descr() const { return d; }
};

struct information {
	rocsparse_mat_info i;
	information() { CHECK(rocsparse_create_mat_info(&i)); }
	~information() { rocsparse_destroy_mat_info(i); }
	operator rocsparse_mat_info() const { return i; }
};

template <typename T> struct csr {
	int m, n, nnz;
	array<int> rows, columns;
	array<T> values;

	csr(int m, int n, int nnz) : m(m), n(n), nnz(nnz), rows(m + 1), columns(nnz), values(nnz) {}
	csr(const csr &) = delete;
	void pull()
	{
		rows.pull();
		columns.pull();
		values.pull();
	}
	std::vector<double> dense() const
	{
		std::vector<double> d((size_t)m * n);

		for (int i = 0; i < m; i++)
			for (int k = rows[i]; k < rows[i + 1]; k++)
				d[(size_t)i * n + columns[k]] += (double)values[k];
		return d;
	}
};

/* Rows of uneven length: most of a few entries, one in 16 up to as long as a row can be, some empty. diagonal: each has its own, large enough to divide by. */
template <typename T> static csr<T> *matrix(int m, int n, bool diagonal = false)
{
	std::vector<int> rows{0}, columns;
	csr<T> *a;

	for (int i = 0; i < m; i++) {
		int wish = below(16) ? (int)below(7) : (int)below(n), at = (int)columns.size();
		std::vector<int> row;

		for (int k = 0; k < wish; k++)
			row.push_back((int)below(n));
		if (diagonal)
			row.push_back(i);
		std::sort(row.begin(), row.end());
		row.erase(std::unique(row.begin(), row.end()), row.end());
		columns.insert(columns.begin() + at, row.begin(), row.end());
		rows.push_back((int)columns.size());
	}
	a = new csr<T>(m, n, (int)columns.size());
	a->rows.host = rows;
	a->columns.host = columns;
	a->values.fill();
	if (diagonal)
		for (int i = 0; i < m; i++)
			for (int k = rows[i]; k < rows[i + 1]; k++)
				a->values[k] = columns[k] == i ? (T)2 + a->values[k] / 2 : a->values[k] / (T)(rows[i + 1] - rows[i]);
	a->rows.push();
	a->columns.push();
	a->values.push();
	return a;
}

template <typename T> static double unit()
{
	return sizeof(T) == 4 ? 0x1p-22 : 0x1p-51;
}
template <typename T> static const char *word()
{
	return sizeof(T) == 4 ? "single" : "double";
}

template <typename T> static void conversions(int m, int n)
{
	csr<T> *a = matrix<T>(m, n), *c = new csr<T>(m, n, a->nnz);
	csr<T> t(n, m, a->nnz);
	array<int> coo(a->nnz), back(m + 1), order(a->nnz), per_row(m);
	array<T> flat((size_t)m * n);
	std::vector<double> dense = a->dense();
	description descr;
	std::vector<int> want;
	size_t bytes;
	int total = 0;
	bool good = true;

	for (int i = 0; i < m; i++)
		want.insert(want.end(), a->rows[i + 1] - a->rows[i], i);
	CHECK(rocsparse_csr2coo(handle, a->rows.gpu, a->nnz, m, coo.gpu, rocsparse_index_base_zero));
	coo.pull();
	tap(coo.host == want, "csr2coo %dx%d, %s, %d entries", m, n, word<T>(), a->nnz);
	CHECK(rocsparse_coo2csr(handle, coo.gpu, a->nnz, m, back.gpu, rocsparse_index_base_zero));
	back.pull();
	tap(back.host == a->rows.host, "coo2csr %dx%d, %s", m, n, word<T>());

	CHECK(rocsparse_csr2csc_buffer_size(handle, m, n, a->nnz, a->rows.gpu, a->columns.gpu, rocsparse_action_numeric, &bytes));
	{
		array<char> buffer(bytes);
		CHECK(csr2csc(T(), handle, m, n, a->nnz, (const T *)a->values.gpu, (const int *)a->rows.gpu, (const int *)a->columns.gpu, t.values.gpu, t.columns.gpu, t.rows.gpu,
			      rocsparse_action_numeric, rocsparse_index_base_zero, (void *)buffer.gpu));
		t.pull();
	}
	std::vector<double> turned = t.dense();
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++)
			good &= turned[(size_t)j * m + i] == dense[(size_t)i * n + j];
	for (int j = 0; j < n; j++)
		good &= std::is_sorted(t.columns.host.begin() + t.rows[j], t.columns.host.begin() + t.rows[j + 1]);
	tap(good, "csr2csc %dx%d, %s", m, n, word<T>());

	/* Columns out of order are brought back, and the permutation tells how. */
	csr<T> mixed(m, n, a->nnz);
	mixed.columns.host = a->columns.host;
	for (int i = 0; i < m; i++)
		for (int k = a->rows[i + 1] - a->rows[i]; k > 1; k--)
			std::swap(mixed.columns[a->rows[i] + k - 1], mixed.columns[a->rows[i] + below(k)]);
	want = mixed.columns.host;
	mixed.columns.push();
	CHECK(rocsparse_create_identity_permutation(handle, a->nnz, order.gpu));
	CHECK(rocsparse_csrsort_buffer_size(handle, m, n, a->nnz, a->rows.gpu, mixed.columns.gpu, &bytes));
	{
		array<char> buffer(bytes);
		CHECK(rocsparse_csrsort(handle, m, n, a->nnz, descr, a->rows.gpu, mixed.columns.gpu, order.gpu, buffer.gpu));
		mixed.columns.pull();
		order.pull();
	}
	good = mixed.columns.host == a->columns.host;
	for (int k = 0; k < a->nnz; k++)
		good &= order[k] >= 0 && order[k] < a->nnz && want[order[k]] == a->columns[k];
	tap(good, "csrsort %dx%d", m, n);

	CHECK(csr2dense(T(), handle, m, n, descr.d, (const T *)a->values.gpu, (const int *)a->rows.gpu, (const int *)a->columns.gpu, flat.gpu, m));
	flat.pull();
	good = true;
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++)
			good &= (double)flat[i + (size_t)j * m] == dense[(size_t)i * n + j];
	tap(good, "csr2dense %dx%d, %s", m, n, word<T>());
	CHECK(nnz(T(), handle, rocsparse_direction_row, m, n, descr.d, (const T *)flat.gpu, m, per_row.gpu, &total));
	if (total <= a->nnz) {
		CHECK(dense2csr(T(), handle, m, n, descr.d, (const T *)flat.gpu, m, (const int *)per_row.gpu, c->values.gpu, c->rows.gpu, c->columns.gpu));
		c->pull();
	}
	tap(total == a->nnz - (int)std::count(a->values.host.begin(), a->values.host.end(), (T)0) && c->dense() == dense, "nnz and dense2csr %dx%d, %s", m, n, word<T>());
	delete a;
	delete c;
}

template <typename T> static void vectors(int m, int n)
{
	csr<T> *a = matrix<T>(m, n);
	description descr;
	information info;
	array<T> x(n), y(m), z(n);
	std::vector<double> dense = a->dense();
	T alpha = (T)0.75, beta = (T)-0.5;
	int width, longest = 0, count;
	auto right = [&](const char *what, const std::vector<T> &before) {
		double off = 0;

		y.pull();
		for (int i = 0; i < m; i++) {
			double sum = 0;

			for (int j = 0; j < n; j++)
				sum += dense[(size_t)i * n + j] * (double)x[j];
			off = farther(off, (double)y[i], alpha * sum + beta * (double)before[i]);
		}
		tap(off < unit<T>() * (20 + count), "%s %dx%d, %s: off by %.2g", what, m, n, word<T>(), off);
	};

	for (int i = 0; i < m; i++)
		if (a->rows[i + 1] - a->rows[i] > a->rows[longest + 1] - a->rows[longest])
			longest = i;
	count = a->rows[longest + 1] - a->rows[longest];
	x.fill();
	y.fill();
	std::vector<T> before = y.host;
	CHECK(csrmv(T(), handle, rocsparse_operation_none, m, n, a->nnz, &alpha, descr.d, (const T *)a->values.gpu, (const int *)a->rows.gpu, (const int *)a->columns.gpu,
		    (rocsparse_mat_info) nullptr, (const T *)x.gpu, &beta, y.gpu));
	right("csrmv", before);
	/* With an analysis rows are spread by their lengths. */
	CHECK(csrmv_analysis(T(), handle, rocsparse_operation_none, m, n, a->nnz, descr.d, (const T *)a->values.gpu, (const int *)a->rows.gpu, (const int *)a->columns.gpu, info.i));
	before = y.host;
	CHECK(csrmv(T(), handle, rocsparse_operation_none, m, n, a->nnz, &alpha, descr.d, (const T *)a->values.gpu, (const int *)a->rows.gpu, (const int *)a->columns.gpu, info.i,
		    (const T *)x.gpu, &beta, y.gpu));
	right("csrmv, analysed,", before);

	array<int> coo(a->nnz);
	CHECK(rocsparse_csr2coo(handle, a->rows.gpu, a->nnz, m, coo.gpu, rocsparse_index_base_zero));
	before = y.host;
	CHECK(coomv(T(), handle, rocsparse_operation_none, m, n, a->nnz, &alpha, descr.d, (const T *)a->values.gpu, (const int *)coo.gpu, (const int *)a->columns.gpu, (const T *)x.gpu, &beta,
		    y.gpu));
	right("coomv", before);

	CHECK(rocsparse_csr2ell_width(handle, m, descr, a->rows.gpu, descr, &width));
	tap(width == count, "csr2ell_width %dx%d: %d", m, n, width);
	array<int> ell((size_t)m * count);
	array<T> padded((size_t)m * count);
	CHECK(csr2ell(T(), handle, m, descr.d, (const T *)a->values.gpu, (const int *)a->rows.gpu, (const int *)a->columns.gpu, descr.d, count, padded.gpu, ell.gpu));
	before = y.host;
	CHECK(ellmv(T(), handle, rocsparse_operation_none, m, n, &alpha, descr.d, (const T *)padded.gpu, (const int *)ell.gpu, count, (const T *)x.gpu, &beta, y.gpu));
	if (count) /* else it leaves y alone */
		right("csr2ell and ellmv", before);

	/* Level 1: one row as a sparse vector. */
	z.fill();
	std::vector<T> was = z.host;
	array<T> picked(count);
	CHECK(axpyi(T(), handle, count, &alpha, (const T *)a->values.gpu + a->rows[longest], (const int *)a->columns.gpu + a->rows[longest], z.gpu, rocsparse_index_base_zero));
	CHECK(gthr(T(), handle, count, (const T *)z.gpu, picked.gpu, (const int *)a->columns.gpu + a->rows[longest], rocsparse_index_base_zero));
	z.pull();
	picked.pull();
	double off = 0;
	for (int j = 0; j < n; j++)
		off = farther(off, (double)z[j], (double)was[j] + alpha * dense[(size_t)longest * n + j]);
	bool good = true;
	for (int k = 0; k < count; k++)
		good &= picked[k] == z[a->columns[a->rows[longest] + k]];
	tap(off < unit<T>() * 2 && good, "axpyi and gthr of %d, %s: off by %.2g", count, word<T>(), off);
	delete a;
}

template <typename T> static void dense_products(int m, int k, int columns)
{
	csr<T> *a = matrix<T>(m, k);
	description descr;
	array<T> b((size_t)k * columns), c((size_t)m * columns);
	std::vector<double> dense = a->dense();
	T alpha = (T)-0.625, beta = (T)0.25;
	double off;

	b.fill();
	for (auto op : {rocsparse_operation_none, rocsparse_operation_transpose}) {
		bool plain = op == rocsparse_operation_none;

		c.fill();
		std::vector<T> before = c.host;
		CHECK(csrmm(T(), handle, rocsparse_operation_none, op, m, columns, k, a->nnz, &alpha, descr.d, (const T *)a->values.gpu, (const int *)a->rows.gpu, (const int *)a->columns.gpu,
			    (const T *)b.gpu, plain ? k : columns, &beta, c.gpu, m));
		c.pull();
		off = 0;
		for (int j = 0; j < columns; j++) {
			for (int i = 0; i < m; i++) {
				double sum = 0;

				for (int l = 0; l < k; l++)
					sum += dense[(size_t)i * k + l] * (double)(plain ? b[l + (size_t)j * k] : b[j + (size_t)l * columns]);
				off = farther(off, (double)c[i + (size_t)j * m], alpha * sum + beta * (double)before[i + (size_t)j * m]);
			}
		}
		tap(off < unit<T>() * 40, "csrmm %s %dx%d by %d columns, %s: off by %.2g", plain ? "N" : "T", m, k, columns, word<T>(), off);
	}
	delete a;
}

template <typename T> static void sparse_products(int m, int k, int n)
{
	csr<T> *a = matrix<T>(m, k), *b = matrix<T>(k, n), *d = matrix<T>(m, n);
	description da, db, dc, dd;
	information info;
	T alpha = (T)1.5, beta = (T)-0.25;
	array<int> rows(m + 1);
	std::vector<double> fa = a->dense(), fb = b->dense(), fd = d->dense();
	const rocsparse_operation N = rocsparse_operation_none;
	size_t bytes;
	int count = 0;
	double off = 0;
	auto largest = [&](const csr<T> &c, auto want) {
		std::vector<double> got = c.dense();

		off = 0;
		for (int i = 0; i < m; i++)
			for (int j = 0; j < n; j++)
				off = farther(off, got[(size_t)i * n + j], want(i, j));
		return off < unit<T>() * 60;
	};

	CHECK(csrgemm_buffer_size(T(), handle, N, N, m, n, k, &alpha, da.d, a->nnz, a->rows.gpu, a->columns.gpu, db.d, b->nnz, b->rows.gpu, b->columns.gpu, &beta, dd.d, d->nnz, d->rows.gpu,
				  d->columns.gpu, info.i, &bytes));
	array<char> buffer(bytes);
	CHECK(rocsparse_csrgemm_nnz(handle, N, N, m, n, k, da, a->nnz, a->rows.gpu, a->columns.gpu, db, b->nnz, b->rows.gpu, b->columns.gpu, dd, d->nnz, d->rows.gpu, d->columns.gpu, dc, rows.gpu,
				    &count, info, buffer.gpu));
	csr<T> c(m, n, count);
	CHECK(csrgemm(T(), handle, N, N, m, n, k, &alpha, da.d, a->nnz, a->values.gpu, a->rows.gpu, a->columns.gpu, db.d, b->nnz, b->values.gpu, b->rows.gpu, b->columns.gpu, &beta, dd.d, d->nnz,
		      d->values.gpu, d->rows.gpu, d->columns.gpu, dc.d, c.values.gpu, rows.gpu, c.columns.gpu, info.i, (void *)buffer.gpu));
	rows.pull();
	c.pull();
	c.rows.host = rows.host;
	bool good = rows[m] == count && largest(c, [&](int i, int j) {
			    double sum = beta * fd[(size_t)i * n + j];

			    for (int l = 0; l < k; l++)
				    sum += alpha * fa[(size_t)i * k + l] * fb[(size_t)l * n + j];
			    return sum;
		    });
	tap(good, "csrgemm with a sum, %dx%dx%d, %s, %d entries: off by %.2g", m, k, n, word<T>(), count, off);

	csr<T> *e = matrix<T>(m, n);
	std::vector<double> fe = e->dense();
	CHECK(rocsparse_csrgeam_nnz(handle, m, n, da, d->nnz, d->rows.gpu, d->columns.gpu, db, e->nnz, e->rows.gpu, e->columns.gpu, dc, rows.gpu, &count));
	csr<T> sum(m, n, count);
	CHECK(csrgeam(T(), handle, m, n, &alpha, da.d, d->nnz, d->values.gpu, d->rows.gpu, d->columns.gpu, &beta, db.d, e->nnz, e->values.gpu, e->rows.gpu, e->columns.gpu, dc.d, sum.values.gpu,
		      rows.gpu, sum.columns.gpu));
	rows.pull();
	sum.pull();
	sum.rows.host = rows.host;
	good = rows[m] == count && largest(sum, [&](int i, int j) { return alpha * fd[(size_t)i * n + j] + beta * fe[(size_t)i * n + j]; });
	tap(good, "csrgeam %dx%d, %s, %d entries: off by %.2g", m, n, word<T>(), count, off);
	delete a;
	delete b;
	delete d;
	delete e;
}

/* The solution, put back in, gives the right-hand side. */
template <typename T> static void solve(int m)
{
	csr<T> *a = matrix<T>(m, m, true);
	array<T> x(m), y(m);
	T alpha = 1;

	x.fill();
	for (auto fill : {rocsparse_fill_mode_lower, rocsparse_fill_mode_upper}) {
		description descr;
		information info;
		size_t bytes;
		double off = 0;

		CHECK(rocsparse_set_mat_fill_mode(descr, fill));
		CHECK(csrsv_buffer_size(T(), handle, rocsparse_operation_none, m, a->nnz, descr.d, a->values.gpu, a->rows.gpu, a->columns.gpu, info.i, &bytes));
		array<char> buffer(bytes);
		CHECK(csrsv_analysis(T(), handle, rocsparse_operation_none, m, a->nnz, descr.d, a->values.gpu, a->rows.gpu, a->columns.gpu, info.i, rocsparse_analysis_policy_force,
				     rocsparse_solve_policy_auto, (void *)buffer.gpu));
		CHECK(csrsv_solve(T(), handle, rocsparse_operation_none, m, a->nnz, &alpha, descr.d, a->values.gpu, a->rows.gpu, a->columns.gpu, info.i, x.gpu, y.gpu, rocsparse_solve_policy_auto,
				  (void *)buffer.gpu));
		y.pull();
		for (int i = 0; i < m; i++) {
			double sum = 0;

			for (int k = a->rows[i]; k < a->rows[i + 1]; k++)
				if (fill == rocsparse_fill_mode_lower ? a->columns[k] <= i : a->columns[k] >= i)
					sum += (double)a->values[k] * (double)y[a->columns[k]];
			off = farther(off, sum, (double)x[i]);
		}
		tap(off < unit<T>() * 40, "csrsv %s %d, %s: off by %.2g", fill == rocsparse_fill_mode_lower ? "lower" : "upper", m, word<T>(), off);
	}
	delete a;
}

/* Incomplete LU: the same factors as the loop that defines them. */
template <typename T> static void factors(int m)
{
	csr<T> *a = matrix<T>(m, m, true);
	std::vector<double> lu(a->values.host.begin(), a->values.host.end());
	description descr;
	information info;
	size_t bytes;
	double off = 0;

	for (int i = 0; i < m; i++) {
		for (int k = a->rows[i]; k < a->rows[i + 1] && a->columns[k] < i; k++) {
			int p = a->columns[k], q = a->rows[p], r = k + 1;

			while (a->columns[q] < p)
				q++;
			lu[k] /= lu[q++];
			while (q < a->rows[p + 1] && r < a->rows[i + 1]) {
				if (a->columns[q] == a->columns[r])
					lu[r++] -= lu[k] * lu[q++];
				else
					a->columns[q] < a->columns[r] ? q++ : r++;
			}
		}
	}
	CHECK(csrilu0_buffer_size(T(), handle, m, a->nnz, descr.d, a->values.gpu, a->rows.gpu, a->columns.gpu, info.i, &bytes));
	array<char> buffer(bytes);
	CHECK(csrilu0_analysis(T(), handle, m, a->nnz, descr.d, a->values.gpu, a->rows.gpu, a->columns.gpu, info.i, rocsparse_analysis_policy_force, rocsparse_solve_policy_auto,
			       (void *)buffer.gpu));
	CHECK(csrilu0(T(), handle, m, a->nnz, descr.d, a->values.gpu, a->rows.gpu, a->columns.gpu, info.i, rocsparse_solve_policy_auto, (void *)buffer.gpu));
	a->values.pull();
	for (int k = 0; k < a->nnz; k++)
		off = farther(off, (double)a->values[k], lu[k]);
	tap(off < unit<T>() * 40, "csrilu0 %d, %s: off by %.2g", m, word<T>(), off);
	delete a;
}

int main(int argc, char **argv)
{
	bool all = !quick(argc, argv);

	CHECK(rocsparse_create_handle(&handle));
	conversions<float>(90, 71);
	vectors<float>(130, 97);
	dense_products<float>(65, 40, 9);
	sparse_products<float>(50, 45, 60);
	solve<float>(100);
	if (all) {
		conversions<double>(1, 5);
		conversions<double>(300, 257);
		conversions<float>(64, 1000);
		vectors<double>(130, 97);
		vectors<double>(700, 1100);
		vectors<float>(1, 300);
		vectors<float>(900, 64);
		dense_products<double>(65, 40, 9);
		dense_products<float>(200, 150, 70);
		dense_products<double>(33, 300, 1);
		sparse_products<double>(50, 45, 60);
		sparse_products<float>(210, 130, 180);
		sparse_products<double>(100, 400, 350);
		solve<double>(100);
		solve<float>(700);
		solve<double>(400);
		factors<float>(60);
		factors<double>(300);
	}
	CHECK(rocsparse_destroy_handle(handle));
	return tap_end();
}
