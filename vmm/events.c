// SPDX-License-Identifier: MIT
/*
 * events.c - the event queue: what the GPU has to tell the guest.
 *
 * GPU threads must not wait for a guest, no signal may get lost, and a guest that gives us no
 * buffers must not cost memory without bound. So what is to be told is kept as state, not as a
 * list: of each process a bit for each event id, the first memory fault, a lost GPU, a wish to
 * park, and the few page requests that it may have unanswered. Setting a bit that is set already is
 * what KFD events do anyway. Whoever changes the state or brings buffers (a GPU thread, the main
 * thread on a notification) moves as much as possible from state into buffers.
 *
 * A notification costs the guest an exit, so it is asked for none while it keeps up. When its buffers
 * run out (it is slow to return them, not gone), a thread of ours looks again each millisecond for
 * a tenth of a second; only then the guest is asked to notify us of the next buffer.
 */
#define LOG_PART "vmm"
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "vmm/device_internal.h"

#define RETRY_NS    1000000
#define RETRY_TRIES 100

static void deliver(struct hsv_device *dev);

static void *retry_thread(void *arg)
{
	struct hsv_device *dev = arg;
	struct events *e = &dev->events;

	pthread_mutex_lock(&e->lock);
	while (!e->stop) {
		struct timespec until;

		if (!e->starved) {
			pthread_cond_wait(&e->retry, &e->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += RETRY_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		while (!e->stop && pthread_cond_timedwait(&e->retry, &e->lock, &until) != ETIMEDOUT)
			;
		if (e->starved) {
			e->tries++;
			deliver(dev);
		}
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

int events_init(struct hsv_device *dev)
{
	struct events *e = &dev->events;
	pthread_condattr_t attr;
	int ret;

	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->retry, &attr);
	pthread_condattr_destroy(&attr);
	vq_reset(&e->vq, &dev->dma, HSV_QUEUE_SIZE);
	ret = pthread_create(&e->thread, NULL, retry_thread, dev);
	e->started = ret == 0;
	return -ret;
}

void events_fini(struct hsv_device *dev)
{
	struct events *e = &dev->events;

	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_signal(&e->retry);
	pthread_mutex_unlock(&e->lock);
	if (e->started)
		pthread_join(e->thread, NULL);
	pthread_cond_destroy(&e->retry);
	pthread_mutex_destroy(&e->lock);
}

/* Takes one event out of the state of a process that has one, and sees whether more are left. */
static void take(struct events *e, uint32_t process, struct hsv_event *event)
{
	struct pending *p = &e->pending[process];
	unsigned i = 0;

	memset(event, 0, sizeof(*event));
	event->process = htole32(process);
	if (p->fault) {
		*event = p->fault_event;
		p->fault = false;
	} else if (p->exception) {
		*event = p->exception_event;
		p->exception = false;
	} else if (p->num_pages) {
		event->type = htole32(HSV_EVENT_PAGES);
		event->pages.va = htole64(p->pages[0].va);
		event->pages.size = htole64(p->pages[0].size);
		event->pages.prot = htole32(p->pages[0].prot);
		p->num_pages--;
		memmove(p->pages, p->pages + 1, p->num_pages * sizeof(p->pages[0]));
	} else if (p->signal) {
		while (!p->signals[i])
			i++;
		event->type = htole32(HSV_EVENT_SIGNAL);
		event->event_id = htole32(i * 64 + (unsigned)__builtin_ctzll(p->signals[i]));
		p->signals[i] &= p->signals[i] - 1;
		while (i < SIGNAL_WORDS && !p->signals[i])
			i++;
		p->signal = i < SIGNAL_WORDS;
	} else {
		event->type = htole32(HSV_EVENT_PARK);
		p->park = false;
	}
	p->any = p->fault || p->exception || p->signal || p->num_pages || p->park;
	if (!p->any)
		e->num_pending--;
}

/* A process with something pending, each in its turn. There's one. */
static uint32_t next_process(struct events *e)
{
	do
		e->cursor = (e->cursor + 1) % HSV_MAX_PROCESSES;
	while (!e->pending[e->cursor].any);
	return e->cursor;
}

/* Moves what is pending into the guest's buffers, as far as they go. Lock held. */
static void deliver(struct hsv_device *dev)
{
	struct events *e = &dev->events;
	bool pushed = false;
	int ret = 0;

	if (!e->vq.enabled || !virtio_driver_ok(&dev->virtio))
		return;
	while (e->num_pending || e->vram_away) {
		struct hsv_event event;

		ret = vq_pop(&e->vq, &e->chain);
		if (ret == 0) {
			if (e->tries < RETRY_TRIES) {
				if (!e->starved)
					pthread_cond_signal(&e->retry);
				e->starved = true;
				break;
			}
			e->starved = false;
			if (vq_want_notify(&e->vq, true))
				continue;
			break;
		}
		if (ret < 0)
			break;
		if (e->vram_away) {
			memset(&event, 0, sizeof(event));
			event.type = htole32(HSV_EVENT_VRAM_AWAY);
			e->vram_away = false;
		} else {
			take(e, next_process(e), &event);
		}
		if (e->chain.write_size < sizeof(event) ||
		    vq_chain_put(&e->vq, &e->chain, 0, &event, sizeof(event)) ||
		    vq_push(&e->vq, e->chain.head, sizeof(event))) {
			log_warn("the guest's event buffer is too small or not memory");
			e->vq.broken = true;
			ret = -1;
			break;
		}
		pushed = true;
	}
	if (ret < 0 || e->vq.broken)
		virtio_needs_reset(&dev->virtio);
	else if (!e->num_pending && !e->vram_away)
		vq_want_notify(&e->vq, false);
	if ((!e->num_pending && !e->vram_away) || e->vq.broken) {
		e->starved = false;
		e->tries = 0;
	}
	if (pushed && vq_should_interrupt(&e->vq))
		virtio_interrupt(&dev->virtio, HSV_QUEUE_EVENT);
}

static struct pending *begin(struct hsv_process *p)
{
	struct events *e = &p->dev->events;

	pthread_mutex_lock(&e->lock);
	return &e->pending[p->id];
}

static void end(struct hsv_process *p)
{
	struct events *e = &p->dev->events;

	if (!e->pending[p->id].any) {
		e->pending[p->id].any = true;
		e->num_pending++;
	}
	deliver(p->dev);
	pthread_mutex_unlock(&e->lock);
}

void events_signal(void *ctx, uint32_t event_id)
{
	struct pending *s;

	if (event_id >= KFD_SIGNAL_EVENT_LIMIT) {
		log_debug("signal of event %u, which can't exist", event_id);
		return;
	}
	s = begin(ctx);
	s->signals[event_id / 64] |= UINT64_C(1) << event_id % 64;
	s->signal = true;
	end(ctx);
}

void events_memory_fault(void *ctx, uint32_t gpu_id, const struct gpu_memory_fault *fault)
{
	struct hsv_process *p = ctx;
	struct pending *s = begin(p);

	if (!s->fault) {
		memset(&s->fault_event, 0, sizeof(s->fault_event));
		s->fault_event.type = htole32(HSV_EVENT_MEMORY_FAULT);
		s->fault_event.process = htole32(p->id);
		s->fault_event.memory.va = htole64(fault->va);
		s->fault_event.memory.not_present = htole32(fault->not_present);
		s->fault_event.memory.read_only = htole32(fault->read_only);
		s->fault_event.memory.no_execute = htole32(fault->no_execute);
		s->fault_event.memory.gpu = htole32(device_gpu_index(gpu_id));
		s->fault = true;
	}
	end(p);
}

void events_hw_exception(void *ctx, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause)
{
	struct hsv_process *p = ctx;
	struct pending *s = begin(p);

	memset(&s->exception_event, 0, sizeof(s->exception_event));
	s->exception_event.type = htole32(HSV_EVENT_HW_EXCEPTION);
	s->exception_event.process = htole32(p->id);
	s->exception_event.exception.reset_type = htole32(reset_type);
	s->exception_event.exception.reset_cause = htole32(reset_cause);
	s->exception_event.exception.gpu = htole32(device_gpu_index(gpu_id));
	s->exception = true;
	end(p);
}

void events_idle(void *ctx)
{
	struct hsv_process *p = ctx;
	struct pending *s;

	if (!virtio_has_feature(&p->dev->virtio, HSV_F_PARK))
		return;
	if (atomic_load(&p->armed)) {
		control_repark(p->dev, p->id);
		return;
	}
	s = begin(p);
	s->park = true;
	end(p);
}

/*
 * 0; -EOPNOTSUPP: the guest can't; -ENOSPC: more than HSV_MAX_PAGE_REQUESTS are unanswered, which the
 * core sees to.
 */
int events_page_request(void *ctx, uint64_t va, uint64_t size, unsigned prot)
{
	struct hsv_process *p = ctx;
	struct pending *s;

	if (!virtio_has_feature(&p->dev->virtio, HSV_F_PAGING))
		return -EOPNOTSUPP;
	s = begin(p);
	if (s->num_pages == MAX_UNTOLD_PAGES) {
		pthread_mutex_unlock(&p->dev->events.lock);
		log_warn("process %u: too many page requests", p->id);
		return -ENOSPC;
	}
	s->pages[s->num_pages++] = (struct page_request){va, size, s->pages_seq++, prot};
	end(p);
	return 0;
}

uint64_t events_pages_mark(struct hsv_process *p)
{
	uint64_t mark = begin(p)->pages_seq;

	pthread_mutex_unlock(&p->dev->events.lock);
	return mark;
}

void events_pages_answered(struct hsv_process *p, uint64_t mark, uint64_t va, uint64_t size)
{
	struct events *e = &p->dev->events;
	struct pending *s = begin(p);
	unsigned n = 0;

	for (unsigned i = 0; i < s->num_pages; i++) {
		const struct page_request *r = &s->pages[i];

		if (r->seq >= mark || r->va < va || r->va - va >= size)
			s->pages[n++] = *r;
	}
	s->num_pages = n;
	if (s->any && !s->fault && !s->exception && !s->signal && !s->num_pages && !s->park) {
		s->any = false;
		e->num_pending--;
	}
	pthread_mutex_unlock(&e->lock);
}

void events_vram_away(struct hsv_device *dev)
{
	pthread_mutex_lock(&dev->events.lock);
	dev->events.vram_away = true;
	deliver(dev);
	pthread_mutex_unlock(&dev->events.lock);
}

int events_enable(struct hsv_device *dev, const struct virtio_queue_regs *regs, uint64_t features)
{
	struct virtqueue *vq = &dev->events.vq;
	int ret;

	pthread_mutex_lock(&dev->events.lock);
	vq_reset(vq, &dev->dma, regs->size);
	vq->desc = regs->desc;
	vq->avail = regs->avail;
	vq->used = regs->used;
	vq->indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	vq->event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	ret = vq_enable(vq);
	if (!ret)
		vq_want_notify(vq, false);
	pthread_mutex_unlock(&dev->events.lock);
	return ret;
}

void events_notify(struct hsv_device *dev)
{
	pthread_mutex_lock(&dev->events.lock);
	deliver(dev);
	pthread_mutex_unlock(&dev->events.lock);
}

void events_forget(struct hsv_device *dev, uint32_t process)
{
	struct events *e = &dev->events;

	pthread_mutex_lock(&e->lock);
	if (e->pending[process].any)
		e->num_pending--;
	memset(&e->pending[process], 0, sizeof(e->pending[process]));
	pthread_mutex_unlock(&e->lock);
}

void events_reset(struct hsv_device *dev)
{
	struct events *e = &dev->events;

	pthread_mutex_lock(&e->lock);
	vq_reset(&e->vq, &dev->dma, HSV_QUEUE_SIZE);
	memset(e->pending, 0, sizeof(e->pending));
	e->num_pending = 0;
	e->vram_away = false;
	e->starved = false;
	e->tries = 0;
	pthread_mutex_unlock(&e->lock);
}
