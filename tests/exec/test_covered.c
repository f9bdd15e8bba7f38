/* SPDX-License-Identifier: MIT */
/*
 * test_covered.c - every instruction that the decoder knows has semantics, except what is listed here, by target. Prints the counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gpu/soft/exec/exec.h"

/* Compute waves have no images, no exports, and no parameters of pixels to interpolate. */
static bool is_excluded(unsigned op, unsigned format)
{
	return format == ISA_FMT_MIMG || format == ISA_FMT_EXP || format == ISA_FMT_VINTRP ||
	       !strncmp(isa_op_name(op), "v_interp_", 9) ||
	       op == ISA_V_SCREEN_PARTITION_4SE_B32; /* a table of the screen's tiles */
}

static const char *const target_name[ISA_NUM_TARGETS] = {"gfx900", "gfx90a"};

static void test_all(void **state)
{
	unsigned uncovered = 0;

	for (unsigned t = 0; t < ISA_NUM_TARGETS; t++) {
		unsigned known = 0, excluded = 0, missing = 0, lying = 0;

		for (unsigned op = 1; op < ISA_NUM_OPS; op++) {
			uint8_t format;

			if (!isa_has(t, op, &format))
				continue;
			known++;
			if (is_excluded(op, format)) {
				excluded++;
				if (exec_covers(t, op)) {
					print_error("%s: %s is excluded but has semantics\n", target_name[t], isa_op_name(op));
					lying++;
				}
			} else if (!exec_covers(t, op)) {
				print_error("%s: no semantics: %s\n", target_name[t], isa_op_name(op));
				missing++;
			}
		}
		print_message("%s: %u instructions, %u excluded (image, export, interpolation), %u without semantics\n", target_name[t], known,
			      excluded, missing);
		assert_true(known > 1000);
		assert_true(excluded < 110);
		uncovered += missing + lying;
	}
	assert_int_equal(uncovered, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};

	return cmocka_run_group_tests_name("covered", tests, NULL, NULL);
}
