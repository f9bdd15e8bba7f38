// SPDX-License-Identifier: MIT
/*
 * fuzz_packets.c - AQL, PM4 and SDMA packets, kernel descriptors and machine code on queues of the software GPU.
 *
 * Input: target, then a list of acts. An act puts a packet of a known kind, whose fields the input gives (addresses
 * mostly of the memory there is), into one of three rings, or raw bytes into memory (indirect buffers, descriptors, code,
 * signals), rings doorbells, or does what the owner of queues may do at any time: update, suspend, unmap, destroy. The
 * GPU's thread runs beside. A kernel that never ends is as good as another: nothing waits for it, and destroying its
 * queue must end it. What must hold besides: another process's memory stays as it is, and so does ours where we have no
 * right to write.
 */
#include "fuzz/input.h"

#include <sys/mman.h>

#include "gpu/gpu.h"

#define POOL_VA	 0x1000000000ull
#define POOL	 (128u << 10) /* read, write, execute */
#define CONST_VA (POOL_VA + POOL)
#define CONST	 (16u << 10) /* read only, right behind */
#define FORBIDDEN_BYTE 0x5c
#define MAX_ACTS 96
#define RUN_MS	 4 /* how long an input's queues may run beyond what they do while it is taken apart */

/* Places in the pool. */
enum {
	RINGS = 0,	   /* 3 of 4 KiB */
	AMD_QUEUE = 0x3000, /* amd_queue_t of the AQL queue */
	POINTERS = 0x3100,  /* read and write pointers of the others */
	CWSR = 0x3200,
	SIGNALS = 0x3400,   /* 16 of 64 bytes */
	OBJECTS = 0x3800,   /* 8 kernel descriptors of 64 bytes */
	CODE = 0x4000,	    /* 8 kernels, 0x200 apart */
	BUFFERS = 0x6000,   /* 8 indirect buffers, 0x200 apart */
	SCRATCH = 0x8000,
	DATA = 0x10000,
};
enum { AQL, PM4, SDMA, QUEUES };
#define RING_BYTES 4096u

static struct gpu *gpus[2];
static uint8_t *pool, *constant, *before;
static _Alignas(64) uint64_t doorbells[QUEUES];

static struct {
	struct gpu_vm *vm;
	struct gpu_queue *queue[QUEUES];
	struct gpu_queue_desc desc[QUEUES];
	uint64_t written[QUEUES]; /* AQL: packets, else bytes */
	unsigned suspended;
} p;

static void on_event(void *ctx, uint32_t id)
{
}

static void on_fault(void *ctx, const struct gpu_memory_fault *fault)
{
	MUST(!(fault->va & 0xfff));
}

static void on_idle(void *ctx)
{
}

static const struct gpu_vm_ops ops = {.signal_event = on_event, .memory_fault = on_fault, .idle = on_idle};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* Guards on both sides: not mapped for the GPU, and checked. */
	before = mmap(NULL, POOL + CONST + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(before != MAP_FAILED);
	pool = before + 4096;
	constant = pool + POOL;
	memset(before, FORBIDDEN_BYTE, 4096);
	memset(constant, FORBIDDEN_BYTE, CONST);
	for (unsigned i = 0; i < 2; i++) {
		struct gpu_config config = {.target = i ? "gfx90a" : "gfx900", .threads = 1};

		MUST(!gpu_open(&config, &gpus[i]));
	}
	return 0;
}

static void store(uint64_t at, uint64_t value, unsigned bytes)
{
	memcpy(pool + at, &value, bytes);
}

