/* SPDX-License-Identifier: MIT */
/*
 * valu_ops.c - each operation of valu_ref.inc against its reference: special and random values, all
 * EXEC patterns, every build.
 */
#include <stdlib.h>

#include "tests/exec/valu_test.h"

/* ---- pieces of references ---- */

static uint64_t bit_loop_rev(uint64_t x)
{
	uint64_t r = 0;

	for (int i = 0; i < 32; i++)
		if (x >> i & 1)
			r += 1ull << (31 - i);
	return r;
}

static uint64_t bit_loop_pick(uint64_t m, uint64_t x, uint64_t y)
{
	uint64_t r = 0;

	for (int i = 0; i < 32; i++)
		r |= ((m >> i & 1 ? x : y) >> i & 1) << i;
	return r;
}

static uint64_t sat8(int x)
{
	return x < 0 ? 0 : x > 255 ? 255 : (uint64_t)x;
}

static uint64_t to_int(long double x, long double lo, long double hi)
{
	if (isnan(x))
		return 0;
	if (x <= lo)
		return (uint64_t)(int64_t)lo;
	if (x >= hi)
		return (uint64_t)(int64_t)hi;
	return (uint64_t)(int64_t)truncl(x);
}

static uint64_t norm(long double x, long double scale, long double lo)
{
	if (isnan(x))
		return 0;
	x = x < lo ? lo : x > 1 ? 1 : x;
	return (uint64_t)(int64_t)rintl(x * scale);
}

static float fminnan(float x, float limit)
{
	return x > limit ? limit : x;
}

static double dminnan(double x, double limit)
{
	return x > limit ? limit : x;
}

static int my_frexp(long double x, long double *m)
{
	int e = 0;
	long double r = frexpl(x, &e);

	if (m)
		*m = r;
	return e;
}

static long double my_mant(long double x)
{
	long double m = x;

	if (isfinite(x))
		my_frexp(x, &m);
	return m;
}

static uint64_t flush_f(uint64_t u)
{
	return fabsf(vt_f32(u)) < 0x1p-126f ? u & 0x80000000 : u;
}

static uint64_t mad_flush(uint64_t a, uint64_t b, uint64_t c)
{
	long double p = (long double)vt_f32(flush_f(a)) * vt_f32(flush_f(b));
	float prod = vt_f32(flush_f(vt_of_f32((float)p)));

	return flush_f(vt_of_f32((float)((long double)prod + vt_f32(flush_f(c)))));
}

static int64_t s24(uint64_t x)
{
	int64_t v = (int64_t)(x % 16777216);

	return v >= 8388608 ? v - 16777216 : v;
}

static uint64_t bfe_loop(int32_t x, unsigned off, unsigned width)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < 32; i++) {
		unsigned at = off + (i < width ? i : width - 1);

		if (width)
			r |= (uint64_t)(x >> (at > 31 ? 31 : at) & 1) << i;
	}
	return r;
}

static uint64_t perm_loop(uint64_t a, uint64_t b, uint64_t sel)
{
	uint8_t in[8], r[4];

	for (int i = 0; i < 4; i++) {
		in[i] = (uint8_t)(b >> 8 * i);
		in[i + 4] = (uint8_t)(a >> 8 * i);
	}
	for (int i = 0; i < 4; i++) {
		uint8_t s = (uint8_t)(sel >> 8 * i);

		if (s < 8)
			r[i] = in[s];
		else if (s < 12)
			r[i] = in[2 * (s - 8) + 1] & 0x80 ? 0xff : 0;
		else
			r[i] = s == 12 ? 0 : 0xff;
	}
	return r[0] | r[1] << 8 | r[2] << 16 | (uint64_t)r[3] << 24;
}

static int compare64(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return (a > b) - (a < b);
}

static int64_t sort3(int64_t a, int64_t b, int64_t c, int which)
{
	int64_t v[3] = {a, b, c};

	qsort(v, 3, sizeof(v[0]), compare64);
	return v[which];
}

