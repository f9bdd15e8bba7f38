/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h - what differs between the kernels this driver builds for. 6.12 (Debian 13) is the
 * oldest; everything that depends on LINUX_VERSION_CODE is here, so that the other files read like
 * a driver for one kernel.
 */
#ifndef HSV_COMPAT_H
#define HSV_COMPAT_H

#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/version.h>
#include <linux/workqueue.h>

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

/* A work queue that isn't unbound says so from 6.18 on; newer kernels (7.3) warn if it doesn't. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define HSV_WQ_PERCPU 0
#else
#define HSV_WQ_PERCPU WQ_PERCPU
#endif

/* A device page's pgmap is its folio's from 6.15 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
static inline struct dev_pagemap *page_pgmap(const struct page *page)
{
	return page->pgmap;
}
#endif

/* Device pages are freed as folios from 6.19 on: dev_pagemap_ops's member, its argument's type. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define HSV_PAGE_FREE	    page_free
#define HSV_PAGE_FREE_ARG   struct page *
#define hsv_page_freed(arg) (arg)
#else
#define HSV_PAGE_FREE	    folio_free
#define HSV_PAGE_FREE_ARG   struct folio *
#define hsv_page_freed(arg) folio_page(arg, 0)
#endif

/* Makes a free device page one with a reference, locked. */
static inline void hsv_device_page_init(struct page *page, struct dev_pagemap *pgmap)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
	zone_device_page_init(page);
#else
	zone_device_page_init(page, pgmap, 0);
#endif
}

#endif
