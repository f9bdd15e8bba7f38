/* SPDX-License-Identifier: MIT */
/*
 * client.h - a scripted vfio-user client and, on it, a scripted guest driver: what QEMU and
 * hsavisor.ko do, one step at a time, and wrong on demand. Everything waits at most
 * CLIENT_TIMEOUT_MS.
 */
#ifndef TESTS_VMM_CLIENT_H
#define TESTS_VMM_CLIENT_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/hsavisor.h"
#include "vmm/vfio_user_proto.h"

#define CLIENT_TIMEOUT_MS 30000
#define CLIENT_GONE	  (-10000) /* the server hung up */

/* ---- Messages. Return 0 or more, a negative errno of the server's, or CLIENT_GONE ---- */

int client_connect(const char *path);
/* Sends bytes as they are, with descriptors. */
int client_send_raw(int sock, const void *data, size_t size, const int *fds, unsigned num_fds);
/* Sends a message and gets its answer: bytes of payload. fds_out: one descriptor, -1 if there was
 * none; may be NULL. */
int client_call(int sock, unsigned command, const void *payload, size_t size, const int *fds,
		unsigned num_fds, void *reply, size_t capacity, int *fd_out);
/* Waits for an answer. */
int client_receive(int sock, struct vfio_user_header *header, void *reply, size_t capacity,
		   int *fd_out);
int client_version(int sock);
int client_dma_map(int sock, uint64_t address, uint64_t size, int fd, uint64_t offset);
int client_dma_unmap(int sock, uint64_t address, uint64_t size);
int client_set_irq(int sock, uint32_t vector, int fd);
int client_read(int sock, unsigned region, uint64_t offset, void *data, uint32_t count);
int client_write(int sock, unsigned region, uint64_t offset, const void *data, uint32_t count);

/* ---- A guest ---- */

#define GUEST_RAM     (64u << 20)
#define GUEST_MEMORY  (32u << 20) /* where a test may put things in RAM, up to the end */
#define GUEST_BUFFERS 64	  /* event buffers */

struct guest_queue {
	uint64_t desc, avail, used; /* guest-physical = offset in RAM */
	uint16_t size, next_avail, next_used;
};

struct guest {
	int sock;
	int ram_fd;
	uint8_t *ram;
	int irqs[3]; /* eventfds */
	uint64_t features;
	struct guest_queue control, event;
	uint8_t *doorbells, *vram;
	uint64_t doorbells_size, vram_size;
};

/* Connects and maps RAM at 0; nothing else. */
int guest_connect(struct guest *g, const char *path);
/* Resets the device, negotiates features, sets up the queues, fills the event queue, sets
 * DRIVER_OK. */
int guest_start(struct guest *g, uint64_t features);
void guest_close(struct guest *g);

uint32_t guest_common_read(struct guest *g, unsigned offset, unsigned size);
void guest_common_write(struct guest *g, unsigned offset, unsigned size, uint32_t value);

struct guest_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
/* Writes descriptor i of the control queue; makes chain head available; kicks. */
void guest_desc(struct guest *g, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t next);
void guest_offer(struct guest *g, struct guest_queue *q, uint16_t head);
int guest_kick(struct guest *g, unsigned queue);
/* Waits for the queue to use a buffer: its head, *len the bytes written. -1: timeout or the device
 * wants a reset. */
int guest_wait_used(struct guest *g, struct guest_queue *q, uint32_t *len);
bool guest_needs_reset(struct guest *g);

/*
 * One request, done: 0 or the response's error as a negative errno, -ETIMEDOUT when none came. args
 * is changed in place; in, out may be NULL. *out_size: in: capacity, out: bytes.
 */
int guest_request(struct guest *g, uint32_t type, uint32_t process, uint32_t code, void *args,
		  uint32_t args_size, const void *in, uint32_t in_size, void *out,
		  uint32_t *out_size);
/* The next event, which gives its buffer back. False after timeout_ms. */
bool guest_event(struct guest *g, struct hsv_event *event, int timeout_ms);
/* The next event but for PARK, which may come between any two. */
bool guest_next_event(struct guest *g, struct hsv_event *event);

#endif
