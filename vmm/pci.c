// SPDX-License-Identifier: MIT
/*
 * pci.c - see pci.h.
 *
 * Configuration space is an array of bytes with, beside it, one of the bits the guest may write.
 * That alone makes BAR sizing work (the bits below a BAR's size don't take ones). QEMU keeps BARs,
 * command register and MSI-X for itself and passes the rest on, but other clients may not.
 *
 * Class: 0x1200, "processing accelerator", as compute-only GPUs have: it isn't a display, so that
 * no guest takes it for its console. There's no interrupt pin (MSI-X only) and no PCI Express
 * capability: on pcie.0 the device is a conventional integrated one, and it works behind a root
 * port, too.
 */
#include "vmm/pci.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "abi/hsavisor.h"
#include "vmm/irq.h"

#define CLASS_ACCELERATOR 0x120000
#define REVISION	  1 /* virtio 1.x: non-transitional devices have 1 or more */
#define SUBSYSTEM	  0x1100

static void put16(struct pci *pci, unsigned offset, uint16_t value)
{
	value = htole16(value);
	memcpy(pci->config + offset, &value, sizeof(value));
}

static void put32(struct pci *pci, unsigned offset, uint32_t value)
{
	value = htole32(value);
	memcpy(pci->config + offset, &value, sizeof(value));
}

static void allow(struct pci *pci, unsigned offset, uint32_t bits, unsigned size)
{
	bits = htole32(bits);
	memcpy(pci->writable + offset, &bits, size);
}

static void set_bar(struct pci *pci, unsigned bar, uint64_t size, uint32_t type)
{
	unsigned offset = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t mask = ~(size - 1);

	pci->bar_size[bar] = size;
	put32(pci, offset, type);
	allow(pci, offset, (uint32_t)mask, 4);
	if (type & PCI_BASE_ADDRESS_MEM_TYPE_64)
		allow(pci, offset + 4, (uint32_t)(mask >> 32), 4);
}

/* Appends a capability of size bytes; *last is where its offset is to be written. Returns its
 * offset. */
static unsigned add_cap(struct pci *pci, unsigned *last, unsigned *end, uint8_t id, unsigned size)
{
	unsigned offset = (*end + 3) & ~3u;

	assert(offset + size <= PCI_CONFIG_SIZE);
	pci->config[*last] = (uint8_t)offset;
	pci->config[offset] = id;
	*last = offset + 1;
	*end = offset + size;
	return offset;
}

static unsigned add_virtio_cap(struct pci *pci, unsigned *last, unsigned *end, uint8_t type,
			       uint8_t bar, uint8_t id, uint64_t start, uint64_t length,
			       unsigned size)
{
	unsigned offset = add_cap(pci, last, end, PCI_CAP_ID_VNDR, size);

	pci->config[offset + VIRTIO_PCI_CAP_LEN] = (uint8_t)size;
	pci->config[offset + VIRTIO_PCI_CAP_CFG_TYPE] = type;
	pci->config[offset + VIRTIO_PCI_CAP_BAR] = bar;
	pci->config[offset + VIRTIO_PCI_CAP_BAR + 1] = id;
	put32(pci, offset + VIRTIO_PCI_CAP_OFFSET, (uint32_t)start);
	put32(pci, offset + VIRTIO_PCI_CAP_LENGTH, (uint32_t)length);
	if (type == VIRTIO_PCI_CAP_SHARED_MEMORY_CFG) {
		put32(pci, offset + offsetof(struct virtio_pci_cap64, offset_hi),
		      (uint32_t)(start >> 32));
		put32(pci, offset + offsetof(struct virtio_pci_cap64, length_hi),
		      (uint32_t)(length >> 32));
	}
	return offset;
}

static uint64_t power_of_two(uint64_t size)
{
	uint64_t p = 4096;

	while (p < size)
		p <<= 1;
	return p;
}

