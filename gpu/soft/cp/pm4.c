/* SPDX-License-Identifier: MIT */
/*
 * pm4.c - PM4 packets, in plain compute queues and in the indirect buffers of AQL vendor packets.
 *
 * Packet layouts: Linux soc15d.h. Type 3 packets have count + 2 dwords. Doorbell and write pointer
 * of a PM4 queue count dwords since its creation; the read pointer in memory is an index into the
 * ring, as the hardware reports it.
 *
 * A packet is read once before it is looked at. One whose condition does not hold yet is read, and
 * checked, anew when it is tried again; a DMA_DATA that is done in pieces goes on as it was when it
 * began, whatever its program makes of it meanwhile.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <string.h>

#include "base/log.h"

/* WRITE_DATA of up to so many dwords stores results and needs no turn on the GPU. */
enum { WRITE_DATA_SMALL = 64 };

enum result { DONE, MORE, WAIT, STOP };

/* One packet: where it is, and its first dwords. */
struct pm4_packet {
	uint64_t va; /* of the header; 0: in the ring at dword `pos` */
	uint64_t pos;
	unsigned dwords; /* after the header */
	uint32_t body[PM4_BODY_MAX];
	uint64_t budget, moved; /* bytes to move in this step */
};

static bool fetch(struct gpu_queue *q, uint64_t va, uint64_t pos, uint32_t *buf, unsigned dwords)
{
	uint64_t bad;

	if (!va)
		return ring_read(q, pos * 4, buf, 4ull * dwords);
	if (vm_copy_in(q->vm, va, buf, 4ull * dwords, &bad))
		return true;
	vm_fault(q, bad, false, false);
	return false;
}

static uint64_t body64(const struct pm4_packet *p, unsigned dword)
{
	return p->body[dword] | (uint64_t)p->body[dword + 1] << 32;
}

static enum result garbage(struct gpu_queue *q, const char *why)
{
	queue_error(q, q->desc.type == GPU_QUEUE_AQL ? QERR_VENDOR : QERR_PACKET, why);
	return STOP;
}

bool pm4_push(struct gpu_queue *q, uint64_t va, uint32_t dwords)
{
	if (q->pm4.depth == PM4_IB_DEPTH)
		return false;
	q->pm4.frame[q->pm4.depth++] = (struct pm4_frame){.va = va, .size = dwords};
	return true;
}

/* ------------------------------------------------------------------ packets */

static enum result op_nop(struct gpu_queue *q, struct pm4_packet *p)
{
	return DONE;
}

static enum result op_acquire_mem(struct gpu_queue *q, struct pm4_packet *p)
{
	if (p->body[0] >> 29 & 1) /* SH_ICACHE_ACTION_ENA */
		code_cache_revalidate(q->vm->code);
	return DONE;
}

static enum result op_indirect_buffer(struct gpu_queue *q, struct pm4_packet *p)
{
	uint64_t va = (p->body[0] & ~3u) | (uint64_t)(p->body[1] & 0xffff) << 32;

	if (!va)
		return garbage(q, "indirect buffer at 0");
	/* CHAIN: instead of the rest of this one */
	if ((p->body[2] >> 20 & 1) && q->pm4.depth)
		q->pm4.depth--;
	return pm4_push(q, va, p->body[2] & 0xfffff)
		       ? DONE
		       : garbage(q, "indirect buffers nested too deep");
}

static bool store32(struct gpu_queue *q, uint64_t va, uint32_t value)
{
	uint32_t *to = vm_ptr32(q->vm, va, GPU_PROT_WRITE);

	if (to)
		__atomic_store_n(to, value, __ATOMIC_RELEASE);
	else
		vm_fault(q, va, true, false);
	return to;
}

static enum result op_write_data(struct gpu_queue *q, struct pm4_packet *p)
{
	unsigned dst = p->body[0] >> 8 & 0xf, data = p->dwords - 3;
	bool one_address = p->body[0] >> 16 & 1, ok = true;
	uint64_t va = body64(p, 1) & ~3ull;

