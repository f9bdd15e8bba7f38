/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hsv.h - the objects of the guest driver and what its files offer each other.
 *
 * Start reading at the head of main.c: what talks to what, lifetimes, and the locking order.
 */
#ifndef HSV_H
#define HSV_H

#include <linux/completion.h>
#include <linux/idr.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>
#include <drm/drm_vma_manager.h>

#include <uapi/linux/kfd_ioctl.h>

#include <abi/hsavisor.h>
#include <abi/kfd_ipc.h>

#include "compat.h"

/*
 * Extents that travel in one message; the contract allows more, but a chain has at most
 * HSV_QUEUE_SIZE descriptors.
 */
#define HSV_EXTENTS_PER_CALL 8192
/*
 * Pages of what GPUs may have of the system's memory that a buffer takes besides its own, for what
 * the kernel has to remember of it.
 */
#define HSV_MEMORY_OVERHEAD 1
/* Event buffers the device always has. */
#define HSV_EVENT_BUFFERS 64

struct hsv_process;
struct platform_device;
struct hsv_migration;

/* A shared memory region of the device. */
struct hsv_region {
	u64 addr; /* guest-physical */
	u64 size;
	void *mapping; /* see region_map() in main.c */
};

/* Pages of programs in a GPU's VRAM, see migrate.c. */
struct hsv_vram_pages {
	struct mutex ready_lock; /* ready, off: changes */
	bool ready, off; /* there are struct pages; no page moves there any more (vram_map) */
	struct dev_pagemap pgmap; /* of start to end, offsets in the region of all GPUs' VRAM */
	u64 start, end;
	spinlock_t lock; /* the lists, and their chunks */
	struct list_head open, full, empty, leaving; /* of struct vram_chunk */
	struct work_struct give_work; /* gives back the empty ones */
	struct mutex evict_lock; /* src, dst */
	unsigned long *src, *dst;
	u64 full_until; /* jiffies; 0: there was always room */
};

/* A GPU of the device. */
struct hsv_gpu {
	struct hsv_device *hdev;
	u32 index;  /* in the device's configuration: how the host and we name it */
	u32 gpu_id; /* KFD's: how programs name it */
	u64 vram_size;
	struct drm_device *drm; /* of its render node; the first GPU's is hsv_device.drm. NULL: removed */
	struct hsv_vram_pages vram_pages;
	struct platform_device *pdev; /* that its DRM device belongs to; the first GPU's belongs to the virtio device */
};

/*
 * The device. Lives as long as anybody holds a reference of drm: open files, processes, the virtio
 * device.
 */
struct hsv_device {
	struct drm_device drm;
	struct virtio_device *vdev; /* not touched once the DRM device is unplugged */
	struct virtqueue *control, *event;
	u32 kfd_version, max_processes, num_gpus;
	struct hsv_gpu gpus[HSV_MAX_GPUS]; /* the first num_gpus */
	struct hsv_region doorbells, vram;
	bool has_vram_pages; /* the host lets pages of programs be in VRAM */
	struct work_struct evict_work;
	struct device *kfd_dev; /* /dev/kfd's class device */

	spinlock_t control_lock; /* the control queue, calls, call_count, gone */
	struct list_head calls;	 /* sent, not answered */
	u64 answers;		 /* number of answers so far, to wait for room in the queue */
	wait_queue_head_t answered;
	bool gone; /* the device takes no calls any more */
	struct delayed_work
		watch_work; /* finds out that the host side died while programs only wait */

	/* VRAM that the host has swapped out, see vram.c. */
	struct mutex vram_lock;	      /* what the host is told of vram_away, in order */
	struct rw_semaphore vram_map; /* vram_away against faults that map VRAM */
	bool vram_away;		      /* no VRAM is mapped */
	struct work_struct vram_work;

	spinlock_t event_lock; /* the event queue */
	struct hsv_event *event_buffers;
	struct work_struct event_work; /* in hsv_event_wq */

	struct mutex process_lock; /* processes: creation and end */
	struct idr
		processes;  /* id -> process; entries are changed under process_lock and id_lock */
	spinlock_t id_lock; /* look-up of a process by id */

	struct drm_vma_offset_manager offsets; /* of the render nodes and of doorbells */
	atomic64_t system_pages;	       /* GTT and USERPTR pages of all processes */
	u64 system_limit;		       /* pages */

