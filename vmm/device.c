// SPDX-License-Identifier: MIT
/*
 * device.c - the device as a whole: puts its parts together, says what its PCI regions are, and
 * ends things.
 *
 * What ends what: a device reset (by the driver's status register, by the bus, by the client going
 * away) destroys all GPU processes; a DMA mapping that goes away is first taken from the GPU
 * (kfd_device_revoke), then from us.
 */
#define LOG_PART "vmm"
#include "vmm/device.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arbiter/protocol.h"
#include "base/huge.h"
#include "base/log.h"
#include "vmm/device_internal.h"

#define KFD_MINOR      14
#define GPU_ID	       0xa0e5 /* KFD's name for the first GPU, the others' follow: any non-zero 16 bits, the same in every VM */
#define DOORBELLS_SIZE ((uint64_t)HSV_MAX_PROCESSES * HSV_DOORBELL_SLOT) /* of each GPU */
#define DEVICE_FEATURES                                                                            \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |          \
	 UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | UINT64_C(1) << HSV_F_PARK |            \
	 UINT64_C(1) << HSV_F_SWAP | UINT64_C(1) << HSV_F_PAGING |        \
	 UINT64_C(1) << HSV_F_VRAM_PAGES)

/* ---- The core's front end ---- */

/* Called by the core while it runs a request of ours, so the map does not change. */
static void *front_resolve(void *ctx, uint64_t addr, uint64_t size)
{
	struct hsv_device *dev = ctx;

	return dma_resolve(&dev->dma, addr, size);
}

static int front_charge(void *gpu_ctx, int64_t bytes)
{
	struct device_gpu *g = gpu_ctx;

	return g->arbiter ? arbiter_charge_vram(g->arbiter, bytes) : 0;
}

static void front_quota(void *gpu_ctx, uint64_t *limit, uint64_t *used)
{
	struct device_gpu *g = gpu_ctx;

	if (g->arbiter) /* the device is all that the tenant has */
		*limit = arbiter_vram_limit(g->arbiter);
}

/* The guest's driver counts buffers as this does and allows them less than all memory. */
static uint64_t front_system_limit(void *ctx)
{
	struct hsv_device *dev = ctx;

	return dma_total(&dev->dma);
}

static void front_clear(void *gpu_ctx, uint64_t offset, uint64_t size)
{
	vram_clear(gpu_ctx, offset, size);
}

static void front_take(void *gpu_ctx, uint64_t offset, uint64_t size)
{
	struct device_gpu *g = gpu_ctx;

	/* What may be swapped out takes memory only when it is touched. */
	if (!g->swap)
		huge_take(g->vram + offset, size);
}

static void front_report(void *gpu_ctx, const struct kfd_fault *fault)
{
	struct device_gpu *g = gpu_ctx;

	if (g->arbiter)
		arbiter_report_kfd_fault(g->arbiter, fault);
}

static bool kernel_name(void *ctx, uint32_t process, uint64_t kernel, char *name, size_t size)
{
	struct hsv_device *dev = ctx;

	return kfd_device_kernel_name(dev->kfd, process, kernel, name, size);
}

static const struct kfd_front_ops front_ops = {
	.resolve = front_resolve,
	.charge_vram = front_charge,
	.vram_quota = front_quota,
	.clear_vram = front_clear,
	.take_vram = front_take,
	.system_limit = front_system_limit,
	.signal_event = events_signal,
	.memory_fault = events_memory_fault,
	.report = front_report,
	.hw_exception = events_hw_exception,
	.page_request = events_page_request,
	.idle = events_idle,
};

/* ---- Resets ---- */

static void end_processes(struct hsv_device *dev)
{
	for (unsigned i = 0; i < HSV_MAX_PROCESSES; i++)
		process_end(&dev->processes[i]);
}

/* The virtio device as at power-on; the registers are the caller's. */
static void reset_device(void *ctx)
{
	struct hsv_device *dev = ctx;

	vram_reset(dev); /* requests may wait for what the guest won't do any more */
	control_pause(dev, true);
	end_processes(dev);
	kfd_device_end_shares(dev->kfd);
	kfd_vram_give_all(dev->kfd);
	events_reset(dev);
	vram_reset(dev);
	control_resume(dev);
}