	if (dst != 1 && dst != 2 && dst != 5)
		return garbage(q, "WRITE_DATA to something that is not memory");
	if (data > WRITE_DATA_SMALL && !copy_begin(q))
		return WAIT;
	for (unsigned i = 0; i < data && ok;) {
		uint32_t buf[64];
		unsigned n = data - i < 64 ? data - i : 64;

		ok = fetch(q, p->va ? p->va + 4ull * (4 + i) : 0, p->pos + 4 + i, buf, n);
		if (!ok)
			break;
		for (unsigned k = 0; k < n && ok; k++, i++)
			ok = store32(q, va + (one_address ? 0 : 4ull * i), buf[k]);
	}
	if (data > WRITE_DATA_SMALL)
		copy_end(q, 4ull * data);
	return ok ? DONE : STOP;
}

static enum result op_release_mem(struct gpu_queue *q, struct pm4_packet *p)
{
	unsigned data_sel = p->body[1] >> 29, int_sel = p->body[1] >> 24 & 7;
	uint64_t va = body64(p, 2);
	bool ok = true;

	if (data_sel == 1)
		ok = store32(q, va, p->body[4]);
	else if (data_sel == 2)
		ok = queue_store64(q, va, body64(p, 4));
	else if (data_sel == 3 || data_sel == 4)
		ok = queue_store64(q, va, gpu_clock(q->vm->gpu));
	else if (data_sel)
		return garbage(q, "RELEASE_MEM of unknown data");
	if (!ok)
		return STOP;
	if ((int_sel == 1 || int_sel == 2) && p->dwords >= 7)
		vm_signal_event(q->vm, p->body[6] & 0x7fffff);
	return DONE;
}

static enum result op_copy_data(struct gpu_queue *q, struct pm4_packet *p)
{
	unsigned src = p->body[0] & 0xf, dst = p->body[0] >> 8 & 0xf;
	bool wide = p->body[0] >> 16 & 1;
	uint64_t value = body64(p, 1), from = value;
	uint32_t low;

	switch (src) {
	case 1: /* memory */
	case 2: /* L2 */
		if (wide) {
			if (!queue_load64(q, from, &value))
				return STOP;
		} else {
			if (!queue_load32(q, from, &low))
				return STOP;
			value = low;
		}
		break;
	case 5: /* immediate */
		break;
	case 9: /* clock */
		value = gpu_clock(q->vm->gpu);
		break;
	default:
		return garbage(q, "COPY_DATA from something that is not memory");
	}
	if (dst != 1 && dst != 2 && dst != 5)
		return garbage(q, "COPY_DATA to something that is not memory");
	return (wide ? queue_store64(q, body64(p, 3), value)
		     : store32(q, body64(p, 3), (uint32_t)value))
		       ? DONE
		       : STOP;
}

static enum result op_wait_reg_mem(struct gpu_queue *q, struct pm4_packet *p)
{
	uint32_t value;

	if ((p->body[0] >> 4 & 3) != 1) /* a register: there are none to wait for */
		return DONE;
	if (!queue_load32(q, body64(p, 1) & ~3ull, &value))
		return STOP;
	return mem_compare(p->body[0], value & p->body[4], p->body[3]) ? DONE : WAIT;
}

static enum result op_wait_reg_mem64(struct gpu_queue *q, struct pm4_packet *p)
{
	uint64_t value;

	if ((p->body[0] >> 4 & 3) != 1)
		return DONE;
	if (!queue_load64(q, body64(p, 1) & ~7ull, &value))
		return STOP;
	return mem_compare(p->body[0], value & body64(p, 5), body64(p, 3)) ? DONE : WAIT;
}

static enum result op_atomic_mem(struct gpu_queue *q, struct pm4_packet *p)
{
	bool matched, fault;

	if (!mem_atomic(q, p->body[0] & 0x7f, body64(p, 1), body64(p, 3), body64(p, 5),
			&matched, &fault))
		return fault ? STOP : garbage(q, "ATOMIC_MEM of an unknown operation");
	/* COMMAND 1: loop until the comparison held */
	return !matched && (p->body[0] >> 8 & 0xf) == 1 ? WAIT : DONE;
}

