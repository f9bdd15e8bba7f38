/* SPDX-License-Identifier: MIT */
/*
 * aql.c - AQL packets (HSA Platform System Architecture, "Architected Queuing Language"; AMD's
 * vendor packets as ROCr writes them).
 *
 * A queue handles one packet at a time, in order, so barrier bits hold by construction. States:
 *
 *   FETCH    look for a packet at the read index
 *   WAIT     a barrier packet's condition does not hold yet
 *   SCRATCH  the kernel needs more scratch than the queue has: asked for it through the
 *            inactive signal, wait for 0, fetch again
 *   RUN      a kernel runs
 *   IB       PM4 of a vendor packet runs
 *   RECLAIM  scratch for one use is given back through the inactive signal, wait for 0
 *   COMPLETE done, but its completion signal lies in pageable memory that is not there yet
 *
 * The packet stays valid in the ring until its work is done: the kernel may read it, and ROCr's
 * scratch handler does.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

enum {
	AQL_PACKET_BYTES = 64,
	AQL_HEADER_INVALID = 1,
	LOOK_PASSES = 16,
	/* amd_queue_t, from its start */
	AMD_QUEUE_READ_ID = 0x80,
	AMD_QUEUE_TMPRING = 0x8c,
	AMD_QUEUE_SCRATCH_RSRC = 0x90,
	AMD_QUEUE_SCRATCH_BASE = 0xa0,
	AMD_QUEUE_SCRATCH_LANE_BYTES = 0xb0,
	AMD_QUEUE_PROPERTIES = 0xb4,
	AMD_QUEUE_INACTIVE = 0xc0,
	AMD_QUEUE_USE_SCRATCH_ONCE = 1 << 4,
	/* values of the inactive signal */
	INACTIVE_MORE_SCRATCH = 1, /* 0x400 is wave32's; all targets here are wave64 */
	INACTIVE_RECLAIM = 512,
};

static uint64_t packet64(const struct gpu_queue *q, unsigned dword)
{
	return q->packet[dword] | (uint64_t)q->packet[dword + 1] << 32;
}

static uint64_t queue_va(const struct gpu_queue *q)
{
	return q->desc.read_ptr_va - AMD_QUEUE_READ_ID;
}

static uint64_t packet_va(const struct gpu_queue *q)
{
	return q->desc.ring_va + ((q->rptr * AQL_PACKET_BYTES) & (q->desc.ring_size - 1));
}

/*
 * The header at the read index if a packet there is to be done. A doorbell holds the index of one
 * submitted packet, and a new value announces all up to it: then the headers say what there is. But
 * producers may ring out of order, of several stores only the last may be seen, and the first may
 * store what was there. So without news all valid packets below the write index count: as long as
 * the doorbell is at or past the read index, and once some passes after a packet was done (or now,
 * at_once); not sooner, for a producer that waited for that packet would be held up by our reading
 * the lines it is writing. False: nothing to do, or a fault was raised (*fault).
 */
static bool peek(struct gpu_queue *q, bool at_once, uint32_t *header, bool *fault)
{
	uint64_t doorbell = __atomic_load_n(q->desc.doorbell, __ATOMIC_ACQUIRE), *p;
	bool rung = doorbell != q->doorbell_seen;
	const uint32_t *packet;

	*fault = false;
	if (rung) {
		q->doorbell_seen = doorbell;
		q->announced = doorbell + 1;
	}
	if (q->rptr >= q->announced) {
		if (q->rptr > doorbell && !(q->more && (!--q->more || at_once)))
			return false;
		p = vm_ptr64(q->vm, q->desc.write_ptr_va, GPU_PROT_READ);
		if (!p) {
			vm_fault(q, q->desc.write_ptr_va, false, false);
			*fault = true;
			return false;
		}
		if (q->rptr >= __atomic_load_n(p, __ATOMIC_ACQUIRE))
			return false;
	}
	packet = vm_ptr32(q->vm, packet_va(q), GPU_PROT_READ);
	if (!packet) {
		vm_fault(q, packet_va(q), false, false);
		*fault = true;
		return false;
	}
	if (rung) {
		prefetch_write(packet);
		prefetch_write(vm_ptr64(q->vm, q->desc.read_ptr_va, GPU_PROT_WRITE));
	}
	*header = __atomic_load_n(packet, __ATOMIC_ACQUIRE);
	return (*header & 0xff) != AQL_HEADER_INVALID;
}