static uint64_t mbcnt_loop(uint64_t x, unsigned base, unsigned l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < 32; i++)
		if (base + i < l && (x >> i & 1))
			n++;
	return n;
}

static uint64_t sad_loop(uint64_t a, uint64_t b, unsigned bits, unsigned n, bool masked)
{
	uint64_t r = 0, m = (1ull << bits) - 1;

	for (unsigned i = 0; i < n; i++) {
		int64_t x = (int64_t)(a >> bits * i & m), y = (int64_t)(b >> bits * i & m);

		if (!masked || y)
			r += (uint64_t)llabs(x - y);
	}
	return r;
}

static uint64_t qsad_loop(uint64_t a, uint64_t b, uint64_t c, bool masked)
{
	uint16_t part[4];
	uint64_t r;

	for (int i = 0; i < 4; i++)
		part[i] = (uint16_t)(sad_loop(a >> 8 * i & 0xffffffff, b, 8, 4, masked) +
				     (c >> 16 * i));
	memcpy(&r, part, 8);
	return r;
}

static uint64_t lerp_loop(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t r = 0;

	for (int i = 0; i < 4; i++) {
		uint64_t x = a >> 8 * i & 255, y = b >> 8 * i & 255, round = c >> 8 * i & 1;

		r += (x + y + round) / 2 << 8 * i;
	}
	return r;
}

static uint64_t put_byte(uint64_t x, uint64_t n, uint64_t byte)
{
	uint8_t v[8];

	memcpy(v, &x, 8);
	v[n] = (uint8_t)byte;
	memcpy(&x, v, 8);
	return x;
}

/* The if-chain of the manual, in IEEE mode (VT_MODE), on values of any width given as double plus
 * their bits. */
struct num {
	uint64_t bits, quiet;
	long double v;
	bool nan;
};

static uint64_t chain(struct num a, struct num b, bool max)
{
	if (a.nan && !(a.bits & a.quiet))
		return a.bits | a.quiet;
	if (b.nan && !(b.bits & b.quiet))
		return b.bits | b.quiet;
	if (a.nan)
		return b.bits;
	if (b.nan)
		return a.bits;
	if (a.v == 0 && b.v == 0)
		return !!signbit(a.v) == max ? b.bits : a.bits;
	if (max)
		return a.v >= b.v ? a.bits : b.bits;
	return a.v < b.v ? a.bits : b.bits;
}

static struct num num32(uint64_t a)
{
	return (struct num){a, 0x400000, isnan(vt_f32(a)) ? 0 : (long double)vt_f32(a),
			    isnan(vt_f32(a))};
}

static struct num num16(uint64_t a)
{
	return (struct num){a, 0x200, vt_h2d((uint32_t)a), isnan(vt_h2d((uint32_t)a))};
}

static struct num num64(uint64_t a)
{
	return (struct num){a, 1ull << 51, isnan(vt_f64(a)) ? 0 : (long double)vt_f64(a),
			    isnan(vt_f64(a))};
}

static uint64_t minmax32(uint64_t a, uint64_t b, bool max)
{
	return chain(num32(a), num32(b), max);
}

static uint64_t minmax16(uint64_t a, uint64_t b, bool max)
{
	return chain(num16(a), num16(b), max);
}

static uint64_t minmax64(uint64_t a, uint64_t b, bool max)
{
	return chain(num64(a), num64(b), max);
}

static uint64_t med3_32(uint64_t a, uint64_t b, uint64_t c)
{
	float m;

	if (num32(a).nan || num32(b).nan || num32(c).nan)
		return minmax32(minmax32(a, b, false), c, false);
	m = vt_f32(minmax32(minmax32(a, b, true), c, true));
	if (m == vt_f32(a))
		return minmax32(b, c, true);
	return m == vt_f32(b) ? minmax32(a, c, true) : minmax32(a, b, true);
}

static uint64_t med3_16(uint64_t a, uint64_t b, uint64_t c)
{
	double m;

	if (num16(a).nan || num16(b).nan || num16(c).nan)
		return minmax16(minmax16(a, b, false), c, false);
	m = vt_h2d((uint32_t)minmax16(minmax16(a, b, true), c, true));
	if (m == vt_h2d((uint32_t)a))
		return minmax16(b, c, true);
	return m == vt_h2d((uint32_t)b) ? minmax16(a, c, true) : minmax16(a, b, true);
}