static enum result op_dma_data(struct gpu_queue *q, struct pm4_packet *p)
{
	unsigned src = p->body[0] >> 29 & 3, dst = p->body[0] >> 20 & 3;
	uint64_t size = p->body[5] & 0x3ffffff, done = q->pm4.dma_done, len = size - done;

	if (src == 1 || dst == 1 || (p->body[5] & (3u << 26)))
		return garbage(q, "DMA_DATA with GDS or registers");
	if (len > p->budget)
		len = p->budget & ~3ull;
	if (len) {
		if (!copy_begin(q))
			return WAIT;
		len = src == 2 ? fill_chunk(q, body64(p, 3) + done, p->body[1], len)
			       : copy_chunk(q, body64(p, 3) + done, body64(p, 1) + done, len, false);
		copy_end(q, len);
		if (!len)
			return STOP;
	}
	p->moved = len;
	q->pm4.dma_done += len;
	if (q->pm4.dma_done < size)
		return MORE;
	q->pm4.dma_done = 0;
	return DONE;
}

/*
 * Compute registers, as dword indices from COMPUTE_DISPATCH_INITIATOR (0x2e00; SET_SH_REG counts
 * from 0x2c00): Linux gc_9_0_offset.h. Others of that space belong to graphics or to the placing of
 * waves and have no effect here.
 */
enum {
	SH_COMPUTE = 0x200,
	REG_NUM_THREAD = 0x07,
	REG_PGM_LO = 0x0c,
	REG_PGM_HI = 0x0d,
	REG_RSRC1 = 0x12,
	REG_RSRC2 = 0x13,
	REG_TMPRING = 0x18,
	REG_RSRC3 = 0x2d,
	REG_USER_DATA = 0x40,
	INITIATOR_SHADER_EN = 1 << 0,
	INITIATOR_THREAD_DIMENSIONS = 1 << 5,
};

static enum result op_set_sh_reg(struct gpu_queue *q, struct pm4_packet *p)
{
	unsigned first = p->body[0] & 0xffff, i = first < SH_COMPUTE ? SH_COMPUTE - first : 0;

	for (; i + 1 < p->dwords && first + i < SH_COMPUTE + PM4_COMPUTE_REGS; i++) {
		unsigned reg = first + i - SH_COMPUTE;
		uint32_t value;

		if (!fetch(q, p->va ? p->va + 4ull * (2 + i) : 0, p->pos + 2 + i, &value, 1))
			return STOP;
		q->pm4.reg[reg] = value;
	}
	return DONE;
}

static enum result op_dispatch_direct(struct gpu_queue *q, struct pm4_packet *p)
{
	const uint32_t *reg = q->pm4.reg;
	struct dispatch_setup s = {
		.target = q->vm->gpu->target,
		.entry_pc = (reg[REG_PGM_LO] | (uint64_t)(reg[REG_PGM_HI] & 0xff) << 32) << 8,
		.rsrc1 = reg[REG_RSRC1],
		.rsrc2 = reg[REG_RSRC2],
		.rsrc3 = reg[REG_RSRC3],
		.group_segment_size = (reg[REG_RSRC2] >> 15 & 0x1ff) * 512,
		.scratch_wave_bytes = (reg[REG_TMPRING] >> 12 & 0x1fff) * 1024,
		.user_sgprs_given = true,
		.shared_base = atomic_load(&q->vm->shared_base),
		.private_base = atomic_load(&q->vm->private_base),
	};
	unsigned waves = reg[REG_TMPRING] & 0xfff;
	uint16_t size[3];
	uint32_t grid[3];
	int err;

