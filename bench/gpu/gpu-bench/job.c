// SPDX-License-Identifier: MIT
/*
 * job.c - programs, buffers, runs and times by OpenCL. A kernel's time is from its event's start to its end, by the device's clock.
 */
#include "bench/gpu/gpu-bench/job.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_PROGRAMS = 16 };

static struct {
	cl_device_id device;
	cl_context context;
	cl_command_queue queue;
	const char *kernels, *load, *save;
	struct {
		const char *file;
		bool f64;
		cl_program program;
	} programs[MAX_PROGRAMS];
	unsigned num_programs;
} cl;

void job_die(const char *what, ...)
{
	va_list args;

	fprintf(stderr, "gpu-bench: ");
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void ok(cl_int error, const char *what)
{
	if (error)
		job_die("%s: OpenCL error %d", what, error);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---------------------------------------------------------------- device and programs */

void job_open(const char *platform, const char *kernels, const char *load, const char *save)
{
	cl_platform_id all[16];
	cl_uint num = 0;
	cl_int error;
	char name[256];

	clGetPlatformIDs(16, all, &num);
	for (cl_uint i = 0; i < num && i < 16 && !cl.device; i++) {
		ok(clGetPlatformInfo(all[i], CL_PLATFORM_NAME, sizeof(name), name, NULL), "platform's name");
		if (strstr(name, platform))
			ok(clGetDeviceIDs(all[i], CL_DEVICE_TYPE_ALL, 1, &cl.device, NULL), "no device");
	}
	if (!cl.device)
		job_die("no OpenCL platform '%s'", platform);
	cl.context = clCreateContext(NULL, 1, &cl.device, NULL, NULL, &error);
	ok(error, "context");
	cl.queue = clCreateCommandQueueWithProperties(
		cl.context, cl.device, (cl_queue_properties[]){CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0}, &error);
	ok(error, "queue");
	cl.kernels = kernels;
	cl.load = load;
	cl.save = save;
}

static void *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	char *data;
	long n;

	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0)
		job_die("cannot read %s", path);
	rewind(f);
	data = malloc((size_t)n + 1);
	if (!data || fread(data, 1, (size_t)n, f) != (size_t)n)
		job_die("cannot read %s", path);
	fclose(f);
	data[n] = 0;
	*size = (size_t)n;
	return data;
}

static cl_program build(const char *file, bool f64)
{
	char path[4096], binary[4096];
	unsigned char *data;
	cl_program program;
	cl_int error, status;
	size_t size;
	FILE *f;

	snprintf(binary, sizeof(binary), "%s/%s-%s.bin", cl.load ? cl.load : cl.save ? cl.save : "", file, f64 ? "f64" : "f32");
	if (cl.load) {
		data = read_file(binary, &size);
		program = clCreateProgramWithBinary(cl.context, 1, &cl.device, &size, (const unsigned char **)&data, &status, &error);
	} else {
		snprintf(path, sizeof(path), "%s/%s.cl", cl.kernels, file);
		data = read_file(path, &size);
		program = clCreateProgramWithSource(cl.context, 1, (const char **)&data, &size, &error);
	}
	ok(error, file);
	free(data);
	error = clBuildProgram(program, 1, &cl.device, f64 ? "-DREAL=double -DDOUBLE" : "-DREAL=float", NULL, NULL);
	if (error) {
		static char log[20000];

		clGetProgramBuildInfo(program, cl.device, CL_PROGRAM_BUILD_LOG, sizeof(log) - 1, log, NULL);
		job_die("%s.cl does not build: %s", file, log);
	}
	if (cl.save) {
		ok(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL), "size of binary");
		data = malloc(size);
		ok(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(data), &data, NULL), "binary");
		f = fopen(binary, "wb");
		if (!f || fwrite(data, 1, size, f) != size || fclose(f))
			job_die("cannot write %s", binary);
		free(data);
	}
	return program;
}

static cl_program program_of(const char *file, bool f64)
{
	unsigned i;

	for (i = 0; i < cl.num_programs; i++)
		if (!strcmp(cl.programs[i].file, file) && cl.programs[i].f64 == f64)
			return cl.programs[i].program;
	if (i == MAX_PROGRAMS)
		job_die("too many programs");
	cl.programs[i].program = build(file, f64);
	cl.programs[i].file = file;
	cl.programs[i].f64 = f64;
	cl.num_programs++;
	return cl.programs[i].program;
}

/* ---------------------------------------------------------------- what cases call */

static void *add_buffer(struct job *j, unsigned i, size_t bytes, cl_mem_flags flags)
{
	cl_int error;

	j->bytes[i] = bytes;
	j->mem[i] = clCreateBuffer(cl.context, flags, bytes, NULL, &error);
	ok(error, "buffer");
	j->host[i] = calloc(1, bytes);
	if (!j->host[i])
		job_die("out of memory");
	return j->host[i];
}

void *job_input(struct job *j, unsigned i, size_t bytes)
{
	j->kept[i] = true;
	return add_buffer(j, i, bytes, CL_MEM_READ_ONLY);
}

