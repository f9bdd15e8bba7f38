// SPDX-License-Identifier: MIT
/* msg.c - see msg.h. close() is made by syscall(): this file is also part of the preload library,
 * which interposes it. */
#include "arbiter/msg.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

int msg_send(int sock, const void *data, size_t size, const int *fds, unsigned num_fds)
{
	union {
		char buf[CMSG_SPACE(MSG_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (num_fds > MSG_MAX_FDS)
		return -EINVAL;
	if (num_fds) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, num_fds * sizeof(int));
	}
	for (;;) {
		ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);

		if (n >= 0)
			return (size_t)n == size ? 0 : -EMSGSIZE;
		if (errno != EINTR)
			return -errno;
	}
}

ssize_t msg_receive_all(int sock, void *data, size_t size, int *fds, unsigned *num_fds)
{
	union {
		char buf[CMSG_SPACE(MSG_ANY_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {data, size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	ssize_t n;

	*num_fds = 0;
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds + *num_fds, CMSG_DATA(c), count * sizeof(int));
		*num_fds += (unsigned)count;
	}
	return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

ssize_t msg_receive(int sock, void *data, size_t size, int *fds, unsigned *num_fds)
{
	unsigned limit = *num_fds < MSG_MAX_FDS ? *num_fds : MSG_MAX_FDS, got;
	int all[MSG_ANY_FDS];
	ssize_t n = msg_receive_all(sock, data, size, all, &got);

	if (n < 0)
		limit = 0;
	*num_fds = got < limit ? got : limit;
	if (*num_fds)
		memcpy(fds, all, *num_fds * sizeof(int));
	while (got > *num_fds)
		syscall(SYS_close, all[--got]);
	return n;
}

int msg_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = -errno;
	syscall(SYS_close, fd);
	return err;
}