bool aql_busy(struct gpu_queue *q)
{
	uint32_t header;
	bool fault;

	return q->phase != AQL_FETCH || peek(q, true, &header, &fault) || fault;
}

/* Frees the packet's slot and completes its signal; the work ended at end_ns. */
static enum step complete_at(struct gpu_queue *q, uint64_t end_ns)
{
	const struct gpu *gpu = q->vm->gpu;
	uint64_t signal = packet64(q, 14), va = packet_va(q);
	uint64_t *read = vm_ptr64(q->vm, q->desc.read_ptr_va, GPU_PROT_WRITE);
	uint16_t *header = vm_translate(q->vm, va, GPU_PROT_WRITE, NULL);
	struct signal_at at;

	q->phase = AQL_FETCH;
	/* All of it must be there, and is found once, for it may go at any time: it is not done in parts. */
	if (!header || !read)
		vm_fault(q, header ? q->desc.read_ptr_va : va, true, false);
	if (!header || !read || (signal && !signal_find(q, signal, &at))) {
		q->phase = q->waits_pages ? AQL_COMPLETE : AQL_FETCH;
		return STEP_PROGRESS;
	}
	__atomic_store_n(header, AQL_HEADER_INVALID, __ATOMIC_RELEASE);
	q->rptr++;
	q->more = LOOK_PASSES;
	__atomic_store_n(read, q->rptr, __ATOMIC_RELEASE);
	if (signal)
		signal_complete(q, &at, clock_at(gpu, q->start_ns), clock_at(gpu, end_ns));
	return STEP_PROGRESS;
}

static enum step complete(struct gpu_queue *q)
{
	return complete_at(q, now_ns());
}

static enum step fail(struct gpu_queue *q, enum queue_error code, const char *why)
{
	q->phase = AQL_FETCH;
	queue_error(q, code, why);
	return STEP_PROGRESS;
}

/* ------------------------------------------------------------------ barriers */

/* Barrier-AND: every signal that is named is 0; barrier-OR: one of them is. */
static enum step barrier_wait(struct gpu_queue *q, bool all)
{
	bool any = false, zero = false;

	for (unsigned i = 0; i < 5; i++) {
		uint64_t signal = packet64(q, 2 + 2 * i), value;

		if (!signal)
			continue;
		if (!queue_load64(q, signal + SIGNAL_VALUE, &value))
			return STEP_WAIT;
		any = true;
		if (!value)
			zero = true;
		else if (all)
			return STEP_WAIT;
	}
	return !any || all || zero ? complete(q) : STEP_WAIT;
}

/* AMD's barrier-value packet: (signal value & mask) compared with a value. */
static enum step barrier_value_wait(struct gpu_queue *q)
{
	uint64_t signal = packet64(q, 2), value;
	int64_t ref = (int64_t)packet64(q, 4);
	bool holds;

	if (!signal)
		return complete(q);
	if (!queue_load64(q, signal + SIGNAL_VALUE, &value))
		return STEP_WAIT;
	value &= packet64(q, 6);
	switch (q->packet[8]) { /* hsa_signal_condition32_t */
	case 0:
		holds = (int64_t)value == ref;
		break;
	case 1:
		holds = (int64_t)value != ref;
		break;
	case 2:
		holds = (int64_t)value < ref;
		break;
	case 3:
		holds = (int64_t)value >= ref;
		break;
	default:
		return fail(q, QERR_VENDOR, "barrier-value packet with an unknown condition");
	}
	return holds ? complete(q) : STEP_WAIT;
}