void *job_changed(struct job *j, unsigned i, size_t bytes)
{
	return add_buffer(j, i, bytes, CL_MEM_READ_WRITE);
}

/* Holds a pattern that no kernel leaves, so that what was not written shows. */
void job_output(struct job *j, unsigned i, size_t bytes)
{
	memset(add_buffer(j, i, bytes, CL_MEM_READ_WRITE), 0xa5, bytes);
	j->kept[i] = true;
}

void job_arg_buffer(struct job *j, unsigned k, unsigned arg, unsigned buffer)
{
	ok(clSetKernelArg(j->kernel[k], arg, sizeof(cl_mem), &j->mem[buffer]), "argument");
}

void job_arg_int(struct job *j, unsigned k, unsigned arg, int value)
{
	cl_int v = value;

	ok(clSetKernelArg(j->kernel[k], arg, sizeof(v), &v), "argument");
}

void job_arg_real(struct job *j, unsigned k, unsigned arg, double value)
{
	double v[1];

	job_put(j, v, 0, value);
	ok(clSetKernelArg(j->kernel[k], arg, job_real(j), v), "argument");
}

void job_launch(struct job *j, unsigned k, size_t x, size_t y, size_t group_x, size_t group_y)
{
	size_t grid[2] = {x, y}, group[2] = {group_x, group_y};

	if (j->num_events == j->max_events) {
		j->max_events = j->max_events ? 2 * j->max_events : 64;
		j->events = realloc(j->events, j->max_events * sizeof(*j->events));
		if (!j->events)
			job_die("out of memory");
	}
	ok(clEnqueueNDRangeKernel(cl.queue, j->kernel[k], y ? 2 : 1, NULL, grid, group, 0, NULL, &j->events[j->num_events]), j->c->name);
	j->num_events++;
}

size_t job_real(const struct job *j)
{
	return j->c->f64 ? sizeof(double) : sizeof(float);
}

double job_get(const struct job *j, const void *data, size_t i)
{
	return j->c->f64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

void job_put(const struct job *j, void *data, size_t i, double value)
{
	if (j->c->f64)
		((double *)data)[i] = value;
	else
		((float *)data)[i] = (float)value;
}

uint32_t job_random(uint64_t index, uint32_t seed)
{
	uint64_t z = (index + 1) * 0x9e3779b97f4a7c15u + seed * 0xd1342543de82ef95u;

	z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93u;
	return (uint32_t)(z >> 32);
}

double job_uniform(uint64_t index, uint32_t seed)
{
	return (double)(job_random(index, seed) >> 12) * 0x1p-20;
}

void job_fill(const struct job *j, void *data, size_t n, uint32_t seed, double low, double high)
{
	for (size_t i = 0; i < n; i++)
		job_put(j, data, i, low + (high - low) * job_uniform(i, seed));
}

void job_wrong(struct job *j, unsigned buffer, size_t i, double got, double want)
{
	if (!j->wrong[0])
		snprintf(j->wrong, sizeof(j->wrong), "buffer %u, element %zu is %.17g, not %.17g", buffer, i, got, want);
}

void job_close(struct job *j, unsigned buffer, size_t i, double want, double scale, double tolerance)
{
	double got = job_get(j, j->result[buffer], i);

	if (!(fabs(got - want) <= tolerance * (j->c->f64 ? DBL_EPSILON : (double)FLT_EPSILON) * fabs(scale)))
		job_wrong(j, buffer, i, got, want);
}

size_t job_step(size_t n, size_t most)
{
	return n <= most ? 1 : (n / most) | 1;
}

/* ---------------------------------------------------------------- a job's life */

struct job *job_start(const struct job_case *c, bool small)
{
	struct job *j = calloc(1, sizeof(*j));
	cl_program program = program_of(c->file, c->f64);
	cl_int error;

	if (!j)
		job_die("out of memory");
	j->c = c;
	memcpy(j->size, small ? c->small : c->full, sizeof(j->size));
	for (unsigned k = 0; k < JOB_KERNELS && c->kernels[k]; k++) {
		j->kernel[k] = clCreateKernel(program, c->kernels[k], &error);
		ok(error, c->kernels[k]);
	}
	c->setup(j);
	for (unsigned i = 0; i < JOB_BUFFERS; i++)
		if (j->kept[i])
			ok(clEnqueueWriteBuffer(cl.queue, j->mem[i], CL_TRUE, 0, j->bytes[i], j->host[i], 0, NULL, NULL), "write");
	return j;
}

void job_end(struct job *j)
{
	for (unsigned i = 0; i < JOB_BUFFERS; i++) {
		if (j->mem[i])
			clReleaseMemObject(j->mem[i]);
		free(j->host[i]);
		free(j->result[i]);
	}
	for (unsigned k = 0; k < JOB_KERNELS; k++)
		if (j->kernel[k])
			clReleaseKernel(j->kernel[k]);
	free(j->events);
	free(j);
}

uint64_t job_run(struct job *j)
{
	cl_ulong start, end, total = 0;

	for (unsigned i = 0; i < JOB_BUFFERS; i++)
		if (j->mem[i] && !j->kept[i])
			ok(clEnqueueWriteBuffer(cl.queue, j->mem[i], CL_TRUE, 0, j->bytes[i], j->host[i], 0, NULL, NULL), "write");
	j->c->run(j);
	ok(clFinish(cl.queue), j->c->name);
	for (unsigned i = 0; i < j->num_events; i++) {
		ok(clGetEventProfilingInfo(j->events[i], CL_PROFILING_COMMAND_START, sizeof(start), &start, NULL), "start of a kernel");
		ok(clGetEventProfilingInfo(j->events[i], CL_PROFILING_COMMAND_END, sizeof(end), &end, NULL), "end of a kernel");
		total += end - start;
		clReleaseEvent(j->events[i]);
	}
	j->num_events = 0;
	return total;
}

static void read_back(struct job *j)
{
	for (unsigned i = 0; i < JOB_BUFFERS; i++) {
		if (!j->mem[i])
			continue;
		if (!j->result[i])
			j->result[i] = malloc(j->bytes[i]);
		if (!j->result[i])
			job_die("out of memory");
		ok(clEnqueueReadBuffer(cl.queue, j->mem[i], CL_TRUE, 0, j->bytes[i], j->result[i], 0, NULL, NULL), "read");
	}
}

const char *job_check(struct job *j)
{
	read_back(j);
	j->wrong[0] = 0;
	j->c->check(j);
	return j->wrong[0] ? j->wrong : NULL;
}

uint64_t job_hash(struct job *j)
{
	uint64_t hash = 0xcbf29ce484222325u;

	read_back(j);
	for (unsigned i = 0; i < JOB_BUFFERS; i++)
		for (size_t k = 0; k + 4 <= j->bytes[i]; k += 4) {
			uint32_t word;

			memcpy(&word, (const char *)j->result[i] + k, 4);
			hash = (hash ^ word) * 0x100000001b3u;
			hash ^= hash >> 29;
		}
	return hash;
}

/* ---------------------------------------------------------------- dispatches and copies */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double job_empty(unsigned count)
{
	cl_program program = program_of("control", false);
	double *t = calloc(count, sizeof(*t)), median;
	size_t grid = 64;
	cl_int error;
	cl_kernel kernel = clCreateKernel(program, "empty", &error);
	/* Without profiling, which is not what a program that is in a hurry asks for. */
	cl_command_queue queue = clCreateCommandQueueWithProperties(cl.context, cl.device, NULL, &error);

	ok(error, "queue");
	if (!t || !kernel)
		job_die("out of memory");
	for (unsigned i = 0; i < count; i++) {
		double start = now_ns();

		ok(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &grid, &grid, 0, NULL, NULL), "empty");
		ok(clFinish(queue), "empty");
		t[i] = now_ns() - start;
	}
	qsort(t, count, sizeof(*t), compare_doubles);
	median = t[count / 2];
	free(t);
	clReleaseKernel(kernel);
	clReleaseCommandQueue(queue);
	return median;
}

