// SPDX-License-Identifier: MIT
/*
 * swap.c - VRAM of the VM that is swapped out while its tenant is idle (arbiter/swap.h).
 *
 * The guest maps VRAM through QEMU, where this process can't make it wait: so the guest is asked to
 * unmap it (HSV_EVENT_VRAM_AWAY) and comes first (HSV_REQ_VRAM_BACK) before it maps it again. One
 * that does not answer in time keeps its VRAM. One that answers and does not unmap spoils its own.
 */
#define LOG_PART "vmm"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/log.h"
#include "vmm/device_internal.h"

/* How long a guest has for an answer. It may be slow: a guest's CPU can be late, or emulated. */
#define ANSWER_S 3

static int stop(void *ctx)
{
	struct hsv_device *dev = ctx;
	struct vram_guest *g = &dev->vram_guest;
	struct timespec until;
	unsigned reset;
	int ret = 0;

	if (!virtio_driver_ok(&dev->virtio))
		return 0; /* nobody uses it */
	if (!virtio_has_feature(&dev->virtio, HSV_F_SWAP))
		return -EOPNOTSUPP;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ANSWER_S;
	pthread_mutex_lock(&g->lock);
	reset = g->reset;
	if (!g->away) {
		pthread_mutex_unlock(&g->lock);
		events_vram_away(dev);
		pthread_mutex_lock(&g->lock);
	}
	while (!g->away && !ret && g->reset == reset)
		ret = -pthread_cond_clockwait(&g->answered, &g->lock, CLOCK_MONOTONIC, &until);
	if (g->away)
		ret = 0;
	else if (!ret)
		ret = -ECANCELED;
	pthread_mutex_unlock(&g->lock);
	return ret;
}

static const struct swap_ops ops = {.stop = stop};

int vram_swap_init(struct hsv_device *dev)
{
	struct swap_config config = {
		.client = dev->arbiter,
		.vram = dev->vram,
		.size = dev->vram_size,
		.vram_fd = dev->vram_fd,
		.ops = &ops,
		.ctx = dev,
	};

	return dev->arbiter ? swap_open(&config, &dev->swap) : 0;
}

void vram_swap_fini(struct hsv_device *dev)
{
	swap_close(dev->swap);
	dev->swap = NULL;
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
	swap_want(dev->swap);
}

void vram_clear(struct hsv_device *dev, uint64_t offset, uint64_t size)
{
	/* Gives the pages back; they are zeroes when touched again, whoever has them mapped. */
	if (dev->swap)
		swap_clear(dev->swap, offset, size);
	else if (madvise(dev->vram + offset, size, MADV_REMOVE))
		memset(dev->vram + offset, 0, size);
}

void vram_guest_away(struct hsv_device *dev)
{
	struct vram_guest *g = &dev->vram_guest;

	pthread_mutex_lock(&g->lock);
	g->away = true;
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
	swap_hold(dev->swap);
	pthread_mutex_lock(&g->lock);
	g->away = false;
	pthread_mutex_unlock(&g->lock);
	swap_release(dev->swap);
}
