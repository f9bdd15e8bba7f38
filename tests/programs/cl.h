/* SPDX-License-Identifier: MIT */
/*
 * cl.h - the little of OpenCL's host side that the programs of this folder need: one GPU, one in-order queue, buffers that are made for a call and
 * read back after it. Everything that fails ends the program.
 */
#ifndef TESTS_PROGRAMS_CL_H
#define TESTS_PROGRAMS_CL_H

#include <CL/cl.h>

#include "tests/programs/tap.h"

#define CL_MAX_ARGS 6

static cl_platform_id cl_platform;
static cl_device_id cl_device;
static cl_context cl_the_context;
static cl_command_queue cl_queue;

/* A kernel argument: size bytes at host, in a buffer that is copied there and, if out, back. Local memory where host is NULL. */
struct cl_arg {
	void *host;
	size_t size;
	bool out;
};

static void cl_check(cl_int e, const char *what)
{
	if (e)
		tap_bail("%s: OpenCL error %d", what, e);
}

__attribute__((unused)) static void cl_open(void)
{
	cl_int e;

	cl_check(clGetPlatformIDs(1, &cl_platform, NULL), "clGetPlatformIDs");
	cl_check(clGetDeviceIDs(cl_platform, CL_DEVICE_TYPE_GPU, 1, &cl_device, NULL), "clGetDeviceIDs");
	cl_the_context = clCreateContext(NULL, 1, &cl_device, NULL, NULL, &e);
	cl_check(e, "clCreateContext");
	cl_queue = clCreateCommandQueueWithProperties(cl_the_context, cl_device, NULL, &e);
	cl_check(e, "clCreateCommandQueueWithProperties");
}

__attribute__((unused)) static cl_program cl_build(const char *source, const char *options)
{
	static char log[65536];
	cl_program program;
	cl_int e;

	program = clCreateProgramWithSource(cl_the_context, 1, &source, NULL, &e);
	cl_check(e, "clCreateProgramWithSource");
	e = clBuildProgram(program, 1, &cl_device, options, NULL, NULL);
	if (e) {
		clGetProgramBuildInfo(program, cl_device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL);
		fprintf(stderr, "%s\n", log);
	}
	cl_check(e, "clBuildProgram");
	return program;
}

/* Runs a kernel over global work-items in work-groups of local, with the args' bytes. */
__attribute__((unused)) static void cl_run(cl_program program, const char *name, size_t global, size_t local, const struct cl_arg *args, unsigned count)
{
	cl_mem buffers[CL_MAX_ARGS] = {NULL};
	cl_kernel kernel;
	cl_int e;

	kernel = clCreateKernel(program, name, &e);
	cl_check(e, name);
	for (unsigned i = 0; i < count; i++) {
		if (args[i].host) {
			buffers[i] = clCreateBuffer(cl_the_context, CL_MEM_COPY_HOST_PTR, args[i].size, args[i].host, &e);
			cl_check(e, "clCreateBuffer");
			cl_check(clSetKernelArg(kernel, i, sizeof(cl_mem), &buffers[i]), "clSetKernelArg");
		} else {
			cl_check(clSetKernelArg(kernel, i, args[i].size, NULL), "clSetKernelArg");
		}
	}
	cl_check(clEnqueueNDRangeKernel(cl_queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL), name);
	for (unsigned i = 0; i < count; i++)
		if (args[i].host && args[i].out)
			cl_check(clEnqueueReadBuffer(cl_queue, buffers[i], CL_TRUE, 0, args[i].size, args[i].host, 0, NULL, NULL), name);
	cl_check(clFinish(cl_queue), name);
	for (unsigned i = 0; i < count; i++)
		if (buffers[i])
			clReleaseMemObject(buffers[i]);
	clReleaseKernel(kernel);
}

#endif
