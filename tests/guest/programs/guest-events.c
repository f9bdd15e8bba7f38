// SPDX-License-Identifier: MIT
/*
 * guest-events - KFD events by raw ioctls: what amdkfd does, with threads that wait and with events
 * that go away meanwhile. No GPU work.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/time.h>

#include "kfd.h"

static long create(uint32_t type, bool auto_reset, uint64_t page,
		   struct kfd_ioctl_create_event_args *out)
{
	struct kfd_ioctl_create_event_args args = {
		.event_type = type, .auto_reset = auto_reset, .event_page_offset = page};
	long err = kfd_call(kfd, AMDKFD_IOC_CREATE_EVENT, &args);

	if (out)
		*out = args;
	return err;
}

static uint32_t signal_event(bool auto_reset)
{
	struct kfd_ioctl_create_event_args args = {0};

	EXPECT(create(KFD_IOC_EVENT_SIGNAL, auto_reset, 0, &args), 0);
	return args.event_id;
}

static long destroy(uint32_t id)
{
	struct kfd_ioctl_destroy_event_args args = {.event_id = id};

	return kfd_call(kfd, AMDKFD_IOC_DESTROY_EVENT, &args);
}

static long set(uint32_t id)
{
	struct kfd_ioctl_set_event_args args = {.event_id = id};

	return kfd_call(kfd, AMDKFD_IOC_SET_EVENT, &args);
}

static long reset(uint32_t id)
{
	struct kfd_ioctl_reset_event_args args = {.event_id = id};

	return kfd_call(kfd, AMDKFD_IOC_RESET_EVENT, &args);
}

/* 0 complete, 1 time-out, or -errno. */
static long wait_data(struct kfd_event_data *data, uint32_t n, bool all, uint32_t ms)
{
	struct kfd_ioctl_wait_events_args args = {
		.events_ptr = (uintptr_t)data, .num_events = n, .wait_for_all = all, .timeout = ms};
	long err = kfd_call(kfd, AMDKFD_IOC_WAIT_EVENTS, &args);

	if (err)
		return err;
	return args.wait_result == KFD_IOC_WAIT_RESULT_COMPLETE	 ? 0
	       : args.wait_result == KFD_IOC_WAIT_RESULT_TIMEOUT ? 1
								 : -1000;
}

static long wait_one(uint32_t id, uint32_t ms)
{
	struct kfd_event_data data = {.event_id = id};

	return wait_data(&data, 1, false, ms);
}

static void bad_input(void)
{
	struct kfd_event_data data[2] = {{.event_id = 4000}, {.event_id = 0}};
	struct kfd_ioctl_wait_events_args args = {.events_ptr = 8, .num_events = 1};
	uint32_t id = signal_event(false);
	long err;

	EXPECT(destroy(0), -EINVAL);
	EXPECT(destroy(4000), -EINVAL);
	EXPECT(destroy(0xffffffff), -EINVAL);
	EXPECT(set(4000), -EINVAL);
	EXPECT(reset(0x80000000), -EINVAL);
	EXPECT(wait_data(data, 1, false, 0), -EINVAL);
	data[0].event_id = id;
	EXPECT(wait_data(data, 2, false, 0), -EINVAL);
	EXPECT(kfd_call(kfd, AMDKFD_IOC_WAIT_EVENTS, &args), -EFAULT);
	args.num_events = 0xffffffff;
	args.events_ptr = (uintptr_t)data;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_WAIT_EVENTS, &args), -ENOMEM);
	EXPECT(wait_data(NULL, 0, false, 0), 0);
	EXPECT(create(KFD_IOC_EVENT_SIGNAL, false, 0x1234567, NULL), -EINVAL);
	EXPECT(destroy(id), 0);
	EXPECT(destroy(id), -EINVAL);
	map_fd(kfd, 2ull << 62, 32768, MAP_SHARED, &err);
	EXPECT(err, 0);
}

