// SPDX-License-Identifier: GPL-2.0
/*
 * transport.c - the device driven as it should be, by hand: virtio's registers and rings, requests,
 * one AQL queue.
 *
 * Nothing of virtio's core is used, as that would not let anybody break its rules. There are no
 * interrupts: who waits looks at the used ring.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>

#include "hostile.h"

#define REPLY_MS 20000 /* of an emulated CPU on a machine that does other things too */

/* ---- registers ---- */

static u64 cap_u64(struct pci_dev *pdev, int pos, int low, int high)
{
	u32 lo, hi;

	pci_read_config_dword(pdev, pos + low, &lo);
	pci_read_config_dword(pdev, pos + high, &hi);
	return (u64)hi << 32 | lo;
}

static void take_shared_memory(struct hostile *h, int pos, u8 bar)
{
	u64 offset = cap_u64(h->pdev, pos, offsetof(struct virtio_pci_cap64, cap.offset),
			     offsetof(struct virtio_pci_cap64, offset_hi));
	u64 size = cap_u64(h->pdev, pos, offsetof(struct virtio_pci_cap64, cap.length),
			   offsetof(struct virtio_pci_cap64, length_hi));
	u8 id;

	pci_read_config_byte(h->pdev, pos + offsetof(struct virtio_pci_cap, id), &id);
	if (id == HSV_SHM_DOORBELLS) {
		h->doorbells_at = pci_resource_start(h->pdev, bar) + offset;
		h->doorbells_size = size;
	} else if (id == HSV_SHM_VRAM) {
		h->vram_at = pci_resource_start(h->pdev, bar) + offset;
		h->vram_size = size;
	}
}

static void take_cap(struct hostile *h, int pos)
{
	u8 type, bar;
	u32 offset;

	pci_read_config_byte(h->pdev, pos + offsetof(struct virtio_pci_cap, cfg_type), &type);
	pci_read_config_byte(h->pdev, pos + offsetof(struct virtio_pci_cap, bar), &bar);
	pci_read_config_dword(h->pdev, pos + offsetof(struct virtio_pci_cap, offset), &offset);
	if (type == VIRTIO_PCI_CAP_SHARED_MEMORY_CFG && bar < PCI_STD_NUM_BARS)
		take_shared_memory(h, pos, bar);
	if (bar || offset >= h->bar_size)
		return;
	switch (type) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		h->common = h->bar + offset;
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		h->isr = h->bar + offset;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		h->config = h->bar + offset;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		h->notify = h->bar + offset;
		pci_read_config_dword(h->pdev, pos + sizeof(struct virtio_pci_cap),
				      &h->notify_multiplier);
		break;
	}
}

int transport_map(struct hostile *h)
{
	int pos, i;

	h->bar_size = pci_resource_len(h->pdev, 0);
	h->bar = pci_iomap(h->pdev, 0, 0);
	if (!h->bar)
		return -ENOMEM;
	for (pos = pci_find_capability(h->pdev, PCI_CAP_ID_VNDR); pos;
	     pos = pci_find_next_capability(h->pdev, pos, PCI_CAP_ID_VNDR))
		take_cap(h, pos);
	if (!h->common || !h->isr || !h->config || !h->notify || !h->doorbells_size ||
	    !h->vram_size)
		return -ENODEV;
	h->doorbells = memremap(h->doorbells_at, h->doorbells_size, MEMREMAP_WB);
	h->vram = memremap(h->vram_at, h->vram_size, MEMREMAP_WB);
	h->area = dma_alloc_coherent(&h->pdev->dev, AREA_SIZE, &h->area_at, GFP_KERNEL);
	if (!h->doorbells || !h->vram || !h->area)
		return -ENOMEM;
	for (i = 0; i < HSV_NUM_QUEUES; i++) {
		struct hostile_queue *q = &h->queues[i];

		q->memory = dma_alloc_coherent(&h->pdev->dev, RINGS_SIZE, &q->at, GFP_KERNEL);
		if (!q->memory)
			return -ENOMEM;
		q->desc = q->memory;
		q->avail = q->memory + RINGS_AVAIL;
		q->used = q->memory + RINGS_USED;
	}
	h->gpu_id = ioread32(h->config + offsetof(struct hsv_config, gpus[0].gpu_id));
	return 0;
}

void transport_unmap(struct hostile *h)
{
	int i;

	for (i = 0; i < HSV_NUM_QUEUES; i++)
		if (h->queues[i].memory)
			dma_free_coherent(&h->pdev->dev, RINGS_SIZE, h->queues[i].memory,
					  h->queues[i].at);
	if (h->area)
		dma_free_coherent(&h->pdev->dev, AREA_SIZE, h->area, h->area_at);
	if (h->vram)
		memunmap(h->vram);
	if (h->doorbells)
		memunmap(h->doorbells);
	if (h->bar)
		pci_iounmap(h->pdev, h->bar);
}

