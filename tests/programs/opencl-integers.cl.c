// SPDX-License-Identifier: MIT
/*
 * opencl-integers - OpenCL's integer built-ins and operators on all eight integer types, conversions between all types with saturation and rounding
 * modes, half loads and stores, against C in wider types. All results must be the same bit by bit.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "tests/programs/cl.h"

typedef __int128 wide;
typedef unsigned __int128 uwide;

#define COUNT 1024
#define GROUP 64

struct type {
	const char *name, *unsigned_name, *signed_name;
	unsigned bits;
	bool is_signed;
};

static const struct type types[] = {
	{"char", "uchar", "char", 8, true},    {"uchar", "uchar", "char", 8, false},	{"short", "ushort", "short", 16, true}, {"ushort", "ushort", "short", 16, false},
	{"int", "uint", "int", 32, true},      {"uint", "uint", "int", 32, false},	{"long", "ulong", "long", 64, true},	{"ulong", "ulong", "long", 64, false},
};
#define TYPES (sizeof(types) / sizeof(types[0]))

static wide least(const struct type *t)
{
	return t->is_signed ? -((wide)1 << (t->bits - 1)) : 0;
}

static wide most(const struct type *t)
{
	return ((wide)1 << (t->bits - t->is_signed)) - 1;
}

/* x as the type holds it: its low bits. */
static wide wrap(const struct type *t, wide x)
{
	uwide u = (uwide)x & (((uwide)1 << t->bits) - 1);

	return t->is_signed && u >> (t->bits - 1) ? (wide)u - ((wide)1 << t->bits) : (wide)u;
}

static wide saturate(const struct type *t, wide x)
{
	return x < least(t) ? least(t) : x > most(t) ? most(t) : x;
}

static wide floor_half(wide x)
{
	return x >> 1;
}

static wide leading_zeros(const struct type *t, wide x)
{
	wide n = 0;

	for (int b = (int)t->bits - 1; b >= 0 && !((x >> b) & 1); b--)
		n++;
	return n;
}

static wide trailing_zeros(const struct type *t, wide x)
{
	wide n = 0;

	while (n < t->bits && !((x >> n) & 1))
		n++;
	return n;
}

static wide ones(const struct type *t, wide x)
{
	wide n = 0;

	for (unsigned b = 0; b < t->bits; b++)
		n += (x >> b) & 1;
	return n;
}

static wide rotated(const struct type *t, wide x, wide by)
{
	uwide u = (uwide)x & (((uwide)1 << t->bits) - 1);
	unsigned n = (unsigned)by & (t->bits - 1);

	return wrap(t, (wide)(u << n | u >> (t->bits - n)));
}

/* The high half of a 2 * bits product: may not fit 128 bits only for ulong, whose operands are not negative. */
static wide high_half(const struct type *t, wide a, wide b)
{
	return t->is_signed ? (a * b) >> t->bits : (wide)(((uwide)a * (uwide)b) >> t->bits);
}

static wide absolute(wide x)
{
	return x < 0 ? -x : x;
}

/* An operation: its OpenCL expression of a, b, c of type T (TU unsigned, TS signed), and its value; fits tells for which types it is there. */
struct operation {
	const char *name, *expression;
	wide (*value)(const struct type *t, wide a, wide b, wide c);
	unsigned least_bits, most_bits;
};

