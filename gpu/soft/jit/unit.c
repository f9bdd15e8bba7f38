/* SPDX-License-Identifier: MIT */
/*
 * unit.c - compiled kernels of a code cache: which are hot, who compiles them, who may run them (jit.h).
 *
 * A kernel (jit_kernel) is known by its entry address, MODE and register counts, and lives as long as the cache. It has up to three
 * units: for waves that start with EXEC full, the same without guesses when those turn out to be wrong, and for other waves. Heat is counted in work-groups and slices; a hot kernel's code is discovered by the executor
 * that found it hot and given to the compiler's thread, which publishes the unit. When the code's bytes change, the kernel becomes stale:
 * later work-groups get a new one; running waves keep the old code, as they keep decoded pages in the interpreter.
 */
#define LOG_PART "jit"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "gpu/soft/exec/mem.h"
#include "gpu/soft/jit/unit.h"

#define BUCKETS	      256
#define MAX_KERNELS   1024 /* of a cache: what a guest can make us keep */
#define HOT_GROUPS    4
#define HOT_TURNS     8	   /* slices of the interpreter */
#define MAX_UNFIT     64   /* waves that went on there: then code is made that guesses nothing */
#define POLL_INTERVAL 4096 /* instructions between quiescent points */
#define GROUP_INTERVAL 2048 /* between work-groups */

enum { MODE_OFF, MODE_BACKGROUND, MODE_SYNC };

enum version { SOME_LANES, ALL_LANES /* EXEC is full at the start */, SURE /* the same without guesses */, NUM_VERSIONS };

struct jit_kernel {
	struct jit_kernel *next;
	uint64_t entry_pc;
	uint32_t mode, vgprs, agprs, size[3], id_vgprs;
	uint8_t id_sgpr[3];
	bool multi_wave;
	_Atomic uint64_t epoch; /* of the code cache when the bytes were last compared */
	atomic_bool stale;
	atomic_uint groups, turns;
	struct {
		_Atomic(struct jit_unit *) unit;
		_Atomic(struct jit_code *) code; /* what it is or will be compiled from */
		atomic_bool asked;
	} version[3]; /* enum version */
	struct jit_cache *cache;
};

struct jit_cache {
	enum isa_target target;
	_Atomic(struct jit_kernel *) bucket[BUCKETS];
	pthread_mutex_t lock; /* adding kernels */
	unsigned num_kernels;
};

static struct {
	pthread_once_t once;
	int mode;
	bool exact;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job {
		struct job *next;
		struct jit_code *code;
		struct jit_kernel *kernel;
		enum version version;
	} *first, **last, *current;
	bool started;
	bool alone; /* the process is the GPU's own: what compiling leaves in the allocator is given back */
	_Atomic uint64_t ns; /* CPU time of compilations */
	cpu_set_t cpus; /* where its thread may run: not only where the GPU's thread that starts it is kept */
	const struct mfma_functions *mfma;
	const struct vmem_spread_fns *spread;
	uint64_t cache_bytes; /* of the host: what is more than this and stored will not be there when it is read */
} compiler = {.once = PTHREAD_ONCE_INIT,
	      .lock = PTHREAD_MUTEX_INITIALIZER,
	      .more = PTHREAD_COND_INITIALIZER,
	      .last = &compiler.first};

static bool start_compiler(void);

/* At most, and where the host does not say. Larger ones are servers', of which the others on them have most: a virtual machine of 2 CPUs was told 260 MiB and had less than 48. */
#define CACHE_BYTES (32ull << 20)

static uint64_t cache_bytes(void)
{
	const char *wish = getenv("HSAVISOR_JIT_CACHE");
	long size = sysconf(_SC_LEVEL3_CACHE_SIZE);

	return wish ? strtoull(wish, NULL, 0) : size > 0 && (uint64_t)size < CACHE_BYTES ? (uint64_t)size : CACHE_BYTES;
}

