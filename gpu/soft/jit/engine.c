/* SPDX-License-Identifier: MIT */
/*
 * engine.c - from a kernel's blocks to host code: LLVM's passes and code generator, and the memory the code lies in.
 *
 * One compilation at a time. Everything LLVM needs is set up by engine_init; compiling reads and writes no files. Code memory is
 * mapped writable, then made executable.
 */
#define LOG_PART "jit"
#include <llvm-c/Analysis.h>
#include <llvm-c/BitReader.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "gpu/soft/jit/lift.h"

extern const unsigned char lanes_bitcode[];
extern const size_t lanes_bitcode_size;

/* Where the machine code of a unit is. */
struct memory {
	struct memory *next;
	LLVMOrcJITDylibRef library;
	LLVMOrcResourceTrackerRef tracker;
};

static struct {
	pthread_mutex_t lock;
	LLVMOrcThreadSafeContextRef tsc;
	LLVMContextRef context;
	LLVMModuleRef lanes;
	LLVMTargetMachineRef machine, quick; /* quick: for large kernels */
	LLVMOrcLLJITRef jit;
	unsigned width;
	bool amd;
	struct memory *unused;
	uint64_t libraries;
	char *identity;
	bool ready;
	jmp_buf bail; /* out of a compilation that LLVM gives up */
} engine = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Code of freed units. */
static struct {
	pthread_mutex_t lock;
	struct memory *first;
} given_up = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool failed(LLVMErrorRef err, const char *what)
{
	char *text;

	if (!err)
		return false;
	text = LLVMGetErrorMessage(err);
	log_error("%s: %s", what, text);
	LLVMDisposeErrorMessage(text);
	return true;
}

static double milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

/* What LLVM can't do ends the process if this returns. Instead nothing is compiled any more; all that was is still good. */
static void fatal(const char *reason)
{
	log_error("LLVM: %s; kernels not compiled so far are interpreted", reason);
	engine.ready = false;
	longjmp(engine.bail, 1);
}

static void types(struct lift *l)
{
	l->i1 = LLVMInt1TypeInContext(l->c);
	l->i8 = LLVMInt8TypeInContext(l->c);
	l->i16 = LLVMInt16TypeInContext(l->c);
	l->i32 = LLVMInt32TypeInContext(l->c);
	l->i64 = LLVMInt64TypeInContext(l->c);
	l->f32 = LLVMFloatTypeInContext(l->c);
	l->f64 = LLVMDoubleTypeInContext(l->c);
	l->ptr = LLVMPointerTypeInContext(l->c, 0);
	l->vi1 = LLVMVectorType(l->i1, l->width);
	l->vi32 = LLVMVectorType(l->i32, l->width);
	l->vi64 = LLVMVectorType(l->i64, l->width);
}

