// SPDX-License-Identifier: GPL-2.0
/*
 * cases-gpu.c - attacks by GPU processes and shared memory: ends while kernels run, doorbells,
 * events nobody takes, VRAM.
 */
#include <linux/delay.h>
#include <linux/kthread.h>

#include "hostile.h"

static int ends_while_running(struct hostile *h)
{
	u32 i;
	int err = 0;

	for (i = 0; i < 25 && !err; i++) {
		struct kfd_ioctl_destroy_queue_args queue = {};

		err = gpu_process(h, i % 3) ?: gpu_queue(h, i % 3);
		if (err)
			break;
		gpu_dispatch(h, GPU_SPINS, 0);
		if (i % 5)
			usleep_range(100, 20000);
		if (i % 2) {
			queue.queue_id = h->queue_id;
			err = kfd(h, i % 3, AMDKFD_IOC_DESTROY_QUEUE, &queue, 0);
			/* The ring is still written. */
			gpu_dispatch(h, GPU_SPINS, 0);
		}
		if (!err)
			err = destroy_process(h, i % 3);
		/* Its doorbells too. */
		gpu_dispatch(h, GPU_ENDS, 0);
	}
	return err ? case_fail(h, "round %u: %d", i, err) : 0;
}

static int queue_churn(struct hostile *h)
{
	struct kfd_ioctl_destroy_queue_args queue = {};
	u32 i, most = 0;
	int err = gpu_process(h, 1);

	for (i = 0; i < 300 && !err; i++) {
		err = gpu_queue(h, 1);
		if (err)
			break;
		if (i % 10 == 0)
			gpu_dispatch(h, i % 20 ? GPU_ENDS : GPU_SPINS, 0);
		queue.queue_id = h->queue_id;
		err = kfd(h, 1, AMDKFD_IOC_DESTROY_QUEUE, &queue, 0);
	}
	if (err)
		return case_fail(h, "queue %u: %d", i, err);
	/* Until there are no more; all share a ring. */
	while (most < 5000 && !gpu_queue(h, 1))
		most++;
	if (!most || most == 5000)
		return case_fail(h, "%u queues", most);
	err = destroy_process(h, 1);
	return err ? case_fail(h, "ends: %d", err) : 0;
}

struct storm {
	struct hostile *h;
	u32 seed;
	bool vram;
};

/* Any value to any doorbell of any process. */
static int storm_thread(void *data)
{
	struct storm *s = data;
	struct hostile *h = s->h;
	u64 words = (s->vram ? h->vram_size : h->doorbells_size) / 8;
	u64 *at = s->vram ? (u64 *)h->vram : h->doorbells;
	u32 n = 0;

	while (!kthread_should_stop()) {
		s->seed = s->seed * 1664525 + 1013904223;
		WRITE_ONCE(at[(s->seed >> 4) % words], n % 3 ? s->seed >> 20 : ~0ULL - s->seed);
		if (n++ % 4096 == 0)
			cond_resched();
	}
	return 0;
}

static int storm(struct hostile *h, bool vram)
{
	struct task_struct *threads[8] = {};
	struct storm storms[8];
	unsigned int i, n = min(num_online_cpus(), 8U);
	unsigned long end = jiffies + HZ;
	int err = 0;

	for (i = 0; i < 4 && !err; i++)
		err = gpu_process(h, i) ?: gpu_queue(h, i);
	if (err)
		return case_fail(h, "processes: %d", err);
	for (i = 0; i < n; i++) {
		storms[i] = (struct storm){h, i + 1, vram};
		threads[i] = kthread_run(storm_thread, &storms[i], "hostile-storm");
		if (IS_ERR(threads[i]))
			threads[i] = NULL;
	}
	while (time_before(jiffies, end) && !err)
		err = create_process(h, 9) ?: destroy_process(h, 9);
	for (i = 0; i < n; i++)
		if (threads[i])
			kthread_stop(threads[i]);
	if (err)
		return case_fail(h, "a request in the storm: %d", err);
	for (i = 0; i < 4 && !err; i++)
		err = destroy_process(h, i);
	return err ? case_fail(h, "ends: %d", err) : 0;
}

static int doorbell_storm(struct hostile *h)
{
	return storm(h, false);
}

static int vram_storm(struct hostile *h)
{
	return storm(h, true);
}

/*
 * VRAM is this VM's own: no word of it may be anything but 0 or what we wrote, whatever others do
 * meanwhile. Allocated or not, all of it may be written.
 */
static int vram_scan(struct hostile *h)
{
	u64 *words = (u64 *)h->vram, n = h->vram_size / 8, i, mark = 0x4853562d484f5354ULL;
	struct kfd_ioctl_free_memory_of_gpu_args args = {};
	int err, round;

	for (i = 0; i < n; i++)
		words[i] = mark;
	err = gpu_process(h, 1);
	for (round = 0; round < 6 && !err; round++) {
		err = gpu_alloc(
			h, 1, KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
			GPU_VA + (1ULL << 36), h->vram_size / 4 & ~0xfffULL, 0, &args.handle);
		for (i = 0; i < n && !err; i++)
			if (words[i] && words[i] != mark)
				err = case_fail(h, "VRAM at %#llx has %#llx", i * 8, words[i]);
		if (!err)
			err = kfd(h, 1, AMDKFD_IOC_FREE_MEMORY_OF_GPU, &args, 0);
		if (round % 2 == 0)
			memset64(words, mark, n);
	}
	if (err)
		return err == -EBADE ? err : case_fail(h, "VRAM: %d", err);
	/* Beyond it, in the BAR's rest: nothing to read, and nothing that is hit. */
	if (pci_resource_len(h->pdev, 2) > h->vram_size) {
		void __iomem *rest =
			ioremap(pci_resource_start(h->pdev, 2) + h->vram_size, PAGE_SIZE);

		if (!rest)
			return -ENOMEM;
		for (i = 0; i < PAGE_SIZE; i += 64) {
			iowrite32(~0U, rest + i);
			if (ioread32(rest + i) != 0)
				err = case_fail(h, "there is memory beyond the quota");
		}
		iounmap(rest);
	}
	memset64(words, 0, n);
	return err;
}