static void set_up(unsigned target)
{
	static const uint32_t kernels[8][8] = {
		/* Ends; stores a dword to where s[0:1] is; endless; traps; waits at a barrier; not an instruction. */
		{0xbf810000},
		{0x7e000200, 0x7e020201, 0x7e040280, 0xdc700000, 0x00000200, 0xbf810000},
		{0xbf82ffff},
		{0xbf920002, 0xbf810000},
		{0xbf8a0000, 0xbf810000},
		{0xffffffff},
		{0xc0020002, 0x00000000, 0xbf8cc07f, 0xbf810000},
		{0xbf8e0001, 0xbf82fffe},
	};

	memset(pool, 0, DATA + 0x1000);
	memset(&p, 0, sizeof(p));
	memset(doorbells, 0, sizeof(doorbells));
	for (unsigned i = 0; i < 8; i++) {
		uint64_t object = OBJECTS + i * 64;

		memcpy(pool + CODE + i * 0x200, kernels[i], sizeof(kernels[i]));
		store(object + 16, CODE + i * 0x200 - object, 8);
		store(object + 44, 7, 4);		/* rsrc3: accum offset */
		store(object + 48, 1, 4);		/* rsrc1: granules of VGPRs */
		store(object + 52, 2 << 1 | 1 << 7, 4); /* rsrc2: user SGPRs, work-group id */
		store(object + 56, 1 << 3, 2);		/* kernarg pointer */
	}
	for (unsigned i = 0; i < 16; i++) {
		store(SIGNALS + i * 64 + 8, i < 8 ? 1 : 0, 8);
		if (i & 1) {
			store(SIGNALS + i * 64 + 16, POOL_VA + DATA + i * 8, 8);
			store(SIGNALS + i * 64 + 24, i, 4);
		}
	}
	for (unsigned i = 0; i < RING_BYTES; i += 64)
		store(RINGS + i, 1, 2); /* invalid packets */
	store(AMD_QUEUE + 0x8c, 4 | 16 << 12, 4);
	store(AMD_QUEUE + 0xa0, POOL_VA + SCRATCH, 8);
	store(AMD_QUEUE + 0xb0, 64, 4);
	store(AMD_QUEUE + 0xc0, POOL_VA + SIGNALS + 15 * 64, 8);
	store(CWSR + 24, POOL_VA + SIGNALS + 14 * 64 + 8, 8);
	store(CWSR + 32, 9, 4);

	MUST(!gpu_vm_create(gpus[target], &ops, &p, &p.vm));
	gpu_vm_set_owner(p.vm, 1);
	MUST(!gpu_vm_map(p.vm, POOL_VA, POOL, pool, GPU_PROT_READ | GPU_PROT_WRITE | GPU_PROT_EXEC));
	MUST(!gpu_vm_map(p.vm, CONST_VA, CONST, constant, GPU_PROT_READ));
}

static struct gpu_queue_desc describe(unsigned which)
{
	static const enum gpu_queue_type types[] = {GPU_QUEUE_AQL, GPU_QUEUE_PM4, GPU_QUEUE_SDMA};

	return (struct gpu_queue_desc){
		.type = types[which],
		.id = which,
		.ring_va = POOL_VA + RINGS + which * RING_BYTES,
		.ring_size = RING_BYTES,
		.write_ptr_va = POOL_VA + (which == AQL ? AMD_QUEUE + 0x38 : POINTERS + which * 16),
		.read_ptr_va = POOL_VA + (which == AQL ? AMD_QUEUE + 0x80 : POINTERS + which * 16 + 8),
		.doorbell = &doorbells[which],
		.cwsr_va = POOL_VA + CWSR,
		.percent = 100,
		.priority = 7,
		.error_events = which & 1,
	};
}

static void open_queue(unsigned which)
{
	if (p.queue[which])
		return;
	p.desc[which] = describe(which);
	p.written[which] = 0;
	doorbells[which] = 0;
	if (gpu_queue_create(p.vm, &p.desc[which], &p.queue[which]))
		p.queue[which] = NULL;
}

/* ---- Fields ---- */