static void init_once(void)
{
	const char *wish = getenv("HSAVISOR_JIT");

	if (sched_getaffinity(0, sizeof(compiler.cpus), &compiler.cpus))
		CPU_ZERO(&compiler.cpus);
	compiler.mode = MODE_BACKGROUND;
	if (wish && !strcmp(wish, "0"))
		return (void)(compiler.mode = MODE_OFF);
	if (wish && (!strcmp(wish, "sync") || !strcmp(wish, "exact")))
		compiler.mode = MODE_SYNC;
	compiler.exact = wish && !strcmp(wish, "exact");
	compiler.mfma = exec_mfma_functions(0);
	compiler.spread = exec_spread();
	compiler.cache_bytes = cache_bytes();
}

int jit_init(void)
{
	pthread_once(&compiler.once, init_once);
	return compiler.mode == MODE_OFF ? -ENOTSUP : 0;
}

static int in_order(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int jit_prepare(int store)
{
	int some[512];

	if (jit_init())
		return -ENOTSUP;
	compiler.alone = true;
	/* The C library asks for the size of memory once, in its first large qsort; that is not allowed to a process that has isolated itself. */
	for (int i = 0; i < 512; i++)
		some[i] = i * 7 % 512;
	qsort(some, 512, sizeof(some[0]), in_order);
	jit_store_use(store);
	return jit_module_get() ? 0 : -ENOTSUP;
}

struct jit_cache *jit_cache_new(enum isa_target target)
{
	struct jit_cache *jc = jit_init() ? NULL : calloc(1, sizeof(*jc));

	if (jc) {
		jc->target = target;
		pthread_mutex_init(&jc->lock, NULL);
	}
	return jc;
}

static void version_free(struct jit_kernel *k, unsigned v)
{
	struct jit_unit *u = atomic_load(&k->version[v].unit);

	if (u)
		jit_module_get()->free(u);
	jit_code_free(atomic_load(&k->version[v].code));
}

void jit_cache_free(struct jit_cache *jc)
{
	if (!jc)
		return;
	/* Jobs not begun are dropped; the one being compiled is left to the compiler, with its code. */
	pthread_mutex_lock(&compiler.lock);
	for (struct job **p = &compiler.first; *p;) {
		struct job *j = *p;

		if (j->kernel->cache != jc) {
			p = &j->next;
			continue;
		}
		*p = j->next;
		free(j);
	}
	compiler.last = &compiler.first;
	while (*compiler.last)
		compiler.last = &(*compiler.last)->next;
	if (compiler.current && compiler.current->kernel && compiler.current->kernel->cache == jc) {
		atomic_store(&compiler.current->kernel->version[compiler.current->version].code, NULL);
		compiler.current->kernel = NULL;
	}
	pthread_mutex_unlock(&compiler.lock);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct jit_kernel *k = atomic_load(&jc->bucket[i]), *next; k; k = next) {
			next = k->next;
			for (unsigned v = 0; v < NUM_VERSIONS; v++)
				version_free(k, v);
			free(k);
		}
	pthread_mutex_destroy(&jc->lock);
	free(jc);
}

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t jit_compile_ns(void)
{
	return atomic_load_explicit(&compiler.ns, memory_order_relaxed);
}

/* The unit for a job, from the store or compiled; NULL: it can't be. */
static struct jit_unit *make_unit(const struct job *j)
{
	const struct jit_module *module = jit_module_get();
	const char *identity = module ? module->identity() : NULL;
	struct jit_object object = {0};
	struct jit_unit *u = NULL;
	uint64_t begin = thread_ns();

	if (!module)
		return NULL;
	if (identity && jit_store_get(j->code, compiler.exact, identity, &object)) {
		u = module->compile(j->code, compiler.exact, &object, NULL);
		free(object.bytes);
	}
	if (!u) {
		u = module->compile(j->code, compiler.exact, NULL, &object);
		if (u && identity && object.bytes)
			jit_store_put(j->code, compiler.exact, identity, &object);
		free(object.bytes);
	}
	atomic_fetch_add_explicit(&compiler.ns, thread_ns() - begin, memory_order_relaxed);
	return u;
}

static void publish(const struct job *j, struct jit_unit *u)
{
	if (u)
		atomic_store_explicit(&j->kernel->version[j->version].unit, u, memory_order_release);
}

/*
 * LLVM's peak would stay in the allocator's arena of this thread, tens of megabytes for each VM. Not in a program of somebody else, whose memory it would go
 * through, too.
 */
