/* SPDX-License-Identifier: MIT */
/*
 * swap.h - an executor's VRAM to the swap file and back, when hsavisord asks.
 *
 * Where VRAM is overcommitted (hsavisord --vram-overcommit swap) an executor has one of these; it
 * is a thread that sleeps until it is asked. Elsewhere swap_open makes none, and every other
 * function here does nothing with NULL.
 */
#ifndef ARBITER_SWAP_H
#define ARBITER_SWAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arbiter/client.h"

struct swap;

struct swap_range {
	uintptr_t start, size;
};

struct swap_ops {
	/*
	 * The VRAM is about to go: from when this returns 0 on, nobody reaches it but through
	 * memory mappings of this process, or comes by swap_hold first. -errno: that's not possible
	 * now. NULL: it is so anyway.
	 */
	int (*stop)(void *ctx);
	/* After stop returned 0, when mappings of this process have been made to wait. NULL:
	 * nothing to do. */
	void (*stopped)(void *ctx);
	/* This process's mappings of the VRAM, at most max; their number, or -errno. NULL: the one
	 * of the configuration. */
	int (*mappings)(void *ctx, struct swap_range *ranges, size_t max);
};

struct swap_config {
	struct arbiter_client *client;
	uint8_t *vram; /* mapping of all of it */
	uint64_t size; /* bytes */
	int vram_fd;   /* the memfd it is in, the caller's, */
	uint64_t vram_offset; /* and where in that, bytes */
	bool syscalls; /* programs here may pass VRAM to system calls, whose accesses have to wait,
			  too */
	const struct swap_ops *ops;
	void *ctx;
};

/* *swap: NULL where VRAM is not overcommitted. 0, -ENOMEM, -EAGAIN. An executor that can't swap (no
 * userfaultfd) has one, too: it says no. */
int swap_open(const struct swap_config *config, struct swap **swap);
void swap_close(struct swap *swap);
/* In a child after fork, where its thread isn't. */
void swap_forget(struct swap *swap);

/* Makes [offset, offset + size) of the VRAM read as zeroes, wherever it is. */
void swap_clear(struct swap *swap, uint64_t offset, uint64_t size);
/* The VRAM is wanted here. Returns at once. */
void swap_want(struct swap *swap);
/* The same, and waits until it is here; it stays until swap_release. In between nothing of this
 * file may be called, nor VRAM be touched. */
void swap_hold(struct swap *swap);
void swap_release(struct swap *swap);
/* A new mapping of VRAM in this process, not used yet. 0 or -errno. Between ops->stop and
 * ops->stopped the caller makes none. */
int swap_mapped(struct swap *swap, void *addr, size_t size);

#endif
