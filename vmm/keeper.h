/* SPDX-License-Identifier: MIT */
/*
 * keeper.h - a process that parts from the client properly when the broker dies.
 *
 * A UNIX socket that is closed with something unread in it gives its peer ECONNRESET; QEMU 11.1.3
 * aborts on that, and the VM is gone (its vfio_user_recv_hdr() sets an error that is set). And a
 * request without an answer holds up all of QEMU until its timeout. So when a broker is killed, or
 * crashes, with a request in its socket or in its hands, somebody else must have the socket still:
 * the keeper, a child that does nothing but wait for the broker's end. Then it answers what is
 * open with EIO and ends the connection. A VM that loses its GPU goes on without.
 */
#ifndef VMM_KEEPER_H
#define VMM_KEEPER_H

#include <stddef.h>

#include "vmm/vfio_user_proto.h"

struct keeper;

/*
 * Starts the process; while the caller has one thread. It keeps the standard descriptors and none
 * of the others; first it calls seal(ctx), and ends if that does not return 0: -ECHILD. It ends
 * with the caller. Other negative errno: it could not be started.
 */
int keeper_start(int (*seal)(void *ctx), void *ctx, struct keeper **keeper);
/* The keeper's process goes, too. NULL is fine, as below. */
void keeper_stop(struct keeper *keeper);

/* There is a client, a vfio-user one; the caller's descriptor stays the caller's. */
void keeper_hold(struct keeper *keeper, int client);
/* There is none any more. */
void keeper_drop(struct keeper *keeper);
/* A message is being received, of which left bytes are in the socket, or is being handled: 0. */
void keeper_serving(struct keeper *keeper, const struct vfio_user_header *message, size_t left);
/* It was answered. */
void keeper_served(struct keeper *keeper);

/* Parts from a client that may be there or not: answers all requests that are in the socket with EIO, ends the connection and closes the descriptor. */
void keeper_part(int client);

#endif