static void give_back(void)
{
	pthread_mutex_unlock(&compiler.lock);
	malloc_trim(0);
	pthread_mutex_lock(&compiler.lock);
}

static void *compiler_main(void *arg)
{
	bool compiled = false;

	pthread_setname_np(pthread_self(), "hsv-jit");
	/* By the thread itself: another's is what a broker's sandbox does not allow. */
	if (CPU_COUNT(&compiler.cpus))
		sched_setaffinity(0, sizeof(compiler.cpus), &compiler.cpus);
	pthread_mutex_lock(&compiler.lock);
	for (;;) {
		struct job *j = compiler.first;
		struct jit_unit *u;

		if (!j && compiled && compiler.alone) {
			compiled = false;
			give_back();
			continue;
		}
		if (!j) {
			pthread_cond_wait(&compiler.more, &compiler.lock);
			continue;
		}
		compiler.first = j->next;
		if (!compiler.first)
			compiler.last = &compiler.first;
		compiler.current = j;
		pthread_mutex_unlock(&compiler.lock);
		u = make_unit(j);
		compiled = true;
		pthread_mutex_lock(&compiler.lock);
		compiler.current = NULL;
		if (j->kernel) {
			publish(j, u);
		} else {
			/* Nobody waits for it any more. */
			if (u)
				jit_module_get()->free(u);
			jit_code_free(j->code);
		}
		free(j);
	}
	return NULL;
}

static bool start_compiler(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;

	if (compiler.started)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16 << 20);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	compiler.started = !pthread_create(&thread, &attr, compiler_main, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return compiler.started;
}

/* Has the kernel compiled for this kind of wave; once. */
static void ask(struct exec_ctx *ctx, struct jit_kernel *k, struct wave *w, enum version version)
{
	struct jit_code *code;
	struct job *j;

	if (atomic_exchange(&k->version[version].asked, true))
		return;
	code = jit_discover(ctx, w->wg, k->entry_pc, k->mode);
	if (!code)
		return;
	code->full = version != SOME_LANES;
	code->guess = version == ALL_LANES;
	j = calloc(1, sizeof(*j));
	if (!j) {
		jit_code_free(code);
		return;
	}
	*j = (struct job){.code = code, .kernel = k, .version = version};
	atomic_store_explicit(&k->version[version].code, code, memory_order_release);
	if (compiler.mode == MODE_SYNC) {
		publish(j, make_unit(j));
		free(j);
		return;
	}
	pthread_mutex_lock(&compiler.lock);
	if (start_compiler()) {
		*compiler.last = j;
		compiler.last = &j->next;
		pthread_cond_signal(&compiler.more);
		j = NULL;
	}
	pthread_mutex_unlock(&compiler.lock);
	free(j);
}

static unsigned hash(uint64_t pc)
{
	return (unsigned)(pc >> 8 ^ pc >> 16) % BUCKETS;
}

static bool is_kernel(const struct jit_kernel *k, const struct wave *w, bool multi_wave)
{
	return k->entry_pc == w->pc && k->mode == w->mode && k->vgprs == w->num_vgprs && k->agprs == w->num_agprs &&
	       k->multi_wave == multi_wave && !memcmp(k->size, w->wg->size, sizeof(k->size)) && k->id_vgprs == w->wg->id_vgprs &&
	       !memcmp(k->id_sgpr, w->wg->id_sgpr, sizeof(k->id_sgpr)) && !atomic_load_explicit(&k->stale, memory_order_relaxed);
}

static struct jit_kernel *look_up(struct jit_cache *jc, const struct wave *w, bool multi_wave)
{
	struct jit_kernel *k = atomic_load_explicit(&jc->bucket[hash(w->pc)], memory_order_acquire);

	while (k && !is_kernel(k, w, multi_wave))
		k = k->next;
	return k;
}

static struct jit_kernel *add(struct jit_cache *jc, const struct wave *w, bool multi_wave, uint64_t epoch)
{
	struct jit_kernel *k;