static void levels(void)
{
	uint32_t id = signal_event(false), once = signal_event(true);

	EXPECT(wait_one(id, 0), 1);
	EXPECT(wait_one(id, 20), 1);
	EXPECT(set(id), 0);
	EXPECT(wait_one(id, 0), 0);
	EXPECT(wait_one(id, 0xffffffff), 0);
	EXPECT(reset(id), 0);
	EXPECT(wait_one(id, 0), 1);

	EXPECT(set(once), 0);
	EXPECT(set(once), 0);
	EXPECT(wait_one(once, 1000), 0);
	EXPECT(wait_one(once, 0), 1);
	EXPECT(destroy(id), 0);
	EXPECT(destroy(once), 0);
}

static void all_and_any(void)
{
	uint32_t a = signal_event(false), b = signal_event(false);
	struct kfd_event_data data[3] = {{.event_id = a}, {.event_id = b}, {.event_id = a}};

	EXPECT(wait_data(data, 2, false, 0), 1);
	EXPECT(set(b), 0);
	EXPECT(wait_data(data, 2, false, 0), 0);
	EXPECT(wait_data(data, 2, true, 10), 1);
	EXPECT(set(a), 0);
	EXPECT(wait_data(data, 3, true, 10), 0);
	EXPECT(destroy(a), 0);
	EXPECT(destroy(b), 0);
}

static void ages(void)
{
	uint32_t id = signal_event(true);
	struct kfd_event_data data = {.event_id = id};

	/* Age 1 is that of an event never set: wait. */
	data.signal_event_data.last_event_age = 1;
	EXPECT(wait_data(&data, 1, false, 10), 1);
	CHECK(data.signal_event_data.last_event_age == 1);
	EXPECT(set(id), 0);
	EXPECT(set(id), 0);
	EXPECT(wait_data(&data, 1, false, 10), 0);
	CHECK(data.signal_event_data.last_event_age == 3);
	/* Nothing new since. */
	EXPECT(wait_data(&data, 1, false, 10), 1);
	/* Set and used up by somebody else: the age tells. */
	EXPECT(set(id), 0);
	EXPECT(wait_one(id, 0), 0);
	EXPECT(wait_data(&data, 1, false, 10), 0);
	CHECK(data.signal_event_data.last_event_age == 4);
	EXPECT(destroy(id), 0);
}

struct waiting {
	pthread_t thread;
	uint32_t id, ms;
	_Atomic pid_t tid; /* 0: not begun */
	long result;
	uint64_t took;
};

static void *wait_thread(void *arg)
{
	struct waiting *w = arg;
	uint64_t start = now_ms();

	w->tid = (pid_t)syscall(SYS_gettid);
	w->result = wait_one(w->id, w->ms);
	w->took = now_ms() - start;
	return NULL;
}

static void start_waiting(struct waiting *w, uint32_t id, uint32_t ms)
{
	*w = (struct waiting){.id = id, .ms = ms};
	pthread_create(&w->thread, NULL, wait_thread, w);
}

/* Returns when all of them sleep, and a little later. */
static void all_wait(struct waiting *w, int n)
{
	for (int i = 0; i < n; i++)
		CHECK(wait_asleep(&w[i].tid));
	msleep(100);
}

static void threads(void)
{
	uint32_t level = signal_event(false), once = signal_event(true);
	struct waiting w[16];
	int woken = 0;

	for (int i = 0; i < 16; i++)
		start_waiting(&w[i], level, 60000);
	all_wait(w, 16);
	EXPECT(set(level), 0);
	for (int i = 0; i < 16; i++) {
		pthread_join(w[i].thread, NULL);
		EXPECT(w[i].result, 0);
		CHECK(w[i].took < 55000);
	}
	/* Auto-reset: a set wakes all who wait then, and nobody who comes later. */
	for (int i = 0; i < 4; i++)
		start_waiting(&w[i], once, 60000);
	all_wait(w, 4);
	EXPECT(set(once), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		woken += w[i].result == 0;
	}
	CHECK(woken == 4);
	EXPECT(wait_one(once, 0), 1);
	EXPECT(destroy(level), 0);
	EXPECT(destroy(once), 0);
}

