// SPDX-License-Identifier: MIT
/*
 * fuzz_kfd.c - sequences of KFD requests of two processes into the core, with the software GPU behind it.
 *
 * Input: a list of calls. A byte names the call (an ioctl of abi/kfd_ioctls.h, one of the memory messages of a VM's
 * driver, parking, the end or birth of a process, memory that is unplugged), then come its fields. Fields that name
 * something (handles, addresses, ids) are mostly taken from what there is; a mutation can make them anything. What
 * must hold: the accounts are at zero when all processes have ended, and freed VRAM reads as zero.
 */
#include "fuzz/input.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/kfd.h"

#define VRAM	  (2u << 20)
#define RAM	  (1u << 20)
#define PROCESSES 2
#define HANDLES	  16
#define MAX_CALLS 64
#define GPU_ID	  0xa0e5
#define VA_BASE	  0x10000000ull

static struct kfd_device *device;
static uint8_t *vram, *ram, *doorbells;
static struct gpu *gpu;
static int64_t charged;

struct process {
	struct kfd_process *kfd;
	uint64_t handles[HANDLES];
	unsigned next_handle;
	uint32_t queues[4];
	unsigned next_queue;
};

static struct process processes[PROCESSES];

static void *resolve(void *ctx, uint64_t addr, uint64_t size)
{
	return size && addr < RAM && size <= RAM - addr ? ram + addr : NULL;
}

static int charge(void *ctx, int64_t bytes)
{
	charged += bytes;
	MUST(charged >= 0);
	return 0;
}

static void ignore_event(void *ctx, uint32_t id)
{
}

static void ignore_fault(void *ctx, uint32_t gpu_id, const struct gpu_memory_fault *fault)
{
}

static void ignore_exception(void *ctx, uint32_t gpu_id, uint32_t type, uint32_t cause)
{
}

static void ignore_idle(void *ctx)
{
}

static const struct kfd_front_ops ops = {
	.resolve = resolve,
	.charge_vram = charge,
	.signal_event = ignore_event,
	.memory_fault = ignore_fault,
	.hw_exception = ignore_exception,
	.idle = ignore_idle,
};

static uint8_t *map_memory(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	void *p;

	MUST(fd >= 0 && !ftruncate(fd, (off_t)size));
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	close(fd);
	return p;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct gpu_config gpu_config = {.target = "gfx90a", .threads = 1};
	struct kfd_device_config config = {.ops = &ops, .max_processes = PROCESSES, .kfd_minor = 14, .num_gpus = 1,
					   .gpus = {{.vram_size = VRAM, .gpu_id = GPU_ID}}};

	MUST(!gpu_open(&gpu_config, &gpu));
	config.gpus[0].gpu = gpu;
	config.gpus[0].vram = vram = map_memory("vram", VRAM);
	config.gpus[0].doorbells = doorbells = map_memory("doorbells", PROCESSES * HSV_DOORBELL_SLOT);
	ram = map_memory("ram", RAM);
	MUST(!kfd_device_open(&config, &device));
	return 0;
}

/* ---- Fields ---- */

static uint64_t take_handle(struct input *in, const struct process *p)
{
	uint8_t b = take8(in);

	return b < 0xf0 ? p->handles[b % HANDLES] : b < 0xf8 ? (uint64_t)GPU_ID << 32 | take8(in) : take_number(in);
}

/* Buffers lie in 64 places of 64 KiB, so that they meet. */
static uint64_t take_va(struct input *in)
{
	uint8_t b = take8(in);

	return b < 0xf0 ? VA_BASE + (b % 64) * 0x10000ull : take_number(in);
}

static uint64_t take_size(struct input *in)
{
	static const uint32_t sizes[] = {0x1000, 0x2000, 0x4000, 0x10000, 0x20000, 0x1001, 0x80000, HSV_DOORBELL_SLOT};
	uint8_t b = take8(in);

	return b < 0xe0 ? sizes[b % 8] : take_number(in);
}

static uint32_t take_gpu(struct input *in)
{
	uint8_t b = take8(in);

	return b < 0xf0 ? GPU_ID : b;
}

static uint32_t take_queue(struct input *in, const struct process *p)
{
	uint8_t b = take8(in);

	return b < 0xe0 ? p->queues[b % 4] : (uint32_t)take_number(in);
}

