/* SPDX-License-Identifier: MIT */
/*
 * pci.h - what the device looks like on the PCI bus: configuration space and BARs.
 *
 * BAR 0    16 KiB  virtio registers, trapped: a page each for common configuration, ISR status,
 * device configuration, notifications BAR 1     4 KiB  MSI-X table and PBA. QEMU keeps the table
 * itself and never shows it to us BAR 2/3          VRAM of all GPUs, 64 bits, prefetchable: the sum of the quotas, rounded
 * up to a power of two; mapped BAR 4/5   2 MiB for each GPU, rounded up: doorbells, 64 bits, prefetchable; mapped
 *
 * VRAM and doorbells are BARs of their own because a client maps all areas of a region from one
 * descriptor, and the VRAM's belongs to the arbiter (one for the VRAM of all GPUs). Both are 64-bit so that VRAM of any size finds
 * a place above 4 GiB.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include <stddef.h>
#include <stdint.h>

#define PCI_BAR_VIRTIO	  0
#define PCI_BAR_MSIX	  1
#define PCI_BAR_VRAM	  2
#define PCI_BAR_DOORBELLS 4
#define PCI_NUM_BARS	  6

#define PCI_CONFIG_SIZE 256

/* Pages of BAR 0. */
#define VIRTIO_BAR_COMMON	 0x0000
#define VIRTIO_BAR_ISR		 0x1000
#define VIRTIO_BAR_DEVICE	 0x2000
#define VIRTIO_BAR_NOTIFY	 0x3000
#define VIRTIO_BAR_PAGE		 0x1000
#define VIRTIO_BAR_SIZE		 0x4000
#define VIRTIO_NOTIFY_MULTIPLIER 4

#define MSIX_BAR_SIZE	0x1000
#define MSIX_TABLE_SIZE 16 /* bytes of an entry */
#define MSIX_PBA	0x800

struct pci {
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits the guest may change */
	uint64_t bar_size[PCI_NUM_BARS];   /* 0: no such BAR, or the upper half of one */
	unsigned window; /* offset of the capability through which BARs are accessed from
			    configuration space */
	/* An access of 1, 2 or 4 bytes to a BAR, within it. */
	int (*bar_access)(void *ctx, unsigned bar, uint64_t offset, void *data, size_t count,
			  int write);
	void *ctx;
};

/* vram_size, doorbells_size: bytes, page multiples. */
void pci_init(struct pci *pci, uint64_t vram_size, uint64_t doorbells_size,
	      int (*bar_access)(void *ctx, unsigned bar, uint64_t offset, void *data, size_t count,
				int write),
	      void *ctx);
/* As after a bus reset: what the guest wrote is gone. */
void pci_reset(struct pci *pci);
/* offset + count <= PCI_CONFIG_SIZE */
int pci_config_access(struct pci *pci, uint64_t offset, uint8_t *data, size_t count, int write);

#endif
