/* SPDX-License-Identifier: MIT */
/*
 * items.h - what one work-item computes, as C that is both OpenCL C (the kernels) and C (their references on the host).
 *
 * ITEM(name, out type, in0 type, in1 type) { body } defines one function from two inputs to an output; ITEMS lists them for both sides.
 * Only what both languages define the same way is here: no library calls, no overflow of signed types.
 */
#ifdef __OPENCL_C_VERSION__
#define ITEM(name, O, A, B) O item_##name(A a, B b, uint i)
#else
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
#define ITEM(name, O, A, B) static O item_##name(A a, B b, uint i)
#endif

#define ITEMS(X)                                                                                                       \
	X(int_add, int, int, int)                                                                                      \
	X(int_mix, uint, uint, uint)                                                                                   \
	X(int_divide, int, int, int)                                                                                   \
	X(uint_divide, uint, uint, uint)                                                                               \
	X(long_mix, ulong, ulong, ulong)                                                                               \
	X(long_divide, ulong, ulong, ulong)                                                                            \
	X(bits, uint, uint, uint)                                                                                      \
	X(short_mix, short, short, short)                                                                              \
	X(char_mix, uchar, uchar, uchar)                                                                               \
	X(float_mix, float, float, float)                                                                              \
	X(float_compare, uint, float, float)                                                                           \
	X(double_mix, double, double, double)                                                                          \
	X(float_to_int, int, float, float)                                                                             \
	X(int_to_float, float, int, uint)                                                                              \
	X(double_to_long, long, double, double)                                                                        \
	X(long_to_double, double, ulong, ulong)                                                                        \
	X(collatz, uint, uint, uint)                                                                                   \
	X(switches, int, uint, uint)                                                                                   \
	X(nested_loops, uint, uint, uint)                                                                              \
	X(private_array, uint, uint, uint)                                                                             \
	X(mandelbrot, uint, float, float)                                                                              \
	X(calls, uint, uint, uint)

ITEM(int_add, int, int, int)
{
	return (int)((uint)a + (uint)b);
}

ITEM(int_mix, uint, uint, uint)
{
	uint v = a * b + (a ^ b) - (a >> (b & 31)) + (b << (a & 31));

	v += (uint)((int)a >> (b & 15)) & 0xffff;
	v ^= a > b ? a - b : b - a;
	v += (uint)((ulong)a * b >> 32);
	v += (uint)((long)(int)a * (int)b >> 32);
	return (int)a < (int)b ? v : ~v;
}

ITEM(int_divide, int, int, int)
{
	int d = b == 0 || b == -1 ? 7 : b;

	return (int)((uint)(a / d) + (uint)(a % d) + (uint)(a / 10));
}

ITEM(uint_divide, uint, uint, uint)
{
	uint d = b ? b : 1;

	return a / d * 3 + a % d + a / 1000;
}

ITEM(long_mix, ulong, ulong, ulong)
{
	ulong v = a * b + (a ^ ~b) - (a >> (b & 63)) + (b << (a & 63));

	v += (ulong)((long)a >> (b & 31));
	return (long)a < (long)b ? v : v + (a > b);
}

ITEM(long_divide, ulong, ulong, ulong)
{
	ulong d = (b >> (a & 63)) | 1;

	return a / d + a % d;
}

ITEM(bits, uint, uint, uint)
{
	uint v = 0;

	v += (a << 7 | a >> 25);
	v ^= (a >> (b & 15)) & ((1u << (b >> 4 & 15)) - 1);
	v += (uint)__builtin_popcount(a) << 8;
	v += (uint)(a ? __builtin_clz(a) : 32);
	v += (uint)(b ? __builtin_ctz(b) : 32) << 16;
	return (v & a) | (~a & b);
}

ITEM(short_mix, short, short, short)
{
	return (short)((a * 3 - b) ^ (a >> 2)) > a ? (short)(a + b) : (short)(a - b);
}

ITEM(char_mix, uchar, uchar, uchar)
{
	return (uchar)(a * b + (a >> 1) + (signed char)b);
}

ITEM(float_mix, float, float, float)
{
	float v = a * b + a - b;

	v = a > b ? v * 0.5f : v - 3.25f;
	return v < 0 ? -v : v;
}

