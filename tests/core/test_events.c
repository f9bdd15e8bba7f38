// SPDX-License-Identifier: MIT
/* test_events.c - KFD events: ids, ages, auto-reset, waiting for any and all, timeouts, destruction
 * under a waiter. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/events.h"

static struct kfd_events *ev;
static uint64_t page[KFD_SIGNAL_EVENT_LIMIT];

static int setup(void **state)
{
	assert_int_equal(kfd_events_new(&ev), 0);
	memset(page, 0, sizeof(page));
	assert_int_equal(kfd_events_set_page(ev, page), 0);
	return 0;
}

static int teardown(void **state)
{
	kfd_events_free(ev);
	return 0;
}

static uint32_t create(uint32_t type, bool auto_reset)
{
	struct kfd_ioctl_create_event_args a = {.event_type = type, .auto_reset = auto_reset};

	assert_int_equal(kfd_events_create(ev, &a), 0);
	return a.event_id;
}

static int wait_ages(const uint32_t *ids, uint64_t *ages, uint32_t n, bool all, uint32_t ms,
		     uint32_t *result)
{
	struct kfd_event_data data[8] = {0};
	int err;

	for (uint32_t i = 0; i < n; i++) {
		data[i].event_id = ids[i];
		data[i].signal_event_data.last_event_age = ages ? ages[i] : 0;
	}
	err = kfd_events_wait(ev, data, n, all, &ms, result);
	for (uint32_t i = 0; ages && i < n; i++)
		ages[i] = data[i].signal_event_data.last_event_age;
	return err;
}

static void test_bad(void **state)
{
	struct kfd_ioctl_create_event_args a = {.event_type = 9};
	uint32_t result, ms = 0, id = 5;

	assert_int_equal(kfd_events_create(ev, &a), -EINVAL);
	assert_int_equal(kfd_events_destroy(ev, 0), -EINVAL);
	assert_int_equal(kfd_events_destroy(ev, 3), -EINVAL);
	assert_int_equal(kfd_events_destroy(ev, UINT32_MAX), -EINVAL);
	assert_int_equal(kfd_events_set(ev, 1), -EINVAL);
	assert_int_equal(kfd_events_reset(ev, 1), -EINVAL);
	assert_int_equal(wait_ages(&id, NULL, 1, false, 0, &result), -EINVAL);
	assert_int_equal(kfd_events_wait(ev, NULL, UINT32_MAX, false, &ms, &result), -ENOMEM);
	assert_int_equal(kfd_events_set_page(ev, page), -EINVAL); /* twice */
	kfd_events_signal(ev, 9999);
	id = create(KFD_IOC_EVENT_MEMORY, false);
	assert_int_equal(kfd_events_set(ev, id), -EINVAL);
}

static void test_ids_and_page(void **state)
{
	assert_int_equal(create(KFD_IOC_EVENT_SIGNAL, true), 1);
	assert_int_equal(create(KFD_IOC_EVENT_SIGNAL, true), 2);
	assert_true(create(KFD_IOC_EVENT_HW_EXCEPTION, false) >= KFD_SIGNAL_EVENT_LIMIT);
	assert_true(page[1] == UINT64_MAX && page[4095] == UINT64_MAX);
	page[2] = 2; /* as the GPU's mailbox store does */
	kfd_events_signal(ev, 2);
	assert_true(page[2] == UINT64_MAX);
	for (int i = 3; i < KFD_SIGNAL_EVENT_LIMIT; i++)
		assert_int_equal(create(KFD_IOC_EVENT_SIGNAL, false), i);
	{
		struct kfd_ioctl_create_event_args a = {.event_type = KFD_IOC_EVENT_SIGNAL};

		assert_int_equal(kfd_events_create(ev, &a), -ENOSPC);
		for (int i = 1; i < 4096; i++) /* one is there */
			create(i % 2 ? KFD_IOC_EVENT_MEMORY : KFD_IOC_EVENT_QUEUE_EVENT, false);
		a.event_type = KFD_IOC_EVENT_MEMORY;
		assert_int_equal(kfd_events_create(ev, &a), -ENOSPC);
	}
	assert_int_equal(kfd_events_destroy(ev, 77), 0);
	assert_int_equal(create(KFD_IOC_EVENT_SIGNAL, false), 77);
}

