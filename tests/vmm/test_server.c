// SPDX-License-Identifier: MIT
/*
 * test_server.c - the vfio-user protocol from outside, bad input first: each wrong message gets an
 * error or the door, and after each the server still serves a right client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/vmm/client.h"
#include "tests/vmm/harness.h"
#include "vmm/pci.h"

static int sock;

static int setup(void **state)
{
	sock = client_connect(harness_socket);
	return sock < 0 ? -1 : 0;
}

static int setup_negotiated(void **state)
{
	return setup(state) || client_version(sock) < 0 ? -1 : 0;
}

/* Whatever happened to this client, the next one is served. */
static int teardown(void **state)
{
	uint16_t vendor = 0;
	int ret;

	if (sock >= 0)
		close(sock);
	sock = client_connect(harness_socket);
	ret = client_version(sock) < 0 ||
	      client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, 0, &vendor, 2) ||
	      vendor != HSV_PCI_VENDOR_ID;
	close(sock);
	return ret;
}

static void assert_gone(void)
{
	char byte;
	struct pollfd p = {.fd = sock, .events = POLLIN};

	while (poll(&p, 1, CLIENT_TIMEOUT_MS) == 1 && recv(sock, &byte, 1, 0) > 0)
		;
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_true(recv(sock, &byte, 1, 0) <= 0);
}

static void send_header(unsigned command, uint32_t size, uint32_t flags)
{
	struct vfio_user_header header = {1, (uint16_t)command, size, flags, 0};

	assert_int_equal(client_send_raw(sock, &header, sizeof(header), NULL, 0), 0);
}

static int call(unsigned command, const void *payload, size_t size)
{
	uint8_t reply[70000];

	return client_call(sock, command, payload, size, NULL, 0, reply, sizeof(reply), NULL);
}

/* ---- Framing and version ---- */

static void truncated_header_then_hangup(void **state)
{
	uint8_t part[7] = {1};

	assert_int_equal(client_send_raw(sock, part, sizeof(part), NULL, 0), 0);
}

static void header_in_single_bytes(void **state)
{
	struct vfio_user_version version = {0, 0};
	struct vfio_user_header header = {7, VFIO_USER_VERSION, sizeof(header) + sizeof(version), 0,
					  0};
	uint8_t message[sizeof(header) + sizeof(version)], reply[512];

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), &version, sizeof(version));
	for (size_t i = 0; i < sizeof(message); i++)
		assert_int_equal(client_send_raw(sock, message + i, 1, NULL, 0), 0);
	assert_true(client_receive(sock, &header, reply, sizeof(reply), NULL) > 4);
	assert_int_equal(header.id, 7);
}

static void size_below_header(void **state)
{
	send_header(VFIO_USER_VERSION, 15, 0);
	assert_gone();
}

static void size_huge(void **state)
{
	send_header(VFIO_USER_VERSION, UINT32_MAX, 0);
	assert_gone();
}

static void reply_as_request(void **state)
{
	send_header(VFIO_USER_DEVICE_RESET, 16, VFIO_USER_TYPE_REPLY);
	assert_gone();
}

static void message_before_version(void **state)
{
	assert_int_equal(call(VFIO_USER_DEVICE_RESET, NULL, 0), -EINVAL);
	assert_gone();
}

static void wrong_major(void **state)
{
	struct vfio_user_version version = {1, 0};

	assert_int_equal(call(VFIO_USER_VERSION, &version, sizeof(version)), -EINVAL);
	assert_gone();
}

static void version_json_wrong(void **state)
{
	static const char *const texts[] = {
		"{",
		"[]",
		"{\"capabilities\":3}",
		"",
		"\xff\xfe",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t payload[256] = {0};

		strcpy((char *)payload + 4, texts[i]);
		assert_int_equal(call(VFIO_USER_VERSION, payload, 4 + strlen(texts[i]) + 1),
				 -EINVAL);
		assert_gone();
		close(sock);
		sock = client_connect(harness_socket);
	}
	assert_int_equal(call(VFIO_USER_VERSION, "\0\0\0\0{}", 6), -EINVAL); /* not terminated */
	assert_gone();
}