static void destroyed_meanwhile(void)
{
	uint32_t id = signal_event(false);
	struct waiting w[4];

	for (int i = 0; i < 4; i++)
		start_waiting(&w[i], id, 60000);
	all_wait(w, 4);
	EXPECT(destroy(id), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		EXPECT(w[i].result, -EIO);
	}
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
	(void)number;
	alarms++;
}

static void time_outs(void)
{
	struct sigaction restart = {.sa_handler = count_alarm, .sa_flags = SA_RESTART}, old;
	struct itimerval every = {{0, 30000}, {0, 30000}}, off = {0};
	uint32_t id = signal_event(false);
	uint64_t start = now_ms(), took;

	EXPECT(wait_one(id, 300), 1);
	took = now_ms() - start;
	CHECK(took >= 300 && took < 20000);
	/* Signals with SA_RESTART don't make it longer: the time that is left is used. */
	sigaction(SIGALRM, &restart, &old);
	setitimer(ITIMER_REAL, &every, NULL);
	start = now_ms();
	EXPECT(wait_one(id, 500), 1);
	took = now_ms() - start;
	setitimer(ITIMER_REAL, &off, NULL);
	CHECK(alarms > 2);
	CHECK(took >= 490 && took < 20000);
	/* And without it they interrupt. */
	restart.sa_flags = 0;
	sigaction(SIGALRM, &restart, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	EXPECT(wait_one(id, 20000), -EINTR);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	EXPECT(destroy(id), 0);
}

static void other_types(void)
{
	struct kfd_ioctl_create_event_args memory, hw;

	EXPECT(create(KFD_IOC_EVENT_MEMORY, false, 0, &memory), 0);
	EXPECT(create(KFD_IOC_EVENT_HW_EXCEPTION, false, 0, &hw), 0);
	CHECK(memory.event_id >= 4096 && hw.event_id >= 4096 && memory.event_id != hw.event_id);
	EXPECT(set(memory.event_id), -EINVAL);
	EXPECT(reset(hw.event_id), -EINVAL);
	EXPECT(wait_one(memory.event_id, 0), 1);
	EXPECT(destroy(memory.event_id), 0);
	EXPECT(destroy(hw.event_id), 0);
}

static void page_part(void)
{
	struct kfd_ioctl_create_event_args args;
	struct buffer small, page, vram;
	uint64_t *slots;
	uint64_t seen = 0;
	long err = 0;
	int n = 0;

	kfd_start();
	EXPECT(gpu_alloc(&small, GTT, reserve(PAGE), PAGE, 0), 0);
	EXPECT(gpu_alloc(&vram, VRAM, reserve(32768), 32768, 0), 0);
	EXPECT(gpu_alloc(&page, GTT, reserve(32768), 32768, 0), 0);
	EXPECT(create(KFD_IOC_EVENT_SIGNAL, false, small.handle, NULL), -EINVAL);
	EXPECT(create(KFD_IOC_EVENT_SIGNAL, false, vram.handle, NULL), -EINVAL);
	EXPECT(create(KFD_IOC_EVENT_SIGNAL, false, page.handle, &args), 0);
	CHECK(args.event_id == 1 && args.event_slot_index == 1 && args.event_trigger_data == 1 &&
	      args.event_page_offset == 2ull << 62);
	EXPECT(create(KFD_IOC_EVENT_SIGNAL, false, page.handle, NULL), -EINVAL);
	EXPECT(gpu_free(page.handle), -EPERM);
	slots = map_fd(drm, page.offset, 32768, MAP_SHARED, &err);
	EXPECT(err, 0);
	for (int i = 0; slots && i < 4096; i++)
		seen += slots[i] == ~0ull;
	CHECK(seen == 4096);
	/* One was made above; slot 0 is not used. */
	for (n = 1; !(err = create(KFD_IOC_EVENT_SIGNAL, false, 0, NULL)); n++)
		;
	CHECK(n == 4095);
	EXPECT(err, -ENOSPC);
	EXPECT(destroy(77), 0);
	EXPECT(create(KFD_IOC_EVENT_SIGNAL, false, 0, &args), 0);
	CHECK(args.event_id == 77);
	EXPECT(gpu_free(small.handle), 0);
}

static void page(void)
{
	in_child(page_part);
}

/* Events set, destroyed and waited for by many threads at once, then killed in the middle. */
static uint32_t storm_ids[32];

static void *storm_thread(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (;;) {
		uint32_t *id = &storm_ids[rand_r(&seed) % 32];

		switch (rand_r(&seed) % 4) {
		case 0:
			set(*id);
			break;
		case 1: {
			struct kfd_event_data data[3] = {{.event_id = *id},
							 {.event_id = storm_ids[0]},
							 {.event_id = storm_ids[31]}};

			wait_data(data, 3, rand_r(&seed) % 2, rand_r(&seed) % 20);
			break;
		}
		case 2:
			destroy(*id);
			*id = 0;
			break;
		default: {
			struct kfd_ioctl_create_event_args args;

			if (!create(KFD_IOC_EVENT_SIGNAL, rand_r(&seed) % 2, 0, &args))
				*id = args.event_id;
		}
		}
	}
	return NULL;
}

static void storm(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	for (int round = 0; round < 4; round++) {
		pid = fork();
		if (pid == 0) {
			pthread_t t;

			kfd_start();
			for (uintptr_t i = 1; i <= 8; i++)
				pthread_create(&t, NULL, storm_thread, (void *)i);
			pause();
		}
		msleep(700);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	}
}

/* ---- SMI_EVENTS ---- */

#define SMI(name) KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_##name)

/* What is there to read, all of it, and how many lines it has. */
static int smi_lines(int fd, char *text, size_t size)
{
	size_t have = 0;
	int lines = 0;
	ssize_t n;

	while ((n = read(fd, text + have, size - 1 - have)) > 0)
		have += (size_t)n;
	text[have] = 0;
	for (size_t i = 0; i < have; i++)
		lines += text[i] == '\n';
	return lines;
}

static int smi_ready(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1 && p.revents == POLLIN;
}

/* Names memory to the GPU and unmaps its second page. */
static uint8_t *smi_happen(void)
{
	struct {
		struct kfd_ioctl_svm_args args;
		struct kfd_ioctl_svm_attribute attr;
	} svm = {.args = {.size = 4 * PAGE, .op = KFD_IOCTL_SVM_OP_SET_ATTR, .nattr = 1}, .attr = {KFD_IOCTL_SVM_ATTR_ACCESS, gpu_id}};
	uint8_t *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	svm.args.start_addr = (uintptr_t)p;
	EXPECT(kfd_call(kfd, RESIZED(AMDKFD_IOC_SVM, sizeof(svm)), &svm), 0);
	munmap(p + PAGE, PAGE);
	return p;
}

static void smi_part(void)
{
	struct kfd_ioctl_smi_events_args bad = {.gpuid = gpu_id + 1};
	int quiet, unmaps, queues, ids[2], pid, trigger, lines, turn = 0;
	unsigned long at, pages;
	char text[16384], *line;
	uint64_t one = 0;
	long long ns;
	uint8_t *p;

	kfd_start();
	EXPECT(kfd_call(kfd, AMDKFD_IOC_SMI_EVENTS, &bad), -EINVAL);
	quiet = open_smi(0);
	unmaps = open_smi(SMI(UNMAP_FROM_GPU));
	queues = open_smi(SMI(QUEUE_EVICTION) | SMI(QUEUE_RESTORE));
	CHECK(quiet >= 0 && unmaps >= 0 && queues >= 0);
	CHECK(write(quiet, &one, 7) == -1 && errno == EFAULT);
	CHECK(read(unmaps, text, sizeof(text)) == -1 && errno == EAGAIN);
	CHECK(!smi_ready(unmaps, 0));
	p = smi_happen();
	CHECK(smi_ready(unmaps, 1000));
	CHECK(smi_lines(unmaps, text, sizeof(text)) == 1);
	CHECK(sscanf(text, "%x %lld -%d @%lx(%lx) %x %d", &ids[0], &ns, &pid, &at, &pages, &ids[1], &trigger) == 7);
	CHECK(ids[0] == KFD_SMI_EVENT_UNMAP_FROM_GPU && ns > 0 && pid == getpid() && at == (uintptr_t)p / PAGE + 1 && pages == 1);
	CHECK((uint32_t)ids[1] == gpu_id && trigger == KFD_SVM_UNMAP_TRIGGER_UNMAP_FROM_CPU);
	/* Out, then in again. */
	for (int i = 0; i < 100 && smi_ready(queues, 10000) && turn < 2; i++) {
		smi_lines(queues, text, sizeof(text));
		for (line = text; *line; line = strchr(line, '\n') + 1, turn++)
			CHECK(strtol(line, NULL, 16) == (turn ? KFD_SMI_EVENT_QUEUE_RESTORE : KFD_SMI_EVENT_QUEUE_EVICTION));
	}
	CHECK(turn == 2);
	CHECK(!smi_ready(quiet, 0));
	/* What nobody reads is kept, as far as there is room. */
	for (int i = 0; i < 300; i++)
		munmap(smi_happen(), 4 * PAGE);
	lines = smi_lines(unmaps, text, sizeof(text));
	CHECK(lines > 50 && lines < 300 && strlen(text) <= 8192);
	munmap(smi_happen(), 4 * PAGE);
	CHECK(smi_ready(unmaps, 1000)); /* there is room again */
	close(unmaps);
	munmap(smi_happen(), 4 * PAGE);
}

/* The same in another process, whose number this is. */
static pid_t smi_elsewhere(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		kfd_start();
		smi_happen();
		_exit(test_failures != 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	return pid;
}

/* Other processes' events are for the superuser who asks for them. */
static void smi_others(void)
{
	uint64_t all = 1ull << 63;
	char text[16384], want[32];
	int own, others;
	pid_t pid;

	kfd_start();
	own = open_smi(SMI(UNMAP_FROM_GPU));
	others = open_smi(SMI(UNMAP_FROM_GPU) | all);
	pid = smi_elsewhere();
	CHECK(smi_lines(own, text, sizeof(text)) == 0);
	CHECK(smi_lines(others, text, sizeof(text)) >= 1);
	snprintf(want, sizeof(want), " -%d @", pid);
	CHECK(strstr(text, want));
	/* For who isn't when it is opened the bit means nothing. */
	CHECK(!seteuid(65534));
	others = open_smi(SMI(UNMAP_FROM_GPU) | all);
	CHECK(!seteuid(0));
	smi_elsewhere();
	CHECK(smi_lines(others, text, sizeof(text)) == 0);
}

/* A copy queue of a process of its own gets what is no packet: it has no place to note an error, so its GPU state is reset. */
static void wrong_packet(void)
{
	struct kfd_ioctl_create_queue_args args = {
		.ring_size = PAGE, .queue_type = KFD_IOC_QUEUE_TYPE_SDMA, .queue_percentage = 100, .queue_priority = 7};
	struct kfd_event_data data = {0};
	struct kfd_ioctl_create_event_args hw;
	uint64_t *ring, *doorbells;
	struct buffer b;
	long err;

	kfd_start();
	EXPECT(create(KFD_IOC_EVENT_HW_EXCEPTION, false, 0, &hw), 0);
	ring = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(ring, 0xff, PAGE);
	EXPECT(gpu_alloc(&b, USERPTR, (uintptr_t)ring, 2 * PAGE, (uintptr_t)ring), 0);
	EXPECT(gpu_map(b.handle, true), 0);
	args.gpu_id = gpu_id;
	args.ring_base_address = (uintptr_t)ring;
	args.write_pointer_address = (uintptr_t)ring + PAGE;
	args.read_pointer_address = (uintptr_t)ring + PAGE + 64;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_CREATE_QUEUE, &args), 0);
	doorbells = map_fd(kfd, args.doorbell_offset & ~8191ull, 8192, MAP_SHARED, &err);
	EXPECT(err, 0);
	if (err)
		return;
	__atomic_store_n(ring + PAGE / 8, 64, __ATOMIC_RELEASE);
	__atomic_store_n(doorbells + args.doorbell_offset % 8192 / 8, 64, __ATOMIC_RELEASE);
	data.event_id = hw.event_id;
	EXPECT(wait_data(&data, 1, false, 60000), 0);
	CHECK(data.hw_exception_data.reset_type == KFD_HW_EXCEPTION_PER_ENGINE_RESET && data.hw_exception_data.gpu_id == gpu_id);
}

