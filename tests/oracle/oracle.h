/* SPDX-License-Identifier: MIT */
/*
 * oracle.h - floating-point arithmetic in MPFR, as a second opinion on the vector ALU.
 *
 * A result is computed with an unbounded exponent and the precision of its format, correctly rounded, and then put into the format's range
 * (mpfr_check_range, mpfr_subnormalize), which is the one rounding of IEEE 754. Nothing here is shared with the code under test.
 */
#ifndef TESTS_ORACLE_ORACLE_H
#define TESTS_ORACLE_ORACLE_H

#include <mpfr.h>

#include "tests/exec/valu_test.h"

struct fmt {
	char letter;	  /* h, f, d, as in valu_test.h's vt_value() */
	unsigned bits, p; /* of the number, of its significand */
	int emax;	  /* largest exponent, MPFR's: of a significand in [1/2, 1) */
};

extern const struct fmt fmt_h, fmt_f, fmt_d;
const struct fmt *fmt_of(char letter);

/* Masks of a format. */
uint64_t fmt_sign(const struct fmt *f);
uint64_t fmt_exp(const struct fmt *f);	 /* all exponent bits: infinity */
uint64_t fmt_quiet(const struct fmt *f); /* the top bit of the significand */
uint64_t fmt_default_nan(const struct fmt *f);

bool fmt_is_nan(const struct fmt *f, uint64_t v);
bool fmt_is_signaling(const struct fmt *f, uint64_t v);
bool fmt_is_denormal(const struct fmt *f, uint64_t v);
uint64_t fmt_flush(const struct fmt *f, uint64_t v); /* denormals become zeros of their sign */
/* A NaN in another format: quiet, the payload's upper bits kept. */
uint64_t fmt_convert_nan(const struct fmt *to, const struct fmt *from, uint64_t v);

/* Exactly; r needs 53 bits of precision. */
void fmt_get(mpfr_t r, const struct fmt *f, uint64_t v);
/* What r (precision f->p, ternary t from an operation rounded by rnd) is in the format. NaN: the default NaN. */
uint64_t fmt_put(const struct fmt *f, mpfr_t r, int t, mpfr_rnd_t rnd);
/* Distance in units of the last place, counting through zero. Both finite. */
uint64_t fmt_distance(const struct fmt *f, uint64_t a, uint64_t b);

/* MODE's rounding: 0 nearest even, 1 up, 2 down, 3 toward zero. */
mpfr_rnd_t oracle_rnd(unsigned rm);

/* How many random instructions each operation gets; 1 in `make check`, more in the long run (an argument). */
extern unsigned oracle_effort;

#endif
