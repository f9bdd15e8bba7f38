// SPDX-License-Identifier: MIT
/*
 * guest-abuse - programs that mean harm: threads that race each other through FREE, buffers larger
 * than the machine, endless changes of registered pages, waits without end, and everything that can
 * be done to a mapping. They get errors; other programs, and what others' memory holds, are safe.
 */
#include "kfd.h"

#include <pthread.h>

/* ---- two threads, one buffer ---- */

static pthread_barrier_t barrier;
static uint64_t race_handle;
static long race_result;
static unsigned race_delay;

static void spin(unsigned n)
{
	for (volatile unsigned i = 0; i < n; i++)
		;
}

static void *free_thread(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_barrier_wait(&barrier);
		if (!race_handle)
			return NULL;
		spin(race_delay);
		race_result = gpu_free(race_handle);
		pthread_barrier_wait(&barrier);
	}
}

/* Exactly one frees it; it doesn't come back to life when the other one is told no. */
static void free_twice(void)
{
	uint64_t va = reserve(4 * PAGE);
	unsigned won = 0, alive = 0;
	pthread_t other;
	struct buffer b;
	uint8_t *p;
	long err;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&other, NULL, free_thread, NULL);
	for (unsigned i = 0; i < 300 && !test_failures; i++) {
		EXPECT(gpu_alloc(&b, VRAM, va, 4 * PAGE, 0), 0);
		p = map_fd(drm, b.offset, 4 * PAGE, MAP_SHARED, &err);
		EXPECT(err, 0);
		p[0] = 1;
		race_handle = b.handle;
		race_delay = i * 7 % 200;
		pthread_barrier_wait(&barrier);
		spin(i * 13 % 200);
		err = gpu_free(b.handle);
		pthread_barrier_wait(&barrier);
		won += !err + !race_result;
		CHECK(err == 0 || race_result == 0);
		alive += touch(p) != SIGBUS;
		munmap(p, 4 * PAGE);
	}
	race_handle = 0;
	pthread_barrier_wait(&barrier);
	pthread_join(other, NULL);
	EXPECT(won, 300);
	EXPECT(alive, 0);
}

static bool page_won;

/* CREATE_EVENT names a buffer that another thread frees: one of both is refused. */
static void events_page_part(void)
{
	uint64_t va = reserve(8 * PAGE);
	pthread_t other;
	struct buffer b;

	kfd_start();
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&other, NULL, free_thread, NULL);
	for (unsigned i = 0; i < 100 && !page_won; i++) {
		struct kfd_ioctl_create_event_args args = {.event_type = KFD_IOC_EVENT_SIGNAL};
		long err;

		EXPECT(gpu_alloc(&b, GTT, va, 8 * PAGE, 0), 0);
		args.event_page_offset = b.handle;
		race_handle = b.handle;
		race_delay = (unsigned)(getpid() * 31 + i * 17) % 300;
		pthread_barrier_wait(&barrier);
		err = kfd_call(kfd, AMDKFD_IOC_CREATE_EVENT, &args);
		pthread_barrier_wait(&barrier);
		page_won = !err;
		CHECK(!err != !race_result);
		if (!err)
			EXPECT(race_result, -EPERM);
	}
}

static void events_page(void)
{
	for (int i = 0; i < 60 && !test_failures; i++)
		in_child(events_page_part);
}

/* ---- other people's handles, and no handles at all ---- */

static void bad_handles(void)
{
	struct buffer bell = {0};
	uint64_t va = reserve(2 * PAGE);

	EXPECT(gpu_free(0), -EINVAL);
	EXPECT(gpu_free(~0ull), -EINVAL);
	EXPECT(gpu_free((uint64_t)gpu_id << 32 | 77777), -EINVAL);
	/* Doorbells have a handle too, which is freed once. */
	EXPECT(gpu_alloc(&bell, KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
			 va, 2 * PAGE, 0),
	       0);
	EXPECT(gpu_map(bell.handle, true), 0);
	EXPECT(gpu_free(bell.handle), -EBUSY);
	EXPECT(gpu_map(bell.handle, false), 0);
	EXPECT(gpu_free(bell.handle), 0);
	EXPECT(gpu_free(bell.handle), -EINVAL);
}

/* ---- too much ---- */

static uint64_t mem_total(void)
{
	unsigned long long kb = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	if (f && fscanf(f, "MemTotal: %llu", &kb) != 1)
		kb = 0;
	if (f)
		fclose(f);
	return kb << 10;
}

