// SPDX-License-Identifier: MIT
/*
 * share.c - buffers that processes of a host tenant share: dma-bufs and IPC handles.
 *
 * Each process has a device of its own, so what is shared is the file behind a buffer (the exporter's VRAM or GTT memfd) and where in it the buffer lies. A
 * dma-buf's descriptor is one end of a socket pair in which that waits, as a packet with the memfd (struct ticket). Who has the descriptor looks at the
 * packet without taking it (MSG_PEEK), so it can be imported any number of times, passed on, and outlives the exporter. An importer maps the file and has its
 * GPU see that; it keeps the descriptor as long as it has the buffer. The exporter keeps the other end: when that reports a hang-up nobody has the
 * buffer any more, and only then its memory is used again. An IPC handle is a key under which hsavisord keeps such a descriptor for the tenant's processes.
 *
 * VRAM that others map can't be swapped out: a process that has exported some refuses (host/swap.c).
 *
 * front.lock is held in all of this.
 */
#define LOG_PART "host"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arbiter/msg.h"
#include "base/log.h"
#include "host/front.h"

#define F(name) KFD_IOC_ALLOC_MEM_FLAGS_##name

#define TICKET_MAGIC 0x746b7476736832ull
#define MAX_EXTENTS  4096 /* of a ticket */

struct ticket {
	uint64_t magic, size;
	uint32_t flags; /* KFD_IOC_ALLOC_MEM_FLAGS_* */
	uint32_t num_extents;
	uint32_t ipc_flags; /* of an IPC handle: what its importers are told */
	uint32_t gpu_id;    /* whose buffer it was exported as */
	struct buffer_metadata metadata; /* when it was exported */
	struct vram_extent extents[]; /* of the file that comes with it */
};

/* A dma-buf of this process that somebody may still have. */
struct export {
	struct export *next;
	int keeper; /* our end */
	uint32_t share; /* VRAM: the core's, see abi/kfd_ioctls.h */
	struct vram_extent *gtt; /* GTT: to be given back when this was the last one, owned */
	size_t num_gtt;
};

static struct export *exports;

static size_t ticket_bytes(size_t n)
{
	return sizeof(struct ticket) + n * sizeof(struct vram_extent);
}

/* ------------------------------------------------------------------ exporting */

/* The GTT memory of an export goes on belonging to another export of the same buffer, or to the buffer itself. */
static bool gtt_in_use(const struct export *not, uint64_t offset)
{
	for (const struct export *x = exports; x; x = x->next)
		if (x != not && x->num_gtt && x->gtt[0].offset == offset)
			return true;
	for (uint32_t id = 1; id < front.max_buffers; id++) {
		const struct buffer *b = &front.buffers[id];

		if (b->size && b->flags & F(GTT) && !b->foreign && b->num_extents && b->extents[0].offset == offset)
			return true;
	}
	return false;
}

bool share_keeps_gtt(uint64_t offset)
{
	for (const struct export *x = exports; x; x = x->next)
		if (x->num_gtt && x->gtt[0].offset == offset)
			return true;
	return false;
}

static void export_end(struct export **at)
{
	struct export *x = *at;

	*at = x->next;
	close(x->keeper);
	if (x->share)
		kfd_device_share_put(front.device, x->share);
	if (x->num_gtt && !gtt_in_use(NULL, x->gtt[0].offset))
		memory_give_gtt(x->gtt, x->num_gtt);
	free(x->gtt);
	free(x);
}

static bool over(const struct export *x)
{
	struct pollfd p = {.fd = x->keeper};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

void share_collect(void)
{
	struct export **at = &exports;

	while (*at) {
		if (over(*at))
			export_end(at);
		else
			at = &(*at)->next;
	}
}

/* No malloc or free here: see host/swap.c. */
bool share_any(void)
{
	for (const struct export *x = exports; x; x = x->next)
		if (!over(x))
			return true;
	return false;
}

void share_forget(void)
{
	while (exports) {
		struct export *x = exports;

		exports = x->next;
		close(x->keeper);
		free(x->gtt);
		free(x);
	}
}

/* Puts a ticket for the buffer into a new socket pair; ends[1] is the dma-buf's descriptor. */
static int write_ticket(const struct buffer *b, int file, uint32_t ipc_flags, int ends[2])
{
	struct ticket *t = calloc(1, ticket_bytes(b->num_extents));
	int err = -ENOMEM;

	if (!t)
		return err;
	t->magic = TICKET_MAGIC;
	t->size = b->size;
	t->flags = b->flags & (F(VRAM) | F(GTT) | F(PUBLIC));
	t->num_extents = (uint32_t)b->num_extents;
	t->ipc_flags = ipc_flags;
	t->gpu_id = front.gpus[b->gpu].id;
	if (b->metadata)
		t->metadata = *b->metadata;
	memcpy(t->extents, b->extents, b->num_extents * sizeof(*b->extents));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		err = -errno;
		free(t);
		return err;
	}
	err = msg_send(ends[0], t, ticket_bytes(b->num_extents), &file, 1);
	free(t);
	if (err) {
		close(ends[0]);
		close(ends[1]);
	}
	return err;
}

