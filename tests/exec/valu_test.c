/* SPDX-License-Identifier: MIT */
/* valu_test.c - see valu_test.h. */
#include "tests/exec/valu_test.h"

struct vt vt;
static struct vt other;
static uint64_t seed = 0x9e3779b97f4a7c15ull;

void vt_reset(void)
{
	memset(&vt, 0, sizeof(vt));
	vt.w.vgpr = vt.v;
	vt.w.agpr = vt.a;
	vt.w.num_vgprs = VT_ROWS;
	vt.w.num_agprs = VT_ROWS;
	vt.w.mode = VT_MODE;
	vt.w.wg = &vt.wg;
	WAVE_EXEC(&vt.w) = ~0ull;
}

struct isa_inst vt_inst(enum isa_op op, unsigned n)
{
	struct isa_inst in = {.op = (uint16_t)op};

	in.dst[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = 1, .index = VT_DST};
	in.dst[1] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = VT_SDST};
	for (unsigned i = 0; i < n; i++)
		in.src[i] = (struct isa_operand){
			.kind = ISA_OPND_VGPR, .dwords = 1, .index = (uint16_t)(VT_SRC + 4 * i)};
	return in;
}

exec_fn *vt_find(unsigned op, unsigned level)
{
	const struct exec_row *const *all = exec_valu_rows_of(level);

	for (; all && *all; all++)
		for (const struct exec_row *r = *all; r->op != ISA_OP_INVALID; r++)
			if (r->op == op)
				return r->fn;
	return NULL;
}

static void run_one(struct vt *t, const struct isa_inst *in, exec_fn *fn)
{
	struct exec_ctx ctx = {.wave = &t->w};

	t->w.vgpr = t->v;
	t->w.agpr = t->a;
	t->w.wg = &t->wg;
	fn(&ctx, &t->w, in);
	t->error = ctx.error;
}

void vt_run(const struct isa_inst *in)
{
	static const unsigned levels[] = {3, 4};
	static struct vt before;
	exec_fn *fn = vt_find(in->op, 1);

	if (!fn)
		fail_msg("%s is not covered", isa_op_name(in->op));
	before = vt;
	run_one(&vt, in, fn);
	for (unsigned i = 0; i < 2; i++) {
		if (!exec_valu_rows_of(levels[i]))
			continue;
		other = before;
		run_one(&other, in, vt_find(in->op, levels[i]));
		for (unsigned r = 0; r < VT_ROWS; r++)
			for (unsigned l = 0; l < WAVE_LANES; l++)
				if (vt.v[r][l] != other.v[r][l] || vt.a[r][l] != other.a[r][l])
					fail_msg("%s: v%u lane %u: 0x%08x at level 1, 0x%08x at "
						 "level %u",
						 isa_op_name(in->op), r, l, vt.v[r][l],
						 other.v[r][l], levels[i]);
		assert_memory_equal(vt.w.sgpr, other.w.sgpr, sizeof(vt.w.sgpr));
	}
}

uint64_t vt_rand64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

uint32_t vt_rand(void)
{
	return (uint32_t)(vt_rand64() >> 32);
}

static const uint32_t f32s[] = {
	0,	    0x80000000, 1,	    0x80000001, 0x7fffff,   0x800000,	0x80800000,
	0x3f800000, 0xbf800000, 0x3f7fffff, 0x3f800001, 0x40000000, 0xc0000000, 0x3f000000,
	0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001,
	0xffbfffff, 0x4f000000, 0xcf000000, 0x4f800000, 0x4effffff, 0x00400000, 0x33000000,
	0x38800000, 0x477fe000, 0x477ff000, 0x387fe000, 0x40490fdb, 0x43800000, 0x43800001,
	0x3e800000, 0x3f400000, 0x7e800000, 0x7f000000, 0x0b800000,
};
static const uint16_t f16s[] = {
	0,	0x8000, 1,	0x8001, 0x3ff,	0x400,	0x8400, 0x3c00,
	0xbc00, 0x3bff, 0x3c01, 0x4000, 0xc000, 0x3800, 0x7bff, 0xfbff,
	0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01, 0xfdff, 0x5bff, 0x6400,
};
static const uint32_t u32s[] = {
	0,	    1,		2,	    31,		32,	    33,
	63,	    64,		0x7f,	    0x80,	0xff,	    0x100,
	0x7fff,	    0x8000,	0xffff,	    0x10000,	0x7fffff,   0x800000,
	0xffffff,   0x1000000,	0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe,
	0xffffffff, 0xffff8000, 0xffff7fff, 0x0c0b0a09, 0x0d0c0504,
};
static const uint64_t f64s[] = {
	0,
	1ull << 63,
	1,
	0x8000000000000001ull,
	0xfffffffffffffull,
	0x10000000000000ull,
	0x3ff0000000000000ull,
	0xbff0000000000000ull,
	0x3ff0000000000001ull,
	0x3fefffffffffffffull,
	0x7fefffffffffffffull,
	0x7ff0000000000000ull,
	0xfff0000000000000ull,
	0x7ff8000000000000ull,
	0xfff8000000000001ull,
	0x7ff0000000000001ull,
	0xfff7ffffffffffffull,
	0x41dfffffffc00000ull,
	0x41e0000000000000ull,
	0xc1e0000000000000ull,
	0x41efffffffe00000ull,
	0x41f0000000000000ull,
	0x3fe0000000000000ull,
	0x47efffffe0000000ull,
	0x47effffff0000000ull,
	0x36a0000000000000ull,
	0x3690000000000000ull,
	0x7fd0000000000000ull,
	0x0340000000000000ull,
};
#define PICK(a) (a)[vt_rand() % (sizeof(a) / sizeof((a)[0]))]