/* Everybody is told of the reset of anybody's GPU state, and that it is over. */
static void smi_resets(void)
{
	unsigned first = 0, number = 0;
	char text[16384], want[128];
	int both, after;

	kfd_start();
	both = open_smi(SMI(GPU_PRE_RESET) | SMI(GPU_POST_RESET));
	after = open_smi(SMI(GPU_POST_RESET));
	for (int i = 0; i < 2; i++) {
		in_child(wrong_packet);
		CHECK(smi_lines(both, text, sizeof(text)) == 2);
		CHECK(sscanf(text, "%*x %x ", &number) == 1 && number && (!i || number == first + 1));
		snprintf(want, sizeof(want), "%x %x guest-events\n%x %x \n", KFD_SMI_EVENT_GPU_PRE_RESET, number, KFD_SMI_EVENT_GPU_POST_RESET, number);
		if (strcmp(text, want))
			fail_at(__FILE__, __LINE__, "told was: %s", text);
		CHECK(smi_lines(after, text, sizeof(text)) == 1);
		CHECK(!strcmp(text, strchr(want, '\n') + 1));
		first = number;
	}
}

static void smi(void)
{
	in_child(smi_part);
	in_child(smi_others);
	in_child(smi_resets);
}

/*
 * Not a test of its own: waits until the GPU is lost (tests/guest/test_guest.py sees to that), and
 * says whether the errors are right.
 */