	pthread_mutex_lock(&jc->lock);
	k = look_up(jc, w, multi_wave);
	if (!k && jc->num_kernels < MAX_KERNELS) {
		k = calloc(1, sizeof(*k));
		if (k) {
			jc->num_kernels++;
			k->entry_pc = w->pc;
			k->mode = w->mode;
			k->vgprs = w->num_vgprs;
			k->agprs = w->num_agprs;
			k->multi_wave = multi_wave;
			memcpy(k->size, w->wg->size, sizeof(k->size));
			k->id_vgprs = w->wg->id_vgprs;
			memcpy(k->id_sgpr, w->wg->id_sgpr, sizeof(k->id_sgpr));
			k->cache = jc;
			atomic_init(&k->epoch, epoch);
			k->next = atomic_load(&jc->bucket[hash(w->pc)]);
			atomic_store_explicit(&jc->bucket[hash(w->pc)], k, memory_order_release);
		}
	}
	pthread_mutex_unlock(&jc->lock);
	return k;
}

/* False: the kernel's code has changed. */
static bool still_same(struct exec_ctx *ctx, struct jit_kernel *k, uint64_t epoch)
{
	if (atomic_load_explicit(&k->epoch, memory_order_relaxed) == epoch)
		return true;
	for (unsigned v = 0; v < NUM_VERSIONS; v++) {
		struct jit_code *code = atomic_load_explicit(&k->version[v].code, memory_order_acquire);

		if (code && !jit_code_same(ctx, code)) {
			atomic_store(&k->stale, true);
			return false;
		}
	}
	atomic_store_explicit(&k->epoch, epoch, memory_order_relaxed);
	return true;
}

struct jit_kernel *jit_kernel_get(struct exec_ctx *ctx, struct jit_cache *jc, struct workgroup *wg, uint64_t epoch)
{
	bool multi_wave = wg->num_waves > 1;
	struct wave *w = &wg->waves[0];
	struct jit_kernel *k;

	ctx->wave = w;
	k = look_up(jc, w, multi_wave);
	if (k && !still_same(ctx, k, epoch))
		k = NULL;
	if (!k)
		k = add(jc, w, multi_wave, epoch);
	if (k)
		atomic_fetch_add_explicit(&k->groups, 1, memory_order_relaxed);
	return k;
}

/* What compiled code is told of an instruction that was done, or not: see jit_frame.step. */
static uint32_t answer(struct exec_ctx *ctx)
{
	if (ctx->error != EXEC_PAGES)
		return ctx->error != EXEC_DONE;
	ctx->error = EXEC_DONE;
	return 2;
}

static uint32_t step(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji)
{
	ctx->wave = w;
	ctx->pc = ji->pc;
	w->pc = ji->pc + ji->ci.size;
	ji->ci.fn(ctx, w, &ji->ci.inst);
	return answer(ctx);
}

static uint32_t find_range(struct exec_ctx *ctx, uint64_t va, uint32_t slot, uint32_t prot)
{
	struct mem_range *r = &ctx->view->range[slot];

	return mem_find_range(ctx->view, va, r) && (r->prot & prot) == prot;
}

static uint32_t spread_load(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji, struct vmem_spread *x, uint64_t mask, uint32_t what)
{
	ctx->wave = w;
	ctx->pc = ji->pc;
	w->pc = ji->pc + ji->ci.size;
	return compiler.spread->load(ctx, x, mask, what) ? 0 : answer(ctx);
}

static uint32_t spread_store(struct exec_ctx *ctx, struct wave *w, const struct jit_inst *ji, struct vmem_spread *x, uint64_t mask, uint32_t what)
{
	ctx->wave = w;
	ctx->pc = ji->pc;
	w->pc = ji->pc + ji->ci.size;
	return compiler.spread->store(ctx, x, mask, what) ? 0 : answer(ctx);
}

static void set_limit(struct jit_frame *f, uint64_t interval)
{
	f->limit = f->executed + interval;
	if (f->limit > f->budget && f->executed < f->budget)
		f->limit = f->budget;
}

static void quiesce(struct exec_ctx *ctx)
{
	if (ctx->view->quiesce)
		ctx->view->quiesce(ctx->view);
}

static bool stopped(const struct jit_frame *f)
{
	return atomic_load_explicit(f->stop, memory_order_relaxed);
}

static uint32_t pause_wave(struct exec_ctx *ctx, struct jit_frame *f)
{
	quiesce(ctx);
	set_limit(f, POLL_INTERVAL);
	return f->executed >= f->budget || stopped(f);
}

