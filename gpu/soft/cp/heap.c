// SPDX-License-Identifier: MIT
/* heap.c - see heap.h. A binary heap in an array; a node knows its place. */
#include "gpu/soft/cp/heap.h"

#include <errno.h>
#include <stdlib.h>

int heap_reserve(struct heap *h, unsigned max)
{
	struct heap_node **node;

	if (max <= h->max)
		return 0;
	max = max < 8 ? 8 : max;
	if (max < 2 * h->max)
		max = 2 * h->max;
	node = realloc(h->node, max * sizeof(struct heap_node *));
	if (!node)
		return -ENOMEM;
	h->node = node;
	h->max = max;
	return 0;
}

void heap_free(struct heap *h)
{
	free(h->node);
	*h = (struct heap){0};
}

static void put(struct heap *h, unsigned at, struct heap_node *n)
{
	h->node[at] = n;
	n->place = at + 1;
}

static void up(struct heap *h, unsigned at, struct heap_node *n)
{
	for (; at && n->key < h->node[(at - 1) / 2]->key; at = (at - 1) / 2)
		put(h, at, h->node[(at - 1) / 2]);
	put(h, at, n);
}

static void down(struct heap *h, unsigned at, struct heap_node *n)
{
	for (;;) {
		unsigned child = 2 * at + 1;

		if (child + 1 < h->num && h->node[child + 1]->key < h->node[child]->key)
			child++;
		if (child >= h->num || h->node[child]->key >= n->key)
			break;
		put(h, at, h->node[child]);
		at = child;
	}
	put(h, at, n);
}

void heap_set(struct heap *h, struct heap_node *n, uint64_t key)
{
	uint64_t before = n->key;

	n->key = key;
	if (!n->place)
		up(h, h->num++, n);
	else if (key < before)
		up(h, n->place - 1, n);
	else
		down(h, n->place - 1, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	struct heap_node *last;
	unsigned at = n->place - 1;

	if (!n->place)
		return;
	n->place = 0;
	last = h->node[--h->num];
	if (last == n)
		return;
	if (last->key < n->key)
		up(h, at, last);
	else
		down(h, at, last);
}
