// SPDX-License-Identifier: MIT
/*
 * test_sandbox.c - the broker's isolation in child processes: each takes all steps and then tries
 * what a broker that has been taken over would try. Started by whoever runs the tests: as root one
 * more group of children begins as an ordinary user.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/isolation.h"

#define ORDINARY_UID 54321

static const struct isolation all = {.mode = ISOLATION_REQUIRE};

struct ending {
	int status;
	char said[2048];
};

static void become_ordinary(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) || setresgid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID) ||
	    setresuid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID))
		_exit(99);
}

/* Runs body in a child that is isolated as far as `isolation` says. */
static struct ending child(const struct isolation *isolation, bool ordinary, int (*body)(void))
{
	struct ending e = {0};
	int out[2];
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		void *volatile large = malloc(4 << 20);

		/* From then on the C library trims later: the first time must be before the seal all the same. */
		free(large);
		dup2(out[1], STDERR_FILENO);
		isolation_close_others(-1);
		if (ordinary)
			become_ordinary();
		if (isolation_enter(isolation))
			_exit(97);
		if (isolation_seal(isolation, "test"))
			_exit(98);
		_exit(body());
	}
	close(out[1]);
	while (n < sizeof(e.said) - 1 &&
	       (got = read(out[0], e.said + n, sizeof(e.said) - 1 - n)) > 0)
		n += (size_t)got;
	close(out[0]);
	assert_int_equal(waitpid(pid, &e.status, 0), pid);
	return e;
}

/* ---- What ends the process ---- */

static int try_open(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}

static int try_creat(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/new", O_CREAT | O_RDWR, 0600) >= 0;
}

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static int try_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static int try_connect(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/run/x"};

	return connect(0, (struct sockaddr *)&a, sizeof(a));
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_ATTACH, 1, 0, 0);
}

static int try_execve(void)
{
	char *argv[] = {(char *)(uintptr_t) "/bin/true", NULL};

	return execve(argv[0], argv, NULL);
}

static int try_fork(void)
{
	return (int)syscall(SYS_fork);
}

static int try_clone_process(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static int try_clone_namespace(void)
{
	return (int)syscall(SYS_clone, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_NEWUSER,
			    NULL, NULL, NULL, NULL);
}

static int try_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int try_mount(void)
{
	return mount("x", "/", "tmpfs", 0, NULL);
}

static int try_kill(void)
{
	return kill(1, 0);
}

static int try_tgkill_other(void)
{
	return (int)syscall(SYS_tgkill, 1, 1, 0);
}

static int try_pidfd(void)
{
	return (int)syscall(SYS_pidfd_open, 1, 0);
}

static int try_process_vm_readv(void)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)0x400000, 1};

	return (int)process_vm_readv(1, &here, 1, &there, 1, 0);
}

static int try_setuid(void)
{
	return (int)syscall(SYS_setuid, 0);
}

static int try_mmap_exec(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

static int try_mprotect_exec(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int try_handler(void)
{
	struct sigaction action = {.sa_handler = SIG_IGN};

	return sigaction(SIGSYS, &action, NULL);
}

static int try_ioctl(void)
{
	return ioctl(2, TIOCSTI, "x");
}

static int try_memfd(void)
{
	return memfd_create("x", 0);
}

static int try_userfaultfd(void)
{
	return (int)syscall(SYS_userfaultfd, 0);
}

static int try_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int try_io_uring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int try_keyctl(void)
{
	return (int)syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static int try_prctl_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int try_fcntl_dup(void)
{
	return fcntl(2, F_DUPFD, 10);
}

static int try_stat(void)
{
	struct stat st;

	return (int)syscall(SYS_newfstatat, AT_FDCWD, "/", &st, 0);
}

static int try_unlink(void)
{
	return unlink("/x");
}

static int try_setrlimit(void)
{
	struct rlimit l = {1, 1};

	return setrlimit(RLIMIT_NOFILE, &l);
}

/* Time slices and priority of others; those of the calling thread are allowed. */
static int try_sched_setattr(void)
{
	uint64_t attr[6] = {sizeof(attr)};

	return (int)syscall(SYS_sched_setattr, 1, attr, 0);
}

/* A number of x86's 32-bit numbering. */
static int try_other_abi(void)
{
#if defined(__x86_64__)
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20) : "memory"); /* getpid there */
	return (int)ret;
#else
	return (int)syscall(SYS_execve, NULL, NULL, NULL);
#endif
}

static int try_unknown(void)
{
	return (int)syscall(100000);
}

static void *thread_that_opens(void *unused)
{
	open("/", O_RDONLY);
	return NULL;
}

/* Threads that are made after the filter have it too. */
static int try_in_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, thread_that_opens, NULL) || pthread_join(t, NULL);
}

