// SPDX-License-Identifier: MIT
/*
 * soak-fft - Fourier transforms of 256 complex points, many in a batch (Stockham's, radix 2, in LDS): some against the definition in double on the
 * CPU, all of them forth and back.
 */
#include "tests/soak/programs/soak.h"

#include <cmath>

#define POINTS	256
#define BATCH	96
#define COMPARE 2

__global__ void fft(const float2 *in, float2 *out, float sign)
{
	__shared__ float2 half[2][POINTS];
	int t = threadIdx.x, from = 0;

	for (int i = t; i < POINTS; i += POINTS / 2)
		half[0][i] = in[blockIdx.x * POINTS + i];
	__syncthreads();
	/* Before each step there are s interleaved transforms of POINTS / s points to do. */
	for (int s = 1; s < POINTS; s *= 2, from ^= 1) {
		int q = t % s, p = t / s;
		float2 a = half[from][t], b = half[from][t + POINTS / 2], d = {a.x - b.x, a.y - b.y};
		float angle = sign * 6.28318530717958647692f * p * s / POINTS, c, w;

		sincosf(angle, &w, &c);
		half[from ^ 1][q + s * 2 * p] = {a.x + b.x, a.y + b.y};
		half[from ^ 1][q + s * (2 * p + 1)] = {d.x * c - d.y * w, d.x * w + d.y * c};
		__syncthreads();
	}
	for (int i = t; i < POINTS; i += POINTS / 2)
		out[blockIdx.x * POINTS + i] = half[from][i];
}

int main()
{
	std::vector<float2> in(POINTS * BATCH);
	double cosine[POINTS], worst = 0, back = 0;

	for (float2 &v : in)
		v = {(float)(random_bits() % 2001) / 1000 - 1, (float)(random_bits() % 2001) / 1000 - 1};
	for (int i = 0; i < POINTS; i++)
		cosine[i] = cos(2 * M_PI * i / POINTS);
	gpu_array<float2> a(in), b(in.size());
	LAUNCH(fft, BATCH, POINTS / 2, a, b, -1.0f);
	std::vector<float2> spectrum = b.get();
	LAUNCH(fft, BATCH, POINTS / 2, b, a, 1.0f);
	std::vector<float2> again = a.get();
	for (int k = 0; k < POINTS * COMPARE; k++) {
		double x = 0, y = 0;

		for (int i = 0; i < POINTS; i++) {
			float2 v = in[k / POINTS * POINTS + i];
			double c = cosine[i * k % POINTS], s = -cosine[(i * k + 3 * POINTS / 4) % POINTS];

			x += v.x * c - v.y * s;
			y += v.x * s + v.y * c;
		}
		worst = fmax(worst, fmax(fabs(spectrum[k].x - x), fabs(spectrum[k].y - y)));
	}
	for (size_t i = 0; i < in.size(); i++)
		back = fmax(back, fmax(fabs(again[i].x / POINTS - in[i].x), fabs(again[i].y / POINTS - in[i].y)));
	return verdict(worst < 1e-3 && back < 1e-5, "soak-fft: %d transforms of %d points, off by %.2g, forth and back by %.2g", BATCH, POINTS, worst, back);
}