static void test_wait(void **state)
{
	uint32_t ids[2] = {create(KFD_IOC_EVENT_SIGNAL, true), create(KFD_IOC_EVENT_SIGNAL, false)};
	uint64_t ages[2] = {1, 1};
	uint32_t result;

	assert_int_equal(wait_ages(ids, NULL, 2, false, 0, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_TIMEOUT);
	kfd_events_signal(ev, ids[0]);
	assert_int_equal(wait_ages(ids, NULL, 2, true, 1, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_TIMEOUT); /* only one of all */
	assert_int_equal(wait_ages(ids, NULL, 2, false, 0, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_COMPLETE); /* and it wasn't lost */
	assert_int_equal(wait_ages(ids, NULL, 1, false, 0, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_TIMEOUT); /* auto-reset */
	/* The age tells of the set that the caller has not seen. */
	assert_int_equal(wait_ages(ids, ages, 1, false, 0, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_COMPLETE);
	assert_int_equal(ages[0], 2);
	assert_int_equal(wait_ages(ids, ages, 1, false, 0, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_TIMEOUT);
	/* Without auto-reset it stays until reset. */
	assert_int_equal(kfd_events_set(ev, ids[1]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(wait_ages(&ids[1], NULL, 1, true, 0, &result), 0);
		assert_int_equal(result, KFD_IOC_WAIT_RESULT_COMPLETE);
	}
	assert_int_equal(kfd_events_reset(ev, ids[1]), 0);
	assert_int_equal(wait_ages(&ids[1], NULL, 1, true, 0, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_TIMEOUT);
}

static void test_faults(void **state)
{
	struct gpu_memory_fault fault = {.va = 0xdead000, .read_only = true};
	uint32_t m = create(KFD_IOC_EVENT_MEMORY, false),
		 h = create(KFD_IOC_EVENT_HW_EXCEPTION, false);
	struct kfd_event_data data[2] = {{.event_id = m}, {.event_id = h}};
	uint32_t ms = 0, result;

	kfd_events_memory_fault(ev, 7, &fault);
	kfd_events_hw_exception(ev, 7, 1, 0);
	assert_int_equal(kfd_events_wait(ev, data, 2, true, &ms, &result), 0);
	assert_int_equal(result, KFD_IOC_WAIT_RESULT_COMPLETE);
	assert_int_equal(data[0].memory_exception_data.va, 0xdead000);
	assert_int_equal(data[0].memory_exception_data.gpu_id, 7);
	assert_int_equal(data[0].memory_exception_data.failure.ReadOnly, 1);
	assert_int_equal(data[0].memory_exception_data.failure.NotPresent, 0);
	assert_int_equal(data[1].hw_exception_data.memory_lost, 1);
	assert_int_equal(data[1].hw_exception_data.reset_type, 1);
}

struct sleeper {
	uint32_t id, ms, result;
	int err;
	atomic_int tid; /* 0: not begun */
};

static void *sleep_on(void *arg)
{
	struct sleeper *s = arg;
	struct kfd_event_data data = {.event_id = s->id};

	atomic_store(&s->tid, (int)syscall(SYS_gettid));
	s->err = kfd_events_wait(ev, &data, 1, false, &s->ms, &s->result);
	return NULL;
}

/* Returns when the thread sleeps, which it does nowhere but in its wait. */
static void wait_asleep(struct sleeper *s)
{
	char path[64], line[128], state = 0;

	for (int i = 0; i < 10000 && state != 'S'; i++) {
		FILE *f;

		usleep(1000);
		if (!atomic_load(&s->tid))
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&s->tid));
		f = fopen(path, "r");
		assert_non_null(f);
		if (fgets(line, sizeof(line), f) && strrchr(line, ')'))
			state = strrchr(line, ')')[2];
		fclose(f);
	}
	assert_int_equal(state, 'S');
}

static void test_threads(void **state)
{
	struct sleeper s[3];
	pthread_t t[3];

	for (int i = 0; i < 3; i++) {
		s[i] = (struct sleeper){.id = create(KFD_IOC_EVENT_SIGNAL, true), .ms = UINT32_MAX};
		assert_int_equal(pthread_create(&t[i], NULL, sleep_on, &s[i]), 0);
	}
	for (int i = 0; i < 3; i++)
		wait_asleep(&s[i]);
	kfd_events_signal(ev, s[0].id);
	pthread_join(t[0], NULL);
	assert_int_equal(s[0].err, 0);
	assert_int_equal(s[0].result, KFD_IOC_WAIT_RESULT_COMPLETE);
	assert_int_equal(kfd_events_destroy(ev, s[1].id), 0);
	pthread_join(t[1], NULL);
	assert_int_equal(s[1].err, -EIO);
	kfd_events_free(ev); /* the third sleeps still */
	pthread_join(t[2], NULL);
	assert_int_equal(s[2].err, -EBADF);
	ev = NULL;
}

static void *signaller(void *arg)
{
	for (int i = 0; i < 20000; i++)
		kfd_events_signal(ev, *(uint32_t *)arg);
	return NULL;
}

static void test_no_lost_wakeup(void **state)
{
	uint32_t id = create(KFD_IOC_EVENT_SIGNAL, true), result;
	uint64_t age = 1;
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, signaller, &id), 0);
	/* With ages each set is seen, whatever the timing: the last one too. */
	while (age != 20001) {
		assert_int_equal(wait_ages(&id, &age, 1, false, 5000, &result), 0);
		assert_int_equal(result, KFD_IOC_WAIT_RESULT_COMPLETE);
	}
	pthread_join(t, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad),	   TEST(test_ids_and_page), TEST(test_wait),
		TEST(test_faults), TEST(test_threads),	    TEST(test_no_lost_wakeup),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