	struct hsv_smi {
		spinlock_t lock; /* clients */
		struct list_head clients;
		atomic_t resets;
	} smi;

	struct list_head topology; /* of struct topology_dir, in the order they were made */
	struct kobject *alias;	   /* /sys/module/amdgpu, see alias.c */
};

static inline struct hsv_gpu *to_gpu(struct drm_device *drm)
{
	return drm->dev_private;
}

/* The GPU that programs know by that id; NULL: there is none. */
static inline struct hsv_gpu *hsv_gpu_by_id(struct hsv_device *hdev, u32 gpu_id)
{
	u32 i;

	for (i = 0; i < hdev->num_gpus; i++) {
		if (hdev->gpus[i].gpu_id == gpu_id)
			return &hdev->gpus[i];
	}
	return NULL;
}

/* Ends of processes, parking, freeing of calls: nothing there waits for a program. */
extern struct workqueue_struct *hsv_wq;
/* Page restores, which may fault in pages and so take as long as a file system likes. */
extern struct workqueue_struct *hsv_restore_wq;
/* What the host tells; ends of processes wait for it. */
extern struct workqueue_struct *hsv_event_wq;

/* main.c */
struct hsv_device *hsv_device_get(void); /* the device with a reference, NULL if there is none */
static inline void hsv_device_put(struct hsv_device *hdev)
{
	drm_dev_put(&hdev->drm);
}

void hsv_device_fail(struct hsv_device *hdev, const char *why);

/*
 * call.c: a control request and all memory that belongs to it. The device may write to it until it
 * is answered, so a call belongs to the queue too while it is sent: a waiter that is killed just
 * leaves.
 */
struct hsv_call {
	struct kref ref;
	struct hsv_device *hdev;
	struct hsv_process
		*process; /* its pending count includes this call; NULL for device-wide requests */
	struct list_head link; /* hdev->calls */
	struct completion done;
	struct work_struct free_work;
	int error; /* 0 or negative errno, valid when done */
	bool sent;

	void *in, *out; /* kvmalloc */
	u32 in_size, in_capacity, out_capacity;
	u32 out_size; /* bytes the device wrote, at most out_capacity */
	u8 *args;     /* HSV_MAX_ARGS: to the device, and what came back once answered */
	struct hsv_request_head *head;	/* what the device reads first */
	struct hsv_response_head *tail; /* what it writes first */
	struct scatterlist *sg;
	u32 sg_max;
};

struct hsv_request_head {
	struct hsv_request request;
	u8 args[HSV_MAX_ARGS];
};

struct hsv_response_head {
	struct hsv_response response;
	u8 args[HSV_MAX_ARGS];
};

struct hsv_call *hsv_call_new(struct hsv_device *hdev, struct hsv_process *process, u32 in_capacity,
			      u32 out_capacity);
void hsv_call_put(struct hsv_call *call);
int hsv_call_send(struct hsv_call *call, u32 type, u32 code, u32 args_size, u32 in_size,
		  bool killable);
void hsv_calls_abort(struct hsv_device *hdev);
void hsv_control_done(struct virtqueue *vq);
void hsv_health_check(struct hsv_device *hdev);
int hsv_call_simple(struct hsv_process *process, u32 type, const void *args, u32 args_size);

/* notify.c: the event queue. */
int hsv_events_start(struct hsv_device *hdev);
void hsv_events_ready(struct hsv_device *hdev);
void hsv_event_done(struct virtqueue *vq);
void hsv_event_work(struct work_struct *work);
void hsv_events_drain(struct hsv_device *hdev);

/* events.c: KFD events of a process. */
struct kfd_event;

struct hsv_events {
	spinlock_t wake; /* all of it */
	struct idr idr;
	u32 waiters;		 /* entries of all waits */
	struct hsv_memory *page; /* the events page given by the program, or NULL */
	struct page *own_page;	 /* or the one made here (order HSV_EVENT_PAGE_ORDER) */
};

#define HSV_EVENT_PAGE_SIZE (KFD_SIGNAL_EVENT_LIMIT * 8)