static enum step begin_barrier(struct gpu_queue *q)
{
	q->phase = AQL_WAIT;
	return STEP_PROGRESS;
}

/* ------------------------------------------------------------------ kernel dispatch */

static enum step need_scratch(struct gpu_queue *q)
{
	uint64_t signal;

	if (!queue_load64(q, queue_va(q) + AMD_QUEUE_INACTIVE, &signal))
		return STEP_WAIT;
	if (!signal)
		return fail(q, QERR_CODE, "not enough scratch, and no signal to ask for more");
	log_debug("asking for %u bytes of scratch per work-item", q->packet[6]);
	if (!signal_store(q, signal, INACTIVE_MORE_SCRATCH))
		return STEP_WAIT;
	q->phase = AQL_SCRATCH;
	return STEP_PROGRESS;
}

/* SCRATCH and RECLAIM: until the runtime has stored 0. */
static enum step wait_inactive(struct gpu_queue *q)
{
	uint64_t signal, value;

	if (!queue_load64(q, queue_va(q) + AMD_QUEUE_INACTIVE, &signal))
		return STEP_WAIT;
	if (!queue_load64(q, signal + SIGNAL_VALUE, &value) || value)
		return STEP_WAIT;
	q->phase = AQL_FETCH;
	return STEP_PROGRESS;
}

struct kernel_descriptor { /* LLVM AMDGPUUsage "Kernel Descriptor"; amd_kernel_code_t has the used
			      fields at the same offsets */
	uint32_t group_bytes, private_bytes, kernarg_bytes, reserved0;
	int64_t entry_offset;
	uint8_t reserved1[20];
	uint32_t rsrc3, rsrc1, rsrc2;
	uint16_t properties, kernarg_preload;
	uint8_t reserved2[4];
};
_Static_assert(sizeof(struct kernel_descriptor) == 64, "kernel descriptor is 64 bytes");

/* Sizes of the grid. 0, or the queue error. */
static int setup_sizes(struct gpu_queue *q, struct dispatch_setup *s)
{
	const uint32_t *p = q->packet;
	unsigned dims = p[0] >> 16 & 3;
	uint16_t size[3] = {p[1] & 0xffff, p[1] >> 16, p[2] & 0xffff};
	uint32_t grid[3] = {p[3], p[4], p[5]};

	if (!dims)
		return QERR_DIM;
	for (unsigned i = dims; i < 3; i++)
		size[i] = grid[i] = 1;
	return dispatch_sizes(s, size, grid);
}

static int setup_code(struct gpu_queue *q, struct dispatch_setup *s)
{
	uint64_t object = packet64(q, 8), bad;
	struct kernel_descriptor kd;

	if (!object || (object & 63) || !vm_copy_in(q->vm, object, &kd, sizeof(kd), &bad))
		return QERR_CODE;
	s->entry_pc = object + (uint64_t)kd.entry_offset;
	if ((s->entry_pc & 255) || !vm_translate(q->vm, s->entry_pc, GPU_PROT_EXEC, NULL))
		return QERR_CODE;
	s->rsrc1 = kd.rsrc1;
	s->rsrc2 = kd.rsrc2;
	s->rsrc3 = kd.rsrc3;
	s->properties = kd.properties;
	s->kernarg_preload = kd.kernarg_preload;
	return 0;
}

struct scratch_state { /* amd_queue_t from 0x8c to 0xb8 */
	uint32_t tmpring, rsrc[4], base[2], bytes[2], lane_bytes, properties;
};

static enum step begin_dispatch(struct gpu_queue *q)
{
	struct gpu *gpu = q->vm->gpu;
	struct dispatch *d = &q->dispatch;
	struct dispatch_setup s = {.target = gpu->target};
	struct scratch_state scratch;
	uint64_t va = queue_va(q), bad;
	unsigned waves;
	int err;

