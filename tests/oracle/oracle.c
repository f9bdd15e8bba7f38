/* SPDX-License-Identifier: MIT */
/* oracle.c - see oracle.h. */
#include "tests/oracle/oracle.h"

const struct fmt fmt_h = {'h', 16, 11, 16}, fmt_f = {'f', 32, 24, 128}, fmt_d = {'d', 64, 53, 1024};
unsigned oracle_effort = 1;

const struct fmt *fmt_of(char letter)
{
	return letter == 'h' ? &fmt_h : letter == 'f' ? &fmt_f : letter == 'd' ? &fmt_d : NULL;
}

uint64_t fmt_sign(const struct fmt *f)
{
	return 1ull << (f->bits - 1);
}

uint64_t fmt_exp(const struct fmt *f)
{
	return fmt_sign(f) - (1ull << (f->p - 1));
}

uint64_t fmt_quiet(const struct fmt *f)
{
	return 1ull << (f->p - 2);
}

uint64_t fmt_default_nan(const struct fmt *f)
{
	return fmt_sign(f) | fmt_exp(f) | fmt_quiet(f);
}

bool fmt_is_nan(const struct fmt *f, uint64_t v)
{
	return (v & ~fmt_sign(f)) > fmt_exp(f);
}

bool fmt_is_signaling(const struct fmt *f, uint64_t v)
{
	return fmt_is_nan(f, v) && !(v & fmt_quiet(f));
}

bool fmt_is_denormal(const struct fmt *f, uint64_t v)
{
	return !(v & fmt_exp(f)) && (v & ~fmt_sign(f));
}

uint64_t fmt_flush(const struct fmt *f, uint64_t v)
{
	return fmt_is_denormal(f, v) ? v & fmt_sign(f) : v;
}

uint64_t fmt_convert_nan(const struct fmt *to, const struct fmt *from, uint64_t v)
{
	uint64_t payload = v & (fmt_quiet(from) - 1), sign = v & fmt_sign(from) ? fmt_sign(to) : 0;

	payload = to->p >= from->p ? payload << (to->p - from->p) : payload >> (from->p - to->p);
	return sign | fmt_exp(to) | fmt_quiet(to) | payload;
}

void fmt_get(mpfr_t r, const struct fmt *f, uint64_t v)
{
	uint64_t m = v & ((1ull << (f->p - 1)) - 1);
	int e = (int)((v & fmt_exp(f)) >> (f->p - 1)), sign = v & fmt_sign(f) ? -1 : 1;

	if (fmt_is_nan(f, v)) {
		mpfr_set_nan(r);
	} else if ((v & fmt_exp(f)) == fmt_exp(f)) {
		mpfr_set_inf(r, sign);
	} else {
		if (e)
			m |= 1ull << (f->p - 1);
		else
			e = 1;
		mpfr_set_ui_2exp(r, m, e - (f->emax - 1) - ((int)f->p - 1), MPFR_RNDN);
		if (sign < 0)
			mpfr_neg(r, r, MPFR_RNDN);
	}
}

uint64_t fmt_put(const struct fmt *f, mpfr_t r, int t, mpfr_rnd_t rnd)
{
	mpfr_exp_t emin = mpfr_get_emin(), emax = mpfr_get_emax(), e;
	uint64_t sign, v;
	mpz_t m;

	if (mpfr_nan_p(r))
		return fmt_default_nan(f);
	mpfr_set_emin(4 - f->emax - (int)f->p);
	mpfr_set_emax(f->emax);
	t = mpfr_check_range(r, t, rnd);
	mpfr_subnormalize(r, t, rnd);
	mpfr_set_emin(emin);
	mpfr_set_emax(emax);
	sign = mpfr_signbit(r) ? fmt_sign(f) : 0;
	if (mpfr_zero_p(r))
		return sign;
	if (mpfr_inf_p(r))
		return sign | fmt_exp(f);
	mpz_init(m);
	e = mpfr_get_z_2exp(m, r); /* r = m * 2^e, m of f->p bits */
	mpz_abs(m, m);
	v = mpz_get_ui(m);
	mpz_clear(m);
	/* the unit of a denormal's last place */
	for (; e < 3 - f->emax - (int)f->p; e++) {
		assert_true(!(v & 1));
		v >>= 1;
	}
	if (v >> (f->p - 1))
		v = (v & ((1ull << (f->p - 1)) - 1)) | (uint64_t)(e + (f->emax - 1) + (int)f->p - 1) << (f->p - 1);
	return sign | v;
}

static int64_t ordinal(const struct fmt *f, uint64_t v)
{
	int64_t magnitude = (int64_t)(v & ~fmt_sign(f));

	return v & fmt_sign(f) ? -magnitude : magnitude;
}

uint64_t fmt_distance(const struct fmt *f, uint64_t a, uint64_t b)
{
	int64_t x = ordinal(f, a), y = ordinal(f, b);

	return x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x;
}

mpfr_rnd_t oracle_rnd(unsigned rm)
{
	static const mpfr_rnd_t rnd[4] = {MPFR_RNDN, MPFR_RNDU, MPFR_RNDD, MPFR_RNDZ};

	return rnd[rm & 3];
}
