// SPDX-License-Identifier: GPL-2.0
/*
 * cases-swap.c - attacks by what a guest says about VRAM that is swapped out: lies, storms,
 * silence.
 *
 * They are of most use while others want the VRAM (tests/e2e/test_vram.py); each logs how often the
 * device asked for it.
 */
#include <linux/delay.h>

#include "hostile.h"

#define SWAP_SIZE  (128ULL << 20)
#define SWAP_VA	   (GPU_VA + (1ULL << 36))
#define ANSWER_MS  30000 /* VRAM may have to be swapped out and in */
#define ATTACK_MS  4000
#define SILENCE_MS 7000

static int begin(struct hostile *h, u64 *handle)
{
	int err = gpu_process(h, 1) ?: gpu_queue(h, 1);

	if (!err)
		err = gpu_alloc(h, 1,
				KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
				SWAP_VA, SWAP_SIZE, 0, handle);
	return err ? case_fail(h, "no VRAM: %d", err) : 0;
}

/* How often it was asked since the last look; the buffers are offered again. */
static u32 asked(struct hostile *h)
{
	struct hostile_queue *q = &h->queues[HSV_QUEUE_EVENT];
	u32 n = 0;

	while (q->next_used != le16_to_cpu(smp_load_acquire(&q->used->idx))) {
		u32 id = le32_to_cpu(q->used->ring[q->next_used++ % HSV_QUEUE_SIZE].id) % 64;
		struct hsv_event *event = (void *)(h->area + AREA_JUNK + id * 64);

		n += le32_to_cpu(event->type) == HSV_EVENT_VRAM_AWAY;
		offer(h, HSV_QUEUE_EVENT, id);
	}
	kick(h, HSV_QUEUE_EVENT);
	return n;
}

static void scribble(struct hostile *h)
{
	memset(h->vram + hostile_random(h) % 128 * 4096, 0x5a, 64 * 4096);
}

/* With a process, a code and arguments, none of which it has. */
static int tell(struct hostile *h, u32 type)
{
	u8 args[16] = {1, 2, 3};
	int err = request(h, type, hostile_random(h) >> hostile_random(h) % 32, hostile_random(h),
			  args, sizeof(args), 0, 64);

	return err ? case_fail(h, "type %u: %d", type, err) : 0;
}

static int run_kernel(struct hostile *h)
{
	int err;

	gpu_dispatch(h, GPU_ENDS, 0);
	err = gpu_wait(h, ANSWER_MS);
	return err ? case_fail(h, "a kernel does not run: %d", err) : 0;
}

static int end(struct hostile *h, u32 times)
{
	int err = destroy_process(h, 1);

	pr_info("asked %u times\n", times);
	return err ? case_fail(h, "ends: %d", err) : 0;
}

/* Away when nobody asked, back when it never went, writing all the time. */
static int lies(struct hostile *h)
{
	static const u32 said[] = {HSV_REQ_VRAM_AWAY, HSV_REQ_VRAM_AWAY, HSV_REQ_VRAM_BACK,
				   HSV_REQ_VRAM_BACK, HSV_REQ_VRAM_AWAY, HSV_REQ_VRAM_BACK};
	unsigned long until;
	u64 handle;
	u32 i, times = 0;
	int err = begin(h, &handle);

	for (until = jiffies + msecs_to_jiffies(ATTACK_MS); !err && time_before(jiffies, until);) {
		for (i = 0; i < ARRAY_SIZE(said) && !err; i++) {
			err = tell(h, said[i]);
			scribble(h);
			if (!err && i % 2)
				err = run_kernel(h);
		}
		times += asked(h);
	}
	return err ?: end(h, times);
}

/* All requests at once, in any order. */
static int storm(struct hostile *h)
{
	unsigned long until;
	u64 handle;
	u32 slot, times = 0;
	int err = begin(h, &handle);

	for (until = jiffies + msecs_to_jiffies(ATTACK_MS); !err && time_before(jiffies, until);) {
		for (slot = 0; slot < 60; slot++)
			post(h, slot, hostile_random(h) % 2 ? HSV_REQ_VRAM_AWAY : HSV_REQ_VRAM_BACK,
			     hostile_random(h), hostile_random(h), NULL, 0, 0, 0);
		kick(h, HSV_QUEUE_CONTROL);
		scribble(h);
		err = reap(h, HSV_QUEUE_CONTROL, 60, ANSWER_MS);
		if (err)
			return case_fail(h, "not all are answered: %d", err);
		err = run_kernel(h);
		times += asked(h);
	}
	return err ?: end(h, times);
}

/* Never answers. It is served meanwhile, and keeps what it has. */
static int silence(struct hostile *h)
{
	unsigned long until;
	u64 handle;
	u32 times = 0;
	int err = begin(h, &handle);

	for (until = jiffies + msecs_to_jiffies(SILENCE_MS); !err && time_before(jiffies, until);) {
		unsigned long start = jiffies;

		scribble(h);
		if (request(h, 0, 0, 0, NULL, 0, 0, 0) != -ENOTTY)
			return case_fail(h, "is not served");
		if (time_after(jiffies, start + 2 * HZ))
			return case_fail(h, "is served late");
		times += asked(h);
		msleep(20);
	}
	return err ?: end(h, times);
}

/* Agrees, and uses it as if it hadn't; then goes without a word. */
static int stays(struct hostile *h)
{
	struct kfd_ioctl_free_memory_of_gpu_args args = {};
	unsigned long until;
	u32 times = 0;
	int err = begin(h, &args.handle);

	for (until = jiffies + msecs_to_jiffies(ATTACK_MS); !err && time_before(jiffies, until);) {
		u32 n = asked(h);

		times += n;
		scribble(h);
		if (!n) {
			msleep(5);
			continue;
		}
		err = tell(h, HSV_REQ_VRAM_AWAY);
		scribble(h);
		if (!err && times % 2) {
			/* Frees what is away, and wants as much again. */
			err = kfd(h, 1, AMDKFD_IOC_FREE_MEMORY_OF_GPU, &args, 0)
				      ?: gpu_alloc(h, 1,
						   KFD_IOC_ALLOC_MEM_FLAGS_VRAM |
							   KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE,
						   SWAP_VA, SWAP_SIZE, 0, &args.handle);
			if (err)
				return case_fail(h, "freed while away: %d", err);
		}
	}
	return err ?: end(h, times);
}

const struct hostile_case swap_cases[] = {
	{"swap-lies", lies, SERVES},
	{"swap-storm", storm, SERVES},
	{"swap-silence", silence, SERVES},
	{"swap-stays", stays, SERVES},
	{},
};