static int queue_enable(void *ctx, unsigned queue, const struct virtio_queue_regs *regs,
			uint64_t features)
{
	return queue == HSV_QUEUE_CONTROL ? control_enable(ctx, regs, features)
					  : events_enable(ctx, regs, features);
}

static void queue_notify(void *ctx, unsigned queue)
{
	struct hsv_device *dev = ctx;

	if (queue == HSV_QUEUE_CONTROL) {
		atomic_fetch_add_explicit(&dev->exits.control_kicks, 1, memory_order_relaxed);
		control_notify(dev);
	} else if (queue == HSV_QUEUE_EVENT) {
		atomic_fetch_add_explicit(&dev->exits.event_kicks, 1, memory_order_relaxed);
		events_notify(dev);
	}
}

static const struct virtio_ops virtio_ops = {
	.queue_enable = queue_enable,
	.queue_notify = queue_notify,
	.reset = reset_device,
};

/* ---- Regions ---- */

static void read_bytes(void *data, size_t count, const void *from, size_t size, uint64_t offset)
{
	memset(data, 0, count);
	if (offset < size)
		memcpy(data, (const uint8_t *)from + offset,
		       count < size - offset ? count : size - offset);
}

static void access_registers(struct hsv_device *dev, uint64_t offset, void *data, size_t count,
			     bool write)
{
	uint64_t in_page = offset % VIRTIO_BAR_PAGE;

	if (write && offset - in_page == VIRTIO_BAR_NOTIFY) {
		queue_notify(dev, (unsigned)(in_page / VIRTIO_NOTIFY_MULTIPLIER));
		return;
	}
	atomic_fetch_add_explicit(&dev->exits.registers, 1, memory_order_relaxed);
	if (!write)
		memset(data, 0, count);
	switch (offset - in_page) {
	case VIRTIO_BAR_COMMON:
		if (write)
			virtio_common_write(&dev->virtio, in_page, data, count);
		else
			virtio_common_read(&dev->virtio, in_page, data, count);
		break;
	case VIRTIO_BAR_ISR:
		if (!write && in_page == 0)
			*(uint8_t *)data = virtio_isr_read(&dev->virtio);
		break;
	case VIRTIO_BAR_DEVICE: /* read-only */
		if (!write)
			read_bytes(data, count, &dev->config, sizeof(dev->config), in_page);
		break;
	}
}

/* Memory that a client did not map. An aligned doorbell store is one store for the GPU that polls
 * it, too. */
static void access_memory(uint8_t *memory, uint64_t size, uint64_t offset, void *data, size_t count,
			  bool write)
{
	if (!write)
		memset(data, 0, count);
	if (offset >= size)
		return;
	if (count > size - offset)
		count = size - offset;
	if (write && count == 8 && offset % 8 == 0) {
		uint64_t value;

		memcpy(&value, data, sizeof(value));
		atomic_store_explicit((_Atomic uint64_t *)(memory + offset), value,
				      memory_order_release);
	} else if (write) {
		memcpy(memory + offset, data, count);
	} else {
		memcpy(data, memory + offset, count);
	}
}

static int bar_access(void *ctx, unsigned bar, uint64_t offset, void *data, size_t count, int write)
{
	struct hsv_device *dev = ctx;

	switch (bar) {
	case PCI_BAR_VIRTIO:
		/* One page, one kind of register. */
		if (count > VIRTIO_BAR_PAGE - offset % VIRTIO_BAR_PAGE)
			return -EINVAL;
		access_registers(dev, offset, data, count, write);
		break;
	case PCI_BAR_MSIX: /* the table is QEMU's; interrupts are never pending here */
		if (!write)
			memset(data, 0, count);
		break;
	case PCI_BAR_VRAM:
		atomic_fetch_add_explicit(&dev->exits.memory, 1, memory_order_relaxed);
		access_memory(dev->vram, dev->vram_size, offset, data, count, write);
		break;
	case PCI_BAR_DOORBELLS:
		atomic_fetch_add_explicit(&dev->exits.memory, 1, memory_order_relaxed);
		access_memory(dev->doorbells, dev->doorbells_size, offset, data, count, write);
		break;
	}
	return 0;
}

