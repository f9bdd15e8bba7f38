// SPDX-License-Identifier: MIT
/* world.c - see world.h. */
#include "tests/isolation/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WAIT_MS 20000
#define SYSTEM	(KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_USERPTR)

const char *const outcome_names[] = {"ran", "faulted", "stopped by an error", "hung"};
const char *world_target, *world_object;
struct vm vms[2];
struct codeobj world_code;

/* ------------------------------------------------------------------ VMs */

static void *resolve(void *ctx, uint64_t addr, uint64_t size)
{
	struct vm *vm = ctx;

	if (addr < RAM_AT || size > RAM_SIZE || addr - RAM_AT > RAM_SIZE - size)
		return NULL;
	return vm->ram + (addr - RAM_AT);
}

static void on_fault(void *ctx, uint32_t gpu_id, const struct gpu_memory_fault *fault)
{
	struct proc *p = ctx;

	p->fault = *fault;
	atomic_fetch_add(&p->faults, 1);
}

static void on_signal(void *ctx, uint32_t id)
{
}

static void on_exception(void *ctx, uint32_t gpu_id, uint32_t type, uint32_t cause)
{
	struct proc *p = ctx;

	atomic_fetch_add(&p->errors, 1);
}

static void on_idle(void *ctx)
{
}

static const struct kfd_front_ops ops = {
	.resolve = resolve,
	.signal_event = on_signal,
	.memory_fault = on_fault,
	.hw_exception = on_exception,
	.idle = on_idle,
};

static void *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

int world_open(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct gpu_config gpu = {.target = world_target, .threads = 2};
		struct kfd_device_config config = {
			.ops = &ops,
			.ctx = &vms[i],
			.max_processes = PROCESSES,
			.kfd_minor = 14,
			.gpus = {{.ctx = &vms[i], .vram_size = VRAM_SIZE, .gpu_id = GPU_ID}},
			.num_gpus = 1,
		};

		if (gpu_open(&gpu, &vms[i].gpu))
			return -1;
		config.gpus[0].gpu = vms[i].gpu;
		config.gpus[0].vram = vms[i].vram = memory(VRAM_SIZE);
		config.gpus[0].doorbells = vms[i].doorbells = memory(PROCESSES * HSV_DOORBELL_SLOT);
		vms[i].ram = memory(2 * RAM_SIZE);
		memset(vms[i].ram_owner, 0, sizeof(vms[i].ram_owner));
		if (kfd_device_open(&config, &vms[i].device))
			return -1;
	}
	return codeobj_load(&world_code, world_object);
}

int world_close(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		kfd_device_close(vms[i].device);
		gpu_close(vms[i].gpu);
		munmap(vms[i].vram, VRAM_SIZE);
		munmap(vms[i].doorbells, PROCESSES * HSV_DOORBELL_SLOT);
		munmap(vms[i].ram, 2 * RAM_SIZE);
	}
	codeobj_free(&world_code);
	return 0;
}

uint64_t ram_block(struct proc *p)
{
	for (unsigned i = 0; i < RAM_SIZE / ARENA_SIZE; i++) {
		if (p->vm->ram_owner[i])
			continue;
		p->vm->ram_owner[i] = p;
		return RAM_AT + (uint64_t)i * ARENA_SIZE;
	}
	fail_msg("the VM has no memory left");
	return 0;
}

/* ------------------------------------------------------------------ processes */

int proc_map(struct proc *p, uint64_t handle, bool map)
{
	struct kfd_ioctl_map_memory_to_gpu_args a = {.handle = handle, .n_devices = 1};
	uint32_t id = GPU_ID;

	return core_request(p->kfd,
			  map ? _IOC_NR(AMDKFD_IOC_MAP_MEMORY_TO_GPU)
			      : _IOC_NR(AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU),
			  &a, sizeof(a), &id, sizeof(id), NULL, 0, NULL);
}

int proc_free(struct proc *p, uint64_t handle)
{
	struct kfd_ioctl_free_memory_of_gpu_args a = {.handle = handle};

	return CALL(p, FREE_MEMORY_OF_GPU, &a);
}

int proc_alloc(struct proc *p, uint64_t va, uint64_t size, uint32_t flags, uint64_t gpa,
	       uint64_t *handle, uint64_t *offset)
{
	struct kfd_ioctl_alloc_memory_of_gpu_args a = {
		.va_addr = va,
		.size = size,
		.gpu_id = GPU_ID,
		.flags = flags,
		.mmap_offset = flags & KFD_IOC_ALLOC_MEM_FLAGS_USERPTR ? va : 0,
	};
	struct hsv_extent in = {gpa, size}, out[16] = {0};
	int err = core_request(p->kfd, _IOC_NR(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU), &a, sizeof(a),
			     flags & SYSTEM ? &in : NULL, flags & SYSTEM ? sizeof(in) : 0, out,
			     sizeof(out), NULL);

	if (err)
		return err;
	if (handle)
		*handle = a.handle;
	if (offset)
		*offset = out[0].addr;
	return proc_map(p, a.handle, true);
}

