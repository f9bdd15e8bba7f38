// SPDX-License-Identifier: MIT
/*
 * soak-cg - conjugate gradients in double for a sparse matrix (CSR) of a grid's Poisson equation. Each iteration is five kernels with a sum that the CPU
 * reads in between. The solution is known.
 */
#include "tests/soak/programs/soak.h"

#include <cmath>

#define SIDE  32
#define ROWS  (SIDE * SIDE)
#define ITEMS 256
#define MOST  200

__global__ void multiply(const int *begin, const int *column, const double *value, const double *x, double *y)
{
	int row = blockIdx.x * ITEMS + threadIdx.x;
	double sum = 0;

	for (int i = begin[row]; i < begin[row + 1]; i++)
		sum += value[i] * x[column[i]];
	y[row] = sum;
}

/* One work-group: the same sum in each run. */
__global__ void dot(const double *a, const double *b, double *result)
{
	__shared__ double sums[ITEMS];
	double sum = 0;

	for (int i = threadIdx.x; i < ROWS; i += ITEMS)
		sum += a[i] * b[i];
	sums[threadIdx.x] = sum;
	for (int half = ITEMS / 2; half; half /= 2) {
		__syncthreads();
		if (threadIdx.x < half)
			sums[threadIdx.x] += sums[threadIdx.x + half];
	}
	if (!threadIdx.x)
		*result = sums[0];
}

/* y = a x + b y */
__global__ void combine(double a, const double *x, double b, double *y)
{
	int i = blockIdx.x * ITEMS + threadIdx.x;

	y[i] = a * x[i] + b * y[i];
}

static double dot_of(const double *a, const double *b, gpu_array<double> &result)
{
	LAUNCH(dot, 1, ITEMS, a, b, result);
	return result.get()[0];
}

int main()
{
	std::vector<int> begin, column;
	std::vector<double> value, solution(ROWS), right(ROWS);
	double worst = 0;
	int rounds = 0;

	for (double &v : solution)
		v = (double)(random_bits() % 2001) / 1000 - 1;
	for (int row = 0; row < ROWS; row++) {
		int x = row % SIDE, y = row / SIDE;
		auto entry = [&](bool there, int c, double v) {
			if (!there)
				return;
			column.push_back(c);
			value.push_back(v);
			right[row] += v * solution[c];
		};

		begin.push_back((int)column.size());
		entry(y > 0, row - SIDE, -1);
		entry(x > 0, row - 1, -1);
		entry(true, row, 4);
		entry(x < SIDE - 1, row + 1, -1);
		entry(y < SIDE - 1, row + SIDE, -1);
	}
	begin.push_back((int)column.size());
	gpu_array<int> gpu_begin(begin), gpu_column(column);
	gpu_array<double> gpu_value(value), x(ROWS), r(right), p(right), product(ROWS), sum(1);
	x.zero();
	double rr = dot_of(r, r, sum), first = rr;
	while (rr > 1e-24 * first && rounds++ < MOST) {
		LAUNCH(multiply, ROWS / ITEMS, ITEMS, gpu_begin, gpu_column, gpu_value, p, product);
		double alpha = rr / dot_of(p, product, sum), before = rr;

		LAUNCH(combine, ROWS / ITEMS, ITEMS, alpha, p, 1.0, x);
		LAUNCH(combine, ROWS / ITEMS, ITEMS, -alpha, product, 1.0, r);
		rr = dot_of(r, r, sum);
		LAUNCH(combine, ROWS / ITEMS, ITEMS, 1.0, r, rr / before, p);
	}
	std::vector<double> found = x.get();
	for (int i = 0; i < ROWS; i++)
		worst = fmax(worst, fabs(found[i] - solution[i]));
	return verdict(worst < 1e-9 && rounds < MOST, "soak-cg: %d unknowns, %d iterations, off by %.2g", ROWS, rounds, worst);
}