static void version_twice(void **state)
{
	struct vfio_user_version version = {0, 0};

	assert_true(call(VFIO_USER_VERSION, &version, sizeof(version)) > 0);
	assert_int_equal(call(VFIO_USER_VERSION, &version, sizeof(version)), -EINVAL);
	assert_gone();
}

static void version_higher_minor(void **state)
{
	struct vfio_user_version version = {0, 9};
	uint8_t reply[512];

	assert_true(client_call(sock, VFIO_USER_VERSION, &version, sizeof(version), NULL, 0, reply,
				sizeof(reply), NULL) > 4);
	memcpy(&version, reply, sizeof(version));
	assert_int_equal(version.major, 0);
	assert_int_equal(version.minor, 0);
	assert_string_equal(strstr((char *)reply + 4, "max_msg_fds"),
			    "max_msg_fds\":8,\"max_data_xfer_size\":65536,\"max_dma_maps\":1024,"
			    "\"pgsizes\":4096}}");
}

static void too_many_fds(void **state)
{
	int fds[16];
	struct vfio_user_header header = {1, VFIO_USER_DEVICE_RESET, 16, 0, 0};
	unsigned before = harness_count_fds();

	for (unsigned i = 0; i < 16; i++)
		fds[i] = 0;
	client_send_raw(sock, &header, sizeof(header), fds, 16);
	assert_gone();
	/* The server's end of this connection goes, too, somewhat later. */
	for (unsigned i = 0; i < CLIENT_TIMEOUT_MS && harness_count_fds() != before - 1; i++)
		usleep(1000);
	assert_int_equal(harness_count_fds(), before - 1);
}

static void second_client(void **state)
{
	int second = client_connect(harness_socket);
	struct pollfd p = {.fd = second, .events = POLLIN};
	char byte;

	assert_true(second >= 0);
	assert_int_equal(poll(&p, 1, CLIENT_TIMEOUT_MS), 1);
	assert_true(recv(second, &byte, 1, 0) <= 0);
	close(second);
	assert_int_equal(call(VFIO_USER_DEVICE_RESET, NULL, 0), 0);
}

/* ---- Commands ---- */

static void unknown_commands(void **state)
{
	static const unsigned commands[] = {
		0, VFIO_USER_REGION_WRITE_MULTI, 11, 12, 14, 16, 17, 18, 999, 65535};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_int_equal(call(commands[i], "abcdefgh", 8), -ENOTSUP);
}

static void payloads_of_all_sizes(void **state)
{
	static const unsigned right[] = {0, 0, 32, 24, 16, 32, 16, 16, 20};
	uint8_t payload[64] = {0};

	for (unsigned command = VFIO_USER_DMA_MAP; command <= VFIO_USER_DEVICE_SET_IRQS; command++)
		for (size_t size = 0; size < sizeof(payload); size++)
			if (size != right[command])
				assert_int_equal(call(command, payload, size), -EINVAL);
	for (size_t size = 0; size < 40; size++) {
		assert_int_equal(call(VFIO_USER_REGION_READ, payload, size), -EINVAL);
		assert_int_equal(call(VFIO_USER_REGION_WRITE, payload, size), -EINVAL);
	}
	assert_int_equal(call(VFIO_USER_DEVICE_RESET, payload, 1), -EINVAL);
}

static void fds_where_none_belong(void **state)
{
	unsigned before = harness_count_fds();
	uint32_t info[4] = {16};
	int fd = 0;

	assert_int_equal(client_call(sock, VFIO_USER_DEVICE_GET_INFO, info, sizeof(info), &fd, 1,
				     NULL, 0, NULL),
			 -EINVAL);
	assert_int_equal(harness_count_fds(), before);
}