/* Of a work-group: the budget is of each wave's turn, which began after the last pause at the latest. */
static uint32_t pause_group(struct exec_ctx *ctx, struct jit_frame *f)
{
	uint64_t budget = f->budget, ran;

	quiesce(ctx);
	if (f->index != f->turn) {
		f->turn = f->index;
		f->turn_from = f->limit_from;
	}
	ran = f->executed - f->turn_from;
	f->limit_from = f->executed;
	f->limit = f->executed + (budget < POLL_INTERVAL ? budget : POLL_INTERVAL);
	return ran >= budget || f->executed >= f->most || stopped(f);
}

static uint32_t between_turns(struct exec_ctx *ctx, struct jit_frame *f)
{
	quiesce(ctx);
	f->limit_from = f->executed;
	f->limit = f->executed + (f->budget < GROUP_INTERVAL ? f->budget : GROUP_INTERVAL);
	return f->executed >= (f->ready ? f->most : f->total) || stopped(f);
}

static bool holds(const struct jit_safe *s, const struct wave *w)
{
	if (s->in.mode != w->mode)
		return false;
	for (uint64_t q = s->covers; q; q &= q - 1)
		for (uint64_t p = s->in.cover[__builtin_ctzll(q)]; p; p &= p - 1) {
			const uint32_t *a = &w->sgpr[2 * __builtin_ctzll(q)], *b = &w->sgpr[2 * __builtin_ctzll(p)];

			if ((a[0] | b[0]) != UINT32_MAX || (a[1] | b[1]) != UINT32_MAX)
				return false;
		}
	return true;
}

/* The entry for where the wave stands; -1: none, -2: what it takes for granted does not hold. */
static int entry_of(const struct jit_unit *u, const struct wave *w)
{
	for (uint32_t i = 0; i < u->num_safe; i++)
		if (u->safe[i].pc == w->pc)
			return holds(&u->safe[i], w) ? (int)i : -2;
	return -1;
}

/* One by one: a compiler would clear the whole with a string instruction, slower than all of a short wave. */
static void set_frame(struct jit_frame *f, const struct jit_unit *u, uint64_t budget, uint64_t interval, const atomic_uint *stop)
{
	f->executed = 0;
	f->limit = budget < interval ? budget : interval;
	f->budget = budget;
	f->stop = stop;
	f->inst = u->code->inst;
	f->base = u->code->entry_pc;
	f->interp = 0;
	f->step = step;
	f->range = find_range;
	f->near = mem_find_near;
	f->load = spread_load;
	f->store = spread_store;
	f->mfma = compiler.mfma;
	f->room_each = UINT64_MAX;
}

static uint64_t instructions(const struct jit_unit *u, const struct jit_frame *f)
{
	return (uint64_t)((double)f->executed * u->code->of_cost + 0.5);
}

static bool guesses_fail(const struct jit_unit *u)
{
	return u && u->code->guessed && atomic_load_explicit(&u->unfit, memory_order_relaxed) >= MAX_UNFIT;
}

/* What runs waves that have, or have not, had all lanes at the start. */
static struct jit_unit *unit_of(struct jit_kernel *k, bool full)
{
	struct jit_unit *u = atomic_load_explicit(&k->version[full ? ALL_LANES : SOME_LANES].unit, memory_order_acquire), *sure;

	if (!guesses_fail(u))
		return u;
	sure = atomic_load_explicit(&k->version[SURE].unit, memory_order_acquire);
	return sure ? sure : u;
}

static void note_unfit(struct jit_unit *u, const struct jit_frame *f)
{
	if (f->interp == JIT_UNFIT)
		atomic_fetch_add_explicit(&u->unfit, 1, memory_order_relaxed);
}

/* *interp: the interpreter has to go on. Returns the instructions. */
static uint64_t run_unit(struct exec_ctx *ctx, struct jit_unit *u, uint32_t entry, struct wave *w, uint64_t budget,
			 const atomic_uint *stop, bool *interp)
{
	struct jit_frame f;

	set_frame(&f, u, budget, POLL_INTERVAL, stop);
	f.group = 0;
	f.pause = pause_wave;
	ctx->wave = w;
	ctx->leave = false;
	u->fn(&f, ctx, w, entry);
	w->instructions += instructions(u, &f);
	note_unfit(u, &f);
	*interp = f.interp;
	return f.executed;
}

