// SPDX-License-Identifier: MIT
/*
 * soak-image - filters of a picture by OpenCL, compiled at run time: a blur in two passes, edges (Sobel), and a histogram in local memory, by kernels that
 * wait for each other's events on a queue without order, where the runtime has one.
 */
#include "tests/programs/cl.h"

#define W     256
#define H     96
#define GROUP 64

static const char source[] =
	"#define AT(p, x, y) p[clamp((int)(y), 0, H - 1) * W + clamp((int)(x), 0, W - 1)]\n"
	"__kernel void across(__global const int *in, __global int *out)\n"
	"{\n"
	"	int x = get_global_id(0), y = get_global_id(1);\n"
	"	out[y * W + x] = AT(in, x - 2, y) + 4 * AT(in, x - 1, y) + 6 * AT(in, x, y) + 4 * AT(in, x + 1, y) + AT(in, x + 2, y);\n"
	"}\n"
	"__kernel void down(__global const int *in, __global int *out)\n"
	"{\n"
	"	int x = get_global_id(0), y = get_global_id(1);\n"
	"	out[y * W + x] = (AT(in, x, y - 2) + 4 * AT(in, x, y - 1) + 6 * AT(in, x, y) + 4 * AT(in, x, y + 1) + AT(in, x, y + 2) + 128) >> 8;\n"
	"}\n"
	"__kernel void edges(__global const int *in, __global int *out)\n"
	"{\n"
	"	int x = get_global_id(0), y = get_global_id(1);\n"
	"	int h = AT(in, x + 1, y - 1) + 2 * AT(in, x + 1, y) + AT(in, x + 1, y + 1) - AT(in, x - 1, y - 1) - 2 * AT(in, x - 1, y) - AT(in, x - 1, y + 1);\n"
	"	int v = AT(in, x - 1, y + 1) + 2 * AT(in, x, y + 1) + AT(in, x + 1, y + 1) - AT(in, x - 1, y - 1) - 2 * AT(in, x, y - 1) - AT(in, x + 1, y - 1);\n"
	"	out[y * W + x] = min((int)(abs(h) + abs(v)), 255);\n"
	"}\n"
	"__kernel void histogram(__global const int *in, __global int *out)\n"
	"{\n"
	"	__local int bins[256];\n"
	"	int l = get_local_id(0), x = get_global_id(0), y = get_global_id(1);\n"
	"	for (int i = l; i < 256; i += get_local_size(0))\n"
	"		bins[i] = 0;\n"
	"	barrier(CLK_LOCAL_MEM_FENCE);\n"
	"	atomic_inc(&bins[in[y * W + x]]);\n"
	"	barrier(CLK_LOCAL_MEM_FENCE);\n"
	"	for (int i = l; i < 256; i += get_local_size(0))\n"
	"		if (bins[i])\n"
	"			atomic_add(&out[i], bins[i]);\n"
	"}\n";

static int at(const int *p, int x, int y)
{
	x = x < 0 ? 0 : x >= W ? W - 1 : x;
	y = y < 0 ? 0 : y >= H ? H - 1 : y;
	return p[y * W + x];
}

/* All of it on the CPU: blurred is scratch. */
static void reference(const int *in, int *blurred, int *edge, int *bins)
{
	static const int weight[5] = {1, 4, 6, 4, 1};

	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			int sum = 128;

			for (int i = 0; i < 25; i++)
				sum += weight[i / 5] * weight[i % 5] * at(in, x + i % 5 - 2, y + i / 5 - 2);
			blurred[y * W + x] = sum >> 8;
		}
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			int h = 0, v = 0;

			for (int d = -1; d <= 1; d++) {
				int twice = d ? 1 : 2;

				h += twice * (at(blurred, x + 1, y + d) - at(blurred, x - 1, y + d));
				v += twice * (at(blurred, x + d, y + 1) - at(blurred, x + d, y - 1));
			}
			edge[y * W + x] = abs(h) + abs(v) > 255 ? 255 : abs(h) + abs(v);
			bins[edge[y * W + x]]++;
		}
}

int main(void)
{
	static const char *const names[4] = {"across", "down", "edges", "histogram"};
	static int picture[W * H], blurred[W * H], edge[W * H], got[W * H], bins[256], counted[256];
	cl_queue_properties unordered[] = {CL_QUEUE_PROPERTIES, 0, 0};
	const size_t global[2] = {W, H}, local[2] = {GROUP, 1};
	const cl_int zero = 0;
	cl_command_queue queue;
	cl_event event[6];
	cl_program program;
	cl_mem buffer[5];
	unsigned wrong = 0;
	char options[32];
	cl_int e;

	cl_open();
	snprintf(options, sizeof(options), "-DW=%d -DH=%d", W, H);
	program = cl_build(source, options);
	cl_check(clGetDeviceInfo(cl_device, CL_DEVICE_QUEUE_ON_HOST_PROPERTIES, sizeof(unordered[1]), &unordered[1], NULL), "clGetDeviceInfo");
	unordered[1] &= CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
	queue = clCreateCommandQueueWithProperties(cl_the_context, cl_device, unordered, &e);
	cl_check(e, "clCreateCommandQueueWithProperties");
	for (int i = 0; i < W * H; i++)
		picture[i] = (i % W * 2 + i / W * 3) / 4 % 256 ^ (tap_random() % 16 ? 0 : 128);
	for (int i = 0; i < 5; i++) {
		buffer[i] = clCreateBuffer(cl_the_context, CL_MEM_READ_WRITE, i < 4 ? sizeof(picture) : sizeof(bins), NULL, &e);
		cl_check(e, "clCreateBuffer");
	}
	cl_check(clEnqueueFillBuffer(queue, buffer[4], &zero, sizeof(zero), 0, sizeof(bins), 0, NULL, &event[5]), "clEnqueueFillBuffer");
	cl_check(clEnqueueWriteBuffer(queue, buffer[0], CL_FALSE, 0, sizeof(picture), picture, 0, NULL, &event[0]), "clEnqueueWriteBuffer");
	for (int i = 0; i < 4; i++) {
		cl_event before[2] = {event[i], event[5]};
		cl_kernel kernel = clCreateKernel(program, names[i], &e);

		cl_check(e, names[i]);
		clSetKernelArg(kernel, 0, sizeof(cl_mem), &buffer[i]);
		clSetKernelArg(kernel, 1, sizeof(cl_mem), &buffer[i + 1]);
		cl_check(clEnqueueNDRangeKernel(queue, kernel, 2, NULL, global, local, 2, before, &event[i + 1]), names[i]);
	}
	cl_check(clEnqueueReadBuffer(queue, buffer[3], CL_TRUE, 0, sizeof(got), got, 1, &event[3], NULL), "clEnqueueReadBuffer");
	cl_check(clEnqueueReadBuffer(queue, buffer[4], CL_TRUE, 0, sizeof(counted), counted, 1, &event[4], NULL), "clEnqueueReadBuffer");
	reference(picture, blurred, edge, bins);
	for (int i = 0; i < W * H; i++)
		wrong += got[i] != edge[i];
	for (int i = 0; i < 256; i++)
		wrong += counted[i] != bins[i];
	printf("soak-image: %d x %d, %u wrong: %s\n", W, H, wrong, wrong ? "WRONG" : "verified");
	return wrong != 0;
}