static void device_info(void **state)
{
	uint32_t info[4] = {16}, small[4] = {8};

	assert_int_equal(call(VFIO_USER_DEVICE_GET_INFO, small, sizeof(small)), -EINVAL);
	assert_int_equal(client_call(sock, VFIO_USER_DEVICE_GET_INFO, info, sizeof(info), NULL, 0,
				     info, sizeof(info), NULL),
			 16);
	assert_int_equal(info[1], VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
	assert_int_equal(info[2], VFIO_PCI_NUM_REGIONS);
	assert_int_equal(info[3], VFIO_PCI_NUM_IRQS);
}

static void region_info(void **state)
{
	static const uint64_t sizes[VFIO_PCI_NUM_REGIONS] = {
		0x4000, 0x1000, HARNESS_VRAM, 0, 2u << 20, 0, 0, 256, 0};
	struct vfio_region_info info, reply[4];
	int fd;

	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		bool mapped = i == PCI_BAR_VRAM || i == PCI_BAR_DOORBELLS;

		info = (struct vfio_region_info){.argsz = sizeof(reply), .index = i};
		assert_true(client_call(sock, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info),
					NULL, 0, reply, sizeof(reply), &fd) >= 32);
		assert_int_equal(reply[0].size, sizes[i]);
		assert_int_equal(fd >= 0, mapped);
		assert_int_equal(!!(reply[0].flags & VFIO_REGION_INFO_FLAG_MMAP), mapped);
		if (fd >= 0) {
			struct vfio_region_info_cap_sparse_mmap *sparse = (void *)&reply[1];

			assert_int_equal(reply[0].cap_offset, sizeof(info));
			assert_int_equal(sparse->nr_areas, 1);
			assert_int_equal(sparse->areas[0].offset, 0);
			assert_int_equal(sparse->areas[0].size, sizes[i]);
			close(fd);
		}
		/* Asked with too little room: told how much is needed. */
		info = (struct vfio_region_info){.argsz = sizeof(info), .index = i};
		assert_int_equal(client_call(sock, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					     sizeof(info), NULL, 0, reply, sizeof(reply), &fd),
				 32);
		assert_int_equal(reply[0].argsz, mapped ? 64 : 32);
		assert_int_equal(fd, -1);
	}
	info = (struct vfio_region_info){.argsz = sizeof(info), .index = VFIO_PCI_NUM_REGIONS};
	assert_int_equal(call(VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)), -EINVAL);
	info = (struct vfio_region_info){.argsz = 31, .index = 0};
	assert_int_equal(call(VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)), -EINVAL);
}

static void region_io_fds(void **state)
{
	uint32_t info[4] = {16, 0, 0, 0};

	assert_int_equal(client_call(sock, VFIO_USER_DEVICE_GET_REGION_IO_FDS, info, sizeof(info),
				     NULL, 0, info, sizeof(info), NULL),
			 16);
	assert_int_equal(info[3], 0);
	info[2] = 100;
	assert_int_equal(call(VFIO_USER_DEVICE_GET_REGION_IO_FDS, info, sizeof(info)), -EINVAL);
}

static void irq_info(void **state)
{
	static const int counts[] = {0, 0, 3};

	for (unsigned i = 0; i < 8; i++) {
		struct vfio_irq_info info = {.argsz = sizeof(info), .index = i};
		int ret = client_call(sock, VFIO_USER_DEVICE_GET_IRQ_INFO, &info, sizeof(info),
				      NULL, 0, &info, sizeof(info), NULL);

		if (i > 2) {
			assert_int_equal(ret, -EINVAL);
			continue;
		}
		assert_int_equal(ret, sizeof(info));
		assert_int_equal(info.count, counts[i]);
	}
}

static int set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count, const int *fds,
		    unsigned num_fds)
{
	struct vfio_irq_set set = {sizeof(set), flags, index, start, count};

	return client_call(sock, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), fds, num_fds, NULL,
			   0, NULL);
}

