/* SPDX-License-Identifier: MIT */
/*
 * e2e-svm-vram.h - the parts of e2e-svm (which includes this) for memory that moves to VRAM and back. It does so in guests: on the host a program's memory
 * stays where it is.
 */

static uint64_t vram_free(void)
{
	uint64_t bytes = 0;

	check(hsa_agent_get_info(gpu, (hsa_agent_info_t)HSA_AMD_AGENT_INFO_MEMORY_AVAIL, &bytes), "MEMORY_AVAIL");
	return bytes;
}

/* When all that was given back before is counted. */
static uint64_t vram_free_at_first(void)
{
	uint64_t bytes = vram_free(), before;

	do {
		before = bytes;
		usleep(200000);
		bytes = vram_free();
	} while (bytes != before);
	return bytes;
}

/* VRAM that is used now beyond what was free at first; given back is it a moment after its last page. */
static uint64_t vram_used(uint64_t at_first, uint64_t at_most)
{
	double end = now() + 20;
	uint64_t used;

	while ((used = at_first - vram_free()) > at_most && now() < end)
		usleep(10000);
	return used;
}

#define VRAM_SLACK (64u * 1024)
#define EXPECT_VRAM(at_first, size)                                                                                                                  \
	do {                                                                                                                                         \
		uint64_t used_ = vram_used(at_first, (size) + VRAM_SLACK);                                                                           \
		if (used_ < (size) || used_ > (size) + VRAM_SLACK)                                                                                   \
			WRONG("line %d: %llu bytes of VRAM in use, not %llu", __LINE__, (unsigned long long)used_, (unsigned long long)(size));          \
	} while (0)

/* Memory that the CPU has written, and such that nobody has touched. */
static void vram_there_and_back(void)
{
	uint64_t at_first = vram_free_at_first();
	uint32_t n = 5 * MIB / 4 + 3 * PAGE / 4, size = n * 4, *p = map(size + MIB), *q = map(size);

	fill(p, n, 40);
	prefetch(p, size, gpu);
	EXPECT_VRAM(at_first, size);
	for (uint32_t i = 0; i < n; i++)
		MUST(p[i] == (i + 40) * 2654435761u);
	mix(p, n, 41);
	expect_mixed(p, n, 40, 41);
	fill_mix_compare(p, n + MIB / 8, 42); /* partly there, partly not */
	EXPECT_VRAM(at_first, size);
	prefetch(p, size, cpu);
	EXPECT_VRAM(at_first, 0);
	expect_mixed(p, n, 42, 43);
	fill_mix_compare(p, n, 44);

	prefetch(q, size, gpu);
	EXPECT_VRAM(at_first, size);
	MUST(sum(q, n) == 0);
	fill_mix_compare(q, n, 45);
	/* Used again by others: nothing of it is to be seen. */
	munmap(q, size);
	prefetch(p, size / 2 & -PAGE, gpu);
	q = map(size);
	prefetch(q, size, gpu);
	for (uint32_t i = 0; i < n; i++)
		MUST(!q[i]);
	expect_mixed(p, n, 44, 45);
	munmap(p, size + MIB);
	munmap(q, size);
	EXPECT_VRAM(at_first, 0);
}

static hsa_amd_svm_attribute_pair_t location(void *p, size_t size, uint64_t attribute)
{
	hsa_amd_svm_attribute_pair_t get = {attribute, 0};

	check(hsa_amd_svm_attributes_get(p, size, &get, 1), "hsa_amd_svm_attributes_get");
	return get;
}