void hsv_events_init(struct hsv_events *events);
void hsv_events_fini(struct hsv_events *events);
void hsv_events_wake_all(struct hsv_process *process);
void hsv_events_detach(struct hsv_events *events);
struct page *hsv_events_own_page(struct hsv_process *process);
long hsv_ioctl_create_event(struct hsv_process *process, void *args);
long hsv_ioctl_destroy_event(struct hsv_process *process, void *args);
long hsv_ioctl_set_event(struct hsv_process *process, void *args);
long hsv_ioctl_reset_event(struct hsv_process *process, void *args);
long hsv_ioctl_wait_events(struct hsv_process *process, void *args);
void hsv_events_signal(struct hsv_process *process, u32 id);
void hsv_events_memory_fault(struct hsv_process *process, const struct hsv_event *event);
void hsv_events_hw_exception(struct hsv_process *process, const struct hsv_event *event);
void hsv_events_device_lost(struct hsv_process *process);

/* smi.c: events for tools. */
void hsv_smi_init(struct hsv_smi *smi);
long hsv_ioctl_smi_events(struct hsv_process *process, void *args);
void hsv_smi_memory_fault(struct hsv_process *process, const struct hsv_gpu *gpu);
void hsv_smi_reset(const struct hsv_gpu *gpu, bool after, const char *cause);
void hsv_smi_page_fault(struct hsv_process *process, u64 va, bool write);
void hsv_smi_page_fault_end(struct hsv_process *process, u64 va);
void hsv_smi_unmap(struct hsv_process *process, u64 va, u64 size, enum mmu_notifier_event why);
void hsv_smi_migrate(struct hsv_process *process, const struct hsv_migration *what, bool end);
void hsv_smi_queues_evicted(struct hsv_process *process, bool svm);
void hsv_smi_queues_restored(struct hsv_process *process);

/* svm.c: pageable memory. */
struct hsv_page_range {
	u64 va, size;
	u32 prot;
};

struct hsv_page_request { /* of the host */
	struct hsv_process *process;
	struct work_struct work;
	bool used;   /* waits for the work */
	bool queued; /* the work is going to run, and has a reference */
	struct hsv_page_range range;
};

struct hsv_svm {
	bool on;		 /* XNACK */
	struct mutex mode_lock;	 /* changes of it, here and on the host */
	struct mutex lock;	 /* additions to chunks */
	struct xarray chunks;	 /* parts of the address space that the GPU has seen */
	unsigned long released;	 /* bit 0: the mm's end was told */
	atomic_t active;	 /* who uses chunks; process->idle when 0 */
	spinlock_t spare_lock;
	struct list_head spare; /* struct hsv_svm_tools */
	struct maple_tree preferred; /* by page, values: the preferred location, where one was set */
	spinlock_t slots_lock;
	struct hsv_page_request slots[HSV_MAX_PAGE_REQUESTS];
};

void hsv_svm_init(struct hsv_process *process);
void hsv_svm_end(struct hsv_process *process);
void hsv_svm_request(struct hsv_process *process, const struct hsv_event *event);
long hsv_ioctl_set_xnack_mode(struct hsv_process *process, void *args);
int hsv_svm_check(u64 start, u64 end);
void hsv_svm_locate(struct hsv_process *process, u64 start, u64 end,
		    const struct kfd_ioctl_svm_attribute *attrs, u32 n);

/* migrate.c: pages of programs in VRAM. */
struct hsv_migration {
	u64 start, end; /* addresses */
	u32 from, to;	/* gpu_ids; 0: the system's memory. from is found */
	u32 prefetch, preferred; /* locations, for tools */
	int trigger;		 /* KFD_MIGRATE_TRIGGER_* */
};

void hsv_migrate_init(struct hsv_device *hdev);
void hsv_migrate_lost(struct hsv_device *hdev);
void hsv_migrate_stop(struct hsv_device *hdev);
void hsv_migrate_fini(struct hsv_device *hdev);
void hsv_migrate(struct hsv_process *process, struct mm_struct *mm, const struct hsv_migration *what);
bool hsv_migrate_has_room(struct hsv_gpu *gpu);
u64 hsv_migrate_evict(struct hsv_gpu *gpu, u64 bytes, bool must);
bool hsv_migrate_evict_all(struct hsv_device *hdev, bool must);
u64 hsv_page_addr(const struct hsv_device *hdev, const struct page *page);

/* process.c */
struct hsv_process {
	struct kref ref;
	struct hsv_device *hdev;
	u32 id;
	struct mm_struct *mm;	  /* mmgrab'ed: compared, used through mmget_not_zero only */
	struct task_struct *lead; /* thread group leader, referenced */
	struct mmu_notifier notifier;
	bool dying;		  /* the mm is gone, or the device: no new work */
	unsigned long end_queued; /* bit 0: end_work was queued, once */
	struct work_struct end_work;
	struct hsv_call *end_call; /* made beforehand: ending can't fail */

