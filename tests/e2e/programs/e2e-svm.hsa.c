// SPDX-License-Identifier: MIT
/*
 * e2e-svm - a program whose kernels use its memory as it is (HSA_XNACK=1): nothing of it is registered.
 *
 *   e2e-svm all            every kind of memory, one after the other, each result compared; says "verified"
 *   e2e-svm only NAME...   those
 *   e2e-svm atomics        counters that the CPU's threads and the GPU add to at the same time
 *   e2e-svm storm SECONDS  kernels work on memory that is swapped, split, collapsed, write-protected and forked from all the time
 *   e2e-svm fault HOW      a kernel touches what isn't there (wild, unmapped, none, read-only, running: unmapped while it runs): the event has the right address
 *   e2e-svm vram           (in a guest) memory moves to VRAM and back: how much VRAM is used, and that the results are right
 *   e2e-svm vram NAME...   those parts of it
 *   e2e-svm peers [NAME...]   (in a guest with two GPUs) the same between the two
 *   e2e-svm merge [NAME...]   (in a guest, by its superuser) pages are merged by KSM, huge pages are split
 *   e2e-svm move SECONDS   memory goes to VRAM and back all the time while CPU and GPU write it
 *   e2e-svm send SECONDS   and between two GPUs
 *   e2e-svm orphan FILE    a child of fork goes on with memory in VRAM when its parent has ended and there is FILE.go; FILE says "verified" then
 *   e2e-svm hold SECONDS [MIB]   has that much memory (default: 32) in VRAM for so long, and then looks at it
 *
 * Exit status: 0 as it should be, 1 wrong, 3 an error of the queue, 4 a kernel did not end.
 */
#include "tests/programs/hsa.h"

#include <linux/kfd_ioctl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define WIDTH 1024u
#define MIB   (1u << 20)
#define PAGE  4096u
#define LIMIT 180 /* seconds that a kernel may take on a busy machine, in an emulated guest */

static hsa_executable_t executable;
static hsa_queue_t *queue;
static hsa_signal_t done;
static void *arguments;
static const char *part = "start";

#define WRONG(...)                                                                                                                                   \
	do {                                                                                                                                         \
		printf("e2e-svm: %s: WRONG: ", part);                                                                                                \
		printf(__VA_ARGS__);                                                                                                                 \
		printf("\n");                                                                                                                        \
		fflush(stdout);                                                                                                                      \
		_exit(1);                                                                                                                            \
	} while (0)