	q->kernel = s.entry_pc;
	if (!(p->body[3] & INITIATOR_SHADER_EN) || !p->body[0] || !p->body[1] || !p->body[2])
		return DONE; /* nothing to launch */
	for (unsigned i = 0; i < 3; i++) {
		uint64_t items = p->body[i];

		size[i] = reg[REG_NUM_THREAD + i] & 0xffff;
		if (!(p->body[3] & INITIATOR_THREAD_DIMENSIONS))
			items *= size[i];
		if (items > UINT32_MAX)
			return garbage(q, "DISPATCH_DIRECT of more than 2^32 work-items");
		grid[i] = (uint32_t)items;
	}
	memcpy(s.user_sgpr, reg + REG_USER_DATA, sizeof(s.user_sgpr));
	err = dispatch_sizes(&s, size, grid);
	if (!err && !vm_translate(q->vm, s.entry_pc, GPU_PROT_EXEC, NULL))
		err = QERR_CODE;
	if (!err)
		err = dispatch_shape(q, &s);
	if (!err && (s.rsrc2 & 1)) { /* SCRATCH_EN */
		if (waves < q->dispatch.waves_per_wg)
			err = QERR_REGISTERS;
		else if (q->dispatch.cap > waves / q->dispatch.waves_per_wg)
			q->dispatch.cap = waves / q->dispatch.waves_per_wg;
	}
	if (!err)
		err = dispatch_launch(q, &s, s.entry_pc, now_ns());
	if (!err)
		return DONE;
	queue_error(q, err, "DISPATCH_DIRECT");
	return STOP;
}

/* min: dwords after the header that the packet must have. */
static const struct pm4_op {
	uint8_t op;
	uint8_t min;
	const char *name;
	enum result (*run)(struct gpu_queue *q, struct pm4_packet *p);
} ops[] = {
	{0x10, 0, "NOP", op_nop},
	{0x15, 4, "DISPATCH_DIRECT", op_dispatch_direct},
	{0x1e, 7, "ATOMIC_MEM", op_atomic_mem},
	{0x37, 4, "WRITE_DATA", op_write_data},
	{0x3c, 6, "WAIT_REG_MEM", op_wait_reg_mem},
	{0x3f, 3, "INDIRECT_BUFFER", op_indirect_buffer},
	{0x40, 5, "COPY_DATA", op_copy_data},
	{0x46, 1, "EVENT_WRITE", op_nop}, /* flushes: all before is done already */
	{0x49, 6, "RELEASE_MEM", op_release_mem},
	{0x50, 6, "DMA_DATA", op_dma_data},
	{0x58, 6, "ACQUIRE_MEM", op_acquire_mem},
	{0x76, 2, "SET_SH_REG", op_set_sh_reg},
	{0x93, 8, "WAIT_REG_MEM64", op_wait_reg_mem64},
};

/* What a packet takes of a step's budget: a long one, or one that moves much, as much as many. */
static void pay(const struct pm4_packet *p, unsigned *budget)
{
	unsigned cost = 1 + p->dwords / 256 + (unsigned)(p->moved / 4096);

	*budget -= *budget < cost ? *budget : cost;
}

/*
 * Runs the packet at the frame's position, or without a frame the ring's, of which at most avail
 * dwords are there. A frame's position is moved (back again if the packet is not done). *dwords:
 * the packet's length. *budget: packets left in this step; there is one at least.
 */
static enum result run_packet(struct gpu_queue *q, struct pm4_frame *f, uint64_t avail,
			      unsigned *dwords, unsigned *budget)
{
	struct pm4_packet p = {
		.va = f ? f->va + 4ull * f->pos : 0, .pos = q->rptr, .budget = q->vm->copy_left};
	const struct pm4_op *op = NULL;
	enum result result = DONE;
	bool goes_on = q->pm4.dma_done;
	uint32_t header = q->pm4.dma_packet[0];

	*dwords = 1;
	if (!goes_on && !fetch(q, p.va, p.pos, &header, 1))
		return STOP;
	p.dwords = (header >> 16 & 0x3fff) + 1;
	if (header >> 30 == 2 || /* type 2: filler */
	    (header >> 30 == 3 && (header >> 8 & 0xff) == 0x10 &&
	     p.dwords == 0x4000) /* NOP of one dword */) {
		if (f)
			f->pos++;
		--*budget;
		return DONE;
	}
	if (header >> 30 != 3)
		return garbage(q, "PM4 packet that is not of type 3");
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i].op == (header >> 8 & 0xff))
			op = &ops[i];
	}
	if (!op) {
		log_warn("PM4 packet header %#x", header);
		return garbage(q, "unknown PM4 packet");
	}
	if (p.dwords < op->min || p.dwords + 1 > avail)
		return garbage(q, "PM4 packet of wrong length");
	*dwords = p.dwords + 1;
	if (goes_on)
		memcpy(p.body, q->pm4.dma_packet + 1, sizeof(p.body));
	else if (!fetch(q, f ? p.va + 4 : 0, p.pos + 1, p.body,
			p.dwords < PM4_BODY_MAX ? p.dwords : PM4_BODY_MAX))
		return STOP;
	if (f)
		f->pos += *dwords;
	result = op->run(q, &p);
	if (q->pm4.dma_done && !goes_on) {
		q->pm4.dma_packet[0] = header;
		memcpy(q->pm4.dma_packet + 1, p.body, sizeof(p.body));
	}
	if (result == STOP && q->waits_pages)
		result = WAIT;
	pay(&p, budget);
	if (f && (result == WAIT || result == MORE))
		f->pos -= *dwords;
	return result;
}

