// SPDX-License-Identifier: MIT
/*
 * cmd_metrics.c - `hsavisor metrics`: the text once, or served by HTTP (libmicrohttpd).
 *
 * Figures tell tenants' names and programs, so they are served on a UNIX socket (of this user
 * alone) or on loopback; other addresses must be asked for. Each GET asks the daemon anew; while it
 * is gone the text is hsavisor_up 0, which is what a monitoring system wants to see.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "arbiter/client.h"
#include "cli/cli.h"
#include "cli/metrics.h"

#define MAX_CLIENTS 16
#define CLIENT_S    10 /* an idle connection is closed */

static const char usage[] =
	"Usage: hsavisor metrics [--listen WHERE [--allow-remote]]\n"
	"Prints all figures of the daemon and its tenants as OpenMetrics text, or serves them.\n"
	"\n"
	"  --listen WHERE   answer GET /metrics at unix:PATH, 127.0.0.1:PORT or [::1]:PORT until\n"
	"                   Ctrl-C; port 0 takes a free one, which is told\n"
	"  --allow-remote   also at addresses that other machines reach\n";

/* ------------------------------------------------------------------ addresses */

/* "ADDRESS:PORT" or "[ADDRESS]:PORT". 0 or -EINVAL. */
static int parse_address(const char *where, struct sockaddr_storage *addr, socklen_t *len)
{
	const char *colon = strrchr(where, ':');
	char host[64], *end;
	unsigned long port;
	size_t n;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	port = strtoul(colon + 1, &end, 10);
	n = (size_t)(colon - where);
	if (*end || port > 65535 || n >= sizeof(host))
		return -EINVAL;
	memcpy(host, where, n);
	host[n] = 0;
	memset(addr, 0, sizeof(*addr));
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;

		host[n - 1] = 0;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		*len = sizeof(*in6);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	struct sockaddr_in *in = (struct sockaddr_in *)addr;

	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	*len = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)addr)->sin6_addr);
	return ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 24 == 127;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, err = 0;
	struct stat st;
	mode_t mask;

	if (!*path || strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* A socket that nobody answers at was left by one that was killed. */
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode)) {
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
			close(fd);
			return -EADDRINUSE;
		}
		if (errno == ECONNREFUSED)
			unlink(path);
	}
	mask = umask(0177);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 16) < 0)
		err = -errno;
	umask(mask);
	if (err)
		close(fd);
	return err ? err : fd;
}

static int listen_inet(const struct sockaddr_storage *addr, socklen_t len)
{
	int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (addr->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)addr, len) < 0 || listen(fd, 16) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Tells where, with the port that was taken. */
static void say_where(int fd, const char *where)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[INET6_ADDRSTRLEN];

	if (!getsockname(fd, (struct sockaddr *)&addr, &len) && addr.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&addr;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		printf("serving http://%s:%u/metrics\n", host, ntohs(in->sin_port));
	} else if (addr.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		printf("serving http://[%s]:%u/metrics\n", host, ntohs(in6->sin6_port));
	} else {
		printf("serving /metrics at %s\n", where);
	}
	fflush(stdout);
}

/* ------------------------------------------------------------------ HTTP */

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type,
			     char *text, size_t size, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(size, text, mode);
	enum MHD_Result ret;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return ret;
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *body,
			      size_t *body_size, void **state)
{
	static char not_found[] = "The figures are at /metrics.\n", no_method[] = "GET only.\n";
	static int begun;
	char *text;
	size_t size;
	int err;

	if (!*state) { /* the headers alone */
		*state = &begun;
		return MHD_YES;
	}
	if (*body_size) { /* read and thrown away */
		*body_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return reply(c, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", no_method,
			     strlen(no_method), MHD_RESPMEM_PERSISTENT);
	if (strcmp(url, "/metrics"))
		return reply(c, MHD_HTTP_NOT_FOUND, "text/plain", not_found, strlen(not_found),
			     MHD_RESPMEM_PERSISTENT);
	text = metrics_ask(&size, &err);
	if (!text)
		return MHD_NO;
	return reply(c, MHD_HTTP_OK, METRICS_CONTENT_TYPE, text, size, MHD_RESPMEM_MUST_FREE);
}

/* Until one of the signals, which are blocked. */
static int serve(int fd, const sigset_t *signals)
{
	struct MHD_Daemon *d;
	int got;

	d = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL, answer,
			     NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
			     (unsigned)MAX_CLIENTS, MHD_OPTION_CONNECTION_TIMEOUT,
			     (unsigned)CLIENT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			     (size_t)16384, MHD_OPTION_END);
	if (!d) {
		close(fd);
		return cli_fail(EXIT_FAIL, "cannot start the HTTP server");
	}
	sigwait(signals, &got);
	MHD_stop_daemon(d); /* closes fd */
	return EXIT_OK;
}

int metrics_serve(const char *where, bool anywhere)
{
	bool local = !strncmp(where, "unix:", 5);
	struct sockaddr_storage addr;
	sigset_t signals;
	socklen_t len;
	int fd, code;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (local) {
		fd = listen_unix(where + 5);
	} else {
		if (parse_address(where, &addr, &len))
			return cli_fail(EXIT_USAGE,
					"'%s' is none of unix:PATH, ADDRESS:PORT and [ADDRESS]:PORT",
					where);
		if (!anywhere && !is_loopback(&addr))
			return cli_fail(EXIT_USAGE,
					"%s is not a loopback address: other machines would see the "
					"tenants; --allow-remote allows it",
					where);
		fd = listen_inet(&addr, len);
	}
	if (fd < 0)
		return cli_fail(EXIT_FAIL, "cannot listen at %s: %s", where, strerror(-fd));
	say_where(fd, where);
	code = serve(fd, &signals);
	if (local)
		unlink(where + 5);
	return code;
}

int cmd_metrics(int argc, char **argv)
{
	static const struct option known[] = {{"listen", required_argument, NULL, 'l'},
					      {"allow-remote", no_argument, NULL, 'a'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	const char *where = NULL;
	bool anywhere = false;
	char *text;
	size_t size;
	int c, err;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (c == 'l') {
			where = optarg;
		} else if (c == 'a') {
			anywhere = true;
		} else {
			return cli_usage(usage, c);
		}
	}
	if (optind < argc || (anywhere && !where))
		return cli_usage(usage, '?');
	if (where)
		return metrics_serve(where, anywhere);
	text = metrics_ask(&size, &err);
	if (!text)
		return cli_fail(EXIT_FAIL, "out of memory");
	if (err) {
		free(text);
		return daemon_failed(err);
	}
	fputs(text, stdout);
	free(text);
	return fflush(stdout) ? EXIT_FAIL : EXIT_OK;
}
