/* SPDX-License-Identifier: MIT */
/*
 * cmd_exec_kernel.c - `hsavisor exec-kernel`: one kernel of a code object, on the software GPU, in this process: for tests and bug reports.
 *
 * No daemon and no ROCm is needed. The kernel runs --repeat times by the clock; --profile then restores the buffers and runs it once more, interpreted
 * and counted, so that times are of what normally runs and counts are exact.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/size.h"
#include "cli/cli.h"
#include "cli/kernel_args.h"
#include "cli/kernel_observe.h"

static const char usage[] =
	"Usage: hsavisor exec-kernel FILE KERNEL --grid X[,Y[,Z]] [--group X[,Y[,Z]]] [--arg A]... [OPTIONS]\n"
	"Runs one kernel of an AMDGPU code object on the software GPU in this process.\n"
	"\n"
	"  --grid X,Y,Z  work-items in all\n"
	"  --group X,Y,Z work-items of a work-group (default: what the kernel requires, else 64 or the grid)\n" KERNEL_ARG_HELP
	"  --lds SIZE    dynamic LDS besides (HIP's extern __shared__)\n"
	"  --dump N[:FILE[:TYPE]]  after the last run write the buffer of argument N (the first is 0) to FILE, as it is or\n"
	"                as numbers of TYPE; print it without FILE or when that is -\n"
	"  --target T    of a bundle's code objects take that for gfx90a or gfx900\n"
	"  --threads N   threads (default: one a CPU)\n"
	"  --repeat N    dispatches, each timed\n"
	"  --timeout S   stop it after S seconds\n"
	"  --jit MODE    on (default), off, or sync: compiled before it runs\n"
	"  --isa-trace FILE  write every instruction of chosen waves with the registers it changed (interpreted, one thread)\n"
	"  --trace-wave X[,Y[,Z]]:WAVE|all  work-group and wave to trace (default 0,0,0:0; may be repeated)\n"
	"  --profile     instruction mix and hot blocks, from one more run\n"
	"  --json        report as JSON\n"
	"\n"
	"Exit status: 0 it ended, 1 it could not run or failed (a fault, an illegal instruction, a trap, --timeout), 2 bad usage,\n"
	"4 no such kernel, 130 stopped by Ctrl-C.\n";

#define DUMPS 16

struct options {
	const char *path, *kernel, *target, *trace_file;
	const char *dump[DUMPS];
	unsigned num_dumps;
	struct kernel_dispatch d;
	struct kernel_args args;
	struct kernel_trace trace;
	long repeat, timeout;
	uint64_t lds;
	bool profile, json, grouped;
	uint32_t group[3];
};

static volatile sig_atomic_t timed_out;

static void interrupted(int sig)
{
	timed_out = sig == SIGALRM;
	kernel_stop();
}

/* "X[,Y[,Z]]", each 1 or more; *end (may be NULL: nothing may follow) is what follows. */
static bool triple(const char *text, uint32_t v[3], uint32_t least, const char **rest)
{
	char *end;

	v[0] = 0;
	v[1] = v[2] = least;
	for (int i = 0; i < 3; i++) {
		unsigned long n;

		if (*text < '0' || *text > '9')
			return false;
		errno = 0;
		n = strtoul(text, &end, 10);
		if (errno || n > UINT32_MAX || n < least)
			return false;
		v[i] = (uint32_t)n;
		text = end;
		if (*text != ',')
			break;
		text++;
	}
	if (rest)
		*rest = text;
	return rest || !*text;
}

static int add_trace_wave(struct options *o, const char *text)
{
	const char *rest;
	long wave;
	unsigned n = o->trace.num_waves;

	if (!strcmp(text, "all")) {
		o->trace.all = true;
		return 0;
	}
	if (n == sizeof(o->trace.wave) / sizeof(o->trace.wave[0]))
		return cli_fail(EXIT_USAGE, "--trace-wave: at most %u, or all", n);
	if (!triple(text, o->trace.wave[n].group, 0, &rest) || *rest != ':' || !cli_number(rest + 1, 0, WG_MAX_WAVES - 1, &wave))
		return cli_fail(EXIT_USAGE, "bad wave '%s': write X,Y,Z:WAVE with WAVE 0 to 15, or all", text);
	o->trace.wave[n].wave = (uint32_t)wave;
	o->trace.num_waves++;
	return 0;
}