/* What is preferred there moves when the GPU needs it; what isn't any more comes back. */
static void vram_preferred(void)
{
	uint64_t at_first = vram_free_at_first();
	uint32_t n = 3 * MIB / 4, *p = map(n * 4);
	hsa_amd_svm_attribute_pair_t set = {HSA_AMD_SVM_ATTRIB_PREFERRED_LOCATION, gpu.handle};

	fill(p, n, 46);
	check(hsa_amd_svm_attributes_set(p, n * 4, &set, 1), "hsa_amd_svm_attributes_set");
	MUST(location(p, n * 4, HSA_AMD_SVM_ATTRIB_PREFERRED_LOCATION).value == gpu.handle);
	EXPECT_VRAM(at_first, 0);
	mix(p, n, 47);
	EXPECT_VRAM(at_first, n * 4);
	expect_mixed(p, n, 46, 47);
	set.value = cpu.handle;
	check(hsa_amd_svm_attributes_set(p, n * 4, &set, 1), "hsa_amd_svm_attributes_set");
	MUST(location(p, n * 4, HSA_AMD_SVM_ATTRIB_PREFERRED_LOCATION).value == cpu.handle);
	EXPECT_VRAM(at_first, 0);
	expect_mixed(p, n, 46, 47);
	prefetch(p, n * 4, gpu);
	MUST(location(p, n * 4, HSA_AMD_SVM_ATTRIB_PREFETCH_LOCATION).value == gpu.handle);
	prefetch(p, n * 4, cpu);
	MUST(location(p, n * 4, HSA_AMD_SVM_ATTRIB_PREFETCH_LOCATION).value == cpu.handle);
	fill_mix_compare(p, n, 48);
	munmap(p, n * 4);
}

