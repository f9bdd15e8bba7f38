// SPDX-License-Identifier: MIT
/*
 * isolation.c - the broker gives up everything but its VM's memory and the descriptors it holds.
 *
 * Theory of operation
 * -------------------
 * A broker parses what a guest and its QEMU send, and interprets the guest's GPU code. If one of
 * these has an error that lets a guest run code in the broker, that code must find nothing: no
 * files, no network, no other process, no privilege, no system call beyond the broker's own work.
 *
 * main() calls isolation_close_others() first; opens what needs a path or the starter's identity
 * (the log, the daemon's connection, the socket for QEMU); calls isolation_enter(), while there's
 * one thread, as namespaces and identities belong to threads; starts the GPU; and calls
 * isolation_seal() before a QEMU is let in. Nothing a guest controls is looked at before that.
 *
 * The order of the steps depends on who starts it. With CAP_SYS_ADMIN the namespaces come first and
 * the identity after them. Others need a user namespace for namespaces, which must be made by the
 * identity that it is for, so that comes first.
 *
 * A step that the environment forbids (a container without CAP_SYS_ADMIN and user namespaces) is
 * left out with a warning in the mode "try", but only where the starter lacks the capability for
 * it; a starter that has it gets the step or no broker. What needs no permission, from the
 * capabilities to the filter of system calls, is done or there is no broker.
 *
 * There's no PID namespace: one takes effect for children only, and a process that has asked for
 * one can start no more threads. What it would hide can't be used: every call that names another
 * process (kill, ptrace, pidfd_open, process_vm_readv, ...) is refused by the filter, and there is
 * no /proc to look at.
 */
#include "vmm/isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define SYSTEM_USER "hsavisor"
/* First of the user ids for brokers without a user of their own: this plus the pid (below 2^22),
 * so that no two brokers have one. Beyond what distributions and systemd give to anybody. */
#define OWN_UID 0x68800000u
#define NOBODY	65534u

#define MAX_FILES   256	 /* QEMU's interrupts, a message's descriptors, our dozen */
#define MAX_THREADS 4096 /* of the user, which may be that of all brokers */

struct who {
	uid_t uid;
	gid_t gid;
	bool change; /* started as root */
};

/* ---- Step: descriptors ---- */

/*
 * The starter's open files would be the broker's, too: a shell's, a service manager's, the
 * command's own connection. The standard ones stay, for messages; there is nothing to be read from
 * them.
 */
void isolation_close_others(int keep)
{
	int null = open("/dev/null", O_RDWR);

	if (null >= 0)
		dup2(null, STDIN_FILENO);
	if (keep > 2) {
		if (keep > 3)
			close_range(3, (unsigned)keep - 1, 0);
		close_range((unsigned)keep + 1, ~0u, 0);
	} else {
		close_range(3, ~0u, 0);
	}
}

/* ---- Step: limits ---- */

/*
 * What a broker gone wrong may take of the host: descriptors and threads are bounded near what it
 * needs. No core dump: it would hold the guest's memory, and be written where the starter runs.
 */
static int set_limits(const struct who *who)
{
	static const struct {
		__rlimit_resource_t resource;
		rlim_t value;
	} limits[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_NOFILE, MAX_FILES},
		{RLIMIT_NPROC, MAX_THREADS},
		/* sched_setattr() is for time slices only (thread_slice()). */
		{RLIMIT_RTPRIO, 0},
		{RLIMIT_NICE, 0},
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit l;

		if (getrlimit(limits[i].resource, &l) < 0)
			return -errno;
		if (l.rlim_max > limits[i].value)
			l.rlim_max = limits[i].value;
		l.rlim_cur = l.rlim_max;
		if (setrlimit(limits[i].resource, &l) < 0)
			return -errno;
	}
	return 0;
}

/* ---- Step: identity ---- */

/*
 * Root is root without capabilities, too: it owns most files, and every system's mistakes with user
 * id 0 are open to it. Supplementary groups go first, the group next, as the right to change them
 * goes with the user id; real, effective and saved ids at once, so that none is left to go back to.
 */
