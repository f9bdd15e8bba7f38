/* SPDX-License-Identifier: MIT */
/*
 * front.h - what the files of the preload front end share.
 *
 * Theory of operation. The library replaces libc functions by name (interpose.c). Paths of the KFD
 * and DRM devices and of their sysfs files are redirected to a private directory tree (paths.c);
 * the two device nodes are opened as memfds that the table of files.c knows as special. Opening one
 * makes this process a tenant's executor (device.c): a connection to hsavisord, a GPU, a kfd_device
 * with one kfd_process. ioctls on the special descriptors are marshalled by abi/kfd_ioctls.h into
 * core/ (kfd.c, render.c), mmaps show VRAM, GTT and doorbells (memory.c), whose pages are
 * write-protected while idle (park.c).
 *
 * The rest of the library (core, gpu, arbiter client) calls libc too; the linker's --wrap sends
 * those calls to real.c, so nothing here is interposed on itself.
 *
 * Nothing happens, no thread runs and no descriptor is open before the program names one of our
 * paths. Without HSAVISOR_TENANT in the environment nothing ever does.
 *
 * A program that turns XNACK on has its own memory, all of it, seen by the GPU (pages.c).
 *
 * Locks: front.lock covers device.c's and memory.c's state, and may be held while calling into
 * core. GPU callbacks take no lock of ours but park.c's.
 */
#ifndef HOST_FRONT_H
#define HOST_FRONT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arbiter/client.h"
#include "arbiter/swap.h"
#include "core/events.h"
#include "core/kfd.h"
#include "core/vram.h"

#define FRONT_PAGE	   4096ul
#define FRONT_GPU_ID	   0x6873u /* of the daemon's GPU 0; the others' follow */
#define FRONT_RENDER_MINOR 128u	   /* of the first GPU that the tenant has; the others' follow */
#define FRONT_KFD_MAJOR	   234u /* KFD's major is dynamic; this one is in the range Linux gives out \
				 */
#define FRONT_DRM_MAJOR 226u

enum file_kind {
	FILE_KFD,
	FILE_RENDER,
};

/* An open file description of one of our devices; several descriptors (dup) may share it. */
struct file {
	enum file_kind kind;
	uint32_t gpu; /* RENDER: whose node */
	uint32_t id; /* names the file to ACQUIRE_VM */
	pid_t pid;   /* who opened it; a child's inherited descriptor is of no use */
	bool gem; /* RENDER: has had buffers or contexts */
	unsigned refs;
};

/* What graphics programs keep with a buffer, for whoever imports it. */
struct buffer_metadata {
	uint64_t flags, tiling;
	uint32_t size; /* bytes of data */
	uint8_t data[256];
};

/* A buffer as this side must know it: by the id in its handle. */
struct buffer {
	uint64_t size; /* 0: no buffer */
	uint32_t flags;
	uint32_t gpu; /* that its handle names */
	uint64_t user; /* USERPTR: address */
	bool svm, holes; /* holes: the program has unmapped a part of it */
	struct vram_extent *extents; /* of VRAM, or of the GTT memory, or of foreign_file */
	size_t num_extents;
	/* Imported, see share.c: where it is mapped for the GPU, the dma-buf and the file; foreign NULL: our own memory. */
	void *foreign;
	int foreign_fd, foreign_file;
	uint32_t gem;	 /* made by GEM: the file's id; 0: it is KFD's */
	uint64_t gem_va; /* where it is mapped, 0: nowhere */
	struct buffer_metadata *metadata; /* NULL: none, owned */
	bool has_key; /* exported by an IPC handle: */
	uint32_t key[4];
};

/* A GPU of this process, of which it is an executor. */
struct front_gpu {
	uint32_t id; /* KFD's */
	struct arbiter_client *client;
	struct gpu *gpu;
	uint8_t *vram;
	uint64_t vram_size;
	int vram_fd;	   /* the client's */
	struct swap *swap; /* NULL: VRAM stays where it is */
	bool acquired;	   /* by the program */
	char target[16];   /* what it presents */
};