u8 device_status(struct hostile *h)
{
	return ioread8(&h->common->device_status);
}

void set_status(struct hostile *h, u8 status)
{
	iowrite8(status, &h->common->device_status);
}

int device_reset(struct hostile *h)
{
	int i;

	set_status(h, 0);
	for (i = 0; i < REPLY_MS && device_status(h); i++)
		msleep(1);
	return device_status(h)
		       ? case_fail(h, "the device does not reset: status %#x", device_status(h))
		       : 0;
}

void set_features(struct hostile *h, u64 features)
{
	iowrite32(0, &h->common->guest_feature_select);
	iowrite32((u32)features, &h->common->guest_feature);
	iowrite32(1, &h->common->guest_feature_select);
	iowrite32((u32)(features >> 32), &h->common->guest_feature);
}

void queue_place(struct hostile *h, u16 queue, u16 size, u64 desc, u64 avail, u64 used)
{
	iowrite16(queue, &h->common->queue_select);
	iowrite16(size, &h->common->queue_size);
	iowrite32((u32)desc, &h->common->queue_desc_lo);
	iowrite32((u32)(desc >> 32), &h->common->queue_desc_hi);
	iowrite32((u32)avail, &h->common->queue_avail_lo);
	iowrite32((u32)(avail >> 32), &h->common->queue_avail_hi);
	iowrite32((u32)used, &h->common->queue_used_lo);
	iowrite32((u32)(used >> 32), &h->common->queue_used_hi);
	iowrite16(1, &h->common->queue_enable);
}