/* ------------------------------------------------------------------ buffers and rings */

enum step pm4_run(struct gpu_queue *q, unsigned base, unsigned *budget)
{
	struct pm4_state *s = &q->pm4;
	bool progress = false;

	for (;;) {
		struct pm4_frame *f = s->depth ? &s->frame[s->depth - 1] : NULL;
		unsigned dwords;

		/* One thing after the other: a kernel ends before the next packet. */
		if (q->dispatch.active && dispatch_end(q) == STEP_WAIT)
			return progress ? STEP_PROGRESS : STEP_WAIT;
		if (q->stopped)
			return STEP_PROGRESS;
		if (s->depth <= base)
			return STEP_IDLE;
		if (f->pos >= f->size) {
			s->depth--;
			continue;
		}
		if (!*budget)
			return STEP_PROGRESS;
		switch (run_packet(q, f, f->size - f->pos, &dwords, budget)) {
		case DONE:
			progress = true;
			break;
		case WAIT:
			return progress ? STEP_PROGRESS : STEP_WAIT;
		default:
			return STEP_PROGRESS;
		}
	}
}

/* Dwords submitted and not done yet; ~0: garbage. */
static uint64_t available(const struct gpu_queue *q)
{
	uint64_t wptr = __atomic_load_n(q->desc.doorbell, __ATOMIC_ACQUIRE);

	if (wptr <= q->rptr)
		return 0;
	return wptr - q->rptr > q->desc.ring_size / 4 ? ~0ull : wptr - q->rptr;
}

bool pm4_busy(struct gpu_queue *q)
{
	return q->pm4.depth || q->dispatch.active || available(q);
}

enum step pm4_queue_step(struct gpu_queue *q)
{
	unsigned budget = PM4_PACKETS_PER_STEP, dwords;
	bool progress = false;

	while (budget && !q->stopped) {
		uint64_t avail;

		if (q->pm4.depth || q->dispatch.active) {
			enum step step = pm4_run(q, 0, &budget);

			if (step != STEP_IDLE)
				return progress ? STEP_PROGRESS : step;
			if (q->stopped)
				return STEP_PROGRESS;
			progress = true;
		}
		if (!queue_store64(q, q->desc.read_ptr_va, q->rptr & (q->desc.ring_size / 4 - 1)))
			return STEP_WAIT;
		avail = available(q);
		if (!avail)
			return progress ? STEP_PROGRESS : STEP_IDLE;
		if (avail == ~0ull) {
			garbage(q, "PM4 doorbell beyond the ring");
			return STEP_PROGRESS;
		}
		switch (run_packet(q, NULL, avail, &dwords, &budget)) {
		case DONE:
			q->rptr += dwords;
			progress = true;
			atomic_fetch_add_explicit(&q->vm->packets, 1, memory_order_relaxed);
			break;
		case WAIT:
			return progress ? STEP_PROGRESS : STEP_WAIT;
		default:
			return STEP_PROGRESS;
		}
	}
	return STEP_PROGRESS;
}