/* Parts of it are unmapped, moved, protected and dropped. */
static void vram_in_parts(void)
{
	uint64_t at_first = vram_free_at_first();
	uint32_t n = 2 * MIB / 4, size = n * 4, *p = map(size), *q = map(size), s = 0;

	fill(p, n, 49);
	prefetch(p, size, gpu);
	EXPECT_VRAM(at_first, size);
	MUST(mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	EXPECT_VRAM(at_first, size);
	mix(q, n, 50);
	expect_mixed(q, n, 49, 50);
	MUST(!mprotect(q, size, PROT_READ));
	for (uint32_t i = 0; i < n; i++)
		s += q[i];
	MUST(sum(q, n) == s);
	MUST(!mprotect(q, size / 2, PROT_NONE) && !mprotect(q, size, PROT_READ | PROT_WRITE));
	expect_mixed(q, n, 49, 50);
	/* A page in the middle goes, and is another one then. */
	MUST(!madvise(q + n / 2, PAGE, MADV_DONTNEED));
	MUST(sum(q + n / 2, PAGE / 4) == 0);
	fill_mix_compare(q, n, 51);
	MUST(!munmap(q, size / 2));
	fill_mix_compare(q + n / 2, n / 2, 52);
	prefetch(q + n / 2, size / 2, cpu);
	EXPECT_VRAM(at_first, 0);
	expect_mixed(q + n / 2, n / 2, 52, 53);
	munmap(q + n / 2, size / 2);
}

/* Wherever the other side of a fork moves it meanwhile. */
static void vram_forks(void)
{
	uint64_t at_first = vram_free_at_first();

	fork_apart(&gpu, NULL);
	fork_apart(&gpu, &cpu);
	fork_apart(&gpu, &gpu);
	EXPECT_VRAM(at_first, 0);
}

static uint32_t *moved, moved_bytes;
static int stop_moving;

static void *move_thread(void *arg)
{
	for (unsigned i = 0; !__atomic_load_n(&stop_moving, __ATOMIC_RELAXED); i++)
		prefetch(moved, moved_bytes, i % 2 ? cpu : gpu);
	return NULL;
}

static _Atomic uint32_t *counter;
static void *count_thread(void *arg);

/* The CPU's threads and the GPUs (which one is meant says use(); NULL: there is one) write the same pages at the same time, while the mover has these move. */
static void writers(void *(*mover_thread)(void *), uint32_t mib, unsigned cpus, int gpus, void (*use)(int k))
{
	pthread_t mover, threads[2];

	moved_bytes = mib * MIB;
	moved = map(moved_bytes);
	stop_moving = 0;
	MUST(!pthread_create(&mover, NULL, mover_thread, NULL));
	for (uint32_t round = 0; round < mib; round++) {
		const uint32_t mine = 20000, all = 9 + cpus * mine + (uint32_t)gpus * 100 * 1024;
		struct arguments a = {.a = 100};

		counter = (_Atomic uint32_t *)(moved + MIB / 8 * (round + 1) + 5);
		*counter = 9;
		a.p = counter;
		for (int k = 0; k < gpus; k++) {
			if (use)
				use(k);
			start_kernel("count", &a, sizeof(a), 1024);
		}
		for (unsigned i = 0; i < cpus; i++)
			MUST(!pthread_create(&threads[i], NULL, count_thread, (void *)(uintptr_t)mine));
		for (unsigned i = 0; i < cpus; i++)
			pthread_join(threads[i], NULL);
		for (int k = 0; k < gpus; k++) {
			if (use)
				use(k);
			finish();
		}
		if (*counter != all)
			WRONG("round %u: %u, not %u", round, *counter, all);
		if (use)
			use((int)round % gpus);
		fill_mix_compare(moved, moved_bytes / 4, 57);
	}
	__atomic_store_n(&stop_moving, 1, __ATOMIC_RELAXED);
	pthread_join(mover, NULL);
	munmap(moved, moved_bytes);
}

static void vram_writers(void)
{
	writers(move_thread, 4, 2, 1, NULL);
}

/* More than there is VRAM: the rest stays where it is. A buffer that needs VRAM has pages make room. */
static void vram_full(void)
{
	uint64_t at_first = vram_free_at_first(), left = 12 * MIB, size = left + 4 * MIB;
	uint32_t n = (uint32_t)(size / 4), *p = map(size);
	void *most, *q;

	check(hsa_amd_memory_pool_allocate(vram_pool, at_first - left, 0, &most), "most of the VRAM");
	fill(p, n, 58);
	prefetch(p, size, gpu);
	MUST(vram_free() < MIB);
	mix(p, n, 59);
	expect_mixed(p, n, 58, 59);
	check(hsa_amd_memory_pool_allocate(vram_pool, left / 2, 0, &q), "a buffer where pages are");
	expect_mixed(p, n, 58, 59);
	fill_mix_compare(p, n, 60);
	check(hsa_amd_memory_pool_free(q), "hsa_amd_memory_pool_free");
	check(hsa_amd_memory_pool_free(most), "hsa_amd_memory_pool_free");
	munmap(p, size);
	EXPECT_VRAM(at_first, 0);
}

/* A page that the kernel holds is passed by. */
static void vram_held(void)
{
	uint64_t at_first = vram_free_at_first();
	uint32_t n = MIB / 4, *p = map(n * 4), word;
	struct iovec v = {p + 2 * PAGE / 4, PAGE};
	int ends[2];

	MUST(!pipe(ends));
	fill(p, n, 61);
	prefetch(p, n * 4, gpu);
	MUST(vmsplice(ends[1], &v, 1, 0) == PAGE);
	prefetch(p, n * 4, cpu);
	mix(p, n, 62);
	expect_mixed(p, n, 61, 62);
	/* The pipe has the page itself. */
	MUST(read(ends[0], &word, 4) == 4 && word == p[2 * PAGE / 4]);
	close(ends[0]), close(ends[1]);
	prefetch(p, n * 4, cpu);
	EXPECT_VRAM(at_first, 0);
	expect_mixed(p, n, 61, 62);
	munmap(p, n * 4);
}

/* The gpu_id of the k-th GPU. */
static unsigned kfd_gpu_id(int k)
{
	char path[128], line[32];

	for (int node = 0; node < 8; node++) {
		snprintf(path, sizeof(path), "/sys/class/kfd/kfd/topology/nodes/%d/gpu_id", node);
		FILE *f = fopen(path, "r");
		unsigned id = 0;

		if (f && fgets(line, sizeof(line), f))
			id = (unsigned)atoi(line);
		if (f)
			fclose(f);
		if (id && !k--)
			return id;
	}
	return 0;
}

/* The kernel tells tools when memory moves. */
static void vram_events(void)
{
	struct kfd_ioctl_smi_events_args args = {.gpuid = kfd_gpu_id(0)};
	uint64_t mask = KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_MIGRATE_START) | KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_MIGRATE_END);
	uint32_t n = 3 * PAGE / 4, *p = map(n * 4);
	int fd = open("/dev/kfd", O_RDWR);
	char lines[4096], want[4][96];
	ssize_t got;

	MUST(fd >= 0 && !ioctl(fd, AMDKFD_IOC_SMI_EVENTS, &args));
	MUST(write((int)args.anon_fd, &mask, 8) == 8);
	prefetch(p, n * 4, gpu);
	prefetch(p, n * 4, cpu);
	prefetch(p, n * 4, cpu); /* moves nothing */
	got = read((int)args.anon_fd, lines, sizeof(lines) - 1);
	MUST(got > 0);
	lines[got] = 0;
	snprintf(want[0], sizeof(want[0]), " -%d @%lx(3) 0->%x %x:ffffffff 0\n", getpid(), (uintptr_t)p / PAGE, args.gpuid, args.gpuid);
	snprintf(want[1], sizeof(want[1]), " -%d @%lx(3) 0->%x 0\n", getpid(), (uintptr_t)p / PAGE, args.gpuid);
	snprintf(want[2], sizeof(want[2]), " -%d @%lx(3) %x->0 0:ffffffff 0\n", getpid(), (uintptr_t)p / PAGE, args.gpuid);
	snprintf(want[3], sizeof(want[3]), " -%d @%lx(3) %x->0 0\n", getpid(), (uintptr_t)p / PAGE, args.gpuid);
	for (int i = 0, at = 0; i < 4; i++) {
		int number;
		int skip = 0;

		if (sscanf(lines + at, "%x %*d%n", (unsigned *)&number, &skip) != 1 || number != (i % 2 ? KFD_SMI_EVENT_MIGRATE_END : KFD_SMI_EVENT_MIGRATE_START) ||
		    strncmp(lines + at + skip, want[i], strlen(want[i])))
			WRONG("event %d: %s... instead of %s", i, lines + at, want[i]);
		at += skip + (int)strlen(want[i]);
		MUST(i < 3 || at == got);
	}
	close((int)args.anon_fd);
	close(fd);
	munmap(p, n * 4);
}