/* Products of f16 are exact in long double, and so are their sums with an f16 but for a far smaller
 * term, which __float128 holds. */
static uint64_t fma16(double a, double b, double c)
{
	__float128 r = (__float128)a * b + c, q;
	long double t = (long double)r;

	/* keep on the right side of a tie what long double would lose */
	q = r - (__float128)t;
	if (q != 0 && isfinite(t))
		t = nextafterl(t, q > 0 ? (long double)INFINITY : -(long double)INFINITY);
	return vt_d2h(t, 0);
}

static uint64_t pkrtz(uint64_t a)
{
	uint32_t h = vt_d2h(vt_f32(a), 3);

	return isnan(vt_f32(a)) ? (a >> 16 & 0x8000) | 0x7e00 | (a >> 13 & 0x3ff) : h;
}

static uint64_t cube_face(float x, float y, float z)
{
	float face = fabsf(z) >= fabsf(x) && fabsf(z) >= fabsf(y) ? (z < 0 ? 5.0f : 4.0f)
		     : fabsf(y) >= fabsf(x)			  ? (y < 0 ? 3.0f : 2.0f)
								  : (x < 0 ? 1.0f : 0.0f);

	return vt_of_f32(face);
}

/* ---- the table ---- */

struct lane {
	uint64_t v[3];
	uint64_t old;
	unsigned l;
};

#define REF(OP, D, S, ...)                                                                         \
	static uint64_t ref_##OP(const struct lane *x)                                             \
	{                                                                                          \
		uint64_t a = x->v[0], b = x->v[1], c = x->v[2], old = x->old;                      \
		float fa = vt_f32(a), fb = vt_f32(b), fc = vt_f32(c);                              \
		double da = vt_f64(a), db = vt_f64(b), dc = vt_f64(c);                             \
		double ha = vt_h2d((uint32_t)a), hb = vt_h2d((uint32_t)b),                         \
		       hc = vt_h2d((uint32_t)c);                                                   \
		int32_t ia = (int32_t)a, ib = (int32_t)b, ic = (int32_t)c;                         \
		int64_t lb = (int64_t)b;                                                           \
		int16_t wa = (int16_t)a, wb = (int16_t)b, wc = (int16_t)c;                         \
		unsigned l = x->l;                                                                 \
		(void)b, (void)c, (void)old, (void)fa, (void)fb, (void)fc, (void)da, (void)db;     \
		(void)dc, (void)ha, (void)hb, (void)hc, (void)ia, (void)ib, (void)ic, (void)lb;    \
		(void)wa, (void)wb, (void)wc, (void)l;                                             \
		return (uint64_t)(__VA_ARGS__);                                                    \
	}
#include "tests/exec/valu_ref.inc"
#undef REF

static const struct ref {
	unsigned op;
	char result;
	const char *sources;
	uint64_t (*fn)(const struct lane *x);
} refs[] = {
#define REF(OP, D, S, ...) {ISA_##OP, D, S, ref_##OP},
#include "tests/exec/valu_ref.inc"
};

/* A source as the f64 NaN that it would be, or 0. */
static uint64_t nan_of(char type, uint64_t v)
{
	if (type == 'f' && isnan(vt_f32(v)))
		return (v & 0x80000000) << 32 | 0x7ff8ull << 48 | (v & 0x3fffff) << 29;
	if (type == 'h' && isnan(vt_h2d((uint32_t)v)))
		return (v & 0x8000) << 48 | 0x7ff8ull << 48 | (v & 0x1ff) << 42;
	if (type == 'd' && isnan(vt_f64(v)))
		return v | 1ull << 51;
	return 0;
}

