/* SPDX-License-Identifier: MIT */
/* msg.h - packets with descriptors over SOCK_SEQPACKET, for both sides of the control socket. */
#ifndef ARBITER_MSG_H
#define ARBITER_MSG_H

#include <stddef.h>
#include <sys/types.h>

#define MSG_MAX_FDS 6
#define MSG_ANY_FDS 253 /* that a packet can bring: Linux's SCM_MAX_FD */

/* Sends one packet with num_fds descriptors (kept by the caller). 0 or negative errno; never raises
 * SIGPIPE. */
int msg_send(int sock, const void *data, size_t size, const int *fds, unsigned num_fds);

/*
 * Receives one packet into data; descriptors (close-on-exec) into fds, *num_fds of at most
 * MSG_MAX_FDS, any beyond are closed. Returns its size, 0 at end of file, negative errno
 * (-EMSGSIZE: longer than size; the packet is lost and its descriptors closed).
 */
ssize_t msg_receive(int sock, void *data, size_t size, int *fds, unsigned *num_fds);

/*
 * The same, but whatever the packet brings is the caller's, also on errors: nothing is closed. fds has room for MSG_ANY_FDS.
 */
ssize_t msg_receive_all(int sock, void *data, size_t size, int *fds, unsigned *num_fds);

/* Connects to the SEQPACKET socket at path: descriptor or negative errno (-ENAMETOOLONG). */
int msg_connect(const char *path);

#endif