uint64_t vt_value(char type)
{
	bool special = vt_rand() & 1;
	uint32_t r = vt_rand();

	switch (type) {
	case 'f':
		if (special)
			return PICK(f32s);
		if (r & 1) /* near one, so that sums and products meet */
			return (vt_rand() & 0x807fffff) | (100 + r / 2 % 56) << 23;
		return vt_rand();
	case 'd':
		if (special)
			return PICK(f64s);
		if (r & 1)
			return (vt_rand64() & 0x800fffffffffffffull) | (uint64_t)(990 + r / 2 % 66)
									       << 52;
		return vt_rand64();
	case 'h':
		return special ? PICK(f16s) : vt_rand() & 0xffff;
	case 'p':
		return vt_value('h') | vt_value('h') << 16;
	case 'w':
		return special ? PICK(u32s) & 0xffff : vt_rand() & 0xffff;
	case 's':
		return vt_rand() & 0x3ff;
	case 'U':
		return special ? (uint64_t)PICK(u32s) << 32 | PICK(u32s) : vt_rand64();
	default:
		return special ? PICK(u32s) : vt_rand();
	}
}

uint64_t vt_exec(unsigned n)
{
	static const uint64_t some[] = {~0ull,
					0,
					0x5555555555555555ull,
					1ull << 37,
					0xffffffffull,
					0xffffffff00000000ull,
					0xfffffffffffffffeull};

	return n < sizeof(some) / sizeof(some[0]) ? some[n] : vt_rand64();
}

double vt_h2d(uint32_t h)
{
	int e = (int)(h >> 10 & 31), m = (int)(h & 0x3ff);
	double r = e == 31 ? (m ? (double)NAN : (double)INFINITY)
			   : ldexp(e ? m + 1024 : m, (e ? e : 1) - 25);

	return h & 0x8000 ? -r : r;
}

uint32_t vt_d2h(long double d, unsigned rm)
{
	uint32_t sign = signbit(d) ? 0x8000 : 0;
	long double x = fabsl(d), unit = ldexpl(1, -24), q, f;
	int e;

	if (isnan(d))
		return 0x7e00;
	if (isinf(d))
		return sign | 0x7c00;
	frexpl(x, &e);
	if (e > -13)
		unit = ldexpl(1, e - 11);
	q = x / unit;
	f = floorl(q);
	if (f != q) {
		long double rest = q - f;

		if (rm == 0 && (rest > 0.5L || (rest == 0.5L && fmodl(f, 2) == 1)))
			f += 1;
		else if ((rm == 1 && !sign) || (rm == 2 && sign))
			f += 1;
	}
	x = f * unit;
	if (x >= 65536.0L) {
		bool stays = rm == 3 || (rm == 1 && sign) || (rm == 2 && !sign);

		return sign | (stays ? 0x7bff : 0x7c00);
	}
	if (x < ldexpl(1, -14))
		return sign | (uint32_t)(x * ldexpl(1, 24));
	frexpl(x, &e);
	return sign | (uint32_t)(e + 14) << 10 | ((uint32_t)ldexpl(x, 11 - e) & 0x3ff);
}
