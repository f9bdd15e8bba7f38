// SPDX-License-Identifier: GPL-2.0
/*
 * share.c - buffers that several processes have: EXPORT_DMABUF, GET_DMABUF_INFO, IMPORT_DMABUF and
 * IPC_IMPORT_HANDLE.
 *
 * A dma-buf is made of VRAM or of GTT. VRAM is a share of the host's (<abi/kfd_ioctls.h>), which
 * the dma-buf gives back at its end; GTT is pages, of which the dma-buf and every buffer have a
 * reference. An imported buffer is like any other: with its own extents or pages, handle and offset
 * to mmap. The memory lives as long as anybody has it, whoever made it.
 *
 * A dma-buf can be passed on and imported by any process of this device. Other drivers can't have
 * its memory (map_dma_buf fails): VRAM has no addresses that another device could reach.
 */
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "hsv.h"

#define NR_EXPORT     _IOC_NR(AMDKFD_IOC_EXPORT_DMABUF)
#define NR_IMPORT     _IOC_NR(AMDKFD_IOC_IMPORT_DMABUF)
#define NR_IPC_IMPORT _IOC_NR(AMDKFD_IOC_IPC_IMPORT_HANDLE)

struct hsv_share {
	struct hsv_device *hdev; /* referenced */
	u32 gpu_id; /* whose buffer it was exported as */
	u64 size;
	u32 flags;	     /* KFD_IOC_ALLOC_MEM_FLAGS_* */
	u32 id;		     /* VRAM: the host's number of it */
	struct page **pages; /* GTT, else NULL */
};

/* ---- dma-bufs ---- */

static struct sg_table *share_map(struct dma_buf_attachment *attachment,
				  enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void share_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
			enum dma_data_direction dir)
{
}

static void share_put_host(struct hsv_share *share)
{
	struct hsv_call *call = hsv_call_new(share->hdev, NULL, 0, 0);

	/* Without memory for the request the host keeps it until the VM ends. */
	if (!call || hsv_call_send(call, HSV_REQ_SHARE_PUT, share->id, 0, 0, false))
		drm_dbg_driver(&share->hdev->drm, "share %u was not given back\n", share->id);
	hsv_call_put(call);
}

static void share_free(struct hsv_share *share)
{
	if (share->id)
		share_put_host(share);
	hsv_pages_put(share->hdev, share->pages, share->size >> PAGE_SHIFT);
	hsv_device_put(share->hdev);
	kfree(share);
}

static void share_release(struct dma_buf *dmabuf)
{
	share_free(dmabuf->priv);
}

static const struct dma_buf_ops share_ops = {
	.map_dma_buf = share_map,
	.unmap_dma_buf = share_unmap,
	.release = share_release,
};

/* The dma-buf with that descriptor, referenced, if it is one of this device, else an error. */
static struct dma_buf *share_get(struct hsv_device *hdev, u32 fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct hsv_share *share;

	if (IS_ERR(dmabuf))
		return dmabuf;
	share = dmabuf->ops == &share_ops ? dmabuf->priv : NULL;
	if (share && share->hdev == hdev)
		return dmabuf;
	dma_buf_put(dmabuf);
	return ERR_PTR(-EINVAL);
}

/* Asks the host for a share of a VRAM buffer. Not killable: a share that nobody knows would stay. */
static int share_ask(struct hsv_process *process, struct hsv_share *share, u64 handle)
{
	struct kfd_ioctl_export_dmabuf_args args = {.handle = handle};
	struct hsv_call *call = hsv_call_new(process->hdev, process, 0, 0);
	int err;

	if (!call)
		return -ENOMEM;
	memcpy(call->args, &args, sizeof(args));
	err = hsv_call_send(call, HSV_REQ_KFD_IOCTL, NR_EXPORT, sizeof(args), 0, false);
	if (!err) {
		memcpy(&args, call->args, sizeof(args));
		share->id = args.dmabuf_fd;
		if (!share->id)
			err = -EIO;
	}
	hsv_call_put(call);
	return err;
}