/* Extents, mostly of the guest's memory and adding up to size; returns their number. */
static size_t take_extents(struct input *in, struct hsv_extent *list, size_t max, uint64_t size)
{
	uint8_t how = take8(in);
	size_t n = 0;

	if (how < 0x80) { /* one */
		list[0] = (struct hsv_extent){take8(in) * 0x1000ull, (size + 0xfff) & ~0xfffull};
		return 1;
	}
	for (; n < max && n < how % 12; n++) {
		list[n].addr = take8(in) * 0x1000ull;
		list[n].size = 0x1000ull * (1 + take8(in) % 4);
		if (how >= 0xf0)
			list[n].addr ^= take_number(in);
	}
	return n;
}

/* ---- Calls ---- */

struct call {
	struct kfd_request r;
	_Alignas(8) uint8_t args[HSV_MAX_ARGS];
	_Alignas(8) uint8_t in[1024], out[1024];
};

/* Private copies of exactly the sizes a front end has, so that reading or writing beyond them is seen. */
static int ioctl_on(struct process *p, struct call *c, unsigned nr, size_t args_size, size_t in_size,
		    size_t out_capacity)
{
	uint8_t *args = malloc(HSV_MAX_ARGS), *in = in_size ? malloc(in_size) : NULL,
		*out = out_capacity ? calloc(1, out_capacity) : NULL;
	int ret;

	memcpy(args, c->args, HSV_MAX_ARGS);
	if (in)
		memcpy(in, c->in, in_size);
	c->r = (struct kfd_request){nr, args, args_size, in, in_size, out, out_capacity, 0};
	ret = kfd_process_ioctl(p->kfd, &c->r);
	MUST(ret <= 0 && ret > -4096);
	MUST(c->r.out_size <= out_capacity);
	memcpy(c->args, args, HSV_MAX_ARGS);
	if (out)
		memcpy(c->out, out, c->r.out_size);
	free(args);
	free(in);
	free(out);
	return ret;
}

#define NR(name) _IOC_NR(AMDKFD_IOC_##name)
#define IOCTL(p, c, name, type, in_size, out_capacity)                                             \
	ioctl_on(p, c, NR(name), sizeof(struct type), in_size, out_capacity)

static void alloc_memory(struct input *in, struct process *p, struct call *c)
{
	static const uint32_t kinds[] = {KFD_IOC_ALLOC_MEM_FLAGS_VRAM, KFD_IOC_ALLOC_MEM_FLAGS_GTT,
					 KFD_IOC_ALLOC_MEM_FLAGS_USERPTR, KFD_IOC_ALLOC_MEM_FLAGS_DOORBELL,
					 KFD_IOC_ALLOC_MEM_FLAGS_MMIO_REMAP,
					 KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | HSV_KFD_ALLOC_SVM};
	struct kfd_ioctl_alloc_memory_of_gpu_args *a = (void *)c->args;
	uint8_t kind = take8(in);
	size_t n = 0;

	a->va_addr = take_va(in);
	a->size = take_size(in);
	a->mmap_offset = kind & 0x40 ? take_va(in) : a->va_addr;
	a->gpu_id = take_gpu(in);
	a->flags = kinds[kind % 6] | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE |
		   (kind & 0x20 ? KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE : 0);
	if (kind >= 0xe0)
		a->flags ^= take32(in);
	if (kind % 6)
		n = take_extents(in, (void *)c->in, sizeof(c->in) / sizeof(struct hsv_extent), a->size);
	if (!IOCTL(p, c, ALLOC_MEMORY_OF_GPU, kfd_ioctl_alloc_memory_of_gpu_args, n * sizeof(struct hsv_extent),
		   kind & 0x80 ? take8(in) : sizeof(c->out)))
		p->handles[p->next_handle++ % HANDLES] = a->handle;
}

static void free_memory(struct input *in, struct process *p, struct call *c)
{
	struct kfd_ioctl_free_memory_of_gpu_args *a = (void *)c->args;

	a->handle = take_handle(in, p);
	IOCTL(p, c, FREE_MEMORY_OF_GPU, kfd_ioctl_free_memory_of_gpu_args, 0, 0);
}

static void map_or_unmap(struct input *in, struct process *p, struct call *c, bool map)
{
	struct kfd_ioctl_map_memory_to_gpu_args *a = (void *)c->args;
	uint8_t odd;

	a->handle = take_handle(in, p);
	a->n_devices = 1;
	*(uint32_t *)(void *)c->in = GPU_ID;
	odd = take8(in);
	if (odd >= 0xe0) {
		a->n_devices = (uint32_t)take_number(in);
		a->n_success = take8(in);
		*(uint32_t *)(void *)c->in = take_gpu(in);
	}
	/* The structs of both are the same. */
	ioctl_on(p, c, map ? NR(MAP_MEMORY_TO_GPU) : NR(UNMAP_MEMORY_FROM_GPU), sizeof(*a), odd >= 0xf0 ? odd - 0xf0 : 4, 0);
}