/* The child looks at its memory when the parent, whose GPU process it was, is no more, and FILE.go is there. */
static int orphan(const char *file)
{
	uint32_t n = 3 * MIB / 4, *p = map(n * 4);
	char name[256];
	pid_t parent = getpid();
	FILE *f;

	part = "orphan";
	fill(p, n, 63);
	prefetch(p, n * 4, gpu);
	mix(p, n, 64);
	if (fork())
		_exit(0);
	while (getppid() == parent)
		usleep(1000);
	snprintf(name, sizeof(name), "%s.go", file);
	while (access(name, F_OK))
		usleep(10000);
	expect_mixed(p, n, 63, 64);
	fill(p, n, 65);
	for (uint32_t i = 0; i < n; i++)
		MUST(p[i] == (i + 65) * 2654435761u);
	snprintf(name, sizeof(name), "%s.tmp", file);
	f = fopen(name, "w");
	MUST(f && fputs("verified\n", f) >= 0 && !fclose(f) && !rename(name, file));
	_exit(0);
}

static void hold(double seconds, uint32_t mib)
{
	uint32_t n = mib * MIB / 4, *p = map(n * 4);

	part = "hold";
	fill(p, n, 66);
	prefetch(p, n * 4, gpu);
	printf("holding\n");
	fflush(stdout);
	usleep((useconds_t)(seconds * 1e6));
	for (uint32_t i = 0; i < n; i++)
		MUST(p[i] == (i + 66) * 2654435761u);
	mix(p, n, 67);
	expect_mixed(p, n, 66, 67);
}
