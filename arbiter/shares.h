/* SPDX-License-Identifier: MIT */
/*
 * shares.h - buffers that processes of a host tenant share by a 128-bit handle (KFD's IPC): which descriptor a handle stands for.
 *
 * The daemon only keeps the descriptors and hands them to processes of the same tenant; what they are is between those (host/share.c).
 */
#ifndef ARBITER_SHARES_H
#define ARBITER_SHARES_H

#include <stdint.h>

#include "arbiter/closer.h"
#include "arbiter/tenants.h"

#define SHARES_KEY 16  /* bytes */
#define SHARES_MAX 256 /* of one executor */

struct share;
struct shares {
	struct closer *closer; /* closes what isn't shared any more */
	struct share *list;
};

/* Takes fd over, also on errors. -EEXIST: the key is in use; -ENOMEM, -ENOSPC: too many. */
int shares_add(struct shares *shares, const struct executor *e, const uint8_t key[SHARES_KEY], int fd);
/* The executor's descriptor of that key is closed. -ENOENT */
int shares_remove(struct shares *shares, const struct executor *e, const uint8_t key[SHARES_KEY]);
/* The descriptor, which stays the list's, of a key that an executor of the same tenant added. -ENOENT */
int shares_find(const struct shares *shares, const struct executor *e, const uint8_t key[SHARES_KEY]);
/* The executor goes. */
void shares_forget(struct shares *shares, const struct executor *e);

#endif