static int change_identity(const struct who *who)
{
	uid_t uid = who->uid;
	gid_t gid = who->gid;

	if (!who->change)
		return 0;
	if (setgroups(0, NULL) < 0)
		return -errno;
	if (setresgid(gid, gid, gid) < 0) {
		if (errno != EINVAL || uid < OWN_UID)
			return -errno;
		/* A user namespace above us that maps few ids. */
		uid = gid = NOBODY;
		if (setresgid(gid, gid, gid) < 0)
			return -errno;
	}
	return setresuid(uid, uid, uid) < 0 ? -errno : 0;
}

/* ---- Step: namespaces ---- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/*
 * An ordinary user gets the rights for the next steps in a user namespace of its own; they are void
 * outside of it. The namespace knows one user and one group, this process's, so that no setuid
 * program could be anybody else in it.
 */
static int enter_user_namespace(const struct who *who)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];
	int ret;

	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	/* A change of identity made the files below /proc/self root's. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -errno;
	ret = write_file("/proc/self/setgroups", "deny");
	if (ret)
		return ret;
	snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	ret = write_file("/proc/self/uid_map", map);
	if (ret)
		return ret;
	snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	return write_file("/proc/self/gid_map", map);
}

/*
 * network: no interface but a loopback that is down, and no abstract UNIX sockets of others.
 * ipc: no System V or POSIX message queues and segments of others. uts, cgroup: the host's name and
 * the place in its tree of groups are nobody's business, and can't be changed. mount: for the next
 * step.
 */
static int enter_namespaces(const struct who *who)
{
	return unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) <
			       0
		       ? -errno
		       : 0;
}

/*
 * The root directory becomes an empty file system in which nothing can be made: no path leads
 * anywhere, whatever its permissions. Everything that was mounted is unmounted in this namespace;
 * pivot_root, not chroot, so that nothing is left above the root to climb to.
 */
static int empty_root(const struct who *who)
{
	static const char *const places[] = {"/tmp", "/run", "/dev"};
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int ret = -ENOENT;

	/* Nothing of what follows may show outside. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	/* Any directory serves as the place. */
	for (size_t i = 0; ret == -ENOENT && i < sizeof(places) / sizeof(places[0]); i++)
		ret = mount("hsavisor", places[i], "tmpfs", flags,
			    "mode=0555,nr_inodes=2,nr_blocks=1") < 0 ||
				      chdir(places[i]) < 0
			      ? -errno
			      : 0;
	if (ret)
		return ret;
	/* Puts the old root over the new one, in the same place, from where it is taken. */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | flags, NULL) < 0 ? -errno : 0;
}

/* ---- Step: privileges ---- */

/* While it may still be done: nothing that is executed has privileges, whoever owns it. */
static int drop_bounding_set(const struct who *who)
{
	return sandbox_drop_bounding_set();
}

/* Of the namespaces' as well: mounting, routing and so on are kernel code that nobody needs to
 * reach. */
static int drop_capabilities(const struct who *who)
{
	return sandbox_drop_capabilities();
}

/* For the filter of an ordinary user, and should execve ever be reached. */
static int no_new_privs(const struct who *who)
{
	return sandbox_no_new_privs();
}

/* Other processes of the same user can't attach to it and read the guest's memory; nor can this one
 * be dumped. */
static int not_dumpable(const struct who *who)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- The order ---- */

#define NONE 64u

struct step {
	const char *name;
	int (*take)(const struct who *who);
	unsigned capability; /* may be refused to who lacks this; NONE: to nobody */
};

static const struct step limits_step = {"resource limits", set_limits, NONE};
static const struct step identity_step = {"unprivileged user", change_identity, CAP_SETUID};
static const struct step user_namespace_step = {"user namespace", enter_user_namespace,
						CAP_SYS_ADMIN};
static const struct step namespaces_step = {"mount, network, IPC, UTS and cgroup namespaces",
					    enter_namespaces, CAP_SYS_ADMIN};
static const struct step root_step = {"empty root directory", empty_root, CAP_SYS_ADMIN};
static const struct step bounding_step = {"no ways to capabilities", drop_bounding_set,
					  CAP_SETPCAP};
static const struct step capabilities_step = {"no capabilities", drop_capabilities, NONE};
static const struct step no_new_privs_step = {"no new privileges", no_new_privs, NONE};
static const struct step dumpable_step = {"no debuggers", not_dumpable, NONE};