void pci_init(struct pci *pci, uint64_t vram_size, uint64_t doorbells_size,
	      int (*bar_access)(void *ctx, unsigned bar, uint64_t offset, void *data, size_t count,
				int write),
	      void *ctx)
{
	const uint32_t mem64 = PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH;
	unsigned last = PCI_CAPABILITY_LIST, end = PCI_STD_HEADER_SIZEOF, offset;

	memset(pci, 0, sizeof(*pci));
	pci->bar_access = bar_access;
	pci->ctx = ctx;

	put16(pci, PCI_VENDOR_ID, HSV_PCI_VENDOR_ID);
	put16(pci, PCI_DEVICE_ID, HSV_PCI_DEVICE_ID);
	put16(pci, PCI_STATUS, PCI_STATUS_CAP_LIST);
	put32(pci, PCI_CLASS_REVISION, CLASS_ACCELERATOR << 8 | REVISION);
	put16(pci, PCI_SUBSYSTEM_VENDOR_ID, HSV_PCI_VENDOR_ID);
	put16(pci, PCI_SUBSYSTEM_ID, SUBSYSTEM);
	allow(pci, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE,
	      2);
	allow(pci, PCI_INTERRUPT_LINE, 0xff, 1);

	set_bar(pci, PCI_BAR_VIRTIO, VIRTIO_BAR_SIZE, 0);
	set_bar(pci, PCI_BAR_MSIX, MSIX_BAR_SIZE, 0);
	set_bar(pci, PCI_BAR_VRAM, power_of_two(vram_size), mem64);
	set_bar(pci, PCI_BAR_DOORBELLS, power_of_two(doorbells_size), mem64);

	offset = add_cap(pci, &last, &end, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	put16(pci, offset + PCI_MSIX_FLAGS, IRQ_VECTORS - 1);
	allow(pci, offset + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	put32(pci, offset + PCI_MSIX_TABLE, PCI_BAR_MSIX);
	put32(pci, offset + PCI_MSIX_PBA, MSIX_PBA | PCI_BAR_MSIX);

	add_virtio_cap(pci, &last, &end, VIRTIO_PCI_CAP_COMMON_CFG, PCI_BAR_VIRTIO, 0,
		       VIRTIO_BAR_COMMON, sizeof(struct virtio_pci_common_cfg),
		       sizeof(struct virtio_pci_cap));
	offset = add_virtio_cap(pci, &last, &end, VIRTIO_PCI_CAP_NOTIFY_CFG, PCI_BAR_VIRTIO, 0,
				VIRTIO_BAR_NOTIFY, VIRTIO_BAR_PAGE,
				sizeof(struct virtio_pci_notify_cap));
	put32(pci, offset + VIRTIO_PCI_NOTIFY_CAP_MULT, VIRTIO_NOTIFY_MULTIPLIER);
	add_virtio_cap(pci, &last, &end, VIRTIO_PCI_CAP_ISR_CFG, PCI_BAR_VIRTIO, 0, VIRTIO_BAR_ISR,
		       1, sizeof(struct virtio_pci_cap));
	add_virtio_cap(pci, &last, &end, VIRTIO_PCI_CAP_DEVICE_CFG, PCI_BAR_VIRTIO, 0,
		       VIRTIO_BAR_DEVICE, sizeof(struct hsv_config), sizeof(struct virtio_pci_cap));
	add_virtio_cap(pci, &last, &end, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, PCI_BAR_DOORBELLS,
		       HSV_SHM_DOORBELLS, 0, doorbells_size, sizeof(struct virtio_pci_cap64));
	add_virtio_cap(pci, &last, &end, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, PCI_BAR_VRAM,
		       HSV_SHM_VRAM, 0, vram_size, sizeof(struct virtio_pci_cap64));
	pci->window = add_virtio_cap(pci, &last, &end, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 0, 0,
				     sizeof(struct virtio_pci_cfg_cap));
	allow(pci, pci->window + VIRTIO_PCI_CAP_BAR, 0xff, 1);
	allow(pci, pci->window + VIRTIO_PCI_CAP_OFFSET, UINT32_MAX, 4);
	allow(pci, pci->window + VIRTIO_PCI_CAP_LENGTH, UINT32_MAX, 4);
	allow(pci, pci->window + sizeof(struct virtio_pci_cap), UINT32_MAX, 4);
}

void pci_reset(struct pci *pci)
{
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		pci->config[i] &= (uint8_t)~pci->writable[i];
}

/* The window capability (4.1.4.9): an access to its data bytes is one to the BAR, at the offset and
 * of the length written before. */
static void window_access(struct pci *pci, int write)
{
	struct virtio_pci_cfg_cap cap;
	uint32_t offset, length;

	memcpy(&cap, pci->config + pci->window, sizeof(cap));
	offset = le32toh(cap.cap.offset);
	length = le32toh(cap.cap.length);
	if ((length != 1 && length != 2 && length != 4) || offset % length ||
	    cap.cap.bar >= PCI_NUM_BARS || offset >= pci->bar_size[cap.cap.bar])
		return;
	pci->bar_access(pci->ctx, cap.cap.bar, offset, pci->config + pci->window + sizeof(cap.cap),
			length, write);
}

int pci_config_access(struct pci *pci, uint64_t offset, uint8_t *data, size_t count, int write)
{
	uint64_t window_data = pci->window + sizeof(struct virtio_pci_cap);
	/* The whole of configuration space, as QEMU reads it at start, isn't meant for the window.
	 */
	int window = offset >= window_data && offset < window_data + 4;

	if (window && !write)
		window_access(pci, 0);
	for (size_t i = 0; i < count; i++) {
		uint8_t *byte = &pci->config[offset + i], mask = pci->writable[offset + i];

		if (write)
			*byte = (uint8_t)((*byte & ~mask) | (data[i] & mask));
		else
			data[i] = *byte;
	}
	if (window && write)
		window_access(pci, 1);
	return 0;
}
