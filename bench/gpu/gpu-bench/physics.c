// SPDX-License-Identifier: MIT
/* physics.c - cases of physics.cl. */
#include <complex.h>
#include <math.h>
#include <stdlib.h>

#include "bench/gpu/gpu-bench/job.h"

enum { GROUP = 256, POINTS = 1024, LIMIT = 256 };

/* ---------------------------------------------------------------- n-body: bodies */

static void nbody_setup(struct job *j)
{
	size_t n = j->size[0];

	job_fill(j, job_input(j, 0, 4 * n * job_real(j)), 4 * n, 1, 0, 1);
	job_output(j, 1, 4 * n * job_real(j));
	job_arg_buffer(j, 0, 0, 0);
	job_arg_buffer(j, 0, 1, 1);
	job_arg_int(j, 0, 2, (int)n);
}

static void bodies_run(struct job *j)
{
	job_launch(j, 0, j->size[0], 0, GROUP, 0);
}

static void nbody_check(struct job *j)
{
	size_t n = j->size[0];
	const void *p = j->host[0];

	for (size_t i = 0, step = job_step(n, (1 << 25) / n); i < n; i += step) {
		double sum[3] = {0}, size = 0;

		for (size_t k = 0; k < n; k++) {
			double d[3], r2 = 1e-4, f;

			for (size_t c = 0; c < 3; c++) {
				d[c] = job_get(j, p, 4 * k + c) - job_get(j, p, 4 * i + c);
				r2 += d[c] * d[c];
			}
			f = job_get(j, p, 4 * k + 3) / (r2 * sqrt(r2));
			size += f * sqrt(r2);
			for (size_t c = 0; c < 3; c++)
				sum[c] += d[c] * f;
		}
		for (size_t c = 0; c < 3; c++)
			job_close(j, 1, 4 * i + c, sum[c], size, 64);
		job_close(j, 1, 4 * i + 3, 0, 0, 0);
	}
}

/* ---------------------------------------------------------------- Mandelbrot: width, height; exact */

static void mandelbrot_setup(struct job *j)
{
	job_output(j, 0, j->size[0] * j->size[1] * sizeof(int));
	job_arg_buffer(j, 0, 0, 0);
	job_arg_int(j, 0, 1, (int)j->size[0]);
	job_arg_real(j, 0, 2, 2.0 / (double)j->size[1]);
	job_arg_int(j, 0, 3, LIMIT);
}

static void mandelbrot_run(struct job *j)
{
	job_launch(j, 0, j->size[0], j->size[1], GROUP, 1);
}

#define MANDELBROT(type, fma)                                                                                                               \
	static int mandelbrot_##type(int px, int py, type step)                                                                             \
	{                                                                                                                                   \
		type cx = fma((type)px, step, (type)-2), cy = fma((type)py, step, (type)-1), x = 0, y = 0;                                  \
		int n = 0;                                                                                                                  \
                                                                                                                                            \
		while (n < LIMIT) {                                                                                                         \
			volatile type yy = y * y;                                                                                           \
			type t;                                                                                                             \
                                                                                                                                            \
			if (!(fma(x, x, yy) < 4))                                                                                           \
				break;                                                                                                      \
			t = fma(x, x, fma(-y, y, cx));                                                                                      \
			y = fma(2 * x, y, cy);                                                                                              \
			x = t;                                                                                                              \
			n++;                                                                                                                \
		}                                                                                                                           \
		return n;                                                                                                                   \
	}
MANDELBROT(float, fmaf)
MANDELBROT(double, fma)

static void mandelbrot_check(struct job *j)
{
	size_t w = j->size[0], h = j->size[1];
	const int *out = j->result[0];

	for (size_t i = 0, step = job_step(w * h, 1 << 16); i < w * h; i += step) {
		int x = (int)(i % w), y = (int)(i / w);
		int want = j->c->f64 ? mandelbrot_double(x, y, 2.0 / (double)h) : mandelbrot_float(x, y, (float)(2.0 / (double)h));

		if (out[i] != want)
			job_wrong(j, 0, i, out[i], want);
	}
}

/* ---------------------------------------------------------------- Black-Scholes: options */

static const double rate = 0.02, volatility = 0.3;

