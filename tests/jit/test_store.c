// SPDX-License-Identifier: MIT
/*
 * test_store.c - compiled kernels on disk: what was put is got by the same key and no other; damaged, torn and hostile files lose
 * entries, never more; several processes write at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu/soft/jit/unit.h"

#define IDENTITY "build 1"

static char dir[] = "/tmp/hsavisor-store-XXXXXX", path[64];

/* Code of some bytes at an address. Static: one at a time. */
static struct jit_code *code_of(const char *text, uint64_t at)
{
	static uint8_t bytes[64];
	static struct jit_bytes range;
	static struct jit_code c;

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, text, strlen(text));
	range = (struct jit_bytes){.va = at, .size = (uint32_t)strlen(text), .bytes = bytes};
	c = (struct jit_code){.entry_pc = at, .target = ISA_GFX90A, .num_vgprs = 8, .wg_size = {64, 1, 1}, .range = &range, .num_ranges = 1};
	return &c;
}

static void put(const char *text, const char *object)
{
	jit_store_put(code_of(text, 0x1000), false, IDENTITY, &(struct jit_object){(void *)(uintptr_t)object, strlen(object) + 1});
}

/* What is kept for this code is object, or nothing (NULL). */
static void expect(const char *text, const char *object)
{
	struct jit_object got;
	bool is_there = jit_store_get(code_of(text, 0x1000), false, IDENTITY, &got);

	assert_int_equal(is_there, object != NULL);
	if (!object)
		return;
	assert_int_equal(got.size, strlen(object) + 1);
	assert_string_equal(got.bytes, object);
	free(got.bytes);
}

static off_t size_of_file(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void write_at(off_t at, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

static int fresh(void **state)
{
	int fd;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	jit_store_use(fd); /* the one before stays open: its file is gone */
	return 0;
}

static void test_put_and_get(void **state)
{
	expect("a", NULL);
	put("a", "object of a");
	put("b", "object of b");
	expect("a", "object of a");
	expect("b", "object of b");
	expect("c", NULL);
	put("a", "another");
	expect("a", "object of a"); /* the first one stays */
}

static void test_every_part_of_the_key_counts(void **state)
{
	struct jit_object got;
	struct jit_code *c;

	put("abcd", "object");
	c = code_of("abcd", 0x7000); /* elsewhere in memory: the same */
	assert_true(jit_store_get(c, false, IDENTITY, &got));
	free(got.bytes);
	assert_false(jit_store_get(c, true, IDENTITY, &got));
	assert_false(jit_store_get(c, false, "build 2", &got));
	c->entry_pc += 4; /* entered elsewhere */
	assert_false(jit_store_get(c, false, IDENTITY, &got));
#define DIFFERS(field)                                                                                                 \
	do {                                                                                                           \
		c = code_of("abcd", 0x1000);                                                                           \
		c->field++;                                                                                            \
		assert_false(jit_store_get(c, false, IDENTITY, &got));                                                 \
	} while (0)
	DIFFERS(target);
	DIFFERS(num_vgprs);
	DIFFERS(num_agprs);
	DIFFERS(mode);
	DIFFERS(wg_size[0]);
	DIFFERS(wg_size[1]);
	DIFFERS(wg_size[2]);
	DIFFERS(id_vgprs);
	c = code_of("abcd", 0x1000);
	c->multi_wave = true;
	assert_false(jit_store_get(c, false, IDENTITY, &got));
	c = code_of("abcd", 0x1000);
	c->full = true;
	assert_false(jit_store_get(c, false, IDENTITY, &got));
}

/* Whatever byte of a record is changed: nothing wrong is got, the others mostly are, and a new one can be put. */
static void test_every_damaged_byte(void **state)
{
	off_t first, all;

	put("a", "object of a");
	first = size_of_file();
	put("b", "object of b");
	all = size_of_file();
	for (off_t at = 0; at < first; at++) {
		uint8_t byte, bad;
		int fd = open(path, O_RDONLY);
		struct jit_object got;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		close(fd);
		bad = byte ^ 0x41;
		write_at(at, &bad, 1);
		/* As a process that comes anew. */
		jit_store_use(open(path, O_RDWR));
		if (jit_store_get(code_of("a", 0x1000), false, IDENTITY, &got)) {
			assert_string_equal(got.bytes, "object of a"); /* bytes that mean nothing */
			free(got.bytes);
		}
		put("a", "object of a");
		expect("a", "object of a");
		/* As it was. */
		assert_int_equal(truncate(path, 0), 0);
		jit_store_use(open(path, O_RDWR));
		put("a", "object of a");
		put("b", "object of b");
		assert_int_equal(size_of_file(), all);
	}
}

static void test_torn_tail(void **state)
{
	off_t whole, all;

	put("a", "object of a");
	whole = size_of_file();
	put("b", "object of b");
	all = size_of_file();
	for (off_t size = whole; size < all; size++) {
		assert_int_equal(truncate(path, size), 0);
		jit_store_use(open(path, O_RDWR));
		expect("a", "object of a");
		expect("b", NULL);
		put("b", "object of b");
		expect("b", "object of b");
		assert_int_equal(size_of_file(), all);
	}
}

static void test_a_file_of_noise(void **state)
{
	static uint8_t noise[1 << 16];
	uint64_t x = 88172645463325252ull;

	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(noise); i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			noise[i] = (uint8_t)x;
		}
		/* A head that looks right, with sizes of all kinds. */
		memcpy(noise, &(uint32_t){0x314a5648}, 4);
		memcpy(noise + 4, &(uint32_t){round % 5 ? (uint32_t)x : UINT32_MAX}, 4);
		memcpy(noise + 8, &(uint32_t){round % 3 ? 100 : (uint32_t)(x >> 32)}, 4);
		memset(noise + 12, 0, 4);
		assert_int_equal(truncate(path, 0), 0);
		write_at(0, noise, sizeof(noise));
		jit_store_use(open(path, O_RDWR));
		expect("a", NULL);
		put("a", "object of a");
		expect("a", "object of a");
	}
}

