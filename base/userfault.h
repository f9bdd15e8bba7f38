/* SPDX-License-Identifier: MIT */
/* userfault.h - memory of this process that traps: opening userfaultfd. */
#ifndef BASE_USERFAULT_H
#define BASE_USERFAULT_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>

/* Of Linux 5.19; the build machine's headers may be older. */
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

/*
 * A userfaultfd, the caller's, with these features (UFFD_FEATURE_*): non-blocking, closed on exec.
 * syscalls: system calls that touch the memory trap, too, which takes a privilege or a sysctl on
 * some hosts. Negative errno: it is forbidden, or the kernel lacks a feature.
 */
int userfault_open(uint64_t features, bool syscalls);

#endif
