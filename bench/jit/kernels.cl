/* SPDX-License-Identifier: MIT */
/* kernels.cl - what bench_jit measures; the same source can be given to any OpenCL. */
#define TILE 16

kernel void vadd(global const float *a, global const float *b, global float *c)
{
	size_t i = get_global_id(0);

	c[i] = a[i] + b[i];
}

kernel void sgemm_naive(global const float *a, global const float *b, global float *c, int n)
{
	int col = get_global_id(0), row = get_global_id(1);
	float sum = 0;

	for (int k = 0; k < n; k++)
		sum = fma(a[row * n + k], b[k * n + col], sum);
	c[row * n + col] = sum;
}

kernel __attribute__((reqd_work_group_size(TILE, TILE, 1))) void sgemm_tiled(global const float *a, global const float *b,
									      global float *c, int n)
{
	local float ta[TILE][TILE], tb[TILE][TILE];
	int x = get_local_id(0), y = get_local_id(1);
	int col = get_group_id(0) * TILE + x, row = get_group_id(1) * TILE + y;
	float sum = 0;

	for (int t = 0; t < n; t += TILE) {
		ta[y][x] = a[row * n + t + x];
		tb[y][x] = b[(t + y) * n + col];
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int k = 0; k < TILE; k++)
			sum = fma(ta[y][k], tb[k][x], sum);
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	c[row * n + col] = sum;
}

kernel __attribute__((reqd_work_group_size(256, 1, 1))) void reduce(global const float *in, global float *out, int n)
{
	local float part[256];
	int l = get_local_id(0);
	float sum = 0;

	for (int i = get_global_id(0); i < n; i += get_global_size(0))
		sum += in[i];
	part[l] = sum;
	barrier(CLK_LOCAL_MEM_FENCE);
	for (int k = 128; k > 0; k >>= 1) {
		if (l < k)
			part[l] += part[l + k];
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	if (l == 0)
		out[get_group_id(0)] = part[0];
}

kernel void mandelbrot(global int *out, int width, int height, int limit)
{
	int px = get_global_id(0), py = get_global_id(1), n = 0;
	float cx = -2.0f + 3.0f * px / width, cy = -1.0f + 2.0f * py / height, x = 0, y = 0;

	while (n < limit && x * x + y * y < 4.0f) {
		float t = x * x - y * y + cx;

		y = 2.0f * x * y + cy;
		x = t;
		n++;
	}
	out[py * width + px] = n;
}

kernel __attribute__((reqd_work_group_size(256, 1, 1))) void nbody(global const float4 *pos, global float4 *vel, int n, float dt)
{
	local float4 tile[256];
	int i = get_global_id(0), l = get_local_id(0);
	float4 me = pos[i];
	float ax = 0, ay = 0, az = 0;

	for (int j = 0; j < n; j += 256) {
		tile[l] = pos[j + l];
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int k = 0; k < 256; k++) {
			float dx = tile[k].x - me.x, dy = tile[k].y - me.y, dz = tile[k].z - me.z;
			float r2 = fma(dx, dx, fma(dy, dy, fma(dz, dz, 1e-4f)));
			float inv = native_rsqrt(r2), f = tile[k].w * inv * inv * inv;

			ax = fma(dx, f, ax);
			ay = fma(dy, f, ay);
			az = fma(dz, f, az);
		}
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	vel[i] += (float4)(ax, ay, az, 0) * dt;
}

kernel void stencil(global const float *in, global float *out, int width, int height)
{
	int x = get_global_id(0), y = get_global_id(1);

	if (x > 0 && y > 0 && x < width - 1 && y < height - 1)
		out[y * width + x] = 0.25f * (in[y * width + x - 1] + in[y * width + x + 1] + in[(y - 1) * width + x] +
					      in[(y + 1) * width + x]) - in[y * width + x];
}

#ifdef __gfx90a__
typedef float f32x16 __attribute__((ext_vector_type(16)));

/* 128 x 128 a work-group, 64 x 64 a wave, by matrix operations. */
kernel __attribute__((reqd_work_group_size(256, 1, 1))) void sgemm_mfma(global const float *a, global const float *b, global float *c, int n)
{
	local float ta[2][8][128], tb[2][8][128];
	int t = get_local_id(0), lane = t & 63, wave = t >> 6, upper = lane >> 5, l = lane & 31;
	int row = get_group_id(1) * 128, col = get_group_id(0) * 128, wr = (wave >> 1) * 64, wc = (wave & 1) * 64;
	f32x16 d00 = 0, d01 = 0, d10 = 0, d11 = 0;

	for (int k = 0, buf = 0; k < n; k += 8, buf ^= 1) {
		float4 x = *(global const float4 *)&a[(row + t / 2) * n + k + t % 2 * 4];

		ta[buf][t % 2 * 4 + 0][t / 2] = x.x;
		ta[buf][t % 2 * 4 + 1][t / 2] = x.y;
		ta[buf][t % 2 * 4 + 2][t / 2] = x.z;
		ta[buf][t % 2 * 4 + 3][t / 2] = x.w;
		*(local float4 *)&tb[buf][t / 32][t % 32 * 4] = *(global const float4 *)&b[(k + t / 32) * n + col + t % 32 * 4];
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int s = 0; s < 8; s += 2) {
			float a0 = ta[buf][s + upper][wr + l], a1 = ta[buf][s + upper][wr + 32 + l];
			float b0 = tb[buf][s + upper][wc + l], b1 = tb[buf][s + upper][wc + 32 + l];

			d00 = __builtin_amdgcn_mfma_f32_32x32x2f32(a0, b0, d00, 0, 0, 0);
			d01 = __builtin_amdgcn_mfma_f32_32x32x2f32(a0, b1, d01, 0, 0, 0);
			d10 = __builtin_amdgcn_mfma_f32_32x32x2f32(a1, b0, d10, 0, 0, 0);
			d11 = __builtin_amdgcn_mfma_f32_32x32x2f32(a1, b1, d11, 0, 0, 0);
		}
	}
	for (int r = 0; r < 16; r++) {
		int i = row + wr + 8 * (r / 4) + 4 * upper + r % 4, j = col + wc + l;

		c[i * n + j] = d00[r];
		c[i * n + j + 32] = d01[r];
		c[(i + 32) * n + j] = d10[r];
		c[(i + 32) * n + j + 32] = d11[r];
	}
}
#endif

/* Much exp, log and division. */
kernel void options(global const float *spot, global float *call, global float *put, int steps)
{
	int i = get_global_id(0);
	float s = 5.0f + 25.0f * spot[i], sum = 0, other = 0;

	for (int k = 1; k <= steps; k++) {
		float x = 10.0f + k, t = 0.25f * k, v = 0.30f * native_sqrt(t);
		float d1 = (native_log(s / x) + 0.065f * t) / v, d2 = d1 - v, p[2];

		for (int q = 0; q < 2; q++) {
			float d = q ? d2 : d1, w = 1.0f / (1.0f + 0.2316419f * fabs(d));
			float y = 0.39894228f * exp(-0.5f * d * d) * w * (0.31938153f + w * (-0.356563782f + w * (1.781477937f + w * (-1.821255978f + w * 1.330274429f))));

			p[q] = d < 0 ? y : 1.0f - y;
		}
		float e = x * exp(-0.02f * t), c = s * p[0] - e * p[1];

		sum += c;
		other += c + e - s;
	}
	call[i] = sum;
	put[i] = other;
}