static int set_jit(const char *mode)
{
	if (!strcmp(mode, "off"))
		setenv("HSAVISOR_JIT", "0", 1);
	else if (!strcmp(mode, "sync"))
		setenv("HSAVISOR_JIT", "sync", 1);
	else if (strcmp(mode, "on"))
		return cli_fail(EXIT_USAGE, "bad --jit '%s': on, off or sync", mode);
	return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
	enum { GRID = 1, GROUP, ARG, LDS, DUMP, TARGET, THREADS, REPEAT, TIMEOUT, JIT, TRACE, WAVE, PROFILE, JSON };
	static const struct option known[] = {{"grid", required_argument, NULL, GRID},	     {"group", required_argument, NULL, GROUP},
					      {"arg", required_argument, NULL, ARG},	     {"lds", required_argument, NULL, LDS},
					      {"dump", required_argument, NULL, DUMP},	     {"target", required_argument, NULL, TARGET},
					      {"threads", required_argument, NULL, THREADS}, {"repeat", required_argument, NULL, REPEAT},
					      {"timeout", required_argument, NULL, TIMEOUT}, {"jit", required_argument, NULL, JIT},
					      {"isa-trace", required_argument, NULL, TRACE}, {"trace-wave", required_argument, NULL, WAVE},
					      {"profile", no_argument, NULL, PROFILE},	     {"json", no_argument, NULL, JSON},
					      {"help", no_argument, NULL, 'h'},		     {0}};
	long threads = 0;
	int c, err = 0;

	optind = 0;
	while (!err && (c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (c) {
		case GRID:
			if (!triple(optarg, o->d.grid, 1, NULL))
				err = cli_fail(EXIT_USAGE, "bad grid '%s': write X, X,Y or X,Y,Z, each 1 or more", optarg);
			break;
		case GROUP:
			if (!triple(optarg, o->group, 1, NULL) || (uint64_t)o->group[0] * o->group[1] > 1024 ||
			    (uint64_t)o->group[0] * o->group[1] * o->group[2] > 1024)
				err = cli_fail(EXIT_USAGE, "bad work-group '%s': write X, X,Y or X,Y,Z, at most 1024 in all", optarg);
			o->grouped = true;
			break;
		case ARG:
			if (o->args.num == KERNEL_ARGS_MAX)
				err = cli_fail(EXIT_USAGE, "more than %d arguments", KERNEL_ARGS_MAX);
			else
				o->args.arg[o->args.num++].text = optarg;
			break;
		case LDS:
			if (size_parse(optarg, &o->lds) || o->lds > 65536)
				err = cli_fail(EXIT_USAGE, "bad size '%s': 1 to 64K", optarg);
			break;
		case DUMP:
			if (o->num_dumps == DUMPS)
				err = cli_fail(EXIT_USAGE, "more than %d dumps", DUMPS);
			else
				o->dump[o->num_dumps++] = optarg;
			break;
		case TARGET:
			o->target = optarg;
			err = code_target_known(optarg) ? 0 : EXIT_USAGE;
			break;
		case THREADS:
			if (!cli_number(optarg, 1, KERNEL_THREADS, &threads))
				err = cli_fail(EXIT_USAGE, "bad --threads '%s': 1 to %d", optarg, KERNEL_THREADS);
			break;
		case REPEAT:
			if (!cli_number(optarg, 1, 1000000, &o->repeat))
				err = cli_fail(EXIT_USAGE, "bad --repeat '%s': 1 to 1000000", optarg);
			break;
		case TIMEOUT:
			if (!cli_number(optarg, 1, 1000000, &o->timeout))
				err = cli_fail(EXIT_USAGE, "bad --timeout '%s': seconds, 1 or more", optarg);
			break;
		case JIT:
			err = set_jit(optarg);
			break;
		case TRACE:
			o->trace_file = optarg;
			break;
		case WAVE:
			err = add_trace_wave(o, optarg);
			break;
		case PROFILE:
			o->profile = true;
			break;
		case JSON:
			o->json = true;
			break;
		default:
			err = cli_usage(usage, c);
			return err ? err : -1;
		}
	}
	if (err)
		return err;
	if (argc - optind != 2)
		return cli_usage(usage, '?');
	if (!o->d.grid[0])
		return cli_fail(EXIT_USAGE, "how many work-items? Give --grid");
	o->path = argv[optind];
	o->kernel = argv[optind + 1];
	o->d.threads = (unsigned)threads;
	if (!threads) {
		cpu_set_t set;

		o->d.threads = sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned)CPU_COUNT(&set);
		o->d.threads = o->d.threads > KERNEL_THREADS ? KERNEL_THREADS : o->d.threads;
	}
	return 0;
}