static const struct attempt {
	const char *name; /* of the call, as the log line has it; NULL: no line */
	int (*body)(void);
} attempts[] = {
	{"openat", try_open},
	{"openat", try_creat},
	{"openat", try_in_thread},
	{"socket", try_socket},
	{"socket", try_unix_socket},
	{"connect", try_connect},
	{"ptrace", try_ptrace},
	{"execve", try_execve},
	{"fork", try_fork},
	{"clone", try_clone_process},
	{"clone", try_clone_namespace},
	{"unshare", try_unshare},
	{"mount", try_mount},
	{"kill", try_kill},
	{"tgkill", try_tgkill_other},
	{"pidfd_open", try_pidfd},
	{"process_vm_readv", try_process_vm_readv},
	{"setuid", try_setuid},
	{"mmap", try_mmap_exec},
	{"mprotect", try_mprotect_exec},
	{"rt_sigaction", try_handler},
	{"ioctl", try_ioctl},
	{"memfd_create", try_memfd},
	{"userfaultfd", try_userfaultfd},
	{"bpf", try_bpf},
	{"io_uring_setup", try_io_uring},
	{"keyctl", try_keyctl},
	{"prctl", try_prctl_dumpable},
	{"fcntl", try_fcntl_dup},
	{"newfstatat", try_stat},
	{"unlink", try_unlink},
	{"setrlimit", try_setrlimit},
	{"sched_setattr", try_sched_setattr},
	{NULL, try_other_abi},
	{"100000", try_unknown},
};

static void check_attempts(bool ordinary)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];
		struct ending e = child(&all, ordinary, a->body);

		if (!WIFSIGNALED(e.status) || WTERMSIG(e.status) != SIGSYS)
			fail_msg("attempt %zu (%s): status %#x, said: %s", i,
				 a->name ? a->name : "", (unsigned)e.status, e.said);
		/* setrlimit is prlimit64 in the C library, and so on: part of the name is enough.
		 */
		if (a->name && strcmp(a->name, "setrlimit") && !strstr(e.said, a->name))
			fail_msg("attempt %zu (%s): it said: %s", i, a->name, e.said);
		if (a->name)
			assert_non_null(strstr(e.said, "hsavisor-broker: test: system call "));
	}
}

static void forbidden_calls_kill(void **state)
{
	check_attempts(false);
}

static void forbidden_calls_kill_as_ordinary_user(void **state)
{
	if (geteuid() != 0)
		skip();
	check_attempts(true);
}

/* ---- What is left to do ---- */

static void *thread_body(void *p)
{
	void *big = malloc(1 << 20), *many[100];

	/* A heap of a thread's own grows, and is trimmed. */
	for (int i = 0; i < 100; i++)
		memset(many[i] = malloc(60000), 1, 60000);
	for (int i = 0; i < 100; i++)
		free(many[i]);
	pthread_setname_np(pthread_self(), "worker");
	memset(big, 1, 1 << 20);
	big = realloc(big, 8 << 20);
	free(big);
	*(int *)p = 1;
	return NULL;
}

/* As much as a heap may keep after a large block was freed, and more. */
static void *large_heap(void *unused)
{
	void *volatile many[400];

	for (int i = 0; i < 400; i++)
		many[i] = malloc(60000);
	for (int i = 0; i < 400; i++)
		free(many[i]);
	return unused;
}

