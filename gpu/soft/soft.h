/* SPDX-License-Identifier: MIT */
/*
 * soft.h - the inside of the software GPU: what its rooms share.
 *
 *   isa/   machine code -> struct isa_inst
 *   exec/  waves and work-groups: runs instructions (knows registers, LDS, memory through mem.h; no
 * packets, no threads) cp/    command processor: queues, packets, dispatch, worker threads, page
 * tables; implements gpu/gpu.h
 *
 * cp calls exec, exec calls isa; memory access of exec goes through struct mem_view (below), which
 * cp fills.
 */
#ifndef GPU_SOFT_SOFT_H
#define GPU_SOFT_SOFT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "gpu/gpu.h"
#include "gpu/soft/isa/isa.h"

#define WAVE_LANES 64
#define WAVE_SGPRS                                                                                 \
	128 /* by scalar source code: 0..101 general, 102 flat_scratch, 104 xnack_mask, 106 vcc,   \
	       108 ttmp, 124 m0, 126 exec */
#define SGPR_FLAT_SCRATCH 102
#define SGPR_VCC	  106
#define SGPR_M0		  124
#define SGPR_EXEC	  126
#define WG_MAX_WAVES	  16
#define WG_NO_SGPR	  0xff
#define MSG_FROM_HANDLER  (1u << 16)

/* ------------------------------------------------------------------ memory */

#define MEM_PAGE_SHIFT 12
#define MEM_TLB_BITS   10 /* entries of a view's translation cache: 1024, direct-mapped */

struct mem_tlb_entry {
	uint64_t page; /* va >> 12, or ~0 */
	uint8_t *host; /* host address of the page's first byte */
	uint32_t prot; /* enum gpu_prot bits */
};

#define MEM_RANGES	64
#define MEM_RANGE_LIMIT (1u << 30) /* bytes of a range */

/* Guest addresses that lie next to each other on the host, too, and have the same rights. */
struct mem_range {
	uint64_t first, size; /* bytes; size 0: nothing */
	uint8_t *host;	      /* of first */
	uint32_t prot;	      /* enum gpu_prot bits */
	uint16_t fills, refused; /* since the flush: an access that goes from buffer to buffer is not worth it */
};

/* Pageable memory that an instruction needs and has not: an address in each page, in any order. */
#define MEM_MISSING 64
struct mem_missing {
	uint32_t num;
	uint32_t prot; /* enum gpu_prot: rights needed */
	uint64_t va[MEM_MISSING];
};

#define MEM_HELD 512 /* as many pages as an instruction can touch */

/* What a wave, or a queue's packet, waits for. */
struct page_wait {
	uint64_t va;	/* of a page that it lacked when it last tried */
	uint64_t since; /* answers that there had been when it first asked, plus 1; 0: it does not wait */
	uint64_t pc;	/* waves: of the instruction */
};

enum mem_ask { MEM_ASK_WAIT, MEM_ASK_AGAIN /* it is there now */, MEM_ASK_FAULT };

/*
 * Where an access of compiled code finds its lanes when they lie next to each other: bytes from an address in [first, first + room) on are there, in one
 * piece on the host. Places are of classes, by how many bytes that holds for (mem_near_bytes) and by the right (even: to read, odd: to write); which
 * of its class an access looks at does not matter.
 */
#define MEM_NEAR_CLASSES 5
#define MEM_NEAR_OF	 64 /* places of a class */
struct mem_near {
	uint64_t first, room; /* room 0: nothing */
	uint8_t *host;	      /* of first */
	uint16_t fills, refused; /* as in a range */
};

static inline unsigned mem_near_bytes(unsigned class_)
{
	return class_ < 3 ? 256u << class_ : class_ == 3 ? 4096 : 16384;
}

#define MEM_FOUND 8 /* ranges found last */

/*
 * One executor thread's view of one GPU address space: a software TLB over the vm's page table.
 * Used by one thread at a time. mem_translate (inline, mem.h) returns the host address or NULL. A
 * view is valid until the thread's next quiescent point (exec calls view->quiesce at time-slice
 * ends, loop back-edges every few hundred instructions, barriers and s_sleep), where cp may flush
 * it because the page table changed.
 */
