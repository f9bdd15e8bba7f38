/* SPDX-License-Identifier: MIT */
/*
 * tap.h - what the programs of this folder share: results in the Test Anything Protocol, and a random number generator that gives the same numbers
 * everywhere.
 */
#ifndef TESTS_PROGRAMS_TAP_H
#define TESTS_PROGRAMS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_count, tap_failed;

/* One test's result; returns good. */
__attribute__((format(printf, 2, 3), unused)) static bool tap(bool good, const char *name, ...)
{
	va_list args;

	printf("%s %d - ", good ? "ok" : "not ok", ++tap_count);
	va_start(args, name);
	vprintf(name, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	tap_failed += !good;
	return good;
}

/* The plan, and the exit status of main. */
__attribute__((unused)) static int tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

__attribute__((format(printf, 1, 2), noreturn, unused)) static void tap_bail(const char *why, ...)
{
	va_list args;

	printf("Bail out! ");
	va_start(args, why);
	vprintf(why, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	exit(1);
}

static uint64_t tap_seed = 0x9e3779b97f4a7c15;

/* 64 random bits (SplitMix64). */
__attribute__((unused)) static uint64_t tap_random(void)
{
	uint64_t z = tap_seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

#endif
