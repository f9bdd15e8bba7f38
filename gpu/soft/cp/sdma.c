/* SPDX-License-Identifier: MIT */
/*
 * sdma.c - SDMA queues: packets that move memory.
 *
 * Packet layouts are those of SDMA 4 (Linux: vega10_sdma_pkt_open.h; ROCr: sdma_registers.h).
 * Doorbell, write and read pointer count bytes since the queue's creation; a packet may wrap around
 * the ring's end. A packet is done in bounded pieces: q->sdma_done says how far it is. It is read
 * once, when it begins: what its program makes of it later counts no more.
 */
#define LOG_PART "cp"
#include "gpu/soft/cp/cp.h"

#include <string.h>

#include "base/log.h"

enum { SDMA_ROWS_PER_STEP = 1024 };

/* DONE: next packet. MORE: goes on in the next step. WAIT: a condition does not hold yet. STOP:
 * fault or error, raised. */
enum result { DONE, MORE, WAIT, STOP };

struct sdma_packet {
	uint32_t dw[SDMA_MAX_DWORDS];
	unsigned dwords; /* of the whole packet; WRITE's may be more than dw holds */
	uint64_t budget; /* bytes it may move in this step */
};

static uint64_t addr(const struct sdma_packet *p, unsigned dword)
{
	return p->dw[dword] | (uint64_t)p->dw[dword + 1] << 32;
}

static enum result garbage(struct gpu_queue *q, const char *why)
{
	queue_error(q, QERR_PACKET, why);
	return STOP;
}

static enum result op_nop(struct gpu_queue *q, struct sdma_packet *p)
{
	return DONE;
}

/* A piece of [q->sdma_done, size). */
static uint64_t piece(struct gpu_queue *q, const struct sdma_packet *p, uint64_t size)
{
	uint64_t left = size - q->sdma_done;

	return left < p->budget ? left : p->budget;
}

static enum result advance(struct gpu_queue *q, struct sdma_packet *p, uint64_t done, uint64_t size)
{
	if (!done)
		return STOP;
	p->budget -= done;
	q->sdma_done += done;
	return q->sdma_done == size ? DONE : MORE;
}

static enum result op_copy_linear(struct gpu_queue *q, struct sdma_packet *p)
{
	/* COUNT: bytes - 1; 22 bits on gfx900, 30 on gfx90a */
	uint64_t size =
		(p->dw[1] & (q->vm->gpu->target == ISA_GFX900 ? 0x3fffff : 0x3fffffff)) + 1ull;
	uint64_t len = piece(q, p, size), src = addr(p, 3) + q->sdma_done,
		 dst = addr(p, 5) + q->sdma_done;
	bool past_caches = q->sdma_done >= COPY_KEPT;

	if (!len)
		return MORE;
	len = copy_chunk(q, dst, src, len, past_caches);
	/* broadcast: a second destination */
	if (len && (p->dw[0] >> 27 & 1))
		len = copy_chunk(q, addr(p, 7) + q->sdma_done, src, len, past_caches);
	return advance(q, p, len, size);
}

static enum result op_copy_rect(struct gpu_queue *q, struct sdma_packet *p)
{
	const uint32_t *dw = p->dw;
	unsigned element = dw[0] >> 29;
	uint64_t src_pitch = (dw[4] >> 13) + 1ull, src_slice = (dw[5] & 0xfffffff) + 1ull;
	uint64_t dst_pitch = (dw[9] >> 13) + 1ull, dst_slice = (dw[10] & 0xfffffff) + 1ull;
	uint64_t width = (dw[11] & 0x3fff) + 1ull, height = (dw[11] >> 16 & 0x3fff) + 1ull,
		 depth = (dw[12] & 0x7ff) + 1ull;
	uint64_t rows = height * depth;

	if (element > 4)
		return garbage(q, "SDMA rectangle with elements of more than 16 bytes");
	for (unsigned i = 0; i < SDMA_ROWS_PER_STEP && p->budget && q->sdma_done < rows; i++) {
		uint64_t y = q->sdma_done % height, z = q->sdma_done / height,
			 len = width << element;
		uint64_t src = ((dw[4] & 0x7ff) + z) * src_slice +
			       ((dw[3] >> 16 & 0x3fff) + y) * src_pitch + (dw[3] & 0x3fff);
		uint64_t dst = ((dw[9] & 0x7ff) + z) * dst_slice +
			       ((dw[8] >> 16 & 0x3fff) + y) * dst_pitch + (dw[8] & 0x3fff);
		uint64_t done = 0;

		/* a row is at most 256 KiB */
		src = addr(p, 1) + (src << element);
		dst = addr(p, 6) + (dst << element);
		while (done < len) {
			uint64_t n = copy_chunk(q, dst + done, src + done, len - done, false);

			if (!n)
				return STOP;
			done += n;
		}
		p->budget -= p->budget < len ? p->budget : len;
		q->sdma_done++;
	}
	return q->sdma_done == rows ? DONE : MORE;
}