static void set_irqs_wrong(void **state)
{
	const uint32_t eventfds = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		       msix = VFIO_PCI_MSIX_IRQ_INDEX;
	unsigned before = harness_count_fds();
	int fds[4] = {0, 0, 0, 0};

	assert_int_equal(set_irqs(eventfds, 5, 0, 1, fds, 1), -EINVAL);
	assert_int_equal(set_irqs(eventfds, msix, 0, 4, fds, 4), -EINVAL);
	assert_int_equal(set_irqs(eventfds, msix, 3, 1, fds, 1), -EINVAL);
	assert_int_equal(set_irqs(eventfds, msix, 1, UINT32_MAX, fds, 1), -EINVAL);
	assert_int_equal(set_irqs(eventfds, msix, UINT32_MAX, 2, fds, 2), -EINVAL);
	assert_int_equal(set_irqs(eventfds, msix, 0, 3, fds, 2), -EINVAL);
	assert_int_equal(set_irqs(eventfds, msix, 0, 0, fds, 1), -EINVAL);
	assert_int_equal(set_irqs(eventfds, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, fds, 1), -EINVAL);
	assert_int_equal(set_irqs(eventfds | VFIO_IRQ_SET_DATA_NONE, msix, 0, 1, fds, 1), -EINVAL);
	assert_int_equal(
		set_irqs(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, msix, 0, 1, fds, 1),
		-EINVAL);
	assert_int_equal(
		set_irqs(VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER, msix, 0, 1, NULL, 0),
		-EINVAL); /* no data */
	assert_int_equal(
		set_irqs(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, msix, 0, 1, NULL, 0),
		-ENOTSUP);
	assert_int_equal(set_irqs(0x4000 | eventfds, msix, 0, 1, fds, 1), -EINVAL);
	assert_int_equal(harness_count_fds(), before);
}

static void set_irqs_right(void **state)
{
	const uint32_t none = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		       msix = VFIO_PCI_MSIX_IRQ_INDEX;
	unsigned before = harness_count_fds();
	int fds[3];
	uint64_t count;

	for (unsigned i = 0; i < 3; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(set_irqs(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, msix, 0,
				  3, fds, 3),
			 0);
	assert_int_equal(harness_count_fds(), before + 6);
	assert_int_equal(set_irqs(none, msix, 1, 1, NULL, 0), 0);
	assert_int_equal(read(fds[0], &count, 8), -1);
	assert_int_equal(read(fds[1], &count, 8), 8);
	assert_int_equal(count, 1);
	assert_int_equal(client_set_irq(sock, 1, -1), 0);
	assert_int_equal(set_irqs(none, msix, 1, 1, NULL, 0), 0);
	assert_int_equal(read(fds[1], &count, 8), -1);
	assert_int_equal(harness_count_fds(), before + 5);
	assert_int_equal(set_irqs(none, msix, 0, 0, NULL, 0), 0); /* disable */
	assert_int_equal(harness_count_fds(), before + 3);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

static void accesses_out_of_range(void **state)
{
	uint8_t data[64] = {0};

	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, 256, data, 1), -EINVAL);
	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, 255, data, 2), -EINVAL);
	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, UINT64_MAX, data, 2),
			 -EINVAL);
	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, 0, data, 0), -EINVAL);
	assert_int_equal(client_read(sock, 3, 0, data, 1), -EINVAL);
	assert_int_equal(client_read(sock, 77, 0, data, 1), -EINVAL);
	assert_int_equal(client_read(sock, PCI_BAR_VIRTIO, 0x4000, data, 4), -EINVAL);
	assert_int_equal(client_read(sock, PCI_BAR_VIRTIO, 0xffe, data, 4),
			 -EINVAL); /* across two kinds of registers */
	assert_int_equal(client_write(sock, PCI_BAR_VRAM, HARNESS_VRAM - 4, data, 8), -EINVAL);
	assert_int_equal(client_write(sock, PCI_BAR_DOORBELLS, UINT64_MAX - 3, data, 8), -EINVAL);
	assert_int_equal(client_write(sock, VFIO_PCI_ROM_REGION_INDEX, 0, data, 4), -EINVAL);
}

static void access_count_huge(void **state)
{
	struct vfio_user_region_access access = {0, PCI_BAR_VRAM, 65537};

	assert_int_equal(call(VFIO_USER_REGION_READ, &access, sizeof(access)), -EINVAL);
	access.count = UINT32_MAX;
	assert_int_equal(call(VFIO_USER_REGION_READ, &access, sizeof(access)), -EINVAL);
}

static void write_count_is_not_the_data(void **state)
{
	struct {
		struct vfio_user_region_access access;
		uint8_t data[8];
	} write = {{0, PCI_BAR_VRAM, 9}, {0}};

	assert_int_equal(call(VFIO_USER_REGION_WRITE, &write, sizeof(write)), -EINVAL);
	write.access.count = 7;
	assert_int_equal(call(VFIO_USER_REGION_WRITE, &write, sizeof(write)), -EINVAL);
}