/* What is more than programs may have is refused before any page of it is taken. */
static void too_large(void)
{
	uint64_t start = now_ms(), most = mem_total() / 100 * 80 & ~(PAGE - 1);
	uint64_t size = 1ull << 40;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long pinned = vmstat("nr_foll_pin_acquired");
	struct buffer b;

	CHECK(p != MAP_FAILED && most > 0);
	EXPECT(gpu_alloc(&b, GTT, reserve(most), most, 0), -ENOMEM);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)p, most, (uintptr_t)p), -ENOMEM);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)p, size, (uintptr_t)p), -ENOMEM);
	munmap(p, size);
	pinned_pages();
	CHECK(vmstat("nr_foll_pin_acquired") - pinned < 1000);
	CHECK(now_ms() - start < 30000);
}

/* One page in ever more buffers costs kernel memory each time: the sum is bounded too. */
static void page_in_many(void)
{
	uint8_t *p =
		mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t handles[64];
	struct buffer b;
	int n = 0;
	long err = 0;

	while (n < 64 && !(err = gpu_alloc(&b, USERPTR, reserve(64 << 20), 64 << 20, (uintptr_t)p)))
		handles[n++] = b.handle;
	EXPECT(err, -ENOMEM);
	CHECK((uint64_t)n << 26 > mem_total() / 2 && (uint64_t)n << 26 < mem_total() * 8 / 10);
	while (n)
		EXPECT(gpu_free(handles[--n]), 0);
	munmap(p, 64 << 20);
	CHECK(pinned_pages() == 0);
}

#define MANY 40000

static long wait_many(uint32_t id, uint32_t timeout)
{
	struct kfd_event_data *data = calloc(MANY, sizeof(*data));
	struct kfd_ioctl_wait_events_args args = {
		.events_ptr = (uintptr_t)data, .num_events = MANY, .timeout = timeout};
	long err;

	for (int i = 0; i < MANY; i++)
		data[i].event_id = id;
	err = kfd_call(kfd, AMDKFD_IOC_WAIT_EVENTS, &args);
	free(data);
	return err;
}

static _Atomic pid_t waiter; /* 0: not begun */

static void *wait_thread(void *arg)
{
	waiter = (pid_t)syscall(SYS_gettid);
	return (void *)wait_many((uint32_t)(uintptr_t)arg, 60000);
}

/* Setting an event looks at all its waiters, so a process has so many of them at a time. */
static void waits_part(void)
{
	struct kfd_ioctl_create_event_args args = {.event_type = KFD_IOC_EVENT_SIGNAL};
	struct kfd_ioctl_set_event_args set;
	pthread_t other;
	void *result;

	kfd_start();
	EXPECT(kfd_call(kfd, AMDKFD_IOC_CREATE_EVENT, &args), 0);
	pthread_create(&other, NULL, wait_thread, (void *)(uintptr_t)args.event_id);
	CHECK(wait_asleep(&waiter));
	msleep(200);
	EXPECT(wait_many(args.event_id, 0), -ENOMEM);
	set.event_id = args.event_id;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_SET_EVENT, &set), 0);
	pthread_join(other, &result);
	EXPECT((long)result, 0);
	EXPECT(wait_many(args.event_id, 0), 0);
}

static void waits(void)
{
	in_child(waits_part);
}

/* ---- endless changes ---- */

#define CHANGING (64 * PAGE)
/* More VRAM than the tests' VM has. */
#define LARGER (1ull << 30)

static void *change_thread(void *arg)
{
	for (;;) {
		madvise(arg, CHANGING, MADV_DONTNEED);
		*(volatile uint8_t *)arg = 1;
	}
	return NULL;
}

/* While programs change registered pages all the time, another one that is out of VRAM is told so.
 */
static void restless(void)
{
	uint64_t start, longest = 0, va = reserve(LARGER);
	struct buffer b;
	pid_t pids[2];
	int up[2];
	char c;

	CHECK(pipe(up) == 0);
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			pthread_t t;

			kfd_start();
			for (int j = 0; j < 2; j++) {
				uint8_t *p = mmap(NULL, CHANGING, PROT_READ | PROT_WRITE,
						  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

				EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)p, CHANGING, (uintptr_t)p),
				       0);
				EXPECT(gpu_map(b.handle, true), 0);
				pthread_create(&t, NULL, change_thread, p);
			}
			if (write(up[1], "x", 1) != 1)
				_exit(1);
			pause();
		}
	}
	for (int i = 0; i < 2; i++)
		CHECK(read(up[0], &c, 1) == 1);
	for (int i = 0; i < 5; i++) {
		start = now_ms();
		EXPECT(gpu_alloc(&b, VRAM, va, LARGER, 0), -ENOMEM);
		if (now_ms() - start > longest)
			longest = now_ms() - start;
	}
	printf("# longest refusal: %llu ms\n", (unsigned long long)longest);
	CHECK(longest < 15000);
	for (int i = 0; i < 2; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	CHECK(pinned_pages() == 0);
}

/* ---- mappings ---- */

static bool all_gone(uint8_t *p, uint8_t *moved, uint8_t *q)
{
	return touch(p) == SIGBUS && touch(moved) == SIGBUS && touch(q) == SIGBUS;
}