struct front {
	pthread_mutex_t lock;
	pid_t pid; /* of the process this state belongs to; 0: not open */

	struct front_gpu gpus[KFD_MAX_GPUS]; /* those that the tenant has, in the daemon's order */
	uint32_t num_gpus;
	struct kfd_device *device;
	struct kfd_process *process;
	bool ended; /* the process was ended by front_exit() */
	struct kfd_events *events;

	uint8_t *gtt, *doorbells; /* doorbells: HSV_DOORBELL_SLOT of each GPU */
	uint64_t gtt_size;
	int gtt_fd, doorbell_fd;
	struct vram gtt_free;
	uint64_t *own_events_page; /* when the program gave none */
	int events_fd;
	uint64_t events_handle;

	struct buffer *buffers; /* by id */
	uint32_t max_buffers;
};
extern struct front front;

/* The index of the GPU with that KFD id, or front.num_gpus. */
uint32_t front_gpu_index(uint64_t gpu_id);

/* device.c: makes this process an executor, once. 0 or -errno; the reason is said once on standard
 * error. */
int front_open(void);
bool front_enabled(void); /* HSAVISOR_TENANT is set */
void front_publish(void); /* counters for the arbiter */

/* files.c */
/* A descriptor for a new file of ours. -errno. */
int files_open(enum file_kind kind, uint32_t gpu, int open_flags);
/* A reference to the file behind fd, or NULL if it isn't ours. *stale: ours, but inherited through
 * fork. */
struct file *files_get(int fd, bool *stale);
void files_put(struct file *file);
bool files_is_special(int fd); /* one load */
/* fd was or will be closed; fd_from was duplicated to fd_to. For special ones only. */
void files_closed(int fd);
void files_duplicated(int fd_from, int fd_to);
bool files_has(uint32_t id); /* a file with this id is open */
void files_lock(void);
void files_unlock(void);

/* kfd.c, render.c: 0 or -errno. arg is the program's pointer. */
int kfd_ioctl(struct file *file, unsigned long request, void *arg);
int render_ioctl(struct file *file, unsigned long request, void *arg);
/* Copies from and to the program's memory; -EFAULT. */
int copy_from_program(void *to, const void *from, size_t size);
int copy_to_program(void *to, const void *from, size_t size);

/* memory.c; front.lock held unless it says otherwise. */
int memory_open(void);
void memory_forget(void);				       /* in a child */
void *memory_resolve(void *ctx, uint64_t addr, uint64_t size); /* kfd_front_ops.resolve */
void memory_clear(void *gpu_ctx, uint64_t offset, uint64_t size);   /* kfd_front_ops.clear_vram */
void memory_take(void *gpu_ctx, uint64_t offset, uint64_t size);    /* kfd_front_ops.take_vram */
/* ALLOC and FREE_MEMORY_OF_GPU of the program, and SVM; args are private copies. */
int memory_alloc(struct kfd_ioctl_alloc_memory_of_gpu_args *args);
int memory_free(struct kfd_ioctl_free_memory_of_gpu_args *args);
int memory_svm(struct kfd_request *request);
/* Host address of a buffer that is contiguous and at least size bytes, or NULL. */
void *memory_address(uint64_t handle, uint64_t size);
/* mmap of a special descriptor; takes the lock. Returns like mmap, errno set. */
void *memory_mmap(struct file *file, void *addr, size_t length, int prot, int flags, off_t offset);
/* The program is about to unmap [addr, addr + length); takes the lock when it matters. */
void memory_unmapped(void *addr, size_t length);

/* pages.c: pageable memory (XNACK) */
bool pages_possible(void); /* on this kernel */
/* XNACK is turned on or off: nothing is running. */
int pages_start(struct kfd_process *process);
void pages_stop(void);
void pages_forget(void); /* in a child */
bool pages_on(void);
int pages_request(void *ctx, uint64_t va, uint64_t size, unsigned prot); /* kfd_front_ops.page_request */
/*
 * Around a call of the program by which rights to [addr, addr + length) may go away, whether it succeeds or not. Signals are blocked between
 * them, and no lock of ours may be waited for.
 */
