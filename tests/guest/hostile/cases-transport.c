// SPDX-License-Identifier: GPL-2.0
/*
 * cases-transport.c - attacks on the device's registers: status and features, queue set-up,
 * notifications, configuration space, MSI-X, resets at any time.
 */
#include <linux/delay.h>
#include <linux/kthread.h>

#include "hostile.h"

#define FEATURES_OK                                                                                \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

/* 0 if FEATURES_OK does not stick with these. */
static int features_refused(struct hostile *h, u64 features)
{
	int err = device_reset(h);

	if (err)
		return err;
	set_status(h, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set_features(h, features);
	set_status(h, FEATURES_OK);
	if (device_status(h) & VIRTIO_CONFIG_S_FEATURES_OK)
		return case_fail(h, "features %#llx accepted", features);
	return 0;
}

static int bad_features(struct hostile *h)
{
	u64 good = ALL_FEATURES, offered;
	int bit, err;
	u32 select;

	iowrite32(1, &h->common->device_feature_select);
	offered = (u64)ioread32(&h->common->device_feature) << 32;
	iowrite32(0, &h->common->device_feature_select);
	offered |= ioread32(&h->common->device_feature);
	if ((offered & good) != good || !~offered)
		return case_fail(h, "offers features %#llx", offered);

	err = features_refused(h, 0);
	if (!err)
		err = features_refused(h, ~0ULL);
	if (!err)
		err = features_refused(h, good & ~BIT_ULL(VIRTIO_F_VERSION_1));
	for (bit = 0; bit < 64 && !err; bit++) {
		if (offered & BIT_ULL(bit))
			continue;
		err = features_refused(h, good | BIT_ULL(bit));
	}
	if (err)
		return err;
	/* Words that don't exist, and a change after they were agreed on. */
	for (select = 2; select; select = select < 64 ? select + 1 : select << 1) {
		iowrite32(select, &h->common->guest_feature_select);
		iowrite32(~0U, &h->common->guest_feature);
		iowrite32(select, &h->common->device_feature_select);
		if (ioread32(&h->common->device_feature))
			return case_fail(h, "offers features in word %u", select);
	}
	err = device_start(h, ALL_FEATURES);
	set_features(h, ~0ULL);
	iowrite32(0, &h->common->guest_feature_select);
	if (!err && ioread32(&h->common->guest_feature) != (u32)ALL_FEATURES)
		err = case_fail(h, "features changed after FEATURES_OK");
	return err;
}

static int bad_status(struct hostile *h)
{
	int i, err;

	for (i = 0; i < 3000; i++) {
		set_status(h, hostile_random(h));
		if (i % 7 == 0)
			kick(h, hostile_random(h) % 3);
	}
	/* Up without any queue. */
	err = device_reset(h);
	if (err)
		return err;
	set_status(h, 0xff);
	if (device_status(h) & VIRTIO_CONFIG_S_NEEDS_RESET)
		return case_fail(h, "the driver can set DEVICE_NEEDS_RESET");
	kick(h, 0);
	kick(h, 1);
	for (i = 0; i < 300; i++)
		set_status(h, i & 1 ? 0x0f : 0);
	return 0;
}

/* Every register with every width and alignment. Which queue is where is junk after that, but
 * nothing is enabled. */
static int register_junk(struct hostile *h)
{
	resource_size_t at;
	u32 i;

	for (i = 0; i < 6000; i++) {
		at = hostile_random(h) % (i % 3 ? 64 : h->bar_size - 4);
		if (at <= 20 && at + 4 > 20 &&
		    i % 16) /* the status: rarely, or nothing else lasts */
			continue;
		switch (hostile_random(h) % 6) {
		case 0:
			iowrite8(hostile_random(h), h->bar + at);
			break;
		case 1:
			iowrite16(hostile_random(h), h->bar + at);
			break;
		case 2:
			iowrite32(hostile_random(h), h->bar + at);
			break;
		case 3:
			ioread8(h->bar + at);
			break;
		case 4:
			ioread16(h->bar + at);
			break;
		default:
			ioread32(h->bar + at);
		}
	}
	return 0;
}

/* What no queue can be put at: nothing is enabled there. */
static int bad_queue_addresses(struct hostile *h)
{
	struct hostile_queue *q = &h->queues[0];
	u64 d = q->at, a = q->at + RINGS_AVAIL, u = q->at + RINGS_USED;
	const u64 bad[][3] = {
		{~0ULL, a, u},
		{~15ULL, a, u},
		{d, ~1ULL, u},
		{d, a, ~3ULL},
		{1ULL << 52, a, u},
		{1ULL << 63, a, u},
		{d, 1ULL << 52, u},
		{d, a, 1ULL << 52},
		{d + 1, a, u},
		{d + 8, a, u},
		{d, a + 1, u},
		{d, a, u + 2},
		{d, a, u + 1},
		{0xfee00000, a, u},
		{d, 0xfee00000, u},
		{d, a, 0xfee00000},
		{pci_resource_start(h->pdev, 0), a, u},
		{d, pci_resource_start(h->pdev, 0), u},
		{d, a, pci_resource_start(h->pdev, 0)},
		{h->vram_at + h->vram_size - 16, a, u},
		{d, h->doorbells_at + h->doorbells_size - 2, u},
		{d, a, h->vram_at + h->vram_size - 4},
		{0xffffffffffff0000ULL, 0xffffffffffff1000ULL, 0xffffffffffff2000ULL},
	};
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err = device_reset(h);
		if (err)
			return err;
		set_status(h, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
		set_features(h, ALL_FEATURES);
		set_status(h, FEATURES_OK);
		queue_place(h, i & 1, HSV_QUEUE_SIZE, bad[i][0], bad[i][1], bad[i][2]);
		if (ioread16(&h->common->queue_enable))
			return case_fail(h, "a queue at %#llx %#llx %#llx is enabled", bad[i][0],
					 bad[i][1], bad[i][2]);
		kick(h, i & 1);
		set_status(h, FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
		kick(h, i & 1);
	}
	return 0;
}

/* Rings in memory that exists but is no place for them: the device's own BARs, ROM, low memory,
 * each other. */
static int odd_queue_addresses(struct hostile *h)
{
	u64 d = h->area_at + AREA_JUNK;
	const u64 odd[][3] = {
		{d, d, d},
		{d, d + 16, d + 32},
		{d, d + 2048, d + 2048},
		{h->vram_at, h->vram_at + 0x1000, h->vram_at + 0x2000},
		{h->doorbells_at, h->doorbells_at + 0x1000, h->doorbells_at + 0x2000},
		{0xc0000, 0xc1000, 0xc2000},
		{0xf0000, 0xf1000, 0xf2000},
		{0xfffc0000, 0xfffc1000, 0xfffc2000},
	};
	size_t i;
	int err, j;

	for (i = 0; i < ARRAY_SIZE(odd); i++) {
		err = device_reset(h);
		if (err)
			return err;
		for (j = 0; j < 4096; j++)
			h->area[AREA_JUNK + j] = hostile_random(h);
		set_status(h, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
		set_features(h, ALL_FEATURES);
		set_status(h, FEATURES_OK);
		queue_place(h, 0, HSV_QUEUE_SIZE, odd[i][0], odd[i][1], odd[i][2]);
		queue_place(h, 1, HSV_QUEUE_SIZE, odd[i][0], odd[i][1], odd[i][2]);
		set_status(h, FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
		for (j = 0; j < 200; j++) {
			kick(h, j & 1);
			h->area[AREA_JUNK + hostile_random(h) % 4096] = hostile_random(h);
		}
	}
	return 0;
}

static int bad_queue_setup(struct hostile *h)
{
	static const u16 sizes[] = {0, 3, 255, 257, 512, 32768, 65535};
	u64 at = h->queues[0].at;
	size_t i;
	int err;

	/* Under a queue that is in use. */
	for (i = 0; i < 3; i++)
		queue_place(h, i, 8, ~0ULL, ~0ULL, ~0ULL);
	iowrite16(0, &h->common->queue_select);
	iowrite16(0, &h->common->queue_enable);
	iowrite16(2, &h->common->queue_enable);
	if (ioread16(&h->common->queue_enable) != 1 ||
	    ioread16(&h->common->queue_size) != HSV_QUEUE_SIZE ||
	    ioread32(&h->common->queue_desc_lo) != (u32)at)
		return case_fail(h, "a queue that is enabled can be changed");
	err = create_process(h, 1);
	if (err)
		return case_fail(h, "the queue in use is harmed: %d", err);
	err = device_reset(h);
	for (i = 0; i < ARRAY_SIZE(sizes) && !err; i++) {
		iowrite16(0, &h->common->queue_select);
		iowrite16(sizes[i], &h->common->queue_size);
		if (ioread16(&h->common->queue_size) != HSV_QUEUE_SIZE)
			err = case_fail(h, "size %u accepted", sizes[i]);
	}
	for (i = HSV_NUM_QUEUES; i < 65536 && !err; i += 1 + i / 8) {
		queue_place(h, i, 8, at, at, at);
		if (ioread16(&h->common->queue_size) || ioread16(&h->common->queue_enable))
			err = case_fail(h, "queue %zu exists", i);
	}
	/* Without FEATURES_OK. */
	queue_place(h, 0, HSV_QUEUE_SIZE, at, at + RINGS_AVAIL, at + RINGS_USED);
	if (!err && ioread16(&h->common->queue_enable))
		err = case_fail(h, "a queue is enabled before the features are agreed on");
	return err;
}

static int notify_absent(struct hostile *h)
{
	u32 at, round;

	for (round = 0; round < 2; round++) {
		for (at = 0; at < 4096; at += 4) {
			iowrite32(hostile_random(h), h->notify + at);
			iowrite16(at, h->notify + at);
			iowrite8(at, h->notify + at + 1);
			ioread32(h->notify + at);
		}
	}
	return 0;
}

static int kick_thread(void *data)
{
	struct hostile *h = data;
	u32 n = 0;

	while (!kthread_should_stop()) {
		kick(h, n++ % 3);
		if (n % 64 == 0)
			cond_resched();
	}
	return 0;
}

/* From all CPUs, while requests are answered. */
static int notify_storm(struct hostile *h)
{
	struct task_struct *threads[8] = {};
	unsigned int i, n = min(num_online_cpus(), 8U);
	unsigned long end = jiffies + HZ;
	int err = 0;

	for (i = 0; i < n; i++) {
		threads[i] = kthread_run(kick_thread, h, "hostile-kick");
		if (IS_ERR(threads[i]))
			threads[i] = NULL;
	}
	while (time_before(jiffies, end) && !err) {
		err = create_process(h, 3);
		if (!err)
			err = destroy_process(h, 3);
	}
	for (i = 0; i < n; i++)
		if (threads[i])
			kthread_stop(threads[i]);
	return err ? case_fail(h, "a request in a storm of notifications: %d", err) : 0;
}

/* Everything that can be written but BARs and the command register, which would take the device
 * away from us. */
static int config_space(struct hostile *h)
{
	struct pci_dev *pdev = h->pdev;
	u32 i, at;

	pci_save_state(pdev);
	for (i = 0; i < 3000; i++) {
		at = hostile_random(h) % 256;
		if ((at >= PCI_COMMAND - 3 && at < PCI_COMMAND + 4) ||
		    (at >= PCI_BASE_ADDRESS_0 - 3 && at < PCI_CARDBUS_CIS))
			continue;
		switch (hostile_random(h) % 3) {
		case 0:
			pci_write_config_byte(pdev, at, hostile_random(h));
			break;
		case 1:
			pci_write_config_word(pdev, at & ~1U, hostile_random(h));
			break;
		default:
			pci_write_config_dword(pdev, at & ~3U, hostile_random(h));
		}
	}
	/* The capability that is a window to the BARs: with offsets and lengths of all kinds. */
	for (at = pci_find_capability(pdev, PCI_CAP_ID_VNDR); at;
	     at = pci_find_next_capability(pdev, at, PCI_CAP_ID_VNDR)) {
		u8 type;
		u32 value;

		pci_read_config_byte(pdev, at + offsetof(struct virtio_pci_cap, cfg_type), &type);
		if (type != VIRTIO_PCI_CAP_PCI_CFG)
			continue;
		for (i = 0; i < 2000; i++) {
			static const u32 lengths[] = {1, 2, 4, 0, 3, 8, ~0U};

			pci_write_config_byte(pdev, at + offsetof(struct virtio_pci_cap, bar),
					      hostile_random(h) % 8);
			pci_write_config_dword(pdev, at + offsetof(struct virtio_pci_cap, offset),
					       i % 2 ? hostile_random(h) % 0x5000
						     : hostile_random(h) * hostile_random(h));
			pci_write_config_dword(pdev, at + offsetof(struct virtio_pci_cap, length),
					       lengths[hostile_random(h) % ARRAY_SIZE(lengths)]);
			if (i % 3)
				pci_read_config_dword(pdev, at + sizeof(struct virtio_pci_cap),
						      &value);
			else
				pci_write_config_dword(pdev, at + sizeof(struct virtio_pci_cap),
						       hostile_random(h));
		}
	}
	pci_restore_state(pdev);
	pci_set_master(pdev);
	return 0;
}

/*
 * One BAR to somewhere else and back. While it is decoded it moves only to where nothing else is: what it would cover there, such as the registers by which
 * another device is notified, is this guest's, not the device's affair. So a wide one goes above 4 GiB before its lower half is all ones, as when its size is asked.
 */
static void bar_moves(struct hostile *h, int bar, bool wide, bool decoded)
{
	struct pci_dev *pdev = h->pdev;
	int at = PCI_BASE_ADDRESS_0 + 4 * bar;
	u32 low, high;

	pci_read_config_dword(pdev, at, &low);
	pci_read_config_dword(pdev, at + 4, &high);
	if (wide)
		pci_write_config_dword(pdev, at + 4, decoded ? 0x40 + hostile_random(h) % 16 : hostile_random(h));
	pci_write_config_dword(pdev, at, ~0U);
	if (!decoded)
		pci_write_config_dword(pdev, at, hostile_random(h));
	if (wide)
		usleep_range(100, 2000);
	pci_write_config_dword(pdev, at, low);
	if (wide)
		pci_write_config_dword(pdev, at + 4, high);
}

/* BARs that move and decoding that stops, while requests are under way. */
static int bars_move(struct hostile *h)
{
	struct pci_dev *pdev = h->pdev;
	u16 command;
	int i, err = 0;

	pci_read_config_word(pdev, PCI_COMMAND, &command);
	for (i = 0; i < 20 && !err; i++) {
		bool decoded = !(i & 1);

		post(h, 1, HSV_REQ_TOPOLOGY, 0, 0, NULL, sizeof(struct hsv_topology_args), 0, 4096);
		kick(h, 0);
		pci_write_config_word(pdev, PCI_COMMAND, decoded ? command & ~PCI_COMMAND_MASTER : 0);
		bar_moves(h, 0, false, decoded);
		bar_moves(h, 1, false, decoded);
		bar_moves(h, 2, true, decoded);
		bar_moves(h, 4, true, decoded);
		pci_write_config_word(pdev, PCI_COMMAND, command);
		err = reap(h, 0, 1, 20000);
	}
	return err ? case_fail(h, "a request while BARs move: %d", err) : 0;
}

/* MSI-X messages that go anywhere: our memory, nothing, the device's own registers. Every vector,
 * switched on and off. */
static int msix_junk(struct hostile *h)
{
	struct pci_dev *pdev = h->pdev;
	int cap = pci_find_capability(pdev, PCI_CAP_ID_MSIX), i, err = 0;
	void __iomem *table;
	u16 flags;

	if (!cap)
		return case_fail(h, "no MSI-X");
	table = pci_iomap(pdev, 1, 0);
	if (!table)
		return -ENOMEM;
	pci_read_config_word(pdev, cap + PCI_MSIX_FLAGS, &flags);
	for (i = 0; i < 2; i++)
		h->queues[i].avail->flags = 0; /* interrupts, please */
	for (i = 0; i < 300 && !err; i++) {
		const u64 targets[] = {h->area_at + AREA_JUNK + 0x8000, 1ULL << 44, 0xdead0000,
				       h->vram_at, h->doorbells_at};
		u64 target =
			targets[hostile_random(h) % ARRAY_SIZE(targets)] + hostile_random(h) % 4096;
		u32 entry = hostile_random(h) % 4;

		iowrite16(hostile_random(h) % 5, &h->common->msix_config);
		iowrite16(i & 1, &h->common->queue_select);
		iowrite16(hostile_random(h) % 5, &h->common->queue_msix_vector);
		iowrite32((u32)target, table + entry * 16);
		iowrite32((u32)(target >> 32), table + entry * 16 + 4);
		iowrite32(hostile_random(h), table + entry * 16 + 8);
		iowrite32(hostile_random(h) & 1, table + entry * 16 + 12);
		iowrite32(hostile_random(h), table + 0x800 + hostile_random(h) % 64 * 4);
		pci_write_config_word(pdev, cap + PCI_MSIX_FLAGS,
				      (hostile_random(h) & PCI_MSIX_FLAGS_MASKALL) |
					      (i % 3 ? PCI_MSIX_FLAGS_ENABLE : 0));
		if (i % 5 == 0)
			err = create_process(h, 9) ?: destroy_process(h, 9);
	}
	pci_write_config_word(pdev, cap + PCI_MSIX_FLAGS, flags);
	pci_iounmap(pdev, table);
	return err ? case_fail(h, "a request with junk in the MSI-X table: %d", err) : 0;
}

/* In the middle of everything: requests of all kinds under way, kernels that run, notifications. */
static int reset_storm(struct hostile *h)
{
	int i, slot, err;

	for (i = 0; i < 40; i++) {
		err = device_start(h, ALL_FEATURES);
		if (!err)
			err = gpu_process(h, 2);
		if (!err)
			err = gpu_queue(h, 2);
		if (err)
			return case_fail(h, "round %d: %d", i, err);
		gpu_dispatch(h, i & 1 ? GPU_SPINS : GPU_ENDS, 0);
		for (slot = 0; slot < SLOTS; slot++) {
			struct hsv_process_args args = {.comm = "reset"};

			if (slot % 4 == 3)
				post(h, slot, HSV_REQ_TOPOLOGY, 0, 0, NULL,
				     sizeof(struct hsv_topology_args), 0, 65536);
			else
				post(h, slot,
				     slot % 4 == 2 ? HSV_REQ_PROCESS_DESTROY
						   : HSV_REQ_PROCESS_CREATE,
				     hostile_random(h) % 4, 0, &args, sizeof(args), 0, 0);
		}
		kick(h, 0);
		if (i % 3)
			udelay(hostile_random(h) % 3000);
		err = device_reset(h);
		if (err)
			return err;
	}
	return 0;
}

const struct hostile_case transport_cases[] = {
	{"bad-features", bad_features, ANYTHING},
	{"bad-status", bad_status, ANYTHING},
	{"register-junk", register_junk, ANYTHING},
	{"bad-queue-addresses", bad_queue_addresses, ANYTHING},
	{"odd-queue-addresses", odd_queue_addresses, ANYTHING},
	{"bad-queue-setup", bad_queue_setup, ANYTHING},
	{"notify-absent-queues", notify_absent, SERVES},
	{"notify-storm", notify_storm, SERVES},
	{"config-space", config_space, ANYTHING},
	{"bars-move", bars_move, SERVES},
	{"msix-junk", msix_junk, SERVES},
	{"reset-storm", reset_storm, ANYTHING},
	{},
};