static void test_it_starts_anew_when_large(void **state)
{
	struct jit_object large = {NULL, 60 << 20}, got;
	off_t largest = 0;
	char name[2] = "A";

	large.bytes = calloc(1, large.size);
	assert_non_null(large.bytes);
	for (; *name < 'A' + 6; ++*name) {
		jit_store_put(code_of(name, 0x1000), false, IDENTITY, &large);
		largest = size_of_file() > largest ? size_of_file() : largest;
		assert_true(jit_store_get(code_of(name, 0x1000), false, IDENTITY, &got));
		free(got.bytes);
	}
	free(large.bytes);
	assert_true(largest <= 256 << 20);
	expect("A", NULL);
}

static void test_several_processes(void **state)
{
	enum { PROCESSES = 4, EACH = 50 };
	char text[32], object[64];

	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		jit_store_use(open(path, O_RDWR));
		for (int i = 0; i < EACH; i++) {
			snprintf(text, sizeof(text), "code %d", (i + p) % EACH);
			snprintf(object, sizeof(object), "object of %s", text);
			put(text, object);
		}
		_exit(0);
	}
	for (int p = 0; p < PROCESSES; p++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < EACH; i++) {
		snprintf(text, sizeof(text), "code %d", i);
		snprintf(object, sizeof(object), "object of %s", text);
		expect(text, object);
	}
	/* Each once: what another process had put was seen. */
	off_t all = size_of_file();
	for (int i = 0; i < EACH; i++) {
		snprintf(text, sizeof(text), "code %d", i);
		put(text, "x");
	}
	assert_int_equal(size_of_file(), all);
	assert_true(all < EACH * 256);
}

/* In a process of its own, since a process chooses its file once: what does it keep at this path? */
static bool keeps_at(const char *where)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl("/proc/self/exe", "test_store", "--keeps-at", where, NULL);
		_exit(2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

static int keep_at(const char *where)
{
	struct jit_object got;

	setenv("HSAVISOR_JIT_STORE", where, 1);
	setenv("HSAVISOR_LOG", "all=error", 1);
	put("a", "object of a");
	if (!jit_store_get(code_of("a", 0x1000), false, IDENTITY, &got))
		return 1;
	free(got.bytes);
	return 0;
}

static void test_whose_file_it_may_be(void **state)
{
	char place[128];

	snprintf(place, sizeof(place), "%s/new/directories/store", dir);
	assert_true(keeps_at(place));
	assert_int_equal(chmod(place, 0622), 0);
	assert_false(keeps_at(place));
	assert_int_equal(chmod(place, 0600), 0);
	assert_true(keeps_at(place));
	if (!geteuid()) {
		assert_int_equal(chown(place, 1234, 0), 0);
		assert_false(keeps_at(place));
	}
	unlink(place);
	assert_int_equal(symlink("/tmp/no-such-file-of-hsavisor", place), 0);
	assert_false(keeps_at(place));
	assert_int_equal(access("/tmp/no-such-file-of-hsavisor", F_OK), -1);
	unlink(place);
	assert_int_equal(mkfifo(place, 0600), 0);
	assert_false(keeps_at(place));
	assert_false(keeps_at(""));
	assert_false(keeps_at("/proc/no/such/place"));
}

static int remove_all(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_put_and_get, fresh),
		cmocka_unit_test_setup(test_every_part_of_the_key_counts, fresh),
		cmocka_unit_test_setup(test_every_damaged_byte, fresh),
		cmocka_unit_test_setup(test_torn_tail, fresh),
		cmocka_unit_test_setup(test_a_file_of_noise, fresh),
		cmocka_unit_test_setup(test_it_starts_anew_when_large, fresh),
		cmocka_unit_test_setup(test_several_processes, fresh),
		cmocka_unit_test_setup(test_whose_file_it_may_be, fresh),
	};

	if (argc == 3 && !strcmp(argv[1], "--keeps-at"))
		return keep_at(argv[2]);
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/store", dir);
	setenv("HSAVISOR_LOG", "all=error", 1);
	return cmocka_run_group_tests(tests, NULL, remove_all);
}
