// SPDX-License-Identifier: MIT
/*
 * guest-many - the same over and over: programs that start and end, queues, buffers, events.
 * Nothing may be left of them: pages, pins, VRAM, and objects in the kernel's caches.
 *
 *   guest-many           as often as fits in a bounded time, for every day
 *   guest-many full      1,000 programs, 10,000 queues
 *
 * How leaks in the kernel are seen: the caches are shrunk, which gives back slabs that wait for
 * reuse, so that /proc/slabinfo counts objects in use (nearly: the slab each CPU allocates from
 * counts as full). What a round leaks shows as one object in one cache more for each round, so the
 * tolerance is half the number of rounds, and rounds are many times the objects of a slab.
 */
#include <dirent.h>

#include "kfd.h"

static bool full;

/* ---- caches ---- */

#define MAX_CACHES 512

struct caches {
	int n;
	struct cache {
		char name[64];
		long objects;
	} v[MAX_CACHES];
};

/* Those that the driver's objects, and what it has others make for it, are in. */
static bool cache_counts(const char *name)
{
	static const char *const some[] = {
		"kmalloc-",   "task_struct",	"mm_struct", "signal_cache", "radix_tree_node",
		"maple_node", "vm_area_struct", "filp",	     "pid"};

	for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		if (!strncmp(name, some[i], strlen(some[i])))
			return true;
	return false;
}

/*
 * Shrinks all caches. Their files stay open: the kernel frees what it had for an open one later, and
 * for so many that may be taken for a leak.
 */
static void caches_shrink(void)
{
	static int files[MAX_CACHES], n;
	char path[512];
	struct dirent *e;
	DIR *dir = n ? NULL : opendir("/sys/kernel/slab");

	while (dir && n < MAX_CACHES && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%.255s/shrink", e->d_name);
		files[n] = e->d_name[0] == '.' ? -1 : open(path, O_WRONLY | O_CLOEXEC);
		n += files[n] >= 0;
	}
	if (dir)
		closedir(dir);
	for (int i = 0; i < n; i++)
		CHECK(write(files[i], "1\n", 2) == 2);
}

static void caches_read(struct caches *c)
{
	char line[512];
	FILE *f;

	/* Ends of processes, RCU, and what the shell before us left. */
	msleep(1500);
	caches_shrink();
	c->n = 0;
	f = fopen("/proc/slabinfo", "r");
	while (f && c->n < MAX_CACHES && fgets(line, sizeof(line), f)) {
		struct cache *cache = &c->v[c->n];

		if (sscanf(line, "%63s %ld", cache->name, &cache->objects) == 2 &&
		    cache_counts(cache->name))
			c->n++;
	}
	if (f)
		fclose(f);
	CHECK(c->n > 10);
}

/* The cache that has grown by more than most objects, and by how many; NULL if none has. */
static const char *caches_grown(const struct caches *before, const struct caches *after, long most,
				long *grown)
{
	for (int i = 0; i < after->n; i++)
		for (int j = 0; j < before->n; j++) {
			*grown = after->v[i].objects - before->v[j].objects;
			if (!strcmp(after->v[i].name, before->v[j].name) && *grown > most)
				return after->v[i].name;
		}
	return NULL;
}

/*
 * No cache has grown by an object each second round. What only waits for the kernel to get round to
 * it is gone when it's looked again; a leak isn't.
 */
static void caches_compare(const struct caches *before, long rounds)
{
	static struct caches after;
	const char *name = NULL;
	long grown = 0;

	for (int i = 0; i < 6; i++) {
		caches_read(&after);
		name = caches_grown(before, &after, rounds / 2, &grown);
		if (!name)
			return;
	}
	fail_at(__FILE__, __LINE__, "%s grew by %ld objects in %ld rounds", name, grown, rounds);
}

/* ---- rounds ---- */

static uint64_t available(void)
{
	struct kfd_ioctl_get_available_memory_args args = {.gpu_id = gpu_id};

	EXPECT(kfd_call(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &args), 0);
	return args.available;
}

/*
 * Does it n times, or until ms are over but at least least times, after a few to warm up. Checks
 * that nothing is left.
 */
static void many(const char *what, void (*once)(void), long n, long least, uint64_t ms)
{
	static struct caches before;
	uint64_t start, vram;
	long i;

	for (i = 0; i < 20; i++)
		once();
	caches_read(&before);
	vram = available();
	start = now_ms();
	for (i = 0; i < n && !test_failures && (full || i < least || now_ms() - start < ms); i++)
		once();
	printf("# %ld %s in %llu ms\n", i, what, (unsigned long long)(now_ms() - start));
	fflush(stdout);
	caches_compare(&before, i);
	CHECK(pinned_pages() == 0);
	/* What ended programs had comes back in the background. */
	for (int k = 0; k < 100 && available() != vram; k++)
		msleep(20);
	CHECK(available() == vram);
}

