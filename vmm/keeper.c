// SPDX-License-Identifier: MIT
/*
 * keeper.c - a process that parts from the client properly when the broker dies.
 *
 * Theory of operation
 * -------------------
 * The broker sends the keeper a message with each client's socket, and one without when the client
 * is gone; the end of that connection is the broker's end. What message the broker is at, it writes
 * to a page that both have. There is a moment in which a broker has read or answered a message and
 * not said so yet; one that is killed in it leaves the client with an answer too many, after all
 * others, or with bytes that make no header, where the keeper stops answering.
 *
 * To part: the socket takes nothing more (whoever sends gets EPIPE), what came is answered, then the
 * client reads the end, and what could not be made sense of is read away, so that closing is no
 * reset.
 */
#include "vmm/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arbiter/msg.h"

/* More than a client has under way: QEMU's requests wait for their answers under one lock. */
#define MOST_ANSWERS 64
/* A message that is longer is none. */
#define MOST_BYTES (1u << 20)

/* What the broker is at, as the process that comes after it has to know it. */
struct at_work {
	_Atomic uint64_t message; /* id, command << 16, flags << 32; 0: none */
	_Atomic uint64_t left;	  /* bytes of it in the socket */
};

struct keeper {
	int sock;
	struct at_work *now;
};

/* ---- Parting ---- */

static void refuse(int client, uint16_t id, uint16_t command, uint32_t flags)
{
	struct vfio_user_header reply = {
		.id = id,
		.command = command,
		.size = sizeof(reply),
		.flags = VFIO_USER_TYPE_REPLY | VFIO_USER_ERROR,
		.error = EIO,
	};

	if (!(flags & VFIO_USER_NO_REPLY) && send(client, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* it is gone, or does not read: then it waits for nothing */
}

/* Reads bytes away. False: they were not all there. */
static bool skip(int client, uint64_t bytes)
{
	char away[4096];

	while (bytes) {
		ssize_t n = recv(client, away, bytes < sizeof(away) ? (size_t)bytes : sizeof(away), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes -= (uint64_t)n;
	}
	return true;
}

static bool read_header(int client, struct vfio_user_header *header)
{
	/* One that came in parts is whole by now, or never will be. */
	return recv(client, header, sizeof(*header), MSG_DONTWAIT) == (ssize_t)sizeof(*header) &&
	       header->size >= sizeof(*header) && header->size <= MOST_BYTES && !(header->flags & VFIO_USER_TYPE_MASK);
}

/* message, left: as at_work has them. */
static void part(int client, uint64_t message, uint64_t left)
{
	struct vfio_user_header header;

	shutdown(client, SHUT_RD);
	if (left <= MOST_BYTES && skip(client, left)) {
		for (unsigned i = 0; i < MOST_ANSWERS && read_header(client, &header); i++) {
			if (!skip(client, header.size - sizeof(header)))
				break;
			refuse(client, header.id, header.command, header.flags);
		}
	}
	if (message)
		refuse(client, (uint16_t)message, (uint16_t)(message >> 16), (uint32_t)(message >> 32));
	shutdown(client, SHUT_WR);
	skip(client, UINT64_MAX);
	close(client);
}

void keeper_part(int client)
{
	part(client, 0, 0);
}

/* ---- The keeper ---- */

/* The next of the broker's messages: true, with the client in *client or -1 there; false: the broker is gone. */
static bool next_client(int sock, int *client)
{
	unsigned num_fds = 1;
	char byte;

	*client = -1;
	return msg_receive(sock, &byte, 1, client, &num_fds) == 1;
}

static void keep(int sock, struct at_work *now)
{
	int client = -1, next;

	while (next_client(sock, &next)) {
		if (client >= 0)
			close(client);
		client = next;
	}
	if (client >= 0)
		part(client, atomic_load(&now->message), atomic_load(&now->left));
}

static void child(int sock, struct at_work *now, int (*seal)(void *ctx), void *ctx)
{
	prctl(PR_SET_NAME, "hsv-keeper");
	if (dup2(sock, 3) == 3) {
		close_range(4, ~0u, 0);
		if (!seal(ctx) && !msg_send(3, "", 1, NULL, 0))
			keep(3, now);
	}
	_exit(0);
}

/* ---- The broker's side ---- */

int keeper_start(int (*seal)(void *ctx), void *ctx, struct keeper **keeper)
{
	struct keeper *k = malloc(sizeof(*k));
	unsigned no_fds = 0;
	int socks[2], ret;
	pid_t pid;
	char byte;

	if (!k)
		return -ENOMEM;
	k->now = mmap(NULL, sizeof(*k->now), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k->now == MAP_FAILED) {
		ret = -errno;
		goto err_free;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
		ret = -errno;
		goto err_unmap;
	}
	pid = fork();
	ret = pid < 0 ? -errno : 0;
	if (pid == 0)
		child(socks[1], k->now, seal, ctx);
	close(socks[1]);
	k->sock = socks[0];
	/* Its message that it is at work; from then on nobody waits for it. */
	if (!ret && (msg_receive(k->sock, &byte, 1, NULL, &no_fds) != 1 || fcntl(k->sock, F_SETFL, O_NONBLOCK) < 0))
		ret = -ECHILD;
	if (ret)
		goto err_close;
	*keeper = k;
	return 0;

err_close:
	close(socks[0]);
err_unmap:
	munmap(k->now, sizeof(*k->now));
err_free:
	free(k);
	return ret;
}

void keeper_stop(struct keeper *k)
{
	if (!k)
		return;
	close(k->sock);
	munmap(k->now, sizeof(*k->now));
	free(k);
}

/* A keeper that is not there any more, or does not read, is missed only at a death of the broker's. */
static void tell(struct keeper *k, int client)
{
	msg_send(k->sock, "", 1, &client, client >= 0);
}

void keeper_hold(struct keeper *k, int client)
{
	if (!k)
		return;
	keeper_served(k);
	tell(k, client);
}

void keeper_drop(struct keeper *k)
{
	if (k)
		tell(k, -1);
}

void keeper_serving(struct keeper *k, const struct vfio_user_header *message, size_t left)
{
	if (!k)
		return;
	atomic_store(&k->now->left, left);
	atomic_store(&k->now->message,
		     message->id | (uint64_t)message->command << 16 | (uint64_t)message->flags << 32);
}

void keeper_served(struct keeper *k)
{
	if (!k)
		return;
	atomic_store(&k->now->message, 0);
	atomic_store(&k->now->left, 0);
}
