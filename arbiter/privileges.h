/* SPDX-License-Identifier: MIT */
/* privileges.h - what hsavisord gives up once it serves. */
#ifndef ARBITER_PRIVILEGES_H
#define ARBITER_PRIVILEGES_H

/* After sockets, locks, limits and scheduling are as they shall be. 0, or a negative errno with a
 * line on stderr. HSAVISOR_SANDBOX=off: nothing is given up. */
int privileges_drop(void);

#endif