static void every_register_byte(void **state)
{
	uint8_t ones = 0xff, data;

	/* Not a crash and not a hang; then a reset makes it whole. */
	for (uint64_t i = 0; i < 0x4000; i += i < 0x100 ? 1 : 0x41)
		assert_int_equal(client_write(sock, PCI_BAR_VIRTIO, i, &ones, 1), 0);
	for (uint64_t i = 0; i < 0x4000; i += i < 0x100 ? 1 : 0x41)
		assert_int_equal(client_read(sock, PCI_BAR_VIRTIO, i, &data, 1), 0);
	for (uint64_t i = 0; i < 256; i++)
		assert_int_equal(client_write(sock, VFIO_PCI_CONFIG_REGION_INDEX, i, &ones, 1), 0);
	assert_int_equal(call(VFIO_USER_DEVICE_RESET, NULL, 0), 0);
}

static void no_reply(void **state)
{
	uint16_t vendor = 0;

	send_header(VFIO_USER_DEVICE_RESET, 16, VFIO_USER_NO_REPLY);
	send_header(999, 16, VFIO_USER_NO_REPLY);
	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, 0, &vendor, 2),
			 0); /* gets its own answer */
	assert_int_equal(vendor, HSV_PCI_VENDOR_ID);
}

/* ---- DMA ---- */