static int region_access(void *ctx, unsigned index, uint64_t offset, void *data, size_t count,
			 bool write)
{
	struct hsv_device *dev = ctx;

	if (dev->gpus[0].counters) /* of the whole device, told of its first GPU */
		atomic_fetch_add_explicit(&dev->gpus[0].counters->vm_exits, 1, memory_order_relaxed);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
		atomic_fetch_add_explicit(&dev->exits.config, 1, memory_order_relaxed);
		return pci_config_access(&dev->pci, offset, data, count, write);
	}
	return bar_access(dev, index, offset, data, count, write);
}

static void get_region(void *ctx, unsigned index, struct vfio_user_region *region)
{
	struct hsv_device *dev = ctx;

	*region = (struct vfio_user_region){.fd = -1};
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		region->size = PCI_CONFIG_SIZE;
	else if (index < PCI_NUM_BARS)
		region->size = dev->pci.bar_size[index];
	region->read = region->write = region->size != 0;
	if (index == PCI_BAR_VRAM || index == PCI_BAR_DOORBELLS) {
		region->fd = index == PCI_BAR_VRAM ? dev->vram_fd : dev->doorbells_fd;
		region->num_areas = 1;
		region->areas[0].size = index == PCI_BAR_VRAM ? dev->vram_size : dev->doorbells_size;
	}
}

/* ---- The rest of the server's operations ---- */

static unsigned num_irqs(void *ctx, unsigned index)
{
	return index == VFIO_PCI_MSIX_IRQ_INDEX ? IRQ_VECTORS : 0;
}

static void set_irq(void *ctx, unsigned index, unsigned number, int fd)
{
	struct hsv_device *dev = ctx;

	irqs_set(&dev->irqs, number, fd);
}

static void trigger_irq(void *ctx, unsigned index, unsigned number)
{
	struct hsv_device *dev = ctx;

	irqs_trigger(&dev->irqs, number);
}

static int dma_map_add(void *ctx, uint64_t address, uint64_t size, int fd, uint64_t offset,
		       bool write)
{
	struct hsv_device *dev = ctx;
	int ret;

	control_pause(dev, false);
	pthread_mutex_lock(&dev->events.lock);
	ret = dma_add(&dev->dma, address, size, fd, offset, write);
	pthread_mutex_unlock(&dev->events.lock);
	control_resume(dev);
	log_debug("map 0x%llx + 0x%llx%s: %s", (unsigned long long)address,
		  (unsigned long long)size, fd < 0 ? " without a file" : "",
		  ret ? strerror(-ret) : "done");
	return ret;
}

/* Workers paused. The GPU lets go of the memory first, without events->lock, which its threads may
 * be waiting for. */
static void remove_range(struct hsv_device *dev, struct dma_range *range)
{
	if (range->host)
		kfd_device_revoke(dev->kfd, range->host, range->size);
	pthread_mutex_lock(&dev->events.lock);
	dma_remove(&dev->dma, range);
	pthread_mutex_unlock(&dev->events.lock);
}

static int dma_map_remove(void *ctx, uint64_t address, uint64_t size)
{
	struct hsv_device *dev = ctx;
	struct dma_range *range;

	control_pause(dev, false);
	range = dma_find(&dev->dma, address, size);
	if (range)
		remove_range(dev, range);
	control_resume(dev);
	return range ? 0 : -ENOENT;
}

static void dma_map_clear(void *ctx)
{
	struct hsv_device *dev = ctx;

	control_pause(dev, false);
	while (dev->dma.count)
		remove_range(dev, &dev->dma.ranges[dev->dma.count - 1]);
	control_resume(dev);
}

static void bus_reset(void *ctx)
{
	struct hsv_device *dev = ctx;

	reset_device(dev);
	virtio_reset(&dev->virtio);
	pci_reset(&dev->pci);
}

