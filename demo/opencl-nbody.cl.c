// SPDX-License-Identifier: MIT
/*
 * opencl-nbody - gravity between N bodies by OpenCL: kernels compiled from source at run time,
 * local memory, barriers, floating point; compared with the same arithmetic on the CPU. Exits 0 and
 * prints "verified" only when every value agrees.
 */
#include <CL/cl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define N     1024
#define GROUP 64
#define STEPS 4

static const char source[] =
	"__kernel __attribute__((reqd_work_group_size(64, 1, 1)))\n"
	"void step(__global const float4 *in, __global float4 *out, __global float4 *velocity, "
	"float dt, int n)\n"
	"{\n"
	"	__local float4 tile[64];\n"
	"	int i = get_global_id(0), l = get_local_id(0);\n"
	"	float4 me = in[i];\n"
	"	float3 a = (float3)(0.0f);\n"
	"	for (int base = 0; base < n; base += 64) {\n"
	"		tile[l] = in[base + l];\n"
	"		barrier(CLK_LOCAL_MEM_FENCE);\n"
	"		for (int k = 0; k < 64; k++) {\n"
	"			float3 d = tile[k].xyz - me.xyz;\n"
	"			float r2 = d.x * d.x + d.y * d.y + d.z * d.z + 0.01f;\n"
	"			float inv = 1.0f / sqrt(r2);\n"
	"			a += d * (tile[k].w * inv * inv * inv);\n"
	"		}\n"
	"		barrier(CLK_LOCAL_MEM_FENCE);\n"
	"	}\n"
	"	float4 v = velocity[i];\n"
	"	v.xyz += a * dt;\n"
	"	velocity[i] = v;\n"
	"	me.xyz += v.xyz * dt;\n"
	"	out[i] = me;\n"
	"}\n";

static void check(cl_int e, const char *what)
{
	if (e == CL_SUCCESS)
		return;
	fprintf(stderr, "opencl-nbody: %s failed: %d\n", what, e);
	exit(1);
}

/* The same step on the CPU, in double: the bound below allows the GPU its single precision. */
static void reference(const double *in, double *out, double *velocity, double dt)
{
	for (int i = 0; i < N; i++) {
		double a[3] = {0};

		for (int k = 0; k < N; k++) {
			double d[3], r2 = 0.01f;

			for (int c = 0; c < 3; c++) {
				d[c] = in[4 * k + c] - in[4 * i + c];
				r2 += d[c] * d[c];
			}
			for (int c = 0; c < 3; c++)
				a[c] += d[c] * in[4 * k + 3] / (r2 * sqrt(r2));
		}
		for (int c = 0; c < 3; c++) {
			velocity[4 * i + c] += a[c] * dt;
			out[4 * i + c] = in[4 * i + c] + velocity[4 * i + c] * dt;
		}
		out[4 * i + 3] = in[4 * i + 3];
	}
}

int main(void)
{
	static cl_float host[4 * N], result[4 * N];
	static double ref[2][4 * N], ref_velocity[4 * N];
	const char *text = source;
	const cl_float dt = 0.01f, zero = 0;
	const cl_int n = N;
	const size_t global = N, local = GROUP;
	char name[256] = "", log[8192] = "";
	cl_platform_id platform;
	cl_device_id device;
	cl_mem buffer[2], velocity;
	double worst = 0;
	cl_int e;

	check(clGetPlatformIDs(1, &platform, NULL), "clGetPlatformIDs");
	check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_GPU, 1, &device, NULL), "clGetDeviceIDs");
	clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof(name), name, NULL);
	cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &e);
	check(e, "clCreateContext");
	cl_command_queue queue = clCreateCommandQueueWithProperties(context, device, NULL, &e);
	check(e, "clCreateCommandQueueWithProperties");
	cl_program program = clCreateProgramWithSource(context, 1, &text, NULL, &e);
	check(e, "clCreateProgramWithSource");
	e = clBuildProgram(program, 1, &device, "", NULL, NULL);
	if (e) {
		clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof(log), log,
				      NULL);
		fprintf(stderr, "%s\n", log);
	}
	check(e, "clBuildProgram");
	cl_kernel kernel = clCreateKernel(program, "step", &e);
	check(e, "clCreateKernel");

	srand(7);
	for (int i = 0; i < 4 * N; i++)
		host[i] = (float)(rand() % 2001 - 1000) / 1000.0f;
	for (int i = 0; i < N; i++)
		host[4 * i + 3] = 0.001f * (float)(1 + i % 7);
	for (int i = 0; i < 4 * N; i++)
		ref[0][i] = host[i];
	for (int b = 0; b < 2; b++) {
		buffer[b] = clCreateBuffer(context, CL_MEM_READ_WRITE, sizeof(host), NULL, &e);
		check(e, "clCreateBuffer");
	}
	velocity = clCreateBuffer(context, CL_MEM_READ_WRITE, sizeof(host), NULL, &e);
	check(e, "clCreateBuffer");
	check(clEnqueueWriteBuffer(queue, buffer[0], CL_TRUE, 0, sizeof(host), host, 0, NULL, NULL),
	      "clEnqueueWriteBuffer");
	check(clEnqueueFillBuffer(queue, velocity, &zero, sizeof(zero), 0, sizeof(host), 0, NULL,
				  NULL),
	      "clEnqueueFillBuffer");
	for (int s = 0; s < STEPS; s++) {
		clSetKernelArg(kernel, 0, sizeof(cl_mem), &buffer[s & 1]);
		clSetKernelArg(kernel, 1, sizeof(cl_mem), &buffer[~s & 1]);
		clSetKernelArg(kernel, 2, sizeof(cl_mem), &velocity);
		clSetKernelArg(kernel, 3, sizeof(dt), &dt);
		clSetKernelArg(kernel, 4, sizeof(n), &n);
		check(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, 0, NULL,
					     NULL),
		      "clEnqueueNDRangeKernel");
		reference(ref[s & 1], ref[~s & 1], ref_velocity, dt);
	}
	check(clEnqueueReadBuffer(queue, buffer[STEPS & 1], CL_TRUE, 0, sizeof(result), result, 0,
				  NULL, NULL),
	      "clEnqueueReadBuffer");
	for (int i = 0; i < 4 * N; i++) {
		double d = fabs(result[i] - ref[STEPS & 1][i]);

		if (!(d <= worst)) /* NaN too */
			worst = d;
	}
	printf("opencl-nbody on %s: %d bodies, %d steps, largest difference %.3g\n", name, N, STEPS,
	       worst);
	if (!(worst < 1e-5)) {
		printf("opencl-nbody: WRONG\n");
		return 1;
	}
	printf("opencl-nbody: verified\n");
	return 0;
}