static int make_file(uint64_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void dma_map_wrong(void **state)
{
	unsigned before = harness_count_fds();
	int fd = make_file(0x10000), pipe_fds[2];
	struct vfio_user_dma_map map = {31, 3, 0, 0, 4096};

	assert_int_equal(client_dma_map(sock, 0, 0, fd, 0), -EINVAL);
	assert_int_equal(client_dma_map(sock, 1, 4096, fd, 0), -EINVAL);
	assert_int_equal(client_dma_map(sock, 0, 4095, fd, 0), -EINVAL);
	assert_int_equal(client_dma_map(sock, 0, 4096, fd, 1), -EINVAL);
	assert_int_equal(client_dma_map(sock, 0, 0x11000, fd, 0), -EINVAL);
	assert_int_equal(client_dma_map(sock, 0, 0x10000, fd, 0x1000), -EINVAL);
	assert_int_equal(client_dma_map(sock, 0, 4096, fd, UINT64_C(1) << 63), -EINVAL);
	assert_int_equal(client_dma_map(sock, UINT64_C(0) - 4096, 8192, fd, 0), -EINVAL);
	assert_int_equal(client_dma_map(sock, 0, UINT64_MAX & ~UINT64_C(4095), fd, 0), -EINVAL);
	assert_int_equal(
		client_call(sock, VFIO_USER_DMA_MAP, &map, sizeof(map), &fd, 1, NULL, 0, NULL),
		-EINVAL); /* argsz */
	map.argsz = sizeof(map);
	map.flags = 8;
	assert_int_equal(
		client_call(sock, VFIO_USER_DMA_MAP, &map, sizeof(map), &fd, 1, NULL, 0, NULL),
		-EINVAL);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(client_dma_map(sock, 0, 4096, pipe_fds[0], 0), -EINVAL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(fd);
	assert_int_equal(harness_count_fds(), before);
}

static void dma_overlaps(void **state)
{
	int fd = make_file(0x10000);

	assert_int_equal(client_dma_map(sock, 0x10000, 0x4000, fd, 0), 0);
	assert_int_equal(client_dma_map(sock, 0x10000, 0x4000, fd, 0), -EEXIST);
	assert_int_equal(client_dma_map(sock, 0xf000, 0x2000, fd, 0), -EEXIST);
	assert_int_equal(client_dma_map(sock, 0x13000, 0x2000, fd, 0), -EEXIST);
	assert_int_equal(client_dma_map(sock, 0x11000, 0x1000, fd, 0), -EEXIST);
	assert_int_equal(client_dma_map(sock, 0xf000, 0x10000, -1, 0), -EEXIST);
	assert_int_equal(client_dma_map(sock, 0xf000, 0x1000, fd, 0), 0);
	assert_int_equal(client_dma_map(sock, 0x14000, 0x1000, -1, 0), 0);
	assert_int_equal(client_dma_unmap(sock, 0x10000, 0x3000), -ENOENT);
	assert_int_equal(client_dma_unmap(sock, 0x11000, 0x3000), -ENOENT);
	assert_int_equal(client_dma_unmap(sock, 0x50000, 0x1000), -ENOENT);
	assert_int_equal(client_dma_unmap(sock, 0x10000, 0x4000), 0);
	assert_int_equal(client_dma_map(sock, 0x10000, 0x4000, fd, 0xc000), 0);
	close(fd);
}

static void dma_table_full_and_unmap_all(void **state)
{
	struct vfio_user_dma_unmap all = {sizeof(all), VFIO_USER_UNMAP_ALL, 0, 0}, reply;

	for (uint64_t i = 0; i < 1024; i++)
		assert_int_equal(client_dma_map(sock, i * 8192, 4096, -1, 0), 0);
	assert_int_equal(client_dma_map(sock, 1u << 30, 4096, -1, 0), -ENOSPC);
	assert_int_equal(client_call(sock, VFIO_USER_DMA_UNMAP, &all, sizeof(all), NULL, 0, &reply,
				     sizeof(reply), NULL),
			 sizeof(reply));
	assert_int_equal(client_dma_map(sock, 0, 1u << 30, -1, 0), 0);
}

/* ---- What QEMU does ---- */

static unsigned find_cap(const uint8_t *config, uint8_t type, uint8_t id)
{
	unsigned steps = 0;

	for (unsigned at = config[PCI_CAPABILITY_LIST]; at; at = config[at + 1]) {
		assert_true(at % 4 == 0 && at >= 64 && ++steps < 48);
		if (type == 0 && config[at] == PCI_CAP_ID_MSIX)
			return at;
		if (config[at] == PCI_CAP_ID_VNDR && config[at + 3] == type && config[at + 5] == id)
			return at;
	}
	return 0;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static void config_space(void **state)
{
	uint8_t config[256];
	unsigned at;

	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, 0, config, 256), 0);
	assert_int_equal(get32(config), 0x107e1af4);
	assert_int_equal(get32(config + 8), 0x12000001);
	assert_int_equal(config[PCI_HEADER_TYPE], 0);
	assert_int_equal(config[PCI_INTERRUPT_PIN], 0);
	assert_int_equal(get32(config + PCI_BASE_ADDRESS_2) & 0xf, 0xc);
	assert_int_equal(get32(config + PCI_BASE_ADDRESS_4) & 0xf, 0xc);
	at = find_cap(config, 0, 0);
	assert_true(at);
	assert_int_equal(config[at + 2], 2); /* 3 vectors */
	for (unsigned type = 1; type <= 5; type++)
		assert_true(find_cap(config, (uint8_t)type, 0));
	at = find_cap(config, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, HSV_SHM_VRAM);
	assert_int_equal(config[at + 2], 24);
	assert_int_equal(config[at + 4], PCI_BAR_VRAM);
	assert_int_equal(get32(config + at + 12), HARNESS_VRAM);
	assert_int_equal(get32(config + at + 20), 0);
	at = find_cap(config, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, HSV_SHM_DOORBELLS);
	assert_int_equal(config[at + 4], PCI_BAR_DOORBELLS);
	assert_int_equal(get32(config + at + 12), 2u << 20);
}

static void bar_sizing(void **state)
{
	static const uint32_t masks[6] = {0xffffc000, 0xfffff000, 0xff00000c,
					  0xffffffff, 0xffe0000c, 0xffffffff};
	uint32_t ones = UINT32_MAX, value;

	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(client_write(sock, VFIO_PCI_CONFIG_REGION_INDEX,
					      PCI_BASE_ADDRESS_0 + 4 * i, &ones, 4),
				 0);
		assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX,
					     PCI_BASE_ADDRESS_0 + 4 * i, &value, 4),
				 0);
		assert_int_equal(value, masks[i]);
	}
	assert_int_equal(client_write(sock, VFIO_PCI_CONFIG_REGION_INDEX, 0, &ones, 4), 0);
	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, 0, &value, 4), 0);
	assert_int_equal(value, 0x107e1af4);
	value = 0x407;
	assert_int_equal(client_write(sock, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &value, 2),
			 0);
	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &value, 2),
			 0);
	assert_int_equal(value & 0xffff, 0x406); /* no I/O space */
}