static void attribute(LLVMContextRef c, V fn, const char *name, const char *value)
{
	LLVMAttributeRef a = LLVMCreateStringAttribute(c, name, (unsigned)strlen(name), value, (unsigned)strlen(value));

	LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

/*
 * What compiling takes grows with the function, and LLVM cannot be interrupted. So above a size, in LLVM's instructions, it is done with less effort, and above
 * another not at all.
 */
#define QUICK_SIZE 100000
#define MOST_SIZE  300000

static const char passes[] = "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,loop-simplify,lcssa,"
			     "loop-mssa(licm<allowspeculation>),gvn,dse,instcombine<no-verify-fixpoint>,simplifycfg,adce)";

static const char quick_passes[] = "function(sroa,early-cse,simplifycfg,adce)";

static size_t size_of(V fn)
{
	size_t n = 0;

	for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
		for (V i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
			n++;
	return n;
}

/* The module as an object in memory. NULL: failed. */
static LLVMMemoryBufferRef generate(LLVMModuleRef m, V fn)
{
	size_t size = size_of(fn);
	bool quick = size > QUICK_SIZE;
	LLVMTargetMachineRef machine = quick ? engine.quick : engine.machine;
	LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
	LLVMMemoryBufferRef object = NULL;
	char *message = NULL;
	bool bad;

	if (size > MOST_SIZE) {
		log_info("the kernel is too large: %zu operations", size);
		LLVMDisposePassBuilderOptions(options);
		return NULL;
	}
	bad = failed(LLVMRunPasses(m, quick ? quick_passes : passes, machine, options), "passes");

	LLVMDisposePassBuilderOptions(options);
	if (getenv("HSAVISOR_JIT_DUMP"))
		LLVMPrintModuleToFile(m, getenv("HSAVISOR_JIT_DUMP"), NULL);
	if (!bad && LLVMTargetMachineEmitToMemoryBuffer(machine, m, LLVMObjectFile, &message, &object)) {
		log_error("code generation: %s", message);
		LLVMDisposeMessage(message);
		return NULL;
	}
	return object;
}

/* Line numbers for a function (lift.h), for what reads the object. NULL: nobody does. */
static LLVMDIBuilderRef begin_lines(struct lift *l)
{
	LLVMDIBuilderRef d = getenv("HSAVISOR_JIT_OBJECT") ? LLVMCreateDIBuilder(l->m) : NULL;
	LLVMMetadataRef file, type;

	if (!d)
		return NULL;
	LLVMAddModuleFlag(l->m, LLVMModuleFlagBehaviorWarning, "Debug Info Version", 18, LLVMValueAsMetadata(LLVMConstInt(l->i32, LLVMDebugMetadataVersion(), 0)));
	file = LLVMDIBuilderCreateFile(d, "kernel", 6, "", 0);
	LLVMDIBuilderCreateCompileUnit(d, LLVMDWARFSourceLanguageC, file, "", 0, 1, "", 0, 0, "", 0, LLVMDWARFEmissionLineTablesOnly, 0, 0, 0, "", 0, "", 0);
	type = LLVMDIBuilderCreateSubroutineType(d, file, NULL, 0, LLVMDIFlagZero);
	l->lines = LLVMDIBuilderCreateFunction(d, file, "unit", 4, "unit", 4, file, 0, type, 0, 1, 0, LLVMDIFlagZero, 1);
	return d;
}

/* The kernel as an object; its function's name is "unit". NULL: not possible. */
static LLVMMemoryBufferRef compile(struct jit_code *code, bool exact)
{
	struct lift *l = calloc(1, sizeof(*l));
	LLVMMemoryBufferRef object = NULL;
	char *message = NULL, *layout;
	LLVMTargetDataRef data;
	LLVMDIBuilderRef lines;
	bool ok;

	if (!l)
		return NULL;
	l->c = engine.context;
	l->lanes = engine.lanes;
	l->code = code;
	l->exact = exact;
	l->width = engine.width;
	l->amd = engine.amd;
	l->strips = WAVE_LANES / engine.width;
	l->m = LLVMModuleCreateWithNameInContext("unit", l->c);
	LLVMSetTarget(l->m, LLVMGetTarget(l->lanes));
	data = LLVMCreateTargetDataLayout(engine.machine);
	layout = LLVMCopyStringRepOfTargetData(data);
	LLVMDisposeTargetData(data);
	LLVMSetDataLayout(l->m, layout);
	LLVMDisposeMessage(layout);
	l->b = LLVMCreateBuilderInContext(l->c);
	l->at_entry = LLVMCreateBuilderInContext(l->c);
	types(l);
	lines = begin_lines(l);
	ok = lift_code(l);
	if (lines) {
		LLVMSetSubprogram(l->fn, l->lines);
		LLVMDIBuilderFinalize(lines);
		LLVMDisposeDIBuilder(lines);
	}
	LLVMDisposeBuilder(l->b);
	LLVMDisposeBuilder(l->at_entry);
	if (ok) {
		LLVMSetValueName2(l->fn, "unit", 4);
		attribute(l->c, l->fn, "prefer-vector-width", l->width == 16 ? "512" : "256");
		attribute(l->c, l->fn, "min-legal-vector-width", l->width == 16 ? "512" : "256");
		if (LLVMVerifyModule(l->m, LLVMReturnStatusAction, &message)) {
			log_error("kernel at 0x%llx: %s", (unsigned long long)code->entry_pc, message);
			if (getenv("HSAVISOR_JIT_DUMP"))
				LLVMPrintModuleToFile(l->m, getenv("HSAVISOR_JIT_DUMP"), NULL);
			ok = false;
		}
		LLVMDisposeMessage(message);
	}
	if (ok)
		object = generate(l->m, l->fn);
	LLVMDisposeModule(l->m);
	free(l);
	if (object && getenv("HSAVISOR_JIT_OBJECT")) {
		FILE *f = fopen(getenv("HSAVISOR_JIT_OBJECT"), "w");

		if (f) {
			fwrite(LLVMGetBufferStart(object), 1, LLVMGetBufferSize(object), f);
			fclose(f);
		}
	}
	return object;
}

static LLVMMemoryBufferRef try_compile(struct jit_code *code, bool exact)
{
	return setjmp(engine.bail) ? NULL : compile(code, exact);
}

/* The answer of a lookup. */
static void found(LLVMErrorRef err, LLVMOrcCSymbolMapPairs result, size_t count, void *ctx)
{
	if (!failed(err, "lookup") && count)
		*(LLVMOrcExecutorAddress *)ctx = result[0].Sym.Address;
}

/*
 * Makes an object's function callable; takes the object. Each unit has a library of its own, so that all may have the same name, and a
 * unit that is freed leaves its library to the next.
 */
static bool load(struct jit_unit *u, LLVMMemoryBufferRef object)
{
	LLVMOrcExecutionSessionRef session = LLVMOrcLLJITGetExecutionSession(engine.jit);
	LLVMOrcExecutorAddress address = 0;
	struct memory *m = engine.unused;
	LLVMOrcCLookupSetElement symbol;
	LLVMOrcCJITDylibSearchOrderElement order;
	char name[32];

	if (m) {
		engine.unused = m->next;
	} else {
		m = calloc(1, sizeof(*m));
		if (!m) {
			LLVMDisposeMemoryBuffer(object);
			return false;
		}
		snprintf(name, sizeof(name), "unit%llu", (unsigned long long)engine.libraries++);
		m->library = LLVMOrcExecutionSessionCreateBareJITDylib(session, name);
	}
	u->memory = m;
	m->tracker = LLVMOrcJITDylibCreateResourceTracker(m->library);
	if (failed(LLVMOrcLLJITAddObjectFileWithRT(engine.jit, m->tracker, object), "object"))
		return false;
	order = (LLVMOrcCJITDylibSearchOrderElement){m->library, LLVMOrcJITDylibLookupFlagsMatchAllSymbols};
	symbol = (LLVMOrcCLookupSetElement){LLVMOrcExecutionSessionIntern(session, "unit"), LLVMOrcSymbolLookupFlagsRequiredSymbol};
	LLVMOrcExecutionSessionLookup(session, LLVMOrcLookupKindStatic, &order, 1, &symbol, 1, found, &address);
	u->fn = (jit_fn *)(uintptr_t)address;
	return address != 0;
}

static bool try_load(struct jit_unit *u, LLVMMemoryBufferRef object)
{
	return !setjmp(engine.bail) && load(u, object);
}

static void unload(struct memory *m)
{
	failed(LLVMOrcResourceTrackerRemove(m->tracker), "unload");
	LLVMOrcReleaseResourceTracker(m->tracker);
	m->next = engine.unused;
	engine.unused = m;
}

/* Frees what was given up while a kernel was compiled. Under the engine's lock. */
static void unload_given_up(void)
{
	struct memory *m;

	pthread_mutex_lock(&given_up.lock);
	m = given_up.first;
	given_up.first = NULL;
	pthread_mutex_unlock(&given_up.lock);
	for (struct memory *next; m; m = next) {
		next = m->next;
		unload(m);
	}
}

/*
 * Compiles a small kernel: LLVM makes many of its tables when they are first needed. They are to be there before a process isolates itself.
 */
static bool warm_up(void)
{
	static const uint16_t ops[] = {ISA_V_FMA_F32, ISA_DS_READ_B32, ISA_V_CNDMASK_B32, ISA_S_ENDPGM};
	struct jit_code *c = calloc(1, sizeof(*c));
	struct jit_unit unit = {.code = c};
	LLVMMemoryBufferRef object;
	bool ok = false;

	if (!c)
		return false;
	c->target = ISA_GFX90A;
	c->num_vgprs = 8;
	c->num_inst = 4;
	c->num_blocks = 1;
	c->inst = calloc(4, sizeof(*c->inst));
	c->block = calloc(1, sizeof(*c->block));
	if (c->inst && c->block) {
		for (unsigned i = 0; i < 4; i++) {
			struct isa_inst *in = &c->inst[i].ci.inst;

			c->inst[i].block = i ? NO_BLOCK : 0;
			c->inst[i].next = i < 3 ? i + 1 : NO_INST;
			c->inst[i].ci.size = 8;
			in->op = ops[i];
			in->format = i == 1 ? ISA_FMT_DS : i == 3 ? ISA_FMT_SOPP : ISA_FMT_VOP3;
			for (unsigned k = 0; k < 3 && i < 3; k++)
				in->src[k] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = 1, .index = (uint16_t)k};
			if (i < 3)
				in->dst[0] = (struct isa_operand){.kind = ISA_OPND_VGPR, .dwords = 1, .index = 4};
			if (i == 1)
				in->src[1] = in->src[2] = (struct isa_operand){0};
			if (i == 2)
				in->src[2] = (struct isa_operand){.kind = ISA_OPND_SGPR, .dwords = 2, .index = SGPR_VCC};
		}
		c->block[0] = (struct jit_block){.count = 4, .term = TERM_END, .safe = true, .back = true, .succ = {NO_BLOCK, NO_BLOCK}};
		object = jit_analyse(c, engine.width) ? try_compile(c, false) : NULL;
		ok = object && try_load(&unit, object);
		if (unit.memory)
			unload(unit.memory);
	}
	jit_code_free(c);
	return ok;
}

/*
 * LLVM would take itself apart when the process ends, under a compilation by another thread, or before the last units are freed. So what is
 * registered in this module to be done at the end is not done.
 */
__attribute__((visibility("hidden"))) int __cxa_atexit(void (*fn)(void *), void *arg, void *module);
int __cxa_atexit(void (*fn)(void *), void *arg, void *module)
{
	return 0;
}

/*
 * The build of this module, as the linker numbered it (-Wl,--build-id), in hexadecimal at ctx. Of no use are objects that another build made,
 * so they are told apart even while the version stays.
 */
static int build_id(struct dl_phdr_info *info, size_t size, void *ctx)
{
	const uintptr_t here = (uintptr_t)lanes_bitcode - info->dlpi_addr;
	const ElfW(Phdr) *p = info->dlpi_phdr, *behind = p + info->dlpi_phnum;
	bool own = false;
	char *out = ctx;

	for (; p < behind; p++)
		own |= p->p_type == PT_LOAD && here - p->p_vaddr < p->p_memsz;
	if (!own)
		return 0;
	for (p = info->dlpi_phdr; p < behind; p++) {
		const char *at = (const char *)(info->dlpi_addr + p->p_vaddr), *end = at + p->p_memsz;
		size_t align = p->p_align == 8 ? 8 : 4;

		while (p->p_type == PT_NOTE && at + sizeof(ElfW(Nhdr)) < end) {
			const ElfW(Nhdr) *n = (const void *)at;
			const char *id = at + (sizeof(*n) + n->n_namesz + align - 1) / align * align;

			for (unsigned k = 0; n->n_type == NT_GNU_BUILD_ID && k < n->n_descsz && k < 32; k++)
				sprintf(out + 2 * k, "%02x", (unsigned char)id[k]);
			at = id + (n->n_descsz + align - 1) / align * align;
		}
	}
	return 1;
}

/*
 * What code is made for: the vectors' width, the processor for LLVM, its features (the caller frees them; NULL: nothing can be made, or out of
 * memory). Features say what there is; the processor's name may be a guess inside a virtual machine and decides only on scheduling.
 */
static char *host_features(unsigned *width, const char **cpu)
{
	const char *narrow = getenv("HSAVISOR_JIT_WIDTH");
	char *all, *wide = NULL;

	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
		log_info("this processor has no AVX2: kernels are interpreted");
		return NULL;
	}
	*width = 8;
	*cpu = "x86-64-v3";
	if (narrow && atoi(narrow) == 8)
		return strdup("+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt,+f16c");
	all = LLVMGetHostCPUFeatures();
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
	    !__builtin_cpu_supports("avx512dq"))
		return all;
	*width = 16;
	*cpu = "x86-64-v4";
	if (asprintf(&wide, "%s,-prefer-256-bit,+fast-variable-perlane-shuffle", all) < 0)
		wide = NULL;
	LLVMDisposeMessage(all);
	return wide;
}

