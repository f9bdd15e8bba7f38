/* SPDX-License-Identifier: MIT */
/*
 * valu.c - picks the build of the vector ALU, LDS and vector memory that fits this processor.
 *
 * The valu_*.c files, lds.c, vmem.c, flat.c and buffer.c are compiled once for each x86-64 level (psABI
 * micro-architecture levels v1, v3 with AVX2 and FMA, v4 with AVX-512), with a suffix on every shared symbol. All give the same results; tests compare them. The environment variable
 * HSAVISOR_VALU=v1|v3|v4 lowers the choice, for tests and measurements.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/soft/exec/exec.h"
#include "gpu/soft/exec/mfma.h"
#include "gpu/soft/exec/spread.h"

#define DECLARE(level)                                                                             \
	extern const struct exec_row exec_rows_vop1##level[], exec_rows_vop2##level[],             \
		exec_rows_vopc##level[], exec_rows_vop3##level[], exec_rows_vop3p##level[],        \
		exec_rows_lane##level[], exec_rows_mfma##level[], exec_rows_ds##level[],           \
		exec_rows_flat##level[], exec_rows_buffer##level[];                                \
	extern const struct mfma_functions exec_mfma##level;                            \
	extern vmem_spread_fn vmem_spread_load##level, vmem_spread_store##level;                   \
	static const struct vmem_spread_fns spread##level = {vmem_spread_load##level, vmem_spread_store##level}; \
	static const struct exec_row *const rows##level[] = {                                      \
		exec_rows_vop1##level,	exec_rows_vop2##level, exec_rows_vopc##level,              \
		exec_rows_vop3##level,	exec_rows_vop3p##level, exec_rows_lane##level,             \
		exec_rows_mfma##level,	exec_rows_ds##level,   exec_rows_flat##level,              \
		exec_rows_buffer##level, NULL,                                                     \
	};
DECLARE(_v1)
DECLARE(_v3)
DECLARE(_v4)

/* __builtin_cpu_supports looks at what the operating system enables, too. */
static bool has_v3(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool has_v4(void)
{
	return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl");
}

const struct exec_row *const *exec_valu_rows_of(unsigned level)
{
	__builtin_cpu_init();
	if (level == 4)
		return has_v4() ? rows_v4 : NULL;
	if (level == 3)
		return has_v3() ? rows_v3 : NULL;
	return rows_v1;
}

static unsigned wished_level(void)
{
	const char *wish = getenv("HSAVISOR_VALU");
	unsigned level = wish && wish[0] == 'v' ? (unsigned)(wish[1] - '0') : 4;

	return level >= 4 && exec_valu_rows_of(4) ? 4 : level >= 3 && exec_valu_rows_of(3) ? 3 : 1;
}

const struct exec_row *const *exec_valu_rows(void)
{
	return exec_valu_rows_of(wished_level());
}

const struct mfma_functions *exec_mfma_functions(unsigned level)
{
	if (!level)
		level = wished_level();
	return level == 4 ? &exec_mfma_v4 : level == 3 ? &exec_mfma_v3 : &exec_mfma_v1;
}

const struct vmem_spread_fns *exec_spread(void)
{
	unsigned level = wished_level();

	return level == 4 ? &spread_v4 : level == 3 ? &spread_v3 : &spread_v1;
}