	q->kernel = packet64(q, 8);
	err = setup_sizes(q, &s);
	if (err)
		return fail(q, err, "grid or work-group sizes of the dispatch");
	s.private_segment_size = q->packet[6];
	s.group_segment_size = q->packet[7];
	err = setup_code(q, &s);
	if (err)
		return fail(q, err, "kernel object or its code is not there");
	err = dispatch_shape(q, &s);
	if (err)
		return fail(q, err,
			    "more LDS or registers than a work-group of this size can have");

	if (!vm_copy_in(q->vm, va + AMD_QUEUE_TMPRING, &scratch, sizeof(scratch), &bad)) {
		vm_fault(q, bad, false, false);
		return STEP_WAIT;
	}
	/* COMPUTE_TMPRING_SIZE: WAVES [11:0], WAVESIZE [24:12] in units of 1 KiB */
	waves = scratch.tmpring & 0xfff;
	s.scratch_wave_bytes = (scratch.tmpring >> 12 & 0x1fff) * 1024;
	if (s.private_segment_size) {
		if (s.private_segment_size > scratch.lane_bytes || waves < d->waves_per_wg ||
		    (uint64_t)s.private_segment_size * WAVE_LANES > s.scratch_wave_bytes)
			return need_scratch(q);
		if (d->cap > waves / d->waves_per_wg)
			d->cap = waves / d->waves_per_wg;
	}
	memcpy(s.scratch_rsrc, scratch.rsrc, sizeof(s.scratch_rsrc));
	s.scratch_base = scratch.base[0] | (uint64_t)scratch.base[1] << 32;
	s.kernarg_va = packet64(q, 10);
	s.dispatch_packet_va = packet_va(q);
	s.queue_va = va;
	s.dispatch_id = q->rptr;
	s.shared_base = atomic_load(&q->vm->shared_base);
	s.private_base = atomic_load(&q->vm->private_base);
	err = dispatch_launch(q, &s, q->kernel, q->start_ns);
	if (err)
		return fail(q, err, "the kernel's resources cannot be had");
	q->phase = AQL_RUN;
	return STEP_PROGRESS;
}

/* The kernel has ended. */
static enum step finish(struct gpu_queue *q)
{
	struct scratch_state scratch;
	uint64_t signal, bad;
	bool once = false;

	q->phase = AQL_COMPLETE;
	if (q->dispatch.setup.private_segment_size) {
		if (!vm_copy_in(q->vm, queue_va(q) + AMD_QUEUE_TMPRING, &scratch, sizeof(scratch), &bad)) {
			vm_fault(q, bad, false, false);
			return STEP_WAIT;
		}
		once = scratch.properties & AMD_QUEUE_USE_SCRATCH_ONCE;
	}
	complete_at(q, q->dispatch.end_ns);
	if (q->waits_pages)
		return STEP_WAIT;
	if (once && queue_load64(q, queue_va(q) + AMD_QUEUE_INACTIVE, &signal) && signal) {
		q->phase = AQL_RECLAIM;
		signal_store(q, signal, INACTIVE_RECLAIM);
	}
	return STEP_PROGRESS;
}

static enum step running(struct gpu_queue *q)
{
	enum step step = dispatch_end(q);

	return step == STEP_WAIT || q->stopped ? step : finish(q);
}

/* ------------------------------------------------------------------ vendor packets */

enum { VENDOR_PM4_IB = 1, VENDOR_BARRIER_VALUE = 2 };

static enum step begin_vendor(struct gpu_queue *q)
{
	const uint32_t *p = q->packet;

