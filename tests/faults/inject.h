/* SPDX-License-Identifier: MIT */
/*
 * inject.h - makes the n-th allocation of the code under test fail, and counts what it holds.
 *
 * The linker wraps malloc, calloc, realloc, free, mmap64 (what mmap is with 64-bit file offsets),
 * memfd_create, eventfd and pthread_create of everything that is linked statically into the test:
 * the code under test, not the C library. Threads that called inject_exempt(true) get what they ask
 * for.
 */
#ifndef TESTS_FAULTS_INJECT_H
#define TESTS_FAULTS_INJECT_H

#include <stdbool.h>

/* From now on call number n (from 1) fails, and with @all every later one, too. n = 0: none. */
void inject_arm(unsigned long n, bool all);
/* Disarms; calls that failed since inject_arm(). */
unsigned long inject_disarm(void);
/* Calls since inject_arm(). */
unsigned long inject_calls(void);
void inject_exempt(bool exempt);
/* Blocks of memory that were allocated by wrapped calls and not freed. */
long inject_blocks(void);

#endif