/* What of a buffer the share needs, while nobody can free it. */
static int share_fill(struct hsv_process *process, struct hsv_share *share, u64 handle)
{
	struct hsv_memory *memory;
	int err = 0;

	mutex_lock(&process->memory_lock);
	memory = hsv_memory_lookup(process, handle);
	if (!memory || memory->svm)
		err = -EINVAL;
	else if (memory->kind == HSV_MEMORY_USERPTR)
		err = -EPERM;
	else if (memory->kind == HSV_MEMORY_HOST)
		err = -EINVAL;
	if (!err) {
		share->size = memory->size;
		share->gpu_id = memory->gpu->gpu_id;
		share->flags = memory->kind == HSV_MEMORY_VRAM ? KFD_IOC_ALLOC_MEM_FLAGS_VRAM | KFD_IOC_ALLOC_MEM_FLAGS_PUBLIC
							       : KFD_IOC_ALLOC_MEM_FLAGS_GTT;
		if (memory->kind == HSV_MEMORY_GTT)
			err = hsv_pages_get(process->hdev, memory->pages, memory->size >> PAGE_SHIFT, &share->pages);
		else
			err = share_ask(process, share, handle);
	}
	mutex_unlock(&process->memory_lock);
	return err;
}

/*
 * EXPORT_DMABUF. -EINVAL: no such buffer, or doorbells and the like; -EPERM: a USERPTR buffer;
 * -ENOMEM.
 */
long hsv_ioctl_export_dmabuf(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_export_dmabuf_args *args = data;
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct hsv_share *share;
	int fd, err;

	share = kzalloc(sizeof(*share), GFP_KERNEL_ACCOUNT);
	if (!share)
		return -ENOMEM;
	share->hdev = process->hdev;
	drm_dev_get(&share->hdev->drm);
	err = share_fill(process, share, args->handle);
	if (err)
		goto free;
	info.ops = &share_ops;
	info.size = share->size;
	info.flags = O_RDWR;
	info.priv = share;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		err = PTR_ERR(dmabuf);
		goto free;
	}
	fd = dma_buf_fd(dmabuf, args->flags);
	if (fd < 0) {
		dma_buf_put(dmabuf);
		return fd;
	}
	args->dmabuf_fd = fd;
	return 0;
free:
	share_free(share);
	return err;
}

/*
 * GET_DMABUF_INFO. There is no metadata. -EBADF: no such descriptor; -EINVAL: no dma-buf of this
 * device.
 */
long hsv_ioctl_get_dmabuf_info(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_get_dmabuf_info_args *args = data;
	struct dma_buf *dmabuf = share_get(process->hdev, args->dmabuf_fd);
	struct hsv_share *share;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	share = dmabuf->priv;
	args->size = share->size;
	args->flags = share->flags;
	args->gpu_id = share->gpu_id;
	args->metadata_size = 0;
	dma_buf_put(dmabuf);
	return 0;
}

/* ---- importing ---- */

/* Takes the host's answer about a VRAM buffer that this one is to share. */
static int vram_imported(struct hsv_memory *memory, struct hsv_call *call, u64 handle)
{
	const struct hsv_extent *v = call->out;
	u32 i, n = call->out_size / sizeof(*v);

	memory->handle = handle;
	memory->size = 0;
	/* The sum is checked against what the region has, one by one, by hsv_memory_vram_take(). */
	for (i = 0; i < n; i++)
		memory->size += le64_to_cpu(v[i].size);
	return memory->size ? hsv_memory_vram_take(memory, call) : -EIO;
}

/*
 * Imports VRAM by the ioctl nr, whose struct is in args (size bytes, handle in it at handle) and is
 * as the host leaves it afterwards. most: pages that the buffer can have.
 */