/*
 * AMD's Zen 4 sees by itself how rows go on in memory, also between lanes that run one by one: fetching them ahead, which Intel's need, made saxpy half as slow again there,
 * and several ends of a loop are guessed worse than one (docs/benchmarks.md).
 */
static bool host_is_amd(void)
{
	const char *host = getenv("HSAVISOR_JIT_HOST");

	return host ? !strcmp(host, "amd") : __builtin_cpu_is("amd");
}

static int engine_init(void)
{
	char *features = NULL, *triple = NULL, *message = NULL;
	LLVMOrcJITTargetMachineBuilderRef jtmb;
	LLVMOrcLLJITBuilderRef builder;
	LLVMMemoryBufferRef buffer;
	LLVMTargetRef target;
	const char *cpu;
	int err = -1;

	pthread_mutex_lock(&engine.lock);
	if (engine.ready) {
		pthread_mutex_unlock(&engine.lock);
		return 0;
	}
	LLVMInstallFatalErrorHandler(fatal);
	if (LLVMInitializeNativeTarget() || LLVMInitializeNativeAsmPrinter())
		goto out;
	triple = LLVMGetDefaultTargetTriple();
	if (LLVMGetTargetFromTriple(triple, &target, &message)) {
		log_error("%s", message);
		LLVMDisposeMessage(message);
		goto out;
	}
	features = host_features(&engine.width, &cpu);
	if (!features)
		goto out;
	engine.amd = host_is_amd();
	engine.machine = LLVMCreateTargetMachine(target, triple, cpu, features, LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelSmall);
	engine.quick = LLVMCreateTargetMachine(target, triple, cpu, features, LLVMCodeGenLevelNone, LLVMRelocPIC, LLVMCodeModelSmall);
	if (!engine.machine || !engine.quick)
		goto out;
	jtmb = LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(
		LLVMCreateTargetMachine(target, triple, cpu, features, LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelSmall));
	builder = LLVMOrcCreateLLJITBuilder();
	LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(builder, jtmb);
	if (failed(LLVMOrcCreateLLJIT(&engine.jit, builder), "LLJIT"))
		goto out;
	engine.tsc = LLVMOrcCreateNewThreadSafeContext();
	engine.context = LLVMOrcThreadSafeContextGetContext(engine.tsc);
	buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy((const char *)lanes_bitcode, lanes_bitcode_size, "lanes");
	if (LLVMParseBitcodeInContext2(engine.context, buffer, &engine.lanes)) {
		log_error("the lanes' bitcode cannot be read");
		goto out;
	}
	LLVMDisposeMemoryBuffer(buffer);
	char id[72] = "";
	dl_iterate_phdr(build_id, id);
	if (!*id || asprintf(&engine.identity, "%s width %u %s cpu %s %s", id, engine.width, engine.amd ? "amd" : "intel", cpu, features) < 0)
		engine.identity = NULL;
	engine.ready = true;
	if (!warm_up()) {
		engine.ready = false;
		goto out;
	}
	err = 0;
out:
	free(features);
	LLVMDisposeMessage(triple);
	pthread_mutex_unlock(&engine.lock);
	return err;
}