	atomic_t pending;	/* calls sent and not answered */
	atomic_t invalid;	/* buffers whose pages are away: no queue runs */
	atomic_t svm_restoring; /* SVM ranges whose pages changed and aren't dealt with yet */
	wait_queue_head_t idle; /* pending, svm_restoring or svm.active became 0 */
	struct hsv_svm svm;

	struct mutex svm_fill_lock;  /* making SVM ranges; outside of mmap_lock */
	struct mutex memory_lock;    /* memory, vms; acquired before any object's wire lock */
	struct xarray memory;	     /* low 32 bits of the handle -> struct hsv_memory */
	struct list_head memory_all; /* every object, also those without a handle */
	bool ended;		     /* all buffers are gone, the host knows none any more */
	struct hsv_vm {
		struct drm_file *file; /* only compared; set by ACQUIRE_VM */
		struct file *filp;     /* referenced while file is set */
	} vms[HSV_MAX_GPUS];	       /* of each GPU */

	struct hsv_events events;

	struct mutex doorbell_lock; /* doorbell_parked and the mapping it speaks of */
	bool doorbell_parked;
	struct drm_vma_offset_node doorbell_node; /* a slot of each GPU, one after the other */
	struct work_struct park_work;

	struct page *mmio_page, *reserved_page; /* made when first mapped */
	struct page *dummy_page;		/* of doorbells, when the GPU is lost */
};

#define HSV_HEALTH_INTERVAL                                                                        \
	(2 * HZ) /* how often a waiter looks whether the host side still lives */

int hsv_process_open(struct hsv_device *hdev, struct hsv_process **process);
void hsv_process_put(struct hsv_process *process);
struct hsv_process *hsv_process_by_id(struct hsv_device *hdev, u32 id);
bool hsv_process_is_current(const struct hsv_process *process);
void hsv_processes_wake(struct hsv_device *hdev);
void hsv_processes_end(struct hsv_device *hdev);

/* memory.c: buffers. */
enum hsv_memory_kind {
	HSV_MEMORY_VRAM,
	HSV_MEMORY_GTT,
	HSV_MEMORY_USERPTR,
	HSV_MEMORY_HOST, /* doorbells, MMIO: nothing of it is here */
};

struct hsv_memory {
	struct kref ref;
	struct hsv_device *hdev;     /* kept alive by the process, later by the files of VMAs */
	struct hsv_process *process; /* not referenced: no use of it once dead and closed */
	struct hsv_gpu *gpu;	     /* that its handle names */
	struct drm_file
		*drm_file;     /* the only one through which it can be mapped; compared, not used */
	struct list_head link; /* process->memory_all; who takes it off may free it */
	enum hsv_memory_kind kind;
	bool is_events_page;		 /* can't be freed; under memory_lock */
	u64 handle;			 /* KFD's; valid once allocated */
	u64 size;			 /* bytes, page multiple */
	struct drm_vma_offset_node node; /* VRAM, GTT */

	struct rw_semaphore map_lock; /* dead against page faults */
	bool dead;		      /* its memory may be somebody else's: faults are SIGBUS */
	struct page *dummy_page;      /* all that is left of it when the GPU is lost, if asked for */

	struct hsv_extents {
		struct hsv_extent *v; /* little-endian, as it travels */
		u32 n, capacity;
	} extents;	     /* VRAM: of the region; USERPTR: pinned */
	struct page **pages; /* GTT */

	/* USERPTR, see userptr.c */
	u64 user_addr;
	bool writable, svm, registered;
	bool holes; /* SVM: the program has unmapped a part; under wire */
	unsigned long *unmapped; /* SVM: a bit of each page: unmapped since it got attributes; under wire */
	u32 refreshes;		 /* SVM: how often it got attributes; under wire */
	const void *made_by; /* SVM: the call that made it and isn't over yet; memory_lock */
	struct mmu_interval_notifier interval;
	struct mutex wire; /* order of what the device is told about the pages */
	enum {
		HSV_PAGES_NONE,
		HSV_PAGES_VALID,
		HSV_PAGES_INVALID
	} state;		     /* as the device knows it; under wire */
	struct hsv_call *invalidate; /* made beforehand (a notifier can't allocate); under wire */
	struct work_struct restore_work;
};