struct proc *proc_start(struct vm *vm, uint32_t slot, bool secret)
{
	const uint32_t w = KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE;
	struct kfd_ioctl_acquire_vm_args acquire = {.gpu_id = GPU_ID, .drm_fd = 7};
	struct proc *p = calloc(1, sizeof(*p));
	uint64_t code;

	assert_non_null(p);
	p->vm = vm;
	p->slot = slot;
	code = ram_block(p);
	p->arena_gpa = ram_block(p);
	p->arena = resolve(vm, p->arena_gpa, ARENA_SIZE);
	memset(p->arena, 0, ARENA_SIZE);
	assert_true(world_code.size <= CODE_SIZE);
	memcpy(resolve(vm, code, CODE_SIZE), world_code.image, world_code.size);
	assert_int_equal(kfd_process_create(vm->device, slot, p, 1000 + slot, "world", &p->kfd), 0);
	vm->procs[slot] = p;
	assert_int_equal(CALL(p, ACQUIRE_VM, &acquire), 0);
	assert_int_equal(proc_alloc(p, ARENA_VA, ARENA_SIZE, KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | w,
				    p->arena_gpa, NULL, NULL),
			 0);
	assert_int_equal(
		proc_alloc(p, CODE_VA, CODE_SIZE,
			   KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE,
			   code, NULL, NULL),
		0);
	assert_int_equal(proc_alloc(p, VRAM_VA, BUFFER, KFD_IOC_ALLOC_MEM_FLAGS_VRAM | w, 0,
				    &p->vram_handle, &p->vram_offset),
			 0);
	p->vram = vm->vram + p->vram_offset;
	if (secret) {
		p->secret_gpa = ram_block(p);
		p->secret = resolve(vm, p->secret_gpa, BUFFER);
		assert_int_equal(proc_alloc(p, SECRET_VA, BUFFER,
					    KFD_IOC_ALLOC_MEM_FLAGS_USERPTR | w, p->secret_gpa,
					    NULL, NULL),
				 0);
	}
	return p;
}

void proc_end(struct proc *p)
{
	kfd_process_destroy(p->kfd);
	p->vm->procs[p->slot] = NULL;
	for (unsigned i = 0; i < RAM_SIZE / ARENA_SIZE; i++)
		if (p->vm->ram_owner[i] == p)
			p->vm->ram_owner[i] = NULL;
	free(p);
}

int world_tidy(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned slot = 1; slot < PROCESSES; slot++)
			if (vms[i].procs[slot])
				proc_end(vms[i].procs[slot]);
	return 0;
}

void *arena_alloc(struct proc *p, size_t size)
{
	size_t at = (p->used + 255) & ~(size_t)255;

	assert_true(at + size <= ARENA_SIZE);
	p->used = at + size;
	return p->arena + at;
}

uint64_t arena_va(struct proc *p, const volatile void *at)
{
	return ARENA_VA + (uint64_t)((const volatile uint8_t *)at - p->arena);
}

struct signal *signal_make(struct proc *p, int64_t value)
{
	struct signal *s = arena_alloc(p, sizeof(*s));

	atomic_init(&s->value, value);
	return s;
}

/* ------------------------------------------------------------------ queues */

int queue_create(struct proc *p, struct kfd_ioctl_create_queue_args *args)
{
	return CALL(p, CREATE_QUEUE, args);
}

void queue_args(struct queue *q, struct proc *p, uint32_t type,
		struct kfd_ioctl_create_queue_args *args)
{
	bool aql = type == KFD_IOC_QUEUE_TYPE_COMPUTE_AQL;

	memset(q, 0, sizeof(*q));
	q->proc = p;
	q->type = type;
	q->ring_size = 4096;
	q->ring = arena_alloc(p, q->ring_size);
	q->amd = arena_alloc(p, 256);
	q->wptr = (_Atomic uint64_t *)(void *)(q->amd + 0x38);
	q->rptr = (_Atomic uint64_t *)(void *)(q->amd + 0x80);
	for (unsigned i = 0; aql && i < q->ring_size; i += 64)
		q->ring[i] = 1; /* invalid */
	if (aql) {
		uint64_t va;

		q->inactive = signal_make(p, 0);
		va = arena_va(p, q->inactive);
		memcpy(q->amd + 0xc0, &va, 8);
	}
	*args = (struct kfd_ioctl_create_queue_args){
		.ring_base_address = arena_va(p, q->ring),
		.write_pointer_address = arena_va(p, q->wptr),
		.read_pointer_address = arena_va(p, q->rptr),
		.ring_size = q->ring_size,
		.gpu_id = GPU_ID,
		.queue_type = type,
		.queue_percentage = 100,
		.queue_priority = 7,
	};
}