#define MUST(x)                                                                                                                                      \
	do {                                                                                                                                         \
		if (!(x))                                                                                                                            \
			WRONG("line %d: %s", __LINE__, #x);                                                                                          \
	} while (0)

/* Of a fault that is expected: the page, or a range of it. */
static uintptr_t fault_from, fault_to;

static hsa_status_t on_event(const hsa_amd_event_t *event, void *data)
{
	if (event->event_type != HSA_AMD_GPU_MEMORY_FAULT_EVENT)
		return HSA_STATUS_SUCCESS;
	printf("fault at %#lx, reason %#x; expected %#lx..%#lx\n", (unsigned long)event->memory_fault.virtual_address, event->memory_fault.fault_reason_mask, fault_from, fault_to);
	if (event->memory_fault.virtual_address < fault_from || event->memory_fault.virtual_address >= fault_to)
		WRONG("that is not the address");
	printf("verified\n");
	fflush(stdout);
	_exit(0);
}

static void start(void)
{
	char isa[128] = "";
	hsa_isa_t first = {0};

	open_agents();
	check(hsa_agent_get_info(gpu, HSA_AGENT_INFO_ISA, &first), "ISA");
	check(hsa_isa_get_info_alt(first, HSA_ISA_INFO_NAME, isa), "ISA name");
	printf("%s\n", isa);
	if (!strstr(isa, ":xnack+"))
		WRONG("the agent is %s: XNACK is not on", isa);
	executable = load_code("e2e-svm-kernels");
	queue = open_queue(64);
	done = new_signal(1);
	arguments = allocate(system_pool, PAGE);
	check(hsa_amd_register_system_event_handler(on_event, NULL), "hsa_amd_register_system_event_handler");
}

struct arguments {
	const volatile void *p;
	uint32_t a, b;
	union {
		uint32_t c;
		const volatile void *q;
	};
	const volatile void *r;
};

/* Starts a kernel whose arguments are these bytes. */
static void start_kernel(const char *name, const void *bytes, size_t size, uint32_t items)
{
	struct kernel k = find_kernel(executable, name);

	memset(arguments, 0, PAGE);
	memcpy(arguments, bytes, size);
	hsa_signal_store_relaxed(done, 1);
	submit(queue, &k, items / 64, 64, arguments, done, 0);
}

static void finish(void)
{
	if (wait_signal(done, LIMIT, HSA_WAIT_STATE_BLOCKED))
		return;
	printf("e2e-svm: %s: a kernel did not end\n", part);
	fflush(stdout);
	_exit(4);
}

/* p[i] = p[i] * 3 + k */
static void mix(uint32_t *p, uint32_t n, uint32_t k)
{
	struct arguments a = {.p = p, .a = n, .b = WIDTH, .c = k};

	start_kernel("mix", &a, sizeof(a), WIDTH);
	finish();
}

static uint32_t sum(const uint32_t *p, uint32_t n)
{
	static uint32_t out[WIDTH];
	struct arguments a = {.p = p, .a = n, .b = WIDTH, .q = out};
	uint32_t s = 0;

	memset(out, 0xee, sizeof(out));
	start_kernel("sum", &a, sizeof(a), WIDTH);
	finish();
	for (uint32_t i = 0; i < WIDTH; i++)
		s += out[i];
	return s;
}

static void fill(uint32_t *p, uint32_t n, uint32_t seed)
{
	for (uint32_t i = 0; i < n; i++)
		p[i] = (i + seed) * 2654435761u;
}

/* What fill() left, mixed once by the GPU with k. */
static void expect_mixed(const uint32_t *p, uint32_t n, uint32_t seed, uint32_t k)
{
	for (uint32_t i = 0; i < n; i++)
		if (p[i] != (i + seed) * 2654435761u * 3u + k)
			WRONG("element %u of %u: %#x, not %#x", i, n, p[i], (i + seed) * 2654435761u * 3u + k);
}

static void fill_mix_compare(uint32_t *p, uint32_t n, uint32_t seed)
{
	fill(p, n, seed);
	mix(p, n, seed + 1);
	expect_mixed(p, n, seed, seed + 1);
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	return p;
}

/* ---- the kinds of memory ---- */

static void heap(void)
{
	uint32_t n = 3 * MIB / 4 + 321, *p = malloc(n * 4 + 64), *q = malloc(100);

	fill_mix_compare(p + 5, n, 1);
	fill_mix_compare(p + 5, n, 2);
	fill_mix_compare(q, 25, 3);
	free(q);
	free(p);
}

static void stack(void)
{
	uint32_t p[3000];

	fill_mix_compare(p, 3000, 4);
}

static uint32_t data[5000] = {1}, bss[5000];
static const uint32_t constants[4] = {11, 22, 33, 44};

static void statics(void)
{
	fill_mix_compare(data, 5000, 5);
	MUST(sum(bss, 5000) == 0);
	fill_mix_compare(bss, 5000, 6);
	MUST(sum(constants, 4) == 110);
}

/* Memory that nothing has touched: zeroes to read, then written. */
static void untouched(void)
{
	uint32_t n = MIB, *p = map(n * 4);

	MUST(sum(p, n / 2) == 0);
	mix(p, n, 7);
	for (uint32_t i = 0; i < n; i++)
		MUST(p[i] == 7);
	munmap(p, n * 4);
}

#define FILE_BYTES (300 * 1024 + 100)
static char file_name[] = "/var/tmp/e2e-svm-XXXXXX";

static int make_file(uint32_t seed)
{
	static uint32_t words[FILE_BYTES / 4];
	int fd = mkstemp(file_name);

	MUST(fd >= 0);
	unlink(file_name);
	strcpy(file_name + strlen(file_name) - 6, "XXXXXX");
	fill(words, FILE_BYTES / 4, seed);
	MUST(write(fd, words, FILE_BYTES) == FILE_BYTES);
	return fd;
}

static void file_private(void)
{
	static uint32_t words[FILE_BYTES / 4];
	int fd = make_file(8);
	uint32_t *p = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	uint32_t s = 0;

	MUST(p != MAP_FAILED);
	for (uint32_t i = 0; i < FILE_BYTES / 4; i++)
		s += (i + 8) * 2654435761u;
	MUST(sum(p, FILE_BYTES / 4) == s);
	mix(p, FILE_BYTES / 4, 9);
	expect_mixed(p, FILE_BYTES / 4, 8, 9);
	MUST(pread(fd, words, FILE_BYTES, 0) == FILE_BYTES);
	for (uint32_t i = 0; i < FILE_BYTES / 4; i++)
		MUST(words[i] == (i + 8) * 2654435761u);
	munmap(p, FILE_BYTES);
	close(fd);
}

/* What the GPU writes to a shared mapping is the file's, also after it was written back and dropped. */
static void shared(int fd)
{
	static uint32_t words[FILE_BYTES / 4];
	uint32_t n = FILE_BYTES / 4, *p, *q;

	p = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED && q != MAP_FAILED);
	sum(p, n);
	mix(p, n, 10);
	expect_mixed(q, n, 8, 10);
	MUST(pread(fd, words, FILE_BYTES, 0) == FILE_BYTES);
	expect_mixed(words, n, 8, 10);
	for (uint32_t round = 0; round < 3; round++) {
		fill(p, n, 8);
		MUST(!msync(p, FILE_BYTES, MS_SYNC));
		mix(p, n, 11 + round);
		MUST(!msync(p, FILE_BYTES, MS_SYNC));
		madvise(p, FILE_BYTES, MADV_PAGEOUT);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		expect_mixed(q, n, 8, 11 + round);
	}
	munmap(p, FILE_BYTES);
	munmap(q, FILE_BYTES);
	MUST(pread(fd, words, FILE_BYTES, 0) == FILE_BYTES);
	expect_mixed(words, n, 8, 13);
	close(fd);
}