/* clang-format off */
static const struct step *const with_sys_admin[] = {
	&limits_step, &namespaces_step, &root_step, &bounding_step, &identity_step,
	&capabilities_step, &no_new_privs_step, &dumpable_step, NULL,
};
static const struct step *const without[] = {
	&limits_step, &identity_step, &user_namespace_step, &namespaces_step, &root_step,
	&bounding_step, &capabilities_step, &no_new_privs_step, &dumpable_step, NULL,
};
/* clang-format on */

/* As root: the user that was named, else the system's for brokers, else a user id nobody has. */
static int choose_identity(const struct isolation *isolation, struct who *who)
{
	const char *name = isolation->user ? isolation->user : SYSTEM_USER;
	const struct passwd *user = NULL;

	*who = (struct who){.uid = geteuid(), .gid = getegid(), .change = geteuid() == 0};
	if (who->change || isolation->user)
		user = getpwnam(name);
	if (isolation->user && (!user || user->pw_uid == 0)) {
		fprintf(stderr, "hsavisor-broker: --user: %s '%s'\n",
			user ? "the broker must not run as" : "there is no user", name);
		return -EINVAL;
	}
	if (isolation->user && !who->change && user->pw_uid != who->uid) {
		fprintf(stderr, "hsavisor-broker: --user: only root can become '%s'\n", name);
		return -EPERM;
	}
	if (!who->change)
		return 0;
	if (user && user->pw_uid) {
		who->uid = user->pw_uid;
		who->gid = user->pw_gid;
	} else {
		who->uid = who->gid = OWN_UID + (uid_t)getpid();
	}
	return 0;
}

static bool refused(int error)
{
	return error == -EPERM || error == -EACCES || error == -ENOSYS || error == -EINVAL ||
	       error == -ENOSPC || error == -EUSERS;
}

int isolation_enter(const struct isolation *isolation)
{
	const struct step *const *steps = without;
	bool lacks[NONE + 1] = {false};
	struct who who;
	int ret;

	if (isolation->mode == ISOLATION_OFF) {
		if (!SANDBOX_SANITIZED)
			fprintf(stderr,
				"hsavisor-broker: WARNING: not isolated (--sandbox=off): an error "
				"in "
				"this process gives its guest what the user %u has\n",
				geteuid());
		return 0;
	}
	ret = choose_identity(isolation, &who);
	if (ret)
		return ret;
	lacks[CAP_SYS_ADMIN] = !sandbox_capable(CAP_SYS_ADMIN);
	lacks[CAP_SETUID] = !sandbox_capable(CAP_SETUID);
	lacks[CAP_SETPCAP] = !sandbox_capable(CAP_SETPCAP);
	if (!lacks[CAP_SYS_ADMIN])
		steps = with_sys_admin;
	/* Read from files now: the log's descriptor, the time zone. */
	log_enabled("broker", LOG_ERROR);
	tzset();
	for (; *steps; steps++) {
		const struct step *s = *steps;

		ret = s->take(&who);
		if (!ret)
			continue;
		if (isolation->mode == ISOLATION_TRY && lacks[s->capability] && refused(ret)) {
			fprintf(stderr,
				"hsavisor-broker: WARNING: isolated less: %s: %s "
				"(--sandbox=require "
				"makes this an error)\n",
				s->name, strerror(-ret));
			continue;
		}
		fprintf(stderr,
			"hsavisor-broker: cannot isolate itself: %s: %s; see --sandbox in "
			"hsavisor-broker(8)\n",
			s->name, strerror(-ret));
		return ret;
	}
	return 0;
}

/* ---- The last step: system calls ---- */

#define CALLS(...) ((const struct sandbox_call[]){__VA_ARGS__, {NULL}})

/* Threads of this process and nothing else: no process, no namespace. */
#define THREAD_FLAGS (CLONE_THREAD | CLONE_VM)
#define NEVER_FLAGS                                                                                \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE | CLONE_UNTRACED)

/*
 * What a broker does once it serves. A new need is a new row, with what it is for. Descriptors that
 * are there may be used; only memory and threads can be made, and connections and descriptors come
 * only through the socket for QEMU.
 */