void queue_open(struct queue *q, struct proc *p, uint32_t type)
{
	struct kfd_ioctl_create_queue_args args;

	queue_args(q, p, type, &args);
	assert_int_equal(queue_create(p, &args), 0);
	q->id = args.queue_id;
	q->doorbell = (_Atomic uint64_t *)(void *)(p->vm->doorbells +
						   (size_t)p->slot * HSV_DOORBELL_SLOT) +
		      q->id;
}

struct aql aql_kernel(struct proc *p, const char *kernel, const uint64_t args[4], unsigned lds,
		      unsigned scratch, struct signal *done)
{
	struct aql a = {.header = 2, .setup = 1};
	uint64_t *kernarg = arena_alloc(p, 64), va = arena_va(p, kernarg), object, signal;
	char name[64];
	struct kernel_descriptor *kd;

	snprintf(name, sizeof(name), "%s.kd", kernel);
	kd = codeobj_symbol(&world_code, name);
	if (!kd)
		fail_msg("no kernel %s", kernel);
	object = CODE_VA + (uint64_t)((uint8_t *)kd - world_code.image);
	memcpy(kernarg, args, 32);
	signal = done ? arena_va(p, done) : 0;
	a.dw[0] = 64 | 1u << 16;
	a.dw[1] = 1;
	a.dw[2] = 64;
	a.dw[3] = a.dw[4] = 1;
	a.dw[5] = scratch;
	a.dw[6] = kd->group_segment_size + lds;
	memcpy(&a.dw[7], &object, 8);
	memcpy(&a.dw[9], &va, 8);
	memcpy(&a.dw[13], &signal, 8);
	return a;
}

void aql_put(struct queue *q, const struct aql *packet)
{
	struct aql *slot = (struct aql *)(void *)q->ring + q->written % (q->ring_size / 64);

	memcpy(slot->dw, packet->dw, sizeof(slot->dw));
	__atomic_store_n((uint32_t *)(void *)slot, packet->header | (uint32_t)packet->setup << 16,
			 __ATOMIC_RELEASE);
	atomic_store(q->wptr, q->written + 1);
	atomic_store(q->doorbell, q->written++);
	kfd_process_unpark(q->proc->kfd);
}

void ring_put(struct queue *q, const uint32_t *dw, unsigned num)
{
	bool pm4 = q->type == KFD_IOC_QUEUE_TYPE_COMPUTE;
	uint64_t at = pm4 ? q->written * 4 : q->written;

	for (unsigned i = 0; i < num; i++, at += 4)
		memcpy(q->ring + at % q->ring_size, &dw[i], 4);
	q->written = pm4 ? at / 4 : at;
	atomic_store(q->doorbell, q->written);
	kfd_process_unpark(q->proc->kfd);
}

bool ring_drained(struct queue *q, unsigned ms)
{
	uint64_t want = q->written;

	if (q->type == KFD_IOC_QUEUE_TYPE_COMPUTE)
		want %= q->ring_size / 4;
	return WAIT_FOR(atomic_load(q->rptr) == want, ms);
}

bool wait_signal(struct signal *s, int64_t value, unsigned ms)
{
	return WAIT_FOR(atomic_load(&s->value) == value, ms);
}

bool wait_fault(struct proc *p, unsigned ms)
{
	return WAIT_FOR(atomic_load(&p->faults), ms);
}

static enum outcome outcome_now(struct queue *q, struct signal *done)
{
	if (atomic_load(&q->proc->faults))
		return FAULTED;
	if (atomic_load(&q->inactive->value))
		return ERRORED;
	return atomic_load(&done->value) ? HUNG : RAN;
}

struct result attack(struct proc *p, const char *kernel, uint64_t address, uint64_t value,
		     uint64_t more, unsigned lds)
{
	struct signal *done = signal_make(p, 1);
	uint64_t *out = arena_alloc(p, 64);
	uint64_t args[4] = {address, arena_va(p, out), value, more};
	struct kfd_ioctl_destroy_queue_args destroy = {0};
	struct result r = {.outcome = HUNG};
	struct aql packet = aql_kernel(p, kernel, args, lds, 0, done);
	struct queue q;

	queue_open(&q, p, KFD_IOC_QUEUE_TYPE_COMPUTE_AQL);
	aql_put(&q, &packet);
	WAIT_FOR((r.outcome = outcome_now(&q, done)) != HUNG, WAIT_MS);
	r.value = out[0];
	if (r.outcome == RAN && (uint32_t)out[1] != 0x600d)
		r.outcome = HUNG; /* a lie: it did not come to its end */
	destroy.queue_id = q.id;
	assert_int_equal(CALL(p, DESTROY_QUEUE, &destroy), 0);
	return r;
}
