// SPDX-License-Identifier: MIT
/*
 * control.c - the control queue: a few workers that take requests from it and give back answers.
 *
 * Requests of one process run in the order they were sent, one at a time (PARKED followed by UNPARK
 * must not change places); requests of different processes run side by side, so that a long one of
 * one program doesn't keep another waiting. A worker takes a chain from the ring, reads its header
 * to see whose it is, and runs it or leaves it in the list until that process's current request is
 * done.
 *
 * Without memory for what it takes, requests still go on, one at a time: one job is there from the
 * beginning.
 *
 * Whatever touches the DMA map or ends everything pauses the workers first: none starts a request
 * then, and pausing waits for those that run.
 */
#define LOG_PART "vmm"
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmm/device_internal.h"

struct job {
	struct job *next;
	int process;
	bool repark; /* not a request: no chain */
	struct hsv_request request;
	struct vq_chain chain;
};

/* NULL: there's no memory, and the spare one is in use; its end leads here again. */
static struct job *job_new(struct control *c)
{
	struct job *job = malloc(sizeof(*job));

	if (!job && !c->spare_used) {
		c->spare_used = true;
		job = c->spare;
	}
	return job;
}

static void job_free(struct control *c, struct job *job)
{
	if (job == c->spare)
		c->spare_used = false;
	else
		free(job);
}

static bool runnable(const struct control *c, int process)
{
	return process == NO_PROCESS || !c->busy[process];
}

static void drop_jobs(struct control *c)
{
	while (c->first) {
		struct job *job = c->first;

		c->first = job->next;
		job_free(c, job);
	}
	c->last = &c->first;
	c->jobs = 0;
	memset(c->repark, 0, sizeof(c->repark));
	c->repark_any = false;
}

/* A waiting job whose turn it is, or NULL. */
static struct job *take_waiting(struct control *c)
{
	for (struct job **p = &c->first; *p; p = &(*p)->next) {
		struct job *job = *p;

		if (!runnable(c, job->process))
			continue;
		*p = job->next;
		if (c->last == &job->next)
			c->last = p;
		return job;
	}
	return NULL;
}

static struct job *take_repark(struct control *c)
{
	struct job *job;

	if (!c->repark_any)
		return NULL;
	for (int i = 0; i < HSV_MAX_PROCESSES; i++) {
		if (!c->repark[i] || c->busy[i])
			continue;
		job = job_new(c);
		if (!job)
			return NULL;
		c->repark[i] = false;
		job->repark = true;
		job->process = i;
		return job;
	}
	c->repark_any = false;
	for (int i = 0; i < HSV_MAX_PROCESSES; i++)
		c->repark_any |= c->repark[i];
	return NULL;
}

/* Moves everything from the ring to the list. */
static void take_from_ring(struct hsv_device *dev)
{
	struct control *c = &dev->control;

	if (!c->vq.enabled || !virtio_driver_ok(&dev->virtio))
		return;
	do {
		for (;;) {
			struct job *job;
			int ret;

			job = job_new(c);
			if (!job)
				return;
			ret = vq_pop(&c->vq, &job->chain);
			if (ret <= 0) {
				job_free(c, job);
				break;
			}
			if (c->jobs ==
			    c->vq.size) { /* so it made descriptors available that are in use */
				log_warn("the guest has more requests under way than its queue "
					 "holds");
				job_free(c, job);
				c->vq.broken = true;
				break;
			}
			job->next = NULL;
			job->repark = false;
			memset(&job->request, 0, sizeof(job->request));
			/* A header that can't be read leaves type 0, which no request has. */
			if (vq_chain_get(&c->vq, &job->chain, 0, &job->request,
					 sizeof(job->request)))
				memset(&job->request, 0, sizeof(job->request));
			job->process = request_process(&job->request);
			*c->last = job;
			c->last = &job->next;
			c->jobs++;
		}
	} while (vq_want_notify(&c->vq, true));
	if (c->vq.broken)
		virtio_needs_reset(&dev->virtio);
}

