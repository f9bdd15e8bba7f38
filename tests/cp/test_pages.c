/* SPDX-License-Identifier: MIT */
/*
 * Pageable memory on the whole software GPU: kernels whose memory comes when they ask for it, goes away while they run, or does not come.
 * Arguments: target, code object.
 *
 * The memory that kernels see has two places on the host for each page. When a page is taken away it moves to its other
 * place, and the one it had is filled with garbage: who still uses that is found out.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "gpu/paging.h"
#include "tests/cp/real.h"

#define PAGED_VA    0x500000000000ull
#define PAGED_PAGES 16384u
#define PAGE	    4096u

static const char *target, *object_path;

struct asked {
	uint64_t va, size;
	unsigned prot;
};

struct real {
	struct client c;
	struct codeobj co;
	struct aql q;
	uint8_t *place[2]; /* of all pages */
	pthread_mutex_t lock;
	pthread_cond_t more;
	pthread_t thread;
	struct asked queue[GPU_MAX_PAGE_REQUESTS + 1];
	unsigned num, most; /* unanswered: now, and at most */
	atomic_uint requests, pages, writes;
	uint8_t where[PAGED_PAGES], rights[PAGED_PAGES]; /* rights: what the program may do */
	atomic_bool quit, hold; /* hold: nothing is answered */
	atomic_bool stingy;	/* only the first page of a request is answered */
	atomic_bool delays;
	size_t used;
};

