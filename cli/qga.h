/* SPDX-License-Identifier: MIT */
/* qga.h - the QEMU guest agent: commands over its UNIX socket, and running programs in the guest
 * with them. */
#ifndef CLI_QGA_H
#define CLI_QGA_H

#include <json-c/json.h>

/* Connects to the agent's socket and synchronises, waiting at most limit_s for the agent to answer.
 * Descriptor or negative errno (-ETIMEDOUT). */
int qga_open(const char *path, unsigned limit_s);
/* One command; arguments (may be NULL) are consumed. *result ("return" of the answer) is the
 * caller's. 0 or negative errno; -EREMOTEIO: the agent's own error (printed). */
int qga_command(int fd, const char *name, struct json_object *arguments, unsigned limit_s,
		struct json_object **result);
/* Seconds after which qga_exec takes an answer about a program for lost, and asks again. For tests. */
extern unsigned qga_answer_limit_s;
/*
 * Runs argv by the agent at path, waits, writes its output to the descriptors out and err (-1:
 * none). Exit code (128 + signal), or negative errno: -ETIMEDOUT when it runs longer than limit_s
 * (0: no limit), -EHOSTDOWN when the agent does not answer. Others may use the agent meanwhile.
 */
int qga_exec(const char *path, char *const *argv, int out, int err, unsigned limit_s);

#endif