static void disconnected(void *ctx)
{
	struct hsv_device *dev = ctx;
	const struct hsv_device_exits *e = &dev->exits;

	bus_reset(dev);
	dma_map_clear(dev);
	for (unsigned i = 0; i < IRQ_VECTORS; i++)
		irqs_set(&dev->irqs, i, -1);
	/* The next client may be another VM: whatever this one wrote, also to what no buffer had.
	 */
	for (uint32_t i = 0; i < dev->num_gpus; i++)
		vram_clear(&dev->gpus[i], 0, dev->gpus[i].vram_size);
	log_info("exits so far: %llu configuration space, %llu registers, %llu memory, %llu "
		 "control kicks, %llu event kicks",
		 (unsigned long long)e->config, (unsigned long long)e->registers,
		 (unsigned long long)e->memory, (unsigned long long)e->control_kicks,
		 (unsigned long long)e->event_kicks);
}

const struct vfio_user_ops hsv_device_vfio_ops = {
	.get_region = get_region,
	.region_access = region_access,
	.num_irqs = num_irqs,
	.set_irq = set_irq,
	.trigger_irq = trigger_irq,
	.dma_map = dma_map_add,
	.dma_unmap = dma_map_remove,
	.dma_unmap_all = dma_map_clear,
	.reset = bus_reset,
	.disconnected = disconnected,
};

/* ---- Life ---- */

static void publish(struct hsv_device *dev, uint32_t gpu)
{
	struct arbiter_counters *c = dev->gpus[gpu].counters;
	struct kfd_stats stats;

	if (!c)
		return;
	kfd_gpu_stats(dev->kfd, gpu, &stats);
	atomic_store_explicit(&c->faults, stats.faults, memory_order_relaxed);
	atomic_store_explicit(&c->queue_errors, stats.queue_errors, memory_order_relaxed);
	arbiter_publish(c, &stats);
}

void hsv_device_publish(struct hsv_device *dev)
{
	for (uint32_t i = 0; i < dev->num_gpus; i++)
		publish(dev, i);
}

const struct hsv_device_exits *hsv_device_exits(const struct hsv_device *dev)
{
	return &dev->exits;
}

static int map_shared(int fd, uint64_t size, uint8_t **host)
{
	*host = huge_map(fd, size);
	return *host ? 0 : -errno;
}