/* What keeps a buffer's memory while somebody has the dma-buf. */
static int keep(const struct buffer *b, uint64_t handle, struct export *x)
{
	struct kfd_ioctl_export_dmabuf_args args = {.handle = handle};
	int err;

	if (b->flags & F(GTT)) {
		x->gtt = malloc(b->num_extents * sizeof(*x->gtt));
		if (!x->gtt)
			return -ENOMEM;
		memcpy(x->gtt, b->extents, b->num_extents * sizeof(*x->gtt));
		x->num_gtt = b->num_extents;
		return 0;
	}
	err = memory_core_call(_IOC_NR(AMDKFD_IOC_EXPORT_DMABUF), &args, sizeof(args));
	x->share = err ? 0 : args.dmabuf_fd;
	return err;
}

/* A descriptor (close-on-exec) for the buffer, or negative errno. */
static int share_buffer(uint64_t handle, uint32_t ipc_flags)
{
	struct buffer *b = memory_buffer(handle);
	struct front_gpu *g;
	struct export *x;
	int ends[2], err;

	if (!b || b->svm)
		return -EINVAL;
	if (b->flags & F(USERPTR))
		return -EPERM;
	if (!(b->flags & (F(VRAM) | F(GTT))) || !b->num_extents)
		return -EINVAL;
	if (b->foreign) /* somebody else's: its dma-buf */
		return fcntl(b->foreign_fd, F_DUPFD_CLOEXEC, 3);
	share_collect();
	g = &front.gpus[b->gpu];
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	err = keep(b, handle, x);
	if (!err)
		err = write_ticket(b, b->flags & F(GTT) ? front.gtt_fd : g->vram_fd, ipc_flags, ends);
	if (err) {
		if (x->share)
			kfd_device_share_put(front.device, x->share);
		free(x->gtt);
		free(x);
		return err;
	}
	x->keeper = ends[0];
	x->next = exports;
	/* It is here before it can't go any more. */
	if (x->share && g->swap)
		swap_hold(g->swap);
	exports = x;
	if (x->share && g->swap)
		swap_release(g->swap);
	return ends[1];
}

int share_export_dmabuf(struct kfd_ioctl_export_dmabuf_args *args)
{
	int fd = share_buffer(args->handle, 0);

	if (fd < 0)
		return fd;
	if (!(args->flags & O_CLOEXEC))
		fcntl(fd, F_SETFD, 0);
	args->dmabuf_fd = (uint32_t)fd;
	return 0;
}

int share_export_ipc(struct kfd_ioctl_ipc_export_handle_args *args)
{
	struct buffer *b = memory_buffer(args->handle);
	int fd, err;

	if (front_gpu_index(args->gpu_id) == front.num_gpus || !b)
		return -EINVAL;
	if (!b->has_key) {
		if (getrandom(b->key, sizeof(b->key), 0) != sizeof(b->key))
			return -ENOMEM;
		fd = share_buffer(args->handle, args->flags);
		if (fd < 0)
			return fd;
		err = arbiter_share(front.gpus[0].client, b->key, fd);
		close(fd);
		if (err)
			return err;
		b->has_key = true;
	}
	memcpy(args->share_handle, b->key, sizeof(b->key));
	return 0;
}

/* ------------------------------------------------------------------ importing */