/* The grid and the work-group against what the kernel wants. */
static int check_shape(struct options *o, const struct codeobj_kernel *k)
{
	uint32_t items = 1;

	if (!o->grouped) {
		uint32_t most = k->max_group && k->max_group < 64 ? k->max_group : 64;

		for (int i = 0; i < 3; i++)
			o->group[i] = k->required_group[0] ? k->required_group[i] : i ? 1 : o->d.grid[0] < most ? o->d.grid[0] : most;
	}
	for (int i = 0; i < 3; i++) {
		if (k->required_group[0] && o->group[i] != k->required_group[i])
			return cli_fail(EXIT_USAGE, "kernel %s requires work-groups of %u,%u,%u", k->name, k->required_group[0], k->required_group[1],
					k->required_group[2]);
		items *= o->group[i];
		o->d.group[i] = (uint16_t)o->group[i];
	}
	if (k->max_group && items > k->max_group)
		return cli_fail(EXIT_USAGE, "kernel %s takes at most %u work-items a work-group, not %u", k->name, k->max_group, items);
	for (int i = 0; i < 3; i++)
		if (k->uniform_groups && o->d.grid[i] % o->group[i])
			return cli_fail(EXIT_USAGE, "the grid's %u is not a multiple of the work-group's %u, which kernel %s relies on", o->d.grid[i],
					o->group[i], k->name);
	for (uint64_t i = 0, n = 1; i < 3; i++) {
		n *= (o->d.grid[i] + (uint64_t)o->group[i] - 1) / o->group[i];
		if (n > UINT32_MAX)
			return cli_fail(EXIT_USAGE, "the grid has more than 2^32 work-groups");
	}
	return 0;
}

/* ------------------------------------------------------------------ reports */

static const char *const results[] = {[EXEC_DONE] = "done",	      [EXEC_YIELD] = "stopped",	   [EXEC_MEMORY_FAULT] = "memory fault", [EXEC_ILLEGAL] = "illegal instruction",
				      [EXEC_APERTURE] = "aperture violation", [EXEC_TRAP] = "trap"};

/* What went wrong, as a sentence. */
static void explain(const struct kernel_run *run, char *text, size_t size)
{
	const struct exec_fault *f = &run->fault;
	char where[192];

	kernel_where(run, f->va, where, sizeof(where));
	switch (run->result) {
	case EXEC_MEMORY_FAULT:
		snprintf(text, size, "memory fault: %s 0x%llx, %s, %s", f->no_execute ? "execution at" : f->write ? "write to" : "read from", (unsigned long long)f->va,
			 where, f->not_present ? "which is not mapped" : f->write ? "which is read-only" : "which is no code");
		break;
	case EXEC_APERTURE:
		snprintf(text, size, "aperture violation: address 0x%llx", (unsigned long long)f->va);
		break;
	case EXEC_TRAP:
		snprintf(text, size, "trap %u", f->trap_id);
		break;
	default:
		snprintf(text, size, "%s", results[run->result]);
	}
}

static void fault_place(const struct kernel_run *run, char place[160], char text[256])
{
	uint64_t at = run->fault.pc - KERNEL_CODE_BASE;

	code_place(run->co, at, place, 160);
	if (!code_inst_text(run->co, at, text, 256, NULL))
		snprintf(text, 256, "outside of the code object");
}

static void say_fault(const struct kernel_run *run)
{
	char what[512], place[160], text[256];

	explain(run, what, sizeof(what));
	fault_place(run, place, text);
	cli_fail(EXIT_FAIL, "kernel %s: %s\n  work-group %u,%u,%u wave %u at %s: %s", run->kernel->name, what, run->fault_group[0], run->fault_group[1],
		 run->fault_group[2], run->fault_wave, place, text);
}

