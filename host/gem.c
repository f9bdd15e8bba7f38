// SPDX-License-Identifier: MIT
/*
 * gem.c - buffers and submissions of the DRM render node: GEM, and command streams for SDMA.
 *
 * Theory of operation. A GEM buffer is a buffer of the GPU process like those of ALLOC_MEMORY_OF_GPU, made without an address, so VRAM counts for the
 * tenant's quota; its GEM handle is its id. The file that made it is the only one that knows it, and its end is the buffer's. VRAM that can't be had
 * is GTT, as with amdgpu, where a buffer in neither is evicted from one to the other. All render nodes of the program share the one address space of its GPU
 * process (amdgpu: of the file that ACQUIRE_VM names), so there are buffers only after ACQUIRE_VM.
 *
 * What is submitted is copied from the buffer into the ring of an SDMA queue of our own, one for each GPU that is made with the first submission. A FENCE packet with
 * the submission's number and a TRAP follow it, whose event (GEM_EVENT) wakes who waits. Everything is in memory always and all submissions run in order, so lists
 * of buffers and dependencies need nothing but to be right.
 *
 * Locks: front.lock for all but waiting. gem.wake_lock is a leaf, and what GPU threads take.
 */
#define LOG_PART "host"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include <drm/drm.h>

#include "base/log.h"
#include "host/front.h"

#define F(name)	      KFD_IOC_ALLOC_MEM_FLAGS_##name
#define RING_SIZE     (256u << 10) /* bytes, a power of 2 */
#define RIGHTS	      (AMDGPU_VM_PAGE_READABLE | AMDGPU_VM_PAGE_WRITEABLE | AMDGPU_VM_PAGE_EXECUTABLE)
#define MAX_NAMES     4096 /* contexts and lists */
#define MAX_CHUNKS    64   /* of a submission */
#define MAX_LIST      65536
#define SDMA_FENCE    5u
#define SDMA_TRAP     6u
#define TAIL_DWORDS   6u
#define SLICE_NS      100000000 /* how long who waits doesn't look whether the GPU process is still there */
#define NO_FILE	      UINT32_MAX /* no file's id */
#define MAX_IOCTL     sizeof(struct drm_amdgpu_gem_metadata) /* bytes of an ioctl's struct: of the largest */

/* What a queue of ours and the GPU share; the ring follows. */
struct control {
	_Atomic uint64_t read_pointer, write_pointer;
	_Atomic uint32_t fence; /* the last submission that is done */
};

struct ring {
	uint8_t *pages; /* NULL: not made yet */
	uint32_t queue;
	uint64_t written;   /* bytes */
	uint64_t submitted; /* submissions */
};

enum name_kind { NAME_NONE, NAME_CONTEXT, NAME_LIST };

/* The id that the program has is the index and 1. */
struct name {
	enum name_kind kind;
	uint32_t file;
};

static struct {
	struct ring rings[KFD_MAX_GPUS];
	struct name names[MAX_NAMES];
	atomic_bool lost;    /* the GPU process stopped by a fault */
	atomic_bool orphans; /* a file ended that had something */
	pthread_mutex_t wake_lock;
	pthread_cond_t wake;
} gem = {.wake_lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static struct control *control(const struct ring *r)
{
	return (struct control *)r->pages;
}

/* ------------------------------------------------------------------ buffers */

static uint64_t handle_of(const struct file *file, uint32_t name)
{
	return (uint64_t)front.gpus[file->gpu].id << 32 | name;
}

static struct buffer *find(const struct file *file, uint32_t name)
{
	struct buffer *b = memory_buffer(handle_of(file, name));

	return b && b->gem == file->id ? b : NULL;
}

static int create_in(const struct file *file, uint64_t size, uint32_t kind, uint64_t *handle)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {
		.size = size,
		.gpu_id = front.gpus[file->gpu].id,
		.flags = kind | F(WRITABLE) | F(EXECUTABLE) | F(PUBLIC),
	};
	int err = memory_alloc(&args);

	*handle = args.handle;
	return err;
}