static enum result op_write(struct gpu_queue *q, struct sdma_packet *p)
{
	uint64_t size = 4ull * (p->dwords - 4), bad;
	uint32_t buf[256];

	while (q->sdma_done < size && p->budget) {
		uint64_t len = piece(q, p, size);

		if (len > sizeof(buf))
			len = sizeof(buf);
		if (!ring_read(q, q->rptr + 16 + q->sdma_done, buf, len))
			return STOP;
		if (!vm_copy_out(q->vm, addr(p, 1) + q->sdma_done, buf, len, &bad)) {
			vm_fault(q, bad, true, false);
			return STOP;
		}
		q->sdma_done += len;
		p->budget -= len;
	}
	return q->sdma_done == size ? DONE : MORE;
}

static enum result op_fence(struct gpu_queue *q, struct sdma_packet *p)
{
	uint32_t *to = vm_ptr32(q->vm, addr(p, 1), GPU_PROT_WRITE);

	if (!to) {
		vm_fault(q, addr(p, 1), true, false);
		return STOP;
	}
	__atomic_store_n(to, p->dw[3], __ATOMIC_RELEASE);
	return DONE;
}

static enum result op_trap(struct gpu_queue *q, struct sdma_packet *p)
{
	vm_signal_event(q->vm, p->dw[1] & 0xfffffff);
	return DONE;
}

static enum result op_poll(struct gpu_queue *q, struct sdma_packet *p)
{
	uint32_t value;

	/* A register, or the HDP flush: memory here is coherent, registers are none. */
	if (!(p->dw[0] >> 31))
		return DONE;
	if (!queue_load32(q, addr(p, 1), &value))
		return STOP;
	return mem_compare(p->dw[0] >> 28, value & p->dw[4], p->dw[3]) ? DONE : WAIT;
}

static enum result op_atomic(struct gpu_queue *q, struct sdma_packet *p)
{
	bool matched, fault;

	if (!mem_atomic(q, p->dw[0] >> 25, addr(p, 1), addr(p, 3), addr(p, 5), &matched,
			&fault))
		return fault ? STOP : garbage(q, "SDMA atomic of an unknown operation");
	/* bit 16: again until the comparison held */
	return !matched && (p->dw[0] >> 16 & 1) ? WAIT : DONE;
}

static enum result op_fill(struct gpu_queue *q, struct sdma_packet *p)
{
	/* COUNT: bytes - 1; with FILLSIZE 2 whole dwords */
	uint64_t size = (p->dw[4] & (q->vm->gpu->target == ISA_GFX900 ? 0x3fffff : 0x3fffffff)) +
			1ull,
		 len;
	uint32_t pattern = p->dw[3];

	if (p->dw[0] >> 30 == 2)
		size = (size + 3) & ~3ull;
	len = piece(q, p, size) & ~3ull;
	if (!len && p->budget < 4)
		return MORE;
	if (!len)
		len = size - q->sdma_done;
	return advance(q, p, fill_chunk(q, addr(p, 1) + q->sdma_done, pattern, len), size);
}

static enum result op_timestamp(struct gpu_queue *q, struct sdma_packet *p)
{
	return queue_store64(q, addr(p, 1), gpu_clock(q->vm->gpu)) ? DONE : STOP;
}

/* Sizes in dwords, header included; 0: op_size() knows. */
static const struct sdma_op {
	uint8_t op, sub;
	uint8_t dwords;
	const char *name;
	enum result (*run)(struct gpu_queue *q, struct sdma_packet *p);
	bool bulk; /* moves data: in the turn, and accounted */
} ops[] = {
	{0, 0, 0, "NOP", op_nop},
	{1, 0, 0, "COPY linear", op_copy_linear, true},
	{1, 4, 13, "COPY rectangle", op_copy_rect, true},
	{2, 0, 0, "WRITE", op_write, true},
	{5, 0, 4, "FENCE", op_fence},
	{6, 0, 2, "TRAP", op_trap},
	{8, 0, 6, "POLL_REGMEM", op_poll},
	{10, 0, 8, "ATOMIC", op_atomic},
	{11, 0, 5, "FILL", op_fill, true},
	{13, 0, 3, "TIMESTAMP set", op_nop},
	{13, 1, 3, "TIMESTAMP local", op_timestamp},
	{13, 2, 3, "TIMESTAMP global", op_timestamp},
	{17, 1, 5, "GCR", op_nop},
};

