// SPDX-License-Identifier: MIT
/*
 * fuzz_virtio.c - a hostile guest driver: virtio registers, virtqueues and requests of abi/hsavisor.h to the real device
 * with its workers, the real core and the software GPU.
 *
 * Input: a list of acts. Most are requests, of any type, with arguments from a template, some bytes changed, in a chain
 * that is cut into descriptors as the input says (several, indirect, in a loop, wrong). Others write raw bytes anywhere in
 * the guest's memory, where the rings are too, write or read registers, plug and unplug memory, reset the device.
 * What must hold: the device answers or asks for a reset, and when the client is gone so is all it had.
 */
#include "fuzz/input.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/device_internal.h"

#define VRAM	 (2u << 20)
#define RAM	 (256u << 10) /* guest-physical 0 */
#define MORE	 (64u << 10)  /* behind it, of another file */
#define MAX_ACTS 48

/* Places in the guest's memory. */
enum { CONTROL_RINGS = 0, EVENT_RINGS = 0x3000, EVENTS = 0x6000, BODIES = 0x8000, DATA = 0x20000 };
#define BODY_BYTES 0x400
#define NUM_BODIES 64
#define SIZE	   256 /* of the queues */

static struct hsv_device *dev;
#define NUM_GPUS 2
static struct gpu *gpus[NUM_GPUS];
static struct arbiter_counters counters;
static int ram_fd, more_fd;
static uint8_t *ram;

static struct guest {
	uint16_t avail, event_avail, next_desc, next_body, next_event;
	uint64_t handles[8];
	unsigned next_handle;
	bool indirect;
} g;

static int make_file(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	MUST(fd >= 0 && !ftruncate(fd, (off_t)size));
	return fd;
}