struct times {
	uint64_t runs, least, sum, cpu, instructions, interpreted;
};

static void put_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)v));
}

static void report_json(const struct kernel_run *run, const struct options *o, const struct times *t)
{
	struct json_object *top = json_object_new_object(), *fault;

	json_object_object_add(top, "kernel", json_object_new_string(run->kernel->name));
	json_object_object_add(top, "target", json_object_new_string(code_target_name(run->co->target)));
	json_object_object_add(top, "result", json_object_new_string(results[run->result]));
	put_u64(top, "dispatches", t->runs);
	put_u64(top, "work_groups", run->work_groups);
	put_u64(top, "threads", o->d.threads);
	put_u64(top, "ns", t->sum);
	put_u64(top, "ns_least", t->runs ? t->least : 0);
	put_u64(top, "cpu_ns", t->cpu);
	put_u64(top, "instructions", t->instructions);
	put_u64(top, "interpreted", t->interpreted);
	if (o->trace_file)
		put_u64(top, "traced", o->trace.instructions);
	if (run->result > EXEC_YIELD) {
		char what[512], place[160], text[256];
		struct json_object *group = json_object_new_array();

		fault = json_object_new_object();
		explain(run, what, sizeof(what));
		fault_place(run, place, text);
		json_object_object_add(fault, "text", json_object_new_string(what));
		put_u64(fault, "address", run->fault.va);
		put_u64(fault, "pc", run->fault.pc - KERNEL_CODE_BASE);
		json_object_object_add(fault, "place", json_object_new_string(place));
		json_object_object_add(fault, "instruction", json_object_new_string(text));
		for (int i = 0; i < 3; i++)
			json_object_array_add(group, json_object_new_int64(run->fault_group[i]));
		json_object_object_add(fault, "work_group", group);
		put_u64(fault, "wave", run->fault_wave);
		json_object_object_add(top, "fault", fault);
	}
	if (run->count)
		json_object_object_add(top, "profile", kernel_profile_json(run));
	json_print(top);
	json_object_put(top);
}

static void report(const struct kernel_run *run, const struct options *o, const struct times *t)
{
	uint32_t printed;

	if (run->result == EXEC_DONE) {
		printf("%s (%s): grid %u,%u,%u, %llu work-groups of %u,%u,%u, %u threads\n", run->kernel->name, code_target_name(run->co->target), o->d.grid[0],
		       o->d.grid[1], o->d.grid[2], (unsigned long long)run->work_groups, o->group[0], o->group[1], o->group[2], o->d.threads);
		printf("%llu dispatches: %.3f ms each, %.3f ms the fastest; CPU %.3f ms each\n", (unsigned long long)t->runs,
		       (double)t->sum / 1e6 / (double)t->runs, (double)t->least / 1e6, (double)t->cpu / 1e6 / (double)t->runs);
		printf("%llu instructions of waves each, %.1f %% by compiled code\n", (unsigned long long)(t->instructions / t->runs),
		       t->instructions ? 100 - 100 * (double)t->interpreted / (double)t->instructions : 0);
	}
	memcpy(&printed, run->printf_buffer, 4);
	if (printed)
		printf("the kernel's printf made %u bytes, which are not shown\n", printed);
	if (o->trace_file)
		printf("%llu instructions traced in %s\n", (unsigned long long)o->trace.instructions, o->trace_file);
	if (run->count)
		kernel_profile_print(run, stdout);
}

/* ------------------------------------------------------------------ running */

static int dispatch(struct kernel_run *run, struct options *o, enum kernel_how how)
{
	int err = kernel_run(run, &o->d, how);

	if (err == -EINVAL)
		return cli_fail(EXIT_FAIL, "kernel %s cannot run so: more than 64 KiB of LDS (%u and %u dynamic), wave32, or impossible registers", run->kernel->name,
				run->kernel->lds, o->d.dynamic_lds);
	return err ? cli_fail(EXIT_FAIL, "cannot run the kernel: %s", strerror(-err)) : 0;
}