static void map_memory_to_gpu(struct input *in, struct process *p, struct call *c)
{
	map_or_unmap(in, p, c, true);
}

static void unmap_memory(struct input *in, struct process *p, struct call *c)
{
	map_or_unmap(in, p, c, false);
}

static void create_queue(struct input *in, struct process *p, struct call *c)
{
	struct kfd_ioctl_create_queue_args *a = (void *)c->args;
	uint8_t kind = take8(in);

	a->queue_type = kind % 5;
	a->ring_base_address = take_va(in);
	a->ring_size = 1024u << (kind >> 3 & 3);
	a->write_pointer_address = take_va(in) + 0x38;
	a->read_pointer_address = a->write_pointer_address + 0x48;
	a->gpu_id = take_gpu(in);
	a->queue_percentage = 100;
	a->queue_priority = kind % 16;
	if (kind & 0x40) {
		a->ctx_save_restore_address = take_va(in);
		a->ctx_save_restore_size = 0x1000;
		a->eop_buffer_address = take_va(in);
		a->eop_buffer_size = take8(in) * 16;
	}
	if (kind & 0x80) {
		a->ring_size = (uint32_t)take_number(in);
		a->queue_percentage = (uint32_t)take_number(in);
		a->queue_priority = take8(in);
		a->read_pointer_address = take_va(in) + take8(in);
		a->queue_type = take8(in);
	}
	if (!IOCTL(p, c, CREATE_QUEUE, kfd_ioctl_create_queue_args, 0, 0))
		p->queues[p->next_queue++ % 4] = a->queue_id;
}

static void update_queue(struct input *in, struct process *p, struct call *c)
{
	struct kfd_ioctl_update_queue_args *a = (void *)c->args;

	a->queue_id = take_queue(in, p);
	a->ring_base_address = take_va(in);
	a->ring_size = (uint32_t)take_size(in);
	a->queue_percentage = (uint32_t)take_number(in);
	a->queue_priority = take8(in) % 20;
	IOCTL(p, c, UPDATE_QUEUE, kfd_ioctl_update_queue_args, 0, 0);
}

static void destroy_queue(struct input *in, struct process *p, struct call *c)
{
	struct kfd_ioctl_destroy_queue_args *a = (void *)c->args;

	a->queue_id = take_queue(in, p);
	IOCTL(p, c, DESTROY_QUEUE, kfd_ioctl_destroy_queue_args, 0, 0);
}

static void set_cu_mask(struct input *in, struct process *p, struct call *c)
{
	struct kfd_ioctl_set_cu_mask_args *a = (void *)c->args;
	uint8_t words = take8(in);

	a->queue_id = take_queue(in, p);
	a->num_cu_mask = words < 0xc0 ? words % 40 * 32 : (uint32_t)take_number(in);
	take(in, c->in, 8);
	IOCTL(p, c, SET_CU_MASK, kfd_ioctl_set_cu_mask_args, take8(in), 0);
}

static void svm(struct input *in, struct process *p, struct call *c)
{
	struct kfd_ioctl_svm_args *a = (void *)c->args;
	struct kfd_ioctl_svm_attribute *attrs = (void *)c->in;
	uint8_t n = take8(in);

	a->start_addr = take_va(in);
	a->size = take_size(in);
	a->op = n >> 4 & 1;
	a->nattr = n % 8;
	for (unsigned i = 0; i < a->nattr; i++) {
		attrs[i].type = take8(in) % 9;
		attrs[i].value = take8(in) & 1 ? GPU_ID : (uint32_t)take_number(in);
	}
	if (n >= 0xe0) {
		a->op = take8(in);
		a->nattr = (uint32_t)take_number(in);
	}
	IOCTL(p, c, SVM, kfd_ioctl_svm_args, n % 8 * sizeof(*attrs), n >= 0xc0 ? take8(in) : n % 8 * sizeof(*attrs));
}

static void acquire(struct input *in, struct process *p, struct call *c)
{
	struct kfd_ioctl_acquire_vm_args *a = (void *)c->args;

	a->drm_fd = take8(in);
	a->gpu_id = take_gpu(in);
	IOCTL(p, c, ACQUIRE_VM, kfd_ioctl_acquire_vm_args, 0, 0);
}