#define OPERATIONS(X) \
	X(add, "a + b", 8, 64, a + b) X(sub, "a - b", 8, 64, a - b) X(mul, "a * b", 8, 64, (wide)((uwide)a * (uwide)b)) \
	X(div, "(b == 0 || b == (T)-1) ? a : a / b", 8, 64, b == 0 || b == wrap(t, -1) ? a : a / b) \
	X(rem, "(b == 0 || b == (T)-1) ? a : a % b", 8, 64, b == 0 || b == wrap(t, -1) ? a : a % b) \
	X(shl, "a << (b & (T)(sizeof(T) * 8 - 1))", 8, 64, (wide)((uwide)a << (b & (t->bits - 1)))) X(shr, "a >> (b & (T)(sizeof(T) * 8 - 1))", 8, 64, a >> (b & (t->bits - 1))) \
	X(and, "a & b", 8, 64, a &b) X(ornot, "a | ~b", 8, 64, a | ~b) X(xor, "a ^ b", 8, 64, a ^ b) X(less, "a < b", 8, 64, a < b) X(not_less, "a >= b", 8, 64, a >= b) X(equal, "a == b", 8, 64, a == b) \
	X(abs, "abs(a)", 8, 64, absolute(a)) X(abs_diff, "abs_diff(a, b)", 8, 64, absolute(a - b)) X(add_sat, "add_sat(a, b)", 8, 64, saturate(t, a + b)) \
	X(sub_sat, "sub_sat(a, b)", 8, 64, saturate(t, a - b)) X(hadd, "hadd(a, b)", 8, 64, floor_half(a + b)) X(rhadd, "rhadd(a, b)", 8, 64, floor_half(a + b + 1)) \
	X(clamp, "clamp(a, min(b, c), max(b, c))", 8, 64, a < (b < c ? b : c) ? (b < c ? b : c) : a > (b > c ? b : c) ? (b > c ? b : c) : a) \
	X(clz, "clz(a)", 8, 64, leading_zeros(t, a)) X(ctz, "ctz(a)", 8, 64, trailing_zeros(t, a)) X(popcount, "popcount(a)", 8, 64, ones(t, a)) \
	X(max, "max(a, b)", 8, 64, a > b ? a : b) X(min, "min(a, b)", 8, 64, a < b ? a : b) X(mul_hi, "mul_hi(a, b)", 8, 64, high_half(t, a, b)) \
	X(mad_hi, "mad_hi(a, b, c)", 8, 64, high_half(t, a, b) + c) X(mad_sat, "mad_sat(a, b, c)", 8, 32, saturate(t, a *b + c)) \
	X(mad_sat_48, "mad_sat(a >> 32, b >> 32, c)", 64, 64, saturate(t, (a >> 32) * (b >> 32) + c)) X(mad_sat_80, "mad_sat((T)(a >> 24), b >> 24, c)", 64, 64, saturate(t, (a >> 24) * (b >> 24) + c)) \
	X(rotate, "rotate(a, b)", 8, 64, rotated(t, a, b)) X(mul24, "mul24((T)(a >> 8), (T)(b >> 8))", 32, 32, (a >> 8) * (b >> 8)) \
	X(mad24, "mad24((T)(a >> 8), (T)(b >> 8), c)", 32, 32, (a >> 8) * (b >> 8) + c) X(bitselect, "bitselect(a, b, c)", 8, 64, (a & ~c) | (b & c)) \
	X(select, "select(a, b, (TU)c)", 8, 64, c ? b : a) X(swizzle, "((T2)(a, b)).yx.x", 8, 64, b) \
	X(upsample8, "(T)(upsample((char)(a >> 8), (uchar)b) ^ (short)c)", 16, 16, (((a >> 8) << 8) | (b & 255)) ^ c) \
	X(upsample16, "(T)(upsample((short)(a >> 16), (ushort)b) ^ (int)c)", 32, 32, (((a >> 16) << 16) | (b & 65535)) ^ c) \
	X(upsample32, "(T)(upsample((uint)(a >> 32), (uint)b) ^ (ulong)c)", 64, 64, (((a >> 32) << 32) | (b & 0xffffffff)) ^ c)


#define X(name, expression, lo, hi, body) \
	static wide value_##name(const struct type *t, wide a, wide b, wide c) \
	{ \
		(void)a, (void)b, (void)c; \
		return wrap(t, body); \
	}
OPERATIONS(X)
#undef X

