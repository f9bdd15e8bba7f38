// SPDX-License-Identifier: MIT
/*
 * guest-storm - many programs and threads on /dev/kfd that allocate, map, change and free at
 * random, fork, exec and exit, and are killed at any moment. Afterwards nothing may be left: pinned
 * pages, VRAM, GPU processes, objects of the driver, complaints of the kernel.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "kfd.h"

#define CHILDREN 6
#define ROUNDS	 8

static void *worker(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	uint64_t size;
	struct buffer b;
	uint8_t *p;
	long err;

	for (;;) {
		size = (1 + rand_r(&seed) % 200) * PAGE;
		switch (rand_r(&seed) % 6) {
		case 0:
		case 1:
			if (gpu_alloc(&b, rand_r(&seed) % 2 ? VRAM : GTT, reserve(size), size, 0))
				break;
			p = map_fd(drm, b.offset, size, MAP_SHARED, &err);
			if (p) {
				p[rand_r(&seed) % size] = 1;
				if (rand_r(&seed) % 2)
					munmap(p, size);
			}
			if (rand_r(&seed) % 2)
				gpu_map(b.handle, true);
			if (rand_r(&seed) % 4) {
				gpu_map(b.handle, false);
				gpu_free(b.handle);
			}
			break;
		case 2:
		case 3:
			p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);
			if (p == MAP_FAILED ||
			    gpu_alloc(&b, USERPTR, (uintptr_t)p, size, (uintptr_t)p))
				break;
			if (rand_r(&seed) % 2)
				gpu_map(b.handle, true);
			if (rand_r(&seed) % 2)
				madvise(p, size, MADV_DONTNEED);
			if (rand_r(&seed) % 2)
				munmap(p, size);
			if (rand_r(&seed) % 2) {
				gpu_map(b.handle, false);
				gpu_free(b.handle);
			}
			break;
		case 4: {
			pid_t pid = fork();

			if (pid == 0) {
				if (rand_r(&seed) % 2)
					execl("/bin/true", "true", NULL);
				_exit(0);
			}
			if (pid > 0)
				waitpid(pid, NULL, 0);
			break;
		}
		default: {
			volatile uint64_t *bell = map_fd(kfd, 3ull << 62 | (uint64_t)gpu_id << 46,
							 2 * PAGE, MAP_SHARED, &err);

			if (bell) {
				bell[1000] = 1;
				munmap((void *)bell, 2 * PAGE);
			}
		}
		}
	}
	return NULL;
}

static void program(unsigned seed)
{
	pthread_t t;

	kfd_start();
	for (unsigned i = 0; i < 3; i++)
		pthread_create(&t, NULL, worker, (void *)(uintptr_t)(seed * 10 + i + 1));
	pause();
}

static void storm(void)
{
	pid_t pids[CHILDREN] = {0};
	unsigned seed = 1;
	int status;

	fflush(stdout);
	for (int round = 0; round < ROUNDS * CHILDREN; round++) {
		int i = round % CHILDREN;

		if (pids[i]) {
			kill(pids[i], rand_r(&seed) % 2 ? SIGKILL : SIGTERM);
			CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFSIGNALED(status) &&
			      (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM));
		}
		pids[i] = fork();
		if (pids[i] == 0) {
			program((unsigned)round + 1);
			_exit(1);
		}
		msleep(rand_r(&seed) % 200);
	}
	for (int i = 0; i < CHILDREN; i++) {
		kill(pids[i], SIGKILL);
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
	}
}

static void nothing_pinned(void)
{
	CHECK(pinned_pages() == 0);
}

static void vram_is_free(void)
{
	struct kfd_ioctl_get_available_memory_args available = {0};
	struct buffer b = {0};
	uint64_t size;

	kfd_start();
	available.gpu_id = gpu_id;
	EXPECT(kfd_call(kfd, AMDKFD_IOC_AVAILABLE_MEMORY, &available), 0);
	size = available.available & ~(PAGE - 1);
	/* All of it: nobody else has any. */
	EXPECT(gpu_alloc(&b, VRAM, reserve(size), size, 0), 0);
	EXPECT(gpu_free(b.handle), 0);
}

/* The driver can be unloaded when nobody uses it: every process object is gone. */
static void unused(void)
{
	char line[256];
	int refs = -1;

	close(kfd);
	close(drm);
	for (int i = 0; i < 100 && refs; i++) {
		FILE *f = fopen("/sys/module/hsavisor/refcnt", "r");

		if (f && fgets(line, sizeof(line), f))
			refs = atoi(line);
		if (f)
			fclose(f);
		/* This program has a GPU process itself, which holds its render node. */
		if (refs <= 2)
			break;
		msleep(50);
	}
	CHECK(refs == 2);
}

int main(void)
{
	static const struct test tests[] = {
		{"programs at random, killed at any moment", storm},
		{"no page is pinned afterwards", nothing_pinned},
		{"all VRAM is free afterwards", vram_is_free},
		{"no GPU process is left", unused},
	};

	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
