/* SPDX-License-Identifier: MIT */
/*
 * irq.h - the device's MSI-X interrupts: an eventfd for each vector, given by the client, signalled
 * from any thread.
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <pthread.h>

#define IRQ_VECTORS 3 /* configuration change, control queue, event queue */

struct irqs {
	pthread_mutex_t lock;
	int fds[IRQ_VECTORS]; /* -1: masked or not set up */
};

void irqs_init(struct irqs *irqs);
void irqs_fini(struct irqs *irqs);
/* fd is now owned; -1 drops the one that's there. */
void irqs_set(struct irqs *irqs, unsigned vector, int fd);
/* Never blocks. Vectors that don't exist (VIRTIO_MSI_NO_VECTOR) are ignored. */
void irqs_trigger(struct irqs *irqs, unsigned vector);

#endif