bool jit_takes_groups(struct jit_kernel *k, const struct workgroup *wg)
{
	/* The last wave is the one that may have fewer lanes. */
	return wg->waves[wg->num_waves - 1].all_lanes && unit_of(k, true);
}

/* Where the waves are; false: one is where there is no way in. */
static bool find_waves(struct jit_frame *f, const struct jit_unit *u, const struct workgroup *wg)
{
	f->ready = f->waiting = 0;
	for (uint32_t i = 0; i < wg->num_waves; i++) {
		const struct wave *w = &wg->waves[i];
		int entry;

		if (w->state == WAVE_ENDED)
			continue;
		entry = entry_of(u, w);
		if (entry < 0)
			return false;
		f->at[i] = (uint16_t)entry;
		if (w->state == WAVE_READY)
			f->ready |= 1u << i;
		else
			f->waiting |= 1u << i;
	}
	return true;
}

static void set_range(struct jit_frame *f, struct workgroup *wg, const struct dispatch_setup *setup, const struct exec_range *range)
{
	size_t stride = 0;

	f->left = 0;
	f->start = NULL;
	f->start_same = false;
	f->all = (uint32_t)((1ull << wg->num_waves) - 1);
	if (setup && range->left)
		f->start = exec_wg_starts(wg, setup, &stride, &f->start_same);
	f->start_stride = stride;
	if (f->start) {
		uint32_t ahead = exec_wg_full_ahead(wg, setup);

		f->left = ahead < range->left ? ahead : range->left;
		memcpy(f->num, setup->num_wg, sizeof(f->num));
	}
	memcpy(f->id, wg->id, sizeof(f->id));
	if (setup)
		f->room_each = compiler.cache_bytes / setup->grid[0] / setup->grid[1] / setup->grid[2];
}

static uint32_t (*mfma_rows(struct wave *w, unsigned r))[WAVE_LANES]
{
	return r < 256 ? &w->vgpr[r] : &w->agpr[r - 256];
}

/* What waves have put off at barriers. */
static void finish_later(struct jit_frame *f, struct workgroup *wg)
{
	for (uint32_t i = 0; i < wg->num_waves; i++) {
		const struct jit_later *later = f->later[i];
		struct wave *w = &wg->waves[i];

		for (unsigned k = 0; later && k < later->num; k++) {
			uint32_t(*d)[WAVE_LANES] = mfma_rows(w, later->step[k].d);
			const uint32_t(*ab[2])[WAVE_LANES];

			ab[0] = (const uint32_t(*)[WAVE_LANES])mfma_rows(w, later->step[k].a);
			ab[1] = (const uint32_t(*)[WAVE_LANES])mfma_rows(w, later->step[k].b);
			f->mfma->one[later->step[k].kind](d, (const uint32_t(*)[WAVE_LANES])d, ab, 1);
		}
		f->later[i] = NULL;
	}
}

/* The waves as they are now; the registers and pc of the one that has left are up to date. */
static void settle_waves(const struct jit_frame *f, const struct jit_unit *u, struct workgroup *wg)
{
	for (uint32_t i = 0; i < wg->num_waves; i++) {
		struct wave *w = &wg->waves[i];
		bool waits = f->waiting >> i & 1;

		if (i == f->index) {
			w->state = WAVE_READY; /* it may have been released */
			continue;
		}
		if (!waits && !(f->ready >> i & 1)) {
			w->state = WAVE_ENDED;
			continue;
		}
		if (f->at[i] == 2 * u->num_safe) {
			exec_wg_restart(wg, i);
			continue;
		}
		w->state = waits ? WAVE_BARRIER : WAVE_READY;
		w->pc = u->safe[f->at[i] % u->num_safe].pc;
	}
}