static uint64_t take_va(struct input *in)
{
	uint8_t b = take8(in);

	if (b < 0x40)
		return POOL_VA + DATA + b * 8;
	if (b < 0x60)
		return POOL_VA + SIGNALS + (b & 15) * 64 + (b & 16 ? 8 : 0);
	if (b < 0x70)
		return POOL_VA + BUFFERS + (b & 7) * 0x200 + (b & 8 ? take8(in) : 0);
	if (b < 0x80)
		return POOL_VA + OBJECTS + (b & 7) * 64 + (b & 8 ? take8(in) : 0);
	if (b < 0x90)
		return POOL_VA + CODE + (b & 7) * 0x200;
	if (b < 0xa0)
		return POOL_VA + AMD_QUEUE + (b & 15) * 0x14;
	if (b < 0xb0)
		return CONST_VA - (b & 15) * 2;
	if (b < 0xc0)
		return CONST_VA + (b & 15) * 0x400;
	if (b < 0xd0)
		return POOL_VA + RINGS + (b & 3) * RING_BYTES + take8(in) * 4;
	if (b < 0xe0)
		return CONST_VA + CONST - (b & 15);
	return take_number(in) ^ (b & 1 ? POOL_VA : 0);
}

/* A dword of a packet: small or a number. */
static uint32_t take_dword(struct input *in)
{
	return (uint32_t)take_number(in);
}

static void set_va(uint32_t *dw, unsigned at, uint64_t va)
{
	dw[at] = (uint32_t)va;
	dw[at + 1] = (uint32_t)(va >> 32);
}

/* ---- Packets ---- */

static void put_aql(struct input *in)
{
	uint32_t dw[16] = {0};
	uint8_t kind = take8(in), odd;

	switch (kind % 8) {
	case 0: /* IB */
		dw[0] = 1u << 16;
		dw[1] = 0xc0023f00;
		set_va(dw, 2, take_va(in));
		dw[4] = 1 + take8(in) % 64;
		break;
	case 1:
		dw[0] = 2u << 16;
		set_va(dw, 2, take_va(in));
		dw[4] = take_dword(in);
		dw[6] = dw[7] = UINT32_MAX;
		dw[8] = take8(in) % 6;
		break;
	case 2:
	case 3:
		dw[0] = kind % 8 == 2 ? 3 : 5;
		for (unsigned i = 0; i < 5 && (kind >> (3 + i) & 1); i++)
			set_va(dw, 2 + 2 * i, take_va(in));
		break;
	default:
		dw[0] = 2 | (1 + (kind >> 3) % 3u) << 16;
		dw[1] = (1 + take8(in)) | (1 + (kind >> 6)) << 16;
		dw[2] = 1;
		dw[3] = 1 + take8(in) * 3;
		dw[4] = 1 + (kind >> 5 & 1);
		dw[5] = 1;
		set_va(dw, 8, POOL_VA + OBJECTS + take8(in) % 8 * 64);
		set_va(dw, 10, take_va(in));
		if (kind & 0x10) {
			dw[6] = take_dword(in); /* private */
			dw[7] = take_dword(in); /* LDS */
		}
	}
	odd = take8(in);
	if (odd & 1)
		set_va(dw, 14, take_va(in));
	if ((odd & 0xe) == 0xe)
		dw[odd >> 4] ^= take32(in);
	memcpy(pool + RINGS + p.written[AQL] * 64 % RING_BYTES + 4, dw + 1, 60);
	__atomic_store_n((uint32_t *)(void *)(pool + RINGS + p.written[AQL] * 64 % RING_BYTES), dw[0], __ATOMIC_RELEASE);
	p.written[AQL]++;
}

static void append(unsigned which, const uint32_t *dw, unsigned n)
{
	for (unsigned i = 0; i < n; i++, p.written[which] += 4)
		store(RINGS + which * RING_BYTES + p.written[which] % RING_BYTES, dw[i], 4);
}

/* Packets of a kind: its first dword, its length, and at which dwords addresses lie. */
struct form {
	uint32_t header;
	uint8_t dwords;
	uint8_t va[2]; /* 0: none */
};