static const struct sandbox_purpose allowed[] = {
	{"the heap, threads' stacks, guest memory; nothing that can be executed",
	 CALLS({"mmap", .num_args = 1, .args = {{2, PROT_EXEC, 0}}},
	       {"mprotect", .num_args = 1, .args = {{2, PROT_EXEC, 0}}}, {"munmap"}, {"mremap"},
	       {"madvise"}, {"brk"})},
	{"compiled kernels: code is written, then made executable; never both at once",
	 CALLS({"mprotect", .num_args = 1, .args = {{2, UINT32_MAX, PROT_READ | PROT_EXEC}}})},
	{"compiled kernels are kept in a file, which was opened before",
	 CALLS({"pread64", .num_args = 1, .args = {{0, UINT32_MAX, ISOLATION_STORE_FD}}},
	       {"pwrite64", .num_args = 1, .args = {{0, UINT32_MAX, ISOLATION_STORE_FD}}},
	       {"ftruncate", .num_args = 1, .args = {{0, UINT32_MAX, ISOLATION_STORE_FD}}},
	       {"flock", .num_args = 1, .args = {{0, UINT32_MAX, ISOLATION_STORE_FD}}})},
	{"vfio-user: QEMU connects, sends messages with descriptors, gets answers",
	 CALLS({"accept4"}, {"recvmsg"}, {"sendmsg"}, {"poll"}, {"ppoll"}, {"close"})},
	{"parting from QEMU: what it still asks is refused, then the connection ends",
	 CALLS({"recvfrom"}, {"sendto"}, {"shutdown"})},
	{"QEMU's descriptors: is it a regular file of that size (fstat, by either name); "
	 "interrupts "
	 "must not block",
	 CALLS({"fstat"},
	       {"newfstatat", .num_args = 1, .args = {{3, AT_EMPTY_PATH, AT_EMPTY_PATH}}},
	       {"fcntl", .num_args = 1, .args = {{1, UINT32_MAX, F_GETFL}}},
	       {"fcntl", .num_args = 1, .args = {{1, UINT32_MAX, F_SETFL}}})},
	{"interrupts to QEMU, waking hsavisord, the log; signals to end by",
	 CALLS({"write"}, {"read"})},
	{"GPU threads start and end",
	 CALLS({"clone", .num_args = 1, .args = {{0, THREAD_FLAGS | NEVER_FLAGS, THREAD_FLAGS}}},
	       /* Its flags lie in memory, which a filter can't see; the C library takes clone then.
		*/
	       {"clone3", .error = ENOSYS}, {"set_robust_list"}, {"rseq"}, {"rt_sigprocmask"},
	       {"prctl", .num_args = 1, .args = {{0, UINT32_MAX, PR_SET_NAME}}},
	       {"prctl", .num_args = 1, .args = {{0, UINT32_MAX, PR_SET_TIMERSLACK}}},
	       /* A GPU thread stays on its CPU; the calling thread only. */
	       {"sched_getaffinity", .num_args = 1, .args = {{0, UINT32_MAX, 0}}},
	       {"sched_setaffinity", .num_args = 1, .args = {{0, UINT32_MAX, 0}}},
	       /* So are slices of its CPU time: thread_slice(). */
	       {"sched_getattr", .num_args = 1, .args = {{0, UINT32_MAX, 0}}},
	       {"sched_setattr", .num_args = 1, .args = {{0, UINT32_MAX, 0}}}, {"exit"})},
	{"threads wait for each other, and for turns",
	 CALLS({"futex"}, {"sched_yield"}, {"nanosleep"}, {"clock_nanosleep"},
	       {"restart_syscall"})},
	{"VRAM that is swapped out and back, between files that are there; threads that touch it "
	 "wait",
	 CALLS({"fallocate"}, {"ftruncate"}, {"lseek"}, {"pread64"}, {"pwrite64"},
	       {"ioctl", .num_args = 1, .args = {{1, UINT32_MAX, UFFDIO_REGISTER}}},
	       {"ioctl", .num_args = 1, .args = {{1, UINT32_MAX, UFFDIO_UNREGISTER}}},
	       {"ioctl", .num_args = 1, .args = {{1, UINT32_MAX, UFFDIO_WRITEPROTECT}}})},
	{"time, where the vDSO has none",
	 CALLS({"clock_gettime"}, {"clock_getres"}, {"gettimeofday"}, {"time"})},
	{"the C library asks: how many CPUs, seeds of hash tables, who am I in the log",
	 CALLS({"sched_getaffinity"}, {"getrandom"}, {"getpid"}, {"gettid"})},
	{"the end: by request, by a bus error's handler, by abort()",
	 CALLS({"exit_group"}, {"rt_sigreturn"},
	       {"tgkill", .num_args = 1, .args = {{0, UINT32_MAX, SANDBOX_OWN_PID}}})},
};

