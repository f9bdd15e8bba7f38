// SPDX-License-Identifier: MIT
/* test_log.c - what guests can make us log has a bound; what was asked for comes whole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define LOG_PART "test"
#include "base/log.h"

#define FLOOD 5000

static char path[] = "/tmp/hsavisor-test-log-XXXXXX";

static unsigned lines_with(const char *text)
{
	FILE *f = fopen(path, "r");
	unsigned n = 0;
	char line[1024];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

static void floods_are_bounded(void **state)
{
	unsigned seen;

	for (int i = 0; i < FLOOD; i++) {
		errno = 42;
		log_warn("flood %d", i);
		assert_int_equal(errno, 42);
	}
	seen = lines_with("flood");
	assert_in_range(seen, 50, FLOOD / 2);
	sleep(2);
	log_error("afterwards");
	assert_int_equal(lines_with("afterwards"), 1);
	assert_in_range(lines_with("lines left out"), 1, 10);
}

static void debug_comes_whole(void **state)
{
	for (int i = 0; i < 300; i++)
		log_debug("detail %d", i);
	assert_int_equal(lines_with("detail"), 300);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	setenv("HSAVISOR_LOG_FILE", path, 1);
	setenv("HSAVISOR_LOG", "test=debug", 1);
	return 0;
}

static int teardown(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(floods_are_bounded),
		cmocka_unit_test(debug_comes_whole),
	};

	return cmocka_run_group_tests_name("log", tests, setup, teardown);
}
