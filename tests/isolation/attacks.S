// SPDX-License-Identifier: MIT
// Kernels that touch the address they are given, each in its own way. Arguments: u64 address, u64 out, u64 value, u64 more. Each ends by storing
// what it got, and a mark that it came to its end, to out. Assembled and linked for gfx900 and gfx90a.

.macro attack name
	.text
	.p2align 8
	.globl \name
	.type \name,@function
\name:
	s_load_dwordx8 s[8:15], s[0:1], 0x0	// address, out, value, more
	s_waitcnt lgkmcnt(0)
	v_mov_b32 v10, s8
	v_mov_b32 v11, s9
	v_mov_b32 v12, s10
	v_mov_b32 v13, s11
	v_mov_b32 v14, s12
	v_mov_b32 v15, s13
	v_mov_b32 v16, s12
	v_mov_b32 v17, s13
	v_mov_b32 v0, 0
	v_mov_b32 v1, 0
	v_mov_b32 v2, 0
	v_mov_b32 v3, 0
.endm

.macro endattack name, lds=0
	v_mov_b32 v4, 0x600d
	s_waitcnt vmcnt(0) lgkmcnt(0)
	global_store_dwordx2 v[12:13], v[0:1], off
	global_store_dword v[12:13], v4, off offset:8
	s_endpgm
	.rodata
	.p2align 6
	.amdhsa_kernel \name
		.amdhsa_user_sgpr_kernarg_segment_ptr 1
		.amdhsa_system_sgpr_workgroup_id_x 0
		.amdhsa_group_segment_fixed_size \lds
		.amdhsa_next_free_vgpr 32
		.amdhsa_next_free_sgpr 32
		.amdhsa_reserve_xnack_mask 1
#ifdef __gfx90a__
		.amdhsa_accum_offset 32
#endif
	.end_amdhsa_kernel
	.text
.endm

attack nothing
endattack nothing

// ---- vector memory
attack global_load
	global_load_dwordx2 v[0:1], v[10:11], off
endattack global_load

attack global_load_byte
	global_load_ubyte v0, v[10:11], off
endattack global_load_byte

attack global_load_x4
	global_load_dwordx4 v[0:3], v[10:11], off
endattack global_load_x4

attack global_load_negative	// address + 4096 less 4096
	v_mov_b32 v5, 0x1000
	v_add_co_u32 v10, vcc, v10, v5
	v_addc_co_u32 v11, vcc, 0, v11, vcc
	global_load_dword v0, v[10:11], off offset:-4096
endattack global_load_negative

attack global_store
	global_store_dwordx2 v[10:11], v[14:15], off
endattack global_store

attack global_store_byte
	global_store_byte v[10:11], v14, off
endattack global_store_byte

attack global_store_x4
	global_store_dwordx4 v[10:11], v[14:17], off
endattack global_store_x4

attack global_lanes	// lane l stores to address + l * more
	v_mbcnt_lo_u32_b32 v5, -1, 0
	v_mbcnt_hi_u32_b32 v5, -1, v5
	v_mul_hi_u32 v7, v5, s14
	v_mul_lo_u32 v6, v5, s14
	v_mul_lo_u32 v8, v5, s15
	v_add_u32 v7, v7, v8
	v_add_co_u32 v10, vcc, v10, v6
	v_addc_co_u32 v11, vcc, v11, v7, vcc
	global_store_dword v[10:11], v14, off
endattack global_lanes

attack global_atomic
	global_atomic_add v0, v[10:11], v14, off glc
endattack global_atomic

attack global_atomic_x2
	global_atomic_swap_x2 v[0:1], v[10:11], v[14:15], off glc
endattack global_atomic_x2

attack global_cmpswap
	global_atomic_cmpswap v0, v[10:11], v[14:15], off glc
endattack global_cmpswap

attack flat_load
	flat_load_dwordx2 v[0:1], v[10:11]
endattack flat_load

attack flat_store
	flat_store_dwordx2 v[10:11], v[14:15]
endattack flat_store

attack flat_atomic
	flat_atomic_add v0, v[10:11], v14 glc
endattack flat_atomic

// ---- scalar memory
attack scalar_load
	s_load_dwordx2 s[16:17], s[8:9], 0x0
	s_waitcnt lgkmcnt(0)
	v_mov_b32 v0, s16
	v_mov_b32 v1, s17
endattack scalar_load

attack scalar_load_x16
	s_load_dwordx16 s[16:31], s[8:9], 0x0
	s_waitcnt lgkmcnt(0)
	v_mov_b32 v0, s16
	v_mov_b32 v1, s17
endattack scalar_load_x16

attack scalar_store
	s_store_dwordx2 s[12:13], s[8:9], 0x0
	s_dcache_wb
endattack scalar_store

