/* SPDX-License-Identifier: MIT */
/*
 * vfio_user_proto.h - the messages of the vfio-user protocol, version 0.0, as QEMU's
 * docs/interop/vfio-user.rst defines them.
 *
 * Everything is in host byte order. Structs that the protocol takes over from VFIO (device, region
 * and interrupt information) are those of linux/vfio.h.
 */
#ifndef VMM_VFIO_USER_PROTO_H
#define VMM_VFIO_USER_PROTO_H

#include <stdint.h>

enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DEVICE_RESET = 13,
	VFIO_USER_REGION_WRITE_MULTI = 15,
	VFIO_USER_NUM_COMMANDS,
};

/* vfio_user_header.flags */
#define VFIO_USER_TYPE_MASK  0xfu
#define VFIO_USER_TYPE_REPLY 0x1u
#define VFIO_USER_NO_REPLY   0x10u
#define VFIO_USER_ERROR	     0x20u

#define VFIO_USER_MAJOR 0
#define VFIO_USER_MINOR 0

struct vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t size; /* of the message, this header included */
	uint32_t flags;
	uint32_t error; /* errno in replies */
};

/* Followed by the capabilities, a zero-terminated JSON text. */
struct vfio_user_version {
	uint16_t major;
	uint16_t minor;
};

#define VFIO_USER_DMA_READ  1u
#define VFIO_USER_DMA_WRITE 2u

struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset; /* in the file whose descriptor comes with the message */
	uint64_t address;
	uint64_t size;
};

#define VFIO_USER_UNMAP_ALL 2u /* VFIO_DMA_UNMAP_FLAG_ALL */

struct vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
};

/* REGION_READ and _WRITE, and their answers; data follows a write and the answer to a read. */
struct vfio_user_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};

#endif