static const struct form pm4_forms[] = {
	{0xc0001000, 2, {0}},	 {0xc0031500, 5, {0}},	  {0xc0071e00, 9, {2}},	   {0xc0033700, 6, {2}},
	{0xc0053c00, 7, {2}},	 {0xc0023f00, 4, {1}},	  {0xc0044000, 6, {2, 4}}, {0xc0004600, 2, {0}},
	{0xc0064900, 8, {3}},	 {0xc0055000, 7, {2, 4}}, {0xc0055800, 7, {0}},	   {0xc0037600, 5, {0}},
	{0xc0079300, 9, {2}},	 {0x80000000, 1, {0}},	  {0xc0107600, 18, {0}},   {0xffff1000, 1, {0}},
};
static const struct form sdma_forms[] = {
	{0, 1, {0}},	   {1, 7, {3, 5}},   {1 | 4 << 8, 13, {1, 6}}, {2, 7, {1}},	    {5, 4, {1}},
	{6, 2, {0}},	   {8, 6, {1}},	     {10, 8, {1}},	       {11, 5, {1}},	    {13 | 2 << 8, 3, {1}},
	{17 | 1 << 8, 5, {0}}, {13 | 1 << 8, 3, {1}}, {1 | 1u << 27, 9, {3, 5}}, {13, 3, {1}},
};

static unsigned build(struct input *in, bool pm4, uint32_t *dw)
{
	uint8_t which = take8(in), flags = take8(in);
	const struct form *f = pm4 ? &pm4_forms[which % (sizeof(pm4_forms) / sizeof(pm4_forms[0]))]
				   : &sdma_forms[which % (sizeof(sdma_forms) / sizeof(sdma_forms[0]))];

	dw[0] = f->header;
	for (unsigned i = 1; i < f->dwords; i++)
		dw[i] = take_dword(in);
	for (unsigned i = 0; i < 2; i++)
		if (f->va[i])
			set_va(dw, f->va[i], take_va(in));
	if (pm4) {
		if (flags & 1) /* memory, as source and destination */
			dw[1] = (dw[1] & 0xffff00ff) | 5 << 8 | 1;
		if (which % 16 == 5)
			dw[3] &= flags & 2 ? 0x1000ff : 0xff;
		if (which % 16 == 11 || which % 16 == 14) /* registers: a kernel's address among them */
			dw[1] = 0x200 + (flags & 4 ? 0x0c : dw[1] % 0x60);
		if (which % 16 == 11 && flags & 4)
			dw[2] = (uint32_t)((POOL_VA + CODE + (flags >> 4 & 7) * 0x200) >> 8), dw[3] = (uint32_t)((POOL_VA) >> 40);
	} else {
		if (which % 14 == 3 && flags & 1)
			dw[3] = 2; /* WRITE of the three that follow */
		if (flags & 2)
			dw[0] |= (uint32_t)take8(in) << 24;
		if (flags & 4)
			dw[0] |= (uint32_t)take8(in) << 16;
	}
	if (flags & 8)
		dw[take8(in) % f->dwords] ^= take32(in);
	return f->dwords;
}

static void put_packet(struct input *in, unsigned which)
{
	uint32_t dw[20];

	append(which, dw, build(in, which == PM4, dw));
}

/* A packet into an indirect buffer. */
static void put_in_buffer(struct input *in)
{
	uint8_t at = take8(in);
	uint32_t dw[20];
	unsigned n = build(in, true, dw);
	uint64_t to = BUFFERS + (at & 7) * 0x200 + (at >> 3) * 16;

	memcpy(pool + to, dw, n * 4);
}

static void ring(struct input *in)
{
	uint8_t b = take8(in);
	unsigned which = b % QUEUES;
	uint64_t value = which == AQL ? p.written[AQL] - 1 : which == PM4 ? p.written[PM4] / 4 : p.written[SDMA];

	if (which == AQL)
		__atomic_store_n((uint64_t *)(void *)(pool + AMD_QUEUE + 0x38),
				 b & 0x20 ? take_number(in) : p.written[AQL], __ATOMIC_RELEASE);
	if (b >= 0xf0)
		value = take_number(in);
	__atomic_store_n(&doorbells[which], value, __ATOMIC_RELEASE);
}