/* The ticket behind a dma-buf's descriptor (malloc'ed) and the file it speaks of. */
static int read_ticket(int fd, struct ticket **ticket, int *file)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	size_t room = ticket_bytes(MAX_EXTENTS);
	struct ticket *t = calloc(1, room);
	struct iovec iov = {t, room};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c;
	struct stat st;
	uint64_t sum = 0;
	ssize_t n;

	if (!t)
		return -ENOMEM;
	n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) {
		n = errno == EBADF ? -EBADF : -EINVAL;
		free(t);
		return (int)n;
	}
	*file = -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(file, CMSG_DATA(c), sizeof(int));
	/* Who sent it is a process of the same user, at best of the same tenant: it is believed nothing that could harm but itself. */
	if (*file < 0 || (size_t)n < sizeof(*t) || t->magic != TICKET_MAGIC || !t->num_extents || t->num_extents > MAX_EXTENTS ||
	    (size_t)n != ticket_bytes(t->num_extents) || fstat(*file, &st) < 0)
		goto bad;
	for (uint32_t i = 0; i < t->num_extents; i++) {
		const struct vram_extent *e = &t->extents[i];

		if ((e->offset | e->size) & (FRONT_PAGE - 1) || !e->size || e->size > t->size - sum || e->size > (uint64_t)st.st_size ||
		    e->offset > (uint64_t)st.st_size - e->size)
			goto bad;
		sum += e->size;
	}
	if (sum != t->size || (t->flags & (F(VRAM) | F(GTT))) == 0 || t->metadata.size > sizeof(t->metadata.data))
		goto bad;
	*ticket = t;
	return 0;
bad:
	if (*file >= 0)
		close(*file);
	free(t);
	return -EINVAL;
}

static void *map_ticket(const struct ticket *t, int file)
{
	uint8_t *base = mmap(NULL, t->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t at = 0;

	if (base == MAP_FAILED)
		return NULL;
	for (uint32_t i = 0; i < t->num_extents; at += t->extents[i++].size) {
		if (mmap(base + at, t->extents[i].size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file,
			 (off_t)t->extents[i].offset) == MAP_FAILED) {
			munmap(base, t->size);
			return NULL;
		}
	}
	madvise(base, t->size, MADV_DONTFORK);
	return base;
}

/* Imports what fd stands for at va, as a buffer of that GPU. fd stays the caller's. */
static int import(uint32_t gpu, int fd, uint64_t va, uint64_t *handle, uint32_t *ipc_flags)
{
	struct vram_extent *extents;
	struct ticket *t;
	void *mapping;
	int file, keep, err = read_ticket(fd, &t, &file);

	if (err)
		return err;
	mapping = map_ticket(t, file);
	extents = malloc(t->num_extents * sizeof(*extents));
	keep = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	err = mapping && extents && keep >= 0 ? 0 : -ENOMEM;
	if (!err) {
		struct buffer b = {
			.size = t->size,
			.gpu = gpu,
			.flags = t->flags,
			.extents = extents,
			.num_extents = t->num_extents,
			.foreign_fd = keep,
			.foreign_file = file,
			.foreign = mapping,
		};

		memcpy(extents, t->extents, t->num_extents * sizeof(*extents));
		err = memory_import(&b, va, handle);
	}
	if (!err) {
		*ipc_flags = t->ipc_flags;
		free(t);
		return 0;
	}
	if (mapping)
		munmap(mapping, t->size);
	free(t);
	if (keep >= 0)
		close(keep);
	free(extents);
	close(file);
	return err;
}

int share_import_dmabuf(struct kfd_ioctl_import_dmabuf_args *args)
{
	uint32_t gpu = front_gpu_index(args->gpu_id);
	uint32_t ipc_flags;
	uint64_t handle;
	int err;

	if (gpu == front.num_gpus)
		return -EINVAL;
	err = import(gpu, (int)args->dmabuf_fd, args->va_addr, &handle, &ipc_flags);
	if (!err)
		args->handle = handle;
	return err;
}

int share_import_ipc(struct kfd_ioctl_ipc_import_handle_args *args)
{
	uint32_t gpu = front_gpu_index(args->gpu_id);
	uint32_t ipc_flags;
	uint64_t handle;
	int fd, err;

	if (gpu == front.num_gpus)
		return -EINVAL;
	fd = arbiter_shared(front.gpus[0].client, args->share_handle);
	if (fd < 0)
		return fd == -EMFILE ? fd : -EINVAL; /* as amdkfd of any handle that isn't one */
	err = import(gpu, fd, args->va_addr, &handle, &ipc_flags);
	close(fd);
	if (err)
		return err;
	args->handle = handle;
	args->flags = ipc_flags;
	args->mmap_offset = memory_offset(handle);
	return 0;
}

int share_info(struct kfd_ioctl_get_dmabuf_info_args *args)
{
	struct ticket *t;
	int file, err = read_ticket((int)args->dmabuf_fd, &t, &file);

	if (err)
		return err;
	args->size = t->size;
	args->flags = t->flags;
	args->gpu_id = t->gpu_id;
	if (args->metadata_ptr)
		err = args->metadata_size < t->metadata.size ? -EINVAL : copy_to_program((void *)(uintptr_t)args->metadata_ptr, t->metadata.data, t->metadata.size);
	args->metadata_size = t->metadata.size;
	free(t);
	close(file);
	return err;
}