static int create(struct file *file, void *arg)
{
	const uint32_t known = AMDGPU_GEM_DOMAIN_CPU | AMDGPU_GEM_DOMAIN_GTT | AMDGPU_GEM_DOMAIN_VRAM;
	union drm_amdgpu_gem_create *args = arg;
	struct drm_amdgpu_gem_create_in in = args->in;
	uint64_t handle = 0;
	int err = -ENOMEM;

	if (!in.bo_size || !in.domains || in.domains & ~(uint64_t)known || in.domain_flags & AMDGPU_GEM_CREATE_ENCRYPTED)
		return -EINVAL;
	if (in.domains & AMDGPU_GEM_DOMAIN_VRAM)
		err = create_in(file, in.bo_size, F(VRAM), &handle);
	if (err == -ENOMEM)
		err = create_in(file, in.bo_size, F(GTT), &handle);
	if (err)
		return err;
	file->gem = true;
	memory_buffer(handle)->gem = file->id;
	memset(args, 0, sizeof(*args));
	args->out.handle = (uint32_t)handle;
	front_publish();
	return 0;
}

static void destroy(struct buffer *b, uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args args = {.handle = handle};

	if (b->gem_va)
		kfd_memory_place(front.process, handle, 0, 0);
	b->gem = 0;
	memory_free(&args);
}

static int gem_close(struct file *file, void *arg)
{
	const struct drm_gem_close *args = arg;
	struct buffer *b = find(file, args->handle);

	if (!b)
		return -EINVAL;
	destroy(b, handle_of(file, args->handle));
	front_publish();
	return 0;
}

static int gem_mmap(struct file *file, void *arg)
{
	union drm_amdgpu_gem_mmap *args = arg;
	uint32_t name = args->in.handle;

	if (!find(file, name))
		return -ENOENT;
	args->out.addr_ptr = memory_offset(handle_of(file, name));
	return 0;
}

static int export_buffer(struct file *file, void *arg)
{
	struct drm_prime_handle *args = arg;
	struct kfd_ioctl_export_dmabuf_args export = {.handle = handle_of(file, args->handle), .flags = args->flags & O_CLOEXEC};
	int err;

	if (!find(file, args->handle))
		return -ENOENT;
	err = share_export_dmabuf(&export);
	if (!err)
		args->fd = (int32_t)export.dmabuf_fd;
	return err;
}

static int metadata(struct file *file, void *arg)
{
	struct drm_amdgpu_gem_metadata *args = arg;
	struct buffer *b = find(file, args->handle);
	const struct buffer_metadata *m;

	if (!b)
		return -ENOENT;
	if (args->op == AMDGPU_GEM_METADATA_OP_GET_METADATA) {
		memset(&args->data, 0, sizeof(args->data));
		m = b->metadata;
		if (!m)
			return 0;
		args->data.flags = m->flags;
		args->data.tiling_info = m->tiling;
		args->data.data_size_bytes = m->size;
		memcpy(args->data.data, m->data, m->size);
		return 0;
	}
	if (args->op != AMDGPU_GEM_METADATA_OP_SET_METADATA || args->data.data_size_bytes > sizeof(m->data))
		return -EINVAL;
	if (!b->metadata)
		b->metadata = calloc(1, sizeof(*b->metadata));
	if (!b->metadata)
		return -ENOMEM;
	*b->metadata = (struct buffer_metadata){.flags = args->data.flags, .tiling = args->data.tiling_info, .size = args->data.data_size_bytes};
	memcpy(b->metadata->data, args->data.data, b->metadata->size);
	return 0;
}

/* A buffer is at one address at most, and whole. */
static int map(struct file *file, void *arg)
{
	const struct drm_amdgpu_gem_va *args = arg;
	struct buffer *b = find(file, args->handle);
	uint64_t handle = handle_of(file, args->handle);
	int err = -EINVAL;

	if (!b)
		return -ENOENT;
	if (args->offset_in_bo || args->map_size != b->size || !args->va_address)
		return -EINVAL;
	if (args->operation == AMDGPU_VA_OP_MAP && !(args->flags & ~(uint32_t)(RIGHTS | AMDGPU_VM_DELAY_UPDATE | AMDGPU_VM_MTYPE_MASK)) && !b->gem_va) {
		uint32_t rights = (args->flags & AMDGPU_VM_PAGE_WRITEABLE ? F(WRITABLE) : 0) | (args->flags & AMDGPU_VM_PAGE_EXECUTABLE ? F(EXECUTABLE) : 0);

		err = kfd_memory_place(front.process, handle, args->va_address, rights);
		if (!err)
			b->gem_va = args->va_address;
	} else if (args->operation == AMDGPU_VA_OP_UNMAP && b->gem_va == args->va_address) {
		err = kfd_memory_place(front.process, handle, 0, 0);
		b->gem_va = 0;
	}
	return err;
}

/* ------------------------------------------------------------------ contexts and lists */

