// SPDX-License-Identifier: MIT
/* irq.c - see irq.h. */
#include "vmm/irq.h"

#include <stdint.h>
#include <unistd.h>

void irqs_init(struct irqs *irqs)
{
	pthread_mutex_init(&irqs->lock, NULL);
	for (unsigned i = 0; i < IRQ_VECTORS; i++)
		irqs->fds[i] = -1;
}

void irqs_fini(struct irqs *irqs)
{
	for (unsigned i = 0; i < IRQ_VECTORS; i++)
		irqs_set(irqs, i, -1);
	pthread_mutex_destroy(&irqs->lock);
}

void irqs_set(struct irqs *irqs, unsigned vector, int fd)
{
	int old;

	pthread_mutex_lock(&irqs->lock);
	old = irqs->fds[vector];
	irqs->fds[vector] = fd;
	pthread_mutex_unlock(&irqs->lock);
	if (old >= 0)
		close(old);
}

void irqs_trigger(struct irqs *irqs, unsigned vector)
{
	static const uint64_t one = 1;
	ssize_t n;

	if (vector >= IRQ_VECTORS)
		return;
	pthread_mutex_lock(&irqs->lock);
	if (irqs->fds[vector] >= 0) {
		/* Fails only when the counter is full, and then the interrupt is pending anyway. */
		n = write(irqs->fds[vector], &one, sizeof(one));
		(void)n;
	}
	pthread_mutex_unlock(&irqs->lock);
}