attack scalar_buffer_load	// V#: address, 2^32 - 1 bytes; at offset more
	s_mov_b32 s16, s8
	s_and_b32 s17, s9, 0xffff
	s_mov_b32 s18, -1
	s_mov_b32 s19, 0x00027000
	s_buffer_load_dwordx2 s[20:21], s[16:19], s14
	s_waitcnt lgkmcnt(0)
	v_mov_b32 v0, s20
	v_mov_b32 v1, s21
endattack scalar_buffer_load

// ---- buffer resources: address, all the records there can be; byte offset more
.macro resource
	s_mov_b32 s16, s8
	s_and_b32 s17, s9, 0xffff
	s_mov_b32 s18, -1
	s_mov_b32 s19, 0x00027000
	v_mov_b32 v5, s14
.endm

attack buffer_load
	resource
	buffer_load_dwordx2 v[0:1], v5, s[16:19], 0 offen
endattack buffer_load

attack buffer_store
	resource
	buffer_store_dwordx2 v[14:15], v5, s[16:19], 0 offen
endattack buffer_store

attack buffer_atomic
	resource
	buffer_atomic_add v14, v5, s[16:19], 0 offen glc
	s_waitcnt vmcnt(0)
	v_mov_b32 v0, v14
endattack buffer_atomic

attack buffer_stride	// stride 0x3fff, index more: as far as a resource reaches
	resource
	s_or_b32 s17, s17, 0x3fff0000
	buffer_store_dword v14, v5, s[16:19], 0 idxen
endattack buffer_stride

attack buffer_bounded	// 16 records of 4 bytes: what is outside is dropped
	resource
	s_mov_b32 s18, 64
	buffer_store_dword v14, v5, s[16:19], 0 offen
	s_waitcnt vmcnt(0)
	buffer_load_dword v0, v5, s[16:19], 0 offen
endattack buffer_bounded

// ---- code
attack jump
	s_setpc_b64 s[8:9]
endattack jump

attack call
	s_swappc_b64 s[16:17], s[8:9]
endattack call

attack run_off		// fetches beyond the page that holds it: address is of a page that holds nops to its end
	s_setpc_b64 s[8:9]
endattack run_off

// ---- local memory; address is an LDS address here
attack lds_load
	ds_read_b32 v0, v10
endattack lds_load, 256

attack lds_load_x4
	ds_read_b128 v[0:3], v10
endattack lds_load_x4, 256

attack lds_store
	ds_write_b64 v10, v[14:15]
	s_waitcnt lgkmcnt(0)
	ds_read_b32 v0, v10
endattack lds_store, 256

attack lds_atomic
	ds_add_rtn_u32 v0, v10, v14
endattack lds_atomic, 256

attack lds_leak		// the whole of LDS, or-ed: what another work-group left
	v_mov_b32 v5, 0
	s_mov_b32 s16, 0
0:	ds_read_b32 v6, v5
	s_waitcnt lgkmcnt(0)
	v_or_b32 v0, v0, v6
	v_add_u32 v5, 4, v5
	s_add_u32 s16, s16, 4
	s_cmp_lt_u32 s16, 0x1000
	s_cbranch_scc1 0b
endattack lds_leak, 4096

attack lds_fill
	v_mov_b32 v5, 0
	s_mov_b32 s16, 0
0:	ds_write_b32 v5, v14
	v_add_u32 v5, 4, v5
	s_add_u32 s16, s16, 4
	s_cmp_lt_u32 s16, 0x1000
	s_cbranch_scc1 0b
endattack lds_fill, 4096

// ---- for ever, until it is stopped
attack forever_store	// address, and counts at out + 16 that it still runs
	v_mov_b32 v5, 1
0:	global_store_dwordx2 v[10:11], v[14:15], off
	s_waitcnt vmcnt(0)
	global_atomic_add v[12:13], v5, off offset:16
	s_branch 0b
endattack forever_store

attack forever_load
	v_mov_b32 v5, 1
0:	global_load_dwordx2 v[0:1], v[10:11], off
	s_waitcnt vmcnt(0)
	global_store_dwordx2 v[12:13], v[0:1], off offset:24
	global_atomic_add v[12:13], v5, off offset:16
	s_branch 0b
endattack forever_load

// ---- scratch: FLAT_SCRATCH is made from the arguments: base value, 32-bit; address is an offset in it
attack scratch_load
	s_mov_b32 flat_scratch_lo, s12
	s_mov_b32 flat_scratch_hi, s13
	scratch_load_dword v0, v10, off
endattack scratch_load

attack scratch_store
	s_mov_b32 flat_scratch_lo, s12
	s_mov_b32 flat_scratch_hi, s13
	scratch_store_dword v10, v14, off
endattack scratch_store

attack scratch_flat_store	// the same through the private aperture
	s_mov_b32 flat_scratch_lo, s12
	s_mov_b32 flat_scratch_hi, s13
	s_mov_b64 s[16:17], src_private_base
	v_mov_b32 v11, s17
	flat_store_dword v[10:11], v14
endattack scratch_flat_store
