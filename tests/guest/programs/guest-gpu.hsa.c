// SPDX-License-Identifier: MIT
/*
 * guest-gpu - memory of a program as the GPU sees it, by the HSA runtime: copies between VRAM and
 * pages of the program while those are discarded, forked and freed; doorbells after a long pause
 * (parked); a GPU memory fault; programs that are killed at work.
 */
#include "tests/programs/hsa.h"

#include "kfd.h"

#define SIZE (256 * PAGE)

static hsa_signal_t done;
static void *vram;

#define HSA(call)                                                                                  \
	do {                                                                                       \
		hsa_status_t s_ = (call);                                                          \
		if (s_ != HSA_STATUS_SUCCESS && s_ != HSA_STATUS_INFO_BREAK)                       \
			fail_at(__FILE__, __LINE__, "%s: status %#x", #call, (unsigned)s_);        \
	} while (0)

static void start(void)
{
	open_agents();
	HSA(hsa_amd_memory_pool_allocate(vram_pool, SIZE, 0, &vram));
	done = new_signal(1);
}

static void copy(void *to, hsa_agent_t to_agent, const void *from, hsa_agent_t from_agent)
{
	hsa_signal_store_relaxed(done, 1);
	HSA(hsa_amd_memory_async_copy(to, to_agent, from, from_agent, SIZE, 0, NULL, done));
	CHECK(hsa_signal_wait_scacquire(done, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX,
					HSA_WAIT_STATE_BLOCKED) == 0);
}

static uint8_t *lock(void **seen)
{
	uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	HSA(hsa_amd_memory_lock(p, SIZE, &gpu, 1, seen));
	return p;
}

static void fill(uint8_t *p, unsigned seed)
{
	for (size_t i = 0; i < SIZE; i++)
		p[i] = (uint8_t)(i * 7 + i / PAGE + seed);
}

static bool filled(const uint8_t *p, unsigned seed)
{
	for (size_t i = 0; i < SIZE; i++)
		if (p[i] != (uint8_t)(i * 7 + i / PAGE + seed))
			return false;
	return true;
}

/* To VRAM and back through two buffers of the program. */
static void round_trip(uint8_t *in, void *in_gpu, uint8_t *out, void *out_gpu, unsigned seed)
{
	fill(in, seed);
	copy(vram, gpu, in_gpu, cpu);
	copy(out_gpu, cpu, vram, gpu);
	CHECK(filled(out, seed));
}

static void copies(void)
{
	void *in_gpu, *out_gpu;
	uint8_t *in, *out;

	start();
	in = lock(&in_gpu);
	out = lock(&out_gpu);
	for (unsigned i = 0; i < 4; i++)
		round_trip(in, in_gpu, out, out_gpu, i);
	/* The pages are others afterwards; the GPU must see those. */
	for (unsigned i = 10; i < 30; i++) {
		EXPECT(madvise(in, SIZE, MADV_DONTNEED), 0);
		EXPECT(madvise(out + PAGE * (i % 64), 16 * PAGE, MADV_DONTNEED), 0);
		round_trip(in, in_gpu, out, out_gpu, i);
	}
	/* New pages moved under the addresses: another memory there, which is locked anew. */
	for (unsigned i = 30; i < 40; i++) {
		uint8_t *fresh = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(fresh, 1, SIZE);
		HSA(hsa_amd_memory_unlock(in));
		CHECK(mremap(fresh, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, in) == in);
		HSA(hsa_amd_memory_lock(in, SIZE, &gpu, 1, &in_gpu));
		round_trip(in, in_gpu, out, out_gpu, i);
	}
	/* Children that write to their copies. */
	for (unsigned i = 40; i < 46; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			memset(in, 0xee, SIZE);
			memset(out, 0xee, SIZE);
			_exit(0);
		}
		round_trip(in, in_gpu, out, out_gpu, i);
		waitpid(pid, NULL, 0);
		CHECK(filled(in, i) && filled(out, i));
	}
	HSA(hsa_amd_memory_unlock(in));
	HSA(hsa_amd_memory_unlock(out));
	HSA(hsa_shut_down());
}

static void copies_in_child(void)
{
	in_child(copies);
	CHECK(pinned_pages() == 0);
}

static void pauses(void)
{
	void *in_gpu, *out_gpu;
	uint8_t *in, *out;

	start();
	in = lock(&in_gpu);
	out = lock(&out_gpu);
	for (unsigned i = 0; i < 6; i++) {
		round_trip(in, in_gpu, out, out_gpu, i);
		msleep(300 * i);
	}
	HSA(hsa_shut_down());
}

static void pauses_in_child(void)
{
	in_child(pauses);
}

/* The runtime says what it was and aborts. */
static void fault(void)
{
	int status, saved, smi;
	char line[128], want[64];
	ssize_t n;
	pid_t pid;

	kfd_start();
	smi = open_smi(KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_VMFAULT));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		saved = open("/dev/null", O_WRONLY);
		dup2(saved, 2);
		start();
		hsa_signal_store_relaxed(done, 1);
		/* An address of the program that the GPU was never given. */
		hsa_amd_memory_async_copy(vram, gpu, (void *)reserve(SIZE), gpu, SIZE, 0, NULL,
					  done);
		hsa_signal_wait_scacquire(done, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX,
					  HSA_WAIT_STATE_BLOCKED);
		_exit(0);
	}
	for (int i = 0; i < 600; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
			/* Tools are told, too. */
			n = read(smi, line, sizeof(line) - 1);
			line[n < 0 ? 0 : n] = 0;
			snprintf(want, sizeof(want), "1 %x:guest-gpu\n", pid);
			if (strcmp(line, want))
				fail_at(__FILE__, __LINE__, "told was: %s", line);
			close(smi);
			return;
		}
		msleep(100);
	}
	fail_at(__FILE__, __LINE__, "no abort within a minute");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void killed(void)
{
	pid_t pids[3];

	fflush(stdout);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 3; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				void *in_gpu, *out_gpu;
				uint8_t *in, *out;

				start();
				in = lock(&in_gpu);
				out = lock(&out_gpu);
				for (unsigned n = 0;; n++)
					round_trip(in, in_gpu, out, out_gpu, n);
			}
		}
		msleep(500 + 400 * (unsigned)round);
		for (int i = 0; i < 3; i++) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
	}
	CHECK(pinned_pages() == 0);
}

int main(void)
{
	static const struct test tests[] = {
		{"copies of pages that change", copies_in_child},
		{"work after pauses", pauses_in_child},
		{"a GPU memory fault ends the program that caused it", fault},
		{"programs killed at work", killed},
		{"copies again", copies_in_child},
	};

	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