static void registers_through_the_window(void **state)
{
	uint8_t config[256], bar = PCI_BAR_VIRTIO;
	uint32_t offset = VIRTIO_BAR_DEVICE, length = 4, value;
	unsigned at;

	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, 0, config, 256), 0);
	at = find_cap(config, VIRTIO_PCI_CAP_PCI_CFG, 0);
	assert_int_equal(client_write(sock, VFIO_PCI_CONFIG_REGION_INDEX, at + 4, &bar, 1), 0);
	assert_int_equal(client_write(sock, VFIO_PCI_CONFIG_REGION_INDEX, at + 8, &offset, 4), 0);
	assert_int_equal(client_write(sock, VFIO_PCI_CONFIG_REGION_INDEX, at + 12, &length, 4), 0);
	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, at + 16, &value, 4), 0);
	assert_int_equal(value, HSV_ABI_VERSION);
	bar = 200;
	assert_int_equal(client_write(sock, VFIO_PCI_CONFIG_REGION_INDEX, at + 4, &bar, 1), 0);
	assert_int_equal(client_read(sock, VFIO_PCI_CONFIG_REGION_INDEX, at + 16, &value, 4), 0);
}

static void memory_regions(void **state)
{
	static const char text[] = "both ways";
	struct vfio_region_info info = {.argsz = 64, .index = PCI_BAR_VRAM};
	uint8_t reply[64], data[sizeof(text)];
	int fd;
	char *vram;

	assert_int_equal(client_call(sock, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info),
				     NULL, 0, reply, sizeof(reply), &fd),
			 64);
	vram = mmap(NULL, HARNESS_VRAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(vram, MAP_FAILED);
	assert_int_equal(client_write(sock, PCI_BAR_VRAM, 12345, text, sizeof(text)), 0);
	assert_string_equal(vram + 12345, text);
	strcpy(vram + 54321, text);
	assert_int_equal(client_read(sock, PCI_BAR_VRAM, 54321, data, sizeof(data)), 0);
	assert_string_equal((char *)data, text);
	memset(vram + 12345, 0, sizeof(text));
	memset(vram + 54321, 0, sizeof(text));
	munmap(vram, HARNESS_VRAM);
	close(fd);
}

static void reconnect_100_times(void **state)
{
	unsigned before;
	int fd = make_file(1u << 20);

	for (unsigned i = 0; i <= 100; i++) {
		close(sock);
		setup_negotiated(state);
		assert_int_equal(client_dma_map(sock, 0, 1u << 20, fd, 0), 0);
		assert_int_equal(client_set_irq(sock, i % 3, fd), 0);
		if (i == 0)
			before = harness_count_fds();
	}
	assert_int_equal(harness_count_fds(), before);
	close(fd);
}

/* The same every time, so that a failure can be repeated. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void random_messages(void **state)
{
	static const uint64_t numbers[] = {0,  1,    2,	   3,	     7,		 16,
					   32, 4095, 4096, 1u << 20, UINT32_MAX, UINT64_MAX};
	uint8_t message[16 + 96];
	uint32_t seed = 1;
	unsigned before = 0;

	for (unsigned i = 0; i < 5000; i++) {
		struct vfio_user_header header = {.id = (uint16_t)i};
		size_t size = next_random(&seed) % 12 * 8;
		struct pollfd p = {.fd = sock, .events = POLLIN};
		int fds[3] = {0, 0, 0};
		ssize_t n;

		for (size_t k = 0; k < size; k += 4) {
			uint64_t number = numbers[next_random(&seed) %
						  (sizeof(numbers) / sizeof(numbers[0]))];

			if (next_random(&seed) % 8 == 0)
				number = next_random(&seed);
			memcpy(message + 16 + k, &number, 4);
		}
		header.command = (uint16_t)(next_random(&seed) % VFIO_USER_NUM_COMMANDS);
		header.size = (uint32_t)(16 + size);
		header.flags = next_random(&seed) % 64 ? VFIO_USER_NO_REPLY : next_random(&seed);
		memcpy(message, &header, sizeof(header));
		if (client_send_raw(sock, message, 16 + size, fds, next_random(&seed) % 4) == 0 &&
		    header.flags == VFIO_USER_NO_REPLY && header.command != VFIO_USER_VERSION)
			continue;
		/* It may have answered, or hung up; whatever it was, it takes a new client. */
		n = poll(&p, 1, 20) > 0 ? recv(sock, message, sizeof(message), MSG_DONTWAIT) : 0;
		(void)n;
		close(sock);
		assert_int_equal(setup_negotiated(state), 0);
		if (!before)
			before = harness_count_fds();
	}
	close(sock);
	assert_int_equal(setup_negotiated(state), 0);
	assert_int_equal(harness_count_fds(), before);
}