void job_copy(size_t bytes, unsigned count, double best[3])
{
	cl_int error;
	cl_mem device = clCreateBuffer(cl.context, CL_MEM_READ_WRITE, bytes, NULL, &error), pinned;
	char *from, *to;

	ok(error, "buffer");
	pinned = clCreateBuffer(cl.context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, 2 * bytes, NULL, &error);
	ok(error, "pinned buffer");
	from = clEnqueueMapBuffer(cl.queue, pinned, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, 2 * bytes, 0, NULL, NULL, &error);
	ok(error, "pinned buffer");
	to = from + bytes;
	best[0] = best[1] = best[2] = 1e18;
	for (unsigned i = 0; i <= count; i++) {
		double t[4];

		/* Other bytes each time, so that a copy that was left out shows. */
		for (size_t k = 0; k < bytes; k += 64)
			from[k] = (char)(k / 64 * 7 + i);
		t[0] = now_ns();
		ok(clEnqueueWriteBuffer(cl.queue, device, CL_TRUE, 0, bytes, from, 0, NULL, NULL), "write");
		t[1] = now_ns();
		ok(clEnqueueReadBuffer(cl.queue, device, CL_TRUE, 0, bytes, to, 0, NULL, NULL), "read");
		t[2] = now_ns();
		if (memcmp(from, to, bytes))
			job_die("what was copied to the device and back is not what it was");
		memset(to, 0, bytes);
		t[3] = now_ns();
		memcpy(to, from, bytes);
		t[3] = now_ns() - t[3];
		/* The first time memory is touched is another matter. */
		if (!i)
			continue;
		best[0] = fmin(best[0], t[1] - t[0]);
		best[1] = fmin(best[1], t[2] - t[1]);
		best[2] = fmin(best[2], t[3]);
	}
	clEnqueueUnmapMemObject(cl.queue, pinned, from, 0, NULL, NULL);
	ok(clFinish(cl.queue), "unmap");
	clReleaseMemObject(device);
	clReleaseMemObject(pinned);
}