static void clean_up(void)
{
	hsv_device_close(dev);
	for (int i = 0; i < NUM_GPUS; i++)
		gpu_close(gpus[i]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct gpu_config gpu_configs[NUM_GPUS] = {{.target = "gfx90a", .threads = 1}, {.target = "gfx900", .threads = 1}};
	struct hsv_device_config config = {.num_gpus = NUM_GPUS};

	config.vram_fd = make_file("vram", NUM_GPUS * VRAM);
	ram_fd = make_file("ram", RAM);
	more_fd = make_file("more", MORE);
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
	MUST(ram != MAP_FAILED);
	for (int i = 0; i < NUM_GPUS; i++) {
		MUST(!gpu_open(&gpu_configs[i], &gpus[i]));
		config.gpus[i] = (struct hsv_device_gpu){.gpu = gpus[i], .vram_size = VRAM, .counters = &counters};
	}
	MUST(!hsv_device_open(&config, &dev));
	atexit(clean_up);
	return 0;
}

/* ---- What a guest can do to the device ---- */

static void region_write(unsigned bar, uint64_t offset, uint64_t value, size_t count)
{
	hsv_device_vfio_ops.region_access(dev, bar, offset, &value, count, true);
}

static void common_write(unsigned offset, uint64_t value, size_t count)
{
	region_write(PCI_BAR_VIRTIO, VIRTIO_BAR_COMMON + offset, value, count);
}

static void plug(void)
{
	hsv_device_vfio_ops.dma_map(dev, 0, RAM, ram_fd, 0, true);
	hsv_device_vfio_ops.dma_map(dev, RAM, MORE, more_fd, 0, true);
	hsv_device_vfio_ops.dma_map(dev, 0x100000, MORE, more_fd, 0, false);
	hsv_device_vfio_ops.dma_map(dev, 0x200000, MORE, -1, 0, true);
}

static void put(uint64_t at, const void *data, size_t size)
{
	memcpy(ram + at, data, size);
}

static void put16(uint64_t at, uint16_t value)
{
	atomic_store((_Atomic uint16_t *)(void *)(ram + at), value);
}

static void start_queue(unsigned index, uint64_t rings)
{
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, index, 2);
	common_write(VIRTIO_PCI_COMMON_Q_SIZE, SIZE, 2);
	common_write(VIRTIO_PCI_COMMON_Q_MSIX, index + 1, 2);
	common_write(VIRTIO_PCI_COMMON_Q_DESCLO, rings, 8);
	common_write(VIRTIO_PCI_COMMON_Q_AVAILLO, rings + 0x1000, 8);
	common_write(VIRTIO_PCI_COMMON_Q_USEDLO, rings + 0x2000, 8);
	common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

static void offer_event(uint32_t size)
{
	struct vring_desc d = {EVENTS + g.next_event % 64 * 64, size, VRING_DESC_F_WRITE, 0};

	put(EVENT_RINGS + 16 * (g.next_event % SIZE), &d, sizeof(d));
	put16(EVENT_RINGS + 0x1000 + 4 + 2 * (g.event_avail % SIZE), g.next_event % SIZE);
	put16(EVENT_RINGS + 0x1002, ++g.event_avail);
	g.next_event++;
}

static void start(uint64_t features)
{
	unsigned status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	memset(&g, 0, sizeof(g));
	memset(ram, 0, EVENTS + 0x1000);
	features |= UINT64_C(1) << VIRTIO_F_VERSION_1;
	g.indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	common_write(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	common_write(VIRTIO_PCI_COMMON_STATUS, status, 1);
	for (unsigned i = 0; i < 2; i++) {
		common_write(VIRTIO_PCI_COMMON_GFSELECT, i, 4);
		common_write(VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> 32 * i), 4);
	}
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	common_write(VIRTIO_PCI_COMMON_STATUS, status, 1);
	common_write(VIRTIO_PCI_COMMON_MSIX, 0, 2);
	start_queue(HSV_QUEUE_CONTROL, CONTROL_RINGS);
	start_queue(HSV_QUEUE_EVENT, EVENT_RINGS);
	for (unsigned i = 0; i < 4; i++)
		offer_event(sizeof(struct hsv_event));
	common_write(VIRTIO_PCI_COMMON_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK, 1);
}

/* Nothing runs and nothing is left in the ring, as the device sees it. */
static bool settled(void)
{
	struct control *c = &dev->control;
	bool done;

	pthread_mutex_lock(&c->lock);
	done = !c->jobs && !c->active;
	if (done && c->vq.enabled && !c->vq.broken && virtio_driver_ok(&dev->virtio)) {
		uint16_t idx = c->vq.next_avail;

		dma_read(&dev->dma, c->vq.avail + 2, &idx, sizeof(idx));
		done = idx == c->vq.next_avail;
	}
	pthread_mutex_unlock(&c->lock);
	return done;
}

static void kick(unsigned queue)
{
	region_write(PCI_BAR_VIRTIO, VIRTIO_BAR_NOTIFY + queue * VIRTIO_NOTIFY_MULTIPLIER, queue, 2);
}

static void settle(void)
{
	kick(HSV_QUEUE_CONTROL);
	WAIT_UNTIL(settled(), 10000);
	MUST(settled());
}

/* ---- Requests ---- */

struct body {
	struct hsv_request header;
	uint8_t rest[BODY_BYTES - sizeof(struct hsv_request)];
};

#define NR(name) _IOC_NR(AMDKFD_IOC_##name)
#define GPU_ID	 le32toh(dev->config.gpus[gpu].gpu_id)

/* Arguments as a driver would send them; *in_size: bytes of arrays behind them. Returns args_size. */
static uint32_t template(struct input *in, unsigned which, struct body *b, uint32_t *in_size, uint32_t *code)
{
	uint64_t va = 0x10000000ull + take8(in) % 16 * 0x10000ull;
	uint64_t handle = g.handles[take8(in) % 8];
	unsigned gpu = va >> 19 & 1;

	switch (which) {
	case 0: {
		struct kfd_ioctl_acquire_vm_args a = {.drm_fd = 5, .gpu_id = GPU_ID};

		*code = NR(ACQUIRE_VM);
		memcpy(b->rest, &a, sizeof(a));
		return sizeof(a);
	}
	case 1:
	case 2: {
		bool system = which == 2;
		uint32_t pages = 1 + take8(in) % 4;
		struct kfd_ioctl_alloc_memory_of_gpu_args a = {
			.va_addr = va,
			.size = pages * 4096,
			.mmap_offset = va,
			.gpu_id = GPU_ID,
			.flags = (system ? KFD_IOC_ALLOC_MEM_FLAGS_USERPTR : KFD_IOC_ALLOC_MEM_FLAGS_VRAM) |
				 KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE};
		struct hsv_extent e = {DATA + take8(in) % 16 * 4096, pages * 4096};

		*code = NR(ALLOC_MEMORY_OF_GPU);
		memcpy(b->rest, &a, sizeof(a));
		if (system) {
			memcpy(b->rest + sizeof(a), &e, sizeof(e));
			*in_size = sizeof(e);
		}
		return sizeof(a);
	}
	case 3:
	case 4: {
		struct kfd_ioctl_map_memory_to_gpu_args a = {.handle = handle, .n_devices = 1};
		uint32_t id = GPU_ID;

		*code = which == 3 ? NR(MAP_MEMORY_TO_GPU) : NR(UNMAP_MEMORY_FROM_GPU);
		memcpy(b->rest, &a, sizeof(a));
		memcpy(b->rest + sizeof(a), &id, sizeof(id));
		*in_size = sizeof(id);
		return sizeof(a);
	}
	case 5: {
		struct kfd_ioctl_free_memory_of_gpu_args a = {handle};

		*code = NR(FREE_MEMORY_OF_GPU);
		memcpy(b->rest, &a, sizeof(a));
		return sizeof(a);
	}
	case 6: {
		struct kfd_ioctl_create_queue_args a = {.ring_base_address = va,
							.write_pointer_address = va + 0x838,
							.read_pointer_address = va + 0x880,
							.ring_size = 1024,
							.gpu_id = GPU_ID,
							.queue_type = take8(in) % 4,
							.queue_percentage = 100,
							.queue_priority = 7};

		*code = NR(CREATE_QUEUE);
		memcpy(b->rest, &a, sizeof(a));
		return sizeof(a);
	}
	case 7: {
		struct hsv_memory_args a = {.handle = handle};
		struct hsv_extent e = {DATA + take8(in) % 16 * 4096, (1 + take8(in) % 4) * 4096};

		memcpy(b->rest, &a, sizeof(a));
		memcpy(b->rest + sizeof(a), &e, sizeof(e));
		*in_size = take8(in) & 1 ? sizeof(e) : 0;
		return sizeof(a);
	}
	case 8: {
		struct drm_amdgpu_info a = {.return_size = 256, .query = take8(in)};

		*code = gpu;
		memcpy(b->rest, &a, sizeof(a));
		return sizeof(a);
	}
	case 9: {
		struct hsv_topology_args a = {.cpus = take8(in), .render_minors = {128, 129}, .memory = take_number(in)};

		memcpy(b->rest, &a, sizeof(a));
		return sizeof(a);
	}
	case 10: {
		struct kfd_ioctl_get_process_apertures_new_args a = {.num_of_nodes = take8(in)};

		*code = NR(GET_PROCESS_APERTURES_NEW);
		memcpy(b->rest, &a, sizeof(a));
		return sizeof(a);
	}
	default: {
		uint32_t size = take8(in) % HSV_MAX_ARGS;

		*code = take8(in);
		take(in, b->rest, size);
		*in_size = take8(in);
		return size;
	}
	}
}

static uint16_t desc(uint64_t table, unsigned slot, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	struct vring_desc d = {addr, len, (uint16_t)flags, (uint16_t)next};

	put(table + 16 * (slot % SIZE), &d, sizeof(d));
	return (uint16_t)slot;
}

/* Offers [body, body + size) and an answer of answer bytes as a chain. cut: how. */
static void offer(struct input *in, uint8_t cut, uint64_t body, uint32_t size, uint32_t answer)
{
	uint64_t table = CONTROL_RINGS, to = body + BODY_BYTES / 2;
	unsigned pieces = 1 + (cut & 7), first = g.next_desc, slot = first;
	bool indirect = (cut & 8) && g.indirect;
	uint32_t done = 0;

	if (indirect) {
		table = DATA + (g.next_body % NUM_BODIES) * 0x100;
		slot = 0;
	}
	for (unsigned i = 0; i < pieces; i++) {
		uint32_t part = i + 1 < pieces && size - done > 1 ? (size - done) / 2 : size - done;

		if (!part)
			break;
		desc(table, slot % SIZE, body + done, part, VRING_DESC_F_NEXT, (slot + 1) % SIZE);
		slot++;
		done += part;
	}
	desc(table, slot % SIZE, to, answer, VRING_DESC_F_WRITE, 0);
	slot++;
	if (cut & 0x80) /* something of it is wrong: a byte of one of its descriptors */
		ram[table + 16 * (take8(in) % slot % SIZE) + take8(in) % 16] ^= take8(in);
	if (indirect) {
		desc(CONTROL_RINGS, first % SIZE, table, slot * 16, VRING_DESC_F_INDIRECT, 0);
		slot = first + 1;
	}
	g.next_desc = (uint16_t)(slot % SIZE);
	put16(CONTROL_RINGS + 0x1000 + 4 + 2 * (g.avail % SIZE), (uint16_t)(first % SIZE));
	put16(CONTROL_RINGS + 0x1002, ++g.avail);
}

static void request(struct input *in, unsigned type, unsigned which)
{
	uint64_t at = BODIES + g.next_body++ % NUM_BODIES * BODY_BYTES;
	struct body *b = (void *)(ram + at);
	uint32_t in_size = 0, code = 0, args, out, answer;
	uint8_t flags = take8(in), cut;

	memset(b, 0, sizeof(*b));
	args = template(in, which, b, &in_size, &code);
	out = flags & 4 ? (uint32_t)take_number(in) : 256;
	b->header = (struct hsv_request){.type = type, .process = flags & 3, .code = code, .args_size = args,
					 .in_size = in_size, .out_size = out};
	cut = take8(in);
	answer = (uint32_t)sizeof(struct hsv_response) + args + (out < 4096 ? out : 256);
	if (flags & 8) /* a byte of the request */
		ram[at + take8(in) % (sizeof(b->header) + args + in_size)] ^= take8(in);
	if (flags & 16)
		answer = (uint32_t)take_number(in);
	if (flags & 32)
		b->header.process = (uint32_t)take_number(in);
	if (flags & 64)
		b->header.in_size = (uint32_t)take_number(in);
	offer(in, cut, at, (uint32_t)sizeof(b->header) + args + in_size, answer);
	if (flags & 128)
		return; /* with the next one */
	settle();
	if (type == HSV_REQ_KFD_IOCTL && code == NR(ALLOC_MEMORY_OF_GPU)) {
		const struct hsv_response *r = (void *)(ram + at + BODY_BYTES / 2);
		struct kfd_ioctl_alloc_memory_of_gpu_args a;

		memcpy(&a, r + 1, sizeof(a));
		if (!r->error && r->args_size == sizeof(a))
			g.handles[g.next_handle++ % 8] = a.handle;
	}
}

/* A whole SDMA queue: memory, mapping, queue, packets that set events (or what the input says), doorbell. */
static void run_queue(struct input *in)
{
	static const uint8_t script[][4] = {
		{2, 0, 3, 0},	   /* USERPTR of 4 pages */
		{3},
		{6, 1},		   /* SDMA */
	};
	uint8_t place = take8(in) % 16, count = take8(in) % 8;
	uint8_t packets[64] = {0};

	for (unsigned i = 0; i < 3; i++) {
		/* flags, va, handle, then what the template takes: all of this act's own */
		uint8_t bytes[] = {0, place, (uint8_t)((g.next_handle + 7) % 8), script[i][1] ? script[i][1] : script[i][2], 0, 0};
		struct input own = {bytes, sizeof(bytes)};

		if (i == 0)
			bytes[4] = place % 12;
		request(&own, HSV_REQ_KFD_IOCTL, script[i][0]);
	}
	for (unsigned i = 0; i < count; i++) {
		packets[i * 8] = 6;
		packets[i * 8 + 4] = take8(in);
	}
	if (take8(in) & 1)
		take(in, packets, sizeof(packets));
	put(DATA + place % 12 * 4096, packets, sizeof(packets));
	region_write(PCI_BAR_DOORBELLS, take8(in) % 4 * 8, take8(in) % 2 ? take_number(in) : count * 8u, 8);
	nanosleep(&(struct timespec){0, 200000}, NULL);
}

static void act(struct input *in)
{
	static const uint8_t types[] = {HSV_REQ_PROCESS_CREATE, HSV_REQ_PROCESS_DESTROY, HSV_REQ_MEMORY_EXTEND,
					HSV_REQ_MEMORY_INVALIDATE, HSV_REQ_MEMORY_RESTORE, HSV_REQ_PARKED, HSV_REQ_UNPARK};
	static const uint8_t wants[] = {8, 11, 7, 7, 7, 11, 11};
	uint8_t which = take8(in);
	uint8_t bytes[64];
	uint64_t at;

	switch (which % 32) {
	case 0 ... 10:
		request(in, HSV_REQ_KFD_IOCTL, which % 32);
		break;
	case 11:
		request(in, HSV_REQ_KFD_IOCTL, 11);
		break;
	case 12 ... 18:
		if (which % 32 == 18 && which >> 5 & 3) { /* what the guest says of VRAM */
			request(in, which & 32 ? HSV_REQ_VRAM_AWAY : HSV_REQ_VRAM_BACK, 11);
			break;
		}
		request(in, types[which % 32 - 12], wants[which % 32 - 12]);
		break;
	case 19:
		request(in, HSV_REQ_DRM_INFO, 8);
		break;
	case 20:
		request(in, HSV_REQ_TOPOLOGY, 9);
		break;
	case 21: /* anything anywhere in the rings or requests */
		at = take16(in) % (BODIES + NUM_BODIES * BODY_BYTES - sizeof(bytes));
		take(in, ram + at, 1 + take8(in) % sizeof(bytes));
		settle();
		break;
	case 22: /* registers */
		at = take8(in);
		common_write((unsigned)(at % 64), take_number(in), 1u << (at >> 6));
		break;
	case 23:
		at = take_number(in);
		take(in, bytes, sizeof(bytes));
		if (at % VIRTIO_BAR_PAGE <= VIRTIO_BAR_PAGE - 8)
			hsv_device_vfio_ops.region_access(dev, PCI_BAR_VIRTIO, at % VIRTIO_BAR_SIZE, bytes, 8, which & 32);
		break;
	case 24:
		at = take8(in);
		hsv_device_vfio_ops.dma_unmap(dev, at & 1 ? 0 : RAM, at & 1 ? RAM : MORE);
		if (at & 2)
			plug();
		break;
	case 25:
		start(take_number(in));
		break;
	case 26: /* a doorbell */
		region_write(PCI_BAR_DOORBELLS, take16(in) % (4 * HSV_DOORBELL_SLOT) & ~7u, take_number(in), 8);
		break;
	case 27:
		offer_event(which & 32 ? take8(in) : sizeof(struct hsv_event));
		kick(HSV_QUEUE_EVENT);
		break;
	case 28: /* what queues may run */
		if (which & 0xc0) {
			run_queue(in);
			break;
		}
		at = take8(in) % 16 * 4096 + take16(in) % 4032;
		take(in, ram + DATA + at, 64);
		break;
	case 29:
		region_write(PCI_BAR_VRAM, take_number(in) % (VRAM - 8), take_number(in), 1 + take8(in) % 8);
		break;
	case 30:
		hsv_device_vfio_ops.reset(dev);
		start(take8(in) & 1 ? ~0ull : UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
		break;
	case 31:
		settle();
		hsv_device_publish(dev);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t first = take8(&in);

	memset(ram, 0, RAM);
	plug();
	start((first & 1 ? UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC : 0) |
	      (first & 2 ? UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX : 0) | (first & 4 ? UINT64_C(1) << HSV_F_PARK : 0));
	if (!(first & 8)) {
		struct input create = {(const uint8_t *)"", 0}, acquire = {(const uint8_t *)"", 0};

		request(&create, HSV_REQ_PROCESS_CREATE, 8);
		request(&acquire, HSV_REQ_KFD_IOCTL, 0);
	}
	for (unsigned i = 0; i < MAX_ACTS && in.left; i++)
		act(&in);
	settle();
	hsv_device_vfio_ops.disconnected(dev);
	hsv_device_publish(dev);
	MUST(!counters.vram_used && !counters.processes && !counters.queues);
	MUST(!dev->dma.count && !dev->events.num_pending && !dev->control.jobs);
	return 0;
}