static void socket_is_taken_or_stale(void **state)
{
	struct vfio_user_server *other;
	char path[200], longer[200];
	FILE *f;

	assert_int_equal(
		vfio_user_server_open(harness_socket, &hsv_device_vfio_ops, harness_device, &other),
		-EADDRINUSE);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	assert_int_equal(
		vfio_user_server_open(longer, &hsv_device_vfio_ops, harness_device, &other),
		-ENAMETOOLONG);
	assert_int_equal(vfio_user_server_open("/nonexistent/socket", &hsv_device_vfio_ops,
					       harness_device, &other),
			 -ENOENT);
	/* A plain file isn't ours to remove. */
	snprintf(path, sizeof(path), "%s.file", harness_socket);
	f = fopen(path, "w");
	fclose(f);
	assert_int_equal(vfio_user_server_open(path, &hsv_device_vfio_ops, harness_device, &other),
			 -EADDRINUSE);
	unlink(path);
}

/* A client may come at the moment the one before leaves (QEMU's reset does): its end is seen first. */
static void next_client_at_once(void **state)
{
	for (unsigned i = 0; i < 3000; i++) {
		int fd = client_connect(harness_socket);

		assert_true(fd >= 0);
		assert_true(client_version(fd) >= 0);
		close(fd);
	}
}

#define RAW(f)	      cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NEGOTIATED(f) cmocka_unit_test_setup_teardown(f, setup_negotiated, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW(truncated_header_then_hangup),
		RAW(header_in_single_bytes),
		cmocka_unit_test(next_client_at_once),
		RAW(size_below_header),
		RAW(size_huge),
		RAW(reply_as_request),
		RAW(message_before_version),
		RAW(wrong_major),
		RAW(version_json_wrong),
		RAW(version_twice),
		RAW(version_higher_minor),
		NEGOTIATED(too_many_fds),
		NEGOTIATED(second_client),
		NEGOTIATED(unknown_commands),
		NEGOTIATED(payloads_of_all_sizes),
		NEGOTIATED(fds_where_none_belong),
		NEGOTIATED(device_info),
		NEGOTIATED(region_info),
		NEGOTIATED(region_io_fds),
		NEGOTIATED(irq_info),
		NEGOTIATED(set_irqs_wrong),
		NEGOTIATED(set_irqs_right),
		NEGOTIATED(accesses_out_of_range),
		NEGOTIATED(access_count_huge),
		NEGOTIATED(write_count_is_not_the_data),
		NEGOTIATED(every_register_byte),
		NEGOTIATED(no_reply),
		NEGOTIATED(dma_map_wrong),
		NEGOTIATED(dma_overlaps),
		NEGOTIATED(dma_table_full_and_unmap_all),
		NEGOTIATED(config_space),
		NEGOTIATED(bar_sizing),
		NEGOTIATED(registers_through_the_window),
		NEGOTIATED(memory_regions),
		NEGOTIATED(reconnect_100_times),
		NEGOTIATED(random_messages),
		NEGOTIATED(socket_is_taken_or_stale),
	};

	return cmocka_run_group_tests_name("vmm server", tests, harness_start, harness_stop);
}
