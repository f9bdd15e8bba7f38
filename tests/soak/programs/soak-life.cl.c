// SPDX-License-Identifier: MIT
/* soak-life - Conway's Game of Life on a torus by OpenCL, compiled at run time: tiles with their borders in local memory; each generation counted. */
#include "tests/programs/cl.h"

#include <string.h>

#define SIDE	    128
#define GENERATIONS 16

static const char source[] =
	"__kernel __attribute__((reqd_work_group_size(16, 16, 1)))\n"
	"void life(__global const uchar *in, __global uchar *out, __global uint *alive, uint generation)\n"
	"{\n"
	"	__local uchar tile[18][18];\n"
	"	__local uint sum;\n"
	"	int lx = get_local_id(0), ly = get_local_id(1), x = get_group_id(0) * 16, y = get_group_id(1) * 16, n = 0;\n"
	"	for (int i = ly * 16 + lx; i < 18 * 18; i += 256)\n"
	"		tile[i / 18][i % 18] = in[((y + i / 18 + SIDE - 1) % SIDE) * SIDE + (x + i % 18 + SIDE - 1) % SIDE];\n"
	"	if (!lx && !ly)\n"
	"		sum = 0;\n"
	"	barrier(CLK_LOCAL_MEM_FENCE);\n"
	"	for (int dy = 0; dy < 3; dy++)\n"
	"		for (int dx = 0; dx < 3; dx++)\n"
	"			n += (dx != 1 || dy != 1) && tile[ly + dy][lx + dx];\n"
	"	uchar lives = n == 3 || (n == 2 && tile[ly + 1][lx + 1]);\n"
	"	out[(y + ly) * SIDE + x + lx] = lives;\n"
	"	if (lives)\n"
	"		atomic_inc(&sum);\n"
	"	barrier(CLK_LOCAL_MEM_FENCE);\n"
	"	if (!lx && !ly)\n"
	"		atomic_add(&alive[generation], sum);\n"
	"}\n";

/* A generation on the CPU; how many live then. */
static cl_uint next(const cl_uchar *in, cl_uchar *out)
{
	cl_uint alive = 0;

	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			int up = (y + SIDE - 1) % SIDE * SIDE, row = y * SIDE, down = (y + 1) % SIDE * SIDE, l = (x + SIDE - 1) % SIDE, r = (x + 1) % SIDE;
			int n = in[up + l] + in[up + x] + in[up + r] + in[row + l] + in[row + r] + in[down + l] + in[down + x] + in[down + r];

			alive += out[row + x] = n == 3 || (n == 2 && in[row + x]);
		}
	return alive;
}

int main(void)
{
	static cl_uchar field[2][SIDE * SIDE], got[SIDE * SIDE];
	const size_t global[2] = {SIDE, SIDE}, local[2] = {16, 16};
	cl_uint alive[GENERATIONS], zero = 0, wrong = 0;
	cl_mem cells[2], counts;
	cl_kernel kernel;
	char options[32];
	cl_int e;

	cl_open();
	snprintf(options, sizeof(options), "-DSIDE=%d", SIDE);
	kernel = clCreateKernel(cl_build(source, options), "life", &e);
	cl_check(e, "clCreateKernel");
	for (int i = 0; i < SIDE * SIDE; i++)
		field[0][i] = tap_random() % 3 == 0;
	for (int i = 0; i < 2; i++) {
		cells[i] = clCreateBuffer(cl_the_context, CL_MEM_READ_WRITE, sizeof(got), NULL, &e);
		cl_check(e, "clCreateBuffer");
	}
	counts = clCreateBuffer(cl_the_context, CL_MEM_READ_WRITE, sizeof(alive), NULL, &e);
	cl_check(e, "clCreateBuffer");
	cl_check(clEnqueueWriteBuffer(cl_queue, cells[0], CL_TRUE, 0, sizeof(got), field[0], 0, NULL, NULL), "clEnqueueWriteBuffer");
	cl_check(clEnqueueFillBuffer(cl_queue, counts, &zero, sizeof(zero), 0, sizeof(alive), 0, NULL, NULL), "clEnqueueFillBuffer");
	for (cl_uint g = 0; g < GENERATIONS; g++) {
		clSetKernelArg(kernel, 0, sizeof(cl_mem), &cells[g % 2]);
		clSetKernelArg(kernel, 1, sizeof(cl_mem), &cells[(g + 1) % 2]);
		clSetKernelArg(kernel, 2, sizeof(cl_mem), &counts);
		clSetKernelArg(kernel, 3, sizeof(g), &g);
		cl_check(clEnqueueNDRangeKernel(cl_queue, kernel, 2, NULL, global, local, 0, NULL, NULL), "clEnqueueNDRangeKernel");
	}
	cl_check(clEnqueueReadBuffer(cl_queue, counts, CL_FALSE, 0, sizeof(alive), alive, 0, NULL, NULL), "clEnqueueReadBuffer");
	cl_check(clEnqueueReadBuffer(cl_queue, cells[GENERATIONS % 2], CL_TRUE, 0, sizeof(got), got, 0, NULL, NULL), "clEnqueueReadBuffer");
	for (cl_uint g = 0; g < GENERATIONS; g++)
		wrong += next(field[g % 2], field[(g + 1) % 2]) != alive[g];
	for (int i = 0; i < SIDE * SIDE; i++)
		wrong += got[i] != field[GENERATIONS % 2][i];
	printf("soak-life: %d generations of %d x %d, %u live, %u wrong: %s\n", GENERATIONS, SIDE, SIDE, alive[GENERATIONS - 1], wrong, wrong ? "WRONG" : "verified");
	return wrong != 0;
}
