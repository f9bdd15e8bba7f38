/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h - what differs between the kernels this driver builds for. 6.12 (Debian 13) is the
 * oldest; everything that depends on LINUX_VERSION_CODE is here, so that the other files read like
 * a driver for one kernel.
 */
#ifndef HSV_COMPAT_H
#define HSV_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#error "hsavisor needs Linux 6.11 or newer"
#endif

/* drm_driver.date was removed in 6.14. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define HSV_DRM_DATE .date = "20250101",
#else
#define HSV_DRM_DATE
#endif

/* The name of a symbol namespace is a string from 6.13 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define HSV_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#else
#define HSV_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#endif

/*
 * Where the core resets virtio devices at shutdown (from 6.15 on, and in newer stable releases), a
 * driver can do that itself.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define HSV_VIRTIO_SHUTDOWN
#endif

#endif
