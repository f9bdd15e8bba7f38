// SPDX-License-Identifier: MIT
/*
 * memory.c - memory of a host process that the GPU uses: its VRAM, its GTT, its own pages, its
 * doorbells.
 *
 * VRAM is the arbiter's memfd and GTT one of our own; each is mapped whole here for the GPU
 * (address space only, pages come when touched), and piecewise where the program mmaps a buffer.
 * USERPTR pages and SVM ranges are the program's own memory: the GPU's host address is the
 * program's. The offset that a program mmaps on the render node is the buffer's id << 41, plus an
 * offset into it.
 *
 * Limit: memory of a USERPTR buffer that the program unmaps by munmap() is taken from the GPU
 * first. If it vanishes in another way while the GPU still uses it (free() of a large block inside
 * libc, mremap, mprotect), a GPU access is a segmentation fault of the process instead of a GPU
 * memory fault.
 */
#define LOG_PART "host"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/huge.h"
#include "base/log.h"
#include "host/front.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define OFFSET_SHIFT 41
#define MAX_EXTENTS  4096 /* of one VRAM buffer */
#define USER_END     (1ull << 47)

#define F(name) KFD_IOC_ALLOC_MEM_FLAGS_##name

/* Bounds of all USERPTR memory, for a quick look without the lock; they only grow. */
static _Atomic uintptr_t user_first = UINTPTR_MAX, user_last;

static void *map_all(int fd, uint64_t size)
{
	void *p = huge_map(fd, size);

	if (p)
		madvise(p, size, MADV_DONTFORK);
	return p;
}