enum jit_group jit_run_group(struct exec_ctx *ctx, struct jit_kernel *k, struct workgroup *wg, const struct dispatch_setup *setup,
			     struct exec_range *range, uint64_t budget, uint64_t total, uint64_t most, const atomic_uint *stop, uint64_t *used,
			     uint32_t *next)
{
	struct jit_unit *u = unit_of(k, true);
	struct jit_frame f;
	uint32_t left;

	if (!find_waves(&f, u, wg) || !f.ready)
		return JIT_CANNOT;
	set_frame(&f, u, budget, GROUP_INTERVAL, stop);
	set_range(&f, wg, u->code->exact ? NULL : setup, range);
	f.group = 1;
	f.index = f.turn = JIT_NO_WAVE;
	f.turn_from = f.limit_from = 0;
	f.total = total;
	f.most = most;
	f.pause = pause_group;
	f.between = between_turns;
	left = f.left;
	for (uint32_t i = 0; i < wg->num_waves; i++) {
		f.later[i] = NULL;
		wg->waves[i].sleep = 0;
		wg->instructions += wg->waves[i].instructions;
		wg->waves[i].instructions = 0;
	}
	ctx->wave = &wg->waves[0]; /* which one does not matter */
	ctx->leave = false;
	u->fn(&f, ctx, &wg->waves[0], 2 * u->num_safe + 1);
	note_unfit(u, &f);
	wg->instructions += instructions(u, &f);
	*used += f.executed;
	if (left != f.left) {
		struct exec_range begun = {.left = UINT32_MAX};

		memcpy(wg->id, f.id, sizeof(wg->id));
		memcpy(begun.next, f.id, sizeof(begun.next));
		exec_range_step(&begun, setup);
		memcpy(range->next, begun.next, sizeof(range->next));
		range->left -= left - f.left;
	}
	finish_later(&f, wg);
	settle_waves(&f, u, wg);
	if (f.index == JIT_NO_WAVE && !f.ready && !f.waiting)
		return JIT_ENDED;
	*next = f.index == JIT_NO_WAVE ? wg->num_waves : f.interp ? f.index : f.index + 1;
	if (ctx->error != EXEC_DONE)
		wg->fault_wave = f.index;
	return JIT_LEFT;
}

bool jit_find_start(struct jit_start *start, struct jit_kernel *k, const struct wave *w)
{
	bool full = w->all_lanes;
	struct jit_unit *u;
	int entry;

	if (start->kernel != k)
		*start = (struct jit_start){.kernel = k};
	if (start->unit[full])
		return true;
	u = unit_of(k, full);
	entry = u ? entry_of(u, w) : -1;
	if (entry < 0 || u->safe[entry].covers & ~(1ull << SGPR_EXEC / 2))
		return false;
	start->unit[full] = u;
	start->entry[full] = (uint32_t)entry;
	return true;
}

uint64_t jit_run_start(struct exec_ctx *ctx, const struct jit_start *start, struct wave *w, uint64_t budget, const atomic_uint *stop)
{
	bool interp;

	return run_unit(ctx, start->unit[w->all_lanes], start->entry[w->all_lanes], w, budget, stop, &interp);
}

bool jit_run_wave(struct exec_ctx *ctx, struct jit_kernel *k, struct wave *w, uint64_t budget, const atomic_uint *stop, uint64_t *ran)
{
	bool unfit = false; /* the code for full waves does not fit here */

	for (int full = 1; full >= 0; full--) {
		struct jit_unit *u = unit_of(k, full);
		bool interp;
		int entry;

		/* What is known of full waves is known from their start. */
		if (full && !w->all_lanes)
			continue;
		if (!u) {
			if (compiler.mode == MODE_SYNC || atomic_load_explicit(&k->groups, memory_order_relaxed) >= HOT_GROUPS ||
			    atomic_load_explicit(&k->turns, memory_order_relaxed) >= HOT_TURNS) {
				if (full == w->all_lanes || unfit)
					ask(ctx, k, w, full);
			}
			u = unit_of(k, full);
			if (!u)
				continue;
		}
		if (guesses_fail(u))
			ask(ctx, k, w, SURE);
		entry = entry_of(u, w);
		if (entry < 0) {
			unfit = entry < -1;
			continue;
		}
		*ran = run_unit(ctx, u, (uint32_t)entry, w, budget, stop, &interp);
		return !interp;
	}
	atomic_fetch_add_explicit(&k->turns, 1, memory_order_relaxed);
	return false;
}
