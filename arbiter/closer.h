/* SPDX-License-Identifier: MIT */
/*
 * closer.h - closes what clients sent, in threads of its own.
 *
 * A client may send any descriptor: a file of a FUSE file system of its own, a TCP socket that
 * lingers. To close the last one of those takes as long as the client likes. So the daemon's
 * thread, which gives everybody their turns, closes none of them, nor a connection's socket, in
 * which packets with descriptors may still wait.
 *
 * Only so many threads are at work for a user: others' descriptors are closed though all of one
 * user's block.
 */
#ifndef ARBITER_CLOSER_H
#define ARBITER_CLOSER_H

#include <stdbool.h>
#include <sys/types.h>

/* Descriptors of a user that wait to be closed; who has more is to be turned away, unread. */
#define CLOSER_MOST 64

struct closer;

/* NULL: no memory. */
struct closer *closer_new(void);
/* Takes the descriptor over, which is the user's doing; it is closed soon. Does not block. */
void closer_close(struct closer *closer, int fd, uid_t user);
/* Whether more than CLOSER_MOST of the user's are still open. */
bool closer_has_too_many(struct closer *closer, uid_t user);
/* Waits for what can be closed within a second; the rest goes with the process. Nothing may be
 * closed by it any more. */
void closer_end(struct closer *closer);

#endif