static int sized_memfd(const char *name, uint64_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int memory_open(void)
{
	struct sysinfo si;

	sysinfo(&si);
	front.gtt_size = ((uint64_t)si.totalram * si.mem_unit) & ~(uint64_t)(FRONT_PAGE - 1);
	front.gtt_fd = sized_memfd("hsavisor-gtt", front.gtt_size);
	front.doorbell_fd = sized_memfd("hsavisor-doorbells", front.num_gpus * HSV_DOORBELL_SLOT);
	if (front.gtt_fd < 0 || front.doorbell_fd < 0)
		return -ENOMEM;
	front.gtt = map_all(front.gtt_fd, front.gtt_size);
	front.doorbells = map_all(front.doorbell_fd, front.num_gpus * HSV_DOORBELL_SLOT);
	for (uint32_t i = 0; i < front.num_gpus; i++) {
		struct front_gpu *g = &front.gpus[i];

		g->vram = map_all(g->vram_fd, g->vram_size);
		if (!g->vram)
			return -ENOMEM;
	}
	if (!front.gtt || !front.doorbells)
		return -ENOMEM;
	return vram_init(&front.gtt_free, front.gtt_size);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void memory_forget(void)
{
	/* In a child none of it is mapped (MADV_DONTFORK), and after a failed start it is ours to
	 * unmap. */
	if (!front.pid) {
		for (uint32_t i = 0; i < front.num_gpus; i++)
			if (front.gpus[i].vram)
				munmap(front.gpus[i].vram, front.gpus[i].vram_size);
		if (front.gtt)
			munmap(front.gtt, front.gtt_size);
		if (front.doorbells)
			munmap(front.doorbells, front.num_gpus * HSV_DOORBELL_SLOT);
	}
	front.gtt = front.doorbells = NULL;
	for (uint32_t i = 0; i < front.num_gpus; i++)
		front.gpus[i].vram = NULL;
	close_fd(&front.gtt_fd);
	close_fd(&front.doorbell_fd);
	close_fd(&front.events_fd);
	share_forget();
	for (uint32_t id = 0; id < front.max_buffers; id++) {
		struct buffer *b = &front.buffers[id];

		free(b->extents);
		free(b->metadata);
		if (b->size && b->foreign) {
			close(b->foreign_fd);
			close(b->foreign_file);
		}
	}
	free(front.buffers);
	front.buffers = NULL;
	front.max_buffers = 0;
	front.own_events_page = NULL;
	front.events_handle = 0;
	vram_fini(&front.gtt_free);
	atomic_store(&user_first, UINTPTR_MAX);
	atomic_store(&user_last, 0);
}

void *memory_resolve(void *ctx, uint64_t addr, uint64_t size)
{
	/* Our own process: extents are addresses, checked by memory_alloc before they are sent. */
	return addr < USER_END && size <= USER_END - addr ? (void *)(uintptr_t)addr : NULL;
}

void memory_clear(void *gpu_ctx, uint64_t offset, uint64_t size)
{
	struct front_gpu *g = gpu_ctx;

	if (g->swap)
		swap_clear(g->swap, offset, size);
	else if (madvise(g->vram + offset, size, MADV_REMOVE))
		memset(g->vram + offset, 0, size);
}

void memory_take(void *gpu_ctx, uint64_t offset, uint64_t size)
{
	struct front_gpu *g = gpu_ctx;

	/* What may be swapped out takes memory only when it is touched. */
	if (!g->swap)
		huge_take(g->vram + offset, size);
}

static uint64_t handle_of(uint32_t id)
{
	return (uint64_t)front.gpus[front.buffers[id].gpu].id << 32 | id;
}

struct buffer *memory_buffer(uint64_t handle)
{
	uint32_t id = (uint32_t)handle;

	if (id >= front.max_buffers || !front.buffers[id].size || handle != handle_of(id))
		return NULL;
	return &front.buffers[id];
}

/* Room for the record of id. */
static struct buffer *buffer_make(uint32_t id)
{
	if (id >= front.max_buffers) {
		uint32_t max = id < 64 ? 128 : id * 2;
		struct buffer *grown = realloc(front.buffers, max * sizeof(*grown));

		if (!grown)
			return NULL;
		memset(grown + front.max_buffers, 0, (max - front.max_buffers) * sizeof(*grown));
		front.buffers = grown;
		front.max_buffers = max;
	}
	return &front.buffers[id];
}

/* The program's pages must be there, and writable if the GPU may write: as when a driver pins them.
 */
static int check_user(uint64_t addr, uint64_t size, bool write)
{
	unsigned char seen[1024];
	void *p = (void *)(uintptr_t)addr;

	if (addr & (FRONT_PAGE - 1))
		return -EINVAL;
	if (addr >= USER_END || size > USER_END - addr)
		return -EFAULT;
	if (!madvise(p, size, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
		return 0;
	/* EINVAL is also said of memory that may be read but not written. */
	if (errno != EINVAL || (write && !madvise(p, size, MADV_POPULATE_READ)))
		return -EFAULT;
	/* A kernel without these (before 5.14), or special memory: at least mapped. */
	for (uint64_t at = 0; at < size; at += sizeof(seen) * FRONT_PAGE) {
		uint64_t part = size - at < sizeof(seen) * FRONT_PAGE ? size - at
								      : sizeof(seen) * FRONT_PAGE;

		if (mincore((uint8_t *)p + at, part, seen))
			return -EFAULT;
	}
	return 0;
}

static int call(uint32_t nr, void *args, size_t args_size, const struct hsv_extent *in,
		size_t num_in, struct hsv_extent *out, size_t max_out, size_t *num_out)
{
	_Alignas(8) uint8_t copy[HSV_MAX_ARGS] = {0};
	struct kfd_request request = {
		.nr = nr,
		.args = copy,
		.args_size = args_size,
		.in = in,
		.in_size = num_in * sizeof(*in),
		.out = out,
		.out_capacity = max_out * sizeof(*out),
	};
	int err;

	memcpy(copy, args, args_size);
	err = kfd_process_ioctl(front.process, &request);
	memcpy(args, copy, args_size);
	if (num_out)
		*num_out = request.out_size / sizeof(*out);
	return err;
}

static int core_free(uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args args = {.handle = handle};

	return call(_IOC_NR(AMDKFD_IOC_FREE_MEMORY_OF_GPU), &args, sizeof(args), NULL, 0, NULL, 0,
		    NULL);
}

void memory_give_gtt(struct vram_extent *extents, size_t n)
{
	for (size_t i = 0; i < n; i++)
		madvise(front.gtt + extents[i].offset, extents[i].size, MADV_REMOVE);
	vram_free(&front.gtt_free, extents, n);
}

/* Forgets SVM ranges that the program unmapped without our seeing it: where it puts something new.
 */
static bool drop_svm(uint64_t start, uint64_t size)
{
	bool dropped = false;

	for (uint32_t id = 1; id < front.max_buffers; id++) {
		struct buffer *b = &front.buffers[id];

		if (!b->size || !b->svm || b->user >= start + size || b->user + b->size <= start)
			continue;
		core_free(handle_of(id));
		memset(b, 0, sizeof(*b));
		dropped = true;
	}
	return dropped;
}

uint64_t memory_offset(uint64_t handle)
{
	return (uint64_t)(uint32_t)handle << OFFSET_SHIFT;
}

/* [start, start + size) was taken from the GPU and is about to be unmapped: ranges in it go, of others the rest stays. */
static void cut_svm(uint64_t start, uint64_t size)
{
	uint64_t from, to;

	for (uint32_t id = 1; id < front.max_buffers; id++) {
		struct buffer *b = &front.buffers[id];

		if (!b->size || !b->svm || b->user >= start + size || b->user + b->size <= start)
			continue;
		from = b->user > start ? b->user : start;
		to = b->user + b->size < start + size ? b->user + b->size : start + size;
		smi_unmap(from, to - from);
		if (b->user < start || b->user + b->size > start + size)
			b->holes = true;
		else
			drop_svm(b->user, b->size);
	}
}

/* ALLOC with what the core needs of this side. args->flags may have HSV_KFD_ALLOC_SVM. */
static int do_alloc(struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args original = *args;
	uint64_t size = (args->size + FRONT_PAGE - 1) & ~(uint64_t)(FRONT_PAGE - 1);
	struct hsv_extent in, *out = NULL;
	struct vram_extent *extents = NULL;
	size_t num_in = 0, num_out = 0, n = 0;
	struct buffer *b;
	int err;

	if (args->size && args->size <= size && args->flags & F(GTT) && !(args->flags & F(VRAM))) {
		err = vram_alloc(&front.gtt_free, size, 1, &extents, &n);
		if (err)
			return -ENOMEM;
		in = (struct hsv_extent){(uintptr_t)front.gtt + extents[0].offset, size};
		num_in = 1;
	} else if (args->size && args->flags & F(USERPTR) && args->mmap_offset) {
		err = check_user(args->mmap_offset, size, args->flags & F(WRITABLE));
		if (err)
			return err;
		in = (struct hsv_extent){args->mmap_offset, size};
		num_in = 1;
	} else if (args->flags & F(VRAM)) {
		out = calloc(MAX_EXTENTS, sizeof(*out));
		if (!out)
			return -ENOMEM;
	}
	err = call(_IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), args, sizeof(*args), &in, num_in, out,
		   out ? MAX_EXTENTS : 0, &num_out);
	if (err == -EADDRINUSE && !(args->flags & HSV_KFD_ALLOC_SVM)) {
		bool again = drop_svm(args->va_addr, size);

		if (args->flags & F(USERPTR))
			again |= drop_svm(args->mmap_offset, size);
		*args = original;
		if (again)
			err = call(_IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), args, sizeof(*args),
				   &in, num_in, out, out ? MAX_EXTENTS : 0, &num_out);
	}
	if (err)
		goto fail;
	if (out) {
		extents = calloc(num_out, sizeof(*extents));
		n = num_out;
		for (size_t i = 0; extents && i < n; i++)
			extents[i] = (struct vram_extent){out[i].addr, out[i].size};
	}
	b = buffer_make((uint32_t)args->handle);
	if (!b || (out && !extents)) {
		core_free(args->handle);
		err = -ENOMEM;
		goto fail;
	}
	*b = (struct buffer){
		.size = size,
		.flags = args->flags,
		.gpu = front_gpu_index(args->gpu_id),
		.svm = args->flags & HSV_KFD_ALLOC_SVM,
		.extents = extents,
		.num_extents = n,
	};
	if (args->flags & F(USERPTR)) {
		b->user = original.mmap_offset;
		if (b->user < atomic_load(&user_first))
			atomic_store(&user_first, b->user);
		if (b->user + size > atomic_load(&user_last))
			atomic_store(&user_last, b->user + size);
	}
	if (args->flags & (F(VRAM) | F(GTT)))
		args->mmap_offset = memory_offset(args->handle);
	free(out);
	return 0;
fail:
	if (extents && !out)
		memory_give_gtt(extents, n);
	free(extents);
	free(out);
	return err;
}

int memory_core_call(uint32_t nr, void *args, size_t args_size)
{
	return call(nr, args, args_size, NULL, 0, NULL, 0, NULL);
}

int memory_import(const struct buffer *b, uint64_t va, uint64_t *handle)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {
		.va_addr = va,
		.size = b->size,
		.gpu_id = front.gpus[b->gpu].id,
		.flags = F(GTT) | F(WRITABLE) | F(EXECUTABLE),
	};
	struct hsv_extent in = {(uintptr_t)b->foreign, b->size};
	int err = call(_IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &args, sizeof(args), &in, 1, NULL, 0, NULL);
	struct buffer *made;

	if (err)
		return err;
	made = buffer_make((uint32_t)args.handle);
	if (!made) {
		core_free(args.handle);
		return -ENOMEM;
	}
	*made = *b;
	*handle = args.handle;
	return 0;
}

int memory_alloc(struct kfd_ioctl_alloc_memory_of_gpu_args *args)
{
	if (args->flags & HSV_KFD_ALLOC_SVM)
		return -EINVAL;
	share_collect();
	return do_alloc(args);
}

int memory_free(struct kfd_ioctl_free_memory_of_gpu_args *args)
{
	struct buffer *b = memory_buffer(args->handle);
	int err;

	if (b && (b->svm || b->gem))
		return -EINVAL; /* the program doesn't know this handle */
	if (front.events_handle && args->handle == front.events_handle)
		return -EPERM; /* as amdkfd: the events page stays */
	err = core_free(args->handle);
	if (err || !b)
		return err;
	if (b->has_key)
		arbiter_unshare(front.gpus[0].client, b->key);
	if (b->foreign) {
		munmap(b->foreign, b->size);
		close(b->foreign_fd);
		close(b->foreign_file);
	} else if (b->flags & F(GTT) && !share_keeps_gtt(b->extents[0].offset)) {
		memory_give_gtt(b->extents, b->num_extents);
	}
	free(b->extents);
	free(b->metadata);
	memset(b, 0, sizeof(*b));
	return 0;
}

/* The first part of [*start, end) that no SVM buffer has, into *start and *size. False: there is
 * none. */
static bool svm_gap(uint64_t *start, uint64_t end, uint64_t *size)
{
	uint64_t at = *start, to;
	bool moved;

	do {
		moved = false;
		to = end;
		for (uint32_t id = 1; id < front.max_buffers; id++) {
			const struct buffer *b = &front.buffers[id];

			if (!b->size || !b->svm || b->user + b->size <= at)
				continue;
			if (b->user <= at) {
				at = b->user + b->size;
				moved = true;
			} else if (b->user < to) {
				to = b->user;
			}
		}
	} while (moved && at < end);
	*start = at;
	*size = at < end ? to - at : 0;
	return at < end;
}

/* Is all of it mapped by the program? */
static bool user_mapped(uint64_t at, uint64_t size)
{
	unsigned char seen[1024];

	size += at & (FRONT_PAGE - 1);
	at &= ~(uint64_t)(FRONT_PAGE - 1);
	for (uint64_t part; size; at += part, size -= part) {
		part = size < sizeof(seen) * FRONT_PAGE ? size : sizeof(seen) * FRONT_PAGE;
		if (mincore((void *)(uintptr_t)at, part, seen))
			return false;
	}
	return true;
}

/* The runs of pages that are there and that aren't, of an SVM buffer. NULL: no memory. */
static struct hsv_extent *find_holes(const struct buffer *b, size_t *n)
{
	struct hsv_extent *list = NULL;
	size_t max = 0;

	*n = 0;
	for (uint64_t at = b->user; at < b->user + b->size; at += FRONT_PAGE) {
		uint64_t addr = user_mapped(at, FRONT_PAGE) ? at : HSV_EXTENT_HOLE;
		struct hsv_extent *last = *n ? &list[*n - 1] : NULL;

		if (last && (addr == HSV_EXTENT_HOLE ? last->addr == addr : last->addr + last->size == addr)) {
			last->size += FRONT_PAGE;
			continue;
		}
		if (*n == max) {
			struct hsv_extent *grown = realloc(list, (max + 64) * sizeof(*list));

			if (!grown) {
				free(list);
				return NULL;
			}
			list = grown;
			max += 64;
		}
		list[(*n)++] = (struct hsv_extent){addr, FRONT_PAGE};
	}
	return list;
}

/*
 * Attributes are set on [start, start + size): where SVM buffers have holes in it, there may be memory again. What can't be had stays a hole, and an access to it a
 * GPU memory fault.
 */
static void fill_holes(uint64_t start, uint64_t size)
{
	for (uint32_t id = 1; id < front.max_buffers; id++) {
		struct buffer *b = &front.buffers[id];
		uint64_t handle = handle_of(id);
		struct hsv_extent *list;
		size_t n;

		if (!b->size || !b->svm || !b->holes || b->user >= start + size || b->user + b->size <= start)
			continue;
		list = find_holes(b, &n);
		if (!list)
			continue;
		for (size_t i = 0; i < n; i++)
			if (list[i].addr != HSV_EXTENT_HOLE && check_user(list[i].addr, list[i].size, true))
				list[i].addr = HSV_EXTENT_HOLE;
		if (!kfd_memory_invalidate(front.process, handle) && !kfd_memory_restore(front.process, handle, list, n))
			b->holes = n > 1;
		free(list);
	}
}

/* What backs an SVM range is a buffer of some GPU; it doesn't matter which. */
static uint32_t an_acquired_gpu(void)
{
	for (uint32_t i = 0; i < front.num_gpus; i++)
		if (front.gpus[i].acquired)
			return front.gpus[i].id;
	return front.gpus[0].id;
}

int memory_svm(struct kfd_request *request)
{
	struct kfd_ioctl_svm_args *svm = request->args;
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {
		.gpu_id = an_acquired_gpu(),
		.flags = F(USERPTR) | F(WRITABLE) | F(EXECUTABLE) | HSV_KFD_ALLOC_SVM,
	};
	uint64_t *made = NULL;
	size_t num_made = 0;
	int err = 0;

	if (svm->size <= USER_END && svm->start_addr <= USER_END - svm->size &&
	    !user_mapped(svm->start_addr, svm->size))
		return -EFAULT;

	/* With XNACK on attributes are all there is. Ranges may overlap older ones, in a page at least, as those of neighbouring allocations do:
	 * what is in no SVM buffer yet becomes one. */
	if (!pages_on() && svm->op == KFD_IOCTL_SVM_OP_SET_ATTR && svm->start_addr && svm->size &&
	    svm->size <= UINT64_MAX - svm->start_addr) {
		uint64_t at = svm->start_addr, end = at + svm->size, size;

		fill_holes(at, svm->size);
		while (!err && svm_gap(&at, end, &size)) {
			uint64_t *grown = realloc(made, (num_made + 1) * sizeof(*made));

			args.va_addr = args.mmap_offset = at;
			args.size = size;
			at += size;
			if (grown)
				made = grown;
			err = grown ? do_alloc(&args) : -ENOMEM;
			if (!err)
				made[num_made++] = args.handle;
		}
	}
	if (!err)
		err = kfd_process_ioctl(front.process, request);
	for (size_t i = 0; err && i < num_made; i++) {
		core_free(made[i]);
		memset(&front.buffers[(uint32_t)made[i]], 0, sizeof(struct buffer));
	}
	free(made);
	return err;
}

void *memory_address(uint64_t handle, uint64_t size)
{
	struct buffer *b = memory_buffer(handle);

	if (!b || b->size < size)
		return NULL;
	if (b->flags & F(USERPTR))
		return b->svm ? NULL : (void *)(uintptr_t)b->user;
	if (b->foreign)
		return b->foreign;
	if (b->num_extents != 1)
		return NULL;
	return (b->flags & F(GTT) ? front.gtt : front.gpus[b->gpu].vram) + b->extents[0].offset;
}

/* ------------------------------------------------------------------ mmap */

static void *fail(int err)
{
	errno = -err;
	return MAP_FAILED;
}

/* Maps a piece of a memfd; not for children. */
static void *map_piece(void *addr, size_t length, int prot, int flags, int fd, uint64_t offset)
{
	void *p = mmap(addr, length, prot, flags, fd, (off_t)offset);
	int err;

	if (p == MAP_FAILED)
		return p;
	madvise(p, length, MADV_DONTFORK);
	err = 0;
	for (uint32_t i = 0; i < front.num_gpus && !err; i++)
		if (fd == front.gpus[i].vram_fd)
			err = swap_mapped(front.gpus[i].swap, p, length);
	if (err) {
		munmap(p, length);
		return fail(err);
	}
	return p;
}

static void *map_kfd(void *addr, size_t length, int prot, int flags, uint64_t offset)
{
	uint64_t type = offset >> 62;
	uint32_t gpu = front_gpu_index(offset >> 46 & 0xffff);
	void *p;
	int err;

	if (type == 2) { /* events page; has no gpu_id */
		if (!front.own_events_page || length > KFD_SIGNAL_EVENT_LIMIT * sizeof(uint64_t))
			return fail(-EINVAL);
		return map_piece(addr, length, prot, flags, front.events_fd, 0);
	}
	if (gpu == front.num_gpus)
		return fail(-EINVAL);
	if (type == 3) {
		if (length != HSV_DOORBELL_SLOT)
			return fail(-EINVAL);
		p = map_piece(addr, length, prot, flags, front.doorbell_fd, gpu * HSV_DOORBELL_SLOT);
		err = p != MAP_FAILED ? park_map(p) : 0;
		if (err) {
			munmap(p, length);
			return fail(err);
		}
		return p;
	}
	/* The remapped registers hold the HDP flush; memory is coherent here, so a page that nobody
	 * reads will do. */
	if (type == 0 && length == FRONT_PAGE)
		return map_piece(addr, length, prot, flags | MAP_ANONYMOUS, -1, 0);
	return fail(-EINVAL);
}

static void *map_render(uint32_t gpu, void *addr, size_t length, int prot, int flags, uint64_t offset)
{
	uint64_t id = offset >> OFFSET_SHIFT, at = offset & ((1ull << OFFSET_SHIFT) - 1), start = 0;
	struct buffer *b = id < UINT32_MAX ? memory_buffer((uint64_t)front.gpus[gpu].id << 32 | id) : NULL;
	uint64_t end;
	uint8_t *base;
	int fd;

	length = (length + FRONT_PAGE - 1) & ~(FRONT_PAGE - 1);
	if (!b || !b->num_extents || at & (FRONT_PAGE - 1) || !length || at > b->size ||
	    length > b->size - at)
		return fail(-EINVAL);
	fd = b->foreign ? b->foreign_file : b->flags & F(GTT) ? front.gtt_fd : front.gpus[b->gpu].vram_fd;
	end = at + length;
	if (b->num_extents == 1)
		return map_piece(addr, length, prot, flags, fd, b->extents[0].offset + at);
	/* First the whole range, then each extent over it. */
	base = mmap(addr, length, PROT_NONE,
		    (flags & ~MAP_SHARED) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return MAP_FAILED;
	for (size_t i = 0; i < b->num_extents && start < end; start += b->extents[i++].size) {
		uint64_t from = start > at ? start : at;
		uint64_t to = start + b->extents[i].size < end ? start + b->extents[i].size : end;

		if (from < to &&
		    map_piece(base + (from - at), to - from, prot, MAP_SHARED | MAP_FIXED, fd,
			      b->extents[i].offset + (from - start)) == MAP_FAILED) {
			int err = -errno;

			munmap(base, length);
			return fail(err);
		}
	}
	return base;
}

void *memory_mmap(struct file *file, void *addr, size_t length, int prot, int flags, off_t offset)
{
	void *p;

	/* Private would be a copy that the GPU doesn't see. Old thunks reserve memory without CPU
	 * access so, which amdgpu lets pass. */
	if ((flags & MAP_TYPE) == MAP_PRIVATE && prot != PROT_NONE)
		return fail(-EINVAL);
	flags = (flags & ~MAP_TYPE) | MAP_SHARED;
	pthread_mutex_lock(&front.lock);
	if (!front.process)
		p = fail(-ENODEV);
	else if (file->kind == FILE_KFD)
		p = map_kfd(addr, length, prot, flags, (uint64_t)offset);
	else
		p = map_render(file->gpu, addr, length, prot, flags, (uint64_t)offset);
	pthread_mutex_unlock(&front.lock);
	log_debug("mmap of 0x%zx bytes at offset 0x%llx = %p", length, (unsigned long long)offset,
		  p);
	return p;
}

void memory_unmapped(void *addr, size_t length)
{
	uintptr_t first = (uintptr_t)addr, last;

	/* The kernel takes whole pages: the thunk frees a queue's save area by its odd size. */
	if (first % FRONT_PAGE || length > USER_END)
		return; /* fails */
	length = (length + FRONT_PAGE - 1) & ~(size_t)(FRONT_PAGE - 1);
	last = first + length;
	if (last <= atomic_load_explicit(&user_first, memory_order_relaxed) ||
	    first >= atomic_load_explicit(&user_last, memory_order_relaxed) || last < first)
		return;
	pthread_mutex_lock(&front.lock);
	for (uint32_t id = 1; front.process && front.pid == getpid() && id < front.max_buffers;
	     id++) {
		struct buffer *b = &front.buffers[id];

		if (!b->size || !(b->flags & F(USERPTR)) || b->user >= last ||
		    b->user + b->size <= first)
			continue;
		kfd_device_revoke(front.device, addr, length);
		cut_svm(first, length);
		break;
	}
	pthread_mutex_unlock(&front.lock);
}