/* Signals that the guest takes no notice of: no buffers, then bad ones. */
static int events_not_taken(struct hostile *h)
{
	struct hostile_queue *q = &h->queues[HSV_QUEUE_EVENT];
	u32 i;
	int err = gpu_process(h, 1) ?: gpu_queue(h, 1);

	if (err)
		return case_fail(h, "no queue: %d", err);
	/* 64 buffers are there; each kernel signals another event. */
	for (i = 0; i < 400 && !err; i++) {
		gpu_dispatch(h, GPU_ENDS, 1 + i % 250);
		err = gpu_wait(h, 20000);
	}
	if (err)
		return case_fail(h, "a kernel waits for events to be taken");
	err = create_process(h, 2) ?: destroy_process(h, 2);
	if (err)
		return case_fail(h, "a request while events wait: %d", err);
	for (i = 0; i < 64; i++)
		offer(h, HSV_QUEUE_EVENT, i);
	kick(h, HSV_QUEUE_EVENT);
	err = reap(h, HSV_QUEUE_EVENT, 65, 20000);
	if (err)
		return case_fail(h, "events do not come when there are buffers again: %d", err);
	q->next_used = le16_to_cpu(q->used->idx);
	return 0;
}

static int bad_event_buffers(struct hostile *h)
{
	const struct {
		u64 at;
		u32 len;
		u16 flags;
	} bad[] = {
		{h->area_at + AREA_JUNK, 1, VRING_DESC_F_WRITE},
		{h->area_at + AREA_JUNK, sizeof(struct hsv_event) - 1, VRING_DESC_F_WRITE},
		{h->area_at + AREA_JUNK, 64, 0},
		{1ULL << 52, 64, VRING_DESC_F_WRITE},
		{~0ULL - 8, 64, VRING_DESC_F_WRITE},
		{h->area_at + AREA_JUNK, 64, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT},
		{0xfee00000, 64, VRING_DESC_F_WRITE},
	};
	u32 i, j, n;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err = device_start(h, ALL_FEATURES);
		if (!err)
			err = gpu_process(h, 1) ?: gpu_queue(h, 1);
		if (err)
			return case_fail(h, "no queue: %d", err);
		for (j = 0; j < 64;
		     j++) /* the good ones were taken over by bad ones under the device's eyes */
			put_desc(h, HSV_QUEUE_EVENT, j, bad[i].at, bad[i].len, bad[i].flags, j);
		for (j = 0; j < 3; j++) {
			gpu_dispatch(h, GPU_ENDS, 1 + j);
			err = gpu_wait(h, 20000);
			if (err)
				return case_fail(h, "a kernel waits for a bad event buffer");
		}
		for (n = 0; n < 5000 && !(device_status(h) & VIRTIO_CONFIG_S_NEEDS_RESET); n++)
			usleep_range(1000, 2000);
		if (n == 5000)
			return case_fail(h, "bad event buffer %u: no reset asked for", i);
	}
	return 0;
}

/* A queue whose packets are junk, and memory that is freed or taken away under it. */
static int junk_packets(struct hostile *h)
{
	u32 round, i;
	int err = 0;

	for (round = 0; round < 20 && !err; round++) {
		err = gpu_process(h, 1) ?: gpu_queue(h, 1);
		if (err)
			break;
		for (i = 0; i < GPU_RING_SIZE; i += 4)
			*(u32 *)(h->area + AREA_GPU + GPU_RING + i) =
				hostile_random(h) >> hostile_random(h) % 24;
		for (i = 0; i < 64; i++) {
			*(u16 *)(h->area + AREA_GPU + GPU_RING + i * 64) =
				hostile_random(h) % 8 | hostile_random(h) << 8;
			if (i % 3 == 0)
				*(u64 *)(h->area + AREA_GPU + GPU_RING + i * 64 + 32) =
					GPU_VA + (i % 2 ? GPU_ENDS : hostile_random(h) % GPU_SIZE);
		}
		*(u64 *)(h->area + AREA_GPU + GPU_POINTERS) = i % 2 ? 64 : ~0ULL - round;
		*(u64 *)(h->area + AREA_GPU + GPU_POINTERS + 64) = hostile_random(h);
		WRITE_ONCE(h->doorbells[HSV_DOORBELL_SLOT / 8 + h->queue_id],
			   round % 3 ? 63 : hostile_random(h));
		usleep_range(5000, 30000);
		err = destroy_process(h, 1);
	}
	return err ? case_fail(h, "round %u: %d", round, err) : 0;
}

const struct hostile_case gpu_cases[] = {
	{"ends-while-running", ends_while_running, SERVES},
	{"queue-churn", queue_churn, SERVES},
	{"doorbell-storm", doorbell_storm, SERVES},
	{"vram-storm", vram_storm, SERVES},
	{"vram-scan", vram_scan, SERVES},
	{"events-not-taken", events_not_taken, SERVES},
	{"bad-event-buffers", bad_event_buffers, NEEDS_RESET},
	{"junk-packets", junk_packets, SERVES},
	{},
};