static const struct operation operations[] = {
#define X(name, expression, lo, hi, body) {#name, expression, value_##name, lo, hi},
	OPERATIONS(X)
#undef X
};
#define NUM_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static wide random_of(const struct type *t)
{
	uint64_t r = tap_random();

	switch (r >> 61) {
	case 0: return (wide)((r >> 8) % 5) + (t->is_signed ? -2 : 0);
	case 1: return most(t) - (wide)((r >> 8) % 3);
	case 2: return least(t) + (wide)((r >> 8) % 3);
	case 3: return wrap(t, (wide)1 << ((r >> 8) % t->bits));
	case 4: return wrap(t, (wide)(r & 0xff));
	default: return wrap(t, (wide)((r << 13) ^ (r >> 7)));
	}
}

static void put(const struct type *t, void *array, unsigned i, wide x)
{
	memcpy((char *)array + i * t->bits / 8, &x, t->bits / 8);
}

static wide get(const struct type *t, const void *array, unsigned i)
{
	wide x = 0;

	memcpy(&x, (const char *)array + i * t->bits / 8, t->bits / 8);
	return wrap(t, x);
}

static char source[512 * 1024];
static size_t source_size;

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	source_size += (size_t)vsnprintf(source + source_size, sizeof(source) - source_size, format, args);
	va_end(args);
	if (source_size >= sizeof(source))
		tap_bail("the source is too long");
}

static cl_program build_source(const char *options)
{
	cl_program program = cl_build(source, options);

	source_size = 0;
	return program;
}

/* All operations on one type, in one kernel: results of operation k from out[k * COUNT]. */
static void integers(const struct type *t)
{
	static uint64_t in[3][COUNT], out[NUM_OPERATIONS * COUNT];
	cl_program program;
	unsigned used = 0;

	add("#define T %s\n#define T2 %s2\n#define TU %s\n#define TS %s\n", t->name, t->name, t->unsigned_name, t->signed_name);
	add("__kernel void k(__global const T *pa, __global const T *pb, __global const T *pc, __global T *out)\n{\n"
	    "\tsize_t i = get_global_id(0);\n\tT a = pa[i], b = pb[i], c = pc[i];\n");
	for (unsigned k = 0; k < NUM_OPERATIONS; k++)
		if (t->bits >= operations[k].least_bits && t->bits <= operations[k].most_bits && !(strstr(operations[k].name, "upsample") && t->is_signed != (t->bits < 64)))
			add("\tout[%u * %u + i] = %s;\n", used++, COUNT, operations[k].expression);
	add("}\n");
	program = build_source("-cl-std=CL2.0");
	for (unsigned i = 0; i < COUNT; i++)
		for (unsigned k = 0; k < 3; k++)
			put(t, in[k], i, random_of(t));
	cl_run(program, "k", COUNT, GROUP, (struct cl_arg[]){{in[0], sizeof(in[0]), false}, {in[1], sizeof(in[0]), false}, {in[2], sizeof(in[0]), false},
		{out, sizeof(out), true}}, 4);
	used = 0;
	for (unsigned k = 0; k < NUM_OPERATIONS; k++) {
		const struct operation *o = &operations[k];
		int wrong = -1;

		if (t->bits < o->least_bits || t->bits > o->most_bits || (strstr(o->name, "upsample") && t->is_signed != (t->bits < 64)))
			continue;
		for (unsigned i = 0; i < COUNT && wrong < 0; i++)
			if (get(t, out, used * COUNT + i) != o->value(t, get(t, in[0], i), get(t, in[1], i), get(t, in[2], i)))
				wrong = (int)i;
		if (!tap(wrong < 0, "%s %s", t->name, o->name)) {
			unsigned i = (unsigned)wrong;
			wide a = get(t, in[0], i), b = get(t, in[1], i), c = get(t, in[2], i);

			printf("# a=%lld b=%lld c=%lld: got %lld, right is %lld\n", (long long)a, (long long)b, (long long)c,
			       (long long)get(t, out, used * COUNT + i), (long long)o->value(t, a, b, c));
		}
		used++;
	}
}

