// SPDX-License-Identifier: MIT
/* shares.c - see shares.h. */
#include "arbiter/shares.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct share {
	struct share *next;
	const struct executor *owner;
	uint8_t key[SHARES_KEY];
	int fd;
};

/* Where the share with that key is linked, or the end of the list. */
static struct share **find(struct share **at, const uint8_t key[SHARES_KEY])
{
	while (*at && memcmp((*at)->key, key, SHARES_KEY))
		at = &(*at)->next;
	return at;
}

static void drop(struct shares *shares, struct share **at)
{
	struct share *s = *at;

	*at = s->next;
	closer_close(shares->closer, s->fd, s->owner->tenant->uid);
	free(s);
}

int shares_add(struct shares *shares, const struct executor *e, const uint8_t key[SHARES_KEY],
	       int fd)
{
	struct share *s = calloc(1, sizeof(*s));
	unsigned n = 0;
	int err = s ? 0 : -ENOMEM;

	for (const struct share *x = shares->list; x; x = x->next)
		n += x->owner == e;
	if (n >= SHARES_MAX)
		err = -ENOSPC;
	else if (*find(&shares->list, key))
		err = -EEXIST;
	if (err) {
		closer_close(shares->closer, fd, e->tenant->uid);
		free(s);
		return err;
	}
	*s = (struct share){.next = shares->list, .owner = e, .fd = fd};
	memcpy(s->key, key, SHARES_KEY);
	shares->list = s;
	return 0;
}

int shares_remove(struct shares *shares, const struct executor *e, const uint8_t key[SHARES_KEY])
{
	struct share **at = find(&shares->list, key);

	if (!*at || (*at)->owner != e)
		return -ENOENT;
	drop(shares, at);
	return 0;
}

int shares_find(const struct shares *shares, const struct executor *e,
		const uint8_t key[SHARES_KEY])
{
	struct share *list = shares->list, *s = *find(&list, key);

	return s && s->owner->tenant == e->tenant ? s->fd : -ENOENT;
}

void shares_forget(struct shares *shares, const struct executor *e)
{
	struct share **at = &shares->list;

	while (*at) {
		if ((*at)->owner == e)
			drop(shares, at);
		else
			at = &(*at)->next;
	}
}
