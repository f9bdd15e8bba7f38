// SPDX-License-Identifier: MIT
/*
 * swap.c - VRAM of the VM that is swapped out while its tenant is idle (arbiter/swap.h).
 *
 * The guest maps VRAM through QEMU, where this process can't make it wait: so the guest is asked to
 * unmap it (HSV_EVENT_VRAM_AWAY) and comes first (HSV_REQ_VRAM_BACK) before it maps it again. One
 * that does not answer in time keeps its VRAM. One that answers and does not unmap spoils its own.
 *
 * Of a VM with several GPUs each one's VRAM is swapped by itself, but the guest unmaps all of it for
 * any, and gets all of it back. vram_guest_back() has them come in the daemon's order of GPUs, in
 * every broker: so two VMs can't each keep what the other one waits for.
 */
#define LOG_PART "vmm"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/log.h"
#include "vmm/device_internal.h"

/*
 * How long a guest has for an answer, and that again with each piece of VRAM that it gives back meanwhile, as pages of programs go back to its own memory first. It
 * may be slow: a guest's CPU can be late, or emulated. But who asked for the room waits no longer than CHARGE_NS (arbiter/pool.c).
 */
#define ANSWER_S 3
#define MOST_S	 8

static struct timespec seconds_after(struct timespec t, int seconds)
{
	t.tv_sec += seconds;
	return t;
}

static bool earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Waits until the guest has answered, is another (its reset count is not the one given), or took too long. Lock held. */
static int wait_for_answer(struct vram_guest *g, unsigned reset)
{
	struct timespec now, last;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	last = seconds_after(now, MOST_S);
	while (!g->away && !ret && g->reset == reset) {
		unsigned gives = g->gives;
		struct timespec until = seconds_after(now, ANSWER_S);

		if (earlier(&last, &until))
			until = last;
		while (!g->away && !ret && g->reset == reset && g->gives == gives)
			ret = -pthread_cond_clockwait(&g->answered, &g->lock, CLOCK_MONOTONIC, &until);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	return g->away ? 0 : ret ? ret : -ECANCELED;
}

static int stop(void *ctx)
{
	struct hsv_device *dev = ctx;
	struct vram_guest *g = &dev->vram_guest;
	unsigned reset;
	int ret;

	if (!virtio_driver_ok(&dev->virtio))
		return 0; /* nobody uses it */
	if (!virtio_has_feature(&dev->virtio, HSV_F_SWAP))
		return -EOPNOTSUPP;
	pthread_mutex_lock(&g->lock);
	reset = g->reset;
	if (!g->away) {
		pthread_mutex_unlock(&g->lock);
		events_vram_away(dev);
		pthread_mutex_lock(&g->lock);
	}
	ret = wait_for_answer(g, reset);
	pthread_mutex_unlock(&g->lock);
	return ret;
}

static const struct swap_ops ops = {.stop = stop};

int vram_swap_init(struct hsv_device *dev)
{
	int ret = 0;

	for (uint32_t i = 0; i < dev->num_gpus && !ret; i++) {
		struct device_gpu *g = &dev->gpus[i];
		struct swap_config config = {
			.client = g->arbiter,
			.vram = g->vram,
			.size = g->vram_size,
			.vram_fd = dev->vram_fd,
			.vram_offset = g->vram_offset,
			.ops = &ops,
			.ctx = dev,
		};

		if (g->arbiter)
			ret = swap_open(&config, &g->swap);
	}
	return ret;
}

void vram_swap_fini(struct hsv_device *dev)
{
	for (uint32_t i = 0; i < dev->num_gpus; i++) {
		swap_close(dev->gpus[i].swap);
		dev->gpus[i].swap = NULL;
	}
	pthread_cond_destroy(&dev->vram_guest.answered);
	pthread_mutex_destroy(&dev->vram_guest.lock);
}

void vram_reset(struct hsv_device *dev)
{
	struct vram_guest *g = &dev->vram_guest;

	pthread_mutex_lock(&g->lock);
	g->away = false;
	g->reset++;
	pthread_cond_broadcast(&g->answered);
	pthread_mutex_unlock(&g->lock);
	/* The next driver does not know that it was away. No buffer is left, so nothing is to be
	 * copied, and what it writes meanwhile stays. */
	for (uint32_t i = 0; i < dev->num_gpus; i++)
		swap_want(dev->gpus[i].swap);
}

void vram_clear(struct device_gpu *gpu, uint64_t offset, uint64_t size)
{
	/* Gives the pages back; they are zeroes when touched again, whoever has them mapped. */
	if (gpu->swap)
		swap_clear(gpu->swap, offset, size);
	else if (madvise(gpu->vram + offset, size, MADV_REMOVE))
		memset(gpu->vram + offset, 0, size);
}

void vram_guest_away(struct hsv_device *dev)
{
	struct vram_guest *g = &dev->vram_guest;

	pthread_mutex_lock(&g->lock);
	g->away = true;
	pthread_cond_broadcast(&g->answered);
	pthread_mutex_unlock(&g->lock);
}

void vram_guest_gives(struct hsv_device *dev)
{
	struct vram_guest *g = &dev->vram_guest;

	pthread_mutex_lock(&g->lock);
	g->gives++;
	pthread_cond_broadcast(&g->answered);
	pthread_mutex_unlock(&g->lock);
}

void vram_guest_back(struct hsv_device *dev)
{
	struct vram_guest *g = &dev->vram_guest;
	bool away;

	pthread_mutex_lock(&g->lock);
	away = g->away;
	pthread_mutex_unlock(&g->lock);
	/* It did not say that it is away: then it isn't taken away either, and a wait for the
	 * answer to the question that is on its way would be one for ever. */
	if (!away)
		return;
	/* Held, so that it does not go in between. */
	for (uint32_t i = 0; i < dev->num_gpus; i++)
		swap_hold(dev->gpus[i].swap);
	pthread_mutex_lock(&g->lock);
	g->away = false;
	pthread_mutex_unlock(&g->lock);
	for (uint32_t i = dev->num_gpus; i--;)
		swap_release(dev->gpus[i].swap);
}