/* Any number with any struct. */
static void any_ioctl(struct input *in, struct process *p, struct call *c)
{
	unsigned nr = take8(in);
	size_t in_size = take8(in), out_size = take8(in);

	take(in, c->args, take8(in) % HSV_MAX_ARGS);
	if (take8(in) & 1)
		*(uint32_t *)(void *)c->args = GPU_ID;
	take(in, c->in, in_size < 64 ? in_size : 64);
	ioctl_on(p, c, nr & 0x80 ? (unsigned)take_number(in) : nr, take8(in), in_size, out_size);
}

static void memory_message(struct input *in, struct process *p, struct call *c)
{
	uint8_t which = take8(in);
	uint64_t handle = take_handle(in, p);
	struct hsv_extent *list = (void *)c->in;
	size_t n = take_extents(in, list, sizeof(c->in) / sizeof(*list), take_size(in));
	int ret = 0;

	if (which % 3 == 0)
		ret = kfd_memory_extend(p->kfd, handle, list, n);
	else if (which % 3 == 1)
		ret = kfd_memory_invalidate(p->kfd, handle);
	else
		ret = kfd_memory_restore(p->kfd, handle, list, which & 0x80 ? 0 : n);
	MUST(ret <= 0);
}

static void park(struct input *in, struct process *p, struct call *c)
{
	if (take8(in) & 1)
		kfd_process_parked(p->kfd);
	else
		kfd_process_unpark(p->kfd);
}

static void ring(struct input *in, struct process *p, struct call *c)
{
	unsigned slot = (unsigned)(p - processes);
	uint32_t queue = take_queue(in, p) % 1024;

	*(volatile uint64_t *)(doorbells + (size_t)slot * HSV_DOORBELL_SLOT + queue * 8) = take_number(in);
	if (take8(in) & 1)
		take(in, ram + (take8(in) * 0x1000u & (RAM - 1)), 64);
}

/* A queue from nothing, with work in it, whose memory has both ring and code. */
static void run_queue(struct input *in, struct process *p, struct call *c)
{
	static const uint32_t kernel[] = {0xdc508000, 0x007f0000, 0xbf810000}; /* a load from what v[0:1] says */
	uint8_t place = take8(in), kind = take8(in);
	uint64_t va = VA_BASE + place % 64 * 0x10000ull, object = va + 0x2000, entry = 0x100, id;
	uint8_t *at = ram + place % 64 * 0x3000u;
	uint32_t packet[16] = {0};
	unsigned slot = (unsigned)(p - processes);
	struct kfd_ioctl_alloc_memory_of_gpu_args *a = (void *)c->args;
	struct kfd_ioctl_map_memory_to_gpu_args *m = (void *)c->args;
	struct kfd_ioctl_create_queue_args *q = (void *)c->args;
	struct hsv_extent e = {(uint64_t)(at - ram), 0x3000};

	*a = (struct kfd_ioctl_alloc_memory_of_gpu_args){
		.va_addr = va,
		.size = 0x3000,
		.gpu_id = GPU_ID,
		.flags = KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE};
	memcpy(c->in, &e, sizeof(e));
	if (IOCTL(p, c, ALLOC_MEMORY_OF_GPU, kfd_ioctl_alloc_memory_of_gpu_args, sizeof(e), 0))
		return;
	id = p->handles[p->next_handle++ % HANDLES] = a->handle;
	memset(c->args, 0, sizeof(c->args));
	*m = (struct kfd_ioctl_map_memory_to_gpu_args){.handle = id, .n_devices = 1};
	memcpy(c->in, &(uint32_t){GPU_ID}, 4);
	if (IOCTL(p, c, MAP_MEMORY_TO_GPU, kfd_ioctl_map_memory_to_gpu_args, 4, 0))
		return;
	memset(at, 0, 0x3000);
	memset(c->args, 0, sizeof(c->args));
	*q = (struct kfd_ioctl_create_queue_args){.ring_base_address = va,
						  .ring_size = 1024,
						  .write_pointer_address = va + 0x1038,
						  .read_pointer_address = va + 0x1080,
						  .queue_type = kind % 4,
						  .queue_percentage = 100,
						  .gpu_id = GPU_ID};
	if (kind & 0x40) {
		q->ctx_save_restore_address = va + 0x1800;
		q->ctx_save_restore_size = 0x100;
		memcpy(at + 0x1800 + 24, &(uint64_t){va + 0x1400}, 8);
	}
	if (q->queue_type == KFD_IOC_QUEUE_TYPE_COMPUTE_AQL) {
		packet[0] = 2 | 1u << 16;
		packet[1] = 64 | 1u << 16;
		packet[2] = 1;
		packet[3] = 64;
		packet[4] = packet[5] = 1;
		memcpy(&packet[8], &object, 8);
		memcpy(at + 0x2000 + 16, &entry, 8);
		memcpy(at + 0x2100, kernel, sizeof(kernel));
		at[0x1038] = 1;
	} else {
		packet[0] = 6; /* SDMA: set an event */
		packet[1] = place;
	}
	if (kind & 0x80)
		((uint8_t *)packet)[take8(in) % 64] ^= take8(in);
	memcpy(at, packet, sizeof(packet));
	if (IOCTL(p, c, CREATE_QUEUE, kfd_ioctl_create_queue_args, 0, 0))
		return;
	p->queues[p->next_queue++ % 4] = q->queue_id;
	*(volatile uint64_t *)(doorbells + (size_t)slot * HSV_DOORBELL_SLOT + q->queue_id * 8) =
		kind % 4 == KFD_IOC_QUEUE_TYPE_COMPUTE_AQL ? 0 : 8;
	if (kind & 0x10)
		nanosleep(&(struct timespec){0, 100000}, NULL);
}