	switch (p[0] >> 16 & 0xff) {
	case VENDOR_PM4_IB:
		/* dwords 1-4: an INDIRECT_BUFFER packet */
		if (p[1] >> 30 != 3 || (p[1] >> 8 & 0xff) != 0x3f)
			return fail(q, QERR_VENDOR, "PM4 packet without INDIRECT_BUFFER");
		q->pm4.depth = 0;
		pm4_push(q, (p[2] & ~3u) | (uint64_t)(p[3] & 0xffff) << 32, p[4] & 0xfffff);
		q->phase = AQL_IB;
		return STEP_PROGRESS;
	case VENDOR_BARRIER_VALUE:
		return begin_barrier(q);
	}
	return fail(q, QERR_VENDOR, "unknown vendor packet");
}

static enum step running_ib(struct gpu_queue *q)
{
	unsigned budget = PM4_PACKETS_PER_STEP;
	enum step step = pm4_run(q, 0, &budget);

	return step == STEP_IDLE ? complete(q) : step;
}

/* ------------------------------------------------------------------ the machine */

/* Packet types as HSA numbers them; what is missing (agent dispatch among them) no GPU takes. */
enum { AQL_VENDOR = 0, AQL_DISPATCH = 2, AQL_BARRIER_AND = 3, AQL_BARRIER_OR = 5 };

static enum step (*const types[])(struct gpu_queue *q) = {
	[AQL_VENDOR] = begin_vendor,
	[AQL_DISPATCH] = begin_dispatch,
	[AQL_BARRIER_AND] = begin_barrier,
	[AQL_BARRIER_OR] = begin_barrier,
};

static enum step fetch(struct gpu_queue *q)
{
	uint64_t va = packet_va(q), bad;
	uint32_t header;
	unsigned type;
	bool fault;

	if (!peek(q, false, &header, &fault)) {
		q->vm->gpu->look_again |= q->more;
		return fault ? STEP_WAIT : STEP_IDLE;
	}
	q->packet[0] = header;
	if (!vm_copy_in(q->vm, va + 4, q->packet + 1, AQL_PACKET_BYTES - 4, &bad)) {
		vm_fault(q, bad, false, false);
		return STEP_WAIT;
	}
	q->start_ns = now_ns();
	q->kernel = 0;
	atomic_fetch_add_explicit(&q->vm->packets, 1, memory_order_relaxed);
	type = header & 0xff;
	if (type >= sizeof(types) / sizeof(types[0]) || !types[type])
		return fail(q, QERR_PACKET, "unknown packet type");
	return types[type](q);
}

static enum step waiting(struct gpu_queue *q)
{
	switch (q->packet[0] & 0xff) {
	case AQL_BARRIER_AND:
		return barrier_wait(q, true);
	case AQL_BARRIER_OR:
		return barrier_wait(q, false);
	}
	return barrier_value_wait(q);
}

static enum step completing(struct gpu_queue *q)
{
	return (q->packet[0] & 0xff) == AQL_DISPATCH ? finish(q) : complete(q);
}

static enum step (*const phases[])(struct gpu_queue *q) = {
	[AQL_FETCH] = fetch, [AQL_WAIT] = waiting,  [AQL_SCRATCH] = wait_inactive,
	[AQL_RUN] = running, [AQL_IB] = running_ib, [AQL_RECLAIM] = wait_inactive,
	[AQL_COMPLETE] = completing,
};

enum step aql_step(struct gpu_queue *q)
{
	enum step step = STEP_PROGRESS;
	bool progress = false, ib;

	for (unsigned i = 0; i < AQL_PACKETS_PER_STEP && step == STEP_PROGRESS && !q->stopped;
	     i++) {
		if (atomic_load_explicit(&q->vm->fault_state, memory_order_relaxed))
			break;
		ib = q->phase == AQL_IB;
		step = phases[q->phase](q);
		progress |= step == STEP_PROGRESS;
		if (q->waits_pages)
			break;
		if (ib) /* it had the whole budget of a step */
			break;
	}
	return progress ? STEP_PROGRESS : step;
}