static struct name *find_name(const struct file *file, uint32_t id, enum name_kind kind)
{
	struct name *n = id && id <= MAX_NAMES ? &gem.names[id - 1] : NULL;

	return n && n->kind == kind && n->file == file->id ? n : NULL;
}

/* 0: there are too many. */
static uint32_t new_name(struct file *file, enum name_kind kind)
{
	for (uint32_t i = 0; i < MAX_NAMES; i++) {
		if (gem.names[i].kind)
			continue;
		gem.names[i] = (struct name){kind, file->id};
		file->gem = true;
		return i + 1;
	}
	return 0;
}

static int forget_name(const struct file *file, uint32_t id, enum name_kind kind, int none)
{
	struct name *n = find_name(file, id, kind);

	if (!n)
		return none;
	n->kind = NAME_NONE;
	return 0;
}

static int context(struct file *file, void *arg)
{
	union drm_amdgpu_ctx *args = arg;
	struct drm_amdgpu_ctx_in in = args->in;

	memset(args, 0, sizeof(*args));
	switch (in.op) {
	case AMDGPU_CTX_OP_ALLOC_CTX:
		args->out.alloc.ctx_id = new_name(file, NAME_CONTEXT);
		return args->out.alloc.ctx_id ? 0 : -ENOSPC;
	case AMDGPU_CTX_OP_FREE_CTX:
		return forget_name(file, in.ctx_id, NAME_CONTEXT, -EINVAL);
	case AMDGPU_CTX_OP_QUERY_STATE:
	case AMDGPU_CTX_OP_QUERY_STATE2:
		if (!find_name(file, in.ctx_id, NAME_CONTEXT))
			return -EINVAL;
		args->out.state.reset_status = atomic_load(&gem.lost) ? AMDGPU_CTX_GUILTY_RESET : AMDGPU_CTX_NO_RESET;
		return 0;
	}
	return -EINVAL;
}

/* Does the file have all buffers that a list names? */
static int check_list(const struct file *file, const struct drm_amdgpu_bo_list_in *list)
{
	size_t room = list->bo_info_size < sizeof(struct drm_amdgpu_bo_list_entry) ? list->bo_info_size : sizeof(struct drm_amdgpu_bo_list_entry);
	struct drm_amdgpu_bo_list_entry entry;

	if (list->bo_number > MAX_LIST || list->bo_info_size < sizeof(entry.bo_handle))
		return -EINVAL;
	for (uint32_t i = 0; i < list->bo_number; i++) {
		int err = copy_from_program(&entry, (void *)(uintptr_t)(list->bo_info_ptr + (uint64_t)i * list->bo_info_size), room);

		if (err)
			return err;
		if (!find(file, entry.bo_handle))
			return -ENOENT;
	}
	return 0;
}

static int buffer_list(struct file *file, void *arg)
{
	union drm_amdgpu_bo_list *args = arg;
	struct drm_amdgpu_bo_list_in in = args->in;
	int err;

	memset(args, 0, sizeof(*args));
	switch (in.operation) {
	case AMDGPU_BO_LIST_OP_CREATE:
		err = check_list(file, &in);
		if (!err)
			args->out.list_handle = new_name(file, NAME_LIST);
		return err ? err : args->out.list_handle ? 0 : -ENOSPC;
	case AMDGPU_BO_LIST_OP_DESTROY:
		return forget_name(file, in.list_handle, NAME_LIST, 0);
	case AMDGPU_BO_LIST_OP_UPDATE:
		return find_name(file, in.list_handle, NAME_LIST) ? check_list(file, &in) : -ENOENT;
	}
	return -EINVAL;
}

/* ------------------------------------------------------------------ submissions */

/* Is this number of the ring done? Fences have its low half. */
static bool is_done(const struct ring *r, uint64_t number)
{
	return (int32_t)(atomic_load(&control(r)->fence) - (uint32_t)number) >= 0;
}