static void ask(struct input *in, struct process *p, struct call *c)
{
	struct drm_amdgpu_info info = {0};
	struct hsv_topology_args topology = {.cpus = take8(in), .render_minors = {128, 129}, .memory = RAM};
	struct kfd_stats stats;
	size_t size = 0, capacity = (size_t)take8(in) * 64;
	uint8_t *buf = malloc(capacity + !capacity);
	int ret;

	info.query = take8(in);
	take(in, (uint8_t *)&info + 16, 16);
	ret = kfd_drm_info(device, 0, &info, buf, capacity < 256 ? capacity : 256, &size);
	MUST(ret || size <= capacity);
	ret = kfd_topology(device, &topology, buf, capacity, &size);
	MUST(ret == -ENOSPC ? size > capacity : ret || size <= capacity);
	kfd_device_stats(device, &stats);
	MUST(stats.vram_used <= VRAM && stats.vram_used == (uint64_t)charged);
	free(buf);
}

static void unplug(struct input *in, struct process *p, struct call *c)
{
	size_t at = (size_t)take8(in) * 0x1000 & (RAM - 1), size = (1 + (size_t)take8(in) % 32) * 0x1000;

	kfd_device_revoke(device, ram + at, size < RAM - at ? size : RAM - at);
}

static void make_process(struct process *p)
{
	MUST(!kfd_process_create(device, (uint32_t)(p - processes), p, 100, "fuzz\x01", &p->kfd));
	memset(p->handles, 0, sizeof(p->handles));
	p->next_handle = p->next_queue = 0;
}

static void again(struct input *in, struct process *p, struct call *c)
{
	kfd_process_destroy(p->kfd);
	make_process(p);
}

static void (*const calls[])(struct input *in, struct process *p, struct call *c) = {
	alloc_memory, alloc_memory, map_memory_to_gpu, unmap_memory, free_memory, create_queue, update_queue, destroy_queue,
	set_cu_mask,  svm,	    svm,	       any_ioctl,    memory_message, park,  ring,	  ask,
	unplug,	      again,	    acquire,	       run_queue,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct kfd_stats stats;
	uint8_t first = take8(&in);

	charged = 0;
	memset(ram, 0, RAM);
	for (unsigned i = 0; i < PROCESSES; i++) {
		struct call c = {0};

		make_process(&processes[i]);
		if (!(first >> i & 1)) {
			struct input acquire_args = {(const uint8_t *)"\x05\x00", 2};

			acquire(&acquire_args, &processes[i], &c);
		}
	}
	for (unsigned i = 0; i < MAX_CALLS && in.left; i++) {
		struct call c = {0};
		uint8_t which = take8(&in);

		calls[(which & 0x7f) % (sizeof(calls) / sizeof(calls[0]))](&in, &processes[which >> 7], &c);
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		kfd_process_destroy(processes[i].kfd);
	kfd_device_stats(device, &stats);
	MUST(charged == 0 && stats.vram_used == 0 && stats.system_pinned == 0 && stats.queues == 0);
	for (unsigned i = 0; i < VRAM; i += 4096)
		MUST(!*(uint64_t *)(void *)(vram + i));
	return 0;
}