static const char *identity(void)
{
	return engine.identity;
}

/* Of the facts those about pairs that are still read, without what follows from others. */
static void keep_live(struct jit_safe *s, const uint64_t slive[2])
{
	uint64_t live = 0, full = 0;

	for (unsigned i = 0; i < JIT_PAIRS; i++) {
		live |= (uint64_t)((slive[i >> 5] >> (2 * i & 63) & 3) != 0) << i;
		full |= s->in.cover[i] & 1ull << i;
	}
	for (unsigned i = 0; i < JIT_PAIRS; i++) {
		s->in.cover[i] &= live >> i & 1 ? full >> i & 1 ? 1ull << i : live & ~full : 0;
		s->covers |= (uint64_t)(s->in.cover[i] != 0) << i;
	}
}

static struct jit_unit *compile_unit(struct jit_code *code, bool exact, const struct jit_object *have, struct jit_object *made)
{
	struct jit_unit *u = calloc(1, sizeof(*u));
	LLVMMemoryBufferRef object = NULL;
	double t = milliseconds();

	code->exact = exact;
	if (made)
		*made = (struct jit_object){0};
	if (u)
		u->safe = calloc(code->num_blocks, sizeof(*u->safe));
	if (u && u->safe && jit_analyse(code, engine.width)) {
		pthread_mutex_lock(&engine.lock);
		if (engine.ready)
			object = have ? LLVMCreateMemoryBufferWithMemoryRangeCopy(have->bytes, have->size, "unit") : try_compile(code, exact);
		if (object && made) {
			made->size = LLVMGetBufferSize(object);
			made->bytes = malloc(made->size);
			if (made->bytes)
				memcpy(made->bytes, LLVMGetBufferStart(object), made->size);
		}
		if (object && !try_load(u, object)) {
			if (u->memory)
				unload(u->memory);
			u->fn = NULL;
		}
		unload_given_up();
		pthread_mutex_unlock(&engine.lock);
	}
	if (!u || !u->fn) {
		if (u)
			free(u->safe);
		free(u);
		if (made)
			free(made->bytes), *made = (struct jit_object){0};
		return NULL;
	}
	u->code = code;
	/* Entries are numbered as lift_code does. */
	for (uint32_t b = 0; b < code->num_blocks; b++)
		if (code->block[b].safe && code->block[b].in.known) {
			struct jit_safe *s = &u->safe[u->num_safe++];

			*s = (struct jit_safe){.pc = code->block[b].pc, .in = code->block[b].in};
			keep_live(s, code->block[b].slive);
		}
	u->compile_ms = milliseconds() - t;
	log_info("kernel at 0x%llx: %u instructions %s in %.1f ms", (unsigned long long)code->entry_pc, code->num_inst, have ? "loaded" : "compiled",
		 u->compile_ms);
	return u;
}

static void free_unit(struct jit_unit *u)
{
	if (!u)
		return;
	/* Compilations take long: nobody waits for one here. */
	pthread_mutex_lock(&given_up.lock);
	((struct memory *)u->memory)->next = given_up.first;
	given_up.first = u->memory;
	pthread_mutex_unlock(&given_up.lock);
	if (!pthread_mutex_trylock(&engine.lock)) {
		unload_given_up();
		pthread_mutex_unlock(&engine.lock);
	}
	free(u->safe);
	free(u);
}

extern const struct jit_module hsavisor_jit_module;
__attribute__((visibility("default"))) const struct jit_module hsavisor_jit_module = {
	.layout = JIT_LAYOUT,
	.init = engine_init,
	.identity = identity,
	.compile = compile_unit,
	.free = free_unit,
};
