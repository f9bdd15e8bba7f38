/* SPDX-License-Identifier: MIT */
/*
 * device.h - the hsavisor device of one VM: a PCI device for the vfio-user server in front, a
 * kfd_device with all GPUs of the VM behind.
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include <stdatomic.h>
#include <stdint.h>

#include "abi/hsavisor.h"
#include "arbiter/client.h"
#include "gpu/gpu.h"
#include "vmm/vfio_user.h"

struct hsv_device;

struct hsv_device_gpu {
	struct gpu *gpu;
	uint64_t vram_size;		   /* bytes of its VRAM, a page multiple */
	struct arbiter_counters *counters; /* to publish in; may be NULL */
	struct arbiter_client *arbiter;	   /* who grants VRAM; NULL: vram_size is the quota */
};

struct hsv_device_config {
	struct hsv_device_gpu gpus[HSV_MAX_GPUS];
	uint32_t num_gpus;
	int vram_fd; /* memfd of the VRAM of all GPUs, one after the other; stays the caller's */
};

/* What made the VM exit to us, since the device was opened. */
struct hsv_device_exits {
	_Atomic uint64_t config;    /* accesses to PCI configuration space */
	_Atomic uint64_t registers; /* to the virtio registers */
	_Atomic uint64_t memory;    /* to VRAM or doorbells that the client did not map */
	_Atomic uint64_t control_kicks, event_kicks; /* queue notifications */
};

int hsv_device_open(const struct hsv_device_config *config, struct hsv_device **device);
/* The server must be closed already. */
void hsv_device_close(struct hsv_device *device);

/* The device's face to the server; its ctx is the device. */
extern const struct vfio_user_ops hsv_device_vfio_ops;

/* Stores totals of the core into the counters. From the server's thread. */
void hsv_device_publish(struct hsv_device *device);
const struct hsv_device_exits *hsv_device_exits(const struct hsv_device *device);

#endif