/* ---- conversions ---- */

static const struct {
	const char *name;
	int mode;
} roundings[] = {{"rte", FE_TONEAREST}, {"rtz", FE_TOWARDZERO}, {"rtp", FE_UPWARD}, {"rtn", FE_DOWNWARD}};
#define ROUNDINGS 4

static long double rounded(long double x, int mode)
{
	fesetround(mode);
	x = rintl(x);
	fesetround(FE_TONEAREST);
	return x;
}

/* What convert_T_sat_MODE(x) gives of a number; of NaN the specification recommends 0, which the device library does not heed. */
static wide to_integer(const struct type *t, long double x, int mode)
{
	x = rounded(x, mode);
	return x <= (long double)least(t) ? least(t) : x >= (long double)most(t) ? most(t) : (wide)x;
}

static double random_real(bool is_double)
{
	static const double special[] = {0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, 127.5, 128.5, 255.5, -128.5, 32767.5, 65535.5, 2147483647.5, 4294967295.5, -2147483648.5,
		9223372036854775807.0, 18446744073709551615.0, 1e30, -1e30, INFINITY, -INFINITY, NAN, 1e-30, 0x1p-149};
	uint64_t r = tap_random();
	double x;

	if (r % 8 == 0)
		x = special[(r >> 8) % (sizeof(special) / sizeof(special[0]))];
	else
		x = ldexp((double)(int64_t)tap_random(), -(int)(r >> 8) % 68);
	if (r % 8 == 1)
		x = rint(x) + 0.5;
	return is_double ? x : (float)x;
}

static void from_real(bool is_double)
{
	static double in[COUNT], out[TYPES * ROUNDINGS * COUNT];
	static float single[COUNT];
	const char *name = is_double ? "double" : "float";
	cl_program program;

	for (unsigned k = 0; k < TYPES; k++) {
		add("__kernel void k%u(__global const %s *in, __global %s *out)\n{\n\tsize_t i = get_global_id(0);\n\t%s x = in[i];\n", k, name, types[k].name, name);
		for (unsigned m = 0; m < ROUNDINGS; m++)
			add("\tout[%u * %u + i] = convert_%s_sat_%s(x);\n", m, COUNT, types[k].name, roundings[m].name);
		add("}\n");
	}
	program = build_source("");
	for (unsigned i = 0; i < COUNT; i++)
		single[i] = (float)(in[i] = random_real(is_double));
	for (unsigned k = 0; k < TYPES; k++) {
		char kernel[8];

		snprintf(kernel, sizeof(kernel), "k%u", k);
		cl_run(program, kernel, COUNT, GROUP, (struct cl_arg[]){{is_double ? (void *)in : (void *)single, is_double ? sizeof(in) : sizeof(single), false},
			{out, sizeof(out), true}}, 2);
		for (unsigned m = 0; m < ROUNDINGS; m++) {
			int wrong = -1;

			for (unsigned i = 0; i < COUNT && wrong < 0; i++)
				if (!isnan(in[i]) && get(&types[k], out, m * COUNT + i) != to_integer(&types[k], in[i], roundings[m].mode))
					wrong = (int)i;
			if (!tap(wrong < 0, "%s to %s, %s, saturated", name, types[k].name, roundings[m].name))
				printf("# %a: got %lld, right is %lld\n", in[wrong], (long long)get(&types[k], out, m * COUNT + (unsigned)wrong),
				       (long long)to_integer(&types[k], in[wrong], roundings[m].mode));
		}
	}
}

