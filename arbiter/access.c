// SPDX-License-Identifier: MIT
/* access.c - see access.h. */
#include "arbiter/access.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum access_role access_of_user(uid_t uid)
{
	return uid == 0 || uid == geteuid() ? ACCESS_OWNER : ACCESS_MEMBER;
}

/* Supplementary groups at connect(). */
static bool has_group(int sock, gid_t group)
{
	socklen_t size = 0;
	gid_t *groups;
	bool found = false;

	/* Says how much it needs. */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		return false;
	groups = malloc(size);
	if (groups && getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
		for (socklen_t i = 0; i < size / sizeof(*groups); i++)
			found = found || groups[i] == group;
	free(groups);
	return found;
}

enum access_role access_of_peer(int sock, gid_t group, struct ucred *peer)
{
	socklen_t size = sizeof(*peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, peer, &size) < 0)
		return ACCESS_NONE;
	if (access_of_user(peer->uid) == ACCESS_OWNER)
		return ACCESS_OWNER;
	if (group != (gid_t)-1 && (peer->gid == group || has_group(sock, group)))
		return ACCESS_MEMBER;
	return ACCESS_NONE;
}