static const struct sdma_op *find_op(uint32_t header)
{
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i].op == (header & 0xff) && ops[i].sub == (header >> 8 & 0xff))
			return &ops[i];
	}
	return NULL;
}

/* Dwords of the packet. Needs WRITE's fourth dword, at avail bytes from the header at most. 0: not
 * that many are there, or a fault. */
static unsigned op_size(struct gpu_queue *q, const struct sdma_op *op, uint32_t header,
			uint64_t avail)
{
	uint32_t count;

	if (op->dwords)
		return op->dwords;
	switch (op->op) {
	case 0: /* bits 29:16: dwords to skip */
		return 1 + (header >> 16 & 0x3fff);
	case 1:
		return header >> 27 & 1 ? 9 : 7;
	}
	if (avail < 16 || !ring_read(q, q->rptr + 12, &count, sizeof(count)))
		return 0;
	return 4 + (count & 0xfffff) + 1;
}

/* Bytes submitted and not done yet; ~0: pointers are garbage. */
static uint64_t available(const struct gpu_queue *q)
{
	uint64_t wptr = __atomic_load_n(q->desc.doorbell, __ATOMIC_ACQUIRE);

	if (wptr <= q->rptr)
		return 0;
	return (wptr & 3) || wptr - q->rptr > q->desc.ring_size ? ~0ull : wptr - q->rptr;
}

bool sdma_busy(struct gpu_queue *q)
{
	return available(q);
}

static enum result one_packet(struct gpu_queue *q, uint64_t avail, uint64_t *budget)
{
	struct sdma_packet p = {.budget = *budget};
	const struct sdma_op *op;
	enum result result;
	unsigned head;

	if (q->sdma_done) {
		memcpy(p.dw, q->sdma_packet, sizeof(p.dw));
		p.dwords = q->sdma_dwords;
		op = find_op(p.dw[0]);
	} else {
		if (!ring_read(q, q->rptr, p.dw, 4))
			return STOP;
		op = find_op(p.dw[0]);
		if (!op) {
			log_warn("SDMA packet header %#x", p.dw[0]);
			return garbage(q, "unknown SDMA packet");
		}
		p.dwords = op_size(q, op, p.dw[0], avail);
		if (!p.dwords || 4ull * p.dwords > avail)
			return garbage(q, "SDMA packet longer than what was submitted");
		head = p.dwords < SDMA_MAX_DWORDS ? p.dwords : SDMA_MAX_DWORDS;
		/* The header decides the layout, so it is not read again. */
		if (head > 1 && !ring_read(q, q->rptr + 4, p.dw + 1, 4ull * (head - 1)))
			return STOP;
		memcpy(q->sdma_packet, p.dw, sizeof(p.dw));
		q->sdma_dwords = p.dwords;
	}
	if (op->bulk && !copy_begin(q))
		return WAIT;
	result = op->run(q, &p);
	if (op->bulk)
		copy_end(q, *budget - p.budget);
	*budget = p.budget;
	if (result == STOP && q->waits_pages)
		return WAIT;
	if (result != DONE)
		return result;
	log_debug("SDMA %s", op->name);
	atomic_fetch_add_explicit(&q->vm->sdma_packets, 1, memory_order_relaxed);
	q->sdma_done = 0;
	q->rptr += 4ull * p.dwords;
	return queue_store64(q, q->desc.read_ptr_va, q->rptr) ? DONE : STOP;
}

enum step sdma_step(struct gpu_queue *q)
{
	uint64_t budget = q->vm->copy_left;
	bool progress = false;

	if (!budget) /* other queues of the process had it all: next pass */
		return available(q) ? STEP_PROGRESS : STEP_IDLE;
	for (unsigned i = 0; i < SDMA_PACKETS_PER_STEP && budget; i++) {
		uint64_t avail = available(q);
		enum result result;

		if (!avail)
			return progress ? STEP_PROGRESS : STEP_IDLE;
		if (avail == ~0ull) {
			garbage(q, "SDMA doorbell beyond the ring");
			return STEP_PROGRESS;
		}
		result = one_packet(q, avail, &budget);
		if (result == WAIT || q->waits_pages)
			return progress ? STEP_PROGRESS : STEP_WAIT;
		progress = true;
		if (result != DONE)
			break;
	}
	return STEP_PROGRESS;
}
