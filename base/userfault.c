// SPDX-License-Identifier: MIT
/* userfault.c - see userfault.h. */
#include "base/userfault.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

int userfault_open(uint64_t features, bool syscalls)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	const int flags = O_CLOEXEC | O_NONBLOCK | (syscalls ? 0 : UFFD_USER_MODE_ONLY);
	int fd = (int)syscall(SYS_userfaultfd, flags);
	int err;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}