static int use_what_is_allowed(void)
{
	struct pollfd p = {.fd = 0, .events = POLLIN};
	struct timespec ms = {0, 1000000};
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ran[40] = {0};
	pthread_t t[40];
	uint64_t attr[6] = {sizeof(attr)}; /* struct sched_attr */
	struct stat st;

	if (map == MAP_FAILED || madvise(map, 8192, MADV_DONTNEED) || munmap(map, 8192))
		return 1;
	for (int i = 0; i < 40; i++)
		if (pthread_create(&t[i], NULL, thread_body, &ran[i]))
			return 2;
	for (int i = 0; i < 40; i++)
		if (pthread_join(t[i], NULL) || !ran[i])
			return 3;
	if (pthread_create(&t[0], NULL, large_heap, NULL) || pthread_join(t[0], NULL))
		return 3;
	poll(&p, 1, 1);
	nanosleep(&ms, NULL);
	if (fstat(2, &st) || fcntl(2, F_GETFL) < 0)
		return 4;
	/* close what is not there, receive from what isn't a socket: errors, not deaths */
	if (close(77) != -1 || recvmsg(2, &(struct msghdr){0}, 0) != -1)
		return 5;
	if (syscall(SYS_sched_getattr, 0, attr, sizeof(attr), 0))
		return 6;
	attr[3] = 100000; /* runtime, ns: the slice */
	if (syscall(SYS_sched_setattr, 0, attr, 0))
		return 7;
	return 42;
}

static void own_work_goes_on(void **state)
{
	for (int ordinary = 0; ordinary < 2; ordinary++) {
		struct ending e = child(&all, ordinary, use_what_is_allowed);

		if (!WIFEXITED(e.status) || WEXITSTATUS(e.status) != 42)
			fail_msg("status %#x: %s", (unsigned)e.status, e.said);
		assert_string_equal(e.said, "");
	}
}

static int abort_now(void)
{
	abort();
}

static void abort_still_aborts(void **state)
{
	struct ending e = child(&all, false, abort_now);

	assert_true(WIFSIGNALED(e.status));
	assert_int_equal(WTERMSIG(e.status), SIGABRT);
	assert_false(WCOREDUMP(e.status));
}

/* ---- Without the filter: what the other steps leave ---- */

static const struct isolation unfiltered = {.mode = ISOLATION_REQUIRE, .seccomp = SANDBOX_OFF};

/* Each return value names what is wrong. */
static int look_around(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {0};
	struct rlimit l;
	uid_t uid[3];
	DIR *d;
	int n = 0;

	if (getresuid(&uid[0], &uid[1], &uid[2]) || !uid[0] || uid[1] != uid[0] || uid[2] != uid[0])
		return 10;
	if (getresgid(&uid[0], &uid[1], &uid[2]) || !uid[0] || uid[1] != uid[0] || uid[2] != uid[0])
		return 11;
	if (getuid() != ORDINARY_UID && getgroups(0, NULL) != 0)
		return 12;
	if (syscall(SYS_capget, &header, caps) || caps[0].effective || caps[1].effective ||
	    caps[0].permitted || caps[1].permitted || caps[0].inheritable || caps[1].inheritable)
		return 13;
	for (int i = 0; i < 64; i++)
		if (prctl(PR_CAPBSET_READ, i) == 1)
			return 14;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE) != 0)
		return 15;
	if (getrlimit(RLIMIT_CORE, &l) || l.rlim_max != 0 || getrlimit(RLIMIT_NOFILE, &l) ||
	    l.rlim_max > 256 || getrlimit(RLIMIT_RTPRIO, &l) || l.rlim_max != 0 ||
	    getrlimit(RLIMIT_NICE, &l) || l.rlim_max != 0)
		return 16;
	d = opendir("/");
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (!d || n)
		return 17;
	closedir(d);
	if (open("/x", O_CREAT | O_WRONLY, 0600) >= 0 || mkdir("/x", 0700) == 0 ||
	    mknod("/x", S_IFIFO | 0600, 0) == 0)
		return 18;
	if (chdir("..") || chdir("../../../..") || access("etc", F_OK) == 0 ||
	    access("proc", F_OK) == 0)
		return 19;
	if (mount("x", "/", "tmpfs", 0, NULL) == 0 || umount2("/", MNT_DETACH) == 0)
		return 20;
	if (setuid(0) == 0 || setgroups(0, NULL) == 0)
		return 21;
	if (sethostname("x", 1) == 0)
		return 22;
	return 42;
}

