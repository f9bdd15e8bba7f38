// SPDX-License-Identifier: MIT
/*
 * e2e-ioctls SECONDS SEED - children that call all ioctls of /dev/kfd, and some that there are not, with random sizes, numbers, handles and addresses, on several
 * threads. What becomes of the children is their affair; this program reports how many calls they made and how they ended, and exits 0 when
 * they could be ended and the device still answers a well-formed request of a new program.
 */
#include <pthread.h>
#include <sys/time.h>

#include "tests/guest/programs/kfd.h"

#define CHILDREN 3
#define FEWEST 100 /* calls that say anything */

struct shared {
	unsigned long calls, good;
};

static struct shared *shared;

static uint64_t something(unsigned *seed, const uint64_t *known, unsigned n)
{
	uint64_t v = (uint64_t)rand_r(seed) << 33 ^ (uint64_t)rand_r(seed) << 12 ^ (uint64_t)rand_r(seed);

	switch (rand_r(seed) % 8) {
	case 0:
		return 0;
	case 1:
		return v % 64;
	case 2:
		return ~0ull - v % 4096;
	case 3:
		return v & 0xffffffff;
	case 4:
		return v;
	default:
		return known[v % n] + (rand_r(seed) % 4 ? 0 : v % 8192);
	}
}

static void *caller(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	uint8_t *scratch = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t known[32] = {gpu_id, (uint64_t)gpu_id << 32, (uint64_t)gpu_id | (uint64_t)gpu_id << 32, (uintptr_t)scratch, (uintptr_t)scratch + 32 * PAGE, PAGE, 16 * PAGE, 1, 2, 3, reserve(64 * PAGE), (uint64_t)(unsigned)drm, (uint64_t)(unsigned)kfd};
	unsigned have = 13;

	for (;;) {
		uint64_t args[32];
		unsigned nr = (unsigned)rand_r(&seed) % 0x30, size = rand_r(&seed) % 3 ? 8u * (1 + (unsigned)rand_r(&seed) % 14) : (unsigned)rand_r(&seed) % 200;
		unsigned dir = rand_r(&seed) % 4 ? 3 : (unsigned)rand_r(&seed) % 4;
		static const unsigned long usual[] = {AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, AMDKFD_IOC_MAP_MEMORY_TO_GPU, AMDKFD_IOC_FREE_MEMORY_OF_GPU, AMDKFD_IOC_CREATE_QUEUE, AMDKFD_IOC_UPDATE_QUEUE, AMDKFD_IOC_DESTROY_QUEUE, AMDKFD_IOC_CREATE_EVENT, AMDKFD_IOC_WAIT_EVENTS, AMDKFD_IOC_SET_EVENT, AMDKFD_IOC_DESTROY_EVENT, AMDKFD_IOC_SVM, AMDKFD_IOC_SET_CU_MASK, AMDKFD_IOC_GET_TILE_CONFIG, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU, AMDKFD_IOC_ACQUIRE_VM, AMDKFD_IOC_IMPORT_DMABUF, AMDKFD_IOC_SMI_EVENTS, AMDKFD_IOC_ALLOC_QUEUE_GWS};
		unsigned long cmd = rand_r(&seed) % 2 ? usual[(unsigned)rand_r(&seed) % (sizeof(usual) / sizeof(usual[0]))] : _IOC(dir, 'K', nr, size);
		long err;

		for (unsigned i = 0; i < 32; i++)
			args[i] = something(&seed, known, have);
		err = ioctl(rand_r(&seed) % 16 ? kfd : drm, cmd, rand_r(&seed) % 32 ? (void *)args : (void *)(uintptr_t)something(&seed, known, have));
		__atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
		if (!err) {
			__atomic_fetch_add(&shared->good, 1, __ATOMIC_RELAXED);
			/* What an answer holds makes good arguments. */
			for (int i = 0; i < 3; i++)
				known[have < 32 ? have++ : 13 + (unsigned)rand_r(&seed) % 19] = args[rand_r(&seed) % 8];
		}
	}
	return NULL;
}

static void on_alarm(int number)
{
}

static void child(unsigned seed)
{
	struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART: waits end */
	struct itimerval every = {{0, 30000}, {0, 30000}};
	pthread_t t;

	kfd_start();
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&t, NULL, caller, (void *)(uintptr_t)(seed * 7 + i + 1));
	caller((void *)(uintptr_t)(seed * 7 + 3));
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3;
	unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1, crashed = 0, started = 0;
	uint64_t end = now_ms() + (uint64_t)(seconds * 1000);
	struct kfd_ioctl_get_version_args version;
	pid_t pids[CHILDREN] = {0};
	int status;

	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* A guest whose CPU is emulated on a busy machine may need longer for as much as says anything. */
	while (now_ms() < end || (shared->calls <= FEWEST && now_ms() < end + 60000)) {
		for (int i = 0; i < CHILDREN; i++) {
			if (pids[i] && waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			crashed += pids[i] != 0;
			pids[i] = fork();
			if (pids[i] == 0) {
				child(seed * 1000 + started);
				_exit(1);
			}
			started++;
		}
		msleep(50);
	}
	for (int i = 0; i < CHILDREN; i++) {
		kill(pids[i], SIGKILL);
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
	}
	kfd_start();
	EXPECT(kfd_call(kfd, AMDKFD_IOC_GET_VERSION, &version), 0);
	printf("calls %lu\nsuccesses %lu\nchildren %u\nended by themselves %u\n", shared->calls, shared->good, started, crashed);
	CHECK(shared->calls > FEWEST);
	return test_failures ? 1 : 0;
}