struct mem_view {
	struct mem_tlb_entry tlb[1 << MEM_TLB_BITS];
	/* For compiled code whose lanes lie anywhere in one buffer: each access looks at one of them. */
	struct mem_range range[MEM_RANGES];
	struct mem_near near[MEM_NEAR_CLASSES * MEM_NEAR_OF];
	struct mem_range found[MEM_FOUND];
	unsigned next_found;
	struct gpu_vm *vm;
	/* Miss: walks the page table, fills and returns the entry, NULL if not mapped. */
	const struct mem_tlb_entry *(*fill)(struct mem_view *view, uint64_t page);
	/* Finds first, size (up to MEM_RANGE_LIMIT), host and prot of a range around va; false: not mapped. NULL: there are no ranges. */
	bool (*find_range)(struct mem_view *view, uint64_t va, struct mem_range *range);
	/* Quiescent point. */
	void (*quiesce)(struct mem_view *view);
	/*
	 * NULL, or memory is pageable: asks for what an instruction lacks, and refreshes translations of what it does not lack any more. MEM_ASK_FAULT:
	 * there is none at missing->va[*bad].
	 */
	enum mem_ask (*ask)(struct mem_view *view, struct page_wait *wait, const struct mem_missing *missing, unsigned *bad);
	/*
	 * Translations that an instruction found and that share places of the tlb: fill finds them here, also if the page table has changed since.
	 * As good as the tlb's, and flushed with it.
	 */
	struct mem_tlb_entry held[MEM_HELD];
	uint32_t num_held;
};

/* Index of a page in a view's tlb. Buffers tend to lie at multiples of large powers of two from each other, so higher bits count, too. */
static inline unsigned mem_tlb_slot(uint64_t page)
{
	return (unsigned)(page ^ page >> 8 ^ page >> 16) & ((1u << MEM_TLB_BITS) - 1);
}

/* Forgets all translations. */
static inline void mem_view_flush(struct mem_view *view)
{
	for (unsigned i = 0; i < 1u << MEM_TLB_BITS; i++)
		view->tlb[i].page = ~0ull;
	memset(view->range, 0, sizeof(view->range));
	memset(view->near, 0, sizeof(view->near));
	memset(view->found, 0, sizeof(view->found));
	view->num_held = 0;
}

/* ------------------------------------------------------------------ execution */

enum wave_state { WAVE_READY, WAVE_BARRIER, WAVE_ENDED };

/* Why exec_run returned, or what went wrong in a work-group. Error kinds map to KFD's queue error
 * codes in cp. */
enum exec_result {
	EXEC_DONE,	   /* all waves ended */
	EXEC_YIELD,	   /* slice over, stop flag set, or every wave sleeps: call again later */
	EXEC_MEMORY_FAULT, /* fault holds the address and kind */
	EXEC_ILLEGAL,	   /* instruction not decodable or not covered; it was logged */
	EXEC_APERTURE,	   /* LDS/scratch aperture violation */
	EXEC_TRAP,	   /* s_trap 2 and the like: queue error "abort"/trap; trap_id */
	EXEC_PAGES, /* inside exec only: the wave waits for memory, and the instruction has done nothing */
};

struct workgroup;
struct jit_kernel;

struct wave {
	uint32_t sgpr[WAVE_SGPRS];
	uint32_t (
		*vgpr)[WAVE_LANES]; /* [num_vgprs], 64-byte aligned; row r of lane l: vgpr[r][l] */
	uint32_t (*agpr)[WAVE_LANES]; /* gfx90a accumulation registers, NULL if none. gfx90a's file
					 is unified: agpr = vgpr + accum offset */
	uint32_t num_vgprs, num_agprs;
	uint64_t pc;
	bool scc;
	uint32_t mode; /* hwreg MODE: [3:0] round (f32 [1:0], f16/f64 [3:2]), [7:4] denorm (f32
			  [5:4], f16/f64 [7:6]), 8 DX10_CLAMP, 9 IEEE, 23.. */
	uint32_t status, trapsts; /* hwreg.c; SCC, EXECZ, VCCZ are not kept in status */
	enum wave_state state;
	bool all_lanes; /* every lane has a work-item */
	uint32_t id;	/* wave number within its work-group */
	uint32_t sleep; /* s_sleep: yields to other waves while > 0 */
	struct workgroup *wg;
	uint32_t hidden_vgprs, hidden_agprs; /* while MODE.VSKIP: the counts, and num_* are 0 */
	uint8_t trap_id;	/* the last trap its handler was entered for (trap.c) */
	bool gws_queued, gws_flag; /* waits at a global wave sync resource (gws.c) */
	uint8_t *scratch;      /* unused when the kernel addresses scratch through memory
				  (gfx900/gfx90a): NULL */
	uint64_t instructions; /* executed, for profiles */
	bool waits_pages;      /* the instruction at pc is to be tried again when there is an answer to page_wait */
	struct page_wait page_wait;
};

