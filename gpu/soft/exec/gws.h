/* SPDX-License-Identifier: MIT */
/*
 * gws.h - the global wave sync resources of a GPU process (gws.c). They live in its code cache, which is what all its waves have in common.
 */
#ifndef GPU_SOFT_EXEC_GWS_H
#define GPU_SOFT_EXEC_GWS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define GWS_RESOURCES 64

struct gws_resource {
	uint32_t counter; /* barrier: waves yet to come, less one; semaphore: its value */
	uint32_t queued;  /* waves that wait */
	bool flag;	  /* turned whenever a barrier is complete */
};

struct gws {
	pthread_mutex_t lock;
	struct gws_resource resource[GWS_RESOURCES];
};

void gws_init(struct gws *gws);
void gws_end(struct gws *gws);

struct code_cache;
struct gws *code_cache_gws(struct code_cache *cache); /* code.c */

#endif