static bool same(double a, double b)
{
	return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static double to_real(long double x, int mode, bool is_double)
{
	volatile long double from = x;
	volatile double d;
	volatile float f;

	fesetround(mode);
	d = (double)from;
	f = (float)from;
	fesetround(FE_TONEAREST);
	return is_double ? d : f;
}

/* From the 32- and 64-bit integers (k = 0 to 3) and double (4) to float and double. */
static void to_reals(void)
{
	static union {
		uint64_t words[COUNT];
		double reals[COUNT];
	} in;
	static float singles[ROUNDINGS * COUNT];
	static double doubles[ROUNDINGS * COUNT];
	cl_program program;

	for (unsigned k = 0; k < 5; k++) {
		const char *name = k < 4 ? types[4 + k].name : "double";

		add("__kernel void k%u(__global const %s *in, __global float *f, __global double *d)\n{\n\tsize_t i = get_global_id(0);\n\t%s x = in[i];\n", k, name, name);
		for (unsigned m = 0; m < ROUNDINGS; m++)
			add("\tf[%u * %u + i] = convert_float_%s(x);\n\td[%u * %u + i] = convert_double_%s(x);\n", m, COUNT, roundings[m].name, m, COUNT, roundings[m].name);
		add("}\n");
	}
	program = build_source("");
	for (unsigned k = 0; k < 5; k++) {
		const char *name = k < 4 ? types[4 + k].name : "double";
		char kernel[8];

		for (unsigned i = 0; i < COUNT; i++) {
			if (k < 4)
				put(&types[4 + k], in.words, i, random_of(&types[4 + k]));
			else
				in.reals[i] = i & 1 ? random_real(true) : ldexp(random_real(true), (int)(tap_random() % 300) - 150);
		}
		snprintf(kernel, sizeof(kernel), "k%u", k);
		cl_run(program, kernel, COUNT, GROUP, (struct cl_arg[]){{&in, sizeof(in), false}, {singles, sizeof(singles), true}, {doubles, sizeof(doubles), true}}, 3);
		for (unsigned m = 0; m < ROUNDINGS; m++) {
			for (int is_double = 0; is_double < 2; is_double++) {
				int wrong = -1;
				long double x = 0;

				for (unsigned i = 0; i < COUNT && wrong < 0; i++) {
					x = k < 4 ? (long double)get(&types[4 + k], in.words, i) : in.reals[i];
					if (!same(is_double ? doubles[m * COUNT + i] : singles[m * COUNT + i], to_real(x, roundings[m].mode, is_double)))
						wrong = (int)i;
				}
				if (!tap(wrong < 0, "%s to %s, %s", name, is_double ? "double" : "float", roundings[m].name))
					printf("# %La: got %a, right is %a\n", x, is_double ? doubles[m * COUNT + (unsigned)wrong] : singles[m * COUNT + (unsigned)wrong],
					       to_real(x, roundings[m].mode, is_double));
			}
		}
	}
}

/* Between the integer types, saturated and not: one kernel for each source type. */
static void between_integers(void)
{
	static uint64_t in[COUNT], out[2 * TYPES * COUNT];
	cl_program program;

	for (unsigned k = 0; k < TYPES; k++) {
		add("__kernel void k%u(__global const %s *in, __global long *out)\n{\n\tsize_t i = get_global_id(0);\n\t%s x = in[i];\n", k, types[k].name, types[k].name);
		for (unsigned d = 0; d < TYPES; d++)
			add("\tout[%u * %u + i] = (long)convert_%s_sat(x);\n\tout[%u * %u + i] = (long)convert_%s(x);\n", 2 * d, COUNT, types[d].name, 2 * d + 1, COUNT, types[d].name);
		add("}\n");
	}
	program = build_source("");
	for (unsigned k = 0; k < TYPES; k++) {
		char kernel[8];

		for (unsigned i = 0; i < COUNT; i++)
			put(&types[k], in, i, random_of(&types[k]));
		snprintf(kernel, sizeof(kernel), "k%u", k);
		cl_run(program, kernel, COUNT, GROUP, (struct cl_arg[]){{in, sizeof(in), false}, {out, sizeof(out), true}}, 2);
		for (unsigned d = 0; d < TYPES; d++) {
			bool good = true;

			for (unsigned i = 0; i < COUNT; i++) {
				wide x = get(&types[k], in, i);

				good &= out[2 * d * COUNT + i] == (uint64_t)saturate(&types[d], x) && out[(2 * d + 1) * COUNT + i] == (uint64_t)wrap(&types[d], x);
			}
			tap(good, "%s to %s", types[k].name, types[d].name);
		}
	}
}

/* ---- half ---- */

/* The half nearest to x in the direction of mode, as a double. */
static double to_half(double x, int mode)
{
	double unit, r;
	int e;

	if (!isfinite(x) || x == 0)
		return x;
	frexp(x, &e);
	unit = ldexp(1, (e < -13 ? -13 : e) - 11);
	r = copysign((double)rounded((long double)x / unit, mode) * unit, x);
	if (fabs(r) <= 65504)
		return r;
	if (mode == FE_TONEAREST || (mode == FE_UPWARD && x > 0) || (mode == FE_DOWNWARD && x < 0))
		return copysign(INFINITY, x);
	return copysign(65504, x);
}

static double half_value(uint16_t h)
{
	int e = h >> 10 & 31;
	double m = h & 1023, x = e == 31 ? (m != 0 ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);

	return h & 0x8000 ? -x : x;
}

static void halves(void)
{
	static float in[COUNT], loaded[65536];
	static double in_double[COUNT];
	static uint16_t out[2 * ROUNDINGS * COUNT], all[65536];
	cl_program program;
	bool good = true;

	add("__kernel void k(__global const float *in, __global const double *in_double, __global half *out)\n{\n\tsize_t i = get_global_id(0);\n");
	for (unsigned m = 0; m < ROUNDINGS; m++)
		add("\tvstore_half_%s(in[i], %u * %u + i, out);\n\tvstore_half_%s(in_double[i], %u * %u + i, out);\n", roundings[m].name, 2 * m, COUNT, roundings[m].name,
		    2 * m + 1, COUNT);
	add("}\n__kernel void load(__global const half *in, __global float *out)\n{\n\tsize_t i = get_global_id(0);\n\tvstore4(vload_half4(i, in), i, out);\n}\n");
	program = build_source("");
	for (unsigned i = 0; i < COUNT; i++) {
		in_double[i] = ldexp(random_real(true), -(int)(tap_random() % 50));
		in[i] = (float)ldexp(random_real(false), -(int)(tap_random() % 50));
	}
	for (unsigned i = 0; i < 65536; i++)
		all[i] = (uint16_t)i;
	cl_run(program, "k", COUNT, GROUP, (struct cl_arg[]){{in, sizeof(in), false}, {in_double, sizeof(in_double), false}, {out, sizeof(out), true}}, 3);
	cl_run(program, "load", 65536 / 4, GROUP, (struct cl_arg[]){{all, sizeof(all), false}, {loaded, sizeof(loaded), true}}, 2);
	for (unsigned m = 0; m < ROUNDINGS; m++) {
		for (unsigned is_double = 0; is_double < 2; is_double++) {
			int wrong = -1;

			for (unsigned i = 0; i < COUNT && wrong < 0; i++)
				if (!same(half_value(out[(2 * m + is_double) * COUNT + i]), to_half(is_double ? in_double[i] : in[i], roundings[m].mode)))
					wrong = (int)i;
			if (!tap(wrong < 0, "vstore_half_%s of %s", roundings[m].name, is_double ? "double" : "float")) {
				double x = is_double ? in_double[wrong] : in[wrong];

				printf("# %a: got %a, right is %a\n", x, half_value(out[(2 * m + is_double) * COUNT + (unsigned)wrong]), to_half(x, roundings[m].mode));
			}
		}
	}
	for (unsigned i = 0; i < 65536; i++)
		good &= same(loaded[i], half_value((uint16_t)i));
	tap(good, "vload_half4 of every half");
}

int main(void)
{
	cl_open();
	for (unsigned k = 0; k < TYPES; k++)
		integers(&types[k]);
	from_real(false);
	from_real(true);
	to_reals();
	between_integers();
	halves();
	return tap_end();
}