static int vram_import(struct hsv_process *process, struct hsv_gpu *gpu, unsigned int nr, void *args, u32 size, const u64 *handle, u64 most, u64 *mmap_offset)
{
	struct hsv_memory *memory = hsv_memory_new(process, gpu, HSV_MEMORY_VRAM, 0);
	struct hsv_call *call;
	int err = -ENOMEM;

	if (!memory)
		return -ENOMEM;
	call = hsv_memory_call(memory, 0,
			       min_t(u64, most, HSV_MAX_EXTENTS) * sizeof(struct hsv_extent));
	if (call) {
		memcpy(call->args, args, size);
		err = hsv_call_send(call, HSV_REQ_KFD_IOCTL, nr, size, 0, true);
	}
	if (!err) {
		memcpy(args, call->args, size);
		err = vram_imported(memory, call, *handle);
		if (err)
			err = -EINTR; /* nobody knows what it has: it stays out of reach */
	}
	hsv_call_put(call);
	return hsv_memory_settle(memory, err, mmap_offset);
}

static int gtt_import(struct hsv_process *process, struct hsv_gpu *gpu, const struct hsv_share *share, u64 va, u64 *handle)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {
		.va_addr = va,
		.size = share->size,
		.gpu_id = gpu->gpu_id,
		.flags = share->flags | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE,
	};
	struct hsv_memory *memory = hsv_memory_new(process, gpu, HSV_MEMORY_GTT, share->size);
	u64 n = share->size >> PAGE_SHIFT, i, offset;
	struct hsv_extents extents = {};
	struct hsv_call *call = NULL;
	int err;

	if (!memory)
		return -ENOMEM;
	err = hsv_pages_get(process->hdev, share->pages, n, &memory->pages);
	for (i = 0; !err && i < n; i++)
		err = hsv_extents_add(&extents, page_to_phys(memory->pages[i]), PAGE_SIZE);
	if (!err) {
		call = hsv_memory_call(memory, extents.n, 0);
		err = call ? hsv_memory_alloc_send(memory, call, &args, &extents) : -ENOMEM;
	}
	hsv_call_put(call);
	hsv_extents_free(&extents);
	*handle = args.handle;
	return hsv_memory_settle(memory, err, &offset);
}

/*
 * IMPORT_DMABUF. -EBADF, -EINVAL: not a dma-buf of this device, another GPU or a bad address;
 * -ENODEV: no VM acquired; -EADDRINUSE: an SVM range; -ENOMEM.
 */
long hsv_ioctl_import_dmabuf(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_import_dmabuf_args *args = data;
	struct hsv_gpu *gpu = hsv_gpu_by_id(process->hdev, args->gpu_id);
	u32 fd = args->dmabuf_fd;
	struct hsv_share *share;
	struct dma_buf *dmabuf;
	u64 offset;
	long err;

	if (!gpu)
		return -EINVAL;
	if (!READ_ONCE(process->vms[gpu->index].file))
		return -ENODEV;
	dmabuf = share_get(process->hdev, fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	share = dmabuf->priv;
	if (share->pages) {
		err = gtt_import(process, gpu, share, args->va_addr, &args->handle);
	} else {
		args->dmabuf_fd = share->id;
		err = vram_import(process, gpu, NR_IMPORT, args, sizeof(*args), &args->handle, share->size >> PAGE_SHIFT, &offset);
		args->dmabuf_fd = fd;
	}
	dma_buf_put(dmabuf);
	return err;
}

/*
 * IPC_IMPORT_HANDLE. -EINVAL: no buffer has that handle, another GPU or a bad address; -ENODEV: no
 * VM acquired; -EADDRINUSE; -ENOMEM.
 */
long hsv_ioctl_ipc_import(struct hsv_process *process, void *data)
{
	struct kfd_ioctl_ipc_import_handle_args *args = data;
	struct hsv_gpu *gpu = hsv_gpu_by_id(process->hdev, args->gpu_id);
	u64 offset = 0;
	int err;

	if (!gpu)
		return -EINVAL;
	if (!READ_ONCE(process->vms[gpu->index].file))
		return -ENODEV;
	err = vram_import(process, gpu, NR_IPC_IMPORT, args, sizeof(*args), &args->handle, HSV_MAX_EXTENTS, &offset);
	args->mmap_offset = offset;
	return err;
}

HSV_IMPORT_DMA_BUF;