static int on_request(struct client *c, uint64_t va, uint64_t size, unsigned prot)
{
	struct real *r = (struct real *)c;

	assert(!(va & (PAGE - 1)) && size && !(size & (PAGE - 1)));
	atomic_fetch_add(&r->requests, 1);
	atomic_fetch_add(&r->pages, size / PAGE);
	if (prot & GPU_PROT_WRITE)
		atomic_fetch_add(&r->writes, 1);
	if (va < PAGED_VA || va >= PAGED_VA + (uint64_t)PAGED_PAGES * PAGE)
		return -EFAULT;
	pthread_mutex_lock(&r->lock);
	assert(r->num < GPU_MAX_PAGE_REQUESTS);
	r->queue[r->num++] = (struct asked){va, size, prot};
	if (r->num > r->most)
		r->most = r->num;
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

/* Maps pages as long as they have these rights and lie behind each other; under the lock. */
static void answer(struct real *r, struct asked a)
{
	uint64_t first = (a.va - PAGED_VA) / PAGE, n = 0, max = r->stingy ? 1 : a.size / PAGE;
	int err = 0;

	while (n < max && first + n < PAGED_PAGES && !(a.prot & ~r->rights[first + n]) && r->where[first + n] == r->where[first])
		n++;
	if (!n)
		err = -EFAULT;
	else
		err = gpu_vm_map(r->c.vm, a.va, n * PAGE, r->place[r->where[first]] + first * PAGE, a.prot | GPU_PROT_PAGE | GPU_PROT_MORE);
	gpu_vm_pages_answer(r->c.vm, a.va, (n ? n : 1) * PAGE, err);
}

static void *answerer(void *arg)
{
	struct real *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!atomic_load(&r->quit)) {
		struct asked a;

		if (!r->num || atomic_load(&r->hold)) {
			pthread_cond_wait(&r->more, &r->lock);
			continue;
		}
		a = r->queue[0];
		memmove(r->queue, r->queue + 1, --r->num * sizeof(a));
		if (r->delays && !(rand() % 8)) {
			pthread_mutex_unlock(&r->lock);
			sleep_ms(1);
			pthread_mutex_lock(&r->lock);
		}
		answer(r, a);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static void let_go(struct real *r, bool hold)
{
	pthread_mutex_lock(&r->lock);
	atomic_store(&r->hold, hold);
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
}

static int open_real(void **state)
{
	struct real *r = calloc(1, sizeof(*r));
	size_t bytes = (size_t)PAGED_PAGES * PAGE;

	client_open(&r->c, target, 2, NULL, NULL);
	r->c.page_request = on_request;
	gpu_vm_set_paging(r->c.vm, GPU_MAX_PAGE_REQUESTS);
	real_load(&r->c, &r->co, object_path);
	aql_open(&r->q, &r->c, 64, true);
	for (int i = 0; i < 2; i++) {
		r->place[i] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert_ptr_not_equal(r->place[i], MAP_FAILED);
	}
	memset(r->rights, GPU_PROT_READ | GPU_PROT_WRITE, sizeof(r->rights));
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	assert_int_equal(pthread_create(&r->thread, NULL, answerer, r), 0);
	*state = r;
	return 0;
}

static int close_real(void **state)
{
	struct real *r = *state;

	/* Whatever waits is answered, or not. */
	gpu_queue_destroy(r->q.queue);
	atomic_store(&r->quit, true);
	let_go(r, true);
	pthread_join(r->thread, NULL);
	client_close(&r->c);
	codeobj_free(&r->co);
	munmap(r->place[0], (size_t)PAGED_PAGES * PAGE);
	munmap(r->place[1], (size_t)PAGED_PAGES * PAGE);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->more);
	free(r);
	return 0;
}

/* Pageable memory of so many pages; those of different calls are apart. */
static void *paged(struct real *r, unsigned num, uint64_t *va)
{
	size_t at = r->used;

	r->used += num + 3;
	assert_true(r->used <= PAGED_PAGES);
	*va = PAGED_VA + at * PAGE;
	return r->place[0] + at * PAGE;
}

/* What kernels take. */
struct args {
	uint64_t out, in;
	uint32_t n; /* some have no use for it: 16 bytes */
};
struct count_args {
	uint64_t counter, old;
	uint32_t pages;
};
struct add_args {
	uint64_t words;
	uint32_t num, rounds;
};
#define ARGS(a) &(a), sizeof(a)

static void begin(struct real *r, struct aql *q, const char *kernel, const void *args, size_t size, unsigned wg, unsigned groups, struct signal *done)
{
	struct packet p = real_packet(&r->c, &r->co, kernel, args, size, wg, groups, 0, done);

	aql_submit(q, &p);
}

static void run(struct real *r, const char *kernel, const void *args, size_t size, unsigned wg, unsigned groups, uint32_t lds)
{
	struct signal *done = client_signal(&r->c, 1, 0);
	struct packet p = real_packet(&r->c, &r->co, kernel, args, size, wg, groups, lds, done);

	aql_submit(&r->q, &p);
	if (!wait_value(&done->value, 0, 60000))
		fail_msg("%s did not end (%u faults, %u errors)", kernel, r->c.faults, r->c.errors);
}

static void copies(void **state)
{
	struct real *r = *state;
	struct args args = {.n = 3};
	unsigned pages = 2048, words = pages * 1024;
	uint32_t *out = paged(r, pages, &args.out), *in = paged(r, pages, &args.in);
	struct gpu_vm_stats stats;
	struct gpu_paging paging;

	for (unsigned i = 0; i < words; i++)
		in[i] = i * 2654435761u;
	run(r, "copy", ARGS(args), 256, words / 256, 0);
	for (unsigned i = 0; i < words; i++)
		assert_int_equal(out[i], i * 2654435761u + 3);
	gpu_vm_get_stats(r->c.vm, &stats);
	assert_true(stats.pages >= 2 * pages);
	assert_int_equal(stats.page_requests, atomic_load(&r->requests));
	assert_int_equal(stats.requested_pages, atomic_load(&r->pages));
	gpu_vm_get_paging(r->c.vm, &paging);
	assert_in_range(paging.waits, r->requests / 2, 2 * words / 64);
	assert_int_equal(paging.invalidations, 0);
	print_message("%u requests for %u pages, at most %u at once\n", r->requests, r->pages, r->most);
	/* A scan is asked for in large pieces. */
	assert_true(r->pages / r->requests >= 16);
	/* Now all is there. */
	atomic_store(&r->requests, 0);
	run(r, "copy", ARGS(args), 256, words / 256, 0);
	assert_int_equal(r->requests, 0);
	gpu_vm_unmap_pages(r->c.vm, PAGED_VA, (uint64_t)PAGED_PAGES * PAGE);
	gpu_vm_get_paging(r->c.vm, &paging);
	assert_int_equal(paging.invalidations, 1);
	assert_true(paging.pages_taken >= stats.pages);
	gpu_vm_get_stats(r->c.vm, &stats);
	assert_int_equal(stats.pages, 0);
}

static void wide_accesses(void **state)
{
	struct real *r = *state;
	struct args args;
	unsigned items = 64 * 1024;
	uint32_t *out = paged(r, 256, &args.out), *in = paged(r, 257, &args.in);

	r->stingy = true;
	for (unsigned i = 0; i < items * 4 + 8; i++)
		in[i] = i ^ 0x5555;
	run(r, "wide", &args, 16, 256, items / 256, 0);
	for (unsigned i = 0; i < items * 4; i++)
		assert_int_equal(out[i], (i + 1) ^ 0x5555);
}

static void gathers(void **state)
{
	struct real *r = *state;
	struct args args = {.n = 1000};
	unsigned items = 64 * 100;
	uint32_t *out = paged(r, 8, &args.out), *in = paged(r, args.n, &args.in);

	for (unsigned i = 0; i < args.n * 1024; i++)
		in[i] = i * 3;
	run(r, "gather", ARGS(args), 64, items / 64, 0);
	for (uint32_t i = 0; i < items; i++)
		assert_int_equal(out[i], ((i * 2654435761u >> 7) % args.n * 1024 + i % 1024) * 3);
}

static void scatters(void **state)
{
	struct real *r = *state;
	struct {
		uint64_t out;
		uint32_t pages;
	} args = {.pages = 700};
	unsigned items = 64 * 200;
	uint32_t *out = paged(r, args.pages, &args.out);

	r->delays = true;
	memset(out, 0xee, args.pages * PAGE);
	run(r, "scatter", ARGS(args), 64, items / 64, 0);
	for (uint32_t i = 0; i < items; i++)
		assert_int_equal(out[i % args.pages * 1024 + i / args.pages], i % 3 ? i : 0xeeeeeeee);
}

/* So many work-items have counted, each in the page of its number, modulo pages. */
static void expect_counted(const uint32_t *counter, unsigned pages, unsigned items)
{
	uint32_t sum = 0, want = 0;

	for (unsigned i = 0; i < pages; i++)
		sum += counter[i * 1024];
	for (unsigned i = 0; i < items; i++)
		want += 1 + i / pages;
	assert_int_equal(sum, want);
}

/* What is replayed is not done twice. */
static void atomics(void **state)
{
	struct real *r = *state;
	struct count_args args = {.pages = 333};
	unsigned items = 256 * 100, hits = 0;
	uint32_t *counter = paged(r, args.pages, &args.counter), *old = paged(r, 32, &args.old);

	r->delays = r->stingy = true;
	run(r, "count", ARGS(args), 256, items / 256, 0);
	expect_counted(counter, args.pages, items);
	for (unsigned i = 0; i < items; i++)
		hits += old[i] == 0;
	assert_int_equal(hits, args.pages); /* each counter was 0 for one */
}

static void scalars(void **state)
{
	struct real *r = *state;
	struct args args;
	unsigned groups = 500;
	uint32_t *out = paged(r, 2, &args.out), *in = paged(r, groups + 1, &args.in);

	r->stingy = true;
	for (unsigned i = 0; i < (groups + 1) * 1024; i++)
		in[i] = i;
	run(r, "uniform_loads", &args, 16, 64, groups, 0);
	for (uint32_t g = 0; g < groups; g++)
		assert_int_equal(out[g], g * 1024 * 16 + 1022 + 1023 * 3 + 1024 * 5 + 1025 * 7);
}

static void groups_with_lds(void **state)
{
	struct real *r = *state;
	struct args args = {0};
	unsigned groups = 30;
	uint32_t *out = paged(r, groups, &args.out), *in = paged(r, groups * 512 * 97 / 1024 + 1, &args.in);

	for (unsigned i = 0; i < groups * 512 * 97; i++)
		in[i] = i * 7;
	run(r, "sum", ARGS(args), 512, groups, 512 * 4);
	for (unsigned g = 0; g < groups; g++) {
		uint32_t want = 0;

		for (unsigned i = 0; i < 512; i++)
			want += in[(g * 512 + i) * 97];
		assert_int_equal(out[g * 1024], want);
	}
}

static void flat_accesses(void **state)
{
	struct real *r = *state;
	struct args args = {0};
	unsigned items = 128 * 4;
	uint32_t *out = paged(r, 1, &args.out), *in = paged(r, items, &args.in);

	r->delays = true;
	for (unsigned i = 0; i < items; i++)
		in[i * 1024] = i * 5;
	run(r, "both", ARGS(args), 128, items / 128, 128 * 4);
	for (uint32_t i = 0; i < items; i++) {
		assert_int_equal(out[i], 1000000 + (i & 1 ? i * 5 : i));
		assert_int_equal(in[i * 1024], i & 1 ? 1000000 + i * 5 : i * 5);
	}
}

static void others_spin(void **state)
{
	struct real *r = *state;
	struct args args = {0};
	unsigned groups = 6;
	uint32_t *out = paged(r, 2, &args.out), *in = paged(r, groups, &args.in);

	r->delays = true;
	for (unsigned g = 0; g < groups; g++)
		in[g * 1024] = 100 + 2 * g;
	run(r, "one_waits", ARGS(args), 256, groups, 4);
	for (unsigned i = 0; i < groups * 256; i++)
		assert_int_equal(out[i], 101 + 2 * (i / 256));
}

static void matrices(void **state)
{
	struct real *r = *state;
	struct args args = {.n = 40};
	float *out = paged(r, 64, &args.out), *in = paged(r, 48, &args.in);

	r->delays = true;
	for (unsigned i = 0; i < 48 * 1024; i++)
		in[i] = (float)(i % 7) - 3;
	run(r, "matrix", ARGS(args), 64, 1, 0);
	for (unsigned l = 0; l < 64; l++) {
		for (unsigned i = 0; i < 4; i++) {
			unsigned row = l / 16 * 4 + i, col = l % 16;
			float want = 0;

			for (unsigned k = 0; k < args.n; k++)
				for (unsigned x = 0; x < 4; x++)
					want += in[(k * 64 + x * 16 + row) * 16] * in[k * 1024 + x * 16 + col];
			assert_float_equal(out[l * 1024 + i], want, 0);
		}
	}
}

/* Every page moves now and then; what it leaves behind is garbage. */
static void move_pages(struct real *r, uint64_t va, unsigned pages, unsigned times)
{
	unsigned first = (unsigned)((va - PAGED_VA) / PAGE);

	for (unsigned i = 0; i < times; i++) {
		unsigned at = first + (unsigned)rand() % pages, n = 1 + (unsigned)rand() % 16;

		if (n > first + pages - at)
			n = first + pages - at;
		pthread_mutex_lock(&r->lock);
		gpu_vm_unmap_pages(r->c.vm, PAGED_VA + (uint64_t)at * PAGE, (uint64_t)n * PAGE);
		for (unsigned k = at; k < at + n; k++) {
			uint8_t *from = r->place[r->where[k]] + (size_t)k * PAGE;

			r->where[k] ^= 1;
			memcpy(r->place[r->where[k]] + (size_t)k * PAGE, from, PAGE);
			memset(from, 0xdd, PAGE);
		}
		pthread_mutex_unlock(&r->lock);
		if (!(i % 16))
			sleep_ms(1);
	}
}

static uint32_t word_at(struct real *r, uint64_t va)
{
	uint64_t at = va - PAGED_VA;
	uint32_t v;

	memcpy(&v, r->place[r->where[at / PAGE]] + at, 4);
	return v;
}

/* The kernel, while pages of its memory move as long as it runs. */
static void run_while_pages_move(struct real *r, const char *kernel, const void *args, size_t size, unsigned wg, unsigned groups, uint64_t va, unsigned pages)
{
	struct signal *done = client_signal(&r->c, 1, 0);
	unsigned moves = 0;

	begin(r, &r->q, kernel, args, size, wg, groups, done);
	do {
		move_pages(r, va, pages, 50);
		moves += 50;
	} while (atomic_load(&done->value) && moves < 4000);
	assert_true(wait_value(&done->value, 0, 120000));
	print_message("%u moves, %u requests\n", moves, r->requests);
}

static void loads_while_pages_move(void **state)
{
	struct real *r = *state;
	struct {
		uint64_t out, in;
		uint32_t words, rounds;
	} args = {.words = 256 * 1024, .rounds = 30};
	unsigned items = 64 * 16;
	uint64_t *out = paged(r, 2, &args.out);
	uint32_t *in = paged(r, 256, &args.in), *copy = malloc(args.words * 4ul);

	for (unsigned i = 0; i < args.words; i++)
		copy[i] = in[i] = i * 2654435761u >> 3;
	run_while_pages_move(r, "stream", ARGS(args), 64, items / 64, args.in, 256);
	for (unsigned i = 0; i < items; i++) {
		uint64_t want = 0;

		for (unsigned round = 0; round < args.rounds; round++)
			for (unsigned k = i; k < args.words; k += items)
				want += copy[k] ^ round;
		assert_int_equal(out[i], want);
	}
	free(copy);
}

static void stores_while_pages_move(void **state)
{
	struct real *r = *state;
	struct add_args args = {.num = 128 * 1024, .rounds = 40};

	paged(r, 128, &args.words);
	run_while_pages_move(r, "add", ARGS(args), 128, 8, args.words, 128);
	for (unsigned i = 0; i < args.num; i++)
		assert_int_equal(word_at(r, args.words + 4ul * i), args.rounds);
}

/* Who answers has room for few requests. */
static void few_at_a_time(void **state)
{
	struct real *r = *state;
	struct args args = {.n = 3};
	unsigned pages = 256, words = pages * 1024;
	uint32_t *out = paged(r, pages, &args.out), *in = paged(r, pages, &args.in);

	gpu_vm_set_paging(r->c.vm, 2);
	r->stingy = true;
	for (unsigned i = 0; i < words; i++)
		in[i] = i * 2654435761u;
	run(r, "copy", ARGS(args), 256, words / 256, 0);
	for (unsigned i = 0; i < words; i++)
		assert_int_equal(out[i], i * 2654435761u + 3);
	assert_in_range(r->most, 1, 2);
}

/* Kernels that ran before memory became pageable, and run when it is. */
static void turned_on_later(void **state)
{
	struct real *r = *state;
	struct count_args args = {.pages = 32};
	unsigned items = 256 * 4;
	uint32_t *counter, *old;

	for (unsigned on = 0; on < 2; on++) {
		gpu_vm_set_paging(r->c.vm, on ? GPU_MAX_PAGE_REQUESTS : 0);
		counter = on ? paged(r, args.pages, &args.counter) : client_alloc(&r->c, args.pages * PAGE, &args.counter);
		old = on ? paged(r, 1, &args.old) : client_alloc(&r->c, PAGE, &args.old);
		memset(counter, 0, args.pages * PAGE);
		run(r, "count", ARGS(args), 256, items / 256, 0);
		expect_counted(counter, args.pages, items);
		for (unsigned i = 0; i < items; i++)
			assert_true(old[i] <= UINT16_MAX);
	}
}

struct mix_args {
	uint64_t p;
	uint32_t n, width, k;
};

/* p is where args->p lies. */
static void mix(struct real *r, const struct mix_args *args, uint32_t *p, unsigned round)
{
	for (uint32_t i = 0; i < args->n; i++)
		p[i] = (i + round) * 2654435761u;
	run(r, "mix", ARGS(*args), 64, 16, 0);
	for (uint32_t i = 0; i < args->n; i++)
		assert_int_equal(p[i], (i + round) * 2654435761u * 3 + 5);
	gpu_vm_unmap_pages(r->c.vm, PAGED_VA, 1024 * PAGE);
}

/* At odd places, read and then written, faulting again and again. */
static void in_place(void **state)
{
	struct real *r = *state;
	struct mix_args args = {.n = 3 << 18, .width = 1024, .k = 5};
	uint32_t *p = (uint32_t *)paged(r, 769, &args.p) + 9;

	args.p += 36;
	for (unsigned round = 0; round < 6; round++) {
		r->delays = round & 1;
		r->stingy = round & 2;
		mix(r, &args, p, round);
	}
	/* Waves of which only some lanes have something to do, in one page. */
	for (unsigned round = 0; round < 40; round++) {
		args.n = round % 20 * 37 + 25;
		r->delays = round & 1;
		mix(r, &args, p, round);
	}
}

static void expect_fault(struct real *r, uint64_t va)
{
	assert_true(wait_uint(&r->c.faults, 1, 20000));
	assert_int_equal(r->c.fault.va, va);
}

static void no_such_page(void **state)
{
	struct real *r = *state;
	struct args args = {0};

	paged(r, 64, &args.out);
	paged(r, 64, &args.in);
	r->rights[(args.in - PAGED_VA) / PAGE + 37] = 0;
	begin(r, &r->q, "copy", ARGS(args), 256, 256, NULL);
	expect_fault(r, args.in + 37 * PAGE);
	assert_true(r->c.fault.not_present && !r->c.fault.read_only);
}

static void read_only_page(void **state)
{
	struct real *r = *state;
	struct add_args args = {.num = 64 * 1024, .rounds = 1};

	paged(r, 64, &args.words);
	r->rights[(args.words - PAGED_VA) / PAGE + 13] = GPU_PROT_READ;
	begin(r, &r->q, "add", ARGS(args), 64, 4, NULL);
	expect_fault(r, args.words + 13 * PAGE);
	/* It was read before. */
	assert_true(r->c.fault.read_only && !r->c.fault.not_present);
}

/* Outside of all the owner knows: page_request refuses at once. */
static void refused(void **state)
{
	struct real *r = *state;
	struct args args = {.in = 0x700000000000};

	paged(r, 4, &args.out);
	begin(r, &r->q, "copy", ARGS(args), 64, 1, NULL);
	expect_fault(r, args.in);
}

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u + (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

/* A queue whose kernel waits: others run, the processor is free, it can be destroyed. */
static void waits_and_ends(void **state)
{
	struct real *r = *state;
	struct args args = {.n = 1}, here = {.n = 9};
	struct signal *done = client_signal(&r->c, 1, 0);
	uint32_t *out = client_alloc(&r->c, 4096, &here.out), *in = client_alloc(&r->c, 4096, &here.in);
	struct aql q;
	uint64_t cpu;

	let_go(r, true);
	paged(r, 1024, &args.out);
	paged(r, 1024, &args.in);
	aql_open(&q, &r->c, 16, true);
	begin(r, &q, "copy", ARGS(args), 256, 4096, done);
	assert_true(wait_uint(&r->requests, 1, 5000) || r->requests > 1);
	sleep_ms(50);
	cpu = cpu_ns();
	sleep_ms(300);
	cpu = cpu_ns() - cpu;
	print_message("%u us of CPU time in 300 ms\n", (unsigned)(cpu / 1000));
	assert_true(cpu < 100000000);
	run(r, "copy", ARGS(here), 64, 16, 0);
	assert_int_equal(out[1023], in[1023] + 9);
	/* Suspended and resumed, unmapped, stopped: nothing changes. */
	gpu_vm_suspend(r->c.vm);
	gpu_vm_unmap(r->c.vm, args.in, 4096);
	gpu_vm_unmap_pages(r->c.vm, args.in, 1024 * PAGE);
	gpu_vm_resume(r->c.vm);
	q.desc.percent = 0;
	assert_int_equal(gpu_queue_update(q.queue, &q.desc), 0);
	q.desc.percent = 100;
	assert_int_equal(gpu_queue_update(q.queue, &q.desc), 0);
	assert_int_equal(atomic_load(&done->value), 1);
	gpu_queue_destroy(q.queue);
	/* Late answers concern nobody. */
	let_go(r, false);
	run(r, "copy", ARGS(args), 256, 4096, 0);
	assert_int_equal(r->c.faults, 0);
}

/* The same, and then it goes on. */
static void waits_and_goes_on(void **state)
{
	struct real *r = *state;
	struct count_args args = {.pages = 40};
	struct signal *done = client_signal(&r->c, 1, 0);
	uint32_t *counter = paged(r, args.pages, &args.counter);

	let_go(r, true);
	paged(r, 4, &args.old);
	begin(r, &r->q, "count", ARGS(args), 256, 10, done);
	for (unsigned i = 0; i < 20; i++) {
		sleep_ms(2);
		gpu_vm_suspend(r->c.vm);
		gpu_vm_unmap_pages(r->c.vm, PAGED_VA, 64 * PAGE);
		gpu_vm_resume(r->c.vm);
		let_go(r, i % 4 != 3);
	}
	let_go(r, false);
	assert_true(wait_value(&done->value, 0, 30000));
	expect_counted(counter, args.pages, 2560);
}

/* A process that ends while its waves wait, and while answers come. */
static void process_ends(void **state)
{
	struct real *r = *state;

	for (unsigned i = 0; i < 20; i++) {
		struct args args = {.in = PAGED_VA, .out = PAGED_VA + 0x1000000};
		struct aql q;

		gpu_vm_unmap_pages(r->c.vm, PAGED_VA, (uint64_t)PAGED_PAGES * PAGE);
		r->c.used = r->c.used > POOL_SIZE / 2 ? POOL_SIZE / 2 : r->c.used;
		aql_open(&q, &r->c, 16, true);
		begin(r, &q, "copy", ARGS(args), 256, 4096, NULL);
		if (i & 1)
			sleep_ms(i / 4);
		gpu_queue_destroy(q.queue);
	}
	assert_int_equal(r->c.faults, 0);
}

/* SDMA and the AQL packet's own memory. */
static void packets(void **state)
{
	struct real *r = *state;
	struct args args = {.n = 1};
	uint64_t src, dst, kernarg, signal_va;
	uint32_t *from = paged(r, 300, &src), *to = paged(r, 300, &dst), words = 300 * 1024, *out;
	struct ring ring;
	struct packet p;
	struct signal *done;

	for (unsigned i = 0; i < words; i++)
		from[i] = i * 77;
	ring_open(&ring, &r->c, GPU_QUEUE_SDMA, 4096);
	uint32_t copy[] = {1, words * 4 - 1, 0, (uint32_t)src, (uint32_t)(src >> 32), (uint32_t)dst, (uint32_t)(dst >> 32)};
	uint32_t trap[] = {6, 21};

	ring_put(&ring, copy, 7);
	ring_put(&ring, trap, 2);
	ring_ring(&ring);
	assert_true(wait_u64(&r->c.events[21], 1, 30000));
	for (unsigned i = 0; i < words; i++)
		assert_int_equal(to[i], i * 77);
	/* Kernel arguments and completion signal in pageable memory. */
	out = paged(r, 4, &args.out);
	args.in = src;
	done = (void *)paged(r, 1, &signal_va);
	memset(done, 0, sizeof(*done));
	atomic_store(&done->value, 1);
	p = real_packet(&r->c, &r->co, "copy", ARGS(args), 256, 16, 0, NULL);
	uint8_t *there = paged(r, 1, &kernarg);
	uint64_t old;

	memcpy(&old, &p.dw[9], 8);
	memcpy(there, r->c.pool + (old - POOL_VA), 512);
	memcpy(&p.dw[9], &kernarg, 8);
	memcpy(&p.dw[13], &signal_va, 8);
	aql_submit(&r->q, &p);
	assert_true(wait_value(&done->value, 0, 20000));
	for (unsigned i = 0; i < 16 * 256; i++)
		assert_int_equal(out[i], i * 77 + 1);
	/* A copy that comes to an end of the memory. */
	r->rights[(dst - PAGED_VA) / PAGE + 100] = 0;
	gpu_vm_unmap_pages(r->c.vm, dst, 300 * PAGE);
	ring_put(&ring, copy, 7);
	ring_ring(&ring);
	expect_fault(r, dst + 100 * PAGE);
}

static uint64_t pages_mapped(struct real *r)
{
	struct gpu_vm_stats stats;

	gpu_vm_get_stats(r->c.vm, &stats);
	return stats.pages;
}

/* Pages as the answers to requests map them, from the first page of pageable memory. */
static int map_pages(struct real *r, unsigned first, unsigned num, void *host, unsigned prot)
{
	return gpu_vm_map(r->c.vm, PAGED_VA + first * PAGE, (uint64_t)num * PAGE, host, prot | GPU_PROT_PAGE | GPU_PROT_MORE);
}

static int read_page(struct real *r, unsigned page, uint32_t *v)
{
	return gpu_vm_read(r->c.vm, PAGED_VA + page * PAGE, v, 4);
}

static int write_page(struct real *r, unsigned page)
{
	uint32_t v = 1;

	return gpu_vm_write(r->c.vm, PAGED_VA + page * PAGE, &v, 4);
}

/* Buffers over pages, pages over pages, pages against buffers. */
static void mapping(void **state)
{
	const unsigned r_only = GPU_PROT_READ, rw = GPU_PROT_READ | GPU_PROT_WRITE, all = 1024;
	struct real *r = *state;
	uint8_t *host = r->place[1];
	uint32_t v;

	memset(host, 7, 16 * PAGE);
	assert_int_equal(map_pages(r, 0, all, host, r_only), 0);
	assert_int_equal(write_page(r, 0), -EFAULT);
	/* more rights for a part, then other memory for a part of that */
	assert_int_equal(map_pages(r, 4, 8, host + 4 * PAGE, rw), 0);
	assert_int_equal(write_page(r, 5), 0);
	assert_int_equal(map_pages(r, 6, 1, r->place[0], r_only), 0);
	assert_int_equal(read_page(r, 6, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(pages_mapped(r), all);
	/* less rights */
	assert_int_equal(map_pages(r, 5, 1, host + 5 * PAGE, r_only), 0);
	assert_int_equal(write_page(r, 5), -EFAULT);
	/* a buffer replaces pages, and is not replaced */
	assert_int_equal(gpu_vm_map(r->c.vm, PAGED_VA + 2 * PAGE, 2 * PAGE, r->place[0], r_only), 0);
	assert_int_equal(map_pages(r, 3, 2, host, r_only), -EEXIST);
	assert_int_equal(pages_mapped(r), all - 2);
	gpu_vm_unmap_pages(r->c.vm, PAGED_VA, 4 * PAGE);
	assert_int_equal(read_page(r, 0, &v), -EFAULT);
	assert_int_equal(read_page(r, 3, &v), 0);
	/* by where they lie */
	gpu_vm_unmap_pages_at(r->c.vm, host + 8 * PAGE, PAGE);
	assert_int_equal(read_page(r, 8, &v), -EFAULT);
	assert_int_equal(read_page(r, 7, &v), 0);
	gpu_vm_unmap_pages_at(r->c.vm, host, all * PAGE);
	assert_int_equal(pages_mapped(r), 1); /* the one of the other place */
	gpu_vm_unmap_pages(r->c.vm, 0, 1ull << 48);
	assert_int_equal(pages_mapped(r), 0);
	gpu_vm_unmap(r->c.vm, PAGED_VA, all * PAGE);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_real, close_real)
	const struct CMUnitTest tests[] = {
		T(mapping), T(copies), T(few_at_a_time), T(wide_accesses), T(gathers), T(scatters), T(atomics), T(turned_on_later), T(scalars), T(groups_with_lds), T(flat_accesses),
		T(others_spin), T(loads_while_pages_move), T(stores_while_pages_move), T(in_place), T(no_such_page), T(read_only_page), T(refused),
		T(waits_and_ends), T(waits_and_goes_on), T(process_ends), T(packets),
		T(matrices), /* the last: gfx900 has none */
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s TARGET CODE-OBJECT\n", argv[0]);
		return 2;
	}
	target = argv[1];
	object_path = argv[2];
	cmocka_set_test_filter(getenv("TEST_ONLY"));
	return _cmocka_run_group_tests("pages", tests, sizeof(tests) / sizeof(tests[0]) - !strcmp(target, "gfx900"), NULL, NULL);
}