static int network(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return 42; /* not even that */
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ENETUNREACH ? 42 : 10;
}

static void nothing_is_left(void **state)
{
	for (int ordinary = 0; ordinary < 2; ordinary++) {
		struct ending e = child(&unfiltered, ordinary, look_around);

		if (!WIFEXITED(e.status) || WEXITSTATUS(e.status) != 42)
			fail_msg("%s: status %#x: %s", ordinary ? "ordinary" : "as started",
				 (unsigned)e.status, e.said);
		e = child(&unfiltered, ordinary, network);
		assert_int_equal(e.status, 42 << 8);
	}
}

/* The children of two brokers have two user ids, so neither can signal the other. */
static int own_uid(void)
{
	return getuid() >= 0x68800000u ? 42 : 10;
}

static void each_broker_is_its_own_user(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(child(&unfiltered, false, own_uid).status, 42 << 8);
}

static int is_nobody(void)
{
	return getuid() == 65534 ? 42 : 10;
}

static void user_option(void **state)
{
	struct isolation named = unfiltered;

	if (geteuid() != 0)
		skip();
	named.user = "nobody";
	assert_int_equal(child(&named, false, is_nobody).status, 42 << 8);
	assert_int_equal(child(&named, true, is_nobody).status, 97 << 8); /* only root can */
	named.user = "root";
	assert_int_equal(child(&named, false, is_nobody).status, 97 << 8);
	named.user = "no-such-user";
	assert_int_equal(child(&named, false, is_nobody).status, 97 << 8);
}

/* ---- Descriptors ---- */

static void unknown_descriptors_are_closed(void **state)
{
	int keep = fcntl(0, F_DUPFD, 50), high = fcntl(0, F_DUPFD, 200), low = dup(0);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		isolation_close_others(keep);
		_exit(fcntl(keep, F_GETFD) >= 0 && fcntl(high, F_GETFD) < 0 &&
				      fcntl(low, F_GETFD) < 0 && fcntl(2, F_GETFD) >= 0
			      ? 42
			      : 10);
	}
	close(keep);
	close(high);
	close(low);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 42 << 8);
}

/* ---- Modes ---- */

/* An environment without user namespaces: a limit of 0 on them, in one of our own. */
static void forbid_user_namespaces(void)
{
	char map[64];
	int fd;

	snprintf(map, sizeof(map), "%u %u 1", ORDINARY_UID, ORDINARY_UID);
	become_ordinary();
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (unshare(CLONE_NEWUSER))
		_exit(96);
	fd = open("/proc/self/uid_map", O_WRONLY);
	if (fd < 0 || write(fd, map, strlen(map)) < 0)
		_exit(95);
	close(fd);
	fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) < 0)
		_exit(94);
	close(fd);
	if (sandbox_drop_capabilities())
		_exit(93);
}

static int seccomp_is_on(void)
{
	return prctl(PR_GET_SECCOMP) == 2 ? 42 : 10; /* not allowed: dies */
}

