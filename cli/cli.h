/* SPDX-License-Identifier: MIT */
/*
 * cli.h - the hsavisor command: what its sub-commands share. A sub-command is a file, cmd_NAME.c.
 *
 * Exit codes: 0 fine, 1 failure, 2 bad usage, 3 hsavisord is not running, 4 no such tenant or VM, 5
 * the name is in use. `run` and `vm exec` exit with the program's own code (128 + signal).
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { EXIT_OK, EXIT_FAIL, EXIT_USAGE, EXIT_NO_DAEMON, EXIT_NO_SUCH, EXIT_IN_USE };

struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the sub-command's name */
	const char *summary;
};

int cmd_run(int argc, char **argv);
int cmd_vm(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_reset(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_faults(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_disasm(int argc, char **argv);
int cmd_exec_kernel(int argc, char **argv);
int cmd_demo(int argc, char **argv);

/* Finds and runs table's command argv[1], or prints usage (and the table) for none, --help, or an
 * unknown one. */
int cli_dispatch(const struct command *table, const char *usage, int argc, char **argv);

/* Prints "hsavisor: TEXT" on standard error and returns code. */
__attribute__((format(printf, 2, 3))) int cli_fail(int code, const char *fmt, ...);

/* What getopt_long() gave asks for usage: 'h' prints it on standard output, all else is an error.
 * Returns the exit code. */
int cli_usage(const char *usage, int option);

/* 0, or EXIT_USAGE after saying what is wrong with a tenant's or VM's name. */
int cli_check_name(const char *name);

/* Parses a whole decimal number from min to max. */
bool cli_number(const char *text, long min, long max, long *number);

/* True for 1..63 of [A-Za-z0-9._-], not beginning with '.' or '-'. */
bool cli_name_ok(const char *name);

/*
 * Path of a file for compiled kernels, in the user's cache ("kernels": of host programs, "vm-NAME":
 * of a VM), its directory made; static. NULL: they are not to be kept (HSAVISOR_JIT_STORE is
 * empty), or nowhere. HSAVISOR_JIT_STORE, a path, is that of "kernels"; others lie beside.
 */
const char *cli_jit_store(const char *file);
/* Absolute path of a program or library of ours (hsavisord, hsavisor-broker, libhsavisor-host.so),
 * beside us in the build tree or where it's installed. -ENOENT. */
int cli_companion(const char *name, char *path, size_t size);

/* ------------------------------------------------------------------ the daemon (daemon.c) */

/* Sends {"op": op} (or request, consumed, when op is NULL); *answer is the caller's. 0, or an exit
 * code after saying why. */
int daemon_request(const char *op, struct json_object *request, struct json_object **answer);
/* Ends the daemon, with force even if it has tenants, and waits until another may be started: 0, or an exit code after saying why. */
int daemon_shutdown(bool force);
/* The same without a word: 0 with the caller's *answer, or negative errno (-ECONNREFUSED: no
 * daemon). request is consumed. */
int daemon_try(struct json_object *request, struct json_object **answer);
/* The same for {"op": op}. */
int daemon_ask(const char *op, struct json_object **answer);
/* Says why there was no answer (daemon_try's errno); returns the exit code. */
int daemon_failed(int err);
/* Starts hsavisord in the background with this socket (arbiter_socket_path()) and extra arguments
 * (NULL-terminated, may be NULL). 0 or exit code. */
int daemon_start(char *const *extra);
/* The rows of "list", all of them, the caller's. 0, or negative errno as of daemon_try. */
int daemon_list(struct json_object **tenants);
/* The row of a tenant on a GPU in "list", the caller's; NULL when there is none. */
struct json_object *daemon_tenant(const char *name, uint32_t gpu);
uint64_t json_u64(struct json_object *o, const char *key);    /* 0 when missing */
const char *json_str(struct json_object *o, const char *key); /* "" when missing */
void json_print(struct json_object *o);			      /* pretty, to standard output */

/* ------------------------------------------------------------------ policies (cmd_set.c) */

/* Options of commands that start a tenant: {"weight", required_argument, NULL, POLICY_OPTION + 'w'}
 * and so on, by these letters. */
#define POLICY_OPTION 512
#define POLICY_OPTIONS                                                                             \
	{"weight", required_argument, NULL, POLICY_OPTION + 'w'},                                  \
		{"priority", required_argument, NULL, POLICY_OPTION + 'p'},                        \
		{"reserve", required_argument, NULL, POLICY_OPTION + 'r'},                         \
		{"cap", required_argument, NULL, POLICY_OPTION + 'c'},                             \
	{                                                                                          \
		"kernel-timeout", required_argument, NULL, POLICY_OPTION + 'k'                     \
	}
#define POLICY_HELP                                                                                \
	"--weight, --priority, --reserve, --cap, --kernel-timeout: see hsavisor set --help"
/* Puts option c (POLICY_OPTION + letter, or the letter) with its value into *policy, made if it is
 * NULL. 0 or an exit code after it said why. */
int policy_option(int c, const char *text, struct json_object **policy);
/* Asks the daemon; policy is consumed. *answer (may be NULL) is the caller's. 0 or an exit code
 * after it said why. */
int policy_set(const char *tenant, struct json_object *policy, bool save,
	       struct json_object **answer);

/* ------------------------------------------------------------------ host programs (host_program.c)
 */

/*
 * Sets the environment of a host program: preload front end, tenant, socket. root: run it in this
 * root tree (Debian 13's), NULL for the host's own. Replaces the process; returns only on failure
 * (exit code, said why).
 */
int host_program_exec(const char *tenant, const char *root, char **argv);
/* The program's GPU writes a profile to a file, which is made or emptied. 0, or the exit code (said why). */
int host_program_profile(const char *path);

/* ------------------------------------------------------------------ virtual machines (vm.c,
 * broker.c) */

/* Options of commands that start a broker, which it gets as they are; NULL: its default. */
struct broker_options {
	const char *gpus, *sandbox, *user, *socket_group, *socket_mode;
};
#define BROKER_OPTION 256
#define BROKER_OPTIONS                                                                             \
	{"gpus", required_argument, NULL, BROKER_OPTION + 'G'},                                    \
		{"gpu", required_argument, NULL, BROKER_OPTION + 'G'},                             \
		{"sandbox", required_argument, NULL, BROKER_OPTION + 's'},                         \
		{"user", required_argument, NULL, BROKER_OPTION + 'u'},                            \
		{"socket-group", required_argument, NULL, BROKER_OPTION + 'g'},                    \
	{                                                                                          \
		"socket-mode", required_argument, NULL, BROKER_OPTION + 'm'                        \
	}
#define BROKER_HELP                                                                                \
	"  --gpus LIST    which of the daemon's GPUs the VM has, like 0,1 (default 0); the VRAM "  \
	"quota is of each\n"                                                                      \
	"  --sandbox try|require|off  the broker's isolation: as far as the host permits "         \
	"(default), "                                                                              \
	"all of it or no VM, none\n"                                                               \
	"  --user USER    as root: the user that the broker becomes (default: hsavisor if there "  \
	"is "                                                                                      \
	"one, else an id of its own)\n"                                                            \
	"  --socket-group GROUP  let a QEMU of this group's users connect to the broker, too\n"    \
	"  --socket-mode MODE    permissions of the broker's socket, octal (default 600, with a "  \
	"group 660)\n"
/* Puts option c (BROKER_OPTION + letter) with its value, which must stay valid, into options. 0 or
 * EXIT_USAGE after it said what is wrong with it. */
int broker_option(int c, const char *text, struct broker_options *options);

struct vm_config {
	const char *name, *image; /* image NULL: ours, read-only, changes thrown away at the stop */
	uint64_t memory, vram;	  /* bytes; vram 0: the daemon's default */
	uint64_t vram_max;	  /* what the quota may be raised to, bytes; 0: no more */
	struct json_object *policy; /* for policy_set(); NULL: as the daemon's configuration says */
	struct broker_options broker;
	unsigned cpus;
	const char *accel;     /* "auto", "kvm", "tcg" */
	unsigned boot_timeout; /* seconds until the guest agent must answer; 0: don't wait */
	bool quiet;
};

/* Path of FILE in the VM's state directory, into a static ring of buffers. */
const char *vm_path(const char *name, const char *file);
/* Takes the name: makes the state directory. 0, or an exit code after it said why (EXIT_IN_USE). */
int vm_state_make(const char *name);
void vm_state_remove(const char *name);
/* Boots it with a broker of its own. 0 or an exit code after it said why; then nothing of it is
 * left. */
int vm_start(const struct vm_config *config);
/* Powers it off, hard after a grace period; ends its broker, removes its state. */
int vm_stop(const char *name, bool force);
/* pid of its QEMU or 0. */
pid_t vm_pid(const char *name);
/* Runs argv in the guest. Output goes to out and err (descriptors), -1: thrown away. Returns the
 * exit code, or -errno after it said why. limit_s: 0 none. */
int vm_exec(const char *name, char *const *argv, int out, int err, unsigned limit_s);

/* Starts a broker for tenant name listening at its vm_path(name, "broker.sock"); *pid is its
 * process. Who may connect there may also pass through the VM's directory. 0 or an exit code after
 * it said why. */
int broker_start(const char *name, uint64_t vram, uint64_t vram_max,
		 const struct broker_options *options, pid_t *pid);
/* What QEMU needs for it, as words; count at most 16; strings live in a static buffer. */
size_t broker_qemu_args(const char *name, uint64_t memory, const char **words, size_t max);

/* The pid in a state file if that process still lives and runs the executable it was written for
 * (its name contains part); else 0. */
pid_t pidfile_read(const char *path, const char *part);

/* A value of image.conf ("KERNEL"), static; NULL if there is none. */
const char *image_conf(const char *key);

#endif