/* What the keeper does. */
static const struct sandbox_purpose keeper_allowed[] = {
	{"it waits for the broker's end, with the socket of QEMU, and answers there in its place",
	 CALLS({"recvmsg"}, {"sendmsg"}, {"recvfrom"}, {"sendto"}, {"shutdown"}, {"close"})},
	{"the end", CALLS({"exit_group"}, {"rt_sigreturn"})},
};

static char seal_name[96];

#define WARM_BLOCKS 16
#define WARM_BYTES  60000 /* little enough to be of the heap, together enough that it is trimmed */
#define WARM_TRIM   (128 << 10)
/* Later: what a heap may keep at its end. The C library's own bound would be twice the largest block freed so far. */
#define KEEP_BYTES (4 << 20)

/* A thread's own heap grows and shrinks. */
static void *use_heap(void *unused)
{
	void *volatile blocks[WARM_BLOCKS];

	for (unsigned i = 0; i < WARM_BLOCKS; i++)
		blocks[i] = malloc(WARM_BYTES);
	for (unsigned i = 0; i < WARM_BLOCKS; i++)
		free(blocks[i]);
	return unused;
}

/*
 * What the C library does once, when it is first needed, while it may: handlers of its own signals
 * with the first thread; the number of CPUs, from a file, for the number of heaps; whether memory
 * is overcommitted, from a file, when a heap is first trimmed.
 */
static int warm_up(void)
{
	cpu_set_t cpus;
	pthread_t thread;
	int ret;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		mallopt(M_ARENA_MAX, 8 * CPU_COUNT(&cpus));
	mallopt(M_TRIM_THRESHOLD, WARM_TRIM);
	ret = pthread_create(&thread, NULL, use_heap, NULL);
	if (!ret)
		ret = pthread_join(thread, NULL);
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	return -ret;
}

static int seal(const struct sandbox_purpose *table, size_t count, const struct isolation *isolation, const char *name)
{
	int ret;

	snprintf(seal_name, sizeof(seal_name), "hsavisor-broker: %s", name);
	ret = sandbox_filter(table, count, isolation->seccomp, seal_name);
	if (ret)
		fprintf(stderr, "hsavisor-broker: cannot isolate itself: system calls: %s\n", strerror(-ret));
	return ret;
}

int isolation_seal(const struct isolation *isolation, const char *name)
{
	int ret;

	if (isolation->mode == ISOLATION_OFF)
		return 0;
	if (isolation->seccomp != SANDBOX_KILL)
		fprintf(stderr, "hsavisor-broker: WARNING: system calls are not %s (--seccomp)\n",
			isolation->seccomp == SANDBOX_LOG ? "refused, only logged" : "filtered");
	ret = warm_up();
	if (ret)
		fprintf(stderr, "hsavisor-broker: cannot isolate itself: threads: %s\n", strerror(-ret));
	return ret ? ret : seal(allowed, sizeof(allowed) / sizeof(allowed[0]), isolation, name);
}

int isolation_seal_keeper(const struct isolation *isolation, const char *name)
{
	if (isolation->mode == ISOLATION_OFF)
		return 0;
	return seal(keeper_allowed, sizeof(keeper_allowed) / sizeof(keeper_allowed[0]), isolation, name);
}

/* ---- Options ---- */

int isolation_mode_parse(const char *text, enum isolation_mode *mode)
{
	static const char *const names[] = {"try", "require", "off"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]))
			continue;
		*mode = (enum isolation_mode)i;
		return 0;
	}
	return -EINVAL;
}

void isolation_defaults(struct isolation *isolation)
{
	const char *wish = getenv("HSAVISOR_SANDBOX");

	*isolation = (struct isolation){.mode = SANDBOX_SANITIZED ? ISOLATION_OFF : ISOLATION_TRY};
	if (wish && isolation_mode_parse(wish, &isolation->mode))
		fprintf(stderr,
			"hsavisor-broker: HSAVISOR_SANDBOX: '%s' is none of try, require, off\n",
			wish);
}
