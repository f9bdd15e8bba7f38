/* SPDX-License-Identifier: MIT */
/* gpu_option.h - what hsavisord's --gpu says. */
#ifndef ARBITER_GPU_OPTION_H
#define ARBITER_GPU_OPTION_H

#include "arbiter/server.h"

/*
 * "soft", "gfx900", "soft:gfx90a", with ",vram=SIZE", ",threads=N", ",cpus=0-3+8" behind it; what isn't said of *gpu is left as it is.
 * 0, -EINVAL.
 */
int gpu_option_parse(const char *text, struct server_gpu *gpu);
/* A list of CPUs, like 0-3,8, its parts divided by separator, as bits of set's words. 0, -EINVAL. */
int gpu_option_cpus(const char *text, char separator, uint64_t set[4]);
/* Threads of a GPU's executor. 0, -EINVAL. */
int gpu_option_threads(const char *text, uint32_t *threads);

#endif
