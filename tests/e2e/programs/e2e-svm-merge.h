/* SPDX-License-Identifier: MIT */
/*
 * e2e-svm-merge.h - the parts of e2e-svm (which includes this) for pages that the kernel merges
 * (KSM) and huge pages that it splits, under the GPU's eyes. They are for the superuser of a guest:
 * what KSM does is set for the whole system.
 */
#include <sys/mount.h>

#define KSM	"/sys/kernel/mm/ksm/"
#define DEBUGFS "/sys/kernel/debug"

static void put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		WRONG("%s can't be written to %s: %s", text, file, strerror(errno));
	close(fd);
}

/* The frame of the page, 0: there is none. */
static uint64_t frame(const void *p)
{
	static int fd = -1;
	uint64_t entry = 0;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	MUST(pread(fd, &entry, 8, (off_t)((uintptr_t)p / PAGE * 8)) == 8);
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

/* How many pages of p are those of q. */
static unsigned same_frames(const uint32_t *p, const uint32_t *q, uint32_t n)
{
	unsigned same = 0;

	for (uint32_t i = 0; i < n; i += PAGE / 4) {
		uint64_t f = frame(p + i);

		same += f && f == frame(q + i);
	}
	return same;
}

static void ksm_start(void)
{
	put(KSM "pages_to_scan", "200");
	put(KSM "sleep_millisecs", "10");
	put(KSM "smart_scan", "0"); /* nor pass by pages that changed lately */
	put(KSM "run", "1");
}

static void wait_merged(const uint32_t *p, const uint32_t *q, uint32_t n)
{
	double end = now() + LIMIT;

	while (same_frames(p, q, n) < n * 4 / PAGE) {
		if (now() > end)
			WRONG("%u of %u pages were merged", same_frames(p, q, n), n * 4 / PAGE);
		usleep(20000);
	}
}

static uint32_t cpu_sum(const uint32_t *p, uint32_t n)
{
	uint32_t s = 0;

	for (uint32_t i = 0; i < n; i++)
		s += p[i];
	return s;
}

/* Pages that the GPU has written, and may write, become one. Whoever writes to either then has its
 * own again, and each side sees that. */
static void merged_apart(void)
{
	uint32_t n = 64 * PAGE / 4, *p = map(n * 4), *q = map(n * 4), old;

	MUST(!madvise(p, n * 4, MADV_MERGEABLE) && !madvise(q, n * 4, MADV_MERGEABLE));
	for (uint32_t round = 0; round < 3; round++) {
		uint32_t *written = round % 2 ? q : p, *kept = round % 2 ? p : q;

		fill(p, n, 100 + round);
		fill(q, n, 100 + round);
		mix(p, n, 5);
		mix(q, n, 5);
		ksm_start();
		wait_merged(p, q, n);
		put(KSM "run", "0");
		old = cpu_sum(p, n);
		if (round < 2) { /* the GPU reads it first, or its first access is the write */
			MUST(sum(p, n) == old && sum(q, n) == old);
			MUST(same_frames(p, q, n) == n * 4 / PAGE);
		}
		/* One of them by the CPU: the GPU, which has seen the page that it was, sees the
		 * other. */
		written[7] += 12;
		MUST(sum(written, n) == old + 12 && sum(kept, n) == old);
		written[7] -= 12;
		mix(written, n, 6);
		MUST(!same_frames(p, q, n));
		for (uint32_t i = 0; i < n; i++)
			MUST(written[i] == ((i + 100 + round) * 2654435761u * 3u + 5) * 3u + 6);
		expect_mixed(kept, n, 100 + round, 5);
		MUST(sum(kept, n) == old);
		/* All are their own again, whoever had them. */
		put(KSM "run", "2");
		expect_mixed(kept, n, 100 + round, 5);
		fill_mix_compare(kept, n, 7);
		MUST(written[n - 1] == ((n - 1 + 100 + round) * 2654435761u * 3u + 5) * 3u + 6);
	}
	put(KSM "run", "0");
	munmap(p, n * 4);
	munmap(q, n * 4);
}

/* All pages have the same in them, a part of a huge page at first, while KSM looks at them all the
 * time: a kernel begins to write when it has merged some. */
static void merged_busy(void)
{
	char *base = map(4 * MIB);
	uint32_t n = 96 * PAGE / 4,
		 *p = (uint32_t *)(((uintptr_t)base + 2 * MIB - 1) & -(uintptr_t)(2 * MIB)),
		 total = 1;

	MUST(!madvise(p, 2 * MIB, MADV_HUGEPAGE) && !madvise(p, n * 4, MADV_MERGEABLE));
	mix(p, n, 1);
	ksm_start();
	for (uint32_t k = 0; k < 5; k++) {
		struct arguments a = {.p = p, .a = n, .b = WIDTH, .c = 1 + k % 3};
		uint32_t at = k * 11 * PAGE / 4;

		wait_merged(p + at, p + at + PAGE / 4, PAGE / 4);
		start_kernel("rounds", &a, sizeof(a), WIDTH);
		finish();
		total += a.c;
		for (uint32_t i = 0; i < n; i++)
			if (p[i] != total)
				WRONG("kernel %u: element %u: %u, not %u", k, i, p[i], total);
	}
	put(KSM "run", "2");
	put(KSM "run", "0");
	MUST(sum(p, n) == total * n);
	munmap(base, 4 * MIB);
}

/* Bytes of huge pages in the mapping that p is in. */
static size_t huge_bytes(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to, kib;
	char line[512];
	bool in = false;
	size_t huge = 0;

	MUST(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			in = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (in && sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			huge = kib * 1024;
	}
	fclose(f);
	return huge;
}

/* Huge pages become small ones while a kernel writes all of them. False: there was no huge page. */
static bool split_once(uint32_t seed)
{
	char *base = map(4 * MIB), text[96];
	uint32_t n = 2 * MIB / 4,
		 *p = (uint32_t *)(((uintptr_t)base + 2 * MIB - 1) & -(uintptr_t)(2 * MIB));
	uint32_t times = seed % 2 ? 3 : 1; /* known to the GPU before, or not */
	struct arguments a = {.p = p, .a = n, .b = WIDTH, .c = 20};
	bool huge;

	MUST(!madvise(p, n * 4, MADV_HUGEPAGE));
	fill(p, n, seed);
	huge = huge_bytes(p);
	if (times > 1)
		mix(p, n, 0);
	start_kernel("rounds", &a, sizeof(a), WIDTH);
	usleep(seed * 1000);
	snprintf(text, sizeof(text), "%d,0x%lx,0x%lx", getpid(), (uintptr_t)p,
		 (uintptr_t)p + n * 4);
	/* What somebody uses at that moment stays. */
	for (double end = now() + LIMIT; huge_bytes(p) && now() < end; usleep(1000))
		put(DEBUGFS "/split_huge_pages", text);
	MUST(!huge_bytes(p));
	finish();
	for (uint32_t i = 0; i < n; i++)
		if (p[i] != (i + seed) * 2654435761u * times + a.c)
			WRONG("kernel %u: element %u: %#x, not %#x", seed, i, p[i],
			      (i + seed) * 2654435761u * times + a.c);
	munmap(base, 4 * MIB);
	return huge;
}

static void split(void)
{
	uint32_t huge = 0;

	if (access(DEBUGFS "/split_huge_pages", F_OK))
		MUST(!mount("debugfs", DEBUGFS, "debugfs", 0, NULL));
	for (uint32_t seed = 0; seed < 6; seed++)
		huge += split_once(seed);
	if (!huge)
		WRONG("there were no huge pages");
}