struct pages_change {
	struct pages_change *next;
	uint64_t first, last;
	bool active;
	sigset_t signals;
};
void pages_change_begin(struct pages_change *c, const void *addr, size_t length);
void pages_change_end(struct pages_change *c);
/* For share.c. */
struct buffer *memory_buffer(uint64_t handle); /* NULL: none */
uint64_t memory_offset(uint64_t handle);       /* to mmap of its GPU's render node */
int memory_core_call(uint32_t nr, void *args, size_t args_size);
/* Makes a buffer of memory that is mapped at b->foreign; what b has is the new buffer's if it succeeds. */
int memory_import(const struct buffer *b, uint64_t va, uint64_t *handle);
void memory_give_gtt(struct vram_extent *extents, size_t n);

/* gem.c: buffers and submissions of the render nodes. */
#define GEM_EVENT 0xfffffffu /* no event of KFD's: a submission is done */
int gem_ioctl(struct file *file, uint32_t nr, void *arg); /* as render_ioctl, nr without the type */
void gem_wake(bool lost);    /* a submission is done, or the GPU process is lost; by GPU threads, too */
void gem_file_ended(void);   /* one that has the mark; files_lock held */
void gem_collect(void);	     /* frees what ended files had; takes the lock when there is any */
void gem_forget(void);	     /* in a child */

/* share.c: buffers of several processes; front.lock held. fd 0 or negative errno, like the ioctls. */
int share_export_dmabuf(struct kfd_ioctl_export_dmabuf_args *args);
int share_import_dmabuf(struct kfd_ioctl_import_dmabuf_args *args);
int share_info(struct kfd_ioctl_get_dmabuf_info_args *args);
int share_export_ipc(struct kfd_ioctl_ipc_export_handle_args *args);
int share_import_ipc(struct kfd_ioctl_ipc_import_handle_args *args);
bool share_any(void);		       /* others may map our memory */
bool share_keeps_gtt(uint64_t offset); /* GTT memory there is exported */
void share_collect(void);	       /* takes back what nobody has any more */
void share_forget(void);	       /* in a child */

/* smi.c: SMI_EVENTS, and what is told there. va and sizes in bytes. */
int smi_open(struct kfd_ioctl_smi_events_args *args); /* 0 or -errno, as the ioctl */
void smi_memory_fault(uint32_t gpu_id);
void smi_reset(uint32_t gpu_id); /* after the GPU process was */
void smi_page_fault(uint64_t va, bool write);
void smi_page_fault_end(uint64_t va); /* the GPU has the page */
void smi_unmap(uint64_t va, uint64_t size); /* of an SVM range; the program unmaps it */
void smi_forget(void); /* in a child */

/* swap.c: VRAM that hsavisord has swapped out. */
int host_swap_open(struct front_gpu *g);
void host_swap_close(struct front_gpu *g);
void host_swap_forget(struct front_gpu *g); /* in a child */

/* park.c */
int park_map(void *addr);  /* a new user mapping of the doorbells */
void park_idle(void *ctx); /* kfd_front_ops.idle, process_ctx */
void park_forget(void);

/* paths.c */
enum path_kind {
	PATH_OTHER,  /* not ours */
	PATH_KFD,    /* /dev/kfd */
	PATH_TREE,   /* a file or directory of the tree */
	/* And the GPU's index: */
	PATH_RENDER = 0x100, /* /dev/dri/renderD128.. */
	PATH_CARD = 0x200,   /* /dev/dri/card0..: there to be listed, not to be opened */
#define PATH_KIND(kind) ((kind) < 0 ? (kind) : (kind) < PATH_RENDER ? (kind) : (kind) & ~0xff)
#define PATH_GPU(kind)	((uint32_t)(kind) & 0xff)
};
/*
 * What path means. For all but PATH_OTHER, real (PATH_MAX bytes) gets the path to use instead. -1
 * with errno: ours, but not to be had.
 */
int path_find(const char *path, char *real);
/* Removes the tree if this process made it. */
void path_cleanup(void);
void path_forget(void);

#endif