static bool drained(void)
{
	uint64_t at[QUEUES];

	at[AQL] = __atomic_load_n((uint64_t *)(void *)(pool + AMD_QUEUE + 0x80), __ATOMIC_ACQUIRE);
	at[PM4] = __atomic_load_n((uint64_t *)(void *)(pool + POINTERS + PM4 * 16 + 8), __ATOMIC_ACQUIRE);
	at[SDMA] = __atomic_load_n((uint64_t *)(void *)(pool + POINTERS + SDMA * 16 + 8), __ATOMIC_ACQUIRE);
	return (!p.queue[AQL] || at[AQL] >= p.written[AQL]) &&
	       (!p.queue[PM4] || at[PM4] == p.written[PM4] % RING_BYTES / 4) &&
	       (!p.queue[SDMA] || at[SDMA] >= p.written[SDMA]);
}

static bool stopped(void)
{
	struct gpu_vm_stats stats;

	gpu_vm_get_stats(p.vm, &stats);
	return stats.faults || stats.queue_errors;
}

static void owner_acts(struct input *in)
{
	uint8_t b = take8(in), which = b % QUEUES;
	uint32_t mask = b;
	uint8_t word[8];

	switch (b / QUEUES % 10) {
	case 0:
		if (p.queue[which]) {
			gpu_queue_destroy(p.queue[which]);
			p.queue[which] = NULL;
		} else {
			open_queue(which);
		}
		break;
	case 1:
		if (!p.queue[which])
			break;
		p.desc[which].percent = take8(in) % 102;
		p.desc[which].priority = take8(in) % 17;
		p.desc[which].ring_size = take8(in) & 1 ? RING_BYTES : (uint64_t)take_number(in);
		gpu_queue_update(p.queue[which], &p.desc[which]);
		break;
	case 2:
		if (p.queue[which])
			gpu_queue_set_cu_mask(p.queue[which], &mask, 32);
		break;
	case 3:
		gpu_vm_suspend(p.vm);
		p.suspended++;
		break;
	case 4:
		if (p.suspended) {
			gpu_vm_resume(p.vm);
			p.suspended--;
		}
		break;
	case 5:
		gpu_vm_unmap(p.vm, POOL_VA + DATA + take8(in) % 16 * 4096, 4096);
		break;
	case 6:
		mask = take8(in) % 16;
		gpu_vm_map(p.vm, POOL_VA + DATA + mask * 4096, 4096, pool + DATA + mask * 4096,
			   GPU_PROT_READ | GPU_PROT_WRITE);
		break;
	case 7:
		gpu_vm_read(p.vm, take_va(in), word, sizeof(word));
		break;
	case 8:
		gpu_vm_park(p.vm);
		gpu_vm_wake(p.vm);
		break;
	default:
		WAIT_UNTIL(drained() || stopped(), 1);
	}
}

static void raw_bytes(struct input *in)
{
	static const uint32_t where[] = {OBJECTS, CODE, BUFFERS, SIGNALS, AMD_QUEUE, DATA, CWSR, POINTERS};
	uint8_t b = take8(in);

	take(in, pool + where[b & 7] + (b >> 3) * 16, 1 + take8(in) % 64);
}

static void all_forbidden(const uint8_t *at, size_t size)
{
	for (size_t i = 0; i < size; i += 8)
		MUST(*(const uint64_t *)(const void *)(at + i) == 0x0101010101010101ull * FORBIDDEN_BYTE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t first = take8(&in);

	set_up(first & 1);
	for (unsigned i = 0; i < QUEUES; i++)
		if (!(first >> (1 + i) & 1))
			open_queue(i);
	for (unsigned i = 0; i < MAX_ACTS && in.left; i++) {
		uint8_t b = take8(&in);

		switch (b % 16) {
		case 0 ... 2:
			put_aql(&in);
			break;
		case 3 ... 5:
			put_packet(&in, PM4);
			break;
		case 6 ... 8:
			put_packet(&in, SDMA);
			break;
		case 9:
			put_in_buffer(&in);
			break;
		case 10:
			raw_bytes(&in);
			break;
		case 11:
			owner_acts(&in);
			break;
		default:
			ring(&in);
		}
	}
	if (!p.suspended)
		WAIT_UNTIL(drained() || stopped(), RUN_MS);
	gpu_vm_destroy(p.vm);
	all_forbidden(before, 4096);
	all_forbidden(constant, CONST);
	return 0;
}
