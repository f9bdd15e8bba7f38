/* SPDX-License-Identifier: MIT */
/*
 * vfio_user.h - a vfio-user server for one PCI device and one client (a QEMU) at a time.
 *
 * The server knows the protocol; the device behind it is reached through vfio_user_ops. All calls
 * come from the one thread that calls vfio_user_server_poll.
 */
#ifndef VMM_VFIO_USER_H
#define VMM_VFIO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/vfio.h>

#define VFIO_USER_MAX_FDS   8	  /* descriptors in one message, said in the version answer */
#define VFIO_USER_MAX_XFER  65536 /* bytes of one region access, likewise */
#define VFIO_USER_MAX_MAPS  1024  /* DMA mappings at a time, likewise */
#define VFIO_USER_MAX_AREAS 4	  /* mappable areas of a region */

/* What a region is. A region of size 0 does not exist. */
struct vfio_user_region {
	uint64_t size;
	bool read, write;
	int fd; /* what the areas are mapped from, at the same offsets; -1: nothing to map. Owned by
		   the device */
	unsigned num_areas; /* areas of the region that are mapped; multiples of the page size */
	struct {
		uint64_t offset, size;
	} areas[VFIO_USER_MAX_AREAS];
};

/* The device. Functions return 0 or a negative errno, which goes to the client. */
struct vfio_user_ops {
	/* index: VFIO_PCI_*_REGION_INDEX, below VFIO_PCI_NUM_REGIONS. */
	void (*get_region)(void *ctx, unsigned index, struct vfio_user_region *region);
	/* One trapped access; within the region's size, 1 .. VFIO_USER_MAX_XFER bytes. */
	int (*region_access)(void *ctx, unsigned index, uint64_t offset, void *data, size_t count,
			     bool write);
	/* Number of interrupts of an index (VFIO_PCI_*_IRQ_INDEX), 0: none. */
	unsigned (*num_irqs)(void *ctx, unsigned index);
	/* Interrupt number is now signalled through the eventfd fd, which the device now owns; -1:
	 * it isn't signalled. */
	void (*set_irq)(void *ctx, unsigned index, unsigned number, int fd);
	/* The client asks for the interrupt (VFIO_IRQ_SET_DATA_NONE or _BOOL). */
	void (*trigger_irq)(void *ctx, unsigned index, unsigned number);
	/* fd (which stays the server's; -1: memory that can't be mapped) holds [address, address +
	 * size) of guest memory at offset. */
	int (*dma_map)(void *ctx, uint64_t address, uint64_t size, int fd, uint64_t offset,
		       bool write);
	/* Exactly a range that was mapped (-ENOENT otherwise). When it returns the device uses none
	 * of it. */
	int (*dma_unmap)(void *ctx, uint64_t address, uint64_t size);
	void (*dma_unmap_all)(void *ctx);
	/* Device reset; DMA mappings and interrupts stay. */
	void (*reset)(void *ctx);
	/* The client is gone: everything of it (guest state, DMA mappings, interrupts) goes. */
	void (*disconnected)(void *ctx);
};

struct vfio_user_server;
struct keeper;

/*
 * Listens on a UNIX socket at path (mode 0600). A socket nobody listens on any more is replaced;
 * -EADDRINUSE when someone does. Other errors as of socket, bind and listen; -ENAMETOOLONG.
 */
int vfio_user_server_open(const char *path, const struct vfio_user_ops *ops, void *ctx,
			  struct vfio_user_server **server);
/* The device, if it was not there yet when the server was opened; before the first poll. */
void vfio_user_server_set_device(struct vfio_user_server *server, void *ctx);
/* Who parts from the client should this process be killed; it stays the caller's. Before the first poll. */
void vfio_user_server_set_keeper(struct vfio_user_server *server, struct keeper *keeper);
/* Leaves the socket file where it is at the end: this process has no paths any more. */
void vfio_user_server_keep_file(struct vfio_user_server *server);
/* Disconnects, stops listening, removes the socket file. */
void vfio_user_server_close(struct vfio_user_server *server);

/* Descriptors to wait for input on: the listening one, and the client's or -1. */
void vfio_user_server_fds(const struct vfio_user_server *server, int *listener, int *client);
/* Handles whatever has arrived, without waiting for more. */
void vfio_user_server_poll(struct vfio_user_server *server);

#endif