static void run(struct hsv_device *dev, struct job *job)
{
	struct control *c = &dev->control;
	struct hsv_process *p = job->process == NO_PROCESS ? NULL : &dev->processes[job->process];
	uint32_t written = 0;

	c->active++;
	if (p)
		c->busy[job->process] = true;
	pthread_mutex_unlock(&c->lock);

	if (!job->repark)
		written = request_run(dev, &c->vq, &job->chain, &job->request);
	else if (p->kfd && atomic_load(&p->armed))
		kfd_process_parked(
			p->kfd); /* -EAGAIN: it'll be idle again, and then we're here again */

	pthread_mutex_lock(&c->lock);
	if (p)
		c->busy[job->process] = false;
	if (!job->repark) {
		c->jobs--;
		if (vq_push(&c->vq, job->chain.head, written))
			virtio_needs_reset(&dev->virtio);
		else if (vq_should_interrupt(&c->vq))
			virtio_interrupt(&dev->virtio, HSV_QUEUE_CONTROL);
	}
	job_free(c, job);
	c->active--;
	if (c->active == 0)
		pthread_cond_broadcast(&c->idle);
}

static void *worker(void *arg)
{
	struct hsv_device *dev = arg;
	struct control *c = &dev->control;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		struct job *job = NULL;

		if (!c->paused) {
			job = take_waiting(c);
			if (!job)
				job = take_repark(c);
			if (!job) {
				take_from_ring(dev);
				job = take_waiting(c);
			}
		}
		if (!job) {
			pthread_cond_wait(&c->work, &c->lock);
			continue;
		}
		if (c->first || c->repark_any)
			pthread_cond_signal(&c->work);
		run(dev, job);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int control_init(struct hsv_device *dev)
{
	struct control *c = &dev->control;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	pthread_cond_init(&c->idle, NULL);
	c->last = &c->first;
	vq_reset(&c->vq, &dev->dma, HSV_QUEUE_SIZE);
	c->spare = malloc(sizeof(*c->spare));
	if (!c->spare) {
		control_fini(dev);
		return -ENOMEM;
	}
	for (; c->num_workers < CONTROL_WORKERS; c->num_workers++) {
		int ret = pthread_create(&c->workers[c->num_workers], NULL, worker, dev);

		if (ret) {
			control_fini(dev);
			return -ret;
		}
	}
	return 0;
}

void control_fini(struct hsv_device *dev)
{
	struct control *c = &dev->control;

	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
	while (c->num_workers)
		pthread_join(c->workers[--c->num_workers], NULL);
	drop_jobs(c);
	free(c->spare);
	pthread_cond_destroy(&c->idle);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
}

int control_enable(struct hsv_device *dev, const struct virtio_queue_regs *regs, uint64_t features)
{
	struct control *c = &dev->control;
	int ret;

	pthread_mutex_lock(&c->lock);
	vq_reset(&c->vq, &dev->dma, regs->size);
	c->vq.desc = regs->desc;
	c->vq.avail = regs->avail;
	c->vq.used = regs->used;
	c->vq.indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	c->vq.event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	ret = vq_enable(&c->vq);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

void control_notify(struct hsv_device *dev)
{
	pthread_mutex_lock(&dev->control.lock);
	pthread_cond_signal(&dev->control.work);
	pthread_mutex_unlock(&dev->control.lock);
}

void control_repark(struct hsv_device *dev, uint32_t process)
{
	struct control *c = &dev->control;

	pthread_mutex_lock(&c->lock);
	c->repark[process] = true;
	c->repark_any = true;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
}

void control_pause(struct hsv_device *dev, bool drop)
{
	struct control *c = &dev->control;

	pthread_mutex_lock(&c->lock);
	c->paused++;
	while (c->active)
		pthread_cond_wait(&c->idle, &c->lock);
	if (drop) {
		drop_jobs(c);
		vq_reset(&c->vq, &dev->dma, HSV_QUEUE_SIZE);
	}
	pthread_mutex_unlock(&c->lock);
}

void control_resume(struct hsv_device *dev)
{
	struct control *c = &dev->control;

	pthread_mutex_lock(&c->lock);
	c->paused--;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
}