void gem_wake(bool lost)
{
	if (lost)
		atomic_store(&gem.lost, true);
	pthread_mutex_lock(&gem.wake_lock);
	pthread_cond_broadcast(&gem.wake);
	pthread_mutex_unlock(&gem.wake_lock);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Until the submission is done or the time (CLOCK_MONOTONIC, ns) is there; front.lock not held. 0, -ETIME, or -ECANCELED: it never will be. */
static int wait_for(const struct ring *r, uint64_t number, uint64_t until)
{
	int err = 0;

	pthread_mutex_lock(&gem.wake_lock);
	while (!is_done(r, number) && !err) {
		uint64_t now = now_ns(), slice = now + SLICE_NS < until ? now + SLICE_NS : until;
		struct timespec t = {.tv_sec = (time_t)(slice / 1000000000), .tv_nsec = (long)(slice % 1000000000)};

		if (atomic_load(&gem.lost))
			err = -ECANCELED;
		else if (now >= until)
			err = -ETIME;
		else
			pthread_cond_clockwait(&gem.wake, &gem.wake_lock, CLOCK_MONOTONIC, &t);
	}
	pthread_mutex_unlock(&gem.wake_lock);
	return err;
}

static int make_queue(uint32_t gpu, const uint8_t *pages, uint32_t *queue)
{
	struct kfd_ioctl_create_queue_args args = {
		.ring_base_address = (uintptr_t)pages + FRONT_PAGE,
		.ring_size = RING_SIZE,
		.read_pointer_address = (uintptr_t)pages + offsetof(struct control, read_pointer),
		.write_pointer_address = (uintptr_t)pages + offsetof(struct control, write_pointer),
		.gpu_id = front.gpus[gpu].id,
		.queue_type = KFD_IOC_QUEUE_TYPE_SDMA,
		.queue_percentage = KFD_MAX_QUEUE_PERCENTAGE,
		.queue_priority = KFD_MAX_QUEUE_PRIORITY / 2,
	};
	int err = memory_core_call(_IOC_NR(AMDKFD_IOC_CREATE_QUEUE), &args, sizeof(args));

	*queue = args.queue_id;
	return err;
}

/* The GPU's ring, which stays as long as the GPU process. */
static int open_ring(uint32_t gpu, struct ring **ring)
{
	struct ring *r = *ring = &gem.rings[gpu];
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {
		.size = FRONT_PAGE + RING_SIZE,
		.gpu_id = front.gpus[gpu].id,
		.flags = F(USERPTR) | F(WRITABLE),
	};
	uint8_t *pages;
	int err;

	if (r->pages)
		return 0;
	pages = mmap(NULL, args.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return -ENOMEM;
	madvise(pages, args.size, MADV_DONTFORK);
	args.va_addr = args.mmap_offset = (uintptr_t)pages;
	err = memory_alloc(&args);
	if (err) {
		munmap(pages, args.size);
		return err;
	}
	/* Like any GEM buffer it is not the program's to free. */
	memory_buffer(args.handle)->gem = NO_FILE;
	err = kfd_memory_place(front.process, args.handle, args.va_addr, F(WRITABLE));
	if (!err)
		err = make_queue(gpu, pages, &r->queue);
	if (err) {
		kfd_memory_place(front.process, args.handle, 0, 0);
		destroy(memory_buffer(args.handle), args.handle);
		munmap(pages, args.size);
		return err;
	}
	r->pages = pages;
	return 0;
}

static void put(struct ring *r, const void *from, uint64_t size)
{
	uint64_t at = r->written & (RING_SIZE - 1), first = size < RING_SIZE - at ? size : RING_SIZE - at;

	memcpy(r->pages + FRONT_PAGE + at, from, first);
	memcpy(r->pages + FRONT_PAGE, (const uint8_t *)from + first, size - first);
	r->written += size;
}

/* What is at va of the GPU: of a GTT buffer, as libdrm's users have it. NULL: something else. */
static const uint8_t *commands_at(const struct file *file, uint64_t va, uint64_t size)
{
	for (uint32_t id = 1; id < front.max_buffers; id++) {
		const struct buffer *b = &front.buffers[id];

		if (b->size && b->gem == file->id && b->gem_va && va >= b->gem_va && va - b->gem_va < b->size)
			return b->flags & F(GTT) && size <= b->size - (va - b->gem_va) ? (uint8_t *)memory_address(handle_of(file, id), b->size) + (va - b->gem_va) : NULL;
	}
	return NULL;
}

struct submission {
	struct {
		const uint8_t *from;
		uint32_t size;
	} parts[MAX_CHUNKS];
	uint32_t num;
	uint64_t size; /* with what follows */
};

static int add_commands(const struct file *file, const struct drm_amdgpu_cs_chunk *chunk, struct submission *s)
{
	struct drm_amdgpu_cs_chunk_ib ib;
	const uint8_t *from;
	int err = chunk->length_dw * 4ull < sizeof(ib) ? -EINVAL : copy_from_program(&ib, (void *)(uintptr_t)chunk->chunk_data, sizeof(ib));

	if (err)
		return err;
	if (ib.ip_type != AMDGPU_HW_IP_DMA || ib.ip_instance || ib.ring || (ib.ib_bytes | ib.va_start) & 3 || !ib.ib_bytes)
		return -EINVAL;
	from = commands_at(file, ib.va_start, ib.ib_bytes);
	if (!from || ib.ib_bytes > RING_SIZE - s->size)
		return -EINVAL;
	s->parts[s->num].from = from;
	s->parts[s->num++].size = ib.ib_bytes;
	s->size += ib.ib_bytes;
	return 0;
}

static int add_chunk(const struct file *file, const struct drm_amdgpu_cs_chunk *chunk, struct submission *s)
{
	struct drm_amdgpu_bo_list_in list;
	int err;

	switch (chunk->chunk_id) {
	case AMDGPU_CHUNK_ID_IB:
		return add_commands(file, chunk, s);
	case AMDGPU_CHUNK_ID_BO_HANDLES:
		err = chunk->length_dw * 4ull < sizeof(list) ? -EINVAL : copy_from_program(&list, (void *)(uintptr_t)chunk->chunk_data, sizeof(list));
		return err ? err : check_list(file, &list);
	case AMDGPU_CHUNK_ID_DEPENDENCIES:
	case AMDGPU_CHUNK_ID_SCHEDULED_DEPENDENCIES:
		return 0; /* what came before is done before */
	}
	return -EINVAL;
}

static int read_submission(const struct file *file, const struct drm_amdgpu_cs_in *in, struct submission *s)
{
	uint64_t chunks[MAX_CHUNKS];
	int err;

	*s = (struct submission){.size = TAIL_DWORDS * 4};
	if (!in->num_chunks || in->num_chunks > MAX_CHUNKS)
		return -EINVAL;
	if (!find_name(file, in->ctx_id, NAME_CONTEXT))
		return -EINVAL;
	if (in->bo_list_handle && !find_name(file, in->bo_list_handle, NAME_LIST))
		return -ENOENT;
	err = copy_from_program(chunks, (void *)(uintptr_t)in->chunks, in->num_chunks * sizeof(chunks[0]));
	for (uint32_t i = 0; i < in->num_chunks && !err; i++) {
		struct drm_amdgpu_cs_chunk chunk;

		err = copy_from_program(&chunk, (void *)(uintptr_t)chunks[i], sizeof(chunk));
		if (!err)
			err = add_chunk(file, &chunk, s);
	}
	return err ? err : s->num ? 0 : -EINVAL;
}

static void send(uint32_t gpu, struct ring *r, const struct submission *s)
{
	uint64_t fence = (uintptr_t)&control(r)->fence;
	const uint32_t tail[TAIL_DWORDS] = {SDMA_FENCE, (uint32_t)fence, (uint32_t)(fence >> 32), (uint32_t)++r->submitted, SDMA_TRAP, GEM_EVENT};

	for (uint32_t i = 0; i < s->num; i++)
		put(r, s->parts[i].from, s->parts[i].size);
	put(r, tail, sizeof(tail));
	atomic_store(&control(r)->write_pointer, r->written);
	/* Our mapping of the doorbells never traps. */
	__atomic_store_n((uint64_t *)(front.doorbells + gpu * HSV_DOORBELL_SLOT) + r->queue, r->written, __ATOMIC_RELEASE);
	kfd_process_unpark(front.process);
}

/* The lock is given away while the ring is full; what the submission was read from may be gone then. */
static int submit(struct file *file, void *arg)
{
	union drm_amdgpu_cs *args = arg;
	struct submission s;
	struct ring *r;
	int err;

	for (;;) {
		uint64_t before;

		err = atomic_load(&gem.lost) ? -ECANCELED : read_submission(file, &args->in, &s);
		if (!err)
			err = open_ring(file->gpu, &r);
		if (err)
			return err;
		if (s.size <= RING_SIZE - (r->written - atomic_load(&control(r)->read_pointer)))
			break;
		before = r->submitted;
		pthread_mutex_unlock(&front.lock);
		err = wait_for(r, before, UINT64_MAX);
		pthread_mutex_lock(&front.lock);
		if (!err && !front.process)
			err = -ENODEV;
		if (err)
			return err;
	}
	send(file->gpu, r, &s);
	memset(args, 0, sizeof(*args));
	args->out.handle = r->submitted;
	return 0;
}

static int wait_submission(struct file *file, void *arg)
{
	union drm_amdgpu_wait_cs *args = arg;
	struct drm_amdgpu_wait_cs_in in = args->in;
	const struct ring *r = &gem.rings[file->gpu];
	uint64_t number = in.handle == UINT64_MAX ? r->submitted : in.handle;
	int err = 0;

	if (!find_name(file, in.ctx_id, NAME_CONTEXT) || in.ip_type != AMDGPU_HW_IP_DMA || in.ip_instance || in.ring || number > r->submitted)
		return -EINVAL;
	memset(args, 0, sizeof(*args));
	if (number) {
		pthread_mutex_unlock(&front.lock);
		err = wait_for(r, number, in.timeout);
		pthread_mutex_lock(&front.lock);
	}
	args->out.status = err == -ETIME;
	return err == -ETIME ? 0 : err;
}

/* ------------------------------------------------------------------ ioctls and ends */

static const struct row {
	uint32_t nr;
	uint32_t size;
	int (*run)(struct file *file, void *arg); /* front.lock held; arg is a copy that goes back */
} rows[] = {
	{_IOC_NR(DRM_IOCTL_GEM_CLOSE), sizeof(struct drm_gem_close), gem_close},
	{_IOC_NR(DRM_IOCTL_PRIME_HANDLE_TO_FD), sizeof(struct drm_prime_handle), export_buffer},
	{_IOC_NR(DRM_IOCTL_AMDGPU_GEM_CREATE), sizeof(union drm_amdgpu_gem_create), create},
	{_IOC_NR(DRM_IOCTL_AMDGPU_GEM_MMAP), sizeof(union drm_amdgpu_gem_mmap), gem_mmap},
	{_IOC_NR(DRM_IOCTL_AMDGPU_GEM_METADATA), sizeof(struct drm_amdgpu_gem_metadata), metadata},
	{_IOC_NR(DRM_IOCTL_AMDGPU_GEM_VA), sizeof(struct drm_amdgpu_gem_va), map},
	{_IOC_NR(DRM_IOCTL_AMDGPU_CTX), sizeof(union drm_amdgpu_ctx), context},
	{_IOC_NR(DRM_IOCTL_AMDGPU_BO_LIST), sizeof(union drm_amdgpu_bo_list), buffer_list},
	{_IOC_NR(DRM_IOCTL_AMDGPU_CS), sizeof(union drm_amdgpu_cs), submit},
	{_IOC_NR(DRM_IOCTL_AMDGPU_WAIT_CS), sizeof(union drm_amdgpu_wait_cs), wait_submission},
};

static int run(const struct row *row, struct file *file, void *arg)
{
	_Alignas(8) uint8_t copy[MAX_IOCTL] = {0};
	int err = copy_from_program(copy, arg, row->size);

	if (err)
		return err;
	pthread_mutex_lock(&front.lock);
	err = front.process ? row->run(file, copy) : -ENODEV;
	pthread_mutex_unlock(&front.lock);
	return err ? err : copy_to_program(arg, copy, row->size);
}

int gem_ioctl(struct file *file, uint32_t nr, void *arg)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].nr == nr)
			return run(&rows[i], file, arg);
	log_info("DRM ioctl 0x%x is not served", nr);
	return -EINVAL; /* as DRM does */
}

void gem_file_ended(void)
{
	atomic_store(&gem.orphans, true);
}

void gem_collect(void)
{
	if (!atomic_load_explicit(&gem.orphans, memory_order_relaxed))
		return;
	pthread_mutex_lock(&front.lock);
	if (atomic_exchange(&gem.orphans, false) && front.process) {
		for (uint32_t id = 1; id < front.max_buffers; id++) {
			struct buffer *b = &front.buffers[id];

			if (b->size && b->gem && b->gem != NO_FILE && !files_has(b->gem))
				destroy(b, (uint64_t)front.gpus[b->gpu].id << 32 | id);
		}
		for (uint32_t i = 0; i < MAX_NAMES; i++)
			if (gem.names[i].kind && !files_has(gem.names[i].file))
				gem.names[i].kind = NAME_NONE;
		front_publish();
	}
	pthread_mutex_unlock(&front.lock);
}

void gem_forget(void)
{
	memset(gem.rings, 0, sizeof(gem.rings));
	memset(gem.names, 0, sizeof(gem.names));
	atomic_store(&gem.lost, false);
	pthread_mutex_init(&gem.wake_lock, NULL);
	pthread_cond_init(&gem.wake, NULL);
}