static void blackscholes_setup(struct job *j)
{
	size_t n = j->size[0];

	job_fill(j, job_input(j, 0, n * job_real(j)), n, 1, 5, 30);
	job_fill(j, job_input(j, 1, n * job_real(j)), n, 2, 1, 100);
	job_fill(j, job_input(j, 2, n * job_real(j)), n, 3, 0.25, 10);
	job_output(j, 3, n * job_real(j));
	job_output(j, 4, n * job_real(j));
	for (unsigned i = 0; i < 5; i++)
		job_arg_buffer(j, 0, i, i);
	job_arg_real(j, 0, 5, rate);
	job_arg_real(j, 0, 6, volatility);
}

static double normal(double d)
{
	double k = 1 / (1 + 0.2316419 * fabs(d));
	double poly = k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))));
	double c = 0.39894228040143267794 * exp(-0.5 * d * d) * poly;

	return d > 0 ? 1 - c : c;
}

static void blackscholes_check(struct job *j)
{
	size_t n = j->size[0];

	for (size_t i = 0, step = job_step(n, 1 << 19); i < n; i += step) {
		double s = job_get(j, j->host[0], i), x = job_get(j, j->host[1], i), t = job_get(j, j->host[2], i);
		double d1 = (log(s / x) + (rate + 0.5 * volatility * volatility) * t) / (volatility * sqrt(t));
		double n1 = normal(d1), n2 = normal(d1 - volatility * sqrt(t)), e = exp(-rate * t);

		job_close(j, 3, i, s * n1 - x * e * n2, s + x, 16);
		job_close(j, 4, i, x * e * (1 - n2) - s * (1 - n1), s + x, 16);
	}
}

/* ---------------------------------------------------------------- FFT: transforms of 1024 points */

static void fft_setup(struct job *j)
{
	size_t n = j->size[0] * POINTS;
	void *roots;

	job_fill(j, job_input(j, 0, 2 * n * job_real(j)), 2 * n, 1, -1, 1);
	job_output(j, 1, 2 * n * job_real(j));
	roots = job_input(j, 2, 2 * POINTS * job_real(j));
	for (size_t k = 0; k < POINTS; k++) {
		job_put(j, roots, 2 * k, cos(2 * M_PI * (double)k / POINTS));
		job_put(j, roots, 2 * k + 1, -sin(2 * M_PI * (double)k / POINTS));
	}
	for (unsigned i = 0; i < 3; i++)
		job_arg_buffer(j, 0, i, i);
}

static void fft_run(struct job *j)
{
	job_launch(j, 0, j->size[0] * GROUP, 0, GROUP, 0);
}

/* The definition, for some transforms. */
static void fft_check(struct job *j)
{
	double complex roots[POINTS];

	for (size_t k = 0; k < POINTS; k++)
		roots[k] = cexp(-2 * I * M_PI * (double)k / POINTS);
	for (size_t b = 0, step = job_step(j->size[0], 16); b < j->size[0]; b += step)
		for (size_t f = 0; f < POINTS; f++) {
			double complex sum = 0;

			for (size_t k = 0; k < POINTS; k++) {
				size_t i = 2 * (b * POINTS + k);

				sum += (job_get(j, j->host[0], i) + I * job_get(j, j->host[0], i + 1)) * roots[f * k % POINTS];
			}
			job_close(j, 1, 2 * (b * POINTS + f), creal(sum), 32, 64);
			job_close(j, 1, 2 * (b * POINTS + f) + 1, cimag(sum), 32, 64);
		}
}

#define BOTH(name, barriers, small, full32, full64, kernel, setup, run, check)                                                              \
	{name "_f32", "physics", false, barriers, small, full32, {kernel}, setup, run, check},                                              \
	{name "_f64", "physics", true, barriers, small, full64, {kernel}, setup, run, check}
#define S(...) {__VA_ARGS__}

const struct job_case physics_cases[] = {
	BOTH("nbody", true, S(512), S(8192), S(4096), "nbody", nbody_setup, bodies_run, nbody_check),
	BOTH("mandelbrot", false, S(256, 16), S(1024, 1024), S(1024, 512), "mandelbrot", mandelbrot_setup, mandelbrot_run, mandelbrot_check),
	BOTH("blackscholes", false, S(4096), S(4 << 20), S(1 << 20), "blackscholes", blackscholes_setup, bodies_run, blackscholes_check),
	BOTH("fft", true, S(8), S(4096), S(2048), "fft1024", fft_setup, fft_run, fft_check),
	{0},
};