long hsv_ioctl_alloc(struct hsv_process *process, void *args);
long hsv_ioctl_free(struct hsv_process *process, void *args);
long hsv_ioctl_acquire_vm(struct hsv_process *process, void *args);
long hsv_ioctl_svm(struct hsv_process *process, void *args, void __user *tail);
struct hsv_memory *hsv_memory_lookup(struct hsv_process *process, u64 handle);
struct hsv_memory *hsv_memory_new(struct hsv_process *process, struct hsv_gpu *gpu, enum hsv_memory_kind kind, u64 size);
void hsv_memory_put(struct hsv_memory *memory);
void hsv_memory_remove_all(struct hsv_process *process);
bool hsv_memory_take(struct hsv_memory *memory);
int hsv_memory_end(struct hsv_memory *memory);
struct hsv_call *hsv_memory_call(struct hsv_memory *memory, u32 extents, u32 out_capacity);
int hsv_memory_alloc_send(struct hsv_memory *memory, struct hsv_call *call,
			  struct kfd_ioctl_alloc_memory_of_gpu_args *args,
			  const struct hsv_extents *extents);
int hsv_memory_extend(struct hsv_memory *memory, struct hsv_call *call,
		      const struct hsv_extents *extents, bool killable);
int hsv_memory_vram_take(struct hsv_memory *memory, const struct hsv_call *call);
int hsv_memory_settle(struct hsv_memory *memory, int err, u64 *mmap_offset);
int hsv_system_charge(struct hsv_device *hdev, u64 pages);
void hsv_system_uncharge(struct hsv_device *hdev, u64 pages);

/* pages.c: lists of extents, pages of GTT buffers. */
int hsv_extents_add(struct hsv_extents *extents, u64 addr, u64 size);
void hsv_extents_free(struct hsv_extents *extents);
int hsv_pages_alloc(struct hsv_memory *memory, struct hsv_extents *extents);
void hsv_pages_free(struct hsv_memory *memory);
int hsv_pages_get(struct hsv_device *hdev, struct page **pages, u64 n, struct page ***copy);
void hsv_pages_put(struct hsv_device *hdev, struct page **pages, u64 n);

/* share.c: buffers that several processes have. */
long hsv_ioctl_export_dmabuf(struct hsv_process *process, void *args);
long hsv_ioctl_get_dmabuf_info(struct hsv_process *process, void *args);
long hsv_ioctl_import_dmabuf(struct hsv_process *process, void *args);
long hsv_ioctl_ipc_import(struct hsv_process *process, void *args);

/* vram.c: VRAM that the host has swapped out. */
void hsv_vram_init(struct hsv_device *hdev);
void hsv_vram_ask(struct hsv_device *hdev);
bool hsv_vram_begin(struct hsv_device *hdev);
void hsv_vram_end(struct hsv_device *hdev);

/* userptr.c */
int hsv_userptr_alloc(struct hsv_memory *memory, struct kfd_ioctl_alloc_memory_of_gpu_args *args);
void hsv_userptr_close(struct hsv_memory *memory);
void hsv_userptr_state(struct hsv_memory *memory, int state);
void hsv_userptr_refresh(struct hsv_memory *memory, u64 start, u64 end);

/* mmap.c: what programs map of /dev/kfd and of the render nodes. */
int hsv_kfd_mmap(struct hsv_process *process, struct vm_area_struct *vma);
int hsv_drm_mmap(struct file *filp, struct vm_area_struct *vma);
void hsv_park_work(struct work_struct *work);

/* chardev.c */
int hsv_chardev_init(void);
void hsv_chardev_exit(void);
int hsv_chardev_add(struct hsv_device *hdev);
void hsv_chardev_remove(struct hsv_device *hdev);
long hsv_kfd_forward(struct hsv_process *process, unsigned int nr, void *args);

/* drm.c */
extern const struct drm_driver hsv_drm_driver;
struct drm_file *hsv_drm_file(struct hsv_gpu *gpu, struct file *filp);
int hsv_drm_add(struct hsv_device *hdev);
void hsv_drm_remove(struct hsv_device *hdev);

/* topology.c */
int hsv_topology_add(struct hsv_device *hdev);
void hsv_topology_remove(struct hsv_device *hdev);

/* alias.c */
void hsv_alias_add(struct hsv_device *hdev);
void hsv_alias_remove(struct hsv_device *hdev);

#endif
