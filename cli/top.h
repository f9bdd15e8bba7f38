/* SPDX-License-Identifier: MIT */
/* top.h - `hsavisor top`: what its terminal screen and its plain lines share. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <signal.h>
#include <stdbool.h>

#include "cli/sample.h"

struct top_options {
	double delay_s;	      /* between refreshes */
	unsigned long count;  /* refreshes; 0: without end */
	const struct sample_key *key;
	bool reverse, json;
};

/* Set by SIGINT, SIGTERM and SIGHUP. */
extern volatile sig_atomic_t top_ended;

/* What to say when the daemon gave no answer. */
const char *top_trouble(int err, char *line, size_t size);

/*
 * Shows screens until q, Ctrl-C, or count refreshes. before: a first sample, owned by the callee.
 * Returns an exit code, or -1 if this terminal can't be driven (nothing was written).
 */
int top_screen(struct top_options *options, struct sample *before);

#endif
