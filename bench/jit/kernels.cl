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