static void refused_steps(void **state)
{
	if (geteuid() != 0)
		skip();
	for (int mode = ISOLATION_TRY; mode <= ISOLATION_REQUIRE; mode++) {
		struct isolation i = {.mode = mode};
		char said[2048] = "";
		int out[2], status;
		pid_t pid;

		assert_int_equal(pipe(out), 0);
		pid = fork();
		if (pid == 0) {
			dup2(out[1], 2);
			forbid_user_namespaces();
			if (isolation_enter(&i))
				_exit(97);
			if (isolation_seal(&i, "test"))
				_exit(98);
			_exit(seccomp_is_on());
		}
		close(out[1]);
		for (size_t n = 0; n < sizeof(said) - 1;) {
			ssize_t got = read(out[0], said + n, sizeof(said) - 1 - n);

			if (got <= 0)
				break;
			n += (size_t)got;
		}
		close(out[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (mode == ISOLATION_REQUIRE) {
			assert_int_equal(status, 97 << 8);
			assert_non_null(strstr(said, "cannot isolate itself: user namespace"));
		} else {
			/* The rest is there: the filter, which kills for prctl(PR_GET_SECCOMP). */
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
				fail_msg("status %#x: %s", (unsigned)status, said);
			assert_non_null(strstr(said, "WARNING: isolated less: user namespace"));
			assert_non_null(strstr(said, "WARNING: isolated less: empty root"));
		}
	}
}

/* Logged calls are done, the other steps hold. */
static int open_root_and_more(void)
{
	return open("/", O_RDONLY) >= 0 && open("/etc/passwd", O_RDONLY) < 0 ? 42 : 10;
}

static void seccomp_modes(void **state)
{
	struct isolation i = {.mode = ISOLATION_REQUIRE, .seccomp = SANDBOX_LOG};
	struct ending e = child(&i, false, open_root_and_more);

	assert_int_equal(e.status, 42 << 8);
	assert_non_null(strstr(e.said, "only logged"));
	i.seccomp = SANDBOX_OFF;
	e = child(&i, false, open_root_and_more);
	assert_int_equal(e.status, 42 << 8);
	assert_non_null(strstr(e.said, "not filtered"));
}

static void options_are_parsed(void **state)
{
	enum isolation_mode mode;
	enum sandbox_seccomp seccomp;
	struct isolation i;

	assert_int_equal(isolation_mode_parse("try", &mode), 0);
	assert_int_equal(mode, ISOLATION_TRY);
	assert_int_equal(isolation_mode_parse("require", &mode), 0);
	assert_int_equal(mode, ISOLATION_REQUIRE);
	assert_int_equal(isolation_mode_parse("off", &mode), 0);
	assert_int_equal(mode, ISOLATION_OFF);
	assert_int_equal(isolation_mode_parse("", &mode), -EINVAL);
	assert_int_equal(sandbox_seccomp_parse("kill", &seccomp), 0);
	assert_int_equal(seccomp, SANDBOX_KILL);
	assert_int_equal(sandbox_seccomp_parse("off", &seccomp), 0);
	assert_int_equal(seccomp, SANDBOX_OFF);
	assert_int_equal(sandbox_seccomp_parse("offf", &seccomp), -EINVAL);
	setenv("HSAVISOR_SANDBOX", "require", 1);
	isolation_defaults(&i);
	assert_int_equal(i.mode, ISOLATION_REQUIRE);
	assert_int_equal(i.seccomp, SANDBOX_KILL);
	unsetenv("HSAVISOR_SANDBOX");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden_calls_kill),
		cmocka_unit_test(forbidden_calls_kill_as_ordinary_user),
		cmocka_unit_test(own_work_goes_on),
		cmocka_unit_test(abort_still_aborts),
		cmocka_unit_test(nothing_is_left),
		cmocka_unit_test(each_broker_is_its_own_user),
		cmocka_unit_test(user_option),
		cmocka_unit_test(unknown_descriptors_are_closed),
		cmocka_unit_test(refused_steps),
		cmocka_unit_test(seccomp_modes),
		cmocka_unit_test(options_are_parsed),
	};

	/* Who starts a broker may have leave to go before others; the broker is not to inherit it. */
	if (geteuid() == 0) {
		setrlimit(RLIMIT_RTPRIO, &(struct rlimit){5, 5});
		setrlimit(RLIMIT_NICE, &(struct rlimit){30, 30});
	}
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