int device_start(struct hostile *h, u64 features)
{
	int i, err;

	err = device_reset(h);
	if (err)
		return err;
	set_status(h, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set_status(h, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set_features(h, features);
	set_status(h, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(device_status(h) & VIRTIO_CONFIG_S_FEATURES_OK))
		return case_fail(h, "features refused: status %#x", device_status(h));
	memset(h->area, 0, AREA_SIZE);
	for (i = 0; i < HSV_NUM_QUEUES; i++) {
		struct hostile_queue *q = &h->queues[i];

		memset(q->memory, 0, RINGS_SIZE);
		q->avail->flags = cpu_to_le16(VRING_AVAIL_F_NO_INTERRUPT);
		q->next_avail = q->next_used = 0;
		queue_place(h, i, HSV_QUEUE_SIZE, q->at, q->at + RINGS_AVAIL, q->at + RINGS_USED);
	}
	set_status(h, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	for (i = 0; i < 64; i++) {
		put_desc(h, HSV_QUEUE_EVENT, i, h->area_at + AREA_JUNK + i * 64,
			 sizeof(struct hsv_event), VRING_DESC_F_WRITE, 0);
		offer(h, HSV_QUEUE_EVENT, i);
	}
	kick(h, HSV_QUEUE_EVENT);
	if (device_status(h) & VIRTIO_CONFIG_S_NEEDS_RESET)
		return case_fail(h, "wants a reset right after the start");
	return 0;
}

/* ---- rings ---- */

void kick(struct hostile *h, u16 queue)
{
	iowrite16(queue, h->notify + queue * h->notify_multiplier);
}

void put_desc(struct hostile *h, u16 queue, u16 i, u64 addr, u32 len, u16 flags, u16 next)
{
	struct vring_desc *desc = &h->queues[queue].desc[i];

	desc->addr = cpu_to_le64(addr);
	desc->len = cpu_to_le32(len);
	desc->flags = cpu_to_le16(flags);
	desc->next = cpu_to_le16(next);
}

void offer(struct hostile *h, u16 queue, u16 head)
{
	struct hostile_queue *q = &h->queues[queue];

	q->avail->ring[q->next_avail % HSV_QUEUE_SIZE] = cpu_to_le16(head);
	q->next_avail++;
	smp_store_release(&q->avail->idx, cpu_to_le16(q->next_avail));
}

int reap(struct hostile *h, u16 queue, unsigned int count, unsigned int ms)
{
	struct hostile_queue *q = &h->queues[queue];
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	unsigned int looks = 0;

	while ((u16)(le16_to_cpu(smp_load_acquire(&q->used->idx)) - q->next_used) < count) {
		/* Each look at the status is an exit. */
		if (looks++ % 64 == 63 && (device_status(h) & VIRTIO_CONFIG_S_NEEDS_RESET))
			return -EPIPE;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		usleep_range(50, 100);
	}
	q->next_used += count;
	return 0;
}

void *slot_page(struct hostile *h, unsigned int slot)
{
	return h->area + AREA_SLOTS + slot * PAGE_SIZE;
}

struct hsv_response *slot_reply(struct hostile *h, unsigned int slot)
{
	return slot_page(h, slot) + SLOT_REPLY;
}

void post(struct hostile *h, unsigned int slot, u32 type, u32 process, u32 code, const void *args,
	  u32 args_size, u32 in_size, u32 out_size)
{
	u64 page = h->area_at + AREA_SLOTS + slot * PAGE_SIZE;
	struct hsv_request *r = slot_page(h, slot);
	u32 args_sent = min_t(u32, args_size, HSV_MAX_ARGS);
	u16 d = slot * SLOT_DESCS;

	*r = (struct hsv_request){
		.type = cpu_to_le32(type),
		.process = cpu_to_le32(process),
		.code = cpu_to_le32(code),
		.args_size = cpu_to_le32(args_size),
		.in_size = cpu_to_le32(in_size),
		.out_size = cpu_to_le32(out_size),
	};
	if (args)
		memcpy(r + 1, args, args_sent);
	else
		memset(r + 1, 0, args_sent);
	memset(slot_reply(h, slot), 0xa5, sizeof(struct hsv_response));
	put_desc(h, HSV_QUEUE_CONTROL, d, page, sizeof(*r) + args_sent, VRING_DESC_F_NEXT,
		 in_size ? d + 1 : d + 2);
	put_desc(h, HSV_QUEUE_CONTROL, d + 1, h->area_at + AREA_IN,
		 min_t(u32, in_size, HSV_MAX_ARRAY), VRING_DESC_F_NEXT, d + 2);
	put_desc(h, HSV_QUEUE_CONTROL, d + 2, page + SLOT_REPLY,
		 sizeof(struct hsv_response) + args_sent,
		 VRING_DESC_F_WRITE | (out_size ? VRING_DESC_F_NEXT : 0), d + 3);
	put_desc(h, HSV_QUEUE_CONTROL, d + 3, h->area_at + AREA_OUT,
		 min_t(u32, out_size, HSV_MAX_ARRAY), VRING_DESC_F_WRITE, 0);
	offer(h, HSV_QUEUE_CONTROL, d);
}

/* ---- requests ---- */

int request(struct hostile *h, u32 type, u32 process, u32 code, void *args, u32 args_size,
	    u32 in_size, u32 out_size)
{
	int err;

	post(h, 0, type, process, code, args, args_size, in_size, out_size);
	kick(h, HSV_QUEUE_CONTROL);
	err = reap(h, HSV_QUEUE_CONTROL, 1, REPLY_MS);
	if (err)
		return err;
	if (args && args_size <= HSV_MAX_ARGS &&
	    le32_to_cpu(slot_reply(h, 0)->args_size) == args_size)
		memcpy(args, slot_reply(h, 0) + 1, args_size);
	return -(int)le32_to_cpu(slot_reply(h, 0)->error);
}

int create_process(struct hostile *h, u32 process)
{
	struct hsv_process_args args = {.pid = cpu_to_le32(1000 + process), .comm = "hostile"};

	return request(h, HSV_REQ_PROCESS_CREATE, process, 0, &args, sizeof(args), 0, 0);
}

int destroy_process(struct hostile *h, u32 process)
{
	return request(h, HSV_REQ_PROCESS_DESTROY, process, 0, NULL, 0, 0, 0);
}

int kfd(struct hostile *h, u32 process, unsigned int cmd, void *args, u32 in_size)
{
	return request(h, HSV_REQ_KFD_IOCTL, process, _IOC_NR(cmd), args, _IOC_SIZE(cmd), in_size,
		       0);
}

/* ---- a GPU process ---- */

int gpu_alloc(struct hostile *h, u32 process, u32 flags, u64 va, u64 size, u32 extents, u64 *handle)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args args = {.va_addr = va,
							  .size = size,
							  .gpu_id = h->gpu_id,
							  .flags = flags,
							  .mmap_offset = va};
	int err = request(h, HSV_REQ_KFD_IOCTL, process, _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU),
			  &args, sizeof(args), extents * sizeof(struct hsv_extent),
			  flags & KFD_IOC_ALLOC_MEM_FLAGS_VRAM ? HSV_MAX_ARRAY : 0);

	*handle = args.handle;
	return err;
}

int gpu_map(struct hostile *h, u32 process, u64 handle)
{
	struct kfd_ioctl_map_memory_to_gpu_args args = {.handle = handle, .n_devices = 1};

	*(u32 *)(h->area + AREA_IN) = h->gpu_id;
	return kfd(h, process, AMDKFD_IOC_MAP_MEMORY_TO_GPU, &args, sizeof(u32));
}

int gpu_process(struct hostile *h, u32 process)
{
	struct kfd_ioctl_acquire_vm_args vm = {.drm_fd = 7, .gpu_id = h->gpu_id};
	struct hsv_extent *e = (void *)(h->area + AREA_IN);
	u64 handle;
	int err = create_process(h, process);

	if (!err)
		err = kfd(h, process, AMDKFD_IOC_ACQUIRE_VM, &vm, 0);
	e->addr = cpu_to_le64(h->area_at + AREA_GPU);
	e->size = cpu_to_le64(GPU_SIZE);
	if (!err)
		err = gpu_alloc(h, process,
				KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE |
					KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE,
				GPU_VA, GPU_SIZE, 1, &handle);
	if (!err)
		err = gpu_map(h, process, handle);
	return err;
}

/* A kernel descriptor with its code 256 bytes on. */
static void put_kernel(struct hostile *h, u32 offset, u32 code)
{
	u8 *at = h->area + AREA_GPU + offset;

	memset(at, 0, 512);
	*(u64 *)(at + 16) = 256;
	*(u32 *)(at + 256) = code;
	*(u32 *)(at + 260) = 0xbf810000; /* s_endpgm */
}

int gpu_queue(struct hostile *h, u32 process)
{
	struct kfd_ioctl_create_queue_args args = {
		.ring_base_address = GPU_VA + GPU_RING,
		.write_pointer_address = GPU_VA + GPU_POINTERS,
		.read_pointer_address = GPU_VA + GPU_POINTERS + 64,
		.ring_size = GPU_RING_SIZE,
		.gpu_id = h->gpu_id,
		.queue_type = KFD_IOC_QUEUE_TYPE_COMPUTE_AQL,
		.queue_percentage = 100,
		.queue_priority = 7,
	};
	u32 i;
	int err;

	memset(h->area + AREA_GPU, 0, GPU_SIZE);
	for (i = 0; i < GPU_RING_SIZE / 64; i++)
		*(u16 *)(h->area + AREA_GPU + GPU_RING + i * 64) = 1; /* invalid */
	put_kernel(h, GPU_ENDS, 0xbf810000);
	put_kernel(h, GPU_SPINS, 0xbf82ffff); /* s_branch to itself */
	err = kfd(h, process, AMDKFD_IOC_CREATE_QUEUE, &args, 0);
	h->queue_written = 0;
	h->queue_id = args.queue_id;
	h->queue_process = process;
	return err;
}

void gpu_dispatch(struct hostile *h, u32 kernel, u32 event)
{
	u8 *packet = h->area + AREA_GPU + GPU_RING + h->queue_written % (GPU_RING_SIZE / 64) * 64;
	u64 *signal = (u64 *)(h->area + AREA_GPU + GPU_SIGNAL);

	signal[0] = 1; /* user signal */
	signal[1] = 1;
	signal[2] = event ? GPU_VA + GPU_SIGNAL + 128 : 0; /* mailbox */
	signal[3] = event;
	memset(packet + 4, 0, 60);
	*(u16 *)(packet + 2) = 1; /* dimensions */
	*(u16 *)(packet + 4) = 64;
	*(u16 *)(packet + 6) = 1;
	*(u16 *)(packet + 8) = 1;
	*(u32 *)(packet + 12) = 64;
	*(u32 *)(packet + 16) = 1;
	*(u32 *)(packet + 20) = 1;
	*(u64 *)(packet + 32) = GPU_VA + kernel;
	*(u64 *)(packet + 56) = GPU_VA + GPU_SIGNAL;
	smp_store_release((u16 *)packet, 2 | 1 << 8 | 2 << 9 | 2 << 11);
	h->queue_written++;
	smp_store_release((u64 *)(h->area + AREA_GPU + GPU_POINTERS), h->queue_written);
	smp_store_release(&h->doorbells[h->queue_process * (HSV_DOORBELL_SLOT / 8) + h->queue_id],
			  h->queue_written - 1);
}

int gpu_wait(struct hostile *h, unsigned int ms)
{
	u64 *signal = (u64 *)(h->area + AREA_GPU + GPU_SIGNAL);
	unsigned long end = jiffies + msecs_to_jiffies(ms);

	while (smp_load_acquire(&signal[1])) {
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		usleep_range(100, 200);
	}
	return 0;
}

int behave(struct hostile *h)
{
	struct kfd_ioctl_get_version_args version = {};
	int err = gpu_process(h, 5);

	if (err)
		return case_fail(h, "no GPU process: %d", err);
	err = kfd(h, 5, AMDKFD_IOC_GET_VERSION, &version, 0);
	if (err || version.major_version != 1)
		return case_fail(h, "GET_VERSION: %d, version %u", err, version.major_version);
	err = gpu_queue(h, 5);
	if (err)
		return case_fail(h, "no queue: %d", err);
	gpu_dispatch(h, GPU_ENDS, 0);
	err = gpu_wait(h, REPLY_MS);
	if (err)
		return case_fail(h, "a kernel does not run");
	err = destroy_process(h, 5);
	return err ? case_fail(h, "PROCESS_DESTROY: %d", err) : 0;
}