static int run_all(struct kernel_run *run, struct options *o, struct times *t)
{
	int err = 0;

	t->least = UINT64_MAX;
	for (long i = 0; i < o->repeat && !err && !kernel_stopped() && (!i || run->result == EXEC_DONE); i++) {
		err = dispatch(run, o, o->trace_file ? KERNEL_TRACED : KERNEL_PLAIN);
		t->runs++;
		t->sum += run->ns;
		t->cpu += run->cpu_ns;
		t->least = run->ns < t->least ? run->ns : t->least;
		t->instructions += run->instructions;
		t->interpreted += run->interpreted;
	}
	if (!err && o->profile && run->result == EXEC_DONE) {
		kernel_args_restore(&o->args);
		err = dispatch(run, o, KERNEL_COUNTED);
	}
	return err;
}

static int finish(struct kernel_run *run, struct options *o, const struct times *t)
{
	int err = 0;

	kernel_args_check(&o->args);
	if (o->json)
		report_json(run, o, t);
	else
		report(run, o, t);
	fflush(stdout);
	if (run->result == EXEC_YIELD)
		return timed_out ? cli_fail(EXIT_FAIL, "kernel %s: stopped after %ld s", run->kernel->name, o->timeout)
				 : cli_fail(128 + SIGINT, "kernel %s: stopped", run->kernel->name);
	if (run->result != EXEC_DONE)
		say_fault(run);
	/* After a fault, too: what was written until then. */
	for (unsigned i = 0; i < o->num_dumps && !err; i++)
		err = kernel_args_dump(&o->args, o->dump[i], false);
	return run->result != EXEC_DONE ? EXIT_FAIL : err;
}

static int with_kernel(struct options *o, const struct codeobj *co, const struct codeobj_kernel *k)
{
	struct sigaction sa = {.sa_handler = interrupted};
	struct times times = {0};
	struct kernel_run run;
	int err;

	if (!k->descriptor)
		return cli_fail(EXIT_FAIL, "%s: it is not linked (ld.lld -shared); only linked code objects can run", o->path);
	if (co->bad_relocs)
		return cli_fail(EXIT_FAIL, "%s: it needs %u symbols that are not in it", o->path, co->bad_relocs);
	err = check_shape(o, k);
	if (err)
		return err;
	if (kernel_run_init(&run, co, k))
		return cli_fail(EXIT_FAIL, "no memory");
	run.trace = &o->trace;
	run.where = stderr;
	err = kernel_args_make(&o->args, &run);
	for (unsigned i = 0; i < o->num_dumps && !err; i++)
		err = kernel_args_dump(&o->args, o->dump[i], true);
	if (!err && o->profile && kernel_args_keep(&o->args))
		err = cli_fail(EXIT_FAIL, "no memory to keep the buffers for --profile");
	if (err)
		goto out;
	o->d.args = o->args.bytes;
	o->d.args_size = o->args.size;
	o->d.dynamic_lds = (uint32_t)o->lds + o->args.lds;
	if (o->trace_file) {
		o->trace.file = fopen(o->trace_file, "we");
		if (!o->trace.file) {
			err = cli_fail(EXIT_FAIL, "%s: %s", o->trace_file, strerror(errno));
			goto out;
		}
		o->trace.num_waves = o->trace.num_waves ? o->trace.num_waves : 1; /* 0,0,0:0 */
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	alarm((unsigned)o->timeout);
	err = run_all(&run, o, &times);
	alarm(0);
	if (o->trace.file && fclose(o->trace.file) && !err)
		err = cli_fail(EXIT_FAIL, "%s: %s", o->trace_file, strerror(errno));
	if (!err)
		err = finish(&run, o, &times);
out:
	kernel_args_free(&o->args);
	kernel_run_free(&run);
	return err;
}

int cmd_exec_kernel(int argc, char **argv)
{
	struct options o = {.repeat = 1, .d.grid = {0, 1, 1}};
	const struct codeobj_kernel *k;
	struct codeobj_file file;
	struct codeobj co;
	int err = parse(argc, argv, &o);

	if (err)
		return err < 0 ? EXIT_OK : err;
	err = code_open(&file, &co, o.path, o.target, KERNEL_CODE_BASE);
	if (err)
		return err;
	k = code_kernel(&co, o.path, o.kernel);
	err = k ? with_kernel(&o, &co, k) : EXIT_NO_SUCH;
	codeobj_free(&co);
	codeobj_file_free(&file);
	return err;
}
