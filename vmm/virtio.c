// SPDX-License-Identifier: MIT
/*
 * virtio.c - see virtio.h.
 *
 * Drivers access the common configuration by fields of 1, 2 and 4 bytes, but nothing makes them. So
 * a read takes its bytes of an image of the whole structure, and a write is laid over such an
 * image, and then each register it touched takes its new value.
 */
#define LOG_PART "vmm"
#include "vmm/virtio.h"

#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "base/log.h"

#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

static void reset_registers(struct virtio *v)
{
	v->device_feature_select = v->driver_feature_select = 0;
	v->driver_features = 0;
	v->queue_select = 0;
	for (unsigned i = 0; i < HSV_NUM_QUEUES; i++) {
		struct virtio_queue_regs *q = &v->queues[i];

		q->size = HSV_QUEUE_SIZE;
		q->enable = 0;
		q->desc = q->avail = q->used = 0;
		atomic_store(&q->vector, VIRTIO_MSI_NO_VECTOR);
	}
	atomic_store(&v->isr, 0);
	atomic_store(&v->config_vector, VIRTIO_MSI_NO_VECTOR);
	atomic_store(&v->status, 0);
}

void virtio_init(struct virtio *v, const struct virtio_ops *ops, void *ctx, struct irqs *irqs,
		 uint64_t features)
{
	memset(v, 0, sizeof(*v));
	v->ops = ops;
	v->ctx = ctx;
	v->irqs = irqs;
	v->device_features = features;
	reset_registers(v);
}

void virtio_reset(struct virtio *v)
{
	reset_registers(v);
}

bool virtio_driver_ok(const struct virtio *v)
{
	return atomic_load(&v->status) & VIRTIO_CONFIG_S_DRIVER_OK;
}

bool virtio_has_feature(const struct virtio *v, unsigned bit)
{
	return v->driver_features >> bit & 1;
}

void virtio_interrupt(struct virtio *v, unsigned queue)
{
	atomic_fetch_or(&v->isr, ISR_QUEUE);
	irqs_trigger(v->irqs, atomic_load(&v->queues[queue].vector));
}

