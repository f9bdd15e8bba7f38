/* SPDX-License-Identifier: MIT */
/* valu_cover.c - every vector operation of the instruction table has semantics in every build, but
 * for those listed here. */
#include "tests/exec/valu_test.h"

static const struct {
	unsigned op;
	const char *why;
} missing[] = {
	{ISA_V_INTERP_MOV_F32,
	 "parameter interpolation of pixel shaders: compute waves have no parameters"},
	{ISA_V_INTERP_P1_F32, "the same"},
	{ISA_V_INTERP_P2_F32, "the same"},
	{ISA_V_INTERP_P1LL_F16, "the same"},
	{ISA_V_INTERP_P1LV_F16, "the same"},
	{ISA_V_INTERP_P2_F16, "the same"},
	{ISA_V_INTERP_P2_LEGACY_F16, "the same"},
	{ISA_V_SCREEN_PARTITION_4SE_B32, "screen partition lookup of graphics"},
};

static const char *reason(unsigned op)
{
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		if (missing[i].op == op)
			return missing[i].why;
	return NULL;
}

static void test_all_covered(void **state)
{
	unsigned covered = 0, without = 0;

	for (unsigned op = 1; op < ISA_NUM_OPS; op++) {
		const char *name = isa_op_name(op);

		if (strncmp(name, "v_", 2))
			continue;
		for (unsigned level = 1; level <= 4; level++) {
			if (!exec_valu_rows_of(level))
				continue;
			if (!vt_find(op, level) == !reason(op)) {
				print_error("%s at level %u: %s\n", name, level,
					    reason(op) ? "covered but listed as missing"
						       : "not covered");
				without++;
			}
		}
		covered++;
	}
	assert_true(covered > 500);
	assert_int_equal(without, 0);
}

static void test_no_row_twice(void **state)
{
	static unsigned seen[ISA_NUM_OPS];

	for (const struct exec_row *const *v = exec_valu_rows_of(1); *v; v++)
		for (const struct exec_row *r = *v; r->op != ISA_OP_INVALID; r++)
			if (seen[r->op]++)
				fail_msg("%s has two rows", isa_op_name(r->op));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_covered),
		cmocka_unit_test(test_no_row_twice),
	};

	return cmocka_run_group_tests_name("valu_cover", tests, NULL, NULL);
}