static void program_part(void)
{
	struct buffer b;
	uint8_t *p;

	kfd_start();
	EXPECT(gpu_alloc(&b, VRAM, reserve(PAGE), PAGE, 0), 0);
	EXPECT(gpu_alloc(&b, GTT, reserve(PAGE), PAGE, 0), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)p, PAGE, (uintptr_t)p), 0);
	EXPECT(gpu_map(b.handle, true), 0);
}

static void program(void)
{
	in_child(program_part);
}

static void programs(void)
{
	many("programs", program, 1000, 200, 10000);
}

static uint8_t *ring;
static struct buffer ring_buffer;

static void queue(void)
{
	struct kfd_ioctl_create_queue_args args = {
		.ring_base_address = (uintptr_t)ring,
		.ring_size = PAGE,
		.write_pointer_address = (uintptr_t)ring + PAGE,
		.read_pointer_address = (uintptr_t)ring + PAGE + 64,
		.gpu_id = gpu_id,
		.queue_type = KFD_IOC_QUEUE_TYPE_COMPUTE_AQL,
		.queue_percentage = 100,
		.queue_priority = 7,
	};
	struct kfd_ioctl_destroy_queue_args destroy;

	EXPECT(kfd_call(kfd, AMDKFD_IOC_CREATE_QUEUE, &args), 0);
	destroy = (struct kfd_ioctl_destroy_queue_args){.queue_id = args.queue_id};
	EXPECT(kfd_call(kfd, AMDKFD_IOC_DESTROY_QUEUE, &destroy), 0);
}

static void queues(void)
{
	ring = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(gpu_alloc(&ring_buffer, USERPTR, (uintptr_t)ring, 2 * PAGE, (uintptr_t)ring), 0);
	EXPECT(gpu_map(ring_buffer.handle, true), 0);
	/* With one buffer pinned all the time, pins are looked at afterwards only. */
	for (int i = 0; i < 20; i++)
		queue();
	uint64_t start = now_ms();
	static struct caches before;
	long i;

	caches_read(&before);
	for (i = 0; i < 10000 && !test_failures && (full || i < 1000 || now_ms() - start < 8000);
	     i++)
		queue();
	printf("# %ld queues in %llu ms\n", i, (unsigned long long)(now_ms() - start));
	caches_compare(&before, i);
	EXPECT(gpu_map(ring_buffer.handle, false), 0);
	EXPECT(gpu_free(ring_buffer.handle), 0);
	munmap(ring, 2 * PAGE);
	CHECK(pinned_pages() == 0);
}

static void buffer_kinds(void)
{
	struct kfd_ioctl_create_event_args event = {.event_type = KFD_IOC_EVENT_SIGNAL};
	struct kfd_ioctl_destroy_event_args destroy;
	static uint8_t user[2 * 4096] __attribute__((aligned(4096)));
	static uint64_t va;
	struct buffer b;
	uint8_t *p;
	long err;

	va = va ? va : reserve(2 * PAGE);
	for (int i = 0; i < 2; i++) {
		EXPECT(gpu_alloc(&b, i ? VRAM : GTT, va, 2 * PAGE, 0), 0);
		p = map_fd(drm, b.offset, 2 * PAGE, MAP_SHARED, &err);
		EXPECT(err, 0);
		p[0] = 1;
		EXPECT(gpu_free(b.handle), 0);
		munmap(p, 2 * PAGE);
	}
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)user, 2 * PAGE, (uintptr_t)user), 0);
	EXPECT(gpu_map(b.handle, true), 0);
	EXPECT(gpu_map(b.handle, false), 0);
	EXPECT(gpu_free(b.handle), 0);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_CREATE_EVENT, &event), 0);
	destroy = (struct kfd_ioctl_destroy_event_args){.event_id = event.event_id};
	EXPECT(kfd_call(kfd, AMDKFD_IOC_DESTROY_EVENT, &destroy), 0);
}

static void buffers(void)
{
	many("rounds of buffers", buffer_kinds, 3000, 400, 6000);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{"programs that start and end", programs},
		{"queues that are made and destroyed", queues},
		{"buffers and events that are made and freed", buffers},
	};

	full = argc > 1 && !strcmp(argv[1], "full");
	kfd_start();
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
