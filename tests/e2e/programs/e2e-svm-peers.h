/* SPDX-License-Identifier: MIT */
/*
 * e2e-svm-peers.h - the parts of e2e-svm (which includes this) for two GPUs of a VM: memory that
 * moves from one's VRAM to the other's and to the system's, and is used by both wherever it is.
 */

/* What the rest of the program works with, for each GPU. */
static struct side {
	hsa_agent_t gpu;
	hsa_amd_memory_pool_t vram_pool;
	hsa_executable_t executable;
	hsa_queue_t *queue;
	hsa_signal_t done;
	void *arguments;
	uint64_t free; /* VRAM, at a part's begin */
} sides[2];

#define NOWHERE 2 /* neither GPU's VRAM, but the system's memory */

static hsa_status_t look_at_gpus(hsa_agent_t agent, void *data)
{
	unsigned *n = data;
	hsa_device_type_t type;

	hsa_agent_get_info(agent, HSA_AGENT_INFO_DEVICE, &type);
	if (type == HSA_DEVICE_TYPE_GPU && *n < 2)
		sides[(*n)++].gpu = agent;
	return HSA_STATUS_SUCCESS;
}

/* From now on the GPU is that one. */
static void use(int k)
{
	gpu = sides[k].gpu;
	vram_pool = sides[k].vram_pool;
	executable = sides[k].executable;
	queue = sides[k].queue;
	done = sides[k].done;
	arguments = sides[k].arguments;
}

static void open_peers(void)
{
	unsigned n = 0;

	check(hsa_iterate_agents(look_at_gpus, &n), "hsa_iterate_agents");
	if (n < 2)
		WRONG("there is one GPU");
	for (int k = 0; k < 2; k++) {
		if (k) {
			gpu = sides[k].gpu;
			vram_pool = find_pool(gpu, HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_COARSE_GRAINED);
			executable = load_code("e2e-svm-kernels");
			queue = open_queue(64);
			done = new_signal(1);
			arguments = allocate(system_pool, PAGE);
		}
		sides[k].vram_pool = vram_pool;
		sides[k].executable = executable;
		sides[k].queue = queue;
		sides[k].done = done;
		sides[k].arguments = arguments;
	}
}

static void peers_begin(void)
{
	for (int k = 0; k < 2; k++) {
		use(k);
		sides[k].free = vram_free_at_first();
	}
}

/* size bytes are in that GPU's VRAM, or nowhere, and none in the other's. */
static void expect_in(int where, uint64_t size, const char *when)
{
	for (int k = 0; k < 2; k++) {
		uint64_t want = k == where ? size : 0, used;

		use(k);
		used = vram_used(sides[k].free, want + VRAM_SLACK);
		if (used < want || used > want + VRAM_SLACK)
			WRONG("%s: %llu bytes of GPU %d's VRAM in use, not %llu", when,
			      (unsigned long long)used, k, (unsigned long long)want);
	}
}

static void send_to(int where, void *p, size_t size)
{
	prefetch(p, size, where == NOWHERE ? cpu : sides[where].gpu);
}

/* Words that came by fill() and by mix()es, whoever made them: each was multiplied by times, and
 * more was added. */
struct words {
	uint32_t *p, n, seed, times, more;
};

static void words_mix(struct words *w, int side, uint32_t k)
{
	use(side);
	mix(w->p, w->n, k);
	w->times *= 3;
	w->more = w->more * 3 + k;
}

/* As the CPU sees them, and the GPUs. */
static void words_compare(const struct words *w)
{
	uint32_t s = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		uint32_t want = (i + w->seed) * 2654435761u * w->times + w->more;

		if (w->p[i] != want)
			WRONG("element %u of %u: %#x, not %#x", i, w->n, w->p[i], want);
		s += want;
	}
	for (int k = 0; k < 2; k++) {
		use(k);
		MUST(sum(w->p, w->n) == s);
	}
}

static struct words words_new(uint32_t bytes, uint32_t seed)
{
	struct words w = {map(bytes), bytes / 4, seed, 1, 0};

	fill(w.p, w.n, seed);
	return w;
}

/* Nobody writes it but GPUs: what comes is what left. */
static void peers_moves(void)
{
	static const int way[] = {0, 1, 0, NOWHERE, 1, 1, 0, 1, NOWHERE};
	struct words w;
	char when[16];

	peers_begin();
	w = words_new(3 * MIB + 5 * PAGE, 70);
	for (unsigned i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
		snprintf(when, sizeof(when), "step %u", i);
		send_to(way[i], w.p, w.n * 4);
		expect_in(way[i], w.n * 4, when);
		if (i % 3 == 0)
			words_compare(&w);
		words_mix(&w, i % 2, 71 + i);
		words_mix(&w, !(i % 2), 81 + i);
		words_compare(&w);
		expect_in(way[i], w.n * 4, "used by both");
	}
	/* A part of it here, a part there, and together again. */
	for (int k = 0; k < 3; k++)
		send_to(k, w.p + k * MIB / 4, MIB);
	words_mix(&w, 1, 90);
	words_compare(&w);
	send_to(1, w.p, w.n * 4);
	expect_in(1, w.n * 4, "together");
	words_compare(&w);
	munmap(w.p, w.n * 4);
	expect_in(NOWHERE, 0, "at the end");
	/* What nobody has touched comes into being where it is sent first. */
	w = (struct words){map(MIB), MIB / 4, 0, 0, 0};
	send_to(1, w.p, MIB);
	expect_in(1, MIB, "untouched");
	send_to(0, w.p, MIB);
	expect_in(0, MIB, "untouched, moved");
	words_compare(&w);
	words_mix(&w, 1, 91);
	words_compare(&w);
	munmap(w.p, MIB);
	expect_in(NOWHERE, 0, "at the end");
}