/* Sealed: a client that could shrink it could kill us with a bus error. */
static int make_doorbells(struct hsv_device *dev)
{
	dev->doorbells_fd = memfd_create("hsavisor-doorbells", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (dev->doorbells_fd < 0 || ftruncate(dev->doorbells_fd, (off_t)dev->doorbells_size) < 0 ||
	    fcntl(dev->doorbells_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return map_shared(dev->doorbells_fd, dev->doorbells_size, &dev->doorbells);
}

uint32_t device_gpu_index(uint32_t gpu_id)
{
	return gpu_id - GPU_ID;
}

/* Where each GPU's VRAM is. -EINVAL: a size is bad, or all together are. */
static int place_gpus(struct hsv_device *dev, const struct hsv_device_config *config)
{
	if (!config->num_gpus || config->num_gpus > HSV_MAX_GPUS)
		return -EINVAL;
	for (uint32_t i = 0; i < config->num_gpus; i++) {
		const struct hsv_device_gpu *from = &config->gpus[i];
		uint64_t most = INT64_MAX - dev->vram_size;

		if (from->vram_size == 0 || from->vram_size % HSV_PAGE_SIZE || from->vram_size > most)
			return -EINVAL;
		dev->gpus[i] = (struct device_gpu){
			.dev = dev,
			.vram_offset = dev->vram_size,
			.vram_size = from->vram_size,
			.counters = from->counters,
			.arbiter = from->arbiter,
		};
		dev->vram_size += from->vram_size;
	}
	dev->num_gpus = config->num_gpus;
	dev->doorbells_size = dev->num_gpus * DOORBELLS_SIZE;
	return 0;
}

static int map_vram(struct hsv_device *dev)
{
	int ret = map_shared(dev->vram_fd, dev->vram_size, &dev->vram);

	for (uint32_t i = 0; i < dev->num_gpus && !ret; i++)
		dev->gpus[i].vram = dev->vram + dev->gpus[i].vram_offset;
	return ret;
}

static int open_core(struct hsv_device *dev, const struct hsv_device_gpu *gpus)
{
	struct kfd_device_config config = {
		.num_gpus = dev->num_gpus,
		.ops = &front_ops,
		.ctx = dev,
		.max_processes = HSV_MAX_PROCESSES,
		.kfd_minor = KFD_MINOR,
	};

	dev->config = (struct hsv_config){
		.abi_version = htole32(HSV_ABI_VERSION),
		.kfd_version = htole32(1u << 16 | KFD_MINOR),
		.max_processes = htole32(HSV_MAX_PROCESSES),
		.num_gpus = htole32(dev->num_gpus),
	};
	for (uint32_t i = 0; i < dev->num_gpus; i++) {
		struct device_gpu *g = &dev->gpus[i];

		config.gpus[i] = (struct kfd_gpu_config){
			.gpu = gpus[i].gpu,
			.ctx = g,
			.vram = g->vram,
			.vram_size = g->vram_size,
			.vram_offset = g->vram_offset,
			.doorbells = dev->doorbells + i * DOORBELLS_SIZE,
			.gpu_id = GPU_ID + i,
		};
		dev->config.gpus[i] = (struct hsv_gpu_config){
			.gpu_id = htole32(GPU_ID + i),
			.pci_device_id = htole32(gpu_properties(gpus[i].gpu)->pci_device_id),
			.vram_size = htole64(g->vram_size),
		};
	}
	return kfd_device_open(&config, &dev->kfd);
}

int hsv_device_open(const struct hsv_device_config *config, struct hsv_device **device)
{
	struct hsv_device *dev = calloc(1, sizeof(*dev));
	int ret;

	if (!dev)
		return -ENOMEM;
	ret = place_gpus(dev, config);
	if (ret) {
		free(dev);
		return ret;
	}
	dev->doorbells_fd = -1;
	dev->vram_fd = config->vram_fd;
	for (uint32_t i = 0; i < HSV_MAX_PROCESSES; i++) {
		dev->processes[i].dev = dev;
		dev->processes[i].id = i;
	}
	irqs_init(&dev->irqs);
	virtio_init(&dev->virtio, &virtio_ops, dev, &dev->irqs, DEVICE_FEATURES);
	pthread_mutex_init(&dev->vram_guest.lock, NULL);
	pthread_cond_init(&dev->vram_guest.answered, NULL);
	pci_init(&dev->pci, dev->vram_size, dev->doorbells_size, bar_access, dev);
	ret = events_init(dev);
	if (!ret)
		ret = dma_init(&dev->dma, VFIO_USER_MAX_MAPS);
	if (!ret)
		ret = map_vram(dev);
	if (!ret)
		ret = vram_swap_init(dev);
	if (!ret)
		ret = make_doorbells(dev);
	if (!ret)
		ret = open_core(dev, config->gpus);
	if (!ret)
		ret = control_init(dev);
	if (ret) {
		hsv_device_close(dev);
		return ret;
	}
	for (uint32_t i = 0; i < dev->num_gpus; i++)
		if (dev->gpus[i].arbiter)
			arbiter_set_namer(dev->gpus[i].arbiter, kernel_name, dev);
	*device = dev;
	return 0;
}

void hsv_device_close(struct hsv_device *dev)
{
	if (!dev)
		return;
	for (uint32_t i = 0; i < dev->num_gpus; i++)
		if (dev->gpus[i].arbiter)
			arbiter_set_namer(dev->gpus[i].arbiter, NULL, NULL);
	if (dev->control.num_workers) {
		reset_device(dev);
		control_fini(dev);
	}
	if (dev->kfd)
		kfd_device_close(dev->kfd);
	vram_swap_fini(dev);
	if (dev->dma.ranges)
		dma_fini(&dev->dma);
	events_fini(dev);
	irqs_fini(&dev->irqs);
	if (dev->doorbells)
		munmap(dev->doorbells, dev->doorbells_size);
	if (dev->vram)
		munmap(dev->vram, dev->vram_size);
	if (dev->doorbells_fd >= 0)
		close(dev->doorbells_fd);
	free(dev);
}
