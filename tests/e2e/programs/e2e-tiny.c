// SPDX-License-Identifier: MIT
/*
 * e2e-tiny - the smallest GPU programs, many of them: raw KFD, no runtime.
 *
 *	e2e-tiny starts N	N processes, one after the other, each with a queue that runs one
 *kernel e2e-tiny queues N	N queues made and destroyed; every hundredth runs a kernel e2e-tiny
 *fill vram|gtt	buffers until there are no more, which must be ENOMEM; all freed, and a kernel
 *
 * Says "verified" when all went well. The kernel ends at once; that it ran is seen by its
 *completion signal.
 */
#include <stdatomic.h>

#include "tests/guest/programs/kfd.h"

/* The buffer of a process, at the same address for CPU and GPU. */
enum { RING = 0, POINTERS = 0x1000, KERNEL = 0x2000, SIGNAL = 0x3000, SIZE = 0x4000 };
#define PACKETS 64

struct gpu_queue {
	uint8_t *memory;
	uint32_t id;
	uint64_t written, doorbell_offset;
	uint8_t *doorbells;
};

static void die(const char *what)
{
	printf("e2e-tiny: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static void start(void)
{
	struct kfd_process_device_apertures a;
	struct kfd_ioctl_get_process_apertures_new_args n = {
		.kfd_process_device_apertures_ptr = (uintptr_t)&a, .num_of_nodes = 1};

	kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);
	drm = open_drm();
	if (kfd < 0 || drm < 0)
		die("no GPU");
	if (ioctl(kfd, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &n) || n.num_of_nodes != 1)
		die("apertures");
	gpu_id = a.gpu_id;
	if (acquire(kfd, drm, gpu_id))
		die("ACQUIRE_VM");
}

static void queue_memory(struct gpu_queue *q)
{
	uint64_t va = reserve(SIZE);
	struct buffer b;

	if (gpu_alloc(&b, GTT | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE, va, SIZE, 0))
		die("ALLOC_MEMORY_OF_GPU");
	q->memory = mmap((void *)va, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, drm,
			 (off_t)b.offset);
	if (q->memory == MAP_FAILED || gpu_map(b.handle, true))
		die("the queue's memory");
	memset(q->memory, 0, SIZE);
	/* A kernel descriptor, whose code is 256 bytes on: s_endpgm. */
	*(uint64_t *)(q->memory + KERNEL + 16) = 256;
	*(uint32_t *)(q->memory + KERNEL + 256) = 0xbf810000;
	q->doorbells = NULL;
}

static void queue_create(struct gpu_queue *q)
{
	struct kfd_ioctl_create_queue_args a = {
		.ring_base_address = (uintptr_t)q->memory + RING,
		.write_pointer_address = (uintptr_t)q->memory + POINTERS,
		.read_pointer_address = (uintptr_t)q->memory + POINTERS + 64,
		.ring_size = PACKETS * 64,
		.gpu_id = gpu_id,
		.queue_type = KFD_IOC_QUEUE_TYPE_COMPUTE_AQL,
		.queue_percentage = 100,
		.queue_priority = 7,
	};

	memset(q->memory + POINTERS, 0, 128);
	for (int i = 0; i < PACKETS; i++)
		*(uint16_t *)(q->memory + RING + 64 * i) = 1; /* invalid */
	if (ioctl(kfd, AMDKFD_IOC_CREATE_QUEUE, &a))
		die("CREATE_QUEUE");
	q->id = a.queue_id;
	q->written = 0;
	q->doorbell_offset = a.doorbell_offset;
}

static void run_kernel(struct gpu_queue *q)
{
	uint8_t *packet = q->memory + RING + q->written % PACKETS * 64;
	_Atomic int64_t *value = (_Atomic int64_t *)(q->memory + SIGNAL + 8);
	uint64_t at = q->doorbell_offset & 8191;

	if (!q->doorbells) {
		q->doorbells = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, kfd,
				    (off_t)(q->doorbell_offset & ~8191ull));
		if (q->doorbells == MAP_FAILED)
			die("doorbells");
	}
	*(uint64_t *)(q->memory + SIGNAL) = 1; /* a user's signal */
	atomic_store(value, 1);
	memset(packet + 2, 0, 62);
	*(uint16_t *)(packet + 2) = 1; /* dimensions */
	*(uint16_t *)(packet + 4) = 64;
	*(uint16_t *)(packet + 6) = *(uint16_t *)(packet + 8) = 1;
	*(uint32_t *)(packet + 12) = 64;
	*(uint32_t *)(packet + 16) = *(uint32_t *)(packet + 20) = 1;
	*(uint64_t *)(packet + 32) = (uintptr_t)q->memory + KERNEL;
	*(uint64_t *)(packet + 56) = (uintptr_t)q->memory + SIGNAL;
	atomic_store((_Atomic uint16_t *)packet, 2 | 1 << 8 | 2 << 9 | 2 << 11);
	q->written++;
	atomic_store((_Atomic uint64_t *)(q->memory + POINTERS), q->written);
	atomic_store((_Atomic uint64_t *)(q->doorbells + at), q->written - 1);
	for (int i = 0; i < 600000; i++) { /* a minute or more */
		if (atomic_load(value) == 0)
			return;
		if (i > 50)
			usleep(100);
	}
	errno = ETIME;
	die("a kernel does not end");
}

static void queue_destroy(struct gpu_queue *q)
{
	struct kfd_ioctl_destroy_queue_args a = {.queue_id = q->id};

	if (ioctl(kfd, AMDKFD_IOC_DESTROY_QUEUE, &a))
		die("DESTROY_QUEUE");
}

static void one_kernel(void)
{
	struct gpu_queue q;

	queue_memory(&q);
	queue_create(&q);
	run_kernel(&q);
}

static void starts(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			start();
			one_kernel();
			_exit(0); /* its queue goes with it */
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			die("fork");
		if (status) {
			printf("e2e-tiny: start %d: status %#x\n", i, (unsigned)status);
			exit(1);
		}
	}
}

static void queues(int n)
{
	struct gpu_queue q;

	start();
	queue_memory(&q);
	for (int i = 0; i < n; i++) {
		queue_create(&q);
		if (i % 100 == 0)
			run_kernel(&q);
		queue_destroy(&q);
	}
}

static int fill(uint32_t flags)
{
	static struct buffer buffers[65536];
	uint64_t size = 16 << 20;
	int n = 0;
	long err = 0;

	start();
	/* In ever smaller pieces, down to a page. */
	while (n < 65536) {
		err = gpu_alloc(&buffers[n], flags, reserve(size), size, 0);
		if (!err) {
			n++;
		} else if (err == -ENOMEM && size > PAGE) {
			size /= 4;
		} else {
			break;
		}
	}
	if (err != -ENOMEM) {
		errno = (int)-err;
		die("the end of memory");
	}
	for (int i = 0; i < n; i++)
		if (gpu_free(buffers[i].handle))
			die("FREE_MEMORY_OF_GPU");
	one_kernel();
	return n;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 0;

	if (argc == 3 && !strcmp(argv[1], "starts") && n > 0) {
		starts(n);
	} else if (argc == 3 && !strcmp(argv[1], "queues") && n > 0) {
		queues(n);
	} else if (argc == 3 && !strcmp(argv[1], "fill")) {
		n = fill(strcmp(argv[2], "gtt") ? VRAM : GTT);
	} else {
		fprintf(stderr, "usage: e2e-tiny starts N | queues N | fill vram|gtt\n");
		return 2;
	}
	printf("verified %d\n", n);
	return 0;
}