/* It goes to the GPU that is preferred when a GPU needs it, whichever that is. */
static void peers_preferred(void)
{
	static const int way[] = {0, 1, NOWHERE, 1, 0, NOWHERE};
	struct words w;

	peers_begin();
	w = words_new(3 * MIB, 92);
	for (unsigned i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
		hsa_agent_t to = way[i] == NOWHERE ? cpu : sides[way[i]].gpu;
		hsa_amd_svm_attribute_pair_t set = {HSA_AMD_SVM_ATTRIB_PREFERRED_LOCATION,
						    to.handle};

		check(hsa_amd_svm_attributes_set(w.p, w.n * 4, &set, 1),
		      "hsa_amd_svm_attributes_set");
		MUST(location(w.p, w.n * 4, HSA_AMD_SVM_ATTRIB_PREFERRED_LOCATION).value ==
		     to.handle);
		words_mix(&w, i % 3 == 2, 93 + i);
		expect_in(way[i], w.n * 4, "preferred");
		words_compare(&w);
		words_mix(&w, i % 3 != 2, 94 + i);
		words_compare(&w);
		expect_in(way[i], w.n * 4, "used by the other");
	}
	munmap(w.p, w.n * 4);
}

static void peers_fork(void)
{
	peers_begin();
	for (int k = 0; k < 2; k++) {
		use(k);
		fork_apart(&sides[k].gpu, &sides[!k].gpu);
		fork_apart(&sides[!k].gpu, &sides[k].gpu);
		fork_apart(&sides[!k].gpu, &cpu);
	}
	expect_in(NOWHERE, 0, "at the end");
}

static void *send_thread(void *arg)
{
	for (unsigned i = 0; !__atomic_load_n(&stop_moving, __ATOMIC_RELAXED); i++)
		send_to((int)(i % 3), moved, moved_bytes);
	return NULL;
}

/* Both GPUs and the CPU count in the same pages, which are always on their way. */
static void peers_writers(void)
{
	peers_begin();
	writers(send_thread, 3, 1, 2, use);
	expect_in(NOWHERE, 0, "at the end");
}

/* One GPU has room for a part only: the rest stays where it is, with the other. What a buffer
 * drives away goes to the system's memory. */
static void peers_full(void)
{
	uint64_t left = 6 * MIB, size = left + 2 * MIB, there, here;
	void *most, *q;
	struct words w;

	peers_begin();
	w = words_new((uint32_t)size, 99);
	use(1);
	check(hsa_amd_memory_pool_allocate(vram_pool, sides[1].free - left, 0, &most),
	      "most of the VRAM");
	send_to(0, w.p, size);
	send_to(1, w.p, size);
	MUST((there = vram_free()) < MIB);
	use(0);
	here = vram_used(sides[0].free,
			 size - left + 2 * MIB); /* VRAM goes back in pieces of up to 2 MiB */
	if (here < size - left || here > size - left + 2 * MIB)
		WRONG("%llu bytes stay on the one GPU while %llu are free on the other",
		      (unsigned long long)here, (unsigned long long)there);
	words_compare(&w);
	words_mix(&w, 1, 100);
	use(1);
	check(hsa_amd_memory_pool_allocate(vram_pool, left / 2, 0, &q), "a buffer where pages are");
	words_compare(&w);
	words_mix(&w, 0, 101);
	words_compare(&w);
	use(1);
	check(hsa_amd_memory_pool_free(q), "hsa_amd_memory_pool_free");
	check(hsa_amd_memory_pool_free(most), "hsa_amd_memory_pool_free");
	munmap(w.p, size);
	expect_in(NOWHERE, 0, "at the end");
}

/* Tools of the GPU that it goes to are told where it came from. */
static void peers_events(void)
{
	uint64_t mask = KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_MIGRATE_START);
	uint32_t ids[2] = {kfd_gpu_id(0), kfd_gpu_id(1)};
	static const int way[] = {0, 1, NOWHERE};
	uint32_t n = 3 * PAGE / 4, *p = map(n * 4), from = 0;
	int kfd = open("/dev/kfd", O_RDWR), fds[2];
	char line[256], want[96];

	MUST(kfd >= 0);
	for (int k = 0; k < 2; k++) {
		struct kfd_ioctl_smi_events_args args = {.gpuid = ids[k]};

		MUST(!ioctl(kfd, AMDKFD_IOC_SMI_EVENTS, &args));
		fds[k] = (int)args.anon_fd;
		MUST(write(fds[k], &mask, 8) == 8);
	}
	for (unsigned i = 0; i < 3; i++) {
		uint32_t to = way[i] == NOWHERE ? 0 : ids[way[i]];
		int told = way[i] == NOWHERE
				   ? 1
				   : way[i]; /* whose tools: of where it goes, or came from */
		ssize_t got;

		send_to(way[i], p, n * 4);
		got = read(fds[told], line, sizeof(line) - 1);
		MUST(got > 0);
		line[got] = 0;
		snprintf(want, sizeof(want), " -%d @%lx(3) %x->%x ", getpid(), (uintptr_t)p / PAGE,
			 from, to);
		if (!strstr(line, want) || strchr(line, '\n') != line + got - 1)
			WRONG("%s instead of one line with %s", line, want);
		MUST(read(fds[!told], line, sizeof(line)) < 0 && errno == EAGAIN);
		from = to;
	}
	close(fds[0]), close(fds[1]), close(kfd);
	munmap(p, n * 4);
}
