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