static void file_shared(void)
{
	shared(make_file(8));
}

static void memfd(void)
{
	static uint32_t words[FILE_BYTES / 4];
	int fd = memfd_create("e2e-svm", 0);

	fill(words, FILE_BYTES / 4, 8);
	MUST(fd >= 0 && write(fd, words, FILE_BYTES) == FILE_BYTES);
	shared(fd);
}

static void prefetch(void *p, size_t size, hsa_agent_t to)
{
	static hsa_signal_t signal;

	if (!signal.handle)
		signal = new_signal(1);
	hsa_signal_store_relaxed(signal, 1);
	check(hsa_amd_svm_prefetch_async(p, size, to, 0, NULL, signal), "hsa_amd_svm_prefetch_async");
	while (hsa_signal_wait_scacquire(signal, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX, HSA_WAIT_STATE_BLOCKED) >= 1)
		;
}

/*
 * Either side of a fork keeps its own, whoever writes first. first, then: where the memory is moved to before the GPU writes it, and after the fork; NULL: nowhere.
 */
static void fork_apart(const hsa_agent_t *first, const hsa_agent_t *then)
{
	uint32_t n = MIB / 2, *p = map(n * 4);
	int to_child[2], to_parent[2], status;
	char c = 0;
	pid_t pid;

	fill(p, n, 12);
	if (first)
		prefetch(p, n * 4, *first);
	mix(p, n, 13); /* the GPU may write it all now */
	MUST(!pipe(to_child) && !pipe(to_parent));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The child writes the first quarter before the GPU does, and looks at the rest after it. */
		for (uint32_t i = 0; i < n / 4; i++)
			p[i] = 5;
		if (write(to_parent[1], &c, 1) != 1 || read(to_child[0], &c, 1) != 1)
			_exit(1);
		for (uint32_t i = 0; i < n; i++)
			if (p[i] != (i < n / 4 ? 5 : (i + 12) * 2654435761u * 3u + 13))
				_exit(2);
		_exit(0);
	}
	MUST(pid > 0 && read(to_parent[0], &c, 1) == 1);
	if (then)
		prefetch(p, n * 4, *then);
	expect_mixed(p, n, 12, 13);
	mix(p, n, 1);
	for (uint32_t i = 0; i < n; i++)
		MUST(p[i] == ((i + 12) * 2654435761u * 3u + 13) * 3u + 1);
	MUST(write(to_child[1], &c, 1) == 1);
	MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fill_mix_compare(p, n, 14); /* alone again */
	close(to_child[0]), close(to_child[1]), close(to_parent[0]), close(to_parent[1]);
	munmap(p, n * 4);
}

