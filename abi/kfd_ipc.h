/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * kfd_ipc.h - KFD's ioctls that share a buffer by a 128-bit handle. They are in AMD's own driver and in libhsakmt, not in linux/kfd_ioctl.h.
 */
#ifndef HSAVISOR_KFD_IPC_H
#define HSAVISOR_KFD_IPC_H

#include <linux/types.h>

/* Whoever knows share_handle can import the buffer, as long as somebody has it. flags: any value, handed to importers (libhsakmt's memory flags). */
struct kfd_ioctl_ipc_export_handle_args {
	__u64 handle;	       /* to KFD */
	__u32 share_handle[4]; /* from KFD */
	__u32 gpu_id;	       /* to KFD */
	__u32 flags;	       /* to KFD */
};

struct kfd_ioctl_ipc_import_handle_args {
	__u64 handle;	       /* from KFD */
	__u64 va_addr;	       /* to KFD */
	__u64 mmap_offset;     /* from KFD, of the render node */
	__u32 share_handle[4]; /* to KFD */
	__u32 gpu_id;	       /* to KFD */
	__u32 flags;	       /* from KFD: the exporter's */
};

#define AMDKFD_IOC_IPC_IMPORT_HANDLE AMDKFD_IOWR(0x80, struct kfd_ioctl_ipc_import_handle_args)
#define AMDKFD_IOC_IPC_EXPORT_HANDLE AMDKFD_IOWR(0x81, struct kfd_ioctl_ipc_export_handle_args)

#endif
