/* SPDX-License-Identifier: MIT */
/* loops.cl - kernels that test_run.c stops and goes on with: loops, barriers, divergence; integers, so that C does the same. */
kernel __attribute__((reqd_work_group_size(128, 1, 1))) void mix(global uint *out, int rounds)
{
	local uint part[128];
	uint l = get_local_id(0), x = get_global_id(0) * 2654435761u + 1;

	for (int r = 0; r < rounds; r++) {
		for (uint k = 0; k < (l & 7) + 3; k++)
			x = x * 1664525u + 1013904223u + k;
		part[l] = x;
		barrier(CLK_LOCAL_MEM_FENCE);
		x ^= part[(l + r) & 127] >> 3;
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	out[get_global_id(0)] = x;
}

kernel void forever(global volatile uint *out)
{
	while (out[get_global_id(0)] != 12345)
		;
}

kernel void strided(global uint *out, ulong stride)
{
	*(global uint *)((global char *)out + get_global_id(0) * stride) = get_global_id(0);
}

/* Pointers in a loop under a mask, an index that wraps around in some lanes, short elements, lanes in reverse order. */
kernel void windows(global uint *out, global const uint *in, global const uchar *bytes, global const short *halves, uint n, uint back, int rounds)
{
	uint i = get_global_id(0), sum = 0;
	global const uint *p = in + i;

	if (i >= n)
		return;
	for (int r = 0; r < rounds; r++) {
		sum = sum * 5 + p[0];
		p += 3;
	}
	if (i >= back)
		sum += in[i - back];
	out[n - 1 - i] = sum ^ (bytes[i + 1] + (uint)(int)halves[i]);
}

/* Lanes anywhere: in order of a table, some of them off; several lanes at one place, where the last one's value stays; atomics. */
kernel void anywhere(global uint *out, global const uint *in, global const uint *where, global uint *count, uint n)
{
	uint i = get_global_id(0), k, old = 0;
	global ulong *wide = (global ulong *)(out + n);
	global uint4 *quads = (global uint4 *)(out + 3 * n);
	global uchar *bytes = (global uchar *)(out + 7 * n);

	if (i % 7 == 3)
		return;
	k = where[i];
	out[k] = in[where[k]] ^ i;
	wide[k] = *(global const ulong *)(in + (k & ~1u)) + i;
	quads[k] = *(global const uint4 *)(in + (k & ~3u)) + i;
	bytes[k] = ((global const uchar *)in)[k * 3 + 1] + ((global const short *)in)[k];
	atomic_add(count + k % 61, i);
	atomic_max(count + 61 + k % 61, i);
	atomic_xor(count + 122 + k % 61, i);
	atomic_dec(count + 183 + k % 61);
	old = atomic_add(count + 244 + i, k);
	atomic_cmpxchg(count + 244 + i, old + k, i);
}

/* Waves of a work-group that end early, or come to different barriers. */
kernel __attribute__((reqd_work_group_size(256, 1, 1))) void uneven(global uint *out, int rounds)
{
	local volatile uint part[256];
	uint l = get_local_id(0), group = get_group_id(0), wave = __builtin_amdgcn_readfirstlane(l / 64), x = get_global_id(0) * 2654435761u;

	part[l] = x;
	__builtin_amdgcn_s_barrier();
	if (wave == group % 4) {
		out[get_global_id(0)] = x;
		return;
	}
	for (int r = 0; r < rounds; r++) {
		x = x * 5 + part[(l + 64) & 255];
		if ((wave + r) & 1) {
			x += 3;
			__builtin_amdgcn_s_barrier();
			x ^= 5;
		} else {
			x *= 3;
			__builtin_amdgcn_s_barrier();
			x += 7;
		}
		part[l] = x;
		__builtin_amdgcn_s_barrier();
		if (wave == (group + 1) % 4 && r == (int)(group & 7))
			break;
	}
	out[get_global_id(0)] = x;
}

/* What a work-item knows of itself; work-groups at the grid's edges are smaller. */
kernel void places(global uint *out, uint width, uint height)
{
	uint x = get_global_id(0), y = get_global_id(1), z = get_global_id(2), i = (z * height + y) * width + x;

	out[i] += (uint)get_local_id(0) | (uint)get_local_id(1) << 4 | (uint)get_local_id(2) << 8 | (uint)get_group_id(0) << 12 |
		  (uint)get_group_id(1) << 17 | (uint)get_group_id(2) << 22 | (uint)get_local_size(0) << 26;
}

/* As many dwords as the memory has. */
kernel __attribute__((reqd_work_group_size(256, 1, 1))) void fill(global uint *out)
{
	out[get_global_id(0)] = get_global_id(0) + 1;
}

/* The same behind a barrier. */
kernel __attribute__((reqd_work_group_size(256, 1, 1))) void fill_behind(global uint *out)
{
	local volatile uint part[256];
	uint l = get_local_id(0);

	part[l] = get_global_id(0);
	__builtin_amdgcn_s_barrier();
	out[get_global_id(0)] = part[l ^ 192] + 1;
}

/* Ors of scalars and lanes, whose bits meet or do not. */
kernel __attribute__((reqd_work_group_size(64, 1, 1))) void ors(global uint *out, global const uint *in, uint n)
{
	uint l = get_local_id(0), first = get_group_id(0) << 6, x = 0, b = 3;

	for (uint s = 0; s < n; s += 20) {
		x = x * 3 + in[s | l];
		x += in[(s << 4) | (l & 15)];
		x ^= in[(b & 4032) | l];
		x -= in[(b & 1008) | l];
		b = (b << 1) ^ s;
	}
	out[first | l] = x;
}

struct three {
	uint x, y, z;
};

/* No branches, no barriers: compiled code has a loop for work-groups of such. */
kernel void in_place(global uint *y, global const uint *x, uint f, uint width)
{
	int i = (int)get_global_id(1) * (int)width + (int)get_global_id(0);

	y[i] = f * x[i] + y[i];
}

/* Lanes of one access in two buffers, three dwords a lane; item `wild` stores where there is nothing. */
kernel void two_buffers(global uint *a, global uint *b, global const uint *where, uint wild)
{
	uint i = get_global_id(0), k = where[i] >> 2;
	global uint *from = where[i] & 1 ? a : b, *to = where[i] & 2 ? a : b;
	struct three t = *(global struct three *)(from + k);
	ulong pair = *(global ulong *)(from + (k & ~1u));

	if (i == wild)
		to = (global uint *)0x5ead00000000ul;
	if (i % 5 != 2)
		to[4096 + i] = t.x + 3 * t.y + 5 * t.z + (uint)pair + 7 * (uint)(pair >> 32);
}

/* Atomics of one instruction in two buffers. */
kernel void two_counters(global volatile atomic_uint *a, global volatile atomic_uint *b, global uint *old)
{
	uint i = get_global_id(0);

	old[i] = atomic_fetch_add_explicit((i & 1 ? a : b) + i / 4, i + 1, memory_order_relaxed, memory_scope_device);
}

/* Additions to what a buffer has, of so many bytes, some lanes off, some outside; what was there. Of gfx90a. */
kernel __attribute__((reqd_work_group_size(64, 1, 1))) void add_floats(global float *sums, global float *old, global const uint *where, uint bytes)
{
	uint i = get_global_id(0), offset = 4 * where[i];
	int4 buffer = (int4)((int)(ulong)sums, (int)((ulong)sums >> 32 & 0xffff), (int)bytes, 0x27000);
	float x = i % 7 + 1, y = i % 3;

#ifdef __gfx90a__
	if (i % 5) {
		__asm volatile("buffer_atomic_add_f32 %0, %1, %2, 0 offen glc\n\ts_waitcnt vmcnt(0)" : "+v"(x) : "v"(offset), "s"(buffer) : "memory");
		old[i] = x;
	}
	__asm volatile("buffer_atomic_add_f32 %0, %1, %2, 0 offen offset:8\n\ts_waitcnt vmcnt(0)" : : "v"(y), "v"(offset), "s"(buffer) : "memory");
#endif
}

/* Rows: neighbours that a compiler loads together, pairs, quads, one value for all; a row of threads longer than the data. */
kernel void rows(global uint *out, global const uint *in, global ulong *wide, global const ulong *pairs, global uint4 *quads, uint n, uint rounds)
{
	uint i = get_global_id(0), sum = 0;
	ulong two = 0;

	if (i >= n)
		return;
	for (uint r = 0; r < rounds; r++) {
		sum += in[i] * 3 + in[i + 1] * 5 + in[i + 2];
		two ^= pairs[i] + pairs[i + 1] * 3 + r;
		in += 64;
	}
	out[i] = sum;
	wide[i] = two;
	quads[i] = quads[i] * 7 + in[5];
}

/* Lanes so far from each other that their distance is nearly all that 32 bits have. */
kernel void far_lanes(global const uchar *in, global uchar *out, uint from)
{
	uint l = get_local_id(0), x = (l >> 5 << 31) + (l >> 4 & 1) * 0x7ffffffcu + from;

	*(global uint *)(out + x) = *(global const uint *)(in + x) * 3 + l;
}

/* Bytes and halves of LDS at places that only run time knows. */
kernel __attribute__((reqd_work_group_size(64, 1, 1))) void bytes(global uint *out, global const uchar *in, uint step)
{
	local uchar tile[18][18];
	local short halves[256];
	uint l = get_local_id(0), sum = 0;

	for (uint i = l; i < 18 * 18; i += 64)
		tile[i / 18][i % 18] = in[i];
	for (uint i = l; i < 256; i += 64)
		halves[i] = (short)(in[i] * 257);
	barrier(CLK_LOCAL_MEM_FENCE);
	for (uint y = 0; y < 3; y++)
		for (uint x = 0; x < 3; x++)
			sum = sum * 3 + tile[l / 16 + y][l % 16 + x];
	out[get_global_id(0)] = sum * 5 + (uint)(int)halves[l * step & 255];
}

/* More instructions than are compiled with all effort. */
#define STEP(k)	    x = (x ^ (k) * 0x9e3779b1u) + (x << 5) * 3u; x ^= x >> ((k) % 7u + 3u);
#define STEPS8(k)   STEP(k) STEP(k + 1) STEP(k + 2) STEP(k + 3) STEP(k + 4) STEP(k + 5) STEP(k + 6) STEP(k + 7)
#define STEPS64(k)  STEPS8(k) STEPS8(k + 8) STEPS8(k + 16) STEPS8(k + 24) STEPS8(k + 32) STEPS8(k + 40) STEPS8(k + 48) STEPS8(k + 56)
#define STEPS512(k) STEPS64(k) STEPS64(k + 64) STEPS64(k + 128) STEPS64(k + 192) STEPS64(k + 256) STEPS64(k + 320) STEPS64(k + 384) STEPS64(k + 448)
kernel void large(global uint *out, uint rounds)
{
	uint x = get_global_id(0);

	for (uint r = 0; r < rounds; r++) {
		STEPS512(1u)
		STEPS512(513u)
		STEPS512(1025u)
		STEPS512(1537u)
		STEPS512(2049u)
	}
	out[get_global_id(0)] = x;
}

/* Rows of a sparse matrix: lanes leave the loop one after the other. */
kernel void sparse(global uint *out, global const uint *start, global const int *column, global const ushort *value, global const ulong *x)
{
	uint row = get_global_id(0);
	ulong sum = row;

	for (uint i = start[row]; i < start[row + 1]; i++)
		sum = sum * 5 + value[i] * x[column[i]];
	out[row] = (uint)(sum ^ sum >> 32);
}

/* The same with counters of other kinds, and what has gone through memory, or came from there last, is still needed behind the loop: every third row stops at an odd element. */
kernel void sparse_ends(global uint *out, global const uint *start, global const uint *column, global const ulong *x, int down)
{
	uint row = get_global_id(0);
	int left = (int)(start[row + 1] - start[row]), i = left - 1;
	global const uint *c = column + start[row];
	double sum = 0;
	ulong e;

	if (left <= 0) {
		out[row] = 1;
		return;
	}
	if (down) {
		do {
			e = x[*c++];
			sum = sum * 0.5 + (double)(uint)e;
		} while (--left);
	} else if (row % 3) {
		do {
			e = x[*c++];
			sum = sum * 0.5 + (double)(uint)e;
		} while (++i < 2 * left - 1);
	} else {
		do {
			e = x[*c++];
			sum = sum * 0.5 + (double)(uint)e;
		} while (!(e & 1) && --left);
	}
	out[row] = (uint)as_ulong(sum) ^ (uint)(as_ulong(sum) >> 32) ^ (uint)left << 16 ^ (uint)i << 20 ^ (uint)(c - column) ^ (uint)(e >> 33);
}

/* Rows whose elements are of one array or, every third, of another, which is chosen in front of the loop in a way of its own. */
kernel void sparse_bases(global uint *out, global const uint *start, global const uint *column, global const uint *x, global const uint *y)
{
	uint row = get_global_id(0), sum = row;
	global const uint *from = x;

	if (row % 3 == 1) {
		out[row + get_global_size(0)] = 7;
		from = y;
	}
	for (uint i = start[row]; i < start[row + 1]; i++)
		sum = sum * 5 + from[column[i]];
	out[row] = sum;
}

/* Waits for flags that lie anywhere. */
kernel void wait_for(global volatile uint *flags, global const uint *where, global uint *out)
{
	uint i = get_global_id(0), k = where[i], turns = 0;

	while (flags[k] < k + 1)
		turns++;
	out[i] = turns ? 2 : 1;
}

/* Rows of which the first lanes are off, and have other addresses that are still needed. */
kernel void late_lanes(global uint *out, global const uint *in, uint back)
{
	uint i = get_global_id(0), sum = i;
	global const uint *p = in + i + 111;
	global uint *q = out + i + 1024;

	if (i >= back) {
		p = in + (i - back);
		q = out + (i - back);
		sum += *p;
		*q = sum;
	}
	sum += p[64];
	q[512] = sum;
}

/*
 * An index that is extended with its sign and scaled by one shift of a pair whose low half is 0, in some work-groups past the largest number; a constant that
 * comes from an SGPR. Each lane's 64 bits, and the load at an address made that way, are stored.
 */
kernel __attribute__((reqd_work_group_size(64, 1, 1))) void extended(global uint *out, global const uint *in, int first)
{
	uint i = get_global_id(0), low, high, x, product;
	int n = first + (int)i;
	ulong at;

	__asm__ volatile("v_mov_b32 v40, 0\n\tv_mov_b32 v41, %2\n\tv_ashrrev_i64 v[42:43], 29, v[40:41]\n\tv_mov_b32 %0, v42\n\tv_mov_b32 %1, v43"
			 : "=v"(low), "=v"(high)
			 : "v"(n)
			 : "v40", "v41", "v42", "v43");
	__asm__ volatile("s_movk_i32 s40, 0x44\n\tv_mad_u32_u24 %0, %1, s40, %2" : "=v"(product) : "v"(i & 15), "v"(i >> 4) : "s40");
	at = ((ulong)high << 32 | low) - (ulong)((long)first * 8);
	x = at <= (ulong)i * 8 ? *(global const uint *)((global const char *)in + at) : 0;
	out[4 * i] = low;
	out[4 * i + 1] = high;
	out[4 * i + 2] = product;
	out[4 * i + 3] = x;
}

/* Rows of 16 turned over: each strip stores a line of its own, which is past the caches where the grid is large. */
kernel __attribute__((reqd_work_group_size(16, 16, 1))) void turned(global const uint *in, global uint *out, int width, int height)
{
	local uint tile[16][17];
	int lx = get_local_id(0), ly = get_local_id(1), bx = get_group_id(0) * 16, by = get_group_id(1) * 16;

	tile[ly][lx] = in[(by + ly) * width + bx + lx];
	barrier(CLK_LOCAL_MEM_FENCE);
	out[(bx + ly) * height + by + lx] = tile[lx][ly];
}

/* Classes of numbers, one or several next to each other and apart; bits in the order of test_classes(). */
kernel void classes(global uint *out, global const uint *single, global const ulong *wide)
{
	uint i = get_global_id(0), n = 0;
	float f = as_float(single[i]);
	double d = as_double(wide[i]);
	const uint masks[] = {0x001, 0x002, 0x003, 0x204, 0x260, 0x180, 0x060, 0x318, 0x000};

#pragma unroll
	for (uint k = 0; k < 9; k++) {
		n |= (uint)__builtin_amdgcn_classf(f, masks[k]) << k;
		n |= (uint)__builtin_amdgcn_classf(-f, masks[k]) << (9 + k);
	}
	out[2 * i] = n;
	n = 0;
#pragma unroll
	for (uint k = 0; k < 9; k++) {
		n |= (uint)__builtin_amdgcn_class(d, masks[k]) << k;
		n |= (uint)__builtin_amdgcn_class(-d, masks[k]) << (9 + k);
	}
	out[2 * i + 1] = n;
}

/* Rows of which only some lanes are written, in some waves all: those are stored past the caches where the grid is large. */
kernel __attribute__((reqd_work_group_size(64, 2, 1))) void framed(global const uint *in, global uint *out, int width, int height)
{
	int x = get_global_id(0), y = get_global_id(1);

	if (x >= 5 && y > 0 && x < width - 1 && y < height - 1)
		out[y * width + x] = in[y * width + x + 1] * 3 + in[y * width + x - 1];
}

/* Addresses made with masks that are arguments, between barriers. */
kernel __attribute__((reqd_work_group_size(256, 1, 1))) void masked(global uint *out, global const uint *in, uint mask, uint other)
{
	local uint part[512];
	uint l = get_local_id(0), i = get_global_id(0);

	part[l] = in[2 * i - (i & mask)];
	part[l + 256] = in[i & other];
	for (uint m = other; m & 255; m = m >> 1 & 255) {
		uint x;

		barrier(CLK_LOCAL_MEM_FENCE);
		x = part[2 * l - (l & m)];
		barrier(CLK_LOCAL_MEM_FENCE);
		if (x & 1)
			part[l + 256 * (m & 1)] = x * 3 + (l & m);
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	out[i] = part[l] + 5 * part[l + 256];
}

/* More that is kept over barriers than the host has registers. */
kernel __attribute__((reqd_work_group_size(128, 1, 1))) void sums(global uint *out, int rounds)
{
	local uint part[256];
	uint l = get_local_id(0), sum[12];

	for (uint k = 0; k < 12; k++)
		sum[k] = get_global_id(0) * 2654435761u + k;
	for (int r = 0; r < rounds; r++) {
		part[l] = sum[0] ^ r;
		part[l + 128] = sum[11] + r;
		barrier(CLK_LOCAL_MEM_FENCE);
		for (uint k = 0; k < 12; k++)
			sum[k] = sum[k] * 5 + (part[127 - l] ^ part[(l ^ 64) + 128] * (2 * k + 1));
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	for (uint k = 1; k < 12; k++)
		sum[0] = sum[0] * 3 + sum[k];
	out[get_global_id(0)] = sum[0];
}

/* Registers that every lane has, and that one lane in 64 computes with: the others keep what they had, which may be a number that costs much. */
kernel __attribute__((reqd_work_group_size(256, 1, 1))) void few_compute(global uint *out, uint kept, float factor, int rounds)
{
	uint l = get_local_id(0), x = kept, sum = kept;
	float y = factor + l;

	if (!(l & 63))
		for (int i = 0; i < rounds; i++) {
			__asm volatile("v_mul_f32 %0, %1, %1\n\tv_fma_f32 %0, %1, %1, %0" : "+v"(x) : "v"(y));
			__asm volatile("v_fma_f32 %0, %1, %1, %0\n\tv_fma_f32 %0, -%1, %1, %0" : "+v"(sum) : "v"(y));
		}
	out[get_global_id(0)] = x;
	out[get_global_id(0) + 256] = sum;
}
