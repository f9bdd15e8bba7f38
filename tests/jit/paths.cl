/* SPDX-License-Identifier: MIT */
/* paths.cl - kernels without loops that have conditions: of lanes and of waves. */
#define GROUP __attribute__((reqd_work_group_size(128, 1, 1)))

/* Beyond n there may be no memory. */
kernel GROUP void inside(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0);

	if (i < n)
		out[i] = in[i] * 3 + m;
}

/* The second condition is found when something has been stored. */
kernel GROUP void twice(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0), x = 0;

	if (i < n) {
		x = in[i] ^ 5;
		out[i] = x;
	}
	if (i < m)
		other[i] = x + i;
}

/* What is loaded says what is stored. */
kernel GROUP void loaded(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0), x;

	if (i >= n)
		return;
	x = in[i];
	if (x % 64 < m)
		return;
	out[i] = x - i;
}

/* Both ways store, each elsewhere. */
kernel GROUP void either(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0), x = in[i];

	if (i < n) {
		out[i] = x + 7;
	} else {
		other[i] = x * 9;
		x = in[i ^ 1];
	}
	other[i] += x;
}

/* A condition of the whole dispatch, one of the work-group, one of lanes. */
kernel GROUP void scalar(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0);

	if (m < 0)
		return;
	if (get_group_id(0) % 3 == m)
		return;
	if (i < n)
		out[i] = in[i] + m;
}

/* Pointers that are loaded in the condition's part only. */
kernel GROUP void through(global const ulong *where, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0);

	if (i < n)
		out[i] = *(global const int *)where[0] + i;
}

/* Lanes count. */
kernel GROUP void counted(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0);

	if (i < n && in[i] % 16 >= m)
		atomic_inc(&out[i % 61]);
}

/* Two dimensions: the border of a picture stays as it is. */
kernel __attribute__((reqd_work_group_size(16, 8, 1))) void border(global const int *in, global int *out, global int *other, int n, int m)
{
	int x = get_global_id(0), y = get_global_id(1);

	if (x > 0 && y > 0 && x < n - 1 && y < m - 1)
		out[y * n + x] = in[y * n + x - 1] + in[y * n + x + 1] + in[(y - 1) * n + x] + in[(y + 1) * n + x] - 4 * in[y * n + x];
}

/* From the end to the begin. */
kernel GROUP void backwards(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0);

	if (i < n) {
		out[i] = in[n - 1 - i] * 3;
		other[n + ~i] = in[i] ^ m;
	}
}

/* A picture 256 wide, by numbers that begin anywhere: row and column are parts of them. */
kernel GROUP void folded(global const int *in, global int *out, global int *other, int n, int m)
{
	uint i = (uint)get_global_id(0) + (uint)m, x = i & 255, y = i >> 8;

	if (i < (uint)n && x != 7)
		out[x * (n >> 8) + y] = in[y * 256 + x] - (int)x;
}

/* Numbers below 0, extended to 64 bits where lanes have dropped out. */
kernel GROUP void below(global const int *in, global int *out, global int *other, int n, int m)
{
	int g = get_global_id(0), i = g - m;

	if (g < n && (in + m)[i] % 4 != 1)
		out[g] = (other + m)[i] + (in + m)[i];
}

/* Lanes that have left the loop have numbers of their own when it is over, parts of such as begin anywhere. Group size not known here. */
kernel void kept(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0), x = i & 15, sum = 0;

	for (int k = 0; k < x; k++)
		sum += in[i + k] >> k;
	out[i] = in[i / 4 + x] ^ sum;
}

/* A barrier where one half of an address is needed behind it, the other no more. */
kernel GROUP void halves(global const int *in, global int *out, global int *other, int n, int m)
{
	int l = get_local_id(0), i = get_global_id(0);
	global int4 *to = (global int4 *)other;

	barrier(CLK_LOCAL_MEM_FENCE);
	barrier(CLK_LOCAL_MEM_FENCE);
	to[(i / 64 * 64 + 63 - i % 64)] = (int4)(in[n - 1 - (l + 1)], in[min((uint)m, 1000u) + n - 1 - i], i * 3, 7);
	barrier(CLK_LOCAL_MEM_FENCE);
}

/* Pointers, copied half by half, in a loop in a loop. */
kernel void copied(global const int *in, global int *out, global int *other, int n, int m)
{
	int i = get_global_id(0), sum = i;

	for (int k = 0; k < 8; k++) {
		global const int *p = in + i;

		for (int j = 0; j < (m & 7); j++)
			sum ^= *p++ >> k;
	}
	out[i] = sum;
}

/* Every third place of local memory, around its end: known of the wave, while of its strips it might only be guessed. */
kernel __attribute__((reqd_work_group_size(64, 1, 1))) void thirds(global const int *in, global int *out, global int *other, int n, int m)
{
	local int part[64];
	int l = get_local_id(0), i = get_global_id(0);

	for (int k = 0; k < m; k++) {
		part[l ^ 8] = in[i + k];
		barrier(CLK_LOCAL_MEM_FENCE);
		out[i] += part[l * 3 & 63] - k;
		barrier(CLK_LOCAL_MEM_FENCE);
	}
}