static int wait_for_loss(void)
{
	struct kfd_ioctl_get_version_args version;
	char text[16384], want[16];
	struct buffer b;
	struct waiting w;
	int smi = open_smi(SMI(GPU_PRE_RESET) | SMI(GPU_POST_RESET));

	start_waiting(&w, signal_event(false), 0xffffffff);
	/*
	 * The waiter itself asks the host nothing; it is woken when somebody finds that the host is
	 * gone.
	 */
	while (!kfd_call(kfd, AMDKFD_IOC_GET_VERSION, &version))
		msleep(100);
	pthread_join(w.thread, NULL);
	EXPECT(w.result, -ENODEV);
	EXPECT(gpu_alloc(&b, GTT, reserve(PAGE), PAGE, 0), -ENODEV);
	/* A reset begins that nothing ends. */
	snprintf(want, sizeof(want), "%x ", KFD_SMI_EVENT_GPU_PRE_RESET);
	CHECK(smi_ready(smi, 10000) && smi_lines(smi, text, sizeof(text)) == 1);
	CHECK(!strncmp(text, want, strlen(want)));
	return test_failures ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{"bad input", bad_input},
		{"levels and auto-reset", levels},
		{"wait for all and any", all_and_any},
		{"ages", ages},
		{"waiting threads", threads},
		{"an event destroyed while waited for", destroyed_meanwhile},
		{"time-outs and signals", time_outs},
		{"memory and hardware exception events", other_types},
		{"the events page", page},
		{"a storm of threads, killed", storm},
		{"events for tools", smi},
	};

	kfd_start();
	if (argc > 1 && !strcmp(argv[1], "wait-for-loss"))
		return wait_for_loss();
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
