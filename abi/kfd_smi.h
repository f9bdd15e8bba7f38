/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * kfd_smi.h - the lines that a descriptor of SMI_EVENTS gives to read, as amdkfd of Linux 6.12 writes them.
 *
 * Numbers of events and triggers are in <linux/kfd_ioctl.h>, which tells what each means. The arguments begin with the event (%x); ns is the
 * time since boot in nanoseconds (%lld), addresses and sizes are in pages (%lx), GPUs are gpu_ids and 0 is the system's memory (%x).
 */
#ifndef ABI_KFD_SMI_H
#define ABI_KFD_SMI_H

/* pid, the thread's name */
#define HSV_SMI_VMFAULT "%x %x:%s\n"
/* number of the reset, its cause */
#define HSV_SMI_GPU_RESET "%x %x %s\n"
/* ns, pid, address, GPU, start: 'W' or 'R'; end: 'U', the page was given as it was */
#define HSV_SMI_PAGE_FAULT "%x %lld -%d @%lx(%x) %c\n"
/* ns, pid, GPU, trigger */
#define HSV_SMI_QUEUE_EVICTION "%x %lld -%d %x %d\n"
/* ns, pid, GPU, 'R': it will be tried again, or ' ' */
#define HSV_SMI_QUEUE_RESTORE "%x %lld -%d %x %c\n"
/* ns, pid, address, size, GPU, trigger */
#define HSV_SMI_UNMAP "%x %lld -%d @%lx(%lx) %x %d\n"
/* ns, pid, address, size, from, to, prefetch location, preferred location, trigger */
#define HSV_SMI_MIGRATE_START "%x %lld -%d @%lx(%lx) %x->%x %x:%x %d\n"
/* ns, pid, address, size, from, to, trigger */
#define HSV_SMI_MIGRATE_END "%x %lld -%d @%lx(%lx) %x->%x %d\n"

#endif
