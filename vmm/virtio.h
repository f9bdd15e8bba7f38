/* SPDX-License-Identifier: MIT */
/*
 * virtio.h - the virtio-pci transport registers (virtio 1.2, 4.1.4): common configuration, ISR
 * status, notifications.
 *
 * The registers are the main thread's; what other threads use (status, vectors) is atomic. What the
 * registers bring about is the device's, by virtio_ops.
 */
#ifndef VMM_VIRTIO_H
#define VMM_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/hsavisor.h"
#include "vmm/irq.h"

struct virtio_queue_regs {
	uint16_t size;
	uint16_t enable;
	uint64_t desc, avail, used;
	_Atomic uint16_t vector;
};

struct virtio_ops {
	/* The driver enabled the queue as regs say. -EINVAL: not with these addresses or this size.
	 */
	int (*queue_enable)(void *ctx, unsigned queue, const struct virtio_queue_regs *regs,
			    uint64_t features);
	void (*queue_notify)(void *ctx, unsigned queue);
	/* The driver wrote 0 to the status. The registers are reset when this returns. */
	void (*reset)(void *ctx);
};

struct virtio {
	const struct virtio_ops *ops;
	void *ctx;
	struct irqs *irqs;
	uint64_t device_features;

	uint32_t device_feature_select, driver_feature_select;
	_Atomic uint64_t driver_features;
	uint16_t queue_select;
	struct virtio_queue_regs queues[HSV_NUM_QUEUES];
	_Atomic uint8_t status;
	_Atomic uint8_t isr;
	_Atomic uint16_t config_vector;
};

void virtio_init(struct virtio *v, const struct virtio_ops *ops, void *ctx, struct irqs *irqs,
		 uint64_t features);
/* Registers as at power-on. The caller has reset the device itself. */
void virtio_reset(struct virtio *v);

/* Accesses to the common configuration at a byte offset. What's beyond it reads as zero and ignores
 * writes. */
void virtio_common_read(struct virtio *v, uint64_t offset, void *data, size_t count);
void virtio_common_write(struct virtio *v, uint64_t offset, const void *data, size_t count);
uint8_t virtio_isr_read(struct virtio *v);

/* From any thread. */
bool virtio_driver_ok(const struct virtio *v);
bool virtio_has_feature(const struct virtio *v, unsigned bit);
void virtio_interrupt(struct virtio *v, unsigned queue);
/* The driver broke the rules: nothing more can be done for it until it resets the device (2.1.2).
 */
void virtio_needs_reset(struct virtio *v);

#endif