void virtio_needs_reset(struct virtio *v)
{
	if (atomic_fetch_or(&v->status, VIRTIO_CONFIG_S_NEEDS_RESET) & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	if (!virtio_driver_ok(v))
		return;
	atomic_fetch_or(&v->isr, ISR_CONFIG);
	irqs_trigger(v->irqs, atomic_load(&v->config_vector));
}

uint8_t virtio_isr_read(struct virtio *v)
{
	return atomic_exchange(&v->isr, 0);
}

/* The selected queue's registers; one that doesn't exist has size 0 and takes no writes. */
static struct virtio_queue_regs *selected(struct virtio *v)
{
	return v->queue_select < HSV_NUM_QUEUES ? &v->queues[v->queue_select] : NULL;
}

static void make_image(struct virtio *v, struct virtio_pci_common_cfg *c)
{
	const struct virtio_queue_regs *q = selected(v);

	memset(c, 0, sizeof(*c));
	c->device_feature_select = htole32(v->device_feature_select);
	if (v->device_feature_select < 2)
		c->device_feature =
			htole32((uint32_t)(v->device_features >> 32 * v->device_feature_select));
	c->guest_feature_select = htole32(v->driver_feature_select);
	if (v->driver_feature_select < 2)
		c->guest_feature =
			htole32((uint32_t)(v->driver_features >> 32 * v->driver_feature_select));
	c->msix_config = htole16(atomic_load(&v->config_vector));
	c->num_queues = htole16(HSV_NUM_QUEUES);
	c->device_status = atomic_load(&v->status);
	c->queue_select = htole16(v->queue_select);
	c->queue_msix_vector = htole16(VIRTIO_MSI_NO_VECTOR);
	if (!q)
		return;
	c->queue_size = htole16(q->size);
	c->queue_msix_vector = htole16(atomic_load(&q->vector));
	c->queue_enable = htole16(q->enable);
	c->queue_notify_off = htole16(v->queue_select);
	c->queue_desc_lo = htole32((uint32_t)q->desc);
	c->queue_desc_hi = htole32((uint32_t)(q->desc >> 32));
	c->queue_avail_lo = htole32((uint32_t)q->avail);
	c->queue_avail_hi = htole32((uint32_t)(q->avail >> 32));
	c->queue_used_lo = htole32((uint32_t)q->used);
	c->queue_used_hi = htole32((uint32_t)(q->used >> 32));
}

void virtio_common_read(struct virtio *v, uint64_t offset, void *data, size_t count)
{
	struct virtio_pci_common_cfg image;

	memset(data, 0, count);
	if (offset >= sizeof(image))
		return;
	make_image(v, &image);
	if (count > sizeof(image) - offset)
		count = sizeof(image) - offset;
	memcpy(data, (const uint8_t *)&image + offset, count);
}

static void set_device_feature_select(struct virtio *v, uint32_t value)
{
	v->device_feature_select = value;
}

static void set_driver_feature_select(struct virtio *v, uint32_t value)
{
	v->driver_feature_select = value;
}

static void set_driver_features(struct virtio *v, uint32_t value)
{
	unsigned shift = 32 * v->driver_feature_select;

	if (v->driver_feature_select > 1 || (atomic_load(&v->status) & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	v->driver_features =
		(v->driver_features & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift;
}

static uint16_t checked_vector(uint32_t value)
{
	return value < IRQ_VECTORS ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
}

static void set_config_vector(struct virtio *v, uint32_t value)
{
	atomic_store(&v->config_vector, checked_vector(value));
}

static void set_status(struct virtio *v, uint32_t value)
{
	uint8_t old = atomic_load(&v->status);

	if (value == 0) {
		v->ops->reset(v->ctx);
		reset_registers(v);
		return;
	}
	/* Offered features only, and no legacy driver. */
	if ((value & VIRTIO_CONFIG_S_FEATURES_OK) && !(old & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    ((v->driver_features & ~v->device_features) ||
	     !virtio_has_feature(v, VIRTIO_F_VERSION_1)))
		value &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	/* Bits are only ever added, until a reset. */
	atomic_fetch_or(&v->status, (uint8_t)value & (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void set_queue_select(struct virtio *v, uint32_t value)
{
	v->queue_select = (uint16_t)value;
}

static void set_queue_size(struct virtio *v, uint32_t value)
{
	struct virtio_queue_regs *q = selected(v);

	if (q && !q->enable && value && value <= HSV_QUEUE_SIZE && (value & (value - 1)) == 0)
		q->size = (uint16_t)value;
}

static void set_queue_vector(struct virtio *v, uint32_t value)
{
	struct virtio_queue_regs *q = selected(v);

	if (q)
		atomic_store(&q->vector, checked_vector(value));
}

static void set_queue_enable(struct virtio *v, uint32_t value)
{
	struct virtio_queue_regs *q = selected(v);

	if (!q || q->enable || value != 1 ||
	    !(atomic_load(&v->status) & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (v->ops->queue_enable(v->ctx, v->queue_select, q, v->driver_features)) {
		log_warn("queue %u: rings that are not in the VM's memory", v->queue_select);
		virtio_needs_reset(v);
		return;
	}
	q->enable = 1;
}

/* which: 0 desc, 1 avail, 2 used. */
static void set_address(struct virtio *v, unsigned which, bool high, uint32_t value)
{
	struct virtio_queue_regs *q = selected(v);
	uint64_t *p;

	if (!q || q->enable)
		return;
	p = which == 0 ? &q->desc : which == 1 ? &q->avail : &q->used;
	*p = high ? (*p & UINT32_MAX) | (uint64_t)value << 32
		  : (*p & ~(uint64_t)UINT32_MAX) | value;
}

static void set_desc_lo(struct virtio *v, uint32_t value)
{
	set_address(v, 0, false, value);
}

static void set_desc_hi(struct virtio *v, uint32_t value)
{
	set_address(v, 0, true, value);
}

static void set_avail_lo(struct virtio *v, uint32_t value)
{
	set_address(v, 1, false, value);
}

static void set_avail_hi(struct virtio *v, uint32_t value)
{
	set_address(v, 1, true, value);
}

static void set_used_lo(struct virtio *v, uint32_t value)
{
	set_address(v, 2, false, value);
}

static void set_used_hi(struct virtio *v, uint32_t value)
{
	set_address(v, 2, true, value);
}

/* Writable registers in the order of their offsets. */
static const struct {
	uint8_t offset, size;
	void (*set)(struct virtio *v, uint32_t value);
} registers[] = {
	{VIRTIO_PCI_COMMON_DFSELECT, 4, set_device_feature_select},
	{VIRTIO_PCI_COMMON_GFSELECT, 4, set_driver_feature_select},
	{VIRTIO_PCI_COMMON_GF, 4, set_driver_features},
	{VIRTIO_PCI_COMMON_MSIX, 2, set_config_vector},
	{VIRTIO_PCI_COMMON_STATUS, 1, set_status},
	{VIRTIO_PCI_COMMON_Q_SELECT, 2, set_queue_select},
	{VIRTIO_PCI_COMMON_Q_SIZE, 2, set_queue_size},
	{VIRTIO_PCI_COMMON_Q_MSIX, 2, set_queue_vector},
	{VIRTIO_PCI_COMMON_Q_ENABLE, 2, set_queue_enable},
	{VIRTIO_PCI_COMMON_Q_DESCLO, 4, set_desc_lo},
	{VIRTIO_PCI_COMMON_Q_DESCHI, 4, set_desc_hi},
	{VIRTIO_PCI_COMMON_Q_AVAILLO, 4, set_avail_lo},
	{VIRTIO_PCI_COMMON_Q_AVAILHI, 4, set_avail_hi},
	{VIRTIO_PCI_COMMON_Q_USEDLO, 4, set_used_lo},
	{VIRTIO_PCI_COMMON_Q_USEDHI, 4, set_used_hi},
};

void virtio_common_write(struct virtio *v, uint64_t offset, const void *data, size_t count)
{
	_Alignas(struct virtio_pci_common_cfg) uint8_t image[sizeof(struct virtio_pci_common_cfg)];

	if (offset >= sizeof(image))
		return;
	if (count > sizeof(image) - offset)
		count = sizeof(image) - offset;
	make_image(v, (struct virtio_pci_common_cfg *)image);
	memcpy(image + offset, data, count);
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		uint32_t value = 0;

		if (registers[i].offset >= offset + count ||
		    registers[i].offset + registers[i].size <= offset)
			continue;
		memcpy(&value, image + registers[i].offset, registers[i].size);
		registers[i].set(v, le32toh(value));
	}
}