/* The NaN rule: the first NaN source, quieted, else the default NaN. */
static uint64_t rule_nan(const struct ref *r, const struct lane *x)
{
	uint64_t n = 0xfff8000000000000ull;

	for (unsigned i = 0; r->sources[i]; i++) {
		char type = r->sources[i] == 'o' ? 'f' : r->sources[i];

		if (nan_of(type, x->v[i])) {
			n = nan_of(type, x->v[i]);
			break;
		}
	}
	if (r->result == 'N')
		return n;
	if (r->result == 'n')
		return (n >> 32 & 0x80000000) | 0x7fc00000 | (n >> 29 & 0x3fffff);
	return (n >> 48 & 0x8000) | 0x7e00 | (n >> 42 & 0x1ff);
}

static uint64_t expected(const struct ref *r, const struct lane *x)
{
	uint64_t v = r->fn(x);

	if ((r->result == 'n' && isnan(vt_f32(v))) || (r->result == 'N' && isnan(vt_f64(v))) ||
	    ((r->result == 'm' || r->result == 'M') && isnan(vt_h2d((uint32_t)v))))
		v = rule_nan(r, x);
	if (r->result == 'W' || r->result == 'M')
		v = (v & 0xffff) | (x->old & 0xffff0000);
	return strchr("NdU", r->result) ? v : v & 0xffffffff;
}

static bool is64(char type)
{
	return type == 'd' || type == 'U' || type == 'N';
}

static void check(const struct ref *r, uint64_t exec)
{
	static struct lane x[WAVE_LANES];
	bool old_is_source = strchr(r->sources, 'o');
	unsigned n = (unsigned)strlen(r->sources) - old_is_source;
	struct isa_inst in = vt_inst((enum isa_op)r->op, n);

	vt_reset();
	WAVE_EXEC(&vt.w) = exec;
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		x[l] = (struct lane){.l = l, .old = is64(r->result) ? vt_rand64() : vt_value('f')};
		for (unsigned i = 0; i < n; i++) {
			uint64_t v = vt_value(r->sources[i]), high = vt_rand();

			x[l].v[i] = v;
			/* 16-bit sources have rubbish above */
			if (strchr("hw", r->sources[i]))
				v |= high << 16;
			vt.v[VT_SRC + 4 * i][l] = (uint32_t)v;
			vt.v[VT_SRC + 4 * i + 1][l] =
				is64(r->sources[i]) ? (uint32_t)(v >> 32) : (uint32_t)high;
		}
		if (old_is_source)
			x[l].v[n] = x[l].old & 0xffffffff;
		vt.v[VT_DST][l] = (uint32_t)x[l].old;
		vt.v[VT_DST + 1][l] = (uint32_t)(x[l].old >> 32);
	}
	vt_run(&in);
	for (unsigned l = 0; l < WAVE_LANES; l++) {
		uint64_t got = vt.v[VT_DST][l] | (uint64_t)vt.v[VT_DST + 1][l] << 32;
		uint64_t want = exec >> l & 1 ? expected(r, &x[l]) : x[l].old;

		if (!is64(r->result)) {
			got &= 0xffffffff;
			want &= 0xffffffff;
		}
		if (got != want)
			fail_msg("%s lane %u (exec %d) of 0x%llx 0x%llx 0x%llx: 0x%llx, not 0x%llx",
				 isa_op_name(r->op), l, (int)(exec >> l & 1),
				 (unsigned long long)x[l].v[0], (unsigned long long)x[l].v[1],
				 (unsigned long long)x[l].v[2], (unsigned long long)got,
				 (unsigned long long)want);
	}
}

static void test_ref(void **state)
{
	const struct ref *r = *state;

	for (unsigned n = 0; n < 12 * VT_EXECS; n++)
		check(r, vt_exec(n % VT_EXECS));
}

int main(void)
{
	enum { N = sizeof(refs) / sizeof(refs[0]) };
	static struct CMUnitTest tests[N];

	for (unsigned i = 0; i < N; i++)
		tests[i] = (struct CMUnitTest){.name = isa_op_name(refs[i].op),
					       .test_func = test_ref,
					       .initial_state = (void *)(uintptr_t)&refs[i]};
	return cmocka_run_group_tests_name("valu_ops", tests, NULL, NULL);
}
