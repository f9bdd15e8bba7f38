/* SPDX-License-Identifier: MIT */
/* signal.h - amd_signal_t in memory that tests and the GPU share, and waits for such memory. */
#ifndef TESTS_CP_SIGNAL_H
#define TESTS_CP_SIGNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct signal {
	int64_t kind;
	_Atomic int64_t value;
	uint64_t mailbox;
	uint32_t event_id, reserved;
	uint64_t start, end;
	uint64_t pad[2];
};

static inline void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000l}, NULL);
}

/* Whether condition holds within ms milliseconds. */
#define WAIT_FOR(condition, ms)                                                                    \
	({                                                                                         \
		uint64_t wait_end_ = clock_ns() + (ms)*1000000ull;                                 \
		bool held_;                                                                        \
                                                                                                   \
		while (!(held_ = (condition)) && clock_ns() <= wait_end_)                          \
			nanosleep(&(struct timespec){0, 20000}, NULL);                             \
		held_;                                                                             \
	})

#endif