static void mapping(uint32_t flags)
{
	uint64_t size = 16 * PAGE;
	uint8_t *p, *q, *moved;
	int status, looked[2];
	struct buffer b;
	pid_t pid;
	char c = 0;
	long err;

	EXPECT(gpu_alloc(&b, flags, reserve(size), size, 0), 0);
	/* Too long, not at its start, of the other file. */
	map_fd(drm, b.offset, size + PAGE, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	map_fd(drm, b.offset - PAGE, size, MAP_SHARED, &err);
	CHECK(err < 0);
	map_fd(kfd, b.offset, size, MAP_SHARED, &err);
	CHECK(err < 0);
	/* Private ones would be copies. */
	map_fd(drm, b.offset, size, MAP_PRIVATE, &err);
	EXPECT(err, -EINVAL);
	p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE, drm, (off_t)b.offset);
	if (p != MAP_FAILED) {
		CHECK(mprotect(p, size, PROT_READ | PROT_WRITE) < 0);
		munmap(p, size);
	}
	p = map_fd(drm, b.offset, size, MAP_SHARED, &err);
	EXPECT(err, 0);
	for (uint64_t i = 0; i < size; i += PAGE) {
		CHECK(p[i] == 0);
		p[i] = (uint8_t)(1 + i / PAGE);
	}
	/* Larger it doesn't get; a part of it may move, and a hole may be made. */
	CHECK(mremap(p, size, 2 * size, MREMAP_MAYMOVE) == MAP_FAILED);
	munmap(p + 4 * PAGE, PAGE);
	moved = mremap(p + 8 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       (void *)reserve(4 * PAGE));
	CHECK(moved != MAP_FAILED && moved[0] == 9 && moved[3 * PAGE] == 12);
	CHECK(p[3 * PAGE] == 4 && p[5 * PAGE] == 6 && p[12 * PAGE] == 13);
	q = map_fd(drm, b.offset + 4 * PAGE, PAGE, MAP_SHARED, &err);
	CHECK(q && q[0] == 5);
	/* It isn't memory that a GPU can be given once more. */
	CHECK(gpu_alloc(&(struct buffer){0}, USERPTR, (uintptr_t)q, PAGE, (uintptr_t)q) < 0);
	fflush(stdout);
	CHECK(!pipe(looked));
	pid = fork();
	if (pid == 0) {
		/* Shared with the child, and gone for it too. */
		CHECK(p[0] == 1 && moved[0] == 9);
		CHECK(write(looked[1], &c, 1) == 1);
		for (int i = 0; i < 4000 && !all_gone(p, moved, q); i++)
			msleep(5);
		_exit(!all_gone(p, moved, q));
	}
	close(looked[1]);
	CHECK(read(looked[0], &c, 1) == 1);
	close(looked[0]);
	EXPECT(gpu_free(b.handle), 0);
	CHECK(all_gone(p, moved, q) && touch(p + 15 * PAGE) == SIGBUS);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
	map_fd(drm, b.offset, size, MAP_SHARED, &err);
	EXPECT(err, -EINVAL);
	munmap(p, size);
	munmap(moved, 4 * PAGE);
	munmap(q, PAGE);
}

static void mappings(void)
{
	mapping(VRAM);
	mapping(GTT);
}

/* ---- what a program leaves in VRAM ---- */

#define SECRET (32ull << 20)

static void secret_part(void)
{
	struct buffer b;
	uint8_t *p;
	long err;

	kfd_start();
	EXPECT(gpu_alloc(&b, VRAM, reserve(SECRET), SECRET, 0), 0);
	p = map_fd(drm, b.offset, SECRET, MAP_SHARED, &err);
	EXPECT(err, 0);
	memset(p, 0x5e, SECRET);
}

static void found_part(void)
{
	struct buffer b;
	uint64_t *p, bad = 0;
	long err;

	kfd_start();
	EXPECT(gpu_alloc(&b, VRAM, reserve(2 * SECRET), 2 * SECRET, 0), 0);
	p = map_fd(drm, b.offset, 2 * SECRET, MAP_SHARED, &err);
	EXPECT(err, 0);
	for (uint64_t i = 0; i < 2 * SECRET / 8; i++)
		bad += p[i] != 0;
	EXPECT((long)bad, 0);
}

static void secrets(void)
{
	in_child(secret_part);
	in_child(found_part);
}

int main(void)
{
	static const struct test tests[] = {
		{"two threads free the same buffer", free_twice},
		{"the events page is freed by another thread", events_page},
		{"handles that aren't", bad_handles},
		{"buffers larger than the machine", too_large},
		{"the same pages in many buffers", page_in_many},
		{"waits for very many events", waits},
		{"pages that change all the time hinder nobody else", restless},
		{"what can be done to mappings", mappings},
		{"VRAM is cleared between programs", secrets},
	};

	kfd_start();
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
