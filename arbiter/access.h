/* SPDX-License-Identifier: MIT */
/*
 * access.h - who may do what on hsavisord's control socket.
 *
 * The socket's file permissions decide who can connect: its owner (who runs hsavisord), and the
 * group of --group. Peer credentials, which the kernel vouches for, are looked at again when a
 * connection comes, so that a loosened mode or a descriptor handed on opens nothing, and decide
 * what the connection may ask:
 *
 *   who                            may
 *   root, the daemon's user        everything
 *   users in the group of --group  be tenants; join, reset and see the faults of tenants of their
 *                                  own user; read status, list and policies
 *   others                         nothing: the connection is closed
 *
 * What a tenant gets of the GPU (set), timelines (trace) and the daemon's end (shutdown) are for
 * the first alone.
 *
 * The credentials are those at connect(): a broker that gave up its identity since is its starter's.
 */
#ifndef ARBITER_ACCESS_H
#define ARBITER_ACCESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

enum access_role { ACCESS_NONE, ACCESS_MEMBER, ACCESS_OWNER };

/* The credentials of a connection's other end, and what they make it; group: (gid_t)-1: none. On
 * an error of the kernel ACCESS_NONE. */
enum access_role access_of_peer(int sock, gid_t group, struct ucred *peer);
/* Of one that was let in. */
enum access_role access_of_user(uid_t uid);

#endif
