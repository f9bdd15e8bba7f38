// SPDX-License-Identifier: MIT
/*
 * physics.cl - kernels that are mostly arithmetic: n-body, Mandelbrot, Black-Scholes, FFT. REAL is float or double.
 */
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#pragma OPENCL FP_CONTRACT OFF
#define PASTE(a, b) a##b
#define VEC_(type, n) PASTE(type, n)
#define VEC(n) VEC_(REAL, n)
#define GROUP 256

#ifdef DOUBLE
#define RSQRT(x) rsqrt(x)
#else
#define RSQRT(x) native_rsqrt(x)
#endif

/* Acceleration of each body by all, which pass through LDS; w is the mass. */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void nbody(global const VEC(4) *pos, global VEC(4) *acc, int n)
{
	local VEC(4) tile[GROUP];
	int i = get_global_id(0), l = get_local_id(0);
	VEC(4) me = pos[i];
	REAL ax = 0, ay = 0, az = 0;

	for (int j = 0; j < n; j += GROUP) {
		tile[l] = pos[j + l];
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int k = 0; k < GROUP; k++) {
			REAL dx = tile[k].x - me.x, dy = tile[k].y - me.y, dz = tile[k].z - me.z;
			REAL r2 = fma(dx, dx, fma(dy, dy, fma(dz, dz, (REAL)1e-4)));
			REAL inv = RSQRT(r2), f = tile[k].w * inv * inv * inv;

			ax = fma(dx, f, ax);
			ay = fma(dy, f, ay);
			az = fma(dz, f, az);
		}
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	acc[i] = (VEC(4))(ax, ay, az, 0);
}

/* Every operation is rounded as written, so that the counts are the same everywhere. */
kernel void mandelbrot(global int *out, int width, REAL step, int limit)
{
	int px = get_global_id(0), py = get_global_id(1), n = 0;
	REAL cx = fma((REAL)px, step, (REAL)-2), cy = fma((REAL)py, step, (REAL)-1), x = 0, y = 0;

	while (n < limit && fma(x, x, y * y) < (REAL)4) {
		REAL t = fma(x, x, fma(-y, y, cx));

		y = fma((REAL)2 * x, y, cy);
		x = t;
		n++;
	}
	out[py * width + px] = n;
}

/* The normal distribution by a polynomial of fifth degree (Abramowitz and Stegun 26.2.17). */
REAL normal(REAL d)
{
	REAL k = 1 / (1 + (REAL)0.2316419 * fabs(d));
	REAL c = (REAL)0.39894228040143267794 * exp((REAL)-0.5 * d * d) *
		 (k * ((REAL)0.31938153 + k * ((REAL)-0.356563782 + k * ((REAL)1.781477937 + k * ((REAL)-1.821255978 + k * (REAL)1.330274429)))));

	return d > 0 ? 1 - c : c;
}

kernel void blackscholes(global const REAL *price, global const REAL *strike, global const REAL *years, global REAL *call,
			 global REAL *put, REAL rate, REAL volatility)
{
	int i = get_global_id(0);
	REAL s = price[i], x = strike[i], t = years[i], root = sqrt(t);
	REAL d1 = (log(s / x) + (rate + (REAL)0.5 * volatility * volatility) * t) / (volatility * root);
	REAL d2 = d1 - volatility * root, n1 = normal(d1), n2 = normal(d2), e = exp(-rate * t);

	call[i] = s * n1 - x * e * n2;
	put[i] = x * e * (1 - n2) - s * (1 - n1);
}

VEC(2) multiply(VEC(2) a, VEC(2) b)
{
	return (VEC(2))(fma(a.x, b.x, -a.y * b.y), fma(a.x, b.y, a.y * b.x));
}

/* A batch of transforms of 1024 points, one a work-group: five passes of radix 4 through LDS (Stockham). roots[k] = exp(-2 pi i k / 1024). */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void fft1024(global const VEC(2) *in, global VEC(2) *out,
									 global const VEC(2) *roots)
{
	local VEC(2) points[4 * GROUP];
	int l = get_local_id(0), base = get_group_id(0) * 4 * GROUP;
	VEC(2) a = in[base + l], b = in[base + l + GROUP], c = in[base + l + 2 * GROUP], d = in[base + l + 3 * GROUP];

	for (int m = 1; m < 4 * GROUP; m *= 4) {
		int k = l & (m - 1), twiddle = k * (GROUP / m), to = (l - k) * 4 + k;
		VEC(2) s, t, u, v;

		b = multiply(b, roots[twiddle]);
		c = multiply(c, roots[2 * twiddle]);
		d = multiply(d, roots[3 * twiddle]);
		s = a + c;
		t = a - c;
		u = b + d;
		v = (VEC(2))(b.y - d.y, d.x - b.x);
		barrier(CLK_LOCAL_MEM_FENCE);
		points[to] = s + u;
		points[to + m] = t + v;
		points[to + 2 * m] = s - u;
		points[to + 3 * m] = t - v;
		barrier(CLK_LOCAL_MEM_FENCE);
		a = points[l];
		b = points[l + GROUP];
		c = points[l + 2 * GROUP];
		d = points[l + 3 * GROUP];
	}
	out[base + l] = a;
	out[base + l + GROUP] = b;
	out[base + l + 2 * GROUP] = c;
	out[base + l + 3 * GROUP] = d;
}
