/* SPDX-License-Identifier: MIT */
/*
 * device_internal.h - what the files of the device share.
 *
 * Threads
 *   main	   runs the vfio-user server: registers, DMA map, resets. Never waits for a guest.
 *   workers	   run the control queue's requests (control.c, requests.c).
 *   GPU threads   report events (events.c).
 *   retry	   looks for event buffers that come back late (events.c).
 * Who may read guest memory when: workers while they run a request (control->active), GPU threads
 * and main under events->lock. So main changes the DMA map with the workers paused and events->lock
 * held. Locks are taken in the order control->lock, events->lock, irqs.lock.
 */
#ifndef VMM_DEVICE_INTERNAL_H
#define VMM_DEVICE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "abi/hsavisor.h"
#include "arbiter/swap.h"
#include "core/kfd.h"
#include "vmm/device.h"
#include "vmm/dma.h"
#include "vmm/irq.h"
#include "vmm/pci.h"
#include "vmm/virtio.h"
#include "vmm/virtqueue.h"

#define CONTROL_WORKERS 3
#define NO_PROCESS	(-1)

struct hsv_process {
	struct hsv_device *dev;
	uint32_t id;
	struct kfd_process *kfd; /* NULL: the id is free. Changed by the one request of the process
				    that runs, or with workers paused */
	_Atomic bool armed; /* the guest unmapped its doorbells: a store makes it send UNPARK */
};

struct job;

struct control {
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct virtqueue vq;
	struct job *first,
		**last;	   /* taken from the queue, waiting for another request of their process */
	struct job *spare; /* for when there's no memory */
	bool spare_used;
	unsigned jobs;	 /* taken and not given back */
	unsigned active; /* running */
	unsigned paused;
	bool stop;
	bool busy[HSV_MAX_PROCESSES];	/* a request of the process is running */
	bool repark[HSV_MAX_PROCESSES]; /* call kfd_process_parked again */
	bool repark_any;
	unsigned num_workers;
	pthread_t workers[CONTROL_WORKERS];
};

#define SIGNAL_WORDS (KFD_SIGNAL_EVENT_LIMIT / 64)

/*
 * Page requests the guest was not told yet: as many as a process may have unanswered, and as many
 * again that are being answered and not yet forgotten here.
 */
#define MAX_UNTOLD_PAGES (2 * HSV_MAX_PAGE_REQUESTS)

struct page_request {
	uint64_t va, size, seq;
	uint32_t prot;
};

/* What the guest was not told yet of a process. */
struct pending {
	bool any, park, fault, exception, signal;
	struct hsv_event fault_event, exception_event;
	uint64_t signals[SIGNAL_WORDS]; /* by event id */
	unsigned num_pages;
	uint64_t pages_seq; /* of the next page request */
	struct page_request pages[MAX_UNTOLD_PAGES]; /* oldest first */
};

struct events {
	pthread_mutex_t lock;
	pthread_cond_t retry;
	pthread_t thread; /* gives what is pending to buffers that come back late */
	bool started, stop;
	bool starved;	/* something is pending and there was no buffer: the thread tries again */
	unsigned tries; /* of the thread, since something became pending */
	struct virtqueue vq;
	struct vq_chain chain;
	unsigned num_pending, cursor;
	bool vram_away; /* pending, of the device */
	struct pending pending[HSV_MAX_PROCESSES];
};

/* The VRAM of all GPUs and the guest, while that of one is swapped; see swap.c. */
struct vram_guest {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool away;	/* the guest has unmapped it, and sends VRAM_BACK before it maps it */
	unsigned reset; /* counts: who waits for an answer stops */
	unsigned gives; /* counts: who waits for an answer goes on */
};

/* A GPU of the device. */
struct device_gpu {
	struct hsv_device *dev;
	uint8_t *vram; /* in the device's mapping */
	uint64_t vram_offset, vram_size;
	struct arbiter_counters *counters;
	struct arbiter_client *arbiter;
	struct swap *swap; /* NULL: VRAM stays where it is */
};

struct hsv_device {
	struct kfd_device *kfd;
	struct dma_map dma;
	struct irqs irqs;
	struct virtio virtio;
	struct pci pci;
	struct control control;
	struct events events;
	struct hsv_process processes[HSV_MAX_PROCESSES];
	struct hsv_config config;

	int vram_fd, doorbells_fd;
	uint8_t *vram, *doorbells;
	uint64_t vram_size, doorbells_size; /* of all GPUs */
	struct device_gpu gpus[HSV_MAX_GPUS];
	uint32_t num_gpus;
	struct vram_guest vram_guest;
	struct hsv_device_exits exits;
};

/* control.c */
int control_init(struct hsv_device *dev);
void control_fini(struct hsv_device *dev);
int control_enable(struct hsv_device *dev, const struct virtio_queue_regs *regs, uint64_t features);
void control_notify(struct hsv_device *dev);
/* From a GPU thread: the process, whose doorbells are still armed, is idle again. */
void control_repark(struct hsv_device *dev, uint32_t process);
/* No request runs between these; they nest. drop: what was taken from the queue is forgotten and
 * the queue reset. */
void control_pause(struct hsv_device *dev, bool drop);
void control_resume(struct hsv_device *dev);

/* requests.c: runs the request, answers in the chain, returns the bytes written there. */
uint32_t request_run(struct hsv_device *dev, const struct virtqueue *vq,
		     const struct vq_chain *chain, const struct hsv_request *request);
/* The process a request has to be ordered by, or NO_PROCESS. */
int request_process(const struct hsv_request *request);
/* Frees the process if there is one. */
void process_end(struct hsv_process *p);

/* events.c. The first five are called from GPU threads, with ctx a struct hsv_process. */
void events_signal(void *ctx, uint32_t event_id);
void events_memory_fault(void *ctx, uint32_t gpu_id, const struct gpu_memory_fault *fault);
void events_hw_exception(void *ctx, uint32_t gpu_id, uint32_t reset_type, uint32_t reset_cause);
void events_idle(void *ctx);
int events_page_request(void *ctx, uint64_t va, uint64_t size, unsigned prot);
/* The sequence number of the process's next page request. */
uint64_t events_pages_mark(struct hsv_process *p);
/* [va, va + size) was answered: what was asked for in it before the mark need not be told. */
void events_pages_answered(struct hsv_process *p, uint64_t mark, uint64_t va, uint64_t size);
/* Asks the guest to unmap its VRAM. */
void events_vram_away(struct hsv_device *dev);
int events_init(struct hsv_device *dev);
void events_fini(struct hsv_device *dev);
int events_enable(struct hsv_device *dev, const struct virtio_queue_regs *regs, uint64_t features);
void events_notify(struct hsv_device *dev);
void events_forget(struct hsv_device *dev, uint32_t process);
void events_reset(struct hsv_device *dev);

/* device.c: the index of the GPU that KFD and the core know by that id. */
uint32_t device_gpu_index(uint32_t gpu_id);

/* swap.c */
int vram_swap_init(struct hsv_device *dev);
void vram_swap_fini(struct hsv_device *dev);
void vram_reset(struct hsv_device *dev); /* the guest's driver is gone, all processes are */
void vram_clear(struct device_gpu *gpu, uint64_t offset, uint64_t size); /* offset: in the GPU's VRAM */
void vram_guest_away(struct hsv_device *dev); /* HSV_REQ_VRAM_AWAY */
void vram_guest_back(struct hsv_device *dev); /* HSV_REQ_VRAM_BACK; waits */
void vram_guest_gives(struct hsv_device *dev); /* HSV_REQ_VRAM_GIVE that was done */

#endif
