/* SPDX-License-Identifier: MIT */
/*
 * heap.h - the smallest of many, for the scheduler.
 *
 * Nodes live inside of what is sorted. A zeroed heap and a zeroed node are empty ones. Of equal keys
 * any may be on top.
 */
#ifndef GPU_SOFT_CP_HEAP_H
#define GPU_SOFT_CP_HEAP_H

#include <stdint.h>

struct heap_node {
	uint64_t key;
	unsigned place; /* 0: in no heap */
};

struct heap {
	struct heap_node **node;
	unsigned num, max;
};

/* Room for max nodes in all. 0 or -ENOMEM. */
int heap_reserve(struct heap *h, unsigned max);
void heap_free(struct heap *h);
/* Puts the node in, or moves it. There is room. */
void heap_set(struct heap *h, struct heap_node *n, uint64_t key);
/* Nothing happens if it isn't in. */
void heap_remove(struct heap *h, struct heap_node *n);

static inline struct heap_node *heap_top(const struct heap *h)
{
	return h->num ? h->node[0] : 0;
}

#endif