ITEM(float_compare, uint, float, float)
{
	return (uint)(a < b) | (uint)(a <= b) << 1 | (uint)(a == b) << 2 | (uint)(a != b) << 3 | (uint)(a > b) << 4 |
	       (uint)(a >= b) << 5 | (uint)(a != a) << 6 | (uint)!(a < b) << 7;
}

ITEM(double_mix, double, double, double)
{
	double v = a * b - a + b;

	return v > b ? v * 0.25 : v + a;
}

ITEM(float_to_int, int, float, float)
{
	return (int)(a * 1000.0f) + (int)(uint)(b < 0 ? -b : b);
}

ITEM(int_to_float, float, int, uint)
{
	return (float)a + (float)b * 0.5f;
}

ITEM(double_to_long, long, double, double)
{
	return (long)(a * 1e6) + (long)(ulong)(b < 0 ? -b : b);
}

ITEM(long_to_double, double, ulong, ulong)
{
	return (double)a - (double)(long)b;
}

ITEM(collatz, uint, uint, uint)
{
	uint n = a % 1000 + 1, steps = 0;

	while (n != 1 && steps < 300) {
		n = n & 1 ? 3 * n + 1 : n / 2;
		steps++;
	}
	return steps;
}

ITEM(switches, int, uint, uint)
{
	int v = 0;

	for (uint k = 0; k < (b & 7); k++) {
		switch ((a >> (3 * k)) & 15) {
		case 0:
			v += 1;
			break;
		case 1:
			v ^= 0x55;
			break;
		case 2:
			v -= 7;
			/* fall through */
		case 3:
			v *= 3;
			break;
		case 5:
			continue;
		case 7:
			return v;
		case 9:
			v += (int)i;
			break;
		case 12:
			v = ~v;
			break;
		default:
			v += (int)k;
		}
		v &= 0xfffff;
	}
	return v;
}

ITEM(nested_loops, uint, uint, uint)
{
	uint sum = 0;

	for (uint x = 0; x < (a & 15); x++) {
		for (uint y = x; y < (b & 15); y++) {
			if ((x ^ y ^ i) & 1)
				continue;
			if (y > 12)
				break;
			sum += x * y + 1;
		}
		if (sum > 500)
			break;
	}
	return sum;
}

ITEM(private_array, uint, uint, uint)
{
	uint t[24];
	uchar c[16];
	uint sum = 0;

	for (uint k = 0; k < 24; k++)
		t[k] = a + k * b;
	for (uint k = 0; k < 16; k++)
		c[k] = (uchar)(a >> (k & 7));
	for (uint k = 0; k < 12; k++) {
		uint at = (a >> k) % 24;

		t[at] ^= t[(b >> k) % 24] + c[(at + k) & 15];
		c[(at ^ k) & 15] += (uchar)k;
	}
	for (uint k = 0; k < 24; k++)
		sum = sum * 31 + t[k];
	for (uint k = 0; k < 16; k++)
		sum = sum * 7 + c[k];
	return sum;
}

ITEM(mandelbrot, uint, float, float)
{
	float cx = a * 0.002f, cy = b * 0.002f, x = 0, y = 0;
	uint n = 0;

	while (n < 200 && x * x + y * y < 4.0f) {
		float t = x * x - y * y + cx;

		y = 2.0f * x * y + cy;
		x = t;
		n++;
	}
	return n;
}

#ifndef __OPENCL_C_VERSION__
static
#endif
__attribute__((noinline)) uint call_leaf(uint x, uint *p)
{
	*p += x ^ 0x1234;
	return x * 5 + *p;
}

#ifndef __OPENCL_C_VERSION__
static
#endif
__attribute__((noinline)) uint call_middle(uint x, uint y)
{
	uint local_value = y;
	uint r = call_leaf(x, &local_value);

	return x & 1 ? r + local_value : call_leaf(r, &local_value) ^ local_value;
}

ITEM(calls, uint, uint, uint)
{
	uint v = call_middle(a, b);

	if (v & 4)
		v += call_middle(v, i);
	return v;
}