#define WAVE_EXEC(w) (*(uint64_t *)(void *)&(w)->sgpr[SGPR_EXEC])
#define WAVE_VCC(w)  (*(uint64_t *)(void *)&(w)->sgpr[SGPR_VCC])

struct exec_fault {
	uint64_t va;
	bool write, not_present, no_execute;
	uint32_t trap_id;
	uint64_t pc;
};

/* One work-group in flight: waves, registers, LDS. Self-contained, so a suspended one is just
 * memory. */
struct workgroup {
	struct wave waves[WG_MAX_WAVES];
	uint32_t num_waves;
	uint8_t *lds;
	uint32_t lds_size;
	uint64_t shared_base, private_base; /* apertures, 2^32 bytes each */
	enum isa_target target;
	struct code_cache *code; /* decoded code of the vm (exec/code.h) */
	uint32_t id[3];
	uint32_t cu;	       /* the virtual compute unit it runs on: hwreg HW_ID, scratch slot */
	uint32_t scratch_slot; /* waves' scratch slots are scratch_slot .. + num_waves - 1 */
	struct exec_fault fault;
	/* s_sendmsg: msg is the instruction's field, with MSG_FROM_HANDLER if a trap handler sent it. Provided by cp. */
	void (*message)(struct workgroup *wg, uint32_t msg, uint32_t m0);
	uint64_t tba, tma; /* trap handler of the GPU process and its data; tba 0: none */
	uint32_t doorbell; /* what s_sendmsg MSG_GET_DOORBELL answers */
	uint32_t size[3];      /* work-items; smaller at the grid's edges */
	uint32_t id_vgprs;     /* gfx900: how many of v1, v2 have ids at the start */
	uint8_t id_sgpr[3];    /* which SGPRs have the work-group's id at the start; WG_NO_SGPR: none */
	struct jit_kernel *jit; /* compiled code of the kernel (jit/jit.h), once jit_known */
	bool jit_known;
	uint64_t jit_epoch;    /* of the code cache when it was looked up */
	uint64_t instructions; /* since exec_wg_init, but for what the waves have counted (struct wave) of the work-group in flight */
	uint64_t interpreted; /* instructions that the run loop took, not compiled code: counted up for ever */
	uint32_t fault_wave;  /* which one the fault is of */
	bool waits_pages;     /* of the waves, those that could run wait for memory; else some can be tried at any time */
	void *owner; /* cp's dispatch */
	void *mem;   /* the allocation behind registers and LDS */
};

/* What a dispatch gives to every work-group; made from an AQL packet and its kernel descriptor by
 * cp, read by exec_wg_init. */
struct dispatch_setup {
	enum isa_target target;
	uint64_t entry_pc;
	uint32_t rsrc1, rsrc2, rsrc3; /* COMPUTE_PGM_RSRC1/2/3 of the kernel descriptor */
	uint16_t properties; /* KERNEL_CODE_PROPERTIES: enable_sgpr_* bits, wave32, dynamic stack */
	uint16_t kernarg_preload; /* descriptor's KERNARG_PRELOAD (gfx90a+/940): length, offset */
	uint16_t wg_size[3];
	uint32_t grid[3]; /* work-items */
	uint32_t num_wg[3];
	uint32_t group_segment_size;   /* LDS bytes of the dispatch */
	uint32_t private_segment_size; /* scratch bytes per work-item */
	uint64_t kernarg_va, dispatch_packet_va, queue_va, dispatch_id;
	uint32_t scratch_rsrc[4];    /* V# for SGPRs: amd_queue_t.scratch_resource_descriptor */
	uint64_t scratch_base;	     /* amd_queue_t.scratch_backing_memory_location */
	uint32_t scratch_wave_bytes; /* scratch bytes a wave (64 lanes) has: wave_limit_base from
					COMPUTE_TMPRING_SIZE.WAVESIZE */
	uint64_t shared_base, private_base;
	/* PM4 dispatches name the user SGPRs themselves; properties is 0 then. */
	bool user_sgprs_given;
	uint32_t user_sgpr[16];
};

#endif