static void forks(void)
{
	fork_apart(NULL, NULL);
}

/* Other memory at an address that the GPU has used. */
static void remapped(void)
{
	uint32_t n = MIB / 4, *p = map(n * 4), *q;

	fill_mix_compare(p, n, 15);
	MUST(!munmap(p, n * 4));
	MUST(mmap(p, n * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	MUST(sum(p, n) == 0);
	fill_mix_compare(p, n, 16);
	MUST(!madvise(p, n * 2, MADV_DONTNEED));
	MUST(sum(p, n / 2) == 0);
	mix(p, n / 2, 3);
	for (uint32_t i = 0; i < n / 2; i++)
		MUST(p[i] == 3);
	fill_mix_compare(p, n, 17);
	q = map(2 * n * 4);
	MUST(mremap(p, n * 4, n * 4, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	expect_mixed(q, n, 17, 18);
	MUST(mmap(p, n * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	MUST(sum(p, n) == 0);
	mix(q, n, 1);
	for (uint32_t i = 0; i < n; i++)
		MUST(q[i] == ((i + 17) * 2654435761u * 3u + 18) * 3u + 1);
	munmap(p, n * 4);
	munmap(q, n * 8);
}

static void protected_(void)
{
	uint32_t n = MIB / 4, *p = map(n * 4), s = 0;

	fill_mix_compare(p, n, 19);
	for (uint32_t i = 0; i < n; i++)
		s += p[i];
	MUST(!mprotect(p, n * 4, PROT_READ));
	MUST(sum(p, n) == s);
	MUST(!mprotect(p, n * 4, PROT_NONE));
	MUST(!mprotect(p, n * 4, PROT_READ | PROT_WRITE));
	fill_mix_compare(p, n, 20);
	munmap(p, n * 4);
}

static unsigned long swapped_pages(const void *p, size_t size)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	unsigned long n = 0;
	uint64_t entry;

	for (size_t i = 0; i < size / PAGE; i++)
		if (pread(fd, &entry, 8, (off_t)(((uintptr_t)p / PAGE + i) * 8)) == 8)
			n += entry >> 62 & 1;
	close(fd);
	return n;
}

/* What the GPU wrote survives being swapped out, and comes back for it. */
static void swap(void)
{
	uint32_t n = MIB, *p = map(n * 4);

	for (uint32_t round = 0; round < 2; round++) {
		fill(p, n, 21);
		mix(p, n, 22);
		for (int tries = 0; tries < 20 && swapped_pages(p, n * 4) < n * 4 / PAGE / 2; tries++)
			madvise(p, n * 4, MADV_PAGEOUT);
		if (swapped_pages(p, n * 4) < n * 4 / PAGE / 2)
			WRONG("only %lu of %u pages could be swapped out", swapped_pages(p, n * 4), n * 4 / PAGE);
		if (round)
			expect_mixed(p, n, 21, 22);
		mix(p, n, 1);
		for (uint32_t i = 0; i < n; i++)
			MUST(p[i] == ((i + 21) * 2654435761u * 3u + 22) * 3u + 1);
	}
	munmap(p, n * 4);
}

/* Read first, swapped out, read and written by the GPU only: nobody but it makes the page dirty. */
static void swap_dirty(void)
{
	int fd = memfd_create("e2e-svm", 0);
	uint32_t n = MIB / 2, *p;

	MUST(fd >= 0 && !ftruncate(fd, n * 4));
	p = mmap(NULL, n * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	MUST(sum(p, n) == 0);
	mix(p, n, 23);
	for (int tries = 0; tries < 5; tries++)
		madvise(p, n * 4, MADV_PAGEOUT);
	for (uint32_t i = 0; i < n; i++)
		MUST(p[i] == 23);
	munmap(p, n * 4);
	close(fd);
}

static void huge(void)
{
	static const int advice[] = {MADV_HUGEPAGE, MADV_NOHUGEPAGE};
	uint32_t n = 8 * MIB / 4;

	for (int k = 0; k < 2; k++) {
		char *base = map(12 * MIB);
		uint32_t *p = (uint32_t *)(((uintptr_t)base + 2 * MIB - 1) & -(uintptr_t)(2 * MIB));

		MUST(!madvise(p, n * 4, advice[k]));
		MUST(sum(p, n / 8) == 0);
		fill_mix_compare(p, n, 24);
		/* In pieces: one page less in the middle of the second, the third protected in part. */
		MUST(!munmap((char *)p + 3 * MIB, PAGE));
		MUST(!mprotect((char *)p + 5 * MIB, PAGE, PROT_READ));
		fill_mix_compare(p, 3 * MIB / 4, 25);
		fill_mix_compare(p + (3 * MIB + PAGE) / 4, (2 * MIB - PAGE) / 4, 26);
		fill_mix_compare(p + (5 * MIB + PAGE) / 4, (3 * MIB - PAGE) / 4, 27);
		munmap(base, 12 * MIB);
	}
}

/* Small pages become a huge one under the GPU's eyes. */
static void collapse(void)
{
	char *base = map(4 * MIB);
	uint32_t n = 2 * MIB / 4, *p = (uint32_t *)(((uintptr_t)base + 2 * MIB - 1) & -(uintptr_t)(2 * MIB));

	MUST(!madvise(p, n * 4, MADV_NOHUGEPAGE));
	fill_mix_compare(p, n, 28);
	MUST(!madvise(p, n * 4, MADV_HUGEPAGE));
	madvise(p, n * 4, MADV_COLLAPSE); /* may fail where memory is in pieces */
	expect_mixed(p, n, 28, 29);
	mix(p, n, 2);
	for (uint32_t i = 0; i < n; i++)
		MUST(p[i] == ((i + 28) * 2654435761u * 3u + 29) * 3u + 2);
	munmap(base, 4 * MIB);
}

#include "e2e-svm-vram.h"

/* Attributes and prefetching; what was not made by a pool. */
static void attributes(void)
{
	uint32_t n = MIB / 2, *p = map(n * 4 + MIB);
	hsa_amd_svm_attribute_pair_t set[] = {{HSA_AMD_SVM_ATTRIB_AGENT_ACCESSIBLE, gpu.handle}, {HSA_AMD_SVM_ATTRIB_READ_MOSTLY, 1}};
	hsa_amd_svm_attribute_pair_t get[] = {{HSA_AMD_SVM_ATTRIB_ACCESS_QUERY, gpu.handle}, {HSA_AMD_SVM_ATTRIB_READ_MOSTLY, 0}};

	fill(p, n, 30);
	check(hsa_amd_svm_attributes_set(p, n * 4, set, 2), "hsa_amd_svm_attributes_set");
	check(hsa_amd_svm_attributes_get(p, n * 4, get, 2), "hsa_amd_svm_attributes_get");
	MUST(get[0].attribute == HSA_AMD_SVM_ATTRIB_AGENT_ACCESSIBLE && get[1].value); /* ROCr gives the flag as it is */
	prefetch(p, n * 4, gpu);
	mix(p, n, 31);
	expect_mixed(p, n, 30, 31);
	fill_mix_compare(p, n + MIB / 4, 32);
	munmap(p, n * 4 + MIB);
}

/* ---- CPU and GPU at the same time ---- */

static int cas;

static void *count_thread(void *arg)
{
	uint32_t times = (uint32_t)(uintptr_t)arg;

	for (uint32_t i = 0; i < times; i++) {
		uint32_t old = *counter;

		if (!cas)
			__atomic_fetch_add((uint32_t *)counter, 1, __ATOMIC_ACQ_REL);
		else
			while (!__atomic_compare_exchange_n((uint32_t *)counter, &old, old + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
				;
	}
	return NULL;
}

static void atomics(void)
{
	uint32_t *p = malloc(64 * PAGE);

	part = "atomics";
	for (cas = 0; cas < 2; cas++) {
		uint32_t mine = cas ? 40000 : 150000, its = cas ? 20 : 400, items = cas ? 128 : 1024;
		struct arguments a = {.a = its};
		pthread_t threads[2];

		counter = (_Atomic uint32_t *)(p + 1000 + cas * 2000);
		*counter = 7;
		a.p = counter;
		start_kernel(cas ? "count_cas" : "count", &a, sizeof(a), items);
		for (int i = 0; i < 2; i++)
			MUST(!pthread_create(&threads[i], NULL, count_thread, (void *)(uintptr_t)mine));
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		finish();
		if (*counter != 7 + 2 * mine + its * items)
			WRONG("%s: %u, not %u", cas ? "compare and swap" : "add", *counter, 7 + 2 * mine + its * items);
	}
	for (int round = 0; round < 2; round++) {
		uint32_t turns = 50, want = 1; /* each is a turn of the GPU, where another tenant spins, too */
		uint32_t *turn = p + 10000, *word = p + 20000; /* in different pages */
		struct {
			const void *turn, *data;
			uint32_t rounds;
		} a = {turn, word, turns};
		double end = now() + LIMIT;

		*turn = 0;
		*word = 1;
		start_kernel("pingpong", &a, sizeof(a), 64);
		for (uint32_t r = 0; r < turns; r++) {
			*word += 3;
			want = (want + 3) * 5 + 1;
			__atomic_store_n(turn, 2 * r + 1, __ATOMIC_RELEASE);
			/* Now and then the processor is the GPU's. */
			for (uint32_t n = 1; __atomic_load_n(turn, __ATOMIC_ACQUIRE) != 2 * r + 2; n++) {
				if (now() > end)
					WRONG("turn %u never comes", r);
				if (n % 1000 == 0)
					usleep(100);
			}
			if (*word != want)
				WRONG("turn %u: %u, not %u", r, *word, want);
		}
		finish();
	}
	free(p);
}

#include "e2e-svm-peers.h"
#include "e2e-svm-merge.h"

static int stop_storm;

/* All that happens to pages while their program goes on using them. */
static void *storm_thread(void *arg)
{
	char *p = arg;
	unsigned seed = 1;

	while (!__atomic_load_n(&stop_storm, __ATOMIC_RELAXED)) {
		size_t at = (size_t)(rand_r(&seed) % 8) * MIB, size = (size_t)(1 + rand_r(&seed) % 512) * PAGE;
		int status;
		pid_t pid;

		if (size > 8 * MIB - at)
			size = 8 * MIB - at;
		switch (rand_r(&seed) % 8) {
		case 0:
			madvise(p + at, size, MADV_PAGEOUT);
			break;
		case 1:
			mprotect(p + at, size, PROT_READ | PROT_WRITE | PROT_EXEC);
			mprotect(p + at, size, PROT_READ | PROT_WRITE);
			break;
		case 2:
			madvise(p + (at & -(size_t)(2 * MIB)), 2 * MIB, MADV_COLLAPSE);
			break;
		case 3:
			pid = fork();
			if (!pid) {
				for (size_t i = 0; i < size; i += PAGE)
					p[at + i] = 1;
				_exit(0);
			}
			if (pid > 0)
				waitpid(pid, &status, 0);
			break;
		case 4:
			madvise(p + at, size, MADV_COLD);
			break;
		case 5:
			mlock(p + at, size);
			munlock(p + at, size);
			break;
		default: {
			char *other = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

			if (other != MAP_FAILED)
				munmap(other, size);
		}
		}
	}
	return NULL;
}

static void storm(double seconds)
{
	char *base = map(10 * MIB);
	uint32_t n = 8 * MIB / 4, *p = (uint32_t *)(((uintptr_t)base + 2 * MIB - 1) & -(uintptr_t)(2 * MIB)), total = 0, kernels = 0;
	double end = now() + seconds;
	pthread_t thread;

	part = "storm";
	fill(p, n, 33);
	MUST(!pthread_create(&thread, NULL, storm_thread, p));
	do {
		struct arguments a = {.p = p, .a = n, .b = WIDTH, .c = 4};

		start_kernel("rounds", &a, sizeof(a), WIDTH);
		finish();
		total += 4;
		kernels++;
		/* The CPU writes, too. */
		for (uint32_t i = kernels % 7; i < n; i += 1001)
			p[i] -= 1;
		for (uint32_t i = kernels % 7; i < n; i += 1001)
			p[i] += 1;
		for (uint32_t i = 0; i < n; i += kernels % 16 ? 997 : 1)
			if (p[i] != (i + 33) * 2654435761u + total)
				WRONG("kernel %u: element %u: %#x, not %#x", kernels, i, p[i], (i + 33) * 2654435761u + total);
	} while (now() < end);
	__atomic_store_n(&stop_storm, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < n; i++)
		MUST(p[i] == (i + 33) * 2654435761u + total);
	printf("%u kernels\n", kernels);
	munmap(base, 10 * MIB);
}

/* ---- faults ---- */

static int fault(const char *how)
{
	uint32_t n = MIB / 4, *p = map(n * 4);
	struct arguments a = {.p = p, .a = n, .b = WIDTH, .c = 1};

	part = how;
	fill_mix_compare(p, n, 34);
	fault_from = (uintptr_t)p;
	fault_to = fault_from + n * 4;
	if (!strcmp(how, "wild")) {
		a.p = (void *)0x123456789000;
		a.a = 1;
		fault_from = 0x123456789000;
		fault_to = fault_from + PAGE;
		start_kernel("mix", &a, sizeof(a), WIDTH);
	} else if (!strcmp(how, "unmapped")) {
		MUST(!munmap((char *)p + 5 * PAGE, PAGE));
		fault_from += 5 * PAGE;
		fault_to = fault_from + PAGE;
		start_kernel("mix", &a, sizeof(a), WIDTH);
	} else if (!strcmp(how, "none")) {
		MUST(!mprotect((char *)p + 7 * PAGE, PAGE, PROT_NONE));
		fault_from += 7 * PAGE;
		fault_to = fault_from + PAGE;
		start_kernel("mix", &a, sizeof(a), WIDTH);
	} else if (!strcmp(how, "read-only")) {
		MUST(!mprotect((char *)p + 9 * PAGE, PAGE, PROT_READ));
		fault_from += 9 * PAGE;
		fault_to = fault_from + PAGE;
		start_kernel("mix", &a, sizeof(a), WIDTH);
	} else if (!strcmp(how, "running")) {
		volatile uint32_t *words = malloc(64);
		struct {
			const volatile void *p;
			uint32_t n, width;
			const volatile void *started, *stop;
		} b = {p, n, WIDTH, words, words + 8};

		words[0] = words[8] = 0;
		start_kernel("look", &b, sizeof(b), WIDTH);
		while (!words[0])
			usleep(1000);
		MUST(!munmap(p, n * 4));
	}
	finish();
	WRONG("there was no fault");
}

/* ---- */

struct part {
	const char *name;
	void (*run)(void);
};

static const struct part parts[] = {
	{"heap", heap},	      {"stack", stack},		    {"statics", statics}, {"untouched", untouched}, {"file_private", file_private}, {"file_shared", file_shared},
	{"memfd", memfd},     {"forks", forks},		    {"remapped", remapped}, {"protected", protected_}, {"swap", swap},		    {"swap_dirty", swap_dirty},
	{"huge", huge},	      {"collapse", collapse},	    {"attributes", attributes}, {NULL, NULL},
};

static const struct part vram_parts[] = {
	{"vram_there_and_back", vram_there_and_back}, {"vram_preferred", vram_preferred}, {"vram_in_parts", vram_in_parts}, {"vram_forks", vram_forks},
	{"vram_writers", vram_writers}, {"vram_full", vram_full}, {"vram_held", vram_held}, {"vram_events", vram_events}, {NULL, NULL},
};

static const struct part peers_parts[] = {
	{"peers_moves", peers_moves}, {"peers_preferred", peers_preferred}, {"peers_fork", peers_fork}, {"peers_writers", peers_writers},
	{"peers_full", peers_full},   {"peers_events", peers_events},	    {NULL, NULL},
};

static const struct part merge_parts[] = {
	{"merged_apart", merged_apart}, {"merged_busy", merged_busy}, {"split", split}, {NULL, NULL},
};

/* Those of the table that are named, or all. */
static void run_parts(const struct part *table, char **names, int n)
{
	for (; table->name; table++) {
		double begin = now();
		bool named = !n;

		for (int k = 0; k < n; k++)
			named = named || !strcmp(names[k], table->name);
		if (!named)
			continue;
		part = table->name;
		table->run();
		printf("%s %.2f s\n", part, now() - begin);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "all";

	start();
	if (!strcmp(what, "atomics")) {
		atomics();
	} else if (!strcmp(what, "storm") && argc > 2) {
		storm(atof(argv[2]));
	} else if (!strcmp(what, "fault") && argc > 2) {
		return fault(argv[2]);
	} else if (!strcmp(what, "orphan") && argc > 2) {
		return orphan(argv[2]);
	} else if (!strcmp(what, "hold") && argc > 2) {
		hold(atof(argv[2]), argc > 3 ? (uint32_t)atoi(argv[3]) : 32);
	} else if (!strcmp(what, "move") && argc > 2) {
		for (double end = now() + atof(argv[2]); now() < end;)
			vram_writers();
	} else if (!strcmp(what, "send") && argc > 2) {
		open_peers();
		for (double end = now() + atof(argv[2]); now() < end;)
			peers_writers();
	} else if (!strcmp(what, "peers")) {
		open_peers();
		run_parts(peers_parts, argv + 2, argc - 2);
	} else if (!strcmp(what, "merge")) {
		run_parts(merge_parts, argv + 2, argc - 2);
	} else if (!strcmp(what, "vram")) {
		run_parts(vram_parts, argv + 2, argc - 2);
	} else {
		run_parts(parts, argv + 2, strcmp(what, "all") ? argc - 2 : 0);
	}
	printf("verified\n");
	hsa_signal_destroy(done);
	hsa_queue_destroy(queue);
	hsa_shut_down();
	return 0;
}
